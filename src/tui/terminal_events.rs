//! Translates what the terminal reports into messages for the model.

use super::message::Message;
use crate::exit_code::ExitCode;
use crate::terminal::TermEvent;

/// The meaning of a terminal event.
#[derive(Debug)]
pub(super) enum TranslatedEvent {
    /// The model handles it.
    Message(Message),
    /// The program ends.
    Exit(ExitCode),
    /// It only wakes the event loop.
    Wake,
}

/// Translates `event`. The result of a copy is logged here, because `update` is pure.
pub(super) fn translate(event: TermEvent) -> TranslatedEvent {
    let message = match event {
        TermEvent::Key(key) => Message::Key(key),
        TermEvent::Paste(text) => Message::Paste(text),
        TermEvent::Resize { columns, rows } => Message::Resize(columns, rows),
        TermEvent::Resumed => Message::Resumed,
        TermEvent::Signal(number) => {
            return TranslatedEvent::Exit(ExitCode::Signal(u8::try_from(number).unwrap_or(u8::MAX)));
        }
        TermEvent::CopyFinished(copied) => {
            let what = copied.label;
            match &copied.result {
                Ok(backend) => tracing::info!("{what} {backend}"),
                Err(error) => tracing::warn!("{what} {error}"),
            }
            let outcome = copied.result.map(|route| route.to_string()).map_err(|why| why.to_string());
            Message::Copied(what, outcome)
        }
        TermEvent::BrowserOpened(Err(why)) => Message::BrowserFailed(why),
        TermEvent::BrowserOpened(Ok(())) | TermEvent::WriterReady => return TranslatedEvent::Wake,
    };
    TranslatedEvent::Message(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_ends_program_with_its_number() {
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
