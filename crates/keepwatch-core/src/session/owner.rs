//! The owner of a session: the person or program that started it, according to its metadata. The API has no field for
//! the owner.

use serde_json::{Map, Value};

use super::{Metadata, MetadataPath};
use crate::text::Untrusted;

/// Metadata keys whose value names the owner of a session, in order of precedence.
const OWNER_KEYS: [&str; 11] =
    ["owner", "label", "name", "job", "task", "run", "title", "agent", "user", "tool", "probe"];

/// The [`OWNER_KEYS`] that may be a flag, as in `"probe": true`. The key then names the owner.
const FLAG_KEYS: [&str; 3] = ["agent", "tool", "probe"];

/// Prefixes of the metadata keys and values that known tools add. Each prefix is the name of the tool, which then
/// counts as the owner.
const TOOL_PREFIXES: [&str; 3] = ["browse_cli", "mcp", "stagehand"];

/// The key with which the browse CLI tells the machines of one API key apart.
const INSTALL_KEY: &str = "install_id";
/// The number of characters of an install id that are shown.
const INSTALL_ID_LENGTH: usize = 8;
/// The key with which Stagehand 4 names its language.
const LANGUAGE_KEY: &str = "stagehand_sdk_language";

impl Metadata {
    /// Returns the owner: the value at `path`, else the value of a common key such as `owner`, else the name of
    /// a known tool, with its machine or language if that is known. An owner is a text that is not empty. Only the
    /// value at `path` may be a bare number. Returns `None` if there is no owner, or if the metadata is not a JSON
    /// object.
    #[must_use]
    pub fn owner(&self, path: Option<&MetadataPath>) -> Option<Untrusted> {
        owner_in(&self.to_value()?, path)
    }
}

/// Returns the owner in a metadata tree. See [`Metadata::owner`].
pub(crate) fn owner_in(tree: &Value, path: Option<&MetadataPath>) -> Option<Untrusted> {
    let at_path = path.and_then(|path| path.value_in(tree)).and_then(scalar_text);
    let Value::Object(map) = tree else { return None };
    let by_common_key =
        || OWNER_KEYS.iter().find_map(|key| map.get(*key).and_then(|value| name_at(key, value)));
    at_path.filter(|owner| !owner.is_empty()).or_else(by_common_key).or_else(|| tool_in(map))
}

/// Returns the name of a known tool, with the machine or the language that it states. Without a known tool, returns the
/// install id alone.
fn tool_in(map: &Map<String, Value>) -> Option<Untrusted> {
    let is_of_tool = |prefix: &str, key: &str, value: &Value| {
        key.starts_with(prefix) || value.as_str().is_some_and(|text| text.starts_with(prefix))
    };
    let tool =
        TOOL_PREFIXES.iter().find(|prefix| map.iter().any(|(key, value)| is_of_tool(prefix, key, value)));
    let text_at = |key: &str| map.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let install_id = text_at(INSTALL_KEY).map(|id| id.chars().take(INSTALL_ID_LENGTH).collect::<String>());
    let language = text_at(LANGUAGE_KEY).map(str::to_owned);
    match (tool, install_id.or(language)) {
        (Some(tool), Some(detail)) => Some(Untrusted::new(format!("{tool} {detail}"))),
        (Some(tool), None) => Some(Untrusted::new(*tool)),
        (None, Some(detail)) => Some(Untrusted::new(detail)),
        (None, None) => None,
    }
}

