//! Successors: when a session ends, its client often creates a new session with the same metadata.
//!
//! A session is the successor of another if it has the same metadata and was created after the other's end, but at most
//! [`SUCCESSOR_WINDOW`] later.
//!
//! The tracker may learn of the creation before it learns of the end: a list can show the new session before keepwatch
//! polls the old session, which left the list. The matcher therefore keeps both ends and creations. The numbers of both
//! are bounded, and each end or creation is matched at most once.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::{Timestamp, saturating_add};
use crate::session::{Metadata, SessionId};

/// The maximum number of ends that the matcher keeps, and separately of creations. It removes the oldest first.
const MAX_POINTS: usize = 64;
/// The maximum time between an end and the creation of the successor.
const SUCCESSOR_WINDOW: Duration = Duration::from_secs(5 * 60);

/// The newest unmatched ends and creations of sessions with metadata.
#[derive(Debug, Default)]
pub(super) struct SuccessorMatcher {
    ends: VecDeque<LifecyclePoint>,
    creations: VecDeque<LifecyclePoint>,
}

/// The creation or the end of a session.
#[derive(Debug)]
struct LifecyclePoint {
    id: SessionId,
    metadata: Metadata,
    at: Timestamp,
}

impl SuccessorMatcher {
    /// Records a new session that was created at `at`. Returns the session whose successor it is, if any.
    pub(super) fn session_created(
        &mut self,
        id: &SessionId,
        metadata: &Metadata,
        at: Timestamp,
    ) -> Option<SessionId> {
        // Of the ends that match, take the newest: it is usually the closest to the creation.
        let index = self.ends.iter().rposition(|end| end.is_followed_by(id, metadata, at));
        match index.and_then(|index| self.ends.remove(index)) {
            Some(end) => Some(end.id),
            None => {
                push_bounded(&mut self.creations, id, metadata, at);
                None
            }
        }
    }

    /// Records a session that ended at `at`. Returns its successor and the time of the successor's creation, if any.
    pub(super) fn session_ended(
        &mut self,
        id: &SessionId,
        metadata: &Metadata,
        at: Timestamp,
    ) -> Option<(SessionId, Timestamp)> {
        let end = LifecyclePoint { id: id.clone(), metadata: metadata.clone(), at };
        let is_successor = |new: &LifecyclePoint| end.is_followed_by(&new.id, &new.metadata, new.at);
        // Of the creations that match, take the oldest: it is usually the closest to the end.
        let index = self.creations.iter().position(is_successor);
        match index.and_then(|index| self.creations.remove(index)) {
            Some(creation) => Some((creation.id, creation.at)),
            None => {
                self.forget_end(id); // replace the end if the API retracted and repeated it
                push_bounded(&mut self.ends, id, metadata, at);
                None
            }
        }
    }

    /// Removes the end of a session that runs again.
    pub(super) fn forget_end(&mut self, id: &SessionId) {
        self.ends.retain(|end| end.id != *id);
    }
}

impl LifecyclePoint {
    /// Returns true if the session with this id, metadata and creation time is the successor of the session that `self`
    /// is the end of.
    fn is_followed_by(&self, id: &SessionId, metadata: &Metadata, created: Timestamp) -> bool {
        (self.at..=saturating_add(self.at, SUCCESSOR_WINDOW)).contains(&created)
            && self.metadata == *metadata
            && self.id != *id
    }
}

/// Appends a point, and removes the oldest one if there are too many.
fn push_bounded(points: &mut VecDeque<LifecyclePoint>, id: &SessionId, metadata: &Metadata, at: Timestamp) {
    if points.len() >= MAX_POINTS {
        points.pop_front();
    }
    points.push_back(LifecyclePoint { id: id.clone(), metadata: metadata.clone(), at });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, id};

    /// Returns metadata with this owner.
    fn owned_by(name: &str) -> Metadata {
        Metadata::new(&format!(r#"{{"owner":"{name}"}}"#))
    }

    #[test]
    fn successor_is_found_in_either_order() {
        for (created, is_successor) in [(9, false), (10, true), (310, true), (311, false)] {
            let mut end_first = SuccessorMatcher::default();
            assert_eq!(end_first.session_ended(&id("old"), &owned_by("a"), at(10)), None);
            assert_eq!(
                end_first.session_created(&id("new"), &owned_by("a"), at(created)),
                is_successor.then(|| id("old")),
                "end first, created {created} s after noon"
            );
            let mut creation_first = SuccessorMatcher::default();
            assert_eq!(creation_first.session_created(&id("new"), &owned_by("a"), at(created)), None);
            let found = creation_first.session_ended(&id("old"), &owned_by("a"), at(10));
            assert_eq!(
                found,
                is_successor.then(|| (id("new"), at(created))),
                "creation first, created {created} s after noon"
            );
        }
    }

    #[test]
    fn end_and_creation_are_matched_once() {
        let mut matcher = SuccessorMatcher::default();
        matcher.session_ended(&id("a"), &owned_by("a"), at(10));
        assert_eq!(matcher.session_created(&id("a2"), &owned_by("a"), at(11)), Some(id("a")));
        assert_eq!(
            matcher.session_created(&id("a3"), &owned_by("a"), at(12)),
            None,
            "the end of `a` was already matched"
        );
        assert_eq!(
            matcher.session_ended(&id("a2"), &owned_by("a"), at(11)),
            Some((id("a3"), at(12))),
            "the creation of `a3` was not matched yet"
        );
        assert_eq!(
            matcher.session_ended(&id("a4"), &owned_by("a"), at(11)),
            None,
            "the creation of `a3` was already matched"
        );
    }

    #[test]
    fn revived_session_has_no_successor() {
        let mut matcher = SuccessorMatcher::default();
        matcher.session_ended(&id("a"), &owned_by("a"), at(10));
        matcher.forget_end(&id("a"));
        assert_eq!(matcher.session_created(&id("a2"), &owned_by("a"), at(12)), None);
    }

    #[test]
    fn session_is_not_its_own_successor() {
        let mut matcher = SuccessorMatcher::default();
        assert_eq!(matcher.session_created(&id("c"), &owned_by("c"), at(11)), None);
        assert_eq!(matcher.session_ended(&id("c"), &owned_by("c"), at(11)), None);
    }

    #[test]
    fn matcher_is_bounded() {
        let mut matcher = SuccessorMatcher::default();
        for number in 0..1_000 {
            matcher.session_created(&id(&format!("n{number}")), &owned_by("n"), at(0));
            matcher.session_ended(&id(&format!("e{number}")), &owned_by("e"), at(0));
            matcher.session_ended(&id("again"), &owned_by("again"), at(0));
        }
        assert_eq!((matcher.creations.len(), matcher.ends.len()), (MAX_POINTS, MAX_POINTS));
    }
}
