//! Property tests: for any inputs, the tracker does not panic, stays within its bounds, and claims nothing without
//! evidence.

use std::collections::HashMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::end_clusters::CLUSTER_WINDOW;
use super::session_tracker::{MAX_FINAL_SESSIONS, MAX_INCIDENT_SESSIONS};
use super::timeline::{MAX_EVENTS, MAX_EVENTS_PER_SESSION};
use super::verdict::{Cause, Confidence, Fact, NEAR_EXPIRY, NEVER_CONNECTED, NEVER_CONNECTED_SLACK, Verdict};
use super::*;
use crate::clock::{Timestamp, Zone};
use crate::session::{Phase, Region, SessionId, Status};

use crate::testing::inputs::{StepClocks, step};

/// The maximum number of alerts of a session: for example time left, idle and still running.
const MAX_ALERTS: usize = 3;

/// The maximum number of sessions in an ordinary response. A response with more is a burst.
const MAX_ORDINARY_SESSIONS: usize = 4;

/// A tracker that is checked after each input.
#[derive(Default)]
struct CheckedTracker {
    tracker: SessionTracker,
    /// The number of `FirstSeen` events of each session that has a record.
    first_seen_counts: HashMap<SessionId, usize>,
}

impl CheckedTracker {
    fn apply(&mut self, input: Input) {
        let (now, applied_input) = (input.moment(), input.clone());
        let events = self.tracker.apply(input).events;
        for event in &events {
            assert!(event.when.earliest.is_none_or(|earliest| earliest <= event.when.latest), "{event:?}");
            assert!(!event.kind.sentence(Zone::Utc, self.tracker.clock().at(now)).contains('\n'));
            match &event.kind {
                EventKind::FirstSeen { .. } => {
                    *self.first_seen_counts.entry(event.id.clone().unwrap()).or_default() += 1
                }
                EventKind::Ended { status, .. } => {
                    assert!(status.is_final(), "{event:?}");
                    let id = event.id.as_ref().unwrap();
                    assert!(
                        input_reports_status(&applied_input, id, status),
                        "{event:?} by {applied_input:?}"
                    );
                }
                _ => {} // the checks above apply to every event
            }
        }
        self.first_seen_counts.retain(|id, _| self.tracker.get(id).is_some());
        assert!(self.first_seen_counts.values().all(|count| *count == 1), "{:?}", self.first_seen_counts);
        assert_bounded(&self.tracker);
        let is_burst = matches!(&applied_input, Input::SessionsReceived { sessions, .. } if sessions.len() > MAX_ORDINARY_SESSIONS);
        // The hundreds of sessions of a burst (with long ids) change only in bursts, so check them only then.
        for record in self.tracker.records().filter(|record| is_burst || record.id.raw().len() == 1) {
            assert_alerts(record);
            if let Some(verdict) = self.tracker.verdict(&record.id) {
                assert_evidence(&self.tracker, record, &verdict);
            }
        }
    }
}

/// Returns true if `input` has a response about `id` with `status`.
fn input_reports_status(input: &Input, id: &SessionId, status: &Status) -> bool {
    let Input::SessionsReceived { scope, sessions, .. } = input else { return false };
    sessions.iter().any(|session| {
        session.status == *status && (*scope == Scope::Session(id.clone()) || session.id == *id)
    })
}

fn assert_bounded(tracker: &SessionTracker) {
    let permanent_events = tracker.records.len() * 2; // first seen and ended
    assert!(tracker.timeline().len() <= MAX_EVENTS + permanent_events, "{}", tracker.timeline().len());
    let named_count = tracker.records().filter(|record| record.is_named).count();
    let final_count = tracker.records().filter(|record| record.is_final()).count();
    assert!(
        final_count <= MAX_FINAL_SESSIONS + MAX_INCIDENT_SESSIONS + named_count,
        "{final_count} final records, {named_count} named"
    );
    assert!(tracker.deadlines.len() <= tracker.records.len());
    assert!(tracker.end_clusters.len() <= tracker.records.len(), "{:?}", tracker.end_clusters);
    for (at, id) in &tracker.deadlines {
        assert_eq!(
            tracker.get(id).and_then(|record| record.deadline),
            Some(*at),
            "each deadline is that of a record: {id:?}"
        );
    }
}

fn assert_alerts(record: &Record) {
    assert!(record.alerts.len() <= MAX_ALERTS, "{record:?}");
    let has_running_alert = record.alerts.iter().any(|raised| !raised.alert.is_incident());
    let is_alive = record.phase() == Phase::Alive && !record.is_not_found();
    assert!(is_alive || !has_running_alert, "{record:?}");
}

/// Returns the time between two timestamps.
fn time_apart(one: Timestamp, other: Timestamp) -> Duration {
    one.signed_duration_since(other).abs().to_std().unwrap()
}

