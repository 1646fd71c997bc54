//! Errors of API requests. The sentence for each error is written here, and nowhere else.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::text::{self, Untrusted};

/// The error of a request. Its texts come from the network and are not safe for a terminal, but its
/// [`description`](Self::description) is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// The kind of error.
    pub kind: ApiErrorKind,
    /// The message in the API's response, unchanged.
    pub message: Option<Untrusted>,
    /// `x-request-id`, for a support ticket.
    pub request_id: Option<Untrusted>,
    /// The delay that the server requests before a retry (`retry-after`, `retry-after-ms`).
    pub retry_after: Option<Duration>,
    /// The time at which the server requests a retry. It is set only if the response has no `Date`, so that the delay
    /// is not known yet. [`resolve_retry_after`](Self::resolve_retry_after) turns it into `retry_after`.
    #[serde(default)]
    pub retry_at: Option<Timestamp>,
}

/// The kind of an [`ApiError`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiErrorKind {
    /// The name of this host does not resolve.
    Dns(Untrusted),
    /// The DNS server did not resolve the name of this host within 5 s.
    DnsTimeout(Untrusted),
    /// This host refuses connections.
    #[serde(rename = "Refused")]
    ConnectionRefused(Untrusted),
    /// The host cannot be reached for another reason. Holds the reason.
    Unreachable(Untrusted),
    /// This host accepted no connection within 5 s: it is silent, or it does not answer the TLS handshake.
    ConnectTimeout(Untrusted),
    /// The proxy refused or failed. Holds the reason.
    Proxy(Untrusted),
    /// TLS failed: the certificate is not trusted, or the server does not speak TLS. Holds the reason.
    Tls(Untrusted),
    /// This machine has no root certificates.
    NoCertificates,
    /// `SSL_CERT_FILE` or `SSL_CERT_DIR` names no certificates. Holds the variable and its value.
    CertificateVariable(Untrusted),
    /// No data arrived for 10 s, before or during the response.
    Timeout,
    /// The connection was closed or reset before the response began.
    NoResponse,
    /// The server ended the request or the connection with this HTTP/2 error code, such as `REFUSED_STREAM`.
    Http2(Untrusted),
    /// The connection was closed or reset during a response whose length is not known.
    #[serde(rename = "Cut")]
    ConnectionClosed,
    /// The connection was closed after `received` bytes of a body of `expected` bytes.
    #[expect(missing_docs, reason = "the sentence above names the fields")]
    CutShort { received: u64, expected: u64 },
    /// The response is complete, but its JSON is not.
    IncompleteJson,
    /// The body has this encoding, which keepwatch did not request.
    UnsupportedEncoding(Untrusted),
    /// The response is not valid HTTP. Holds the reason.
    Protocol(Untrusted),
    /// The response is larger than this many bytes.
    TooLarge(u64),
    /// HTML instead of JSON, from a captive portal or a proxy.
    Html,
    /// The response is not JSON. Holds its first characters.
    NotJson(Untrusted),
    /// The response is JSON, but not of the documented shape. Holds the problem.
    Unexpected(Untrusted),
    /// A redirect (3xx) to this target. Redirects are never followed, because the target would get the API key.
    Redirect(Untrusted),
    /// This keepwatch is read-only, so no release is sent.
    ReadOnly,
    /// There is no API key, so no request is sent. Holds the reason.
    #[serde(rename = "NoKey")]
    ApiKeyUnavailable(Untrusted),
    /// The API key has characters that are invalid in a header.
    #[serde(rename = "KeyUnsendable")]
    ApiKeyMalformed,
    /// 401
    #[serde(rename = "KeyRefused")]
    ApiKeyRejected,
    /// 402
    Quota,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 404 or 405 for a list: the server does not support lists.
    #[serde(rename = "NoList")]
    ListUnsupported,
    /// 410
    Gone,
    /// 429
    RateLimited,
    /// 5xx
    Server(u16),
    /// Any other HTTP status.
    Status(u16),
}

impl From<ApiErrorKind> for ApiError {
    fn from(kind: ApiErrorKind) -> Self {
        Self { kind, message: None, request_id: None, retry_after: None, retry_at: None }
    }
}

/// A documented limit for which the API answers 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReachedLimit {
    /// The number of sessions that may run at the same time. It is set for the organisation and split over its projects.
    Concurrency,
    /// The number of creations, or of other requests, per minute.
    PerMinute,
}

