//! Releasing a session: a question that names it, the end of its id typed as the answer, and then the asking. Pure.
//!
//! ```text
//!   x ──► question: which session, whose, how long it has run ──► the last four characters of its id, Enter ──► Ask::Release
//! ```
//!
//! The question holds the session's id, so nothing that moves under it can make it another session's. Where keepwatch is
//! read-only there is no question, and no way from here to a request.

use crossterm::event::{KeyCode, KeyEvent};

use super::effect::Effect;
use super::focus::{Focus, Pane};
use super::model::Model;
use super::notice::Tone;
use crate::poll::Ask;
use keepwatch_core::clock::Moment;
use keepwatch_core::session::{Phase, SessionId};
use keepwatch_core::tracker::Input;

/// How many characters of the end of an id are asked for.
const ASKED: usize = 4;

impl Model {
    /// Opens the question for the selected session.
    pub(super) fn question_release(&mut self, back: Pane, now: Moment) {
        let refusal = match self.record() {
            _ if self.settings.releaser.is_none() => "this keepwatch is read-only: it releases nothing",
            None => "no session is selected",
            Some(record) if record.phase() == Phase::Ended => {
                "the session has ended: there is nothing to release"
            }
            Some(record) if record.is_releasing() => "its release is asked for already",
            Some(record) => {
                self.focus = Focus::Release { id: record.id.clone(), typed: String::new(), back };
                self.notice = None;
                return;
            }
        };
        self.say(now, Tone::Bad, refusal.into());
    }

    /// Takes the answer, letter by letter. Nothing but the whole answer and Enter asks for a release.
    pub(super) fn type_release(&mut self, key: KeyEvent, now: Moment) -> Vec<Effect> {
        let Focus::Release { id, typed, back } = &mut self.focus else { return Vec::new() };
        match key.code {
            KeyCode::Char(letter) if typed.chars().count() < ASKED => typed.push(letter),
            KeyCode::Char(_) => {}
            KeyCode::Backspace => {
                typed.pop();
            }
            KeyCode::Enter => {
                let (id, back) = (id.clone(), *back);
                if !is_end_of(typed, &id) {
                    typed.clear();
                    let text = "these are not the last characters of its id: nothing was released";
                    self.say(now, Tone::Bad, text.into());
                    return Vec::new();
                }
                self.focus = Focus::Pane(back);
                return self.release(id, now);
            }
            KeyCode::Esc => {
                self.focus = Focus::Pane(*back);
                self.say(now, Tone::Plain, "nothing was released".into());
            }
            _ => {}
        }
        Vec::new()
    }

    fn release(&mut self, id: SessionId, now: Moment) -> Vec<Effect> {
        let found = self.fleets.find(&id).filter(|(_, record)| record.phase() != Phase::Ended);
        let source = found.map(|(source, _)| source);
        let Some(source) = source.filter(|_| self.settings.releaser.is_some()) else {
            self.say(now, Tone::Bad, "the session has ended meanwhile: nothing was released".into());
            return Vec::new();
        };
        let mut effects = self.observe(source, Input::ReleaseAsked { at: now, id: id.clone() });
        self.say(now, Tone::Plain, format!("release of {} asked", id.start(8)));
        effects.push(Effect::AskOf(source, Ask::Release(id)));
        effects
    }
}

/// The end of an id that is to be typed.
#[must_use]
pub fn end_of(id: &SessionId) -> String {
    let letters: Vec<char> = id.raw().chars().collect();
    letters.iter().skip(letters.len().saturating_sub(ASKED)).collect()
}

/// Whether `typed` is the end of the id; capital letters or small ones are the same.
#[must_use]
pub fn is_end_of(typed: &str, id: &SessionId) -> bool {
    let end = end_of(id);
    !end.is_empty() && typed.trim().to_lowercase() == end.to_lowercase()
}
