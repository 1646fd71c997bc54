//! Cost estimates. The API reports neither billed minutes nor prices, and prices change.
//!
//! Running time is billed per minute, with a minimum of one minute, whether or not a client is connected. Proxy bytes
//! are billed per GB (10⁹ bytes). keepwatch does not know how much a plan includes, so an estimate does not deduct
//! that.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Prices in US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Price per hour of running time.
    pub hour: f64,
    /// Price per GB (10⁹ bytes) through the proxy.
    pub gb: f64,
}

impl Default for Rates {
    /// Returns the prices of Browserbase's developer plan in autumn 2026.
    fn default() -> Self {
        Self { hour: 0.12, gb: 12.0 }
    }
}

impl Rates {
    /// Returns the price of `minutes` billed minutes.
    #[must_use]
    pub fn cost_of_minutes(&self, minutes: u64) -> f64 {
        as_f64(minutes) / 60.0 * self.hour
    }

    /// Returns the price of `bytes` proxy bytes. Negative numbers cost nothing.
    #[must_use]
    pub fn cost_of_bytes(&self, bytes: i64) -> f64 {
        as_f64(u64::try_from(bytes).unwrap_or(0)) / 1e9 * self.gb
    }
}

/// Returns the billed minutes for a running time, rounded up to whole minutes. The minimum is one.
#[must_use]
pub fn billed_minutes(running_time: Duration) -> u64 {
    let minutes = running_time.as_secs() / 60;
    let has_partial_minute = !running_time.as_secs().is_multiple_of(60) || running_time.subsec_nanos() > 0;
    minutes.saturating_add(u64::from(has_partial_minute)).max(1)
}

/// Formats an estimate in dollars, rounded so that it does not look exact: "est. <$0.01", "est. $0.11", "est. $1240".
#[must_use]
pub fn format_estimate(dollars: f64) -> String {
    match dollars {
        _ if !dollars.is_finite() || dollars <= 0.0 => "est. $0".into(),
        ..0.01 => "est. <$0.01".into(),
        ..100.0 => format!("est. ${dollars:.2}"),
        _ => format!("est. ${dollars:.0}"),
    }
}

/// Totals of the sessions that ran for less than a minute but were billed for one. There may be more such sessions,
/// because keepwatch can miss a session that is shorter than the poll interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShortSessions {
    /// Number of sessions.
    pub sessions: u64,
    /// Total running time.
    pub used: Duration,
}

impl ShortSessions {
    /// Adds a session with this running time, if that is less than a minute.
    pub fn add(&mut self, running_time: Duration) {
        if running_time < Duration::from_secs(60) {
            self.sessions = self.sessions.saturating_add(1);
            self.used = self.used.saturating_add(running_time);
        }
    }

    /// Returns the totals in the form "at least 12 sessions, 12 min billed for 48 s used", or `None` for fewer than two
    /// sessions.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        let (count, used) = (self.sessions, crate::text::format_elapsed(self.used));
        (count > 1).then(|| format!("at least {count} sessions, {count} min billed for {used} used"))
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate needs no more digits than f64 has")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn billed_minutes_are_rounded_up() {
        for (ms, minutes) in [(0, 1), (1, 1), (60_000, 1), (60_001, 2), (119_999, 2), (3_600_000, 60)] {
            assert_eq!(billed_minutes(millis(ms)), minutes, "{ms} ms");
        }
    }

    #[test]
    fn estimates_are_marked_and_rounded() {
        for (dollars, text) in [
            (0.0, "est. $0"),
            (-1.0, "est. $0"),
            (0.0099, "est. <$0.01"),
            (0.01, "est. $0.01"),
            (100.0, "est. $100"),
            (0.114, "est. $0.11"),
            (12.5, "est. $12.50"),
            (1240.4, "est. $1240"),
            (f64::NAN, "est. $0"),
        ] {
            assert_eq!(format_estimate(dollars), text);
        }
        let rates = Rates::default();
        assert_eq!(format_estimate(rates.cost_of_minutes(55)), "est. $0.11");
        assert_eq!(format_estimate(rates.cost_of_bytes(18_200_000)), "est. $0.22");
        assert_eq!(format_estimate(rates.cost_of_bytes(i64::MIN)), "est. $0");
    }

    #[test]
    fn only_short_sessions_are_summed() {
        let mut short = ShortSessions::default();
        for _ in 0..12 {
            short.add(millis(4_000));
        }
        short.add(millis(60_000)); // a whole minute is not short
        let sentence = short.sentence();
        assert_eq!(sentence.as_deref(), Some("at least 12 sessions, 12 min billed for 48 s used"));
        let one = ShortSessions { sessions: 1, used: millis(1) };
        assert_eq!(one.sentence(), None, "the sentence needs at least two sessions");
    }
}
