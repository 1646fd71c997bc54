use super::*;
use crate::store::journal::{JournalConfig, RunId};
use crate::store::tests::header;
use crate::tui::persistence::journal_sender::JournalSender;
use crate::tui::persistence::restore::Restore;
use crate::tui::persistence::{JournalScope, PersistenceCommand, ProfilePersistence};
use keepwatch_core::clock::saturating_add;
use keepwatch_core::session::{List, Session, Status, Targets};
use keepwatch_core::testing::{id, moment, noon, running_session};
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::{Alert, AlertRules, RequestTiming, Scope};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn project() -> Untrusted {
    Untrusted::new("p-1")
}

fn journal_scope(run: u64) -> JournalScope {
    JournalScope { run: RunId::new(noon(), run), profile: None, host: "api.example".into() }
}

/// Returns a session of the project that started at noon.
fn session(text: &str, status: Status) -> Session {
    let ended = (status != Status::Running).then(|| saturating_add(noon(), Duration::from_secs(2)));
    let running = running_session(text, noon(), Duration::from_secs(900));
    Session { status, ended, project: Some(project()), ..running }
}

/// Returns the input for a list response, or for a response about one session.
fn received(second: u32, scope: Scope, sessions: Vec<Session>) -> Input {
    let now = moment(second);
    let at = RequestTiming { sent: now, received: now, date: Some(now.wall), age: Duration::ZERO };
    Input::SessionsReceived { at, scope, sessions, malformed: 0 }
}

/// The journal of a run at noon: `failed` and `acknowledged` end in ERROR, `calm` runs. Nobody acknowledges `failed`.
fn journal_of_noon() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig { path: folder.path().join("journal.sqlite"), retention: DAY * 30 };
    let clock = Clock::scripted(moment(5));
    let (event_sender, _events) = PersistenceEventSender::channel();
    let mut sender = JournalSender::start(ProfileId::FIRST, &config, &clock, event_sender);
    let restore = Restore::for_targets(Targets::All);
    let mut persistence = ProfilePersistence::new(None, false, Some((journal_scope(1), restore)), moment(0));
    let mut tracker = SessionTracker::default();
    let mut commands = persistence.start_segment(&tracker, None, moment(0));
    let running = ["failed", "acknowledged", "calm"].map(|name| session(name, Status::Running));
    let ended = ["failed", "acknowledged"].map(|name| session(name, Status::Error));
    let mut inputs = vec![received(1, Scope::List(List::Running), running.to_vec())];
    inputs.extend(ended.map(|session| received(4, Scope::Session(session.id.clone()), vec![session])));
    for input in inputs {
        commands.extend(persistence.apply(&mut tracker, input).1);
    }
    let raised = tracker.get(&id("acknowledged")).unwrap().alerts[0];
    commands.extend(persistence.save_alerts(
        &tracker,
        [(&id("acknowledged"), raised, Some(saturating_add(noon(), Duration::from_secs(9))))],
    ));
    commands.extend(persistence.finish(&tracker));
    for command in commands {
        match command {
            PersistenceCommand::StartSegment { scope, started } => {
                sender.start_segment(scope, started, &header());
            }
            PersistenceCommand::AppendEntries(entries) => sender.append(&entries),
            PersistenceCommand::SaveSummaries(summaries) => sender.save(summaries),
            PersistenceCommand::SaveAlerts(alerts) => sender.save_alerts(alerts),
            _ => {}
        }
    }
    assert!(sender.close(Duration::from_secs(30)).is_empty());
    folder
}

/// Returns the moment `days` days after noon, in a later run. Its monotonic clocks show 30 days at noon.
fn later(days: u32) -> Moment {
    let boot = DAY * 30 + DAY * days;
    Moment { wall: saturating_add(noon(), DAY * days), mono: boot, boot }
}

fn load(
    folder: &tempfile::TempDir,
    history_scope: HistoryScope,
    now: Moment,
) -> (Option<SessionTracker>, Vec<StoredAlert>) {
    let request = HistoryRequest {
        scope: history_scope,
        writer: journal_scope(2),
        are_named: false,
        alert_rules: AlertRules::default(),
        owner_key: None,
    };
    load_history(&folder.path().join("journal.sqlite"), request, now).unwrap()
}

fn project_scope() -> HistoryScope {
    HistoryScope::Projects(vec![project()])
}

#[test]
fn unacknowledged_incident_of_three_days_ago_is_restored() {
    let folder = journal_of_noon();
    let (tracker, alerts) = load(&folder, project_scope(), later(3));
    let tracker = tracker.unwrap();
    assert_eq!(tracker.records().map(|record| record.id.raw()).collect::<Vec<_>>(), ["failed"]);
    let record = tracker.get(&id("failed")).unwrap();
    assert_eq!(record.status(), Some(&Status::Error));
    assert_eq!(record.alerts.iter().map(|raised| raised.alert).collect::<Vec<_>>(), [Alert::Error]);
    assert!(tracker.verdict(&record.id).is_some());
    let raised_after = record.alerts[0].at.signed_duration_since(noon()).num_seconds();
    assert!(
        (3..=5).contains(&raised_after),
        "the incident keeps its time, about 4 s after noon: {raised_after}"
    );
    let acknowledged: Vec<_> =
        alerts.iter().map(|alert| (alert.session.raw(), alert.acknowledged.is_some())).collect();
    assert_eq!(acknowledged, [("acknowledged", true), ("failed", false)]);
}

#[test]
fn last_day_is_restored_whole() {
    let (tracker, _) = load(&journal_of_noon(), project_scope(), later(0));
    assert_eq!(tracker.unwrap().len(), 3);
}

#[test]
fn incident_expires_after_seven_days() {
    let folder = journal_of_noon();
    assert!(load(&folder, project_scope(), later(6)).0.is_some());
    // The incident was raised four seconds after noon.
    assert!(load(&folder, project_scope(), later(7).plus(Duration::from_secs(5))).0.is_none());
}

#[test]
fn incident_outside_of_scope_is_not_restored() {
    let folder = journal_of_noon();
    let others = [
        HistoryScope::Projects(vec![Untrusted::new("p-2")]),
        HistoryScope::Sessions(vec![id("calm"), id("acknowledged")]),
    ];
    for other in others {
        assert!(load(&folder, other, later(3)).0.is_none());
    }
    let named = HistoryScope::Sessions(vec![id("failed")]);
    assert_eq!(load(&folder, named, later(3)).0.unwrap().len(), 1);
}

#[test]
fn newest_incidents_are_restored_if_there_are_too_many() {
    let alert = |number: u32| StoredAlert {
        host: "api.example".into(),
        project: Some(project()),
        session: id(&format!("s-{number:03}")),
        kind: Alert::Error.kind(),
        raised: saturating_add(noon(), Duration::from_secs(number.into())),
        acknowledged: None,
    };
    let alerts: Vec<_> = (0..300).map(alert).collect();
    let found = earlier_incidents(&alerts, &project_scope(), later(3).wall);
    // The first 100 of the 300 alerts, `s-000` to `s-099`, are the oldest.
    assert_eq!((found.len(), &found[0], found.last()), (200, &id("s-299"), Some(&id("s-100"))));
}
