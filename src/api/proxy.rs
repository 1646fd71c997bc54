//! Checks the proxy variables (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`). reqwest reads them, too. But if it cannot parse
//! a value, it connects directly, and a user who set a proxy does not want that. Here, as in reqwest, `hyper-util`
//! parses the values.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use super::Endpoint;
use keepwatch_core::text;

/// The proxy variables for an `https` request. The first one that is set and not empty counts. reqwest looks for them
/// in the same order.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// The maximum width of the value of a variable in a message, in columns.
const MAX_SHOWN_COLUMNS: usize = 80;

/// An error in a proxy variable. The value is redacted and sanitised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages document the variants")]
pub enum ProxyError {
    #[error(
        "{variable}=“{value}” is not the URL of a proxy such as http://proxy.example:3128, so no request is sent; correct or unset it"
    )]
    Malformed { variable: &'static str, value: String },
    #[error(
        "{variable}=“{value}” is a SOCKS proxy, which keepwatch cannot use; use an http proxy, or add {host} to NO_PROXY"
    )]
    Socks { variable: &'static str, value: String, host: String },
}

/// Checks the proxy variable that applies to `endpoint`. `env` returns the value of a variable. Requests to an endpoint
/// on this machine or without TLS use no proxy.
///
/// # Errors
/// The value is neither empty nor the URL of an HTTP proxy, and `NO_PROXY` does not list the endpoint's host.
pub fn check_proxy(endpoint: &Endpoint, env: impl Fn(&str) -> Option<String>) -> Result<(), ProxyError> {
    let Some((variable, value)) = proxy_variable(endpoint, &env) else { return Ok(()) };
    let display = || text::sanitise(&text::redact(&without_credentials(&value)), MAX_SHOWN_COLUMNS);
    let proxy =
        endpoint_uri(endpoint).and_then(|uri| Matcher::builder().all(value.clone()).build().intercept(&uri));
    match proxy {
        // promise: proxy-variable
        None => Err(ProxyError::Malformed { variable, value: display() }),
        Some(proxy) if !has_valid_address(proxy.uri()) => {
            Err(ProxyError::Malformed { variable, value: display() })
        }
        Some(proxy) if proxy.uri().scheme_str().is_some_and(|scheme| scheme.starts_with("socks")) => {
            Err(ProxyError::Socks { variable, value: display(), host: endpoint.host() })
        }
        Some(_) => Ok(()),
    }
}

/// Returns true if requests to `endpoint` go through a proxy that an environment variable sets.
pub(super) fn uses_proxy(endpoint: &Endpoint, env: impl Fn(&str) -> Option<String>) -> bool {
    proxy_variable(endpoint, env).is_some()
}

/// Returns the name and the value of the proxy variable that applies to `endpoint`.
fn proxy_variable(
    endpoint: &Endpoint,
    env: impl Fn(&str) -> Option<String>,
) -> Option<(&'static str, String)> {
    if endpoint.is_plain() || endpoint.is_loopback() {
        return None;
    }
    // An empty variable counts as not set. A variable that has only spaces is a mistake, and is checked.
    let variable =
        VARIABLES.into_iter().find_map(|name| Some((name, env(name).filter(|value| !value.is_empty())?)))?;
    let exceptions = env("NO_PROXY").or_else(|| env("no_proxy")).unwrap_or_default();
    // This matcher only applies the exceptions, so the URL of its proxy does not matter.
    let matcher = Matcher::builder().all("http://proxy.invalid").no(exceptions).build();
    endpoint_uri(endpoint).and_then(|uri| matcher.intercept(&uri)).map(|_| variable)
}

/// Returns true if the URL of a proxy has a host, and a port that is valid or missing. hyper replaces an invalid port
/// by 80, so whatever listens at port 80 would get the proxy's password.
fn has_valid_address(proxy: &Uri) -> bool {
    let Some(authority) = proxy.authority() else { return false };
    let has_no_port = authority.as_str() == authority.host();
    !authority.host().is_empty() && (has_no_port || authority.port_u16().is_some_and(|port| port > 0))
}

fn endpoint_uri(endpoint: &Endpoint) -> Option<Uri> {
    endpoint.base.as_str().parse().ok()
}

/// Removes the user and the password from the URL of a proxy.
fn without_credentials(value: &str) -> String {
    let is_scheme = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let (scheme, rest) = match value.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
        _ => (None, value),
    };
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    scheme.map_or_else(|| host.to_owned(), |scheme| format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base_url: &str, variables: &[(&str, &str)]) -> Result<(), ProxyError> {
        let endpoint = Endpoint::new(base_url, "--base-url", true).unwrap();
        check_proxy(&endpoint, |name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        })
    }

    const API: &str = "https://api.example";
    /// Proxies with an invalid port, or without a host.
    const INVALID_ADDRESSES: [&str; 7] = [
        "http://proxy:99999",
        "http://u:p@proxy:x",
        "http://proxy:",
        "http://proxy:-1",
        "http://proxy:0",
        "http://:3128",
        ":3128",
    ];

    #[test]
    fn http_proxies_are_accepted() {
        for value in
            ["http://proxy:3128", "https://user:secret@proxy", "proxy.example:3128", "http://[::1]:3128/", ""]
        {
            assert_eq!(check(API, &[("HTTPS_PROXY", value)]), Ok(()), "{value}");
        }
    }

    #[test]
    fn unusable_proxies_are_refused() {
        let malformed =
            [" ", "http://proxy :3128", "ftp://proxy", "pac+http://proxy/x.pac", "://", "http://", "a b"];
        for value in malformed.into_iter().chain(INVALID_ADDRESSES) {
            for variable in VARIABLES {
                let error = check(API, &[(variable, value)]).unwrap_err();
                assert!(matches!(error, ProxyError::Malformed { .. }), "{variable}={value}: {error}");
            }
        }
        for value in ["socks5://proxy:1080", "socks5h://proxy", "socks4://proxy"] {
            let error = check(API, &[("ALL_PROXY", value)]).unwrap_err();
            assert!(matches!(error, ProxyError::Socks { .. }), "{value}: {error}");
        }
    }

    #[test]
    fn unused_proxy_variable_is_not_checked() {
        let bad = ("HTTPS_PROXY", "ftp://proxy");
        assert_eq!(check("http://127.0.0.1:1", &[bad]), Ok(()));
        assert_eq!(check("https://localhost:1", &[bad]), Ok(()));
        assert_eq!(check("http://api.example", &[bad]), Ok(()));
        for exceptions in ["api.example", "other,.example", "*"] {
            assert_eq!(check(API, &[bad, ("NO_PROXY", exceptions)]), Ok(()), "{exceptions}");
        }
        let other_host = [bad, ("no_proxy", "other.example")];
        assert!(check(API, &other_host).is_err(), "an exception for another host changes nothing");
        assert_eq!(check(API, &[("HTTP_PROXY", "ftp://proxy")]), Ok(()), "HTTP_PROXY is not for https");
        let both = [("HTTPS_PROXY", "http://proxy"), ("ALL_PROXY", "ftp://proxy")];
        assert_eq!(check(API, &both), Ok(()), "HTTPS_PROXY counts before ALL_PROXY");
    }

    #[test]
    fn proxy_error_hides_password() {
        for value in ["ftp://user:hunter2@proxy", "user:hunter2@a b", "user:hunter2://x@a b"] {
            let error = check(API, &[("HTTPS_PROXY", value)]).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
