//! Applies a response to a record, and returns the events that it causes.

use std::sync::Arc;
use std::time::Duration;

use super::contradictions::Consistency;
use super::{MAX_WATCHED_GAP, ObservedEnd, Presence, Record, overrun};
use crate::clients::KnownClient;
use crate::clock::{Moment, Timestamp};
use crate::session::{Metadata, MetadataPath, Phase, Session, Status, owner_in};
use crate::tracker::diff;
use crate::tracker::event::EventKind;
use crate::tracker::input::RequestTiming;
use crate::tracker::server_clock::{ServerClock, TimeInterval};
use crate::tracker::traffic::TrafficTransition;

/// The times and the source of a response about a session, or of a series of identical responses.
#[derive(Clone, Debug)]
pub(in crate::tracker) struct SessionResponse {
    /// The times between which the API determined the response. For a series, those of its newest response. If a cache
    /// answered, they are earlier than the times of the request.
    pub(in crate::tracker) at: Arc<RequestTiming>,
    /// The moment at which the response was received.
    pub(in crate::tracker) now: Moment,
    /// True if the response is a list.
    pub(in crate::tracker) is_from_list: bool,
    /// For a series: the number of responses, and the longest gap between two consecutive ones.
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
    /// True if the end is new: this response is the first that reports it. While responses contradict each other, an
    /// end is not new. It is new once they agree on it.
    pub(in crate::tracker) is_newly_ended: bool,
    /// True if the response retracts an end that an earlier response reported.
    pub(in crate::tracker) is_revived: bool,
    /// The difference between the response and the one before it.
    pub(in crate::tracker) change: Change,
}

impl Record {
    /// Applies a response. Returns `None` if the response is stale: see [`Record::is_stale`].
    pub(in crate::tracker) fn apply_response(
        &mut self,
        response: SessionResponse,
        mut session: Session,
        clock: &ServerClock,
        owner_key: Option<&MetadataPath>,
    ) -> Option<UpdateOutcome> {
        let SessionResponse { at: timing, is_from_list, repeats, now } = response;
        let at = *timing;
        if self.is_stale(&at) {
            return None;
        }
        self.responses = self.responses.saturating_add(repeats.map_or(1, |(count, _)| count));
        let mut outcome = UpdateOutcome::default();
        let interval = TimeInterval::between(clock, self.last_response.as_deref(), &at);
        self.measure_gap(&at, repeats.map(|(_, longest)| longest));
        // If a failure affected all requests, `SessionTracker` records one event for all sessions.
        if let Some(streak) = self.failure_streak.take().filter(|streak| !streak.error.affects_all_requests())
        {
            let outage = at.received.since(streak.first_failure.sent);
            outcome.events.push((
                TimeInterval::at(clock, at.received),
                EventKind::PollsRecovered { list: None, outage },
            ));
        }
        let old = self.session.take();
        let first_change_index = outcome.events.len();
        match &old {
            None => outcome
                .events
                .push((TimeInterval::between(clock, None, &at), first_seen_event(&session, clock.at(now)))),
            Some(old) => self.detect_changes(old, &session, at, is_from_list, interval, clock, &mut outcome),
        }
        if session.status.phase() == Phase::Ended {
            self.record_end(&session, at, old.as_ref(), clock, &mut outcome);
        } else {
            outcome.is_revived = self.ended.take().is_some();
            self.last_alive = Some(timing.clone());
            self.update_overdue(&session, at, clock, &mut outcome);
        }
        self.update_presence(&session.status, old.as_ref(), at, is_from_list, clock, &mut outcome);
        self.update_traffic(&session, &timing, old.as_ref(), interval, clock, &mut outcome);
        if let Some(old) = &old {
            let count = repeats.map_or(1, |(count, _)| count);
            self.suppress_contradictions(
                old,
                &session,
                at,
                count,
                interval,
                clock,
                &mut outcome,
                first_change_index,
            );
        }
        // A list omits the connect fields, so the record keeps those of the last response about this session alone.
        session.connect = session.connect.or(old.as_ref().and_then(|old| old.connect));
        match old {
            Some(old) if old.metadata == session.metadata => {
                session.metadata.clone_from(&old.metadata); // shares one allocation
                outcome.change = classify_change(&old, &session);
            }
            Some(_) | None => {
                outcome.change = Change::Full;
                let tree = session.metadata.as_ref().and_then(Metadata::to_value);
                self.owner = tree.as_ref().and_then(|tree| owner_in(tree, owner_key));
                self.client = tree.as_ref().and_then(KnownClient::from_metadata_tree);
            }
        }
        self.first_response.get_or_insert_with(|| timing.clone());
        (self.last_response, self.session, self.is_from_list) = (Some(timing), Some(session), is_from_list);
        Some(outcome)
    }

