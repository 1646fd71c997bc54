use super::*;
use keepwatch_core::session::{ApiErrorKind, Session};
use keepwatch_core::testing::{id, moment, noon, request_timing, running_session};
use keepwatch_core::tracker::{AlertThresholds, Input, Scope};

const S: fn(u64) -> Duration = Duration::from_secs;

/// A tally of `a` and `b`, and the fleet that it reads.
struct Fixture {
    tracker: SessionTracker,
    progress: WaitProgress,
}

fn fixture(goal: Goal, any: bool, exit_status: bool, grace: u64) -> Fixture {
    let mut tracker = SessionTracker::new(AlertThresholds::none());
    tracker.apply(Input::SessionsNamed { at: moment(0), ids: vec![id("a"), id("b")] });
    Fixture { tracker, progress: WaitProgress::new(vec![id("a"), id("b")], goal, any, exit_status, S(grace)) }
}

impl Fixture {
    fn respond_with_status(&mut self, text: &str, seconds: u32, status: Status) -> Vec<ProgressChange> {
        let session = Session { status, ..running_session(text, noon(), S(900)) };
        let scope = Scope::Session(id(text));
        self.tracker.apply(Input::SessionsReceived {
            at: request_timing(seconds, seconds),
            scope,
            sessions: vec![session],
            malformed: 0,
        });
        self.progress.update(&self.tracker, None)
    }

    fn respond_not_found(&mut self, text: &str, seconds: u32) -> Vec<ProgressChange> {
        let error = ApiErrorKind::NotFound.into();
        self.tracker.apply(Input::SessionNotFound {
            at: request_timing(seconds, seconds),
            id: id(text),
            error,
            next: None,
        });
        self.progress.update(&self.tracker, Some((id(text), request_timing(seconds, seconds))))
    }
}

#[test]
fn all_of_them_have_to_end_and_each_is_told_once() {
    let mut case = fixture(Goal::Ended, false, false, 0);
    assert_eq!(case.respond_with_status("a", 1, Status::Running), []);
    assert_eq!(case.respond_with_status("a", 2, Status::Completed), [ProgressChange::GoalReached(id("a"))]);
    assert_eq!(case.progress.outcome(), None);
    assert_eq!(case.progress.waiting(), [&id("b")]);
    assert_eq!(case.respond_with_status("b", 3, Status::Error), [ProgressChange::GoalReached(id("b"))]);
    assert_eq!(case.progress.outcome(), Some(ExitCode::Success), "how, is told by --exit-status alone");
}

#[test]
fn any_of_them_is_enough_with_any() {
    let mut case = fixture(Goal::Ended, true, false, 0);
    case.respond_not_found("a", 1);
    assert_eq!(case.progress.outcome(), None, "the other one may still end");
    case.respond_with_status("b", 2, Status::Completed);
    assert_eq!(case.progress.outcome(), Some(ExitCode::Success));
}

#[test]
fn an_error_or_a_timeout_is_told_by_the_exit_status_if_that_is_asked_for() {
    for (status, exit) in [
        (Status::Completed, ExitCode::Success),
        (Status::Error, ExitCode::EndedBadly),
        (Status::TimedOut, ExitCode::EndedBadly),
    ] {
        let mut case = fixture(Goal::Ended, false, true, 0);
        case.respond_with_status("a", 1, status.clone());
        assert_eq!(case.progress.outcome(), None, "{status:?}");
        case.respond_with_status("b", 1, Status::Completed);
        assert_eq!(case.progress.outcome(), Some(exit), "{status:?}");
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
        let mut case = fixture(Goal::Running, false, exit_status, 0);
        let why = MissReason::Ended(status.clone());
        assert_eq!(case.respond_with_status("a", 1, status), [ProgressChange::GoalMissed(id("a"), why)]);
        assert_eq!(case.progress.outcome(), Some(exit));
    }
}

#[test]
fn one_that_ran_has_run_whatever_becomes_of_it() {
    let mut case = fixture(Goal::Running, false, true, 0);
    assert_eq!(case.respond_with_status("a", 1, Status::Pending), []);
    assert_eq!(case.respond_with_status("a", 2, Status::Running), [ProgressChange::GoalReached(id("a"))]);
    assert_eq!(case.respond_with_status("a", 3, Status::Error), []);
    case.respond_with_status("b", 4, Status::Running);
    assert_eq!(case.progress.outcome(), Some(ExitCode::Success));
}

#[test]
fn without_grace_a_session_that_is_not_there_ends_the_wait() {
    let mut case = fixture(Goal::Ended, false, false, 0);
    case.respond_not_found("a", 1);
    assert_eq!(case.progress.outcome(), Some(ExitCode::NoSuchSession));
}

#[test]
fn in_its_grace_a_session_may_be_missing_and_is_asked_for_once_more_at_the_end_of_it() {
    let mut case = fixture(Goal::Ended, false, false, 30);
    assert_eq!(case.progress.next_grace_end(), None);
    assert_eq!(case.respond_not_found("a", 1), []);
    assert_eq!(case.progress.next_grace_end(), Some(S(31)));
    assert!(!case.progress.needs_final_poll(S(30)));
    assert!(case.progress.needs_final_poll(S(31)) && !case.progress.needs_final_poll(S(32)));
    assert_eq!((case.progress.next_grace_end(), case.progress.outcome()), (None, None));
    assert_eq!(case.respond_not_found("a", 30), [], "sent within the grace");
    assert_eq!(case.respond_not_found("a", 31).len(), 1);
    assert_eq!(case.progress.outcome(), Some(ExitCode::NoSuchSession));
}

#[test]
fn a_session_that_appears_in_its_grace_has_all_of_it_again() {
    let mut case = fixture(Goal::Ended, false, false, 30);
    case.respond_not_found("a", 1);
    assert_eq!(case.respond_with_status("a", 20, Status::Running), []);
    assert_eq!(case.progress.next_grace_end(), None);
    assert_eq!(case.respond_not_found("a", 40), []);
    assert_eq!(case.progress.next_grace_end(), Some(S(70)));
}
