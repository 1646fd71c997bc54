//! What each message does to the state, and what it asks the loop to do. Pure.

use std::time::Duration;

use crossterm::event::{Event as TermEvent, KeyCode, KeyEvent, KeyModifiers};
use tui_input::{Input as Line, backend::crossterm::EventHandler as _};

use super::keys::{self, Action, COPY_MENU, Copyable};
use super::model::{Effect, Focus, Message, Model, Notice, Pane, Tone, Want};
use super::rows::{Rows, Sort};
use crate::clock::Moment;
use crate::config::Targets;
use crate::poll::{Ask, Reply, Report, Request};
use crate::session::{Phase, Secret, SessionId, dashboard_page};
use crate::view;
use crate::watch::{Exchange, Input, Left, Scope};

/// How long a notice stays.
const NOTICE: Duration = Duration::from_secs(5);
/// How long one that says what went wrong stays.
const BAD_NOTICE: Duration = Duration::from_secs(10);
/// How long a URL is shown.
const REVEAL: Duration = Duration::from_secs(30);
/// How many fresh URLs may be on their way.
const MOST_WANTS: usize = 8;
/// The longest filter, in characters.
const LONGEST_FILTER: usize = 200;
/// Clocks that differ by more than this are worth a word, in seconds.
const SKEW: i64 = 30;

impl Model {
    /// What is asked for at the start, before anything is seen.
    pub fn start(&mut self, now: Moment) -> Vec<Effect> {
        if let Targets::Ids(ids) = &self.settings.targets {
            self.fleet.apply(Input::Asked { at: now, ids: ids.clone() });
        }
        self.arrange();
        self.retitle().into_iter().collect()
    }

    /// Takes one message.
    pub fn update(&mut self, message: Message, now: Moment) -> Vec<Effect> {
        match message {
            Message::Report(report) => self.reported(*report, now),
            Message::Key(key) => self.pressed(key, now),
            Message::Paste(text) => {
                if let Focus::Filter { line, .. } = &mut self.focus {
                    let room = LONGEST_FILTER.saturating_sub(line.value().chars().count());
                    for letter in text.chars().filter(|letter| !letter.is_control()).take(room) {
                        line.handle(tui_input::InputRequest::InsertChar(letter));
                    }
                    self.filter = line.value().to_owned();
                    self.arrange();
                }
                Vec::new()
            }
            Message::Resize(columns, rows) => {
                self.size = (columns, rows);
                self.show_selected();
                Vec::new()
            }
            Message::Copied(what, Ok(route)) => {
                self.say(now, Tone::Good, format!("{what} {route}"));
                Vec::new()
            }
            Message::Copied(what, Err(why)) => {
                self.say(now, Tone::Bad, format!("{what} {why}"));
                Vec::new()
            }
            Message::NotOpened(why) => {
                self.say(now, Tone::Bad, format!("no browser could be opened: {why}"));
                Vec::new()
            }
            Message::Slept(from, to) => {
                self.fleet.apply(Input::Slept { from, to });
                let then = if self.paused { "polling is still paused" } else { "asking again" };
                self.say(now, Tone::Plain, format!("this machine slept; {then}"));
                vec![Effect::Ask(Ask::Afresh)]
            }
            Message::Resumed => {
                vec![Effect::Repaint, Effect::Ask(if self.paused { Ask::Pause } else { Ask::Now })]
            }
        }
    }

    /// Time went by: what was shown for a while goes.
    pub fn expire(&mut self, now: Moment) {
        if self.notice.as_ref().is_some_and(|notice| notice.until <= now.boot) {
            self.notice = None;
        }
        if let Focus::Reveal { until, back, .. } = &self.focus
            && *until <= now.boot
        {
            self.focus = Focus::Pane(*back);
        }
    }

