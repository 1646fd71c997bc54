//! Builders for the tests of this crate and of crates that enable the feature `testing`.
//!
//! Times count from [`noon`], at which a test's clocks start.

#![expect(clippy::unwrap_used, reason = "a builder given invalid text is a mistake in the test")]

pub mod inputs;

use std::time::Duration;

use chrono::TimeDelta;

use crate::clock::{Moment, Timestamp, saturating_add};
use crate::session::{Region, Session, SessionId, Status};
use crate::tracker::RequestTiming;

/// Returns noon of the day used by most tests.
#[must_use]
pub fn noon() -> Timestamp {
    time("12:00:00")
}

/// Returns the time of day `text`, such as `21:04:00.5`, in UTC, on the day of [`noon`].
#[must_use]
pub fn time(text: &str) -> Timestamp {
    format!("2026-11-22T{text}Z").parse().unwrap()
}

/// Returns the time `seconds` after noon, or before noon if `seconds` is negative.
#[must_use]
pub fn at(seconds: impl Into<f64>) -> Timestamp {
    let seconds = seconds.into();
    let distance = TimeDelta::from_std(Duration::from_secs_f64(seconds.abs())).unwrap();
    if seconds < 0.0 { noon() - distance } else { noon() + distance }
}

/// Returns the reading of clocks that started at noon, `seconds` later.
#[must_use]
pub fn moment(seconds: impl Into<f64>) -> Moment {
    moment_since(noon(), seconds)
}

/// Returns the reading of clocks that started at `start`, `seconds` later.
#[must_use]
pub fn moment_since(start: Timestamp, seconds: impl Into<f64>) -> Moment {
    let elapsed = Duration::from_secs_f64(seconds.into());
    Moment { wall: saturating_add(start, elapsed), mono: elapsed, boot: elapsed }
}

/// Returns the timing of a request that was sent and answered at these seconds after noon. Its response has no `Date`.
#[must_use]
pub fn request_timing(sent: impl Into<f64>, received: impl Into<f64>) -> RequestTiming {
    RequestTiming { sent: moment(sent), received: moment(received), date: None, age: Duration::ZERO }
}

/// Returns the session id `text`, which must be valid.
#[must_use]
pub fn id(text: &str) -> SessionId {
    SessionId::parse(text).unwrap()
}

/// Returns a running session in us-west-2 with the id `text`, created and started at `started`. It has no keep-alive,
/// project, context or metadata.
#[must_use]
pub fn running_session(text: &str, started: Timestamp, timeout: Duration) -> Session {
    Session {
        id: id(text),
        project: None,
        status: Status::Running,
        created: Some(started),
        updated: Some(started),
        started: Some(started),
        ended: None,
        expires: Some(saturating_add(started, timeout)),
        proxy_bytes: Some(0),
        keep_alive: Some(false),
        context: None,
        region: Some(Region::UsWest2),
        metadata: None,
        connect: None,
        extra_fields: Vec::new(),
        extra_fields_dropped: 0,
    }
}

/// Returns a proptest configuration with 100 cases, or the number in `PROPTEST_CASES`.
#[must_use]
pub fn few_cases() -> proptest::test_runner::Config {
    let default_config = proptest::test_runner::Config::default();
    let is_count_set = std::env::var_os("PROPTEST_CASES").is_some();
    proptest::test_runner::Config {
        cases: if is_count_set { default_config.cases } else { 100 },
        ..default_config
    }
}
