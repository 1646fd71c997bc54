use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use keepwatch_core::clock::saturating_add;
use keepwatch_core::session::{ApiError, ApiErrorKind, Region};
use keepwatch_core::testing::{id, time};
use keepwatch_core::tracker::server_clock::TimeInterval;
use keepwatch_core::tracker::verdict::KnownFacts;

const ID: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
const OTHER_ID: &str = "c20ad4d7-6fe9-4775-8aa6-1bc0d2e7f3a1";

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Returns the time `ms` milliseconds after 21:04:00.
fn at_ms(ms: u64) -> Timestamp {
    saturating_add(time("21:04:00"), millis(ms))
}

fn error(kind: ApiErrorKind, message: &str) -> ApiError {
    ApiError {
        message: Some(Untrusted::new(message)),
        request_id: Some(Untrusted::new("req-7f1c")),
        ..kind.into()
    }
}

/// Returns an event that happened between 9 s and 12.1 s after 21:04:00, and that was learned at 12.1 s.
fn event(session: Option<&str>, kind: EventKind) -> Event {
    let when = TimeInterval { earliest: Some(at_ms(9_000)), latest: at_ms(12_100) };
    Event { id: session.map(id), when, learned_at: at_ms(12_100), kind }
}

/// Returns the ending of a session that ran for 9.63 s and ended early.
fn ended_early() -> (Status, Verdict) {
    let facts = KnownFacts {
        status: Some(Status::Completed),
        started: Some(at_ms(2_000)),
        expires: Some(at_ms(902_000)),
        ended: Some(at_ms(11_630)),
        keep_alive: Some(true),
        end_interval: Some(TimeInterval { earliest: Some(at_ms(9_000)), latest: at_ms(12_100) }),
        ..KnownFacts::default()
    };
    (Status::Completed, facts.verdict().unwrap())
}

/// Returns events of every kind, in the order of the documentation.
fn every_kind() -> Vec<Event> {
    let session_kinds = [
        EventKind::FirstSeen { status: Status::Running, time_left: Some(millis(898_900)), ended_at: None },
        EventKind::FirstSeen { status: Status::Completed, time_left: None, ended_at: Some(at_ms(11_630)) },
        EventKind::StatusChanged { from: Status::Pending, to: Status::Running },
        EventKind::Ended {
            status: Status::Completed,
            ended_at: Some(at_ms(11_630)),
            ended_at_fits: true,
            last_alive: Some((at_ms(9_084), Status::Running)),
        },
        EventKind::Contradicted { from: Status::Completed, to: Status::Running },
        EventKind::ContradictoryResponses,
        EventKind::ResponsesAgree { changes: 57 },
        EventKind::ExpiryMoved { from: at_ms(902_000), to: at_ms(1_802_000) },
        EventKind::KeepAliveChanged(true),
        EventKind::RegionChanged { from: Region::UsWest2, to: Region::from_api("mars-1") },
        EventKind::ContextChanged(Some(Untrusted::new("ctx-1"))),
        EventKind::ContextChanged(None),
        EventKind::MetadataChanged,
        EventKind::TrafficStarted,
        EventKind::TrafficStopped { bytes: 18_200_000 },
        EventKind::Unlisted,
        EventKind::NotFound(error(ApiErrorKind::NotFound, "Session not found")),
        EventKind::FoundAgain(Status::Running),
        EventKind::Overdue { expires: at_ms(5_000) },
        EventKind::ReleaseRequested,
        EventKind::ReleaseFailed { error: error(ApiErrorKind::Status(409), "Session is locked"), wait: None },
        EventKind::AlertRaised(Alert::TimeLeft(millis(300_000))),
        EventKind::AlertRaised(Alert::EndedEarly),
        EventKind::AlertRaised(Alert::Error),
        EventKind::AlertRaised(Alert::Overdue),
        EventKind::AlertRaised(Alert::StillRunning(millis(30_000))),
        EventKind::AlertRaised(Alert::ReleaseFailed),
        EventKind::AlertRaised(Alert::Idle(millis(600_000))),
        EventKind::AlertRaised(Alert::Pending(millis(60_000))),
        EventKind::AlertRaised(Alert::EndedTogether),
        EventKind::Successor(id(OTHER_ID)),
        EventKind::PollsFailing {
            list: None,
            error: error(ApiErrorKind::Server(503), "Try later"),
            wait: Some(millis(6_000)),
        },
    ];
    let global_kinds = [
        EventKind::EndedTogether { ids: vec![id(ID), id(OTHER_ID)], spread: millis(1_200) },
        EventKind::PollsFailing {
            list: None,
            error: ApiErrorKind::ConnectionRefused(Untrusted::new("127.0.0.1:9")).into(),
            wait: None,
        },
        EventKind::PollsFailing {
            list: None,
            error: error(ApiErrorKind::RateLimited, "Too many requests"),
            wait: Some(millis(45_000)),
        },
        EventKind::PollsRecovered { list: None, outage: millis(63_500) },
        EventKind::Slept(millis(3_600_000)),
        EventKind::ServerClockSet { step_ms: 3_600_000 },
        EventKind::DateIgnored { offset_ms: -7_080_000 },
        EventKind::DatesContradict { offset_ms: 3_600_000 },
        EventKind::DatesAgree { contradicting: 12 },
        EventKind::ClockSet { step_ms: -90_000 },
    ];
    let session_events = session_kinds.into_iter().map(|kind| event(Some(ID), kind));
    session_events.chain(global_kinds.into_iter().map(|kind| event(None, kind))).collect()
}

