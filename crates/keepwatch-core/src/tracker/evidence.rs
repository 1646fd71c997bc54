//! The evidence: what was observed of one session, as plain text to paste into a support ticket. Pure.
//!
//! ```text
//!   keepwatch 0.1.0: evidence for session 6512bd43-…     whose text it is, and as of when
//!   COMPLETED after 10 s, …                              what it comes to, in a line
//!   Verdict    was · was not · how sure · rests on       only where there is something to explain
//!   Session    the API's fields, what they come to
//!   Observed   the replies around its end, how often it was polled
//!   Events     each with the interval in which it happened
//!   Failed polls   with the API's request ids
//! ```
//!
//! It reads the record and nothing else, no clock either: a recording that is played again gives the same text, byte for
//! byte. Times are UTC, on the API's clock. Connect URLs never reach a record; metadata is told only where it was asked
//! for, and masked then.

mod observed;
mod sheet;

use super::cost::{self, Rates};
use super::fleet::Fleet;
use super::record::{Presence, Record};
use super::verdict::{Fact, Verdict};
use crate::clock::{Timestamp, Zone};
use crate::session::{Metadata, Session, SessionId, is_default_timeout};
use crate::text;
use sheet::{Sheet, time};

/// The most lines of metadata.
const MOST_METADATA: usize = 200;

/// What the evidence is to hold.
#[derive(Clone, Copy, Debug)]
pub struct Options<'v> {
    /// The version of the keepwatch that watched the session.
    pub version: &'v str,
    /// The session's metadata too. What looks like a secret in it is masked.
    pub with_metadata: bool,
    /// What things cost.
    pub rates: Rates,
}

impl<'v> Options<'v> {
    /// Evidence by this version of keepwatch, without metadata, at the default rates.
    #[must_use]
    pub fn new(version: &'v str) -> Self {
        Self { version, with_metadata: false, rates: Rates::default() }
    }
}

/// The evidence; `None` of a session that is not on record.
#[must_use]
pub fn text(fleet: &Fleet, id: &SessionId, options: Options<'_>) -> Option<String> {
    let record = fleet.get(id)?;
    let verdict = fleet.verdict(id);
    let as_of = fleet.latest().map(|latest| fleet.clock().at(latest));
    let mut sheet = Sheet::default();
    sheet.line(&format!("keepwatch {}: evidence for session {}", options.version, id.sanitise_line()));
    sheet.line(&preamble(fleet, as_of));
    sheet.heading("");
    sheet.line(&headline(fleet, record, verdict.as_ref(), as_of));
    if let Some(verdict) = &verdict {
        explain(&mut sheet, verdict, as_of);
    }
    if let Some(session) = &record.session {
        fields(&mut sheet, fleet, record, session, options.rates);
        let metadata = session.metadata.as_ref().filter(|it| options.with_metadata && !it.is_empty());
        if let Some(metadata) = metadata {
            attached(&mut sheet, metadata);
        }
    }
    observed::replies(&mut sheet, fleet, record);
    observed::events(&mut sheet, fleet, record);
    observed::failures(&mut sheet, fleet, record);
    Some(sheet.into_text())
}

fn preamble(fleet: &Fleet, as_of: Option<Timestamp>) -> String {
    let as_of = as_of.map(|at| format!("As of {}. ", time(at))).unwrap_or_default();
    let slack = fleet.clock().slack();
    let slack =
        if slack.is_zero() { String::new() } else { format!(", to within {}", text::format_tenths(slack)) };
    format!("{as_of}Times are UTC, on the API's clock{slack}.")
}

/// What it comes to, in a line.
fn headline(fleet: &Fleet, record: &Record, verdict: Option<&Verdict>, as_of: Option<Timestamp>) -> String {
    let Some(session) = &record.session else {
        return match &record.presence {
            Presence::NotFound(_) => {
                "No reply ever said anything of this session but that it is not there: the id is wrong, the session \
                 is another project's, or it has aged out."
                    .into()
            }
            Presence::Awaited | Presence::Here | Presence::Unlisted { .. } => {
                "No reply about this session came: nothing can be said of it.".into()
            }
        };
    };
    if let Some(verdict) = verdict {
        return verdict.line(&session.status, Zone::Utc, as_of.unwrap_or_default());
    }
    let last = record.last().map(|last| fleet.clock().at(last.received));
    let left = session.expires.zip(last).and_then(|(at, last)| at.signed_duration_since(last).to_std().ok());
    let left = left.map(|left| format!(", with {} left", text::format_countdown(left))).unwrap_or_default();
    format!("{} at the newest reply{left}: there is no end to explain.", session.status.sanitise(24))
}

fn explain(sheet: &mut Sheet, verdict: &Verdict, as_of: Option<Timestamp>) {
    let words = verdict.words(Zone::Utc, as_of.unwrap_or_default());
    let facts: Vec<&str> = verdict.facts.iter().copied().map(fact).collect();
    sheet.heading("Verdict");
    sheet.field("was", &words.was);
    sheet.field_if("was not", words.was_not);
    sheet.field("how sure", words.sure);
    sheet.field("rests on", &facts.join(", "));
    sheet.field_if("together", words.together);
    sheet.field("advice", words.advice);
}

