//! The newest sessions of the project, in any state. They are requested once, when the user asks for them, and never polled.
//! With several profiles all are requested, and the replies are merged into one list. Pure.
//!
//! ```text
//!   R ──► asking ──┬── a list ──► the newest of it ── Enter ──► watched like a named one, its details open
//!          ▲       └── a fault ─► said; what came before stays
//!          └────────── r, R
//! ```
//!
//! Nothing here goes into a tracker: nobody watched the sessions that ended before.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::effect::Effect;
use super::focus::{DetailsSection, Pane};
use super::keymap::Action;
use super::model::Model;
use super::notice::NoticeLevel;
use super::profiles::ProfileId;
use super::scroll::position_after;
use crate::poll::{PollerCommand, Report, ResponseBody};
use keepwatch_core::clock::Moment;
use keepwatch_core::session::{ApiError, Session};
use keepwatch_core::text::Untrusted;

/// How many are kept.
const MAX_RECENT: usize = 200;

/// The requests to the profiles, and the sessions in their replies.
#[derive(Clone, Debug, Default)]
pub struct RecentSessions {
    /// The request to each profile that was asked.
    pub requests: BTreeMap<ProfileId, RecentRequest>,
    /// The newest sessions of all answers, the newest first.
    pub sessions: Vec<RecentSession>,
    /// Which of them the keys speak of.
    pub selected: usize,
    /// The first in view.
    pub top: usize,
}

/// The request to one profile, and its outcome.
#[derive(Clone, Debug, Default)]
pub struct RecentRequest {
    /// Whether an answer is on its way.
    pub is_pending: bool,
    /// Why the newest ask brought nothing.
    pub error: Option<ApiError>,
    /// When the newest answer came, and how many sessions were in it.
    pub last_response: Option<(Moment, usize)>,
}

/// A session of an answer.
#[derive(Clone, Debug)]
pub struct RecentSession {
    /// The profile whose reply has it.
    pub profile: ProfileId,
    /// The session.
    pub session: Session,
    /// Whose it is.
    pub owner: Option<Untrusted>,
}

impl RecentSessions {
    /// Whether any answer is on its way.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.requests.values().any(|asked| asked.is_pending)
    }

    /// The oldest of the newest answers, and how many sessions were in all of them; `None` before the first.
    #[must_use]
    pub fn oldest_response(&self) -> Option<(Moment, usize)> {
        let answers = self.requests.values().filter_map(|asked| asked.last_response);
        answers.reduce(|(at, all), (other, more)| {
            (if other.boot < at.boot { other } else { at }, all.saturating_add(more))
        })
    }

    /// Scrolls so that the marked session is among the `height` visible rows, and no further.
    pub(super) fn scroll_to_selection(&mut self, height: usize) {
        if height > 0 {
            let lowest = self.selected.saturating_add(1).saturating_sub(height);
            self.top = self.top.clamp(lowest, self.selected);
        }
    }

    /// Replaces the sessions of a profile by those of its newest reply. The first reply since the request marks the newest
    /// session; a later one leaves the mark on its session.
    pub fn apply_response(&mut self, profile: ProfileId, at: Moment, sessions: Vec<RecentSession>) {
        let is_first = self.requests.iter().all(|(other, asked)| *other == profile || asked.is_pending);
        let selected_id = self.sessions.get(self.selected).map(|listed| listed.session.id.clone());
        let answered = Some((at, sessions.len()));
        self.requests
            .insert(profile, RecentRequest { is_pending: false, error: None, last_response: answered });
        self.sessions.retain(|listed| listed.profile != profile);
        self.sessions.extend(sessions);
        let born = |listed: &RecentSession| Reverse(listed.session.created.or(listed.session.started));
        self.sessions.sort_by(|a, b| {
            born(a)
                .cmp(&born(b))
                .then_with(|| a.session.id.cmp(&b.session.id))
                .then(a.profile.cmp(&b.profile))
        });
        // A session that two profiles list is listed once.
        self.sessions.dedup_by(|later, first| later.session.id == first.session.id);
        self.sessions.truncate(MAX_RECENT);
        let position = selected_id.filter(|_| !is_first && self.selected > 0);
        let place = position.and_then(|id| self.sessions.iter().position(|listed| listed.session.id == id));
        let moved = place.unwrap_or(0);
        self.top = if moved == 0 { 0 } else { moved.saturating_sub(self.selected.saturating_sub(self.top)) };
        self.selected = moved;
    }
}

impl Model {
    /// Opens the page, and asks all that are not asked already.
    pub(super) fn request_recent(&mut self) -> Vec<Effect> {
        self.focus_pane(Pane::Recent);
        let mut effects = Vec::new();
        for profile in self.profiles.ids() {
            if self.profiles.get(profile).info.missing_key_reason.is_some() {
                continue;
            }
            let request = self.recent.requests.entry(profile).or_default();
            if !std::mem::replace(&mut request.is_pending, true) {
                effects.push(Effect::CommandPoller(profile, PollerCommand::ListRecent));
            }
        }
        effects
    }

    /// What came.
    pub(super) fn on_recent_response(&mut self, profile: ProfileId, report: Report) {
        let request = self.recent.requests.entry(profile).or_default();
        request.is_pending = false;
        let listing = match report.result {
            Ok(ResponseBody::RecentSessions(listing)) => listing,
            Ok(_) => return, // the poller pairs each request with its own reply
            Err(error) => {
                request.error = Some(error);
                return;
            }
        };
        let key = self.settings.owner_key.as_ref();
        let sessions = listing.sessions.into_iter().map(|session| {
            let owner = session.metadata.as_ref().and_then(|metadata| metadata.owner(key));
            RecentSession { profile, session, owner }
        });
        self.recent.apply_response(profile, report.received, sessions.collect());
    }

    /// What keys do on the page; `None` for those that do the same everywhere.
    pub(super) fn on_recent_action(&mut self, action: Action, now: Moment) -> Option<Vec<Effect>> {
        match action {
            Action::Down | Action::Up | Action::First | Action::Last | Action::PageDown | Action::PageUp => {
                let height = self.viewport().recent_rows().max(1);
                self.recent.selected =
                    position_after(action, self.recent.selected, height, self.recent.sessions.len());
            }
            Action::Open => {
                let marked = self.recent.sessions.get(self.recent.selected);
                let Some((id, profile)) = marked.map(|listed| (listed.session.id.clone(), listed.profile))
                else {
                    return Some(Vec::new());
                };
                self.focus_pane(Pane::FullDetails(DetailsSection::Fields)); // what is being read keeps its row, whatever the filter says
                let mut effects = self.add_session(id, Some(profile), now);
                effects.extend(self.acknowledge_selected());
                return Some(effects);
            }
            Action::Refresh | Action::Recent => return Some(self.request_recent()),
            Action::CopyConnect
            | Action::CopyMenu
            | Action::Reveal
            | Action::Dashboard
            | Action::Filter
            | Action::Sort
            | Action::Reverse
            | Action::ToggleAlertsOnly
            | Action::Mute
            | Action::Unmute => {
                self.notify(
                    now,
                    NoticeLevel::Info,
                    "that is for what is watched: Enter watches this one".into(),
                );
            }
            _ => return None,
        }
        Some(Vec::new())
    }
}
