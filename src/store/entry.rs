//! What is written down.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{Metadata, Session, SessionId};
use keepwatch_core::text::{Untrusted, redact};
use keepwatch_core::tracker::{Input, RequestTiming, Scope};

/// An entry and its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamEntry {
    /// Its place in the stream. Of two with the same, the later one holds: a run grows.
    #[serde(rename = "n")]
    pub seq: u64,
    /// When it was newest, by our wall clock.
    pub at: Timestamp,
    /// The profile whose sessions it is about, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Whether more may come under this place.
    #[serde(skip)]
    pub is_open: bool,
    /// What happened.
    #[serde(flatten)]
    pub content: EntryContent,
}

/// One thing that happened, or a run of replies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryContent {
    /// An input, as it was.
    Input(Input),
    /// A reply with sessions: what was not told before.
    #[serde(rename = "reply")]
    Response(ResponseDelta),
    /// Replies that said what the one before them said.
    #[serde(rename = "run")]
    Repeated(RepeatedResponses),
}

/// A reply with sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResponseDelta {
    /// When.
    pub at: RequestTiming,
    /// What was asked for.
    pub scope: Scope,
    /// The sessions that are otherwise than they were told, in the reply's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<SessionDelta>,
    /// The sessions that were in the list before, and are not.
    #[serde(rename = "gone", default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<SessionId>,
    /// How many elements of a list were no session.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub malformed: u32,
}

/// A session in a reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionDelta {
    /// All of it.
    #[serde(rename = "whole", serialize_with = "serialize_redacted")]
    Full(Box<Session>),
    /// What it is but for these.
    Bytes {
        /// Which.
        id: SessionId,
        /// `proxyBytes`
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proxy_bytes: Option<i64>,
        /// `updatedAt`
        #[serde(default, skip_serializing_if = "Option::is_none")]
        updated: Option<Timestamp>,
    },
    /// As it was told last: it came back to the list.
    #[serde(rename = "same")]
    Unchanged(SessionId),
}

/// Replies in a row to the same question that said what the one before them said, and by which nothing happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepeatedResponses {
    /// What was asked for.
    pub scope: Scope,
    /// The first.
    pub first: RequestTiming,
    /// The last; the first, where there was but one.
    pub last: RequestTiming,
    /// The place of what was written next after the last: the run ends before that.
    #[serde(rename = "before")]
    pub next_seq: u64,
    /// How many.
    #[serde(rename = "replies")]
    pub responses: u64,
    /// The longest time between two of them, from the sending of the one to the coming of the next.
    pub longest_gap: Duration,
}

impl StreamEntry {
    /// The sessions that it tells of for the first time, or by name.
    pub fn mentions(&self) -> impl Iterator<Item = &SessionId> {
        let (named, deltas): (&[SessionId], &[SessionDelta]) = match &self.content {
            EntryContent::Input(Input::SessionsNamed { ids, .. }) => (ids, &[]),
            EntryContent::Input(Input::SessionNotFound { id, .. } | Input::ReleaseRequested { id, .. }) => {
                (std::slice::from_ref(id), &[])
            }
            EntryContent::Response(ResponseDelta { scope: Scope::Session(id), .. }) => {
                (std::slice::from_ref(id), &[])
            }
            EntryContent::Response(reply) => (&[], &reply.changed),
            EntryContent::Input(_) | EntryContent::Repeated(_) => (&[], &[]),
        };
        let whole = deltas.iter().filter_map(|told| match told {
            SessionDelta::Full(session) => Some(&session.id),
            SessionDelta::Bytes { .. } | SessionDelta::Unchanged(_) => None,
        });
        named.iter().chain(whole)
    }

    /// The projects of the sessions that it tells whole.
    pub fn projects(&self) -> impl Iterator<Item = &Untrusted> {
        let deltas = match &self.content {
            EntryContent::Response(reply) => reply.changed.as_slice(),
            EntryContent::Input(_) | EntryContent::Repeated(_) => &[],
        };
        let projects = match &self.content {
            EntryContent::Input(Input::ProjectsReceived { projects, .. }) => projects.as_slice(),
            EntryContent::Input(_) | EntryContent::Response(_) | EntryContent::Repeated(_) => &[],
        };
        let of_sessions = deltas.iter().filter_map(|told| match told {
            SessionDelta::Full(session) => session.project.as_ref(),
            SessionDelta::Bytes { .. } | SessionDelta::Unchanged(_) => None,
        });
        of_sessions.chain(projects.iter().map(|project| &project.id))
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn estimated_size(&self) -> usize {
        /// A line without sessions, a whole session without its metadata, another, an id.
        const SIZES: (usize, usize, usize, usize) = (400, 800, 150, 60);
        let (base_size, session_size, delta_size, id_size) = SIZES;
        let EntryContent::Response(reply) = &self.content else { return base_size };
        let told = reply.changed.iter().map(|told| match told {
            SessionDelta::Full(session) => session_size
                .saturating_add(session.metadata.as_ref().map_or(0, |metadata| metadata.json().len())),
            SessionDelta::Bytes { .. } => delta_size,
            SessionDelta::Unchanged(_) => id_size,
        });
        let gone = reply.removed.len().saturating_mul(id_size);
        told.fold(base_size.saturating_add(gone), usize::saturating_add)
    }
}

impl SessionDelta {
    /// Without what its creator attached to it, and without what the contract does not know.
    #[must_use]
    pub fn without_metadata(mut self) -> Self {
        if let Self::Full(session) = &mut self {
            session.metadata = session.metadata.as_ref().map(|_| Metadata::omitted());
            session.extra_fields = Vec::<(Untrusted, Untrusted)>::new();
        }
        self
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A session, with what looks like a secret in what its creator attached to it masked: people do put connect URLs there.
/// Done as it is written, on the writer's thread.
#[expect(clippy::borrowed_box, reason = "serde's signature")]
fn serialize_redacted<S: Serializer>(session: &Box<Session>, to: S) -> Result<S::Ok, S::Error> {
    let mut session = (**session).clone();
    // promise: recorded-metadata
    session.metadata = session.metadata.as_ref().map(Metadata::redacted);
    for (name, value) in &mut session.extra_fields {
        (*name, *value) = (Untrusted::new(redact(name.raw())), Untrusted::new(redact(value.raw())));
    }
    session.serialize(to)
}
