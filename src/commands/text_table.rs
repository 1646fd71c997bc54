//! Tables as text: cells padded to the widths of their columns.

use keepwatch_core::text;

/// The number of spaces between two columns of the table.
const GAP: usize = 2;

/// Returns the width of each column: the width of its widest cell.
pub(super) fn column_widths(rows: &[Vec<String>]) -> Vec<usize> {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = text::width(cell).max(*width);
        }
    }
    widths
}

/// Returns the width of the whole table, including the gaps between its columns.
pub(super) fn table_width(widths: &[usize]) -> usize {
    let gaps = widths.len().saturating_sub(1).saturating_mul(GAP);
    widths.iter().sum::<usize>().saturating_add(gaps)
}

/// Returns one row as a line. Cells wider than their column are truncated.
pub(super) fn format_row(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (width, cell) in widths.iter().zip(row) {
        let cell = text::truncate(cell, *width);
        line.push_str(&cell);
        line.push_str(&" ".repeat(width.saturating_sub(text::width(&cell)).saturating_add(GAP)));
    }
    line.truncate(line.trim_end().len());
    line + "\n"
}
