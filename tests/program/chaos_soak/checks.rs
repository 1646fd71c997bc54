//! Compares the sessions in the program's journal with the ground truth and with the responses that the program got.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use browserbase_simulator::{
    FaultResponse, FaultTarget, FinalStatus, Offset, RequestLogEntry, Scenario, TruthEvent, Window,
};
use serde_json::Value;

use super::allowed_verdicts::{NO_VERDICT, SessionTruth};

/// The program's timeout of a request. A request without a response delays the next poll by this much.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The program's limit for the body of a response about one session.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The program's retry delay after a rejected API key, and its longest retry delay after other failures.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);
/// Additional delay allowed on a busy machine.
const BUSY_SLACK: Duration = Duration::from_secs(3);
/// Longest time between the moment that a response describes and the moment that it is sent.
const MAX_RESPONSE_DELAY: Duration = Duration::from_millis(200);

/// All requests, in order of arrival. The simulator's own log keeps only the newest ones.
#[derive(Debug)]
pub(super) struct RequestLog {
    /// The requests by arrival, path and query. [`Self::add`] gets each request several times, and keeps the newest
    /// entry, which has the response.
    requests: BTreeMap<(Duration, String, String), RequestLogEntry>,
    /// Windows in which padding makes the response about one session too large for the program.
    too_large: Vec<Window>,
}

impl RequestLog {
    /// Returns an empty log for a simulator that plays `scenario`.
    pub(super) fn new(scenario: &Scenario) -> Self {
        let too_large =
            scenario.faults.iter().filter(|fault| fault.padding > MAX_BODY_BYTES).map(|fault| fault.window);
        Self { requests: BTreeMap::new(), too_large: too_large.collect() }
    }

    pub(super) fn add(&mut self, log: Vec<RequestLogEntry>) {
        self.requests.extend(
            log.into_iter().map(|entry| ((entry.at, entry.path.clone(), entry.query.clone()), entry)),
        );
    }

    /// Returns the times of the truthful responses to requests for `path` with `query`.
    fn truthful_responses(&self, path: &str, query: &str) -> Vec<Offset> {
        let entries = self.requests.values().filter(|entry| entry.path == path && entry.query == query);
        entries
            .filter(|entry| self.is_truthful(entry))
            .filter_map(|entry| entry.answered_at)
            .map(Offset::from_duration)
            .collect()
    }

    /// Counts the requests that each kind of fault affected.
    fn fault_counts(&self) -> BTreeMap<&'static str, usize> {
        self.requests.values().filter_map(|entry| entry.fault).fold(BTreeMap::new(), |mut counts, fault| {
            *counts.entry(fault).or_insert(0) += 1;
            counts
        })
    }

    /// Returns true if the program can read the truth in the response: no fault changed the response, or the change
    /// does not matter.
    fn is_truthful(&self, entry: &RequestLogEntry) -> bool {
        let is_list = entry.path == "/v1/sessions";
        let is_readable = match entry.fault {
            None | Some("slow") => true,
            // The program does not need the body of a 404.
            Some("padded" | "truncated") if !is_list && entry.status == Some(404) => true,
            // The limit for the body of a list is larger than any padding.
            Some("padded") => {
                is_list || !self.too_large.iter().any(|it| it.contains(Offset::from_duration(entry.at)))
            }
            Some(_) => false,
        };
        let is_usual_status =
            if is_list { entry.status == Some(200) } else { matches!(entry.status, Some(200 | 404)) };
        entry.method == "GET" && is_readable && is_usual_status
    }
}

/// The ground truth, and the faults that may have hidden it from the program.
pub(super) struct Checker {
    sessions: HashMap<String, SessionTruth>,
    /// Start and end of each fault that makes polls fail, and the longest retry delay after it. Faults of requests for
    /// one session are among them, because a failure that concerns all requests also delays the lists.
    faults: Vec<(Offset, Offset, Duration)>,
    interval: Duration,
    /// Time at which the soak cleared all faults.
    faults_ended: Offset,
}

/// Figures and problems found by [`Checker::check`].
pub(super) struct Findings {
    /// Number of sessions that appeared before the program quit.
    sessions: usize,
    /// Number of sessions in the journal.
    seen: usize,
    /// Number of sessions that lived long enough to be listed, and are not in the journal.
    hidden: usize,
    /// Number of sessions in the journal that ended before the program quit.
    ends: usize,
    /// Number of sessions that another client released.
    released: usize,
    /// Number of sessions with each verdict.
    verdicts: BTreeMap<String, usize>,
    /// Number of requests that the program sent.
    requests: usize,
    /// Number of requests that each kind of fault affected.
    faults: BTreeMap<&'static str, usize>,
    /// Longest time without a list of running sessions.
    longest_gap: Duration,
    /// One message for each problem.
    pub(super) problems: Vec<String>,
}

