//! The model while it shows a recording: how far it is played, and what differs from live sessions.

use super::acknowledged::AcknowledgedAlerts;
use super::effect::Effect;
use super::keymap::Action;
use super::model::Model;
use super::notice::NoticeLevel;
use super::profiles::{ProfileId, ReadCursors};
use keepwatch_core::clock::Moment;
use keepwatch_core::tracker::{Input, SessionTracker};

/// How far a recording is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayProgress {
    /// True while its time goes on by itself.
    pub is_playing: bool,
    /// The number of its events that have happened.
    pub current_event: usize,
    /// The number of its events.
    pub total_events: usize,
}

impl Model {
    /// Returns a tracker that has seen nothing, with this model's settings.
    pub(super) fn new_tracker(&self) -> SessionTracker {
        SessionTracker::new(self.settings.thresholds.clone()).with_owner_key(self.settings.owner_key.clone())
    }

    /// Applies an input of a recording. It rings no bell, because what it tells is past.
    pub(super) fn apply_replayed(&mut self, profile: ProfileId, input: Input) {
        self.profiles.apply(profile, input);
        if !self.table.is_up_to_date(&self.profiles) {
            self.rebuild_rows();
        }
    }

    /// Forgets all sessions and events. Filter and order stay.
    pub(super) fn clear_sessions(&mut self) {
        self.profiles.reset(&self.settings.thresholds, self.settings.owner_key.as_ref());
        self.acknowledged = AcknowledgedAlerts::default();
        self.read_cursors = ReadCursors::default();
        self.scroll.follow_newest();
        self.rebuild_rows();
    }

    pub(super) fn start_replay(&mut self, now: Moment) -> Vec<Effect> {
        self.rebuild_rows();
        if let Some((tone, greeting)) = self.settings.startup_notice.take() {
            self.notify(now, tone, greeting);
        }
        self.update_title().into_iter().collect()
    }

    /// Plays or pauses the recording.
    pub(super) fn toggle_playback(&self) -> Vec<Effect> {
        self.replay.map(|replay| Effect::Play(!replay.is_playing)).into_iter().collect()
    }

    /// True if `action` needs the API, which a recording does not have.
    pub(super) fn needs_api(action: Action) -> bool {
        use Action as A;
        matches!(action, A::CopyConnect | A::Reveal | A::Release | A::Refresh | A::Recent | A::AddSession)
    }

    pub(super) fn notify_unavailable_in_replay(&mut self, now: Moment) {
        self.notify(now, NoticeLevel::Error, "this is a recording: nothing can be asked for".into());
    }
}
