//! The messages that the event loop sends to the model.

use crossterm::event::KeyEvent;

use super::persistence::PersistenceEvent;
use super::profiles::ProfileId;
use crate::poll::Report;
use keepwatch_core::clock::Moment;

/// A message to the model.
#[derive(Debug)]
pub enum Message {
    /// The poller of a profile finished a request.
    Report(ProfileId, Box<Report>),
    /// The user pressed a key.
    Key(KeyEvent),
    /// The user pasted text.
    Paste(String),
    /// The screen has a new size, in columns and rows.
    Resize(u16, u16),
    /// A copy to the clipboard succeeded or failed. The first string names the item. The second one says how it was
    /// copied, or why the copy failed.
    Copied(String, Result<String, String>),
    /// The machine slept from the first moment to the second.
    Slept(Moment, Moment),
    /// The browser has not opened a page, or it is not certain that it has. The string is a sentence with the reason.
    BrowserFailed(String),
    /// A file cannot be written, a file can be written again, or the history was loaded.
    Persistence(PersistenceEvent),
    /// The shell continued the suspended program.
    Continued,
}
