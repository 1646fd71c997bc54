//! Requests that break the rules of HTTP or of the API.

use super::*;

const API_KEY_HEADER: &str = "x-bb-api-key: bb_test_key\r\n";
const JSON_HEADERS: &str = "x-bb-api-key: bb_test_key\r\ncontent-type: application/json\r\n";

/// Sends a request on a connection of its own, and returns the response.
async fn send(simulator: &Simulator, request_line: &str, headers: &str, body: &str) -> HttpResponse {
    let request = format!("{request_line}\r\nconnection: close\r\n{headers}\r\n{body}");
    parse_response(&send_raw(simulator, &request).await)
}

#[tokio::test]
async fn only_malformed_requests_get_an_error_status() {
    let simulator = simulator(&clock(), "[[session]]\nid = 'a'");
    let json_headers = format!("host: x\r\n{JSON_HEADERS}");
    let chunked_headers = format!("{json_headers}transfer-encoding: chunked\r\n");
    let key_headers = format!("host: x\r\n{API_KEY_HEADER}");
    for (request_line, headers, body, status) in [
        ("POST /v1/sessions HTTP/1.1", &chunked_headers, "zz\r\n{}\r\n0\r\n\r\n", 400),
        ("POST /v1/sessions HTTP/1.1", &chunked_headers, "2\r\n{}more", 400),
        ("POST /v1/sessions HTTP/1.1", &chunked_headers, "2\r\n{}\r\n0\r\n\r\n", 201),
        ("GET /v1/sessions HTTP/1.1", &chunked_headers, "zz\r\n", 400),
        ("POST /v1/sessions HTTP/1.1", &format!("{json_headers}content-length: 1\r\n"), "{", 400),
        ("POST /v1/sessions HTTP/1.1", &format!("{json_headers}content-length: 2\r\n"), "\x7f\x7f", 400),
        ("GET /v1/sessions/%FF HTTP/1.1", &key_headers, "", 400),
        ("POST /v1/sessions/%FF HTTP/1.1", &json_headers, "", 400),
        ("GET /v1/sessions/%FF/debug HTTP/1.1", &key_headers, "", 400),
        ("GET /v1/projects/%FF/usage HTTP/1.1", &key_headers, "", 400),
        ("DELETE /v1/sessions/%FF HTTP/1.1", &key_headers, "", 405),
        ("GET /v1/sessions?status=%FF HTTP/1.1", &key_headers, "", 400),
        ("GET /v1/sessions?q=%FF HTTP/1.1", &key_headers, "", 400),
        ("GET /v1/sessions?other=%FF HTTP/1.1", &key_headers, "", 200),
        ("BREW /v1/sessions HTTP/1.1", &key_headers, "", 405),
        ("get /v1/sessions HTTP/1.1", &key_headers, "", 405),
        ("GET /v1/sessions HTTP/1.1", &API_KEY_HEADER.to_owned(), "", 400),
        ("GET /v1/sessions HTTP/1.0", &API_KEY_HEADER.to_owned(), "", 200),
        ("GET /v1/sessions HTTP/1.1", &format!("{key_headers}expect: a teapot\r\n"), "", 417),
    ] {
        let response = send(&simulator, request_line, headers, body).await;
        assert_eq!(response.status, status, "{request_line} {body}: {}", response.body);
        if status >= 400 {
            assert_eq!(response.json()["statusCode"], status, "{request_line}");
        }
    }
}

#[tokio::test]
async fn unreadable_head_gets_an_error_status() {
    let simulator = simulator(&clock(), "");
    let long_value = "y".repeat(1_000_000);
    for (request, status) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("GET /v1/sessions HTTP/9.9\r\nhost: x\r\n\r\n".to_owned(), 400),
        ("POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n".to_owned(), 400),
        (
            "POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"
                .to_owned(),
            400,
        ),
        (format!("GET /v1/sessions HTTP/1.1\r\nhost: x\r\nx: {long_value}\r\n\r\n"), 431),
    ] {
        let response = send_raw(&simulator, &request).await;
        let request_start: String = request.chars().take(80).collect();
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{request_start}: {response}");
    }
}

#[tokio::test]
async fn large_body_is_refused_only_where_it_is_read() {
    let simulator = simulator(&clock(), "[[session]]\nid = 'a'");
    let body = "y".repeat(1024 * 1024 + 1); // one byte over the limit
    for (method, target, status) in [
        ("POST", "/v1/sessions", 413),
        ("POST", "/v1/sessions/a", 413),
        ("GET", "/v1/sessions", 200),
        ("PUT", "/v1/sessions", 405),
    ] {
        let response = request_with_body(&simulator, method, target, JSON_HEADERS, &body).await;
        assert_eq!(response.status, status, "{method} {target}");
    }
}

#[tokio::test]
async fn continue_is_sent_before_the_body() {
    let simulator = simulator(&clock(), "");
    let mut stream = TcpStream::connect(simulator.addr()).await.unwrap();
    let head = format!(
        "POST /v1/sessions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{JSON_HEADERS}expect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim_response = vec![0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    with_timeout(stream.read_exact(&mut interim_response)).await.unwrap();
    assert_eq!(interim_response, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{}").await.unwrap();
    let response = String::from_utf8(read_all(&mut stream).await).unwrap();
    assert_eq!(parse_response(&response).status, 201);
}
