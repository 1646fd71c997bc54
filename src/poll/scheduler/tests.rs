use proptest::prelude::*;

use super::*;
use keepwatch_core::session::ApiErrorKind;
use keepwatch_core::testing::id;
use keepwatch_core::text::Untrusted;

const INTERVAL: Duration = Duration::from_secs(3);
/// The monotonic time at which each test starts.
const START: Duration = Duration::from_secs(1000);

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn ids(texts: &[&str]) -> Vec<SessionId> {
    texts.iter().map(|text| id(text)).collect()
}

fn connection_refused() -> ApiError {
    ApiErrorKind::ConnectionRefused(Untrusted::new("h")).into()
}

fn error(kind: ApiErrorKind) -> ApiError {
    kind.into()
}

fn rate_limited(seconds: f64) -> ApiError {
    ApiError { retry_after: Some(secs(seconds)), ..ApiErrorKind::RateLimited.into() }
}

/// A scheduler with a clock. Tests name its requests by labels: an id, `RUNNING`, `PENDING`, `projects`.
struct TestScheduler {
    scheduler: Scheduler,
    now: Duration,
}

impl TestScheduler {
    /// Watches these ids: singly, or by lists if there are more than four. The projects were polled already.
    fn watching(texts: &[&str]) -> Self {
        let mut test = Self::new(&Targets::Ids(ids(texts)));
        test.mark_projects_polled();
        test
    }

    /// Watches all sessions. The projects were polled already.
    fn watching_all() -> Self {
        let mut test = Self::new(&Targets::All);
        test.mark_projects_polled();
        test
    }

    /// Creates a scheduler with a rate limit that is never reached.
    fn new(targets: &Targets) -> Self {
        Self::limited(targets, 1_000_000)
    }

    /// Creates a scheduler that sends at most `max_rps` polls per second.
    fn limited(targets: &Targets, max_rps: u32) -> Self {
        let limits = PollLimits { interval: INTERVAL, max_rps };
        Self { scheduler: Scheduler::new(targets, limits, START), now: START }
    }

    /// Polls each of these ids singly, although they are more than four: the server has no lists. The projects were
    /// polled already.
    fn polling_singly(texts: &[&str]) -> Self {
        let mut test = Self::watching(texts);
        assert_eq!(test.due(), ["RUNNING", "PENDING"]);
        test.respond_with_error("RUNNING", &error(ApiErrorKind::ListUnsupported));
        test.respond_with_error("PENDING", &error(ApiErrorKind::ListUnsupported));
        test
    }

    /// Pretends that the projects were polled a moment ago.
    fn mark_projects_polled(&mut self) {
        let target = self.scheduler.poll_targets.get_mut(&Request::Projects).unwrap();
        target.state = PollState::Waiting(self.now + PROJECTS_INTERVAL);
        self.scheduler.has_polled_projects = true;
    }

    /// Sets the clock to `seconds` after the start.
    fn at(&mut self, seconds: f64) -> &mut Self {
        self.now = START + secs(seconds);
        self
    }

    /// Sends the requests that are due. Returns their labels.
    fn due(&mut self) -> Vec<String> {
        self.scheduler.take_due(self.now).iter().map(request_label).collect()
    }

    /// Returns the time of the next request, in seconds after the start.
    fn next(&self) -> Option<f64> {
        self.scheduler.next_due().map(|at| (at - START).as_secs_f64())
    }

    /// Responds to a request, without jitter. Returns the time of the next poll, in seconds after the start.
    fn respond(&mut self, label: &str, outcome: PollOutcome<'_>) -> Option<f64> {
        let request = match label {
            "RUNNING" => Request::List(List::Running),
            "PENDING" => Request::List(List::Pending),
            "projects" => Request::Projects,
            text => Request::Session(id(text)),
        };
        let at = self.scheduler.on_outcome(&request, outcome, self.now, 0.0);
        at.map(|at| (at - START).as_secs_f64())
    }

    fn respond_alive(&mut self, texts: &[&str]) {
        texts.iter().for_each(|text| {
            self.respond(text, PollOutcome::Alive);
        });
    }

    fn respond_with_list(&mut self, list: &str, texts: &[&str]) {
        self.respond(list, PollOutcome::Listed(ids(texts)));
    }

    fn respond_with_error(&mut self, label: &str, error: &ApiError) -> Option<f64> {
        self.respond(label, PollOutcome::Failed(error))
    }
}

fn request_label(request: &Request) -> String {
    match request {
        Request::Session(id) => id.raw().into(),
        Request::List(list) => list.status().raw().into(),
        Request::Projects => "projects".into(),
        Request::ConnectUrls(id) | Request::LiveView(id) | Request::Release(id) => {
            format!("fresh {}", id.raw())
        }
        Request::RecentSessions => "recent".into(),
    }
}

const NO_REQUESTS: [&str; 0] = [];

#[test]
fn at_most_four_in_flight() {
    let mut test = TestScheduler::new(&Targets::Ids(ids(&["a", "b", "c", "d"])));
    assert_eq!(test.due(), ["a", "b", "c", "d"]);
    assert_eq!((test.due(), test.next()), (vec![], None), "full: only a response frees a slot");
    test.respond_alive(&["a", "b"]);
    assert_eq!(test.due(), ["projects"]);
    assert_eq!(test.due(), NO_REQUESTS);
}

#[test]
fn session_is_never_in_flight_twice() {
    let mut test = TestScheduler::watching(&["a"]);
    assert_eq!(test.due(), ["a"]);
    for later in [3.0, 6.0, 60.0] {
        assert_eq!(test.at(later).due(), NO_REQUESTS);
        test.scheduler.refresh(test.now);
        assert_eq!(test.due(), NO_REQUESTS);
    }
    assert_eq!(test.respond("a", PollOutcome::Alive), Some(60.0));
    assert_eq!(test.due(), ["a"]);
}

