//! How a session comes and goes: one of the ways that there are, and its times.

use std::time::Duration;

use super::super::chance::Chance;
use super::super::offset::{Offset, Span};
use super::super::session::{Cause, End, Ending, Session, Traffic, Window};
use super::{MINUTE, SECOND, odd};

/// Of sessions that state no timeout: the project's default.
const DEFAULT_TIMEOUT: i64 = 5 * MINUTE;
const HOUR: i64 = 60 * MINUTE;
const REGIONS: [&str; 4] = ["us-west-2", "us-east-1", "eu-central-1", "ap-southeast-1"];

/// A place that one session takes after the other.
#[derive(Debug)]
pub(super) struct Place<'b> {
    chance: Chance,
    /// When several sessions end at once.
    bulks: &'b [i64],
    /// When the session in it is gone; before the start, while there was none.
    pub(super) free: i64,
    is_new: bool,
}

/// The ways in which a session goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    /// `TIMED_OUT` at its expiry.
    #[default]
    TimesOut,
    /// The same, after hours.
    LivesLong,
    /// Its timeout, for which replies say `COMPLETED`.
    TimesOutQuietly,
    /// Without keep-alive: its client leaves, or somebody releases it.
    Leaves,
    /// With keep-alive, and before its expiry.
    EndsEarly,
    /// `ERROR`
    Fails,
    /// The same, before it started.
    FailsPending,
    /// Nobody ever connects.
    Unused,
    /// Over at the same moment as others.
    Bulk,
    /// It goes on after its expiry.
    Overdue,
    /// 404 while it lives.
    Vanishes,
    /// 404 soon after its end.
    VanishesEnded,
    /// Replies say of its end a word that nobody knows.
    EndsUnknown,
}

const FATES: &[(u64, Fate)] = &[
    (27, Fate::TimesOut),
    (2, Fate::LivesLong),
    (8, Fate::TimesOutQuietly),
    (16, Fate::Leaves),
    (13, Fate::EndsEarly),
    (10, Fate::Fails),
    (2, Fate::FailsPending),
    (5, Fate::Unused),
    (6, Fate::Bulk),
    (4, Fate::Overdue),
    // promise: seeded-chaos, mutant: (3, -> (4,
    (3, Fate::Vanishes),
    (3, Fate::VanishesEnded),
    (1, Fate::EndsUnknown),
];

/// What a fate comes to, in microseconds from the creation.
struct Course {
    /// `None` is the project's default.
    timeout: Option<i64>,
    /// If not at the timeout.
    end: Option<(i64, Ending, Cause)>,
    vanishes: Option<i64>,
    overdue: bool,
    /// `None` if either will do.
    keep_alive: Option<bool>,
}

impl Course {
    fn timeout(&self) -> i64 {
        self.timeout.unwrap_or(DEFAULT_TIMEOUT)
    }

    /// How long the API says that it lives.
    fn life(&self) -> i64 {
        let end = self.end.map_or(self.timeout(), |(end, _, _)| end);
        self.vanishes.map_or(end, |gone| gone.min(end))
    }
}

impl<'b> Place<'b> {
    pub(super) fn new(chance: Chance, bulks: &'b [i64]) -> Self {
        Self { chance, bulks, free: 0, is_new: true }
    }

    /// The session that takes the place next.
    pub(super) fn next_life(&mut self) -> Session {
        let chance = &mut self.chance;
        let fate = chance.weighted(FATES);
        let rest = chance.within(0..4 * SECOND);
        let mut created = self.free.saturating_add(rest);
        let course = course(fate, chance, created, self.bulks);
        let life = course.life();
        if std::mem::take(&mut self.is_new) {
            // At the start, sessions are of every age.
            created = chance.within((-life).saturating_add(SECOND)..0);
        }
        self.free = created.saturating_add(life);
        let id = chance.uuid();
        let mut session = session(chance, fate, &course, created);
        odd::put(chance, &mut session, created, life);
        Session { id: Some(id), ..session }
    }
}

