//! What happened, as one sentence each.
//!
//! Every event says *when* as an interval on the server's clock ([`TimeInterval`]), and when this program learned of it. Its
//! sentence claims what was observed and no more; what probably lies behind an end is [`verdict`](super::verdict)'s.

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
    /// The session, unless it concerns all.
    pub id: Option<SessionId>,
    /// Between when and when, on the server's clock.
    pub when: TimeInterval,
    /// When it was learned, on the server's clock: events are in this order.
    pub learned_at: Timestamp,
    /// What.
    pub kind: EventKind,
}

/// What can happen. The names by strum are part of the schema of `keepwatch events`: a variant that is renamed keeps its name
/// there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum EventKind {
    /// The first reply about it.
    FirstSeen {
        /// What it said.
        status: Status,
        /// What was left then of its time.
        time_left: Option<Duration>,
        /// Its `endedAt`, where it had ended before.
        ended_at: Option<Timestamp>,
    },
    /// Another status, and nothing ended by it.
    #[strum(serialize = "status_changed")]
    StatusChanged {
        /// The last that was seen before.
        from: Status,
        /// The first that was seen after.
        to: Status,
    },
    /// It ended while it was watched.
    Ended {
        /// As what.
        status: Status,
        /// Its `endedAt`.
        ended_at: Option<Timestamp>,
        /// Whether `endedAt` lies between the last reply before and the first after.
        ended_at_fits: bool,
        /// The last reply that said otherwise: when it came, and what it said.
        last_alive: Option<(Timestamp, Status)>,
    },
    /// The API says that it lives, after it said that it had ended.
    Contradicted {
        /// As what it had ended.
        from: Status,
        /// What the API says now.
        to: Status,
    },
    /// Its `expiresAt` changed.
    ExpiryMoved {
        /// The last that was seen before.
        from: Timestamp,
        /// The first that was seen after.
        to: Timestamp,
    },
    /// Its `keepAlive` changed to this.
    #[strum(serialize = "keep_alive_changed")]
    KeepAliveChanged(bool),
    /// Its `region` changed.
    #[strum(serialize = "region_changed")]
    RegionChanged {
        /// The last that was seen before.
        from: Region,
        /// The first that was seen after.
        to: Region,
    },
    /// Its `contextId` changed to this; `None` if it went.
    #[strum(serialize = "context_changed")]
    ContextChanged(Option<Untrusted>),
    /// Its `userMetadata` changed. What is in it is not told: events leave the program.
    #[strum(serialize = "metadata_changed")]
    MetadataChanged,
    /// Its proxy's bytes began to grow.
    TrafficStarted,
    /// Its proxy's bytes have stood still for a while.
    TrafficStopped {
        /// At this number.
        bytes: i64,
    },
    /// The API says that it lives, but its list lacks it.
    Unlisted,
    /// The API does not know it (any more).
    NotFound(ApiError),
    /// The API knows it again.
    FoundAgain(Status),
    /// A reply that was sent after the expiry says that it lives.
    Overdue {
        /// Its `expiresAt`.
        expires: Timestamp,
    },
    /// Its release was asked for from here.
    #[strum(serialize = "release_asked")]
    ReleaseRequested,
    /// The API did not take the release.
    ReleaseFailed {
        /// Why.
        error: ApiError,
        /// How long until it is asked again; `None` if it is not.
        wait: Option<Duration>,
    },
    /// It wants attention.
    #[strum(serialize = "flagged")]
    AlertRaised(Alert),
    /// After its end a session with the same metadata appeared.
    Successor(SessionId),
    /// Several sessions ended at about the same time, none of them by its timeout.
    #[strum(serialize = "ended_together")]
    EndedTogether {
        /// Which, in the order of their ends.
        ids: Vec<SessionId>,
        /// How far apart the first and the last end are, by `endedAt`.
        spread: Duration,
    },
    /// Polls began to fail, or fail otherwise than before; of one session, if the event has an id.
    #[strum(serialize = "polls_failing")]
    PollsFailing {
        /// Why.
        error: ApiError,
        /// The list that alone fails.
        list: Option<List>,
        /// How long until the next try.
        wait: Option<Duration>,
    },
    /// Polls succeed again.
    #[strum(serialize = "polls_recovered")]
    PollsRecovered {
        /// The list that alone had failed.
        list: Option<List>,
        /// How long nothing came.
        after: Duration,
    },
    /// The machine slept for so long.
    Slept(Duration),
    /// The API's clock is not what its replies had said, by so many milliseconds; negative if it is behind that. All times
    /// are by it.
    #[strum(serialize = "api_clock_set")]
    ServerClockSet {
        /// By how much.
        by_ms: i64,
    },
    /// This machine's wall clock was set by so many milliseconds; negative if it was set back.
    ClockSet {
        /// By how much.
        by_ms: i64,
    },
}

impl EventKind {
    /// Its name in `keepwatch events`: part of the schema.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::PollsFailing { error, .. } if error.kind == ApiErrorKind::RateLimited => "rate_limited",
            _ => self.into(),
        }
    }

    /// Whether an event that has no session of its own says something of this one.
    #[must_use]
    pub(super) fn concerns(&self, id: &SessionId) -> bool {
        match self {
            Self::EndedTogether { ids, .. } => ids.contains(id),
            _ => true,
        }
    }

    /// Whether it is the first or the last thing known of a session: no other event pushes it out.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::FirstSeen { .. } | Self::Ended { .. })
    }

    /// The request of the API that it speaks of, for a support ticket.
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
    fn event_names_are_those_of_the_schema() {
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
