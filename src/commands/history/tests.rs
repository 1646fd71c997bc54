use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::store::journal::{RunId, SessionSummary, StoredVerdict};
use keepwatch_core::session::{Metadata, Region, Status};
use keepwatch_core::testing::id;
use keepwatch_core::text::Untrusted;

/// Returns a time in November 2026, from its day and time of day: `22T12:00:00`.
fn november(text: &str) -> Timestamp {
    format!("2026-11-{text}Z").parse().unwrap()
}

fn options(json: bool) -> HistoryOptions {
    HistoryOptions { json, rates: Rates::default(), zone: Zone::Utc, fits_terminal: true }
}

/// Returns a verdict with this name and the confidence `likely`.
fn verdict(name: &str) -> Option<StoredVerdict> {
    let sentence =
        Untrusted::new("COMPLETED after 9.6 s, 14m 50s unused, keep-alive on: by the rules no disconnect");
    Some(StoredVerdict { name: name.into(), confidence: "likely".into(), sentence })
}

/// Returns the summary that run number `run` wrote, of a session that ended early.
fn ended_early(run: u64) -> SessionSummary {
    SessionSummary {
        session: id("6512bd43-d9ca-4e02-9a67-91f2c1a0b3de"),
        run: RunId::new(november("22T12:00:00"), run),
        profile: None,
        host: "api.browserbase.com".into(),
        project: Some(Untrusted::new("3c9d1a52")),
        owner: Some(Untrusted::new("nightly")),
        status: Some(Status::Completed),
        region: Some(Region::UsWest2),
        keep_alive: Some(true),
        context: None,
        created: Some(november("22T21:04:01.900")),
        started: Some(november("22T21:04:02")),
        ended: Some(november("22T21:34:02")),
        is_end_exact: true,
        expires: Some(november("22T22:04:02")),
        first_seen: november("22T21:04:12.100"),
        last_seen: november("22T21:34:06"),
        watched: Duration::from_millis(1_680_500), // 93 % of the 30 minutes that the session ran
        responses: 590,
        proxy_bytes: Some(18_200_000),
        verdict: verdict("keep_alive_ended_early"),
        metadata: Some(Metadata::new(r#"{"owner":"nightly","run":{"id":"c-881"}}"#)),
    }
}

/// Returns the summary of a session that was running when it was last seen.
fn still_running() -> SessionSummary {
    SessionSummary {
        session: id("c20ad4d7-6fe9-4775-8aa6-1bc0d2e7f3a1"),
        owner: None,
        status: Some(Status::Running),
        keep_alive: Some(false),
        created: Some(november("23T07:59:59.800")),
        started: Some(november("23T08:00:00")),
        expires: Some(november("23T09:00:00")),
        ended: None,
        is_end_exact: false,
        first_seen: november("23T08:00:00"),
        last_seen: november("23T08:10:00"),
        watched: Duration::from_secs(600),
        proxy_bytes: None,
        verdict: None,
        metadata: None,
        ..ended_early(2)
    }
}

fn render_tables(rows: Vec<SessionSummary>, options: HistoryOptions) -> String {
    let sessions = MergedSession::merge_all(rows);
    let days = daily_totals(&sessions, options);
    table::sessions(&sessions, options) + "\n" + &table::days(&days, options)
}

#[test]
fn sessions_and_days_have_a_table_each() {
    assert_eq!(
        render_tables(vec![ended_early(1), still_running()], options(false)),
        "\
SESSION   OWNER    STARTED      RAN       VERDICT      PROXY    EST.
c20ad4d7  -        11-23 08:00  10m 00s+  was running  -        $0.02
6512bd43  nightly  11-22 21:04  30m 00s   released     18.2 MB  $0.28
+  at least: it lived when it was last seen

DAY         OWNER    SESSIONS  RAN      PROXY    EST.   WATCHED
2026-11-23  -        1         10m 00s  0 B      $0.02  100 %
2026-11-22  nightly  1         30m 00s  18.2 MB  $0.28  93 %
"
    );
}

#[test]
fn tables_fit_80_columns() {
    let long_owner = Untrusted::new("\u{1b}[31m夜夜夜夜夜夜夜夜夜夜夜夜夜夜夜夜夜夜夜夜");
    let long_values = SessionSummary {
        owner: Some(long_owner),
        profile: Some("a-profile-with-a-long-name".into()),
        status: Some(Status::from_api("A_STATUS_OF_ANOTHER_TIME")),
        ended: Some(november("30T21:04:02")),
        is_end_exact: false,
        proxy_bytes: Some(i64::MAX),
        verdict: Some(StoredVerdict {
            name: "a_verdict_of_another_time".into(),
            confidence: "perhaps".into(),
            sentence: Untrusted::new("x"),
        }),
        ..ended_early(1)
    };
    let few_values = SessionSummary {
        started: None,
        created: None,
        ended: None,
        verdict: None,
        status: None,
        proxy_bytes: None,
        session: id("s"),
        ..ended_early(1)
    };
    let text = render_tables(vec![long_values.clone(), few_values.clone()], options(false));
    assert!(text.lines().all(|line| text::width(line) <= 80), "{text}");
    assert!(text.contains("~8d 00h") && text.contains("at most"), "{text}");
    assert!(!text.contains('\u{1b}'), "a table has no escape sequence: {text}");
    let unlimited = HistoryOptions { fits_terminal: false, ..options(false) };
    assert!(
        render_tables(vec![long_values, few_values], unlimited).contains("a-profile-with-a-lo…  "),
        "without a terminal, no column shrinks"
    );
    assert!(text::to_ascii(&text).lines().all(|line| line.is_ascii() && line.len() <= 80), "{text}");
}

#[test]
fn every_verdict_has_a_short_text() {
    // “said” and “perhaps” are the schema names of `Confidence::Reported` and `Confidence::Possible`.
    for (name, confidence, short) in [
        ("keep_alive_ended_early", "perhaps", "released?"), // after 30 minutes, the usual end
        ("error", "said", "error"),
        ("never_connected", "perhaps", "no client?"),
        ("released_here", "perhaps", "released here?"),
        ("unexplained", "unknown", "unexplained"),
    ] {
        let verdict = Some(StoredVerdict {
            name: name.into(),
            confidence: confidence.into(),
            sentence: Untrusted::new("x"),
        });
        let text = table::sessions(
            &MergedSession::merge_all(vec![SessionSummary { verdict, ..ended_early(1) }]),
            options(false),
        );
        assert!(text.contains(&format!("  {short}  ")), "{text}");
    }
    let summary = ended_early(1);
    let short = SessionSummary { ended: summary.started.map(|at| at + Duration::from_secs(10)), ..summary };
    let text = table::sessions(&MergedSession::merge_all(vec![short]), options(false));
    assert!(text.contains("  ended early  "), "{text}");
    // Every name in the source of `Verdict::name` must be in `SHORT_VERDICTS`.
    let source = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/crates/keepwatch-core/src/tracker/verdict/text.rs"
    ))
    .unwrap();
    let names = source.split("pub fn name(").nth(1).unwrap().split("\n    }").next().unwrap();
    // Of the parts between quotation marks, every second one is a name.
    for name in names.split('"').skip(1).step_by(2) {
        assert!(table::SHORT_VERDICTS.iter().any(|(known, _)| *known == name), "{name} needs a short text");
    }
}

