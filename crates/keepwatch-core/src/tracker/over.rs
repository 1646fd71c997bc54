//! Which sessions are over, or left their list, the one that did so first at the front. Putting one behind all others
//! costs the same however many there are: a bulk release ends hundreds at once.

use std::collections::{BTreeMap, HashMap};

use crate::session::SessionId;

/// Sessions in the order in which they were last put here.
#[derive(Debug, Default)]
pub(super) struct Over {
    order: BTreeMap<u64, SessionId>,
    places: HashMap<SessionId, u64>,
    next: u64,
}

impl Over {
    /// Puts a session behind all others; it may have been here before.
    pub(super) fn put(&mut self, id: &SessionId) {
        let place = self.next;
        self.next = self.next.saturating_add(1);
        if let Some(before) = self.places.insert(id.clone(), place) {
            self.order.remove(&before);
        }
        self.order.insert(place, id.clone());
    }

    /// Takes the first.
    pub(super) fn take(&mut self) -> Option<SessionId> {
        let (_, id) = self.order.pop_first()?;
        self.places.remove(&id);
        Some(id)
    }

    /// Takes this one out, if it is here.
    pub(super) fn remove(&mut self, id: &SessionId) {
        if let Some(place) = self.places.remove(id) {
            self.order.remove(&place);
        }
    }

    /// Whether this one is here.
    pub(super) fn has(&self, id: &SessionId) -> bool {
        self.places.contains_key(id)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_over_again_goes_behind_the_others() {
        let mut over = Over::default();
        let ids = ["a", "b", "c", "a", "c"].map(|text| SessionId::parse(text).unwrap());
        ids.iter().for_each(|id| over.put(id));
        assert_eq!((over.len(), over.places.len()), (3, 3));
        over.put(&ids[0].clone());
        over.remove(&ids[0]);
        over.remove(&ids[0]);
        over.put(&ids[0]);
        over.put(&ids[2]);
        assert_eq!((over.len(), over.order.len()), (3, 3));
        let order: Vec<String> = std::iter::from_fn(|| over.take()).map(|id| id.line()).collect();
        assert_eq!(order, ["b", "a", "c"]);
        assert_eq!((over.len(), over.places.len()), (0, 0));
    }
}
