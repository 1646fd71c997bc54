//! Tests the cost of an idle program in counts: its requests, the bytes that it writes to the terminal, and the wakeups
//! of its threads. Polls measure the time: a program polls once a second, and a test waits for a number of polls.

use crate::harness::{Terminal, TestSimulator, wait_until};

const ENDED_ID: &str = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff";
const RUNNING_ID: &str = "7b1c2d3e-0000-4000-8000-000000000001";

const BOTH_SESSIONS: &str = r#"
[[session]]
id = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff"
created = "-5m"
ends = { at = "-2m" }

[[session]]
id = "7b1c2d3e-0000-4000-8000-000000000001"
created = "-2m"
timeout = "2h"
"#;

/// Returns the number of requests whose path or query ends with `suffix`.
fn request_count(api: &TestSimulator, suffix: &str) -> usize {
    api.log()
        .iter()
        .filter(|request| request.path.ends_with(suffix) || request.query.ends_with(suffix))
        .count()
}

/// Returns how often the program's threads have gone to sleep.
#[cfg(target_os = "linux")]
fn context_switches(terminal: &Terminal) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", terminal.pid())).unwrap();
    let switches = |task: std::io::Result<std::fs::DirEntry>| {
        // The thread may have ended in the meantime.
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.map_or(0, |count| count.trim().parse().unwrap())
    };
    tasks.map(switches).sum()
}

#[cfg(target_os = "linux")]
#[test]
fn ended_session_costs_no_requests_or_output() {
    let api = TestSimulator::serve(BOTH_SESSIONS);
    let idle = Terminal::keepwatch(&api, &["-i", "1s", ENDED_ID], &[], 120, 40);
    idle.wait_for("COMPLETED");
    let reference = Terminal::keepwatch(&api, &["-i", "1s", RUNNING_ID], &[], 100, 30);
    reference.wait_for("RUNNING");
    let wait_seconds = |count: usize| {
        let until = request_count(&api, RUNNING_ID) + count;
        wait_until("polls of the reference program", || request_count(&api, RUNNING_ID) >= until);
    };
    wait_seconds(3); // for the work that is done once at the start
    let before = (request_count(&api, ENDED_ID), idle.raw().len());
    let switches_before = context_switches(&idle);
    wait_seconds(6);
    assert_eq!((request_count(&api, ENDED_ID), idle.raw().len()), before);
    let wakeups = context_switches(&idle) - switches_before;
    assert!(wakeups <= 2, "at most two wakeups in six seconds, not {wakeups}");
}

#[test]
fn unchanged_list_costs_one_request_and_frame() {
    let api = TestSimulator::serve("");
    let terminal = Terminal::keepwatch(&api, &["-i", "1s"], &[], 120, 40);
    let wait_polls = |count: usize| {
        let until = request_count(&api, "status=RUNNING") + count;
        wait_until("polls", || request_count(&api, "status=RUNNING") >= until);
    };
    wait_polls(3);
    let (requests_before, bytes_before) = (api.log().len(), terminal.raw().len());
    wait_polls(6);
    // The output is read before the request log, so that the log has the request of every frame.
    let (raw, log) = (terminal.raw(), api.log());
    let count =
        |query: &str| log[requests_before..].iter().filter(|request| request.query.ends_with(query)).count();
    let (running, pending, total) =
        (count("status=RUNNING"), count("status=PENDING"), log.len() - requests_before);
    // Pending sessions are polled in every third round.
    assert!(running >= 6 && pending.abs_diff(running / 3) <= 1, "{running} running, {pending} pending");
    assert_eq!(total, running + pending, "no other request is sent");
    // A new response changes two texts: its time, which an empty screen shows twice, and its latency. That takes one
    // frame of at most 90 bytes, which begins with `ESC [ ? 2026 h`. One more frame may show a response that arrived
    // before the first count.
    let frames = raw[bytes_before..].windows(8).filter(|bytes| bytes == b"\x1b[?2026h").count();
    let bytes = raw.len() - bytes_before;
    assert!(
        frames <= total + 1 && bytes <= 90 * (total + 1),
        "{frames} frames with {bytes} bytes in all, for {total} responses"
    );
}
