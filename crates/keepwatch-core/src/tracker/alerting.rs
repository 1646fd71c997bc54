//! Raises and clears the alerts of sessions, and records the events of end clusters. Also computes the time until the
//! next change that depends on time alone.
//!
//! A sorted set holds the deadlines of all sessions, so finding the alerts that are due does not take longer with more
//! sessions.

use std::collections::BTreeSet;
use std::time::Duration;

use super::alert::{Alert, MAX_INCIDENT_AGE, RaisedAlert};
use super::alert_rules::AlertThresholds;
use super::applied::AppliedChanges;
use super::event::EventKind;
use super::record::Record;
use super::server_clock::TimeInterval;
use super::session_tracker::SessionTracker;
use super::verdict::Cause;
use crate::clock::{Moment, Timestamp, saturating_add};
use crate::session::{Phase, SessionId, Status};

/// The time that a session has to end after the user requested its release. If it still runs then, it gets an alert.
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

    /// Returns true if sessions ended together, and the tracker waits for more such ends before it reports them.
    #[must_use]
    pub fn has_unreported_cluster(&self) -> bool {
        self.end_clusters.due().is_some()
    }

    /// Advances the time to `now`: raises the alerts and reports the end clusters that are due.
    pub(super) fn advance_time(&mut self, now: Moment, applied: &mut AppliedChanges) {
        let server_time = self.clock.at(now);
        while let Some((at, id)) = self.deadlines.first().cloned().filter(|(at, _)| *at <= server_time) {
            self.deadlines.remove(&(at, id.clone()));
            if let Some(record) = self.records.get_mut(&id) {
                record.deadline = None;
            }
            self.update_alerts(&id, now, applied);
        }
        for (cluster, is_by_chance) in
            self.end_clusters.take_due(now.boot, self.watched_since.unwrap_or(server_time))
        {
            let times = cluster.ids.iter().filter_map(|id| self.records.get(id)?.session.as_ref()?.ended);
            let when =
                TimeInterval { earliest: times.clone().min(), latest: times.max().unwrap_or(server_time) };
            let kind = EventKind::EndedTogether { ids: cluster.ids.clone(), spread: cluster.spread };
            self.record_event(None, when, now, kind, applied);
            if !is_by_chance {
                self.mark_ended_with_other_owners(&cluster.ids, now, applied);
            }
        }
    }

    /// Recomputes the alerts and the deadline of a session, after an input about it or at its deadline.
    pub(super) fn update_alerts(&mut self, id: &SessionId, now: Moment, applied: &mut AppliedChanges) {
        let server_time = self.clock.at(now);
        let Some(record) = self.records.get(id) else { return };
        let thresholds = self.rules.thresholds(record.alert_rule);
        let mut alerts = Vec::new();
        let mut deadlines = Deadlines::default();
        time_left_alert(record, thresholds, server_time, &mut alerts, &mut deadlines);
        pending_alert(record, thresholds, server_time, &mut alerts, &mut deadlines);
        let is_alive = record.is_alive();
        alerts.extend((is_alive && record.is_overdue).then_some(Alert::Overdue));
        let is_idle = record.idle_for().is_some_and(|idle| idle >= thresholds.idle);
        alerts.extend((is_idle && is_running(record)).then_some(Alert::Idle(thresholds.idle)));
        let (release_alert, release_deadline) = release_alert_or_deadline(record, now);
        alerts.extend(release_alert);
        deadlines.add(release_deadline.map(|moment| self.clock.at(moment)));
        if record.ended.is_some() {
            alerts.extend(self.end_alerts(id, record));
        } else if alerts.is_empty() && record.alerts.is_empty() {
            self.set_deadline(id, deadlines.earliest);
            return; // the usual case: no alert before or now
        }
        // promise: incident-age, mutant: MAX_INCIDENT_AGE -> Duration::MAX
        alerts.retain(|alert| {
            record
                .raised_incident(*alert)
                .is_none_or(|raised| is_younger_than(raised, MAX_INCIDENT_AGE, server_time))
        });
        self.replace_alerts(id, &alerts, now, applied);
        let record = self.records.get(id);
        for raised in record.into_iter().flat_map(|record| &record.alerts) {
            deadlines.add(raised.alert.is_incident().then(|| saturating_add(raised.at, MAX_INCIDENT_AGE)));
        }
        self.set_deadline(id, deadlines.earliest);
    }

    /// Returns the alerts about the end of a session. An orderly end has none.
    fn end_alerts(&self, id: &SessionId, record: &Record) -> Vec<Alert> {
        let Some(verdict) = self.verdict(id) else { return Vec::new() };
        match verdict.cause {
            Cause::Failed => vec![Alert::Error],
            Cause::KeepAliveEnded { unused: Some(_), .. } => {
                let early = self.rules.thresholds(record.alert_rule).early;
                // promise: early-end, mutant: early.is_early(verdict.duration) -> true
                let is_early = early.is_early(verdict.duration);
                let together = record.ended_with_other_owners.then_some(Alert::EndedTogether);
                is_early.then_some(Alert::EndedEarly).into_iter().chain(together).collect()
            }
            _ => Vec::new(), // the session ended as documented, or the cause is not known
        }
    }

    /// Considers only those sessions of a cluster that had keep-alive on and ended before their expiry. If they have
    /// different owners, marks them, and each gets [`Alert::EndedTogether`].
    fn mark_ended_with_other_owners(&mut self, ids: &[SessionId], now: Moment, applied: &mut AppliedChanges) {
        let is_keep_alive_end = |id: &&SessionId| {
            let cause = self.verdict(id).map(|verdict| verdict.cause);
            matches!(cause, Some(Cause::KeepAliveEnded { unused: Some(_), .. }))
        };
        let candidates: Vec<&SessionId> = ids.iter().filter(is_keep_alive_end).collect();
        let owners: BTreeSet<&str> =
            candidates.iter().filter_map(|id| Some(self.records.get(*id)?.owner.as_ref()?.raw())).collect();
        // promise: different-owners, mutant: owners.len() < 2 -> false
        if owners.len() < 2 {
            return;
        }
        for id in candidates {
            if let Some(record) = self.records.get_mut(id) {
                record.ended_with_other_owners = true;
            }
            self.update_alerts(id, now, applied);
        }
    }

    /// Sets the deadline at which the alerts of a session are recomputed.
    fn set_deadline(&mut self, id: &SessionId, deadline: Option<Timestamp>) {
        let Some(record) = self.records.get_mut(id).filter(|record| record.deadline != deadline) else {
            return;
        };
        if let Some(old) = record.deadline {
            self.deadlines.remove(&(old, id.clone()));
        }
        self.deadlines.extend(deadline.map(|at| (at, id.clone())));
        record.deadline = deadline;
    }

    /// Replaces the alerts of a session by `alerts`, and records an event for each new one.
    ///
    /// While the responses contradict each other, the session gets no new alert and keeps its end alerts.
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
        record.alerts.retain(|raised| {
            alerts.contains(&raised.alert) || is_contradictory && raised.alert.is_about_end()
        });
        if record.alerts.len() != previous_count {
            // Without this, a replay would keep the alert if the server's clock goes back later.
            applied.must_be_stored = true;
            self.changes.count_session_change();
        }
        let new: Vec<Alert> = alerts
            .iter()
            .copied()
            .filter(|alert| !record.alerts.iter().any(|raised| raised.alert == *alert))
            .collect();
        for alert in new {
            // If the API retracts an end and reports it again, the alerts of this end are not new: they keep their
            // first event.
            let earlier = self.records.get(id).and_then(|record| record.raised_incident(alert));
            if let Some(raised) = earlier {
                self.add_alert(id, raised);
                continue;
            }
            if is_contradictory {
                continue; // the alert would come and go with each response
            }
            let when = TimeInterval::at(&self.clock, now);
            let seq = self.record_event(Some(id), when, now, EventKind::AlertRaised(alert), applied);
            self.add_alert(id, RaisedAlert { alert, seq, at: self.clock.at(now) });
        }
    }

    /// Adds an alert to a session.
    fn add_alert(&mut self, id: &SessionId, raised: RaisedAlert) {
        let Some(record) = self.records.get_mut(id) else { return };
        record.alerts.push(raised);
        self.changes.count_session_change();
        if raised.alert.is_incident() && record.raised_incident(raised.alert).is_none() {
            record.raised_incidents.push(raised);
        }
    }
}

