//! Inputs of a [`SessionTracker`](super::SessionTracker): the only way in which its state changes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Moment, Timestamp};
use crate::session::{ApiError, List, Project, Session, SessionId};

/// The resolution of the `Age` header.
const AGE_RESOLUTION: Duration = Duration::from_secs(1);

/// The times of a request and of its response.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestTiming {
    /// The moment just before the request was sent. The API determined the response's content at this moment or later.
    pub sent: Moment,
    /// The moment just after the response was received, or the request failed. The API determined the response's
    /// content at this moment or earlier.
    pub received: Moment,
    /// The response's `Date` header, in whole seconds.
    pub date: Option<Timestamp>,
    /// The response's `Age` header, in whole seconds: the time that a cache kept the response. Zero without a cache.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub age: Duration,
}

/// The target of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// The session with this id. This id counts, even if the session in the response has another one.
    #[serde(rename = "One")]
    Session(SessionId),
    /// A list of the sessions with one status. A session with that status may be missing, for example if the list is
    /// truncated.
    List(List),
    /// The list of projects.
    Projects,
}

/// One observation or user action, with its times. Recordings contain inputs, so a renamed variant or field keeps its
/// serde name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// The user named sessions to watch. The tracker never evicts them.
    #[serde(rename = "Asked")]
    SessionsNamed {
        /// The moment at which the user named them.
        at: Moment,
        /// The named sessions.
        ids: Vec<SessionId>,
    },
    /// A response with sessions arrived.
    #[serde(rename = "Seen")]
    SessionsReceived {
        /// The times of the request.
        at: RequestTiming,
        /// The target of the request.
        scope: Scope,
        /// The sessions, in the order of the response.
        sessions: Vec<Session>,
        /// The number of list elements that were not sessions.
        malformed: u32,
    },
    /// A series of responses that repeat the previous one and cause no event. Recordings store the series as one entry.
    #[serde(rename = "Repeated")]
    ResponseRepeated {
        /// The times of the newest request.
        at: RequestTiming,
        /// The target of the requests.
        scope: Scope,
        /// The sessions, in the order of the response.
        sessions: Vec<Session>,
        /// The number of list elements that were not sessions, in each response.
        malformed: u32,
        /// The number of responses in the series.
        #[serde(rename = "replies")]
        responses: u64,
        /// The longest gap between two consecutive responses. A gap lasts from the sending of one request to the
        /// receipt of the next response.
        longest_gap: Duration,
    },
    /// The API does not know the session: 404 or 410.
    #[serde(rename = "Missing")]
    SessionNotFound {
        /// The times of the request.
        at: RequestTiming,
        /// The session.
        id: SessionId,
        /// The API's error.
        #[serde(rename = "fault")]
        error: ApiError,
        /// The moment of the next poll.
        next: Option<Moment>,
    },
    /// A poll failed. A 404 or 410 for a session is [`Input::SessionNotFound`] instead.
    #[serde(rename = "Failed")]
    RequestFailed {
        /// The times of the request.
        at: RequestTiming,
        /// The target of the request.
        scope: Scope,
        /// The reason for the failure.
        #[serde(rename = "fault")]
        error: ApiError,
        /// The moment of the retry.
        next: Option<Moment>,
    },
    /// The user requested the release of a session.
    #[serde(rename = "ReleaseAsked")]
    ReleaseRequested {
        /// The moment at which the user requested it.
        at: Moment,
        /// The session.
        id: SessionId,
    },
    /// The API rejected the release, or the request failed.
    ReleaseFailed {
        /// The times of the request.
        at: RequestTiming,
        /// The session.
        id: SessionId,
        /// The reason for the failure.
        #[serde(rename = "fault")]
        error: ApiError,
        /// The moment of the retry, or `None` if keepwatch gives up.
        next: Option<Moment>,
    },
    /// A response with the projects arrived.
    #[serde(rename = "Projects")]
    ProjectsReceived {
        /// The times of the request.
        at: RequestTiming,
        /// The projects that the API key can list.
        projects: Vec<Project>,
    },
    /// The machine slept.
    Slept {
        /// The last moment before the sleep.
        from: Moment,
        /// The first moment after the sleep.
        to: Moment,
    },
    /// Time passed. An alert or the event of an end cluster may be due.
    TimePassed {
        /// The current moment.
        now: Moment,
    },
}

impl RequestTiming {
    /// Returns the timing with each moment replaced by the result of `map`.
    #[must_use]
    pub fn rebase(self, map: impl Fn(Moment) -> Moment) -> Self {
        Self { sent: map(self.sent), received: map(self.received), ..self }
    }

    /// Returns the timing as if the API itself had answered. If a cache kept the response, the API determined its
    /// content earlier, by `Age`. The cache may have rounded `Age` down, so `sent` is another second earlier.
    #[must_use]
    pub fn without_cache(self) -> Self {
        if self.age.is_zero() {
            return self;
        }
        let max_age = self.age.saturating_add(AGE_RESOLUTION);
        // promise: aged-response
        Self {
            sent: self.sent.minus(max_age),
            received: self.received.minus(self.age),
            date: self.date,
            age: Duration::ZERO,
        }
    }
}

impl Input {
    /// Returns the input with each moment replaced by the result of `map`, for example to convert moments of an earlier
    /// run.
    #[must_use]
    pub fn rebase(mut self, map: impl Fn(Moment) -> Moment) -> Self {
        match &mut self {
            Self::SessionsNamed { at, .. } | Self::ReleaseRequested { at, .. } => *at = map(*at),
            Self::TimePassed { now } => *now = map(*now),
            Self::Slept { from, to } => (*from, *to) = (map(*from), map(*to)),
            Self::SessionsReceived { at, .. }
            | Self::ResponseRepeated { at, .. }
            | Self::ProjectsReceived { at, .. } => *at = at.rebase(map),
            Self::SessionNotFound { at, next, .. }
            | Self::RequestFailed { at, next, .. }
            | Self::ReleaseFailed { at, next, .. } => {
                (*at, *next) = (at.rebase(&map), next.map(map));
            }
        }
        self
    }

    /// Returns the moment of the input: for a request, the receipt of its response; for a sleep, its end.
    #[must_use]
    pub fn moment(&self) -> Moment {
        match self {
            Self::SessionsNamed { at, .. }
            | Self::ReleaseRequested { at, .. }
            | Self::Slept { to: at, .. }
            | Self::TimePassed { now: at } => *at,
            Self::SessionsReceived { at, .. }
            | Self::ResponseRepeated { at, .. }
            | Self::SessionNotFound { at, .. }
            | Self::RequestFailed { at, .. }
            | Self::ReleaseFailed { at, .. }
            | Self::ProjectsReceived { at, .. } => at.received,
        }
    }
}
