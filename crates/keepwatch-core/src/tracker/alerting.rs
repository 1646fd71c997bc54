//! Which sessions are flagged, and when the next one will be. What depends on time alone is found in an ordered set of
//! deadlines: the work does not grow with the number of sessions.

use std::time::Duration;

use indexmap::IndexMap;

use super::alert::Alert;
use super::applied::AppliedChanges;
use super::event::EventKind;
use super::record::Record;
use super::server_clock::TimeInterval;
use super::session_tracker::SessionTracker;
use super::timeline::Seq;
use super::verdict::Cause;
use crate::clock::{Moment, Timestamp};
use crate::session::{Phase, SessionId, Status};

/// A session that was released ends within this; one that runs on is worth a word.
const RELEASE_GRACE_PERIOD: Duration = Duration::from_secs(30);

impl SessionTracker {
    /// How long from `now` until something happens that depends on time alone; `None` if nothing will.
    #[must_use]
    pub fn next_deadline(&self, now: Moment) -> Option<Duration> {
        let server = self.clock.at(now);
        let flag = self.deadlines.first().map(|(at, _)| at.signed_duration_since(server));
        let flag = flag.map(|left| left.to_std().unwrap_or_default());
        let ends = self.end_clusters.due().map(|due| due.saturating_sub(now.boot));
        flag.into_iter().chain(ends).min()
    }

    /// Time has come to `now`: flags those whose deadline is over, and tells of ends that belong together.
    pub(super) fn advance_time(&mut self, now: Moment, applied: &mut AppliedChanges) {
        let server = self.clock.at(now);
        while let Some((at, id)) = self.deadlines.first().cloned().filter(|(at, _)| *at <= server) {
            self.deadlines.remove(&(at, id.clone()));
            if let Some(record) = self.records.get_mut(&id) {
                record.deadline = None;
            }
            self.update_alerts(&id, now, applied);
        }
        for cluster in self.end_clusters.take_ready(now.boot) {
            let times = cluster.ids.iter().filter_map(|id| self.records.get(id)?.session.as_ref()?.ended);
            let when = TimeInterval { earliest: times.clone().min(), latest: times.max().unwrap_or(server) };
            let kind = EventKind::EndedTogether { ids: cluster.ids, spread: cluster.spread };
            self.record_event(None, when, now, kind, applied);
        }
    }

    /// Flags a session anew, after a reply about it or at its deadline.
    pub(super) fn update_alerts(&mut self, id: &SessionId, now: Moment, applied: &mut AppliedChanges) {
        let server = self.clock.at(now);
        let Some(record) = self.records.get_mut(id) else { return };
        let is_running = record.status() == Some(&Status::Running) && !record.is_not_found();
        let left = record.session.as_ref().and_then(|session| seconds_left(session.expires?, server));
        let timeout = record.session.as_ref().and_then(|session| session.timeout());
        let (left, thresholds) = (left.filter(|_| is_running), &self.thresholds);
        let mut alerts: Vec<Alert> = Vec::new();
        if let Some(left) = left {
            alerts.extend(thresholds.reached(left, timeout).map(Alert::TimeLeft));
        }
        alerts.extend((is_running && record.is_overdue).then_some(Alert::Overdue));
        let quiet = record.idle_for().filter(|quiet| is_running && *quiet >= thresholds.idle);
        alerts.extend(quiet.map(|_| Alert::Idle(thresholds.idle)));
        let (release, late) = release_alerts(record, now);
        alerts.extend(release);
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
                Some(Cause::Failed) => alerts.push(Alert::Error),
                Some(Cause::KeepAliveEnded { unused: Some(_), .. }) => alerts.push(Alert::EndedEarly),
                _ => {}
            }
        } else if alerts.is_empty() && record.alerts.is_empty() {
            return; // as of most sessions at most times
        }
        self.raise_alerts(id, &alerts, now, applied);
    }

    /// Makes `flags` those of a session, and tells of those that are new. A time left gives way to a shorter one.
    fn raise_alerts(&mut self, id: &SessionId, alerts: &[Alert], now: Moment, applied: &mut AppliedChanges) {
        let Some(record) = self.records.get_mut(id) else { return };
        let before = record.alerts.len();
        record.alerts.retain(|(flag, _)| alerts.contains(flag));
        if record.alerts.len() != before {
            self.changes.count_session_change();
        }
        let new: Vec<Alert> = alerts
            .iter()
            .copied()
            .filter(|flag| !record.alerts.iter().any(|(there, _)| there == flag))
            .collect();
        for flag in new {
            // An end that is taken back and said again is no new end: neither are its flags.
            if let Some(again) = raised_before(&self.records, id, flag) {
                self.add_alert(id, flag, again);
                continue;
            }
            let when = TimeInterval::at(&self.clock, now);
            let seq = self.record_event(Some(id), when, now, EventKind::AlertRaised(flag), applied);
            self.add_alert(id, flag, seq);
        }
    }

    fn add_alert(&mut self, id: &SessionId, flag: Alert, seq: Seq) {
        let Some(record) = self.records.get_mut(id) else { return };
        record.alerts.push((flag, seq));
        self.changes.count_session_change();
        if !flag.applies_while_running() && !record.raised_end_alerts.contains(&(flag, seq)) {
            record.raised_end_alerts.push((flag, seq));
        }
    }
}

/// What a session is flagged for because of its release, and when it will be.
fn release_alerts(record: &Record, now: Moment) -> (Option<Alert>, Option<Moment>) {
    let Some(release) = record.release.as_ref().filter(|_| record.phase() != Phase::Ended) else {
        return (None, None);
    };
    match &release.failure {
        Some((_, None)) => (Some(Alert::ReleaseFailed), None),
        _ if now.since(release.requested_at) >= RELEASE_GRACE_PERIOD => {
            (Some(Alert::StillRunning(RELEASE_GRACE_PERIOD)), None)
        }
        _ => (None, Some(release.requested_at.plus(RELEASE_GRACE_PERIOD))),
    }
}

/// The event that raised a flag of its end before.
fn raised_before(records: &IndexMap<SessionId, Box<Record>>, id: &SessionId, flag: Alert) -> Option<Seq> {
    let raised = &records.get(id)?.raised_end_alerts;
    raised.iter().find(|(before, _)| *before == flag).map(|(_, seq)| *seq)
}

/// What is left in whole seconds, as the screen counts down.
fn seconds_left(expires: Timestamp, now: Timestamp) -> Option<Duration> {
    let left = expires.timestamp().saturating_sub(now.timestamp());
    u64::try_from(left).ok().map(Duration::from_secs)
}
