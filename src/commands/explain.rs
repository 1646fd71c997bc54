//! `keepwatch explain SESSION_ID`: prints the evidence about one session.
//!
//! With `--from`, the inputs come from a recording. Otherwise they come from two requests: the first is for the session
//! and the second is for the projects. If the session runs with a context, a third request lists the running sessions,
//! which may share the context. In all cases a session tracker applies the inputs, so the text is the one that
//! the screen copies.

use std::path::Path;

use super::CliError;
use super::api_error::{self, session_message};
use super::output::print_text;
use super::{print_error, recording};
use crate::api::Client;
use crate::config::{ExplainConfig, ExplainSource, ResolvedProfile};
use crate::exit_code::ExitCode;
use crate::poll::{IngestedReport, Report, Request, send_request};
use crate::store::Recording;
use keepwatch_core::clients;
use keepwatch_core::clock::Clock;
use keepwatch_core::session::{List, SessionId, Status};
use keepwatch_core::tracker::evidence::{self, EvidenceOptions};
use keepwatch_core::tracker::{AlertRules, Input, SessionTracker};

/// Prints the evidence. If the API does not know the session, the evidence is the 404, its time and the API's request
/// id.
///
/// # Errors
/// Returns an error if the recording cannot be read or standard output cannot be written. An API error is printed and
/// becomes the exit code.
pub async fn explain(config: ExplainConfig) -> Result<ExitCode, CliError> {
    let ExplainConfig { id, options, source, with_clients, ascii } = config;
    let exit = match source {
        ExplainSource::Recording(path) => explain_recording(&path, &id, options, ascii)?,
        ExplainSource::Api(profile) => explain_live(profile, id, options, ascii).await?,
    };
    if with_clients {
        print_text("\nWhich call of which client ends a session\n", ascii)?;
        print_client_calls(ascii)?;
    }
    Ok(exit)
}

/// Prints which call of which client disconnects, and which ends the session.
///
/// # Errors
/// Returns an error if standard output cannot be written.
pub fn print_client_calls(ascii: bool) -> Result<(), CliError> {
    print_text(&clients::table_text(), ascii)
}

/// Prints the evidence as the screen would have copied it at the end of the recording.
fn explain_recording(
    path: &Path,
    id: &SessionId,
    options: EvidenceOptions<'_>,
    ascii: bool,
) -> Result<ExitCode, CliError> {
    let recording = recording::read(path)?;
    recording::print_damage(&recording);
    let Recording { header, input_log, .. } = recording;
    // A recording may have several profiles. Each profile has its own tracker.
    let new_tracker =
        || SessionTracker::new(header.alert_rules.clone()).with_owner_key(header.owner_key.clone());
    let mut trackers: Vec<SessionTracker> = input_log.profiles().iter().map(|_| new_tracker()).collect();
    for (profile, input) in input_log.inputs() {
        if let Some(tracker) = trackers.get_mut(profile) {
            tracker.apply(input);
        }
    }
    let options = EvidenceOptions { version: &header.version, rates: header.rates, ..options };
    let tracker = best_tracker(&trackers, id);
    let Some(text) = tracker.and_then(|tracker| evidence::render(tracker, id, options)) else {
        print_error(&format!("{}: the recording has no such session", id.sanitise_line()));
        return Ok(ExitCode::NoSuchSession);
    };
    print_text(&text, ascii)?;
    Ok(ExitCode::Success)
}

/// Returns the first tracker that has received the session in a response. If there is none, returns the first tracker
/// that knows the session's id, for example from a 404.
fn best_tracker<'t>(trackers: &'t [SessionTracker], id: &SessionId) -> Option<&'t SessionTracker> {
    let has_session =
        |tracker: &&SessionTracker| tracker.get(id).is_some_and(|record| record.session.is_some());
    let knows_id = |tracker: &&SessionTracker| tracker.get(id).is_some();
    trackers.iter().find(has_session).or_else(|| trackers.iter().find(knows_id))
}

/// Prints the evidence from the API's responses.
async fn explain_live(
    profile: ResolvedProfile,
    id: SessionId,
    options: EvidenceOptions<'_>,
    ascii: bool,
) -> Result<ExitCode, CliError> {
    let (client, clock) = (Client::new(profile.endpoint, profile.key), Clock::system());
    let mut tracker = SessionTracker::new(AlertRules::default());
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
        // The evidence needs the projects only for the default timeout. If this request fails, for example because the
        // API key may not list projects, the evidence omits the default timeout.
        let report = timed_request(&client, &clock, Request::Projects).await;
        if report.result.is_ok() {
            apply_report(&mut tracker, report);
        }
    }
    if uses_context(&tracker, &id) {
        // The list shows whether other sessions run with the same context. If this request fails, the evidence does not
        // mention other sessions.
        let report = timed_request(&client, &clock, Request::List(List::Running)).await;
        if report.result.is_ok() {
            apply_report(&mut tracker, report);
        }
    }
    let text = evidence::render(&tracker, &id, options).unwrap_or_default();
    print_text(&text, ascii)?;
    Ok(exit)
}

/// Returns true if the session runs with a context.
fn uses_context(tracker: &SessionTracker, id: &SessionId) -> bool {
    let session = tracker.get(id).and_then(|record| record.session.as_ref());
    session.is_some_and(|session| {
        session.status == Status::Running
            && session.context.as_ref().is_some_and(|context| !context.is_empty())
    })
}

/// Sends the request and returns its report.
async fn timed_request(client: &Client, clock: &Clock, request: Request) -> Report {
    let sent = clock.now();
    let response = send_request(client, None, &request).await;
    Report::new(request, sent, clock.now(), response)
}

fn apply_report(tracker: &mut SessionTracker, report: Report) {
    if let Some(input) = IngestedReport::from(report).input {
        tracker.apply(input);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwatch_core::testing::{at, id, moment, request_timing, running_session};
    use keepwatch_core::tracker::Scope;

    #[test]
    fn tracker_with_the_session_is_preferred() {
        let tracker = |input: Option<Input>| {
            let mut tracker = SessionTracker::new(AlertRules::default());
            if let Some(input) = input {
                tracker.apply(input);
            }
            tracker
        };
        let with_id = || tracker(Some(Input::SessionsNamed { at: moment(0.0), ids: vec![id("a")] }));
        let with_session = || {
            tracker(Some(Input::SessionsReceived {
                at: request_timing(1.0, 1.2),
                scope: Scope::Session(id("a")),
                sessions: vec![running_session("a", at(0), std::time::Duration::from_secs(60))],
                malformed: 0,
            }))
        };
        let best_index = |trackers: &[SessionTracker]| {
            let best = best_tracker(trackers, &id("a"))?;
            trackers.iter().position(|tracker| std::ptr::eq(tracker, best))
        };
        assert_eq!(best_index(&[tracker(None), with_id()]), Some(1));
        assert_eq!(best_index(&[with_id(), with_session()]), Some(1));
        assert_eq!(best_index(&[tracker(None)]), None);
    }
}