impl ApiError {
    /// The maximum retry delay that a server can request. Longer delays are shortened to it.
    pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

    /// Turns [`retry_at`](Self::retry_at) into a [`retry_after`](Self::retry_after) counted from `now`, at most
    /// [`MAX_RETRY_AFTER`](Self::MAX_RETRY_AFTER).
    #[must_use]
    pub fn resolve_retry_after(mut self, now: Timestamp) -> Self {
        let delay = self.retry_at.take().map(|at| at.signed_duration_since(now).to_std().unwrap_or_default());
        self.retry_after = self.retry_after.or(delay.map(|delay| delay.min(Self::MAX_RETRY_AFTER)));
        self
    }

    /// Returns a sentence that says what failed, on what, and what to do. It does not say when the retry follows,
    /// because only the poller knows that.
    #[must_use]
    pub fn description(&self) -> String {
        let api_message = self.message.as_ref().filter(|message| !message.is_empty());
        let quoted = api_message.map(|message| format!(": “{}”", message.sanitise(300))).unwrap_or_default();
        match &self.kind {
            ApiErrorKind::Dns(host) => {
                format!("the name {} has no address: no network, or a wrong base URL", host.sanitise_line())
            }
            ApiErrorKind::DnsTimeout(host) => {
                format!("the name {} was not resolved within 5 s: the DNS server does not answer", host.sanitise_line())
            }
            ApiErrorKind::ConnectionRefused(host) => format!("{} refuses connections: nothing listens there", host.sanitise_line()),
            ApiErrorKind::Unreachable(detail) => format!("the API can not be reached: {}", detail.sanitise_line()),
            ApiErrorKind::ConnectTimeout(host) => {
                format!("no connection to {} within 5 s", host.sanitise_line())
            }
            ApiErrorKind::Proxy(detail) => format!("the proxy did not let the request through: {}", detail.sanitise_line()),
            ApiErrorKind::Tls(detail) => format!("TLS failed: {}; the key was not sent", detail.sanitise_line()),
            ApiErrorKind::NoCertificates => {
                "this machine has no certificate store, so no server can be trusted; install ca-certificates"
                    .into()
            }
            ApiErrorKind::CertificateVariable(variable) => format!(
                "{} has no certificates, so no server can be trusted; correct or unset it",
                variable.sanitise(200)
            ),
            ApiErrorKind::NoResponse => "the connection was closed before a response arrived".into(),
            ApiErrorKind::Http2(code) => {
                format!("the server ended the request without a response (HTTP/2 {})", code.sanitise(40))
            }
            ApiErrorKind::CutShort { received, expected } => {
                format!("the connection was closed after {received} of the {expected} bytes of the response")
            }
            ApiErrorKind::IncompleteJson => "the JSON of the response is incomplete".into(),
            ApiErrorKind::UnsupportedEncoding(name) => format!(
                "the response is encoded as “{}”, which was not requested; a proxy or a cache may have done it",
                name.sanitise(40)
            ),
            ApiErrorKind::Timeout => "the API did not answer in time".into(),
            ApiErrorKind::ConnectionClosed => "the connection was closed in the middle of the response".into(),
            ApiErrorKind::Protocol(detail) => {
                format!("what answers there does not speak HTTP properly: {}", detail.sanitise_line())
            }
            ApiErrorKind::TooLarge(limit) => {
                format!(
                    "the answer is larger than {} and was dropped",
                    text::format_bytes(i64::try_from(*limit).unwrap_or(i64::MAX))
                )
            }
            ApiErrorKind::Html => {
                "got HTML instead of JSON: a captive portal or a proxy answers in the API's place".into()
            }
            ApiErrorKind::NotJson(start) if start.is_empty() => "the answer is empty".into(),
            ApiErrorKind::NotJson(start) => format!("the answer is not JSON; it begins “{}”", start.sanitise(80)),
            ApiErrorKind::Unexpected(detail) => {
                format!("the answer is not what the API documents: {}", detail.sanitise(200))
            }
            ApiErrorKind::Redirect(target) => {
                format!(
                    "the API redirects to {}; not followed, for the key would go along",
                    target.sanitise(200)
                )
            }
            ApiErrorKind::ReadOnly => "this keepwatch is read-only: it releases nothing".into(),
            ApiErrorKind::ApiKeyUnavailable(detail) => format!("{}; nothing is asked", detail.sanitise(300)),
            ApiErrorKind::ApiKeyMalformed => {
                "the key has characters that no request can carry, so nothing was sent; check BROWSERBASE_API_KEY"
                    .into()
            }
            ApiErrorKind::ApiKeyRejected => {
                format!("the API refuses the key (401){quoted}; check BROWSERBASE_API_KEY")
            }
            ApiErrorKind::Quota => format!("the account's quota is used up (402){quoted}"),
            ApiErrorKind::Forbidden => format!("the key may not do this (403){quoted}"),
            ApiErrorKind::NotFound => format!("not found (404){quoted}: an unknown id, or another project's key"),
            ApiErrorKind::ListUnsupported => {
                "this server has no list of sessions; name the sessions to watch: keepwatch SESSION_ID...".into()
            }
            ApiErrorKind::Gone => format!("gone (410){quoted}: the API no longer keeps it"),
            ApiErrorKind::RateLimited if self.stated_limit() == Some(ReachedLimit::Concurrency) => {
                format!("concurrency limit reached (429){quoted}")
            }
            ApiErrorKind::RateLimited => format!("rate limited by the API (429){quoted}"),
            ApiErrorKind::Server(code) => format!("the API failed ({code}){quoted}"),
            ApiErrorKind::Status(code) => format!("the API answered {code}{quoted}"),
        }
    }

