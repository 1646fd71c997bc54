//! Tests the API contract in `tests/contract` from both sides. The simulator's responses must match the schemas. The
//! program must handle every session that a schema allows, even if `GET /v1/sessions/{id}` is the only endpoint of the
//! server.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use browserbase_simulator::Scenario;
use serde_json::{Value, json};

use crate::harness::{KEY, PROGRAM, TEST_TIMEOUT, Terminal, TestSimulator, clean_env, output};
use crate::schema::assert_valid;

const SESSION: &str = include_str!("../contract/session.json");

/// Sends `GET path` and returns the body as JSON.
fn get(base: &str, path: &str) -> Value {
    let address = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nX-BB-API-Key: {KEY}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let response = std::io::read_to_string(stream).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    serde_json::from_str(body).unwrap()
}

#[test]
fn simulator_responses_match_schema() {
    let api = TestSimulator::start(Scenario::builtin("default").unwrap());
    let listed = get(&api.url, "/v1/sessions");
    let listed = listed.as_array().unwrap();
    assert!(listed.len() >= 5);
    for session in listed {
        assert_valid(SESSION, session);
        for secret in ["connectUrl", "seleniumRemoteUrl", "signingKey"] {
            assert!(session.get(secret).is_none(), "a list has no {secret}");
        }
        let id = session["id"].as_str().unwrap();
        let retrieved = get(&api.url, &format!("/v1/sessions/{id}"));
        assert_valid(SESSION, &retrieved);
        if retrieved["status"] == "RUNNING" {
            let again = get(&api.url, &format!("/v1/sessions/{id}"));
            assert_ne!(retrieved["signingKey"], again["signingKey"], "each response has a new signing key");
        }
    }
}

/// Returns 200 sessions with unusual values that the schema allows.
fn odd_sessions() -> Vec<Value> {
    let dates = [
        "1926-01-01T00:00:00Z",
        "2026-11-22T12:00:00.123456789+14:00",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00-12:00",
    ];
    let texts = ["", "a b", "夜間バッチ", "\u{202e}\u{1b}[2J", "x/../?#%", &"long ".repeat(400)];
    let numbers = [0, -1, i64::MIN, i64::MAX, 31_000];
    let statuses = ["PENDING", "RUNNING", "ERROR", "TIMED_OUT", "COMPLETED"];
    let mut rng = fastrand::Rng::with_seed(7);
    (0..200)
        .map(|_| {
            let mut date = || dates[rng.usize(..dates.len())];
            let mut session = json!({
                "id": "", "createdAt": date(), "updatedAt": date(), "startedAt": date(), "expiresAt": date(),
            });
            if rng.bool() {
                session["endedAt"] = dates[rng.usize(..dates.len())].into();
            }
            let mut text = || texts[rng.usize(..texts.len())];
            session["id"] = text().into();
            session["projectId"] = text().into();
            session["contextId"] = text().into();
            session["userMetadata"] = json!({ text(): text(), "nested": { text(): [text(), null, {}] } });
            session["status"] = statuses[rng.usize(..statuses.len())].into();
            session["proxyBytes"] = numbers[rng.usize(..numbers.len())].into();
            session["keepAlive"] = rng.bool().into();
            session["region"] =
                ["us-west-2", "us-east-1", "eu-central-1", "ap-southeast-1"][rng.usize(..4)].into();
            if rng.bool() {
                session["connectUrl"] = "wss://connect.example/?signingKey=abc".into();
            }
            session
        })
        .collect()
}

/// Starts a server that implements only `GET /v1/sessions/{id}`. Each request gets the next session, with the requested
/// id. Returns the server's URL.
fn start_mock_server(sessions: Vec<Value>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut endless_sessions = sessions.iter().cycle();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = String::new();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            lines.read_line(&mut request).unwrap();
            let mut header = String::new();
            // The empty line after the headers has only its line end, which is 2 bytes.
            while lines.read_line(&mut header).unwrap() > 2 {
                header.clear();
            }
            let id = request.strip_prefix("GET /v1/sessions/").and_then(|path| path.split(' ').next());
            let (status, body) = match id {
                Some(id) => {
                    let mut session = endless_sessions.next().unwrap().clone();
                    session["id"] = id.replace("%20", " ").into();
                    ("200 OK", session.to_string())
                }
                None => ("404 Not Found", "{}".to_owned()),
            };
            let length = body.len();
            // The client may have closed the connection.
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    url
}

#[test]
fn get_prints_unusual_sessions() {
    let sessions = odd_sessions();
    sessions.iter().for_each(|session| assert_valid(SESSION, session));
    let url = start_mock_server(sessions.clone());
    let ids: Vec<String> = (0..40).map(|index| format!("id {index}")).collect();
    for format in [&["--json"][..], &[]] {
        let output = output(
            Command::new(PROGRAM)
                .arg("get")
                .args(format)
                .args(&ids)
                .env_clear()
                .envs(clean_env())
                .env("BROWSERBASE_BASE_URL", &url)
                .env("BROWSERBASE_API_KEY", KEY),
        );
        let (out, err) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(0), "{err}");
        if format.is_empty() {
            assert_eq!(out.lines().count(), 41, "{out}"); // with the headings
            assert!(!out.chars().any(|letter| letter.is_control() && letter != '\n'), "{out}");
        } else {
            let printed: Vec<Value> = serde_json::from_str(&out).unwrap();
            assert_eq!(printed.len(), 40);
            for session in printed {
                assert!(sessions.iter().any(|it| it["userMetadata"] == session["userMetadata"]), "{session}");
                assert!(session.get("connectUrl").is_none());
            }
        }
    }
}

#[test]
fn screen_shows_unusual_sessions() {
    let url = start_mock_server(odd_sessions());
    let env = [("BROWSERBASE_BASE_URL", url.as_str()), ("BROWSERBASE_API_KEY", KEY)];
    let mut command = vec![PROGRAM, "-i", "1s"];
    let ids: Vec<String> = (0..30).map(|index| format!("id {index}")).collect();
    command.extend(ids.iter().map(String::as_str));
    // The terminal is tall enough for all rows, whatever their order.
    let mut terminal = Terminal::start(&command, &env, 120, 100);
    for id in ["id 0", "id 1", "id 29"] {
        terminal.wait_for(id);
    }
    // Moves, opens the details and leaves them. The test waits after Esc, because Esc right before another keystroke
    // counts as Alt with that keystroke.
    terminal.press("j\r");
    terminal.wait_until("the details alone", |screen| !screen.contents().contains("STATUS"));
    terminal.press("G\x1b");
    terminal.wait_for("STATUS");
    // Sorts, hides metadata, changes panes, and reverses the order.
    for keystroke in ["s", "s", "s", "s", "s", "s", "H", "\t", "G", "\t", "S"] {
        terminal.press(keystroke);
    }
    terminal.resize(40, 12);
    terminal.resize(120, 40);
    terminal.wait_for("reversed");
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
}
