//! A line that is being typed: a prompt, the text with a cell for the cursor, and what is wrong with it, marked where it is.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Clear, Widget};
use tui_input::Input as Line;

use super::drawing::{self, span};
use crate::tui::Theme;
use keepwatch_core::text;

/// More of a line than any screen shows.
const MAX_LETTER_WIDTH: usize = 1000;
/// The blanks between a line that is being typed and a note beside it.
const NOTE_GAP: usize = 2;
/// A line that is being typed has at least so many columns beside a note.
const MIN_INPUT_WIDTH: usize = 24;

/// Draws the line; its end stays in view, for it is typed there. The bytes of `bad` are marked.
pub(super) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    prompt: &'static str,
    input: &Line,
    error_range: Option<Range<usize>>,
    note: Option<Span<'static>>,
    theme: Theme,
) {
    let taken = note.as_ref().map_or(0, |note| text::width(&note.content));
    let room =
        usize::from(area.width).saturating_sub(taken).saturating_sub(text::width(prompt)).saturating_sub(3);
    let cursor = input.value().char_indices().nth(input.cursor()).map_or(input.value().len(), |(at, _)| at);
    let mut cells: Vec<Span<'static>> = Vec::new();
    let mut cells_before_cursor = 0;
    for (at, letter) in input.value().char_indices() {
        let is_error = error_range.as_ref().is_some_and(|bad| bad.contains(&at));
        let style = if is_error { theme.critical().add_modifier(Modifier::UNDERLINED) } else { Style::new() };
        let style = if at == cursor { style.add_modifier(Modifier::REVERSED) } else { style };
        let shown = text::sanitise(letter.encode_utf8(&mut [0; 4]), MAX_LETTER_WIDTH);
        match cells.last_mut().filter(|last| last.style == style) {
            Some(last) if at != cursor => last.content.to_mut().push_str(&shown),
            _ => cells.push(span(shown, style)),
        }
        if at < cursor {
            cells_before_cursor = cells.len();
        }
    }
    if cursor == input.value().len() {
        cells.push(span(" ", Style::new().add_modifier(Modifier::REVERSED)));
    }
    // What stands before the cursor goes first.
    let total_width = |cells: &[Span<'_>]| cells.iter().map(|cell| text::width(&cell.content)).sum::<usize>();
    while total_width(cells.get(..cells_before_cursor).unwrap_or_default()) > room {
        let Some(first) = cells.first_mut() else { break };
        let rest: String = first.content.chars().skip(1).collect();
        if rest.is_empty() {
            cells.remove(0);
            cells_before_cursor = cells_before_cursor.saturating_sub(1);
        } else {
            first.content = rest.into();
        }
    }
    let mut spans = vec![span(prompt, theme.bold())];
    spans.extend(cells);
    let taken = if note.is_some() { taken.saturating_add(NOTE_GAP) } else { 0 };
    let place = Rect { width: area.width.saturating_sub(u16::try_from(taken).unwrap_or(u16::MAX)), ..area };
    drawing::write_line(buffer, place, &spans.into());
    if let Some(note) = note {
        drawing::write_right_aligned(buffer, area, &Text::from(note));
    }
}

/// The same with what is wrong: beside it, or on the row above where there is no room beside it.
pub(super) fn draw_with_error(
    buffer: &mut Buffer,
    area: Rect,
    prompt: &'static str,
    input: &Line,
    error_range: Option<Range<usize>>,
    sentence: &str,
    theme: Theme,
) {
    let note = span(sentence.to_owned(), theme.error());
    if text::width(sentence).saturating_add(MIN_INPUT_WIDTH.max(text::width(input.value())))
        < usize::from(area.width)
    {
        return draw(buffer, area, prompt, input, error_range, Some(note), theme);
    }
    let lines = text::wrap(sentence, usize::from(area.width).max(1));
    let high = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.y);
    let above = Rect { y: area.y.saturating_sub(high), height: high, ..area };
    // Over what stands there, to the edges of the screen.
    let edges = Rect { x: above.x.saturating_sub(1), width: above.width.saturating_add(2), ..above };
    Clear.render(edges.intersection(buffer.area), buffer);
    for (down, part) in lines.into_iter().enumerate().take(usize::from(high)) {
        drawing::write_line(buffer, drawing::row(above, down), &Text::styled(part, theme.error()));
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
                let line = Line::new("x".repeat(length)).with_cursor(cursor);
                let note = span("3 of 9", Style::new());
                draw(&mut buffer, area, "/", &line, None, Some(note), Theme::mono());
                let shown: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
                assert!(shown.ends_with("  3 of 9"), "{length} at {cursor}: {shown}");
            }
        }
    }
}
