//! Tests the journal across runs: the next run and the commands restore the sessions that an earlier run saw.

use std::fs;

use crate::command_line::run_with;
use crate::harness::{KEY, PROGRAM, Terminal, TestSimulator, wait_until};

/// Two sessions. The first ends after 2 s of its 15 minutes, and has secrets in its metadata. The second keeps running.
const TWO_SESSIONS: &str = r#"
about = "one that ends, one that stays"
[[session]]
id = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff"
timeout = "15m"
keep_alive = true
metadata = { owner = "growth", connect = "wss://connect.browserbase.com/?signingKey=canary-7d1f", "wss://c/?signingKey=canary-7d1f" = 1, auth = "Bearer canary-7d1f" }
ends = { at = "2s", status = "COMPLETED" }
[[session]]
id = "8f14e45f-ceea-467f-a0e6-a9f2e4f8b1c2"
timeout = "15m"
"#;
const ENDED_ID: &str = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff";
const RUNNING_ID: &str = "8f14e45f-ceea-467f-a0e6-a9f2e4f8b1c2";

#[test]
fn next_run_restores_sessions_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.sqlite");
    let env = [("KEEPWATCH_JOURNAL", journal.to_str().unwrap()), ("SSH_TTY", "/dev/pts/1")];
    let api = TestSimulator::serve(TWO_SESSIONS);

    let mut first = Terminal::keepwatch(&api, &["-i", "1s", "--utc"], &env, 120, 40);
    first.wait_for("unused");
    first.press("Gc"); // the session that ended is pinned at the top
    first.wait_for_osc("a connect URL", |osc| !osc.clipboard.is_empty());
    first.press("q");
    assert_eq!(first.wait_for_restored_exit().exit_code(), 0);

    // No list contains the ended session any more, so it comes from the journal.
    let mut second = Terminal::keepwatch(&api, &["-i", "1s", "--utc"], &env, 120, 40);
    second.wait_for("unused");
    second.press(&format!("/{ENDED_ID}\r"));
    let screen = second.wait_for("first seen RUNNING");
    assert!(
        screen.contains("COMPLETED") && screen.contains("⚑ 1"),
        "nobody acknowledged the early end: {screen}"
    );
    assert!(!second.screen().contains("metadata changed"), "{screen}");
    second.press("q");
    assert_eq!(second.wait_for_restored_exit().exit_code(), 0);

    let short = run_with(&["history", &ENDED_ID[..8], "--utc"], &env, "");
    let full = run_with(&["history", ENDED_ID, "--utc"], &env, "");
    assert_eq!(short.out, full.out, "{}", short.err);
    assert!(
        full.out.contains("first seen RUNNING") && full.out.contains("keep-alive session ended early"),
        "{}",
        full.out
    );
    assert_eq!(full.out.matches("first seen").count(), 1, "{}", full.out);
    let listed = run_with(&["history"], &env, "");
    assert!(listed.out.contains("ended early") && listed.out.contains("running"), "{}", listed.out);
    let file = folder.path().join("one.ndjson");
    let path = file.to_str().unwrap();
    assert_eq!(run_with(&["export", ENDED_ID, "--to", path], &env, "").code, 0);
    let printed = run_with(&["export", ENDED_ID, "--to", "-"], &env, "");
    // The two exports differ in the readings of the monotonic clock and of the clock since boot, so the test compares
    // only their numbers of lines.
    assert_eq!(printed.out.lines().count(), std::fs::read_to_string(path).unwrap().lines().count());
    let explained = run_with(&["explain", "--from", "-", ENDED_ID], &env, &printed.out);
    assert!(explained.out.contains("14m 58s early"), "{}{}", explained.out, explained.err);
    let refused = run_with(&["export", &ENDED_ID[..8], "--to", path], &env, "");
    assert!(
        refused.code == 2 && refused.err.contains("--to") && refused.err.contains("there already"),
        "{}",
        refused.err
    );
    let explained = run_with(&["explain", "--from", path, ENDED_ID], &env, "");
    assert!(explained.out.contains("14m 58s early"), "{}{}", explained.out, explained.err);

    let mut secrets = api.connect_urls();
    secrets.extend([KEY.to_owned(), "canary-7d1f".to_owned()]);
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        assert!(!secrets.iter().any(|secret| text.contains(secret.as_str())), "{}", path.display());
    }
}

