use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc;

use super::*;
use keepwatch_core::testing::id;
use keepwatch_core::text::Untrusted;

mod dns;
mod kept_connections;
mod tls;

/// An API key. Like every secret in these tests, it contains `cAnArY`, for which tests search output.
const API_KEY: &str = "bb_test_cAnArY-key";
/// The JSON of a session, with a secret.
const SESSION: &str =
    r#"{"id":"s","status":"RUNNING","connectUrl":"wss://connect.example/?signingKey=cAnArY-url"}"#;
/// A timeout for responses that never come.
const SHORT_TIMEOUT: Duration = Duration::from_millis(80);
/// A timeout longer than any test takes on a busy machine.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The server's behaviour after its response, or instead of a response.
#[derive(Clone, Copy)]
enum AfterResponse {
    /// Closes the connection.
    Close,
    /// Sends nothing more until the client disconnects.
    Hang,
    /// Sends spaces until the client disconnects.
    Flood,
    /// Sends one space at a time, slowly, until the client disconnects.
    Trickle,
    /// Sends no response, and closes the connection before reading the request. This resets the connection.
    Reset,
}

/// A server that sends the same response to every request. `request_heads` receives the head of each request.
struct Server {
    port: u16,
    request_heads: mpsc::Receiver<String>,
}

/// Starts a server on a free port, on a thread of its own.
fn serve(response: impl Into<Vec<u8>>, after_response: AfterResponse) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heads, request_heads) = mpsc::channel();
    let response = response.into();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            respond(stream.unwrap(), &response, after_response, &heads);
        }
    });
    Server { port, request_heads }
}

/// Reads the head of one request, passes the head to `heads`, and responds.
fn respond(
    mut stream: TcpStream,
    response: &[u8],
    after_response: AfterResponse,
    heads: &mpsc::Sender<String>,
) {
    if let AfterResponse::Reset = after_response {
        let _ = stream.peek(&mut [0]); // waits until the request arrives
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
    let _ = heads.send(String::from_utf8(head).unwrap());
    let _ = stream.write_all(response); // the client may have closed the connection early
    match after_response {
        AfterResponse::Close | AfterResponse::Reset => {}
        AfterResponse::Hang => while stream.read(&mut [0]).unwrap_or(0) > 0 {},
        AfterResponse::Trickle => {
            while stream.write_all(b" ").is_ok() {
                std::thread::park_timeout(SHORT_TIMEOUT / 16);
            }
        }
        AfterResponse::Flood => while stream.write_all(&[b' '; 4096]).is_ok() {},
    }
}

/// Returns an HTTP response. `headers` has complete lines.
fn http_response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

fn client_for(base: &str) -> Client {
    Client::new(Endpoint { base: base.parse().unwrap() }, Secret::new(API_KEY.into()))
}

impl Server {
    fn client(&self) -> Client {
        client_for(&format!("http://127.0.0.1:{}", self.port))
    }

    /// Requests a session and returns the kind of the error.
    async fn error_kind(&self) -> ApiErrorKind {
        self.client().session(&id("s")).await.result.unwrap_err().kind
    }

    /// Requests a session with a client that has these limits. Returns the kind of the error.
    async fn error_kind_with_limits(&self, limits: ResponseLimits) -> ApiErrorKind {
        Client { limits, ..self.client() }.session(&id("s")).await.result.unwrap_err().kind
    }
}

/// Returns limits with a short response timeout.
fn short_limits() -> ResponseLimits {
    ResponseLimits { response_timeout: SHORT_TIMEOUT, ..ResponseLimits::default() }
}

#[tokio::test]
async fn content_type_of_json_is_ignored() {
    for kind in ["application/json", "text/plain", "text/html; charset=utf-8"] {
        let headers =
            format!("content-type: {kind}\r\ndate: Sun, 22 Nov 2026 12:00:00 GMT\r\nx-request-id: r-1\r\n");
        let server = serve(http_response("200 OK", &headers, SESSION), AfterResponse::Close);
        let response = server.client().session(&id("s")).await;
        assert_eq!(response.result.unwrap().id, id("s"));
        assert_eq!(response.date, Some("2026-11-22T12:00:00Z".parse().unwrap()));
        assert_eq!(response.bytes, u64::try_from(SESSION.len()).unwrap());
    }
}

#[tokio::test]
async fn cached_or_invalid_date_is_ignored() {
    for headers in ["date: Sun, 22 Nov 2026 12:00:00 GMT\r\nage: 7\r\n", "date: today\r\n", ""] {
        let server = serve(http_response("200 OK", headers, SESSION), AfterResponse::Close);
        assert_eq!(server.client().session(&id("s")).await.date, None, "{headers}");
    }
}

#[tokio::test]
async fn debug_output_hides_secrets() {
    let server = serve(http_response("200 OK", "", SESSION), AfterResponse::Close);
    let client = server.client();
    let session = client.session_with_urls(&id("s")).await.result.unwrap();
    assert_eq!(
        session.urls.connect.as_ref().unwrap().expose(),
        "wss://connect.example/?signingKey=cAnArY-url"
    );
    let debug_output = format!("{session:?} {client:?} {:?}", client.reconnected());
    assert!(!debug_output.contains("cAnArY"), "{debug_output}");
}

#[tokio::test]
async fn api_key_is_only_credential_sent() {
    let server = serve(http_response("200 OK", "", "[]"), AfterResponse::Close);
    server.client().sessions(List::Pending).await.result.unwrap();
    let head = server.request_heads.recv().unwrap();
    assert!(head.starts_with("GET /v1/sessions?status=PENDING HTTP/1.1\r\n"), "{head}");
    let lines: Vec<&str> = head.lines().filter(|line| line.contains(API_KEY)).collect();
    let (name, value) = lines[0].split_once(": ").unwrap();
    assert_eq!((lines.len(), name.to_lowercase().as_str(), value), (1, "x-bb-api-key", API_KEY));
    for unwanted in ["referer", "cookie", "authorization"] {
        assert!(!head.to_lowercase().contains(unwanted), "{head}");
    }
    server.client().projects().await.result.unwrap();
    assert!(server.request_heads.recv().unwrap().starts_with("GET /v1/projects HTTP/1.1\r\n"));
}

#[tokio::test]
async fn any_id_is_one_path_segment() {
    let server = serve(http_response("200 OK", "", "{}"), AfterResponse::Close);
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
            let _ = client.session(&SessionId::from_api(Untrusted::new(text))).await;
            let head = server.request_heads.recv().unwrap();
            assert!(head.starts_with(&format!("GET /prefix/v1/sessions/{encoded} HTTP/1.1\r\n")), "{head}");
        }
    }
}

