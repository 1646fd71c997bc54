//! The session table: its rows, their order, which sessions have a row, the selection and the scroll position.
//!
//! The selection follows its session, not its row. The table knows nothing of the layout: the caller passes the number of
//! rows that are visible.

use super::acknowledged::AcknowledgedAlerts;
use super::keymap::Action;
use super::mute::MutedSessions;
use super::profiles::Profiles;
use super::rows::{RowCriteria, Rows, Sort};
use super::scroll::position_after;
use keepwatch_core::filter::Filter;
use keepwatch_core::session::SessionId;

/// The state of the session table.
#[derive(Debug, Default)]
pub struct TableState {
    /// The rows, in order.
    rows: Rows,
    /// The session that keystrokes act on.
    selected: Option<SessionId>,
    /// The row of the selected session, if it has one. Kept so that scrolling does not search the rows.
    selected_row: Option<usize>,
    /// The first visible row.
    top: usize,
    /// True after the first keystroke. Before it the first row is selected and visible, whichever session that is.
    has_interacted: bool,
    sort: Sort,
    filter: Filter,
    muted: MutedSessions,
    /// True if only rows with new flags are shown.
    alerts_only: bool,
}

impl TableState {
    /// The rows, in order.
    #[must_use]
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The session that keystrokes act on.
    #[must_use]
    pub fn selected(&self) -> Option<&SessionId> {
        self.selected.as_ref()
    }

    /// The first visible row.
    #[must_use]
    pub fn top(&self) -> usize {
        self.top
    }

    /// True after the first keystroke.
    #[must_use]
    pub fn has_interacted(&self) -> bool {
        self.has_interacted
    }

    /// The order of the rows.
    #[must_use]
    pub fn sort(&self) -> Sort {
        self.sort
    }

    /// The filter that rows pass.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The sessions that are hidden.
    #[must_use]
    pub fn muted(&self) -> &MutedSessions {
        &self.muted
    }

    /// True if only rows with new flags are shown.
    #[must_use]
    pub fn is_alerts_only(&self) -> bool {
        self.alerts_only
    }

    /// Notes that the user has pressed a key: from now on the selection stays on its session.
    pub(super) fn mark_interacted(&mut self) {
        self.has_interacted = true;
    }

    /// Sets the order. The rows are rebuilt by [`TableState::rebuild`].
    pub(super) fn set_sort(&mut self, sort: Sort) {
        self.sort = sort;
    }

    /// Sets the filter, and returns the one before. The rows are rebuilt by [`TableState::rebuild`].
    pub(super) fn set_filter(&mut self, filter: Filter) -> Filter {
        std::mem::replace(&mut self.filter, filter)
    }

    /// Sets whether only rows with new flags are shown. The rows are rebuilt by [`TableState::rebuild`].
    pub(super) fn set_alerts_only(&mut self, alerts_only: bool) {
        self.alerts_only = alerts_only;
    }

    /// The sessions that are hidden, to be changed. The rows are rebuilt by [`TableState::rebuild`].
    pub(super) fn muted_mut(&mut self) -> &mut MutedSessions {
        &mut self.muted
    }

    /// True if the rows would be the same if they were rebuilt now with the same filter.
    pub(super) fn is_up_to_date(&self, profiles: &Profiles) -> bool {
        self.rows.is_up_to_date(profiles, self.sort)
    }

    /// Rebuilds the rows. The selection stays on its session; if that has no row any more, it goes to the row in its place.
    /// `reads` keeps the row of the selected session whatever the filter says, because its details are open.
    ///
    /// Returns true if another session is selected now.
    pub(super) fn rebuild(
        &mut self,
        profiles: &Profiles,
        acknowledged: &AcknowledgedAlerts,
        keep_selected: bool,
    ) -> bool {
        let before = self.selected_row.unwrap_or(0);
        let criteria = RowCriteria {
            filter: &self.filter,
            alerts_only: self.alerts_only,
            muted: &self.muted,
            acknowledged,
            pinned: self.selected.as_ref().filter(|_| keep_selected),
        };
        self.rows = Rows::build(profiles, self.sort, &criteria);
        self.selected_row = self.selected.as_ref().and_then(|id| self.rows.row_of(id));
        if !self.has_interacted {
            self.select_row(0)
        } else if self.selected_row.is_none() {
            self.select_row(before.min(self.rows.len().saturating_sub(1)))
        } else {
            false
        }
    }

    /// Selects the session in `row`, or none if there is no such row. Returns true if it is another than before.
    pub(super) fn select_row(&mut self, row: usize) -> bool {
        let selected = self.rows.get(row).cloned();
        let is_other = selected != self.selected;
        self.selected_row = selected.as_ref().map(|_| row);
        self.selected = selected;
        is_other
    }

    /// Selects a session, whether it has a row or not.
    pub(super) fn select(&mut self, id: SessionId) {
        self.selected_row = self.rows.row_of(&id);
        self.selected = Some(id);
    }

    /// Moves the selection as `action` says, where `page` rows are visible. Returns true if another session is selected now.
    pub(super) fn move_selection(&mut self, action: Action, page: usize) -> bool {
        let row = position_after(action, self.selected_row.unwrap_or(0), page, self.rows.len());
        self.select_row(row)
    }

    /// Scrolls so that the selection is among the `height` visible rows, no further than needed, and without blank rows at
    /// the end.
    pub(super) fn scroll_to_selection(&mut self, height: usize) {
        if !self.has_interacted {
            self.top = 0;
            return;
        }
        let height = height.max(1);
        let row = self.selected_row.unwrap_or(0);
        let lowest = row.saturating_add(1).saturating_sub(height);
        self.top = self.top.clamp(lowest, row).min(self.rows.len().saturating_sub(height).max(lowest));
    }

    /// Selects no session.
    #[cfg(test)]
    pub(crate) fn select_none(&mut self) {
        (self.selected, self.selected_row) = (None, None);
    }

    /// Scrolls the table for a picture of it, whatever is selected.
    #[cfg(test)]
    pub(crate) fn set_top(&mut self, top: usize) {
        self.top = top;
    }
}