/// The earliest of several deadlines.
#[derive(Default)]
struct Deadlines {
    earliest: Option<Timestamp>,
}

impl Deadlines {
    fn add(&mut self, deadline: Option<Timestamp>) {
        self.earliest = self.earliest.into_iter().chain(deadline).min();
    }
}

fn is_running(record: &Record) -> bool {
    record.status() == Some(&Status::Running) && !record.is_not_found()
}

/// Returns true if the alert was raised less than `age` before `now`.
fn is_younger_than(raised: RaisedAlert, age: Duration, now: Timestamp) -> bool {
    now < saturating_add(raised.at, age)
}

/// Adds the alert about the time left of a running session, and the time at which the next one is due.
fn time_left_alert(
    record: &Record,
    thresholds: &AlertThresholds,
    server_time: Timestamp,
    alerts: &mut Vec<Alert>,
    deadlines: &mut Deadlines,
) {
    let Some(session) = record.session.as_ref().filter(|_| is_running(record)) else { return };
    let Some(expires) = session.expires else { return };
    let Some(left) = session.seconds_left(server_time) else { return };
    alerts.extend(thresholds.reached(left, session.timeout()).map(Alert::TimeLeft));
    // `Session::seconds_left` counts whole seconds, so the next threshold is reached at the start of a second.
    deadlines.add(thresholds.next(left, session.timeout()).and_then(|next| {
        let seconds = i64::try_from(next.as_secs()).ok()?;
        Timestamp::from_timestamp(expires.timestamp().checked_sub(seconds)?, 0)
    }));
}

