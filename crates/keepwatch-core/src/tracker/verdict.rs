//! Verdicts: the probable causes of ends, with the facts that speak for them. Pure: no I/O, no clock.
//!
//! One verdict, `Overdue`, is about a session that should have ended and has not.
//!
//! The API gives no reason: `COMPLETED` covers every end except a failure and a timeout. Browserbase documents the
//! rules by which sessions end, and these rules exclude most causes. The first row that fits is the verdict:
//!
//! ```text
//!   what the API and this program know                verdict          meaning
//!   404 or 410, and no response showed the end        Gone             the API no longer knows the session
//!   ERROR                                             Failed           the session failed
//!   TIMED_OUT                                         TimedOut         the session reached its timeout
//!   COMPLETED, and this program requested its release ReleasedHere     the release probably ended it
//!   COMPLETED at most 5 s before or after expiresAt   AtExpiry         its timeout probably ended it
//!   COMPLETED more than 5 s after expiresAt           EndedPastExpiry  it ended later than its timeout allows
//!   COMPLETED, keep-alive on                          KeepAliveEnded   no disconnect ended it; after the early limit
//!                                                                      probably a release
//!   COMPLETED, keep-alive off, 300 s ± 15 s after it
//!              was created, no proxy bytes            NeverConnected   perhaps no client ever connected
//!   COMPLETED, keep-alive off                         Disconnected     its client left, or something closed it
//!   COMPLETED, keep-alive unknown                     Unexplained      the facts fit too many causes
//!   alive, by a request sent after expiresAt          Overdue          it runs longer than its timeout allows
//! ```
//!
//! Each verdict names the [`Fact`]s that it rests on. If one of these facts is missing, the verdict is weaker. Besides
//! its cause, a verdict names the sessions that ended at about the same time ([`Verdict::end_cluster`]).

mod rules;
mod text;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::early_limit::EarlyLimit;
use super::server_clock::TimeInterval;
use crate::clients::KnownClient;
use crate::clock::Timestamp;
use crate::session::{ApiError, SessionId, Status};

pub use text::{AdviceStep, MAX_SHORT_COLUMNS, VerdictText};

/// The maximum time between an end and `expiresAt`, in either order, for which the end counts as near the expiry.
// promise: near-expiry, mutant: from_secs(5) -> from_secs(60)
pub const NEAR_EXPIRY: Duration = Duration::from_secs(5);
/// The minimum spread of an [`EndCluster`] that a sentence states. Simultaneous ends would otherwise be "within 0.0 s of
/// each other".
pub const MIN_SHOWN_SPREAD: Duration = Duration::from_millis(100);
/// The age at which Browserbase ends a session to which no client has connected.
pub const NEVER_CONNECTED: Duration = Duration::from_secs(300);
/// The tolerance of [`NEVER_CONNECTED`], in both directions.
pub const NEVER_CONNECTED_SLACK: Duration = Duration::from_secs(15);

/// The known facts about one session. The rules judge them. Unknown values are `None`.
#[derive(Clone, Debug, Default)]
pub struct KnownFacts {
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
    /// The interval of the end: from the last response that shows the session alive to the first response that shows it
    /// ended, widened by the uncertainty of the server clock. `None` if the session had ended before the first response
    /// about it.
    pub end_interval: Option<TimeInterval>,
    /// The latest possible end: the receipt of the first response that shows the session ended, plus the uncertainty of
    /// the server clock.
    pub latest_possible_end: Option<Timestamp>,
    /// The time at which this program requested the session's release.
    pub release_requested_at: Option<Timestamp>,
    /// The project's current default timeout.
    pub default_timeout: Option<Duration>,
    /// The 404 or 410 of the API, if the API no longer knows the session.
    pub not_found: Option<ApiError>,
    /// The earliest possible send time of the newest request whose response shows the session alive. The exact send
    /// time is not known, because the server clock is uncertain. The tracker sets this field only if the session is
    /// overdue.
    pub last_alive: Option<Timestamp>,
    /// The sessions that ended at about the same time, including this one.
    pub end_cluster: Option<EndCluster>,
    /// True if the session has metadata; `None` if its metadata was not stored.
    pub has_metadata: Option<bool>,
    /// The client that created the session, according to its metadata.
    pub client: Option<KnownClient>,
    /// The running time below which the end of a keep-alive session is early.
    pub early_limit: EarlyLimit,
}

/// Sessions whose `endedAt` lie close together, within [`super::end_clusters::CLUSTER_WINDOW`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndCluster {
    /// All sessions of the cluster, in the order of their ends.
    pub ids: Vec<SessionId>,
    /// The time between the first and the last end.
    pub spread: Duration,
}

