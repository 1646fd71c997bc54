//! That a seed makes the same for ever, and that all is in it that is to be.

use std::collections::BTreeMap;

use axum::http::StatusCode;

use super::super::fault::{Fault, FaultResponse, RetryAfterFormat};
use super::super::ground_truth::TruthEventKind;
use super::super::query::ListFilter;
use super::super::scenario_session::{FinalStatus, OverrideScope, Window};
use super::super::world::World;
use super::*;
use keepwatch_core::clock::Timestamp;

fn world(script: &Scenario) -> World {
    let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    World::new(script, [], script.skew.to_timestamp(start))
}

fn all_time() -> Window {
    Window { from: Offset::from_micros(i64::MIN), to: Offset::NEVER }
}

fn minutes(minutes: i64) -> Offset {
    Offset::from_micros(minutes * MINUTE)
}

/// What the API would say at a few moments, what really happened, and what goes wrong when: as text, and its FNV-1a hash.
fn fingerprint(script: &Scenario) -> u64 {
    let world = world(script);
    let mut text: String = [0, 7, 90].map(|at| world.list(minutes(at), &ListFilter::default())).concat();
    world
        .ground_truth(all_time())
        .iter()
        .for_each(|fact| text += &fact.to_ndjson(world.server_time(Offset::START)));
    script.faults.iter().for_each(|fault| text += &describe_fault(fault));
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn describe_fault(fault: &Fault) -> String {
    let Fault { window, target: on, count, delay: slow, padding: pad, response: what } = fault;
    let what = match what {
        FaultResponse::Error(refusal) => {
            let wait = refusal.retry_after.map(|(wait, _)| wait.as_millis());
            format!("{} {wait:?} {}", refusal.status.as_u16(), refusal.headers.len())
        }
        FaultResponse::Normal => "Truth".to_owned(), // The hash below was computed with this word.
        other => format!("{other:?}"),
    };
    let (from, to) = (window.from.as_micros(), window.to.as_micros());
    format!("{from} {to} {on:?} {count:?} {} {pad} {what}\n", slow.as_millis())
}

#[test]
fn a_seed_makes_the_same_on_every_machine_and_in_every_version() {
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
fn so_many_live_at_a_time_as_are_wanted_for_hours() {
    for (living, least) in [(DEFAULT_LIVE_SESSIONS, 25), (400, 350)] {
        let script = scenario(3, living);
        let world = world(&script);
        for at in [0, 30, 120, 300] {
            let lives = script
                .sessions
                .iter()
                .filter_map(|session| world.snapshot(session.id.as_deref()?, minutes(at)))
                .filter(|standing| !matches!(standing.status, super::super::SimStatus::Ended(_)))
                .count();
            assert!((least..=living).contains(&lives), "{lives} of {living} after {at} min");
        }
    }
    assert!(scenario(1, 20_000).sessions.len() <= MAX_SESSIONS + 20_000);
    assert_eq!((scenario(1, 0).sessions.len(), scenario(1, 0).faults.is_empty()), (0, false));
}

#[test]
fn sessions_end_in_every_way_and_for_every_cause_that_there_is_without_a_client() {
    let facts = world(&scenario(DEFAULT_SEED, 300)).ground_truth(all_time());
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    let mut seen = [0; 4];
    for fact in &facts {
        match &fact.kind {
            TruthEventKind::Ended { status, cause, .. } => {
                *ends.entry(format!("{status:?} {}", cause.as_str())).or_insert(0) += 1;
            }
            TruthEventKind::Vanished => seen[0] += 1,
            TruthEventKind::Unlisted { .. } => seen[1] += 1,
            TruthEventKind::Overridden { .. } => seen[2] += 1,
            TruthEventKind::Appeared { keep_alive, .. } => seen[3] += usize::from(*keep_alive),
            TruthEventKind::Started => {}
        }
    }
    let kinds: Vec<&str> = ends.keys().map(String::as_str).collect();
    assert_eq!(
        kinds,
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
    assert!(ends.values().chain(&seen).all(|count| *count > 20), "{ends:?} {seen:?}");
}

#[test]
fn ends_that_are_overdue_stated_wrongly_or_together_are_in_it() {
    let script = scenario(DEFAULT_SEED, 300);
    let count =
        |holds: fn(&crate::ScenarioSession) -> bool| script.sessions.iter().filter(|it| holds(it)).count();
    assert!(count(|it| it.overdue) > 20);
    assert!(count(|it| it.ends.is_some_and(|end| end.omit_ended_at)) > 20);
    assert!(count(|it| it.ends.is_some_and(|end| end.ended_at.is_some())) > 20);
    assert!(count(|it| it.overrides.iter().any(|say| say.scope == OverrideScope::List)) > 20);
    assert!(count(|it| it.metadata.as_ref().is_some_and(|it| it.contains_key("api_key"))) > 5);
    let mut ends: Vec<i64> = script
        .sessions
        .iter()
        .filter_map(|it| it.ends.filter(|end| end.status == FinalStatus::Completed))
        .map(|end| end.at.as_micros())
        .collect();
    ends.sort_unstable();
    assert!(ends.windows(10).any(|ten| ten[9] - ten[0] <= 3 * SECOND), "ten at once");
}

#[test]
fn every_kind_of_fault_comes_within_twenty_minutes_and_none_lasts() {
    for seed in 0..20 {
        let faults = scenario(seed, 0).faults;
        let early: Vec<&Fault> = faults.iter().filter(|fault| fault.window.from < minutes(20)).collect();
        let has = |holds: &dyn Fn(&FaultResponse) -> bool| early.iter().any(|fault| holds(&fault.response));
        let refuses = |status: StatusCode, form: Option<RetryAfterFormat>| {
            has(
                &|what| matches!(what, FaultResponse::Error(it) if it.status == status && it.retry_after.map(|(_, form)| form) == form),
            )
        };
        let many = StatusCode::TOO_MANY_REQUESTS;
        for form in
            [None, Some(RetryAfterFormat::Seconds), Some(RetryAfterFormat::Date), Some(RetryAfterFormat::Ms)]
        {
            assert!(refuses(many, form), "{form:?} of seed {seed}");
        }
        assert!(refuses(StatusCode::UNAUTHORIZED, None) && refuses(StatusCode::BAD_GATEWAY, None));
        assert!(
            has(&|what| matches!(what, FaultResponse::Hang))
                && has(&|what| matches!(what, FaultResponse::Html))
        );
        assert!(
            has(&|what| matches!(what, FaultResponse::Truncated))
                && has(&|what| matches!(what, FaultResponse::Dropped))
        );
        assert!(early.iter().any(|it| !it.delay.is_zero()) && early.iter().any(|it| it.padding > 0));
        for pair in faults.windows(2) {
            let (window, next) = (pair[0].window, pair[1].window);
            assert!(window.to.minus(window.from) <= Offset::from_micros(8 * SECOND));
            assert!(next.from.minus(window.to) >= Offset::from_micros(8 * SECOND));
        }
    }
}
