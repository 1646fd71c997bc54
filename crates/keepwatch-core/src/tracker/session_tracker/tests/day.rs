//! A day of polling a thousand sessions, replayed: how long it takes, how much it leaves, and that no end is lost.
//!
//! The ordinary test looks every [`TEST_INTERVAL`], which a debug build replays in seconds. The whole day at the program's own
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
use crate::tracker::{Alert, timeline};

/// So many sessions live at a time.
const ALIVE: usize = 1_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How often the ordinary test looks.
const TEST_INTERVAL: Duration = Duration::from_secs(120);
/// How often the program looks, if it is not told otherwise.
const PROGRAM_INTERVAL: Duration = Duration::from_secs(3);
/// How long a reply takes.
const LATENCY: Duration = Duration::from_millis(90);
/// The most bytes of state that a session on record may take, its events included.
const MAX_BYTES_PER_SESSION: usize = 3_000;

/// How a session goes out of the lists.
#[derive(Clone, Copy, Debug, PartialEq)]
enum EndKind {
    Completed,
    Error,
    TimedOut,
    NotFound,
}

/// A session, and what will become of it.
struct ScriptedSession {
    session: Session,
    /// Since midnight.
    ends: Duration,
    end_kind: EndKind,
    bytes_per_second: i64,
    created: Duration,
}

struct SimulatedDay {
    rng: fastrand::Rng,
    sessions: Vec<ScriptedSession>,
    number: usize,
    tracker: SessionTracker,
    observations: usize,
    events: HashMap<&'static str, usize>,
    /// The longest that the timeline was, and the most records that there were.
    longest: (usize, usize),
}

fn midnight() -> Timestamp {
    "2026-11-22T00:00:00Z".parse().unwrap()
}

fn timing_at(since: Duration) -> RequestTiming {
    let moment = |since: Duration| moment_since(midnight(), since.as_secs_f64());
    let date = Timestamp::from_timestamp(saturating_add(midnight(), since).timestamp(), 0);
    RequestTiming { sent: moment(since), received: moment(since.saturating_add(LATENCY)), date }
}

impl SimulatedDay {
    fn new() -> Self {
        let mut day = Self {
            rng: fastrand::Rng::with_seed(7),
            sessions: Vec::new(),
            number: 0,
            tracker: SessionTracker::new(AlertThresholds::default()),
            observations: 0,
            events: HashMap::new(),
            longest: (0, 0),
        };
        for _ in 0..ALIVE {
            let mut life = day.new_session(Duration::ZERO);
            life.ends = life.ends.mul_f64(day.rng.f64()); // they did not all begin at midnight
            day.sessions.push(life);
        }
        day
    }

    /// A session that is born at `born`, for 5 to 60 minutes.
    fn new_session(&mut self, born: Duration) -> ScriptedSession {
        let chance = &mut self.rng;
        let lives = Duration::from_millis(chance.u64(300_000..3_600_000));
        let exit = match chance.u8(0..20) {
            0 => EndKind::Error,
            1 => EndKind::NotFound,
            2..6 => EndKind::TimedOut,
            _ => EndKind::Completed,
        };
        let timeout = if exit == EndKind::TimedOut { lives } else { Duration::from_secs(6 * 3_600) };
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
        ScriptedSession {
            session,
            ends: born.saturating_add(lives),
            end_kind: exit,
            bytes_per_second,
            created: born,
        }
    }

    /// Polls as the program does: the list, and then singly what left it.
    fn poll(&mut self, now: Duration) {
        let mut left = Vec::new();
        for place in 0..self.sessions.len() {
            if self.sessions[place].ends <= now {
                let born = self.sessions[place].ends;
                let next = self.new_session(born);
                left.push(std::mem::replace(&mut self.sessions[place], next));
            }
        }
        let sessions: Vec<Session> = self.sessions.iter().map(|life| life.at(now)).collect();
        self.observations += sessions.len();
        let list = Input::SessionsReceived {
            at: timing_at(now),
            scope: Scope::List(List::Running),
            sessions,
            malformed: 0,
        };
        self.apply(list);
        for (nth, life) in (1..).zip(left) {
            let at = timing_at(now.saturating_add(LATENCY * nth));
            let id = life.session.id.clone();
            let is_end = if life.end_kind == EndKind::NotFound { "not_found" } else { "ended" };
            let events = self.apply(life.end_input(at));
            let ends = events.iter().filter(|event| event.id.as_ref() == Some(&id));
            assert_eq!(ends.filter(|event| event.kind.name() == is_end).count(), 1, "the end of {id:?}");
        }
        let (timeline, records) = self.longest;
        self.longest = (timeline.max(self.tracker.timeline.len()), records.max(self.tracker.len()));
    }

