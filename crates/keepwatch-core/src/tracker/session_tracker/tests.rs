//! Unit tests of the session tracker. They apply inputs, and check the events and the records.

use std::time::Duration;

use super::*;
use crate::clock::{Timestamp, Zone};
use crate::session::{ApiErrorKind, List, Metadata, Session, Status};
use crate::testing::{at, id, moment, request_timing, running_session};
use crate::text::Untrusted;
use crate::tracker::health::MAX_FAILURES;
use crate::tracker::{Alert, Presence, TimeLeft};

mod alerting;
mod clients;
mod contradictions;
mod day;

const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Returns a session that started at noon with a timeout of 15 minutes.
fn session(id_text: &str, status: Status) -> Session {
    Session { status, ..running_session(id_text, at(0.0), TIMEOUT) }
}

/// Returns a session that started at noon with a timeout of 15 minutes, and ended `seconds` after noon.
fn ended_session(id_text: &str, status: Status, seconds: f64) -> Session {
    Session { ended: Some(at(seconds)), ..session(id_text, status) }
}

/// Returns a response about one session. The times are in seconds after noon.
fn session_response(sent: f64, received: f64, session: Session) -> Input {
    let scope = Scope::Session(session.id.clone());
    Input::SessionsReceived {
        at: request_timing(sent, received),
        scope,
        sessions: vec![session],
        malformed: 0,
    }
}

/// Returns a response about one session, sent `seconds` after noon. Its `Date` is `ahead` seconds ahead of our clock.
fn dated_response(seconds: f64, ahead: f64, session: Session) -> Input {
    let date = Some(at((seconds + ahead).floor()));
    Input::SessionsReceived {
        at: RequestTiming { date, ..request_timing(seconds, seconds + 0.1) },
        scope: Scope::Session(session.id.clone()),
        sessions: vec![session],
        malformed: 0,
    }
}

/// Returns a response with a list of sessions that have the list's status.
fn list_response(list: List, sent: f64, received: f64, id_texts: &[&str]) -> Input {
    let sessions = id_texts.iter().map(|id_text| session(id_text, list.status())).collect();
    Input::SessionsReceived {
        at: request_timing(sent, received),
        scope: Scope::List(list),
        sessions,
        malformed: 0,
    }
}

fn not_found_response(id_text: &str, sent: f64, received: f64) -> Input {
    Input::SessionNotFound {
        at: request_timing(sent, received),
        id: id(id_text),
        error: ApiErrorKind::NotFound.into(),
        next: None,
    }
}

fn failed_request(scope: Scope, sent: f64, received: f64, kind: ApiErrorKind) -> Input {
    Input::RequestFailed { at: request_timing(sent, received), scope, error: kind.into(), next: None }
}

fn connection_refused() -> ApiErrorKind {
    ApiErrorKind::ConnectionRefused(Untrusted::new("h"))
}

/// Returns a tracker of sessions that the user named.
fn tracker_with_named(id_texts: &[&str]) -> SessionTracker {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    let ids = id_texts.iter().map(|id_text| id(id_text)).collect();
    tracker.apply(Input::SessionsNamed { at: moment(0.0), ids });
    tracker
}

/// Applies an input and returns the kinds of its events.
fn apply(tracker: &mut SessionTracker, input: Input) -> Vec<EventKind> {
    tracker.apply(input).events.into_iter().map(|event| event.kind).collect()
}

/// Returns the `FirstSeen` event of a session that has not ended. A running session has `seconds_left` seconds left.
fn first_seen(status: Status, seconds_left: f64) -> EventKind {
    let time_left = (status == Status::Running).then_some(Duration::from_secs_f64(seconds_left));
    EventKind::FirstSeen { status, time_left, ended_at: None }
}

/// Returns the names of events.
fn names(events: &[EventKind]) -> Vec<&'static str> {
    events.iter().map(EventKind::name).collect()
}

fn presence<'a>(tracker: &'a SessionTracker, id_text: &str) -> &'a Presence {
    &tracker.get(&id(id_text)).unwrap().presence
}

#[test]
fn named_session_is_first_seen_once() {
    let mut tracker = tracker_with_named(&["a"]);
    assert_eq!(presence(&tracker, "a"), &Presence::NoResponseYet);
    let events = apply(&mut tracker, session_response(1.0, 1.2, session("a", Status::Running)));
    // 898.8 s is the timeout of 15 minutes minus 1.2 s.
    assert_eq!(events, [first_seen(Status::Running, 898.8)]);
    assert_eq!(apply(&mut tracker, session_response(4.0, 4.2, session("a", Status::Running))), []);
    let record = tracker.get(&id("a")).unwrap();
    assert_eq!(
        (record.first_response(), record.last_response(), record.responses),
        (Some(request_timing(1.0, 1.2)), Some(request_timing(4.0, 4.2)), 2)
    );
}

#[test]
fn stale_response_is_ignored() {
    let mut tracker = tracker_with_named(&["a"]);
    tracker.apply(session_response(4.0, 4.2, ended_session("a", Status::Completed, 4.1)));
    tracker.apply(failed_request(Scope::Session(id("a")), 4.5, 4.6, ApiErrorKind::Timeout));
    assert_eq!(apply(&mut tracker, session_response(3.0, 9.0, session("a", Status::Running))), []);
    assert_eq!(apply(&mut tracker, not_found_response("a", 3.0, 9.0)), []);
    let record = tracker.get(&id("a")).unwrap();
    assert_eq!((record.status(), record.ended.is_some()), (Some(&Status::Completed), true));
    assert_eq!(record.last_response(), Some(request_timing(4.0, 4.2)));
    assert!(record.failure_streak.is_some(), "a stale response does not end a newer failure");
}

#[test]
fn end_lies_between_two_responses() {
    // `endedAt`, the expected bounds of the end, and whether `endedAt` fits. Times are in seconds after noon.
    for (ended_at, (earliest, latest), fits) in [
        (None, (Some(4.0), 7.5), false),
        (Some(6.0), (Some(6.0), 6.0), true),
        (Some(4.0), (Some(4.0), 4.0), true),
        (Some(7.5), (Some(7.5), 7.5), true),
        (Some(3.0), (Some(4.0), 7.5), false),
        (Some(8.0), (Some(4.0), 7.5), false),
    ] {
        let mut tracker = tracker_with_named(&["a"]);
        tracker.apply(session_response(1.0, 1.2, session("a", Status::Running)));
        tracker.apply(session_response(4.0, 4.2, session("a", Status::Running)));
        let end = Session { ended: ended_at.map(at), ..session("a", Status::TimedOut) };
        let events = tracker.apply(session_response(7.0, 7.5, end)).events;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].kind.name(), "ended");
        let expected = TimeInterval { earliest: earliest.map(at), latest: at(latest) };
        assert_eq!(events[0].when, expected, "{ended_at:?}");
        let ended = tracker.get(&id("a")).unwrap().ended.clone().unwrap();
        assert_eq!(
            (ended.when, ended.ended_at_fits, ended.first_response),
            (expected, fits, request_timing(7.0, 7.5))
        );
    }
}

