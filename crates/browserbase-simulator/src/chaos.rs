//! The scenario `chaos`: six hours of sessions with every kind of end and anomaly, and faults of every kind.
//!
//! It is generated from a seed. The same seed gives the same scenario on every machine and in every version, as a test
//! checks.
//!
//! ```text
//!   slot 1      ├─ session ─┤ ├─── session ───┤ ├ session ┤ ├──── session ─ …    sessions: lifetimes and ends
//!   slot 2      ── session ──┤  ├─ session ─┤ ├───── session ──────┤ ├─ sess …   anomalies: false and odd fields
//!      ⋮
//!   faults           ▒▒          ▒      ▒▒▒        ▒▒                            faults: short, with time to recover
//!   bulk ends                      ↓                     ↓
//! ```
//!
//! Each slot holds one session after another, so the number of slots is the number of live sessions. No fault is a 404
//! or 410, because these mean that a session does not exist. Only sessions that vanish get a 404.

mod anomalies;
mod faults;
mod sessions;

use std::time::Duration;

use super::project::SimProject;
use super::rng::SeededRng;
use super::scenario::Scenario;
use super::scenario_time::{HumanDuration, Offset};
use sessions::SessionSlot;

/// The name of the scenario.
pub const SCENARIO_NAME: &str = "chaos";
/// The default seed.
pub const DEFAULT_SEED: u64 = 6;
/// The default number of live sessions.
pub const DEFAULT_LIVE_SESSIONS: usize = 36;

/// One second in microseconds, the unit of all times in this module.
const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
/// The time after which no session starts and no fault begins.
const END_MICROS: i64 = 6 * 60 * MINUTE;
/// The most sessions, even if they end before [`END_MICROS`].
const MAX_SESSIONS: usize = 50_000;
/// The largest difference between the server's clock and the machine's.
const MAX_SKEW_MICROS: i64 = 10 * MINUTE;

/// The random number streams. The slots use those from [`FIRST_SLOT_STREAM`] on.
const SCENARIO_STREAM: u64 = 0;
const FAULTS_STREAM: u64 = 1;
const FIRST_SLOT_STREAM: u64 = 1000;

/// Returns the scenario of `seed` with `live_sessions` live sessions at any time.
#[must_use]
pub fn scenario(seed: u64, live_sessions: usize) -> Scenario {
    let mut rng = SeededRng::new(seed, SCENARIO_STREAM);
    let skew = Offset::from_micros(rng.in_range(-MAX_SKEW_MICROS..MAX_SKEW_MICROS));
    let bulk_end_times = bulk_end_times(&mut rng);
    let mut session_slots: Vec<SessionSlot> = (0..live_sessions.min(super::scenario::MAX_SESSIONS))
        .map(|number| {
            SessionSlot::new(
                SeededRng::new(seed, FIRST_SLOT_STREAM + u64::try_from(number).unwrap_or(0)),
                &bulk_end_times,
            )
        })
        .collect();
    let mut sessions = Vec::new();
    // Each round adds one session per slot, so that the limit cuts the end of the scenario, not the last slots.
    while !session_slots.is_empty() && sessions.len() < MAX_SESSIONS.max(live_sessions) {
        sessions.extend(session_slots.iter_mut().map(SessionSlot::next_session));
        session_slots.retain(|slot| slot.free_at < END_MICROS);
    }
    let slots = u32::try_from(live_sessions).unwrap_or(u32::MAX);
    Scenario {
        name: SCENARIO_NAME.to_owned(),
        about: format!("everything that can happen, at random; made of the seed {seed}"),
        latency: HumanDuration(Duration::from_millis(20)),
        skew,
        project: SimProject { concurrency: slots.saturating_add(slots / 8).max(25), ..SimProject::default() },
        sessions,
        faults: faults::faults(&mut SeededRng::new(seed, FAULTS_STREAM), END_MICROS),
        ..Scenario::default()
    }
}

/// Returns the times at which several sessions end at once.
fn bulk_end_times(rng: &mut SeededRng) -> Vec<i64> {
    let mut at = 0;
    std::iter::from_fn(|| {
        at += rng.in_range(20 * SECOND..5 * MINUTE);
        (at < END_MICROS).then_some(at)
    })
    .collect()
}

#[cfg(test)]
mod tests;
