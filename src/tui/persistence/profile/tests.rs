use super::*;
use crate::store::journal::RunId;
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{List, Session, Status, Targets};
use keepwatch_core::testing::running_session;
use keepwatch_core::tracker::{Alert, RequestTiming, Scope};

fn at(seconds: u64) -> Moment {
    let start = Moment { wall: Timestamp::UNIX_EPOCH, mono: Duration::ZERO, boot: Duration::ZERO };
    start.plus(Duration::from_secs(seconds))
}

fn scope() -> JournalScope {
    let run = RunId::new(Timestamp::UNIX_EPOCH, 1);
    JournalScope { run, profile: None, host: "api.example".into() }
}

fn persistence_with_journal() -> ProfilePersistence {
    let id = SessionId::parse("a").unwrap();
    let restore = Restore::for_targets(Targets::Ids(vec![id]));
    ProfilePersistence::new(None, false, Some((scope(), restore)), at(0))
}

/// Returns the input for a list response at `seconds`, with one running session. All these responses are equal.
fn list_received(seconds: u64) -> Input {
    let timing = RequestTiming { sent: at(seconds), received: at(seconds), date: None, age: Duration::ZERO };
    let session = running_session("a", Timestamp::UNIX_EPOCH, Duration::from_secs(900));
    Input::SessionsReceived {
        at: timing,
        scope: Scope::List(List::Running),
        sessions: vec![session],
        malformed: 0,
    }
}

/// Returns the name of each command, and the number of its entries or summaries: 0 for a command that has neither.
fn names_and_counts(commands: &[PersistenceCommand]) -> Vec<(&'static str, usize)> {
    let name = |command: &PersistenceCommand| match command {
        PersistenceCommand::AppendEntries(entries) => ("append", entries.len()),
        PersistenceCommand::StartSegment { .. } => ("segment", 0),
        PersistenceCommand::SaveSummaries(summaries) => ("save", summaries.len()),
        PersistenceCommand::LoadHistory(_) => ("load", 0),
        PersistenceCommand::SetServerTime { .. } => ("server time", 0),
        PersistenceCommand::SaveAlerts(alerts) => ("alerts", alerts.len()),
        PersistenceCommand::CheckAcknowledgements => ("check", 0),
    };
    commands.iter().map(name).collect()
}

#[test]
fn first_response_is_saved_and_history_requested() {
    let (mut persistence, mut tracker) = (persistence_with_journal(), SessionTracker::default());
    let (events, commands) = persistence.apply(&mut tracker, list_received(1));
    assert!(!events.is_empty());
    assert_eq!(names_and_counts(&commands), [("append", 1), ("save", 1), ("load", 0)]);
    assert_eq!(persistence.finish_restore().map(|buffered| buffered.len()), Some(1));
}

#[test]
fn unchanged_session_is_saved_once_a_minute() {
    let (mut persistence, mut tracker) = (persistence_with_journal(), SessionTracker::default());
    persistence.apply(&mut tracker, list_received(1));
    let saved_at = (2..=130).filter(|seconds| {
        let (_, commands) = persistence.apply(&mut tracker, list_received(*seconds));
        names_and_counts(&commands).iter().any(|(name, _)| *name == "save")
    });
    assert_eq!(saved_at.collect::<Vec<_>>(), [60, 120], "a save is due every 60 seconds after the start");
}

#[test]
fn recording_alone_has_no_journal_commands() {
    let mut persistence = ProfilePersistence::new(None, false, None, at(0));
    let mut tracker = SessionTracker::default();
    let (_, commands) = persistence.apply(&mut tracker, list_received(1));
    assert_eq!(names_and_counts(&commands), [("append", 1)]);
    assert!(persistence.start_segment(&tracker, None, at(2)).is_empty());
    assert!(persistence.finish_restore().is_none());
}

#[test]
fn new_segment_closes_open_repeat_first() {
    let (mut persistence, mut tracker) = (persistence_with_journal(), SessionTracker::default());
    persistence.apply(&mut tracker, list_received(1));
    persistence.apply(&mut tracker, list_received(2)); // an equal response opens a repeat
    let commands = persistence.start_segment(&tracker, None, at(3));
    assert_eq!(names_and_counts(&commands), [("append", 1), ("segment", 0)]);
    let start = PersistenceCommand::StartSegment { scope: scope(), started: at(3).wall };
    assert_eq!(commands.last(), Some(&start));
}

