//! One event as one line: the time in UTC, the level, where in the program, what.
//!
//! Whatever stands in an event, its line is one: a line feed that a server sent would forge another.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use keepwatch_core::clock::Timestamp;
use keepwatch_core::text::Untrusted;

/// The crate's own name, with which each target begins.
pub(super) const OURS: &str = "keepwatch";

/// The line of `event`, which happened `at`.
pub(super) fn of(event: &Event<'_>, at: Timestamp) -> String {
    let mut said = Said::default();
    event.record(&mut said);
    let metadata = event.metadata();
    let target = metadata.target();
    let place = target.strip_prefix(OURS).and_then(|rest| rest.strip_prefix("::")).unwrap_or(target);
    line(at, *metadata.level(), place, &said.0)
}

/// The line that says `what`, made harmless: no control character, no secret, no more than a screenful.
pub(super) fn line(at: Timestamp, level: Level, place: &str, what: &str) -> String {
    // promise: log-line, mutant: Untrusted::new(what).line() -> what
    let what = Untrusted::new(what).line();
    format!("{} {level:<5} {place}: {what}\n", at.format("%Y-%m-%dT%H:%M:%S%.3fZ"))
}

/// What an event says: its message, then its fields.
#[derive(Default)]
struct Said(String);

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a text does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
