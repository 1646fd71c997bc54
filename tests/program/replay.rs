//! Tests recordings: they are made on a terminal against the simulator, replayed on another terminal, and explained
//! from the file.

use std::os::unix::fs::PermissionsExt as _;

use browserbase_simulator::Scenario;

use crate::command_line::run_with;
use crate::harness::{PROGRAM, Terminal, TestSimulator};
use crate::screen::decode_base64;

const ENDED_ID: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";

#[test]
fn replay_matches_live_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("i01.ndjson");
    let path = file.to_str().unwrap();
    let api = TestSimulator::start(Scenario::builtin("I01").unwrap());

    let args = [ENDED_ID, "-i", "1s", "--record", path, "--utc"];
    let mut live = Terminal::keepwatch(&api, &args, &[("SSH_TTY", "/dev/pts/1")], 120, 40);
    live.wait_for("✓ COMPLETED");
    live.press("ye");
    let osc = live.wait_for_osc("the evidence", |osc| !osc.clipboard.is_empty());
    let evidence = String::from_utf8(decode_base64(&osc.clipboard[0])).unwrap();
    assert!(evidence.contains("keep-alive"), "{evidence}");
    live.press("q");
    assert_eq!(live.wait_for_restored_exit().exit_code(), 0);

    let recording = std::fs::read_to_string(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!recording.contains(crate::harness::KEY) && !recording.contains("wss://"), "{recording}");

    let explained = run_with(&["explain", "--from", path, ENDED_ID], &[], "");
    assert_eq!(explained.code, 0, "{}", explained.err);
    assert_eq!(explained.out, evidence, "the evidence is the same as the copied evidence");

    let mut replay = Terminal::start(&[PROGRAM, "replay", path, "--utc"], &[], 120, 40);
    replay.wait_for("REPLAY at rest 1/");
    replay.wait_for("first seen RUNNING");
    replay.press("]]]"); // three events forward
    let screen = replay.wait_for("14m 50s unused");
    assert!(screen.contains("COMPLETED"), "{screen}");
    replay.press("[[[["); // back to the first event
    replay.wait_until("the time before the end", |screen| !screen.contents().contains("COMPLETED"));
    replay.press("c");
    replay.wait_for("this is a recording");
    replay.press(" ");
    replay.wait_for("REPLAY playing");
    replay.press("q");
    assert_eq!(replay.wait_for_restored_exit().exit_code(), 0);
}

#[test]
fn events_command_is_recorded() {
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
fn unusable_recording_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.ndjson");
    let path = file.to_str().unwrap();
    let missing_file = run_with(&["explain", "--from", path, ENDED_ID], &[], "");
    assert!(missing_file.code == 1 && missing_file.err.contains("can not be read"), "{}", missing_file.err);
    std::fs::write(&file, "{\"keepwatch_recording\":7,\"version\":\"8.0.0\"}\n").unwrap();
    let newer = run_with(&["explain", "--from", path, ENDED_ID], &[], "");
    assert!(newer.code == 1 && newer.err.contains("a newer keepwatch is needed"), "{}", newer.err);

    let api = TestSimulator::serve("about = \"nothing\"");
    let refused = run_with(
        &["--record", path],
        &[("BROWSERBASE_BASE_URL", &api.url), ("BROWSERBASE_API_KEY", crate::harness::KEY)],
        "",
    );
    assert!(refused.code == 2 && refused.err.contains("nothing is written over"), "{}", refused.err);
}
