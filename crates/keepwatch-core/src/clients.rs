//! The clients of Browserbase: which call of which client only disconnects, and which ends the session.
//!
//! [`CALLS`] is the table of these calls. We observed them in November 2026, with unmodified clients and a proxy in
//! front of the simulator. The table therefore says what the clients send, not what the service does with it.
//!
//! Four clients leave a stamp in the metadata of their sessions: [`Metadata::client`] recognises them.

use serde_json::Value;

use crate::session::Metadata;
use crate::text;

/// A client that leaves a stamp in the metadata of the sessions that it creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownClient {
    /// Stagehand 4, which adds `stagehand_sdk_language` and `stagehand_sdk_version`.
    Stagehand4,
    /// Stagehand 3, which adds `stagehand` alone.
    Stagehand3,
    /// The MCP server, which adds `mcp`.
    Mcp,
    /// The browse CLI, which adds `browse_cli`.
    Browse,
}

/// The effect of a client's call on a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEffect {
    /// The call closes the connection. A session without keep-alive then ends; one with keep-alive stays.
    Disconnects,
    /// The call closes one page. The session stays, with keep-alive or without.
    ClosesPage,
    /// The call closes the browser, which ends the session, with keep-alive or without.
    ClosesBrowser,
    /// The call releases the session through the API, with keep-alive or without.
    Releases,
    /// The call sends nothing. The client stays connected.
    Nothing,
}

/// One row of the table of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientCall {
    /// The client's name, with its version if the calls of other versions have other effects.
    pub client: &'static str,
    /// The call, or the other way in which the client leaves.
    pub call: &'static str,
    /// The effect of the call.
    pub effect: CallEffect,
    /// The client whose metadata stamp leads to this row, if there is one.
    pub stamped_by: Option<KnownClient>,
}

use CallEffect::{ClosesBrowser, ClosesPage, Disconnects, Nothing, Releases};

/// The table: every call whose effect was observed, those of one client together.
pub const CALLS: [ClientCall; 17] = [
    row("Playwright", "browser.close(), context.close()", Disconnects),
    row("Playwright", "page.close()", ClosesPage),
    row("Playwright", "CDP send(\"Browser.close\")", ClosesBrowser),
    row("Puppeteer", "disconnect()", Disconnects),
    row("Puppeteer", "close()", ClosesBrowser),
    stamped_row(KnownClient::Stagehand3, "close()", Disconnects),
    stamped_row(KnownClient::Stagehand4, "browser.disconnect()", Disconnects),
    stamped_row(KnownClient::Stagehand4, "browser.close()", Releases),
    stamped_row(KnownClient::Stagehand4, "stagehand.close()", Nothing),
    stamped_row(KnownClient::Mcp, "session_close", Disconnects),
    stamped_row(KnownClient::Mcp, "exit, keep-alive off", Releases),
    stamped_row(KnownClient::Browse, "browse stop", Disconnects),
    row("browser-use", "stop(), kill()", Disconnects),
    row("agent-browser", "close, with --cdp", Disconnects),
    row("agent-browser", "close, with -p browserbase", Releases),
    row("Selenium", "quit(), last close() (inferred)", ClosesBrowser),
    row("any client", "exits or is killed", Disconnects),
];

/// Returns a row for a client without a stamp.
const fn row(client: &'static str, call: &'static str, effect: CallEffect) -> ClientCall {
    ClientCall { client, call, effect, stamped_by: None }
}

/// Returns a row for a client that metadata reveals.
const fn stamped_row(client: KnownClient, call: &'static str, effect: CallEffect) -> ClientCall {
    ClientCall { client: client.name(), call, effect, stamped_by: Some(client) }
}

impl KnownClient {
    /// Returns the name of the client.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stagehand4 => "Stagehand 4",
            Self::Stagehand3 => "Stagehand 3",
            Self::Mcp => "MCP server",
            Self::Browse => "browse CLI",
        }
    }

    /// Returns the client's calls that have this effect, as in "`close()` and `quit()`". Returns `None` if there are
    /// none.
    fn calls_with(self, effect: CallEffect) -> Option<String> {
        let rows = CALLS.iter().filter(|row| row.stamped_by == Some(self) && row.effect == effect);
        let calls: Vec<String> = rows.map(|row| format!("`{}`", row.call)).collect();
        (!calls.is_empty()).then(|| calls.join(" and "))
    }

    /// Returns advice about the client's calls, for a session that probably ended by one of them or by a release. The
    /// text has no full stop.
    #[must_use]
    pub fn advice(self, keep_alive: Option<bool>) -> String {
        let name = self.name();
        let disconnect = self.calls_with(Disconnects);
        let release = self.calls_with(Releases);
        match (self, keep_alive) {
            // The supervisor of the MCP server releases only sessions without keep-alive.
            (Self::Mcp, Some(true)) => match disconnect {
                Some(disconnect) => format!(
                    "{name}: its {disconnect} only disconnects, which keep-alive survives, so look for another program"
                ),
                None => String::new(),
            },
            (Self::Mcp, _) => {
                format!("{name}: without keep-alive it releases the session when its process exits")
            }
            (_, Some(false)) => match (disconnect, release) {
                (Some(disconnect), Some(release)) => format!(
                    "{name}'s {disconnect} disconnects and {release} releases: without keep-alive, both end the session"
                ),
                (Some(disconnect), None) => {
                    format!("{name}'s {disconnect} disconnects, which ends a session without keep-alive")
                }
                (None, _) => String::new(),
            },
            _ => match (disconnect, release) {
                (Some(disconnect), Some(release)) => {
                    format!("{name}'s {release} releases the session, keep-alive or not; use {disconnect}")
                }
                (Some(disconnect), None) => format!(
                    "{name}'s {disconnect} only disconnects, which keep-alive survives, so look for another program"
                ),
                (None, _) => String::new(),
            },
        }
    }
}

