//! The layout that the model stores: scrolling after a resize, and the cost of a layout.

use allocation_counter::measure;

use super::*;
use crate::tui::EventScope;
use keepwatch_core::tracker::SessionTracker;

fn world_with_sessions(count: usize) -> World {
    let mut world = World::watching(Targets::All);
    world.now = 1.0;
    world.report_list((0..count).map(|number| session(&format!("s{number:05}"), 900)).collect());
    world
}

#[test]
fn resize_keeps_selected_row_visible() {
    let mut world = world_with_sessions(200);
    (0..60).for_each(|_| drop(world.press("j")));
    for size in [(100, 40), (100, 12), (100, 60), (40, 6), (120, 30)] {
        world.send(Message::Resize(size.0, size.1));
        let rows = world.model.viewport().table_rows();
        let visible = world
            .model
            .table
            .rows()
            .visible(world.model.table.top(), rows)
            .any(|listed| *listed == id("s00060"));
        assert!(visible, "{size:?}");
    }
}

#[test]
fn resize_keeps_selected_recent_session_visible() {
    let mut world = world_with_sessions(1);
    world.press("R");
    report_recent(&mut world, (0..100).map(|number| session(&format!("r{number:03}"), 900)).collect());
    (0..25).for_each(|_| drop(world.press("j")));
    for size in [(100, 12), (100, 60), (100, 8)] {
        world.send(Message::Resize(size.0, size.1));
        let (top, rows) = (world.model.recent.top, world.model.viewport().recent_rows());
        assert!((top..top + rows).contains(&world.model.recent.selected), "{size:?}: {top} {rows}");
    }
}

#[test]
fn taller_screen_fills_events_pane() {
    let mut world = world_with_sessions(100);
    world.send(Message::Resize(100, 12));
    world.press("eg");
    let first = world.model.scroll.anchor().unwrap().seq;
    world.send(Message::Resize(100, 40));
    let lines = world.model.viewport().event_lines().unwrap();
    assert!(first < 12 && world.model.scroll.anchor() == Some(event_ref(u64::try_from(lines).unwrap() - 1)));
    world.send(Message::Resize(100, 20));
    assert_eq!(
        world.model.scroll.anchor(),
        Some(event_ref(u64::try_from(lines).unwrap() - 1)),
        "a shorter screen does not move the events"
    );
    world.send(Message::Resize(100, 200));
    assert_eq!(world.model.scroll.anchor(), None, "all events fit");
}

#[test]
fn shorter_content_scrolls_back() {
    let mut world = world_with_sessions(1);
    world.send(Message::Resize(60, 12));
    world.key(KeyCode::Enter);
    world.press("G");
    let before = world.model.scroll.details_top();
    world.send(Message::Resize(60, 16));
    assert_eq!(world.model.scroll.details_top(), before - 4, "the screen has four more rows");
    world.press("?G");
    let top = |world: &World| match world.model.focus {
        Focus::Help { top, .. } => top,
        _ => panic!("{:?}", world.model.focus),
    };
    let before = top(&world);
    world.send(Message::Resize(60, 20));
    assert_eq!(top(&world), before - 4, "the screen has four more rows");
}

#[test]
fn layout_cost_ignores_session_count() {
    let allocations = |count| {
        let mut world = world_with_sessions(count);
        world.press("j");
        measure(|| lay_out(&mut world.model, moment(1.0))).count_total
    };
    assert_eq!(allocations(5_000), allocations(100));
}

#[test]
fn events_from_anchor_include_anchor() {
    let mut world = world_with_sessions(100);
    let events_from = |world: &World, anchor| {
        let events = EventScope::All.newest_events_from(&world.model.profiles, anchor);
        events.map(|(event_ref, _)| event_ref.seq).collect::<Vec<_>>()
    };
    assert_eq!(events_from(&world, Some(event_ref(40))), (0..=40).rev().collect::<Vec<_>>());
    assert_eq!(events_from(&world, None), (0..100).rev().collect::<Vec<_>>());
    world.model.profiles = SessionTracker::default().into();
    assert_eq!(events_from(&world, Some(event_ref(40))), Vec::<u64>::new(), "the timeline is empty");
}