impl Checker {
    pub(super) fn new(
        truth: &[TruthEvent],
        scenario: &Scenario,
        interval: Duration,
        faults_ended: Offset,
    ) -> Self {
        let mut events_by_id: HashMap<&str, Vec<&TruthEvent>> = HashMap::new();
        for event in truth {
            events_by_id.entry(&event.id).or_default().push(event);
        }
        let sessions = events_by_id
            .into_iter()
            .filter_map(|(id, events)| Some((id.to_owned(), SessionTruth::from_events(events.into_iter())?)));
        let faults = scenario.faults.iter().filter(|fault| {
            matches!(fault.target, FaultTarget::All | FaultTarget::List | FaultTarget::Retrieve)
        });
        let faults = faults.map(|fault| {
            let retry_delay = match &fault.response {
                FaultResponse::Hang => REQUEST_TIMEOUT,
                FaultResponse::Error(error) if matches!(error.status.as_u16(), 401 | 403) => MAX_RETRY_DELAY,
                FaultResponse::Error(error) => error.retry_after.map_or(Duration::ZERO, |(delay, _)| delay),
                _ => fault.delay,
            };
            (fault.window.from, fault.window.to.min(faults_ended), retry_delay)
        });
        Self { sessions: sessions.collect(), faults: faults.collect(), interval, faults_ended }
    }

    /// Returns the sessions that a list contained, with the time of the last such list.
    fn listed_sessions(&self, requests: &RequestLog) -> HashMap<&str, Offset> {
        let mut listed = HashMap::new();
        for (query, running) in [("status=RUNNING", true), ("status=PENDING", false)] {
            for at in requests.truthful_responses("/v1/sessions", query) {
                // The list describes some moment between these two.
                let earliest = at.minus(Offset::from_duration(MAX_RESPONSE_DELAY));
                let is_in_list =
                    |truth: &SessionTruth| truth.is_listed(earliest, running) && truth.is_listed(at, running);
                listed.extend(
                    self.sessions
                        .iter()
                        .filter(|(_, truth)| is_in_list(truth))
                        .map(|(id, _)| (id.as_str(), at)),
                );
            }
        }
        listed
    }

    /// Returns the listed sessions that ended before the faults were cleared and that the program has not polled since
    /// their end.
    pub(super) fn unpolled_ends(&self, requests: &RequestLog) -> Vec<&str> {
        let last_polls = requests.last_single_responses();
        let is_unpolled = |id: &str| {
            let end = self.sessions[id].end_time();
            end < self.faults_ended && last_polls.get(id).is_none_or(|last| *last < end)
        };
        self.listed_sessions(requests).into_keys().filter(|id| is_unpolled(id)).collect()
    }

    /// Describes the truth and all requests about a session, for a failure message.
    pub(super) fn describe_session(&self, id: &str, requests: &RequestLog) -> String {
        let path = format!("/v1/sessions/{id}");
        let own_requests = requests.requests.values().filter(|entry| entry.path == path);
        let own_requests = own_requests.map(|entry| format!("  {entry:?}\n"));
        let (truth, listed) = (&self.sessions[id], self.listed_sessions(requests).remove(id));
        format!(
            "{id}, last listed at {listed:?}, faults ended at {:?}\n  {truth:?}\n{}",
            self.faults_ended,
            own_requests.collect::<String>()
        )
    }

