//! What was observed, and when: the replies around the end, the events, the polls that failed.

use super::sheet::{Sheet, interval, time};
use crate::clock::{Moment, Zone};
use crate::session::ApiError;
use crate::text;
use crate::tracker::health::{Failure, MOST_FAILURES};
use crate::tracker::input::{Exchange, Scope};
use crate::tracker::record::{Ended, Presence, Record};
use crate::tracker::{Event, EventKind, Fleet};

/// The most events beside beginnings and ends: the newest.
const MOST_EVENTS: usize = 100;
/// The most request ids of one row of failures.
const MOST_REQUESTS: usize = 6;

/// The replies that bound the end, and how close they stand.
pub(super) fn replies(sheet: &mut Sheet, fleet: &Fleet, record: &Record) {
    let reply = |at: Exchange| interval(fleet.clock().at(at.sent), fleet.clock().at(at.received));
    sheet.heading("Observed, each reply from its request to its arrival");
    sheet.field_if("first reply", record.first().map(reply));
    let ended = record.ended.as_ref();
    sheet.field_if("last alive", record.last_alive().map(reply));
    sheet.field_if("first ended", ended.map(|ended| reply(ended.seen)));
    sheet.field_if("its end", ended.map(|ended| end(record, ended)));
    if let Presence::NotFound(absence) = &record.presence {
        let since = reply(absence.since);
        sheet.field("not found", &format!("since {since}: {}", said(&absence.fault)));
    }
    sheet.field("polled", &polled(record, |at| time(fleet.clock().at(at))));
    if record.replies > 1 {
        let gap = text::format_tenths(record.longest_gap);
        sheet.field("longest gap", &format!("{gap} between two replies; what lay in it is not known"));
    }
    let successor = record.successor.as_ref();
    let successor = successor.map(|id| format!("{}, which has the same metadata", id.sanitise_line()));
    sheet.field_if("successor", successor);
}

/// How the API's `endedAt` and the replies around the end fit together.
fn end(record: &Record, ended: &Ended) -> String {
    let said = record.session.as_ref().and_then(|session| session.ended);
    match (ended.watched, said) {
        (None, Some(_)) => {
            "before the first reply about it came: the API alone says when, no time of ours narrows it".into()
        }
        (None, None) => "before the first reply about it came; nothing says when".into(),
        (Some(_), Some(_)) if ended.said_fits => "at its endedAt, which lies between these two".into(),
        (Some(_), Some(_)) => {
            "endedAt does not lie between these two: which of them is right is not known".into()
        }
        (Some(_), None) => "between these two; the API gives no endedAt".into(),
    }
}

fn polled(record: &Record, time: impl Fn(Moment) -> String) -> String {
    match (record.replies, record.first(), record.last()) {
        (0, ..) => "no reply about it".into(),
        (1, Some(first), _) => format!("1 reply, {}", time(first.received)),
        (count, Some(first), Some(last)) => {
            format!("{count} replies, {} to {}", time(first.received), time(last.received))
        }
        (count, ..) => format!("{count} replies"),
    }
}

/// What happened to it, and to all while it was watched.
pub(super) fn events(sheet: &mut Sheet, fleet: &Fleet, record: &Record) {
    let mut events: Vec<&Event> = fleet.newest_of(&record.id).map(|(_, event)| event).collect();
    events.reverse();
    let chatter = events.iter().filter(|event| !event.kind.is_kept()).count();
    let mut too_many = chatter.saturating_sub(MOST_EVENTS);
    let left_out = too_many;
    events.retain(|event| {
        let stays = event.kind.is_kept() || too_many == 0;
        too_many = too_many.saturating_sub(usize::from(!stays));
        stays
    });
    if events.is_empty() {
        return;
    }
    sheet.heading("Events, each between the times in which it happened");
    if left_out > 0 {
        sheet.indented("", &format!("({left_out} earlier ones are left out)"));
    }
    let lines: Vec<(String, String)> = events.into_iter().map(line).collect();
    sheet.dated(&lines);
}

fn line(event: &Event) -> (String, String) {
    let when = match (event.when.earliest, &event.kind) {
        (Some(earliest), _) => interval(earliest, event.when.latest),
        (None, EventKind::FirstSeen { .. }) => time(event.when.latest),
        (None, _) => format!("by {}", time(event.when.latest)),
    };
    let request =
        event.kind.request_id().map(|id| format!(" [request {}]", id.sanitise(80))).unwrap_or_default();
    (when, format!("{}{request}", event.kind.sentence(Zone::Utc, event.seen)))
}

/// The polls that failed while it was watched, those alike in a row as one.
pub(super) fn failures(sheet: &mut Sheet, fleet: &Fleet, record: &Record) {
    let kept = &fleet.health().failures;
    let mut rows: Vec<Vec<&Failure>> = Vec::new();
    for failure in kept.iter().filter(|failure| is_of(failure, record)) {
        let alike = |before: &&Failure| {
            before.scope == failure.scope && before.fault.description() == failure.fault.description()
        };
        match rows.last_mut() {
            Some(row) if row.last().is_some_and(alike) => row.push(failure),
            _ => rows.push(vec![failure]),
        }
    }
    if rows.is_empty() {
        return;
    }
    let bound = if kept.len() < MOST_FAILURES { "" } else { ", of the newest that are kept" };
    sheet.heading(&format!("Failed polls{bound}"));
    let lines: Vec<(String, String)> = rows.iter().filter_map(|row| row_of(fleet, row)).collect();
    sheet.dated(&lines);
}

/// Whether a failure kept us from learning of this session while it was of interest.
fn is_of(failure: &Failure, record: &Record) -> bool {
    let while_watched = record.first().is_none_or(|first| first.sent.boot <= failure.at.received.boot)
        && record.ended.as_ref().is_none_or(|ended| failure.at.sent.boot <= ended.seen.received.boot);
    match &failure.scope {
        Scope::One(id) => *id == record.id || failure.fault.affects_all_requests() && while_watched,
        Scope::List(_) => while_watched && (record.from_list || failure.fault.affects_all_requests()),
        Scope::Projects => while_watched && failure.fault.affects_all_requests(),
    }
}

fn row_of(fleet: &Fleet, row: &[&Failure]) -> Option<(String, String)> {
    let (first, last) = (row.first()?, row.last()?);
    let when = interval(fleet.clock().at(first.at.sent), fleet.clock().at(last.at.received));
    let times = if row.len() > 1 { format!("{} times: ", row.len()) } else { String::new() };
    let list = match &first.scope {
        Scope::List(list) => format!("{list}: "),
        Scope::One(_) | Scope::Projects => String::new(),
    };
    let mut requests: Vec<String> = Vec::new();
    for failure in row {
        let id = failure.fault.request_id.as_ref().map(|id| id.sanitise(80));
        requests.extend(id.filter(|id| !requests.contains(id)));
    }
    let more = requests.len().saturating_sub(MOST_REQUESTS);
    requests.truncate(MOST_REQUESTS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let requests = match requests.len() {
        0 => String::new(),
        1 => format!(" [request {}]", requests.concat()),
        _ => format!(" [requests {}{more}]", requests.join(", ")),
    };
    Some((when, format!("{times}{list}{}{requests}", first.fault.description())))
}

fn said(fault: &ApiError) -> String {
    let request = fault.request_id.as_ref().map(|id| format!(" [request {}]", id.sanitise(80)));
    format!("{}{}", fault.description(), request.unwrap_or_default())
}
