//! What the program made of the chaos, held against what really happened and against what it was told.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use browserbase_simulator::{
    FaultResponse, FaultTarget, FinalStatus, Offset, RequestLogEntry, Scenario, TruthEvent, Window,
};
use serde_json::Value;

use super::allowed_verdicts::{NO_VERDICT, SessionTruth};

/// The program's own limit of an answer: what hangs costs so much.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The most that it takes as the answer about one session.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// After it was refused it rests so long, and after other failures at most as long.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);
/// A busy machine may take so much longer for it all.
const BUSY_SLACK: Duration = Duration::from_secs(3);
/// Answers are worked out up to so long before they go out.
const MAX_RESPONSE_DELAY: Duration = Duration::from_millis(200);

/// The requests that came, by when: the simulator's log keeps only the last.
#[derive(Debug)]
pub(super) struct RequestLog {
    hits: BTreeMap<(Duration, String, String), RequestLogEntry>,
    /// While what is padded is more than the program takes of one session.
    too_large: Vec<Window>,
}

impl RequestLog {
    /// None yet, of who plays `script`.
    pub(super) fn new(script: &Scenario) -> Self {
        let too_large =
            script.faults.iter().filter(|fault| fault.padding > MAX_BODY_BYTES).map(|fault| fault.window);
        Self { hits: BTreeMap::new(), too_large: too_large.collect() }
    }

    pub(super) fn add(&mut self, log: Vec<RequestLogEntry>) {
        self.hits.extend(log.into_iter().map(|hit| ((hit.at, hit.path.clone(), hit.query.clone()), hit)));
    }

    /// When the truth went out to who asked for `path` and `query`.
    fn truthful_responses(&self, path: &str, query: &str) -> Vec<Offset> {
        let of_it = self.hits.values().filter(|hit| hit.path == path && hit.query == query);
        of_it
            .filter(|hit| self.is_truthful(hit))
            .filter_map(|hit| hit.answered_at)
            .map(Offset::from_duration)
            .collect()
    }

    /// How many requests met each kind of fault.
    fn faults(&self) -> BTreeMap<&'static str, usize> {
        self.hits.values().filter_map(|hit| hit.fault).fold(BTreeMap::new(), |mut faults, fault| {
            *faults.entry(fault).or_insert(0) += 1;
            faults
        })
    }

    /// Whether it was answered as it is without faults, and so that the program can take it.
    fn is_truthful(&self, hit: &RequestLogEntry) -> bool {
        let of_lists = hit.path == "/v1/sessions";
        let as_it_is = match hit.fault {
            None | Some("slow") => true,
            // A 404 is one, whatever comes of its body.
            Some("padded" | "truncated") if !of_lists && hit.status == Some(404) => true,
            Some("padded") => {
                of_lists || !self.too_large.iter().any(|it| it.contains(Offset::from_duration(hit.at)))
            }
            Some(_) => false,
        };
        let status = if of_lists { hit.status == Some(200) } else { matches!(hit.status, Some(200 | 404)) };
        hit.method == "GET" && as_it_is && status
    }
}

/// What really happened, and how long it may have stayed hidden.
pub(super) struct Checker {
    sessions: HashMap<String, SessionTruth>,
    /// From when to when polls failed, and how much longer the program may rest after that. Of one session, too: what
    /// concerns all holds the lists up as well.
    faults: Vec<(Offset, Offset, Duration)>,
    interval: Duration,
    /// When the faults ended.
    healed: Offset,
}

/// What came of it.
pub(super) struct Findings {
    sessions: usize,
    seen: usize,
    hidden: usize,
    ends: usize,
    released: usize,
    verdicts: BTreeMap<String, usize>,
    requests: usize,
    faults: BTreeMap<&'static str, usize>,
    longest_gap: Duration,
    /// What may not be, a sentence each.
    pub(super) problems: Vec<String>,
}

