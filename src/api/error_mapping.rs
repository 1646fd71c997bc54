//! Maps errors of reqwest and rustls, and HTTP statuses that are not 2xx, to [`ApiError`].

use std::error::Error as _;
use std::io;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION};
use url::Url;

use super::response_headers::{request_id, retry_after, retry_date};
use super::{certificates, tls_error, wire};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{ApiError, ApiErrorKind};
use keepwatch_core::text::{Untrusted, redact};

/// The route of a request. An error of the connection names the part of the route that failed.
pub(super) struct Route {
    /// The host, with its port.
    pub(super) host: String,
    /// True if the request goes through a proxy.
    pub(super) uses_proxy: bool,
    /// True if the lookup of the host's address (or the proxy's) is still running.
    pub(super) is_lookup_pending: bool,
}

/// Maps the error of a request that got no response. The message never contains the URL.
pub(super) fn from_request_error(error: reqwest::Error, route: &Route) -> ApiError {
    let error = error.without_url();
    let kind = if error.is_connect() {
        from_connect_error(&error, route)
    } else if error.is_timeout() {
        ApiErrorKind::Timeout
    } else if let Some(code) = http2_code(&error) {
        ApiErrorKind::Http2(Untrusted::new(code))
    } else if is_connection_closed(&error) {
        ApiErrorKind::NoResponse
    } else if error.is_builder() {
        // reqwest refused to send the request, for example because of `https_only`.
        ApiErrorKind::Unreachable(root_message(&error))
    } else {
        ApiErrorKind::Protocol(root_message(&error))
    };
    kind.into()
}

fn from_connect_error(error: &reqwest::Error, route: &Route) -> ApiErrorKind {
    let (chain, io_kind) = (message_chain(error), io_error_kind(error));
    let host = || Untrusted::new(route.host.clone());
    if error.is_timeout() || io_kind == Some(io::ErrorKind::TimedOut) {
        if route.uses_proxy {
            let problem = if route.is_lookup_pending {
                "its name was not resolved within 5 s"
            } else {
                "no connection within 5 s"
            };
            ApiErrorKind::Proxy(Untrusted::new(problem))
        } else if route.is_lookup_pending {
            // promise: dns-timeout, mutant: DnsTimeout -> ConnectTimeout
            ApiErrorKind::DnsTimeout(host())
        } else {
            ApiErrorKind::ConnectTimeout(host())
        }
    } else if let Some(tunnel) = chain.iter().find_map(|link| link.strip_prefix("tunnel error: ")) {
        // This comes before the DNS check, because a DNS error here concerns the proxy's own name.
        // promise: proxy-fault, mutant: Proxy( -> Unreachable(
        ApiErrorKind::Proxy(Untrusted::new(proxy_message(tunnel, &chain)))
    } else if error.is_dns() {
        ApiErrorKind::Dns(host())
    } else if let Some(error) = find_source::<rustls::Error>(error) {
        ApiErrorKind::Tls(Untrusted::new(tls_error::message(error)))
    } else if io_kind == Some(io::ErrorKind::ConnectionRefused) {
        ApiErrorKind::ConnectionRefused(host())
    } else {
        ApiErrorKind::Unreachable(root_message(error))
    }
}

/// Maps the error of a body that could not be read to its end.
pub(super) fn from_body_error(error: reqwest::Error) -> ApiError {
    let error = error.without_url();
    let kind = if error.is_timeout() {
        ApiErrorKind::Timeout
    } else if http2_code(&error).is_some() || is_connection_closed(&error) {
        // promise: cut-body, mutant: ApiErrorKind::ConnectionClosed -> ApiErrorKind::Timeout
        ApiErrorKind::ConnectionClosed
    } else {
        ApiErrorKind::Protocol(root_message(&error)) // such as invalid chunked encoding
    };
    kind.into()
}

/// Returns the error code with which an HTTP/2 server ended a request or its connection. Returns `None` for other
/// errors, for example if keepwatch ended the connection because the server violated the protocol.
fn http2_code(error: &reqwest::Error) -> Option<String> {
    let error = find_source::<h2::Error>(error).filter(|error| error.is_remote())?;
    Some(format!("{:?}", error.reason()?))
}