#[test]
fn runs_of_one_session_are_merged() {
    let minute = Duration::from_secs(60);
    let run = |number, from: &str, to: &str, watched: Duration| SessionSummary {
        first_seen: november(from),
        last_seen: november(to),
        watched,
        ..ended_early(number)
    };
    let watched_time = |rows| MergedSession::merge_all(rows)[0].watched_time;
    // The session ran for 30 minutes.
    let (start, minute_10) = ("22T21:04:02", "22T21:14:02");
    let (minute_20, end) = ("22T21:24:02", "22T21:34:02");
    let gap_between = vec![run(2, minute_20, end, minute * 9), run(1, start, minute_10, minute * 10)];
    assert_eq!(watched_time(gap_between), minute * 19);
    let same_time = vec![run(1, start, end, minute * 30), run(2, start, end, minute * 29)];
    assert_eq!(watched_time(same_time), minute * 30);
    let partial_overlap = vec![run(1, start, minute_20, minute * 20), run(2, minute_10, end, minute * 20)];
    assert_eq!(watched_time(partial_overlap), minute * 30);
    let longer_than_session = vec![run(1, start, "22T23:00:00", minute * 100)];
    assert_eq!(watched_time(longer_than_session), minute * 30);

    let first_run =
        SessionSummary { status: Some(Status::Running), ended: None, ..run(1, start, minute_10, minute) };
    let merged = MergedSession::merge_all(vec![first_run, run(2, minute_20, end, minute)]);
    assert_eq!(merged.len(), 1);
    // Each run has 590 responses.
    assert_eq!((merged[0].runs, merged[0].responses, merged[0].first_seen), (2, 2 * 590, november(start)));
    assert_eq!(merged[0].newest.status, Some(Status::Completed));
    let on_other_host = SessionSummary { host: "127.0.0.1".into(), ..ended_early(3) };
    assert_eq!(
        MergedSession::merge_all(vec![ended_early(1), on_other_host]).len(),
        2,
        "sessions of different hosts are different"
    );
}

#[test]
fn filter_matches_merged_session() {
    let sessions = MergedSession::merge_all(vec![ended_early(1)]);
    for (filter, found) in [
        ("", true),
        ("6512", true),
        ("status:comp owner:night keep:yes region:us", true),
        ("meta.run.id:c-881", true),
        ("!status:completed", false),
        ("c-882", false),
    ] {
        assert_eq!(Filter::parse(filter).unwrap().matches(&sessions[0]), found, "{filter}");
    }
}

#[test]
fn json_matches_documentation() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/history.md")).unwrap();
    let documented = text.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let sessions = MergedSession::merge_all(vec![ended_early(1), still_running()]);
    let object = json::object(
        &sessions,
        &daily_totals(&sessions, options(true)),
        november("21T12:00:00"),
        options(true),
    );
    let pretty = serde_json::to_string_pretty(&object).unwrap() + "\n";
    assert_eq!(documented, pretty, "docs/history.md must show:\n{pretty}");
    let names = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    for name in [&object["sessions"][0], &object["summary"][0], &object].into_iter().flat_map(names) {
        assert!(text.contains(&format!("`{name}`")), "docs/history.md must explain {name}");
    }
}

#[test]
fn secret_in_row_is_not_printed() {
    let secret = Untrusted::new("wss://c/?signingKey=cAnArY");
    let row = SessionSummary {
        owner: Some(secret.clone()),
        verdict: Some(StoredVerdict { name: "gone".into(), confidence: "perhaps".into(), sentence: secret }),
        ..ended_early(1)
    };
    let sessions = MergedSession::merge_all(vec![row.clone()]);
    let object = json::object(
        &sessions,
        &daily_totals(&sessions, options(true)),
        november("21T12:00:00"),
        options(true),
    );
    assert!(
        !object.to_string().contains("cAnArY")
            && !render_tables(vec![row], options(false)).contains("cAnArY")
    );
}
