//! What a session's creator attached to it: any JSON object.
//!
//! Kept as its JSON text, because that is compact, comparable and of any depth; it is read as a tree only where one
//! session is looked at.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{MetadataPath, metadata_search};
use crate::text::{self, Untrusted};

/// The longest metadata that is kept, in bytes. Browserbase takes less than 512 characters.
const MAX_BYTES: usize = 16 * 1024;

/// No object, as all metadata is: a reader sees why there is none.
const OMITTED: &str = "\"(left out)\"";

/// Keys whose value says whose it is, best first.
const OWNER_KEYS: [&str; 7] = ["owner", "label", "name", "job", "task", "run", "title"];

/// Stamps that known tools leave: the tool is the owner.
const TOOL_STAMPS: [&str; 3] = ["browse_cli", "mcp", "stagehand"];

/// In the place of a text in which nobody can say where a secret is.
const ESCAPED_PLACEHOLDER: &str = "\"(too deep or too long, with letters that are escaped: not shown)\"";

/// `userMetadata`, as its JSON text. Its `Debug` is sanitised and masked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(Arc<str>);

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // promise: metadata-debug, mutant: self.redacted().0).sanitise_line() -> self.0.clone()).raw()
        f.debug_tuple("Metadata").field(&Untrusted::new(self.redacted().0).sanitise_line()).finish()
    }
}

/// A leaf of the tree, or a branch's heading, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataEntry {
    /// How deep it stands; 0 is the outermost.
    pub depth: usize,
    /// Its key, or its index in an array.
    pub key: Untrusted,
    /// Its value; `None` for the heading of an object or array that is not empty.
    pub value: Option<Untrusted>,
}

impl Metadata {
    /// Takes the JSON text of an object. What is too long is cut, and then shown as text.
    #[must_use]
    pub fn new(json: &str) -> Self {
        let end = json.floor_char_boundary(MAX_BYTES);
        Self(json.get(..end).unwrap_or_default().into())
    }

    /// In the place of metadata that is not kept.
    #[must_use]
    pub fn omitted() -> Self {
        Self(OMITTED.into())
    }

    /// Whether it stands in the place of metadata that was not kept.
    #[must_use]
    pub fn is_omitted(&self) -> bool {
        &*self.0 == OMITTED
    }

