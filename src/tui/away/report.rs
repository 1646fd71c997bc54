//! The report about an absence: the sessions to look at, the other ends, the costs by owner, and the periods in which
//! nothing was watched. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;

use super::{Absence, AbsenceKind};
use crate::tui::model::Model;
use crate::tui::profiles::ProfileId;
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::{List, Phase, SessionId, Status};
use keepwatch_core::text::{self, Untrusted};
use keepwatch_core::tracker::cost::{Rates, billed_minutes};
use keepwatch_core::tracker::verdict::NEAR_EXPIRY;
use keepwatch_core::tracker::{Alert, Event, EventKind, MAX_WATCHED_GAP, Presence, Record};

/// The maximum number of sessions to look at that the page lists.
const MAX_TO_LOOK_AT: usize = 100;
/// The number of owners with a line of their own, if all other owners share a line.
const MAX_OWNERS: usize = 4;
/// The maximum number of new sessions that the page names.
const MAX_NEW_IDS: usize = 3;
/// The maximum number of unwatched periods that the page lists. It lists the longest.
const MAX_PERIODS: usize = 3;

/// The report about an absence. All times are on the server's clock.
#[derive(Clone, Debug, PartialEq)]
pub struct AwayReport {
    /// The absence.
    pub absence: Absence,
    /// The start of the absence.
    pub since: Timestamp,
    /// The end of the absence.
    pub until: Timestamp,
    /// The numbers of sessions that ended since the start of the absence.
    pub ended: EndCounts,
    /// The sessions with an incident that the user has not acknowledged, the newest incident first. At most
    /// `MAX_TO_LOOK_AT`.
    pub to_look_at: Vec<AwaySession>,
    /// The number of all sessions with an unacknowledged incident.
    pub to_look_at_count: usize,
    /// The number of live sessions that are not in `new`.
    pub still_running: usize,
    /// The earliest expiry of the sessions that `still_running` counts.
    pub next_expiry: Option<Timestamp>,
    /// The number of live sessions that were created since the start of the absence.
    pub new: usize,
    /// The number of pending sessions among those that `new` counts.
    pub new_pending: usize,
    /// The ids of the newest sessions that `new` counts, the newest first. At most `MAX_NEW_IDS`.
    pub new_ids: Vec<SessionId>,
    /// The totals of the ended sessions by owner, the highest cost first. If there is no room for all owners, those whose
    /// sessions ended badly take precedence.
    pub owners: Vec<(Option<Untrusted>, OwnerTotals)>,
    /// The number of owners that are not in `owners`, and the totals of their ended sessions.
    pub other_owners: (usize, OwnerTotals),
    /// The totals of all ended sessions.
    pub together: OwnerTotals,
    /// The periods in which nothing was watched, in chronological order. At most `MAX_PERIODS`, the longest.
    pub unwatched: Vec<UnwatchedPeriod>,
    /// The number of all periods in which nothing was watched.
    pub unwatched_count: usize,
}

/// The numbers of sessions that ended, in all and by kind of end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndCounts {
    /// All.
    pub all: usize,
    /// Those with the alert [`Alert::Error`].
    pub errors: usize,
    /// Those with the alert [`Alert::EndedEarly`].
    pub early: usize,
    /// Those with an incident that are not to look at: the user has acknowledged it, or has muted the session.
    pub acknowledged: usize,
    /// Those that completed without an incident.
    pub completed: usize,
    /// Those of `completed` for which the user requested a release here. It is not certain that the release ended them.
    pub released_here: usize,
    /// Those of `completed` that ended at about their expiry, without such a release.
    pub at_expiry: usize,
    /// Those that reached their timeout, without an incident.
    pub timed_out: usize,
    /// The sessions that the API no longer knows. They are not in `all`, because the time of their end is unknown.
    pub not_found: usize,
}

/// A session to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct AwaySession {
    /// The profile whose record the screen shows.
    pub profile: ProfileId,
    /// The id.
    pub id: SessionId,
    /// The newest status.
    pub status: Option<Status>,
    /// The newest `keepAlive`.
    pub keep_alive: Option<bool>,
    /// The owner that the metadata names.
    pub owner: Option<Untrusted>,
    /// The time of the end.
    pub ended: Option<Timestamp>,
    /// The running time of an ended session.
    pub ran: Option<Duration>,
    /// The reason to look at the session.
    pub why: String,
}

