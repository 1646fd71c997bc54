//! Errors of reqwest, rustls and HTTP statuses → [`ApiError`]. Every input maps to an error with a message. This
//! module also redacts the API key in responses, and never retries.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use url::Url;

use super::{tls_error, wire};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{ApiError, ApiErrorKind, Secret};
use keepwatch_core::text::{Untrusted, redact};

/// The shortest API key that is redacted, in bytes. A shorter text may be an ordinary word of a message.
pub(super) const MIN_REDACTED_KEY_BYTES: usize = 8;

/// Error texts of hyper and h2 for a response that the peer cut off. For protocol violations they say “detected”.
const CONNECTION_CLOSED_MESSAGES: [&str; 3] =
    ["before message completed", "stream error received", "connection error received"];

/// Maps the error of a request that got no complete response from `host`. The message never contains the URL.
pub(super) fn from_request_error(error: reqwest::Error, host: &str) -> ApiError {
    let error = error.without_url();
    let host = || Untrusted::new(host);
    let chain = chain(&error);
    let root = || Untrusted::new(strip_os_error_number(chain.last().map(String::as_str).unwrap_or_default()));
    let mentions = |word: &str| chain.iter().any(|link| link.contains(word));
    let io = io_kind(&error);
    let kind = if error.is_connect() {
        if error.is_timeout() || io == Some(io::ErrorKind::TimedOut) {
            ApiErrorKind::ConnectTimeout(host())
        } else if let Some(tunnel) = chain.iter().find_map(|link| link.strip_prefix("tunnel error: ")) {
            // This comes before the DNS check, because a DNS error here concerns the proxy's own name.
            // promise: proxy-fault, mutant: Proxy( -> Unreachable(
            ApiErrorKind::Proxy(Untrusted::new(proxy_message(tunnel, &chain)))
        } else if error.is_dns() || mentions("dns error") {
            ApiErrorKind::Dns(host())
        } else if let Some(error) = find_tls_error(&error) {
            ApiErrorKind::Tls(Untrusted::new(tls_error::message(error)))
        } else if io == Some(io::ErrorKind::ConnectionRefused) {
            ApiErrorKind::ConnectionRefused(host())
        } else {
            ApiErrorKind::Unreachable(root())
        }
    } else if error.is_timeout() {
        ApiErrorKind::Timeout
    } else if matches!(io, Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)) {
        ApiErrorKind::Protocol(root()) // invalid chunked encoding or gzip
    } else if error.is_body()
        || error.is_decode()
        || CONNECTION_CLOSED_MESSAGES.iter().any(|cut| mentions(cut))
        || is_connection_closed(io)
    {
        // promise: cut-body, mutant: ApiErrorKind::ConnectionClosed -> ApiErrorKind::Timeout
        ApiErrorKind::ConnectionClosed
    } else if error.is_builder() {
        ApiErrorKind::Unreachable(root())
    } else {
        ApiErrorKind::Protocol(root())
    };
    kind.into()
}

/// Describes a failed proxy tunnel. `tunnel` is hyper's message and `chain` the chain of source errors.
fn proxy_message(tunnel: &str, chain: &[String]) -> String {
    match (tunnel, chain.last()) {
        ("proxy authorization required", _) => "it asks for a user and a password (407)".into(),
        ("unsuccessful", _) => "it answered with an error".into(),
        ("failed to create underlying connection", _) if chain.iter().any(|link| link == "dns error") => {
            "its name has no address".into()
        }
        ("failed to create underlying connection", Some(root)) => {
            format!("it can not be reached, {}", strip_os_error_number(root))
        }
        _ => tunnel.into(),
    }
}

/// Strips the operating system's error number.
fn strip_os_error_number(text: &str) -> &str {
    text.split_once(" (os error ").map_or(text, |(text, _)| text)
}

