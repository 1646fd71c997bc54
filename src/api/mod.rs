//! The Browserbase API: one request, one `Result<_, Fault>`.
//!
//! ```text
//!   Client::session(id) ──► HTTP ──► status, headers ──► fault::of_status
//!                                    body, capped     ──► body::Reader ──► wire ──► Session, Listing
//! ```
//!
//! The wire's shapes are private to this module; what leaves it is the domain's. It never retries, never follows a
//! redirect, and reads a clock only for the log: when to ask again is the poller's.

mod body_reader;
mod client;
mod endpoint;
mod error_mapping;
mod query;
mod remaining_requests;
mod request_log;
mod tls_error;
mod wire;

pub use body_reader::{read_list, read_session};
pub use client::{ApiResponse, Client, ReleasePermission, SessionList, SessionWithUrls, key_tail};
pub use endpoint::{Endpoint, EndpointError, PUBLIC_URL};
pub use query::{Query, QueryError};
pub use remaining_requests::RateLimit;
