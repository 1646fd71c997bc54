//! The thread that writes, and the way to it, which never waits.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tracing::Level;

use super::file::LogFile;
use super::line_format;
use keepwatch_core::clock::Clock;

/// So many lines may wait for the disk, of 4 kB at most.
const MAX_QUEUED_LINES: usize = 1000;

/// Tells somebody a sentence.
type ErrorHandler = Box<dyn Fn(String) + Send>;

/// What the writer is sent.
pub(super) enum LogMessage {
    /// To be written.
    Line(String),
    /// What is wrong is said here from now on.
    SetErrorHandler(ErrorHandler),
    /// To be answered once all that came before is written.
    Flush(Sender<()>),
}

/// What both ends know.
#[derive(Debug, Default)]
struct LogCounters {
    queued: AtomicUsize,
    /// Lines that were not written, and of which the log does not say so yet.
    lost: AtomicUsize,
}

/// The way to the writer.
pub(super) struct LogSender {
    messages: Sender<LogMessage>,
    counters: Arc<LogCounters>,
}

impl fmt::Debug for LogSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbox({:?})", self.counters)
    }
}

impl LogSender {
    /// Starts the thread that writes to `file`, which is called `name`. What is wrong with it is said to `tell`, once.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn spawn(
        file: LogFile,
        name: String,
        clock: Clock,
        on_error: impl Fn(String) + Send + 'static,
    ) -> io::Result<Self> {
        let (outbox, inbox) = Self::channel();
        let shared = Arc::clone(&outbox.counters);
        let writer = LogWriter {
            file,
            file_name: name,
            clock,
            on_error: Box::new(on_error),
            has_reported_error: false,
            counters: shared,
        };
        std::thread::Builder::new().name("log".into()).spawn(move || writer.run(&inbox))?;
        Ok(outbox)
    }

    /// A way to nobody yet.
    pub(super) fn channel() -> (Self, Receiver<LogMessage>) {
        let (messages, inbox) = channel();
        (Self { messages, counters: Arc::default() }, inbox)
    }

    /// Passes a line on; it is lost where too many wait already.
    pub(super) fn send_line(&self, line: String) {
        // promise: log-queue, mutant: MAX_QUEUED_LINES -> usize::MAX
        if self.counters.queued.fetch_add(1, Ordering::Relaxed) < MAX_QUEUED_LINES
            && self.messages.send(LogMessage::Line(line)).is_ok()
        {
            return;
        }
        self.counters.queued.fetch_sub(1, Ordering::Relaxed);
        self.counters.lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_error_handler(&self, handler: ErrorHandler) {
        let _ = self.messages.send(LogMessage::SetErrorHandler(handler)); // a writer that is gone has nothing to say
    }

    /// Waits until all that was passed on is written, but no longer than `limit`.
    pub(super) fn flush(&self, timeout: Duration) {
        let (done, done_receiver) = channel();
        if self.messages.send(LogMessage::Flush(done)).is_ok() {
            let _ = done_receiver.recv_timeout(timeout);
        }
    }
}

struct LogWriter {
    file: LogFile,
    file_name: String,
    clock: Clock,
    on_error: ErrorHandler,
    /// Whether somebody was told that something is wrong.
    has_reported_error: bool,
    counters: Arc<LogCounters>,
}

impl LogWriter {
    fn run(mut self, inbox: &Receiver<LogMessage>) {
        while let Ok(message) = inbox.recv() {
            match message {
                LogMessage::Line(line) => {
                    self.counters.queued.fetch_sub(1, Ordering::Relaxed);
                    self.write(&line, 1);
                }
                LogMessage::SetErrorHandler(tell) => self.on_error = tell,
                LogMessage::Flush(done) => {
                    self.write("", 0);
                    let _ = done.send(()); // who gave up waiting need not know
                }
            }
        }
    }

    /// Writes `text`, so many lines, after a word about those that are missing before it.
    fn write(&mut self, text: &str, lines: usize) {
        let lost = self.counters.lost.swap(0, Ordering::Relaxed);
        let mut all = String::new();
        if lost > 0 {
            let what = format!("{lost} lines are missing here: the disk was too slow, or full");
            all = line_format::format_line(self.clock.now().wall, Level::WARN, "log", &what);
        }
        all.push_str(text);
        if all.is_empty() {
            return;
        }
        if let Err(error) = self.file.write(all.as_bytes()) {
            self.counters.lost.fetch_add(lost.saturating_add(lines), Ordering::Relaxed);
            if !std::mem::replace(&mut self.has_reported_error, true) {
                (self.on_error)(format!("the log {} can not be written: {error}", self.file_name));
            }
        }
    }
}