#[test]
fn end_before_first_response_is_no_event() {
    let mut tracker = tracker_with_named(&["a", "b"]);
    let events = apply(&mut tracker, session_response(4.0, 4.2, ended_session("a", Status::Error, 2.0)));
    assert_eq!(names(&events), ["first_seen", "flagged"], "an end before the first response is no event");
    tracker.apply(session_response(4.0, 4.2, session("b", Status::Completed)));
    let (a, b) = (tracker.get(&id("a")).unwrap(), tracker.get(&id("b")).unwrap());
    assert_eq!(a.ended.as_ref().unwrap().when, TimeInterval { earliest: Some(at(2.0)), latest: at(2.0) });
    assert_eq!(
        (a.duration(), a.unused()),
        (Some(Duration::from_secs(2)), Some(TIMEOUT - Duration::from_secs(2)))
    );
    assert_eq!(b.ended.as_ref().unwrap().when.earliest, None);
    assert_eq!((b.ended_at(), b.duration(), b.unused(), b.age(at(9.0))), (None, None, None, None));
}

#[test]
fn missing_ended_at_uses_receipt_of_response() {
    let mut tracker = tracker_with_named(&["a"]);
    tracker.apply(session_response(1.0, 1.2, session("a", Status::Running)));
    tracker.apply(session_response(4.0, 4.2, session("a", Status::Completed)));
    let record = tracker.get(&id("a")).unwrap();
    assert_eq!(record.ended_at(), Some(at(4.2)));
    assert_eq!(record.duration(), Some(Duration::from_secs_f64(4.2)));
}

#[test]
fn retracted_end_is_contradicted() {
    let mut tracker = tracker_with_named(&["a"]);
    tracker.apply(session_response(1.0, 1.2, session("a", Status::Running)));
    tracker.apply(session_response(4.0, 4.2, session("a", Status::Completed)));
    let contradiction = apply(&mut tracker, session_response(7.0, 7.2, session("a", Status::Running)));
    assert_eq!(contradiction, [EventKind::Contradicted { from: Status::Completed, to: Status::Running }]);
    let record = tracker.get(&id("a")).unwrap();
    assert_eq!((record.ended.is_none(), record.is_final()), (true, false));
    assert_eq!(
        record.time_left(tracker.clock(), at(10.0)),
        TimeLeft::Remaining(TIMEOUT - Duration::from_secs(10))
    );
    let second_end = apply(&mut tracker, session_response(9.0, 9.2, session("a", Status::Error)));
    assert_eq!(names(&second_end), ["ended", "flagged"]);
    let changed = apply(&mut tracker, session_response(9.5, 9.6, session("a", Status::TimedOut)));
    assert_eq!(
        changed,
        [EventKind::StatusChanged { from: Status::Error, to: Status::TimedOut }],
        "a change between final statuses is no second end"
    );
    assert_eq!(
        tracker.get(&id("a")).unwrap().ended.as_ref().unwrap().first_response,
        request_timing(9.0, 9.2)
    );
}

#[test]
fn unlisted_session_is_confirmed_then_returns() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    tracker.apply(list_response(List::Running, 1.0, 1.2, &["a", "b"]));
    assert_eq!(
        apply(&mut tracker, list_response(List::Running, 4.0, 4.2, &["b"])),
        [],
        "the event waits until the session itself is requested"
    );
    assert_eq!(presence(&tracker, "a"), &Presence::Unlisted { since: moment(4.2), confirmed: false });
    assert_eq!(presence(&tracker, "b"), &Presence::Present);
    assert_eq!(
        apply(&mut tracker, session_response(4.3, 4.5, session("a", Status::Running))),
        [EventKind::Unlisted]
    );
    assert_eq!(presence(&tracker, "a"), &Presence::Unlisted { since: moment(4.2), confirmed: true });
    assert_eq!(apply(&mut tracker, list_response(List::Running, 7.0, 7.2, &["b"])), []);
    assert_eq!(
        apply(&mut tracker, session_response(7.5, 7.6, session("a", Status::Running))),
        [],
        "the event is recorded once"
    );
    assert_eq!(apply(&mut tracker, list_response(List::Running, 10.0, 10.2, &["a", "b"])), []);
    assert_eq!(presence(&tracker, "a"), &Presence::Present);
}

#[test]
fn unlisted_session_is_resolved_by_request() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    tracker.apply(list_response(List::Running, 1.0, 1.2, &["a", "b"]));
    tracker.apply(list_response(List::Running, 4.0, 4.2, &[]));
    let ended = apply(&mut tracker, session_response(4.3, 4.5, ended_session("a", Status::Completed, 3.0)));
    assert_eq!(names(&ended), ["ended"]);
    assert_eq!(presence(&tracker, "a"), &Presence::Present);
    let not_found = apply(&mut tracker, not_found_response("b", 4.3, 4.5));
    assert_eq!(not_found, [EventKind::NotFound(ApiErrorKind::NotFound.into())]);
    assert!(tracker.get(&id("b")).unwrap().is_final());
}

#[test]
fn unlisted_sessions_are_evicted_oldest_first() {
    let mut tracker = tracker_with_named(&["named"]);
    let id_texts = |prefix: &str| (0..6_000).map(|number| format!("{prefix}-{number}")).collect::<Vec<_>>();
    let running = |sent: f64, texts: &[String]| {
        list_response(List::Running, sent, sent + 0.2, &texts.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (mut old, new) = (id_texts("old"), id_texts("new"));
    old.push("named".into());
    tracker.apply(running(1.0, &old));
    tracker.apply(running(4.0, &new));
    assert_eq!(tracker.len(), 12_001, "the limit is not reached yet");
    tracker.apply(session_response(4.3, 4.4, ended_session("old-7", Status::Completed, 3.0)));
    tracker.apply(running(7.0, &[]));
    let has = |text: &String| tracker.get(&id(text)).is_some();
    assert_eq!(
        (tracker.evictable_unlisted.len(), tracker.len()),
        (List::max_unlisted(old.len()), List::max_unlisted(old.len()) + 2),
        "the limit does not count the named session and the one that ended"
    );
    assert!(has(&"named".into()) && has(&"old-7".into()) && new.iter().all(has));
}

/// 500 sessions are listed, and all of them are replaced every three seconds.
#[test]
fn turnover_of_few_sessions_keeps_few_unlisted_ones() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    for round in 0..20_u32 {
        let seconds = f64::from(round) * 3.0 + 1.0;
        let listed = (0..500).map(|number| session(&format!("s-{round}-{number}"), Status::Running));
        tracker.apply(Input::SessionsReceived {
            at: request_timing(seconds, seconds + 0.2),
            scope: Scope::List(List::Running),
            sessions: listed.collect(),
            malformed: 0,
        });
    }
    assert_eq!(tracker.len(), 500 + List::max_unlisted(500));
    assert_eq!(
        [0, 2_000, 3_000, 60_000].map(List::max_unlisted),
        [2_000, 2_000, 3_000, 10_000],
        "the limit is the length of the longest list, but from 2,000 to 10,000"
    );
}

#[test]
fn session_named_after_it_left_its_list_stays() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    let running = |sent: f64, sessions: Vec<Session>| Input::SessionsReceived {
        at: request_timing(sent, sent + 0.2),
        scope: Scope::List(List::Running),
        sessions,
        malformed: 0,
    };
    tracker.apply(running(1.0, vec![session("late", Status::Running)]));
    tracker.apply(running(4.0, Vec::new()));
    tracker.apply(Input::SessionsNamed { at: moment(5.0), ids: vec![id("late")] });
    let many = (0..List::MAX_UNLISTED + 9).map(|number| session(&format!("s-{number}"), Status::Running));
    tracker.apply(running(7.0, many.collect()));
    tracker.apply(running(10.0, Vec::new()));
    assert!(tracker.get(&id("late")).is_some());
}

