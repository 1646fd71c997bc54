//! What waits to be written. Of what is replaced before it was written, only the last remains.

use std::sync::mpsc::Sender;

use indexmap::IndexMap;

use super::handle::JournalQueueState;
use super::{JournalEntry, RunId, Segment, SessionSummary};
use keepwatch_core::session::SessionId;

/// What goes to the writer's thread.
#[derive(Debug)]
pub(super) enum JournalMessage<B, H> {
    /// A segment begins.
    BeginSegment(Segment<H>),
    /// An entry of it.
    Entry(JournalEntry<B>),
    /// What is known of a session.
    Summary(Box<SessionSummary>),
    /// Write now, and say whether it went well.
    Flush(Sender<bool>),
}

/// A segment's beginning, or one of its entries.
#[derive(Debug)]
pub(super) enum BatchItem<B, H> {
    BeginSegment(Segment<H>),
    Entry(JournalEntry<B>),
}

/// What the next transaction writes.
#[derive(Debug)]
pub(super) struct Batch<B, H> {
    pub(super) items: Vec<BatchItem<B, H>>,
    pub(super) summaries: IndexMap<(SessionId, RunId), Box<SessionSummary>>,
    flush_waiters: Vec<Sender<bool>>,
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

    /// Whether somebody waits for it to be written.
    pub(super) fn has_flush_waiters(&self) -> bool {
        !self.flush_waiters.is_empty()
    }

    pub(super) fn add(&mut self, message: JournalMessage<B, H>, queue_state: &JournalQueueState) {
        match message {
            JournalMessage::BeginSegment(segment) => {
                self.estimated_size = self.estimated_size.saturating_add(segment.estimated_size);
                self.items.push(BatchItem::BeginSegment(segment));
            }
            JournalMessage::Entry(mut entry) => {
                self.estimated_size = self.estimated_size.saturating_add(entry.estimated_size);
                match self.items.last_mut() {
                    Some(BatchItem::Entry(before)) if before.seq == entry.seq => {
                        entry.mentions.append(&mut before.mentions);
                        entry.projects.append(&mut before.projects);
                        let replaced = std::mem::replace(before, entry).estimated_size;
                        self.estimated_size = self.estimated_size.saturating_sub(replaced);
                        queue_state.release(1, replaced);
                    }
                    _ => self.items.push(BatchItem::Entry(entry)),
                }
            }
            JournalMessage::Summary(summary) => {
                self.estimated_size = self.estimated_size.saturating_add(summary.estimated_size());
                let key = (summary.session.clone(), summary.run.clone());
                if let Some(before) = self.summaries.insert(key, summary) {
                    self.estimated_size = self.estimated_size.saturating_sub(before.estimated_size());
                    queue_state.release(1, before.estimated_size());
                }
            }
            JournalMessage::Flush(tell) => self.flush_waiters.push(tell),
        }
    }

    /// All of it is written. Its room is given back: the first batch has all sessions, those after it a few.
    pub(super) fn clear(&mut self, queue_state: &JournalQueueState) {
        queue_state.release(self.items.len().saturating_add(self.summaries.len()), self.estimated_size);
        (self.items, self.summaries, self.estimated_size) = (Vec::new(), IndexMap::new(), 0);
    }

    /// Tells who waits how it went.
    pub(super) fn notify_flush_waiters(&mut self, is_written: bool) {
        for tell in self.flush_waiters.drain(..) {
            let _ = tell.send(is_written); // who waited may have had enough
        }
    }
}
