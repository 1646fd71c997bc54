//! A thread that writes to the disk. The caller can wait with a timeout until the thread ends, which `JoinHandle::join`
//! cannot do.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// A running writer thread. It ends when the closure returns, usually because its queue was closed.
#[derive(Debug)]
pub(super) struct WriterThread {
    /// Never receives a value. Disconnects when the thread ends, because the thread drops the sender.
    ended: Receiver<()>,
}

impl WriterThread {
    /// Starts a thread with this name that runs `write`.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(super) fn spawn(name: &str, write: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (end_guard, ended) = channel::<()>();
        thread::Builder::new().name(name.into()).spawn(move || {
            write();
            drop(end_guard);
        })?;
        Ok(Self { ended })
    }

    /// Waits for the thread to end. Returns true if it ended within `timeout`.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        self.ended.recv_timeout(timeout) == Err(RecvTimeoutError::Disconnected)
    }
}
