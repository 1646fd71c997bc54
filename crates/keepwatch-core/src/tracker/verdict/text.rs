//! The text of a verdict: cause, excluded causes, confidence and advice. All sentences about verdicts are in this file.

use super::{Cause, Confidence, Fact, Verdict};
use crate::clock::{Timestamp, Zone};
use crate::session::{ApiErrorKind, Status, is_default_timeout};
use crate::text;

/// The text of a [`Verdict`]. Each part is at most one sentence, without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictText {
    /// The cause in brief.
    pub headline: String,
    /// The cause, or the causes that remain possible.
    pub explanation: String,
    /// The excluded causes, if there are any.
    pub ruled_out: Option<&'static str>,
    /// The confidence, and what limits it.
    pub confidence: &'static str,
    /// Advice to the user.
    pub advice: &'static str,
    /// A sentence about the sessions that ended at about the same time, if there is a cluster.
    pub end_cluster: Option<String>,
}

impl Confidence {
    /// Returns the name used in the output of `keepwatch events`. It is part of the schema.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
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

    /// Returns the text. Times are in `zone`. A time on another day than `today` has a date.
    #[must_use]
    pub fn text(&self, zone: Zone, today: Timestamp) -> VerdictText {
        VerdictText {
            headline: self.headline(zone, today),
            explanation: self.explanation(),
            ruled_out: self.ruled_out(),
            confidence: self.confidence_text(),
            advice: self.advice(),
            end_cluster: self.end_cluster.as_ref().map(|cluster| {
                format!(
                    "{} sessions ended within {} of each other: one job that finished, a bulk release, or an outage",
                    cluster.ids.len(),
                    text::format_tenths(cluster.spread)
                )
            }),
        }
    }

    /// Returns one self-contained line: status, running time, unused time, keep-alive and headline.
    #[must_use]
    pub fn summary_line(&self, status: &Status, zone: Zone, today: Timestamp) -> String {
        // Without a valid endedAt, only the responses bound the end. The durations are then bounds, too.
        let is_end_estimated = self.facts.contains(&Fact::ResponsesAroundEnd);
        let (at_most, at_least) = if is_end_estimated { ("at most ", "at least ") } else { ("", "") };
        let running_time = self
            .duration
            .map(|duration| format!(" after {at_most}{}", text::format_elapsed(duration)))
            .unwrap_or_default();
        let unused = match self.cause {
            Cause::KeepAliveEnded { unused: Some(unused), .. }
            | Cause::Disconnected { unused: Some(unused) } => {
                format!(", {at_least}{} unused", text::format_countdown(unused))
            }
            _ => String::new(), // unknown, or of no interest for this cause
        };
        let keep_alive = match self.cause {
            Cause::KeepAliveEnded { .. } => ", keep-alive on",
            Cause::NeverConnected { .. } | Cause::Disconnected { .. } => ", keep-alive off",
            _ => "",
        };
        if let Cause::Overdue { overrun } = self.cause {
            return format!(
                "{0}: overdue, the API still says {0} {1} after its expiry",
                status.sanitise(24),
                text::format_elapsed(overrun)
            );
        }
        let last_seen = if matches!(self.cause, Cause::Gone { .. }) { "last seen " } else { "" };
        format!(
            "{last_seen}{}{running_time}{unused}{keep_alive}: {}",
            status.sanitise(24),
            self.headline(zone, today)
        )
    }

    fn headline(&self, zone: Zone, today: Timestamp) -> String {
        match &self.cause {
            Cause::Failed => "browser or platform error".into(),
            Cause::TimedOut { unused: Some(unused), .. } => {
                format!(
                    "its timeout, as the status says, yet {} before its expiry",
                    text::format_elapsed(*unused)
                )
            }
            Cause::TimedOut { timeout: Some(timeout), default_timeout, .. } => {
                let own = text::format_duration(*timeout);
                match default_timeout {
                    Some(default) if is_default_timeout(*timeout, *default) => {
                        format!("ran into its timeout of {own}, equal to the project's current default")
                    }
                    Some(default) => {
                        let default_text = text::format_duration(*default);
                        format!("ran into its own timeout of {own} (the project's default is {default_text})")
                    }
                    None => format!("ran into its own timeout of {own}"),
                }
            }
            Cause::TimedOut { timeout: None, .. } => "ran into its own timeout".into(),
            Cause::ReleasedHere { requested_at, time_to_end } => {
                let ended_later = time_to_end
                    .map(|time_to_end| format!(", ended {} later", text::format_elapsed(time_to_end)))
                    .unwrap_or_default();
                format!(
                    "release asked from here at {}{ended_later}",
                    zone.short_date_time(*requested_at, today)
                )
            }
            Cause::AtExpiry { .. } => "probably its timeout, though the status says COMPLETED".into(),
            Cause::KeepAliveEnded { unused: Some(_), .. } => {
                "by the rules no disconnect and no timeout".into()
            }
            Cause::KeepAliveEnded { unused: None, .. } => "by the rules no disconnect".into(),
            Cause::NeverConnected { .. } => "perhaps nobody connected within 5 min".into(),
            Cause::Disconnected { .. } => {
                "the client disconnected or closed the browser, or someone released it".into()
            }
            Cause::EndedPastExpiry { overrun } => {
                format!("ended {} after its expiry", text::format_elapsed(*overrun))
            }
            Cause::Unexplained => "an orderly end; the reply does not say enough for more".into(),
            // A 410. The arm after this one is for a 404.
            Cause::Gone { error } if error.kind == ApiErrorKind::Gone => {
                "aged out: the API no longer keeps it".into()
            }
            Cause::Gone { .. } => "aged out, or another project's key".into(),
            Cause::Overdue { .. } => "overdue: the API says it lives, after its expiry".into(),
        }
    }

