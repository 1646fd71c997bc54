//! What is made of a body: of one session's once it is whole, of a list's while it comes in.

use super::client::Listing;
use super::fault::without_key;
use super::wire::{self, Known, ListReader};
use keepwatch_core::session::{ApiError, Secret, Session, SessionId};

/// What a [`Client`](super::Client) reads the reply to `GET /v1/sessions/{id}` as, in which it asked for `asked`.
///
/// # Errors
/// It is no session.
pub fn read_session(body: &[u8], asked: &SessionId) -> Result<Session, ApiError> {
    wire::session(body, asked)
}

/// What a [`Client`](super::Client) reads the reply to `GET /v1/sessions` as that comes in these pieces.
///
/// # Errors
/// It is no list, or is broken, or cut off.
pub fn read_list<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Result<Listing, ApiError> {
    let mut reader = ListReader::new(Known::default(), Secret::new(String::new()));
    pieces.into_iter().try_for_each(|piece| reader.take(piece))?;
    reader.end().map(|(listing, _)| listing)
}

/// Takes a body in pieces, and makes a value of it.
pub(super) trait Reader {
    /// What it is read as.
    type Value;

    /// Takes the next piece.
    fn take(&mut self, piece: &[u8]) -> Result<(), ApiError>;

    /// The first byte that is not blank, once there is one.
    fn first(&self) -> Option<u8>;

    /// Nothing more will come.
    fn end(self) -> Result<Self::Value, ApiError>;
}

/// A body that is read when it is whole.
pub(super) struct Whole<D> {
    body: Vec<u8>,
    decode: D,
    /// Is in nothing that is read; `None` where a URL that may hold it is what was asked for.
    key: Option<Secret>,
}

impl<D> Whole<D> {
    pub(super) fn new(key: Option<Secret>, decode: D) -> Self {
        Self { body: Vec::new(), decode, key }
    }
}

impl<T, D: FnOnce(&[u8]) -> Result<T, ApiError>> Reader for Whole<D> {
    type Value = T;

    fn take(&mut self, piece: &[u8]) -> Result<(), ApiError> {
        self.body.extend_from_slice(piece);
        Ok(())
    }

    fn first(&self) -> Option<u8> {
        self.body.iter().find(|byte| !byte.is_ascii_whitespace()).copied()
    }

    fn end(self) -> Result<T, ApiError> {
        let Self { body, decode, key } = self;
        decode(&match key {
            Some(key) => without_key(body, &key),
            None => body,
        })
    }
}
