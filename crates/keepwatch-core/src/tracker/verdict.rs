//! Why a session ended, as far as the evidence goes. Pure.
//!
//! The API gives no reason: `COMPLETED` is every end but a failure and a timeout. The rules by which sessions end are
//! documented, though, and exclude most causes. The first row that fits is the verdict:
//!
//! ```text
//!   ERROR                                              Failed
//!   TIMED_OUT                                          TimedOut
//!   a release was asked for from here                  ReleasedHere
//!   COMPLETED, endedAt within 5 s of expiresAt         AtExpiry
//!   COMPLETED, keep-alive on,  time left               KeptAlive        not a disconnect, not a timeout
//!   COMPLETED, keep-alive off, 300 s ± 15 after it
//!              was created, no bytes                   NeverConnected   perhaps
//!   COMPLETED, keep-alive off, time left               Disconnected     or closed, or released
//!   COMPLETED after its expiry                         PastExpiry
//!   COMPLETED, and less is known                       Unexplained
//!   404 or 410 after it was seen                       Gone
//!   RUNNING in a reply sent after its expiry           Overdue
//! ```
//!
//! A verdict never stands without what it rests on: each names its [`Fact`]s, and with one fact less it says less.
//! Several sessions that ended together are named [beside](Verdict::end_cluster) each one's own verdict.

mod rules;
mod text;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::server_clock::TimeInterval;
use crate::clock::Timestamp;
use crate::session::{ApiError, SessionId, Status};

pub use text::VerdictText;

/// An `endedAt` this near to `expiresAt` is its timeout, whatever the status says.
// promise: near-expiry, mutant: from_secs(5) -> from_secs(60)
pub const NEAR_EXPIRY: Duration = Duration::from_secs(5);
/// A session to which nobody connects ends so long after it was created.
pub const NEVER_CONNECTED: Duration = Duration::from_secs(300);
/// Give or take.
pub const NEVER_CONNECTED_SLACK: Duration = Duration::from_secs(15);

/// All that a verdict is made from. What is not known is `None`.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The newest `status`.
    pub status: Option<Status>,
    /// `createdAt`
    pub created: Option<Timestamp>,
    /// `startedAt`
    pub started: Option<Timestamp>,
    /// `expiresAt`
    pub expires: Option<Timestamp>,
    /// `endedAt`
    pub ended: Option<Timestamp>,
    /// `keepAlive`
    pub keep_alive: Option<bool>,
    /// `proxyBytes`
    pub proxy_bytes: Option<i64>,
    /// Between when and when it was seen to end: from the last reply that said it lives to the first that says it has
    /// ended. `None` if it was first seen when it had ended.
    pub observed_between: Option<TimeInterval>,
    /// When the first reply that says it has ended had come: it ended by then.
    pub ended_by: Option<Timestamp>,
    /// When its release was asked for from here.
    pub release_requested_at: Option<Timestamp>,
    /// The project's default timeout, as it is now.
    pub default_timeout: Option<Duration>,
    /// The API does not know it any more, in these words.
    pub not_found: Option<ApiError>,
    /// When the newest reply that says it lives was sent.
    pub last_alive: Option<Timestamp>,
    /// With which others it ended.
    pub end_cluster: Option<EndCluster>,
}

/// Sessions that ended at about the same time: within [`super::end_clusters::CLUSTER_WINDOW`], by `endedAt`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndCluster {
    /// All of them, in the order of their ends.
    pub ids: Vec<SessionId>,
    /// How far apart the first and the last end are.
    pub spread: Duration,
}

/// What probably lies behind an end, or behind what is odd.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The row that fits.
    pub cause: Cause,
    /// How sure it is.
    pub confidence: Confidence,
    /// What it rests on.
    pub facts: Vec<Fact>,
    /// How long it ran; at most, if its end is known from replies alone ([`Fact::ResponsesAroundEnd`]).
    pub duration: Option<Duration>,
    /// Whether there is an `endedAt` that can not be: before the start, after the reply that has it, or outside of what
    /// was seen. Nothing rests on it then.
    pub is_ended_at_contradicted: bool,
    /// The sessions that ended at about the same time, this one among them.
    pub end_cluster: Option<EndCluster>,
}

/// The rows of the table above. The names by strum are part of the schema of `keepwatch events`: a variant that is renamed
/// keeps its name there.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Cause {
    /// `ERROR`, however near to the expiry.
    #[strum(serialize = "error")]
    Failed,
    /// `TIMED_OUT`
    TimedOut {
        /// Its own timeout.
        timeout: Option<Duration>,
        /// The project's default.
        default: Option<Duration>,
        /// How long before its expiry it ended, if that was not near: then the status is all that says so.
        early: Option<Duration>,
    },
    /// Its release was asked for from here. The asking is certain, the cause is not.
    ReleasedHere {
        /// When.
        requested_at: Timestamp,
        /// How long after that it ended.
        after: Option<Duration>,
    },
    /// `COMPLETED` at its expiry, give or take [`NEAR_EXPIRY`].
    #[strum(serialize = "completed_at_expiry")]
    AtExpiry {
        /// How far from it.
        off: Duration,
    },
    /// With keep-alive on, and before its expiry.
    #[strum(serialize = "keep_alive_ended")]
    KeepAliveEnded {
        /// What was left of its time; `None` where it is not known that anything was.
        unused: Option<Duration>,
        /// Whether it ended at the age at which a session ends that nobody connects to: if that holds with keep-alive
        /// too is not documented.
        maybe_never_connected: bool,
    },
    /// With keep-alive off, at the age at which a session ends that nobody connects to.
    NeverConnected {
        /// Its age.
        age: Duration,
    },
    /// With keep-alive off, and before its expiry.
    #[strum(serialize = "disconnected_or_closed")]
    Disconnected {
        /// What was left of its time; `None` where it is not known that anything was.
        unused: Option<Duration>,
    },
    /// `COMPLETED` after its expiry.
    #[strum(serialize = "ended_past_expiry")]
    PastExpiry {
        /// How long after.
        by: Duration,
    },
    /// `COMPLETED`, and the fields do not say enough for more.
    Unexplained,
    /// 404 or 410 after it was seen.
    Gone {
        /// The API's words.
        error: ApiError,
    },
    /// A reply that was sent after the expiry says that it lives.
    Overdue {
        /// How long after the expiry the newest such reply was sent.
        by: Duration,
    },
}

/// How sure a verdict is, from little to much. The names by strum are part of the schema, as those of [`Cause`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Confidence {
    /// The evidence allows no more.
    Unknown,
    /// One of several, and none stands out; or a fact is missing.
    #[strum(serialize = "perhaps")]
    Possible,
    /// By the documented rules.
    Likely,
    /// The API's own word.
    #[strum(serialize = "said")]
    Reported,
}

/// What a verdict can rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// `status`
    Status,
    /// `endedAt`, and nothing speaks against it.
    EndedAt,
    /// The replies before and after the end.
    ResponsesAroundEnd,
    /// `expiresAt`
    ExpiresAt,
    /// `startedAt`
    StartedAt,
    /// `createdAt`
    CreatedAt,
    /// `keepAlive`
    KeepAlive,
    /// `proxyBytes`, of which there were none.
    NoBytes,
    /// The project's default timeout.
    DefaultTimeout,
    /// This program's own doing.
    LocalRelease,
    /// The API's 404 or 410.
    NotFound,
    /// A reply that was sent after the expiry.
    ResponseAfterExpiry,
}

#[cfg(test)]
mod tests;