    fn apply(&mut self, input: Input) -> Vec<Event> {
        let events = self.tracker.apply(input).events;
        for event in &events {
            *self.events.entry(event.kind.name()).or_default() += 1;
        }
        events
    }
}

impl ScriptedSession {
    fn at(&self, now: Duration) -> Session {
        let ran = i64::try_from(now.saturating_sub(self.created).as_secs()).unwrap();
        Session { proxy_bytes: Some(ran * self.bytes_per_second), ..self.session.clone() }
    }

    fn end_input(self, at: RequestTiming) -> Input {
        let id = self.session.id.clone();
        let status = match self.end_kind {
            EndKind::NotFound => {
                return Input::SessionNotFound { at, id, error: ApiErrorKind::NotFound.into(), next: None };
            }
            EndKind::Completed => Status::Completed,
            EndKind::Error => Status::Error,
            EndKind::TimedOut => Status::TimedOut,
        };
        let ended = Some(saturating_add(midnight(), self.ends));
        let sessions = vec![Session { status, ended, ..self.at(self.ends) }];
        Input::SessionsReceived { at, scope: Scope::Session(id), sessions, malformed: 0 }
    }
}

/// What the fleet holds, in bytes.
fn bytes_held(tracker: &SessionTracker) -> usize {
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
            + record.alerts.capacity() * size_of::<(Alert, Seq)>()
    };
    let of_event = |event: &Event| match &event.kind {
        EventKind::EndedTogether { ids, .. } => ids.capacity() * size_of::<SessionId>(),
        _ => 0,
    };
    let records: usize = tracker.records().map(of_record).sum();
    let events: usize =
        tracker.timeline.all().map(|(_, event)| size_of::<(Seq, Event)>() + of_event(event)).sum();
    let places = tracker.timeline.len() * 2 * size_of::<Seq>()
        + tracker.len() * 4 * size_of::<(Timestamp, SessionId)>();
    records + events + places
}

/// How much memory the process has, in bytes, where the system says.
fn resident_memory() -> Option<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse::<usize>().ok()?;
    Some(pages * 4096)
}

/// The CPU time of this thread. A busy machine makes the test take longer, but not use more of it.
fn cpu_time() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).try_into().unwrap()
}

fn replay(every: Duration) {
    let (start, before) = (cpu_time(), resident_memory());
    let mut day = SimulatedDay::new();
    let mut now = Duration::ZERO;
    while now < DAY {
        day.poll(now);
        now += every;
    }
    let took = cpu_time() - start;
    let held = bytes_held(&day.tracker);
    let grown = resident_memory().zip(before).map(|(after, before)| after.saturating_sub(before));
    let (timeline, records) = day.longest;
    println!(
        "every {every:?}: {} sessions, {} observations in {took:.1?}, {:.2?} each; at most {records} records and {timeline} \
         events on record; {} kB held, {} bytes a session; the process grew by {} kB; {:?}",
        day.number,
        day.observations,
        took / u32::try_from(day.observations).unwrap(),
        held / 1000,
        held / day.tracker.len(),
        grown.unwrap_or(0) / 1000,
        day.events,
    );
    assert!(records <= ALIVE + MAX_FINAL_SESSIONS, "{records} records");
    assert!(timeline <= timeline::MAX_EVENTS + 2 * records, "{timeline} events");
    assert!(
        held / day.tracker.len() <= MAX_BYTES_PER_SESSION,
        "{} bytes a session",
        held / day.tracker.len()
    );
    assert!(took < Duration::from_secs(120), "it takes {took:?} of CPU time");
}

#[test]
fn a_day_of_a_thousand_sessions_loses_no_end_and_stays_small() {
    replay(TEST_INTERVAL);
}

#[test]
#[ignore = "28.8 million observations take minutes in a debug build"]
fn a_day_at_the_programs_own_interval_loses_no_end_and_stays_small() {
    replay(PROGRAM_INTERVAL);
}
