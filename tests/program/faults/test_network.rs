//! Where a row of the matrix is played: the servers, and the program's way to them. Nothing of it leaves this machine.

use std::time::Instant;

use keepwatch_core::clock::Clock;
use tempfile::TempDir;

use super::behaviour::Behaviour;
use super::certificates::{AUTHORITY, OTHER_AUTHORITY, PROXIED};
use super::rows::UNRESOLVABLE_URL;
use super::server::{Protocol, ReceivedRequest, Server};
use crate::harness::now;

pub(crate) const IDS: [&str; 4] = [
    "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff",
    "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de",
    "8f14e45f-ceea-467f-ab45-0a2f2c1a0b3d",
    "c20ad4d7-6fe9-4775-8aa6-1bc0d2e7f3a1",
];

/// How the program reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Plain,
    /// `[::1]`, where nothing listens on `127.0.0.1`.
    Ipv6,
    Tls,
    Http2,
    /// Through a proxy, and it is the server behind it that fails.
    ThroughProxy,
    /// Through a proxy, which fails.
    FailingProxy,
    /// Through a proxy that has no address.
    UnresolvableProxy,
    /// TLS, on a machine that has no certificates yet.
    NoCertificateStore,
    /// TLS, on a machine that has other certificates only, as yet.
    OtherCertificateStore,
    /// To a URL at which there is nothing.
    Unreachable(&'static str),
}

impl Route {
    /// Whether this machine has it: not every one has IPv6, or refuses the address of all.
    pub(crate) fn is_available(self) -> bool {
        match self {
            Self::Ipv6 => std::net::TcpListener::bind("[::1]:0").is_ok(),
            Self::Unreachable(url) => url == UNRESOLVABLE_URL || cfg!(target_os = "linux"),
            _ => true,
        }
    }
}

/// The servers of one row.
pub(crate) struct TestNetwork {
    pub(crate) url: String,
    pub(crate) env: Vec<(String, String)>,
    api: Option<Server>,
    proxy: Option<Server>,
    route: Route,
    folder: TempDir,
}

impl TestNetwork {
    /// Servers that play `first` from the start.
    pub(crate) fn new(way: Route, first: Behaviour) -> Self {
        let speech = match way {
            Route::Plain | Route::Ipv6 | Route::Unreachable(_) => Protocol::Plain,
            Route::Tls
            | Route::ThroughProxy
            | Route::FailingProxy
            | Route::UnresolvableProxy
            | Route::NoCertificateStore
            | Route::OtherCertificateStore => Protocol::Tls,
            Route::Http2 => Protocol::Http2,
        };
        let sessions: Vec<String> = IDS.iter().map(|id| session(id)).collect();
        let api = Server::start(speech, sessions, way == Route::Ipv6, first);
        let proxied = matches!(way, Route::ThroughProxy | Route::FailingProxy);
        let port = api.address.port();
        let proxy =
            proxied.then(|| Server::start(Protocol::Proxy(port), Vec::new(), false, Behaviour::Normal));
        let url = match way {
            Route::Plain | Route::Ipv6 => format!("http://{}", api.address),
            Route::Tls | Route::Http2 | Route::NoCertificateStore | Route::OtherCertificateStore => {
                format!("https://{}", api.address)
            }
            Route::ThroughProxy | Route::FailingProxy | Route::UnresolvableProxy => {
                format!("https://{PROXIED}:{port}")
            }
            Route::Unreachable(url) => url.to_owned(),
        };
        let mut place = Self {
            url,
            env: Vec::new(),
            api: Some(api),
            proxy,
            route: way,
            folder: tempfile::tempdir().unwrap(),
        };
        match way {
            Route::Tls
            | Route::Http2
            | Route::ThroughProxy
            | Route::FailingProxy
            | Route::UnresolvableProxy => place.install_certificate(AUTHORITY),
            Route::OtherCertificateStore => place.install_certificate(OTHER_AUTHORITY),
            Route::Plain | Route::Ipv6 | Route::NoCertificateStore | Route::Unreachable(_) => {}
        }
        place.env = place.environment();
        place
    }

    /// A certificate store with the authority in it, a proxy that is not to be asked for what is on this machine, and
    /// nothing of the machine's own.
    fn environment(&self) -> Vec<(String, String)> {
        let proxy = self.proxy.as_ref().map(|proxy| proxy.address.to_string());
        let proxy = match self.route {
            Route::Unreachable(_) => None,
            Route::UnresolvableProxy => Some("no..name.invalid:9".into()),
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
    fn install_certificate(&self, certificate: &str) {
        std::fs::write(self.folder.path().join("store.pem"), certificate).unwrap();
    }

    /// The server that fails in this row.
    fn faulty_server(&self) -> Option<&Server> {
        if self.route == Route::FailingProxy { self.proxy.as_ref() } else { self.api.as_ref() }
    }

    pub(crate) fn set_behaviour(&self, play: Behaviour) {
        self.faulty_server().unwrap().set_behaviour(play);
    }

    /// Ends what is wrong, and says when that was.
    pub(crate) fn recover(&self) -> Instant {
        if matches!(self.route, Route::NoCertificateStore | Route::OtherCertificateStore) {
            self.install_certificate(AUTHORITY);
        } else {
            self.set_behaviour(Behaviour::Normal);
        }
        now()
    }

    /// The requests that came, in their order.
    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        let servers = self.api.iter().chain(&self.proxy);
        let mut hits: Vec<ReceivedRequest> = servers.flat_map(Server::requests).collect();
        hits.sort_by_key(|hit| hit.at);
        hits
    }

    pub(crate) fn faulty_requests(&self) -> usize {
        self.requests().iter().filter(|hit| hit.is_faulty).count()
    }

    /// How many requests were answered well.
    pub(crate) fn good_requests(&self) -> usize {
        self.requests().iter().filter(|hit| !hit.is_faulty && hit.path.starts_with("/v1/sessions")).count()
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
