//! `keepwatch get SESSION_ID...`: fetches sessions once and prints them as a table or as JSON.

use std::io::{IsTerminal as _, stdout};

use serde_json::{Map, Value};

use super::CliError;
use super::api_error::{self, more_specific, session_message};
use super::output::{print, print_text};
use super::print_error;
use super::text_table::{self, column_widths};
use crate::api::{Client, SessionWithUrls};
use crate::config::GetConfig;
use crate::exit_code::ExitCode;
use keepwatch_core::clock::{Clock, Timestamp, Zone};
use keepwatch_core::session::{ApiError, ConnectUrls, Phase, Secret, Session, SessionId};
use keepwatch_core::text;

/// The number of sessions in a batch, which are requested concurrently. [`fetch`] joins exactly this many futures.
const BATCH_SIZE: usize = 4;
/// The maximum width of a table cell, in columns.
const MAX_CELL_COLUMNS: usize = 64;
/// The maximum width of a status or a region, in columns. All values that the API documents are shorter.
const MAX_WORD_COLUMNS: usize = 24;

/// Fetches the sessions and prints them in the order of `config.ids`. Prints the error of each failed request. The exit
/// code is that of the most specific error.
///
/// After most errors the command fetches the other sessions. After an error that affects all requests, such as a
/// refused API key, it completes the current batch and skips the rest.
///
/// # Errors
/// Returns an error if standard output cannot be written.
pub async fn get(config: GetConfig) -> Result<ExitCode, CliError> {
    let client = Client::new(config.profile.endpoint, config.profile.key);
    let mut sessions = Vec::with_capacity(config.ids.len());
    let mut exit = ExitCode::Success;
    let mut requested: usize = 0;
    for batch in config.ids.chunks(BATCH_SIZE) {
        let mut has_fatal_error = false;
        for (id, result) in fetch(&client, batch, config.reveal).await {
            match result {
                Ok(fetched) => {
                    let dropped = fetched.session.extra_fields_dropped;
                    if dropped > 0 {
                        print_error(&format!(
                            "session {}: {dropped} fields more than are kept are left out",
                            id.sanitise_line()
                        ));
                    }
                    sessions.push(fetched);
                }
                Err(error) => {
                    print_error(&session_message(&id, &error));
                    exit = more_specific(exit, api_error::exit_code(&error));
                    has_fatal_error |= error.affects_all_requests();
                }
            }
        }
        requested = requested.saturating_add(batch.len());
        let skipped = config.ids.len().saturating_sub(requested);
        if has_fatal_error && skipped > 0 {
            print_error(&format!("{skipped} more were not asked for: it would go no better"));
            break;
        }
    }
    if config.json {
        print(&json(&sessions, config.reveal, stdout().is_terminal())?)?;
    } else if !sessions.is_empty() {
        let text = table(&sessions, config.reveal, config.zone, Clock::system().now().wall);
        print_text(&text, config.ascii)?;
    }
    Ok(exit)
}

/// Fetches up to [`BATCH_SIZE`] sessions concurrently. Returns the results in the order of `ids`.
///
/// Without `reveal`, the client skips the connect fields while it decodes the response, as it does for polls.
async fn fetch(
    client: &Client,
    ids: &[SessionId],
    reveal: bool,
) -> Vec<(SessionId, Result<SessionWithUrls, ApiError>)> {
    let fetch_one = async |index: usize| match ids.get(index) {
        Some(id) if reveal => Some((id.clone(), client.session_with_urls(id).await.result)),
        Some(id) => {
            let result = client.session(id).await.result;
            Some((
                id.clone(),
                result.map(|session| SessionWithUrls { session, urls: ConnectUrls::default() }),
            ))
        }
        None => None,
    };
    let (a, b, c, d) = tokio::join!(fetch_one(0), fetch_one(1), fetch_one(2), fetch_one(3));
    [a, b, c, d].into_iter().flatten().collect()
}

/// Returns the sessions as a JSON array. If `to_terminal` is true, escapes what a terminal would interpret.
fn json(sessions: &[SessionWithUrls], reveal: bool, to_terminal: bool) -> Result<String, CliError> {
    let values: Vec<Value> = sessions
        .iter()
        .map(|fetched| {
            let mut value = Value::Object(object(&fetched.session, reveal.then_some(&fetched.urls)));
            if !reveal {
                text::redact_values(&mut value); // people put connect URLs into their metadata
            }
            value
        })
        .collect();
    let json = serde_json::to_string_pretty(&values).map_err(CliError::Json)?;
    // promise: json-escapes, mutant: if to_terminal -> if !to_terminal
    Ok(if to_terminal { text::escape_json_for_terminal(&json) } else { json } + "\n")
}