#[test]
fn only_named_sessions_are_restored() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.sqlite");
    let env = [("KEEPWATCH_JOURNAL", journal.to_str().unwrap()), ("SSH_TTY", "/dev/pts/1")];
    let api = TestSimulator::serve(TWO_SESSIONS);
    let mut first = Terminal::keepwatch(&api, &["-i", "1s"], &env, 120, 40);
    first.wait_for("unused");
    first.press("q");
    assert_eq!(first.wait_for_restored_exit().exit_code(), 0);

    let mut named = Terminal::keepwatch(&api, &[ENDED_ID, "-i", "1s"], &env, 120, 40);
    let screen = named.wait_for("first seen RUNNING");
    assert!(!screen.contains("8f14e45f"), "{screen}");
    named.press("q");
    assert_eq!(named.wait_for_restored_exit().exit_code(), 0);

    let mut without_journal =
        Terminal::keepwatch(&api, &[ENDED_ID, "-i", "1s", "--no-journal"], &env, 120, 40);
    without_journal.wait_for("first seen already COMPLETED");
    without_journal.press("q");
    assert_eq!(without_journal.wait_for_restored_exit().exit_code(), 0);
}

#[test]
fn query_limits_restored_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.sqlite");
    let env = [("KEEPWATCH_JOURNAL", journal.to_str().unwrap()), ("SSH_TTY", "/dev/pts/1")];
    let api = TestSimulator::serve(
        r#"
about = "two running sessions, one of which matches the query"
[[session]]
id = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff"
timeout = "15m"
starts = "4s"
metadata = { owner = "growth" }
[[session]]
id = "8f14e45f-ceea-467f-a0e6-a9f2e4f8b1c2"
timeout = "15m"
"#,
    );
    let mut all = Terminal::keepwatch(&api, &["-i", "1s"], &env, 120, 40);
    all.wait_for("1 pending");
    all.wait_for("2 running");
    all.press("q");
    assert_eq!(all.wait_for_restored_exit().exit_code(), 0);

    let query = ["-i", "1s", "--query", "user_metadata['owner']:'growth'"];
    let mut narrowed = Terminal::keepwatch(&api, &query, &env, 120, 40);
    narrowed.wait_for("first seen PENDING");
    let list_requests =
        |api: &TestSimulator| api.log().iter().filter(|request| request.path.ends_with("/sessions")).count();
    let before = list_requests(&api);
    wait_until("five more lists", || list_requests(&api) > before + 4);
    let screen = narrowed.screen();
    assert!(screen.contains("1 running") && !screen.contains("8f14e45f"), "{screen}");
    assert!(
        !api.log().iter().any(|request| request.path.contains("8f14e45f")),
        "the other session is not polled"
    );
    narrowed.press("q");
    assert_eq!(narrowed.wait_for_restored_exit().exit_code(), 0);

    let mut pending = Terminal::keepwatch(&api, &["-i", "1s", "--status", "PENDING"], &env, 120, 40);
    let screen = pending.wait_for("no session is pending");
    assert!(!screen.contains("8f14e45f") && !screen.contains("45c48cce"), "{screen}");
    pending.press("q");
    assert_eq!(pending.wait_for_restored_exit().exit_code(), 0);
}

#[test]
fn killed_run_leaves_readable_journal() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.sqlite");
    let env = [("KEEPWATCH_JOURNAL", journal.to_str().unwrap())];
    let api = TestSimulator::serve(TWO_SESSIONS);
    let mut watcher = Terminal::keepwatch(&api, &["-i", "1s"], &env, 120, 40);
    watcher.wait_for("unused");
    let history = || run_with(&["history", ENDED_ID], &env, "").out;
    wait_until("the end in the journal while the program runs", || history().contains("COMPLETED"));
    watcher.signal(rustix::process::Signal::KILL);
    watcher.wait_for_exit();
    assert!(history().contains("COMPLETED"));

    let mut next = Terminal::keepwatch(&api, &[ENDED_ID, "-i", "1s"], &env, 120, 40);
    next.wait_for("first seen RUNNING");
    next.press("q");
    assert_eq!(next.wait_for_restored_exit().exit_code(), 0);
}

