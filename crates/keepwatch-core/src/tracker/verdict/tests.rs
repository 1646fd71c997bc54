use strum::VariantNames as _;

use super::rules::{EndEstimate, RelativeToExpiry};
use super::*;
use crate::session::ApiErrorKind;
use crate::testing::noon;

/// Returns the time `ms` milliseconds after noon.
fn at(ms: i64) -> Timestamp {
    noon() + chrono::TimeDelta::milliseconds(ms)
}

#[test]
fn verdict_names_are_those_of_the_schema() {
    let names = [
        "error",
        "timed_out",
        "released_here",
        "completed_at_expiry",
        "keep_alive_ended",
        "never_connected",
        "disconnected_or_closed",
        "ended_past_expiry",
        "unexplained",
        "gone",
        "overdue",
    ];
    assert_eq!(Cause::VARIANTS, names);
    assert_eq!(Confidence::VARIANTS, ["unknown", "perhaps", "likely", "said"]);
}

const S: i64 = 1000;
const QUARTER: i64 = 900 * S;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `COMPLETED` at `ended`, of a session that began at noon with 15 minutes, watched at both sides of its end.
fn completed(ended: i64, keep_alive: Option<bool>) -> Evidence {
    Evidence {
        status: Some(Status::Completed),
        created: Some(at(0)),
        started: Some(at(0)),
        expires: Some(at(QUARTER)),
        ended: Some(at(ended)),
        keep_alive,
        proxy_bytes: Some(0),
        observed_between: Some(TimeInterval { earliest: Some(at(ended - 3 * S)), latest: at(ended + 200) }),
        ended_by: Some(at(ended + 200)),
        default_timeout: Some(secs(300)),
        ..Evidence::default()
    }
}

fn name_and_confidence(evidence: &Evidence) -> (&'static str, Confidence) {
    let verdict = evidence.verdict().unwrap();
    (verdict.name(), verdict.confidence)
}

