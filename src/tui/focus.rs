//! The focus: the pane, input line or popup that receives keystrokes.

use std::time::Duration;

use tui_input::Input as TextInput;

use super::scroll::max_top;
use super::viewport::ScrollExtent;
use keepwatch_core::filter::{Filter, FilterError};
use keepwatch_core::session::{Secret, SessionId};

/// The part of the screen that receives keystrokes.
#[derive(Debug)]
pub enum Focus {
    /// A pane.
    Pane(Pane),
    /// The input line of the filter.
    Filter {
        /// The text in the line.
        input: TextInput,
        /// The filter that was set before the edit. Esc restores it.
        before: Filter,
        /// The syntax error in the text, if there is one.
        error: Option<FilterError>,
    },
    /// The input line for the id of a session to watch.
    AddSession {
        /// The text in the line.
        input: TextInput,
        /// The reason why Enter found no id in the text. `None` before Enter, and after each edit.
        invalid: Option<String>,
        /// The pane to return to.
        back: Pane,
    },
    /// The copy menu.
    CopyMenu {
        /// The session. Rows that move behind the menu do not change it.
        id: SessionId,
        /// The position of the selected entry.
        selected: usize,
        /// The pane to return to.
        back: Pane,
    },
    /// The popup with a connect URL, which the user can select with the mouse.
    Reveal {
        /// The session.
        id: SessionId,
        /// The URL.
        url: Secret,
        /// The time at which the URL is hidden, as time since boot.
        expires_at: Duration,
        /// The pane to return to.
        back: Pane,
    },
    /// The dialog that confirms a release.
    ConfirmRelease {
        /// The session. Rows that move behind the dialog do not change it.
        id: SessionId,
        /// The characters typed so far. Enter compares them with the end of the id.
        typed: String,
        /// The pane to return to.
        back: Pane,
    },
    /// The popup with the help.
    Help {
        /// The first visible line.
        top: usize,
        /// The pane to return to.
        back: Pane,
    },
    /// The popup with poll statistics and past failures. The newest failure is first.
    Failures {
        /// The first visible line.
        top: usize,
        /// The pane to return to.
        back: Pane,
    },
}

/// A pane that can receive keystrokes.
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
    /// The newest sessions of each project, of any status.
    Recent,
    /// What happened while the user was away.
    Away,
}

/// A part of the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetailsSection {
    /// The fields of the session. In a narrow pane, the newest events of the session are among the fields.
    Fields,
    /// The events of the session.
    Timeline,
}

impl Focus {
    /// Returns the pane that receives keystrokes. If a popup or an input line receives them, returns the pane that has
    /// the focus again once the popup or the line is closed.
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

    /// Limits the scroll position of the popup, so that no blank lines follow the popup's last line.
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
    pub fn scrolls_fields(self) -> bool {
        matches!(self, Self::LowerDetails(DetailsSection::Fields) | Self::FullDetails(DetailsSection::Fields))
    }

    /// Returns true if keystrokes in the pane scroll events.
    #[must_use]
    pub fn scrolls_events(self) -> bool {
        matches!(
            self,
            Self::Events
                | Self::LowerDetails(DetailsSection::Timeline)
                | Self::FullDetails(DetailsSection::Timeline)
        )
    }
}
