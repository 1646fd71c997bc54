//! What keystrokes go to: a pane, a line of input, or a popup in front of them.

use std::time::Duration;

use tui_input::Input as Line;

use super::scroll::max_top;
use super::viewport::ScrollExtent;
use keepwatch_core::filter::{Filter, FilterError};
use keepwatch_core::session::{Secret, SessionId};

/// What keystrokes go to.
#[derive(Debug)]
pub enum Focus {
    /// A pane.
    Pane(Pane),
    /// The line in which the filter is edited.
    Filter {
        /// The text in the line.
        input: Line,
        /// The filter to return to.
        before: Filter,
        /// The syntax error in the text, if it has one.
        error: Option<FilterError>,
    },
    /// The line in which the id of a session is entered.
    AddSession {
        /// The text in the line.
        input: Line,
        /// Why the text has no id, after Enter was pressed.
        invalid: Option<String>,
        /// The pane to return to.
        back: Pane,
    },
    /// The copy menu.
    CopyMenu {
        /// The session. It stays the same if rows move behind the menu.
        id: SessionId,
        /// The marked entry.
        selected: usize,
        /// The pane to return to.
        back: Pane,
    },
    /// A connect URL, shown to be selected by hand.
    Reveal {
        /// The session.
        id: SessionId,
        /// The URL.
        url: Secret,
        /// The time at which it goes, on the clock since boot.
        until: Duration,
        /// The pane to return to.
        back: Pane,
    },
    /// The question before a release.
    ConfirmRelease {
        /// The session. It stays the same if rows move behind the question.
        id: SessionId,
        /// The typed characters of the end of its id.
        typed: String,
        /// The pane to return to.
        back: Pane,
    },
    /// The help.
    Help {
        /// The first visible line.
        top: usize,
        /// The pane to return to.
        back: Pane,
    },
    /// Poll statistics and past failures, the newest first.
    Failures {
        /// The first visible line.
        top: usize,
        /// The pane to return to.
        back: Pane,
    },
}

/// A part of the screen that is no popup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    /// The table, above the details.
    Table,
    /// The details, below the table.
    LowerDetails(DetailsSection),
    /// The details alone.
    FullDetails(DetailsSection),
    /// The events of all sessions.
    Events,
    /// The newest sessions of the project.
    Recent,
}

/// A part of the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetailsSection {
    /// The fields of the session; in a narrow pane the newest events, too.
    Fields,
    /// The events of the session.
    Timeline,
}

impl Focus {
    /// Returns the pane that keystrokes go to, or will go to once what is in front of it closes.
    #[must_use]
    pub fn pane(&self) -> Pane {
        match self {
            Self::Pane(pane) => *pane,
            Self::AddSession { back, .. }
            | Self::CopyMenu { back, .. }
            | Self::Reveal { back, .. }
            | Self::ConfirmRelease { back, .. }
            | Self::Help { back, .. }
            | Self::Failures { back, .. } => *back,
            Self::Filter { .. } => Pane::Table,
        }
    }
}

impl Focus {
    /// Keeps the end of a scrolled popup at the end of its frame.
    pub(super) fn clamp_popup(&mut self, ScrollExtent { lines, height }: ScrollExtent) {
        if let Self::Help { top, .. } | Self::Failures { top, .. } = self {
            *top = (*top).min(max_top(lines, height));
        }
    }
}

impl Pane {
    /// True if the pane shows the details of the selected session.
    #[must_use]
    pub fn is_details(self) -> bool {
        matches!(self, Self::LowerDetails(_) | Self::FullDetails(_))
    }

    /// True if keystrokes in the pane scroll the fields of the selected session.
    #[must_use]
    pub fn is_fields(self) -> bool {
        matches!(self, Self::LowerDetails(DetailsSection::Fields) | Self::FullDetails(DetailsSection::Fields))
    }

    /// True if keystrokes in the pane scroll events.
    #[must_use]
    pub fn is_events(self) -> bool {
        matches!(
            self,
            Self::Events
                | Self::LowerDetails(DetailsSection::Timeline)
                | Self::FullDetails(DetailsSection::Timeline)
        )
    }
}
