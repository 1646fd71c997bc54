//! Tests that a seed always gives the same scenario, and that the scenario contains every kind of end, anomaly and
//! fault.

use std::collections::BTreeMap;

use axum::http::StatusCode;

use super::super::fault::{Fault, FaultResponse, RetryAfterFormat};
use super::super::ground_truth::TruthEventKind;
use super::super::query::ListFilter;
use super::super::scenario_session::{FinalStatus, OverrideScope, Window};
use super::super::world::World;
use super::*;
use keepwatch_core::clock::Timestamp;

fn world(scenario: &Scenario) -> World {
    let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    World::new(scenario, [], scenario.skew.to_timestamp(start))
}

fn all_time() -> Window {
    Window { from: Offset::from_micros(i64::MIN), to: Offset::NEVER }
}

fn minutes(minutes: i64) -> Offset {
    Offset::from_micros(minutes * MINUTE)
}

/// Returns the FNV-1a hash of the API's lists at three times, of the ground truth and of the faults, all as text.
fn fingerprint(scenario: &Scenario) -> u64 {
    let world = world(scenario);
    let mut text: String =
        [0, 7, 90].map(|minute| world.list(minutes(minute), &ListFilter::default())).concat();
    world
        .ground_truth(all_time())
        .iter()
        .for_each(|event| text += &event.to_ndjson(world.server_time(Offset::START)));
    scenario.faults.iter().for_each(|fault| text += &describe_fault(fault));
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn describe_fault(fault: &Fault) -> String {
    let Fault { window, target, count, delay, padding, response } = fault;
    let response = match response {
        FaultResponse::Error(error) => {
            let wait = error.retry_after.map(|(wait, _)| wait.as_millis());
            format!("{} {wait:?} {}", error.status.as_u16(), error.headers.len())
        }
        FaultResponse::Normal => "Truth".to_owned(), // The hashes below were computed with this word.
        other => format!("{other:?}"),
    };
    let (from, to) = (window.from.as_micros(), window.to.as_micros());
    format!("{from} {to} {target:?} {count:?} {} {padding} {response}\n", delay.as_millis())
}

#[test]
fn seed_always_gives_same_scenario() {
    assert_eq!(
        [
            fingerprint(&scenario(DEFAULT_SEED, DEFAULT_LIVE_SESSIONS)),
            fingerprint(&scenario(7, 5)),
            fingerprint(&scenario(u64::MAX, 5))
        ],
        [14_860_575_111_724_603_899, 7_714_704_347_045_496_237, 5_048_329_523_266_297_105]
    );
}

#[test]
fn live_session_count_stays_near_target() {
    for (target, min) in [(DEFAULT_LIVE_SESSIONS, 25), (400, 350)] {
        let scenario = scenario(3, target);
        let world = world(&scenario);
        for minute in [0, 30, 120, 300] {
            let live_count = scenario
                .sessions
                .iter()
                .filter_map(|session| world.snapshot(session.id.as_deref()?, minutes(minute)))
                .filter(|snapshot| !matches!(snapshot.status, super::super::SimStatus::Ended(_)))
                .count();
            assert!(
                (min..=target).contains(&live_count),
                "after {minute} min, {min} to {target} sessions must be alive, not {live_count}"
            );
        }
    }
}

#[test]
fn session_count_is_bounded() {
    // The last round adds one session for each of the 20,000 lanes.
    assert!(scenario(1, 20_000).sessions.len() <= STOP_AT_SESSIONS + 20_000);
    let without_lanes = scenario(1, 0);
    assert_eq!((without_lanes.sessions.len(), without_lanes.faults.is_empty()), (0, false));
}

#[test]
fn every_end_and_cause_occurs() {
    let events = world(&scenario(DEFAULT_SEED, 300)).ground_truth(all_time());
    let mut end_counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut other_counts = [0; 4]; // vanished, unlisted, overridden, appeared with keep-alive
    for event in &events {
        match &event.kind {
            TruthEventKind::Ended { status, cause, .. } => {
                *end_counts.entry(format!("{status:?} {}", cause.as_str())).or_insert(0) += 1;
            }
            TruthEventKind::Vanished => other_counts[0] += 1,
            TruthEventKind::Unlisted { .. } => other_counts[1] += 1,
            TruthEventKind::Overridden { .. } => other_counts[2] += 1,
            TruthEventKind::Appeared { keep_alive, .. } => other_counts[3] += usize::from(*keep_alive),
            TruthEventKind::Started => {}
        }
    }
    // Only `released` and `unsaid` are missing: the first needs a client, the second an end without a cause.
    let ends: Vec<&str> = end_counts.keys().map(String::as_str).collect();
    assert_eq!(
        ends,
        [
            "Completed client",
            "Completed platform",
            "Completed released_elsewhere",
            "Completed timeout",
            "Completed unused",
            "Error failure",
            "Error platform",
            "TimedOut platform",
            "TimedOut timeout"
        ]
    );
    assert!(
        end_counts.values().chain(&other_counts).all(|count| *count > 20),
        "each must occur more than 20 times: {end_counts:?} {other_counts:?}"
    );
}

#[test]
fn rare_ends_and_anomalies_occur() {
    let scenario = scenario(DEFAULT_SEED, 300);
    let count = |predicate: fn(&crate::ScenarioSession) -> bool| {
        scenario.sessions.iter().filter(|session| predicate(session)).count()
    };
    assert!(count(|session| session.overdue) > 20);
    assert!(count(|session| session.ends.is_some_and(|end| end.omit_ended_at)) > 20);
    assert!(count(|session| session.ends.is_some_and(|end| end.ended_at.is_some())) > 20);
    let has_list_override = |session: &crate::ScenarioSession| {
        session.overrides.iter().any(|field_override| field_override.scope == OverrideScope::List)
    };
    assert!(count(has_list_override) > 20);
    assert!(
        count(|session| session.metadata.as_ref().is_some_and(|fields| fields.contains_key("api_key"))) > 5
    );
    let mut ends: Vec<i64> = scenario
        .sessions
        .iter()
        .filter_map(|session| session.ends.filter(|end| end.status == FinalStatus::Completed))
        .map(|end| end.at.as_micros())
        .collect();
    ends.sort_unstable();
    assert!(
        ends.windows(10).any(|ten| ten[9] - ten[0] <= 3 * SECOND),
        "a bulk end must give ten ends within 3 s"
    );
}

#[test]
fn every_fault_kind_occurs_early_and_briefly() {
    for seed in 0..20 {
        let faults = scenario(seed, 0).faults;
        // The first round has every kind. It ends within 14 minutes: it has 26 faults of at most 8 s, and gaps of at
        // most 24 s.
        let early: Vec<&Fault> = faults.iter().filter(|fault| fault.window.from < minutes(20)).collect();
        let has =
            |predicate: &dyn Fn(&FaultResponse) -> bool| early.iter().any(|fault| predicate(&fault.response));
        let has_error = |status: StatusCode, format: Option<RetryAfterFormat>| {
            has(&|response| {
                matches!(response, FaultResponse::Error(error)
                    if error.status == status && error.retry_after.map(|(_, format)| format) == format)
            })
        };
        for format in
            [None, Some(RetryAfterFormat::Seconds), Some(RetryAfterFormat::Date), Some(RetryAfterFormat::Ms)]
        {
            assert!(has_error(StatusCode::TOO_MANY_REQUESTS, format), "{format:?} of seed {seed}");
        }
        assert!(has_error(StatusCode::UNAUTHORIZED, None) && has_error(StatusCode::BAD_GATEWAY, None));
        assert!(
            has(&|response| matches!(response, FaultResponse::Hang))
                && has(&|response| matches!(response, FaultResponse::Html))
        );
        assert!(
            has(&|response| matches!(response, FaultResponse::Truncated))
                && has(&|response| matches!(response, FaultResponse::Dropped))
        );
        assert!(
            early.iter().any(|fault| !fault.delay.is_zero()) && early.iter().any(|fault| fault.padding > 0)
        );
        for pair in faults.windows(2) {
            let (window, next) = (pair[0].window, pair[1].window);
            assert!(window.to.minus(window.from) <= Offset::from_micros(8 * SECOND));
            assert!(next.from.minus(window.to) >= Offset::from_micros(8 * SECOND));
        }
    }
}
