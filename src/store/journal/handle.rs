//! The sender's end of the journal: queues segments, entries, summaries and alerts for the writer thread. Never waits for the
//! disk, except in `flush`, in `close` and when it is dropped, each time with a timeout.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::alert::AcknowledgementListener;
use super::alert_queue::{AlertQueue, QueuedAlert};
use super::batch::JournalMessage;
use super::summary_queue::{QueuedSummary, SummaryQueue};
use super::writer::JournalWriter;
use super::{JournalEntry, JournalError, Segment, SendResult, SessionSummary, StoredAlert};
use crate::store::writer_thread::WriterThread;
use keepwatch_core::clock::{Clock, Moment, Timestamp};

/// Maximum number of segments and entries in the queue. A thousand sessions add at most a tenth of this number in a second.
pub(super) const MAX_QUEUED: usize = 20_000;
/// Total size of the segments and entries in the queue, in bytes, at which the queue accepts no more. The last one that
/// it accepts may exceed this size, because the first entry has all sessions of the project and must always fit.
pub(super) const MAX_QUEUED_BYTES: usize = 32 * 1024 * 1024;
/// Maximum time to write the rest of the queue when a [`Journal`] is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The file of the journal, and how long it keeps entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// Path of the file.
    pub path: PathBuf,
    /// Age at which entries are deleted.
    pub retention: Duration,
}

/// The limits of a journal, and its clock.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// Age at which data is deleted.
    pub retention: Duration,
    /// Maximum size of the file, in bytes. The file can be a little larger until the next pruning.
    pub max_bytes: u64,
    /// The clock.
    pub clock: Clock,
    /// Learns of the acknowledgements by other processes.
    pub acknowledgement_listener: Option<AcknowledgementListener>,
    /// Maximum number of pages of the file. Simulates a full disk in tests.
    #[cfg(test)]
    pub(super) max_pages: Option<i64>,
}

impl JournalOptions {
    /// Returns the default limits: 30 days and 200 MB.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            retention: Duration::from_secs(30 * 24 * 60 * 60),
            max_bytes: 200_000_000,
            clock,
            acknowledgement_listener: None,
            #[cfg(test)]
            max_pages: None,
        }
    }
}

/// The state that the sender and the writer thread share.
#[derive(Debug)]
pub(super) struct JournalQueueState {
    /// Number of segments and entries in the queue and in the batch.
    queued: AtomicUsize,
    /// Size of these segments and entries, in bytes.
    queued_bytes: AtomicUsize,
    /// The summaries that are not written yet.
    summaries: Mutex<SummaryQueue>,
    /// The alerts that are not written yet.
    alerts: Mutex<AlertQueue>,
    /// The clears of the file that the thread has found.
    clears: Mutex<FoundClears>,
    /// The server's time when our `boot` clock (see [`Moment`]) was zero, in milliseconds since 1970; [`UNKNOWN_TIME`]
    /// if no response had a date.
    server_time_at_boot: AtomicI64,
    /// True if the newest segment accepts no more entries: it was deleted, has lost entries, or has reached its maximum
    /// size.
    is_segment_closed: AtomicBool,
    /// True if the thread has ended, so that nothing more is queued.
    is_shut_down: AtomicBool,
    /// True if the thread must not write the file. The thread has reported this, so the sender need not report the
    /// messages that stay unwritten.
    is_writing_refused: AtomicBool,
}

/// The value of a time that is not known.
const UNKNOWN_TIME: i64 = i64::MIN;

/// The clears of the file during this run.
#[derive(Clone, Copy, Debug, Default)]
struct FoundClears {
    /// Number of clears.
    count: u64,
    /// Moment of the newest clear.
    newest: Option<Moment>,
}

/// The data that a journal could not write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unwritten {
    /// Number of segments and entries.
    pub entries: usize,
    /// Number of sessions whose newest summary is missing.
    pub sessions: usize,
}

impl Default for JournalQueueState {
    fn default() -> Self {
        Self {
            queued: AtomicUsize::default(),
            queued_bytes: AtomicUsize::default(),
            summaries: Mutex::default(),
            alerts: Mutex::default(),
            clears: Mutex::default(),
            server_time_at_boot: AtomicI64::new(UNKNOWN_TIME),
            is_segment_closed: AtomicBool::default(),
            is_shut_down: AtomicBool::default(),
            is_writing_refused: AtomicBool::default(),
        }
    }
}

impl JournalQueueState {
    fn has_room(&self) -> bool {
        let bytes = self.queued_bytes.load(Ordering::Relaxed);
        !self.is_shut_down.load(Ordering::Relaxed)
            && self.queued.load(Ordering::Relaxed) < MAX_QUEUED
            && bytes < MAX_QUEUED_BYTES
    }

