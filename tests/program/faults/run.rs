//! One row of the matrix, with the whole program: all is well, then it is not, then it is again.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::connection::ends_connections;
use super::place::{Place, Way};
use super::play::Play;
use super::rows::{self, Back, Row};
use super::share;
use crate::harness::{KEY, now, wait_until};
use crate::piped::Headless;

/// For how long nothing is to come where the next try is a minute away or more.
const SILENCE: Duration = Duration::from_secs(4);
/// A connection on which two requests went out at the same moment as it was closed says so before what comes next does.
const CLOSED: &str = "the connection was cut";

/// What was seen of a row.
pub(crate) struct Seen {
    /// What the program said, without the time of the next try; `None` if it said nothing.
    pub(crate) sentence: Option<String>,
    /// From the end of what was wrong until the program said that all was well.
    pub(crate) back: Option<Duration>,
    /// From the first request that was spoilt to the first that was not: requests, and how many a healthy server would
    /// have had meanwhile.
    pub(crate) spent: Option<(usize, usize)>,
}

/// Plays a row, and holds what holds for all of them.
pub(crate) fn run(row: &Row) -> Seen {
    let first = if row.from_start { (row.play)() } else { Play::Good };
    let place = Place::new(row.way, first);
    let args: Vec<&str> = ["events", "-i", "1s"].iter().chain(row.asks.ids()).copied().collect();
    // A name that no resolver takes is one that TLS does not take either.
    let insecure = row.way == Way::Nowhere(rows::NAMELESS);
    let args = [&args[..], if insecure { &["--insecure-http"] } else { &[] }].concat();
    let mut program = Headless::at(&place.url, &args, KEY, &place.env);
    let round = row.asks.ids().len().max(1);
    if !row.from_start {
        (0..row.watched()).for_each(|_| _ = program.line("\"first_seen\""));
        wait_until("healthy polls", || place.good() >= 2 * round);
        place.play((row.play)());
    }
    let began = now();
    let mut seen = Seen { sentence: None, back: None, spent: None };
    if row.says.is_empty() {
        wait_until("replies that are odd and good", || place.spoilt() >= row.lasts);
        wait_until("six rounds", || place.good() + place.spoilt() >= 6 * round);
        place.heal();
    } else {
        let line = program.line(row.says);
        seen.sentence = Some(sentence(&line));
        wait_until("it fails as often", || place.spoilt() >= row.lasts);
        seen.back = recover(row, &place, &mut program, &line, began);
    }
    if row.back == Back::Soon {
        let good = place.good();
        wait_until("polls go on", || place.good() >= good + 3 * round);
    }
    program.signal(Signal::INT);
    let end = program.over();
    assert_eq!(end.code, Some(130), "{}: {}", row.fault, end.err);
    only_the_truth(row, &end.out);
    let hits = place.hits();
    share::holds(row, &hits);
    seen.spent = share::spent(row, &hits);
    seen
}

/// Ends what is wrong and waits for the program to say so, or holds that it waits as long as it says.
fn recover(row: &Row, place: &Place, program: &mut Headless, line: &str, began: Instant) -> Option<Duration> {
    let line: Value = serde_json::from_str(line).unwrap();
    let next = line["next_try_s"].as_f64().unwrap_or(f64::MAX);
    match row.back {
        Back::Soon => {
            // A connection that fell silent is never well again: that is found out while new ones would be.
            let silent = matches!((row.play)(), Play::FallsSilent).then_some(began);
            let healed = silent.unwrap_or_else(|| place.heal());
            program.line(if row.is_absence() { "\"found_again\"" } else { "\"polls_recovered\"" });
            let back = now().duration_since(healed);
            assert!(back <= share::longest(row), "{}: it took {back:?}", row.fault);
            Some(back)
        }
        Back::After(seconds) => {
            // A busy machine counts from a moment later.
            assert!((seconds - 1.0..seconds + 1.0).contains(&next), "{}: {line}", row.fault);
            let asked = place.hits().len();
            program.assert_silent_for(SILENCE);
            assert_eq!(place.hits().len(), asked, "{}: asked again", row.fault);
            None
        }
        Back::Never => {
            // At most 2 s after the first failure, and a moment more on a busy machine; at least 3 s after the second.
            assert!(next < 3.0, "{}: {line}", row.fault);
            program.assert_silent_for(SILENCE); // the same again and again is told once
            assert_eq!(place.connections(), 0);
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
fn only_the_truth(row: &Row, out: &str) {
    for line in out.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let sentence = event["sentence"].as_str().unwrap();
        // A request under way is cut when the server, or the tunnel of the proxy, changes to the fault.
        let ends_requests = ends_connections(&(row.play)()) || row.way == Way::Proxy;
        let closed = sentence.contains(CLOSED) && ends_requests;
        let fine = match event["event"].as_str().unwrap() {
            "first_seen" | "polls_recovered" => true,
            "polls_failing" | "rate_limited" => sentence.contains(row.says) && !row.says.is_empty() || closed,
            "not_found" => row.is_absence() && sentence.contains(row.says),
            "found_again" => row.is_absence(),
            _ => false,
        };
        assert!(fine, "{}: {line}", row.fault);
    }
    let seen = out.matches("\"first_seen\"").count();
    let watched = row.watched();
    assert!(seen == watched || row.back == Back::Never, "{}: each is seen once\n{out}", row.fault);
}
