//! A terminal that is resized all the time, that is slow, or that stands still: polling goes on, nothing grows, and the picture
//! afterwards is the right one.

use std::time::Duration;

use browserbase_simulator::FinalStatus;

use crate::harness::{Api, Reading, Terminal, wait_until};

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

fn watching(api: &Api) -> Terminal {
    let terminal = Terminal::keepwatch(api, &["-i", "1s", ID], &[], 100, 30);
    terminal.wait_for("RUNNING");
    terminal
}

fn polls(api: &Api) -> usize {
    api.log().iter().filter(|hit| hit.path.ends_with(ID)).count()
}

/// What the program holds in memory, in KiB; 0 where there is no /proc.
fn resident(terminal: &Terminal) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", terminal.pid())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn count(raw: &[u8], sequence: &[u8]) -> usize {
    raw.windows(sequence.len()).filter(|at| *at == sequence).count()
}

/// Holds that the screen is what a new one would be: it ends the session, which stops all that ticks, presses a key, for which
/// what is new is no longer so, and has it drawn anew.
fn shows_what_is(api: &Api, terminal: &mut Terminal) {
    assert!(api.control.end_session(ID, FinalStatus::Completed));
    terminal.wait_for("COMPLETED");
    terminal.wait_for("unused");
    terminal.press("j");
    terminal.wait_until("nothing new", |screen| !screen.contents().contains("new since"));
    wait_until("the frame's end", || terminal.raw().ends_with(b"\x1b[?2026l"));
    let shown = picture(&terminal.screen());
    let cleared = count(&terminal.raw(), b"\x1b[2J");
    terminal.press("\x0c");
    wait_until("a new picture", || count(&terminal.raw(), b"\x1b[2J") > cleared);
    terminal.wait_until(&format!("the same picture as\n{shown}\n"), |screen| {
        picture(&screen.contents()) == shown
    });
}

/// Whether a blank at the end of a line was written is nothing that one sees.
fn picture(contents: &str) -> String {
    contents.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Has the screen drawn anew, so often and each time by itself.
fn draw_anew(terminal: &mut Terminal, times: usize) {
    for _ in 0..times {
        terminal.press("\x0c");
        std::thread::park_timeout(Duration::from_millis(15));
    }
}

fn stands_still(span: Duration) {
    let api = Api::serve(ENDS);
    let mut terminal = watching(&api);
    draw_anew(&mut terminal, 20);
    let before = resident(&terminal);
    terminal.read(Reading::Not);
    draw_anew(&mut terminal, PICTURES);
    let seen = polls(&api);
    let wanted = usize::try_from(span.as_secs()).unwrap();
    wait_until("polls that go on", || polls(&api) >= seen + wanted);
    draw_anew(&mut terminal, PICTURES);
    let grown = resident(&terminal).saturating_sub(before);
    assert!(grown < GROWTH, "{grown} KiB");
    terminal.read(Reading::Quickly);
    shows_what_is(&api, &mut terminal);
    terminal.press("q");
    assert_eq!(terminal.end_restored().exit_code(), 0);
}

#[test]
fn a_terminal_that_stands_still_stops_no_poll_and_shows_the_newest_picture_afterwards() {
    stands_still(Duration::from_secs(4));
}

#[test]
#[ignore = "takes more than a minute"]
fn a_terminal_that_stands_still_for_a_minute_stops_no_poll() {
    stands_still(Duration::from_secs(60));
}

#[test]
fn a_slow_terminal_gets_fewer_pictures_and_the_right_one_in_the_end() {
    let api = Api::serve(ENDS);
    let mut terminal = watching(&api);
    draw_anew(&mut terminal, 20);
    let (memory, seen) = (resident(&terminal), polls(&api));
    let before = count(&terminal.raw(), b"\x1b[?2026h");
    terminal.read(Reading::Slowly);
    draw_anew(&mut terminal, PICTURES);
    wait_until("polls that go on", || polls(&api) >= seen + 2);
    let grown = resident(&terminal).saturating_sub(memory);
    assert!(grown < GROWTH, "{grown} KiB");
    terminal.read(Reading::Quickly);
    shows_what_is(&api, &mut terminal);
    // What waited for it has come by now: what it could take, a pty's worth, and little more.
    let pictures = count(&terminal.raw(), b"\x1b[?2026h") - before;
    assert!(pictures < PICTURES / 2, "{pictures} pictures of {PICTURES}");
}

#[test]
fn five_hundred_resizes_at_once_cost_few_pictures_and_leave_the_right_one() {
    let api = Api::serve(ENDS);
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
    shows_what_is(&api, &mut terminal);
    terminal.press("q");
    assert_eq!(terminal.end_restored().exit_code(), 0);
}
