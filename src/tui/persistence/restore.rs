//! Restores the sessions that earlier runs saw during the last day, and those with an incident that nobody acknowledged.
//! Pure.
//!
//! ```text
//!   ScopeUnknown ──ids or projects known──► Loading ──history loaded──► Done
//!        │                                     │                         ▲
//!        └──────── more than 256 inputs ───────┴─────────────────────────┘
//! ```
//!
//! Inputs are buffered until the history is loaded. The buffered inputs are then applied to the loaded tracker, which
//! replaces this run's tracker. `history_loader` reads the journal.

use std::collections::BTreeSet;

use super::{JournalScope, ProfilePersistence, effects};
use crate::poll::PollerCommand;
use crate::store::history::HistoryScope;
use crate::store::journal::StoredAlert;
use crate::tui::effect::Effect;
use crate::tui::model::Model;
use crate::tui::profiles::ProfileId;
use crate::tui::settings::Settings;
use keepwatch_core::session::{List, MetadataPath, Phase, SessionId, Targets};
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::{AlertRules, Input, Record, Scope, SessionTracker};

/// Maximum number of buffered inputs. If more come before the history is loaded, this run continues without the
/// history.
const MAX_BUFFERED: usize = 256;

/// A request for a tracker with the history of some sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRequest {
    /// The sessions to load.
    pub scope: HistoryScope,
    /// This run and its host. Entries of this run and of other hosts are skipped.
    pub writer: JournalScope,
    /// True if the sessions are named on the command line.
    pub are_named: bool,
    /// Thresholds of the tracker's alerts.
    pub alert_rules: AlertRules,
    /// Path of the owner in a session's metadata.
    pub owner_key: Option<MetadataPath>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RestoreState {
    /// The sessions to load are not known yet.
    ScopeUnknown,
    /// The history thread is reading.
    Loading,
    /// The history is loaded, or too many inputs came before it.
    Done,
}

/// The restore of one profile.
#[derive(Debug)]
pub(super) struct Restore {
    state: RestoreState,
    /// The inputs of this run, until the history is loaded.
    buffered: Vec<Input>,
    targets: Targets,
    /// True if the API filters the lists by a query.
    is_filtered: bool,
    alert_rules: AlertRules,
    owner_key: Option<MetadataPath>,
}

impl Restore {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            state: RestoreState::ScopeUnknown,
            buffered: Vec::new(),
            targets: settings.targets.clone(),
            is_filtered: settings.query.is_some(),
            alert_rules: settings.alert_rules.clone(),
            owner_key: settings.owner_key.clone(),
        }
    }

    #[cfg(test)]
    pub(super) fn for_targets(targets: Targets) -> Self {
        let (alert_rules, owner_key) = (AlertRules::default(), None);
        let (state, buffered, is_filtered) = (RestoreState::ScopeUnknown, Vec::new(), false);
        Self { state, buffered, targets, is_filtered, alert_rules, owner_key }
    }

    /// Buffers an input of this run, or ends the restore if there are too many.
    pub(super) fn buffer(&mut self, input: &Input) {
        if self.state == RestoreState::Done {
            return;
        }
        if self.buffered.len() < MAX_BUFFERED {
            self.buffered.push(input.clone());
        } else {
            self.finish();
        }
    }

    /// Returns the request as soon as the inputs determine which sessions to load. Returns `None` before and
    /// afterwards.
    pub(super) fn request(
        &mut self,
        tracker: &SessionTracker,
        writer: &JournalScope,
    ) -> Option<HistoryRequest> {
        if self.state != RestoreState::ScopeUnknown {
            return None;
        }
        let request = HistoryRequest {
            scope: self.scope(tracker)?,
            writer: writer.clone(),
            are_named: matches!(self.targets, Targets::Ids(_)),
            alert_rules: self.alert_rules.clone(),
            owner_key: self.owner_key.clone(),
        };
        self.state = RestoreState::Loading;
        Some(request)
    }

    /// Ends the restore. Returns the buffered inputs, or `None` if it had ended before.
    pub(super) fn finish(&mut self) -> Option<Vec<Input>> {
        let was_pending = self.state != RestoreState::Done;
        self.state = RestoreState::Done;
        was_pending.then(|| std::mem::take(&mut self.buffered))
    }

    /// Returns the sessions to load, or `None` if the inputs do not determine them yet:
    ///
    /// - the named sessions, if sessions are named
    /// - the sessions in the lists, if a query or a single list narrows them: only the API knows which sessions match
    /// - otherwise all sessions of the projects
    fn scope(&self, tracker: &SessionTracker) -> Option<HistoryScope> {
        let listed_scope =
            |lists: &[List]| listed_sessions(&self.buffered, lists).map(HistoryScope::Sessions);
        match &self.targets {
            Targets::Ids(ids) => Some(HistoryScope::Sessions(ids.clone())),
            Targets::OneList(list) => listed_scope(std::slice::from_ref(list)),
            Targets::All if self.is_filtered => listed_scope(&List::ALL),
            Targets::All => {
                let projects = tracker.projects().iter().map(|project| project.id.clone());
                let session_projects =
                    tracker.records().filter_map(|record| record.session.as_ref()?.project.clone());
                let projects: BTreeSet<Untrusted> = projects.chain(session_projects).collect();
                (!projects.is_empty()).then(|| HistoryScope::Projects(projects.into_iter().collect()))
            }
        }
    }
}

