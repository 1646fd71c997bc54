//! The record of one session: the newest response, its times, and all that the tracker derived from earlier ones.
//!
//! A record never sends a request and knows no other session.

use std::sync::Arc;
use std::time::Duration;

use self::contradictions::Contradictions;
use super::alert::{Alert, RaisedAlert};
use super::input::RequestTiming;
use super::server_clock::{ServerClock, TimeInterval};
use super::traffic::{TrafficActivity, TrafficHistory};
use super::verdict::NEAR_EXPIRY;
use crate::clients::KnownClient;
use crate::clock::{Moment, Timestamp};
use crate::session::{ApiError, List, Phase, Session, SessionId, Status};
use crate::text::Untrusted;

/// The maximum gap between two responses that counts as time in which the session was watched.
pub const MAX_WATCHED_GAP: Duration = Duration::from_secs(60);

/// The state of one session, from the moment it was named or first seen.
#[derive(Clone, Debug)]
pub struct Record {
    /// The id in the request or in the list. The response to a request for one session may carry another id.
    pub id: SessionId,
    /// True if the user named the session. It is then never evicted.
    pub is_named: bool,
    /// The session's presence in the API's responses: present, unlisted or not found.
    pub presence: Presence,
    /// The session in the newest response.
    pub session: Option<Session>,
    /// The timing of the first response about the session. Records of sessions from one list share this allocation.
    pub(super) first_response: Option<Arc<RequestTiming>>,
    /// The timing of the newest response about the session.
    pub(super) last_response: Option<Arc<RequestTiming>>,
    /// The timing of the newest response in which the session had not ended.
    pub(super) last_alive: Option<Arc<RequestTiming>>,
    /// The session's end, once a response has reported it. `None` again if a later response retracts the end.
    pub ended: Option<Box<ObservedEnd>>,
    /// The current failures of polls that request this session alone.
    pub failure_streak: Option<Box<FailureStreak>>,
    /// The recent proxy traffic of the session.
    pub traffic: TrafficHistory,
    /// The state of the proxy traffic: moving or not.
    pub traffic_activity: TrafficActivity,
    /// The number of responses about the session.
    pub responses: u64,
    /// The longest gap between two consecutive responses. A gap lasts from the sending of one request to the receipt of
    /// the next response.
    pub longest_gap: Duration,
    /// The total time between consecutive responses, without gaps longer than [`MAX_WATCHED_GAP`].
    pub watched_for: Duration,
    /// The session's current alerts, each with the event that raised it.
    pub alerts: Vec<RaisedAlert>,
    /// The release of the session, if the user requested a release.
    pub release: Option<Box<ReleaseRequest>>,
    /// The session's successor: a session with the same metadata that was created after the end of this one.
    pub successor: Option<SessionId>,
    /// The session's owner, from its metadata.
    pub owner: Option<Untrusted>,
    /// The client that created the session, from its metadata.
    pub client: Option<KnownClient>,
    /// True if the newest response about the session was a list.
    pub(super) is_from_list: bool,
    /// The sequence number of the newest list that contained the session.
    pub(super) last_list_number: u64,
    /// True if the session's running time was passed to [`ShortSessions::add`](super::cost::ShortSessions::add), which
    /// counts the short sessions. This happens once, even if the API retracts and repeats the end.
    pub(super) is_checked_for_short: bool,
    /// All incidents that were ever raised about the session. If the API retracts and repeats the end, the alerts keep
    /// their events. An incident that expired is not raised again.
    pub(super) raised_incidents: Vec<RaisedAlert>,
    /// The number of the alert rule that matches the session, if any.
    pub(super) alert_rule: Option<usize>,
    /// True if the session ended together with sessions of other owners, which chance does not explain.
    pub(super) ended_with_other_owners: bool,
    /// The session's recent versions, if it changed recently.
    contradictions: Option<Box<Contradictions>>,
    /// True if the session is overdue. The event for that has been recorded.
    pub(super) is_overdue: bool,
    /// The time, on the server's clock, at which the session's alerts must be recomputed even without a response.
    pub(super) deadline: Option<Timestamp>,
}

/// The presence of a session in the API's responses.
#[derive(Clone, Debug, PartialEq)]
pub enum Presence {
    /// No response about the session yet.
    NoResponseYet,
    /// The newest response contains the session, and no later list or 404 contradicts that response.
    Present,
    /// The session is missing from the list of its status. The poller requests the session by its id.
    Unlisted {
        /// The receipt of the list that did not contain the session.
        since: Moment,
        /// True if a later request by its id has shown that the session has not ended.
        confirmed: bool,
    },
    /// The API does not know the session.
    NotFound(Box<NotFoundSince>),
}

/// The start and the newest error of a period in which the API does not know a session.
#[derive(Clone, Debug, PartialEq)]
pub struct NotFoundSince {
    /// The times of the first 404 or 410 of this period.
    pub since: RequestTiming,
    /// The API's newest error.
    pub error: ApiError,
    /// The moment of the next poll.
    pub next: Option<Moment>,
}

