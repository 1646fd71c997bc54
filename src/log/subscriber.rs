//! What hears the events: of this crate alone. Spans are none of ours.

use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, level_filters::LevelFilter};

use super::line_format::{self, CRATE_NAME};
use super::writer::LogSender;
use keepwatch_core::clock::Clock;

/// Makes a line of each event, and passes it on.
#[derive(Debug)]
pub(super) struct LogSubscriber {
    sender: LogSender,
    clock: Clock,
}

impl LogSubscriber {
    pub(super) fn new(outbox: LogSender, clock: Clock) -> Self {
        Self { sender: outbox, clock }
    }

    pub(super) fn sender(&self) -> &LogSender {
        &self.sender
    }
}

/// Whether it is an event of this program's own code. h2 tells `tracing` the headers that it sends, and the key is one.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    let rest = metadata.target().strip_prefix(CRATE_NAME);
    let is_target = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    // promise: log-targets, mutant: is_target -> true
    is_target && !metadata.is_span() && *metadata.level() <= Level::INFO
}

impl tracing::Subscriber for LogSubscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_ours(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn event(&self, event: &Event<'_>) {
        self.sender.send_line(line_format::format_event(event, self.clock.now().wall));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1) // none is enabled
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
