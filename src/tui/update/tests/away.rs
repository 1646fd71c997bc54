//! The page about the user's absence: when it opens, what it counts, and what its keystrokes do.

use super::*;
use crate::tui::{AwayReport, PersistenceEvent, UnwatchedReason};
use keepwatch_core::session::Metadata;

const MINUTE: f64 = 60.0;

/// Returns a session of `owner` that ended `second` seconds after noon.
fn ended(text: &str, owner: &str, status: Status, second: f64) -> Session {
    Session {
        status,
        ended: Some(at(second)),
        metadata: Some(Metadata::new(&format!(r#"{{"owner":"{owner}"}}"#))),
        ..session(text, 3600)
    }
}

fn keep_alive(session: Session) -> Session {
    Session { keep_alive: Some(true), ..session }
}

/// A world in which four sessions run at noon. The user presses a key after 2 s, and then leaves. During the absence, `b`
/// ends early, `a` ends in an error, and `c` completes. It is now 20 minutes past noon.
fn world_after_absence() -> World {
    let mut world = World::with_running(&[("a", 3600), ("b", 3600), ("c", 3600), ("d", 3600)]);
    world.now = 2.0;
    world.press("j");
    world.now = 31.0;
    world.report_session(keep_alive(ended("b", "checkout", Status::Completed, 30.0)));
    world.now = 5.0 * MINUTE;
    world.report_session(ended("a", "mcp", Status::Error, 5.0 * MINUTE - 1.0));
    world.report_session(ended("c", "mcp", Status::Completed, 5.0 * MINUTE - 1.0));
    world.now = 20.0 * MINUTE;
    world
}

/// A world that has read in its journal that the last run ended `minutes` before noon.
fn world_after_run(minutes: f64) -> World {
    let mut world = World::with_running(&[("a", 3600)]);
    world.now = 2.0;
    let event = PersistenceEvent::LastRunEnded { at: at(-minutes * MINUTE) };
    world.send(Message::Persistence(event));
    world
}

/// Returns a session that ended five minutes before noon.
fn ended_before_start(text: &str) -> Session {
    Session {
        status: Status::Error,
        ended: Some(at(-5.0 * MINUTE)),
        ..running_session(text, at(-30.0 * MINUTE), Duration::from_secs(3600))
    }
}

fn report(world: &World) -> &AwayReport {
    world.model.away.report().expect("the page is open")
}

fn screen(world: &World) -> String {
    view::screen_text(&world.model, (100, 40), moment(world.now))
}

fn ids_to_look_at(world: &World) -> Vec<&str> {
    report(world).to_look_at.iter().map(|session| session.id.raw()).collect()
}

#[test]
fn w_counts_ends_since_last_keystroke() {
    let mut world = world_after_absence();
    world.press("w");
    assert_eq!(world.focused_pane(), Some(Pane::Away));
    let counts = report(&world).ended;
    assert_eq!((counts.all, counts.errors, counts.early, counts.completed), (3, 1, 1, 1));
    assert_eq!(ids_to_look_at(&world), ["a", "b"], "the newest incident is first");
    assert_eq!((report(&world).still_running, report(&world).new), (1, 0));
    let text = screen(&world);
    for part in [
        "While you were away  12:00 to 12:20, 20m ",
        "since 12:00: 3 ended, 1 error, 1 early; est. $0.02",
        "2 TO LOOK AT",
        "ended early, 59m 30s left",
        "1 completed     1 released or closed by its client",
        "1 still runs    the next expires at 13:00:00",
        "WHAT THIS RESTS ON",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn owners_are_sorted_by_cost() {
    let mut world = world_after_absence();
    world.press("w");
    let owners: Vec<_> = report(&world)
        .owners
        .iter()
        .map(|(owner, totals)| {
            (owner.as_ref().map(Untrusted::raw), totals.sessions, totals.errors, totals.early)
        })
        .collect();
    assert_eq!(owners, [(Some("mcp"), 2, 1, 0), (Some("checkout"), 1, 0, 1)]);
    // 11 billed minutes at $0.12 an hour: five minutes twice, and one minute.
    assert!((report(&world).together.dollars - 0.022).abs() < 1e-9, "{:?}", report(&world).together);
    world.press("H");
    assert!(!screen(&world).contains("mcp"), "{}", screen(&world));
}

#[test]
fn nine_minutes_are_no_absence() {
    let mut world = World::with_running(&[("a", 900)]);
    world.now = 9.0 * MINUTE;
    world.press("w");
    assert_eq!(world.notice(), "you were not away: never 10 minutes without a keystroke");
    assert_eq!(world.focused_pane(), Some(Pane::Table));
    world.now = 19.0 * MINUTE;
    world.press("w");
    assert_eq!(world.focused_pane(), Some(Pane::Away));
    assert_eq!(report(&world).since, at(9.0 * MINUTE));
}

#[test]
fn newest_absence_counts() {
    let mut world = world_after_absence();
    world.press("jk");
    world.now = 25.0 * MINUTE;
    world.press("w");
    assert_eq!(report(&world).since, at(2.0), "keystrokes less than 10 minutes apart are no absence");
    world.press("w");
    world.now = 40.0 * MINUTE;
    world.press("w");
    assert_eq!((report(&world).since, report(&world).ended.all), (at(25.0 * MINUTE), 0));
    assert!(screen(&world).contains("since 12:25: no session ended"), "{}", screen(&world));
    assert_eq!(
        ids_to_look_at(&world),
        ["a", "b"],
        "unacknowledged sessions stay to look at after a newer absence"
    );
}

#[test]
fn resize_and_paste_are_no_keystrokes() {
    let mut world = World::with_running(&[("a", 3600)]);
    world.now = 2.0;
    world.press("j");
    world.now = 6.0 * MINUTE;
    world.send(Message::Resize(90, 30));
    world.send(Message::Paste("no id".into()));
    world.now = 11.0 * MINUTE;
    world.press("w");
    assert_eq!(report(&world).since, at(2.0));
}

#[test]
fn page_opens_itself_after_end_between_runs() {
    let mut world = world_after_run(60.0);
    assert_eq!(world.focused_pane(), Some(Pane::Table), "the page stays closed until a session has ended");
    world.report_session(ended_before_start("b"));
    assert_eq!(world.focused_pane(), Some(Pane::Away));
    assert_eq!((report(&world).since, report(&world).ended.errors), (at(-60.0 * MINUTE), 1));
    let text = screen(&world);
    assert!(text.contains("not watched: 11:00 to 12:00 (keepwatch did not run)"), "{text}");
    assert!(text.contains("keepwatch last ran until 11:00."), "{text}");
    let later = Session { ended: Some(at(-4.0 * MINUTE)), ..ended_before_start("c") };
    world.report_session(later);
    assert_eq!((ids_to_look_at(&world), world.model.away.selected()), (vec!["c", "b"], 0));
    world.now = 30.0 * MINUTE;
    world.key(KeyCode::Esc);
    world.press("w");
    assert_eq!(
        report(&world).since,
        at(-60.0 * MINUTE),
        "the first keystroke after an absence between runs ends no other absence"
    );
}

#[test]
fn page_does_not_interrupt() {
    let mut short = world_after_run(9.0);
    short.report_session(ended_before_start("b"));
    assert_eq!(short.focused_pane(), Some(Pane::Table), "nine minutes between runs are no absence");

    let mut world = world_after_run(60.0);
    world.report_session(ended("a", "mcp", Status::Error, 1.5));
    assert_eq!(world.focused_pane(), Some(Pane::Table), "an end during this run does not open the page");

    let mut world = world_after_run(60.0);
    world.press("j");
    world.report_session(ended_before_start("b"));
    assert_eq!(world.focused_pane(), Some(Pane::Table), "the page does not open by itself after a keystroke");
    world.press("w");
    assert_eq!(report(&world).ended.errors, 1, "w opens the page at any time");

    let mut world = world_after_run(60.0);
    // A pasted id opens the input line, and is no keystroke. The page must not replace the input line.
    world.send(Message::Paste("45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff".into()));
    world.report_session(ended_before_start("b"));
    assert!(matches!(world.model.focus, Focus::AddSession { .. }), "{:?}", world.model.focus);
}

#[test]
fn newest_run_of_several_profiles_counts() {
    let mut world = world_after_run(60.0);
    world.send(Message::Persistence(PersistenceEvent::LastRunEnded { at: at(-2.0 * MINUTE) }));
    world.send(Message::Persistence(PersistenceEvent::LastRunEnded { at: at(-90.0 * MINUTE) }));
    world.report_session(ended_before_start("b"));
    assert_eq!(world.focused_pane(), Some(Pane::Table), "two minutes since the newest run are no absence");
}

#[test]
fn enter_opens_selected_session() {
    let mut world = world_after_absence();
    world.press("wj");
    world.key(KeyCode::Enter);
    assert_eq!(world.focused_pane(), Some(Pane::FullDetails(DetailsSection::Fields)));
    assert_eq!(world.selected(), Some("b"));
    world.key(KeyCode::Esc);
    world.press("w");
    assert_eq!(ids_to_look_at(&world), ["a"], "opening the details acknowledges the alerts");
    assert_eq!(report(&world).ended.acknowledged, 1);
}

#[test]
fn keystrokes_leave_page_except_filter() {
    for (letters, pane) in [("ww", Pane::Table), ("we", Pane::Events), ("wR", Pane::Recent)] {
        let mut world = world_after_absence();
        world.press(letters);
        assert_eq!(world.focused_pane(), Some(pane), "{letters}");
        assert!(world.model.away.report().is_none(), "{letters}");
    }
    let mut world = world_after_absence();
    world.press("w");
    world.key(KeyCode::Esc);
    assert_eq!(world.focused_pane(), Some(Pane::Table));
    world.press("w/");
    assert_eq!(world.notice(), "that is for the table: Esc leads there");
}

#[test]
fn acknowledged_sessions_leave_the_list() {
    let mut world = world_after_absence();
    world.press("wA");
    assert_eq!(world.notice(), "the flags of 2 sessions are acknowledged");
    assert_eq!(world.focused_pane(), Some(Pane::Away));
    assert_eq!((ids_to_look_at(&world), report(&world).ended.acknowledged), (Vec::new(), 2));
    world.key(KeyCode::Enter);
    assert_eq!(world.notice(), "no session to look at here: Esc leads to the sessions");
}

#[test]
fn open_page_follows_new_ends() {
    let mut world = world_after_absence();
    world.press("wj");
    world.now += 1.0;
    world.report_session(ended("d", "growth", Status::Error, 20.0 * MINUTE));
    assert_eq!(ids_to_look_at(&world), ["d", "a", "b"]);
    assert_eq!(world.model.away.selected(), 2, "the same session stays selected");
}

#[test]
fn periods_without_polls_are_named() {
    let mut world = World::with_running(&[("a", 3600)]);
    world.now = 2.0;
    world.press("j");
    world.now = 60.0; // the failed request was sent a little earlier, at 12:00:59.9
    world.report(Request::List(List::Running), Err(timeout_error()));
    world.now = 5.0 * MINUTE;
    world.report_list(vec![session("a", 3600)]);
    let (from, to) = (moment(6.0 * MINUTE), moment(10.0 * MINUTE));
    // The monotonic clock stands still during the sleep.
    let to = Moment { mono: from.mono, ..to };
    world.now = 10.0 * MINUTE;
    world.send(Message::Slept(from, to));
    world.now = 11.0 * MINUTE;
    world.report(Request::List(List::Running), Err(timeout_error()));
    world.now = 11.0 * MINUTE + 30.0;
    world.report_list(vec![session("a", 3600)]); // an outage of half a minute is too short to be named
    world.now = 14.0 * MINUTE;
    world.press("w");
    let reasons: Vec<_> = report(&world).unwatched.iter().map(|period| period.reason).collect();
    assert_eq!(reasons, [UnwatchedReason::PollsFailed, UnwatchedReason::Slept]);
    let text = screen(&world);
    let sentence = "not watched: 12:00 to 12:05 (polls failed), 12:06 to 12:10 (this machine slept)";
    assert!(text.contains(sentence), "{text}");
}

#[test]
fn pause_is_named() {
    let mut world = World::with_running(&[("a", 3600)]);
    world.now = 2.0;
    world.press("p");
    world.now = 15.0 * MINUTE;
    world.press("pw");
    assert!(
        screen(&world).contains("not watched: 12:00 to 12:15 (polling was paused)"),
        "{}",
        screen(&world)
    );
}

#[test]
fn muted_session_is_not_to_look_at() {
    let mut world = world_after_absence();
    world.model.select(id("a"));
    world.press("mw");
    assert_eq!((ids_to_look_at(&world), report(&world).ended.errors), (vec!["b"], 1));
}

#[test]
fn keystrokes_scroll_a_low_screen() {
    let mut world = world_after_absence();
    world.press("w");
    world.send(Message::Resize(60, 12));
    assert!(screen_at(&world, (60, 12)).contains("more"), "{}", screen_at(&world, (60, 12)));
    world.press("jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj");
    let text = screen_at(&world, (60, 12));
    assert!(text.contains("WHAT THIS RESTS ON") && !text.contains("more"), "{text}");
    world.press("g");
    assert!(screen_at(&world, (60, 12)).contains("since 12:00: 3 ended"));
    assert_eq!(world.model.away.selected(), 0);
}

fn screen_at(world: &World, size: (u16, u16)) -> String {
    view::screen_text(&world.model, size, moment(world.now))
}