    /// Measures the gap since the previous response. For a series of responses, `longest` is the longest gap and
    /// replaces the measured one.
    fn measure_gap(&mut self, at: &RequestTiming, longest: Option<Duration>) {
        let Some(last) = &self.last_response else { return };
        let gap = longest.unwrap_or_else(|| at.received.since(last.sent));
        self.longest_gap = self.longest_gap.max(gap);
        if gap <= MAX_WATCHED_GAP {
            self.watched_for = self.watched_for.saturating_add(at.received.since(last.received));
        }
    }

    /// Updates the traffic. Adds an event if it started or stopped while the session was not final.
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
        let previous_bytes = old.and_then(|old| old.proxy_bytes);
        let transition = self
            .traffic_activity
            .observe(previous_bytes, bytes, timing)
            .filter(|_| !session.status.is_final());
        match transition {
            Some(TrafficTransition::Started) => outcome.events.push((interval, EventKind::TrafficStarted)),
            Some(TrafficTransition::Stopped) => {
                let bounds = self.traffic_activity.pause_start_bounds();
                let when = bounds.map_or(interval, |(growth, unchanged)| {
                    TimeInterval::between(clock, Some(growth), unchanged)
                });
                outcome.events.push((when, EventKind::TrafficStopped { bytes }));
            }
            None => {}
        }
    }

    /// Adds an event for each difference between two responses, except for the end and the traffic. Also adds an event
    /// if the session was not found before.
    #[expect(clippy::too_many_arguments, reason = "two responses and their context")]
    fn detect_changes(
        &self,
        old: &Session,
        new: &Session,
        at: RequestTiming,
        is_from_list: bool,
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
                // Both statuses are before the end, or both are after it.
                _ => outcome.events.push((interval, EventKind::StatusChanged { from, to })),
            }
        }
        let changes = diff::diff_sessions(old, new, self.is_from_list == is_from_list);
        outcome.events.extend(changes.into_iter().map(|kind| (interval, kind)));
    }

    /// Stores the end, if it is not stored yet. Adds an event, unless this is the first response about the session.
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
        let observed = TimeInterval::between(clock, self.last_alive.as_deref(), &at);
        let widened = observed.widened(clock.uncertainty());
        let end_interval = self.last_alive.as_ref().map(|_| widened);
        let plausible_ended_at =
            session.ended.filter(|ended| session.started.is_none_or(|started| started <= *ended));
        let (narrowed, ended_at_fits) = widened.narrowed_to(plausible_ended_at);
        let when = if ended_at_fits { narrowed } else { observed };
        self.ended = Some(Box::new(ObservedEnd { when, ended_at_fits, end_interval, first_response: at }));
        outcome.is_newly_ended = true;
        if let Some(old) = old {
            outcome.events.extend(self.ended_event(session, old, clock));
        }
    }

    /// Returns the event of the end. `old` is the session before its end.
    fn ended_event(
        &self,
        session: &Session,
        old: &Session,
        clock: &ServerClock,
    ) -> Option<(TimeInterval, EventKind)> {
        let ended = self.ended.as_ref()?;
        let kind = EventKind::Ended {
            status: session.status.clone(),
            ended_at: session.ended,
            ended_at_fits: ended.ended_at_fits,
            last_alive: self.last_alive().map(|last| (clock.at(last.received), old.status.clone())),
        };
        Some((ended.when, kind))
    }

    /// If the session changes back and forth, removes the events of this response's changes, which begin at
    /// `first_change_index`.
    ///
    /// Adds one event when the responses begin to contradict each other, and one when they agree again. In the second
    /// case, also adds events for the differences between the version that the events describe and the current one.
    ///
    /// `count` is the number of responses: 1, or more for a series of identical ones.
    #[expect(clippy::too_many_arguments, reason = "two responses and their context")]
    fn suppress_contradictions(
        &mut self,
        old: &Session,
        new: &Session,
        at: RequestTiming,
        count: u64,
        interval: TimeInterval,
        clock: &ServerClock,
        outcome: &mut UpdateOutcome,
        first_change_index: usize,
    ) {
        let mut contradictions = self.contradictions.take().unwrap_or_default();
        let consistency = contradictions.observe(old, new, count);
        self.contradictions = (!contradictions.is_empty()).then_some(contradictions);
        match consistency {
            Consistency::Consistent => {}
            // promise: contradictory-replies
            Consistency::NewlyContradictory | Consistency::StillContradictory => {
                let mut index = 0;
                outcome.events.retain(|(_, kind)| {
                    let is_kept = index < first_change_index || !is_change_of_version(kind);
                    index += 1;
                    is_kept
                });
                outcome.is_newly_ended = false;
                if consistency == Consistency::NewlyContradictory {
                    outcome.events.push((interval, EventKind::ContradictoryResponses));
                }
            }
            Consistency::AgreesAgain { described, changes } => {
                let now = TimeInterval::at(clock, at.received);
                outcome.events.push((now, EventKind::ResponsesAgree { changes }));
                self.detect_changes(&described, new, at, true, now, clock, outcome);
                if described.status.phase() != Phase::Ended
                    && let Some(event) = self.ended_event(new, &described, clock)
                {
                    outcome.is_newly_ended = true;
                    outcome.events.push(event);
                }
            }
        }
    }

    /// Updates `is_overdue`, and adds an event if the session becomes overdue.
    fn update_overdue(
        &mut self,
        session: &Session,
        at: RequestTiming,
        clock: &ServerClock,
        outcome: &mut UpdateOutcome,
    ) {
        // A session of unknown status may have ended, so it is never overdue.
        let is_alive = session.status.phase() == Phase::Alive;
        let has_passed = |expires: &Timestamp| overrun(*expires, clock.earliest(at.sent)).is_some();
        let passed_expiry = session.expires.filter(|expires| is_alive && has_passed(expires));
        if let Some(expires) = passed_expiry.filter(|_| !self.is_overdue) {
            outcome.events.push((TimeInterval::at(clock, at.received), EventKind::Overdue { expires }));
        }
        self.is_overdue = passed_expiry.is_some();
    }

    /// Updates the presence. Adds an event if a response about this session alone shows that an unlisted session has
    /// not ended.
    fn update_presence(
        &mut self,
        status: &Status,
        old: Option<&Session>,
        at: RequestTiming,
        is_from_list: bool,
        clock: &ServerClock,
        outcome: &mut UpdateOutcome,
    ) {
        self.presence = match (&self.presence, is_from_list, status.phase()) {
            // A session stays unlisted only while its status is the same. After a change, another list should contain
            // the session, and that list has not been received since.
            (Presence::Unlisted { since, confirmed }, false, Phase::Alive | Phase::Unknown)
                if old.map(|old| &old.status) == Some(status) =>
            {
                if !confirmed {
                    outcome.events.push((TimeInterval::at(clock, at.received), EventKind::Unlisted));
                }
                Presence::Unlisted { since: *since, confirmed: true }
            }
            _ => Presence::Present, // the session was not unlisted, or no longer is
        };
    }
}