#[test]
fn unlisted_sessions_of_unknown_status_are_bounded() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    let unknown: Vec<Session> = (0..List::MAX_UNLISTED + 50)
        .map(|number| session(&format!("s-{number}"), Status::from_api("FROZEN")))
        .collect();
    let running = |sent: f64, sessions: &[Session]| Input::SessionsReceived {
        at: request_timing(sent, sent + 0.2),
        scope: Scope::List(List::Running),
        sessions: sessions.to_vec(),
        malformed: 0,
    };
    for seconds in [1.0, 4.0, 7.0, 10.0, 13.0, 16.0, 19.0, 22.0, 25.0, 28.0] {
        tracker.apply(running(seconds, &unknown));
    }
    assert_eq!(tracker.len(), unknown.len(), "listed sessions stay");
    // Ten lists are more than `MIN_LISTS_MISSED`.
    for seconds in [31.0, 34.0, 37.0, 40.0, 43.0, 46.0, 49.0, 52.0, 55.0, 58.0] {
        tracker.apply(running(seconds, &[]));
    }
    assert_eq!(tracker.len(), List::MAX_UNLISTED);
}

#[test]
fn ended_sessions_of_unknown_status_are_bounded() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    let unknown = Status::from_api("ARCHIVED");
    for number in 0..MAX_FINAL_SESSIONS + 9 {
        let id_text = format!("s-{number}");
        tracker.apply(session_response(1.0, 1.2, session(&id_text, Status::Running)));
        tracker.apply(session_response(4.0, 4.2, ended_session(&id_text, unknown.clone(), 3.0)));
    }
    assert_eq!(tracker.len(), MAX_FINAL_SESSIONS);
    tracker.apply(session_response(1.0, 1.2, session("no-end", unknown)));
    assert!(
        !tracker.get(&id("no-end")).unwrap().is_final(),
        "a session of unknown status is final only with `endedAt`"
    );
}

#[test]
fn not_found_sessions_are_bounded() {
    let mut tracker = tracker_with_named(&["named"]);
    tracker.apply(session_response(1.0, 1.2, session("named", Status::Running)));
    tracker.apply(not_found_response("named", 2.0, 2.2));
    // The session "again" ends and runs again, so it is not final.
    tracker.apply(session_response(1.0, 1.2, ended_session("again", Status::Completed, 0.5)));
    tracker.apply(session_response(2.0, 2.2, session("again", Status::Running)));
    for number in 0..MAX_FINAL_SESSIONS + 9 {
        let id_text = format!("s-{number}");
        tracker.apply(session_response(3.0, 3.2, session(&id_text, Status::Running)));
        tracker.apply(not_found_response(&id_text, 4.0, 4.2));
    }
    assert!(tracker.get(&id("named")).is_some() && tracker.get(&id("again")).is_some());
    assert!(tracker.len() <= MAX_FINAL_SESSIONS + 2, "{}", tracker.len());
    // 509 sessions were not found, from s-0 to s-508.
    assert!(tracker.get(&id("s-0")).is_none() && tracker.get(&id("s-508")).is_some());
}

#[test]
fn second_end_counts_for_eviction_order() {
    fn end_others(tracker: &mut SessionTracker, numbers: std::ops::Range<usize>) {
        for number in numbers {
            tracker.apply(session_response(6.0, 6.2, session(&format!("s-{number}"), Status::Completed)));
        }
    }
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    tracker.apply(session_response(1.0, 1.2, session("again", Status::Completed)));
    tracker.apply(session_response(2.0, 2.2, session("again", Status::Running)));
    end_others(&mut tracker, 0..9);
    tracker.apply(session_response(3.0, 3.2, session("again", Status::Completed)));
    end_others(&mut tracker, 9..MAX_FINAL_SESSIONS + 8);
    assert_eq!((tracker.len(), tracker.evictable_final.len()), (MAX_FINAL_SESSIONS, MAX_FINAL_SESSIONS));
    // Nine sessions above the limit were evicted. "again" is the tenth by its second end, and would be the first by its
    // first end.
    assert!(tracker.get(&id("s-8")).is_none() && tracker.get(&id("again")).is_some());
    end_others(&mut tracker, MAX_FINAL_SESSIONS + 8..MAX_FINAL_SESSIONS + 9);
    assert!(tracker.get(&id("again")).is_none() && tracker.get(&id("s-9")).is_some());
}

#[test]
fn verdict_uses_fields_and_responses() {
    // The session ends 300 s after its creation, which is `NEVER_CONNECTED`.
    let ended = |proxy_bytes| Session {
        created: Some(at(1.0)),
        keep_alive: Some(false),
        proxy_bytes,
        ..ended_session("a", Status::Completed, 301.0)
    };
    let verdict_name = |end_response: Input| {
        let mut tracker = tracker_with_named(&["a"]);
        tracker.apply(session_response(2.0, 2.2, session("a", Status::Running)));
        tracker.apply(end_response);
        tracker.verdict(&id("a")).unwrap().name()
    };
    assert_eq!(verdict_name(session_response(301.5, 302.0, ended(None))), "never_connected");
    assert_eq!(
        verdict_name(session_response(301.5, 302.0, ended(Some(7)))),
        "disconnected_or_closed",
        "proxy bytes show that a client was connected"
    );
    // Without a response that shows the session running, only its fields and the first response bound its end.
    let mut tracker = tracker_with_named(&["a"]);
    tracker.apply(session_response(10.0, 10.2, ended(None)));
    assert_eq!(
        tracker.verdict(&id("a")).unwrap().name(),
        "disconnected_or_closed",
        "an `endedAt` in the future is ignored"
    );
    let mut tracker = tracker_with_named(&["a"]);
    tracker.apply(session_response(310.0, 310.2, ended(None)));
    assert_eq!(tracker.verdict(&id("a")).unwrap().name(), "never_connected");
}

