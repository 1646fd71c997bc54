//! Recordings: made on a terminal against the simulator, shown again on another, and explained from the file.

use std::os::unix::fs::PermissionsExt as _;

use browserbase_simulator::Scenario;

use crate::command_line::run_with;
use crate::harness::{PROGRAM, Terminal, TestSimulator};
use crate::screen::base64;

const ENDED: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";

#[test]
fn a_recording_of_an_early_end_gives_the_live_runs_evidence_and_its_screen() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("i01.ndjson");
    let path = file.to_str().unwrap();
    let api = TestSimulator::start(Scenario::builtin("I01").unwrap());

    let watched = [ENDED, "-i", "1s", "--record", path, "--utc"];
    let mut live = Terminal::keepwatch(&api, &watched, &[("SSH_TTY", "/dev/pts/1")], 120, 40);
    live.wait_for("✓ COMPLETED");
    live.press("ye");
    let told = live.wait_for_osc("the evidence", |told| !told.clipboard.is_empty());
    let evidence = String::from_utf8(base64(&told.clipboard[0])).unwrap();
    assert!(evidence.contains("keep-alive"), "{evidence}");
    live.press("q");
    assert_eq!(live.wait_for_restored_exit().exit_code(), 0);

    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!written.contains(crate::harness::KEY) && !written.contains("wss://"), "{written}");

    let explained = run_with(&["explain", "--from", path, ENDED], &[], "");
    assert_eq!(explained.code, 0, "{}", explained.err);
    assert_eq!(explained.out, evidence, "byte for byte");

    let mut again = Terminal::start(&[PROGRAM, "replay", path, "--utc"], &[], 120, 40);
    again.wait_for("REPLAY at rest 1/");
    again.wait_for("first seen RUNNING");
    again.press("]]]");
    let screen = again.wait_for("14m 50s unused");
    assert!(screen.contains("COMPLETED"), "{screen}");
    again.press("[[[[");
    again.wait_until("before its end", |screen| !screen.contents().contains("COMPLETED"));
    again.press("c");
    again.wait_for("this is a recording");
    again.press(" ");
    again.wait_for("REPLAY playing");
    again.press("q");
    assert_eq!(again.wait_for_restored_exit().exit_code(), 0);
}

#[test]
fn a_stream_of_events_is_recorded_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.ndjson");
    let path = file.to_str().unwrap();
    let api = TestSimulator::serve(
        "about = \"ends\"\n[[session]]\nid = \"one\"\ntimeout = \"15m\"\nends = { at = \"1s\", status = \"ERROR\" }",
    );
    let env = [("BROWSERBASE_BASE_URL", api.url.as_str()), ("BROWSERBASE_API_KEY", crate::harness::KEY)];
    let events = run_with(&["events", "one", "-i", "1s", "--record", path], &env, "");
    assert_eq!(events.code, 0, "{}", events.err);
    let explained = run_with(&["explain", "--from", path, "one"], &[], "");
    assert!(explained.out.contains("ended in ERROR"), "{}{}", explained.out, explained.err);
}

#[test]
fn what_is_no_recording_and_a_file_that_is_there_are_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.ndjson");
    let path = file.to_str().unwrap();
    let missing = run_with(&["explain", "--from", path, ENDED], &[], "");
    assert!(missing.code == 1 && missing.err.contains("can not be read"), "{}", missing.err);
    std::fs::write(&file, "{\"keepwatch_recording\":7,\"version\":\"8.0.0\"}\n").unwrap();
    let newer = run_with(&["explain", "--from", path, ENDED], &[], "");
    assert!(newer.code == 1 && newer.err.contains("a newer keepwatch is needed"), "{}", newer.err);

    let api = TestSimulator::serve("about = \"nothing\"");
    let there = run_with(
        &["--record", path],
        &[("BROWSERBASE_BASE_URL", &api.url), ("BROWSERBASE_API_KEY", crate::harness::KEY)],
        "",
    );
    assert!(there.code == 2 && there.err.contains("nothing is written over"), "{}", there.err);
}
