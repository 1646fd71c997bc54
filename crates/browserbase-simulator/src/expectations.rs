//! What a scenario expects of whoever watches it, as written. Nothing here reads it but the check that it can be met at
//! all; the whole-program tests hold a program against it.

use serde::Deserialize;

use super::scenario_time::HumanDuration;

/// What is expected of one session, or of what concerns all.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expectation {
    /// The name or the id of a session with an id of its own; all that concerns no session alone, if left out.
    pub session: Option<String>,
    /// From the start: by then all of it holds. What must not be is held against all of that time.
    pub within: HumanDuration,
    /// Whether the reader copies its connect URL, several times.
    pub copied: bool,
    /// Whether the reader releases it.
    pub released: bool,
    /// The status that is seen last.
    pub status: Option<String>,
    /// Names of events that come in this order; others may lie between.
    pub events: Vec<String>,
    /// Names of events that do not come.
    #[serde(rename = "never")]
    pub absent_events: Vec<String>,
    /// The name of the verdict; `none` if there must not be one.
    pub verdict: Option<String>,
    /// What the events' sentences and the verdict's words say, word for word.
    pub phrases: Vec<String>,
    /// What they do not say.
    #[serde(rename = "unsaid")]
    pub absent_phrases: Vec<String>,
    /// What is on the screen, 120 columns by 40 rows, with this session selected.
    pub screen: Vec<String>,
}

/// The verdict of what must not have one.
pub const NO_VERDICT: &str = "none";

impl Expectation {
    /// Whether it holds only if something does not come: then it is known only when the time is over.
    #[must_use]
    pub fn requires_absence(&self) -> bool {
        !self.absent_events.is_empty()
            || !self.absent_phrases.is_empty()
            || self.verdict.as_deref() == Some(NO_VERDICT)
    }

    /// What is wrong with it, whatever the sessions are.
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
        if let Some(twice) = self.events.iter().find(|event| self.absent_events.contains(event)) {
            return Err(format!("“{twice}” of {subject} is expected, and is not to come"));
        }
        Ok(())
    }
}
