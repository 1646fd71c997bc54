use super::*;
use keepwatch_core::session::{ApiErrorKind, Session};
use keepwatch_core::testing::{id, moment, noon, request_timing, running_session};
use keepwatch_core::tracker::{AlertThresholds, Input, Scope};

const S: fn(u64) -> Duration = Duration::from_secs;

/// A tally of `a` and `b`, and the fleet that it reads.
struct Case {
    fleet: SessionTracker,
    tally: Tally,
}

fn case(goal: Goal, any: bool, exit_status: bool, grace: u64) -> Case {
    let mut fleet = SessionTracker::new(AlertThresholds::none());
    fleet.apply(Input::SessionsNamed { at: moment(0), ids: vec![id("a"), id("b")] });
    Case { fleet, tally: Tally::new(vec![id("a"), id("b")], goal, any, exit_status, S(grace)) }
}

impl Case {
    fn seen(&mut self, text: &str, seconds: u32, status: Status) -> Vec<News> {
        let session = Session { status, ..running_session(text, noon(), S(900)) };
        let scope = Scope::Session(id(text));
        self.fleet.apply(Input::SessionsReceived {
            at: request_timing(seconds, seconds),
            scope,
            sessions: vec![session],
            malformed: 0,
        });
        self.tally.take(&self.fleet, None)
    }

    fn missing(&mut self, text: &str, seconds: u32) -> Vec<News> {
        let fault = ApiErrorKind::NotFound.into();
        self.fleet.apply(Input::SessionNotFound {
            at: request_timing(seconds, seconds),
            id: id(text),
            error: fault,
            next: None,
        });
        self.tally.take(&self.fleet, Some((id(text), request_timing(seconds, seconds))))
    }
}

#[test]
fn all_of_them_have_to_end_and_each_is_told_once() {
    let mut case = case(Goal::Ended, false, false, 0);
    assert_eq!(case.seen("a", 1, Status::Running), []);
    assert_eq!(case.seen("a", 2, Status::Completed), [News::Holds(id("a"))]);
    assert_eq!(case.tally.outcome(), None);
    assert_eq!(case.tally.open(), [&id("b")]);
    assert_eq!(case.seen("b", 3, Status::Error), [News::Holds(id("b"))]);
    assert_eq!(case.tally.outcome(), Some(ExitCode::Success), "how, is told by --exit-status alone");
}

#[test]
fn any_of_them_is_enough_with_any() {
    let mut case = case(Goal::Ended, true, false, 0);
    case.missing("a", 1);
    assert_eq!(case.tally.outcome(), None, "the other one may still end");
    case.seen("b", 2, Status::Completed);
    assert_eq!(case.tally.outcome(), Some(ExitCode::Success));
}

#[test]
fn an_error_or_a_timeout_is_told_by_the_exit_status_if_that_is_asked_for() {
    for (status, exit) in [
        (Status::Completed, ExitCode::Success),
        (Status::Error, ExitCode::EndedBadly),
        (Status::TimedOut, ExitCode::EndedBadly),
    ] {
        let mut case = case(Goal::Ended, false, true, 0);
        case.seen("a", 1, status.clone());
        assert_eq!(case.tally.outcome(), None, "{status:?}");
        case.seen("b", 1, Status::Completed);
        assert_eq!(case.tally.outcome(), Some(exit), "{status:?}");
    }
}

#[test]
fn a_session_that_has_ended_will_not_run() {
    for (exit_status, status, exit) in [
        (false, Status::Completed, ExitCode::Failure),
        (false, Status::Error, ExitCode::Failure),
        (true, Status::Completed, ExitCode::Failure),
        (true, Status::TimedOut, ExitCode::EndedBadly),
    ] {
        let mut case = case(Goal::Running, false, exit_status, 0);
        let why = Why::Ended(status.clone());
        assert_eq!(case.seen("a", 1, status), [News::Never(id("a"), why)]);
        assert_eq!(case.tally.outcome(), Some(exit));
    }
}

#[test]
fn one_that_ran_has_run_whatever_becomes_of_it() {
    let mut case = case(Goal::Running, false, true, 0);
    assert_eq!(case.seen("a", 1, Status::Pending), []);
    assert_eq!(case.seen("a", 2, Status::Running), [News::Holds(id("a"))]);
    assert_eq!(case.seen("a", 3, Status::Error), []);
    case.seen("b", 4, Status::Running);
    assert_eq!(case.tally.outcome(), Some(ExitCode::Success));
}

#[test]
fn without_grace_a_session_that_is_not_there_ends_the_wait() {
    let mut case = case(Goal::Ended, false, false, 0);
    case.missing("a", 1);
    assert_eq!(case.tally.outcome(), Some(ExitCode::NoSuchSession));
}

#[test]
fn in_its_grace_a_session_may_be_missing_and_is_asked_for_once_more_at_the_end_of_it() {
    let mut case = case(Goal::Ended, false, false, 30);
    assert_eq!(case.tally.grace_ends(), None);
    assert_eq!(case.missing("a", 1), []);
    assert_eq!(case.tally.grace_ends(), Some(S(31)));
    assert!(!case.tally.last_chance(S(30)));
    assert!(case.tally.last_chance(S(31)) && !case.tally.last_chance(S(32)));
    assert_eq!((case.tally.grace_ends(), case.tally.outcome()), (None, None));
    assert_eq!(case.missing("a", 30), [], "sent within the grace");
    assert_eq!(case.missing("a", 31).len(), 1);
    assert_eq!(case.tally.outcome(), Some(ExitCode::NoSuchSession));
}

#[test]
fn a_session_that_appears_in_its_grace_has_all_of_it_again() {
    let mut case = case(Goal::Ended, false, false, 30);
    case.missing("a", 1);
    assert_eq!(case.seen("a", 20, Status::Running), []);
    assert_eq!(case.tally.grace_ends(), None);
    assert_eq!(case.missing("a", 40), []);
    assert_eq!(case.tally.grace_ends(), Some(S(70)));
}
