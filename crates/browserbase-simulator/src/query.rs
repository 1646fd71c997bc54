//! The query of `GET /v1/sessions`: `status`, and `q`, which compares a metadata field.
//!
//! The module parses the query and tests metadata against it. `world` filters the list.

use serde_json::Value;

use super::scenario_session::SimStatus;

/// The filter of a list. A condition that is `None` holds for every session.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ListFilter {
    /// The status of the sessions.
    pub(super) status: Option<SimStatus>,
    /// The condition on the metadata of the sessions.
    pub(super) metadata: Option<MetadataFilter>,
}

/// A path into the metadata and the text that must be there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MetadataFilter {
    path: Vec<String>,
    value: String,
}

impl ListFilter {
    /// Parses a URL's query, without its `?`. Ignores parameters that the API does not document.
    ///
    /// # Errors
    /// Returns the `message` of the API's error response.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "status" => {
                    let status = SimStatus::ALL.into_iter().find(|status| status.as_str() == value);
                    filter.status =
                        Some(status.ok_or(
                            "querystring/status must be equal to one of the allowed values".to_owned(),
                        )?);
                }
                "q" => {
                    filter.metadata =
                        Some(MetadataFilter::parse(&value).ok_or_else(|| format!("Invalid query: {value}"))?);
                }
                _ => {}
            }
        }
        Ok(filter)
    }
}

impl MetadataFilter {
    /// Parses `user_metadata['path']['to']['field']:'value'`.
    fn parse(q: &str) -> Option<Self> {
        let mut rest = q.strip_prefix("user_metadata")?;
        let mut path = Vec::new();
        while let Some(inside) = rest.strip_prefix("['") {
            let (field, remaining) = inside.split_once("']")?;
            path.push(field.to_owned());
            rest = remaining;
        }
        let value = rest.strip_prefix(":'")?.strip_suffix('\'')?;
        (!path.is_empty()).then(|| Self { path, value: value.to_owned() })
    }

    /// Returns true if `metadata` has exactly this text at this path.
    pub(super) fn matches(&self, metadata: &Value) -> bool {
        let found = self.path.iter().try_fold(metadata, |value, field| value.get(field));
        found.and_then(Value::as_str) == Some(&self.value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn q_matches_exact_text_at_path() {
        let metadata =
            json!({ "env": "staging", "run": { "id": "7", "it's": "a" }, "attempt": 2, "empty": "" });
        for (q, expected) in [
            ("user_metadata['env']:'staging'", true),
            ("user_metadata['run']['id']:'7'", true),
            ("user_metadata['run']['it's']:'a'", true),
            ("user_metadata['empty']:''", true),
            ("user_metadata['env']:'Staging'", false),
            ("user_metadata['env']:'stag'", false),
            ("user_metadata['attempt']:'2'", false),
            ("user_metadata['run']:'7'", false),
            ("user_metadata['nothing']['here']:'7'", false),
        ] {
            assert_eq!(MetadataFilter::parse(q).expect(q).matches(&metadata), expected, "{q}");
        }
    }

    #[test]
    fn malformed_q_is_rejected() {
        for q in [
            "",
            "staging",
            "user_metadata:'x'",
            "user_metadata['env']",
            "user_metadata['env']:",
            "user_metadata['env']:'",
            "user_metadata['env']:staging",
            "user_metadata['env'",
            "user_metadata[\"env\"]:\"staging\"",
            "metadata['env']:'staging'",
        ] {
            assert_eq!(MetadataFilter::parse(q), None, "{q}");
        }
    }

    #[test]
    fn query_is_percent_decoded() {
        let filter =
            ListFilter::parse("status=TIMED_OUT&q=user_metadata%5B%27a+b%27%5D%3A%27%C3%A9%27&page=2")
                .unwrap();
        assert_eq!(filter.status.map(SimStatus::as_str), Some("TIMED_OUT"));
        assert!(filter.metadata.unwrap().matches(&json!({ "a b": "é" })));
        assert_eq!(ListFilter::parse("").unwrap(), ListFilter::default());
    }

    #[test]
    fn invalid_query_is_rejected() {
        for invalid in ["status=running", "status=", "q=", "status=RUNNING&q=x"] {
            assert!(ListFilter::parse(invalid).is_err(), "{invalid}");
        }
    }
}
