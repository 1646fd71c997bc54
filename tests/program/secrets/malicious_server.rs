//! An API in whose answers secrets are hidden wherever a text can stand: as values and as names, in headers, in what it
//! says of an error. And a host that nobody has a reason to talk to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use keepwatch_core::clock::{Clock, Timestamp, saturating_add};

/// What is in every secret, and in nothing else.
pub(super) const CANARY: &str = "cAnArY";
/// The key. Nothing about it says that it is one.
pub(super) const KEY: &str = "cAnArY-opaque-key-0f3a9";

/// A session that runs, and one that has ended.
pub(super) const ID: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
pub(super) const ENDED_ID: &str = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff";

/// One that has ended, and of which the API says something else when it is first asked.
pub(super) const FLAKY: &str = "8f14e45f-ceea-467f-a0e6-a9f2e4f8b1c2";

/// What it is asked.
struct Request {
    method: String,
    path: String,
    has_key: bool,
}

/// The API. Its thread ends with the tests.
pub(super) struct MaliciousServer {
    pub(super) url: String,
    state: Arc<ServerState>,
}

#[derive(Default)]
struct ServerState {
    /// What it was asked for with the key.
    authorised_paths: Mutex<Vec<String>>,
    /// How many requests there were.
    requests: AtomicU32,
    /// Whether the session that ran has failed.
    is_over: AtomicBool,
}

impl MaliciousServer {
    /// One that redirects those who ask for projects to `elsewhere`.
    pub(super) fn serve(elsewhere: &Bystander) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::<ServerState>::default();
        let serving = Arc::clone(&shared);
        let (elsewhere, started) = (elsewhere.url.clone(), Clock::system().now().wall);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (shared, elsewhere) = (Arc::clone(&serving), elsewhere.clone());
                thread::spawn(move || {
                    let Some(asked) = read_request(&stream) else { return };
                    let is_first = shared.log_request(&asked);
                    let number = shared.requests.fetch_add(1, Ordering::SeqCst);
                    let about = ResponseContext {
                        number,
                        started,
                        is_first,
                        is_over: shared.is_over.load(Ordering::SeqCst),
                    };
                    respond(stream, &asked, about, &elsewhere);
                });
            }
        });
        Self { url, state: shared }
    }

    pub(super) fn has_requests(&self) -> bool {
        !self.state.authorised_paths.lock().unwrap().is_empty()
    }

    pub(super) fn has_request_for(&self, path: &str) -> bool {
        self.state.authorised_paths.lock().unwrap().iter().any(|asked| asked == path)
    }

    /// The session that runs fails now.
    pub(super) fn fail_session(&self) {
        self.state.is_over.store(true, Ordering::SeqCst);
    }
}

/// What an answer is about.
#[derive(Clone, Copy)]
struct ResponseContext {
    number: u32,
    started: Timestamp,
    /// Whether nobody asked for the same before.
    is_first: bool,
    is_over: bool,
}

impl ServerState {
    /// Takes down what was asked for with the key. Whether it was the first time.
    fn log_request(&self, asked: &Request) -> bool {
        let mut all = self.authorised_paths.lock().unwrap();
        let is_first = !all.contains(&asked.path);
        if asked.has_key {
            all.push(asked.path.clone());
        }
        is_first
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    lines.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let mut asked = Request { method: words.next()?, path: words.next()?, has_key: false };
    let mut length = 0;
    loop {
        let mut header = String::new();
        lines.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "x-bb-api-key" => asked.has_key = value == KEY,
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    lines.read_exact(&mut vec![0; length]).ok()?;
    Some(asked)
}

fn respond(mut to: TcpStream, asked: &Request, about: ResponseContext, elsewhere: &str) {
    let ResponseContext { number, is_first, is_over, .. } = about;
    let Request { method, path, has_key } = asked;
    let of = |id: &str| path.starts_with(&format!("/v1/sessions/{id}"));
    // The first of the list is none, for an id is written down and handed to browsers.
    let mut running = vec![session(&format!("bb_live_{CANARY}id"), about)];
    running.extend((!is_over).then(|| session(ID, about)));
    let (status, extra, body) = match (method.as_str(), path.as_str()) {
        _ if !has_key => (401, String::new(), error()),
        ("POST", _) => (409, String::new(), error()),
        (_, "/v1/projects") => {
            (302, format!("location: {elsewhere}/?token={CANARY}location\r\n"), String::new())
        }
        (_, path) if path.ends_with("/debug") => (200, String::new(), debug(number)),
        (_, path) if path.contains("status=RUNNING") => (200, String::new(), list(&running)),
        (_, path) if path.contains("status=") => (200, String::new(), list(&[])),
        (_, "/v1/sessions") => (200, String::new(), list(&[session(ID, about), session(ENDED_ID, about)])),
        _ if of(ID) => (200, String::new(), session(ID, about)),
        _ if of(FLAKY) && is_first => (503, String::new(), error()),
        _ if of(ENDED_ID) || of(FLAKY) => (200, String::new(), session(ENDED_ID, about)),
        _ => (404, String::new(), error()),
    };
    let date = httpdate();
    let head = format!(
        "HTTP/1.1 {status} {CANARY}reason\r\ndate: {date}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         x-request-id: req-{number}-bb_live_{CANARY}request\r\nset-cookie: token={CANARY}cookie\r\n\
         x-{CANARY}header: {CANARY}\r\n{extra}content-length: {}\r\n\r\n",
        body.len()
    );
    let _ = to.write_all(head.as_bytes()).and_then(|()| to.write_all(body.as_bytes())); // it may have gone
}

fn httpdate() -> String {
    Clock::system().now().wall.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn list(sessions: &[String]) -> String {
    format!("[{}]", sessions.join(","))
}

fn error() -> String {
    format!(
        r#"{{"statusCode":409,"error":"token={CANARY}error","message":"Session is locked: {KEY} can not open wss://c.example/?signingKey={CANARY}message, bb_live_{CANARY}message, Bearer {CANARY}12345678"}}"#
    )
}

fn debug(number: u32) -> String {
    format!(
        r#"{{"debuggerFullscreenUrl":"https://live.example/?wss=c%2F%3FsigningKey%3D{CANARY}live{number}","debuggerUrl":"https://live.example/{CANARY}","wsUrl":"wss://{CANARY}"}}"#
    )
}

/// A session. What is random about its real one is the number of the request here.
fn session(id: &str, about: ResponseContext) -> String {
    let ResponseContext { number, started, is_over, .. } = about;
    let (created, expires) =
        (started.to_rfc3339(), saturating_add(started, Duration::from_secs(900)).to_rfc3339());
    let status = if id == ENDED_ID || is_over {
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

/// A host that takes down all that comes to it. Nothing should.
pub(super) struct Bystander {
    pub(super) url: String,
    received: Arc<Mutex<Vec<String>>>,
}

impl Bystander {
    pub(super) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let takes = Arc::clone(&heard);
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut start = [0; 4096];
                let length = stream.read(&mut start).unwrap_or(0);
                takes.lock().unwrap().push(String::from_utf8_lossy(&start[..length]).into_owned());
            }
        });
        Self { url, received: heard }
    }

    /// What was said to it.
    pub(super) fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}