    /// Returns the summaries that are not written yet.
    pub(super) fn summaries(&self) -> MutexGuard<'_, SummaryQueue> {
        self.summaries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the alerts that are not written yet.
    pub(super) fn alerts(&self) -> MutexGuard<'_, AlertQueue> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clears(&self) -> MutexGuard<'_, FoundClears> {
        self.clears.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a clear of the file. Returns the number of clears.
    pub(super) fn add_clear(&self, at: Moment) -> u64 {
        let mut clears = self.clears();
        *clears = FoundClears { count: clears.count.saturating_add(1), newest: Some(at) };
        clears.count
    }

    /// Returns the server's time at a moment, if it is known.
    pub(super) fn server_time(&self, now: Moment) -> Option<Timestamp> {
        let at_boot = self.server_time_at_boot.load(Ordering::Relaxed);
        let millis = at_boot.checked_add(boot_millis(now)).filter(|_| at_boot != UNKNOWN_TIME)?;
        Timestamp::from_timestamp_millis(millis)
    }

    fn reserve(&self, size: usize) {
        self.queued.fetch_add(1, Ordering::Relaxed);
        self.queued_bytes.fetch_add(size, Ordering::Relaxed);
    }

    /// Frees queue space, because the messages were written, replaced or dropped.
    pub(super) fn release(&self, messages: usize, bytes: usize) {
        self.queued.fetch_sub(messages, Ordering::Relaxed);
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn shut_down(&self) {
        self.is_shut_down.store(true, Ordering::Relaxed);
    }

    pub(super) fn refuse_writing(&self) {
        self.is_writing_refused.store(true, Ordering::Relaxed);
    }

    pub(super) fn close_segment(&self) {
        self.is_segment_closed.store(true, Ordering::Relaxed);
    }
}

/// The sender's end of the queue to the thread that writes the journal. `B` is the type of an entry's body, `H` that of
/// a segment's header. Dropping a `Journal` waits until the rest of the queue is written, but no longer than half a
/// second.
///
/// After [`Journal::acknowledge_clear`] has returned a moment, the sender must not send what it saw before that moment.
#[derive(Debug)]
pub struct Journal<B, H = Value> {
    /// `None` once the journal is being closed.
    sender: Option<Sender<JournalMessage<B, H>>>,
    queue_state: Arc<JournalQueueState>,
    /// True if there is an open segment that has lost no entry.
    has_intact_segment: bool,
    /// Number of clears of the file that the sender knows of.
    known_clears: u64,
    /// `None` if the system could not start a thread.
    thread: Option<WriterThread>,
}

impl<B: Serialize + Send + 'static, H: Serialize + Send + 'static> Journal<B, H> {
    /// Starts the thread that opens and writes the file at `path`, and returns at once. The thread calls `on_error`
    /// with every change of the journal's state.
    pub fn spawn(
        path: PathBuf,
        options: JournalOptions,
        on_error: impl Fn(JournalError) + Send + 'static,
    ) -> Self {
        let (mut journal, writer) = Self::with_writer(path, options, on_error);
        // If the thread cannot start, its end of the queue is dropped. Then every message is dropped, too.
        journal.thread = WriterThread::spawn("journal", move || writer.run()).ok();
        journal
    }

    /// Returns the sender, and the writer without a thread.
    pub(super) fn with_writer<F: Fn(JournalError)>(
        path: PathBuf,
        options: JournalOptions,
        on_error: F,
    ) -> (Self, JournalWriter<B, H, F>) {
        let (sender, inbox) = channel();
        let queue_state = Arc::<JournalQueueState>::default();
        let writer = JournalWriter::new(path, options, on_error, Arc::clone(&queue_state), inbox);
        let (has_intact_segment, known_clears) = (false, 0);
        (Self { sender: Some(sender), queue_state, has_intact_segment, known_clears, thread: None }, writer)
    }

    /// Returns true if a new segment would be queued now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.queue_state.has_room()
    }

    /// Returns true if no segment is open: at the start, and after a gap, a clear, or the end of a long segment.
    #[must_use]
    pub fn needs_segment(&self) -> bool {
        !self.has_intact_segment || self.queue_state.is_segment_closed.load(Ordering::Relaxed)
    }

    /// Returns true if the writer thread has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.queue_state.is_shut_down.load(Ordering::Relaxed)
    }

    /// Returns the number of sessions whose newest summary did not fit into the queue.
    #[must_use]
    pub fn dropped_sessions(&self) -> usize {
        self.queue_state.summaries().dropped_sessions()
    }

