use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::{at, request_timing, running_session, time};

fn moment(wall: &str, boot_ms: u64) -> Moment {
    Moment { wall: time(wall), mono: Duration::from_millis(boot_ms), boot: Duration::from_millis(boot_ms) }
}

impl ServerClock {
    /// Updates the estimate from a response without sessions. Returns true if anything changed.
    fn observe_date(&mut self, at: &RequestTiming) -> bool {
        self.observe(at, &[]).is_changed
    }
}

fn timing(sent: Moment, received: Moment, date: &str) -> RequestTiming {
    RequestTiming { sent, received, date: Some(time(date)), age: Duration::ZERO }
}

#[test]
fn own_clock_is_kept_if_date_allows_it() {
    let mut clock = ServerClock::default();
    clock.observe_date(&timing(moment("12:00:00.400", 400), moment("12:00:00.500", 500), "12:00:00"));
    assert_eq!(clock.at(moment("12:00:10.500", 10_500)), time("12:00:10.500"));
    assert_eq!(clock.skew(), TimeDelta::zero());
}

#[test]
fn drift_below_ten_milliseconds_changes_nothing() {
    let mut clock = ServerClock::default();
    // Returns true if the response changed the estimate, and the server's time at its receipt.
    let mut observe = |wall: &str, boot_ms: u64, date: &str| {
        let at = moment(wall, boot_ms);
        (clock.observe_date(&timing(at, at, date)), clock.at(at))
    };
    assert!(observe("12:00:00.500", 500, "12:00:00").0);
    assert!(
        observe("12:00:01.500", 1_500, "12:00:01").0,
        "the second agreeing response confirms the estimate, which is a change"
    );
    // Our wall clock drifts by +9 ms, by -9 ms, and then by 10 ms, which is `MIN_DRIFT_MS`.
    assert_eq!(observe("12:00:02.509", 2_500, "12:00:02"), (false, time("12:00:02.500")));
    assert_eq!(observe("12:00:03.491", 3_500, "12:00:03"), (false, time("12:00:03.500")));
    assert_eq!(observe("12:00:04.510", 4_500, "12:00:04"), (true, time("12:00:04.510")));
}

#[test]
fn server_ahead_is_measured() {
    let mut clock = ServerClock::default();
    clock.observe_date(&timing(moment("12:00:00.400", 400), moment("12:00:00.500", 500), "12:10:00"));
    clock.observe_date(&timing(moment("12:00:03.900", 3_900), moment("12:00:03.950", 3_950), "12:10:04"));
    // At our boot, the server's time is in [12:09:59.5, 12:10:00.6] by the first date, and in [12:10:00.05, 12:10:01.1]
    // by the second. The intersection is [12:10:00.05, 12:10:00.6], and the estimate is its middle.
    assert_eq!(clock.at(moment("12:00:05", 5_000)), time("12:10:05.325"));
    assert_eq!(clock.skew(), TimeDelta::milliseconds(600_325));
}

/// Returns the timing of a request that was sent `seconds` after noon and took 0.1 s. Our boot was at noon. The `Date`
/// of the response is `ahead` seconds ahead of our clock.
fn timing_ahead(seconds: f64, ahead: f64) -> RequestTiming {
    let date = Some(at((seconds + 0.05 + ahead).floor()));
    RequestTiming { date, ..request_timing(seconds, seconds + 0.1) }
}

#[test]
fn lasting_contradiction_restarts_estimate() {
    let mut clock = ServerClock::default();
    clock.observe_date(&timing_ahead(0.0, 0.0));
    clock.observe_date(&timing_ahead(1.0, 0.0));
    // The contradiction begins at 3 s, so it has lasted for `MIN_CONTRADICTION` (60 s) at 63 s.
    for seconds in (3..=60).step_by(3).map(f64::from) {
        clock.observe_date(&timing_ahead(seconds, 300.0));
        assert_eq!(clock.at(crate::testing::moment(seconds)), at(seconds), "{seconds} s");
    }
    clock.observe_date(&timing_ahead(63.0, 300.0));
    let error = clock.at(crate::testing::moment(70.0)).signed_duration_since(at(70.0 + 300.0));
    assert!(error.num_milliseconds().abs() <= 1000, "{error}");
}

