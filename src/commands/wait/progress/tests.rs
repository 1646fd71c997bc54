use super::*;
use keepwatch_core::session::{ApiErrorKind, Session};
use keepwatch_core::testing::{id, moment, noon, request_timing, running_session};
use keepwatch_core::tracker::{AlertThresholds, Input, Scope};

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The progress of the sessions `a` and `b`, and the tracker that it reads.
struct Fixture {
    tracker: SessionTracker,
    progress: WaitProgress,
}

/// Returns the fixture before the first response, without `--any` and `--exit-status`. `grace` is in seconds.
fn fixture(goal: Goal, grace: u64) -> Fixture {
    let mut tracker = SessionTracker::new(AlertThresholds::none());
    tracker.apply(Input::SessionsNamed { at: moment(0), ids: vec![id("a"), id("b")] });
    Fixture { tracker, progress: WaitProgress::new(vec![id("a"), id("b")], goal, false, false, secs(grace)) }
}

impl Fixture {
    fn with_any(mut self) -> Self {
        self.progress.any = true;
        self
    }

    fn with_exit_status(mut self, exit_status: bool) -> Self {
        self.progress.exit_status = exit_status;
        self
    }

    /// Applies a response about the session with the id `session_id`, `seconds` after noon.
    fn respond_with_status(&mut self, session_id: &str, seconds: u32, status: Status) -> Vec<ProgressChange> {
        let session = Session { status, ..running_session(session_id, noon(), secs(900)) };
        let scope = Scope::Session(id(session_id));
        self.tracker.apply(Input::SessionsReceived {
            at: request_timing(seconds, seconds),
            scope,
            sessions: vec![session],
            malformed: 0,
        });
        self.progress.update(&self.tracker, None)
    }

    /// Applies a 404 about the session with the id `session_id`, `seconds` after noon.
    fn respond_not_found(&mut self, session_id: &str, seconds: u32) -> Vec<ProgressChange> {
        let error = ApiErrorKind::NotFound.into();
        self.tracker.apply(Input::SessionNotFound {
            at: request_timing(seconds, seconds),
            id: id(session_id),
            error,
            next: None,
        });
        self.progress.update(&self.tracker, Some((id(session_id), request_timing(seconds, seconds))))
    }
}

#[test]
fn all_sessions_must_end() {
    let mut case = fixture(Goal::Ended, 0);
    assert_eq!(case.respond_with_status("a", 1, Status::Running), []);
    assert_eq!(case.respond_with_status("a", 2, Status::Completed), [ProgressChange::GoalReached(id("a"))]);
    assert_eq!(case.progress.outcome(), None);
    assert_eq!(case.progress.waiting(), [&id("b")]);
    assert_eq!(case.respond_with_status("b", 3, Status::Error), [ProgressChange::GoalReached(id("b"))]);
    assert_eq!(case.progress.outcome(), Some(ExitCode::Success), "ERROR counts only with --exit-status");
}

#[test]
fn one_session_is_enough_with_any() {
    let mut case = fixture(Goal::Ended, 0).with_any();
    case.respond_not_found("a", 1);
    assert_eq!(case.progress.outcome(), None, "b may still end");
    case.respond_with_status("b", 2, Status::Completed);
    assert_eq!(case.progress.outcome(), Some(ExitCode::Success));
}

#[test]
fn exit_status_reports_error_or_timeout() {
    for (status, exit) in [
        (Status::Completed, ExitCode::Success),
        (Status::Error, ExitCode::EndedBadly),
        (Status::TimedOut, ExitCode::EndedBadly),
    ] {
        let mut case = fixture(Goal::Ended, 0).with_exit_status(true);
        case.respond_with_status("a", 1, status.clone());
        assert_eq!(case.progress.outcome(), None, "{status:?}");
        case.respond_with_status("b", 1, Status::Completed);
        assert_eq!(case.progress.outcome(), Some(exit), "{status:?}");
    }
}

#[test]
fn ended_session_misses_goal_running() {
    for (exit_status, status, exit) in [
        (false, Status::Completed, ExitCode::Failure),
        (false, Status::Error, ExitCode::Failure),
        (true, Status::Completed, ExitCode::Failure),
        (true, Status::TimedOut, ExitCode::EndedBadly),
    ] {
        let mut case = fixture(Goal::Running, 0).with_exit_status(exit_status);
        let reason = MissReason::Ended(status.clone());
        assert_eq!(case.respond_with_status("a", 1, status), [ProgressChange::GoalMissed(id("a"), reason)]);
        assert_eq!(case.progress.outcome(), Some(exit));
    }
}

#[test]
fn reached_goal_is_final() {
    let mut case = fixture(Goal::Running, 0).with_exit_status(true);
    assert_eq!(case.respond_with_status("a", 1, Status::Pending), []);
    assert_eq!(case.respond_with_status("a", 2, Status::Running), [ProgressChange::GoalReached(id("a"))]);
    assert_eq!(case.respond_with_status("a", 3, Status::Error), []);
    case.respond_with_status("b", 4, Status::Running);
    assert_eq!(case.progress.outcome(), Some(ExitCode::Success));
}

#[test]
fn unknown_session_ends_wait_without_grace() {
    let mut case = fixture(Goal::Ended, 0);
    case.respond_not_found("a", 1);
    assert_eq!(case.progress.outcome(), Some(ExitCode::NoSuchSession));
}

#[test]
fn grace_ends_with_one_final_poll() {
    let mut case = fixture(Goal::Ended, 30);
    assert_eq!(case.progress.next_grace_end(), None);
    // The first 404 starts the grace period of 30 s.
    assert_eq!(case.respond_not_found("a", 1), []);
    assert_eq!(case.progress.next_grace_end(), Some(secs(31)));
    assert!(!case.progress.mark_due_final_polls(secs(30)));
    assert!(case.progress.mark_due_final_polls(secs(31)) && !case.progress.mark_due_final_polls(secs(32)));
    assert_eq!((case.progress.next_grace_end(), case.progress.outcome()), (None, None));
    assert_eq!(case.respond_not_found("a", 30), [], "a 404 within the grace period must not count");
    assert_eq!(case.respond_not_found("a", 31).len(), 1);
    assert_eq!(case.progress.outcome(), Some(ExitCode::NoSuchSession));
}

#[test]
fn found_session_gets_new_grace_period() {
    let mut case = fixture(Goal::Ended, 30);
    case.respond_not_found("a", 1);
    assert_eq!(case.respond_with_status("a", 20, Status::Running), []);
    assert_eq!(case.progress.next_grace_end(), None);
    assert_eq!(case.respond_not_found("a", 40), []);
    assert_eq!(case.progress.next_grace_end(), Some(secs(40 + 30)));
}
