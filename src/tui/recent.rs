//! The page of recent sessions: the newest sessions of each project, of any status. Pure.
//!
//! Only a keystroke of the user requests the list: nothing polls it. With several profiles, there is one request for
//! each profile, and the responses are merged into one list.
//!
//! ```text
//!   R ──► request pending ──┬── list ───► sessions, newest first ── Enter ──► watched, with open details
//!              ▲            └── error ──► shown; the old list stays
//!              └─────────────── r, R
//! ```
//!
//! A listed session does not enter a tracker until the user watches it: many ended before keepwatch started.

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

/// The maximum number of sessions on the page.
const MAX_RECENT: usize = 200;

/// The list of recent sessions, and the requests that fill it.
#[derive(Clone, Debug, Default)]
pub struct RecentSessions {
    /// The state of the requests of each profile.
    pub requests: BTreeMap<ProfileId, RecentRequestState>,
    /// The sessions in the responses of all profiles, from the newest to the oldest.
    pub sessions: Vec<RecentSession>,
    /// The position in `sessions` of the session that keystrokes act on.
    pub selected: usize,
    /// The position in `sessions` of the first visible session.
    pub top: usize,
    /// True if the next response selects the newest session: no response has come since the user requested the lists.
    selects_newest: bool,
}

/// The state of the requests for the recent sessions of one profile.
#[derive(Clone, Debug, Default)]
pub struct RecentRequestState {
    /// True if a request is in flight.
    pub is_pending: bool,
    /// The error of the last request, if it failed.
    pub error: Option<ApiError>,
    /// The time of the last response, and the number of sessions in it.
    pub last_response: Option<(Moment, usize)>,
}

/// A session on the page of recent sessions.
#[derive(Clone, Debug)]
pub struct RecentSession {
    /// The profile whose response contains the session.
    pub profile: ProfileId,
    /// The session.
    pub session: Session,
    /// The owner that the session's metadata names.
    pub owner: Option<Untrusted>,
}

impl RecentSessions {
    /// Returns true if a request is in flight.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.requests.values().any(|request| request.is_pending)
    }

    /// Looks at the last response of each profile. Returns the time of the oldest of these responses, and the number of
    /// sessions in all of them. Returns `None` before the first response.
    #[must_use]
    pub fn time_and_total(&self) -> Option<(Moment, usize)> {
        let responses = self.requests.values().filter_map(|request| request.last_response);
        responses.reduce(|(oldest, total), (received, count)| {
            (if received.boot < oldest.boot { received } else { oldest }, total.saturating_add(count))
        })
    }

    /// Scrolls as little as needed to show the selected session in one of the `height` visible rows.
    pub(super) fn scroll_to_selection(&mut self, height: usize) {
        if height > 0 {
            let min_top = self.selected.saturating_add(1).saturating_sub(height);
            self.top = self.top.clamp(min_top, self.selected);
        }
    }

    /// Replaces the sessions of a profile with those in its newest response. When the user requests the lists, the
    /// first response selects the newest session. Later responses, of the other profiles, keep the same session
    /// selected. But if the first row is selected, they keep the first row selected.
    pub fn apply_response(&mut self, profile: ProfileId, at: Moment, sessions: Vec<RecentSession>) {
        let selects_newest = std::mem::take(&mut self.selects_newest);
        let selected_id = self.sessions.get(self.selected).map(|listed| listed.session.id.clone());
        let last_response = Some((at, sessions.len()));
        self.requests.insert(profile, RecentRequestState { is_pending: false, error: None, last_response });
        self.sessions.retain(|listed| listed.profile != profile);
        self.sessions.extend(sessions);
        // A session in the lists of several profiles is shown once, for the first of these profiles. Duplicates
        // are found by id, because the times of a session can differ between the lists.
        self.sessions.sort_by(|a, b| a.session.id.cmp(&b.session.id).then(a.profile.cmp(&b.profile)));
        self.sessions.dedup_by(|later, first| later.session.id == first.session.id);
        let newest_first =
            |listed: &RecentSession| Reverse(listed.session.created.or(listed.session.started));
        self.sessions.sort_by_key(newest_first); // stable: sessions of the same time stay sorted by id
        self.sessions.truncate(MAX_RECENT);
        let kept_id = selected_id.filter(|_| !selects_newest && self.selected > 0);
        let position = kept_id.and_then(|id| self.sessions.iter().position(|listed| listed.session.id == id));
        let selected = position.unwrap_or(0);
        let rows_above = self.selected.saturating_sub(self.top);
        self.top = if selected == 0 { 0 } else { selected.saturating_sub(rows_above) };
        self.selected = selected;
    }
}

