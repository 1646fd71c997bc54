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
mod file;
mod prune;
mod read;
mod row;
mod schema;
mod sender;
mod store;
mod summary;
mod trouble;
mod writer;

pub use clear::{Cleared, clear};
pub use file::{glance, moved_aside as damaged_ones};
pub use read::{Kept, Line, Lines, Of, Reader, SegmentId, Sizes};
pub use row::{Entry, Fate, RunId, Segment};
pub use schema::VERSION;
pub use sender::{Journal, JournalConfig, Options};
pub use summary::{Summary, Why};
pub use trouble::Trouble;

#[cfg(test)]
mod tests;
