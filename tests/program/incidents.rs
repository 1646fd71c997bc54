//! The incidents as their reader sees them: `keepwatch demo --scenario` on a terminal of 120×40, with the session selected
//! that a scenario expects something on the screen of.

use std::time::Duration;

use browserbase_simulator::{Expectation, Scenario};

use crate::harness::{PROGRAM, Terminal, at_speed};

/// What takes longer than this is played at the highest speed.
const LONG: Duration = Duration::from_secs(60);

/// One test a scenario, so that they run beside each other.
macro_rules! shown {
    ($($test:ident: $scenario:literal,)*) => {
        const SHOWN: &[&str] = &[$($scenario),*];
        $(#[test] fn $test() { show($scenario); })*
    };
}

shown! {
    i01_the_screen_says_what_an_early_end_was_not: "I01",
    i02_the_screen_names_what_ended_together: "I02",
    i03_the_screen_says_who_has_the_only_slot: "I03",
    i04_the_screen_says_rate_limited_and_when_the_next_try_is: "I04",
    i05_the_screen_says_what_the_api_answered: "I05",
    i06_the_screen_says_that_a_timeout_is_the_projects_default: "I06",
    i07_the_screen_says_what_a_leaked_session_costs: "I07",
    i08_the_screen_warns_before_a_timeout: "I08",
    i09_the_screen_says_that_nothing_moves: "I09",
    i10_the_screen_says_releasing_until_it_ends: "I10",
    i11_the_screen_says_how_to_get_a_fresh_connect_url: "I11",
    i12_the_screen_says_no_more_than_the_api: "I12",
    i13_the_screen_sums_up_short_sessions: "I13",
    i14_the_screen_goes_on_showing_an_end: "I14",
    i15_the_screen_says_that_a_session_is_overdue: "I15",
    i16_the_screen_keeps_a_failed_release: "I16",
    i17_the_screen_says_that_another_session_appeared: "I17",
}

#[test]
fn every_scenario_that_expects_something_on_the_screen_is_shown() {
    let expects = |name: &&str| {
        Scenario::builtin(name).unwrap().expectations.iter().any(|expect| !expect.screen.is_empty())
    };
    assert_eq!(Scenario::builtin_names().filter(expects).collect::<Vec<_>>(), SHOWN);
}

fn show(name: &str) {
    let script = Scenario::builtin(name).unwrap();
    let long = script.expectations.iter().any(|expect| expect.within.0 > LONG);
    at_speed(if long { 100 } else { 10 }, |speed| show_at(name, &script, speed));
}

fn show_at(name: &str, script: &Scenario, speed: u32) {
    let speed = speed.to_string();
    let mut terminal =
        Terminal::start(&[PROGRAM, "demo", "--scenario", name, "--speed", &speed, "--utc"], &[], 120, 40);
    for expect in script.expectations.iter().filter(|expect| !expect.screen.is_empty()) {
        select(&mut terminal, script.find_session_id(expect.session.as_deref().unwrap()).unwrap());
        if expect.copied {
            terminal.press("c");
        }
        if expect.released {
            let id = script.find_session_id(expect.session.as_deref().unwrap()).unwrap();
            terminal.press("x");
            terminal.wait_for("Release this session?");
            terminal.press(&format!("{}\r", &id[id.len() - 4..]));
        }
        wait_for_all(&terminal, name, expect);
    }
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
}

/// Filters by the id, in place of what was filtered by before: then it is the only row, and selected.
fn select(terminal: &mut Terminal, id: &str) {
    const CLEAR: &str = "\x15";
    terminal.wait_for("filter"); // the screen takes keys
    terminal.press(&format!("/{CLEAR}{id}\r"));
    terminal.wait_until("the session, selected", |screen| screen.contents().contains(&id[..8]));
}

fn wait_for_all(terminal: &Terminal, name: &str, expect: &Expectation) {
    let what =
        format!("in {name}, of {}: {:?}", expect.session.as_deref().unwrap_or_default(), expect.screen);
    terminal.wait_until(&what, |screen| {
        let shown = screen.contents();
        expect.screen.iter().all(|phrase| shown.contains(phrase))
    });
}
