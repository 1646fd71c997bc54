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

mod clocks;
mod file;
mod line;
mod panics;
mod subscriber;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::time::Duration;

use tracing::dispatcher::get_default;

pub use clocks::clocks;
use file::LogFile;
use keepwatch_core::clock::Clock;
use keepwatch_core::text;
pub use panics::{panicked, report_panics};
use subscriber::Subscriber;
use writer::Outbox;

/// A file becomes no larger than this, in bytes: some days of a project that is polled each 3 s.
const MOST_BYTES: u64 = 10 * 1024 * 1024;
/// How long the end of the program waits for what is still to be written.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long an end that can not wait does all the same.
const HASTE: Duration = Duration::from_millis(100);
/// The widest path in a sentence, in columns.
const WIDEST: usize = 200;

/// The log while it is written. It is whole once this is dropped.
#[derive(Debug)]
pub struct Log(());

/// Logs into `path` from now on. Until [`tell`] says otherwise, that it can not be is said to `tell_first`.
///
/// # Errors
/// A sentence, if the file is not to be written: a link, another user's, none that can be opened.
pub fn start(path: &Path, tell_first: impl Fn(String) + Send + 'static) -> Result<Log, String> {
    let name = text::shown(&path.to_string_lossy(), WIDEST);
    let refused = |why: String| format!("the log {name} can not be written: {why}");
    let file = LogFile::open(path, MOST_BYTES).map_err(|error| refused(error.to_string()))?;
    let clock = Clock::system();
    let outbox = Outbox::to(file, name.clone(), clock.clone(), tell_first);
    let subscriber = Subscriber::new(outbox.map_err(|error| refused(error.to_string()))?, clock);
    tracing::subscriber::set_global_default(subscriber).map_err(|error| refused(error.to_string()))?;
    Ok(Log(()))
}

impl Drop for Log {
    fn drop(&mut self) {
        flush(FAREWELL);
    }
}

/// From now on, what is wrong with the log, if there is one, is told here: on the screen while there is one.
pub fn tell(how: impl Fn(String) + Send + 'static) {
    with_outbox(|outbox| outbox.tell(Box::new(how)));
}

/// Waits until what was logged is written, for the blink of an eye: the process is about to end without its destructors.
pub fn hurry() {
    flush(HASTE);
}

fn flush(limit: Duration) {
    with_outbox(|outbox| outbox.flush(limit));
}

fn with_outbox(what: impl FnOnce(&Outbox)) {
    let dispatch = get_default(Clone::clone);
    if let Some(subscriber) = dispatch.downcast_ref::<Subscriber>() {
        what(subscriber.outbox());
    }
}
