//! Builders for the tests of this crate.

use keepwatch_core::clock::Timestamp;

use crate::scenario::Scenario;
use crate::scenario_time::Offset;
use crate::world::World;

/// Returns the offset `seconds` after the start.
pub(crate) fn at(seconds: impl Into<f64>) -> Offset {
    Offset::from_micros((seconds.into() * 1e6).round() as i64)
}

/// Returns the time at which scenarios start in tests.
pub(crate) fn start() -> Timestamp {
    "2026-10-03T16:05:34.513867Z".parse().unwrap()
}

/// Parses a scenario and returns its world, which starts at [`start`].
pub(crate) fn world(scenario: &str) -> World {
    let scenario = Scenario::parse(scenario).unwrap_or_else(|error| panic!("{error}"));
    World::new(&scenario, [], start())
}
