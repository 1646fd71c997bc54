use proptest::prelude::*;

use super::*;
use keepwatch_core::session::ApiErrorKind;
use keepwatch_core::testing::id;
use keepwatch_core::text::Untrusted;

const INTERVAL: Duration = Duration::from_secs(3);

fn s(seconds: f64) -> Duration {
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
    ApiError { retry_after: Some(s(seconds)), ..ApiErrorKind::RateLimited.into() }
}

/// A scheduler with a clock. Tests name its requests by labels: an id, `RUNNING`, `PENDING`, `projects`.
struct TestScheduler {
    scheduler: Scheduler,
    now: Duration,
}

impl TestScheduler {
    /// Watches these ids; the projects were polled already.
    fn watching(texts: &[&str]) -> Self {
        let mut sim = Self::new(&Targets::Ids(ids(texts)));
        sim.mark_projects_polled();
        sim
    }

    /// Watches all sessions; the projects were polled already.
    fn watching_all() -> Self {
        let mut sim = Self::new(&Targets::All);
        sim.mark_projects_polled();
        sim
    }

    /// Creates a scheduler with a rate limit that is never reached.
    fn new(targets: &Targets) -> Self {
        Self::limited(targets, 1_000_000)
    }

    fn limited(targets: &Targets, max_rps: u32) -> Self {
        let now = s(1000.0);
        Self { scheduler: Scheduler::new(targets, PollLimits { interval: INTERVAL, max_rps }, now), now }
    }

    /// Polls each of these ids singly, however many; the projects were polled already.
    fn singly(texts: &[&str]) -> Self {
        let mut sim = Self::watching(texts);
        assert_eq!(sim.due(), ["RUNNING", "PENDING"]);
        sim.respond_with_error("RUNNING", &error(ApiErrorKind::ListUnsupported));
        sim.respond_with_error("PENDING", &error(ApiErrorKind::ListUnsupported));
        sim
    }

    /// Pretends that the projects were polled a moment ago.
    fn mark_projects_polled(&mut self) {
        let target = self.scheduler.targets.get_mut(&Request::Projects).unwrap();
        target.state = PollState::Waiting(self.now + PROJECTS_EVERY);
        self.scheduler.has_polled_projects = true;
    }

    /// Sets the clock to `seconds` after the start.
    fn at(&mut self, seconds: f64) -> &mut Self {
        self.now = s(1000.0) + s(seconds);
        self
    }

    fn due(&mut self) -> Vec<String> {
        self.scheduler.take_due(self.now).iter().map(request_label).collect()
    }

    /// Returns the time of the next request, in seconds after the start.
    fn next(&self) -> Option<f64> {
        self.scheduler.next_due().map(|at| at.as_secs_f64() - 1000.0)
    }

    fn respond(&mut self, label: &str, outcome: PollOutcome<'_>) -> Option<f64> {
        let request = match label {
            "RUNNING" => Request::List(List::Running),
            "PENDING" => Request::List(List::Pending),
            "projects" => Request::Projects,
            text => Request::Session(id(text)),
        };
        let at = self.scheduler.on_response(&request, outcome, self.now, 0.0);
        at.map(|at| at.as_secs_f64() - 1000.0)
    }

    fn respond_alive(&mut self, texts: &[&str]) {
        texts.iter().for_each(|text| {
            self.respond(text, PollOutcome::Alive);
        });
    }

    fn respond_with_list(&mut self, list: &str, texts: &[&str]) {
        self.respond(list, PollOutcome::Listed(ids(texts)));
    }

