//! Which sessions are flagged, and when the next one will be. What depends on time alone is found in an ordered set of
//! deadlines: the work does not grow with the number of sessions.

use std::time::Duration;

use indexmap::IndexMap;

use super::applied::Applied;
use super::bounds::When;
use super::event::EventKind;
use super::flag::Flag;
use super::fleet::Fleet;
use super::record::Record;
use super::timeline::Seq;
use super::verdict::Cause;
use crate::clock::{Moment, Timestamp};
use crate::session::{Phase, SessionId, Status};

/// A session that was released ends within this; one that runs on is worth a word.
const RELEASED_WITHIN: Duration = Duration::from_secs(30);

impl Fleet {
    /// How long from `now` until something happens that depends on time alone; `None` if nothing will.
    #[must_use]
    pub fn next_deadline(&self, now: Moment) -> Option<Duration> {
        let server = self.clock.at(now);
        let flag = self.deadlines.first().map(|(at, _)| at.signed_duration_since(server));
        let flag = flag.map(|left| left.to_std().unwrap_or_default());
        let ends = self.ends.due().map(|due| due.saturating_sub(now.boot));
        flag.into_iter().chain(ends).min()
    }

    /// Time has come to `now`: flags those whose deadline is over, and tells of ends that belong together.
    pub(super) fn pass(&mut self, now: Moment, applied: &mut Applied) {
        let server = self.clock.at(now);
        while let Some((at, id)) = self.deadlines.first().cloned().filter(|(at, _)| *at <= server) {
            self.deadlines.remove(&(at, id.clone()));
            if let Some(record) = self.records.get_mut(&id) {
                record.deadline = None;
            }
            self.attend(&id, now, applied);
        }
        for together in self.ends.settled(now.boot) {
            let times = together.ids.iter().filter_map(|id| self.records.get(id)?.session.as_ref()?.ended);
            let when = When { earliest: times.clone().min(), latest: times.max().unwrap_or(server) };
            let kind = EventKind::Together { ids: together.ids, spread: together.spread };
            self.tell(None, when, now, kind, applied);
        }
    }

    /// Flags a session anew, after a reply about it or at its deadline.
    pub(super) fn attend(&mut self, id: &SessionId, now: Moment, applied: &mut Applied) {
        let server = self.clock.at(now);
        let Some(record) = self.records.get_mut(id) else { return };
        let lives = record.status() == Some(&Status::Running) && !record.is_absent();
        let left = record.session.as_ref().and_then(|session| seconds_left(session.expires?, server));
        let timeout = record.session.as_ref().and_then(|session| session.timeout());
        let (left, thresholds) = (left.filter(|_| lives), &self.thresholds);
        let mut flags: Vec<Flag> = Vec::new();
        if let Some(left) = left {
            flags.extend(thresholds.reached(left, timeout).map(Flag::Left));
        }
        flags.extend((lives && record.overdue).then_some(Flag::Overdue));
        let quiet = record.quiet().filter(|quiet| lives && *quiet >= thresholds.idle);
        flags.extend(quiet.map(|_| Flag::Idle(thresholds.idle)));
        let (release, late) = release_flags(record, now);
        flags.extend(release);
        let deadline = left.and_then(|left| {
            let next = thresholds.next(left, timeout)?;
            let expires = record.session.as_ref()?.expires?;
            let seconds = i64::try_from(next.as_secs()).ok()?;
            Timestamp::from_timestamp(expires.timestamp().checked_sub(seconds)?, 0)
        });
        let deadline = [deadline, late.map(|at| self.clock.at(at))].into_iter().flatten().min();
        if record.deadline != deadline {
            if let Some(old) = record.deadline {
                self.deadlines.remove(&(old, id.clone()));
            }
            self.deadlines.extend(deadline.map(|at| (at, id.clone())));
            record.deadline = deadline;
        }
        if record.ended.is_some() {
            match self.verdict(id).map(|verdict| verdict.cause) {
                Some(Cause::Failed) => flags.push(Flag::Error),
                Some(Cause::KeptAlive { unused: Some(_), .. }) => flags.push(Flag::EndedEarly),
                _ => {}
            }
        } else if flags.is_empty() && record.flags.is_empty() {
            return; // as of most sessions at most times
        }
        self.raise(id, &flags, now, applied);
    }

    /// Makes `flags` those of a session, and tells of those that are new. A time left gives way to a shorter one.
    fn raise(&mut self, id: &SessionId, flags: &[Flag], now: Moment, applied: &mut Applied) {
        let Some(record) = self.records.get_mut(id) else { return };
        let before = record.flags.len();
        record.flags.retain(|(flag, _)| flags.contains(flag));
        if record.flags.len() != before {
            self.changes.of_sessions();
        }
        let new: Vec<Flag> = flags
            .iter()
            .copied()
            .filter(|flag| !record.flags.iter().any(|(there, _)| there == flag))
            .collect();
        for flag in new {
            // An end that is taken back and said again is no new end: neither are its flags.
            if let Some(again) = raised_before(&self.records, id, flag) {
                self.keep(id, flag, again);
                continue;
            }
            let when = When::at(&self.clock, now);
            let seq = self.tell(Some(id), when, now, EventKind::Flagged(flag), applied);
            self.keep(id, flag, seq);
        }
    }

    fn keep(&mut self, id: &SessionId, flag: Flag, seq: Seq) {
        let Some(record) = self.records.get_mut(id) else { return };
        record.flags.push((flag, seq));
        self.changes.of_sessions();
        if !flag.is_of_the_living() && !record.raised.contains(&(flag, seq)) {
            record.raised.push((flag, seq));
        }
    }
}

/// What a session is flagged for because of its release, and when it will be.
fn release_flags(record: &Record, now: Moment) -> (Option<Flag>, Option<Moment>) {
    let Some(release) = record.release.as_ref().filter(|_| record.phase() != Phase::Ended) else {
        return (None, None);
    };
    match &release.failed {
        Some((_, None)) => (Some(Flag::ReleaseFailed), None),
        _ if now.since(release.asked) >= RELEASED_WITHIN => (Some(Flag::StillRunning(RELEASED_WITHIN)), None),
        _ => (None, Some(release.asked.plus(RELEASED_WITHIN))),
    }
}

/// The event that raised a flag of its end before.
fn raised_before(records: &IndexMap<SessionId, Box<Record>>, id: &SessionId, flag: Flag) -> Option<Seq> {
    let raised = &records.get(id)?.raised;
    raised.iter().find(|(before, _)| *before == flag).map(|(_, seq)| *seq)
}

/// What is left in whole seconds, as the screen counts down.
fn seconds_left(expires: Timestamp, now: Timestamp) -> Option<Duration> {
    let left = expires.timestamp().saturating_sub(now.timestamp());
    u64::try_from(left).ok().map(Duration::from_secs)
}
