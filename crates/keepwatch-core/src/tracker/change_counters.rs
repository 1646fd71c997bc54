//! Counters of changes, by which the screen tells whether anything that it shows is out of date.

/// How often what was observed changed: where a number is as it was, so is what it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeCounters {
    /// Which sessions there are, and anything of them but their bytes and the times of the replies.
    pub sessions: u64,
    /// The bytes through a session's proxy.
    pub bytes: u64,
}

impl ChangeCounters {
    pub(super) fn count_session_change(&mut self) {
        self.sessions = self.sessions.wrapping_add(1);
    }

    pub(super) fn count_bytes_change(&mut self) {
        self.bytes = self.bytes.wrapping_add(1);
    }

    pub(super) fn count_full_change(&mut self) {
        self.count_session_change();
        self.count_bytes_change();
    }
}
