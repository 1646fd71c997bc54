//! Tests of alerts, and of the time until the next change that depends on time alone.

use super::*;

const FIVE_MINUTES_LEFT: Alert = Alert::TimeLeft(Duration::from_secs(300));
const ONE_MINUTE_LEFT: Alert = Alert::TimeLeft(Duration::from_secs(60));

/// Returns the alerts that are raised when the time advances to `seconds` after noon.
fn alerts_after(tracker: &mut SessionTracker, seconds: f64) -> Vec<Alert> {
    raised_alerts(apply(tracker, Input::TimePassed { now: moment(seconds) }))
}

fn raised_alerts(events: Vec<EventKind>) -> Vec<Alert> {
    let raised = |kind| if let EventKind::AlertRaised(alert) = kind { Some(alert) } else { None };
    events.into_iter().filter_map(raised).collect()
}

/// Returns the seconds from `seconds` after noon until the next change that depends on time alone.
fn seconds_until_deadline(tracker: &SessionTracker, seconds: f64) -> Option<f64> {
    tracker.time_until_deadline(moment(seconds)).map(|wait| wait.as_secs_f64())
}

#[test]
fn time_left_alert_is_raised_on_time() {
    let mut tracker = tracker_with_named(&["a"]);
    assert_eq!(seconds_until_deadline(&tracker, 0.0), None);
    tracker.apply(session_response(0.5, 1.0, session("a", Status::Running)));
    assert_eq!(seconds_until_deadline(&tracker, 1.0), Some(599.0));
    assert_eq!(
        (alerts_after(&mut tracker, 599.5), seconds_until_deadline(&tracker, 599.5)),
        (vec![], Some(0.5))
    );
    assert_eq!(seconds_until_deadline(&tracker, 601.0), Some(0.0), "a missed deadline is due at once");
    assert_eq!(
        (alerts_after(&mut tracker, 600.0), seconds_until_deadline(&tracker, 600.0)),
        (vec![FIVE_MINUTES_LEFT], Some(240.0))
    );
    assert_eq!(
        (alerts_after(&mut tracker, 840.0), seconds_until_deadline(&tracker, 840.0)),
        (vec![ONE_MINUTE_LEFT], None)
    );
    let alerts: Vec<Alert> = tracker.get(&id("a")).unwrap().alerts.iter().map(|(alert, _)| *alert).collect();
    assert_eq!(alerts, [ONE_MINUTE_LEFT], "the shorter time replaces the longer one");
}

#[test]
fn ended_session_raises_no_time_alert() {
    let mut tracker = tracker_with_named(&["a"]);
    tracker.apply(session_response(0.5, 1.0, session("a", Status::Running)));
    tracker.apply(session_response(3.5, 4.0, ended_session("a", Status::Completed, 3.7)));
    assert_eq!((seconds_until_deadline(&tracker, 4.0), alerts_after(&mut tracker, 600.0)), (None, vec![]));
}

#[test]
fn extension_rearms_time_left_alert() {
    let mut tracker = tracker_with_named(&["a"]);
    tracker.apply(session_response(0.5, 1.0, session("a", Status::Running)));
    assert_eq!(alerts_after(&mut tracker, 600.0), [FIVE_MINUTES_LEFT]);
    let extended = Session { expires: Some(at(1800.0)), ..session("a", Status::Running) };
    assert_eq!(raised_alerts(apply(&mut tracker, session_response(601.0, 601.1, extended))), []);
    assert_eq!(tracker.get(&id("a")).unwrap().alerts, []);
    assert_eq!(alerts_after(&mut tracker, 1500.0), [FIVE_MINUTES_LEFT]);
}

/// Returns a tracker with a running session whose release was requested 10 s after noon.
fn tracker_with_release() -> SessionTracker {
    let mut tracker = tracker_with_named(&["a"]);
    tracker.apply(session_response(0.5, 1.0, session("a", Status::Running)));
    tracker.apply(Input::ReleaseRequested { at: moment(10.0), id: id("a") });
    tracker
}

#[test]
fn release_without_end_raises_alert() {
    let still_running = Alert::StillRunning(Duration::from_secs(30));
    let mut tracker = tracker_with_release();
    // A response after the request does not move the deadline.
    tracker.apply(session_response(11.0, 11.1, session("a", Status::Running)));
    assert_eq!(seconds_until_deadline(&tracker, 11.1).map(f64::round), Some(29.0));
    assert_eq!(
        (alerts_after(&mut tracker, 39.9), alerts_after(&mut tracker, 40.0)),
        (vec![], vec![still_running])
    );
    tracker.apply(session_response(41.0, 41.1, ended_session("a", Status::Completed, 40.5)));
    assert_eq!(tracker.get(&id("a")).unwrap().alerts, [], "an end clears the alert");
}

#[test]
fn release_failure_without_retry_raises_alert() {
    let release_failed = |next: Option<Moment>| Input::ReleaseFailed {
        at: request_timing(10.0, 10.5),
        id: id("a"),
        error: ApiErrorKind::Status(409).into(),
        next,
    };
    let mut tracker = tracker_with_release();
    assert_eq!(
        raised_alerts(apply(&mut tracker, release_failed(Some(moment(12.0))))),
        [],
        "a release that is retried raises no alert yet"
    );
    assert_eq!(raised_alerts(apply(&mut tracker, release_failed(None))), [Alert::ReleaseFailed]);
    assert_eq!(alerts_after(&mut tracker, 40.0), [], "after a failed release, no other alert follows");
}

#[test]
fn not_found_session_has_no_release_alert() {
    let still_running = Alert::StillRunning(Duration::from_secs(30));
    let alert_count = |tracker: &SessionTracker| tracker.get(&id("a")).unwrap().alerts.len();

    // A 404 before the deadline.
    let mut tracker = tracker_with_release();
    tracker.apply(not_found_response("a", 12.0, 12.1));
    assert_eq!(seconds_until_deadline(&tracker, 12.1), None);
    assert_eq!(alerts_after(&mut tracker, 40.0), []);
    // The session is found again: it runs, although its release was requested.
    let found = apply(&mut tracker, session_response(41.0, 41.1, session("a", Status::Running)));
    assert_eq!(raised_alerts(found), [still_running]);

    // A 404 after the deadline.
    let mut tracker = tracker_with_release();
    assert_eq!(alerts_after(&mut tracker, 40.0), [still_running]);
    tracker.apply(not_found_response("a", 41.0, 41.1));
    assert_eq!(alert_count(&tracker), 0);

    // A 404 after a release that failed.
    let mut tracker = tracker_with_release();
    tracker.apply(Input::ReleaseFailed {
        at: request_timing(10.0, 10.5),
        id: id("a"),
        error: ApiErrorKind::NotFound.into(),
        next: None,
    });
    assert_eq!(alert_count(&tracker), 1);
    tracker.apply(not_found_response("a", 12.0, 12.1));
    assert_eq!(alert_count(&tracker), 0);
}