impl Checker {
    pub(super) fn new(truth: &[TruthEvent], script: &Scenario, interval: Duration, healed: Offset) -> Self {
        let mut facts: HashMap<&str, Vec<&TruthEvent>> = HashMap::new();
        for fact in truth {
            facts.entry(&fact.id).or_default().push(fact);
        }
        let lives = facts
            .into_iter()
            .filter_map(|(id, facts)| Some((id.to_owned(), SessionTruth::from_facts(facts.into_iter())?)));
        let faults = script.faults.iter().filter(|fault| {
            matches!(fault.target, FaultTarget::All | FaultTarget::List | FaultTarget::Retrieve)
        });
        let faults = faults.map(|fault| {
            let rest = match &fault.response {
                FaultResponse::Hang => REQUEST_TIMEOUT,
                FaultResponse::Error(refusal) if matches!(refusal.status.as_u16(), 401 | 403) => {
                    MAX_RETRY_DELAY
                }
                FaultResponse::Error(refusal) => refusal.retry_after.map_or(Duration::ZERO, |(wait, _)| wait),
                _ => fault.delay,
            };
            (fault.window.from, fault.window.to.min(healed), rest)
        });
        Self { sessions: lives.collect(), faults: faults.collect(), interval, healed }
    }

    /// The sessions that a list told of, with when it did so last.
    fn listed_sessions(&self, asked: &RequestLog) -> HashMap<&str, Offset> {
        let mut told = HashMap::new();
        for (query, running) in [("status=RUNNING", true), ("status=PENDING", false)] {
            for at in asked.truthful_responses("/v1/sessions", query) {
                let from = at.minus(Offset::from_duration(MAX_RESPONSE_DELAY));
                let is_in =
                    |life: &SessionTruth| life.is_listed(from, running) && life.is_listed(at, running);
                told.extend(
                    self.sessions.iter().filter(|(_, life)| is_in(life)).map(|(id, _)| (id.as_str(), at)),
                );
            }
        }
        told
    }

    /// The sessions that a list told of and that were gone before the faults ended, and that were not asked for since.
    pub(super) fn unpolled_ends(&self, asked: &RequestLog) -> Vec<&str> {
        let told = self.listed_sessions(asked);
        let singles = asked.last_single_responses();
        let is_open = |id: &str| {
            let gone = self.sessions[id].end_time();
            gone < self.healed && singles.get(id).is_none_or(|last| *last < gone)
        };
        told.into_keys().filter(|id| is_open(id)).collect()
    }

    /// What speaks for a session's being lost.
    pub(super) fn describe_session(&self, id: &str, asked: &RequestLog) -> String {
        let path = format!("/v1/sessions/{id}");
        let hits = asked.hits.values().filter(|hit| hit.path == path).map(|hit| format!("  {hit:?}\n"));
        let (life, told) = (&self.sessions[id], self.listed_sessions(asked).remove(id));
        format!(
            "{id}, told of at {told:?}, healed at {:?}\n  {life:?}\n{}",
            self.healed,
            hits.collect::<String>()
        )
    }

