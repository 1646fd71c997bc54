//! What it costs to be left alone: how often the loop wakes in each state in which nobody presses a key, beside the replies
//! to its polls. Counts, which are the same on every machine.

use super::*;

/// How often the screen wakes in the next minute, while every 3 s a reply says what `reply` does.
fn wakes_in_a_minute(world: &mut World, reply: Option<&dyn Fn(&mut World)>) -> u32 {
    let (mut wakes, end) = (0, world.now + 60.0);
    let mut polls = world.now + 3.0;
    loop {
        let poll = if reply.is_some() { polls.min(end) } else { end };
        match world.seconds_to_next_change().map(|wait| world.now + wait).filter(|at| *at < poll) {
            Some(at) => {
                world.now = at;
                world.tick(moment(at));
                wakes += 1;
            }
            None if poll >= end => {
                world.now = end;
                return wakes;
            }
            None => {
                world.now = poll;
                polls += 3.0;
                reply.into_iter().for_each(|reply| reply(world));
            }
        }
        assert!(wakes < 10_000, "it does not sleep at all");
    }
}

fn many(count: usize, timeout: u64) -> Vec<Session> {
    (0..count).map(|at| session(&format!("s-{at}"), timeout)).collect()
}

/// A world in which `count` sessions run, seen at 10 s, when what is said at the start has gone.
fn world_with_running(count: usize, timeout: u64) -> World {
    let mut world = World::watching(Targets::All);
    world.now = 10.25;
    world.report_list(many(count, timeout));
    world.tick(moment(world.now));
    world
}

#[test]
fn countdowns_wake_it_once_a_second_however_many_there_are() {
    for count in [1, 1000] {
        let mut world = world_with_running(count, 900);
        let list = many(count, 900);
        let wakes = wakes_in_a_minute(&mut world, Some(&|world| world.report_list(list.clone())));
        assert_eq!(wakes, 60, "{count} sessions");
    }
}

#[test]
fn what_is_told_in_minutes_wakes_it_twice_a_minute_however_many_there_are() {
    for count in [1, 1000] {
        let mut world = world_with_running(count, 7200);
        let list = many(count, 7200);
        let wakes = wakes_in_a_minute(&mut world, Some(&|world| world.report_list(list.clone())));
        assert_eq!(wakes, 2, "{count} sessions: their age and what is left");
    }
}

#[test]
fn where_nothing_moves_nothing_wakes_it() {
    let mut ended = World::with_named(&["a", "b"]);
    ended.now = 1.0;
    ended.report_session(ended_session("a", Status::Completed));
    ended.report_session(ended_session("b", Status::TimedOut));
    assert_eq!(wakes_in_a_minute(&mut ended, None), 0, "all have ended");

    let mut nothing = world_with_running(0, 900);
    let wakes = wakes_in_a_minute(&mut nothing, Some(&|world| world.report_list(vec![])));
    assert_eq!(wakes, 0, "there are no sessions");

    let mut paused = world_with_running(0, 900);
    paused.press("p");
    paused.tick(moment(paused.now));
    assert_eq!(wakes_in_a_minute(&mut paused, None), 0, "it is paused");
}

#[test]
fn while_polls_fail_it_wakes_once_a_second_for_the_countdown_and_the_age_of_the_data() {
    let mut world = world_with_running(0, 900);
    let fail = |world: &mut World| drop(world.report(Request::List(List::Running), Err(timeout_error())));
    let wakes = wakes_in_a_minute(&mut world, Some(&fail));
    assert!((50..=62).contains(&wakes), "{wakes}");
}
