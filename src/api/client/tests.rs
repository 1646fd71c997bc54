use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc;

use super::*;
use keepwatch_core::testing::id;
use keepwatch_core::text::Untrusted;

mod tls;

const KEY: &str = "bb_test_cAnArY-key";
const SESSION: &str =
    r#"{"id":"s","status":"RUNNING","connectUrl":"wss://connect.example/?signingKey=cAnArY-url"}"#;
/// For what never comes.
const SHORT_TIMEOUT: Duration = Duration::from_millis(80);
/// Longer than anything takes on a busy machine.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// What the server does after its reply.
#[derive(Clone, Copy)]
enum AfterReply {
    Close,
    /// Says no more, until the client goes away.
    Hang,
    /// Sends letters until the client goes away.
    Flood,
    /// The same, a few at a time.
    Trickle,
    /// Closes with the request unread, which resets the connection; it sends no reply either.
    Reset,
}

/// One listener and what it was sent: the head of each request.
struct Server {
    port: u16,
    request_heads: mpsc::Receiver<String>,
}

fn serve(reply: impl Into<Vec<u8>>, then: AfterReply) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (hears, heard) = mpsc::channel();
    let reply = reply.into();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            respond(stream.unwrap(), &reply, then, &hears);
        }
    });
    Server { port, request_heads: heard }
}

fn respond(mut stream: TcpStream, reply: &[u8], then: AfterReply, hears: &mpsc::Sender<String>) {
    if let AfterReply::Reset = then {
        let _ = stream.peek(&mut [0]);
        return;
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.extend(byte);
    }
    let _ = hears.send(String::from_utf8(head).unwrap());
    let _ = stream.write_all(reply); // a client that has seen enough may be gone
    match then {
        AfterReply::Close | AfterReply::Reset => {}
        AfterReply::Hang => while stream.read(&mut [0]).unwrap_or(0) > 0 {},
        AfterReply::Trickle => {
            while stream.write_all(b" ").is_ok() {
                std::thread::park_timeout(SHORT_TIMEOUT / 16);
            }
        }
        AfterReply::Flood => while stream.write_all(&[b' '; 4096]).is_ok() {},
    }
}

fn http_response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

fn client_for(base: &str) -> Client {
    Client::new(Endpoint { base: base.parse().unwrap() }, Secret::new(KEY.into()))
}

impl Server {
    fn client(&self) -> Client {
        client_for(&format!("http://127.0.0.1:{}", self.port))
    }

    /// The kind of fault that asking for a session ends in.
    async fn error_kind(&self) -> ApiErrorKind {
        self.client().session(&id("s")).await.result.unwrap_err().kind
    }

    async fn error_kind_with_limits(&self, limits: ResponseLimits) -> ApiErrorKind {
        Client { limits, ..self.client() }.session(&id("s")).await.result.unwrap_err().kind
    }
}

fn short_limits() -> ResponseLimits {
    ResponseLimits { response_timeout: SHORT_TIMEOUT, ..ResponseLimits::default() }
}

#[tokio::test]
async fn an_answer_is_read_whatever_its_type_is_called() {
    for kind in ["application/json", "text/plain", "text/html; charset=utf-8"] {
        let headers =
            format!("content-type: {kind}\r\ndate: Sun, 22 Nov 2026 12:00:00 GMT\r\nx-request-id: r-1\r\n");
        let server = serve(http_response("200 OK", &headers, SESSION), AfterReply::Close);
        let answer = server.client().session(&id("s")).await;
        assert_eq!(answer.result.unwrap().id, id("s"));
        assert_eq!(answer.date, Some("2026-11-22T12:00:00Z".parse().unwrap()));
        assert_eq!(answer.bytes, u64::try_from(SESSION.len()).unwrap());
    }
}