/// Asserts that a verdict claims no more than the newest response and the times around the end allow.
fn assert_evidence(tracker: &SessionTracker, record: &Record, verdict: &Verdict) {
    let session = record.session.as_ref().unwrap();
    let context = || format!("{verdict:?} of {record:?}");
    let is_completed = session.status == Status::Completed;
    match &verdict.cause {
        Cause::Failed => assert_eq!(session.status, Status::Error, "{}", context()),
        Cause::TimedOut { .. } => assert_eq!(session.status, Status::TimedOut, "{}", context()),
        Cause::ReleasedHere { .. } => {
            panic!("without a release request, no release is the cause: {}", context())
        }
        Cause::AtExpiry { distance } => {
            assert!(is_completed && *distance <= NEAR_EXPIRY, "{}", context());
            let expires = session.expires.unwrap();
            let ended = session.ended.filter(|_| verdict.facts.contains(&Fact::EndedAt));
            assert!(ended.is_none_or(|ended| time_apart(ended, expires) <= NEAR_EXPIRY), "{}", context());
            assert!(ended.is_some() || verdict.facts.contains(&Fact::ResponsesAroundEnd), "{}", context());
        }
        Cause::KeepAliveEnded { unused, .. } => {
            assert!(is_completed && session.keep_alive == Some(true), "{}", context());
            assert!(
                unused.is_none_or(|unused| unused > NEAR_EXPIRY && session.expires.is_some()),
                "{}",
                context()
            );
        }
        Cause::NeverConnected { age } => {
            assert!(is_completed && session.keep_alive == Some(false), "{}", context());
            let actual = time_apart(session.ended.unwrap(), session.created.unwrap());
            assert!(
                *age == actual && actual.abs_diff(NEVER_CONNECTED) <= NEVER_CONNECTED_SLACK,
                "{}",
                context()
            );
            assert!(session.proxy_bytes.is_none_or(|bytes| bytes <= 0), "{}", context());
        }
        Cause::Disconnected { unused } => {
            assert!(is_completed && session.keep_alive == Some(false), "{}", context());
            assert!(
                unused.is_none_or(|unused| unused > NEAR_EXPIRY && session.expires.is_some()),
                "{}",
                context()
            );
        }
        Cause::EndedPastExpiry { overrun } => {
            assert!(is_completed && session.expires.is_some() && *overrun > NEAR_EXPIRY, "{}", context());
        }
        Cause::Unexplained => assert!(is_completed && session.keep_alive.is_none(), "{}", context()),
        Cause::Gone { .. } => assert!(record.is_not_found() && !session.status.is_final(), "{}", context()),
        Cause::Overdue { .. } => {
            let sent = tracker.clock().at(record.last_alive().unwrap().sent);
            assert!(!session.status.is_final() && sent > session.expires.unwrap(), "{}", context());
        }
    }
    let is_reported = matches!(verdict.cause, Cause::Failed | Cause::TimedOut { unused: None, .. });
    assert_eq!(verdict.confidence == Confidence::Reported, is_reported, "{}", context());
    assert!(
        verdict.confidence != Confidence::Likely || verdict.facts.contains(&Fact::EndedAt),
        "{}",
        context()
    );
    if let Some(cluster) = &verdict.end_cluster {
        assert!(cluster.spread <= CLUSTER_WINDOW && cluster.ids.len() > 1, "{}", context());
        for id in &cluster.ids {
            let status = tracker.get(id).and_then(Record::status);
            assert_eq!(status, Some(&Status::Completed), "{id:?} is among {}", context());
        }
    }
    let line = verdict.summary_line(&session.status, Zone::Utc, Timestamp::UNIX_EPOCH);
    assert!(line.contains(&session.status.sanitise(24)) && !line.contains('\n'), "{line}");
}

proptest! {
    // A case takes long, so fewer cases than usual run by default. `PROPTEST_CASES=4000` runs more.
    #![proptest_config(crate::testing::few_cases())]

    #[test]
    fn any_inputs_keep_bounds_and_evidence(steps in vec(step(), 1..40)) {
        let (mut clocks, mut checked) = (StepClocks::start(), CheckedTracker::default());
        for step in steps {
            checked.apply(clocks.timed_input(step));
        }
    }

    #[test]
    fn replay_gives_the_same_state(steps in vec(step(), 1..40)) {
        let (mut clocks, mut live, mut replayed) =
            (StepClocks::start(), SessionTracker::default(), SessionTracker::default());
        for step in steps {
            let input = clocks.timed_input(step);
            let line = serde_json::to_string(&input).unwrap();
            let applied = live.apply(input);
            prop_assert_eq!(&applied, &replayed.apply(serde_json::from_str(&line).unwrap()), "{}", line);
            for event in applied.events {
                let event_line = serde_json::to_string(&event).unwrap();
                prop_assert_eq!(serde_json::from_str::<Event>(&event_line).unwrap(), event);
            }
        }
        prop_assert_eq!(live.len(), replayed.len());
        for record in live.records() {
            prop_assert_eq!(live.verdict(&record.id), replayed.verdict(&record.id));
            prop_assert_eq!(&record.alerts, &replayed.get(&record.id).unwrap().alerts);
        }
    }
}

/// The number of responses, which are by turns running and completed. (A real API reports a session's end once.)
const RESPONSE_COUNT: u32 = 3_000;

#[test]
fn repeated_ends_keep_timeline_bounded() {
    let (mut clocks, mut tracker) = (StepClocks::start(), SessionTracker::default());
    for round in 0..RESPONSE_COUNT {
        let status = if round % 2 == 0 { Status::Running } else { Status::Completed };
        let mut response = clocks.response("a", status);
        if let Input::SessionsReceived { sessions, .. } = &mut response {
            // Each response has a new region. No earlier version returns, so the responses are not contradictory.
            sessions[0].region = Some(Region::from_api(&format!("region-{round}")));
        }
        tracker.apply(response);
    }
    let id = SessionId::parse("a").unwrap();
    let event_names: Vec<_> =
        tracker.timeline().events_of(&id).iter().map(|(_, event)| event.kind.name()).collect();
    assert_eq!(
        event_names.len(),
        MAX_EVENTS_PER_SESSION + 2,
        "the limit does not count the `FirstSeen` event and the newest end"
    );
    assert_eq!((event_names.first(), event_names.last()), (Some(&"first_seen"), Some(&"ended")));
}
