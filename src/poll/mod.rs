//! When to ask what: the plan, the growing delays after failures, and the task that does the asking.
//!
//! ```text
//!    Ask ──► Poller ── Plan::due ──► Request ──► api::Client
//!              ▲                                     │
//!              └───── Plan::answered ◄── Report ◄────┘──► the channel to the loop
//! ```
//!
//! [`scheduler`], [`rate_limiter`] and [`backoff`](keepwatch_core::backoff) are pure. What a reply means is the tracker's business;
//! [`IngestedReport`] turns a report into the tracker's input.

mod ingest;
mod limits;
mod poller;
pub mod rate_limiter;
pub mod scheduler;

pub use ingest::IngestedReport;
pub use limits::PollLimits;
pub use poller::{Poller, PollerCommand, Report, ResponseBody, send_request};
pub use scheduler::{PollOutcome, Request, Scheduler};
