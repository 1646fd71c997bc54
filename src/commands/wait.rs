//! `keepwatch wait SESSION_ID...`: waits until sessions have ended, or until they run. The exit code is the result.
//!
//! The command prints a line on standard output for each session that reaches the goal. It prints a line on standard
//! error if polls fail, and for each session that can no longer reach the goal. `progress` decides the exit code,
//! except for a timeout or a signal.

mod progress;

use super::CliError;
use super::api_error::session_message;
use super::headless::{HeadlessEvent, HeadlessProfile, HeadlessWatch, WatchParams};
use super::output::print_text;
use super::print_error;
use crate::api::Client;
use crate::config::{Goal, WaitConfig};
use crate::exit_code::ExitCode;
use keepwatch_core::clock::{Clock, Zone};
use keepwatch_core::session::{SessionId, Targets};
use keepwatch_core::text;
use keepwatch_core::tracker::{AlertThresholds, Event, EventKind, SessionTracker};
use progress::{MissReason, ProgressChange, WaitProgress};

/// The maximum number of sessions that a message names. The message only counts the others.
const MAX_NAMED_SESSIONS: usize = 4;
/// The maximum width of an id in a message, in columns.
const MAX_ID_COLUMNS: usize = 40;
/// The maximum width of a status in a message, in columns.
const MAX_STATUS_COLUMNS: usize = 24;

/// Waits for the sessions. A failed request does not end the wait, except a refused API key at the start.
///
/// # Errors
/// Returns an error if the API refuses the API key before any poll has succeeded, or if standard output cannot be
/// written.
pub async fn wait(config: WaitConfig) -> Result<ExitCode, CliError> {
    let clock = Clock::system();
    let params = WatchParams {
        targets: Targets::Ids(config.ids.clone()),
        poll_limits: config.poll_limits,
        alert_rules: AlertThresholds::none().into(),
        owner_key: None,
    };
    let client = Client::new(config.profile.endpoint, config.profile.key);
    let profile = HeadlessProfile { name: config.profile.name, label: String::new(), client };
    let mut watch = HeadlessWatch::start(profile, Vec::new(), clock, params, None)?;
    let deadline = config.timeout.map(|timeout| watch.now().boot.saturating_add(timeout));
    let mut progress = WaitProgress::new(config.ids, config.goal, config.any, config.fail_on, config.grace);
    loop {
        let next_wake_up = deadline.into_iter().chain(progress.next_grace_end()).min();
        match watch.next(next_wake_up).await {
            HeadlessEvent::Update(update) => {
                if let Some(error) = watch.first().auth_error() {
                    return Err(CliError::ApiKeyRefused(Box::new(error.clone())));
                }
                update.events.iter().for_each(|(_, event)| print_problem(event, config.zone));
                for change in progress.update(&watch.first().tracker, update.not_found) {
                    print_change(&change, &watch.first().tracker, config.zone, config.ascii)?;
                }
            }
            HeadlessEvent::DeadlineReached => {}
            HeadlessEvent::Interrupted(exit) => return Ok(exit),
        }
        if let Some(exit) = progress.outcome() {
            return Ok(exit);
        }
        let now = watch.now().boot;
        if deadline.is_some_and(|deadline| deadline <= now) {
            let timeout = config.timeout.map(text::format_duration).unwrap_or_default();
            print_error(&format!(
                "timed out after {timeout}: {}",
                describe_waiting(&progress, &watch.first().tracker, config.zone)
            ));
            return Ok(ExitCode::TimedOut);
        }
        if progress.mark_due_final_polls(now) {
            watch.poll_now();
        }
    }
}

/// Prints the event if it says that polls fail or work again, or that the machine slept.
fn print_problem(event: &Event, zone: Zone) {
    if matches!(
        event.kind,
        EventKind::PollsFailing { .. } | EventKind::PollsRecovered { .. } | EventKind::Slept(_)
    ) {
        let subject = event
            .id
            .as_ref()
            .map(|id| format!("session {}: ", id.sanitise(MAX_ID_COLUMNS)))
            .unwrap_or_default();
        print_error(&format!("{subject}{}", event.kind.sentence(zone, event.learned_at)));
    }
}

/// Prints the change: a reached goal on standard output, a missed one on standard error.
fn print_change(
    change: &ProgressChange,
    tracker: &SessionTracker,
    zone: Zone,
    ascii: bool,
) -> Result<(), CliError> {
    match change {
        ProgressChange::GoalReached(id) => {
            let line = format!("{}  {}\n", id.sanitise_line(), describe_session(tracker, id, zone));
            print_text(&line, ascii)
        }
        ProgressChange::GoalMissed(id, MissReason::Ended(_)) => {
            print_error(&format!(
                "session {} will not run any more: {}",
                id.sanitise_line(),
                describe_session(tracker, id, zone)
            ));
            Ok(())
        }
        ProgressChange::GoalMissed(id, MissReason::NotFound(error)) => {
            print_error(&session_message(id, error));
            Ok(())
        }
    }
}

/// Describes the state of a session in one line.
fn describe_session(tracker: &SessionTracker, id: &SessionId, zone: Zone) -> String {
    let Some((record, status)) = tracker.get(id).and_then(|record| Some((record, record.status()?))) else {
        return "no reply about it yet".into();
    };
    let Some(last_response_at) = record.last_response().map(|timing| tracker.clock().at(timing.received))
    else {
        return status.sanitise(MAX_STATUS_COLUMNS);
    };
    if let Some(verdict) = tracker.verdict(id) {
        let why = verdict.text(zone, last_response_at).why;
        return format!("{}; {why}", verdict.summary_line(status, zone, last_response_at));
    }
    let expires = record.session.as_ref().and_then(|session| session.expires);
    let left = expires.and_then(|expires| expires.signed_duration_since(last_response_at).to_std().ok());
    let left = left.map(|left| format!(", {} left", text::format_countdown(left))).unwrap_or_default();
    format!("{}{left}", status.sanitise(MAX_STATUS_COLUMNS))
}

/// Describes the sessions that have not reached the goal yet.
fn describe_waiting(progress: &WaitProgress, tracker: &SessionTracker, zone: Zone) -> String {
    let waiting = progress.waiting();
    let descriptions: Vec<String> = waiting
        .iter()
        .take(MAX_NAMED_SESSIONS)
        .map(|id| format!("{}: {}", id.sanitise(MAX_ID_COLUMNS), describe_session(tracker, id, zone)))
        .collect();
    let unnamed_count = waiting.len().saturating_sub(MAX_NAMED_SESSIONS);
    let others = if unnamed_count > 0 { format!("; and {unnamed_count} more") } else { String::new() };
    let state = match progress.goal() {
        Goal::Ended => "not ended",
        Goal::Running => "not running",
    };
    format!("{state}: {}{others}", descriptions.join("; "))
}
