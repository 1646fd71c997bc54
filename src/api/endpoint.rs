//! The base URL of the API, validated once. This module never connects.

use keepwatch_core::text;
use url::{Host, Url};

/// The base URL of the public API.
pub const PUBLIC_URL: &str = "https://api.browserbase.com";

/// The maximum length of a base URL, in bytes. HTTP clients refuse URLs above 64 KiB.
const MAX_URL_BYTES: usize = 2048;
/// The maximum width of a URL in a message, in columns.
const MAX_URL_COLUMNS: usize = 80;

/// The base URL of the API. Its scheme is `https`, or `http` for this machine or if the user allows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The URL, without a trailing slash.
    pub base: Url,
}

/// An error in a base URL. `setting` names the source of the URL, such as `--base-url` or an environment
/// variable. `url` is sanitised and redacted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages document the variants")]
pub enum EndpointError {
    #[error("{setting} “{url}” {problem}; it looks like {PUBLIC_URL}")]
    Malformed { setting: String, url: String, problem: &'static str },
    #[error("{setting} has a user or password in it; the API takes neither")]
    HasCredentials { setting: String },
    #[error(
        "{setting} “{url}” is plain http to another machine, and would show the key to everyone on the way; use https, or \
         --insecure-http if you must"
    )]
    PlainHttp { setting: String, url: String },
}

impl Endpoint {
    /// Parses a base URL. Error messages call its source `setting`.
    ///
    /// # Errors
    /// The text is not the URL of an API, or has a user or a password. Or it is plain HTTP to another machine, and
    /// `insecure_http` is false.
    pub fn new(text: &str, setting: &str, insecure_http: bool) -> Result<Self, EndpointError> {
        let text = text.trim();
        let setting = || setting.to_owned();
        let url = || text::sanitise(&text::redact(text), MAX_URL_COLUMNS);
        let malformed = |problem| EndpointError::Malformed { setting: setting(), url: url(), problem };
        if text.len() > MAX_URL_BYTES {
            return Err(malformed("is too long"));
        }
        let mut base = Url::parse(text).map_err(|_| malformed("is not a URL"))?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(EndpointError::HasCredentials { setting: setting() });
        }
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none_or(str::is_empty) {
            return Err(malformed("is not an http or https URL"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(malformed("has a query or fragment"));
        }
        let path = base.path().trim_end_matches('/');
        let path = path.strip_suffix("/v1").unwrap_or(path).to_owned(); // `Endpoint::url` adds the version
        base.set_path(&path);
        let endpoint = Self { base };
        if endpoint.is_plain() && !endpoint.is_loopback() && !insecure_http {
            return Err(EndpointError::PlainHttp { setting: setting(), url: url() });
        }
        Ok(endpoint)
    }

    /// Returns true if requests go out without TLS.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }

    /// Returns true for the public API.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.base.as_str().trim_end_matches('/') == PUBLIC_URL
    }

    /// Returns true if the API is on this machine. Then no proxy is used, and plain HTTP is safe.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.base.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Returns the host. Adds the port, unless it is the default of the scheme.
    #[must_use]
    pub fn host(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        self.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Returns `base/v1/segments…`, with each segment encoded.
    #[must_use]
    pub fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("v1").extend(segments);
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(text: &str, insecure_http: bool) -> Result<Endpoint, EndpointError> {
        Endpoint::new(text, "--base-url", insecure_http)
    }

    #[test]
    fn public_url_is_recognised() {
        let public = new(PUBLIC_URL, false).unwrap();
        assert!(public.is_public() && !public.is_plain() && !public.is_loopback());
        let other = new(" https://two.example:8443/ ", false).unwrap();
        assert!(!other.is_public() && other.host() == "two.example:8443", "{other:?}");
    }

    #[test]
    fn remote_plain_http_needs_permission() {
        for local in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "http://127.9.9.9"] {
            assert!(new(local, false).is_ok(), "{local}");
        }
        for remote in ["http://api.example", "http://localhost.example", "http://10.0.0.1"] {
            assert!(new(remote, false).is_err(), "{remote}");
            assert!(new(remote, true).is_ok(), "{remote}");
        }
    }

    #[test]
    fn invalid_url_is_rejected() {
        for bad in [
            "api.example",
            "ftp://api.example",
            "https://",
            "",
            "https://a.example/?x=1",
            "https://a.example/#x",
            &format!("https://{}", "a".repeat(100_000)),
        ] {
            assert!(new(bad, false).is_err(), "{bad}");
        }
    }

    #[test]
    fn invalid_url_error_hides_password() {
        let error = new("https://u:hunter2@api.example", false).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn url_adds_version_and_encodes_segments() {
        let endpoint = new("http://127.0.0.1:1/api//", false).unwrap();
        let versioned = new("http://127.0.0.1:1/api/v1/", false).unwrap();
        assert_eq!(versioned, endpoint, "a version in the base URL is not repeated");
        let url = endpoint.url(&["sessions", "a b/../c?d#%"]);
        assert_eq!(url.as_str(), "http://127.0.0.1:1/api/v1/sessions/a%20b%2F..%2Fc%3Fd%23%25");
    }
}
