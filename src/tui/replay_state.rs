//! The model while it shows a recording: how far it is played, and what differs from live sessions.

use super::effect::Effect;
use super::flags::KnownFlags;
use super::keymap::Action;
use super::model::Model;
use super::notice::Tone;
use super::profiles::{ProfileId, ReadCursors};
use keepwatch_core::clock::Moment;
use keepwatch_core::tracker::{Input, SessionTracker};

/// How far a recording is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// True while its time goes on by itself.
    pub playing: bool,
    /// The number of its events that have happened.
    pub event: usize,
    /// The number of its events.
    pub events: usize,
}

impl Model {
    /// Returns a tracker that has seen nothing, with this model's settings.
    pub(super) fn empty_fleet(&self) -> SessionTracker {
        SessionTracker::new(self.settings.thresholds.clone()).with_owner_key(self.settings.owner_key.clone())
    }

    /// Applies an input of a recording. It rings no bell, because what it tells is past.
    pub(super) fn replay_input(&mut self, profile: ProfileId, input: Input) {
        self.profiles.apply(profile, input);
        if !self.table.is_current(&self.profiles) {
            self.rebuild_rows();
        }
    }

    /// Forgets all sessions and events. Filter and order stay.
    pub(super) fn forget_all(&mut self) {
        self.profiles.forget(&self.settings.thresholds, self.settings.owner_key.as_ref());
        self.known = KnownFlags::default();
        self.read_until = ReadCursors::default();
        self.scroll.follow_newest();
        self.rebuild_rows();
    }

    pub(super) fn begin_replay(&mut self, now: Moment) -> Vec<Effect> {
        self.rebuild_rows();
        if let Some((tone, greeting)) = self.settings.greeting.take() {
            self.say(now, tone, greeting);
        }
        self.retitle().into_iter().collect()
    }

    /// Plays or pauses the recording.
    pub(super) fn toggle_play(&self) -> Vec<Effect> {
        self.replay.map(|replay| Effect::Play(!replay.playing)).into_iter().collect()
    }

    /// True if `action` needs the API, which a recording does not have.
    pub(super) fn needs_api(action: Action) -> bool {
        use Action as A;
        matches!(action, A::CopyConnect | A::Reveal | A::Release | A::Refresh | A::Recent | A::Add)
    }

    pub(super) fn say_recorded(&mut self, now: Moment) {
        self.say(now, Tone::Bad, "this is a recording: nothing can be asked for".into());
    }
}
