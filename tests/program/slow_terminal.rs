//! Tests the program on a terminal that is slow, stopped, or resized often. Polls continue, memory does not grow, and
//! the last frame is right.
//!
//! `ESC [ ? 2026 h` begins a frame, and the same with `l` ends it. `ESC [ 2 J` clears the screen for a redraw.

use std::time::Duration;

use browserbase_simulator::FinalStatus;

use crate::harness::{ReadMode, Terminal, TestSimulator, wait_until};

const ID: &str = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff";

/// A session that runs until a test ends it. After that the screen does not change, and can be compared with a redraw.
const ONE_SESSION: &str = r#"
[[session]]
id = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff"
created = "-2m"
timeout = "1h"
keep_alive = true
"#;

/// Number of redraws whose frames exceed the buffers of a pty and of the terminal writer.
const REDRAWS: usize = 150;

/// Maximum growth of the program's memory, in KiB. The allocator may take this much without a leak.
const MAX_GROWTH_KIB: usize = 3 * 1024;

/// Starts the program, and waits for the session.
fn start_watching(api: &TestSimulator) -> Terminal {
    let terminal = Terminal::keepwatch(api, &["-i", "1s", ID], &[], 100, 30);
    terminal.wait_for("RUNNING");
    terminal
}

fn polls(api: &TestSimulator) -> usize {
    api.log().iter().filter(|request| request.path.ends_with(ID)).count()
}

/// Returns the program's resident memory in KiB, or 0 without `/proc`.
fn resident_kib(terminal: &Terminal) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", terminal.pid())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn count(raw: &[u8], sequence: &[u8]) -> usize {
    raw.windows(sequence.len()).filter(|bytes| *bytes == sequence).count()
}

/// Asserts that the screen is the same as after a redraw. First ends the session, so that no clock on the screen runs.
/// Then presses `j`, which removes the count of new events.
fn assert_screen_is_current(api: &TestSimulator, terminal: &mut Terminal) {
    assert!(api.control.end_session(ID, FinalStatus::Completed));
    terminal.wait_for("COMPLETED");
    terminal.wait_for("unused");
    terminal.press("j");
    terminal.wait_until("a screen without new events", |screen| !screen.contents().contains("new since"));
    wait_until("the end of the frame", || terminal.raw().ends_with(b"\x1b[?2026l"));
    let shown = trimmed(&terminal.screen());
    let cleared = count(&terminal.raw(), b"\x1b[2J");
    terminal.press("\x0c");
    wait_until("a redraw", || count(&terminal.raw(), b"\x1b[2J") > cleared);
    terminal
        .wait_until(&format!("the same frame as\n{shown}\n"), |screen| trimmed(&screen.contents()) == shown);
}

/// Removes spaces at the ends of lines, which are invisible.
fn trimmed(contents: &str) -> String {
    contents.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Redraws the screen this many times, slowly enough for one frame per redraw.
fn redraw(terminal: &mut Terminal, times: usize) {
    for _ in 0..times {
        terminal.press("\x0c");
        std::thread::park_timeout(Duration::from_millis(15));
    }
}

/// Checks that polls continue and memory does not grow while the terminal is stopped for this time.
fn check_stopped_terminal(duration: Duration) {
    let api = TestSimulator::serve(ONE_SESSION);
    let mut terminal = start_watching(&api);
    redraw(&mut terminal, 20);
    let memory_before = resident_kib(&terminal);
    terminal.set_read_mode(ReadMode::Stopped);
    redraw(&mut terminal, REDRAWS);
    let polls_before = polls(&api);
    let poll_count = usize::try_from(duration.as_secs()).unwrap(); // one poll a second
    wait_until("polls while the terminal is stopped", || polls(&api) >= polls_before + poll_count);
    redraw(&mut terminal, REDRAWS);
    let growth = resident_kib(&terminal).saturating_sub(memory_before);
    assert!(growth < MAX_GROWTH_KIB, "memory grows by less than {MAX_GROWTH_KIB} KiB, not by {growth}");
    terminal.set_read_mode(ReadMode::Quickly);
    assert_screen_is_current(&api, &mut terminal);
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
}

#[test]
fn stopped_terminal_does_not_stop_polls() {
    check_stopped_terminal(Duration::from_secs(4));
}

#[test]
#[ignore = "takes more than a minute"]
fn terminal_stopped_for_minute_does_not_stop_polls() {
    check_stopped_terminal(Duration::from_secs(60));
}

#[test]
fn slow_terminal_gets_fewer_frames() {
    let api = TestSimulator::serve(ONE_SESSION);
    let mut terminal = start_watching(&api);
    redraw(&mut terminal, 20);
    let (memory_before, polls_before) = (resident_kib(&terminal), polls(&api));
    let frames_before = count(&terminal.raw(), b"\x1b[?2026h");
    terminal.set_read_mode(ReadMode::Slowly);
    redraw(&mut terminal, REDRAWS);
    wait_until("polls while the terminal is slow", || polls(&api) >= polls_before + 2);
    let growth = resident_kib(&terminal).saturating_sub(memory_before);
    assert!(growth < MAX_GROWTH_KIB, "memory grows by less than {MAX_GROWTH_KIB} KiB, not by {growth}");
    terminal.set_read_mode(ReadMode::Quickly);
    assert_screen_is_current(&api, &mut terminal);
    // By now the terminal has read the frames that were in the buffers, and a few more.
    let frames = count(&terminal.raw(), b"\x1b[?2026h") - frames_before;
    assert!(frames < REDRAWS / 2, "{frames} frames for {REDRAWS} redraws");
}

#[test]
fn resize_burst_draws_few_frames() {
    let api = TestSimulator::serve(ONE_SESSION);
    let mut terminal = start_watching(&api);
    let frames_before = count(&terminal.raw(), b"\x1b[?2026h");
    let start = crate::harness::now();
    for round in 0..500_u16 {
        let (columns, rows) = if round % 7 == 0 { (1, 1) } else { (1 + round % 240, 1 + round % 70) };
        terminal.resize(columns, rows);
        std::thread::park_timeout(Duration::from_millis(2));
    }
    terminal.resize(100, 30);
    terminal.wait_for("RUNNING");
    let frames = count(&terminal.raw(), b"\x1b[?2026h") - frames_before;
    // 500 resizes 2 ms apart take a second or more. On a busy machine they take longer, so there is time for more
    // frames: one every 8 ms.
    let limit = 200.max(start.elapsed().as_millis() / 8);
    assert!((frames as u128) < limit, "{frames} frames, limit {limit}");
    assert_screen_is_current(&api, &mut terminal);
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
}
