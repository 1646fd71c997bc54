//! The `tracing` subscriber. It handles only events of this crate, and ignores spans.

use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, level_filters::LevelFilter};

use super::line_format::{self, CRATE_NAME};
use super::writer::LogSender;
use keepwatch_core::clock::Clock;

/// Formats each event as a line, and queues it for the writer thread.
#[derive(Debug)]
pub(super) struct LogSubscriber {
    sender: LogSender,
    clock: Clock,
}

impl LogSubscriber {
    pub(super) fn new(sender: LogSender, clock: Clock) -> Self {
        Self { sender, clock }
    }

    pub(super) fn sender(&self) -> &LogSender {
        &self.sender
    }
}

/// Returns true for events of this crate at level INFO or above. Events of other crates can contain secrets: h2 logs
/// request headers, and one header has the API key.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    let module_path = metadata.target().strip_prefix(CRATE_NAME);
    let is_our_target = module_path.is_some_and(|path| path.is_empty() || path.starts_with("::"));
    // `tracing` orders the levels from ERROR, the smallest, to TRACE.
    // promise: log-targets, mutant: is_our_target -> true
    is_our_target && !metadata.is_span() && *metadata.level() <= Level::INFO
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
        Id::from_u64(1) // never used, because spans are disabled
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
