//! Flags, and when the next one will be, as time goes by.

use super::*;

const FIVE: Alert = Alert::TimeLeft(Duration::from_secs(300));
const ONE: Alert = Alert::TimeLeft(Duration::from_secs(60));

/// What is flagged anew as it gets to be so many seconds after noon.
fn alerts_after(tracker: &mut SessionTracker, seconds: f64) -> Vec<Alert> {
    raised_alerts(apply(tracker, Input::TimePassed { now: moment(seconds) }))
}

fn raised_alerts(events: Vec<EventKind>) -> Vec<Alert> {
    let flag = |kind| if let EventKind::AlertRaised(flag) = kind { Some(flag) } else { None };
    events.into_iter().filter_map(flag).collect()
}

/// In how many seconds something happens by itself.
fn seconds_to_next_deadline(tracker: &SessionTracker, seconds: f64) -> Option<f64> {
    tracker.next_deadline(moment(seconds)).map(|wait| wait.as_secs_f64())
}

#[test]
fn time_left_is_flagged_at_its_second_and_the_next_flag_is_known_before() {
    let mut tracker = tracker_with_named(&["a"]);
    assert_eq!(seconds_to_next_deadline(&tracker, 0.0), None);
    tracker.apply(session_response(0.5, 1.0, session("a", Status::Running)));
    assert_eq!(seconds_to_next_deadline(&tracker, 1.0), Some(599.0));
    assert_eq!(
        (alerts_after(&mut tracker, 599.5), seconds_to_next_deadline(&tracker, 599.5)),
        (vec![], Some(0.5))
    );
    assert_eq!(seconds_to_next_deadline(&tracker, 601.0), Some(0.0), "it is overdue");
    assert_eq!(
        (alerts_after(&mut tracker, 600.0), seconds_to_next_deadline(&tracker, 600.0)),
        (vec![FIVE], Some(240.0))
    );
    assert_eq!(
        (alerts_after(&mut tracker, 840.0), seconds_to_next_deadline(&tracker, 840.0)),
        (vec![ONE], None)
    );
    let flags: Vec<Alert> = tracker.get(&id("a")).unwrap().alerts.iter().map(|(flag, _)| *flag).collect();
    assert_eq!(flags, [ONE], "the longer time gave way");
}

#[test]
fn what_ended_has_no_time_left() {
    let mut tracker = tracker_with_named(&["a"]);
    tracker.apply(session_response(0.5, 1.0, session("a", Status::Running)));
    tracker.apply(session_response(3.5, 4.0, ended_at("a", Status::Completed, 3.7)));
    assert_eq!((seconds_to_next_deadline(&tracker, 4.0), alerts_after(&mut tracker, 600.0)), (None, vec![]));
}

#[test]
fn a_flag_of_the_living_that_comes_true_again_is_told_again() {
    let mut tracker = tracker_with_named(&["a"]);
    tracker.apply(session_response(0.5, 1.0, session("a", Status::Running)));
    assert_eq!(alerts_after(&mut tracker, 600.0), [FIVE]);
    let longer = Session { expires: Some(t(1800.0)), ..session("a", Status::Running) };
    assert_eq!(raised_alerts(apply(&mut tracker, session_response(601.0, 601.1, longer))), []);
    assert_eq!(tracker.get(&id("a")).unwrap().alerts, []);
    assert_eq!(alerts_after(&mut tracker, 1500.0), [FIVE]);
}

#[test]
fn a_release_that_is_not_followed_by_an_end_is_flagged() {
    let running = || {
        let mut tracker = tracker_with_named(&["a"]);
        tracker.apply(session_response(0.5, 1.0, session("a", Status::Running)));
        tracker.apply(Input::ReleaseRequested { at: moment(10.0), id: id("a") });
        tracker
    };
    let still = Alert::StillRunning(Duration::from_secs(30));
    let mut tracker = running();
    // What the asking itself brought is known with the reply after it.
    tracker.apply(session_response(11.0, 11.1, session("a", Status::Running)));
    assert_eq!(seconds_to_next_deadline(&tracker, 11.1).map(f64::round), Some(29.0));
    assert_eq!((alerts_after(&mut tracker, 39.9), alerts_after(&mut tracker, 40.0)), (vec![], vec![still]));
    tracker.apply(session_response(41.0, 41.1, ended_at("a", Status::Completed, 40.5)));
    assert_eq!(tracker.get(&id("a")).unwrap().alerts, [], "it ended, as was asked for");

    let failed = |next: Option<Moment>| Input::ReleaseFailed {
        at: request_timing(10.0, 10.5),
        id: id("a"),
        error: ApiErrorKind::Status(409).into(),
        next,
    };
    let mut tracker = running();
    assert_eq!(raised_alerts(apply(&mut tracker, failed(Some(moment(12.0))))), [], "it is asked again");
    assert_eq!(raised_alerts(apply(&mut tracker, failed(None))), [Alert::ReleaseFailed]);
    assert_eq!(alerts_after(&mut tracker, 40.0), [], "nor is it waited for");
}
