//! Tests of contexts that running sessions share, and of advice about the client that a session's metadata names.

use super::*;
use crate::clients::KnownClient;
use crate::tracker::SharedContext;
use crate::tracker::evidence::{self, EvidenceOptions};

fn with_context(id_text: &str, context: &str) -> Session {
    Session { context: Some(Untrusted::new(context)), ..session(id_text, Status::Running) }
}

fn running_list(sent: f64, sessions: Vec<Session>) -> Input {
    Input::SessionsReceived {
        at: request_timing(sent, sent + 0.2),
        scope: Scope::List(List::Running),
        sessions,
        malformed: 0,
    }
}

/// Returns a tracker of three running sessions, of which "a" and "b" use the same context.
fn sharing_tracker() -> SessionTracker {
    let mut tracker = SessionTracker::default();
    let sessions = vec![with_context("a", "ctx-1"), with_context("b", "ctx-1"), with_context("c", "ctx-2")];
    tracker.apply(running_list(1.0, sessions));
    tracker
}

/// Returns the shared contexts of the sessions "a", "b" and "c".
fn shared_contexts(tracker: &SessionTracker) -> [Option<SharedContext>; 3] {
    ["a", "b", "c"].map(|id_text| tracker.shared_context(&id(id_text)))
}

fn shared_only_with(id_text: &str) -> Option<SharedContext> {
    Some(SharedContext { named: vec![id(id_text)], more: 0 })
}

#[test]
fn running_sessions_share_a_context() {
    assert_eq!(shared_contexts(&sharing_tracker()), [shared_only_with("b"), shared_only_with("a"), None]);
}

#[test]
fn sharing_ends_if_one_session_leaves() {
    // After each of these inputs, "b" no longer runs with the context "ctx-1".
    let inputs = [
        session_response(
            4.0,
            4.2,
            Session { context: Some(Untrusted::new("ctx-1")), ..ended_session("b", Status::Completed, 3.0) },
        ),
        session_response(4.0, 4.2, with_context("b", "ctx-2")),
        session_response(4.0, 4.2, session("b", Status::Running)),
        not_found_response("b", 4.0, 4.2),
        running_list(4.0, vec![with_context("a", "ctx-1"), with_context("c", "ctx-2")]),
    ];
    for input in inputs {
        let mut tracker = sharing_tracker();
        tracker.apply(input.clone());
        assert_eq!(tracker.shared_context(&id("a")), None, "{input:?}");
    }
}

#[test]
fn sharing_returns_with_the_session() {
    let mut tracker = sharing_tracker();
    tracker.apply(running_list(4.0, vec![with_context("a", "ctx-1")]));
    assert_eq!(shared_contexts(&tracker), [None, None, None]);
    // The list lacks "b", but a request by its id confirms that it runs.
    tracker.apply(session_response(5.0, 5.2, with_context("b", "ctx-1")));
    assert_eq!(shared_contexts(&tracker), [shared_only_with("b"), shared_only_with("a"), None]);
    tracker.apply(not_found_response("b", 6.0, 6.2));
    tracker.apply(session_response(7.0, 7.2, with_context("b", "ctx-1")));
    assert_eq!(shared_contexts(&tracker), [shared_only_with("b"), shared_only_with("a"), None]);
}

#[test]
fn evidence_names_the_shared_context() {
    let text = evidence::render(&sharing_tracker(), &id("a"), EvidenceOptions::new("0.1.0")).unwrap();
    assert!(text.contains("b runs with the same context, too: whoever saves last wins"), "{text}");
    let alone = evidence::render(&sharing_tracker(), &id("c"), EvidenceOptions::new("0.1.0")).unwrap();
    assert!(!alone.contains("whoever"), "{alone}");
}

