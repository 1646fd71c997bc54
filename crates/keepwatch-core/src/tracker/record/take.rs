//! A reply into the record, and what is new by it.

use std::sync::Arc;
use std::time::Duration;

use super::{Ended, Presence, Record, WATCHED};
use crate::session::{MetadataPath, Phase, Session, Status};
use crate::tracker::bounds::{ServerClock, When};
use crate::tracker::compare;
use crate::tracker::event::EventKind;
use crate::tracker::history::Turn;
use crate::tracker::input::Exchange;

/// A reply about a session, or several in a row that say the same.
#[derive(Clone, Debug)]
pub(in crate::tracker) struct Reply {
    /// When the newest came.
    pub(in crate::tracker) at: Arc<Exchange>,
    /// Whether it is an element of a list.
    pub(in crate::tracker) from_list: bool,
    /// How many, and the longest time between two; of one, that between it and the one before.
    pub(in crate::tracker) several: Option<(u64, Duration)>,
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
    Whole,
}

/// What a reply changed.
#[derive(Debug, Default)]
pub(in crate::tracker) struct Taken {
    /// What happened, each with its time.
    pub(in crate::tracker) news: Vec<(When, EventKind)>,
    /// Whether it is the first reply that says it has ended.
    pub(in crate::tracker) ended: bool,
    /// Whether it lives after all.
    pub(in crate::tracker) revived: bool,
    /// How it differs from the reply before it.
    pub(in crate::tracker) change: Change,
}

impl Record {
    /// Takes a reply. One that was sent before the newest we have says nothing new: `None`.
    pub(in crate::tracker) fn take(
        &mut self,
        reply: Reply,
        mut session: Session,
        clock: &ServerClock,
        owner_key: Option<&MetadataPath>,
    ) -> Option<Taken> {
        let Reply { at: reply, from_list, several } = reply;
        let at = *reply;
        let absent_since = match &self.presence {
            Presence::NotFound(absence) => Some(absence.since),
            Presence::Awaited | Presence::Here | Presence::Unlisted { .. } => None,
        };
        if self.last().into_iter().chain(absent_since).any(|newer| at.sent.mono < newer.sent.mono) {
            return None;
        }
        self.replies = self.replies.saturating_add(several.map_or(1, |(replies, _)| replies));
        let mut taken = Taken::default();
        let change = When::between(clock, self.last.as_deref(), &at);
        self.take_gap(&at, several.map(|(_, longest)| longest));
        // What concerned all is told of once, for all.
        if let Some(failing) = self.failing.take().filter(|failing| !failing.fault.affects_all_requests()) {
            let after = at.received.since(failing.since.sent);
            taken.news.push((When::at(clock, at.received), EventKind::Recovered { list: None, after }));
        }
        let old = self.session.take();
        match &old {
            None => taken.news.push((When::between(clock, None, &at), first_seen(&session, at, clock))),
            Some(old) => self.changed(old, &session, at, from_list, change, clock, &mut taken),
        }
        if session.status.phase() == Phase::Ended {
            self.take_end(&session, at, old.as_ref(), clock, &mut taken);
        } else {
            taken.revived = self.ended.take().is_some();
            self.last_alive = Some(reply.clone());
            self.take_overdue(&session, at, clock, &mut taken);
        }
        self.take_presence(&session.status, old.as_ref(), at, from_list, clock, &mut taken);
        self.take_traffic(&session, &reply, old.as_ref(), change, clock, &mut taken);
        // What a list leaves out stays as a single reply said it; equal texts are kept once.
        session.connect = session.connect.or(old.as_ref().and_then(|old| old.connect));
        match old {
            Some(old) if old.metadata == session.metadata => {
                session.metadata.clone_from(&old.metadata);
                taken.change = change_of(&old, &session);
            }
            Some(_) | None => {
                taken.change = Change::Whole;
                self.owner = session.metadata.as_ref().and_then(|it| it.owner(owner_key));
            }
        }
        self.first.get_or_insert_with(|| reply.clone());
        (self.last, self.session, self.from_list) = (Some(reply), Some(session), from_list);
        Some(taken)
    }

    /// Measures the time since the reply before, or the `longest` between two of several replies.
    fn take_gap(&mut self, at: &Exchange, longest: Option<Duration>) {
        let Some(last) = &self.last else { return };
        let gap = longest.unwrap_or_else(|| at.received.since(last.sent));
        self.longest_gap = self.longest_gap.max(gap);
        if gap <= WATCHED {
            self.watched = self.watched.saturating_add(at.received.since(last.received));
        }
    }

