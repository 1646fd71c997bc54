//! The screen: `&Model` and a moment in, cells out. Never changes the model, never reads a clock, never waits.
//!
//! ```text
//!   layout   where everything goes
//!     ├─ header    is it alive: counts, the newest answer, alarms; the banner
//!     ├─ table     columns and rows; cells: what each shows of a session
//!     │    └─ empty     why there is no row
//!     ├─ details   everything about one session: fields, written on a page
//!     ├─ timeline  what happened, to it or to all
//!     ├─ recent    the newest sessions of the project
//!     ├─ footer    keys, a line to the reader
//!     │    └─ typed     a line that is being typed
//!     └─ popup     help, copy menu, failures, a URL
//!   theme    colours and glyphs          ink    writing into cells
//! ```
//!
//! Only what is in view is built, so that a frame costs the same for ten sessions and for ten thousand.

mod cells;
mod details;
mod empty;
mod fields;
mod footer;
mod header;
mod ink;
mod layout;
mod page;
mod popup;
mod recent;
mod table;
mod theme;
mod timeline;
mod typed;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::time::Duration;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::{Counts, Model, Place};
#[cfg(test)]
pub(crate) use fixture::shown;
use keepwatch_core::clock::Moment;
use keepwatch_core::text;
use layout::{Body, Layout, Whole};
pub use theme::Theme;

/// From here on a countdown shows minutes only.
pub const MINUTES_FROM: Duration = Duration::from_secs(60 * 60);

/// How many rows of the table the screen has room for.
#[must_use]
pub fn table_height(model: &Model) -> usize {
    match Layout::of(model, screen(model)) {
        Layout::Whole(Whole { body: Body::Table { table, .. }, .. }) => {
            usize::from(layout::table_rows(table))
        }
        Layout::Whole(_) | Layout::Counts(_) => 0,
    }
}

/// How many lines the details have at `now`, and how many of them are in view.
#[must_use]
pub fn details_extent(model: &Model, now: Moment) -> (usize, usize) {
    layout::details_pane(model, screen(model)).map_or((0, 0), |pane| details::extent(model, pane, now))
}

/// The events that the pane with the keyboard can show, in order; the first of them that can be the last in view; and how
/// many lines are in view.
#[must_use]
pub fn events_extent(model: &Model) -> (Vec<Place>, usize, usize) {
    match Layout::of(model, screen(model)) {
        Layout::Whole(Whole { body: Body::Events(area), .. }) => timeline::extent_of_all(model, area),
        _ => match layout::details_pane(model, screen(model)).and_then(|pane| details::timeline(model, pane))
        {
            Some(area) => timeline::extent(model, area),
            None => (Vec::new(), 0, 0),
        },
    }
}

/// How many of the newest sessions the screen has room for.
#[must_use]
pub fn recent_height(model: &Model) -> usize {
    match Layout::of(model, screen(model)) {
        Layout::Whole(Whole { body: Body::Recent(area), .. }) => recent::height(area),
        Layout::Whole(_) | Layout::Counts(_) => 0,
    }
}

/// How many lines the popup has, and how many of them are in view.
#[must_use]
pub fn popup_extent(model: &Model) -> (usize, usize) {
    popup::extent(model, screen(model))
}

/// The window's title: counts only, for it is seen by more people than the screen.
#[must_use]
pub fn title(model: &Model) -> String {
    let Counts { running, pending, timed_out, error, flagged, .. } = *model.rows.counts();
    let errors = if error == 1 { "error" } else { "errors" };
    let counts: Vec<String> = [
        (flagged, "flagged"),
        (running, "running"),
        (pending, "pending"),
        (timed_out, "timed out"),
        (error, errors),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{count} {word}"))
    .collect();
    // promise: title-counts, mutant: counts.join(" · ")) -> match &model.focus { crate::tui::model::Focus::Reveal { url, .. } => url.expose().to_owned(), _ => counts.join(" · ") })
    let title =
        if counts.is_empty() { "keepwatch".into() } else { format!("{} — keepwatch", counts.join(" · ")) };
    if model.settings.theme.ascii { text::to_ascii(&title) } else { title }
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, model: &Model, now: Moment) {
    let area = frame.area();
    draw_screen(frame.buffer_mut(), area, model, now);
}

fn draw_screen(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    match Layout::of(model, area) {
        Layout::Counts(area) => {
            let used = header::draw_counts(buffer, area, model, now);
            footer::draw_notice(buffer, ink::below(area, used), model);
        }
        Layout::Whole(Whole { header, banner, body, footer }) => {
            header::draw(buffer, header, model, now, banner.height > 0);
            header::draw_banner(buffer, banner, model, now);
            match body {
                Body::Empty(area) => empty::draw(buffer, area, model, now),
                Body::Events(area) => timeline::draw_all(buffer, area, model, now),
                Body::Recent(area) => recent::draw(buffer, area, model, now),
                Body::Details(area) => details::draw(buffer, area, model, now),
                Body::Table { table, note, lower } => {
                    table::draw(buffer, table, model, now);
                    table::draw_note(buffer, note, model, layout::table_rows(table));
                    if let Some(lower) = lower {
                        details::draw(buffer, lower, model, now);
                    }
                }
            }
            footer::draw(buffer, footer, model);
        }
    }
    popup::draw(buffer, area, model, now);
    if model.settings.theme.ascii {
        ink::to_ascii(buffer);
    }
}

/// The screen, as the model was last told of it.
fn screen(model: &Model) -> Rect {
    Rect::new(0, 0, model.size.0, model.size.1)
}
