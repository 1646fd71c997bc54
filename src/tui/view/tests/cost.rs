//! Tests the cost of a frame, as three counts: rows built, bytes written, allocations. The counts are the same on every
//! machine. The number of rows must not depend on the number of sessions. The number of allocations may grow with it,
//! but by less than a tenth.

use allocation_counter::measure;

use super::super::table::ROWS_BUILT;
use super::*;
use crate::terminal::ByteCountingTerminal;
use keepwatch_core::clock::{Moment, saturating_add};

/// Returns a model with `count` running sessions, listed a second ago. The first one has 92 s left, and each further one
/// 7 s more than the one before.
fn model_with_sessions(count: usize) -> Model {
    let mut model = empty_model(Targets::All);
    let sessions = (0..count).map(|number| Session {
        proxy_bytes: Some(0),
        ..running_session(
            &format!("{number:08x}-many"),
            at("21:00:00"),
            Duration::from_secs(500 + number as u64 * 7),
        )
    });
    apply_inputs(&mut model, [list_input(ago(1), List::Running, sessions.collect(), 0)]);
    resize(&mut model, (120, 40), now());
    model
}

/// Returns the moment `seconds` after [`now`].
fn seconds_later(seconds: u64) -> Moment {
    let elapsed = Duration::from_secs(seconds);
    Moment {
        wall: saturating_add(now().wall, elapsed),
        mono: now().mono + elapsed,
        boot: now().boot + elapsed,
    }
}

/// Draws a frame and returns the number of bytes that it wrote.
fn draw_and_count(terminal: &mut ByteCountingTerminal, model: &Model, moment: Moment) -> usize {
    terminal.draw(|frame| super::super::draw(frame, model, moment))
}

#[test]
fn only_rows_in_view_are_built() {
    let rows_built = |count| {
        let (model, mut terminal) = (model_with_sessions(count), ByteCountingTerminal::new(120, 40));
        let built_before = ROWS_BUILT.get();
        draw_and_count(&mut terminal, &model, now());
        ROWS_BUILT.get() - built_before
    };
    let rows_of_few = rows_built(100);
    assert!((10..40).contains(&rows_of_few), "40 lines show 10 to 39 rows, not {rows_of_few}");
    assert_eq!(rows_built(10_000), rows_of_few, "more sessions need no more rows");
}

#[test]
fn frame_writes_only_changes() {
    let (model, mut terminal) = (model_with_sessions(100), ByteCountingTerminal::new(120, 40));
    let first_frame = draw_and_count(&mut terminal, &model, now());
    // This shows that the terminal counts bytes. Otherwise the zero below would mean nothing.
    assert!(first_frame > 2000, "the first frame writes the whole screen, not {first_frame} bytes");
    assert_eq!(draw_and_count(&mut terminal, &model, now()), 0, "an equal frame writes nothing");
    // Each second, only the clock and the countdowns of the visible rows change.
    let bytes_per_second: Vec<usize> =
        (1..=8).map(|second| draw_and_count(&mut terminal, &model, seconds_later(second))).collect();
    let mean = bytes_per_second.iter().sum::<usize>() / bytes_per_second.len();
    assert!((50..=400).contains(&mean), "a second changes 50 to 400 bytes on average: {bytes_per_second:?}");
}

#[test]
fn allocations_hardly_grow_with_session_count() {
    let allocations = |count| {
        let (model, mut terminal) = (model_with_sessions(count), ByteCountingTerminal::new(120, 40));
        // The first frames warm up caches and buffers. Each frame must write something: a frame without
        // changes would not show the usual cost.
        (0..3).for_each(|second| assert!(draw_and_count(&mut terminal, &model, seconds_later(second)) > 0));
        measure(|| assert!(draw_and_count(&mut terminal, &model, seconds_later(3)) > 0)).count_total
    };
    let with_100 = allocations(100);
    assert!(with_100 < 1_200, "a frame makes fewer than 1,200 allocations, not {with_100}");
    let with_10_000 = allocations(10_000);
    assert!(
        with_10_000 < with_100 + with_100 / 10,
        "10,000 sessions need less than a tenth more allocations than 100: {with_10_000}, {with_100}"
    );
}