/// The probable cause of an end, or of a session that is overdue.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The newest `status`.
    pub status: Status,
    /// The probable cause: the first row of this module's table that fits.
    pub cause: Cause,
    /// The degree of certainty.
    pub confidence: Confidence,
    /// The facts that the verdict rests on.
    pub facts: Vec<Fact>,
    /// The running time. It is an upper bound if the end is known only from responses ([`Fact::ResponsesAroundEnd`]).
    pub duration: Option<Duration>,
    /// The time from the end to the expiry, if that is more than [`NEAR_EXPIRY`]. It is a lower bound if the end is
    /// known only from responses.
    pub unused: Option<Duration>,
    /// The latest possible end.
    pub latest_end: Option<Timestamp>,
    /// True if the API gives an impossible `endedAt`. It is impossible if it is before the start, or outside the bounds
    /// that the responses set ([`KnownFacts::end_interval`], [`KnownFacts::latest_possible_end`]). The verdict then
    /// ignores `endedAt`.
    pub has_impossible_ended_at: bool,
    /// The client that created the session, if the advice speaks of it.
    pub client: Option<KnownClient>,
    /// True if the session may have lost the timeout that its creator asked for. Node SDK 2.21.0 sends `{}` for
    /// `create({timeout: 3600})`, so that the session gets the project's default.
    pub fits_lost_timeout: bool,
    /// The sessions that ended at about the same time, including this one.
    pub end_cluster: Option<EndCluster>,
}

/// The rows of the table in this module's documentation. The strum names are part of the schema of `keepwatch events`,
/// so a renamed variant keeps its strum name.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Cause {
    /// `ERROR`, even if the end is near the expiry.
    #[strum(serialize = "error")]
    Failed,
    /// `TIMED_OUT`
    TimedOut {
        /// The session's own timeout.
        timeout: Option<Duration>,
        /// The project's default timeout.
        default_timeout: Option<Duration>,
        /// The time from the end to the expiry, if that is more than [`NEAR_EXPIRY`]. The status and the times then
        /// contradict each other.
        unused: Option<Duration>,
    },
    /// `COMPLETED`, and this program requested the release. It is not certain that the release caused the end.
    ReleasedHere {
        /// The time of the request.
        requested_at: Timestamp,
        /// The time from the request to the end, or to the latest possible end.
        time_to_end: Option<Duration>,
    },
    /// `COMPLETED` at most [`NEAR_EXPIRY`] before or after the expiry.
    #[strum(serialize = "completed_at_expiry")]
    AtExpiry {
        /// The largest possible time between the end and the expiry. Either may come first.
        distance: Duration,
    },
    /// `COMPLETED` with keep-alive on, if the end is not known to be at or after the expiry.
    #[strum(serialize = "keep_alive_ended")]
    KeepAliveEnded {
        /// The time from the end to the expiry; `None` if the session may have reached its expiry.
        unused: Option<Duration>,
        /// True if the session ran for less than [`KnownFacts::early_limit`]. A later end is probably a release, which
        /// is the documented way to end a keep-alive session.
        is_early: bool,
        /// True if the session ended at the age of [`NEVER_CONNECTED`] and no proxy traffic proves that a client
        /// connected. Browserbase does not document whether it ends unconnected keep-alive sessions at that age.
        matches_never_connected: bool,
    },
    /// `COMPLETED` with keep-alive off, at the age of [`NEVER_CONNECTED`], and no proxy traffic proves that a client
    /// connected.
    NeverConnected {
        /// The age at the end.
        age: Duration,
    },
    /// `COMPLETED` with keep-alive off, if the end is not known to be at or after the expiry.
    #[strum(serialize = "disconnected_or_closed")]
    Disconnected {
        /// The time from the end to the expiry; `None` if the session may have reached its expiry.
        unused: Option<Duration>,
    },
    /// `COMPLETED` more than [`NEAR_EXPIRY`] after the expiry.
    #[strum(serialize = "ended_past_expiry")]
    EndedPastExpiry {
        /// The time from the expiry to the end, or to the earliest possible end.
        overrun: Duration,
    },
    /// `COMPLETED` with unknown keep-alive, if the end is not known to be at or after the expiry.
    Unexplained,
    /// 404 or 410 for a session that was seen alive.
    Gone {
        /// The API's error.
        error: ApiError,
    },
    /// The session has not ended: a response to a request sent after its expiry reports it alive.
    Overdue {
        /// The time from the expiry to the newest such request.
        overrun: Duration,
    },
}

/// The degrees of certainty of a verdict, in ascending order. The strum names are part of the schema, like those of
/// [`Cause`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Confidence {
    /// The facts fit too many causes.
    Unknown,
    /// Several causes fit, a fact is missing, or facts contradict each other.
    #[strum(serialize = "perhaps")]
    Possible,
    /// By the documented rules, this cause alone remains.
    Likely,
    /// The API's status names the cause.
    #[strum(serialize = "said")]
    Reported,
}

/// A kind of fact that a verdict can rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// `status`
    Status,
    /// `endedAt`, if no other fact contradicts it.
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
    /// `proxyBytes`, if it is zero or negative.
    NoBytes,
    /// The project's default timeout.
    DefaultTimeout,
    /// A release requested by this program.
    LocalRelease,
    /// The API's 404 or 410.
    NotFound,
    /// A response to a request sent after the expiry.
    ResponseAfterExpiry,
    /// The absence of metadata.
    NoMetadata,
    /// The metadata that a known client attaches.
    Client,
}

impl Cause {
    /// Returns true if a call of the session's own client can be the cause.
    fn may_be_a_call_of_the_client(&self) -> bool {
        matches!(
            self,
            Self::KeepAliveEnded { .. }
                | Self::Disconnected { .. }
                | Self::NeverConnected { .. }
                | Self::Unexplained
        )
    }
}

#[cfg(test)]
mod tests;