/// Maps the error of an HTTP client that could not be built. In practice, the machine has no certificate store.
pub(super) fn from_build_error(error: reqwest::Error) -> ApiError {
    let chain = chain(&error.without_url());
    if chain.iter().any(|link| link.contains("certificates")) {
        ApiErrorKind::NoCertificates.into()
    } else {
        ApiErrorKind::Tls(Untrusted::new(chain.last().cloned().unwrap_or_default())).into()
    }
}

/// Maps a response of `url` whose status is not 2xx. `date` is the response's `Date`.
pub(super) fn from_status(
    url: &Url,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    date: Option<Timestamp>,
) -> ApiError {
    let kind = match status.as_u16() {
        301 | 302 | 303 | 307 | 308 => ApiErrorKind::Redirect(Untrusted::new(redirect_target(url, headers))),
        401 => ApiErrorKind::ApiKeyRejected,
        402 => ApiErrorKind::Quota,
        403 => ApiErrorKind::Forbidden,
        404 => ApiErrorKind::NotFound,
        410 => ApiErrorKind::Gone,
        429 => ApiErrorKind::RateLimited,
        code @ 500..=599 => ApiErrorKind::Server(code),
        code => ApiErrorKind::Status(code),
    };
    ApiError {
        kind,
        message: wire::error_message(body),
        request_id: request_id(headers),
        retry_after: retry_after(headers, date),
        retry_at: if date.is_none() { retry_date(headers) } else { None },
    }
}

/// Does the same as [`redact_key`], for decoded text.
pub(super) fn redact_key_in_text(text: Untrusted, key: &Secret) -> Untrusted {
    let safe = redact_key(text.raw().as_bytes().to_vec(), key);
    if safe == text.raw().as_bytes() {
        text
    } else {
        Untrusted::new(String::from_utf8_lossy(&safe).into_owned())
    }
}

/// Redacts the API key in a response that quotes it. The pattern-based redaction may miss it, because an API key can
/// have any form. A quote in another spelling, such as with escapes, stays.
pub(super) fn redact_key(bytes: Vec<u8>, key: &Secret) -> Vec<u8> {
    let key = key.expose().as_bytes();
    // promise: quoted-key, mutant: < MIN_REDACTED_KEY_BYTES -> < usize::MAX
    if key.len() < MIN_REDACTED_KEY_BYTES {
        return bytes;
    }
    let mut remaining = bytes.as_slice();
    let mut safe = Vec::new();
    while let Some(at) = memchr::memmem::find(remaining, key) {
        safe.extend_from_slice(remaining.get(..at).unwrap_or_default());
        safe.extend_from_slice("••••".as_bytes());
        remaining = remaining.get(at.saturating_add(key.len())..).unwrap_or_default();
    }
    if remaining.len() == bytes.len() {
        return bytes;
    }
    safe.extend_from_slice(remaining);
    safe
}

/// Masks the headers that contain the API key.
pub(super) fn redact_key_in_headers(headers: &mut HeaderMap, key: &Secret) {
    let key = key.expose().as_bytes();
    let quotes = |value: &HeaderValue| {
        key.len() >= MIN_REDACTED_KEY_BYTES && memchr::memmem::find(value.as_bytes(), key).is_some()
    };
    for value in headers.values_mut().filter(|value| quotes(value)) {
        *value = HeaderValue::from_static("masked");
    }
}

/// Returns the origin that a redirect points to. Its path is left out, because it may contain secrets.
fn redirect_target(url: &Url, headers: &HeaderMap) -> String {
    let Some(location) = headers.get(LOCATION) else { return "nowhere".into() };
    let target = String::from_utf8_lossy(location.as_bytes());
    match url.join(&target) {
        Ok(target) if target.origin() == url.origin() => "another path of the same host".into(),
        Ok(target) if target.has_host() => redact(&target.origin().ascii_serialization()).into_owned(),
        Ok(_) | Err(_) => "what is no address".into(),
    }
}

/// Returns the date in `retry-after`, if it is one.
fn retry_date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = header(headers, RETRY_AFTER.as_str())?;
    httpdate::parse_http_date(text.trim()).ok().map(Timestamp::from)
}

