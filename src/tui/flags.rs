//! Which flags the reader knows of. A flag that is raised anew is news again.

use std::collections::HashMap;

use super::profiles::{Profiles, ReadCursors};
use keepwatch_core::session::SessionId;
use keepwatch_core::tracker::{Record, Seq};

/// How many sessions are remembered beyond those on record before the others are forgotten.
const SPARE: usize = 1000;

/// The flags that the reader acknowledged, by the events that raised them.
#[derive(Debug, Default)]
pub struct KnownFlags {
    /// All that were raised before this.
    all: ReadCursors,
    /// Of a session, all that were raised before this by the source that it was of.
    of: HashMap<SessionId, (usize, Seq)>,
}

impl KnownFlags {
    /// Whether the session, as this source has it, has a flag that the reader does not know of.
    #[must_use]
    pub fn has_news(&self, source: usize, record: &Record) -> bool {
        let own = self.of.get(&record.id).filter(|(of, _)| *of == source).map_or(0, |(_, seq)| *seq);
        let known = own.max(self.all.of(source));
        record.flags.iter().any(|(_, raised)| *raised >= known)
    }

    /// The reader has seen the session's flags.
    pub(super) fn read(&mut self, id: &SessionId, profiles: &Profiles) {
        let source = profiles.find(id).map_or(0, |(source, _)| source);
        self.of.insert(id.clone(), (source, profiles.source(source).tracker.timeline().end()));
        if self.of.len() > profiles.len().saturating_add(SPARE) {
            self.of.retain(|id, _| profiles.get(id).is_some());
        }
    }

    /// The reader has seen what a source's sessions were flagged for before this, and nothing else of them.
    pub(super) fn read_until(&mut self, source: usize, seq: Seq) {
        self.all.set(source, seq);
        self.of.retain(|_, (of, _)| *of != source);
    }

    /// The reader has seen all flags.
    pub(super) fn read_all(&mut self, profiles: &Profiles) {
        self.all = profiles.end();
        self.of.clear();
    }
}
