//! The slots of a project: how many of its sessions can run at the same time, and how many of the slots are in use.

use super::model::Model;
use super::profiles::ProfileId;
use keepwatch_core::session::{ApiError, ApiErrorKind, ReachedLimit, Targets};

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

/// Returns what a 429 is about: concurrent sessions, or requests per minute. The API's message decides, otherwise a newest
/// `x-ratelimit-remaining` of 0, otherwise the slots. Returns `None` if the error is no 429, or if there is nothing to add
/// to the message.
///
/// Never says that all slots are used if a slot is free.
#[must_use]
fn describe_limit(
    error: &ApiError,
    slots: Option<ProjectSlots>,
    requests_remaining: Option<u32>,
) -> Option<String> {
    if error.kind != ApiErrorKind::RateLimited {
        return None;
    }
    // The number of slots in use and the number of all slots, if both are known.
    let counts = slots.and_then(|slots| Some((slots.used?, slots.limit)));
    let full = counts.filter(|(used, limit)| used >= limit).map(|(used, limit)| format!("{used}/{limit}"));
    let free =
        counts.and_then(|(used, limit)| limit.checked_sub(used)).filter(|free| *free > 0).map(|free| {
            match free {
                1 => "1 slot is free".to_owned(),
                free => format!("{free} slots are free"),
            }
        });
    let per_minute = "the limit on requests per minute, not on slots";
    Some(match (error.stated_limit(), full, free) {
        (Some(ReachedLimit::Concurrency), Some(full), _) => format!("all slots used ({full})"),
        (Some(ReachedLimit::Concurrency), None, Some(free)) => {
            format!("yet {free} here: other projects may use up the organisation's limit")
        }
        (Some(ReachedLimit::Concurrency), None, None) => return None, // the message is enough
        (Some(ReachedLimit::PerMinute), ..) => per_minute.into(),
        (None, ..) if requests_remaining == Some(0) => per_minute.into(),
        (None, Some(full), _) => format!("all slots used ({full}), or too many requests per minute"),
        (None, None, Some(free)) => format!("{free}, so probably too many requests per minute"),
        (None, None, None) => return None,
    })
}

impl Model {
    /// Returns what `error`, the newest error of a profile's polls, is about. Returns `None` if the error is no 429, or if
    /// there is nothing to add to its message.
    #[must_use]
    pub fn limit_note(&self, profile: ProfileId, error: &ApiError) -> Option<String> {
        let remaining =
            self.profiles.get(profile).poll_stats.rate_limit_left().map(|(remaining, _)| remaining);
        describe_limit(error, self.slots(profile), remaining)
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use keepwatch_core::text::Untrusted;

    fn rate_limited(message: &str) -> ApiError {
        ApiError { message: Some(Untrusted::new(message)), ..ApiErrorKind::RateLimited.into() }
    }

    /// Returns slots of which `used` are in use. `None` means that the use is unknown.
    fn slots(used: Option<usize>, limit: usize) -> Option<ProjectSlots> {
        Some(ProjectSlots { used, limit, last_limit_error: None })
    }

    const CONCURRENCY: &str = "max concurrent sessions limit (limit 25, currently 25)";
    const PER_MINUTE: &str = "You can create 25 sessions per minute";
    const NEITHER: &str = "Too Many Requests";

    #[test]
    fn each_cause_of_429_has_its_note() {
        let (full, over, free, one_free, unknown) = (
            slots(Some(25), 25),
            slots(Some(30), 25),
            slots(Some(8), 25),
            slots(Some(24), 25),
            slots(None, 25),
        );
        let per_minute = Some("the limit on requests per minute, not on slots");
        for (message, slots, remaining, note) in [
            (CONCURRENCY, full, None, Some("all slots used (25/25)")),
            (CONCURRENCY, over, None, Some("all slots used (30/25)")),
            (
                CONCURRENCY,
                free,
                None,
                Some("yet 17 slots are free here: other projects may use up the organisation's limit"),
            ),
            (CONCURRENCY, unknown, None, None),
            (CONCURRENCY, None, Some(0), None),
            (PER_MINUTE, full, None, per_minute),
            (PER_MINUTE, free, Some(3), per_minute),
            (PER_MINUTE, None, None, per_minute),
            (NEITHER, full, Some(0), per_minute),
            (NEITHER, None, Some(0), per_minute),
            (NEITHER, full, Some(7), Some("all slots used (25/25), or too many requests per minute")),
            (NEITHER, free, None, Some("17 slots are free, so probably too many requests per minute")),
            (NEITHER, one_free, None, Some("1 slot is free, so probably too many requests per minute")),
            (NEITHER, unknown, None, None),
            (NEITHER, None, None, None),
        ] {
            let actual = describe_limit(&rate_limited(message), slots, remaining);
            assert_eq!(actual.as_deref(), note, "{message}, {slots:?}, {remaining:?}");
        }
        let other_error = ApiError { kind: ApiErrorKind::Server(503), ..rate_limited(CONCURRENCY) };
        assert_eq!(describe_limit(&other_error, full, None), None);
    }

    #[test]
    fn free_slots_are_never_called_used() {
        for message in [CONCURRENCY, PER_MINUTE, NEITHER, ""] {
            for used in 0..25 {
                for remaining in [None, Some(0), Some(9)] {
                    let note = describe_limit(&rate_limited(message), slots(Some(used), 25), remaining);
                    assert!(!note.unwrap_or_default().contains("all slots used"), "{message}, {used}");
                }
            }
        }
    }
}
