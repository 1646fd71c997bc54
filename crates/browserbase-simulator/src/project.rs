//! The project that the sessions belong to: its fields in a scenario, the limits of its plan, and its JSON in the API.
//!
//! The module never counts slots: `lifecycle` does, when a client creates a session.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::scenario_time::{HumanDuration, Offset};
use super::sim_session::{api_time, stable_uuid};
use keepwatch_core::clock::Timestamp;

/// A project: the fields that `GET /v1/projects` returns, and the plan, which no endpoint returns.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimProject {
    /// The project's id.
    pub id: String,
    /// The project's name.
    pub name: String,
    /// The timeout of sessions that are created without a timeout.
    pub default_timeout: HumanDuration,
    /// The number of slots: sessions that can be alive at once.
    pub concurrency: u32,
    /// The project's plan.
    pub plan: ProjectPlan,
}

/// The plan of a project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProjectPlan {
    /// Keep-alive, and timeouts of up to 6 hours.
    #[default]
    Paid,
    /// No keep-alive, and timeouts of up to 15 minutes.
    Free,
}

impl ProjectPlan {
    /// Returns the longest timeout that the plan allows.
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
    /// Returns the body of `GET /v1/projects/{id}`, from a server that started at `start`.
    pub(super) fn to_json(&self, start: Timestamp) -> Value {
        // The project is a year older than the simulator.
        let year_ago = Offset::from_micros(-365 * 86_400_000_000);
        json!({
            "id": self.id,
            "name": self.name,
            "ownerId": stable_uuid(&self.id, 0),
            "createdAt": api_time(year_ago.to_timestamp(start)),
            "updatedAt": api_time(year_ago.to_timestamp(start)),
            "defaultTimeout": self.default_timeout.0.as_secs(),
            "concurrency": self.concurrency,
        })
    }
}
