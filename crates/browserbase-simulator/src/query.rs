//! What a list is asked for: `status`, and `q` with a metadata field's value.

use serde_json::Value;

use super::scenario_session::SimStatus;

/// Which sessions a list shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ListFilter {
    /// Those with this status.
    pub(super) status: Option<SimStatus>,
    /// Those with this in their metadata.
    pub(super) metadata: Option<MetadataFilter>,
}

/// A path into the metadata, and the text that must be there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MetadataFilter {
    path: Vec<String>,
    value: String,
}

impl ListFilter {
    /// Reads the query of a URL, without its `?`. Parameters that the API does not know are passed over.
    /// The error is what the API would answer as `message`.
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
    /// Reads `user_metadata['path']['to']['field']:'value'`.
    fn parse(q: &str) -> Option<Self> {
        let mut rest = q.strip_prefix("user_metadata")?;
        let mut path = Vec::new();
        while let Some(inside) = rest.strip_prefix("['") {
            let (key, after) = inside.split_once("']")?;
            path.push(key.to_owned());
            rest = after;
        }
        let value = rest.strip_prefix(":'")?.strip_suffix('\'')?;
        (!path.is_empty()).then(|| Self { path, value: value.to_owned() })
    }

    /// Whether `metadata` has exactly this text at that place.
    pub(super) fn matches(&self, metadata: &Value) -> bool {
        let found = self.path.iter().try_fold(metadata, |value, key| value.get(key));
        found.and_then(Value::as_str) == Some(&self.value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn q_finds_a_text_at_a_path_and_nothing_else() {
        let metadata =
            json!({ "env": "staging", "run": { "id": "7", "it's": "a" }, "attempt": 2, "empty": "" });
        for (q, found) in [
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
            assert_eq!(MetadataFilter::parse(q).expect(q).matches(&metadata), found, "{q}");
        }
    }

    #[test]
    fn a_malformed_q_is_refused() {
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
    fn a_query_is_decoded_before_it_is_read() {
        let filter =
            ListFilter::parse("status=TIMED_OUT&q=user_metadata%5B%27a+b%27%5D%3A%27%C3%A9%27&page=2")
                .unwrap();
        assert_eq!(filter.status.map(SimStatus::as_str), Some("TIMED_OUT"));
        assert!(filter.metadata.unwrap().matches(&json!({ "a b": "é" })));
        assert_eq!(ListFilter::parse("").unwrap(), ListFilter::default());
        for refused in ["status=running", "status=", "q=", "status=RUNNING&q=x"] {
            assert!(ListFilter::parse(refused).is_err(), "{refused}");
        }
    }
}