#[test]
fn three_dates_restart_unconfirmed_estimate() {
    let mut clock = ServerClock::default();
    clock.observe_date(&timing_ahead(0.0, 900.0));
    clock.observe_date(&timing_ahead(3.0, 300.0));
    clock.observe_date(&timing_ahead(6.0, 300.0));
    assert!(clock.at(crate::testing::moment(6.0)) > at(800.0), "two dates are not enough");
    clock.observe_date(&timing_ahead(9.0, 300.0));
    let error = clock.at(crate::testing::moment(10.0)).signed_duration_since(at(10.0 + 300.0));
    assert!(error.num_milliseconds().abs() <= 1000, "{error}");
}

/// Observes a date every second for ten minutes. Compared with the true time, our own clock is `own_ahead` seconds
/// ahead, and the date of each second is `offset(second)` seconds ahead.
///
/// Returns the problems, and the largest error of the estimate in milliseconds. The error after the first response does
/// not count.
fn problems_and_error(own_ahead: f64, offset: impl Fn(u32) -> f64) -> (Vec<DateProblem>, i64) {
    let (mut clock, mut problems, mut max_error) = (ServerClock::default(), Vec::new(), 0);
    for second in 0..600_u32 {
        let seconds = f64::from(second) + 0.3;
        problems.extend(clock.observe(&timing_ahead(seconds, offset(second) - own_ahead), &[]).problem);
        let error =
            clock.at(crate::testing::moment(seconds)).signed_duration_since(at(seconds - own_ahead + 1e-9));
        if second > 0 {
            max_error = max_error.max(error.num_milliseconds().abs());
        }
    }
    (problems, max_error)
}

#[test]
fn jumping_date_is_reported_once_and_ignored() {
    // Our own clock is right, or ten minutes ahead of both servers.
    for own_ahead in [0.0, 600.0] {
        for jump in [3600.0, -3600.0] {
            for period in [1, 2, 5, 30] {
                let offset = |second: u32| if second / period % 2 == 1 { jump } else { 0.0 };
                let (problems, error) = problems_and_error(own_ahead, offset);
                let case = format!("own clock {own_ahead}, jump {jump}, period {period}: {problems:?}");
                assert!(matches!(problems[..], [DateProblem::Jumping { .. }]), "{case}");
                assert!(error <= 1000, "{case}: error of {error} ms");
            }
        }
    }
}

#[test]
fn wrong_first_dates_count_as_jumping() {
    // The dates of the first five seconds are wrong, then five are right, and so on.
    let offset = |second: u32| if (second / 5).is_multiple_of(2) { -3600.0 } else { 0.0 };
    let (problems, _) = problems_and_error(0.0, offset);
    assert!(matches!(problems[..], [DateProblem::Jumping { .. }]), "{problems:?}");
}

#[test]
fn steady_date_ends_the_jumps() {
    // The dates of the seconds 1, 3, … 19 are wrong: ten dates.
    let offset = |second: u32| if second < 20 && second % 2 == 1 { 3600.0 } else { 0.0 };
    let (problems, error) = problems_and_error(0.0, offset);
    assert!(
        matches!(problems[..], [DateProblem::Jumping { .. }, DateProblem::Steady { contradicting: 10 }]),
        "{problems:?}"
    );
    assert!(error <= 1000);
}

#[test]
fn single_wrong_date_is_no_problem() {
    let (problems, error) = problems_and_error(0.0, |second| if second == 30 { 3600.0 } else { 0.0 });
    assert_eq!((problems, error), (Vec::new(), 0));
}

/// Returns a session that started 95 s before noon, and expires 45 min after noon.
fn session_around_noon() -> Session {
    running_session("a", at(-95.0), Duration::from_secs(95 + 45 * 60))
}

