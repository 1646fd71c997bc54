//! The record of one session: the newest response, its times, and everything derived from the responses so far.
//!
//! A record never requests anything and knows no other session.

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

/// Longest gap between two responses that still counts as watching the session.
pub const MAX_WATCHED_GAP: Duration = Duration::from_secs(60);

/// The state of one session, from the moment it was named or first seen.
#[derive(Clone, Debug)]
pub struct Record {
    /// The id in the request, or in the list.
    pub id: SessionId,
    /// True if the user named the session. It is then never evicted.
    pub is_named: bool,
    /// Its presence in the API's responses.
    pub presence: Presence,
    /// The session in the newest response.
    pub session: Option<Session>,
    /// The first response about the session. The records of one list share its timing.
    pub(super) first_response: Option<Arc<RequestTiming>>,
    /// The newest response about the session.
    pub(super) last_response: Option<Arc<RequestTiming>>,
    /// The newest response in which the session had not ended.
    pub(super) last_alive: Option<Arc<RequestTiming>>,
    /// Its end, once a response reported it.
    pub ended: Option<Box<ObservedEnd>>,
    /// The current failures of polls for this session alone.
    pub failure_streak: Option<Box<FailureStreak>>,
    /// Its recent proxy traffic.
    pub traffic: TrafficHistory,
    /// The state of its proxy traffic: moving or stopped.
    pub traffic_activity: TrafficActivity,
    /// The number of responses about the session.
    pub responses: u64,
    /// The longest gap between two responses, from sending one request to receiving the next response.
    pub longest_gap: Duration,
    /// Total time in which responses were at most [`MAX_WATCHED_GAP`] apart.
    pub watched_for: Duration,
    /// Its current alerts, each with the event that raised it.
    pub alerts: Vec<(Alert, Seq)>,
    /// Its release, if the user requested it.
    pub release: Option<Box<ReleaseRequest>>,
    /// Its successor: a session with the same metadata that was created after its end.
    pub successor: Option<SessionId>,
    /// Its owner, from its metadata.
    pub owner: Option<Untrusted>,
    /// True if its newest response was a list.
    pub(super) is_from_list: bool,
    /// The number of the newest list that contained it.
    pub(super) last_list_number: u64,
    /// True if it was counted as a short session. This happens once, even if the API retracts and repeats its end.
    pub(super) is_counted_as_short: bool,
    /// All end alerts that were ever raised, with their events. They are not raised again if the API retracts and
    /// repeats the end.
    pub(super) raised_end_alerts: Vec<(Alert, Seq)>,
    /// True if it is overdue and the event for it was recorded.
    pub(super) is_overdue: bool,
    /// The time of its next alert if nothing changes before, on the server's clock.
    pub(super) deadline: Option<Timestamp>,
}

/// The presence of a session in the API's responses.
#[derive(Clone, Debug, PartialEq)]
pub enum Presence {
    /// No response about the session yet.
    NoResponseYet,
    /// The newest response is current.
    Present,
    /// The session is missing from its list. The poller requests it by its id.
    Unlisted {
        /// The receipt of the list that did not contain it.
        since: Moment,
        /// True if a request by its id has since shown that it has not ended.
        confirmed: bool,
    },
    /// The API does not know the session.
    NotFound(Box<NotFoundSince>),
}

/// The start and the error of a period in which the API does not know a session.
#[derive(Clone, Debug, PartialEq)]
pub struct NotFoundSince {
    /// The first response of this period.
    pub since: RequestTiming,
    /// The API's error.
    pub error: ApiError,
    /// The moment of the next poll.
    pub next: Option<Moment>,
}

/// The observed end of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedEnd {
    /// The bounds of the end, on the server's clock.
    pub when: TimeInterval,
    /// True if `endedAt` is between the last response before the end and the first one after. It then narrows `when`.
    pub ended_at_fits: bool,
    /// The interval between these two responses, widened by the uncertainty of the server clock. `None` if the session
    /// had ended before it was first seen.
    pub observed_between: Option<TimeInterval>,
    /// The first response that reported the end.
    pub first_response: RequestTiming,
}

/// A release that the user requested. The request is certain. It is not certain that it ends the session.
#[derive(Clone, Debug, PartialEq)]
pub struct ReleaseRequest {
    /// The moment of the request.
    pub requested_at: Moment,
    /// The error if the request failed, and the moment of the next try, if there is one.
    pub failure: Option<(ApiError, Option<Moment>)>,
}

