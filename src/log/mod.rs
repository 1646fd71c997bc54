//! The log file: a record of the program's actions, for debugging. It exists only if the user names one, for example
//! with `--log FILE`.
//!
//! ```text
//!   tracing's macros ──► subscriber ──► line ──► queue ──► writer thread ──► file       FILE, older lines in FILE.1
//!   (at every effect)    our events     one,     bounded                     private,
//!                        only           sanitised                            rotated by size
//! ```
//!
//! Without a log file there is no subscriber, and a macro only reads one variable. With a log file, a macro never waits
//! for the disk, and wakes only the writer thread. If the disk is full or slow, lines are dropped and counted, only the
//! first error is reported, and the program continues.
//!
//! The log contains no secrets: [`Secret`](keepwatch_core::session::Secret) redacts known secrets, and [`text`] redacts
//! text that looks like a secret, as on the screen. Events of other crates are dropped, because they may contain
//! request headers.

mod clock_events;
mod file;
mod line_format;
mod panic_hook;
mod subscriber;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::time::Duration;

use tracing::dispatcher::get_default;

pub use clock_events::log_clock_changes;
use file::LogFile;
use keepwatch_core::clock::Clock;
use keepwatch_core::text;
pub use panic_hook::{install_panic_hook, log_panic};
use subscriber::LogSubscriber;
use writer::LogSender;

/// The maximum size of the file, in bytes. It is enough for a few days of polling a project every 3 s.
const MAX_FILE_BYTES: u64 = 10 * 1024 * 1024;
/// The maximum time that a normal exit waits for the writer thread.
const EXIT_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);
/// The maximum time that an exit without destructors waits for the writer thread.
const ABRUPT_EXIT_FLUSH_TIMEOUT: Duration = Duration::from_millis(100);
/// The maximum width of a path in a message, in columns.
const MAX_PATH_COLUMNS: usize = 200;

/// A guard of the running log. Dropping the guard flushes the log.
#[derive(Debug)]
pub struct LogGuard(());

/// Starts the log in the file `path`. Later write errors go to `on_error`, until [`set_error_handler`] replaces it.
///
/// # Errors
/// Returns a message if the file is a symbolic link, is another user's, is not a log, or cannot be opened.
pub fn start(path: &Path, on_error: impl Fn(String) + Send + 'static) -> Result<LogGuard, String> {
    let name = text::sanitise(&path.to_string_lossy(), MAX_PATH_COLUMNS);
    let error_message = |reason: String| format!("the log {name} can not be written: {reason}");
    let file = LogFile::open(path, MAX_FILE_BYTES).map_err(|error| error_message(error.to_string()))?;
    let clock = Clock::system();
    let sender = LogSender::spawn(file, name.clone(), clock.clone(), on_error);
    let subscriber = LogSubscriber::new(sender.map_err(|error| error_message(error.to_string()))?, clock);
    tracing::subscriber::set_global_default(subscriber).map_err(|error| error_message(error.to_string()))?;
    Ok(LogGuard(()))
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        flush(EXIT_FLUSH_TIMEOUT);
    }
}

/// Sends later errors of the log to `handler`, such as one that shows them on the screen. Does nothing without a log.
pub fn set_error_handler(handler: impl Fn(String) + Send + 'static) {
    with_sender(|sender| sender.set_error_handler(Box::new(handler)));
}

/// Waits until the log is written, but at most `ABRUPT_EXIT_FLUSH_TIMEOUT`. Call this before the process ends without
/// running destructors.
pub fn flush_before_exit() {
    flush(ABRUPT_EXIT_FLUSH_TIMEOUT);
}

fn flush(timeout: Duration) {
    with_sender(|sender| sender.flush(timeout));
}

/// Calls `action` with the sender of the running log. Does nothing without a log.
fn with_sender(action: impl FnOnce(&LogSender)) {
    let dispatch = get_default(Clone::clone);
    if let Some(subscriber) = dispatch.downcast_ref::<LogSubscriber>() {
        action(subscriber.sender());
    }
}
