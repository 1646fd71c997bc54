//! Paths into metadata, such as `run.id`, as given by a user.
//!
//! A path is rejected if a part of it names a secret, such as `run.api_key`. Keys can contain dots, so a path is also
//! rejected if consecutive parts together name a secret, such as `api.key`. The value at any other path can still
//! contain secrets in its text, so redact it before output.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::text;

/// Metadata keys separated by dots, outermost first. Keys can contain dots, so the lookup tries the longest possible
/// key first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MetadataPath(String);

/// An error in a metadata path. Its messages are safe for a terminal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataPathError {
    /// The path is empty or has an empty part.
    #[error("“{0}” is no path into the metadata; one looks like run.id")]
    Malformed(String),
    /// A part of the path names a secret, or consecutive parts together name one.
    #[error("what is at “{0}” in the metadata is taken for a secret, and not shown")]
    Secret(String),
}

impl MetadataPath {
    /// Parses a path given by a user.
    ///
    /// # Errors
    /// The path is empty or has an empty part, or it names a secret. No path can lead to a key that is empty, or
    /// that begins or ends with a dot.
    pub fn parse(text: &str) -> Result<Self, MetadataPathError> {
        let path = text.trim();
        if path.is_empty() || path.split('.').any(str::is_empty) {
            return Err(MetadataPathError::Malformed(text::sanitise(path, 40)));
        }
        // `is_secret_name` looks only at the end of a name. So a beginning of the path, up to the end of one part,
        // stands for all sequences of consecutive parts that end there.
        let part_ends = path.match_indices('.').map(|(dot, _)| dot).chain([path.len()]);
        // promise: joined-path, mutant: ..end -> end..
        if part_ends.into_iter().any(|end| path.get(..end).is_some_and(text::is_secret_name)) {
            return Err(MetadataPathError::Secret(text::sanitise(path, 40)));
        }
        Ok(Self(path.to_owned()))
    }

    /// Returns the value at this path in `tree`.
    #[must_use]
    pub fn value_in<'v>(&self, tree: &'v Value) -> Option<&'v Value> {
        find_value(&self.0, tree)
    }

    /// Returns the path as the user wrote it. It is not safe for a terminal.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MetadataPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::sanitise(&self.0, 80))
    }
}

fn find_value<'v>(path: &str, tree: &'v Value) -> Option<&'v Value> {
    let child = |key: &str| match tree {
        Value::Object(map) => map.get(key),
        Value::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    child(path).or_else(|| {
        path.rmatch_indices('.').find_map(|(dot, _)| {
            let (key, rest) = (path.get(..dot)?, path.get(dot.saturating_add(1)..)?);
            find_value(rest, child(key)?)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_finds_nested_and_dotted_keys() {
        let tree =
            serde_json::json!({"run": {"id": "c-881", "tags": ["a", "b"]}, "a.b": {"c": 1}, "env": "x"});
        for (path, expected) in [
            ("env", Some("\"x\"")),
            ("run.id", Some("\"c-881\"")),
            ("run.tags.1", Some("\"b\"")),
            ("a.b.c", Some("1")),
            ("run.tags.2", None),
            ("run.nothing", None),
            ("env.x", None),
        ] {
            let value = MetadataPath::parse(path).unwrap().value_in(&tree).map(ToString::to_string);
            assert_eq!(value.as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn parts_that_join_to_secret_name_are_refused() {
        for path in ["api.key", "run.api.key", "api.key.id", "run.signing.key.0", "to.ken", "pass.w.ord"] {
            assert!(matches!(MetadataPath::parse(path), Err(MetadataPathError::Secret(_))), "{path}");
        }
        for path in ["api.id", "key.api", "run.key"] {
            assert!(MetadataPath::parse(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn malformed_and_secret_paths_are_refused() {
        for bad in ["", " ", ".", "run.", ".id", "a..b", "run.api_key", "token"] {
            assert!(MetadataPath::parse(bad).is_err(), "{bad}");
        }
    }
}
