//! What happened, as one sentence each.

use serde::{Deserialize, Serialize};

use super::bounds::When;
use crate::session::{Fault, SessionId, Status};

/// Something that happened to a session, or between the API and us.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The session, unless it concerns all.
    pub id: Option<SessionId>,
    /// Between when and when, on the server's clock.
    pub when: When,
    /// What.
    pub kind: EventKind,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EventKind {
    /// The first reply about it.
    FirstSeen(Status),
    /// Another status, and it lives on.
    Changed {
        /// The last that was seen before.
        from: Status,
        /// The first that was seen after.
        to: Status,
    },
    /// It ended while it was watched.
    Ended(Status),
    /// The API says RUNNING or PENDING, but the list lacks it.
    Unlisted,
    /// The API does not know it (any more).
    NotFound(Fault),
    /// Polls began to fail.
    Failing(Fault),
    /// Polls succeed again.
    Recovered,
    /// The machine slept.
    Slept,
}

impl EventKind {
    /// One sentence, fit for a terminal.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::FirstSeen(status) => format!("first seen {}", status.shown(24)),
            Self::Changed { from, to } => format!("{} → {}", from.shown(24), to.shown(24)),
            Self::Ended(status) => format!("{}, seen ended", status.shown(24)),
            Self::Unlisted => "the API says it lives, but its list lacks it".into(),
            Self::NotFound(fault) => fault.sentence(),
            Self::Failing(fault) => format!("polls fail: {}", fault.sentence()),
            Self::Recovered => "polls succeed again".into(),
            Self::Slept => "this machine slept; what happened meanwhile was not seen".into(),
        }
    }
}
