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
use super::notice::Tone;
use super::profiles::ProfileId;
use crate::poll::PollerCommand;
use keepwatch_core::clock::Moment;
use keepwatch_core::filter::Filter;
use keepwatch_core::session::SessionId;
use keepwatch_core::tracker::Input;

/// The longest filter, in characters.
pub(super) const LONGEST_FILTER: usize = 200;
/// The longest text with an id in it, in characters: a line of a log.
const LONGEST_ADD: usize = 1000;

impl Model {
    /// Opens the line in which the filter is typed.
    pub(super) fn type_filter(&mut self) -> Vec<Effect> {
        let before = self.table.filter().clone();
        self.focus = Focus::Filter { line: Line::new(before.text().to_owned()), before, mistake: None };
        vec![Effect::TakePaste(true)]
    }

    pub(super) fn edit_filter(&mut self, key: KeyEvent) -> Vec<Effect> {
        let Focus::Filter { line, before, mistake } = &mut self.focus else { return Vec::new() };
        match key.code {
            KeyCode::Enter if mistake.is_some() => return Vec::new(), // what is wrong stays to be mended
            KeyCode::Enter => {}
            KeyCode::Esc => drop(self.table.set_filter(std::mem::take(before))),
            _ => {
                edit(line, key, LONGEST_FILTER);
                self.read_filter();
                return Vec::new();
            }
        }
        self.focus = Focus::Pane(Pane::Table);
        self.rebuild_rows();
        vec![Effect::TakePaste(false)]
    }

    /// Pasted text goes into the line that is typed; anywhere else it would be a row of commands.
    pub(super) fn pasted(&mut self, text: &str) {
        match &mut self.focus {
            Focus::Filter { line, .. } => {
                insert(line, text, LONGEST_FILTER);
                self.read_filter();
            }
            Focus::Add { line, wrong, .. } => {
                // Of a whole page of a log the id alone is of use, and is surely seen.
                let id = SessionId::find_in(text);
                insert(line, id.as_ref().map_or(text, SessionId::raw), LONGEST_ADD);
                *wrong = None;
            }
            _ => {}
        }
    }

    /// Opens the line in which the id of a session to watch is typed.
    pub(super) fn type_id(&mut self, back: Pane) -> Vec<Effect> {
        self.focus = Focus::Add { line: Line::default(), wrong: None, back };
        vec![Effect::TakePaste(true)]
    }

    pub(super) fn edit_id(&mut self, key: KeyEvent, now: Moment) -> Vec<Effect> {
        let Focus::Add { line, wrong, back } = &mut self.focus else { return Vec::new() };
        let back = *back;
        match key.code {
            KeyCode::Enter => match SessionId::find_in(line.value()) {
                Ok(id) => {
                    self.focus = Focus::Pane(back);
                    let mut effects = vec![Effect::TakePaste(false)];
                    effects.extend(self.watch_too(id, None, now));
                    return effects;
                }
                Err(error) => *wrong = Some(error.to_string()),
            },
            KeyCode::Esc => {
                self.focus = Focus::Pane(back);
                return vec![Effect::TakePaste(false)];
            }
            _ => {
                edit(line, key, LONGEST_ADD);
                *wrong = None;
            }
        }
        Vec::new()
    }

    /// Watches a session as if it were named on the command line, and selects it. If it is not known which profile has the
    /// session, all are asked.
    pub(super) fn watch_too(&mut self, id: SessionId, of: Option<ProfileId>, now: Moment) -> Vec<Effect> {
        let shown = id.prefix(8);
        self.table.muted_mut().remove(&id);
        let of_record = self.profiles.find(&id).filter(|(_, record)| record.session.is_some());
        let (known, of) = (of_record.is_some(), of_record.map(|(profile, _)| profile).or(of));
        let mut effects = Vec::new();
        for profile in self.profiles.ids().filter(|profile| of.is_none_or(|of| of == *profile)) {
            // Without a key nothing is polled, so no reply would come.
            if self.profiles.get(profile).info.without_key.is_none() {
                effects
                    .extend(self.observe(profile, Input::SessionsNamed { at: now, ids: vec![id.clone()] }));
            }
        }
        self.table.select(id.clone());
        self.scroll.reset();
        self.rebuild_rows();
        let is_shown = self.table.rows().place(&id).is_some();
        let text = match (known, is_shown) {
            (_, false) => format!("{shown} is watched, but not shown here: a filter hides it"),
            (true, true) => format!("{shown} was on record already, and stays"),
            (false, true) => format!("asking for {shown}"),
        };
        self.say(now, Tone::Plain, text);
        effects.push(match of {
            Some(profile) => Effect::AskOf(profile, PollerCommand::Watch(id)),
            None => Effect::Ask(PollerCommand::Watch(id)),
        });
        effects
    }

    fn read_filter(&mut self) {
        let Focus::Filter { line, mistake, .. } = &mut self.focus else { return };
        match Filter::parse_for_profiles(line.value(), self.profiles.is_multi_profile()) {
            Ok(filter) => {
                self.table.set_filter(filter);
                *mistake = None;
            }
            Err(wrong) => *mistake = Some(wrong),
        }
        self.rebuild_rows();
    }
}

/// Takes a key into `line`, unless that made it longer than `most` characters.
fn edit(line: &mut Line, key: KeyEvent, most: usize) {
    let was = line.clone();
    line.handle_event(&TermEvent::Key(key));
    if line.value().chars().count() > most {
        *line = was; // Ctrl-Y, too, makes it longer
    }
}

/// Puts text at the cursor, as much of it as there is room for.
fn insert(line: &mut Line, text: &str, most: usize) {
    let room = most.saturating_sub(line.value().chars().count());
    for letter in text.chars().filter(|letter| !letter.is_control()).take(room) {
        line.handle(InputRequest::InsertChar(letter));
    }
}
