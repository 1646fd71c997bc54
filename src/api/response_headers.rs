//! Parser of the response headers that keepwatch uses: rate limit, `Retry-After`, `Date`, `Age` and the request id.
//! Only `poll` decides when to send the next request.

use std::time::Duration;

use reqwest::header::{AGE, DATE, HeaderMap, RETRY_AFTER};

use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::ApiError;
use keepwatch_core::text::{Untrusted, redact};

/// The maximum accepted `x-ratelimit-reset`. A larger number does not count seconds from now: it is a date, or invalid.
const MAX_RESET: Duration = Duration::from_secs(24 * 60 * 60);

/// The maximum length of a request id, in bytes. A hostile server may send a longer one.
const MAX_REQUEST_ID_BYTES: usize = 200;

/// The cap for the age of a response. A response of this age says nothing about the present, nor does an older one.
const MAX_AGE: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The rate limit in `x-ratelimit-remaining` and `x-ratelimit-reset`. Browserbase documents these headers for requests
/// that create sessions; keepwatch honours them on every response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The number of requests left in the current window.
    pub remaining: u32,
    /// The time until the next window begins.
    pub resets_in: Duration,
}

/// Returns the rate limit if both headers are present and valid.
pub(super) fn rate_limit(headers: &HeaderMap) -> Option<RateLimit> {
    let non_negative = |name| {
        let number: f64 = header(headers, name)?.trim().parse().ok()?;
        (number >= 0.0).then_some(number)
    };
    let (remaining, reset) = (non_negative("x-ratelimit-remaining")?, non_negative("x-ratelimit-reset")?);
    let reset = Duration::try_from_secs_f64(reset).ok().filter(|reset| *reset <= MAX_RESET)?;
    let remaining = if remaining < f64::from(u32::MAX) { remaining as u32 } else { u32::MAX };
    Some(RateLimit { remaining, resets_in: reset })
}

/// Returns the `Date` of a response. Returns `None` if the header is missing or invalid, or if the response comes from
/// a cache (`Age`).
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    if headers.contains_key(AGE) {
        return None;
    }
    let date = header(headers, DATE.as_str())?;
    httpdate::parse_http_date(date).ok().map(Timestamp::from)
}

/// Returns the time for which a cache kept the response, from the `Age` header, in whole seconds. Returns zero if the
/// header is missing or invalid.
pub(super) fn age(headers: &HeaderMap) -> Duration {
    let seconds = header(headers, AGE.as_str()).and_then(|text| text.trim().parse::<u64>().ok());
    Duration::from_secs(seconds.unwrap_or_default()).min(MAX_AGE)
}

/// Returns the date in `retry-after`; `None` if the header is missing or is not a date.
pub(super) fn retry_date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = header(headers, RETRY_AFTER.as_str())?;
    httpdate::parse_http_date(text.trim()).ok().map(Timestamp::from)
}

/// Returns the delay in `retry-after-ms`, or else in `retry-after`, which has a number of seconds or a date. If it has
/// a date, the delay is the time from `response_date`, the `Date` of the response, to that date. Ignores negative
/// numbers, and caps the delay at [`ApiError::MAX_RETRY_AFTER`].
pub(super) fn retry_after(headers: &HeaderMap, response_date: Option<Timestamp>) -> Option<Duration> {
    let parse_delay = |text: &str, seconds_per_unit: f64| {
        let number: f64 = text.trim().parse().ok().filter(|number| *number >= 0.0)?;
        Some(Duration::try_from_secs_f64(number * seconds_per_unit).unwrap_or(ApiError::MAX_RETRY_AFTER))
    };
    let from_ms = header(headers, "retry-after-ms").and_then(|text| parse_delay(text, 0.001));
    let from_seconds_or_date = || {
        let text = header(headers, RETRY_AFTER.as_str())?;
        parse_delay(text, 1.0).or_else(|| {
            let retry_at = retry_date(headers)?;
            // A date in the past gives a delay of zero.
            Some(retry_at.signed_duration_since(response_date?).to_std().unwrap_or_default())
        })
    };
    // promise: longest-rest, mutant: .min( -> .max(
    from_ms.or_else(from_seconds_or_date).map(|delay| delay.min(ApiError::MAX_RETRY_AFTER))
}

