//! Expectations: the events, verdicts and texts that a program should show when it watches a scenario.
//!
//! The module parses expectations and rejects those that no program could meet. It never watches anything:
//! `tests/program/scenarios.rs` compares keepwatch with them.

use serde::Deserialize;

use super::scenario_time::HumanDuration;

/// An expectation about one session, or about the events that belong to no single session.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expectation {
    /// The name or id of a session with an explicit id. `None` means the events that belong to no single session.
    pub session: Option<String>,
    /// The time since the start by which everything expected has happened. Before this time, the absent events and
    /// the absent phrases do not occur.
    pub within: HumanDuration,
    /// True if the watcher copies the session's connect URL, several times.
    pub copied: bool,
    /// True if the watcher releases the session.
    pub released: bool,
    /// The last status that the watcher saw of the session.
    pub status: Option<String>,
    /// Names of events that occur in this order, possibly with others in between.
    pub events: Vec<String>,
    /// Names of events that do not occur before `within`.
    #[serde(rename = "never")]
    pub absent_events: Vec<String>,
    /// The name of the verdict, or [`NO_VERDICT`].
    pub verdict: Option<String>,
    /// Exact texts, each of which occurs in the sentences of the events or in the verdict.
    pub phrases: Vec<String>,
    /// Texts that occur neither in the sentences of the events nor in the verdict, before `within`.
    #[serde(rename = "unsaid")]
    pub absent_phrases: Vec<String>,
    /// Texts on the screen, 120 columns by 40 rows, with this session selected.
    pub screen: Vec<String>,
}

/// The `verdict` of a session that must not have one.
pub const NO_VERDICT: &str = "none";

impl Expectation {
    /// Returns true if the expectation requires that something does not happen. Its absence is certain only when
    /// `within` has passed.
    #[must_use]
    pub fn requires_absence(&self) -> bool {
        !self.absent_events.is_empty()
            || !self.absent_phrases.is_empty()
            || self.verdict.as_deref() == Some(NO_VERDICT)
    }

    /// Checks the rules that do not depend on the scenario's sessions. Returns an error message if one is broken.
    pub(super) fn validate(&self) -> Result<(), String> {
        let subject = self.session.as_deref().unwrap_or("all sessions");
        if self.within.0.is_zero() {
            return Err(format!("what is expected of {subject} needs a `within`, such as 20s"));
        }
        let needs_session = self.copied
            || self.released
            || self.status.is_some()
            || self.verdict.is_some()
            || !self.screen.is_empty();
        if self.session.is_none() && needs_session {
            return Err(
                "what is expected has `copied`, `released`, `status`, `verdict` or `screen` only with a `session`".into(),
            );
        }
        if let Some(event) = self.events.iter().find(|event| self.absent_events.contains(event)) {
            return Err(format!("“{event}” of {subject} is expected, and is not to come"));
        }
        Ok(())
    }
}
