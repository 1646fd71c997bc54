//! Proptest strategies for sequences of tracker inputs: a few sessions, any status, plausible and absurd times,
//! responses out of order, a machine that sleeps, and a wall clock that someone sets.

use std::time::Duration;

use chrono::TimeDelta;
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;

use super::{id, moment, noon, running_session};
use crate::clock::{Moment, Timestamp, saturating_add};
use crate::session::{ApiError, ApiErrorKind, List, Metadata, Project, Region, Session, SessionId, Status};
use crate::text::Untrusted;
use crate::tracker::{Input, RequestTiming, Scope};

/// The ids of the sessions in a sequence.
const IDS: [&str; 4] = ["a", "b", "c", "d"];
const MS: fn(u64) -> Duration = Duration::from_millis;

/// An input without its times, and the movements of the clocks before it.
#[derive(Clone, Debug)]
pub struct InputStep {
    /// The advance of all clocks, in milliseconds.
    awake_ms: u64,
    /// The further advance of the boot clock and the wall clock during a sleep of the machine, in milliseconds.
    asleep_ms: u64,
    /// The step of the wall clock when someone sets it, in milliseconds.
    wall_step_ms: i64,
    /// The times since the request was sent and since its response was received, in milliseconds.
    request_ages_ms: (u64, u64),
    /// The offset of the response's `Date` from the wall clock, in seconds; `None` without a `Date`.
    date_offset_secs: Option<i64>,
    /// The `Age` header of the response, in seconds.
    cache_age_secs: u64,
    input: StepInput,
}

#[derive(Clone, Debug)]
enum StepInput {
    NamedSessions(Vec<SessionId>),
    /// The response for one session: the requested id, and the session, which can have another id.
    Session(SessionId, Box<Session>),
    /// The response for a list: its sessions, and the number of malformed sessions.
    SessionList(List, Vec<Session>, u32),
    /// A response for the list of running sessions that has only ended sessions: the number of the first, and their
    /// count.
    Burst(u32, u32),
    NotFound(SessionId, ApiError),
    Failed(Scope, ApiError),
    /// The response with the only project, whose default timeout has this many seconds.
    Projects(Option<u64>),
    Slept,
    TimePassed,
}

fn any_id() -> impl Strategy<Value = SessionId> {
    select(&IDS[..]).prop_map(id)
}

/// Generates times around noon, close to the limits that matter, and a few absurd ones.
fn any_time() -> impl Strategy<Value = Timestamp> {
    // In milliseconds from noon.
    let limits = select(vec![
        -3_600_000, -900_000, -300_000, -1_000, 0, 1_000, 3_000, 9_600, 60_000, 300_000, 900_000,
    ]);
    let near = (limits, -16_000_i64..16_000, any::<bool>()).prop_map(|(limit, offset, is_exact)| {
        noon() + TimeDelta::milliseconds(if is_exact { limit } else { limit + offset })
    });
    let absurd = select(vec![Timestamp::MIN_UTC, Timestamp::MAX_UTC, Timestamp::UNIX_EPOCH]);
    prop_oneof![12 => near, 1 => absurd]
}

fn any_status() -> impl Strategy<Value = Status> {
    prop_oneof![
        6 => Just(Status::Running),
        6 => Just(Status::Completed),
        2 => select(vec![Status::Pending, Status::Error, Status::TimedOut]),
        1 => Just(Status::Other(Untrusted::new("HIBERNATING"))),
    ]
}

