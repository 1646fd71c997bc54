//! Decodes the body of `GET /v1/sessions` while it arrives. Each session is decoded as soon as its text is complete,
//! so a list of ten thousand sessions takes no more memory than the decoded sessions. The documentation of
//! [`json_array`](super::json_array) compares this with the alternatives.

use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::json_array::{ArrayEnd, JsonArraySplitter};
use super::{SessionBuilder, decode, parse_json, unexpected_response, utf8_lossy};
use crate::api::body_reader::BodyReader;
use crate::api::client::SessionList;
use crate::api::key_redaction::{MIN_REDACTED_KEY_BYTES, redact_key};
use keepwatch_core::session::{ApiError, ApiErrorKind, Metadata, Secret, Session, SessionId};
use keepwatch_core::text::Untrusted;

/// The number of sessions of the previous list among which to search for a session, from the expected one on. So the
/// search skips up to 7 sessions that have left the list.
const LOOK_AHEAD: usize = 8;
/// The maximum number of project ids to remember.
const MAX_PROJECT_IDS: usize = 8;

/// The texts of the previous list, in its order. The next list shares the texts that did not change instead of copying
/// them.
#[derive(Debug, Default)]
pub(in crate::api) struct InternCache {
    texts: Vec<InternedTexts>,
    /// The index in `texts` at which the next session is expected.
    next_index: usize,
    /// The newest project ids. Most sessions have one of them.
    project_ids: Vec<Untrusted>,
}

/// The texts of one session.
#[derive(Debug)]
struct InternedTexts {
    id: SessionId,
    context: Option<Untrusted>,
    metadata: Option<Metadata>,
}

impl InternCache {
    /// Replaces texts of `session` by clones of equal texts of the previous list. A clone shares the memory of its
    /// original.
    fn intern(&mut self, session: &mut Session) {
        let candidates = self.texts.get(self.next_index..).unwrap_or_default().iter().take(LOOK_AHEAD);
        let found = candidates.enumerate().find(|(_, texts)| texts.id == session.id);
        if let Some((skipped, texts)) = found {
            self.next_index = self.next_index.saturating_add(skipped).saturating_add(1);
            session.id = texts.id.clone();
            if session.context == texts.context {
                session.context.clone_from(&texts.context);
            }
            if session.metadata == texts.metadata {
                session.metadata.clone_from(&texts.metadata);
            }
        }
        if let Some(project_id) = &mut session.project {
            match self.project_ids.iter().find(|known| *known == project_id) {
                Some(known) => *project_id = known.clone(),
                None => {
                    self.project_ids.truncate(MAX_PROJECT_IDS.saturating_sub(1));
                    self.project_ids.insert(0, project_id.clone());
                }
            }
        }
    }

    /// Creates the cache for the list that follows `listing`.
    fn from_list(listing: &SessionList, project_ids: Vec<Untrusted>) -> Self {
        let texts = listing.sessions.iter().map(|session| InternedTexts {
            id: session.id.clone(),
            context: session.context.clone(),
            metadata: session.metadata.clone(),
        });
        Self { texts: texts.collect(), next_index: 0, project_ids }
    }
}

/// A reader that decodes a list while it arrives.
#[derive(Debug)]
pub(in crate::api) struct ListReader {
    splitter: JsonArraySplitter,
    listing: SessionList,
    cache: InternCache,
    /// The API key, which is redacted in every element.
    key_to_redact: Secret,
    /// The first byte of the body that is not whitespace.
    first_byte: Option<u8>,
}

impl ListReader {
    pub(in crate::api) fn new(cache: InternCache, key_to_redact: Secret) -> Self {
        let listing = SessionList { sessions: Vec::with_capacity(cache.texts.len()), malformed: 0 };
        Self { splitter: JsonArraySplitter::default(), listing, cache, key_to_redact, first_byte: None }
    }
}

impl BodyReader for ListReader {
    /// The list, and the cache for the next one.
    type Value = (SessionList, InternCache);

    fn push(&mut self, chunk: &[u8]) -> Result<(), ApiError> {
        let Self { splitter, listing, cache, key_to_redact, first_byte } = self;
        *first_byte = first_byte.or_else(|| chunk.iter().find(|byte| !byte.is_ascii_whitespace()).copied());
        let key_finder = Finder::new(key_to_redact.expose());
        let outcome = splitter.push(chunk, |element| {
            let quotes_key =
                key_to_redact.expose().len() >= MIN_REDACTED_KEY_BYTES && key_finder.find(element).is_some();
            // promise: key-in-list, mutant: redact_key(element.to_vec(), key_to_redact) -> element.to_vec()
            let safe = quotes_key.then(|| redact_key(element.to_vec(), key_to_redact));
            match decode_element(&utf8_lossy(safe.as_deref().unwrap_or(element)))? {
                Some(mut session) => {
                    cache.intern(&mut session);
                    listing.sessions.push(session);
                }
                None => listing.malformed = listing.malformed.saturating_add(1),
            }
            Ok(())
        });
        outcome.map_err(|position| {
            unexpected_response(&format!("broken JSON at line {} column {}", position.line, position.column))
        })
    }

    fn first_byte(&self) -> Option<u8> {
        self.first_byte
    }

    fn finish(self) -> Result<(SessionList, InternCache), ApiError> {
        match self.splitter.finish() {
            ArrayEnd::Complete => {
                let next_cache = InternCache::from_list(&self.listing, self.cache.project_ids);
                Ok((self.listing, next_cache))
            }
            ArrayEnd::Truncated => Err(ApiErrorKind::IncompleteJson.into()),
            ArrayEnd::NotAnArray(body) => {
                let body = redact_key(body, &self.key_to_redact);
                // Parses the body only for the error message, so that every invalid body has the same messages.
                let error = parse_json::<Vec<&RawValue>>(&utf8_lossy(&body)).err();
                Err(error.unwrap_or_else(|| unexpected_response("it is no list")))
            }
        }
    }
}

/// Decodes one element. Returns `None` if it is JSON but not a session.
///
/// # Errors
/// The line and column, within the element, at which it is not JSON.
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
