//! The project that the sessions belong to: what a scenario says of it, what its plan allows, and what the API says of it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::scenario_time::{HumanDuration, Offset};
use super::sim_session::{api_time, stable_uuid};
use keepwatch_core::clock::Timestamp;

/// The project, as `GET /v1/projects` shows it, and its plan, which no endpoint shows.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimProject {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The timeout of sessions that state none.
    pub default_timeout: HumanDuration,
    /// How many sessions may run at once.
    pub concurrency: u32,
    /// What is paid for it.
    pub plan: ProjectPlan,
}

/// What a project may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProjectPlan {
    /// Everything.
    #[default]
    Paid,
    /// No keep-alive, and no session beyond 15 minutes.
    Free,
}

impl ProjectPlan {
    /// The longest that a session may take.
    pub(super) fn max_timeout(self) -> Duration {
        Duration::from_secs(if self == Self::Free { 15 * 60 } else { 6 * 60 * 60 })
    }
}

impl Default for SimProject {
    fn default() -> Self {
        Self {
            id: "b9f4c1f7-2d6e-4c58-9f0e-6a1d0c7ef3a9".to_owned(),
            name: "acme-prod".to_owned(),
            default_timeout: HumanDuration(Duration::from_secs(300)),
            concurrency: 25,
            plan: ProjectPlan::Paid,
        }
    }
}

impl SimProject {
    /// What `GET /v1/projects/{id}` answers, of a server that started at `start`.
    pub(super) fn to_json(&self, start: Timestamp) -> Value {
        let year = Offset::from_micros(-365 * 86_400_000_000);
        json!({
            "id": self.id,
            "name": self.name,
            "ownerId": stable_uuid(&self.id, 0),
            "createdAt": api_time(year.to_timestamp(start)),
            "updatedAt": api_time(year.to_timestamp(start)),
            "defaultTimeout": self.default_timeout.0.as_secs(),
            "concurrency": self.concurrency,
        })
    }
}