#[test]
fn finish_saves_sessions_updated_since_last_save() {
    let (mut persistence, mut tracker) = (persistence_with_journal(), SessionTracker::default());
    persistence.apply(&mut tracker, list_received(1));
    persistence.apply(&mut tracker, list_received(60)); // a minute after the start: saves
    assert_eq!(names_and_counts(&persistence.finish(&tracker)).last(), Some(&("save", 0)));
    persistence.apply(&mut tracker, list_received(61));
    assert_eq!(names_and_counts(&persistence.finish(&tracker)).last(), Some(&("save", 1)));
}

/// Returns the summaries in the commands.
fn summaries(commands: Vec<PersistenceCommand>) -> Vec<SessionSummary> {
    let saved = commands.into_iter().filter_map(|command| match command {
        PersistenceCommand::SaveSummaries(summaries) => Some(summaries),
        _ => None,
    });
    saved.flatten().collect()
}

#[test]
fn cleared_session_is_not_saved_again() {
    let (mut persistence, mut tracker) = (persistence_with_journal(), SessionTracker::default());
    persistence.apply(&mut tracker, list_received(1));
    let commands = persistence.start_segment(&tracker, Some(at(5)), at(6));
    assert_eq!(names_and_counts(&commands), [("segment", 0)]);
    assert!(summaries(persistence.finish(&tracker)).is_empty());
}

#[test]
fn summary_begins_anew_after_clear() {
    let (mut persistence, mut tracker) = (persistence_with_journal(), SessionTracker::default());
    for second in 1..=10 {
        persistence.apply(&mut tracker, list_received(second));
    }
    persistence.start_segment(&tracker, Some(at(10)), at(11));
    // The first response after the clear is saved at once, the others with the next save. The time watched counts
    // from the last response before the clear, at second 10.
    let (_, commands) = persistence.apply(&mut tracker, list_received(12));
    let saved = summaries(commands);
    assert_eq!((saved.len(), saved[0].responses, saved[0].watched), (1, 1, Duration::from_secs(2)));
    assert_eq!((saved[0].first_seen, saved[0].last_seen), (at(12).wall, at(12).wall));
    let (_, commands) = persistence.apply(&mut tracker, list_received(13));
    assert!(summaries(commands).is_empty());
    let saved = summaries(persistence.finish(&tracker));
    assert_eq!((saved[0].responses, saved[0].watched), (2, Duration::from_secs(3)));
    assert_eq!((saved[0].first_seen, saved[0].last_seen), (at(12).wall, at(13).wall));
}

#[test]
fn responses_since_clear_are_saved_with_segment() {
    let (mut persistence, mut tracker) = (persistence_with_journal(), SessionTracker::default());
    persistence.apply(&mut tracker, list_received(1));
    persistence.apply(&mut tracker, list_received(9));
    let commands = persistence.start_segment(&tracker, Some(at(5)), at(10));
    assert_eq!(names_and_counts(&commands), [("append", 1), ("segment", 0), ("save", 1)]);
    let saved = summaries(commands);
    assert_eq!((saved[0].first_seen, saved[0].responses), (at(9).wall, 1));
}

#[test]
fn server_time_is_sent_when_it_changes() {
    let (mut persistence, mut tracker) = (persistence_with_journal(), SessionTracker::default());
    let mut sends_server_time = |seconds: u64, date: u64| {
        let timing = RequestTiming {
            sent: at(seconds),
            received: at(seconds),
            date: Some(at(date).wall),
            age: Duration::ZERO,
        };
        let input = Input::SessionsReceived {
            at: timing,
            scope: Scope::List(List::Running),
            sessions: Vec::new(),
            malformed: 0,
        };
        let (_, commands) = persistence.apply(&mut tracker, input);
        commands.iter().any(|command| matches!(command, PersistenceCommand::SetServerTime { .. }))
    };
    assert_eq!([sends_server_time(1, 1), sends_server_time(2, 2)], [true, false]);
    // The server's clock jumps. The tracker believes that after a minute.
    let jump_secs = 60 * 24 * 60 * 60;
    let sent: Vec<bool> = (3..70).map(|seconds| sends_server_time(seconds, jump_secs + seconds)).collect();
    assert_eq!(sent.iter().filter(|is_sent| **is_sent).count(), 1, "a jump is sent once: {sent:?}");
}

