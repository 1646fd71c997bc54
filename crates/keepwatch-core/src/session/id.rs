//! Session ids.

use serde::{Deserialize, Serialize};

use crate::text::{self, Untrusted};

/// The longest id that is accepted from a user, in bytes. Browserbase's are UUIDs of 36.
const MAX_ID_BYTES: usize = 256;
/// How many characters an id of Browserbase's has.
const BROWSERBASE_ID_CHARS: usize = 36;

/// What names a session. Any text can be one: ids with spaces are odd, but not wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(Untrusted);

/// The reason why a text given by a user is not, or does not contain, one session id. Its texts are fit for a terminal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionIdError {
    /// The text is empty.
    #[error("a session id is empty; it looks like 6512bd43-d9ca-4e02-9a67-91f2c1a0b3de")]
    Empty,
    /// The id is longer than is accepted.
    #[error("a session id of {bytes} bytes is too long; at most {MAX_ID_BYTES} are taken")]
    TooLong {
        /// The length of the text.
        bytes: usize,
    },
    /// The text has control characters or is a path of dots, which no URL can carry.
    #[error("“{0}” can not be a session id")]
    Unusable(String),
    /// The text contains what looks like a secret, which would be written down as an id. Holds the masked text.
    #[error("“{0}” has what looks like a secret in it: give the id of the session alone")]
    Secret(String),
    /// A longer text contains no id.
    #[error("there is no session id in it; one looks like 6512bd43-d9ca-4e02-9a67-91f2c1a0b3de")]
    NotFound,
    /// A longer text contains so many ids.
    #[error("there are {0} ids in it: leave the one that is meant")]
    Ambiguous(usize),
}

impl SessionId {
    /// Parses an id as a user gave it.
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
        let masked = text::redact(id);
        // promise: secret-as-id
        if masked != id {
            return Err(SessionIdError::Secret(text::sanitise(&masked, 80)));
        }
        Ok(Self(Untrusted::new(id)))
    }

    /// An id as the API gave it.
    #[must_use]
    pub fn from_api(id: Untrusted) -> Self {
        Self(id)
    }

    /// What follows the sentence that the API knows no such session: nothing, but that this may be the start of an id. The
    /// screen and sentences show the first eight characters, and people paste those.
    #[must_use]
    pub fn truncation_hint(&self) -> &'static str {
        let is_complete = self.raw().chars().count() >= BROWSERBASE_ID_CHARS;
        if is_complete { "" } else { "; is the id whole? Browserbase's have 36 characters" }
    }

    /// The id itself, for requests and comparison; never for a terminal.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.0.raw()
    }

    /// The id as a terminal may show it, at most `columns` wide.
    #[must_use]
    pub fn sanitise(&self, columns: usize) -> String {
        self.0.sanitise(columns)
    }

    /// Its first `columns` characters, as a terminal may show them: enough to tell it from others, without a sign that
    /// there is more.
    #[must_use]
    pub fn prefix(&self, columns: usize) -> String {
        let start: String = self.raw().chars().take(columns).collect();
        text::sanitise(&start, columns)
    }

    /// The whole id as a terminal may show it.
    #[must_use]
    pub fn sanitise_line(&self) -> String {
        self.0.sanitise_line()
    }

    /// The number of characters that confirm a release.
    pub const CONFIRMATION_CHARS: usize = 4;

    /// Returns the last characters of the id, which a user types to confirm its release.
    #[must_use]
    pub fn confirmation(&self) -> String {
        let skipped = self.raw().chars().count().saturating_sub(Self::CONFIRMATION_CHARS);
        self.raw().chars().skip(skipped).collect()
    }

    /// Returns true if `typed` is the [`confirmation`](Self::confirmation), in any case.
    #[must_use]
    pub fn is_confirmed_by(&self, typed: &str) -> bool {
        let expected = self.confirmation();
        !expected.is_empty() && typed.trim().to_lowercase() == expected.to_lowercase()
    }
}

/// The dashboard's page of a session; no secret is in it.
#[must_use]
pub fn dashboard_url(id: &SessionId) -> String {
    const PAGE: &str = "https://www.browserbase.com/sessions/";
    let mut url = url::Url::parse(PAGE).map_err(|_| ());
    if let Ok(url) = &mut url
        && let Ok(mut path) = url.path_segments_mut()
    {
        path.pop_if_empty().push(id.raw());
    }
    url.map_or_else(|()| PAGE.into(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_four_characters_confirm_a_release() {
        let id = SessionId::parse("6512bd43-d9ca-4e02-9a67-91f2c1a0B3dé").unwrap();
        assert_eq!(id.confirmation(), "B3dé");
        assert!(id.is_confirmed_by(" b3DÉ ") && !id.is_confirmed_by("0B3dé") && !id.is_confirmed_by(""));
        assert_eq!(SessionId::parse("s1").unwrap().confirmation(), "s1");
    }

    #[test]
    fn an_id_may_have_spaces_inside_but_must_be_something_a_url_can_carry() {
        assert_eq!(SessionId::parse("  two words ").unwrap().raw(), "two words");
        for bad in ["", "   ", ".", "..", "a\nb", &"x".repeat(257)] {
            assert!(SessionId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_dashboard_page_carries_any_id() {
        let id = SessionId::parse("a b/../c?d#e").unwrap();
        assert_eq!(dashboard_url(&id), "https://www.browserbase.com/sessions/a%20b%2F..%2Fc%3Fd%23e");
    }
}
