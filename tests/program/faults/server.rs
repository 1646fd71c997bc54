//! The fault server: a listener on this machine that responds as the API does until its [`Behaviour`] changes. It logs
//! connections and requests, and never looks at any part of a request but its path.
//!
//! ```text
//!   listen ──► connection ──► (TLS) ──► http1    normal responses, or other bytes
//!     │                         └─────► http2    normal responses, resets, or silence
//!     └ refuses, never accepts
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

use super::behaviour::Behaviour;
use super::certificates::{Certificate, acceptor};
use super::connection;
use crate::harness::now;

/// Protocol of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Plain,
    Tls,
    Http2,
    /// A proxy that forwards every CONNECT to this port.
    Proxy(u16),
}

/// A logged request.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedRequest {
    pub(crate) at: Instant,
    pub(crate) path: String,
    /// True if the response was not the API's.
    pub(crate) is_faulty: bool,
}

/// State shared by all connections.
pub(crate) struct ServerState {
    pub(crate) protocol: Protocol,
    pub(crate) sessions: Vec<String>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    connections: usize,
    requests: Vec<ReceivedRequest>,
}

impl ServerState {
    pub(crate) fn log_request(&self, path: &str, is_faulty: bool) {
        self.log.lock().unwrap().requests.push(ReceivedRequest {
            at: now(),
            path: path.to_owned(),
            is_faulty,
        });
    }
}

/// A server that runs on its own thread until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<ServerState>,
    behaviour: watch::Sender<Behaviour>,
    /// Ends the server's thread when it is dropped.
    _end: oneshot::Sender<()>,
}

impl Server {
    /// Serves these sessions (JSON objects), on `127.0.0.1`, or only on `[::1]` if `is_ipv6` is true. Starts with the
    /// behaviour `first_behaviour`.
    pub(crate) fn start(
        protocol: Protocol,
        sessions: Vec<String>,
        is_ipv6: bool,
        first_behaviour: Behaviour,
    ) -> Self {
        let (end, ended) = oneshot::channel::<()>();
        let (address_sender, address_receiver) = std::sync::mpsc::channel();
        let state = Arc::new(ServerState { protocol, sessions, log: Mutex::default() });
        let (behaviour, behaviours) = watch::channel(first_behaviour);
        let thread_state = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let address = if is_ipv6 { "[::1]:0" } else { "127.0.0.1:0" }.parse().unwrap();
                let socket = bound(address).unwrap();
                let address = socket.local_addr().unwrap();
                // Some systems let two sockets be bound to one port. There, the first only keeps the port, so that no
                // other test gets it while the second does not listen.
                let (listener, _kept) = match bound(address) {
                    Ok(second) => (second.listen(BACKLOG).unwrap(), Some(socket)),
                    Err(_) => (socket.listen(BACKLOG).unwrap(), None),
                };
                address_sender.send(address).unwrap();
                tokio::select! {
                    () = listen(listener, thread_state, behaviours) => {}
                    _ = ended => {}
                }
            });
        });
        Self { address: address_receiver.recv().unwrap(), state, behaviour, _end: end }
    }

    pub(crate) fn set_behaviour(&self, behaviour: Behaviour) {
        self.behaviour.send_replace(behaviour);
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.log.lock().unwrap().connections
    }

    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        self.state.log.lock().unwrap().requests.clone()
    }
}

/// Number of connections that may wait to be accepted.
const BACKLOG: u32 = 64;

/// Waits until the port is free, and returns a socket that is bound to it but does not listen. The system refuses
/// connections to it.
///
/// The server has just closed its listener on the port. A process that another test starts has a copy of that listener
/// between its fork and its exec, so the port can stay in use for a moment.
async fn rebind(address: SocketAddr) -> TcpSocket {
    let deadline = crate::harness::now() + crate::harness::TEST_TIMEOUT;
    loop {
        match bound(address) {
            Ok(socket) => return socket,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && crate::harness::now() < deadline => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{address}: {error}"),
        }
    }
}

/// Returns a new socket that is bound to `address`.
fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn listen(
    mut listener: TcpListener,
    shared: Arc<ServerState>,
    mut behaviours: watch::Receiver<Behaviour>,
) {
    let address = listener.local_addr().unwrap();
    loop {
        let behaviour = behaviours.borrow_and_update().clone();
        match behaviour {
            Behaviour::Refuses => {
                drop(listener);
                let socket = rebind(address).await; // keeps the port, or another test could get it
                let _ = behaviours.changed().await;
                listener = socket.listen(BACKLOG).unwrap();
            }
            Behaviour::NeverAccepts => {
                drop(listener);
                hold_without_accepting(address, &mut behaviours).await;
                listener = rebind(address).await.listen(BACKLOG).unwrap();
            }
            _ => accept_connections(&listener, &shared, &mut behaviours).await,
        }
    }
}

/// Listens with a full backlog until the behaviour changes: one connection that nobody accepts fills it. Other
/// connections are neither accepted nor refused.
async fn hold_without_accepting(address: SocketAddr, behaviours: &mut watch::Receiver<Behaviour>) {
    let _listener = rebind(address).await.listen(0).unwrap();
    let _waiting = TcpStream::connect(address).await.unwrap();
    let _ = behaviours.changed().await;
}

/// Accepts connections until the behaviour changes.
async fn accept_connections(
    listener: &TcpListener,
    shared: &Arc<ServerState>,
    behaviours: &mut watch::Receiver<Behaviour>,
) {
    let certificate = match &*behaviours.borrow() {
        Behaviour::Shows(certificate) => *certificate,
        _ => Certificate::Valid,
    };
    let tls = tls_acceptor(shared.protocol, certificate);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                shared.log.lock().unwrap().connections += 1;
                let (shared, behaviours) = (Arc::clone(shared), behaviours.clone());
                tokio::spawn(connection::serve(accepted.unwrap().0, tls.clone(), shared, behaviours));
            }
            _ = behaviours.changed() => return,
        }
    }
}

fn tls_acceptor(protocol: Protocol, certificate: Certificate) -> Option<TlsAcceptor> {
    match protocol {
        Protocol::Plain | Protocol::Proxy(_) => None,
        Protocol::Tls => Some(acceptor(certificate, "http/1.1")),
        Protocol::Http2 => Some(acceptor(certificate, "h2")),
    }
}
