//! The record of what was observed, and what follows from it. Pure: no IO, no clock, no terminal.
//!
//! ```text
//!   Input ──► Fleet::apply ──► Applied       the events, and what else changed
//!               │
//!               ├─ bounds::ServerClock   what time it is there
//!               ├─ Record, one a session: take a reply, compare it with the one before
//!               │    └─ history          the proxy's bytes, bounded
//!               ├─ health                how the polling goes
//!               ├─ attention, flag       what a reader must not miss; together: ends that belong together
//!               ├─ succession            a session that follows one that ended
//!               ├─ timeline              the events, bounded
//!               ├─ verdict               why a session ended, by the evidence; cost: what it cost, estimated
//!               └─ evidence              all of that of one session, as text for a support ticket
//! ```
//!
//! The stream of [`Input`]s is all that a [`SessionTracker`] ever learns, so a recording of it is enough to see everything again.

mod alert;
mod alerting;
mod applied;
mod change_counters;
pub mod cost;
mod diff;
pub mod end_clusters;
mod event;
pub mod evidence;
mod health;
mod input;
mod record;
pub mod server_clock;
mod session_tracker;
mod successors;
mod timeline;
mod traffic;
pub mod verdict;

#[cfg(test)]
mod tests;

pub use alert::{Alert, AlertThresholds};
pub use applied::AppliedChanges;
pub use change_counters::ChangeCounters;
pub use event::{Event, EventKind};
pub use health::{PollFailure, PollHealth};
pub use input::{Input, RequestTiming, Scope};
pub use record::{
    Change, FailureStreak, MAX_WATCHED_GAP, NotFoundSince, ObservedEnd, Presence, Record, ReleaseRequest,
    TimeLeft,
};
pub use session_tracker::SessionTracker;
pub use timeline::{Seq, Timeline};
pub use traffic::{TrafficActivity, TrafficHistory};
pub use verdict::Verdict;
