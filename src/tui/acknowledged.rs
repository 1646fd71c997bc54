//! The alerts that the user has acknowledged: in this run, in earlier runs, and in other panes. Only a keystroke
//! acknowledges: being on the screen is not enough.
//!
//! ```text
//!   `A`, `Enter` ──► AcknowledgedAlerts ──► SaveAlerts ──► journal ──► other panes, the next run
//!                          ▲                                               │
//!                          └──── AlertsAcknowledged, HistoryLoaded ────────┘
//! ```
//!
//! An acknowledgement belongs to a session and a kind of alert, because each run and each pane observes an alert at
//! another time. The API reports an end only once, so an acknowledged end stays acknowledged. All other alerts can come
//! back: an acknowledgement covers those that were raised before it. If it was made in another pane or run, it also covers
//! those that were raised shortly after it.

use std::collections::{BTreeMap, HashMap};

use chrono::TimeDelta;

use super::effect::Effect;
use super::model::Model;
use super::persistence;
use super::profiles::ProfileId;
use crate::store::journal::StoredAlert;
use keepwatch_core::clock::{Moment, Timestamp, saturating_add};
use keepwatch_core::session::SessionId;
use keepwatch_core::tracker::{Alert, AlertKind, MAX_INCIDENT_AGE, Record, SessionTracker};

/// The number by which the sessions with an acknowledgement may exceed the sessions on record. If there are more, those
/// that are no longer on record are removed.
const MAX_EXTRA_SESSIONS: usize = 10_000;
/// The time after an acknowledgement within which an alert of the same kind counts as the acknowledged one. Panes that poll
/// at different times observe the same alert up to this time apart.
const SAME_ALERT_WITHIN: TimeDelta = TimeDelta::seconds(60);

/// The acknowledged alerts, identified by the session and the kind of alert.
#[derive(Debug, Default)]
pub struct AcknowledgedAlerts {
    per_profile: BTreeMap<ProfileId, HashMap<SessionId, Vec<Acknowledgement>>>,
}

/// The newest acknowledgement of one kind of alert of a session.
#[derive(Clone, Copy, Debug)]
struct Acknowledgement {
    kind: AlertKind,
    /// The time, on the server's clock.
    at: Timestamp,
    /// True if a keystroke in this pane acknowledged the alert. This pane knows exactly which alerts it showed before.
    is_own: bool,
}

impl AcknowledgedAlerts {
    /// Returns true if the record, which belongs to `profile`, has an unacknowledged alert.
    #[must_use]
    pub fn has_unacknowledged(&self, profile: ProfileId, record: &Record) -> bool {
        record.alerts.iter().any(|raised| !self.covers(profile, &record.id, raised.alert, raised.at))
    }

    /// Returns true if the alert of a session of `profile` is acknowledged. `raised_at` is a time on the server's clock.
    #[must_use]
    pub(super) fn covers(
        &self,
        profile: ProfileId,
        id: &SessionId,
        alert: Alert,
        raised_at: Timestamp,
    ) -> bool {
        let of_session = self.per_profile.get(&profile).and_then(|sessions| sessions.get(id));
        let Some(newest) = of_session.and_then(|all| all.iter().find(|known| known.kind == alert.kind()))
        else {
            return false;
        };
        let until = if newest.is_own {
            newest.at
        } else {
            newest.at.checked_add_signed(SAME_ALERT_WITHIN).unwrap_or(newest.at)
        };
        // promise: condition-returns, mutant: raised_at <= until -> true
        alert.is_about_end() || raised_at <= until
    }

    /// Acknowledges the alerts of this kind that a session had at the time `at`, on the server's clock. Returns true
    /// unless an acknowledgement at that time or later is known.
    fn acknowledge(
        &mut self,
        profile: ProfileId,
        id: &SessionId,
        kind: AlertKind,
        at: Timestamp,
        is_own: bool,
    ) -> bool {
        let sessions = self.per_profile.entry(profile).or_default();
        if !sessions.contains_key(id) {
            sessions.insert(id.clone(), Vec::new());
        }
        let Some(of_session) = sessions.get_mut(id) else { return false };
        match of_session.iter_mut().find(|known| known.kind == kind) {
            Some(known) if known.at >= at => return false,
            Some(known) => *known = Acknowledgement { kind, at, is_own },
            None => of_session.push(Acknowledgement { kind, at, is_own }),
        }
        true
    }