/// Observes ten responses with this session and with dates that are `ahead` seconds ahead of our clock. Returns the
/// clock, and the problems.
fn observe_with_session(ahead: f64, session: &Session) -> (ServerClock, Vec<DateProblem>) {
    let (mut clock, mut problems) = (ServerClock::default(), Vec::new());
    for second in 0..10 {
        problems.extend(clock.observe(&timing_ahead(f64::from(second), ahead), &[session]).problem);
    }
    (clock, problems)
}

#[test]
fn stale_date_is_ignored_and_reported_once() {
    for ahead in [-3600.0, -7200.0, -120.0] {
        let (clock, problems) = observe_with_session(ahead, &session_around_noon());
        let [DateProblem::Ignored { offset_ms }] = problems[..] else { panic!("{problems:?}") };
        #[expect(clippy::cast_possible_truncation, reason = "a whole number")]
        let expected = ahead as i64;
        let rounded_seconds = (offset_ms + 500).div_euclid(1000);
        assert_eq!(rounded_seconds, expected, "{offset_ms} ms");
        assert_eq!(clock.at(crate::testing::moment(20.0)), at(20.0));
        assert_eq!(
            (clock.is_known(), clock.skew(), clock.uncertainty()),
            (false, TimeDelta::zero(), Duration::ZERO)
        );
    }
}

#[test]
fn date_within_its_resolution_is_not_stale() {
    let mut clock = ServerClock::default();
    let session = running_session("a", at(0.9), Duration::from_secs(60));
    let update =
        clock.observe(&RequestTiming { date: Some(at(0.0)), ..request_timing(0.95, 1.0) }, &[&session]);
    assert_eq!((update.problem, clock.is_known()), (None, true));
}

#[test]
fn stale_date_keeps_good_estimate() {
    let mut clock = ServerClock::default();
    // The server is ten minutes ahead of our own clock.
    let session = running_session("a", at(595.0), Duration::from_secs(900));
    for second in 0..5 {
        clock.observe(&timing_ahead(f64::from(second), 600.0), &[&session]);
    }
    let before = clock.at(crate::testing::moment(10.0));
    for second in 5..400 {
        clock.observe(&timing_ahead(f64::from(second), -3600.0), &[&session]);
    }
    assert_eq!(clock.at(crate::testing::moment(10.0)), before);
}

#[test]
fn session_refutes_earlier_stale_dates() {
    let mut clock = ServerClock::default();
    // Responses without sessions cannot show that their dates are stale.
    clock.observe_date(&timing_ahead(0.0, -3600.0));
    clock.observe_date(&timing_ahead(1.0, -3600.0));
    assert!(clock.is_known());
    let problem = clock.observe(&timing_ahead(2.0, -3600.0), &[&session_around_noon()]).problem;
    assert!(matches!(problem, Some(DateProblem::Ignored { .. })), "{problem:?}");
    // The dates of later responses without sessions are ignored, too.
    clock.observe_date(&timing_ahead(3.0, -3600.0));
    assert_eq!(clock.at(crate::testing::moment(3.0)), at(3.0));
}

#[test]
fn date_from_future_is_ignored() {
    let (clock, problems) = observe_with_session(3600.0, &session_around_noon());
    assert!(matches!(problems[..], [DateProblem::Ignored { offset_ms: 3_500_000.. }]), "{problems:?}");
    assert_eq!(clock.at(crate::testing::moment(20.0)), at(20.0));
}

#[test]
fn refuted_future_date_stays_ignored_without_sessions() {
    let mut clock = ServerClock::default();
    let session = session_around_noon();
    let mut problems = Vec::new();
    for second in (0..60).step_by(3) {
        // The first response without sessions cannot refute its date. The later ones rely on earlier sessions.
        problems.extend(clock.observe(&timing_ahead(f64::from(second), 3600.0), &[]).problem);
        problems.extend(clock.observe(&timing_ahead(f64::from(second), 3600.0), &[&session]).problem);
        assert_eq!(clock.at(crate::testing::moment(second)), at(second), "{second}");
    }
    assert!(matches!(problems[..], [DateProblem::Ignored { .. }]), "{problems:?}");
    // A new session shows that our own clock is slow.
    let new = running_session("b", at(3658.0), Duration::from_secs(900));
    clock.observe(&timing_ahead(60.0, 3600.0), &[&session, &new]);
    assert!(clock.at(crate::testing::moment(60.0)) > at(3659.0));
}

