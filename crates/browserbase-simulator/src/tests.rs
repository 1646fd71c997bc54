//! The simulator over real HTTP, asked by hand so that nothing of a client stands between.

use std::collections::HashMap;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use keepwatch_core::clock::Moment;

mod requests;

struct HttpResponse {
    status: u16,
    headers: HashMap<String, String>,
    body: String,
}

impl HttpResponse {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

fn clock() -> Clock {
    Clock::scripted(Moment { wall: testing::start(), mono: Duration::ZERO, boot: Duration::ZERO })
}

fn simulator(clock: &Clock, script: &str) -> Simulator {
    let script = Scenario::parse(script).unwrap_or_else(|error| panic!("{error}"));
    let options = SimulatorOptions {
        api_key: Some(Secret::new("bb_test_key".to_owned())),
        ..SimulatorOptions::default()
    };
    Simulator::start(clock.clone(), script, options).unwrap()
}

/// Waits for `future`. Panics if that takes longer than it can on a busy machine.
async fn with_timeout<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.unwrap()
}

/// Reads until the connection is closed. It may be reset: what came before counts.
async fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    _ = with_timeout(stream.read_to_end(&mut answer)).await;
    answer
}

/// Sends `request` as it is. Returns everything that came until the connection was closed.
async fn send_raw(simulator: &Simulator, request: &str) -> String {
    let mut stream = TcpStream::connect(simulator.addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    String::from_utf8(read_all(&mut stream).await).unwrap()
}

async fn request_as(simulator: &Simulator, method: &str, target: &str, key: &str) -> HttpResponse {
    request_with(simulator, method, target, key, "").await
}

async fn request_with(
    simulator: &Simulator,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
) -> HttpResponse {
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    let answer = send_raw(simulator, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {answer:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    HttpResponse { status, headers: headers.collect(), body: body.to_owned() }
}

async fn get(simulator: &Simulator, target: &str) -> HttpResponse {
    request_as(simulator, "GET", target, "x-bb-api-key: bb_test_key\r\n").await
}

#[tokio::test]
async fn a_session_is_retrieved_with_a_fresh_key_each_time() {
    let clock = clock();
    let simulator = simulator(&clock, "[[session]]\nid = 'a b'\nmetadata = { env = 'é' }");
    let first = get(&simulator, "/v1/sessions/a%20b").await;
    assert_eq!(first.status, 200);
    assert_eq!(first.headers["content-type"], "application/json; charset=utf-8");
    assert_eq!(first.headers["date"], "Sat, 03 Oct 2026 16:05:34 GMT");
    assert!(first.headers["x-request-id"].starts_with("req-"));
    let (first, second) = (first.json(), get(&simulator, "/v1/sessions/a%20b").await.json());
    assert_eq!((&first["id"], &first["userMetadata"]["env"]), (&"a b".into(), &"é".into()));
    assert!(first["signingKey"].as_str().unwrap().starts_with(SIGNING_KEY_PREFIX));
    assert_ne!(first["signingKey"], second["signingKey"]);
    let handed_out: Vec<_> = simulator.connect_urls().iter().map(|url| url.expose().to_owned()).collect();
    assert_eq!(
        handed_out,
        [&first, &second].map(|session| session["connectUrl"].as_str().unwrap().to_owned())
    );

    clock.advance(Duration::from_secs(301));
    let ended = get(&simulator, "/v1/sessions/a%20b").await;
    assert_eq!(ended.headers["date"], "Sat, 03 Oct 2026 16:10:35 GMT");
    let ended = ended.json();
    assert_eq!((&ended["status"], ended.get("connectUrl")), (&"TIMED_OUT".into(), None));
}

#[tokio::test]
async fn lists_and_projects_are_served() {
    let simulator = simulator(
        &clock(),
        "[[session]]\nid = 'a'\n[[session]]\nid = 'b'\nstarts = '9s'\n[project]\nname = 'acme'",
    );
    let ids = |answer: HttpResponse| -> Vec<Value> {
        answer.json().as_array().unwrap().iter().map(|s| s["id"].clone()).collect()
    };
    assert_eq!(ids(get(&simulator, "/v1/sessions").await), ["a", "b"]);
    assert_eq!(ids(get(&simulator, "/v1/sessions?status=PENDING").await), ["b"]);
    assert_eq!(
        ids(get(&simulator, "/v1/sessions?q=user_metadata%5B%27a%27%5D%3A%27b%27").await),
        [] as [Value; 0]
    );
    let projects = get(&simulator, "/v1/projects").await.json();
    assert_eq!((&projects[0]["name"], &projects[0]["defaultTimeout"]), (&"acme".into(), &300.into()));
    let project =
        get(&simulator, &format!("/v1/projects/{}", projects[0]["id"].as_str().unwrap())).await.json();
    assert_eq!(project, projects[0]);
}

#[tokio::test]
async fn what_is_refused_is_refused_in_the_apis_words() {
    let simulator = simulator(&clock(), "");
    for (method, target, key, status, error, message) in [
        ("GET", "/v1/sessions", "", 401, "Unauthorized", "Missing or invalid API key"),
        ("GET", "/v1/sessions", "x-bb-api-key:\r\n", 401, "Unauthorized", "Missing or invalid API key"),
        (
            "GET",
            "/v1/sessions/a",
            "X-BB-API-Key: other\r\n",
            401,
            "Unauthorized",
            "Missing or invalid API key",
        ),
        (
            "GET",
            "/v1/sessions/a",
            "X-BB-API-Key: bb_test_key\r\n",
            404,
            "Not Found",
            "Session with id a not found",
        ),
        (
            "GET",
            "/v1/projects/a",
            "X-BB-API-Key: bb_test_key\r\n",
            404,
            "Not Found",
            "Project with id a not found",
        ),
        ("GET", "/v1/x?y=1", "", 404, "Not Found", "Route GET:/v1/x?y=1 not found"),
        (
            "DELETE",
            "/v1/sessions",
            "",
            405,
            "Method Not Allowed",
            "Method DELETE not allowed: /v1/sessions takes GET, HEAD, POST",
        ),
        (
            "POST",
            "/v1/projects",
            "",
            405,
            "Method Not Allowed",
            "Method POST not allowed: /v1/projects takes GET",
        ),
        ("POST", "/v1/sessions", "", 401, "Unauthorized", "Missing or invalid API key"),
        ("POST", "/v1/sessions/a", "", 401, "Unauthorized", "Missing or invalid API key"),
        ("GET", "/v1/sessions/a/debug", "", 401, "Unauthorized", "Missing or invalid API key"),
        (
            "GET",
            "/v1/sessions?status=x",
            "X-BB-API-Key: bb_test_key\r\n",
            400,
            "Bad Request",
            "querystring/status must be",
        ),
        ("GET", "/v1/sessions?q=x", "X-BB-API-Key: bb_test_key\r\n", 400, "Bad Request", "Invalid query: x"),
    ] {
        let answer = request_as(&simulator, method, target, key).await;
        let body = answer.json();
        assert_eq!(
            (answer.status, &body["statusCode"], &body["error"]),
            (status, &status.into(), &error.into()),
            "{target}"
        );
        assert!(body["message"].as_str().unwrap().starts_with(message), "{body}");
    }
}

#[tokio::test]
async fn a_fault_holds_in_its_window_for_its_requests_so_often_as_it_says() {
    let clock = clock();
    let simulator = simulator(
        &clock,
        "[[session]]\nid = 'a'\nname = 'job'\n[[session]]\nid = 'b'\n\
         [[fault]]\nfrom = '10s'\nto = '20s'\non = 'list'\nstatus = 503\nmessage = ['no']\ncode = 'X1'\n\
         [[fault]]\non = 'job'\ncount = 2\nstatus = 500",
    );
    let start = clock.now();
    for (second, target, status) in [
        (0, "/v1/sessions/a", 500),
        (0, "/v1/sessions/b", 200),
        (0, "/v1/sessions", 200),
        (1, "/v1/sessions/a", 500),
        (2, "/v1/sessions/a", 200),
        (10, "/v1/sessions", 503),
        (10, "/v1/sessions/b", 200),
        (19, "/v1/sessions", 503),
        (20, "/v1/sessions", 200),
    ] {
        clock.set(start.plus(Duration::from_secs(second)));
        let answer = get(&simulator, target).await;
        assert_eq!(answer.status, status, "{target} at {second} s");
        if status == 503 {
            let body =
                json!({ "statusCode": 503, "code": "X1", "error": "Service Unavailable", "message": ["no"] });
            assert_eq!(answer.json(), body);
        }
    }
}

#[tokio::test]
async fn a_429_says_when_to_try_again_in_each_form() {
    for (form, header, value) in [
        ("seconds", "retry-after", "3"),
        ("ms", "retry-after-ms", "2500"),
        ("date", "retry-after", "Sat, 03 Oct 2026 16:05:37 GMT"),
    ] {
        let fault = format!(
            "[[fault]]\nstatus = 429\nretry_after = '2s 500ms'\nretry_after_as = '{form}'\nheaders = {{ age = '7' }}"
        );
        let answer = get(&simulator(&clock(), &fault), "/v1/sessions").await;
        assert_eq!((answer.status, answer.headers[header].as_str()), (429, value), "{form}");
        assert_eq!(
            (answer.headers["x-ratelimit-reset"].as_str(), answer.headers["age"].as_str()),
            ("3", "7")
        );
        assert_eq!(answer.json()["error"], "Too Many Requests");
    }
}

#[tokio::test]
async fn replies_break_as_the_scenario_says() {
    let whole = get(&simulator(&clock(), "[[session]]\nid = 'a'\nvanishes = '1s'"), "/v1/sessions").await;

    let truncated = simulator(&clock(), "[[session]]\nid = 'a'\n[[fault]]\nreply = 'truncated'");
    let truncated = get(&truncated, "/v1/sessions").await;
    assert_eq!(truncated.headers["content-length"], whole.headers["content-length"]);
    assert_eq!(truncated.body.len(), whole.body.len() / 2);

    let dropped = simulator(&clock(), "[[fault]]\nreply = 'dropped'");
    assert_eq!(send_raw(&dropped, "GET /v1/sessions HTTP/1.1\r\nhost: x\r\n\r\n").await, "");

    let html = get(&simulator(&clock(), "[[fault]]\nreply = 'html'"), "/v1/sessions").await;
    assert_eq!((html.status, html.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));

    let padded = get(&simulator(&clock(), "[[fault]]\npad = 2_000_000"), "/v1/sessions").await;
    assert_eq!((padded.body.len(), padded.json()), (2_000_002, json!([])));
}

#[tokio::test]
async fn a_hang_is_in_flight_until_the_simulator_stops() {
    let simulator = simulator(&clock(), "[[fault]]\nreply = 'hang'");
    let mut stream = TcpStream::connect(simulator.addr()).await.unwrap();
    stream.write_all(b"GET /v1/sessions HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    with_timeout(async {
        while simulator.request_counts().in_flight == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(simulator.request_log()[0].status, None);
    let addr = simulator.addr();
    simulator.stop().await;
    assert!(TcpStream::connect(addr).await.is_err(), "the port is closed");
    assert_eq!(read_all(&mut stream).await, b"", "and the connection too");
}

#[tokio::test]
async fn stopping_closes_idle_connections() {
    let simulator = simulator(&clock(), "");
    let mut stream = TcpStream::connect(simulator.addr()).await.unwrap();
    stream.write_all(b"GET /v1/x HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 12];
    with_timeout(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 404");
    simulator.stop().await;
    with_timeout(stream.read_to_end(&mut answer)).await.unwrap();
}

#[tokio::test]
async fn a_stopped_simulator_can_start_again_on_its_port() {
    // Another test may be quicker to take the port that has just become free.
    for _ in 0..10 {
        let first = simulator(&clock(), "");
        get(&first, "/v1/sessions").await;
        let port = first.addr().port();
        first.stop().await;
        match Simulator::start(
            clock(),
            Scenario::default(),
            SimulatorOptions { port, ..SimulatorOptions::default() },
        ) {
            Ok(second) => return assert_eq!(get(&second, "/v1/sessions").await.status, 200),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse),
        }
    }
    panic!("it never could");
}

#[tokio::test]
async fn dropping_the_simulator_closes_its_port() {
    let simulator = simulator(&clock(), "");
    let addr = simulator.addr();
    drop(simulator);
    // Another test may take the free port, but not for long.
    with_timeout(async {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_test_can_steer_what_happens_now() {
    let clock = clock();
    let simulator = simulator(&clock, "[[session]]\nid = 'a'");
    let control = simulator.control();
    clock.advance(Duration::from_secs(400));
    assert!(control.update_session("a", |session| session.overdue = true));
    assert_eq!(get(&simulator, "/v1/sessions/a").await.json()["status"], "RUNNING");
    assert!(control.end_session("a", FinalStatus::Error));
    assert!(!control.end_session("a", FinalStatus::Completed), "it ends once");
    let ended = get(&simulator, "/v1/sessions/a").await.json();
    assert_eq!(
        (&ended["status"], &ended["endedAt"]),
        (&"ERROR".into(), &"2026-10-03T16:12:14.513867+00:00".into())
    );

    let id = control.add_session(ScenarioSession { appears: control.now(), ..ScenarioSession::default() });
    assert_eq!(get(&simulator, &format!("/v1/sessions/{id}")).await.json()["status"], "RUNNING");

    control.add_fault(Fault::with_status(FaultTarget::Retrieve, StatusCode::BAD_GATEWAY).limited_to(1));
    assert_eq!(get(&simulator, "/v1/sessions/a").await.status, 502);
    assert_eq!(get(&simulator, "/v1/sessions/a").await.status, 200);
    control.add_fault(Fault::new(FaultTarget::All, FaultResponse::Html));
    control.clear_faults();
    assert_eq!(get(&simulator, "/v1/sessions/a").await.status, 200);
}

#[tokio::test]
async fn the_log_has_every_request_with_its_answer() {
    let clock = clock();
    let simulator = simulator(&clock, "");
    get(&simulator, "/v1/sessions?status=RUNNING").await;
    clock.advance(Duration::from_secs(3));
    get(&simulator, "/v1/sessions/a").await;
    clock.advance(Duration::from_secs(3));
    simulator.control().add_fault(Fault::with_status(FaultTarget::Projects, StatusCode::BAD_GATEWAY));
    get(&simulator, "/v1/projects").await;
    let hit = |at, path: &str, query: &str, status| RequestLogEntry {
        at: Duration::from_secs(at),
        method: "GET".to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        status: Some(status),
        answered_at: Some(Duration::from_secs(at)),
        fault: (at == 6).then_some("refused"),
    };
    assert_eq!(
        simulator.request_log(),
        [
            hit(0, "/v1/sessions", "status=RUNNING", 200),
            hit(3, "/v1/sessions/a", "", 404),
            hit(6, "/v1/projects", "", 502)
        ]
    );
    let counts = simulator.request_counts();
    assert_eq!((counts.list, counts.retrieve, counts.max_in_flight), (1, 1, 1));
}

#[tokio::test]
async fn the_servers_clock_can_be_wrong_and_is_not_stepped_with_the_machines() {
    let clock = clock();
    let simulator = simulator(&clock, "skew = '-45s'\n[[session]]\nid = 'a'");
    let now = clock.now();
    clock.set(Moment { wall: now.wall + chrono::TimeDelta::hours(5), ..now });
    let answer = get(&simulator, "/v1/sessions/a").await;
    assert_eq!(answer.headers["date"], "Sat, 03 Oct 2026 16:04:49 GMT");
    assert_eq!(answer.json()["startedAt"], "2026-10-03T16:04:49.513867+00:00");
}

#[tokio::test]
async fn ten_thousand_sessions_are_listed() {
    let options = SimulatorOptions { extra_sessions: 10_000, ..SimulatorOptions::default() };
    let simulator = Simulator::start(clock(), Scenario::default(), options).unwrap();
    let all = get(&simulator, "/v1/sessions").await.json();
    assert_eq!(all.as_array().unwrap().len(), 10_000);
}
