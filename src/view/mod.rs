//! The screen: `&Model` and a moment in, cells out. Never changes the model, never reads a clock, never waits.

use std::time::Duration;

use ratatui::Frame;

use crate::app::Model;
use crate::clock::Moment;

/// From here on a countdown shows minutes only.
pub const MINUTES_FROM: Duration = Duration::from_secs(60 * 60);

/// Colours and glyphs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Theme {
    pub ascii: bool,
    pub color: bool,
}

/// How many rows of the table the screen has room for.
#[must_use]
pub fn table_height(model: &Model) -> usize {
    usize::from(model.size.1).saturating_sub(2)
}

/// How many lines the details have, and how many of them are in view.
#[must_use]
pub fn details_extent(model: &Model) -> (usize, usize) {
    let _ = model;
    (0, 0)
}

/// How many lines the popup has, and how many of them are in view.
#[must_use]
pub fn popup_extent(model: &Model) -> (usize, usize) {
    let _ = model;
    (0, 0)
}

/// The window's title: counts only.
#[must_use]
pub fn title(model: &Model) -> String {
    let _ = model;
    String::new()
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, model: &Model, now: Moment) {
    let _ = (frame, model, now);
}
