//! HTTP responses: bodies, headers, signing keys, and connections that break.
//!
//! The module formats responses and never decides which one a request gets.

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

use super::fault::{ErrorResponse, RetryAfterFormat};
use super::sim_session::stable_uuid;
use keepwatch_core::clock::{Timestamp, saturating_add};

/// The first part of every signing key. Tests search output for it to find leaked signing keys.
pub const SIGNING_KEY_PREFIX: &str = "eyJhbGciOiJBMjU2S1ciLCJlbmMiOiJBMjU2R0NNIn0";

/// A response before the server sends it.
#[derive(Debug)]
pub(super) struct SimResponse {
    pub(super) status: StatusCode,
    pub(super) body: String,
    pub(super) headers: HeaderMap,
}

impl SimResponse {
    pub(super) fn json(status: StatusCode, body: String) -> Self {
        Self::new(status, "application/json; charset=utf-8", body)
    }

    fn new(status: StatusCode, content_type: &'static str, body: String) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        Self { status, body, headers }
    }

    /// Returns a web page like those that a gateway or a hotel's network sends instead of the API's response.
    pub(super) fn html() -> Self {
        let html = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Sign in to the network</body></html>\n";
        Self::new(StatusCode::OK, "text/html; charset=utf-8", html.to_owned())
    }

    /// Returns an error in the API's format. `now` is the reading of the server's clock.
    pub(super) fn error(error: &ErrorResponse, now: Timestamp) -> Self {
        let ErrorResponse { status, message, code, retry_after, headers } = error;
        let mut body = json!({
            "statusCode": status.as_u16(),
            "error": status.canonical_reason().unwrap_or("Unknown"),
            "message": message.clone().unwrap_or_else(|| default_message(*status).into()),
        });
        if let (Some(body), Some(code)) = (body.as_object_mut(), code) {
            body.insert("code".into(), code.clone());
        }
        let mut response = Self::json(*status, body.to_string());
        if *status == StatusCode::TOO_MANY_REQUESTS {
            // These are plausible defaults. The error's own headers replace them below.
            let reset = retry_after.map_or(1, |(wait, _)| ceil_seconds(wait));
            for (name, value) in
                [("x-ratelimit-limit", 25), ("x-ratelimit-remaining", 0), ("x-ratelimit-reset", reset)]
            {
                response.headers.insert(HeaderName::from_static(name), value.into());
            }
        }
        if let Some((wait, format)) = *retry_after {
            let (name, value) = match format {
                RetryAfterFormat::Seconds => (RETRY_AFTER, ceil_seconds(wait).into()),
                RetryAfterFormat::Ms => {
                    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                    (HeaderName::from_static("retry-after-ms"), millis.into())
                }
                RetryAfterFormat::Date => (RETRY_AFTER, http_date(saturating_add(now, wait))),
            };
            response.headers.insert(name, value);
        }
        for (name, value) in headers {
            response.headers.insert(name, value.clone()); // replaces a default header of the same name
        }
        response
    }

    /// Returns the response with the common headers.
    pub(super) fn into_response(mut self, now: Timestamp, request_number: u64) -> Response {
        let body = std::mem::take(&mut self.body);
        let length = body.len();
        self.with_body(Body::from(body), length, now, request_number)
    }

    /// Returns the response with only the first half of its body. `content-length` gives the full length, and the
    /// connection closes after the half.
    pub(super) fn into_truncated_response(self, now: Timestamp, request_number: u64) -> Response {
        let half = self.body.bytes().take(self.body.len() / 2).collect();
        let length = self.body.len();
        self.with_body(
            Body::new(TruncatedBody { remaining: Some(half), is_flushed: false }),
            length,
            now,
            request_number,
        )
    }

    fn with_body(self, body: Body, length: usize, now: Timestamp, request_number: u64) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        // Without this, hyper would insert the machine's date, which may differ from the server's clock.
        headers.insert(DATE, http_date(now));
        headers.insert(CONTENT_LENGTH, length.into());
        if let Ok(id) = HeaderValue::try_from(format!("req-{request_number:x}")) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        headers.extend(self.headers);
        response
    }
}

/// Returns a response that sends no byte and closes the connection.
pub(super) fn dropped_connection() -> Response {
    Response::new(Body::new(TruncatedBody { remaining: None, is_flushed: true }))
}

/// Returns a new random signing key in the API's format.
pub(super) fn random_signing_key() -> String {
    let part =
        |length: usize| -> String { std::iter::repeat_with(fastrand::alphanumeric).take(length).collect() };
    format!("{SIGNING_KEY_PREFIX}.{}.{}.{}.{}", part(54), part(16), part(180), part(22))
}

/// Returns a new random id for a session that a client creates.
pub(super) fn random_session_id() -> String {
    stable_uuid("created", fastrand::usize(..))
}

/// A body that sends `remaining` and then fails, which closes the connection.
struct TruncatedBody {
    remaining: Option<Bytes>,
    /// True if hyper had a turn to send its buffer. The body fails only after that, because a failure makes hyper
    /// discard the bytes that it has not sent.
    is_flushed: bool,
}

impl HttpBody for TruncatedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(remaining) = self.remaining.take() {
            return Poll::Ready(Some(Ok(Frame::data(remaining))));
        }
        if !std::mem::replace(&mut self.is_flushed, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
    }
}

/// Formats `at` as a date of an HTTP header. Clamps it to the years 1970 to 9999, which such a date can express.
fn http_date(at: Timestamp) -> HeaderValue {
    let seconds = u64::try_from(at.timestamp()).unwrap_or(0).min(253_402_300_799);
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    HeaderValue::try_from(date).unwrap_or(HeaderValue::from_static(""))
}

fn ceil_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}

fn default_message(status: StatusCode) -> &'static str {
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
