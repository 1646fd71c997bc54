//! The types that a sender to the journal uses: segments and entries, the id of a run, and the result of sending a
//! message.

use std::sync::Arc;

use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::SessionId;
use keepwatch_core::text::Untrusted;

/// The id of one run of the program. Each run has its own id, so that several runs can write at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Arc<str>);

impl RunId {
    /// Creates the id of a run that started at `started`. `random` distinguishes runs that started in
    /// the same second.
    #[must_use]
    pub fn new(started: Timestamp, random: u64) -> Self {
        Self(format!("{}-{random:016x}", started.format("%Y%m%dT%H%M%SZ")).into())
    }

    /// Wraps an id that was read from the journal.
    pub(super) fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A part of a run's stream that can be read without the parts before it.
#[derive(Clone, Debug)]
pub struct Segment<H> {
    /// The run that writes the segment.
    pub run: RunId,
    /// Wall time at the start of the segment.
    pub started: Timestamp,
    /// Name of the profile, if there are several.
    pub profile: Option<String>,
    /// Host of the API.
    pub host: String,
    /// The settings that a reader needs before the first entry. Serialised on the writer thread.
    pub header: H,
    /// The sender's estimate of the header's size in the queue, in bytes.
    pub estimated_size: usize,
}

/// One entry of a segment.
#[derive(Clone, Debug)]
pub struct JournalEntry<B> {
    /// Sequence number in the segment. An entry replaces an earlier one with the same number.
    pub seq: u64,
    /// Wall time of the newest response or input in the entry.
    pub at: Timestamp,
    /// The content. Serialised on the writer thread.
    pub body: B,
    /// The sender's estimate of the entry's size in the queue, in bytes.
    pub estimated_size: usize,
    /// Sessions that the entry mentions, so that readers can find the segment by session. The sender may omit sessions
    /// that earlier entries of the segment mention.
    pub sessions: Vec<SessionId>,
    /// Projects that the entry mentions. The sender may omit projects that earlier entries of the segment mention.
    pub projects: Vec<Untrusted>,
}

/// The outcome of sending a message to the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum SendResult {
    /// The message waits for the writer thread.
    Queued,
    /// The message was dropped: the queue is full, the writer thread has ended, or no segment is open for the entry.
    /// After a dropped entry the segment has a gap and accepts no more entries, so the sender must start a new segment.
    Dropped,
}
