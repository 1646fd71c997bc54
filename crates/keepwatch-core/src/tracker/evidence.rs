//! The evidence report: the observations of one session, as plain text to paste into a support ticket. Pure.
//!
//! ```text
//!   keepwatch 0.1.0: evidence for session 6512bd43-…     preamble: version, time of the newest input
//!   COMPLETED after 10 s, …                              headline
//!   Verdict        cause · why · ruled out · what to do  only if there is something to explain
//!   Session        the API's fields, running time, cost
//!   Metadata       only with EvidenceOptions::with_metadata
//!   Observed       the responses around its end, the number of polls
//!   Events         each with its time interval
//!   Failed polls   with the API's request ids
//! ```
//!
//! The report depends only on the tracker, not on a clock. Replay of a recording therefore gives the same text, byte
//! for byte. Times are UTC, on the server's clock. Records never contain connect URLs, and secrets in metadata are
//! redacted.

mod report_builder;
mod sections;

use super::cost::{self, Rates};
use super::record::{Presence, Record};
use super::session_tracker::SessionTracker;
use super::verdict::{Fact, Verdict};
use crate::clock::{Timestamp, Zone};
use crate::session::{Metadata, Session, SessionId, dashboard_url, is_default_timeout};
use crate::text;
use report_builder::{ReportBuilder, format_time};

/// The maximum number of metadata lines.
const MAX_METADATA_LINES: usize = 200;

/// The options of the report.
#[derive(Clone, Copy, Debug)]
pub struct EvidenceOptions<'v> {
    /// The version of keepwatch that observed the session.
    pub version: &'v str,
    /// True if the report includes the session's metadata, with secrets redacted.
    pub with_metadata: bool,
    /// The prices for the cost estimates.
    pub rates: Rates,
}

impl<'v> EvidenceOptions<'v> {
    /// Returns options without metadata, at the default prices.
    #[must_use]
    pub fn new(version: &'v str) -> Self {
        Self { version, with_metadata: false, rates: Rates::default() }
    }
}

/// Returns the report, or `None` if the tracker has no record of the session.
#[must_use]
pub fn render(tracker: &SessionTracker, id: &SessionId, options: EvidenceOptions<'_>) -> Option<String> {
    let record = tracker.get(id)?;
    let verdict = tracker.verdict(id);
    let as_of = tracker.last_input_moment().map(|latest| tracker.clock().at(latest));
    let mut report = ReportBuilder::default();
    report.paragraph(&format!("keepwatch {}: evidence for session {}", options.version, id.sanitise_line()));
    report.paragraph(&preamble(tracker, as_of));
    report.empty_line();
    report.paragraph(&headline(tracker, record, verdict.as_ref(), as_of));
    if let Some(verdict) = &verdict {
        verdict_section(&mut report, id, verdict, as_of);
    }
    if let Some(session) = &record.session {
        session_section(&mut report, tracker, record, session, options.rates);
        let metadata =
            session.metadata.as_ref().filter(|metadata| options.with_metadata && !metadata.is_empty());
        if let Some(metadata) = metadata {
            metadata_section(&mut report, metadata);
        }
    }
    sections::responses_section(&mut report, tracker, record);
    sections::events_section(&mut report, tracker, record);
    sections::failures_section(&mut report, tracker, record);
    Some(report.into_text())
}

/// Returns the time of the newest input, and the precision of the times.
fn preamble(tracker: &SessionTracker, as_of: Option<Timestamp>) -> String {
    let start = as_of.map(|at| format!("As of {}. ", format_time(at))).unwrap_or_default();
    let uncertainty = tracker.clock().uncertainty();
    let precision = if uncertainty.is_zero() {
        String::new()
    } else {
        format!(", to within {}", text::format_tenths(uncertainty))
    };
    format!("{start}Times are UTC, on the API's clock{precision}.")
}

