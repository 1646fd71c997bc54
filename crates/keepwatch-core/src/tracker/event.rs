//! What happened, as one sentence each.
//!
//! Every event says *when* as an interval on the server's clock ([`When`]), and when this program learned of it. Its
//! sentence claims what was observed and no more; what probably lies behind an end is [`verdict`](super::verdict)'s.

mod sentence;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bounds::When;
use super::flag::Flag;
use crate::clock::Timestamp;
use crate::session::{Fault, FaultKind, List, Region, SessionId, Status};
use crate::text::Untrusted;

/// Something that happened to a session, or between the API and us.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The session, unless it concerns all.
    pub id: Option<SessionId>,
    /// Between when and when, on the server's clock.
    pub when: When,
    /// When it was learned, on the server's clock: events are in this order.
    pub seen: Timestamp,
    /// What.
    pub kind: EventKind,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EventKind {
    /// The first reply about it.
    FirstSeen {
        /// What it said.
        status: Status,
        /// What was left then of its time.
        left: Option<Duration>,
        /// Its `endedAt`, where it had ended before.
        ended: Option<Timestamp>,
    },
    /// Another status, and nothing ended by it.
    Changed {
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
        said: Option<Timestamp>,
        /// Whether `endedAt` lies between the last reply before and the first after.
        fits: bool,
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
    KeepAlive(bool),
    /// Its `region` changed.
    Region {
        /// The last that was seen before.
        from: Region,
        /// The first that was seen after.
        to: Region,
    },
    /// Its `contextId` changed to this; `None` if it went.
    Context(Option<Untrusted>),
    /// Its `userMetadata` changed. What is in it is not told: events leave the program.
    Metadata,
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
    NotFound(Fault),
    /// The API knows it again.
    FoundAgain(Status),
    /// A reply that was sent after the expiry says that it lives.
    Overdue {
        /// Its `expiresAt`.
        expires: Timestamp,
    },
    /// Its release was asked for from here.
    ReleaseAsked,
    /// The API did not take the release.
    ReleaseFailed {
        /// Why.
        fault: Fault,
        /// How long until it is asked again; `None` if it is not.
        wait: Option<Duration>,
    },
    /// It wants attention.
    Flagged(Flag),
    /// After its end a session with the same metadata appeared.
    Successor(SessionId),
    /// Several sessions ended at about the same time, none of them by its timeout.
    Together {
        /// Which, in the order of their ends.
        ids: Vec<SessionId>,
        /// How far apart the first and the last end are, by `endedAt`.
        spread: Duration,
    },
    /// Polls began to fail, or fail otherwise than before; of one session, if the event has an id.
    Failing {
        /// Why.
        fault: Fault,
        /// The list that alone fails.
        list: Option<List>,
        /// How long until the next try.
        wait: Option<Duration>,
    },
    /// Polls succeed again.
    Recovered {
        /// The list that alone had failed.
        list: Option<List>,
        /// How long nothing came.
        after: Duration,
    },
    /// The machine slept for so long.
    Slept(Duration),
    /// The API's clock is not what its replies had said, by so many milliseconds; negative if it is behind that. All times
    /// are by it.
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
            Self::FirstSeen { .. } => "first_seen",
            Self::Changed { .. } => "status_changed",
            Self::Ended { .. } => "ended",
            Self::Contradicted { .. } => "contradicted",
            Self::ExpiryMoved { .. } => "expiry_moved",
            Self::KeepAlive(_) => "keep_alive_changed",
            Self::Region { .. } => "region_changed",
            Self::Context(_) => "context_changed",
            Self::Metadata => "metadata_changed",
            Self::TrafficStarted => "traffic_started",
            Self::TrafficStopped { .. } => "traffic_stopped",
            Self::Unlisted => "unlisted",
            Self::NotFound(_) => "not_found",
            Self::FoundAgain(_) => "found_again",
            Self::Overdue { .. } => "overdue",
            Self::ReleaseAsked => "release_asked",
            Self::ReleaseFailed { .. } => "release_failed",
            Self::Flagged(_) => "flagged",
            Self::Successor(_) => "successor",
            Self::Together { .. } => "ended_together",
            Self::Failing { fault, .. } if fault.kind == FaultKind::RateLimited => "rate_limited",
            Self::Failing { .. } => "polls_failing",
            Self::Recovered { .. } => "polls_recovered",
            Self::Slept(_) => "slept",
            Self::ServerClockSet { .. } => "api_clock_set",
            Self::ClockSet { .. } => "clock_set",
        }
    }

    /// Whether an event that has no session of its own says something of this one.
    #[must_use]
    pub(super) fn concerns(&self, id: &SessionId) -> bool {
        match self {
            Self::Together { ids, .. } => ids.contains(id),
            _ => true,
        }
    }

    /// Whether it is the first or the last thing known of a session: no other event pushes it out.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        matches!(self, Self::FirstSeen { .. } | Self::Ended { .. })
    }

    /// The request of the API that it speaks of, for a support ticket.
    #[must_use]
    pub fn request_id(&self) -> Option<&Untrusted> {
        match self {
            Self::NotFound(fault) | Self::Failing { fault, .. } | Self::ReleaseFailed { fault, .. } => {
                fault.request_id.as_ref()
            }
            _ => None,
        }
    }
}