/// Returns `x-request-id`, for a support ticket. Redacts anything that looks like a secret, because the id is stored.
pub(super) fn request_id(headers: &HeaderMap) -> Option<Untrusted> {
    // promise: masked-request-id, mutant: redact( -> String::from(
    let id = redact(header(headers, "x-request-id")?);
    let length = id.floor_char_boundary(MAX_REQUEST_ID_BYTES);
    id.get(..length).map(Untrusted::new)
}

/// Returns the text of a header; `None` if it is missing or not ASCII.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn rate_limit_needs_two_valid_numbers() {
        let read = |pairs: &[(&'static str, &'static str)]| {
            rate_limit(&headers(pairs)).map(|limit| (limit.remaining, limit.resets_in.as_millis()))
        };
        let read_both = |remaining, reset| {
            read(&[
                ("x-ratelimit-remaining", remaining),
                ("x-ratelimit-reset", reset),
                ("x-ratelimit-limit", "25"),
            ])
        };
        assert_eq!(read_both("12", "48"), Some((12, 48_000)));
        assert_eq!(read_both(" 0 ", "1.5"), Some((0, 1500)));
        assert_eq!(read_both("1e99", "0"), Some((u32::MAX, 0)));
        for (remaining, reset) in
            [("-1", "5"), ("many", "5"), ("nan", "5"), ("5", "-1"), ("5", "inf"), ("", "")]
        {
            assert_eq!(read_both(remaining, reset), None, "{remaining} {reset}");
        }
        assert_eq!(read_both("5", "1795608000"), None, "a date, in seconds since 1970, is ignored");
        assert_eq!(read(&[("x-ratelimit-remaining", "5")]), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn retry_after_is_parsed_and_capped() {
        let response_date = Some("2026-11-22T12:00:00Z".parse().unwrap());
        let delay = |pairs: &[_]| retry_after(&headers(pairs), response_date);
        assert_eq!(delay(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(delay(&[("retry-after", "1.5")]), Some(Duration::from_millis(1500)));
        assert_eq!(
            delay(&[("retry-after-ms", "250"), ("retry-after", "7")]),
            Some(Duration::from_millis(250))
        );
        assert_eq!(delay(&[("retry-after", "Sun, 22 Nov 2026 12:00:45 GMT")]), Some(Duration::from_secs(45)));
        assert_eq!(delay(&[("retry-after", "Sun, 22 Nov 2026 11:00:00 GMT")]), Some(Duration::ZERO));
        // The cap is 300 seconds.
        for long in ["1e300", "301", "9999999999", "Mon, 22 Nov 2326 12:00:00 GMT"] {
            assert_eq!(delay(&[("retry-after", long)]), Some(ApiError::MAX_RETRY_AFTER), "{long}");
        }
        for invalid in ["-4", "nan", "-inf"] {
            assert_eq!(delay(&[("retry-after", invalid)]), None, "{invalid}");
        }
        assert_eq!(delay(&[("retry-after", "soon")]), None);
        assert_eq!(delay(&[]), None);
    }

    #[test]
    fn long_age_is_capped_invalid_is_zero() {
        let read = |value: &'static str| age(&headers(&[("age", value)])).as_secs();
        assert_eq!((read("0"), read("86"), read(" 3600 ")), (0, 86, 3600));
        assert_eq!(read("9999999999999999999"), MAX_AGE.as_secs());
        assert_eq!(read("99999999999999999999"), 0, "a number above u64::MAX is invalid");
        for invalid in ["", "-5", "1.5", "soon", "5, 6"] {
            assert_eq!(read(invalid), 0, "{invalid}");
        }
        assert_eq!(age(&headers(&[])), Duration::ZERO);
    }

    #[test]
    fn request_id_is_redacted() {
        // The limit of 200 bytes would cut the secret to `bb_li`, which no longer looks like one.
        let long = format!("{}bb_live_canary0123456789", "r".repeat(195));
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", long.parse().unwrap());
        assert!(!request_id(&headers).unwrap().raw().contains("bb_li"));
    }
}
