//! The servers nginx, HAProxy and Caddy, each as a reverse proxy on a free port of this machine. A server keeps all its
//! files in a temporary folder. Dropping it kills its process.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{TEST_TIMEOUT, clean_env, now};

/// Folder with the certificates. `make.sh` in it makes them.
const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
/// Number of ports to try. Another process may take a free port before the server does.
const MAX_PORT_TRIES: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerProgram {
    Nginx,
    Haproxy,
    Caddy,
}

impl ServerProgram {
    pub(super) const ALL: [Self; 3] = [Self::Nginx, Self::Haproxy, Self::Caddy];

    /// Returns the name of the executable, and the argument that makes it print its version.
    pub(super) fn version_command(self) -> (&'static str, &'static str) {
        match self {
            Self::Nginx => ("nginx", "-v"),
            Self::Haproxy => ("haproxy", "-v"),
            Self::Caddy => ("caddy", "version"),
        }
    }

    /// Returns the command that runs the server in the foreground, in one process, with the config file `config`.
    fn command(self) -> Command {
        let arguments: &[&str] = match self {
            Self::Nginx => &["nginx", "-p", ".", "-c", "config", "-e", "stderr"],
            Self::Haproxy => &["haproxy", "-db", "-f", "config"],
            Self::Caddy => &["caddy", "run", "--config", "config", "--adapter", "caddyfile"],
        };
        let mut command = Command::new(arguments[0]);
        command.args(&arguments[1..]);
        command
    }
}

/// Protocol between keepwatch and the server. Between the server and the simulator it is always plain HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http1OverTls,
    Http2OverTls,
}

impl Protocol {
    fn uses_tls(self) -> bool {
        self != Self::Http1
    }

    /// Returns the version of HTTP as all three servers log it.
    fn http_version(self) -> &'static str {
        if self == Self::Http2OverTls { "HTTP/2.0" } else { "HTTP/1.1" }
    }
}

/// A server and its settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerSettings {
    pub(super) program: ServerProgram,
    pub(super) protocol: Protocol,
    /// Lines of the server's config that say when it closes connections. Empty for the server's defaults.
    pub(super) closing: &'static str,
}

impl fmt::Display for ServerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Http1 => "HTTP/1.1",
            Protocol::Http1OverTls => "HTTP/1.1 over TLS",
            Protocol::Http2OverTls => "HTTP/2 over TLS",
        };
        let closing = if self.closing.is_empty() { "defaults" } else { self.closing };
        write!(
            f,
            "{}, {protocol}, {}",
            self.program.version_command().0,
            closing.replace('\n', ", ").replace(';', "")
        )
    }
}

impl ServerSettings {
    /// Returns the config of a server that listens on `port` and forwards all requests to `upstream`, a host and port.
    /// The server logs each request to standard output, in a form that [`LoggedRequest::parse`] reads.
    fn config(&self, port: u16, upstream: &str) -> String {
        match self.program {
            ServerProgram::Nginx => self.nginx_config(port, upstream),
            ServerProgram::Haproxy => self.haproxy_config(port, upstream),
            ServerProgram::Caddy => self.caddy_config(port, upstream),
        }
    }

    fn nginx_config(&self, port: u16, upstream: &str) -> String {
        let (listen, tls) = match self.protocol {
            Protocol::Http1 => ("", String::new()),
            Protocol::Http1OverTls => (" ssl", nginx_certificate()),
            Protocol::Http2OverTls => (" ssl http2", nginx_certificate()),
        };
        // If nginx had a master process, killing the master would leave its workers running.
        format!(
            "daemon off; master_process off; pid pid; error_log stderr;
            events {{}}
            http {{
                log_format request '$connection $status $server_protocol';
                access_log /dev/stdout request;
                client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
                uwsgi_temp_path uwsgi; scgi_temp_path scgi;
                {closing}
                server {{
                    listen 127.0.0.1:{port}{listen};
                    {tls}
                    location / {{ proxy_pass http://{upstream}; }}
                }}
            }}",
            closing = self.closing
        )
    }

    fn haproxy_config(&self, port: u16, upstream: &str) -> String {
        assert_eq!(self.protocol, Protocol::Http1, "HAProxy needs a certificate and its key in one file");
        format!(
            "global\n log stdout format raw local0\n\
             defaults\n mode http\n log global\n log-format \"%cp %ST %HV\"\n\
             timeout connect 5s\n timeout client 60s\n timeout server 60s\n{closing}\n\
             frontend keepwatch\n bind 127.0.0.1:{port}\n default_backend simulator\n\
             backend simulator\n server simulator {upstream}\n",
            closing = self.closing
        )
    }

    fn caddy_config(&self, port: u16, upstream: &str) -> String {
        let scheme = if self.protocol.uses_tls() { "https" } else { "http" };
        let tls = if self.protocol.uses_tls() {
            format!("tls {CERTIFICATES}/good.pem {CERTIFICATES}/server.key")
        } else {
            String::new()
        };
        let versions = if self.protocol == Protocol::Http2OverTls { "h1 h2" } else { "h1" };
        format!(
            "{{
                admin off
                auto_https off
                servers {{
                    protocols {versions}
                    timeouts {{
                        {closing}
                    }}
                }}
            }}
            {scheme}://127.0.0.1:{port} {{
                bind 127.0.0.1
                {tls}
                reverse_proxy {upstream}
                log {{
                    output stdout
                    format json
                }}
            }}",
            closing = self.closing
        )
    }
}

