//! The domain: what a session is, and every way of not learning it. No IO, no clock, no wire format.
//!
//! Field names and meanings follow `GET /v1/sessions/{id}` of the
//! [Browserbase API](https://docs.browserbase.com/reference/api/get-a-session). A field that is missing, null or not of
//! its documented type is `None` here; in the latter case its text is kept among [`Session::others`], so that nothing
//! the API said is lost.

mod fault;
mod find;
mod metadata;
mod path;
mod secret;
mod seek;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use fault::{Fault, FaultKind};
pub use metadata::Metadata;
pub use path::MetadataPath;
pub use secret::Secret;

use crate::clock::Timestamp;
use crate::text::Untrusted;

/// The longest id that is accepted from a user, in bytes. Browserbase's are UUIDs of 36.
const LONGEST_ID: usize = 256;
/// How many characters an id of Browserbase's has.
const WHOLE_ID: usize = 36;

/// What names a session. Any text can be one: ids with spaces are odd, but not wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(Untrusted);

impl SessionId {
    /// An id as a user gave it.
    ///
    /// # Errors
    /// A sentence, if no session can have this id: it is empty, too long, has control characters, is a path of dots, which
    /// no URL can carry, or looks like a secret, which would be written down as an id.
    pub fn parse(text: &str) -> Result<Self, String> {
        let id = text.trim();
        if id.is_empty() {
            return Err("a session id is empty; it looks like 6512bd43-d9ca-4e02-9a67-91f2c1a0b3de".into());
        }
        if id.len() > LONGEST_ID {
            return Err(format!(
                "a session id of {} bytes is too long; at most {LONGEST_ID} are taken",
                id.len()
            ));
        }
        if id == "." || id == ".." || id.chars().any(char::is_control) {
            return Err(format!("“{}” can not be a session id", crate::text::shown(id, 40)));
        }
        let masked = crate::text::masked(id);
        // promise: secret-as-id
        if masked != id {
            let masked = crate::text::shown(&masked, 80);
            return Err(format!(
                "“{masked}” has what looks like a secret in it: give the id of the session alone"
            ));
        }
        Ok(Self(Untrusted::new(id)))
    }

    /// An id as the API gave it.
    #[must_use]
    pub fn from_api(id: Untrusted) -> Self {
        Self(id)
    }

    /// What follows the sentence that the API knows no such session: nothing, but that this may be the start of an id. The
    /// screen and sentences show the first eight characters, and people paste those.
    #[must_use]
    pub fn doubt(&self) -> &'static str {
        let is_whole = self.raw().chars().count() >= WHOLE_ID;
        if is_whole { "" } else { "; is the id whole? Browserbase's have 36 characters" }
    }

    /// The id itself, for requests and comparison; never for a terminal.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.0.raw()
    }

    /// The id as a terminal may show it, at most `columns` wide.
    #[must_use]
    pub fn shown(&self, columns: usize) -> String {
        self.0.shown(columns)
    }

    /// Its first `columns` characters, as a terminal may show them: enough to tell it from others, without a sign that
    /// there is more.
    #[must_use]
    pub fn start(&self, columns: usize) -> String {
        let start: String = self.raw().chars().take(columns).collect();
        crate::text::shown(&start, columns)
    }

    /// The whole id as a terminal may show it.
    #[must_use]
    pub fn line(&self) -> String {
        self.0.line()
    }
}

/// The `status` of a session, as the API says it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// Created, not started.
    Pending,
    /// A browser runs, whether or not anyone is connected.
    Running,
    /// Failed.
    Error,
    /// Ran to its `expiresAt`.
    TimedOut,
    /// Every other orderly end; the API does not say which.
    Completed,
    /// A word that this version does not know, kept as it came.
    Other(Untrusted),
}

/// What a [`Status`] means for watching.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It can still change: ask again.
    Alive,
    /// It can not change any more.
    Ended,
    /// Nobody knows: ask again.
    Unknown,
}

impl Status {
    /// Every status of the contract, in its order.
    pub const KNOWN: [Self; 5] = [Self::Pending, Self::Running, Self::Error, Self::TimedOut, Self::Completed];

    /// The status with this name.
    #[must_use]
    pub fn named(word: &str) -> Self {
        Self::KNOWN
            .into_iter()
            .find(|known| known.raw() == word)
            .unwrap_or_else(|| Self::Other(Untrusted::new(word)))
    }

