use super::*;
use keepwatch_core::session::{ApiErrorKind, Metadata, Session};
use keepwatch_core::testing::{id, moment, noon, request_timing, running_session, time};
use keepwatch_core::tracker::server_clock::TimeInterval;
use keepwatch_core::tracker::verdict::KnownFacts;
use keepwatch_core::tracker::{Input, Scope};

fn event(session: Option<&str>, kind: EventKind) -> Event {
    let at = time("21:04:12.1");
    let id = session.map(id);
    Event { id, when: TimeInterval { earliest: None, latest: at }, learned_at: at, kind }
}

#[test]
fn text_line_has_time_id_and_sentence() {
    let first_seen = EventKind::FirstSeen { status: Status::Running, time_left: None, ended_at: None };
    let session_event = event(Some("6512bd43-d9ca-4e02-9a67-91f2c1a0b3de"), first_seen);
    assert_eq!(
        text_lines(&session_event, None, "", Zone::Utc, false),
        "2026-11-22 21:04:12  6512bd43  first seen RUNNING\n"
    );
    let event_without_session = event(None, EventKind::Slept(std::time::Duration::from_secs(90)));
    assert_eq!(
        text_lines(&event_without_session, None, "", Zone::Utc, true),
        "2026-11-22 21:04:12  all       this machine slept for 1m 30s; what happened meanwhile was not seen\n"
    );
}

#[test]
fn verdict_follows_end() {
    let status = Status::Completed;
    let facts = KnownFacts {
        status: Some(status.clone()),
        started: Some(time("21:04:02")),
        ended: Some(time("21:04:11.6")),
        expires: Some(time("21:19:02")),
        keep_alive: Some(true),
        ..KnownFacts::default()
    };
    let ended = EventKind::Ended {
        status: status.clone(),
        ended_at: Some(time("21:04:11.6")),
        ended_at_fits: true,
        last_alive: None,
    };
    let ending = (status, facts.verdict().unwrap());
    let lines = text_lines(&event(Some("s-1"), ended), Some(&ending), "", Zone::Utc, false);
    assert_eq!(
        lines,
        "2026-11-22 21:04:12  s-1       COMPLETED (endedAt 21:04:11.6)\n\
         2026-11-22 21:04:12  s-1       likely: COMPLETED after 9.6 s, 14m 50s early, keep-alive on: Released via \
         API, browser closed, or platform fault; the API reports an orderly end, and gives no reason for it\n"
    );
}

#[test]
fn filter_reads_record_of_each_session() {
    let mut tracker = SessionTracker::default();
    tracker.apply(Input::SessionsNamed { at: moment(0), ids: vec![id("a"), id("b"), id("unseen")] });
    for (session_id, owner) in [("a", "nightly"), ("b", "growth")] {
        let metadata = Some(Metadata::new(&format!("{{\"owner\":\"{owner}\"}}")));
        tracker.apply(Input::SessionsReceived {
            at: request_timing(1, 2),
            scope: Scope::Session(id(session_id)),
            sessions: vec![Session {
                metadata,
                ..running_session(session_id, noon(), Duration::from_secs(900))
            }],
            malformed: 0,
        });
    }
    let together = |ids: &[&str]| EventKind::EndedTogether {
        ids: ids.iter().copied().map(id).collect(),
        spread: Duration::ZERO,
    };
    let failing = EventKind::PollsFailing { error: ApiErrorKind::RateLimited.into(), list: None, wait: None };
    for (filter, session, kind, expected) in [
        ("", Some("b"), EventKind::Unlisted, true),
        ("owner:nightly", Some("a"), EventKind::Unlisted, true),
        ("owner:nightly", Some("b"), EventKind::Unlisted, false),
        ("owner:nightly", Some("b"), failing.clone(), false),
        ("owner:nightly", Some("unseen"), EventKind::TrafficStarted, false),
        ("owner:nightly", None, failing, true),
        ("owner:nightly", None, EventKind::Slept(Duration::from_secs(90)), true),
        ("owner:nightly", None, EventKind::ServerClockSet { step_ms: 5000 }, true),
        ("owner:nightly", None, together(&["b", "a"]), true),
        ("owner:nightly", None, together(&["b", "unseen"]), false),
        ("profile:acme", Some("a"), EventKind::Unlisted, true),
        ("profile:staging", Some("a"), EventKind::Unlisted, false),
    ] {
        let parsed = Filter::parse_for_profiles(filter, true).unwrap();
        let event = event(session, kind);
        assert_eq!(passes(&parsed, &tracker, "acme", &event), expected, "{filter} {event:?}");
    }
}
