//! A session's metadata: a JSON object that its creator attached to it.
//!
//! Metadata is held as JSON text, which is compact, is comparable and can have any depth. The text is parsed into a
//! tree only where the tree is needed: to show entries, to find the [owner](super::owner) and to redact secrets.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::metadata_match;
use crate::text::{self, Untrusted};

/// The maximum length of the text, in bytes; the rest is cut off. Browserbase accepts fewer than 512 characters.
const MAX_BYTES: usize = 16 * 1024;

/// A placeholder for metadata that is not stored. Real metadata is an object, so it never equals this text.
const OMITTED: &str = "\"(left out)\"";

/// Placeholders for text in which redaction would miss secrets. See [`Metadata::fallback_text`].
const ESCAPED_PLACEHOLDER: &str = "\"(not shown: it cannot be read, and has escaped letters)\"";
const SECRET_PLACEHOLDER: &str = "\"(not shown: it cannot be read, and has a name like that of a secret)\"";

/// `userMetadata`, as JSON text. `Debug` sanitises and redacts it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(Arc<str>);

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // promise: metadata-debug, mutant: self.redacted().0).sanitise_line() -> self.0.clone()).raw()
        f.debug_tuple("Metadata").field(&Untrusted::new(self.redacted().0).sanitise_line()).finish()
    }
}

/// One line of the displayed tree: a value, or the heading of an object or array that is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataEntry {
    /// The nesting depth; 0 is the outermost.
    pub depth: usize,
    /// The key, or the index in an array.
    pub key: Untrusted,
    /// The value; `None` for the heading of a non-empty object or array.
    pub value: Option<Untrusted>,
}

impl Metadata {
    /// Wraps the JSON text of an object. Text that is too long is truncated. Truncated text is not valid JSON, so it
    /// is shown as plain text.
    #[must_use]
    pub fn new(json: &str) -> Self {
        let end = json.floor_char_boundary(MAX_BYTES);
        Self(json.get(..end).unwrap_or_default().into())
    }

    /// Returns a placeholder for metadata that is not stored.
    #[must_use]
    pub fn omitted() -> Self {
        Self(OMITTED.into())
    }

    /// Returns true if this is the placeholder for metadata that was not stored.
    #[must_use]
    pub fn is_omitted(&self) -> bool {
        &*self.0 == OMITTED
    }

    /// Returns the JSON text, unredacted.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.0
    }

    /// Returns true if the object has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.bytes().all(|byte| b"{} \t\r\n".contains(&byte))
    }

    /// Parses the text into a tree; `None` if it is truncated or too deep.
    #[must_use]
    pub fn to_value(&self) -> Option<Value> {
        serde_json::from_str(&self.0).ok()
    }

    /// Returns the metadata with secrets redacted, for storage.
    #[must_use]
    pub fn redacted(&self) -> Self {
        match self.to_value() {
            Some(tree) => {
                let mut redacted = tree.clone();
                text::redact_values(&mut redacted);
                // If there are no secrets, the original formatting is kept.
                if redacted == tree { self.clone() } else { Self(redacted.to_string().into()) }
            }
            None => Self(text::redact(self.fallback_text()).into()),
        }
    }

    /// Returns the text to show if [`to_value`](Self::to_value) fails. The caller must still redact it. Text with
    /// escaped letters (`signing\u004bey`) or with the name of a secret (`"password":`) is replaced by a placeholder,
    /// because redaction would miss secrets in it.
    #[must_use]
    pub fn fallback_text(&self) -> &str {
        if self.0.contains("\\u") {
            return ESCAPED_PLACEHOLDER;
        }
        // promise: unparsed-secret, mutant: member_names(&self.0) -> member_names("")
        if member_names(&self.0).any(|name| text::is_secret_name(&name)) {
            return SECRET_PLACEHOLDER;
        }
        &self.0
    }

    /// Returns at most `limit` entries in the order of the text. Nested entries follow their heading. The value of a
    /// key that names a secret is redacted.
    #[must_use]
    pub fn entries(&self, limit: usize) -> Vec<MetadataEntry> {
        let mut entries = Vec::new();
        match self.to_value() {
            Some(Value::Object(map)) => {
                for (key, value) in &map {
                    collect_entries(key, value, 0, limit, &mut entries);
                }
            }
            Some(_) | None => entries.push(MetadataEntry {
                depth: 0,
                key: Untrusted::new("(as text)"),
                value: Some(Untrusted::new(self.fallback_text())),
            }),
        }
        entries
    }

    /// Returns true if a value at or below `path`, such as `run.id`, passes `test`. The keys in the path ignore ASCII
    /// case. An empty path means all values.
    pub fn any_value_at(&self, path: &str, mut test: impl FnMut(&str) -> bool) -> bool {
        metadata_match::any_value_at(&self.0, path, &mut test)
    }

    /// Returns the entries on one line, as `key value  path.to.key value`, truncated to `columns`.
    #[must_use]
    pub fn one_line(&self, columns: usize) -> String {
        let mut line = String::new();
        let mut path: Vec<String> = Vec::new();
        // Each entry adds at least one column to the line: a value is shown itself, and a heading is in the path of a
        // value below it. So `columns` entries are enough.
        for entry in self.entries(columns) {
            if text::width(&line) > columns {
                break;
            }
            path.truncate(entry.depth);
            path.push(entry.key.sanitise(columns));
            if let Some(value) = entry.value {
                let gap = if line.is_empty() { "" } else { "  " };
                line.push_str(&format!("{gap}{} {}", path.join("."), value.sanitise(columns)));
            }
        }
        text::truncate(&line, columns)
    }
}

