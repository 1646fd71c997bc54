//! Durations and byte counts, in few columns.
//!
//! All functions except [`format_duration`] round down, so a countdown never overstates the time left, and all ticking
//! texts change together, on the whole second.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Formats the time left: "59s", "1m 05s", "5h 08m", "3d 04h". From one hour on, there are no seconds, so that few
/// texts change each second.
#[must_use]
pub fn format_countdown(left: Duration) -> String {
    match left.as_secs() {
        secs @ ..MINUTE => format!("{secs}s"),
        secs @ ..HOUR => format!("{}m {:02}s", secs / MINUTE, secs % MINUTE),
        secs @ ..DAY => format!("{}h {:02}m", secs / HOUR, secs % HOUR / MINUTE),
        secs => format!("{}d {:02}h", secs / DAY, secs % DAY / HOUR),
    }
}

/// Formats an age: "<1m", "12m", "3h 05m", "2d 04h", "731d", "4230y".
#[must_use]
pub fn format_age(age: Duration) -> String {
    match age.as_secs() {
        ..MINUTE => "<1m".to_owned(),
        secs @ ..HOUR => format!("{}m", secs / MINUTE),
        secs if secs < 100 * DAY => format_countdown(age),
        secs if secs < 100_000 * DAY => format!("{}d", secs / DAY),
        secs => format!("{}y", secs / (365 * DAY)),
    }
}