#[test]
fn server_ahead_is_believed_if_session_is_ahead() {
    let session = running_session("a", at(3600.0 - 95.0), Duration::from_secs(95 + 45 * 60));
    let (clock, problems) = observe_with_session(3600.0, &session);
    assert_eq!(problems, []);
    let error = clock.at(crate::testing::moment(20.0)).signed_duration_since(at(20.0 + 3600.0));
    assert!(error.num_milliseconds().abs() <= 1000, "{error}");
}

#[test]
fn overdue_session_does_not_refute_date() {
    // The session expired 10 s before noon, and our clock is two minutes behind.
    let session = running_session("a", at(-910.0), Duration::from_secs(900));
    let (clock, problems) = observe_with_session(120.0, &session);
    assert_eq!((problems, clock.is_known()), (Vec::new(), true));
}

#[test]
fn impossible_timestamp_does_not_refute_date() {
    let future = running_session("a", at(7200.0), Duration::from_secs(900));
    let absurd = Session { created: Some(Timestamp::MAX_UTC), ..session_around_noon() };
    for session in [future, absurd] {
        let (clock, problems) = observe_with_session(0.0, &session);
        assert_eq!((problems, clock.is_known()), (Vec::new(), true));
        assert_eq!(clock.at(crate::testing::moment(20.0)), at(20.0));
    }
}

#[test]
fn time_is_never_before_a_timestamp() {
    // Our own clock is an hour slow, and there is no date.
    let mut clock = ServerClock::default();
    let session = running_session("a", at(3600.0), Duration::from_secs(900));
    clock.observe(&request_timing(1.0, 1.1), &[&session]);
    assert_eq!(clock.at(crate::testing::moment(1.1)), at(3600.0));
    assert_eq!(clock.at(crate::testing::moment(11.1)), at(3610.0));
    assert_eq!(clock.skew().num_seconds(), 3598); // 3600 s minus 1.1 s, rounded down
    // A good date takes over.
    clock.observe(&timing_ahead(20.0, 3700.0), &[&session]);
    assert!(clock.is_known() && clock.at(crate::testing::moment(20.0)) > at(3719.0));
}

#[test]
fn two_servers_do_not_make_time_jump() {
    let mut clock = ServerClock::default();
    for round in 0..40_u64 {
        // Every third response is from a server whose clock is 5 s ahead. Our own clock agrees with the other server.
        let (sent_ms, seconds_ahead) = (round * 1000, if round % 3 == 2 { 5 } else { 0 });
        let at = |ms: u64| moment("12:00:00", 0).plus(Duration::from_millis(ms));
        let date = saturating_add(time("12:00:00"), Duration::from_secs(round + seconds_ahead));
        clock.observe_date(&RequestTiming {
            sent: at(sent_ms),
            received: at(sent_ms + 80),
            date: Some(date),
            age: Duration::ZERO,
        });
        assert_eq!(clock.at(at(sent_ms)), at(sent_ms).wall, "round {round}");
    }
}

/// Returns the estimate after two dates that are five minutes ahead of our clock.
fn five_minutes_ahead() -> ServerClock {
    let mut clock = ServerClock::default();
    clock.observe_date(&timing(moment("12:00:00", 0), moment("12:00:00.1", 100), "12:05:00"));
    clock.observe_date(&timing(moment("12:00:01", 1_000), moment("12:00:01.1", 1_100), "12:05:01"));
    clock
}

