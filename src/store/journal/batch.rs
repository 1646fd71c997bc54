//! The messages to the writer thread, and the batch that the next transaction writes.
//!
//! An entry replaces the entry directly before it if both have the same sequence number. The database replaces all other
//! duplicates. Summaries and alerts are not in the batch: they wait in queues of their own until they are written.

use std::sync::mpsc::Sender;

use super::handle::JournalQueueState;
use super::{JournalEntry, Segment};

/// A message to the writer thread.
#[derive(Debug)]
pub(super) enum JournalMessage<B, H> {
    /// Starts a segment.
    BeginSegment {
        segment: Segment<H>,
        /// Number of clears that the sender knows of.
        clears: u64,
    },
    /// Appends an entry to the segment, or replaces the segment's entry with the same sequence number.
    Entry(JournalEntry<B>),
    /// Wakes the thread, because there is a summary or an alert in its queue.
    RowWaits,
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
    flush_waiters: Vec<Sender<bool>>,
    /// Sum of the estimated sizes of the items, in bytes.
    estimated_size: usize,
    /// Number of clears that the writer knows of.
    clears: u64,
    /// True after a clear, until a segment comes from a sender that knows of the clear. Entries are dropped meanwhile.
    is_skipping: bool,
}

impl<B, H> Batch<B, H> {
    pub(super) fn new() -> Self {
        Self {
            items: Vec::new(),
            flush_waiters: Vec::new(),
            estimated_size: 0,
            clears: 0,
            is_skipping: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn estimated_size(&self) -> usize {
        self.estimated_size
    }

    /// Returns true if somebody waits for this batch to be written.
    pub(super) fn has_flush_waiters(&self) -> bool {
        !self.flush_waiters.is_empty()
    }

    /// Adds a message. Releases queue space if the message replaces another, or is dropped because of a clear.
    pub(super) fn add(&mut self, message: JournalMessage<B, H>, queue_state: &JournalQueueState) {
        match message {
            JournalMessage::BeginSegment { segment, clears } => {
                self.is_skipping = clears < self.clears;
                if self.is_skipping {
                    queue_state.release(1, segment.estimated_size);
                    return;
                }
                self.estimated_size = self.estimated_size.saturating_add(segment.estimated_size);
                self.items.push(BatchItem::BeginSegment(segment));
            }
            JournalMessage::Entry(entry) if self.is_skipping => queue_state.release(1, entry.estimated_size),
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
            JournalMessage::RowWaits => {}
            JournalMessage::Flush(waiter) => self.flush_waiters.push(waiter),
        }
    }

    /// Drops all items. Also drops later items, until a segment comes from a sender that knows of `clears` clears.
    pub(super) fn drop_for_clear(&mut self, clears: u64, queue_state: &JournalQueueState) {
        self.clear(queue_state);
        (self.clears, self.is_skipping) = (clears, true);
    }

    /// Empties the batch after it was written or dropped. Also frees its memory: the first batch has all sessions, and
    /// later batches have few.
    pub(super) fn clear(&mut self, queue_state: &JournalQueueState) {
        queue_state.release(self.items.len(), self.estimated_size);
        (self.items, self.estimated_size) = (Vec::new(), 0);
    }

    /// Sends `is_written` to everybody who waits for a flush.
    pub(super) fn notify_flush_waiters(&mut self, is_written: bool) {
        for waiter in self.flush_waiters.drain(..) {
            let _ = waiter.send(is_written); // the waiter may have timed out
        }
    }
}
