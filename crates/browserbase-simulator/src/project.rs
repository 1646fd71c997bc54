//! The project that the sessions belong to: what a scenario says of it, what its plan allows, and what the API says of it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::offset::{Offset, Span};
use super::resident::{time, uuid};
use keepwatch_core::clock::Timestamp;

/// The project, as `GET /v1/projects` shows it, and its plan, which no endpoint shows.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Project {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The timeout of sessions that state none.
    pub default_timeout: Span,
    /// How many sessions may run at once.
    pub concurrency: u32,
    /// What is paid for it.
    pub plan: Plan,
}

/// What a project may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plan {
    /// Everything.
    #[default]
    Paid,
    /// No keep-alive, and no session beyond 15 minutes.
    Free,
}

impl Plan {
    /// The longest that a session may take.
    pub(super) fn longest(self) -> Duration {
        Duration::from_secs(if self == Self::Free { 15 * 60 } else { 6 * 60 * 60 })
    }
}

impl Default for Project {
    fn default() -> Self {
        Self {
            id: "b9f4c1f7-2d6e-4c58-9f0e-6a1d0c7ef3a9".to_owned(),
            name: "acme-prod".to_owned(),
            default_timeout: Span(Duration::from_secs(300)),
            concurrency: 25,
            plan: Plan::Paid,
        }
    }
}

impl Project {
    /// What `GET /v1/projects/{id}` answers, of a server that started at `start`.
    pub(super) fn json(&self, start: Timestamp) -> Value {
        let year = Offset::from_micros(-365 * 86_400_000_000);
        json!({
            "id": self.id,
            "name": self.name,
            "ownerId": uuid(&self.id, 0),
            "createdAt": time(year.date(start)),
            "updatedAt": time(year.date(start)),
            "defaultTimeout": self.default_timeout.0.as_secs(),
            "concurrency": self.concurrency,
        })
    }
}