#[tokio::test]
async fn malformed_api_key_is_never_sent() {
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

/// Asserts that nobody has connected to `listener`.
fn assert_no_connection(listener: &TcpListener) {
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let redirect_target = TcpListener::bind("127.0.0.1:0").unwrap();
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let location =
            format!("location: http://{}/v1/sessions/s\r\n", redirect_target.local_addr().unwrap());
        let server = serve(http_response(status, &location, ""), AfterResponse::Close);
        assert!(matches!(server.error_kind().await, ApiErrorKind::Redirect(_)), "{status}");
        assert_eq!(server.request_heads.try_iter().count(), 1);
    }
    assert_no_connection(&redirect_target);
}

#[tokio::test]
async fn error_response_keeps_status_and_message() {
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
        let server = serve(http_response(status, headers, body), AfterResponse::Close);
        let error = server.client().session(&id("s")).await.result.unwrap_err();
        assert_eq!(error.kind, kind);
        assert_eq!(error.message, Some(Untrusted::new("the words")));
        assert_eq!(error.request_id, Some(Untrusted::new("r-1")));
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        assert!(error.description().contains("the words"), "{}", error.description());
    }
}

#[tokio::test]
async fn error_status_needs_no_complete_body() {
    let server = serve("HTTP/1.1 404 Not Found\r\ncontent-length: 100\r\n\r\n{", AfterResponse::Close);
    assert_eq!(server.error_kind().await, ApiErrorKind::NotFound);
    let server = serve("HTTP/1.1 404 Not Found\r\ncontent-length: 100\r\n\r\n{", AfterResponse::Hang);
    assert_eq!(server.error_kind_with_limits(short_limits()).await, ApiErrorKind::NotFound);
    let server = serve("HTTP/1.1 500 Oops\r\n\r\n<html>", AfterResponse::Flood);
    assert_eq!(server.error_kind().await, ApiErrorKind::Server(500));
}

