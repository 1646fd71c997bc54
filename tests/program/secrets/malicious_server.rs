//! An API that hides secrets in every text of its responses: values, names, headers and error messages. [`Bystander`]
//! is a host to which keepwatch must never connect.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use keepwatch_core::clock::{Clock, Timestamp, saturating_add};

/// Part of every secret, and of no other text.
pub(super) const CANARY: &str = "cAnArY";
/// The API key. It does not look like an API key, so the program must redact it by its value.
pub(super) const KEY: &str = "cAnArY-opaque-key-0f3a9";

/// Id of a running session.
pub(super) const ID: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
/// Id of an ended session.
pub(super) const ENDED_ID: &str = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff";

/// Id of an ended session whose first request fails with a 503.
pub(super) const FLAKY_ID: &str = "8f14e45f-ceea-467f-a0e6-a9f2e4f8b1c2";

/// A request to the API.
struct Request {
    method: String,
    /// The path with the query.
    path: String,
    /// True if the request has the right API key.
    has_key: bool,
}

/// A running API. Its thread ends with the test process.
pub(super) struct MaliciousServer {
    pub(super) url: String,
    state: Arc<ServerState>,
}

#[derive(Default)]
struct ServerState {
    /// Paths of the requests with the API key.
    authorised_paths: Mutex<Vec<String>>,
    /// Number of requests, with or without the API key.
    request_count: AtomicU32,
    /// True if the running session has failed.
    is_over: AtomicBool,
}

impl MaliciousServer {
    /// Starts an API that redirects requests for projects to `bystander`.
    pub(super) fn serve(bystander: &Bystander) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<ServerState>::default();
        let server_state = Arc::clone(&state);
        let (bystander_url, started) = (bystander.url.clone(), Clock::system().now().wall);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (state, bystander_url) = (Arc::clone(&server_state), bystander_url.clone());
                thread::spawn(move || {
                    let Some(request) = read_request(&stream) else { return };
                    let is_first = state.log_request(&request);
                    let number = state.request_count.fetch_add(1, Ordering::SeqCst);
                    let context = ResponseContext {
                        number,
                        started,
                        is_first,
                        is_over: state.is_over.load(Ordering::SeqCst),
                    };
                    respond(stream, &request, context, &bystander_url);
                });
            }
        });
        Self { url, state }
    }

    /// Returns true if a request with the API key arrived.
    pub(super) fn has_requests(&self) -> bool {
        !self.state.authorised_paths.lock().unwrap().is_empty()
    }

    /// Returns true if a request for `path` with the API key arrived.
    pub(super) fn has_request_for(&self, path: &str) -> bool {
        self.state.authorised_paths.lock().unwrap().iter().any(|requested| requested == path)
    }

    /// Ends the running session with an error.
    pub(super) fn fail_session(&self) {
        self.state.is_over.store(true, Ordering::SeqCst);
    }
}

/// State on which a response depends.
#[derive(Clone, Copy)]
struct ResponseContext {
    /// Number of the request.
    number: u32,
    /// Time at which the server started.
    started: Timestamp,
    /// True if no earlier request with the API key was for the same path.
    is_first: bool,
    /// True if the running session has failed.
    is_over: bool,
}

