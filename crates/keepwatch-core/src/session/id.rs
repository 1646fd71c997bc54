//! Session ids: parsing, display, the URL in the dashboard, and the confirmation of a release.

use serde::{Deserialize, Serialize};

use crate::text::{self, Untrusted};

/// The maximum length of an id given by a user, in bytes. Browserbase's ids are UUIDs of 36 bytes.
const MAX_ID_BYTES: usize = 256;
/// The number of characters in an id that Browserbase creates.
const BROWSERBASE_ID_CHARS: usize = 36;

/// The id of a session. An id with spaces is unusual, but valid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(Untrusted);

/// An error in a session id given by a user. Its messages are safe for a terminal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionIdError {
    /// The text is empty.
    #[error("a session id is empty; it looks like 6512bd43-d9ca-4e02-9a67-91f2c1a0b3de")]
    Empty,
    /// The id is too long.
    #[error("a session id of {bytes} bytes is too long; at most {MAX_ID_BYTES} are taken")]
    TooLong {
        /// The length of the id.
        bytes: usize,
    },
    /// The text has control characters, or is `.` or `..`. A URL cannot contain these.
    #[error("“{0}” can not be a session id")]
    Unusable(String),
    /// The text seems to contain a secret, which must not be stored as an id. Holds the redacted text.
    #[error("“{0}” has what looks like a secret in it: give the id of the session alone")]
    Secret(String),
    /// The text that was searched for an id contains none.
    #[error("there is no session id in it; one looks like 6512bd43-d9ca-4e02-9a67-91f2c1a0b3de")]
    NotFound,
    /// The text that was searched for an id contains this many ids.
    #[error("there are {0} ids in it: leave the one that is meant")]
    Ambiguous(usize),
}

impl SessionId {
    /// Parses an id given by a user.
    ///
    /// # Errors
    /// Returns an error if no session can have this id.
    pub fn parse(text: &str) -> Result<Self, SessionIdError> {
        let id = text.trim();
        if id.is_empty() {
            return Err(SessionIdError::Empty);
        }
        if id.len() > MAX_ID_BYTES {
            return Err(SessionIdError::TooLong { bytes: id.len() });
        }
        if id == "." || id == ".." || id.chars().any(char::is_control) {
            return Err(SessionIdError::Unusable(text::sanitise(id, 40)));
        }
        let redacted = text::redact(id);
        // promise: secret-as-id
        if redacted != id {
            return Err(SessionIdError::Secret(text::sanitise(&redacted, 80)));
        }
        Ok(Self(Untrusted::new(id)))
    }

    /// Wraps an id given by the API, without checks.
    #[must_use]
    pub fn from_api(id: Untrusted) -> Self {
        Self(id)
    }

    /// Returns a hint to append to "not found" if the id may be truncated, else an empty text. The screen shows only
    /// the first eight characters of an id, and users paste what they see.
    #[must_use]
    pub fn truncation_hint(&self) -> &'static str {
        let is_complete = self.raw().chars().count() >= BROWSERBASE_ID_CHARS;
        if is_complete { "" } else { "; is the id whole? Browserbase's have 36 characters" }
    }

    /// Returns the raw id, for requests and comparison. It is not safe for a terminal.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.0.raw()
    }

    /// Returns the sanitised id, at most `columns` wide.
    #[must_use]
    pub fn sanitise(&self, columns: usize) -> String {
        self.0.sanitise(columns)
    }

    /// Returns the first `columns` characters, sanitised. If they are wider than `columns`, they are truncated.
    #[must_use]
    pub fn prefix(&self, columns: usize) -> String {
        let start: String = self.raw().chars().take(columns).collect();
        text::sanitise(&start, columns)
    }

    /// Returns the whole id, sanitised, on one line.
    #[must_use]
    pub fn sanitise_line(&self) -> String {
        self.0.sanitise_line()
    }

    /// The number of characters that a user types to confirm a release.
    pub const CONFIRMATION_CHARS: usize = 4;

    /// Returns the last [`CONFIRMATION_CHARS`](Self::CONFIRMATION_CHARS) characters of the id. The user types them to
    /// confirm the release of the session.
    #[must_use]
    pub fn confirmation(&self) -> String {
        let skipped_chars = self.raw().chars().count().saturating_sub(Self::CONFIRMATION_CHARS);
        self.raw().chars().skip(skipped_chars).collect()
    }

    /// Returns true if `typed` is the [`confirmation`](Self::confirmation), ignoring case.
    #[must_use]
    pub fn is_confirmed_by(&self, typed: &str) -> bool {
        let expected = self.confirmation();
        !expected.is_empty() && typed.trim().to_lowercase() == expected.to_lowercase()
    }
}

/// Returns the URL of the session's page in the dashboard. The URL contains no secret.
#[must_use]
pub fn dashboard_url(id: &SessionId) -> String {
    const PAGE: &str = "https://www.browserbase.com/sessions/";
    if matches!(id.raw(), "." | "..") {
        return PAGE.to_owned(); // a browser takes such an id for a folder, even if it is encoded
    }
    // Programs that open a browser may pass the URL to a shell. So only letters, digits and four harmless characters
    // stay as they are.
    let encode = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        // promise: encoded-id, mutant: format!("%{byte:02X}") -> char::from(byte).to_string()
        _ => format!("%{byte:02X}"),
    };
    id.raw().bytes().fold(PAGE.to_owned(), |url, byte| url + &encode(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_four_characters_confirm_release() {
        let id = SessionId::parse("6512bd43-d9ca-4e02-9a67-91f2c1a0B3dé").unwrap();
        assert_eq!(id.confirmation(), "B3dé");
        assert!(id.is_confirmed_by(" b3DÉ ") && !id.is_confirmed_by("0B3dé") && !id.is_confirmed_by(""));
        assert_eq!(SessionId::parse("s1").unwrap().confirmation(), "s1");
    }

    #[test]
    fn surrounding_spaces_are_removed() {
        assert_eq!(SessionId::parse("  two words ").unwrap().raw(), "two words");
    }

    #[test]
    fn unusable_ids_are_refused() {
        // 257 bytes are one more than `MAX_ID_BYTES`.
        for bad in ["", "   ", ".", "..", "a\nb", &"x".repeat(257)] {
            assert!(SessionId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn dashboard_url_escapes_special_characters() {
        let id = SessionId::parse("a b/../c?d#e").unwrap();
        assert_eq!(dashboard_url(&id), "https://www.browserbase.com/sessions/a%20b%2F..%2Fc%3Fd%23e");
        let url = dashboard_url(&SessionId::from_api(Untrusted::new("-1.~_$(x)&;'é")));
        assert_eq!(url, "https://www.browserbase.com/sessions/-1.~_%24%28x%29%26%3B%27%C3%A9");
        assert_eq!(
            dashboard_url(&SessionId::from_api(Untrusted::new(".."))),
            "https://www.browserbase.com/sessions/"
        );
    }
}
