//! The filter's language: which rows are shown. Pure; parsed once an edit, and matched without allocating.
//!
//! ```text
//!   nightly status:error !region:us meta.run.id:abc "two words"
//!   │       │            │          │               └─ with blanks or a colon, as one word
//!   │       │            │          └───────────────── a value of the metadata, at its path or below it
//!   │       │            └──────────────────────────── not
//!   │       └───────────────────────────────────────── status, region, keep, owner, id, meta; of several profiles, profile
//!   └───────────────────────────────────────────────── anywhere in the row's data
//! ```
//!
//! All terms must hold; what is written is a part of what is found, in any case.

use std::ops::Range;

use crate::session::{Metadata, Region, SessionId, Status};
use crate::text::{self, SubstringFinder, Untrusted};
use crate::tracker::Record;

/// What a filter looks at. What is not known is `None`.
pub trait FilterTarget {
    /// The session's id.
    fn id(&self) -> &SessionId;
    /// Its newest status.
    fn status(&self) -> Option<&Status>;
    /// Where it runs.
    fn region(&self) -> Option<&Region>;
    /// Whether it is kept alive.
    fn keep_alive(&self) -> Option<bool>;
    /// Whose it is.
    fn owner(&self) -> Option<&Untrusted>;
    /// Its context.
    fn context(&self) -> Option<&Untrusted>;
    /// Its metadata.
    fn metadata(&self) -> Option<&Metadata>;
    /// The profile that it is of; nothing where there is but one.
    fn profile(&self) -> &str;
}

/// A session, and the profile that it is of.
#[derive(Clone, Copy, Debug)]
pub struct FilterRow<'a>(pub &'a Record, pub &'a str);

/// A filter that could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    text: String,
    terms: Vec<FilterTerm>,
}

/// What is wrong with a filter, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The bytes of the text that it is about.
    pub range: Range<usize>,
    /// What is wrong, in a sentence.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FilterTerm {
    is_negated: bool,
    condition: Condition,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Anywhere(SubstringFinder),
    Status(SubstringFinder),
    Region(SubstringFinder),
    KeepAlive(bool),
    Owner(SubstringFinder),
    Id(SubstringFinder),
    Profile(SubstringFinder),
    Metadata { path: String, value: SubstringFinder },
}

impl Filter {
    /// What `text` means.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Self::parse_for_profiles(text, false)
    }

    /// The same where there may be `several` profiles: then they have a field.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn parse_for_profiles(text: &str, is_multi_profile: bool) -> Result<Self, FilterError> {
        let terms =
            split_terms(text).map(|at| parse_term(text, at, is_multi_profile)).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), terms })
    }

    /// As it was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether nothing was typed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether a session is to be shown.
    #[must_use]
    pub fn matches(&self, row: &impl FilterTarget) -> bool {
        self.terms.iter().all(|term| term.condition.matches(row) != term.is_negated)
    }
}

impl FilterError {
    /// The filter as it was typed, and below it what is wrong with it underlined: two lines, fit for a terminal.
    #[must_use]
    pub fn underline(&self, text: &str) -> String {
        let shown = |part: Option<&str>| text::sanitise(part.unwrap_or_default(), usize::MAX);
        let before = text::width(&shown(text.get(..self.range.start)));
        let underline_width = text::width(&shown(text.get(self.range.clone()))).max(1);
        format!("{}\n{}{}", shown(Some(text)), " ".repeat(before), "^".repeat(underline_width))
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
                // Most rows do not have the text at all, and need not be read. (An escaped text looks otherwise.)
                let may_match = |json: &str| json.contains('\\') || value.matches(json);
                row.metadata().is_some_and(|it| {
                    may_match(it.json()) && it.any_value_at(path, |found| value.matches(found))
                })
            }
            Self::Anywhere(word) => {
                word.matches(row.id().raw())
                    || word.matches(row.profile())
                    || row.status().is_some_and(|status| word.matches(status.raw()))
                    || row.region().is_some_and(|region| word.matches(region.raw()))
                    || row.context().is_some_and(|context| word.matches(context.raw()))
                    || row.metadata().is_some_and(|metadata| word.matches(metadata.json()))
            }
        }
    }
}

