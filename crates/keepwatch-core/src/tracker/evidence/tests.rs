use std::time::Duration;

use super::*;
use crate::clock::Moment;
use crate::session::{ApiError, ApiErrorKind, ConnectFields, List, Metadata, Project, Status};
use crate::testing::{id, moment_since, running_session, time};
use crate::text::Untrusted;
use crate::tracker::{AlertThresholds, Input, RequestTiming, Scope};

const ID: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
const PROJECT: &str = "b9f4c1f7-2d6e-4c58-9f0e-6a1d0c7ef3a9";

/// Returns the time `seconds` after 21:04:00.
fn at(seconds: f64) -> Timestamp {
    moment(seconds).wall
}

fn moment(seconds: f64) -> Moment {
    moment_since(time("21:04:00"), seconds)
}

/// Returns the timing of a request sent at `sent` whose response took 84 ms.
fn timing(sent: f64) -> RequestTiming {
    RequestTiming { sent: moment(sent), received: moment(sent + 0.084), date: None, age: Duration::ZERO }
}

/// Returns a keep-alive session with a timeout of 15 min, which started 2 s after 21:04:00.
fn session(status: Status) -> Session {
    Session {
        status,
        project: Some(Untrusted::new(PROJECT)),
        created: Some(at(2.1)),
        keep_alive: Some(true),
        metadata: Some(Metadata::new(
            r#"{"owner":"growth","run":{"id":"checkout-881","url":"wss://c/?signingKey=cAnArY"},"token":"cAnArY"}"#,
        )),
        connect: Some(ConnectFields { connect_url: true, ..ConnectFields::default() }),
        ..running_session(ID, at(2.0), Duration::from_secs(900))
    }
}

fn ended(status: Status, seconds: f64) -> Session {
    Session { ended: Some(at(seconds)), ..session(status) }
}

fn session_response(sent: f64, session: Session) -> Input {
    Input::SessionsReceived {
        at: timing(sent),
        scope: Scope::Session(id(ID)),
        sessions: vec![session],
        malformed: 0,
    }
}

fn error(kind: ApiErrorKind, request: &str) -> ApiError {
    ApiError {
        message: Some(Untrusted::new("Something went wrong")),
        request_id: Some(Untrusted::new(request)),
        ..kind.into()
    }
}

fn failed_request(sent: f64, scope: Scope, kind: ApiErrorKind, request: &str) -> Input {
    let next = Some(moment(sent + 6.0));
    Input::RequestFailed { at: timing(sent), scope, error: error(kind, request), next }
}

fn not_found_response(sent: f64) -> Input {
    Input::SessionNotFound {
        at: timing(sent),
        id: id(ID),
        error: error(ApiErrorKind::NotFound, "req-404"),
        next: None,
    }
}

fn projects_response(sent: f64) -> Input {
    let project = Project {
        id: Untrusted::new(PROJECT),
        name: Untrusted::new("acme-prod"),
        default_timeout: Some(Duration::from_secs(300)),
        concurrency: Some(25),
    };
    Input::ProjectsReceived { at: timing(sent), projects: vec![project] }
}

fn tracker_with(inputs: impl IntoIterator<Item = Input>) -> SessionTracker {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    tracker.apply(Input::SessionsNamed { at: moment(2.0), ids: vec![id(ID)] });
    for input in inputs {
        tracker.apply(input);
    }
    tracker
}

fn evidence_of(inputs: impl IntoIterator<Item = Input>) -> String {
    let text = render(&tracker_with(inputs), &id(ID), EvidenceOptions::new("0.1.0")).unwrap();
    assert!(text.lines().all(|line| text::width(line) <= 100 && line == line.trim_end()), "{text}");
    text
}

/// Returns `count` responses that say RUNNING. The first request is sent at `from`, the next ones every three seconds.
fn running_responses(from: f64, count: u8) -> impl Iterator<Item = Input> {
    (0..count).map(move |number| session_response(from + 3.0 * f64::from(number), session(Status::Running)))
}

