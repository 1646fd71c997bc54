//! The messages to the writer thread, and the batch that the next transaction writes.
//!
//! A summary replaces an earlier one of the same session and run in the batch. An entry replaces the entry directly
//! before it if both have the same sequence number. The database replaces all other duplicates.

use std::sync::mpsc::Sender;

use indexmap::IndexMap;

use super::handle::JournalQueueState;
use super::{JournalEntry, RunId, Segment, SessionSummary};
use keepwatch_core::session::SessionId;

/// A message to the writer thread.
#[derive(Debug)]
pub(super) enum JournalMessage<B, H> {
    /// Starts a segment.
    BeginSegment(Segment<H>),
    /// Appends to the segment, or replaces its entry with the same sequence number.
    Entry(JournalEntry<B>),
    /// Inserts or replaces the summary of a session.
    Summary(Box<SessionSummary>),
    /// Requests a write at once. The writer thread sends true through this channel after the write, or false after a
    /// failure.
    Flush(Sender<bool>),
}

/// The start of a segment, or one of its entries.
#[derive(Debug)]
pub(super) enum BatchItem<B, H> {
    BeginSegment(Segment<H>),
    Entry(JournalEntry<B>),
}

/// The data of the next transaction.
#[derive(Debug)]
pub(super) struct Batch<B, H> {
    /// Segments and entries, in the order in which they were sent.
    pub(super) items: Vec<BatchItem<B, H>>,
    /// The newest summary of each session and run.
    pub(super) summaries: IndexMap<(SessionId, RunId), Box<SessionSummary>>,
    flush_waiters: Vec<Sender<bool>>,
    /// Sum of the estimated sizes of items and summaries, in bytes.
    estimated_size: usize,
}

impl<B, H> Batch<B, H> {
    pub(super) fn new() -> Self {
        Self { items: Vec::new(), summaries: IndexMap::new(), flush_waiters: Vec::new(), estimated_size: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.summaries.is_empty()
    }

    pub(super) fn estimated_size(&self) -> usize {
        self.estimated_size
    }

    /// Returns true if somebody waits for this batch to be written.
    pub(super) fn has_flush_waiters(&self) -> bool {
        !self.flush_waiters.is_empty()
    }

    /// Adds a message. Releases queue space if the message replaces another.
    pub(super) fn add(&mut self, message: JournalMessage<B, H>, queue_state: &JournalQueueState) {
        match message {
            JournalMessage::BeginSegment(segment) => {
                self.estimated_size = self.estimated_size.saturating_add(segment.estimated_size);
                self.items.push(BatchItem::BeginSegment(segment));
            }
            JournalMessage::Entry(mut entry) => {
                self.estimated_size = self.estimated_size.saturating_add(entry.estimated_size);
                match self.items.last_mut() {
                    Some(BatchItem::Entry(previous)) if previous.seq == entry.seq => {
                        entry.sessions.append(&mut previous.sessions);
                        entry.projects.append(&mut previous.projects);
                        let freed = std::mem::replace(previous, entry).estimated_size;
                        self.estimated_size = self.estimated_size.saturating_sub(freed);
                        queue_state.release(1, freed);
                    }
                    _ => self.items.push(BatchItem::Entry(entry)),
                }
            }
            JournalMessage::Summary(summary) => {
                self.estimated_size = self.estimated_size.saturating_add(summary.estimated_size());
                let key = (summary.session.clone(), summary.run.clone());
                if let Some(previous) = self.summaries.insert(key, summary) {
                    self.estimated_size = self.estimated_size.saturating_sub(previous.estimated_size());
                    queue_state.release(1, previous.estimated_size());
                }
            }
            JournalMessage::Flush(waiter) => self.flush_waiters.push(waiter),
        }
    }

    /// Empties the batch after it is written. Also frees its memory: the first batch has all sessions, and later
    /// batches have few.
    pub(super) fn clear(&mut self, queue_state: &JournalQueueState) {
        queue_state.release(self.items.len().saturating_add(self.summaries.len()), self.estimated_size);
        (self.items, self.summaries, self.estimated_size) = (Vec::new(), IndexMap::new(), 0);
    }

    /// Sends `is_written` to everybody who waits for a flush.
    pub(super) fn notify_flush_waiters(&mut self, is_written: bool) {
        for waiter in self.flush_waiters.drain(..) {
            let _ = waiter.send(is_written); // the waiter may have timed out
        }
    }
}
