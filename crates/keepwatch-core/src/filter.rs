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
use crate::text::{self, Needle, Untrusted};
use crate::tracker::Record;

/// What a filter looks at. What is not known is `None`.
pub trait Filtered {
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
pub struct InProfile<'a>(pub &'a Record, pub &'a str);

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
    pub fn takes(&self, row: &impl Filtered) -> bool {
        self.terms.iter().all(|term| term.test.holds(row) != term.negated)
    }
}

impl Mistake {
    /// The filter as it was typed, and below it what is wrong with it underlined: two lines, fit for a terminal.
    #[must_use]
    pub fn pointed_at(&self, text: &str) -> String {
        let shown = |part: Option<&str>| text::shown(part.unwrap_or_default(), usize::MAX);
        let before = text::width(&shown(text.get(..self.at.start)));
        let wide = text::width(&shown(text.get(self.at.clone()))).max(1);
        format!("{}\n{}{}", shown(Some(text)), " ".repeat(before), "^".repeat(wide))
    }
}

impl Filtered for InProfile<'_> {
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

impl Test {
    fn holds(&self, row: &impl Filtered) -> bool {
        match self {
            Self::Status(word) => row.status().is_some_and(|status| word.is_in(status.raw())),
            Self::Region(word) => row.region().is_some_and(|region| word.is_in(region.raw())),
            Self::Keep(keep) => row.keep_alive() == Some(*keep),
            Self::Owner(word) => row.owner().is_some_and(|owner| word.is_in(owner.raw())),
            Self::Id(word) => word.is_in(row.id().raw()),
            Self::Profile(word) => word.is_in(row.profile()),
            Self::Meta { path, value } => {
                // Most rows do not have the text at all, and need not be read. (An escaped text looks otherwise.)
                let may = |json: &str| json.contains('\\') || value.is_in(json);
                row.metadata().is_some_and(|it| may(it.json()) && it.any_at(path, |found| value.is_in(found)))
            }
            Self::Word(word) => {
                word.is_in(row.id().raw())
                    || word.is_in(row.profile())
                    || row.status().is_some_and(|status| word.is_in(status.raw()))
                    || row.region().is_some_and(|region| word.is_in(region.raw()))
                    || row.context().is_some_and(|context| word.is_in(context.raw()))
                    || row.metadata().is_some_and(|metadata| word.is_in(metadata.json()))
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
