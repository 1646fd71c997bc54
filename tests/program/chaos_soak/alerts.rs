//! Compares every alert about an end with the rule for such alerts, which this module implements a second time:
//!
//! ```text
//!   ERROR                                                              error
//!   COMPLETED with keep-alive, after less than a minute, more than 5 s
//!   before its expiry, no release requested in the program             ended_early
//!   keep-alive sessions of several owners ended together               ended_together
//!   every other end                                                    no alert
//! ```
//!
//! The recording of the soak is replayed. After each input, the sessions that it changed must have the alerts `error` and
//! `ended_early` if and only if the rule says so. An alert `ended_together` must follow the rule, but this module does not
//! notice a missing one. The findings also count the true causes of the ends, which the program cannot know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use browserbase_simulator::{EndCause, FinalStatus, TruthEvent, TruthEventKind};
use keepwatch::store::Recording;
use keepwatch_core::session::{SessionId, Status};
use keepwatch_core::tracker::{Alert, EventKind, Record, SessionTracker};

/// The running time below which the end of a keep-alive session is early.
const EARLY: Duration = Duration::from_secs(60);
/// The time before the expiry up to which an end can be a timeout.
const NEAR_EXPIRY: Duration = Duration::from_secs(5);
/// The distance from a limit within which this module does not decide. The program widens inexact ends by the
/// uncertainty of the server clock.
const TOLERANCE: Duration = Duration::from_secs(2);

/// The result of the comparison.
#[derive(Debug, Default)]
pub(super) struct AlertFindings {
    /// The number of alerts of each kind.
    raised: BTreeMap<&'static str, usize>,
    /// One message for each alert that is against the rule, and for each missing alert.
    pub(super) problems: Vec<String>,
    /// The number of sessions with an alert about their end, by the true cause.
    causes: BTreeMap<String, usize>,
    /// The number of failures without an alert: ends with ERROR, or caused by the platform or the browser.
    missed_failures: usize,
}

/// Replays the recording and checks its alerts. `truth` has all events of the soak.
pub(super) fn check_alerts(recording: &Path, truth: &[TruthEvent]) -> AlertFindings {
    let mut file = std::io::BufReader::new(std::fs::File::open(recording).unwrap());
    let recording = Recording::read(&mut file).unwrap();
    let mut tracker = SessionTracker::new(recording.header.alert_rules.clone());
    let mut findings = AlertFindings::default();
    let mut alerted_ids = BTreeSet::new();
    let mut ended_ids = BTreeSet::new();
    let mut newest_cluster = Vec::new(); // the sessions of the newest event `ended_together`
    for (_, input) in recording.input_log.inputs() {
        let applied = tracker.apply(input);
        for event in &applied.events {
            if let EventKind::EndedTogether { ids, .. } = &event.kind {
                newest_cluster = ids.clone();
            }
            if let (Some(id), EventKind::AlertRaised(Alert::EndedTogether)) = (&event.id, &event.kind)
                && !(newest_cluster.contains(id) && owner_count(&tracker, &newest_cluster) > 1)
            {
                findings
                    .problems
                    .push(format!("{}: ended_together needs a cluster of several owners", id.raw()));
            }
            if let (Some(id), EventKind::AlertRaised(alert)) = (&event.id, &event.kind) {
                *findings.raised.entry(alert.name()).or_insert(0) += 1;
                if alert.is_about_end() {
                    alerted_ids.insert(id.raw().to_owned());
                }
            }
        }
        let ids: BTreeSet<&SessionId> = applied.changed.iter().map(|(id, _)| id).collect();
        for record in ids.into_iter().filter_map(|id| tracker.get(id)) {
            if record.ended.is_some() {
                ended_ids.insert(record.id.raw().to_owned());
            }
            findings.problems.extend(compare(record));
        }
    }
    count_causes(truth, &alerted_ids, &ended_ids, &mut findings);
    findings
}

/// Returns the number of known owners of these sessions.
fn owner_count(tracker: &SessionTracker, ids: &[SessionId]) -> usize {
    let owners = ids.iter().filter_map(|id| Some(tracker.get(id)?.owner.as_ref()?.raw()));
    owners.collect::<BTreeSet<&str>>().len()
}

/// Returns a message if the alerts of a session are against the rule.
fn compare(record: &Record) -> Option<String> {
    if record.has_contradictory_responses() {
        return None; // alerts wait until the responses agree
    }
    let has = |alert| record.alerts.iter().any(|raised| raised.alert == alert);
    let session = record.session.as_ref()?;
    let is_error = session.status == Status::Error;
    if has(Alert::Error) != is_error {
        return Some(format!(
            "{}: error by the rule: {is_error}; alerts: {:?}",
            session.id.raw(),
            record.alerts
        ));
    }
    let is_early = ended_early(record)?;
    (has(Alert::EndedEarly) != is_early).then(|| {
        format!(
            "{}: early by the rule: {is_early}; alerts: {:?}; {session:?}",
            session.id.raw(),
            record.alerts
        )
    })
}

/// Returns true if the session ended early by the rule, and `None` if it is too close to a limit to decide.
fn ended_early(record: &Record) -> Option<bool> {
    let session = record.session.as_ref()?;
    let is_completed_keep_alive = session.status == Status::Completed && session.keep_alive == Some(true);
    let (Some(ran), Some(unused)) = (record.duration(), record.unused()) else { return Some(false) };
    if !is_completed_keep_alive || record.release.is_some() {
        return Some(false);
    }
    if ran.abs_diff(EARLY) <= TOLERANCE || unused.abs_diff(NEAR_EXPIRY) <= TOLERANCE {
        return None;
    }
    Some(ran < EARLY && unused > NEAR_EXPIRY)
}

/// Counts the true causes of the ends with an alert, and the failures that the program saw without raising an alert.
fn count_causes(
    truth: &[TruthEvent],
    alerted_ids: &BTreeSet<String>,
    ended_ids: &BTreeSet<String>,
    findings: &mut AlertFindings,
) {
    for event in truth {
        let TruthEventKind::Ended { status, cause, .. } = &event.kind else { continue };
        if alerted_ids.contains(&event.id) {
            *findings.causes.entry(format!("{cause:?}").to_lowercase()).or_insert(0) += 1;
        } else if ended_ids.contains(&event.id)
            && (*status == FinalStatus::Error || matches!(cause, EndCause::Failure | EndCause::Platform))
        {
            findings.missed_failures += 1;
        }
    }
}

impl fmt::Display for AlertFindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raised: Vec<String> = self.raised.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let causes: Vec<String> =
            self.causes.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
        writeln!(f, "  alerts: {}; {} against the rule", raised.join(", "), self.problems.len())?;
        writeln!(
            f,
            "  true causes of the ends with an alert: {}; {} failures without one",
            causes.join(", "),
            self.missed_failures
        )
    }
}
