//! Alerts and the page of events. The user can show only the sessions with alerts, and can acknowledge alerts.

use super::*;
use crate::store::journal::{RunId, StoredAlert};
use crate::tui::persistence::{PersistenceCommand, PersistenceEvent};
use keepwatch_core::tracker::Alert;

/// A world with three sessions. `a` ended with an error, `b` ended early although it has keep-alive, and `c` runs. Only
/// `a` and `b` have an alert.
fn world_with_alerts() -> World {
    let mut world = World::with_running(&[("a", 900), ("b", 900), ("c", 3600)]);
    world.now = 4.0;
    let ended = Some(at(3.0));
    world.report_session(Session { status: Status::Error, ended, ..session("a", 900) });
    let keep_alive_session = Session { keep_alive: Some(true), ..session("b", 900) };
    world.report_session(Session { status: Status::Completed, ended, ..keep_alive_session });
    world
}

/// Returns the number of sessions with an unacknowledged alert.
fn sessions_with_alerts(world: &World) -> usize {
    world.model.table.rows().counts().with_alerts
}

#[test]
fn f_shows_only_sessions_with_alerts() {
    let mut world = world_with_alerts();
    assert_eq!((sessions_with_alerts(&world), world.rows().len()), (2, 3));
    world.press("f");
    assert_eq!(world.rows(), ["a", "b"]);
    world.key(KeyCode::Esc);
    assert_eq!(world.rows().len(), 3);
}

#[test]
fn acknowledged_alerts_are_not_counted() {
    let mut world = world_with_alerts();
    world.press("A");
    assert_eq!(
        (sessions_with_alerts(&world), world.notice()),
        (0, "the flags of 2 sessions are acknowledged")
    );
    world.press("A");
    assert_eq!(world.notice(), "there is no flag to acknowledge");
    world.now = 3300.0; // c has 5 min left
    let effects = world.tick(moment(world.now));
    assert!(matches!(effects[..], [Effect::SetTitle(_)]), "{effects:?}");
    assert_eq!(sessions_with_alerts(&world), 1);
}

#[test]
fn opening_details_acknowledges_alerts() {
    let mut world = world_with_alerts();
    world.press("f");
    world.model.select(id("a"));
    world.key(KeyCode::Enter);
    assert_eq!((sessions_with_alerts(&world), world.selected()), (1, Some("a")));
    world.now = 7.0;
    world.report_list(vec![session("c", 3600)]);
    assert_eq!(world.selected(), Some("a"), "the session with open details keeps its row");
    world.key(KeyCode::Esc);
    assert_eq!((world.rows(), world.selected()), (vec!["b"], Some("b")));
}

#[test]
fn bell_rings_only_if_enabled() {
    for bell in [false, true] {
        let mut world = World::with_running(&[("a", 900)]);
        world.model.settings.bell = bell;
        world.now = 4.0;
        let failed = ResponseBody::Session(ended_session("a", Status::Error));
        let effects = world.report(Request::Session(id("a")), Ok(failed));
        assert_eq!(effects, if bell { vec![Effect::RingBell] } else { vec![] });
    }
}

#[test]
fn expiry_alert_is_raised_on_its_second() {
    let mut world = World::with_running(&[("a", 900)]);
    world.model.paused = true; // so that the screen does not wake for stale data
    // The alert is due five minutes before the end, which is at 900 s.
    let wake_at = world.model.next_change(moment(599.0)).unwrap();
    assert_eq!(wake_at, secs(600.0));
    assert_eq!(world.tick(moment(599.9)), []);
    world.tick(moment(600.0));
    assert_eq!(sessions_with_alerts(&world), 1);
    let names: Vec<_> =
        world.model.profiles.first().tracker.timeline().all().map(|(_, event)| event.kind.name()).collect();
    assert_eq!(names, ["first_seen", "flagged"]);
}

#[test]
fn new_events_do_not_move_scrolled_page() {
    let mut world = World::with_running(&[]);
    world.send(Message::Resize(100, 12));
    let names: Vec<String> = (0..40).map(|number| format!("s{number:02}")).collect();
    let forty_sessions = || names.iter().map(|name| session(name, 9000)).collect::<Vec<_>>();
    world.now = 4.0;
    world.report_list(forty_sessions());
    world.press("e");
    assert_eq!((world.focused_pane(), world.model.scroll.anchor()), (Some(Pane::Events), None));
    world.press("k");
    assert_eq!(world.model.scroll.anchor(), Some(event_ref(38)), "one event above the newest, 39");
    world.now = 7.0;
    world.report_list(forty_sessions().into_iter().chain([session("new", 9000)]).collect());
    assert_eq!(world.model.scroll.anchor(), Some(event_ref(38)), "the scrolled page does not move");
    world.press("g");
    let newest_visible = world.model.scroll.anchor().unwrap().seq;
    assert!(
        (1..12).contains(&newest_visible),
        "the oldest events fill the screen of 12 lines: {newest_visible}"
    );
    world.press("G");
    assert_eq!(world.model.scroll.anchor(), None, "the page follows the newest event again");
    world.key(KeyCode::Esc);
    assert_eq!(world.focused_pane(), Some(Pane::Table));
}

