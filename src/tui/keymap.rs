//! The key bindings: one table of keystrokes, their actions and their help texts. A test compares the README's table of
//! keystrokes with this one.
//!
//! This module only looks up actions. `key_handler` performs them.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::keyboard_layout::american_key;

/// An action that a keystroke triggers in a pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Moves one row or line down.
    Down,
    /// Moves one row or line up.
    Up,
    /// Moves to the first row or line.
    First,
    /// Moves to the last row or line.
    Last,
    /// Moves one screen down.
    PageDown,
    /// Moves one screen up.
    PageUp,
    /// Opens the details at full height.
    Open,
    /// Returns from a pane to the table. In the table, clears the filter. If there is no filter, shows the sessions
    /// without alerts again.
    Back,
    /// Moves the focus to the next pane.
    NextPane,
    /// Copies a fresh connect URL.
    CopyConnect,
    /// Opens the copy menu.
    CopyMenu,
    /// Shows a fresh connect URL, so that the user can select it with the mouse.
    Reveal,
    /// Opens the session's page of the dashboard.
    Dashboard,
    /// Pauses or resumes polling, or the replay of a recording.
    Pause,
    /// Moves to the previous event of a recording.
    PreviousEvent,
    /// Moves to the next event of a recording.
    NextEvent,
    /// Polls now.
    Refresh,
    /// Opens the dialog that confirms the release of the session.
    Release,
    /// Edits the filter.
    Filter,
    /// Watches one more session.
    AddSession,
    /// Shows only sessions with alerts, or all sessions again.
    ToggleAlertsOnly,
    /// Acknowledges all alerts.
    Acknowledge,
    /// Mutes the session, which hides its row.
    Mute,
    /// Unmutes all sessions.
    Unmute,
    /// Shows the newest sessions of each project, of any status.
    Recent,
    /// Shows the events of all sessions, or the table again.
    Events,
    /// Shows what happened while the user was away, or the table again.
    Away,
    /// Sorts by the next column.
    Sort,
    /// Reverses the sort order.
    Reverse,
    /// Hides or shows metadata.
    HideMetadata,
    /// Shows poll statistics and past failures.
    Failures,
    /// Shows the help.
    Help,
    /// Draws the whole screen again.
    Repaint,
    /// Suspends the program.
    Suspend,
    /// Quits the program.
    Quit,
}

/// One line of the help: a few related keystrokes, and their actions.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The names of the keystrokes in the help.
    pub keys: &'static str,
    /// The keystrokes, each with its action.
    pub actions: &'static [(KeyChord, Action)],
    /// The description in the help.
    pub help: &'static str,
    /// The description in the footer; `None` if the footer does not show this binding.
    pub hint: Option<&'static str>,
}

/// A keystroke: the modifiers that are held down, and the key. The modifiers never contain SHIFT.
pub type KeyChord = (KeyModifiers, KeyCode);

const fn unmodified(code: KeyCode) -> KeyChord {
    (KeyModifiers::NONE, code)
}

const fn letter(letter: char) -> KeyChord {
    unmodified(KeyCode::Char(letter))
}

const fn ctrl(letter: char) -> KeyChord {
    (KeyModifiers::CONTROL, KeyCode::Char(letter))
}

