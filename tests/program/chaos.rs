//! Tests two features of the command line: the scenario `chaos`, and the ground-truth file of `keepwatch simulate`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{PROGRAM, TEST_TIMEOUT, clean_env, now, output, wait_until};
use crate::simulate::SimulateProgram;

fn chaos(args: &[&str]) -> SimulateProgram {
    SimulateProgram::start(&[&["--scenario", "chaos"], args].concat())
}

/// Returns the ids of the sessions that run when chaos begins. On a busy machine the response can come so late that
/// other sessions run or a fault has begun. In that case, starts the simulator again.
fn ids_at_start(args: &[&str]) -> Vec<String> {
    let deadline = now() + TEST_TIMEOUT;
    loop {
        let start = now();
        let api = chaos(args);
        let response = api.get("/v1/sessions?status=RUNNING").body;
        if let Some(sessions) = response.as_array().filter(|_| start.elapsed() < Duration::from_secs(10)) {
            return sessions.iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect();
        }
        assert!(now() < deadline, "the machine is too busy");
    }
}

/// Runs `keepwatch ARGS`, which must exit with 2, and returns its standard error.
fn usage_error(args: &[&str]) -> String {
    let output = output(Command::new(PROGRAM).args(args).env_clear().envs(clean_env()));
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Returns the complete lines of the file. The program may still be writing the last line.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
    complete.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn same_seed_gives_same_sessions() {
    let ids = |seed: &str| ids_at_start(&["--seed", seed, "--sessions", "200"]);
    let (seed_7, seed_7_again, seed_8) = (ids("7"), ids("7"), ids("8"));
    let common = seed_7.iter().filter(|id| seed_7_again.contains(id)).count();
    // A busy machine requests the two lists at different ages of the scenario, so some sessions differ. Up to 200
    // sessions live at a time, and a few of those are not running.
    assert!(
        (150..=200).contains(&seed_7.len()) && common * 2 > seed_7.len(),
        "the same seed gives the same sessions, not only {common} of {}",
        seed_7.len()
    );
    assert!(!seed_7.iter().any(|id| seed_8.contains(id)), "another seed gives other sessions");
    let by_default = ids_at_start(&[]); // up to 36 live at a time
    assert!((25..=36).contains(&by_default.len()), "25 to 36 sessions run, not {}", by_default.len());
}

#[test]
fn invalid_seed_or_scenario_is_usage_error() {
    for (args, message) in [
        (&["demo", "--scenario", "I01", "--seed", "7"][..], "I01 is the same each time"),
        (&["simulate", "--seed", "7"], "default is the same each time"),
        (&["demo", "--scenario", "chaos", "--seed", "seven"], "invalid digit"),
    ] {
        let error = usage_error(args);
        assert!(error.contains("--seed") && error.contains(message), "{error}");
    }
    assert!(usage_error(&["simulate", "--scenario", "nope"]).contains("chaos (everything that can happen"));
}

#[test]
fn truth_file_is_private_and_written_live() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.ndjson");
    let api = SimulateProgram::start(&["--truth", path.to_str().unwrap(), "--release-delay", "300ms"]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let settings = json!({ "projectId": api.project, "keepAlive": true, "timeout": 900 });
    let id = api.post("/v1/sessions", &settings).body["id"].clone();
    let find_event =
        |event: &str| lines(&path).into_iter().find(|line| line["session"] == id && line["event"] == event);
    wait_until("the session's start in the file", || find_event("started").is_some());
    let appeared = find_event("appeared").unwrap();
    assert_eq!((&appeared["v"], &appeared["keep_alive"]), (&json!(1), &json!(true)));

    let session_path = format!("/v1/sessions/{}", id.as_str().unwrap());
    api.post(&session_path, &json!({ "status": "REQUEST_RELEASE", "projectId": api.project }));
    wait_until("the session's end in the file", || find_event("ended").is_some());
    let ended = find_event("ended").unwrap();
    assert_eq!((&ended["status"], &ended["cause"]), (&json!("COMPLETED"), &json!("released")));
    // 23 characters are the time to the millisecond.
    let ended_at = api.get(&session_path).body["endedAt"].as_str().unwrap().get(..23).unwrap().to_owned();
    assert!(
        ended["at"] == ended["states_ended_at"] && ended["at"].as_str().unwrap().starts_with(&ended_at),
        "{ended}"
    );

    let error = usage_error(&["simulate", "--truth", path.to_str().unwrap()]);
    assert!(error.contains("--truth") && error.contains("is there already"), "{error}");
}

#[test]
fn truth_file_has_each_event_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.ndjson");
    let api = chaos(&["--seed", "7", "--sessions", "300", "--truth", path.to_str().unwrap()]);
    wait_until("the first end in the file", || lines(&path).iter().any(|line| line["event"] == "ended"));
    let code = api.interrupt();
    assert_eq!(code, Some(0));
    let text = fs::read_to_string(&path).unwrap();
    let mut events: Vec<&str> = text.lines().collect();
    let line_count = events.len();
    events.sort_unstable();
    events.dedup();
    let appeared = events.iter().filter(|line| line.contains("\"appeared\"")).count();
    assert!(text.ends_with("}\n"), "the last line is complete");
    assert_eq!(events.len(), line_count, "each event is in one line");
    assert!(appeared >= 300, "all 300 sessions appear, not only {appeared}");
}
