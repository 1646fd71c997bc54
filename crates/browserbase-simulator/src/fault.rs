//! What goes wrong in a scenario: when, for which requests, and how.

use std::time::Duration;

use axum::http::header::ALLOW;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::offset::{Offset, Span};
use super::session::Window;

/// The words that say on which requests a fault is; no session is named so.
pub(super) const RESERVED: [&str; 8] =
    ["all", "list", "retrieve", "create", "release", "debug", "logs", "projects"];

/// A fault, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Fault {
    /// While it lasts.
    pub window: Window,
    /// On which requests.
    pub on: On,
    /// On how many of them, from the first; on all if `None`.
    pub count: Option<u32>,
    /// How much later the answer comes, in real time.
    pub slow: Duration,
    /// How many blanks stand before the body.
    pub pad: usize,
    /// What is answered.
    pub what: What,
}

/// The requests that a fault is on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum On {
    /// Every request.
    #[default]
    All,
    /// `GET /v1/sessions`.
    List,
    /// `GET /v1/sessions/{id}`.
    Retrieve,
    /// `POST /v1/sessions`.
    Create,
    /// `POST /v1/sessions/{id}`.
    Release,
    /// `GET /v1/sessions/{id}/debug`.
    Debug,
    /// `GET /v1/sessions/{id}/logs`.
    Logs,
    /// `GET /v1/projects`, `/v1/projects/{id}` and `/v1/projects/{id}/usage`.
    Projects,
    /// `GET /v1/sessions/{id}` for the sessions with this name or id.
    Session(String),
}

/// What a fault answers.
#[derive(Clone, Debug)]
pub enum What {
    /// What would have been answered without it, only late or padded.
    Truth,
    /// An error, in the API's shape.
    Refusal(Box<Refusal>),
    /// Nothing, and the connection stays open.
    Hang,
    /// A gateway's page, with status 200.
    Html,
    /// The first half of the body; then the connection closes.
    Truncated,
    /// The connection closes without a reply.
    Dropped,
}

/// An error reply.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Its HTTP status.
    pub status: StatusCode,
    /// Its `message`, which need not be a string; else one that fits the status.
    pub message: Option<Value>,
    /// Its `code`.
    pub code: Option<Value>,
    /// When to try again.
    pub retry_after: Option<(Duration, RetryAfter)>,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// The ways to say when to try again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetryAfter {
    /// `Retry-After: 3`
    #[default]
    Seconds,
    /// `Retry-After: Sat, 03 Oct 2026 16:05:37 GMT`
    Date,
    /// `retry-after-ms: 3000`
    Ms,
}

impl Fault {
    /// `what` for the requests `on`, from the start and for good.
    #[must_use]
    pub fn new(on: On, what: What) -> Self {
        Self { window: Window::default(), on, count: None, slow: Duration::ZERO, pad: 0, what }
    }

    /// An error with `status` and a message that fits it.
    #[must_use]
    pub fn status(on: On, status: StatusCode) -> Self {
        Self::new(on, What::Refusal(Box::new(Refusal::new(status))))
    }

    /// What it is, in a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match &self.what {
            What::Truth if self.slow.is_zero() => "padded",
            What::Truth => "slow",
            What::Refusal(_) => "refused",
            What::Hang => "hang",
            What::Html => "html",
            What::Truncated => "truncated",
            What::Dropped => "dropped",
        }
    }

    /// Only for the first `count` requests.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self { count: Some(count), ..self }
    }
}

impl Refusal {
    /// An error with `status` and a message that fits it.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self { status, message: None, code: None, retry_after: None, headers: Vec::new() }
    }

    /// The same, with the methods that may be used instead.
    #[must_use]
    pub(super) fn allowing(mut self, methods: &'static str) -> Self {
        self.headers.push((ALLOW, HeaderValue::from_static(methods)));
        self
    }

    /// The same, with `message`.
    #[must_use]
    pub fn saying(self, message: impl Into<Value>) -> Self {
        Self { message: Some(message.into()), ..self }
    }
}

impl From<String> for On {
    fn from(word: String) -> Self {
        match word.as_str() {
            "all" => Self::All,
            "list" => Self::List,
            "retrieve" => Self::Retrieve,
            "create" => Self::Create,
            "release" => Self::Release,
            "debug" => Self::Debug,
            "logs" => Self::Logs,
            "projects" => Self::Projects,
            _ => Self::Session(word),
        }
    }
}

/// A fault as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    from: Offset,
    to: Option<Offset>,
    #[serde(default)]
    on: On,
    count: Option<u32>,
    slow: Option<Span>,
    pad: Option<usize>,
    status: Option<u16>,
    message: Option<Value>,
    code: Option<Value>,
    retry_after: Option<Span>,
    #[serde(default)]
    retry_after_as: RetryAfter,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    reply: Option<Reply>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reply {
    Hang,
    Html,
    Truncated,
    Dropped,
}

impl TryFrom<Written> for Fault {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let what = match (written.status, written.reply) {
            (Some(_), Some(_)) => return Err("a fault has either a `status` or a `reply`".to_owned()),
            (None, None) if written.slow.is_none() && written.pad.is_none() => {
                return Err("a fault needs a `status`, a `reply`, `slow` or `pad`".to_owned());
            }
            (None, None) => What::Truth,
            (None, Some(Reply::Hang)) => What::Hang,
            (None, Some(Reply::Html)) => What::Html,
            (None, Some(Reply::Truncated)) => What::Truncated,
            (None, Some(Reply::Dropped)) => What::Dropped,
            (Some(status), None) => What::Refusal(Box::new(Refusal {
                status: StatusCode::from_u16(status)
                    .ok()
                    .filter(|status| !status.is_informational())
                    .ok_or_else(|| format!("{status} is not an HTTP status of a reply"))?,
                message: written.message,
                code: written.code,
                retry_after: written.retry_after.map(|span| (span.0, written.retry_after_as)),
                headers: written.headers.iter().map(header).collect::<Result<_, _>>()?,
            })),
        };
        Ok(Self {
            window: Window { from: written.from, to: written.to.unwrap_or(Offset::NEVER) },
            on: written.on,
            count: written.count,
            slow: written.slow.unwrap_or_default().0,
            pad: written.pad.unwrap_or(0),
            what,
        })
    }
}

fn header((name, value): (&String, &String)) -> Result<(HeaderName, HeaderValue), String> {
    match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(format!("“{name}: {value}” is not a header")),
    }
}
