//! Every way in which the API does not answer as hoped, each with one human sentence, written here and nowhere else.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::text::{self, Untrusted};

/// Why a request gave nothing. Its texts are the network's, its sentence is fit for a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What went wrong.
    pub kind: FaultKind,
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
pub enum FaultKind {
    /// The host's name has no address.
    Dns(Untrusted),
    /// Nothing listens at the host.
    Refused(Untrusted),
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
    Cut,
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
    NoKey(Untrusted),
    /// The key has characters that no header can carry.
    KeyUnsendable,
    /// 401
    KeyRefused,
    /// 402
    Quota,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 404 or 405 to a list: the server has none.
    NoList,
    /// 410
    Gone,
    /// 429
    RateLimited,
    /// 5xx
    Server(u16),
    /// Any other status.
    Status(u16),
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self { kind, message: None, request_id: None, retry_after: None, retry_at: None }
    }
}

impl Fault {
    /// The longest that a server may send us away for.
    pub const LONGEST_REST: Duration = Duration::from_secs(5 * 60);

    /// The fault with [`retry_at`](Self::retry_at) counted from `now`.
    #[must_use]
    pub fn timed(mut self, now: Timestamp) -> Self {
        let rest = self.retry_at.take().map(|at| at.signed_duration_since(now).to_std().unwrap_or_default());
        self.retry_after = self.retry_after.or(rest.map(|rest| rest.min(Self::LONGEST_REST)));
        self
    }

    /// What happened, to what, and what to do or expect. Without the time of the next try, which only the poller knows.
    #[must_use]
    pub fn sentence(&self) -> String {
        let said = self.message.as_ref().filter(|message| !message.is_empty());
        let said = said.map(|message| format!(": “{}”", message.shown(300))).unwrap_or_default();
        match &self.kind {
            FaultKind::Dns(host) => {
                format!("the name {} has no address: no network, or a wrong base URL", host.line())
            }
            FaultKind::Refused(host) => format!("{} refuses connections: nothing listens there", host.line()),
            FaultKind::Unreachable(why) => format!("the API can not be reached: {}", why.line()),
            FaultKind::ConnectTimeout(host) => {
                format!("{} did not take the connection within 5 s", host.line())
            }
            FaultKind::Proxy(why) => format!("the proxy did not let the request through: {}", why.line()),
            FaultKind::Tls(why) => format!("TLS failed: {}; the key was not sent", why.line()),
            FaultKind::NoCertificates => {
                "this machine has no certificate store, so no server can be trusted; install ca-certificates"
                    .into()
            }
            FaultKind::Timeout => "the API did not answer in time".into(),
            FaultKind::Cut => "the connection was cut in the middle of the answer".into(),
            FaultKind::Protocol(why) => {
                format!("what answers there does not speak HTTP properly: {}", why.line())
            }
            FaultKind::TooLarge(limit) => {
                format!(
                    "the answer is larger than {} and was dropped",
                    text::bytes(i64::try_from(*limit).unwrap_or(i64::MAX))
                )
            }
            FaultKind::Html => {
                "got HTML instead of JSON: a captive portal or a proxy answers in the API's place".into()
            }
            FaultKind::NotJson(start) if start.is_empty() => "the answer is empty".into(),
            FaultKind::NotJson(start) => format!("the answer is not JSON; it begins “{}”", start.shown(80)),
            FaultKind::Unexpected(why) => {
                format!("the answer is not what the API documents: {}", why.shown(200))
            }
            FaultKind::Redirect(to) => {
                format!(
                    "the API redirects to {}; not followed, for the key would go along",
                    to.shown(200)
                )
            }
            FaultKind::ReadOnly => "this keepwatch is read-only: it releases nothing".into(),
            FaultKind::NoKey(why) => format!("{}; nothing is asked", why.shown(300)),
            FaultKind::KeyUnsendable => {
                "the key has characters that no request can carry, so nothing was sent; check BROWSERBASE_API_KEY"
                    .into()
            }
            FaultKind::KeyRefused => {
                format!("the API refuses the key (401){said}; check BROWSERBASE_API_KEY")
            }
            FaultKind::Quota => format!("the account's quota is used up (402){said}"),
            FaultKind::Forbidden => format!("the key may not do this (403){said}"),
            FaultKind::NotFound => format!("not found (404){said}: an unknown id, or another project's key"),
            FaultKind::NoList => {
                "this server has no list of sessions; name the sessions to watch: keepwatch SESSION_ID...".into()
            }
            FaultKind::Gone => format!("gone (410){said}: the API no longer keeps it"),
            FaultKind::RateLimited => format!("rate limited by the API (429){said}"),
            FaultKind::Server(code) => format!("the API failed ({code}){said}"),
            FaultKind::Status(code) => format!("the API answered {code}{said}"),
        }
    }

