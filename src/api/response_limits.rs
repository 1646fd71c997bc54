//! Limits for the time and the size of responses. `client` enforces them while it reads.

use std::time::Duration;

/// Time and size limits for responses.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseLimits {
    /// The maximum time to connect.
    pub(super) connect_timeout: Duration,
    /// The maximum time for a complete response that is not a list of sessions. For a list of sessions, it is the
    /// maximum time to the first byte, and the maximum time between two chunks.
    pub(super) response_timeout: Duration,
    /// The maximum time for a complete list of sessions. It stops a server that sends a list slowly and endlessly.
    pub(super) list_timeout: Duration,
    /// The maximum time for the body of an error response.
    pub(super) error_body_timeout: Duration,
    /// The maximum size of a response that is not a list of sessions, in bytes after decompression.
    pub(super) session_bytes: u64,
    /// The maximum size of a list of sessions, in bytes after decompression.
    pub(super) list_bytes: u64,
    /// The number of bytes after which the client stops reading the body of an error response, counted after
    /// decompression.
    pub(super) error_body_bytes: u64,
}

impl ResponseLimits {
    /// Returns the limits for a response that is not a list of sessions. Most such responses are
    /// about one session.
    pub(super) fn session_body(&self) -> BodyLimits {
        BodyLimits { max_bytes: self.session_bytes, timeout: self.response_timeout, allows_gzip: false }
    }

    /// Returns the limits for a list of sessions.
    pub(super) fn list_body(&self) -> BodyLimits {
        BodyLimits { max_bytes: self.list_bytes, timeout: self.list_timeout, allows_gzip: true }
    }
}

impl Default for ResponseLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(10),
            list_timeout: Duration::from_secs(60),
            error_body_timeout: Duration::from_secs(2),
            session_bytes: 1024 * 1024,
            list_bytes: 32 * 1024 * 1024,
            error_body_bytes: 64 * 1024,
        }
    }
}

/// Limits for one response body.
#[derive(Clone, Copy)]
pub(super) struct BodyLimits {
    /// The maximum size in bytes, after decompression.
    pub(super) max_bytes: u64,
    /// The maximum time for the request and its complete response.
    pub(super) timeout: Duration,
    /// True if the server may compress the body with gzip.
    pub(super) allows_gzip: bool,
}