#[tokio::test]
async fn list_error_body_is_limited() {
    let response = "HTTP/1.1 503 Unavailable\r\n\r\n{\"message\":\"later\"}";
    let limits = ResponseLimits { error_body_timeout: SHORT_TIMEOUT, ..ResponseLimits::default() };
    let client = Client { limits, ..serve(response, AfterResponse::Trickle).client() };
    let list = tokio::time::timeout(TEST_TIMEOUT, client.sessions(List::Running)).await;
    let error = list.unwrap().result.unwrap_err();
    assert_eq!((error.kind, error.message), (ApiErrorKind::Server(503), Some(Untrusted::new("later"))));
    let client = serve("HTTP/1.1 500 Oops\r\n\r\n{", AfterResponse::Flood).client();
    let response = client.sessions(List::Running).await;
    assert_eq!(response.result.unwrap_err().kind, ApiErrorKind::Server(500));
    // The client stops after the chunk that exceeds the limit, and chunks vary in size.
    assert!(response.bytes < 4 * ResponseLimits::default().error_body_bytes, "{}", response.bytes);
}

#[tokio::test]
async fn list_must_start_soon() {
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>";
    let client = serve(page, AfterResponse::Trickle).client();
    let list = tokio::time::timeout(TEST_TIMEOUT, client.sessions(List::Running)).await;
    assert_eq!(list.unwrap().result.unwrap_err().kind, ApiErrorKind::Html);
    let client = Client {
        limits: short_limits(),
        ..serve("HTTP/1.1 200 OK\r\n\r\n", AfterResponse::Trickle).client()
    };
    let list = tokio::time::timeout(TEST_TIMEOUT, client.sessions(List::Running)).await;
    assert_eq!(list.unwrap().result.unwrap_err().kind, ApiErrorKind::Timeout);
}

#[tokio::test]
async fn escaped_api_key_is_redacted() {
    let body = r#"{"message":"no key is cA\u006eArY-7d1f/k"}"#;
    let server = serve(http_response("400 Bad Request", "", body), AfterResponse::Close);
    let endpoint = Endpoint { base: format!("http://127.0.0.1:{}", server.port).parse().unwrap() };
    let client = Client::new(endpoint, Secret::new("cAnArY-7d1f/k".into()));
    let error = client.session(&id("s")).await.result.unwrap_err();
    assert_eq!(error.message, Some(Untrusted::new("no key is ••••")));
}

#[tokio::test]
async fn non_json_body_is_classified() {
    for (body, kind) in [
        ("<!doctype html><title>Sign in</title>", ApiErrorKind::Html),
        (" \n<Error/>", ApiErrorKind::Html),
        ("upstream error", ApiErrorKind::NotJson(Untrusted::new("upstream error"))),
        ("", ApiErrorKind::NotJson(Untrusted::new(""))),
        ("{\"id\":\"s\"", ApiErrorKind::IncompleteJson),
        ("[]", ApiErrorKind::Unexpected(Untrusted::new("it is a list"))),
    ] {
        let server = serve(http_response("200 OK", "x-request-id: r-1\r\n", body), AfterResponse::Close);
        let error = server.client().session(&id("s")).await.result.unwrap_err();
        assert_eq!(error.kind, kind, "{body}");
        let has_request_id = error.request_id.is_some();
        assert_eq!(has_request_id, kind != ApiErrorKind::Html, "an HTML page does not come from the API");
    }
    let html_by_type = http_response("200 OK", "content-type: text/html\r\n", "Please sign in");
    assert_eq!(serve(html_by_type, AfterResponse::Close).error_kind().await, ApiErrorKind::Html);
    let empty = "HTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(
        serve(empty, AfterResponse::Close).error_kind().await,
        ApiErrorKind::NotJson(Untrusted::new(""))
    );
}

#[tokio::test]
async fn refused_connection_differs_from_timeout() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = client_for(&format!("http://127.0.0.1:{port}")).session(&id("s")).await.result.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::ConnectionRefused(Untrusted::new(format!("127.0.0.1:{port}"))));
    assert_eq!(
        serve("", AfterResponse::Hang).error_kind_with_limits(short_limits()).await,
        ApiErrorKind::Timeout
    );
    let partial = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    assert_eq!(
        serve(partial, AfterResponse::Hang).error_kind_with_limits(short_limits()).await,
        ApiErrorKind::Timeout
    );
}

#[tokio::test]
async fn endless_list_times_out() {
    let server = serve("HTTP/1.1 200 OK\r\n\r\n[", AfterResponse::Trickle);
    let limits = ResponseLimits { list_timeout: SHORT_TIMEOUT, ..ResponseLimits::default() };
    let client = Client { limits, ..server.client() };
    let list = tokio::time::timeout(TEST_TIMEOUT, client.sessions(List::Running)).await;
    assert_eq!(list.unwrap().result.unwrap_err().kind, ApiErrorKind::Timeout);
    let silent = Client { limits: short_limits(), ..serve("", AfterResponse::Hang).client() };
    let list = tokio::time::timeout(TEST_TIMEOUT, silent.sessions(List::Running)).await;
    assert_eq!(
        list.unwrap().result.unwrap_err().kind,
        ApiErrorKind::Timeout,
        "the shorter response timeout applies, too"
    );
}