#[test]
fn slow_session_never_delays_others() {
    let mut test = TestScheduler::watching(&["a", "b", "c"]);
    test.due();
    test.respond_alive(&["b", "c"]); // `a` never gets a response
    for round in 1..100 {
        let at = f64::from(round) * 3.0;
        assert_eq!(test.next(), Some(at));
        assert_eq!(test.at(at).due(), ["b", "c"]);
        test.at(at + 0.2).respond_alive(&["b", "c"]);
    }
}

#[test]
fn rounds_stay_on_grid() {
    let mut test = TestScheduler::watching(&["a", "b"]);
    test.due();
    test.at(0.7).respond_alive(&["a"]);
    test.at(1.9).respond_alive(&["b"]);
    assert_eq!(test.next(), Some(3.0));
    assert_eq!(test.at(3.1).due(), ["a", "b"], "the timer fired late");
    test.at(3.3).respond_alive(&["a", "b"]);
    assert_eq!(test.next(), Some(6.0), "the grid does not drift");
}

#[test]
fn slow_response_skips_rounds() {
    // The arrival of the response, and the time of the next poll, in seconds. If that time has passed, the poll is due.
    for (arrival, next) in [(2.9, 3.0), (3.2, 3.0), (4.4, 3.0), (4.6, 6.0), (10.0, 9.0), (10.6, 12.0)] {
        let mut test = TestScheduler::watching(&["a"]);
        test.due();
        assert_eq!(test.at(arrival).respond("a", PollOutcome::Alive), Some(next), "response at {arrival} s");
    }
}

#[test]
fn pending_list_is_polled_every_third_round() {
    let mut test = TestScheduler::watching_all();
    for round in 0..12 {
        let due = test.at(f64::from(round) * 3.0).due();
        assert_eq!(due.contains(&"PENDING".into()), round % 3 == 0, "round {round}");
        assert!(due.contains(&"RUNNING".into()));
        due.iter().for_each(|list| test.respond_with_list(list, &["a"]));
    }
}

#[test]
fn polling_stops_after_last_end() {
    let mut test = TestScheduler::new(&Targets::Ids(ids(&["a", "b"])));
    assert_eq!(test.due(), ["a", "b", "projects"]);
    test.respond("projects", PollOutcome::Projects);
    assert_eq!(test.respond("a", PollOutcome::Ended), None);
    test.respond_alive(&["b"]);
    assert_eq!(test.at(3.0).due(), ["b"]);
    assert_eq!(test.respond("b", PollOutcome::Ended), None);
    assert_eq!(test.next(), None, "not even the projects are polled again");
    test.scheduler.refresh(test.now);
    assert_eq!(test.at(1e6).due(), NO_REQUESTS);
}

#[test]
fn projects_are_polled_despite_ended_sessions() {
    let mut test = TestScheduler::new(&Targets::Ids(ids(&["a", "b", "c", "d"])));
    test.due().iter().for_each(|text| {
        test.respond(text, PollOutcome::Ended);
    });
    assert_eq!(test.due(), ["projects"]);
    test.respond_with_error("projects", &connection_refused());
    assert_eq!(test.next(), None, "without live sessions, the projects are not polled again");
}

#[test]
fn only_throttling_of_projects_delays_sessions() {
    // The failure of the projects' poll, and the time of their next poll, in seconds.
    for (kind, next_poll) in [
        (ApiErrorKind::NotFound, 3600.0),
        (ApiErrorKind::Html, 3600.0),
        (ApiErrorKind::ApiKeyRejected, 3600.0),
        (ApiErrorKind::Redirect(Untrusted::new("h")), 3600.0),
        (ApiErrorKind::Server(500), 3600.0),
        (ApiErrorKind::Dns(Untrusted::new("h")), 6.0),
    ] {
        let mut test = TestScheduler::new(&Targets::Ids(ids(&["a"])));
        assert_eq!(test.due(), ["a", "projects"]);
        assert_eq!(test.respond_with_error("projects", &error(kind)), Some(next_poll));
        test.respond_alive(&["a"]);
        assert_eq!(test.at(3.0).due(), ["a"], "the session is not delayed");
    }
    let mut test = TestScheduler::new(&Targets::Ids(ids(&["a"])));
    test.due();
    test.respond_alive(&["a"]);
    assert_eq!(test.respond_with_error("projects", &rate_limited(20.0)), Some(20.0));
    assert_eq!(test.next(), Some(20.0), "a throttled poll delays all polls");
}

#[test]
fn unlisted_session_interval_doubles() {
    let mut test = TestScheduler::watching_all();
    test.due();
    test.respond_with_list("RUNNING", &["a", "b"]);
    test.respond_with_list("PENDING", &[]);
    test.at(3.0).due();
    test.at(3.2).respond_with_list("RUNNING", &["a"]);
    assert_eq!(test.due(), ["b"]);
    let mut intervals = Vec::new();
    let mut last = 3.2;
    for _ in 0..9 {
        let next = test.at(last).respond("b", PollOutcome::Alive).unwrap();
        intervals.push((next - last).round());
        test.at(next)
            .due()
            .iter()
            .filter(|label| *label != "b")
            .for_each(|list| test.respond_with_list(list, &["a"]));
        last = next;
    }
    assert_eq!(intervals, [3.0, 6.0, 12.0, 24.0, 48.0, 96.0, 192.0, 300.0, 300.0]);
    // The list contains b again, so b is not polled singly any more.
    test.respond_alive(&["b"]);
    let relisted_at = test.next().unwrap();
    assert_eq!(test.at(relisted_at).due(), ["RUNNING"]);
    test.respond_with_list("RUNNING", &["a", "b"]);
    let polled: Vec<String> = (1..400)
        .flat_map(|round| {
            let due = test.at(relisted_at + f64::from(round) * 3.0).due();
            due.iter().for_each(|list| {
                test.respond_with_list(list, if list == "RUNNING" { &["a", "b"] } else { &[] })
            });
            due
        })
        .filter(|label| label == "b")
        .collect();
    assert_eq!(polled, NO_REQUESTS);
}

