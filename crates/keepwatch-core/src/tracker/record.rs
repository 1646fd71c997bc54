//! What was observed of one session.

use std::sync::Arc;
use std::time::Duration;

use super::bounds::{ServerClock, When};
use super::flag::Flag;
use super::history::{Flow, Traffic};
use super::input::Exchange;
use super::timeline::Seq;
use crate::clock::{Moment, Timestamp};
use crate::session::{ApiError, List, Phase, Session, SessionId, Status};
use crate::text::Untrusted;

/// Replies further apart than this are no watching: what lies between them, nobody saw.
pub const WATCHED: Duration = Duration::from_secs(60);

/// One session, from the first time that it was asked for or seen.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it was asked for by, or what a list called it.
    pub id: SessionId,
    /// Whether the reader named it: then it stays, whatever becomes of it.
    pub asked_for: bool,
    /// Where it stands with the API.
    pub presence: Presence,
    /// The newest reply about it.
    pub session: Option<Session>,
    /// The first reply about it, the newest, and the newest that said it lives. A list is one reply about many.
    pub(super) first: Option<Arc<Exchange>>,
    pub(super) last: Option<Arc<Exchange>>,
    pub(super) last_alive: Option<Arc<Exchange>>,
    /// Its end, once a reply said so.
    pub ended: Option<Box<Ended>>,
    /// The newest poll of it alone failed, like this.
    pub failing: Option<Box<Failing>>,
    /// Its proxy's bytes, lately.
    pub traffic: Traffic,
    /// Whether they move.
    pub flow: Flow,
    /// How many replies about it came.
    pub replies: u64,
    /// The longest time between two of them, from the sending of the one to the coming of the next.
    pub longest_gap: Duration,
    /// For how long replies about it came at most [`WATCHED`] apart.
    pub watched: Duration,
    /// What it is flagged for, and the event of each.
    pub flags: Vec<(Flag, Seq)>,
    /// Its release, if that was asked for from here.
    pub release: Option<Box<Release>>,
    /// The session with the same metadata that appeared after its end.
    pub successor: Option<SessionId>,
    /// Whose it is, from its metadata.
    pub owner: Option<Untrusted>,
    /// Whether its newest reply was of a list.
    pub(super) from_list: bool,
    /// The newest list that had it, by its number.
    pub(super) listed: u64,
    /// Whether it was counted among the short ones: once, however often the API changes its mind.
    pub(super) counted_short: bool,
    /// The flags of its end that were raised before, with their events: an end that is taken back and said again is no
    /// new one.
    pub(super) raised: Vec<(Flag, Seq)>,
    /// Whether its being overdue was told.
    pub(super) overdue: bool,
    /// When it will next be flagged if nothing happens, on the server's clock.
    pub(super) deadline: Option<Timestamp>,
}

/// Where a session stands with the API.
#[derive(Clone, Debug, PartialEq)]
pub enum Presence {
    /// No reply yet.
    Awaited,
    /// Its newest reply holds.
    Here,
    /// The list lacks it; it is being asked for by its id.
    Unlisted {
        /// When the list came that lacked it.
        since: Moment,
        /// Whether a reply to its id has since said that it lives.
        confirmed: bool,
    },
    /// The API does not know it.
    NotFound(Box<Absence>),
}

/// Since when the API does not know a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Absence {
    /// The first reply that said so, in a row.
    pub since: Exchange,
    /// Its words.
    pub fault: ApiError,
    /// When it will be asked again.
    pub next: Option<Moment>,
}

/// An end, as far as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Between when and when it ended, on the server's clock.
    pub when: When,
    /// Whether `endedAt` lies between the last reply before and the first after, and so narrows them.
    pub said_fits: bool,
    /// The two replies around it, as wide as the server's clock is uncertain; `None` if it had ended before it was first
    /// seen.
    pub watched: Option<When>,
    /// The first reply that said so.
    pub seen: Exchange,
}

/// A release that was asked for from here. The asking is certain; whether the session ends by it is not.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// When.
    pub asked: Moment,
    /// The API did not take it, for this reason; and when it will be asked again.
    pub failed: Option<(ApiError, Option<Moment>)>,
}

/// Polls that fail, of one session or of all.
#[derive(Clone, Debug, PartialEq)]
pub struct Failing {
    /// The first try of the row.
    pub since: Exchange,
    /// The newest try.
    pub at: Exchange,
    /// Why.
    pub fault: ApiError,
    /// The list that alone fails; `None` where one session does, or everything.
    pub list: Option<List>,
    /// How many in a row.
    pub count: u32,
    /// When it will be tried again.
    pub next: Option<Moment>,
}

impl Failing {
    /// What fails, and why.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self.list {
            Some(list) => format!("{list}: {}", self.fault.description()),
            None => self.fault.description(),
        }
    }
}

/// What is left of a session's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nobody knows: nothing seen yet, no `expiresAt`, or the API does not know the session any more.
    Unknown,
    /// It is pending.
    Starting,
    /// So much, in whole seconds, at least one.
    For(Duration),
    /// Nothing, and no reply since.
    Expiring,
    /// The newest reply, *sent* so many whole seconds after the expiry, at least one, still says that it lives.
    Overdue(Duration),
    /// It has ended.
    Over,
}

