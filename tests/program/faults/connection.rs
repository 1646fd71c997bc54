//! One connection to the fault server: requests in, replies or what is played in their place out.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::Response;
use h2::server::SendResponse;
use keepwatch_core::clock::{Clock, Timestamp};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::play::{Play, Then};
use super::server::{Shared, Speech};

type Plays = watch::Receiver<Play>;

/// Serves a connection to its end.
pub(crate) async fn serve(
    mut stream: TcpStream,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    mut plays: Plays,
) {
    plays.borrow_and_update();
    let Some(tls) = tls else { return http1(stream, &shared, &mut plays).await };
    let play = plays.borrow().clone();
    if ends_connections(&play) {
        shared.hit("a handshake", true);
    }
    match play {
        Play::ShakesNoHands => return say(stream, b"", Then::Hangs).await,
        Play::SpeaksPlain => {
            let _ = stream.read(&mut [0; 1024]).await;
            return say(stream, b"HTTP/1.1 400 Bad Request\r\n\r\n", Then::Closes).await;
        }
        _ => {}
    }
    let Ok(stream) = tls.accept(stream).await else { return };
    match shared.speech {
        Speech::Http2 => http2(stream, &shared, &mut plays).await,
        _ => http1(stream, &shared, &mut plays).await,
    }
}

/// Whether connections that were there before end by it.
pub(crate) fn ends_connections(play: &Play) -> bool {
    use Play::{Deaf, Refuses, ShakesNoHands, Shows, SpeaksPlain};
    matches!(play, Refuses | Deaf | Shows(_) | ShakesNoHands | SpeaksPlain)
}

/// Waits until something is played that ends connections.
async fn ended(plays: &mut Plays) {
    let _ = plays.wait_for(ends_connections).await;
}

async fn http1<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, shared: &Shared, plays: &mut Plays) {
    loop {
        // Its first byte alone: a connection that is closed with the rest unread is reset.
        let mut head = vec![0];
        let read = tokio::select! {
            read = stream.read_exact(&mut head) => read,
            () = ended(plays) => return,
        };
        let play = plays.borrow().clone();
        if read.is_err() {
            return;
        }
        if let Play::Resets = play {
            return shared.hit("unread", true);
        }
        let Some(path) = rest_of_head(&mut stream, head).await else { return };
        if let Play::Says(bytes, then) = &play {
            shared.hit(&path, true);
            return say(stream, bytes, *then).await;
        }
        if let Speech::Proxy(port) = shared.speech {
            return tunnel(stream, port, plays).await;
        }
        shared.hit(&path, matches!(play, Play::Retypes | Play::AddsNonsense));
        if stream.write_all(&good(shared, &path, &play)).await.is_err() {
            return;
        }
    }
}

/// Reads on to the end of a request's head, and returns its path.
async fn rest_of_head<S: AsyncRead + Unpin>(stream: &mut S, mut head: Vec<u8>) -> Option<String> {
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(head).ok()?.split(' ').nth(1).map(str::to_owned)
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: &[u8], then: Then) {
    // A client that has seen enough may be gone.
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
    match then {
        Then::Closes => {
            let _ = stream.shutdown().await;
        }
        Then::Hangs => while stream.read(&mut [0; 64]).await.unwrap_or(0) > 0 {},
        Then::GoesOn => while stream.write_all(&[b' '; 4096]).await.is_ok() {},
    }
}

/// Leads on to `port` of this machine, until something else is played.
async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, port: u16, plays: &mut Plays) {
    let Ok(mut to) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    if stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.is_err() {
        return;
    }
    tokio::select! {
        _ = copy_bidirectional(&mut stream, &mut to) => {}
        _ = plays.changed() => {}
    }
}

/// The reply that the API would give, and that leaves the connection open.
fn good(shared: &Shared, path: &str, play: &Play) -> Vec<u8> {
    let mut body = document(shared, path);
    if let Play::AddsNonsense = play
        && body != "[]"
    {
        body = body.replacen('[', "[7,null,", 1);
    }
    let kind = if let Play::Retypes = play { "text/plain" } else { "application/json" };
    let (date, length) = (date(Clock::system().now().wall), body.len());
    let head = format!(
        "HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    );
    format!("{head}{body}").into_bytes()
}

/// As HTTP has it.
pub(crate) fn date(at: Timestamp) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn document(shared: &Shared, path: &str) -> String {
    if let Some(id) = path.strip_prefix("/v1/sessions/") {
        let one = shared.sessions.iter().find(|session| session.contains(&format!("\"id\":\"{id}\"")));
        return one.cloned().unwrap_or_default();
    }
    if path == "/v1/sessions?status=RUNNING" {
        return format!("[{}]", shared.sessions.join(","));
    }
    "[]".into()
}

async fn http2<S: AsyncRead + AsyncWrite + Unpin>(stream: S, shared: &Shared, plays: &mut Plays) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    loop {
        tokio::select! {
            request = connection.accept() => {
                let Some(Ok((request, respond))) = request else { return };
                let path = request.uri().path_and_query().unwrap().as_str().to_owned();
                let play = plays.borrow().clone();
                shared.hit(&path, matches!(play, Play::Resets | Play::ResetsStreams | Play::CutsStreams));
                if let Play::Resets = play {
                    return;
                }
                answer(respond, document(shared, &path), &play);
            }
            _ = plays.changed() => {
                if let Play::FallsSilent = &*plays.borrow() {
                    break;
                }
            }
        }
    }
    // Nobody looks after it any more, and nobody closes it.
    std::future::pending::<()>().await;
    drop(connection);
}

fn answer(mut respond: SendResponse<Bytes>, body: String, play: &Play) {
    if let Play::ResetsStreams = play {
        return respond.send_reset(h2::Reason::INTERNAL_ERROR);
    }
    let reply = Response::builder().header("date", date(Clock::system().now().wall)).body(()).unwrap();
    let Ok(mut stream) = respond.send_response(reply, false) else { return };
    if let Play::CutsStreams = play {
        let _ = stream.send_data(Bytes::from(body).slice(..9), false);
        return stream.send_reset(h2::Reason::CANCEL);
    }
    let _ = stream.send_data(Bytes::from(body), true);
}
