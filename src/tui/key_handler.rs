//! What each key does to the state, and what it asks the loop to do. Pure.
//!
//! ```text
//!   KeyEvent ──► focus ─┬─ table, details ──► keymap::action ──► act
//!                       ├─ filter ──────────► edit_filter (text_input)
//!                       ├─ an id to add ────► edit_id (text_input)
//!                       ├─ copy menu ───────► choose_copy
//!                       ├─ help, failures ──► scroll_popup
//!                       └─ a shown URL ─────► any key hides it
//! ```

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::effect::Effect;
use super::event_scope::EventScope;
use super::focus::{Focus, Pane, Part};
use super::keymap::{self, Action, COPY_MENU, Copyable};
use super::model::Model;
use super::notice::Tone;
use super::rows::Sort;
use super::scroll::{last_top, moved};
use super::url_requests::UrlRequest;
use crate::poll::PollerCommand;
use keepwatch_core::clock::Moment;
use keepwatch_core::filter::Filter;
use keepwatch_core::session::{Secret, dashboard_url};
use keepwatch_core::text;
use keepwatch_core::tracker::evidence;

impl Model {
    pub(super) fn pressed(&mut self, key: KeyEvent, now: Moment) -> Vec<Effect> {
        self.table.set_interacted();
        self.read_until = self.profiles.cursors_at_end();
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            // What has the keyboard does not matter to these.
            match keymap::action(&key) {
                Some(Action::Quit) => return vec![Effect::Quit],
                Some(Action::Repaint) => return vec![Effect::Repaint],
                Some(Action::Suspend) => return vec![Effect::Suspend],
                _ => {}
            }
        }
        match &self.focus {
            Focus::Pane(pane) => match keymap::action(&key) {
                Some(action) => self.act(action, *pane, now),
                None => Vec::new(),
            },
            Focus::Filter { .. } => self.edit_filter(key),
            Focus::Add { .. } => self.edit_id(key, now),
            Focus::Copy { .. } => self.choose_copy(key, now),
            Focus::Release { .. } => self.type_release(key, now),
            Focus::Reveal { back, .. } => {
                self.focus = Focus::Pane(*back); // what a terminal's own selection sends is no key
                Vec::new()
            }
            Focus::Help { .. } | Focus::Failures { .. } => self.scroll_popup(key),
        }
    }

    pub(super) fn act(&mut self, action: Action, pane: Pane, now: Moment) -> Vec<Effect> {
        if pane == Pane::Recent
            && let Some(effects) = self.act_on_recent(action, now)
        {
            return effects;
        }
        if pane == Pane::Events && !self.act_on_event(action, now) {
            return Vec::new();
        }
        if self.replay.is_some() && Self::needs_api(action) {
            self.say_recorded(now);
            return Vec::new();
        }
        match action {
            Action::Down | Action::Up | Action::First | Action::Last | Action::PageDown | Action::PageUp => {
                self.scroll_pane(action, pane);
            }
            Action::Open if self.table.selected().is_some() => {
                self.enter(Pane::Full(Part::Facts));
                return self.read_flags();
            }
            Action::Back => match pane {
                Pane::Table if !self.table.filter().is_empty() => {
                    self.table.set_filter(Filter::default());
                    self.rebuild_rows();
                }
                Pane::Table if self.table.is_flagged_only() => return self.act(Action::Flagged, pane, now),
                Pane::Table => {}
                Pane::Lower(_) | Pane::Full(_) | Pane::Events | Pane::Recent => {
                    self.enter(Pane::Table);
                    self.rebuild_rows();
                }
            },
            Action::OtherPane => {
                let next = match pane {
                    Pane::Table => Pane::Lower(Part::Facts),
                    Pane::Lower(Part::Facts) => Pane::Lower(Part::Timeline),
                    Pane::Lower(Part::Timeline) | Pane::Events | Pane::Recent => Pane::Table,
                    Pane::Full(Part::Facts) => Pane::Full(Part::Timeline),
                    Pane::Full(Part::Timeline) => Pane::Full(Part::Facts),
                };
                self.scroll.follow_newest();
                self.focus = Focus::Pane(next);
                if matches!(next, Pane::Lower(_)) {
                    return self.read_flags();
                }
            }
            Action::Events => self.enter(if pane == Pane::Events { Pane::Table } else { Pane::Events }),
            Action::Flagged => {
                let flagged_only = !self.table.is_flagged_only();
                self.table.set_flagged_only(flagged_only);
                self.rebuild_rows();
                let text = if flagged_only { "flagged sessions only; f shows all" } else { "all sessions" };
                self.say(now, Tone::Plain, text.into());
            }
            Action::Acknowledge => {
                let count = self.table.rows().counts().flagged;
                self.known.read_all(&self.profiles);
                self.rebuild_rows();
                let text = match count {
                    0 => "there is no flag to acknowledge".into(),
                    1 => "the flags of one session are acknowledged".into(),
                    many => format!("the flags of {many} sessions are acknowledged"),
                };
                self.say(now, Tone::Plain, text);
                return self.retitle().into_iter().collect();
            }
            Action::CopyConnect | Action::Reveal => {
                let show = action == Action::Reveal;
                match self.table.selected().cloned() {
                    Some(id) => {
                        return self.request_url(UrlRequest { id, what: Copyable::Connect, show }, now);
                    }
                    None => self.say(now, Tone::Bad, "no session is selected".into()),
                }
            }
            Action::CopyMenu => {
                if let Some(id) = self.table.selected().cloned() {
                    self.focus = Focus::Copy { id, marked: 0, back: pane };
                }
            }
            Action::Dashboard => return self.open_dashboard(now),
            Action::Release => self.question_release(pane, now),
            Action::Pause if self.replay.is_some() => return self.toggle_play(),
            Action::Previous | Action::Next if self.replay.is_some() => {
                return vec![Effect::Step { on: action == Action::Next }];
            }
            Action::Previous | Action::Next => {
                self.say(now, Tone::Plain, "only a recording has a next event (keepwatch replay)".into());
            }
            Action::Pause => {
                self.paused = !self.paused;
                return vec![Effect::Ask(if self.paused {
                    PollerCommand::Pause
                } else {
                    PollerCommand::Resume
                })];
            }
            Action::Refresh => {
                self.paused = false;
                let text = if self.is_polling() {
                    "asking again"
                } else {
                    "nothing left to ask: every session has ended"
                };
                self.say(now, Tone::Plain, text.into());
                return vec![Effect::Ask(PollerCommand::PollNow)];
            }
            Action::Filter => return self.type_filter(),
            Action::Add => return self.type_id(pane),
            Action::Mute => return self.mute(now),
            Action::Unmute => return self.unmute(now),
            Action::Recent => return self.ask_recent(),
            Action::Sort => {
                let by = self.table.sort().by.next(self.profiles.is_multi_profile());
                self.sort_by(Sort { by, reversed: false }, now);
            }
            Action::Reverse => {
                let sort = self.table.sort();
                self.sort_by(Sort { reversed: !sort.reversed, ..sort }, now);
            }
            Action::HideMetadata => {
                self.hide_metadata = !self.hide_metadata;
                let text =
                    if self.hide_metadata { "metadata is hidden; H shows it" } else { "metadata is shown" };
                self.say(now, Tone::Plain, text.into());
            }
            Action::Failures => self.focus = Focus::Failures { top: 0, back: pane },
            Action::Help => self.focus = Focus::Help { top: 0, back: pane },
            Action::Repaint => return vec![Effect::Repaint],
            Action::Suspend => return vec![Effect::Suspend],
            Action::Quit => return vec![Effect::Quit],
            Action::Open => {}
        }
        Vec::new()
    }

    /// On the events page, keys that speak of a session speak of the marked event's. Returns whether to go on.
    fn act_on_event(&mut self, action: Action, now: Moment) -> bool {
        match action {
            Action::Open
            | Action::CopyConnect
            | Action::Reveal
            | Action::CopyMenu
            | Action::Dashboard
            | Action::Release => {
                let marked = self.marked_event().and_then(|(_, event)| event.id.clone());
                match marked.filter(|id| self.profiles.record(id).is_some()) {
                    Some(id) => self.table.select(id),
                    None => {
                        self.say(now, Tone::Bad, "this event is not of one session".into());
                        return false;
                    }
                }
            }
            Action::Filter
            | Action::Sort
            | Action::Reverse
            | Action::Flagged
            | Action::Mute
            | Action::Unmute => {
                self.say(now, Tone::Plain, "that is for the table: Esc leads there".into());
                return false;
            }
            _ => {}
        }
        true
    }

    /// Gives the keyboard to `pane`, as it is at first.
    pub(super) fn enter(&mut self, pane: Pane) {
        self.scroll.reset();
        self.focus = Focus::Pane(pane);
    }

    /// The selected session is being read: its flags are known then.
    pub(super) fn read_flags(&mut self) -> Vec<Effect> {
        let Some((profile, record)) = self.selected_session() else { return Vec::new() };
        if !self.known.has_news(profile, record) {
            return Vec::new();
        }
        let id = record.id.clone();
        self.known.read(profile, &id, &self.profiles);
        self.rebuild_rows();
        self.retitle().into_iter().collect()
    }

    fn sort_by(&mut self, sort: Sort, now: Moment) {
        self.table.set_sort(sort);
        self.rebuild_rows();
        let way = if sort.reversed { ", reversed" } else { "" };
        self.say(now, Tone::Plain, format!("sorted by {}{way}", sort.by.name()));
    }

    /// Moves the selection, or scrolls the pane that has the keyboard.
    fn scroll_pane(&mut self, action: Action, pane: Pane) {
        if pane.is_events() {
            self.scroll_events(Some(action));
        } else if pane == Pane::Table {
            if self.table.move_selection(action, self.viewport().table_rows()) {
                self.scroll.reset();
            }
        } else {
            let details = self.viewport().details().unwrap_or_default();
            self.scroll.move_line(action, details.lines, details.height);
        }
    }

    /// Scrolls the events of the pane that has the keyboard; without an action only as far as its height demands.
    pub(super) fn scroll_events(&mut self, action: Option<Action>) {
        let scope = match self.focus.pane() {
            Pane::Events => Some(EventScope::All),
            _ => self.table.selected().map(EventScope::Session),
        };
        match scope.zip(self.viewport().event_lines()) {
            Some((scope, height)) => self.scroll.move_anchor(action, scope, &self.profiles, height),
            None => self.scroll.follow_newest(),
        }
    }

    fn open_dashboard(&mut self, now: Moment) -> Vec<Effect> {
        let Some(id) = self.table.selected() else { return Vec::new() };
        let page = dashboard_url(id);
        if self.settings.can_open {
            self.say(now, Tone::Plain, "opening the session's page in the browser".into());
            vec![Effect::Open(page)]
        } else {
            vec![Effect::Copy(Copyable::Dashboard, Secret::new(page))]
        }
    }

    fn choose_copy(&mut self, key: KeyEvent, now: Moment) -> Vec<Effect> {
        let Focus::Copy { id, marked, back } = &mut self.focus else { return Vec::new() };
        let last = COPY_MENU.len().saturating_sub(1);
        let chosen = match (key.code, keymap::action(&key)) {
            (KeyCode::Enter, _) => COPY_MENU.get(*marked),
            (KeyCode::Char(letter), _) if COPY_MENU.iter().any(|(key, ..)| *key == letter) => {
                COPY_MENU.iter().find(|(key, ..)| *key == letter)
            }
            (_, Some(Action::Down)) => {
                *marked = marked.saturating_add(1).min(last);
                return Vec::new();
            }
            (_, Some(Action::Up)) => {
                *marked = marked.saturating_sub(1);
                return Vec::new();
            }
            _ => None,
        };
        let (id, back) = (id.clone(), *back);
        self.focus = Focus::Pane(back);
        match chosen.map(|(_, what, _)| *what) {
            None => Vec::new(),
            Some(Copyable::Id) if !text::is_printable(id.raw()) => {
                self.say(now, Tone::Bad, "the id has characters that are not shown; it is not copied".into());
                Vec::new()
            }
            Some(Copyable::Id) => vec![Effect::Copy(Copyable::Id, Secret::new(id.raw().to_owned()))],
            Some(Copyable::Dashboard) => {
                vec![Effect::Copy(Copyable::Dashboard, Secret::new(dashboard_url(&id)))]
            }
            Some(Copyable::Evidence) => {
                let options = evidence::EvidenceOptions {
                    rates: self.settings.rates,
                    version: &self.settings.version,
                    with_metadata: false,
                };
                let profile = self.profiles.find(&id).map(|(profile, _)| self.profiles.get(profile));
                let text = profile.and_then(|profile| evidence::render(&profile.tracker, &id, options));
                text.map(|text| Effect::Copy(Copyable::Evidence, Secret::new(text))).into_iter().collect()
            }
            Some(Copyable::Connect | Copyable::Selenium | Copyable::LiveView) if self.replay.is_some() => {
                self.say_recorded(now);
                Vec::new()
            }
            Some(what @ (Copyable::Connect | Copyable::Selenium | Copyable::LiveView)) => {
                self.request_url(UrlRequest { id, what, show: false }, now)
            }
        }
    }

    fn scroll_popup(&mut self, key: KeyEvent) -> Vec<Effect> {
        let popup = self.viewport().popup().unwrap_or_default();
        let count = last_top(popup.lines, popup.height).saturating_add(1);
        let (Focus::Help { top, back } | Focus::Failures { top, back }) = &mut self.focus else {
            return Vec::new();
        };
        match keymap::action(&key) {
            Some(
                action @ (Action::Down
                | Action::Up
                | Action::First
                | Action::Last
                | Action::PageDown
                | Action::PageUp),
            ) => *top = moved(action, *top, popup.height, count),
            _ => self.focus = Focus::Pane(*back),
        }
        Vec::new()
    }
}
