//! A terminal that is resized all the time, that is slow, or that stands still: polling goes on, nothing grows, and the picture
//! afterwards is the right one.

use std::time::Duration;

use browserbase_simulator::FinalStatus;

use crate::harness::{ReadMode, Terminal, TestSimulator, wait_until};

const ID: &str = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff";

/// A session that ends when a test says so: a screen that then stands still can be compared with a new one of the same.
const ENDS: &str = r#"
[[session]]
id = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff"
created = "-2m"
timeout = "1h"
keep_alive = true
"#;

/// So many pictures, one after the other, are more than a pty keeps and more than is kept for it.
const PICTURES: usize = 150;

/// How much the program's memory may grow meanwhile, in KiB: the allocator's own leeway.
const GROWTH: usize = 3 * 1024;

fn watching(api: &TestSimulator) -> Terminal {
    let terminal = Terminal::keepwatch(api, &["-i", "1s", ID], &[], 100, 30);
    terminal.wait_for("RUNNING");
    terminal
}

fn polls(api: &TestSimulator) -> usize {
    api.log().iter().filter(|hit| hit.path.ends_with(ID)).count()
}

/// What the program holds in memory, in KiB; 0 where there is no /proc.
fn resident_kib(terminal: &Terminal) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", terminal.pid())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn count(raw: &[u8], sequence: &[u8]) -> usize {
    raw.windows(sequence.len()).filter(|at| *at == sequence).count()
}

/// Holds that the screen is what a new one would be: it ends the session, which stops all that ticks, presses a key, for which
/// what is new is no longer so, and has it drawn anew.
fn assert_screen_is_current(api: &TestSimulator, terminal: &mut Terminal) {
    assert!(api.control.end_session(ID, FinalStatus::Completed));
    terminal.wait_for("COMPLETED");
    terminal.wait_for("unused");
    terminal.press("j");
    terminal.wait_until("nothing new", |screen| !screen.contents().contains("new since"));
    wait_until("the frame's end", || terminal.raw().ends_with(b"\x1b[?2026l"));
    let shown = trimmed(&terminal.screen());
    let cleared = count(&terminal.raw(), b"\x1b[2J");
    terminal.press("\x0c");
    wait_until("a new picture", || count(&terminal.raw(), b"\x1b[2J") > cleared);
    terminal.wait_until(&format!("the same picture as\n{shown}\n"), |screen| {
        trimmed(&screen.contents()) == shown
    });
}

/// Whether a blank at the end of a line was written is nothing that one sees.
fn trimmed(contents: &str) -> String {
    contents.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Has the screen drawn anew, so often and each time by itself.
fn redraw(terminal: &mut Terminal, times: usize) {
    for _ in 0..times {
        terminal.press("\x0c");
        std::thread::park_timeout(Duration::from_millis(15));
    }
}

fn check_stopped_terminal(span: Duration) {
    let api = TestSimulator::serve(ENDS);
    let mut terminal = watching(&api);
    redraw(&mut terminal, 20);
    let before = resident_kib(&terminal);
    terminal.set_read_mode(ReadMode::Stopped);
    redraw(&mut terminal, PICTURES);
    let seen = polls(&api);
    let wanted = usize::try_from(span.as_secs()).unwrap();
    wait_until("polls that go on", || polls(&api) >= seen + wanted);
    redraw(&mut terminal, PICTURES);
    let grown = resident_kib(&terminal).saturating_sub(before);
    assert!(grown < GROWTH, "{grown} KiB");
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
fn terminal_stopped_for_a_minute() {
    check_stopped_terminal(Duration::from_secs(60));
}

#[test]
fn slow_terminal_gets_fewer_frames() {
    let api = TestSimulator::serve(ENDS);
    let mut terminal = watching(&api);
    redraw(&mut terminal, 20);
    let (memory, seen) = (resident_kib(&terminal), polls(&api));
    let before = count(&terminal.raw(), b"\x1b[?2026h");
    terminal.set_read_mode(ReadMode::Slowly);
    redraw(&mut terminal, PICTURES);
    wait_until("polls that go on", || polls(&api) >= seen + 2);
    let grown = resident_kib(&terminal).saturating_sub(memory);
    assert!(grown < GROWTH, "{grown} KiB");
    terminal.set_read_mode(ReadMode::Quickly);
    assert_screen_is_current(&api, &mut terminal);
    // What waited for it has come by now: what it could take, a pty's worth, and little more.
    let pictures = count(&terminal.raw(), b"\x1b[?2026h") - before;
    assert!(pictures < PICTURES / 2, "{pictures} pictures of {PICTURES}");
}

#[test]
fn resize_burst_draws_few_frames() {
    let api = TestSimulator::serve(ENDS);
    let mut terminal = watching(&api);
    let before = count(&terminal.raw(), b"\x1b[?2026h");
    let start = crate::harness::now();
    for round in 0..500_u16 {
        let (columns, rows) = if round % 7 == 0 { (1, 1) } else { (1 + round % 240, 1 + round % 70) };
        terminal.resize(columns, rows);
        std::thread::park_timeout(Duration::from_millis(2));
    }
    terminal.resize(100, 30);
    terminal.wait_for("RUNNING");
    let frames = count(&terminal.raw(), b"\x1b[?2026h") - before;
    // On a busy machine the resizes take longer than a second, and there is time to draw more of them.
    let limit = 200.max(start.elapsed().as_millis() / 8);
    assert!((frames as u128) < limit, "{frames} frames, limit {limit}");
    assert_screen_is_current(&api, &mut terminal);
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
}
