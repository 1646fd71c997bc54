//! The endpoints `debug` (live view) and `logs` of a session.
//!
//! No browser runs, so a session has exactly one page (browser tab), and its log contains only its proxy traffic.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::fault::ErrorResponse;
use super::scenario_session::SimStatus;
use super::scenario_time::Offset;
use super::sim_session::stable_uuid;
use super::world::World;

impl World {
    /// Returns the body of `GET /v1/sessions/{id}/debug`, and the live view's URL in it. All live-view URLs contain
    /// `signing_key`. Returns `None` if the API does not know the session.
    ///
    /// # Errors
    /// Returns a 409 if the session has ended. No source documents the API's response in this case, but the API answers
    /// 409 to other requests that a session's state does not allow.
    pub(super) fn live_urls(
        &self,
        id: &str,
        at: Offset,
        signing_key: &str,
    ) -> Option<Result<(Value, String), Box<ErrorResponse>>> {
        let session = self.session(id)?;
        let status = session.snapshot(at)?.status;
        if matches!(status, SimStatus::Ended(_)) {
            let message = format!("Session with id {id} is not running: it is {}", status.as_str());
            return Some(Err(Box::new(ErrorResponse::new(StatusCode::CONFLICT).with_message(message))));
        }
        let page = stable_uuid(id, 1).replace('-', "").to_uppercase();
        let query = format!("signingKey={signing_key}");
        let socket = format!("{}/debug/{id}/devtools/page/{page}?{query}", session.connect_host);
        let view_url = |name: &str| format!("https://www.browserbase.com/{name}/inspector.html?wss={socket}");
        let (devtools, fullscreen) = (view_url("devtools"), view_url("devtools-fullscreen"));
        let has_loaded_page = session.spec.proxy.iter().any(|traffic| traffic.from <= at);
        let (url, title) =
            if has_loaded_page { ("https://example.com/", "Example Domain") } else { ("about:blank", "") };
        let urls = json!({
            "debuggerFullscreenUrl": fullscreen,
            "debuggerUrl": devtools,
            "wsUrl": format!("wss://{}/debug/{id}?{query}", session.connect_host),
            "pages": [{
                "id": page,
                "url": url,
                "faviconUrl": "https://example.com/favicon.ico",
                "title": title,
                "debuggerUrl": devtools,
                "debuggerFullscreenUrl": fullscreen,
            }],
        });
        Some(Ok((urls, fullscreen)))
    }

    /// Returns the body of `GET /v1/sessions/{id}/logs`: a navigation at the start of each stretch of proxy traffic.
    /// Returns `None` if the API does not know the session.
    pub(super) fn logs(&self, id: &str, at: Offset) -> Option<Value> {
        let session = self.session(id)?;
        let snapshot = session.snapshot(at)?;
        let log_end = snapshot.ended_at.unwrap_or(at);
        let navigations =
            session.spec.proxy.iter().filter(|traffic| traffic.from <= log_end).map(|traffic| {
                let timestamp = traffic.from.to_timestamp(self.start).timestamp_millis();
                let params = json!({ "url": "https://example.com/" });
                json!({
                    "method": "Page.navigate",
                    "pageId": 0,
                    "sessionId": id,
                    "timestamp": timestamp,
                    "request": { "timestamp": timestamp, "params": params, "rawBody": params.to_string() },
                })
            });
        Some(navigations.collect())
    }
}

#[cfg(test)]
mod tests;
