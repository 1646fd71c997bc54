//! The simulator over real HTTP. The tests write requests by hand, so that no HTTP client hides details.

use std::collections::HashMap;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use keepwatch_core::clock::Moment;

mod connections;
mod malformed_requests;
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

fn simulator(clock: &Clock, scenario: &str) -> Simulator {
    simulator_with_limits(clock, scenario, ConnectionLimits::default())
}

fn simulator_with_limits(clock: &Clock, scenario: &str, connections: ConnectionLimits) -> Simulator {
    let scenario = Scenario::parse(scenario).unwrap_or_else(|error| panic!("{error}"));
    let options = SimulatorOptions {
        api_key: Some(Secret::new("bb_test_key".to_owned())),
        connections,
        ..SimulatorOptions::default()
    };
    Simulator::start(clock.clone(), scenario, options).unwrap()
}

/// Waits for `future`. Panics after a minute, which no test needs, even on a busy machine.
async fn with_timeout<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.unwrap()
}

/// Reads until the connection closes. If the connection is reset, returns the bytes before the reset.
async fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    _ = with_timeout(stream.read_to_end(&mut bytes)).await;
    bytes
}

/// Sends `request` unchanged. Returns everything received until the connection closes.
async fn send_raw(simulator: &Simulator, request: &str) -> String {
    let mut stream = TcpStream::connect(simulator.addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    String::from_utf8(read_all(&mut stream).await).unwrap()
}

async fn request_without_body(
    simulator: &Simulator,
    method: &str,
    target: &str,
    headers: &str,
) -> HttpResponse {
    request_with_body(simulator, method, target, headers, "").await
}

async fn request_with_body(
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
    parse_response(&send_raw(simulator, &request).await)
}

fn parse_response(response: &str) -> HttpResponse {
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {response:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    HttpResponse { status, headers: headers.collect(), body: body.to_owned() }
}

async fn get(simulator: &Simulator, target: &str) -> HttpResponse {
    request_without_body(simulator, "GET", target, "x-bb-api-key: bb_test_key\r\n").await
}

#[tokio::test]
async fn retrieval_has_headers_and_new_connect_url() {
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
    let connect_urls: Vec<_> = simulator.connect_urls().iter().map(|url| url.expose().to_owned()).collect();
    assert_eq!(
        connect_urls,
        [&first, &second].map(|session| session["connectUrl"].as_str().unwrap().to_owned())
    );

    clock.advance(Duration::from_secs(301)); // past the default timeout of 300 s
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
    let ids = |response: HttpResponse| -> Vec<Value> {
        response.json().as_array().unwrap().iter().map(|session| session["id"].clone()).collect()
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
async fn errors_have_api_format() {
    let simulator = simulator(&clock(), "");
    for (method, target, headers, status, error, message) in [
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
        let response = request_without_body(&simulator, method, target, headers).await;
        let body = response.json();
        assert_eq!(
            (response.status, &body["statusCode"], &body["error"]),
            (status, &status.into(), &error.into()),
            "{target}"
        );
        assert!(body["message"].as_str().unwrap().starts_with(message), "{body}");
    }
}

#[tokio::test]
async fn fault_respects_window_target_and_count() {
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
        let response = get(&simulator, target).await;
        assert_eq!(response.status, status, "{target} at {second} s");
        if status == 503 {
            let body =
                json!({ "statusCode": 503, "code": "X1", "error": "Service Unavailable", "message": ["no"] });
            assert_eq!(response.json(), body);
        }
    }
}

#[tokio::test]
async fn retry_delay_is_sent_in_each_format() {
    // The delay is 2.5 s. Formats without a fraction round it up.
    for (format, header, value) in [
        ("seconds", "retry-after", "3"),
        ("ms", "retry-after-ms", "2500"),
        ("date", "retry-after", "Sat, 03 Oct 2026 16:05:37 GMT"),
    ] {
        let fault = format!(
            "[[fault]]\nstatus = 429\nretry_after = '2s 500ms'\nretry_after_as = '{format}'\nheaders = {{ age = '7' }}"
        );
        let response = get(&simulator(&clock(), &fault), "/v1/sessions").await;
        assert_eq!((response.status, response.headers[header].as_str()), (429, value), "{format}");
        assert_eq!(
            (response.headers["x-ratelimit-reset"].as_str(), response.headers["age"].as_str()),
            ("3", "7")
        );
        assert_eq!(response.json()["error"], "Too Many Requests");
    }
}

#[tokio::test]
async fn replies_and_padding_change_responses() {
    let normal = get(&simulator(&clock(), "[[session]]\nid = 'a'"), "/v1/sessions").await;

    let truncated = simulator(&clock(), "[[session]]\nid = 'a'\n[[fault]]\nreply = 'truncated'");
    let truncated = get(&truncated, "/v1/sessions").await;
    assert_eq!(truncated.headers["content-length"], normal.headers["content-length"]);
    assert_eq!(truncated.body.len(), normal.body.len() / 2);

    let dropped = simulator(&clock(), "[[fault]]\nreply = 'dropped'");
    assert_eq!(send_raw(&dropped, "GET /v1/sessions HTTP/1.1\r\nhost: x\r\n\r\n").await, "");

    let html = get(&simulator(&clock(), "[[fault]]\nreply = 'html'"), "/v1/sessions").await;
    assert_eq!((html.status, html.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));

    let padded = get(&simulator(&clock(), "[[fault]]\npad = 2_000_000"), "/v1/sessions").await;
    assert_eq!((padded.body.len(), padded.json()), (2_000_000 + "[]".len(), json!([])));
}

#[tokio::test]
async fn hanging_request_stays_in_flight_until_stop() {
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
    assert!(TcpStream::connect(addr).await.is_err(), "a stopped simulator closes its port");
    assert_eq!(read_all(&mut stream).await, b"", "a hanging request gets no response");
}

#[tokio::test]
async fn stopping_closes_idle_connections() {
    let simulator = simulator(&clock(), "");
    let mut stream = TcpStream::connect(simulator.addr()).await.unwrap();
    stream.write_all(b"GET /v1/x HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut response = vec![0; 12];
    with_timeout(stream.read_exact(&mut response)).await.unwrap();
    assert_eq!(response, b"HTTP/1.1 404");
    simulator.stop().await;
    with_timeout(stream.read_to_end(&mut response)).await.unwrap();
}

#[tokio::test]
async fn port_is_reusable_after_stop() {
    // Another test may take the port in between.
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
    panic!("no simulator could start again on its port");
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
async fn control_changes_running_simulator() {
    let clock = clock();
    let simulator = simulator(&clock, "[[session]]\nid = 'a'");
    let control = simulator.control();
    clock.advance(Duration::from_secs(400)); // past the default timeout of 300 s
    assert!(control.update_session("a", |session| session.overdue = true));
    assert_eq!(get(&simulator, "/v1/sessions/a").await.json()["status"], "RUNNING");
    assert!(control.end_session("a", FinalStatus::Error));
    assert!(!control.end_session("a", FinalStatus::Completed), "a session can end only once");
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
async fn log_contains_requests_with_their_responses() {
    let clock = clock();
    let simulator = simulator(&clock, "");
    get(&simulator, "/v1/sessions?status=RUNNING").await;
    clock.advance(Duration::from_secs(3));
    get(&simulator, "/v1/sessions/a").await;
    clock.advance(Duration::from_secs(3));
    simulator.control().add_fault(Fault::with_status(FaultTarget::Projects, StatusCode::BAD_GATEWAY));
    get(&simulator, "/v1/projects").await;
    let entry = |at, path: &str, query: &str, status| RequestLogEntry {
        at: Duration::from_secs(at),
        method: "GET".to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        status: Some(status),
        answered_at: Some(Duration::from_secs(at)),
        fault: (at == 6).then_some("refused"), // only the last request
    };
    assert_eq!(
        simulator.request_log(),
        [
            entry(0, "/v1/sessions", "status=RUNNING", 200),
            entry(3, "/v1/sessions/a", "", 404),
            entry(6, "/v1/projects", "", 502)
        ]
    );
    let counts = simulator.request_counts();
    assert_eq!((counts.list, counts.retrieve, counts.max_in_flight), (1, 1, 1));
}

#[tokio::test]
async fn server_clock_has_skew_but_no_steps() {
    let clock = clock();
    let simulator = simulator(&clock, "skew = '-45s'\n[[session]]\nid = 'a'");
    let now = clock.now();
    // The machine's wall clock steps, and its monotonic clock does not.
    clock.set(Moment { wall: now.wall + chrono::TimeDelta::hours(5), ..now });
    let response = get(&simulator, "/v1/sessions/a").await;
    assert_eq!(response.headers["date"], "Sat, 03 Oct 2026 16:04:49 GMT");
    assert_eq!(response.json()["startedAt"], "2026-10-03T16:04:49.513867+00:00");
}

#[tokio::test]
async fn ten_thousand_sessions_are_listed() {
    let options = SimulatorOptions { extra_sessions: 10_000, ..SimulatorOptions::default() };
    let simulator = Simulator::start(clock(), Scenario::default(), options).unwrap();
    let all = get(&simulator, "/v1/sessions").await.json();
    assert_eq!(all.as_array().unwrap().len(), 10_000);
}