    /// The JSON text.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.0
    }

    /// Whether there is anything in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.bytes().all(|byte| b"{} \t\r\n".contains(&byte))
    }

    /// As a tree; `None` where it is too long or too deep to be read as one.
    #[must_use]
    pub fn to_value(&self) -> Option<Value> {
        serde_json::from_str(&self.0).ok()
    }

    /// The same without what looks like a secret: for what outlives the program.
    #[must_use]
    pub fn redacted(&self) -> Self {
        match self.to_value() {
            Some(tree) => {
                let mut masked = tree.clone();
                text::redact_values(&mut masked);
                // What has no secret stays as it was written.
                if masked == tree { self.clone() } else { Self(masked.to_string().into()) }
            }
            None => Self(text::redact(self.fallback_text()).into()),
        }
    }

    /// Its text, where it is not to be had as a tree: what looks like a secret in it is still to be masked. Where letters
    /// are escaped (`signing\u004bey`), that would not find all.
    #[must_use]
    pub fn fallback_text(&self) -> &str {
        if self.0.contains("\\u") { ESCAPED_PLACEHOLDER } else { &self.0 }
    }

    /// Its entries as a reader wants them, at most `most`: one line each, nested ones under their heading.
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

    /// Whose session it is: what is at `key`, else the value of a key that names work, else a known tool's stamp.
    /// `None` where there is none.
    #[must_use]
    pub fn owner(&self, key: Option<&MetadataPath>) -> Option<Untrusted> {
        let tree = self.to_value()?;
        let at_key = key.and_then(|path| path.value_in(&tree)).and_then(scalar_text);
        let Value::Object(map) = &tree else { return None };
        let is_filled = |owner: &Untrusted| !owner.is_empty();
        let named =
            || OWNER_KEYS.iter().find_map(|key| map.get(*key).and_then(scalar_text).filter(is_filled));
        let stamped = || {
            TOOL_STAMPS.iter().find_map(|stamp| {
                map.iter()
                    .find(|(key, value)| {
                        key.starts_with(stamp) || value.as_str().is_some_and(|it| it.starts_with(stamp))
                    })
                    .map(|_| Untrusted::new(*stamp))
            })
        };
        at_key.filter(is_filled).or_else(named).or_else(stamped)
    }

    /// Whether a value at `path` (`run.id`, in any case), or below it, passes `test`; an empty path is the whole.
    pub fn any_value_at(&self, path: &str, mut test: impl FnMut(&str) -> bool) -> bool {
        metadata_search::any_value_at(&self.0, path, &mut test)
    }

    /// All of it on one line, `key value  path.to.key value`, at most `columns` wide.
    #[must_use]
    pub fn one_line(&self, columns: usize) -> String {
        let mut line = String::new();
        let mut path: Vec<String> = Vec::new();
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

fn scalar_text(value: &Value) -> Option<Untrusted> {
    match value {
        Value::String(text) => Some(Untrusted::new(text.as_str())),
        Value::Number(number) => Some(Untrusted::new(number.to_string())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

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
    fn the_tree_keeps_the_order_of_the_text_and_nests() {
        let metadata = Metadata::new(r#"{"zeta":"1","run":{"id":"c-881","tags":["a","b"]},"empty":{}}"#);
        let lines: Vec<String> = metadata
            .entries(100)
            .iter()
            .map(|e| {
                format!(
                    "{}{}={}",
                    " ".repeat(e.depth),
                    e.key.sanitise_line(),
                    e.value.as_ref().map_or("".into(), |v| v.sanitise_line())
                )
            })
            .collect();
        assert_eq!(lines, ["zeta=1", "run=", " id=c-881", " tags=", "  0=a", "  1=b", "empty={}"]);
    }

    #[test]
    fn on_one_line_nested_keys_are_paths() {
        let metadata = Metadata::new(r#"{"env":"staging","run":{"id":"c-881","tags":["a"]},"n":1}"#);
        assert_eq!(metadata.one_line(80), "env staging  run.id c-881  run.tags.0 a  n 1");
        assert_eq!(metadata.one_line(12), "env staging…");
    }

    #[test]
    fn an_owner_is_what_is_at_the_key_then_a_name_then_a_stamp() {
        let key = MetadataPath::parse("run.id").unwrap();
        let by = |json, key| Metadata::new(json).owner(key).map(|owner| owner.sanitise_line());
        let owner = |json| by(json, None);
        assert_eq!(owner(r#"{"env":"prod","name":"checkout"}"#).as_deref(), Some("checkout"));
        assert_eq!(owner(r#"{"name":"checkout","owner":"growth"}"#).as_deref(), Some("growth"));
        assert_eq!(owner(r#"{"owner":"","name":"checkout"}"#).as_deref(), Some("checkout"));
        assert_eq!(owner(r#"{"env":"prod","mcp":"true"}"#).as_deref(), Some("mcp"));
        assert_eq!(owner(r#"{"env":"prod","by":"stagehand-3"}"#).as_deref(), Some("stagehand"));
        for nobody in [r#"{"env":"prod","n":7}"#, r#"{"n":true}"#, "{}", "[1]", "{"] {
            assert_eq!(owner(nobody), None, "{nobody}");
        }
        for (json, expected) in [
            (r#"{"owner":"growth","run":{"id":"c-881"}}"#, "c-881"),
            (r#"{"owner":"growth","run":{"id":881}}"#, "881"),
            (r#"{"owner":"growth","run":{"id":""}}"#, "growth"),
            (r#"{"owner":"growth","run":{"id":{"a":1}}}"#, "growth"),
            (r#"{"mcp":true,"run":{}}"#, "mcp"),
        ] {
            assert_eq!(by(json, Some(&key)).as_deref(), Some(expected), "{json}");
        }
    }

    #[test]
    fn a_secret_in_metadata_is_shown_neither_by_its_name_nor_by_its_looks() {
        let metadata = Metadata::new(
            r#"{"signing_key":"cAnArY","url":"wss://c/?signingKey=cAnArY","n":{"token":["cAnArY"]}}"#,
        );
        let named = Metadata::new(r#"{"owner":"wss://c/?signingKey=cAnArY"}"#);
        let owner = named.owner(None).map(|owner| owner.sanitise_line()).unwrap_or_default();
        let shown = format!("{} {owner}", metadata.one_line(400));
        assert!(!shown.contains("cAnArY"), "{shown}");
    }

    #[test]
    fn an_escape_hides_no_secret_in_what_is_too_deep_for_a_tree() {
        let deep = |inside: &str| format!("{}{inside}{}", r#"{"a":"#.repeat(1000), "}".repeat(1000));
        let metadata = Metadata::new(&deep(r#""wss://c/?signing\u004bey=cAnArY""#));
        for text in
            [metadata.one_line(20_000), metadata.redacted().json().to_owned(), format!("{metadata:?}")]
        {
            assert!(!text.contains("cAnArY"), "{text}");
        }
        assert!(metadata.one_line(400).contains("not shown"), "{}", metadata.one_line(400));
    }

    #[test]
    fn what_is_too_deep_for_a_tree_is_shown_as_text() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(1000), "}".repeat(1000));
        let metadata = Metadata::new(&deep);
        assert_eq!(metadata.entries(10).len(), 1);
        assert_eq!(text::width(&metadata.one_line(40)), 40);
    }

    #[test]
    fn nothing_but_braces_is_empty() {
        assert!(Metadata::new("{ }").is_empty());
        assert!(!Metadata::new(r#"{"":""}"#).is_empty());
    }
}
