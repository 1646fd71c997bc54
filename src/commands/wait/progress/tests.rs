use super::*;
use keepwatch_core::clock::saturating_add;
use keepwatch_core::session::{ApiErrorKind, Session};
use keepwatch_core::testing::{id, moment, noon, request_timing, running_session};
use keepwatch_core::tracker::{AlertThresholds, EarlyLimit, Input, Scope};

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// No way to end is reported.
const NOTHING: FailOn = FailOn { error: false, timeout: false, early: EarlyLimit::Never, gone: false };
/// As with `--exit-status`.
const EXIT_STATUS: FailOn = FailOn { error: true, timeout: true, ..NOTHING };

/// The progress of the sessions `a` and `b`, and the tracker that it reads.
struct Fixture {
    tracker: SessionTracker,
    progress: WaitProgress,
}

/// Returns the fixture before the first response, without `--any` and `--fail-on`. `grace` is in seconds.
fn fixture(goal: Goal, grace: u64) -> Fixture {
    let mut tracker = SessionTracker::new(AlertThresholds::none());
    tracker.apply(Input::SessionsNamed { at: moment(0), ids: vec![id("a"), id("b")] });
    Fixture {
        tracker,
        progress: WaitProgress::new(vec![id("a"), id("b")], goal, false, NOTHING, secs(grace)),
    }
}

impl Fixture {
    fn with_any(mut self) -> Self {
        self.progress.any = true;
        self
    }

    fn with_fail_on(mut self, fail_on: FailOn) -> Self {
        self.progress.fail_on = fail_on;
        self
    }

    /// Applies a response about the session with the id `session_id`, `seconds` after noon.
    fn respond_with_status(&mut self, session_id: &str, seconds: u32, status: Status) -> Vec<ProgressChange> {
        self.respond(Session { status, ..running_session(session_id, noon(), secs(900)) }, seconds)
    }

    /// Applies a response with this session, `seconds` after noon.
    fn respond(&mut self, session: Session, seconds: u32) -> Vec<ProgressChange> {
        let scope = Scope::Session(session.id.clone());
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
    assert_eq!(case.progress.outcome(), Some(ExitCode::Success), "ERROR counts only with --fail-on");
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
        let mut case = fixture(Goal::Ended, 0).with_fail_on(EXIT_STATUS);
        case.respond_with_status("a", 1, status.clone());
        assert_eq!(case.progress.outcome(), None, "{status:?}");
        case.respond_with_status("b", 1, Status::Completed);
        assert_eq!(case.progress.outcome(), Some(exit), "{status:?}");
    }
}

#[test]
fn ended_session_misses_goal_running() {
    for (fail_on, status, exit) in [
        (NOTHING, Status::Completed, ExitCode::Failure),
        (NOTHING, Status::Error, ExitCode::Failure),
        (EXIT_STATUS, Status::Completed, ExitCode::Failure),
        (EXIT_STATUS, Status::TimedOut, ExitCode::EndedBadly),
    ] {
        let mut case = fixture(Goal::Running, 0).with_fail_on(fail_on);
        let reason = MissReason::Ended(status.clone());
        assert_eq!(case.respond_with_status("a", 1, status), [ProgressChange::GoalMissed(id("a"), reason)]);
        assert_eq!(case.progress.outcome(), Some(exit));
    }
}

#[test]
fn reached_goal_is_final() {
    let mut case = fixture(Goal::Running, 0).with_fail_on(EXIT_STATUS);
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

#[test]
fn fail_on_reports_only_listed_ways() {
    for (fail_on, error_exit, timeout_exit) in [
        (FailOn { error: true, ..NOTHING }, ExitCode::EndedBadly, ExitCode::Success),
        (FailOn { timeout: true, ..NOTHING }, ExitCode::Success, ExitCode::EndedBadly),
        (FailOn { early: EarlyLimit::Always, gone: true, ..NOTHING }, ExitCode::Success, ExitCode::Success),
    ] {
        for (status, exit) in [(Status::Error, error_exit), (Status::TimedOut, timeout_exit)] {
            let mut case = fixture(Goal::Ended, 0).with_fail_on(fail_on);
            case.respond_with_status("a", 1, status.clone());
            case.respond_with_status("b", 1, Status::Completed);
            assert_eq!(case.progress.outcome(), Some(exit), "{fail_on:?} {status:?}");
        }
    }
}

#[test]
fn early_end_follows_duration_rule() {
    let minute = EarlyLimit::default();
    for (early, keep_alive, ran, exit) in [
        (minute, Some(true), 10, ExitCode::EndedBadly),
        (minute, Some(true), 60, ExitCode::Success),
        (minute, Some(false), 10, ExitCode::Success),
        (minute, None, 10, ExitCode::Success),
        (EarlyLimit::Always, Some(true), 600, ExitCode::EndedBadly),
        (EarlyLimit::Always, Some(true), 900, ExitCode::Success), // reached its expiry
        (EarlyLimit::Never, Some(true), 10, ExitCode::Success),
    ] {
        let mut case = fixture(Goal::Ended, 0).with_fail_on(FailOn { early, ..NOTHING });
        case.respond_with_status("b", 1, Status::Completed);
        let session = Session { keep_alive, ..running_session("a", noon(), secs(900)) };
        case.respond(session.clone(), 1);
        let ended = Some(saturating_add(noon(), secs(ran)));
        let seconds = u32::try_from(ran).unwrap();
        case.respond(Session { status: Status::Completed, ended, ..session }, seconds + 1);
        assert_eq!(case.progress.outcome(), Some(exit), "{early:?} {keep_alive:?} {ran}");
    }
}

#[test]
fn gone_session_fails_if_listed() {
    for (gone, exit) in [(true, ExitCode::EndedBadly), (false, ExitCode::NoSuchSession)] {
        let mut case = fixture(Goal::Ended, 0).with_fail_on(FailOn { gone, ..NOTHING });
        case.respond_with_status("a", 1, Status::Running);
        case.respond_not_found("a", 2);
        assert_eq!(case.progress.outcome(), Some(exit));
    }
}

#[test]
fn earlier_bad_end_outranks_missing_session() {
    let mut case = fixture(Goal::Ended, 0).with_fail_on(EXIT_STATUS);
    case.respond_with_status("a", 1, Status::Error);
    case.respond_not_found("b", 2);
    assert_eq!(case.progress.outcome(), Some(ExitCode::EndedBadly));
}
