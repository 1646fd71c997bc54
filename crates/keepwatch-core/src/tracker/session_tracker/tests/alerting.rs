//! Tests of alerts, and of the time until the next change that depends on time alone.

use proptest::prelude::*;

use super::*;
use crate::tracker::{AlertRule, EarlyLimit};

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

/// Returns the number of alerts that the session "a" has.
fn alert_count(tracker: &SessionTracker) -> usize {
    tracker.get(&id("a")).unwrap().alerts.len()
}

/// Returns the seconds from `seconds` after noon until the next change that depends on time alone.
fn seconds_until_deadline(tracker: &SessionTracker, seconds: f64) -> Option<f64> {
    tracker.time_until_deadline(moment(seconds)).map(|wait| wait.as_secs_f64())
}

#[test]
fn time_left_alert_is_raised_on_time() {
    // The session expires 900 s after noon, so the thresholds of 300 s and 60 s left are due at 600 s and 840 s.
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
    let alerts: Vec<Alert> =
        tracker.get(&id("a")).unwrap().alerts.iter().map(|raised| raised.alert).collect();
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
    // The deadline stays 30 s after the release request, which is 40 s after noon. A later response does not move it.
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
fn not_found_session_is_not_still_running() {
    let still_running = Alert::StillRunning(Duration::from_secs(30));

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
    assert_eq!(alert_count(&tracker), 1, "an incident stays until it is acknowledged");
}

/// Returns thresholds that turn off all alerts with a threshold, except the one about early ends.
fn early_thresholds(early: EarlyLimit) -> AlertThresholds {
    AlertThresholds::none().with_early(early)
}

/// Returns a keep-alive session that started at noon with a timeout of 15 minutes.
fn keep_alive_session(name: &str, status: Status) -> Session {
    Session { keep_alive: Some(true), ..session(name, status) }
}

/// Returns the alerts that are raised if a keep-alive session of 15 minutes ends this many seconds after its start.
fn alerts_of_end(early: EarlyLimit, seconds: f64) -> Vec<Alert> {
    let mut tracker = SessionTracker::new(early_thresholds(early));
    tracker.apply(session_response(0.5, 0.6, keep_alive_session("a", Status::Running)));
    let ended = Session { keep_alive: Some(true), ..ended_session("a", Status::Completed, seconds) };
    raised_alerts(apply(&mut tracker, session_response(seconds + 0.5, seconds + 0.6, ended)))
}

#[test]
fn only_short_keep_alive_session_ended_early() {
    let limit = EarlyLimit::default();
    assert_eq!(alerts_of_end(limit, 10.0), [Alert::EndedEarly]);
    assert_eq!(alerts_of_end(limit, 59.9), [Alert::EndedEarly]);
    for seconds in [60.0, 500.0, 896.0, 900.0] {
        assert_eq!(alerts_of_end(limit, seconds), [], "{seconds} s");
    }
    assert_eq!(alerts_of_end(EarlyLimit::Always, 500.0), [Alert::EndedEarly]);
    assert_eq!(alerts_of_end(EarlyLimit::Always, 897.0), [], "the session reached its timeout");
    assert_eq!(alerts_of_end(EarlyLimit::Never, 10.0), []);
}

#[test]
fn verdict_uses_configured_early_limit() {
    let is_early = |early, seconds| {
        let mut tracker = SessionTracker::new(early_thresholds(early));
        tracker.apply(session_response(0.5, 0.6, keep_alive_session("a", Status::Running)));
        let ended = Session { keep_alive: Some(true), ..ended_session("a", Status::Completed, seconds) };
        tracker.apply(session_response(seconds + 0.5, seconds + 0.6, ended));
        let cause = tracker.verdict(&id("a")).unwrap().cause;
        matches!(cause, crate::tracker::verdict::Cause::KeepAliveEnded { is_early: true, .. })
    };
    let ten_minutes = EarlyLimit::Below(Duration::from_secs(600));
    assert!(is_early(ten_minutes, 500.0) && !is_early(EarlyLimit::default(), 500.0));
    assert!(is_early(EarlyLimit::Never, 10.0), "`never` turns off the alert, not the verdict");
}

/// The polls around the end are far apart, so the session may have run for longer than the limit.
#[test]
fn uncertain_running_time_is_not_early() {
    let mut tracker = SessionTracker::new(early_thresholds(EarlyLimit::default()));
    tracker.apply(session_response(0.5, 0.6, keep_alive_session("a", Status::Running)));
    let ended = Session { ended: None, ..keep_alive_session("a", Status::Completed) };
    assert_eq!(raised_alerts(apply(&mut tracker, session_response(70.0, 70.1, ended))), []);
}

#[test]
fn first_matching_rule_decides() {
    let rule = |filter, early| {
        AlertRule::new(crate::filter::Filter::parse(filter).unwrap(), early_thresholds(early))
    };
    let rules = AlertRules::new(
        early_thresholds(EarlyLimit::default()),
        vec![
            rule("owner:nightly", EarlyLimit::Never),
            rule("owner:night", EarlyLimit::Always),
            rule("region:eu", EarlyLimit::Always),
        ],
    );
    let mut tracker = SessionTracker::new(rules);
    let mut end_of = |owner: &str, start: f64, ran: f64| {
        let metadata = Some(Metadata::new(&format!(r#"{{"owner":"{owner}"}}"#)));
        let running = Session {
            metadata,
            created: Some(at(start)),
            started: Some(at(start)),
            expires: Some(at(start + 900.0)),
            ..keep_alive_session(owner, Status::Running)
        };
        let ended = Session { status: Status::Completed, ended: Some(at(start + ran)), ..running.clone() };
        tracker.apply(session_response(start + 0.5, start + 0.6, running));
        let raised =
            raised_alerts(apply(&mut tracker, session_response(start + ran + 0.5, start + ran + 0.6, ended)));
        let rule = tracker.alert_rule(&id(owner)).map(str::to_owned);
        (raised, rule)
    };
    assert_eq!(end_of("nightly", 0.0, 10.0), (vec![], Some("owner:nightly".into())));
    assert_eq!(end_of("night", 1000.0, 500.0), (vec![Alert::EndedEarly], Some("owner:night".into())));
    assert_eq!(end_of("day", 2000.0, 10.0), (vec![Alert::EndedEarly], None));
    assert_eq!(end_of("noon", 3000.0, 70.0), (vec![], None));
}

/// Ends keep-alive sessions with these owners at these seconds after noon. Returns the alerts that are raised.
fn alerts_of_ends(ends: &[(&str, f64)]) -> Vec<Alert> {
    let mut tracker = SessionTracker::new(early_thresholds(EarlyLimit::default()));
    let mut alerts = Vec::new();
    let session = |number: usize, status| {
        let metadata = Some(Metadata::new(&format!(r#"{{"owner":"{}"}}"#, ends[number].0)));
        Session { metadata, ..keep_alive_session(&format!("s{number}"), status) }
    };
    for number in 0..ends.len() {
        tracker.apply(session_response(0.5, 0.6, session(number, Status::Running)));
    }
    for (number, (_, seconds)) in ends.iter().enumerate() {
        let ended = Session { ended: Some(at(*seconds)), ..session(number, Status::Completed) };
        alerts.extend(raised_alerts(apply(
            &mut tracker,
            session_response(seconds + 2.0, seconds + 2.1, ended),
        )));
    }
    alerts.extend(alerts_after(&mut tracker, 890.0));
    alerts
}

#[test]
fn ends_of_other_owners_together_are_incidents() {
    let together = [("a", 500.0), ("b", 500.4), ("c", 501.2)];
    assert_eq!(alerts_of_ends(&together), [Alert::EndedTogether; 3]);
    assert_eq!(alerts_of_ends(&[("a", 700.0), ("b", 700.9)]), [Alert::EndedTogether; 2]);
    assert_eq!(
        alerts_of_ends(&[("a", 500.0), ("a", 500.4), ("a", 501.2)]),
        [],
        "ends of one owner raise no alert"
    );
    let apart = [("a", 480.0), ("b", 520.0), ("c", 610.0), ("d", 700.0), ("a", 701.5), ("b", 880.0)];
    assert_eq!(alerts_of_ends(&apart), [], "two of several ends may be close by chance");
}

#[test]
fn stuck_pending_session_raises_alert() {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    tracker.apply(session_response(0.5, 0.6, session("a", Status::Pending)));
    assert_eq!(seconds_until_deadline(&tracker, 1.0), Some(59.0));
    assert_eq!(alerts_after(&mut tracker, 59.0), []);
    assert_eq!(alerts_after(&mut tracker, 60.0), [Alert::Pending(Duration::from_secs(60))]);
    tracker.apply(session_response(61.0, 61.1, session("a", Status::Running)));
    assert_eq!(alert_count(&tracker), 0, "the condition no longer holds");
}

#[test]
fn pending_session_can_be_overdue() {
    let mut tracker = SessionTracker::new(AlertThresholds::none());
    tracker.apply(session_response(904.0, 904.1, session("a", Status::Pending)));
    assert_eq!(alert_count(&tracker), 0, "a healthy API may need some seconds");
    let events = apply(&mut tracker, session_response(906.0, 906.1, session("a", Status::Pending)));
    assert_eq!(raised_alerts(events), [Alert::Overdue]);
}

#[test]
fn incident_lasts_seven_days() {
    let mut tracker = SessionTracker::new(early_thresholds(EarlyLimit::default()));
    tracker.apply(session_response(0.5, 0.6, session("a", Status::Running)));
    tracker.apply(session_response(9.5, 9.6, ended_session("a", Status::Error, 9.0)));
    let week = 7.0 * 24.0 * 3600.0;
    assert_eq!(alerts_after(&mut tracker, week - 60.0), []);
    assert_eq!(alert_count(&tracker), 1);
    assert_eq!(alerts_after(&mut tracker, week + 10.0), []);
    assert_eq!(alert_count(&tracker), 0);
    tracker.apply(session_response(week + 20.0, week + 20.1, ended_session("a", Status::Error, 9.0)));
    assert_eq!(alert_count(&tracker), 0, "the same incident is not raised again");
}

#[test]
fn second_failed_release_is_a_new_incident() {
    let mut tracker = tracker_with_release();
    let failed = || Input::ReleaseFailed {
        at: request_timing(10.0, 10.5),
        id: id("a"),
        error: ApiErrorKind::Server(500).into(),
        next: None,
    };
    assert_eq!(raised_alerts(apply(&mut tracker, failed())), [Alert::ReleaseFailed]);
    tracker.apply(Input::ReleaseRequested { at: moment(20.0), id: id("a") });
    assert_eq!(alert_count(&tracker), 0, "a new release request clears the alert about the old one");
    assert_eq!(raised_alerts(apply(&mut tracker, failed())), [Alert::ReleaseFailed]);
}

/// The documented ways in which a session ends after the limit for early ends.
#[derive(Clone, Copy, Debug)]
enum OrderlyEnd {
    /// The user or the client released it, or closed its browser.
    Completed,
    /// Its timeout ended it. The API may report that late.
    TimedOut,
    /// Its timeout ended it, and the API reports that as `COMPLETED`.
    CompletedAtExpiry,
}

proptest! {
    /// The thresholds for conditions are off, so an alert can only be about the end.
    #[test]
    fn orderly_end_raises_no_alert(
        end in prop_oneof![Just(OrderlyEnd::Completed), Just(OrderlyEnd::TimedOut), Just(OrderlyEnd::CompletedAtExpiry)],
        timeout in 75..21_600_u32, // so that an end 10 s before the expiry is later than the early limit of 60 s
        ran in 60..21_600_u32,
        late_millis in 0..5000_u32,
        poll_interval in 1..60_u32,
        keep_alive in proptest::option::of(any::<bool>()),
        has_ended_at in any::<bool>(),
        proxy_bytes in proptest::option::of(any::<i64>()),
        context in proptest::option::of("[a-z]{1,8}"),
        metadata in proptest::option::of("[a-z]{1,8}"),
        default_timeout in proptest::option::of(60..21_600_u64),
    ) {
        let (timeout, ran, late) = (f64::from(timeout), f64::from(ran), f64::from(late_millis) / 1000.0);
        let end_time = match end {
            OrderlyEnd::Completed => ran.min(timeout - 10.0),
            OrderlyEnd::TimedOut | OrderlyEnd::CompletedAtExpiry => timeout,
        };
        let status = if matches!(end, OrderlyEnd::TimedOut) { Status::TimedOut } else { Status::Completed };
        let running = Session {
            created: Some(at(0.0)),
            started: Some(at(0.0)),
            expires: Some(at(timeout)),
            keep_alive,
            proxy_bytes,
            context: context.map(|context| Untrusted::new(context.as_str())),
            metadata: metadata.map(|owner| Metadata::new(&format!(r#"{{"owner":"{owner}"}}"#))),
            ..session("a", Status::Running)
        };
        let ended = Session { status, ended: has_ended_at.then(|| at(end_time)), ..running.clone() };
        let mut tracker = SessionTracker::new(early_thresholds(EarlyLimit::default()));
        let project = crate::session::Project {
            id: Untrusted::new("p-1"),
            name: Untrusted::new("p-1"),
            default_timeout: default_timeout.map(Duration::from_secs),
            concurrency: None,
        };
        tracker.apply(Input::ProjectsReceived { at: request_timing(0.1, 0.2), projects: vec![project] });
        let reported_at = end_time + late;
        let mut events = Vec::new();
        // The tracker gets the polls of the first 100 s, the polls around the end, and one poll later. One poll is at
        // `reported_at`.
        let mut poll = reported_at % f64::from(poll_interval);
        while poll < reported_at + f64::from(poll_interval) {
            let is_ended = poll >= reported_at;
            let is_relevant = poll < 100.0 || poll > reported_at - 2.0 * f64::from(poll_interval);
            if is_relevant {
                let session = if is_ended { &ended } else { &running };
                events.extend(apply(&mut tracker, session_response(poll, poll + 0.1, session.clone())));
            }
            poll += f64::from(poll_interval);
        }
        events.extend(apply(&mut tracker, session_response(poll + 60.0, poll + 60.1, ended)));
        let raised = raised_alerts(events);
        prop_assert!(raised.is_empty(), "{raised:?}");
    }
}
