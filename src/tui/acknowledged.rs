//! The alerts that the user has acknowledged. An alert that is raised again is unacknowledged again.

use std::collections::HashMap;

use super::profiles::{EventRef, ProfileId, Profiles, TimelineCursors};
use keepwatch_core::session::SessionId;
use keepwatch_core::tracker::{Record, Seq};

/// The number by which the sessions in `per_session` may exceed the sessions on record. If there are more, those that
/// are no longer on record are removed from `per_session`.
const MAX_EXTRA_SESSIONS: usize = 1000;

/// The acknowledged alerts, identified by the events that raised them.
#[derive(Debug, Default)]
pub struct AcknowledgedAlerts {
    /// For each profile, the event before which all of the profile's alerts are acknowledged.
    per_profile: TimelineCursors,
    /// For some sessions, the event of the session's profile before which the session's alerts are acknowledged.
    per_session: HashMap<SessionId, EventRef>,
}

impl AcknowledgedAlerts {
    /// Returns true if the record, which belongs to `profile`, has an unacknowledged alert.
    #[must_use]
    pub fn has_unacknowledged(&self, profile: ProfileId, record: &Record) -> bool {
        let per_session = self.per_session.get(&record.id).filter(|bound| bound.profile == profile);
        let acknowledged_before = per_session.map_or(0, |bound| bound.seq).max(self.per_profile.get(profile));
        record.alerts.iter().any(|raised| raised.seq >= acknowledged_before)
    }

    /// Acknowledges the alerts of a session of `profile`.
    pub(super) fn acknowledge(&mut self, profile: ProfileId, id: &SessionId, profiles: &Profiles) {
        let seq = profiles.get(profile).tracker.timeline().next_seq();
        self.per_session.insert(id.clone(), EventRef { profile, seq });
        if self.per_session.len() > profiles.session_count().saturating_add(MAX_EXTRA_SESSIONS) {
            self.per_session.retain(|id, _| profiles.record(id).is_some());
        }
    }

    /// Acknowledges the alerts that a profile raised before `seq`. All later alerts of the profile become
    /// unacknowledged, even those that [`AcknowledgedAlerts::acknowledge`] has acknowledged.
    pub(super) fn acknowledge_before(&mut self, profile: ProfileId, seq: Seq) {
        self.per_profile.set(profile, seq);
        self.per_session.retain(|_, bound| bound.profile != profile);
    }

    /// Acknowledges all alerts.
    pub(super) fn acknowledge_all(&mut self, profiles: &Profiles) {
        self.per_profile = profiles.cursors_at_end();
        self.per_session.clear();
    }
}
