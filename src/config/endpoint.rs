//! Where the API is, and how it may be reached.

use url::{Host, Url};

use super::{Refusal, usage};
use keepwatch_core::text;

/// The public endpoint of the API.
pub(super) const PUBLIC: &str = "https://api.browserbase.com";

/// Where the API is. `https`, or `http` where that was allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The base URL, without a trailing slash.
    pub base: Url,
}

impl Endpoint {
    /// The endpoint at `text`, which `source` says.
    ///
    /// # Errors
    /// A sentence, where it is no URL of an API, or would show the key to the network without `insecure_http`.
    pub fn new(text: &str, source: &str, insecure_http: bool) -> Result<Self, Refusal> {
        let text = text.trim();
        let shown = text::shown(&text::masked(text), 80);
        let wrong = |why: &str| usage(format!("{source} “{shown}” {why}; it looks like {PUBLIC}"));
        let mut base = Url::parse(text).map_err(|_| wrong("is not a URL"))?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(usage(format!("{source} has a user or password in it; the API takes neither")));
        }
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none_or(str::is_empty) {
            return Err(wrong("is not an http or https URL"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(wrong("has a query or fragment"));
        }
        let path = base.path().trim_end_matches('/');
        let path = path.strip_suffix("/v1").unwrap_or(path).to_owned(); // the version is ours to add
        base.set_path(&path);
        let endpoint = Self { base };
        if endpoint.is_plain() && !endpoint.is_loopback() && !insecure_http {
            return Err(usage(format!(
                "{source} “{shown}” is plain http to another machine, and would show the key to everyone on the way; \
                 use https, or --insecure-http if you must"
            )));
        }
        Ok(endpoint)
    }

    /// Whether it is spoken to without TLS.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }

    /// Whether it is the public one.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.base.as_str().trim_end_matches('/') == PUBLIC
    }

    /// Whether it is on this machine: no proxy is asked, and plain HTTP harms nobody.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.base.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// The host, with its port where it is not the usual one.
    #[must_use]
    pub fn host(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        self.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// `base/v1/segments…`, each segment encoded.
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

    fn new(text: &str, insecure_http: bool) -> Result<Endpoint, Refusal> {
        Endpoint::new(text, "--base-url", insecure_http)
    }

    #[test]
    fn the_public_one_is_what_its_url_says() {
        let public = new(PUBLIC, false).unwrap();
        assert!(public.is_public() && !public.is_plain() && !public.is_loopback());
        assert_eq!(new(" https://two.example:8443/ ", false).unwrap().host(), "two.example:8443");
    }

    #[test]
    fn plain_http_is_for_loopback_unless_it_is_asked_for() {
        for local in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "http://127.9.9.9"] {
            assert!(new(local, false).is_ok(), "{local}");
        }
        for remote in ["http://api.example", "http://localhost.example", "http://10.0.0.1"] {
            assert!(new(remote, false).is_err(), "{remote}");
            assert!(new(remote, true).is_ok(), "{remote}");
        }
    }

    #[test]
    fn what_is_no_url_of_an_api_is_refused_without_showing_a_password() {
        for bad in [
            "api.example",
            "ftp://api.example",
            "https://",
            "",
            "https://a.example/?x=1",
            "https://a.example/#x",
        ] {
            assert!(new(bad, false).is_err(), "{bad}");
        }
        let refusal = new("https://u:hunter2@api.example", false).unwrap_err();
        assert!(!refusal.sentence.contains("hunter2"), "{refusal}");
    }

    #[test]
    fn a_path_is_kept_and_every_id_is_one_segment() {
        let endpoint = new("http://127.0.0.1:1/api//", false).unwrap();
        let versioned = new("http://127.0.0.1:1/api/v1/", false).unwrap();
        assert_eq!(versioned, endpoint, "a version that was given is not given twice");
        let url = endpoint.url(&["sessions", "a b/../c?d#%"]);
        assert_eq!(url.as_str(), "http://127.0.0.1:1/api/v1/sessions/a%20b%2F..%2Fc%3Fd%23%25");
    }
}
