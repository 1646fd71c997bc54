//! The Browserbase API: one request, one `Result<_, Fault>`.
//!
//! ```text
//!   Client::session(id) ──► HTTP ──► status, headers ──► fault::of_status
//!                                    body, capped     ──► body::Reader ──► wire ──► Session, Listing
//! ```
//!
//! The wire's shapes are private to this module; what leaves it is the domain's. It never retries, never follows a
//! redirect, and reads a clock only for the log: when to ask again is the poller's.

mod allowance;
mod body;
mod client;
mod endpoint;
mod fault;
mod query;
mod tls;
mod trace;
mod wire;

pub use allowance::Allowance;
pub use body::{read_list, read_session};
pub use client::{Answer, Client, Fresh, Listing, Releaser, key_tail};
pub use endpoint::{Endpoint, EndpointError, PUBLIC_URL};
pub use query::{Query, QueryError};
