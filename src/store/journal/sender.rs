//! The sender's end: takes what is to be written, and never waits for it to be.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::batch::Message;
use super::writer::Writer;
use super::{Entry, Fate, Segment, Summary, Trouble};
use crate::store::writer_thread::WriterThread;
use keepwatch_core::clock::Clock;

/// What may wait to be written: so many pieces, of so many bytes. A second of a thousand sessions is a tenth of it.
pub(super) const MOST_WAITING: usize = 20_000;
/// See [`MOST_WAITING`].
pub(super) const MOST_BYTES: usize = 32 * 1024 * 1024;
/// How long the end of the program waits for what is still to be written.
const FAREWELL: Duration = Duration::from_millis(500);

/// The file of the journal, and how long it keeps entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// The path of the file.
    pub path: PathBuf,
    /// How long entries are kept.
    pub keep: Duration,
}

/// How the journal is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// For how long.
    pub keep: Duration,
    /// How large the file may become, in bytes; a little more until the next pruning.
    pub most_bytes: u64,
    /// What time it is.
    pub clock: Clock,
    /// How many pages the file may have, where a test wants a full disk.
    #[cfg(test)]
    pub(super) most_pages: Option<i64>,
}

impl Options {
    /// 30 days and 200 MB.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            keep: Duration::from_secs(30 * 24 * 60 * 60),
            most_bytes: 200_000_000,
            clock,
            #[cfg(test)]
            most_pages: None,
        }
    }
}

/// What the sender and the writer both know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    waiting: AtomicUsize,
    bytes: AtomicUsize,
    /// The segment that is written is no more, or is long enough.
    over: AtomicBool,
    /// The thread has ended: nothing is taken any more.
    shut: AtomicBool,
    /// The file is none to write, as was told: nothing is missed there.
    left_alone: AtomicBool,
}

impl Shared {
    fn has_room(&self, weight: usize) -> bool {
        let bytes = self.bytes.load(Ordering::Relaxed);
        !self.shut.load(Ordering::Relaxed)
            && self.waiting.load(Ordering::Relaxed) < MOST_WAITING
            && bytes.saturating_add(weight) <= MOST_BYTES
    }

    fn add(&self, weight: usize) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(weight, Ordering::Relaxed);
    }

    /// So much is written, or was replaced by what came after it.
    pub(super) fn release(&self, pieces: usize, bytes: usize) {
        self.waiting.fetch_sub(pieces, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
    }

    pub(super) fn leave_alone(&self) {
        self.left_alone.store(true, Ordering::Relaxed);
    }

    pub(super) fn end_segment(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// A journal that is being written, by a thread of its own. Entries have a `B` for their body, segments an `H` for their
/// header. Dropping it ends it: what waits is written, if that takes no longer than half a second.
#[derive(Debug)]
pub struct Journal<B, H = Value> {
    /// `None` while it is being dropped.
    outbox: Option<Sender<Message<B, H>>>,
    shared: Arc<Shared>,
    /// Whether there is a segment without a hole.
    is_whole: bool,
    /// `None` if no thread could be started.
    thread: Option<WriterThread>,
}

impl<B: Serialize + Send + 'static, H: Serialize + Send + 'static> Journal<B, H> {
    /// Starts the thread that opens and writes the file at `path`, and returns at once. What is wrong with it, now or
    /// later, is told to `on_trouble` on that thread.
    pub fn spawn(path: PathBuf, options: Options, on_trouble: impl Fn(Trouble) + Send + 'static) -> Self {
        let (outbox, inbox) = channel();
        let shared = Arc::<Shared>::default();
        let writer = Writer::new(path, options, on_trouble, Arc::clone(&shared), inbox);
        // Without a thread the queue is closed, and everything that is sent is dropped.
        let thread = WriterThread::spawn("journal", move || writer.run()).ok();
        Self { outbox: Some(outbox), shared, is_whole: false, thread }
    }

    /// Whether a segment that is begun now would be taken: worth asking before a large header is made.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.shared.has_room(0)
    }

    /// Begins a segment; what follows belongs to it.
    pub fn begin(&mut self, segment: Segment<H>) -> Fate {
        let weight = segment.weight;
        self.is_whole = self.send(weight, Message::Begin(segment)) == Fate::Taken;
        self.shared.over.store(false, Ordering::Relaxed);
        if self.is_whole { Fate::Taken } else { Fate::Dropped }
    }

    /// Adds an entry to the segment, or replaces the one in its place. Without a segment, or with one that has a hole,
    /// nothing is taken.
    pub fn entry(&mut self, entry: Entry<B>) -> Fate {
        if !self.is_whole || self.shared.over.load(Ordering::Relaxed) {
            self.is_whole = false;
            return Fate::Dropped;
        }
        let weight = entry.weight;
        let fate = self.send(weight, Message::Entry(entry));
        self.is_whole = fate == Fate::Taken;
        fate
    }

    /// Replaces what this run said of a session. If it is dropped, the segment has no hole by it.
    pub fn summary(&mut self, summary: Summary) -> Fate {
        let weight = summary.weight();
        self.send(weight, Message::Summary(Box::new(summary)))
    }

    /// Waits until all that was sent is written, at most so long: before the program is suspended. Whether it is.
    pub fn flush(&mut self, at_most: Duration) -> bool {
        let (tell, told) = channel();
        let sent = self.outbox.as_ref().is_some_and(|outbox| outbox.send(Message::Flush(tell)).is_ok());
        sent && told.recv_timeout(at_most).unwrap_or(false)
    }

    fn send(&self, weight: usize, message: Message<B, H>) -> Fate {
        let Some(outbox) = self.outbox.as_ref().filter(|_| self.shared.has_room(weight)) else {
            return Fate::Dropped;
        };
        self.shared.add(weight);
        match outbox.send(message) {
            Ok(()) => Fate::Taken,
            Err(_) => {
                self.shared.release(1, weight); // the thread has ended: the file is not to be touched
                Fate::Dropped
            }
        }
    }
}

impl<B, H> Journal<B, H> {
    /// Ends it, as dropping does. Returns how many pieces were not written, though the file is one to write.
    pub fn close(mut self) -> usize {
        self.end(FAREWELL);
        let is_left_alone = self.shared.left_alone.load(Ordering::Relaxed);
        if is_left_alone { 0 } else { self.shared.waiting.load(Ordering::Relaxed) }
    }

    /// Lets the writer end, and waits for that. Returns true if it ended within `timeout`.
    pub(super) fn end(&mut self, timeout: Duration) -> bool {
        self.outbox = None;
        self.thread.as_ref().is_none_or(|thread| thread.wait(timeout))
    }
}

impl<B, H> Drop for Journal<B, H> {
    fn drop(&mut self) {
        if self.outbox.is_some() {
            self.end(FAREWELL);
        }
    }
}
