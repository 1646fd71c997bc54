use super::*;
use crate::session::Status;
use crate::testing::{at as t, id};
use crate::text::Untrusted;
use crate::tracker::server_clock::TimeInterval;

fn sentence(kind: &EventKind) -> String {
    kind.sentence(Zone::Utc, t(0))
}

fn ended(said: Option<i32>, fits: bool, last_alive: Option<i32>) -> String {
    sentence(&EventKind::Ended {
        status: Status::Completed,
        ended_at: said.map(t),
        ended_at_fits: fits,
        last_alive: last_alive.map(|at| (t(at), Status::Running)),
    })
}

fn together(ids: &[&str]) -> EventKind {
    EventKind::EndedTogether {
        ids: ids.iter().map(|text| id(text)).collect(),
        spread: Duration::from_millis(1200),
    }
}

#[test]
fn an_end_says_what_speaks_against_its_time() {
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
fn since_when_it_may_have_happened_is_said_where_that_is_long_before_it_was_seen() {
    let said = |kind: EventKind, earliest: Option<i32>| {
        let when = TimeInterval { earliest: earliest.map(t), latest: t(60) };
        Event { id: None, when, learned_at: t(60), kind }.sentence(Zone::Utc, t(60))
    };
    assert_eq!(said(EventKind::TrafficStarted, Some(49)), "proxy traffic started (after 12:00:49)");
    assert_eq!(said(EventKind::TrafficStarted, Some(50)), "proxy traffic started");
    assert_eq!(said(EventKind::TrafficStarted, None), "proxy traffic started");
    let slept = EventKind::Slept(Duration::from_secs(60));
    assert_eq!(said(slept.clone(), Some(0)), sentence(&slept), "it says that itself");
}

#[test]
fn a_limit_of_the_api_has_a_name_of_its_own() {
    let name =
        |kind: ApiErrorKind| EventKind::PollsFailing { error: kind.into(), list: None, wait: None }.name();
    assert_eq!(name(ApiErrorKind::RateLimited), "rate_limited");
    assert_eq!(name(ApiErrorKind::Timeout), "polls_failing");
}

#[test]
fn sessions_that_ended_together_are_named_as_far_as_a_line_allows() {
    let names: Vec<String> = (0..MAX_NAMED_SESSIONS + 2).map(|at| format!("session-{at}")).collect();
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
fn what_happened_to_several_concerns_them_and_what_happened_to_this_machine_all() {
    let both = together(&["a", "b"]);
    assert!(both.concerns(&id("a")) && both.concerns(&id("b")) && !both.concerns(&id("c")));
    assert!(EventKind::Slept(Duration::from_secs(9)).concerns(&id("c")));
}

#[test]
fn a_clock_that_was_set_says_by_how_much_and_which_way() {
    for (by_ms, ours, theirs) in [
        (
            7_200_000,
            "this machine's clock was set forward by 2h 00m",
            "the API's clock went forward by 2h 00m",
        ),
        (-90_000, "this machine's clock was set back by 1m 30s", "the API's clock went back by 1m 30s"),
    ] {
        assert!(
            sentence(&EventKind::ClockSet { by_ms }).starts_with(ours),
            "{}",
            sentence(&EventKind::ClockSet { by_ms })
        );
        let said = sentence(&EventKind::ServerClockSet { by_ms });
        assert!(said.starts_with(theirs), "{said}");
    }
}

#[test]
fn a_failed_release_says_when_it_is_asked_again() {
    let error =
        crate::session::ApiError::from(crate::session::ApiErrorKind::ConnectionRefused(Untrusted::new("h")));
    let wait = Some(Duration::from_secs(6));
    let again = sentence(&EventKind::ReleaseFailed { error: error.clone(), wait });
    assert!(again.starts_with("release failed: ") && again.ends_with("; asked again in 6 s"), "{again}");
    assert!(!sentence(&EventKind::ReleaseFailed { error, wait: None }).contains("again"));
}
