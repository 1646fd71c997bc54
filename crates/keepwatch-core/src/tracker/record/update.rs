//! Applies a response to a record, and returns the events that it causes.

use std::sync::Arc;
use std::time::Duration;

use super::{MAX_WATCHED_GAP, ObservedEnd, Presence, Record};
use crate::session::{MetadataPath, Phase, Session, Status};
use crate::tracker::diff;
use crate::tracker::event::EventKind;
use crate::tracker::input::RequestTiming;
use crate::tracker::server_clock::{ServerClock, TimeInterval};
use crate::tracker::traffic::TrafficEdge;

/// The times and the source of a response about a session, or of a run of identical responses.
#[derive(Clone, Debug)]
pub(in crate::tracker) struct SessionResponse {
    /// The times of the newest request.
    pub(in crate::tracker) at: Arc<RequestTiming>,
    /// True if the session was an element of a list.
    pub(in crate::tracker) is_from_list: bool,
    /// The number of responses in a run, and the longest gap between two of them. `None` for a single response.
    pub(in crate::tracker) repeats: Option<(u64, Duration)>,
}

/// The difference between a response and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change {
    /// No difference.
    #[default]
    None,
    /// Only `proxyBytes` or `updatedAt` differ.
    Bytes,
    /// Other fields differ, or this is the first response.
    Full,
}

/// The changes that a response caused.
#[derive(Debug, Default)]
pub(in crate::tracker) struct UpdateOutcome {
    /// The events, each with its time interval.
    pub(in crate::tracker) events: Vec<(TimeInterval, EventKind)>,
    /// True if this is the first response that reports the end.
    pub(in crate::tracker) is_newly_ended: bool,
    /// True if an earlier response reported an end and this one retracts it.
    pub(in crate::tracker) is_revived: bool,
    /// The difference from the response before it.
    pub(in crate::tracker) change: Change,
}

impl Record {
    /// Applies a response. Returns `None` if its request was sent before that of the newest response, which makes it
    /// stale.
    pub(in crate::tracker) fn apply_response(
        &mut self,
        response: SessionResponse,
        mut session: Session,
        clock: &ServerClock,
        owner_key: Option<&MetadataPath>,
    ) -> Option<UpdateOutcome> {
        let SessionResponse { at: timing, is_from_list: from_list, repeats } = response;
        let at = *timing;
        let not_found_since = match &self.presence {
            Presence::NotFound(not_found) => Some(not_found.since),
            Presence::NoResponseYet | Presence::Present | Presence::Unlisted { .. } => None,
        };
        if self.last().into_iter().chain(not_found_since).any(|newer| at.sent.mono < newer.sent.mono) {
            return None;
        }
        self.responses = self.responses.saturating_add(repeats.map_or(1, |(count, _)| count));
        let mut outcome = UpdateOutcome::default();
        let interval = TimeInterval::between(clock, self.last_response.as_deref(), &at);
        self.measure_gap(&at, repeats.map(|(_, longest)| longest));
        // A failure that affected all requests has one event for all sessions.
        if let Some(streak) = self.failure_streak.take().filter(|streak| !streak.error.affects_all_requests())
        {
            let after = at.received.since(streak.since.sent);
            outcome.events.push((
                TimeInterval::at(clock, at.received),
                EventKind::PollsRecovered { list: None, after },
            ));
        }
        let old = self.session.take();
        match &old {
            None => outcome
                .events
                .push((TimeInterval::between(clock, None, &at), first_seen_event(&session, at, clock))),
            Some(old) => self.detect_changes(old, &session, at, from_list, interval, clock, &mut outcome),
        }
        if session.status.phase() == Phase::Ended {
            self.record_end(&session, at, old.as_ref(), clock, &mut outcome);
        } else {
            outcome.is_revived = self.ended.take().is_some();
            self.last_alive = Some(timing.clone());
            self.update_overdue(&session, at, clock, &mut outcome);
        }
        self.update_presence(&session.status, old.as_ref(), at, from_list, clock, &mut outcome);
        self.update_traffic(&session, &timing, old.as_ref(), interval, clock, &mut outcome);
        // A list omits the connect fields, so the record keeps those of the last single response. Equal metadata shares
        // one allocation.
        session.connect = session.connect.or(old.as_ref().and_then(|old| old.connect));
        match old {
            Some(old) if old.metadata == session.metadata => {
                session.metadata.clone_from(&old.metadata);
                outcome.change = classify_change(&old, &session);
            }
            Some(_) | None => {
                outcome.change = Change::Full;
                self.owner = session.metadata.as_ref().and_then(|it| it.owner(owner_key));
            }
        }
        self.first_response.get_or_insert_with(|| timing.clone());
        (self.last_response, self.session, self.is_from_list) = (Some(timing), Some(session), from_list);
        Some(outcome)
    }

    /// Measures the gap since the response before. For a run of responses, `longest` is the longest gap between two of
    /// them.
    fn measure_gap(&mut self, at: &RequestTiming, longest: Option<Duration>) {
        let Some(last) = &self.last_response else { return };
        let gap = longest.unwrap_or_else(|| at.received.since(last.sent));
        self.longest_gap = self.longest_gap.max(gap);
        if gap <= MAX_WATCHED_GAP {
            self.watched_for = self.watched_for.saturating_add(at.received.since(last.received));
        }
    }

