//! The terminal writer: owns the queue of bytes for the terminal, the thread that writes them, and the terminal's
//! modes.
//!
//! ```text
//!   closed ──open──► open ◄──────► queue not empty (not ready; the thread waits until the terminal accepts more)
//!      ▲               │
//!      └─── close ─────┘   writes the remaining queue for at most 300 ms, then restores the terminal in at most 200 ms
//! ```
//!
//! The writer opens the terminal a second time, with the flag `O_NONBLOCK`. Setting the flag on standard output would
//! also set it for the shell, which shares the open file. With the flag, a write never blocks. Only the writer thread
//! waits, and [`Tty::close`] can write in its place at any time. While the writer is closed, as in a stopped program,
//! nothing is written.
//!
//! If a write fails, the terminal hung up, and the process exits silently.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, thread};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::queue;
use crossterm::style::{Attribute, SetAttribute};
use crossterm::terminal::{
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, SetTitle, disable_raw_mode,
    enable_raw_mode,
};
use ratatui::layout::Size;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{QueueSelector, tcflush, tcgetpgrp, tcgetsid, tcgetwinsize, ttyname};

use super::{TermEvent, TermEventSender, send_nonblocking, signals};

/// The maximum time that closing waits for the queue to be written.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(300);
/// The maximum time that closing waits for the terminal to accept the sequences that restore it.
const RESTORE_TIMEOUT: Duration = Duration::from_millis(200);
/// The queue length, in bytes, at which the queue rejects further bytes. A frame of any length is accepted, because
/// frames are sent only while the queue is empty. The longest other item is an OSC 52 sequence of 75 kB.
const MAX_QUEUED_BYTES: usize = 256 * 1024;

/// The terminal, shared by all threads that write to it or restore it.
pub(super) struct Tty {
    fd: OwnedFd,
    outbox: Mutex<Outbox>,
    /// Notified when the queue gets bytes and when it becomes empty.
    changed: Condvar,
    events: TermEventSender,
}

/// The queue and the state of the terminal.
#[derive(Default)]
struct Outbox {
    /// The queue: bytes that are not yet written.
    bytes: Vec<u8>,
    /// True if raw mode and the alternate screen are on.
    is_open: bool,
    /// True if [`Tty::is_ready`] returned false, so that [`TermEvent::WriterReady`] must follow.
    notify_when_ready: bool,
    /// True if the terminal possibly no longer shows the last frame.
    needs_full_redraw: bool,
    /// The window's title, without control characters.
    title: String,
}

/// Opens the terminal of standard output a second time, non-blocking.
pub(super) fn open_tty() -> io::Result<OwnedFd> {
    // promise: nonblocking-tty, mutant: OFlags::NONBLOCK -> OFlags::empty()
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let stdout = rustix::stdio::stdout();
    if let Ok(name) = ttyname(stdout, Vec::new())
        && let Ok(fd) = rustix::fs::open(name, flags, Mode::empty())
    {
        return Ok(fd);
    }
    // After `su` the terminal belongs to another user, and in a container it may have no name. The controlling terminal
    // can always be opened as /dev/tty, but standard output may be another terminal. In that case, tcgetsid fails.
    tcgetsid(stdout)?;
    Ok(rustix::fs::open("/dev/tty", flags, Mode::empty())?)
}

impl Tty {
    /// Starts the writer thread for `fd`, which must be non-blocking. Does not change the terminal yet.
    pub(super) fn start(fd: OwnedFd, title: &str, events: TermEventSender) -> io::Result<Arc<Self>> {
        let outbox = Mutex::new(Outbox { title: strip_control_chars(title), ..Outbox::default() });
        let tty = Arc::new(Self { fd, outbox, changed: Condvar::new(), events });
        let writer = Arc::clone(&tty);
        thread::Builder::new().name("writer".into()).spawn(move || writer.write_loop())?;
        Ok(tty)
    }

    /// Returns the terminal's file descriptor.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Sends `event` to the event loop, without waiting.
    pub(super) fn send_event(&self, event: TermEvent) {
        send_nonblocking(&self.events, event);
    }

    /// Enters raw mode and the alternate screen, hides the cursor and sets the title. If the terminal is already open,
    /// sets raw mode again, because another program may have changed it.
    pub(super) fn open(&self) -> io::Result<()> {
        let mut outbox = self.lock();
        if outbox.is_open {
            // If crossterm believes that raw mode is on, `enable_raw_mode` does nothing.
            let _ = disable_raw_mode();
        }
        enable_raw_mode()?;
        let Outbox { bytes, is_open, needs_full_redraw, title, .. } = &mut *outbox;
        if !*is_open {
            queue!(bytes, EnterAlternateScreen)?; // the first frame clears the screen
            bytes.extend_from_slice(b"\x1b[22;0t"); // saves the title, which 23;0t restores
            queue!(bytes, SetTitle(&*title))?;
        }
        queue!(bytes, Hide, EnableBracketedPaste)?;
        (*is_open, *needs_full_redraw) = (true, true);
        self.changed.notify_all();
        Ok(())
    }

