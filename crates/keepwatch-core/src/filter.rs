//! The filter language, which selects the rows to show. Pure. A filter is parsed once per edit, and then matched
//! against each row without allocation.
//!
//! ```text
//!   nightly status:error !region:us meta.run.id:abc "two words"
//!   │       │            │          │               └─ quotes keep spaces and colons in one word
//!   │       │            │          └───────────────── a metadata value at this path or below it
//!   │       │            └──────────────────────────── ! negates the term
//!   │       └───────────────────────────────────────── a field: status, region, keep, owner, id, meta, profile
//!   └───────────────────────────────────────────────── a word in id, profile, status, region, context id, metadata
//! ```
//!
//! A row matches if all terms match. A value is found anywhere in the field's text, ignoring case. The values of `keep`
//! are `yes` and `no`. The field `profile` exists only in a run with several profiles.

use std::ops::Range;

use crate::session::{Metadata, Region, SessionId, Status};
use crate::text::{self, SubstringFinder, Untrusted};
use crate::tracker::Record;

/// The data of a session that a filter reads. Unknown fields are `None`.
pub trait FilterTarget {
    /// Returns the session's id.
    fn id(&self) -> &SessionId;
    /// Returns the newest status.
    fn status(&self) -> Option<&Status>;
    /// Returns the region in which the session runs.
    fn region(&self) -> Option<&Region>;
    /// Returns true if the session's keep-alive is on.
    fn keep_alive(&self) -> Option<bool>;
    /// Returns the owner that the metadata names.
    fn owner(&self) -> Option<&Untrusted>;
    /// Returns the id of the context.
    fn context(&self) -> Option<&Untrusted>;
    /// Returns the metadata.
    fn metadata(&self) -> Option<&Metadata>;
    /// Returns the profile's name, or an empty text if there is only one profile.
    fn profile(&self) -> &str;
}

/// A session's record and the name of its profile, which is empty if there is only one profile.
#[derive(Clone, Copy, Debug)]
pub struct FilterRow<'a>(pub &'a Record, pub &'a str);

/// A parsed filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    text: String,
    terms: Vec<FilterTerm>,
}

/// A mistake in a filter, with its position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// The byte range of the mistake in the filter's text.
    pub range: Range<usize>,
    /// A sentence that describes the mistake.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FilterTerm {
    is_negated: bool,
    condition: Condition,
}

/// The condition of a term, without its negation.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    /// The text is in the id, profile, status, region, context id or metadata.
    Anywhere(SubstringFinder),
    Status(SubstringFinder),
    Region(SubstringFinder),
    KeepAlive(bool),
    Owner(SubstringFinder),
    Id(SubstringFinder),
    Profile(SubstringFinder),
    /// The value is at `path` or below it. The path is in lower case, and empty for the whole metadata.
    Metadata {
        path: String,
        value: SubstringFinder,
    },
}

impl Filter {
    /// Parses `text` for a run with a single profile, in which the field `profile` does not exist.
    ///
    /// # Errors
    /// Returns the first mistake in `text`.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Self::parse_for_profiles(text, false)
    }

    /// Parses `text`. The field `profile` exists if `is_multi_profile` is true.
    ///
    /// # Errors
    /// Returns the first mistake in `text`.
    pub fn parse_for_profiles(text: &str, is_multi_profile: bool) -> Result<Self, FilterError> {
        let terms = split_terms(text)
            .map(|range| parse_term(text, range, is_multi_profile))
            .collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), terms })
    }

    /// Returns the filter as it was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns true if nothing was typed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns true if the session matches all terms.
    #[must_use]
    pub fn matches(&self, row: &impl FilterTarget) -> bool {
        self.terms.iter().all(|term| term.condition.matches(row) != term.is_negated)
    }
}

