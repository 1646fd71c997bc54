//! Detects responses that contradict each other: the session changes back and forth, for example because a cache or a
//! replica of the API is out of date. Without this module, every poll could add events for such changes.
//!
//! ```text
//!   A ──► B ──► A          two changes, each is an event
//!               └─► B      the second return to an earlier version: contradictory, one event
//!                   └─► A ──► B ──► …       changes that are only counted
//!                                   └─► the same version ten times: the responses agree again, one event
//! ```

use std::collections::VecDeque;

use crate::session::Session;
use crate::tracker::diff;

/// The number of earlier versions of a session to compare with.
const MAX_EARLIER_VERSIONS: usize = 3;
/// The number of returns to earlier versions that makes responses contradictory. A version that was not seen before
/// restarts the count. A single return can be a real change that was undone.
const MIN_RETURNS: u32 = 2;
/// The number of consecutive responses with the same version after which the responses agree.
const MIN_AGREEING_RESPONSES: u64 = 10;

/// The recent versions of a session. Two responses have the same version if their status is the same and
/// [`diff::diff_sessions`] finds no difference.
#[derive(Clone, Debug, Default)]
pub(super) struct Contradictions {
    /// The versions before the current one, the newest first.
    earlier: VecDeque<Session>,
    /// The number of returns to an earlier version since the newest version that was not seen before.
    returns: u32,
    /// The number of consecutive responses with the current version.
    agreeing_responses: u64,
    /// While the responses are contradictory: the version that the events describe, and the number of changes without
    /// an event.
    ongoing: Option<(Session, u64)>,
}

/// The consequence of a response for the events.
#[derive(Debug, PartialEq)]
pub(super) enum Consistency {
    /// The changes of this response are events.
    Consistent,
    /// The responses became contradictory with this one. Its changes are only counted.
    NewlyContradictory,
    /// The responses are still contradictory: the changes of this response are only counted.
    StillContradictory,
    /// The responses agree again.
    AgreesAgain {
        /// The version that the events describe. The current version may differ from it.
        described: Box<Session>,
        /// The number of changes without an event.
        changes: u64,
    },
}

impl Contradictions {
    /// Returns true while the responses are contradictory.
    pub(super) fn is_ongoing(&self) -> bool {
        self.ongoing.is_some()
    }

    /// Returns true if there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.earlier.is_empty() && self.ongoing.is_none()
    }

    /// Compares a response with the earlier versions. `old` is the version in the previous response. `count` is the
    /// number of responses: 1, or more for a series of identical ones.
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
        match &mut self.ongoing {
            Some((_, changes)) if is_return => {
                *changes = changes.saturating_add(1);
                Consistency::StillContradictory
            }
            Some((described, _)) => {
                *described = new.clone();
                Consistency::Consistent // a version that was not seen before gets its events
            }
            None if self.returns >= MIN_RETURNS => {
                self.ongoing = Some((old.clone(), 1));
                Consistency::NewlyContradictory
            }
            None => Consistency::Consistent,
        }
    }

    /// Counts `count` more responses with the current version. Once there are enough, forgets the earlier versions.
    fn observe_agreement(&mut self, count: u64) -> Consistency {
        self.agreeing_responses = self.agreeing_responses.saturating_add(count);
        if self.agreeing_responses < MIN_AGREEING_RESPONSES {
            return if self.is_ongoing() { Consistency::StillContradictory } else { Consistency::Consistent };
        }
        match std::mem::take(self).ongoing {
            Some((described, changes)) => {
                Consistency::AgreesAgain { described: Box::new(described), changes }
            }
            None => Consistency::Consistent,
        }
    }
}

fn is_same_version(one: &Session, other: &Session) -> bool {
    // `false`: a version may be from a list, which omits fields, so a missing context or metadata is not a difference.
    one.status == other.status && diff::diff_sessions(one, other, false).is_empty()
}
