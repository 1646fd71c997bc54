//! The contexts of the running sessions. A context holds cookies and storage. If two sessions use one context at the
//! same time and save it at their ends, the second save replaces the first.
//!
//! [`RunningContexts`] is an index by context, so a query does not take longer with more sessions. The index changes
//! only if a session starts or stops running with a context. It never has more entries than the tracker has records.

use std::collections::{BTreeSet, HashMap};

use crate::session::SessionId;
use crate::text::Untrusted;

/// The maximum number of sessions that a sentence names. Of further sessions, the sentence gives only the number.
const MAX_NAMED_SESSIONS: usize = 3;
/// The number of characters of an id in a sentence.
const SHORT_ID_LENGTH: usize = 8;

/// The running sessions of each context.
#[derive(Debug, Default)]
pub(super) struct RunningContexts(HashMap<Untrusted, BTreeSet<SessionId>>);

/// The other running sessions that use the context of a session. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedContext {
    /// Up to three of the other sessions: the first in the order of their ids.
    pub named: Vec<SessionId>,
    /// The number of the other sessions that are not in `named`.
    pub more: usize,
}

impl RunningContexts {
    /// Moves a session from the context `old` to the context `new`. `None` means that it does not run, or runs without
    /// a context.
    pub(super) fn update(&mut self, id: &SessionId, old: Option<&Untrusted>, new: Option<&Untrusted>) {
        if old == new {
            return;
        }
        if let Some(old) = old
            && let Some(sessions) = self.0.get_mut(old)
        {
            sessions.remove(id);
            if sessions.is_empty() {
                self.0.remove(old);
            }
        }
        if let Some(new) = new {
            self.0.entry(new.clone()).or_default().insert(id.clone());
        }
    }

    /// Returns the other running sessions of the context, or `None` if there are none.
    pub(super) fn others(&self, id: &SessionId, context: &Untrusted) -> Option<SharedContext> {
        let sessions = self.0.get(context).filter(|sessions| sessions.contains(id))?;
        let other_count = sessions.len().saturating_sub(1);
        let named: Vec<SessionId> =
            sessions.iter().filter(|other| *other != id).take(MAX_NAMED_SESSIONS).cloned().collect();
        (other_count > 0).then(|| SharedContext { more: other_count.saturating_sub(named.len()), named })
    }
}

impl SharedContext {
    /// Returns the conflict as one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut names: Vec<String> = self.named.iter().map(|id| id.prefix(SHORT_ID_LENGTH)).collect();
        names.extend((self.more > 0).then(|| format!("{} more", self.more)));
        let runs = if names.len() == 1 { "runs" } else { "run" };
        let last = names.pop().unwrap_or_default();
        let names = if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) };
        format!("{names} {runs} with the same context, too: whoever saves last wins")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::id;

    #[test]
    fn context_is_shared_while_both_run() {
        let (one, other) = (Untrusted::new("ctx-1"), Untrusted::new("ctx-2"));
        let mut contexts = RunningContexts::default();
        contexts.update(&id("a"), None, Some(&one));
        assert_eq!(contexts.others(&id("a"), &one), None);
        contexts.update(&id("b"), None, Some(&one));
        assert_eq!(contexts.others(&id("a"), &one), Some(SharedContext { named: vec![id("b")], more: 0 }));
        assert_eq!(contexts.others(&id("b"), &one), Some(SharedContext { named: vec![id("a")], more: 0 }));
        assert_eq!(contexts.others(&id("c"), &one), None, "`c` does not run");
        contexts.update(&id("b"), Some(&one), Some(&other));
        assert_eq!(contexts.others(&id("a"), &one), None);
        contexts.update(&id("a"), Some(&one), None);
        contexts.update(&id("b"), Some(&other), None);
        assert!(contexts.0.is_empty());
    }

    #[test]
    fn sentence_names_three_sessions() {
        let shared =
            |names: &[&str], more| SharedContext { named: names.iter().map(|it| id(it)).collect(), more };
        assert_eq!(
            shared(&["a"], 0).sentence(),
            "a runs with the same context, too: whoever saves last wins"
        );
        assert_eq!(
            shared(&["a", "b", "c"], 2).sentence(),
            "a, b, c and 2 more run with the same context, too: whoever saves last wins"
        );
    }
}