    /// Adds the acknowledgements of the alerts that the journal has of a profile's sessions. Incidents that were raised
    /// [`MAX_INCIDENT_AGE`] ago or earlier count as acknowledged. `now` is the time on the server's clock. Returns true if
    /// an acknowledgement is new.
    pub(super) fn add_stored(&mut self, profile: ProfileId, alerts: &[StoredAlert], now: Timestamp) -> bool {
        let mut is_changed = false;
        for alert in alerts {
            let expired_at = Some(saturating_add(alert.raised, MAX_INCIDENT_AGE)).filter(|at| *at <= now);
            // promise: sighting-acknowledges-nothing, mutant: alert.acknowledged.or(expired_at) -> Some(alert.raised)
            if let Some(at) = alert.acknowledged.or(expired_at) {
                is_changed |= self.acknowledge(profile, &alert.session, alert.kind, at, false);
            }
        }
        is_changed
    }

    /// Removes the sessions of which `tracker` has no record, if there are too many sessions.
    pub(super) fn limit(&mut self, profile: ProfileId, tracker: &SessionTracker) {
        if let Some(sessions) = self.per_profile.get_mut(&profile)
            && sessions.len() > tracker.len().saturating_add(MAX_EXTRA_SESSIONS)
        {
            sessions.retain(|id, _| tracker.get(id).is_some());
        }
    }
}

impl Model {
    /// Acknowledges the alerts of one session of `profile`. Returns the effects that store the acknowledgements and update
    /// the title.
    pub(super) fn acknowledge_session(
        &mut self,
        profile: ProfileId,
        id: &SessionId,
        now: Moment,
    ) -> Vec<Effect> {
        let effects = self.acknowledge_where(profile, |record| record.id == *id, now);
        self.rebuild_rows();
        effects.into_iter().chain(self.update_title()).collect()
    }

    /// Acknowledges all alerts. Returns the effects that store the acknowledgements and update the title.
    pub(super) fn acknowledge_all(&mut self, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        for profile in self.profiles.ids() {
            effects.extend(self.acknowledge_where(profile, |_| true, now));
        }
        self.rebuild_rows();
        effects.extend(self.update_title());
        effects
    }

    /// Acknowledges the alerts of the sessions of `profile` that match. Returns the effects that store the
    /// acknowledgements.
    fn acknowledge_where(
        &mut self,
        profile: ProfileId,
        matches: impl Fn(&Record) -> bool,
        now: Moment,
    ) -> Vec<Effect> {
        let state = self.profiles.get(profile);
        let at = state.tracker.clock().at(now);
        let mut newly_acknowledged = Vec::new();
        for record in state.tracker.records().filter(|record| !record.alerts.is_empty() && matches(record)) {
            for raised in &record.alerts {
                if !self.acknowledged.covers(profile, &record.id, raised.alert, raised.at) {
                    // The estimate of the server's clock may have gone back since the alert was raised.
                    let at = at.max(raised.at);
                    self.acknowledged.acknowledge(profile, &record.id, raised.alert.kind(), at, true);
                    newly_acknowledged.push((&record.id, *raised, Some(at)));
                }
            }
        }
        self.acknowledged.limit(profile, &state.tracker);
        let command = state
            .persistence
            .as_ref()
            .and_then(|persistence| persistence.save_alerts(&state.tracker, newly_acknowledged));
        // promise: acknowledgement-saved, mutant: command.into_iter() -> command.into_iter().take(0)
        persistence::effects(profile, command.into_iter().collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwatch_core::clock::Timestamp;
    use keepwatch_core::testing::id;

    #[test]
    fn sessions_without_record_are_removed_above_limit() {
        let (mut acknowledged, tracker) = (AcknowledgedAlerts::default(), SessionTracker::default());
        let (kind, at) = (Alert::Error.kind(), Timestamp::UNIX_EPOCH);
        let count = |acknowledged: &AcknowledgedAlerts| acknowledged.per_profile[&ProfileId::FIRST].len();
        for number in 0..MAX_EXTRA_SESSIONS {
            acknowledged.acknowledge(ProfileId::FIRST, &id(&format!("s-{number}")), kind, at, true);
        }
        acknowledged.limit(ProfileId::FIRST, &tracker);
        assert_eq!(count(&acknowledged), MAX_EXTRA_SESSIONS);
        acknowledged.acknowledge(ProfileId::FIRST, &id("one-more"), kind, at, true);
        acknowledged.limit(ProfileId::FIRST, &tracker);
        assert_eq!(count(&acknowledged), 0);
    }
}