impl Model {
    /// Opens the page, and requests the list of each profile that has an API key and no request in flight.
    pub(super) fn request_recent(&mut self) -> Vec<Effect> {
        self.focus_pane(Pane::Recent);
        let mut effects = Vec::new();
        for profile in self.profiles.ids() {
            if self.profiles.get(profile).info.missing_key_reason.is_some() {
                continue;
            }
            let request = self.recent.requests.entry(profile).or_default();
            if !std::mem::replace(&mut request.is_pending, true) {
                effects.push(Effect::SendToPoller(profile, PollerCommand::ListRecentSessions));
            }
        }
        self.recent.selects_newest |= !effects.is_empty();
        effects
    }

    /// Handles the report of a request for recent sessions: a response or an error.
    pub(super) fn on_recent_report(&mut self, profile: ProfileId, report: Report) {
        let request = self.recent.requests.entry(profile).or_default();
        request.is_pending = false;
        let listing = match report.result {
            Ok(ResponseBody::RecentSessions(listing)) => listing,
            Ok(_) => return, // unreachable: the poller pairs each request with its own response
            Err(error) => {
                request.error = Some(error);
                return;
            }
        };
        let owner_key = self.settings.owner_key.as_ref();
        let sessions = listing.sessions.into_iter().map(|session| {
            let owner = session.metadata.as_ref().and_then(|metadata| metadata.owner(owner_key));
            RecentSession { profile, session, owner }
        });
        self.recent.apply_response(profile, report.received, sessions.collect());
    }

    /// Performs an action on the page. Returns `None` for an action that is the same in every pane.
    pub(super) fn on_recent_action(&mut self, action: Action, now: Moment) -> Option<Vec<Effect>> {
        match action {
            Action::Down | Action::Up | Action::First | Action::Last | Action::PageDown | Action::PageUp => {
                let height = self.viewport().recent_rows().max(1);
                self.recent.selected =
                    position_after(action, self.recent.selected, height, self.recent.sessions.len());
            }
            Action::Open => {
                let selected = self.recent.sessions.get(self.recent.selected);
                let Some((id, profile)) = selected.map(|listed| (listed.session.id.clone(), listed.profile))
                else {
                    return Some(Vec::new());
                };
                // Open the details first: a session with open details keeps its row even if the filter hides it.
                self.focus_pane(Pane::FullDetails(DetailsSection::Fields));
                let mut effects = self.add_session(id, Some(profile), now);
                effects.extend(self.acknowledge_selected(now));
                return Some(effects);
            }
            Action::Refresh | Action::Recent => return Some(self.request_recent()),
            // promise: recent-page
            Action::Release => self.notify_not_watched(now),
            Action::Acknowledge
            | Action::CopyConnect
            | Action::CopyMenu
            | Action::Reveal
            | Action::Dashboard
            | Action::Filter
            | Action::Sort
            | Action::Reverse
            | Action::ToggleAlertsOnly
            | Action::Mute
            | Action::Unmute => self.notify_not_watched(now),
            _ => return None,
        }
        Some(Vec::new())
    }

    /// Shows the notice for an action that needs a watched session. Such an action must not act on the hidden table.
    fn notify_not_watched(&mut self, now: Moment) {
        self.notify(now, NoticeLevel::Info, "that is for what is watched: Enter watches this one".into());
    }
}
