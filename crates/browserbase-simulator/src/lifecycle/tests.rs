//! Tables of how sessions live that clients create and release.

use serde_json::{Value, json};

use super::*;
use crate::testing::{at, world};

fn timeout(seconds: u64) -> CreateRequest {
    CreateRequest { timeout: Some(Duration::from_secs(seconds)), ..CreateRequest::default() }
}

fn keep_alive(seconds: u64) -> CreateRequest {
    CreateRequest { keep_alive: true, ..timeout(seconds) }
}

fn world_with_session(script: &str, order: CreateRequest, seconds: f64) -> World {
    let mut world = world(script);
    world.create_session(order, "a".to_owned(), at(seconds)).unwrap();
    world
}

fn statuses<const N: usize>(world: &World, moments: [f64; N]) -> [&'static str; N] {
    moments.map(|seconds| world.snapshot("a", at(seconds)).map_or("-", |standing| standing.status.as_str()))
}

fn session(world: &World, seconds: f64) -> Value {
    serde_json::from_str(&world.retrieve("a", at(seconds), "eyJkey").unwrap().0).unwrap()
}

fn create_error(world: &mut World, order: CreateRequest) -> ErrorResponse {
    *world.create_session(order, "b".to_owned(), at(0.0)).unwrap_err()
}

#[test]
fn a_session_is_pending_for_a_moment_and_ends_after_5_min_if_nobody_connects() {
    let world = world_with_session("", timeout(3600), 10.0);
    assert_eq!(
        statuses(&world, [9.9, 10.0, 10.9, 11.0, 309.9, 310.0]),
        ["-", "PENDING", "PENDING", "RUNNING", "RUNNING", "COMPLETED"]
    );
    let session = session(&world, 400.0);
    assert_eq!(session["startedAt"], "2026-10-03T16:05:44.513867+00:00");
    assert_eq!(session["expiresAt"], "2026-10-03T17:05:44.513867+00:00");
    assert_eq!(session["endedAt"], "2026-10-03T16:10:44.513867+00:00");
}

#[test]
fn a_session_that_is_not_to_live_for_5_min_runs_into_its_timeout() {
    for order in [timeout(60), keep_alive(60)] {
        assert_eq!(statuses(&world_with_session("", order, 0.0), [59.9, 60.0]), ["RUNNING", "TIMED_OUT"]);
    }
    // The project's default is as long as nobody has to connect: its timeout is what is said.
    assert_eq!(
        statuses(&world_with_session("", CreateRequest::default(), 0.0), [299.9, 300.0]),
        ["RUNNING", "TIMED_OUT"]
    );
}

#[test]
fn keep_alive_lives_until_its_timeout_whoever_connects() {
    let world = world_with_session("", keep_alive(21_600), 0.0);
    assert_eq!(session(&world, 1.0)["keepAlive"], true);
    assert_eq!(statuses(&world, [300.0, 21_599.9, 21_600.0]), ["RUNNING", "RUNNING", "TIMED_OUT"]);
}

#[test]
fn a_session_keeps_what_was_ordered() {
    let Value::Object(metadata) = json!({ "owner": "growth" }) else { panic!() };
    let order = CreateRequest {
        region: Some("eu-central-1".to_owned()),
        context: Some("c-1".to_owned()),
        metadata: Some(metadata),
        ..CreateRequest::default()
    };
    let session =
        session(&world_with_session("[project]\nid = 'p-1'\ndefault_timeout = '10m'", order, 0.0), 1.0);
    for (field, value) in [
        ("region", json!("eu-central-1")),
        ("contextId", json!("c-1")),
        ("userMetadata", json!({ "owner": "growth" })),
        ("projectId", json!("p-1")),
        ("expiresAt", json!("2026-10-03T16:15:34.513867+00:00")),
        ("connectUrl", json!("wss://connect.euc1.browserbase.com/?signingKey=eyJkey")),
    ] {
        assert_eq!(session[field], value, "{field}");
    }
}

#[test]
fn a_release_shows_after_its_delay() {
    for (script, delay) in
        [("", 2.0), ("[rules]\nrelease_delay = '30s'", 30.0), ("[rules]\nrelease_delay = '0s'", 0.0)]
    {
        let mut world = world_with_session(script, keep_alive(3600), 0.0);
        let answer: Value = serde_json::from_str(&world.release_session("a", at(10.0)).unwrap()).unwrap();
        assert_eq!(answer["status"], if delay > 0.0 { "RUNNING" } else { "COMPLETED" }, "{script}");
        assert!(answer.get("connectUrl").is_none(), "an update answers without a connect URL");
        assert_eq!(statuses(&world, [9.9 + delay, 10.0 + delay]), ["RUNNING", "COMPLETED"], "{script}");
    }
}

