//! The writer thread: collects messages into batches, writes each as one transaction, prunes, and reports errors. Owns
//! the database connection. Never writes to a file that belongs to another program or to a newer keepwatch.
//!
//! ```text
//!   idle ──first message──► collecting ──0.8 s, or 0.25 s without a message──► transaction ──► pruning, if due ──► idle
//!     ▲                                                                            │ error
//!     └───────── backing off: new messages wait in the bounded queue ◄─────────────┘
//!                retries at the first message after 1, 2, 4 … 60 s, and when the queue is closed
//! ```
//!
//! While idle, the thread sleeps until the next message. If the file is damaged, the thread moves it aside and creates
//! a new one. If the thread must not touch the file, it ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde::Serialize;

use super::age_clock::AgeClock;
use super::alert::AcknowledgementCheck;
use super::batch::{Batch, JournalMessage};
use super::database::{JournalDatabase, OpenSegment, QueuedRows, WriteOutcome};
use super::deletion::{self, ClearWatch};
use super::file;
use super::handle::JournalQueueState;
use super::prune::{SLACK_DIVISOR, prune};
use super::reader::from_millis;
use super::{JournalError, JournalOptions};
use crate::private_file::FileId;
use keepwatch_core::backoff;
use keepwatch_core::clock::Moment;

/// Maximum time to collect a batch. A crash loses at most the data of this time and of one write.
const COLLECT_TIME: Duration = Duration::from_millis(800);
/// Time without a message after which a batch is written early.
const QUIET_TIME: Duration = Duration::from_millis(250);
/// Size at which a batch is written at once, in bytes.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Minimum duration of a write that is reported as slow.
const SLOW_WRITE: Duration = Duration::from_secs(1);
/// Interval between prunings, while there is something to write.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Minimum interval between prunings of a file that is too large but grows slowly.
const MIN_PRUNE_INTERVAL: Duration = Duration::from_secs(60);
/// A segment is closed once it is larger than the maximum size of the file divided by this number. Without this
/// limit, pruning could free no space, because it deletes only finished segments. A segment may always grow to twice the
/// size of its first batch, which has all sessions. Otherwise, with many sessions, each batch would need a new
/// segment.
const SEGMENT_DIVISOR: u64 = 8;

/// The state of the writer thread.
pub(super) struct JournalWriter<B, H, F> {
    path: PathBuf,
    options: JournalOptions,
    on_error: F,
    queue_state: Arc<JournalQueueState>,
    inbox: Receiver<JournalMessage<B, H>>,
    batch: Batch<B, H>,
    /// `None` before the file is opened, and after an error.
    database: Option<JournalDatabase>,
    /// Identity of the file when it was last opened.
    file_id: Option<FileId>,
    open_segment: Option<OpenSegment>,
    /// The newest reported error, while it lasts.
    reported_error: Option<JournalError>,
    /// Number of failures in a row.
    failures: u32,
    /// Earliest time of the next retry, on the monotonic clock.
    retry_at: Duration,
    /// The check for clears by other processes.
    clear_watch: ClearWatch,
    /// The token of acknowledgements at the last check; `None` before it.
    alert_token: Option<i64>,
    age_clock: AgeClock,
    /// True from the report of a clock jump until the jump ends.
    is_jump_reported: bool,
    /// Time of the last pruning on the monotonic clock, and the size of the file after that pruning, in bytes.
    last_prune: Option<(Duration, u64)>,
}

