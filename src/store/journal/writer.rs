//! The writer's thread.
//!
//! ```text
//!   idle ──first piece──► gathering ──0.8 s, or nothing new for 0.25 s──► one transaction ──► idle, at times pruning first
//!     ▲                                                                        │ fails
//!     └──────────── resting: what comes is kept, bounded; tried again ◄────────┘
//!                   with what comes after 1, 2, 4 … 60 s, and at the end
//! ```
//!
//! While nothing is sent it sleeps, without a tick. A file that turns out to be damaged is moved aside and begun anew; one
//! that is not to be touched ends the thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde::Serialize;

use super::batch::{Batch, Message};
use super::file;
use super::prune::{SLACK, prune};
use super::sender::Shared;
use super::store::{Current, Store};
use super::{Options, Trouble};
use crate::private_file::FileId;
use keepwatch_core::backoff;

/// How long a batch is gathered: with the writing itself, what a crash loses.
const GATHER: Duration = Duration::from_millis(800);
/// It is written earlier when nothing came for so long.
const QUIET: Duration = Duration::from_millis(250);
/// It is written at once when it has so many bytes.
const HEAVY: usize = 4 * 1024 * 1024;
/// A batch that takes longer than this is slow.
const SLOW: Duration = Duration::from_secs(1);
/// How often the old is deleted, while there is anything new.
const PRUNE: Duration = Duration::from_secs(60 * 60);
/// How often at most, where the file is too large.
const PRUNE_SOONER: Duration = Duration::from_secs(60);
/// A segment takes at most this part of what the file may have: only finished ones can be deleted.
const PART: u64 = 8;

pub(super) struct Writer<B, H, F> {
    path: PathBuf,
    options: Options,
    tell: F,
    shared: Arc<Shared>,
    inbox: Receiver<Message<B, H>>,
    batch: Batch<B, H>,
    store: Option<Store>,
    /// Which file it was when it was opened last.
    found: Option<FileId>,
    current: Option<Current>,
    /// What lasts and was told.
    told: Option<Trouble>,
    failures: u32,
    /// Before this, on the monotonic clock, it is not tried again.
    rests_until: Duration,
    /// When it was pruned last, on the monotonic clock, and how large the file was then, in bytes.
    pruned: Option<(Duration, u64)>,
}

/// Why gathering ended.
enum Gathered {
    /// The batch is to be written.
    Ready,
    /// And nothing will follow.
    Closed,
}

impl<B: Serialize, H: Serialize, F: Fn(Trouble)> Writer<B, H, F> {
    pub(super) fn new(
        path: PathBuf,
        options: Options,
        tell: F,
        shared: Arc<Shared>,
        inbox: Receiver<Message<B, H>>,
    ) -> Self {
        Self {
            path,
            options,
            tell,
            shared,
            inbox,
            batch: Batch::new(),
            store: None,
            found: None,
            current: None,
            told: None,
            failures: 0,
            rests_until: Duration::ZERO,
            pruned: None,
        }
    }

    /// Writes until nobody can send any more, or the file turns out not to be one to write.
    pub(super) fn run(mut self) {
        self.write_on();
        self.shared.shut();
    }

    fn write_on(&mut self) {
        // Opened before anything is sent, so that what is wrong is known early.
        if let Err(trouble) = self.open().or_else(|trouble| self.mend(trouble)) {
            self.failed(trouble);
        }
        loop {
            if self.told.as_ref().is_some_and(Trouble::is_final) {
                self.shared.leave_alone();
                return;
            }
            match self.gather() {
                Gathered::Ready => self.write(false),
                Gathered::Closed => return self.write(true),
            }
        }
    }

    fn gather(&mut self) -> Gathered {
        let mut since = self.now();
        loop {
            if self.batch.is_awaited() {
                return Gathered::Ready;
            }
            let (idle, rests) = (self.batch.is_empty(), self.failures > 0);
            let received = if idle || rests {
                self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                let left = GATHER.saturating_sub(self.now().saturating_sub(since));
                self.inbox.recv_timeout(left.min(QUIET))
            };
            match received {
                Ok(message) => self.batch.take(message, &self.shared),
                Err(RecvTimeoutError::Timeout) => return Gathered::Ready,
                Err(RecvTimeoutError::Disconnected) => return Gathered::Closed,
            }
            if idle {
                since = self.now();
            }
            let due = if rests {
                self.now() >= self.rests_until
            } else {
                self.now().saturating_sub(since) >= GATHER || self.batch.weight() >= HEAVY
            };
            if due && !self.batch.is_empty() {
                return Gathered::Ready;
            }
        }
    }

