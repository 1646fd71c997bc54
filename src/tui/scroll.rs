//! Scroll positions of the panes other than the table: the details of a session, and events.

use super::event_scope::EventScope;
use super::keymap::Action;
use super::profiles::{EventRef, Profiles};

/// The scroll positions of the details and of the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScrollState {
    /// The first visible line of the details.
    details_top: usize,
    /// The last visible event, or `None` to follow the newest event.
    anchor: Option<EventRef>,
}

impl ScrollState {
    /// Returns the first visible line of the details.
    #[must_use]
    pub(crate) fn details_top(&self) -> usize {
        self.details_top
    }

    /// Returns the last visible event, or `None` while the pane follows the newest event.
    #[must_use]
    pub(crate) fn anchor(&self) -> Option<EventRef> {
        self.anchor
    }

    /// Scrolls back to the first line and to the newest event.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Scrolls back to the newest event.
    pub(super) fn follow_newest(&mut self) {
        self.anchor = None;
    }

    /// Scrolls the details, which have `lines` lines. `height` of them are visible.
    pub(super) fn scroll_details(&mut self, action: Action, lines: usize, height: usize) {
        self.details_top =
            position_after(action, self.details_top, height, max_top(lines, height).saturating_add(1));
    }

    /// Limits the scroll position of the details, so that no blank lines follow their last line.
    pub(super) fn clamp_details(&mut self, lines: usize, height: usize) {
        self.details_top = self.details_top.min(max_top(lines, height));
    }

    /// Scrolls the events of `scope`, with `height` visible lines. Scrolling up stops when the oldest events fill the
    /// pane. If `action` is `None`, scrolls only if the pane would have blank lines.
    ///
    /// Reads all events of the scope, so call it only for a keystroke or a resize.
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
        let anchor_position =
            self.anchor.and_then(|anchor| events.iter().rposition(|event| *event == anchor));
        let position = anchor_position.unwrap_or(last);
        let position =
            action.map_or(position, |action| position_after(action, position, height, events.len()));
        let position = position.max(height.saturating_sub(1).min(last));
        self.anchor = events.get(position).copied().filter(|_| position < last);
    }

    /// Sets the positions for a snapshot test.
    #[cfg(test)]
    pub(crate) fn set_positions(&mut self, details_top: usize, anchor: Option<EventRef>) {
        (self.details_top, self.anchor) = (details_top, anchor);
    }
}

/// Returns the largest possible index of the first visible line, with `lines` lines and `height` of them visible.
pub(super) fn max_top(lines: usize, height: usize) -> usize {
    lines.saturating_sub(height)
}

/// Returns the position that `action` moves to from `position`. The positions are 0 to `count - 1`, and `height` lines
/// are visible.
pub(super) fn position_after(action: Action, position: usize, height: usize, count: usize) -> usize {
    let last = count.saturating_sub(1);
    // After a page, one line of the previous page is still visible.
    let page = height.saturating_sub(1).max(1);
    match action {
        Action::Down => position.saturating_add(1),
        Action::Up => position.saturating_sub(1),
        Action::PageDown => position.saturating_add(page),
        Action::PageUp => position.saturating_sub(page),
        Action::First => 0,
        Action::Last => last,
        _ => position, // the other actions do not scroll
    }
    .min(last)
}