/// All bindings, in the order of the help.
pub const BINDINGS: &[Binding] = &[
    Binding {
        keys: "c",
        actions: &[(letter('c'), Action::CopyConnect)],
        help: "copy a fresh connect URL",
        hint: Some("copy connect URL"),
    },
    Binding {
        keys: "y",
        actions: &[(letter('y'), Action::CopyMenu)],
        help: "copy…: id, connect, Selenium, live view, dashboard, evidence",
        hint: Some("copy menu"),
    },
    Binding {
        keys: "Y",
        actions: &[(letter('Y'), Action::Reveal)],
        help: "show the connect URL for 30 s, to select it by hand",
        hint: None,
    },
    Binding {
        keys: "o",
        actions: &[(letter('o'), Action::Dashboard)],
        help: "open the session's page of the dashboard",
        hint: None,
    },
    Binding {
        keys: "j k ↓ ↑",
        actions: &[
            (letter('j'), Action::Down),
            (letter('k'), Action::Up),
            (unmodified(KeyCode::Down), Action::Down),
            (unmodified(KeyCode::Up), Action::Up),
        ],
        help: "move, or scroll",
        hint: None,
    },
    Binding {
        keys: "g G Home End",
        actions: &[
            (letter('g'), Action::First),
            (letter('G'), Action::Last),
            (unmodified(KeyCode::Home), Action::First),
            (unmodified(KeyCode::End), Action::Last),
        ],
        help: "to the first, the last",
        hint: None,
    },
    Binding {
        keys: "PgUp PgDn",
        actions: &[
            (unmodified(KeyCode::PageUp), Action::PageUp),
            (unmodified(KeyCode::PageDown), Action::PageDown),
        ],
        help: "a screen up, down",
        hint: None,
    },
    Binding {
        keys: "Enter",
        actions: &[(unmodified(KeyCode::Enter), Action::Open)],
        help: "details at full height",
        hint: Some("details"),
    },
    Binding {
        keys: "Esc",
        actions: &[(unmodified(KeyCode::Esc), Action::Back)],
        help: "back; never quits",
        hint: None,
    },
    Binding {
        keys: "Tab",
        actions: &[(unmodified(KeyCode::Tab), Action::NextPane)],
        help: "to the next pane, to scroll it: details, what happened",
        hint: None,
    },
    Binding {
        keys: "/",
        actions: &[(letter('/'), Action::Filter)],
        help: "filter: words, status:error, meta.run.id:abc, ! negates",
        hint: Some("filter"),
    },
    Binding {
        keys: "x",
        actions: &[(letter('x'), Action::Release)],
        help: "release the session, after a question",
        hint: Some("release"),
    },
    Binding {
        keys: "a",
        actions: &[(letter('a'), Action::AddSession)],
        help: "watch one more session: type its id, or paste what has it",
        hint: None,
    },
    Binding {
        keys: "R",
        actions: &[(letter('R'), Action::Recent)],
        help: "the newest 200 sessions in any state, to look at or to watch",
        hint: None,
    },
    Binding {
        keys: "m M",
        actions: &[(letter('m'), Action::Mute), (letter('M'), Action::Unmute)],
        help: "mute a session: hide its row; show the muted ones again",
        hint: None,
    },
    Binding {
        keys: "e",
        actions: &[(letter('e'), Action::Events)],
        help: "events of all sessions",
        hint: Some("events"),
    },
    Binding {
        keys: "w",
        actions: &[(letter('w'), Action::Away)],
        help: "while you were away: what ended since your last keystroke",
        hint: None,
    },
    Binding {
        keys: "f A",
        actions: &[(letter('f'), Action::ToggleAlertsOnly), (letter('A'), Action::Acknowledge)],
        help: "show flagged sessions only; acknowledge all flags",
        hint: None,
    },
    Binding {
        keys: "s S",
        actions: &[(letter('s'), Action::Sort), (letter('S'), Action::Reverse)],
        help: "sort by the next column; reverse",
        hint: Some("sort"),
    },
    Binding {
        keys: "p Space",
        actions: &[(letter('p'), Action::Pause), (letter(' '), Action::Pause)],
        help: "pause polling, go on; play a recording",
        hint: None,
    },
    Binding {
        keys: "[ ]",
        actions: &[(letter('['), Action::PreviousEvent), (letter(']'), Action::NextEvent)],
        help: "the event before, the next one of a recording",
        hint: None,
    },
    Binding {
        keys: "r",
        actions: &[(letter('r'), Action::Refresh)],
        help: "refresh now; ends a pause",
        hint: None,
    },
    Binding {
        keys: "H",
        actions: &[(letter('H'), Action::HideMetadata)],
        help: "hide metadata and owners (on a shared screen), show them",
        hint: None,
    },
    Binding {
        keys: "!",
        actions: &[(letter('!'), Action::Failures)],
        help: "how polling goes, and past failures",
        hint: None,
    },
    Binding { keys: "?", actions: &[(letter('?'), Action::Help)], help: "this help", hint: Some("help") },
    Binding {
        keys: "Ctrl-L Ctrl-Z",
        actions: &[(ctrl('l'), Action::Repaint), (ctrl('z'), Action::Suspend)],
        help: "repaint; suspend",
        hint: None,
    },
    Binding {
        keys: "q Ctrl-C",
        actions: &[(letter('q'), Action::Quit), (ctrl('c'), Action::Quit)],
        help: "quit",
        hint: Some("quit"),
    },
];