#[test]
fn sessions_with_incidents_are_evicted_last() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    let end = |tracker: &mut SessionTracker, name: &str, seconds: f64, status| {
        tracker.apply(session_response(seconds, seconds + 0.1, ended_session(name, status, seconds - 0.5)));
    };
    for number in 0..=MAX_INCIDENT_SESSIONS {
        end(&mut tracker, &format!("error{number}"), 1.0 + number as f64, Status::Error);
    }
    for number in 0..MAX_FINAL_SESSIONS {
        end(&mut tracker, &format!("s{number}"), 300.0 + number as f64, Status::Completed);
    }
    assert_eq!(tracker.len(), MAX_FINAL_SESSIONS + MAX_INCIDENT_SESSIONS);
    assert!(tracker.get(&id("error0")).is_none(), "the oldest incident above the limit is evicted");
    assert!(tracker.get(&id("error1")).is_some_and(|record| record.has_incident()));
}

#[test]
fn evicted_session_does_not_return_from_list() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    let sessions: Vec<Session> = (0..MAX_FINAL_SESSIONS + 100)
        .map(|number| ended_session(&format!("s-{number}"), Status::Completed, 0.5))
        .collect();
    let listed = |sent: f64| Input::SessionsReceived {
        at: request_timing(sent, sent + 0.2),
        scope: Scope::List(List::Running),
        sessions: sessions.clone(),
        malformed: 0,
    };
    assert_eq!(tracker.apply(listed(1.0)).events.len(), MAX_FINAL_SESSIONS);
    assert_eq!((tracker.apply(listed(4.0)), tracker.len()), (AppliedChanges::default(), MAX_FINAL_SESSIONS));
}

#[test]
fn session_starting_between_lists_is_not_unlisted() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    tracker.apply(list_response(List::Pending, 1.0, 1.2, &["a"]));
    tracker.apply(list_response(List::Running, 1.0, 1.3, &[]));
    assert_eq!(
        presence(&tracker, "a"),
        &Presence::Present,
        "the running list does not contain pending sessions"
    );
    let started = apply(&mut tracker, list_response(List::Running, 4.0, 4.2, &["a"]));
    assert_eq!(started, [EventKind::StatusChanged { from: Status::Pending, to: Status::Running }]);
    assert_eq!(apply(&mut tracker, list_response(List::Pending, 10.0, 10.2, &[])), []);
    assert_eq!(presence(&tracker, "a"), &Presence::Present);
    // Neither list of a round contains a session that starts during the round.
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    tracker.apply(list_response(List::Pending, 1.0, 1.2, &["a"]));
    tracker.apply(list_response(List::Running, 10.0, 10.1, &[]));
    tracker.apply(list_response(List::Pending, 10.0, 10.2, &[]));
    let started = apply(&mut tracker, session_response(10.3, 10.4, session("a", Status::Running)));
    assert_eq!(started, [EventKind::StatusChanged { from: Status::Pending, to: Status::Running }]);
    assert_eq!(presence(&tracker, "a"), &Presence::Present, "no running list was requested since it started");
    tracker.apply(list_response(List::Running, 13.0, 13.2, &[]));
    assert_eq!(
        apply(&mut tracker, session_response(13.3, 13.4, session("a", Status::Running))),
        [EventKind::Unlisted]
    );
}

#[test]
fn stale_list_does_not_unlist_sessions() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    tracker.apply(session_response(4.0, 4.2, session("a", Status::Running)));
    tracker.apply(list_response(List::Running, 3.0, 9.0, &[]));
    assert_eq!(presence(&tracker, "a"), &Presence::Present);
}

#[test]
fn not_found_is_recorded_once() {
    let mut tracker = tracker_with_named(&["a", "never"]);
    tracker.apply(session_response(1.0, 1.2, session("a", Status::Running)));
    assert_eq!(apply(&mut tracker, not_found_response("a", 4.0, 4.2)).len(), 1);
    assert_eq!(apply(&mut tracker, not_found_response("a", 7.0, 7.2)).len(), 0);
    assert!(
        matches!(presence(&tracker, "a"), Presence::NotFound(not_found) if not_found.since == request_timing(4.0, 4.2))
    );
    let record = tracker.get(&id("a")).unwrap();
    assert_eq!((record.time_left(tracker.clock(), at(8.0)), record.age(at(8.0))), (TimeLeft::Unknown, None));
    assert!(!record.is_final(), "a named session may still appear");
    tracker.apply(session_response(9.0, 9.2, session("a", Status::Running)));
    assert_eq!(presence(&tracker, "a"), &Presence::Present);
    assert_eq!(apply(&mut tracker, not_found_response("never", 4.0, 4.2)).len(), 1);
    assert_eq!(apply(&mut tracker, not_found_response("unknown", 4.0, 4.2)), []);
    assert_eq!(tracker.len(), 2);
}

#[test]
fn failure_of_one_session_concerns_no_other() {
    let mut tracker = tracker_with_named(&["a", "b"]);
    for count in 1..=3 {
        let seconds = f64::from(count) * 3.0;
        let events = apply(
            &mut tracker,
            failed_request(Scope::Session(id("a")), seconds, seconds + 0.1, ApiErrorKind::Timeout),
        );
        assert_eq!(events.len(), usize::from(count == 1), "one event per streak");
        assert_eq!(tracker.get(&id("a")).unwrap().failure_streak.as_ref().unwrap().count, count);
    }
    assert!(tracker.get(&id("b")).unwrap().failure_streak.is_none());
    assert!(tracker.health().failure_streak.is_none());
    assert_eq!(
        tracker.health().current_error(),
        Some(&ApiErrorKind::Timeout.into()),
        "the error of the newest poll is current"
    );
    tracker.apply(session_response(9.5, 9.6, session("b", Status::Running)));
    assert_eq!(tracker.health().current_error(), None);
    let recovered = apply(&mut tracker, session_response(12.0, 12.1, session("a", Status::Running)));
    assert_eq!(names(&recovered), ["polls_recovered", "first_seen"]);
    assert!(tracker.get(&id("a")).unwrap().failure_streak.is_none());
}

#[test]
fn any_success_ends_failure_of_all() {
    let mut tracker = tracker_with_named(&["a", "b", "c"]);
    assert_eq!(
        apply(&mut tracker, failed_request(Scope::Session(id("a")), 0.0, 1.0, connection_refused())).len(),
        1
    );
    assert_eq!(
        apply(&mut tracker, failed_request(Scope::Session(id("b")), 0.0, 1.1, connection_refused())),
        []
    );
    assert_eq!(
        tracker.health().failure_streak.as_ref().unwrap().count,
        1,
        "polls that are in flight together count once"
    );
    assert_eq!(
        apply(&mut tracker, failed_request(Scope::Session(id("b")), 7.0, 7.1, connection_refused())),
        []
    );
    assert_eq!(tracker.health().failure_streak.as_ref().unwrap().count, 2);
    let events = apply(&mut tracker, session_response(6.9, 7.5, session("c", Status::Running)));
    assert_eq!(
        names(&events),
        ["first_seen"],
        "a success does not end the failure if its request was sent before the failure"
    );
    assert_eq!(tracker.health().current_error(), Some(&connection_refused().into()));
    let recovered = apply(&mut tracker, session_response(19.0, 19.1, session("c", Status::Running)));
    assert_eq!(names(&recovered), ["polls_recovered"]);
    assert!(tracker.health().failure_streak.is_none() && tracker.health().current_error().is_none());
    assert_eq!(tracker.health().last_success, Some(request_timing(19.0, 19.1)));
}

