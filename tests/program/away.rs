//! Tests the page about the user's absence: it opens by itself after a long time between two runs, and with `w`.

use std::path::Path;

use browserbase_simulator::FinalStatus;

use crate::harness::{Terminal, TestSimulator};

/// Three sessions that run until a test ends them.
const THREE_SESSIONS: &str = r#"
about = "three running sessions"
[[session]]
id = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff"
timeout = "15m"
metadata = { owner = "mcp" }
[[session]]
id = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de"
timeout = "15m"
metadata = { owner = "growth" }
[[session]]
id = "8f14e45f-ceea-467f-a0e6-a9f2e4f8b1c2"
timeout = "15m"
"#;

const FAILED_ID: &str = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff";
const COMPLETED_ID: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";

/// Makes the journal say that its runs ended two hours earlier.
fn backdate_runs(journal: &Path) {
    let two_hours_ms = 2 * 60 * 60 * 1000_i64;
    let db = rusqlite::Connection::open(journal).unwrap();
    let changed = db.execute("UPDATE segment SET started = started - ?1, last = last - ?1", [two_hours_ms]);
    assert!(changed.unwrap() > 0, "the first run has written a segment");
}

/// Ends two of the sessions, while no keepwatch runs.
fn end_two_sessions(api: &TestSimulator) {
    assert!(api.control.end_session(FAILED_ID, FinalStatus::Error));
    assert!(api.control.end_session(COMPLETED_ID, FinalStatus::Completed));
}

fn watch_until_quit(api: &TestSimulator, env: &[(&str, &str)]) {
    let mut watcher = Terminal::keepwatch(api, &["-i", "1s", "--utc"], env, 120, 40);
    watcher.wait_for("8f14e45f");
    watcher.press("q");
    assert_eq!(watcher.wait_for_restored_exit().exit_code(), 0);
}

#[test]
fn page_opens_after_two_hours_between_runs() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.sqlite");
    let env = [("KEEPWATCH_JOURNAL", journal.to_str().unwrap()), ("SSH_TTY", "/dev/pts/1")];
    let api = TestSimulator::serve(THREE_SESSIONS);
    watch_until_quit(&api, &env);
    end_two_sessions(&api);
    backdate_runs(&journal);

    let mut second = Terminal::keepwatch(&api, &["-i", "1s", "--utc"], &env, 120, 40);
    let screen = second.wait_for("2 ended, 1 error; est.");
    for part in ["While you were away", "2h 0", "keepwatch did not run", "1 completed", "1 is new", "growth"]
    {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    // Esc leads to the sessions, and w back to the page.
    second.press("\u{1b}");
    second.wait_for("What happened");
    second.press("w");
    second.wait_for("WHAT THIS RESTS ON");
    second.press("e");
    second.wait_until("the page of events", |screen| !screen.contents().contains("WHAT THIS RESTS ON"));
    second.press("q");
    assert_eq!(second.wait_for_restored_exit().exit_code(), 0);
}

#[test]
fn page_stays_closed_after_quick_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.sqlite");
    let env = [("KEEPWATCH_JOURNAL", journal.to_str().unwrap()), ("SSH_TTY", "/dev/pts/1")];
    let api = TestSimulator::serve(THREE_SESSIONS);
    watch_until_quit(&api, &env);
    end_two_sessions(&api);
    let mut second = Terminal::keepwatch(&api, &["-i", "1s", "--utc"], &env, 120, 40);
    second.wait_for("1 error");
    second.press("w");
    let screen = second.wait_for("you were not away");
    assert!(!screen.contains("While you were away"), "{screen}");
    second.press("q");
    assert_eq!(second.wait_for_restored_exit().exit_code(), 0);
}