#[test]
fn events_are_new_until_next_keystroke() {
    let mut world = World::with_running(&[("a", 900)]);
    let new_events = |world: &World| {
        let cursor = world.model.read_cursors.get(ProfileId::FIRST);
        world.model.profiles.first().tracker.timeline().count_from(cursor)
    };
    world.press("j");
    world.now = 4.0;
    world.report_session(ended_session("a", Status::Error));
    assert_eq!(new_events(&world), 2, "the end and the alert");
    world.press("j");
    assert_eq!(new_events(&world), 0);
}

#[test]
fn copied_evidence_has_no_metadata() {
    let mut world = world_with_alerts();
    let metadata = Some(keepwatch_core::session::Metadata::new(r#"{"customer":"ACME"}"#));
    let ended =
        Session { keep_alive: Some(true), ended: Some(at(3.0)), ..ended_session("b", Status::Completed) };
    world.report_session(Session { metadata, ..ended });
    world.model.select(id("b"));
    world.press("y");
    let effects = world.press("e");
    let [Effect::Copy(Copyable::Evidence, text)] = &effects[..] else { panic!("{effects:?}") };
    assert!(text.expose().contains("keep-alive on: Released via API"));
    assert!(!text.expose().contains("ACME"));
}

#[test]
fn events_page_acts_on_selected_event() {
    let mut world = world_with_alerts();
    world.model.select(id("c"));
    world.press("e");
    let session_of_newest = world.model.selected_event().unwrap().1.id.clone();
    assert_eq!(session_of_newest, Some(id("b")), "the newest event is the alert of b");
    world.key(KeyCode::Enter);
    assert_eq!(
        (world.focused_pane(), world.selected()),
        (Some(Pane::FullDetails(DetailsSection::Fields)), Some("b"))
    );
    world.press("e");
    world.press("g");
    world.model.scroll.set_positions(0, Some(event_ref(0))); // selects the oldest event
    let session_of_oldest = world.model.selected_event().unwrap().1.id.clone().unwrap();
    world.press("y"); // opens the copy menu for the event's session
    assert_eq!(world.selected(), Some(session_of_oldest.raw()));
    world.key(KeyCode::Esc);
    world.press("/");
    assert_eq!(world.focused_pane(), Some(Pane::Events), "the filter belongs to the table");
    assert!(world.notice().contains("Esc leads there"));
}

/// A world that stores its inputs in a journal. `a` and `b` ended in an error, and `c` runs.
fn world_with_journal() -> World {
    let mut world = World::with_running(&[("a", 900), ("b", 900), ("c", 3600)]);
    world.model.enable_persistence(Some(&RunId::new(at(0.0), 1)), false, moment(0.0));
    world.now = 4.0;
    world.report_session(ended_session("a", Status::Error));
    world.report_session(ended_session("b", Status::Error));
    world
}

/// Returns the session, the kind and the acknowledgement of each alert that the effects store.
fn stored(effects: &[Effect]) -> Vec<(String, String, Option<Timestamp>)> {
    let alerts = effects.iter().filter_map(|effect| match effect {
        Effect::Persist(_, PersistenceCommand::SaveAlerts(alerts)) => Some(alerts),
        _ => None,
    });
    let columns =
        |alert: &StoredAlert| (alert.session.raw().to_owned(), alert.kind.to_string(), alert.acknowledged);
    alerts.flatten().map(columns).collect()
}

/// Returns an alert of the public API's host, as the journal has it.
fn stored_alert(session: &str, alert: Alert, raised: f64, acknowledged: Option<f64>) -> StoredAlert {
    StoredAlert {
        host: "api.browserbase.com".into(),
        project: None,
        session: id(session),
        kind: alert.kind(),
        raised: at(raised),
        acknowledged: acknowledged.map(at),
    }
}

fn acknowledged_elsewhere(alerts: Vec<StoredAlert>) -> Message {
    Message::Persistence(PersistenceEvent::AlertsAcknowledged { profile: ProfileId::FIRST, alerts })
}

#[test]
fn acknowledgements_are_stored_at_once() {
    let mut world = world_with_journal();
    world.now = 6.0;
    world.model.select(id("a"));
    let acknowledged = |session: &str, second| (session.to_owned(), "error".to_owned(), Some(at(second)));
    assert_eq!(stored(&world.key(KeyCode::Enter)), [acknowledged("a", 6.0)]);
    world.key(KeyCode::Esc);
    world.now = 7.0;
    assert_eq!(stored(&world.press("A")), [acknowledged("b", 7.0)], "a is acknowledged already");
    assert_eq!(stored(&world.press("A")), []);
}

#[test]
fn acknowledgement_of_other_pane_clears_alert() {
    let mut world = world_with_journal();
    assert_eq!(sessions_with_alerts(&world), 2);
    // The same session and kind on another host are another alert.
    let other_host =
        StoredAlert { host: "other.example".into(), ..stored_alert("b", Alert::Error, 4.0, Some(5.0)) };
    let all = vec![stored_alert("a", Alert::Error, 4.0, Some(5.0)), other_host];
    world.press("f");
    let effects = world.send(acknowledged_elsewhere(all));
    assert_eq!((sessions_with_alerts(&world), stored(&effects)), (1, vec![]));
    assert_eq!(world.rows(), ["b"]);
}

#[test]
fn end_acknowledged_elsewhere_counts_as_acknowledged() {
    let mut world = World::with_running(&[("a", 900)]);
    world.model.settings.bell = true;
    world.model.enable_persistence(Some(&RunId::new(at(0.0), 1)), false, moment(0.0));
    // Another pane saw the end long before this one does.
    world.send(acknowledged_elsewhere(vec![stored_alert("a", Alert::Error, 2.0, Some(3.0))]));
    world.now = 500.0;
    let failed = ResponseBody::Session(ended_session("a", Status::Error));
    let effects = world.report(Request::Session(id("a")), Ok(failed));
    assert_eq!(sessions_with_alerts(&world), 0);
    assert!(!effects.contains(&Effect::RingBell), "{effects:?}");
}

#[test]
fn condition_that_returns_is_unacknowledged() {
    let sessions_with_alerts_after = |acknowledged_at| {
        let mut world = World::with_running(&[("c", 900)]);
        world.model.enable_persistence(Some(&RunId::new(at(0.0), 1)), false, moment(0.0));
        let acknowledged = stored_alert("c", Alert::Overdue, 0.0, Some(acknowledged_at));
        world.send(acknowledged_elsewhere(vec![acknowledged]));
        world.now = 1000.0; // the session, whose timeout is 900 s, raises its alert now
        world.report_list(vec![session("c", 900)]);
        sessions_with_alerts(&world)
    };
    // The other pane polls at other times, so its acknowledgement may be a minute older than the alert here.
    assert_eq!([1005.0, 950.0, 930.0].map(sessions_with_alerts_after), [0, 0, 1]);
}

#[test]
fn each_threshold_of_time_left_is_acknowledged_alone() {
    let mut world = World::with_running(&[("a", 900)]);
    world.model.paused = true;
    world.tick(moment(600.0));
    world.now = 601.0;
    assert_eq!(sessions_with_alerts(&world), 1, "5 min left");
    world.press("A");
    assert_eq!(sessions_with_alerts(&world), 0);
    world.tick(moment(840.0));
    assert_eq!(sessions_with_alerts(&world), 1, "1 min left");
}

#[test]
fn loaded_history_acknowledges_nothing_by_itself() {
    for acknowledged in [None, Some(5.0)] {
        let mut world = world_with_journal();
        let history = std::mem::take(&mut world.model.profiles.get_mut(ProfileId::FIRST).tracker);
        let mut world = World::watching(Targets::All);
        world.model.enable_persistence(Some(&RunId::new(at(0.0), 2)), false, moment(10.0));
        world.now = 10.0;
        world.send(Message::Persistence(PersistenceEvent::HistoryLoaded {
            profile: ProfileId::FIRST,
            tracker: Some(Box::new(history)),
            alerts: vec![
                stored_alert("a", Alert::Error, 4.0, acknowledged),
                stored_alert("b", Alert::Error, 4.0, None),
            ],
        }));
        assert_eq!(sessions_with_alerts(&world), if acknowledged.is_some() { 1 } else { 2 });
    }
}

#[test]
fn incident_of_a_week_ago_counts_as_acknowledged() {
    let mut world = world_with_journal();
    let week = 7.0 * 24.0 * 60.0 * 60.0;
    // It is 4 s past noon: the incident of `a` is a week old, and that of `b` is one second younger.
    let alerts = vec![
        stored_alert("a", Alert::Error, 4.0 - week, None),
        stored_alert("b", Alert::Error, 5.0 - week, None),
    ];
    world.send(Message::Persistence(PersistenceEvent::HistoryLoaded {
        profile: ProfileId::FIRST,
        tracker: None,
        alerts,
    }));
    assert_eq!(sessions_with_alerts(&world), 1);
}
