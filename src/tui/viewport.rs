//! The layout of the screen, as the model stores it.
//!
//! ```text
//!   Model ──► view::viewport ──► Viewport ──► Model::set_viewport      once per update
//!                                   ├──► key handling: the height of a pane, its number of lines
//!                                   └──► view::draw: the area of each part
//! ```
//!
//! This module only stores the layout. `view::viewport` computes it.

use ratatui::layout::Rect;

use super::away::AwayExtent;

/// The height of the horizontal rule above the events and the details.
const RULE_HEIGHT: u16 = 1;
/// The height of the rule and the line of headings above the recent sessions, together.
pub(super) const RECENT_HEADING_ROWS: u16 = 2;

/// The layout of the screen: the area of each part, and the extent of each part that scrolls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Viewport {
    /// The whole screen.
    pub(super) screen: Rect,
    /// The area of each part.
    pub(super) areas: ScreenAreas,
    /// The extent of the details, if keystrokes scroll them.
    pub(super) details: Option<ScrollExtent>,
    /// The extent of the popup, if keystrokes scroll it.
    pub(super) popup: Option<ScrollExtent>,
    /// The extent of the page about the user's absence, if it is open.
    pub(super) away: Option<AwayExtent>,
}

/// The extent of a part of the screen that scrolls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrollExtent {
    /// The number of all lines, visible or not.
    pub lines: usize,
    /// The number of visible lines.
    pub height: usize,
}

/// The areas of the parts of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScreenAreas {
    /// Counts and the notice only, because the screen is too small for more.
    CountsOnly(Rect),
    /// All parts.
    Full(FullAreas),
}

/// The areas of a screen that is large enough for all parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FullAreas {
    pub(super) header: Rect,
    /// The errors of profiles whose polls fail. The area is empty if no polls fail, or if the body shows the error.
    pub(super) banner: Rect,
    pub(super) body: BodyArea,
    pub(super) footer: Rect,
}

/// The area of the part between header and footer, and the kind of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyArea {
    /// The reason why there is no row.
    Empty(Rect),
    /// The table of sessions.
    Table {
        /// The rows and their headings.
        table: Rect,
        /// The line below the table: filter, hidden rows and full projects. The area is empty if there is nothing to
        /// report.
        note: Rect,
        /// The details with their rule, if there is room for them.
        details: Option<Rect>,
    },
    /// The details alone.
    Details(Rect),
    /// The events of all sessions.
    Events(Rect),
    /// The newest sessions of each project.
    Recent(Rect),
    /// What happened while the user was away.
    Away(Rect),
}

impl Default for ScreenAreas {
    fn default() -> Self {
        Self::CountsOnly(Rect::default())
    }
}

impl Viewport {
    /// Returns the number of visible rows of the table, or 0 if the table is not visible.
    #[must_use]
    pub fn table_rows(&self) -> usize {
        match self.body() {
            Some(BodyArea::Table { table, .. }) => usize::from(visible_table_rows(table)),
            _ => 0,
        }
    }

    /// Returns the number of visible rows of the page of recent sessions, or 0 if the page is not visible.
    #[must_use]
    pub fn recent_rows(&self) -> usize {
        match self.body() {
            Some(BodyArea::Recent(area)) => usize::from(area.height.saturating_sub(RECENT_HEADING_ROWS)),
            _ => 0,
        }
    }

    /// Returns the number of visible lines of events, on the events page or in the details, or `None` if neither is
    /// visible.
    #[must_use]
    pub fn event_lines(&self) -> Option<usize> {
        let area = match self.body()? {
            BodyArea::Events(area) => area,
            _ => self.details_pane()?,
        };
        Some(usize::from(area.height.saturating_sub(RULE_HEIGHT)))
    }

    /// Returns the extent of the details, if keystrokes scroll them.
    #[must_use]
    pub fn details(&self) -> Option<ScrollExtent> {
        self.details
    }

    /// Returns the extent of the popup, if keystrokes scroll it.
    #[must_use]
    pub fn popup(&self) -> Option<ScrollExtent> {
        self.popup
    }

    /// Returns the extent of the page about the user's absence, if it is open.
    #[must_use]
    pub fn away(&self) -> Option<AwayExtent> {
        self.away
    }

    /// Returns the area of the details, if they are visible.
    pub(super) fn details_pane(&self) -> Option<Rect> {
        match self.body()? {
            BodyArea::Details(pane) => Some(pane),
            BodyArea::Table { details, .. } => details,
            BodyArea::Empty(_) | BodyArea::Events(_) | BodyArea::Recent(_) | BodyArea::Away(_) => None,
        }
    }

    /// Returns true if the screen is too small for more than counts and the notice.
    pub(super) fn is_counts_only(&self) -> bool {
        self.body().is_none()
    }

    /// Returns true if the screen shows the table or, in place of the table, the reason why there is no row.
    pub(super) fn shows_table(&self) -> bool {
        matches!(self.body(), Some(BodyArea::Table { .. } | BodyArea::Empty(_)))
    }

    pub(super) fn body(&self) -> Option<BodyArea> {
        match self.areas {
            ScreenAreas::Full(FullAreas { body, .. }) => Some(body),
            ScreenAreas::CountsOnly(_) => None,
        }
    }
}

/// Returns the number of visible rows in the area `table`. A table of one or two lines shows no headings.
pub(super) fn visible_table_rows(table: Rect) -> u16 {
    if table.height > 2 { table.height.saturating_sub(1) } else { table.height }
}
