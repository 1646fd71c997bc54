//! Writes text into the cells of a buffer, never outside the given area. Text that is too long is truncated with '…'.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use keepwatch_core::text;

/// A line of owned text.
pub(super) type OwnedLine = Line<'static>;

/// Returns a span of owned text.
pub(super) fn span(text: impl Into<String>, style: Style) -> Span<'static> {
    Span::styled(text.into(), style)
}

/// Returns the row of `area` that is `offset` rows below its top; empty if `area` is not that tall.
pub(super) fn row(area: Rect, offset: usize) -> Rect {
    let offset = u16::try_from(offset).unwrap_or(u16::MAX).min(area.height);
    let height = area.height.saturating_sub(offset).min(1);
    Rect { y: area.y.saturating_add(offset), height, ..area }
}

/// Returns `area` without its first `columns` columns.
pub(super) fn indent(area: Rect, columns: u16) -> Rect {
    let columns = columns.min(area.width);
    Rect { x: area.x.saturating_add(columns), width: area.width.saturating_sub(columns), ..area }
}

/// Returns `area` without its first `rows` rows.
pub(super) fn below(area: Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    Rect { y: area.y.saturating_add(rows), height: area.height.saturating_sub(rows), ..area }
}

/// Returns the width of `line` in columns.
pub(super) fn line_width(line: &OwnedLine) -> u16 {
    let columns: usize = line.spans.iter().map(|span| text::width(&span.content)).sum();
    u16::try_from(columns).unwrap_or(u16::MAX)
}

/// Writes `line` into the first row of `area` and returns the number of columns used.
pub(super) fn write_line(buffer: &mut Buffer, area: Rect, line: &OwnedLine) -> u16 {
    let area = area.intersection(buffer.area);
    if area.is_empty() {
        return 0;
    }
    let mut x = area.x;
    for span in &line.spans {
        let room = usize::from(area.right().saturating_sub(x));
        let style = line.style.patch(span.style);
        let (next_x, _) = if text::width(&span.content) <= room {
            buffer.set_stringn(x, area.y, &span.content, room, style)
        } else {
            buffer.set_stringn(x, area.y, text::truncate(&span.content, room), room, style)
        };
        x = next_x;
        if x >= area.right() {
            break;
        }
    }
    x.saturating_sub(area.x)
}

/// Writes `line` right-aligned into the first row of `area`.
pub(super) fn write_right_aligned(buffer: &mut Buffer, area: Rect, line: &OwnedLine) {
    write_line(buffer, indent(area, area.width.saturating_sub(line_width(line))), line);
}

/// Writes `line` centred into the first row of `area`.
pub(super) fn write_centred(buffer: &mut Buffer, area: Rect, line: &OwnedLine) {
    write_line(buffer, indent(area, area.width.saturating_sub(line_width(line)) / 2), line);
}

/// The minimum number of columns that a truncated title of a rule keeps. With fewer, the reader would not recognise the
/// title.
const MIN_TITLE_WIDTH: usize = 8;

/// Draws a rule across the first row of `area`, with a title near its start and a note near its end.
///
/// The note matters more than the end of the title, because the note can say that there is more to see. So the title is
/// truncated to make room for the note. But the note is left out if fewer than [`MIN_TITLE_WIDTH`] columns of the title
/// would remain, or if a title that is already shorter than that would be truncated.
pub(super) fn draw_rule(buffer: &mut Buffer, area: Rect, style: Style, title: &Span<'static>, note: &str) {
    let width = usize::from(area.width);
    let note = if note.is_empty() { String::new() } else { format!(" {note} ─") };
    // The title needs five more columns: "─ " before it, a blank after it, and two columns of rule.
    let title_room = |note: &str| width.saturating_sub(5).saturating_sub(text::width(note));
    let title_width = text::width(&title.content);
    let note = if title_room(&note) >= title_width.min(MIN_TITLE_WIDTH) { note } else { String::new() };
    let mut spans = Vec::new();
    // A rule of six columns has room for only one column of the title.
    if title_width > 0 && width > 6 {
        let title = span(text::truncate(&title.content, title_room(&note)), title.style);
        spans.extend([span("─ ", style), title, span(" ", style)]);
    }
    let used: usize = spans.iter().map(|span| text::width(&span.content)).sum();
    let fill = width.saturating_sub(used).saturating_sub(text::width(&note));
    spans.extend([span("─".repeat(fill), style), span(note, style)]);
    write_line(buffer, area, &spans.into());
}

/// Returns the spans of `line`, each with the line's style where its own style sets nothing.
pub(super) fn styled_spans(line: OwnedLine) -> Vec<Span<'static>> {
    let style = line.style;
    line.spans.into_iter().map(|span| Span { style: style.patch(span.style), ..span }).collect()
}

/// Joins the non-empty parts, with two spaces between them.
pub(super) fn join_spaced(parts: impl IntoIterator<Item = Vec<Span<'static>>>) -> OwnedLine {
    let mut spans = Vec::new();
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        if !spans.is_empty() {
            spans.push(Span::raw("  "));
        }
        spans.extend(part);
    }
    spans.into()
}

/// Replaces every character outside ASCII, including characters from the network. Runs after all other drawing.
pub(super) fn to_ascii(buffer: &mut Buffer) {
    let mut second_letter: Option<char> = None; // for the second column of a wide character
    for cell in &mut buffer.content {
        if let Some(letter) = second_letter.take().filter(|_| cell.symbol() == " ") {
            cell.set_char(letter);
        }
        if !cell.symbol().is_ascii() {
            let ascii = text::to_ascii(cell.symbol());
            let mut letters = ascii.chars();
            cell.set_char(letters.next().unwrap_or('?'));
            second_letter = letters.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered_rule(width: u16, title: &'static str, note: &str) -> String {
        let area = Rect::new(0, 0, width, 1);
        let mut buffer = Buffer::empty(area);
        draw_rule(&mut buffer, area, Style::new(), &span(title, Style::new()), note);
        buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect()
    }

    #[test]
    fn title_is_truncated_only_for_visible_note() {
        assert_eq!(rendered_rule(30, "What happened", ""), "─ What happened ──────────────");
        // From a width of 42 columns on, the note leaves 8 columns for the title; from 47 on, it leaves all 13.
        for width in 42..60 {
            let rule = rendered_rule(width, "What happened", "10 new since your last key");
            assert!(rule.contains("10 new since your last key ─"), "{width}: {rule}");
        }
        assert_eq!(
            rendered_rule(47, "What happened", "10 new since your last key"),
            "─ What happened ── 10 new since your last key ─"
        );
        assert_eq!(
            rendered_rule(41, "What happened", "10 new since your last key").trim_end_matches('─'),
            "─ What happened "
        );
        assert_eq!(rendered_rule(20, "", "c copies it"), "────── c copies it ─");
    }
}
