//! The screen and the clocks: a sleep of the machine, a changed wall clock, a server whose clock is wrong, and daylight
//! saving time.

use super::*;

/// An hour, in seconds.
const HOUR: f64 = 3600.0;

/// Returns `time` plus `seconds`, which may be negative.
fn shifted(time: Timestamp, seconds: f64) -> Timestamp {
    if seconds < 0.0 { time - secs(-seconds) } else { saturating_add(time, secs(seconds)) }
}

/// A moment whose clocks may differ. All arguments are in seconds, and `wall` counts from noon.
fn moment_with_clocks(wall: f64, mono: f64, boot: f64) -> Moment {
    Moment { wall: shifted(at(0.0), wall), mono: secs(mono), boot: secs(boot) }
}

/// A report with a list of running sessions, which has one session, and with the server's date.
fn list_report(received: Moment, date: Timestamp, session: Session) -> Message {
    let list = SessionList { sessions: vec![session], malformed: 0 };
    Message::Report(
        ProfileId::FIRST,
        Box::new(Report {
            request: Request::List(List::Running),
            sent: received,
            received,
            date: Some(date),
            age: Duration::ZERO,
            bytes: 2,
            rate_limit: None,
            result: Ok(ResponseBody::List(list)),
            next_request: None,
        }),
    )
}

/// A world with a two-hour session, received one second after noon. The server's clock is `ahead` seconds ahead.
fn world_with_server_ahead(ahead: f64) -> World {
    let mut world = World::watching(Targets::All);
    let date = shifted(at(1.0), ahead);
    let session = running_session("a", shifted(at(0.0), ahead), secs(2.0 * HOUR));
    update(&mut world.model, list_report(moment(1.0), date, session), moment(1.0));
    world
}

fn rendered(world: &World, now: Moment) -> String {
    view::screen_text(&world.model, (120, 40), now)
}

#[test]
fn wake_after_sleep_polls_immediately() {
    let mut world = world_with_server_ahead(0.0);
    // During an hour of sleep, the monotonic clock does not advance.
    let (before, after) = (moment(10.0), moment_with_clocks(HOUR + 10.0, 10.0, HOUR + 10.0));
    let effects = update(&mut world.model, Message::Slept(before, after), after);
    assert!(effects.contains(&Effect::SendToAllPollers(PollerCommand::Reconnect)), "{effects:?}");
    let screen = rendered(&world, after);
    assert!(screen.contains("59m 50s"), "{screen}");
    assert!(screen.contains("this machine slept"), "{screen}");
    assert!(world.events().iter().any(|(_, name)| *name == "slept"), "the sleep is an event");
}

#[test]
fn wall_clock_change_moves_no_countdown() {
    for (step, direction) in [(HOUR, "forward"), (-HOUR, "back")] {
        let mut world = world_with_server_ahead(0.0);
        let before = rendered(&world, moment(61.0));
        let after = moment_with_clocks(62.0 + step, 62.0, 62.0);
        assert!(!after.slept_since(moment(61.0)), "a changed clock is no sleep");
        update(
            &mut world.model,
            list_report(after, at(62.0), running_session("a", at(0.0), secs(2.0 * HOUR))),
            after,
        );
        let screen = rendered(&world, after);
        assert!(before.contains("1h 58m") && screen.contains("1h 58m"), "{screen}");
        assert!(world.events().iter().any(|(_, name)| *name == "clock_set"), "the change is an event");
        world.press("e");
        let events = rendered(&world, after);
        assert!(events.contains(&format!("this machine's clock was set {direction} by 1h 00m")), "{events}");
        let next = world.model.next_change(after).unwrap();
        assert!(
            next > after.mono && next <= after.mono + secs(60.0),
            "the next change is not delayed: {next:?}"
        );
    }
}

#[test]
fn countdown_follows_skewed_server_clock() {
    for (ahead, direction) in [(600.0, "behind"), (-600.0, "ahead of")] {
        let world = world_with_server_ahead(ahead);
        let screen = rendered(&world, moment(61.0));
        assert!(screen.contains("1h 58m"), "{screen}");
        // A date has whole seconds, so the skew is between 9m 59s and 10m 1s.
        let notice = screen.lines().find(|line| line.contains("this machine's clock is")).unwrap();
        let is_direction_shown =
            notice.contains(&format!("m {direction}")) || notice.contains(&format!("s {direction}"));
        assert!(is_direction_shown, "{notice}");
        assert!(notice.contains(" 10m") || notice.contains(" 9m 59s"), "{notice}");
    }
}

