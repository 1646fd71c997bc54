//! The soak test: the whole program on a terminal watches a thousand sessions of the scenario `chaos`, with faults of
//! every kind. Meanwhile the test sends keystrokes, resizes the terminal and releases sessions as another client.
//! Afterwards the checker compares the journal with the simulator's ground truth. The test also compares the program's
//! memory, threads, sockets and files with their limits.
//!
//! ```text
//!   chaos ──► simulator ◄──── keepwatch on a pty ◄── keystrokes, sizes  another client ──► releases
//!                │                  │
//!      truth, requests          journal ──► keepwatch history --json
//!                └───────┬──────────┘
//!                     Checker       lost sessions, wrong verdicts, gaps between polls; `alerts` replays the recording
//! ```
//!
//! The ordinary test takes a minute. The long one takes half an hour, or the duration in `KEEPWATCH_SOAK`, and also
//! checks that memory stays flat:
//!
//! ```text
//! cargo test --release --locked --test program -- --ignored --nocapture soak
//! ```

mod alerts;
mod allowed_verdicts;
mod checks;
mod resources;
mod tasks;

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use browserbase_simulator::{Offset, Scenario, TruthEvent, TruthEventKind, Window, chaos};
use serde_json::Value;

use crate::harness::{KEY, PROGRAM, TEST_TIMEOUT, Terminal, TestSimulator, clean_env, output, wait_for_time};
use alerts::{AlertFindings, check_alerts};
use checks::{Checker, Findings, RequestLog};
use resources::{Measurement, ResourceHistory};

/// Number of sessions that live at the same time.
const LIVE_SESSIONS: usize = 1000;
/// Poll interval of the program.
const INTERVAL: Duration = Duration::from_secs(2);
/// Time after which all bounded collections are full, so that memory must stay flat.
const WARM_UP: Duration = Duration::from_secs(12 * 60);
/// Minimum duration of the long soak: the warm-up, then as much time again to measure the growth of memory.
const MIN_LONG_SOAK: Duration = Duration::from_secs(24 * 60);

/// Limits of the program's resources.
const RESOURCE_LIMITS: resources::ResourceLimits =
    resources::ResourceLimits { threads: 16, sockets: 16, files: 24, rss_kb: 64_000 };
/// Maximum growth of memory after [`WARM_UP`], in kB a minute. The smallest heap allocation takes 32 bytes. A leak of
/// one allocation for each session and poll would be 937 kB a minute.
const MAX_GROWTH: f64 = 300.0;

/// Maximum number of requests in flight: four polls, four more that the keystroke `r` sends, and one of the other
/// client.
const MAX_IN_FLIGHT: u64 = 4 + 4 + 1;

/// Keystrokes. The test sends one random element of this array at a time.
const KEYSTROKES: [&str; 24] = [
    "j",
    "k",
    "jjj",
    "G",
    "g",
    "\x1b[6~",
    "\x1b[5~",
    "\r",
    "\t",
    "\x1b",
    "s",
    "S",
    "f",
    "e",
    "A",
    "?",
    "!",
    "H",
    "m",
    "M",
    "r",
    "\x0c",
    "/status:error\r",
    "/owner:nightly !keep:yes\r",
];
/// Terminal sizes, as columns and rows.
const SIZES: [(u16, u16); 6] = [(120, 40), (80, 24), (60, 20), (30, 10), (200, 60), (9, 3)];

#[test]
fn minute_of_chaos_loses_no_session() {
    // With the start and the final polls, the test takes about a minute.
    let result = soak(Duration::from_secs(45));
    println!("\n{result}");
    result.assert_passed(None);
}

#[test]
#[ignore = "takes half an hour, or the duration in KEEPWATCH_SOAK"]
fn half_hour_of_chaos_keeps_memory_flat() {
    let length = std::env::var("KEEPWATCH_SOAK").ok();
    let length = length.map_or(Duration::from_secs(30 * 60), |it| humantime::parse_duration(&it).unwrap());
    assert!(length >= MIN_LONG_SOAK, "the soak takes at least {MIN_LONG_SOAK:?}, to show how memory grows");
    let result = soak(length);
    println!("\n{result}");
    result.assert_passed(Some(WARM_UP));
}

