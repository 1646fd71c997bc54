//! Tests `keepwatch simulate` with plain HTTP requests, as other programs send them. Checks the responses against the
//! public schemas.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::iter;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::harness::{PROGRAM, TEST_TIMEOUT, clean_env, lines, wait_for_exit, wait_until};
use crate::schema::assert_valid;

/// A running `keepwatch simulate` on a free port. Dropping it kills the process.
pub(crate) struct SimulateProgram {
    pub(crate) url: String,
    pub(crate) project: String,
    child: Child,
}

impl SimulateProgram {
    /// Starts `keepwatch simulate ARGS` and reads its URL and project id.
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .arg("simulate")
            .args(args)
            .env_clear()
            .envs(clean_env())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines(child.stdout.take().unwrap());
        let exports: BTreeMap<String, String> = iter::from_fn(|| lines.recv_timeout(TEST_TIMEOUT).ok())
            .filter_map(|line| {
                let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .take(3) // base URL, API key and project id
            .collect();
        let export = |name: &str| exports[name].clone();
        Self { url: export("BROWSERBASE_BASE_URL"), project: export("BROWSERBASE_PROJECT_ID"), child }
    }

    /// Interrupts the program and returns its exit code.
    pub(crate) fn interrupt(mut self) -> Option<i32> {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        wait_for_exit(&mut self.child).code()
    }

    /// Starts the scenario in `toml`, with additional arguments.
    fn start_scenario(toml: &str, args: &[&str]) -> Self {
        let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        std::fs::write(file.path(), toml).unwrap();
        let scenario = file.path().to_str().unwrap();
        Self::start(&[&["--scenario", scenario], args].concat())
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.request("GET", path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Response {
        self.request("POST", path, Some(body))
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        let address = self.url.trim_start_matches("http://");
        let body = body.map(Value::to_string);
        let content_type = if body.is_some() { "Content-Type: application/json\r\n" } else { "" };
        let body = body.unwrap_or_default();
        let length = body.len();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nX-BB-API-Key: any\r\nConnection: close\r\n\
             Content-Length: {length}\r\n{content_type}\r\n{body}"
        )
        .unwrap();
        let response = std::io::read_to_string(stream).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        Response {
            status: lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap(),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}")),
        }
    }
}

impl Drop for SimulateProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A response of the simulator.
pub(crate) struct Response {
    status: u16,
    headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl Response {
    /// Returns the body. Asserts the status, and that the body matches all `schemas`.
    fn expect_status(self, status: u16, schemas: &[&str]) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        schemas.iter().for_each(|schema| assert_valid(schema, &self.body));
        self.body
    }

