//! The sender's end: takes what is to be written, and never waits for it to be.

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

/// What may wait to be written: so many pieces, of so many bytes. A second of a thousand sessions is a tenth of it.
pub(super) const MAX_QUEUED: usize = 20_000;
/// See [`MOST_WAITING`].
pub(super) const MAX_QUEUED_BYTES: usize = 32 * 1024 * 1024;
/// How long the end of the program waits for what is still to be written.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The file of the journal, and how long it keeps entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// The path of the file.
    pub path: PathBuf,
    /// How long entries are kept.
    pub retention: Duration,
}

/// How the journal is kept.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// For how long.
    pub retention: Duration,
    /// How large the file may become, in bytes; a little more until the next pruning.
    pub max_bytes: u64,
    /// What time it is.
    pub clock: Clock,
    /// How many pages the file may have, where a test wants a full disk.
    #[cfg(test)]
    pub(super) max_pages: Option<i64>,
}

impl JournalOptions {
    /// 30 days and 200 MB.
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

/// What the sender and the writer both know.
#[derive(Debug, Default)]
pub(super) struct JournalQueueState {
    queued: AtomicUsize,
    queued_bytes: AtomicUsize,
    /// The segment that is written is no more, or is long enough.
    is_segment_closed: AtomicBool,
    /// The thread has ended: nothing is taken any more.
    is_shut_down: AtomicBool,
    /// The file is none to write, as was told: nothing is missed there.
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

    /// So much is written, or was replaced by what came after it.
    pub(super) fn release(&self, pieces: usize, bytes: usize) {
        self.queued.fetch_sub(pieces, Ordering::Relaxed);
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

/// A journal that is being written, by a thread of its own. Entries have a `B` for their body, segments an `H` for their
/// header. Dropping it ends it: what waits is written, if that takes no longer than half a second.
#[derive(Debug)]
pub struct Journal<B, H = Value> {
    /// `None` while it is being dropped.
    sender: Option<Sender<JournalMessage<B, H>>>,
    queue_state: Arc<JournalQueueState>,
    /// Whether there is a segment without a hole.
    has_intact_segment: bool,
    /// `None` if no thread could be started.
    thread: Option<WriterThread>,
}

impl<B: Serialize + Send + 'static, H: Serialize + Send + 'static> Journal<B, H> {
    /// Starts the thread that opens and writes the file at `path`, and returns at once. What is wrong with it, now or
    /// later, is told to `on_trouble` on that thread.
    pub fn spawn(
        path: PathBuf,
        options: JournalOptions,
        on_error: impl Fn(JournalError) + Send + 'static,
    ) -> Self {
        let (sender, inbox) = channel();
        let queue_state = Arc::<JournalQueueState>::default();
        let writer = JournalWriter::new(path, options, on_error, Arc::clone(&queue_state), inbox);
        // Without a thread the queue is closed, and everything that is sent is dropped.
        let thread = WriterThread::spawn("journal", move || writer.run()).ok();
        Self { sender: Some(sender), queue_state, has_intact_segment: false, thread }
    }

    /// Whether a segment that is begun now would be taken: worth asking before a large header is made.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.queue_state.has_room(0)
    }

    /// Begins a segment; what follows belongs to it.
    pub fn begin_segment(&mut self, segment: Segment<H>) -> SendResult {
        let size = segment.estimated_size;
        self.has_intact_segment =
            self.send(size, JournalMessage::BeginSegment(segment)) == SendResult::Queued;
        self.queue_state.is_segment_closed.store(false, Ordering::Relaxed);
        if self.has_intact_segment { SendResult::Queued } else { SendResult::Dropped }
    }

    /// Adds an entry to the segment, or replaces the one in its place. Without a segment, or with one that has a hole,
    /// nothing is taken.
    pub fn write_entry(&mut self, entry: JournalEntry<B>) -> SendResult {
        if !self.has_intact_segment || self.queue_state.is_segment_closed.load(Ordering::Relaxed) {
            self.has_intact_segment = false;
            return SendResult::Dropped;
        }
        let size = entry.estimated_size;
        let fate = self.send(size, JournalMessage::Entry(entry));
        self.has_intact_segment = fate == SendResult::Queued;
        fate
    }

    /// Replaces what this run said of a session. If it is dropped, the segment has no hole by it.
    pub fn write_summary(&mut self, summary: SessionSummary) -> SendResult {
        let size = summary.estimated_size();
        self.send(size, JournalMessage::Summary(Box::new(summary)))
    }

    /// Waits until all that was sent is written, at most so long: before the program is suspended. Whether it is.
    pub fn flush(&mut self, timeout: Duration) -> bool {
        let (result_sender, result_receiver) = channel();
        let sent = self
            .sender
            .as_ref()
            .is_some_and(|outbox| outbox.send(JournalMessage::Flush(result_sender)).is_ok());
        sent && result_receiver.recv_timeout(timeout).unwrap_or(false)
    }

    fn send(&self, size: usize, message: JournalMessage<B, H>) -> SendResult {
        let Some(outbox) = self.sender.as_ref().filter(|_| self.queue_state.has_room(size)) else {
            return SendResult::Dropped;
        };
        self.queue_state.reserve(size);
        match outbox.send(message) {
            Ok(()) => SendResult::Queued,
            Err(_) => {
                self.queue_state.release(1, size); // the thread has ended: the file is not to be touched
                SendResult::Dropped
            }
        }
    }
}

impl<B, H> Journal<B, H> {
    /// Ends it, as dropping does. Returns how many pieces were not written, though the file is one to write.
    pub fn close(mut self) -> usize {
        self.shut_down(CLOSE_TIMEOUT);
        let is_left_alone = self.queue_state.is_writing_refused.load(Ordering::Relaxed);
        if is_left_alone { 0 } else { self.queue_state.queued.load(Ordering::Relaxed) }
    }

    /// Lets the writer end, and waits for that. Returns true if it ended within `timeout`.
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
