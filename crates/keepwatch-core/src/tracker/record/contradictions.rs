//! Detects responses that contradict each other: the session changes back and forth, for example because a cache or a replica
//! of the API is out of date. Without this, each change would be an event, with every poll.
//!
//! ```text
//!   A ──► B ──► A          two changes, each is an event
//!               └─► B      the second return to an earlier version: contradictory, one event
//!                   └─► A ──► B ──► …       counted
//!                                   └─► the same version ten times: the responses agree again, one event
//! ```

use std::collections::VecDeque;

use crate::session::Session;
use crate::tracker::diff;

/// The number of earlier versions of a session to compare with.
const MAX_EARLIER_VERSIONS: usize = 3;
/// The number of returns to an earlier version, without a new version between them, that are contradictory. A single return
/// can be a real change that was undone.
const MIN_RETURNS: u32 = 2;
/// The number of consecutive responses with the same version after which the responses agree.
const MIN_AGREEING_RESPONSES: u64 = 10;

/// The recent versions of a session. Two responses have the same version if no event tells them apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Contradictions {
    /// The versions before the current one, the newest first.
    earlier: VecDeque<Session>,
    /// The number of returns to an earlier version since the newest version that was not seen before.
    returns: u32,
    /// The number of consecutive responses with the current version.
    agreeing_responses: u64,
    /// While the responses are contradictory: the version that the newest event told, and the number of changes since then.
    open: Option<(Session, u64)>,
}

/// The consequence of a response for the events.
#[derive(Debug, PartialEq)]
pub(super) enum Consistency {
    /// The changes of this response are events.
    Consistent,
    /// The responses became contradictory with this one.
    Contradictory,
    /// The responses are still contradictory: the changes of this response are only counted.
    StillContradictory,
    /// The responses agree again. Holds the version that the newest event told, and the number of contradictory changes.
    AgreesAgain(Box<Session>, u64),
}

impl Contradictions {
    /// Returns true while the responses are contradictory.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Returns true if there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.earlier.is_empty() && self.open.is_none()
    }

    /// Compares a run of `count` equal responses, usually one, with the earlier versions. `old` is the version before it.
    pub(super) fn observe(&mut self, old: &Session, new: &Session, count: u64) -> Consistency {
        if is_same_version(old, new) {
            return self.observe_agreement(count);
        }
        self.agreeing_responses = count;
        let is_return = self.earlier.iter().any(|earlier| is_same_version(earlier, new));
        self.returns = if is_return { self.returns.saturating_add(1) } else { 0 };
        self.earlier.retain(|earlier| !is_same_version(earlier, old));
        self.earlier.push_front(old.clone());
        self.earlier.truncate(MAX_EARLIER_VERSIONS);
        match &mut self.open {
            Some((_, changes)) if is_return => {
                *changes = changes.saturating_add(1);
                Consistency::StillContradictory
            }
            Some((told, _)) => {
                *told = new.clone();
                Consistency::Consistent // a version that was not seen before is news
            }
            None if self.returns >= MIN_RETURNS => {
                self.open = Some((old.clone(), 1));
                Consistency::Contradictory
            }
            None => Consistency::Consistent,
        }
    }

    fn observe_agreement(&mut self, count: u64) -> Consistency {
        self.agreeing_responses = self.agreeing_responses.saturating_add(count);
        let is_open = self.open.is_some();
        if self.agreeing_responses < MIN_AGREEING_RESPONSES {
            return if is_open { Consistency::StillContradictory } else { Consistency::Consistent };
        }
        match std::mem::take(self).open {
            Some((told, changes)) => Consistency::AgreesAgain(Box::new(told), changes),
            None => Consistency::Consistent,
        }
    }
}

fn is_same_version(one: &Session, other: &Session) -> bool {
    one.status == other.status && diff::diff_sessions(one, other, false).is_empty()
}