/// Returns the summary of the verdict. Without a verdict, returns the current state; without any response, says so.
fn headline(
    tracker: &SessionTracker,
    record: &Record,
    verdict: Option<&Verdict>,
    as_of: Option<Timestamp>,
) -> String {
    let Some(session) = &record.session else {
        return match &record.presence {
            Presence::NotFound(_) => {
                "No reply ever said anything of this session but that it is not there: the id is wrong, the session \
                 is another project's, or it has aged out: Browserbase keeps ended sessions for 7 days (Free, Developer) \
                 or 30 days (Startup)."
                    .into()
            }
            Presence::NoResponseYet | Presence::Present | Presence::Unlisted { .. } => {
                "No reply about this session came: nothing can be said of it.".into()
            }
        };
    };
    if let Some(verdict) = verdict {
        return verdict.summary_line(&session.status, Zone::Utc, as_of.unwrap_or_default());
    }
    let last_received = record.last_response().map(|last| tracker.clock().at(last.received));
    let duration_left = session
        .expires
        .zip(last_received)
        .and_then(|(expires, received)| expires.signed_duration_since(received).to_std().ok());
    let time_left =
        duration_left.map(|left| format!(", with {} left", text::format_countdown(left))).unwrap_or_default();
    let explanation = match session.ended {
        Some(_) if record.is_alive() => "it has an endedAt, which contradicts its status",
        _ => "there is no end to explain",
    };
    format!("{} at the newest reply{time_left}: {explanation}.", session.status.sanitise(24))
}

fn verdict_section(report: &mut ReportBuilder, id: &SessionId, verdict: &Verdict, as_of: Option<Timestamp>) {
    let verdict_text = verdict.text(Zone::Utc, as_of.unwrap_or_default());
    let facts: Vec<&str> = verdict.facts.iter().copied().map(fact_text).collect();
    report.heading("Verdict");
    report.field("cause", &verdict_text.headline);
    report.field("why", &verdict_text.why);
    report.optional_field("ruled out", verdict_text.ruled_out);
    report.field("how sure", verdict_text.how_sure);
    report.field("rests on", &facts.join(", "));
    report.optional_field("hint", verdict_text.hint);
    report.optional_field("related", verdict_text.end_cluster);
    let is_numbered = verdict_text.what_to_do.len() > 1;
    for (number, step) in (1..).zip(&verdict_text.what_to_do) {
        let label = if number == 1 { "what to do" } else { "" };
        let start = if is_numbered { format!("{number} ") } else { String::new() };
        report.field(label, &format!("{start}{}", step.text));
    }
    if verdict.has_dashboard_reason() {
        report.field("dashboard", &format!("shows a termination reason: {}", dashboard_url(id)));
    }
}

fn fact_text(fact: Fact) -> &'static str {
    match fact {
        Fact::Status => "status",
        Fact::EndedAt => "endedAt",
        Fact::ResponsesAroundEnd => "the replies around its end",
        Fact::ExpiresAt => "expiresAt",
        Fact::StartedAt => "startedAt",
        Fact::CreatedAt => "createdAt",
        Fact::KeepAlive => "keepAlive",
        Fact::NoBytes => "proxyBytes",
        Fact::DefaultTimeout => "the project's default timeout",
        Fact::LocalRelease => "a release that keepwatch asked for",
        Fact::NotFound => "the API's answer that it is not there",
        Fact::ResponseAfterExpiry => "a reply that was sent after its expiry",
        Fact::NoMetadata => "no metadata",
        Fact::Client => "the client that its metadata names",
    }
}

