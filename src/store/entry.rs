//! What is written down.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{Metadata, Session, SessionId};
use keepwatch_core::text::{Untrusted, redact};
use keepwatch_core::tracker::{Input, RequestTiming, Scope};

/// An entry and its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Its place in the stream. Of two with the same, the later one holds: a run grows.
    pub n: u64,
    /// When it was newest, by our wall clock.
    pub at: Timestamp,
    /// The profile whose sessions it is about, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Whether more may come under this place.
    #[serde(skip)]
    pub open: bool,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

/// One thing that happened, or a run of replies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// An input, as it was.
    Input(Input),
    /// A reply with sessions: what was not told before.
    Reply(Reply),
    /// Replies that said what the one before them said.
    Run(Run),
}

/// A reply with sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// When.
    pub at: RequestTiming,
    /// What was asked for.
    pub scope: Scope,
    /// The sessions that are otherwise than they were told, in the reply's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Told>,
    /// The sessions that were in the list before, and are not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<SessionId>,
    /// How many elements of a list were no session.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub malformed: u32,
}

/// A session in a reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// All of it.
    #[serde(serialize_with = "without_secrets")]
    Whole(Box<Session>),
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
    Same(SessionId),
}

/// Replies in a row to the same question that said what the one before them said, and by which nothing happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What was asked for.
    pub scope: Scope,
    /// The first.
    pub first: RequestTiming,
    /// The last; the first, where there was but one.
    pub last: RequestTiming,
    /// The place of what was written next after the last: the run ends before that.
    pub before: u64,
    /// How many.
    pub replies: u64,
    /// The longest time between two of them, from the sending of the one to the coming of the next.
    pub longest_gap: Duration,
}

impl Line {
    /// The sessions that it tells of for the first time, or by name.
    pub fn mentions(&self) -> impl Iterator<Item = &SessionId> {
        let (named, told): (&[SessionId], &[Told]) = match &self.entry {
            Entry::Input(Input::SessionsNamed { ids, .. }) => (ids, &[]),
            Entry::Input(Input::SessionNotFound { id, .. } | Input::ReleaseRequested { id, .. }) => {
                (std::slice::from_ref(id), &[])
            }
            Entry::Reply(Reply { scope: Scope::Session(id), .. }) => (std::slice::from_ref(id), &[]),
            Entry::Reply(reply) => (&[], &reply.changed),
            Entry::Input(_) | Entry::Run(_) => (&[], &[]),
        };
        let whole = told.iter().filter_map(|told| match told {
            Told::Whole(session) => Some(&session.id),
            Told::Bytes { .. } | Told::Same(_) => None,
        });
        named.iter().chain(whole)
    }

    /// The projects of the sessions that it tells whole.
    pub fn projects(&self) -> impl Iterator<Item = &Untrusted> {
        let told = match &self.entry {
            Entry::Reply(reply) => reply.changed.as_slice(),
            Entry::Input(_) | Entry::Run(_) => &[],
        };
        let projects = match &self.entry {
            Entry::Input(Input::ProjectsReceived { projects, .. }) => projects.as_slice(),
            Entry::Input(_) | Entry::Reply(_) | Entry::Run(_) => &[],
        };
        let of_sessions = told.iter().filter_map(|told| match told {
            Told::Whole(session) => session.project.as_ref(),
            Told::Bytes { .. } | Told::Same(_) => None,
        });
        of_sessions.chain(projects.iter().map(|project| &project.id))
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        /// A line without sessions, a whole session without its metadata, another, an id.
        const WEIGHTS: (usize, usize, usize, usize) = (400, 800, 150, 60);
        let (line, whole, bytes, id) = WEIGHTS;
        let Entry::Reply(reply) = &self.entry else { return line };
        let told = reply.changed.iter().map(|told| match told {
            Told::Whole(session) => {
                whole.saturating_add(session.metadata.as_ref().map_or(0, |metadata| metadata.json().len()))
            }
            Told::Bytes { .. } => bytes,
            Told::Same(_) => id,
        });
        let gone = reply.gone.len().saturating_mul(id);
        told.fold(line.saturating_add(gone), usize::saturating_add)
    }
}

impl Told {
    /// Without what its creator attached to it, and without what the contract does not know.
    #[must_use]
    pub fn without_metadata(mut self) -> Self {
        if let Self::Whole(session) = &mut self {
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
fn without_secrets<S: Serializer>(session: &Box<Session>, to: S) -> Result<S::Ok, S::Error> {
    let mut session = (**session).clone();
    // promise: recorded-metadata
    session.metadata = session.metadata.as_ref().map(Metadata::redacted);
    for (name, value) in &mut session.extra_fields {
        (*name, *value) = (Untrusted::new(redact(name.raw())), Untrusted::new(redact(value.raw())));
    }
    session.serialize(to)
}
