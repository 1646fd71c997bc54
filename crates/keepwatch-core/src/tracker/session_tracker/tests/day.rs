//! A simulated day with a thousand sessions: measures CPU time and memory, and checks that the tracker misses no end.
//!
//! The ordinary test polls every [`TEST_INTERVAL`], so a debug build simulates the day in seconds. This command
//! simulates the day at the program's default interval, with 28.8 million observations:
//!
//! ```text
//! cargo test --release -p keepwatch-core --lib day_at_default_interval -- --ignored --nocapture
//! ```
//!
//! The memory of the tracker is the sum of the sizes of its parts and the lengths of their texts, without the overhead
//! of the allocator and of trees. The test also prints the growth of the process's memory.

use std::collections::HashMap;
use std::time::Duration;

use super::*;
use crate::clock::saturating_add;
use crate::session::{ApiErrorKind, List, Metadata, Session, Status};
use crate::testing::{moment_since, running_session};
use crate::tracker::{Alert, timeline};

/// The number of sessions that are alive at any time.
const ALIVE_SESSIONS: usize = 1_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Poll interval of the ordinary test.
const TEST_INTERVAL: Duration = Duration::from_secs(120);
/// The program's default poll interval.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(3);
/// Time from a request to its response.
const LATENCY: Duration = Duration::from_millis(90);
/// The maximum number of bytes per record, including the session's events.
const MAX_BYTES_PER_SESSION: usize = 3_000;

/// The way in which a session leaves the lists.
#[derive(Clone, Copy, Debug, PartialEq)]
enum EndKind {
    Completed,
    Error,
    TimedOut,
    NotFound,
}

/// A session and its scripted end.
struct ScriptedSession {
    session: Session,
    /// The time from midnight to its end.
    ends: Duration,
    end_kind: EndKind,
    /// The growth of its `proxyBytes`.
    bytes_per_second: i64,
    /// The time from midnight to its creation.
    created: Duration,
}

/// The tracker, the sessions of the simulated API, and the totals.
struct SimulatedDay {
    rng: fastrand::Rng,
    /// The sessions that are alive.
    sessions: Vec<ScriptedSession>,
    /// The number of sessions created so far.
    session_count: usize,
    tracker: SessionTracker,
    /// The number of sessions in all list responses.
    observations: usize,
    /// The number of events of each name.
    event_counts: HashMap<&'static str, usize>,
    /// The peak length of the timeline, and the peak number of records.
    peaks: (usize, usize),
}

fn midnight() -> Timestamp {
    "2026-11-22T00:00:00Z".parse().unwrap()
}

/// Returns the timing of a request sent at this time since midnight.
fn timing_at(since_midnight: Duration) -> RequestTiming {
    let moment = |since: Duration| moment_since(midnight(), since.as_secs_f64());
    let date = Timestamp::from_timestamp(saturating_add(midnight(), since_midnight).timestamp(), 0);
    RequestTiming {
        sent: moment(since_midnight),
        received: moment(since_midnight.saturating_add(LATENCY)),
        date,
        age: Duration::ZERO,
    }
}

impl SimulatedDay {
    fn new() -> Self {
        let mut day = Self {
            rng: fastrand::Rng::with_seed(7),
            sessions: Vec::new(),
            session_count: 0,
            tracker: SessionTracker::new(AlertThresholds::default()),
            observations: 0,
            event_counts: HashMap::new(),
            peaks: (0, 0),
        };
        for _ in 0..ALIVE_SESSIONS {
            let mut script = day.new_session(Duration::ZERO);
            script.ends = script.ends.mul_f64(day.rng.f64()); // spread the first ends over the first hour
            day.sessions.push(script);
        }
        day
    }

    /// Creates a session that starts at `created` and lasts 5 to 60 minutes.
    fn new_session(&mut self, created: Duration) -> ScriptedSession {
        let rng = &mut self.rng;
        let lifetime = Duration::from_millis(rng.u64(300_000..3_600_000));
        let end_kind = match rng.u8(0..20) {
            0 => EndKind::Error,
            1 => EndKind::NotFound,
            2..6 => EndKind::TimedOut,
            _ => EndKind::Completed,
        };
        let timeout = if end_kind == EndKind::TimedOut { lifetime } else { Duration::from_secs(6 * 3_600) };
        let owner = rng.u8(0..20);
        let id = format!("{:08x}-d9ca-4e02-9a67-{:012x}", self.session_count, rng.u32(..));
        self.session_count += 1;
        let session = Session {
            project: Some(crate::text::Untrusted::new("b9f4c1f7-2d6e-4c58-9f0e-6a1d0c7ef3a9")),
            keep_alive: Some(rng.bool()),
            metadata: Some(Metadata::new(&format!(
                r#"{{"owner":"team-{owner}","run":{{"id":"{}"}}}}"#,
                self.session_count
            ))),
            ..running_session(&id, saturating_add(midnight(), created), timeout)
        };
        let bytes_per_second = if rng.u8(0..3) == 0 { rng.i64(200..60_000) } else { 0 };
        ScriptedSession {
            session,
            ends: created.saturating_add(lifetime),
            end_kind,
            bytes_per_second,
            created,
        }
    }

