use super::*;
use crate::session::Status;
use crate::testing::{at, id};
use crate::text::Untrusted;
use crate::tracker::server_clock::TimeInterval;

fn sentence(kind: &EventKind) -> String {
    kind.sentence(Zone::Utc, at(0))
}

/// Returns the sentence of an end. The times are in seconds after noon.
fn ended(ended_at: Option<i32>, ended_at_fits: bool, last_alive: Option<i32>) -> String {
    sentence(&EventKind::Ended {
        status: Status::Completed,
        ended_at: ended_at.map(at),
        ended_at_fits,
        last_alive: last_alive.map(|seconds| (at(seconds), Status::Running)),
    })
}

/// Returns the event of an end cluster with a spread of 1.2 s.
fn together(ids: &[&str]) -> EventKind {
    EventKind::EndedTogether {
        ids: ids.iter().map(|text| id(text)).collect(),
        spread: Duration::from_millis(1200),
    }
}

#[test]
fn end_explains_doubtful_ended_at() {
    assert_eq!(ended(None, false, None), "COMPLETED (the API gives no endedAt)");
    assert_eq!(ended(Some(9), true, Some(10)), "COMPLETED (endedAt 12:00:09.0)");
    assert_eq!(
        ended(Some(9), false, Some(10)),
        "COMPLETED (endedAt 12:00:09.0, yet a later reply said RUNNING)"
    );
    assert_eq!(ended(Some(30), false, Some(10)), "COMPLETED (endedAt 12:00:30, later than it was seen)");
    assert_eq!(ended(Some(30), false, None), "COMPLETED (endedAt 12:00:30, later than it was seen)");
}

#[test]
fn wide_interval_states_earliest_time() {
    let event_sentence = |kind: EventKind, earliest: Option<i32>| {
        let when = TimeInterval { earliest: earliest.map(at), latest: at(60) };
        Event { id: None, when, learned_at: at(60), kind }.sentence(Zone::Utc, at(60))
    };
    assert_eq!(event_sentence(EventKind::TrafficStarted, Some(49)), "proxy traffic started (after 12:00:49)");
    assert_eq!(event_sentence(EventKind::TrafficStarted, Some(50)), "proxy traffic started");
    assert_eq!(event_sentence(EventKind::TrafficStarted, None), "proxy traffic started");
    let slept = EventKind::Slept(Duration::from_secs(60));
    assert_eq!(
        event_sentence(slept.clone(), Some(0)),
        sentence(&slept),
        "the sentence of a sleep states its duration instead"
    );
}

#[test]
fn rate_limit_has_its_own_name() {
    let name =
        |kind: ApiErrorKind| EventKind::PollsFailing { error: kind.into(), list: None, wait: None }.name();
    assert_eq!(name(ApiErrorKind::RateLimited), "rate_limited");
    assert_eq!(name(ApiErrorKind::Timeout), "polls_failing");
}

#[test]
fn end_cluster_names_four_sessions() {
    let names: Vec<String> = (0..MAX_NAMED_SESSIONS + 2).map(|number| format!("session-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let all = sentence(&together(&names[..MAX_NAMED_SESSIONS]));
    assert!(
        all.starts_with(&format!("{MAX_NAMED_SESSIONS} sessions ended within 1.2 s of each other: ")),
        "{all}"
    );
    assert!(all.ends_with(names[MAX_NAMED_SESSIONS - 1]), "{all}");
    let more = sentence(&together(&names));
    assert!(more.ends_with(" and 2 more"), "{more}");
}

#[test]
fn cluster_concerns_members_and_sleep_concerns_all() {
    let both = together(&["a", "b"]);
    assert!(both.concerns(&id("a")) && both.concerns(&id("b")) && !both.concerns(&id("c")));
    assert!(EventKind::Slept(Duration::from_secs(9)).concerns(&id("c")));
}

#[test]
fn clock_step_states_size_and_direction() {
    for (step_ms, local_start, server_start) in [
        (
            7_200_000,
            "this machine's clock was set forward by 2h 00m",
            "the API's clock went forward by 2h 00m",
        ),
        (-90_000, "this machine's clock was set back by 1m 30s", "the API's clock went back by 1m 30s"),
    ] {
        let local = sentence(&EventKind::ClockSet { step_ms });
        assert!(local.starts_with(local_start), "{local}");
        let server = sentence(&EventKind::ServerClockSet { step_ms });
        assert!(server.starts_with(server_start), "{server}");
    }
}

#[test]
fn failed_release_states_retry_delay() {
    let error =
        crate::session::ApiError::from(crate::session::ApiErrorKind::ConnectionRefused(Untrusted::new("h")));
    let wait = Some(Duration::from_secs(6));
    let with_retry = sentence(&EventKind::ReleaseFailed { error: error.clone(), wait });
    assert!(
        with_retry.starts_with("release failed: ") && with_retry.ends_with("; asked again in 6 s"),
        "{with_retry}"
    );
    let without_retry = sentence(&EventKind::ReleaseFailed { error, wait: None });
    assert!(!without_retry.contains("again"), "a release without a retry states no delay: {without_retry}");
}
