//! Events: what happened to sessions, to polling and to clocks.
//!
//! Each event has a time interval on the server's clock ([`TimeInterval`]) and the time at which this program learned
//! of it. The sentence of an event states observations only. The [`verdict`](super::verdict) module finds the probable
//! causes of ends.

mod sentence;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::server_clock::TimeInterval;
use crate::clock::Timestamp;
use crate::session::{ApiError, ApiErrorKind, List, Region, SessionId, Status};
use crate::text::Untrusted;

/// Something that happened to a session, to polling or to a clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The session; `None` if the event does not concern exactly one session.
    pub id: Option<SessionId>,
    /// The interval in which it happened, on the server's clock.
    pub when: TimeInterval,
    /// The time at which this program learned of it, on the server's clock.
    pub learned_at: Timestamp,
    /// The kind of event, with its details.
    pub kind: EventKind,
}

/// The kinds of events. The strum names are part of the schema of `keepwatch events`, so a renamed variant keeps its
/// strum name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum EventKind {
    /// The first response about the session.
    FirstSeen {
        /// The status in that response.
        status: Status,
        /// The time left until the session's expiry.
        time_left: Option<Duration>,
        /// The `endedAt` of a session that had already ended.
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
    /// The session ended after the first response about it.
    Ended {
        /// Its final status.
        status: Status,
        /// Its `endedAt`.
        ended_at: Option<Timestamp>,
        /// True if `endedAt` fits, as in [`ObservedEnd::ended_at_fits`](super::ObservedEnd::ended_at_fits).
        ended_at_fits: bool,
        /// The last response that shows the session alive: the time of its receipt, and the status in it.
        last_alive: Option<(Timestamp, Status)>,
    },
    /// The API reports the session as not ended, although an earlier response reported its end.
    Contradicted {
        /// The final status reported before.
        from: Status,
        /// The status reported now.
        to: Status,
    },
    /// The responses contradict each other: the session changes back and forth. Until [`EventKind::ResponsesAgree`],
    /// each change back to an earlier version of the session is only counted.
    #[strum(serialize = "contradictory_replies")]
    ContradictoryResponses,
    /// The responses agree again.
    #[strum(serialize = "replies_agree")]
    ResponsesAgree {
        /// The number of changes that were only counted.
        changes: u64,
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
    /// The session's `proxyBytes` stopped growing. The event is recorded a minute later.
    TrafficStopped {
        /// The value of `proxyBytes`.
        bytes: i64,
    },
    /// The API reports the session alive, but the session is missing from the list of its status.
    Unlisted,
    /// The API does not know the session, or no longer knows it.
    NotFound(ApiError),
    /// The API knows the session again, after a 404 or 410. It has this status.
    FoundAgain(Status),
    /// A response to a request sent after the session's expiry reports the session alive.
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
        /// The time until the retry, or `None` if keepwatch gave up.
        wait: Option<Duration>,
    },
    /// The session got an alert.
    #[strum(serialize = "flagged")]
    AlertRaised(Alert),
    /// A successor of the session appeared: the session with this id has the same metadata and was created after the
    /// end.
    Successor(SessionId),
    /// Several sessions ended at about the same time, none of them by its timeout.
    #[strum(serialize = "ended_together")]
    EndedTogether {
        /// The sessions, in the order of their ends.
        ids: Vec<SessionId>,
        /// The time between the first and the last `endedAt`.
        spread: Duration,
    },
    /// Polls began to fail, or began to fail with another error. If the event has a session id, only polls of that
    /// session fail.
    #[strum(serialize = "polls_failing")]
    PollsFailing {
        /// The error.
        error: ApiError,
        /// The list, if only polls of one list fail.
        list: Option<List>,
        /// The time until the retry.
        wait: Option<Duration>,
    },
    /// Polls succeed again.
    #[strum(serialize = "polls_recovered")]
    PollsRecovered {
        /// The list, if only polls of one list failed.
        list: Option<List>,
        /// The time from the first failed request to the first successful response.
        #[serde(rename = "after")]
        outage: Duration,
    },
    /// This machine slept for this long.
    Slept(Duration),
    /// The API's clock was set, or another machine answers: `Date` contradicts earlier responses. All times follow the
    /// new clock.
    #[strum(serialize = "api_clock_set")]
    ServerClockSet {
        /// The difference in milliseconds; negative if the clock went back.
        #[serde(rename = "by_ms")]
        step_ms: i64,
    },
    /// The `Date` of a response is wrong, because of a cache or a proxy. Such dates are ignored. This event is recorded
    /// for the first of them.
    #[strum(serialize = "api_date_ignored")]
    DateIgnored {
        /// The `Date` minus the API's time, in milliseconds; negative if the `Date` is old.
        #[serde(rename = "by_ms")]
        offset_ms: i64,
    },
    /// `Date` began to jump back and forth: two servers, or a server and a cache, answer in turn. Times follow only one
    /// of them. Until [`EventKind::DatesAgree`], the contradicting dates are only counted.
    #[strum(serialize = "api_dates_contradict")]
    DatesContradict {
        /// A contradicting `Date` minus the API's time that others show, in milliseconds.
        #[serde(rename = "by_ms")]
        offset_ms: i64,
    },
    /// `Date` no longer jumps.
    #[strum(serialize = "api_dates_agree")]
    DatesAgree {
        /// The number of dates that contradicted the others.
        contradicting: u64,
    },
    /// This machine's wall clock was set.
    ClockSet {
        /// The difference in milliseconds; negative if the clock was set back.
        #[serde(rename = "by_ms")]
        step_ms: i64,
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

    /// Returns true if an event of this kind concerns the session `id`. The event must have the session id `id`, or no
    /// session id.
    #[must_use]
    pub(super) fn concerns(&self, id: &SessionId) -> bool {
        match self {
            Self::EndedTogether { ids, .. } => ids.contains(id),
            _ => true, // failing polls, a sleep or a clock step concern every session
        }
    }

    /// Returns true for [`EventKind::FirstSeen`] and [`EventKind::Ended`]: the first and usually the last event of a
    /// session. The timeline never evicts the `FirstSeen` of a session, nor its newest `Ended`.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::FirstSeen { .. } | Self::Ended { .. })
    }

    /// Returns the id that the API gave to the failed request, for a support ticket.
    #[must_use]
    pub fn request_id(&self) -> Option<&Untrusted> {
        match self {
            Self::NotFound(error) | Self::PollsFailing { error, .. } | Self::ReleaseFailed { error, .. } => {
                error.request_id.as_ref()
            }
            _ => None, // no failed request
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
            "contradictory_replies",
            "replies_agree",
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
            "api_date_ignored",
            "api_dates_contradict",
            "api_dates_agree",
            "clock_set",
        ];
        assert_eq!(EventKind::VARIANTS, names);
    }
}
