use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::time as t;

fn moment(wall: &str, boot_ms: u64) -> Moment {
    Moment { wall: t(wall), mono: Duration::from_millis(boot_ms), boot: Duration::from_millis(boot_ms) }
}

fn exchange(sent: Moment, received: Moment, date: &str) -> RequestTiming {
    RequestTiming { sent, received, date: Some(t(date)) }
}

#[test]
fn our_own_clock_is_kept_while_no_date_speaks_against_it() {
    let mut clock = ServerClock::default();
    clock.observe(&exchange(moment("12:00:00.400", 400), moment("12:00:00.500", 500), "12:00:00"));
    assert_eq!(clock.at(moment("12:00:10.500", 10_500)), t("12:00:10.500"));
    assert_eq!(clock.skew(), TimeDelta::zero());
}

#[test]
fn our_clocks_wander_of_less_than_ten_milliseconds_changes_nothing() {
    let mut clock = ServerClock::default();
    let mut observe = |wall: &str, boot: u64, date: &str| {
        let at = moment(wall, boot);
        (clock.observe(&exchange(at, at, date)), clock.at(at))
    };
    assert!(observe("12:00:00.500", 500, "12:00:00").0);
    assert!(observe("12:00:01.500", 1_500, "12:00:01").0, "two replies agree");
    assert_eq!(observe("12:00:02.509", 2_500, "12:00:02"), (false, t("12:00:02.500")));
    assert_eq!(observe("12:00:03.491", 3_500, "12:00:03"), (false, t("12:00:03.500")));
    assert_eq!(observe("12:00:04.510", 4_500, "12:00:04"), (true, t("12:00:04.510")));
}

#[test]
fn a_server_ten_minutes_ahead_is_believed_and_measured() {
    let mut clock = ServerClock::default();
    clock.observe(&exchange(moment("12:00:00.400", 400), moment("12:00:00.500", 500), "12:10:00"));
    clock.observe(&exchange(moment("12:00:03.900", 3_900), moment("12:00:03.950", 3_950), "12:10:04"));
    // first: zero in [12:09:59.5, 12:10:00.6]; second: [12:10:00.05, 12:10:01.1]; together [.05, .6]
    assert_eq!(clock.at(moment("12:00:05", 5_000)), t("12:10:05.325"));
    assert_eq!(clock.skew(), TimeDelta::milliseconds(600_325));
}

#[test]
fn three_dates_in_a_row_that_contradict_what_was_known_start_the_estimate_again() {
    let mut clock = ServerClock::default();
    clock.observe(&exchange(moment("12:00:00", 0), moment("12:00:00.1", 100), "12:00:00"));
    for (sent, received, date) in [(3_000, 3_100, "12:05:03"), (6_000, 6_100, "12:05:06")] {
        let (a, b) = (format!("12:00:0{}", sent / 1000), format!("12:00:0{}.1", received / 1000));
        clock.observe(&exchange(moment(&a, sent), moment(&b, received), date));
        assert_eq!(clock.at(moment(&a, sent)), t(&a), "one or two may be another machine's");
    }
    clock.observe(&exchange(moment("12:00:09", 9_000), moment("12:00:09.1", 9_100), "12:05:09"));
    let shown = clock.at(moment("12:00:10", 10_000));
    assert!(shown >= t("12:05:09.900") && shown <= t("12:05:11"), "{shown}");
}

#[test]
fn two_machines_whose_clocks_differ_do_not_make_the_time_jump() {
    let mut clock = ServerClock::default();
    for round in 0..40_u64 {
        let (sent, ahead) = (round * 1000, if round % 3 == 2 { 5 } else { 0 });
        let at = |ms: u64| moment("12:00:00", 0).plus(Duration::from_millis(ms));
        let date = saturating_add(t("12:00:00"), Duration::from_secs(round + ahead));
        clock.observe(&RequestTiming { sent: at(sent), received: at(sent + 80), date: Some(date) });
        assert_eq!(clock.at(at(sent)), at(sent).wall, "round {round}");
    }
}

