//! Sessions without a story: as many as wanted, each the same in every run.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::offset::{Offset, Span};
use super::session::{End, Ending, Session, Traffic};

const REGIONS: [&str; 4] = ["us-west-2", "us-east-1", "eu-central-1", "ap-southeast-1"];
const OWNERS: [&str; 6] = ["growth", "checkout-e2e", "nightly", "price-watch", "support-bot", "search-qa"];
const STAMPS: [&str; 3] = ["mcp", "browse_cli", "stagehand"];
const MINUTE: i64 = 60_000_000;

/// `count` sessions: most of them run, some are yet to start, some have ended; they expire over the next hours.
pub(super) fn sessions(count: usize) -> impl Iterator<Item = Session> {
    (0..count).map(session)
}

fn session(index: usize) -> Session {
    let mut chance = fastrand::Rng::with_seed(u64::try_from(index).unwrap_or(0));
    let timeout_minutes = *chance.choice(&[15_u32, 30, 60, 180, 360]).unwrap_or(&60);
    let timeout = i64::from(timeout_minutes) * MINUTE;
    let one_of_20 = chance.u8(0..20);
    let pending = one_of_20 == 0;
    let age = chance.i64(1_000_000..if pending { MINUTE / 2 } else { timeout });
    let created = Offset::from_micros(-age);
    let ended = |chance: &mut fastrand::Rng, status| {
        let at = Offset::from_micros(-chance.i64(0..age));
        Some(End::new(at, status))
    };
    Session {
        created: Some(created),
        starts: pending.then(|| Offset::from_micros(chance.i64(5_000_000..5 * MINUTE))),
        ends: match one_of_20 {
            1 | 2 => ended(&mut chance, Ending::Completed),
            3 => ended(&mut chance, Ending::Error),
            _ => None,
        },
        timeout: Some(Span(Duration::from_secs(u64::from(timeout_minutes) * 60))),
        keep_alive: chance.bool(),
        region: chance.choice(REGIONS).map(str::to_owned),
        metadata: metadata(&mut chance, index),
        proxy: match chance.u8(0..3) {
            0 => Vec::new(),
            _ => vec![Traffic {
                from: created,
                to: Offset::NEVER,
                bytes_per_second: chance.u32(200..60_000),
                wave: Some(Span(Duration::from_secs(chance.u64(15..120)))),
            }],
        },
        ..Session::default()
    }
}

fn metadata(chance: &mut fastrand::Rng, index: usize) -> Option<Map<String, Value>> {
    let owned = json!({
        "owner": chance.choice(OWNERS)?,
        "env": chance.choice(["prod", "staging", "dev"])?,
        "run": { "id": format!("run-{index:05}") },
    });
    let metadata = match chance.u8(0..8) {
        0 => return None,
        1 => json!({ (chance.choice(STAMPS)?): "true" }),
        _ => owned,
    };
    metadata.as_object().cloned()
}