/// Measurements and findings of a soak.
struct SoakResult {
    resources: ResourceHistory,
    findings: Findings,
    alerts: AlertFindings,
    /// Maximum number of requests that were in flight at the same time.
    max_in_flight: u64,
}

impl SoakResult {
    /// Asserts that no session is lost, no verdict is wrong, and all resources are within their limits. If `warm_up` is
    /// given, also asserts that memory grows by at most [`MAX_GROWTH`] after that time.
    fn assert_passed(&self, warm_up: Option<Duration>) {
        let problems = &self.findings.problems;
        assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
        let problems = &self.alerts.problems;
        assert!(problems.is_empty(), "{} alerts against the rule:\n{}", problems.len(), problems.join("\n"));
        let count = self.max_in_flight;
        assert!(count <= MAX_IN_FLIGHT, "at most {MAX_IN_FLIGHT} requests are in flight, not {count}");
        self.resources.assert_within(&RESOURCE_LIMITS, warm_up.map(|warm_up| (warm_up, MAX_GROWTH)));
    }
}

impl fmt::Display for SoakResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { findings, alerts, max_in_flight, .. } = self;
        writeln!(f, "{findings}{alerts}  at most {max_in_flight} requests in flight")
    }
}

fn soak(length: Duration) -> SoakResult {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.sqlite");
    let scenario = soak_scenario(length);
    let api = TestSimulator::start(scenario.clone());
    let interval = format!("{}s", INTERVAL.as_secs());
    let recording = folder.path().join("run.ndjson");
    let args = ["-i", &interval, "--max-rps", "10", "--read-only", "--record", recording.to_str().unwrap()];
    let env = [("KEEPWATCH_JOURNAL", journal.to_str().unwrap())];
    let mut terminal = Terminal::keepwatch(&api, &args, &env, 120, 40);
    let (mut resources, mut requests) = (ResourceHistory::default(), RequestLog::new(&scenario));
    disturb(&mut terminal, &api, length, &mut resources, &mut requests);
    print_resources(&resources);

    api.control.clear_faults();
    let faults_ended = api.control.now();
    let checker =
        Checker::new(&api.control.ground_truth(unlimited_window()), &scenario, INTERVAL, faults_ended);
    // Leave any popup or text field. Wait after each Esc, because an Esc right before another keystroke counts as Alt.
    for _ in 0..4 {
        terminal.press("\x1b");
        wait_for_time(&api, api.control.now().plus(Offset::from_duration(Duration::from_millis(150))));
    }
    // `r` sends the polls that wait for a retry delay. It also ends a pause: if the filter `!keep:yes` was typed while
    // no text field was open, its `p` has paused polling. Send `r` twice, because on a busy machine the last Esc and
    // the first `r` may count as Alt-r.
    terminal.press("rr");
    wait_for_final_polls(&terminal, &api, &mut requests, &checker);
    assert!(!String::from_utf8_lossy(&terminal.raw()).contains("panicked at"), "{}", terminal.screen());
    terminal.press("q");
    let status = terminal.wait_for_restored_exit();
    assert_eq!(status.exit_code(), 0, "{}", terminal.screen());

    let quit = api.control.now();
    let history = history(&journal);
    // The truth has grown since the first checker got it.
    let checker =
        Checker::new(&api.control.ground_truth(unlimited_window()), &scenario, INTERVAL, faults_ended);
    let findings = checker.check(&history, &requests, quit);
    assert!(recording.metadata().unwrap().len() > 100_000, "the recording is too short");
    let alerts = check_alerts(&recording, &api.control.ground_truth(unlimited_window()));
    SoakResult { resources, findings, alerts, max_in_flight: api.counts().max_in_flight }
}

/// Prints the measurements. The caller does so before any check, because a failing check ends the soak.
#[expect(clippy::print_stdout, reason = "the figures are the purpose of a soak")]
fn print_resources(resources: &ResourceHistory) {
    println!("\n{resources}");
}

