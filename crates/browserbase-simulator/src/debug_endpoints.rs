//! What can be seen into a session: its live view, and the log of what clients did in it.
//!
//! There is no browser, so there is one page, and the only activity is what its proxy carries.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::fault::ErrorResponse;
use super::scenario_session::SimStatus;
use super::scenario_time::Offset;
use super::sim_session::stable_uuid;
use super::world::World;

impl World {
    /// What `GET /v1/sessions/{id}/debug` answers, and the live view's URL in it, whose key is `signing_key`; `None` if
    /// the API does not know the session.
    ///
    /// # Errors
    /// Of a session that has ended. What the API answers then, no source says; 409 is its answer elsewhere to what a
    /// session's state does not allow.
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
        let key = format!("signingKey={signing_key}");
        let socket = format!("{}/debug/{id}/devtools/page/{page}?{key}", session.connect_host);
        let view = |name: &str| format!("https://www.browserbase.com/{name}/inspector.html?wss={socket}");
        let (devtools, fullscreen) = (view("devtools"), view("devtools-fullscreen"));
        let has_loaded_page = session.spec.proxy.iter().any(|traffic| traffic.from <= at);
        let (url, title) =
            if has_loaded_page { ("https://example.com/", "Example Domain") } else { ("about:blank", "") };
        let urls = json!({
            "debuggerFullscreenUrl": fullscreen,
            "debuggerUrl": devtools,
            "wsUrl": format!("wss://{}/debug/{id}?{key}", session.connect_host),
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

    /// What `GET /v1/sessions/{id}/logs` answers: a navigation as each of its proxy's traffics begins. `None` if the API
    /// does not know the session.
    pub(super) fn logs(&self, id: &str, at: Offset) -> Option<Value> {
        let session = self.session(id)?;
        let snapshot = session.snapshot(at)?;
        let until = snapshot.ended_at.unwrap_or(at);
        let entries = session.spec.proxy.iter().filter(|traffic| traffic.from <= until).map(|traffic| {
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
        Some(entries.collect())
    }
}

#[cfg(test)]
mod tests;