/// A world with a session that started 95 s before noon and expires 45 minutes after noon. It is polled every second
/// for half a minute. Each `Date` is `ahead(second)` seconds ahead of our clock, which is right.
fn world_with_dates(ahead: impl Fn(u32) -> f64) -> World {
    let mut world = World::watching(Targets::All);
    for second in 1..30_u32 {
        let now = moment(f64::from(second));
        let date = shifted(now.wall, ahead(second));
        update(&mut world.model, list_report(now, date, running_session("a", at(-95.0), secs(2795.0))), now);
    }
    world
}

/// Asserts that times are right, that one event has this name and no other event exists but that of the session, and
/// that the screen does not say that our clock is wrong. Returns the page of polling.
fn assert_times_are_right(world: &mut World, event: &str) -> String {
    let screen = rendered(world, moment(30.0));
    assert!(screen.contains("44m 30s") && screen.contains("2m"), "{screen}");
    assert!(!screen.contains(" 1h"), "{screen}");
    assert!(!screen.contains("this machine's clock is"), "{screen}");
    let events = world.events();
    let names: Vec<&str> = events.iter().map(|(_, name)| *name).collect();
    assert_eq!(names.iter().filter(|name| **name == event).count(), 1, "{names:?}");
    assert!(names.iter().all(|name| [event, "first_seen"].contains(name)), "{names:?}");
    world.press("!");
    rendered(world, moment(30.0))
}

#[test]
fn stale_date_moves_no_countdown() {
    for ahead in [-HOUR, -2.0 * HOUR] {
        let mut world = world_with_dates(|_| ahead);
        assert!(world.notice().contains("the API sent a wrong Date"), "{}", world.notice());
        let polling = assert_times_are_right(&mut world, "api_date_ignored");
        assert!(polling.contains("are wrong, and are ignored"), "{polling}");
    }
}

#[test]
fn date_from_future_moves_no_countdown() {
    let polling = assert_times_are_right(&mut world_with_dates(|_| HOUR), "api_date_ignored");
    assert!(polling.contains("are wrong, and are ignored"), "{polling}");
}

#[test]
fn jumping_date_moves_no_countdown() {
    // The dates that are five minutes ahead fit the session, too.
    let mut world = world_with_dates(|second| if second % 6 < 3 { 0.0 } else { 300.0 });
    let polling = assert_times_are_right(&mut world, "api_dates_contradict");
    assert!(polling.contains("contradict each other"), "{polling}");
}

/// Runs itself again in a new process in the time zone of Berlin, because a process cannot safely change its own zone.
#[test]
fn daylight_saving_changes_no_duration() {
    const IN_BERLIN_VARIABLE: &str = "KEEPWATCH_TEST_IN_BERLIN";
    if std::env::var_os(IN_BERLIN_VARIABLE).is_some() {
        let utc = |time: &str| -> Timestamp { format!("2026-10-25T{time}Z").parse().unwrap() };
        // At 01:00 UTC the clocks in Berlin went back from 03:00 to 02:00.
        assert_eq!(Zone::Local.time(utc("00:59:59")), "02:59:59");
        assert_eq!(Zone::Local.time(utc("01:00:00")), "02:00:00");
        let mut model = Model::new(
            Settings { zone: Zone::Local, ..settings(Targets::All) },
            ProfileInfo::default(),
            Vec::new(),
            (120, 40),
        );
        let moment_at =
            |time: &str, uptime: f64| Moment { wall: utc(time), mono: secs(uptime), boot: secs(uptime) };
        let listed = moment_at("00:30:01", 1.0);
        update(
            &mut model,
            list_report(listed, listed.wall, running_session("a", utc("00:30:00"), secs(HOUR))),
            listed,
        );
        let screen = view::screen_text(&model, (120, 40), moment_at("01:10:00", 2400.0));
        // The session has run for 40 minutes of its hour.
        assert!(screen.contains("20m 00s"), "{screen}");
        return;
    }
    let test_name = "tui::update::tests::time::daylight_saving_changes_no_duration";
    let mut new_process = std::process::Command::new(std::env::current_exe().unwrap());
    let output = new_process
        .args(["--exact", test_name])
        .env(IN_BERLIN_VARIABLE, "1")
        .env("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        .output();
    let output = output.unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
}
