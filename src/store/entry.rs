//! The entries of the stream, as recordings and the journal store them. Pure.
//!
//! The names of fields and variants in JSON are part of the format and never change.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{Metadata, Session, SessionId};
use keepwatch_core::text::{Untrusted, redact};
use keepwatch_core::tracker::{Input, RequestTiming, Scope};

/// One entry of the stream: a line of a recording, or a row of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamEntry {
    /// Sequence number in the profile's stream. An entry replaces an earlier one with the same number, because a
    /// growing repeat is written several times.
    #[serde(rename = "n")]
    pub seq: u64,
    /// Wall time of the entry's input; of the newest response, if the entry is a repeat.
    pub at: Timestamp,
    /// Name of the profile, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// True if a later entry with the same number will replace this one.
    #[serde(skip)]
    pub is_open: bool,
    /// One input, or a repeat.
    #[serde(flatten)]
    pub content: EntryContent,
}

/// One input, or a series of equal responses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryContent {
    /// An input, stored completely.
    Input(Input),
    /// A response with sessions, reduced to the parts that are not encoded yet.
    #[serde(rename = "reply")]
    Response(ResponseDelta),
    /// A repeat: responses equal to the response before them.
    #[serde(rename = "run")]
    Repeated(RepeatedResponses),
}

/// A response with sessions, reduced to the parts that are not encoded yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResponseDelta {
    /// Times of the request and the response.
    pub at: RequestTiming,
    /// The requested list or session.
    pub scope: Scope,
    /// Sessions that differ from their last encoding, and sessions that are new in the list, in the response's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<SessionDelta>,
    /// Sessions that left the list.
    #[serde(rename = "gone", default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<SessionId>,
    /// Number of list elements that are not valid sessions.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub malformed: u32,
}

/// The change of one session in a response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionDelta {
    /// The complete session.
    #[serde(rename = "whole", serialize_with = "serialize_redacted")]
    Full(Box<Session>),
    /// A change of these two fields only.
    Bytes {
        /// The session.
        id: SessionId,
        /// `proxyBytes`
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proxy_bytes: Option<i64>,
        /// `updatedAt`
        #[serde(default, skip_serializing_if = "Option::is_none")]
        updated: Option<Timestamp>,
    },
    /// A session that returned to the list unchanged.
    #[serde(rename = "same")]
    Unchanged(SessionId),
}

/// A repeat: consecutive responses for one scope. Each equals the response before it, and caused no event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepeatedResponses {
    /// The requested list or session.
    pub scope: Scope,
    /// Times of the first response.
    pub first: RequestTiming,
    /// Times of the last response. Equal to `first` if there is only one.
    pub last: RequestTiming,
    /// The next free sequence number when the last response came. All responses of the repeat come before the entry
    /// that gets this number.
    #[serde(rename = "before")]
    pub next_seq: u64,
    /// Number of responses.
    #[serde(rename = "replies")]
    pub responses: u64,
    /// Longest gap between two responses, from the send time of the earlier request to the receive time of the later
    /// response.
    pub longest_gap: Duration,
}

impl StreamEntry {
    /// Returns the sessions that the segment may not have mentioned before this entry: those that the entry names or
    /// contains in full. Omits changed, unchanged and removed sessions, because an earlier entry of the segment has
    /// each of them in full.
    pub fn mentioned_sessions(&self) -> impl Iterator<Item = &SessionId> {
        let (ids, deltas): (&[SessionId], &[SessionDelta]) = match &self.content {
            EntryContent::Input(Input::SessionsNamed { ids, .. }) => (ids, &[]),
            EntryContent::Input(Input::SessionNotFound { id, .. } | Input::ReleaseRequested { id, .. }) => {
                (std::slice::from_ref(id), &[])
            }
            EntryContent::Response(ResponseDelta { scope: Scope::Session(id), .. }) => {
                (std::slice::from_ref(id), &[])
            }
            EntryContent::Response(delta) => (&[], &delta.changed),
            EntryContent::Input(_) | EntryContent::Repeated(_) => (&[], &[]),
        };
        let in_full = deltas.iter().filter_map(|delta| match delta {
            SessionDelta::Full(session) => Some(&session.id),
            SessionDelta::Bytes { .. } | SessionDelta::Unchanged(_) => None,
        });
        ids.iter().chain(in_full)
    }

    /// Returns the projects that the entry lists, and the projects of the sessions that it contains in full.
    pub fn mentioned_projects(&self) -> impl Iterator<Item = &Untrusted> {
        let deltas = match &self.content {
            EntryContent::Response(delta) => delta.changed.as_slice(),
            EntryContent::Input(_) | EntryContent::Repeated(_) => &[],
        };
        let projects = match &self.content {
            EntryContent::Input(Input::ProjectsReceived { projects, .. }) => projects.as_slice(),
            EntryContent::Input(_) | EntryContent::Response(_) | EntryContent::Repeated(_) => &[],
        };
        let projects_of_sessions = deltas.iter().filter_map(|delta| match delta {
            SessionDelta::Full(session) => session.project.as_ref(),
            SessionDelta::Bytes { .. } | SessionDelta::Unchanged(_) => None,
        });
        projects_of_sessions.chain(projects.iter().map(|project| &project.id))
    }

    /// Returns the approximate size of the entry in the journal's queue, in bytes.
    #[must_use]
    pub fn estimated_size(&self) -> usize {
        /// Size of an entry without sessions.
        const BASE_SIZE: usize = 400;
        /// Size of a full session without metadata.
        const SESSION_SIZE: usize = 800;
        /// Size of a session's change.
        const CHANGE_SIZE: usize = 150;
        /// Size of a session's id.
        const ID_SIZE: usize = 60;
        let EntryContent::Response(response) = &self.content else { return BASE_SIZE };
        let sessions = response.changed.iter().map(|delta| match delta {
            SessionDelta::Full(session) => SESSION_SIZE
                .saturating_add(session.metadata.as_ref().map_or(0, |metadata| metadata.json().len())),
            SessionDelta::Bytes { .. } => CHANGE_SIZE,
            SessionDelta::Unchanged(_) => ID_SIZE,
        });
        let removed = response.removed.len().saturating_mul(ID_SIZE);
        sessions.fold(BASE_SIZE.saturating_add(removed), usize::saturating_add)
    }
}

impl SessionDelta {
    /// Removes the user's metadata, and the fields that the API does not document.
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

/// Serialises a session. Redacts secrets in its metadata and its undocumented fields, because people put connect URLs
/// there. Runs on the writer thread.
#[expect(clippy::borrowed_box, reason = "serde's signature")]
fn serialize_redacted<S: Serializer>(session: &Box<Session>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut session = (**session).clone();
    // promise: recorded-metadata
    session.metadata = session.metadata.as_ref().map(Metadata::redacted);
    for (name, value) in &mut session.extra_fields {
        (*name, *value) = (Untrusted::new(redact(name.raw())), Untrusted::new(redact(value.raw())));
    }
    session.serialize(serializer)
}