/// Totals of the sessions that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OwnerTotals {
    /// The number of sessions.
    pub sessions: usize,
    /// The running time, from each session's start to its end.
    pub ran: Duration,
    /// The estimated cost of these sessions, in US dollars.
    pub dollars: f64,
    /// The number of sessions that ended in an error.
    pub errors: usize,
    /// The number of keep-alive sessions that ended early.
    pub early: usize,
    /// The number of sessions that reached their timeout.
    pub timed_out: usize,
}

/// A period in which nothing was watched, or nothing of one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnwatchedPeriod {
    /// The start.
    pub from: Timestamp,
    /// The end, or `None` if the period has not ended.
    pub to: Option<Timestamp>,
    /// The reason.
    pub reason: UnwatchedReason,
    /// The profile, or `None` if the reason concerns all profiles.
    pub profile: Option<ProfileId>,
}

/// The reason why nothing was watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnwatchedReason {
    /// No run of keepwatch was active.
    NotRunning,
    /// The user had paused polling.
    Paused,
    /// This machine slept.
    Slept,
    /// All polls failed, or the polls of the running sessions did.
    PollsFailed,
}

impl OwnerTotals {
    fn add(&mut self, record: &Record, rates: &Rates) {
        self.sessions = self.sessions.saturating_add(1);
        if let Some(duration) = record.duration() {
            self.ran = self.ran.saturating_add(duration);
            self.dollars += rates.cost_of_minutes(billed_minutes(duration));
        }
        let bytes = record.session.as_ref().and_then(|session| session.proxy_bytes);
        self.dollars += rates.cost_of_bytes(bytes.unwrap_or(0));
        self.errors = self.errors.saturating_add(usize::from(has_alert(record, Alert::Error)));
        self.early = self.early.saturating_add(usize::from(has_alert(record, Alert::EndedEarly)));
        let timed_out = record.status() == Some(&Status::TimedOut);
        self.timed_out = self.timed_out.saturating_add(usize::from(timed_out));
    }

    fn merge(&mut self, other: &Self) {
        self.sessions = self.sessions.saturating_add(other.sessions);
        self.ran = self.ran.saturating_add(other.ran);
        self.dollars += other.dollars;
        self.errors = self.errors.saturating_add(other.errors);
        self.early = self.early.saturating_add(other.early);
        self.timed_out = self.timed_out.saturating_add(other.timed_out);
    }
}

impl UnwatchedPeriod {
    fn length(&self, now: Timestamp) -> TimeDelta {
        self.to.unwrap_or(now).signed_duration_since(self.from)
    }
}