impl FilterError {
    /// Returns two lines that are safe for a terminal: the filter `text`, and carets below the mistake.
    #[must_use]
    pub fn underline(&self, text: &str) -> String {
        let sanitised = |part: Option<&str>| text::sanitise(part.unwrap_or_default(), usize::MAX);
        let indent = text::width(&sanitised(text.get(..self.range.start)));
        let underline_width = text::width(&sanitised(text.get(self.range.clone()))).max(1);
        format!("{}\n{}{}", sanitised(Some(text)), " ".repeat(indent), "^".repeat(underline_width))
    }
}

impl FilterTarget for FilterRow<'_> {
    fn id(&self) -> &SessionId {
        &self.0.id
    }

    fn status(&self) -> Option<&Status> {
        self.0.status()
    }

    fn region(&self) -> Option<&Region> {
        self.0.session.as_ref()?.region.as_ref()
    }

    fn keep_alive(&self) -> Option<bool> {
        self.0.session.as_ref()?.keep_alive
    }

    fn owner(&self) -> Option<&Untrusted> {
        self.0.owner.as_ref()
    }

    fn context(&self) -> Option<&Untrusted> {
        self.0.session.as_ref()?.context.as_ref()
    }

    fn metadata(&self) -> Option<&Metadata> {
        self.0.session.as_ref()?.metadata.as_ref()
    }

    fn profile(&self) -> &str {
        self.1
    }
}

impl Condition {
    fn matches(&self, row: &impl FilterTarget) -> bool {
        match self {
            Self::Status(word) => row.status().is_some_and(|status| word.matches(status.raw())),
            Self::Region(word) => row.region().is_some_and(|region| word.matches(region.raw())),
            Self::KeepAlive(keep) => row.keep_alive() == Some(*keep),
            Self::Owner(word) => row.owner().is_some_and(|owner| word.matches(owner.raw())),
            Self::Id(word) => word.matches(row.id().raw()),
            Self::Profile(word) => word.matches(row.profile()),
            Self::Metadata { path, value } => {
                // This search in the JSON text is cheap. It excludes most rows before their metadata is parsed.
                let may_match = |metadata: &Metadata| {
                    value.matches(metadata.json()) || may_match_only_parsed(metadata.json(), value)
                };
                row.metadata().is_some_and(|metadata| {
                    may_match(metadata) && metadata.any_value_at(path, |found| value.matches(found))
                })
            }
            Self::Anywhere(word) => {
                word.matches(row.id().raw())
                    || word.matches(row.profile())
                    || row.status().is_some_and(|status| word.matches(status.raw()))
                    || row.region().is_some_and(|region| word.matches(region.raw()))
                    || row.context().is_some_and(|context| word.matches(context.raw()))
                    || row.metadata().is_some_and(|metadata| {
                        word.matches(metadata.json())
                            || may_match_only_parsed(metadata.json(), word)
                                && metadata.any_value_at("", |found| word.matches(found))
                    })
            }
        }
    }
}

/// Returns true if a parsed value may contain `word` although `json` does not. Escaped text and some numbers are shown
/// in another form than in the JSON: `1e2` is shown as `100.0`.
fn may_match_only_parsed(json: &str, word: &SubstringFinder) -> bool {
    json.contains('\\') || word.is_part_of_number() && has_rewritten_number(json)
}

/// Returns true if the JSON may have a number that is shown in another form. Such a number has a fraction, an exponent,
/// more digits than an integer of 64 bits, or is `-0`.
fn has_rewritten_number(json: &str) -> bool {
    /// The number of digits that always fit into 64 bits.
    const MAX_EXACT_DIGITS: usize = 18;
    let mut digits = 0_usize;
    let mut previous = b' ';
    for byte in json.bytes() {
        digits = if byte.is_ascii_digit() { digits.saturating_add(1) } else { 0 };
        let starts_fraction = previous.is_ascii_digit() && matches!(byte, b'.' | b'e' | b'E');
        if starts_fraction || digits > MAX_EXACT_DIGITS || (previous, byte) == (b'-', b'0') {
            return true;
        }
        previous = byte;
    }
    false
}

