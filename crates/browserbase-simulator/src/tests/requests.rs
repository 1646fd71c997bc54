//! Creating and releasing sessions, live views, logs and usage, over real HTTP.

use super::*;

const HEADERS: &str = "x-bb-api-key: bb_test_key\r\ncontent-type: application/json\r\n";
const RELEASE: &str = r#"{"status":"REQUEST_RELEASE"}"#;

async fn post(simulator: &Simulator, target: &str, body: &str) -> HttpResponse {
    request_with_body(simulator, "POST", target, HEADERS, body).await
}

#[tokio::test]
async fn session_is_created_listed_then_released() {
    let clock = clock();
    let simulator = simulator(&clock, "");
    let body = r#"{"keepAlive":true,"timeout":900,"userMetadata":{"owner":"growth"}}"#;
    let created = post(&simulator, "/v1/sessions", body).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let created = created.json();
    assert_eq!((&created["status"], &created["keepAlive"]), (&"PENDING".into(), &true.into()));
    assert!(created.get("seleniumRemoteUrl").is_some() && created.get("signingKey").is_some());
    let connect_urls = simulator.connect_urls();
    assert_eq!(created["connectUrl"], *connect_urls.last().unwrap().expose());

    let session_path = format!("/v1/sessions/{}", created["id"].as_str().unwrap());
    clock.advance(Duration::from_secs(1)); // from PENDING to RUNNING
    let owned = get(&simulator, "/v1/sessions?status=RUNNING&q=user_metadata['owner']:'growth'").await.json();
    assert_eq!((owned.as_array().unwrap().len(), &owned[0]["id"]), (1, &created["id"]));

    let released = post(&simulator, &session_path, RELEASE).await;
    assert_eq!((released.status, &released.json()["status"]), (200, &"RUNNING".into()));
    // The session ends 2 s after the release request.
    clock.advance(Duration::from_millis(1900));
    assert_eq!(get(&simulator, &session_path).await.json()["status"], "RUNNING");
    clock.advance(Duration::from_millis(100));
    assert_eq!(get(&simulator, &session_path).await.json()["status"], "COMPLETED");
    assert_eq!(post(&simulator, &session_path, RELEASE).await.json()["status"], "COMPLETED");

    let log: Vec<_> = simulator.request_log().into_iter().map(|entry| (entry.method, entry.status)).collect();
    let entry = |method: &str, status| (method.to_owned(), Some(status));
    let (get, release) = (entry("GET", 200), entry("POST", 200));
    assert_eq!(log, [entry("POST", 201), get.clone(), release.clone(), get.clone(), get, release]);
    let counts = simulator.request_counts();
    assert_eq!((counts.create, counts.release, counts.retrieve, counts.list, counts.other), (1, 2, 2, 1, 0));
}

