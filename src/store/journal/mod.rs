//! The journal: what was observed, kept on the disk across runs. It owns the file, its schema, and the thread that writes
//! it; what an entry's body says is its sender's business.
//!
//! ```text
//!   the loop ──begin, entry, summary──► Journal ──bounded; full: Dropped──► writer's thread ──a batch a second──► SQLite
//!                                          ▲                                   │                                   │
//!                                          └─ Fate: taken, or a hole           └──► Trouble, once a change         ▼
//!                                                                                      Reader ◄── segments, summaries
//! ```
//!
//! Nothing here blocks who sends: not a slow disk, not a full one, not another process. A run is written as *segments*,
//! each complete in itself, so that whole ones can be deleted; after a hole a new one begins. Many processes write to one
//! file, each its own segments, and readers see all.
//!
//! It never holds a key or a connect URL: what looks like one is masked before it is written.

mod batch;
mod clear;
mod database;
mod error;
mod file;
mod handle;
mod prune;
mod reader;
mod schema;
mod summary;
mod types;
mod writer;

pub use clear::{ClearOutcome, clear};
pub use error::JournalError;
pub use file::{damaged_files, precheck};
pub use handle::{Journal, JournalConfig, JournalOptions};
pub use reader::{
    JournalReader, JournalStats, SegmentFilter, SegmentId, StoredEntries, StoredEntry, StoredSegment,
};
pub use schema::SCHEMA_VERSION;
pub use summary::{SessionSummary, StoredVerdict};
pub use types::{JournalEntry, RunId, Segment, SendResult};

#[cfg(test)]
mod tests;