#[tokio::test]
async fn a_date_that_a_cache_has_aged_or_that_is_none_is_not_believed() {
    for headers in ["date: Sun, 22 Nov 2026 12:00:00 GMT\r\nage: 7\r\n", "date: today\r\n", ""] {
        let server = serve(http_response("200 OK", headers, SESSION), AfterReply::Close);
        assert_eq!(server.client().session(&id("s")).await.date, None, "{headers}");
    }
}

#[tokio::test]
async fn a_fresh_answer_brings_the_url_and_shows_it_to_nobody() {
    let server = serve(http_response("200 OK", "", SESSION), AfterReply::Close);
    let client = server.client();
    let fresh = client.session_with_urls(&id("s")).await.result.unwrap();
    assert_eq!(fresh.urls.connect.as_ref().unwrap().expose(), "wss://connect.example/?signingKey=cAnArY-url");
    let shown = format!("{fresh:?} {client:?} {:?}", client.reconnected());
    assert!(!shown.contains("cAnArY"), "{shown}");
}

#[tokio::test]
async fn the_key_goes_along_by_its_name_and_nothing_says_where_we_come_from() {
    let server = serve(http_response("200 OK", "", "[]"), AfterReply::Close);
    server.client().sessions(List::Pending).await.result.unwrap();
    let head = server.request_heads.recv().unwrap();
    assert!(head.starts_with("GET /v1/sessions?status=PENDING HTTP/1.1\r\n"), "{head}");
    let lines: Vec<&str> = head.lines().filter(|line| line.contains(KEY)).collect();
    let (name, value) = lines[0].split_once(": ").unwrap();
    assert_eq!((lines.len(), name.to_lowercase().as_str(), value), (1, "x-bb-api-key", KEY));
    for unwanted in ["referer", "cookie", "authorization"] {
        assert!(!head.to_lowercase().contains(unwanted), "{head}");
    }
    server.client().projects().await.result.unwrap();
    assert!(server.request_heads.recv().unwrap().starts_with("GET /v1/projects HTTP/1.1\r\n"));
}

#[tokio::test]
async fn any_id_is_one_segment_of_the_path() {
    let server = serve(http_response("200 OK", "", SESSION), AfterReply::Close);
    for base in ["/prefix", "/prefix/"] {
        let client = client_for(&format!("http://127.0.0.1:{}{base}", server.port));
        for (text, encoded) in [
            ("6512bd43-d9ca-4e02-9a67-91f2c1a0b3de", "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de"),
            (" two words ", "%20two%20words%20"),
            ("../a/b?c#d", "..%2Fa%2Fb%3Fc%23d"),
            ("50%2F%", "50%252F%25"),
            ("größe🙂", "gr%C3%B6%C3%9Fe%F0%9F%99%82"),
            ("a\u{7}\0", "a%07%00"),
            ("a\\b;c=d&e+f", "a%5Cb;c=d&e+f"),
        ] {
            client.session(&SessionId::from_api(Untrusted::new(text))).await.result.unwrap();
            let head = server.request_heads.recv().unwrap();
            assert!(head.starts_with(&format!("GET /prefix/v1/sessions/{encoded} HTTP/1.1\r\n")), "{head}");
        }
    }
}

#[tokio::test]
async fn a_key_that_no_header_can_carry_is_a_fault_of_its_own_and_nothing_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    for key in ["bb_test_\ncAnArY", "bb_test_cAnArY\0", "\u{7f}cAnArY"] {
        let client = Client::new(Endpoint { base: base.parse().unwrap() }, Secret::new(key.into()));
        let error = client.session(&id("s")).await.result.unwrap_err();
        assert_eq!(error.kind, ApiErrorKind::ApiKeyMalformed, "{key:?}");
        assert!(!error.description().contains("cAnArY"));
    }
    assert_no_connection(&listener);
}

fn assert_no_connection(listener: &TcpListener) {
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let location = format!("location: http://{}/v1/sessions/s\r\n", other.local_addr().unwrap());
        let server = serve(http_response(status, &location, ""), AfterReply::Close);
        assert!(matches!(server.error_kind().await, ApiErrorKind::Redirect(_)), "{status}");
        assert_eq!(server.request_heads.try_iter().count(), 1);
    }
    assert_no_connection(&other);
}

