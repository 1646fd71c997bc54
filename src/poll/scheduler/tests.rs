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

/// A plan with a clock, and with words for its requests: an id, `RUNNING`, `PENDING`, `projects`.
struct TestScheduler {
    scheduler: Scheduler,
    now: Duration,
}

impl TestScheduler {
    /// Watches these ids; the projects have been answered.
    fn watching(texts: &[&str]) -> Self {
        let mut sim = Self::new(&Targets::Ids(ids(texts)));
        sim.mark_projects_polled();
        sim
    }

    /// Watches the lists; the projects have been answered.
    fn watching_all() -> Self {
        let mut sim = Self::new(&Targets::All);
        sim.mark_projects_polled();
        sim
    }

    /// With a limit that is never reached.
    fn new(targets: &Targets) -> Self {
        Self::limited(targets, 1_000_000)
    }

    fn limited(targets: &Targets, max_rps: u32) -> Self {
        let now = s(1000.0);
        Self { scheduler: Scheduler::new(targets, PollLimits { interval: INTERVAL, max_rps }, now), now }
    }

    /// Watches these ids, each by itself, however many they are; the projects have been answered.
    fn singly(texts: &[&str]) -> Self {
        let mut sim = Self::watching(texts);
        assert_eq!(sim.due(), ["RUNNING", "PENDING"]);
        sim.respond_with_error("RUNNING", &error(ApiErrorKind::ListUnsupported));
        sim.respond_with_error("PENDING", &error(ApiErrorKind::ListUnsupported));
        sim
    }

    /// As if the projects had been asked and answered a moment ago.
    fn mark_projects_polled(&mut self) {
        let target = self.scheduler.targets.get_mut(&Request::Projects).unwrap();
        target.state = PollState::Waiting(self.now + PROJECTS_EVERY);
        self.scheduler.has_polled_projects = true;
    }

    /// Goes to so many seconds after the start.
    fn at(&mut self, seconds: f64) -> &mut Self {
        self.now = s(1000.0) + s(seconds);
        self
    }

    fn due(&mut self) -> Vec<String> {
        self.scheduler.take_due(self.now).iter().map(request_label).collect()
    }

    /// When there is something to send next, in seconds since the start.
    fn next(&self) -> Option<f64> {
        self.scheduler.next_due().map(|at| at.as_secs_f64() - 1000.0)
    }

