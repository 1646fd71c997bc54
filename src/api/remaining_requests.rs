//! What a reply says is left of the API's limit. It reads headers, and never decides what follows from them: that is
//! `poll::budget`'s.

use std::time::Duration;

use reqwest::header::HeaderMap;

use super::error_mapping::header;

/// A reset that is further away than this is no span in seconds, but a date, or nonsense.
const MAX_RESET: Duration = Duration::from_secs(24 * 60 * 60);

/// `x-ratelimit-remaining` and `x-ratelimit-reset`. Documented for creating sessions; honoured wherever they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many more requests would be answered.
    pub remaining: u32,
    /// After how long there are more again.
    pub resets_in: Duration,
}

/// What `headers` say, if both say something that can be meant.
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
    fn an_allowance_is_two_plain_numbers_and_nothing_else() {
        let read = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            from_headers(&pairs.collect()).map(|it| (it.remaining, it.resets_in.as_millis()))
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
        assert_eq!(both("5", "1795608000"), None, "a date is no span");
        assert_eq!(read(&[("x-ratelimit-remaining", "5")]), None);
        assert_eq!(read(&[]), None);
    }
}
