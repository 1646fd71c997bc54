//! What the clocks may do to a screen: a sleep, a wall clock that is set, a server whose clock is wrong, summer time.

use super::*;

/// An hour, in seconds.
const HOUR: f64 = 3600.0;

fn shifted(at: Timestamp, seconds: f64) -> Timestamp {
    if seconds < 0.0 { at - secs(-seconds) } else { saturating_add(at, secs(seconds)) }
}

/// A moment whose clocks differ: the wall clock shows so many seconds after noon.
fn moment_with_clocks(wall: f64, mono: f64, boot: f64) -> Moment {
    Moment { wall: shifted(t(0.0), wall), mono: secs(mono), boot: secs(boot) }
}

/// A reply to the list of running sessions that says so, with the server's date.
fn list_report(at: Moment, date: Timestamp, session: Session) -> Message {
    let listing = SessionList { sessions: vec![session], malformed: 0 };
    Message::Report(
        ProfileId::FIRST,
        Box::new(Report {
            request: Request::List(List::Running),
            sent: at,
            received: at,
            date: Some(date),
            bytes: 2,
            rate_limit: None,
            result: Ok(ResponseBody::List(listing)),
            next_attempt: None,
        }),
    )
}

/// A two-hour session, seen at one second after noon with the server's date so many seconds ahead.
fn world_with_server_ahead(ahead: f64) -> World {
    let mut world = World::watching(Targets::All);
    let date = shifted(t(1.0), ahead);
    let session = running_session("a", shifted(t(0.0), ahead), secs(2.0 * HOUR));
    update(&mut world.model, list_report(moment(1.0), date, session), moment(1.0));
    world
}

fn rendered(world: &World, now: Moment) -> String {
    view::screen_text(&world.model, (120, 40), now)
}

#[test]
fn after_a_sleep_the_countdown_is_right_all_is_asked_anew_and_the_screen_says_why() {
    let mut world = world_with_server_ahead(0.0);
    let (before, after) = (moment(10.0), moment_with_clocks(HOUR + 10.0, 10.0, HOUR + 10.0));
    let effects = update(&mut world.model, Message::Slept(before, after), after);
    assert!(effects.contains(&Effect::CommandAllPollers(PollerCommand::Reconnect)), "{effects:?}");
    let shown = rendered(&world, after);
    assert!(shown.contains("59m 50s"), "{shown}");
    assert!(shown.contains("this machine slept"), "{shown}");
    assert!(world.events().iter().any(|(_, name)| *name == "slept"), "and it is among the events");
}

#[test]
fn a_wall_clock_that_is_set_an_hour_either_way_moves_no_countdown_and_is_said() {
    for (step, way) in [(HOUR, "forward"), (-HOUR, "back")] {
        let mut world = world_with_server_ahead(0.0);
        let before = rendered(&world, moment(61.0));
        let after = moment_with_clocks(62.0 + step, 62.0, 62.0);
        assert!(!after.slept_since(moment(61.0)), "it is no sleep");
        update(
            &mut world.model,
            list_report(after, t(62.0), running_session("a", t(0.0), secs(2.0 * HOUR))),
            after,
        );
        let shown = rendered(&world, after);
        assert!(before.contains("1h 58m") && shown.contains("1h 58m"), "{shown}");
        assert!(world.events().iter().any(|(_, name)| *name == "clock_set"));
        world.press("e");
        let events = rendered(&world, after);
        assert!(events.contains(&format!("this machine's clock was set {way} by 1h 00m")), "{events}");
        let next = world.model.next_change(after).unwrap();
        assert!(next > after.mono && next <= after.mono + secs(60.0), "the screen wakes as ever: {next:?}");
    }
}

#[test]
fn a_server_whose_clock_is_ten_minutes_off_is_counted_down_by_its_own_and_is_said() {
    for (ahead, way) in [(600.0, "behind"), (-600.0, "ahead of")] {
        let world = world_with_server_ahead(ahead);
        let shown = rendered(&world, moment(61.0));
        assert!(shown.contains("1h 58m"), "{shown}");
        // A date has whole seconds: it is between 9m 59s and 10m 1s.
        let said = shown.lines().find(|line| line.contains("this machine's clock is")).unwrap();
        assert!(said.contains(&format!("m {way}")) || said.contains(&format!("s {way}")), "{said}");
        assert!(said.contains(" 10m") || said.contains(" 9m 59s"), "{said}");
    }
}

/// Runs itself in a zone, because a process can not safely set its own.
#[test]
fn summer_times_end_moves_the_times_of_day_and_no_length() {
    const INNER: &str = "KEEPWATCH_TEST_IN_BERLIN";
    if std::env::var_os(INNER).is_some() {
        let at = |time: &str| -> Timestamp { format!("2026-10-25T{time}Z").parse().unwrap() };
        // At 01:00 UTC the clocks there went back from 3 to 2.
        assert_eq!(Zone::Local.time(at("00:59:59")), "02:59:59");
        assert_eq!(Zone::Local.time(at("01:00:00")), "02:00:00");
        let mut model = Model::new(
            Settings { zone: Zone::Local, ..settings(Targets::All) },
            ProfileInfo::default(),
            Vec::new(),
            (120, 40),
        );
        let moment = |time: &str, since: f64| Moment { wall: at(time), mono: secs(since), boot: secs(since) };
        let seen = moment("00:30:01", 1.0);
        update(
            &mut model,
            list_report(seen, seen.wall, running_session("a", at("00:30:00"), secs(HOUR))),
            seen,
        );
        let shown = view::screen_text(&model, (120, 40), moment("01:10:00", 2400.0));
        assert!(shown.contains("20m 00s"), "{shown}");
        return;
    }
    let name = "tui::update::tests::time::summer_times_end_moves_the_times_of_day_and_no_length";
    let mut inner = std::process::Command::new(std::env::current_exe().unwrap());
    let output =
        inner.args(["--exact", name]).env(INNER, "1").env("TZ", "CET-1CEST,M3.5.0,M10.5.0/3").output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
