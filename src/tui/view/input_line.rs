//! Draws a line of text being typed: a prompt, the text with its cursor, and an error with the wrong part underlined.

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

/// The most columns of one sanitised character, more than any screen shows.
const MAX_LETTER_WIDTH: usize = 1000;
/// The blanks between the text and a note beside it.
const NOTE_GAP: usize = 2;
/// The fewest columns of the text beside an error.
const MIN_INPUT_WIDTH: usize = 24;

/// Draws the line with the cursor in view, and underlines the bytes in `error_range`.
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
    let room = usize::from(area.width)
        .saturating_sub(note_width)
        .saturating_sub(text::width(prompt))
        .saturating_sub(3);
    let cursor = input.value().char_indices().nth(input.cursor()).map_or(input.value().len(), |(at, _)| at);
    let mut cells: Vec<Span<'static>> = Vec::new();
    let mut cells_before_cursor = 0;
    for (at, letter) in input.value().char_indices() {
        let is_error = error_range.as_ref().is_some_and(|range| range.contains(&at));
        let style = if is_error { theme.critical().add_modifier(Modifier::UNDERLINED) } else { Style::new() };
        let style = if at == cursor { style.add_modifier(Modifier::REVERSED) } else { style };
        let symbol = text::sanitise(letter.encode_utf8(&mut [0; 4]), MAX_LETTER_WIDTH);
        match cells.last_mut().filter(|last| last.style == style) {
            Some(last) if at != cursor => last.content.to_mut().push_str(&symbol),
            _ => cells.push(span(symbol, style)),
        }
        if at < cursor {
            cells_before_cursor = cells.len();
        }
    }
    if cursor == input.value().len() {
        cells.push(span(" ", Style::new().add_modifier(Modifier::REVERSED)));
    }
    // If there is too little room, drop text from the start.
    let total_width = |cells: &[Span<'_>]| cells.iter().map(|cell| text::width(&cell.content)).sum::<usize>();
    while total_width(cells.get(..cells_before_cursor).unwrap_or_default()) > room {
        let Some(first) = cells.first_mut() else { break };
        let remaining: String = first.content.chars().skip(1).collect();
        if remaining.is_empty() {
            cells.remove(0);
            cells_before_cursor = cells_before_cursor.saturating_sub(1);
        } else {
            first.content = remaining.into();
        }
    }
    let mut spans = vec![span(prompt, theme.bold())];
    spans.extend(cells);
    let reserved = if note.is_some() { note_width.saturating_add(NOTE_GAP) } else { 0 };
    let input_area =
        Rect { width: area.width.saturating_sub(u16::try_from(reserved).unwrap_or(u16::MAX)), ..area };
    drawing::write_line(buffer, input_area, &spans.into());
    if let Some(note) = note {
        drawing::write_right_aligned(buffer, area, &Line::from(note));
    }
}

/// Draws the line with an error message: beside it, or on the rows above if there is no room beside it.
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
    // The message covers the rows above the line from edge to edge of the screen.
    let edges = Rect { x: above.x.saturating_sub(1), width: above.width.saturating_add(2), ..above };
    Clear.render(edges.intersection(buffer.area), buffer);
    for (down, part) in lines.into_iter().enumerate().take(usize::from(height)) {
        drawing::write_line(buffer, drawing::row(above, down), &Line::styled(part, theme.error()));
    }
    draw(buffer, area, prompt, input, error_range, None, theme);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_never_touches_its_note() {
        for length in 0..60 {
            for cursor in [0, length / 2, length] {
                let area = Rect::new(0, 0, 60, 1);
                let mut buffer = Buffer::empty(area);
                let input = Input::new("x".repeat(length)).with_cursor(cursor);
                let note = span("3 of 9", Style::new());
                draw(&mut buffer, area, "/", &input, None, Some(note), Theme::mono());
                let screen: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
                assert!(screen.ends_with("  3 of 9"), "{length} at {cursor}: {screen}");
            }
        }
    }
}
