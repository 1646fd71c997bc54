//! `keepwatch release SESSION_ID`: requests the release of one session, after the user has typed the end of its id.
//!
//! The command fetches the session first, so that the question shows its owner and age. After a
//! [retryable](ApiError::is_retryable) error it retries the release with backoff, as the screen does after the
//! keystroke `x`. If the API refuses the release, the command prints the API's message.

use super::CliError;
use super::api_error::{self, session_message};
use super::output::{print_text, prompt};
use super::print_error;
use crate::api::{Client, ReleasePermission, ReleaseResponse};
use crate::config::ReleaseConfig;
use crate::exit_code::ExitCode;
use keepwatch_core::backoff;
use keepwatch_core::clock::{Clock, Timestamp};
use keepwatch_core::session::{ApiError, Session, SessionId};
use keepwatch_core::text;

/// The maximum width of a status in a message, in columns.
const MAX_STATUS_COLUMNS: usize = 24;
/// The maximum width of the owner in the question, in columns.
const MAX_OWNER_COLUMNS: usize = 40;

/// Asks for confirmation and releases the session.
///
/// # Errors
/// Returns an error if there is no terminal to ask on, the answer is wrong, or standard output cannot be written. An
/// API error is printed and becomes the exit code.
pub async fn release(config: ReleaseConfig) -> Result<ExitCode, CliError> {
    let (client, clock) = (Client::new(config.profile.endpoint, config.profile.key), Clock::system());
    let session = match client.session(&config.id).await.result {
        Ok(session) => session,
        Err(error) => return Ok(print_api_error(&config.id, &error)),
    };
    if session.status.is_final() {
        let status = session.status.sanitise(MAX_STATUS_COLUMNS);
        print_error(&format!(
            "session {} has ended ({status}): there is nothing to release",
            config.id.sanitise_line()
        ));
        return Ok(ExitCode::Success);
    }
    let answer = match config.confirmation {
        Some(answer) => answer,
        None => prompt_for_confirmation(&session, &config.id, clock.now().wall, config.ascii)?,
    };
    if !config.id.is_confirmed_by(&answer) {
        return Err(CliError::NotConfirmed);
    }
    // `Config::new` has rejected read-only mode already, so there is always a permission.
    let Some(permission) = ReleasePermission::unless_read_only(false) else { return Ok(ExitCode::Failure) };
    let mut attempts = 0;
    loop {
        match permission.release(&client, &config.id).await.result {
            Ok(response) => return print_response(&config.id, config.ascii, response),
            Err(error) => {
                attempts += 1;
                let error = error.resolve_retry_after(clock.now().wall);
                let Some(delay) = backoff::release_delay(&error, attempts, fastrand::f64()) else {
                    return Ok(print_api_error(&config.id, &error));
                };
                print_error(&format!(
                    "{}; asked again in {}",
                    api_error::message(&error),
                    text::format_elapsed(delay)
                ));
                crate::timer::sleep_until(&clock, clock.now().mono.saturating_add(delay)).await;
            }
        }
    }
}

/// Prints the API's response to an accepted release. Returns the exit code.
fn print_response(id: &SessionId, ascii: bool, response: ReleaseResponse) -> Result<ExitCode, CliError> {
    let name = id.sanitise_line();
    let status = |session: &Session| {
        let status = session.status.sanitise(MAX_STATUS_COLUMNS);
        if session.status.is_final() { status } else { format!("{status}, and may for some seconds") }
    };
    let (line, exit_code) = match response {
        ReleaseResponse::Session(session) => {
            (format!("release of {name} asked; the API says {}\n", status(&session)), ExitCode::Success)
        }
        ReleaseResponse::Empty { fetched: Ok(session) } => (
            format!(
                "release of {name} asked; the API accepted it with an empty response; a request for the session says {}\n",
                status(&session)
            ),
            ExitCode::Success,
        ),
        ReleaseResponse::Empty { fetched: Err(error) } => (
            format!(
                "release of {name} asked; the API accepted it with an empty response; its effect is not confirmed\n"
            ),
            print_api_error(id, &error),
        ),
    };
    print_text(&line, ascii)?;
    Ok(exit_code)
}

fn print_api_error(id: &SessionId, error: &ApiError) -> ExitCode {
    print_error(&session_message(id, error));
    api_error::exit_code(error)
}

/// Asks for confirmation on the terminal. The question names the session, its owner and its age.
fn prompt_for_confirmation(
    session: &Session,
    id: &SessionId,
    now: Timestamp,
    ascii: bool,
) -> Result<String, CliError> {
    let owner = session.metadata.as_ref().and_then(|metadata| metadata.owner(None));
    let owner = owner.map(|owner| format!(" of {}", owner.sanitise(MAX_OWNER_COLUMNS))).unwrap_or_default();
    let age = session.started.and_then(|started| now.signed_duration_since(started).to_std().ok());
    let age = age.map(|age| format!(", running for {}", text::format_age(age))).unwrap_or_default();
    let question = format!(
        "Session {}{owner}{age}.\nIts browser ends with it, whoever uses it. The last {} characters of its id release it: ",
        id.sanitise_line(),
        id.confirmation().chars().count()
    );
    let question = if ascii { text::to_ascii(&question) } else { question };
    prompt(&question, "--confirm with the last four characters of its id")
}