impl Model {
    /// Computes the report about an absence. Reads all sessions and the events since the start of the absence.
    pub(super) fn away_report(&self, absence: Absence) -> AwayReport {
        let (since, until) = (self.away_start(absence, self.profiles.first_id()), self.absence_end(absence));
        let mut report = AwayReport {
            absence,
            since,
            until,
            ended: EndCounts::default(),
            to_look_at: Vec::new(),
            to_look_at_count: 0,
            still_running: 0,
            next_expiry: None,
            new: 0,
            new_pending: 0,
            new_ids: Vec::new(),
            owners: Vec::new(),
            other_owners: (0, OwnerTotals::default()),
            together: OwnerTotals::default(),
            unwatched: Vec::new(),
            unwatched_count: 0,
        };
        let mut owners: BTreeMap<Option<&str>, OwnerTotals> = BTreeMap::new();
        let mut incidents: Vec<(Timestamp, ProfileId, &Record)> = Vec::new();
        let mut new: Vec<(Timestamp, &SessionId)> = Vec::new();
        for profile in self.profiles.ids() {
            let since = self.away_start(absence, profile);
            for record in self.profiles.get(profile).tracker.records() {
                if !self.profiles.owns(profile, &record.id) {
                    continue;
                }
                let is_to_look_at = self.is_to_look_at(profile, record);
                if is_to_look_at && let Some(at) = newest_incident_time(record) {
                    incidents.push((at, profile, record));
                }
                if ended_since(record, since) {
                    report.ended.add(record, is_to_look_at);
                    report.together.add(record, &self.settings.rates);
                    let owner = record.owner.as_ref().map(Untrusted::raw);
                    owners.entry(owner).or_default().add(record, &self.settings.rates);
                } else if record.is_alive() {
                    report.add_live(record, since, &mut new);
                } else if not_found_since(record, absence) {
                    report.ended.not_found = report.ended.not_found.saturating_add(1);
                }
            }
        }
        new.sort_unstable_by_key(|session| Reverse(*session));
        report.new_ids = new.into_iter().take(MAX_NEW_IDS).map(|(_, id)| id.clone()).collect();
        report.set_owners(owners);
        report.to_look_at_count = incidents.len();
        incidents.sort_unstable_by_key(|(at, profile, record)| (Reverse(*at), *profile, &record.id));
        let today = self.newest_input().map_or(until, |moment| self.profiles.screen_time(moment));
        let listed = incidents.into_iter().take(MAX_TO_LOOK_AT);
        report.to_look_at =
            listed.map(|(_, profile, record)| self.away_session(profile, record, today)).collect();
        (report.unwatched, report.unwatched_count) = self.unwatched_periods(absence);
        report
    }

    /// Returns true if a session probably ended during the absence, and not after it. Reads all sessions.
    pub(super) fn has_end_during(&self, absence: Absence) -> bool {
        self.profiles.ids().any(|profile| {
            let tracker = &self.profiles.get(profile).tracker;
            let (since, until) = (self.away_start(absence, profile), tracker.clock().at(absence.until));
            tracker.records().any(|record| {
                let earliest = record.ended.as_ref().and_then(|ended| ended.when.earliest);
                let first_possible = earliest.or_else(|| record.ended_at());
                ended_since(record, since) && first_possible.is_none_or(|at| at <= until)
            })
        })
    }

    /// Returns the start of the absence on the clock of a profile's server.
    fn away_start(&self, absence: Absence, profile: ProfileId) -> Timestamp {
        let until = self.profiles.get(profile).tracker.clock().at(absence.until);
        let length = TimeDelta::from_std(absence.length).ok();
        length.and_then(|length| until.checked_sub_signed(length)).unwrap_or(Timestamp::MIN_UTC)
    }

    fn absence_end(&self, absence: Absence) -> Timestamp {
        self.profiles.screen_time(absence.until)
    }

    /// Returns true if the session has an incident and an unacknowledged alert, and the user has not muted the session.
    fn is_to_look_at(&self, profile: ProfileId, record: &Record) -> bool {
        record.has_incident()
            && !self.table.muted().contains(&record.id)
            && self.acknowledged.has_unacknowledged(profile, record)
    }

    fn away_session(&self, profile: ProfileId, record: &Record, today: Timestamp) -> AwaySession {
        let session = record.session.as_ref();
        AwaySession {
            profile,
            id: record.id.clone(),
            status: record.status().cloned(),
            keep_alive: session.and_then(|session| session.keep_alive),
            owner: record.owner.clone(),
            ended: record.ended_at(),
            ran: record.duration(),
            why: self.reason(profile, record, today),
        }
    }

    /// Returns the reason to look at a session: the kind of its end, or the sentence of its newest incident.
    fn reason(&self, profile: ProfileId, record: &Record, today: Timestamp) -> String {
        let newest =
            record.alerts.iter().filter(|raised| raised.alert.is_incident()).max_by_key(|raised| raised.seq);
        match newest.map(|raised| raised.alert) {
            Some(Alert::EndedEarly) => match record.unused() {
                Some(unused) => format!("ended early, {} left", text::format_countdown(unused)),
                None => "ended early".into(),
            },
            Some(Alert::EndedTogether) => "ended with sessions of other owners".into(),
            Some(alert) if record.phase() != Phase::Ended => alert.sentence(),
            _ => {
                let verdict = self.profiles.get(profile).tracker.verdict(&record.id);
                verdict.map(|verdict| verdict.text(self.settings.zone, today).short).unwrap_or_default()
            }
        }
    }

