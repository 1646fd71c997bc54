//! Runs the program for ten minutes behind nginx, HAProxy and Caddy, each as a reverse proxy in front of a simulator.
//! The servers close idle connections at about the moment at which the program sends its next request, which is normal
//! for a healthy server. The program must report no failure, and all polls must arrive.
//!
//! ```text
//!   keepwatch events            (lists) ──┐
//!   keepwatch events ID ID ID ID (each) ──┼──► nginx, HAProxy or Caddy ──► simulator     one row of the test
//!   or keepwatch on a terminal  (lists) ──┘        closes connections       request log
//! ```
//!
//! The test is ignored by default, because it takes ten minutes and needs the servers. It skips those that are not
//! installed. `KEEPWATCH_SOAK=1m` shortens it:
//!
//! ```text
//! cargo test --locked --test program -- --ignored --nocapture reverse_proxies::
//! ```

#![expect(clippy::print_stdout, reason = "the figures show how often the servers closed a connection")]

mod server;

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use browserbase_simulator::Offset;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{KEY, PROGRAM, Terminal, TestSimulator, is_installed, wait_for_time};
use crate::piped_program::PipedProgram;
use server::{Protocol, ReverseProxy, ServerCounts, ServerProgram, ServerSettings};

/// Poll interval of the program, as its argument and as a duration.
const INTERVAL: (&str, Duration) = ("1s", Duration::from_secs(1));
/// Arguments of every program. The request limit is so high that it never delays a poll.
const ARGUMENTS: [&str; 4] = ["--interval", INTERVAL.0, "--max-rps", "10"];
/// Number of intervals between polls of the list of pending sessions.
const PENDING_ROUNDS: f64 = 3.0;
/// Share of the expected polls that must arrive. On a busy machine a poll may be late, and then the next is skipped.
const MIN_SHARE: f64 = 0.9;
/// Default length of the test.
const LENGTH: Duration = Duration::from_secs(10 * 60);
/// Shortest length in which the servers close enough connections.
const MIN_LENGTH: Duration = Duration::from_secs(60);
/// Longest length whose requests fit into the simulator's log.
const MAX_LENGTH: Duration = Duration::from_secs(30 * 60);
/// Maximum number of connections of a row to a server that never closes one: each of two programs has at most four
/// requests in flight. More connections show that the server closed some.
const MAX_KEPT_CONNECTIONS: usize = 2 * 4;

const IDS: [&str; 4] = ["first", "second", "third", "fourth"];

/// Returns a scenario whose sessions run for longer than the test.
fn scenario() -> String {
    let session = |id: &&str| {
        format!("[[session]]\nid = \"{id}\"\ncreated = \"-2m\"\ntimeout = \"6h\"\nkeep_alive = true\n")
    };
    IDS.iter().map(session).collect()
}

/// The programs that watch behind one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watchers {
    /// `keepwatch events` twice: with lists, and with the ids of four sessions, which are polled at the same time.
    Events,
    /// The screen, with lists.
    Screen,
}

/// One server with its settings, and the programs behind it.
struct Row {
    settings: ServerSettings,
    watchers: Watchers,
    /// True if the settings make the server close connections within the shortest length.
    closes: bool,
}

/// Returns all rows. An idle timeout is either the poll interval, so that the server and the program act at the same
/// time, or a moment less.
fn rows() -> Vec<Row> {
    use Protocol::{Http1, Http1OverTls, Http2OverTls};
    use ServerProgram::{Caddy, Haproxy, Nginx};
    let closing = [
        (Nginx, Http1, "keepalive_timeout 1000ms;"),
        (Nginx, Http1, "keepalive_timeout 998ms;"),
        (Nginx, Http1, "keepalive_requests 2;"),
        (Nginx, Http1OverTls, "keepalive_timeout 998ms;"),
        (Nginx, Http2OverTls, "keepalive_timeout 998ms;"),
        (Nginx, Http2OverTls, "keepalive_requests 2;"),
        (Haproxy, Http1, "timeout http-keep-alive 1000ms\ntimeout http-request 1000ms"),
        (Haproxy, Http1, "timeout http-keep-alive 998ms\ntimeout http-request 998ms"),
        // Without `http-keep-alive`, this timeout applies to idle connections, too.
        (Haproxy, Http1, "timeout http-request 1000ms"),
        (Caddy, Http1, "idle 1000ms"),
        (Caddy, Http1, "idle 998ms"),
        (Caddy, Http2OverTls, "idle 998ms"),
    ];
    let defaults = [(Nginx, Http1, ""), (Caddy, Http1, ""), (Caddy, Http2OverTls, "")];
    let row = |watchers, closes| {
        move |(program, protocol, closing)| {
            let settings = ServerSettings { program, protocol, closing };
            Row { settings, watchers, closes }
        }
    };
    let screen = closing.into_iter().take(1).map(row(Watchers::Screen, false));
    let closing = closing.into_iter().map(row(Watchers::Events, true));
    closing.chain(defaults.into_iter().map(row(Watchers::Events, false))).chain(screen).collect()
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let screen = if self.watchers == Watchers::Screen { ", the screen" } else { "" };
        write!(f, "{}{screen}", self.settings)
    }
}

/// Requests of one row that reached the simulator.
struct Polls {
    total: usize,
    /// Longest time between two polls of the same list or session, except the list of pending sessions.
    longest_gap: Duration,
}