impl CallEffect {
    /// All effects: first those that can end a session, then the others.
    pub const ALL: [Self; 5] = [Disconnects, ClosesBrowser, Releases, ClosesPage, Nothing];

    /// Returns the effect as a label of at most ten columns.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Disconnects => "disconnect",
            ClosesBrowser => "close",
            Releases => "release",
            ClosesPage => "page only",
            Nothing => "nothing",
        }
    }

    /// Returns true if the call ends a session with keep-alive. Without keep-alive, a disconnect ends it, too.
    #[must_use]
    pub fn ends_keep_alive_session(self) -> bool {
        matches!(self, ClosesBrowser | Releases)
    }

    /// Returns the effect in words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Disconnects => "disconnects",
            ClosesPage => "closes a page",
            ClosesBrowser => "closes the browser",
            Releases => "releases",
            Nothing => "sends nothing",
        }
    }
}

impl Metadata {
    /// Returns the client that created the session, if its stamp is in the metadata.
    #[must_use]
    pub fn client(&self) -> Option<KnownClient> {
        KnownClient::from_metadata_tree(&self.to_value()?)
    }
}

impl KnownClient {
    /// Returns the client whose stamp is in this metadata.
    pub(crate) fn from_metadata_tree(metadata: &Value) -> Option<Self> {
        let map = metadata.as_object()?;
        let has = |key: &str| map.contains_key(key);
        if has("mcp") {
            // The MCP server uses Stagehand, whose stamp can be there, too.
            Some(KnownClient::Mcp)
        } else if has("browse_cli") {
            Some(KnownClient::Browse)
        } else if has("stagehand_sdk_language") || has("stagehand_sdk_version") {
            Some(KnownClient::Stagehand4)
        } else {
            has("stagehand").then_some(KnownClient::Stagehand3)
        }
    }
}

/// Returns the table of calls as plain text of less than 80 columns: headings, and below them one call a line. The last
/// column says what becomes of a session with keep-alive. Each line ends with a line feed.
#[must_use]
pub fn table_text() -> String {
    let headings = ["CLIENT", "CALL", "EFFECT", "KEEP-ALIVE"];
    let outcome = |effect: CallEffect| if effect.ends_keep_alive_session() { "ends" } else { "stays" };
    let rows = CALLS.iter().map(|row| [row.client, row.call, row.effect.text(), outcome(row.effect)]);
    let rows: Vec<_> = std::iter::once(headings).chain(rows).collect();
    let width = |column: fn(&[&'static str; 4]) -> &'static str| {
        rows.iter().map(|row| text::width(column(row))).max().unwrap_or(0)
    };
    let widths = (width(|row| row[0]), width(|row| row[1]), width(|row| row[2]));
    rows.iter()
        .map(|[client, call, effect, keep_alive]| {
            format!("{client:0$}  {call:1$}  {effect:2$}  {keep_alive}\n", widths.0, widths.1, widths.2)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_tell_clients_apart() {
        let client = |json| Metadata::new(json).client();
        for (json, expected) in [
            (
                r#"{"stagehand":"true","stagehand_sdk_language":"python","stagehand_sdk_version":"4.3.0"}"#,
                Some(KnownClient::Stagehand4),
            ),
            (r#"{"stagehand":"true"}"#, Some(KnownClient::Stagehand3)),
            (r#"{"stagehand":"true","mcp":"true"}"#, Some(KnownClient::Mcp)),
            (r#"{"browse_cli":"true","cli_version":"0.9.3","install_id":"3f9a"}"#, Some(KnownClient::Browse)),
            (r#"{"owner":"growth"}"#, None),
            ("[1]", None),
            ("{", None),
        ] {
            assert_eq!(client(json), expected, "{json}");
        }
    }

    #[test]
    fn advice_names_the_calls() {
        use KnownClient::{Browse, Mcp, Stagehand3, Stagehand4};
        for (client, keep_alive, advice) in [
            (
                Stagehand4,
                true,
                "Stagehand 4's `browser.close()` releases the session, keep-alive or not; use `browser.disconnect()`",
            ),
            (
                Stagehand4,
                false,
                "Stagehand 4's `browser.disconnect()` disconnects and `browser.close()` releases: without keep-alive, both \
                 end the session",
            ),
            (
                Stagehand3,
                true,
                "Stagehand 3's `close()` only disconnects, which keep-alive survives, so look for another program",
            ),
            (
                Mcp,
                true,
                "MCP server: its `session_close` only disconnects, which keep-alive survives, so look for another \
                 program",
            ),
            (Mcp, false, "MCP server: without keep-alive it releases the session when its process exits"),
            (
                Browse,
                false,
                "browse CLI's `browse stop` disconnects, which ends a session without keep-alive",
            ),
        ] {
            assert_eq!(client.advice(Some(keep_alive)), advice);
        }
        for client in [Stagehand4, Stagehand3, Mcp, Browse] {
            for keep_alive in [Some(true), Some(false), None] {
                assert!(!client.advice(keep_alive).is_empty(), "{client:?}");
            }
        }
    }

    #[test]
    fn table_fits_eighty_columns() {
        let table = table_text();
        assert_eq!(table.lines().count(), CALLS.len() + 1);
        assert!(table.lines().all(|line| text::width(line) < 80 && line == line.trim_end()), "{table}");
        assert!(table.contains("Stagehand 4 ") && table.contains("browser.disconnect()"), "{table}");
    }
}