#[tokio::test]
async fn each_status_is_a_fault_of_its_own_with_the_servers_words() {
    let headers = "retry-after: 7\r\nx-request-id: r-1\r\n";
    let body = r#"{"statusCode":1,"error":"E","message":"the words"}"#;
    for (status, kind) in [
        ("400 Bad Request", ApiErrorKind::Status(400)),
        ("401 Unauthorized", ApiErrorKind::ApiKeyRejected),
        ("402 Payment Required", ApiErrorKind::Quota),
        ("403 Forbidden", ApiErrorKind::Forbidden),
        ("404 Not Found", ApiErrorKind::NotFound),
        ("405 Method Not Allowed", ApiErrorKind::Status(405)),
        ("410 Gone", ApiErrorKind::Gone),
        ("429 Too Many Requests", ApiErrorKind::RateLimited),
        ("500 Oops", ApiErrorKind::Server(500)),
        ("503 Unavailable", ApiErrorKind::Server(503)),
        ("511 Network Authentication Required", ApiErrorKind::Server(511)),
        ("999 What", ApiErrorKind::Status(999)),
    ] {
        let server = serve(http_response(status, headers, body), AfterReply::Close);
        let error = server.client().session(&id("s")).await.result.unwrap_err();
        assert_eq!(error.kind, kind);
        assert_eq!(error.message, Some(Untrusted::new("the words")));
        assert_eq!(error.request_id, Some(Untrusted::new("r-1")));
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        assert!(error.description().contains("the words"), "{}", error.description());
    }
}

#[tokio::test]
async fn a_status_says_enough_whatever_becomes_of_its_body() {
    let server = serve("HTTP/1.1 404 Not Found\r\ncontent-length: 100\r\n\r\n{", AfterReply::Close);
    assert_eq!(server.error_kind().await, ApiErrorKind::NotFound);
    let server = serve("HTTP/1.1 404 Not Found\r\ncontent-length: 100\r\n\r\n{", AfterReply::Hang);
    assert_eq!(server.error_kind_with_limits(short_limits()).await, ApiErrorKind::NotFound);
    let server = serve("HTTP/1.1 500 Oops\r\n\r\n<html>", AfterReply::Flood);
    assert_eq!(server.error_kind().await, ApiErrorKind::Server(500));
}

#[tokio::test]
async fn a_status_in_the_place_of_a_list_is_said_soon_and_little_is_read_of_its_words() {
    let trickled = "HTTP/1.1 503 Unavailable\r\n\r\n{\"message\":\"later\"}";
    let limits = ResponseLimits { error_body_timeout: SHORT_TIMEOUT, ..ResponseLimits::default() };
    let client = Client { limits, ..serve(trickled, AfterReply::Trickle).client() };
    let list = tokio::time::timeout(TEST_TIMEOUT, client.sessions(List::Running)).await;
    let error = list.unwrap().result.unwrap_err();
    assert_eq!((error.kind, error.message), (ApiErrorKind::Server(503), Some(Untrusted::new("later"))));
    let client = serve("HTTP/1.1 500 Oops\r\n\r\n{", AfterReply::Flood).client();
    let answer = client.sessions(List::Running).await;
    assert_eq!(answer.result.unwrap_err().kind, ApiErrorKind::Server(500));
    assert!(answer.bytes < 4 * ResponseLimits::default().error_body_bytes, "{}", answer.bytes);
}

#[tokio::test]
async fn what_does_not_begin_as_a_list_is_not_waited_for_as_for_one() {
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>";
    let list = serve(page, AfterReply::Trickle).client();
    let list = tokio::time::timeout(TEST_TIMEOUT, list.sessions(List::Running)).await;
    assert_eq!(list.unwrap().result.unwrap_err().kind, ApiErrorKind::Html);
    let blanks =
        Client { limits: short_limits(), ..serve("HTTP/1.1 200 OK\r\n\r\n", AfterReply::Trickle).client() };
    let list = tokio::time::timeout(TEST_TIMEOUT, blanks.sessions(List::Running)).await;
    assert_eq!(list.unwrap().result.unwrap_err().kind, ApiErrorKind::Timeout);
}