/// Returns the byte range of each term. Whitespace separates terms, except in quotes.
fn split_terms(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut position = 0_usize;
    std::iter::from_fn(move || {
        let remaining = text.get(position..)?;
        let start = position.saturating_add(remaining.find(|letter: char| !letter.is_whitespace())?);
        let mut is_quoted = false;
        let end = text.get(start..)?.find(|letter: char| {
            is_quoted ^= letter == '"';
            letter.is_whitespace() && !is_quoted
        });
        position = end.map_or(text.len(), |end| start.saturating_add(end));
        Some(start..position)
    })
}

/// Parses the term at the byte range `range` of `text`.
fn parse_term(text: &str, range: Range<usize>, is_multi_profile: bool) -> Result<FilterTerm, FilterError> {
    let token = text.get(range.clone()).unwrap_or_default();
    let term = token.trim_start_matches('!');
    let negations = token.len().saturating_sub(term.len());
    let is_negated = negations % 2 == 1;
    let error = |range: Range<usize>, message: String| Err(FilterError { range, message });
    if term.is_empty() {
        return error(range, "! negates what follows it, and nothing does".into());
    }
    let term_start = range.start.saturating_add(negations);
    let Some((field, value)) = split_field(term) else {
        return match unquoted_lower_case(term) {
            word if word.is_empty() => error(range, "there is nothing between the quotes".into()),
            word => {
                Ok(FilterTerm { is_negated, condition: Condition::Anywhere(SubstringFinder::new(&word)) })
            }
        };
    };
    let (value, name) = (unquoted_lower_case(value), field.to_lowercase());
    let field_range = term_start..term_start.saturating_add(field.len());
    let meta_path = if name == "meta" { Some("") } else { name.strip_prefix("meta.") };
    let is_profile = is_multi_profile && name == "profile";
    if meta_path.is_none()
        && !is_profile
        && !["status", "region", "keep", "owner", "id"].contains(&name.as_str())
    {
        // The message must fit into two lines of the narrowest footer. Together, they have 76 columns.
        let (max_columns, profile_field) = if is_multi_profile { (16, "profile ") } else { (20, "") };
        let field = text::sanitise(field, max_columns);
        return error(
            field_range,
            format!("no field “{field}”: {profile_field}status region keep owner id meta.path"),
        );
    }
    if name != "meta" && meta_path.is_some_and(|path| path.split('.').any(str::is_empty)) {
        return error(field_range, "a path is missing, as in meta.run.id:abc".into());
    }
    if value.is_empty() {
        return error(
            term_start..range.end,
            format!("a value is missing after {}:", text::sanitise(field, 20)),
        );
    }
    let condition = match (name.as_str(), meta_path) {
        ("status", _) => Condition::Status(SubstringFinder::new(&value)),
        ("region", _) => Condition::Region(SubstringFinder::new(&value)),
        ("owner", _) => Condition::Owner(SubstringFinder::new(&value)),
        ("id", _) => Condition::Id(SubstringFinder::new(&value)),
        ("profile", _) => Condition::Profile(SubstringFinder::new(&value)),
        ("keep", _) => match value.as_str() {
            "yes" => Condition::KeepAlive(true),
            "no" => Condition::KeepAlive(false),
            _ => {
                let value_range = field_range.end.saturating_add(1)..range.end;
                return error(value_range, "keep is yes or no".into());
            }
        },
        (_, path) => Condition::Metadata {
            path: path.unwrap_or_default().to_owned(),
            value: SubstringFinder::new(&value),
        },
    };
    Ok(FilterTerm { is_negated, condition })
}

/// Splits a term into its field name and value, at the first colon. Returns `None` for a term without a field name,
/// such as `12:30`.
fn split_field(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once(':')?;
    let is_name = name.starts_with(char::is_alphabetic) && !name.contains('"');
    is_name.then_some((name, value))
}

/// Removes quotes and converts to lower case.
fn unquoted_lower_case(text: &str) -> String {
    text.replace('"', "").to_lowercase()
}

#[cfg(test)]
mod tests;
