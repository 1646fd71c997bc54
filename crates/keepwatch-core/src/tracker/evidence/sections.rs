//! The sections of observations: the responses around the end, the events, the failed polls.

use super::report_builder::{ReportBuilder, format_interval, format_time};
use crate::clock::{Moment, Zone};
use crate::session::ApiError;
use crate::text;
use crate::tracker::health::{MAX_FAILURES, PollFailure};
use crate::tracker::input::{RequestTiming, Scope};
use crate::tracker::record::{ObservedEnd, Presence, Record};
use crate::tracker::{Event, EventKind, SessionTracker};

/// The maximum number of lines for events, not counting permanent events (first seen, ended). If there are more events,
/// the report omits the oldest.
const MAX_EVENT_LINES: usize = 100;
/// The maximum number of request ids in one row of failed polls.
const MAX_REQUEST_IDS: usize = 6;

/// Writes the responses that bound the end, the number of responses, the longest gap between two responses, and the
/// successor.
pub(super) fn responses_section(report: &mut ReportBuilder, tracker: &SessionTracker, record: &Record) {
    let response_interval =
        |at: RequestTiming| format_interval(tracker.clock().at(at.sent), tracker.clock().at(at.received));
    report.heading("Observed, each reply from its request to its arrival");
    report.optional_field("first reply", record.first_response().map(response_interval));
    let ended = record.ended.as_ref();
    report.optional_field("last alive", record.last_alive().map(response_interval));
    report.optional_field("first ended", ended.map(|ended| response_interval(ended.first_response)));
    report.optional_field("its end", ended.map(|ended| describe_end(record, ended)));
    if let Presence::NotFound(not_found) = &record.presence {
        let since = response_interval(not_found.since);
        report.field("not found", &format!("since {since}: {}", error_with_request_id(&not_found.error)));
    }
    report.field("polled", &describe_polls(record, |at| format_time(tracker.clock().at(at))));
    if record.responses > 1 {
        let gap = text::format_tenths(record.longest_gap);
        report.field("longest gap", &format!("{gap} between two replies; what lay in it is not known"));
    }
    let successor = record.successor.as_ref();
    let successor = successor.map(|id| format!("{}, which has the same metadata", id.sanitise_line()));
    report.optional_field("successor", successor);
}

/// Describes how the API's `endedAt` fits the responses around the end.
fn describe_end(record: &Record, ended: &ObservedEnd) -> String {
    let ended_at = record.session.as_ref().and_then(|session| session.ended);
    match (ended.end_interval, ended_at) {
        (None, Some(_)) => {
            "before the first reply about it came: the API alone says when, no time of ours narrows it".into()
        }
        (None, None) => "before the first reply about it came; nothing says when".into(),
        (Some(_), Some(_)) if ended.ended_at_fits => "at its endedAt, which lies between these two".into(),
        (Some(_), Some(_)) => {
            "endedAt does not lie between these two: which of them is right is not known".into()
        }
        (Some(_), None) => "between these two; the API gives no endedAt".into(),
    }
}

/// Describes the number of responses about the session and the period that they cover.
fn describe_polls(record: &Record, format_moment: impl Fn(Moment) -> String) -> String {
    match (record.responses, record.first_response(), record.last_response()) {
        (0, ..) => "no reply about it".into(),
        (1, Some(first), _) => format!("1 reply, {}", format_moment(first.received)),
        (count, Some(first), Some(last)) => {
            format!("{count} replies, {} to {}", format_moment(first.received), format_moment(last.received))
        }
        (count, ..) => format!("{count} replies"),
    }
}

/// Writes the events of the session, and the events without a session that concern this session.
pub(super) fn events_section(report: &mut ReportBuilder, tracker: &SessionTracker, record: &Record) {
    let mut events: Vec<&Event> = tracker.newest_events(&record.id).map(|(_, event)| event).collect();
    events.reverse();
    let omittable_count = events.iter().filter(|event| !event.kind.is_permanent()).count();
    let omitted_count = omittable_count.saturating_sub(MAX_EVENT_LINES);
    let mut left_to_omit = omitted_count;
    events.retain(|event| {
        let is_kept = event.kind.is_permanent() || left_to_omit == 0;
        left_to_omit = left_to_omit.saturating_sub(usize::from(!is_kept));
        is_kept
    });
    if events.is_empty() {
        return;
    }
    report.heading("Events, each between the times in which it happened");
    if omitted_count > 0 {
        report.indented("", &format!("({omitted_count} earlier ones are left out)"));
    }
    let lines: Vec<(String, String)> = events.into_iter().map(event_line).collect();
    report.dated_lines(&lines);
}