/// Returns the delay in `retry-after-ms`, else in `retry-after` as seconds or as a date relative to `date`. Ignores
/// negative numbers.
fn retry_after(headers: &HeaderMap, date: Option<Timestamp>) -> Option<Duration> {
    let seconds = |text: &str, scale: f64| {
        let number: f64 = text.trim().parse().ok().filter(|number| *number >= 0.0)?;
        Some(Duration::try_from_secs_f64(number * scale).unwrap_or(ApiError::MAX_RETRY_AFTER))
    };
    let in_ms = header(headers, "retry-after-ms").and_then(|text| seconds(text, 0.001));
    let in_seconds_or_date = || {
        let text = header(headers, RETRY_AFTER.as_str())?;
        seconds(text, 1.0).or_else(|| {
            let until = retry_date(headers)?;
            Some(until.signed_duration_since(date?).to_std().unwrap_or_default())
        })
    };
    // promise: longest-rest, mutant: .min( -> .max(
    in_ms.or_else(in_seconds_or_date).map(|delay| delay.min(ApiError::MAX_RETRY_AFTER))
}

/// Returns `x-request-id`, for a support ticket. It is stored, so anything that looks like a secret is redacted first.
pub(super) fn request_id(headers: &HeaderMap) -> Option<Untrusted> {
    // promise: masked-request-id, mutant: redact( -> String::from(
    let id = redact(header(headers, "x-request-id")?);
    let end = id.floor_char_boundary(200);
    id.get(..end).map(Untrusted::new)
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn chain(error: &reqwest::Error) -> Vec<String> {
    let mut chain = vec![error.to_string()];
    let mut source = error.source();
    while let Some(link) = source {
        chain.push(link.to_string());
        source = link.source();
    }
    chain
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    let mut found = None;
    while let Some(link) = source {
        if let Some(io) = link.downcast_ref::<io::Error>() {
            found = Some(io.kind());
        }
        source = link.source();
    }
    found
}

fn find_tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut source = error.source();
    while let Some(link) = source {
        if let Some(found) = unwrap_tls_error(link) {
            return Some(found);
        }
        source = link.source();
    }
    None
}

/// Returns the rustls error inside any number of nested IO errors.
fn unwrap_tls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    let inner = || error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.downcast_ref::<rustls::Error>().or_else(|| inner().and_then(|inner| unwrap_tls_error(inner)))
}

