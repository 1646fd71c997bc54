//! What holds after whatever inputs: nothing panics, nothing grows without bound, and nothing is claimed without its
//! evidence.

use std::collections::HashMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::end_clusters::CLUSTER_WINDOW;
use super::session_tracker::MAX_FINAL_SESSIONS;
use super::timeline::{MAX_EVENTS, MAX_EVENTS_PER_SESSION};
use super::verdict::{Cause, Confidence, Fact, NEAR_EXPIRY, NEVER_CONNECTED, NEVER_CONNECTED_SLACK, Verdict};
use super::*;
use crate::clock::{Timestamp, Zone};
use crate::session::{Phase, SessionId, Status};

use crate::testing::inputs::{StepClocks, step};

/// All that a session can be flagged for at once: a time left, overdue, idle; or how it ended.
const MAX_ALERTS: usize = 3;

/// More sessions than this in a reply are a burst.
const BURST_OVER: usize = 4;

/// A fleet, and what is counted beside it.
#[derive(Default)]
struct CheckedTracker {
    tracker: SessionTracker,
    /// How often each session on record was first seen.
    first_seen_counts: HashMap<SessionId, usize>,
}

impl CheckedTracker {
    fn apply(&mut self, input: Input) {
        let (now, before) = (input.moment(), input.clone());
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
                    assert!(input_reports_status(&before, id, status), "{event:?} by {before:?}");
                }
                _ => {}
            }
        }
        self.first_seen_counts.retain(|id, _| self.tracker.get(id).is_some());
        assert!(self.first_seen_counts.values().all(|times| *times == 1), "{:?}", self.first_seen_counts);
        assert_bounded(&self.tracker);
        let many = matches!(&before, Input::SessionsReceived { sessions, .. } if sessions.len() > BURST_OVER);
        // Of hundreds that a burst left, only the burst changes anything.
        for record in self.tracker.records().filter(|record| many || record.id.raw().len() == 1) {
            assert_alerts(record);
            if let Some(verdict) = self.tracker.verdict(&record.id) {
                assert_evidence(&self.tracker, record, &verdict);
            }
        }
    }
}

/// Whether `input` has a reply about `id` with `status`.
fn input_reports_status(input: &Input, id: &SessionId, status: &Status) -> bool {
    let Input::SessionsReceived { scope, sessions, .. } = input else { return false };
    sessions.iter().any(|session| {
        session.status == *status && (*scope == Scope::Session(id.clone()) || session.id == *id)
    })
}

fn assert_bounded(tracker: &SessionTracker) {
    let kept = tracker.records.len() * 2;
    assert!(tracker.timeline().len() <= MAX_EVENTS + kept, "{}", tracker.timeline().len());
    let named = tracker.records().filter(|record| record.is_named).count();
    let over = tracker.records().filter(|record| record.is_final()).count();
    assert!(over <= MAX_FINAL_SESSIONS + named, "{over} are over, of which {named} were named");
    assert!(tracker.deadlines.len() <= tracker.records.len());
    assert!(tracker.end_clusters.len() <= tracker.records.len(), "{:?}", tracker.end_clusters);
    for (at, id) in &tracker.deadlines {
        assert_eq!(
            tracker.get(id).and_then(|record| record.deadline),
            Some(*at),
            "nobody's deadline: {id:?}"
        );
    }
}

fn assert_alerts(record: &Record) {
    assert!(record.alerts.len() <= MAX_ALERTS, "{record:?}");
    let of_the_living = record.alerts.iter().any(|(flag, _)| flag.applies_while_running());
    let lives = record.phase() == Phase::Alive && !record.is_not_found();
    assert!(lives || !of_the_living, "{record:?}");
}

/// How far apart two times are.
fn time_apart(one: Timestamp, other: Timestamp) -> Duration {
    one.signed_duration_since(other).abs().to_std().unwrap()
}

