//! Tests upper limits on the number of requests. The program's poller and tracker watch a simulator on a fast clock.
//! The tests count the requests in the simulator's log.

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

const POLL_LIMITS: PollLimits = PollLimits { interval: Duration::from_secs(3), max_rps: 4 };
/// Speed of the clock in most tests. At a higher speed, sending and parsing a thousand sessions takes too long.
const SPEED: u32 = 10;
/// Speed of the clock in the test that checks `max_rps`. A busy machine may pause for 0.2 s, which is a second of this
/// clock: the test must still pass.
const HALF_SPEED: u32 = 5;

fn seconds(count: i64) -> Offset {
    Offset::from_micros(count * 1_000_000)
}

/// Returns a session that has run for a minute and times out after an hour.
fn running_session(name: &str) -> ScenarioSession {
    ScenarioSession {
        id: Some(name.to_owned()),
        created: Some(seconds(-60)),
        timeout: Some(HumanDuration(Duration::from_secs(3600))),
        ..ScenarioSession::default()
    }
}

/// Returns a session that completes at this second of the scenario.
fn ending_session(name: &str, second: i64) -> ScenarioSession {
    let end = ScenarioEnd::new(seconds(second), FinalStatus::Completed);
    ScenarioSession { ends: Some(end), ..running_session(name) }
}

fn running_sessions(prefix: &str, count: usize) -> impl Iterator<Item = ScenarioSession> {
    (0..count).map(move |number| running_session(&format!("{prefix}-{number:04}")))
}

fn named_targets(names: &[&str]) -> Targets {
    Targets::Ids(names.iter().map(|name| id(name)).collect())
}

/// Faults and request limit of the server.
#[derive(Default)]
struct ServerOptions {
    faults: Vec<Fault>,
    limit: Option<RequestLimit>,
}

/// Tracker and request counts after watching.
struct WatchResult {
    tracker: SessionTracker,
    /// Time from the start to the end of watching.
    elapsed: Duration,
    /// Number of requests for each list, by its query.
    lists: BTreeMap<String, usize>,
    /// Number of requests for each single session, by its id.
    singles: BTreeMap<String, usize>,
    /// Time from the start of the simulator to the arrival of each request.
    times: Vec<Duration>,
    /// Number of requests that got a 429.
    throttled: usize,
    events: Vec<EventKind>,
}

impl WatchResult {
    /// Returns the number of requests for the list of sessions with this status.
    fn list_count(&self, status: &str) -> usize {
        self.lists.get(&format!("status={status}")).copied().unwrap_or(0)
    }

    /// Counts the ended sessions whose ids start with `prefix`.
    fn ended_count(tracker: &SessionTracker, prefix: &str) -> usize {
        let matches = |id: &SessionId| id.raw().starts_with(prefix);
        tracker.records().filter(|record| matches(&record.id) && record.phase() == Phase::Ended).count()
    }
}

/// Watches `targets` among `sessions` until `is_over` returns true, or for `max_seconds`.
fn watch(
    speed: u32,
    targets: &Targets,
    sessions: impl Iterator<Item = ScenarioSession>,
    server: &ServerOptions,
    max_seconds: u64,
    is_over: impl Fn(&SessionTracker) -> bool,
) -> WatchResult {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Clock::scaled(speed);
        let scenario = Scenario { sessions: sessions.collect(), ..Scenario::default() };
        let options = SimulatorOptions { rate_limit: server.limit, ..SimulatorOptions::default() };
        let simulator = Simulator::start(clock.clone(), scenario, options).unwrap();
        server.faults.iter().for_each(|fault| simulator.control().add_fault(fault.clone()));
        let base = simulator.base_url().parse().unwrap();
        let client = Client::new(Endpoint { base }, Secret::new("bb_test_fewest_f3a9".into()));
        let (reports, mut report_receiver) = mpsc::channel::<Report>(16);
        let start = clock.now();
        let (mut tracker, mut events) = (SessionTracker::new(AlertThresholds::none()), Vec::new());
        if let Targets::Ids(ids) = targets {
            tracker.apply(Input::SessionsNamed { at: start, ids: ids.clone() });
        }
        let _poller = Poller::spawn(client, None, targets, POLL_LIMITS, clock.clone(), reports);
        let end = start.mono + Duration::from_secs(max_seconds);
        while !is_over(&tracker) {
            tokio::select! {
                Some(report) = report_receiver.recv() => {
                    let input = IngestedReport::from(report).input;
                    events.extend(input.into_iter().flat_map(|it| tracker.apply(it).events).map(|event| event.kind));
                }
                () = keepwatch::timer::sleep_until(&clock, end) => break,
            }
        }
        let elapsed = clock.now().since(start);
        let (mut lists, mut singles) = (BTreeMap::new(), BTreeMap::new());
        let log = simulator.request_log();
        for request in &log {
            match request.path.strip_prefix("/v1/sessions/") {
                Some(id) => *singles.entry(id.to_owned()).or_insert(0) += 1,
                None if request.path == "/v1/sessions" => *lists.entry(request.query.clone()).or_insert(0) += 1,
                None => {}
            }
        }
        let times = log.iter().map(|request| request.at).collect();
        let throttled = log.iter().filter(|request| request.status == Some(429)).count();
        WatchResult { tracker, elapsed, lists, singles, times, throttled, events }
    })
}