    pub(super) fn check(&self, history: &[Value], asked: &RequestLog, quit: Offset) -> Findings {
        let known: HashMap<&str, &Value> =
            history.iter().map(|seen| (seen["session"].as_str().unwrap(), seen)).collect();
        let told = self.listed_sessions(asked);
        let before_the_end = quit.minus(Offset::from_duration(2 * self.interval));
        let is_lost = |id: &str, last: Offset| last < before_the_end && !known.contains_key(id);
        let lost = told.iter().filter(|(id, last)| is_lost(id, **last));
        let lost = lost.map(|(id, _)| format!("{id} was in a list, and is lost: {:?}", self.sessions[*id]));
        let mut wrong: Vec<String> = lost.collect();
        let longest_gap = self.check_gaps(asked, quit, &mut wrong);
        let mut verdicts = BTreeMap::new();
        for (id, seen) in &known {
            let life = &self.sessions[*id];
            let said = seen["verdict"]["name"].as_str().unwrap_or(NO_VERDICT);
            let allowed = life.allowed_verdicts(self.healed, quit, |at| {
                told.get(id).is_some_and(|last| at <= last.minus(Offset::from_duration(MAX_RESPONSE_DELAY)))
            });
            if !allowed.contains(said) {
                wrong.push(format!("“{said}” of {id}, for which {allowed:?} would do\n  {life:?}\n  {seen}"));
            }
            wrong.extend(status_mismatch(life, seen, said));
            *verdicts.entry(said.to_owned()).or_insert(0) += 1;
        }
        let three = Offset::from_duration(3 * self.interval);
        let long = |life: &&SessionTruth| {
            let from = life.appeared.max(Offset::START);
            three < life.end_time().min(quit).minus(from)
        };
        let hidden =
            self.sessions.iter().filter(|(id, life)| long(life) && !known.contains_key(id.as_str())).count();
        Findings {
            sessions: self.sessions.values().filter(|life| life.appeared < quit).count(),
            seen: known.len(),
            hidden,
            ends: known.keys().filter(|id| self.sessions[**id].end_time() < quit).count(),
            released: self.sessions.values().filter(|life| life.was_released(quit)).count(),
            verdicts,
            requests: asked.hits.len(),
            faults: asked.faults(),
            longest_gap,
            problems: wrong,
        }
    }

    /// The longest time without a list of running sessions: never more than faults, and the rest that they call for, explain.
    /// So a session that no list told of was there for three intervals at most, or faults hid it.
    fn check_gaps(&self, asked: &RequestLog, quit: Offset, wrong: &mut Vec<String>) -> Duration {
        let mut told = vec![Offset::START];
        told.extend(asked.truthful_responses("/v1/sessions", "status=RUNNING"));
        told.push(quit);
        told.sort_unstable();
        let mut longest = Duration::ZERO;
        for pair in told.windows(2) {
            let gap = pair[1].minus(pair[0]).to_duration();
            let of_it = self.faults.iter().filter(|(from, to, _)| *from < pair[1] && pair[0] < *to);
            let explained = of_it.map(|(from, to, rest)| 3 * to.minus(*from).to_duration() + 2 * *rest);
            let explained = explained.sum::<Duration>();
            let most = explained + explained / 5 + 3 * self.interval + BUSY_SLACK;
            if gap > most {
                wrong.push(format!(
                    "no list for {gap:?} until {:?}, of {most:?} that faults explain",
                    pair[1]
                ));
            }
            longest = longest.max(gap);
        }
        longest
    }
}

/// A verdict on an end has to stand beside the status with which the session really ended; what is wrong, if it does not.
fn status_mismatch(life: &SessionTruth, seen: &Value, said: &str) -> Option<String> {
    let end = life.ended.filter(|_| ![NO_VERDICT, "gone", "overdue"].contains(&said))?;
    let status = match end.status {
        FinalStatus::Completed => "COMPLETED",
        FinalStatus::Error => "ERROR",
        FinalStatus::TimedOut => "TIMED_OUT",
    };
    (seen["status"] != status).then(|| format!("it ended as {status}, and not as {seen} says"))
}

impl RequestLog {
    /// When the truth about each session went out to who asked for it alone, the last time.
    fn last_single_responses(&self) -> HashMap<&str, Offset> {
        let of_one =
            self.hits.values().filter_map(|hit| Some((hit.path.strip_prefix("/v1/sessions/")?, hit)));
        of_one
            .filter(|(_, hit)| self.is_truthful(hit))
            .filter_map(|(id, hit)| Some((id, Offset::from_duration(hit.answered_at?))))
            .collect()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |of: Vec<String>| of.join(", ");
        let verdicts = self.verdicts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let faults = self.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(
            f,
            "  {} sessions, {} seen, {} that faults hid; {} of those seen were over; {} released by another client",
            self.sessions, self.seen, self.hidden, self.ends, self.released
        )?;
        writeln!(f, "  verdicts: {}", told(verdicts))?;
        writeln!(f, "  {} requests, with faults: {}", self.requests, told(faults))?;
        writeln!(f, "  at most {:.1} s without a list", self.longest_gap.as_secs_f64())
    }
}