#[test]
fn keep_alive_session_ended_early() {
    let inputs = [projects_response(2.4)].into_iter().chain(running_responses(3.1, 3));
    let text = evidence_of(inputs.chain([session_response(12.1, ended(Status::Completed, 11.63))]));
    for claim in ["COMPLETED after 9.6 s, 14m 50s early, keep-alive on", "15m (the project's default is 5m)"]
    {
        assert!(text.contains(claim), "{claim}\n{text}");
    }
    insta::assert_snapshot!("ended_early", text);
}

#[test]
fn session_timed_out_with_default_timeout() {
    let five_minutes = |status: Status| Session { expires: Some(at(302.0)), ..session(status) };
    let end =
        Session { ended: Some(at(302.4)), proxy_bytes: Some(18_200_000), ..five_minutes(Status::TimedOut) };
    let text = evidence_of([
        projects_response(2.4),
        session_response(3.1, five_minutes(Status::Running)),
        session_response(300.1, five_minutes(Status::Running)),
        session_response(303.1, end),
    ]);
    assert!(text.contains("5m (the project's default)"), "{text}");
    insta::assert_snapshot!("timed_out", text);
}

#[test]
fn close_responses_give_one_running_time() {
    let text = evidence_of([
        session_response(100.0, session(Status::Running)),
        session_response(100.1, session(Status::Error)),
    ]);
    // The session started at 2 s and ended between 100.0 s and 100.2 s. Both bounds give the same running time.
    let ran = text.lines().find(|line| line.trim_start().starts_with("ran ")).unwrap();
    assert!(ran.ends_with(" 1m 38s"), "{ran}");
    assert!(!ran.contains("between"), "bounds with the same text are one running time: {ran}");
}

#[test]
fn error_without_ended_at() {
    let inputs = running_responses(3.1, 2).chain([session_response(9.1, session(Status::Error))]);
    insta::assert_snapshot!("error", evidence_of(inputs));
}

#[test]
fn session_first_seen_ended() {
    let text = evidence_of([session_response(3000.0, ended(Status::Completed, 11.6))]);
    assert!(text.contains("no time of ours") && !text.contains("last alive"), "{text}");
    insta::assert_snapshot!("first_seen_ended", text);
}

#[test]
fn running_session_has_no_verdict() {
    let text = evidence_of([projects_response(2.4)].into_iter().chain(running_responses(3.1, 40)));
    assert!(text.contains("there is no end to explain") && !text.contains("Verdict"), "{text}");
    insta::assert_snapshot!("running", text);
}

#[test]
fn session_never_found() {
    let text = evidence_of([not_found_response(3.1), not_found_response(6.1)]);
    assert!(text.contains("[request req-404]"), "{text}");
    insta::assert_snapshot!("not_found", text);
}

#[test]
fn session_without_response() {
    let text = evidence_of([]);
    assert!(text.contains("nothing can be said of it"), "{text}");
}

#[test]
fn unknown_session_has_no_report() {
    let other = SessionId::parse("other").unwrap();
    assert!(render(&tracker_with([]), &other, EvidenceOptions::new("0.1.0")).is_none());
}

#[test]
fn session_gone() {
    insta::assert_snapshot!("gone", evidence_of(running_responses(3.1, 2).chain([not_found_response(9.1)])));
}

#[test]
fn end_during_sleep_spans_the_gap() {
    // The machine sleeps for an hour. During a sleep, `mono` does not run.
    let slept =
        Input::Slept { from: moment(7.0), to: Moment { mono: Duration::from_secs(8), ..moment(3608.0) } };
    let after_sleep =
        |seconds: f64| Moment { mono: Duration::from_secs_f64(seconds - 3600.0), ..moment(seconds) };
    let timing_after_sleep = RequestTiming {
        sent: after_sleep(3608.1),
        received: after_sleep(3608.2),
        date: None,
        age: Duration::ZERO,
    };
    // The expiry is long after the sleep, so it does not explain the end.
    let expires = Some(at(36_000.0));
    let completed = Session { expires, ..session(Status::Completed) };
    let response_after_sleep = Input::SessionsReceived {
        at: timing_after_sleep,
        scope: Scope::Session(id(ID)),
        sessions: vec![completed],
        malformed: 0,
    };
    let running = Session { expires, ..session(Status::Running) };
    let text = evidence_of([
        session_response(3.1, running.clone()),
        session_response(6.1, running),
        slept,
        response_after_sleep,
    ]);
    assert!(text.contains("21:04:06.1 … 22:04:08.2"), "{text}");
    insta::assert_snapshot!("slept", text);
}