    fn respond(&mut self, word: &str, outcome: PollOutcome<'_>) -> Option<f64> {
        let request = match word {
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
fn at_most_four_are_in_flight_and_the_sessions_come_before_the_projects() {
    let mut sim = TestScheduler::new(&Targets::Ids(ids(&["a", "b", "c", "d"])));
    assert_eq!(sim.due(), ["a", "b", "c", "d"]);
    assert_eq!((sim.due(), sim.next()), (vec![], None), "full: only an answer can make room");
    sim.respond_alive(&["a", "b"]);
    assert_eq!(sim.due(), ["projects"]);
    assert_eq!(sim.due(), NO_REQUESTS);
}

#[test]
fn a_session_is_never_asked_while_it_is_being_asked() {
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
fn one_slow_session_never_delays_the_others() {
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
fn rounds_stay_on_the_grid_whatever_the_answers_take() {
    let mut sim = TestScheduler::watching(&["a", "b"]);
    sim.due();
    sim.at(0.7).respond_alive(&["a"]);
    sim.at(1.9).respond_alive(&["b"]);
    assert_eq!(sim.next(), Some(3.0));
    assert_eq!(sim.at(3.1).due(), ["a", "b"], "woken a little late");
    sim.at(3.3).respond_alive(&["a", "b"]);
    assert_eq!(sim.next(), Some(6.0), "and there is no drift");
}

#[test]
fn an_answer_that_takes_longer_than_the_interval_skips_rounds() {
    for (took, next) in [(2.9, 3.0), (3.2, 3.0), (4.4, 3.0), (4.6, 6.0), (10.0, 9.0), (10.6, 12.0)] {
        let mut sim = TestScheduler::watching(&["a"]);
        sim.due();
        assert_eq!(sim.at(took).respond("a", PollOutcome::Alive), Some(next), "{took}");
    }
}

#[test]
fn pending_sessions_are_listed_every_third_round() {
    let mut sim = TestScheduler::watching_all();
    for round in 0..12 {
        let due = sim.at(f64::from(round) * 3.0).due();
        assert_eq!(due.contains(&"PENDING".into()), round % 3 == 0, "{round}");
        assert!(due.contains(&"RUNNING".into()));
        due.iter().for_each(|list| sim.respond_with_list(list, &["a"]));
    }
}

#[test]
fn what_ends_is_not_asked_again_and_with_the_last_end_everything_rests() {
    let mut sim = TestScheduler::new(&Targets::Ids(ids(&["a", "b"])));
    assert_eq!(sim.due(), ["a", "b", "projects"]);
    sim.respond("projects", PollOutcome::Projects);
    assert_eq!(sim.respond("a", PollOutcome::Ended), None);
    sim.respond_alive(&["b"]);
    assert_eq!(sim.at(3.0).due(), ["b"]);
    assert_eq!(sim.respond("b", PollOutcome::Ended), None);
    assert_eq!(sim.next(), None, "not even the projects are read again");
    sim.scheduler.refresh(sim.now);
    assert_eq!(sim.at(1e6).due(), NO_REQUESTS);
}

#[test]
fn the_projects_are_read_once_even_if_everything_ended_before() {
    let mut sim = TestScheduler::new(&Targets::Ids(ids(&["a", "b", "c", "d"])));
    sim.due().iter().for_each(|text| {
        sim.respond(text, PollOutcome::Ended);
    });
    assert_eq!(sim.due(), ["projects"]);
    sim.respond_with_error("projects", &connection_refused());
    assert_eq!(sim.next(), None, "and not for ever, if they can not be had");
}

#[test]
fn the_projects_are_read_hourly_and_their_failure_is_nobody_elses() {
    for (kind, again) in [
        (ApiErrorKind::NotFound, 3600.0),
        (ApiErrorKind::Html, 3600.0),
        (ApiErrorKind::ApiKeyRejected, 3600.0),
        (ApiErrorKind::Redirect(Untrusted::new("h")), 3600.0),
        (ApiErrorKind::Server(500), 3600.0),
        (ApiErrorKind::Dns(Untrusted::new("h")), 6.0),
    ] {
        let mut sim = TestScheduler::new(&Targets::Ids(ids(&["a"])));
        assert_eq!(sim.due(), ["a", "projects"]);
        assert_eq!(sim.respond_with_error("projects", &error(kind)), Some(again));
        sim.respond_alive(&["a"]);
        assert_eq!(sim.at(3.0).due(), ["a"], "nothing is held");
    }
    let mut sim = TestScheduler::new(&Targets::Ids(ids(&["a"])));
    sim.due();
    sim.respond_alive(&["a"]);
    assert_eq!(sim.respond_with_error("projects", &rate_limited(20.0)), Some(20.0));
    assert_eq!(sim.next(), Some(20.0), "but a server that asks for rest gets it");
}

#[test]
fn what_left_a_list_is_asked_once_singly_then_at_doubling_distances_until_it_is_back() {
    let mut sim = TestScheduler::watching_all();
    sim.due();
    sim.respond_with_list("RUNNING", &["a", "b"]);
    sim.respond_with_list("PENDING", &[]);
    sim.at(3.0).due();
    sim.at(3.2).respond_with_list("RUNNING", &["a"]);
    assert_eq!(sim.due(), ["b"]);
    let mut distances = Vec::new();
    let mut last = 3.2;
    for _ in 0..9 {
        let next = sim.at(last).respond("b", PollOutcome::Alive).unwrap();
        distances.push((next - last).round());
        sim.at(next)
            .due()
            .iter()
            .filter(|word| *word != "b")
            .for_each(|list| sim.respond_with_list(list, &["a"]));
        last = next;
    }
    assert_eq!(distances, [3.0, 6.0, 12.0, 24.0, 48.0, 96.0, 192.0, 300.0, 300.0]);
    sim.respond_alive(&["b"]);
    let round = sim.next().unwrap();
    assert_eq!(sim.at(round).due(), ["RUNNING"]);
    sim.respond_with_list("RUNNING", &["a", "b"]);
    let asked: Vec<String> = (1..400)
        .flat_map(|at| {
            let due = sim.at(round + f64::from(at) * 3.0).due();
            due.iter().for_each(|list| {
                sim.respond_with_list(list, if list == "RUNNING" { &["a", "b"] } else { &[] })
            });
            due
        })
        .filter(|word| word == "b")
        .collect();
    assert_eq!(asked, NO_REQUESTS);
}

#[test]
fn what_left_a_list_and_is_over_or_absent_is_not_asked_again() {
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
fn a_thousand_sessions_cost_four_requests_in_three_intervals() {
    let mut sim = TestScheduler::watching_all();
    let names: Vec<String> = (0..1000).map(|number| format!("s-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut asked = 0;
    for interval in 0..60 {
        let due = sim.at(3.0 * f64::from(interval)).due();
        asked += due.len();
        for word in due {
            sim.respond_with_list(&word, if word == "RUNNING" { &names } else { &[] });
        }
    }
    assert_eq!(asked, 60 + 20);
}

#[test]
fn what_leaves_the_lists_faster_than_it_can_be_asked_for_is_given_up_the_oldest_first_and_nothing_named() {
    let mut sim = TestScheduler::watching_all();
    sim.scheduler.watch(id("named"), sim.now);
    sim.due();
    sim.respond_alive(&["named"]);
    let names = |of: &str, count| (0..count).map(|number| format!("{of}-{number}")).collect::<Vec<_>>();
    let list = |sim: &mut TestScheduler, names: &[String]| {
        sim.respond_with_list("RUNNING", &names.iter().map(String::as_str).collect::<Vec<_>>());
    };
    let (old, new) = (names("old", 600), names("new", List::MAX_DELISTED - 100));
    list(&mut sim, &old);
    for (at, names) in [(3.0, &new), (6.0, &old[..0].to_vec())] {
        sim.scheduler.pause(); // nothing of it gets its turn
        sim.at(at).scheduler.resume();
        sim.scheduler.targets.get_mut(&Request::List(List::Running)).unwrap().state =
            PollState::InFlight { sent: sim.now };
        list(&mut sim, names);
    }
    let has = |name: &String| sim.scheduler.targets.contains_key(&Request::Session(id(name)));
    assert_eq!(old.iter().filter(|name| has(name)).count(), 100);
    assert!(new.iter().all(has) && has(&"named".into()));
}

#[test]
fn a_session_that_is_back_in_a_list_while_it_is_asked_singly_is_asked_no_more() {
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
fn a_session_that_starts_between_the_two_lists_is_not_asked_singly() {
    // It is pending in the first round, and runs when both are asked again: whichever answers first.
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
        // Its end is noticed, although it is in the last list of pending ones that was seen.
        sim.respond_with_list("RUNNING", &[]);
        assert_eq!(sim.due(), ["a"]);
    }
}

#[test]
fn a_session_that_runs_and_is_in_a_stale_list_of_pending_ones_is_still_noticed_when_it_goes() {
    let mut sim = TestScheduler::watching_all();
    sim.due();
    sim.respond_with_list("RUNNING", &["a"]);
    sim.respond_with_list("PENDING", &["a"]);
    sim.at(3.0).due();
    sim.respond_with_list("RUNNING", &[]);
    assert_eq!(sim.due(), ["a"]);
}

#[test]
fn a_pending_session_that_no_list_has_is_asked_in_the_next_round() {
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
fn an_id_that_does_not_exist_is_asked_at_growing_distances_and_at_every_round_once_it_does() {
    let mut sim = TestScheduler::watching(&["a"]);
    let mut last = 0.0;
    let mut distances = Vec::new();
    for _ in 0..7 {
        assert_eq!(sim.due(), ["a"]);
        let next = sim.respond_with_error("a", &error(ApiErrorKind::NotFound)).unwrap();
        distances.push(next - last);
        last = next;
        sim.at(next);
    }
    assert_eq!(distances, [3.0, 6.0, 12.0, 24.0, 48.0, 60.0, 60.0]);
    sim.due();
    let next = sim.respond("a", PollOutcome::Alive).unwrap();
    assert!(next - last <= 4.5);
    sim.at(next).due();
    assert_eq!(
        sim.respond_with_error("a", &error(ApiErrorKind::Gone)),
        Some(next + 3.0),
        "and then it begins anew"
    );
}

#[test]
fn a_failure_of_one_session_slows_that_one_and_a_success_brings_it_back_at_once() {
    let mut sim = TestScheduler::watching(&["a", "b"]);
    let mut delays = Vec::new();
    for _ in 0..6 {
        assert!(sim.due().contains(&"a".into()));
        sim.respond_alive(&["b"]);
        let next = sim.respond_with_error("a", &error(ApiErrorKind::Timeout)).unwrap();
        delays.push(next - (sim.now - s(1000.0)).as_secs_f64());
        assert!(sim.next().unwrap() < next, "b goes on");
        sim.at(next);
    }
    assert_eq!(delays, [6.0, 12.0, 24.0, 48.0, 60.0, 60.0]);
    sim.due();
    let now = (sim.now - s(1000.0)).as_secs_f64();
    assert_eq!(sim.respond("a", PollOutcome::Alive), Some(now + 3.0));
}

#[test]
fn the_die_takes_off_up_to_a_quarter() {
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
fn a_failure_of_all_holds_all_and_one_alone_goes_first_afterwards() {
    let mut sim = TestScheduler::singly(&["a", "b", "c", "d", "e"]);
    assert_eq!(sim.due(), ["a", "b", "c", "d"]);
    for text in ["a", "b", "c", "d"] {
        assert_eq!(
            sim.respond_with_error(text, &connection_refused()),
            Some(6.0),
            "four that fail together are one failure"
        );
    }
    assert_eq!((sim.due(), sim.next()), (vec![], Some(6.0)), "not even what was never asked");
    assert_eq!(sim.at(6.0).due(), ["e"]);
    assert_eq!((sim.at(7.0).due(), sim.next()), (vec![], None));
    assert_eq!(sim.respond_with_error("e", &connection_refused()), Some(19.0));
    assert_eq!(sim.at(19.0).due(), ["a"]);
    sim.respond_alive(&["a"]);
    assert_eq!(sim.due(), ["b", "c", "d", "e"]);
}

#[test]
fn a_failure_that_comes_late_from_before_a_hold_neither_lengthens_nor_shortens_it() {
    let mut sim = TestScheduler::watching(&["a", "b"]);
    sim.due();
    sim.respond_with_error("a", &connection_refused());
    assert_eq!(sim.at(5.0).respond_with_error("b", &connection_refused()), Some(6.0));
    assert_eq!(sim.scheduler.shared_failures, 1);
}

#[test]
fn retry_after_holds_all_whenever_it_comes_and_the_longest_counts() {
    let mut sim = TestScheduler::watching(&["a", "b", "c"]);
    sim.due();
    sim.respond_with_error("a", &connection_refused());
    assert_eq!(sim.respond_with_error("b", &rate_limited(40.0)), Some(40.0));
    assert_eq!(sim.respond_with_error("c", &rate_limited(20.0)), Some(40.0));
    assert_eq!((sim.at(39.9).due(), sim.next()), (vec![], Some(40.0)));
    assert_eq!(sim.at(40.0).due().len(), 1);
}

#[test]
fn a_retry_after_of_nothing_is_no_leave_to_ask_without_pause() {
    let mut sim = TestScheduler::watching(&["a"]);
    let mut at = 0.0;
    for rest in [6.0, 12.0, 24.0, 48.0, 60.0] {
        assert_eq!(sim.at(at).due(), ["a"]);
        at += rest;
        assert_eq!(sim.respond_with_error("a", &rate_limited(0.0)), Some(at), "as after any other failure");
    }
}

#[test]
fn a_retry_after_that_is_longer_than_the_interval_is_taken_at_its_word_and_a_shorter_one_is_not() {
    let mut sim = TestScheduler::watching(&["a"]);
    let mut at = 0.0;
    for rest in [6.0, 12.0, 24.0] {
        assert_eq!(sim.at(at).due(), ["a"]);
        at += rest;
        sim.respond_with_error("a", &connection_refused());
    }
    for (asked, rest) in [(3.5, 3.5), (3.0, 60.0), (1.0, 60.0)] {
        assert_eq!(sim.at(at).due(), ["a"], "{asked}");
        at += rest;
        assert_eq!(sim.respond_with_error("a", &rate_limited(asked)), Some(at), "{asked}");
    }
}

#[test]
fn a_refresh_goes_out_at_once_while_every_place_hangs_but_not_twice() {
    let mut sim = TestScheduler::singly(&["a", "b", "c", "d", "e", "f"]);
    assert_eq!(sim.due().len(), MAX_IN_FLIGHT);
    sim.at(1.0).scheduler.refresh(s(1001.0));
    assert_eq!(sim.due(), ["e", "f"], "what hangs holds up nobody who asks");
    sim.scheduler.refresh(s(1001.0));
    assert_eq!(sim.due(), NO_REQUESTS, "never two polls of one session");
}

#[test]
fn sessions_that_fail_leave_a_place_to_those_that_answer() {
    let mut sim = TestScheduler::singly(&["a", "b", "c", "d", "e"]);
    sim.due();
    for hangs in ["a", "b", "c", "d"] {
        sim.respond_with_error(hangs, &error(ApiErrorKind::Timeout));
    }
    assert_eq!(sim.due(), ["e"]);
    sim.respond_alive(&["e"]);
    let due = sim.at(20.0).due();
    assert!(due.len() == MAX_IN_FLIGHT && due.contains(&"e".to_owned()), "{due:?}");
}

#[test]
fn a_refused_key_waits_a_minute_for_all_and_a_forbidden_session_for_itself() {
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
fn a_refresh_overrides_every_wait_and_passes_over_what_is_in_flight() {
    let mut sim = TestScheduler::singly(&["a", "b", "c", "d", "e", "f"]);
    sim.due();
    sim.respond_with_error("a", &rate_limited(300.0));
    sim.respond_with_error("b", &error(ApiErrorKind::NotFound));
    sim.at(1.0).scheduler.refresh(s(1001.0));
    assert_eq!(sim.due(), ["e", "f", "a", "b"], "what waited longest first");
    // Answers to what was sent before the refresh, and fail, are asked again, and then it counts.
    assert_eq!(sim.respond_with_error("c", &connection_refused()), Some(1.0));
    sim.respond_alive(&["d", "e", "f", "a", "b"]);
    assert_eq!(sim.due(), ["c"]);
    assert_eq!(sim.respond_with_error("c", &connection_refused()), Some(7.0));
}

#[test]
fn a_pause_stops_what_is_to_come_and_what_fell_due_meanwhile_is_asked_once() {
    let mut sim = TestScheduler::watching(&["a"]);
    sim.due();
    sim.scheduler.pause();
    sim.respond_alive(&["a"]);
    assert_eq!((sim.at(30.0).due(), sim.next()), (vec![], None));
    sim.scheduler.refresh(sim.now);
    assert_eq!((sim.due(), sim.next()), (vec![], None), "a machine that wakes up does not end a pause");
    sim.at(31.0).scheduler.resume();
    assert_eq!(sim.due(), ["a"]);
    sim.respond_alive(&["a"]);
    assert_eq!(sim.next(), Some(33.0));
}

#[test]
fn a_server_without_lists_is_asked_for_them_ever_more_rarely_and_serves_ids() {
    let mut sim = TestScheduler::watching_all();
    sim.due();
    assert_eq!(sim.respond_with_error("RUNNING", &error(ApiErrorKind::NotFound)), Some(6.0));
    assert_eq!(sim.respond_with_error("PENDING", &error(ApiErrorKind::Status(405))), Some(6.0));
    assert_eq!(sim.at(6.0).due(), ["RUNNING", "PENDING"]);
    assert_eq!(sim.respond_with_error("RUNNING", &error(ApiErrorKind::NotFound)), Some(18.0));
}

#[test]
fn up_to_four_ids_are_asked_singly_and_more_are_looked_for_in_the_lists() {
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
fn of_the_lists_only_what_the_reader_named_counts() {
    let mut sim = TestScheduler::watching(&["a", "b", "c", "d", "e"]);
    assert!(sim.scheduler.is_watched(&id("a")) && !sim.scheduler.is_watched(&id("z")));
    sim.due();
    sim.respond_with_list("PENDING", &[]);
    sim.respond_with_list("RUNNING", &["a", "b", "c", "d", "e", "z"]);
    assert_eq!(sim.at(3.0).due(), ["RUNNING"]);
    sim.respond_with_list("RUNNING", &["a", "b", "c", "d", "e"]);
    assert_eq!(sim.due(), NO_REQUESTS, "that another one left is nobody's business");
    assert!(TestScheduler::watching_all().scheduler.is_watched(&id("z")));
}

#[test]
fn a_named_session_that_neither_list_shows_is_asked_singly_at_once_and_then_as_what_it_is() {
    let mut sim = TestScheduler::watching(&["absent", "ended", "listed", "pending", "unlisted"]);
    sim.due();
    sim.at(0.1).respond_with_list("RUNNING", &["listed"]);
    assert_eq!(sim.due(), NO_REQUESTS, "the list that is under way may have them");
    sim.at(0.2).respond_with_list("PENDING", &["pending"]);
    assert_eq!(sim.due(), ["absent", "ended", "unlisted"]);
    assert_eq!(sim.respond("ended", PollOutcome::Ended), None);
    let mut asked = vec![("absent", 0.2), ("unlisted", 0.2)];
    sim.respond_with_error("absent", &error(ApiErrorKind::NotFound));
    sim.respond_alive(&["unlisted"]);
    while asked.len() < 12 {
        let at = sim.next().unwrap();
        for word in sim.at(at).due() {
            match word.as_str() {
                "RUNNING" => sim.respond_with_list("RUNNING", &["listed"]),
                "PENDING" => sim.respond_with_list("PENDING", &["pending"]),
                "absent" => {
                    asked.push(("absent", at));
                    sim.respond_with_error("absent", &error(ApiErrorKind::NotFound));
                }
                "unlisted" => {
                    asked.push(("unlisted", at));
                    sim.respond_alive(&["unlisted"]);
                }
                other => panic!("{other} was asked"),
            }
        }
    }
    let distances = |wanted: &str| -> Vec<f64> {
        let times: Vec<f64> = asked.iter().filter(|(name, _)| *name == wanted).map(|(_, at)| *at).collect();
        times.windows(2).map(|pair| (pair[1] - pair[0]).round()).collect()
    };
    assert_eq!(distances("absent")[..4], [3.0, 6.0, 12.0, 24.0]);
    assert_eq!(distances("unlisted")[..4], [3.0, 6.0, 12.0, 24.0]);
}

#[test]
fn a_named_session_that_leaves_the_lists_is_asked_singly_and_with_the_last_end_everything_rests() {
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
        "what is under way is not taken"
    );
    assert_eq!(sim.respond_with_error("PENDING", &error(ApiErrorKind::Timeout)), None);
    assert_eq!((sim.next(), sim.scheduler.in_flight), (None, 0));
}

#[test]
fn where_the_lists_are_not_to_be_had_each_named_session_is_asked_singly_from_then_on() {
    for kind in [ApiErrorKind::ListUnsupported, ApiErrorKind::Status(405), ApiErrorKind::Forbidden] {
        let names = ["a", "b", "c", "d", "e"];
        let mut sim = TestScheduler::watching(&names);
        sim.due();
        sim.respond_with_list("PENDING", &[]);
        assert_eq!(sim.respond_with_error("RUNNING", &error(kind)), None);
        for round in 0..4 {
            let mut asked = sim.at(f64::from(round) * 3.0).due();
            assert_eq!(asked, ["a", "b", "c", "d"]);
            sim.respond_alive(&["a", "b", "c", "d"]);
            asked = sim.due();
            assert_eq!(asked, ["e"]);
            sim.respond_alive(&["e"]);
        }
    }
}

#[test]
fn a_list_that_is_given_up_while_it_is_under_way_may_still_say_that_all_are_to_wait() {
    let mut sim = TestScheduler::watching(&["a", "b", "c", "d", "e"]);
    sim.due();
    sim.respond_with_error("RUNNING", &error(ApiErrorKind::ListUnsupported));
    assert_eq!(sim.respond_with_error("PENDING", &rate_limited(40.0)), None);
    assert_eq!((sim.due(), sim.next()), (vec![], Some(40.0)));
}

#[test]
fn a_list_that_fails_otherwise_does_not_keep_what_it_would_show_from_being_seen_once() {
    let mut sim = TestScheduler::watching(&["a", "b", "c", "d", "e"]);
    sim.due();
    sim.respond_with_error("PENDING", &error(ApiErrorKind::Server(500)));
    assert_eq!(sim.due(), NO_REQUESTS);
    sim.respond_with_error("RUNNING", &error(ApiErrorKind::Server(500)));
    assert_eq!(sim.due().len(), MAX_IN_FLIGHT);
    let mut down = TestScheduler::watching(&["a", "b", "c", "d", "e"]);
    down.due();
    down.respond_with_error("RUNNING", &connection_refused());
    down.respond_with_error("PENDING", &connection_refused());
    assert_eq!(down.at(6.0).due(), ["RUNNING"], "where nothing can be had, nothing is asked");
}

#[test]
fn the_newest_ends_are_asked_first_and_the_lists_before_them() {
    let mut sim = TestScheduler::limited(&Targets::All, 1);
    sim.mark_projects_polled();
    let mut log = Vec::new();
    let mut step = |sim: &mut TestScheduler, running: &[&str]| {
        let at = sim.next().unwrap();
        for word in sim.at(at).due() {
            match word.as_str() {
                "RUNNING" => sim.respond_with_list("RUNNING", running),
                "PENDING" => sim.respond_with_list("PENDING", &[]),
                single => assert_eq!(sim.respond(single, PollOutcome::Ended), None),
            }
            log.push((at, word));
        }
    };
    step(&mut sim, &["a", "b", "c", "d", "e"]);
    step(&mut sim, &[]);
    step(&mut sim, &["c", "d", "e"]); // at 3 s: a and b have left
    step(&mut sim, &[]); // at 4 s: a
    step(&mut sim, &[]);
    let lists = |log: &[(f64, String)]| log.iter().filter(|(_, word)| word == "RUNNING").count();
    for _ in 0..6 {
        step(&mut sim, &["e"]); // from 6 s on: c and d have, too
    }
    let words: Vec<&str> = log.iter().map(|(_, word)| word.as_str()).collect();
    assert_eq!(words[..5], ["RUNNING", "PENDING", "RUNNING", "a", "b"], "{log:?}");
    assert_eq!(words[5..8], ["RUNNING", "c", "d"], "{log:?}");
    assert!(lists(&log) >= 3 && log.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 1.0), "{log:?}");
}

#[test]
fn what_left_later_overtakes_what_left_before_and_lists_do_not_starve_single_requests() {
    let mut sim = TestScheduler::limited(&Targets::All, 1);
    sim.scheduler.interval = s(1.0);
    sim.mark_projects_polled();
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut asked = Vec::new();
    let mut gone = 0;
    for _ in 0..40 {
        let Some(at) = sim.next() else { break };
        for word in sim.at(at).due() {
            match word.as_str() {
                "RUNNING" => {
                    sim.respond_with_list("RUNNING", &names[gone..]);
                    gone = (gone + 3).min(names.len());
                }
                "PENDING" => sim.respond_with_list("PENDING", &[]),
                single => {
                    asked.push(single.to_owned());
                    sim.respond(single, PollOutcome::Ended);
                }
            }
        }
    }
    assert_eq!(asked.len(), 6, "{asked:?}");
    let place = |name: &str| asked.iter().position(|it| it == name).unwrap();
    assert!(place("d") < place("c"), "the newest first: {asked:?}");
}

#[test]
fn polls_keep_to_the_readers_limit_and_to_what_the_server_says_is_left() {
    let mut sim = TestScheduler::limited(&Targets::Ids(ids(&["a", "b", "c", "d"])), 2);
    assert_eq!(sim.due(), ["a", "b"]);
    assert_eq!((sim.due(), sim.next()), (vec![], Some(0.5)));
    sim.respond_alive(&["a", "b"]);
    assert_eq!(sim.at(0.5).due(), ["c"]);
    sim.scheduler.update_rate_limit(RateLimit { remaining: 5, resets_in: s(40.0) }, sim.now);
    assert_eq!((sim.at(1.0).due(), sim.next()), (vec![], Some(10.5)), "before any 429 comes");
    sim.scheduler.refresh(sim.now);
    assert_eq!(sim.due(), ["d"], "who asks for it gets it now");
}

#[test]
fn an_answer_to_what_was_not_asked_changes_nothing() {
    let mut sim = TestScheduler::watching(&["a"]);
    assert_eq!(sim.respond("a", PollOutcome::Alive), None);
    assert_eq!(sim.respond("z", PollOutcome::Ended), None);
    let fresh = Request::ConnectUrls(id("a"));
    assert_eq!(sim.scheduler.on_response(&fresh, PollOutcome::Alive, sim.now, 0.0), None);
    assert_eq!(sim.due(), ["a"]);
    assert_eq!(sim.scheduler.in_flight, 1);
}

/// One thing that happens in a random run.
#[derive(Clone, Debug)]
enum Step {
    /// So many milliseconds pass, or as many as until the next request is due.
    Wait(u16),
    Sleep,
    /// One that is in flight is answered, in this way.
    Answer(prop::sample::Index, u8, u8),
    Refresh,
    Pause,
    Resume,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<u16>().prop_map(Step::Wait),
        4 => Just(Step::Sleep),
        9 => (any::<prop::sample::Index>(), any::<u8>(), any::<u8>()).prop_map(|(which, how, more)| Step::Answer(which, how, more)),
        1 => Just(Step::Refresh),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
    ]
}

proptest! {
    #[test]
    fn nothing_that_a_server_does_breaks_the_plan(
        watched in 0..3_u8, max_rps in prop_oneof![Just(1_u32), Just(4), Just(1_000_000)], steps in proptest::collection::vec(step(), 1..120),
    ) {
        let names = ["a", "b", "c", "d", "e", "f"];
        let all = watched == 0;
        let targets = match watched {
            0 => Targets::All,
            1 => Targets::Ids(ids(&names[..MAX_POLLED_SINGLY])),
            _ => Targets::Ids(ids(&names)),
        };
        let mut sim = TestScheduler::limited(&targets, max_rps);
        let mut flying: Vec<Request> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(ms) => sim.now += Duration::from_millis(ms.into()),
                Step::Sleep => sim.now = sim.now.max(sim.scheduler.next_due().unwrap_or_default()),
                Step::Refresh => sim.scheduler.refresh(sim.now),
                Step::Pause => sim.scheduler.pause(),
                Step::Resume => sim.scheduler.resume(),
                Step::Answer(which, how, more) if !flying.is_empty() => {
                    let request = flying.swap_remove(which.index(flying.len()));
                    let errors = [
                        connection_refused(), error(ApiErrorKind::Timeout), error(ApiErrorKind::NotFound), error(ApiErrorKind::ApiKeyRejected),
                        error(ApiErrorKind::Html), rate_limited(f64::from(more)), error(ApiErrorKind::Server(500)), error(ApiErrorKind::Forbidden), error(ApiErrorKind::ListUnsupported),
                    ];
                    let members = names.iter().enumerate().filter(|(bit, _)| more & (1 << bit) != 0);
                    let good = match &request {
                        Request::List(_) => PollOutcome::Listed(members.map(|(_, name)| id(name)).collect()),
                        Request::Projects => PollOutcome::Projects,
                        Request::Session(_) | Request::ConnectUrls(_) if how & 1 == 0 => PollOutcome::Ended,
                        Request::Session(_) | Request::ConnectUrls(_) | Request::LiveView(_) | Request::Release(_) | Request::RecentSessions => PollOutcome::Alive,
                    };
                    let outcome = errors.get(usize::from(how) / 2).map_or(good, PollOutcome::Failed);
                    let die = f64::from(more) / 255.0;
                    if let Some(again) = sim.scheduler.on_response(&request, outcome, sim.now, die) {
                        prop_assert!(again + INTERVAL > sim.now, "it is asked again within reason");
                        prop_assert!(again <= sim.now + PROJECTS_EVERY);
                    }
                }
                Step::Answer(..) => {}
            }
            let promised = sim.scheduler.next_due();
            let due = sim.scheduler.take_due(sim.now);
            // Woken at the time that it said, there is something to do; woken before, there is not.
            prop_assert_eq!(promised.is_some_and(|at| at <= sim.now), !due.is_empty());
            for request in due {
                prop_assert!(!flying.contains(&request), "{request:?} twice");
                flying.push(request);
            }
            prop_assert!(flying.len() <= 2 * MAX_IN_FLIGHT);
            prop_assert_eq!(sim.scheduler.in_flight, flying.len());
            prop_assert!(sim.scheduler.next_due().is_none_or(|at| at > sim.now), "nothing due was left, or there is no place");
            prop_assert!(!flying.is_empty() || sim.scheduler.is_paused || sim.scheduler.next_due().is_some() || !all, "the lists are for ever");
        }
    }
}

#[test]
fn a_session_that_is_named_beside_the_lists_is_asked_at_once_and_like_a_named_one() {
    let mut sim = TestScheduler::watching_all();
    sim.due();
    sim.respond("RUNNING", PollOutcome::Listed(ids(&["a"])));
    sim.respond("PENDING", PollOutcome::Listed(vec![]));
    sim.at(1.0).scheduler.watch(id("x"), s(1001.0));
    assert_eq!(sim.due(), ["x"], "at once");
    assert_eq!(sim.respond("x", PollOutcome::Alive), Some(3.0), "the lists lack it: each interval");
    sim.at(3.0).due();
    assert_eq!(sim.respond("x", PollOutcome::Failed(&error(ApiErrorKind::NotFound))), Some(6.0));
    sim.at(6.0).due();
    assert_eq!(
        sim.respond("x", PollOutcome::Failed(&error(ApiErrorKind::NotFound))),
        Some(12.0),
        "it may come yet"
    );
    sim.respond("RUNNING", PollOutcome::Listed(ids(&["a", "x"])));
    assert!(!sim.scheduler.targets.contains_key(&Request::Session(id("x"))), "now the list has it");
}

#[test]
fn one_list_alone_is_asked_for_and_what_leaves_it_is_asked_singly() {
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
    assert_eq!(sim.respond("a", PollOutcome::Alive), Some(18.0), "it runs elsewhere: ever more rarely");
}

#[test]
fn a_session_that_another_project_has_is_asked_for_no_more() {
    for count in [2, 9] {
        let names: Vec<String> = (0..count).map(|at| format!("s{at}")).collect();
        let mut sim = TestScheduler::new(&Targets::Ids(names.iter().map(|name| id(name)).collect()));
        sim.mark_projects_polled();
        let gone = |sim: &TestScheduler| !sim.scheduler.targets.contains_key(&Request::Session(id("s0")));
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
        assert!(!gone(&sim), "what is under way is taken as ever");
        sim.respond("s0", PollOutcome::Failed(&error(ApiErrorKind::NotFound)));
        sim.scheduler.unwatch(id("s0"));
        assert!(gone(&sim) && sim.scheduler.polls_lists() == (count > MAX_POLLED_SINGLY));
        names.iter().for_each(|name| sim.scheduler.unwatch(id(name)));
        assert!(!sim.scheduler.polls_lists(), "nothing is left to be looked for");
    }
}
