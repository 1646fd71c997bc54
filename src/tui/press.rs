//! What each key does to the state, and what it asks the loop to do. Pure.
//!
//! ```text
//!   KeyEvent ──► focus ─┬─ table, details ──► keys::action ──► act
//!                       ├─ filter ──────────► edit_filter (typing)
//!                       ├─ an id to add ────► edit_id (typing)
//!                       ├─ copy menu ───────► choose_copy
//!                       ├─ help, failures ──► scroll_popup
//!                       └─ a shown URL ─────► any key hides it
//! ```

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::keys::{self, Action, COPY_MENU, Copyable};
use super::model::{Effect, Focus, Model, Pane, Part, Tone, Want};
use super::rows::Sort;
use crate::poll::Ask;
use crate::tui::view;
use keepwatch_core::clock::Moment;
use keepwatch_core::filter::Filter;
use keepwatch_core::session::{Phase, Secret, dashboard_page};
use keepwatch_core::text;
use keepwatch_core::tracker::evidence;

/// How many fresh URLs may be on their way.
pub(super) const MOST_WANTS: usize = 8;

impl Model {
    pub(super) fn pressed(&mut self, key: KeyEvent, now: Moment) -> Vec<Effect> {
        if !self.touched {
            self.touched = true;
            self.show_selected();
        }
        self.read_until = self.fleets.end();
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            // What has the keyboard does not matter to these.
            match keys::action(&key) {
                Some(Action::Quit) => return vec![Effect::Quit],
                Some(Action::Repaint) => return vec![Effect::Repaint],
                Some(Action::Suspend) => return vec![Effect::Suspend],
                _ => {}
            }
        }
        match &self.focus {
            Focus::Pane(pane) => match keys::action(&key) {
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
        if self.replay.is_some() && Self::asks(action) {
            self.say_recorded(now);
            return Vec::new();
        }
        match action {
            Action::Down | Action::Up | Action::First | Action::Last | Action::PageDown | Action::PageUp => {
                self.travel(action, pane, now);
            }
            Action::Open if self.selected.is_some() => {
                self.enter(Pane::Full(Part::Facts));
                return self.read_flags();
            }
            Action::Back => match pane {
                Pane::Table if !self.filter.is_empty() => {
                    self.filter = Filter::default();
                    self.arrange();
                }
                Pane::Table if self.flagged_only => return self.act(Action::Flagged, pane, now),
                Pane::Table => {}
                Pane::Lower(_) | Pane::Full(_) | Pane::Events | Pane::Recent => {
                    self.enter(Pane::Table);
                    self.arrange();
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
                self.anchor = None;
                self.focus = Focus::Pane(next);
                if matches!(next, Pane::Lower(_)) {
                    return self.read_flags();
                }
            }
            Action::Events => self.enter(if pane == Pane::Events { Pane::Table } else { Pane::Events }),
            Action::Flagged => {
                self.flagged_only = !self.flagged_only;
                self.arrange();
                let text =
                    if self.flagged_only { "flagged sessions only; f shows all" } else { "all sessions" };
                self.say(now, Tone::Plain, text.into());
            }
            Action::Acknowledge => {
                let count = self.rows.counts().flagged;
                self.known.read_all(&self.fleets);
                self.arrange();
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
                match self.selected.clone() {
                    Some(id) => return self.want(Want { id, what: Copyable::Connect, show }, now),
                    None => self.say(now, Tone::Bad, "no session is selected".into()),
                }
            }
            Action::CopyMenu => {
                if let Some(id) = self.selected.clone() {
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
                return vec![Effect::Ask(if self.paused { Ask::Pause } else { Ask::Resume })];
            }
            Action::Refresh => {
                self.paused = false;
                let text = if self.is_polling() {
                    "asking again"
                } else {
                    "nothing left to ask: every session has ended"
                };
                self.say(now, Tone::Plain, text.into());
                return vec![Effect::Ask(Ask::Now)];
            }
            Action::Filter => return self.type_filter(),
            Action::Add => return self.type_id(pane),
            Action::Mute => return self.mute(now),
            Action::Unmute => return self.unmute(now),
            Action::Recent => return self.ask_recent(),
            Action::Sort => {
                self.sort_by(Sort { by: self.sort.by.next(self.fleets.are_several()), reversed: false }, now)
            }
            Action::Reverse => self.sort_by(Sort { reversed: !self.sort.reversed, ..self.sort }, now),
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

    /// Whether `action` asks the API, which a recording can not.
    fn asks(action: Action) -> bool {
        use Action as A;
        matches!(action, A::CopyConnect | A::Reveal | A::Release | A::Refresh | A::Recent | A::Add)
    }

    fn say_recorded(&mut self, now: Moment) {
        self.say(now, Tone::Bad, "this is a recording: nothing can be asked for".into());
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
                match marked.filter(|id| self.fleets.get(id).is_some()) {
                    Some(id) => self.selected = Some(id),
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
        (self.scroll, self.anchor) = (0, None);
        self.focus = Focus::Pane(pane);
        self.show_selected();
    }

    /// The selected session is being read: its flags are known then.
    pub(super) fn read_flags(&mut self) -> Vec<Effect> {
        let Some(id) = self.selected.clone() else { return Vec::new() };
        if !self.fleets.find(&id).is_some_and(|(source, record)| self.known.has_news(source, record)) {
            return Vec::new();
        }
        self.known.read(&id, &self.fleets);
        self.arrange();
        self.retitle().into_iter().collect()
    }

    fn sort_by(&mut self, sort: Sort, now: Moment) {
        self.sort = sort;
        self.arrange();
        let way = if sort.reversed { ", reversed" } else { "" };
        self.say(now, Tone::Plain, format!("sorted by {}{way}", sort.by.name()));
    }

    /// Moves the selection, or scrolls the details if they have the keyboard.
    fn travel(&mut self, action: Action, pane: Pane, now: Moment) {
        if matches!(pane, Pane::Events | Pane::Lower(Part::Timeline) | Pane::Full(Part::Timeline)) {
            self.travel_in_time(action);
        } else if pane == Pane::Table {
            let place = self.selected.as_ref().and_then(|id| self.rows.place(id)).unwrap_or(0);
            let place = moved(action, place, view::table_height(self), self.rows.len());
            self.select(place);
        } else {
            let (lines, height) = view::details_extent(self, now);
            let most = lines.saturating_sub(height).saturating_add(1);
            self.scroll = moved(action, self.scroll, height, most);
        }
    }

    /// Scrolls events, one by one: the anchor is the last one in view, and none where that is the newest.
    fn travel_in_time(&mut self, action: Action) {
        let (places, least, height) = view::events_extent(self);
        let last = places.len().saturating_sub(1);
        let place =
            self.anchor.and_then(|anchor| places.iter().rposition(|it| *it == anchor)).unwrap_or(last);
        let place = moved(action, place, height, places.len()).max(least.min(last));
        self.anchor = places.get(place).copied().filter(|_| place < last);
    }

    /// Asks for a fresh reply, because signing keys age.
    fn want(&mut self, want: Want, now: Moment) -> Vec<Effect> {
        let what = want.what.name();
        let found = self.fleets.find(&want.id);
        let (source, status) =
            (found.map_or(0, |(source, _)| source), found.and_then(|(_, record)| record.status()));
        if let Some(status) = status.filter(|status| status.phase() == Phase::Ended) {
            let text = format!("ended ({}): no {what}", status.shown(24));
            self.say(now, Tone::Bad, text);
            return Vec::new();
        }
        let live = want.what == Copyable::LiveView;
        let asked =
            self.wants.iter().any(|other| other.id == want.id && (other.what == Copyable::LiveView) == live);
        if !self.wants.contains(&want) {
            if self.wants.len() >= MOST_WANTS {
                self.say(now, Tone::Bad, "too many URLs are on their way already; wait for one".into());
                return Vec::new();
            }
            self.wants.push(want.clone());
        }
        self.say(now, Tone::Plain, format!("fetching a fresh {what}…"));
        match asked {
            true => Vec::new(),
            false if live => vec![Effect::AskOf(source, Ask::LiveView(want.id))],
            false => vec![Effect::AskOf(source, Ask::Fresh(want.id))],
        }
    }

    fn open_dashboard(&mut self, now: Moment) -> Vec<Effect> {
        let Some(id) = &self.selected else { return Vec::new() };
        let page = dashboard_page(id);
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
        let chosen = match (key.code, keys::action(&key)) {
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
            Some(Copyable::Id) if !text::is_plain(id.raw()) => {
                self.say(now, Tone::Bad, "the id has characters that are not shown; it is not copied".into());
                Vec::new()
            }
            Some(Copyable::Id) => vec![Effect::Copy(Copyable::Id, Secret::new(id.raw().to_owned()))],
            Some(Copyable::Dashboard) => {
                vec![Effect::Copy(Copyable::Dashboard, Secret::new(dashboard_page(&id)))]
            }
            Some(Copyable::Evidence) => {
                let options = evidence::Options {
                    rates: self.settings.rates,
                    version: &self.settings.version,
                    with_metadata: false,
                };
                let text = evidence::text(&self.fleets.of(&id).fleet, &id, options);
                text.map(|text| Effect::Copy(Copyable::Evidence, Secret::new(text))).into_iter().collect()
            }
            Some(Copyable::Connect | Copyable::Selenium | Copyable::LiveView) if self.replay.is_some() => {
                self.say_recorded(now);
                Vec::new()
            }
            Some(what @ (Copyable::Connect | Copyable::Selenium | Copyable::LiveView)) => {
                self.want(Want { id, what, show: false }, now)
            }
        }
    }

    fn scroll_popup(&mut self, key: KeyEvent) -> Vec<Effect> {
        let (lines, height) = view::popup_extent(self);
        let most = lines.saturating_sub(height).saturating_add(1);
        let (Focus::Help { top, back } | Focus::Failures { top, back }) = &mut self.focus else {
            return Vec::new();
        };
        match keys::action(&key) {
            Some(
                action @ (Action::Down
                | Action::Up
                | Action::First
                | Action::Last
                | Action::PageDown
                | Action::PageUp),
            ) => *top = moved(action, *top, height, most),
            _ => self.focus = Focus::Pane(*back),
        }
        Vec::new()
    }
}

/// Where a move leads among `count` places.
pub(super) fn moved(action: Action, place: usize, page: usize, count: usize) -> usize {
    let last = count.saturating_sub(1);
    let page = page.saturating_sub(1).max(1);
    match action {
        Action::Down => place.saturating_add(1),
        Action::Up => place.saturating_sub(1),
        Action::PageDown => place.saturating_add(page),
        Action::PageUp => place.saturating_sub(page),
        Action::First => 0,
        Action::Last => last,
        _ => place,
    }
    .min(last)
}
