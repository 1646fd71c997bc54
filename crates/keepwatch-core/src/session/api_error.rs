//! Every way in which the API does not answer as hoped, each with one human sentence, written here and nowhere else.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::text::{self, Untrusted};

/// Why a request gave nothing. Its texts are the network's, its sentence is fit for a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// What went wrong.
    pub kind: ApiErrorKind,
    /// The API's own message, word for word.
    pub message: Option<Untrusted>,
    /// `x-request-id`, for a support ticket.
    pub request_id: Option<Untrusted>,
    /// How long the server asks to be left alone (`retry-after`, `retry-after-ms`).
    pub retry_after: Option<Duration>,
    /// The same as a date, where the reply did not say what time it is there; whoever knows the time makes it
    /// `retry_after`.
    #[serde(default)]
    pub retry_at: Option<Timestamp>,
}

/// What can go wrong between here and the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiErrorKind {
    /// The host's name has no address.
    Dns(Untrusted),
    /// Nothing listens at the host.
    #[serde(rename = "Refused")]
    ConnectionRefused(Untrusted),
    /// The host, or the way to it, could not be reached in another way.
    Unreachable(Untrusted),
    /// No connection within 5 s.
    ConnectTimeout(Untrusted),
    /// The proxy did not let us through.
    Proxy(Untrusted),
    /// TLS failed: the certificate is not to be trusted, or no TLS is spoken there.
    Tls(Untrusted),
    /// This machine has no certificates to check any server's with.
    NoCertificates,
    /// No answer, or no more of it, for 10 s.
    Timeout,
    /// The connection was closed or reset in the middle.
    #[serde(rename = "Cut")]
    ConnectionClosed,
    /// Not HTTP, or HTTP broken otherwise.
    Protocol(Untrusted),
    /// More than so many bytes.
    TooLarge(u64),
    /// HTML where JSON was expected: a captive portal, a proxy's error page.
    Html,
    /// Something that is not JSON.
    NotJson(Untrusted),
    /// JSON of another shape.
    Unexpected(Untrusted),
    /// 3xx: never followed, for the key would go along.
    Redirect(Untrusted),
    /// This keepwatch only reads.
    ReadOnly,
    /// There is no key, for this reason, and so nothing is sent.
    #[serde(rename = "NoKey")]
    ApiKeyUnavailable(Untrusted),
    /// The key has characters that no header can carry.
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
    /// 404 or 405 to a list: the server has none.
    #[serde(rename = "NoList")]
    ListUnsupported,
    /// 410
    Gone,
    /// 429
    RateLimited,
    /// 5xx
    Server(u16),
    /// Any other status.
    Status(u16),
}

impl From<ApiErrorKind> for ApiError {
    fn from(kind: ApiErrorKind) -> Self {
        Self { kind, message: None, request_id: None, retry_after: None, retry_at: None }
    }
}

impl ApiError {
    /// The longest that a server may send us away for.
    pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

    /// The fault with [`retry_at`](Self::retry_at) counted from `now`.
    #[must_use]
    pub fn resolve_retry_after(mut self, now: Timestamp) -> Self {
        let delay = self.retry_at.take().map(|at| at.signed_duration_since(now).to_std().unwrap_or_default());
        self.retry_after = self.retry_after.or(delay.map(|rest| rest.min(Self::MAX_RETRY_AFTER)));
        self
    }

