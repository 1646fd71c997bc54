//! Draws the model. Takes `&Model` and a moment, and writes cells into a buffer. Never changes the model, never reads a
//! clock, and never waits.
//!
//! ```text
//!   layout   places everything: runs once per update, and the model keeps the result until the next update
//!     ├─ header       counts, the time of the last response, warnings; below them, the banner
//!     ├─ table        columns and rows; `cells` builds the text of each cell
//!     │    └─ empty_state   the reason why there are no rows
//!     ├─ details      one session; `session_fields` adds its fields to a `field_list`
//!     ├─ timeline     events of one session or of all sessions
//!     ├─ recent       the newest sessions of each project
//!     ├─ away         what happened while the user was away
//!     ├─ footer       a notice, or hints for keystrokes
//!     │    └─ input_line    a line of text that the user is typing
//!     └─ popup        help, copy menu, polling, release dialog, connect URL
//!   column_solver  places columns          drawing  writes text into cells
//! ```
//!
//! The view builds only the rows in view. So the cost of a frame does not depend on the number of sessions.

mod away;
mod cells;
mod column_solver;
mod details;
mod drawing;
mod empty_state;
mod field_list;
mod footer;
mod header;
mod input_line;
mod layout;
mod popup;
mod recent;
mod session_fields;
mod table;
mod timeline;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::Model;
use crate::tui::viewport::{BodyArea, FullAreas, ScreenAreas, Viewport, visible_table_rows};
#[cfg(test)]
pub(crate) use fixture::screen_text;
use keepwatch_core::clock::Moment;

/// Computes the viewport for the current model. The model keeps it until the next update.
#[must_use]
pub fn viewport(model: &Model, now: Moment) -> Viewport {
    let (width, height) = model.size();
    layout::viewport(model, Rect::new(0, 0, width, height), now)
}

/// Draws one frame with the viewport that the model keeps.
pub fn draw(frame: &mut Frame<'_>, model: &Model, now: Moment) {
    let area = frame.area();
    let cached = model.viewport();
    // After a resize of the terminal, the frame has the new size before the model receives the resize message.
    let viewport = if cached.screen == area { *cached } else { layout::viewport(model, area, now) };
    draw_screen(frame.buffer_mut(), model, &viewport, now);
}

fn draw_screen(buffer: &mut Buffer, model: &Model, viewport: &Viewport, now: Moment) {
    match viewport.areas {
        ScreenAreas::CountsOnly(area) => {
            let used_rows = header::draw_counts(buffer, area, model, now);
            footer::draw_notice(buffer, drawing::below(area, used_rows), model);
        }
        ScreenAreas::Full(FullAreas { header, banner, body, footer }) => {
            header::draw(buffer, header, model, now, banner.height > 0);
            header::draw_banner(buffer, banner, model, now);
            match body {
                BodyArea::Empty(area) => empty_state::draw(buffer, area, model, now),
                BodyArea::Events(area) => timeline::draw_all_events(buffer, area, model, now),
                BodyArea::Recent(area) => recent::draw(buffer, area, model, now),
                BodyArea::Away(area) => away::draw(buffer, area, model, now),
                BodyArea::Details(area) => details::draw(buffer, area, model, now),
                BodyArea::Table { table, note, details } => {
                    table::draw(buffer, table, model, now);
                    table::draw_note(buffer, note, model, visible_table_rows(table));
                    if let Some(details) = details {
                        details::draw(buffer, details, model, now);
                    }
                }
            }
            footer::draw(buffer, footer, model);
        }
    }
    popup::draw(buffer, viewport.screen, model, now);
    if model.settings.theme.ascii {
        drawing::to_ascii(buffer);
    }
}
