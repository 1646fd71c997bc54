//! Change counters. The screen reads them to decide whether its rows are out of date.

/// Counters of changes to the tracker's state. While a counter keeps its value, the state that it covers is unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeCounters {
    /// Changes to the set of sessions, and to all fields of a session except `proxyBytes` and `updatedAt`. Also counts
    /// events and changed alerts.
    pub sessions: u64,
    /// Changes to `proxyBytes` or `updatedAt` of any session.
    pub bytes: u64,
}

impl ChangeCounters {
    pub(super) fn count_session_change(&mut self) {
        self.sessions = self.sessions.wrapping_add(1);
    }

    pub(super) fn count_bytes_change(&mut self) {
        self.bytes = self.bytes.wrapping_add(1);
    }

    /// Counts a response that may have changed any field of a session.
    pub(super) fn count_full_change(&mut self) {
        self.count_session_change();
        self.count_bytes_change();
    }
}
