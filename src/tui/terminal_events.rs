//! Translates terminal events into messages for the model.

use super::message::Message;
use crate::exit_code::ExitCode;
use crate::terminal::TermEvent;

/// A terminal event, translated for the event loop.
#[derive(Debug)]
pub(super) enum TranslatedEvent {
    /// A message that the model handles.
    Message(Message),
    /// The exit code with which the program must end.
    Exit(ExitCode),
    /// An event that only wakes the event loop.
    Wake,
}

/// Translates `event`. Logs the result of a copy, because `update` is pure and cannot log it.
pub(super) fn translate(event: TermEvent) -> TranslatedEvent {
    let message = match event {
        TermEvent::Key(key) => Message::Key(key),
        TermEvent::Paste(text) => Message::Paste(text),
        TermEvent::Resize { columns, rows } => Message::Resize(columns, rows),
        TermEvent::Continued => Message::Continued,
        TermEvent::Signal(number) => {
            return TranslatedEvent::Exit(ExitCode::Signal(u8::try_from(number).unwrap_or(u8::MAX)));
        }
        TermEvent::CopyFinished(copied) => {
            let label = copied.label;
            match &copied.result {
                Ok(route) => tracing::info!("{label} {route}"),
                Err(error) => tracing::warn!("{label} {error}"),
            }
            let result = copied.result.map(|route| route.to_string()).map_err(|error| error.to_string());
            Message::Copied(label, result)
        }
        TermEvent::BrowserOpened(Err(reason)) => Message::BrowserFailed(reason.to_string()),
        TermEvent::BrowserOpened(Ok(())) | TermEvent::WriterReady => return TranslatedEvent::Wake,
    };
    TranslatedEvent::Message(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_number_becomes_exit_code() {
        let translated = translate(TermEvent::Signal(15));
        assert!(matches!(translated, TranslatedEvent::Exit(ExitCode::Signal(15))), "{translated:?}");
    }

    #[test]
    fn writer_ready_and_opened_browser_only_wake() {
        for event in [TermEvent::WriterReady, TermEvent::BrowserOpened(Ok(()))] {
            let translated = translate(event);
            assert!(matches!(translated, TranslatedEvent::Wake), "{translated:?}");
        }
    }

    #[test]
    fn resize_reaches_model() {
        let translated = translate(TermEvent::Resize { columns: 80, rows: 24 });
        assert!(matches!(translated, TranslatedEvent::Message(Message::Resize(80, 24))), "{translated:?}");
    }
}
