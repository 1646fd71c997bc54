//! The network of one row: the servers, and the program's route to them. Nothing leaves this machine.

use std::time::Instant;

use keepwatch_core::clock::Clock;
use tempfile::TempDir;

use super::behaviour::Behaviour;
use super::certificates::{AUTHORITY, OTHER_AUTHORITY, PROXIED_HOST};
use super::rows::UNRESOLVABLE_URL;
use super::server::{Protocol, ReceivedRequest, Server};
use crate::harness::now;

/// Ids of the sessions that the server has.
pub(crate) const IDS: [&str; 4] = [
    "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff",
    "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de",
    "8f14e45f-ceea-467f-ab45-0a2f2c1a0b3d",
    "c20ad4d7-6fe9-4775-8aa6-1bc0d2e7f3a1",
];

/// Route from the program to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Plain,
    /// HTTP to `[::1]`. Nothing listens on `127.0.0.1`.
    Ipv6,
    Tls,
    Http2,
    /// A healthy proxy. The server behind it has the fault.
    ThroughProxy,
    /// A proxy that has the fault.
    FailingProxy,
    /// A proxy whose name cannot be resolved.
    UnresolvableProxy,
    /// TLS without a certificate store, until the recovery.
    NoCertificateStore,
    /// TLS with a certificate store that lacks the server's authority, until the recovery.
    OtherCertificateStore,
    /// A URL that cannot be reached.
    Unreachable(&'static str),
}

impl Route {
    /// Returns true if this machine supports the route. Not every machine has IPv6, and only Linux rejects the
    /// broadcast address.
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
    /// Starts the servers of a route. The API's server starts with the behaviour `first_behaviour`. A proxy starts
    /// healthy.
    pub(crate) fn new(route: Route, first_behaviour: Behaviour) -> Self {
        let protocol = match route {
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
        let api = Server::start(protocol, sessions, route == Route::Ipv6, first_behaviour);
        let has_proxy = matches!(route, Route::ThroughProxy | Route::FailingProxy);
        let port = api.address.port();
        let proxy =
            has_proxy.then(|| Server::start(Protocol::Proxy(port), Vec::new(), false, Behaviour::Normal));
        let url = match route {
            Route::Plain | Route::Ipv6 => format!("http://{}", api.address),
            Route::Tls | Route::Http2 | Route::NoCertificateStore | Route::OtherCertificateStore => {
                format!("https://{}", api.address)
            }
            Route::ThroughProxy | Route::FailingProxy | Route::UnresolvableProxy => {
                format!("https://{PROXIED_HOST}:{port}")
            }
            Route::Unreachable(url) => url.to_owned(),
        };
        let mut network =
            Self { url, env: Vec::new(), api: Some(api), proxy, route, folder: tempfile::tempdir().unwrap() };
        match route {
            Route::Tls
            | Route::Http2
            | Route::ThroughProxy
            | Route::FailingProxy
            | Route::UnresolvableProxy => network.install_certificate(AUTHORITY),
            Route::OtherCertificateStore => network.install_certificate(OTHER_AUTHORITY),
            Route::Plain | Route::Ipv6 | Route::NoCertificateStore | Route::Unreachable(_) => {}
        }
        network.env = network.environment();
        network
    }

    /// Returns variables that replace the machine's certificate store and proxies. For a route without a proxy they
    /// name a proxy that does not work, because the program must not use a proxy for loopback addresses.
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

    /// Makes this certificate the only one in the store.
    fn install_certificate(&self, certificate: &str) {
        std::fs::write(self.folder.path().join("store.pem"), certificate).unwrap();
    }

    /// Returns the server that has the fault.
    fn faulty_server(&self) -> Option<&Server> {
        if self.route == Route::FailingProxy { self.proxy.as_ref() } else { self.api.as_ref() }
    }

    pub(crate) fn set_behaviour(&self, behaviour: Behaviour) {
        self.faulty_server().unwrap().set_behaviour(behaviour);
    }

    /// Ends the fault, and returns the time.
    pub(crate) fn recover(&self) -> Instant {
        if matches!(self.route, Route::NoCertificateStore | Route::OtherCertificateStore) {
            self.install_certificate(AUTHORITY);
        } else {
            self.set_behaviour(Behaviour::Normal);
        }
        now()
    }

    /// Returns the requests to all servers, in order of arrival.
    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        let servers = self.api.iter().chain(&self.proxy);
        let mut requests: Vec<ReceivedRequest> = servers.flat_map(Server::requests).collect();
        requests.sort_by_key(|request| request.at);
        requests
    }

    pub(crate) fn faulty_requests(&self) -> usize {
        self.requests().iter().filter(|request| request.is_faulty).count()
    }

    /// Returns the number of polls that got the API's response.
    pub(crate) fn good_requests(&self) -> usize {
        self.requests()
            .iter()
            .filter(|request| !request.is_faulty && request.path.starts_with("/v1/sessions"))
            .count()
    }

    pub(crate) fn connections(&self) -> usize {
        self.api.iter().chain(&self.proxy).map(Server::connections).sum()
    }
}

/// Returns a running session that expires in five hours, as JSON.
fn session(id: &str) -> String {
    let now = Clock::system().now().wall;
    let at = |minutes| (now + chrono::TimeDelta::minutes(minutes)).to_rfc3339();
    let (start, expiry) = (at(-2), at(300));
    format!(
        r#"{{"id":"{id}","status":"RUNNING","createdAt":"{start}","startedAt":"{start}","updatedAt":"{start}","expiresAt":"{expiry}","projectId":"p","keepAlive":true,"region":"us-west-2","proxyBytes":0,"userMetadata":{{"name":"nightly-42"}}}}"#
    )
}