#[tokio::test]
async fn a_key_that_is_quoted_with_escapes_is_masked_where_it_is_read() {
    let body = r#"{"message":"no key is cA\u006eArY-7d1f/k"}"#;
    let server = serve(http_response("400 Bad Request", "", body), AfterReply::Close);
    let endpoint = Endpoint { base: format!("http://127.0.0.1:{}", server.port).parse().unwrap() };
    let client = Client::new(endpoint, Secret::new("cAnArY-7d1f/k".into()));
    let error = client.session(&id("s")).await.result.unwrap_err();
    assert_eq!(error.message, Some(Untrusted::new("no key is ••••")));
}

#[tokio::test]
async fn what_is_no_json_is_called_what_it_is() {
    for (body, kind) in [
        ("<!doctype html><title>Sign in</title>", ApiErrorKind::Html),
        (" \n<Error/>", ApiErrorKind::Html),
        ("upstream error", ApiErrorKind::NotJson(Untrusted::new("upstream error"))),
        ("", ApiErrorKind::NotJson(Untrusted::new(""))),
        ("{\"id\":\"s\"", ApiErrorKind::ConnectionClosed),
        ("[]", ApiErrorKind::Unexpected(Untrusted::new("it is a list"))),
    ] {
        let server = serve(http_response("200 OK", "x-request-id: r-1\r\n", body), AfterReply::Close);
        let error = server.client().session(&id("s")).await.result.unwrap_err();
        assert_eq!(error.kind, kind, "{body}");
        assert_eq!(error.request_id.is_some(), kind != ApiErrorKind::Html);
    }
    let typed = http_response("200 OK", "content-type: text/html\r\n", "Please sign in");
    assert_eq!(serve(typed, AfterReply::Close).error_kind().await, ApiErrorKind::Html);
    let empty = "HTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(serve(empty, AfterReply::Close).error_kind().await, ApiErrorKind::NotJson(Untrusted::new("")));
}

#[tokio::test]
async fn nothing_listening_is_told_from_nobody_answering() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = client_for(&format!("http://127.0.0.1:{port}")).session(&id("s")).await.result.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::ConnectionRefused(Untrusted::new(format!("127.0.0.1:{port}"))));
    assert_eq!(
        serve("", AfterReply::Hang).error_kind_with_limits(short_limits()).await,
        ApiErrorKind::Timeout
    );
    let part = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    assert_eq!(
        serve(part, AfterReply::Hang).error_kind_with_limits(short_limits()).await,
        ApiErrorKind::Timeout
    );
}

#[tokio::test]
async fn a_list_that_never_ends_ends_with_its_time() {
    let server = serve("HTTP/1.1 200 OK\r\n\r\n[", AfterReply::Trickle);
    let limits = ResponseLimits { list_timeout: SHORT_TIMEOUT, ..ResponseLimits::default() };
    let client = Client { limits, ..server.client() };
    let list = tokio::time::timeout(TEST_TIMEOUT, client.sessions(List::Running)).await;
    assert_eq!(list.unwrap().result.unwrap_err().kind, ApiErrorKind::Timeout);
    let silent = Client { limits: short_limits(), ..serve("", AfterReply::Hang).client() };
    let list = tokio::time::timeout(TEST_TIMEOUT, silent.sessions(List::Running)).await;
    assert_eq!(
        list.unwrap().result.unwrap_err().kind,
        ApiErrorKind::Timeout,
        "long before the list's own time"
    );
}

#[tokio::test]
async fn a_connection_that_ends_too_soon_is_a_cut() {
    for part in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"a",
    ] {
        assert_eq!(
            serve(part, AfterReply::Close).error_kind().await,
            ApiErrorKind::ConnectionClosed,
            "{part:?}"
        );
    }
    assert_eq!(serve("", AfterReply::Reset).error_kind().await, ApiErrorKind::ConnectionClosed);
}

