//! Tests that alerts survive: an incident that nobody acknowledged is there in the next run, and an acknowledgement holds in
//! the next run and in other panes.

use std::path::Path;

use crate::command_line::run_with;
use crate::harness::{Terminal, TestSimulator};

/// A session that fails after two seconds, and one whose traffic changes every response, so that each pane has something
/// to write.
const FAILURE: &str = r#"
about = "one that fails, one with traffic"
[[session]]
id = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff"
timeout = "15m"
ends = { at = "2s", status = "ERROR" }
[[session]]
id = "8f14e45f-ceea-467f-a0e6-a9f2e4f8b1c2"
timeout = "15m"
proxy = [{ from = "0s", to = "10m", bytes_per_second = 12_000 }]
"#;
const FAILED_ID: &str = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff";

fn start(api: &TestSimulator, journal: &Path) -> Terminal {
    let env = [("KEEPWATCH_JOURNAL", journal.to_str().unwrap())];
    Terminal::keepwatch(api, &["-i", "1s", "--utc"], &env, 120, 40)
}

fn quit(mut pane: Terminal) {
    pane.press("q");
    assert_eq!(pane.wait_for_restored_exit().exit_code(), 0);
}

#[test]
fn unseen_error_survives_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.sqlite");
    let api = TestSimulator::serve(FAILURE);
    let first = start(&api, &journal);
    first.wait_for("⚑ 1");
    quit(first);

    // Nobody pressed a key, so the alert is still there. No list contains the session any more.
    let mut second = start(&api, &journal);
    second.wait_for("⚑ 1");
    second.press("f");
    let screen = second.wait_for("flagged sessions only");
    assert!(screen.contains(&FAILED_ID[..8]) && screen.contains("ERROR"), "{screen}");
    assert!(!screen.contains("8f14e45f"), "{screen}");
    second.press("A");
    second.wait_for("the flags of one session are acknowledged");
    quit(second);

    let third = start(&api, &journal);
    let screen = third.wait_until("the restored sessions", |screen| {
        let text = screen.contents();
        text.contains(&FAILED_ID[..8]) && text.contains("8f14e45f")
    });
    assert!(screen.contains("ERROR") && !screen.contains("⚑ 1"), "{screen}");
    quit(third);
}

#[test]
fn acknowledgement_reaches_other_pane() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.sqlite");
    let api = TestSimulator::serve(FAILURE);
    let (mut first, second) = (start(&api, &journal), start(&api, &journal));
    first.wait_for("⚑ 1");
    second.wait_for("⚑ 1");
    first.press("A");
    first.wait_for("the flags of one session are acknowledged");
    // Nobody presses a key in the second pane.
    second.wait_until("no flag", |screen| !screen.contents().contains('⚑'));
    quit(first);
    quit(second);
}

#[test]
fn alert_does_not_survive_journal_clear() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.sqlite");
    let env = [("KEEPWATCH_JOURNAL", journal.to_str().unwrap())];
    let api = TestSimulator::serve(FAILURE);
    let mut first = start(&api, &journal);
    first.wait_for("⚑ 1");
    assert_eq!(run_with(&["journal", "clear", "--yes"], &env, "").code, 0);
    // The acknowledgement is from after the clear, but the alert is from before it.
    first.press("A");
    first.wait_for("the flags of one session are acknowledged");
    quit(first);
    let db = rusqlite::Connection::open(&journal).unwrap();
    let alerts: i64 = db.query_row("SELECT count(*) FROM alert", [], |row| row.get(0)).unwrap();
    assert_eq!(alerts, 0);
    drop(db);

    let second = start(&api, &journal);
    let screen = second.wait_for("8f14e45f");
    assert!(!screen.contains('⚑') && !screen.contains(&FAILED_ID[..8]), "{screen}");
    quit(second);
}
