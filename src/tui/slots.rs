//! The slots of a project: how many sessions may run at a time, and how many do.

use super::model::Model;
use super::profiles::ProfileId;
use keepwatch_core::session::Targets;

/// The slots of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// The number of slots in use; `None` unless all sessions of the project are watched.
    pub taken: Option<usize>,
    /// The project's `concurrency`.
    pub all: usize,
    /// The slots in use and the limit, as the newest 429 that named them said.
    pub refused: Option<(u64, u64)>,
}

impl Slots {
    /// True if the API would refuse to create one more session.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.over().is_some()
    }

    /// Returns how far the limit is exceeded, or `None` if a slot is free. (Lowering the limit ends no session.)
    #[must_use]
    pub fn over(&self) -> Option<usize> {
        self.taken?.checked_sub(self.all)
    }
}

impl Model {
    /// Returns the slots of a profile's project, or `None` if its key does not list exactly one project.
    #[must_use]
    pub fn slots(&self, profile: ProfileId) -> Option<Slots> {
        let tracker = &self.profiles.get(profile).tracker;
        let [project] = tracker.projects() else { return None };
        let all = self.settings.targets == Targets::All && self.settings.query.is_none();
        let taken = self.table.rows().slot_usage(profile).map(|usage| usage.taken).filter(|_| all);
        let refused =
            tracker.health().failures.iter().rev().find_map(|failure| failure.error.slots_used_and_limit());
        Some(Slots { taken, all: usize::try_from(project.concurrency?).ok()?, refused })
    }
}
