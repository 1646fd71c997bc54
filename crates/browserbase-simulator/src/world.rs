//! What the API knows at a moment: pure, from the scenario, the moment it began and the time since.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::living::Rules;
use super::offset::Offset;
use super::project::Project;
use super::query::Filter;
use super::resident::{Resident, Standing, uuid};
use super::script::Script;
use super::session::{Replies, Session, Status};
use keepwatch_core::clock::Timestamp;

/// All sessions of a scenario, and its project.
#[derive(Debug)]
pub struct World {
    pub(super) start: Timestamp,
    pub(super) project: Project,
    pub(super) rules: Rules,
    /// Newest first, as lists show them.
    pub(super) residents: Vec<Resident>,
    /// Where each id stands in `residents`.
    places: HashMap<String, usize>,
}

impl World {
    /// The sessions of `script`, and `more` besides, as they are for a server that started at `start`.
    #[must_use]
    pub fn new(script: &Script, more: impl IntoIterator<Item = Session>, start: Timestamp) -> Self {
        let copies = script
            .sessions
            .iter()
            .flat_map(|session| (0..session.copies()).map(|number| session.copy(number)));
        let project = script.project.clone();
        let residents = copies
            .chain(more)
            .enumerate()
            .map(|(place, plan)| {
                let id = plan.id.clone().unwrap_or_else(|| uuid(&script.name, place));
                Resident::new(plan, id, &project, start)
            })
            .collect();
        let rules = script.rules;
        let mut world = Self { start, project, rules, residents, places: HashMap::new() };
        world.put_in_order();
        world
    }

    /// Adds `plan`, and says the id it got.
    pub fn add(&mut self, plan: Session) -> String {
        let id = plan.id.clone().unwrap_or_else(|| uuid("added", self.residents.len()));
        self.residents.retain(|resident| resident.id != id);
        self.residents.push(Resident::new(plan, id.clone(), &self.project, self.start));
        self.put_in_order();
        id
    }

    /// Changes what is planned for the session `id`; its id stays. False if there is none.
    pub fn alter(&mut self, id: &str, change: impl FnOnce(&mut Session)) -> bool {
        let Some(resident) = self.places.get(id).and_then(|place| self.residents.get_mut(*place)) else {
            return false;
        };
        let mut plan = resident.plan.clone();
        change(&mut plan);
        *resident = Resident::new(plan, id.to_owned(), &self.project, self.start);
        self.put_in_order();
        true
    }

    fn put_in_order(&mut self) {
        self.residents
            .sort_by(|one, other| other.created.cmp(&one.created).then_with(|| one.id.cmp(&other.id)));
        self.places =
            self.residents.iter().enumerate().map(|(place, resident)| (resident.id.clone(), place)).collect();
    }

    pub(super) fn resident(&self, id: &str) -> Option<&Resident> {
        self.residents.get(*self.places.get(id)?)
    }

    /// Whether the session `id` is called `word`.
    #[must_use]
    pub fn is_called(&self, id: &str, word: &str) -> bool {
        id == word || self.resident(id).is_some_and(|resident| resident.plan.is_called(word))
    }

    /// What the server's clock shows at `at`.
    #[must_use]
    pub fn date(&self, at: Offset) -> Timestamp {
        at.date(self.start)
    }

    /// What the session `id` is at `at`; `None` if the API does not know it.
    #[must_use]
    pub fn standing(&self, id: &str, at: Offset) -> Option<Standing> {
        self.resident(id)?.standing(at)
    }

    /// What `GET /v1/sessions/{id}` answers at `at`: the JSON, and the connect URL in it, if there is one.
    /// `signing_key` is the one that this reply carries.
    #[must_use]
    pub fn retrieve(&self, id: &str, at: Offset, signing_key: &str) -> Option<(String, Option<String>)> {
        let resident = self.resident(id)?;
        let standing = resident.standing(at)?;
        let mut body = String::with_capacity(2048);
        resident.write(&mut body, &standing, self.start);
        let connect_url = (!matches!(standing.status, Status::Ended(_))).then(|| {
            let host = &resident.connect_host;
            let connect_url = format!("wss://{host}/?signingKey={signing_key}");
            body.pop();
            _ = write!(
                body,
                r#","connectUrl":{},"seleniumRemoteUrl":{},"signingKey":{}}}"#,
                json!(connect_url),
                json!(format!("http://{host}/webdriver")),
                json!(signing_key)
            );
            connect_url
        });
        let body = resident.said(body, at, Replies::Retrieve);
        let connect_url = connect_url.filter(|url| body.contains(url));
        Some((body, connect_url))
    }

    /// What `GET /v1/sessions` answers at `at`.
    #[must_use]
    pub(super) fn list(&self, at: Offset, filter: &Filter) -> String {
        let mut body = String::with_capacity(self.residents.len() * 640 + 2);
        body.push('[');
        for resident in &self.residents {
            let Some(standing) = resident.standing(at) else { continue };
            if resident.plan.unlisted.iter().any(|window| window.has(at))
                || filter.metadata.as_ref().is_some_and(|field| !field.is_in(&resident.metadata))
            {
                continue;
            }
            let as_filtered = |status: &str| filter.status.is_none_or(|wanted| wanted.word() == status);
            if resident.plan.says.is_empty() {
                if as_filtered(standing.status.word()) {
                    resident.write(&mut body, &standing, self.start);
                    body.push(',');
                }
            } else {
                let mut truth = String::new();
                resident.write(&mut truth, &standing, self.start);
                let said = resident.said(truth, at, Replies::List);
                let status = serde_json::from_str::<Value>(&said).unwrap_or_default();
                if as_filtered(status.get("status").and_then(Value::as_str).unwrap_or_default()) {
                    body.push_str(&said);
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

    /// What `GET /v1/projects/{id}` answers; `None` if the API does not know it.
    #[must_use]
    pub fn project(&self, id: &str) -> Option<Value> {
        (self.project.id == id).then(|| self.project.json(self.start))
    }

    /// What `GET /v1/projects` answers.
    #[must_use]
    pub fn projects(&self) -> Value {
        json!([self.project.json(self.start)])
    }

    /// What `GET /v1/projects/{id}/usage` answers at `at`; `None` if the API does not know the project. Over which time
    /// the API counts, no source says; this is over all sessions that it ever had here.
    pub(super) fn usage(&self, id: &str, at: Offset) -> Option<Value> {
        let seen = || self.residents.iter().filter_map(|resident| Some((resident, resident.standing(at)?)));
        let minutes = |resident: &Resident| {
            let until = resident.end().map_or(at, |end| end.at.min(at));
            // Minutes are billed as they begin, the first one whatever becomes of it.
            let begun = until.minus(resident.starts()).length().as_secs() / 60 + 1;
            if resident.starts() <= until { begun } else { 0 }
        };
        (self.project.id == id).then(|| {
            json!({
                "browserMinutes": seen().map(|(resident, _)| minutes(resident)).sum::<u64>(),
                "proxyBytes": seen().map(|(_, standing)| standing.proxy_bytes).sum::<u64>(),
            })
        })
    }
}

#[cfg(test)]
mod tests;
