//! The release of a session: the dialog, the command to the poller, and the sessions that cannot be released.

use super::*;

/// To release this session, the user types the last four characters of the id: `b3de`.
const A: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
const B: &str = "8f14e45f-ceea-467f-a0c4-7c1f2b9d3e58";

fn two_running() -> World {
    World::with_running(&[(A, 900), (B, 1800)])
}

fn released_ids(effects: &[Effect]) -> Vec<&SessionId> {
    let ids = effects.iter().filter_map(|effect| match effect {
        Effect::SendToPoller(ProfileId::FIRST, PollerCommand::Release(id)) => Some(id),
        _ => None,
    });
    ids.collect()
}

#[test]
fn release_needs_end_of_id() {
    let mut world = two_running();
    for typed in ["", "b3d", "6512", "b3dz", "b3dee", "b3deee"] {
        world.press("x");
        assert_eq!(world.press(typed), []);
        assert_eq!(world.key(KeyCode::Enter), [], "{typed:?}");
        assert!(world.notice().contains("nothing was released"), "{typed:?}");
        world.key(KeyCode::Esc);
    }
    world.press("xB3DE");
    let effects = world.key(KeyCode::Enter);
    assert_eq!(released_ids(&effects), [&id(A)]);
    assert!(world.model.profiles.record(&id(A)).unwrap().is_releasing());
    world.press("x");
    assert_eq!(world.notice(), "its release is asked for already");
}

#[test]
fn release_dialog_keeps_its_session() {
    let mut world = two_running();
    world.press("xb3");
    // While the dialog for A is open, B moves to the top, the session c appears, and the filter hides A.
    world.now = 4.0;
    world.report_list(vec![session(A, 9000), session(B, 60), session("c", 30)]);
    world.model.table.set_filter(keepwatch_core::filter::Filter::parse("8f14").unwrap());
    world.now = 7.0;
    world.report_list(vec![session(A, 9000), session(B, 60), session("c", 30)]);
    world.model.select(id(B));
    world.press("de");
    let effects = world.key(KeyCode::Enter);
    assert_eq!(released_ids(&effects), [&id(A)]);
}

#[test]
fn revealed_url_keeps_release_dialog() {
    let mut world = two_running();
    world.press("Yx");
    world.report_urls(A, urls());
    // All letters go into the dialog: `e`, for example, does not open the events.
    world.press("b3de");
    assert!(matches!(&world.model.focus, Focus::ConfirmRelease { typed, .. } if typed == "b3de"));
    assert_eq!(released_ids(&world.key(KeyCode::Enter)), [&id(A)]);
}

#[test]
fn ended_session_is_not_released() {
    let mut world = two_running();
    world.press("xb3de");
    world.now = 4.0;
    world.report_session(ended_session(A, Status::Completed));
    assert_eq!(released_ids(&world.key(KeyCode::Enter)), Vec::<&SessionId>::new());
    world.model.select(id(A));
    world.press("x");
    assert!(world.notice().contains("nothing to release"), "{}", world.notice());
}

#[test]
fn read_only_mode_releases_nothing() {
    let mut world = two_running();
    world.model.settings.release_permission = None;
    world.press("x");
    assert!(matches!(world.model.focus, Focus::Pane(_)));
    assert!(world.notice().contains("read-only"));
    // Even a confirmed dialog, which read-only mode never opens, releases nothing.
    world.model.focus =
        Focus::ConfirmRelease { id: id(A), typed: "b3de".into(), back: crate::tui::Pane::Table };
    assert_eq!(released_ids(&world.key(KeyCode::Enter)), Vec::<&SessionId>::new());
}

#[test]
fn failed_release_keeps_api_message() {
    let mut world = two_running();
    world.press("xb3de");
    world.key(KeyCode::Enter);
    world.now = 4.0;
    let error =
        ApiError { message: Some(Untrusted::new("Session is locked")), ..ApiErrorKind::Status(409).into() };
    let report = Report {
        request: Request::Release(id(A)),
        sent: moment(3.0),
        received: moment(4.0),
        date: None,
        age: Duration::ZERO,
        bytes: 0,
        rate_limit: None,
        result: Err(error),
        next_request: None,
    };
    world.send(Message::Report(ProfileId::FIRST, Box::new(report)));
    world.now = 60.0;
    world.report_list(vec![session(A, 900), session(B, 1800)]);
    let record = world.model.profiles.record(&id(A)).unwrap();
    let (error, next_retry) = record.release.as_ref().unwrap().failure.clone().unwrap();
    assert!(error.description().contains("“Session is locked”"));
    assert_eq!(next_retry, None, "a report without `next_request` announces no retry");
    assert!(!record.is_releasing(), "the user can request the release again");
    assert_eq!(
        record.alerts.iter().map(|raised| raised.alert.name()).collect::<Vec<_>>(),
        ["release_failed"]
    );
}

#[test]
fn unfinished_release_raises_alert() {
    let mut world = two_running();
    world.now = 2.0;
    world.press("xb3de");
    world.key(KeyCode::Enter);
    // The alert is due 30 s after the keystroke.
    world.tick(moment(31.9));
    assert_eq!(world.model.table.rows().counts().with_alerts, 0);
    world.tick(moment(32.0));
    assert_eq!(world.model.table.rows().counts().with_alerts, 1);
    world.now = 33.0;
    world.report_session(Session { ended: Some(at(32.5)), ..ended_session(A, Status::Completed) });
    let verdict = world.model.profiles.first().tracker.verdict(&id(A)).unwrap();
    assert_eq!(verdict.name(), "released_here");
    assert_eq!(world.model.table.rows().counts().with_alerts, 0, "the end counts as requested, not as early");
}