/// Consecutive failed polls of one session, of a list, or of everything.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureStreak {
    /// The first failed poll.
    pub since: RequestTiming,
    /// The newest failed poll.
    pub at: RequestTiming,
    /// The newest error.
    pub error: ApiError,
    /// The list, if only this list fails. `None` if one session or everything fails.
    pub list: Option<List>,
    /// The number of consecutive failures.
    pub count: u32,
    /// The moment of the next try.
    pub next: Option<Moment>,
}

impl FailureStreak {
    /// Returns the failure as one sentence: the list, if any, and the error.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self.list {
            Some(list) => format!("{list}: {}", self.error.description()),
            None => self.error.description(),
        }
    }
}

/// The time left until a session expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLeft {
    /// Unknown: no response yet, no `expiresAt`, or the API no longer knows the session.
    Unknown,
    /// The session is pending.
    Starting,
    /// The time left, in whole seconds, at least one.
    Remaining(Duration),
    /// The time is over, and no request was sent since.
    Expiring,
    /// The session has not ended, although the newest request was *sent* this long after the expiry, in whole seconds,
    /// at least one.
    Overdue(Duration),
    /// The session has ended.
    Ended,
}

impl Record {
    /// Creates a record without any response.
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

    /// Returns the timing of the first response.
    #[must_use]
    pub fn first(&self) -> Option<RequestTiming> {
        self.first_response.as_deref().copied()
    }

    /// Returns the timing of the newest response.
    #[must_use]
    pub fn last(&self) -> Option<RequestTiming> {
        self.last_response.as_deref().copied()
    }

    /// Returns the timing of the newest response in which the session had not ended.
    #[must_use]
    pub fn last_alive(&self) -> Option<RequestTiming> {
        self.last_alive.as_deref().copied()
    }

    /// Returns the newest status.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        self.session.as_ref().map(|session| &session.status)
    }

    /// Returns the phase of its newest status.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.status().map_or(Phase::Unknown, Status::phase)
    }

    /// Returns true if the API does not know the session.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.presence, Presence::NotFound(_))
    }

    /// Returns true if the session is final, so the poller does not request it again.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_final) || self.is_not_found() && !self.is_named
    }

    /// Returns the time left at `now`, on the server's clock.
    ///
    /// It is the difference of whole seconds, so the countdowns of all sessions change together.
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
        // Measured up to the newest request: the session may have ended after it.
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

    /// Returns true if its release is in progress: requested, not failed for good, and the session has not ended.
    #[must_use]
    pub fn is_releasing(&self) -> bool {
        let is_in_progress =
            |release: &ReleaseRequest| release.failure.as_ref().is_none_or(|(_, next)| next.is_some());
        self.release.as_deref().is_some_and(is_in_progress)
            && self.phase() != Phase::Ended
            && !self.is_not_found()
    }

    /// Returns the time in which certainly no byte went through its proxy, or `None` if none ever did or the session is
    /// not alive.
    #[must_use]
    pub fn idle_for(&self) -> Option<Duration> {
        self.traffic_activity
            .idle_for(self.last_response.as_deref()?)
            .filter(|_| self.phase() == Phase::Alive && !self.is_not_found())
    }

    /// Returns the running time up to `now`, or up to the end. Returns `None` if its timestamps are missing, or if the
    /// API does not know the session.
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

    /// Returns the time of its end: `endedAt` if it fits, else the receipt of the first response that reported the end.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        let ended = self.ended.as_ref()?;
        let reported =
            self.session.as_ref().and_then(|session| session.ended).filter(|_| ended.ended_at_fits);
        reported.or_else(|| self.last_alive.as_ref().map(|_| ended.when.latest))
    }

    /// Returns true if [`Record::ended_at`] is the exact end, not just an upper bound.
    #[must_use]
    pub fn is_end_exact(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.ended_at_fits)
            && self.session.as_ref().is_some_and(|session| session.ended.is_some())
    }

    /// Returns the running time of an ended session. It is an upper bound if the end is not exact.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        let started = self.session.as_ref()?.started?;
        self.ended_at()?.signed_duration_since(started).to_std().ok()
    }

    /// Returns the time that was left until its expiry when it ended. It is a lower bound if the end is not exact.
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
