//! `keepwatch wait SESSION_ID...`: until the sessions have ended, or run. Its exit code is its answer.
//!
//! What it says is what a script can not see by itself: a line on standard output for each session as what is waited for
//! comes true, and on standard error why it takes longer, or will not come.

mod progress;

use super::CliError;
use super::api_error::session_message;
use super::headless::{HeadlessEvent, HeadlessWatch, WatchParams};
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

/// How many sessions a sentence names; the others are counted.
const MAX_NAMED_SESSIONS: usize = 4;
/// The widest id in a sentence, in columns.
const MAX_ID_COLUMNS: usize = 40;

/// Waits. Requests that fail do not end it; a timeout does.
///
/// # Errors
/// The API refuses the key before anything came, or standard output can not be written.
pub async fn wait(config: WaitConfig) -> Result<ExitCode, CliError> {
    let clock = Clock::system();
    let params = WatchParams {
        targets: Targets::Ids(config.ids.clone()),
        poll_limits: config.poll_limits,
        thresholds: AlertThresholds::none(),
    };
    let mut watch =
        HeadlessWatch::start(Client::new(config.profile.endpoint, config.profile.key), clock, params, None)?;
    let deadline = config.timeout.map(|timeout| watch.now().boot.saturating_add(timeout));
    let mut progress =
        WaitProgress::new(config.ids, config.goal, config.any, config.exit_status, config.grace);
    loop {
        let due = deadline.into_iter().chain(progress.next_grace_end()).min();
        match watch.next(due).await {
            HeadlessEvent::Update(told) => {
                if let Some(error) = watch.auth_error() {
                    return Err(CliError::ApiKeyRefused(Box::new(error.clone())));
                }
                told.events.iter().for_each(print_problem);
                for news in progress.update(&watch.tracker, told.not_found) {
                    print_change(&news, &watch.tracker, config.ascii)?;
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
            let after = config.timeout.map(text::format_duration).unwrap_or_default();
            print_error(&format!("timed out after {after}: {}", describe_waiting(&progress, &watch.tracker)));
            return Ok(ExitCode::TimedOut);
        }
        if progress.needs_final_poll(now) {
            watch.poll_now();
        }
    }
}

/// What keeps it from knowing, and that nothing does any more.
fn print_problem(event: &Event) {
    if matches!(
        event.kind,
        EventKind::PollsFailing { .. } | EventKind::PollsRecovered { .. } | EventKind::Slept(_)
    ) {
        let of = event
            .id
            .as_ref()
            .map(|id| format!("session {}: ", id.sanitise(MAX_ID_COLUMNS)))
            .unwrap_or_default();
        print_error(&format!("{of}{}", event.kind.sentence(Zone::Local, event.learned_at)));
    }
}

fn print_change(change: &ProgressChange, tracker: &SessionTracker, ascii: bool) -> Result<(), CliError> {
    match change {
        ProgressChange::GoalReached(id) => {
            let line = format!("{}  {}\n", id.sanitise_line(), describe_session(tracker, id));
            print_text(&line, ascii)
        }
        ProgressChange::GoalMissed(id, MissReason::Ended(_)) => {
            print_error(&format!(
                "session {} will not run any more: {}",
                id.sanitise_line(),
                describe_session(tracker, id)
            ));
            Ok(())
        }
        ProgressChange::GoalMissed(id, MissReason::NotFound(error)) => {
            print_error(&session_message(id, error));
            Ok(())
        }
    }
}

/// How a session stands, in a line.
fn describe_session(tracker: &SessionTracker, id: &SessionId) -> String {
    let Some((record, status)) = tracker.get(id).and_then(|record| Some((record, record.status()?))) else {
        return "no reply about it yet".into();
    };
    let Some(last) = record.last().map(|last| tracker.clock().at(last.received)) else {
        return status.sanitise(24);
    };
    if let Some(verdict) = tracker.verdict(id) {
        let was = verdict.text(Zone::Local, last).explanation;
        return format!("{}; {was}", verdict.summary_line(status, Zone::Local, last));
    }
    let expires = record.session.as_ref().and_then(|session| session.expires);
    let left = expires.and_then(|expires| expires.signed_duration_since(last).to_std().ok());
    let left = left.map(|left| format!(", {} left", text::format_countdown(left))).unwrap_or_default();
    format!("{}{left}", status.sanitise(24))
}

fn describe_waiting(progress: &WaitProgress, tracker: &SessionTracker) -> String {
    let waiting = progress.waiting();
    let named: Vec<String> = waiting
        .iter()
        .take(MAX_NAMED_SESSIONS)
        .map(|id| format!("{}: {}", id.sanitise(MAX_ID_COLUMNS), describe_session(tracker, id)))
        .collect();
    let more = waiting.len().saturating_sub(MAX_NAMED_SESSIONS);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let yet = match progress.goal() {
        Goal::Ended => "not ended",
        Goal::Running => "not running",
    };
    format!("{yet}: {}{more}", named.join("; "))
}
