//! The text of a verdict: cause, grounds, excluded causes, confidence and advice. All sentences about verdicts are in
//! this file, except the advice about a client's calls, which is in [`crate::clients`].

use std::time::Duration;

use super::{Cause, Confidence, Fact, MIN_SHOWN_SPREAD, Verdict};
use crate::clock::{Timestamp, Zone};
use crate::session::{ApiErrorKind, Status, is_default_timeout};
use crate::text;

/// The maximum width of [`VerdictText::short`], in columns.
pub const MAX_SHORT_COLUMNS: usize = 25;

/// The text of a [`Verdict`]. Each part is at most one sentence, without a full stop; a step of the advice may be two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictText {
    /// The cause for a column of a table, in at most [`MAX_SHORT_COLUMNS`] columns.
    pub short: String,
    /// What probably happened.
    pub headline: String,
    /// The grounds of the headline, and what else it may have been.
    pub why: String,
    /// The excluded causes, if there are any. They are excluded by the documented rules, and the text says so.
    pub ruled_out: Option<String>,
    /// The confidence, and what limits it.
    pub how_sure: &'static str,
    /// Advice to the user, in the order of the steps. There is at least one step.
    pub what_to_do: Vec<AdviceStep>,
    /// A known fault of a client, if it fits the facts. It does not change the verdict.
    pub hint: Option<&'static str>,
    /// A sentence about the sessions that ended at about the same time, if there is a cluster.
    pub end_cluster: Option<String>,
}

/// One step of the advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdviceStep {
    /// What to do.
    pub text: String,
    /// True if the step needs the evidence, which the screen copies with a keystroke.
    pub needs_evidence: bool,
}

impl VerdictText {
    /// Returns the advice as one text. If there are several steps, each has its number.
    #[must_use]
    pub fn advice(&self) -> String {
        match self.what_to_do.as_slice() {
            [only] => only.text.clone(),
            steps => {
                let numbered = (1..).zip(steps).map(|(number, step)| format!("{number} {}", step.text));
                numbered.collect::<Vec<_>>().join("; ")
            }
        }
    }
}

impl Confidence {
    /// Returns the name used in the output of `keepwatch events`. It is part of the schema.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns the degree as a word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Likely => "likely",
            Self::Possible => "possible",
            Self::Unknown => "unknown",
        }
    }
}

