//! Checks JSON values against the schemas in `tests/contract`.
//!
//! The schemas use few keywords. A validator crate would add 21 (`boon`) to 46 (`jsonschema`) compilation units to the
//! test build. An unknown keyword causes a panic, so that no schema requires more than is checked.

use serde_json::Value;
use url::Url;

/// Panics with all errors if `value` does not match `schema`.
pub(crate) fn assert_valid(schema: &str, value: &Value) {
    let errors = errors(&serde_json::from_str(schema).unwrap(), value, "$");
    assert!(errors.is_empty(), "{}: {value}", errors.join(", "));
}

/// Returns one message for each keyword of `schema` that `value` at `path` does not satisfy.
fn errors(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut errors = Vec::new();
    for (keyword, rule) in schema.as_object().unwrap() {
        let is_satisfied = match keyword.as_str() {
            "$comment" | "description" => true,
            "type" => has_type(value, rule.as_str().unwrap()),
            "enum" => rule.as_array().unwrap().contains(value),
            "format" => value.as_str().is_none_or(|text| has_format(text, rule.as_str().unwrap())),
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "minLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap())
            }
            "required" => {
                let has = |name: &Value| value.get(name.as_str().unwrap()).is_some();
                !value.is_object() || rule.as_array().unwrap().iter().all(has)
            }
            "additionalProperties" => {
                assert_eq!(rule, &Value::Bool(true), "only `true` is supported");
                true
            }
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    if let Some(property) = value.get(name) {
                        errors.extend(self::errors(schema, property, &format!("{path}.{name}")));
                    }
                }
                true
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    errors.extend(self::errors(rule, item, &format!("{path}[{index}]")));
                }
                true
            }
            _ => panic!("the keyword {keyword} is not supported"),
        };
        if !is_satisfied {
            errors.push(format!("{path} violates {keyword}: {rule}"));
        }
    }
    errors
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        _ => panic!("the type {name} is not supported"),
    }
}

fn has_format(text: &str, name: &str) -> bool {
    match name {
        "date-time" => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        // The parser accepts and escapes characters that RFC 3986 forbids.
        "uri" => {
            Url::parse(text).is_ok()
                && text.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&b))
        }
        _ => panic!("the format {name} is not supported"),
    }
}

#[test]
fn invalid_values_are_rejected() {
    const SCHEMA: &str = r#"{
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": { "type": "string", "minLength": 1 },
            "at": { "type": "string", "format": "date-time" },
            "url": { "type": "string", "format": "uri" },
            "status": { "type": "string", "enum": ["RUNNING", "ERROR"] },
            "count": { "type": "integer", "minimum": 1, "maximum": 9 },
            "alive": { "type": "boolean" },
            "pages": { "type": "array", "items": { "type": "object", "required": ["id"] } }
        }
    }"#;
    let schema = serde_json::from_str(SCHEMA).unwrap();
    let found = |json: &str| errors(&schema, &serde_json::from_str(json).unwrap(), "$");
    for json in [
        r#"{ "id": "a" }"#,
        r#"{ "id": "a", "at": "2026-11-22T12:00:00.123456789+14:00", "url": "wss://h:1/?a=b%20c", "status": "ERROR" }"#,
        r#"{ "id": "a", "count": 1, "alive": false, "pages": [{ "id": 1 }], "unknown": null }"#,
        r#"{ "id": "a", "count": 9, "pages": [] }"#,
    ] {
        assert_eq!(found(json), Vec::<String>::new(), "{json}");
    }
    for (json, error) in [
        (r"[]", r#"$ violates type: "object""#),
        (r#"{ "at": "2026-11-22T12:00:00Z" }"#, r#"$ violates required: ["id"]"#),
        (r#"{ "id": 1 }"#, r#"$.id violates type: "string""#),
        (r#"{ "id": null }"#, r#"$.id violates type: "string""#),
        (r#"{ "id": "" }"#, "$.id violates minLength: 1"),
        (r#"{ "id": "a", "at": "2026-11-22 at noon" }"#, r#"$.at violates format: "date-time""#),
        (r#"{ "id": "a", "at": "2026-11-22T12:00:00" }"#, r#"$.at violates format: "date-time""#),
        (r#"{ "id": "a", "at": "2026-13-22T12:00:00Z" }"#, r#"$.at violates format: "date-time""#),
        (r#"{ "id": "a", "url": "/v1/sessions" }"#, r#"$.url violates format: "uri""#),
        (r#"{ "id": "a", "url": "https://h/a b" }"#, r#"$.url violates format: "uri""#),
        (r#"{ "id": "a", "status": "running" }"#, r#"$.status violates enum: ["RUNNING","ERROR"]"#),
        (r#"{ "id": "a", "count": 1.5 }"#, r#"$.count violates type: "integer""#),
        (r#"{ "id": "a", "count": 0 }"#, "$.count violates minimum: 1"),
        (r#"{ "id": "a", "count": 10 }"#, "$.count violates maximum: 9"),
        (r#"{ "id": "a", "alive": "yes" }"#, r#"$.alive violates type: "boolean""#),
        (r#"{ "id": "a", "pages": {} }"#, r#"$.pages violates type: "array""#),
        (r#"{ "id": "a", "pages": [{ "id": 1 }, {}] }"#, r#"$.pages[1] violates required: ["id"]"#),
    ] {
        assert_eq!(found(json), [error], "{json}");
    }
}

#[test]
#[should_panic(expected = "the keyword pattern is not supported")]
fn unknown_keyword_is_rejected() {
    assert_valid(r#"{ "pattern": "a" }"#, &Value::Null);
}
