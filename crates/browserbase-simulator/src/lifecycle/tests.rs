//! Sessions that clients create and release, at offsets of the timeline.

use serde_json::{Value, json};

use super::*;
use crate::testing::{at, world};

fn timeout_request(seconds: u64) -> CreateRequest {
    CreateRequest { timeout: Some(Duration::from_secs(seconds)), ..CreateRequest::default() }
}

fn keep_alive_request(seconds: u64) -> CreateRequest {
    CreateRequest { keep_alive: true, ..timeout_request(seconds) }
}

/// Returns a world in which a client created the session `a` at `seconds`.
fn world_with_session(scenario: &str, request: CreateRequest, seconds: f64) -> World {
    let mut world = world(scenario);
    world.create_session(request, "a".to_owned(), at(seconds)).unwrap();
    world
}

/// Returns the status of the session `a` at each time, or `-` if the API does not know the session.
fn statuses<const N: usize>(world: &World, seconds: [f64; N]) -> [&'static str; N] {
    seconds.map(|second| world.snapshot("a", at(second)).map_or("-", |snapshot| snapshot.status.as_str()))
}

/// Returns the JSON of the session `a`.
fn session_json(world: &World, seconds: f64) -> Value {
    serde_json::from_str(&world.retrieve("a", at(seconds), "eyJkey").unwrap().0).unwrap()
}

/// Returns the error that a client gets when it creates the session `b` at the start.
fn create_error(world: &mut World, request: CreateRequest) -> ErrorResponse {
    *world.create_session(request, "b".to_owned(), at(0.0)).unwrap_err()
}

#[test]
fn unused_session_ends_after_5_minutes() {
    let world = world_with_session("", timeout_request(3600), 10.0);
    assert_eq!(
        statuses(&world, [9.9, 10.0, 10.9, 11.0, 309.9, 310.0]),
        ["-", "PENDING", "PENDING", "RUNNING", "RUNNING", "COMPLETED"]
    );
    let session = session_json(&world, 400.0);
    assert_eq!(session["startedAt"], "2026-10-03T16:05:44.513867+00:00");
    assert_eq!(session["expiresAt"], "2026-10-03T17:05:44.513867+00:00");
    assert_eq!(session["endedAt"], "2026-10-03T16:10:44.513867+00:00");
}

#[test]
fn timeout_wins_unless_unused_rule_is_shorter() {
    for request in [timeout_request(60), keep_alive_request(60)] {
        assert_eq!(statuses(&world_with_session("", request, 0.0), [59.9, 60.0]), ["RUNNING", "TIMED_OUT"]);
    }
    // The project's default timeout is as long as the `unused` rule. The timeout wins.
    assert_eq!(
        statuses(&world_with_session("", CreateRequest::default(), 0.0), [299.9, 300.0]),
        ["RUNNING", "TIMED_OUT"]
    );
}

#[test]
fn keep_alive_session_lives_until_timeout() {
    let world = world_with_session("", keep_alive_request(21_600), 0.0);
    assert_eq!(session_json(&world, 1.0)["keepAlive"], true);
    assert_eq!(statuses(&world, [300.0, 21_599.9, 21_600.0]), ["RUNNING", "RUNNING", "TIMED_OUT"]);
}