#[test]
fn ended_unlisted_session_is_dropped() {
    let mut test = TestScheduler::watching_all();
    test.due();
    test.respond_with_list("RUNNING", &["a", "b"]);
    test.respond_with_list("PENDING", &[]);
    test.at(3.0).due();
    test.respond_with_list("RUNNING", &[]);
    assert_eq!(test.due(), ["a", "b"]);
    assert_eq!(test.respond("a", PollOutcome::Ended), None);
    // The API no longer knows `b`, which left the list. So `b` has ended, too.
    assert_eq!(test.respond_with_error("b", &error(ApiErrorKind::NotFound)), None);
    assert_eq!(test.next(), Some(6.0));
    assert_eq!(test.at(6.0).due(), ["RUNNING"]);
}

#[test]
fn thousand_sessions_need_only_lists() {
    let mut test = TestScheduler::watching_all();
    let names: Vec<String> = (0..1000).map(|number| format!("s-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut request_count = 0;
    for round in 0..60 {
        let due = test.at(3.0 * f64::from(round)).due();
        request_count += due.len();
        for label in due {
            test.respond_with_list(&label, if label == "RUNNING" { &names } else { &[] });
        }
    }
    assert_eq!(request_count, 60 + 20, "the pending list is polled in every third round");
}

#[test]
fn oldest_unlisted_sessions_are_evicted_first() {
    let mut test = TestScheduler::watching_all();
    test.scheduler.watch(id("named"), test.now);
    test.due();
    test.respond_alive(&["named"]);
    let names =
        |prefix: &str, count| (0..count).map(|number| format!("{prefix}-{number}")).collect::<Vec<_>>();
    let respond_running = |test: &mut TestScheduler, names: &[String]| {
        test.respond_with_list("RUNNING", &names.iter().map(String::as_str).collect::<Vec<_>>());
    };
    let (old, new) = (names("old", 600), names("new", List::max_unlisted(0) - 100));
    respond_running(&mut test, &old);
    // At 3 s all of `old` leave the list, at 6 s all of `new`. The list is marked as in flight by hand, because `due`
    // would also send single polls.
    for (at, names) in [(3.0, new.clone()), (6.0, Vec::new())] {
        test.at(at);
        test.scheduler.poll_targets.get_mut(&Request::List(List::Running)).unwrap().state =
            PollState::InFlight { sent: test.now };
        respond_running(&mut test, &names);
    }
    let is_polled = |name: &String| test.scheduler.poll_targets.contains_key(&Request::Session(id(name)));
    assert_eq!(old.iter().filter(|name| is_polled(name)).count(), 100, "`new` leaves room for 100 of `old`");
    assert!(new.iter().all(is_polled) && is_polled(&"named".into()));
}

#[test]
fn relisted_session_is_not_polled_singly() {
    let mut test = TestScheduler::watching_all();
    test.due();
    test.respond_with_list("RUNNING", &["a"]);
    test.respond_with_list("PENDING", &[]);
    test.at(3.0).due();
    test.respond_with_list("RUNNING", &[]);
    assert_eq!(test.due(), ["a"]);
    assert_eq!(test.at(6.0).due(), ["RUNNING"]);
    test.respond_with_list("RUNNING", &["a"]);
    assert_eq!(test.respond("a", PollOutcome::Alive), None);
}

#[test]
fn starting_session_is_not_polled_singly() {
    // The session is pending in the first round and running in the fourth. Either list may arrive first.
    for order in [["PENDING", "RUNNING"], ["RUNNING", "PENDING"]] {
        let mut test = TestScheduler::watching_all();
        test.due();
        test.respond_with_list("RUNNING", &[]);
        test.respond_with_list("PENDING", &["a"]);
        for round in [3.0, 6.0] {
            assert_eq!(test.at(round).due(), ["RUNNING"]);
            test.respond_with_list("RUNNING", &[]);
        }
        test.at(9.0).due();
        for list in order {
            test.respond_with_list(list, if list == "RUNNING" { &["a"] } else { &[] });
            assert_eq!(test.due(), NO_REQUESTS, "{order:?}");
        }
        assert_eq!(test.at(12.0).due(), ["RUNNING"]);
        // The scheduler notices that `a` left the running list, although `a` was in the pending list before.
        test.respond_with_list("RUNNING", &[]);
        assert_eq!(test.due(), ["a"]);
    }
}

#[test]
fn stale_pending_list_hides_no_departure() {
    let mut test = TestScheduler::watching_all();
    test.due();
    test.respond_with_list("RUNNING", &["a"]);
    test.respond_with_list("PENDING", &["a"]);
    test.at(3.0).due();
    test.respond_with_list("RUNNING", &[]);
    assert_eq!(test.due(), ["a"]);
}

#[test]
fn vanished_pending_session_waits_a_round() {
    let mut test = TestScheduler::watching_all();
    test.due();
    test.respond_with_list("RUNNING", &[]);
    test.respond_with_list("PENDING", &["a"]);
    for round in [3.0, 6.0] {
        test.at(round).due();
        test.respond_with_list("RUNNING", &[]);
    }
    assert_eq!(test.at(9.0).due(), ["RUNNING", "PENDING"]);
    test.respond_with_list("PENDING", &[]);
    assert_eq!(test.due(), NO_REQUESTS);
    test.respond_with_list("RUNNING", &[]);
    assert_eq!(test.at(12.0).due(), ["RUNNING", "a"]);
}

#[test]
fn unknown_id_interval_grows() {
    let mut test = TestScheduler::watching(&["a"]);
    let mut last = 0.0;
    let mut intervals = Vec::new();
    for _ in 0..7 {
        assert_eq!(test.due(), ["a"]);
        let next = test.respond_with_error("a", &error(ApiErrorKind::NotFound)).unwrap();
        intervals.push(next - last);
        last = next;
        test.at(next);
    }
    assert_eq!(intervals, [3.0, 6.0, 12.0, 24.0, 48.0, 60.0, 60.0]);
    test.due();
    let next = test.respond("a", PollOutcome::Alive).unwrap();
    assert!(
        next - last <= 4.5,
        "an existing session is polled on the grid: at most one and a half intervals later"
    );
    test.at(next).due();
    assert_eq!(
        test.respond_with_error("a", &error(ApiErrorKind::Gone)),
        Some(next + 3.0),
        "the interval starts over"
    );
}

#[test]
fn session_failure_delays_only_that_session() {
    let mut test = TestScheduler::watching(&["a", "b"]);
    let mut delays = Vec::new();
    for _ in 0..6 {
        assert!(test.due().contains(&"a".into()));
        test.respond_alive(&["b"]);
        let next = test.respond_with_error("a", &error(ApiErrorKind::Timeout)).unwrap();
        delays.push(next - (test.now - START).as_secs_f64());
        assert!(test.next().unwrap() < next, "b is still polled");
        test.at(next);
    }
    assert_eq!(delays, [6.0, 12.0, 24.0, 48.0, 60.0, 60.0]);
    test.due();
    let now = (test.now - START).as_secs_f64();
    assert_eq!(test.respond("a", PollOutcome::Alive), Some(now + 3.0));
}

#[test]
fn jitter_shortens_delay() {
    let mut test = TestScheduler::watching(&["a"]);
    test.due();
    let request = Request::Session(id("a"));
    // The first delay is 6 s without jitter. The maximum jitter subtracts a quarter.
    let at = test.scheduler.on_outcome(
        &request,
        PollOutcome::Failed(&error(ApiErrorKind::ConnectionClosed)),
        test.now,
        1.0,
    );
    assert_eq!(at, Some(test.now + secs(4.5)));
}

#[test]
fn shared_failure_delays_all() {
    let mut test = TestScheduler::polling_singly(&["a", "b", "c", "d", "e"]);
    assert_eq!(test.due(), ["a", "b", "c", "d"]);
    for text in ["a", "b", "c", "d"] {
        assert_eq!(
            test.respond_with_error(text, &connection_refused()),
            Some(6.0),
            "four simultaneous failures count as one"
        );
    }
    assert_eq!((test.due(), test.next()), (vec![], Some(6.0)), "a session that was never polled waits, too");
    assert_eq!(test.at(6.0).due(), ["e"]);
    assert_eq!((test.at(7.0).due(), test.next()), (vec![], None));
    // The response arrives at 7 s. The second backoff is 12 s.
    assert_eq!(test.respond_with_error("e", &connection_refused()), Some(19.0));
    assert_eq!(test.at(19.0).due(), ["a"]);
    test.respond_alive(&["a"]);
    assert_eq!(test.due(), ["b", "c", "d", "e"]);
}

#[test]
fn late_failure_keeps_backoff() {
    let mut test = TestScheduler::watching(&["a", "b"]);
    test.due();
    test.respond_with_error("a", &connection_refused());
    assert_eq!(test.at(5.0).respond_with_error("b", &connection_refused()), Some(6.0));
    assert_eq!(test.scheduler.shared_failures, 1);
}

#[test]
fn longest_retry_after_delays_all() {
    let mut test = TestScheduler::watching(&["a", "b", "c"]);
    test.due();
    test.respond_with_error("a", &connection_refused());
    assert_eq!(test.respond_with_error("b", &rate_limited(40.0)), Some(40.0));
    assert_eq!(test.respond_with_error("c", &rate_limited(20.0)), Some(40.0));
    assert_eq!((test.at(39.9).due(), test.next()), (vec![], Some(40.0)));
    assert_eq!(test.at(40.0).due().len(), 1);
}

#[test]
fn zero_retry_after_still_backs_off() {
    let mut test = TestScheduler::watching(&["a"]);
    let mut at = 0.0;
    for delay in [6.0, 12.0, 24.0, 48.0, 60.0] {
        assert_eq!(test.at(at).due(), ["a"]);
        at += delay;
        assert_eq!(test.respond_with_error("a", &rate_limited(0.0)), Some(at), "the normal backoff applies");
    }
}

#[test]
fn long_retry_after_replaces_the_backoff() {
    let mut test = TestScheduler::watching(&["a"]);
    let mut at = 0.0;
    for delay in [6.0, 12.0, 24.0] {
        assert_eq!(test.at(at).due(), ["a"]);
        at += delay;
        test.respond_with_error("a", &connection_refused());
    }
    // Only a `retry-after` of more than one interval (3 s) replaces the backoff, which is 60 s by now.
    for (retry_after, delay) in [(3.5, 3.5), (3.0, 60.0), (1.0, 60.0)] {
        assert_eq!(test.at(at).due(), ["a"], "{retry_after}");
        at += delay;
        assert_eq!(test.respond_with_error("a", &rate_limited(retry_after)), Some(at), "{retry_after}");
    }
}

#[test]
fn refresh_ignores_hanging_requests() {
    let mut test = TestScheduler::polling_singly(&["a", "b", "c", "d", "e", "f"]);
    assert_eq!(test.due().len(), MAX_IN_FLIGHT);
    test.at(1.0);
    test.scheduler.refresh(test.now);
    assert_eq!(test.due(), ["e", "f"], "requests that hang do not block a refresh");
    test.scheduler.refresh(test.now);
    assert_eq!(test.due(), NO_REQUESTS, "no request is in flight twice");
}

#[test]
fn failing_sessions_leave_one_slot_free() {
    let mut test = TestScheduler::polling_singly(&["a", "b", "c", "d", "e"]);
    test.due();
    for text in ["a", "b", "c", "d"] {
        test.respond_with_error(text, &error(ApiErrorKind::Timeout));
    }
    assert_eq!(test.due(), ["e"]);
    test.respond_alive(&["e"]);
    let due = test.at(20.0).due();
    assert!(
        due.len() == MAX_IN_FLIGHT && due.contains(&"e".to_owned()),
        "three failing sessions, and `e`: {due:?}"
    );
}

#[test]
fn rejected_api_key_delays_all() {
    let mut test = TestScheduler::watching(&["a", "b"]);
    test.due();
    // `Forbidden` concerns only this session.
    assert_eq!(test.respond_with_error("a", &error(ApiErrorKind::Forbidden)), Some(60.0));
    test.respond_alive(&["b"]);
    assert_eq!(test.at(3.0).due(), ["b"]);
    assert_eq!(test.respond_with_error("b", &error(ApiErrorKind::ApiKeyRejected)), Some(63.0));
    assert_eq!(test.at(60.0).due(), NO_REQUESTS);
    assert_eq!(test.at(63.0).due(), ["a"]);
}

#[test]
fn refresh_overrides_every_delay() {
    let mut test = TestScheduler::polling_singly(&["a", "b", "c", "d", "e", "f"]);
    test.due();
    test.respond_with_error("a", &rate_limited(300.0));
    test.respond_with_error("b", &error(ApiErrorKind::NotFound));
    test.at(1.0);
    test.scheduler.refresh(test.now);
    assert_eq!(test.due(), ["e", "f", "a", "b"], "the longest waiting first");
    // A failure of a request from before the refresh is retried at once. The next failure counts.
    assert_eq!(test.respond_with_error("c", &connection_refused()), Some(1.0));
    test.respond_alive(&["d", "e", "f", "a", "b"]);
    assert_eq!(test.due(), ["c"]);
    assert_eq!(test.respond_with_error("c", &connection_refused()), Some(7.0));
}

#[test]
fn overdue_polls_run_once_after_pause() {
    let mut test = TestScheduler::watching(&["a"]);
    test.due();
    test.scheduler.pause();
    test.respond_alive(&["a"]);
    assert_eq!((test.at(30.0).due(), test.next()), (vec![], None));
    test.scheduler.refresh(test.now);
    assert_eq!((test.due(), test.next()), (vec![], None), "a refresh does not end a pause");
    test.at(31.0).scheduler.resume();
    assert_eq!(test.due(), ["a"]);
    test.respond_alive(&["a"]);
    assert_eq!(test.next(), Some(33.0));
}

#[test]
fn missing_lists_back_off_without_named_sessions() {
    let mut test = TestScheduler::watching_all();
    test.due();
    assert_eq!(test.respond_with_error("RUNNING", &error(ApiErrorKind::NotFound)), Some(6.0));
    assert_eq!(test.respond_with_error("PENDING", &error(ApiErrorKind::Status(405))), Some(6.0));
    assert_eq!(test.at(6.0).due(), ["RUNNING", "PENDING"]);
    assert_eq!(test.respond_with_error("RUNNING", &error(ApiErrorKind::NotFound)), Some(18.0));
}

#[test]
fn more_than_four_ids_use_lists() {
    let names = ["a", "b", "c", "d", "e"];
    assert_eq!(TestScheduler::watching(&names[..4]).due(), ["a", "b", "c", "d"]);
    let mut test = TestScheduler::watching(&names);
    for round in 0..20 {
        let due = test.at(f64::from(round) * 3.0).due();
        let lists = if round % 3 == 0 { vec!["RUNNING", "PENDING"] } else { vec!["RUNNING"] };
        assert_eq!(due, lists, "round {round}");
        due.iter().for_each(|list| {
            test.respond_with_list(list, if list == "RUNNING" { &names[1..] } else { &names[..1] })
        });
    }
}

#[test]
fn unnamed_listed_sessions_are_ignored() {
    let mut test = TestScheduler::watching(&["a", "b", "c", "d", "e"]);
    assert!(test.scheduler.is_watched(&id("a")) && !test.scheduler.is_watched(&id("z")));
    test.due();
    test.respond_with_list("PENDING", &[]);
    test.respond_with_list("RUNNING", &["a", "b", "c", "d", "e", "z"]);
    assert_eq!(test.at(3.0).due(), ["RUNNING"]);
    test.respond_with_list("RUNNING", &["a", "b", "c", "d", "e"]);
    assert_eq!(test.due(), NO_REQUESTS, "z was not named");
    assert!(TestScheduler::watching_all().scheduler.is_watched(&id("z")));
}

#[test]
fn named_unlisted_session_is_polled_singly() {
    let mut test = TestScheduler::watching(&["absent", "ended", "listed", "pending", "unlisted"]);
    test.due();
    test.at(0.1).respond_with_list("RUNNING", &["listed"]);
    assert_eq!(test.due(), NO_REQUESTS, "the list in flight may contain them");
    test.at(0.2).respond_with_list("PENDING", &["pending"]);
    assert_eq!(test.due(), ["absent", "ended", "unlisted"]);
    assert_eq!(test.respond("ended", PollOutcome::Ended), None);
    let mut polled = vec![("absent", 0.2), ("unlisted", 0.2)];
    test.respond_with_error("absent", &error(ApiErrorKind::NotFound));
    test.respond_alive(&["unlisted"]);
    while polled.len() < 12 {
        let at = test.next().unwrap();
        for label in test.at(at).due() {
            match label.as_str() {
                "RUNNING" => test.respond_with_list("RUNNING", &["listed"]),
                "PENDING" => test.respond_with_list("PENDING", &["pending"]),
                "absent" => {
                    polled.push(("absent", at));
                    test.respond_with_error("absent", &error(ApiErrorKind::NotFound));
                }
                "unlisted" => {
                    polled.push(("unlisted", at));
                    test.respond_alive(&["unlisted"]);
                }
                other => panic!("unexpected request: {other}"),
            }
        }
    }
    let intervals = |wanted: &str| -> Vec<f64> {
        let times: Vec<f64> = polled.iter().filter(|(name, _)| *name == wanted).map(|(_, at)| *at).collect();
        times.windows(2).map(|pair| (pair[1] - pair[0]).round()).collect()
    };
    assert_eq!(intervals("absent")[..4], [3.0, 6.0, 12.0, 24.0]);
    assert_eq!(intervals("unlisted")[..4], [3.0, 6.0, 12.0, 24.0]);
}

#[test]
fn list_polls_stop_after_last_named_session() {
    let names = ["a", "b", "c", "d", "e"];
    let mut test = TestScheduler::watching(&names);
    test.due();
    test.respond_with_list("PENDING", &[]);
    test.respond_with_list("RUNNING", &names);
    test.at(3.0).due();
    test.at(3.1).respond_with_list("RUNNING", &names[4..]);
    assert_eq!(test.due(), ["a", "b", "c", "d"]);
    names[..4].iter().for_each(|name| assert_eq!(test.respond(name, PollOutcome::Ended), None));
    assert_eq!(test.at(6.0).due(), ["RUNNING"]);
    test.respond_with_list("RUNNING", &[]);
    assert_eq!(test.due(), ["e"]);
    assert_eq!(test.at(9.0).due(), ["RUNNING", "PENDING"]);
    assert_eq!(test.respond("e", PollOutcome::Ended), None);
    assert_eq!(
        test.respond("RUNNING", PollOutcome::Listed(ids(&["e"]))),
        None,
        "the response in flight is ignored"
    );
    assert_eq!(test.respond_with_error("PENDING", &error(ApiErrorKind::Timeout)), None);
    assert_eq!((test.next(), test.scheduler.in_flight), (None, 0));
}

#[test]
fn missing_lists_mean_single_polls_of_named_sessions() {
    for kind in [ApiErrorKind::ListUnsupported, ApiErrorKind::Status(405), ApiErrorKind::Forbidden] {
        let names = ["a", "b", "c", "d", "e"];
        let mut test = TestScheduler::watching(&names);
        test.due();
        test.respond_with_list("PENDING", &[]);
        assert_eq!(test.respond_with_error("RUNNING", &error(kind)), None);
        for round in 0..4 {
            let mut due = test.at(f64::from(round) * 3.0).due();
            assert_eq!(due, ["a", "b", "c", "d"]);
            test.respond_alive(&["a", "b", "c", "d"]);
            due = test.due();
            assert_eq!(due, ["e"]);
            test.respond_alive(&["e"]);
        }
    }
}

#[test]
fn abandoned_list_can_still_delay_all() {
    let mut test = TestScheduler::watching(&["a", "b", "c", "d", "e"]);
    test.due();
    test.respond_with_error("RUNNING", &error(ApiErrorKind::ListUnsupported));
    assert_eq!(test.respond_with_error("PENDING", &rate_limited(40.0)), None);
    assert_eq!((test.due(), test.next()), (vec![], Some(40.0)));
}

#[test]
fn failed_lists_hide_no_session() {
    let mut test = TestScheduler::watching(&["a", "b", "c", "d", "e"]);
    test.due();
    test.respond_with_error("PENDING", &error(ApiErrorKind::Server(500)));
    assert_eq!(test.due(), NO_REQUESTS);
    test.respond_with_error("RUNNING", &error(ApiErrorKind::Server(500)));
    assert_eq!(test.due().len(), MAX_IN_FLIGHT);
    let mut unreachable = TestScheduler::watching(&["a", "b", "c", "d", "e"]);
    unreachable.due();
    unreachable.respond_with_error("RUNNING", &connection_refused());
    unreachable.respond_with_error("PENDING", &connection_refused());
    assert_eq!(unreachable.at(6.0).due(), ["RUNNING"], "an unreachable host gets no single polls");
}

#[test]
fn lists_go_before_single_polls() {
    let mut test = TestScheduler::limited(&Targets::All, 1);
    test.mark_projects_polled();
    let mut log = Vec::new();
    let mut step = |test: &mut TestScheduler, running: &[&str]| {
        let at = test.next().unwrap();
        for label in test.at(at).due() {
            match label.as_str() {
                "RUNNING" => test.respond_with_list("RUNNING", running),
                "PENDING" => test.respond_with_list("PENDING", &[]),
                single => assert_eq!(test.respond(single, PollOutcome::Ended), None),
            }
            log.push((at, label));
        }
    };
    step(&mut test, &["a", "b", "c", "d", "e"]);
    step(&mut test, &[]);
    step(&mut test, &["c", "d", "e"]); // at 3 s: a and b have left the list
    step(&mut test, &[]); // at 4 s: polls a
    step(&mut test, &[]);
    let list_polls = |log: &[(f64, String)]| log.iter().filter(|(_, label)| label == "RUNNING").count();
    for _ in 0..6 {
        step(&mut test, &["e"]); // from 6 s on: c and d have left, too
    }
    let labels: Vec<&str> = log.iter().map(|(_, label)| label.as_str()).collect();
    assert_eq!(labels[..5], ["RUNNING", "PENDING", "RUNNING", "a", "b"], "{log:?}");
    assert_eq!(labels[5..8], ["RUNNING", "c", "d"], "{log:?}");
    assert!(list_polls(&log) >= 3 && log.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 1.0), "{log:?}");
}

#[test]
fn newest_departures_go_first() {
    let mut test = TestScheduler::limited(&Targets::All, 1);
    test.scheduler.interval = secs(1.0);
    test.mark_projects_polled();
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut polled = Vec::new();
    let mut departed = 0;
    for _ in 0..40 {
        let Some(at) = test.next() else { break };
        for label in test.at(at).due() {
            match label.as_str() {
                "RUNNING" => {
                    test.respond_with_list("RUNNING", &names[departed..]);
                    departed = (departed + 3).min(names.len());
                }
                "PENDING" => test.respond_with_list("PENDING", &[]),
                single => {
                    polled.push(single.to_owned());
                    test.respond(single, PollOutcome::Ended);
                }
            }
        }
    }
    assert_eq!(polled.len(), 6, "{polled:?}");
    let position = |name: &str| polled.iter().position(|id| id == name).unwrap();
    assert!(position("d") < position("c"), "the newest first: {polled:?}");
}

#[test]
fn default_limit_suffices_for_four_sessions() {
    let names = ["a", "b", "c", "d"];
    let interval = Duration::from_secs(1);
    let limits = PollLimits { interval, max_rps: 4 };
    let scheduler = Scheduler::new(&Targets::Ids(ids(&names)), limits, START);
    let mut test = TestScheduler { scheduler, now: START };
    test.mark_projects_polled();
    let mut polls = 0;
    while let Some(next) = test.next().filter(|next| *next < 60.0) {
        let due = test.at(next).due();
        polls += due.len();
        test.respond_alive(&due.iter().map(String::as_str).collect::<Vec<_>>());
    }
    // The poll window of the rate limiter is a little longer than a second, so a few of the 60 rounds are skipped.
    assert!(polls >= 4 * 56, "each session has at least 56 polls in a minute: {polls} in all");
}

#[test]
fn polls_respect_both_rate_limits() {
    let mut test = TestScheduler::limited(&Targets::Ids(ids(&["a", "b", "c", "d"])), 3);
    test.mark_projects_polled();
    assert_eq!(test.due(), ["a", "b", "c"]);
    assert_eq!(test.due(), NO_REQUESTS);
    let window_end = test.next().unwrap();
    assert!(window_end >= 1.0, "no second has more than three polls: {window_end}");
    test.respond_alive(&["a", "b", "c"]);
    assert_eq!(test.at(window_end).due(), ["d"]);
    test.scheduler.update_rate_limit(RateLimit { remaining: 5, resets_in: secs(40.0) }, test.now);
    let next = test.at(window_end + 0.5).next(); // 40 s / (5 - 1), because one request is reserved for the user
    assert_eq!((test.due(), next), (vec![], Some(window_end + 10.0)), "polls slow down before a 429");
    test.scheduler.refresh(test.now);
    assert_eq!(test.due(), ["a", "b"], "the server's limit does not throttle a refresh");
}

#[test]
fn unexpected_response_changes_nothing() {
    let mut test = TestScheduler::watching(&["a"]);
    assert_eq!(test.respond("a", PollOutcome::Alive), None);
    assert_eq!(test.respond("z", PollOutcome::Ended), None);
    let user_request = Request::ConnectUrls(id("a"));
    assert_eq!(test.scheduler.on_outcome(&user_request, PollOutcome::Alive, test.now, 0.0), None);
    assert_eq!(test.due(), ["a"]);
    assert_eq!(test.scheduler.in_flight, 1);
}

/// One step of a random run.
#[derive(Clone, Debug)]
enum Step {
    /// Advances the clock by milliseconds.
    Wait(u16),
    /// Advances the clock to the next due request.
    WaitUntilDue,
    /// Responds to a request in flight. The index selects the request. Half of the first number is the index of an
    /// error. If there is no such error, the outcome is a success. The second number has the details: a bit for each
    /// member of a list, the seconds of a `retry-after`, and the jitter.
    Respond(prop::sample::Index, u8, u8),
    Refresh,
    Pause,
    Resume,
}

/// Generates a step. The numbers are the weights of the kinds.
fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<u16>().prop_map(Step::Wait),
        4 => Just(Step::WaitUntilDue),
        9 => (any::<prop::sample::Index>(), any::<u8>(), any::<u8>()).prop_map(|(index, kind, details)| Step::Respond(index, kind, details)),
        1 => Just(Step::Refresh),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
    ]
}