    /// Two or three words for a narrow place.
    #[must_use]
    pub fn brief(&self) -> &'static str {
        match self.kind {
            FaultKind::Dns(_) => "no address",
            FaultKind::Refused(_) => "refused",
            FaultKind::Unreachable(_) => "unreachable",
            FaultKind::ConnectTimeout(_) | FaultKind::Timeout => "no answer",
            FaultKind::Proxy(_) => "proxy failed",
            FaultKind::Tls(_) => "TLS failed",
            FaultKind::NoCertificates => "no certificates",
            FaultKind::Cut => "cut off",
            FaultKind::Protocol(_) | FaultKind::NotJson(_) | FaultKind::Unexpected(_) => "odd answer",
            FaultKind::TooLarge(_) => "answer too large",
            FaultKind::Html => "HTML answer",
            FaultKind::Redirect(_) => "redirected",
            FaultKind::ReadOnly => "read-only",
            FaultKind::NoKey(_) => "no key",
            FaultKind::KeyUnsendable => "key unusable",
            FaultKind::KeyRefused => "key refused",
            FaultKind::Quota => "quota used up",
            FaultKind::Forbidden => "forbidden",
            FaultKind::NotFound => "not found",
            FaultKind::NoList => "no list",
            FaultKind::Gone => "gone",
            FaultKind::RateLimited => "rate limited",
            FaultKind::Server(_) => "API failed",
            FaultKind::Status(_) => "odd status",
        }
    }

    /// Whether the session is not there: unknown, of another project, or aged out.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self.kind, FaultKind::NotFound | FaultKind::Gone)
    }

    /// Whether it came before any answer: the API as a whole is out of reach, not one session.
    #[must_use]
    pub fn is_unreached(&self) -> bool {
        match self.kind {
            FaultKind::Dns(_)
            | FaultKind::Refused(_)
            | FaultKind::Unreachable(_)
            | FaultKind::ConnectTimeout(_)
            | FaultKind::Proxy(_)
            | FaultKind::Tls(_)
            | FaultKind::NoCertificates => true,
            FaultKind::Timeout
            | FaultKind::Cut
            | FaultKind::Protocol(_)
            | FaultKind::TooLarge(_)
            | FaultKind::Html
            | FaultKind::NotJson(_)
            | FaultKind::Unexpected(_)
            | FaultKind::Redirect(_)
            | FaultKind::ReadOnly
            | FaultKind::NoKey(_)
            | FaultKind::KeyUnsendable
            | FaultKind::KeyRefused
            | FaultKind::Quota
            | FaultKind::Forbidden
            | FaultKind::NotFound
            | FaultKind::NoList
            | FaultKind::Gone
            | FaultKind::RateLimited
            | FaultKind::Server(_)
            | FaultKind::Status(_) => false,
        }
    }

    /// Whether it holds for every request, so that trying another one now is of no use.
    #[must_use]
    pub fn concerns_all(&self) -> bool {
        self.is_unreached()
            || self.asks_for_rest()
            || matches!(
                self.kind,
                FaultKind::NoKey(_)
                    | FaultKind::KeyUnsendable
                    | FaultKind::KeyRefused
                    | FaultKind::Redirect(_)
                    | FaultKind::Html
            )
    }

    /// Whether the server asks for fewer requests, whatever they are for.
    #[must_use]
    pub fn asks_for_rest(&self) -> bool {
        self.retry_after.is_some() || self.kind == FaultKind::RateLimited
    }

    /// Whether asking for the same again, later, may go better: the network failed, or the server did, or it asks for
    /// rest (429, 408, 5xx).
    #[must_use]
    pub fn is_worth_another_try(&self) -> bool {
        self.is_unreached()
            || matches!(
                self.kind,
                FaultKind::Timeout
                    | FaultKind::Cut
                    | FaultKind::RateLimited
                    | FaultKind::Server(_)
                    | FaultKind::Status(408)
            )
    }

    /// What a 429 says of the project's slots: how many are taken, and how many there are. The API says so in words alone:
    /// "… max concurrent sessions limit (limit 3, currently 3) …".
    #[must_use]
    pub fn slots(&self) -> Option<(u64, u64)> {
        let said = self.message.as_ref().filter(|_| self.kind == FaultKind::RateLimited)?.raw();
        let number = |word: &str| -> Option<u64> {
            let (_, after) = said.split_once(word)?;
            let digits: String = after.trim_start().chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        };
        Some((number("currently ")?, number("(limit ")?))
    }

    /// Whether the key is the trouble: the next try waits, for it will hardly go better.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self.kind,
            FaultKind::NoKey(_) | FaultKind::KeyUnsendable | FaultKind::KeyRefused | FaultKind::Forbidden
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apis_own_message_is_quoted_word_for_word() {
        let fault =
            Fault { message: Some(Untrusted::new("Invalid API key")), ..FaultKind::KeyRefused.into() };
        assert_eq!(
            fault.sentence(),
            "the API refuses the key (401): “Invalid API key”; check BROWSERBASE_API_KEY"
        );
    }

    #[test]
    fn a_date_to_wait_for_is_counted_from_the_time_that_is_given_and_capped() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let rest = |seconds: i64| {
            let retry_at = now.checked_add_signed(chrono::TimeDelta::seconds(seconds));
            Fault { retry_at, ..FaultKind::RateLimited.into() }.timed(now).retry_after
        };
        assert_eq!(rest(45), Some(Duration::from_secs(45)));
        assert_eq!(rest(-45), Some(Duration::ZERO));
        assert_eq!(rest(9999), Some(Fault::LONGEST_REST));
    }

    #[test]
    fn a_429_of_a_full_project_says_its_slots() {
        let said =
            |message: &str| Fault { message: Some(Untrusted::new(message)), ..FaultKind::RateLimited.into() };
        let full =
            "You've exceeded your max concurrent sessions limit (limit 3, currently 4). Please try later.";
        assert_eq!(said(full).slots(), Some((4, 3)));
        for other in ["Rate limit exceeded. Try again later.", "(limit x, currently y)", "currently 3", ""] {
            assert_eq!(said(other).slots(), None, "{other}");
        }
        assert_eq!(Fault { kind: FaultKind::Server(500), ..said(full) }.slots(), None);
    }

    #[test]
    fn hostile_words_do_not_reach_the_sentence() {
        let fault =
            Fault { message: Some(Untrusted::new("\u{1b}]52;c;AAAA\u{7}")), ..FaultKind::Server(500).into() };
        assert!(!fault.sentence().chars().any(char::is_control));
    }

    #[test]
    fn what_the_network_does_holds_for_all_and_what_one_session_does_holds_for_it() {
        assert!(Fault::from(FaultKind::Refused(Untrusted::new("h"))).concerns_all());
        assert!(Fault::from(FaultKind::RateLimited).concerns_all());
        assert!(!Fault::from(FaultKind::Timeout).concerns_all());
        assert!(!Fault::from(FaultKind::NotFound).concerns_all());
        let busy = Fault { retry_after: Some(Duration::from_secs(3)), ..FaultKind::Server(503).into() };
        assert!(busy.concerns_all());
    }
}
