//! The matrix as tables: printed, and held against those of `docs/faults.md`, its rows and sentences. Its figures are those
//! of one run, for they vary; what holds them is `share`.

use std::sync::Mutex;

use super::rows::{Back, Row};
use super::run::Seen;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");
const HEAD: &str = "| Fault | keepwatch says | Well again after | Requests | of a healthy server |\n| --- | --- | --- | --- | --- |\n";

/// The page is written by one at a time.
static WRITING: Mutex<()> = Mutex::new(());

/// Prints a table, and holds the page's rows and sentences under this title to it; with `KEEPWATCH_FAULTS=write` it
/// writes them there. What this machine has no way to play is left out.
pub(crate) fn holds(title: &str, rows: &[Row], seen: &[Seen], left_out: &[Row]) {
    let lines: String = rows.iter().zip(seen).map(|(row, seen)| line(row, seen)).collect();
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

fn line(row: &Row, seen: &Seen) -> String {
    let sentence = seen.sentence.as_deref().unwrap_or("nothing: polls succeed");
    let back = match (row.back, seen.back) {
        (Back::Soon, Some(back)) => format!("{:.1} s", back.as_secs_f64()),
        (Back::After(seconds), _) => format!("{seconds} s"),
        (Back::Soon, None) | (Back::Never, _) => "–".into(),
    };
    let (spent, healthy) = match seen.spent {
        Some((spent, healthy)) if row.back == Back::Soon => (spent.to_string(), healthy.to_string()),
        _ => ("–".into(), "–".into()),
    };
    format!("| {} | {} | {back} | {spent} | {healthy} |\n", row.fault, sentence.replace('|', "\\|"))
}
