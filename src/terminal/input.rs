//! The input thread: reads keystrokes, pastes and resizes from crossterm.
//!
//! crossterm reads standard input if that is a terminal, else `/dev/tty`. No other thread may call it, because a second
//! reader would steal bytes.

use std::time::Duration;
use std::{io, thread};

use crossterm::event::{self, Event, KeyEventKind};

use super::{TermEvent, TermEventSender};

/// The minimum time between two resizes. Dragging a window causes hundreds per second.
const RESIZE_DEBOUNCE: Duration = Duration::from_millis(20);
/// The timeout to poll for pending input. With less, crossterm does not look for input at all.
const PENDING_INPUT_TIMEOUT: Duration = Duration::from_millis(1);
/// The maximum number of characters kept of a paste, more than any filter needs.
const MAX_PASTE_CHARS: usize = 4096;

/// Starts the input thread. It ends when the receiver of the events is dropped.
pub(super) fn start(events: TermEventSender) -> io::Result<()> {
    thread::Builder::new().name("input".into()).spawn(move || {
        while let Ok(event) = event::read() {
            if forward_event(event, &events).is_none() {
                break;
            }
        }
    })?;
    Ok(())
}

/// Sends an event, and waits while the channel is full. Merges successive resizes into one event. Returns `None` if the
/// channel is closed or the terminal fails.
fn forward_event(event: Event, events: &TermEventSender) -> Option<()> {
    let Event::Resize(columns, rows) = event else {
        return translate(event).map_or(Some(()), |event| events.blocking_send(event).ok());
    };
    debounce_resize();
    let (mut columns, mut rows, mut next) = (columns, rows, None);
    while next.is_none() && event::poll(PENDING_INPUT_TIMEOUT).ok()? {
        match event::read().ok()? {
            Event::Resize(newer_columns, newer_rows) => (columns, rows) = (newer_columns, newer_rows),
            other => next = translate(other),
        }
    }
    events.blocking_send(TermEvent::Resize { columns, rows }).ok()?;
    next.map_or(Some(()), |event| events.blocking_send(event).ok())
}

fn translate(event: Event) -> Option<TermEvent> {
    match event {
        Event::Key(key) if key.kind == KeyEventKind::Press => Some(TermEvent::Key(key)),
        Event::Paste(text) => {
            let line = text.chars().take(MAX_PASTE_CHARS).map(|c| if c.is_control() { ' ' } else { c });
            Some(TermEvent::Paste(line.collect()))
        }
        Event::Resize(columns, rows) => Some(TermEvent::Resize { columns, rows }),
        Event::Key(_) | Event::FocusGained | Event::FocusLost | Event::Mouse(_) => None,
    }
}

#[expect(clippy::disallowed_methods, reason = "limits the rate of resizes, and waits for no condition")]
fn debounce_resize() {
    thread::sleep(RESIZE_DEBOUNCE);
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::*;

    #[test]
    fn paste_is_one_bounded_line() {
        let Some(TermEvent::Paste(text)) =
            translate(Event::Paste("a\r\nb\x1b".to_owned() + &"é".repeat(1 << 20)))
        else {
            panic!("no paste");
        };
        assert!(text.starts_with("a  b é"));
        assert_eq!(text.chars().count(), MAX_PASTE_CHARS);
    }

    #[test]
    fn key_release_is_ignored() {
        let mut key = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        assert!(matches!(translate(Event::Key(key)), Some(TermEvent::Key(_))));
        key.kind = KeyEventKind::Release;
        assert!(translate(Event::Key(key)).is_none());
    }
}
