//! Where everything goes. Pure: from the sizes of the screen and of what is to be shown.
//!
//! ```text
//!   keepwatch  ● 5 running …                 21:06:48  84 ms    header
//!   the API refuses the key … next try in 45 s                  banner, while something concerns all
//!
//!     STATUS      SESSION   …                                   table
//!   ▌ ● RUNNING   6512bd43  …
//!     filter eu 30 of 90 (Esc clears)  ↓ 12 more                note
//!   ─ 6512bd43-d9ca-… ───────────  ─ What happened ───────      lower pane, from 60×16 on; two halves from 100 on
//!    status     RUNNING, 47m 56s left of 1h
//!
//!   c copy connect URL   ? help   q quit                        footer
//! ```
//!
//! Blank lines go first as the screen gets lower, then the lower pane, and in the end all but one line of counts.

use ratatui::layout::Rect;

use super::drawing::{below, indent, row};
use super::{details, header, popup};
use crate::tui::viewport::{BodyLayout, FullLayout, Layout, Viewport};
use crate::tui::{Model, Pane};
use keepwatch_core::clock::Moment;
use keepwatch_core::text;

/// Below this there is one line of counts.
const MIN_SCREEN: (u16, u16) = (30, 4);
/// From here on the details have room below the table.
const LOWER_PANE_MIN_SCREEN: (u16, u16) = (60, 16);
/// From here on the details stand in two halves.
const SPLIT_MIN_WIDTH: u16 = 100;
/// The left half is at least so wide that two short fields share a line.
const LEFT_HALF_MIN_WIDTH: u16 = 56;
/// From this height on there is a blank line below the header.
const SPACIOUS_HEIGHT: u16 = 12;
/// From this height on there are blank lines below the table and above the footer.
const MORE_SPACIOUS_HEIGHT: u16 = 20;
/// No details are that long: what is above goes to the table.
const LOWER_PANE_MAX_HEIGHT: u16 = 20;
/// No banner is taller.
const BANNER_MAX_HEIGHT: u16 = 3;
/// What "next try in 4m 59s" may take at the end of a banner.
const BANNER_SUFFIX_WIDTH: u16 = 22;

/// Lays out a screen.
pub(super) fn viewport(model: &Model, screen: Rect, now: Moment) -> Viewport {
    let layout = layout(model, screen);
    let viewport = Viewport { screen, layout, details: None, popup: popup::extent(model, screen) };
    // The lines of the details are counted only while keystrokes scroll them.
    let pane = viewport.details_pane().filter(|_| model.focus.pane().is_fields());
    Viewport { details: pane.and_then(|pane| details::extent(model, pane, now)), ..viewport }
}

fn layout(model: &Model, screen: Rect) -> Layout {
    if screen.width < MIN_SCREEN.0 || screen.height < MIN_SCREEN.1 {
        return Layout::CountsOnly(screen);
    }
    let header = row(screen, 0);
    let banner = Rect { height: banner_height(model, screen), ..below(screen, 1) };
    let above =
        1_u16.saturating_add(banner.height).saturating_add(u16::from(screen.height >= SPACIOUS_HEIGHT));
    let under = 1_u16.saturating_add(u16::from(screen.height >= MORE_SPACIOUS_HEIGHT));
    let inner = below(screen, above);
    let inner = Rect { height: inner.height.saturating_sub(under), ..inner };
    let footer = row(screen, usize::from(screen.height.saturating_sub(1)));
    Layout::Full(FullLayout { header, banner, body: body(model, screen, inner), footer })
}

/// The fault's whole sentence where there is room for it; one line of it where there is not.
fn banner_height(model: &Model, screen: Rect) -> u16 {
    let failing = header::failing_profiles(model);
    // Where all fail and there is no row, the reason for that says it all.
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

fn body(model: &Model, screen: Rect, inner: Rect) -> BodyLayout {
    match model.focus.pane() {
        Pane::Events => return BodyLayout::Events(inner),
        Pane::Recent => return BodyLayout::Recent(inner),
        Pane::Table | Pane::LowerDetails(_) | Pane::FullDetails(_) => {}
    }
    if model.table.rows().is_empty() {
        return BodyLayout::Empty(inner);
    }
    let room_for_lower = screen.width >= LOWER_PANE_MIN_SCREEN.0 && screen.height >= LOWER_PANE_MIN_SCREEN.1;
    match model.focus.pane() {
        Pane::FullDetails(_) if model.selected_session().is_some() => return BodyLayout::Details(inner),
        // Where there is no room for two panes, the other one stands in the table's place.
        Pane::LowerDetails(_) if !room_for_lower && model.selected_session().is_some() => {
            return BodyLayout::Details(inner);
        }
        Pane::Table | Pane::LowerDetails(_) | Pane::FullDetails(_) | Pane::Events | Pane::Recent => {}
    }
    let height_above_lower = inner.height.saturating_sub(LOWER_PANE_MAX_HEIGHT);
    let max_height = if room_for_lower { (inner.height / 2).max(height_above_lower) } else { inner.height };
    // One row alone has its headings, too.
    let rows = u16::try_from(model.table.rows().len()).unwrap_or(u16::MAX).saturating_add(1).max(3);
    let is_full =
        model.profiles.ids().any(|profile| model.slots(profile).is_some_and(|slots| slots.is_full()));
    let has_note = rows > max_height
        || !model.table.filter().is_empty()
        || model.table.is_alerts_only()
        || is_full
        || model.table.rows().counts().muted > 0
        || model.settings.query.is_some()
        || model.profiles.malformed() > 0;
    let note =
        u16::from(inner.height > 3 && (has_note || room_for_lower && screen.height >= MORE_SPACIOUS_HEIGHT));
    // The note takes its line from the lower pane, where there is one.
    let most = if room_for_lower { max_height } else { max_height.saturating_sub(note) };
    let table = Rect { height: rows.min(most), ..inner };
    let after = below(inner, table.height);
    let note = Rect { height: note.min(after.height), ..after };
    let lower = below(after, note.height);
    BodyLayout::Table { table, filter_note: note, details: room_for_lower.then_some(lower) }
}

/// The halves of the details: what the API says of the session and what its creator attached to it, and what happened.
pub(super) fn split_details(pane: Rect) -> (Rect, Option<Rect>) {
    if pane.width < SPLIT_MIN_WIDTH {
        return (pane, None);
    }
    let half = (pane.width / 2).max(LEFT_HALF_MIN_WIDTH);
    (Rect { width: half.saturating_sub(1), ..pane }, Some(indent(pane, half.saturating_add(1))))
}