/// Returns true if the server closed or reset the connection.
fn is_connection_closed(error: &reqwest::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(io_error_kind(error), Some(ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof))
        // hyper has no public type for these errors.
        || message_chain(error).iter().any(|link| {
            link.contains("before message completed") || link.contains("end of file before message length reached")
        })
}

/// Returns the message of the root cause, without the error number of the operating system.
fn root_message(error: &reqwest::Error) -> Untrusted {
    Untrusted::new(strip_os_error_number(message_chain(error).last().map(String::as_str).unwrap_or_default()))
}

/// Describes a failed proxy tunnel. `tunnel` is hyper's message without its prefix, and `chain` is the result of
/// [`message_chain`].
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
        _ => tunnel.into(), // hyper's own words
    }
}

/// Strips the operating system's error number, as in `Connection refused (os error 111)`.
fn strip_os_error_number(text: &str) -> &str {
    text.split_once(" (os error ").map_or(text, |(text, _)| text)
}

/// Maps the error of an HTTP client that could not be built, usually because there are no usable root certificates.
/// `env` returns the value of an environment variable.
pub(super) fn from_build_error(error: reqwest::Error, env: impl Fn(&str) -> Option<String>) -> ApiError {
    let chain = message_chain(&error.without_url());
    if !chain.iter().any(|link| link.contains("certificates")) {
        return ApiErrorKind::Tls(Untrusted::new(chain.last().cloned().unwrap_or_default())).into();
    }
    let variable = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find_map(|name| Some((name, env(name)?)));
    match variable {
        // promise: certificate-variable
        Some((name, value)) => certificates::variable_error(name, &value).into(),
        None => ApiErrorKind::NoCertificates.into(),
    }
}

/// Maps a response whose status is not 2xx. `url` is the URL of the request, and `date` is the response's `Date`.
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
        // Without the server's own time, a date in `retry-after` gives no delay yet: see `ApiError::retry_at`.
        retry_at: if date.is_none() { retry_date(headers) } else { None },
    }
}

/// Describes the target of a redirect. If it is another server, names only the origin, because the rest of the URL may
/// contain secrets.
fn redirect_target(url: &Url, headers: &HeaderMap) -> String {
    let Some(location) = headers.get(LOCATION) else { return "nowhere".into() };
    let target = String::from_utf8_lossy(location.as_bytes());
    match url.join(&target) {
        Ok(target) if target.origin() == url.origin() => "another path of the same host".into(),
        Ok(target) if target.has_host() => redact(&target.origin().ascii_serialization()).into_owned(),
        Ok(_) | Err(_) => "what is no address".into(),
    }
}

/// Returns the messages of an error and of its sources, the root cause last.
fn message_chain(error: &reqwest::Error) -> Vec<String> {
    let mut chain = vec![error.to_string()];
    let mut source = error.source();
    while let Some(link) = source {
        chain.push(link.to_string());
        source = link.source();
    }
    chain
}

/// Returns the kind of the last IO error in the chain of sources.
fn io_error_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    let mut found = None;
    while let Some(link) = source {
        if let Some(io_error) = link.downcast_ref::<io::Error>() {
            found = Some(io_error.kind());
        }
        source = link.source();
    }
    found
}

/// Returns the first error of type `E` in the chain of sources. Searches inside nested IO errors, too.
fn find_source<E: std::error::Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut source = error.source();
    while let Some(link) = source {
        if let Some(found) = unwrap_io_error(link) {
            return Some(found);
        }
        source = link.source();
    }
    None
}

/// Returns `error` as an `E`, or the `E` inside nested IO errors.
fn unwrap_io_error<'e, E: std::error::Error + 'static>(
    error: &'e (dyn std::error::Error + 'static),
) -> Option<&'e E> {
    let inner = || error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.downcast_ref::<E>().or_else(|| inner().and_then(|inner| unwrap_io_error(inner)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
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
    fn redirect_target_is_redacted() {
        let location = [("location", "http://bb_live_canary0123456789.example/x")];
        let error = from_status(&session_url(), StatusCode::FOUND, &headers(&location), b"", None);
        assert!(!error.description().contains("canary"), "{}", error.description());
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
