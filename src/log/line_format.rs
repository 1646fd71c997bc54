//! One event as one line: the time in UTC, the level, where in the program, what.
//!
//! Whatever stands in an event, its line is one: a line feed that a server sent would forge another.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use keepwatch_core::clock::Timestamp;
use keepwatch_core::text::Untrusted;

/// The crate's own name, with which each target begins.
pub(super) const CRATE_NAME: &str = "keepwatch";

/// The line of `event`, which happened `at`.
pub(super) fn format_event(event: &Event<'_>, at: Timestamp) -> String {
    let mut text = EventText::default();
    event.record(&mut text);
    let metadata = event.metadata();
    let target = metadata.target();
    let module = target.strip_prefix(CRATE_NAME).and_then(|rest| rest.strip_prefix("::")).unwrap_or(target);
    format_line(at, *metadata.level(), module, &text.0)
}

/// The line that says `what`, made harmless: no control character, no secret, no more than a screenful.
pub(super) fn format_line(at: Timestamp, level: Level, module: &str, message: &str) -> String {
    // promise: log-line, mutant: Untrusted::new(message).sanitise_line() -> message
    let what = Untrusted::new(message).sanitise_line();
    format!("{} {level:<5} {module}: {what}\n", at.format("%Y-%m-%dT%H:%M:%S%.3fZ"))
}

/// What an event says: its message, then its fields.
#[derive(Default)]
struct EventText(String);

impl Visit for EventText {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a text does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
