//! What was observed of one session.

use std::sync::Arc;
use std::time::Duration;

use super::alert::Alert;
use super::input::RequestTiming;
use super::server_clock::{ServerClock, TimeInterval};
use super::timeline::Seq;
use super::traffic::{TrafficActivity, TrafficHistory};
use crate::clock::{Moment, Timestamp};
use crate::session::{ApiError, List, Phase, Session, SessionId, Status};
use crate::text::Untrusted;

/// Replies further apart than this are no watching: what lies between them, nobody saw.
pub const MAX_WATCHED_GAP: Duration = Duration::from_secs(60);

/// One session, from the first time that it was asked for or seen.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it was asked for by, or what a list called it.
    pub id: SessionId,
    /// Whether the reader named it: then it stays, whatever becomes of it.
    pub is_named: bool,
    /// Where it stands with the API.
    pub presence: Presence,
    /// The newest reply about it.
    pub session: Option<Session>,
    /// The first reply about it, the newest, and the newest that said it lives. A list is one reply about many.
    pub(super) first_response: Option<Arc<RequestTiming>>,
    pub(super) last_response: Option<Arc<RequestTiming>>,
    pub(super) last_alive: Option<Arc<RequestTiming>>,
    /// Its end, once a reply said so.
    pub ended: Option<Box<ObservedEnd>>,
    /// The newest poll of it alone failed, like this.
    pub failure_streak: Option<Box<FailureStreak>>,
    /// Its proxy's bytes, lately.
    pub traffic: TrafficHistory,
    /// Whether they move.
    pub traffic_activity: TrafficActivity,
    /// How many replies about it came.
    pub responses: u64,
    /// The longest time between two of them, from the sending of the one to the coming of the next.
    pub longest_gap: Duration,
    /// For how long replies about it came at most [`MAX_WATCHED_GAP`] apart.
    pub watched_for: Duration,
    /// What it is flagged for, and the event of each.
    pub alerts: Vec<(Alert, Seq)>,
    /// Its release, if that was asked for from here.
    pub release: Option<Box<ReleaseRequest>>,
    /// The session with the same metadata that appeared after its end.
    pub successor: Option<SessionId>,
    /// Whose it is, from its metadata.
    pub owner: Option<Untrusted>,
    /// Whether its newest reply was of a list.
    pub(super) is_from_list: bool,
    /// The newest list that had it, by its number.
    pub(super) last_list_number: u64,
    /// Whether it was counted among the short ones: once, however often the API changes its mind.
    pub(super) is_counted_as_short: bool,
    /// The flags of its end that were raised before, with their events: an end that is taken back and said again is no
    /// new one.
    pub(super) raised_end_alerts: Vec<(Alert, Seq)>,
    /// Whether its being overdue was told.
    pub(super) is_overdue: bool,
    /// When it will next be flagged if nothing happens, on the server's clock.
    pub(super) deadline: Option<Timestamp>,
}

/// Where a session stands with the API.
#[derive(Clone, Debug, PartialEq)]
pub enum Presence {
    /// No reply yet.
    NoResponseYet,
    /// Its newest reply holds.
    Present,
    /// The list lacks it; it is being asked for by its id.
    Unlisted {
        /// When the list came that lacked it.
        since: Moment,
        /// Whether a reply to its id has since said that it lives.
        confirmed: bool,
    },
    /// The API does not know it.
    NotFound(Box<NotFoundSince>),
}

/// Since when the API does not know a session.
#[derive(Clone, Debug, PartialEq)]
pub struct NotFoundSince {
    /// The first reply that said so, in a row.
    pub since: RequestTiming,
    /// Its words.
    pub error: ApiError,
    /// When it will be asked again.
    pub next: Option<Moment>,
}

/// An end, as far as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedEnd {
    /// Between when and when it ended, on the server's clock.
    pub when: TimeInterval,
    /// Whether `endedAt` lies between the last reply before and the first after, and so narrows them.
    pub ended_at_fits: bool,
    /// The two replies around it, as wide as the server's clock is uncertain; `None` if it had ended before it was first
    /// seen.
    pub observed_between: Option<TimeInterval>,
    /// The first reply that said so.
    pub first_response: RequestTiming,
}

/// A release that was asked for from here. The asking is certain; whether the session ends by it is not.
#[derive(Clone, Debug, PartialEq)]
pub struct ReleaseRequest {
    /// When.
    pub requested_at: Moment,
    /// The API did not take it, for this reason; and when it will be asked again.
    pub failure: Option<(ApiError, Option<Moment>)>,
}

/// Polls that fail, of one session or of all.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureStreak {
    /// The first try of the row.
    pub since: RequestTiming,
    /// The newest try.
    pub at: RequestTiming,
    /// Why.
    pub error: ApiError,
    /// The list that alone fails; `None` where one session does, or everything.
    pub list: Option<List>,
    /// How many in a row.
    pub count: u32,
    /// When it will be tried again.
    pub next: Option<Moment>,
}

impl FailureStreak {
    /// What fails, and why.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self.list {
            Some(list) => format!("{list}: {}", self.error.description()),
            None => self.error.description(),
        }
    }
}