#[tokio::test]
async fn truncated_response_is_classified() {
    let cut_short = ApiErrorKind::CutShort { received: 1, expected: 100 };
    for (partial, kind) in [
        ("", ApiErrorKind::NoResponse),
        ("HTTP/1.1 200", ApiErrorKind::NoResponse),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", cut_short),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"a", ApiErrorKind::ConnectionClosed),
    ] {
        assert_eq!(serve(partial, AfterResponse::Close).error_kind().await, kind, "{partial:?}");
    }
    assert_eq!(serve("", AfterResponse::Reset).error_kind().await, ApiErrorKind::NoResponse);
}

#[tokio::test]
async fn invalid_http_is_protocol_error() {
    let many_headers: String = (0..10_000).map(|number| format!("x-{number}: y\r\n")).collect();
    for garbage in [
        "SSH-2.0-OpenSSH_9.9\r\n\r\n".to_owned(),
        "HTTP/9.9 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 abc OK\r\n\r\n".to_owned(),
        "\0\0\0\0\0\0\0\0\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{many_headers}\r\n"),
        "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n".to_owned(),
    ] {
        let kind = serve(garbage.as_str(), AfterResponse::Hang).error_kind().await;
        assert!(matches!(kind, ApiErrorKind::Protocol(_)), "{kind:?} for {:.40}", garbage);
    }
}

#[tokio::test]
async fn too_large_response_is_dropped() {
    let declared = "HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n";
    let limit = ResponseLimits::default().session_bytes;
    assert_eq!(serve(declared, AfterResponse::Hang).error_kind().await, ApiErrorKind::TooLarge(limit));
    let sent = "HTTP/1.1 200 OK\r\n\r\n{";
    assert_eq!(serve(sent, AfterResponse::Flood).error_kind().await, ApiErrorKind::TooLarge(limit));
    let list = serve(sent, AfterResponse::Flood).client().sessions(List::Running).await;
    assert_eq!(list.result.unwrap_err().kind, ApiErrorKind::TooLarge(ResponseLimits::default().list_bytes));
}

#[tokio::test]
async fn large_list_is_decoded() {
    let elements: Vec<String> =
        (0..3000).map(|number| format!(r#"{{"id":"s{number}","status":"RUNNING"}}"#)).collect();
    let body = format!("[{}]", elements.join(","));
    assert!(body.len() > YIELD_AFTER_BYTES, "the body is large enough for the client to yield");
    let listing = serve(http_response("200 OK", "", &body), AfterResponse::Close)
        .client()
        .sessions(List::Running)
        .await;
    assert_eq!(listing.result.unwrap().sessions.len(), 3000);
}

fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn gzip_response(body: &[u8]) -> Vec<u8> {
    let compressed = gzipped(body);
    let length = compressed.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.into_bytes(), compressed].concat()
}

#[tokio::test]
async fn only_lists_accept_gzip() {
    let body = format!("[{SESSION}{}]", format!(",{SESSION}").repeat(99));
    let server = serve(gzip_response(body.as_bytes()), AfterResponse::Close);
    let response = server.client().sessions(List::Running).await;
    assert_eq!(response.result.unwrap().sessions.len(), 100);
    assert_eq!(response.bytes, u64::try_from(body.len()).unwrap(), "the size after decompression");
    let accept_encoding = |head: String| {
        let line = head
            .to_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("accept-encoding: ").map(str::to_owned));
        line.unwrap_or_default()
    };
    assert_eq!(accept_encoding(server.request_heads.recv().unwrap()), "gzip");
    let server = serve(http_response("200 OK", "", SESSION), AfterResponse::Close);
    server.client().session(&id("s")).await.result.unwrap();
    server.client().session_with_urls(&id("s")).await.result.unwrap();
    assert_eq!(accept_encoding(server.request_heads.recv().unwrap()), "identity");
    assert_eq!(accept_encoding(server.request_heads.recv().unwrap()), "identity");
}

