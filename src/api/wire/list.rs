//! Decodes the body of `GET /v1/sessions` while it arrives. Each session is decoded as soon as its text is complete,
//! so a list of ten thousand takes no more memory than the decoded sessions. The header of
//! [`json_array`](super::json_array) lists the alternatives that were measured.

use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::json_array::{ArrayEnd, JsonArraySplitter};
use super::{SessionBuilder, decode, parse_json, unexpected_response, utf8_lossy};
use crate::api::body_reader::BodyReader;
use crate::api::client::SessionList;
use crate::api::key_redaction::{MIN_REDACTED_KEY_BYTES, redact_key};
use keepwatch_core::session::{ApiError, ApiErrorKind, Metadata, Secret, Session, SessionId};
use keepwatch_core::text::Untrusted;

/// The number of entries of the last list to search for a session. Sessions that left the list are skipped this way.
const LOOK_AHEAD: usize = 8;
/// The number of texts to remember that many sessions share.
const MAX_COMMON_TEXTS: usize = 8;

/// The texts of the last list, in its order. The next list shares texts that have not changed instead of copying them.
#[derive(Debug, Default)]
pub(in crate::api) struct InternCache {
    texts: Vec<InternedTexts>,
    /// The index in `texts` at which the next session is expected.
    next: usize,
    /// Project ids, the newest first.
    common: Vec<Untrusted>,
}

#[derive(Debug)]
struct InternedTexts {
    id: SessionId,
    context: Option<Untrusted>,
    metadata: Option<Metadata>,
}

impl InternCache {
    /// Replaces texts of `session` by equal texts of the last list.
    fn intern(&mut self, session: &mut Session) {
        let ahead = self.texts.get(self.next..).unwrap_or_default().iter().take(LOOK_AHEAD);
        let found = ahead.enumerate().find(|(_, texts)| texts.id == session.id);
        if let Some((skipped, texts)) = found {
            self.next = self.next.saturating_add(skipped).saturating_add(1);
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

    /// Creates the cache for the list that follows `listing`.
    fn from_list(listing: &SessionList, common: Vec<Untrusted>) -> Self {
        let texts = listing.sessions.iter().map(|session| InternedTexts {
            id: session.id.clone(),
            context: session.context.clone(),
            metadata: session.metadata.clone(),
        });
        Self { texts: texts.collect(), next: 0, common }
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
            let has_key =
                key_to_redact.expose().len() >= MIN_REDACTED_KEY_BYTES && key_finder.find(element).is_some();
            // promise: key-in-list, mutant: redact_key(element.to_vec(), key_to_redact) -> element.to_vec()
            let safe = has_key.then(|| redact_key(element.to_vec(), key_to_redact));
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
                let next_cache = InternCache::from_list(&self.listing, self.cache.common);
                Ok((self.listing, next_cache))
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

/// Decodes one element. Returns `None` if it is not a session, and the line and column of the error if it is not JSON.
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
