//! The fault server: a listener on this machine that answers as the API does until it is told to do otherwise, and keeps
//! when it was connected to and asked. It never looks at what a request holds but for its path.
//!
//! ```text
//!   listen ──► connection ──► (TLS) ──► http1    a reply, or the bytes that are played
//!     │                         └─────► http2    good replies, or silence
//!     └ refused, deaf
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

/// How the server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Plain,
    Tls,
    Http2,
    /// A proxy, which leads every CONNECT to this port.
    Proxy(u16),
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedRequest {
    pub(crate) at: Instant,
    pub(crate) path: String,
    /// Whether it was not answered as the API does.
    pub(crate) is_faulty: bool,
}

/// What the connections share.
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
    pub(crate) fn log_request(&self, path: &str, spoilt: bool) {
        self.log.lock().unwrap().requests.push(ReceivedRequest {
            at: now(),
            path: path.to_owned(),
            is_faulty: spoilt,
        });
    }
}

/// A server on a thread of its own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<ServerState>,
    behaviour: watch::Sender<Behaviour>,
    _end: oneshot::Sender<()>,
}

impl Server {
    /// Serves these sessions, on `127.0.0.1` or, with `six`, on `[::1]` alone.
    pub(crate) fn start(speech: Protocol, sessions: Vec<String>, six: bool, first: Behaviour) -> Self {
        let (end, ended) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let shared = Arc::new(ServerState { protocol: speech, sessions, log: Mutex::default() });
        let (plays, play) = watch::channel(first);
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let address = if six { "[::1]:0" } else { "127.0.0.1:0" }.parse().unwrap();
                let first = bound(address).unwrap();
                let address = first.local_addr().unwrap();
                // Where two may have it, one keeps the port while nothing listens.
                let (listener, _kept) = match bound(address) {
                    Ok(second) => (second.listen(BACKLOG).unwrap(), Some(first)),
                    Err(_) => (first.listen(BACKLOG).unwrap(), None),
                };
                tell.send(address).unwrap();
                tokio::select! {
                    () = listen(listener, of_thread, play) => {}
                    _ = ended => {}
                }
            });
        });
        Self { address: told.recv().unwrap(), state: shared, behaviour: plays, _end: end }
    }

    pub(crate) fn set_behaviour(&self, play: Behaviour) {
        self.behaviour.send_replace(play);
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.log.lock().unwrap().connections
    }

    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        self.state.log.lock().unwrap().requests.clone()
    }
}

/// How many connections may wait to be taken.
const BACKLOG: u32 = 64;

/// Returns a socket that has this port and does not listen: connections to it are refused.
///
/// The port was this server's until just now. A process that another test starts has a copy of the old listener from its fork
/// to its exec, so the port can stay in use for a moment.
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

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn listen(
    mut listener: TcpListener,
    shared: Arc<ServerState>,
    mut behaviour: watch::Receiver<Behaviour>,
) {
    let address = listener.local_addr().unwrap();
    loop {
        let play = behaviour.borrow_and_update().clone();
        match play {
            Behaviour::Refuses => {
                drop(listener);
                let socket = rebind(address).await; // meanwhile the port must not become another test's
                let _ = behaviour.changed().await;
                listener = socket.listen(BACKLOG).unwrap();
            }
            Behaviour::NeverAccepts => {
                drop(listener);
                hold_without_accepting(address, &mut behaviour).await;
                listener = rebind(address).await.listen(BACKLOG).unwrap();
            }
            _ => accept_connections(&listener, &shared, &mut behaviour).await,
        }
    }
}

/// Listens with no place for a connection to wait in: one that nobody takes is in it. What connects meanwhile is not even
/// refused.
async fn hold_without_accepting(address: SocketAddr, plays: &mut watch::Receiver<Behaviour>) {
    let _full = rebind(address).await.listen(0).unwrap();
    let _first = TcpStream::connect(address).await.unwrap();
    let _ = plays.changed().await;
}

/// Takes connections until something else is played.
async fn accept_connections(
    listener: &TcpListener,
    shared: &Arc<ServerState>,
    plays: &mut watch::Receiver<Behaviour>,
) {
    let shown = if let Behaviour::Shows(shown) = &*plays.borrow() { *shown } else { Certificate::Valid };
    let tls = acceptor_of(shared.protocol, shown);
    loop {
        tokio::select! {
            taken = listener.accept() => {
                shared.log.lock().unwrap().connections += 1;
                let (shared, plays) = (Arc::clone(shared), plays.clone());
                tokio::spawn(connection::serve(taken.unwrap().0, tls.clone(), shared, plays));
            }
            _ = plays.changed() => return,
        }
    }
}

fn acceptor_of(speech: Protocol, shown: Certificate) -> Option<TlsAcceptor> {
    match speech {
        Protocol::Plain | Protocol::Proxy(_) => None,
        Protocol::Tls => Some(acceptor(shown, "http/1.1")),
        Protocol::Http2 => Some(acceptor(shown, "h2")),
    }
}