proptest! {
    #[test]
    fn scheduler_survives_any_server(
        watched in 0..3_u8, max_rps in prop_oneof![Just(1_u32), Just(4), Just(1_000_000)], steps in proptest::collection::vec(step(), 1..120),
    ) {
        let names = ["a", "b", "c", "d", "e", "f"];
        let watches_all = watched == 0;
        // All sessions, ids that are polled singly, or ids that are polled by lists.
        let targets = match watched {
            0 => Targets::All,
            1 => Targets::Ids(ids(&names[..MAX_POLLED_SINGLY])),
            _ => Targets::Ids(ids(&names)),
        };
        let mut test = TestScheduler::limited(&targets, max_rps);
        let mut in_flight: Vec<Request> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(ms) => test.now += Duration::from_millis(ms.into()),
                Step::WaitUntilDue => test.now = test.now.max(test.scheduler.next_due().unwrap_or_default()),
                Step::Refresh => test.scheduler.refresh(test.now),
                Step::Pause => test.scheduler.pause(),
                Step::Resume => test.scheduler.resume(),
                Step::Respond(index, kind, details) if !in_flight.is_empty() => {
                    let request = in_flight.swap_remove(index.index(in_flight.len()));
                    let errors = [
                        connection_refused(), error(ApiErrorKind::Timeout), error(ApiErrorKind::NotFound), error(ApiErrorKind::ApiKeyRejected),
                        error(ApiErrorKind::Html), rate_limited(f64::from(details)), error(ApiErrorKind::Server(500)), error(ApiErrorKind::Forbidden), error(ApiErrorKind::ListUnsupported),
                    ];
                    let members = names.iter().enumerate().filter(|(bit, _)| details & (1 << bit) != 0);
                    let success = match &request {
                        Request::List(_) => PollOutcome::Listed(members.map(|(_, name)| id(name)).collect()),
                        Request::Projects => PollOutcome::Projects,
                        Request::Session(_) | Request::ConnectUrls(_) if kind & 1 == 0 => PollOutcome::Ended,
                        Request::Session(_) | Request::ConnectUrls(_) | Request::LiveView(_) | Request::Release(_) | Request::RecentSessions => PollOutcome::Alive,
                    };
                    let outcome = errors.get(usize::from(kind) / 2).map_or(success, PollOutcome::Failed);
                    let jitter = f64::from(details) / 255.0;
                    if let Some(next_poll) = test.scheduler.on_outcome(&request, outcome, test.now, jitter) {
                        prop_assert!(next_poll + INTERVAL > test.now, "the next poll is not long past");
                        prop_assert!(next_poll <= test.now + PROJECTS_INTERVAL);
                    }
                }
                Step::Respond(..) => {}
            }
            let next_due = test.scheduler.next_due();
            let due = test.scheduler.take_due(test.now);
            // `take_due` returns requests at the time that `next_due` announced, and not earlier.
            prop_assert_eq!(next_due.is_some_and(|at| at <= test.now), !due.is_empty());
            for request in due {
                prop_assert!(!in_flight.contains(&request), "no request is in flight twice: {request:?}");
                in_flight.push(request);
            }
            // A refresh lets as many new requests start as are in flight.
            prop_assert!(in_flight.len() <= 2 * MAX_IN_FLIGHT);
            prop_assert_eq!(test.scheduler.in_flight, in_flight.len());
            prop_assert!(test.scheduler.next_due().is_none_or(|at| at > test.now), "no due request is left unless all slots are taken");
            prop_assert!(!in_flight.is_empty() || test.scheduler.is_paused || test.scheduler.next_due().is_some() || !watches_all, "list polls never stop");
        }
    }
}

