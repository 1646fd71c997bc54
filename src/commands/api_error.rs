//! The message and the exit code of an API error, for the commands without a screen.
//!
//! [`exit_code`] is for commands that send single requests: `get`, `explain` and `release`. `wait` polls, and
//! `wait/progress.rs` decides its exit code. The header of `error.rs` lists where each exit code is decided.

use crate::exit_code::ExitCode;
use keepwatch_core::session::{ApiError, ApiErrorKind, SessionId};

/// Returns the message for a failed request about one session.
pub(super) fn session_message(id: &SessionId, error: &ApiError) -> String {
    let hint = if error.is_not_found() { id.truncation_hint() } else { "" };
    format!("session {}: {}{hint}", id.sanitise_line(), message(error))
}

/// Returns the message, with the API's request id for a support ticket.
pub(super) fn message(error: &ApiError) -> String {
    let request_id =
        error.request_id.as_ref().map(|id| format!(" [request {}]", id.sanitise_line())).unwrap_or_default();
    format!("{}{request_id}", error.description())
}

/// Returns the exit code of a command that failed with this error.
pub(super) fn exit_code(error: &ApiError) -> ExitCode {
    match error.kind {
        ApiErrorKind::ApiKeyUnavailable(_)
        | ApiErrorKind::ApiKeyMalformed
        | ApiErrorKind::ApiKeyRejected
        | ApiErrorKind::Forbidden => ExitCode::ApiKey,
        ApiErrorKind::NotFound | ApiErrorKind::Gone => ExitCode::NoSuchSession,
        _ if error.is_network_error() || error.is_incomplete_response() => ExitCode::Unreachable,
        _ => ExitCode::Failure,
    }
}

/// Returns the exit code that explains more, for a command with several results. A refused API key or an unreachable
/// API comes first, because it may have caused the other error.
pub(super) fn more_specific(a: ExitCode, b: ExitCode) -> ExitCode {
    [ExitCode::ApiKey, ExitCode::Unreachable, ExitCode::NoSuchSession, ExitCode::Failure]
        .into_iter()
        .find(|code| *code == a || *code == b)
        .unwrap_or(ExitCode::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_specific_exit_code_wins() {
        assert_eq!(more_specific(ExitCode::Success, ExitCode::Failure), ExitCode::Failure);
        assert_eq!(more_specific(ExitCode::NoSuchSession, ExitCode::Unreachable), ExitCode::Unreachable);
        assert_eq!(more_specific(ExitCode::Unreachable, ExitCode::ApiKey), ExitCode::ApiKey);
        assert_eq!(more_specific(ExitCode::Success, ExitCode::Success), ExitCode::Success);
    }
}
