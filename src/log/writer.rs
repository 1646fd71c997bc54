//! The writer thread of the log, and its queue. Senders never block.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::Level;

use super::file::LogFile;
use super::line_format;
use keepwatch_core::clock::Clock;

/// The maximum number of queued lines. A line has at most 4 kB.
const MAX_QUEUED_LINES: usize = 1000;

/// A callback that reports an error message to the user.
type ErrorHandler = Box<dyn Fn(String) + Send>;

/// A message to the writer thread.
pub(super) enum LogMessage {
    /// A line to write.
    Line(String),
    /// The number of lines that were lost before the next line. They found the queue full.
    Lost(usize),
    /// A marker. The writer thread confirms that all lines before it are written.
    Flush(Sender<()>),
}

/// Counters shared by the senders and the writer thread.
#[derive(Debug, Default)]
struct LogCounters {
    /// The number of lines in the queue.
    queued: AtomicUsize,
    /// The number of lines that were lost since the newest message was queued.
    lost: AtomicUsize,
}

/// The sending end of the queue.
pub(super) struct LogSender {
    messages: Sender<LogMessage>,
    counters: Arc<LogCounters>,
    /// The handler of write errors. It is shared, not sent through the queue, so that a new handler gets the errors of
    /// lines that are queued already.
    on_error: Arc<Mutex<ErrorHandler>>,
}

impl fmt::Debug for LogSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogSender({:?})", self.counters)
    }
}

impl LogSender {
    /// Starts the thread that writes to `file`. The first write error goes to `on_error`, in a message that names the
    /// file as `file_name`.
    ///
    /// # Errors
    /// Returns an error if the thread cannot be started.
    pub(super) fn spawn(
        file: LogFile,
        file_name: String,
        clock: Clock,
        on_error: impl Fn(String) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = Self::channel(Box::new(on_error));
        let writer = sender.writer(file, file_name, clock);
        std::thread::Builder::new().name("log".into()).spawn(move || writer.run(&receiver))?;
        Ok(sender)
    }

    /// Returns both ends of a new queue.
    pub(super) fn channel(on_error: ErrorHandler) -> (Self, Receiver<LogMessage>) {
        let (messages, receiver) = channel();
        let on_error = Arc::new(Mutex::new(on_error));
        (Self { messages, counters: Arc::default(), on_error }, receiver)
    }

    /// Creates the state of the writer thread, which writes this queue to `file`.
    pub(super) fn writer(&self, file: LogFile, file_name: String, clock: Clock) -> LogWriter {
        let (counters, on_error) = (Arc::clone(&self.counters), Arc::clone(&self.on_error));
        LogWriter { file, file_name, clock, on_error, has_reported_error: false, missing_lines: 0, counters }
    }

    /// Queues a line. If the queue is full, drops the line and counts it as lost.
    pub(super) fn send_line(&self, line: String) {
        // promise: log-queue, mutant: MAX_QUEUED_LINES -> usize::MAX
        if self.counters.queued.fetch_add(1, Ordering::Relaxed) < MAX_QUEUED_LINES
            && self.send(LogMessage::Line(line))
        {
            return;
        }
        self.counters.queued.fetch_sub(1, Ordering::Relaxed);
        self.counters.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Queues a message, after the number of lines that were lost since the previous one. Returns false if the writer
    /// thread has ended.
    fn send(&self, message: LogMessage) -> bool {
        let lost = self.counters.lost.swap(0, Ordering::Relaxed);
        (lost == 0 || self.messages.send(LogMessage::Lost(lost)).is_ok())
            && self.messages.send(message).is_ok()
    }

    /// Replaces the handler of write errors.
    pub(super) fn set_error_handler(&self, handler: ErrorHandler) {
        *self.on_error.lock().unwrap_or_else(PoisonError::into_inner) = handler;
    }

    /// Waits until all queued lines are written, but no longer than `timeout`.
    pub(super) fn flush(&self, timeout: Duration) {
        let (done, done_receiver) = channel();
        if self.send(LogMessage::Flush(done)) {
            let _ = done_receiver.recv_timeout(timeout);
        }
    }
}

/// The state of the writer thread.
pub(super) struct LogWriter {
    file: LogFile,
    file_name: String,
    clock: Clock,
    on_error: Arc<Mutex<ErrorHandler>>,
    /// True after the first error. Later errors are not reported.
    has_reported_error: bool,
    /// The number of lines that are missing at the end of the file: lost lines, and lines of failed writes.
    missing_lines: usize,
    counters: Arc<LogCounters>,
}

impl LogWriter {
    /// Handles messages until all senders are dropped.
    pub(super) fn run(mut self, receiver: &Receiver<LogMessage>) {
        loop {
            let next = receiver.try_recv().or_else(|_| {
                // The queue is empty, so the lines that were lost belong at the end of the file.
                let lost = self.counters.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    self.handle(LogMessage::Lost(lost));
                    self.write("", 0);
                }
                receiver.recv()
            });
            let Ok(message) = next else { return };
            self.handle(message);
        }
    }

    /// Writes a line, counts lost lines, or confirms a flush.
    pub(super) fn handle(&mut self, message: LogMessage) {
        match message {
            LogMessage::Line(line) => {
                self.counters.queued.fetch_sub(1, Ordering::Relaxed);
                self.write(&line, 1);
            }
            LogMessage::Lost(count) => self.missing_lines = self.missing_lines.saturating_add(count),
            LogMessage::Flush(done) => {
                self.write("", 0); // writes the warning, if lines are missing
                let _ = done.send(()); // the caller may have timed out
            }
        }
    }

    /// Writes `text`, which has `line_count` lines. If lines are missing before it, writes a warning first.
    fn write(&mut self, text: &str, line_count: usize) {
        let mut output = String::new();
        if self.missing_lines > 0 {
            let warning =
                format!("{} lines are missing here: the disk was too slow, or full", self.missing_lines);
            output = line_format::format_line(self.clock.now().wall, Level::WARN, "log", &warning);
        }
        output.push_str(text);
        if output.is_empty() {
            return;
        }
        if let Err(error) = self.file.write(output.as_bytes()) {
            self.missing_lines = self.missing_lines.saturating_add(line_count);
            if !std::mem::replace(&mut self.has_reported_error, true) {
                let on_error = self.on_error.lock().unwrap_or_else(PoisonError::into_inner);
                on_error(format!("the log {} can not be written: {error}", self.file_name));
            }
        } else {
            self.missing_lines = 0;
        }
    }
}
