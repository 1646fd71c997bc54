//! The scenario `chaos`: sessions that come and go for hours in every way that there is, and faults of every kind. It is made
//! from a seed, and the same seed makes the same on every machine and in every version; a test holds it.
//!
//! ```text
//!   place 1   ├─ life ─┤ ├──── life ────┤ ├ life ┤ ├───────── life ─ …     lives: how each comes and goes
//!   place 2   ─── life ───┤  ├─ life ─┤ ├────── life ──────┤ ├─ life …     odd: what replies say of it that is not so
//!      ⋮
//!   faults         ▒▒          ▒      ▒▒▒        ▒▒                        faults: short, and all get over them
//!   bulk ends                    ↓                     ↓
//! ```
//!
//! As many places as sessions are to live at a time; in each, one session follows the other. 404 and 410 are among no faults:
//! they are the API's word that a session is gone, and sessions that vanish have them.

mod anomalies;
mod faults;
mod sessions;

use std::time::Duration;

use super::project::SimProject;
use super::rng::SeededRng;
use super::scenario::Scenario;
use super::scenario_time::{HumanDuration, Offset};
use sessions::SessionSlot;

/// What it is called.
pub const SCENARIO_NAME: &str = "chaos";
/// The seed of which it is made if none is given.
pub const DEFAULT_SEED: u64 = 6;
/// So many sessions live at a time if nothing else is said.
pub const DEFAULT_LIVE_SESSIONS: usize = 36;

/// In microseconds, as all times here.
const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
/// When no more sessions come.
const END_MICROS: i64 = 6 * 60 * MINUTE;
/// No more sessions than these come, even if that is before it is over.
const MAX_SESSIONS: usize = 50_000;
/// The API's clock is up to so far from the machine's.
const MAX_SKEW_MICROS: i64 = 10 * MINUTE;

/// What each row of numbers is for; places have those from [`FIRST_SLOT_STREAM`] on.
const SCENARIO_STREAM: u64 = 0;
const FAULTS_STREAM: u64 = 1;
const FIRST_SLOT_STREAM: u64 = 1000;

/// The scenario that `seed` makes, with so many sessions `living` at a time.
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
    // One of each place in turn, so that what is too many is missing at the end and not in the last places.
    while !session_slots.is_empty() && sessions.len() < MAX_SESSIONS.max(live_sessions) {
        sessions.extend(session_slots.iter_mut().map(SessionSlot::next_session));
        session_slots.retain(|place| place.free_at < END_MICROS);
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

/// When several sessions end at once.
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
