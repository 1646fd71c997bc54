//! That no more is asked than has to be: the simulator counts, on a clock that runs quicker, while the program's own poller
//! and fleet watch.

use std::collections::BTreeMap;
use std::time::Duration;

use browserbase_simulator::{
    Fault, FaultTarget, FinalStatus, HumanDuration, Offset, RequestLimit, Scenario, ScenarioEnd,
    ScenarioSession, Simulator, SimulatorOptions, StatusCode, Window,
};
use keepwatch::api::Client;
use keepwatch::api::Endpoint;
use keepwatch::poll::IngestedReport;
use keepwatch::poll::PollLimits;
use keepwatch::poll::{Poller, Report};
use keepwatch_core::clock::Clock;
use keepwatch_core::session::Targets;
use keepwatch_core::session::{Phase, Secret, SessionId};
use keepwatch_core::testing::id;
use keepwatch_core::tracker::{AlertThresholds, EventKind, Input, SessionTracker};
use tokio::sync::mpsc;

use crate::harness::at_speed;

const PACE: PollLimits = PollLimits { interval: Duration::from_secs(3), max_rps: 4 };
/// A thousand sessions are much to write and to read in a tenth of the time.
const SPEED: u32 = 10;
/// Where the limit is what counts, a fifth of a second that the machine is busy elsewhere is made up for.
const HALF_SPEED: u32 = 5;

fn seconds(count: i64) -> Offset {
    Offset::from_micros(count * 1_000_000)
}

/// A session that runs, and goes on for an hour.
fn runs(name: &str) -> ScenarioSession {
    ScenarioSession {
        id: Some(name.to_owned()),
        created: Some(seconds(-60)),
        timeout: Some(HumanDuration(Duration::from_secs(3600))),
        ..ScenarioSession::default()
    }
}

fn ending_session(name: &str, at: i64) -> ScenarioSession {
    let end = ScenarioEnd::new(seconds(at), FinalStatus::Completed);
    ScenarioSession { ends: Some(end), ..runs(name) }
}

fn many(prefix: &str, count: usize) -> impl Iterator<Item = ScenarioSession> {
    (0..count).map(move |at| runs(&format!("{prefix}-{at:04}")))
}

fn named_targets(names: &[&str]) -> Targets {
    Targets::Ids(names.iter().map(|name| id(name)).collect())
}

/// What the server is like.
#[derive(Default)]
struct ServerLimits {
    faults: Vec<Fault>,
    limit: Option<RequestLimit>,
}

/// What was watched, and what was asked for it.
struct WatchResult {
    tracker: SessionTracker,
    /// When it was over, since the start.
    elapsed: Duration,
    /// How often each list was asked for, by its status.
    lists: BTreeMap<String, usize>,
    /// How often each session was asked for by itself.
    singles: BTreeMap<String, usize>,
    /// When each request came.
    times: Vec<Duration>,
    /// How many were too many.
    throttled: usize,
    events: Vec<EventKind>,
}

impl WatchResult {
    fn lists(&self, status: &str) -> usize {
        self.lists.get(&format!("status={status}")).copied().unwrap_or(0)
    }

    fn has_ended(tracker: &SessionTracker, prefix: &str) -> usize {
        let ended = |id: &SessionId| id.raw().starts_with(prefix);
        tracker.records().filter(|record| ended(&record.id) && record.phase() == Phase::Ended).count()
    }
}

/// Watches `targets` among `sessions` until `is_over` says so, or so many seconds have passed.
fn watch(
    speed: u32,
    targets: &Targets,
    sessions: impl Iterator<Item = ScenarioSession>,
    server: &ServerLimits,
    most: u64,
    is_over: impl Fn(&SessionTracker) -> bool,
) -> WatchResult {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Clock::scaled(speed);
        let script = Scenario { sessions: sessions.collect(), ..Scenario::default() };
        let options = SimulatorOptions { rate_limit: server.limit, ..SimulatorOptions::default() };
        let simulator = Simulator::start(clock.clone(), script, options).unwrap();
        server.faults.iter().for_each(|fault| simulator.control().add_fault(fault.clone()));
        let base = simulator.base_url().parse().unwrap();
        let client = Client::new(Endpoint { base }, Secret::new("bb_test_fewest_f3a9".into()));
        let (reports, mut report_receiver) = mpsc::channel::<Report>(16);
        let start = clock.now();
        let (mut tracker, mut events) = (SessionTracker::new(AlertThresholds::none()), Vec::new());
        if let Targets::Ids(ids) = targets {
            tracker.apply(Input::SessionsNamed { at: start, ids: ids.clone() });
        }
        let _poller = Poller::spawn(client, None, targets, PACE, clock.clone(), reports);
        let end = start.mono + Duration::from_secs(most);
        while !is_over(&tracker) {
            tokio::select! {
                Some(report) = report_receiver.recv() => {
                    let input = IngestedReport::from(report).input;
                    events.extend(input.into_iter().flat_map(|it| tracker.apply(it).events).map(|event| event.kind));
                }
                () = keepwatch::timer::sleep_until(&clock, end) => break,
            }
        }
        let took = clock.now().since(start);
        let (mut lists, mut singles) = (BTreeMap::new(), BTreeMap::new());
        let log = simulator.request_log();
        for hit in &log {
            match hit.path.strip_prefix("/v1/sessions/") {
                Some(id) => *singles.entry(id.to_owned()).or_insert(0) += 1,
                None if hit.path == "/v1/sessions" => *lists.entry(hit.query.clone()).or_insert(0) += 1,
                None => {}
            }
        }
        let times = log.iter().map(|hit| hit.at).collect();
        let refused = log.iter().filter(|hit| hit.status == Some(429)).count();
        WatchResult { tracker, elapsed: took, lists, singles, times, throttled: refused, events }
    })
}

