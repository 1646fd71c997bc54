//! The writer: what is sent to the terminal, and the thread that waits for it.
//!
//! ```text
//!   closed ──open──► open ◄──────► queue not empty (not ready; the thread waits until the terminal takes more)
//!      ▲               │
//!      └─── close ─────┘   the rest of the queue, 300 ms at most; then the restoration, 200 ms at most
//! ```
//!
//! The terminal is opened a second time, non-blocking: the flag belongs to the open file, which standard output
//! shares with the shell. So a write never blocks, only the thread waits, and whoever closes can take over from it
//! at any moment. Nothing is written while closed, which is also the state of a stopped program.
//!
//! A terminal that fails is gone: the process ends, quietly.

use std::os::fd::OwnedFd;
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

use super::{TermEvent, TermEventSender, send_nonblocking, shutdown};

/// How long closing waits for the terminal to take what it was sent.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(300);
/// How long closing waits for the terminal to take the restoration.
const RESTORE_TIMEOUT: Duration = Duration::from_millis(200);
/// More than this is not queued behind a terminal that stands still. The largest piece is OSC 52's 75 kB.
const MAX_QUEUED_BYTES: usize = 256 * 1024;

/// The terminal, shared by all who write to it or give it back.
pub(super) struct Tty {
    fd: OwnedFd,
    outbox: Mutex<Outbox>,
    /// The queue got bytes, or lost its last.
    changed: Condvar,
    events: TermEventSender,
}

/// What is waiting to be written, and what the terminal was put into.
#[derive(Default)]
struct Outbox {
    bytes: Vec<u8>,
    /// Raw mode and the alternate screen are on.
    is_open: bool,
    /// Somebody was told "not ready" and hears when that changes.
    notify_when_ready: bool,
    /// The terminal no longer shows the last frame.
    needs_full_redraw: bool,
    bracketed_paste: bool,
    title: String,
}

/// Opens the terminal that standard output is.
pub(super) fn open_tty() -> io::Result<OwnedFd> {
    // promise: nonblocking-tty, mutant: OFlags::NONBLOCK -> OFlags::empty()
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let stdout = rustix::stdio::stdout();
    if let Ok(name) = ttyname(stdout, Vec::new())
        && let Ok(fd) = rustix::fs::open(name, flags, Mode::empty())
    {
        return Ok(fd);
    }
    // After `su` the terminal is another user's, and in a container it may have no name. The controlling
    // terminal can always be opened, but must be the same one: tcgetsid knows only that.
    tcgetsid(stdout)?;
    Ok(rustix::fs::open("/dev/tty", flags, Mode::empty())?)
}

impl Tty {
    /// Takes `fd`, which must be non-blocking, and starts the writer's thread. The terminal stays as it is.
    pub(super) fn start(fd: OwnedFd, title: &str, events: TermEventSender) -> io::Result<Arc<Self>> {
        let outbox = Mutex::new(Outbox { title: strip_control_chars(title), ..Outbox::default() });
        let tty = Arc::new(Self { fd, outbox, changed: Condvar::new(), events });
        let writer = Arc::clone(&tty);
        thread::Builder::new().name("writer".into()).spawn(move || writer.write_loop())?;
        Ok(tty)
    }

    /// The file that is the terminal.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Sends `event` to the loop, without waiting.
    pub(super) fn send_event(&self, event: TermEvent) {
        send_nonblocking(&self.events, event);
    }

    /// Raw mode, the alternate screen, no cursor, our title. On a terminal that is open already, makes sure that
    /// it still is: another program may have had it meanwhile.
    pub(super) fn open(&self) -> io::Result<()> {
        let mut outbox = self.lock();
        if outbox.is_open {
            let _ = disable_raw_mode();
        }
        enable_raw_mode()?;
        let Outbox { bytes, is_open: open, needs_full_redraw: stale, bracketed_paste: paste, title, .. } =
            &mut *outbox;
        if !*open {
            queue!(bytes, EnterAlternateScreen)?; // cleared by the first frame
            bytes.extend_from_slice(b"\x1b[22;0t"); // keeps the title, for 23;0t
            queue!(bytes, SetTitle(&*title))?;
        }
        queue!(bytes, Hide)?;
        if *paste {
            queue!(bytes, EnableBracketedPaste)?;
        }
        (*open, *stale) = (true, true);
        self.changed.notify_all();
        Ok(())
    }

    /// Gives the terminal back as it was, in at most half a second. Errors are ignored: it may be gone.
    pub(super) fn close(&self) {
        self.close_within(DRAIN_TIMEOUT);
    }