fn fact(fact: Fact) -> &'static str {
    match fact {
        Fact::Status => "status",
        Fact::EndedAt => "endedAt",
        Fact::SeenToEnd => "the replies around its end",
        Fact::ExpiresAt => "expiresAt",
        Fact::StartedAt => "startedAt",
        Fact::CreatedAt => "createdAt",
        Fact::KeepAlive => "keepAlive",
        Fact::NoBytes => "proxyBytes",
        Fact::DefaultTimeout => "the project's default timeout",
        Fact::AskedFromHere => "a release that keepwatch asked for",
        Fact::NotFound => "the API's answer that it is not there",
        Fact::LateReply => "a reply that was sent after its expiry",
    }
}

/// What the newest reply said, and what follows from it.
fn fields(sheet: &mut Sheet, fleet: &Fleet, record: &Record, session: &Session, rates: Rates) {
    let project = fleet.project_of(session);
    let name = project.map(|project| format!(" ({})", project.name.sanitise(60))).unwrap_or_default();
    let keep_alive = session.keep_alive.map(|on| if on { "on" } else { "off" });
    let ended = session.ended.map(time);
    let none = || session.status.is_final().then(|| "the API gives no endedAt".to_owned());
    sheet.heading("Session, as the newest reply has it");
    sheet.field("id", &session.id.sanitise_line());
    sheet.field_if("project", session.project.as_ref().map(|id| format!("{}{name}", id.sanitise(60))));
    sheet.field_if("region", session.region.as_ref().map(|region| region.sanitise(24)));
    sheet.field_if("keep-alive", keep_alive);
    sheet.field("status", &session.status.sanitise(24));
    sheet.field_if("created", session.created.map(time));
    sheet.field_if("started", session.started.map(time));
    sheet.field_if("ended", ended.or_else(none));
    sheet.field_if("expires", session.expires.map(time));
    let default = project.and_then(|project| project.default_timeout);
    let timeout = session.timeout().map(|own| match default {
        Some(default) if is_default_timeout(own, default) => {
            format!("{} (the project's default)", text::format_duration(own))
        }
        Some(default) => {
            format!(
                "{} (the project's default is {})",
                text::format_duration(own),
                text::format_duration(default)
            )
        }
        None => text::format_duration(own),
    });
    sheet.field_if("timeout", timeout);
    sheet.field_if("proxy", session.proxy_bytes.map(|bytes| proxy(bytes, rates)));
    lengths(sheet, fleet, record, session, rates);
}

/// How long it ran, what was left, and what that comes to. Where the API does not say when it ended, none of them is
/// known better than the two replies around the end tell.
fn lengths(sheet: &mut Sheet, fleet: &Fleet, record: &Record, session: &Session, rates: Rates) {
    let since_start = |at: Timestamp| at.signed_duration_since(session.started?).to_std().ok();
    let is_over = session.status.is_final();
    let last = record.last().map(|last| fleet.clock().at(last.received));
    let ran = if is_over { record.ran() } else { last.and_then(since_start) };
    let Some(ran) = ran else { return };
    let unsure = record.ended.as_ref().filter(|ended| is_over && !ended.said_fits);
    let least = unsure.map(|ended| ended.when.earliest.and_then(since_start).unwrap_or_default());
    let (minutes, ran_text) = (cost::billed_minutes(ran), text::format_elapsed(ran));
    let sum = cost::estimate(rates.of_minutes(minutes));
    let (ran_text, minutes) = match least.map(text::format_elapsed) {
        Some(least) if least != ran_text => {
            (format!("between {least} and {ran_text}"), format!("at most {minutes} min"))
        }
        _ if !is_over => (format!("{ran_text}, at the newest reply"), format!("{minutes} min so far")),
        _ => (ran_text, format!("{minutes} min")),
    };
    sheet.field("ran", &ran_text);
    let unused = record.unused().filter(|_| is_over).map(text::format_countdown);
    let at_least = if unsure.is_some() { "at least " } else { "" };
    sheet.field_if("unused", unused.map(|unused| format!("{at_least}{unused}")));
    let rate = format!("at ${} an hour, whatever a plan includes", rates.hour);
    sheet.field("billed", &format!("{minutes} by its running time, {sum} {rate}"));
}

fn proxy(bytes: i64, rates: Rates) -> String {
    let sum = cost::estimate(rates.of_bytes(bytes));
    match bytes {
        1.. => {
            format!("{}, {sum} at ${} a GB, whatever a plan includes", text::format_bytes(bytes), rates.gb)
        }
        _ => text::format_bytes(bytes),
    }
}

fn attached(sheet: &mut Sheet, metadata: &Metadata) {
    sheet.heading("Metadata");
    for entry in metadata.entries(MOST_METADATA) {
        let indent = "  ".repeat(entry.depth.min(10));
        let value = entry.value.map(|value| value.sanitise_line()).unwrap_or_default();
        sheet.indented(&format!("{indent}{}  ", entry.key.sanitise(60)), &value);
    }
}

#[cfg(test)]
mod tests;
