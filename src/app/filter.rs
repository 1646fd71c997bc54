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

use crate::text::{self, Needle};
use crate::watch::Record;

/// A filter that could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    text: String,
    terms: Vec<Term>,
}

/// What is wrong with a filter, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The bytes of the text that it is about.
    pub at: Range<usize>,
    /// What is wrong, in a sentence.
    pub sentence: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    negated: bool,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Word(Needle),
    Status(Needle),
    Region(Needle),
    Keep(bool),
    Owner(Needle),
    Id(Needle),
    Profile(Needle),
    Meta { path: String, value: Needle },
}

impl Filter {
    /// What `text` means.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        Self::parse_among(text, false)
    }

    /// The same where there may be `several` profiles: then they have a field.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn parse_among(text: &str, several: bool) -> Result<Self, Mistake> {
        let terms = pieces(text).map(|at| term(text, at, several)).collect::<Result<_, _>>()?;
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
    pub fn takes(&self, record: &Record) -> bool {
        self.takes_in(record, "")
    }

    /// The same of a session in the profile of that name.
    #[must_use]
    pub fn takes_in(&self, record: &Record, profile: &str) -> bool {
        self.terms.iter().all(|term| term.test.holds(record, profile) != term.negated)
    }
}

impl Test {
    fn holds(&self, record: &Record, profile: &str) -> bool {
        let session = record.session.as_ref();
        let metadata = session.and_then(|session| session.metadata.as_ref());
        let region = session.and_then(|session| session.region.as_ref());
        match self {
            Self::Status(word) => record.status().is_some_and(|status| word.is_in(status.raw())),
            Self::Region(word) => region.is_some_and(|region| word.is_in(region.raw())),
            Self::Keep(keep) => session.is_some_and(|session| session.keep_alive == Some(*keep)),
            Self::Owner(word) => record.owner.as_ref().is_some_and(|owner| word.is_in(owner.raw())),
            Self::Id(word) => word.is_in(record.id.raw()),
            Self::Profile(word) => word.is_in(profile),
            Self::Meta { path, value } => {
                // Most rows do not have the text at all, and need not be read. (An escaped text looks otherwise.)
                let may = |json: &str| json.contains('\\') || value.is_in(json);
                metadata.is_some_and(|it| may(it.json()) && it.any_at(path, |found| value.is_in(found)))
            }
            Self::Word(word) => {
                let context = session.and_then(|session| session.context.as_ref());
                word.is_in(record.id.raw())
                    || word.is_in(profile)
                    || record.status().is_some_and(|status| word.is_in(status.raw()))
                    || region.is_some_and(|region| word.is_in(region.raw()))
                    || context.is_some_and(|context| word.is_in(context.raw()))
                    || metadata.is_some_and(|metadata| word.is_in(metadata.json()))
            }
        }
    }
}

/// Where each term stands: between blanks, but for those in quotes.
fn pieces(text: &str) -> impl Iterator<Item = Range<usize>> {
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

fn term(text: &str, at: Range<usize>, several: bool) -> Result<Term, Mistake> {
    let whole = text.get(at.clone()).unwrap_or_default();
    let bare = whole.trim_start_matches('!');
    let bangs = whole.len().saturating_sub(bare.len());
    let negated = bangs % 2 == 1;
    let mistake = |at: Range<usize>, sentence: String| Err(Mistake { at, sentence });
    if bare.is_empty() {
        return mistake(at, "! negates what follows it, and nothing does".into());
    }
    let start = at.start.saturating_add(bangs);
    let Some((field, value)) = field(bare) else {
        return match unquoted(bare) {
            word if word.is_empty() => mistake(at, "there is nothing between the quotes".into()),
            word => Ok(Term { negated, test: Test::Word(Needle::new(&word)) }),
        };
    };
    let (value, name) = (unquoted(value), field.to_lowercase());
    let at_field = start..start.saturating_add(field.len());
    let path = name.strip_prefix("meta").map(|rest| rest.strip_prefix('.').unwrap_or(rest));
    let is_meta = name == "meta" || name.starts_with("meta.");
    let is_profile = several && name == "profile";
    if !is_meta && !is_profile && !["status", "region", "keep", "owner", "id"].contains(&name.as_str()) {
        let (field, first) =
            (text::shown(field, if several { 16 } else { 20 }), if several { "profile " } else { "" });
        return mistake(
            at_field,
            format!("no field “{field}”: {first}status region keep owner id meta.path"),
        );
    }
    if name != "meta" && path.is_some_and(|path| path.split('.').any(str::is_empty)) {
        return mistake(at_field, "a path is missing, as in meta.run.id:abc".into());
    }
    if value.is_empty() {
        return mistake(start..at.end, format!("a value is missing after {}:", text::shown(field, 20)));
    }
    let test = match (name.as_str(), path) {
        ("status", _) => Test::Status(Needle::new(&value)),
        ("region", _) => Test::Region(Needle::new(&value)),
        ("owner", _) => Test::Owner(Needle::new(&value)),
        ("id", _) => Test::Id(Needle::new(&value)),
        ("profile", _) => Test::Profile(Needle::new(&value)),
        ("keep", _) => match value.as_str() {
            "yes" => Test::Keep(true),
            "no" => Test::Keep(false),
            _ => {
                let at = at_field.end.saturating_add(1)..at.end;
                return mistake(at, "keep is yes or no".into());
            }
        },
        (_, path) => Test::Meta { path: path.unwrap_or_default().to_owned(), value: Needle::new(&value) },
    };
    Ok(Term { negated, test })
}

/// What stands before and behind a colon that ends a field's name. (`12:30` has none.)
fn field(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once(':')?;
    let is_name = name.starts_with(char::is_alphabetic) && !name.contains('"');
    is_name.then_some((name, value))
}

/// Without its quotes, in lower case.
fn unquoted(text: &str) -> String {
    text.replace('"', "").to_lowercase()
}

#[cfg(test)]
mod tests;