    /// When the screen will next differ by itself, on the monotonic clock; `None` if it never will.
    ///
    /// Only what is in view counts. Texts that tick do so on one common second, the server's.
    #[must_use]
    pub fn next_change(&self, now: Moment) -> Option<Duration> {
        let in_boot = |until: Duration| until.saturating_sub(now.boot);
        let mut wait: Option<Duration> = self.notice.as_ref().map(|notice| in_boot(notice.until));
        let mut sooner =
            |candidate: Duration| wait = Some(wait.map_or(candidate, |wait| wait.min(candidate)));
        let server = self.server_time(now);
        let second = Duration::from_nanos(
            1_000_000_000_u64.saturating_sub(u64::from(server.timestamp_subsec_nanos())),
        );
        let whole = |seconds: u64| second.saturating_add(Duration::from_secs(seconds.saturating_sub(1)));
        if let Focus::Reveal { until, .. } = self.focus {
            sooner(in_boot(until).min(whole(1)));
        }
        if self.late(now).is_some() || self.is_waiting(now) {
            sooner(whole(1));
        } else if let Some(good) = self.fleet.health().last_good
            && !self.paused
            && self.expects_replies()
        {
            let due = good.received.boot.saturating_add(self.late_after());
            sooner(in_boot(due).max(Duration::from_millis(1)));
        }
        let shown =
            self.rows.window(self.top, view::table_height(self)).map(|row| &row.id).chain(&self.selected);
        for record in shown.filter_map(|id| self.fleet.get(id)) {
            match record.left(self.fleet.clock(), server) {
                Left::For(left) if left >= view::MINUTES_FROM => {
                    sooner(whole(left.as_secs().checked_rem(60).unwrap_or_default().saturating_add(1)));
                }
                Left::For(_) | Left::Overdue(_) => sooner(whole(1)),
                Left::Unknown | Left::Starting | Left::Expiring | Left::Over => {}
            }
            if let Some(age) = record.age(server).filter(|_| record.phase() != Phase::Ended) {
                sooner(whole(60_u64.saturating_sub(age.as_secs().checked_rem(60).unwrap_or_default())));
            }
        }
        wait.map(|wait| now.mono.saturating_add(wait))
    }

    /// Whether a countdown to the next try is on the screen.
    fn is_waiting(&self, now: Moment) -> bool {
        let next = self.fleet.health().failing.as_ref().and_then(|failing| failing.next);
        !self.paused && next.is_some_and(|next| next.boot > now.boot)
    }

    fn say(&mut self, now: Moment, tone: Tone, text: String) {
        let stay = if tone == Tone::Bad { BAD_NOTICE } else { NOTICE };
        self.notice = Some(Notice { text, tone, until: now.boot.saturating_add(stay) });
    }

    /// The rows anew, the selection kept on its session.
    fn arrange(&mut self) {
        let before = self.selected.as_ref().and_then(|id| self.rows.place(id)).unwrap_or(0);
        self.rows = Rows::of(&self.fleet, self.sort, &self.filter);
        if self.selected.as_ref().and_then(|id| self.rows.place(id)).is_none() {
            let nearest = before.min(self.rows.len().saturating_sub(1));
            self.select(nearest);
        }
        self.show_selected();
    }

    fn select(&mut self, place: usize) {
        let selected = self.rows.get(place).map(|row| row.id.clone());
        if selected != self.selected {
            self.scroll = 0;
        }
        self.selected = selected;
        self.show_selected();
    }

    /// Scrolls the table so that the selection is in view, and no further.
    fn show_selected(&mut self) {
        let height = view::table_height(self).max(1);
        let place = self.selected.as_ref().and_then(|id| self.rows.place(id)).unwrap_or(0);
        let lowest = place.saturating_add(1).saturating_sub(height);
        self.top = self.top.clamp(lowest, place).min(self.rows.len().saturating_sub(height).max(lowest));
    }

    fn retitle(&mut self) -> Option<Effect> {
        let title = view::title(self);
        (title != self.title).then(|| {
            self.title.clone_from(&title);
            Effect::Title(title)
        })
    }

