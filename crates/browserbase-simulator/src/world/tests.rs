//! Sessions, lists and responses at offsets of the timeline.

use serde_json::Value;

use super::*;
use crate::testing::{at, start, world};

fn retrieve(world: &World, id: &str, seconds: f64) -> Value {
    world
        .retrieve(id, at(seconds), "eyJkey")
        .map_or(Value::Null, |(body, _)| serde_json::from_str(&body).unwrap())
}

fn list(world: &World, seconds: f64, query: &str) -> Vec<Value> {
    serde_json::from_str(&world.list(at(seconds), &ListFilter::parse(query).unwrap())).unwrap()
}

/// Returns the status of the session `a` at each time, or `-` if the API does not know the session.
fn statuses(world: &World, seconds: &[f64]) -> Vec<&'static str> {
    let status = |at| world.snapshot("a", at).map_or("-", |snapshot| snapshot.status.as_str());
    seconds.iter().map(|seconds| status(at(*seconds))).collect()
}

#[test]
fn status_follows_timeline() {
    for (fields, seconds, expected) in [
        ("", vec![0.0, 299.0, 300.0, 900.0], vec!["RUNNING", "RUNNING", "TIMED_OUT", "TIMED_OUT"]),
        ("timeout = '1m'", vec![59.9, 60.0], vec!["RUNNING", "TIMED_OUT"]),
        ("created = '-50s'\ntimeout = '1m'", vec![9.9, 10.0], vec!["RUNNING", "TIMED_OUT"]),
        ("appears = '5s'", vec![4.9, 5.0, 304.9, 305.0], vec!["-", "RUNNING", "RUNNING", "TIMED_OUT"]),
        ("starts = '8s'", vec![0.0, 7.9, 8.0, 300.0], vec!["PENDING", "PENDING", "RUNNING", "TIMED_OUT"]),
        ("ends = { at = '9s' }", vec![8.9, 9.0, 301.0], vec!["RUNNING", "COMPLETED", "COMPLETED"]),
        ("ends = { at = '9s', status = 'ERROR' }", vec![8.9, 9.0], vec!["RUNNING", "ERROR"]),
        ("ends = { at = '9m' }", vec![299.9, 300.0, 541.0], vec!["RUNNING", "TIMED_OUT", "TIMED_OUT"]),
        ("overdue = true", vec![300.0, 90_000.0], vec!["RUNNING", "RUNNING"]),
        ("overdue = true\nends = { at = '301s' }", vec![300.0, 301.0], vec!["RUNNING", "COMPLETED"]),
        (
            "starts = '8s'\nends = { at = '3s', status = 'ERROR' }",
            vec![0.0, 3.0, 9.0],
            vec!["PENDING", "ERROR", "ERROR"],
        ),
        ("vanishes = '20s'", vec![19.9, 20.0, 400.0], vec!["RUNNING", "-", "-"]),
    ] {
        let world = world(&format!("[[session]]\nid = 'a'\n{fields}"));
        assert_eq!(statuses(&world, &seconds), expected, "{fields}");
    }
}

#[test]
fn times_have_api_format() {
    let world = world("[[session]]\nid = 'a'\ncreated = '-12m'\ntimeout = '1h'\nends = { at = '9s 600ms' }");
    let session = retrieve(&world, "a", 10.0);
    assert_eq!(session["startedAt"], "2026-10-03T15:53:34.513867+00:00");
    assert_eq!(session["expiresAt"], "2026-10-03T16:53:34.513867+00:00");
    assert_eq!(session["endedAt"], "2026-10-03T16:05:44.113867+00:00");
}

#[test]
fn connect_fields_exist_only_while_alive() {
    let world = world("[[session]]\nid = 'a'\nregion = 'ap-southeast-1'\nends = { at = '9s' }");
    let alive = retrieve(&world, "a", 0.0);
    assert_eq!(alive["connectUrl"], "wss://connect.apse1.browserbase.com/?signingKey=eyJkey");
    assert_eq!(alive["signingKey"], "eyJkey");
    assert!(alive.get("seleniumRemoteUrl").is_some() && alive.get("endedAt").is_none());
    let ended = retrieve(&world, "a", 9.0);
    for absent in ["connectUrl", "seleniumRemoteUrl", "signingKey"] {
        assert!(ended.get(absent).is_none(), "{absent}");
    }
    assert!(list(&world, 0.0, "").iter().all(|session| session.get("connectUrl").is_none()));
}

#[test]
fn ended_at_can_be_wrong_or_missing() {
    for (ends, stated) in [
        ("{ at = '9s' }", Value::from("2026-10-03T16:05:43.513867+00:00")),
        ("{ at = '9s', ended_at = '5s' }", Value::from("2026-10-03T16:05:39.513867+00:00")),
        ("{ at = '9s', omit_ended_at = true }", Value::Null),
    ] {
        let world = world(&format!("[[session]]\nid = 'a'\nends = {ends}"));
        assert_eq!(retrieve(&world, "a", 9.0)["endedAt"], stated, "{ends}");
    }
}