    /// Checks all sessions in `history`, the journal of a program that exited at `quit`.
    pub(super) fn check(&self, history: &[Value], requests: &RequestLog, quit: Offset) -> Findings {
        let journaled: HashMap<&str, &Value> =
            history.iter().map(|session| (session["session"].as_str().unwrap(), session)).collect();
        let listed = self.listed_sessions(requests);
        // A session in one of the last lists may not have reached the journal.
        let last_lists = quit.minus(Offset::from_duration(2 * self.interval));
        let is_lost = |id: &str, last: Offset| last < last_lists && !journaled.contains_key(id);
        let lost = listed.iter().filter(|(id, last)| is_lost(id, **last));
        let lost = lost.map(|(id, _)| format!("{id} was listed and then lost: {:?}", self.sessions[*id]));
        let mut problems: Vec<String> = lost.collect();
        let longest_gap = self.check_gaps(requests, quit, &mut problems);
        let mut verdicts = BTreeMap::new();
        for (id, session) in &journaled {
            let truth = &self.sessions[*id];
            let verdict = session["verdict"]["name"].as_str().unwrap_or(NO_VERDICT);
            let allowed = truth.allowed_verdicts(self.faults_ended, quit, |at| {
                listed.get(id).is_some_and(|last| at <= last.minus(Offset::from_duration(MAX_RESPONSE_DELAY)))
            });
            if !allowed.contains(verdict) {
                problems.push(format!(
                    "{id} has verdict {verdict}, not one of {allowed:?}\n  {truth:?}\n  {session}"
                ));
            }
            problems.extend(status_mismatch(truth, session, verdict));
            *verdicts.entry(verdict.to_owned()).or_insert(0) += 1;
        }
        let three_intervals = Offset::from_duration(3 * self.interval);
        let is_long_lived = |truth: &&SessionTruth| {
            let from = truth.appeared.max(Offset::START);
            three_intervals < truth.end_time().min(quit).minus(from)
        };
        let hidden = self
            .sessions
            .iter()
            .filter(|(id, truth)| is_long_lived(truth) && !journaled.contains_key(id.as_str()))
            .count();
        Findings {
            sessions: self.sessions.values().filter(|truth| truth.appeared < quit).count(),
            seen: journaled.len(),
            hidden,
            ends: journaled.keys().filter(|id| self.sessions[**id].end_time() < quit).count(),
            released: self.sessions.values().filter(|truth| truth.was_released(quit)).count(),
            verdicts,
            requests: requests.requests.len(),
            faults: requests.fault_counts(),
            longest_gap,
            problems,
        }
    }

    /// Returns the longest gap between two lists of running sessions. Adds a problem for each gap that is longer than
    /// faults and their retry delays explain. Without such a gap, a session that was in no list lived for at most three
    /// intervals, or faults hid it.
    fn check_gaps(&self, requests: &RequestLog, quit: Offset, problems: &mut Vec<String>) -> Duration {
        let mut times = vec![Offset::START];
        times.extend(requests.truthful_responses("/v1/sessions", "status=RUNNING"));
        times.push(quit);
        times.sort_unstable();
        let mut longest = Duration::ZERO;
        for pair in times.windows(2) {
            let gap = pair[1].minus(pair[0]).to_duration();
            let faults = self.faults.iter().filter(|(from, to, _)| *from < pair[1] && pair[0] < *to);
            // The backoff doubles while a fault lasts, so the last delay may be twice as long as the fault. A fifth
            // more is for the randomness of the delays.
            let explained =
                faults.map(|(from, to, retry_delay)| 3 * to.minus(*from).to_duration() + 2 * *retry_delay);
            let explained = explained.sum::<Duration>();
            let max_gap = explained + explained / 5 + 3 * self.interval + BUSY_SLACK;
            if gap > max_gap {
                problems.push(format!("no list for {gap:?} until {:?}; faults explain {max_gap:?}", pair[1]));
            }
            longest = longest.max(gap);
        }
        longest
    }
}

/// Returns a message if a session has a verdict on its end, but not the status with which it ended.
fn status_mismatch(truth: &SessionTruth, session: &Value, verdict: &str) -> Option<String> {
    let end = truth.ended.filter(|_| ![NO_VERDICT, "gone", "overdue"].contains(&verdict))?;
    let status = match end.status {
        FinalStatus::Completed => "COMPLETED",
        FinalStatus::Error => "ERROR",
        FinalStatus::TimedOut => "TIMED_OUT",
    };
    (session["status"] != status).then(|| format!("the session ended as {status}, not as in {session}"))
}

impl RequestLog {
    /// Returns the time of the last truthful response to a request for each single session.
    fn last_single_responses(&self) -> HashMap<&str, Offset> {
        let singles = self
            .requests
            .values()
            .filter_map(|entry| Some((entry.path.strip_prefix("/v1/sessions/")?, entry)));
        singles
            .filter(|(_, entry)| self.is_truthful(entry))
            .filter_map(|(id, entry)| Some((id, Offset::from_duration(entry.answered_at?))))
            .collect()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |counts: Vec<String>| counts.join(", ");
        let verdicts = self.verdicts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let faults = self.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(
            f,
            "  {} sessions, {} seen, {} hidden by faults; {} of those seen had ended; {} released by another client",
            self.sessions, self.seen, self.hidden, self.ends, self.released
        )?;
        writeln!(f, "  verdicts: {}", joined(verdicts))?;
        writeln!(f, "  {} requests, with faults: {}", self.requests, joined(faults))?;
        writeln!(f, "  at most {:.1} s without a list", self.longest_gap.as_secs_f64())
    }
}
