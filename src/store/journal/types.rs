//! What is sent to the journal.

use std::sync::Arc;

use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::SessionId;
use keepwatch_core::text::Untrusted;

/// What names one run of the program: each has its own, so that several can write at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Arc<str>);

impl RunId {
    /// The id of a run that started at `started`; `random` tells it from others of the same moment.
    #[must_use]
    pub fn new(started: Timestamp, random: u64) -> Self {
        Self(format!("{}-{random:016x}", started.format("%Y%m%dT%H%M%SZ")).into())
    }

    /// As it was written.
    pub(super) fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A piece of a run's stream that is complete in itself: nothing before it is needed to understand it.
#[derive(Clone, Debug)]
pub struct Segment<H> {
    /// Whose it is.
    pub run: RunId,
    /// When it begins.
    pub started: Timestamp,
    /// The profile that the sessions are reached by, if one was chosen.
    pub profile: Option<String>,
    /// The host that is asked.
    pub host: String,
    /// What a reader must know before the first entry; serialised on the writer's thread.
    pub header: H,
    /// About how many bytes the header takes while it waits; the sender's estimate.
    pub estimated_size: usize,
}

/// One entry of the stream.
#[derive(Clone, Debug)]
pub struct JournalEntry<B> {
    /// Its place in the segment. An entry with the place of an earlier one replaces it.
    pub seq: u64,
    /// When what it says was so, at last.
    pub at: Timestamp,
    /// What it says; serialised on the writer's thread.
    pub body: B,
    /// About how many bytes it takes while it waits; the sender's estimate.
    pub estimated_size: usize,
    /// The sessions that it speaks of. Those of an earlier entry of the segment may be left out.
    pub mentions: Vec<SessionId>,
    /// The projects that it speaks of, likewise.
    pub projects: Vec<Untrusted>,
}

/// What became of what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum SendResult {
    /// It waits to be written.
    Queued,
    /// It was not taken: too much waits already, or the segment is no more. The segment has a hole now and takes nothing
    /// further; the stream goes on with a new one.
    Dropped,
}
