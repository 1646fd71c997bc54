//! What it costs to be left running, as counts: requests, bytes to the terminal, and how often its threads wake. A second
//! program that polls once a second says how much time has passed.

use crate::harness::{Terminal, TestSimulator, wait_until};

const ENDED: &str = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff";
const RUNNING_ID: &str = "7b1c2d3e-0000-4000-8000-000000000001";

const BOTH: &str = r#"
[[session]]
id = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff"
created = "-5m"
ends = { at = "-2m" }

[[session]]
id = "7b1c2d3e-0000-4000-8000-000000000001"
created = "-2m"
timeout = "2h"
"#;

/// How many requests the API had whose path and query end so.
fn request_count(api: &TestSimulator, end: &str) -> usize {
    api.log().iter().filter(|hit| hit.path.ends_with(end) || hit.query.ends_with(end)).count()
}

/// How often the program's threads went to sleep so far.
#[cfg(target_os = "linux")]
fn context_switches(terminal: &Terminal) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", terminal.pid())).unwrap();
    let of_task = |task: std::io::Result<std::fs::DirEntry>| {
        // A thread may end meanwhile.
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.map_or(0, |count| count.trim().parse().unwrap())
    };
    tasks.map(of_task).sum()
}

#[cfg(target_os = "linux")]
#[test]
fn who_watches_only_what_has_ended_asks_nothing_writes_nothing_and_does_not_wake() {
    let api = TestSimulator::serve(BOTH);
    let idle = Terminal::keepwatch(&api, &["-i", "1s", ENDED], &[], 120, 40);
    idle.wait_for("COMPLETED");
    let clock = Terminal::keepwatch(&api, &["-i", "1s", RUNNING_ID], &[], 100, 30);
    clock.wait_for("RUNNING");
    let seconds = |count: usize| {
        let until = request_count(&api, RUNNING_ID) + count;
        wait_until("some seconds", || request_count(&api, RUNNING_ID) >= until);
    };
    seconds(3); // what is done once at the start
    let before = (request_count(&api, ENDED), idle.raw().len());
    let slept = context_switches(&idle);
    seconds(6);
    assert_eq!((request_count(&api, ENDED), idle.raw().len()), before);
    let woken = context_switches(&idle) - slept;
    assert!(woken <= 2, "it woke {woken} times in six seconds");
}

#[test]
fn polls_that_bring_nothing_new_are_one_list_an_interval_and_the_time_of_the_newest() {
    let api = TestSimulator::serve("");
    let terminal = Terminal::keepwatch(&api, &["-i", "1s"], &[], 120, 40);
    let polls = |count: usize| {
        let until = request_count(&api, "status=RUNNING") + count;
        wait_until("some polls", || request_count(&api, "status=RUNNING") >= until);
    };
    polls(3);
    let (before, shown) = (api.log().len(), terminal.raw().len());
    polls(6);
    // What is shown is looked at first: every frame belongs to a request that is in the log then.
    let (raw, log) = (terminal.raw(), api.log());
    let count = |query: &str| log[before..].iter().filter(|hit| hit.query.ends_with(query)).count();
    let (running, pending, all) = (count("status=RUNNING"), count("status=PENDING"), log.len() - before);
    assert!(running >= 6 && pending.abs_diff(running / 3) <= 1, "{running} and {pending}");
    assert_eq!(all, running + pending, "and nothing else");
    // The time of the newest reply, which stands twice on an empty screen, and how long it took.
    let frames = raw[shown..].windows(8).filter(|bytes| bytes == b"\x1b[?2026h").count();
    let bytes = raw.len() - shown;
    assert!(
        frames <= all + 1 && bytes <= 90 * (all + 1),
        "{frames} frames of {bytes} bytes for {all} replies"
    );
}
