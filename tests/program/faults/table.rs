//! The matrix as a table, printed and held against `docs/faults.md`: its rows and sentences, for the figures vary.

use std::path::PathBuf;

use super::rows::{Back, Row};
use super::run::Seen;

const BEGIN: &str = "| Fault | keepwatch says | Well again after | Requests | Else |\n| --- | --- | --- | --- | --- |\n";

fn page() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md"))
}

/// Prints the table, and holds the document's rows and sentences to it; with `KEEPWATCH_FAULTS=write` it writes them there.
pub(crate) fn holds(rows: &[Row], seen: &[Seen]) {
    let lines: Vec<String> = rows.iter().zip(seen).map(|(row, seen)| line(row, seen)).collect();
    println!("{BEGIN}{}", lines.concat());
    let text = std::fs::read_to_string(page()).unwrap();
    let (before, after) = text.split_once(BEGIN).expect("the page has its table");
    let (old, after) = match after.find("\n\n") {
        Some(end) => after.split_at(end + 1),
        None => (after, ""),
    };
    if std::env::var("KEEPWATCH_FAULTS").is_ok_and(|it| it == "write") {
        std::fs::write(page(), format!("{before}{BEGIN}{}{after}", lines.concat())).unwrap();
        return;
    }
    let words = |line: &str| line.split(" | ").take(2).collect::<Vec<_>>().join(" | ");
    let held: Vec<String> = old.lines().map(words).collect();
    let now: Vec<String> = lines.iter().map(|line| words(line)).collect();
    assert_eq!(held, now, "write it anew: KEEPWATCH_FAULTS=write cargo test --locked --test program faults");
}

fn line(row: &Row, seen: &Seen) -> String {
    let sentence = seen.sentence.as_deref().unwrap_or("nothing: polls succeed");
    let back = match (row.back, seen.back) {
        (Back::Soon, Some(back)) => format!("{:.1} s", back.as_secs_f64()),
        (Back::After(seconds), _) => format!("{seconds} s"),
        (Back::Soon, None) | (Back::Never, _) => "".into(),
    };
    let (spent, healthy) = match seen.spent {
        Some((spent, healthy)) if row.back == Back::Soon => (spent.to_string(), healthy.to_string()),
        _ => (String::new(), String::new()),
    };
    format!("| {} | {} | {back} | {spent} | {healthy} |\n", row.fault, sentence.replace('|', "\\|"))
}
