//! What is made of a body: of one session's once it is whole, of a list's while it comes in.

use super::client::SessionList;
use super::error_mapping::redact_key;
use super::wire::{self, InternCache, ListReader};
use keepwatch_core::session::{ApiError, Secret, Session, SessionId};

/// What a [`Client`](super::Client) reads the reply to `GET /v1/sessions/{id}` as, in which it asked for `asked`.
///
/// # Errors
/// It is no session.
pub fn read_session(body: &[u8], requested_id: &SessionId) -> Result<Session, ApiError> {
    wire::session(body, requested_id)
}

/// What a [`Client`](super::Client) reads the reply to `GET /v1/sessions` as that comes in these pieces.
///
/// # Errors
/// It is no list, or is broken, or cut off.
pub fn read_list<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Result<SessionList, ApiError> {
    let mut reader = ListReader::new(InternCache::default(), Secret::new(String::new()));
    pieces.into_iter().try_for_each(|piece| reader.push(piece))?;
    reader.finish().map(|(listing, _)| listing)
}

/// Takes a body in pieces, and makes a value of it.
pub(super) trait BodyReader {
    /// What it is read as.
    type Value;

    /// Takes the next piece.
    fn push(&mut self, piece: &[u8]) -> Result<(), ApiError>;

    /// The first byte that is not blank, once there is one.
    fn first_byte(&self) -> Option<u8>;

    /// Nothing more will come.
    fn finish(self) -> Result<Self::Value, ApiError>;
}

/// A body that is read when it is whole.
pub(super) struct BufferedBody<D> {
    body: Vec<u8>,
    decode: D,
    /// Is in nothing that is read; `None` where a URL that may hold it is what was asked for.
    key_to_redact: Option<Secret>,
}

impl<D> BufferedBody<D> {
    pub(super) fn new(key_to_redact: Option<Secret>, decode: D) -> Self {
        Self { body: Vec::new(), decode, key_to_redact }
    }
}

impl<T, D: FnOnce(&[u8]) -> Result<T, ApiError>> BodyReader for BufferedBody<D> {
    type Value = T;

    fn push(&mut self, piece: &[u8]) -> Result<(), ApiError> {
        self.body.extend_from_slice(piece);
        Ok(())
    }

    fn first_byte(&self) -> Option<u8> {
        self.body.iter().find(|byte| !byte.is_ascii_whitespace()).copied()
    }

    fn finish(self) -> Result<T, ApiError> {
        let Self { body, decode, key_to_redact: key } = self;
        decode(&match key {
            Some(key) => redact_key(body, &key),
            None => body,
        })
    }
}