/// Returns the available bindings. If `may_release` is false, as in read-only mode, leaves out the binding that releases
/// a session.
pub fn bindings(may_release: bool) -> impl Iterator<Item = &'static Binding> {
    let has_release =
        |binding: &Binding| binding.actions.iter().any(|(_, action)| *action == Action::Release);
    BINDINGS.iter().filter(move |binding| may_release || !has_release(binding))
}

/// Replaces a letter of another alphabet by the character that an American keyboard has on the same key. Other
/// keystrokes stay the same. Do not use this for input lines, which need the letter that the user typed.
pub(super) fn with_latin_letter(event: KeyEvent) -> KeyEvent {
    match event.code {
        KeyCode::Char(letter) => {
            KeyEvent { code: KeyCode::Char(american_key(letter).unwrap_or(letter)), ..event }
        }
        _ => event,
    }
}

/// Returns the action of a keystroke, or `None` if it has none.
#[must_use]
pub fn action_for(event: &KeyEvent) -> Option<Action> {
    // Only some terminals report SHIFT with a capital letter. The letter alone identifies the keystroke.
    let modifiers = event.modifiers.difference(KeyModifiers::SHIFT);
    let mut actions = BINDINGS.iter().flat_map(|binding| binding.actions);
    let action = actions.find(|((held, code), _)| *held == modifiers && *code == event.code);
    action.map(|(_, action)| *action)
}

/// An entry of the copy menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copyable {
    /// The session's id.
    Id,
    /// A fresh `connectUrl`.
    Connect,
    /// A fresh `seleniumRemoteUrl`.
    Selenium,
    /// A fresh URL of the live view.
    LiveView,
    /// The link to the session's page of the dashboard.
    Dashboard,
    /// The evidence: a text report about the session, for a support ticket.
    Evidence,
}

/// The entries of the copy menu: the letter that chooses the entry, the entry, and its label.
pub const COPY_MENU: [(char, Copyable, &str); 6] = [
    ('i', Copyable::Id, "session id"),
    ('c', Copyable::Connect, "connect URL (fresh)"),
    ('s', Copyable::Selenium, "Selenium URL (fresh)"),
    ('l', Copyable::LiveView, "live view URL (fresh)"),
    ('d', Copyable::Dashboard, "dashboard link"),
    ('e', Copyable::Evidence, "evidence, for a ticket"),
];

impl Copyable {
    /// Returns the name for use in a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "session id",
            Self::Connect => "connect URL",
            Self::Selenium => "Selenium URL",
            Self::LiveView => "live view URL",
            Self::Dashboard => "dashboard link",
            Self::Evidence => "evidence",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_keystroke_is_bound_twice() {
        let mut seen = HashSet::new();
        for (chord, _) in BINDINGS.iter().flat_map(|binding| binding.actions) {
            assert!(seen.insert(*chord), "{chord:?}");
        }
    }

    #[test]
    fn only_shift_is_ignored_for_capital_letters() {
        let capital_g = |modifiers| KeyEvent::new(KeyCode::Char('G'), modifiers);
        assert_eq!(action_for(&capital_g(KeyModifiers::NONE)), Some(Action::Last));
        assert_eq!(action_for(&capital_g(KeyModifiers::SHIFT)), Some(Action::Last));
        assert_eq!(action_for(&capital_g(KeyModifiers::CONTROL)), None);
    }
}
