//! The model while it shows a recording: the progress of the replay, and the differences from live sessions.

use super::acknowledged::AcknowledgedAlerts;
use super::effect::Effect;
use super::keymap::Action;
use super::model::Model;
use super::notice::NoticeLevel;
use super::profiles::{ProfileId, TimelineCursors};
use keepwatch_core::clock::Moment;
use keepwatch_core::tracker::{Input, SessionTracker};

/// The progress of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayProgress {
    /// True while the recording plays, false while it is paused.
    pub is_playing: bool,
    /// The number of events up to the current position. Events that the same input caused count as one.
    pub current_event: usize,
    /// The number of events in the recording, counted in the same way.
    pub total_events: usize,
}

impl Model {
    /// Returns an empty tracker with this model's settings.
    pub(super) fn new_tracker(&self) -> SessionTracker {
        SessionTracker::new(self.settings.alert_rules.clone()).with_owner_key(self.settings.owner_key.clone())
    }

    /// Applies an input of a recording. Rings no bell, because the alerts happened in the past.
    pub(super) fn apply_replayed(&mut self, profile: ProfileId, input: Input) {
        self.profiles.apply(profile, input);
        if !self.table.is_up_to_date(&self.profiles) {
            self.rebuild_rows();
        }
    }

    /// Removes all sessions and events. The filter and the sort order stay.
    pub(super) fn clear_sessions(&mut self) {
        self.profiles.reset(&self.settings.alert_rules, self.settings.owner_key.as_ref());
        self.acknowledged = AcknowledgedAlerts::default();
        self.read_cursors = TimelineCursors::default();
        self.scroll.follow_newest();
        self.rebuild_rows();
    }

    /// Prepares the model for the first frame of a replay. Returns the first effects.
    pub(super) fn start_replay(&mut self, now: Moment) -> Vec<Effect> {
        self.rebuild_rows();
        if let Some((level, text)) = self.settings.startup_notice.take() {
            self.notify(now, level, text);
        }
        self.update_title().into_iter().collect()
    }

    /// Returns the effect that plays or pauses the recording.
    pub(super) fn toggle_playback(&self) -> Vec<Effect> {
        self.replay.map(|replay| Effect::Play(!replay.is_playing)).into_iter().collect()
    }

    /// Returns true if `action` needs the API, which a replay does not have.
    pub(super) fn needs_api(action: Action) -> bool {
        matches!(
            action,
            Action::CopyConnect
                | Action::Reveal
                | Action::Release
                | Action::Refresh
                | Action::Recent
                | Action::AddSession
        )
    }

    /// Shows a notice that a replay cannot request anything from the API.
    pub(super) fn notify_unavailable_in_replay(&mut self, now: Moment) {
        self.notify(now, NoticeLevel::Error, "this is a recording: nothing can be asked for".into());
    }
}