/// What is left of a session's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLeft {
    /// Nobody knows: nothing seen yet, no `expiresAt`, or the API does not know the session any more.
    Unknown,
    /// It is pending.
    Starting,
    /// So much, in whole seconds, at least one.
    Remaining(Duration),
    /// Nothing, and no reply since.
    Expiring,
    /// The newest reply, *sent* so many whole seconds after the expiry, at least one, still says that it lives.
    Overdue(Duration),
    /// It has ended.
    Ended,
}

impl Record {
    /// A record of which nothing is known but its id.
    #[must_use]
    pub fn new(id: SessionId, is_named: bool) -> Self {
        Self {
            id,
            is_named,
            presence: Presence::NoResponseYet,
            session: None,
            first_response: None,
            last_response: None,
            last_alive: None,
            ended: None,
            failure_streak: None,
            traffic: TrafficHistory::default(),
            traffic_activity: TrafficActivity::default(),
            responses: 0,
            longest_gap: Duration::ZERO,
            watched_for: Duration::ZERO,
            alerts: Vec::new(),
            release: None,
            successor: None,
            owner: None,
            is_from_list: false,
            last_list_number: 0,
            is_counted_as_short: false,
            raised_end_alerts: Vec::new(),
            is_overdue: false,
            deadline: None,
        }
    }

    /// The first reply about it.
    #[must_use]
    pub fn first(&self) -> Option<RequestTiming> {
        self.first_response.as_deref().copied()
    }

    /// The newest reply about it.
    #[must_use]
    pub fn last(&self) -> Option<RequestTiming> {
        self.last_response.as_deref().copied()
    }

    /// The newest reply that said it lives.
    #[must_use]
    pub fn last_alive(&self) -> Option<RequestTiming> {
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
    pub fn is_not_found(&self) -> bool {
        matches!(self.presence, Presence::NotFound(_))
    }

    /// Whether it will not be asked for again.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_final) || self.is_not_found() && !self.is_named
    }

    /// What is left at `now`, the server's time. All sessions floor on the same second, so that the texts of all
    /// change together: what counts is the difference of whole seconds.
    #[must_use]
    pub fn time_left(&self, clock: &ServerClock, now: Timestamp) -> TimeLeft {
        let Some(session) = &self.session else { return TimeLeft::Unknown };
        match session.status.phase() {
            Phase::Ended => return TimeLeft::Ended,
            Phase::Alive if session.status == Status::Pending && !self.is_not_found() => {
                return TimeLeft::Starting;
            }
            Phase::Alive | Phase::Unknown => {}
        }
        let Some(expires) = session.expires.filter(|_| !self.is_not_found()) else {
            return TimeLeft::Unknown;
        };
        // Overdue is what the newest reply was: how long the session went on after it, nobody knows.
        let sent = self.last().map(|last| clock.earliest(last.sent)).filter(|sent| *sent > expires);
        if let Some(sent) = sent {
            let by = sent.signed_duration_since(expires).to_std().unwrap_or_default();
            return TimeLeft::Overdue(Duration::from_secs(by.as_secs().max(1)));
        }
        let seconds = expires.timestamp().saturating_sub(now.timestamp());
        let by = Duration::from_secs(seconds.unsigned_abs().max(1));
        match seconds {
            1.. => TimeLeft::Remaining(by),
            _ => TimeLeft::Expiring,
        }
    }

    /// Whether its release is under way: asked for, not refused, and it lives.
    #[must_use]
    pub fn is_releasing(&self) -> bool {
        let under_way =
            |release: &ReleaseRequest| release.failure.as_ref().is_none_or(|(_, next)| next.is_some());
        self.release.as_deref().is_some_and(under_way) && self.phase() != Phase::Ended && !self.is_not_found()
    }

    /// For how long certainly no byte went through its proxy, if any did before, and it lives.
    #[must_use]
    pub fn idle_for(&self) -> Option<Duration> {
        self.traffic_activity
            .idle_for(self.last_response.as_deref()?)
            .filter(|_| self.phase() == Phase::Alive && !self.is_not_found())
    }

    /// How long it has run at `now`, or ran; `None` where its times do not say, and while the API does not know it.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        let session = self.session.as_ref()?;
        let started = session.started.or(session.created)?;
        let until = match session.status.phase() {
            Phase::Ended => self.ended_at()?,
            Phase::Alive | Phase::Unknown if self.is_not_found() => return None,
            Phase::Alive | Phase::Unknown => now,
        };
        u64::try_from(until.timestamp().saturating_sub(started.timestamp())).ok().map(Duration::from_secs)
    }

    /// When it ended: as the API says, if that can be, else by when it was seen.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        let ended = self.ended.as_ref()?;
        let said = self.session.as_ref().and_then(|session| session.ended).filter(|_| ended.ended_at_fits);
        said.or_else(|| self.last_alive.as_ref().map(|_| ended.when.latest))
    }

    /// Whether [`Record::ended_at`] is the end itself, and not only the latest that it can be.
    #[must_use]
    pub fn is_end_exact(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.ended_at_fits)
            && self.session.as_ref().is_some_and(|session| session.ended.is_some())
    }

    /// How long it ran before it ended; at most, where its end is not exact.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
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

mod update;
pub use update::Change;
pub(super) use update::SessionResponse;
#[cfg(test)]
mod tests;
