//! Connections that the server closes. It is normal for nginx, haproxy and caddy to close an idle connection. The
//! client then sends a GET again on a new connection, but not a release.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use super::*;

/// The server's behaviour at the second request of each connection.
#[derive(Clone, Copy)]
enum SecondRequest {
    /// Closes the connection, as if its idle timeout had passed.
    CloseConnection,
    /// Answers 408 and closes the connection.
    RequestTimeout,
}

/// Starts a server that answers only the first request of each connection. Returns a client of the server, and the
/// first lines of the answered requests.
fn serve_one_per_connection(second: SecondRequest) -> (Client, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client_for(&format!("http://{}", listener.local_addr().unwrap()));
    let (answered, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answered = answered.clone();
            std::thread::spawn(move || answer_once(&stream.unwrap(), second, &answered));
        }
    });
    (client, requests)
}

/// Serves one connection. Returns an `Option` only to make `?` possible.
fn answer_once(stream: &TcpStream, second: SecondRequest, answered: &mpsc::Sender<String>) -> Option<()> {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    let line = read_request(&mut reader)?;
    let body = r#"{"id":"s","status":"RUNNING"}"#;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = answered.send(line);
    writer.write_all(format!("{head}{body}").as_bytes()).ok()?;
    read_request(&mut reader)?;
    if let SecondRequest::RequestTimeout = second {
        writer
            .write_all(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            .ok()?;
    }
    Some(())
}

/// Reads the head of a request and a body of a known length. Returns the first line, or `None` at the end.
fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let (mut first, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        first.get_or_insert(line);
    }
    let mut body = vec![0; length];
    std::io::Read::read_exact(reader, &mut body).ok()?;
    first
}

#[tokio::test]
async fn closed_kept_connection_is_replaced() {
    for second in [SecondRequest::CloseConnection, SecondRequest::RequestTimeout] {
        let (client, requests) = serve_one_per_connection(second);
        for _ in 0..6 {
            client.session(&SessionId::parse("s").unwrap()).await.result.unwrap();
        }
        assert_eq!(requests.try_iter().count(), 6, "the server answers each request exactly once");
    }
}

#[tokio::test]
async fn release_is_not_repeated_on_a_new_connection() {
    let (client, requests) = serve_one_per_connection(SecondRequest::CloseConnection);
    let id = SessionId::parse("s").unwrap();
    client.session(&id).await.result.unwrap();
    let permission = ReleasePermission::unless_read_only(false).unwrap();
    let error = permission.release(&client, &id).await.result.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::NoResponse);
    assert_eq!(requests.try_iter().filter(|line| line.starts_with("POST")).count(), 0);
}

#[tokio::test]
async fn server_that_closes_every_connection_gets_one_request_each() {
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
    assert_eq!(connections.try_iter().count(), 3, "no connection was a kept one, so no request is repeated");
}
