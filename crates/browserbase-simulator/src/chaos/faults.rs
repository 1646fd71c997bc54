//! The faults of `chaos`: one after another in random order, each for a few seconds. Between two faults, a watcher has
//! time to recover.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::AGE;
use axum::http::{HeaderName, HeaderValue};

use super::super::fault::{ErrorResponse, Fault, FaultResponse, FaultTarget, RetryAfterFormat};
use super::super::rng::SeededRng;
use super::super::scenario_session::Window;
use super::super::scenario_time::Offset;
use super::SECOND;

/// The maximum duration of a fault.
const MAX_FAULT_MICROS: i64 = 8 * SECOND;
/// The time from the end of a fault to the start of the next.
const GAP_MICROS: std::ops::Range<i64> = 8 * SECOND..24 * SECOND;

/// A kind of fault.
#[derive(Clone, Copy, Debug)]
enum ChaosFault {
    /// An error with this status and without a retry delay.
    Status(StatusCode),
    /// A 429 with a retry delay of this many milliseconds, sent in this format.
    RateLimited(RetryAfterFormat, u64),
    /// A 503 with a retry delay of this many milliseconds.
    Unavailable(u64),
    /// No response. The connection stays open.
    Hang,
    /// A web page instead of the API's response.
    Html,
    /// The first half of the response.
    Truncated,
    /// No response. The connection closes.
    Dropped,
    /// The normal response, late.
    Slow,
    /// The normal response after many spaces.
    Padded,
    /// A 502 that an intermediary cached a day ago.
    CachedError,
}

/// The faults of one round. Each round has all of them, in random order. A fault listed twice occurs twice.
const ALL_FAULTS: [ChaosFault; 26] = [
    ChaosFault::Status(StatusCode::TOO_MANY_REQUESTS),
    ChaosFault::RateLimited(RetryAfterFormat::Seconds, 3000),
    ChaosFault::RateLimited(RetryAfterFormat::Date, 4000),
    ChaosFault::RateLimited(RetryAfterFormat::Ms, 1500),
    ChaosFault::Unavailable(3000),
    ChaosFault::Status(StatusCode::BAD_REQUEST),
    ChaosFault::Status(StatusCode::UNAUTHORIZED),
    ChaosFault::Status(StatusCode::PAYMENT_REQUIRED),
    ChaosFault::Status(StatusCode::FORBIDDEN),
    ChaosFault::Status(StatusCode::REQUEST_TIMEOUT),
    ChaosFault::Status(StatusCode::CONFLICT),
    ChaosFault::Status(StatusCode::IM_A_TEAPOT),
    ChaosFault::Status(StatusCode::FOUND),
    ChaosFault::Status(StatusCode::INTERNAL_SERVER_ERROR),
    ChaosFault::Status(StatusCode::BAD_GATEWAY),
    ChaosFault::Status(StatusCode::SERVICE_UNAVAILABLE),
    ChaosFault::Status(StatusCode::GATEWAY_TIMEOUT),
    ChaosFault::Hang,
    ChaosFault::Html,
    ChaosFault::Truncated,
    ChaosFault::Truncated,
    ChaosFault::Dropped,
    ChaosFault::Dropped,
    ChaosFault::Slow,
    ChaosFault::Padded,
    ChaosFault::CachedError,
];

/// Generates the faults from shortly after the start until `scenario_end`.
pub(super) fn generate(rng: &mut SeededRng, scenario_end: i64) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut at = 6 * SECOND;
    while at < scenario_end {
        for kind in shuffled_faults(rng) {
            let to = at.saturating_add(rng.in_range(2 * SECOND..MAX_FAULT_MICROS));
            faults.push(build_fault(rng, kind, at, to));
            at = to.saturating_add(rng.in_range(GAP_MICROS));
        }
    }
    faults.retain(|fault| fault.window.from < Offset::from_micros(scenario_end));
    faults
}

fn shuffled_faults(rng: &mut SeededRng) -> Vec<ChaosFault> {
    let mut kinds: Vec<(u64, ChaosFault)> = ALL_FAULTS.iter().map(|kind| (rng.next_u64(), *kind)).collect();
    kinds.sort_by_key(|(order, _)| *order);
    kinds.into_iter().map(|(_, kind)| kind).collect()
}

fn build_fault(rng: &mut SeededRng, kind: ChaosFault, from: i64, to: i64) -> Fault {
    let target = match rng.below(4) {
        0 => FaultTarget::List,
        1 => FaultTarget::Retrieve,
        _ => FaultTarget::All,
    };
    let count = rng.percent_chance(20).then(|| 1 + u32::try_from(rng.below(3)).unwrap_or(0));
    let delay = Duration::from_millis(500 + rng.below(2500));
    // 2,000,000 bytes exceed keepwatch's limit on the response about a single session.
    let padding = rng.choose(&[200_000, 2_000_000]);
    let fault = Fault::new(target, response_for(kind));
    Fault {
        window: Window { from: Offset::from_micros(from), to: Offset::from_micros(to) },
        count,
        delay: if matches!(kind, ChaosFault::Slow) { delay } else { fault.delay },
        padding: if matches!(kind, ChaosFault::Padded) { padding } else { fault.padding },
        ..fault
    }
}

fn response_for(kind: ChaosFault) -> FaultResponse {
    let error_with_retry = |status, wait_millis, format| {
        let retry_after = Some((Duration::from_millis(wait_millis), format));
        FaultResponse::Error(Box::new(ErrorResponse { retry_after, ..ErrorResponse::new(status) }))
    };
    match kind {
        ChaosFault::Status(status) => FaultResponse::Error(Box::new(ErrorResponse::new(status))),
        ChaosFault::RateLimited(format, wait_millis) => {
            error_with_retry(StatusCode::TOO_MANY_REQUESTS, wait_millis, format)
        }
        ChaosFault::Unavailable(wait_millis) => {
            error_with_retry(StatusCode::SERVICE_UNAVAILABLE, wait_millis, RetryAfterFormat::Seconds)
        }
        ChaosFault::Hang => FaultResponse::Hang,
        ChaosFault::Html => FaultResponse::Html,
        ChaosFault::Truncated => FaultResponse::Truncated,
        ChaosFault::Dropped => FaultResponse::Dropped,
        ChaosFault::Slow | ChaosFault::Padded => FaultResponse::Normal,
        ChaosFault::CachedError => {
            let headers: Vec<(HeaderName, HeaderValue)> = vec![(AGE, HeaderValue::from_static("86400"))];
            let error = ErrorResponse { headers, ..ErrorResponse::new(StatusCode::BAD_GATEWAY) };
            FaultResponse::Error(Box::new(error))
        }
    }
}