#[test]
fn added_session_counts_as_named() {
    let mut test = TestScheduler::watching_all();
    test.due();
    test.respond("RUNNING", PollOutcome::Listed(ids(&["a"])));
    test.respond("PENDING", PollOutcome::Listed(vec![]));
    test.at(1.0);
    test.scheduler.watch(id("x"), test.now);
    assert_eq!(test.due(), ["x"], "an added session is polled at once");
    assert_eq!(
        test.respond("x", PollOutcome::Alive),
        Some(3.0),
        "an added session is polled in every interval while no list contains it"
    );
    test.at(3.0).due();
    assert_eq!(test.respond("x", PollOutcome::Failed(&error(ApiErrorKind::NotFound))), Some(6.0));
    test.at(6.0).due();
    assert_eq!(
        test.respond("x", PollOutcome::Failed(&error(ApiErrorKind::NotFound))),
        Some(12.0),
        "the session may yet be created"
    );
    test.respond("RUNNING", PollOutcome::Listed(ids(&["a", "x"])));
    assert!(
        !test.scheduler.poll_targets.contains_key(&Request::Session(id("x"))),
        "a session that a list contains is not polled singly"
    );
}

#[test]
fn departures_from_one_list_are_polled_singly() {
    let mut test = TestScheduler::new(&Targets::OneList(List::Pending));
    test.mark_projects_polled();
    assert_eq!(test.due(), ["PENDING"]);
    test.respond("PENDING", PollOutcome::Listed(ids(&["a"])));
    test.at(9.0); // the pending list is polled in every third round
    assert_eq!(test.due(), ["PENDING"]);
    test.respond("PENDING", PollOutcome::Listed(vec![]));
    assert_eq!(test.due(), ["a"]);
    assert_eq!(test.respond("a", PollOutcome::Alive), Some(12.0));
    test.at(12.0).due();
    assert_eq!(
        test.respond("a", PollOutcome::Alive),
        Some(18.0),
        "the interval doubles, because the session left the list"
    );
}

