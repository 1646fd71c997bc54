//! Raises and clears the alerts of sessions. Also computes the time until the next change that depends on time alone.
//!
//! A sorted set has the deadlines of all sessions, so finding the alerts that are due does not take longer with more
//! sessions.

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

/// The time after which a session that still runs, although the user requested its release, gets an alert.
const RELEASE_GRACE_PERIOD: Duration = Duration::from_secs(30);

impl SessionTracker {
    /// Returns the time from `now` until the next change that depends on time alone, or `None` if there is no such
    /// change.
    #[must_use]
    pub fn time_until_deadline(&self, now: Moment) -> Option<Duration> {
        let server_time = self.clock.at(now);
        let alert_wait = self.deadlines.first().map(|(at, _)| at.signed_duration_since(server_time));
        let alert_wait = alert_wait.map(|wait| wait.to_std().unwrap_or_default());
        let cluster_wait = self.end_clusters.due().map(|due| due.saturating_sub(now.boot));
        alert_wait.into_iter().chain(cluster_wait).min()
    }

    /// Advances the time to `now`: raises the alerts that are due, and reports the end clusters that are ready.
    pub(super) fn advance_time(&mut self, now: Moment, applied: &mut AppliedChanges) {
        let server_time = self.clock.at(now);
        while let Some((at, id)) = self.deadlines.first().cloned().filter(|(at, _)| *at <= server_time) {
            self.deadlines.remove(&(at, id.clone()));
            if let Some(record) = self.records.get_mut(&id) {
                record.deadline = None;
            }
            self.update_alerts(&id, now, applied);
        }
        for cluster in self.end_clusters.take_ready(now.boot) {
            let times = cluster.ids.iter().filter_map(|id| self.records.get(id)?.session.as_ref()?.ended);
            let when =
                TimeInterval { earliest: times.clone().min(), latest: times.max().unwrap_or(server_time) };
            let kind = EventKind::EndedTogether { ids: cluster.ids, spread: cluster.spread };
            self.record_event(None, when, now, kind, applied);
        }
    }

    /// Recomputes the alerts and the deadline of a session, after an input about it or at its deadline.
    pub(super) fn update_alerts(&mut self, id: &SessionId, now: Moment, applied: &mut AppliedChanges) {
        let server_time = self.clock.at(now);
        let Some(record) = self.records.get_mut(id) else { return };
        let is_running = record.status() == Some(&Status::Running) && !record.is_not_found();
        let left = record.session.as_ref().and_then(|session| session.seconds_left(server_time));
        let left = left.filter(|_| is_running);
        let timeout = record.session.as_ref().and_then(|session| session.timeout());
        let thresholds = &self.thresholds;
        let mut alerts: Vec<Alert> = Vec::new();
        if let Some(left) = left {
            alerts.extend(thresholds.reached(left, timeout).map(Alert::TimeLeft));
        }
        alerts.extend((is_running && record.is_overdue).then_some(Alert::Overdue));
        let idle = record.idle_for().filter(|idle| is_running && *idle >= thresholds.idle);
        alerts.extend(idle.map(|_| Alert::Idle(thresholds.idle)));
        let (release_alert, release_deadline) = release_alert_or_deadline(record, now);
        alerts.extend(release_alert);
        // `Session::seconds_left` counts whole seconds, so the next threshold is reached at the start of a second.
        let time_left_deadline = left.and_then(|left| {
            let next = thresholds.next(left, timeout)?;
            let expires = record.session.as_ref()?.expires?;
            let seconds = i64::try_from(next.as_secs()).ok()?;
            Timestamp::from_timestamp(expires.timestamp().checked_sub(seconds)?, 0)
        });
        let deadline =
            [time_left_deadline, release_deadline.map(|at| self.clock.at(at))].into_iter().flatten().min();
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
                _ => {} // no other cause needs a look
            }
        } else if alerts.is_empty() && record.alerts.is_empty() {
            return; // the usual case: no alert before or now
        }
        self.replace_alerts(id, &alerts, now, applied);
    }

    /// Replaces the alerts of a session by `alerts`, and records an event for each new one. While the responses contradict each
    /// other, no alert is new, and those about an end stay.
    fn replace_alerts(
        &mut self,
        id: &SessionId,
        alerts: &[Alert],
        now: Moment,
        applied: &mut AppliedChanges,
    ) {
        let Some(record) = self.records.get_mut(id) else { return };
        let is_contradictory = record.has_contradictory_responses();
        let previous_count = record.alerts.len();
        record.alerts.retain(|(alert, _)| {
            alerts.contains(alert) || is_contradictory && !alert.applies_while_running()
        });
        if record.alerts.len() != previous_count {
            // If the server's clock goes back later, the replay would otherwise keep the alert.
            applied.must_be_stored = true;
            self.changes.count_session_change();
        }
        let new: Vec<Alert> = alerts
            .iter()
            .copied()
            .filter(|alert| !record.alerts.iter().any(|(existing, _)| existing == alert))
            .collect();
        for alert in new {
            // If the API retracts an end and reports it again, the alerts of this end are not new: they keep their
            // first event.
            if let Some(seq) = previous_event(&self.records, id, alert) {
                self.add_alert(id, alert, seq);
                continue;
            }
            if is_contradictory {
                continue; // the alert would come and go with each response
            }
            let when = TimeInterval::at(&self.clock, now);
            let seq = self.record_event(Some(id), when, now, EventKind::AlertRaised(alert), applied);
            self.add_alert(id, alert, seq);
        }
    }

    /// Adds an alert that the event `seq` raised.
    fn add_alert(&mut self, id: &SessionId, alert: Alert, seq: Seq) {
        let Some(record) = self.records.get_mut(id) else { return };
        record.alerts.push((alert, seq));
        self.changes.count_session_change();
        if !alert.applies_while_running() && !record.raised_end_alerts.contains(&(alert, seq)) {
            record.raised_end_alerts.push((alert, seq));
        }
    }
}

/// Returns the alert that the release of a session causes now. If it causes none yet, returns instead the moment at
/// which the session gets [`Alert::StillRunning`], unless the session ends before. A session that ended, or that the API
/// does not know, has neither.
fn release_alert_or_deadline(record: &Record, now: Moment) -> (Option<Alert>, Option<Moment>) {
    let is_gone = record.phase() == Phase::Ended || record.is_not_found();
    let Some(release) = record.release.as_ref().filter(|_| !is_gone) else {
        return (None, None);
    };
    match &release.failure {
        Some((_, None)) => (Some(Alert::ReleaseFailed), None), // no retry
        _ if now.since(release.requested_at) >= RELEASE_GRACE_PERIOD => {
            (Some(Alert::StillRunning(RELEASE_GRACE_PERIOD)), None)
        }
        _ => (None, Some(release.requested_at.plus(RELEASE_GRACE_PERIOD))),
    }
}

/// Returns the event that raised this alert for an earlier end of the session, if any.
fn previous_event(records: &IndexMap<SessionId, Box<Record>>, id: &SessionId, alert: Alert) -> Option<Seq> {
    let raised = &records.get(id)?.raised_end_alerts;
    raised.iter().find(|(raised_alert, _)| *raised_alert == alert).map(|(_, seq)| *seq)
}
