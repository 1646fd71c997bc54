//! A reply into the record, and what is new by it.

use std::sync::Arc;
use std::time::Duration;

use super::{MAX_WATCHED_GAP, ObservedEnd, Presence, Record};
use crate::session::{MetadataPath, Phase, Session, Status};
use crate::tracker::diff;
use crate::tracker::event::EventKind;
use crate::tracker::input::RequestTiming;
use crate::tracker::server_clock::{ServerClock, TimeInterval};
use crate::tracker::traffic::TrafficEdge;

/// A reply about a session, or several in a row that say the same.
#[derive(Clone, Debug)]
pub(in crate::tracker) struct SessionResponse {
    /// When the newest came.
    pub(in crate::tracker) at: Arc<RequestTiming>,
    /// Whether it is an element of a list.
    pub(in crate::tracker) is_from_list: bool,
    /// How many, and the longest time between two; of one, that between it and the one before.
    pub(in crate::tracker) repeats: Option<(u64, Duration)>,
}

/// How a reply differs from the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change {
    /// Not at all.
    #[default]
    None,
    /// In `proxyBytes` or `updatedAt` alone.
    Bytes,
    /// In anything else, or there is none before it.
    Full,
}

/// What a reply changed.
#[derive(Debug, Default)]
pub(in crate::tracker) struct UpdateOutcome {
    /// What happened, each with its time.
    pub(in crate::tracker) events: Vec<(TimeInterval, EventKind)>,
    /// Whether it is the first reply that says it has ended.
    pub(in crate::tracker) is_newly_ended: bool,
    /// Whether it lives after all.
    pub(in crate::tracker) is_revived: bool,
    /// How it differs from the reply before it.
    pub(in crate::tracker) change: Change,
}

impl Record {
    /// Takes a reply. One that was sent before the newest we have says nothing new: `None`.
    pub(in crate::tracker) fn apply_response(
        &mut self,
        response: SessionResponse,
        mut session: Session,
        clock: &ServerClock,
        owner_key: Option<&MetadataPath>,
    ) -> Option<UpdateOutcome> {
        let SessionResponse { at: reply, is_from_list: from_list, repeats } = response;
        let at = *reply;
        let not_found_since = match &self.presence {
            Presence::NotFound(absence) => Some(absence.since),
            Presence::NoResponseYet | Presence::Present | Presence::Unlisted { .. } => None,
        };
        if self.last().into_iter().chain(not_found_since).any(|newer| at.sent.mono < newer.sent.mono) {
            return None;
        }
        self.responses = self.responses.saturating_add(repeats.map_or(1, |(replies, _)| replies));
        let mut outcome = UpdateOutcome::default();
        let interval = TimeInterval::between(clock, self.last_response.as_deref(), &at);
        self.measure_gap(&at, repeats.map(|(_, longest)| longest));
        // What concerned all is told of once, for all.
        if let Some(failing) =
            self.failure_streak.take().filter(|failing| !failing.error.affects_all_requests())
        {
            let after = at.received.since(failing.since.sent);
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
            self.last_alive = Some(reply.clone());
            self.update_overdue(&session, at, clock, &mut outcome);
        }
        self.update_presence(&session.status, old.as_ref(), at, from_list, clock, &mut outcome);
        self.update_traffic(&session, &reply, old.as_ref(), interval, clock, &mut outcome);
        // What a list leaves out stays as a single reply said it; equal texts are kept once.
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
        self.first_response.get_or_insert_with(|| reply.clone());
        (self.last_response, self.session, self.is_from_list) = (Some(reply), Some(session), from_list);
        Some(outcome)
    }

    /// Measures the time since the reply before, or the `longest` between two of several replies.
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
                let when =
                    between.map_or(interval, |(grew, still)| TimeInterval::between(clock, Some(grew), still));
                outcome.events.push((when, EventKind::TrafficStopped { bytes }));
            }
            None => {}
        }
    }

    #[expect(clippy::too_many_arguments, reason = "two replies and what is known of them")]
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
                (Phase::Alive | Phase::Unknown, Phase::Ended) => {} // take_end tells it
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
        let watched = self.last_alive.as_ref().map(|_| wide);
        let plausible_ended_at =
            session.ended.filter(|at| session.started.is_none_or(|started| started <= *at));
        let (narrowed, ended_at_fits) = wide.clamp_to(plausible_ended_at);
        let when = if ended_at_fits { narrowed } else { between };
        self.ended = Some(Box::new(ObservedEnd {
            when,
            ended_at_fits,
            observed_between: watched,
            first_response: at,
        }));
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
        // What a status means that is not known here, nobody can say.
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
            // With another status it is another list that should have it, and that one was not asked since.
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

/// How `new` differs from `old`.
fn classify_change(old: &Session, new: &Session) -> Change {
    if old == new {
        return Change::None;
    }
    let with_old_counters = Session { proxy_bytes: old.proxy_bytes, updated: old.updated, ..new.clone() };
    if with_old_counters == *old { Change::Bytes } else { Change::Full }
}

fn first_seen_event(session: &Session, at: RequestTiming, clock: &ServerClock) -> EventKind {
    let now = clock.at(at.received);
    let lives = session.status == Status::Running;
    let left = session.expires.filter(|_| lives);
    EventKind::FirstSeen {
        status: session.status.clone(),
        time_left: left.and_then(|expires| expires.signed_duration_since(now).to_std().ok()),
        ended_at: session.ended.filter(|_| session.status.is_final()),
    }
}