    /// As [`Tty::close`], but waits up to `drain` until what was sent is written.
    fn close_within(&self, drain: Duration) {
        let mut outbox = self.lock();
        if !outbox.is_open {
            return;
        }
        outbox.is_open = false;
        (outbox, _) = self
            .changed
            .wait_timeout_while(outbox, drain, |outbox| !outbox.bytes.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        if !outbox.bytes.is_empty() {
            // It stands still. What it has not read makes room, and may have been cut within a string.
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
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match rustix::io::write(&self.fd, rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if self.wait(PollFlags::OUT, Some(RESTORE_TIMEOUT)) => {}
                Err(_) => break,
            }
        }
        // In the background this would stop the process, and the shell has set its own mode long since.
        if !self.in_background() {
            let _ = disable_raw_mode();
        }
    }

    /// Whether all that was sent is written. If not, [`TermEvent::WriterReady`] follows.
    pub(super) fn is_ready(&self) -> bool {
        let mut outbox = self.lock();
        let ready = outbox.is_open && outbox.bytes.is_empty();
        outbox.notify_when_ready |= outbox.is_open && !ready;
        ready
    }

    /// Queues `bytes`; `false` if the terminal is closed or too much is waiting already.
    pub(super) fn send(&self, bytes: &[u8]) -> bool {
        let mut outbox = self.lock();
        let taken = outbox.is_open && outbox.bytes.len() < MAX_QUEUED_BYTES;
        if taken {
            outbox.bytes.extend_from_slice(bytes);
            self.changed.notify_all();
        }
        taken
    }

    /// Bracketed paste, now and after every stop.
    pub(super) fn set_bracketed_paste(&self, on: bool) {
        let mut outbox = self.lock();
        if outbox.bracketed_paste != on {
            outbox.bracketed_paste = on;
            drop(outbox);
            let mut bytes = Vec::new();
            let _ =
                if on { queue!(bytes, EnableBracketedPaste) } else { queue!(bytes, DisableBracketedPaste) };
            self.send(&bytes);
        }
    }

    /// The window's title, now and after every stop.
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

    /// Whether the terminal lost the last frame since this was last asked.
    pub(super) fn take_needs_full_redraw(&self) -> bool {
        std::mem::take(&mut self.lock().needs_full_redraw)
    }

    /// The next frame is drawn anew.
    pub(super) fn request_full_redraw(&self) {
        self.lock().needs_full_redraw = true;
    }

    /// The terminal's size; 80×24 for one that does not know, and never so large that its cells fill the memory.
    pub(super) fn size(&self) -> Size {
        let (columns, rows) = tcgetwinsize(&self.fd).map_or((0, 0), |size| (size.ws_col, size.ws_row));
        drawable_size(columns, rows)
    }

    /// Whether another job has the terminal.
    pub(super) fn in_background(&self) -> bool {
        tcgetpgrp(&self.fd).is_ok_and(|foreground| foreground != rustix::process::getpgrp())
    }

    /// Waits for `events`; `false` if `limit` passed before.
    pub(super) fn wait(&self, events: PollFlags, limit: Option<Duration>) -> bool {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut fds = [PollFd::new(&self.fd, events)];
        loop {
            match poll(&mut fds, limit.as_ref()) {
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
                Err(_) => shutdown::exit_on_hangup(),
            }
        }
    }
}

/// A size that can be drawn.
pub(super) fn drawable_size(columns: u16, rows: u16) -> Size {
    match (columns, rows) {
        (0, _) | (_, 0) => Size::new(80, 24),
        _ => Size::new(columns.min(1024), rows.min(512)),
    }
}

/// A title that is one string for the terminal, whatever is in it.
fn strip_control_chars(title: &str) -> String {
    // promise: plain-title, mutant: !c.is_control() -> true
    title.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A "terminal" that is the other end of a socket pair: it takes bytes until its buffer is full.
    fn socket() -> (Arc<Tty>, UnixStream, tokio::sync::mpsc::Receiver<TermEvent>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (events, received) = super::super::channel();
        let tty = Tty::start(ours.into(), "", events).unwrap();
        tty.lock().is_open = true;
        (tty, theirs, received)
    }

    fn fill(tty: &Tty) -> usize {
        let mut sent = 0;
        while tty.send(&[b'x'; 64 * 1024]) {
            sent += 64 * 1024;
            assert!(sent < 64 << 20, "the queue has no end");
        }
        sent
    }

    #[test]
    fn a_terminal_that_stands_still_bounds_the_queue_and_tells_when_it_goes_on() {
        let (tty, mut terminal, mut events) = socket();
        let sent = fill(&tty);
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
    fn closing_gives_up_on_a_terminal_that_stands_still_and_closes_once() {
        let (tty, _terminal, _events) = socket();
        fill(&tty);
        tty.close();
        assert!(!tty.send(b"x"), "nothing is written to a terminal that was given back");
        tty.close();
    }

    #[test]
    fn closing_lets_what_was_sent_go_first() {
        let (tty, mut terminal, _events) = socket();
        assert!(tty.send(b"last words"));
        tty.close_within(Duration::from_secs(60)); // a busy machine may not run the writer for a while
        drop(tty);
        let mut got = vec![0; b"last words".len() + 8];
        terminal.read_exact(&mut got).unwrap();
        assert_eq!(got, b"last words\x1b[?2026l");
    }

    #[test]
    fn a_size_can_always_be_drawn() {
        assert_eq!(drawable_size(0, 0), Size::new(80, 24));
        assert_eq!(drawable_size(1, 1), Size::new(1, 1));
        assert_eq!(drawable_size(u16::MAX, u16::MAX), Size::new(1024, 512));
    }

    #[test]
    fn a_title_cannot_end_its_own_sequence() {
        assert_eq!(strip_control_chars("a\x1b]0;b\x07\u{9c}c"), "a]0;bc");
    }
}
