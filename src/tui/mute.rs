//! Muted sessions. A muted session has no row. Its alerts are not counted, and they ring no bell. Pure.
//!
//! Muting only hides a session. The session is still polled, and still counted by its status.

use std::collections::HashSet;

use super::effect::Effect;
use super::model::Model;
use super::notice::NoticeLevel;
use super::profiles::Profiles;
use keepwatch_core::clock::Moment;
use keepwatch_core::session::SessionId;
use keepwatch_core::tracker::Event;

/// The muted sessions.
#[derive(Clone, Debug, Default)]
pub struct MutedSessions(HashSet<SessionId>);

impl MutedSessions {
    /// Returns true if the session is muted.
    #[must_use]
    pub fn contains(&self, id: &SessionId) -> bool {
        self.0.contains(id)
    }

    /// Mutes a session.
    fn insert(&mut self, id: SessionId) {
        self.0.insert(id);
    }

    /// Removes the sessions that are no longer on record.
    fn remove_evicted(&mut self, profiles: &Profiles) {
        self.0.retain(|id| profiles.record(id).is_some());
    }

    /// Unmutes a session.
    pub(super) fn remove(&mut self, id: &SessionId) {
        self.0.remove(id);
    }

    /// Returns true if the event belongs to a muted session.
    pub(super) fn mutes_event(&self, event: &Event) -> bool {
        event.id.as_ref().is_some_and(|id| self.contains(id))
    }
}

impl FromIterator<SessionId> for MutedSessions {
    fn from_iter<I: IntoIterator<Item = SessionId>>(ids: I) -> Self {
        Self(ids.into_iter().collect())
    }
}

impl Model {
    /// Mutes the selected session.
    pub(super) fn mute_selected(&mut self, now: Moment) -> Vec<Effect> {
        let Some(id) = self.table.selected().cloned() else {
            self.notify(now, NoticeLevel::Error, "no session is selected".into());
            return Vec::new();
        };
        let short_id = id.prefix(8);
        self.table.muted_mut().remove_evicted(&self.profiles);
        self.table.muted_mut().insert(id);
        self.rebuild_rows();
        self.notify(now, NoticeLevel::Info, format!("{short_id} is muted; M shows it again"));
        self.update_title().into_iter().collect()
    }

    /// Unmutes all sessions.
    pub(super) fn unmute_all(&mut self, now: Moment) -> Vec<Effect> {
        let count = self.table.rows().counts().muted;
        *self.table.muted_mut() = MutedSessions::default();
        self.rebuild_rows();
        let text = match count {
            0 => "no session is muted".into(),
            1 => "the session that was muted is shown again".into(),
            many => format!("the {many} sessions that were muted are shown again"),
        };
        self.notify(now, NoticeLevel::Info, text);
        self.update_title().into_iter().collect()
    }
}