#[test]
fn date_near_own_clock_is_accepted() {
    let mut clock = five_minutes_ahead();
    let before = clock.at(moment("12:00:03", 3_000));
    clock.observe_date(&timing(moment("12:00:03", 3_000), moment("12:00:03.1", 3_100), "12:09:03"));
    assert_eq!(
        clock.at(moment("12:00:03", 3_000)),
        before,
        "one date that contradicts the estimate and our clock changes nothing"
    );
    clock.observe_date(&timing(moment("12:00:04", 4_000), moment("12:00:04.1", 4_100), "12:00:04"));
    assert_eq!(
        clock.at(moment("12:00:05", 5_000)),
        time("12:00:05"),
        "a date that agrees with our clock is accepted at once"
    );
}

#[test]
fn contradicting_date_widens_uncertainty_for_five_minutes() {
    let mut clock = five_minutes_ahead();
    let uncertainty_before = clock.uncertainty();
    let at = |ms: u64| moment("12:00:00", 0).plus(Duration::from_millis(ms));
    let timing_at = |seconds: u64, seconds_ahead: u64| RequestTiming {
        sent: at(seconds * 1000),
        received: at(seconds * 1000 + 100),
        date: Some(saturating_add(time("12:00:00"), Duration::from_secs(seconds + seconds_ahead))),
        age: Duration::ZERO,
    };
    // This date is 540 s ahead of our clock, and the estimate only 300 s. The uncertainty becomes about 240 s.
    clock.observe_date(&timing_at(10, 540));
    assert!(clock.uncertainty() > Duration::from_secs(200), "{:?}", clock.uncertainty());
    // Less than five minutes after the contradicting date.
    clock.observe_date(&timing_at(309, 300));
    assert!(clock.uncertainty() > Duration::from_secs(200), "{:?}", clock.uncertainty());
    // More than five minutes after the contradicting date.
    clock.observe_date(&timing_at(311, 300));
    assert_eq!(clock.uncertainty(), uncertainty_before);
}

#[test]
fn uncertainty_follows_from_the_dates() {
    let mut clock = ServerClock::default();
    assert_eq!(clock.uncertainty(), Duration::ZERO);
    clock.observe_date(&timing(moment("12:00:00.400", 400), moment("12:00:00.500", 500), "12:00:00"));
    // At our boot, the server's time is in [11:59:59.5, 12:00:00.6]. The estimate is our own clock: 12:00:00.
    assert_eq!(clock.uncertainty(), Duration::from_millis(600));
    assert_eq!(clock.earliest(moment("12:00:01", 1_000)), time("12:00:00.400"));
}

#[test]
fn wall_clock_step_changes_nothing() {
    let mut clock = ServerClock::default();
    clock.observe_date(&timing(moment("12:00:00.400", 400), moment("12:00:00.500", 500), "12:00:00"));
    let stepped = Moment { wall: time("13:00:10"), ..moment("12:00:10", 10_000) };
    assert_eq!(clock.at(stepped), time("12:00:10"));
}

#[test]
fn missing_date_uses_wall_clock() {
    assert_eq!(ServerClock::default().at(moment("12:00:00", 0)), time("12:00:00"));
}

#[test]
fn change_lies_between_two_responses() {
    let clock = ServerClock::default();
    let (before, after) = (request_timing(0.0, 1.0), request_timing(3.0, 4.0));
    let when = TimeInterval::between(&clock, Some(&before), &after);
    assert_eq!(when, TimeInterval { earliest: Some(time("12:00:00")), latest: time("12:00:04") });
    assert_eq!(when.width(), Some(Duration::from_secs(4)));
    assert_eq!(when.narrowed_to(Some(time("12:00:02"))).0.width(), Some(Duration::ZERO));
    assert_eq!(when.narrowed_to(Some(time("12:00:05"))), (when, false));
    assert_eq!(when.narrowed_to(Some(time("11:59:59"))), (when, false));
    assert_eq!(TimeInterval::between(&clock, None, &after).earliest, None);
}

/// A request: the pause before it, its duration, the percentage of the duration that had passed when the server wrote
/// the date, and the step of the wall clock before the request. All times are in milliseconds.
type Round = (u64, u64, u64, i64);

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let step = prop_oneof![4 => Just(0), 1 => -7_200_000_i64..7_200_000];
    vec((0_u64..70_000, 0_u64..9_000, 0_u64..=100, step), 1..30)
}

