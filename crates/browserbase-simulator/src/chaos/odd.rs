//! What replies say of a session that is not so, or that nobody would expect: fields that are null, missing or of another
//! kind, words that nobody knows, times that can not be, and metadata that means harm.
//!
//! A field that matters to why a session ended is, where it is odd, never another value that could be: then it is unknown,
//! and whoever watches can be held to say so.

use serde_json::{Map, Value, json};

use super::super::chance::Chance;
use super::super::offset::Offset;
use super::super::session::{Replies, Say, Session};
use super::SECOND;

/// What is odd about a session.
#[derive(Clone, Copy, Debug, Default)]
enum Oddity {
    #[default]
    None,
    /// A region that nobody knows.
    Region,
    /// Fields that are null, or of another kind, for good.
    Null,
    /// Fields that are missing, for good.
    Missing,
    /// A status that nobody knows, for a while.
    Status,
    /// The same, in lists alone.
    ListedStatus,
    /// Bytes that can not be, for a while.
    Bytes,
    /// An end that states no time.
    NoEnd,
    /// An end that states a time that can not be.
    WrongEnd,
}

const ODDITIES: &[(u64, Oddity)] = &[
    (80, Oddity::None),
    (3, Oddity::Region),
    (3, Oddity::Null),
    (3, Oddity::Missing),
    (2, Oddity::Status),
    (2, Oddity::ListedStatus),
    (1, Oddity::Bytes),
    (4, Oddity::NoEnd),
    (2, Oddity::WrongEnd),
];

/// Puts what is odd about it, if anything is, on a session that was created at `created` and lives so long.
pub(super) fn put(chance: &mut Chance, session: &mut Session, created: i64, life: i64) {
    let for_good = Say { from: session.appears, ..Say::default() };
    let from = created.saturating_add(chance.within(SECOND..(life / 2).max(2 * SECOND)));
    let to = from.saturating_add(chance.within(SECOND..20 * SECOND)).min(created.saturating_add(life));
    let a_while =
        Say { from: Offset::from_micros(from), to: Some(Offset::from_micros(to)), ..Say::default() };
    let object = |value: Value| value.as_object().cloned().unwrap_or_default();
    match chance.weighted(ODDITIES) {
        Oddity::None => {}
        Oddity::Region => session.region = Some(chance.one_of(&["mars-1", "", "\u{202e}1-tsew-su"]).into()),
        Oddity::Null => {
            let fields =
                ["keepAlive", "expiresAt", "createdAt", "startedAt", "region", "proxyBytes", "contextId"];
            let odd = [json!(null), json!(null), json!([1]), json!({ "a": 1 }), json!("never\u{7}")];
            let mut set = Map::new();
            for _ in 0..2 {
                let value = odd.get(usize::try_from(chance.below(5)).unwrap_or(0)).cloned();
                set.insert(chance.one_of(&fields).to_owned(), value.unwrap_or_default());
            }
            session.says.push(Say { set, ..for_good });
        }
        Oddity::Missing => {
            let fields =
                ["keepAlive", "expiresAt", "createdAt", "startedAt", "updatedAt", "region", "projectId"];
            session.says.push(Say { without: vec![chance.one_of(&fields).to_owned()], ..for_good });
        }
        Oddity::Status | Oddity::ListedStatus if to <= from => {}
        Oddity::Status => session.says.push(Say { set: object(json!({ "status": "SLEEPING" })), ..a_while }),
        Oddity::ListedStatus => {
            let set = object(json!({ "status": "paused\u{1b}[31m" }));
            session.says.push(Say { set, on: Replies::List, ..a_while });
        }
        Oddity::Bytes => {
            session.says.push(Say { set: object(json!({ "proxyBytes": "many" })), ..a_while });
        }
        Oddity::NoEnd => session.ends.iter_mut().for_each(|end| end.omit_ended_at = true),
        Oddity::WrongEnd => {
            let hours = chance.one_of(&[-7_i64, 7]).saturating_mul(3600 * SECOND);
            if let Some(end) = &mut session.ends {
                end.ended_at = Some(end.at.plus(Offset::from_micros(hours)));
            }
        }
    }
}

/// From `at` on: an end of a kind that nobody knows.
pub(super) fn unknown_end(at: Offset) -> Say {
    let mut set = Map::new();
    set.insert("status".into(), "EVICTED".into());
    Say { from: at, set, ..Say::default() }
}

/// None, usual, or meant to do harm.
pub(super) fn metadata(chance: &mut Chance) -> Option<Map<String, Value>> {
    let run = format!("run-{:05}", chance.below(100_000));
    let owner = chance.one_of(&["growth", "checkout-e2e", "nightly", "price-watch", "search-qa"]);
    let value = match chance.below(16) {
        0 | 1 => return None,
        2 => json!({ (chance.one_of(&["mcp", "browse_cli", "stagehand"])): "true" }),
        3 => hostile(chance),
        _ => json!({ "owner": owner, "env": chance.one_of(&["prod", "staging"]), "run": { "id": run } }),
    };
    value.as_object().cloned()
}

fn hostile(chance: &mut Chance) -> Value {
    match chance.below(9) {
        0 => json!({ "owner": "\u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[31m", "\u{9b}31m": "\u{85}\u{0}" }),
        1 => {
            json!({ "owner": "nimda\u{202e}\u{2066}\u{200b}\u{feff}", "tags": "\u{e0041}\u{e0042}\u{e007f}" })
        }
        2 => json!({ "owner": format!("z{}", "\u{0301}".repeat(120)), "wide": "看護 👩‍👩‍👧‍👦 ﷽" }),
        3 => json!({ "owner": "x".repeat(450), "note": "line\r\nline\tline" }),
        4 => json!({ "api_key": "bb_live_cAnArYoFcHaOs77", "url": "wss://c/?signingKey=cAnArYoFcHaOs78" }),
        5 => json!({ "owner": (0..60).fold(json!("deep"), |inner, _| json!([inner])) }),
        6 => json!({ "": "", " ": " ", "__proto__": { "owner": true }, "'; DROP TABLE summary; --": 1e308 }),
        7 => json!({ "owner": ["a", null, 3], "run": { "id": -0.0 }, "n": u64::MAX }),
        _ => json!({ "owner": "\u{7f}\u{1f}\u{80}\u{2028}\u{2029}", "label": "%s%n\\x1b[0m$(reboot)`id`" }),
    }
}
