//! The sentence of each event.

use std::time::Duration;

use super::{Event, EventKind};
use crate::clock::{Timestamp, Zone};
use crate::session::{ApiErrorKind, SessionId};
use crate::text;

/// How many sessions a sentence names; the others are counted.
const MAX_NAMED_SESSIONS: usize = 4;
/// How many characters of an id a sentence has: as many as a row of the table, unless others begin alike.
const SHORT_ID: usize = 8;

/// Ends at the same moment are said to be at most so far apart.
const TENTH: Duration = Duration::from_millis(100);
/// An event whose time is less certain than this says so.
const UNCERTAIN: Duration = Duration::from_secs(10);

impl Event {
    /// [`EventKind::sentence`], and since when it may have happened, where that is long before it was seen.
    #[must_use]
    pub fn sentence(&self, zone: Zone, today: Timestamp) -> String {
        let has_own_span = matches!(self.kind, EventKind::Slept(_) | EventKind::EndedTogether { .. });
        let wide = self.when.width().is_some_and(|width| width > UNCERTAIN);
        let since = self.when.earliest.filter(|_| wide && !has_own_span);
        let since = since.map(|at| format!(" (after {})", zone.short_date_time(at, self.when.latest)));
        format!("{}{}", self.kind.sentence(zone, today), since.unwrap_or_default())
    }
}

/// A clock's step: how far, and which way.
fn clock_step(by_ms: i64) -> (String, &'static str) {
    let by = text::format_elapsed(Duration::from_millis(by_ms.unsigned_abs()));
    (by, if by_ms < 0 { "back" } else { "forward" })
}

impl EventKind {
    /// One sentence, fit for a terminal. Times of day are written in `zone`, those of another day than `today`'s with
    /// their date.
    #[must_use]
    pub fn sentence(&self, zone: Zone, today: Timestamp) -> String {
        match self {
            Self::FirstSeen { status, time_left: left, ended_at: ended } => {
                let rest = match (left, ended) {
                    (_, Some(at)) => format!(", ended at {}", zone.short_date_time(*at, today)),
                    (Some(left), None) => format!(", {} left", text::format_countdown(*left)),
                    (None, None) => String::new(),
                };
                let already = if status.is_final() { "already " } else { "" };
                format!("first seen {already}{}{rest}", status.sanitise(24))
            }
            Self::StatusChanged { from, to } => format!("{} → {}", from.sanitise(24), to.sanitise(24)),
            Self::Ended { status, ended_at: said, ended_at_fits: fits, last_alive } => {
                let beside = match (said, last_alive) {
                    (None, _) => "the API gives no endedAt".into(),
                    (Some(at), _) if *fits => format!("endedAt {}", zone.short_date_time_tenths(*at, today)),
                    (Some(at), Some((seen, was))) if at < seen => {
                        format!(
                            "endedAt {}, yet a later reply said {}",
                            zone.short_date_time_tenths(*at, today),
                            was.sanitise(24)
                        )
                    }
                    (Some(at), _) => {
                        format!("endedAt {}, later than it was seen", zone.short_date_time(*at, today))
                    }
                };
                format!("{} ({beside})", status.sanitise(24))
            }
            Self::Contradicted { from, to } => {
                format!("the API says {} after it said {}", to.sanitise(24), from.sanitise(24))
            }
            Self::ExpiryMoved { from, to } => {
                format!(
                    "expiry moved from {} to {}",
                    zone.short_date_time(*from, today),
                    zone.short_date_time(*to, today)
                )
            }
            Self::KeepAliveChanged(true) => "keep-alive was switched on".into(),
            Self::KeepAliveChanged(false) => "keep-alive was switched off".into(),
            Self::RegionChanged { from, to } => format!("region {} → {}", from.sanitise(24), to.sanitise(24)),
            Self::ContextChanged(Some(to)) => format!("context changed to {}", to.sanitise(60)),
            Self::ContextChanged(None) => "context removed".into(),
            Self::MetadataChanged => "metadata changed".into(),
            Self::TrafficStarted => "proxy traffic started".into(),
            Self::TrafficStopped { bytes } => {
                format!("proxy traffic stopped at {}", text::format_bytes(*bytes))
            }
            Self::Unlisted => "the API says it lives, but its list lacks it".into(),
            Self::NotFound(error) => error.description(),
            Self::FoundAgain(status) => format!("found again, {}", status.sanitise(24)),
            Self::Overdue { expires } => {
                format!(
                    "overdue: the API says it lives, after its expiry at {}",
                    zone.short_date_time_tenths(*expires, today)
                )
            }
            Self::ReleaseRequested => "release asked from here".into(),
            Self::ReleaseFailed { error, wait } => {
                let wait = wait.map(|wait| format!("; asked again in {}", text::format_elapsed(wait)));
                format!("release failed: {}{}", error.description(), wait.unwrap_or_default())
            }
            Self::AlertRaised(flag) => flag.sentence(),
            Self::Successor(id) => {
                format!("a new session with the same metadata appeared: {}", id.prefix(SHORT_ID))
            }
            Self::EndedTogether { ids, spread } => {
                let raw: Vec<&str> = ids.iter().map(SessionId::raw).collect();
                let columns = text::unique_prefix_lengths(&raw);
                let named =
                    ids.iter().zip(columns).take(MAX_NAMED_SESSIONS).map(|(id, columns)| id.prefix(columns));
                let named: Vec<String> = named.collect();
                let more = ids.len().saturating_sub(MAX_NAMED_SESSIONS);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!(
                    "{} sessions ended within {} of each other: {}{more}",
                    ids.len(),
                    text::format_tenths((*spread).max(TENTH)),
                    named.join(", ")
                )
            }
            Self::PollsFailing { error, list, wait } => {
                let wait = wait.filter(|wait| !wait.is_zero());
                let wait = wait
                    .map(|wait| format!("; next try in {}", text::format_elapsed(wait)))
                    .unwrap_or_default();
                let fails = match list {
                    _ if error.kind == ApiErrorKind::RateLimited => String::new(),
                    Some(list) => format!("polls of {list} fail: "),
                    None => "polls fail: ".into(),
                };
                format!("{fails}{}{wait}", error.description())
            }
            Self::PollsRecovered { list: Some(list), after } => {
                format!("polls of {list} succeed again, after {}", text::format_elapsed(*after))
            }
            Self::PollsRecovered { list: None, after } => {
                format!("polls succeed again, after {}", text::format_elapsed(*after))
            }
            Self::Slept(for_) => {
                format!(
                    "this machine slept for {}; what happened meanwhile was not seen",
                    text::format_elapsed(*for_)
                )
            }
            Self::ServerClockSet { by_ms } => {
                let (by, way) = clock_step(*by_ms);
                format!("the API's clock went {way} by {by}, or another machine answers; times follow it")
            }
            Self::ClockSet { by_ms } => {
                let (by, way) = clock_step(*by_ms);
                format!("this machine's clock was set {way} by {by}; times here do not follow it")
            }
        }
    }
}

#[cfg(test)]
mod tests;
