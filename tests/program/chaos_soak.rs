//! The soak: the whole program on a terminal, watching a thousand sessions of the scenario `chaos`, with faults of every kind,
//! while keys are pressed, the terminal is resized and another client releases sessions. Then it is held against what really
//! happened, and against how much memory, how many threads, sockets and files it may take.
//!
//! ```text
//!   chaos ──► simulator ◄──── keepwatch on a pty ◄── keys, sizes        another client ──► releases
//!                │                  │
//!      truth, requests          journal ──► keepwatch history --json
//!                └───────┬──────────┘
//!                      judge       lost sessions, verdicts that the truth does not allow, gaps in the asking
//! ```
//!
//! The ordinary test takes a minute. The long one takes half an hour, or as long as `KEEPWATCH_SOAK` says, and then memory has
//! to be flat, too:
//!
//! ```text
//! cargo test --release --locked --test program -- --ignored --nocapture soak
//! ```

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

use crate::harness::{KEY, PROGRAM, TEST_TIMEOUT, Terminal, TestSimulator, clean_env, output};
use checks::{Checker, Findings, RequestLog};
use resources::{Measurement, ResourceHistory};

/// So many sessions live at a time.
const LIVING: usize = 1000;
const INTERVAL: Duration = Duration::from_secs(2);
/// How long it takes until all that fills up has done so, and memory has to be flat: half of the time, but not longer.
const WARM: Duration = Duration::from_secs(12 * 60);
/// In less time than this, what is bounded has not filled up: memory grows.
const LEAST: Duration = Duration::from_secs(10 * 60);

/// How much of everything there may be.
const RESOURCE_LIMITS: resources::ResourceLimits =
    resources::ResourceLimits { threads: 16, sockets: 16, files: 24, rss_kb: 64_000 };
/// How much memory may grow once it is warm, in kB a minute. The smallest thing that can leak takes 32 bytes of the heap; one
/// for each session and poll would be 937.
const MOST_GROWTH: f64 = 300.0;

/// The most requests that may be under way: the polls' own four, as many that the reader's `r` passes over, and the other
/// client's.
const MOST_IN_FLIGHT: u64 = 4 + 4 + 1;

const KEYS: [&str; 24] = [
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
const SIZES: [(u16, u16); 6] = [(120, 40), (80, 24), (60, 20), (30, 10), (200, 60), (9, 3)];

#[test]
fn minute_of_chaos_loses_no_session() {
    let soaked = soak(Duration::from_secs(45));
    println!("\n{soaked}");
    soaked.assert_passed(None);
}

#[test]
#[ignore = "half an hour, or as long as KEEPWATCH_SOAK says"]
fn half_hour_of_chaos_keeps_memory_flat() {
    let length = std::env::var("KEEPWATCH_SOAK").ok();
    let length = length.map_or(Duration::from_secs(30 * 60), |it| humantime::parse_duration(&it).unwrap());
    assert!(length >= LEAST, "a soak that is shorter than {LEAST:?} says nothing of how memory grows");
    let soaked = soak(length);
    println!("\n{soaked}");
    soaked.assert_passed(Some(WARM.min(length / 2)));
}

/// What a soak comes to.
struct SoakResult {
    resources: ResourceHistory,
    findings: Findings,
    in_flight: u64,
}

impl SoakResult {
    /// Holds that no session is lost, no verdict is wrong, and nothing took more than it may; and, from `warm` on, that memory does not grow.
    fn assert_passed(&self, warm: Option<Duration>) {
        let wrong = &self.findings.problems;
        assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
        let most = MOST_IN_FLIGHT;
        assert!(self.in_flight <= most, "{} requests were under way, of {most} at most", self.in_flight);
        self.resources.assert_within(&RESOURCE_LIMITS, warm.map(|warm| (warm, MOST_GROWTH)));
    }
}

impl fmt::Display for SoakResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { findings: account, in_flight, .. } = self;
        writeln!(f, "{account}  at most {in_flight} requests under way")
    }
}

