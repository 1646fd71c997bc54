//! The state of the session table: rows, sort order, filter, selection and scroll position.
//!
//! The selection follows its session, not its row. The table does not know the layout: callers pass the number of
//! visible rows.

use super::acknowledged::AcknowledgedAlerts;
use super::keymap::Action;
use super::mute::MutedSessions;
use super::profiles::Profiles;
use super::rows::{RowCriteria, Rows, Sort};
use super::scroll::position_after;
use keepwatch_core::filter::Filter;
use keepwatch_core::session::SessionId;

/// The state of the session table.
#[derive(Debug)]
pub struct TableState {
    /// The rows, in order.
    rows: Rows,
    /// The session that keystrokes act on.
    selected: Option<SessionId>,
    /// The row of the selected session, if it has one. It is stored so that scrolling does not search the rows.
    selected_row: Option<usize>,
    /// The first visible row.
    top: usize,
    /// True after the first keystroke. Before it, the first row is selected and visible, whatever session it shows.
    has_interacted: bool,
    /// The order of the rows.
    sort: Sort,
    /// The filter that a session must match to have a row.
    filter: Filter,
    /// The muted sessions.
    muted: MutedSessions,
    /// True if only sessions with unacknowledged alerts are shown.
    alerts_only: bool,
    /// The maximum number of pinned rows: a third of the visible rows, at least one. Without limit before the layout is
    /// known.
    max_pinned: usize,
}

impl Default for TableState {
    fn default() -> Self {
        Self {
            rows: Rows::default(),
            selected: None,
            selected_row: None,
            top: 0,
            has_interacted: false,
            sort: Sort::default(),
            filter: Filter::default(),
            muted: MutedSessions::default(),
            alerts_only: false,
            max_pinned: usize::MAX,
        }
    }
}

impl TableState {
    /// Returns the rows, in order.
    #[must_use]
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Returns the session that keystrokes act on.
    #[must_use]
    pub fn selected(&self) -> Option<&SessionId> {
        self.selected.as_ref()
    }

    /// Returns the first visible row.
    #[must_use]
    pub fn top(&self) -> usize {
        self.top
    }

    /// Returns true after the first keystroke.
    #[must_use]
    pub fn has_interacted(&self) -> bool {
        self.has_interacted
    }

    /// Returns the order of the rows.
    #[must_use]
    pub fn sort(&self) -> Sort {
        self.sort
    }

    /// Returns the filter that a session must match to have a row.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Returns the muted sessions.
    #[must_use]
    pub fn muted(&self) -> &MutedSessions {
        &self.muted
    }

    /// Returns true if only sessions with unacknowledged alerts are shown.
    #[must_use]
    pub fn shows_alerts_only(&self) -> bool {
        self.alerts_only
    }

    /// Records that there was a keystroke. From the first one on, the selection stays on its session.
    pub(super) fn mark_interacted(&mut self) {
        self.has_interacted = true;
    }

    /// Sets the order. The rows change in the next [`TableState::rebuild`].
    pub(super) fn set_sort(&mut self, sort: Sort) {
        self.sort = sort;
    }

    /// Sets the filter, and returns the previous one. The rows change in the next [`TableState::rebuild`].
    pub(super) fn set_filter(&mut self, filter: Filter) -> Filter {
        std::mem::replace(&mut self.filter, filter)
    }

    /// Sets the number of visible rows. Returns true if the rows must be rebuilt, because another number of them is
    /// pinned.
    pub(super) fn set_visible_rows(&mut self, visible_rows: usize) -> bool {
        if visible_rows == 0 {
            return false; // the table is hidden
        }
        let max_pinned = (visible_rows / 3).max(1);
        let previous = std::mem::replace(&mut self.max_pinned, max_pinned);
        let alerts = self.rows.pinned().saturating_add(self.rows.unpinned_alerts());
        !self.alerts_only && alerts.min(previous) != alerts.min(max_pinned)
    }

    /// Shows only sessions with unacknowledged alerts, or all. The rows change in the next [`TableState::rebuild`].
    pub(super) fn set_alerts_only(&mut self, alerts_only: bool) {
        self.alerts_only = alerts_only;
    }

    /// Returns mutable access to the muted sessions. The rows change in the next [`TableState::rebuild`].
    pub(super) fn muted_mut(&mut self) -> &mut MutedSessions {
        &mut self.muted
    }

    /// Returns true if a rebuild would give the same rows. Expects that the order and the criteria have not changed
    /// since the last build.
    pub(super) fn is_up_to_date(&self, profiles: &Profiles) -> bool {
        self.rows.is_up_to_date(profiles, self.sort)
    }

    /// Rebuilds the rows. The selection stays on its session. If this session has no row any more, the session that is
    /// now at its place is selected. Before the first keystroke, the first row is selected. If `keep_selected` is true,
    /// the selected session keeps its row even if the filter hides it, because its details are open.
    ///
    /// Returns true if the selection has moved to another session.
    pub(super) fn rebuild(
        &mut self,
        profiles: &Profiles,
        acknowledged: &AcknowledgedAlerts,
        keep_selected: bool,
    ) -> bool {
        let previous_row = self.selected_row.unwrap_or(0);
        let criteria = RowCriteria {
            filter: &self.filter,
            alerts_only: self.alerts_only,
            muted: &self.muted,
            acknowledged,
            with_details: self.selected.as_ref().filter(|_| keep_selected),
            max_pinned: if self.alerts_only { usize::MAX } else { self.max_pinned },
        };
        self.rows = Rows::build(profiles, self.sort, &criteria);
        self.selected_row = self.selected.as_ref().and_then(|id| self.rows.row_of(id));
        if !self.has_interacted {
            self.select_row(0)
        } else if self.selected_row.is_none() {
            self.select_row(previous_row.min(self.rows.len().saturating_sub(1)))
        } else {
            false
        }
    }

    /// Selects the session in `row`, or none if there is no such row. Returns true if that changes the selection.
    pub(super) fn select_row(&mut self, row: usize) -> bool {
        let selected = self.rows.get(row).cloned();
        let has_changed = selected != self.selected;
        self.selected_row = selected.as_ref().map(|_| row);
        self.selected = selected;
        has_changed
    }

    /// Selects a session, even one without a row.
    pub(super) fn select(&mut self, id: SessionId) {
        self.selected_row = self.rows.row_of(&id);
        self.selected = Some(id);
    }

    /// Moves the selection by `action`, with `height` visible rows. Returns true if that changes the selection.
    pub(super) fn move_selection(&mut self, action: Action, height: usize) -> bool {
        let row = position_after(action, self.selected_row.unwrap_or(0), height, self.rows.len());
        self.select_row(row)
    }

    /// Scrolls as little as needed to show the selected session in one of the `height` visible rows, with no blank rows
    /// at the end.
    pub(super) fn scroll_to_selection(&mut self, height: usize) {
        if !self.has_interacted {
            self.top = 0;
            return;
        }
        let height = height.max(1);
        let row = self.selected_row.unwrap_or(0);
        let min_top = row.saturating_add(1).saturating_sub(height);
        let max_top = self.rows.len().saturating_sub(height).max(min_top);
        self.top = self.top.clamp(min_top, row).min(max_top);
    }

    /// Selects no session.
    #[cfg(test)]
    pub(crate) fn select_none(&mut self) {
        (self.selected, self.selected_row) = (None, None);
    }

    /// Sets the scroll position for a snapshot test, whatever is selected.
    #[cfg(test)]
    pub(crate) fn set_top(&mut self, top: usize) {
        self.top = top;
    }
}
