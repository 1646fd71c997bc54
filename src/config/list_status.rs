//! The value of `--status`.

use keepwatch_core::session::List;
use keepwatch_core::text;

/// The maximum width of a status in a message, in columns.
const MAX_STATUS_COLUMNS: usize = 40;

/// Returns the list that contains the sessions with this status. The case of `status` does not matter.
///
/// # Errors
/// Returns an error if keepwatch polls no list of sessions with this status.
pub(super) fn parse_list(status: &str) -> Result<List, String> {
    let upper = status.trim().to_uppercase();
    List::ALL.into_iter().find(|list| list.status().raw() == upper).ok_or_else(|| {
        let status = text::sanitise(status, MAX_STATUS_COLUMNS);
        format!(
            "“{status}” can not be watched for; lists are of PENDING or RUNNING sessions, R shows the others"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pending_and_running_have_lists() {
        assert_eq!(parse_list("RUNNING"), Ok(List::Running));
        assert_eq!(parse_list("pending"), Ok(List::Pending));
        assert!(parse_list("ERROR").unwrap_err().contains("PENDING or RUNNING"));
    }
}
