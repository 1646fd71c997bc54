//! The newest sessions of the project in whatever state: asked for once, when the reader says so, and never polled. Pure.
//!
//! ```text
//!   R ──► asking ──┬── a list ──► the newest of it ── Enter ──► watched like a named one, its details open
//!          ▲       └── a fault ─► said; what came before stays
//!          └────────── r, R
//! ```
//!
//! Nothing here goes into the fleet: what ended before anybody watched is no observation of ours.

use std::cmp::Reverse;

use super::keys::Action;
use super::model::{Effect, Model, Pane, Part, Tone};
use super::press::moved;
use crate::clock::Moment;
use crate::poll::{Ask, Reply, Report};
use crate::session::{Fault, Session};
use crate::text::Untrusted;
use crate::view;

/// How many are kept.
const NEWEST: usize = 200;

/// What was asked, and what came.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// Whether an answer is on its way.
    pub asking: bool,
    /// Why the newest ask brought nothing.
    pub fault: Option<Fault>,
    /// The newest answer.
    pub listed: Option<Listed>,
    /// Which of its sessions the keys speak of.
    pub marked: usize,
    /// The first in view.
    pub top: usize,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Listed {
    /// When it came.
    pub at: Moment,
    /// The newest sessions, the newest first, each with whose it is.
    pub sessions: Vec<(Session, Option<Untrusted>)>,
    /// How many there were in all.
    pub all: usize,
}

impl Model {
    /// Opens the page, and asks.
    pub(super) fn ask_recent(&mut self) -> Vec<Effect> {
        self.enter(Pane::Recent);
        if std::mem::replace(&mut self.recent.asking, true) {
            return Vec::new();
        }
        vec![Effect::Ask(Ask::Recent)]
    }

    /// What came.
    pub(super) fn recent_came(&mut self, report: Report) {
        self.recent.asking = false;
        let listing = match report.outcome {
            Ok(Reply::Recent(listing)) => listing,
            Ok(_) => return, // the poller pairs each request with its own reply
            Err(fault) => {
                self.recent.fault = Some(fault);
                return;
            }
        };
        let key = self.settings.owner_key.as_ref();
        let mut sessions = listing.sessions;
        let all = sessions.len();
        sessions.sort_by(|a, b| {
            let born = |session: &Session| Reverse(session.created.or(session.started));
            born(a).cmp(&born(b)).then_with(|| a.id.cmp(&b.id))
        });
        sessions.truncate(NEWEST);
        let owned = sessions.into_iter().map(|session| {
            let owner = session.metadata.as_ref().and_then(|metadata| metadata.owner(key));
            (session, owner)
        });
        let listed = Listed { at: report.received, sessions: owned.collect(), all };
        self.recent = Recent { listed: Some(listed), ..Recent::default() };
    }

    /// What keys do on the page; `None` for those that do the same everywhere.
    pub(super) fn act_on_recent(&mut self, action: Action, now: Moment) -> Option<Vec<Effect>> {
        match action {
            Action::Down | Action::Up | Action::First | Action::Last | Action::PageDown | Action::PageUp => {
                let count = self.recent.listed.as_ref().map_or(0, |listed| listed.sessions.len());
                let height = view::recent_height(self).max(1);
                let place = moved(action, self.recent.marked, height, count);
                let lowest = place.saturating_add(1).saturating_sub(height);
                (self.recent.marked, self.recent.top) = (place, self.recent.top.clamp(lowest, place));
            }
            Action::Open => {
                let listed = self.recent.listed.as_ref();
                let marked = listed.and_then(|listed| listed.sessions.get(self.recent.marked));
                let Some(id) = marked.map(|(session, _)| session.id.clone()) else { return Some(Vec::new()) };
                self.enter(Pane::Full(Part::Facts)); // what is being read keeps its row, whatever the filter says
                let mut effects = self.watch_too(id, now);
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
