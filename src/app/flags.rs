//! Which flags the reader knows of. A flag that is raised anew is news again.

use std::collections::HashMap;

use crate::session::SessionId;
use crate::watch::{Fleet, Record, Seq};

/// How many sessions are remembered beyond those on record before the others are forgotten.
const SPARE: usize = 1000;

/// The flags that the reader acknowledged, by the events that raised them.
#[derive(Debug, Default)]
pub struct KnownFlags {
    /// All that were raised before this.
    all: Seq,
    /// Of a session, all that were raised before this.
    of: HashMap<SessionId, Seq>,
}

impl KnownFlags {
    /// Whether the session has a flag that the reader does not know of.
    #[must_use]
    pub fn has_news(&self, record: &Record) -> bool {
        let known = self.of.get(&record.id).copied().unwrap_or(0).max(self.all);
        record.flags.iter().any(|(_, raised)| *raised >= known)
    }

    /// The reader has seen the session's flags.
    pub(super) fn read(&mut self, id: &SessionId, fleet: &Fleet) {
        self.of.insert(id.clone(), fleet.timeline().end());
        if self.of.len() > fleet.len().saturating_add(SPARE) {
            self.of.retain(|id, _| fleet.get(id).is_some());
        }
    }

    /// The reader has seen all flags.
    pub(super) fn read_all(&mut self, fleet: &Fleet) {
        self.all = fleet.timeline().end();
        self.of.clear();
    }
}
