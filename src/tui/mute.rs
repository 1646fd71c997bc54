//! Sessions that the reader does not want to hear of: they have no row, and their flags neither count nor ring. Pure.
//!
//! Muting hides; it never stops the polling, and the counts of statuses go on counting them.

use std::collections::HashSet;

use super::model::{Effect, Model, Tone};
use keepwatch_core::clock::Moment;
use keepwatch_core::session::SessionId;
use keepwatch_core::tracker::Event;

/// The sessions that are muted.
#[derive(Clone, Debug, Default)]
pub struct Muted(HashSet<SessionId>);

impl Muted {
    /// Whether this one is.
    #[must_use]
    pub fn has(&self, id: &SessionId) -> bool {
        self.0.contains(id)
    }

    /// Mutes this one no more.
    pub(super) fn forget(&mut self, id: &SessionId) {
        self.0.remove(id);
    }

    /// Whether an event is of one that is.
    pub(super) fn silences(&self, event: &Event) -> bool {
        event.id.as_ref().is_some_and(|id| self.has(id))
    }
}

impl FromIterator<SessionId> for Muted {
    fn from_iter<I: IntoIterator<Item = SessionId>>(ids: I) -> Self {
        Self(ids.into_iter().collect())
    }
}

impl Model {
    /// Hides the selected session.
    pub(super) fn mute(&mut self, now: Moment) -> Vec<Effect> {
        let Some(id) = self.selected.clone() else {
            self.say(now, Tone::Bad, "no session is selected".into());
            return Vec::new();
        };
        let shown = id.start(8);
        self.muted.0.retain(|id| self.fleets.get(id).is_some()); // what is forgotten is muted no more
        self.muted.0.insert(id);
        self.arrange();
        self.say(now, Tone::Plain, format!("{shown} is muted; M shows it again"));
        self.retitle().into_iter().collect()
    }

    /// Shows all that were hidden.
    pub(super) fn unmute(&mut self, now: Moment) -> Vec<Effect> {
        let count = self.rows.counts().muted;
        self.muted = Muted::default();
        self.arrange();
        let text = match count {
            0 => "no session is muted".into(),
            1 => "the session that was muted is shown again".into(),
            many => format!("the {many} sessions that were muted are shown again"),
        };
        self.say(now, Tone::Plain, text);
        self.retitle().into_iter().collect()
    }
}
