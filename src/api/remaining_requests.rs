//! Parser of the API's rate limit headers. It never decides how fast to send: `poll::rate_limiter` does.

use std::time::Duration;

use reqwest::header::HeaderMap;

use super::error_mapping::header;

/// The longest accepted reset. A larger number is a date, or invalid, and not a number of seconds.
const MAX_RESET: Duration = Duration::from_secs(24 * 60 * 60);

/// The rate limit in `x-ratelimit-remaining` and `x-ratelimit-reset`. Browserbase documents them for creating
/// sessions; keepwatch honours them on every response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The number of requests left in the current window.
    pub remaining: u32,
    /// The time until the next window begins.
    pub resets_in: Duration,
}

/// Returns the rate limit if both headers are present and valid.
pub(super) fn from_headers(headers: &HeaderMap) -> Option<RateLimit> {
    let number = |name| {
        let number: f64 = header(headers, name)?.trim().parse().ok()?;
        (number >= 0.0).then_some(number)
    };
    let (remaining, reset) = (number("x-ratelimit-remaining")?, number("x-ratelimit-reset")?);
    let reset = Duration::try_from_secs_f64(reset).ok().filter(|reset| *reset <= MAX_RESET)?;
    let remaining = if remaining < f64::from(u32::MAX) { remaining as u32 } else { u32::MAX };
    Some(RateLimit { remaining, resets_in: reset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_limit_needs_two_valid_numbers() {
        let read = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            from_headers(&pairs.collect()).map(|limit| (limit.remaining, limit.resets_in.as_millis()))
        };
        let both = |remaining, reset| {
            read(&[
                ("x-ratelimit-remaining", remaining),
                ("x-ratelimit-reset", reset),
                ("x-ratelimit-limit", "25"),
            ])
        };
        assert_eq!(both("12", "48"), Some((12, 48_000)));
        assert_eq!(both(" 0 ", "1.5"), Some((0, 1500)));
        assert_eq!(both("1e99", "0"), Some((u32::MAX, 0)));
        for (remaining, reset) in
            [("-1", "5"), ("many", "5"), ("nan", "5"), ("5", "-1"), ("5", "inf"), ("", "")]
        {
            assert_eq!(both(remaining, reset), None, "{remaining} {reset}");
        }
        assert_eq!(both("5", "1795608000"), None, "a date is not a number of seconds");
        assert_eq!(read(&[("x-ratelimit-remaining", "5")]), None);
        assert_eq!(read(&[]), None);
    }
}