#[test]
fn unwatched_session_is_dropped() {
    // Two sessions are polled singly, nine by lists.
    for count in [2, 9] {
        let names: Vec<String> = (0..count).map(|number| format!("s{number}")).collect();
        let mut test = TestScheduler::new(&Targets::Ids(names.iter().map(|name| id(name)).collect()));
        test.mark_projects_polled();
        let is_removed =
            |test: &TestScheduler| !test.scheduler.poll_targets.contains_key(&Request::Session(id("s0")));
        test.due();
        if count > MAX_POLLED_SINGLY {
            test.respond("RUNNING", PollOutcome::Listed(vec![]));
            test.respond(
                "PENDING",
                PollOutcome::Listed(ids(&["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"])),
            );
            assert_eq!(test.due(), ["s0"]);
        }
        test.scheduler.unwatch(id("s0"));
        assert!(!is_removed(&test), "the poll in flight is processed as usual");
        test.respond("s0", PollOutcome::Failed(&error(ApiErrorKind::NotFound)));
        test.scheduler.unwatch(id("s0"));
        assert!(is_removed(&test) && test.scheduler.polls_lists() == (count > MAX_POLLED_SINGLY));
        names.iter().for_each(|name| test.scheduler.unwatch(id(name)));
        assert!(!test.scheduler.polls_lists(), "no watched session is left");
    }
}