/// The reason why collecting a batch ended.
enum CollectOutcome {
    /// The batch is due.
    Ready,
    /// The queue is closed, so this is the last batch.
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
        let clear_watch = ClearWatch::new(options.clock.now());
        Self {
            path,
            options,
            on_error,
            queue_state,
            inbox,
            batch: Batch::new(),
            database: None,
            file_id: None,
            open_segment: None,
            reported_error: None,
            failures: 0,
            retry_at: Duration::ZERO,
            clear_watch,
            alert_token: None,
            age_clock: AgeClock::default(),
            is_jump_reported: false,
            last_prune: None,
        }
    }

    /// Writes batches until the queue is closed, or until an error shows that the thread must not touch the file.
    pub(super) fn run(mut self) {
        self.run_until_closed();
        self.queue_state.shut_down();
    }

    fn run_until_closed(&mut self) {
        // The file is opened before the first message arrives, so that errors are reported early.
        let opened = self.ensure_open().or_else(|error| self.recover_damaged(error));
        if let Err(error) = opened.and_then(|()| self.check_file()) {
            self.on_failure(error);
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

    /// Opens the file and receives all queued messages, without waiting. A test calls this instead of running the
    /// thread.
    #[cfg(test)]
    pub(super) fn receive_all(&mut self) -> Result<(), JournalError> {
        self.ensure_open()?;
        while let Ok(message) = self.inbox.try_recv() {
            self.batch.add(message, &self.queue_state);
        }
        Ok(())
    }

    /// Receives messages until the batch is due, or until the queue is closed.
    fn collect_batch(&mut self) -> CollectOutcome {
        let mut started = self.now();
        loop {
            if self.batch.has_flush_waiters() {
                return CollectOutcome::Ready;
            }
            let (is_idle, is_backing_off) = (!self.has_data(), self.failures > 0);
            let received = if is_idle || is_backing_off {
                self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                let remaining = COLLECT_TIME.saturating_sub(self.now().saturating_sub(started));
                self.inbox.recv_timeout(remaining.min(QUIET_TIME))
            };
            match received {
                Ok(message) => self.batch.add(message, &self.queue_state),
                Err(RecvTimeoutError::Timeout) => return CollectOutcome::Ready,
                Err(RecvTimeoutError::Disconnected) => return CollectOutcome::Closed,
            }
            if is_idle {
                // The collecting time begins with the first message.
                started = self.now();
            }
            let is_due = if is_backing_off {
                self.now() >= self.retry_at
            } else {
                self.now().saturating_sub(started) >= COLLECT_TIME
                    || self.batch.estimated_size() >= MAX_BATCH_BYTES
            };
            if is_due && self.has_data() {
                return CollectOutcome::Ready;
            }
        }
    }

    /// Returns true if there is something to write.
    fn has_data(&self) -> bool {
        !self.batch.is_empty()
            || !self.queue_state.summaries().is_empty()
            || !self.queue_state.alerts().is_empty()
    }

    /// Writes the batch and prunes. Moves a damaged file aside and tries once more. Reports errors to `on_error`.
    pub(super) fn write(&mut self, is_closing: bool) {
        let started = self.now();
        let is_empty = !self.has_data();
        let mut result = self.try_write(is_closing);
        // One write has only a part of the summaries, but a close or a flush waits for all of them.
        while result.is_ok()
            && (is_closing || self.batch.has_flush_waiters())
            && !self.queue_state.summaries().is_empty()
        {
            result = self.try_write(is_closing);
        }
        if let Err(error) = result {
            result = self.recover_damaged(error).and_then(|()| self.try_write(is_closing));
        }
        match result {
            Ok(()) => {
                self.on_success(self.now().saturating_sub(started), is_empty);
                self.prune(is_closing);
            }
            Err(error) => self.on_failure(error),
        }
    }

    /// Opens the file, unless it is open already.
    fn ensure_open(&mut self) -> Result<(), JournalError> {
        // If the file was moved or deleted, open the one that is at the path now.
        if self.database.is_some() && FileId::at(&self.path) != self.file_id {
            self.database = None;
            self.drop_segment();
        }
        if self.database.is_none() {
            // If the opening fails because of damage, `recover_damaged` needs the identity of the file.
            self.file_id = FileId::at(&self.path);
            let database = JournalDatabase::open(&self.path)?;
            // The opening may have created the file.
            self.file_id = FileId::at(&self.path);
            #[cfg(test)]
            if let Some(max_pages) = self.options.max_pages {
                database.db.pragma_update(None, "max_page_count", max_pages)?;
            }
            if let Ok(Some(newest)) = deletion::newest_time(&database.db) {
                self.age_clock.trust_newest_entry(from_millis(newest), self.options.clock.now().boot);
            }
            self.database = Some(database);
        }
        Ok(())
    }

    /// Looks for a clear and for acknowledgements by another process, without writing anything.
    fn check_file(&mut self) -> Result<(), JournalError> {
        let Some(database) = &self.database else { return Ok(()) };
        let (marks, acknowledgements) = database.check(self.alert_token)?;
        self.on_acknowledgements(acknowledgements);
        if let Some(at) = self.clear_watch.check(marks, self.options.clock.now()) {
            self.on_clear(at);
        }
        Ok(())
    }

    /// Tells the listener of acknowledgements by other processes.
    fn on_acknowledgements(&mut self, check: AcknowledgementCheck) {
        self.alert_token = Some(check.token);
        let changed = check.changed.filter(|alerts| !alerts.is_empty());
        if let (Some(alerts), Some(listener)) = (changed, &self.options.acknowledgement_listener) {
            listener.notify(alerts);
        }
    }

    /// Drops everything that may be older than a clear, and makes the sender start a new segment.
    fn on_clear(&mut self, at: Moment) {
        let clears = self.queue_state.add_clear(at);
        self.batch.drop_for_clear(clears, &self.queue_state);
        self.queue_state.summaries().drop_for_clear(clears);
        self.queue_state.alerts().drop_for_clear(clears);
        self.open_segment = None;
        self.queue_state.close_segment();
    }

    /// Writes the batch, the queued alerts, and the next part of the summaries, if there are any. If `is_closing`, also finishes the open
    /// segment.
    fn try_write(&mut self, is_closing: bool) -> Result<(), JournalError> {
        let rows = QueuedRows {
            summaries: self.queue_state.summaries().next_batch(),
            alerts: self.queue_state.alerts().next_batch(),
            known_alert_token: self.alert_token,
        };
        let must_write =
            !self.batch.is_empty() || !rows.is_empty() || is_closing && self.open_segment.is_some();
        // After a failure, opening the file shows whether the problem is over, even if there is nothing to write. If
        // the file is open already, `ensure_open` checks that it is still at its path.
        if must_write || self.failures > 0 || self.database.is_some() {
            self.ensure_open()?;
        }
        if !must_write {
            return self.check_file();
        }
        let Some(database) = &mut self.database else { return Ok(()) };
        // A failed write leaves a wrong value in `open_segment`.
        let segment_before =
            self.open_segment.as_ref().map(|segment| (segment.id, segment.bytes, segment.opening_bytes));
        let (now, watch, mut cleared_at) = (self.options.clock.now(), &mut self.clear_watch, None);
        let is_cleared = |marks| {
            cleared_at = watch.check(marks, now);
            cleared_at.is_some()
        };
        let outcome = database
            .write(&self.batch, &rows, &mut self.open_segment, is_closing, is_cleared)
            .inspect_err(|_| {
                self.open_segment = segment_before.map(|(id, bytes, opening_bytes)| OpenSegment {
                    opening_bytes,
                    ..OpenSegment::new(id, bytes)
                });
            })?;
        match outcome {
            WriteOutcome::Cleared => self.on_clear(cleared_at.unwrap_or(now)),
            WriteOutcome::Written { has_lost_entries, acknowledgements } => {
                self.batch.clear(&self.queue_state);
                self.queue_state.summaries().remove_written(&rows.summaries);
                self.queue_state.alerts().remove_written(&rows.alerts);
                self.on_acknowledgements(acknowledgements);
                if has_lost_entries || self.is_segment_long() {
                    self.queue_state.close_segment();
                }
            }
        }
        Ok(())
    }

    /// Returns true if the open segment has reached its maximum size. The first call for a segment records the size of
    /// its first batch.
    fn is_segment_long(&mut self) -> bool {
        let Some(segment) = &mut self.open_segment else { return false };
        let opening_bytes = *segment.opening_bytes.get_or_insert(segment.bytes);
        let share = usize::try_from(self.options.max_bytes / SEGMENT_DIVISOR).unwrap_or(usize::MAX);
        segment.bytes > share.max(opening_bytes.saturating_mul(2))
    }

    /// Moves a damaged file aside and opens a new one. If `error` is of another kind, returns it unchanged.
    fn recover_damaged(&mut self, error: JournalError) -> Result<(), JournalError> {
        if !matches!(error, JournalError::Damaged { .. }) {
            return Err(error);
        }
        self.database = None;
        self.drop_segment();
        // The file is replaced because it is damaged. That is no clear, so nothing is dropped.
        self.clear_watch = ClearWatch::new(self.options.clock.now());
        // Another process may have moved the damaged file already. Then the file at this path is a new one.
        if let Some(damaged_id) = self.file_id
            && FileId::at(&self.path) == Some(damaged_id)
        {
            file::reject_foreign_file(&self.path)?;
            let now = self.options.clock.now().wall;
            let aside = file::move_aside(&self.path, damaged_id, now)
                .map_err(|error| JournalError::from_io(&error))?;
            if aside.is_some() {
                (self.on_error)(JournalError::Damaged { aside });
            }
        }
        self.ensure_open()
    }

    /// Forgets the open segment, because its file is gone, and makes the sender start a new segment.
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
            return; // without a write, the disk may still be slow
        }
        // A slow disk counts as recovered only below half of the limit. Otherwise a disk near the limit would cause one
        // report after another.
        if took >= SLOW_WRITE {
            self.report(JournalError::Slow { took });
        } else if self.reported_error.is_some() && (!was_slow || took < SLOW_WRITE / 2) {
            self.reported_error = None;
            (self.on_error)(JournalError::Recovered);
        }
    }

    fn on_failure(&mut self, error: JournalError) {
        self.database = None;
        self.batch.notify_flush_waiters(false);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = self.now().saturating_add(backoff::journal_delay(self.failures));
        self.report(error);
    }

    /// Reports an error, unless the last report was of the same kind.
    fn report(&mut self, error: JournalError) {
        if self.reported_error.as_ref().is_none_or(|reported| !reported.is_same_kind(&error)) {
            self.reported_error = Some(error.clone());
            (self.on_error)(error);
        }
    }

    /// Deletes old data after the first batch, and then once per [`PRUNE_INTERVAL`]. A file that is too large is pruned
    /// earlier: [`MIN_PRUNE_INTERVAL`] after the last pruning, or once it has grown by a tenth of the maximum since
    /// then. At the end, only a file that is too large is pruned. Errors are ignored: the next batch meets the same
    /// error and reports it.
    fn prune(&mut self, is_closing: bool) {
        let Some(database) = &mut self.database else { return };
        let now = self.options.clock.now();
        let max_bytes = self.options.max_bytes;
        let size = || database.used_and_total_bytes().map_or(0, |(_, total)| total);
        let is_due = match self.last_prune {
            _ if is_closing => size() > max_bytes,
            None => true,
            Some((pruned_at, old_size)) => {
                let since_pruning = now.mono.saturating_sub(pruned_at);
                // promise: journal-growth, mutant: > max_bytes / SLACK_DIVISOR -> > u64::MAX
                let is_due_early = || {
                    since_pruning >= MIN_PRUNE_INTERVAL
                        || size().saturating_sub(old_size) > max_bytes / SLACK_DIVISOR
                };
                since_pruning >= PRUNE_INTERVAL || size() > max_bytes && is_due_early()
            }
        };
        if is_due {
            let trusted_now = self.age_clock.now(now, self.queue_state.server_time(now));
            let _ = prune(database, trusted_now.ok(), self.options.retention, max_bytes);
            match trusted_now {
                Err(jump) if !std::mem::replace(&mut self.is_jump_reported, true) => {
                    (self.on_error)(JournalError::ClockJump { ahead: jump.ahead });
                }
                Err(_) => {}
                Ok(_) => self.is_jump_reported = false,
            }
            self.last_prune = Some((now.mono, database.used_and_total_bytes().map_or(0, |(_, total)| total)));
        }
    }

    fn now(&self) -> Duration {
        self.options.clock.now().mono
    }
}