/// Returns the owner that the value of a common key names. A bare number names nobody. A flag such as `"probe": true`
/// names its key.
fn name_at(key: &str, value: &Value) -> Option<Untrusted> {
    match value {
        Value::Bool(true) if FLAG_KEYS.contains(&key) => Some(Untrusted::new(key)),
        Value::String(text) if text == "true" && FLAG_KEYS.contains(&key) => Some(Untrusted::new(key)),
        Value::String(text) if text.trim().is_empty() || is_bare_number(text) => None,
        Value::String(text) => Some(Untrusted::new(text.as_str())),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_bare_number(text: &str) -> bool {
    let digits = text.trim().trim_start_matches(['+', '-']);
    let is_digit_or_point = |character: char| character.is_ascii_digit() || character == '.';
    !digits.is_empty() && digits.chars().all(is_digit_or_point) && digits.matches('.').count() <= 1
}

fn scalar_text(value: &Value) -> Option<Untrusted> {
    match value {
        Value::String(text) => Some(Untrusted::new(text.as_str())),
        Value::Number(number) => Some(Untrusted::new(number.to_string())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_lookup_order() {
        let run_id = MetadataPath::parse("run.id").unwrap();
        let owner_at = |json, path| Metadata::new(json).owner(path).map(|owner| owner.sanitise_line());
        let owner = |json| owner_at(json, None);
        assert_eq!(owner(r#"{"env":"prod","name":"checkout"}"#).as_deref(), Some("checkout"));
        assert_eq!(owner(r#"{"name":"checkout","owner":"growth"}"#).as_deref(), Some("growth"));
        assert_eq!(owner(r#"{"owner":"","name":"checkout"}"#).as_deref(), Some("checkout"));
        assert_eq!(owner(r#"{"env":"prod","mcp":"true"}"#).as_deref(), Some("mcp"));
        assert_eq!(owner(r#"{"env":"prod","by":"stagehand-3"}"#).as_deref(), Some("stagehand"));
        for ownerless in [r#"{"env":"prod","n":7}"#, r#"{"n":true}"#, "{}", "[1]", "{"] {
            assert_eq!(owner(ownerless), None, "{ownerless}");
        }
        for (json, expected) in [
            (r#"{"owner":"growth","run":{"id":"c-881"}}"#, "c-881"),
            (r#"{"owner":"growth","run":{"id":881}}"#, "881"),
            (r#"{"owner":"growth","run":{"id":""}}"#, "growth"),
            (r#"{"owner":"growth","run":{"id":{"a":1}}}"#, "growth"),
            (r#"{"mcp":true,"run":{}}"#, "mcp"),
        ] {
            assert_eq!(owner_at(json, Some(&run_id)).as_deref(), Some(expected), "{json}");
        }
    }

    #[test]
    fn every_common_key_names_an_owner() {
        for key in OWNER_KEYS {
            let owner = |value: &str| {
                let json = format!(r#"{{"{key}":{value}}}"#);
                Metadata::new(&json).owner(None).map(|owner| owner.sanitise_line())
            };
            assert_eq!(owner("\"growth-2\"").as_deref(), Some("growth-2"), "{key}");
            let flag = FLAG_KEYS.contains(&key).then_some(key);
            assert_eq!(owner("true").as_deref(), flag, "{key}");
            assert_eq!(owner("\"2026-11-22\"").as_deref(), Some("2026-11-22"), "{key}: a date is no number");
            for number in ["7", "\"7\"", "\" 12.5\"", "-3", "\"\""] {
                assert_eq!(owner(number), None, "{key}: {number}");
            }
        }
    }

    #[test]
    fn tools_name_machine_or_language() {
        for (json, expected) in [
            (r#"{"browse_cli":"true","install_id":"3f9a21bc-77aa"}"#, "browse_cli 3f9a21bc"),
            (r#"{"browse_cli":"true","install_id":"77aa21bc-3f9a"}"#, "browse_cli 77aa21bc"),
            (r#"{"install_id":"77aa21bc-3f9a"}"#, "77aa21bc"),
            (r#"{"stagehand":"true","stagehand_sdk_language":"python"}"#, "stagehand python"),
            (r#"{"stagehand_sdk_language":"typescript"}"#, "stagehand typescript"),
            (r#"{"stagehand":"true","agent":"buyer"}"#, "buyer"),
        ] {
            let owner = Metadata::new(json).owner(None).map(|owner| owner.sanitise_line());
            assert_eq!(owner.as_deref(), Some(expected), "{json}");
        }
    }
}
