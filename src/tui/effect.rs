//! Effects: the actions that the event loop performs for the model. They are data, so that tests can compare them.

use super::keymap::Copyable;
use super::persistence::PersistenceCommand;
use super::profiles::ProfileId;
use crate::poll::PollerCommand;
use keepwatch_core::session::Secret;

/// One action that the event loop performs for the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Sends a command to every poller.
    SendToAllPollers(PollerCommand),
    /// Sends a command to the poller of one profile.
    SendToPoller(ProfileId, PollerCommand),
    /// Copies a text, which may be secret, to the clipboard.
    Copy(Copyable, Secret),
    /// Opens a URL in the browser. The URL contains no secret.
    OpenInBrowser(String),
    /// Writes data of a profile to the recording or to the profile's journal, or reads that journal.
    Persist(ProfileId, PersistenceCommand),
    /// Plays a recording if true, or pauses it if false.
    Play(bool),
    /// Moves to an event of a recording.
    Step {
        /// True for the next event, false for the previous one.
        forward: bool,
    },
    /// Rings the terminal's bell.
    RingBell,
    /// Sets the window's title.
    SetTitle(String),
    /// Draws the whole screen again.
    Repaint,
    /// Suspends the program until the shell continues it.
    Suspend,
    /// Ends the program without an error.
    Quit,
}
