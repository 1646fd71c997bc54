//! The newest sessions of the project in whatever state: asked for once, when the reader says so, and never polled. Of
//! several sources all are asked, and what they answer is one list. Pure.
//!
//! ```text
//!   R ──► asking ──┬── a list ──► the newest of it ── Enter ──► watched like a named one, its details open
//!          ▲       └── a fault ─► said; what came before stays
//!          └────────── r, R
//! ```
//!
//! Nothing here goes into the fleet: what ended before anybody watched is no observation of ours.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::effect::Effect;
use super::focus::{Pane, Part};
use super::keymap::Action;
use super::model::Model;
use super::notice::Tone;
use super::scroll::moved;
use crate::poll::{Ask, Reply, Report};
use keepwatch_core::clock::Moment;
use keepwatch_core::session::{Fault, Session};
use keepwatch_core::text::Untrusted;

/// How many are kept.
const NEWEST: usize = 200;

/// What was asked, and what came: of each source that was, and of all together.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// By the source.
    pub asked: BTreeMap<usize, Asked>,
    /// The newest sessions of all answers, the newest first.
    pub sessions: Vec<Listed>,
    /// Which of them the keys speak of.
    pub marked: usize,
    /// The first in view.
    pub top: usize,
}

/// What was asked of one source.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Whether an answer is on its way.
    pub asking: bool,
    /// Why the newest ask brought nothing.
    pub fault: Option<Fault>,
    /// When the newest answer came, and how many sessions were in it.
    pub answered: Option<(Moment, usize)>,
}

/// A session of an answer.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Whose answer.
    pub source: usize,
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

    /// Takes an answer in: what the source said before goes. Where it is the first since the asking, the newest is marked;
    /// another moves nothing away from the keys.
    pub fn take(&mut self, source: usize, at: Moment, listed: Vec<Listed>) {
        let is_first = self.asked.iter().all(|(other, asked)| *other == source || asked.asking);
        let marked = self.sessions.get(self.marked).map(|listed| listed.session.id.clone());
        let answered = Some((at, listed.len()));
        self.asked.insert(source, Asked { asking: false, fault: None, answered });
        self.sessions.retain(|listed| listed.source != source);
        self.sessions.extend(listed);
        let born = |listed: &Listed| Reverse(listed.session.created.or(listed.session.started));
        self.sessions.sort_by(|a, b| {
            born(a).cmp(&born(b)).then_with(|| a.session.id.cmp(&b.session.id)).then(a.source.cmp(&b.source))
        });
        // What two sources have is one session.
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
        for source in self.profiles.numbers() {
            if self.profiles.source(source).info.without_key.is_some() {
                continue;
            }
            let asked = self.recent.asked.entry(source).or_default();
            if !std::mem::replace(&mut asked.asking, true) {
                effects.push(Effect::AskOf(source, Ask::Recent));
            }
        }
        effects
    }

    /// What came.
    pub(super) fn recent_came(&mut self, source: usize, report: Report) {
        let asked = self.recent.asked.entry(source).or_default();
        asked.asking = false;
        let listing = match report.outcome {
            Ok(Reply::Recent(listing)) => listing,
            Ok(_) => return, // the poller pairs each request with its own reply
            Err(fault) => {
                asked.fault = Some(fault);
                return;
            }
        };
        let key = self.settings.owner_key.as_ref();
        let listed = listing.sessions.into_iter().map(|session| {
            let owner = session.metadata.as_ref().and_then(|metadata| metadata.owner(key));
            Listed { source, session, owner }
        });
        self.recent.take(source, report.received, listed.collect());
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
                let Some((id, source)) = marked.map(|listed| (listed.session.id.clone(), listed.source))
                else {
                    return Some(Vec::new());
                };
                self.enter(Pane::Full(Part::Facts)); // what is being read keeps its row, whatever the filter says
                let mut effects = self.watch_too(id, Some(source), now);
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
