//! What the asking costs: how many requests there were, how much came, and how long it took. Pure, and as small after a
//! month as after a minute: a minute by its seconds, and the newest replies.

use std::collections::VecDeque;
use std::time::Duration;

use crate::api::RateLimit;
use crate::poll::Report;
use keepwatch_core::clock::Moment;

/// So much of the past is added up, in seconds.
const WINDOW_SECS: u64 = 60;
/// Of so many replies the median is taken.
const LATENCY_SAMPLES: usize = 64;

/// What the asking cost lately, by the reports.
#[derive(Clone, Debug, Default)]
pub struct PollStats {
    /// By the second since boot in which the answers came; the oldest first, none twice.
    seconds: VecDeque<SecondTotals>,
    /// How long the newest replies took, the newest last.
    latencies: VecDeque<Duration>,
    /// What the server says is left of its limit, and when it said so.
    rate_limit: Option<(RateLimit, Moment)>,
    /// When the newest answer came.
    last_received: Option<Moment>,
}

#[derive(Clone, Copy, Debug)]
struct SecondTotals {
    at: u64,
    requests: u64,
    bytes: u64,
}

/// What a minute came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MinuteTotals {
    /// Requests that were answered, or were not and were given up.
    pub requests: u64,
    /// Bytes of what came, unpacked.
    pub bytes: u64,
}

/// How long replies took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyStats {
    /// The middle one of the newest.
    pub median: Duration,
    /// The newest.
    pub last: Duration,
}

impl PollStats {
    /// Takes a report down.
    pub fn add_report(&mut self, report: &Report) {
        let at = report.received.boot.as_secs();
        match self.seconds.back_mut() {
            // What comes late to us counts where we are.
            Some(newest) if newest.at >= at => {
                newest.requests = newest.requests.saturating_add(1);
                newest.bytes = newest.bytes.saturating_add(report.bytes);
            }
            Some(_) | None => self.seconds.push_back(SecondTotals { at, requests: 1, bytes: report.bytes }),
        }
        while self.seconds.front().is_some_and(|oldest| oldest.at.saturating_add(WINDOW_SECS) <= at) {
            self.seconds.pop_front();
        }
        if report.result.is_ok() {
            if self.latencies.len() >= LATENCY_SAMPLES {
                self.latencies.pop_front();
            }
            self.latencies.push_back(report.received.since(report.sent));
        }
        self.last_received = Some(report.received);
        if let Some(allowance) = report.rate_limit {
            self.rate_limit = Some((allowance, report.received));
        }
    }

    /// What the minute up to the newest answer came to; nothing before the first.
    #[must_use]
    pub fn minute_totals(&self) -> Option<MinuteTotals> {
        self.seconds.back()?;
        Some(self.seconds.iter().fold(MinuteTotals::default(), |sum, second| MinuteTotals {
            requests: sum.requests.saturating_add(second.requests),
            bytes: sum.bytes.saturating_add(second.bytes),
        }))
    }

    /// How long replies took; `None` before the first.
    #[must_use]
    pub fn latency(&self) -> Option<LatencyStats> {
        let mut sorted: Vec<Duration> = self.latencies.iter().copied().collect();
        sorted.sort_unstable();
        let median = sorted.get(sorted.len() / 2).copied()?;
        Some(LatencyStats { median, last: self.latencies.back().copied()? })
    }

    /// How many more requests the server would answer, and for how long, as of the newest answer.
    #[must_use]
    pub fn rate_limit_left(&self) -> Option<(u32, Duration)> {
        let (RateLimit { remaining, resets_in: reset }, received) = self.rate_limit?;
        let reset_in = reset.saturating_sub(self.last_received?.since(received));
        (!reset_in.is_zero()).then_some((remaining, reset_in))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::{Request, ResponseBody};
    use keepwatch_core::session::{ApiError, ApiErrorKind, List};
    use keepwatch_core::testing::moment;

    /// One that came at `at` seconds, after `took` milliseconds.
    fn report(at: f64, took: u64, bytes: u64, outcome: Result<ResponseBody, ApiError>) -> Report {
        let sent = moment(at);
        let received = sent.plus(Duration::from_millis(took));
        let request = Request::List(List::Running);
        Report {
            request,
            sent,
            received,
            date: None,
            bytes,
            rate_limit: None,
            result: outcome,
            next_attempt: None,
        }
    }

    fn successful_report(at: f64, took: u64, bytes: u64) -> Report {
        report(at, took, bytes, Ok(ResponseBody::Projects(Vec::new())))
    }

    #[test]
    fn only_the_last_minute_counts_and_it_takes_no_more_room_than_that() {
        let mut effort = PollStats::default();
        assert_eq!((effort.minute_totals(), effort.latency()), (None, None));
        for at in 0..10_000_u32 {
            effort.add_report(&successful_report(f64::from(at) / 4.0, 10, 100));
        }
        assert_eq!(effort.minute_totals(), Some(MinuteTotals { requests: 240, bytes: 24_000 }));
        assert!(effort.seconds.len() <= 60 && effort.latencies.len() <= LATENCY_SAMPLES);
        effort.add_report(&successful_report(9_999.0, 10, 7));
        assert_eq!(effort.minute_totals(), Some(MinuteTotals { requests: 1, bytes: 7 }));
    }

    #[test]
    fn what_failed_was_asked_too_but_took_no_time_that_says_anything() {
        let mut effort = PollStats::default();
        for took in [90, 70, 80] {
            effort.add_report(&successful_report(1.0, took, 1000));
        }
        effort.add_report(&report(2.0, 10_000, 0, Err(ApiErrorKind::Timeout.into())));
        assert_eq!(effort.minute_totals(), Some(MinuteTotals { requests: 4, bytes: 3000 }));
        let ms = Duration::from_millis;
        assert_eq!(effort.latency(), Some(LatencyStats { median: ms(80), last: ms(80) }));
        effort.add_report(&successful_report(3.0, 500, 1000));
        assert_eq!(effort.latency(), Some(LatencyStats { median: ms(90), last: ms(500) }));
    }

    #[test]
    fn what_a_server_says_is_left_holds_until_it_is_given_anew() {
        let mut effort = PollStats::default();
        let allowance = Some(RateLimit { remaining: 12, resets_in: Duration::from_secs(48) });
        effort.add_report(&Report { rate_limit: allowance, ..successful_report(1.0, 0, 0) });
        effort.add_report(&successful_report(11.0, 0, 0));
        assert_eq!(effort.rate_limit_left(), Some((12, Duration::from_secs(38))));
        effort.add_report(&successful_report(49.0, 0, 0));
        assert_eq!(effort.rate_limit_left(), None);
    }
}
