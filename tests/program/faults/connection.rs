//! One connection to the fault server: reads requests, and responds according to the current [`Behaviour`].

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::Response;
use h2::server::SendResponse;
use keepwatch_core::clock::{Clock, Timestamp};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::behaviour::{AfterBytes, Behaviour};
use super::server::{Protocol, ServerState};

type BehaviourReceiver = watch::Receiver<Behaviour>;

/// Serves a connection until it closes.
pub(crate) async fn serve(
    mut stream: TcpStream,
    tls: Option<TlsAcceptor>,
    shared: Arc<ServerState>,
    mut behaviours: BehaviourReceiver,
) {
    // From here on, `changed` waits for a behaviour that is newer than the current one.
    behaviours.borrow_and_update();
    let Some(tls) = tls else { return http1(stream, &shared, &mut behaviours).await };
    let behaviour = behaviours.borrow().clone();
    if ends_connections(&behaviour) {
        // The client will send no request, so the handshake counts as one.
        shared.log_request("a handshake", true);
    }
    match behaviour {
        Behaviour::IgnoresHandshake => return send_bytes(stream, b"", AfterBytes::Hangs).await,
        Behaviour::SpeaksPlainHttp => {
            let _ = stream.read(&mut [0; 1024]).await;
            return send_bytes(stream, b"HTTP/1.1 400 Bad Request\r\n\r\n", AfterBytes::Closes).await;
        }
        _ => {}
    }
    let Ok(stream) = tls.accept(stream).await else { return };
    match shared.protocol {
        Protocol::Http2 => http2(stream, &shared, &mut behaviours).await,
        Protocol::Plain | Protocol::Tls | Protocol::Proxy(_) => http1(stream, &shared, &mut behaviours).await,
    }
}

/// Returns true if the behaviour ends existing connections.
pub(crate) fn ends_connections(behaviour: &Behaviour) -> bool {
    use Behaviour::{IgnoresHandshake, NeverAccepts, Refuses, Shows, SpeaksPlainHttp};
    matches!(behaviour, Refuses | NeverAccepts | Shows(_) | IgnoresHandshake | SpeaksPlainHttp)
}

/// Waits for a behaviour that ends connections.
async fn wait_for_disconnect(behaviours: &mut BehaviourReceiver) {
    let _ = behaviours.wait_for(ends_connections).await;
}

async fn http1<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    shared: &ServerState,
    behaviours: &mut BehaviourReceiver,
) {
    let mut responses = 0;
    loop {
        // Reads only one byte at first, because closing a connection with unread bytes resets it. `Resets` needs that.
        let mut head = vec![0];
        let read = tokio::select! {
            read = stream.read_exact(&mut head) => read,
            () = wait_for_disconnect(behaviours) => return,
        };
        let behaviour = behaviours.borrow().clone();
        if read.is_err() {
            return;
        }
        if let Behaviour::Resets = behaviour {
            return shared.log_request("unread", true);
        }
        let Some(path) = read_head(&mut stream, head).await else { return };
        if let Behaviour::SendsBytes(bytes, then) = &behaviour {
            shared.log_request(&path, true);
            return send_bytes(stream, bytes, *then).await;
        }
        if let Protocol::Proxy(port) = shared.protocol {
            return tunnel(stream, port, behaviours).await;
        }
        if matches!(behaviour, Behaviour::ClosesAtSecondRequest) && responses > 0 {
            return;
        }
        shared.log_request(&path, !matches!(behaviour, Behaviour::Normal));
        if stream.write_all(&normal_response(shared, &path, &behaviour)).await.is_err() {
            return;
        }
        if let Behaviour::ClosesAfterResponse = behaviour {
            return send_bytes(stream, b"", AfterBytes::Closes).await;
        }
        responses += 1;
    }
}

/// Reads the rest of a request's head, and returns the path.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S, mut head: Vec<u8>) -> Option<String> {
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(head).ok()?.split(' ').nth(1).map(str::to_owned)
}