#[test]
fn a_release_can_be_repeated_and_changes_nothing_that_is_over() {
    let mut world = world_with_session("", keep_alive(3600), 0.0);
    world.release_session("a", at(10.0)).unwrap();
    world.release_session("a", at(11.0)).unwrap();
    let ended = session(&world, 12.0);
    assert_eq!(
        (&ended["status"], &ended["endedAt"]),
        (&json!("COMPLETED"), &json!("2026-10-03T16:05:46.513867+00:00"))
    );
    let again: Value = serde_json::from_str(&world.release_session("a", at(20.0)).unwrap()).unwrap();
    assert_eq!((&again["status"], &again["endedAt"]), (&ended["status"], &ended["endedAt"]));

    let mut late = world_with_session("", keep_alive(60), 0.0);
    late.release_session("a", at(59.0)).unwrap();
    assert_eq!(statuses(&late, [59.9, 60.0]), ["RUNNING", "TIMED_OUT"]);
    assert_eq!(late.release_session("nobody", at(0.0)), None);
}

#[test]
fn a_pending_session_can_be_released_and_so_can_the_scenarios_own() {
    let mut pending = world_with_session("[rules]\npending = '1m'", keep_alive(3600), 0.0);
    pending.release_session("a", at(1.0)).unwrap();
    assert_eq!(statuses(&pending, [2.9, 3.0]), ["PENDING", "COMPLETED"]);

    let mut overdue = world("[[session]]\nid = 'a'\noverdue = true");
    overdue.release_session("a", at(400.0)).unwrap();
    assert_eq!(statuses(&overdue, [401.9, 402.0]), ["RUNNING", "COMPLETED"]);

    let mut sooner = world("[[session]]\nid = 'a'\nends = { at = '11s', status = 'ERROR' }");
    sooner.release_session("a", at(10.0)).unwrap();
    assert_eq!(statuses(&sooner, [10.9, 11.0, 13.0]), ["RUNNING", "ERROR", "ERROR"]);
}

#[test]
fn one_session_more_than_there_are_slots_is_refused_until_one_is_free() {
    let mut world = world(
        "[project]\nconcurrency = 2\n[[session]]\nid = 'over'\nends = { at = '-1s' }\ncreated = '-9s'\n\
         [[session]]\nid = 'soon'\nends = { at = '12s 300ms' }",
    );
    world.create_session(keep_alive(3600), "a".to_owned(), at(0.0)).unwrap();
    let refusal = create_error(&mut world, CreateRequest::default());
    assert_eq!(refusal.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refusal.retry_after, Some((Duration::from_millis(12_300), RetryAfterFormat::Seconds)));
    assert_eq!(
        refusal.message.unwrap(),
        "You've exceeded your max concurrent sessions limit (limit 2, currently 2). Please contact support to \
         increase your limit."
    );
    world.create_session(CreateRequest::default(), "b".to_owned(), at(12.3)).unwrap();
    let refusal = *world.create_session(CreateRequest::default(), "c".to_owned(), at(13.0)).unwrap_err();
    assert_eq!(refusal.retry_after.unwrap().0, MAX_SLOT_WAIT, "5 min are more than a client is told to wait");
    world.release_session("a", at(13.0)).unwrap();
    assert!(
        world.create_session(CreateRequest::default(), "c".to_owned(), at(14.9)).is_err(),
        "it has its slot until it ends"
    );
    world.create_session(CreateRequest::default(), "c".to_owned(), at(15.0)).unwrap();
}

#[test]
fn the_free_plan_has_no_keep_alive_and_15_minutes() {
    let mut free = world("[project]\nplan = 'free'\ndefault_timeout = '1h'");
    for (order, message) in [
        (keep_alive(60), "Keep alive sessions are not supported on the FREE plan"),
        (timeout(901), "Session timeouts above 900 seconds are not supported on the FREE plan"),
    ] {
        let refusal = create_error(&mut free, order);
        assert_eq!((refusal.status, refusal.message.unwrap()), (StatusCode::FORBIDDEN, message.into()));
    }
    free.create_session(timeout(900), "b".to_owned(), at(0.0)).unwrap();
    free.create_session(CreateRequest::default(), "a".to_owned(), at(0.0)).unwrap();
    assert_eq!(session(&free, 1.0)["expiresAt"], "2026-10-03T16:20:34.513867+00:00");
}
