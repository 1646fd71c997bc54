//! The terminal: writes frames, reads input, and restores the terminal on every exit. Knows nothing about the content
//! of the frames.
//!
//! ```text
//!                     Screen::draw   one frame, if it changes something and the last frame is written
//!   event loop ─────► Screen::send   bytes between frames: OSC 52, bell, title
//!   (never waits)          │
//!       ▲             writer thread ───────────► the terminal
//!       │                  │ WriterReady             │
//!       │ TermEvent        │                         │ keystrokes, pastes, resizes
//!       └────────────── one channel ◄─────────── input thread
//!                          ▲
//!                          ├── signals thread        TERM, INT, QUIT, XCPU; Ctrl-Z and fg; HUP ends the process
//!                          └── clipboard, browser    results
//! ```
//!
//! Everything that can block has its own thread, so that a blocked terminal, a clipboard helper that hangs or a browser
//! that does not start never delays a poll.
//!
//! [`Screen::enter`] changes the terminal's modes, and every exit restores them. `signals.rs` lists the exits.

mod browser;
mod clipboard;
mod env;
mod input;
mod key_decoder;
mod panics;
mod screen;
mod signals;
mod subprocess;
mod tty_writer;

use crossterm::event::KeyEvent;
use tokio::sync::mpsc;

pub use browser::{Browser, BrowserError, can_open_browser};
pub use clipboard::{Clipboard, ClipboardBackend, CopyError, CopyResult, clipboard_backends};
pub use env::Env;
#[cfg(test)]
pub(crate) use screen::ByteCountingTerminal;
pub use screen::{Screen, ScreenSender, unsupported_reason};

/// An event from one of the terminal's threads.
#[derive(Debug)]
pub enum TermEvent {
    /// A keystroke. Key releases are filtered out.
    Key(KeyEvent),
    /// A paste, truncated and on one line. The text is untrusted.
    Paste(String),
    /// A new size of the terminal. The content of the screen is undefined now: call [`Screen::repaint`].
    Resize {
        /// The width in cells.
        columns: u16,
        /// The height in cells.
        rows: u16,
    },
    /// The writer's queue is empty again, after [`Screen::is_ready`] or [`Screen::draw`] returned false.
    WriterReady,
    /// The program continues after a stop (Ctrl-Z). The next frame is a full redraw.
    Continued,
    /// A signal that asks the program to end within half a second, with status 128 + the signal's number.
    Signal(i32),
    /// The result of a copy.
    CopyFinished(CopyResult),
    /// The result of opening a page in the browser.
    BrowserOpened(Result<(), BrowserError>),
}

/// The sender for events. Each thread has a clone.
pub type TermEventSender = mpsc::Sender<TermEvent>;

/// The capacity of the channel for events. It has room for the keystrokes that arrive while the event loop is busy.
const MAX_QUEUED_EVENTS: usize = 256;

/// Creates the channel for all [`TermEvent`]s. The channel is bounded: a slow receiver delays input, but memory does
/// not grow.
#[must_use]
pub fn channel() -> (TermEventSender, mpsc::Receiver<TermEvent>) {
    mpsc::channel(MAX_QUEUED_EVENTS)
}

/// Sends `event` without waiting. If the channel is full, a new thread waits instead.
pub fn send_nonblocking<E: Send + 'static>(events: &mpsc::Sender<E>, event: E) {
    if let Err(mpsc::error::TrySendError::Full(event)) = events.try_send(event) {
        let events = events.clone();
        // If no thread can start, the event is lost, but the state that it announces is not.
        let _ = std::thread::Builder::new().spawn(move || events.blocking_send(event));
    }
}