    fn respond_with_error(&mut self, text: &str, error: &ApiError) -> Option<f64> {
        self.respond(text, PollOutcome::Failed(error))
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
fn sessions_go_first_and_slots_are_limited() {
    let mut sim = TestScheduler::new(&Targets::Ids(ids(&["a", "b", "c", "d"])));
    assert_eq!(sim.due(), ["a", "b", "c", "d"]);
    assert_eq!((sim.due(), sim.next()), (vec![], None), "full: only a response frees a slot");
    sim.respond_alive(&["a", "b"]);
    assert_eq!(sim.due(), ["projects"]);
    assert_eq!(sim.due(), NO_REQUESTS);
}

#[test]
fn session_in_flight_is_not_polled_again() {
    let mut sim = TestScheduler::watching(&["a"]);
    assert_eq!(sim.due(), ["a"]);
    for later in [3.0, 6.0, 60.0] {
        assert_eq!(sim.at(later).due(), NO_REQUESTS);
        sim.scheduler.refresh(sim.now);
        assert_eq!(sim.due(), NO_REQUESTS);
    }
    assert_eq!(sim.respond("a", PollOutcome::Alive), Some(60.0));
    assert_eq!(sim.due(), ["a"]);
}

#[test]
fn slow_session_never_delays_others() {
    let mut sim = TestScheduler::watching(&["a", "b", "c"]);
    sim.due();
    sim.respond_alive(&["b", "c"]);
    for round in 1..100 {
        let at = f64::from(round) * 3.0;
        assert_eq!(sim.next(), Some(at));
        assert_eq!(sim.at(at).due(), ["b", "c"]);
        sim.at(at + 0.2).respond_alive(&["b", "c"]);
    }
}

#[test]
fn rounds_stay_on_the_grid() {
    let mut sim = TestScheduler::watching(&["a", "b"]);
    sim.due();
    sim.at(0.7).respond_alive(&["a"]);
    sim.at(1.9).respond_alive(&["b"]);
    assert_eq!(sim.next(), Some(3.0));
    assert_eq!(sim.at(3.1).due(), ["a", "b"], "the timer fired late");
    sim.at(3.3).respond_alive(&["a", "b"]);
    assert_eq!(sim.next(), Some(6.0), "the grid does not drift");
}

#[test]
fn slow_response_skips_rounds() {
    for (took, next) in [(2.9, 3.0), (3.2, 3.0), (4.4, 3.0), (4.6, 6.0), (10.0, 9.0), (10.6, 12.0)] {
        let mut sim = TestScheduler::watching(&["a"]);
        sim.due();
        assert_eq!(sim.at(took).respond("a", PollOutcome::Alive), Some(next), "{took}");
    }
}

#[test]
fn pending_list_is_polled_every_third_round() {
    let mut sim = TestScheduler::watching_all();
    for round in 0..12 {
        let due = sim.at(f64::from(round) * 3.0).due();
        assert_eq!(due.contains(&"PENDING".into()), round % 3 == 0, "{round}");
        assert!(due.contains(&"RUNNING".into()));
        due.iter().for_each(|list| sim.respond_with_list(list, &["a"]));
    }
}

#[test]
fn polling_stops_after_the_last_session_ended() {
    let mut sim = TestScheduler::new(&Targets::Ids(ids(&["a", "b"])));
    assert_eq!(sim.due(), ["a", "b", "projects"]);
    sim.respond("projects", PollOutcome::Projects);
    assert_eq!(sim.respond("a", PollOutcome::Ended), None);
    sim.respond_alive(&["b"]);
    assert_eq!(sim.at(3.0).due(), ["b"]);
    assert_eq!(sim.respond("b", PollOutcome::Ended), None);
    assert_eq!(sim.next(), None, "not even the projects are polled again");
    sim.scheduler.refresh(sim.now);
    assert_eq!(sim.at(1e6).due(), NO_REQUESTS);
}

#[test]
fn projects_are_polled_once_after_all_ended() {
    let mut sim = TestScheduler::new(&Targets::Ids(ids(&["a", "b", "c", "d"])));
    sim.due().iter().for_each(|text| {
        sim.respond(text, PollOutcome::Ended);
    });
    assert_eq!(sim.due(), ["projects"]);
    sim.respond_with_error("projects", &connection_refused());
    assert_eq!(sim.next(), None, "no retry after a failure");
}

#[test]
fn projects_failure_does_not_delay_sessions() {
    for (kind, next_poll) in [
        (ApiErrorKind::NotFound, 3600.0),
        (ApiErrorKind::Html, 3600.0),
        (ApiErrorKind::ApiKeyRejected, 3600.0),
        (ApiErrorKind::Redirect(Untrusted::new("h")), 3600.0),
        (ApiErrorKind::Server(500), 3600.0),
        (ApiErrorKind::Dns(Untrusted::new("h")), 6.0),
    ] {
        let mut sim = TestScheduler::new(&Targets::Ids(ids(&["a"])));
        assert_eq!(sim.due(), ["a", "projects"]);
        assert_eq!(sim.respond_with_error("projects", &error(kind)), Some(next_poll));
        sim.respond_alive(&["a"]);
        assert_eq!(sim.at(3.0).due(), ["a"], "the session is not delayed");
    }
    let mut sim = TestScheduler::new(&Targets::Ids(ids(&["a"])));
    sim.due();
    sim.respond_alive(&["a"]);
    assert_eq!(sim.respond_with_error("projects", &rate_limited(20.0)), Some(20.0));
    assert_eq!(sim.next(), Some(20.0), "a throttled request delays all");
}

#[test]
fn unlisted_session_is_polled_at_doubling_intervals() {
    let mut sim = TestScheduler::watching_all();
    sim.due();
    sim.respond_with_list("RUNNING", &["a", "b"]);
    sim.respond_with_list("PENDING", &[]);
    sim.at(3.0).due();
    sim.at(3.2).respond_with_list("RUNNING", &["a"]);
    assert_eq!(sim.due(), ["b"]);
    let mut intervals = Vec::new();
    let mut last = 3.2;
    for _ in 0..9 {
        let next = sim.at(last).respond("b", PollOutcome::Alive).unwrap();
        intervals.push((next - last).round());
        sim.at(next)
            .due()
            .iter()
            .filter(|label| *label != "b")
            .for_each(|list| sim.respond_with_list(list, &["a"]));
        last = next;
    }
    assert_eq!(intervals, [3.0, 6.0, 12.0, 24.0, 48.0, 96.0, 192.0, 300.0, 300.0]);
    sim.respond_alive(&["b"]);
    let round = sim.next().unwrap();
    assert_eq!(sim.at(round).due(), ["RUNNING"]);
    sim.respond_with_list("RUNNING", &["a", "b"]);
    let polled: Vec<String> = (1..400)
        .flat_map(|at| {
            let due = sim.at(round + f64::from(at) * 3.0).due();
            due.iter().for_each(|list| {
                sim.respond_with_list(list, if list == "RUNNING" { &["a", "b"] } else { &[] })
            });
            due
        })
        .filter(|label| label == "b")
        .collect();
    assert_eq!(polled, NO_REQUESTS);
}

#[test]
fn ended_or_missing_unlisted_session_is_dropped() {
    let mut sim = TestScheduler::watching_all();
    sim.due();
    sim.respond_with_list("RUNNING", &["a", "b"]);
    sim.respond_with_list("PENDING", &[]);
    sim.at(3.0).due();
    sim.respond_with_list("RUNNING", &[]);
    assert_eq!(sim.due(), ["a", "b"]);
    assert_eq!(sim.respond("a", PollOutcome::Ended), None);
    assert_eq!(sim.respond_with_error("b", &error(ApiErrorKind::NotFound)), None);
    assert_eq!(sim.next(), Some(6.0));
    assert_eq!(sim.at(6.0).due(), ["RUNNING"]);
}

#[test]
fn thousand_sessions_need_only_list_polls() {
    let mut sim = TestScheduler::watching_all();
    let names: Vec<String> = (0..1000).map(|number| format!("s-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut request_count = 0;
    for interval in 0..60 {
        let due = sim.at(3.0 * f64::from(interval)).due();
        request_count += due.len();
        for label in due {
            sim.respond_with_list(&label, if label == "RUNNING" { &names } else { &[] });
        }
    }
    assert_eq!(request_count, 60 + 20);
}

#[test]
fn oldest_unlisted_sessions_are_evicted_first() {
    let mut sim = TestScheduler::watching_all();
    sim.scheduler.watch(id("named"), sim.now);
    sim.due();
    sim.respond_alive(&["named"]);
    let names =
        |prefix: &str, count| (0..count).map(|number| format!("{prefix}-{number}")).collect::<Vec<_>>();
    let list = |sim: &mut TestScheduler, names: &[String]| {
        sim.respond_with_list("RUNNING", &names.iter().map(String::as_str).collect::<Vec<_>>());
    };
    let (old, new) = (names("old", 600), names("new", List::MAX_DELISTED - 100));
    list(&mut sim, &old);
    for (at, names) in [(3.0, &new), (6.0, &old[..0].to_vec())] {
        sim.scheduler.pause(); // no single poll is sent
        sim.at(at).scheduler.resume();
        sim.scheduler.targets.get_mut(&Request::List(List::Running)).unwrap().state =
            PollState::InFlight { sent: sim.now };
        list(&mut sim, names);
    }
    let is_polled = |name: &String| sim.scheduler.targets.contains_key(&Request::Session(id(name)));
    assert_eq!(old.iter().filter(|name| is_polled(name)).count(), 100);
    assert!(new.iter().all(is_polled) && is_polled(&"named".into()));
}

#[test]
fn relisted_session_is_not_polled_singly() {
    let mut sim = TestScheduler::watching_all();
    sim.due();
    sim.respond_with_list("RUNNING", &["a"]);
    sim.respond_with_list("PENDING", &[]);
    sim.at(3.0).due();
    sim.respond_with_list("RUNNING", &[]);
    assert_eq!(sim.due(), ["a"]);
    assert_eq!(sim.at(6.0).due(), ["RUNNING"]);
    sim.respond_with_list("RUNNING", &["a"]);
    assert_eq!(sim.respond("a", PollOutcome::Alive), None);
}

#[test]
fn starting_session_is_not_polled_singly() {
    // The session is pending in the first round and running in the fourth. Either list may arrive first.
    for order in [["PENDING", "RUNNING"], ["RUNNING", "PENDING"]] {
        let mut sim = TestScheduler::watching_all();
        sim.due();
        sim.respond_with_list("RUNNING", &[]);
        sim.respond_with_list("PENDING", &["a"]);
        for round in [3.0, 6.0] {
            assert_eq!(sim.at(round).due(), ["RUNNING"]);
            sim.respond_with_list("RUNNING", &[]);
        }
        sim.at(9.0).due();
        for list in order {
            sim.respond_with_list(list, if list == "RUNNING" { &["a"] } else { &[] });
            assert_eq!(sim.due(), NO_REQUESTS, "{order:?}");
        }
        assert_eq!(sim.at(12.0).due(), ["RUNNING"]);
        // Its departure is noticed, although the newest pending list contained it.
        sim.respond_with_list("RUNNING", &[]);
        assert_eq!(sim.due(), ["a"]);
    }
}

#[test]
fn stale_pending_list_does_not_hide_departure() {
    let mut sim = TestScheduler::watching_all();
    sim.due();
    sim.respond_with_list("RUNNING", &["a"]);
    sim.respond_with_list("PENDING", &["a"]);
    sim.at(3.0).due();
    sim.respond_with_list("RUNNING", &[]);
    assert_eq!(sim.due(), ["a"]);
}

#[test]
fn vanished_pending_session_is_polled_next_round() {
    let mut sim = TestScheduler::watching_all();
    sim.due();
    sim.respond_with_list("RUNNING", &[]);
    sim.respond_with_list("PENDING", &["a"]);
    for round in [3.0, 6.0] {
        sim.at(round).due();
        sim.respond_with_list("RUNNING", &[]);
    }
    assert_eq!(sim.at(9.0).due(), ["RUNNING", "PENDING"]);
    sim.respond_with_list("PENDING", &[]);
    assert_eq!(sim.due(), NO_REQUESTS);
    sim.respond_with_list("RUNNING", &[]);
    assert_eq!(sim.at(12.0).due(), ["RUNNING", "a"]);
}

#[test]
fn unknown_id_is_polled_at_growing_intervals() {
    let mut sim = TestScheduler::watching(&["a"]);
    let mut last = 0.0;
    let mut intervals = Vec::new();
    for _ in 0..7 {
        assert_eq!(sim.due(), ["a"]);
        let next = sim.respond_with_error("a", &error(ApiErrorKind::NotFound)).unwrap();
        intervals.push(next - last);
        last = next;
        sim.at(next);
    }
    assert_eq!(intervals, [3.0, 6.0, 12.0, 24.0, 48.0, 60.0, 60.0]);
    sim.due();
    let next = sim.respond("a", PollOutcome::Alive).unwrap();
    assert!(next - last <= 4.5);
    sim.at(next).due();
    assert_eq!(
        sim.respond_with_error("a", &error(ApiErrorKind::Gone)),
        Some(next + 3.0),
        "the interval starts over"
    );
}

#[test]
fn session_failure_delays_only_that_session() {
    let mut sim = TestScheduler::watching(&["a", "b"]);
    let mut delays = Vec::new();
    for _ in 0..6 {
        assert!(sim.due().contains(&"a".into()));
        sim.respond_alive(&["b"]);
        let next = sim.respond_with_error("a", &error(ApiErrorKind::Timeout)).unwrap();
        delays.push(next - (sim.now - s(1000.0)).as_secs_f64());
        assert!(sim.next().unwrap() < next, "b is still polled");
        sim.at(next);
    }
    assert_eq!(delays, [6.0, 12.0, 24.0, 48.0, 60.0, 60.0]);
    sim.due();
    let now = (sim.now - s(1000.0)).as_secs_f64();
    assert_eq!(sim.respond("a", PollOutcome::Alive), Some(now + 3.0));
}

#[test]
fn jitter_shortens_delay_by_a_quarter() {
    let mut sim = TestScheduler::watching(&["a"]);
    sim.due();
    let request = Request::Session(id("a"));
    let at = sim.scheduler.on_response(
        &request,
        PollOutcome::Failed(&error(ApiErrorKind::ConnectionClosed)),
        sim.now,
        1.0,
    );
    assert_eq!(at, Some(sim.now + s(4.5)));
}

#[test]
fn shared_failure_delays_all_then_sends_one() {
    let mut sim = TestScheduler::singly(&["a", "b", "c", "d", "e"]);
    assert_eq!(sim.due(), ["a", "b", "c", "d"]);
    for text in ["a", "b", "c", "d"] {
        assert_eq!(
            sim.respond_with_error(text, &connection_refused()),
            Some(6.0),
            "four simultaneous failures count as one"
        );
    }
    assert_eq!((sim.due(), sim.next()), (vec![], Some(6.0)), "a session that was never polled waits, too");
    assert_eq!(sim.at(6.0).due(), ["e"]);
    assert_eq!((sim.at(7.0).due(), sim.next()), (vec![], None));
    assert_eq!(sim.respond_with_error("e", &connection_refused()), Some(19.0));
    assert_eq!(sim.at(19.0).due(), ["a"]);
    sim.respond_alive(&["a"]);
    assert_eq!(sim.due(), ["b", "c", "d", "e"]);
}

#[test]
fn late_failure_does_not_change_the_backoff() {
    let mut sim = TestScheduler::watching(&["a", "b"]);
    sim.due();
    sim.respond_with_error("a", &connection_refused());
    assert_eq!(sim.at(5.0).respond_with_error("b", &connection_refused()), Some(6.0));
    assert_eq!(sim.scheduler.shared_failures, 1);
}

#[test]
fn longest_retry_after_delays_all() {
    let mut sim = TestScheduler::watching(&["a", "b", "c"]);
    sim.due();
    sim.respond_with_error("a", &connection_refused());
    assert_eq!(sim.respond_with_error("b", &rate_limited(40.0)), Some(40.0));
    assert_eq!(sim.respond_with_error("c", &rate_limited(20.0)), Some(40.0));
    assert_eq!((sim.at(39.9).due(), sim.next()), (vec![], Some(40.0)));
    assert_eq!(sim.at(40.0).due().len(), 1);
}

#[test]
fn zero_retry_after_still_backs_off() {
    let mut sim = TestScheduler::watching(&["a"]);
    let mut at = 0.0;
    for delay in [6.0, 12.0, 24.0, 48.0, 60.0] {
        assert_eq!(sim.at(at).due(), ["a"]);
        at += delay;
        assert_eq!(sim.respond_with_error("a", &rate_limited(0.0)), Some(at), "the normal backoff applies");
    }
}

#[test]
fn long_retry_after_replaces_the_backoff() {
    let mut sim = TestScheduler::watching(&["a"]);
    let mut at = 0.0;
    for delay in [6.0, 12.0, 24.0] {
        assert_eq!(sim.at(at).due(), ["a"]);
        at += delay;
        sim.respond_with_error("a", &connection_refused());
    }
    for (retry_after, delay) in [(3.5, 3.5), (3.0, 60.0), (1.0, 60.0)] {
        assert_eq!(sim.at(at).due(), ["a"], "{retry_after}");
        at += delay;
        assert_eq!(sim.respond_with_error("a", &rate_limited(retry_after)), Some(at), "{retry_after}");
    }
}

#[test]
fn refresh_is_sent_while_all_slots_hang() {
    let mut sim = TestScheduler::singly(&["a", "b", "c", "d", "e", "f"]);
    assert_eq!(sim.due().len(), MAX_IN_FLIGHT);
    sim.at(1.0).scheduler.refresh(s(1001.0));
    assert_eq!(sim.due(), ["e", "f"], "requests that hang do not block a refresh");
    sim.scheduler.refresh(s(1001.0));
    assert_eq!(sim.due(), NO_REQUESTS, "no session is polled twice");
}

#[test]
fn failing_sessions_leave_one_slot_free() {
    let mut sim = TestScheduler::singly(&["a", "b", "c", "d", "e"]);
    sim.due();
    for text in ["a", "b", "c", "d"] {
        sim.respond_with_error(text, &error(ApiErrorKind::Timeout));
    }
    assert_eq!(sim.due(), ["e"]);
    sim.respond_alive(&["e"]);
    let due = sim.at(20.0).due();
    assert!(due.len() == MAX_IN_FLIGHT && due.contains(&"e".to_owned()), "{due:?}");
}

#[test]
fn rejected_api_key_delays_all_a_minute() {
    let mut sim = TestScheduler::watching(&["a", "b"]);
    sim.due();
    assert_eq!(sim.respond_with_error("a", &error(ApiErrorKind::Forbidden)), Some(60.0));
    sim.respond_alive(&["b"]);
    assert_eq!(sim.at(3.0).due(), ["b"]);
    assert_eq!(sim.respond_with_error("b", &error(ApiErrorKind::ApiKeyRejected)), Some(63.0));
    assert_eq!(sim.at(60.0).due(), NO_REQUESTS);
    assert_eq!(sim.at(63.0).due(), ["a"]);
}

#[test]
fn refresh_overrides_every_delay() {
    let mut sim = TestScheduler::singly(&["a", "b", "c", "d", "e", "f"]);
    sim.due();
    sim.respond_with_error("a", &rate_limited(300.0));
    sim.respond_with_error("b", &error(ApiErrorKind::NotFound));
    sim.at(1.0).scheduler.refresh(s(1001.0));
    assert_eq!(sim.due(), ["e", "f", "a", "b"], "the longest waiting first");
    // A failure of a request from before the refresh is retried at once. The next failure counts.
    assert_eq!(sim.respond_with_error("c", &connection_refused()), Some(1.0));
    sim.respond_alive(&["d", "e", "f", "a", "b"]);
    assert_eq!(sim.due(), ["c"]);
    assert_eq!(sim.respond_with_error("c", &connection_refused()), Some(7.0));
}

#[test]
fn overdue_polls_are_sent_once_after_pause() {
    let mut sim = TestScheduler::watching(&["a"]);
    sim.due();
    sim.scheduler.pause();
    sim.respond_alive(&["a"]);
    assert_eq!((sim.at(30.0).due(), sim.next()), (vec![], None));
    sim.scheduler.refresh(sim.now);
    assert_eq!((sim.due(), sim.next()), (vec![], None), "waking from sleep does not end a pause");
    sim.at(31.0).scheduler.resume();
    assert_eq!(sim.due(), ["a"]);
    sim.respond_alive(&["a"]);
    assert_eq!(sim.next(), Some(33.0));
}

#[test]
fn missing_lists_back_off() {
    let mut sim = TestScheduler::watching_all();
    sim.due();
    assert_eq!(sim.respond_with_error("RUNNING", &error(ApiErrorKind::NotFound)), Some(6.0));
    assert_eq!(sim.respond_with_error("PENDING", &error(ApiErrorKind::Status(405))), Some(6.0));
    assert_eq!(sim.at(6.0).due(), ["RUNNING", "PENDING"]);
    assert_eq!(sim.respond_with_error("RUNNING", &error(ApiErrorKind::NotFound)), Some(18.0));
}

#[test]
fn more_than_four_ids_use_lists() {
    let names = ["a", "b", "c", "d", "e"];
    assert_eq!(TestScheduler::watching(&names[..4]).due(), ["a", "b", "c", "d"]);
    let mut sim = TestScheduler::watching(&names);
    for round in 0..20 {
        let due = sim.at(f64::from(round) * 3.0).due();
        let lists = if round % 3 == 0 { vec!["RUNNING", "PENDING"] } else { vec!["RUNNING"] };
        assert_eq!(due, lists, "{round}");
        due.iter().for_each(|list| {
            sim.respond_with_list(list, if list == "RUNNING" { &names[1..] } else { &names[..1] })
        });
    }
}

#[test]
fn unnamed_listed_sessions_are_ignored() {
    let mut sim = TestScheduler::watching(&["a", "b", "c", "d", "e"]);
    assert!(sim.scheduler.is_watched(&id("a")) && !sim.scheduler.is_watched(&id("z")));
    sim.due();
    sim.respond_with_list("PENDING", &[]);
    sim.respond_with_list("RUNNING", &["a", "b", "c", "d", "e", "z"]);
    assert_eq!(sim.at(3.0).due(), ["RUNNING"]);
    sim.respond_with_list("RUNNING", &["a", "b", "c", "d", "e"]);
    assert_eq!(sim.due(), NO_REQUESTS, "z was not named");
    assert!(TestScheduler::watching_all().scheduler.is_watched(&id("z")));
}

#[test]
fn named_session_in_no_list_is_polled_singly() {
    let mut sim = TestScheduler::watching(&["absent", "ended", "listed", "pending", "unlisted"]);
    sim.due();
    sim.at(0.1).respond_with_list("RUNNING", &["listed"]);
    assert_eq!(sim.due(), NO_REQUESTS, "the list in flight may contain them");
    sim.at(0.2).respond_with_list("PENDING", &["pending"]);
    assert_eq!(sim.due(), ["absent", "ended", "unlisted"]);
    assert_eq!(sim.respond("ended", PollOutcome::Ended), None);
    let mut polled = vec![("absent", 0.2), ("unlisted", 0.2)];
    sim.respond_with_error("absent", &error(ApiErrorKind::NotFound));
    sim.respond_alive(&["unlisted"]);
    while polled.len() < 12 {
        let at = sim.next().unwrap();
        for label in sim.at(at).due() {
            match label.as_str() {
                "RUNNING" => sim.respond_with_list("RUNNING", &["listed"]),
                "PENDING" => sim.respond_with_list("PENDING", &["pending"]),
                "absent" => {
                    polled.push(("absent", at));
                    sim.respond_with_error("absent", &error(ApiErrorKind::NotFound));
                }
                "unlisted" => {
                    polled.push(("unlisted", at));
                    sim.respond_alive(&["unlisted"]);
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
fn list_polls_stop_after_the_last_named_end() {
    let names = ["a", "b", "c", "d", "e"];
    let mut sim = TestScheduler::watching(&names);
    sim.due();
    sim.respond_with_list("PENDING", &[]);
    sim.respond_with_list("RUNNING", &names);
    sim.at(3.0).due();
    sim.at(3.1).respond_with_list("RUNNING", &names[4..]);
    assert_eq!(sim.due(), ["a", "b", "c", "d"]);
    names[..4].iter().for_each(|name| assert_eq!(sim.respond(name, PollOutcome::Ended), None));
    assert_eq!(sim.at(6.0).due(), ["RUNNING"]);
    sim.respond_with_list("RUNNING", &[]);
    assert_eq!(sim.due(), ["e"]);
    assert_eq!(sim.at(9.0).due(), ["RUNNING", "PENDING"]);
    assert_eq!(sim.respond("e", PollOutcome::Ended), None);
    assert_eq!(
        sim.respond("RUNNING", PollOutcome::Listed(ids(&["e"]))),
        None,
        "the response in flight is ignored"
    );
    assert_eq!(sim.respond_with_error("PENDING", &error(ApiErrorKind::Timeout)), None);
    assert_eq!((sim.next(), sim.scheduler.in_flight), (None, 0));
}

#[test]
fn missing_lists_fall_back_to_single_polls() {
    for kind in [ApiErrorKind::ListUnsupported, ApiErrorKind::Status(405), ApiErrorKind::Forbidden] {
        let names = ["a", "b", "c", "d", "e"];
        let mut sim = TestScheduler::watching(&names);
        sim.due();
        sim.respond_with_list("PENDING", &[]);
        assert_eq!(sim.respond_with_error("RUNNING", &error(kind)), None);
        for round in 0..4 {
            let mut due = sim.at(f64::from(round) * 3.0).due();
            assert_eq!(due, ["a", "b", "c", "d"]);
            sim.respond_alive(&["a", "b", "c", "d"]);
            due = sim.due();
            assert_eq!(due, ["e"]);
            sim.respond_alive(&["e"]);
        }
    }
}

#[test]
fn abandoned_list_can_still_delay_all() {
    let mut sim = TestScheduler::watching(&["a", "b", "c", "d", "e"]);
    sim.due();
    sim.respond_with_error("RUNNING", &error(ApiErrorKind::ListUnsupported));
    assert_eq!(sim.respond_with_error("PENDING", &rate_limited(40.0)), None);
    assert_eq!((sim.due(), sim.next()), (vec![], Some(40.0)));
}

#[test]
fn failed_lists_do_not_hide_named_sessions() {
    let mut sim = TestScheduler::watching(&["a", "b", "c", "d", "e"]);
    sim.due();
    sim.respond_with_error("PENDING", &error(ApiErrorKind::Server(500)));
    assert_eq!(sim.due(), NO_REQUESTS);
    sim.respond_with_error("RUNNING", &error(ApiErrorKind::Server(500)));
    assert_eq!(sim.due().len(), MAX_IN_FLIGHT);
    let mut unreachable = TestScheduler::watching(&["a", "b", "c", "d", "e"]);
    unreachable.due();
    unreachable.respond_with_error("RUNNING", &connection_refused());
    unreachable.respond_with_error("PENDING", &connection_refused());
    assert_eq!(unreachable.at(6.0).due(), ["RUNNING"], "an unreachable host gets no single polls");
}

#[test]
fn lists_go_before_single_sessions() {
    let mut sim = TestScheduler::limited(&Targets::All, 1);
    sim.mark_projects_polled();
    let mut log = Vec::new();
    let mut step = |sim: &mut TestScheduler, running: &[&str]| {
        let at = sim.next().unwrap();
        for label in sim.at(at).due() {
            match label.as_str() {
                "RUNNING" => sim.respond_with_list("RUNNING", running),
                "PENDING" => sim.respond_with_list("PENDING", &[]),
                single => assert_eq!(sim.respond(single, PollOutcome::Ended), None),
            }
            log.push((at, label));
        }
    };
    step(&mut sim, &["a", "b", "c", "d", "e"]);
    step(&mut sim, &[]);
    step(&mut sim, &["c", "d", "e"]); // at 3 s: a and b have left the list
    step(&mut sim, &[]); // at 4 s: polls a
    step(&mut sim, &[]);
    let list_polls = |log: &[(f64, String)]| log.iter().filter(|(_, label)| label == "RUNNING").count();
    for _ in 0..6 {
        step(&mut sim, &["e"]); // from 6 s on: c and d have left, too
    }
    let labels: Vec<&str> = log.iter().map(|(_, label)| label.as_str()).collect();
    assert_eq!(labels[..5], ["RUNNING", "PENDING", "RUNNING", "a", "b"], "{log:?}");
    assert_eq!(labels[5..8], ["RUNNING", "c", "d"], "{log:?}");
    assert!(list_polls(&log) >= 3 && log.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 1.0), "{log:?}");
}

#[test]
fn newest_departures_go_first_without_starvation() {
    let mut sim = TestScheduler::limited(&Targets::All, 1);
    sim.scheduler.interval = s(1.0);
    sim.mark_projects_polled();
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut polled = Vec::new();
    let mut departed = 0;
    for _ in 0..40 {
        let Some(at) = sim.next() else { break };
        for label in sim.at(at).due() {
            match label.as_str() {
                "RUNNING" => {
                    sim.respond_with_list("RUNNING", &names[departed..]);
                    departed = (departed + 3).min(names.len());
                }
                "PENDING" => sim.respond_with_list("PENDING", &[]),
                single => {
                    polled.push(single.to_owned());
                    sim.respond(single, PollOutcome::Ended);
                }
            }
        }
    }
    assert_eq!(polled.len(), 6, "{polled:?}");
    let position = |name: &str| polled.iter().position(|id| id == name).unwrap();
    assert!(position("d") < position("c"), "the newest first: {polled:?}");
}

#[test]
fn polls_respect_both_rate_limits() {
    let mut sim = TestScheduler::limited(&Targets::Ids(ids(&["a", "b", "c", "d"])), 2);
    assert_eq!(sim.due(), ["a", "b"]);
    assert_eq!((sim.due(), sim.next()), (vec![], Some(0.5)));
    sim.respond_alive(&["a", "b"]);
    assert_eq!(sim.at(0.5).due(), ["c"]);
    sim.scheduler.update_rate_limit(RateLimit { remaining: 5, resets_in: s(40.0) }, sim.now);
    assert_eq!((sim.at(1.0).due(), sim.next()), (vec![], Some(10.5)), "polls slow down before a 429");
    sim.scheduler.refresh(sim.now);
    assert_eq!(sim.due(), ["d"], "a refresh is not throttled");
}

#[test]
fn unexpected_response_changes_nothing() {
    let mut sim = TestScheduler::watching(&["a"]);
    assert_eq!(sim.respond("a", PollOutcome::Alive), None);
    assert_eq!(sim.respond("z", PollOutcome::Ended), None);
    let user_request = Request::ConnectUrls(id("a"));
    assert_eq!(sim.scheduler.on_response(&user_request, PollOutcome::Alive, sim.now, 0.0), None);
    assert_eq!(sim.due(), ["a"]);
    assert_eq!(sim.scheduler.in_flight, 1);
}

/// One step of a random run.
#[derive(Clone, Debug)]
enum Step {
    /// Advances the clock by milliseconds.
    Wait(u16),
    /// Advances the clock to the next due request.
    WaitUntilDue,
    /// Responds to a request in flight: its index, the kind of outcome, and its details.
    Respond(prop::sample::Index, u8, u8),
    Refresh,
    Pause,
    Resume,
}

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
    fn random_server_behaviour_keeps_scheduler_consistent(
        watched in 0..3_u8, max_rps in prop_oneof![Just(1_u32), Just(4), Just(1_000_000)], steps in proptest::collection::vec(step(), 1..120),
    ) {
        let names = ["a", "b", "c", "d", "e", "f"];
        let watches_all = watched == 0;
        let targets = match watched {
            0 => Targets::All,
            1 => Targets::Ids(ids(&names[..MAX_POLLED_SINGLY])),
            _ => Targets::Ids(ids(&names)),
        };
        let mut sim = TestScheduler::limited(&targets, max_rps);
        let mut in_flight: Vec<Request> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(ms) => sim.now += Duration::from_millis(ms.into()),
                Step::WaitUntilDue => sim.now = sim.now.max(sim.scheduler.next_due().unwrap_or_default()),
                Step::Refresh => sim.scheduler.refresh(sim.now),
                Step::Pause => sim.scheduler.pause(),
                Step::Resume => sim.scheduler.resume(),
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
                    if let Some(next_poll) = sim.scheduler.on_response(&request, outcome, sim.now, jitter) {
                        prop_assert!(next_poll + INTERVAL > sim.now, "the next poll is not long past");
                        prop_assert!(next_poll <= sim.now + PROJECTS_EVERY);
                    }
                }
                Step::Respond(..) => {}
            }
            let next_due = sim.scheduler.next_due();
            let due = sim.scheduler.take_due(sim.now);
            // `take_due` returns requests at the time that `next_due` announced, and not earlier.
            prop_assert_eq!(next_due.is_some_and(|at| at <= sim.now), !due.is_empty());
            for request in due {
                prop_assert!(!in_flight.contains(&request), "{request:?} twice");
                in_flight.push(request);
            }
            prop_assert!(in_flight.len() <= 2 * MAX_IN_FLIGHT);
            prop_assert_eq!(sim.scheduler.in_flight, in_flight.len());
            prop_assert!(sim.scheduler.next_due().is_none_or(|at| at > sim.now), "no due request is left unless all slots are taken");
            prop_assert!(!in_flight.is_empty() || sim.scheduler.is_paused || sim.scheduler.next_due().is_some() || !watches_all, "list polls never stop");
        }
    }
}

#[test]
fn added_session_is_polled_like_a_named_one() {
    let mut sim = TestScheduler::watching_all();
    sim.due();
    sim.respond("RUNNING", PollOutcome::Listed(ids(&["a"])));
    sim.respond("PENDING", PollOutcome::Listed(vec![]));
    sim.at(1.0).scheduler.watch(id("x"), s(1001.0));
    assert_eq!(sim.due(), ["x"], "at once");
    assert_eq!(
        sim.respond("x", PollOutcome::Alive),
        Some(3.0),
        "every interval, because no list contains it"
    );
    sim.at(3.0).due();
    assert_eq!(sim.respond("x", PollOutcome::Failed(&error(ApiErrorKind::NotFound))), Some(6.0));
    sim.at(6.0).due();
    assert_eq!(
        sim.respond("x", PollOutcome::Failed(&error(ApiErrorKind::NotFound))),
        Some(12.0),
        "it may yet be created"
    );
    sim.respond("RUNNING", PollOutcome::Listed(ids(&["a", "x"])));
    assert!(!sim.scheduler.targets.contains_key(&Request::Session(id("x"))), "the list contains it now");
}

#[test]
fn single_list_target_polls_departures_singly() {
    let mut sim = TestScheduler::new(&Targets::OneList(List::Pending));
    sim.mark_projects_polled();
    assert_eq!(sim.due(), ["PENDING"]);
    sim.respond("PENDING", PollOutcome::Listed(ids(&["a"])));
    sim.at(9.0);
    assert_eq!(sim.due(), ["PENDING"]);
    sim.respond("PENDING", PollOutcome::Listed(vec![]));
    assert_eq!(sim.due(), ["a"]);
    assert_eq!(sim.respond("a", PollOutcome::Alive), Some(12.0));
    sim.at(12.0).due();
    assert_eq!(
        sim.respond("a", PollOutcome::Alive),
        Some(18.0),
        "the interval doubles, because it left the list"
    );
}

#[test]
fn unwatched_session_is_no_longer_polled() {
    for count in [2, 9] {
        let names: Vec<String> = (0..count).map(|at| format!("s{at}")).collect();
        let mut sim = TestScheduler::new(&Targets::Ids(names.iter().map(|name| id(name)).collect()));
        sim.mark_projects_polled();
        let is_removed =
            |sim: &TestScheduler| !sim.scheduler.targets.contains_key(&Request::Session(id("s0")));
        sim.due();
        if count > MAX_POLLED_SINGLY {
            sim.respond("RUNNING", PollOutcome::Listed(vec![]));
            sim.respond(
                "PENDING",
                PollOutcome::Listed(ids(&["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"])),
            );
            assert_eq!(sim.due(), ["s0"]);
        }
        sim.scheduler.unwatch(id("s0"));
        assert!(!is_removed(&sim), "the poll in flight is processed as usual");
        sim.respond("s0", PollOutcome::Failed(&error(ApiErrorKind::NotFound)));
        sim.scheduler.unwatch(id("s0"));
        assert!(is_removed(&sim) && sim.scheduler.polls_lists() == (count > MAX_POLLED_SINGLY));
        names.iter().for_each(|name| sim.scheduler.unwatch(id(name)));
        assert!(!sim.scheduler.polls_lists(), "no watched session is left");
    }
}
