//! The sessions of `chaos`. A lane makes one session after another, each with a random outcome and schedule.
//!
//! ```text
//!   OUTCOME_WEIGHTS ──► SessionOutcome ──► SessionSchedule ──► ScenarioSession ──► anomalies::apply
//! ```
//!
//! The order of the draws from the generator is part of the scenario: another order changes what each seed gives.

use std::time::Duration;

use super::super::rng::SeededRng;
use super::super::scenario_session::{
    EndCause, FinalStatus, ProxyTraffic, ScenarioEnd, ScenarioSession, Window,
};
use super::super::scenario_time::{HumanDuration, Offset};
use super::{MINUTE, SECOND, anomalies};

/// The default timeout of the simulator's project.
const DEFAULT_TIMEOUT: i64 = 5 * MINUTE;
const HOUR: i64 = 60 * MINUTE;
const REGIONS: [&str; 4] = ["us-west-2", "us-east-1", "eu-central-1", "ap-southeast-1"];

/// A generator of sessions that live one after another.
#[derive(Debug)]
pub(super) struct SessionLane<'b> {
    rng: SeededRng,
    /// The times at which sessions of several lanes end together, in ascending order.
    bulk_end_times: &'b [i64],
    /// The end of the latest session, after which the next one is created.
    pub(super) free_at: i64,
    /// True if the lane has made no session yet.
    is_empty: bool,
}

/// The ways in which a session can end or vanish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SessionOutcome {
    /// `TIMED_OUT` at its expiry.
    #[default]
    TimesOut,
    /// `TIMED_OUT` after one hour or more.
    LivesLong,
    /// `COMPLETED` shortly before its expiry, because of its timeout.
    TimesOutAsCompleted,
    /// `COMPLETED` without keep-alive: the browser client leaves, or another program releases the session.
    ClientLeaves,
    /// `COMPLETED` with keep-alive, before its expiry.
    EndsEarly,
    /// `ERROR`, usually after it started.
    Fails,
    /// `ERROR` before it started.
    FailsWhilePending,
    /// `COMPLETED` without keep-alive, because no browser client ever connected.
    Unused,
    /// `COMPLETED` together with sessions of other lanes.
    EndsInBulk,
    /// Alive after its expiry, then an end with any status.
    Overdue,
    /// 404 although it has not ended.
    Vanishes,
    /// `TIMED_OUT` at its expiry, and 404 soon after.
    VanishesAfterTimeout,
    /// An end with a status that the API does not document, and 404 minutes later.
    EndsWithUnknownStatus,
}

/// The probability of each outcome, in percent.
const OUTCOME_WEIGHTS: &[(u64, SessionOutcome)] = &[
    (27, SessionOutcome::TimesOut),
    (2, SessionOutcome::LivesLong),
    (8, SessionOutcome::TimesOutAsCompleted),
    (16, SessionOutcome::ClientLeaves),
    (13, SessionOutcome::EndsEarly),
    (10, SessionOutcome::Fails),
    (2, SessionOutcome::FailsWhilePending),
    (5, SessionOutcome::Unused),
    (6, SessionOutcome::EndsInBulk),
    (4, SessionOutcome::Overdue),
    // promise: seeded-chaos, mutant: (3, -> (4,
    (3, SessionOutcome::Vanishes),
    (3, SessionOutcome::VanishesAfterTimeout),
    (1, SessionOutcome::EndsWithUnknownStatus),
];

/// The times of an outcome, counted from the creation.
struct SessionSchedule {
    /// The timeout. `None` means the project's default.
    timeout: Option<i64>,
    /// The time, status and cause of the end. `None` means `TIMED_OUT` at the timeout.
    end: Option<(i64, FinalStatus, EndCause)>,
    /// The time from which the API answers 404. `None` means never.
    vanishes_at: Option<i64>,
    /// True if the session stays alive after its expiry.
    is_overdue: bool,
    /// The value of keep-alive that the outcome requires. `None` means any.
    keep_alive: Option<bool>,
}

impl SessionSchedule {
    fn effective_timeout(&self) -> i64 {
        self.timeout.unwrap_or(DEFAULT_TIMEOUT)
    }

