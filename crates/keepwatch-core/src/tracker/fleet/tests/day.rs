//! A day of polling a thousand sessions, replayed: how long it takes, how much it leaves, and that no end is lost.
//!
//! The ordinary test looks every [`ORDINARY`], which a debug build replays in seconds. The whole day at the program's own
//! interval, 28.8 million observations, is
//!
//! ```text
//! cargo test --release --lib a_day_at_the_programs_own_interval -- --ignored --nocapture
//! ```
//!
//! Memory is the sum of what the fleet holds, by the sizes of its parts and the lengths of their texts; the allocator's
//! own, and the slack of trees, are not in it. The whole day also says by how much the process grew.

use std::collections::HashMap;
use std::time::Duration;

use super::*;
use crate::clock::saturating_add;
use crate::session::{ApiErrorKind, List, Metadata, Session, Status};
use crate::testing::{moment_since, running_session};
use crate::tracker::{Flag, timeline};

/// So many sessions live at a time.
const ALIVE: usize = 1_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How often the ordinary test looks.
const ORDINARY: Duration = Duration::from_secs(120);
/// How often the program looks, if it is not told otherwise.
const OWN: Duration = Duration::from_secs(3);
/// How long a reply takes.
const LATENCY: Duration = Duration::from_millis(90);
/// The most bytes of state that a session on record may take, its events included.
const MOST_BYTES: usize = 3_000;

/// How a session goes out of the lists.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Exit {
    Completed,
    Error,
    TimedOut,
    Forgotten,
}

/// A session, and what will become of it.
struct Life {
    session: Session,
    /// Since midnight.
    ends: Duration,
    exit: Exit,
    bytes_per_second: i64,
    born: Duration,
}

struct Day {
    chance: fastrand::Rng,
    lives: Vec<Life>,
    number: usize,
    fleet: Fleet,
    observations: usize,
    events: HashMap<&'static str, usize>,
    /// The longest that the timeline was, and the most records that there were.
    longest: (usize, usize),
}

fn midnight() -> Timestamp {
    "2026-11-22T00:00:00Z".parse().unwrap()
}

fn at(since: Duration) -> Exchange {
    let moment = |since: Duration| moment_since(midnight(), since.as_secs_f64());
    let date = Timestamp::from_timestamp(saturating_add(midnight(), since).timestamp(), 0);
    Exchange { sent: moment(since), received: moment(since.saturating_add(LATENCY)), date }
}

impl Day {
    fn new() -> Self {
        let mut day = Self {
            chance: fastrand::Rng::with_seed(7),
            lives: Vec::new(),
            number: 0,
            fleet: Fleet::new(Thresholds::default()),
            observations: 0,
            events: HashMap::new(),
            longest: (0, 0),
        };
        for _ in 0..ALIVE {
            let mut life = day.life(Duration::ZERO);
            life.ends = life.ends.mul_f64(day.chance.f64()); // they did not all begin at midnight
            day.lives.push(life);
        }
        day
    }

    /// A session that is born at `born`, for 5 to 60 minutes.
    fn life(&mut self, born: Duration) -> Life {
        let chance = &mut self.chance;
        let lives = Duration::from_millis(chance.u64(300_000..3_600_000));
        let exit = match chance.u8(0..20) {
            0 => Exit::Error,
            1 => Exit::Forgotten,
            2..6 => Exit::TimedOut,
            _ => Exit::Completed,
        };
        let timeout = if exit == Exit::TimedOut { lives } else { Duration::from_secs(6 * 3_600) };
        let owner = chance.u8(0..20);
        let id = format!("{:08x}-d9ca-4e02-9a67-{:012x}", self.number, chance.u32(..));
        self.number += 1;
        let session = Session {
            project: Some(crate::text::Untrusted::new("b9f4c1f7-2d6e-4c58-9f0e-6a1d0c7ef3a9")),
            keep_alive: Some(chance.bool()),
            metadata: Some(Metadata::new(&format!(
                r#"{{"owner":"team-{owner}","run":{{"id":"{}"}}}}"#,
                self.number
            ))),
            ..running_session(&id, saturating_add(midnight(), born), timeout)
        };
        let bytes_per_second = if chance.u8(0..3) == 0 { chance.i64(200..60_000) } else { 0 };
        Life { session, ends: born.saturating_add(lives), exit, bytes_per_second, born }
    }