/// Our clock says noon, and two replies of a server that is five minutes ahead agree on that: it is believed.
fn five_minutes_ahead() -> ServerClock {
    let mut clock = ServerClock::default();
    clock.observe(&exchange(moment("12:00:00", 0), moment("12:00:00.1", 100), "12:05:00"));
    clock.observe(&exchange(moment("12:00:01", 1_000), moment("12:00:01.1", 1_100), "12:05:01"));
    clock
}

#[test]
fn a_third_machines_date_that_our_own_clock_does_not_speak_for_is_not_believed_at_once() {
    let mut clock = five_minutes_ahead();
    let before = clock.at(moment("12:00:03", 3_000));
    clock.observe(&exchange(moment("12:00:03", 3_000), moment("12:00:03.1", 3_100), "12:09:03"));
    assert_eq!(clock.at(moment("12:00:03", 3_000)), before);
    clock.observe(&exchange(moment("12:00:04", 4_000), moment("12:00:04.1", 4_100), "12:00:04"));
    assert_eq!(clock.at(moment("12:00:05", 5_000)), t("12:00:05"), "and one that it speaks for, is");
}

#[test]
fn a_date_that_contradicts_makes_the_time_uncertain_for_five_minutes() {
    let mut clock = five_minutes_ahead();
    let narrow = clock.uncertainty();
    let at = |ms: u64| moment("12:00:00", 0).plus(Duration::from_millis(ms));
    let reply = |seconds: u64, ahead: u64| RequestTiming {
        sent: at(seconds * 1000),
        received: at(seconds * 1000 + 100),
        date: Some(saturating_add(t("12:00:00"), Duration::from_secs(seconds + ahead))),
    };
    clock.observe(&reply(10, 540));
    assert!(clock.uncertainty() > Duration::from_secs(200), "{:?}", clock.uncertainty());
    clock.observe(&reply(309, 300));
    assert!(clock.uncertainty() > Duration::from_secs(200), "{:?}", clock.uncertainty());
    clock.observe(&reply(311, 300));
    assert_eq!(clock.uncertainty(), narrow);
}

#[test]
fn how_far_it_may_be_off_is_what_the_dates_leave_open() {
    let mut clock = ServerClock::default();
    assert_eq!(clock.uncertainty(), Duration::ZERO);
    clock.observe(&exchange(moment("12:00:00.400", 400), moment("12:00:00.500", 500), "12:00:00"));
    // zero in [11:59:59.5, 12:00:00.6], and our own clock, 12:00:00, is used
    assert_eq!(clock.uncertainty(), Duration::from_millis(600));
    assert_eq!(clock.earliest(moment("12:00:01", 1_000)), t("12:00:00.400"));
}

#[test]
fn a_stepped_wall_clock_moves_nothing() {
    let mut clock = ServerClock::default();
    clock.observe(&exchange(moment("12:00:00.400", 400), moment("12:00:00.500", 500), "12:00:00"));
    let stepped = Moment { wall: t("13:00:10"), ..moment("12:00:10", 10_000) };
    assert_eq!(clock.at(stepped), t("12:00:10"));
}

#[test]
fn without_a_date_the_wall_clock_is_all_there_is() {
    assert_eq!(ServerClock::default().at(moment("12:00:00", 0)), t("12:00:00"));
}

#[test]
fn a_change_lies_between_the_last_reply_before_and_the_first_after() {
    let clock = ServerClock::default();
    let before = RequestTiming {
        date: None,
        ..exchange(moment("12:00:00", 0), moment("12:00:01", 1_000), "12:00:00")
    };
    let after = RequestTiming {
        date: None,
        ..exchange(moment("12:00:03", 3_000), moment("12:00:04", 4_000), "12:00:00")
    };
    let when = TimeInterval::between(&clock, Some(&before), &after);
    assert_eq!(when, TimeInterval { earliest: Some(t("12:00:00")), latest: t("12:00:04") });
    assert_eq!(when.width(), Some(Duration::from_secs(4)));
    assert_eq!(when.clamp_to(Some(t("12:00:02"))).0.width(), Some(Duration::ZERO));
    assert_eq!(when.clamp_to(Some(t("12:00:05"))), (when, false));
    assert_eq!(when.clamp_to(Some(t("11:59:59"))), (when, false));
    assert_eq!(TimeInterval::between(&clock, None, &after).earliest, None);
}