/// Returns true if the event describes a difference between two versions of a session. This includes an expiry that
/// passed: a session that changes back and forth would become overdue again and again.
fn is_change_of_version(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::StatusChanged { .. }
            | EventKind::Ended { .. }
            | EventKind::Contradicted { .. }
            | EventKind::ExpiryMoved { .. }
            | EventKind::KeepAliveChanged(_)
            | EventKind::RegionChanged { .. }
            | EventKind::ContextChanged(_)
            | EventKind::MetadataChanged
            | EventKind::Overdue { .. }
    )
}

/// Returns the kind of difference between `old` and `new`.
fn classify_change(old: &Session, new: &Session) -> Change {
    if old == new {
        return Change::None;
    }
    let with_old_bytes = Session { proxy_bytes: old.proxy_bytes, updated: old.updated, ..new.clone() };
    if with_old_bytes == *old { Change::Bytes } else { Change::Full }
}

/// Returns the event of the first response about a session. The response was received at `now`, on the server's clock.
fn first_seen_event(session: &Session, now: Timestamp) -> EventKind {
    let is_running = session.status == Status::Running;
    EventKind::FirstSeen {
        status: session.status.clone(),
        time_left: session.time_left(now).filter(|_| is_running),
        ended_at: session.ended.filter(|_| session.status.is_final()),
    }
}
