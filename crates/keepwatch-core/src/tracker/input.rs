//! All that a [`SessionTracker`](super::SessionTracker) is ever told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Moment, Timestamp};
use crate::session::{ApiError, List, Project, Session, SessionId};

/// The two times of a request, and the server's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestTiming {
    /// Just before it was sent: what the reply says was not true before this.
    pub sent: Moment,
    /// Just after the reply came: what it says was true at some time before this.
    pub received: Moment,
    /// The reply's `Date`, a whole second.
    pub date: Option<Timestamp>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// This session. The reply may call itself otherwise; what was asked for is what counts.
    #[serde(rename = "One")]
    Session(SessionId),
    /// All sessions of a list: those that it lacks are not in that state, or it has a cap.
    List(List),
    /// The projects.
    Projects,
}

/// One thing that happened to us, with its times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// These sessions will be watched, whatever becomes of them.
    #[serde(rename = "Asked")]
    SessionsNamed {
        /// When.
        at: Moment,
        /// Which.
        ids: Vec<SessionId>,
    },
    /// A reply with sessions came.
    #[serde(rename = "Seen")]
    SessionsReceived {
        /// When.
        at: RequestTiming,
        /// What was asked for.
        scope: Scope,
        /// What came, in the reply's order.
        sessions: Vec<Session>,
        /// How many elements of a list were no session.
        malformed: u32,
    },
    /// Replies came that said the same as the one before them, and by which nothing happened; so a recording has them.
    #[serde(rename = "Repeated")]
    ResponseRepeated {
        /// When the newest came.
        at: RequestTiming,
        /// What was asked for.
        scope: Scope,
        /// What came.
        sessions: Vec<Session>,
        /// How many elements of a list were no session.
        malformed: u32,
        /// How many they were.
        #[serde(rename = "replies")]
        responses: u64,
        /// The longest time between two in a row, from the sending of the one to the coming of the next.
        longest_gap: Duration,
    },
    /// The API says that the session is not there: 404 or 410.
    #[serde(rename = "Missing")]
    SessionNotFound {
        /// When.
        at: RequestTiming,
        /// Which.
        id: SessionId,
        /// Its words.
        #[serde(rename = "fault")]
        error: ApiError,
        /// When it will be asked again.
        next: Option<Moment>,
    },
    /// A request brought nothing.
    #[serde(rename = "Failed")]
    RequestFailed {
        /// When.
        at: RequestTiming,
        /// What was asked for.
        scope: Scope,
        /// Why.
        #[serde(rename = "fault")]
        error: ApiError,
        /// When it will be asked again.
        next: Option<Moment>,
    },
    /// The release of a session was asked for from here.
    #[serde(rename = "ReleaseAsked")]
    ReleaseRequested {
        /// When.
        at: Moment,
        /// Which.
        id: SessionId,
    },
    /// The API did not take the release.
    ReleaseFailed {
        /// When.
        at: RequestTiming,
        /// Which.
        id: SessionId,
        /// Its words.
        #[serde(rename = "fault")]
        error: ApiError,
        /// When it will be asked again; `None` if it will not.
        next: Option<Moment>,
    },
    /// The projects came.
    #[serde(rename = "Projects")]
    ProjectsReceived {
        /// When.
        at: RequestTiming,
        /// Which.
        projects: Vec<Project>,
    },
    /// The machine slept.
    Slept {
        /// The last moment before.
        from: Moment,
        /// The first after.
        to: Moment,
    },
    /// Time went by, and something that depends on it alone may now be true.
    TimePassed {
        /// Until then.
        now: Moment,
    },
}

impl RequestTiming {
    /// The same, with its moments on another clock.
    #[must_use]
    pub fn rebase(self, clock: impl Fn(Moment) -> Moment) -> Self {
        Self { sent: clock(self.sent), received: clock(self.received), date: self.date }
    }
}

impl Input {
    /// The same, with its moments on another clock: those of another run.
    #[must_use]
    pub fn rebase(mut self, clock: impl Fn(Moment) -> Moment) -> Self {
        match &mut self {
            Self::SessionsNamed { at, .. } | Self::ReleaseRequested { at, .. } => *at = clock(*at),
            Self::TimePassed { now } => *now = clock(*now),
            Self::Slept { from, to } => (*from, *to) = (clock(*from), clock(*to)),
            Self::SessionsReceived { at, .. }
            | Self::ResponseRepeated { at, .. }
            | Self::ProjectsReceived { at, .. } => *at = at.rebase(clock),
            Self::SessionNotFound { at, next, .. }
            | Self::RequestFailed { at, next, .. }
            | Self::ReleaseFailed { at, next, .. } => {
                (*at, *next) = (at.rebase(&clock), next.map(clock));
            }
        }
        self
    }

    /// The newest moment that it tells of.
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