    /// Returns the time for which the API reports the session as alive.
    fn lifetime(&self) -> i64 {
        let end = self.end.map_or(self.effective_timeout(), |(end, _, _)| end);
        self.vanishes_at.map_or(end, |vanishes_at| vanishes_at.min(end))
    }
}

impl<'b> SessionLane<'b> {
    pub(super) fn new(rng: SeededRng, bulk_end_times: &'b [i64]) -> Self {
        Self { rng, bulk_end_times, free_at: 0, is_empty: true }
    }

    /// Makes the next session of the lane.
    pub(super) fn next_session(&mut self) -> ScenarioSession {
        let rng = &mut self.rng;
        let outcome = rng.choose_weighted(OUTCOME_WEIGHTS);
        let gap = rng.in_range(0..4 * SECOND);
        let mut created = self.free_at.saturating_add(gap);
        let schedule = draw_schedule(outcome, rng, created, self.bulk_end_times);
        let lifetime = schedule.lifetime();
        if self.is_empty {
            self.is_empty = false;
            // The first session of each lane has a random age at the simulator's start.
            created = rng.in_range((-lifetime).saturating_add(SECOND)..0);
        }
        self.free_at = created.saturating_add(lifetime);
        let id = rng.uuid();
        let mut session = build_session(rng, outcome, &schedule, created);
        anomalies::apply(rng, &mut session, created, lifetime);
        ScenarioSession { id: Some(id), ..session }
    }
}

/// Chooses the schedule of a session at random. `created` matters only for a bulk end: the schedule is relative to the
/// creation, but the bulk end is the same for all lanes. The first session of a lane misses the bulk end, because
/// [`SessionLane::next_session`] afterwards moves the creation of that session to an earlier time.
fn draw_schedule(
    outcome: SessionOutcome,
    rng: &mut SeededRng,
    created: i64,
    bulk_end_times: &[i64],
) -> SessionSchedule {
    let timeout_minutes: &[i64] = match outcome {
        SessionOutcome::Overdue => &[1, 2],
        SessionOutcome::LivesLong => &[60, 120, 360],
        SessionOutcome::TimesOut
        | SessionOutcome::TimesOutAsCompleted
        | SessionOutcome::VanishesAfterTimeout => &[1, 2, 3, 5, 10, 15, 30],
        // The other outcomes end or vanish before these timeouts.
        _ => &[30, 60, 360],
    };
    let timeout = rng.choose(timeout_minutes).saturating_mul(MINUTE);
    let early_end = rng.in_range(10 * SECOND..25 * MINUTE);
    let completed_at = |at, cause| Some((at, FinalStatus::Completed, cause));
    let mut schedule = SessionSchedule {
        timeout: Some(timeout),
        end: None,
        vanishes_at: None,
        is_overdue: false,
        keep_alive: None,
    };
    match outcome {
        SessionOutcome::TimesOut if rng.percent_chance(20) => schedule.timeout = None,
        SessionOutcome::TimesOut | SessionOutcome::LivesLong => {}
        SessionOutcome::TimesOutAsCompleted => {
            // 0.2 s to 4.5 s before the expiry.
            let at = timeout.saturating_sub(rng.in_range(SECOND / 5..9 * SECOND / 2));
            schedule.end = completed_at(at, EndCause::Timeout);
        }
        SessionOutcome::ClientLeaves => {
            schedule.keep_alive = Some(false);
            schedule.end =
                completed_at(early_end, rng.choose(&[EndCause::Client, EndCause::ReleasedElsewhere]));
        }
        SessionOutcome::EndsEarly => {
            schedule.keep_alive = Some(true);
            let causes = [EndCause::Client, EndCause::ReleasedElsewhere, EndCause::Platform];
            schedule.end = completed_at(early_end, rng.choose(&causes));
        }
        SessionOutcome::Fails => schedule.end = Some((early_end, FinalStatus::Error, EndCause::Failure)),
        SessionOutcome::FailsWhilePending => {
            schedule.end =
                Some((rng.in_range(3 * SECOND..40 * SECOND), FinalStatus::Error, EndCause::Failure));
        }
        SessionOutcome::Unused => {
            schedule.keep_alive = Some(false);
            // An unused session ends after about five minutes, which is also the default timeout.
            let at = DEFAULT_TIMEOUT.saturating_add(rng.in_range(-SECOND..5 * SECOND));
            schedule.end = completed_at(at, EndCause::Unused);
        }
        SessionOutcome::EndsInBulk => {
            let earliest = created.saturating_add(20 * SECOND);
            let bulk_end = bulk_end_times.iter().copied().find(|at| earliest <= *at).unwrap_or(earliest);
            let at = bulk_end.saturating_sub(created).saturating_add(rng.in_range(0..3 * SECOND / 2));
            schedule.end = completed_at(at, EndCause::Platform);
        }
        SessionOutcome::Overdue => {
            schedule.is_overdue = true;
            let status = rng.choose(&[FinalStatus::Completed, FinalStatus::Error, FinalStatus::TimedOut]);
            let at = timeout.saturating_add(rng.in_range(15 * SECOND..90 * SECOND));
            schedule.end = Some((at, status, EndCause::Platform));
        }
        SessionOutcome::Vanishes => schedule.vanishes_at = Some(early_end),
        SessionOutcome::VanishesAfterTimeout => {
            schedule.vanishes_at = Some(timeout.saturating_add(rng.in_range(SECOND..20 * SECOND)));
        }
        SessionOutcome::EndsWithUnknownStatus => {
            schedule.end = completed_at(early_end, EndCause::Platform);
            schedule.vanishes_at = Some(early_end.saturating_add(rng.in_range(MINUTE..3 * MINUTE)));
        }
    }
    schedule
}