/// Where each term stands: between blanks, but for those in quotes.
fn split_terms(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0_usize;
    std::iter::from_fn(move || {
        let rest = text.get(from..)?;
        let start = from.saturating_add(rest.find(|letter: char| !letter.is_whitespace())?);
        let mut quoted = false;
        let end = text.get(start..)?.find(|letter: char| {
            quoted ^= letter == '"';
            letter.is_whitespace() && !quoted
        });
        from = end.map_or(text.len(), |end| start.saturating_add(end));
        Some(start..from)
    })
}

fn parse_term(text: &str, at: Range<usize>, is_multi_profile: bool) -> Result<FilterTerm, FilterError> {
    let token = text.get(at.clone()).unwrap_or_default();
    let bare = token.trim_start_matches('!');
    let negations = token.len().saturating_sub(bare.len());
    let negated = negations % 2 == 1;
    let error = |at: Range<usize>, sentence: String| Err(FilterError { range: at, message: sentence });
    if bare.is_empty() {
        return error(at, "! negates what follows it, and nothing does".into());
    }
    let start = at.start.saturating_add(negations);
    let Some((field, value)) = split_field(bare) else {
        return match without_quotes(bare) {
            word if word.is_empty() => error(at, "there is nothing between the quotes".into()),
            word => Ok(FilterTerm {
                is_negated: negated,
                condition: Condition::Anywhere(SubstringFinder::new(&word)),
            }),
        };
    };
    let (value, name) = (without_quotes(value), field.to_lowercase());
    let at_field = start..start.saturating_add(field.len());
    let path = name.strip_prefix("meta").map(|rest| rest.strip_prefix('.').unwrap_or(rest));
    let is_meta = name == "meta" || name.starts_with("meta.");
    let is_profile = is_multi_profile && name == "profile";
    if !is_meta && !is_profile && !["status", "region", "keep", "owner", "id"].contains(&name.as_str()) {
        let (field, first) = (
            text::sanitise(field, if is_multi_profile { 16 } else { 20 }),
            if is_multi_profile { "profile " } else { "" },
        );
        return error(at_field, format!("no field “{field}”: {first}status region keep owner id meta.path"));
    }
    if name != "meta" && path.is_some_and(|path| path.split('.').any(str::is_empty)) {
        return error(at_field, "a path is missing, as in meta.run.id:abc".into());
    }
    if value.is_empty() {
        return error(start..at.end, format!("a value is missing after {}:", text::sanitise(field, 20)));
    }
    let test = match (name.as_str(), path) {
        ("status", _) => Condition::Status(SubstringFinder::new(&value)),
        ("region", _) => Condition::Region(SubstringFinder::new(&value)),
        ("owner", _) => Condition::Owner(SubstringFinder::new(&value)),
        ("id", _) => Condition::Id(SubstringFinder::new(&value)),
        ("profile", _) => Condition::Profile(SubstringFinder::new(&value)),
        ("keep", _) => match value.as_str() {
            "yes" => Condition::KeepAlive(true),
            "no" => Condition::KeepAlive(false),
            _ => {
                let at = at_field.end.saturating_add(1)..at.end;
                return error(at, "keep is yes or no".into());
            }
        },
        (_, path) => Condition::Metadata {
            path: path.unwrap_or_default().to_owned(),
            value: SubstringFinder::new(&value),
        },
    };
    Ok(FilterTerm { is_negated: negated, condition: test })
}

/// What stands before and behind a colon that ends a field's name. (`12:30` has none.)
fn split_field(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once(':')?;
    let is_name = name.starts_with(char::is_alphabetic) && !name.contains('"');
    is_name.then_some((name, value))
}

/// Without its quotes, in lower case.
fn without_quotes(text: &str) -> String {
    text.replace('"', "").to_lowercase()
}

#[cfg(test)]
mod tests;
