//! The stream of inputs, written down and read again. Pure.
//!
//! ```text
//!   Input ──► Fleet::apply ──► Applied ────► Encoder ──► Line   one entry, or the newest state of a run
//!                                                         │
//!                        a recording (NDJSON), the journal (SQLite)
//!                                                         │
//!   Input ◄──────────────────────────── Unfold ◄──────── Tape   the lines in the order of their times
//! ```
//!
//! Most replies say what the one before them said. Those are a *run*: its first and its last reply, how many there were,
//! and the longest time between two. A reply by which anything happened, or by which the server's time is known better, is
//! never part of one; so nothing that a verdict or an interval rests on is lost, and a fleet that takes the inputs of a
//! tape is the fleet that was recorded.
//!
//! Of a list only what is new is written: the sessions that differ from what was told before, and those that left it.

mod decoder;
mod encoder;
mod entry;
pub mod history;
pub mod journal;
pub mod recorder;
mod recording;
mod writer_thread;

#[cfg(test)]
mod tests;

use keepwatch_core::tracker::{Event, Input, SessionTracker};

pub use decoder::{Decoder, InputLog, LogStep};
pub use encoder::{Encoder, InputSnapshot};
pub use entry::{EntryContent, RepeatedResponses, ResponseDelta, SessionDelta, StreamEntry};
pub use recording::{
    FORMAT_VERSION, Recording, RecordingDamage, RecordingError, RecordingWriter, StreamHeader,
};

/// Applies `input` to `fleet`. Returns the events that it caused, and the lines that `encoder` writes for it.
pub fn apply_and_encode(
    encoder: Option<&mut Encoder>,
    tracker: &mut SessionTracker,
    input: Input,
) -> (Vec<Event>, Vec<StreamEntry>) {
    let Some(encoder) = encoder else { return (tracker.apply(input).events, Vec::new()) };
    let snapshot = InputSnapshot::new(&input);
    let applied = tracker.apply(input);
    let entries = encoder.encode(snapshot, tracker, &applied);
    (applied.events, entries)
}