#[tokio::test]
async fn created_sessions_have_different_ids() {
    let simulator = simulator(&clock(), "");
    let one = post(&simulator, "/v1/sessions", "{}").await.json();
    let two = post(&simulator, "/v1/sessions", "{}").await.json();
    assert_ne!(one["id"], two["id"]);
    assert_eq!(get(&simulator, "/v1/sessions").await.json().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn full_project_answers_429_with_retry_delay() {
    // The session that takes the only slot times out 30 s after the simulator's start.
    let simulator = simulator(&clock(), "[project]\nconcurrency = 1\n[[session]]\ncreated = '-4m 30s'");
    let response = post(&simulator, "/v1/sessions", "{}").await;
    assert_eq!(response.status, 429);
    for (header, value) in [
        ("x-ratelimit-limit", "1"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "30"),
        ("retry-after", "30"),
    ] {
        assert_eq!(response.headers[header], value, "{header}");
    }
    let body = response.json();
    assert_eq!((&body["statusCode"], &body["error"]), (&429.into(), &"Too Many Requests".into()));
    assert!(
        body["message"].as_str().unwrap().starts_with("You've exceeded your max concurrent sessions limit")
    );
}

#[tokio::test]
async fn rejected_request_changes_nothing() {
    let simulator = simulator(&clock(), "[project]\nplan = 'free'\n[[session]]\nid = 'a'");
    for (target, body, status, error, message) in [
        ("/v1/sessions", r#"{"timeout":21601}"#, 400, "Bad Request", "body/timeout must be <= 21600"),
        ("/v1/sessions", r#"{"keepAlive":true}"#, 403, "Forbidden", "Keep alive sessions are not supported"),
        ("/v1/sessions/a", r#"{"status":"COMPLETED"}"#, 400, "Bad Request", "body/status must be equal to"),
        ("/v1/sessions/a", "", 400, "Bad Request", "Body cannot be empty"),
        ("/v1/sessions/b", RELEASE, 404, "Not Found", "Session with id b not found"),
    ] {
        let response = post(&simulator, target, body).await;
        let json = response.json();
        assert_eq!((response.status, &json["error"]), (status, &error.into()), "{target} {body}");
        assert!(json["message"].as_str().unwrap().starts_with(message), "{json}");
    }
    let huge = format!(r#"{{"x":"{}"}}"#, "y".repeat(1024 * 1024));
    assert_eq!(post(&simulator, "/v1/sessions", &huge).await.status, 413);
    let deleted = request_with_body(&simulator, "DELETE", "/v1/sessions/a", HEADERS, "").await;
    assert_eq!((deleted.status, deleted.headers["allow"].as_str()), (405, "GET, HEAD, POST"));
    let sessions = get(&simulator, "/v1/sessions").await.json();
    assert_eq!((sessions.as_array().unwrap().len(), &sessions[0]["status"]), (1, &"RUNNING".into()));
}

#[tokio::test]
async fn live_views_logs_and_usage_are_served() {
    let simulator = simulator(
        &clock(),
        "[project]\nid = 'p'\n[[session]]\nid = 'a'\n[[session]]\nid = 'b'\nends = { at = '0s' }",
    );
    let urls = get(&simulator, "/v1/sessions/a/debug?expiresIn=60").await.json();
    let connect_urls = simulator.connect_urls();
    assert_eq!(urls["debuggerFullscreenUrl"], *connect_urls.last().unwrap().expose());
    assert_eq!(get(&simulator, "/v1/sessions/b/debug").await.status, 409);
    assert_eq!(get(&simulator, "/v1/sessions/c/debug").await.status, 404);
    assert_eq!(get(&simulator, "/v1/sessions/b/logs").await.json(), json!([]));
    // Both sessions have begun their first minute.
    assert_eq!(
        get(&simulator, "/v1/projects/p/usage").await.json(),
        json!({ "browserMinutes": 2, "proxyBytes": 0 })
    );
    assert_eq!(get(&simulator, "/v1/projects/q/usage").await.status, 404);
    let counts = simulator.request_counts();
    assert_eq!((counts.debug, counts.logs, counts.projects), (3, 1, 2));
}

#[tokio::test]
async fn fault_can_affect_one_kind_of_request() {
    for (fault_target, method, path, body) in [
        ("create", "POST", "/v1/sessions", "{}"),
        ("release", "POST", "/v1/sessions/a", RELEASE),
        ("debug", "GET", "/v1/sessions/a/debug", ""),
        ("logs", "GET", "/v1/sessions/a/logs", ""),
    ] {
        let scenario =
            format!("[[session]]\nid = 'a'\n[[fault]]\non = '{fault_target}'\nstatus = 503\ncount = 1");
        let simulator = simulator(&clock(), &scenario);
        assert_eq!(get(&simulator, "/v1/sessions").await.status, 200);
        assert_eq!(get(&simulator, "/v1/sessions/a").await.status, 200);
        let failed = request_with_body(&simulator, method, path, HEADERS, body).await;
        assert_eq!(failed.status, 503, "{fault_target}");
        let sessions = get(&simulator, "/v1/sessions").await.json();
        assert_eq!(sessions.as_array().unwrap().len(), 1, "a failed request creates no session");
        let repeated = request_with_body(&simulator, method, path, HEADERS, body).await;
        assert!(repeated.status < 300, "{fault_target}");
    }
}