    fn reported(&mut self, report: Report, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        let at = Exchange { sent: report.sent, received: report.received, date: report.date };
        let input = match (report.request, report.outcome) {
            (Request::Fresh(id), Ok(Reply::Fresh(fresh))) => {
                let input = Input::Seen {
                    at,
                    scope: Scope::One(id.clone()),
                    sessions: vec![fresh.session],
                    malformed: 0,
                };
                self.fleet.apply(input);
                for want in self.take_wants(&id) {
                    let url = match want.what {
                        Copyable::Selenium => fresh.urls.selenium.clone(),
                        Copyable::Id | Copyable::Connect | Copyable::Dashboard => fresh.urls.connect.clone(),
                    };
                    effects.extend(self.fetched(&want, url, now));
                }
                None
            }
            (Request::Fresh(id), Err(fault)) => {
                for want in self.take_wants(&id) {
                    let text = format!("the {} could not be fetched: {}", want.what.name(), fault.sentence());
                    self.say(now, Tone::Bad, text);
                }
                None
            }
            (Request::Session(id), Ok(Reply::Session(session))) => {
                Some(Input::Seen { at, scope: Scope::One(id), sessions: vec![session], malformed: 0 })
            }
            (Request::List(list), Ok(Reply::List(listing))) => Some(Input::Seen {
                at,
                scope: Scope::List(list),
                sessions: listing.sessions,
                malformed: listing.malformed,
            }),
            (Request::Projects, Ok(Reply::Projects(projects))) => Some(Input::Projects { at, projects }),
            (Request::Projects, Err(fault)) if !fault.asks_for_rest() => None, // an extra, which nothing waits for
            (Request::Session(id), Err(fault)) if fault.is_absence() => {
                Some(Input::Missing { at, id, fault, next: report.next })
            }
            (request, Err(fault)) => {
                let scope = match request {
                    Request::Session(id) | Request::Fresh(id) => Scope::One(id),
                    Request::List(list) => Scope::List(list),
                    Request::Projects => Scope::Projects,
                };
                Some(Input::Failed { at, scope, fault, next: report.next })
            }
            // The poller pairs each request with its own reply.
            (_, Ok(_)) => None,
        };
        if let Some(input) = input {
            self.fleet.apply(input);
        }
        self.arrange();
        effects.extend(self.retitle());
        self.tell_of_skew(now);
        effects
    }

    /// Clocks that differ are said once.
    fn tell_of_skew(&mut self, now: Moment) {
        let skew = self.fleet.clock().skew();
        if self.told_of_skew || skew.num_seconds().abs() <= SKEW {
            return;
        }
        self.told_of_skew = true;
        let by = crate::text::length(Duration::from_secs(skew.num_seconds().unsigned_abs()));
        let way = if skew.num_seconds() > 0 { "behind" } else { "ahead of" };
        let text = format!("this machine's clock is {by} {way} the API's; times are shown by the API's");
        self.say(now, Tone::Bad, text);
    }

    fn take_wants(&mut self, id: &SessionId) -> Vec<Want> {
        let (taken, left) = std::mem::take(&mut self.wants).into_iter().partition(|want| want.id == *id);
        self.wants = left;
        taken
    }

    /// A fresh reply came for what the reader wants: copy it, show it, or say why not.
    fn fetched(&mut self, want: &Want, url: Option<Secret>, now: Moment) -> Option<Effect> {
        let status = self.fleet.get(&want.id).and_then(|record| record.status().cloned());
        let Some(url) = url else {
            let why = match status.filter(|status| status.phase() == Phase::Ended) {
                Some(status) => {
                    format!("the session has ended ({}): it has no {}", status.shown(24), want.what.name())
                }
                None => format!("the API's answer has no {}", want.what.name()),
            };
            self.say(now, Tone::Bad, why);
            return None;
        };
        if want.show && matches!(self.focus, Focus::Filter { .. }) {
            // The next letters that are typed must not become commands.
            self.say(now, Tone::Plain, format!("the {} came while you typed; Y shows it", want.what.name()));
            return None;
        }
        if want.show {
            let until = now.boot.saturating_add(REVEAL);
            self.notice = None;
            self.focus = Focus::Reveal { id: want.id.clone(), url, until, back: self.focus.pane() };
            return None;
        }
        Some(Effect::Copy(want.what, url))
    }

