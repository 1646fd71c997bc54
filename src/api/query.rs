//! The API's `q` parameter, which narrows lists by metadata. This module checks only the form of a query; the API
//! evaluates it.

use keepwatch_core::text;

/// The maximum length of a query, in bytes. A useful query is shorter: the API compares it with metadata of fewer than
/// 512 characters.
const MAX_BYTES: usize = 2000;
/// The maximum width of a query in a message, in columns.
const MAX_SHOWN_COLUMNS: usize = 60;
/// The example that errors show.
const EXAMPLE: &str = "user_metadata['run']['id']:'c-881'";

/// A query for lists: `user_metadata['path']['to']['field']:'value'`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query(String);

/// An error in a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "the messages document the variants; all but `Empty` hold the sanitised query"
)]
pub enum QueryError {
    #[error("the query is empty; the API takes {EXAMPLE}")]
    Empty,
    #[error("“{0}” is too long for a query, or has characters that none has; the API takes {EXAMPLE}")]
    InvalidText(String),
    #[error("“{0}” does not begin with user_metadata; the API takes {EXAMPLE}")]
    WrongField(String),
    #[error("“{0}” has no path in brackets and single quotes; the API takes {EXAMPLE}")]
    NoPath(String),
    #[error("“{0}” has no value in single quotes after a colon; the API takes {EXAMPLE}")]
    NoValue(String),
}

impl Query {
    /// Parses the text that the user typed.
    ///
    /// # Errors
    /// The text does not have the form that the API documents.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let query = text.trim();
        let shown = || text::sanitise(query, MAX_SHOWN_COLUMNS);
        if query.is_empty() {
            return Err(QueryError::Empty);
        }
        if query.len() > MAX_BYTES || query.chars().any(char::is_control) {
            return Err(QueryError::InvalidText(shown()));
        }
        let Some(rest) = query.strip_prefix("user_metadata") else {
            return Err(QueryError::WrongField(shown()));
        };
        if !rest.starts_with("['") {
            return Err(QueryError::NoPath(shown()));
        }
        if !rest.split_once("']:'").is_some_and(|(_, value)| value.ends_with('\'')) {
            return Err(QueryError::NoValue(shown()));
        }
        Ok(Self(query.to_owned()))
    }

    /// Returns the query text, before URL encoding.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_needs_path_and_value() {
        for good in [
            "user_metadata['env']:'staging'",
            " user_metadata['run']['it's']:'' ",
            "user_metadata['a']:'ü & \"b\"'",
        ] {
            assert_eq!(Query::parse(good).unwrap().raw(), good.trim());
        }
        for (bad, expected) in [
            (" ", "empty"),
            ("env:staging", "begin with user_metadata"),
            ("user_metadata:'x'", "no path"),
            ("user_metadata[\"env\"]:\"x\"", "no path"),
            ("user_metadata['env']", "no value"),
            ("user_metadata['env']:x", "no value"),
            ("user_metadata['env']:'", "no value"),
            ("user_metadata['e\nnv']:'x'", "characters"),
        ] {
            let message = Query::parse(bad).unwrap_err().to_string();
            assert!(message.contains(expected) && message.ends_with(EXAMPLE), "{bad}: {message}");
        }
    }
}
