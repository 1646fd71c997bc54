//! The layout that the model stores: scrolling after a resize, the allocations of a layout, and events from an anchor.

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
        let height = world.model.viewport().table_rows();
        let mut visible_ids = world.model.table.rows().visible(world.model.table.top(), height);
        assert!(visible_ids.any(|visible| *visible == id("s00060")), "{size:?}");
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
        let (top, height) = (world.model.recent.top, world.model.viewport().recent_rows());
        assert!(
            (top..top + height).contains(&world.model.recent.selected),
            "{size:?}: {height} visible rows from {top}"
        );
    }
}

#[test]
fn taller_screen_fills_events_pane() {
    let mut world = world_with_sessions(100);
    world.send(Message::Resize(100, 12));
    world.press("eg");
    let newest_visible_before = world.model.scroll.anchor().unwrap().seq;
    assert!(
        newest_visible_before < 12,
        "the oldest events fill a pane of less than 12 lines: {newest_visible_before}"
    );
    world.send(Message::Resize(100, 40));
    let line_count = u64::try_from(world.model.viewport().event_lines().unwrap()).unwrap();
    assert_eq!(
        world.model.scroll.anchor(),
        Some(event_ref(line_count - 1)),
        "the {line_count} oldest events fill the pane"
    );
    world.send(Message::Resize(100, 200));
    assert_eq!(world.model.scroll.anchor(), None, "all events fit");
}

#[test]
fn shorter_screen_does_not_move_events() {
    let mut world = world_with_sessions(100);
    world.press("eg");
    let anchor_before = world.model.scroll.anchor();
    assert!(anchor_before.is_some(), "the page does not follow the newest event");
    world.send(Message::Resize(100, 20));
    assert_eq!(world.model.scroll.anchor(), anchor_before);
}

#[test]
fn taller_screen_scrolls_back_from_end() {
    let mut world = world_with_sessions(1);
    world.send(Message::Resize(60, 12));
    world.key(KeyCode::Enter);
    world.press("G");
    let details_top_before = world.model.scroll.details_top();
    world.send(Message::Resize(60, 16));
    assert_eq!(world.model.scroll.details_top(), details_top_before - 4, "the screen has four more rows");
    world.press("?G");
    let help_top = |world: &World| match world.model.focus {
        Focus::Help { top, .. } => top,
        _ => panic!("{:?}", world.model.focus),
    };
    let help_top_before = help_top(&world);
    world.send(Message::Resize(60, 20));
    assert_eq!(help_top(&world), help_top_before - 4, "the screen has four more rows");
}

#[test]
fn layout_allocations_ignore_session_count() {
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
    assert_eq!(
        events_from(&world, Some(event_ref(40))),
        Vec::<u64>::new(),
        "an empty timeline has no events"
    );
}