    fn pressed(&mut self, key: KeyEvent, now: Moment) -> Vec<Effect> {
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
            Focus::Copy { .. } => self.choose_copy(key, now),
            Focus::Reveal { back, .. } => {
                self.focus = Focus::Pane(*back); // what a terminal's own selection sends is no key
                Vec::new()
            }
            Focus::Help { .. } | Focus::Failures { .. } => self.scroll_popup(key),
        }
    }

    fn act(&mut self, action: Action, pane: Pane, now: Moment) -> Vec<Effect> {
        match action {
            Action::Down | Action::Up | Action::First | Action::Last | Action::PageDown | Action::PageUp => {
                self.travel(action, pane);
            }
            Action::Open if self.selected.is_some() => {
                self.scroll = 0;
                self.focus = Focus::Pane(Pane::Full);
            }
            Action::Back => match pane {
                Pane::Table if !self.filter.is_empty() => {
                    self.filter.clear();
                    self.arrange();
                }
                Pane::Table => {}
                Pane::Lower | Pane::Full => {
                    self.scroll = 0;
                    self.focus = Focus::Pane(Pane::Table);
                    self.show_selected();
                }
            },
            Action::OtherPane => {
                self.focus = Focus::Pane(if pane == Pane::Table { Pane::Lower } else { Pane::Table });
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
            Action::Filter => {
                self.focus =
                    Focus::Filter { line: Line::new(self.filter.clone()), before: self.filter.clone() };
                self.show_selected();
                return vec![Effect::TakePaste(true)];
            }
            Action::Sort => self.sort_by(Sort { by: self.sort.by.next(), reversed: false }, now),
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

    fn sort_by(&mut self, sort: Sort, now: Moment) {
        self.sort = sort;
        self.arrange();
        let way = if sort.reversed { ", reversed" } else { "" };
        self.say(now, Tone::Plain, format!("sorted by {}{way}", sort.by.name()));
    }

    /// Moves the selection, or scrolls the details if they have the keyboard.
    fn travel(&mut self, action: Action, pane: Pane) {
        if pane == Pane::Table {
            let place = self.selected.as_ref().and_then(|id| self.rows.place(id)).unwrap_or(0);
            let place = moved(action, place, view::table_height(self), self.rows.len());
            self.select(place);
        } else {
            let (lines, height) = view::details_extent(self);
            let most = lines.saturating_sub(height).saturating_add(1);
            self.scroll = moved(action, self.scroll, height, most);
        }
    }

    /// Asks for a fresh reply, because signing keys age.
    fn want(&mut self, want: Want, now: Moment) -> Vec<Effect> {
        let what = want.what.name();
        let status = self.fleet.get(&want.id).and_then(|record| record.status());
        if let Some(status) = status.filter(|status| status.phase() == Phase::Ended) {
            let text = format!("the session has ended ({}): it has no {what}", status.shown(24));
            self.say(now, Tone::Bad, text);
            return Vec::new();
        }
        let asked = self.wants.iter().any(|other| other.id == want.id);
        if !self.wants.contains(&want) {
            if self.wants.len() >= MOST_WANTS {
                self.say(now, Tone::Bad, "too many URLs are on their way already; wait for one".into());
                return Vec::new();
            }
            self.wants.push(want.clone());
        }
        self.say(now, Tone::Plain, format!("fetching a fresh {what}…"));
        if asked { Vec::new() } else { vec![Effect::Ask(Ask::Fresh(want.id))] }
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

    fn edit_filter(&mut self, key: KeyEvent) -> Vec<Effect> {
        let Focus::Filter { line, before } = &mut self.focus else { return Vec::new() };
        match key.code {
            KeyCode::Enter => {}
            KeyCode::Esc => self.filter = std::mem::take(before),
            _ => {
                let was = line.clone();
                line.handle_event(&TermEvent::Key(key));
                if line.value().chars().count() > LONGEST_FILTER {
                    *line = was; // Ctrl-Y, too, makes it longer
                }
                self.filter = line.value().to_owned();
                self.arrange();
                return Vec::new();
            }
        }
        self.focus = Focus::Pane(Pane::Table);
        self.arrange();
        vec![Effect::TakePaste(false)]
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
            Some(Copyable::Id) => vec![Effect::Copy(Copyable::Id, Secret::new(id.raw().to_owned()))],
            Some(Copyable::Dashboard) => {
                vec![Effect::Copy(Copyable::Dashboard, Secret::new(dashboard_page(&id)))]
            }
            Some(what @ (Copyable::Connect | Copyable::Selenium)) => {
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
fn moved(action: Action, place: usize, page: usize, count: usize) -> usize {
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

#[cfg(test)]
mod tests;
