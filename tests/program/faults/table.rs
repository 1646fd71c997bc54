//! The matrix as tables: printed, and held against those of `docs/faults.md`, its rows and sentences. Its figures are those
//! of one run, for they vary; what holds them is `share`.

use std::sync::Mutex;

use super::rows::{Recovery, Row};
use super::run::RowResult;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");
const HEAD: &str = "| Fault | keepwatch says | Well again after | Requests | of a healthy server |\n| --- | --- | --- | --- | --- |\n";

/// The page is written by one at a time.
static WRITING: Mutex<()> = Mutex::new(());

/// Prints a table, and holds the page's rows and sentences under this title to it; with `KEEPWATCH_FAULTS=write` it
/// writes them there. What this machine has no way to play is left out.
pub(crate) fn assert_page_matches(title: &str, rows: &[Row], seen: &[RowResult], left_out: &[Row]) {
    let lines: String = rows.iter().zip(seen).map(|(row, seen)| format_row(row, seen)).collect();
    show(title, &lines);
    let _one = WRITING.lock().unwrap();
    let page = std::fs::read_to_string(PAGE).unwrap();
    let start = page.find(&format!("## {title}\n")).unwrap();
    let start = start + page[start..].find(HEAD).unwrap() + HEAD.len();
    let (before, rest) = page.split_at(start);
    let (old, after) = rest.split_at(rest.find("\n\n").map_or(rest.len(), |end| end + 1));
    if std::env::var("KEEPWATCH_FAULTS").is_ok_and(|it| it == "write") {
        assert!(left_out.is_empty(), "this machine can not play all rows");
        std::fs::write(PAGE, format!("{before}{lines}{after}")).unwrap();
        return;
    }
    let words = |line: &str| line.split(" | ").take(2).collect::<Vec<_>>().join(" | ");
    let played = |line: &&str| !left_out.iter().any(|row| line.starts_with(&format!("| {} |", row.fault)));
    assert_eq!(
        old.lines().filter(played).map(words).collect::<Vec<_>>(),
        lines.lines().map(words).collect::<Vec<_>>(),
        "write it anew: KEEPWATCH_FAULTS=write cargo test --locked --test program faults"
    );
}

#[expect(clippy::print_stdout, reason = "what --nocapture is for")]
fn show(title: &str, lines: &str) {
    println!("## {title}\n\n{HEAD}{lines}");
}

fn format_row(row: &Row, seen: &RowResult) -> String {
    let sentence = seen.message.as_deref().unwrap_or("nothing: polls succeed");
    let back = match (row.recovery, seen.recovery_time) {
        (Recovery::Soon, Some(back)) => format!("{:.1} s", back.as_secs_f64()),
        (Recovery::After(seconds), _) => format!("{seconds} s"),
        (Recovery::Soon, None) | (Recovery::Never, _) => "–".into(),
    };
    let (spent, healthy) = match seen.request_counts {
        Some((spent, healthy)) if row.recovery == Recovery::Soon => (spent.to_string(), healthy.to_string()),
        _ => ("–".into(), "–".into()),
    };
    format!("| {} | {} | {back} | {spent} | {healthy} |\n", row.fault, sentence.replace('|', "\\|"))
}