impl ServerState {
    /// Logs a request if it has the API key. Returns true if no request for the same path was logged before.
    fn log_request(&self, request: &Request) -> bool {
        let mut paths = self.authorised_paths.lock().unwrap();
        let is_first = !paths.contains(&request.path);
        if request.has_key {
            paths.push(request.path.clone());
        }
        is_first
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    lines.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let mut request = Request { method: words.next()?, path: words.next()?, has_key: false };
    let mut length = 0;
    loop {
        let mut header = String::new();
        lines.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "x-bb-api-key" => request.has_key = value == KEY,
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    lines.read_exact(&mut vec![0; length]).ok()?;
    Some(request)
}

fn respond(mut stream: TcpStream, request: &Request, context: ResponseContext, bystander_url: &str) {
    let ResponseContext { number, is_first, is_over, .. } = context;
    let Request { method, path, has_key } = request;
    let is_session = |id: &str| path.starts_with(&format!("/v1/sessions/{id}"));
    // The first session has a secret as its id. The program must drop this session, because ids go to files and
    // browsers.
    let mut running = vec![session(&format!("bb_live_{CANARY}id"), context)];
    running.extend((!is_over).then(|| session(ID, context)));
    let (status, more_headers, body) = match (method.as_str(), path.as_str()) {
        _ if !has_key => (401, String::new(), error()),
        ("POST", _) => (409, String::new(), error()),
        (_, "/v1/projects") => {
            (302, format!("location: {bystander_url}/?token={CANARY}location\r\n"), String::new())
        }
        (_, path) if path.ends_with("/debug") => (200, String::new(), live_urls(number)),
        (_, path) if path.contains("status=RUNNING") => (200, String::new(), list(&running)),
        (_, path) if path.contains("status=") => (200, String::new(), list(&[])),
        (_, "/v1/sessions") => {
            (200, String::new(), list(&[session(ID, context), session(ENDED_ID, context)]))
        }
        _ if is_session(ID) => (200, String::new(), session(ID, context)),
        _ if is_session(FLAKY_ID) && is_first => (503, String::new(), error()),
        _ if is_session(ENDED_ID) => (200, String::new(), session(ENDED_ID, context)),
        _ if is_session(FLAKY_ID) => (200, String::new(), session(FLAKY_ID, context)),
        _ => (404, String::new(), error()),
    };
    let date = http_date();
    let head = format!(
        "HTTP/1.1 {status} {CANARY}reason\r\ndate: {date}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         x-request-id: req-{number}-bb_live_{CANARY}request\r\nset-cookie: token={CANARY}cookie\r\n\
         x-{CANARY}header: {CANARY}\r\n{more_headers}content-length: {}\r\n\r\n",
        body.len()
    );
    // The client may have closed the connection.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

/// Returns the time for the `Date` header.
fn http_date() -> String {
    Clock::system().now().wall.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn list(sessions: &[String]) -> String {
    format!("[{}]", sessions.join(","))
}

/// Returns the body of every error response. Its `statusCode` is 409 whatever the status is.
fn error() -> String {
    format!(
        r#"{{"statusCode":409,"error":"token={CANARY}error","message":"Session is locked: {KEY} can not open wss://c.example/?signingKey={CANARY}message, bb_live_{CANARY}message, Bearer {CANARY}12345678"}}"#
    )
}

/// Returns the live URLs of a session as JSON.
fn live_urls(number: u32) -> String {
    format!(
        r#"{{"debuggerFullscreenUrl":"https://live.example/?wss=c%2F%3FsigningKey%3D{CANARY}live{number}","debuggerUrl":"https://live.example/{CANARY}","wsUrl":"wss://{CANARY}"}}"#
    )
}

/// Returns a session as JSON. The number of the request replaces the random parts of real secrets.
fn session(id: &str, context: ResponseContext) -> String {
    let ResponseContext { number, started, is_over, .. } = context;
    let (created, expires) =
        (started.to_rfc3339(), saturating_add(started, Duration::from_secs(900)).to_rfc3339());
    let status = if [ENDED_ID, FLAKY_ID].contains(&id) || is_over {
        format!(r#""ERROR","endedAt":"{created}""#)
    } else {
        r#""RUNNING""#.to_owned()
    };
    format!(
        r#"{{"id":"{id}","createdAt":"{created}","startedAt":"{created}","updatedAt":"{created}","expiresAt":"{expires}",
        "status":{status},"keepAlive":true,"proxyBytes":{number},
        "projectId":"bb_live_{CANARY}project","contextId":"token={CANARY}context","region":"r?apiKey={CANARY}region",
        "connectUrl":"wss://connect.example/{CANARY}path/?signingKey={CANARY}connect{number}",
        "seleniumRemoteUrl":"https://connect.example/{CANARY}path/webdriver?signingKey={CANARY}selenium{number}",
        "signingKey":"{CANARY}signing{number}","apiKey":"{CANARY}field","viewer":"https://v.example/?token={CANARY}viewer",
        "wss://c.example/?signingKey={CANARY}name":1,
        "userMetadata":{{"owner":"checkout bb_live_{CANARY}owner","api_key":"{CANARY}member","auth":"Bearer {CANARY}12345678",
            "url":"wss://c.example/?signing\u004bey={CANARY}metadata","https://u:{CANARY}@c.example":2,
            "run":{{"token":{{"deep":"{CANARY}deep"}}}}}}}}"#
    )
}

/// A host that records the first bytes of each connection to it. The program must not connect to it.
pub(super) struct Bystander {
    pub(super) url: String,
    received: Arc<Mutex<Vec<String>>>,
}

impl Bystander {
    pub(super) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&received);
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut start = [0; 4096];
                let length = stream.read(&mut start).unwrap_or(0);
                log.lock().unwrap().push(String::from_utf8_lossy(&start[..length]).into_owned());
            }
        });
        Self { url, received }
    }

    /// Returns the first bytes of each connection.
    pub(super) fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}
