//! Draws the last line of the screen: the text that the user is typing; otherwise a notice; otherwise hints for the
//! keystrokes of the pane.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tui_input::Input;

use super::drawing::{self, span};
use super::input_line;
use crate::tui::keymap::{Action, BINDINGS, Binding, bindings};
use crate::tui::{Focus, Model, NoticeLevel, Pane};
use keepwatch_core::filter::FilterError;
use keepwatch_core::text;

/// Actions whose hints are shown on a screen of any width: help lists all other keystrokes, and quit ends the program.
const ALWAYS_SHOWN: [Action; 2] = [Action::Quit, Action::Help];
/// Actions of the table. The full details cover the table and show no hints for them.
const TABLE_ACTIONS: [Action; 3] = [Action::Open, Action::Filter, Action::Sort];
/// Actions on the session of the selected event.
const EVENT_ACTIONS: [Action; 2] = [Action::Open, Action::CopyMenu];

/// Draws the footer.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let inner = Rect { width: area.width.saturating_sub(2), ..drawing::indent(area, 1) };
    if let Focus::Filter { input, error, .. } = &model.focus {
        return draw_filter(buffer, inner, input, error.as_ref(), model);
    }
    if let Focus::AddSession { input, invalid, .. } = &model.focus {
        return draw_add_session(buffer, inner, input, invalid.as_deref(), model);
    }
    if model.notice.is_some() {
        return draw_notice(buffer, inner, model);
    }
    // A popup names its keystrokes on its own border.
    if let Focus::Pane(pane) = &model.focus {
        let has_target =
            model.table.selected().is_some() || matches!(pane, Pane::Events | Pane::Recent | Pane::Away);
        draw_hints(buffer, inner, model, has_target.then_some(*pane));
    }
}

/// Draws the notice, if there is one.
pub(super) fn draw_notice(buffer: &mut Buffer, area: Rect, model: &Model) {
    let Some(notice) = &model.notice else { return };
    let theme = model.settings.theme;
    let (mark, style) = match notice.level {
        NoticeLevel::Success => (theme.success_glyph(), theme.success()),
        NoticeLevel::Info => ("·", Style::new()),
        NoticeLevel::Error => (theme.error_glyph(), theme.error()),
    };
    drawing::write_line(buffer, area, &Line::styled(format!("{mark} {}", notice.text), style));
}

/// Draws the filter that the user is typing, with the number of matches or with an error message.
fn draw_filter(buffer: &mut Buffer, area: Rect, input: &Input, error: Option<&FilterError>, model: &Model) {
    let theme = model.settings.theme;
    let Some(error) = error else {
        let (shown, all) = (model.table.rows().len(), model.table.rows().counts().total());
        let note = span(format!("{shown} of {all} · Enter keeps it, Esc drops it"), theme.dim());
        // Show the note only if it takes less than half of the line.
        let fits = text::width(&note.content).saturating_mul(2) < usize::from(area.width);
        return input_line::draw(buffer, area, "/", input, None, fits.then_some(note), theme);
    };
    let error_range = Some(error.range.clone());
    input_line::draw_with_error(buffer, area, "/", input, error_range, &error.message, theme);
}

/// Draws the id that the user is typing to add a session, with a hint or an error message.
fn draw_add_session(buffer: &mut Buffer, area: Rect, input: &Input, error: Option<&str>, model: &Model) {
    let theme = model.settings.theme;
    if let Some(error) = error {
        return input_line::draw_with_error(buffer, area, "id: ", input, None, error, theme);
    }
    let note = span("type an id, or paste what has it · Enter watches it · Esc", theme.dim());
    // 8: the prompt of 4 columns, the cursor, and a gap of 3 columns.
    let needed_width =
        text::width(input.value()).saturating_add(text::width(&note.content)).saturating_add(8);
    let fits = needed_width < usize::from(area.width);
    input_line::draw(buffer, area, "id: ", input, None, fits.then_some(note), theme);
}