/// Returns the session as a JSON object with the API's own field names, in the order of the API's schema. Absent fields
/// are left out.
fn object(session: &Session, urls: Option<&ConnectUrls>) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            object.insert(name.to_owned(), value);
        }
    };
    let time = |at: Option<Timestamp>| at.map(|at| Value::from(at.to_rfc3339()));
    put("id", Some(session.id.raw().into()));
    put("createdAt", time(session.created));
    put("updatedAt", time(session.updated));
    put("projectId", session.project.as_ref().map(|id| id.raw().into()));
    put("startedAt", time(session.started));
    put("endedAt", time(session.ended));
    put("expiresAt", time(session.expires));
    put("status", Some(session.status.raw().into()));
    put("proxyBytes", session.proxy_bytes.map(Value::from));
    put("keepAlive", session.keep_alive.map(Value::from));
    put("contextId", session.context.as_ref().map(|id| id.raw().into()));
    put("region", session.region.as_ref().map(|region| region.raw().into()));
    let metadata = session.metadata.as_ref();
    put(
        "userMetadata",
        metadata.map(|metadata| metadata.to_value().unwrap_or_else(|| Value::from(metadata.fallback_text()))),
    );
    for (name, value) in &session.extra_fields {
        let value = serde_json::from_str(value.raw()).unwrap_or_else(|_| Value::from(value.raw()));
        put(name.raw(), Some(value));
    }
    let exposed = |secret: &Option<Secret>| secret.as_ref().map(|secret| Value::from(secret.expose()));
    if let Some(urls) = urls {
        put("connectUrl", exposed(&urls.connect));
        put("seleniumRemoteUrl", exposed(&urls.selenium));
        put("signingKey", exposed(&urls.signing_key));
    }
    object
}

/// Renders a table with one row per session. With `reveal`, each session's secrets follow its row.
fn table(sessions: &[SessionWithUrls], reveal: bool, zone: Zone, now: Timestamp) -> String {
    let heading = ["SESSION", "STATUS", "REGION", "KEEP-ALIVE", "RAN", "LEFT", "PROXY", "METADATA"];
    let mut rows: Vec<Vec<String>> = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(sessions.iter().map(|fetched| cells(&fetched.session, zone, now)));
    let widths = column_widths(&rows);
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        out.push_str(&text_table::format_row(row, &widths));
        // The heading is row 0.
        let fetched = index.checked_sub(1).and_then(|index| sessions.get(index));
        if let Some(fetched) = fetched.filter(|_| reveal) {
            out.push_str(&secret_lines(&fetched.urls));
        }
    }
    out
}

/// Returns the cells of a session's row, in the order of the heading in [`table`].
fn cells(session: &Session, zone: Zone, now: Timestamp) -> Vec<String> {
    let placeholder = || "-".to_owned();
    let ended = session.status.phase() == Phase::Ended;
    let end = if ended { session.ended } else { Some(now) };
    let running_time =
        session.started.zip(end).and_then(|(start, end)| end.signed_duration_since(start).to_std().ok());
    let left = match (ended, session.expires) {
        (true, _) => session.ended.map(|at| format!("ended {}", zone.date_time(at))),
        (false, Some(expires)) => Some(match expires.signed_duration_since(now).to_std() {
            Ok(left) => text::format_countdown(left),
            Err(_) => format!("over since {}", zone.date_time(expires)),
        }),
        (false, None) => None,
    };
    vec![
        session.id.sanitise(MAX_CELL_COLUMNS),
        session.status.sanitise(MAX_WORD_COLUMNS),
        session.region.as_ref().map_or_else(placeholder, |region| region.sanitise(MAX_WORD_COLUMNS)),
        session.keep_alive.map_or_else(placeholder, |keep| if keep { "yes" } else { "no" }.to_owned()),
        running_time.map_or_else(placeholder, text::format_elapsed),
        left.unwrap_or_else(placeholder),
        session.proxy_bytes.map_or_else(placeholder, text::format_bytes),
        session
            .metadata
            .as_ref()
            .filter(|metadata| !metadata.is_empty())
            .map_or_else(placeholder, |metadata| metadata.one_line(MAX_CELL_COLUMNS)),
    ]
}

/// Returns the secrets, one per line. Never truncates them, because the user copies them. The longest name,
/// `seleniumRemoteUrl`, has 17 columns.
fn secret_lines(urls: &ConnectUrls) -> String {
    [("connectUrl", &urls.connect), ("seleniumRemoteUrl", &urls.selenium), ("signingKey", &urls.signing_key)]
        .into_iter()
        .map(|(name, secret)| match secret {
            Some(secret) => format!("  {name:<17}  {}\n", text::sanitise(secret.expose(), usize::MAX)),
            None => format!("  {name:<17}  -\n"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwatch_core::testing::{noon, running_session};

    #[test]
    fn secrets_need_reveal() {
        let fetched = SessionWithUrls {
            session: running_session("s", noon(), std::time::Duration::from_secs(60)),
            urls: ConnectUrls { connect: Some(Secret::new("wss://CANARY".into())), ..ConnectUrls::default() },
        };
        let sessions = [fetched];
        assert!(!json(&sessions, false, false).unwrap().contains("CANARY"));
        assert!(json(&sessions, true, false).unwrap().contains(r#""connectUrl": "wss://CANARY""#));
        assert!(!table(&sessions, false, Zone::Utc, noon()).contains("CANARY"));
        assert!(table(&sessions, true, Zone::Utc, noon()).contains("wss://CANARY"));
    }
}