    /// Restores the terminal in at most half a second. Ignores errors, because the terminal may have hung up.
    pub(super) fn close(&self) {
        self.close_within(DRAIN_TIMEOUT);
    }

    /// Waits up to `drain_timeout` for the queue to be written. Then restores the terminal, as [`Tty::close`] does.
    fn close_within(&self, drain_timeout: Duration) {
        let mut outbox = self.lock();
        if !outbox.is_open {
            return;
        }
        outbox.is_open = false;
        (outbox, _) = self
            .changed
            .wait_timeout_while(outbox, drain_timeout, |outbox| !outbox.bytes.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        if !outbox.bytes.is_empty() {
            // The terminal is blocked. Dropping the output that it has not read makes room. That may cut a control
            // string in two, so end the string with ESC \.
            outbox.bytes.clear();
            let _ = tcflush(&self.fd, QueueSelector::OFlush);
            bytes.extend_from_slice(b"\x1b\\");
        }
        let _ = queue!(
            bytes,
            EndSynchronizedUpdate,
            SetAttribute(Attribute::Reset),
            DisableBracketedPaste,
            LeaveAlternateScreen,
            Show
        );
        bytes.extend_from_slice(b"\x1b[23;0t");
        let mut unwritten = bytes.as_slice();
        while !unwritten.is_empty() {
            match rustix::io::write(&self.fd, unwritten) {
                Ok(written) => unwritten = unwritten.get(written..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if self.wait(PollFlags::OUT, Some(RESTORE_TIMEOUT)) => {}
                Err(_) => break,
            }
        }
        // In the background, changing the mode would stop the process, and the shell has already set its own mode.
        if !self.is_in_background() {
            let _ = disable_raw_mode();
        }
    }

    /// True if the terminal is open and the queue is empty. If the terminal is open and the queue is not empty,
    /// [`TermEvent::WriterReady`] follows when the queue becomes empty.
    pub(super) fn is_ready(&self) -> bool {
        let mut outbox = self.lock();
        let is_ready = outbox.is_open && outbox.bytes.is_empty();
        outbox.notify_when_ready |= outbox.is_open && !is_ready;
        is_ready
    }

    /// Queues `bytes`. Returns false if the terminal is closed or the queue is full.
    pub(super) fn send(&self, bytes: &[u8]) -> bool {
        let mut outbox = self.lock();
        let is_accepted = outbox.is_open && outbox.bytes.len() < MAX_QUEUED_BYTES;
        if is_accepted {
            outbox.bytes.extend_from_slice(bytes);
            self.changed.notify_all();
        }
        is_accepted
    }

    /// Sets the window's title, now and after every stop.
    pub(super) fn set_title(&self, title: &str) {
        let title = strip_control_chars(title);
        let mut outbox = self.lock();
        if outbox.title != title {
            let mut bytes = Vec::new();
            let _ = queue!(bytes, SetTitle(&title));
            outbox.title = title;
            drop(outbox);
            self.send(&bytes);
        }
    }

    /// True if the next frame must be a full redraw. Resets the request.
    pub(super) fn take_full_redraw_request(&self) -> bool {
        std::mem::take(&mut self.lock().needs_full_redraw)
    }

    /// Requests that the next frame is a full redraw.
    pub(super) fn request_full_redraw(&self) {
        self.lock().needs_full_redraw = true;
    }

    /// Returns the terminal's size, limited by [`drawable_size`].
    pub(super) fn size(&self) -> Size {
        let (columns, rows) = tcgetwinsize(&self.fd).map_or((0, 0), |size| (size.ws_col, size.ws_row));
        drawable_size(columns, rows)
    }

    /// True if another job is in the foreground of the terminal.
    pub(super) fn is_in_background(&self) -> bool {
        is_in_background(&self.fd)
    }

    /// Waits for `events`, a hangup or an error. Returns false if `timeout` passes first. Without a
    /// `timeout`, the wait has no limit.
    pub(super) fn wait(&self, events: PollFlags, timeout: Option<Duration>) -> bool {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut fds = [PollFd::new(&self.fd, events)];
        loop {
            match poll(&mut fds, timeout.as_ref()) {
                Err(Errno::INTR) => {}
                Ok(0) => return false,
                Ok(_) | Err(_) => return true,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_loop(&self) -> ! {
        let mut outbox = self.lock();
        loop {
            outbox = self
                .changed
                .wait_while(outbox, |outbox| outbox.bytes.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            match rustix::io::write(&self.fd, &outbox.bytes) {
                Ok(written) => {
                    outbox.bytes.drain(..written);
                    if outbox.bytes.is_empty() {
                        self.changed.notify_all();
                        if std::mem::take(&mut outbox.notify_when_ready) {
                            self.send_event(TermEvent::WriterReady);
                        }
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    drop(outbox);
                    self.wait(PollFlags::OUT, None);
                    outbox = self.lock();
                }
                Err(_) => signals::exit_on_hangup(),
            }
        }
    }
}

/// True if another job is in the foreground of `terminal`.
pub(super) fn is_in_background(terminal: &impl AsFd) -> bool {
    tcgetpgrp(terminal).is_ok_and(|foreground| foreground != rustix::process::getpgrp())
}

/// Returns 80×24 if the size is unknown. Limits other sizes to 1024×512, so that the cells do not exhaust memory.
pub(super) fn drawable_size(columns: u16, rows: u16) -> Size {
    match (columns, rows) {
        (0, _) | (_, 0) => Size::new(80, 24),
        _ => Size::new(columns.min(1024), rows.min(512)),
    }
}

/// Removes control characters from a title, because they could end the escape sequence that sets the title.
fn strip_control_chars(title: &str) -> String {
    // promise: plain-title, mutant: !c.is_control() -> true
    title.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Returns a [`Tty`] on one end of a socket pair, the other end as its terminal, and its events. The terminal
    /// accepts nothing while the socket's buffer is full. [`Tty::open`] would change the terminal of the test runner,
    /// so this function sets `is_open` itself.
    fn tty_on_socket() -> (Arc<Tty>, UnixStream, tokio::sync::mpsc::Receiver<TermEvent>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (sender, events) = super::super::channel();
        let tty = Tty::start(ours.into(), "", sender).unwrap();
        tty.lock().is_open = true;
        (tty, theirs, events)
    }

    /// Sends bytes until the queue rejects them. Returns the number of bytes sent.
    fn fill_queue(tty: &Tty) -> usize {
        let mut sent = 0;
        while tty.send(&[b'x'; 64 * 1024]) {
            sent += 64 * 1024;
            // Far more than the queue and the socket's buffer can hold.
            assert!(sent < 64 << 20, "the queue must be bounded");
        }
        sent
    }

    #[test]
    fn full_queue_recovers_when_terminal_reads() {
        let (tty, mut terminal, mut events) = tty_on_socket();
        let sent = fill_queue(&tty);
        assert!(!tty.is_ready());
        terminal.read_exact(&mut vec![0; sent]).unwrap();
        assert!(matches!(events.blocking_recv(), Some(TermEvent::WriterReady)));
        assert!(tty.is_ready());
        assert!(tty.send(b"next"));
        let mut next = [0; 4];
        terminal.read_exact(&mut next).unwrap();
        assert_eq!(&next, b"next");
    }

    #[test]
    fn close_gives_up_on_blocked_terminal() {
        let (tty, _terminal, _events) = tty_on_socket();
        fill_queue(&tty);
        tty.close(); // returns although nobody reads from the terminal
        assert!(!tty.send(b"x"), "a closed terminal accepts nothing");
        tty.close(); // a second close does nothing
    }

    #[test]
    fn close_writes_the_queue_first() {
        let (tty, mut terminal, _events) = tty_on_socket();
        assert!(tty.send(b"last words"));
        tty.close_within(Duration::from_secs(60)); // a busy machine may not run the writer for a while
        drop(tty);
        // `ESC [ ? 2026 l` is the first of the sequences that restore the terminal.
        let mut received = vec![0; b"last words\x1b[?2026l".len()];
        terminal.read_exact(&mut received).unwrap();
        assert_eq!(received, b"last words\x1b[?2026l");
    }

    #[test]
    fn drawable_size_is_never_empty_or_huge() {
        assert_eq!(drawable_size(0, 0), Size::new(80, 24));
        assert_eq!(drawable_size(1, 1), Size::new(1, 1));
        assert_eq!(drawable_size(u16::MAX, u16::MAX), Size::new(1024, 512));
    }

    #[test]
    fn title_cannot_end_its_escape_sequence() {
        assert_eq!(strip_control_chars("a\x1b]0;b\x07\u{9c}c"), "a]0;bc");
    }
}
