//! The flags that the user has acknowledged. A flag that is raised again is new again.

use std::collections::HashMap;

use super::profiles::{EventRef, ProfileId, Profiles, ReadCursors};
use keepwatch_core::session::SessionId;
use keepwatch_core::tracker::{Record, Seq};

/// Maximum number of acknowledged sessions that are no longer on record.
const SPARE: usize = 1000;

/// The acknowledged flags, by the events that raised them.
#[derive(Debug, Default)]
pub struct KnownFlags {
    /// Flags of all sessions that were raised before these events.
    all: ReadCursors,
    /// Flags of one session that its profile raised before this event.
    sessions: HashMap<SessionId, EventRef>,
}

impl KnownFlags {
    /// True if the record, which is of `profile`, has a flag that is not acknowledged.
    #[must_use]
    pub fn has_news(&self, profile: ProfileId, record: &Record) -> bool {
        let own = self.sessions.get(&record.id).filter(|until| until.profile == profile);
        let known = own.map_or(0, |until| until.seq).max(self.all.get(profile));
        record.alerts.iter().any(|(_, raised)| *raised >= known)
    }

    /// Acknowledges the flags of a session of `profile`.
    pub(super) fn read(&mut self, profile: ProfileId, id: &SessionId, profiles: &Profiles) {
        let seq = profiles.get(profile).tracker.timeline().next_seq();
        self.sessions.insert(id.clone(), EventRef { profile, seq });
        if self.sessions.len() > profiles.session_count().saturating_add(SPARE) {
            self.sessions.retain(|id, _| profiles.record(id).is_some());
        }
    }

    /// Acknowledges the flags that a profile raised before `seq`, and no others of that profile.
    pub(super) fn read_until(&mut self, profile: ProfileId, seq: Seq) {
        self.all.set(profile, seq);
        self.sessions.retain(|_, until| until.profile != profile);
    }

    /// Acknowledges all flags.
    pub(super) fn read_all(&mut self, profiles: &Profiles) {
        self.all = profiles.cursors_at_end();
        self.sessions.clear();
    }
}
