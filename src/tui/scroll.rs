//! Scroll positions of the panes beside the table: the details of a session, and events.

use super::event_scope::EventScope;
use super::keymap::Action;
use super::profiles::{EventRef, Profiles};

/// The scroll positions of the details and of the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScrollState {
    /// The first visible line of the details.
    details_top: usize,
    /// The last visible event, or `None` to follow the newest.
    anchor: Option<EventRef>,
}

impl ScrollState {
    /// The first visible line of the details.
    #[must_use]
    pub(crate) fn details_top(&self) -> usize {
        self.details_top
    }

    /// The last visible event, or `None` if the newest is.
    #[must_use]
    pub(crate) fn anchor(&self) -> Option<EventRef> {
        self.anchor
    }

    /// Goes back to the first line and to the newest event.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Goes back to the newest event.
    pub(super) fn follow_newest(&mut self) {
        self.anchor = None;
    }

    /// Scrolls the details, which have `lines` lines, `height` of them visible.
    pub(super) fn scroll_details(&mut self, action: Action, lines: usize, height: usize) {
        self.details_top =
            position_after(action, self.details_top, height, max_top(lines, height).saturating_add(1));
    }

    /// Keeps the end of the details at the end of their pane.
    pub(super) fn clamp_details(&mut self, lines: usize, height: usize) {
        self.details_top = self.details_top.min(max_top(lines, height));
    }

    /// Scrolls the events of `scope` one by one, where `height` lines are visible. The oldest ones fill the pane.
    ///
    /// Looks at all events of the scope, so it is called for a keystroke or a resize only.
    pub(super) fn scroll_events(
        &mut self,
        action: Option<Action>,
        scope: EventScope<'_>,
        profiles: &Profiles,
        height: usize,
    ) {
        let mut events: Vec<EventRef> = scope.newest_events(profiles).map(|(event, _)| event).collect();
        events.reverse();
        let last = events.len().saturating_sub(1);
        let anchor = self.anchor.and_then(|anchor| events.iter().rposition(|event| *event == anchor));
        let at = anchor.unwrap_or(last);
        let at = action.map_or(at, |action| position_after(action, at, height, events.len()));
        let at = at.max(height.saturating_sub(1).min(last));
        self.anchor = events.get(at).copied().filter(|_| at < last);
    }

    /// Sets the positions for a picture of them.
    #[cfg(test)]
    pub(crate) fn set_positions(&mut self, details_top: usize, anchor: Option<EventRef>) {
        (self.details_top, self.anchor) = (details_top, anchor);
    }
}

/// The last line that can be the first visible one.
pub(super) fn max_top(lines: usize, height: usize) -> usize {
    lines.saturating_sub(height)
}

/// Returns where `action` leads from `at` among `count` places, where a page has `page` of them.
pub(super) fn position_after(action: Action, at: usize, page: usize, count: usize) -> usize {
    let last = count.saturating_sub(1);
    let page = page.saturating_sub(1).max(1);
    match action {
        Action::Down => at.saturating_add(1),
        Action::Up => at.saturating_sub(1),
        Action::PageDown => at.saturating_add(page),
        Action::PageUp => at.saturating_sub(page),
        Action::First => 0,
        Action::Last => last,
        _ => at,
    }
    .min(last)
}