/// Returns the evidence about a keep-alive session with this metadata that was completed after `seconds`.
fn evidence_of_end(metadata: Option<&str>, seconds: f64) -> String {
    let mut tracker = tracker_with_named(&["a"]);
    let metadata = metadata.map(Metadata::new);
    let running = Session { keep_alive: Some(true), metadata, ..session("a", Status::Running) };
    tracker.apply(session_response(1.0, 1.2, running.clone()));
    let completed = Session { status: Status::Completed, ended: Some(at(seconds)), ..running };
    tracker.apply(session_response(seconds + 1.0, seconds + 1.2, completed));
    evidence::render(&tracker, &id("a"), EvidenceOptions::new("0.1.0")).unwrap()
}

#[test]
fn advice_speaks_of_the_client_in_metadata() {
    let stagehand = r#"{"stagehand":"true","stagehand_sdk_language":"typescript"}"#;
    // The evidence wraps the advice. Joining its lines makes the text searchable.
    let text = evidence_of_end(Some(stagehand), 480.0).replace("\n               ", " ");
    assert!(
        text.contains(
            "Stagehand 4's `browser.close()` releases the session, keep-alive or not; use `browser.disconnect()`"
        ),
        "{text}"
    );
    assert!(text.contains("the client that its metadata names"), "{text}");
    assert!(evidence_of_end(None, 480.0).contains("Look for `browser.close()` in your client"));
}

#[test]
fn client_of_record_follows_metadata() {
    let mut tracker = tracker_with_named(&["a"]);
    let client = |tracker: &SessionTracker| tracker.get(&id("a")).unwrap().client;
    let with = |json: &str| Session { metadata: Some(Metadata::new(json)), ..session("a", Status::Running) };
    tracker.apply(session_response(1.0, 1.2, with(r#"{"mcp":"true"}"#)));
    assert_eq!(client(&tracker), Some(KnownClient::Mcp));
    tracker.apply(session_response(2.0, 2.2, with(r#"{"owner":"growth"}"#)));
    assert_eq!(client(&tracker), None);
}

#[test]
fn late_end_of_keep_alive_session_is_usual() {
    let text = evidence_of_end(None, 480.0);
    assert!(text.contains("Possibly released via API, the usual end of a keep-alive session"), "{text}");
    assert!(text.contains("possible: other causes fit, too"), "{text}");
    assert!(
        text.contains("disconnect (keep-alive survives it), timeout (7m 00s left); by the documented rules"),
        "{text}"
    );
    let early = evidence_of_end(None, 10.0);
    assert!(early.contains("Released via API, browser closed, or platform fault"), "{early}");
    assert!(early.contains("likely, by the documented rules"), "{early}");
}

#[test]
fn evidence_points_to_the_dashboard() {
    let text = evidence_of_end(None, 10.0);
    assert!(text.contains("shows a termination reason: https://www.browserbase.com/sessions/a\n"), "{text}");
    let running = evidence::render(&sharing_tracker(), &id("a"), EvidenceOptions::new("0.1.0")).unwrap();
    assert!(!running.contains("termination reason"), "{running}");
}

#[test]
fn lost_timeout_is_a_hint_only() {
    let mut tracker = tracker_with_named(&["a"]);
    let project = crate::session::Project {
        id: Untrusted::new("p"),
        name: Untrusted::new("acme"),
        default_timeout: Some(TIMEOUT),
        concurrency: None,
    };
    tracker.apply(Input::ProjectsReceived { at: request_timing(0.5, 0.6), projects: vec![project] });
    let running = Session { project: Some(Untrusted::new("p")), ..session("a", Status::Running) };
    tracker.apply(session_response(1.0, 1.2, running.clone()));
    let timed_out = Session { status: Status::TimedOut, ended: Some(at(900.0)), ..running };
    tracker.apply(session_response(901.0, 901.2, timed_out));
    let text = evidence::render(&tracker, &id("a"), EvidenceOptions::new("0.1.0")).unwrap();
    assert!(text.contains("Timeout of 15m, the project's default"), "{text}");
    assert!(
        text.contains("possible: the Node SDK drops `timeout` when it is the only field (2.21.0)"),
        "{text}"
    );
    assert!(text.contains("reported: the API says so"), "{text}");
}
