//! The last line: what the keys do; in its place, for a while, a line to the reader, or the filter being typed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line as Text, Span};
use tui_input::Input as Line;

use super::ink::{self, span};
use super::typed;
use crate::tui::keymap::{Action, BINDINGS, Binding, bindings};
use crate::tui::{Focus, Model, NoticeLevel, Pane};
use keepwatch_core::filter::FilterError;
use keepwatch_core::text;

/// The last hints to go: what leads to all others, and the way out.
const LAST: [Action; 2] = [Action::Quit, Action::Help];
/// What is of no use while the table is out of view.
const OF_THE_TABLE: [Action; 3] = [Action::Open, Action::Filter, Action::Sort];
/// What keys do to the marked event's session.
const OF_AN_EVENT: [Action; 2] = [Action::Open, Action::CopyMenu];

/// Draws the footer.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let inner = Rect { width: area.width.saturating_sub(2), ..ink::indent(area, 1) };
    if let Focus::Filter { input: line, error: mistake, .. } = &model.focus {
        return draw_filter(buffer, inner, line, mistake.as_ref(), model);
    }
    if let Focus::AddSession { input: line, invalid: wrong, .. } = &model.focus {
        return draw_id(buffer, inner, line, wrong.as_deref(), model);
    }
    if model.notice.is_some() {
        return draw_notice(buffer, inner, model);
    }
    // What stands in front says itself what its keys do.
    if let Focus::Pane(pane) = &model.focus {
        let speaks = model.table.selected().is_some() || matches!(pane, Pane::Events | Pane::Recent);
        draw_hints(buffer, inner, model, speaks.then_some(*pane));
    }
}

/// The line to the reader, if there is one.
pub(super) fn draw_notice(buffer: &mut Buffer, area: Rect, model: &Model) {
    let Some(notice) = &model.notice else { return };
    let theme = model.settings.theme;
    let (mark, style) = match notice.level {
        NoticeLevel::Success => (theme.success_glyph(), theme.success()),
        NoticeLevel::Info => ("·", Style::new()),
        NoticeLevel::Error => (theme.error_glyph(), theme.error()),
    };
    ink::write(buffer, area, &Text::styled(format!("{mark} {}", notice.text), style));
}

/// The filter, and what comes of it or what is wrong with it.
fn draw_filter(buffer: &mut Buffer, area: Rect, line: &Line, mistake: Option<&FilterError>, model: &Model) {
    let theme = model.settings.theme;
    let Some(mistake) = mistake else {
        let (shown, all) = (model.table.rows().len(), model.table.rows().counts().total());
        let note = span(format!("{shown} of {all} · Enter keeps it, Esc drops it"), theme.dim());
        let fits = text::width(&note.content).saturating_mul(2) < usize::from(area.width);
        return typed::draw(buffer, area, "/", line, None, fits.then_some(note), theme);
    };
    let bad = Some(mistake.range.clone());
    typed::draw_wrong(buffer, area, "/", line, bad, &mistake.message, theme);
}

/// The id of a session to watch.
fn draw_id(buffer: &mut Buffer, area: Rect, line: &Line, wrong: Option<&str>, model: &Model) {
    let theme = model.settings.theme;
    if let Some(wrong) = wrong {
        return typed::draw_wrong(buffer, area, "id: ", line, None, wrong, theme);
    }
    let note = span("type an id, or paste what has it · Enter watches it · Esc", theme.dim());
    let beside = text::width(line.value()).saturating_add(text::width(&note.content)).saturating_add(8);
    let fits = beside < usize::from(area.width);
    typed::draw(buffer, area, "id: ", line, None, fits.then_some(note), theme);
}

/// Hints for `pane`; `None` where there is no session that keys could speak of.
fn draw_hints(buffer: &mut Buffer, area: Rect, model: &Model, pane: Option<Pane>) {
    let does = |binding: &Binding, of: &[Action]| binding.actions.iter().any(|(_, does)| of.contains(does));
    let back =
        pane.is_some_and(|pane| pane != Pane::Table) || pane.is_none() && !model.table.filter().is_empty();
    let fits = |binding: &&Binding| match pane {
        None => does(binding, &LAST),
        Some(Pane::Recent) => does(binding, &LAST) || does(binding, &[Action::Open]),
        Some(Pane::Events) => does(binding, &LAST) || does(binding, &OF_AN_EVENT),
        Some(Pane::FullDetails(_)) => binding.hint.is_some() && !does(binding, &OF_THE_TABLE),
        Some(Pane::Table | Pane::LowerDetails(_)) => binding.hint.is_some(),
    };
    let (last, first): (Vec<&Binding>, Vec<&Binding>) = bindings(model.settings.release_permission.is_some())
        .filter(fits)
        .filter(|binding| model.replay.is_none() || !does(binding, &[Action::CopyConnect]))
        .partition(|binding| does(binding, &LAST));
    let back = BINDINGS.iter().filter(|binding| back && does(binding, &[Action::Back]));
    let hint = |binding: &Binding| {
        let key = binding.keys.split(' ').next().unwrap_or_default();
        let what = format!(" {}   ", binding.hint.unwrap_or("back"));
        vec![span(key, model.settings.theme.bold()), Span::raw(what)]
    };
    let wide = |hint: &[Span<'_>]| hint.iter().map(|span| text::width(&span.content)).sum::<usize>();
    let played = [("Space", " play   "), ("[ ]", " event   ")]
        .map(|(keys, what)| vec![span(keys, model.settings.theme.bold()), Span::raw(what)]);
    let played = played.into_iter().filter(|_| model.replay.is_some());
    let last: Vec<Span<'static>> = last.into_iter().flat_map(hint).collect();
    let mut room = usize::from(area.width).saturating_add(3).saturating_sub(wide(&last));
    let mut spans = Vec::new();
    for hint in played.chain(back.chain(first).map(hint)) {
        let Some(less) = room.checked_sub(wide(&hint)) else { break };
        room = less;
        spans.extend(hint);
    }
    spans.extend(last);
    if let Some(end) = spans.last_mut() {
        end.content = end.content.trim_end().to_owned().into(); // or the blanks would be cut with a sign
    }
    ink::write(buffer, area, &spans.into());
}
