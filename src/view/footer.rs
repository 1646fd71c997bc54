//! The last line: what the keys do; in its place, for a while, a line to the reader, or the filter being typed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::ink::{self, span};
use crate::app::keys::{Action, BINDINGS, Binding};
use crate::app::{Focus, Model, Pane, Tone};
use crate::text;

/// The last hints to go: what leads to all others, and the way out.
const LAST: [Action; 2] = [Action::Quit, Action::Help];
/// More of a filter than any screen shows.
const LONGEST: usize = 1000;

/// Draws the footer.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let inner = Rect { width: area.width.saturating_sub(2), ..ink::indent(area, 1) };
    if let Focus::Filter { line, .. } = &model.focus {
        return draw_filter(buffer, inner, line, model);
    }
    if model.notice.is_some() {
        return draw_notice(buffer, inner, model);
    }
    draw_hints(buffer, inner, model);
}

/// The line to the reader, if there is one.
pub(super) fn draw_notice(buffer: &mut Buffer, area: Rect, model: &Model) {
    let Some(notice) = &model.notice else { return };
    let theme = model.settings.theme;
    let (mark, style) = match notice.tone {
        Tone::Good => (theme.tick(), theme.good()),
        Tone::Plain => ("·", Style::new()),
        Tone::Bad => (theme.cross(), theme.bad()),
    };
    ink::write(buffer, area, &Line::styled(format!("{mark} {}", notice.text), style));
}

/// The filter with a cell for the cursor. Its end stays in view, for it is typed there.
fn draw_filter(buffer: &mut Buffer, area: Rect, line: &tui_input::Input, model: &Model) {
    let theme = model.settings.theme;
    let note =
        format!("{} of {} · Enter keeps it, Esc drops it", model.rows.len(), model.rows.counts().all());
    let note =
        if text::width(&note).saturating_mul(2) < usize::from(area.width) { note } else { String::new() };
    let room = usize::from(area.width).saturating_sub(text::width(&note)).saturating_sub(4);
    let cursor = line.value().char_indices().nth(line.cursor()).map_or(line.value().len(), |(at, _)| at);
    let (before, after) = line.value().split_at_checked(cursor).unwrap_or((line.value(), ""));
    let (before, after) = (text::shown(before, LONGEST), text::shown(after, LONGEST));
    let mut start = before.as_str();
    while text::width(start) > room {
        let mut letters = start.chars();
        letters.next();
        start = letters.as_str();
    }
    let under = after.chars().next().map_or_else(|| " ".into(), String::from);
    let rest = after.get(under.len()..).unwrap_or_default();
    let rest = text::fit(rest, room.saturating_sub(text::width(start)));
    let spans = vec![
        span("/", theme.strong()),
        Span::raw(start.to_owned()),
        span(under, Style::new().add_modifier(Modifier::REVERSED)),
        Span::raw(rest),
    ];
    ink::write(buffer, area, &spans.into());
    ink::write_right(buffer, area, &Line::styled(note, theme.faint()));
}

fn draw_hints(buffer: &mut Buffer, area: Rect, model: &Model) {
    let theme = model.settings.theme;
    let does = |binding: &Binding, action| binding.actions.iter().any(|(_, does)| *does == action);
    let pane = model.focus.pane();
    let back = BINDINGS.iter().filter(|binding| pane != Pane::Table && does(binding, Action::Back));
    let others = BINDINGS.iter().filter(|binding| binding.hint.is_some());
    let others = others.filter(|binding| !(pane == Pane::Full && does(binding, Action::Open)));
    let hints: Vec<(bool, Vec<Span<'static>>)> = back
        .chain(others)
        .map(|binding| {
            let key = binding.keys.split(' ').next().unwrap_or_default();
            let hint =
                vec![span(key, theme.strong()), Span::raw(" "), Span::raw(binding.hint.unwrap_or("back"))];
            (LAST.iter().any(|last| does(binding, *last)), hint)
        })
        .collect();
    // Three blanks between hints; what stays longest is counted first.
    let wide = |hint: &[Span<'_>]| {
        hint.iter().map(|span| text::width(&span.content)).sum::<usize>().saturating_add(3)
    };
    let mut room = usize::from(area.width).saturating_add(3);
    for (_, hint) in hints.iter().filter(|(last, _)| *last) {
        room = room.saturating_sub(wide(hint));
    }
    let mut spans = Vec::new();
    let mut full = false;
    for (last, hint) in hints {
        full = full || !last && wide(&hint) > room;
        if !last && full {
            continue;
        }
        if !last {
            room = room.saturating_sub(wide(&hint));
        }
        if !spans.is_empty() {
            spans.push(Span::raw("   "));
        }
        spans.extend(hint);
    }
    ink::write(buffer, area, &spans.into());
}