/// Returns the sessions of the newest response to each of `lists`, or `None` until there is a response to each.
fn listed_sessions(inputs: &[Input], lists: &[List]) -> Option<Vec<SessionId>> {
    let newest = |list: &List| {
        inputs.iter().rev().find_map(|input| match input {
            Input::SessionsReceived { scope: Scope::List(listed), sessions, .. } if listed == list => {
                Some(sessions)
            }
            _ => None,
        })
    };
    let responses: Vec<_> = lists.iter().map(newest).collect::<Option<_>>()?;
    Some(responses.into_iter().flatten().map(|session| session.id.clone()).collect())
}

/// Returns true if the session may still run.
fn may_run(record: &Record) -> bool {
    record.phase() != Phase::Ended && !record.is_not_found()
}

impl Model {
    /// Replaces a profile's tracker by the loaded one, and applies the buffered inputs to it. Acknowledges nothing: an
    /// incident that nobody saw must not be missed. `alerts` are the alerts in the journal.
    pub(super) fn restore(
        &mut self,
        profile: ProfileId,
        tracker: Option<Box<SessionTracker>>,
        alerts: &[StoredAlert],
    ) -> Vec<Effect> {
        let persistence = self.profiles.get_mut(profile).persistence.as_mut();
        let Some(buffered) = persistence.and_then(ProfilePersistence::finish_restore) else {
            return Vec::new();
        };
        let Some(mut tracker) = tracker.map(|tracker| *tracker) else { return Vec::new() };
        let state = self.profiles.get_mut(profile);
        // This run has no record of these sessions. Some may have ended between the runs. No list contains those, so
        // the poller requests each session.
        let unseen: Vec<SessionId> = tracker
            .records()
            .filter(|record| may_run(record) && state.tracker.get(&record.id).is_none())
            .map(|record| record.id.clone())
            .collect();
        for input in buffered {
            tracker.apply(input);
        }
        let save_alerts = state
            .persistence
            .as_mut()
            .and_then(|persistence| persistence.on_tracker_restored(&tracker, alerts));
        state.tracker = tracker;
        self.read_cursors = self.profiles.cursors_at_end();
        self.scroll.follow_newest();
        self.rebuild_rows();
        let track_unseen = (!unseen.is_empty())
            .then_some(Effect::SendToPoller(profile, PollerCommand::TrackEarlierSessions(unseen)));
        let save_alerts = effects(profile, save_alerts.into_iter().collect());
        save_alerts.chain(track_unseen).chain(self.update_title()).collect()
    }
}

#[cfg(test)]
mod tests;