/// Adds the alert about a session that has been pending for too long, or the time at which it is due.
fn pending_alert(
    record: &Record,
    thresholds: &AlertThresholds,
    server_time: Timestamp,
    alerts: &mut Vec<Alert>,
    deadlines: &mut Deadlines,
) {
    let is_pending = record.status() == Some(&Status::Pending) && !record.is_not_found();
    let Some(session) = record.session.as_ref().filter(|_| is_pending) else { return };
    // The API sets `startedAt` while a session is still pending, so the time counts from the creation.
    let Some(created) = session.created.or(session.started) else { return };
    let due = saturating_add(created, thresholds.pending);
    if server_time >= due {
        alerts.push(Alert::Pending(thresholds.pending));
    } else {
        deadlines.add(Some(due));
    }
}

/// Returns the alert that the requested release of a session causes now. If there is no such alert yet, returns the
/// moment at which the session gets [`Alert::StillRunning`], unless the session ends before.
///
/// Returns neither if the user requested no release, or if the session has ended or is not found. An exception is
/// [`Alert::ReleaseFailed`]: it is an incident, so it stays after the end of the session.
fn release_alert_or_deadline(record: &Record, now: Moment) -> (Option<Alert>, Option<Moment>) {
    let Some(release) = &record.release else { return (None, None) };
    let is_gone = record.phase() == Phase::Ended || record.is_not_found();
    match &release.failure {
        Some((_, None)) => (Some(Alert::ReleaseFailed), None), // no retry
        _ if is_gone => (None, None),
        _ if now.since(release.requested_at) >= RELEASE_GRACE_PERIOD => {
            (Some(Alert::StillRunning(RELEASE_GRACE_PERIOD)), None)
        }
        _ => (None, Some(release.requested_at.plus(RELEASE_GRACE_PERIOD))),
    }
}