/// Returns the names of all members in JSON text, without their escaped characters. The text may be truncated, or
/// nested too deeply for the parser.
fn member_names(json: &str) -> impl Iterator<Item = String> {
    let mut rest = json;
    std::iter::from_fn(move || {
        loop {
            let (_, string) = rest.split_once('"')?;
            let (content, length) = string_content(string);
            rest = string.get(length..)?;
            if rest.trim_start().starts_with(':') {
                return Some(content);
            }
        }
    })
}

/// Reads a JSON string after its opening quote. Returns its content without escaped characters, and the number of bytes
/// up to and including the closing quote.
fn string_content(string: &str) -> (String, usize) {
    let mut content = String::new();
    let mut chars = string.char_indices();
    while let Some((at, letter)) = chars.next() {
        match letter {
            '"' => return (content, at.saturating_add(1)),
            '\\' => _ = chars.next(),
            _ => content.push(letter),
        }
    }
    (content, string.len())
}

/// Adds the entry of `key`, and then the entries below it, until `entries` has `limit` entries.
fn collect_entries(key: &str, value: &Value, depth: usize, limit: usize, entries: &mut Vec<MetadataEntry>) {
    if entries.len() >= limit {
        return;
    }
    let nested: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    let shown = match value {
        Value::String(text) => Some(text.clone()),
        other if nested.is_empty() => Some(other.to_string()),
        _ => None,
    };
    // promise: secret-name
    if text::is_secret_name(key) {
        entries.push(MetadataEntry {
            depth, key: Untrusted::new(key), value: Some(Untrusted::new("••••"))
        });
        return;
    }
    entries.push(MetadataEntry { depth, key: Untrusted::new(key), value: shown.map(Untrusted::new) });
    for (key, value) in nested {
        collect_entries(&key, value, depth.saturating_add(1), limit, entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_order_and_nesting() {
        let metadata = Metadata::new(r#"{"zeta":"1","run":{"id":"c-881","tags":["a","b"]},"empty":{}}"#);
        let lines: Vec<String> = metadata
            .entries(100)
            .iter()
            .map(|entry| {
                format!(
                    "{}{}={}",
                    " ".repeat(entry.depth),
                    entry.key.sanitise_line(),
                    entry.value.as_ref().map_or("".into(), |value| value.sanitise_line())
                )
            })
            .collect();
        assert_eq!(lines, ["zeta=1", "run=", " id=c-881", " tags=", "  0=a", "  1=b", "empty={}"]);
    }

    #[test]
    fn one_line_has_paths_and_is_truncated() {
        let metadata = Metadata::new(r#"{"env":"staging","run":{"id":"c-881","tags":["a"]},"n":1}"#);
        assert_eq!(metadata.one_line(80), "env staging  run.id c-881  run.tags.0 a  n 1");
        assert_eq!(metadata.one_line(12), "env staging…");
    }

    #[test]
    fn secrets_are_redacted() {
        let metadata = Metadata::new(
            r#"{"signing_key":"cAnArY","url":"wss://c/?signingKey=cAnArY","n":{"token":["cAnArY"]}}"#,
        );
        let with_owner = Metadata::new(r#"{"owner":"wss://c/?signingKey=cAnArY"}"#);
        let owner = with_owner.owner(None).map(|owner| owner.sanitise_line()).unwrap_or_default();
        let shown = format!("{} {owner}", metadata.one_line(400));
        assert!(!shown.contains("cAnArY"), "{shown}");
    }

    #[test]
    fn escaped_secret_is_hidden() {
        // This metadata is too deep to be parsed, so it is shown as text, which `fallback_text` replaces.
        let nested = |inside: &str| format!("{}{inside}{}", r#"{"a":"#.repeat(1000), "}".repeat(1000));
        let metadata = Metadata::new(&nested(r#""wss://c/?signing\u004bey=cAnArY""#));
        for text in
            [metadata.one_line(20_000), metadata.redacted().json().to_owned(), format!("{metadata:?}")]
        {
            assert!(!text.contains("cAnArY"), "{text}");
        }
        assert!(metadata.one_line(400).contains("not shown"), "{}", metadata.one_line(400));
    }

    #[test]
    fn unparsed_metadata_hides_named_secrets() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200)); // too deep for the parser
        let long = "x".repeat(MAX_BYTES);
        for text in [
            format!(r#"{{"password":"hunter2","d":{deep}}}"#),
            format!(r#"{{"d":{deep},"my secret" : ["hunter2"]}}"#),
            format!(r#"{{"a \"quote\"":1,"run":{{"pass\nword":"hunter2"}},"d":{deep}}}"#),
            format!(r#"{{"client_secret":"hunter2","long":"{long}"}}"#),
            // This text can be parsed. It is shown as text, too, because it is not an object.
            r#"[{"password":"hunter2"}]"#.to_owned(),
        ] {
            let metadata = Metadata::new(&text);
            for shown in
                [metadata.one_line(20_000), metadata.redacted().json().to_owned(), format!("{metadata:?}")]
            {
                assert!(!shown.contains("hunter2"), "{shown}");
            }
        }
        let harmless = Metadata::new(&format!(r#"{{"says":"password: none","d":{deep}}}"#));
        assert!(harmless.one_line(400).contains("password: none"), "{}", harmless.one_line(400));
    }

    #[test]
    fn deep_metadata_is_shown_as_text() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(1000), "}".repeat(1000));
        let metadata = Metadata::new(&deep);
        assert_eq!(metadata.entries(10).len(), 1);
        assert_eq!(text::width(&metadata.one_line(40)), 40);
    }

    #[test]
    fn bare_braces_are_empty() {
        assert!(Metadata::new("{ }").is_empty());
        assert!(!Metadata::new(r#"{"":""}"#).is_empty());
    }
}