#[test]
fn error_response_proves_api_reachable() {
    let mut tracker = tracker_with_named(&["a", "b"]);
    tracker.apply(failed_request(Scope::Session(id("a")), 0.0, 1.0, connection_refused()));
    tracker.apply(failed_request(Scope::Session(id("b")), 0.0, 2.0, ApiErrorKind::Server(500)));
    assert!(
        tracker.health().failure_streak.is_some(),
        "a response to a request sent before the failure proves nothing"
    );
    tracker.apply(failed_request(Scope::Session(id("b")), 7.0, 7.1, ApiErrorKind::Server(500)));
    assert!(tracker.health().failure_streak.is_none());
    tracker.apply(failed_request(Scope::Session(id("a")), 8.0, 8.1, connection_refused()));
    assert_eq!(
        names(&apply(&mut tracker, not_found_response("b", 9.0, 9.1))),
        ["polls_recovered", "not_found"]
    );
    assert!(tracker.health().failure_streak.is_none(), "a 404 also proves that the API is reachable");
}

#[test]
fn only_same_list_ends_list_failure() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    let scope = Scope::List(List::Running);
    assert_eq!(apply(&mut tracker, failed_request(scope, 0.0, 0.1, ApiErrorKind::Server(500))).len(), 1);
    assert_eq!(apply(&mut tracker, list_response(List::Pending, 3.0, 3.1, &[])), []);
    assert!(tracker.health().failure_streak.is_some());
    assert_eq!(names(&apply(&mut tracker, list_response(List::Running, 6.0, 6.1, &[]))), ["polls_recovered"]);
}

#[test]
fn pending_list_does_not_refresh_running_list() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    let last_success = |tracker: &SessionTracker| tracker.health().last_success.map(|timing| timing.received);
    tracker.apply(list_response(List::Running, 0.0, 0.1, &["a"]));
    tracker.apply(failed_request(Scope::List(List::Running), 3.0, 3.1, ApiErrorKind::Server(500)));
    tracker.apply(list_response(List::Pending, 4.0, 4.1, &[]));
    assert_eq!(last_success(&tracker), Some(moment(0.1)));
    tracker.apply(list_response(List::Running, 6.0, 6.1, &["a"]));
    assert_eq!(last_success(&tracker), Some(moment(6.1)));
}

#[test]
fn malformed_elements_are_summed_over_lists() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    for (list, malformed, sum) in
        [(List::Running, 2, 2), (List::Pending, 1, 3), (List::Running, 0, 1), (List::Pending, 0, 0)]
    {
        let scope = Scope::List(list);
        tracker.apply(Input::SessionsReceived {
            at: request_timing(0.0, 0.1),
            scope,
            sessions: vec![],
            malformed,
        });
        assert_eq!(tracker.health().malformed, sum);
    }
}

#[test]
fn newest_final_sessions_stay() {
    let mut tracker = tracker_with_named(&["named-a", "named-b"]);
    tracker.apply(session_response(0.0, 0.1, session("named-a", Status::Completed)));
    for number in 0..10_000_u32 {
        let seconds = f64::from(number);
        tracker.apply(session_response(
            seconds,
            seconds + 0.1,
            session(&format!("s{number}"), Status::Completed),
        ));
    }
    tracker.apply(session_response(10_000.0, 10_000.1, session("named-b", Status::Completed)));
    assert_eq!(tracker.len(), MAX_FINAL_SESSIONS + 2);
    assert_eq!(tracker.evictable_final.len(), MAX_FINAL_SESSIONS);
    for kept in ["named-a", "named-b", "s9999", "s9500"] {
        assert!(tracker.get(&id(kept)).is_some(), "{kept}");
    }
    assert!(tracker.get(&id("s9499")).is_none());
}

#[test]
fn repeated_ends_evict_no_other_session() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    tracker.apply(session_response(0.0, 0.1, ended_session("quiet", Status::Error, 0.0)));
    for round in 1..2_000_u32 {
        let seconds = f64::from(round);
        tracker.apply(session_response(seconds, seconds + 0.1, session("loud", Status::Running)));
        tracker.apply(session_response(seconds + 0.5, seconds + 0.6, session("loud", Status::Completed)));
    }
    assert_eq!((tracker.len(), tracker.evictable_final.len()), (2, 2));
}

#[test]
fn past_failures_are_bounded() {
    let mut tracker = tracker_with_named(&["a"]);
    for number in 0..10_000_u32 {
        let seconds = f64::from(number);
        tracker.apply(failed_request(Scope::Session(id("a")), seconds, seconds + 0.1, ApiErrorKind::Timeout));
    }
    assert_eq!(tracker.health().failures.len(), MAX_FAILURES);
    assert_eq!(tracker.health().failures.back().unwrap().at, request_timing(9999.0, 9999.1));
}

