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
use super::focus::{Pane, Part};
use super::keymap::Action;
use super::model::Model;
use super::notice::Tone;
use super::profiles::ProfileId;
use super::scroll::moved;
use crate::poll::{PollerCommand, Report, ResponseBody};
use keepwatch_core::clock::Moment;
use keepwatch_core::session::{ApiError, Session};
use keepwatch_core::text::Untrusted;

/// How many are kept.
const NEWEST: usize = 200;

/// The requests to the profiles, and the sessions in their replies.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// The request to each profile that was asked.
    pub asked: BTreeMap<ProfileId, Asked>,
    /// The newest sessions of all answers, the newest first.
    pub sessions: Vec<Listed>,
    /// Which of them the keys speak of.
    pub marked: usize,
    /// The first in view.
    pub top: usize,
}

/// The request to one profile, and its outcome.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Whether an answer is on its way.
    pub asking: bool,
    /// Why the newest ask brought nothing.
    pub fault: Option<ApiError>,
    /// When the newest answer came, and how many sessions were in it.
    pub answered: Option<(Moment, usize)>,
}

/// A session of an answer.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The profile whose reply has it.
    pub profile: ProfileId,
    /// The session.
    pub session: Session,
    /// Whose it is.
    pub owner: Option<Untrusted>,
}

impl Recent {
    /// Whether any answer is on its way.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        self.asked.values().any(|asked| asked.asking)
    }

    /// The oldest of the newest answers, and how many sessions were in all of them; `None` before the first.
    #[must_use]
    pub fn answered(&self) -> Option<(Moment, usize)> {
        let answers = self.asked.values().filter_map(|asked| asked.answered);
        answers.reduce(|(at, all), (other, more)| {
            (if other.boot < at.boot { other } else { at }, all.saturating_add(more))
        })
    }

    /// Scrolls so that the marked session is among the `height` visible rows, and no further.
    pub(super) fn scroll_to_marked(&mut self, height: usize) {
        if height > 0 {
            let lowest = self.marked.saturating_add(1).saturating_sub(height);
            self.top = self.top.clamp(lowest, self.marked);
        }
    }

    /// Replaces the sessions of a profile by those of its newest reply. The first reply since the request marks the newest
    /// session; a later one leaves the mark on its session.
    pub fn take(&mut self, profile: ProfileId, at: Moment, listed: Vec<Listed>) {
        let is_first = self.asked.iter().all(|(other, asked)| *other == profile || asked.asking);
        let marked = self.sessions.get(self.marked).map(|listed| listed.session.id.clone());
        let answered = Some((at, listed.len()));
        self.asked.insert(profile, Asked { asking: false, fault: None, answered });
        self.sessions.retain(|listed| listed.profile != profile);
        self.sessions.extend(listed);
        let born = |listed: &Listed| Reverse(listed.session.created.or(listed.session.started));
        self.sessions.sort_by(|a, b| {
            born(a)
                .cmp(&born(b))
                .then_with(|| a.session.id.cmp(&b.session.id))
                .then(a.profile.cmp(&b.profile))
        });
        // A session that two profiles list is listed once.
        self.sessions.dedup_by(|later, first| later.session.id == first.session.id);
        self.sessions.truncate(NEWEST);
        let place = marked.filter(|_| !is_first && self.marked > 0);
        let place = place.and_then(|id| self.sessions.iter().position(|listed| listed.session.id == id));
        let moved = place.unwrap_or(0);
        self.top = if moved == 0 { 0 } else { moved.saturating_sub(self.marked.saturating_sub(self.top)) };
        self.marked = moved;
    }
}

impl Model {
    /// Opens the page, and asks all that are not asked already.
    pub(super) fn ask_recent(&mut self) -> Vec<Effect> {
        self.enter(Pane::Recent);
        let mut effects = Vec::new();
        for profile in self.profiles.ids() {
            if self.profiles.get(profile).info.without_key.is_some() {
                continue;
            }
            let asked = self.recent.asked.entry(profile).or_default();
            if !std::mem::replace(&mut asked.asking, true) {
                effects.push(Effect::AskOf(profile, PollerCommand::ListRecent));
            }
        }
        effects
    }

    /// What came.
    pub(super) fn recent_came(&mut self, profile: ProfileId, report: Report) {
        let asked = self.recent.asked.entry(profile).or_default();
        asked.asking = false;
        let listing = match report.result {
            Ok(ResponseBody::RecentSessions(listing)) => listing,
            Ok(_) => return, // the poller pairs each request with its own reply
            Err(fault) => {
                asked.fault = Some(fault);
                return;
            }
        };
        let key = self.settings.owner_key.as_ref();
        let listed = listing.sessions.into_iter().map(|session| {
            let owner = session.metadata.as_ref().and_then(|metadata| metadata.owner(key));
            Listed { profile, session, owner }
        });
        self.recent.take(profile, report.received, listed.collect());
    }

    /// What keys do on the page; `None` for those that do the same everywhere.
    pub(super) fn act_on_recent(&mut self, action: Action, now: Moment) -> Option<Vec<Effect>> {
        match action {
            Action::Down | Action::Up | Action::First | Action::Last | Action::PageDown | Action::PageUp => {
                let height = self.viewport().recent_rows().max(1);
                self.recent.marked = moved(action, self.recent.marked, height, self.recent.sessions.len());
            }
            Action::Open => {
                let marked = self.recent.sessions.get(self.recent.marked);
                let Some((id, profile)) = marked.map(|listed| (listed.session.id.clone(), listed.profile))
                else {
                    return Some(Vec::new());
                };
                self.enter(Pane::Full(Part::Facts)); // what is being read keeps its row, whatever the filter says
                let mut effects = self.watch_too(id, Some(profile), now);
                effects.extend(self.read_flags());
                return Some(effects);
            }
            Action::Refresh | Action::Recent => return Some(self.ask_recent()),
            Action::CopyConnect
            | Action::CopyMenu
            | Action::Reveal
            | Action::Dashboard
            | Action::Filter
            | Action::Sort
            | Action::Reverse
            | Action::Flagged
            | Action::Mute
            | Action::Unmute => {
                self.say(now, Tone::Plain, "that is for what is watched: Enter watches this one".into());
            }
            _ => return None,
        }
        Some(Vec::new())
    }
}