fn soak(length: Duration) -> SoakResult {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.sqlite");
    let script = script(length);
    let api = TestSimulator::start(script.clone());
    let interval = format!("{}s", INTERVAL.as_secs());
    let recording = folder.path().join("run.ndjson");
    let args = ["-i", &interval, "--max-rps", "10", "--read-only", "--record", recording.to_str().unwrap()];
    let env = [("KEEPWATCH_JOURNAL", journal.to_str().unwrap())];
    let mut terminal = Terminal::keepwatch(&api, &args, &env, 120, 40);
    let (mut resources, mut requests) = (ResourceHistory::default(), RequestLog::new(&script));
    disturb(&mut terminal, &api, length, &mut resources, &mut requests);
    show(&resources);

    api.control.clear_faults();
    let healed = api.control.now();
    let judge = Checker::new(&api.control.ground_truth(everything()), &script, INTERVAL, healed);
    for _ in 0..4 {
        // Each by itself: what follows an Esc at once is a key with Alt.
        terminal.press("\x1b");
        wait_for_time(&api, api.control.now().plus(Offset::from_duration(Duration::from_millis(150))));
    }
    terminal.press("r"); // what waits because of a failure is asked at once
    wait_for_final_polls(&terminal, &api, &mut requests, &judge);
    assert!(!String::from_utf8_lossy(&terminal.raw()).contains("panicked at"), "{}", terminal.screen());
    terminal.press("q");
    let status = terminal.wait_for_restored_exit();
    assert_eq!(status.exit_code(), 0, "{}", terminal.screen());

    let quit = api.control.now();
    let history = history(&journal);
    let judge = Checker::new(&api.control.ground_truth(everything()), &script, INTERVAL, healed);
    let account = judge.check(&history, &requests, quit);
    assert!(recording.metadata().unwrap().len() > 100_000, "and all of it was recorded");
    SoakResult { resources, findings: account, in_flight: api.counts().max_in_flight }
}

/// Shows what was measured, whatever comes of the rest.
#[expect(clippy::print_stdout, reason = "the figures are what a soak is for")]
fn show(course: &ResourceHistory) {
    println!("\n{course}");
}

/// Sessions that come later than anybody looks are left out.
fn script(length: Duration) -> Scenario {
    let mut script = chaos::scenario(chaos::DEFAULT_SEED, LIVING);
    let over = Offset::from_duration(length + 4 * TEST_TIMEOUT);
    script.sessions.retain(|session| session.appears < over);
    script
}

fn everything() -> Window {
    Window { from: Offset::from_micros(i64::MIN), to: Offset::NEVER }
}

/// Presses keys, resizes the terminal, releases sessions and measures, for so long.
fn disturb(
    terminal: &mut Terminal,
    api: &TestSimulator,
    length: Duration,
    course: &mut ResourceHistory,
    requests: &mut RequestLog,
) {
    let mut rng = fastrand::Rng::with_seed(6);
    let end = Offset::from_duration(length);
    for step in 1_u32.. {
        wait_for_time(api, Offset::from_duration(Duration::from_millis(700) * step).min(end));
        if end <= api.control.now() {
            return;
        }
        terminal.press(KEYS[rng.usize(..KEYS.len())]);
        if rng.u8(0..8) == 0 {
            let (columns, rows) = SIZES[rng.usize(..SIZES.len())];
            terminal.resize(columns, rows);
        }
        if step % 4 == 0 {
            requests.add(api.log());
            course.add(api.control.now(), Measurement::read(terminal.pid()));
            assert!(terminal.is_running(), "{}", terminal.screen());
        }
        if step % 7 == 0 {
            release(api, &mut rng);
        }
    }
}

/// Waits until the simulator's clock says so.
fn wait_for_time(api: &TestSimulator, at: Offset) {
    while api.control.now() < at {
        thread::park_timeout(at.minus(api.control.now()).to_duration().min(Duration::from_millis(50)));
    }
}

/// Another client with the same key releases a session that lives. A fault may keep that from happening.
fn release(api: &TestSimulator, rng: &mut fastrand::Rng) {
    let now = api.control.now();
    let lately = Window { from: now.plus(Offset::from_micros(-240_000_000)), to: now };
    let facts: Vec<TruthEvent> = api.control.ground_truth(lately);
    let young =
        facts.iter().filter(|fact| matches!(fact.kind, TruthEventKind::Appeared { .. })).collect::<Vec<_>>();
    let Some(fact) = rng.choice(&young) else { return };
    let address = api.url.trim_start_matches("http://");
    let body = r#"{"status":"REQUEST_RELEASE"}"#;
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let request = format!(
        "POST /v1/sessions/{} HTTP/1.1\r\nHost: {address}\r\nX-BB-API-Key: {KEY}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        fact.id,
        body.len()
    );
    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut Vec::new()));
}

/// Waits until the program has asked for each session that it had seen and that was gone before the faults ended.
fn wait_for_final_polls(
    terminal: &Terminal,
    api: &TestSimulator,
    requests: &mut RequestLog,
    judge: &Checker,
) {
    let end = api.control.now().plus(Offset::from_duration(2 * TEST_TIMEOUT));
    loop {
        requests.add(api.log());
        let open = judge.unpolled_ends(requests);
        if open.is_empty() {
            // The answers are on their way to the program, and from it to the journal.
            return wait_for_time(api, api.control.now().plus(Offset::from_duration(2 * INTERVAL)));
        }
        assert!(
            api.control.now() < end,
            "{} ends were never asked about, as of {}\n{}",
            open.len(),
            judge.describe_session(open[0], requests),
            terminal.screen()
        );
        thread::park_timeout(Duration::from_secs(1));
    }
}

/// What the program's own journal says, by session.
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