/// A verdict claims no more than the newest reply, and the times around it, allow.
fn assert_evidence(tracker: &SessionTracker, record: &Record, verdict: &Verdict) {
    let session = record.session.as_ref().unwrap();
    let case = || format!("{verdict:?} of {record:?}");
    let completed = session.status == Status::Completed;
    match &verdict.cause {
        Cause::Failed => assert_eq!(session.status, Status::Error, "{}", case()),
        Cause::TimedOut { .. } => assert_eq!(session.status, Status::TimedOut, "{}", case()),
        Cause::ReleasedHere { .. } => panic!("nothing was released: {}", case()),
        Cause::AtExpiry { off } => {
            assert!(completed && *off <= NEAR_EXPIRY, "{}", case());
            let expires = session.expires.unwrap();
            let said = session.ended.filter(|_| verdict.facts.contains(&Fact::EndedAt));
            assert!(said.is_none_or(|ended| time_apart(ended, expires) <= NEAR_EXPIRY), "{}", case());
            assert!(said.is_some() || verdict.facts.contains(&Fact::ResponsesAroundEnd), "{}", case());
        }
        Cause::KeepAliveEnded { unused, .. } => {
            assert!(completed && session.keep_alive == Some(true), "{}", case());
            assert!(
                unused.is_none_or(|unused| unused > NEAR_EXPIRY && session.expires.is_some()),
                "{}",
                case()
            );
        }
        Cause::NeverConnected { age } => {
            assert!(completed && session.keep_alive == Some(false), "{}", case());
            let real = time_apart(session.ended.unwrap(), session.created.unwrap());
            assert!(*age == real && real.abs_diff(NEVER_CONNECTED) <= NEVER_CONNECTED_SLACK, "{}", case());
            assert!(session.proxy_bytes.is_none_or(|bytes| bytes <= 0), "{}", case());
        }
        Cause::Disconnected { unused } => {
            assert!(completed && session.keep_alive == Some(false), "{}", case());
            assert!(
                unused.is_none_or(|unused| unused > NEAR_EXPIRY && session.expires.is_some()),
                "{}",
                case()
            );
        }
        Cause::PastExpiry { by } => {
            assert!(completed && session.expires.is_some() && *by > NEAR_EXPIRY, "{}", case());
        }
        Cause::Unexplained => assert!(completed && session.keep_alive.is_none(), "{}", case()),
        Cause::Gone { .. } => assert!(record.is_not_found() && !session.status.is_final(), "{}", case()),
        Cause::Overdue { .. } => {
            let sent = tracker.clock().at(record.last_alive().unwrap().sent);
            assert!(!session.status.is_final() && sent > session.expires.unwrap(), "{}", case());
        }
    }
    let said = matches!(verdict.cause, Cause::Failed | Cause::TimedOut { early: None, .. });
    assert_eq!(verdict.confidence == Confidence::Reported, said, "{}", case());
    assert!(verdict.confidence != Confidence::Likely || verdict.facts.contains(&Fact::EndedAt), "{}", case());
    if let Some(together) = &verdict.end_cluster {
        assert!(together.spread <= CLUSTER_WINDOW && together.ids.len() > 1, "{}", case());
        for id in &together.ids {
            let status = tracker.get(id).and_then(Record::status);
            assert_eq!(status, Some(&Status::Completed), "{id:?} is among {}", case());
        }
    }
    let line = verdict.summary_line(&session.status, Zone::Utc, Timestamp::UNIX_EPOCH);
    assert!(line.contains(&session.status.sanitise(24)) && !line.contains('\n'), "{line}");
}

proptest! {
    // A case takes long, so there are fewer than usual. `PROPTEST_CASES=4000` runs more.
    #![proptest_config(crate::testing::few_cases())]

    #[test]
    fn whatever_comes_nothing_panics_grows_or_is_claimed_without_its_evidence(steps in vec(step(), 1..40)) {
        let (mut clocks, mut watched) = (StepClocks::start(), CheckedTracker::default());
        for step in steps {
            watched.apply(clocks.timed_input(step));
        }
    }

    #[test]
    fn a_recording_of_the_inputs_shows_the_same_again(steps in vec(step(), 1..40)) {
        let (mut clocks, mut live, mut again) = (StepClocks::start(), SessionTracker::default(), SessionTracker::default());
        for step in steps {
            let input = clocks.timed_input(step);
            let line = serde_json::to_string(&input).unwrap();
            let applied = live.apply(input);
            prop_assert_eq!(&applied, &again.apply(serde_json::from_str(&line).unwrap()), "{}", line);
            for event in applied.events {
                let line = serde_json::to_string(&event).unwrap();
                prop_assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
            }
        }
        prop_assert_eq!(live.len(), again.len());
        for record in live.records() {
            prop_assert_eq!(live.verdict(&record.id), again.verdict(&record.id));
            prop_assert_eq!(&record.alerts, &again.get(&record.id).unwrap().alerts);
        }
    }
}

/// So often a session may come to its end and live again, as no API should say.
const AGAIN: u32 = 3_000;

#[test]
fn a_session_that_ends_again_and_again_does_not_grow_its_timeline() {
    let (mut clocks, mut tracker) = (StepClocks::start(), SessionTracker::default());
    for round in 0..AGAIN {
        let status = if round % 2 == 0 { Status::Running } else { Status::Completed };
        tracker.apply(clocks.response("a", status));
    }
    let id = SessionId::parse("a").unwrap();
    let of_one: Vec<_> =
        tracker.timeline().events_of(&id).iter().map(|(_, event)| event.kind.name()).collect();
    assert_eq!(of_one.len(), MAX_EVENTS_PER_SESSION + 2);
    assert_eq!((of_one.first(), of_one.last()), (Some(&"first_seen"), Some(&"ended")));
}