fn is_connection_closed(io: Option<io::ErrorKind>) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(io, Some(ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn retry_after_formats_are_capped() {
        let date = Some("2026-11-22T12:00:00Z".parse().unwrap());
        let delay = |pairs: &[_]| retry_after(&headers(pairs), date);
        assert_eq!(delay(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(delay(&[("retry-after", "1.5")]), Some(Duration::from_millis(1500)));
        assert_eq!(
            delay(&[("retry-after-ms", "250"), ("retry-after", "7")]),
            Some(Duration::from_millis(250))
        );
        assert_eq!(delay(&[("retry-after", "Sun, 22 Nov 2026 12:00:45 GMT")]), Some(Duration::from_secs(45)));
        assert_eq!(delay(&[("retry-after", "Sun, 22 Nov 2026 11:00:00 GMT")]), Some(Duration::ZERO));
        for long in ["1e300", "301", "9999999999", "Mon, 22 Nov 2326 12:00:00 GMT"] {
            assert_eq!(delay(&[("retry-after", long)]), Some(ApiError::MAX_RETRY_AFTER), "{long}");
        }
        for invalid in ["-4", "nan", "-inf"] {
            assert_eq!(delay(&[("retry-after", invalid)]), None, "{invalid}");
        }
        assert_eq!(delay(&[("retry-after", "soon")]), None);
        assert_eq!(delay(&[]), None);
    }

    fn session_url() -> Url {
        "https://api.example/v1/sessions/s".parse().unwrap()
    }

    #[test]
    fn proxy_errors_have_plain_messages() {
        let unreachable = "failed to create underlying connection";
        for (tunnel, root, expected) in [
            ("proxy authorization required", "", "it asks for a user and a password (407)"),
            ("unsuccessful", "", "it answered with an error"),
            (unreachable, "Connection refused (os error 111)", "it can not be reached, Connection refused"),
            (unreachable, "dns error", "its name has no address"),
            ("unexpected end of file", "", "unexpected end of file"),
        ] {
            assert_eq!(proxy_message(tunnel, &[tunnel.to_owned(), root.to_owned()]), expected);
        }
    }

    #[test]
    fn redirect_error_names_only_origin() {
        for (location, expected) in [
            ("https://evil.example/?apiKey=bb_live_1", "https://evil.example"),
            ("http://api.example/v1", "http://api.example"),
            ("https://api.example:8443/v1", "https://api.example:8443"),
            ("//evil.example/login", "https://evil.example"),
            ("/login?token=1", "another path of the same host"),
            ("https://api.example/other", "another path of the same host"),
            ("http://[", "what is no address"),
        ] {
            let error = from_status(
                &session_url(),
                StatusCode::FOUND,
                &headers(&[("location", location)]),
                b"",
                None,
            );
            assert_eq!(error.kind, ApiErrorKind::Redirect(Untrusted::new(expected)), "{location}");
        }
        let error = from_status(&session_url(), StatusCode::NOT_MODIFIED, &headers(&[]), b"", None);
        assert_eq!(error.kind, ApiErrorKind::Status(304), "304 is not a redirect");
    }

    #[test]
    fn quoted_api_key_is_redacted() {
        let redacted = |key: &str, text: &str| {
            String::from_utf8(redact_key(text.into(), &Secret::new(key.into()))).unwrap()
        };
        assert_eq!(redacted("sk-oPaQue77", "no sk-oPaQue77, nor sk-oPaQue77!"), "no ••••, nor ••••!");
        assert_eq!(redacted("sk-oPaQue77", "sk-oPaQue77"), "••••");
        assert_eq!(redacted("sk-oPaQue77", "sk-oPaQue7"), "sk-oPaQue7");
        assert_eq!(redacted("such", "no such key"), "no such key", "too short to distinguish from words");
        let mut headers = headers(&[("x-request-id", "r-sk-oPaQue77"), ("server", "s")]);
        redact_key_in_headers(&mut headers, &Secret::new("sk-oPaQue77".into()));
        assert_eq!(
            (headers["x-request-id"].as_bytes(), headers["server"].as_bytes()),
            (&b"masked"[..], &b"s"[..])
        );
    }

    #[test]
    fn redirect_and_request_id_are_redacted() {
        let location = [("location", "http://bb_live_canary0123456789.example/x")];
        let error = from_status(&session_url(), StatusCode::FOUND, &headers(&location), b"", None);
        assert!(!error.description().contains("canary"), "{}", error.description());
        let long = format!("{}bb_live_canary0123456789", "r".repeat(195));
        let mut quoted = HeaderMap::new();
        quoted.insert("x-request-id", long.parse().unwrap());
        assert!(!request_id(&quoted).unwrap().raw().contains("bb_li"));
    }

    #[test]
    fn secrets_in_structured_messages_are_redacted() {
        let body = br#"{"message":{"signingKey" : "SIGCANARY","k":"bb\u005flive_canary0123456789"}}"#;
        let error = from_status(&session_url(), StatusCode::BAD_REQUEST, &headers(&[]), body, None);
        let text = error.message.unwrap().raw().to_owned();
        assert!(!text.contains("CANARY") && !text.contains("canary"), "{text}");
    }

    #[test]
    fn message_need_not_be_a_string() {
        let error = from_status(
            &session_url(),
            StatusCode::BAD_REQUEST,
            &headers(&[]),
            br#"{"message":["a","b"]}"#,
            None,
        );
        assert_eq!(error.message, Some(Untrusted::new(r#"["a","b"]"#)));
    }
}
