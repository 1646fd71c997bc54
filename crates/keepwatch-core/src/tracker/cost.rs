//! What a session costs, estimated: the API says neither minutes nor money, and prices change.
//!
//! Running time is billed by the minute, one minute at least, whether or not a client is attached; proxy bytes by the GB
//! (10⁹ bytes). What a plan includes is not known here, so every sum is what it would cost beyond that.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Prices, in dollars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Of an hour of running time.
    pub hour: f64,
    /// Of 10⁹ bytes through the proxy.
    pub gb: f64,
}

impl Default for Rates {
    /// Those of autumn 2026 on the developer plan.
    fn default() -> Self {
        Self { hour: 0.12, gb: 12.0 }
    }
}

impl Rates {
    /// What so many billed minutes cost.
    #[must_use]
    pub fn cost_of_minutes(&self, minutes: u64) -> f64 {
        as_f64(minutes) / 60.0 * self.hour
    }

    /// What so many bytes cost; negative ones, nothing.
    #[must_use]
    pub fn cost_of_bytes(&self, bytes: i64) -> f64 {
        as_f64(u64::try_from(bytes).unwrap_or(0)) / 1e9 * self.gb
    }
}

/// The minutes that are billed for `ran`: every one that was begun, and one at least.
#[must_use]
pub fn billed_minutes(ran: Duration) -> u64 {
    let minutes = ran.as_secs() / 60;
    let begun = !ran.as_secs().is_multiple_of(60) || ran.subsec_nanos() > 0;
    minutes.saturating_add(u64::from(begun)).max(1)
}

/// "est. <$0.01", "est. $0.11", "est. $1240": never a sum that looks exact.
#[must_use]
pub fn format_estimate(dollars: f64) -> String {
    match dollars {
        d if !d.is_finite() || d <= 0.0 => "est. $0".into(),
        d if d < 0.01 => "est. <$0.01".into(),
        d if d < 100.0 => format!("est. ${d:.2}"),
        d => format!("est. ${d:.0}"),
    }
}

/// Sessions that ran for less than a minute and were billed for one, summed up. There may have been more: what is
/// shorter than the interval is never seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShortSessions {
    /// How many.
    pub sessions: u64,
    /// How long they ran together.
    pub used: Duration,
}

impl ShortSessions {
    /// Takes a session that ended after `ran`.
    pub fn add(&mut self, ran: Duration) {
        if ran < Duration::from_secs(60) {
            self.sessions = self.sessions.saturating_add(1);
            self.used = self.used.saturating_add(ran);
        }
    }

    /// "at least 12 sessions, 12 min billed for 48 s used"; `None` of fewer than two.
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

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn every_minute_that_was_begun_is_billed_and_one_at_least() {
        for (ran, minutes) in [(0, 1), (1, 1), (60_000, 1), (60_001, 2), (119_999, 2), (3_600_000, 60)] {
            assert_eq!(billed_minutes(MS(ran)), minutes, "{ran} ms");
        }
    }

    #[test]
    fn sums_are_estimates_and_small_ones_are_said_to_be_small() {
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
        assert_eq!(
            (format_estimate(0.01), format_estimate(0.009)),
            ("est. $0.01".into(), "est. <$0.01".into())
        );
        assert_eq!(format_estimate(rates.cost_of_minutes(55)), "est. $0.11");
        assert_eq!(format_estimate(rates.cost_of_bytes(18_200_000)), "est. $0.22");
        assert_eq!(format_estimate(rates.cost_of_bytes(i64::MIN)), "est. $0");
    }

    #[test]
    fn short_sessions_are_summed_up_as_the_least_that_there_were() {
        let mut short = ShortSessions::default();
        for _ in 0..12 {
            short.add(MS(4_000));
        }
        short.add(MS(60_000));
        let said = short.sentence();
        assert_eq!(said.as_deref(), Some("at least 12 sessions, 12 min billed for 48 s used"));
        assert_eq!(ShortSessions { sessions: 1, used: MS(1) }.sentence(), None);
    }
}