/// The observed end of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedEnd {
    /// The bounds of the end on the server's clock. Both are `endedAt` if that fits.
    pub when: TimeInterval,
    /// True if `endedAt` is not before the start, and between the last response that shows the session alive and the
    /// first one that shows it ended.
    pub ended_at_fits: bool,
    /// The interval of the end: between the two responses of `ended_at_fits`, widened by the uncertainty of the server
    /// clock. `None` if no response shows the session alive.
    pub end_interval: Option<TimeInterval>,
    /// The first response that reported the end.
    pub first_response: RequestTiming,
}

/// A release that the user requested. It is not certain that the release ends the session.
#[derive(Clone, Debug, PartialEq)]
pub struct ReleaseRequest {
    /// The moment at which the user requested the release.
    pub requested_at: Moment,
    /// The error of the HTTP request, if it failed, and the moment of the retry. The moment is `None` if keepwatch gave
    /// up.
    pub failure: Option<(ApiError, Option<Moment>)>,
}

/// Consecutive failed polls of one session or of one list, or consecutive failures that affect all polls.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureStreak {
    /// The times of the first failed poll.
    pub first_failure: RequestTiming,
    /// The times of the newest failed poll.
    pub newest_failure: RequestTiming,
    /// The newest error.
    pub error: ApiError,
    /// The list, if only polls of one list fail. `None` if polls of one session or all polls fail.
    pub list: Option<List>,
    /// The number of consecutive failures. Polls that are in flight together count as one.
    pub count: u32,
    /// The moment of the retry.
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
    /// This much time is left, in whole seconds, at least one.
    Remaining(Duration),
    /// The expiry has passed, but there is no response yet to a request that was sent after it.
    Expiring,
    /// The newest response shows that the session has not ended, and its request was *sent* this long after the expiry,
    /// which is more than [`NEAR_EXPIRY`]. In whole seconds.
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
            client: None,
            is_from_list: false,
            last_list_number: 0,
            is_checked_for_short: false,
            raised_incidents: Vec::new(),
            alert_rule: None,
            ended_with_other_owners: false,
            contradictions: None,
            is_overdue: false,
            deadline: None,
        }
    }

    /// Returns the timing of the first response.
    #[must_use]
    pub fn first_response(&self) -> Option<RequestTiming> {
        self.first_response.as_deref().copied()
    }

    /// Returns the timing of the newest response.
    #[must_use]
    pub fn last_response(&self) -> Option<RequestTiming> {
        self.last_response.as_deref().copied()
    }

    /// Returns the timing of the newest response in which the session had not ended.
    #[must_use]
    pub fn last_alive(&self) -> Option<RequestTiming> {
        self.last_alive.as_deref().copied()
    }

    /// Returns true if a response with this timing is stale: its request was sent before the request of the newest
    /// response, or before the first request of the current period in which the API does not know the session.
    #[must_use]
    pub(super) fn is_stale(&self, at: &RequestTiming) -> bool {
        let not_found_since = match &self.presence {
            Presence::NotFound(not_found) => Some(not_found.since),
            Presence::NoResponseYet | Presence::Present | Presence::Unlisted { .. } => None,
        };
        self.last_response().into_iter().chain(not_found_since).any(|known| at.sent.mono < known.sent.mono)
    }

    /// Returns the newest status.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        self.session.as_ref().map(|session| &session.status)
    }

    /// Returns the phase of the newest status.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.status().map_or(Phase::Unknown, Status::phase)
    }

    /// Returns the context of the session, if the session runs with a context. A session that is missing from its list
    /// counts as running only once a request by its id has confirmed it.
    pub(super) fn running_context(&self) -> Option<&Untrusted> {
        let is_confirmed = match &self.presence {
            Presence::Present | Presence::Unlisted { confirmed: true, .. } => true,
            Presence::Unlisted { confirmed: false, .. } | Presence::NoResponseYet | Presence::NotFound(_) => {
                false
            }
        };
        let session =
            self.session.as_ref().filter(|session| is_confirmed && session.status == Status::Running)?;
        session.context.as_ref().filter(|context| !context.is_empty())
    }

    /// Returns true while the responses about the session contradict each other: the session changes back and forth.
    #[must_use]
    pub fn has_contradictory_responses(&self) -> bool {
        self.contradictions.as_ref().is_some_and(|contradictions| contradictions.is_ongoing())
    }

    /// Returns true if the API does not know the session.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.presence, Presence::NotFound(_))
    }

    /// Returns true if the session is running or pending, according to the newest response.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.phase() == Phase::Alive && !self.is_not_found()
    }

    /// Returns true if the session is running or pending although its expiry has passed.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.is_overdue && self.is_alive()
    }

    /// Returns true if the session has an incident: an alert that stays until the user acknowledges it.
    #[must_use]
    pub fn has_incident(&self) -> bool {
        self.alerts.iter().any(|raised| raised.alert.is_incident())
    }

    /// Returns the incident of this kind that was raised about the session before, if any.
    pub(super) fn raised_incident(&self, alert: Alert) -> Option<RaisedAlert> {
        self.raised_incidents.iter().copied().find(|raised| raised.alert == alert)
    }

    /// Returns true if the poller does not request the session again: the session has ended, or the API does not know
    /// it and the user did not name it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_final) || self.is_not_found() && !self.is_named
    }

    /// Returns the time left at `now`, on the server's clock.
    ///
    /// The expiry and `now` are rounded down to whole seconds before they are subtracted, so all countdowns change at
    /// the same moment.
    #[must_use]
    pub fn time_left(&self, clock: &ServerClock, now: Timestamp) -> TimeLeft {
        let Some(session) = &self.session else { return TimeLeft::Unknown };
        match session.status.phase() {
            Phase::Ended => return TimeLeft::Ended,
            Phase::Alive if session.status == Status::Pending && !self.is_not_found() && !self.is_overdue => {
                return TimeLeft::Starting;
            }
            Phase::Alive | Phase::Unknown => {}
        }
        let Some(expires) = session.expires.filter(|_| !self.is_not_found()) else {
            return TimeLeft::Unknown;
        };
        // The overrun counts only up to the newest request, because the session may have ended after that request.
        let sent = self.last_response().map(|last| clock.earliest(last.sent));
        if let Some(overrun) = sent.and_then(|sent| overrun(expires, sent)) {
            return TimeLeft::Overdue(Duration::from_secs(overrun.as_secs()));
        }
        match session.seconds_left(now) {
            Some(left) if !left.is_zero() => TimeLeft::Remaining(left),
            Some(_) | None => TimeLeft::Expiring,
        }
    }

    /// Returns true if the session's release is in progress: the user requested it, keepwatch has not given up, and the
    /// session has not ended.
    #[must_use]
    pub fn is_releasing(&self) -> bool {
        let is_in_progress =
            |release: &ReleaseRequest| release.failure.as_ref().is_none_or(|(_, next)| next.is_some());
        self.release.as_deref().is_some_and(is_in_progress)
            && self.phase() != Phase::Ended
            && !self.is_not_found()
    }

    /// Returns the time for which certainly no byte has gone through the session's proxy. Returns `None` if the newest
    /// response shows traffic, if there was no traffic before, or if the session is not alive.
    #[must_use]
    pub fn idle_for(&self) -> Option<Duration> {
        self.traffic_activity
            .idle_for(self.last_response.as_deref()?)
            .filter(|_| self.phase() == Phase::Alive && !self.is_not_found())
    }

    /// Returns the running time in whole seconds, up to `now` or to the end. Returns `None` if the timestamps for it
    /// are missing, if the start is after the end, or if the API no longer knows a session that had not ended.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        let session = self.session.as_ref()?;
        let started = session.started.or(session.created)?;
        let end = match session.status.phase() {
            Phase::Ended => self.ended_at()?,
            Phase::Alive | Phase::Unknown if self.is_not_found() => return None,
            Phase::Alive | Phase::Unknown => now,
        };
        u64::try_from(end.timestamp().saturating_sub(started.timestamp())).ok().map(Duration::from_secs)
    }

    /// Returns the time of the session's end: `endedAt` if that fits, otherwise the latest possible time. Returns
    /// `None` if the session has not ended, or if `endedAt` does not fit and no response shows the session alive.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        let ended = self.ended.as_ref()?;
        let reported =
            self.session.as_ref().and_then(|session| session.ended).filter(|_| ended.ended_at_fits);
        reported.or_else(|| self.last_alive.as_ref().map(|_| ended.when.latest))
    }

    /// Returns true if [`Record::ended_at`] is the API's `endedAt`, not just an upper bound.
    #[must_use]
    pub fn is_end_exact(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.ended_at_fits)
            && self.session.as_ref().is_some_and(|session| session.ended.is_some())
    }

    /// Returns the running time of a session that ended. It is an upper bound if the end is not exact.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        let started = self.session.as_ref()?.started?;
        self.ended_at()?.signed_duration_since(started).to_std().ok()
    }

    /// Returns the time that was left until the session's expiry when it ended. It is a lower bound if the end is not
    /// exact.
    #[must_use]
    pub fn unused(&self) -> Option<Duration> {
        let expires = self.session.as_ref()?.expires?;
        expires.signed_duration_since(self.ended_at()?).to_std().ok()
    }
}

/// Returns the time from the expiry to `sent`, the time of a request whose response shows the session alive. Returns
/// `None` up to [`NEAR_EXPIRY`] after the expiry: a healthy API may take some seconds to end a session.
fn overrun(expires: Timestamp, sent: Timestamp) -> Option<Duration> {
    let overrun = sent.signed_duration_since(expires).to_std().ok();
    overrun.filter(|overrun| *overrun > NEAR_EXPIRY)
}

mod contradictions;
mod update;
pub use update::Change;
pub(super) use update::SessionResponse;
#[cfg(test)]
mod tests;