/// Returns the input for a response at `seconds`, in which the session has failed.
fn failure_received(seconds: u64) -> Input {
    let timing = RequestTiming { sent: at(seconds), received: at(seconds), date: None, age: Duration::ZERO };
    let running = running_session("a", Timestamp::UNIX_EPOCH, Duration::from_secs(900));
    let failed = Session { status: Status::Error, ended: Some(at(seconds).wall), ..running };
    let scope = Scope::Session(failed.id.clone());
    Input::SessionsReceived { at: timing, scope, sessions: vec![failed], malformed: 0 }
}

/// Returns the alerts in the commands.
fn saved_alerts(commands: &[PersistenceCommand]) -> Vec<StoredAlert> {
    let saved = commands.iter().filter_map(|command| match command {
        PersistenceCommand::SaveAlerts(alerts) => Some(alerts.clone()),
        _ => None,
    });
    saved.flatten().collect()
}

#[test]
fn incident_is_saved_when_raised() {
    let (mut persistence, mut tracker) = (persistence_with_journal(), SessionTracker::default());
    assert!(saved_alerts(&persistence.apply(&mut tracker, list_received(1)).1).is_empty());
    let (_, commands) = persistence.apply(&mut tracker, failure_received(4));
    let [saved] = &saved_alerts(&commands)[..] else { panic!("{commands:?}") };
    assert_eq!((saved.host.as_str(), saved.session.raw()), ("api.example", "a"));
    assert_eq!((saved.kind, saved.raised, saved.acknowledged), (Alert::Error.kind(), at(4).wall, None));
    let (_, commands) = persistence.apply(&mut tracker, failure_received(8));
    assert!(saved_alerts(&commands).is_empty(), "once");
}

#[test]
fn cleared_alert_is_not_saved_again() {
    let (mut persistence, mut tracker) = (persistence_with_journal(), SessionTracker::default());
    persistence.apply(&mut tracker, list_received(1));
    persistence.apply(&mut tracker, failure_received(4));
    let (id, raised) = {
        let record = tracker.records().next().unwrap();
        (record.id.clone(), record.alerts[0])
    };
    let acknowledge = |persistence: &ProfilePersistence| {
        persistence.save_alerts(&tracker, [(&id, raised, Some(at(9).wall))])
    };
    assert!(acknowledge(&persistence).is_some());
    let commands = persistence.start_segment(&tracker, Some(at(5)), at(6));
    assert!(saved_alerts(&commands).is_empty());
    assert_eq!(acknowledge(&persistence), None, "not even with an acknowledgement from after the clear");
    assert_eq!(persistence.on_tracker_restored(&tracker, &[]), None);
}

#[test]
fn incident_since_clear_is_saved_with_segment() {
    let (mut persistence, mut tracker) = (persistence_with_journal(), SessionTracker::default());
    persistence.apply(&mut tracker, list_received(1));
    persistence.apply(&mut tracker, failure_received(7));
    // The writer found the clear of second 5 only now.
    let commands = persistence.start_segment(&tracker, Some(at(5)), at(8));
    assert_eq!(saved_alerts(&commands).len(), 1);
}

#[test]
fn restored_incident_is_saved_if_journal_lacks_it() {
    let (mut persistence, mut tracker) = (persistence_with_journal(), SessionTracker::default());
    persistence.apply(&mut tracker, list_received(1));
    let saved = saved_alerts(&persistence.apply(&mut tracker, failure_received(4)).1);
    assert_eq!(persistence.on_tracker_restored(&tracker, &saved), None);
    let command = persistence.on_tracker_restored(&tracker, &[]);
    assert_eq!(command, Some(PersistenceCommand::SaveAlerts(saved)));
}

#[test]
fn journal_is_checked_once_a_minute_if_nothing_is_saved() {
    let (mut persistence, mut tracker) = (persistence_with_journal(), SessionTracker::default());
    let empty_list = |seconds| {
        let timing =
            RequestTiming { sent: at(seconds), received: at(seconds), date: None, age: Duration::ZERO };
        let scope = Scope::List(List::Running);
        Input::SessionsReceived { at: timing, scope, sessions: Vec::new(), malformed: 0 }
    };
    let checked_at = (1..=130).filter(|seconds| {
        let (_, commands) = persistence.apply(&mut tracker, empty_list(*seconds));
        names_and_counts(&commands).contains(&("check", 0))
    });
    assert_eq!(checked_at.collect::<Vec<_>>(), [60, 120]);
}