    /// Returns the moment of the newest input of all profiles.
    fn newest_input(&self) -> Option<Moment> {
        let moments = self.profiles.iter().filter_map(|(_, state)| state.tracker.last_input_moment());
        moments.max_by_key(|moment| moment.boot)
    }

    /// Returns the longest periods since the start of the absence in which nothing was watched. Also returns the number of
    /// all such periods.
    fn unwatched_periods(&self, absence: Absence) -> (Vec<UnwatchedPeriod>, usize) {
        let mut periods = Vec::new();
        let first_profile = self.profiles.first_id();
        let (since, until) = (self.away_start(absence, first_profile), self.absence_end(absence));
        let whole_absence = |reason| UnwatchedPeriod { from: since, to: Some(until), reason, profile: None };
        if absence.kind == AbsenceKind::NotRunning {
            periods.push(whole_absence(UnwatchedReason::NotRunning));
        } else if absence.was_paused {
            periods.push(whole_absence(UnwatchedReason::Paused));
        }
        for profile in self.profiles.ids() {
            let tracker = &self.profiles.get(profile).tracker;
            let since = self.away_start(absence, profile);
            let events = tracker.timeline().all().rev().take_while(|(_, event)| event.learned_at >= since);
            let past = events.filter_map(|(_, event)| unwatched_period(event, profile));
            // Every profile has an event about a sleep of the machine. The one of the first profile is enough.
            periods.extend(past.filter(|period| period.profile.is_some() || profile == first_profile));
            let streak =
                tracker.health().failure_streak.as_ref().filter(|streak| concerns_running(streak.list));
            periods.extend(streak.map(|streak| UnwatchedPeriod {
                from: tracker.clock().at(streak.first_failure.sent),
                to: None,
                reason: UnwatchedReason::PollsFailed,
                profile: Some(profile),
            }));
        }
        let now = self.newest_input().map_or(until, |moment| self.profiles.screen_time(moment));
        let min_length = TimeDelta::from_std(MAX_WATCHED_GAP).unwrap_or_default();
        periods.retain(|period| period.length(now) >= min_length);
        let count = periods.len();
        periods.sort_by_key(|period| Reverse(period.length(now)));
        periods.truncate(MAX_PERIODS);
        periods.sort_by_key(|period| period.from);
        (periods, count)
    }
}

impl EndCounts {
    fn add(&mut self, record: &Record, is_to_look_at: bool) {
        let count =
            |counter: &mut usize, applies: bool| *counter = counter.saturating_add(usize::from(applies));
        self.all = self.all.saturating_add(1);
        count(&mut self.errors, has_alert(record, Alert::Error));
        count(&mut self.early, has_alert(record, Alert::EndedEarly));
        count(&mut self.acknowledged, record.has_incident() && !is_to_look_at);
        if record.has_incident() {
            return;
        }
        count(&mut self.timed_out, record.status() == Some(&Status::TimedOut));
        if record.status() == Some(&Status::Completed) {
            count(&mut self.completed, true);
            let is_at_expiry = ended_at_expiry(record);
            count(&mut self.released_here, record.release.is_some());
            count(&mut self.at_expiry, record.release.is_none() && is_at_expiry);
        }
    }
}

impl AwayReport {
    fn add_live<'r>(
        &mut self,
        record: &'r Record,
        since: Timestamp,
        new: &mut Vec<(Timestamp, &'r SessionId)>,
    ) {
        let session = record.session.as_ref();
        let began = session.and_then(|session| session.created.or(session.started));
        match began.filter(|began| *began >= since) {
            Some(began) => {
                self.new = self.new.saturating_add(1);
                let is_pending = record.status() == Some(&Status::Pending);
                self.new_pending = self.new_pending.saturating_add(usize::from(is_pending));
                new.push((began, &record.id));
            }
            None => {
                self.still_running = self.still_running.saturating_add(1);
                let expires = session.and_then(|session| session.expires);
                self.next_expiry = self.next_expiry.into_iter().chain(expires).min();
            }
        }
    }

