//! The sender's end of the journal: queues segments, entries and summaries for the writer thread. Never waits for the
//! disk, except in `flush` and at the end, both with a timeout.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::batch::JournalMessage;
use super::writer::JournalWriter;
use super::{JournalEntry, JournalError, Segment, SendResult, SessionSummary};
use crate::store::writer_thread::WriterThread;
use keepwatch_core::clock::Clock;

/// Maximum number of messages in the queue. A thousand sessions add at most a tenth of this number in a second.
pub(super) const MAX_QUEUED: usize = 20_000;
/// Maximum size of the messages in the queue, in bytes.
pub(super) const MAX_QUEUED_BYTES: usize = 32 * 1024 * 1024;
/// Maximum time to write the rest of the queue at the end.
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
    /// Maximum size of the file, in bytes. It can be a little larger until the next pruning.
    pub max_bytes: u64,
    /// The clock.
    pub clock: Clock,
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
            #[cfg(test)]
            max_pages: None,
        }
    }
}

/// The state that the sender and the writer thread share.
#[derive(Debug, Default)]
pub(super) struct JournalQueueState {
    /// Number of segments, entries and summaries in the queue and in the batch.
    queued: AtomicUsize,
    /// Size of these segments, entries and summaries, in bytes.
    queued_bytes: AtomicUsize,
    /// True if the open segment was deleted, lost entries, or has reached its maximum size.
    is_segment_closed: AtomicBool,
    /// True if the thread has ended, so that nothing more is queued.
    is_shut_down: AtomicBool,
    /// True if the thread must not write the file. The thread has reported this, so unwritten messages are not reported
    /// again.
    is_writing_refused: AtomicBool,
}

impl JournalQueueState {
    fn has_room(&self, size: usize) -> bool {
        let bytes = self.queued_bytes.load(Ordering::Relaxed);
        !self.is_shut_down.load(Ordering::Relaxed)
            && self.queued.load(Ordering::Relaxed) < MAX_QUEUED
            && bytes.saturating_add(size) <= MAX_QUEUED_BYTES
    }

    fn reserve(&self, size: usize) {
        self.queued.fetch_add(1, Ordering::Relaxed);
        self.queued_bytes.fetch_add(size, Ordering::Relaxed);
    }

    /// Frees queue space: the messages were written, or newer ones replaced them.
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

/// The sender to the thread that writes a journal. `B` is the type of an entry's body, `H` that of a segment's header.
/// Dropping the sender waits until the rest of the queue is written, but no longer than half a second.
#[derive(Debug)]
pub struct Journal<B, H = Value> {
    /// `None` once the journal is being closed.
    sender: Option<Sender<JournalMessage<B, H>>>,
    queue_state: Arc<JournalQueueState>,
    /// True if there is an open segment that has lost no entry.
    has_intact_segment: bool,
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
        let (sender, inbox) = channel();
        let queue_state = Arc::<JournalQueueState>::default();
        let writer = JournalWriter::new(path, options, on_error, Arc::clone(&queue_state), inbox);
        // If the thread cannot start, its end of the queue is dropped. Then every message is dropped, too.
        let thread = WriterThread::spawn("journal", move || writer.run()).ok();
        Self { sender: Some(sender), queue_state, has_intact_segment: false, thread }
    }

    /// Returns true if a new segment would be queued now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.queue_state.has_room(0)
    }

    /// Starts a segment. Later entries belong to it.
    pub fn begin_segment(&mut self, segment: Segment<H>) -> SendResult {
        let size = segment.estimated_size;
        self.has_intact_segment =
            self.send(size, JournalMessage::BeginSegment(segment)) == SendResult::Queued;
        self.queue_state.is_segment_closed.store(false, Ordering::Relaxed);
        if self.has_intact_segment { SendResult::Queued } else { SendResult::Dropped }
    }

    /// Adds an entry to the segment, or replaces the segment's entry with the same sequence number. Drops the new entry
    /// if no segment is open, or if the segment has lost an entry.
    pub fn write_entry(&mut self, entry: JournalEntry<B>) -> SendResult {
        if !self.has_intact_segment || self.queue_state.is_segment_closed.load(Ordering::Relaxed) {
            self.has_intact_segment = false;
            return SendResult::Dropped;
        }
        let size = entry.estimated_size;
        let result = self.send(size, JournalMessage::Entry(entry));
        self.has_intact_segment = result == SendResult::Queued;
        result
    }

    /// Queues a summary, which replaces the previous one of the same session and run. A dropped summary does not affect
    /// the segment.
    pub fn write_summary(&mut self, summary: SessionSummary) -> SendResult {
        let size = summary.estimated_size();
        self.send(size, JournalMessage::Summary(Box::new(summary)))
    }

    /// Waits until all messages are written, but no longer than `timeout`. Returns true if all are written. Used before
    /// the program is suspended.
    pub fn flush(&mut self, timeout: Duration) -> bool {
        let (result_sender, result_receiver) = channel();
        let sent = self
            .sender
            .as_ref()
            .is_some_and(|sender| sender.send(JournalMessage::Flush(result_sender)).is_ok());
        sent && result_receiver.recv_timeout(timeout).unwrap_or(false)
    }

    fn send(&self, size: usize, message: JournalMessage<B, H>) -> SendResult {
        let Some(sender) = self.sender.as_ref().filter(|_| self.queue_state.has_room(size)) else {
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
    /// Closes the journal, as dropping it does. Returns the number of messages that were not written; zero if the
    /// thread has reported that it must not write the file.
    pub fn close(mut self) -> usize {
        self.shut_down(CLOSE_TIMEOUT);
        let is_refused = self.queue_state.is_writing_refused.load(Ordering::Relaxed);
        if is_refused { 0 } else { self.queue_state.queued.load(Ordering::Relaxed) }
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
