//! The world: all sessions and the project, and the API's JSON about them at any offset.
//!
//! The world is pure: everything follows from the scenario, the start time and the offset. Only `create_session`,
//! `release_session` and a test's [`Control`](crate::Control) change it. It reads no clock and knows no faults.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::lifecycle::LifecycleRules;
use super::project::SimProject;
use super::query::ListFilter;
use super::scenario::Scenario;
use super::scenario_session::{OverrideScope, ScenarioSession, SimStatus};
use super::scenario_time::Offset;
use super::sim_session::{SessionSnapshot, SimSession, stable_uuid};
use keepwatch_core::clock::Timestamp;

/// All sessions of a scenario, and its project.
#[derive(Debug)]
pub struct World {
    /// The reading of the server's clock at the simulator's start.
    pub(super) start: Timestamp,
    pub(super) project: SimProject,
    pub(super) rules: LifecycleRules,
    /// The sessions, newest first, as in the API's lists.
    pub(super) sessions: Vec<SimSession>,
    /// The index in `sessions` of the session with each id.
    index_by_id: HashMap<String, usize>,
}

impl World {
    /// Returns the world of `scenario` with `extra_sessions`, for a server that started at `start`.
    #[must_use]
    pub fn new(
        scenario: &Scenario,
        extra_sessions: impl IntoIterator<Item = ScenarioSession>,
        start: Timestamp,
    ) -> Self {
        let copies = scenario
            .sessions
            .iter()
            .flat_map(|session| (0..session.copy_count()).map(|index| session.nth_copy(index)));
        let project = scenario.project.clone();
        let sessions = copies
            .chain(extra_sessions)
            .enumerate()
            .map(|(index, spec)| {
                let id = spec.id.clone().unwrap_or_else(|| stable_uuid(&scenario.name, index));
                SimSession::new(spec, id, &project, start)
            })
            .collect();
        let rules = scenario.rules;
        let mut world = Self { start, project, rules, sessions, index_by_id: HashMap::new() };
        world.sort_and_index();
        world
    }

    /// Adds a session and returns its id. An existing session with the same id is replaced.
    pub fn add_session(&mut self, spec: ScenarioSession) -> String {
        let id = spec.id.clone().unwrap_or_else(|| stable_uuid("added", self.sessions.len()));
        self.sessions.retain(|session| session.id != id);
        self.sessions.push(SimSession::new(spec, id.clone(), &self.project, self.start));
        self.sort_and_index();
        id
    }

    /// Changes fields of the session `id`, but not its id. Returns false if there is no such session.
    pub fn update_session(&mut self, id: &str, change: impl FnOnce(&mut ScenarioSession)) -> bool {
        let Some(sim_session) = self.index_by_id.get(id).and_then(|index| self.sessions.get_mut(*index))
        else {
            return false;
        };
        let mut spec = sim_session.spec.clone();
        change(&mut spec);
        *sim_session = SimSession::new(spec, id.to_owned(), &self.project, self.start);
        self.sort_and_index();
        true
    }

    fn sort_and_index(&mut self) {
        self.sessions
            .sort_by(|one, other| other.created.cmp(&one.created).then_with(|| one.id.cmp(&other.id)));
        self.index_by_id =
            self.sessions.iter().enumerate().map(|(index, session)| (session.id.clone(), index)).collect();
    }

    pub(super) fn session(&self, id: &str) -> Option<&SimSession> {
        self.sessions.get(*self.index_by_id.get(id)?)
    }

    /// Returns true if `name_or_id` is the name or id of the session `id`.
    #[must_use]
    pub fn has_name_or_id(&self, id: &str, name_or_id: &str) -> bool {
        id == name_or_id || self.session(id).is_some_and(|session| session.spec.has_name_or_id(name_or_id))
    }

    /// Returns the reading of the server's clock at `at`.
    #[must_use]
    pub fn server_time(&self, at: Offset) -> Timestamp {
        at.to_timestamp(self.start)
    }

    /// Returns the state of the session `id` at `at`, or `None` if the API does not know it.
    #[must_use]
    pub fn snapshot(&self, id: &str, at: Offset) -> Option<SessionSnapshot> {
        self.session(id)?.snapshot(at)
    }

