//! Tests recordings. The first test makes a recording on a terminal against the simulator, replays it on another
//! terminal, and runs `explain` on the file.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use browserbase_simulator::Scenario;
use rustix::process::Signal;

use crate::command_line::run_with;
use crate::harness::{PROGRAM, Terminal, TestSimulator, clean_env, output, wait_until};
use crate::piped_program::PipedProgram;
use crate::screen::decode_base64;

const ENDED_ID: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";

#[test]
fn replay_matches_live_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("i01.ndjson");
    let path = file.to_str().unwrap();
    let api = TestSimulator::start(Scenario::builtin("I01").unwrap());

    let args = [ENDED_ID, "-i", "1s", "--record", path, "--utc"];
    // Over SSH, the program copies through the terminal, where the test can read the copy.
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
    assert_eq!(explained.out, evidence, "`explain` prints the evidence that was copied");

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

const ONE_SESSION: &str = "[[session]]\nid = \"one\"\ntimeout = \"1h\"";
const LOST_MESSAGE: &str = "was deleted, moved or replaced";

#[test]
fn screen_and_exit_mention_lost_recording() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.ndjson");
    let api = TestSimulator::serve(ONE_SESSION);
    let args = ["-i", "1s", "--record", file.to_str().unwrap()];
    let mut screen = Terminal::keepwatch(&api, &args, &[], 160, 40);
    screen.wait_for("RUNNING");
    std::fs::remove_file(&file).unwrap();
    screen.wait_for(LOST_MESSAGE);
    screen.wait_for("recording lost");
    screen.press("q");
    assert_eq!(screen.wait_for_restored_exit().exit_code(), 0);
    let after = screen.screen();
    assert!(after.contains("keepwatch: the recording") && after.contains(LOST_MESSAGE), "{after}");
    assert!(!file.exists());
}

#[test]
fn events_command_mentions_lost_recording_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.ndjson");
    let api = TestSimulator::serve(ONE_SESSION);
    let args = ["events", "-i", "1s", "--record", file.to_str().unwrap()];
    let mut events = PipedProgram::start(&api, &args);
    events.wait_for_line("first_seen");
    std::fs::rename(&file, folder.path().join("moved.ndjson")).unwrap();
    std::fs::write(&file, "another").unwrap();
    let before = api.log().len();
    wait_until("more polls", || api.log().len() > before + 2);
    events.signal(Signal::INT);
    let ended = events.finish(&api);
    assert_eq!(ended.err.matches(LOST_MESSAGE).count(), 1, "{}", ended.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "another");
    let moved = folder.path().join("moved.ndjson");
    let explained = run_with(&["explain", "--from", moved.to_str().unwrap(), "one"], &[], "");
    assert!(explained.code == 0 && !explained.err.contains("damaged"), "{}", explained.err);
}

#[test]
fn recording_is_read_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.ndjson");
    let api = TestSimulator::serve(
        "[[session]]\nid = \"one\"\ntimeout = \"15m\"\nends = { at = \"1s\", status = \"ERROR\" }",
    );
    let env = [("BROWSERBASE_BASE_URL", api.url.as_str()), ("BROWSERBASE_API_KEY", crate::harness::KEY)];
    run_with(&["events", "one", "-i", "1s", "--record", file.to_str().unwrap()], &env, "");
    let recording = std::fs::read_to_string(&file).unwrap();
    let explained = run_with(&["explain", "--from", "-", "one"], &[], &recording);
    assert!(explained.out.contains("ended in ERROR"), "{}{}", explained.out, explained.err);
    let empty = run_with(&["explain", "--from", "-", "one"], &[], "");
    assert!(empty.code == 1 && empty.err.contains("standard input: the recording is empty"), "{}", empty.err);
}

#[test]
fn dash_is_never_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    for (args, env, reason) in [
        (&["--record", "-"][..], None, "standard output has the screen or the events"),
        (&["events", "--record", "-"], None, "standard output has the screen or the events"),
        (&["--log", "-"], None, "a log is a file"),
        (&["get", "one", "--log=-"], None, "a log is a file"),
        (&["get", "one"], Some("KEEPWATCH_LOG"), "a log is a file"),
        (&["simulate", "--truth", "-"], None, "standard output has the address"),
        (&["replay", "-"], None, "standard input has the keystrokes"),
        (&["--config", "-"], None, "standard input can have an API key"),
        (&["get", "one"], Some("KEEPWATCH_CONFIG"), "the config file is a file"),
        (&["journal", "path"], Some("KEEPWATCH_JOURNAL"), "the journal is a file"),
    ] {
        let mut command = Command::new(PROGRAM);
        command.args(args).current_dir(folder.path()).env_clear().envs(clean_env());
        command.envs(env.map(|name| (name, "-"))).env("BROWSERBASE_API_KEY", crate::harness::KEY);
        let run = output(&mut command);
        let err = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.code() == Some(2) && err.contains(reason), "{args:?} {env:?}: {err}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{args:?} creates no file");
    }
}
