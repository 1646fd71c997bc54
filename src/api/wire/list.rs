//! Decodes the body of `GET /v1/sessions` while it arrives. Each session is decoded as soon as its text is complete, so a list of
//! ten thousand takes no more memory than the sessions that are kept. The header of [`elements`](super::elements) says what this
//! was compared with.

use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::elements::{Elements, Ended};
use super::{Draft, parse, read, typed, unexpected};
use crate::api::body::Reader;
use crate::api::client::Listing;
use crate::api::fault::{SHORTEST_KEY, without_key};
use keepwatch_core::session::{ApiError, ApiErrorKind, Metadata, Secret, Session, SessionId};
use keepwatch_core::text::Untrusted;

/// How many sessions of the last list may have left before the next one that is still there.
const LOOK_AHEAD: usize = 8;
/// How many texts that many sessions have in common are remembered.
const COMMON: usize = 8;

/// The texts of the last list, in its order, so that what is said again is kept once and not copied.
#[derive(Debug, Default)]
pub(in crate::api) struct Known {
    texts: Vec<Texts>,
    /// Where in it the next session should stand.
    next: usize,
    common: Vec<Untrusted>,
}

#[derive(Debug)]
struct Texts {
    id: SessionId,
    context: Option<Untrusted>,
    metadata: Option<Metadata>,
}

impl Known {
    /// Lets `session` have the texts that are known already.
    fn share(&mut self, session: &mut Session) {
        let ahead = self.texts.get(self.next..).unwrap_or_default().iter().take(LOOK_AHEAD);
        let found = ahead.enumerate().find(|(_, texts)| texts.id == session.id);
        if let Some((past, texts)) = found {
            self.next = self.next.saturating_add(past).saturating_add(1);
            session.id = texts.id.clone();
            if session.context == texts.context {
                session.context.clone_from(&texts.context);
            }
            if session.metadata == texts.metadata {
                session.metadata.clone_from(&texts.metadata);
            }
        }
        if let Some(project) = &mut session.project {
            match self.common.iter().find(|common| *common == project) {
                Some(common) => *project = common.clone(),
                None => {
                    self.common.truncate(COMMON.saturating_sub(1));
                    self.common.insert(0, project.clone());
                }
            }
        }
    }

    /// The same for the list after this one.
    fn of(listing: &Listing, common: Vec<Untrusted>) -> Self {
        let texts = listing.sessions.iter().map(|session| Texts {
            id: session.id.clone(),
            context: session.context.clone(),
            metadata: session.metadata.clone(),
        });
        Self { texts: texts.collect(), next: 0, common }
    }
}

/// What came of a list so far.
#[derive(Debug)]
pub(in crate::api) struct ListReader {
    elements: Elements,
    listing: Listing,
    known: Known,
    /// Is in nothing that is kept.
    key: Secret,
    first: Option<u8>,
}

impl ListReader {
    pub(in crate::api) fn new(known: Known, key: Secret) -> Self {
        let listing = Listing { sessions: Vec::with_capacity(known.texts.len()), malformed: 0 };
        Self { elements: Elements::default(), listing, known, key, first: None }
    }
}

impl Reader for ListReader {
    /// The list, and its texts for the next one.
    type Value = (Listing, Known);

    fn take(&mut self, piece: &[u8]) -> Result<(), ApiError> {
        let Self { elements, listing, known, key, first } = self;
        *first = first.or_else(|| piece.iter().find(|byte| !byte.is_ascii_whitespace()).copied());
        let quoted = Finder::new(key.expose());
        let outcome = elements.take(piece, |element| {
            let is_quoted = key.expose().len() >= SHORTEST_KEY && quoted.find(element).is_some();
            // promise: key-in-list, mutant: without_key(element.to_vec(), key) -> element.to_vec()
            let safe = is_quoted.then(|| without_key(element.to_vec(), key));
            match session(&read(safe.as_deref().unwrap_or(element)))? {
                Some(mut session) => {
                    known.share(&mut session);
                    listing.sessions.push(session);
                }
                None => listing.malformed = listing.malformed.saturating_add(1),
            }
            Ok(())
        });
        outcome.map_err(|place| {
            unexpected(&format!("broken JSON at line {} column {}", place.line, place.column))
        })
    }

    fn first(&self) -> Option<u8> {
        self.first
    }

    fn end(self) -> Result<(Listing, Known), ApiError> {
        match self.elements.end() {
            Ended::Whole => {
                let known = Known::of(&self.listing, self.known.common);
                Ok((self.listing, known))
            }
            Ended::Cut => Err(ApiErrorKind::ConnectionClosed.into()),
            Ended::Other(body) => {
                let body = without_key(body, &self.key);
                let fault = parse::<Vec<&RawValue>>(&read(&body)).err();
                Err(fault.unwrap_or_else(|| unexpected("it is no list")))
            }
        }
    }
}

/// An element that is a session by any reading; else, where in it what is no JSON stands, if it is none.
fn session(element: &str) -> Result<Option<Session>, (usize, usize)> {
    if let Some(draft) = typed::<Draft>(element) {
        return Ok(draft.finish().ok());
    }
    match serde_json::from_str::<&RawValue>(element) {
        Ok(_) => Ok(None),
        Err(error) => Err((error.line(), error.column())),
    }
}

#[cfg(test)]
mod tests;
