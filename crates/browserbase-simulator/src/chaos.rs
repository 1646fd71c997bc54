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

mod faults;
mod lives;
mod odd;

use std::time::Duration;

use super::chance::Chance;
use super::offset::{Offset, Span};
use super::project::Project;
use super::script::Script;
use lives::Place;

/// What it is called.
pub const NAME: &str = "chaos";
/// The seed of which it is made if none is given.
pub const SEED: u64 = 6;
/// So many sessions live at a time if nothing else is said.
pub const LIVING: usize = 36;

/// In microseconds, as all times here.
const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
/// When no more sessions come.
const OVER: i64 = 6 * 60 * MINUTE;
/// No more sessions than these come, even if that is before it is over.
const MOST: usize = 50_000;
/// The API's clock is up to so far from the machine's.
const SKEW: i64 = 10 * MINUTE;

/// What each row of numbers is for; places have those from [`PLACES`] on.
const OF_ALL: u64 = 0;
const OF_FAULTS: u64 = 1;
const PLACES: u64 = 1000;

/// The scenario that `seed` makes, with so many sessions `living` at a time.
#[must_use]
pub fn script(seed: u64, living: usize) -> Script {
    let mut chance = Chance::new(seed, OF_ALL);
    let skew = Offset::from_micros(chance.within(-SKEW..SKEW));
    let bulks = bulks(&mut chance);
    let mut places: Vec<Place> = (0..living.min(super::script::MOST_SESSIONS))
        .map(|number| Place::new(Chance::new(seed, PLACES + u64::try_from(number).unwrap_or(0)), &bulks))
        .collect();
    let mut sessions = Vec::new();
    // One of each place in turn, so that what is too many is missing at the end and not in the last places.
    while !places.is_empty() && sessions.len() < MOST.max(living) {
        sessions.extend(places.iter_mut().map(Place::next_life));
        places.retain(|place| place.free < OVER);
    }
    let slots = u32::try_from(living).unwrap_or(u32::MAX);
    Script {
        name: NAME.to_owned(),
        about: format!("everything that can happen, at random; made of the seed {seed}"),
        latency: Span(Duration::from_millis(20)),
        skew,
        project: Project { concurrency: slots.saturating_add(slots / 8).max(25), ..Project::default() },
        sessions,
        faults: faults::faults(&mut Chance::new(seed, OF_FAULTS), OVER),
        ..Script::default()
    }
}

/// When several sessions end at once.
fn bulks(chance: &mut Chance) -> Vec<i64> {
    let mut at = 0;
    std::iter::from_fn(|| {
        at += chance.within(20 * SECOND..5 * MINUTE);
        (at < OVER).then_some(at)
    })
    .collect()
}

#[cfg(test)]
mod tests;