fn any_session() -> impl Strategy<Value = Session> {
    let times = (
        weighted(0.9, any_time()),
        weighted(0.9, any_time()),
        weighted(0.9, any_time()),
        weighted(0.7, any_time()),
    );
    let bytes = of(prop_oneof![9 => 0_i64..3, 1 => any::<i64>()]);
    let region = of(select(vec![Region::UsWest2, Region::Other(Untrusted::new("mars"))]));
    let metadata = of(select(vec!["{}", r#"{"owner":"a"}"#, r#"{"owner":"b"}"#]));
    let context = of(select(vec!["", "c-1"]));
    let other_fields = (bytes, of(any::<bool>()), region, metadata, context);
    (any_id(), any_status(), times, other_fields).prop_map(
        |(id, status, (created, started, expires, ended), other_fields)| {
            let (proxy_bytes, keep_alive, region, metadata, context) = other_fields;
            let ended = ended.filter(|_| status.is_final());
            Session {
                id,
                status,
                created,
                started,
                expires,
                ended,
                proxy_bytes,
                keep_alive,
                region,
                metadata: metadata.map(Metadata::new),
                context: context.map(Untrusted::new),
                ..running_session("x", noon(), MS(900_000))
            }
        },
    )
}

fn any_error() -> impl Strategy<Value = ApiError> {
    let kinds = vec![
        ApiErrorKind::Timeout,
        ApiErrorKind::ConnectionRefused(Untrusted::new("h")),
        ApiErrorKind::RateLimited,
        ApiErrorKind::ApiKeyRejected,
        ApiErrorKind::Forbidden,
        ApiErrorKind::Server(503),
        ApiErrorKind::Status(400),
    ];
    (select(kinds), of(0_u64..9))
        .prop_map(|(kind, delay)| ApiError { retry_after: delay.map(Duration::from_secs), ..kind.into() })
}

fn step_input() -> impl Strategy<Value = StepInput> {
    let list = || select(&List::ALL[..]);
    let scope =
        prop_oneof![any_id().prop_map(Scope::Session), list().prop_map(Scope::List), Just(Scope::Projects)];
    let not_found = select(vec![ApiErrorKind::NotFound, ApiErrorKind::Gone]);
    prop_oneof![
        2 => vec(any_id(), 0..3).prop_map(StepInput::NamedSessions),
        24 => (any_id(), any_session()).prop_map(|(id, session)| StepInput::Session(id, Box::new(session))),
        16 => (list(), vec(any_session(), 0..4), 0_u32..2).prop_map(|(list, sessions, malformed)| StepInput::SessionList(list, sessions, malformed)),
        1 => (0_u32..2_000, 1_u32..400).prop_map(|(first, count)| StepInput::Burst(first, count)),
        6 => (any_id(), not_found).prop_map(|(id, kind)| StepInput::NotFound(id, kind.into())),
        6 => (scope, any_error()).prop_map(|(scope, error)| StepInput::Failed(scope, error)),
        2 => of(60_u64..21_600).prop_map(StepInput::Projects),
        2 => Just(StepInput::Slept),
        6 => Just(StepInput::TimePassed),
    ]
}

/// Generates one step of a sequence.
pub fn step() -> impl Strategy<Value = InputStep> {
    // A value that occurs twice is twice as likely.
    let awake = select(vec![0, 1, 700, 1_000, 3_000, 3_000, 9_000, 60_000, 290_000, 700_000]);
    let asleep = prop_oneof![9 => Just(0), 1 => 1_u64..4_000_000];
    let wall_step = prop_oneof![9 => Just(0), 1 => -90_000_000_i64..90_000_000];
    let request_ages = prop_oneof![3 => (0_u64..300, Just(0_u64)), 1 => (0_u64..9_000, 0_u64..2_000)]
        .prop_map(|(latency, response_age)| (response_age + latency, response_age));
    let wrong_hours = select(vec![-7_200, -3_600, 3_600]);
    let date_offset = of(prop_oneof![10 => Just(0), 2 => -600_i64..600, 1 => wrong_hours]);
    let cache_age = prop_oneof![9 => Just(0), 1 => 0_u64..120];
    (awake, asleep, wall_step, request_ages, date_offset, cache_age, step_input()).prop_map(
        |(awake_ms, asleep_ms, wall_step_ms, request_ages_ms, date_offset_secs, cache_age_secs, input)| {
            InputStep {
                awake_ms,
                asleep_ms,
                wall_step_ms,
                request_ages_ms,
                date_offset_secs,
                cache_age_secs,
                input,
            }
        },
    )
}

/// The machine's clocks, moved by the steps.
#[derive(Debug)]
pub struct StepClocks(Moment);

impl StepClocks {
    /// Returns clocks that show noon.
    #[must_use]
    pub fn start() -> Self {
        Self(moment(0))
    }

    /// Advances the clocks by one second. Returns a response, received then, whose only session has the id `text`.
    pub fn response(&mut self, text: &str, status: Status) -> Input {
        self.0 = self.0.plus(MS(1_000));
        let at = RequestTiming { sent: self.0, received: self.0, date: None, age: Duration::ZERO };
        let session = Session { status, ..running_session(text, noon(), MS(900_000)) };
        Input::SessionsReceived {
            at,
            scope: Scope::Session(session.id.clone()),
            sessions: vec![session],
            malformed: 0,
        }
    }

    /// Advances the clocks by `ms` milliseconds. Returns the same response as `input`, received then; `None` if `input`
    /// is not a response about sessions.
    pub fn repeat_response(&mut self, input: &Input, ms: u64) -> Option<Input> {
        let Input::SessionsReceived { at, scope, sessions, malformed } = input.clone() else { return None };
        self.0 = self.0.plus(MS(ms));
        // The request cannot be older than the previous reading of the clocks.
        let latency = at.received.since(at.sent).min(MS(ms));
        let sent = Moment {
            wall: self.0.wall - latency,
            mono: self.0.mono.saturating_sub(latency),
            boot: self.0.boot.saturating_sub(latency),
        };
        let date = at.date.and_then(|_| Timestamp::from_timestamp(self.0.wall.timestamp(), 0));
        Some(Input::SessionsReceived {
            at: RequestTiming { sent, received: self.0, date, age: at.age },
            scope,
            sessions,
            malformed,
        })
    }

    /// Moves the clocks by `step`. Returns the input of the step, with the times that the clocks give it.
    pub fn timed_input(&mut self, step: InputStep) -> Input {
        let previous = self.0;
        let awake = previous.plus(MS(step.awake_ms));
        let slept = MS(step.asleep_ms);
        self.0 = Moment {
            wall: saturating_add(awake.wall, slept) + TimeDelta::milliseconds(step.wall_step_ms),
            mono: awake.mono,
            boot: awake.boot + slept,
        };
        let now = self.0;
        let ago = |ms: u64| Moment {
            wall: now.wall - MS(ms),
            mono: now.mono.saturating_sub(MS(ms)),
            boot: now.boot.saturating_sub(MS(ms)),
        };
        let (sent, received) = (ago(step.request_ages_ms.0), ago(step.request_ages_ms.1));
        let whole_second = |at: Timestamp| Timestamp::from_timestamp(at.timestamp(), 0).unwrap();
        let date =
            step.date_offset_secs.map(|offset| whole_second(received.wall + TimeDelta::seconds(offset)));
        let age = Duration::from_secs(step.cache_age_secs);
        let at = RequestTiming { sent, received, date, age };
        // Some failures have a time of the next poll, others have none. The condition is arbitrary.
        let next = step.date_offset_secs.map(|_| now.plus(MS(3_000)));
        match step.input {
            StepInput::NamedSessions(ids) => Input::SessionsNamed { at: now, ids },
            StepInput::Session(id, session) => Input::SessionsReceived {
                at,
                scope: Scope::Session(id),
                sessions: vec![*session],
                malformed: 0,
            },
            StepInput::SessionList(list, sessions, malformed) => {
                Input::SessionsReceived { at, scope: Scope::List(list), sessions, malformed }
            }
            StepInput::Burst(first, count) => {
                let sessions = (first..first + count).map(ended_session).collect();
                Input::SessionsReceived { at, scope: Scope::List(List::Running), sessions, malformed: 0 }
            }
            StepInput::NotFound(id, error) => Input::SessionNotFound { at, id, error, next },
            StepInput::Failed(scope, error) => Input::RequestFailed { at, scope, error, next },
            StepInput::Projects(default) => {
                let project = Project {
                    id: Untrusted::new("p"),
                    name: Untrusted::new("acme"),
                    default_timeout: default.map(Duration::from_secs),
                    concurrency: None,
                };
                Input::ProjectsReceived { at, projects: vec![project] }
            }
            StepInput::Slept => Input::Slept { from: previous, to: now },
            StepInput::TimePassed => Input::TimePassed { now },
        }
    }
}

/// Returns an ended session of a burst. Sessions come in pairs: the second of a pair ends one second after the first.
/// The next pair ends ten seconds later.
fn ended_session(number: u32) -> Session {
    Session {
        status: Status::Completed,
        ended: Some(noon() + TimeDelta::seconds(i64::from(number / 2 * 10 + number % 2))),
        ..running_session(&format!("s{number}"), noon(), MS(900_000))
    }
}
