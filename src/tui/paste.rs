//! Pasted text: inserted into the open input line, or searched for a session id. A paste never acts as keystrokes.
//!
//! | focus | a paste |
//! | --- | --- |
//! | filter | is inserted at the cursor, unless it has a secret |
//! | id of a session to watch | is inserted: only its session id, if it has one; otherwise the whole text, unless it has a secret |
//! | a pane | selects the session whose id it contains, or offers to watch it |
//! | a popup | is ignored, with a notice |

use super::focus::{Focus, Pane};
use super::model::Model;
use super::notice::NoticeLevel;
use super::text_input::{MAX_FILTER_CHARS, MAX_SESSION_INPUT_CHARS, insert_text};
use keepwatch_core::clock::Moment;
use keepwatch_core::session::{SessionId, SessionIdError};
use keepwatch_core::text;
use tui_input::Input as TextInput;

impl Model {
    /// Handles pasted text, which is untrusted.
    pub(super) fn on_paste(&mut self, text: &str, now: Moment) {
        let has_secret = text::redact(text) != text;
        match &mut self.focus {
            // promise: pasted-secret
            Focus::Filter { .. } if has_secret => self.refuse_pasted_secret(now),
            Focus::AddSession { .. } if has_secret && SessionId::find_in(text).is_err() => {
                self.refuse_pasted_secret(now);
            }
            Focus::Filter { input, .. } => {
                insert_text(input, text, MAX_FILTER_CHARS);
                self.apply_filter_input();
            }
            Focus::AddSession { input, invalid, .. } => {
                // A pasted page of a log is reduced to the one id in it, which the user can then check. Text without an
                // id is inserted unchanged.
                let id = SessionId::find_in(text);
                insert_text(input, id.as_ref().map_or(text, SessionId::raw), MAX_SESSION_INPUT_CHARS);
                *invalid = None;
            }
            Focus::Pane(pane) => {
                let pane = *pane;
                self.paste_into_pane(text, pane, now);
            }
            Focus::CopyMenu { .. }
            | Focus::Reveal { .. }
            | Focus::ConfirmRelease { .. }
            | Focus::Help { .. }
            | Focus::Failures { .. } => {
                self.notify(now, NoticeLevel::Info, "pasted text is ignored here".into());
            }
        }
    }

    fn refuse_pasted_secret(&mut self, now: Moment) {
        self.notify(now, NoticeLevel::Error, "pasted text ignored: it looks like a secret".into());
    }

    fn paste_into_pane(&mut self, text: &str, pane: Pane, now: Moment) {
        match SessionId::find_in(text) {
            Ok(id) if self.profiles.find(&id).is_some() => self.select_pasted(id, pane, now),
            // `find_in` also returns a single word that is not a UUID. Such a word may be no id at all, so it is not
            // offered.
            Ok(id) if id.is_uuid() && self.replay.is_none() => {
                self.focus = Focus::AddSession {
                    input: TextInput::new(id.raw().to_owned()),
                    invalid: None,
                    back: pane,
                };
            }
            Err(error @ SessionIdError::Ambiguous(_)) => {
                self.notify(now, NoticeLevel::Info, format!("pasted text ignored: {error}"));
            }
            Ok(_) | Err(_) => {
                self.notify(now, NoticeLevel::Info, "no session id in the pasted text".into());
            }
        }
    }

    /// Selects a session that is on record. If the session has no row, shows a notice instead.
    fn select_pasted(&mut self, id: SessionId, pane: Pane, now: Moment) {
        if self.table.rows().row_of(&id).is_none() {
            let text = format!("{} is watched, but a filter hides it", id.prefix(8));
            return self.notify(now, NoticeLevel::Info, text);
        }
        if matches!(pane, Pane::Events | Pane::Recent | Pane::Away) {
            self.focus = Focus::Pane(Pane::Table);
        }
        self.table.select(id);
        self.scroll.reset();
    }
}