impl Verdict {
    /// Returns the name used in the output of `keepwatch events`. It is part of the schema.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.cause {
            Cause::KeepAliveEnded { unused: Some(_), .. } => "keep_alive_ended_early",
            cause => cause.into(),
        }
    }

    /// Returns true if the dashboard's page of the session shows a termination reason, which the API withholds.
    #[must_use]
    pub fn has_dashboard_reason(&self) -> bool {
        !matches!(self.cause, Cause::Gone { .. } | Cause::Overdue { .. })
    }

    /// Returns true if a call of the session's own client can be the cause, and its metadata does not tell the client.
    /// The table of calls ([`crate::clients::CALLS`]) is then worth showing.
    #[must_use]
    pub fn may_be_a_call_of_unknown_client(&self) -> bool {
        self.client.is_none() && self.cause.may_be_a_call_of_the_client()
    }

    /// Returns the text. Times are in `zone`. A time on another day than `today` has a date.
    #[must_use]
    pub fn text(&self, zone: Zone, today: Timestamp) -> VerdictText {
        VerdictText {
            short: self.short(),
            headline: self.headline(zone, today),
            why: self.why(),
            ruled_out: self.ruled_out().map(|causes| format!("{causes}; by the documented rules")),
            how_sure: self.how_sure(),
            what_to_do: self.what_to_do(zone, today),
            hint: self
                .fits_lost_timeout
                .then_some("possible: the Node SDK drops `timeout` when it is the only field (2.21.0)"),
            end_cluster: self.end_cluster.as_ref().map(|cluster| {
                format!(
                    "{} sessions ended within {} of each other: one job that finished, a bulk release, or an outage",
                    cluster.ids.len(),
                    text::format_tenths(cluster.spread.max(MIN_SHOWN_SPREAD))
                )
            }),
        }
    }

    /// Returns one self-contained line: status, running time, time left, keep-alive and headline.
    #[must_use]
    pub fn summary_line(&self, status: &Status, zone: Zone, today: Timestamp) -> String {
        let headline = self.headline(zone, today);
        if matches!(self.cause, Cause::Overdue { .. }) {
            return headline; // it contains the status
        }
        // Without a valid endedAt, only the responses bound the end. The durations are then bounds, too.
        let is_end_estimated = self.facts.contains(&Fact::ResponsesAroundEnd);
        let (at_most, at_least) = if is_end_estimated { ("at most ", "at least ") } else { ("", "") };
        let running_time = self
            .duration
            .map(|duration| format!(" after {at_most}{}", text::format_elapsed(duration)))
            .unwrap_or_default();
        let unused = match self.cause {
            Cause::KeepAliveEnded { unused: Some(unused), is_early, .. } => {
                let word = if is_early { "early" } else { "left" };
                format!(", {at_least}{} {word}", text::format_countdown(unused))
            }
            Cause::Disconnected { unused: Some(unused) } => {
                format!(", {at_least}{} left", text::format_countdown(unused))
            }
            _ => String::new(), // unknown, or of no interest for this cause
        };
        let keep_alive = match self.cause {
            Cause::KeepAliveEnded { .. } => ", keep-alive on",
            Cause::NeverConnected { .. } | Cause::Disconnected { .. } => ", keep-alive off",
            _ => "",
        };
        let last_seen = if matches!(self.cause, Cause::Gone { .. }) { "last seen " } else { "" };
        format!("{last_seen}{}{running_time}{unused}{keep_alive}: {headline}", status.sanitise(24))
    }

    fn short(&self) -> String {
        let countdown = |time: &Duration| text::format_countdown(*time);
        match &self.cause {
            Cause::Failed => "browser or platform fault".into(),
            Cause::TimedOut { unused: Some(_), .. } => "timeout, before its time".into(),
            Cause::TimedOut { timeout: Some(timeout), default_timeout, .. } => {
                let timeout_text = format!("timeout {}", text::format_duration(*timeout));
                let origin = match default_timeout {
                    Some(default) if is_default_timeout(*timeout, *default) => ", the default",
                    Some(_) => ", its own",
                    None => "",
                };
                first_that_fits([format!("{timeout_text}{origin}"), timeout_text], "timeout")
            }
            Cause::TimedOut { timeout: None, .. } => "timeout".into(),
            Cause::ReleasedHere { .. } => "released by you".into(),
            Cause::AtExpiry { .. } => "timeout, by its times".into(),
            Cause::KeepAliveEnded { is_early: false, .. } => "released or closed".into(),
            Cause::KeepAliveEnded { unused: Some(unused), .. } => {
                first_that_fits([format!("ended early, {} left", countdown(unused))], "ended early")
            }
            Cause::KeepAliveEnded { unused: None, .. } => "released, closed or fault".into(),
            Cause::NeverConnected { .. } => "nobody connected in 5m?".into(),
            Cause::Disconnected { .. } => "client left, or released".into(),
            Cause::EndedPastExpiry { overrun } => {
                first_that_fits([format!("ended {} past expiry", countdown(overrun))], "ended past expiry")
            }
            Cause::Unexplained => "cause not known".into(),
            Cause::Gone { error } if error.kind == ApiErrorKind::Gone => "aged out".into(),
            Cause::Gone { .. } => "not found".into(),
            Cause::Overdue { overrun } => {
                first_that_fits([format!("{} past its expiry", countdown(overrun))], "past its expiry")
            }
        }
    }

    fn headline(&self, zone: Zone, today: Timestamp) -> String {
        match &self.cause {
            Cause::Failed => "Browser crashed, or platform fault".into(),
            Cause::TimedOut { unused: Some(unused), .. } => {
                format!("Its timeout, as the status says, yet {} early", text::format_countdown(*unused))
            }
            Cause::TimedOut { timeout: Some(timeout), default_timeout, .. } => {
                let own = text::format_duration(*timeout);
                match default_timeout {
                    Some(default) if is_default_timeout(*timeout, *default) => {
                        format!("Timeout of {own}, the project's default")
                    }
                    Some(default) => {
                        let default = text::format_duration(*default);
                        format!("Its own timeout of {own} (the project's default is {default})")
                    }
                    None => format!("Its timeout of {own}"),
                }
            }
            Cause::TimedOut { timeout: None, .. } => "Its timeout".into(),
            Cause::ReleasedHere { requested_at, time_to_end } => {
                let ended_later = time_to_end
                    .map(|time_to_end| format!("; it ended {} later", text::format_elapsed(time_to_end)))
                    .unwrap_or_default();
                format!("You released it at {}{ended_later}", zone.short_date_time(*requested_at, today))
            }
            Cause::AtExpiry { .. } => "Its timeout, though the API says COMPLETED".into(),
            Cause::KeepAliveEnded { is_early: false, .. } => {
                "Possibly released via API, the usual end of a keep-alive session".into()
            }
            Cause::KeepAliveEnded { unused: Some(_), .. } => {
                "Released via API, browser closed, or platform fault".into()
            }
            Cause::KeepAliveEnded { unused: None, .. } => {
                "Released via API, browser closed, its timeout, or platform fault".into()
            }
            Cause::NeverConnected { .. } => "Possibly nobody connected within 5 min of its creation".into(),
            Cause::Disconnected { unused } => {
                let timeout = if unused.is_some() { "" } else { ", or its timeout" };
                format!("Client disconnected or closed the browser, or someone released it{timeout}")
            }
            Cause::EndedPastExpiry { .. } => "Its timeout, noticed late by the platform".into(),
            Cause::Unexplained => "The API says too little".into(),
            Cause::Gone { error } if error.kind == ApiErrorKind::Gone => "The API no longer keeps it".into(),
            Cause::Gone { .. } => "Aged out, or another project's".into(),
            Cause::Overdue { overrun } => format!(
                "Still {} {} past its expiry",
                self.status.sanitise(24),
                text::format_elapsed(*overrun)
            ),
        }
    }

    fn why(&self) -> String {
        match &self.cause {
            Cause::Failed => "the API reports ERROR".into(),
            Cause::TimedOut { unused: Some(_), .. } => {
                "its times and its status contradict each other".into()
            }
            Cause::TimedOut { .. } => "the API reports TIMED_OUT; nothing extends a timeout".into(),
            Cause::ReleasedHere { .. } => "you requested its release; that may not be why it ended".into(),
            Cause::AtExpiry { distance } => {
                format!("it ended {} from its expiry", text::format_tenths(*distance))
            }
            Cause::KeepAliveEnded { unused, is_early, matches_never_connected } => {
                let rule = if *is_early {
                    "the API reports an orderly end, and gives no reason for it"
                } else {
                    "a release is the documented way to end a keep-alive session; a closed browser or a platform fault \
                     looks the same"
                };
                // "so does" continues "looks the same" in the rule for ends that are not early.
                let timeout = if *is_early || unused.is_some() { "" } else { "; so does its timeout" };
                let unconnected = if *matches_never_connected {
                    "; or nobody connected within 5 min, if that ends keep-alive sessions, too (not documented)"
                } else {
                    ""
                };
                format!("{rule}{timeout}{unconnected}")
            }
            Cause::NeverConnected { age } => format!(
                "it ended {} after its creation, when Browserbase ends sessions to which nobody connected; or its client \
                 disconnected or closed the browser, or someone released it",
                text::format_elapsed(*age)
            ),
            Cause::Disconnected { .. } => {
                "without keep-alive, a session ends when its last client leaves; Browserbase closes a connection without \
                 a CDP command for 10 min, which looks the same"
                    .into()
            }
            Cause::EndedPastExpiry { overrun } => {
                format!("it ended {} after its expiry", text::format_elapsed(*overrun))
            }
            Cause::Unexplained => {
                "a disconnect, a closed browser, a release, a timeout or a platform fault: all fit".into()
            }
            Cause::Gone { .. } => {
                "the API knew it before; Browserbase keeps ended sessions for 7 days (Free, Developer) or 30 days (Startup)"
                    .into()
            }
            Cause::Overdue { .. } => "the API is late, or something is wrong".into(),
        }
    }

    /// Returns the causes that the documented rules exclude, each with its rule.
    fn ruled_out(&self) -> Option<String> {
        let timeout = |unused: Option<Duration>| {
            // Without an endedAt, the time left is a lower bound.
            let at_least = if self.facts.contains(&Fact::ResponsesAroundEnd) { "at least " } else { "" };
            unused.map(|unused| format!("timeout ({at_least}{} left)", text::format_countdown(unused)))
        };
        match &self.cause {
            Cause::Failed => Some(match timeout(self.unused) {
                Some(timeout) => format!("{timeout}; release and disconnect (they end as COMPLETED)"),
                None => "timeout, release and disconnect (they end with another status)".into(),
            }),
            Cause::TimedOut { unused: None, .. } => {
                Some("release, disconnect, crash (they end with another status)".into())
            }
            Cause::KeepAliveEnded { unused, .. } => {
                let disconnect = "disconnect (keep-alive survives it)";
                Some(match timeout(*unused) {
                    Some(timeout) => format!("{disconnect}, {timeout}"),
                    None => disconnect.into(),
                })
            }
            Cause::NeverConnected { .. } => timeout(self.unused),
            Cause::Disconnected { unused } => timeout(*unused),
            Cause::TimedOut { .. }
            | Cause::AtExpiry { .. }
            | Cause::ReleasedHere { .. }
            | Cause::EndedPastExpiry { .. }
            | Cause::Unexplained
            | Cause::Gone { .. }
            | Cause::Overdue { .. } => None,
        }
    }

    fn how_sure(&self) -> &'static str {
        match self.confidence {
            Confidence::Reported => "reported: the API says so",
            Confidence::Likely => "likely, by the documented rules; the API gives no reason",
            Confidence::Possible if self.has_impossible_ended_at => {
                "possible: endedAt contradicts the other timestamps; ignored"
            }
            Confidence::Possible if self.facts.contains(&Fact::ResponsesAroundEnd) => {
                "possible: the API gives no endedAt, so only the polls tell when it ended"
            }
            Confidence::Possible => "possible: other causes fit, too",
            Confidence::Unknown => "unknown",
        }
    }

    fn what_to_do(&self, zone: Zone, today: Timestamp) -> Vec<AdviceStep> {
        let read_the_log = || {
            let time = self.latest_end.map(|at| zone.short_date_time(at, today));
            format!("Read the client's log around {}", time.unwrap_or_else(|| "that time".into()))
        };
        // A client without a stamp can be any client.
        let client_advice = self.client.map(|client| client.advice(self.keep_alive_of_cause()));
        let look_for_close =
            client_advice.clone().unwrap_or_else(|| "Look for `browser.close()` in your client".into());
        match &self.cause {
            Cause::Failed => vec![step("Run it again"), SendEvidence::IfItRecurs.step()],
            Cause::TimedOut { unused: Some(_), .. }
            | Cause::EndedPastExpiry { .. }
            | Cause::Overdue { .. } => vec![SendEvidence::IfItRecurs.step()],
            Cause::TimedOut { .. } | Cause::AtExpiry { .. } => {
                vec![step("Create it with a longer timeout: 60 s to 6 h")]
            }
            Cause::ReleasedHere { .. } => vec![step("Nothing, if you meant it")],
            Cause::KeepAliveEnded { is_early: true, .. } => vec![
                step("Ask who else releases sessions with this API key"),
                step(look_for_close),
                SendEvidence::IfNeither.step(),
            ],
            Cause::KeepAliveEnded { is_early: false, .. } => vec![
                step("Nothing, if a program of yours released it; else ask who else has this API key"),
                step(look_for_close),
                SendEvidence::IfNeither.step(),
            ],
            Cause::NeverConnected { .. } => {
                let connect = step("Connect within 5 min. Check that the client got the connect URL");
                std::iter::once(connect).chain(client_advice.map(step)).collect()
            }
            Cause::Disconnected { .. } => {
                let log = step(format!("{}. With keep-alive it would survive a disconnect", read_the_log()));
                std::iter::once(log).chain(client_advice.map(step)).collect()
            }
            Cause::Unexplained => {
                std::iter::once(step(read_the_log())).chain(client_advice.map(step)).collect()
            }
            // A 410. The arm after this one is for a 404.
            Cause::Gone { error } if error.kind == ApiErrorKind::Gone => vec![step("Nothing")],
            Cause::Gone { .. } => vec![step("Check the API key's project")],
        }
    }

    /// Returns the session's keep-alive, as far as the cause depends on it.
    fn keep_alive_of_cause(&self) -> Option<bool> {
        match self.cause {
            Cause::KeepAliveEnded { .. } => Some(true),
            Cause::Disconnected { .. } | Cause::NeverConnected { .. } => Some(false),
            _ => None,
        }
    }
}

/// The steps that need the evidence.
enum SendEvidence {
    IfItRecurs,
    IfNeither,
}

impl SendEvidence {
    fn step(self) -> AdviceStep {
        let text = match self {
            Self::IfItRecurs => "If it recurs, send the evidence to support",
            Self::IfNeither => "Neither? Send the evidence to support",
        };
        AdviceStep { text: text.into(), needs_evidence: true }
    }
}

fn step(text: impl Into<String>) -> AdviceStep {
    AdviceStep { text: text.into(), needs_evidence: false }
}

/// Returns the first of the texts that fits into [`MAX_SHORT_COLUMNS`], or `shortest`.
fn first_that_fits<const N: usize>(texts: [String; N], shortest: &str) -> String {
    let fits = |text: &String| text::width(text) <= MAX_SHORT_COLUMNS;
    texts.into_iter().find(fits).unwrap_or_else(|| shortest.to_owned())
}
