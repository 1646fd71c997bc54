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

use super::ink::{below, indent, row};
use super::{details, header, popup};
use crate::tui::viewport::{BodyLayout, FullLayout, Layout, Viewport};
use crate::tui::{Model, Pane};
use keepwatch_core::clock::Moment;
use keepwatch_core::text;

/// Below this there is one line of counts.
const LEAST: (u16, u16) = (30, 4);
/// From here on the details have room below the table.
const WITH_LOWER: (u16, u16) = (60, 16);
/// From here on the details stand in two halves.
const TWO_HALVES: u16 = 100;
/// The left half is at least so wide that two short fields share a line.
const WHOLE_PAIRS: u16 = 56;
/// From this height on there is a blank line below the header.
const AIRY: u16 = 12;
/// From this height on there are blank lines below the table and above the footer.
const AIRIER: u16 = 20;
/// No details are that long: what is above goes to the table.
const TALLEST_LOWER: u16 = 20;
/// No banner is taller.
const TALLEST_BANNER: u16 = 3;
/// What "next try in 4m 59s" may take at the end of a banner.
const BANNER_END: u16 = 22;

/// Lays out a screen.
pub(super) fn viewport(model: &Model, screen: Rect, now: Moment) -> Viewport {
    let layout = layout(model, screen);
    let viewport = Viewport { screen, layout, details: None, popup: popup::extent(model, screen) };
    // The lines of the details are counted only while keystrokes scroll them.
    let pane = viewport.details_pane().filter(|_| model.focus.pane().is_fields());
    Viewport { details: pane.and_then(|pane| details::extent(model, pane, now)), ..viewport }
}

fn layout(model: &Model, screen: Rect) -> Layout {
    if screen.width < LEAST.0 || screen.height < LEAST.1 {
        return Layout::CountsOnly(screen);
    }
    let header = row(screen, 0);
    let banner = Rect { height: banner_height(model, screen), ..below(screen, 1) };
    let above = 1_u16.saturating_add(banner.height).saturating_add(u16::from(screen.height >= AIRY));
    let under = 1_u16.saturating_add(u16::from(screen.height >= AIRIER));
    let inner = below(screen, above);
    let inner = Rect { height: inner.height.saturating_sub(under), ..inner };
    let footer = row(screen, usize::from(screen.height.saturating_sub(1)));
    Layout::Full(FullLayout { header, banner, body: body(model, screen, inner), footer })
}

/// The fault's whole sentence where there is room for it; one line of it where there is not.
fn banner_height(model: &Model, screen: Rect) -> u16 {
    let failing = header::failing(model);
    // Where all fail and there is no row, the reason for that says it all.
    let is_told = model.profiles.has_no_sessions() && failing.len() == model.profiles.ids().len();
    if failing.is_empty() || is_told {
        return 0;
    }
    if screen.height < AIRY {
        return 1;
    }
    let [profile] = failing.as_slice() else {
        return u16::try_from(failing.len()).unwrap_or(u16::MAX).min(TALLEST_BANNER);
    };
    let long = text::width(&header::sentence(model, *profile)).saturating_add(usize::from(BANNER_END));
    let lines = long.div_ceil(usize::from(screen.width.saturating_sub(2).max(1)));
    u16::try_from(lines).unwrap_or(TALLEST_BANNER).clamp(1, TALLEST_BANNER)
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
    let room_for_lower = screen.width >= WITH_LOWER.0 && screen.height >= WITH_LOWER.1;
    match model.focus.pane() {
        Pane::FullDetails(_) if model.selected_session().is_some() => return BodyLayout::Details(inner),
        // Where there is no room for two panes, the other one stands in the table's place.
        Pane::LowerDetails(_) if !room_for_lower && model.selected_session().is_some() => {
            return BodyLayout::Details(inner);
        }
        Pane::Table | Pane::LowerDetails(_) | Pane::FullDetails(_) | Pane::Events | Pane::Recent => {}
    }
    let lower_most = inner.height.saturating_sub(TALLEST_LOWER);
    let most = if room_for_lower { (inner.height / 2).max(lower_most) } else { inner.height };
    // One row alone has its headings, too.
    let rows = u16::try_from(model.table.rows().len()).unwrap_or(u16::MAX).saturating_add(1).max(3);
    let is_full =
        model.profiles.ids().any(|profile| model.slots(profile).is_some_and(|slots| slots.is_full()));
    let told = rows > most
        || !model.table.filter().is_empty()
        || model.table.is_alerts_only()
        || is_full
        || model.table.rows().counts().muted > 0
        || model.settings.query.is_some()
        || model.profiles.malformed() > 0;
    let note = u16::from(inner.height > 3 && (told || room_for_lower && screen.height >= AIRIER));
    // The note takes its line from the lower pane, where there is one.
    let most = if room_for_lower { most } else { most.saturating_sub(note) };
    let table = Rect { height: rows.min(most), ..inner };
    let after = below(inner, table.height);
    let note = Rect { height: note.min(after.height), ..after };
    let lower = below(after, note.height);
    BodyLayout::Table { table, filter_note: note, details: room_for_lower.then_some(lower) }
}

/// The halves of the details: what the API says of the session and what its creator attached to it, and what happened.
pub(super) fn halves(pane: Rect) -> (Rect, Option<Rect>) {
    if pane.width < TWO_HALVES {
        return (pane, None);
    }
    let half = (pane.width / 2).max(WHOLE_PAIRS);
    (Rect { width: half.saturating_sub(1), ..pane }, Some(indent(pane, half.saturating_add(1))))
}