/// Draws hints for `pane`. If `pane` is `None`, because no session is selected, draws only the hints that are always
/// shown.
fn draw_hints(buffer: &mut Buffer, area: Rect, model: &Model, pane: Option<Pane>) {
    let has_action = |binding: &Binding, actions: &[Action]| {
        binding.actions.iter().any(|(_, action)| actions.contains(action))
    };
    // Esc leaves a pane. The page about the user's absence has its own hint for it. In the table, Esc clears the filter, and has a hint only if the filter hides all sessions.
    let shows_back_hint = pane.is_some_and(|pane| !matches!(pane, Pane::Table | Pane::Away))
        || pane.is_none() && !model.table.filter().is_empty();
    let is_relevant = |binding: &&Binding| match pane {
        None => has_action(binding, &ALWAYS_SHOWN),
        Some(Pane::Away) => has_action(binding, &ALWAYS_SHOWN),
        Some(Pane::Recent) => has_action(binding, &ALWAYS_SHOWN) || has_action(binding, &[Action::Open]),
        Some(Pane::Events) => has_action(binding, &ALWAYS_SHOWN) || has_action(binding, &EVENT_ACTIONS),
        Some(Pane::FullDetails(_)) => binding.hint.is_some() && !has_action(binding, &TABLE_ACTIONS),
        Some(Pane::Table | Pane::LowerDetails(_)) => binding.hint.is_some(),
    };
    let can_release = model.settings.release_permission.is_some();
    let (always_shown, others): (Vec<&Binding>, Vec<&Binding>) = bindings(can_release)
        .filter(is_relevant)
        // During a replay, keepwatch fetches no connect URL.
        .filter(|binding| model.replay.is_none() || !has_action(binding, &[Action::CopyConnect]))
        .partition(|binding| has_action(binding, &ALWAYS_SHOWN));
    let back = BINDINGS.iter().filter(|binding| shows_back_hint && has_action(binding, &[Action::Back]));
    // The binding of Esc has no hint of its own. All other bindings that get here have one.
    let hint_spans = |binding: &Binding| {
        let keystroke = binding.keys.split(' ').next().unwrap_or_default();
        let text = format!(" {}   ", binding.hint.unwrap_or("back"));
        vec![span(keystroke, model.settings.theme.bold()), Span::raw(text)]
    };
    let hint_width = |hint: &[Span<'_>]| hint.iter().map(|span| text::width(&span.content)).sum::<usize>();
    let fixed_hint = |(keys, text)| vec![span(keys, model.settings.theme.bold()), Span::raw(text)];
    let replay_hints = [("Space", " play   "), ("[ ]", " event   ")].map(fixed_hint);
    let away_hints = away_hints(model, pane).into_iter().map(fixed_hint);
    let replay_hints = replay_hints.into_iter().filter(|_| model.replay.is_some());
    let always_shown_spans: Vec<Span<'static>> = always_shown.into_iter().flat_map(hint_spans).collect();
    // The three blanks after the last hint need no room.
    let mut room = usize::from(area.width).saturating_add(3).saturating_sub(hint_width(&always_shown_spans));
    let mut spans = Vec::new();
    for hint in replay_hints.chain(away_hints).chain(back.chain(others).map(hint_spans)) {
        let Some(room_left) = room.checked_sub(hint_width(&hint)) else { break };
        room = room_left;
        spans.extend(hint);
    }
    spans.extend(always_shown_spans);
    if let Some(last) = spans.last_mut() {
        // Trailing blanks that do not fit would be replaced by '…'.
        last.content = last.content.trim_end().to_owned().into();
    }
    drawing::write_line(buffer, area, &spans.into());
}

/// Returns the hints of the page about the user's absence, or none for another pane.
fn away_hints(model: &Model, pane: Option<Pane>) -> Vec<(&'static str, &'static str)> {
    if pane != Some(Pane::Away) {
        return Vec::new();
    }
    let has_session = model.away.report().is_some_and(|report| !report.to_look_at.is_empty());
    let session_hints = [("Enter", " look at it   "), ("A", " acknowledge all   ")];
    let session_hints = session_hints.into_iter().filter(|_| has_session);
    let others = [("e", " events   "), ("R", " recent   "), ("Esc", " to the sessions   ")];
    session_hints.chain(others).collect()
}
