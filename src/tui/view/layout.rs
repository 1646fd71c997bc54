//! Computes the position of everything on the screen, from the model and the size of the screen. Draws nothing.
//!
//! ```text
//!   keepwatch  ● 5 running …                 21:06:48  84 ms    header
//!   the API refuses the key … next try in 45 s                  banner, while polls of a profile fail
//!
//!     STATUS      SESSION   …                                   table
//!   ▌ ● RUNNING   6512bd43  …
//!     filter eu 30 of 90 (Esc clears)  ↓ 12 more                note
//!   ─ 6512bd43-d9ca-… ───────────  ─ What happened ───────      details, from 60×16; two halves from width 100
//!    status     RUNNING, 47m 56s left of 1h
//!
//!   c copy connect URL   ? help   q quit                        footer
//! ```
//!
//! A screen with fewer rows first leaves out the blank lines, then the details, and finally everything except the
//! counts.

use ratatui::layout::Rect;

use super::drawing::{below, indent, row};
use super::{details, header, popup};
use crate::tui::viewport::{BodyArea, FullAreas, ScreenAreas, Viewport};
use crate::tui::{Model, Pane};
use keepwatch_core::clock::Moment;
use keepwatch_core::text;

/// The smallest screen with a full layout, as width and height. A smaller one shows counts only.
const MIN_SCREEN: (u16, u16) = (30, 4);
/// The smallest screen with details below the table, as width and height.
const LOWER_PANE_MIN_SCREEN: (u16, u16) = (60, 16);
/// The minimum width of a pane that splits the details into two halves.
const SPLIT_MIN_WIDTH: u16 = 100;
/// The minimum width of the left half, in which two short fields share a line.
const LEFT_HALF_MIN_WIDTH: u16 = 56;
/// The minimum height of a screen with a blank line below the header.
const SPACIOUS_HEIGHT: u16 = 12;
/// The minimum height of a screen with a blank line above the footer. If such a screen also shows details, it keeps a
/// line for the note below the table even without a note.
const MORE_SPACIOUS_HEIGHT: u16 = 20;
/// The maximum height of the details below the table. The details rarely need more, so the table gets the other rows of
/// a tall screen.
const LOWER_PANE_MAX_HEIGHT: u16 = 20;
/// The maximum height of the banner.
const BANNER_MAX_HEIGHT: u16 = 3;
/// Columns reserved at the end of a banner for a text such as "next try in 4m 59s".
const BANNER_SUFFIX_WIDTH: u16 = 22;

/// Lays out a screen.
pub(super) fn viewport(model: &Model, screen: Rect, now: Moment) -> Viewport {
    let areas = areas(model, screen);
    let viewport = Viewport { screen, areas, details: None, popup: popup::extent(model, screen) };
    // Counting the lines of the details builds all of them, so this happens only while keystrokes scroll the details.
    let pane = viewport.details_pane().filter(|_| model.focus.pane().scrolls_fields());
    Viewport { details: pane.and_then(|pane| details::extent(model, pane, now)), ..viewport }
}

fn areas(model: &Model, screen: Rect) -> ScreenAreas {
    if screen.width < MIN_SCREEN.0 || screen.height < MIN_SCREEN.1 {
        return ScreenAreas::CountsOnly(screen);
    }
    let header = row(screen, 0);
    let banner = Rect { height: banner_height(model, screen), ..below(screen, 1) };
    // Above the body: the header, the banner and a blank line. Below: the footer and a blank line.
    let rows_above =
        1_u16.saturating_add(banner.height).saturating_add(u16::from(screen.height >= SPACIOUS_HEIGHT));
    let rows_below = 1_u16.saturating_add(u16::from(screen.height >= MORE_SPACIOUS_HEIGHT));
    let inner = below(screen, rows_above);
    let inner = Rect { height: inner.height.saturating_sub(rows_below), ..inner };
    let footer = row(screen, usize::from(screen.height.saturating_sub(1)));
    ScreenAreas::Full(FullAreas { header, banner, body: body(model, screen, inner), footer })
}

