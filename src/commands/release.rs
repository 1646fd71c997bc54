//! `keepwatch release SESSION_ID`: asks the API to end one session, once its reader has typed the end of its id.
//!
//! The session is fetched first and named, so that the answer is to a question that shows what would end. What failed on
//! the way is tried again as the screen's `x` does; what the API refuses is said word for word.

use super::CliError;
use super::api_error::{self, session_message};
use super::output::{print_text, prompt};
use super::print_error;
use crate::api::{Client, ReleasePermission};
use crate::config::ReleaseConfig;
use crate::exit_code::ExitCode;
use keepwatch_core::backoff;
use keepwatch_core::clock::{Clock, Timestamp};
use keepwatch_core::session::{ApiError, Session, SessionId};
use keepwatch_core::text;

/// Asks, and releases.
///
/// # Errors
/// There is nobody to ask, the answer is wrong, or standard output can not be written.
pub async fn release(config: ReleaseConfig) -> Result<ExitCode, CliError> {
    let (client, clock) = (Client::new(config.profile.endpoint, config.profile.key), Clock::system());
    let session = match client.session(&config.id).await.result {
        Ok(session) => session,
        Err(error) => return Ok(print_api_error(&config.id, &error)),
    };
    if session.status.is_final() {
        let status = session.status.sanitise(24);
        print_error(&format!(
            "session {} has ended ({status}): there is nothing to release",
            config.id.sanitise_line()
        ));
        return Ok(ExitCode::Success);
    }
    let answer = match config.confirm {
        Some(answer) => answer,
        None => prompt_for_confirmation(&session, &config.id, clock.now().wall, config.ascii)?,
    };
    if !config.id.is_confirmed_by(&answer) {
        return Err(CliError::NotConfirmed);
    }
    let Some(releaser) = ReleasePermission::unless_read_only(false) else { return Ok(ExitCode::Failure) };
    let mut attempts = 0;
    loop {
        match releaser.release(&client, &config.id).await.result {
            Ok(session) => {
                let line = format!(
                    "release of {} asked; the API says {}{}\n",
                    config.id.sanitise_line(),
                    session.status.sanitise(24),
                    if session.status.is_final() { "" } else { ", and may for some seconds" }
                );
                print_text(&line, config.ascii)?;
                return Ok(ExitCode::Success);
            }
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

fn print_api_error(id: &SessionId, error: &ApiError) -> ExitCode {
    print_error(&session_message(id, error));
    api_error::exit_code(error)
}

/// Asks on the terminal: which session, whose, and how long it has run.
fn prompt_for_confirmation(
    session: &Session,
    id: &SessionId,
    now: Timestamp,
    ascii: bool,
) -> Result<String, CliError> {
    let owner_text = session.metadata.as_ref().and_then(|metadata| metadata.owner(None));
    let whose = owner_text.map(|owner| format!(" of {}", owner.sanitise(40))).unwrap_or_default();
    let ran = session.started.and_then(|started| now.signed_duration_since(started).to_std().ok());
    let ran = ran.map(|ran| format!(", running for {}", text::format_age(ran))).unwrap_or_default();
    let text = format!(
        "Session {}{whose}{ran}.\nIts browser ends with it, whoever uses it. The last {} characters of its id release it: ",
        id.sanitise_line(),
        id.confirmation().chars().count()
    );
    let text = if ascii { text::to_ascii(&text) } else { text };
    prompt(&text, "--confirm with the last four characters of its id")
}