/// Returns the JSON of the event, with the verdict of [`ended_early`] if the event is an end. The session, if there is
/// one, has every field, and the owner `owner`.
fn json_line_of(event: &Event, owner: &str) -> String {
    let (owner, project) = (Untrusted::new(owner), Untrusted::new("0f4c9f7e-8a54-4a0e-9d3c-2f6f0f9d1c11"));
    let is_about_machine = matches!(event.kind, EventKind::Slept(_) | EventKind::ClockSet { .. });
    let mut subject =
        EventSubject { profile: Some("acme").filter(|_| !is_about_machine), ..EventSubject::default() };
    if event.id.is_some() {
        subject = EventSubject {
            owner: Some(&owner),
            region: Some(&Region::UsWest2),
            keep_alive: Some(true),
            project: Some(&project),
            ..subject
        };
    }
    object(event, &subject, is_end_event(&event.kind).then(ended_early).as_ref()).to_string()
}

fn json_line(event: &Event) -> String {
    json_line_of(event, "nightly")
}

#[test]
fn every_kind_matches_documentation() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md")).unwrap();
    let documented: Vec<&str> = document
        .split("```json\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .flat_map(str::lines)
        .collect();
    let written: Vec<String> = every_kind().iter().map(json_line).collect();
    assert_eq!(documented, written, "docs/events.md should show:\n{}", written.join("\n"));
    let names: BTreeSet<&str> = every_kind().iter().map(|event| event.kind.name()).collect();
    for name in &names {
        assert!(document.contains(&format!("\n| `{name}` |")), "docs/events.md has no row for {name}");
    }
    assert_eq!(names.len(), 31, "add a new kind of event here and to docs/events.md");
}

#[test]
fn all_objects_share_first_fields() {
    let first_fields = [
        "v",
        "event",
        "session",
        "not_before",
        "not_after",
        "observed_at",
        "sentence",
        "owner",
        "region",
        "keep_alive",
        "project_id",
        "profile",
    ];
    for event in every_kind() {
        let object = object(&event, &EventSubject::default(), None);
        let names: Vec<&String> = object.as_object().unwrap().keys().take(first_fields.len()).collect();
        assert_eq!(names, first_fields);
        assert_eq!(object["v"], 1);
    }
}

#[test]
fn unknown_verdict_and_ended_at_are_null() {
    let ended = event(
        Some(ID),
        EventKind::Ended {
            status: Status::Completed,
            ended_at: None,
            ended_at_fits: false,
            last_alive: None,
        },
    );
    assert!(object(&ended, &EventSubject::default(), None)["verdict"].is_null());
    assert!(object(&ended, &EventSubject::default(), None)["ended_at"].is_null());
}

#[test]
fn secrets_and_control_characters_are_not_written() {
    let evil = "a\u{1b}[31m\nwss://c/?signingKey=cAnArY bb_live_cAnArY";
    let kinds = [
        EventKind::ContextChanged(Some(Untrusted::new(evil))),
        EventKind::NotFound(ApiError {
            message: Some(Untrusted::new(evil)),
            request_id: Some(Untrusted::new(evil)),
            ..ApiErrorKind::NotFound.into()
        }),
        EventKind::RegionChanged { from: Region::from_api(evil), to: Region::from_api(evil) },
        EventKind::FoundAgain(Status::from_api(evil)),
    ];
    for kind in kinds {
        let line = json_line_of(&event(Some(ID), kind), evil);
        assert!(!line.contains("cAnArY") && !line.chars().any(char::is_control), "{line}");
    }
}