    /// What happened, to what, and what to do or expect. Without the time of the next try, which only the poller knows.
    #[must_use]
    pub fn description(&self) -> String {
        let api_message = self.message.as_ref().filter(|message| !message.is_empty());
        let said = api_message.map(|message| format!(": “{}”", message.sanitise(300))).unwrap_or_default();
        match &self.kind {
            ApiErrorKind::Dns(host) => {
                format!("the name {} has no address: no network, or a wrong base URL", host.sanitise_line())
            }
            ApiErrorKind::ConnectionRefused(host) => format!("{} refuses connections: nothing listens there", host.sanitise_line()),
            ApiErrorKind::Unreachable(why) => format!("the API can not be reached: {}", why.sanitise_line()),
            ApiErrorKind::ConnectTimeout(host) => {
                format!("{} did not take the connection within 5 s", host.sanitise_line())
            }
            ApiErrorKind::Proxy(why) => format!("the proxy did not let the request through: {}", why.sanitise_line()),
            ApiErrorKind::Tls(why) => format!("TLS failed: {}; the key was not sent", why.sanitise_line()),
            ApiErrorKind::NoCertificates => {
                "this machine has no certificate store, so no server can be trusted; install ca-certificates"
                    .into()
            }
            ApiErrorKind::Timeout => "the API did not answer in time".into(),
            ApiErrorKind::ConnectionClosed => "the connection was cut in the middle of the answer".into(),
            ApiErrorKind::Protocol(why) => {
                format!("what answers there does not speak HTTP properly: {}", why.sanitise_line())
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
            ApiErrorKind::Unexpected(why) => {
                format!("the answer is not what the API documents: {}", why.sanitise(200))
            }
            ApiErrorKind::Redirect(to) => {
                format!(
                    "the API redirects to {}; not followed, for the key would go along",
                    to.sanitise(200)
                )
            }
            ApiErrorKind::ReadOnly => "this keepwatch is read-only: it releases nothing".into(),
            ApiErrorKind::ApiKeyUnavailable(why) => format!("{}; nothing is asked", why.sanitise(300)),
            ApiErrorKind::ApiKeyMalformed => {
                "the key has characters that no request can carry, so nothing was sent; check BROWSERBASE_API_KEY"
                    .into()
            }
            ApiErrorKind::ApiKeyRejected => {
                format!("the API refuses the key (401){said}; check BROWSERBASE_API_KEY")
            }
            ApiErrorKind::Quota => format!("the account's quota is used up (402){said}"),
            ApiErrorKind::Forbidden => format!("the key may not do this (403){said}"),
            ApiErrorKind::NotFound => format!("not found (404){said}: an unknown id, or another project's key"),
            ApiErrorKind::ListUnsupported => {
                "this server has no list of sessions; name the sessions to watch: keepwatch SESSION_ID...".into()
            }
            ApiErrorKind::Gone => format!("gone (410){said}: the API no longer keeps it"),
            ApiErrorKind::RateLimited => format!("rate limited by the API (429){said}"),
            ApiErrorKind::Server(code) => format!("the API failed ({code}){said}"),
            ApiErrorKind::Status(code) => format!("the API answered {code}{said}"),
        }
    }

    /// Two or three words for a narrow place.
    #[must_use]
    pub fn short_label(&self) -> &'static str {
        match self.kind {
            ApiErrorKind::Dns(_) => "no address",
            ApiErrorKind::ConnectionRefused(_) => "refused",
            ApiErrorKind::Unreachable(_) => "unreachable",
            ApiErrorKind::ConnectTimeout(_) | ApiErrorKind::Timeout => "no answer",
            ApiErrorKind::Proxy(_) => "proxy failed",
            ApiErrorKind::Tls(_) => "TLS failed",
            ApiErrorKind::NoCertificates => "no certificates",
            ApiErrorKind::ConnectionClosed => "cut off",
            ApiErrorKind::Protocol(_) | ApiErrorKind::NotJson(_) | ApiErrorKind::Unexpected(_) => {
                "odd answer"
            }
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

    /// Whether the session is not there: unknown, of another project, or aged out.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind, ApiErrorKind::NotFound | ApiErrorKind::Gone)
    }

    /// Whether it came before any answer: the API as a whole is out of reach, not one session.
    #[must_use]
    pub fn is_network_error(&self) -> bool {
        match self.kind {
            ApiErrorKind::Dns(_)
            | ApiErrorKind::ConnectionRefused(_)
            | ApiErrorKind::Unreachable(_)
            | ApiErrorKind::ConnectTimeout(_)
            | ApiErrorKind::Proxy(_)
            | ApiErrorKind::Tls(_)
            | ApiErrorKind::NoCertificates => true,
            ApiErrorKind::Timeout
            | ApiErrorKind::ConnectionClosed
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

    /// Whether it holds for every request, so that trying another one now is of no use.
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

    /// Whether the server asks for fewer requests, whatever they are for.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.retry_after.is_some() || self.kind == ApiErrorKind::RateLimited
    }

    /// Whether asking for the same again, later, may go better: the network failed, or the server did, or it asks for
    /// rest (429, 408, 5xx).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.is_network_error()
            || matches!(
                self.kind,
                ApiErrorKind::Timeout
                    | ApiErrorKind::ConnectionClosed
                    | ApiErrorKind::RateLimited
                    | ApiErrorKind::Server(_)
                    | ApiErrorKind::Status(408)
            )
    }

    /// What a 429 says of the project's slots: how many are taken, and how many there are. The API says so in words alone:
    /// "… max concurrent sessions limit (limit 3, currently 3) …".
    #[must_use]
    pub fn slots_used_and_limit(&self) -> Option<(u64, u64)> {
        let api_message = self.message.as_ref().filter(|_| self.kind == ApiErrorKind::RateLimited)?.raw();
        let number = |prefix: &str| -> Option<u64> {
            let (_, after) = api_message.split_once(prefix)?;
            let digits: String = after.trim_start().chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        };
        Some((number("currently ")?, number("(limit ")?))
    }

    /// Whether the key is the trouble: the next try waits, for it will hardly go better.
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
    fn the_apis_own_message_is_quoted_word_for_word() {
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
    fn a_date_to_wait_for_is_counted_from_the_time_that_is_given_and_capped() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let rest = |seconds: i64| {
            let retry_at = now.checked_add_signed(chrono::TimeDelta::seconds(seconds));
            ApiError { retry_at, ..ApiErrorKind::RateLimited.into() }.resolve_retry_after(now).retry_after
        };
        assert_eq!(rest(45), Some(Duration::from_secs(45)));
        assert_eq!(rest(-45), Some(Duration::ZERO));
        assert_eq!(rest(9999), Some(ApiError::MAX_RETRY_AFTER));
    }

    #[test]
    fn a_429_of_a_full_project_says_its_slots() {
        let said = |message: &str| ApiError {
            message: Some(Untrusted::new(message)),
            ..ApiErrorKind::RateLimited.into()
        };
        let full =
            "You've exceeded your max concurrent sessions limit (limit 3, currently 4). Please try later.";
        assert_eq!(said(full).slots_used_and_limit(), Some((4, 3)));
        for other in ["Rate limit exceeded. Try again later.", "(limit x, currently y)", "currently 3", ""] {
            assert_eq!(said(other).slots_used_and_limit(), None, "{other}");
        }
        assert_eq!(ApiError { kind: ApiErrorKind::Server(500), ..said(full) }.slots_used_and_limit(), None);
    }

    #[test]
    fn hostile_words_do_not_reach_the_sentence() {
        let error = ApiError {
            message: Some(Untrusted::new("\u{1b}]52;c;AAAA\u{7}")),
            ..ApiErrorKind::Server(500).into()
        };
        assert!(!error.description().chars().any(char::is_control));
    }

    #[test]
    fn what_the_network_does_holds_for_all_and_what_one_session_does_holds_for_it() {
        assert!(ApiError::from(ApiErrorKind::ConnectionRefused(Untrusted::new("h"))).affects_all_requests());
        assert!(ApiError::from(ApiErrorKind::RateLimited).affects_all_requests());
        assert!(!ApiError::from(ApiErrorKind::Timeout).affects_all_requests());
        assert!(!ApiError::from(ApiErrorKind::NotFound).affects_all_requests());
        let busy = ApiError { retry_after: Some(Duration::from_secs(3)), ..ApiErrorKind::Server(503).into() };
        assert!(busy.affects_all_requests());
    }
}
