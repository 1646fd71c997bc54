//! When to ask what: the plan, the growing delays after failures, and the task that does the asking.
//!
//! ```text
//!    Ask ──► Poller ── Plan::due ──► Request ──► api::Client
//!              ▲                                     │
//!              └───── Plan::answered ◄── Report ◄────┘──► the channel to the loop
//! ```
//!
//! [`plan`], [`budget`] and [`backoff`](keepwatch_core::backoff) are pure. What a reply means is the tracker's business;
//! [`Observed`] turns a report into the tracker's input.

pub mod budget;
mod ingest;
mod limits;
pub mod plan;
mod poller;

pub use ingest::Observed;
pub use limits::PollLimits;
pub use plan::{Outcome, Plan, Request};
pub use poller::{Ask, Poller, Reply, Report, perform};
