//! Readers of response bodies. [`BufferedBody`] decodes a body once it is complete; [`ListReader`] decodes a list
//! while it arrives. They never touch the network. `client` limits the size of the bodies.

use super::client::SessionList;
use super::key_redaction::redact_key;
use super::wire::{self, InternCache, ListReader};
use keepwatch_core::session::{ApiError, Secret, Session, SessionId};

/// Decodes the body of `GET /v1/sessions/{id}` as a [`Client`](super::Client) does. Only benchmarks call this function.
///
/// # Errors
/// The body is not a session, or is about another session than `requested_id`.
pub fn read_session(body: &[u8], requested_id: &SessionId) -> Result<Session, ApiError> {
    wire::session(body, requested_id)
}

/// Decodes the body of `GET /v1/sessions` from its chunks, as a [`Client`](super::Client) does. Only benchmarks and
/// tests call this function.
///
/// # Errors
/// The body is not a list, is not valid JSON, or is incomplete.
pub fn read_list<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> Result<SessionList, ApiError> {
    let no_key = Secret::new(String::new()); // there is no API key to redact
    let mut reader = ListReader::new(InternCache::default(), no_key);
    chunks.into_iter().try_for_each(|chunk| reader.push(chunk))?;
    reader.finish().map(|(listing, _)| listing)
}

/// Reads a body in chunks and decodes it.
pub(super) trait BodyReader {
    /// The decoded type.
    type Value;

    /// Adds the next chunk.
    fn push(&mut self, chunk: &[u8]) -> Result<(), ApiError>;

    /// Returns the first byte that is not whitespace, once it has arrived.
    fn first_byte(&self) -> Option<u8>;

    /// Returns the decoded value, after the last chunk.
    fn finish(self) -> Result<Self::Value, ApiError>;
}

/// A reader that decodes a body once it is complete.
pub(super) struct BufferedBody<D> {
    body: Vec<u8>,
    decode: D,
    /// The API key to redact before decoding. `None` for a response with connect URLs, which may contain the API key
    /// and must stay intact.
    key_to_redact: Option<Secret>,
}

impl<D> BufferedBody<D> {
    pub(super) fn new(key_to_redact: Option<Secret>, decode: D) -> Self {
        Self { body: Vec::new(), decode, key_to_redact }
    }
}

impl<T, D: FnOnce(&[u8]) -> Result<T, ApiError>> BodyReader for BufferedBody<D> {
    type Value = T;

    fn push(&mut self, chunk: &[u8]) -> Result<(), ApiError> {
        self.body.extend_from_slice(chunk);
        Ok(())
    }

    fn first_byte(&self) -> Option<u8> {
        self.body.iter().find(|byte| !byte.is_ascii_whitespace()).copied()
    }

    fn finish(self) -> Result<T, ApiError> {
        let Self { body, decode, key_to_redact } = self;
        decode(&match key_to_redact {
            Some(key) => redact_key(body, &key),
            None => body,
        })
    }
}