#[tokio::test]
async fn what_speaks_no_http_is_said_to() {
    let many: String = (0..10_000).map(|at| format!("x-{at}: y\r\n")).collect();
    for garbage in [
        "SSH-2.0-OpenSSH_9.9\r\n\r\n".to_owned(),
        "HTTP/9.9 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 abc OK\r\n\r\n".to_owned(),
        "\0\0\0\0\0\0\0\0\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n".to_owned(),
    ] {
        let kind = serve(garbage.as_str(), AfterReply::Hang).error_kind().await;
        assert!(matches!(kind, ApiErrorKind::Protocol(_)), "{kind:?} for {:.40}", garbage);
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_dropped_by_what_it_says_and_by_what_it_sends() {
    let says = "HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n";
    let limit = ResponseLimits::default().session_bytes;
    assert_eq!(serve(says, AfterReply::Hang).error_kind().await, ApiErrorKind::TooLarge(limit));
    let sends = "HTTP/1.1 200 OK\r\n\r\n{";
    assert_eq!(serve(sends, AfterReply::Flood).error_kind().await, ApiErrorKind::TooLarge(limit));
    let list = serve(sends, AfterReply::Flood).client().sessions(List::Running).await;
    assert_eq!(list.result.unwrap_err().kind, ApiErrorKind::TooLarge(ResponseLimits::default().list_bytes));
}

#[tokio::test]
async fn a_large_list_is_decoded_all_the_same() {
    let elements: Vec<String> =
        (0..3000).map(|at| format!(r#"{{"id":"s{at}","status":"RUNNING"}}"#)).collect();
    let body = format!("[{}]", elements.join(","));
    assert!(body.len() > YIELD_AFTER_BYTES);
    let listing =
        serve(http_response("200 OK", "", &body), AfterReply::Close).client().sessions(List::Running).await;
    assert_eq!(listing.result.unwrap().sessions.len(), 3000);
}

fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(body).unwrap();
    packer.finish().unwrap()
}

fn gzip_response(body: &[u8]) -> Vec<u8> {
    let packed = gzipped(body);
    let length = packed.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.into_bytes(), packed].concat()
}

#[tokio::test]
async fn only_lists_may_come_packed_and_they_are_unpacked() {
    let body = format!("[{SESSION}{}]", format!(",{SESSION}").repeat(99));
    let server = serve(gzip_response(body.as_bytes()), AfterReply::Close);
    let answer = server.client().sessions(List::Running).await;
    assert_eq!(answer.result.unwrap().sessions.len(), 100);
    assert_eq!(answer.bytes, u64::try_from(body.len()).unwrap(), "counted as they are unpacked");
    let accepts = |head: String| {
        let line = head
            .to_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("accept-encoding: ").map(str::to_owned));
        line.unwrap_or_default()
    };
    assert_eq!(accepts(server.request_heads.recv().unwrap()), "gzip");
    let server = serve(http_response("200 OK", "", SESSION), AfterReply::Close);
    server.client().session(&id("s")).await.result.unwrap();
    server.client().session_with_urls(&id("s")).await.result.unwrap();
    assert_eq!(accepts(server.request_heads.recv().unwrap()), "identity");
    assert_eq!(accepts(server.request_heads.recv().unwrap()), "identity");
}

#[tokio::test]
async fn a_list_that_unpacks_to_more_than_a_list_may_be_is_dropped() {
    let limits = ResponseLimits { list_bytes: 256 * 1024, ..ResponseLimits::default() };
    let bomb = gzip_response(&vec![b' '; 16 * 1024 * 1024]);
    assert!(bomb.len() < 32 * 1024, "what comes is small: {}", bomb.len());
    let client = Client { limits, ..serve(bomb, AfterReply::Close).client() };
    let answer = client.sessions(List::Running).await;
    assert_eq!(answer.result.unwrap_err().kind, ApiErrorKind::TooLarge(limits.list_bytes));
    assert!(answer.bytes < 2 * limits.list_bytes, "it is not unpacked further: {}", answer.bytes);
}

#[tokio::test]
async fn a_packed_list_that_breaks_off_is_a_cut_and_one_that_is_no_gzip_is_no_http() {
    let whole = gzip_response(b"[]");
    let short = whole[..whole.len() - 9].to_vec();
    assert_eq!(
        serve(short, AfterReply::Close).client().sessions(List::Running).await.result.unwrap_err().kind,
        ApiErrorKind::ConnectionClosed
    );
    let chunks = "transfer-encoding: chunked\r\n\r\n[]\r\n0\r\n\r\n";
    for none in
        [http_response("200 OK", "content-encoding: gzip\r\n", "[]"), format!("HTTP/1.1 200 OK\r\n{chunks}")]
    {
        let kind =
            serve(none, AfterReply::Close).client().sessions(List::Running).await.result.unwrap_err().kind;
        assert!(matches!(kind, ApiErrorKind::Protocol(_)), "{kind:?}");
    }
}

#[tokio::test]
async fn what_is_left_of_a_limit_is_read_of_good_replies_and_of_bad_ones() {
    let headers = "x-ratelimit-limit: 25\r\nx-ratelimit-remaining: 3\r\nx-ratelimit-reset: 48\r\n";
    let left = Some(RateLimit { remaining: 3, resets_in: Duration::from_secs(48) });
    for (status, body) in [("200 OK", SESSION), ("429 Too Many Requests", "{}")] {
        let server = serve(http_response(status, headers, body), AfterReply::Close);
        assert_eq!(server.client().session(&id("s")).await.rate_limit, left, "{status}");
    }
    let server = serve(http_response("200 OK", "", SESSION), AfterReply::Close);
    assert_eq!(server.client().session(&id("s")).await.rate_limit, None);
}

/// Runs itself with the variables set, because a process can not safely set its own.
#[tokio::test]
async fn a_proxy_is_not_asked_for_a_loopback_address() {
    const INNER: &str = "KEEPWATCH_TEST_BEHIND_PROXY";
    if std::env::var_os(INNER).is_some() {
        for base in ["http://127.0.0.1", "http://localhost"] {
            let server = serve(http_response("200 OK", "", SESSION), AfterReply::Close);
            client_for(&format!("{base}:{}", server.port)).session(&id("s")).await.result.unwrap();
        }
        return;
    }
    let name = "api::client::tests::a_proxy_is_not_asked_for_a_loopback_address";
    let mut inner = Command::new(std::env::current_exe().unwrap());
    inner.args(["--exact", name]).env(INNER, "1").env_remove("NO_PROXY").env_remove("no_proxy");
    for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        inner.env(variable, "http://127.0.0.1:1");
    }
    let output = inner.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn the_tail_of_a_key_tells_keys_apart_and_gives_nothing_of_a_short_one() {
    assert_eq!(key_tail(&Secret::new("bb_live_0123456789f3a9".into())), "f3a9");
    assert_eq!(key_tail(&Secret::new("short".into())), "");
}

#[test]
fn loopback_is_told_by_the_address() {
    for (base, is) in [
        ("http://127.0.0.1:80", true),
        ("http://127.9.9.9", true),
        ("http://[::1]:7", true),
        ("http://localhost", true),
        ("http://demo.localhost", true),
        ("http://localhost.evil.example", false),
        ("http://10.0.0.1", false),
        ("https://api.browserbase.com", false),
    ] {
        assert_eq!(Endpoint { base: base.parse().unwrap() }.is_loopback(), is, "{base}");
    }
    assert_eq!(client_for("https://api.browserbase.com").endpoint().host(), "api.browserbase.com");
    assert_eq!(client_for("http://[::1]:7/x").endpoint().host(), "[::1]:7");
}
