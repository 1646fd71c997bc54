//! The flags that the user has acknowledged. A flag that is raised again is new again.

use std::collections::HashMap;

use super::profiles::{EventRef, ProfileId, Profiles, ReadCursors};
use keepwatch_core::session::SessionId;
use keepwatch_core::tracker::{Record, Seq};

/// Maximum number of acknowledged sessions that are no longer on record.
const MAX_STALE_SESSIONS: usize = 1000;

/// The acknowledged flags, by the events that raised them.
#[derive(Debug, Default)]
pub struct AcknowledgedAlerts {
    /// Flags of all sessions that were raised before these events.
    per_profile: ReadCursors,
    /// Flags of one session that its profile raised before this event.
    per_session: HashMap<SessionId, EventRef>,
}

impl AcknowledgedAlerts {
    /// True if the record, which is of `profile`, has a flag that is not acknowledged.
    #[must_use]
    pub fn has_unacknowledged(&self, profile: ProfileId, record: &Record) -> bool {
        let session_mark = self.per_session.get(&record.id).filter(|until| until.profile == profile);
        let acknowledged_before =
            session_mark.map_or(0, |until| until.seq).max(self.per_profile.get(profile));
        record.alerts.iter().any(|(_, raised)| *raised >= acknowledged_before)
    }

    /// Acknowledges the flags of a session of `profile`.
    pub(super) fn acknowledge(&mut self, profile: ProfileId, id: &SessionId, profiles: &Profiles) {
        let seq = profiles.get(profile).tracker.timeline().next_seq();
        self.per_session.insert(id.clone(), EventRef { profile, seq });
        if self.per_session.len() > profiles.session_count().saturating_add(MAX_STALE_SESSIONS) {
            self.per_session.retain(|id, _| profiles.record(id).is_some());
        }
    }

    /// Acknowledges the flags that a profile raised before `seq`, and no others of that profile.
    pub(super) fn acknowledge_before(&mut self, profile: ProfileId, seq: Seq) {
        self.per_profile.set(profile, seq);
        self.per_session.retain(|_, until| until.profile != profile);
    }

    /// Acknowledges all flags.
    pub(super) fn acknowledge_all(&mut self, profiles: &Profiles) {
        self.per_profile = profiles.cursors_at_end();
        self.per_session.clear();
    }
}