    /// Returns the body of `GET /v1/sessions/{id}` at `at`, and the connect URL in it, if any. While the session is
    /// alive, the body has connect fields, which contain `signing_key`. Returns `None` if the API does not know the
    /// session.
    #[must_use]
    pub fn retrieve(&self, id: &str, at: Offset, signing_key: &str) -> Option<(String, Option<String>)> {
        let session = self.session(id)?;
        let snapshot = session.snapshot(at)?;
        let mut body = String::with_capacity(2048);
        session.write_json(&mut body, &snapshot, self.start);
        let connect_url = (!matches!(snapshot.status, SimStatus::Ended(_))).then(|| {
            let host = &session.connect_host;
            let connect_url = format!("wss://{host}/?signingKey={signing_key}");
            body.pop(); // the closing brace
            _ = write!(
                body,
                r#","connectUrl":{},"seleniumRemoteUrl":{},"signingKey":{}}}"#,
                json!(connect_url),
                json!(format!("http://{host}/webdriver")),
                json!(signing_key)
            );
            connect_url
        });
        let body = session.apply_overrides(body, at, OverrideScope::Retrieve);
        // An override may have removed the connect URL.
        let connect_url = connect_url.filter(|url| body.contains(url));
        Some((body, connect_url))
    }

    /// Returns the body of `GET /v1/sessions` at `at`.
    #[must_use]
    pub(super) fn list(&self, at: Offset, filter: &ListFilter) -> String {
        // The JSON of a session has about 640 bytes, and the brackets have 2.
        let mut body = String::with_capacity(self.sessions.len() * 640 + 2);
        body.push('[');
        for session in &self.sessions {
            let Some(snapshot) = session.snapshot(at) else { continue };
            if session.spec.unlisted.iter().any(|window| window.contains(at))
                || filter.metadata.as_ref().is_some_and(|wanted| !wanted.matches(&session.metadata))
            {
                continue;
            }
            let matches_status = |status: &str| filter.status.is_none_or(|wanted| wanted.as_str() == status);
            if session.spec.overrides.is_empty() {
                if matches_status(snapshot.status.as_str()) {
                    session.write_json(&mut body, &snapshot, self.start);
                    body.push(',');
                }
            } else {
                // An override can change the status, so the filter must see the overridden JSON.
                let mut json = String::new();
                session.write_json(&mut json, &snapshot, self.start);
                let overridden = session.apply_overrides(json, at, OverrideScope::List);
                let fields = serde_json::from_str::<Value>(&overridden).unwrap_or_default();
                if matches_status(fields.get("status").and_then(Value::as_str).unwrap_or_default()) {
                    body.push_str(&overridden);
                    body.push(',');
                }
            }
        }
        if body.ends_with(',') {
            body.pop();
        }
        body.push(']');
        body
    }

    /// Returns the body of `GET /v1/projects/{id}`, or `None` if the API does not know the project.
    #[must_use]
    pub fn project(&self, id: &str) -> Option<Value> {
        (self.project.id == id).then(|| self.project.to_json(self.start))
    }

    /// Returns the body of `GET /v1/projects`.
    #[must_use]
    pub fn projects(&self) -> Value {
        json!([self.project.to_json(self.start)])
    }

    /// Returns the body of `GET /v1/projects/{id}/usage` at `at`, or `None` if the API does not know the project.
    ///
    /// No source documents which period the API counts. The simulator counts all sessions that the API knows at `at`.
    pub(super) fn usage(&self, id: &str, at: Offset) -> Option<Value> {
        let known_sessions =
            || self.sessions.iter().filter_map(|session| Some((session, session.snapshot(at)?)));
        let minutes = |session: &SimSession| {
            let end = session.effective_end().map_or(at, |end| end.at.min(at));
            // The API bills every minute that has begun, and at least one.
            let started_minutes = end.minus(session.starts_at()).to_duration().as_secs() / 60 + 1;
            if session.starts_at() <= end { started_minutes } else { 0 }
        };
        (self.project.id == id).then(|| {
            json!({
                "browserMinutes": known_sessions().map(|(session, _)| minutes(session)).sum::<u64>(),
                "proxyBytes": known_sessions().map(|(_, snapshot)| snapshot.proxy_bytes).sum::<u64>(),
            })
        })
    }
}

#[cfg(test)]
mod tests;
