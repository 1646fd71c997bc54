//! What the newest input changed, and how often anything did: for who shows a fleet, and for who writes it down.

use super::record::Change;
use crate::session::SessionId;

/// How often what was observed changed: where a number is as it was, so is what it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Which sessions there are, and anything of them but their bytes and the times of the replies.
    pub sessions: u64,
    /// The bytes through a session's proxy.
    pub bytes: u64,
}

impl Changes {
    pub(super) fn of_sessions(&mut self) {
        self.sessions = self.sessions.wrapping_add(1);
    }

    pub(super) fn of_bytes(&mut self) {
        self.bytes = self.bytes.wrapping_add(1);
    }

    pub(super) fn of_all(&mut self) {
        self.of_sessions();
        self.of_bytes();
    }
}

/// What the newest input changed, beside the events that it brought.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The sessions whose reply differs from the one before it, in the order of the reply.
    pub changed: Vec<(SessionId, Change)>,
    /// Whether the server's time is believed to be another, or is known better.
    pub clock: bool,
    /// Whether something came of it that is no event: a reply was overtaken by one that was sent after it, or a session
    /// is lacking in its list.
    pub unsaid: bool,
}
