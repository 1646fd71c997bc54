//! Formats the rows as Markdown tables. Each test prints its table and compares the faults and errors with those in
//! `docs/faults.md`. The figures on that page are from one run: they vary, and `request_budget` limits them.

use std::sync::{Mutex, PoisonError};

use super::rows::{Recovery, Row};
use super::run::RowResult;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");
const HEAD: &str = "| Fault | keepwatch says | Well again after | Requests | of a healthy server |\n| --- | --- | --- | --- | --- |\n";

/// Held while a test reads and writes the page.
static WRITING: Mutex<()> = Mutex::new(());

/// Prints a table and asserts that the page has the same faults and errors under this title. With
/// `KEEPWATCH_FAULTS=write`, writes the table to the page instead. Ignores the rows `skipped`, which this machine does
/// not support.
pub(crate) fn assert_page_matches(title: &str, rows: &[Row], results: &[RowResult], skipped: &[Row]) {
    let lines: String = rows.iter().zip(results).map(|(row, result)| format_row(row, result)).collect();
    print_table(title, &lines);
    let _guard = WRITING.lock().unwrap_or_else(PoisonError::into_inner); // another table may have failed
    let page = std::fs::read_to_string(PAGE).unwrap();
    let start = page.find(&format!("## {title}\n")).unwrap();
    let start = start + page[start..].find(HEAD).unwrap() + HEAD.len();
    let (before, rest) = page.split_at(start);
    let (old, after) = rest.split_at(rest.find("\n\n").map_or(rest.len(), |end| end + 1));
    if std::env::var("KEEPWATCH_FAULTS").is_ok_and(|it| it == "write") {
        assert!(skipped.is_empty(), "only a machine that runs all rows may write the page");
        std::fs::write(PAGE, format!("{before}{lines}{after}")).unwrap();
        return;
    }
    let fault_and_error = |line: &str| line.split(" | ").take(2).collect::<Vec<_>>().join(" | ");
    let was_run = |line: &&str| !skipped.iter().any(|row| line.starts_with(&format!("| {} |", row.fault)));
    assert_eq!(
        old.lines().filter(was_run).map(fault_and_error).collect::<Vec<_>>(),
        lines.lines().map(fault_and_error).collect::<Vec<_>>(),
        "to update the page: KEEPWATCH_FAULTS=write cargo test --locked --test program faults"
    );
}

#[expect(clippy::print_stdout, reason = "shows the figures with --nocapture")]
fn print_table(title: &str, lines: &str) {
    println!("## {title}\n\n{HEAD}{lines}");
}

fn format_row(row: &Row, result: &RowResult) -> String {
    let sentence = result.message.as_deref().unwrap_or("nothing: polls succeed");
    let recovery = match (row.recovery, result.recovery_time) {
        (Recovery::Soon, Some(time)) => format!("{:.1} s", time.as_secs_f64()),
        (Recovery::After(seconds), _) => format!("{seconds} s"),
        (Recovery::Soon, None) | (Recovery::Never, _) => "–".into(),
    };
    let (sent, healthy) = match result.request_counts {
        Some((sent, healthy)) if row.recovery == Recovery::Soon => (sent.to_string(), healthy.to_string()),
        _ => ("–".into(), "–".into()),
    };
    format!("| {} | {} | {recovery} | {sent} | {healthy} |\n", row.fault, sentence.replace('|', "\\|"))
}
