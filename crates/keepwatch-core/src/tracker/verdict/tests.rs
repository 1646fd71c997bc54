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
fn verdict_names_match_schema() {
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

/// One second, in milliseconds.
const SECOND: i64 = 1000;
/// The timeout of the test session, in milliseconds.
const TIMEOUT: i64 = 900 * SECOND;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns the known facts of a 15-minute session that started at noon and was `COMPLETED` at `ended`, in milliseconds
/// after noon. It was polled just before and just after its end.
fn completed(ended: i64, keep_alive: Option<bool>) -> KnownFacts {
    KnownFacts {
        status: Some(Status::Completed),
        created: Some(at(0)),
        started: Some(at(0)),
        expires: Some(at(TIMEOUT)),
        ended: Some(at(ended)),
        keep_alive,
        proxy_bytes: Some(0),
        end_interval: Some(TimeInterval { earliest: Some(at(ended - 3 * SECOND)), latest: at(ended + 200) }),
        latest_possible_end: Some(at(ended + 200)),
        default_timeout: Some(secs(300)),
        ..KnownFacts::default()
    }
}

fn name_and_confidence(known: &KnownFacts) -> (&'static str, Confidence) {
    let verdict = known.verdict().unwrap();
    (verdict.name(), verdict.confidence)
}

#[test]
fn upper_bound_proves_only_an_early_end() {
    let end_by = |latest| EndEstimate { earliest: None, latest: at(latest), fact: Fact::ResponsesAroundEnd };
    let time_left = |latest| match end_by(latest).relative_to(at(TIMEOUT)) {
        RelativeToExpiry::Before(left) => Some(left),
        RelativeToExpiry::Uncertain => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(time_left(TIMEOUT - 60 * SECOND), Some(secs(60)));
    // 5 s is `NEAR_EXPIRY`.
    assert_eq!(time_left(TIMEOUT - 5 * SECOND - 1), Some(Duration::from_millis(5001)));
    for latest in [TIMEOUT - 5 * SECOND, TIMEOUT, TIMEOUT + 60 * SECOND] {
        assert_eq!(time_left(latest), None);
    }
}

#[test]
fn five_seconds_around_expiry_count_as_expiry() {
    for (ended, name) in [
        (TIMEOUT - 5001, "keep_alive_ended_early"),
        (TIMEOUT - 5000, "completed_at_expiry"),
        (TIMEOUT, "completed_at_expiry"),
        (TIMEOUT + 5000, "completed_at_expiry"),
        (TIMEOUT + 5001, "ended_past_expiry"),
    ] {
        assert_eq!(name_and_confidence(&completed(ended, Some(true))).0, name, "ended at {ended} ms");
    }
    assert_eq!(name_and_confidence(&completed(TIMEOUT - 5001, Some(false))).0, "disconnected_or_closed");
    assert_eq!(name_and_confidence(&completed(TIMEOUT - 5000, Some(false))).0, "completed_at_expiry");
    assert_eq!(name_and_confidence(&completed(TIMEOUT, None)).0, "completed_at_expiry");
}

#[test]
fn never_connected_tolerates_fifteen_seconds() {
    for (age_ms, name) in [
        (284_999, "disconnected_or_closed"),
        (285_000, "never_connected"),
        (300_000, "never_connected"),
        (315_000, "never_connected"),
        (315_001, "disconnected_or_closed"),
    ] {
        assert_eq!(name_and_confidence(&completed(age_ms, Some(false))).0, name, "{age_ms} ms");
        assert_eq!(
            name_and_confidence(&completed(age_ms, Some(true))).0,
            "keep_alive_ended_early",
            "{age_ms} ms"
        );
    }
    let with_traffic = KnownFacts { proxy_bytes: Some(1), ..completed(300 * SECOND, Some(false)) };
    assert_eq!(
        name_and_confidence(&with_traffic).0,
        "disconnected_or_closed",
        "proxy bytes exclude never_connected"
    );
    let at_expiry = KnownFacts { expires: Some(at(300 * SECOND)), ..completed(300 * SECOND, Some(false)) };
    assert_eq!(name_and_confidence(&at_expiry).0, "completed_at_expiry", "the expiry takes precedence");
}

#[test]
fn error_and_timeout_status_are_reported() {
    let failed = KnownFacts { status: Some(Status::Error), ..completed(TIMEOUT, Some(true)) };
    assert_eq!(
        name_and_confidence(&failed),
        ("error", Confidence::Reported),
        "ERROR counts even at the expiry"
    );
    let timed_out = KnownFacts { status: Some(Status::TimedOut), ..completed(TIMEOUT, Some(true)) };
    let verdict = timed_out.verdict().unwrap();
    assert_eq!(verdict.confidence, Confidence::Reported);
    assert_eq!(
        verdict.cause,
        Cause::TimedOut { timeout: Some(secs(900)), default_timeout: Some(secs(300)), unused: None }
    );
}

#[test]
fn local_release_takes_precedence() {
    let released =
        KnownFacts { release_requested_at: Some(at(6 * SECOND)), ..completed(9 * SECOND, Some(true)) };
    let verdict = released.verdict().unwrap();
    assert_eq!(
        verdict.cause,
        Cause::ReleasedHere { requested_at: at(6 * SECOND), time_to_end: Some(secs(3)) }
    );
    assert!(!released.can_join_cluster());
}

#[test]
fn missing_ended_at_uses_observed_interval() {
    let observed = |earliest: i64, latest: i64| KnownFacts {
        ended: None,
        latest_possible_end: Some(at(latest)),
        end_interval: Some(TimeInterval { earliest: Some(at(earliest)), latest: at(latest) }),
        ..completed(0, Some(true))
    };
    for (earliest, latest, expected) in [
        (9 * SECOND, 12 * SECOND, ("keep_alive_ended_early", Confidence::Possible)),
        (TIMEOUT - 9 * SECOND, TIMEOUT - 5001, ("keep_alive_ended_early", Confidence::Possible)),
        (TIMEOUT - 3 * SECOND, TIMEOUT + SECOND, ("completed_at_expiry", Confidence::Possible)),
        (TIMEOUT + 6 * SECOND, TIMEOUT + 9 * SECOND, ("ended_past_expiry", Confidence::Possible)),
    ] {
        assert_eq!(name_and_confidence(&observed(earliest, latest)), expected, "{earliest} to {latest} ms");
    }
    let verdict = observed(9 * SECOND, 609 * SECOND).verdict().unwrap();
    assert_eq!(
        verdict.summary_line(&Status::Completed, crate::clock::Zone::Utc, at(0)),
        "COMPLETED after at most 10m 09s, at least 4m 51s left, keep-alive on: Possibly released via API, the usual \
         end of a keep-alive session"
    );
    // The gap between the polls spans the expiry, so a timeout is possible.
    let verdict = observed(TIMEOUT - 60 * SECOND, TIMEOUT + 60 * SECOND).verdict().unwrap();
    let usual = Cause::KeepAliveEnded { unused: None, is_early: false, matches_never_connected: false };
    assert_eq!(verdict.cause, usual);
    let text = verdict.text(crate::clock::Zone::Utc, at(0));
    assert!(text.why.contains("timeout") && !text.ruled_out.unwrap().contains("timeout"));
}

#[test]
fn impossible_ended_at_is_ignored() {
    let consistent = completed(10 * SECOND, Some(true));
    assert_eq!(name_and_confidence(&consistent), ("keep_alive_ended_early", Confidence::Likely));
    let with_ended_at = |ended: i64| KnownFacts {
        ended: Some(at(ended)),
        end_interval: Some(TimeInterval { earliest: Some(at(20 * SECOND)), latest: at(23 * SECOND) }),
        latest_possible_end: Some(at(23 * SECOND)),
        ..completed(10 * SECOND, Some(true))
    };
    for ended in [
        10 * SECOND,                 // long before the interval
        20 * SECOND - 1,             // just before the interval
        23 * SECOND + 1,             // just after the interval
        -5 * SECOND,                 // before the start
        TIMEOUT + 3600 * SECOND,     // an hour after the expiry
        -90 * 365 * 86_400 * SECOND, // ninety years before the start
    ] {
        let verdict = with_ended_at(ended).verdict().unwrap();
        // The responses alone prove an early end.
        assert_eq!(
            (verdict.name(), verdict.confidence),
            ("keep_alive_ended_early", Confidence::Possible),
            "ended at {ended} ms"
        );
        assert!(
            verdict.has_impossible_ended_at && !verdict.facts.contains(&Fact::EndedAt),
            "ended at {ended} ms: {verdict:?}"
        );
        assert_eq!(verdict.duration, Some(secs(23)), "the duration is an upper bound from the responses");
        assert!(!with_ended_at(ended).can_join_cluster(), "ended at {ended} ms");
    }
    let in_interval = with_ended_at(21 * SECOND);
    assert!(!in_interval.verdict().unwrap().has_impossible_ended_at);
}

#[test]
fn session_first_seen_ended_uses_its_fields() {
    let first_seen_ended = KnownFacts { end_interval: None, ..completed(10 * SECOND, Some(true)) };
    assert_eq!(name_and_confidence(&first_seen_ended), ("keep_alive_ended_early", Confidence::Likely));
    // Without endedAt, the receipt of the first response is the only bound of the end.
    let without_ended_at = |latest_end: i64| KnownFacts {
        end_interval: None,
        ended: None,
        latest_possible_end: Some(at(latest_end)),
        ..completed(10 * SECOND, Some(true))
    };
    assert_eq!(
        name_and_confidence(&without_ended_at(60 * SECOND)),
        ("keep_alive_ended_early", Confidence::Possible)
    );
    assert_eq!(
        name_and_confidence(&without_ended_at(TIMEOUT + 60 * SECOND)),
        ("keep_alive_ended", Confidence::Possible)
    );
    // Before the start, and after the first response.
    for ended in [-1, 61 * SECOND] {
        let impossible = KnownFacts { ended: Some(at(ended)), ..without_ended_at(60 * SECOND) };
        let verdict = impossible.verdict().unwrap();
        assert!(verdict.has_impossible_ended_at && verdict.confidence == Confidence::Possible, "{verdict:?}");
        assert_eq!(verdict.duration, Some(secs(60)), "the duration is an upper bound from the responses");
    }
}

#[test]
fn early_timeout_is_only_possible() {
    let timed_out = |ended| KnownFacts { status: Some(Status::TimedOut), ..completed(ended, Some(true)) };
    for (ended, confidence) in [
        (10 * SECOND, Confidence::Possible),
        (TIMEOUT - 5001, Confidence::Possible),
        (TIMEOUT - 5000, Confidence::Reported),
    ] {
        assert_eq!(name_and_confidence(&timed_out(ended)), ("timed_out", confidence), "ended at {ended} ms");
    }
}

#[test]
fn keep_alive_at_five_minutes_is_only_possible() {
    let verdict = completed(300 * SECOND, Some(true)).verdict().unwrap();
    assert_eq!((verdict.name(), verdict.confidence), ("keep_alive_ended_early", Confidence::Possible));
    assert!(verdict.text(crate::clock::Zone::Utc, at(0)).why.contains("nobody connected"));
    let with_traffic = KnownFacts { proxy_bytes: Some(1), ..completed(300 * SECOND, Some(true)) };
    let text = with_traffic.verdict().unwrap().text(crate::clock::Zone::Utc, at(0));
    assert!(!text.why.contains("nobody connected"), "{text:?}");
}

#[test]
fn gone_and_overdue_need_facts() {
    let alive = KnownFacts {
        status: Some(Status::Running),
        ended: None,
        end_interval: None,
        latest_possible_end: None,
        ..completed(0, Some(true))
    };
    assert_eq!(alive.verdict(), None);
    let alive_after_expiry = |ms| KnownFacts { last_alive: Some(at(TIMEOUT + ms)), ..alive.clone() };
    assert_eq!(alive_after_expiry(0).verdict(), None);
    assert_eq!(
        alive_after_expiry(1).verdict().unwrap().cause,
        Cause::Overdue { overrun: Duration::from_millis(1) }
    );
    let gone = KnownFacts { not_found: Some(ApiErrorKind::NotFound.into()), ..alive };
    assert_eq!(gone.verdict().unwrap().name(), "gone");
    let ended =
        KnownFacts { not_found: Some(ApiErrorKind::Gone.into()), ..completed(10 * SECOND, Some(true)) };
    assert_eq!(
        name_and_confidence(&ended).0,
        "keep_alive_ended_early",
        "a 404 or 410 does not replace an observed end"
    );
    let never_seen =
        KnownFacts { status: None, not_found: Some(ApiErrorKind::NotFound.into()), ..KnownFacts::default() };
    assert_eq!(never_seen.verdict(), None, "a session that was never seen cannot be gone");
}

#[test]
fn timeouts_and_errors_join_no_cluster() {
    assert!(completed(10 * SECOND, Some(true)).can_join_cluster());
    assert!(!completed(TIMEOUT - 5000, Some(true)).can_join_cluster());
    assert!(completed(TIMEOUT - 5001, Some(true)).can_join_cluster());
    let failed = KnownFacts { status: Some(Status::Error), ..completed(10 * SECOND, Some(true)) };
    assert!(!failed.can_join_cluster());
    let without_ended_at = KnownFacts { ended: None, ..completed(10 * SECOND, Some(true)) };
    assert!(!without_ended_at.can_join_cluster(), "clusters need endedAt");
}

/// Returns the known facts of a session that timed out after the project's default of 5 min. It has no metadata and no
/// keep-alive, so its creator may have asked for another timeout.
fn lost_timeout() -> KnownFacts {
    KnownFacts {
        status: Some(Status::TimedOut),
        expires: Some(at(300 * SECOND)),
        has_metadata: Some(false),
        ..completed(300 * SECOND, Some(false))
    }
}

fn of_client(client: KnownClient, known: KnownFacts) -> KnownFacts {
    KnownFacts { client: Some(client), has_metadata: Some(true), ..known }
}

/// Returns the verdict names, each with the known facts of a session that gets this verdict. No fact that the
/// verdict can rest on is unknown.
fn every_verdict() -> Vec<(&'static str, KnownFacts)> {
    let with_status = |status| KnownFacts { status: Some(status), ..completed(10 * SECOND, Some(true)) };
    let alive = || KnownFacts {
        ended: None,
        end_interval: None,
        latest_possible_end: None,
        ..with_status(Status::Running)
    };
    vec![
        ("error", with_status(Status::Error)),
        ("timed_out", KnownFacts { status: Some(Status::TimedOut), ..completed(TIMEOUT, Some(true)) }),
        ("timed_out", lost_timeout()),
        (
            "released_here",
            KnownFacts { release_requested_at: Some(at(6 * SECOND)), ..with_status(Status::Completed) },
        ),
        ("completed_at_expiry", completed(TIMEOUT, Some(false))),
        ("keep_alive_ended_early", completed(10 * SECOND, Some(true))),
        ("keep_alive_ended_early", of_client(KnownClient::Stagehand4, completed(480 * SECOND, Some(true)))),
        ("never_connected", completed(300 * SECOND, Some(false))),
        ("disconnected_or_closed", completed(10 * SECOND, Some(false))),
        ("disconnected_or_closed", of_client(KnownClient::Mcp, completed(10 * SECOND, Some(false)))),
        ("ended_past_expiry", completed(TIMEOUT + 60 * SECOND, Some(true))),
        ("unexplained", completed(10 * SECOND, None)),
        ("gone", KnownFacts { not_found: Some(ApiErrorKind::Gone.into()), ..alive() }),
        ("overdue", KnownFacts { last_alive: Some(at(TIMEOUT + SECOND)), ..alive() }),
    ]
}

/// A fact, and a function that removes it from the known facts.
type Removal = (Fact, fn(KnownFacts) -> KnownFacts);

/// The removals of all facts except [`Fact::ResponsesAroundEnd`], on which no verdict of [`every_verdict`] rests.
/// Without `endedAt`, a verdict would rest on these responses, so the removal of `endedAt` removes them too.
const REMOVALS: [Removal; 13] = [
    (Fact::Status, |it| KnownFacts { status: None, ..it }),
    (Fact::EndedAt, |it| KnownFacts { ended: None, end_interval: None, latest_possible_end: None, ..it }),
    (Fact::ExpiresAt, |it| KnownFacts { expires: None, ..it }),
    (Fact::StartedAt, |it| KnownFacts { started: None, ..it }),
    (Fact::CreatedAt, |it| KnownFacts { created: None, ..it }),
    (Fact::KeepAlive, |it| KnownFacts { keep_alive: None, ..it }),
    (Fact::NoBytes, |it| KnownFacts { proxy_bytes: None, ..it }),
    (Fact::DefaultTimeout, |it| KnownFacts { default_timeout: None, ..it }),
    (Fact::LocalRelease, |it| KnownFacts { release_requested_at: None, ..it }),
    (Fact::NotFound, |it| KnownFacts { not_found: None, ..it }),
    (Fact::ResponseAfterExpiry, |it| KnownFacts { last_alive: None, ..it }),
    (Fact::NoMetadata, |it| KnownFacts { has_metadata: None, ..it }),
    (Fact::Client, |it| KnownFacts { client: None, ..it }),
];

#[test]
fn missing_fact_weakens_verdict() {
    for (name, known) in every_verdict() {
        let verdict = known.verdict().unwrap();
        assert_eq!(verdict.name(), name);
        let mut removed = Vec::new();
        for (fact, remove) in REMOVALS {
            let remaining = remove(known.clone()).verdict();
            if !verdict.facts.contains(&fact) {
                let remaining = remaining.unwrap();
                assert_eq!(
                    (&remaining.cause, remaining.confidence),
                    (&verdict.cause, verdict.confidence),
                    "{name} does not rest on {fact:?}"
                );
                continue;
            }
            removed.push(fact);
            // No verdict at all is weaker than any verdict.
            let Some(weaker) = remaining else { continue };
            assert!(
                !weaker.facts.contains(&fact),
                "{name} without {fact:?} does not rest on this fact: {weaker:?}"
            );
            // Without the local release, another row applies, with other facts.
            assert!(
                fact == Fact::LocalRelease || weaker.facts.iter().all(|other| verdict.facts.contains(other)),
                "{name} without {fact:?} rests on no new fact: {weaker:?}"
            );
            assert_ne!(weaker, verdict, "{name} changes without {fact:?}");
        }
        assert_eq!(removed.len(), verdict.facts.len(), "{name}: every fact has a removal");
    }
}

#[test]
fn each_verdict_in_words() {
    use std::fmt::Write as _;
    let mut rendered = String::new();
    for (name, known) in every_verdict() {
        let verdict = known.verdict().unwrap();
        let text = verdict.text(crate::clock::Zone::Utc, at(0));
        let line = verdict.summary_line(known.status.as_ref().unwrap(), crate::clock::Zone::Utc, at(0));
        writeln!(rendered, "{name}: {}\n  {line}\n  why        {}", text.short, text.why).unwrap();
        if let Some(ruled_out) = &text.ruled_out {
            writeln!(rendered, "  ruled out  {ruled_out}").unwrap();
            assert!(ruled_out.ends_with("; by the documented rules"), "{ruled_out}");
        }
        writeln!(rendered, "  how sure   {}\n  to do      {}", text.how_sure, text.advice()).unwrap();
        if let Some(hint) = text.hint {
            writeln!(rendered, "  hint       {hint}").unwrap();
        }
        assert!(crate::text::width(&text.short) <= MAX_SHORT_COLUMNS, "{}", text.short);
    }
    // Claims that no verdict may make.
    for claim in ["connected to", "is connected", "no longer billed", "billing"] {
        assert!(!rendered.contains(claim), "a verdict claims only what the API reports: {claim}");
    }
    insta::assert_snapshot!(rendered);
}

#[test]
fn keep_alive_wording_follows_early_limit() {
    let text = |ended: i64, early_limit| {
        let known = KnownFacts { early_limit, proxy_bytes: Some(1), ..completed(ended, Some(true)) };
        let verdict = known.verdict().unwrap();
        (verdict.text(crate::clock::Zone::Utc, at(0)).headline, verdict.confidence)
    };
    let early = ("Released via API, browser closed, or platform fault".to_owned(), Confidence::Likely);
    let usual =
        ("Possibly released via API, the usual end of a keep-alive session".to_owned(), Confidence::Possible);
    let one_minute = EarlyLimit::default();
    for (ended, limit, expected) in [
        (59_999, one_minute, &early),
        (60_000, one_minute, &usual),
        (480 * SECOND, one_minute, &usual),
        (480 * SECOND, EarlyLimit::Below(secs(600)), &early),
        (480 * SECOND, EarlyLimit::Always, &early),
        (SECOND, EarlyLimit::Never, &usual),
    ] {
        assert_eq!(text(ended, limit), *expected, "ended at {ended} ms, limit {limit}");
    }
}

#[test]
fn lost_timeout_needs_every_fact() {
    let hint = |known: KnownFacts| {
        known.verdict().and_then(|verdict| verdict.text(crate::clock::Zone::Utc, at(0)).hint)
    };
    let expected = "possible: the Node SDK drops `timeout` when it is the only field (2.21.0)";
    assert_eq!(hint(lost_timeout()), Some(expected));
    for known in [
        KnownFacts { has_metadata: Some(true), ..lost_timeout() },
        KnownFacts { has_metadata: None, ..lost_timeout() },
        KnownFacts { keep_alive: Some(true), ..lost_timeout() },
        KnownFacts { keep_alive: None, ..lost_timeout() },
        KnownFacts { default_timeout: Some(secs(900)), ..lost_timeout() },
        KnownFacts { status: Some(Status::Completed), ..lost_timeout() },
    ] {
        assert_eq!(hint(known.clone()), None, "{known:?}");
    }
}

#[test]
fn long_durations_keep_short_text_short() {
    let day = 86_400 * SECOND;
    for known in [
        KnownFacts { expires: Some(at(100 * day)), ..completed(10 * SECOND, Some(true)) },
        completed(100 * day, Some(true)),
        KnownFacts {
            status: Some(Status::TimedOut),
            expires: Some(at(day - SECOND)),
            ..completed(day - SECOND, Some(true))
        },
    ] {
        let short = known.verdict().unwrap().text(crate::clock::Zone::Utc, at(0)).short;
        assert!(crate::text::width(&short) <= MAX_SHORT_COLUMNS, "{short}");
    }
}

#[test]
fn retention_is_in_the_aged_out_verdict() {
    let gone = every_verdict().into_iter().find(|(name, _)| *name == "gone").unwrap().1;
    let why = gone.verdict().unwrap().text(crate::clock::Zone::Utc, at(0)).why;
    assert!(why.contains("7 days (Free, Developer) or 30 days (Startup)"), "{why}");
}
