//! What is typed into the last line: the filter, or the id of a session to watch. Pure.
//!
//! The rows follow with each letter; while what stands there can not be read, they stay as the last good filter left
//! them, and the line says what is wrong with it.

use crossterm::event::{Event as TermEvent, KeyCode, KeyEvent};
use tui_input::backend::crossterm::EventHandler as _;
use tui_input::{Input as Line, InputRequest};

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

/// The longest filter, in characters.
pub(super) const MAX_FILTER_CHARS: usize = 200;
/// The longest text with an id in it, in characters: a line of a log.
const MAX_SESSION_INPUT_CHARS: usize = 1000;

impl Model {
    /// Opens the line in which the filter is typed.
    pub(super) fn open_filter_input(&mut self) -> Vec<Effect> {
        let before = self.table.filter().clone();
        self.focus = Focus::Filter { input: Line::new(before.text().to_owned()), before, error: None };
        vec![Effect::SetBracketedPaste(true)]
    }

    pub(super) fn on_filter_key(&mut self, key: KeyEvent) -> Vec<Effect> {
        let Focus::Filter { input, before, error } = &mut self.focus else { return Vec::new() };
        match key.code {
            KeyCode::Enter if error.is_some() => return Vec::new(), // what is wrong stays to be mended
            KeyCode::Enter => {}
            KeyCode::Esc => drop(self.table.set_filter(std::mem::take(before))),
            _ => {
                edit_line(input, key, MAX_FILTER_CHARS);
                self.apply_filter_input();
                return Vec::new();
            }
        }
        self.focus = Focus::Pane(Pane::Table);
        self.rebuild_rows();
        vec![Effect::SetBracketedPaste(false)]
    }

    /// Pasted text goes into the line that is typed; anywhere else it would be a row of commands.
    pub(super) fn on_paste(&mut self, text: &str) {
        match &mut self.focus {
            Focus::Filter { input, .. } => {
                insert_text(input, text, MAX_FILTER_CHARS);
                self.apply_filter_input();
            }
            Focus::AddSession { input: line, invalid: error, .. } => {
                // Of a whole page of a log the id alone is of use, and is surely seen.
                let id = SessionId::find_in(text);
                insert_text(line, id.as_ref().map_or(text, SessionId::raw), MAX_SESSION_INPUT_CHARS);
                *error = None;
            }
            _ => {}
        }
    }

    /// Opens the line in which the id of a session to watch is typed.
    pub(super) fn open_session_input(&mut self, back: Pane) -> Vec<Effect> {
        self.focus = Focus::AddSession { input: Line::default(), invalid: None, back };
        vec![Effect::SetBracketedPaste(true)]
    }

    pub(super) fn on_session_input_key(&mut self, key: KeyEvent, now: Moment) -> Vec<Effect> {
        let Focus::AddSession { input, invalid: error, back } = &mut self.focus else { return Vec::new() };
        let back = *back;
        match key.code {
            KeyCode::Enter => match SessionId::find_in(input.value()) {
                Ok(id) => {
                    self.focus = Focus::Pane(back);
                    let mut effects = vec![Effect::SetBracketedPaste(false)];
                    effects.extend(self.add_session(id, None, now));
                    return effects;
                }
                Err(invalid) => *error = Some(invalid.to_string()),
            },
            KeyCode::Esc => {
                self.focus = Focus::Pane(back);
                return vec![Effect::SetBracketedPaste(false)];
            }
            _ => {
                edit_line(input, key, MAX_SESSION_INPUT_CHARS);
                *error = None;
            }
        }
        Vec::new()
    }

    /// Watches a session as if it were named on the command line, and selects it. If it is not known which profile has the
    /// session, all are asked.
    pub(super) fn add_session(
        &mut self,
        id: SessionId,
        owner: Option<ProfileId>,
        now: Moment,
    ) -> Vec<Effect> {
        let short_id = id.prefix(8);
        self.table.muted_mut().remove(&id);
        let recorded = self.profiles.find(&id).filter(|(_, record)| record.session.is_some());
        let (is_recorded, of) = (recorded.is_some(), recorded.map(|(profile, _)| profile).or(owner));
        let mut effects = Vec::new();
        for profile in self.profiles.ids().filter(|profile| of.is_none_or(|of| of == *profile)) {
            // Without a key nothing is polled, so no reply would come.
            if self.profiles.get(profile).info.missing_key_reason.is_none() {
                effects.extend(
                    self.apply_input(profile, Input::SessionsNamed { at: now, ids: vec![id.clone()] }),
                );
            }
        }
        self.table.select(id.clone());
        self.scroll.reset();
        self.rebuild_rows();
        let is_shown = self.table.rows().row_of(&id).is_some();
        let text = match (is_recorded, is_shown) {
            (_, false) => format!("{short_id} is watched, but not shown here: a filter hides it"),
            (true, true) => format!("{short_id} was on record already, and stays"),
            (false, true) => format!("asking for {short_id}"),
        };
        self.notify(now, NoticeLevel::Info, text);
        effects.push(match of {
            Some(profile) => Effect::CommandPoller(profile, PollerCommand::Watch(id)),
            None => Effect::CommandAllPollers(PollerCommand::Watch(id)),
        });
        effects
    }

    fn apply_filter_input(&mut self) {
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

/// Takes a key into `line`, unless that made it longer than `most` characters.
fn edit_line(input: &mut Line, key: KeyEvent, max_chars: usize) {
    let was = input.clone();
    input.handle_event(&TermEvent::Key(key));
    if input.value().chars().count() > max_chars {
        *input = was; // Ctrl-Y, too, makes it longer
    }
}

/// Puts text at the cursor, as much of it as there is room for.
fn insert_text(input: &mut Line, text: &str, max_chars: usize) {
    let room = max_chars.saturating_sub(input.value().chars().count());
    for letter in text.chars().filter(|letter| !letter.is_control()).take(room) {
        input.handle(InputRequest::InsertChar(letter));
    }
}
