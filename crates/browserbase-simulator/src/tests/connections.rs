//! The maximum number of connections, and the timeouts for slow and silent clients.

use super::*;

/// Limits that no test reaches. Each test lowers the limits that it is about.
const GENEROUS_LIMITS: ConnectionLimits = ConnectionLimits {
    max_connections: 100,
    request_timeout: Duration::from_secs(3600),
    idle_timeout: Duration::from_secs(3600),
};
const SHORT_TIMEOUT: Duration = Duration::from_millis(100);
const REQUEST: &[u8] = b"GET /v1/x HTTP/1.1\r\nhost: x\r\n\r\n";

fn simulator_with(connections: ConnectionLimits, scenario: &str) -> Simulator {
    simulator_with_limits(&clock(), scenario, connections)
}

async fn connect(simulator: &Simulator) -> TcpStream {
    TcpStream::connect(simulator.addr()).await.unwrap()
}

/// Sends a request and reads its response, which is a 404.
async fn exchange(stream: &mut TcpStream) {
    stream.write_all(REQUEST).await.unwrap();
    read_not_found(stream).await;
}

/// Reads one response, which is a 404.
async fn read_not_found(stream: &mut TcpStream) {
    let mut response = Vec::new();
    while !response.ends_with(b"}") {
        assert_ne!(
            with_timeout(stream.read_buf(&mut response)).await.unwrap(),
            0,
            "the connection stays open until the response is complete"
        );
    }
    assert!(response.starts_with(b"HTTP/1.1 404"));
}

#[tokio::test]
async fn slow_headers_close_the_connection() {
    let simulator =
        simulator_with(ConnectionLimits { request_timeout: SHORT_TIMEOUT, ..GENEROUS_LIMITS }, "");
    for partial_head in ["", "GET /v1/x HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = connect(&simulator).await;
        stream.write_all(partial_head.as_bytes()).await.unwrap();
        assert_eq!(read_all(&mut stream).await, b"", "{partial_head}");
    }
}

#[tokio::test]
async fn single_bytes_do_not_extend_the_timeout() {
    let simulator =
        simulator_with(ConnectionLimits { request_timeout: SHORT_TIMEOUT, ..GENEROUS_LIMITS }, "");
    let mut stream = connect(&simulator).await;
    with_timeout(async {
        // Each round sends a byte, and waits less than the timeout for the end of the connection.
        while stream.write_all(b"a").await.is_ok() {
            if tokio::time::timeout(SHORT_TIMEOUT / 10, stream.read(&mut [0])).await.is_ok() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn slow_second_request_closes_the_connection() {
    let simulator =
        simulator_with(ConnectionLimits { request_timeout: SHORT_TIMEOUT, ..GENEROUS_LIMITS }, "");
    // On a busy machine, even a complete request can be too late.
    with_timeout(async {
        loop {
            let mut stream = connect(&simulator).await;
            stream.write_all(REQUEST).await.unwrap();
            if stream.read(&mut [0; 4096]).await.is_ok_and(|length| length > 0) {
                stream.write_all(b"GET").await.unwrap();
                read_all(&mut stream).await;
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn slow_body_is_answered_with_408() {
    let simulator =
        simulator_with(ConnectionLimits { request_timeout: SHORT_TIMEOUT, ..GENEROUS_LIMITS }, "");
    let request = "POST /v1/sessions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 9\r\n\r\n{";
    with_timeout(async {
        loop {
            // On a busy machine, even the headers can be too late.
            let response = send_raw(&simulator, request).await;
            if !response.is_empty() {
                return assert_eq!(parse_response(&response).status, 408);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn slow_response_has_no_timeout() {
    let limits =
        ConnectionLimits { request_timeout: SHORT_TIMEOUT, idle_timeout: SHORT_TIMEOUT, ..GENEROUS_LIMITS };
    let simulator = simulator_with(limits, "latency = '300ms'");
    let request = "GET /v1/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    // On a busy machine, the request can be too late.
    with_timeout(async { while send_raw(&simulator, request).await.is_empty() {} }).await;
}

#[tokio::test]
async fn idle_connection_is_closed() {
    let simulator = simulator_with(ConnectionLimits { idle_timeout: SHORT_TIMEOUT, ..GENEROUS_LIMITS }, "");
    let mut stream = connect(&simulator).await;
    exchange(&mut stream).await;
    assert_eq!(read_all(&mut stream).await, b"");
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let simulator = simulator_with(ConnectionLimits { max_connections: 2, ..GENEROUS_LIMITS }, "");
    let (mut first, mut second) = (connect(&simulator).await, connect(&simulator).await);
    exchange(&mut first).await;
    exchange(&mut second).await;
    let mut third = connect(&simulator).await;
    third.write_all(REQUEST).await.unwrap();
    for _ in 0..10 {
        exchange(&mut first).await;
        exchange(&mut second).await;
    }
    // Each of the first two connections has sent 1 + 10 requests.
    assert_eq!(simulator.request_counts().other, 2 * 11, "the third connection waits");
    drop(first);
    read_not_found(&mut third).await;
}