#[test]
#[ignore = "needs nginx, HAProxy and Caddy, and takes ten minutes, or the duration in KEEPWATCH_SOAK"]
fn healthy_reverse_proxies_cause_no_failure() {
    let length = std::env::var("KEEPWATCH_SOAK").ok();
    let length = length.map_or(LENGTH, |it| humantime::parse_duration(&it).unwrap());
    assert!((MIN_LENGTH..=MAX_LENGTH).contains(&length), "the test takes {MIN_LENGTH:?} to {MAX_LENGTH:?}");
    let installed: Vec<ServerProgram> = ServerProgram::ALL
        .into_iter()
        .filter(|program| {
            let (name, version) = program.version_command();
            is_installed(Command::new(name).arg(version).env("PATH", server::path_with_sbin()))
        })
        .collect();
    let rows: Vec<Row> = rows().into_iter().filter(|row| installed.contains(&row.settings.program)).collect();
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = rows.iter().map(|row| scope.spawn(|| run(row, length))).collect();
        threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let failed = rows.iter().zip(&results).filter(|(_, result)| result.is_err());
    let failed: Vec<String> = failed.map(|(row, _)| row.to_string()).collect();
    assert!(failed.is_empty(), "{} rows failed:\n{}", failed.len(), failed.join("\n"));
}

/// Runs the programs of `row` for `length`. Asserts that they report no failure, and that all polls arrive.
fn run(row: &Row, length: Duration) {
    let api = TestSimulator::serve(&scenario());
    let server = ReverseProxy::start(row.settings, &api.url);
    match row.watchers {
        Watchers::Events => watch_events(row, &server, &api, length),
        Watchers::Screen => watch_screen(row, &server, &api, length),
    }
    let (polls, counts) = (check_polls(row, &api, length), server.count_requests());
    let ServerCounts { successful, connections, timed_out } = counts;
    println!(
        "  {row}: {} polls, at most {:.1} s apart; {successful} requests on {connections} connections, {timed_out} × 408",
        polls.total,
        polls.longest_gap.as_secs_f64(),
    );
    assert!(!row.closes || connections > MAX_KEPT_CONNECTIONS, "{row}: {counts:?}\n{}", server.output());
}

/// Watches with `keepwatch events` for `length`. Asserts that no event is about polls.
fn watch_events(row: &Row, server: &ReverseProxy, api: &TestSimulator, length: Duration) {
    let start = |ids: &[&str]| {
        let args = [&["events"], &ARGUMENTS[..], ids].concat();
        PipedProgram::start_at(&server.url, &args, KEY, &server.certificate_env())
    };
    let programs = [start(&[]), start(&IDS)];
    wait_for_time(api, Offset::from_duration(length));
    programs.iter().for_each(|program| program.signal(Signal::INT));
    for program in programs {
        let output = program.finish(api);
        assert_eq!(output.code, Some(130), "{row}: {}", output.err);
        assert_eq!(output.out.matches("\"first_seen\"").count(), IDS.len(), "{row}:\n{}", output.out);
        for line in output.out.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            // The machine may sleep, and its clock may be set.
            let is_expected = ["first_seen", "slept", "clock_set", "api_clock_set"]
                .contains(&event["event"].as_str().unwrap());
            assert!(is_expected, "{row}: {line}");
        }
    }
}

/// Watches on the screen for `length`. Asserts that neither the log nor the screen has a failed request.
fn watch_screen(row: &Row, server: &ReverseProxy, api: &TestSimulator, length: Duration) {
    let log = server.file("keepwatch.log");
    let env = [("BROWSERBASE_BASE_URL", server.url.as_str()), ("BROWSERBASE_API_KEY", KEY)];
    let command = [&[PROGRAM, "--log", &log], &ARGUMENTS[..]].concat();
    let mut terminal = Terminal::start(&command, &env, 120, 40);
    terminal.wait_for("RUNNING");
    wait_for_time(api, Offset::from_duration(length));
    let screen = terminal.screen();
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0, "{row}: {screen}");
    assert!(screen.contains("RUNNING") && !screen.contains("polls "), "{row}:\n{screen}");
    let log = std::fs::read_to_string(log).unwrap();
    let (failed, successful): (Vec<&str>, Vec<&str>) =
        log.lines().filter(|line| line.contains("/v1/sessions")).partition(|line| !line.contains(": 200, "));
    assert!(failed.is_empty() && !successful.is_empty(), "{row}:\n{}", failed.join("\n"));
}

/// Asserts that each list and session was polled once an interval until `length`: neither less nor more often.
fn check_polls(row: &Row, api: &TestSimulator, length: Duration) -> Polls {
    let mut times: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    let log = api.log();
    for request in log.iter().filter(|request| request.path.starts_with("/v1/sessions")) {
        if request.at < length {
            times.entry(format!("{}?{}", request.path, request.query)).or_default().push(request.at);
        }
    }
    let target_count = if row.watchers == Watchers::Events { 2 + IDS.len() } else { 2 };
    assert_eq!(times.len(), target_count, "{row}: {:?}", times.keys());
    let mut polls = Polls { total: 0, longest_gap: Duration::ZERO };
    for (target, times) in &times {
        let is_pending = target.ends_with("status=PENDING");
        let rounds = (length - times[0]).as_secs_f64() / INTERVAL.1.as_secs_f64();
        let expected = if is_pending { rounds / PENDING_ROUNDS } else { rounds };
        let count = f64::from(u32::try_from(times.len()).unwrap());
        // There is one poll more than intervals. If the first poll was late, the time after it has room for another.
        let range = MIN_SHARE * expected..=expected + 2.0;
        assert!(range.contains(&count), "{row}: {count} polls of {target}, expected {range:?}");
        polls.total += times.len();
        if !is_pending {
            let gaps = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
            polls.longest_gap = polls.longest_gap.max(gaps.max().unwrap_or_default());
        }
    }
    polls
}