#[test]
fn unwritable_journal_is_shown_in_header() {
    let folder = tempfile::tempdir().unwrap();
    let api = TestSimulator::serve(TWO_SESSIONS);
    let env = [("KEEPWATCH_JOURNAL", folder.path().to_str().unwrap())]; // a folder cannot be a journal
    let mut watcher = Terminal::keepwatch(&api, &["-i", "1s"], &env, 100, 30);
    let screen = watcher.wait_for("journal off");
    assert!(screen.contains("RUNNING") || watcher.wait_for("RUNNING").contains("journal off"), "{screen}");
    watcher.press("q");
    assert_eq!(watcher.wait_for_restored_exit().exit_code(), 0);
}

#[test]
fn demo_writes_no_journal() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("demo.sqlite");
    let env = [("KEEPWATCH_JOURNAL", journal.to_str().unwrap())];
    let mut demo = Terminal::start(&[PROGRAM, "demo"], &env, 100, 30);
    demo.wait_for("RUNNING");
    demo.press("q");
    assert_eq!(demo.wait_for_restored_exit().exit_code(), 0);
    assert!(!journal.exists());
}

#[test]
fn redacted_metadata_is_not_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let api = TestSimulator::serve(TWO_SESSIONS);
    for options in [&["-i", "1s"][..], &["-i", "1s", "--no-metadata"]] {
        // Each list of options has its own journal. The lists differ in length, so the length is the name.
        let journal = folder.path().join(format!("{}.sqlite", options.len()));
        let env = [("KEEPWATCH_JOURNAL", journal.to_str().unwrap())];
        // The second run restores the sessions of the first.
        for _ in 0..2 {
            let mut watcher = Terminal::keepwatch(&api, options, &env, 120, 40);
            watcher.wait_for("8f14e45f");
            watcher.press("e");
            let screen = watcher.wait_for("first seen RUNNING");
            // The running session is in the journal and in each list. So by now, the second run has applied a list to
            // the restored session.
            assert!(!screen.contains("metadata changed"), "{screen}");
            watcher.press("q");
            assert_eq!(watcher.wait_for_restored_exit().exit_code(), 0);
        }
        let running = run_with(&["history", RUNNING_ID], &env, "");
        assert!(!running.out.contains("metadata changed"), "{}", running.out);
        let ended = run_with(&["history", ENDED_ID], &env, "");
        assert!(!ended.out.contains("metadata changed"), "{}", ended.out);
    }
}

#[test]
fn foreign_or_newer_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes");
    fs::write(&notes, "precious text of mine").unwrap();
    for args in [&["history"][..], &["journal", "size"]] {
        let refused = run_with(args, &[("KEEPWATCH_JOURNAL", notes.to_str().unwrap())], "");
        assert!(refused.code == 1 && refused.err.contains("no journal, and never was"), "{}", refused.err);
    }
    let newer = folder.path().join("newer.sqlite");
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/journal-v1.sqlite");
    let mut bytes = fs::read(fixture).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes()); // SQLite's user_version, which is the schema's version
    fs::write(&newer, &bytes).unwrap();
    for args in [&["history"][..], &["journal", "size"], &["export", ENDED_ID]] {
        let refused = run_with(args, &[("KEEPWATCH_JOURNAL", newer.to_str().unwrap())], "");
        assert!(refused.code == 1 && refused.err.contains("newer keepwatch"), "{}", refused.err);
    }
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "no command creates a file: {names:?}");
    assert_eq!(fs::read(&newer).unwrap(), bytes);
}

