//! What goes wrong, and when: one kind of fault after the other, in an order of chance, each for a few seconds, with time
//! between them to get over it.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::AGE;
use axum::http::{HeaderName, HeaderValue};

use super::super::chance::Chance;
use super::super::fault::{Fault, On, Refusal, RetryAfter, What};
use super::super::offset::Offset;
use super::super::session::Window;
use super::SECOND;

/// The longest that a fault lasts, in microseconds.
const LONGEST: i64 = 8 * SECOND;
/// From the end of one to the start of the next.
const BETWEEN: std::ops::Range<i64> = 8 * SECOND..24 * SECOND;

/// A kind of fault.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Status(StatusCode),
    /// A 429 that says when to try again.
    Wait(RetryAfter, u64),
    /// A 503 that does.
    Busy(u64),
    Hang,
    Html,
    Truncated,
    Dropped,
    Slow,
    Padded,
    /// A 502 that an intermediary kept for a day.
    Aged,
}

/// Each comes once, in whatever order, before any comes again.
const KINDS: [Kind; 26] = [
    Kind::Status(StatusCode::TOO_MANY_REQUESTS),
    Kind::Wait(RetryAfter::Seconds, 3000),
    Kind::Wait(RetryAfter::Date, 4000),
    Kind::Wait(RetryAfter::Ms, 1500),
    Kind::Busy(3000),
    Kind::Status(StatusCode::BAD_REQUEST),
    Kind::Status(StatusCode::UNAUTHORIZED),
    Kind::Status(StatusCode::PAYMENT_REQUIRED),
    Kind::Status(StatusCode::FORBIDDEN),
    Kind::Status(StatusCode::REQUEST_TIMEOUT),
    Kind::Status(StatusCode::CONFLICT),
    Kind::Status(StatusCode::IM_A_TEAPOT),
    Kind::Status(StatusCode::FOUND),
    Kind::Status(StatusCode::INTERNAL_SERVER_ERROR),
    Kind::Status(StatusCode::BAD_GATEWAY),
    Kind::Status(StatusCode::SERVICE_UNAVAILABLE),
    Kind::Status(StatusCode::GATEWAY_TIMEOUT),
    Kind::Hang,
    Kind::Html,
    Kind::Truncated,
    Kind::Truncated,
    Kind::Dropped,
    Kind::Dropped,
    Kind::Slow,
    Kind::Padded,
    Kind::Aged,
];

/// The faults from shortly after the start until `over`.
pub(super) fn faults(chance: &mut Chance, over: i64) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut at = 6 * SECOND;
    while at < over {
        for kind in shuffled(chance) {
            let to = at.saturating_add(chance.within(2 * SECOND..LONGEST));
            faults.push(fault(chance, kind, at, to));
            at = to.saturating_add(chance.within(BETWEEN));
        }
    }
    faults.retain(|fault| fault.window.from < Offset::from_micros(over));
    faults
}

fn shuffled(chance: &mut Chance) -> Vec<Kind> {
    let mut kinds: Vec<(u64, Kind)> = KINDS.iter().map(|kind| (chance.number(), *kind)).collect();
    kinds.sort_by_key(|(order, _)| *order);
    kinds.into_iter().map(|(_, kind)| kind).collect()
}

fn fault(chance: &mut Chance, kind: Kind, from: i64, to: i64) -> Fault {
    let on = match chance.below(4) {
        0 => On::List,
        1 => On::Retrieve,
        _ => On::All,
    };
    let few = chance.percent(20).then(|| 1 + u32::try_from(chance.below(3)).unwrap_or(0));
    let slow = Duration::from_millis(500 + chance.below(2500));
    let pad = chance.one_of(&[200_000, 2_000_000]); // of one session, the second is more than is taken
    let fault = Fault::new(on, what(kind));
    Fault {
        window: Window { from: Offset::from_micros(from), to: Offset::from_micros(to) },
        count: few,
        slow: if matches!(kind, Kind::Slow) { slow } else { fault.slow },
        pad: if matches!(kind, Kind::Padded) { pad } else { fault.pad },
        ..fault
    }
}

fn what(kind: Kind) -> What {
    let waits = |status, wait, form| {
        let retry_after = Some((Duration::from_millis(wait), form));
        What::Refusal(Box::new(Refusal { retry_after, ..Refusal::new(status) }))
    };
    match kind {
        Kind::Status(status) => What::Refusal(Box::new(Refusal::new(status))),
        Kind::Wait(form, wait) => waits(StatusCode::TOO_MANY_REQUESTS, wait, form),
        Kind::Busy(wait) => waits(StatusCode::SERVICE_UNAVAILABLE, wait, RetryAfter::Seconds),
        Kind::Hang => What::Hang,
        Kind::Html => What::Html,
        Kind::Truncated => What::Truncated,
        Kind::Dropped => What::Dropped,
        Kind::Slow | Kind::Padded => What::Truth,
        Kind::Aged => {
            let headers: Vec<(HeaderName, HeaderValue)> = vec![(AGE, HeaderValue::from_static("86400"))];
            let refusal = Refusal { headers, ..Refusal::new(StatusCode::BAD_GATEWAY) };
            What::Refusal(Box::new(refusal))
        }
    }
}
