//! The messages that the event loop sends to the model.

use crossterm::event::KeyEvent;

use crate::poll::Report;
use keepwatch_core::clock::Moment;
use keepwatch_core::tracker::Fleet;

/// A message to the model.
#[derive(Debug)]
pub enum Message {
    /// The poller of a profile reports.
    Report(usize, Box<Report>),
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The screen has a new size, in columns and rows.
    Resize(u16, u16),
    /// A copy succeeded or failed: the name of what was copied, and how or why.
    Copied(String, Result<String, String>),
    /// The machine slept from the first moment to the second.
    Slept(Moment, Moment),
    /// The browser could not be opened.
    NotOpened(String),
    /// Data cannot be written to disk, or can be again. The short text lasts as long as the error; the sentence says why.
    Unwritten(Option<&'static str>, String),
    /// What earlier runs recorded of a profile's sessions, if anything.
    Restored(usize, Option<Box<Fleet>>),
    /// The program continues after a suspension.
    Resumed,
}