#[test]
fn other_hosts_sessions_are_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.sqlite");
    let env = [("KEEPWATCH_JOURNAL", journal.to_str().unwrap())];
    let (first_host, other_host) = (
        TestSimulator::serve(TWO_SESSIONS),
        TestSimulator::serve("about = \"the same project, and nothing runs\""),
    );
    let mut first = Terminal::keepwatch(&first_host, &["-i", "1s"], &env, 120, 40);
    first.wait_for("unused");
    first.press("q");
    assert_eq!(first.wait_for_restored_exit().exit_code(), 0);

    let mut second = Terminal::keepwatch(&other_host, &["-i", "1s"], &env, 120, 40);
    second.wait_for("no session is running");
    // Restored sessions would be on the screen by the second response.
    wait_until("two lists", || {
        other_host.log().iter().filter(|request| request.query.contains("status=RUNNING")).count() > 1
    });
    let screen = second.wait_for("no session is running");
    assert!(!screen.contains("45c48cce"), "{screen}");
    second.press("q");
    assert_eq!(second.wait_for_restored_exit().exit_code(), 0);
}

#[test]
fn cleared_sessions_stay_deleted_after_quit() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.sqlite");
    let env = [("KEEPWATCH_JOURNAL", journal.to_str().unwrap())];
    let api = TestSimulator::serve(TWO_SESSIONS);
    let history = || run_with(&["history", "--json"], &env, "").out;
    let mut watchers = [(); 2].map(|()| Terminal::keepwatch(&api, &["-i", "1s"], &env, 120, 40));
    watchers.iter_mut().for_each(|watcher| drop(watcher.wait_for("unused")));
    wait_until("the ended session in the journal", || history().contains(ENDED_ID));
    assert_eq!(run_with(&["journal", "clear", "--yes"], &env, "").code, 0);
    assert!(!history().contains(ENDED_ID), "{}", history());
    // Both programs still see the running session. They write what they see from now on, and nothing older.
    wait_until("the running session in the journal", || history().contains("8f14e45f"));
    for watcher in &mut watchers {
        watcher.press("q");
        assert_eq!(watcher.wait_for_restored_exit().exit_code(), 0);
    }
    let listed = history();
    assert!(!listed.contains(ENDED_ID) && listed.contains("8f14e45f"), "{listed}");
    for command in [&["history", ENDED_ID][..], &["export", ENDED_ID]] {
        let missing = run_with(command, &env, "");
        assert!(missing.code == 4 && missing.err.contains("no such session"), "{}", missing.err);
    }
    let text = String::from_utf8_lossy(&fs::read(&journal).unwrap()).into_owned();
    assert!(!text.contains("growth"), "the file has no metadata of the ended session");
}

#[test]
fn history_and_export_agree_on_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.sqlite");
    let env = [("KEEPWATCH_JOURNAL", journal.to_str().unwrap())];
    let api = TestSimulator::serve(TWO_SESSIONS);
    let mut watcher = Terminal::keepwatch(&api, &["-i", "1s"], &env, 120, 40);
    watcher.wait_for("unused");
    watcher.press("q");
    assert_eq!(watcher.wait_for_restored_exit().exit_code(), 0);
    // Changes the journal, and then runs three commands about the ended session.
    let run_commands_after = |sql: &str| {
        rusqlite::Connection::open(&journal).unwrap().execute(sql, []).unwrap();
        [&["export", ENDED_ID][..], &["history", ENDED_ID], &["history", &ENDED_ID[..8]]]
            .map(|args| run_with(args, &env, ""))
    };
    for known in run_commands_after("UPDATE segment SET finished = 1") {
        assert!(known.code == 0 && !known.out.is_empty(), "{}", known.err);
    }
    for without_entries in run_commands_after("DELETE FROM mention") {
        let reason = "only the row that “keepwatch history” prints";
        assert!(without_entries.code == 1 && without_entries.err.contains(reason), "{}", without_entries.err);
    }
    run_commands_after("INSERT INTO mention SELECT session, (SELECT max(id) FROM segment) FROM summary");
    for deleted in run_commands_after("DELETE FROM summary") {
        assert!(deleted.code == 4 && deleted.err.contains("no such session"), "{}", deleted.err);
    }
    assert!(!run_with(&["history"], &env, "").out.contains(&ENDED_ID[..8]));
}
