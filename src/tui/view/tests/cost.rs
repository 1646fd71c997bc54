//! What a frame costs, as counts: the rows that are built for it, its bytes, and its allocations. They are the same on every
//! machine, and none grows with the number of sessions.

use allocation_counter::measure;

use super::super::table::ROWS_BUILT;
use super::*;
use crate::terminal::ByteCountingTerminal;
use keepwatch_core::clock::{Moment, saturating_add};

/// `count` sessions that run for hours or for minutes, seen a second ago.
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

/// So many seconds after [`now`].
fn seconds_later(seconds: u64) -> Moment {
    let since = Duration::from_secs(seconds);
    Moment { wall: saturating_add(now().wall, since), mono: now().mono + since, boot: now().boot + since }
}

fn draw_bytes(terminal: &mut ByteCountingTerminal, model: &Model, at: Moment) -> usize {
    terminal.draw(|frame| super::super::draw(frame, model, at))
}

#[test]
fn of_ten_thousand_sessions_a_frame_builds_the_rows_in_view_alone() {
    let built = |count| {
        let (model, mut terminal) = (model_with_sessions(count), ByteCountingTerminal::new(120, 40));
        let before = ROWS_BUILT.get();
        draw_bytes(&mut terminal, &model, now());
        ROWS_BUILT.get() - before
    };
    let few = built(100);
    assert!((10..40).contains(&few), "{few} rows on 40 lines");
    assert_eq!(built(10_000), few);
}

#[test]
fn a_screen_without_a_change_is_not_a_byte_and_a_second_is_few() {
    let (model, mut terminal) = (model_with_sessions(100), ByteCountingTerminal::new(120, 40));
    let whole = draw_bytes(&mut terminal, &model, now());
    assert!(whole > 2000, "{whole} bytes show the screen");
    assert_eq!(draw_bytes(&mut terminal, &model, now()), 0);
    let seconds: Vec<usize> =
        (1..=8).map(|second| draw_bytes(&mut terminal, &model, seconds_later(second))).collect();
    let mean = seconds.iter().sum::<usize>() / seconds.len();
    assert!((50..=400).contains(&mean), "{seconds:?} bytes");
}

#[test]
fn a_second_that_passes_allocates_no_more_with_ten_thousand_sessions_than_with_a_hundred() {
    let allocations = |count| {
        let (model, mut terminal) = (model_with_sessions(count), ByteCountingTerminal::new(120, 40));
        // What is made once is not counted.
        (0..3).for_each(|second| assert!(draw_bytes(&mut terminal, &model, seconds_later(second)) > 0));
        measure(|| assert!(draw_bytes(&mut terminal, &model, seconds_later(3)) > 0)).count_total
    };
    let few = allocations(100);
    assert!(few < 1_200, "{few} allocations");
    let many = allocations(10_000);
    assert!(many < few + few / 10, "{many} for ten thousand, {few} for a hundred");
}
