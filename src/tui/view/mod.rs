//! The screen: `&Model` and a moment in, cells out. Never changes the model, never reads a clock, never waits.
//!
//! ```text
//!   layout   where everything goes: computed once per update, kept in the model, used by each frame
//!     ├─ header    is it alive: counts, the newest answer, alarms; the banner
//!     ├─ table     columns and rows; cells: what each shows of a session
//!     │    └─ empty     why there is no row
//!     ├─ details   everything about one session: fields, written on a page
//!     ├─ timeline  what happened, to it or to all
//!     ├─ recent    the newest sessions of the project
//!     ├─ footer    keys, a line to the reader
//!     │    └─ typed     a line that is being typed
//!     └─ popup     help, copy menu, failures, a URL
//!   columns  which columns a table has room for          ink    writing into cells
//! ```
//!
//! Only what is in view is built, so that a frame costs the same for ten sessions and for ten thousand.

mod cells;
mod columns;
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
use crate::tui::viewport::{BodyLayout, FullLayout, Layout, Viewport, visible_table_rows};
#[cfg(test)]
pub(crate) use fixture::screen_text;
use keepwatch_core::clock::Moment;

/// Computes the layout of the screen for the model as it is now. The model keeps it until the next update.
#[must_use]
pub fn viewport(model: &Model, now: Moment) -> Viewport {
    let (width, height) = model.size();
    layout::viewport(model, Rect::new(0, 0, width, height), now)
}

/// Draws the screen with the layout that the model keeps.
pub fn draw(frame: &mut Frame<'_>, model: &Model, now: Moment) {
    let area = frame.area();
    let cached = model.viewport();
    // A terminal that was resized takes its new size before the message about it arrives.
    let viewport = if cached.screen == area { *cached } else { layout::viewport(model, area, now) };
    draw_screen(frame.buffer_mut(), model, &viewport, now);
}

fn draw_screen(buffer: &mut Buffer, model: &Model, viewport: &Viewport, now: Moment) {
    match viewport.layout {
        Layout::CountsOnly(area) => {
            let used = header::draw_counts(buffer, area, model, now);
            footer::draw_notice(buffer, drawing::below(area, used), model);
        }
        Layout::Full(FullLayout { header, banner, body, footer }) => {
            header::draw(buffer, header, model, now, banner.height > 0);
            header::draw_banner(buffer, banner, model, now);
            match body {
                BodyLayout::Empty(area) => empty_state::draw(buffer, area, model, now),
                BodyLayout::Events(area) => timeline::draw_all_events(buffer, area, model, now),
                BodyLayout::Recent(area) => recent::draw(buffer, area, model, now),
                BodyLayout::Details(area) => details::draw(buffer, area, model, now),
                BodyLayout::Table { table, filter_note: note, details: lower } => {
                    table::draw(buffer, table, model, now);
                    table::draw_note(buffer, note, model, visible_table_rows(table));
                    if let Some(lower) = lower {
                        details::draw(buffer, lower, model, now);
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
