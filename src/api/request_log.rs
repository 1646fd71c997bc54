//! Log lines about requests. Each line has the URL, the status or the error, the duration, and the size of the
//! response. From headers and bodies, a line contains only the redacted error message and the request id. The value of
//! every URL parameter except `status` is masked.

use reqwest::{Method, StatusCode};
use tracing::Level;
use url::Url;

use super::client::ApiResponse;
use keepwatch_core::clock::Clock;

/// The only URL parameter whose value is logged. Its value is not private.
const UNMASKED_PARAMETER: &str = "status";
/// The replacement for the values of other parameters.
const MASK: &str = "••••";

/// The log line of a request in flight: the method and URL, and a clock that started with the request. `None` if
/// logging is off.
pub(super) struct RequestLog(Option<(String, Clock)>);

impl RequestLog {
    /// Starts the log line of a request that is about to be sent.
    pub(super) fn start(method: &Method, url: &Url) -> Self {
        Self(
            tracing::enabled!(Level::INFO)
                .then(|| (format!("{method} {}", loggable_url(url)), Clock::system())),
        )
    }

    /// Logs the outcome. `status` is `None` if no response arrived.
    pub(super) fn finish<T>(self, status: Option<StatusCode>, response: &ApiResponse<T>) {
        let Some((request_line, clock)) = self.0 else { return };
        let ms = clock.now().mono.as_millis();
        let status = status.map_or_else(|| "no answer".to_owned(), |status| status.as_u16().to_string());
        let message = format!("{request_line}: {status}, {ms} ms, {} bytes", response.bytes);
        match &response.result {
            Ok(_) => tracing::info!("{message}"),
            Err(error) => {
                let request_id =
                    error.request_id.as_ref().map(|id| format!(" [request {}]", id.sanitise_line()));
                tracing::warn!("{message}: {}{}", error.description(), request_id.unwrap_or_default());
            }
        }
    }
}

/// Returns host, port, path and parameters. Masks the value of every parameter except `status`.
fn loggable_url(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let loggable_parameter = |(name, value): (_, std::borrow::Cow<'_, str>)| match name {
        name if name == UNMASKED_PARAMETER => format!("{name}={value}"),
        // promise: masked-query, mutant: {MASK} -> {value}
        name => format!("{name}={MASK}"),
    };
    let parameters: Vec<String> = url.query_pairs().map(loggable_parameter).collect();
    let question_mark = if parameters.is_empty() { "" } else { "?" };
    format!("{host}{port}{}{question_mark}{}", url.path(), parameters.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logged_url_masks_the_query() {
        let logged = |url: &str| loggable_url(&url.parse().unwrap());
        assert_eq!(logged("https://a.example/v1/projects"), "a.example/v1/projects");
        let list = logged(
            "http://127.0.0.1:80/v1/sessions?status=RUNNING&q=user_metadata%5B%27a%27%5D%3A%27cAnArY%27",
        );
        assert_eq!(list, "127.0.0.1/v1/sessions?status=RUNNING&q=••••");
        assert_eq!(logged("http://127.0.0.1:8/v1/sessions/a%20b"), "127.0.0.1:8/v1/sessions/a%20b");
    }
}