/// Returns the time and the text of an event's line.
fn event_line(event: &Event) -> (String, String) {
    let when = match (event.when.earliest, &event.kind) {
        (Some(earliest), _) => format_interval(earliest, event.when.latest),
        (None, EventKind::FirstSeen { .. }) => format_time(event.when.latest),
        (None, _) => format!("by {}", format_time(event.when.latest)),
    };
    let request =
        event.kind.request_id().map(|id| format!(" [request {}]", id.sanitise(80))).unwrap_or_default();
    (when, format!("{}{request}", event.kind.sentence(Zone::Utc, event.learned_at)))
}

/// Writes the failed polls that concern the session. Consecutive failures with the same target and the same error share
/// a row.
pub(super) fn failures_section(report: &mut ReportBuilder, tracker: &SessionTracker, record: &Record) {
    let kept = &tracker.health().failures;
    let mut rows: Vec<Vec<&PollFailure>> = Vec::new();
    for failure in kept.iter().filter(|failure| is_relevant(failure, record)) {
        let is_same_failure = |previous: &&PollFailure| {
            previous.scope == failure.scope && previous.error.description() == failure.error.description()
        };
        match rows.last_mut() {
            Some(row) if row.last().is_some_and(is_same_failure) => row.push(failure),
            _ => rows.push(vec![failure]),
        }
    }
    if rows.is_empty() {
        return;
    }
    let limit_note = if kept.len() < MAX_FAILURES { "" } else { ", of the newest that are kept" };
    report.heading(&format!("Failed polls{limit_note}"));
    let lines: Vec<(String, String)> = rows.iter().filter_map(|row| failure_line(tracker, row)).collect();
    report.dated_lines(&lines);
}

/// Returns true if a failed poll could have shown something about this session, had it succeeded.
///
/// Polls of this session always count. Other polls count only between the first response about the session and the
/// first one that reports its end: polls of lists if the newest response is from a list, and any poll if its failure
/// affects all requests.
fn is_relevant(failure: &PollFailure, record: &Record) -> bool {
    let is_while_watched =
        record.first_response().is_none_or(|first| first.sent.boot <= failure.at.received.boot)
            && record
                .ended
                .as_ref()
                .is_none_or(|ended| failure.at.sent.boot <= ended.first_response.received.boot);
    match &failure.scope {
        Scope::Session(id) => *id == record.id || failure.error.affects_all_requests() && is_while_watched,
        Scope::List(_) => is_while_watched && (record.is_from_list || failure.error.affects_all_requests()),
        Scope::Projects => is_while_watched && failure.error.affects_all_requests(),
    }
}

/// Returns the time and the text for a row of failed polls with the same target and the same error.
fn failure_line(tracker: &SessionTracker, row: &[&PollFailure]) -> Option<(String, String)> {
    let (first, last) = (row.first()?, row.last()?);
    let when = format_interval(tracker.clock().at(first.at.sent), tracker.clock().at(last.at.received));
    let repeats = if row.len() > 1 { format!("{} times: ", row.len()) } else { String::new() };
    let list = match &first.scope {
        Scope::List(list) => format!("{list}: "),
        Scope::Session(_) | Scope::Projects => String::new(),
    };
    let mut request_ids: Vec<String> = Vec::new();
    for failure in row {
        let id = failure.error.request_id.as_ref().map(|id| id.sanitise(80));
        request_ids.extend(id.filter(|id| !request_ids.contains(id)));
    }
    let omitted_count = request_ids.len().saturating_sub(MAX_REQUEST_IDS);
    request_ids.truncate(MAX_REQUEST_IDS);
    let more = if omitted_count > 0 { format!(" and {omitted_count} more") } else { String::new() };
    let requests_text = match request_ids.len() {
        0 => String::new(),
        1 => format!(" [request {}]", request_ids.concat()),
        _ => format!(" [requests {}{more}]", request_ids.join(", ")),
    };
    Some((when, format!("{repeats}{list}{}{requests_text}", first.error.description())))
}

fn error_with_request_id(error: &ApiError) -> String {
    let request = error.request_id.as_ref().map(|id| format!(" [request {}]", id.sanitise(80)));
    format!("{}{}", error.description(), request.unwrap_or_default())
}
