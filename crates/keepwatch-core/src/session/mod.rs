//! The domain types: sessions, projects, and the errors of the API. No I/O, no clock, no wire format.
//!
//! The fields and their meanings follow `GET /v1/sessions/{id}` of the
//! [Browserbase API](https://docs.browserbase.com/reference/api/get-a-session). If the API's field is missing, null or
//! not of its documented type, the field here is `None`. [`Session::extra_fields`] keeps the text of a field with the
//! wrong type, so that no data is lost.

mod api_error;
mod id;
mod id_extract;
mod metadata;
mod metadata_match;
mod metadata_path;
mod owner;
mod secret;
mod status;
mod targets;
mod times;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use api_error::{ApiError, ApiErrorKind, ReachedLimit};
pub use id::{SessionId, SessionIdError, dashboard_url};
pub use metadata::Metadata;
pub use metadata_path::{MetadataPath, MetadataPathError};
pub(crate) use owner::owner_in;
pub use secret::Secret;
pub use status::{Phase, Region, Status};
pub use targets::Targets;
pub use times::{effective_timeout, is_default_timeout};

use crate::clock::Timestamp;
use crate::text::Untrusted;

/// One observation of a session: its fields in one response, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// `id`
    pub id: SessionId,
    /// `projectId`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Untrusted>,
    /// `status`
    pub status: Status,
    /// `createdAt`. It can be milliseconds later than `startedAt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// `updatedAt`. Its meaning is not documented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<Timestamp>,
    /// `startedAt`. Present even for `PENDING`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// `endedAt`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// `expiresAt`, which is `startedAt` plus the timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// `proxyBytes`, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_bytes: Option<i64>,
    /// `keepAlive`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<bool>,
    /// `contextId`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Untrusted>,
    /// `region`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// `userMetadata`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// The connect fields present in the response; `None` for an element of a list, which never has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<ConnectFields>,
    /// Undocumented fields, and fields whose value is not of the documented type: each as its name and its JSON text.
    #[serde(rename = "others", default, skip_serializing_if = "Vec::is_empty")]
    pub extra_fields: Vec<(Untrusted, Untrusted)>,
    /// The number of extra fields that were dropped, because there were too many.
    #[serde(rename = "others_left_out", default)]
    pub extra_fields_dropped: u32,
}

/// The presence of each connect field in a response. The values are secrets, so they are not kept here.
/// [`ConnectUrls`] holds the values that the user requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectFields {
    /// True if the response has `connectUrl`.
    pub connect_url: bool,
    /// True if the response has `seleniumRemoteUrl`.
    pub selenium_remote_url: bool,
    /// True if the response has `signingKey`.
    pub signing_key: bool,
}

/// The values of the connect fields (two URLs and a signing key), and the URL of the live view. They come from requests
/// that the user triggered, and go to the clipboard. [`ConnectFields`] has only the presence of the connect fields.
#[derive(Clone, Debug, Default)]
pub struct ConnectUrls {
    /// `connectUrl`, for CDP.
    pub connect: Option<Secret>,
    /// `seleniumRemoteUrl`, for WebDriver.
    pub selenium: Option<Secret>,
    /// `signingKey`
    pub signing_key: Option<Secret>,
    /// `debuggerFullscreenUrl` of `GET /v1/sessions/{id}/debug`: the live view. It can also control the browser.
    pub live_view: Option<Secret>,
}

impl Session {
    /// Returns true if the session can no longer change: its status is final, or is unknown and `endedAt` is set.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self.status.phase() {
            Phase::Ended => true,
            // promise: unknown-status, mutant: self.ended.is_some() -> false
            Phase::Unknown => self.ended.is_some(),
            Phase::Alive => false,
        }
    }
}

/// A project, as returned by `GET /v1/projects`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// `id`
    pub id: Untrusted,
    /// `name`
    pub name: Untrusted,
    /// `defaultTimeout`: the timeout of sessions that are created without a timeout.
    pub default_timeout: Option<Duration>,
    /// `concurrency`: the maximum number of sessions running at the same time.
    pub concurrency: Option<u64>,
}

/// A list of sessions that the API returns: `GET /v1/sessions?status=…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum List {
    /// `status=RUNNING`
    Running,
    /// `status=PENDING`
    Pending,
}

impl List {
    /// Both lists.
    pub const ALL: [Self; 2] = [Self::Running, Self::Pending];
    /// The maximum number of sessions that have left the lists and are polled one by one until their end is known.
    /// Sessions named by the user do not count. If too many have left, those that left first are evicted.
    pub const MAX_UNLISTED: usize = 10_000;

    /// Returns the limit that applies instead of [`MAX_UNLISTED`](Self::MAX_UNLISTED) while no list has had more than
    /// `max_listed` sessions. The limit is `max_listed`, so that all can leave at once, but at least 2,000 and at most
    /// `MAX_UNLISTED`. A fixed limit of 10,000 would cost memory: if 20 of 500 sessions end each second, 10,000 that
    /// left take 20 MB.
    #[must_use]
    pub fn max_unlisted(max_listed: usize) -> usize {
        max_listed.clamp(2_000, Self::MAX_UNLISTED)
    }

    /// Returns the status that the list selects.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::Running => Status::Running,
            Self::Pending => Status::Pending,
        }
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "the list of running sessions",
            Self::Pending => "the list of pending sessions",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::running_session;

    #[test]
    fn reversed_times_give_no_timeout() {
        let mut session = running_session("s", crate::testing::noon(), Duration::from_secs(900));
        assert_eq!(session.timeout(), Some(Duration::from_secs(900)));
        session.expires = Some("1926-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(session.timeout(), None);
    }
}