#[test]
fn created_session_has_requested_fields() {
    let Value::Object(metadata) = json!({ "owner": "growth" }) else { panic!() };
    let request = CreateRequest {
        region: Some("eu-central-1".to_owned()),
        context: Some("c-1".to_owned()),
        metadata: Some(metadata),
        ..CreateRequest::default()
    };
    let session = session_json(
        &world_with_session("[project]\nid = 'p-1'\ndefault_timeout = '10m'", request, 0.0),
        1.0,
    );
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
fn release_takes_effect_after_delay() {
    for (scenario, delay) in
        [("", 2.0), ("[rules]\nrelease_delay = '30s'", 30.0), ("[rules]\nrelease_delay = '0s'", 0.0)]
    {
        let mut world = world_with_session(scenario, keep_alive_request(3600), 0.0);
        let body: Value = serde_json::from_str(&world.release_session("a", at(10.0)).unwrap()).unwrap();
        assert_eq!(body["status"], if delay > 0.0 { "RUNNING" } else { "COMPLETED" }, "{scenario}");
        assert!(body.get("connectUrl").is_none(), "the response to a release must not have a connect URL");
        assert_eq!(statuses(&world, [9.9 + delay, 10.0 + delay]), ["RUNNING", "COMPLETED"], "{scenario}");
    }
}

#[test]
fn repeated_or_late_release_changes_nothing() {
    // A release takes effect after 2 s.
    let mut repeated = world_with_session("", keep_alive_request(3600), 0.0);
    repeated.release_session("a", at(10.0)).unwrap();
    repeated.release_session("a", at(11.0)).unwrap();
    let ended = session_json(&repeated, 12.0);
    assert_eq!(
        (&ended["status"], &ended["endedAt"]),
        (&json!("COMPLETED"), &json!("2026-10-03T16:05:46.513867+00:00"))
    );
    let again: Value = serde_json::from_str(&repeated.release_session("a", at(20.0)).unwrap()).unwrap();
    assert_eq!((&again["status"], &again["endedAt"]), (&ended["status"], &ended["endedAt"]));

    let mut late = world_with_session("", keep_alive_request(60), 0.0);
    late.release_session("a", at(59.0)).unwrap();
    assert_eq!(statuses(&late, [59.9, 60.0]), ["RUNNING", "TIMED_OUT"]);

    let mut failing = world("[[session]]\nid = 'a'\nends = { at = '11s', status = 'ERROR' }");
    failing.release_session("a", at(10.0)).unwrap();
    assert_eq!(statuses(&failing, [10.9, 11.0, 13.0]), ["RUNNING", "ERROR", "ERROR"]);
}

#[test]
fn unknown_session_cannot_be_released() {
    assert_eq!(world("").release_session("nobody", at(0.0)), None);
}

#[test]
fn pending_or_overdue_session_can_be_released() {
    let mut pending = world_with_session("[rules]\npending = '1m'", keep_alive_request(3600), 0.0);
    pending.release_session("a", at(1.0)).unwrap();
    assert_eq!(statuses(&pending, [2.9, 3.0]), ["PENDING", "COMPLETED"]);

    let mut overdue = world("[[session]]\nid = 'a'\noverdue = true");
    overdue.release_session("a", at(400.0)).unwrap();
    assert_eq!(statuses(&overdue, [401.9, 402.0]), ["RUNNING", "COMPLETED"]);
}

#[test]
fn full_project_rejects_creation_until_slot_frees() {
    let mut world = world(
        "[project]\nconcurrency = 2\n[[session]]\nid = 'ended'\nends = { at = '-1s' }\ncreated = '-9s'\n\
         [[session]]\nid = 'ends-soon'\nends = { at = '12s 300ms' }",
    );
    world.create_session(keep_alive_request(3600), "a".to_owned(), at(0.0)).unwrap();
    let error = create_error(&mut world, CreateRequest::default());
    assert_eq!(error.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(error.retry_after, Some((Duration::from_millis(12_300), RetryAfterFormat::Seconds)));
    assert_eq!(
        error.message.unwrap(),
        "You've exceeded your max concurrent sessions limit (limit 2, currently 2). Please contact support to \
         increase your limit."
    );
    world.create_session(CreateRequest::default(), "b".to_owned(), at(12.3)).unwrap();
    let error = *world.create_session(CreateRequest::default(), "c".to_owned(), at(13.0)).unwrap_err();
    assert_eq!(error.retry_after.unwrap().0, MAX_SLOT_WAIT, "the retry delay must be capped");
    world.release_session("a", at(13.0)).unwrap();
    assert!(
        world.create_session(CreateRequest::default(), "c".to_owned(), at(14.9)).is_err(),
        "a released session must keep its slot until it ends"
    );
    world.create_session(CreateRequest::default(), "c".to_owned(), at(15.0)).unwrap();
}

#[test]
fn free_plan_limits_keep_alive_and_timeout() {
    let mut free = world("[project]\nplan = 'free'\ndefault_timeout = '1h'");
    for (request, message) in [
        (keep_alive_request(60), "Keep alive sessions are not supported on the FREE plan"),
        (timeout_request(901), "Session timeouts above 900 seconds are not supported on the FREE plan"),
    ] {
        let error = create_error(&mut free, request);
        assert_eq!((error.status, error.message.unwrap()), (StatusCode::FORBIDDEN, message.into()));
    }
    free.create_session(timeout_request(900), "b".to_owned(), at(0.0)).unwrap();
    // The plan shortens the project's default timeout to 15 minutes.
    free.create_session(CreateRequest::default(), "a".to_owned(), at(0.0)).unwrap();
    assert_eq!(session_json(&free, 1.0)["expiresAt"], "2026-10-03T16:20:34.513867+00:00");
}