    fn take_traffic(
        &mut self,
        session: &Session,
        reply: &Arc<Exchange>,
        old: Option<&Session>,
        change: When,
        clock: &ServerClock,
        taken: &mut Taken,
    ) {
        let Some(bytes) = session.proxy_bytes else { return };
        self.traffic.observe(reply.received.boot, bytes);
        let before = old.and_then(|old| old.proxy_bytes);
        let turn = self.flow.observe(before, bytes, reply).filter(|_| !session.status.is_final());
        match turn {
            Some(Turn::Started) => taken.news.push((change, EventKind::TrafficStarted)),
            Some(Turn::Stopped) => {
                let between = self.flow.stopped_between();
                let when = between.map_or(change, |(grew, still)| When::between(clock, Some(grew), still));
                taken.news.push((when, EventKind::TrafficStopped { bytes }));
            }
            None => {}
        }
    }

    #[expect(clippy::too_many_arguments, reason = "two replies and what is known of them")]
    fn changed(
        &self,
        old: &Session,
        new: &Session,
        at: Exchange,
        from_list: bool,
        change: When,
        clock: &ServerClock,
        taken: &mut Taken,
    ) {
        let (from, to) = (&old.status, &new.status);
        if self.is_absent() {
            taken.news.push((When::at(clock, at.received), EventKind::FoundAgain(to.clone())));
        }
        if from != to {
            let (from, to) = (from.clone(), to.clone());
            match (from.phase(), to.phase()) {
                (Phase::Ended, Phase::Alive | Phase::Unknown) => {
                    taken.news.push((change, EventKind::Contradicted { from, to }));
                }
                (Phase::Alive | Phase::Unknown, Phase::Ended) => {} // take_end tells it
                _ => taken.news.push((change, EventKind::Changed { from, to })),
            }
        }
        let changes = compare::changes(old, new, self.from_list == from_list);
        taken.news.extend(changes.into_iter().map(|kind| (change, kind)));
    }

    fn take_end(
        &mut self,
        session: &Session,
        at: Exchange,
        old: Option<&Session>,
        clock: &ServerClock,
        taken: &mut Taken,
    ) {
        self.overdue = false;
        if self.ended.is_some() {
            return;
        }
        let between = When::between(clock, self.last_alive.as_deref(), &at);
        let wide = between.widened(clock.slack());
        let watched = self.last_alive.as_ref().map(|_| wide);
        let can_be = session.ended.filter(|at| session.started.is_none_or(|started| started <= *at));
        let (narrowed, said_fits) = wide.narrowed(can_be);
        let when = if said_fits { narrowed } else { between };
        self.ended = Some(Box::new(Ended { when, said_fits, watched, seen: at }));
        taken.ended = true;
        if let Some(old) = old {
            let was = old.status.clone();
            let kind = EventKind::Ended {
                status: session.status.clone(),
                said: session.ended,
                fits: said_fits,
                last_alive: self.last_alive().map(|last| (clock.at(last.received), was)),
            };
            taken.news.push((when, kind));
        }
    }

    fn take_overdue(&mut self, session: &Session, at: Exchange, clock: &ServerClock, taken: &mut Taken) {
        // What a status means that is not known here, nobody can say.
        let lives = session.status == Status::Running;
        let expires = session.expires.filter(|expires| lives && clock.earliest(at.sent) > *expires);
        if let Some(expires) = expires.filter(|_| !self.overdue) {
            taken.news.push((When::at(clock, at.received), EventKind::Overdue { expires }));
        }
        self.overdue = expires.is_some();
    }

    fn take_presence(
        &mut self,
        status: &Status,
        old: Option<&Session>,
        at: Exchange,
        from_list: bool,
        clock: &ServerClock,
        taken: &mut Taken,
    ) {
        self.presence = match (&self.presence, from_list, status.phase()) {
            // With another status it is another list that should have it, and that one was not asked since.
            (Presence::Unlisted { since, confirmed }, false, Phase::Alive | Phase::Unknown)
                if old.map(|old| &old.status) == Some(status) =>
            {
                if !confirmed {
                    taken.news.push((When::at(clock, at.received), EventKind::Unlisted));
                }
                Presence::Unlisted { since: *since, confirmed: true }
            }
            _ => Presence::Here,
        };
    }
}

/// How `new` differs from `old`.
fn change_of(old: &Session, new: &Session) -> Change {
    if old == new {
        return Change::None;
    }
    let rest = Session { proxy_bytes: old.proxy_bytes, updated: old.updated, ..new.clone() };
    if rest == *old { Change::Bytes } else { Change::Whole }
}

fn first_seen(session: &Session, at: Exchange, clock: &ServerClock) -> EventKind {
    let now = clock.at(at.received);
    let lives = session.status == Status::Running;
    let left = session.expires.filter(|_| lives);
    EventKind::FirstSeen {
        status: session.status.clone(),
        left: left.and_then(|expires| expires.signed_duration_since(now).to_std().ok()),
        ended: session.ended.filter(|_| session.status.is_final()),
    }
}
