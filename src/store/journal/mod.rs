//! The journal: an SQLite database with the inputs, the session summaries and the alerts of all runs. Owns the file, its schema,
//! and the thread that writes it. Never looks into the entries' bodies: the sender chooses their type.
//!
//! ```text
//!   sender ──segment, entry, summary, alert──► Journal ──bounded queue──► writer thread ──a batch a second──► SQLite
//!                                                 │                            │                                 │
//!                                                 ▼                            ▼                                 ▼
//!                                 SendResult: Queued or Dropped    JournalError, once per change          JournalReader
//! ```
//!
//! Sending never blocks: not on a slow disk, a full disk, or another process. A run is written as *segments*. Each
//! segment can be read by itself, so pruning deletes whole segments. After a dropped entry, the sender starts a new
//! segment. Summaries wait in a queue of their own until they are written. Several processes can write to one file,
//! each to its own segments. Readers see the segments of all processes.
//!
//! The journal has a session if it has the session's summary: `keepwatch history` and `keepwatch export` both decide by
//! that. Deleted data is not written again: see `deletion`.
//!
//! The journal never holds an API key or a connect URL: text that looks like one is redacted before it is written.

mod age_clock;
mod alert;
mod alert_queue;
mod batch;
mod clear;
mod database;
mod deletion;
mod error;
mod file;
mod handle;
mod prune;
mod reader;
mod schema;
mod summary;
mod summary_queue;
mod types;
mod writer;

pub use alert::{AcknowledgementListener, StoredAlert};
pub use clear::{ClearOutcome, clear};
pub use error::JournalError;
pub use file::{damaged_files, reject_foreign_or_newer_file};
pub use handle::{Journal, JournalConfig, JournalOptions, Unwritten};
pub use reader::{
    JournalReader, JournalStats, SegmentFilter, SegmentId, StoredEntries, StoredEntry, StoredSegment,
};
pub use schema::SCHEMA_VERSION;
pub use summary::{SessionSummary, StoredVerdict};
pub use types::{JournalEntry, RunId, Segment, SendResult};

#[cfg(test)]
mod tests;
