//! The layout of the screen, as the model remembers it.
//!
//! ```text
//!   Model ──► view::viewport ──► Viewport ──► Model::set_viewport      once per update
//!                                   ├──► key handling: how far a page reaches, how far a pane scrolls
//!                                   └──► view::draw: where each part goes
//! ```
//!
//! `view::layout` computes it. Nothing here does.

use ratatui::layout::Rect;

/// Lines of the event panes, of the details and of the page of recent sessions that are no content: their rules.
const RULE_HEIGHT: u16 = 1;
/// The rule and the headings of the page of recent sessions.
pub(super) const RECENT_HEADING_ROWS: u16 = 2;

/// Where each part of the screen is, and how much of what scrolls is visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Viewport {
    pub(super) screen: Rect,
    pub(super) layout: Layout,
    /// The details, if keystrokes scroll them.
    pub(super) details: Option<ScrollExtent>,
    /// The popup, if keystrokes scroll it.
    pub(super) popup: Option<ScrollExtent>,
}

/// The lines of something that scrolls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrollExtent {
    /// The number of its lines.
    pub lines: usize,
    /// The number of lines that are visible at a time.
    pub height: usize,
}

/// The parts of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Counts and alarms only: the screen is too small for more.
    CountsOnly(Rect),
    /// Everything.
    Full(FullLayout),
}

/// The parts of a screen that is large enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FullLayout {
    pub(super) header: Rect,
    /// Empty while no error concerns all requests.
    pub(super) banner: Rect,
    pub(super) body: BodyLayout,
    pub(super) footer: Rect,
}

/// The part between header and footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLayout {
    /// The reason why there is no row.
    Empty(Rect),
    /// The table of sessions.
    Table {
        /// The rows and their headings.
        table: Rect,
        /// The filter, and how many rows are hidden. Empty if there is nothing to say.
        filter_note: Rect,
        /// The details with their rule, if there is room for them.
        details: Option<Rect>,
    },
    /// The details alone.
    Details(Rect),
    /// The events of all sessions.
    Events(Rect),
    /// The newest sessions of the project.
    Recent(Rect),
}

impl Default for Layout {
    fn default() -> Self {
        Self::CountsOnly(Rect::default())
    }
}

impl Viewport {
    /// The number of visible rows of the table; 0 if the table is not visible.
    #[must_use]
    pub fn table_rows(&self) -> usize {
        match self.body() {
            Some(BodyLayout::Table { table, .. }) => usize::from(visible_table_rows(table)),
            _ => 0,
        }
    }

    /// The number of visible rows of the page of recent sessions; 0 if the page is not visible.
    #[must_use]
    pub fn recent_rows(&self) -> usize {
        match self.body() {
            Some(BodyLayout::Recent(area)) => usize::from(area.height.saturating_sub(RECENT_HEADING_ROWS)),
            _ => 0,
        }
    }

    /// The number of visible lines of events, wherever they are shown; `None` if they are not.
    #[must_use]
    pub fn event_lines(&self) -> Option<usize> {
        let area = match self.body()? {
            BodyLayout::Events(area) => area,
            _ => self.details_pane()?,
        };
        Some(usize::from(area.height.saturating_sub(RULE_HEIGHT)))
    }

    /// The details, if keystrokes scroll them.
    #[must_use]
    pub fn details(&self) -> Option<ScrollExtent> {
        self.details
    }

    /// The popup, if keystrokes scroll it.
    #[must_use]
    pub fn popup(&self) -> Option<ScrollExtent> {
        self.popup
    }

    /// The pane of the details, if it is visible.
    pub(super) fn details_pane(&self) -> Option<Rect> {
        match self.body()? {
            BodyLayout::Details(pane) => Some(pane),
            BodyLayout::Table { details, .. } => details,
            BodyLayout::Empty(_) | BodyLayout::Events(_) | BodyLayout::Recent(_) => None,
        }
    }

    fn body(&self) -> Option<BodyLayout> {
        match self.layout {
            Layout::Full(FullLayout { body, .. }) => Some(body),
            Layout::CountsOnly(_) => None,
        }
    }
}

/// The number of visible rows: the height of the table without the headings, which are left out first.
pub(super) fn visible_table_rows(table: Rect) -> u16 {
    if table.height > 2 { table.height.saturating_sub(1) } else { table.height }
}
