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

use super::batch::{Batch, JournalMessage};
use super::database::{JournalDatabase, OpenSegment};
use super::file;
use super::handle::JournalQueueState;
use super::prune::{SLACK, prune};
use super::{JournalError, JournalOptions};
use crate::private_file::FileId;
use keepwatch_core::backoff;

/// How long a batch is gathered: with the writing itself, what a crash loses.
const COLLECT_TIME: Duration = Duration::from_millis(800);
/// It is written earlier when nothing came for so long.
const QUIET_TIME: Duration = Duration::from_millis(250);
/// It is written at once when it has so many bytes.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// A batch that takes longer than this is slow.
const SLOW_WRITE: Duration = Duration::from_secs(1);
/// How often the old is deleted, while there is anything new.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How often at most, where the file is too large.
const MIN_PRUNE_INTERVAL: Duration = Duration::from_secs(60);
/// A segment takes at most this part of what the file may have: only finished ones can be deleted.
const SEGMENT_FRACTION: u64 = 8;

pub(super) struct JournalWriter<B, H, F> {
    path: PathBuf,
    options: JournalOptions,
    on_error: F,
    queue_state: Arc<JournalQueueState>,
    inbox: Receiver<JournalMessage<B, H>>,
    batch: Batch<B, H>,
    store: Option<JournalDatabase>,
    /// Which file it was when it was opened last.
    file_id: Option<FileId>,
    open_segment: Option<OpenSegment>,
    /// What lasts and was told.
    reported_error: Option<JournalError>,
    failures: u32,
    /// Before this, on the monotonic clock, it is not tried again.
    retry_at: Duration,
    /// When it was pruned last, on the monotonic clock, and how large the file was then, in bytes.
    last_prune: Option<(Duration, u64)>,
}

/// Why gathering ended.
enum CollectOutcome {
    /// The batch is to be written.
    Ready,
    /// And nothing will follow.
    Closed,
}

impl<B: Serialize, H: Serialize, F: Fn(JournalError)> JournalWriter<B, H, F> {
    pub(super) fn new(
        path: PathBuf,
        options: JournalOptions,
        on_error: F,
        queue_state: Arc<JournalQueueState>,
        inbox: Receiver<JournalMessage<B, H>>,
    ) -> Self {
        Self {
            path,
            options,
            on_error,
            queue_state,
            inbox,
            batch: Batch::new(),
            store: None,
            file_id: None,
            open_segment: None,
            reported_error: None,
            failures: 0,
            retry_at: Duration::ZERO,
            last_prune: None,
        }
    }

    /// Writes until nobody can send any more, or the file turns out not to be one to write.
    pub(super) fn run(mut self) {
        self.run_until_closed();
        self.queue_state.shut_down();
    }

    fn run_until_closed(&mut self) {
        // Opened before anything is sent, so that what is wrong is known early.
        if let Err(trouble) = self.open().or_else(|trouble| self.recover_damaged(trouble)) {
            self.on_failure(trouble);
        }
        loop {
            if self.reported_error.as_ref().is_some_and(JournalError::is_final) {
                self.queue_state.refuse_writing();
                return;
            }
            match self.collect_batch() {
                CollectOutcome::Ready => self.write(false),
                CollectOutcome::Closed => return self.write(true),
            }
        }
    }

    fn collect_batch(&mut self) -> CollectOutcome {
        let mut since = self.now();
        loop {
            if self.batch.has_flush_waiters() {
                return CollectOutcome::Ready;
            }
            let (is_idle, is_backing_off) = (self.batch.is_empty(), self.failures > 0);
            let received = if is_idle || is_backing_off {
                self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                let left = COLLECT_TIME.saturating_sub(self.now().saturating_sub(since));
                self.inbox.recv_timeout(left.min(QUIET_TIME))
            };
            match received {
                Ok(message) => self.batch.add(message, &self.queue_state),
                Err(RecvTimeoutError::Timeout) => return CollectOutcome::Ready,
                Err(RecvTimeoutError::Disconnected) => return CollectOutcome::Closed,
            }
            if is_idle {
                since = self.now();
            }
            let due = if is_backing_off {
                self.now() >= self.retry_at
            } else {
                self.now().saturating_sub(since) >= COLLECT_TIME
                    || self.batch.estimated_size() >= MAX_BATCH_BYTES
            };
            if due && !self.batch.is_empty() {
                return CollectOutcome::Ready;
            }
        }
    }

    fn write(&mut self, is_closing: bool) {
        let begun = self.now();
        let is_empty = self.batch.is_empty();
        let mut outcome = self.try_write(is_closing);
        if let Err(trouble) = outcome {
            outcome = self.recover_damaged(trouble).and_then(|()| self.try_write(is_closing));
        }
        match outcome {
            Ok(()) => {
                self.on_success(self.now().saturating_sub(begun), is_empty);
                self.prune(is_closing);
            }
            Err(trouble) => self.on_failure(trouble),
        }
    }

