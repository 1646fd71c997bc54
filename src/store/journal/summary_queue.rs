//! The summaries that wait for the writer thread: the newest of each session and run. A summary stays here until it is
//! in the file, so a slow disk loses none. Bounded by number and by size.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;

use super::{RunId, SessionSummary};
use keepwatch_core::session::SessionId;

/// Maximum number of summaries. No project has that many sessions at once.
const MAX_SUMMARIES: usize = 100_000;
/// Maximum size of all summaries, in bytes.
const MAX_SUMMARY_BYTES: usize = 128 * 1024 * 1024;

/// Maximum number of summaries in one transaction, which other processes have to wait for.
const MAX_BATCH: usize = 5000;

/// A summary that waits for the writer thread.
#[derive(Debug)]
pub(super) struct QueuedSummary {
    pub(super) summary: SessionSummary,
    /// Number of clears that the sender knew of. See [`super::deletion`].
    pub(super) clears: u64,
}

/// The summaries that wait for the writer thread.
#[derive(Debug)]
pub(super) struct SummaryQueue {
    max_summaries: usize,
    waiting: IndexMap<(SessionId, RunId), Arc<QueuedSummary>>,
    /// Sum of the estimated sizes, in bytes.
    bytes: usize,
    /// Number of clears that the writer knows of.
    clears: u64,
    /// Sessions whose newest summary did not fit. At most `max_summaries`.
    dropped: HashSet<SessionId>,
}

impl Default for SummaryQueue {
    fn default() -> Self {
        Self::with_limit(MAX_SUMMARIES)
    }
}

impl SummaryQueue {
    fn with_limit(max_summaries: usize) -> Self {
        Self { max_summaries, waiting: IndexMap::new(), bytes: 0, clears: 0, dropped: HashSet::new() }
    }

    /// Adds a summary, or replaces the one of the same session and run. Returns false if there is no room for it. If the
    /// sender does not know of the newest clear, ignores the summary and returns true.
    pub(super) fn insert(&mut self, queued: QueuedSummary) -> bool {
        if queued.clears < self.clears {
            return true;
        }
        let size = queued.summary.estimated_size();
        let key = (queued.summary.session.clone(), queued.summary.run.clone());
        let old_size = self.waiting.get(&key).map(|old| old.summary.estimated_size());
        let bytes = self.bytes.saturating_sub(old_size.unwrap_or(0)).saturating_add(size);
        if bytes > MAX_SUMMARY_BYTES || old_size.is_none() && self.waiting.len() >= self.max_summaries {
            if self.dropped.len() < self.max_summaries {
                self.dropped.insert(key.0);
            }
            return false;
        }
        self.dropped.remove(&key.0);
        self.bytes = bytes;
        self.waiting.insert(key, Arc::new(queued));
        true
    }

    /// Returns the summaries for the next transaction. They stay in the queue until they are written.
    pub(super) fn next_batch(&self) -> Vec<Arc<QueuedSummary>> {
        self.waiting.values().take(MAX_BATCH).cloned().collect()
    }

    /// Removes the summaries that were written, unless newer ones have replaced them.
    pub(super) fn remove_written(&mut self, written: &[Arc<QueuedSummary>]) {
        for summary in written {
            let key = (summary.summary.session.clone(), summary.summary.run.clone());
            if self.waiting.get(&key).is_some_and(|waiting| Arc::ptr_eq(waiting, summary)) {
                self.waiting.swap_remove(&key);
                self.bytes = self.bytes.saturating_sub(summary.summary.estimated_size());
            }
        }
        if self.waiting.is_empty() {
            self.waiting = IndexMap::new(); // frees the memory: the first batch has all sessions, later ones few
        }
    }

    /// Removes all summaries, because the file was cleared. From now on ignores those of a sender that knows of fewer
    /// than `clears` clears.
    pub(super) fn drop_for_clear(&mut self, clears: u64) {
        *self = Self { clears, ..Self::with_limit(self.max_summaries) };
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns the number of sessions whose newest summary did not fit.
    pub(super) fn dropped_sessions(&self) -> usize {
        self.dropped.len()
    }

    /// Returns the number of sessions whose newest summary is not in the file.
    pub(super) fn unwritten_sessions(&self) -> usize {
        let waiting = self.waiting.keys().map(|(session, _)| session);
        waiting.chain(&self.dropped).collect::<HashSet<_>>().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::tests::{run_id, summary};
    use keepwatch_core::testing::time;

    fn queued(session: &str, at: &str) -> QueuedSummary {
        QueuedSummary { summary: summary(session, run_id(1), time(at)), clears: 0 }
    }

    #[test]
    fn sessions_without_room_are_counted() {
        let mut queue = SummaryQueue::with_limit(2);
        assert!(queue.insert(queued("a", "12:00:00")) && queue.insert(queued("b", "12:00:00")));
        assert!(!queue.insert(queued("c", "12:00:00")) && !queue.insert(queued("c", "12:00:01")));
        assert!(queue.insert(queued("a", "12:00:01")), "a newer summary takes no more room");
        // The session `c` has no room. The sessions `a` and `b` wait.
        assert_eq!((queue.dropped_sessions(), queue.unwritten_sessions()), (1, 3));
        queue.remove_written(&queue.next_batch());
        assert_eq!((queue.is_empty(), queue.bytes, queue.unwritten_sessions()), (true, 0, 1));
        assert!(queue.insert(queued("c", "12:00:02")));
        assert_eq!((queue.dropped_sessions(), queue.unwritten_sessions()), (0, 1));
    }

    #[test]
    fn newer_summary_is_not_removed_as_written() {
        let mut queue = SummaryQueue::default();
        queue.insert(queued("a", "12:00:00"));
        let written = queue.next_batch();
        queue.insert(queued("a", "12:00:01"));
        queue.remove_written(&written);
        assert_eq!(queue.next_batch()[0].summary.last_seen, time("12:00:01"));
    }
}
