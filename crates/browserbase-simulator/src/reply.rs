//! What replies look like: bodies, headers, and the ways in which they break.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use http_body::Frame;
use serde_json::json;

use super::fault::{Refusal, RetryAfter};
use super::resident::uuid;
use keepwatch_core::clock::{Timestamp, saturating_add};

/// How every signing key begins. A search for it finds every key that this simulator made.
pub const SIGNING_KEY_HEAD: &str = "eyJhbGciOiJBMjU2S1ciLCJlbmMiOiJBMjU2R0NNIn0";

/// A reply before it is sent.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: String,
    pub(super) headers: HeaderMap,
}

impl Reply {
    pub(super) fn json(status: StatusCode, body: String) -> Self {
        Self::new(status, "application/json; charset=utf-8", body)
    }

    fn new(status: StatusCode, content_type: &'static str, body: String) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        Self { status, body, headers }
    }

    /// What a gateway or a hotel's network says in place of the API.
    pub(super) fn html() -> Self {
        let page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Sign in to the network</body></html>\n";
        Self::new(StatusCode::OK, "text/html; charset=utf-8", page.to_owned())
    }

    /// An error of the API's; `now` is what its clock shows.
    pub(super) fn refusal(refusal: &Refusal, now: Timestamp) -> Self {
        let Refusal { status, message, code, retry_after, headers } = refusal;
        let mut body = json!({
            "statusCode": status.as_u16(),
            "error": status.canonical_reason().unwrap_or("Unknown"),
            "message": message.clone().unwrap_or_else(|| usual_message(*status).into()),
        });
        if let (Some(body), Some(code)) = (body.as_object_mut(), code) {
            body.insert("code".into(), code.clone());
        }
        let mut reply = Self::json(*status, body.to_string());
        if *status == StatusCode::TOO_MANY_REQUESTS {
            let reset = retry_after.map_or(1, |(wait, _)| whole_seconds(wait));
            for (name, value) in
                [("x-ratelimit-limit", 25), ("x-ratelimit-remaining", 0), ("x-ratelimit-reset", reset)]
            {
                reply.headers.insert(HeaderName::from_static(name), value.into());
            }
        }
        if let Some((wait, form)) = *retry_after {
            let (name, value) = match form {
                RetryAfter::Seconds => (RETRY_AFTER, whole_seconds(wait).into()),
                RetryAfter::Ms => {
                    let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                    (HeaderName::from_static("retry-after-ms"), ms.into())
                }
                RetryAfter::Date => (RETRY_AFTER, date(saturating_add(now, wait))),
            };
            reply.headers.insert(name, value);
        }
        for (name, value) in headers {
            reply.headers.insert(name, value.clone()); // in place of the usual ones above
        }
        reply
    }

    /// The response, with what every reply carries.
    pub(super) fn send(mut self, now: Timestamp, request: u64) -> Response {
        let body = std::mem::take(&mut self.body);
        let length = body.len();
        self.with_body(Body::from(body), length, now, request)
    }

    /// The response, whose connection closes after half the body that its length promises.
    pub(super) fn cut(self, now: Timestamp, request: u64) -> Response {
        let half = self.body.bytes().take(self.body.len() / 2).collect();
        let length = self.body.len();
        self.with_body(Body::new(Cut { rest: Some(half), flushed: false }), length, now, request)
    }

    fn with_body(self, body: Body, length: usize, now: Timestamp, request: u64) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        // Set here, because hyper would put in the machine's date, and the simulator's clock may be another.
        headers.insert(DATE, date(now));
        headers.insert(CONTENT_LENGTH, length.into());
        if let Ok(id) = HeaderValue::try_from(format!("req-{request:x}")) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        headers.extend(self.headers);
        response
    }
}

/// A response that is none: the connection closes before the first byte.
pub(super) fn dropped() -> Response {
    Response::new(Body::new(Cut { rest: None, flushed: true }))
}

/// A key like those of the API, another each time.
pub(super) fn signing_key() -> String {
    let part =
        |length: usize| -> String { std::iter::repeat_with(fastrand::alphanumeric).take(length).collect() };
    format!("{SIGNING_KEY_HEAD}.{}.{}.{}.{}", part(54), part(16), part(180), part(22))
}

/// An id for a session that a client creates, another each time.
pub(super) fn session_id() -> String {
    uuid("created", fastrand::usize(..))
}

/// A body that breaks off after `rest`.
struct Cut {
    rest: Option<Bytes>,
    /// Whether hyper had its turn to send what it holds; it forgets that when a body fails.
    flushed: bool,
}

impl HttpBody for Cut {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(rest) = self.rest.take() {
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
        if !std::mem::replace(&mut self.flushed, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
    }
}

/// `at` as HTTP headers have it; the headers know no date before 1970 nor after 9999.
fn date(at: Timestamp) -> HeaderValue {
    let seconds = u64::try_from(at.timestamp()).unwrap_or(0).min(253_402_300_799);
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    HeaderValue::try_from(date).unwrap_or(HeaderValue::from_static(""))
}

fn whole_seconds(span: Duration) -> u64 {
    span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0))
}

fn usual_message(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "Missing or invalid API key. Send it as X-BB-API-Key.",
        402 => "The plan's quota is used up.",
        403 => "The key may not do this in this project.",
        408 => "The request took too long.",
        410 => "The session has aged out.",
        429 => "Rate limit exceeded. Try again later.",
        503 => "The service is unavailable. Try again later.",
        _ => "Something went wrong.",
    }
}