    fn update_traffic(
        &mut self,
        session: &Session,
        timing: &Arc<RequestTiming>,
        old: Option<&Session>,
        interval: TimeInterval,
        clock: &ServerClock,
        outcome: &mut UpdateOutcome,
    ) {
        let Some(bytes) = session.proxy_bytes else { return };
        self.traffic.observe(timing.received.boot, bytes);
        let before = old.and_then(|old| old.proxy_bytes);
        let edge =
            self.traffic_activity.observe(before, bytes, timing).filter(|_| !session.status.is_final());
        match edge {
            Some(TrafficEdge::Started) => outcome.events.push((interval, EventKind::TrafficStarted)),
            Some(TrafficEdge::Stopped) => {
                let between = self.traffic_activity.stopped_between();
                let when = between.map_or(interval, |(growth, unchanged)| {
                    TimeInterval::between(clock, Some(growth), unchanged)
                });
                outcome.events.push((when, EventKind::TrafficStopped { bytes }));
            }
            None => {}
        }
    }

    #[expect(clippy::too_many_arguments, reason = "two responses and their context")]
    fn detect_changes(
        &self,
        old: &Session,
        new: &Session,
        at: RequestTiming,
        from_list: bool,
        interval: TimeInterval,
        clock: &ServerClock,
        outcome: &mut UpdateOutcome,
    ) {
        let (from, to) = (&old.status, &new.status);
        if self.is_not_found() {
            outcome.events.push((TimeInterval::at(clock, at.received), EventKind::FoundAgain(to.clone())));
        }
        if from != to {
            let (from, to) = (from.clone(), to.clone());
            match (from.phase(), to.phase()) {
                (Phase::Ended, Phase::Alive | Phase::Unknown) => {
                    outcome.events.push((interval, EventKind::Contradicted { from, to }));
                }
                (Phase::Alive | Phase::Unknown, Phase::Ended) => {} // `record_end` adds the event
                _ => outcome.events.push((interval, EventKind::StatusChanged { from, to })),
            }
        }
        let changes = diff::diff_sessions(old, new, self.is_from_list == from_list);
        outcome.events.extend(changes.into_iter().map(|kind| (interval, kind)));
    }

    fn record_end(
        &mut self,
        session: &Session,
        at: RequestTiming,
        old: Option<&Session>,
        clock: &ServerClock,
        outcome: &mut UpdateOutcome,
    ) {
        self.is_overdue = false;
        if self.ended.is_some() {
            return;
        }
        let between = TimeInterval::between(clock, self.last_alive.as_deref(), &at);
        let wide = between.widened(clock.uncertainty());
        let observed_between = self.last_alive.as_ref().map(|_| wide);
        let plausible_ended_at =
            session.ended.filter(|at| session.started.is_none_or(|started| started <= *at));
        let (narrowed, ended_at_fits) = wide.clamp_to(plausible_ended_at);
        let when = if ended_at_fits { narrowed } else { between };
        self.ended =
            Some(Box::new(ObservedEnd { when, ended_at_fits, observed_between, first_response: at }));
        outcome.is_newly_ended = true;
        if let Some(old) = old {
            let was = old.status.clone();
            let kind = EventKind::Ended {
                status: session.status.clone(),
                ended_at: session.ended,
                ended_at_fits,
                last_alive: self.last_alive().map(|last| (clock.at(last.received), was)),
            };
            outcome.events.push((when, kind));
        }
    }

    fn update_overdue(
        &mut self,
        session: &Session,
        at: RequestTiming,
        clock: &ServerClock,
        outcome: &mut UpdateOutcome,
    ) {
        // keepwatch does not know whether an unknown status means that the session still runs.
        let is_running = session.status == Status::Running;
        let expires = session.expires.filter(|expires| is_running && clock.earliest(at.sent) > *expires);
        if let Some(expires) = expires.filter(|_| !self.is_overdue) {
            outcome.events.push((TimeInterval::at(clock, at.received), EventKind::Overdue { expires }));
        }
        self.is_overdue = expires.is_some();
    }

    fn update_presence(
        &mut self,
        status: &Status,
        old: Option<&Session>,
        at: RequestTiming,
        from_list: bool,
        clock: &ServerClock,
        outcome: &mut UpdateOutcome,
    ) {
        self.presence = match (&self.presence, from_list, status.phase()) {
            // After a change of status, another list should have the session, and no response to that one came since.
            (Presence::Unlisted { since, confirmed }, false, Phase::Alive | Phase::Unknown)
                if old.map(|old| &old.status) == Some(status) =>
            {
                if !confirmed {
                    outcome.events.push((TimeInterval::at(clock, at.received), EventKind::Unlisted));
                }
                Presence::Unlisted { since: *since, confirmed: true }
            }
            _ => Presence::Present,
        };
    }
}

/// Returns the difference between `old` and `new`.
fn classify_change(old: &Session, new: &Session) -> Change {
    if old == new {
        return Change::None;
    }
    let with_old_counters = Session { proxy_bytes: old.proxy_bytes, updated: old.updated, ..new.clone() };
    if with_old_counters == *old { Change::Bytes } else { Change::Full }
}

fn first_seen_event(session: &Session, at: RequestTiming, clock: &ServerClock) -> EventKind {
    let now = clock.at(at.received);
    let is_running = session.status == Status::Running;
    let expires = session.expires.filter(|_| is_running);
    EventKind::FirstSeen {
        status: session.status.clone(),
        time_left: expires.and_then(|expires| expires.signed_duration_since(now).to_std().ok()),
        ended_at: session.ended.filter(|_| session.status.is_final()),
    }
}