    /// The word of the API.
    #[must_use]
    pub fn raw(&self) -> &str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Error => "ERROR",
            Self::TimedOut => "TIMED_OUT",
            Self::Completed => "COMPLETED",
            Self::Other(word) => word.raw(),
        }
    }

    /// The word of the API, as a terminal may show it.
    #[must_use]
    pub fn shown(&self, columns: usize) -> String {
        match self {
            Self::Other(word) => word.shown(columns),
            known => crate::text::fit(known.raw(), columns),
        }
    }

    /// Whether it is an end.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.phase() == Phase::Ended
    }

    /// Whether the session lives.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Pending | Self::Running => Phase::Alive,
            Self::Error | Self::TimedOut | Self::Completed => Phase::Ended,
            Self::Other(_) => Phase::Unknown,
        }
    }
}

/// Where a session runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Region {
    /// `us-west-2`
    UsWest2,
    /// `us-east-1`
    UsEast1,
    /// `eu-central-1`
    EuCentral1,
    /// `ap-southeast-1`
    ApSoutheast1,
    /// A region that this version does not know, kept as it came.
    Other(Untrusted),
}

impl Region {
    /// Every region of the contract, in its order.
    pub const KNOWN: [Self; 4] = [Self::UsWest2, Self::UsEast1, Self::EuCentral1, Self::ApSoutheast1];

    /// The region with this name.
    #[must_use]
    pub fn named(word: &str) -> Self {
        Self::KNOWN
            .into_iter()
            .find(|known| known.raw() == word)
            .unwrap_or_else(|| Self::Other(Untrusted::new(word)))
    }

    /// The word of the API.
    #[must_use]
    pub fn raw(&self) -> &str {
        match self {
            Self::UsWest2 => "us-west-2",
            Self::UsEast1 => "us-east-1",
            Self::EuCentral1 => "eu-central-1",
            Self::ApSoutheast1 => "ap-southeast-1",
            Self::Other(word) => word.raw(),
        }
    }

    /// The word of the API, as a terminal may show it.
    #[must_use]
    pub fn shown(&self, columns: usize) -> String {
        match self {
            Self::Other(word) => word.shown(columns),
            known => crate::text::fit(known.raw(), columns),
        }
    }
}

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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<(Untrusted, Untrusted)>,
    /// How many more such fields there were than are kept.
    #[serde(default)]
    pub others_left_out: u32,
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
    pub fn is_over(&self) -> bool {
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
    pub fn ran(&self) -> Option<Duration> {
        self.ended?.signed_duration_since(self.started?).to_std().ok()
    }

    /// What was left of its timeout when it ended, `expiresAt - endedAt`; `None` as for [`Session::ran`].
    #[must_use]
    pub fn unused(&self) -> Option<Duration> {
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
pub fn is_default(timeout: Duration, default: Duration) -> bool {
    timeout.abs_diff(default) < Duration::from_secs(1)
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
    pub const MOST_LEFT: usize = 10_000;

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

/// The dashboard's page of a session; no secret is in it.
#[must_use]
pub fn dashboard_page(id: &SessionId) -> String {
    const PAGE: &str = "https://www.browserbase.com/sessions/";
    let mut url = url::Url::parse(PAGE).map_err(|_| ());
    if let Ok(url) = &mut url
        && let Ok(mut path) = url.path_segments_mut()
    {
        path.pop_if_empty().push(id.raw());
    }
    url.map_or_else(|()| PAGE.into(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::running;

    #[test]
    fn an_id_may_have_spaces_inside_but_must_be_something_a_url_can_carry() {
        assert_eq!(SessionId::parse("  two words ").unwrap().raw(), "two words");
        for bad in ["", "   ", ".", "..", "a\nb", &"x".repeat(257)] {
            assert!(SessionId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn known_words_are_read_back_as_they_were_written() {
        for status in Status::KNOWN {
            assert_eq!(Status::named(status.raw()), status);
        }
        for region in Region::KNOWN {
            assert_eq!(Region::named(region.raw()), region);
        }
        assert_eq!(Status::named("HIBERNATING").phase(), Phase::Unknown);
    }

    #[test]
    fn times_in_the_wrong_order_give_no_length() {
        let mut session = running("s", crate::testing::noon(), Duration::from_secs(900));
        assert_eq!(session.timeout(), Some(Duration::from_secs(900)));
        session.expires = Some("1926-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(session.timeout(), None);
    }

    #[test]
    fn the_dashboard_page_carries_any_id() {
        let id = SessionId::parse("a b/../c?d#e").unwrap();
        assert_eq!(dashboard_page(&id), "https://www.browserbase.com/sessions/a%20b%2F..%2Fc%3Fd%23e");
    }
}
