//! The client for the Browserbase API. Each request returns one [`ApiResponse`], which holds a value or an `ApiError`.
//!
//! ```text
//!   Client::session(id) ──► HTTP ──► status 2xx: body, capped ──► BodyReader ──► wire ──► Session, SessionList
//!                                    other status ──► error_mapping::from_status ──► ApiError
//! ```
//!
//! The JSON shapes are private to this module; callers see only domain types. The client follows no redirect. It leaves
//! retries to the poller, except for one retry, which the documentation of `client` explains. It reads a clock only
//! for the log.

mod body_chunks;
mod body_reader;
mod certificates;
mod client;
mod dns;
mod endpoint;
mod error_mapping;
mod key_redaction;
mod proxy;
mod query;
mod request_log;
mod response_headers;
mod response_limits;
mod tls_error;
mod wire;

pub use body_reader::{read_list, read_session};
pub use client::{
    ApiResponse, Client, ReleasePermission, ReleaseResponse, SessionList, SessionWithUrls, key_tail,
};
pub use endpoint::{Endpoint, EndpointError, PUBLIC_URL};
pub use proxy::{ProxyError, check_proxy};
pub use query::{Query, QueryError};
pub use response_headers::RateLimit;
