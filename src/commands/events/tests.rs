use super::*;
use keepwatch_core::testing::{id, time as t};
use keepwatch_core::tracker::server_clock::TimeInterval;
use keepwatch_core::tracker::verdict::Evidence;

fn event(of: Option<&str>, kind: EventKind) -> Event {
    let seen = t("21:04:12.1");
    let id = of.map(id);
    Event { id, when: TimeInterval { earliest: None, latest: seen }, learned_at: seen, kind }
}

#[test]
fn a_line_for_people_has_the_time_the_session_and_what_happened() {
    let first = EventKind::FirstSeen { status: Status::Running, time_left: None, ended_at: None };
    let of_one = event(Some("6512bd43-d9ca-4e02-9a67-91f2c1a0b3de"), first);
    assert_eq!(
        text_lines(&of_one, None, Zone::Utc, false),
        "2026-11-22 21:04:12  6512bd43  first seen RUNNING\n"
    );
    let of_all = event(None, EventKind::Slept(std::time::Duration::from_secs(90)));
    assert_eq!(
        text_lines(&of_all, None, Zone::Utc, true),
        "2026-11-22 21:04:12  all       this machine slept for 1m 30s; what happened meanwhile was not seen\n"
    );
}

#[test]
fn an_end_is_followed_by_its_verdict() {
    let status = Status::Completed;
    let evidence = Evidence {
        status: Some(status.clone()),
        started: Some(t("21:04:02")),
        ended: Some(t("21:04:11.6")),
        expires: Some(t("21:19:02")),
        keep_alive: Some(true),
        ..Evidence::default()
    };
    let ended = EventKind::Ended {
        status: status.clone(),
        ended_at: Some(t("21:04:11.6")),
        ended_at_fits: true,
        last_alive: None,
    };
    let why = (status, evidence.verdict().unwrap());
    let lines = text_lines(&event(Some("s-1"), ended), Some(&why), Zone::Utc, false);
    assert_eq!(
        lines,
        "2026-11-22 21:04:12  s-1       COMPLETED (endedAt 21:04:11.6)\n\
         2026-11-22 21:04:12  s-1       likely: COMPLETED after 9.6 s, 14m 50s unused, keep-alive on: by the \
         rules no disconnect and no timeout; released through the API, browser closed, or a platform fault\n"
    );
}
