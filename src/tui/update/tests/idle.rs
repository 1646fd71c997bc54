//! The cost of an idle screen: the number of wake-ups that neither a keystroke nor a report causes. The tests count
//! wake-ups instead of measuring time, so they give the same result on every machine.

use super::*;

/// Returns the number of wake-ups in the next minute. `send_report` is called every 3 s. These calls are not counted.
fn wakes_in_a_minute(world: &mut World, send_report: Option<&dyn Fn(&mut World)>) -> u32 {
    let (mut wakes, minute_end) = (0, world.now + 60.0);
    let mut next_report = world.now + 3.0;
    loop {
        let until = if send_report.is_some() { next_report.min(minute_end) } else { minute_end };
        match world.seconds_to_next_change().map(|wait| world.now + wait).filter(|wake_at| *wake_at < until) {
            Some(wake_at) => {
                world.now = wake_at;
                world.tick(moment(wake_at));
                wakes += 1;
            }
            None if until >= minute_end => {
                world.now = minute_end;
                return wakes;
            }
            None => {
                world.now = until;
                next_report += 3.0;
                send_report.into_iter().for_each(|send_report| send_report(world));
            }
        }
        assert!(wakes < 10_000, "the screen sleeps between wake-ups");
    }
}

fn sessions(count: usize, timeout: u64) -> Vec<Session> {
    (0..count).map(|number| session(&format!("s-{number}"), timeout)).collect()
}

/// A world that receives `count` running sessions at 10.25 s. All have this timeout, in seconds.
fn idle_world(count: usize, timeout: u64) -> World {
    let mut world = World::watching(Targets::All);
    world.now = 10.25;
    world.report_list(sessions(count, timeout));
    world.tick(moment(world.now));
    world
}

#[test]
fn countdowns_wake_loop_once_a_second() {
    for count in [1, 1000] {
        let mut world = idle_world(count, 900);
        let list = sessions(count, 900);
        let wakes = wakes_in_a_minute(&mut world, Some(&|world| world.report_list(list.clone())));
        assert_eq!(wakes, 60, "{count} sessions");
    }
}

#[test]
fn long_countdowns_wake_loop_twice_a_minute() {
    for count in [1, 1000] {
        let mut world = idle_world(count, 7200);
        let list = sessions(count, 7200);
        let wakes = wakes_in_a_minute(&mut world, Some(&|world| world.report_list(list.clone())));
        assert_eq!(wakes, 2, "{count} sessions: one wake-up for the age, one for the time left");
    }
}

#[test]
fn unchanging_screen_does_not_wake_loop() {
    let mut ended = World::with_named(&["a", "b"]);
    ended.now = 1.0;
    ended.report_session(ended_session("a", Status::Completed));
    ended.report_session(ended_session("b", Status::TimedOut));
    assert_eq!(wakes_in_a_minute(&mut ended, None), 0, "all sessions have ended");

    let mut empty = idle_world(0, 900);
    let wakes = wakes_in_a_minute(&mut empty, Some(&|world| world.report_list(vec![])));
    assert_eq!(wakes, 0, "there are no sessions");

    let mut paused = idle_world(0, 900);
    paused.press("p");
    paused.tick(moment(paused.now));
    assert_eq!(wakes_in_a_minute(&mut paused, None), 0, "polling is paused");
}

#[test]
fn failing_polls_wake_loop_once_a_second() {
    let mut world = idle_world(0, 900);
    let fail = |world: &mut World| drop(world.report(Request::List(List::Running), Err(timeout_error())));
    let wakes = wakes_in_a_minute(&mut world, Some(&fail));
    assert!((50..=62).contains(&wakes), "about one wake-up a second: {wakes}");
}