    fn open(&mut self) -> Result<(), JournalError> {
        // A file that was moved or deleted under our hands is written no further.
        if self.store.is_some() && FileId::at(&self.path) != self.file_id {
            self.store = None;
            self.drop_segment();
        }
        if self.store.is_none() {
            self.file_id = FileId::at(&self.path);
            let store = JournalDatabase::open(&self.path)?;
            self.file_id = FileId::at(&self.path);
            #[cfg(test)]
            if let Some(most) = self.options.max_pages {
                store.db.pragma_update(None, "max_page_count", most)?;
            }
            self.store = Some(store);
        }
        Ok(())
    }

    fn try_write(&mut self, is_closing: bool) -> Result<(), JournalError> {
        let is_new = !self.batch.is_empty() || is_closing && self.open_segment.is_some();
        if is_new || self.failures > 0 {
            self.open()?;
        }
        if !is_new {
            return Ok(());
        }
        let Some(store) = &mut self.store else { return Ok(()) };
        let before = self.open_segment.as_ref().map(|current| (current.id, current.bytes));
        let has_lost_entries =
            store.write(&self.batch, &mut self.open_segment, is_closing).inspect_err(|_| {
                self.open_segment = before.map(|(id, bytes)| OpenSegment::new(id, bytes));
            })?;
        self.batch.clear(&self.queue_state);
        let max_segment_bytes =
            usize::try_from(self.options.max_bytes / SEGMENT_FRACTION).unwrap_or(usize::MAX);
        let is_long = self.open_segment.as_ref().is_some_and(|current| current.bytes > max_segment_bytes);
        if has_lost_entries || is_long {
            self.queue_state.close_segment();
        }
        Ok(())
    }

    /// Moves a damaged file aside; whatever else is wrong stays so.
    fn recover_damaged(&mut self, trouble: JournalError) -> Result<(), JournalError> {
        if !matches!(trouble, JournalError::Damaged { .. }) {
            return Err(trouble);
        }
        self.store = None;
        self.drop_segment();
        // Another may have moved it, and what is there now is sound.
        if self.file_id.is_some() && FileId::at(&self.path) == self.file_id {
            file::ensure_journal(&self.path)?;
            let now = self.options.clock.now().wall;
            let aside = self.file_id.map(|found| file::move_aside(&self.path, found, now)).transpose();
            if let Some(aside) = aside.map_err(|error| JournalError::from_io(&error))?.flatten() {
                (self.on_error)(JournalError::Damaged { aside: Some(aside) });
            }
        }
        self.open()
    }

    fn drop_segment(&mut self) {
        if self.open_segment.take().is_some() {
            self.queue_state.close_segment();
        }
    }

    fn on_success(&mut self, took: Duration, was_empty: bool) {
        self.failures = 0;
        self.batch.notify_flush_waiters(true);
        let was_slow = matches!(self.reported_error, Some(JournalError::Slow { .. }));
        if was_slow && was_empty {
            return; // nothing was written, so the disk may still be slow
        }
        if took >= SLOW_WRITE {
            self.report(JournalError::Slow { took });
        } else if self.reported_error.is_some() && (!was_slow || took < SLOW_WRITE / 2) {
            self.reported_error = None;
            (self.on_error)(JournalError::Recovered);
        }
    }

    fn on_failure(&mut self, trouble: JournalError) {
        self.store = None;
        self.batch.notify_flush_waiters(false);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = self.now().saturating_add(backoff::journal_delay(self.failures));
        self.report(trouble);
    }

    fn report(&mut self, trouble: JournalError) {
        if self.reported_error.as_ref().is_none_or(|told| !told.is_same_kind(&trouble)) {
            self.reported_error = Some(trouble.clone());
            (self.on_error)(trouble);
        }
    }

    /// Deletes what is old, after the first batch and then now and then; where the file is too large sooner, and before it
    /// has grown by more than was deleted. What goes wrong with it will go wrong with the next batch, too, and is told
    /// then.
    fn prune(&mut self, is_closing: bool) {
        let Some(store) = &mut self.store else { return };
        let now = self.options.clock.now();
        let most = self.options.max_bytes;
        let size = || store.used_and_total_bytes().map_or(0, |(_, all)| all);
        let due = match self.last_prune {
            _ if is_closing => size() > most,
            None => true,
            Some((at, before)) => {
                let rested = now.mono.saturating_sub(at);
                // promise: journal-growth, mutant: > most / SLACK -> > u64::MAX
                let sooner = || rested >= MIN_PRUNE_INTERVAL || size().saturating_sub(before) > most / SLACK;
                rested >= PRUNE_INTERVAL || size() > most && sooner()
            }
        };
        if due {
            let _ = prune(store, now.wall, self.options.retention, most);
            self.last_prune = Some((now.mono, store.used_and_total_bytes().map_or(0, |(_, all)| all)));
        }
    }

    fn now(&self) -> Duration {
        self.options.clock.now().mono
    }
}
