//! Writing into cells, and never outside of them. What is too long ends in '…'.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use keepwatch_core::text;

/// A line of owned text.
pub(super) type OwnedLine = Line<'static>;

/// A piece of a line.
pub(super) fn span(text: impl Into<String>, style: Style) -> Span<'static> {
    Span::styled(text.into(), style)
}

/// The row `down` rows below the top of `area`; empty where there is none.
pub(super) fn row(area: Rect, offset: usize) -> Rect {
    let down = u16::try_from(offset).unwrap_or(u16::MAX).min(area.height);
    let height = area.height.saturating_sub(down).min(1);
    Rect { y: area.y.saturating_add(down), height, ..area }
}

/// `area` without its first `by` columns.
pub(super) fn indent(area: Rect, columns: u16) -> Rect {
    let by = columns.min(area.width);
    Rect { x: area.x.saturating_add(by), width: area.width.saturating_sub(by), ..area }
}

/// `area` without its first `by` rows.
pub(super) fn below(area: Rect, rows: u16) -> Rect {
    let by = rows.min(area.height);
    Rect { y: area.y.saturating_add(by), height: area.height.saturating_sub(by), ..area }
}

/// The columns that `line` takes.
pub(super) fn line_width(line: &OwnedLine) -> u16 {
    let columns: usize = line.spans.iter().map(|span| text::width(&span.content)).sum();
    u16::try_from(columns).unwrap_or(u16::MAX)
}

/// Writes `line` into the first row of `area`; returns the columns used.
pub(super) fn write_line(buffer: &mut Buffer, area: Rect, line: &OwnedLine) -> u16 {
    let area = area.intersection(buffer.area);
    if area.is_empty() {
        return 0;
    }
    let mut x = area.x;
    for span in &line.spans {
        let room = usize::from(area.right().saturating_sub(x));
        let style = line.style.patch(span.style);
        let (next, _) = if text::width(&span.content) <= room {
            buffer.set_stringn(x, area.y, &span.content, room, style)
        } else {
            buffer.set_stringn(x, area.y, text::truncate(&span.content, room), room, style)
        };
        x = next;
        if x >= area.right() {
            break;
        }
    }
    x.saturating_sub(area.x)
}

/// Writes `line` so that it ends where the first row of `area` ends.
pub(super) fn write_right_aligned(buffer: &mut Buffer, area: Rect, line: &OwnedLine) {
    write_line(buffer, indent(area, area.width.saturating_sub(line_width(line))), line);
}

/// Writes `line` into the middle of the first row of `area`.
pub(super) fn write_centred(buffer: &mut Buffer, area: Rect, line: &OwnedLine) {
    write_line(buffer, indent(area, area.width.saturating_sub(line_width(line)) / 2), line);
}

/// So much of a rule's title says which it is.
const MIN_TITLE_WIDTH: usize = 8;

/// A rule over the first row of `area`, with a title near its start and a note near its end. That there is more to see is
/// worth more than the end of a title: it is cut for the note, and the note is left out only where too little of it would stay.
pub(super) fn draw_rule(buffer: &mut Buffer, area: Rect, style: Style, title: &Span<'static>, note: &str) {
    let width = usize::from(area.width);
    let after = if note.is_empty() { String::new() } else { format!(" {note} ─") };
    // Beside the title: a line and a blank before it, a blank behind it, and two lines more.
    let room = |after: usize| width.saturating_sub(5).saturating_sub(after);
    let titled = text::width(&title.content);
    let left = room(text::width(&after));
    let after = if left >= titled.min(MIN_TITLE_WIDTH) { after } else { String::new() };
    let mut spans = Vec::new();
    if titled > 0 && width > 6 {
        let title = span(text::truncate(&title.content, room(text::width(&after))), title.style);
        spans.extend([span("─ ", style), title, span(" ", style)]);
    }
    let used: usize = spans.iter().map(|span| text::width(&span.content)).sum();
    let fill = width.saturating_sub(used).saturating_sub(text::width(&after));
    spans.extend([span("─".repeat(fill), style), span(after, style)]);
    write_line(buffer, area, &spans.into());
}

/// The spans of `line`, each with the line's look.
pub(super) fn styled_spans(line: OwnedLine) -> Vec<Span<'static>> {
    let style = line.style;
    line.spans.into_iter().map(|span| Span { style: style.patch(span.style), ..span }).collect()
}

/// `parts` with two spaces between each two.
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

/// Nothing but ASCII, also in what the network said: the last thing that is done to a frame.
pub(super) fn to_ascii(buffer: &mut Buffer) {
    let mut second_letter: Option<char> = None; // for the other column of a wide character
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

    fn rendered_rule(wide: u16, title: &'static str, note: &str) -> String {
        let area = Rect::new(0, 0, wide, 1);
        let mut buffer = Buffer::empty(area);
        draw_rule(&mut buffer, area, Style::new(), &span(title, Style::new()), note);
        buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect()
    }

    #[test]
    fn a_title_is_cut_only_for_a_note_that_is_then_shown() {
        assert_eq!(rendered_rule(30, "What happened", ""), "─ What happened ──────────────");
        for wide in 42..60 {
            let shown = rendered_rule(wide, "What happened", "10 new since your last key");
            assert!(shown.contains("10 new since your last key ─"), "{wide}: {shown}");
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
