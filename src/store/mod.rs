//! The stream of inputs: encoded for the disk, and decoded again for replay.
//!
//! ```text
//!   Input ──► SessionTracker::apply ──► AppliedChanges ──► Encoder ──► StreamEntry
//!                                                                           │
//!                                          a recording (NDJSON), the journal (SQLite)
//!                                                                           │
//!   Input ◄── Decoder ◄── LogStep ◄── InputLog, the entries in order ◄──────┘
//! ```
//!
//! The encoder, the decoder and the entries are pure. [`recorder`] and [`journal`] own the files and the threads that
//! write them. Nothing here knows the API or the screen.
//!
//! Most responses equal the response before them. The encoder stores a series of equal responses as one *repeat*: the
//! times of the first and the last response, the number of responses, and the longest gap. A response that causes an
//! event or changes the estimate of the server's clock always gets an entry of its own. So the stream keeps every fact
//! that a verdict or an interval rests on, and a tracker that replays the stream reaches the same state as the recorded
//! one.
//!
//! For a list, an entry holds only the sessions that changed since they were last encoded, and the ids of the sessions
//! that left the list.

mod decoder;
mod encoder;
mod entry;
pub mod history;
pub mod journal;
pub mod recorder;
mod recording;
mod writer_thread;

#[cfg(test)]
pub(crate) mod tests;

use keepwatch_core::tracker::{Event, Input, SessionTracker};

pub use decoder::{Decoder, InputLog, LogStep};
pub use encoder::{Encoder, InputSnapshot};
pub use entry::{EntryContent, RepeatedResponses, ResponseDelta, SessionDelta, StreamEntry};
pub use recording::{
    FORMAT_VERSION, Recording, RecordingDamage, RecordingError, RecordingWriter, StreamHeader,
};

/// Applies `input` to `tracker`. Returns the events that the input caused, and the entries that `encoder` creates for
/// it. Without an encoder there are no entries.
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