    /// Returns a label of at most three words for narrow places.
    #[must_use]
    pub fn short_label(&self) -> &'static str {
        match self.kind {
            ApiErrorKind::Dns(_) => "no address",
            ApiErrorKind::ConnectionRefused(_) => "refused",
            ApiErrorKind::Unreachable(_) => "unreachable",
            ApiErrorKind::ConnectTimeout(_) | ApiErrorKind::Timeout => "no answer",
            ApiErrorKind::DnsTimeout(_) => "no DNS answer",
            ApiErrorKind::Proxy(_) => "proxy failed",
            ApiErrorKind::Tls(_) => "TLS failed",
            ApiErrorKind::NoCertificates | ApiErrorKind::CertificateVariable(_) => "no certificates",
            ApiErrorKind::NoResponse => "no response",
            ApiErrorKind::Http2(_) => "request refused",
            ApiErrorKind::ConnectionClosed | ApiErrorKind::CutShort { .. } => "cut off",
            ApiErrorKind::Protocol(_)
            | ApiErrorKind::NotJson(_)
            | ApiErrorKind::Unexpected(_)
            | ApiErrorKind::IncompleteJson
            | ApiErrorKind::UnsupportedEncoding(_) => "odd answer",
            ApiErrorKind::TooLarge(_) => "answer too large",
            ApiErrorKind::Html => "HTML answer",
            ApiErrorKind::Redirect(_) => "redirected",
            ApiErrorKind::ReadOnly => "read-only",
            ApiErrorKind::ApiKeyUnavailable(_) => "no key",
            ApiErrorKind::ApiKeyMalformed => "key unusable",
            ApiErrorKind::ApiKeyRejected => "key refused",
            ApiErrorKind::Quota => "quota used up",
            ApiErrorKind::Forbidden => "forbidden",
            ApiErrorKind::NotFound => "not found",
            ApiErrorKind::ListUnsupported => "no list",
            ApiErrorKind::Gone => "gone",
            ApiErrorKind::RateLimited => "rate limited",
            ApiErrorKind::Server(_) => "API failed",
            ApiErrorKind::Status(_) => "odd status",
        }
    }

    /// Returns true if the API does not know the session: the id is wrong or of another project, or the session is too
    /// old.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind, ApiErrorKind::NotFound | ApiErrorKind::Gone)
    }

    /// Returns true if no connection to the API could be made, so that every other request would fail, too.
    #[must_use]
    pub fn is_network_error(&self) -> bool {
        match self.kind {
            ApiErrorKind::Dns(_)
            | ApiErrorKind::DnsTimeout(_)
            | ApiErrorKind::ConnectionRefused(_)
            | ApiErrorKind::Unreachable(_)
            | ApiErrorKind::ConnectTimeout(_)
            | ApiErrorKind::Proxy(_)
            | ApiErrorKind::Tls(_)
            | ApiErrorKind::NoCertificates
            | ApiErrorKind::CertificateVariable(_) => true,
            ApiErrorKind::Timeout
            | ApiErrorKind::NoResponse
            | ApiErrorKind::Http2(_)
            | ApiErrorKind::ConnectionClosed
            | ApiErrorKind::CutShort { .. }
            | ApiErrorKind::IncompleteJson
            | ApiErrorKind::UnsupportedEncoding(_)
            | ApiErrorKind::Protocol(_)
            | ApiErrorKind::TooLarge(_)
            | ApiErrorKind::Html
            | ApiErrorKind::NotJson(_)
            | ApiErrorKind::Unexpected(_)
            | ApiErrorKind::Redirect(_)
            | ApiErrorKind::ReadOnly
            | ApiErrorKind::ApiKeyUnavailable(_)
            | ApiErrorKind::ApiKeyMalformed
            | ApiErrorKind::ApiKeyRejected
            | ApiErrorKind::Quota
            | ApiErrorKind::Forbidden
            | ApiErrorKind::NotFound
            | ApiErrorKind::ListUnsupported
            | ApiErrorKind::Gone
            | ApiErrorKind::RateLimited
            | ApiErrorKind::Server(_)
            | ApiErrorKind::Status(_) => false,
        }
    }

    /// Returns true if every other request would now fail in the same way.
    #[must_use]
    pub fn affects_all_requests(&self) -> bool {
        self.is_network_error()
            || self.is_throttled()
            || matches!(
                self.kind,
                ApiErrorKind::ApiKeyUnavailable(_)
                    | ApiErrorKind::ApiKeyMalformed
                    | ApiErrorKind::ApiKeyRejected
                    | ApiErrorKind::Redirect(_)
                    | ApiErrorKind::Html
            )
    }

    /// Returns true if the server throttles all requests.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.retry_after.is_some() || self.kind == ApiErrorKind::RateLimited
    }

    /// Returns true if no complete response arrived: the server ended the request, the connection closed or fell
    /// silent, or the JSON is incomplete.
    #[must_use]
    pub fn is_incomplete_response(&self) -> bool {
        matches!(
            self.kind,
            ApiErrorKind::Timeout
                | ApiErrorKind::NoResponse
                | ApiErrorKind::Http2(_)
                | ApiErrorKind::ConnectionClosed
                | ApiErrorKind::CutShort { .. }
                | ApiErrorKind::IncompleteJson
        )
    }

    /// Returns true if a later retry may succeed: after network errors, incomplete responses, 408, 429 and 5xx.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.is_network_error()
            || self.is_incomplete_response()
            || matches!(
                self.kind,
                ApiErrorKind::RateLimited | ApiErrorKind::Server(_) | ApiErrorKind::Status(408)
            )
    }

    /// Returns the number of used slots and the project's limit, parsed from the message of a 429. The API states both
    /// only in prose: "… max concurrent sessions limit (limit 3, currently 3) …".
    #[must_use]
    pub fn slots_used_and_limit(&self) -> Option<(u64, u64)> {
        let api_message = self.message.as_ref().filter(|_| self.kind == ApiErrorKind::RateLimited)?.raw();
        let number = |prefix: &str| -> Option<u64> {
            let (_, remaining) = api_message.split_once(prefix)?;
            let digits: String = remaining.trim_start().chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        };
        Some((number("currently ")?, number("(limit ")?))
    }

    /// Returns the limit that a 429 names in its message, or `None` if the message names neither. The API answers 429
    /// for both documented limits, and names them only in prose.
    #[must_use]
    pub fn stated_limit(&self) -> Option<ReachedLimit> {
        let message = self.message.as_ref().filter(|_| self.kind == ApiErrorKind::RateLimited)?.raw();
        let message = message.to_lowercase();
        let names = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if names(&["concurren"]) {
            Some(ReachedLimit::Concurrency)
        } else if names(&["per minute", "a minute", "/min", "rate limit", "rate-limit"]) {
            Some(ReachedLimit::PerMinute)
        } else {
            None
        }
    }

    /// Returns true if the API key is the problem. Retries are then rarer, because they are unlikely to succeed.
    #[must_use]
    pub fn is_auth_error(&self) -> bool {
        matches!(
            self.kind,
            ApiErrorKind::ApiKeyUnavailable(_)
                | ApiErrorKind::ApiKeyMalformed
                | ApiErrorKind::ApiKeyRejected
                | ApiErrorKind::Forbidden
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_message_is_quoted() {
        let error = ApiError {
            message: Some(Untrusted::new("Invalid API key")),
            ..ApiErrorKind::ApiKeyRejected.into()
        };
        assert_eq!(
            error.description(),
            "the API refuses the key (401): “Invalid API key”; check BROWSERBASE_API_KEY"
        );
    }

    #[test]
    fn retry_date_becomes_capped_delay() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let retry_after = |seconds: i64| {
            let retry_at = now.checked_add_signed(chrono::TimeDelta::seconds(seconds));
            ApiError { retry_at, ..ApiErrorKind::RateLimited.into() }.resolve_retry_after(now).retry_after
        };
        assert_eq!(retry_after(45), Some(Duration::from_secs(45)));
        assert_eq!(retry_after(-45), Some(Duration::ZERO));
        assert_eq!(retry_after(9999), Some(ApiError::MAX_RETRY_AFTER));
    }

    #[test]
    fn full_project_429_yields_slots() {
        let rate_limited = |message: &str| ApiError {
            message: Some(Untrusted::new(message)),
            ..ApiErrorKind::RateLimited.into()
        };
        let full =
            "You've exceeded your max concurrent sessions limit (limit 3, currently 4). Please try later.";
        assert_eq!(rate_limited(full).slots_used_and_limit(), Some((4, 3)));
        for other in ["Rate limit exceeded. Try again later.", "(limit x, currently y)", "currently 3", ""] {
            assert_eq!(rate_limited(other).slots_used_and_limit(), None, "{other}");
        }
        assert_eq!(
            ApiError { kind: ApiErrorKind::Server(500), ..rate_limited(full) }.slots_used_and_limit(),
            None
        );
    }

    #[test]
    fn message_of_429_names_its_limit() {
        use ReachedLimit::{Concurrency, PerMinute};
        let error = |kind: ApiErrorKind, message: &str| ApiError {
            message: Some(Untrusted::new(message)),
            ..kind.into()
        };
        for (message, limit, description) in [
            (
                "Max concurrent sessions limit (limit 3, currently 3)",
                Some(Concurrency),
                "concurrency limit reached (429)",
            ),
            ("Concurrency exceeded", Some(Concurrency), "concurrency limit reached (429)"),
            ("You can create 25 sessions per minute", Some(PerMinute), "rate limited by the API (429)"),
            ("Rate limit exceeded. Try again later.", Some(PerMinute), "rate limited by the API (429)"),
            ("Too Many Requests", None, "rate limited by the API (429)"),
            ("", None, "rate limited by the API (429)"),
        ] {
            let error = error(ApiErrorKind::RateLimited, message);
            assert_eq!(error.stated_limit(), limit, "{message}");
            assert!(error.description().starts_with(description), "{}", error.description());
        }
        assert_eq!(error(ApiErrorKind::Server(500), "concurrent").stated_limit(), None);
    }

    #[test]
    fn incomplete_responses_are_retryable() {
        let cut_short = ApiErrorKind::CutShort { received: 1, expected: 2 };
        let refused = ApiErrorKind::Http2(Untrusted::new("REFUSED_STREAM"));
        for kind in [
            ApiErrorKind::NoResponse,
            ApiErrorKind::ConnectionClosed,
            ApiErrorKind::IncompleteJson,
            cut_short,
            refused,
        ] {
            assert!(ApiError::from(kind.clone()).is_retryable(), "{kind:?}");
        }
        assert!(!ApiError::from(ApiErrorKind::Html).is_retryable());
    }

    #[test]
    fn hostile_message_is_sanitised() {
        let error = ApiError {
            message: Some(Untrusted::new("\u{1b}]52;c;AAAA\u{7}")),
            ..ApiErrorKind::Server(500).into()
        };
        assert!(!error.description().chars().any(char::is_control));
    }

    #[test]
    fn network_errors_and_throttling_affect_all_requests() {
        assert!(ApiError::from(ApiErrorKind::ConnectionRefused(Untrusted::new("h"))).affects_all_requests());
        assert!(ApiError::from(ApiErrorKind::RateLimited).affects_all_requests());
        assert!(!ApiError::from(ApiErrorKind::Timeout).affects_all_requests());
        assert!(!ApiError::from(ApiErrorKind::NotFound).affects_all_requests());
        let throttled =
            ApiError { retry_after: Some(Duration::from_secs(3)), ..ApiErrorKind::Server(503).into() };
        assert!(throttled.affects_all_requests());
    }
}