#[test]
fn an_end_of_which_only_the_latest_time_is_known_was_before_the_expiry_or_may_be_its_timeout() {
    let end = |latest| EndEstimate { earliest: None, latest: at(latest), fact: Fact::EndedAt };
    let against = |latest| match end(latest).relative_to(at(QUARTER)) {
        RelativeToExpiry::Before(left) => Some(left),
        RelativeToExpiry::Either => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(against(QUARTER - 60 * S), Some(secs(60)));
    assert_eq!(against(QUARTER - 5 * S - 1), Some(Duration::from_millis(5001)));
    for latest in [QUARTER - 5 * S, QUARTER, QUARTER + 60 * S] {
        assert_eq!(against(latest), None);
    }
}

#[test]
fn an_end_within_five_seconds_of_the_expiry_is_its_timeout_from_both_sides() {
    for (ended, name) in [
        (QUARTER - 5001, "keep_alive_ended_early"),
        (QUARTER - 5000, "completed_at_expiry"),
        (QUARTER, "completed_at_expiry"),
        (QUARTER + 5000, "completed_at_expiry"),
        (QUARTER + 5001, "ended_past_expiry"),
    ] {
        assert_eq!(name_and_confidence(&completed(ended, Some(true))).0, name, "{ended} ms");
    }
    assert_eq!(name_and_confidence(&completed(QUARTER - 5001, Some(false))).0, "disconnected_or_closed");
    assert_eq!(name_and_confidence(&completed(QUARTER - 5000, Some(false))).0, "completed_at_expiry");
    assert_eq!(name_and_confidence(&completed(QUARTER, None)).0, "completed_at_expiry");
}

#[test]
fn nobody_connected_perhaps_at_three_hundred_seconds_give_or_take_fifteen() {
    for (age, name) in [
        (284_999, "disconnected_or_closed"),
        (285_000, "never_connected"),
        (300_000, "never_connected"),
        (315_000, "never_connected"),
        (315_001, "disconnected_or_closed"),
    ] {
        assert_eq!(name_and_confidence(&completed(age, Some(false))).0, name, "{age} ms");
        assert_eq!(name_and_confidence(&completed(age, Some(true))).0, "keep_alive_ended_early", "{age} ms");
    }
    let used = Evidence { proxy_bytes: Some(1), ..completed(300 * S, Some(false)) };
    assert_eq!(name_and_confidence(&used).0, "disconnected_or_closed", "somebody was there");
    let short = Evidence { expires: Some(at(300 * S)), ..completed(300 * S, Some(false)) };
    assert_eq!(name_and_confidence(&short).0, "completed_at_expiry", "the rows have an order");
}

#[test]
fn failures_and_timeouts_are_the_apis_own_word() {
    let failed = Evidence { status: Some(Status::Error), ..completed(QUARTER, Some(true)) };
    assert_eq!(name_and_confidence(&failed), ("error", Confidence::Reported), "however near to the expiry");
    let timed_out = Evidence { status: Some(Status::TimedOut), ..completed(QUARTER, Some(true)) };
    let verdict = timed_out.verdict().unwrap();
    assert_eq!(verdict.confidence, Confidence::Reported);
    assert_eq!(
        verdict.cause,
        Cause::TimedOut { timeout: Some(secs(900)), default: Some(secs(300)), early: None }
    );
}

#[test]
fn what_was_asked_from_here_is_said_before_any_guess() {
    let released = Evidence { release_requested_at: Some(at(6 * S)), ..completed(9 * S, Some(true)) };
    let verdict = released.verdict().unwrap();
    assert_eq!(verdict.cause, Cause::ReleasedHere { requested_at: at(6 * S), after: Some(secs(3)) });
    assert!(!released.can_join_cluster());
}

#[test]
fn without_ended_at_only_what_was_seen_counts_and_all_of_it_must_fit() {
    let seen = |earliest: i64, latest: i64| Evidence {
        ended: None,
        ended_by: Some(at(latest)),
        observed_between: Some(TimeInterval { earliest: Some(at(earliest)), latest: at(latest) }),
        ..completed(0, Some(true))
    };
    for (earliest, latest, verdict) in [
        (9 * S, 12 * S, ("keep_alive_ended_early", Confidence::Possible)),
        (QUARTER - 9 * S, QUARTER - 5001, ("keep_alive_ended_early", Confidence::Possible)),
        (QUARTER - 3 * S, QUARTER + S, ("completed_at_expiry", Confidence::Possible)),
        (QUARTER + 6 * S, QUARTER + 9 * S, ("ended_past_expiry", Confidence::Possible)),
    ] {
        assert_eq!(name_and_confidence(&seen(earliest, latest)), verdict, "{earliest} to {latest}");
    }
    let gap = seen(9 * S, 609 * S).verdict().unwrap();
    assert_eq!(
        gap.summary_line(&Status::Completed, crate::clock::Zone::Utc, at(0)),
        "COMPLETED after at most 10m 09s, at least 4m 51s unused, keep-alive on: by the rules no disconnect and no \
         timeout"
    );
    // A gap in polling around the expiry: it may have been its timeout.
    let verdict = seen(QUARTER - 60 * S, QUARTER + 60 * S).verdict().unwrap();
    assert_eq!(verdict.cause, Cause::KeepAliveEnded { unused: None, maybe_never_connected: false });
    let words = verdict.text(crate::clock::Zone::Utc, at(0));
    assert!(words.explanation.contains("or its timeout") && !words.headline.contains("timeout"), "{words:?}");
}

#[test]
fn an_ended_at_that_can_not_be_is_left_aside() {
    let sure = completed(10 * S, Some(true));
    assert_eq!(name_and_confidence(&sure), ("keep_alive_ended_early", Confidence::Likely));
    let watched = || Some(TimeInterval { earliest: Some(at(20 * S)), latest: at(23 * S) });
    let seen = |ended: i64| Evidence {
        ended: Some(at(ended)),
        observed_between: watched(),
        ended_by: Some(at(23 * S)),
        ..completed(10 * S, Some(true))
    };
    for ended in [10 * S, 20 * S - 1, 23 * S + 1, -5 * S, QUARTER + 3600 * S, -90 * 365 * 86_400 * S] {
        let verdict = seen(ended).verdict().unwrap();
        // By the replies it ended early, whatever the API says of the time.
        assert_eq!(
            (verdict.name(), verdict.confidence),
            ("keep_alive_ended_early", Confidence::Possible),
            "{ended}"
        );
        assert!(
            verdict.is_ended_at_contradicted && !verdict.facts.contains(&Fact::EndedAt),
            "{ended}: {verdict:?}"
        );
        assert_eq!(verdict.duration, Some(secs(23)), "at most, by what was seen");
        assert!(!seen(ended).can_join_cluster(), "{ended}");
    }
    assert!(!seen(21 * S).verdict().unwrap().is_ended_at_contradicted);
}

#[test]
fn first_seen_ended_is_judged_by_its_fields_alone() {
    let late = Evidence { observed_between: None, ..completed(10 * S, Some(true)) };
    assert_eq!(name_and_confidence(&late), ("keep_alive_ended_early", Confidence::Likely));
    // Without endedAt it ended by the time of the reply, and that was before its expiry.
    let bare = |by: i64| Evidence {
        observed_between: None,
        ended: None,
        ended_by: Some(at(by)),
        ..completed(10 * S, Some(true))
    };
    assert_eq!(name_and_confidence(&bare(60 * S)), ("keep_alive_ended_early", Confidence::Possible));
    assert_eq!(name_and_confidence(&bare(QUARTER + 60 * S)), ("keep_alive_ended", Confidence::Possible));
    for absurd in [-1, 61 * S] {
        let absurd = Evidence { ended: Some(at(absurd)), ..bare(60 * S) };
        let verdict = absurd.verdict().unwrap();
        assert!(
            verdict.is_ended_at_contradicted && verdict.confidence == Confidence::Possible,
            "{verdict:?}"
        );
        assert_eq!(verdict.duration, Some(secs(60)), "at most");
    }
}

#[test]
fn a_timeout_long_before_the_expiry_is_the_statuss_word_alone() {
    let early = |ended| Evidence { status: Some(Status::TimedOut), ..completed(ended, Some(true)) };
    for (ended, sure) in [
        (10 * S, Confidence::Possible),
        (QUARTER - 5001, Confidence::Possible),
        (QUARTER - 5000, Confidence::Reported),
    ] {
        assert_eq!(name_and_confidence(&early(ended)), ("timed_out", sure), "{ended}");
    }
}

#[test]
fn with_keep_alive_an_unconnected_end_is_possible_and_nothing_is_likely() {
    let verdict = completed(300 * S, Some(true)).verdict().unwrap();
    assert_eq!((verdict.name(), verdict.confidence), ("keep_alive_ended_early", Confidence::Possible));
    assert!(verdict.text(crate::clock::Zone::Utc, at(0)).explanation.contains("nobody connected"));
    let used = Evidence { proxy_bytes: Some(1), ..completed(300 * S, Some(true)) };
    assert_eq!(name_and_confidence(&used).1, Confidence::Likely);
}

#[test]
fn what_is_gone_or_overdue_is_said_to_be_so_only_on_evidence() {
    let alive = Evidence {
        status: Some(Status::Running),
        ended: None,
        observed_between: None,
        ended_by: None,
        ..completed(0, Some(true))
    };
    assert_eq!(alive.verdict(), None);
    let late = |ms| Evidence { last_alive: Some(at(QUARTER + ms)), ..alive.clone() };
    assert_eq!(late(0).verdict(), None);
    assert_eq!(late(1).verdict().unwrap().cause, Cause::Overdue { by: Duration::from_millis(1) });
    let gone = Evidence { not_found: Some(ApiErrorKind::NotFound.into()), ..alive };
    assert_eq!(gone.verdict().unwrap().name(), "gone");
    let ended = Evidence { not_found: Some(ApiErrorKind::Gone.into()), ..completed(10 * S, Some(true)) };
    assert_eq!(name_and_confidence(&ended).0, "keep_alive_ended_early", "its end was seen");
    let never =
        Evidence { status: None, not_found: Some(ApiErrorKind::NotFound.into()), ..Evidence::default() };
    assert_eq!(never.verdict(), None, "what was never seen has not gone");
}

#[test]
fn ends_count_together_only_if_none_is_a_timeout_or_released_from_here() {
    assert!(completed(10 * S, Some(true)).can_join_cluster());
    assert!(!completed(QUARTER - 5000, Some(true)).can_join_cluster());
    assert!(completed(QUARTER - 5001, Some(true)).can_join_cluster());
    let failed = Evidence { status: Some(Status::Error), ..completed(10 * S, Some(true)) };
    assert!(!failed.can_join_cluster());
    let unsaid = Evidence { ended: None, ..completed(10 * S, Some(true)) };
    assert!(!unsaid.can_join_cluster(), "by endedAt only");
}

/// Each verdict with all of its evidence.
fn every_verdict() -> Vec<(&'static str, Evidence)> {
    let of = |status| Evidence { status: Some(status), ..completed(10 * S, Some(true)) };
    let alive = || Evidence { ended: None, observed_between: None, ended_by: None, ..of(Status::Running) };
    vec![
        ("error", of(Status::Error)),
        ("timed_out", Evidence { status: Some(Status::TimedOut), ..completed(QUARTER, Some(true)) }),
        ("released_here", Evidence { release_requested_at: Some(at(6 * S)), ..of(Status::Completed) }),
        ("completed_at_expiry", completed(QUARTER, Some(false))),
        ("keep_alive_ended_early", completed(10 * S, Some(true))),
        ("never_connected", completed(300 * S, Some(false))),
        ("disconnected_or_closed", completed(10 * S, Some(false))),
        ("ended_past_expiry", completed(QUARTER + 60 * S, Some(true))),
        ("unexplained", completed(10 * S, None)),
        ("gone", Evidence { not_found: Some(ApiErrorKind::Gone.into()), ..alive() }),
        ("overdue", Evidence { last_alive: Some(at(QUARTER + S)), ..alive() }),
    ]
}

/// One input blanked, and the fact that it is.
type Blank = (Fact, fn(Evidence) -> Evidence);

const BLANKS: [Blank; 11] = [
    (Fact::Status, |it| Evidence { status: None, ..it }),
    (Fact::EndedAt, |it| Evidence { ended: None, observed_between: None, ended_by: None, ..it }),
    (Fact::ExpiresAt, |it| Evidence { expires: None, ..it }),
    (Fact::StartedAt, |it| Evidence { started: None, ..it }),
    (Fact::CreatedAt, |it| Evidence { created: None, ..it }),
    (Fact::KeepAlive, |it| Evidence { keep_alive: None, ..it }),
    (Fact::NoBytes, |it| Evidence { proxy_bytes: None, ..it }),
    (Fact::DefaultTimeout, |it| Evidence { default_timeout: None, ..it }),
    (Fact::LocalRelease, |it| Evidence { release_requested_at: None, ..it }),
    (Fact::NotFound, |it| Evidence { not_found: None, ..it }),
    (Fact::ResponseAfterExpiry, |it| Evidence { last_alive: None, ..it }),
];

#[test]
fn with_any_fact_less_a_verdict_says_less_and_never_rests_on_what_it_does_not_name() {
    for (name, whole) in every_verdict() {
        let verdict = whole.verdict().unwrap();
        assert_eq!(verdict.name(), name);
        let mut rested = Vec::new();
        for (fact, blank) in BLANKS {
            let weaker = blank(whole.clone()).verdict();
            if !verdict.facts.contains(&fact) {
                let weaker = weaker.unwrap();
                assert_eq!(
                    (&weaker.cause, weaker.confidence),
                    (&verdict.cause, verdict.confidence),
                    "{name} without {fact:?}"
                );
                continue;
            }
            rested.push(fact);
            let Some(weaker) = weaker else { continue };
            assert!(!weaker.facts.contains(&fact), "{name} without {fact:?}: {weaker:?}");
            // Without its own asking it is judged like any other end: another row, with facts of its own.
            assert!(
                fact == Fact::LocalRelease || weaker.facts.iter().all(|other| verdict.facts.contains(other)),
                "{name} without {fact:?} rests on something new: {weaker:?}"
            );
            assert_ne!(weaker, verdict, "{name} without {fact:?} stays");
        }
        assert_eq!(rested.len(), verdict.facts.len(), "{name}: every fact can be blanked");
    }
}

#[test]
fn each_verdict_in_words() {
    use std::fmt::Write as _;
    let mut said = String::new();
    for (name, evidence) in every_verdict() {
        let verdict = evidence.verdict().unwrap();
        let words = verdict.text(crate::clock::Zone::Utc, at(0));
        let line = verdict.summary_line(evidence.status.as_ref().unwrap(), crate::clock::Zone::Utc, at(0));
        writeln!(said, "{name}\n  {line}\n  was      {}", words.explanation).unwrap();
        if let Some(was_not) = words.ruled_out {
            writeln!(said, "  was not  {was_not}").unwrap();
        }
        writeln!(said, "  sure     {}\n  to do    {}", words.confidence, words.advice).unwrap();
    }
    for claim in ["connected to", "is connected", "no longer billed", "billing"] {
        assert!(!said.contains(claim), "nothing is claimed that the API does not say: {claim}");
    }
    insta::assert_snapshot!(said);
}
