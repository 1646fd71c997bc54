//! One row of the matrix, with the whole program: all is well, then it is not, then it is again.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::behaviour::Behaviour;
use super::connection::ends_connections;
use super::request_budget;
use super::rows::{self, Recovery, Row};
use super::test_network::{Route, TestNetwork};
use crate::harness::{KEY, now, wait_until};
use crate::piped_program::PipedProgram;

/// For how long nothing is to come where the next try is a minute away or more.
const SILENCE: Duration = Duration::from_secs(4);
/// A connection on which two requests went out at the same moment as it was closed says so before what comes next does.
const CLOSED: &str = "the connection was cut";

/// What was seen of a row.
pub(crate) struct RowResult {
    /// What the program said, without the time of the next try; `None` if it said nothing.
    pub(crate) message: Option<String>,
    /// From the end of what was wrong until the program said that all was well.
    pub(crate) recovery_time: Option<Duration>,
    /// From the first request that was spoilt to the first that was not: requests, and how many a healthy server would
    /// have had meanwhile.
    pub(crate) request_counts: Option<(usize, usize)>,
}

/// Plays a row, and holds what holds for all of them.
pub(crate) fn run(row: &Row) -> RowResult {
    let first = if row.from_start { (row.behaviour)() } else { Behaviour::Normal };
    let network = TestNetwork::new(row.route, first);
    let args: Vec<&str> = ["events", "-i", "1s"].iter().chain(row.target.ids()).copied().collect();
    // A name that no resolver takes is one that TLS does not take either.
    let insecure = row.route == Route::Unreachable(rows::UNRESOLVABLE_URL);
    let args = [&args[..], if insecure { &["--insecure-http"] } else { &[] }].concat();
    let mut program = PipedProgram::start_at(&network.url, &args, KEY, &network.env);
    let round = row.target.ids().len().max(1);
    if !row.from_start {
        (0..row.session_count()).for_each(|_| _ = program.wait_for_line("\"first_seen\""));
        wait_until("healthy polls", || network.good_requests() >= 2 * round);
        network.set_behaviour((row.behaviour)());
    }
    let began = now();
    let mut seen = RowResult { message: None, recovery_time: None, request_counts: None };
    if row.message.is_empty() {
        wait_until("replies that are odd and good", || network.faulty_requests() >= row.failures);
        wait_until("six rounds", || network.good_requests() + network.faulty_requests() >= 6 * round);
        network.recover();
    } else {
        let line = program.wait_for_line(row.message);
        seen.message = Some(sentence(&line));
        wait_until("it fails as often", || network.faulty_requests() >= row.failures);
        seen.recovery_time = recover(row, &network, &mut program, &line, began);
    }
    if row.recovery == Recovery::Soon {
        let good = network.good_requests();
        wait_until("polls go on", || network.good_requests() >= good + 3 * round);
    }
    program.signal(Signal::INT);
    let end = program.wait_for_exit();
    assert_eq!(end.code, Some(130), "{}: {}", row.fault, end.err);
    assert_no_false_events(row, &end.out);
    let hits = network.requests();
    request_budget::assert_within_budget(row, &hits);
    seen.request_counts = request_budget::count_requests(row, &hits);
    seen
}

/// Ends what is wrong and waits for the program to say so, or holds that it waits as long as it says.
fn recover(
    row: &Row,
    network: &TestNetwork,
    program: &mut PipedProgram,
    line: &str,
    began: Instant,
) -> Option<Duration> {
    let line: Value = serde_json::from_str(line).unwrap();
    let next = line["next_try_s"].as_f64().unwrap_or(f64::MAX);
    match row.recovery {
        Recovery::Soon => {
            // A connection that fell silent is never well again: that is found out while new ones would be.
            let silent = matches!((row.behaviour)(), Behaviour::StopsResponding).then_some(began);
            let healed = silent.unwrap_or_else(|| network.recover());
            program.wait_for_line(if row.is_not_found() { "\"found_again\"" } else { "\"polls_recovered\"" });
            let back = now().duration_since(healed);
            assert!(back <= request_budget::max_recovery_time(row), "{}: it took {back:?}", row.fault);
            Some(back)
        }
        Recovery::After(seconds) => {
            // A busy machine counts from a moment later.
            assert!((seconds - 1.0..seconds + 1.0).contains(&next), "{}: {line}", row.fault);
            let asked = network.requests().len();
            program.assert_silent_for(SILENCE);
            assert_eq!(network.requests().len(), asked, "{}: asked again", row.fault);
            None
        }
        Recovery::Never => {
            // At most 2 s after the first failure, and a moment more on a busy machine; at least 3 s after the second.
            assert!(next < 3.0, "{}: {line}", row.fault);
            program.assert_silent_for(SILENCE); // the same again and again is told once
            assert_eq!(network.connections(), 0);
            None
        }
    }
}

/// The fault's own sentence in a line: without what fails by it, when the next try is, and the ports of this run.
fn sentence(line: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap();
    let said = line["sentence"].as_str().unwrap().split("; next try in ").next().unwrap();
    let why = said.split_once(" fail: ").filter(|(what, _)| what.starts_with("polls")).map(|(_, why)| why);
    let portless = |part: &str| {
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit());
        if part.len() - rest.len() < 4 { part.to_owned() } else { format!("PORT{rest}") }
    };
    why.unwrap_or(said).split(':').map(portless).collect::<Vec<_>>().join(":")
}

/// Nothing is said of a session but what a server said of it, and of the polls nothing but what the row is about.
fn assert_no_false_events(row: &Row, out: &str) {
    for line in out.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let sentence = event["sentence"].as_str().unwrap();
        // A request under way is cut when the server, or the tunnel of the proxy, changes to the fault.
        let ends_requests = ends_connections(&(row.behaviour)()) || row.route == Route::FailingProxy;
        let closed = sentence.contains(CLOSED) && ends_requests;
        let fine = match event["event"].as_str().unwrap() {
            "first_seen" | "polls_recovered" => true,
            "polls_failing" | "rate_limited" => {
                sentence.contains(row.message) && !row.message.is_empty() || closed
            }
            "not_found" => row.is_not_found() && sentence.contains(row.message),
            "found_again" => row.is_not_found(),
            _ => false,
        };
        assert!(fine, "{}: {line}", row.fault);
    }
    let seen = out.matches("\"first_seen\"").count();
    let watched = row.session_count();
    assert!(seen == watched || row.recovery == Recovery::Never, "{}: each is seen once\n{out}", row.fault);
}
