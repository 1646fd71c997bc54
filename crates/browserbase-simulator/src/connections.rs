//! The connections of the HTTP server: their number, and how long a client may be silent.
//!
//! ```text
//!   connect ──► receiving ──request is complete──► answering ──response is written──► idle
//!                 ▲  │ request_timeout                 (no limit: faults hang)         │ │ idle_timeout
//!                 │  └──────────────► closed ◄────────────────────────────────────────┼─┘
//!                 └────────────────────────── first byte of the next request ─────────┘
//! ```
//!
//! While there are as many connections as allowed, new ones wait in the system's queue. The module never looks into a
//! request: it hands each one to the router.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::sleep_real_time;

/// The delay after the system refuses a connection, for example because the process has too many open files.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The limits that protect the server from many connections and from silent clients. They count real time, whatever
/// the simulator's clock does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// The maximum number of open connections. Further ones wait until one closes.
    pub max_connections: usize,
    /// The maximum time to receive the headers of a request. Its body has as much time again. The time for the headers
    /// counts from their first byte or, for the first request, from the start of the connection.
    pub request_timeout: Duration,
    /// The maximum time between a response and the next request.
    pub idle_timeout: Duration,
}

impl Default for ConnectionLimits {
    /// Returns limits of 1,000 connections, 10 seconds for the headers or the body of a request, and Fastify's 72
    /// seconds between requests.
    fn default() -> Self {
        Self {
            max_connections: 1000,
            request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(72),
        }
    }
}

/// Serves `router` until `running` is false or its sender is dropped. Then closes the port and every connection.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    mut running: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut stopped = std::pin::pin!(running.wait_for(|running| !running));
    loop {
        // promise: simulator-connections, mutant: connections.len() < limits.max_connections -> true
        let has_room = connections.len() < limits.max_connections;
        tokio::select! {
            stream = accept(&listener), if has_room => {
                connections.spawn(serve_connection(stream, router.clone(), limits));
            }
            Some(_) = connections.join_next() => {}
            _ = &mut stopped => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// Returns the next connection. After an error of the system, waits and tries again.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_error_of_client(error.kind()) => {}
            Err(_) => sleep_real_time(ACCEPT_RETRY_DELAY).await,
        }
    }
}

/// Returns true if the client closed the connection before it was accepted.
fn is_error_of_client(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(kind, ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves the requests of one connection until the client closes it or is silent for too long.
async fn serve_connection(stream: TcpStream, router: Router, limits: ConnectionLimits) {
    _ = stream.set_nodelay(true);
    let (phase_sender, phase_receiver) = watch::channel(ConnectionPhase::Receiving);
    let io = TokioIo::new(MonitoredStream { stream, phase_sender: phase_sender.clone() });
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let guard = AnsweringGuard::new(phase_sender.clone());
        let response = router.call(request);
        async move { response.await.map(|response| response.map(|body| AnsweringBody { body, guard })) }
    });
    tokio::select! {
        _ = http1::Builder::new().serve_connection(io, service) => {}
        () = wait_until_silent(phase_receiver, limits) => {}
    }
}

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionPhase {
    /// The headers of a request are incomplete.
    Receiving,
    /// The headers of a request are complete, and its response is not yet written.
    Answering,
    /// A response is written, and no byte of the next request has arrived.
    Idle,
}

/// Returns once the client has been silent for too long.
async fn wait_until_silent(mut phase_receiver: watch::Receiver<ConnectionPhase>, limits: ConnectionLimits) {
    loop {
        let timeout = match *phase_receiver.borrow_and_update() {
            // promise: simulator-timeout, mutant: Some(limits.request_timeout) -> None
            ConnectionPhase::Receiving => Some(limits.request_timeout),
            ConnectionPhase::Idle => Some(limits.idle_timeout),
            ConnectionPhase::Answering => None,
        };
        let time_is_up = async {
            match timeout {
                Some(timeout) => sleep_real_time(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // An error means that every sender is dropped: the connection is closed.
            changed = phase_receiver.changed() => if changed.is_err() { return },
            () = time_is_up => return,
        }
    }
}

/// A guard for the phase of a connection: [`ConnectionPhase::Answering`] while the guard exists, and
/// [`ConnectionPhase::Idle`] from its drop on.
struct AnsweringGuard(watch::Sender<ConnectionPhase>);

impl AnsweringGuard {
    fn new(phase_sender: watch::Sender<ConnectionPhase>) -> Self {
        phase_sender.send_replace(ConnectionPhase::Answering);
        Self(phase_sender)
    }
}

impl Drop for AnsweringGuard {
    fn drop(&mut self) {
        self.0.send_replace(ConnectionPhase::Idle);
    }
}

/// A response's body with its guard. hyper drops both once it has read the whole body.
struct AnsweringBody {
    body: Body,
    #[expect(dead_code, reason = "its drop ends the phase")]
    guard: AnsweringGuard,
}

impl HttpBody for AnsweringBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that updates its phase when bytes move.
struct MonitoredStream {
    stream: TcpStream,
    phase_sender: watch::Sender<ConnectionPhase>,
}

impl MonitoredStream {
    /// Sets the phase to `next` if it is [`ConnectionPhase::Idle`]. This restarts the timeout, even if `next` is the
    /// same phase.
    fn set_phase_if_idle(&self, next: ConnectionPhase) {
        self.phase_sender.send_if_modified(|phase| {
            let is_idle = *phase == ConnectionPhase::Idle;
            if is_idle {
                *phase = next;
            }
            is_idle
        });
    }

    /// Restarts the idle timeout if bytes were written. In the phase [`ConnectionPhase::Idle`], they are the rest of a
    /// response that hyper has read but not yet sent.
    fn after_write(&self, result: &Poll<io::Result<usize>>) {
        if matches!(result, Poll::Ready(Ok(1..))) {
            self.set_phase_if_idle(ConnectionPhase::Idle);
        }
    }
}

impl AsyncRead for MonitoredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length_before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > length_before {
            self.set_phase_if_idle(ConnectionPhase::Receiving);
        }
        result
    }
}

impl AsyncWrite for MonitoredStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.after_write(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.after_write(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
