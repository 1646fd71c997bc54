//! The last line: what the keys do; in its place, for a while, a line to the reader, or the filter being typed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line as Text, Span};
use tui_input::Input as Line;

use super::drawing::{self, span};
use super::input_line;
use crate::tui::keymap::{Action, BINDINGS, Binding, bindings};
use crate::tui::{Focus, Model, NoticeLevel, Pane};
use keepwatch_core::filter::FilterError;
use keepwatch_core::text;

/// The last hints to go: what leads to all others, and the way out.
const ALWAYS_SHOWN: [Action; 2] = [Action::Quit, Action::Help];
/// What is of no use while the table is out of view.
const TABLE_ACTIONS: [Action; 3] = [Action::Open, Action::Filter, Action::Sort];
/// What keys do to the marked event's session.
const EVENT_ACTIONS: [Action; 2] = [Action::Open, Action::CopyMenu];

/// Draws the footer.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let inner = Rect { width: area.width.saturating_sub(2), ..drawing::indent(area, 1) };
    if let Focus::Filter { input: line, error: mistake, .. } = &model.focus {
        return draw_filter(buffer, inner, line, mistake.as_ref(), model);
    }
    if let Focus::AddSession { input: line, invalid: wrong, .. } = &model.focus {
        return draw_add_session(buffer, inner, line, wrong.as_deref(), model);
    }
    if model.notice.is_some() {
        return draw_notice(buffer, inner, model);
    }
    // What stands in front says itself what its keys do.
    if let Focus::Pane(pane) = &model.focus {
        let has_target = model.table.selected().is_some() || matches!(pane, Pane::Events | Pane::Recent);
        draw_hints(buffer, inner, model, has_target.then_some(*pane));
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
    drawing::write_line(buffer, area, &Text::styled(format!("{mark} {}", notice.text), style));
}

/// The filter, and what comes of it or what is wrong with it.
fn draw_filter(buffer: &mut Buffer, area: Rect, input: &Line, error: Option<&FilterError>, model: &Model) {
    let theme = model.settings.theme;
    let Some(mistake) = error else {
        let (shown, all) = (model.table.rows().len(), model.table.rows().counts().total());
        let note = span(format!("{shown} of {all} · Enter keeps it, Esc drops it"), theme.dim());
        let fits = text::width(&note.content).saturating_mul(2) < usize::from(area.width);
        return input_line::draw(buffer, area, "/", input, None, fits.then_some(note), theme);
    };
    let error_range = Some(mistake.range.clone());
    input_line::draw_with_error(buffer, area, "/", input, error_range, &mistake.message, theme);
}

/// The id of a session to watch.
fn draw_add_session(buffer: &mut Buffer, area: Rect, input: &Line, error: Option<&str>, model: &Model) {
    let theme = model.settings.theme;
    if let Some(wrong) = error {
        return input_line::draw_with_error(buffer, area, "id: ", input, None, wrong, theme);
    }
    let note = span("type an id, or paste what has it · Enter watches it · Esc", theme.dim());
    let needed_width =
        text::width(input.value()).saturating_add(text::width(&note.content)).saturating_add(8);
    let fits = needed_width < usize::from(area.width);
    input_line::draw(buffer, area, "id: ", input, None, fits.then_some(note), theme);
}

/// Hints for `pane`; `None` where there is no session that keys could speak of.
fn draw_hints(buffer: &mut Buffer, area: Rect, model: &Model, pane: Option<Pane>) {
    let has_action =
        |binding: &Binding, of: &[Action]| binding.actions.iter().any(|(_, does)| of.contains(does));
    let can_go_back =
        pane.is_some_and(|pane| pane != Pane::Table) || pane.is_none() && !model.table.filter().is_empty();
    let is_relevant = |binding: &&Binding| match pane {
        None => has_action(binding, &ALWAYS_SHOWN),
        Some(Pane::Recent) => has_action(binding, &ALWAYS_SHOWN) || has_action(binding, &[Action::Open]),
        Some(Pane::Events) => has_action(binding, &ALWAYS_SHOWN) || has_action(binding, &EVENT_ACTIONS),
        Some(Pane::FullDetails(_)) => binding.hint.is_some() && !has_action(binding, &TABLE_ACTIONS),
        Some(Pane::Table | Pane::LowerDetails(_)) => binding.hint.is_some(),
    };
    let (last, first): (Vec<&Binding>, Vec<&Binding>) = bindings(model.settings.release_permission.is_some())
        .filter(is_relevant)
        .filter(|binding| model.replay.is_none() || !has_action(binding, &[Action::CopyConnect]))
        .partition(|binding| has_action(binding, &ALWAYS_SHOWN));
    let back = BINDINGS.iter().filter(|binding| can_go_back && has_action(binding, &[Action::Back]));
    let hint = |binding: &Binding| {
        let key = binding.keys.split(' ').next().unwrap_or_default();
        let what = format!(" {}   ", binding.hint.unwrap_or("back"));
        vec![span(key, model.settings.theme.bold()), Span::raw(what)]
    };
    let hint_width = |hint: &[Span<'_>]| hint.iter().map(|span| text::width(&span.content)).sum::<usize>();
    let replay_hints = [("Space", " play   "), ("[ ]", " event   ")]
        .map(|(keys, what)| vec![span(keys, model.settings.theme.bold()), Span::raw(what)]);
    let played = replay_hints.into_iter().filter(|_| model.replay.is_some());
    let last: Vec<Span<'static>> = last.into_iter().flat_map(hint).collect();
    let mut room = usize::from(area.width).saturating_add(3).saturating_sub(hint_width(&last));
    let mut spans = Vec::new();
    for hint in played.chain(back.chain(first).map(hint)) {
        let Some(less) = room.checked_sub(hint_width(&hint)) else { break };
        room = less;
        spans.extend(hint);
    }
    spans.extend(last);
    if let Some(end) = spans.last_mut() {
        end.content = end.content.trim_end().to_owned().into(); // or the blanks would be cut with a sign
    }
    drawing::write_line(buffer, area, &spans.into());
}