    /// Sets `owners` and `other_owners`. If there is no room for all owners, those whose sessions ended badly take
    /// precedence, and then those with the highest costs.
    fn set_owners(&mut self, owners: BTreeMap<Option<&str>, OwnerTotals>) {
        let mut owners: Vec<_> = owners.into_iter().collect();
        let by_cost = |a: &OwnerTotals, b: &OwnerTotals| b.dollars.total_cmp(&a.dollars);
        // An owner whose sessions ended badly must not be hidden among the others.
        let ended_badly = |totals: &OwnerTotals| totals.errors > 0 || totals.early > 0;
        owners.sort_by(|(_, a), (_, b)| ended_badly(b).cmp(&ended_badly(a)).then_with(|| by_cost(a, b)));
        // A shared line for only one owner saves no room, so that owner gets its own line.
        let listed = if owners.len() > MAX_OWNERS.saturating_add(1) { MAX_OWNERS } else { owners.len() };
        let others = owners.split_off(listed);
        let mut totals = OwnerTotals::default();
        others.iter().for_each(|(_, owner)| totals.merge(owner));
        self.other_owners = (others.len(), totals);
        owners.sort_by(|(_, a), (_, b)| by_cost(a, b));
        self.owners = owners.into_iter().map(|(owner, totals)| (owner.map(Untrusted::new), totals)).collect();
    }
}

fn has_alert(record: &Record, alert: Alert) -> bool {
    record.alerts.iter().any(|raised| raised.alert == alert)
}

/// Returns the time of a session's newest incident, or `None` without an incident. If the session has ended, the time is
/// that of its end, otherwise that at which the alert was raised.
fn newest_incident_time(record: &Record) -> Option<Timestamp> {
    let raised =
        record.alerts.iter().filter(|raised| raised.alert.is_incident()).map(|raised| raised.at).max();
    raised.map(|raised| record.ended_at().unwrap_or(raised))
}

/// Returns true if the session ended at `since` or later. If the time of the end is unknown, the first response that
/// shows the end counts.
fn ended_since(record: &Record, since: Timestamp) -> bool {
    let Some(ended) = record.ended.as_ref().filter(|_| record.phase() == Phase::Ended) else { return false };
    record.ended_at().unwrap_or(ended.when.latest) >= since
}

/// Returns true if the API does not know the session, and first said so after the start of the absence.
fn not_found_since(record: &Record, absence: Absence) -> bool {
    match &record.presence {
        Presence::NotFound(not_found) => {
            not_found.since.received.boot >= absence.until.boot.saturating_sub(absence.length)
        }
        Presence::NoResponseYet | Presence::Present | Presence::Unlisted { .. } => false,
    }
}

/// Returns true if the session ended about when it expired.
fn ended_at_expiry(record: &Record) -> bool {
    let expires = record.session.as_ref().and_then(|session| session.expires);
    let distance =
        record.ended_at().zip(expires).map(|(ended, expires)| ended.signed_duration_since(expires).abs());
    distance.and_then(|distance| distance.to_std().ok()).is_some_and(|distance| distance <= NEAR_EXPIRY)
}

/// Returns true unless only the polls of the pending sessions fail. `list` is the list whose polls fail, or `None` if all
/// polls fail.
fn concerns_running(list: Option<List>) -> bool {
    list != Some(List::Pending)
}

/// Returns the period without watching that an event ends: a sleep, or failed polls.
fn unwatched_period(event: &Event, profile: ProfileId) -> Option<UnwatchedPeriod> {
    let (length, reason, profile) = match &event.kind {
        EventKind::Slept(length) => (*length, UnwatchedReason::Slept, None),
        EventKind::PollsRecovered { list, outage } if concerns_running(*list) => {
            (*outage, UnwatchedReason::PollsFailed, Some(profile))
        }
        _ => return None,
    };
    let length = TimeDelta::from_std(length).ok()?;
    let from = event.learned_at.checked_sub_signed(length)?;
    Some(UnwatchedPeriod { from, to: Some(event.learned_at), reason, profile })
}
