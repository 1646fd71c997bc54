//! When to ask what: the plan, the growing delays after failures, and the task that does the asking.
//!
//! ```text
//!    Ask ──► Poller ── Plan::due ──► Request ──► api::Client
//!              ▲                                     │
//!              └───── Plan::answered ◄── Report ◄────┘──► the channel to the loop
//! ```
//!
//! [`plan`] and [`budget`] are pure, and so is [`backoff`](keepwatch_core::backoff). Nothing here knows what a reply means for the reader; that is `watch`.

pub mod budget;
pub mod plan;
mod poller;

pub use plan::{Outcome, Plan, Request};
pub use poller::{Ask, Poller, Reply, Report, perform};