    /// Polls as the program does: first the list, then each session that left the list.
    fn poll(&mut self, now: Duration) {
        let mut ended_scripts = Vec::new();
        for index in 0..self.sessions.len() {
            if self.sessions[index].ends <= now {
                let created = self.sessions[index].ends;
                let next = self.new_session(created);
                ended_scripts.push(std::mem::replace(&mut self.sessions[index], next));
            }
        }
        let sessions: Vec<Session> = self.sessions.iter().map(|script| script.at(now)).collect();
        self.observations += sessions.len();
        let list = Input::SessionsReceived {
            at: timing_at(now),
            scope: Scope::List(List::Running),
            sessions,
            malformed: 0,
        };
        self.apply(list);
        for (nth, script) in (1..).zip(ended_scripts) {
            let at = timing_at(now.saturating_add(LATENCY * nth));
            let id = script.session.id.clone();
            let end_name = if script.end_kind == EndKind::NotFound { "not_found" } else { "ended" };
            let events = self.apply(script.end_input(at));
            let own_events = events.iter().filter(|event| event.id.as_ref() == Some(&id));
            assert_eq!(
                own_events.filter(|event| event.kind.name() == end_name).count(),
                1,
                "each session ends with one event: {id:?}"
            );
        }
        let (timeline, records) = self.peaks;
        self.peaks = (timeline.max(self.tracker.timeline.len()), records.max(self.tracker.len()));
    }

    fn apply(&mut self, input: Input) -> Vec<Event> {
        let events = self.tracker.apply(input).events;
        for event in &events {
            *self.event_counts.entry(event.kind.name()).or_default() += 1;
        }
        events
    }
}

impl ScriptedSession {
    /// Returns the session at this time, while it is alive.
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

/// Returns the number of bytes that the tracker's state takes, as the module's documentation defines it.
fn bytes_held(tracker: &SessionTracker) -> usize {
    let text = |length: usize| length + 2 * size_of::<usize>(); // with its reference counts
    let record_bytes = |record: &Record| {
        let session = record.session.as_ref();
        let metadata = session.and_then(|it| it.metadata.as_ref()).map_or(0, |it| text(it.json().len()));
        let project = session.and_then(|it| it.project.as_ref()).map_or(0, |it| text(it.raw().len()));
        let owner = record.owner.as_ref().map_or(0, |it| text(it.raw().len()));
        let ids = 2 * text(record.id.raw().len()); // the requested id, and the id in the response
        size_of::<(SessionId, Record)>()
            + ids
            + metadata
            + project
            + owner
            + record.alerts.capacity() * size_of::<(Alert, Seq)>()
    };
    let event_bytes = |event: &Event| match &event.kind {
        EventKind::EndedTogether { ids, .. } => ids.capacity() * size_of::<SessionId>(),
        _ => 0,
    };
    let records: usize = tracker.records().map(record_bytes).sum();
    let events: usize =
        tracker.timeline.all().map(|(_, event)| size_of::<(Seq, Event)>() + event_bytes(event)).sum();
    // An estimate: the timeline keeps two more copies of each sequence number, and the tracker four more copies of each
    // id, with a time.
    let indices = tracker.timeline.len() * 2 * size_of::<Seq>()
        + tracker.len() * 4 * size_of::<(Timestamp, SessionId)>();
    records + events + indices
}

/// Returns the resident memory of the process in bytes, or `None` if the system does not report it.
fn resident_memory() -> Option<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse::<usize>().ok()?;
    Some(pages * 4096) // the usual page size, in bytes
}

/// Returns the CPU time of this thread. Unlike wall time, it does not grow on a busy machine.
fn cpu_time() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).try_into().unwrap()
}

fn simulate_day(interval: Duration) {
    let (start, before) = (cpu_time(), resident_memory());
    let mut day = SimulatedDay::new();
    let mut now = Duration::ZERO;
    while now < DAY {
        day.poll(now);
        now += interval;
    }
    let elapsed = cpu_time() - start;
    let held = bytes_held(&day.tracker);
    let growth = resident_memory().zip(before).map(|(after, before)| after.saturating_sub(before));
    let (timeline, records) = day.peaks;
    println!(
        "every {interval:?}: {} sessions, {} observations in {elapsed:.1?}, {:.2?} each; at most {records} records and {timeline} \
         events on record; {} kB held, {} bytes a session; the process grew by {} kB; {:?}",
        day.session_count,
        day.observations,
        elapsed / u32::try_from(day.observations).unwrap(),
        held / 1000,
        held / day.tracker.len(),
        growth.unwrap_or(0) / 1000,
        day.event_counts,
    );
    assert!(records <= ALIVE_SESSIONS + MAX_FINAL_SESSIONS + MAX_INCIDENT_SESSIONS, "{records} records");
    // The timeline never evicts the `FirstSeen` event or the newest end of a session.
    assert!(timeline <= timeline::MAX_EVENTS + 2 * records, "{timeline} events");
    assert!(
        held / day.tracker.len() <= MAX_BYTES_PER_SESSION,
        "{} bytes a session",
        held / day.tracker.len()
    );
    assert!(elapsed < Duration::from_secs(120), "{elapsed:?} of CPU time");
}

#[test]
fn day_of_thousand_sessions_stays_small() {
    simulate_day(TEST_INTERVAL);
}

#[test]
#[ignore = "28.8 million observations take minutes in a debug build"]
fn day_at_default_interval_stays_small() {
    simulate_day(DEFAULT_INTERVAL);
}
