//! What is typed into the last line: the filter. Pure.
//!
//! The rows follow with each letter; while what stands there can not be read, they stay as the last good filter left
//! them, and the line says what is wrong with it.

use crossterm::event::{Event as TermEvent, KeyCode, KeyEvent};
use tui_input::backend::crossterm::EventHandler as _;
use tui_input::{Input as Line, InputRequest};

use super::filter::Filter;
use super::model::{Effect, Focus, Model, Pane};

/// The longest filter, in characters.
pub(super) const LONGEST_FILTER: usize = 200;

impl Model {
    /// Opens the line in which the filter is typed.
    pub(super) fn type_filter(&mut self) -> Vec<Effect> {
        let line = Line::new(self.filter.text().to_owned());
        self.focus = Focus::Filter { line, before: self.filter.clone(), mistake: None };
        self.show_selected();
        vec![Effect::TakePaste(true)]
    }

    pub(super) fn edit_filter(&mut self, key: KeyEvent) -> Vec<Effect> {
        let Focus::Filter { line, before, mistake } = &mut self.focus else { return Vec::new() };
        match key.code {
            KeyCode::Enter if mistake.is_some() => return Vec::new(), // what is wrong stays to be mended
            KeyCode::Enter => {}
            KeyCode::Esc => self.filter = std::mem::take(before),
            _ => {
                edit(line, key, LONGEST_FILTER);
                self.read_filter();
                return Vec::new();
            }
        }
        self.focus = Focus::Pane(Pane::Table);
        self.arrange();
        vec![Effect::TakePaste(false)]
    }

    /// Pasted text goes into the line that is typed; anywhere else it would be a row of commands.
    pub(super) fn pasted(&mut self, text: &str) {
        if let Focus::Filter { line, .. } = &mut self.focus {
            insert(line, text, LONGEST_FILTER);
            self.read_filter();
        }
    }

    fn read_filter(&mut self) {
        let Focus::Filter { line, mistake, .. } = &mut self.focus else { return };
        match Filter::parse(line.value()) {
            Ok(filter) => (self.filter, *mistake) = (filter, None),
            Err(wrong) => *mistake = Some(wrong),
        }
        self.arrange();
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
