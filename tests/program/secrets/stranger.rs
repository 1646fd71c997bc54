//! An API in whose answers secrets are hidden wherever a text can stand: as values and as names, in headers, in what it
//! says of an error. And a host that nobody has a reason to talk to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use keepwatch::clock::{Clock, Timestamp, later};

/// What is in every secret, and in nothing else.
pub(super) const CANARY: &str = "cAnArY";
/// The key. Nothing about it says that it is one.
pub(super) const KEY: &str = "cAnArY-opaque-key-0f3a9";

/// A session that runs, one that has ended, one of which a secret is the name.
pub(super) const ID: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
pub(super) const OVER: &str = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff";

/// What it is asked.
struct Asked {
    method: String,
    path: String,
    has_key: bool,
}

/// The API. Its thread ends with the tests.
pub(super) struct Stranger {
    pub(super) url: String,
    /// How often it was asked with the key.
    asked: Arc<AtomicU32>,
}

impl Stranger {
    /// One that redirects those who ask for projects to `elsewhere`.
    pub(super) fn serve(elsewhere: &Bystander) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, counts) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let told = Arc::clone(&asked);
        let (elsewhere, started) = (elsewhere.url.clone(), Clock::system().now().wall);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (told, counts, elsewhere) = (Arc::clone(&told), Arc::clone(&counts), elsewhere.clone());
                thread::spawn(move || {
                    let Some(asked) = request(&stream) else { return };
                    if asked.has_key {
                        told.fetch_add(1, Ordering::SeqCst);
                    }
                    answer(stream, &asked, counts.fetch_add(1, Ordering::SeqCst), &elsewhere, started);
                });
            }
        });
        Self { url, asked }
    }

    pub(super) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst) > 0
    }
}

fn request(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    lines.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let mut asked = Asked { method: words.next()?, path: words.next()?, has_key: false };
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

fn answer(mut to: TcpStream, asked: &Asked, number: u32, elsewhere: &str, started: Timestamp) {
    let Asked { method, path, has_key } = asked;
    let of = |id: &str| path.starts_with(&format!("/v1/sessions/{id}"));
    let (status, extra, body) = match (method.as_str(), path.as_str()) {
        _ if !has_key => (401, String::new(), error()),
        ("POST", _) => (409, String::new(), error()),
        (_, "/v1/projects") => (302, format!("location: {elsewhere}/?token={CANARY}location\r\n"), String::new()),
        (_, path) if path.ends_with("/debug") => (200, String::new(), debug(number)),
        (_, path) if path.contains("status=RUNNING") => (200, String::new(), list(&[session(ID, number, started)])),
        (_, path) if path.contains("status=") => (200, String::new(), list(&[])),
        (_, "/v1/sessions") => (200, String::new(), list(&[session(ID, number, started), session(OVER, number, started)])),
        _ if of(ID) => (200, String::new(), session(ID, number, started)),
        _ if of(OVER) => (200, String::new(), session(OVER, number, started)),
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
        r#"{{"statusCode":409,"error":"token={CANARY}error","message":"Session is locked: wss://c.example/?signingKey={CANARY}message, bb_live_{CANARY}message, Bearer {CANARY}12345678"}}"#
    )
}

fn debug(number: u32) -> String {
    format!(
        r#"{{"debuggerFullscreenUrl":"https://live.example/?wss=c%2F%3FsigningKey%3D{CANARY}live{number}","debuggerUrl":"https://live.example/{CANARY}","wsUrl":"wss://{CANARY}"}}"#
    )
}

/// A session. What is random about its real one is the number of the request here.
fn session(id: &str, number: u32, started: Timestamp) -> String {
    let (created, expires) = (started.to_rfc3339(), later(started, Duration::from_secs(900)).to_rfc3339());
    let status = if id == OVER { format!(r#""ERROR","endedAt":"{created}""#) } else { r#""RUNNING""#.to_owned() };
    format!(
        r#"{{"id":"{id}","createdAt":"{created}","startedAt":"{created}","updatedAt":"{created}","expiresAt":"{expires}",
        "status":{status},"keepAlive":true,"proxyBytes":{number},
        "projectId":"bb_live_{CANARY}project","contextId":"token={CANARY}context","region":"r?apiKey={CANARY}region",
        "connectUrl":"wss://connect.example/?signingKey={CANARY}connect{number}",
        "seleniumRemoteUrl":"https://connect.example/webdriver?signingKey={CANARY}selenium{number}",
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
    heard: Arc<Mutex<Vec<String>>>,
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
        Self { url, heard }
    }

    /// What was said to it.
    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}