/// A reply: so long after the one before it, so long on its way, so much of which was the way there, and how far the wall
/// clock was set meanwhile; all in milliseconds.
type Round = (u64, u64, u64, i64);

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let set = prop_oneof![4 => Just(0), 1 => -7_200_000_i64..7_200_000];
    vec((0_u64..70_000, 0_u64..9_000, 0_u64..=100, set), 1..30)
}

/// What a server whose clock is `ahead` of noon at our boot says in these rounds, each with what it is true of.
fn simulate_responses(ahead: i64, rounds: &[Round]) -> (ServerClock, Vec<RequestTiming>) {
    let (mut clock, mut boot, mut wall) = (ServerClock::default(), 1000_u64, 0_i64);
    let mut exchanges = Vec::new();
    for (pause, took, way, set) in rounds {
        wall += set;
        let at = |boot: u64| Moment {
            wall: t("12:00:00") + TimeDelta::milliseconds(i64::try_from(boot).unwrap() + wall),
            mono: Duration::from_millis(boot),
            boot: Duration::from_millis(boot),
        };
        let sent = boot + pause;
        let (received, written) = (sent + took, sent + took * way / 100);
        let second = true_server_time(ahead, written).timestamp();
        let date = Timestamp::from_timestamp(second, 0);
        let exchange = RequestTiming { sent: at(sent), received: at(received), date };
        clock.observe(&exchange);
        exchanges.push(exchange);
        boot = received;
    }
    (clock, exchanges)
}

/// What the server's clock really shows when ours since boot shows this, in milliseconds.
fn true_server_time(ahead: i64, boot: u64) -> Timestamp {
    t("12:00:00") + TimeDelta::milliseconds(ahead + i64::try_from(boot).unwrap())
}

proptest! {
    #[test]
    fn the_servers_time_is_never_further_off_than_is_said(ahead in -4_000_000_i64..4_000_000, rounds in rounds()) {
        let (clock, exchanges) = simulate_responses(ahead, &rounds);
        let last = exchanges.last().unwrap().received;
        for later in [0, 1, 59_999, 3_600_000] {
            let at = last.plus(Duration::from_millis(later));
            let truth = true_server_time(ahead, u64::try_from(at.boot.as_millis()).unwrap());
            let off = clock.at(at).signed_duration_since(truth).abs().to_std().unwrap();
            prop_assert!(off <= clock.uncertainty(), "{:?} off, and said to be {:?} at most", off, clock.uncertainty());
            prop_assert!(clock.earliest(at) <= truth);
        }
        let wide = rounds.len() > 1 && clock.uncertainty() > Duration::from_secs(11);
        prop_assert!(!wide, "what two dates say is as wide as their replies were long, and a second, at most; not: {:?}", clock.uncertainty());
    }

    #[test]
    fn what_happened_between_two_replies_lies_in_the_interval_that_is_named(
        ahead in -4_000_000_i64..4_000_000,
        rounds in rounds(),
        share in 0_u64..=100,
    ) {
        let (clock, exchanges) = simulate_responses(ahead, &rounds);
        let (Some(after), before) = (exchanges.last(), exchanges.iter().rev().nth(1)) else { unreachable!() };
        let millis = |moment: Moment| u64::try_from(moment.boot.as_millis()).unwrap();
        let (from, to) = (before.map_or(0, |it| millis(it.sent)), millis(after.received));
        let truth = true_server_time(ahead, from + (to - from) * share / 100);
        let when = TimeInterval::between(&clock, before, after).widened(clock.uncertainty());
        prop_assert!(when.earliest.is_none_or(|earliest| earliest <= truth) && truth <= when.latest);
        prop_assert_eq!(when.earliest.is_some(), before.is_some());
        let (narrowed, lies_inside) = when.clamp_to(Some(truth));
        prop_assert!(lies_inside && narrowed.width() == Some(Duration::ZERO));
    }
}
