//! Which sessions are shown, and in which order. Worked out when data or wishes change, never while drawing.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

use super::filter::Filter;
use super::flags::KnownFlags;
use super::mute::Muted;
use crate::clock::Timestamp;
use crate::session::{Phase, SessionId, Status};
use crate::text;
use crate::watch::{Fleet, Presence, Record};

/// A column to sort by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// What ends next comes first; what has ended, last, the newest end first.
    #[default]
    Left,
    /// By the status' name.
    Status,
    /// By the id.
    Session,
    /// By whose it is.
    Owner,
    /// By the region.
    Region,
    /// The youngest first.
    Age,
    /// The most bytes first.
    Proxy,
}

impl SortBy {
    /// The column after this one, in the order of the screen.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Left => Self::Proxy,
            Self::Proxy => Self::Status,
            Self::Status => Self::Session,
            Self::Session => Self::Owner,
            Self::Owner => Self::Region,
            Self::Region => Self::Age,
            Self::Age => Self::Left,
        }
    }

    /// What it is called in a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Left => "time left",
            Self::Status => "status",
            Self::Session => "session",
            Self::Owner => "owner",
            Self::Region => "region",
            Self::Age => "age",
            Self::Proxy => "proxy bytes",
        }
    }
}

/// The order of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sort {
    /// By which column.
    pub by: SortBy,
    /// The other way round.
    pub reversed: bool,
}

/// How many sessions there are of each status, whether shown or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `RUNNING`
    pub running: usize,
    /// `PENDING`
    pub pending: usize,
    /// `COMPLETED`
    pub completed: usize,
    /// `TIMED_OUT`
    pub timed_out: usize,
    /// `ERROR`
    pub error: usize,
    /// A status that is not known.
    pub other: usize,
    /// A session that the API does not know, and of whose end nothing is known either.
    pub absent: usize,
    /// None yet: no reply about it came.
    pub waiting: usize,
    /// Of all of them, those with a flag that the reader does not know of.
    pub flagged: usize,
    /// Of all of them, those that are muted.
    pub muted: usize,
}

impl Counts {
    /// How many sessions in all.
    #[must_use]
    pub fn all(&self) -> usize {
        let ended = self.completed.saturating_add(self.timed_out).saturating_add(self.error);
        let others = self.other.saturating_add(self.absent).saturating_add(self.waiting);
        self.running.saturating_add(self.pending).saturating_add(ended).saturating_add(others)
    }
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The session.
    pub id: SessionId,
    /// How many columns of its id tell it from all others, 8 at least.
    pub id_columns: usize,
}

/// Which sessions the table shows.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// What each must have.
    pub filter: &'a Filter,
    /// Only those with flags that are not known.
    pub flagged_only: bool,
    /// Those that are hidden.
    pub muted: &'a Muted,
    /// The flags that are.
    pub known: &'a KnownFlags,
    /// The one that is being read, which stays while it is.
    pub read: Option<&'a SessionId>,
}

/// The rows of the table, in order.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    rows: Vec<Row>,
    places: HashMap<SessionId, usize>,
    counts: Counts,
    /// The living session that expires first, and when.
    next_end: Option<(Timestamp, SessionId)>,
}

impl Rows {
    /// The sessions of `fleet` that are chosen, sorted.
    #[must_use]
    pub fn of(fleet: &Fleet, sort: Sort, choice: &Choice<'_>) -> Self {
        let mut counts = Counts::default();
        let mut chosen: Vec<(&Record, Key<'_>)> = Vec::with_capacity(fleet.len());
        let mut next_end: Option<(Timestamp, &SessionId)> = None;
        for record in fleet.records() {
            count(&mut counts, record);
            if let Some(expires) = expiry(record)
                && next_end.is_none_or(|(soonest, id)| (expires, &record.id) < (soonest, id))
            {
                next_end = Some((expires, &record.id));
            }
            let muted = choice.muted.has(&record.id);
            counts.muted = counts.muted.saturating_add(usize::from(muted));
            let flagged = !muted && !record.flags.is_empty() && choice.known.has_news(record);
            counts.flagged = counts.flagged.saturating_add(usize::from(flagged));
            let wanted = !muted && (flagged || !choice.flagged_only) && choice.filter.takes(record);
            if wanted || choice.read == Some(&record.id) {
                chosen.push((record, key(record, sort.by)));
            }
        }
        chosen.sort_unstable_by(|(a, a_key), (b, b_key)| {
            let order = a_key.compare(b_key);
            let order = if sort.reversed { order.reverse() } else { order };
            order.then_with(|| a.id.cmp(&b.id)) // ties stay where they are: rows never jump
        });
        let ids: Vec<&str> = chosen.iter().map(|(record, _)| record.id.raw()).collect();
        let columns = text::shortest_unique(&ids);
        let rows: Vec<Row> = chosen
            .iter()
            .zip(columns)
            .map(|((record, _), id_columns)| Row { id: record.id.clone(), id_columns })
            .collect();
        let places = rows.iter().enumerate().map(|(place, row)| (row.id.clone(), place)).collect();
        let next_end = next_end.map(|(at, id)| (at, id.clone()));
        Self { rows, places, counts, next_end }
    }

    /// The row at `place`.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&Row> {
        self.rows.get(place)
    }

