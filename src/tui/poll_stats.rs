//! Poll statistics of one profile: totals over the last minute, latencies of responses, and the rate limit. Pure.
//!
//! The memory is bounded: totals for each of the last 60 seconds, and the latencies of the newest responses.

use std::collections::VecDeque;
use std::time::Duration;

use crate::api::RateLimit;
use crate::poll::Report;
use keepwatch_core::clock::Moment;

/// The period that the totals cover, in seconds.
const WINDOW_SECS: u64 = 60;
/// The maximum number of latencies that are kept. The median is computed over them.
const LATENCY_SAMPLES: usize = 64;

/// Statistics about the requests of one profile, from its reports.
#[derive(Clone, Debug, Default)]
pub struct PollStats {
    /// Totals for each second with a report, from the oldest to the newest. Each second occurs once.
    seconds: VecDeque<SecondTotals>,
    /// Latencies of the newest responses, from the oldest to the newest.
    latencies: VecDeque<Duration>,
    /// The newest rate limit in a report, and the receive time of that report.
    rate_limit: Option<(RateLimit, Moment)>,
    /// The receive time of the last report.
    last_received: Option<Moment>,
}

/// Totals for one second.
#[derive(Clone, Copy, Debug)]
struct SecondTotals {
    /// The second, counted from the boot of this machine.
    second: u64,
    requests: u64,
    bytes: u64,
}

/// Totals for one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MinuteTotals {
    /// The number of requests that finished, with a response or an error.
    pub requests: u64,
    /// The size of the responses, in bytes after decompression.
    pub bytes: u64,
}

/// Latencies of the newest responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyStats {
    /// The median: the larger one if there are two middle values.
    pub median: Duration,
    /// The latency of the newest response.
    pub last: Duration,
}

impl PollStats {
    /// Adds a report.
    pub fn add_report(&mut self, report: &Report) {
        let second = report.received.boot.as_secs();
        match self.seconds.back_mut() {
            // A report from an earlier second counts in the newest second, so that `seconds` stays in order.
            Some(newest) if newest.second >= second => {
                newest.requests = newest.requests.saturating_add(1);
                newest.bytes = newest.bytes.saturating_add(report.bytes);
            }
            Some(_) | None => {
                self.seconds.push_back(SecondTotals { second, requests: 1, bytes: report.bytes })
            }
        }
        while self.seconds.front().is_some_and(|oldest| oldest.second.saturating_add(WINDOW_SECS) <= second) {
            self.seconds.pop_front();
        }
        if report.result.is_ok() {
            if self.latencies.len() >= LATENCY_SAMPLES {
                self.latencies.pop_front();
            }
            self.latencies.push_back(report.received.since(report.sent));
        }
        self.last_received = Some(report.received);
        if let Some(rate_limit) = report.rate_limit {
            self.rate_limit = Some((rate_limit, report.received));
        }
    }

    /// Returns the totals for the minute up to the newest report, or `None` before the first report.
    #[must_use]
    pub fn minute_totals(&self) -> Option<MinuteTotals> {
        self.seconds.back()?;
        Some(self.seconds.iter().fold(MinuteTotals::default(), |sum, totals| MinuteTotals {
            requests: sum.requests.saturating_add(totals.requests),
            bytes: sum.bytes.saturating_add(totals.bytes),
        }))
    }

    /// Returns the latencies, or `None` before the first response.
    #[must_use]
    pub fn latency(&self) -> Option<LatencyStats> {
        let mut sorted: Vec<Duration> = self.latencies.iter().copied().collect();
        sorted.sort_unstable();
        let median = sorted.get(sorted.len() / 2).copied()?;
        Some(LatencyStats { median, last: self.latencies.back().copied()? })
    }

    /// Returns the number of requests that the newest rate limit still allowed, and the time from the last report until
    /// that limit resets. Returns `None` if the limit is unknown, or was reset before the last report.
    #[must_use]
    pub fn rate_limit_left(&self) -> Option<(u32, Duration)> {
        let (RateLimit { remaining, resets_in }, received) = self.rate_limit?;
        let resets_in = resets_in.saturating_sub(self.last_received?.since(received));
        (!resets_in.is_zero()).then_some((remaining, resets_in))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::{Request, ResponseBody};
    use keepwatch_core::session::{ApiError, ApiErrorKind, List};
    use keepwatch_core::testing::moment;

    /// Returns a report about a request that was sent at `sent_at` seconds and took `latency_ms` milliseconds.
    fn report(sent_at: f64, latency_ms: u64, bytes: u64, result: Result<ResponseBody, ApiError>) -> Report {
        let sent = moment(sent_at);
        let received = sent.plus(Duration::from_millis(latency_ms));
        let request = Request::List(List::Running);
        Report {
            request,
            sent,
            received,
            date: None,
            age: Duration::ZERO,
            bytes,
            rate_limit: None,
            result,
            next_request: None,
        }
    }

    /// Returns a report with a response. The body does not fit the request: the statistics ignore bodies.
    fn successful_report(sent_at: f64, latency_ms: u64, bytes: u64) -> Report {
        report(sent_at, latency_ms, bytes, Ok(ResponseBody::Projects(Vec::new())))
    }

    #[test]
    fn only_last_minute_is_kept() {
        let mut stats = PollStats::default();
        assert_eq!((stats.minute_totals(), stats.latency()), (None, None));
        for index in 0..10_000_u32 {
            stats.add_report(&successful_report(f64::from(index) / 4.0, 10, 100)); // four reports a second
        }
        // 60 seconds with four reports of 100 bytes each.
        assert_eq!(stats.minute_totals(), Some(MinuteTotals { requests: 240, bytes: 24_000 }));
        assert!(stats.seconds.len() <= 60 && stats.latencies.len() <= LATENCY_SAMPLES);
        stats.add_report(&successful_report(9_999.0, 10, 7)); // more than a minute after the others
        assert_eq!(stats.minute_totals(), Some(MinuteTotals { requests: 1, bytes: 7 }));
    }

    #[test]
    fn failed_request_counts_without_latency() {
        let mut stats = PollStats::default();
        for latency_ms in [90, 70, 80] {
            stats.add_report(&successful_report(1.0, latency_ms, 1000));
        }
        stats.add_report(&report(2.0, 10_000, 0, Err(ApiErrorKind::Timeout.into())));
        assert_eq!(stats.minute_totals(), Some(MinuteTotals { requests: 4, bytes: 3000 }));
        let ms = Duration::from_millis;
        assert_eq!(stats.latency(), Some(LatencyStats { median: ms(80), last: ms(80) }));
        // Of 70, 80, 90 and 500, the larger middle value is 90.
        stats.add_report(&successful_report(3.0, 500, 1000));
        assert_eq!(stats.latency(), Some(LatencyStats { median: ms(90), last: ms(500) }));
    }

    #[test]
    fn rate_limit_expires_at_reset() {
        let mut stats = PollStats::default();
        let rate_limit = Some(RateLimit { remaining: 12, resets_in: Duration::from_secs(48) });
        stats.add_report(&Report { rate_limit, ..successful_report(1.0, 0, 0) });
        stats.add_report(&successful_report(11.0, 0, 0));
        assert_eq!(stats.rate_limit_left(), Some((12, Duration::from_secs(38))));
        stats.add_report(&successful_report(49.0, 0, 0)); // 48 seconds after the rate limit was received
        assert_eq!(stats.rate_limit_left(), None);
    }
}
