//! Where a row of the matrix is played: the servers, and the program's way to them. Nothing of it leaves this machine.

use std::time::Instant;

use keepwatch_core::clock::Clock;
use tempfile::TempDir;

use super::certificates::{AUTHORITY, OTHER_AUTHORITY, PROXIED};
use super::play::Play;
use super::rows::NAMELESS;
use super::server::{Hit, Server, Speech};
use crate::harness::now;

pub(crate) const IDS: [&str; 4] = [
    "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff",
    "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de",
    "8f14e45f-ceea-467f-ab45-0a2f2c1a0b3d",
    "c20ad4d7-6fe9-4775-8aa6-1bc0d2e7f3a1",
];

/// How the program reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    /// `[::1]`, where nothing listens on `127.0.0.1`.
    Six,
    Tls,
    Http2,
    /// Through a proxy, and it is the server behind it that fails.
    Proxied,
    /// Through a proxy, which fails.
    Proxy,
    /// Through a proxy that has no address.
    Astray,
    /// TLS, on a machine that has no certificates yet.
    NoStore,
    /// TLS, on a machine that has other certificates only, as yet.
    OtherStore,
    /// To a URL at which there is nothing.
    Nowhere(&'static str),
}

impl Way {
    /// Whether this machine has it: not every one has IPv6, or refuses the address of all.
    pub(crate) fn is_here(self) -> bool {
        match self {
            Self::Six => std::net::TcpListener::bind("[::1]:0").is_ok(),
            Self::Nowhere(url) => url == NAMELESS || cfg!(target_os = "linux"),
            _ => true,
        }
    }
}

/// The servers of one row.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) env: Vec<(String, String)>,
    api: Option<Server>,
    proxy: Option<Server>,
    way: Way,
    folder: TempDir,
}

impl Place {
    /// Servers that play `first` from the start.
    pub(crate) fn new(way: Way, first: Play) -> Self {
        let speech = match way {
            Way::Plain | Way::Six | Way::Nowhere(_) => Speech::Plain,
            Way::Tls | Way::Proxied | Way::Proxy | Way::Astray | Way::NoStore | Way::OtherStore => {
                Speech::Tls
            }
            Way::Http2 => Speech::Http2,
        };
        let sessions: Vec<String> = IDS.iter().map(|id| session(id)).collect();
        let api = Server::start(speech, sessions, way == Way::Six, first);
        let proxied = matches!(way, Way::Proxied | Way::Proxy);
        let port = api.address.port();
        let proxy = proxied.then(|| Server::start(Speech::Proxy(port), Vec::new(), false, Play::Good));
        let url = match way {
            Way::Plain | Way::Six => format!("http://{}", api.address),
            Way::Tls | Way::Http2 | Way::NoStore | Way::OtherStore => format!("https://{}", api.address),
            Way::Proxied | Way::Proxy | Way::Astray => format!("https://{PROXIED}:{port}"),
            Way::Nowhere(url) => url.to_owned(),
        };
        let mut place =
            Self { url, env: Vec::new(), api: Some(api), proxy, way, folder: tempfile::tempdir().unwrap() };
        match way {
            Way::Tls | Way::Http2 | Way::Proxied | Way::Proxy | Way::Astray => place.bring(AUTHORITY),
            Way::OtherStore => place.bring(OTHER_AUTHORITY),
            Way::Plain | Way::Six | Way::NoStore | Way::Nowhere(_) => {}
        }
        place.env = place.environment();
        place
    }

    /// A certificate store with the authority in it, a proxy that is not to be asked for what is on this machine, and
    /// nothing of the machine's own.
    fn environment(&self) -> Vec<(String, String)> {
        let proxy = self.proxy.as_ref().map(|proxy| proxy.address.to_string());
        let proxy = match self.way {
            Way::Nowhere(_) => None,
            Way::Astray => Some("no..name.invalid:9".into()),
            _ => Some(proxy.unwrap_or("127.0.0.1:1".into())),
        };
        let proxy = proxy.map(|proxy| format!("http://{proxy}")).unwrap_or_default();
        let store = self.folder.path().join("store.pem");
        let nowhere = self.folder.path().join("nowhere");
        [
            ("SSL_CERT_FILE", store.to_str().unwrap().to_owned()),
            ("SSL_CERT_DIR", nowhere.to_str().unwrap().to_owned()),
            ("HTTP_PROXY", proxy.clone()),
            ("HTTPS_PROXY", proxy),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Puts a certificate into the store.
    fn bring(&self, certificate: &str) {
        std::fs::write(self.folder.path().join("store.pem"), certificate).unwrap();
    }

    /// The server that fails in this row.
    fn failing(&self) -> Option<&Server> {
        if self.way == Way::Proxy { self.proxy.as_ref() } else { self.api.as_ref() }
    }

    pub(crate) fn play(&self, play: Play) {
        self.failing().unwrap().play(play);
    }

    /// Ends what is wrong, and says when that was.
    pub(crate) fn heal(&self) -> Instant {
        if matches!(self.way, Way::NoStore | Way::OtherStore) {
            self.bring(AUTHORITY);
        } else {
            self.play(Play::Good);
        }
        now()
    }

    /// The requests that came, in their order.
    pub(crate) fn hits(&self) -> Vec<Hit> {
        let servers = self.api.iter().chain(&self.proxy);
        let mut hits: Vec<Hit> = servers.flat_map(Server::hits).collect();
        hits.sort_by_key(|hit| hit.at);
        hits
    }

    pub(crate) fn spoilt(&self) -> usize {
        self.hits().iter().filter(|hit| hit.spoilt).count()
    }

    /// How many requests were answered well.
    pub(crate) fn good(&self) -> usize {
        self.hits().iter().filter(|hit| !hit.spoilt && hit.path.starts_with("/v1/sessions")).count()
    }

    pub(crate) fn connections(&self) -> usize {
        self.api.iter().chain(&self.proxy).map(Server::connections).sum()
    }
}

/// A session that runs, and goes on for hours.
fn session(id: &str) -> String {
    let now = Clock::system().now().wall;
    let at = |minutes| (now + chrono::TimeDelta::minutes(minutes)).to_rfc3339();
    let (start, expiry) = (at(-2), at(300));
    format!(
        r#"{{"id":"{id}","status":"RUNNING","createdAt":"{start}","startedAt":"{start}","updatedAt":"{start}","expiresAt":"{expiry}","projectId":"p","keepAlive":true,"region":"us-west-2","proxyBytes":0,"userMetadata":{{"name":"nightly-42"}}}}"#
    )
}