#[test]
fn thousand_sessions_are_polled_by_list() {
    at_speed(SPEED, |speed| {
        let unlisted_window = Window { from: seconds(20), to: seconds(50) };
        let other_sessions = [
            ending_session("end-1", 8),
            ending_session("end-2", 22),
            ending_session("end-3", 22),
            ScenarioSession { unlisted: vec![unlisted_window], ..running_session("unlisted-1") },
        ];
        let result = watch(
            speed,
            &Targets::All,
            running_sessions("s", 996).chain(other_sessions),
            &ServerOptions::default(),
            60,
            |_| false,
        );
        // In this minute, the running sessions are polled every 3 s, and the pending sessions every 9 s.
        assert!(
            result.list_count("RUNNING") <= 21 && result.list_count("PENDING") <= 8,
            "{:?}",
            result.lists
        );
        assert!(result.list_count("RUNNING") >= 8, "the machine was too slow for a result");
        assert_eq!(result.tracker.len(), 1000);
        assert_eq!(WatchResult::ended_count(&result.tracker, "end"), 3);
        let mut singles = result.singles.clone();
        let unlisted_polls = singles.remove("unlisted-1").unwrap();
        assert!(
            (1..=4).contains(&unlisted_polls),
            "expected at most 4 polls (at 21 s, and 3, 6 and 12 s after that), not {unlisted_polls}"
        );
        assert_eq!(singles, ["end-1", "end-2", "end-3"].map(|name| (name.to_owned(), 1)).into());
        let unlisted_events = result.events.iter().filter(|kind| matches!(kind, EventKind::Unlisted)).count();
        assert_eq!(unlisted_events, 1);
    });
}

#[test]
fn ended_sessions_are_retrieved_once() {
    at_speed(HALF_SPEED, |speed| {
        let bulk = (0..200).map(|number| ending_session(&format!("bulk-{number:03}"), 11));
        let is_over = |tracker: &SessionTracker| WatchResult::ended_count(tracker, "bulk") == 200;
        let result = watch(
            speed,
            &Targets::All,
            running_sessions("s", 20).chain(bulk),
            &ServerOptions::default(),
            240,
            is_over,
        );
        assert!(is_over(&result.tracker), "{:?}", result.elapsed);
        assert!(result.singles.len() == 200 && result.singles.values().all(|count| *count == 1));
        let elapsed = u64::try_from(result.elapsed.as_millis()).unwrap();
        // The rate limiter allows a burst of four requests, and then four a second. One more allows for rounding down.
        let max_requests = usize::try_from(4 + elapsed * 4 / 1000 + 1).unwrap();
        let count = result.times.len();
        assert!(count <= max_requests, "{count} requests in {elapsed} ms, limit {max_requests}");
        // The retrievals must not keep the lists waiting: one list at least every 6 s, which is two intervals.
        assert!(
            result.list_count("RUNNING") * 6 + 6 >= usize::try_from(elapsed / 1000).unwrap(),
            "the lists are polled at least every 6 s"
        );
    });
}

#[test]
fn many_named_sessions_are_polled_by_list() {
    at_speed(SPEED, |speed| {
        let names = ["a", "b", "c", "d", "e", "f"];
        let named = names.iter().map(|name| ending_session(name, if *name == "f" { 12 } else { 5 }));
        let is_over =
            |tracker: &SessionTracker| tracker.records().all(|record| record.phase() == Phase::Ended);
        let result = watch(
            speed,
            &named_targets(&names),
            running_sessions("other", 50).chain(named),
            &ServerOptions::default(),
            60,
            is_over,
        );
        assert!(is_over(&result.tracker) && result.tracker.len() == 6);
        assert_eq!(result.singles, names.map(|name| (name.to_owned(), 1)).into());
        assert!(result.list_count("RUNNING") <= 8 && result.list_count("PENDING") <= 3, "{:?}", result.lists);
    });
}

#[test]
fn missing_list_endpoint_falls_back_to_ids() {
    at_speed(SPEED, |speed| {
        let names = ["a", "b", "c", "d", "e"];
        let fault = Fault::with_status(FaultTarget::List, StatusCode::NOT_FOUND);
        let without_lists = ServerOptions { faults: vec![fault], ..ServerOptions::default() };
        let result = watch(
            speed,
            &named_targets(&names),
            names.iter().map(|name| ending_session(name, 9)),
            &without_lists,
            60,
            |tracker| WatchResult::ended_count(tracker, "") == 5,
        );
        assert_eq!(WatchResult::ended_count(&result.tracker, ""), 5);
        assert!(result.list_count("RUNNING") + result.list_count("PENDING") <= 2, "{:?}", result.lists);
        assert!(result.singles.values().all(|count| (2..=8).contains(count)), "{:?}", result.singles);
        assert!(result.tracker.health().failures.is_empty());
    });
}

#[test]
fn polls_stay_within_rate_limit() {
    at_speed(SPEED, |speed| {
        let names = ["a", "b", "c", "d"];
        let server = ServerOptions {
            limit: Some(RequestLimit { requests: 20, window: Duration::from_secs(60) }),
            ..ServerOptions::default()
        };
        // Without the limit, four sessions polled every 3 s would take 80 requests a minute.
        let result = watch(
            speed,
            &named_targets(&names),
            names.iter().map(|name| running_session(name)),
            &server,
            150,
            |_| false,
        );
        assert_eq!(result.throttled, 0, "{:?}", result.times);
        let second_minute = result.times.iter().filter(|at| (60..120).contains(&at.as_secs())).count();
        assert!(
            (10..=20).contains(&second_minute),
            "{second_minute} requests in the second minute, limit 20"
        );
        assert!(
            result.singles.values().all(|count| *count >= 6),
            "each session is polled at least six times: {:?}",
            result.singles
        );
        assert!(result.tracker.health().failures.is_empty());
    });
}