#[test]
fn list_keeps_connect_fields_but_not_owner() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    let connect = Some(crate::session::ConnectFields { connect_url: true, ..Default::default() });
    let metadata = Some(Metadata::new(r#"{"name":"checkout"}"#));
    tracker.apply(session_response(0.0, 0.1, Session { connect, metadata, ..session("a", Status::Running) }));
    assert_eq!(tracker.get(&id("a")).unwrap().owner, Some(Untrusted::new("checkout")));
    tracker.apply(list_response(List::Running, 1.0, 1.1, &["a"]));
    let record = tracker.get(&id("a")).unwrap();
    assert_eq!(record.session.as_ref().unwrap().connect, connect);
    assert_eq!(record.owner, None, "the owner follows the newest metadata");
}

#[test]
fn response_belongs_to_requested_id() {
    let mut tracker = tracker_with_named(&["a"]);
    let input = Input::SessionsReceived {
        at: request_timing(0.0, 0.1),
        scope: Scope::Session(id("a")),
        sessions: vec![session("another", Status::Running)],
        malformed: 0,
    };
    tracker.apply(input);
    assert_eq!(tracker.len(), 1);
    assert_eq!(tracker.get(&id("a")).unwrap().status(), Some(&Status::Running));
}

#[test]
fn byte_changes_are_counted_separately() {
    let mut tracker = tracker_with_named(&["a"]);
    let with_bytes = |bytes| Session { proxy_bytes: Some(bytes), ..session("a", Status::Running) };
    apply(&mut tracker, session_response(1.0, 1.1, with_bytes(7)));
    apply(&mut tracker, session_response(2.0, 2.1, with_bytes(9)));
    let counters = tracker.change_counters();
    assert_ne!(
        counters.sessions,
        tracker_with_named(&["a"]).change_counters().sessions,
        "the first response is a change"
    );
    apply(&mut tracker, session_response(3.0, 3.1, with_bytes(9)));
    assert_eq!(tracker.change_counters(), counters, "an equal response is no change");
    apply(&mut tracker, session_response(4.0, 4.1, with_bytes(11)));
    let new_counters = tracker.change_counters();
    assert_eq!(new_counters.sessions, counters.sessions);
    assert_ne!(new_counters.bytes, counters.bytes);
    apply(&mut tracker, session_response(4.5, 4.6, Session { updated: Some(at(4.5)), ..with_bytes(11) }));
    assert_eq!(
        tracker.change_counters().sessions,
        new_counters.sessions,
        "a change of `updatedAt` counts as a change of bytes"
    );
    let field = (Untrusted::new("new"), Untrusted::new("1"));
    let with_field = Session { extra_fields: vec![field], ..with_bytes(11) };
    assert_eq!(apply(&mut tracker, session_response(5.0, 5.1, with_field)), []);
    assert_ne!(
        tracker.change_counters().sessions,
        new_counters.sessions,
        "an extra field is a change without an event"
    );
}

#[test]
fn not_found_session_is_not_idle() {
    let mut tracker = tracker_with_named(&["a"]);
    let with_bytes = |bytes| Session { proxy_bytes: Some(bytes), ..session("a", Status::Running) };
    for (seconds, bytes) in [(1.0, 7), (2.0, 9), (100.0, 9)] {
        apply(&mut tracker, session_response(seconds, seconds + 0.1, with_bytes(bytes)));
    }
    let idle = tracker.get(&id("a")).unwrap().idle_for().unwrap();
    assert!(idle > Duration::from_secs(90), "{idle:?}");
    apply(&mut tracker, not_found_response("a", 103.0, 103.1));
    assert_eq!(tracker.get(&id("a")).unwrap().idle_for(), None);
}

#[test]
fn server_clock_step_is_recorded_once() {
    let mut tracker = tracker_with_named(&["a"]);
    let mut steps = Vec::new();
    // The server is ten minutes ahead of our clock, and one hour more from the seventh response on.
    for round in 0..60_u32 {
        let seconds = f64::from(round) * 3.0;
        let ahead = if round < 6 { 600.0 } else { 4200.0 };
        let date = Some(at((seconds + ahead).floor()));
        let timing = RequestTiming { date, ..request_timing(seconds, seconds + 0.1) };
        let scope = Scope::Session(id("a"));
        // By either clock, the session has not expired.
        let sessions = vec![running_session("a", at(0.0), TIMEOUT * 12)];
        for event in
            apply(&mut tracker, Input::SessionsReceived { at: timing, scope, sessions, malformed: 0 })
        {
            if let EventKind::ServerClockSet { step_ms } = event {
                steps.push((round, (step_ms + 500) / 1000)); // rounded to seconds
            }
        }
    }
    assert_eq!(steps, [(26, 3600)], "the contradiction has lasted for a minute");
}

/// Watches a session of 45 minutes, polled every 3 s, from 95 s after its start to its expiry. Each `Date` is
/// `ahead(seconds)` ahead of our clock. Returns the events without those of the session itself, and the times at which
/// alerts about the time left were raised.
fn watch_to_expiry(ahead: impl Fn(f64) -> f64) -> (Vec<EventKind>, Vec<f64>) {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    let session = || running_session("a", at(-95.0), Duration::from_secs(95 + 45 * 60));
    let (mut problems, mut raised) = (Vec::new(), Vec::new());
    for round in 0..900_u32 {
        let seconds = f64::from(round) * 3.0;
        for kind in apply(&mut tracker, dated_response(seconds, ahead(seconds), session())) {
            match kind {
                EventKind::FirstSeen { .. } => {}
                EventKind::AlertRaised(Alert::TimeLeft(_)) => raised.push(seconds),
                kind => problems.push(kind),
            }
        }
        let record = tracker.get(&id("a")).unwrap();
        let now = tracker.clock().at(moment(seconds));
        let TimeLeft::Remaining(left) = record.time_left(tracker.clock(), now) else { panic!("{seconds}") };
        assert!((left.as_secs_f64() - (2700.0 - seconds)).abs() <= 2.0, "{left:?} left at {seconds} s");
        let age = record.age(now).unwrap();
        assert!((age.as_secs_f64() - (95.0 + seconds)).abs() <= 2.0, "{age:?} old at {seconds} s");
    }
    (problems, raised)
}

#[test]
fn wrong_date_shifts_no_alert() {
    let (problems, expected) = watch_to_expiry(|_| 0.0);
    assert_eq!(problems, []);
    assert!(
        expected.first().is_some_and(|first| (*first - 2400.0).abs() <= 3.0),
        "5 min before: {expected:?}"
    );
    for ahead in [-7200.0, -3600.0, 3600.0, 7200.0] {
        let (problems, raised) = watch_to_expiry(|_| ahead);
        assert!(matches!(problems[..], [EventKind::DateIgnored { .. }]), "{ahead}: {problems:?}");
        assert_eq!(raised, expected, "{ahead}");
    }
}

#[test]
fn jumping_date_shifts_no_alert() {
    let (_, expected) = watch_to_expiry(|_| 0.0);
    for jump in [-3600.0, 3600.0, 600.0, -30.0] {
        let (problems, raised) = watch_to_expiry(|seconds| if seconds % 30.0 >= 15.0 { jump } else { 0.0 });
        let is_one_sentence =
            matches!(problems[..], [EventKind::DateIgnored { .. } | EventKind::DatesContradict { .. }]);
        assert!(is_one_sentence, "{jump}: {problems:?}");
        assert_eq!(raised, expected, "{jump}");
    }
}

#[test]
fn time_left_never_exceeds_timeout() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    // The session starts an hour after our clock. The date agrees with our clock, so the start is a mistake.
    let session = running_session("a", at(3600.0), Duration::from_secs(900));
    let events = apply(&mut tracker, dated_response(1.0, 0.0, session));
    let EventKind::FirstSeen { time_left, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!(*time_left, Some(Duration::from_secs(900)));
    let record = tracker.get(&id("a")).unwrap();
    assert_eq!(record.time_left(tracker.clock(), at(2.0)), TimeLeft::Remaining(Duration::from_secs(900)));
}

#[test]
fn unapplied_session_does_not_change_clock() {
    let mut tracker = tracker_with_named(&["a"]);
    tracker.apply(session_response(5.0, 5.1, session("a", Status::Running)));
    // A stale response, and the second session with the same id in a list. Recordings contain neither.
    let future = || running_session("a", at(3600.0), Duration::from_secs(900));
    tracker.apply(session_response(4.0, 5.2, future()));
    let sessions = vec![session("a", Status::Running), future()];
    let scope = Scope::List(List::Running);
    tracker.apply(Input::SessionsReceived { at: request_timing(6.0, 6.1), scope, sessions, malformed: 0 });
    assert_eq!(tracker.clock().at(moment(7.0)), at(7.0));
}

#[test]
fn end_alert_is_raised_once() {
    let mut tracker = tracker_with_named(&["a"]);
    for round in 0..6_u32 {
        let seconds = f64::from(round) * 10.0;
        apply(&mut tracker, session_response(seconds, seconds + 0.1, session("a", Status::Running)));
        apply(
            &mut tracker,
            session_response(seconds + 3.0, seconds + 3.1, ended_session("a", Status::Error, 2.0)),
        );
        let record = tracker.get(&id("a")).unwrap();
        assert_eq!(record.alerts.iter().map(|raised| raised.alert).collect::<Vec<_>>(), [Alert::Error]);
        assert_eq!(record.raised_incidents.len(), 1, "an end alert is stored once");
    }
    let raised =
        tracker.timeline().all().filter(|(_, event)| matches!(event.kind, EventKind::AlertRaised(_)));
    assert_eq!(raised.count(), 1);
}

#[test]
fn sleep_event_spans_the_sleep() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    let events = tracker.apply(Input::Slept { from: moment(5.0), to: moment(3605.0) }).events;
    assert_eq!(events[0].kind.name(), "slept");
    assert_eq!(events[0].when.width(), Some(Duration::from_secs(3600)));
}

