//! What lists are narrowed by: the API's `status` and `q`. Their form is looked at; what they find is the API's.

use keepwatch_core::session::List;
use keepwatch_core::text;

/// The longest query that is sent, in bytes; metadata itself has less than 512 characters.
const LONGEST: usize = 2000;

/// What lists are asked for beside their status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query(String);

impl Query {
    /// A query as it was typed: `user_metadata['path']['to']['field']:'value'`.
    ///
    /// # Errors
    /// A sentence, if the API can not take it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let query = text.trim();
        let like = "the API takes user_metadata['run']['id']:'c-881'";
        let shown = text::shown(query, 60);
        if query.is_empty() {
            return Err(format!("the query is empty; {like}"));
        }
        if query.len() > LONGEST || query.chars().any(char::is_control) {
            return Err(format!(
                "“{shown}” is too long for a query, or has characters that none has; {like}"
            ));
        }
        let Some(rest) = query.strip_prefix("user_metadata") else {
            return Err(format!("“{shown}” does not begin with user_metadata; {like}"));
        };
        if !rest.starts_with("['") {
            return Err(format!("“{shown}” has no path in brackets and single quotes; {like}"));
        }
        if !rest.split_once("']:'").is_some_and(|(_, value)| value.ends_with('\'')) {
            return Err(format!("“{shown}” has no value in single quotes after a colon; {like}"));
        }
        Ok(Self(query.to_owned()))
    }

    /// As it is sent, before it is encoded.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }
}

/// The list with this status.
///
/// # Errors
/// A sentence, if there is none.
pub(super) fn list(status: &str) -> Result<List, String> {
    let upper = status.trim().to_uppercase();
    List::ALL.into_iter().find(|list| list.status().raw() == upper).ok_or_else(|| {
        let status = text::shown(status, 40);
        format!(
            "“{status}” can not be watched for; lists are of PENDING or RUNNING sessions, R shows the others"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_a_path_and_a_value_and_what_it_says_is_left_alone() {
        for good in [
            "user_metadata['env']:'staging'",
            " user_metadata['run']['it's']:'' ",
            "user_metadata['a']:'ü & \"b\"'",
        ] {
            assert_eq!(Query::parse(good).map(|it| it.raw().to_owned()), Ok(good.trim().to_owned()));
        }
        for (bad, says) in [
            (" ", "empty"),
            ("env:staging", "begin with user_metadata"),
            ("user_metadata:'x'", "no path"),
            ("user_metadata[\"env\"]:\"x\"", "no path"),
            ("user_metadata['env']", "no value"),
            ("user_metadata['env']:x", "no value"),
            ("user_metadata['env']:'", "no value"),
            ("user_metadata['e\nnv']:'x'", "characters"),
        ] {
            let sentence = Query::parse(bad).unwrap_err();
            assert!(
                sentence.contains(says) && sentence.contains("['run']['id']:'c-881'"),
                "{bad}: {sentence}"
            );
        }
    }

    #[test]
    fn lists_are_of_what_lives() {
        assert_eq!(list("RUNNING"), Ok(List::Running));
        assert_eq!(list("pending"), Ok(List::Pending));
        assert!(list("ERROR").unwrap_err().contains("PENDING or RUNNING"));
    }
}
