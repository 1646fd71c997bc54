//! The record of what was observed, and what follows from it. Pure: no IO, no clock, no terminal.
//!
//! ```text
//!   Input ──► Fleet::apply ──► Vec<Event>
//!               │
//!               ├─ bounds::ServerClock   what time it is there
//!               └─ Record, one a session
//!                    └─ history::Traffic the proxy's bytes, bounded
//! ```
//!
//! The stream of [`Input`]s is all that a [`Fleet`] ever learns, so a recording of it is enough to see everything again.

pub mod bounds;
mod event;
mod fleet;
mod history;
mod input;
mod record;

pub use event::{Event, EventKind};
pub use fleet::{Failure, Fleet, Health};
pub use history::Traffic;
pub use input::{Exchange, Input, Scope};
pub use record::{Ended, Failing, Left, Presence, Record};
