//! Tests the cost of leaving the program running, in counts: requests, bytes sent to the terminal, and wakeups of its
//! threads. A reference program that polls once a second measures the time: a test waits for a number of its polls.

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
fn ended_sessions_cost_nothing() {
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
    assert!(wakeups <= 2, "{wakeups} wakeups in six seconds");
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
    let (running, pending, all) =
        (count("status=RUNNING"), count("status=PENDING"), log.len() - requests_before);
    // Pending sessions are polled in every third round.
    assert!(running >= 6 && pending.abs_diff(running / 3) <= 1, "{running} running, {pending} pending");
    assert_eq!(all, running + pending, "no other request is sent");
    // A response changes only its time, which an empty screen shows twice, and its latency. That takes one frame of at
    // most 90 bytes, which begins with `ESC [ ? 2026 h`. One more frame may be of a response before the first count.
    let frames = raw[bytes_before..].windows(8).filter(|bytes| bytes == b"\x1b[?2026h").count();
    let bytes = raw.len() - bytes_before;
    assert!(
        frames <= all + 1 && bytes <= 90 * (all + 1),
        "{frames} frames of {bytes} bytes for {all} responses"
    );
}
