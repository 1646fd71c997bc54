//! The alerts that wait for the writer thread. An alert stays here until it is in the file, so a slow disk loses none.
//! Bounded by number.

use std::sync::Arc;

use indexmap::IndexMap;

use super::StoredAlert;
use keepwatch_core::session::SessionId;
use keepwatch_core::tracker::AlertKind;

/// Maximum number of alerts. A sender adds one at most for each kind and session.
const MAX_ALERTS: usize = 20_000;

/// An alert that waits for the writer thread.
#[derive(Debug)]
pub(super) struct QueuedAlert {
    pub(super) alert: StoredAlert,
    /// Number of clears that the sender knew of. See [`super::deletion`].
    pub(super) clears: u64,
}

/// The parts of an alert that differ in one queue. The host is that of the queue's profile.
type AlertKey = (SessionId, AlertKind);

/// The alerts that wait for the writer thread.
#[derive(Debug, Default)]
pub(super) struct AlertQueue {
    waiting: IndexMap<AlertKey, Arc<QueuedAlert>>,
    /// Number of clears that the writer knows of.
    clears: u64,
}

impl AlertQueue {
    /// Adds an alert, or merges it with the waiting one. Returns false if there is no room for it. If the sender does not
    /// know of the newest clear, ignores the alert and returns true.
    pub(super) fn insert(&mut self, mut queued: QueuedAlert) -> bool {
        // promise: cleared-alert-queue, mutant: queued.clears < self.clears -> false
        if queued.clears < self.clears {
            return true;
        }
        let key = (queued.alert.session.clone(), queued.alert.kind);
        match self.waiting.get(&key) {
            Some(waiting) => queued.alert.merge(&waiting.alert),
            None if self.waiting.len() >= MAX_ALERTS => return false,
            None => {}
        }
        self.waiting.insert(key, Arc::new(queued));
        true
    }

    /// Returns the alerts for the next transaction. They stay in the queue until they are written.
    pub(super) fn next_batch(&self) -> Vec<Arc<QueuedAlert>> {
        self.waiting.values().cloned().collect()
    }

    /// Removes the alerts that were written, unless newer ones have replaced them.
    pub(super) fn remove_written(&mut self, written: &[Arc<QueuedAlert>]) {
        for alert in written {
            let key = (alert.alert.session.clone(), alert.alert.kind);
            if self.waiting.get(&key).is_some_and(|waiting| Arc::ptr_eq(waiting, alert)) {
                self.waiting.swap_remove(&key);
            }
        }
    }

    /// Removes all alerts, because the file was cleared. From now on ignores those of a sender that knows of fewer than
    /// `clears` clears.
    pub(super) fn drop_for_clear(&mut self, clears: u64) {
        *self = Self { clears, ..Self::default() };
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
