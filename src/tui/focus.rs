//! The focus: the pane, input line or popup that receives keystrokes.

use std::time::Duration;

use tui_input::Input as Line;

use super::scroll::max_top;
use super::viewport::ScrollExtent;
use keepwatch_core::filter::{Filter, FilterError};
use keepwatch_core::session::{Secret, SessionId};

/// The receiver of keystrokes.
#[derive(Debug)]
pub enum Focus {
    /// A pane.
    Pane(Pane),
    /// The input line of the filter.
    Filter {
        /// The text in the line.
        input: Line,
        /// The filter that Esc restores.
        before: Filter,
        /// The syntax error in the text, if it has one.
        error: Option<FilterError>,
    },
    /// The input line for the id of a session to watch.
    AddSession {
        /// The text in the line.
        input: Line,
        /// The reason why the text contains no id, once Enter was pressed.
        invalid: Option<String>,
        /// The pane to return to.
        back: Pane,
    },
    /// The copy menu.
    CopyMenu {
        /// The session. It stays the same when rows move behind the menu.
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
        /// The time at which it is hidden, on the clock since boot.
        until: Duration,
        /// The pane to return to.
        back: Pane,
    },
    /// The dialog that confirms a release.
    ConfirmRelease {
        /// The session. It stays the same when rows move behind the dialog.
        id: SessionId,
        /// The characters typed so far, to be compared with the end of the id.
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

/// A part of the screen, other than a popup.
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
    /// The fields of the session. In a narrow pane, also its newest events.
    Fields,
    /// The events of the session.
    Timeline,
}

impl Focus {
    /// Returns the pane that receives keystrokes now, or after the popup or input line in front of it closes.
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
    /// Limits the scroll position of a popup, so that no blank lines follow its last line.
    pub(super) fn clamp_popup(&mut self, ScrollExtent { lines, height }: ScrollExtent) {
        if let Self::Help { top, .. } | Self::Failures { top, .. } = self {
            *top = (*top).min(max_top(lines, height));
        }
    }
}

impl Pane {
    /// Returns true if the pane shows the details of the selected session.
    #[must_use]
    pub fn is_details(self) -> bool {
        matches!(self, Self::LowerDetails(_) | Self::FullDetails(_))
    }

    /// Returns true if keystrokes in the pane scroll the fields of the selected session.
    #[must_use]
    pub fn is_fields(self) -> bool {
        matches!(self, Self::LowerDetails(DetailsSection::Fields) | Self::FullDetails(DetailsSection::Fields))
    }

    /// Returns true if keystrokes in the pane scroll events.
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