/// Formats a duration with all units that are not zero: "45s", "15m", "1h 30m", "1m 30s". Below 10 s it is exact to the
/// millisecond ("1s 500ms"). From 10 s on it rounds to the nearest second, because the server's times deviate slightly
/// from whole seconds.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut left_ms = if duration < Duration::from_secs(10) {
        duration.as_millis()
    } else {
        duration.saturating_add(Duration::from_millis(500)).as_millis() / 1000 * 1000
    };
    let mut parts = Vec::new();
    for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")] {
        if left_ms >= unit {
            parts.push(format!("{}{name}", left_ms / unit));
            left_ms %= unit;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// Formats elapsed time: "<0.1 s", "0.5 s", "2 s", "48 s", "2m 05s", "1h 04m". Only zero is "0 s".
#[must_use]
pub fn format_elapsed(elapsed: Duration) -> String {
    let tenths = elapsed.subsec_millis() / 100;
    match elapsed.as_secs() {
        0 if tenths == 0 && !elapsed.is_zero() => "<0.1 s".to_owned(),
        secs @ ..10 if tenths > 0 => format!("{secs}.{tenths} s"),
        secs @ ..MINUTE => format!("{secs} s"),
        _ => format_countdown(elapsed),
    }
}

/// Formats the distance between two times. Below a minute it always has tenths: "0.0 s", "1.2 s", "14.0 s". From a
/// minute on it is as in [`format_elapsed`].
#[must_use]
pub fn format_tenths(distance: Duration) -> String {
    if distance.as_secs() < MINUTE {
        format!("{}.{} s", distance.as_secs(), distance.subsec_millis() / 100)
    } else {
        format_elapsed(distance)
    }
}

/// Formats the duration of a request: "<1 ms", "84 ms", and from a second on as in [`format_elapsed`].
#[must_use]
pub fn format_latency(latency: Duration) -> String {
    match latency.as_millis() {
        0 => "<1 ms".to_owned(),
        millis @ ..1000 => format!("{millis} ms"),
        _ => format_elapsed(latency),
    }
}

/// Formats bytes in decimal units, in at most 8 columns: "0 B", "31 kB", "1.1 MB", "18.2 MB", "182 MB", "1.25 GB".
///
/// A negative number, which the API should never send, keeps its sign.
#[must_use]
pub fn format_bytes(n: i64) -> String {
    let sign = if n < 0 { "-" } else { "" };
    let n = n.unsigned_abs();
    // The size of each unit, its name, and the number of decimals if the whole part has only one digit.
    let units: [(u64, &str, u32); 6] = [
        (1_000_000_000_000_000_000, "EB", 2),
        (1_000_000_000_000_000, "PB", 2),
        (1_000_000_000_000, "TB", 2),
        (1_000_000_000, "GB", 2),
        (1_000_000, "MB", 1),
        (1000, "kB", 1),
    ];
    let Some((unit, name, decimals)) = units.into_iter().find(|(unit, ..)| n >= *unit) else {
        return format!("{sign}{n} B");
    };
    let whole = n / unit;
    let decimals = match whole {
        ..10 => decimals,
        10..100 if unit > 1000 => 1,
        _ => 0,
    };
    if decimals == 0 {
        return format!("{sign}{whole} {name}");
    }
    let fraction_steps = 10_u64.pow(decimals);
    let fraction = n % unit / (unit / fraction_steps);
    format!("{sign}{whole}.{fraction:0>width$} {name}", width = decimals as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts the text of each case: a duration in milliseconds, and the text that `format` returns for it.
    fn assert_formats(cases: &[(u64, &str)], format: fn(Duration) -> String) {
        for (millis, text) in cases {
            assert_eq!(format(Duration::from_millis(*millis)), *text, "{millis} ms");
        }
    }

    #[test]
    fn ages_from_100_days_have_one_unit() {
        for (days, text) in [(99, "99d 00h"), (100, "100d"), (37_216, "37216d"), (1926 * 365 + 100, "1926y")]
        {
            assert_eq!(format_age(Duration::from_secs(days * DAY)), text);
        }
    }

    #[test]
    fn countdowns_round_down() {
        let cases: &[(u64, &str)] = &[
            (0, "0s"),
            (999, "0s"),
            (59_999, "59s"),
            (60_000, "1m 00s"),
            (65_000, "1m 05s"),
            (2_876_000, "47m 56s"),
            (3_599_999, "59m 59s"),
            (3_600_000, "1h 00m"),
            (18_480_000, "5h 08m"),
            (19_080_000, "5h 18m"),
            (86_399_999, "23h 59m"),
            (273_600_000, "3d 04h"),
        ];
        assert_formats(cases, format_countdown);
    }

    #[test]
    fn ages_have_no_seconds() {
        let cases: &[(u64, &str)] = &[
            (0, "<1m"),
            (59_999, "<1m"),
            (60_000, "1m"),
            (779_000, "12m"),
            (11_100_000, "3h 05m"),
            (187_200_000, "2d 04h"),
        ];
        assert_formats(cases, format_age);
    }

    #[test]
    fn durations_skip_zero_units() {
        let cases: &[(u64, &str)] = &[
            (0, "0s"),
            (1500, "1s 500ms"),
            (3000, "3s"),
            (45_000, "45s"),
            (90_000, "1m 30s"),
            // From ten seconds on, durations are rounded to the nearest second.
            (899_999, "15m"),
            (900_001, "15m"),
            (5_400_000, "1h 30m"),
            (21_600_000, "6h"),
            (93_784_000, "1d 2h 3m 4s"),
        ];
        assert_formats(cases, format_duration);
    }

    #[test]
    fn only_elapsed_times_below_ten_seconds_have_tenths() {
        let cases: &[(u64, &str)] = &[
            (0, "0 s"),
            (40, "<0.1 s"),
            (500, "0.5 s"),
            (1299, "1.2 s"),
            (2000, "2 s"),
            (2099, "2 s"),
            (9999, "9.9 s"),
            (10_900, "10 s"),
            (48_000, "48 s"),
            (125_000, "2m 05s"),
            (3_840_000, "1h 04m"),
        ];
        assert_formats(cases, format_elapsed);
    }

    #[test]
    fn latencies_are_milliseconds_below_a_second() {
        assert_eq!(format_latency(Duration::from_micros(999)), "<1 ms");
        assert_formats(
            &[(0, "<1 ms"), (1, "1 ms"), (84, "84 ms"), (999, "999 ms"), (1399, "1.3 s"), (61_000, "1m 01s")],
            format_latency,
        );
    }

    #[test]
    fn bytes_use_the_largest_unit() {
        for (n, text) in [
            (0, "0 B"),
            (412, "412 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1999, "1.9 kB"),
            (31_900, "31 kB"),
            (412_000, "412 kB"),
            (999_999, "999 kB"),
            (1_100_000, "1.1 MB"),
            (18_200_000, "18.2 MB"),
            (182_000_000, "182 MB"),
            (1_250_000_000, "1.25 GB"),
            (1_009_000_000, "1.00 GB"),
            (12_590_000_000, "12.5 GB"),
            (-1, "-1 B"),
            (-18_200_000, "-18.2 MB"),
            (i64::MAX, "9.22 EB"),
            (i64::MIN, "-9.22 EB"),
        ] {
            assert_eq!(format_bytes(n), text);
        }
    }
}
