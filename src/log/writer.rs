//! The thread that writes, and the way to it, which never waits.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tracing::Level;

use super::file::LogFile;
use super::line;
use keepwatch_core::clock::Clock;

/// So many lines may wait for the disk, of 4 kB at most.
const MOST_WAITING: usize = 1000;

/// Tells somebody a sentence.
type Tell = Box<dyn Fn(String) + Send>;

/// What the writer is sent.
pub(super) enum Message {
    /// To be written.
    Line(String),
    /// What is wrong is said here from now on.
    Tell(Tell),
    /// To be answered once all that came before is written.
    Flush(Sender<()>),
}

/// What both ends know.
#[derive(Debug, Default)]
struct Shared {
    waiting: AtomicUsize,
    /// Lines that were not written, and of which the log does not say so yet.
    lost: AtomicUsize,
}

/// The way to the writer.
pub(super) struct Outbox {
    to: Sender<Message>,
    shared: Arc<Shared>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbox({:?})", self.shared)
    }
}

impl Outbox {
    /// Starts the thread that writes to `file`, which is called `name`. What is wrong with it is said to `tell`, once.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn to(
        file: LogFile,
        name: String,
        clock: Clock,
        tell: impl Fn(String) + Send + 'static,
    ) -> io::Result<Self> {
        let (outbox, inbox) = Self::pair();
        let shared = Arc::clone(&outbox.shared);
        let writer = Writer { file, name, clock, tell: Box::new(tell), told: false, shared };
        std::thread::Builder::new().name("log".into()).spawn(move || writer.run(&inbox))?;
        Ok(outbox)
    }

    /// A way to nobody yet.
    pub(super) fn pair() -> (Self, Receiver<Message>) {
        let (to, inbox) = channel();
        (Self { to, shared: Arc::default() }, inbox)
    }

    /// Passes a line on; it is lost where too many wait already.
    pub(super) fn line(&self, line: String) {
        // promise: log-queue, mutant: MOST_WAITING -> usize::MAX
        if self.shared.waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING
            && self.to.send(Message::Line(line)).is_ok()
        {
            return;
        }
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        self.shared.lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn tell(&self, how: Tell) {
        let _ = self.to.send(Message::Tell(how)); // a writer that is gone has nothing to say
    }

    /// Waits until all that was passed on is written, but no longer than `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        let (done, is_done) = channel();
        if self.to.send(Message::Flush(done)).is_ok() {
            let _ = is_done.recv_timeout(limit);
        }
    }
}

struct Writer {
    file: LogFile,
    name: String,
    clock: Clock,
    tell: Tell,
    /// Whether somebody was told that something is wrong.
    told: bool,
    shared: Arc<Shared>,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Message>) {
        while let Ok(message) = inbox.recv() {
            match message {
                Message::Line(line) => {
                    self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.write(&line, 1);
                }
                Message::Tell(tell) => self.tell = tell,
                Message::Flush(done) => {
                    self.write("", 0);
                    let _ = done.send(()); // who gave up waiting need not know
                }
            }
        }
    }

    /// Writes `text`, so many lines, after a word about those that are missing before it.
    fn write(&mut self, text: &str, lines: usize) {
        let lost = self.shared.lost.swap(0, Ordering::Relaxed);
        let mut all = String::new();
        if lost > 0 {
            let what = format!("{lost} lines are missing here: the disk was too slow, or full");
            all = line::line(self.clock.now().wall, Level::WARN, "log", &what);
        }
        all.push_str(text);
        if all.is_empty() {
            return;
        }
        if let Err(error) = self.file.write(all.as_bytes()) {
            self.shared.lost.fetch_add(lost.saturating_add(lines), Ordering::Relaxed);
            if !std::mem::replace(&mut self.told, true) {
                (self.tell)(format!("the log {} can not be written: {error}", self.name));
            }
        }
    }
}
