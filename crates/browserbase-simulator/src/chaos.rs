//! The scenario `chaos`: six hours of random sessions and random faults. The sessions have every kind of end and
//! anomaly.
//!
//! Times of type `i64` are in microseconds, here and in the submodules. The retry delays of type `u64` in `faults` are
//! in milliseconds.
//!
//! The scenario is generated from a seed. The same seed gives the same scenario on every machine and in every
//! version, as a test checks.
//!
//! ```text
//!   time       ──────────────────────────────────────────────────────────────►
//!   lane 1     ├─ session ─┤ ├─── session ───┤ ├─── session ─────┤ ├ sess …
//!   lane 2     ── session ──┤  ├─ session ───┤ ├──── session ────┤ ├─ sess …
//!      ⋮
//!   bulk ends                                ↓                   ↓
//!   faults          ▒▒          ▒      ▒▒▒        ▒▒
//! ```
//!
//! Each lane has at most one live session at a time, so the number of lanes is the maximum number of live sessions. At a
//! bulk end, sessions of several lanes end together.
//!
//! - `sessions` generates the sessions of each lane.
//! - `anomalies` gives some sessions wrong, missing or undocumented fields.
//! - `faults` generates short faults. Between two of them, a watcher has time to recover. No fault answers 404 or 410,
//!   because a watcher would conclude that the session does not exist.

mod anomalies;
mod faults;
mod sessions;

use std::time::Duration;

use super::project::SimProject;
use super::rng::SeededRng;
use super::scenario::Scenario;
use super::scenario_time::{HumanDuration, Offset};
use sessions::SessionLane;

/// The name of the scenario.
pub const SCENARIO_NAME: &str = "chaos";
/// The default seed.
pub const DEFAULT_SEED: u64 = 6;
/// The default maximum number of live sessions.
pub const DEFAULT_LIVE_SESSIONS: usize = 36;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
/// The end of the scenario. No fault begins after it. A lane gets no further session if it becomes free after the end.
const END_MICROS: i64 = 6 * 60 * MINUTE;
/// The number of sessions after which no further ones are generated, even if lanes are free before [`END_MICROS`]. The
/// last round of sessions, one for each lane, can exceed it.
const STOP_AT_SESSIONS: usize = 50_000;
/// The maximum difference between the server's clock and the machine's.
const MAX_SKEW_MICROS: i64 = 10 * MINUTE;

/// The stream of random numbers for the scenario as a whole.
const SCENARIO_STREAM: u64 = 0;
/// The stream of random numbers for the faults.
const FAULTS_STREAM: u64 = 1;
/// The stream of random numbers for the first lane. Each further lane has the next stream.
const FIRST_LANE_STREAM: u64 = 1000;

/// Generates the scenario of `seed`, in which at most `live_sessions` sessions are alive at a time.
#[must_use]
pub fn scenario(seed: u64, live_sessions: usize) -> Scenario {
    let mut rng = SeededRng::new(seed, SCENARIO_STREAM);
    let skew = Offset::from_micros(rng.in_range(-MAX_SKEW_MICROS..MAX_SKEW_MICROS));
    let bulk_end_times = random_bulk_end_times(&mut rng);
    let mut lanes: Vec<SessionLane> = (0..live_sessions.min(super::scenario::MAX_SESSIONS))
        .map(|lane_index| {
            SessionLane::new(
                SeededRng::new(seed, FIRST_LANE_STREAM + u64::try_from(lane_index).unwrap_or(0)),
                &bulk_end_times,
            )
        })
        .collect();
    let mut sessions = Vec::new();
    // Each round adds one session per lane, so that all lanes stop at about the same scenario time if
    // `STOP_AT_SESSIONS` is reached.
    while !lanes.is_empty() && sessions.len() < STOP_AT_SESSIONS {
        sessions.extend(lanes.iter_mut().map(SessionLane::next_session));
        lanes.retain(|lane| lane.free_at < END_MICROS);
    }
    // The project has more slots than there are lanes, so that clients can create sessions, too.
    let live_sessions = u32::try_from(live_sessions).unwrap_or(u32::MAX);
    let concurrency = live_sessions.saturating_add(live_sessions / 8).max(25);
    Scenario {
        name: SCENARIO_NAME.to_owned(),
        about: format!("everything that can happen, at random; made of the seed {seed}"),
        latency: HumanDuration(Duration::from_millis(20)),
        skew,
        project: SimProject { concurrency, ..SimProject::default() },
        sessions,
        faults: faults::generate(&mut SeededRng::new(seed, FAULTS_STREAM), END_MICROS),
        ..Scenario::default()
    }
}

/// Chooses at random the times at which sessions of several lanes end together.
fn random_bulk_end_times(rng: &mut SeededRng) -> Vec<i64> {
    let mut at = 0;
    std::iter::from_fn(|| {
        at += rng.in_range(20 * SECOND..5 * MINUTE);
        (at < END_MICROS).then_some(at)
    })
    .collect()
}

#[cfg(test)]
mod tests;
