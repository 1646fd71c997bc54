//! A thread that writes to the disk, and whose end can be awaited for a limited time: `JoinHandle::join` has no limit.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// A running writer. It ends by itself when its queue is closed.
#[derive(Debug)]
pub(super) struct WriterThread {
    /// Carries nothing: the thread drops the sender when it ends.
    ended: Receiver<()>,
}

impl WriterThread {
    /// Starts a thread with this name.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn spawn(name: &str, write: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (end, ended) = channel::<()>();
        thread::Builder::new().name(name.into()).spawn(move || {
            write();
            drop(end);
        })?;
        Ok(Self { ended })
    }

    /// Waits for the end of the thread. Returns true if it ended within `timeout`.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        self.ended.recv_timeout(timeout) == Err(RecvTimeoutError::Disconnected)
    }
}
