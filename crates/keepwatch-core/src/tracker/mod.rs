//! The state of all sessions of one profile, and everything derived from it.
//!
//! Pure: this module does no I/O, reads no clock, and knows no terminal.
//!
//! ```text
//!   Input ──► SessionTracker::apply ──► AppliedChanges    the events and other changes
//!               │
//!               ├─ server_clock       estimates the API's clock
//!               ├─ record             one session: applies a response, compares it with the previous one
//!               │    ├─ diff          finds the fields that changed
//!               │    └─ traffic       proxy traffic: rates, starts and stops
//!               ├─ health             successes and failures of polls
//!               ├─ alert, alerting    raises alerts, now or at a deadline
//!               ├─ end_clusters       groups sessions that ended together
//!               ├─ running_contexts   finds sessions that run with the same context
//!               ├─ successors         links a session that ended to the new one that replaces it
//!               ├─ timeline           the events, a bounded number
//!               ├─ verdict            finds the probable cause of an end
//!               ├─ cost               estimates the cost of a session
//!               └─ evidence           the text report about one session for support
//! ```
//!
//! A [`SessionTracker`] depends only on its [`Input`]s. Replay of a recording of these inputs therefore restores the
//! same state.

mod alert;
mod alert_kind;
mod alert_rules;
mod alerting;
mod applied;
mod change_counters;
pub mod cost;
mod diff;
mod early_limit;
pub mod end_clusters;
mod event;
pub mod evidence;
mod health;
mod input;
mod record;
mod running_contexts;
pub mod server_clock;
mod session_tracker;
mod successors;
mod timeline;
mod traffic;
pub mod verdict;

#[cfg(test)]
mod tests;

pub use alert::{Alert, MAX_INCIDENT_AGE, RaisedAlert, Severity};
pub use alert_kind::AlertKind;
pub use alert_rules::{AlertRule, AlertRules, AlertThresholds};
pub use applied::AppliedChanges;
pub use change_counters::ChangeCounters;
pub use early_limit::EarlyLimit;
pub use event::{Event, EventKind};
pub use health::{PollFailure, PollHealth};
pub use input::{Input, RequestTiming, Scope};
pub use record::{
    Change, FailureStreak, MAX_WATCHED_GAP, NotFoundSince, ObservedEnd, Presence, Record, ReleaseRequest,
    TimeLeft,
};
pub use running_contexts::SharedContext;
pub use session_tracker::SessionTracker;
pub use timeline::{Seq, Timeline};
pub use traffic::{TrafficActivity, TrafficHistory};
pub use verdict::Verdict;