    /// Returns true if segments and entries are dropped because the queue is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.has_room() && !self.is_closed()
    }

    /// Returns the moment of the newest clear of the file, once for each clear. Until the sender calls this, everything
    /// that it sends after the clear is dropped.
    pub fn acknowledge_clear(&mut self) -> Option<Moment> {
        let clears = *self.queue_state.clears();
        let is_new = clears.count > self.known_clears;
        self.known_clears = clears.count;
        clears.newest.filter(|_| is_new)
    }

    /// Tells the writer thread the server's time at the moment `now`. The thread measures the age of data with it.
    pub fn set_server_time(&self, now: Moment, server: Timestamp) {
        let at_boot = server.timestamp_millis().saturating_sub(boot_millis(now));
        self.queue_state.server_time_at_boot.store(at_boot, Ordering::Relaxed);
    }

    /// Starts a segment. Later entries belong to it.
    pub fn begin_segment(&mut self, segment: Segment<H>) -> SendResult {
        let size = segment.estimated_size;
        // Reset before the message is sent, because the thread may close the new segment at once.
        self.queue_state.is_segment_closed.store(false, Ordering::Relaxed);
        let message = JournalMessage::BeginSegment { segment, clears: self.known_clears };
        self.has_intact_segment = self.send(size, message) == SendResult::Queued;
        if self.has_intact_segment { SendResult::Queued } else { SendResult::Dropped }
    }

    /// Adds an entry to the segment, or replaces the segment's entry with the same sequence number. Drops the new entry
    /// if no segment is open, or if the segment has lost an entry.
    pub fn write_entry(&mut self, entry: JournalEntry<B>) -> SendResult {
        if self.needs_segment() {
            self.has_intact_segment = false;
            return SendResult::Dropped;
        }
        let size = entry.estimated_size;
        let result = self.send(size, JournalMessage::Entry(entry));
        self.has_intact_segment = result == SendResult::Queued;
        result
    }

    /// Queues a summary, which replaces the previous one of the same session and run. It stays queued until it is
    /// written. A dropped summary does not affect the segment.
    pub fn write_summary(&mut self, summary: SessionSummary) -> SendResult {
        let Some(sender) = self.sender.as_ref().filter(|_| !self.is_closed()) else {
            return SendResult::Dropped;
        };
        let mut summaries = self.queue_state.summaries();
        let was_empty = summaries.is_empty();
        if !summaries.insert(QueuedSummary { summary, clears: self.known_clears }) {
            return SendResult::Dropped;
        }
        drop(summaries);
        match was_empty.then(|| sender.send(JournalMessage::RowWaits)) {
            Some(Err(_)) => SendResult::Dropped, // the thread has ended
            Some(Ok(())) | None => SendResult::Queued,
        }
    }

    /// Queues an alert, which is merged with the stored one. It stays queued until it is written. A dropped alert does not
    /// affect the segment.
    pub fn write_alert(&mut self, alert: StoredAlert) -> SendResult {
        let Some(sender) = self.sender.as_ref().filter(|_| !self.is_closed()) else {
            return SendResult::Dropped;
        };
        let mut alerts = self.queue_state.alerts();
        let was_empty = alerts.is_empty();
        if !alerts.insert(QueuedAlert { alert, clears: self.known_clears }) {
            return SendResult::Dropped;
        }
        drop(alerts);
        match was_empty.then(|| sender.send(JournalMessage::RowWaits)) {
            Some(Err(_)) => SendResult::Dropped, // the thread has ended
            Some(Ok(())) | None => SendResult::Queued,
        }
    }

    /// Waits until all messages are written, but no longer than `timeout`. Returns true if all are written. Used before
    /// the program is suspended.
    pub fn flush(&mut self, timeout: Duration) -> bool {
        self.start_flush().is_some_and(|written| written.recv_timeout(timeout).unwrap_or(false))
    }

    /// Requests that all messages are written at once. The receiver gets true after the write, or false after a failure.
    /// Returns `None` if the thread has ended.
    #[must_use]
    pub fn start_flush(&self) -> Option<Receiver<bool>> {
        let (result_sender, result_receiver) = channel();
        self.sender.as_ref()?.send(JournalMessage::Flush(result_sender)).ok()?;
        Some(result_receiver)
    }

    fn send(&self, size: usize, message: JournalMessage<B, H>) -> SendResult {
        let Some(sender) = self.sender.as_ref().filter(|_| self.queue_state.has_room()) else {
            return SendResult::Dropped;
        };
        self.queue_state.reserve(size);
        match sender.send(message) {
            Ok(()) => SendResult::Queued,
            Err(_) => {
                self.queue_state.release(1, size); // the thread has ended
                SendResult::Dropped
            }
        }
    }
}

impl<B, H> Journal<B, H> {
    /// Closes the queue, without waiting. The thread writes the rest and ends.
    pub fn start_close(&mut self) {
        self.sender = None;
    }

    /// Closes the journal, and waits no longer than `timeout` until the rest is written. Returns what was not written;
    /// nothing if the thread has reported that it must not write the file.
    pub fn close(mut self, timeout: Duration) -> Unwritten {
        self.shut_down(timeout);
        if self.queue_state.is_writing_refused.load(Ordering::Relaxed) {
            return Unwritten::default();
        }
        let entries = self.queue_state.queued.load(Ordering::Relaxed);
        Unwritten { entries, sessions: self.queue_state.summaries().unwritten_sessions() }
    }

    /// Closes the queue and waits for the thread. Returns true if it ended within `timeout`.
    pub(super) fn shut_down(&mut self, timeout: Duration) -> bool {
        self.sender = None;
        self.thread.as_ref().is_none_or(|thread| thread.wait(timeout))
    }
}

impl<B, H> Drop for Journal<B, H> {
    fn drop(&mut self) {
        if self.sender.is_some() {
            self.shut_down(CLOSE_TIMEOUT);
        }
    }
}

/// Returns the reading of the `boot` clock, in milliseconds.
fn boot_millis(moment: Moment) -> i64 {
    i64::try_from(moment.boot.as_millis()).unwrap_or(i64::MAX)
}