    fn explanation(&self) -> String {
        match &self.cause {
            Cause::Failed => "the session failed: the browser crashed, or the platform did".into(),
            Cause::TimedOut { unused: Some(_), .. } => {
                "its times and its status contradict each other".into()
            }
            Cause::TimedOut { .. } => "its time was up; keep-alive does not extend it".into(),
            Cause::ReleasedHere { .. } => "the asking is certain, that it was the cause is not".into(),
            Cause::AtExpiry { distance } => {
                format!("it ended {} from its expiry", text::format_tenths(*distance))
            }
            Cause::KeepAliveEnded { unused, matches_never_connected } => {
                let timeout = if unused.is_some() { "" } else { ", or its timeout" };
                let unconnected = if *matches_never_connected {
                    "; or nobody connected within 5 min, if that ends keep-alive sessions too (not documented)"
                } else {
                    ""
                };
                format!("released through the API, browser closed, or a platform fault{timeout}{unconnected}")
            }
            Cause::NeverConnected { age } => format!(
                "it ended {} after it was created: that is when sessions end to which nobody connects; else the client \
                 disconnected or closed the browser, or someone released it",
                text::format_elapsed(*age)
            ),
            Cause::Disconnected { unused } => {
                let timeout = if unused.is_some() { "" } else { ", or its timeout" };
                format!(
                    "without keep-alive a session ends with its last client; a connection without a CDP command for \
                     10 min is closed, and then it looks the same{timeout}"
                )
            }
            Cause::EndedPastExpiry { .. } => {
                "its timeout, noticed late by the platform, or something is wrong".into()
            }
            Cause::Unexplained => {
                "a disconnect, a closed browser, a release, a timeout or a platform fault".into()
            }
            Cause::Gone { .. } => "the API answered for it before, and does not any more".into(),
            Cause::Overdue { .. } => "the API has not caught up, or something is wrong".into(),
        }
    }

    fn ruled_out(&self) -> Option<&'static str> {
        match &self.cause {
            Cause::Failed => Some("a timeout, a release or a disconnect, by its status"),
            Cause::TimedOut { unused: None, .. } => Some("a release, a disconnect or a crash, by its status"),
            Cause::KeepAliveEnded { unused: Some(_), .. } => {
                Some("a client's disconnect, which keep-alive survives, nor its timeout, which had not come")
            }
            Cause::KeepAliveEnded { unused: None, .. } => {
                Some("a client's disconnect, which keep-alive survives")
            }
            Cause::NeverConnected { .. } if !self.facts.contains(&Fact::ExpiresAt) => None,
            Cause::NeverConnected { .. } | Cause::Disconnected { unused: Some(_) } => {
                Some("its timeout, which had not come")
            }
            Cause::TimedOut { .. }
            | Cause::AtExpiry { .. }
            | Cause::ReleasedHere { .. }
            | Cause::Disconnected { unused: None }
            | Cause::EndedPastExpiry { .. }
            | Cause::Unexplained
            | Cause::Gone { .. }
            | Cause::Overdue { .. } => None,
        }
    }

    fn confidence_text(&self) -> &'static str {
        match self.confidence {
            Confidence::Reported => "the API says so",
            Confidence::Likely => "likely, by the documented rules; the API gives no reason",
            Confidence::Possible if self.has_impossible_ended_at => {
                "perhaps: the API's endedAt can not be, by its other times or by what was seen, and is left aside"
            }
            Confidence::Possible if self.facts.contains(&Fact::ResponsesAroundEnd) => {
                "perhaps: the API gives no endedAt, so only what was seen counts"
            }
            Confidence::Possible => "perhaps: the evidence allows more than one cause",
            Confidence::Unknown => "unknown: the evidence allows no more",
        }
    }

    fn advice(&self) -> &'static str {
        match self.cause {
            Cause::Failed => "try again; if it recurs, send this evidence to Browserbase's support",
            Cause::TimedOut { unused: Some(_), .. } => {
                "if it recurs, send this evidence to Browserbase's support"
            }
            Cause::TimedOut { .. } | Cause::AtExpiry { .. } => {
                "ask for a longer timeout when the session is created (60 s to 6 h)"
            }
            Cause::ReleasedHere { .. } => "nothing, if that was meant",
            Cause::KeepAliveEnded { .. } => {
                "ask who else holds the project's key and releases sessions; look for browser.close() in the client; \
                 else send this evidence to Browserbase's support"
            }
            Cause::NeverConnected { .. } => {
                "connect within 5 min of creating it; check that the client got the connect URL"
            }
            Cause::Disconnected { .. } => {
                "look at the client's log for this time; keep-alive would let the session outlive a disconnect"
            }
            Cause::EndedPastExpiry { .. } | Cause::Overdue { .. } => {
                "if it recurs, send this evidence to Browserbase's support"
            }
            Cause::Unexplained => "look at the client's log for this time",
            // A 410. The arm after this one is for a 404.
            Cause::Gone { ref error } if error.kind == ApiErrorKind::Gone => {
                "nothing: the API keeps ended sessions for a while only"
            }
            Cause::Gone { .. } => "check that the key is of the project that the session belongs to",
        }
    }
}