fn course(fate: Fate, chance: &mut Chance, created: i64, bulks: &[i64]) -> Course {
    let timeouts: &[i64] = match fate {
        Fate::Overdue => &[1, 2],
        Fate::LivesLong => &[60, 120, 360],
        Fate::TimesOut | Fate::TimesOutQuietly | Fate::VanishesEnded => &[1, 2, 3, 5, 10, 15, 30],
        _ => &[30, 60, 360],
    };
    let timeout = chance.one_of(timeouts).saturating_mul(MINUTE);
    let early = chance.within(10 * SECOND..25 * MINUTE);
    let completed = |at, cause| Some((at, Ending::Completed, cause));
    let mut course =
        Course { timeout: Some(timeout), end: None, vanishes: None, overdue: false, keep_alive: None };
    match fate {
        Fate::TimesOut if chance.percent(20) => course.timeout = None,
        Fate::TimesOut | Fate::LivesLong => {}
        Fate::TimesOutQuietly => {
            let at = timeout.saturating_sub(chance.within(SECOND / 5..9 * SECOND / 2));
            course.end = completed(at, Cause::Timeout);
        }
        Fate::Leaves => {
            course.keep_alive = Some(false);
            course.end = completed(early, chance.one_of(&[Cause::Client, Cause::ReleasedElsewhere]));
        }
        Fate::EndsEarly => {
            course.keep_alive = Some(true);
            let causes = [Cause::Client, Cause::ReleasedElsewhere, Cause::Platform];
            course.end = completed(early, chance.one_of(&causes));
        }
        Fate::Fails => course.end = Some((early, Ending::Error, Cause::Failure)),
        Fate::FailsPending => {
            course.end = Some((chance.within(3 * SECOND..40 * SECOND), Ending::Error, Cause::Failure));
        }
        Fate::Unused => {
            course.keep_alive = Some(false);
            let at = DEFAULT_TIMEOUT.saturating_add(chance.within(-SECOND..5 * SECOND));
            course.end = completed(at, Cause::Unused);
        }
        Fate::Bulk => {
            let least = created.saturating_add(20 * SECOND);
            let next = bulks.iter().copied().find(|at| least <= *at).unwrap_or(least);
            let at = next.saturating_sub(created).saturating_add(chance.within(0..3 * SECOND / 2));
            course.end = completed(at, Cause::Platform);
        }
        Fate::Overdue => {
            course.overdue = true;
            let status = chance.one_of(&[Ending::Completed, Ending::Error, Ending::TimedOut]);
            let at = timeout.saturating_add(chance.within(15 * SECOND..90 * SECOND));
            course.end = Some((at, status, Cause::Platform));
        }
        Fate::Vanishes => course.vanishes = Some(early),
        Fate::VanishesEnded => {
            course.vanishes = Some(timeout.saturating_add(chance.within(SECOND..20 * SECOND)));
        }
        Fate::EndsUnknown => {
            course.end = completed(early, Cause::Platform);
            course.vanishes = Some(early.saturating_add(chance.within(MINUTE..3 * MINUTE)));
        }
    }
    course
}

fn session(chance: &mut Chance, fate: Fate, course: &Course, created: i64) -> Session {
    let at = |after: i64| Offset::from_micros(created.saturating_add(after));
    let pending = match fate {
        Fate::FailsPending => HOUR,
        _ => chance.weighted(&[(60, 0), (30, SECOND), (8, 8 * SECOND), (2, 40 * SECOND)]),
    };
    let keep_alive = chance.percent(50);
    let talks = !matches!(fate, Fate::Unused | Fate::FailsPending) && chance.percent(55);
    let mut session = Session {
        appears: Offset::from_micros(created.max(0)),
        created: Some(at(0)),
        starts: (pending > 0).then(|| at(pending)),
        timeout: course.timeout.map(|timeout| Span(Offset::from_micros(timeout).length())),
        keep_alive: course.keep_alive.unwrap_or(keep_alive),
        region: Some(chance.one_of(&REGIONS).to_owned()),
        metadata: odd::metadata(chance),
        proxy: if talks { vec![traffic(chance, created, course.life())] } else { Vec::new() },
        ends: course.end.map(|(after, status, cause)| End::new(at(after), status).by(cause)),
        overdue: course.overdue,
        vanishes: course.vanishes.map(at),
        ..Session::default()
    };
    if fate == Fate::EndsUnknown {
        session.says.push(odd::unknown_end(at(course.life())));
    }
    if chance.percent(5) && course.life() > 40 * SECOND {
        let from = chance.within(SECOND..course.life().saturating_sub(30 * SECOND));
        let to = from.saturating_add(chance.within(5 * SECOND..25 * SECOND));
        session.unlisted = vec![Window { from: at(from), to: at(to) }];
    }
    session
}

/// All the time, for a while, or as it comes and goes.
fn traffic(chance: &mut Chance, created: i64, life: i64) -> Traffic {
    let from = created.saturating_add(chance.within(0..(life / 2).max(1)));
    let until = from.saturating_add(chance.within(0..life.max(1)));
    let wave = Duration::from_secs(chance.below(110).saturating_add(10));
    Traffic {
        from: Offset::from_micros(from),
        to: if chance.percent(60) { Offset::NEVER } else { Offset::from_micros(until) },
        bytes_per_second: u32::try_from(chance.within(200..60_000)).unwrap_or(200),
        wave: chance.percent(50).then_some(Span(wave)),
    }
}
