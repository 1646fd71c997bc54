//! What happened, as one sentence each.
//!
//! Every event says *when* as an interval on the server's clock ([`When`]), and when this program learned of it. Its
//! sentence claims what was observed and no more; what probably lies behind an end is [`verdict`](super::verdict)'s.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bounds::When;
use super::flag::Flag;
use crate::clock::{Timestamp, Zone};
use crate::session::{Fault, FaultKind, List, Region, SessionId, Status};
use crate::text::{self, Untrusted};

/// How many sessions a sentence names; the others are counted.
const NAMED: usize = 4;
/// How many characters of an id a sentence has: as many as a row of the table, unless others begin alike.
const SHORT_ID: usize = 8;

/// Ends at the same moment are said to be at most so far apart.
const TENTH: Duration = Duration::from_millis(100);
/// An event whose time is less certain than this says so.
const UNCERTAIN: Duration = Duration::from_secs(10);

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

impl Event {
    /// [`EventKind::sentence`], and since when it may have happened, where that is long before it was seen.
    #[must_use]
    pub fn sentence(&self, zone: Zone, today: Timestamp) -> String {
        let told = matches!(self.kind, EventKind::Slept(_) | EventKind::Together { .. });
        let wide = self.when.width().is_some_and(|width| width > UNCERTAIN);
        let since = self.when.earliest.filter(|_| wide && !told);
        let since = since.map(|at| format!(" (after {})", zone.short(at, self.when.latest)));
        format!("{}{}", self.kind.sentence(zone, today), since.unwrap_or_default())
    }
}

/// A clock's step: how far, and which way.
fn step(by_ms: i64) -> (String, &'static str) {
    let by = text::span(Duration::from_millis(by_ms.unsigned_abs()));
    (by, if by_ms < 0 { "back" } else { "forward" })
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

    /// One sentence, fit for a terminal. Times of day are written in `zone`, those of another day than `today`'s with
    /// their date.
    #[must_use]
    pub fn sentence(&self, zone: Zone, today: Timestamp) -> String {
        match self {
            Self::FirstSeen { status, left, ended } => {
                let rest = match (left, ended) {
                    (_, Some(at)) => format!(", ended at {}", zone.short(*at, today)),
                    (Some(left), None) => format!(", {} left", text::countdown(*left)),
                    (None, None) => String::new(),
                };
                let already = if status.is_end() { "already " } else { "" };
                format!("first seen {already}{}{rest}", status.shown(24))
            }
            Self::Changed { from, to } => format!("{} → {}", from.shown(24), to.shown(24)),
            Self::Ended { status, said, fits, last_alive } => {
                let beside = match (said, last_alive) {
                    (None, _) => "the API gives no endedAt".into(),
                    (Some(at), _) if *fits => format!("endedAt {}", zone.short_tenths(*at, today)),
                    (Some(at), Some((seen, was))) if at < seen => {
                        format!(
                            "endedAt {}, yet a later reply said {}",
                            zone.short_tenths(*at, today),
                            was.shown(24)
                        )
                    }
                    (Some(at), _) => format!("endedAt {}, later than it was seen", zone.short(*at, today)),
                };
                format!("{} ({beside})", status.shown(24))
            }
            Self::Contradicted { from, to } => {
                format!("the API says {} after it said {}", to.shown(24), from.shown(24))
            }
            Self::ExpiryMoved { from, to } => {
                format!("expiry moved from {} to {}", zone.short(*from, today), zone.short(*to, today))
            }
            Self::KeepAlive(true) => "keep-alive was switched on".into(),
            Self::KeepAlive(false) => "keep-alive was switched off".into(),
            Self::Region { from, to } => format!("region {} → {}", from.shown(24), to.shown(24)),
            Self::Context(Some(to)) => format!("context changed to {}", to.shown(60)),
            Self::Context(None) => "context removed".into(),
            Self::Metadata => "metadata changed".into(),
            Self::TrafficStarted => "proxy traffic started".into(),
            Self::TrafficStopped { bytes } => format!("proxy traffic stopped at {}", text::bytes(*bytes)),
            Self::Unlisted => "the API says it lives, but its list lacks it".into(),
            Self::NotFound(fault) => fault.sentence(),
            Self::FoundAgain(status) => format!("found again, {}", status.shown(24)),
            Self::Overdue { expires } => {
                format!(
                    "overdue: the API says it lives, after its expiry at {}",
                    zone.short_tenths(*expires, today)
                )
            }
            Self::ReleaseAsked => "release asked from here".into(),
            Self::ReleaseFailed { fault, wait } => {
                let wait = wait.map(|wait| format!("; asked again in {}", text::span(wait)));
                format!("release failed: {}{}", fault.sentence(), wait.unwrap_or_default())
            }
            Self::Flagged(flag) => flag.sentence(),
            Self::Successor(id) => {
                format!("a new session with the same metadata appeared: {}", id.start(SHORT_ID))
            }
            Self::Together { ids, spread } => {
                let raw: Vec<&str> = ids.iter().map(SessionId::raw).collect();
                let columns = text::shortest_unique(&raw);
                let named = ids.iter().zip(columns).take(NAMED).map(|(id, columns)| id.start(columns));
                let named: Vec<String> = named.collect();
                let more = ids.len().saturating_sub(NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!(
                    "{} sessions ended within {} of each other: {}{more}",
                    ids.len(),
                    text::tenths((*spread).max(TENTH)),
                    named.join(", ")
                )
            }
            Self::Failing { fault, list, wait } => {
                let wait = wait.filter(|wait| !wait.is_zero());
                let wait = wait.map(|wait| format!("; next try in {}", text::span(wait))).unwrap_or_default();
                let fails = match list {
                    _ if fault.kind == FaultKind::RateLimited => String::new(),
                    Some(list) => format!("polls of {list} fail: "),
                    None => "polls fail: ".into(),
                };
                format!("{fails}{}{wait}", fault.sentence())
            }
            Self::Recovered { list: Some(list), after } => {
                format!("polls of {list} succeed again, after {}", text::span(*after))
            }
            Self::Recovered { list: None, after } => {
                format!("polls succeed again, after {}", text::span(*after))
            }
            Self::Slept(for_) => {
                format!("this machine slept for {}; what happened meanwhile was not seen", text::span(*for_))
            }
            Self::ServerClockSet { by_ms } => {
                let (by, way) = step(*by_ms);
                format!("the API's clock went {way} by {by}, or another machine answers; times follow it")
            }
            Self::ClockSet { by_ms } => {
                let (by, way) = step(*by_ms);
                format!("this machine's clock was set {way} by {by}; times here do not follow it")
            }
        }
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

#[cfg(test)]
mod tests;