fn build_session(
    rng: &mut SeededRng,
    outcome: SessionOutcome,
    schedule: &SessionSchedule,
    created: i64,
) -> ScenarioSession {
    let at = |age: i64| Offset::from_micros(created.saturating_add(age));
    let pending_time = match outcome {
        SessionOutcome::FailsWhilePending => HOUR, // longer than the session lives
        _ => rng.choose_weighted(&[(60, 0), (30, SECOND), (8, 8 * SECOND), (2, 40 * SECOND)]),
    };
    let keep_alive = rng.percent_chance(50);
    let has_traffic = !matches!(outcome, SessionOutcome::Unused | SessionOutcome::FailsWhilePending)
        && rng.percent_chance(55);
    let mut session = ScenarioSession {
        appears: Offset::from_micros(created.max(0)),
        created: Some(at(0)),
        starts: (pending_time > 0).then(|| at(pending_time)),
        timeout: schedule.timeout.map(|timeout| HumanDuration(Offset::from_micros(timeout).to_duration())),
        keep_alive: schedule.keep_alive.unwrap_or(keep_alive),
        region: Some(rng.choose(&REGIONS).to_owned()),
        metadata: anomalies::random_metadata(rng),
        proxy: if has_traffic { vec![random_traffic(rng, created, schedule.lifetime())] } else { Vec::new() },
        ends: schedule.end.map(|(age, status, cause)| ScenarioEnd::new(at(age), status).with_cause(cause)),
        overdue: schedule.is_overdue,
        vanishes: schedule.vanishes_at.map(at),
        ..ScenarioSession::default()
    };
    if outcome == SessionOutcome::EndsWithUnknownStatus {
        session.overrides.push(anomalies::unknown_status_override(at(schedule.lifetime())));
    }
    if rng.percent_chance(5) && schedule.lifetime() > 40 * SECOND {
        let from = rng.in_range(SECOND..schedule.lifetime().saturating_sub(30 * SECOND));
        let to = from.saturating_add(rng.in_range(5 * SECOND..25 * SECOND));
        session.unlisted = vec![Window { from: at(from), to: at(to) }];
    }
    session
}

/// Returns proxy traffic, steady or in waves. It begins at a random time, and ends at a random time or with the
/// session.
fn random_traffic(rng: &mut SeededRng, created: i64, lifetime: i64) -> ProxyTraffic {
    let from = created.saturating_add(rng.in_range(0..(lifetime / 2).max(1)));
    let to = from.saturating_add(rng.in_range(0..lifetime.max(1)));
    let wave_period = Duration::from_secs(rng.below(110).saturating_add(10));
    ProxyTraffic {
        from: Offset::from_micros(from),
        to: if rng.percent_chance(60) { Offset::NEVER } else { Offset::from_micros(to) },
        bytes_per_second: u32::try_from(rng.in_range(200..60_000)).unwrap_or(200),
        wave_period: rng.percent_chance(50).then_some(HumanDuration(wave_period)),
    }
}
