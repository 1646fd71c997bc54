//! The sentences of events: one for each kind. The argument of each `sanitise` is the maximum width in columns.

use std::time::Duration;

use super::{Event, EventKind};
use crate::clock::{Timestamp, Zone};
use crate::session::{ApiErrorKind, SessionId};
use crate::text;
use crate::tracker::verdict::MIN_SHOWN_SPREAD;

/// The maximum number of sessions that a sentence names. The sentence gives the number of the others.
const MAX_NAMED_SESSIONS: usize = 4;
/// The number of characters of an id in a sentence. The table shows at least as many.
const SHORT_ID_LENGTH: usize = 8;

/// The width of a time interval above which the sentence states the earliest time.
const WIDE_INTERVAL: Duration = Duration::from_secs(10);

impl Event {
    /// Returns [`EventKind::sentence`]. If the event's interval is wide, adds the earliest possible time, unless the
    /// sentence states a duration of its own.
    #[must_use]
    pub fn sentence(&self, zone: Zone, today: Timestamp) -> String {
        let has_own_duration = matches!(self.kind, EventKind::Slept(_) | EventKind::EndedTogether { .. });
        let is_wide = self.when.width().is_some_and(|width| width > WIDE_INTERVAL);
        let earliest = self.when.earliest.filter(|_| is_wide && !has_own_duration);
        let suffix = earliest.map(|at| format!(" (after {})", zone.short_date_time(at, self.when.latest)));
        format!("{}{}", self.kind.sentence(zone, today), suffix.unwrap_or_default())
    }
}

/// Returns the size and the direction of a clock's step, in words.
fn clock_step(step_ms: i64) -> (String, &'static str) {
    let size = text::format_elapsed(Duration::from_millis(step_ms.unsigned_abs()));
    (size, if step_ms < 0 { "back" } else { "forward" })
}

impl EventKind {
    /// Returns one sentence, sanitised. Times are in `zone`. A time on another day than `today` has a date.
    #[must_use]
    pub fn sentence(&self, zone: Zone, today: Timestamp) -> String {
        match self {
            Self::FirstSeen { status, time_left, ended_at } => {
                let details = match (time_left, ended_at) {
                    (_, Some(at)) => format!(", ended at {}", zone.short_date_time(*at, today)),
                    (Some(left), None) => format!(", {} left", text::format_countdown(*left)),
                    (None, None) => String::new(),
                };
                let already = if status.is_final() { "already " } else { "" };
                format!("first seen {already}{}{details}", status.sanitise(24))
            }
            Self::StatusChanged { from, to } => format!("{} → {}", from.sanitise(24), to.sanitise(24)),
            Self::Ended { status, ended_at, ended_at_fits, last_alive } => {
                let details = match (ended_at, last_alive) {
                    (None, _) => "the API gives no endedAt".into(),
                    (Some(at), _) if *ended_at_fits => {
                        format!("endedAt {}", zone.short_date_time_tenths(*at, today))
                    }
                    (Some(at), Some((seen_alive, alive_status))) if at < seen_alive => {
                        format!(
                            "endedAt {}, yet a later reply said {}",
                            zone.short_date_time_tenths(*at, today),
                            alive_status.sanitise(24)
                        )
                    }
                    (Some(at), _) => {
                        format!("endedAt {}, later than it was seen", zone.short_date_time(*at, today))
                    }
                };
                format!("{} ({details})", status.sanitise(24))
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
            Self::ContradictoryResponses => {
                "contradictory replies: it changes back and forth; the changes are counted until the replies agree".into()
            }
            Self::ResponsesAgree { changes } => format!("the replies agree again, after {changes} contradictory ones"),
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
                let retry = wait.map(|wait| format!("; asked again in {}", text::format_elapsed(wait)));
                format!("release failed: {}{}", error.description(), retry.unwrap_or_default())
            }
            Self::AlertRaised(alert) => alert.sentence(),
            Self::Successor(id) => {
                format!("a new session with the same metadata appeared: {}", id.prefix(SHORT_ID_LENGTH))
            }
            Self::EndedTogether { ids, spread } => {
                let raw: Vec<&str> = ids.iter().map(SessionId::raw).collect();
                let lengths = text::unique_prefix_lengths(&raw);
                let named =
                    ids.iter().zip(lengths).take(MAX_NAMED_SESSIONS).map(|(id, length)| id.prefix(length));
                let named: Vec<String> = named.collect();
                let other_count = ids.len().saturating_sub(MAX_NAMED_SESSIONS);
                let more = if other_count > 0 { format!(" and {other_count} more") } else { String::new() };
                format!(
                    "{} sessions ended within {} of each other: {}{more}",
                    ids.len(),
                    text::format_tenths((*spread).max(MIN_SHOWN_SPREAD)),
                    named.join(", ")
                )
            }
            Self::PollsFailing { error, list, wait } => {
                let wait = wait.filter(|wait| !wait.is_zero());
                let retry = wait
                    .map(|wait| format!("; next try in {}", text::format_elapsed(wait)))
                    .unwrap_or_default();
                let prefix = match list {
                    _ if error.kind == ApiErrorKind::RateLimited => String::new(), // the description suffices
                    Some(list) => format!("polls of {list} fail: "),
                    None => "polls fail: ".into(),
                };
                format!("{prefix}{}{retry}", error.description())
            }
            Self::PollsRecovered { list: Some(list), outage } => {
                format!("polls of {list} succeed again, after {}", text::format_elapsed(*outage))
            }
            Self::PollsRecovered { list: None, outage } => {
                format!("polls succeed again, after {}", text::format_elapsed(*outage))
            }
            Self::Slept(duration) => {
                format!(
                    "this machine slept for {}; what happened meanwhile was not seen",
                    text::format_elapsed(*duration)
                )
            }
            Self::ServerClockSet { step_ms } => {
                let (size, direction) = clock_step(*step_ms);
                format!(
                    "the API's clock went {direction} by {size}, or another machine answers; times follow it"
                )
            }
            Self::DateIgnored { offset_ms } => {
                let size = text::format_elapsed(Duration::from_millis(offset_ms.unsigned_abs()));
                let problem = if *offset_ms < 0 { "old" } else { "ahead of its time" };
                format!("the API sent a Date that is {size} {problem}: a cache or a proxy; such dates are ignored")
            }
            Self::DatesContradict { offset_ms } => {
                let size = text::format_elapsed(Duration::from_millis(offset_ms.unsigned_abs()));
                format!(
                    "the API's dates jump back and forth by {size}: two servers, or a cache; times do not follow the jumps"
                )
            }
            Self::DatesAgree { contradicting: 1 } => {
                "the API's dates agree again, after 1 that contradicted the others".into()
            }
            Self::DatesAgree { contradicting } => {
                format!("the API's dates agree again, after {contradicting} that contradicted the others")
            }
            Self::ClockSet { step_ms } => {
                let (size, direction) = clock_step(*step_ms);
                format!("this machine's clock was set {direction} by {size}; times here do not follow it")
            }
        }
    }
}

#[cfg(test)]
mod tests;