#[tokio::test]
async fn gzip_bomb_is_dropped() {
    let limits = ResponseLimits { list_bytes: 256 * 1024, ..ResponseLimits::default() };
    let bomb = gzip_response(&vec![b' '; 16 * 1024 * 1024]);
    assert!(bomb.len() < 32 * 1024, "the compressed size is small: {}", bomb.len());
    let client = Client { limits, ..serve(bomb, AfterResponse::Close).client() };
    let response = client.sessions(List::Running).await;
    assert_eq!(response.result.unwrap_err().kind, ApiErrorKind::TooLarge(limits.list_bytes));
    assert!(response.bytes < 2 * limits.list_bytes, "decompression stops at the limit: {}", response.bytes);
}

#[tokio::test]
async fn truncated_and_invalid_bodies_differ() {
    // The body has 22 bytes: a header of 10, data of 4, and a trailer of 8.
    let complete = gzip_response(b"[]");
    // Cuts the trailer and the last byte of the data.
    let truncated = complete[..complete.len() - 9].to_vec();
    assert_eq!(
        serve(truncated, AfterResponse::Close)
            .client()
            .sessions(List::Running)
            .await
            .result
            .unwrap_err()
            .kind,
        ApiErrorKind::CutShort { received: 13, expected: 22 }
    );
    // `[]` is not gzip, and it is not the length of a chunk.
    let chunks = "transfer-encoding: chunked\r\n\r\n[]\r\n0\r\n\r\n";
    for invalid in
        [http_response("200 OK", "content-encoding: gzip\r\n", "[]"), format!("HTTP/1.1 200 OK\r\n{chunks}")]
    {
        let kind = serve(invalid, AfterResponse::Close)
            .client()
            .sessions(List::Running)
            .await
            .result
            .unwrap_err()
            .kind;
        assert!(matches!(kind, ApiErrorKind::Protocol(_)), "{kind:?}");
    }
}

#[tokio::test]
async fn rate_limit_is_read_from_any_response() {
    let headers = "x-ratelimit-limit: 25\r\nx-ratelimit-remaining: 3\r\nx-ratelimit-reset: 48\r\n";
    let expected = Some(RateLimit { remaining: 3, resets_in: Duration::from_secs(48) });
    for (status, body) in [("200 OK", SESSION), ("429 Too Many Requests", "{}")] {
        let server = serve(http_response(status, headers, body), AfterResponse::Close);
        assert_eq!(server.client().session(&id("s")).await.rate_limit, expected, "{status}");
    }
    let server = serve(http_response("200 OK", "", SESSION), AfterResponse::Close);
    assert_eq!(server.client().session(&id("s")).await.rate_limit, None);
}

/// Runs itself as a child process with the proxy variables set, because a process cannot safely set its own environment
/// variables.
#[tokio::test]
async fn loopback_address_bypasses_proxy() {
    const CHILD_VARIABLE: &str = "KEEPWATCH_TEST_BEHIND_PROXY";
    if std::env::var_os(CHILD_VARIABLE).is_some() {
        for base in ["http://127.0.0.1", "http://localhost"] {
            let server = serve(http_response("200 OK", "", SESSION), AfterResponse::Close);
            client_for(&format!("{base}:{}", server.port)).session(&id("s")).await.result.unwrap();
        }
        return;
    }
    let name = "api::client::tests::loopback_address_bypasses_proxy";
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name]).env(CHILD_VARIABLE, "1").env_remove("NO_PROXY").env_remove("no_proxy");
    for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(variable, "http://127.0.0.1:1"); // nothing listens there
    }
    let output = child.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
}

#[test]
fn only_long_api_key_has_tail() {
    assert_eq!(key_tail(&Secret::new("bb_live_0123456789f3a9".into())), "f3a9");
    assert_eq!(key_tail(&Secret::new("short".into())), "");
}

#[test]
fn loopback_addresses_are_recognised() {
    for (base, expected) in [
        ("http://127.0.0.1:80", true),
        ("http://127.9.9.9", true),
        ("http://[::1]:7", true),
        ("http://localhost", true),
        ("http://demo.localhost", true),
        ("http://localhost.evil.example", false),
        ("http://10.0.0.1", false),
        ("https://api.browserbase.com", false),
    ] {
        assert_eq!(Endpoint { base: base.parse().unwrap() }.is_loopback(), expected, "{base}");
    }
}

#[test]
fn host_includes_unusual_port() {
    assert_eq!(client_for("https://api.browserbase.com").endpoint().host(), "api.browserbase.com");
    assert_eq!(client_for("http://[::1]:7/x").endpoint().host(), "[::1]:7");
}