    fn write(&mut self, closing: bool) {
        let begun = self.now();
        let is_empty = self.batch.is_empty();
        let mut outcome = self.try_write(closing);
        if let Err(trouble) = outcome {
            outcome = self.mend(trouble).and_then(|()| self.try_write(closing));
        }
        match outcome {
            Ok(()) => {
                self.succeeded(self.now().saturating_sub(begun), is_empty);
                self.prune(closing);
            }
            Err(trouble) => self.failed(trouble),
        }
    }

    fn open(&mut self) -> Result<(), Trouble> {
        // A file that was moved or deleted under our hands is written no further.
        if self.store.is_some() && FileId::at(&self.path) != self.found {
            self.store = None;
            self.lose_segment();
        }
        if self.store.is_none() {
            self.found = FileId::at(&self.path);
            let store = Store::open(&self.path)?;
            self.found = FileId::at(&self.path);
            #[cfg(test)]
            if let Some(most) = self.options.most_pages {
                store.db.pragma_update(None, "max_page_count", most)?;
            }
            self.store = Some(store);
        }
        Ok(())
    }

    fn try_write(&mut self, closing: bool) -> Result<(), Trouble> {
        let is_new = !self.batch.is_empty() || closing && self.current.is_some();
        if is_new || self.failures > 0 {
            self.open()?;
        }
        if !is_new {
            return Ok(());
        }
        let Some(store) = &mut self.store else { return Ok(()) };
        let before = self.current.as_ref().map(|current| (current.id, current.bytes));
        let lost = store.write(&self.batch, &mut self.current, closing).inspect_err(|_| {
            self.current = before.map(|(id, bytes)| Current::new(id, bytes));
        })?;
        self.batch.clear(&self.shared);
        let part = usize::try_from(self.options.most_bytes / PART).unwrap_or(usize::MAX);
        let is_long = self.current.as_ref().is_some_and(|current| current.bytes > part);
        if lost || is_long {
            self.shared.end_segment();
        }
        Ok(())
    }

    /// Moves a damaged file aside; whatever else is wrong stays so.
    fn mend(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        if !matches!(trouble, Trouble::Damaged { .. }) {
            return Err(trouble);
        }
        self.store = None;
        self.lose_segment();
        // Another may have moved it, and what is there now is sound.
        if self.found.is_some() && FileId::at(&self.path) == self.found {
            file::recognised(&self.path)?;
            let now = self.options.clock.now().wall;
            let aside = self.found.map(|found| file::move_aside(&self.path, found, now)).transpose();
            if let Some(aside) = aside.map_err(|error| Trouble::of_io(&error))?.flatten() {
                (self.tell)(Trouble::Damaged { aside: Some(aside) });
            }
        }
        self.open()
    }

    fn lose_segment(&mut self) {
        if self.current.take().is_some() {
            self.shared.end_segment();
        }
    }

    fn succeeded(&mut self, took: Duration, was_empty: bool) {
        self.failures = 0;
        self.batch.answer(true);
        let was_slow = matches!(self.told, Some(Trouble::Slow { .. }));
        if was_slow && was_empty {
            return; // nothing was written, so the disk may still be slow
        }
        if took >= SLOW {
            self.say(Trouble::Slow { took });
        } else if self.told.is_some() && (!was_slow || took < SLOW / 2) {
            self.told = None;
            (self.tell)(Trouble::Over);
        }
    }

    fn failed(&mut self, trouble: Trouble) {
        self.store = None;
        self.batch.answer(false);
        self.failures = self.failures.saturating_add(1);
        self.rests_until = self.now().saturating_add(backoff::journal_delay(self.failures));
        self.say(trouble);
    }

    fn say(&mut self, trouble: Trouble) {
        if self.told.as_ref().is_none_or(|told| !told.is_like(&trouble)) {
            self.told = Some(trouble.clone());
            (self.tell)(trouble);
        }
    }

    /// Deletes what is old, after the first batch and then now and then; where the file is too large sooner, and before it
    /// has grown by more than was deleted. What goes wrong with it will go wrong with the next batch, too, and is told
    /// then.
    fn prune(&mut self, closing: bool) {
        let Some(store) = &mut self.store else { return };
        let now = self.options.clock.now();
        let most = self.options.most_bytes;
        let size = || store.used().map_or(0, |(_, all)| all);
        let due = match self.pruned {
            _ if closing => size() > most,
            None => true,
            Some((at, before)) => {
                let rested = now.mono.saturating_sub(at);
                // promise: journal-growth, mutant: > most / SLACK -> > u64::MAX
                let sooner = || rested >= PRUNE_SOONER || size().saturating_sub(before) > most / SLACK;
                rested >= PRUNE || size() > most && sooner()
            }
        };
        if due {
            let _ = prune(store, now.wall, self.options.keep, most);
            self.pruned = Some((now.mono, store.used().map_or(0, |(_, all)| all)));
        }
    }

    fn now(&self) -> Duration {
        self.options.clock.now().mono
    }
}
