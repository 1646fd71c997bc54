//! The domain: what a session is, and every way of not learning it. No IO, no clock, no wire format.
//!
//! Field names and meanings follow `GET /v1/sessions/{id}` of the
//! [Browserbase API](https://docs.browserbase.com/reference/api/get-a-session). A field that is missing, null or not of
//! its documented type is `None` here; in the latter case its text is kept among [`Session::extra_fields`], so that nothing
//! the API said is lost.

mod api_error;
mod id;
mod id_extract;
mod metadata;
mod metadata_path;
mod metadata_search;
mod secret;
mod status;
mod targets;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use api_error::{ApiError, ApiErrorKind};
pub use id::{SessionId, SessionIdError, dashboard_url};
pub use metadata::Metadata;
pub use metadata_path::{MetadataPath, MetadataPathError};
pub use secret::Secret;
pub use status::{Phase, Region, Status};
pub use targets::Targets;

use crate::clock::Timestamp;
use crate::text::Untrusted;

/// One observation of a session: the fields of one reply, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// `id`
    pub id: SessionId,
    /// `projectId`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Untrusted>,
    /// `status`
    pub status: Status,
    /// `createdAt`; can be milliseconds later than `startedAt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// `updatedAt`; what it means is not documented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<Timestamp>,
    /// `startedAt`; present even for `PENDING`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// `endedAt`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// `expiresAt`, which is `startedAt` and the timeout.
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
    /// Which of the connect fields the reply had; `None` for an element of a list, which never has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<ConnectFields>,
    /// Fields that the contract does not have, or whose value is not of the documented type: name and JSON text.
    #[serde(rename = "others", default, skip_serializing_if = "Vec::is_empty")]
    pub extra_fields: Vec<(Untrusted, Untrusted)>,
    /// How many more such fields there were than are kept.
    #[serde(rename = "others_left_out", default)]
    pub extra_fields_dropped: u32,
}

/// Which connect fields a reply had. Their values are secrets, and not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectFields {
    /// `connectUrl`
    pub connect_url: bool,
    /// `seleniumRemoteUrl`
    pub selenium_remote_url: bool,
    /// `signingKey`
    pub signing_key: bool,
}

/// The connect fields themselves: the reply to a fresh ask, on its way to the clipboard.
#[derive(Clone, Debug, Default)]
pub struct ConnectUrls {
    /// `connectUrl`, for CDP.
    pub connect: Option<Secret>,
    /// `seleniumRemoteUrl`, for WebDriver.
    pub selenium: Option<Secret>,
    /// `signingKey`
    pub signing_key: Option<Secret>,
    /// `debuggerFullscreenUrl` of `GET /v1/sessions/{id}/debug`: the live view, which controls the browser too.
    pub live_view: Option<Secret>,
}

impl Session {
    /// Whether it can not change any more: its status says so, or nobody here knows its status and it has an end.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self.status.phase() {
            Phase::Ended => true,
            // promise: unknown-status, mutant: self.ended.is_some() -> false
            Phase::Unknown => self.ended.is_some(),
            Phase::Alive => false,
        }
    }

    /// The effective timeout, `expiresAt - startedAt`; `None` where a time is missing or they are in the wrong order.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.expires?.signed_duration_since(self.started?).to_std().ok()
    }

    /// How long it ran, `endedAt - startedAt`; `None` while it runs and where a time is missing or out of order.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.ended?.signed_duration_since(self.started?).to_std().ok()
    }

    /// What was left of its timeout when it ended, `expiresAt - endedAt`; `None` as for [`Session::duration`].
    #[must_use]
    pub fn unused_time(&self) -> Option<Duration> {
        self.expires?.signed_duration_since(self.ended?).to_std().ok()
    }
}

/// A project, as `GET /v1/projects` says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// `id`
    pub id: Untrusted,
    /// `name`
    pub name: Untrusted,
    /// `defaultTimeout`: what a session gets that asks for none.
    pub default_timeout: Option<Duration>,
    /// `concurrency`: how many sessions may run at a time.
    pub concurrency: Option<u64>,
}

/// Whether a session's timeout is the project's default: the server's times are a little apart from whole seconds.
#[must_use]
pub fn is_default_timeout(timeout: Duration, project_default: Duration) -> bool {
    timeout.abs_diff(project_default) < Duration::from_secs(1)
}

/// Which list of sessions: `GET /v1/sessions?status=…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum List {
    /// `status=RUNNING`
    Running,
    /// `status=PENDING`
    Pending,
}

impl List {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Running, Self::Pending];
    /// How many sessions that left the lists are asked singly, and kept on record until it is known why they left, beside
    /// those that the reader named. What leaves faster than it can be asked for is forgotten, the oldest first.
    pub const MAX_DELISTED: usize = 10_000;

    /// The status that the list asks for.
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
    fn times_in_the_wrong_order_give_no_length() {
        let mut session = running_session("s", crate::testing::noon(), Duration::from_secs(900));
        assert_eq!(session.timeout(), Some(Duration::from_secs(900)));
        session.expires = Some("1926-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(session.timeout(), None);
    }
}