    /// Returns the error message. Asserts the status, and that the body is an API error.
    fn expect_error(self, status: u16) -> String {
        let body = self.expect_status(status, &[include_str!("../contract/error.json")]);
        assert_eq!(body["statusCode"], status);
        body["message"].as_str().unwrap().to_owned()
    }
}

const SESSION: &str = include_str!("../contract/session.json");
const CREATED: &str = include_str!("../contract/session_created.json");
const LIVE_URLS: &str = include_str!("../contract/live_urls.json");
const LOG: &str = include_str!("../contract/session_log.json");
const PROJECT: &str = include_str!("../contract/project.json");
const USAGE: &str = include_str!("../contract/usage.json");

/// A running session with proxy traffic, and an ended one.
const TWO_SESSIONS: &str = r#"
[[session]]
id = "busy"
created = "-5m"
timeout = "1h"
proxy = [{ from = "-4m", bytes_per_second = 100 }]
[[session]]
id = "over"
created = "-5m"
ends = { at = "-1m" }
[rules]
pending = "300ms"
"#;

#[test]
fn keep_alive_session_lifecycle_matches_schema() {
    let api = SimulateProgram::start_scenario(TWO_SESSIONS, &["--release-delay", "300ms"]);
    let settings = json!({
        "projectId": api.project, "keepAlive": true, "timeout": 900, "region": "eu-central-1", "proxies": true,
        "browserSettings": { "context": { "id": "c-1" } }, "userMetadata": { "owner": "growth" },
    });
    let created = api.post("/v1/sessions", &settings).expect_status(201, &[SESSION, CREATED]);
    assert_eq!((&created["keepAlive"], &created["contextId"]), (&true.into(), &"c-1".into()));
    let session_path = format!("/v1/sessions/{}", created["id"].as_str().unwrap());
    let status = || api.get(&session_path).expect_status(200, &[SESSION])["status"].clone();
    wait_until("a running session", || status() == "RUNNING");

    let query = "status=RUNNING&q=user_metadata%5B%27owner%27%5D%3A%27growth%27";
    let owned = api.get(&format!("/v1/sessions?{query}")).expect_status(200, &[]);
    assert_eq!((owned.as_array().unwrap().len(), &owned[0]["id"]), (1, &created["id"]));
    assert_valid(SESSION, &owned[0]);
    api.get(&format!("{session_path}/debug")).expect_status(200, &[LIVE_URLS]);
    assert_eq!(api.get(&format!("{session_path}/logs")).expect_status(200, &[]), json!([]));

    let release = json!({ "status": "REQUEST_RELEASE", "projectId": api.project });
    let released = api.post(&session_path, &release).expect_status(200, &[SESSION]);
    assert_eq!(released["status"], "RUNNING", "a release takes time");
    wait_until("the end by release", || status() == "COMPLETED");
    let repeated = api.post(&session_path, &release).expect_status(200, &[SESSION]);
    assert_eq!((&repeated["status"], repeated.get("endedAt").is_some()), (&"COMPLETED".into(), true));
    assert!(
        api.get(&format!("{session_path}/debug"))
            .expect_error(409)
            .contains("is not running: it is COMPLETED")
    );
}

#[test]
fn other_endpoints_match_schema() {
    let api = SimulateProgram::start_scenario(TWO_SESSIONS, &[]);
    api.get("/v1/sessions/busy/debug").expect_status(200, &[LIVE_URLS]);
    let logs = api.get("/v1/sessions/busy/logs").expect_status(200, &[]);
    assert_eq!(logs.as_array().unwrap().len(), 1);
    assert_valid(LOG, &logs[0]);
    let projects = api.get("/v1/projects").expect_status(200, &[]);
    assert_eq!((projects.as_array().unwrap().len(), &projects[0]["id"]), (1, &api.project.clone().into()));
    let project = format!("/v1/projects/{}", api.project);
    assert_eq!(api.get(&project).expect_status(200, &[PROJECT]), projects[0]);
    let usage = api.get(&format!("{project}/usage")).expect_status(200, &[USAGE]);
    // `busy` has run for five minutes and `over` for four. `busy` has had proxy traffic of 100 bytes a
    // second for four minutes.
    assert!(
        usage["browserMinutes"].as_u64().unwrap() >= 9 && usage["proxyBytes"].as_u64().unwrap() >= 24_000
    );
}

#[test]
fn plan_limits_are_enforced() {
    let api = SimulateProgram::start_scenario(TWO_SESSIONS, &["--concurrency", "2", "--plan", "free"]);
    assert_eq!(api.get("/v1/projects").body[0]["concurrency"], 2);
    let keep_alive = api.post("/v1/sessions", &json!({ "keepAlive": true })).expect_error(403);
    assert_eq!(keep_alive, "Keep alive sessions are not supported on the FREE plan");
    api.post("/v1/sessions", &json!({ "timeout": 901 })).expect_error(403);

    api.post("/v1/sessions", &json!({})).expect_status(201, &[SESSION, CREATED]);
    let full = api.post("/v1/sessions", &json!({}));
    for (header, value) in [
        ("retry-after", "60"),
        ("x-ratelimit-limit", "2"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "60"),
    ] {
        assert_eq!(full.headers[header], value, "{header}");
    }
    assert_eq!(
        full.expect_error(429),
        "You've exceeded your max concurrent sessions limit (limit 2, currently 2). Please contact support to \
         increase your limit."
    );
}

#[test]
fn errors_use_api_messages() {
    let api = SimulateProgram::start_scenario(TWO_SESSIONS, &[]);
    for (method, path, body, status, message) in [
        ("POST", "/v1/sessions", json!({ "timeout": 21_601 }), 400, "body/timeout must be <= 21600"),
        ("POST", "/v1/sessions", json!({ "timeout": 59 }), 400, "body/timeout must be >= 60"),
        ("POST", "/v1/sessions/busy", json!({}), 400, "body must have required property 'status'"),
        (
            "POST",
            "/v1/sessions/none",
            json!({ "status": "REQUEST_RELEASE" }),
            404,
            "Session with id none not found",
        ),
        ("DELETE", "/v1/sessions/busy", json!({}), 405, "Method DELETE not allowed"),
        ("POST", "/v1/contexts", json!({}), 404, "Route POST:/v1/contexts not found"),
    ] {
        let error = api.request(method, path, Some(&body)).expect_error(status);
        assert!(error.starts_with(message), "{error}");
    }
    assert_eq!(
        api.request("POST", "/v1/sessions", None).expect_error(415),
        "Unsupported Media Type: undefined"
    );
}