fn nginx_certificate() -> String {
    format!("ssl_certificate {CERTIFICATES}/good.pem; ssl_certificate_key {CERTIFICATES}/server.key;")
}

/// A running server.
pub(super) struct ReverseProxy {
    pub(super) url: String,
    settings: ServerSettings,
    child: Child,
    /// Contains the config, the server's other files, and its output.
    folder: TempDir,
}

impl ReverseProxy {
    /// Starts a server that forwards to `api_url`, and waits until it accepts connections.
    pub(super) fn start(settings: ServerSettings, api_url: &str) -> Self {
        for _ in 0..MAX_PORT_TRIES {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let mut server = Self::spawn(settings, address, api_url.trim_start_matches("http://"));
            if server.starts_listening(address) {
                return server;
            }
            assert!(server.output().contains("in use"), "{settings} did not start:\n{}", server.output());
        }
        panic!("{settings}: every port was in use");
    }

    fn spawn(settings: ServerSettings, address: SocketAddr, upstream: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config"), settings.config(address.port(), upstream)).unwrap();
        let output = folder.path().join("output");
        // nginx opens this file a second time, as `/dev/stdout`, so each of the two must append.
        let output = OpenOptions::new().create(true).append(true).open(output).unwrap();
        let child = settings
            .program
            .command()
            .current_dir(folder.path())
            .env_clear()
            .envs(clean_env())
            .env("PATH", path_with_sbin())
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let scheme = if settings.protocol.uses_tls() { "https" } else { "http" };
        Self { url: format!("{scheme}://{address}"), settings, child, folder }
    }

    /// Waits until the server listens, and returns true. Returns false if the server exits.
    fn starts_listening(&mut self, address: SocketAddr) -> bool {
        let deadline = now() + TEST_TIMEOUT;
        loop {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(address).is_ok() {
                return true;
            }
            assert!(now() < deadline, "{} does not listen:\n{}", self.settings, self.output());
            thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Returns variables that make keepwatch trust the server's certificate, and no other.
    pub(super) fn certificate_env(&self) -> Vec<(String, String)> {
        let no_folder = self.folder.path().join("no-certificates");
        [
            ("SSL_CERT_FILE", format!("{CERTIFICATES}/authority.pem")),
            ("SSL_CERT_DIR", no_folder.to_str().unwrap().to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Returns the path of a file in the server's folder, which is deleted with the server.
    pub(super) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Returns everything that the server has written to standard output and standard error.
    pub(super) fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).unwrap()
    }

    /// Counts the requests in the server's log. Asserts that the successful ones used the protocol of the settings.
    pub(super) fn count_requests(&self) -> ServerCounts {
        let output = self.output();
        let requests: Vec<LoggedRequest> = output.lines().filter_map(LoggedRequest::parse).collect();
        let expected = self.settings.protocol.http_version();
        let (mut connections, mut counts) = (BTreeSet::new(), ServerCounts::default());
        for request in &requests {
            match request.status {
                200 => {
                    assert_eq!(request.http_version, expected, "{}", self.settings);
                    connections.insert(request.connection);
                    counts.successful += 1;
                }
                408 => counts.timed_out += 1,
                _ => {}
            }
        }
        counts.connections = connections.len();
        counts
    }
}

impl Drop for ReverseProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Numbers from the log of a server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ServerCounts {
    /// Requests with status 200.
    pub(super) successful: usize,
    /// Connections with at least one successful request.
    pub(super) connections: usize,
    /// Responses with status 408. HAProxy sends this status to a connection that never sent a request.
    pub(super) timed_out: usize,
}

/// A request in the log of a server.
struct LoggedRequest {
    /// Number of the connection, or the client's port.
    connection: u64,
    status: u16,
    http_version: String,
}

impl LoggedRequest {
    /// Parses a line of the server's output. Returns `None` for any line that is not about a request.
    fn parse(line: &str) -> Option<Self> {
        // Caddy logs JSON. nginx and HAProxy log three words.
        if let Ok(line) = serde_json::from_str::<Value>(line) {
            let request = line.get("request")?;
            return Some(Self {
                connection: request["remote_port"].as_str()?.parse().ok()?,
                status: line["status"].as_u64()?.try_into().ok()?,
                http_version: request["proto"].as_str()?.to_owned(),
            });
        }
        let mut words = line.split(' ');
        Some(Self {
            connection: words.next()?.parse().ok()?,
            status: words.next()?.parse().ok()?,
            http_version: words.next()?.to_owned(),
        })
    }
}

/// Returns `PATH` with the folders in which Debian installs servers.
pub(super) fn path_with_sbin() -> String {
    format!("{}:/usr/local/sbin:/usr/sbin", std::env::var("PATH").unwrap_or_default())
}
