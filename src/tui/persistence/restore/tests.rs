use std::time::Duration;

use super::*;
use crate::store::journal::RunId;
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::{Project, Session};
use keepwatch_core::testing::running_session;
use keepwatch_core::tracker::RequestTiming;

fn writer() -> JournalScope {
    let run = RunId::new(Timestamp::UNIX_EPOCH, 1);
    JournalScope { run, profile: None, host: "api.example".into() }
}

fn timing() -> RequestTiming {
    let now = Moment { wall: Timestamp::UNIX_EPOCH, mono: Duration::ZERO, boot: Duration::ZERO };
    RequestTiming { sent: now, received: now, date: None, age: Duration::ZERO }
}

fn session(id: &str) -> Session {
    running_session(id, Timestamp::UNIX_EPOCH, Duration::from_secs(900))
}

fn list_received(list: List, sessions: Vec<Session>) -> Input {
    Input::SessionsReceived { at: timing(), scope: Scope::List(list), sessions, malformed: 0 }
}

fn ids(texts: &[&str]) -> Vec<SessionId> {
    texts.iter().map(|text| SessionId::parse(text).unwrap()).collect()
}

fn requested_scope(restore: &mut Restore, tracker: &SessionTracker) -> Option<HistoryScope> {
    restore.request(tracker, &writer()).map(|request| request.scope)
}

#[test]
fn history_of_named_sessions_is_requested_once() {
    let mut restore = Restore::for_targets(Targets::Ids(ids(&["a", "b"])));
    let request = restore.request(&SessionTracker::default(), &writer()).unwrap();
    assert_eq!((request.scope, request.are_named), (HistoryScope::Sessions(ids(&["a", "b"])), true));
    assert_eq!(request.writer, writer());
    assert_eq!(restore.request(&SessionTracker::default(), &writer()), None);
}

#[test]
fn history_is_requested_when_projects_are_known() {
    let (mut restore, mut tracker) = (Restore::for_targets(Targets::All), SessionTracker::default());
    assert_eq!(requested_scope(&mut restore, &tracker), None);
    let id = Untrusted::new("p-1");
    let project = Project { id: id.clone(), name: id.clone(), default_timeout: None, concurrency: None };
    tracker.apply(Input::ProjectsReceived { at: timing(), projects: vec![project] });
    assert_eq!(requested_scope(&mut restore, &tracker), Some(HistoryScope::Projects(vec![id])));
}

#[test]
fn history_of_filtered_sessions_awaits_all_lists() {
    let mut restore = Restore { is_filtered: true, ..Restore::for_targets(Targets::All) };
    restore.buffer(&list_received(List::Running, vec![session("a")]));
    assert_eq!(requested_scope(&mut restore, &SessionTracker::default()), None);
    restore.buffer(&list_received(List::Pending, vec![session("b")]));
    let scope = requested_scope(&mut restore, &SessionTracker::default());
    assert_eq!(scope, Some(HistoryScope::Sessions(ids(&["a", "b"]))));
}

#[test]
fn too_many_inputs_end_the_restore() {
    let mut restore = Restore::for_targets(Targets::All);
    for _ in 0..=MAX_BUFFERED {
        restore.buffer(&list_received(List::Running, Vec::new()));
    }
    assert_eq!((restore.state, restore.buffered.len()), (RestoreState::Done, 0));
    assert!(restore.finish().is_none());
}

#[test]
fn finish_returns_buffered_inputs_once() {
    let mut restore = Restore::for_targets(Targets::Ids(ids(&["a"])));
    restore.buffer(&list_received(List::Running, Vec::new()));
    assert!(requested_scope(&mut restore, &SessionTracker::default()).is_some());
    restore.buffer(&list_received(List::Running, Vec::new()));
    assert_eq!(restore.finish().map(|inputs| inputs.len()), Some(2));
    assert!(restore.finish().is_none());
}
