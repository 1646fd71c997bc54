//! Contradictory and outdated responses: fields that change back and forth, and responses from a cache.

use super::*;

/// Applies one response per second, all about the session "a", and returns the names of their events.
fn event_names(versions: impl IntoIterator<Item = Session>) -> Vec<&'static str> {
    let mut tracker = tracker_with_named(&["a"]);
    let mut events = Vec::new();
    for (second, version) in (1..).zip(versions) {
        let second = f64::from(second);
        events.extend(apply(&mut tracker, session_response(second, second + 0.1, version)));
    }
    names(&events)
}

/// Returns `count` versions of a session: by turns `one` and `other`.
fn flapping<'s>(one: &'s Session, other: &'s Session, count: usize) -> impl Iterator<Item = Session> + 's {
    (0..count).map(move |index| if index % 2 == 0 { one.clone() } else { other.clone() })
}

#[test]
fn flapping_status_causes_few_events() {
    let (running, completed) = (session("a", Status::Running), ended_session("a", Status::Completed, 5.0));
    let names = event_names(flapping(&running, &completed, 200));
    assert_eq!(names, ["first_seen", "ended", "contradicted", "contradictory_replies"]);
}

#[test]
fn flapping_fields_cause_few_events() {
    let running = session("a", Status::Running);
    let moved = Session { expires: Some(at(5000.0)), ..running.clone() };
    let kept = Session { keep_alive: Some(true), ..running.clone() };
    let not_kept = Session { keep_alive: Some(false), ..running.clone() };
    for (one, other, change) in [(running, moved, "expiry_moved"), (kept, not_kept, "keep_alive_changed")] {
        let names = event_names(flapping(&one, &other, 200));
        assert_eq!(names, ["first_seen", change, change, "contradictory_replies"]);
    }
}

#[test]
fn last_version_is_recorded_when_responses_agree() {
    let (running, completed) = (session("a", Status::Running), ended_session("a", Status::Completed, 5.0));
    let finally_completed = flapping(&running, &completed, 40).chain(vec![completed.clone(); 10]);
    assert_eq!(event_names(finally_completed)[3..], ["contradictory_replies", "replies_agree", "ended"]);
    let finally_running = flapping(&running, &completed, 41).chain(vec![running.clone(); 10]);
    assert_eq!(event_names(finally_running)[3..], ["contradictory_replies", "replies_agree"]);
}

#[test]
fn contradictory_changes_are_counted() {
    let mut tracker = tracker_with_named(&["a"]);
    let (running, completed) = (session("a", Status::Running), ended_session("a", Status::Completed, 5.0));
    let versions = flapping(&running, &completed, 40).chain(vec![completed.clone(); 10]);
    let mut contradictory_changes = None;
    for (second, version) in (1..).zip(versions) {
        let second = f64::from(second);
        for event in apply(&mut tracker, session_response(second, second + 0.1, version)) {
            if let EventKind::ResponsesAgree { changes } = event {
                contradictory_changes = Some(changes);
            }
        }
    }
    assert_eq!(contradictory_changes, Some(37), "of 39 changes, the first two are events");
}

#[test]
fn undone_change_is_not_contradictory() {
    let (off, on) = (
        Session { keep_alive: Some(false), ..session("a", Status::Running) },
        Session { keep_alive: Some(true), ..session("a", Status::Running) },
    );
    let mut versions = Vec::new();
    for version in [&off, &on, &off, &on, &off] {
        // Ten consecutive responses with one version are enough to agree.
        versions.extend(vec![version.clone(); 11]);
    }
    assert_eq!(
        event_names(versions),
        ["first_seen"].into_iter().chain(["keep_alive_changed"; 4]).collect::<Vec<_>>()
    );
}

/// Returns a response about one session that a cache kept for `age` seconds.
fn aged_response(sent: f64, age: u64, session: Session) -> Input {
    let scope = Scope::Session(session.id.clone());
    let at = RequestTiming { age: Duration::from_secs(age), ..request_timing(sent, sent + 0.1) };
    Input::SessionsReceived { at, scope, sessions: vec![session], malformed: 0 }
}

#[test]
fn aged_response_does_not_make_session_overdue() {
    let mut tracker = tracker_with_named(&["a"]);
    let events = apply(&mut tracker, aged_response(905.0, 60, session("a", Status::Running)));
    assert_eq!(names(&events), ["first_seen"]);
    assert_eq!(tracker.get(&id("a")).unwrap().alerts, []);
    let events = apply(&mut tracker, aged_response(1000.0, 60, session("a", Status::Running)));
    assert_eq!(names(&events), ["overdue", "flagged"], "the cached response is newer than the expiry");
}

#[test]
fn aged_response_does_not_undo_newer_one() {
    let mut tracker = tracker_with_named(&["a"]);
    apply(&mut tracker, session_response(100.0, 100.1, ended_session("a", Status::Completed, 99.0)));
    assert_eq!(names(&apply(&mut tracker, aged_response(110.0, 30, session("a", Status::Running)))), [""; 0]);
    assert!(tracker.get(&id("a")).unwrap().is_final());
}

#[test]
fn age_is_subtracted_from_response_times() {
    let mut tracker = tracker_with_named(&["a"]);
    apply(&mut tracker, aged_response(100.0, 30, session("a", Status::Running)));
    assert_eq!(tracker.get(&id("a")).unwrap().last_response().unwrap().received, moment(70.1));
    assert_eq!(tracker.last_input_moment(), Some(moment(100.1)));
}