/// Returns the chaos scenario without the sessions that appear after the soak.
fn soak_scenario(length: Duration) -> Scenario {
    let mut scenario = chaos::scenario(chaos::DEFAULT_SEED, LIVE_SESSIONS);
    let end = Offset::from_duration(length + 4 * TEST_TIMEOUT);
    scenario.sessions.retain(|session| session.appears < end);
    scenario
}

/// Returns a window without limits.
fn unlimited_window() -> Window {
    Window { from: Offset::from_micros(i64::MIN), to: Offset::NEVER }
}

/// Sends keystrokes, resizes the terminal, releases sessions and measures resources, for `length`.
fn disturb(
    terminal: &mut Terminal,
    api: &TestSimulator,
    length: Duration,
    resources: &mut ResourceHistory,
    requests: &mut RequestLog,
) {
    let mut rng = fastrand::Rng::with_seed(6);
    let end = Offset::from_duration(length);
    for step in 1_u32.. {
        wait_for_time(api, Offset::from_duration(Duration::from_millis(700) * step).min(end));
        if end <= api.control.now() {
            return;
        }
        terminal.press(KEYSTROKES[rng.usize(..KEYSTROKES.len())]);
        if rng.u8(0..8) == 0 {
            let (columns, rows) = SIZES[rng.usize(..SIZES.len())];
            terminal.resize(columns, rows);
        }
        if step % 4 == 0 {
            requests.add(api.log());
            resources.add(api.control.now(), Measurement::read(terminal.pid()));
            assert!(terminal.is_running(), "{}", terminal.screen());
        }
        if step % 7 == 0 {
            release(api, &mut rng);
        }
    }
}

/// Releases a recent session, as another client with the same API key would. A fault may prevent the release.
fn release(api: &TestSimulator, rng: &mut fastrand::Rng) {
    let now = api.control.now();
    // The last four minutes, in microseconds.
    let recent = Window { from: now.plus(Offset::from_micros(-240_000_000)), to: now };
    let events: Vec<TruthEvent> = api.control.ground_truth(recent);
    let appeared: Vec<&TruthEvent> =
        events.iter().filter(|event| matches!(event.kind, TruthEventKind::Appeared { .. })).collect();
    let Some(event) = rng.choice(&appeared) else { return };
    let address = api.url.trim_start_matches("http://");
    let body = r#"{"status":"REQUEST_RELEASE"}"#;
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let request = format!(
        "POST /v1/sessions/{} HTTP/1.1\r\nHost: {address}\r\nX-BB-API-Key: {KEY}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        event.id,
        body.len()
    );
    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut Vec::new()));
}

/// Waits until the program has polled each session that it had seen and that ended before the faults were cleared.
fn wait_for_final_polls(
    terminal: &Terminal,
    api: &TestSimulator,
    requests: &mut RequestLog,
    checker: &Checker,
) {
    let end = api.control.now().plus(Offset::from_duration(2 * TEST_TIMEOUT));
    loop {
        requests.add(api.log());
        let unpolled = checker.unpolled_ends(requests);
        if unpolled.is_empty() {
            // The last responses still have to reach the program, and then the journal.
            return wait_for_time(api, api.control.now().plus(Offset::from_duration(2 * INTERVAL)));
        }
        assert!(
            api.control.now() < end,
            "every session is polled after its end, but {} were not, among them {}\n{}",
            unpolled.len(),
            checker.describe_session(unpolled[0], requests),
            terminal.screen()
        );
        thread::park_timeout(Duration::from_secs(1));
    }
}

/// Returns the sessions in the program's journal, as `keepwatch history --json` prints them.
fn history(journal: &Path) -> Vec<Value> {
    let output = output(
        Command::new(PROGRAM)
            .args(["history", "--json", "--since", "30d"])
            .env_clear()
            .envs(clean_env())
            .env("KEEPWATCH_JOURNAL", journal),
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let history: Value = serde_json::from_slice(&output.stdout).unwrap();
    history["sessions"].as_array().unwrap().clone()
}
