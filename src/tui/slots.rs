//! The slots of a project: how many of its sessions can run at the same time, and how many of the slots are in use.

use super::model::Model;
use super::profiles::ProfileId;
use keepwatch_core::session::Targets;

/// The slots of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProjectSlots {
    /// The number of slots in use; `None` unless all sessions of the project are watched.
    pub used: Option<usize>,
    /// The number of all slots: the project's `concurrency` in the API.
    pub limit: usize,
    /// The number of slots in use and the limit, from the newest 429 response that contains both numbers.
    pub last_limit_error: Option<(u64, u64)>,
}

impl ProjectSlots {
    /// Returns true if the API would refuse to create another session. Returns false if the use is unknown.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.excess().is_some()
    }

    /// Returns the number of sessions above the limit, or `None` if a slot is free or the use is unknown. The number is
    /// 0 if every slot is in use. It is higher if the limit was lowered, because that ends no session.
    #[must_use]
    pub fn excess(&self) -> Option<usize> {
        self.used?.checked_sub(self.limit)
    }
}

impl Model {
    /// Returns the slots of a profile's project. Returns `None` unless the API shows exactly one project to the
    /// profile's API key, and a limit for that project.
    #[must_use]
    pub fn slots(&self, profile: ProfileId) -> Option<ProjectSlots> {
        let tracker = &self.profiles.get(profile).tracker;
        let [project] = tracker.projects() else { return None };
        let watches_all = self.settings.targets == Targets::All && self.settings.query.is_none();
        let used = self.table.rows().slot_usage(profile).map(|usage| usage.used).filter(|_| watches_all);
        let last_limit_error =
            tracker.health().failures.iter().rev().find_map(|failure| failure.error.slots_used_and_limit());
        Some(ProjectSlots { used, limit: usize::try_from(project.concurrency?).ok()?, last_limit_error })
    }
}
