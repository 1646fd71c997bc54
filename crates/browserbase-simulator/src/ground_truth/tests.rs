//! The ground truth of one scenario, as events and as the documented lines.

use super::*;
use crate::Scenario;
use crate::testing::at;

const SESSIONS: &str = r#"
[[session]]
id = "a-kept"
created = "-5s"
timeout = "15m"
keep_alive = true
unlisted = [{ from = "2s", to = "4s" }]
ends = { at = "9s 600ms", ended_at = "9s", cause = "released_elsewhere" }
[[session]]
id = "b-times-out"
appears = "1s"
starts = "3s"
timeout = "1m"
says = [{ from = "2s", to = "8s", set = { status = "SLEEPING" }, without = ["region"] }]
proxy = [{ from = "3s", bytes_per_second = 100 }]
[[session]]
id = "c-fails-before-it-starts"
starts = "30s"
ends = { at = "7s", status = "ERROR", omit_ended_at = true }
vanishes = "20s"
[[session]]
id = "d-vanishes"
ends = { at = "50s" }
vanishes = "40s"
[[session]]
id = "e-is-overdue"
timeout = "10s"
overdue = true
says = [{ from = "5s", without = ["keepAlive"] }]
"#;

fn start() -> Timestamp {
    "2026-11-22T21:04:02Z".parse().unwrap()
}

fn world() -> World {
    World::new(&Scenario::parse(SESSIONS).unwrap(), [], start())
}

fn all_time() -> Window {
    Window { from: Offset::from_micros(i64::MIN), to: Offset::NEVER }
}

#[test]
fn lines_match_documentation() {
    let documented = include_str!("../../../../docs/simulator-truth.md");
    let documented = documented.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let lines: Vec<String> =
        world().ground_truth(all_time()).iter().map(|event| event.to_ndjson(start())).collect();
    assert_eq!(documented.lines().collect::<Vec<_>>(), lines, "the example should be:\n{}", lines.join("\n"));
}

#[test]
fn adjacent_windows_contain_every_event_once() {
    let world = world();
    let mut events = Vec::new();
    for second in -10..100 {
        events.extend(world.ground_truth(Window { from: at(second), to: at(second + 1) }));
    }
    assert_eq!(events, world.ground_truth(all_time()));
}

#[test]
fn earlier_start_is_known_at_appearance() {
    // `a-kept` started 5 s before it appeared.
    let mut events = world().ground_truth(Window { from: at(0), to: at(2) });
    events.retain(|event| event.id == "a-kept");
    let [appeared, started] = events.as_slice() else { panic!("there must be two events: {events:?}") };
    assert!(matches!(appeared.kind, TruthEventKind::Appeared { .. }), "the appearance must come first");
    assert_eq!((appeared.at, appeared.known_at), (at(0), at(0)));
    assert_eq!((&started.kind, started.at, started.known_at), (&TruthEventKind::Started, at(-5), at(0)));
}

#[test]
fn release_is_cause_only_if_effective() {
    let mut world = world();
    world.release_session("e-is-overdue", at(20)).unwrap();
    world.release_session("b-times-out", at(60)).unwrap(); // takes effect at 62 s, after the timeout at 61 s
    let causes: Vec<(String, EndCause)> = world
        .ground_truth(all_time())
        .into_iter()
        .filter_map(|event| match event.kind {
            TruthEventKind::Ended { cause, .. } => Some((event.id, cause)),
            _ => None,
        })
        .collect();
    let causes: Vec<(&str, EndCause)> = causes.iter().map(|(id, cause)| (id.as_str(), *cause)).collect();
    assert_eq!(
        causes,
        [
            ("c-fails-before-it-starts", EndCause::Failure),
            ("a-kept", EndCause::ReleasedElsewhere),
            ("e-is-overdue", EndCause::Released),
            ("b-times-out", EndCause::Timeout),
        ]
    );
}
