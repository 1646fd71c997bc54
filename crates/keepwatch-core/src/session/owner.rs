//! The owner of a session: the person or program that started it, according to its metadata. The API has no field for
//! the owner.

use serde_json::Value;

use super::{Metadata, MetadataPath};
use crate::text::Untrusted;

/// Metadata keys whose value names the owner of a session, in order of precedence.
const OWNER_KEYS: [&str; 7] = ["owner", "label", "name", "job", "task", "run", "title"];

/// Prefixes of the metadata keys and values that known tools add. Each prefix is the name of the tool, which then
/// counts as the owner.
const TOOL_PREFIXES: [&str; 3] = ["browse_cli", "mcp", "stagehand"];

impl Metadata {
    /// Returns the owner: the value at `path`, else the value of a common key such as `owner`, else the name of
    /// a known tool. An owner is a number, or a text that is not empty. Returns `None` if there is none, or if the
    /// metadata is not a JSON object.
    #[must_use]
    pub fn owner(&self, path: Option<&MetadataPath>) -> Option<Untrusted> {
        let tree = self.to_value()?;
        let at_path = path.and_then(|path| path.value_in(&tree)).and_then(scalar_text);
        let Value::Object(map) = &tree else { return None };
        let is_filled = |owner: &Untrusted| !owner.is_empty();
        let by_common_key =
            || OWNER_KEYS.iter().find_map(|key| map.get(*key).and_then(scalar_text).filter(is_filled));
        let by_tool = || {
            TOOL_PREFIXES.iter().find_map(|prefix| {
                map.iter()
                    .find(|(key, value)| {
                        key.starts_with(prefix) || value.as_str().is_some_and(|text| text.starts_with(prefix))
                    })
                    .map(|_| Untrusted::new(*prefix))
            })
        };
        at_path.filter(is_filled).or_else(by_common_key).or_else(by_tool)
    }
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
}
