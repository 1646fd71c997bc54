//! Faults that the simulator injects, each with its window, its requests and its response.
//!
//! The module parses faults and never applies them: `state` picks the fault of a request, and `server` sends the
//! fault's response.

use std::time::Duration;

use axum::http::header::ALLOW;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::scenario_session::Window;
use super::scenario_time::{HumanDuration, Offset};

/// The words for requests in a fault's `on`. A session cannot have one of them as its name.
pub(super) const RESERVED_NAMES: [&str; 8] =
    ["all", "list", "retrieve", "create", "release", "debug", "logs", "projects"];

/// A parsed and checked fault.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RawFault")]
pub struct Fault {
    /// The window in which the fault is active.
    pub window: Window,
    /// The requests that the fault affects.
    pub target: FaultTarget,
    /// The number of requests to affect, from the first in the window. `None` means all.
    pub count: Option<u32>,
    /// The extra delay of the response, in real time.
    pub delay: Duration,
    /// The number of spaces before the body.
    pub padding: usize,
    /// The response.
    pub response: FaultResponse,
}

/// The requests that a fault affects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum FaultTarget {
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

/// The response to a request that a fault affects.
#[derive(Clone, Debug)]
pub enum FaultResponse {
    /// The normal response, late or padded.
    Normal,
    /// An error in the API's format.
    Error(Box<ErrorResponse>),
    /// No response. The connection stays open.
    Hang,
    /// A gateway's web page, with status 200.
    Html,
    /// The first half of the normal body. Then the connection closes.
    Truncated,
    /// No response. The connection closes.
    Dropped,
}

/// An error response.
#[derive(Clone, Debug)]
pub struct ErrorResponse {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body's `message`, which need not be a string. `None` means a message that fits the status.
    pub message: Option<Value>,
    /// The body's `code`. `None` leaves it out.
    pub code: Option<Value>,
    /// The retry delay and the format of its header.
    pub retry_after: Option<(Duration, RetryAfterFormat)>,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// The format of a retry delay in a response's headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetryAfterFormat {
    /// `Retry-After: 3`
    #[default]
    Seconds,
    /// `Retry-After: Sat, 03 Oct 2026 16:05:37 GMT`
    Date,
    /// `retry-after-ms: 3000`
    Ms,
}

impl Fault {
    /// Returns a fault that answers the requests of `target` with `response`, from the simulator's start on.
    #[must_use]
    pub fn new(target: FaultTarget, response: FaultResponse) -> Self {
        Self { window: Window::default(), target, count: None, delay: Duration::ZERO, padding: 0, response }
    }

    /// Returns a fault that answers the requests of `target` with an error.
    #[must_use]
    pub fn with_status(target: FaultTarget, status: StatusCode) -> Self {
        Self::new(target, FaultResponse::Error(Box::new(ErrorResponse::new(status))))
    }

    /// Returns a one-word description, for the request log.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match &self.response {
            FaultResponse::Normal if self.delay.is_zero() => "padded",
            FaultResponse::Normal => "slow",
            FaultResponse::Error(_) => "refused",
            FaultResponse::Hang => "hang",
            FaultResponse::Html => "html",
            FaultResponse::Truncated => "truncated",
            FaultResponse::Dropped => "dropped",
        }
    }

    /// Returns the fault limited to the first `count` requests.
    #[must_use]
    pub fn limited_to(self, count: u32) -> Self {
        Self { count: Some(count), ..self }
    }
}

impl ErrorResponse {
    /// Returns an error with `status` and a message that fits it.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self { status, message: None, code: None, retry_after: None, headers: Vec::new() }
    }

    /// Adds the `Allow` header with the permitted methods.
    #[must_use]
    pub(super) fn with_allowed_methods(mut self, methods: &'static str) -> Self {
        self.headers.push((ALLOW, HeaderValue::from_static(methods)));
        self
    }

    /// Returns the same error with `message`.
    #[must_use]
    pub fn with_message(self, message: impl Into<Value>) -> Self {
        Self { message: Some(message.into()), ..self }
    }
}

impl From<String> for FaultTarget {
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

/// A fault as written in the scenario file. [`scenario`](super::scenario) documents the fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFault {
    #[serde(default)]
    from: Offset,
    to: Option<Offset>,
    #[serde(default)]
    on: FaultTarget,
    count: Option<u32>,
    slow: Option<HumanDuration>,
    pad: Option<usize>,
    status: Option<u16>,
    message: Option<Value>,
    code: Option<Value>,
    retry_after: Option<HumanDuration>,
    #[serde(default)]
    retry_after_as: RetryAfterFormat,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    reply: Option<RawFaultResponse>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawFaultResponse {
    Hang,
    Html,
    Truncated,
    Dropped,
}

impl TryFrom<RawFault> for Fault {
    type Error = String;

    fn try_from(raw: RawFault) -> Result<Self, String> {
        let response = match (raw.status, raw.reply) {
            (Some(_), Some(_)) => return Err("a fault has either a `status` or a `reply`".to_owned()),
            (None, None) if raw.slow.is_none() && raw.pad.is_none() => {
                return Err("a fault needs a `status`, a `reply`, `slow` or `pad`".to_owned());
            }
            (None, None) => FaultResponse::Normal,
            (None, Some(RawFaultResponse::Hang)) => FaultResponse::Hang,
            (None, Some(RawFaultResponse::Html)) => FaultResponse::Html,
            (None, Some(RawFaultResponse::Truncated)) => FaultResponse::Truncated,
            (None, Some(RawFaultResponse::Dropped)) => FaultResponse::Dropped,
            (Some(status), None) => FaultResponse::Error(Box::new(ErrorResponse {
                status: StatusCode::from_u16(status)
                    .ok()
                    .filter(|status| !status.is_informational())
                    .ok_or_else(|| format!("{status} is not an HTTP status of a reply"))?,
                message: raw.message,
                code: raw.code,
                retry_after: raw.retry_after.map(|delay| (delay.0, raw.retry_after_as)),
                headers: raw.headers.iter().map(parse_header).collect::<Result<_, _>>()?,
            })),
        };
        Ok(Self {
            window: Window { from: raw.from, to: raw.to.unwrap_or(Offset::NEVER) },
            target: raw.on,
            count: raw.count,
            delay: raw.slow.unwrap_or_default().0,
            padding: raw.pad.unwrap_or(0),
            response,
        })
    }
}

fn parse_header((name, value): (&String, &String)) -> Result<(HeaderName, HeaderValue), String> {
    match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(format!("“{name}: {value}” is not a header")),
    }
}