#[test]
fn thousand_sessions_are_polled_by_list() {
    at_speed(SPEED, |speed| {
        let away = Window { from: seconds(20), to: seconds(50) };
        let odd = [
            ending_session("end-1", 8),
            ending_session("end-2", 22),
            ending_session("end-3", 22),
            ScenarioSession { unlisted: vec![away], ..runs("unlisted-1") },
        ];
        let watched =
            watch(speed, &Targets::All, many("s", 996).chain(odd), &ServerLimits::default(), 60, |_| false);
        assert!(watched.lists("RUNNING") <= 21 && watched.lists("PENDING") <= 8, "{:?}", watched.lists);
        assert!(watched.lists("RUNNING") >= 8, "the machine was too slow for this to say anything");
        assert_eq!(watched.tracker.len(), 1000);
        assert_eq!(WatchResult::has_ended(&watched.tracker, "end"), 3);
        let mut singles = watched.singles.clone();
        let unlisted = singles.remove("unlisted-1").unwrap();
        assert!((1..=4).contains(&unlisted), "at 21 s, and 3, 6 and 12 s after that: {unlisted}");
        assert_eq!(singles, ["end-1", "end-2", "end-3"].map(|name| (name.to_owned(), 1)).into());
        let told = watched.events.iter().filter(|kind| matches!(kind, EventKind::Unlisted)).count();
        assert_eq!(told, 1);
    });
}

#[test]
fn ended_sessions_are_retrieved_once() {
    at_speed(HALF_SPEED, |speed| {
        let bulk = (0..200).map(|at| ending_session(&format!("bulk-{at:03}"), 11));
        let over = |tracker: &SessionTracker| WatchResult::has_ended(tracker, "bulk") == 200;
        let watched =
            watch(speed, &Targets::All, many("s", 20).chain(bulk), &ServerLimits::default(), 240, over);
        assert!(over(&watched.tracker), "{:?}", watched.elapsed);
        assert!(watched.singles.len() == 200 && watched.singles.values().all(|count| *count == 1));
        let elapsed = u64::try_from(watched.elapsed.as_millis()).unwrap();
        let most = usize::try_from(4 + elapsed * 4 / 1000 + 1).unwrap();
        assert!(watched.times.len() <= most, "{} in {elapsed} ms", watched.times.len());
        assert!(
            watched.lists("RUNNING") * 6 + 6 >= usize::try_from(elapsed / 1000).unwrap(),
            "and the lists go on"
        );
    });
}

#[test]
fn last_named_end_stops_polling() {
    at_speed(SPEED, |speed| {
        let names = ["a", "b", "c", "d", "e", "f"];
        let own = names.iter().map(|name| ending_session(name, if *name == "f" { 12 } else { 5 }));
        let over = |tracker: &SessionTracker| tracker.records().all(|record| record.phase() == Phase::Ended);
        let watched = watch(
            speed,
            &named_targets(&names),
            many("other", 50).chain(own),
            &ServerLimits::default(),
            60,
            over,
        );
        assert!(over(&watched.tracker) && watched.tracker.len() == 6);
        assert_eq!(watched.singles, names.map(|name| (name.to_owned(), 1)).into());
        assert!(watched.lists("RUNNING") <= 8 && watched.lists("PENDING") <= 3, "{:?}", watched.lists);
    });
}

#[test]
fn named_sessions_are_polled_without_lists() {
    at_speed(SPEED, |speed| {
        let names = ["a", "b", "c", "d", "e"];
        let fault = Fault::with_status(FaultTarget::List, StatusCode::NOT_FOUND);
        let none = ServerLimits { faults: vec![fault], ..ServerLimits::default() };
        let watched = watch(
            speed,
            &named_targets(&names),
            names.iter().map(|name| ending_session(name, 9)),
            &none,
            60,
            |tracker| WatchResult::has_ended(tracker, "") == 5,
        );
        assert_eq!(WatchResult::has_ended(&watched.tracker, ""), 5);
        assert!(watched.lists("RUNNING") + watched.lists("PENDING") <= 2, "{:?}", watched.lists);
        assert!(watched.singles.values().all(|count| (2..=8).contains(count)), "{:?}", watched.singles);
        assert!(watched.tracker.health().failures.is_empty());
    });
}

#[test]
fn polls_stay_within_rate_limit() {
    at_speed(SPEED, |speed| {
        let names = ["a", "b", "c", "d"];
        let server = ServerLimits {
            limit: Some(RequestLimit { requests: 20, window: Duration::from_secs(60) }),
            ..ServerLimits::default()
        };
        // Four sessions each 3 s would be eighty in a minute.
        let watched =
            watch(speed, &named_targets(&names), names.iter().map(|name| runs(name)), &server, 150, |_| {
                false
            });
        assert_eq!(watched.throttled, 0, "{:?}", watched.times);
        let in_the_second = watched.times.iter().filter(|at| (60..120).contains(&at.as_secs())).count();
        assert!((10..=20).contains(&in_the_second), "most of what is allowed is used: {in_the_second}");
        assert!(
            watched.singles.values().all(|count| *count >= 6),
            "and of each session: {:?}",
            watched.singles
        );
        assert!(watched.tracker.health().failures.is_empty());
    });
}