#[test]
fn proxy_bytes_grow_until_end() {
    let world = world(
        "[[session]]\nid = 'a'\ncreated = '-10s'\nends = { at = '20s' }\n\
         proxy = [{ from = '-10s', to = '5s', bytes_per_second = 100 }, { bytes_per_second = 10 }]",
    );
    let bytes = |seconds| world.snapshot("a", at(seconds)).unwrap().proxy_bytes;
    assert_eq!([0.0, 5.0, 10.0, 20.0, 60.0].map(bytes), [1000, 1550, 1600, 1700, 1700]);
}

#[test]
fn list_is_filtered_and_newest_first() {
    let world = world(
        "[[session]]\nid = 'old'\ncreated = '-2m'\nmetadata = { env = 'staging' }\n\
         [[session]]\nid = 'new'\ncreated = '-1m'\nstarts = '9s'\n\
         [[session]]\nid = 'ended'\ncreated = '-3m'\nends = { at = '-1m' }\nmetadata = { env = 'staging' }\n\
         [[session]]\nid = 'hidden'\nunlisted = [{ to = '9s' }]\n[[session]]\nid = 'later'\nappears = '9s'",
    );
    let ids = |seconds, query| -> Vec<String> {
        list(&world, seconds, query)
            .iter()
            .map(|session| session["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(0.0, ""), ["new", "old", "ended"]);
    assert_eq!(ids(0.0, "status=RUNNING"), ["old"]);
    assert_eq!(ids(0.0, "status=PENDING"), ["new"]);
    assert_eq!(ids(0.0, "q=user_metadata['env']:'staging'"), ["old", "ended"]);
    assert_eq!(ids(0.0, "status=RUNNING&q=user_metadata['env']:'staging'"), ["old"]);
    assert_eq!(ids(0.0, "status=ERROR"), [] as [&str; 0]);
    assert_eq!(ids(9.0, "status=RUNNING"), ["later", "hidden", "new", "old"]);
}

#[test]
fn list_and_retrieve_can_contradict_each_other() {
    let world = world(
        "[[session]]\nid = 'a'\nends = { at = '5s' }\n\
         says = [{ from = '5s', to = '9s', on = 'list', set = { status = 'RUNNING' }, without = ['endedAt'] },\n\
         { on = 'retrieve', set = { proxyBytes = -1, avgCpuUsage = 7 }, without = ['region', 'connectUrl'] }]",
    );
    let [listed] = list(&world, 6.0, "status=RUNNING").try_into().unwrap();
    assert_eq!(
        (&listed["status"], listed.get("endedAt"), &listed["proxyBytes"]),
        (&"RUNNING".into(), None, &0.into())
    );
    assert_eq!(list(&world, 9.0, "status=RUNNING"), [] as [Value; 0]);
    let retrieved = retrieve(&world, "a", 6.0);
    assert_eq!((&retrieved["status"], &retrieved["proxyBytes"]), (&"COMPLETED".into(), &Value::from(-1)));
    assert_eq!((retrieved.get("region"), &retrieved["avgCpuUsage"]), (None, &7.into()));
    assert_eq!(retrieve(&world, "a", 1.0).get("connectUrl"), None);
}

#[test]
fn sessions_can_be_changed_and_added() {
    let mut world = world("[[session]]\nid = 'a'");
    assert!(world.update_session("a", |session| session.vanishes = Some(at(3.0))));
    assert!(!world.update_session("b", |_| ()));
    assert_eq!(statuses(&world, &[2.0, 3.0]), ["RUNNING", "-"]);
    let id = world.add_session(ScenarioSession { keep_alive: true, ..ScenarioSession::default() });
    assert_eq!(retrieve(&world, &id, 0.0)["keepAlive"], true);
}

#[test]
fn stable_uuid_is_reproducible() {
    let id = stable_uuid("default", 3);
    assert_eq!(id, stable_uuid("default", 3));
    assert_ne!(id, stable_uuid("default", 4));
    let lengths: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
}

#[test]
fn sessions_have_required_fields_and_short_metadata() {
    let world =
        World::new(&Scenario::builtin("default").unwrap(), super::super::synthetic::sessions(50), start());
    for seconds in [0.0, 12.0, 60.0, 1800.0] {
        for session in list(&world, seconds, "") {
            for field in [
                "id",
                "createdAt",
                "updatedAt",
                "projectId",
                "status",
                "proxyBytes",
                "keepAlive",
                "region",
                "startedAt",
                "expiresAt",
            ] {
                assert!(session.get(field).is_some_and(|value| !value.is_null()), "{field} of {session}");
            }
            let size = session.get("userMetadata").map_or(0, |metadata| metadata.to_string().len());
            assert!(size < 512, "the API's limit on metadata is 512 characters: {session}");
        }
    }
}

#[test]
fn default_scenario_shows_every_status_then_keeps_running() {
    let world = World::new(&Scenario::builtin("default").unwrap(), [], start());
    let mut seen: Vec<String> = (0..60)
        .flat_map(|second| list(&world, f64::from(second), ""))
        .map(|session| session["status"].as_str().unwrap().to_owned())
        .collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["COMPLETED", "ERROR", "PENDING", "RUNNING", "TIMED_OUT"]);
    for minute in 0..=300 {
        let running = list(&world, f64::from(minute) * 60.0, "status=RUNNING").len();
        // The project has 25 slots.
        assert!(
            (2..=25).contains(&running),
            "2 to 25 sessions run at any time, not {running} as after {minute} minutes"
        );
    }
}