/// Writes the session's fields in the newest response.
fn session_section(
    report: &mut ReportBuilder,
    tracker: &SessionTracker,
    record: &Record,
    session: &Session,
    rates: Rates,
) {
    let project = tracker.project_of(session);
    let project_name = project.map(|project| format!(" ({})", project.name.sanitise(60))).unwrap_or_default();
    let keep_alive = session.keep_alive.map(|is_on| if is_on { "on" } else { "off" });
    let ended_at = session.ended.map(format_time);
    let no_ended_at_note = || session.status.is_final().then(|| "the API gives no endedAt".to_owned());
    report.heading("Session, as the newest reply has it");
    report.field("id", &session.id.sanitise_line());
    let project_text = session.project.as_ref().map(|id| format!("{}{project_name}", id.sanitise(60)));
    report.optional_field("project", project_text);
    let context = session.context.as_ref().filter(|context| !context.is_empty());
    report.optional_field("context", context.map(|context| context.sanitise(60)));
    report.optional_field("", tracker.shared_context(&record.id).map(|shared| shared.sentence()));
    report.optional_field("region", session.region.as_ref().map(|region| region.sanitise(24)));
    report.optional_field("keep-alive", keep_alive);
    report.field("status", &session.status.sanitise(24));
    report.optional_field("created", session.created.map(format_time));
    report.optional_field("started", session.started.map(format_time));
    report.optional_field("ended", ended_at.or_else(no_ended_at_note));
    report.optional_field("expires", session.expires.map(format_time));
    let default_timeout = project.and_then(|project| project.default_timeout);
    let timeout = session.timeout().map(|timeout| match default_timeout {
        Some(default) if is_default_timeout(timeout, default) => {
            format!("{} (the project's default)", text::format_duration(timeout))
        }
        Some(default) => {
            format!(
                "{} (the project's default is {})",
                text::format_duration(timeout),
                text::format_duration(default)
            )
        }
        None => text::format_duration(timeout),
    });
    report.optional_field("timeout", timeout);
    report.optional_field("proxy", session.proxy_bytes.map(|bytes| proxy_text(bytes, rates)));
    duration_fields(report, tracker, record, session, rates);
}

/// Writes the running time, the unused time and the estimated cost. If no `endedAt` fits, writes the bounds that follow
/// from the responses around the end.
fn duration_fields(
    report: &mut ReportBuilder,
    tracker: &SessionTracker,
    record: &Record,
    session: &Session,
    rates: Rates,
) {
    let since_start = |at: Timestamp| at.signed_duration_since(session.started?).to_std().ok();
    let has_ended = session.status.is_final();
    let last_received = record.last_response().map(|last| tracker.clock().at(last.received));
    let running_time = if has_ended { record.duration() } else { last_received.and_then(since_start) };
    let Some(running_time) = running_time else { return };
    let inexact_end = record.ended.as_ref().filter(|ended| has_ended && !ended.ended_at_fits);
    let min_running_time =
        inexact_end.map(|ended| ended.when.earliest.and_then(since_start).unwrap_or_default());
    let (minutes, ran_text) = (cost::billed_minutes(running_time), text::format_elapsed(running_time));
    let cost = cost::format_estimate(rates.cost_of_minutes(minutes));
    let (ran_text, minutes_text) = match min_running_time.map(text::format_elapsed) {
        Some(min_text) if min_text != ran_text => {
            (format!("between {min_text} and {ran_text}"), format!("at most {minutes} min"))
        }
        _ if !has_ended => (format!("{ran_text}, at the newest reply"), format!("{minutes} min so far")),
        _ => (ran_text, format!("{minutes} min")),
    };
    report.field("ran", &ran_text);
    let unused = record.unused().filter(|_| has_ended).map(text::format_countdown);
    let at_least = if inexact_end.is_some() { "at least " } else { "" };
    report.optional_field("unused", unused.map(|unused| format!("{at_least}{unused}")));
    let rate = format!("at ${} an hour, whatever a plan includes", rates.hour);
    report.field("billed", &format!("{minutes_text} by its running time, {cost} {rate}"));
}

fn proxy_text(bytes: i64, rates: Rates) -> String {
    let cost = cost::format_estimate(rates.cost_of_bytes(bytes));
    match bytes {
        1.. => {
            format!("{}, {cost} at ${} a GB, whatever a plan includes", text::format_bytes(bytes), rates.gb)
        }
        _ => text::format_bytes(bytes),
    }
}

fn metadata_section(report: &mut ReportBuilder, metadata: &Metadata) {
    report.heading("Metadata");
    for line in metadata.entries(MAX_METADATA_LINES) {
        let indent = "  ".repeat(line.depth.min(10)); // leave room for the value
        let value = line.value.map(|value| value.sanitise_line()).unwrap_or_default();
        report.indented(&format!("{indent}{}  ", line.key.sanitise(60)), &value);
    }
}

#[cfg(test)]
mod tests;