    /// Polls as the program does: the list, and then singly what left it.
    fn look(&mut self, now: Duration) {
        let mut left = Vec::new();
        for place in 0..self.lives.len() {
            if self.lives[place].ends <= now {
                let born = self.lives[place].ends;
                let next = self.life(born);
                left.push(std::mem::replace(&mut self.lives[place], next));
            }
        }
        let sessions: Vec<Session> = self.lives.iter().map(|life| life.at(now)).collect();
        self.observations += sessions.len();
        let list = Input::Seen { at: at(now), scope: Scope::List(List::Running), sessions, malformed: 0 };
        self.take(list);
        for (nth, life) in (1..).zip(left) {
            let at = at(now.saturating_add(LATENCY * nth));
            let id = life.session.id.clone();
            let is_end = if life.exit == Exit::Forgotten { "not_found" } else { "ended" };
            let events = self.take(life.end(at));
            let ends = events.iter().filter(|event| event.id.as_ref() == Some(&id));
            assert_eq!(ends.filter(|event| event.kind.name() == is_end).count(), 1, "the end of {id:?}");
        }
        let (timeline, records) = self.longest;
        self.longest = (timeline.max(self.fleet.timeline.len()), records.max(self.fleet.len()));
    }

    fn take(&mut self, input: Input) -> Vec<Event> {
        let events = self.fleet.apply(input).events;
        for event in &events {
            *self.events.entry(event.kind.name()).or_default() += 1;
        }
        events
    }
}

impl Life {
    fn at(&self, now: Duration) -> Session {
        let ran = i64::try_from(now.saturating_sub(self.born).as_secs()).unwrap();
        Session { proxy_bytes: Some(ran * self.bytes_per_second), ..self.session.clone() }
    }

    fn end(self, at: Exchange) -> Input {
        let id = self.session.id.clone();
        let status = match self.exit {
            Exit::Forgotten => {
                return Input::Missing { at, id, fault: ApiErrorKind::NotFound.into(), next: None };
            }
            Exit::Completed => Status::Completed,
            Exit::Error => Status::Error,
            Exit::TimedOut => Status::TimedOut,
        };
        let ended = Some(saturating_add(midnight(), self.ends));
        let sessions = vec![Session { status, ended, ..self.at(self.ends) }];
        Input::Seen { at, scope: Scope::One(id), sessions, malformed: 0 }
    }
}

/// What the fleet holds, in bytes.
fn held(fleet: &Fleet) -> usize {
    let text = |length: usize| length + 2 * size_of::<usize>(); // its counts of owners
    let of_record = |record: &Record| {
        let session = record.session.as_ref();
        let metadata = session.and_then(|it| it.metadata.as_ref()).map_or(0, |it| text(it.json().len()));
        let project = session.and_then(|it| it.project.as_ref()).map_or(0, |it| text(it.raw().len()));
        let owner = record.owner.as_ref().map_or(0, |it| text(it.raw().len()));
        let ids = 2 * text(record.id.raw().len()); // what it was asked for by, and what the reply calls it
        size_of::<(SessionId, Record)>()
            + ids
            + metadata
            + project
            + owner
            + record.flags.capacity() * size_of::<(Flag, Seq)>()
    };
    let of_event = |event: &Event| match &event.kind {
        EventKind::Together { ids, .. } => ids.capacity() * size_of::<SessionId>(),
        _ => 0,
    };
    let records: usize = fleet.records().map(of_record).sum();
    let events: usize =
        fleet.timeline.all().map(|(_, event)| size_of::<(Seq, Event)>() + of_event(event)).sum();
    let places =
        fleet.timeline.len() * 2 * size_of::<Seq>() + fleet.len() * 4 * size_of::<(Timestamp, SessionId)>();
    records + events + places
}

/// How much memory the process has, in bytes, where the system says.
fn resident() -> Option<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse::<usize>().ok()?;
    Some(pages * 4096)
}

/// The CPU time of this thread. A busy machine makes the test take longer, but not use more of it.
fn cpu_time() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).try_into().unwrap()
}

fn replay(every: Duration) {
    let (start, before) = (cpu_time(), resident());
    let mut day = Day::new();
    let mut now = Duration::ZERO;
    while now < DAY {
        day.look(now);
        now += every;
    }
    let took = cpu_time() - start;
    let held = held(&day.fleet);
    let grown = resident().zip(before).map(|(after, before)| after.saturating_sub(before));
    let (timeline, records) = day.longest;
    println!(
        "every {every:?}: {} sessions, {} observations in {took:.1?}, {:.2?} each; at most {records} records and {timeline} \
         events on record; {} kB held, {} bytes a session; the process grew by {} kB; {:?}",
        day.number,
        day.observations,
        took / u32::try_from(day.observations).unwrap(),
        held / 1000,
        held / day.fleet.len(),
        grown.unwrap_or(0) / 1000,
        day.events,
    );
    assert!(records <= ALIVE + MOST_OVER, "{records} records");
    assert!(timeline <= timeline::MOST + 2 * records, "{timeline} events");
    assert!(held / day.fleet.len() <= MOST_BYTES, "{} bytes a session", held / day.fleet.len());
    assert!(took < Duration::from_secs(120), "it takes {took:?} of CPU time");
}

#[test]
fn a_day_of_a_thousand_sessions_loses_no_end_and_stays_small() {
    replay(ORDINARY);
}

#[test]
#[ignore = "28.8 million observations take minutes in a debug build"]
fn a_day_at_the_programs_own_interval_loses_no_end_and_stays_small() {
    replay(OWN);
}
