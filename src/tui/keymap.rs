//! Every key, what it does, and how the help says it: one table, which the README is held against.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for, on the table or the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// One row or line down.
    Down,
    /// One row or line up.
    Up,
    /// To the first.
    First,
    /// To the last.
    Last,
    /// A screen down.
    PageDown,
    /// A screen up.
    PageUp,
    /// Details at full height.
    Open,
    /// Back: from the details, the other pane, the filter.
    Back,
    /// To the next pane.
    NextPane,
    /// Copy a fresh connect URL.
    CopyConnect,
    /// Choose what to copy.
    CopyMenu,
    /// Show a fresh connect URL, to be selected by hand.
    Reveal,
    /// Open the dashboard's page.
    Dashboard,
    /// Pause or go on polling.
    Pause,
    /// To the event before, of a recording.
    PreviousEvent,
    /// To the next event of a recording.
    NextEvent,
    /// Poll now.
    Refresh,
    /// Release the session, after a question.
    Release,
    /// Edit the filter.
    Filter,
    /// Watch one more session.
    AddSession,
    /// Show flagged sessions only, or all again.
    ToggleAlertsOnly,
    /// All flags are known.
    Acknowledge,
    /// Hide the session.
    Mute,
    /// Show all that were hidden.
    Unmute,
    /// The newest sessions of the project, in whatever state.
    Recent,
    /// The events of all sessions.
    Events,
    /// Sort by the next column.
    Sort,
    /// Reverse the order.
    Reverse,
    /// Hide or show metadata.
    HideMetadata,
    /// What polling costs, and past failures.
    Failures,
    /// This help.
    Help,
    /// Repaint the screen.
    Repaint,
    /// Suspend the program.
    Suspend,
    /// Quit.
    Quit,
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The keys, as the help writes them.
    pub keys: &'static str,
    /// The keys themselves, and what each does.
    pub actions: &'static [(KeyChord, Action)],
    /// What they do, in the help.
    pub help: &'static str,
    /// What the footer calls it, where it is among the few that the footer has room for.
    pub hint: Option<&'static str>,
}

/// A key without its event's other details.
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

/// All keys, in the order of the help.
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

/// The keys of a keepwatch that may release sessions, or of one that may not.
pub fn bindings(may_release: bool) -> impl Iterator<Item = &'static Binding> {
    let releases = |binding: &Binding| binding.actions.iter().any(|(_, action)| *action == Action::Release);
    BINDINGS.iter().filter(move |binding| may_release || !releases(binding))
}

/// What a key does; `None` for one that is bound to nothing.
#[must_use]
pub fn action_for(event: &KeyEvent) -> Option<Action> {
    // Some terminals say SHIFT beside the capital letter, some do not: the letter says it all.
    let modifiers = event.modifiers.difference(KeyModifiers::SHIFT);
    let mut actions = BINDINGS.iter().flat_map(|binding| binding.actions);
    actions.find(|((held, code), _)| *held == modifiers && *code == event.code).map(|(_, action)| *action)
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
    /// The URL of the live view, fresh.
    LiveView,
    /// The link to the dashboard's page.
    Dashboard,
    /// What was observed of the session, as text for a ticket.
    Evidence,
}

/// The copy menu: key, entry, what it is called.
pub const COPY_MENU: [(char, Copyable, &str); 6] = [
    ('i', Copyable::Id, "session id"),
    ('c', Copyable::Connect, "connect URL (fresh)"),
    ('s', Copyable::Selenium, "Selenium URL (fresh)"),
    ('l', Copyable::LiveView, "live view URL (fresh)"),
    ('d', Copyable::Dashboard, "dashboard link"),
    ('e', Copyable::Evidence, "evidence, for a ticket"),
];

impl Copyable {
    /// What it is called in a sentence.
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
    fn no_key_is_bound_twice() {
        let mut seen = HashSet::new();
        for (key, _) in BINDINGS.iter().flat_map(|binding| binding.actions) {
            assert!(seen.insert(*key), "{key:?}");
        }
    }

    #[test]
    fn a_capital_letter_is_the_same_with_and_without_shift() {
        let key = |modifiers| KeyEvent::new(KeyCode::Char('G'), modifiers);
        assert_eq!(action_for(&key(KeyModifiers::NONE)), Some(Action::Last));
        assert_eq!(action_for(&key(KeyModifiers::SHIFT)), Some(Action::Last));
        assert_eq!(action_for(&key(KeyModifiers::CONTROL)), None);
    }
}