#[test]
fn earlier_moment_changes_nothing() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    tracker.apply(Input::Slept { from: moment(5.0), to: moment(3605.0) });
    assert_eq!(tracker.apply(Input::TimePassed { now: moment(1.0) }), AppliedChanges::default());
}

#[test]
fn inputs_round_trip_through_json() {
    let odd = Session {
        extra_fields: vec![(Untrusted::new("new\u{1b}"), Untrusted::new("{}"))],
        extra_fields_dropped: 3,
        metadata: Some(Metadata::new(r#"{"a":[1]}"#)),
        status: Status::Other(Untrusted::new("HIBERNATING")),
        connect: Some(Default::default()),
        proxy_bytes: Some(i64::MIN),
        expires: Some(Timestamp::MAX_UTC),
        started: Some(Timestamp::MIN_UTC),
        ..session("a b", Status::Running)
    };
    let error = ApiError { retry_after: Some(Duration::from_millis(7)), ..ApiErrorKind::Server(503).into() };
    let timing = RequestTiming { date: Some(at(3.0)), ..request_timing(1.0, 1.25) };
    let project = Project {
        id: Untrusted::new("p"),
        name: Untrusted::new("acme"),
        default_timeout: Some(TIMEOUT),
        concurrency: None,
    };
    let inputs = [
        Input::SessionsNamed { at: moment(0.5), ids: vec![id("a b")] },
        Input::SessionsReceived {
            at: timing,
            scope: Scope::Session(id("a b")),
            sessions: vec![odd],
            malformed: 0,
        },
        Input::SessionsReceived {
            at: timing,
            scope: Scope::List(List::Pending),
            sessions: vec![],
            malformed: 3,
        },
        Input::SessionNotFound {
            at: timing,
            id: id("a"),
            error: ApiErrorKind::Gone.into(),
            next: Some(moment(9.0)),
        },
        Input::ResponseRepeated {
            at: timing,
            scope: Scope::List(List::Running),
            sessions: vec![session("a", Status::Running)],
            malformed: 1,
            responses: 7,
            longest_gap: Duration::from_millis(3_100),
        },
        Input::RequestFailed { at: timing, scope: Scope::Projects, error: error.clone(), next: None },
        Input::ReleaseRequested { at: moment(2.0), id: id("a") },
        Input::ReleaseFailed { at: timing, id: id("a"), error, next: Some(moment(9.0)) },
        Input::ProjectsReceived { at: timing, projects: vec![project] },
        Input::Slept { from: moment(1.0), to: moment(2.0) },
        Input::TimePassed { now: moment(1.0) },
    ];
    for input in inputs {
        let text = serde_json::to_string(&input).unwrap();
        assert_eq!(serde_json::from_str::<Input>(&text).unwrap(), input, "{text}");
    }
}

/// Returns a session that was created at `created`, in seconds after noon. All these sessions have the same metadata.
fn session_with_metadata(id_text: &str, status: Status, created: f64) -> Session {
    let metadata = Some(Metadata::new(r#"{"owner":"crew"}"#));
    Session { metadata, created: Some(at(created)), ..session(id_text, status) }
}

#[test]
fn successor_listed_before_end_is_linked() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    let listed = |sent: f64, sessions: Vec<Session>| Input::SessionsReceived {
        at: request_timing(sent, sent + 0.1),
        scope: Scope::List(List::Running),
        sessions,
        malformed: 0,
    };
    tracker.apply(listed(1.0, vec![session_with_metadata("old", Status::Running, 0.0)]));
    let events = apply(&mut tracker, listed(4.0, vec![session_with_metadata("new", Status::Running, 3.5)]));
    assert_eq!(names(&events), ["first_seen"]);
    let end = Session { ended: Some(at(3.0)), ..session_with_metadata("old", Status::Completed, 0.0) };
    let ended = tracker.apply(session_response(4.2, 4.3, end)).events;
    let last = ended.last().unwrap();
    assert_eq!((&last.kind, &last.id), (&EventKind::Successor(id("new")), &Some(id("old"))));
    assert_eq!(last.when, TimeInterval { earliest: Some(at(3.5)), latest: at(4.3) });
    assert_eq!(tracker.get(&id("old")).unwrap().successor, Some(id("new")));
}

#[test]
fn successor_with_future_creation_appears_now() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    tracker.apply(session_response(
        1.0,
        1.1,
        Session { ended: Some(at(0.9)), ..session_with_metadata("old", Status::Completed, 0.0) },
    ));
    // The date agrees with our clock. Without it, our clock could be slow.
    let session = session_with_metadata("new", Status::Running, 90.0);
    let events = tracker.apply(dated_response(4.0, 0.0, session)).events;
    assert_eq!(events[1].kind.name(), "successor");
    assert_eq!(events[1].when, TimeInterval { earliest: Some(at(4.1)), latest: at(4.1) });
}

#[test]
fn not_found_session_is_not_overdue() {
    let mut tracker = tracker_with_named(&["a"]);
    // The timeout of 15 minutes ends at 900 s.
    tracker.apply(session_response(906.0, 906.1, session("a", Status::Running)));
    assert!(tracker.get(&id("a")).unwrap().alerts.iter().any(|raised| raised.alert == Alert::Overdue));
    tracker.apply(not_found_response("a", 909.0, 909.1));
    assert_eq!(tracker.get(&id("a")).unwrap().alerts, []);
}

#[test]
fn unknown_status_is_not_overdue() {
    let mut tracker = tracker_with_named(&["a"]);
    let odd = session("a", Status::Other(Untrusted::new("HIBERNATING")));
    assert_eq!(names(&apply(&mut tracker, session_response(901.0, 901.1, odd))), ["first_seen"]);
    assert_eq!((tracker.verdict(&id("a")), tracker.get(&id("a")).unwrap().alerts.len()), (None, 0));
}

#[test]
fn changed_end_leaves_its_cluster() {
    for changed_end in [ended_session("b", Status::Error, 5.0), ended_session("b", Status::Completed, 500.0)]
    {
        let mut tracker = tracker_with_named(&["a", "b"]);
        tracker.apply(session_response(6.0, 6.1, ended_session("a", Status::Completed, 5.0)));
        tracker.apply(session_response(6.0, 6.2, ended_session("b", Status::Completed, 5.0)));
        let cluster_size = |tracker: &SessionTracker| {
            tracker.verdict(&id("a")).unwrap().end_cluster.map(|cluster| cluster.ids.len())
        };
        assert_eq!(cluster_size(&tracker), Some(2));
        tracker.apply(session_response(7.0, 7.1, changed_end));
        assert_eq!(cluster_size(&tracker), None);
        assert_eq!(names(&apply(&mut tracker, Input::TimePassed { now: moment(60.0) })), [""; 0]);
    }
}

#[test]
fn sleep_never_ends_before_it_began() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    let to = Moment { wall: "2026-11-22T11:59:00Z".parse().unwrap(), ..moment(3605.0) };
    let events = tracker.apply(Input::Slept { from: moment(5.0), to }).events;
    let slept = events.iter().find(|event| event.kind.name() == "slept").unwrap();
    assert_eq!(slept.when.width(), Some(Duration::ZERO));
}

#[test]
fn sentence_shortens_session_id() {
    let long = id("6512bd43-d9ca-4e02-9a67-91f2c1a0b3de");
    let sentence = EventKind::Successor(long).sentence(Zone::Utc, at(0.0));
    assert_eq!(sentence, "a new session with the same metadata appeared: 6512bd43");
}

#[test]
fn pending_list_failure_is_separate() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    tracker.apply(list_response(List::Running, 0.0, 0.1, &["a"]));
    let pending = || Scope::List(List::Pending);
    let failing = apply(&mut tracker, failed_request(pending(), 0.0, 10.0, ApiErrorKind::Timeout));
    assert!(
        matches!(failing[..], [EventKind::PollsFailing { list: Some(List::Pending), .. }]),
        "{failing:?}"
    );
    assert_eq!(apply(&mut tracker, list_response(List::Running, 12.0, 12.1, &["a"])), []);
    assert_eq!(
        tracker.health().last_success,
        Some(request_timing(12.0, 12.1)),
        "a success of the running list counts even while the pending list fails"
    );
    assert!(tracker.health().failure_streak.as_ref().unwrap().sentence().contains("pending sessions"));
    // A failure of the running list replaces a failure of the pending list, but not the other way round.
    assert_eq!(
        apply(&mut tracker, failed_request(Scope::List(List::Running), 13.0, 13.1, ApiErrorKind::Timeout))
            .len(),
        1
    );
    assert_eq!(apply(&mut tracker, failed_request(pending(), 13.0, 23.0, ApiErrorKind::Timeout)), []);
    assert_eq!(tracker.health().failure_streak.as_ref().unwrap().list, Some(List::Running));
    let recovered = apply(&mut tracker, list_response(List::Running, 24.0, 24.1, &["a"]));
    assert!(
        matches!(recovered[..], [EventKind::PollsRecovered { list: Some(List::Running), .. }]),
        "{recovered:?}"
    );
}

