//! Decodes the body of `GET /v1/sessions` while it arrives. Each session is decoded as soon as its text is complete, so a list of
//! ten thousand takes no more memory than the sessions that are kept. The header of [`elements`](super::elements) says what this
//! was compared with.

use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::json_array::{ArrayEnd, JsonArraySplitter};
use super::{SessionBuilder, decode, parse_json, unexpected_response, utf8_lossy};
use crate::api::body_reader::BodyReader;
use crate::api::client::SessionList;
use crate::api::error_mapping::{MIN_REDACTED_KEY_BYTES, redact_key};
use keepwatch_core::session::{ApiError, ApiErrorKind, Metadata, Secret, Session, SessionId};
use keepwatch_core::text::Untrusted;

/// How many sessions of the last list may have left before the next one that is still there.
const LOOK_AHEAD: usize = 8;
/// How many texts that many sessions have in common are remembered.
const MAX_COMMON_TEXTS: usize = 8;

/// The texts of the last list, in its order, so that what is said again is kept once and not copied.
#[derive(Debug, Default)]
pub(in crate::api) struct InternCache {
    texts: Vec<InternedTexts>,
    /// Where in it the next session should stand.
    next: usize,
    common: Vec<Untrusted>,
}

#[derive(Debug)]
struct InternedTexts {
    id: SessionId,
    context: Option<Untrusted>,
    metadata: Option<Metadata>,
}

impl InternCache {
    /// Lets `session` have the texts that are known already.
    fn intern(&mut self, session: &mut Session) {
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
                    self.common.truncate(MAX_COMMON_TEXTS.saturating_sub(1));
                    self.common.insert(0, project.clone());
                }
            }
        }
    }

    /// The same for the list after this one.
    fn from_list(listing: &SessionList, common: Vec<Untrusted>) -> Self {
        let texts = listing.sessions.iter().map(|session| InternedTexts {
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
    splitter: JsonArraySplitter,
    listing: SessionList,
    cache: InternCache,
    /// Is in nothing that is kept.
    key_to_redact: Secret,
    first_byte: Option<u8>,
}

impl ListReader {
    pub(in crate::api) fn new(cache: InternCache, key_to_redact: Secret) -> Self {
        let listing = SessionList { sessions: Vec::with_capacity(cache.texts.len()), malformed: 0 };
        Self { splitter: JsonArraySplitter::default(), listing, cache, key_to_redact, first_byte: None }
    }
}

impl BodyReader for ListReader {
    /// The list, and its texts for the next one.
    type Value = (SessionList, InternCache);

    fn push(&mut self, piece: &[u8]) -> Result<(), ApiError> {
        let Self { splitter, listing, cache, key_to_redact, first_byte } = self;
        *first_byte = first_byte.or_else(|| piece.iter().find(|byte| !byte.is_ascii_whitespace()).copied());
        let key_finder = Finder::new(key_to_redact.expose());
        let outcome = splitter.push(piece, |element| {
            let is_quoted =
                key_to_redact.expose().len() >= MIN_REDACTED_KEY_BYTES && key_finder.find(element).is_some();
            // promise: key-in-list, mutant: redact_key(element.to_vec(), key_to_redact) -> element.to_vec()
            let safe = is_quoted.then(|| redact_key(element.to_vec(), key_to_redact));
            match decode_element(&utf8_lossy(safe.as_deref().unwrap_or(element)))? {
                Some(mut session) => {
                    cache.intern(&mut session);
                    listing.sessions.push(session);
                }
                None => listing.malformed = listing.malformed.saturating_add(1),
            }
            Ok(())
        });
        outcome.map_err(|place| {
            unexpected_response(&format!("broken JSON at line {} column {}", place.line, place.column))
        })
    }

    fn first_byte(&self) -> Option<u8> {
        self.first_byte
    }

    fn finish(self) -> Result<(SessionList, InternCache), ApiError> {
        match self.splitter.finish() {
            ArrayEnd::Complete => {
                let known = InternCache::from_list(&self.listing, self.cache.common);
                Ok((self.listing, known))
            }
            ArrayEnd::Truncated => Err(ApiErrorKind::ConnectionClosed.into()),
            ArrayEnd::NotAnArray(body) => {
                let body = redact_key(body, &self.key_to_redact);
                let error = parse_json::<Vec<&RawValue>>(&utf8_lossy(&body)).err();
                Err(error.unwrap_or_else(|| unexpected_response("it is no list")))
            }
        }
    }
}

/// An element that is a session by any reading; else, where in it what is no JSON stands, if it is none.
fn decode_element(element: &str) -> Result<Option<Session>, (usize, usize)> {
    if let Some(builder) = decode::<SessionBuilder>(element) {
        return Ok(builder.build().ok());
    }
    match serde_json::from_str::<&RawValue>(element) {
        Ok(_) => Ok(None),
        Err(error) => Err((error.line(), error.column())),
    }
}

#[cfg(test)]
mod tests;