/// Returns the height of the banner: as many rows as the error message needs, up to [`BANNER_MAX_HEIGHT`], or one row
/// on a low screen. Several failing profiles have one row each.
fn banner_height(model: &Model, screen: Rect) -> u16 {
    let failing = header::failing_profiles(model);
    // If all profiles fail and there are no sessions, the empty state shows the errors.
    let is_shown_in_body = model.profiles.has_no_sessions() && failing.len() == model.profiles.ids().len();
    if failing.is_empty() || is_shown_in_body {
        return 0;
    }
    if screen.height < SPACIOUS_HEIGHT {
        return 1;
    }
    let [profile] = failing.as_slice() else {
        return u16::try_from(failing.len()).unwrap_or(u16::MAX).min(BANNER_MAX_HEIGHT);
    };
    let message_width =
        text::width(&header::error_message(model, *profile)).saturating_add(usize::from(BANNER_SUFFIX_WIDTH));
    let lines = message_width.div_ceil(usize::from(screen.width.saturating_sub(2).max(1)));
    u16::try_from(lines).unwrap_or(BANNER_MAX_HEIGHT).clamp(1, BANNER_MAX_HEIGHT)
}

fn body(model: &Model, screen: Rect, inner: Rect) -> BodyArea {
    match model.focus.pane() {
        Pane::Events => return BodyArea::Events(inner),
        Pane::Recent => return BodyArea::Recent(inner),
        Pane::Table | Pane::LowerDetails(_) | Pane::FullDetails(_) => {}
    }
    if model.table.rows().is_empty() {
        return BodyArea::Empty(inner);
    }
    let has_room_below = screen.width >= LOWER_PANE_MIN_SCREEN.0 && screen.height >= LOWER_PANE_MIN_SCREEN.1;
    match model.focus.pane() {
        Pane::FullDetails(_) if model.selected_session().is_some() => return BodyArea::Details(inner),
        // Without room for two panes, the details replace the table while they have the focus.
        Pane::LowerDetails(_) if !has_room_below && model.selected_session().is_some() => {
            return BodyArea::Details(inner);
        }
        Pane::Table | Pane::LowerDetails(_) | Pane::FullDetails(_) | Pane::Events | Pane::Recent => {}
    }
    let height_above_details = inner.height.saturating_sub(LOWER_PANE_MAX_HEIGHT);
    // The maximum height of the table.
    let max_height = if has_room_below { (inner.height / 2).max(height_above_details) } else { inner.height };
    // One row more than sessions, for the headings. A table of fewer than three rows has no headings, so the table of a
    // single session gets a third, empty row.
    let rows = u16::try_from(model.table.rows().len()).unwrap_or(u16::MAX).saturating_add(1).max(3);
    let is_any_project_full =
        model.profiles.ids().any(|profile| model.slots(profile).is_some_and(|slots| slots.is_full()));
    let has_note = rows > max_height
        || !model.table.filter().is_empty()
        || model.table.shows_alerts_only()
        || is_any_project_full
        || model.table.rows().counts().muted > 0
        || model.settings.query.is_some()
        || model.profiles.malformed() > 0;
    let note_height =
        u16::from(inner.height > 3 && (has_note || has_room_below && screen.height >= MORE_SPACIOUS_HEIGHT));
    // The line of the note reduces the height of the details or, without details, of the table.
    let max_height = if has_room_below { max_height } else { max_height.saturating_sub(note_height) };
    let table = Rect { height: rows.min(max_height), ..inner };
    let below_table = below(inner, table.height);
    let note = Rect { height: note_height.min(below_table.height), ..below_table };
    let details = below(below_table, note.height);
    BodyArea::Table { table, note, details: has_room_below.then_some(details) }
}

/// Splits the pane of the details: the fields at the left, the timeline at the right. Returns a narrow pane as a whole.
pub(super) fn split_details(pane: Rect) -> (Rect, Option<Rect>) {
    if pane.width < SPLIT_MIN_WIDTH {
        return (pane, None);
    }
    let half = (pane.width / 2).max(LEFT_HALF_MIN_WIDTH);
    // Two blank columns separate the halves.
    (Rect { width: half.saturating_sub(1), ..pane }, Some(indent(pane, half.saturating_add(1))))
}
