//! Tests the incident scenarios on the screen: `keepwatch demo --scenario` on a terminal of 120×40. Each test selects
//! the session of every expectation in turn and waits for the expected phrases.

use std::time::Duration;

use browserbase_simulator::{Expectation, Scenario};

use crate::harness::{PROGRAM, Terminal, at_speed};

/// A scenario that takes longer than this plays 100 times as fast as the clock. A shorter one plays 10 times as fast.
const LONG_SCENARIO: Duration = Duration::from_secs(60);

/// Defines one test for each scenario, so that they run in parallel.
macro_rules! screen_tests {
    ($($test:ident: $scenario:literal,)*) => {
        const TESTED: &[&str] = &[$($scenario),*];
        $(#[test] fn $test() { run_scenario($scenario); })*
    };
}

screen_tests! {
    i01_early_end_rules_out_causes: "I01",
    i02_simultaneous_ends_are_named: "I02",
    i03_slot_holder_is_named: "I03",
    i04_rate_limit_shows_next_retry: "I04",
    i05_api_message_is_shown: "I05",
    i06_default_timeout_is_named: "I06",
    i07_leaked_session_shows_cost: "I07",
    i08_timeout_warning_is_shown: "I08",
    i09_stalled_traffic_is_shown: "I09",
    i10_releasing_is_shown_until_end: "I10",
    i11_screen_says_copied_url_is_fresh: "I11",
    i12_screen_claims_no_more_than_api: "I12",
    i13_short_sessions_are_summed_up: "I13",
    i14_end_stays_visible: "I14",
    i15_overdue_session_is_shown: "I15",
    i16_failed_release_stays_visible: "I16",
    i17_successor_is_shown: "I17",
    orderly_releases_are_calm: "orderly",
    stuck_sessions_are_shown: "stuck",
}

#[test]
fn every_scenario_with_screen_expectations_has_a_test() {
    let expects = |name: &&str| {
        Scenario::builtin(name).unwrap().expectations.iter().any(|expect| !expect.screen.is_empty())
    };
    assert_eq!(Scenario::builtin_names().filter(expects).collect::<Vec<_>>(), TESTED);
}

fn run_scenario(name: &str) {
    let scenario = Scenario::builtin(name).unwrap();
    let is_long = scenario.expectations.iter().any(|expect| expect.within.0 > LONG_SCENARIO);
    at_speed(if is_long { 100 } else { 10 }, |speed| run_at(name, &scenario, speed));
}

fn run_at(name: &str, scenario: &Scenario, speed: u32) {
    let speed = speed.to_string();
    let mut terminal =
        Terminal::start(&[PROGRAM, "demo", "--scenario", name, "--speed", &speed, "--utc"], &[], 120, 40);
    for expect in scenario.expectations.iter().filter(|expect| !expect.screen.is_empty()) {
        select(&mut terminal, scenario.find_session_id(expect.session.as_deref().unwrap()).unwrap());
        if expect.copied {
            terminal.press("c");
        }
        if expect.released {
            let id = scenario.find_session_id(expect.session.as_deref().unwrap()).unwrap();
            terminal.press("x");
            terminal.wait_for("Release this session?");
            terminal.press(&format!("{}\r", &id[id.len() - 4..]));
        }
        wait_for_phrases(&terminal, name, expect);
    }
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
}

/// Replaces the filter by the session's id. Then the session's row is the only row, and is selected.
fn select(terminal: &mut Terminal, id: &str) {
    const CLEAR: &str = "\x15"; // Ctrl-U
    // The footer shows the hint for `/` once the program accepts keystrokes.
    terminal.wait_for("filter");
    terminal.press(&format!("/{CLEAR}{id}\r"));
    terminal.wait_until("the selected session", |screen| screen.contents().contains(&id[..8]));
}

fn wait_for_phrases(terminal: &Terminal, name: &str, expect: &Expectation) {
    let session = expect.session.as_deref().unwrap_or_default();
    let description = format!("{:?} of session {session} in {name}", expect.screen);
    terminal.wait_until(&description, |screen| {
        let text = screen.contents();
        expect.screen.iter().all(|phrase| text.contains(phrase))
    });
}
