//! Runs one row with the whole program: a healthy network, then the fault, then a healthy network again.

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

/// If the program is silent for this long, it is waiting, not retrying early.
const SILENCE: Duration = Duration::from_secs(4);
/// Error of a request that was in flight when the server closed the connection. It may precede the row's own error.
const CLOSED: &str = "the connection was cut";

/// Observations of one row.
pub(crate) struct RowResult {
    /// Error that the program reported, without the time of the next try. `None` if it reported nothing.
    pub(crate) message: Option<String>,
    /// Time from the end of the fault to the program's report that polls succeed.
    pub(crate) recovery_time: Option<Duration>,
    /// The number of requests, and the number that a healthy server would have got in the same time. See
    /// [`request_budget::count_requests`].
    pub(crate) request_counts: Option<(usize, usize)>,
}

/// Runs a row, and checks the properties that all rows share.
pub(crate) fn run(row: &Row) -> RowResult {
    let first_behaviour = if row.from_start { (row.behaviour)() } else { Behaviour::Normal };
    let network = TestNetwork::new(row.route, first_behaviour);
    let args: Vec<&str> = ["events", "-i", "1s"].iter().chain(row.target.ids()).copied().collect();
    // TLS would reject the unresolvable name first, so this row uses plain HTTP, which needs an option.
    let insecure = row.route == Route::Unreachable(rows::UNRESOLVABLE_URL);
    let args = [&args[..], if insecure { &["--insecure-http"] } else { &[] }].concat();
    let mut program = PipedProgram::start_at(&network.url, &args, KEY, &network.env);
    let min_requests_per_round = row.target.ids().len().max(1);
    if !row.from_start {
        (0..row.session_count()).for_each(|_| _ = program.wait_for_line("\"first_seen\""));
        wait_until("healthy polls", || network.good_requests() >= 2 * min_requests_per_round);
        network.set_behaviour((row.behaviour)());
    }
    let fault_start = now();
    let mut result = RowResult { message: None, recovery_time: None, request_counts: None };
    if row.message.is_empty() {
        wait_until("odd but valid responses", || network.faulty_requests() >= row.failures);
        wait_until("six rounds of polls", || {
            network.good_requests() + network.faulty_requests() >= 6 * min_requests_per_round
        });
        network.recover();
    } else {
        let line = program.wait_for_line(row.message);
        result.message = Some(normalised_error(&line));
        wait_until("as many failures as the row has", || network.faulty_requests() >= row.failures);
        result.recovery_time = recover(row, &network, &mut program, &line, fault_start);
    }
    if row.recovery == Recovery::Soon {
        let good_before = network.good_requests();
        wait_until("more good polls", || network.good_requests() >= good_before + 3 * min_requests_per_round);
    }
    program.signal(Signal::INT);
    let output = program.wait_for_exit();
    assert_eq!(output.code, Some(130), "{}: {}", row.fault, output.err);
    assert_no_false_events(row, &output.out);
    let requests = network.requests();
    request_budget::assert_within_budget(row, &requests);
    result.request_counts = request_budget::count_requests(row, &requests);
    result
}

/// Ends the fault and returns the time until the program reports the recovery. If the row recovers late,
/// asserts that the program does not retry early. If the row never recovers, asserts that the program reports the error
/// only once. `line` is the event that reported the error.
fn recover(
    row: &Row,
    network: &TestNetwork,
    program: &mut PipedProgram,
    line: &str,
    fault_start: Instant,
) -> Option<Duration> {
    let failure: Value = serde_json::from_str(line).unwrap();
    let retry_delay = failure["next_try_s"].as_f64().unwrap_or(f64::MAX);
    match row.recovery {
        Recovery::Soon => {
            // A silent connection never recovers, but new connections work from the start of the fault.
            let fault_end = match (row.behaviour)() {
                Behaviour::StopsResponding => fault_start,
                _ => network.recover(),
            };
            program.wait_for_line(if row.is_not_found() { "\"found_again\"" } else { "\"polls_recovered\"" });
            let time = now().duration_since(fault_end);
            let max_time = request_budget::max_recovery_time(row);
            assert!(time <= max_time, "{}: recovers within {max_time:?}, not {time:?}", row.fault);
            Some(time)
        }
        Recovery::After(seconds) => {
            // On a busy machine, part of the delay may have passed before the event was written, so `next_try_s` may be
            // smaller.
            assert!((seconds - 1.0..seconds + 1.0).contains(&retry_delay), "{}: {failure}", row.fault);
            let count = network.requests().len();
            program.assert_silent_for(SILENCE);
            assert_eq!(network.requests().len(), count, "{}: the program does not retry early", row.fault);
            None
        }
        Recovery::Never => {
            // A delay below 3 s shows that this is the first report: the first delay is 2 s, plus a little on a busy
            // machine; the second is at least 3 s.
            assert!(retry_delay < 3.0, "{}: {failure}", row.fault);
            program.assert_silent_for(SILENCE); // a repeated error is reported once
            assert_eq!(network.connections(), 0);
            None
        }
    }
}

/// Returns the error in an event line, without the names of the failing polls and the time of the next try, and with
/// placeholders for ports and the test's folder.
fn normalised_error(line: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap();
    let sentence = line["sentence"].as_str().unwrap().split("; next try in ").next().unwrap();
    let error = sentence
        .split_once(" fail: ")
        .filter(|(polls, _)| polls.starts_with("polls"))
        .map(|(_, error)| error);
    // A number of at least four digits after a colon is a port.
    let portless = |part: &str| {
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit());
        if part.len() - rest.len() < 4 { part.to_owned() } else { format!("PORT{rest}") }
    };
    let sentence = error.unwrap_or(sentence).split(':').map(portless).collect::<Vec<_>>().join(":");
    match (sentence.find("=/"), sentence.find("/store.pem")) {
        (Some(start), Some(end)) => format!("{}=FOLDER{}", &sentence[..start], &sentence[end..]),
        _ => sentence,
    }
}

/// Asserts that the program reports only the row's failure, and only those session events that the row explains.
fn assert_no_false_events(row: &Row, out: &str) {
    for line in out.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let sentence = event["sentence"].as_str().unwrap();
        // The start of the fault in the server or proxy cuts requests in flight.
        let ends_requests = ends_connections(&(row.behaviour)()) || row.route == Route::FailingProxy;
        let is_cut_off = sentence.contains(CLOSED) && ends_requests;
        let is_expected = match event["event"].as_str().unwrap() {
            "first_seen" | "polls_recovered" => true,
            "polls_failing" | "rate_limited" => {
                sentence.contains(row.message) && !row.message.is_empty() || is_cut_off
            }
            "not_found" => row.is_not_found() && sentence.contains(row.message),
            "found_again" => row.is_not_found(),
            _ => false,
        };
        assert!(is_expected, "{}: {line}", row.fault);
    }
    let seen = out.matches("\"first_seen\"").count();
    let watched = row.session_count();
    assert!(
        seen == watched || row.recovery == Recovery::Never,
        "{}: the program sees {watched} sessions, not {seen}\n{out}",
        row.fault
    );
}
