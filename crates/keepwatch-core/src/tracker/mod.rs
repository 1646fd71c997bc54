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
//! The stream of [`Input`]s is all that a [`Fleet`] ever learns, so a recording of it is enough to see everything again.

mod applied;
mod attention;
pub mod bounds;
mod changes;
mod compare;
pub mod cost;
mod event;
pub mod evidence;
mod flag;
mod fleet;
mod health;
mod history;
mod input;
mod record;
mod succession;
mod timeline;
pub mod together;
pub mod verdict;

#[cfg(test)]
mod tests;

pub use applied::Applied;
pub use changes::Changes;
pub use event::{Event, EventKind};
pub use flag::{Flag, Thresholds};
pub use fleet::Fleet;
pub use health::{Failure, Health};
pub use history::{Flow, Traffic};
pub use input::{Exchange, Input, Scope};
pub use record::{Absence, Change, Ended, Failing, Left, Presence, Record, Release, WATCHED};
pub use timeline::{Seq, Timeline};
pub use verdict::Verdict;
