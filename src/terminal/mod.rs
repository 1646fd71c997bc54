//! The terminal: what is drawn on it, what is typed at it, and how it is given back.
//!
//! ```text
//!                     Screen::draw   one frame, only if it differs and the last one is out
//!   event loop ─────► Screen::send   bytes between frames: OSC 52, bell, title
//!   (never waits)          │
//!       ▲             writer thread ───────────► the terminal
//!       │                  │ WriterReady             │
//!       │ TermEvent        │                         │ keys, pastes, its size
//!       └────────────── one channel ◄─────────── input thread
//!                          ▲
//!                          ├── signals thread        TERM, INT, QUIT; Ctrl-Z and fg; HUP ends the process
//!                          └── clipboard, browser    how it went
//! ```
//!
//! Everything that can block has a thread of its own, so that a terminal that stands still, a clipboard helper
//! that hangs or a browser that does not start never delays a poll. Nothing here knows what is shown.
//!
//! There is no screen without [`Screen::enter`], and every way out undoes it: `exits.rs` lists them.

mod browser;
mod clipboard;
mod input;
mod screen;
mod shutdown;
mod subprocess;
mod tty_writer;

use crossterm::event::KeyEvent;
use tokio::sync::mpsc;

pub use browser::{can_open_browser, open_in_browser};
pub use clipboard::{Clipboard, ClipboardBackend, CopyError, CopyResult, clipboard_backends};
#[cfg(test)]
pub(crate) use screen::ByteCountingTerminal;
pub use screen::{Screen, ScreenSender, unsupported_reason};
pub use subprocess::Env;

/// What the terminal's threads tell the loop.
#[derive(Debug)]
pub enum TermEvent {
    /// A key was pressed. Releases never arrive.
    Key(KeyEvent),
    /// Text was pasted while [`Screen::set_bracketed_paste`] was on: its beginning, on one line. It is as hostile as any other.
    Paste(String),
    /// The terminal has this size now. What is on it may be anything: [`Screen::repaint`].
    Resize {
        /// Its width in cells.
        columns: u16,
        /// Its height in cells.
        rows: u16,
    },
    /// The terminal took all that it was sent, after [`Screen::is_ready`] or [`Screen::draw`] had said no.
    WriterReady,
    /// The program was stopped and goes on: time has passed, and the next frame is drawn anew.
    Resumed,
    /// This signal asks the program to end, within half a second and with the status 128 + its number.
    Signal(i32),
    /// How a copy went.
    CopyFinished(CopyResult),
    /// How opening the browser went.
    BrowserOpened(Result<(), String>),
}

/// Where events go in. Cloned by everything that reports.
pub type TermEventSender = mpsc::Sender<TermEvent>;

/// The channel that all [`TermEvent`]s take. A reader that falls behind holds up the typing, not the memory.
#[must_use]
pub fn channel() -> (TermEventSender, mpsc::Receiver<TermEvent>) {
    mpsc::channel(256)
}

/// Sends `event` without ever waiting: where the channel is full, a thread waits instead.
pub fn send_nonblocking<E: Send + 'static>(events: &mpsc::Sender<E>, event: E) {
    if let Err(mpsc::error::TrySendError::Full(event)) = events.try_send(event) {
        let events = events.clone();
        // Without a thread the event is lost, and with it a wake-up; the state that it speaks of is not.
        let _ = std::thread::Builder::new().spawn(move || events.blocking_send(event));
    }
}
