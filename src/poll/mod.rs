//! Polling: the scheduler, the rate limiter, and the task that sends the requests.
//!
//! ```text
//!    PollerCommand ──► Poller ── Scheduler::take_due ──► Request ──► api::Client
//!                        ▲                                               │
//!                        └───── Scheduler::on_outcome ◄───── Report ◄────┘
//!                                                              │
//!                                                              └──► the channel to the event loop
//! ```
//!
//! [`scheduler`], [`rate_limiter`] and [`backoff`](keepwatch_core::backoff) are pure. To decide when to poll, this
//! module reads only the id of a session and whether the session has ended. [`IngestedReport`] turns a report into the
//! tracker's input.

mod ingest;
mod limits;
mod poller;
pub mod rate_limiter;
pub mod scheduler;

pub use ingest::IngestedReport;
pub use limits::PollLimits;
pub use poller::{Poller, PollerCommand, Report, ResponseBody, send_request};
pub use scheduler::{PollOutcome, Request, Scheduler};
