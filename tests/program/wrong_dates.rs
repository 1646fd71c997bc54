//! Tests the program with a server whose `Date` is wrong: it is hours old, an hour ahead, or jumps back and forth. The
//! sessions' timestamps are right, as is this machine's clock.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use chrono::{SecondsFormat, TimeDelta};
use keepwatch_core::clock::{Clock, Timestamp};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::faults::http_date;
use crate::harness::{KEY, PROGRAM, Terminal, wait_until};
use crate::piped_program::PipedProgram;

const ID: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
/// The number of requests after which no further event about the `Date` is expected.
const ENOUGH_REQUESTS: usize = 16;

/// A server with one session, which is 95 s old when the server starts.
struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl Server {
    /// Starts a server, whose session expires in `minutes_left`. The `Date` of the response to request N, counted from 0,
    /// is `offset(N)` seconds ahead of the true time.
    fn start(minutes_left: i64, offset: impl Fn(usize) -> i64 + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&requests);
        let start = now();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let date = now() + TimeDelta::seconds(offset(number));
                // The client may have closed the connection.
                let _ = respond(stream.unwrap(), start, minutes_left, date);
            }
        });
        Self { url, requests }
    }

    /// Runs `keepwatch events` until the server has had enough requests. Returns the events.
    fn events(&self) -> Vec<Value> {
        let program = PipedProgram::start_at(&self.url, &["events", "--interval", "1s"], KEY, &[]);
        wait_until("the program polls", || self.requests.load(Ordering::SeqCst) >= ENOUGH_REQUESTS);
        program.signal(Signal::TERM);
        let output = program.wait_for_exit();
        output.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn now() -> Timestamp {
    Clock::system().now().wall
}

/// Reads a request and responds with a list of one session, the session itself, or an empty list.
fn respond(
    mut stream: TcpStream,
    start: Timestamp,
    minutes_left: i64,
    date: Timestamp,
) -> std::io::Result<()> {
    let (mut request, mut header) = (String::new(), String::new());
    let mut lines = BufReader::new(stream.try_clone()?);
    lines.read_line(&mut request)?;
    // The empty line after the headers has two bytes: CR and LF.
    while lines.read_line(&mut header)? > 2 {
        header.clear();
    }
    let time = |at: Timestamp| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let started = time(start - TimeDelta::seconds(95));
    let session = json!({
        "id": ID, "projectId": "p", "status": "RUNNING", "createdAt": started, "updatedAt": started,
        "startedAt": started, "expiresAt": time(start + TimeDelta::minutes(minutes_left)), "keepAlive": false,
        "region": "us-west-2", "proxyBytes": 0,
    });
    let path = request.split(' ').nth(1).unwrap_or_default();
    let body = match path {
        "/v1/sessions?status=RUNNING" => json!([session]).to_string(),
        _ if path.starts_with("/v1/sessions/") => session.to_string(),
        _ => "[]".to_owned(),
    };
    let (date, length) = (http_date(date), body.len());
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

/// Returns the seconds left in the event `first_seen`.
fn seconds_left(events: &[Value]) -> f64 {
    events.iter().find_map(|event| event["left_s"].as_f64()).unwrap()
}

#[test]
fn stale_or_future_date_is_reported_once() {
    for (hours, word) in [(-1, "old"), (-2, "old"), (1, "ahead")] {
        let events = Server::start(45, move |_| hours * 3600).events();
        let mut names = names(&events);
        names.sort_unstable();
        assert_eq!(names, ["api_date_ignored", "first_seen"], "{events:?}");
        let ignored = events.iter().find(|event| event["event"] == "api_date_ignored").unwrap();
        assert!(ignored["sentence"].as_str().unwrap().contains(word), "{ignored}");
        // 45 minutes are 2700 s. A slow machine may be a minute late.
        assert!((2640.0..=2700.0).contains(&seconds_left(&events)), "{events:?}");
    }
}

#[test]
fn jumping_date_is_reported_once() {
    // The session runs for three more hours, so no `Date` contradicts its timestamps. The dates contradict each other.
    let events = Server::start(180, |number| if number % 4 < 2 { 0 } else { 3600 }).events();
    let mut names = names(&events);
    names.sort_unstable();
    assert_eq!(names, ["api_dates_contradict", "first_seen"], "{events:?}");
}

#[test]
fn countdown_is_right_with_stale_date() {
    let server = Server::start(45, |_| -7200);
    let mut terminal = Terminal::start(
        &[PROGRAM, "--interval", "1s"],
        &[("BROWSERBASE_BASE_URL", &server.url), ("BROWSERBASE_API_KEY", KEY)],
        120,
        40,
    );
    let screen = terminal.wait_for("44m 5");
    assert!(!screen.contains("1h 1"), "{screen}");
    terminal.wait_for("the API sent a wrong Date");
    wait_until("the program polls", || server.requests.load(Ordering::SeqCst) >= ENOUGH_REQUESTS);
    let screen = terminal.screen();
    assert!(screen.contains("44m ") && !screen.contains("this machine's clock is"), "{screen}");
    terminal.press("e");
    terminal.wait_for("the API sent a Date that is 2h 00m old");
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
}
