//! Reads and writes file descriptors that may be non-blocking.
//!
//! keepwatch shares its standard streams with other programs, and each program can set `O_NONBLOCK` for all of them. A
//! read or a write then fails with `EAGAIN`, possibly in the middle of a line. [`WaitingIo`] waits with poll(2) instead.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use filedescriptor::{POLLIN, POLLOUT, pollfd};
use rustix::io::Errno;

/// A reader and writer that waits until its file descriptor is ready. It has no buffer.
#[derive(Debug)]
pub(crate) struct WaitingIo<F>(F);

impl<F: AsFd> WaitingIo<F> {
    /// Wraps a file descriptor, which may be blocking or non-blocking.
    pub(crate) fn new(fd: F) -> Self {
        Self(fd)
    }

    /// Calls `operation` until it succeeds or fails for good. While the operation would block, waits for `poll_events`:
    /// flags of poll(2), such as `POLLIN`.
    fn retry<T>(
        &self,
        poll_events: i16,
        mut operation: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> io::Result<T> {
        loop {
            match operation(self.0.as_fd()) {
                Err(Errno::INTR) => {}
                // promise: nonblocking-output
                Err(Errno::AGAIN) => self.wait(poll_events)?,
                result => return Ok(result?),
            }
        }
    }

    fn wait(&self, poll_events: i16) -> io::Result<()> {
        let mut fds = [pollfd { fd: self.0.as_fd().as_raw_fd(), events: poll_events, revents: 0 }];
        // On macOS, the system's poll() does not work for terminals. `filedescriptor::poll` works for them.
        match filedescriptor::poll(&mut fds, None) {
            Err(filedescriptor::Error::Poll(error) | filedescriptor::Error::Io(error))
                if error.kind() != io::ErrorKind::Interrupted =>
            {
                Err(error)
            }
            Ok(_) | Err(_) => Ok(()), // the next read or write finds the error, if there is one
        }
    }
}

impl<F: AsFd> Read for WaitingIo<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.retry(POLLIN, |fd| rustix::io::read(fd, &mut *buffer))
    }
}

impl<F: AsFd> Write for WaitingIo<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.retry(POLLOUT, |fd| rustix::io::write(fd, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // there is no buffer
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    #[test]
    fn full_socket_is_waited_for() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let sent = vec![b'x'; 4 << 20]; // 4 MiB, more than a socket's buffer holds
        let bytes = sent.clone();
        let writer = thread::spawn(move || WaitingIo::new(ours).write_all(&bytes));
        let mut received = vec![0; sent.len()];
        theirs.read_exact(&mut received).unwrap();
        writer.join().unwrap().unwrap();
        assert!(received == sent, "every byte must arrive");
    }

    #[test]
    fn empty_socket_is_waited_for() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let reader = thread::spawn(move || {
            let mut text = String::new();
            WaitingIo::new(ours).read_to_string(&mut text).map(|_| text)
        });
        theirs.write_all(b"a line").unwrap();
        drop(theirs);
        assert_eq!(reader.join().unwrap().unwrap(), "a line");
    }
}