impl Record {
    /// A record of which nothing is known but its id.
    #[must_use]
    pub fn new(id: SessionId, asked_for: bool) -> Self {
        Self {
            id,
            asked_for,
            presence: Presence::Awaited,
            session: None,
            first: None,
            last: None,
            last_alive: None,
            ended: None,
            failing: None,
            traffic: Traffic::default(),
            flow: Flow::default(),
            replies: 0,
            longest_gap: Duration::ZERO,
            watched: Duration::ZERO,
            flags: Vec::new(),
            release: None,
            successor: None,
            owner: None,
            from_list: false,
            listed: 0,
            counted_short: false,
            raised: Vec::new(),
            overdue: false,
            deadline: None,
        }
    }

    /// The first reply about it.
    #[must_use]
    pub fn first(&self) -> Option<Exchange> {
        self.first.as_deref().copied()
    }

    /// The newest reply about it.
    #[must_use]
    pub fn last(&self) -> Option<Exchange> {
        self.last.as_deref().copied()
    }

    /// The newest reply that said it lives.
    #[must_use]
    pub fn last_alive(&self) -> Option<Exchange> {
        self.last_alive.as_deref().copied()
    }

    /// The newest status.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        self.session.as_ref().map(|session| &session.status)
    }

    /// Whether it can still change, as far as is known.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.status().map_or(Phase::Unknown, Status::phase)
    }

    /// Whether the API does not know it, or no more.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self.presence, Presence::NotFound(_))
    }

    /// Whether it will not be asked for again.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_final) || self.is_absent() && !self.asked_for
    }

    /// What is left at `now`, the server's time. All sessions floor on the same second, so that the texts of all
    /// change together: what counts is the difference of whole seconds.
    #[must_use]
    pub fn left(&self, clock: &ServerClock, now: Timestamp) -> Left {
        let Some(session) = &self.session else { return Left::Unknown };
        match session.status.phase() {
            Phase::Ended => return Left::Over,
            Phase::Alive if session.status == Status::Pending && !self.is_absent() => return Left::Starting,
            Phase::Alive | Phase::Unknown => {}
        }
        let Some(expires) = session.expires.filter(|_| !self.is_absent()) else { return Left::Unknown };
        // Overdue is what the newest reply was: how long the session went on after it, nobody knows.
        let sent = self.last().map(|last| clock.earliest(last.sent)).filter(|sent| *sent > expires);
        if let Some(sent) = sent {
            let by = sent.signed_duration_since(expires).to_std().unwrap_or_default();
            return Left::Overdue(Duration::from_secs(by.as_secs().max(1)));
        }
        let seconds = expires.timestamp().saturating_sub(now.timestamp());
        let by = Duration::from_secs(seconds.unsigned_abs().max(1));
        match seconds {
            1.. => Left::For(by),
            _ => Left::Expiring,
        }
    }

    /// Whether its release is under way: asked for, not refused, and it lives.
    #[must_use]
    pub fn is_releasing(&self) -> bool {
        let under_way = |release: &Release| release.failed.as_ref().is_none_or(|(_, next)| next.is_some());
        self.release.as_deref().is_some_and(under_way) && self.phase() != Phase::Ended && !self.is_absent()
    }

    /// For how long certainly no byte went through its proxy, if any did before, and it lives.
    #[must_use]
    pub fn quiet(&self) -> Option<Duration> {
        self.flow.quiet(self.last.as_deref()?).filter(|_| self.phase() == Phase::Alive && !self.is_absent())
    }

    /// How long it has run at `now`, or ran; `None` where its times do not say, and while the API does not know it.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        let session = self.session.as_ref()?;
        let started = session.started.or(session.created)?;
        let until = match session.status.phase() {
            Phase::Ended => self.ended_at()?,
            Phase::Alive | Phase::Unknown if self.is_absent() => return None,
            Phase::Alive | Phase::Unknown => now,
        };
        u64::try_from(until.timestamp().saturating_sub(started.timestamp())).ok().map(Duration::from_secs)
    }

    /// When it ended: as the API says, if that can be, else by when it was seen.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        let ended = self.ended.as_ref()?;
        let said = self.session.as_ref().and_then(|session| session.ended).filter(|_| ended.said_fits);
        said.or_else(|| self.last_alive.as_ref().map(|_| ended.when.latest))
    }

    /// Whether [`Record::ended_at`] is the end itself, and not only the latest that it can be.
    #[must_use]
    pub fn is_end_exact(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.said_fits)
            && self.session.as_ref().is_some_and(|session| session.ended.is_some())
    }

    /// How long it ran before it ended; at most, where its end is not exact.
    #[must_use]
    pub fn ran(&self) -> Option<Duration> {
        let started = self.session.as_ref()?.started?;
        self.ended_at()?.signed_duration_since(started).to_std().ok()
    }

    /// What was left of its timeout when it ended; at least, where its end is not exact.
    #[must_use]
    pub fn unused(&self) -> Option<Duration> {
        let expires = self.session.as_ref()?.expires?;
        expires.signed_duration_since(self.ended_at()?).to_std().ok()
    }
}

mod take;
pub use take::Change;
pub(super) use take::Reply;
#[cfg(test)]
mod tests;