    /// Where a session stands.
    #[must_use]
    pub fn place(&self, id: &SessionId) -> Option<usize> {
        self.places.get(id).copied()
    }

    /// `count` rows from `top` on.
    pub fn window(&self, top: usize, count: usize) -> impl Iterator<Item = &Row> {
        self.rows.iter().skip(top).take(count)
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The living session that expires first, and when; shown or not.
    #[must_use]
    pub fn next_end(&self) -> Option<&(Timestamp, SessionId)> {
        self.next_end.as_ref()
    }

    /// How many sessions of each status there are, shown or not.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

/// When a session that takes a slot expires.
fn expiry(record: &Record) -> Option<Timestamp> {
    let takes_one = matches!(record.status(), Some(Status::Running | Status::Pending)) && !record.is_absent();
    record.session.as_ref()?.expires.filter(|_| takes_one)
}

fn count(counts: &mut Counts, record: &Record) {
    let known = record.status().filter(|_| !record.is_absent() || record.phase() == Phase::Ended);
    let place = match known {
        Some(Status::Running) => &mut counts.running,
        Some(Status::Pending) => &mut counts.pending,
        Some(Status::Completed) => &mut counts.completed,
        Some(Status::TimedOut) => &mut counts.timed_out,
        Some(Status::Error) => &mut counts.error,
        Some(Status::Other(_)) => &mut counts.other,
        None if record.is_absent() => &mut counts.absent,
        None => &mut counts.waiting,
    };
    *place = place.saturating_add(1);
}

/// What a row is sorted by. What does not depend on the time of day: the order of a countdown is that of its end.
enum Key<'a> {
    Left(u8, Option<Timestamp>, Reverse<Option<Timestamp>>),
    Text(Option<&'a str>),
    Newest(Reverse<Option<Timestamp>>),
    Most(Reverse<Option<i64>>),
}

impl Key<'_> {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Left(a, b, c), Self::Left(x, y, z)) => a.cmp(x).then(b.cmp(y)).then(c.cmp(z)),
            (Self::Text(a), Self::Text(b)) => a.is_none().cmp(&b.is_none()).then(a.cmp(b)),
            (Self::Newest(a), Self::Newest(b)) => a.cmp(b),
            (Self::Most(a), Self::Most(b)) => a.cmp(b),
            _ => Ordering::Equal,
        }
    }
}

fn key(record: &Record, by: SortBy) -> Key<'_> {
    let session = record.session.as_ref();
    match by {
        SortBy::Left => {
            let over = record.is_over();
            let group = match (&record.presence, session) {
                _ if over => 3,
                (Presence::NotFound { .. }, _) | (_, None) => 2,
                (_, Some(session)) if session.status == Status::Pending || session.expires.is_none() => 1,
                _ => 0,
            };
            let expires = session.and_then(|session| session.expires).filter(|_| group == 0);
            Key::Left(group, expires, Reverse(record.ended_at().filter(|_| over)))
        }
        SortBy::Status => Key::Text(session.map(|session| session.status.raw())),
        SortBy::Session => Key::Text(Some(record.id.raw())),
        SortBy::Owner => Key::Text(record.owner.as_ref().map(text::Untrusted::raw)),
        SortBy::Region => {
            Key::Text(session.and_then(|session| session.region.as_ref()).map(|region| region.raw()))
        }
        SortBy::Age => Key::Newest(Reverse(session.and_then(|session| session.started.or(session.created)))),
        SortBy::Proxy => Key::Most(Reverse(session.and_then(|session| session.proxy_bytes))),
    }
}

#[cfg(test)]
mod tests;
