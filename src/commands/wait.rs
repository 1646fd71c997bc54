//! `keepwatch wait SESSION_ID...`: until the sessions have ended, or run. Its exit code is its answer.
//!
//! What it says is what a script can not see by itself: a line on standard output for each session as what is waited for
//! comes true, and on standard error why it takes longer, or will not come.

mod tally;

use super::CliError;
use super::api_error::session_message;
use super::headless::{Follow, Heard, Watching};
use super::output::print_text;
use super::print_error;
use crate::api::Client;
use crate::config::{Goal, WaitConfig};
use crate::exit_code::ExitCode;
use keepwatch_core::clock::{Clock, Zone};
use keepwatch_core::session::{SessionId, Targets};
use keepwatch_core::text;
use keepwatch_core::tracker::{AlertThresholds, Event, EventKind, SessionTracker};
use tally::{News, Tally, Why};

/// How many sessions a sentence names; the others are counted.
const NAMED: usize = 4;
/// The widest id in a sentence, in columns.
const WIDEST_ID: usize = 40;

/// Waits. Requests that fail do not end it; a timeout does.
///
/// # Errors
/// The API refuses the key before anything came, or standard output can not be written.
pub async fn wait(config: WaitConfig) -> Result<ExitCode, CliError> {
    let clock = Clock::system();
    let watching = Watching {
        targets: Targets::Ids(config.ids.clone()),
        pace: config.pace,
        thresholds: AlertThresholds::none(),
    };
    let mut follow =
        Follow::start(Client::new(config.source.endpoint, config.source.key), clock, watching, None)?;
    let deadline = config.timeout.map(|timeout| follow.now().boot.saturating_add(timeout));
    let mut tally = Tally::new(config.ids, config.goal, config.any, config.exit_status, config.grace);
    loop {
        let due = deadline.into_iter().chain(tally.grace_ends()).min();
        match follow.next(due).await {
            Heard::Told(told) => {
                if let Some(fault) = follow.refusal() {
                    return Err(CliError::ApiKeyRefused(Box::new(fault.clone())));
                }
                told.events.iter().for_each(say);
                for news in tally.take(&follow.fleet, told.missing) {
                    tell(&news, &follow.fleet, config.ascii)?;
                }
            }
            Heard::Due => {}
            Heard::Interrupted(exit) => return Ok(exit),
        }
        if let Some(exit) = tally.outcome() {
            return Ok(exit);
        }
        let now = follow.now().boot;
        if deadline.is_some_and(|deadline| deadline <= now) {
            let after = config.timeout.map(text::format_duration).unwrap_or_default();
            print_error(&format!("timed out after {after}: {}", unfinished(&tally, &follow.fleet)));
            return Ok(ExitCode::TimedOut);
        }
        if tally.last_chance(now) {
            follow.ask_now();
        }
    }
}

/// What keeps it from knowing, and that nothing does any more.
fn say(event: &Event) {
    if matches!(
        event.kind,
        EventKind::PollsFailing { .. } | EventKind::PollsRecovered { .. } | EventKind::Slept(_)
    ) {
        let of =
            event.id.as_ref().map(|id| format!("session {}: ", id.sanitise(WIDEST_ID))).unwrap_or_default();
        print_error(&format!("{of}{}", event.kind.sentence(Zone::Local, event.learned_at)));
    }
}

fn tell(news: &News, fleet: &SessionTracker, ascii: bool) -> Result<(), CliError> {
    match news {
        News::Holds(id) => {
            let line = format!("{}  {}\n", id.sanitise_line(), standing(fleet, id));
            print_text(&line, ascii)
        }
        News::Never(id, Why::Ended(_)) => {
            print_error(&format!(
                "session {} will not run any more: {}",
                id.sanitise_line(),
                standing(fleet, id)
            ));
            Ok(())
        }
        News::Never(id, Why::Absent(fault)) => {
            print_error(&session_message(id, fault));
            Ok(())
        }
    }
}

/// How a session stands, in a line.
fn standing(fleet: &SessionTracker, id: &SessionId) -> String {
    let Some((record, status)) = fleet.get(id).and_then(|record| Some((record, record.status()?))) else {
        return "no reply about it yet".into();
    };
    let Some(last) = record.last().map(|last| fleet.clock().at(last.received)) else {
        return status.sanitise(24);
    };
    if let Some(verdict) = fleet.verdict(id) {
        let was = verdict.text(Zone::Local, last).explanation;
        return format!("{}; {was}", verdict.summary_line(status, Zone::Local, last));
    }
    let expires = record.session.as_ref().and_then(|session| session.expires);
    let left = expires.and_then(|expires| expires.signed_duration_since(last).to_std().ok());
    let left = left.map(|left| format!(", {} left", text::format_countdown(left))).unwrap_or_default();
    format!("{}{left}", status.sanitise(24))
}

fn unfinished(tally: &Tally, fleet: &SessionTracker) -> String {
    let open = tally.open();
    let named: Vec<String> = open
        .iter()
        .take(NAMED)
        .map(|id| format!("{}: {}", id.sanitise(WIDEST_ID), standing(fleet, id)))
        .collect();
    let more = open.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let yet = match tally.goal() {
        Goal::Ended => "not ended",
        Goal::Running => "not running",
    };
    format!("{yet}: {}{more}", named.join("; "))
}
