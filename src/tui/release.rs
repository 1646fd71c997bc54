//! The release of a session: a dialog that the user confirms with the last characters of the session's id, then the
//! request. Pure.
//!
//! ```text
//!   x ──► dialog: session, owner, run time ──► last four characters of the id, Enter ──► PollerCommand::Release
//! ```
//!
//! `poll::poller` sends the request, and sends it again after a temporary error.
//!
//! The dialog stores the session's id, so it keeps its session even if the rows behind it move. In read-only mode there
//! is no dialog, and nothing here requests a release.

use crossterm::event::{KeyCode, KeyEvent};

use super::effect::Effect;
use super::focus::{Focus, Pane};
use super::model::Model;
use super::notice::NoticeLevel;
use crate::poll::PollerCommand;
use keepwatch_core::clock::Moment;
use keepwatch_core::session::{Phase, SessionId};
use keepwatch_core::tracker::Input;

impl Model {
    /// Opens the dialog for the selected session, or shows a notice with the reason why it cannot open.
    pub(super) fn open_release_dialog(&mut self, back: Pane, now: Moment) {
        let reason = match self.selected_session().map(|(_, record)| record) {
            _ if self.settings.release_permission.is_none() => {
                "this keepwatch is read-only: it releases nothing"
            }
            None => "no session is selected",
            Some(record) if record.phase() == Phase::Ended => {
                "the session has ended: there is nothing to release"
            }
            Some(record) if record.is_releasing() => "its release is asked for already",
            Some(record) => {
                self.focus = Focus::ConfirmRelease { id: record.id.clone(), typed: String::new(), back };
                self.notice = None;
                return;
            }
        };
        self.notify(now, NoticeLevel::Error, reason.into());
    }

    /// Edits the confirmation. Enter requests the release, but only after the correct characters.
    pub(super) fn on_release_key(&mut self, key: KeyEvent, now: Moment) -> Vec<Effect> {
        let Focus::ConfirmRelease { id, typed, back } = &mut self.focus else { return Vec::new() };
        match key.code {
            // The text can get one character too long, and then does not confirm the release. If that character were
            // dropped, Enter would release the session.
            KeyCode::Char(letter) if typed.chars().count() <= SessionId::CONFIRMATION_CHARS => {
                typed.push(letter)
            }
            KeyCode::Char(_) => {}
            KeyCode::Backspace => {
                typed.pop();
            }
            KeyCode::Enter => {
                let (id, back) = (id.clone(), *back);
                if !id.is_confirmed_by(typed) {
                    typed.clear();
                    let text = "these are not the last characters of its id: nothing was released";
                    self.notify(now, NoticeLevel::Error, text.into());
                    return Vec::new();
                }
                self.focus = Focus::Pane(back);
                return self.release_session(id, now);
            }
            KeyCode::Esc => {
                self.focus = Focus::Pane(*back);
                self.notify(now, NoticeLevel::Info, "nothing was released".into());
            }
            _ => {}
        }
        Vec::new()
    }

    /// Requests the release, unless the session has ended or was evicted meanwhile, or releases are not permitted.
    fn release_session(&mut self, id: SessionId, now: Moment) -> Vec<Effect> {
        let not_ended = self.profiles.find(&id).filter(|(_, record)| record.phase() != Phase::Ended);
        let profile = not_ended.map(|(profile, _)| profile);
        let Some(profile) = profile.filter(|_| self.settings.release_permission.is_some()) else {
            self.notify(
                now,
                NoticeLevel::Error,
                "the session has ended meanwhile: nothing was released".into(),
            );
            return Vec::new();
        };
        let mut effects = self.apply_input(profile, Input::ReleaseRequested { at: now, id: id.clone() });
        self.notify(now, NoticeLevel::Info, format!("release of {} asked", id.prefix(8)));
        effects.push(Effect::SendToPoller(profile, PollerCommand::Release(id)));
        effects
    }
}