async fn send_bytes<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: &[u8], then: AfterBytes) {
    // The client may have closed the connection already.
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
    match then {
        AfterBytes::Closes => {
            let _ = stream.shutdown().await;
        }
        AfterBytes::Hangs => while stream.read(&mut [0; 64]).await.unwrap_or(0) > 0 {},
        AfterBytes::SendsSpaces => while stream.write_all(&[b' '; 4096]).await.is_ok() {},
    }
}

/// Forwards to `port` of this machine until the behaviour changes.
async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    port: u16,
    behaviours: &mut BehaviourReceiver,
) {
    let Ok(mut target) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    if stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.is_err() {
        return;
    }
    tokio::select! {
        _ = copy_bidirectional(&mut stream, &mut target) => {}
        _ = behaviours.changed() => {}
    }
}

/// Returns the response of the API, which leaves the connection open.
fn normal_response(shared: &ServerState, path: &str, behaviour: &Behaviour) -> Vec<u8> {
    let mut body = response_body(shared, path);
    if let Behaviour::AddsInvalidElements = behaviour
        && body != "[]"
    {
        body = body.replacen('[', "[7,null,", 1);
    }
    let content_type =
        if let Behaviour::SendsWrongContentType = behaviour { "text/plain" } else { "application/json" };
    let (date, length) = (http_date(Clock::system().now().wall), body.len());
    let head = format!(
        "HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    );
    format!("{head}{body}").into_bytes()
}

/// Formats a time for an HTTP `Date` header.
pub(crate) fn http_date(at: Timestamp) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Returns the API's body for `path`: one session, or the list of the running sessions. Other lists are empty.
fn response_body(shared: &ServerState, path: &str) -> String {
    if let Some(id) = path.strip_prefix("/v1/sessions/") {
        let session = shared.sessions.iter().find(|session| session.contains(&format!("\"id\":\"{id}\"")));
        return session.cloned().unwrap_or_default();
    }
    if path == "/v1/sessions?status=RUNNING" {
        return format!("[{}]", shared.sessions.join(","));
    }
    "[]".into()
}

async fn http2<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    shared: &ServerState,
    behaviours: &mut BehaviourReceiver,
) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let mut requests = 0;
    loop {
        tokio::select! {
            request = connection.accept() => {
                let Some(Ok((request, responder))) = request else { return };
                let path = request.uri().path_and_query().unwrap().as_str().to_owned();
                let behaviour = behaviours.borrow().clone();
                requests += 1;
                match behaviour {
                    Behaviour::RefusesSecondStreams if requests % 2 == 0 => {
                        refuse(responder);
                        continue;
                    }
                    Behaviour::ClosesAtSecondRequest if requests > 1 => {
                        connection.abrupt_shutdown(h2::Reason::NO_ERROR);
                        let _ = std::future::poll_fn(|context| connection.poll_closed(context)).await;
                        return;
                    }
                    _ => {}
                }
                shared.log_request(&path, !matches!(behaviour, Behaviour::Normal | Behaviour::StopsResponding));
                if let Behaviour::Resets = behaviour {
                    return;
                }
                respond_http2(responder, response_body(shared, &path), &behaviour);
            }
            _ = behaviours.changed() => {
                if let Behaviour::StopsResponding = &*behaviours.borrow() {
                    break;
                }
            }
        }
    }
    // Keeps the socket open, and never reads from it again.
    std::future::pending::<()>().await;
    drop(connection);
}

fn refuse(mut responder: SendResponse<Bytes>) {
    responder.send_reset(h2::Reason::REFUSED_STREAM);
}

fn respond_http2(mut responder: SendResponse<Bytes>, body: String, behaviour: &Behaviour) {
    if let Behaviour::ResetsStreams = behaviour {
        return responder.send_reset(h2::Reason::INTERNAL_ERROR);
    }
    let response =
        Response::builder().header("date", http_date(Clock::system().now().wall)).body(()).unwrap();
    let Ok(mut stream) = responder.send_response(response, false) else { return };
    if let Behaviour::CutsStreams = behaviour {
        let _ = stream.send_data(Bytes::from(body).slice(..9), false); // a part of the body
        return stream.send_reset(h2::Reason::CANCEL);
    }
    let _ = stream.send_data(Bytes::from(body), true);
}
