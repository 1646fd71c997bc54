//! The slots of a project: how many sessions may run at a time, and how many do.

use super::model::Model;
use super::profiles::ProfileId;
use keepwatch_core::session::Targets;

/// The slots of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProjectSlots {
    /// The number of slots in use; `None` unless all sessions of the project are watched.
    pub used: Option<usize>,
    /// The project's `concurrency`.
    pub limit: usize,
    /// The slots in use and the limit, as the newest 429 that named them said.
    pub last_limit_error: Option<(u64, u64)>,
}

impl ProjectSlots {
    /// True if the API would refuse to create one more session.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.excess().is_some()
    }

    /// Returns how far the limit is exceeded, or `None` if a slot is free. (Lowering the limit ends no session.)
    #[must_use]
    pub fn excess(&self) -> Option<usize> {
        self.used?.checked_sub(self.limit)
    }
}

impl Model {
    /// Returns the slots of a profile's project, or `None` if its key does not list exactly one project.
    #[must_use]
    pub fn slots(&self, profile: ProfileId) -> Option<ProjectSlots> {
        let tracker = &self.profiles.get(profile).tracker;
        let [project] = tracker.projects() else { return None };
        let all = self.settings.targets == Targets::All && self.settings.query.is_none();
        let used = self.table.rows().slot_usage(profile).map(|usage| usage.used).filter(|_| all);
        let refused =
            tracker.health().failures.iter().rev().find_map(|failure| failure.error.slots_used_and_limit());
        Some(ProjectSlots {
            used,
            limit: usize::try_from(project.concurrency?).ok()?,
            last_limit_error: refused,
        })
    }
}
