//! What holds after whatever inputs: nothing panics, nothing grows without bound, and nothing is claimed without its
//! evidence.

use std::collections::HashMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::fleet::MOST_OVER;
use super::timeline::{MOST, MOST_OF_ONE};
use super::together::WINDOW;
use super::verdict::{Cause, Fact, NEAR_EXPIRY, NEVER_CONNECTED, NEVER_CONNECTED_SLACK, Sure, Verdict};
use super::*;
use crate::clock::{Timestamp, Zone};
use crate::session::{Phase, SessionId, Status};

use crate::testing::inputs::{StepClocks, step};

/// All that a session can be flagged for at once: a time left, overdue, idle; or how it ended.
const MOST_FLAGS: usize = 3;

/// More sessions than this in a reply are a burst.
const FEW: usize = 4;

/// A fleet, and what is counted beside it.
#[derive(Default)]
struct Watched {
    fleet: Fleet,
    /// How often each session on record was first seen.
    first: HashMap<SessionId, usize>,
}

impl Watched {
    fn apply(&mut self, input: Input) {
        let (now, before) = (input.moment(), input.clone());
        let events = self.fleet.apply(input).events;
        for event in &events {
            assert!(event.when.earliest.is_none_or(|earliest| earliest <= event.when.latest), "{event:?}");
            assert!(!event.kind.sentence(Zone::Utc, self.fleet.clock().at(now)).contains('\n'));
            match &event.kind {
                EventKind::FirstSeen { .. } => *self.first.entry(event.id.clone().unwrap()).or_default() += 1,
                EventKind::Ended { status, .. } => {
                    assert!(status.is_final(), "{event:?}");
                    let id = event.id.as_ref().unwrap();
                    assert!(says(&before, id, status), "{event:?} by {before:?}");
                }
                _ => {}
            }
        }
        self.first.retain(|id, _| self.fleet.get(id).is_some());
        assert!(self.first.values().all(|times| *times == 1), "{:?}", self.first);
        bounded(&self.fleet);
        let many = matches!(&before, Input::Seen { sessions, .. } if sessions.len() > FEW);
        // Of hundreds that a burst left, only the burst changes anything.
        for record in self.fleet.records().filter(|record| many || record.id.raw().len() == 1) {
            flagged(record);
            if let Some(verdict) = self.fleet.verdict(&record.id) {
                evident(&self.fleet, record, &verdict);
            }
        }
    }
}

/// Whether `input` has a reply about `id` with `status`.
fn says(input: &Input, id: &SessionId, status: &Status) -> bool {
    let Input::Seen { scope, sessions, .. } = input else { return false };
    sessions
        .iter()
        .any(|session| session.status == *status && (*scope == Scope::One(id.clone()) || session.id == *id))
}

fn bounded(fleet: &Fleet) {
    let kept = fleet.records.len() * 2;
    assert!(fleet.timeline().len() <= MOST + kept, "{}", fleet.timeline().len());
    let named = fleet.records().filter(|record| record.asked_for).count();
    let over = fleet.records().filter(|record| record.is_over()).count();
    assert!(over <= MOST_OVER + named, "{over} are over, of which {named} were named");
    assert!(fleet.deadlines.len() <= fleet.records.len());
    assert!(fleet.ends.len() <= fleet.records.len(), "{:?}", fleet.ends);
    for (at, id) in &fleet.deadlines {
        assert_eq!(fleet.get(id).and_then(|record| record.deadline), Some(*at), "nobody's deadline: {id:?}");
    }
}

fn flagged(record: &Record) {
    assert!(record.flags.len() <= MOST_FLAGS, "{record:?}");
    let of_the_living = record.flags.iter().any(|(flag, _)| flag.is_of_the_living());
    let lives = record.phase() == Phase::Alive && !record.is_absent();
    assert!(lives || !of_the_living, "{record:?}");
}

/// How far apart two times are.
fn apart(one: Timestamp, other: Timestamp) -> Duration {
    one.signed_duration_since(other).abs().to_std().unwrap()
}

/// A verdict claims no more than the newest reply, and the times around it, allow.
fn evident(fleet: &Fleet, record: &Record, verdict: &Verdict) {
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
            assert!(said.is_none_or(|ended| apart(ended, expires) <= NEAR_EXPIRY), "{}", case());
            assert!(said.is_some() || verdict.facts.contains(&Fact::SeenToEnd), "{}", case());
        }
        Cause::KeptAlive { unused, .. } => {
            assert!(completed && session.keep_alive == Some(true), "{}", case());
            assert!(
                unused.is_none_or(|unused| unused > NEAR_EXPIRY && session.expires.is_some()),
                "{}",
                case()
            );
        }
        Cause::NeverConnected { age } => {
            assert!(completed && session.keep_alive == Some(false), "{}", case());
            let real = apart(session.ended.unwrap(), session.created.unwrap());
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
        Cause::Gone { .. } => assert!(record.is_absent() && !session.status.is_final(), "{}", case()),
        Cause::Overdue { .. } => {
            let sent = fleet.clock().at(record.last_alive().unwrap().sent);
            assert!(!session.status.is_final() && sent > session.expires.unwrap(), "{}", case());
        }
    }
    let said = matches!(verdict.cause, Cause::Failed | Cause::TimedOut { early: None, .. });
    assert_eq!(verdict.sure == Sure::Said, said, "{}", case());
    assert!(verdict.sure != Sure::Likely || verdict.facts.contains(&Fact::EndedAt), "{}", case());
    if let Some(together) = &verdict.together {
        assert!(together.spread <= WINDOW && together.ids.len() > 1, "{}", case());
        for id in &together.ids {
            let status = fleet.get(id).and_then(Record::status);
            assert_eq!(status, Some(&Status::Completed), "{id:?} is among {}", case());
        }
    }
    let line = verdict.line(&session.status, Zone::Utc, Timestamp::UNIX_EPOCH);
    assert!(line.contains(&session.status.sanitise(24)) && !line.contains('\n'), "{line}");
}

proptest! {
    // A case takes long, so there are fewer than usual. `PROPTEST_CASES=4000` runs more.
    #![proptest_config(crate::testing::few_cases())]

    #[test]
    fn whatever_comes_nothing_panics_grows_or_is_claimed_without_its_evidence(steps in vec(step(), 1..40)) {
        let (mut clocks, mut watched) = (StepClocks::start(), Watched::default());
        for step in steps {
            watched.apply(clocks.timed_input(step));
        }
    }

    #[test]
    fn a_recording_of_the_inputs_shows_the_same_again(steps in vec(step(), 1..40)) {
        let (mut clocks, mut live, mut again) = (StepClocks::start(), Fleet::default(), Fleet::default());
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
            prop_assert_eq!(&record.flags, &again.get(&record.id).unwrap().flags);
        }
    }
}

/// So often a session may come to its end and live again, as no API should say.
const AGAIN: u32 = 3_000;

#[test]
fn a_session_that_ends_again_and_again_does_not_grow_its_timeline() {
    let (mut clocks, mut fleet) = (StepClocks::start(), Fleet::default());
    for round in 0..AGAIN {
        let status = if round % 2 == 0 { Status::Running } else { Status::Completed };
        fleet.apply(clocks.response("a", status));
    }
    let id = SessionId::parse("a").unwrap();
    let of_one: Vec<_> = fleet.timeline().of(&id).iter().map(|(_, event)| event.kind.name()).collect();
    assert_eq!(of_one.len(), MOST_OF_ONE + 2);
    assert_eq!((of_one.first(), of_one.last()), (Some(&"first_seen"), Some(&"ended")));
}