/// Returns the estimate after these rounds, and the timings of their requests. At our boot, our wall clock showed noon,
/// and the server's clock noon plus `ahead_ms`.
fn simulate_responses(ahead_ms: i64, rounds: &[Round]) -> (ServerClock, Vec<RequestTiming>) {
    let (mut clock, mut boot_ms, mut wall_offset_ms) = (ServerClock::default(), 1000_u64, 0_i64);
    let mut timings = Vec::new();
    for (pause, duration, percentage, step) in rounds {
        wall_offset_ms += step;
        let at = |boot_ms: u64| Moment {
            wall: time("12:00:00")
                + TimeDelta::milliseconds(i64::try_from(boot_ms).unwrap() + wall_offset_ms),
            mono: Duration::from_millis(boot_ms),
            boot: Duration::from_millis(boot_ms),
        };
        let sent = boot_ms + pause;
        let (received, written) = (sent + duration, sent + duration * percentage / 100);
        let second = true_server_time(ahead_ms, written).timestamp();
        let date = Timestamp::from_timestamp(second, 0);
        let timing = RequestTiming { sent: at(sent), received: at(received), date, age: Duration::ZERO };
        clock.observe_date(&timing);
        timings.push(timing);
        boot_ms = received;
    }
    (clock, timings)
}

/// Returns the true server time when our clock since boot shows `boot_ms`.
fn true_server_time(ahead_ms: i64, boot_ms: u64) -> Timestamp {
    time("12:00:00") + TimeDelta::milliseconds(ahead_ms + i64::try_from(boot_ms).unwrap())
}

proptest! {
    #[test]
    fn error_never_exceeds_the_uncertainty(ahead_ms in -4_000_000_i64..4_000_000, rounds in rounds()) {
        let (clock, timings) = simulate_responses(ahead_ms, &rounds);
        let last = timings.last().unwrap().received;
        for ms_later in [0, 1, 59_999, 3_600_000] {
            let at = last.plus(Duration::from_millis(ms_later));
            let truth = true_server_time(ahead_ms, u64::try_from(at.boot.as_millis()).unwrap());
            let error = clock.at(at).signed_duration_since(truth).abs().to_std().unwrap();
            prop_assert!(error <= clock.uncertainty(), "error {:?}, uncertainty {:?}", error, clock.uncertainty());
            prop_assert!(clock.earliest(at) <= truth);
        }
        // A request takes up to 9 s, a date is rounded by up to 1 s, and 1 s is a margin. After a single date, there is
        // no such limit: until a second date confirms it, our own clock may be right.
        let is_too_wide = rounds.len() > 1 && clock.uncertainty() > Duration::from_secs(11);
        prop_assert!(!is_too_wide, "the uncertainty is at most the longest request plus two seconds: {:?}", clock.uncertainty());
    }

    #[test]
    fn interval_contains_the_true_time(
        ahead_ms in -4_000_000_i64..4_000_000,
        rounds in rounds(),
        percentage in 0_u64..=100,
    ) {
        let (clock, timings) = simulate_responses(ahead_ms, &rounds);
        let (Some(after), before) = (timings.last(), timings.iter().rev().nth(1)) else { unreachable!() };
        let boot_ms = |moment: Moment| u64::try_from(moment.boot.as_millis()).unwrap();
        let (from, to) = (before.map_or(0, |before| boot_ms(before.sent)), boot_ms(after.received));
        let truth = true_server_time(ahead_ms, from + (to - from) * percentage / 100);
        let when = TimeInterval::between(&clock, before, after).widened(clock.uncertainty());
        prop_assert!(when.earliest.is_none_or(|earliest| earliest <= truth) && truth <= when.latest);
        prop_assert_eq!(when.earliest.is_some(), before.is_some());
        let (narrowed, lies_inside) = when.narrowed_to(Some(truth));
        prop_assert!(lies_inside && narrowed.width() == Some(Duration::ZERO));
    }
}
