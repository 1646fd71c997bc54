//! Events: what happened to sessions, to polling and to clocks.
//!
//! Each event has a time interval on the server's clock ([`TimeInterval`]) and the time at which this program learned
//! of it. Its sentence claims observations only. The probable cause of an end is [`verdict`](super::verdict)'s job.

mod sentence;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::server_clock::TimeInterval;
use crate::clock::Timestamp;
use crate::session::{ApiError, ApiErrorKind, List, Region, SessionId, Status};
use crate::text::Untrusted;

/// Something that happened to a session, or between the API and us.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The session; `None` if the event concerns all of them.
    pub id: Option<SessionId>,
    /// The interval in which it happened, on the server's clock.
    pub when: TimeInterval,
    /// The time at which this program learned of it, on the server's clock. Events are sorted by it.
    pub learned_at: Timestamp,
    /// The kind of event, with its details.
    pub kind: EventKind,
}

/// The kinds of events. The strum names are part of the schema of `keepwatch events`: a renamed variant keeps its name
/// there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum EventKind {
    /// The first response about the session.
    FirstSeen {
        /// The status in that response.
        status: Status,
        /// The time left until its expiry.
        time_left: Option<Duration>,
        /// Its `endedAt`, if it had already ended.
        ended_at: Option<Timestamp>,
    },
    /// A change of status that is not an end.
    #[strum(serialize = "status_changed")]
    StatusChanged {
        /// The last value before the change.
        from: Status,
        /// The first value after the change.
        to: Status,
    },
    /// The session ended while it was watched.
    Ended {
        /// Its final status.
        status: Status,
        /// Its `endedAt`.
        ended_at: Option<Timestamp>,
        /// True if `endedAt` is between the last response before the end and the first after it.
        ended_at_fits: bool,
        /// The last response that shows it alive: its time of arrival and its status.
        last_alive: Option<(Timestamp, Status)>,
    },
    /// The API reports the session alive after it reported its end.
    Contradicted {
        /// The final status reported before.
        from: Status,
        /// The status reported now.
        to: Status,
    },
    /// A change of `expiresAt`.
    ExpiryMoved {
        /// The last value before the change.
        from: Timestamp,
        /// The first value after the change.
        to: Timestamp,
    },
    /// A change of `keepAlive` to this value.
    #[strum(serialize = "keep_alive_changed")]
    KeepAliveChanged(bool),
    /// A change of `region`.
    #[strum(serialize = "region_changed")]
    RegionChanged {
        /// The last value before the change.
        from: Region,
        /// The first value after the change.
        to: Region,
    },
    /// A change of `contextId` to this value; `None` if it was removed.
    #[strum(serialize = "context_changed")]
    ContextChanged(Option<Untrusted>),
    /// A change of `userMetadata`. The event has no content of it, because events leave the program.
    #[strum(serialize = "metadata_changed")]
    MetadataChanged,
    /// The session's `proxyBytes` began to grow.
    TrafficStarted,
    /// The session's `proxyBytes` stopped growing.
    TrafficStopped {
        /// The number of bytes by then.
        bytes: i64,
    },
    /// The API reports the session alive, but the list of its status lacks it.
    Unlisted,
    /// The API does not know the session, or no longer knows it.
    NotFound(ApiError),
    /// The API knows the session again, with this status.
    FoundAgain(Status),
    /// The API reported the session alive when it was requested after its expiry.
    Overdue {
        /// Its `expiresAt`.
        expires: Timestamp,
    },
    /// The user requested the session's release with this program.
    #[strum(serialize = "release_asked")]
    ReleaseRequested,
    /// The request to release the session failed.
    ReleaseFailed {
        /// The reason.
        error: ApiError,
        /// The delay until the retry; `None` without a retry.
        wait: Option<Duration>,
    },
    /// An alert for the session was raised.
    #[strum(serialize = "flagged")]
    AlertRaised(Alert),
    /// A session with the same metadata appeared after this one had ended.
    Successor(SessionId),
    /// Several sessions ended at about the same time, none of them by its timeout.
    #[strum(serialize = "ended_together")]
    EndedTogether {
        /// The sessions, in the order of their ends.
        ids: Vec<SessionId>,
        /// The time between the first and the last `endedAt`.
        spread: Duration,
    },
    /// Polls began to fail, or fail with another error than before. If the event has an id, only polls of that session.
    #[strum(serialize = "polls_failing")]
    PollsFailing {
        /// The error.
        error: ApiError,
        /// The list, if only polls of one list fail.
        list: Option<List>,
        /// The delay until the next poll.
        wait: Option<Duration>,
    },
    /// Polls succeed again.
    #[strum(serialize = "polls_recovered")]
    PollsRecovered {
        /// The list, if only polls of one list failed.
        list: Option<List>,
        /// The time without a response.
        after: Duration,
    },
    /// This machine slept for this long.
    Slept(Duration),
    /// The API's clock differs from what earlier responses implied. All times follow the new clock.
    #[strum(serialize = "api_clock_set")]
    ServerClockSet {
        /// The difference in milliseconds; negative if the clock went back.
        by_ms: i64,
    },
    /// This machine's wall clock was set.
    ClockSet {
        /// The difference in milliseconds; negative if the clock was set back.
        by_ms: i64,
    },
}

impl EventKind {
    /// Returns the name used in the output of `keepwatch events`. It is part of the schema.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::PollsFailing { error, .. } if error.kind == ApiErrorKind::RateLimited => "rate_limited",
            _ => self.into(),
        }
    }

    /// Returns true if an event without an id concerns the session `id`.
    #[must_use]
    pub(super) fn concerns(&self, id: &SessionId) -> bool {
        match self {
            Self::EndedTogether { ids, .. } => ids.contains(id),
            _ => true,
        }
    }

    /// Returns true for the first sight and the end of a session. The timeline never evicts these for other events.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::FirstSeen { .. } | Self::Ended { .. })
    }

    /// Returns the API's id of the failed request, for a support ticket.
    #[must_use]
    pub fn request_id(&self) -> Option<&Untrusted> {
        match self {
            Self::NotFound(error) | Self::PollsFailing { error, .. } | Self::ReleaseFailed { error, .. } => {
                error.request_id.as_ref()
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantNames as _;

    use super::*;

    #[test]
    fn event_names_match_schema() {
        let names = [
            "first_seen",
            "status_changed",
            "ended",
            "contradicted",
            "expiry_moved",
            "keep_alive_changed",
            "region_changed",
            "context_changed",
            "metadata_changed",
            "traffic_started",
            "traffic_stopped",
            "unlisted",
            "not_found",
            "found_again",
            "overdue",
            "release_asked",
            "release_failed",
            "flagged",
            "successor",
            "ended_together",
            "polls_failing",
            "polls_recovered",
            "slept",
            "api_clock_set",
            "clock_set",
        ];
        assert_eq!(EventKind::VARIANTS, names);
    }
}
