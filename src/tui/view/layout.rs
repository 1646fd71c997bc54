//! Computes the position of everything on the screen, from the model and the size of the screen. Draws nothing.
//!
//! ```text
//!   keepwatch  ● 5 running …                 21:06:48  84 ms    header
//!   the API refuses the key … next try in 45 s                  banner, while polls of a profile fail
//!
//!     STATUS      SESSION   …                                   table
//!   ▌ ● RUNNING   6512bd43  …
//!     filter eu 30 of 90 (Esc clears)  ↓ 12 more                note
//!   ─ 6512bd43-d9ca-… ───────────  ─ What happened ───────      details, from 60×16 on; in halves, from width 100 on
//!    status     RUNNING, 47m 56s left of 1h
//!
//!   c copy connect URL   ? help   q quit                        footer
//! ```
//!
//! A lower screen leaves out more: first the blank line above the footer, then the details, then the blank line below
//! the header, and finally everything except the counts and the notice.

use ratatui::layout::Rect;

use super::drawing::{below, indent, row};
use super::{away, details, header, popup};
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
/// The minimum width of the left half, with the blank column after it. In such a half, two short fields share a line.
const LEFT_HALF_MIN_WIDTH: u16 = 56;
/// The minimum height of a screen with a blank line below the header.
const SPACIOUS_HEIGHT: u16 = 12;
/// The minimum height of a screen with a blank line above the footer. If such a screen shows details, it keeps a line
/// for the note below the table even without a note.
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
    let viewport = Viewport { screen, areas, details: None, popup: popup::extent(model, screen), away: None };
    // Counting the lines of the details builds all of them, so this happens only while keystrokes scroll the details.
    let pane = viewport.details_pane().filter(|_| model.focus.pane().scrolls_fields());
    let away = match viewport.body() {
        Some(BodyArea::Away(area)) => away::extent(model, area, now),
        _ => None,
    };
    Viewport { details: pane.and_then(|pane| details::extent(model, pane, now)), away, ..viewport }
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
    let below_header = below(screen, rows_above);
    let body_area = Rect { height: below_header.height.saturating_sub(rows_below), ..below_header };
    let footer = row(screen, usize::from(screen.height.saturating_sub(1)));
    ScreenAreas::Full(FullAreas { header, banner, body: body(model, screen, body_area), footer })
}

/// Returns the height of the banner, or 0 if no profile fails or if the body shows the errors. The banner has as many
/// rows as the error message needs, or one row for each of several failing profiles. It never has more than
/// [`BANNER_MAX_HEIGHT`] rows, and on a low screen it has only one.
fn banner_height(model: &Model, screen: Rect) -> u16 {
    let failing = header::failing_profiles(model);
    // If all profiles fail and there are no sessions, the empty state shows the errors.
    let body_shows_errors = model.profiles.has_no_sessions() && failing.len() == model.profiles.ids().len();
    if failing.is_empty() || body_shows_errors {
        return 0;
    }
    if screen.height < SPACIOUS_HEIGHT {
        return 1;
    }
    let [profile] = failing.as_slice() else {
        return u16::try_from(failing.len()).unwrap_or(u16::MAX).min(BANNER_MAX_HEIGHT);
    };
    let needed_width =
        text::width(&header::error_message(model, *profile)).saturating_add(usize::from(BANNER_SUFFIX_WIDTH));
    // The banner has a margin of one column at each side.
    let lines = needed_width.div_ceil(usize::from(screen.width.saturating_sub(2).max(1)));
    u16::try_from(lines).unwrap_or(BANNER_MAX_HEIGHT).clamp(1, BANNER_MAX_HEIGHT)
}

/// Lays out `area`, the part of the screen between header and footer.
fn body(model: &Model, screen: Rect, area: Rect) -> BodyArea {
    match model.focus.pane() {
        Pane::Events => return BodyArea::Events(area),
        Pane::Recent => return BodyArea::Recent(area),
        Pane::Away => return BodyArea::Away(area),
        Pane::Table | Pane::LowerDetails(_) | Pane::FullDetails(_) => {}
    }
    if model.table.rows().is_empty() {
        return BodyArea::Empty(area);
    }
    let has_room_below = screen.width >= LOWER_PANE_MIN_SCREEN.0 && screen.height >= LOWER_PANE_MIN_SCREEN.1;
    match model.focus.pane() {
        Pane::FullDetails(_) if model.selected_session().is_some() => return BodyArea::Details(area),
        // Without room for two panes, the details replace the table while they have the focus.
        Pane::LowerDetails(_) if !has_room_below && model.selected_session().is_some() => {
            return BodyArea::Details(area);
        }
        Pane::Table
        | Pane::LowerDetails(_)
        | Pane::FullDetails(_)
        | Pane::Events
        | Pane::Recent
        | Pane::Away => {}
    }
    let height_above_details = area.height.saturating_sub(LOWER_PANE_MAX_HEIGHT);
    // The maximum height of the table.
    let max_height = if has_room_below { (area.height / 2).max(height_above_details) } else { area.height };
    // The height of a table that shows all sessions and, in one more row, the headings. A table of fewer than three
    // rows has no headings, so the table of a single session gets a third, empty row.
    let full_height = u16::try_from(model.table.rows().len()).unwrap_or(u16::MAX).saturating_add(1).max(3);
    let is_any_project_full =
        model.profiles.ids().any(|profile| model.slots(profile).is_some_and(|slots| slots.is_full()));
    let has_note = full_height > max_height
        || !model.table.filter().is_empty()
        || model.table.shows_alerts_only()
        || is_any_project_full
        || model.table.rows().counts().muted > 0
        || model.settings.query.is_some()
        || model.profiles.malformed() > 0;
    let note_height =
        u16::from(area.height > 3 && (has_note || has_room_below && screen.height >= MORE_SPACIOUS_HEIGHT));
    // The line of the note reduces the height of the details or, without details, of the table.
    let max_height = if has_room_below { max_height } else { max_height.saturating_sub(note_height) };
    let table = Rect { height: full_height.min(max_height), ..area };
    let below_table = below(area, table.height);
    let note = Rect { height: note_height.min(below_table.height), ..below_table };
    let details = below(below_table, note.height);
    BodyArea::Table { table, note, details: has_room_below.then_some(details) }
}

/// Splits the pane of the details: the fields at the left, the timeline at the right. Does not split a narrow pane.
pub(super) fn split_details(pane: Rect) -> (Rect, Option<Rect>) {
    if pane.width < SPLIT_MIN_WIDTH {
        return (pane, None);
    }
    let half = (pane.width / 2).max(LEFT_HALF_MIN_WIDTH);
    // Two blank columns separate the halves.
    (Rect { width: half.saturating_sub(1), ..pane }, Some(indent(pane, half.saturating_add(1))))
}
