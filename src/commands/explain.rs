//! `keepwatch explain SESSION_ID`: the evidence of one session, by one request for it and one for its project.
//!
//! It goes through the same record as everything that is watched, so the text is what the screen would give of a session
//! that was seen once.

use std::path::Path;

use super::CliError;
use super::api_error::{self, session_message};
use super::output::print_text;
use super::{print_error, recording};
use crate::api::Client;
use crate::config::{ExplainConfig, ExplainFrom, ResolvedProfile};
use crate::exit_code::ExitCode;
use crate::poll::{IngestedReport, Report, Request, send_request};
use crate::store::Recording;
use keepwatch_core::clock::Clock;
use keepwatch_core::session::SessionId;
use keepwatch_core::tracker::evidence::{self, EvidenceOptions};
use keepwatch_core::tracker::{AlertThresholds, Input, SessionTracker};

/// Prints the evidence. A session that is not there has some, too: that, when, and the API's request id.
///
/// # Errors
/// Standard output can not be written.
pub async fn explain(config: ExplainConfig) -> Result<ExitCode, CliError> {
    let ExplainConfig { id, options, from, ascii } = config;
    match from {
        ExplainFrom::Recording(path) => explain_recording(&path, &id, options, ascii),
        ExplainFrom::Api(source) => explain_live(source, id, options, ascii).await,
    }
}

/// The evidence as the maker of a recording would have got it at its end.
fn explain_recording(
    path: &Path,
    id: &SessionId,
    options: EvidenceOptions<'_>,
    ascii: bool,
) -> Result<ExitCode, CliError> {
    let recording = recording::read(path)?;
    recording::print_damage(&recording);
    let Recording { header, input_log: tape, .. } = recording;
    let new_tracker =
        || SessionTracker::new(header.thresholds.clone()).with_owner_key(header.owner_key.clone());
    let mut trackers: Vec<SessionTracker> = tape.profiles().iter().map(|_| new_tracker()).collect();
    for (profile, input) in tape.inputs() {
        if let Some(tracker) = trackers.get_mut(profile) {
            tracker.apply(input);
        }
    }
    let options = EvidenceOptions { version: &header.version, rates: header.rates, ..options };
    // Of several profiles that were asked, the one that has it.
    let knows = |tracker: &&SessionTracker| tracker.get(id).is_some_and(|record| record.session.is_some());
    let tracker = trackers.iter().find(knows).or(trackers.first());
    let Some(text) = tracker.and_then(|tracker| evidence::render(tracker, id, options)) else {
        print_error(&format!("{}: the recording has no such session", id.sanitise_line()));
        return Ok(ExitCode::NoSuchSession);
    };
    print_text(&text, ascii)?;
    Ok(ExitCode::Success)
}

async fn explain_live(
    source: ResolvedProfile,
    id: SessionId,
    options: EvidenceOptions<'_>,
    ascii: bool,
) -> Result<ExitCode, CliError> {
    let (client, clock) = (Client::new(source.endpoint, source.key), Clock::system());
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    tracker.apply(Input::SessionsNamed { at: clock.now(), ids: vec![id.clone()] });
    let report = timed_request(&client, &clock, Request::Session(id.clone())).await;
    let mut exit = ExitCode::Success;
    if let Err(error) = &report.result {
        print_error(&session_message(&id, error));
        exit = api_error::exit_code(error);
        if !error.is_not_found() {
            return Ok(exit);
        }
    }
    apply_report(&mut tracker, report);
    if exit == ExitCode::Success {
        // For the default timeout alone: where the key may not list projects, the evidence does without.
        let report = timed_request(&client, &clock, Request::Projects).await;
        if report.result.is_ok() {
            apply_report(&mut tracker, report);
        }
    }
    let text = evidence::render(&tracker, &id, options).unwrap_or_default();
    print_text(&text, ascii)?;
    Ok(exit)
}

async fn timed_request(client: &Client, clock: &Clock, request: Request) -> Report {
    let sent = clock.now();
    let outcome = send_request(client, None, &request).await;
    Report::new(request, sent, clock.now(), outcome)
}

fn apply_report(tracker: &mut SessionTracker, report: Report) {
    if let Some(input) = IngestedReport::from(report).input {
        tracker.apply(input);
    }
}
