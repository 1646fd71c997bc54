//! The format of a log line: time in UTC, level, module, message.
//!
//! Each event of `tracing` is exactly one line. Line feeds in the text of an event are removed, because a server could
//! forge lines with them.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use keepwatch_core::clock::Timestamp;
use keepwatch_core::text::Untrusted;

/// The name of this crate, which is the prefix of its `tracing` targets.
pub(super) const CRATE_NAME: &str = "keepwatch";

/// Returns the log line for `event`, which happened at the time `at`.
pub(super) fn format_event(event: &Event<'_>, at: Timestamp) -> String {
    let mut text = EventText::default();
    event.record(&mut text);
    let metadata = event.metadata();
    let target = metadata.target();
    let module = target.strip_prefix(CRATE_NAME).and_then(|path| path.strip_prefix("::")).unwrap_or(target);
    format_line(at, *metadata.level(), module, &text.0)
}

/// Returns a log line. Sanitises, redacts and truncates `message`.
pub(super) fn format_line(at: Timestamp, level: Level, module: &str, message: &str) -> String {
    // promise: log-line, mutant: Untrusted::new(message).sanitise_line() -> message
    let text = Untrusted::new(message).sanitise_line();
    format!("{} {level:<5} {module}: {text}\n", at.format("%Y-%m-%dT%H:%M:%S%.3fZ"))
}

/// The text of an event: its message, followed by its fields.
#[derive(Default)]
struct EventText(String);

impl Visit for EventText {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
