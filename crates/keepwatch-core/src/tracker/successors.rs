//! Sessions that follow others: a client whose session is dead often makes a new one, silently, and stamps it alike. So
//! one that was created within [`SOON`] after an end, with the same metadata, is told of beside that end.
//!
//! Which of the two is learned first depends on the polls: a list shows the new one before the old one, which it lacks,
//! was asked for singly. Both are kept, bounded, and each is matched once.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::{Timestamp, saturating_add};
use crate::session::{Metadata, SessionId};

/// How many of the newest ends, and of the newest sessions, are kept.
const MAX_POINTS: usize = 64;
/// A session that was created later than this after an end has nothing to do with it.
const SUCCESSOR_WINDOW: Duration = Duration::from_secs(5 * 60);

/// The newest ends and the newest sessions, of those with metadata.
#[derive(Debug, Default)]
pub(super) struct SuccessorMatcher {
    ends: VecDeque<LifecyclePoint>,
    creations: VecDeque<LifecyclePoint>,
}

/// A beginning or an end.
#[derive(Debug)]
struct LifecyclePoint {
    id: SessionId,
    metadata: Metadata,
    at: Timestamp,
}

impl SuccessorMatcher {
    /// A session was seen for the first time, alive, and was created at `at`. Returns the one that it follows.
    pub(super) fn session_created(
        &mut self,
        id: &SessionId,
        metadata: &Metadata,
        at: Timestamp,
    ) -> Option<SessionId> {
        let place = self.ends.iter().rposition(|end| end.is_followed_by(id, metadata, at));
        match place.and_then(|place| self.ends.remove(place)) {
            Some(end) => Some(end.id),
            None => {
                push_bounded(&mut self.creations, id, metadata, at);
                None
            }
        }
    }

    /// A session was learned to have ended at `at`. Returns the one that follows it, and when that was created.
    pub(super) fn session_ended(
        &mut self,
        id: &SessionId,
        metadata: &Metadata,
        at: Timestamp,
    ) -> Option<(SessionId, Timestamp)> {
        let end = LifecyclePoint { id: id.clone(), metadata: metadata.clone(), at };
        let place = self.creations.iter().position(|one| end.is_followed_by(&one.id, &one.metadata, one.at));
        match place.and_then(|place| self.creations.remove(place)) {
            Some(birth) => Some((birth.id, birth.at)),
            None => {
                self.forget_end(id);
                push_bounded(&mut self.ends, id, metadata, at);
                None
            }
        }
    }

    /// Forgets the end of a session that lives after all.
    pub(super) fn forget_end(&mut self, id: &SessionId) {
        self.ends.retain(|end| end.id != *id);
    }
}

impl LifecyclePoint {
    fn is_followed_by(&self, id: &SessionId, metadata: &Metadata, created: Timestamp) -> bool {
        (self.at..=saturating_add(self.at, SUCCESSOR_WINDOW)).contains(&created)
            && self.metadata == *metadata
            && self.id != *id
    }
}

fn push_bounded(turns: &mut VecDeque<LifecyclePoint>, id: &SessionId, metadata: &Metadata, at: Timestamp) {
    if turns.len() >= MAX_POINTS {
        turns.pop_front();
    }
    turns.push_back(LifecyclePoint { id: id.clone(), metadata: metadata.clone(), at });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, id};

    fn owner(name: &str) -> Metadata {
        Metadata::new(&format!(r#"{{"owner":"{name}"}}"#))
    }

    #[test]
    fn whichever_is_learned_first_a_new_session_follows_the_one_that_ended_before_it() {
        for (born, follows) in [(9, false), (10, true), (310, true), (311, false)] {
            let mut end_first = SuccessorMatcher::default();
            assert_eq!(end_first.session_ended(&id("old"), &owner("a"), at(10)), None);
            assert_eq!(
                end_first.session_created(&id("new"), &owner("a"), at(born)),
                follows.then(|| id("old"))
            );
            let mut birth_first = SuccessorMatcher::default();
            assert_eq!(birth_first.session_created(&id("new"), &owner("a"), at(born)), None);
            let found = birth_first.session_ended(&id("old"), &owner("a"), at(10));
            assert_eq!(found, follows.then(|| (id("new"), at(born))), "created {born} s after noon");
        }
    }

    #[test]
    fn only_one_of_the_same_metadata_follows_and_each_is_matched_once() {
        let mut both = SuccessorMatcher::default();
        both.session_ended(&id("a"), &owner("a"), at(10));
        both.session_ended(&id("b"), &owner("b"), at(10));
        assert_eq!(both.session_created(&id("c"), &owner("c"), at(11)), None);
        assert_eq!(both.session_created(&id("b2"), &owner("b"), at(11)), Some(id("b")));
        assert_eq!(both.session_created(&id("b3"), &owner("b"), at(12)), None);
        both.forget_end(&id("a"));
        assert_eq!(both.session_created(&id("a2"), &owner("a"), at(12)), None, "it lives after all");
        assert_eq!(
            both.session_ended(&id("b2"), &owner("b"), at(11)),
            Some((id("b3"), at(12))),
            "not itself"
        );
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut both = SuccessorMatcher::default();
        for number in 0..1_000 {
            both.session_created(&id(&format!("n{number}")), &owner("n"), at(0));
            both.session_ended(&id(&format!("e{number}")), &owner("e"), at(0));
            both.session_ended(&id("again"), &owner("again"), at(0));
        }
        assert_eq!((both.creations.len(), both.ends.len()), (MAX_POINTS, MAX_POINTS));
    }
}
