//! Handles keystrokes: changes the model, and returns the effects for the event loop. Pure.
//!
//! ```text
//!   KeyEvent ──► focus ─┬─ pane ────────────► keymap::action_for ──► on_action
//!                       ├─ filter ──────────► on_filter_key (text_input)
//!                       ├─ session to add ──► on_session_input_key (text_input)
//!                       ├─ copy menu ───────► on_copy_menu_key
//!                       ├─ release dialog ──► on_release_key (release)
//!                       ├─ help, failures ──► on_popup_key
//!                       └─ revealed URL ────► any keystroke hides it
//! ```

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::effect::Effect;
use super::event_scope::EventScope;
use super::focus::{DetailsSection, Focus, Pane};
use super::keymap::{self, Action, COPY_MENU, Copyable};
use super::model::Model;
use super::notice::NoticeLevel;
use super::rows::Sort;
use super::scroll::{max_top, position_after};
use super::url_requests::UrlRequest;
use crate::poll::PollerCommand;
use keepwatch_core::clock::Moment;
use keepwatch_core::filter::Filter;
use keepwatch_core::session::{Secret, dashboard_url};
use keepwatch_core::text;
use keepwatch_core::tracker::evidence;

impl Model {
    /// Handles a keystroke. All events so far count as read.
    pub(super) fn on_key(&mut self, key: KeyEvent, now: Moment) -> Vec<Effect> {
        self.note_keystroke(now);
        self.table.mark_interacted();
        self.read_cursors = self.profiles.cursors_at_end();
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            // These keystrokes with Ctrl work in every focus.
            match keymap::action_for(&keymap::with_latin_letter(key)) {
                Some(Action::Quit) => return vec![Effect::Quit],
                Some(Action::Repaint) => return vec![Effect::Repaint],
                Some(Action::Suspend) => return vec![Effect::Suspend],
                _ => {}
            }
        }
        if self.ignores_keys_until.is_some_and(|until| now.boot < until) {
            return Vec::new();
        }
        // Typed text may have letters of any alphabet, so these stay as they are.
        let accepts_text = matches!(
            self.focus,
            Focus::Filter { .. } | Focus::AddSession { .. } | Focus::ConfirmRelease { .. }
        );
        let key = if accepts_text { key } else { keymap::with_latin_letter(key) };
        match &self.focus {
            Focus::Pane(pane) => match keymap::action_for(&key) {
                Some(action) => self.on_action(action, *pane, now),
                None => Vec::new(),
            },
            Focus::Filter { .. } => {
                self.on_filter_key(key);
                Vec::new()
            }
            Focus::AddSession { .. } => self.on_session_input_key(key, now),
            Focus::CopyMenu { .. } => self.on_copy_menu_key(key, now),
            Focus::ConfirmRelease { .. } => self.on_release_key(key, now),
            Focus::Reveal { back, .. } => {
                self.focus = Focus::Pane(*back); // selecting text with the mouse sends no keystroke
                Vec::new()
            }
            Focus::Help { .. } | Focus::Failures { .. } => self.on_popup_key(key),
        }
    }

    /// Performs `action`, for a keystroke in `pane`.
    pub(super) fn on_action(&mut self, action: Action, pane: Pane, now: Moment) -> Vec<Effect> {
        if pane == Pane::Recent
            && let Some(effects) = self.on_recent_action(action, now)
        {
            return effects;
        }
        if pane == Pane::Events && !self.prepare_on_events_page(action, now)
            || pane == Pane::Away && !self.prepare_on_away_page(action, now)
        {
            return Vec::new();
        }
        if let Some(notice) = self.hidden_target_notice(action, pane) {
            self.notify(now, NoticeLevel::Info, notice.into());
            return Vec::new();
        }
        if self.replay.is_some() && Self::needs_api(action) {
            self.notify_unavailable_in_replay(now);
            return Vec::new();
        }
        match action {
            Action::Down | Action::Up | Action::First | Action::Last | Action::PageDown | Action::PageUp => {
                self.scroll_pane(action, pane);
            }
            Action::Open if self.table.selected().is_some() => {
                self.focus_pane(Pane::FullDetails(DetailsSection::Fields));
                return self.acknowledge_selected(now);
            }
            Action::Back => match pane {
                Pane::Table if !self.table.filter().is_empty() => {
                    self.table.set_filter(Filter::default());
                    self.rebuild_rows();
                }
                Pane::Table if self.table.shows_alerts_only() => {
                    return self.on_action(Action::ToggleAlertsOnly, pane, now);
                }
                Pane::Table => {}
                Pane::LowerDetails(_) | Pane::FullDetails(_) | Pane::Events | Pane::Recent | Pane::Away => {
                    self.focus_pane(Pane::Table);
                    self.rebuild_rows();
                }
            },
            Action::NextPane => {
                let next = match pane {
                    Pane::Table => Pane::LowerDetails(DetailsSection::Fields),
                    Pane::LowerDetails(DetailsSection::Fields) => {
                        Pane::LowerDetails(DetailsSection::Timeline)
                    }
                    Pane::LowerDetails(DetailsSection::Timeline)
                    | Pane::Events
                    | Pane::Recent
                    | Pane::Away => Pane::Table,
                    Pane::FullDetails(DetailsSection::Fields) => Pane::FullDetails(DetailsSection::Timeline),
                    Pane::FullDetails(DetailsSection::Timeline) => Pane::FullDetails(DetailsSection::Fields),
                };
                self.scroll.follow_newest();
                self.focus = Focus::Pane(next);
                if matches!(next, Pane::LowerDetails(_)) {
                    return self.acknowledge_selected(now);
                }
            }
            Action::Events => self.focus_pane(if pane == Pane::Events { Pane::Table } else { Pane::Events }),
            Action::Away => self.toggle_away(pane, now),
            Action::ToggleAlertsOnly => {
                let alerts_only = !self.table.shows_alerts_only();
                self.table.set_alerts_only(alerts_only);
                self.rebuild_rows();
                let text = if alerts_only { "flagged sessions only; f shows all" } else { "all sessions" };
                self.notify(now, NoticeLevel::Info, text.into());
            }
            Action::Acknowledge => {
                let count = self.table.rows().counts().with_alerts;
                let effects = self.acknowledge_all(now);
                let text = match count {
                    0 => "there is no flag to acknowledge".into(),
                    1 => "the flags of one session are acknowledged".into(),
                    many => format!("the flags of {many} sessions are acknowledged"),
                };
                self.notify(now, NoticeLevel::Info, text);
                return effects;
            }
            Action::CopyConnect | Action::Reveal => {
                let must_reveal = action == Action::Reveal;
                match self.table.selected().cloned() {
                    Some(id) => {
                        return self
                            .request_url(UrlRequest { id, copyable: Copyable::Connect, must_reveal }, now);
                    }
                    None => self.notify(now, NoticeLevel::Error, "no session is selected".into()),
                }
            }
            Action::CopyMenu => {
                if let Some(id) = self.table.selected().cloned() {
                    self.focus = Focus::CopyMenu { id, selected: 0, back: pane };
                }
            }
            Action::Dashboard => return self.open_dashboard(now),
            Action::Release => self.open_release_dialog(pane, now),
            Action::Pause if self.replay.is_some() => return self.toggle_playback(),
            Action::PreviousEvent | Action::NextEvent if self.replay.is_some() => {
                return vec![Effect::Step { forward: action == Action::NextEvent }];
            }
            Action::PreviousEvent | Action::NextEvent => {
                self.notify(
                    now,
                    NoticeLevel::Info,
                    "only a recording has a next event (keepwatch replay)".into(),
                );
            }
            Action::Pause => {
                self.paused = !self.paused;
                return vec![Effect::SendToAllPollers(if self.paused {
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
                self.notify(now, NoticeLevel::Info, text.into());
                return vec![Effect::SendToAllPollers(PollerCommand::PollNow)];
            }
            Action::Filter => self.open_filter_input(),
            Action::AddSession => self.open_session_input(pane),
            Action::Mute => return self.mute_selected(now),
            Action::Unmute => return self.unmute_all(now),
            Action::Recent => return self.request_recent(),
            Action::Sort => {
                let column = self.table.sort().column.next(self.profiles.is_multi_profile());
                self.set_sort(Sort { column, reversed: false }, now);
            }
            Action::Reverse => {
                let sort = self.table.sort();
                self.set_sort(Sort { reversed: !sort.reversed, ..sort }, now);
            }
            Action::HideMetadata => {
                self.hides_metadata = !self.hides_metadata;
                let text =
                    if self.hides_metadata { "metadata is hidden; H shows it" } else { "metadata is shown" };
                self.notify(now, NoticeLevel::Info, text.into());
            }
            Action::Failures => self.focus = Focus::Failures { top: 0, back: pane },
            Action::Help => self.focus = Focus::Help { top: 0, back: pane },
            Action::Repaint => return vec![Effect::Repaint],
            Action::Suspend => return vec![Effect::Suspend],
            Action::Quit => return vec![Effect::Quit],
            Action::Open => {} // no session is selected
        }
        Vec::new()
    }

    /// Returns the text of a notice if the part of the screen that the action changes is not visible.
    fn hidden_target_notice(&self, action: Action, pane: Pane) -> Option<&'static str> {
        let is_table_hidden = !self.viewport().shows_table();
        match action {
            // These change no part of the screen, or they open a popup, which even the smallest screen shows.
            Action::Quit
            | Action::Suspend
            | Action::Repaint
            | Action::Pause
            | Action::Refresh
            | Action::PreviousEvent
            | Action::NextEvent
            | Action::Failures
            | Action::Help => None,
            _ if self.viewport().is_counts_only() => Some("the screen is too small for that"),
            // These pages show the alerts, too.
            Action::Acknowledge if matches!(pane, Pane::Events | Pane::Away) => None,
            Action::Sort
            | Action::Reverse
            | Action::ToggleAlertsOnly
            | Action::Acknowledge
            | Action::Unmute
                if is_table_hidden =>
            {
                Some("that is for the table: Esc leads there")
            }
            _ => None,
        }
    }

    /// Prepares for an action on the events page. If the action is on one session, selects the session of the selected
    /// event. Returns true if the action can now be performed. Otherwise shows a notice and returns false: the selected
    /// event has no session on record, or the action is on the table.
    fn prepare_on_events_page(&mut self, action: Action, now: Moment) -> bool {
        match action {
            Action::Open
            | Action::CopyConnect
            | Action::Reveal
            | Action::CopyMenu
            | Action::Dashboard
            | Action::Release => {
                let session_id = self.selected_event().and_then(|(_, event)| event.id.clone());
                match session_id.filter(|id| self.profiles.record(id).is_some()) {
                    Some(id) => self.table.select(id),
                    None => {
                        self.notify(now, NoticeLevel::Error, "this event is not of one session".into());
                        return false;
                    }
                }
            }
            Action::Filter
            | Action::Sort
            | Action::Reverse
            | Action::ToggleAlertsOnly
            | Action::Mute
            | Action::Unmute => {
                self.notify(now, NoticeLevel::Info, "that is for the table: Esc leads there".into());
                return false;
            }
            _ => {} // needs no preparation
        }
        true
    }

    /// Moves the focus to `pane`, and scrolls back to the first line and to the newest event.
    pub(super) fn focus_pane(&mut self, pane: Pane) {
        self.scroll.reset();
        self.away.close();
        self.focus = Focus::Pane(pane);
    }

    /// Acknowledges the alerts of the selected session, because the user is reading its details.
    pub(super) fn acknowledge_selected(&mut self, now: Moment) -> Vec<Effect> {
        let Some((profile, record)) = self.selected_session() else { return Vec::new() };
        if !self.acknowledged.has_unacknowledged(profile, record) {
            return Vec::new();
        }
        let id = record.id.clone();
        self.acknowledge_session(profile, &id, now)
    }

    fn set_sort(&mut self, sort: Sort, now: Moment) {
        self.table.set_sort(sort);
        self.rebuild_rows();
        let direction = if sort.reversed { ", reversed" } else { "" };
        self.notify(now, NoticeLevel::Info, format!("sorted by {}{direction}", sort.column.name()));
    }

    /// Moves the selection in the table, or scrolls another pane.
    fn scroll_pane(&mut self, action: Action, pane: Pane) {
        if pane.scrolls_events() {
            self.scroll_events(Some(action));
        } else if pane == Pane::Table {
            if self.table.move_selection(action, self.viewport().table_rows()) {
                self.scroll.reset();
            }
        } else {
            let details = self.viewport().details().unwrap_or_default();
            self.scroll.scroll_details(action, details.lines, details.height);
        }
    }

    /// Scrolls the events of the focused pane. If `action` is `None`, scrolls only if the pane would have blank lines.
    pub(super) fn scroll_events(&mut self, action: Option<Action>) {
        let scope = match self.focus.pane() {
            Pane::Events => Some(EventScope::All),
            _ => self.table.selected().map(EventScope::Session),
        };
        match scope.zip(self.viewport().event_lines()) {
            Some((scope, height)) => self.scroll.scroll_events(action, scope, &self.profiles, height),
            None => self.scroll.follow_newest(),
        }
    }

    fn open_dashboard(&mut self, now: Moment) -> Vec<Effect> {
        let Some(id) = self.table.selected() else { return Vec::new() };
        let url = dashboard_url(id);
        if self.settings.can_open_browser {
            self.notify(now, NoticeLevel::Info, "opening the session's page in the browser".into());
            vec![Effect::OpenInBrowser(url)]
        } else {
            vec![Effect::Copy(Copyable::Dashboard, Secret::new(url))]
        }
    }

    /// Moves in the copy menu, or closes the menu and copies the chosen entry. Any other keystroke only closes the menu.
    fn on_copy_menu_key(&mut self, key: KeyEvent, now: Moment) -> Vec<Effect> {
        let Focus::CopyMenu { id, selected, back } = &mut self.focus else { return Vec::new() };
        let last = COPY_MENU.len().saturating_sub(1);
        let entry_of_letter = COPY_MENU.iter().find(|(letter, ..)| key.code == KeyCode::Char(*letter));
        let chosen = match (key.code, keymap::action_for(&key)) {
            (KeyCode::Enter, _) => COPY_MENU.get(*selected),
            _ if entry_of_letter.is_some() => entry_of_letter,
            (_, Some(Action::Down)) => {
                *selected = selected.saturating_add(1).min(last);
                return Vec::new();
            }
            (_, Some(Action::Up)) => {
                *selected = selected.saturating_sub(1);
                return Vec::new();
            }
            _ => None,
        };
        let (id, back) = (id.clone(), *back);
        self.focus = Focus::Pane(back);
        match chosen.map(|(_, copyable, _)| *copyable) {
            None => Vec::new(),
            Some(Copyable::Id) if !text::is_printable(id.raw()) => {
                self.notify(
                    now,
                    NoticeLevel::Error,
                    "the id has characters that are not shown; it is not copied".into(),
                );
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
                self.notify_unavailable_in_replay(now);
                Vec::new()
            }
            Some(copyable @ (Copyable::Connect | Copyable::Selenium | Copyable::LiveView)) => {
                self.request_url(UrlRequest { id, copyable, must_reveal: false }, now)
            }
        }
    }

    /// Scrolls the help or the failures. Any other keystroke closes the popup.
    fn on_popup_key(&mut self, key: KeyEvent) -> Vec<Effect> {
        let popup = self.viewport().popup().unwrap_or_default();
        let position_count = max_top(popup.lines, popup.height).saturating_add(1);
        let (Focus::Help { top, back } | Focus::Failures { top, back }) = &mut self.focus else {
            return Vec::new();
        };
        match keymap::action_for(&key) {
            Some(
                action @ (Action::Down
                | Action::Up
                | Action::First
                | Action::Last
                | Action::PageDown
                | Action::PageUp),
            ) => *top = position_after(action, *top, popup.height, position_count),
            _ => self.focus = Focus::Pane(*back),
        }
        Vec::new()
    }
}
