//! The log: what the program did, for who looks for a fault in it. There is none unless it is asked for (`--log FILE`).
//!
//! ```text
//!   tracing's macros ──► subscriber ──► line ──► queue ──► the writer's thread ──► file     FILE, and FILE.1 before it
//!   (wherever effects    ours alone     one,      bounded                           private, rotated by size
//!    happen)                            harmless
//! ```
//!
//! Without a log there is no subscriber, and such a macro costs one load. With one, it never waits for the disk, and wakes
//! nobody but the writer's thread. What can not be written is counted and said once, and disturbs nothing else.
//!
//! No secret is in it: those that are known to be one are masked by their type, and what looks like one is masked by `text`,
//! as on the screen. What other crates say to `tracing` (their lines may hold headers) never gets in.

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

/// A file becomes no larger than this, in bytes: some days of a project that is polled each 3 s.
const MAX_FILE_BYTES: u64 = 10 * 1024 * 1024;
/// How long the end of the program waits for what is still to be written.
const EXIT_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);
/// How long an end that can not wait does all the same.
const ABRUPT_EXIT_FLUSH_TIMEOUT: Duration = Duration::from_millis(100);
/// The widest path in a sentence, in columns.
const MAX_PATH_COLUMNS: usize = 200;

/// The log while it is written. It is whole once this is dropped.
#[derive(Debug)]
pub struct LogGuard(());

/// Logs into `path` from now on. Until [`set_error_handler`] says otherwise, that it can not be is said to `tell_first`.
///
/// # Errors
/// A sentence, if the file is not to be written: a link, another user's, none that can be opened.
pub fn start(path: &Path, on_error: impl Fn(String) + Send + 'static) -> Result<LogGuard, String> {
    let name = text::sanitise(&path.to_string_lossy(), MAX_PATH_COLUMNS);
    let error_message = |why: String| format!("the log {name} can not be written: {why}");
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

/// From now on, what is wrong with the log, if there is one, is told here: on the screen while there is one.
pub fn set_error_handler(handler: impl Fn(String) + Send + 'static) {
    with_sender(|outbox| outbox.set_error_handler(Box::new(handler)));
}

/// Waits until what was logged is written, for the blink of an eye: the process is about to end without its destructors.
pub fn flush_before_exit() {
    flush(ABRUPT_EXIT_FLUSH_TIMEOUT);
}

fn flush(timeout: Duration) {
    with_sender(|outbox| outbox.flush(timeout));
}

fn with_sender(action: impl FnOnce(&LogSender)) {
    let dispatch = get_default(Clone::clone);
    if let Some(subscriber) = dispatch.downcast_ref::<LogSubscriber>() {
        action(subscriber.sender());
    }
}
