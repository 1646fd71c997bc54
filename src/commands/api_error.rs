//! What the commands without a screen print about an error of the API, and how they exit then.

use crate::exit_code::ExitCode;
use keepwatch_core::session::{Fault, FaultKind, SessionId};

/// Returns the message for a request about one session.
pub(super) fn session_message(id: &SessionId, fault: &Fault) -> String {
    let hint = if fault.is_absence() { id.doubt() } else { "" };
    format!("session {}: {}{hint}", id.line(), message(fault))
}

/// Returns the message, with the API's request id for a support ticket.
pub(super) fn message(fault: &Fault) -> String {
    let request = fault.request_id.as_ref().map(|id| format!(" [request {}]", id.line())).unwrap_or_default();
    format!("{}{request}", fault.sentence())
}

/// Returns the exit code of a command that failed with this error.
pub(super) fn exit_code(fault: &Fault) -> ExitCode {
    match fault.kind {
        FaultKind::NoKey(_) | FaultKind::KeyUnsendable | FaultKind::KeyRefused | FaultKind::Forbidden => {
            ExitCode::ApiKey
        }
        FaultKind::NotFound | FaultKind::Gone => ExitCode::NoSuchSession,
        FaultKind::Timeout | FaultKind::Cut => ExitCode::Unreachable,
        _ if fault.is_unreached() => ExitCode::Unreachable,
        _ => ExitCode::Failure,
    }
}

/// Returns the exit code that says more: a refused API key or an unreachable API is why the rest failed too.
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
    fn most_specific_exit_code_wins() {
        assert_eq!(more_specific(ExitCode::Success, ExitCode::Failure), ExitCode::Failure);
        assert_eq!(more_specific(ExitCode::NoSuchSession, ExitCode::Unreachable), ExitCode::Unreachable);
        assert_eq!(more_specific(ExitCode::Unreachable, ExitCode::ApiKey), ExitCode::ApiKey);
        assert_eq!(more_specific(ExitCode::Success, ExitCode::Success), ExitCode::Success);
    }
}