#[test]
fn repeated_end_is_counted_once() {
    let mut tracker = tracker_with_named(&["a"]);
    let with_keep_alive = |session: Session| Session { keep_alive: Some(true), ..session };
    let mut alert_count = 0;
    for round in 0..5 {
        let now = f64::from(round) * 2.0 + 5.0;
        tracker.apply(session_response(now, now + 0.1, with_keep_alive(session("a", Status::Running))));
        let end = with_keep_alive(ended_session("a", Status::Completed, now + 0.5));
        let events = apply(&mut tracker, session_response(now + 1.0, now + 1.1, end));
        alert_count += events.iter().filter(|kind| matches!(kind, EventKind::AlertRaised(_))).count();
    }
    assert_eq!((tracker.short_sessions().sessions, alert_count), (1, 1));
    assert_eq!(tracker.get(&id("a")).unwrap().alerts.len(), 1, "the alert is still active");
}

#[test]
fn duplicate_in_list_is_ignored() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    for round in 0..3 {
        let now = f64::from(round) * 3.0;
        let duplicates = vec![
            session("a", Status::Running),
            Session { status: Status::Pending, ..session("a", Status::Running) },
        ];
        let scope = Scope::List(List::Running);
        tracker.apply(Input::SessionsReceived {
            at: request_timing(now, now + 0.1),
            scope,
            sessions: duplicates,
            malformed: 0,
        });
    }
    let names: Vec<_> = tracker.timeline().all().map(|(_, event)| event.kind.name()).collect();
    assert_eq!(names, ["first_seen"]);
}

#[test]
fn stale_list_does_not_undo_not_found() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    tracker.apply(list_response(List::Running, 0.0, 0.1, &["a"]));
    tracker.apply(not_found_response("a", 3.0, 3.1));
    assert_eq!(apply(&mut tracker, list_response(List::Running, 2.9, 4.0, &["a"])), []);
    assert_eq!(names(&apply(&mut tracker, list_response(List::Running, 6.0, 6.1, &["a"]))), ["found_again"]);
}

#[test]
fn conflicting_server_clocks_cause_no_false_overdue() {
    let mut tracker = tracker_with_named(&["a"]);
    let mut events = Vec::new();
    for round in 0..12_u8 {
        let now = f64::from(round) * 3.0;
        let ahead = if round % 2 == 0 { 600.0 } else { 0.0 };
        let mut timing = request_timing(now, now + 0.1);
        timing.date = Some(at((now + ahead).floor()));
        let running = Session { expires: Some(at(300.0)), ..session("a", Status::Running) };
        let scope = Scope::Session(id("a"));
        events.extend(apply(
            &mut tracker,
            Input::SessionsReceived { at: timing, scope, sessions: vec![running], malformed: 0 },
        ));
    }
    assert!(!names(&events).contains(&"overdue"), "{events:?}");
    let server_time = tracker.clock().at(moment(40.0));
    assert!(server_time < at(42.0), "the server clock that agrees with ours wins: {server_time}");
}

#[test]
fn bytes_at_end_do_not_start_traffic() {
    let mut tracker = tracker_with_named(&["a"]);
    tracker.apply(session_response(
        1.0,
        1.1,
        Session { proxy_bytes: Some(5), ..session("a", Status::Running) },
    ));
    let end = Session { proxy_bytes: Some(9), ..ended_session("a", Status::TimedOut, 3.5) };
    let events = apply(&mut tracker, session_response(4.0, 4.1, end));
    assert!(!names(&events).contains(&"traffic_started"), "{events:?}");
}

#[test]
fn unchanged_alert_is_no_change() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    let overdue = Session { expires: Some(at(2.0)), ..session("a", Status::Running) };
    for seconds in [1.0, 5.0, 9.0] {
        tracker.apply(session_response(seconds, seconds + 0.2, overdue.clone()));
    }
    assert!(tracker.get(&id("a")).unwrap().alerts.iter().any(|raised| raised.alert == Alert::Overdue));
    let before = tracker.change_counters();
    tracker.apply(session_response(12.0, 12.2, overdue));
    assert_eq!(tracker.change_counters(), before);
}

#[test]
fn record_is_small() {
    let bytes = size_of::<crate::tracker::Record>();
    assert!(bytes <= 700, "a record is small, because there may be ten thousand: {bytes} bytes");
}
