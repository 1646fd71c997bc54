//! Verdicts: why a session ended, as far as the evidence goes. Pure: no I/O, no clock.
//!
//! The API gives no reason: `COMPLETED` covers every end except a failure and a timeout. Browserbase documents the
//! rules by which sessions end, and these rules exclude most causes. The first row that fits is the verdict:
//!
//! ```text
//!   404 or 410 for a session that was seen alive            Gone
//!   ERROR                                                   Failed
//!   TIMED_OUT                                               TimedOut
//!   COMPLETED, and this program requested its release       ReleasedHere
//!   COMPLETED, endedAt within 5 s of expiresAt              AtExpiry
//!   COMPLETED after expiresAt                               PastExpiry
//!   COMPLETED, keep-alive on                                KeepAliveEnded   no disconnect
//!   COMPLETED, keep-alive off, 300 s ± 15 s after it was
//!              created, no proxy bytes                      NeverConnected   possible
//!   COMPLETED, keep-alive off                               Disconnected     or closed, or released
//!   COMPLETED, keep-alive unknown                           Unexplained
//!   RUNNING when requested after expiresAt                   Overdue
//! ```
//!
//! Each verdict names the [`Fact`]s it rests on. Take one fact away, and the verdict weakens.
//! Sessions that ended together are listed in [`Verdict::end_cluster`], beside each session's own cause.

mod rules;
mod text;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::server_clock::TimeInterval;
use crate::clock::Timestamp;
use crate::session::{ApiError, SessionId, Status};

pub use text::VerdictText;

/// The largest distance between `endedAt` and `expiresAt` that counts as a timeout, whatever the status is.
// promise: near-expiry, mutant: from_secs(5) -> from_secs(60)
pub const NEAR_EXPIRY: Duration = Duration::from_secs(5);
/// The age at which Browserbase ends a session that no client has connected to.
pub const NEVER_CONNECTED: Duration = Duration::from_secs(300);
/// The tolerance of [`NEVER_CONNECTED`], in both directions.
pub const NEVER_CONNECTED_SLACK: Duration = Duration::from_secs(15);

/// The input of a verdict. Unknown values are `None`.
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
    /// The interval in which the session was seen to end: from the last response that shows it alive to the first that
    /// shows it ended. `None` if it had ended before the first response.
    pub observed_between: Option<TimeInterval>,
    /// The arrival of the first response that shows it ended, and so the latest possible end.
    pub ended_by: Option<Timestamp>,
    /// The time at which this program requested its release.
    pub release_requested_at: Option<Timestamp>,
    /// The project's current default timeout.
    pub default_timeout: Option<Duration>,
    /// The API's 404 or 410, if it no longer knows the session.
    pub not_found: Option<ApiError>,
    /// The send time of the newest request whose response shows the session alive.
    pub last_alive: Option<Timestamp>,
    /// The sessions that ended at about the same time.
    pub end_cluster: Option<EndCluster>,
}

/// Sessions whose `endedAt` lie close together, within [`super::end_clusters::CLUSTER_WINDOW`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndCluster {
    /// All sessions of the cluster, in the order of their ends.
    pub ids: Vec<SessionId>,
    /// The time between the first and the last end.
    pub spread: Duration,
}

/// The probable cause of an end or of an anomaly.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The row of the table that fits.
    pub cause: Cause,
    /// The degree of certainty.
    pub confidence: Confidence,
    /// The evidence that the verdict rests on.
    pub facts: Vec<Fact>,
    /// The running time. An upper bound if the end is known only from responses ([`Fact::ResponsesAroundEnd`]).
    pub duration: Option<Duration>,
    /// True if the API gives an impossible `endedAt`: before the start, after the response that contains it, or outside
    /// the observed interval. The verdict ignores it then.
    pub is_ended_at_contradicted: bool,
    /// The sessions that ended at about the same time, including this one.
    pub end_cluster: Option<EndCluster>,
}

/// The rows of the table above. The strum names are part of the schema of `keepwatch events`: a renamed variant keeps
/// its name there.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Cause {
    /// `ERROR`, however near to the expiry.
    #[strum(serialize = "error")]
    Failed,
    /// `TIMED_OUT`
    TimedOut {
        /// The session's own timeout.
        timeout: Option<Duration>,
        /// The project's default timeout.
        default: Option<Duration>,
        /// The time between its end and its expiry, if it ended long before. Only the status indicates a timeout then.
        early: Option<Duration>,
    },
    /// This program requested its release. The request is certain, but it may not be the cause.
    ReleasedHere {
        /// The time of the request.
        requested_at: Timestamp,
        /// The time from the request to the end.
        after: Option<Duration>,
    },
    /// `COMPLETED` at its expiry, give or take [`NEAR_EXPIRY`].
    #[strum(serialize = "completed_at_expiry")]
    AtExpiry {
        /// The distance from the expiry.
        off: Duration,
    },
    /// `COMPLETED` with keep-alive on, and not known to be at or after its expiry.
    #[strum(serialize = "keep_alive_ended")]
    KeepAliveEnded {
        /// The time left until its expiry; `None` if it may have reached its expiry.
        unused: Option<Duration>,
        /// True if it ended at the age of [`NEVER_CONNECTED`]. Browserbase does not document whether that rule applies
        /// to keep-alive sessions.
        maybe_never_connected: bool,
    },
    /// `COMPLETED` with keep-alive off, at the age of [`NEVER_CONNECTED`].
    NeverConnected {
        /// The age at its end.
        age: Duration,
    },
    /// `COMPLETED` with keep-alive off, and not known to be at or after its expiry.
    #[strum(serialize = "disconnected_or_closed")]
    Disconnected {
        /// The time left until its expiry; `None` if it may have reached its expiry.
        unused: Option<Duration>,
    },
    /// `COMPLETED` after its expiry.
    #[strum(serialize = "ended_past_expiry")]
    PastExpiry {
        /// The time from the expiry to the end.
        by: Duration,
    },
    /// `COMPLETED`, and the fields exclude too little.
    Unexplained,
    /// 404 or 410 for a session that was seen alive.
    Gone {
        /// The API's error.
        error: ApiError,
    },
    /// The API reported it alive when it was requested after its expiry.
    Overdue {
        /// The time from the expiry to the newest such request.
        by: Duration,
    },
}

/// The certainty of a verdict, in ascending order. The strum names are part of the schema, like those of [`Cause`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Confidence {
    /// The evidence excludes too little.
    Unknown,
    /// Several causes fit equally well, or a fact is missing.
    #[strum(serialize = "perhaps")]
    Possible,
    /// The documented rules leave this cause.
    Likely,
    /// The API's status names the cause.
    #[strum(serialize = "said")]
    Reported,
}

/// A piece of evidence that a verdict can rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// `status`
    Status,
    /// `endedAt`, uncontradicted.
    EndedAt,
    /// The responses before and after the end.
    ResponsesAroundEnd,
    /// `expiresAt`
    ExpiresAt,
    /// `startedAt`
    StartedAt,
    /// `createdAt`
    CreatedAt,
    /// `keepAlive`
    KeepAlive,
    /// A `proxyBytes` of zero.
    NoBytes,
    /// The project's default timeout.
    DefaultTimeout,
    /// A release requested by this program.
    LocalRelease,
    /// The API's 404 or 410.
    NotFound,
    /// A response to a request sent after the expiry.
    ResponseAfterExpiry,
}

#[cfg(test)]
mod tests;
