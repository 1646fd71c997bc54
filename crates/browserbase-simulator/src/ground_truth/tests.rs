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
    assert_eq!(documented.lines().collect::<Vec<_>>(), lines, "should be:\n{}", lines.join("\n"));
}

#[test]
fn adjacent_windows_contain_every_event_once() {
    let world = world();
    let only_a_kept =
        |events: Vec<TruthEvent>| events.into_iter().filter(|event| event.id == "a-kept").collect::<Vec<_>>();
    let early = only_a_kept(world.ground_truth(Window { from: at(0), to: at(2) }));
    // `a-kept` started before it appeared, so a client learns of its appearance and its start at once.
    assert_eq!((early[0].at, early[0].known_at, early.len()), (at(0), at(0), 2));
    assert_eq!((&early[1].kind, early[1].at, early[1].known_at), (&TruthEventKind::Started, at(-5), at(0)));
    let mut events = Vec::new();
    for second in -10..100 {
        events.extend(world.ground_truth(Window { from: at(second), to: at(second + 1) }));
    }
    assert_eq!(events, world.ground_truth(all_time()));
}

#[test]
fn only_effective_release_is_cause() {
    let mut world = world();
    world.release_session("e-is-overdue", at(20)).unwrap();
    world.release_session("b-times-out", at(60)).unwrap(); // its timeout comes before the release takes effect
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