#[test]
fn failed_polls_name_request_ids() {
    let scope = || Scope::Session(id(ID));
    let inputs = running_responses(3.1, 2).chain([
        failed_request(9.1, scope(), ApiErrorKind::Server(503), "req-1"),
        failed_request(15.1, scope(), ApiErrorKind::Server(503), "req-2"),
        failed_request(27.1, Scope::List(List::Running), ApiErrorKind::RateLimited, "req-3"),
        session_response(90.1, ended(Status::Completed, 60.0)),
        failed_request(95.0, Scope::List(List::Running), ApiErrorKind::RateLimited, "req-later"),
    ]);
    let text = evidence_of(inputs);
    assert!(text.contains("[requests req-1, req-2]") && text.contains("[request req-3]"), "{text}");
    assert!(!text.contains("req-later"), "failures after the end do not concern the session");
    insta::assert_snapshot!("failing", text);
}

#[test]
fn metadata_is_optional_and_redacted() {
    let end = session_response(9.1, ended(Status::Completed, 8.0));
    let tracker = tracker_with(running_responses(3.1, 2).chain([end]));
    let without = render(&tracker, &id(ID), EvidenceOptions::new("0.1.0")).unwrap();
    assert!(!without.contains("growth") && !without.contains("checkout-881"), "{without}");
    let with =
        render(&tracker, &id(ID), EvidenceOptions { with_metadata: true, ..EvidenceOptions::new("0.1.0") })
            .unwrap();
    assert!(with.contains("owner  growth") && with.contains("checkout-881"), "{with}");
    for text in [&without, &with] {
        assert!(!text.contains("cAnArY") && !text.contains("wss://connect"), "{text}");
    }
    insta::assert_snapshot!("with_metadata", with.split("Metadata").nth(1).unwrap());
}

#[test]
fn hostile_text_is_sanitised() {
    let evil = "\u{1b}]52;c;AAAA\u{7}\u{202e}bb_live_cAnArY";
    let hostile = Session {
        status: Status::from_api(evil),
        region: Some(crate::session::Region::from_api(evil)),
        project: Some(Untrusted::new(evil)),
        ..session(Status::Running)
    };
    let inputs = [
        session_response(3.1, hostile),
        failed_request(9.1, Scope::Session(id(ID)), ApiErrorKind::Server(500), evil),
    ];
    let text = evidence_of(inputs);
    assert!(!text.contains("cAnArY"), "{text}");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{text:?}");
}

#[test]
fn event_flood_keeps_first_and_last() {
    let flood = (0..300_u32).map(|number| {
        let metadata = Some(Metadata::new(&format!(r#"{{"n":{number}}}"#)));
        let session = Session { metadata, ..session(Status::Running) };
        session_response(3.0 + f64::from(number), session)
    });
    // The flood causes 299 changes of metadata. The response with the end causes one more. The report shows the newest
    // 100 of these 300 events.
    let text = evidence_of(flood.chain([session_response(400.0, ended(Status::Completed, 399.0))]));
    assert!(
        text.contains("first seen RUNNING") && text.contains("(200 earlier ones are left out)"),
        "{text}"
    );
    assert!(text.contains("COMPLETED (endedAt") && text.lines().count() < 160, "{text}");
}

#[test]
fn replay_gives_the_same_text() {
    let inputs: Vec<Input> = running_responses(3.1, 3)
        .chain([not_found_response(12.1), session_response(15.1, ended(Status::TimedOut, 14.0))])
        .collect();
    let recorded = serde_json::to_string(&inputs).unwrap();
    let replayed: Vec<Input> = serde_json::from_str(&recorded).unwrap();
    assert_eq!(evidence_of(inputs), evidence_of(replayed));
}
