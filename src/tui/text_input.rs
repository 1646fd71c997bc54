//! The input line at the bottom of the screen: the filter, or the id of a session to watch. Pure.
//!
//! The rows change with each letter of the filter. While the filter is invalid, the last valid filter stays in effect
//! and the input line shows the error.

use crossterm::event::{Event as CrosstermEvent, KeyCode, KeyEvent};
use tui_input::backend::crossterm::EventHandler as _;
use tui_input::{Input as TextInput, InputRequest};

use super::effect::Effect;
use super::focus::{Focus, Pane};
use super::model::Model;
use super::notice::NoticeLevel;
use super::profiles::ProfileId;
use crate::poll::PollerCommand;
use keepwatch_core::clock::Moment;
use keepwatch_core::filter::Filter;
use keepwatch_core::session::SessionId;
use keepwatch_core::tracker::Input;

/// The maximum length of a filter, in characters.
pub(super) const MAX_FILTER_CHARS: usize = 200;
/// The maximum length of a text that contains a session id, in characters. A line of a log fits.
pub(super) const MAX_SESSION_INPUT_CHARS: usize = 1000;

impl Model {
    /// Opens the input line of the filter.
    pub(super) fn open_filter_input(&mut self) {
        let before = self.table.filter().clone();
        self.focus = Focus::Filter { input: TextInput::new(before.text().to_owned()), before, error: None };
    }

    /// Handles a keystroke in the input line of the filter. Enter keeps the new filter, unless it is invalid. Esc
    /// restores the previous filter.
    pub(super) fn on_filter_key(&mut self, key: KeyEvent) {
        let Focus::Filter { input, before, error } = &mut self.focus else { return };
        match key.code {
            KeyCode::Enter if error.is_some() => return, // the input line stays open
            KeyCode::Enter => {}
            KeyCode::Esc => drop(self.table.set_filter(std::mem::take(before))),
            _ => {
                edit_line(input, key, MAX_FILTER_CHARS);
                self.apply_filter_input();
                return;
            }
        }
        self.focus = Focus::Pane(Pane::Table);
        self.rebuild_rows();
    }

    /// Opens the input line for the id of a session to watch.
    pub(super) fn open_session_input(&mut self, back: Pane) {
        self.focus = Focus::AddSession { input: TextInput::default(), invalid: None, back };
    }

    /// Handles a keystroke in the input line for a session id. Enter watches the session. Esc closes the input line.
    pub(super) fn on_session_input_key(&mut self, key: KeyEvent, now: Moment) -> Vec<Effect> {
        let Focus::AddSession { input, invalid, back } = &mut self.focus else { return Vec::new() };
        let back = *back;
        match key.code {
            KeyCode::Enter => match SessionId::find_in(input.value()) {
                Ok(id) => {
                    self.focus = Focus::Pane(back);
                    return self.add_session(id, None, now);
                }
                Err(error) => *invalid = Some(error.to_string()),
            },
            KeyCode::Esc => {
                self.focus = Focus::Pane(back);
            }
            _ => {
                edit_line(input, key, MAX_SESSION_INPUT_CHARS);
                *invalid = None;
            }
        }
        Vec::new()
    }

    /// Watches a session as if it were named on the command line, and selects it. `recent_profile` is the profile of
    /// the session on the page of recent sessions, if it was chosen there. The profile that polls the session is the
    /// one that has received it in a poll, or else `recent_profile`. Without either, all profiles poll it. A profile
    /// without an API key polls nothing.
    pub(super) fn add_session(
        &mut self,
        id: SessionId,
        recent_profile: Option<ProfileId>,
        now: Moment,
    ) -> Vec<Effect> {
        let short_id = id.prefix(8);
        self.table.muted_mut().remove(&id);
        let received = self.profiles.find(&id).filter(|(_, record)| record.session.is_some());
        let is_received = received.is_some();
        let only_profile = received.map(|(profile, _)| profile).or(recent_profile);
        let polling_profiles: Vec<ProfileId> = self
            .profiles
            .ids()
            .filter(|profile| only_profile.is_none_or(|only| only == *profile))
            .filter(|profile| self.profiles.get(*profile).info.missing_key_reason.is_none())
            .collect();
        let is_polled = !polling_profiles.is_empty();
        if !is_polled && !is_received {
            let text = format!("cannot ask for {short_id} without an API key");
            self.notify(now, NoticeLevel::Error, text);
            return Vec::new();
        }
        let mut effects = Vec::new();
        for profile in polling_profiles {
            effects
                .extend(self.apply_input(profile, Input::SessionsNamed { at: now, ids: vec![id.clone()] }));
        }
        self.table.select(id.clone());
        self.scroll.reset();
        self.rebuild_rows();
        let is_shown = self.table.rows().row_of(&id).is_some();
        let text = match (is_received, is_shown) {
            _ if !is_polled => {
                format!("{short_id} is on record, but is not polled: its profile has no API key")
            }
            (_, false) => format!("{short_id} is watched, but not shown here: a filter hides it"),
            (true, true) => format!("{short_id} was on record already, and stays"),
            (false, true) => format!("asking for {short_id}"),
        };
        self.notify(now, NoticeLevel::Info, text);
        if is_polled {
            effects.push(match only_profile {
                Some(profile) => Effect::SendToPoller(profile, PollerCommand::Watch(id)),
                None => Effect::SendToAllPollers(PollerCommand::Watch(id)),
            });
        }
        effects
    }

    /// Applies the text of the input line as the filter, or stores its syntax error.
    pub(super) fn apply_filter_input(&mut self) {
        let Focus::Filter { input, error, .. } = &mut self.focus else { return };
        match Filter::parse_for_profiles(input.value(), self.profiles.is_multi_profile()) {
            Ok(filter) => {
                self.table.set_filter(filter);
                *error = None;
            }
            Err(parse_error) => *error = Some(parse_error),
        }
        self.rebuild_rows();
    }
}

/// Applies a keystroke to the text in `line`, unless the text would exceed `max_chars` characters.
fn edit_line(line: &mut TextInput, key: KeyEvent, max_chars: usize) {
    let before = line.clone();
    line.handle_event(&CrosstermEvent::Key(key));
    // Checked after the edit, because one keystroke can insert many characters: Ctrl-Y inserts deleted text.
    if line.value().chars().count() > max_chars {
        *line = before;
    }
}

/// Inserts text at the cursor of `line`, until the line has `max_chars` characters. Control characters are left out.
pub(super) fn insert_text(line: &mut TextInput, text: &str, max_chars: usize) {
    let room = max_chars.saturating_sub(line.value().chars().count());
    for letter in text.chars().filter(|letter| !letter.is_control()).take(room) {
        line.handle(InputRequest::InsertChar(letter));
    }
}
