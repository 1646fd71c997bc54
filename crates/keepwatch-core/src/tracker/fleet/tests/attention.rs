//! Flags, and when the next one will be, as time goes by.

use super::*;

const FIVE: Flag = Flag::Left(Duration::from_secs(300));
const ONE: Flag = Flag::Left(Duration::from_secs(60));

/// What is flagged anew as it gets to be so many seconds after noon.
fn pass(fleet: &mut Fleet, seconds: f64) -> Vec<Flag> {
    raised(apply(fleet, Input::TimePassed { now: moment(seconds) }))
}

fn raised(events: Vec<EventKind>) -> Vec<Flag> {
    let flag = |kind| if let EventKind::Flagged(flag) = kind { Some(flag) } else { None };
    events.into_iter().filter_map(flag).collect()
}

/// In how many seconds something happens by itself.
fn next(fleet: &Fleet, seconds: f64) -> Option<f64> {
    fleet.next_deadline(moment(seconds)).map(|wait| wait.as_secs_f64())
}

#[test]
fn time_left_is_flagged_at_its_second_and_the_next_flag_is_known_before() {
    let mut fleet = asked(&["a"]);
    assert_eq!(next(&fleet, 0.0), None);
    fleet.apply(one(0.5, 1.0, session("a", Status::Running)));
    assert_eq!(next(&fleet, 1.0), Some(599.0));
    assert_eq!((pass(&mut fleet, 599.5), next(&fleet, 599.5)), (vec![], Some(0.5)));
    assert_eq!(next(&fleet, 601.0), Some(0.0), "it is overdue");
    assert_eq!((pass(&mut fleet, 600.0), next(&fleet, 600.0)), (vec![FIVE], Some(240.0)));
    assert_eq!((pass(&mut fleet, 840.0), next(&fleet, 840.0)), (vec![ONE], None));
    let flags: Vec<Flag> = fleet.get(&id("a")).unwrap().flags.iter().map(|(flag, _)| *flag).collect();
    assert_eq!(flags, [ONE], "the longer time gave way");
}

#[test]
fn what_ended_has_no_time_left() {
    let mut fleet = asked(&["a"]);
    fleet.apply(one(0.5, 1.0, session("a", Status::Running)));
    fleet.apply(one(3.5, 4.0, ended_at("a", Status::Completed, 3.7)));
    assert_eq!((next(&fleet, 4.0), pass(&mut fleet, 600.0)), (None, vec![]));
}

#[test]
fn a_flag_of_the_living_that_comes_true_again_is_told_again() {
    let mut fleet = asked(&["a"]);
    fleet.apply(one(0.5, 1.0, session("a", Status::Running)));
    assert_eq!(pass(&mut fleet, 600.0), [FIVE]);
    let longer = Session { expires: Some(t(1800.0)), ..session("a", Status::Running) };
    assert_eq!(raised(apply(&mut fleet, one(601.0, 601.1, longer))), []);
    assert_eq!(fleet.get(&id("a")).unwrap().flags, []);
    assert_eq!(pass(&mut fleet, 1500.0), [FIVE]);
}

#[test]
fn a_release_that_is_not_followed_by_an_end_is_flagged() {
    let running = || {
        let mut fleet = asked(&["a"]);
        fleet.apply(one(0.5, 1.0, session("a", Status::Running)));
        fleet.apply(Input::ReleaseAsked { at: moment(10.0), id: id("a") });
        fleet
    };
    let still = Flag::StillRunning(Duration::from_secs(30));
    let mut fleet = running();
    // What the asking itself brought is known with the reply after it.
    fleet.apply(one(11.0, 11.1, session("a", Status::Running)));
    assert_eq!(next(&fleet, 11.1).map(f64::round), Some(29.0));
    assert_eq!((pass(&mut fleet, 39.9), pass(&mut fleet, 40.0)), (vec![], vec![still]));
    fleet.apply(one(41.0, 41.1, ended_at("a", Status::Completed, 40.5)));
    assert_eq!(fleet.get(&id("a")).unwrap().flags, [], "it ended, as was asked for");

    let failed = |next: Option<Moment>| Input::ReleaseFailed {
        at: request_timing(10.0, 10.5),
        id: id("a"),
        fault: ApiErrorKind::Status(409).into(),
        next,
    };
    let mut fleet = running();
    assert_eq!(raised(apply(&mut fleet, failed(Some(moment(12.0))))), [], "it is asked again");
    assert_eq!(raised(apply(&mut fleet, failed(None))), [Flag::ReleaseFailed]);
    assert_eq!(pass(&mut fleet, 40.0), [], "nor is it waited for");
}
