//! Tests of connections that the server closes. It is normal for nginx, haproxy and caddy to close an idle connection.
//! The client then sends a GET again on a new connection. It never repeats a release.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use super::*;

/// The server's behaviour at the second request of each connection.
#[derive(Clone, Copy)]
enum OnSecondRequest {
    /// Closes the connection without a response, as if its idle timeout had passed.
    CloseConnection,
    /// Responds with 408 and closes the connection.
    RequestTimeout,
}

/// Starts a server that answers only the first request of each connection. Returns a client of the server, and the
/// request lines of the answered requests.
fn serve_one_per_connection(on_second: OnSecondRequest) -> (Client, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client_for(&format!("http://{}", listener.local_addr().unwrap()));
    let (answered, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answered = answered.clone();
            std::thread::spawn(move || answer_once(&stream.unwrap(), on_second, &answered));
        }
    });
    (client, requests)
}

/// Serves one connection. Passes the request line of its first request to `answered`. Returns an `Option` only to make
/// `?` possible.
fn answer_once(
    stream: &TcpStream,
    on_second: OnSecondRequest,
    answered: &mpsc::Sender<String>,
) -> Option<()> {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    let request_line = read_request(&mut reader)?;
    let body = r#"{"id":"s","status":"RUNNING"}"#;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = answered.send(request_line);
    writer.write_all(format!("{head}{body}").as_bytes()).ok()?;
    read_request(&mut reader)?;
    if let OnSecondRequest::RequestTimeout = on_second {
        writer
            .write_all(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            .ok()?;
    }
    Some(())
}

/// Reads the head and the body of a request. Returns the request line, or `None` if the connection ends.
fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let (mut request_line, mut body_length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            body_length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        request_line.get_or_insert(line);
    }
    let mut body = vec![0; body_length];
    std::io::Read::read_exact(reader, &mut body).ok()?;
    request_line
}

#[tokio::test]
async fn closed_kept_connection_is_replaced() {
    for on_second in [OnSecondRequest::CloseConnection, OnSecondRequest::RequestTimeout] {
        let (client, requests) = serve_one_per_connection(on_second);
        for _ in 0..6 {
            client.session(&SessionId::parse("s").unwrap()).await.result.unwrap();
        }
        assert_eq!(requests.try_iter().count(), 6, "the server answers each request exactly once");
    }
}

/// Three requests at the same time leave three kept connections. The server closes all of them.
#[tokio::test]
async fn several_closed_connections_are_replaced() {
    let (client, requests) = serve_one_per_connection(OnSecondRequest::CloseConnection);
    let id = SessionId::parse("s").unwrap();
    for _ in 0..3 {
        let (first, second, third) =
            tokio::join!(client.session(&id), client.session(&id), client.session(&id));
        first.result.and(second.result).and(third.result).unwrap();
    }
    for _ in 0..6 {
        client.session(&id).await.result.unwrap();
    }
    assert_eq!(
        requests.try_iter().count(),
        15,
        "the server answers each of the 3 * 3 + 6 requests exactly once"
    );
}

#[tokio::test]
async fn release_uses_a_new_connection() {
    let (client, requests) = serve_one_per_connection(OnSecondRequest::CloseConnection);
    let id = SessionId::parse("s").unwrap();
    client.session(&id).await.result.unwrap();
    let permission = ReleasePermission::unless_read_only(false).unwrap();
    permission.release(&client, &id).await.result.unwrap();
    assert_eq!(requests.try_iter().filter(|line| line.starts_with("POST")).count(), 1);
}

#[tokio::test]
async fn empty_release_response_fetches_session() {
    for status in
        ["204 No Content\r\n", "200 OK\r\ncontent-length: 0\r\n", "202 Accepted\r\ncontent-length: 0\r\n"]
    {
        let (client, requests) = serve_releases(&format!("HTTP/1.1 {status}\r\n"));
        let id = SessionId::parse("s").unwrap();
        let permission = ReleasePermission::unless_read_only(false).unwrap();
        let response = permission.release(&client, &id).await.result.unwrap();
        let ReleaseResponse::Empty { fetched } = response else { panic!("{response:?}") };
        assert_eq!(fetched.unwrap().id, id);
        let methods: Vec<String> =
            requests.try_iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(methods, ["POST", "GET"], "{status}");
    }
}

/// Starts a server that answers every GET with a session, and every POST with `post_response`. Returns a client of the
/// server, and the request lines of all requests.
fn serve_releases(post_response: &str) -> (Client, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client_for(&format!("http://{}", listener.local_addr().unwrap()));
    let (sender, requests) = mpsc::channel();
    let post_response = post_response.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let request_line = read_request(&mut BufReader::new(&stream)).unwrap();
            let body = r#"{"id":"s","status":"RUNNING"}"#;
            let session_response = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let response = if request_line.starts_with("GET") { &session_response } else { &post_response };
            let _ = sender.send(request_line);
            (&stream).write_all(response.as_bytes()).unwrap();
        }
    });
    (client, requests)
}

#[tokio::test]
async fn release_without_response_is_not_repeated() {
    let (client, requests) = serve_releases("");
    let id = SessionId::parse("s").unwrap();
    client.session(&id).await.result.unwrap();
    let permission = ReleasePermission::unless_read_only(false).unwrap();
    let error = permission.release(&client, &id).await.result.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::NoResponse);
    assert_eq!(requests.try_iter().filter(|line| line.starts_with("POST")).count(), 1);
}

#[tokio::test]
async fn failed_request_on_new_connection_is_not_repeated() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client_for(&format!("http://{}", listener.local_addr().unwrap()));
    let (sender, connections) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let _ = sender.send(read_request(&mut BufReader::new(&stream)));
        }
    });
    for _ in 0..3 {
        let error = client.session(&SessionId::parse("s").unwrap()).await.result.unwrap_err();
        assert_eq!(error.kind, ApiErrorKind::NoResponse);
    }
    assert_eq!(connections.try_iter().count(), 3, "no kept connection exists, so no request is repeated");
}
