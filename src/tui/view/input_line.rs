//! Draws a line of text that the user is typing: a prompt, the text with its cursor, and a note or an error message.
//! Underlines the part of the text that caused the error.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};
use tui_input::Input;

use super::drawing::{self, span};
use crate::tui::Theme;
use keepwatch_core::text;

/// The maximum width of one sanitised character, in columns. No character is that wide, so none is truncated.
const MAX_CHAR_WIDTH: usize = 1000;
/// The number of blanks between the text and a note beside it.
const NOTE_GAP: usize = 2;
/// The width of the cursor after the end of the text, in columns.
const CURSOR_WIDTH: usize = 1;
/// The minimum number of columns for the text if an error message is beside it.
const MIN_INPUT_WIDTH: usize = 24;

/// Draws the line with the cursor in view. Underlines the characters that start within `error_range`, a range of bytes.
/// Draws `note` at the right end of the line.
pub(super) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    prompt: &'static str,
    input: &Input,
    error_range: Option<Range<usize>>,
    note: Option<Span<'static>>,
    theme: Theme,
) {
    let note_width = note.as_ref().map_or(0, |note| text::width(&note.content));
    // The columns for the text before the cursor. The gap is subtracted even without a note.
    let room = usize::from(area.width)
        .saturating_sub(note_width)
        .saturating_sub(text::width(prompt))
        .saturating_sub(NOTE_GAP)
        .saturating_sub(CURSOR_WIDTH);
    // `input.cursor()` counts characters.
    let cursor_byte =
        input.value().char_indices().nth(input.cursor()).map_or(input.value().len(), |(byte, _)| byte);
    // The text, with one span per style. The cursor has a span of its own.
    let mut text_spans: Vec<Span<'static>> = Vec::new();
    let mut spans_before_cursor = 0; // the number of spans
    for (byte, character) in input.value().char_indices() {
        let is_error = error_range.as_ref().is_some_and(|range| range.contains(&byte));
        let style = if is_error { theme.critical().add_modifier(Modifier::UNDERLINED) } else { Style::new() };
        let style = if byte == cursor_byte { style.add_modifier(Modifier::REVERSED) } else { style };
        let symbol = text::sanitise(character.encode_utf8(&mut [0; 4]), MAX_CHAR_WIDTH);
        match text_spans.last_mut().filter(|last| last.style == style) {
            Some(last) if byte != cursor_byte => last.content.to_mut().push_str(&symbol),
            _ => text_spans.push(span(symbol, style)),
        }
        if byte < cursor_byte {
            spans_before_cursor = text_spans.len();
        }
    }
    if cursor_byte == input.value().len() {
        text_spans.push(span(" ", Style::new().add_modifier(Modifier::REVERSED)));
    }
    // If the text before the cursor does not fit, drop characters from its start.
    let total_width = |spans: &[Span<'_>]| spans.iter().map(|span| text::width(&span.content)).sum::<usize>();
    while total_width(text_spans.get(..spans_before_cursor).unwrap_or_default()) > room {
        let Some(first) = text_spans.first_mut() else { break };
        let remaining: String = first.content.chars().skip(1).collect();
        if remaining.is_empty() {
            text_spans.remove(0);
            spans_before_cursor = spans_before_cursor.saturating_sub(1);
        } else {
            first.content = remaining.into();
        }
    }
    let mut spans = vec![span(prompt, theme.bold())];
    spans.extend(text_spans);
    let reserved_width = if note.is_some() { note_width.saturating_add(NOTE_GAP) } else { 0 };
    let input_area =
        Rect { width: area.width.saturating_sub(u16::try_from(reserved_width).unwrap_or(u16::MAX)), ..area };
    drawing::write_line(buffer, input_area, &spans.into());
    if let Some(note) = note {
        drawing::write_right_aligned(buffer, area, &Line::from(note));
    }
}

/// Draws the line and an error message. The message is beside the text, or on the rows above the line if the text
/// leaves no room beside it.
pub(super) fn draw_with_error(
    buffer: &mut Buffer,
    area: Rect,
    prompt: &'static str,
    input: &Input,
    error_range: Option<Range<usize>>,
    message: &str,
    theme: Theme,
) {
    let note = span(message.to_owned(), theme.error());
    if text::width(message).saturating_add(MIN_INPUT_WIDTH.max(text::width(input.value())))
        < usize::from(area.width)
    {
        return draw(buffer, area, prompt, input, error_range, Some(note), theme);
    }
    let lines = text::wrap(message, usize::from(area.width).max(1));
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.y);
    let above = Rect { y: area.y.saturating_sub(height), height, ..area };
    // `area` starts one column inside the screen. The message clears whole rows, so include one more column at each
    // side.
    let whole_rows = Rect { x: above.x.saturating_sub(1), width: above.width.saturating_add(2), ..above };
    Clear.render(whole_rows.intersection(buffer.area), buffer);
    for (offset, part) in lines.into_iter().enumerate().take(usize::from(height)) {
        drawing::write_line(buffer, drawing::row(above, offset), &Line::styled(part, theme.error()));
    }
    draw(buffer, area, prompt, input, error_range, None, theme);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_text_never_touches_the_note() {
        for length in 0..60 {
            for cursor in [0, length / 2, length] {
                let area = Rect::new(0, 0, 60, 1);
                let mut buffer = Buffer::empty(area);
                let input = Input::new("x".repeat(length)).with_cursor(cursor);
                let note = span("3 of 9", Style::new());
                draw(&mut buffer, area, "/", &input, None, Some(note), Theme::mono());
                let screen: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
                assert!(screen.ends_with("  3 of 9"), "length {length}, cursor at {cursor}: {screen}");
            }
        }
    }
}
