//! What waits to be written. Of what is replaced before it was written, only the last remains.

use std::sync::mpsc::Sender;

use indexmap::IndexMap;

use super::sender::Shared;
use super::{Entry, RunId, Segment, Summary};
use keepwatch_core::session::SessionId;

/// What goes to the writer's thread.
#[derive(Debug)]
pub(super) enum Message<B, H> {
    /// A segment begins.
    Begin(Segment<H>),
    /// An entry of it.
    Entry(Entry<B>),
    /// What is known of a session.
    Summary(Box<Summary>),
    /// Write now, and say whether it went well.
    Flush(Sender<bool>),
}

/// A segment's beginning, or one of its entries.
#[derive(Debug)]
pub(super) enum Piece<B, H> {
    Begin(Segment<H>),
    Entry(Entry<B>),
}

/// What the next transaction writes.
#[derive(Debug)]
pub(super) struct Batch<B, H> {
    pub(super) pieces: Vec<Piece<B, H>>,
    pub(super) summaries: IndexMap<(SessionId, RunId), Box<Summary>>,
    flushes: Vec<Sender<bool>>,
    weight: usize,
}

impl<B, H> Batch<B, H> {
    pub(super) fn new() -> Self {
        Self { pieces: Vec::new(), summaries: IndexMap::new(), flushes: Vec::new(), weight: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.summaries.is_empty()
    }

    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// Whether somebody waits for it to be written.
    pub(super) fn is_awaited(&self) -> bool {
        !self.flushes.is_empty()
    }

    pub(super) fn take(&mut self, message: Message<B, H>, shared: &Shared) {
        match message {
            Message::Begin(segment) => {
                self.weight = self.weight.saturating_add(segment.weight);
                self.pieces.push(Piece::Begin(segment));
            }
            Message::Entry(mut entry) => {
                self.weight = self.weight.saturating_add(entry.weight);
                match self.pieces.last_mut() {
                    Some(Piece::Entry(before)) if before.seq == entry.seq => {
                        entry.mentions.append(&mut before.mentions);
                        entry.projects.append(&mut before.projects);
                        let replaced = std::mem::replace(before, entry).weight;
                        self.weight = self.weight.saturating_sub(replaced);
                        shared.release(1, replaced);
                    }
                    _ => self.pieces.push(Piece::Entry(entry)),
                }
            }
            Message::Summary(summary) => {
                self.weight = self.weight.saturating_add(summary.weight());
                let key = (summary.session.clone(), summary.run.clone());
                if let Some(before) = self.summaries.insert(key, summary) {
                    self.weight = self.weight.saturating_sub(before.weight());
                    shared.release(1, before.weight());
                }
            }
            Message::Flush(tell) => self.flushes.push(tell),
        }
    }

    /// All of it is written. Its room is given back: the first batch has all sessions, those after it a few.
    pub(super) fn clear(&mut self, shared: &Shared) {
        shared.release(self.pieces.len().saturating_add(self.summaries.len()), self.weight);
        (self.pieces, self.summaries, self.weight) = (Vec::new(), IndexMap::new(), 0);
    }

    /// Tells who waits how it went.
    pub(super) fn answer(&mut self, written: bool) {
        for tell in self.flushes.drain(..) {
            let _ = tell.send(written); // who waited may have had enough
        }
    }
}
