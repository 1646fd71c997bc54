//! Live views, logs and a project's usage, at offsets of the timeline.

use serde_json::Value;

use super::super::Scenario;
use super::*;
use crate::testing::at;

const SCENARIO: &str = "[project]\nid = 'p'\n\
    [[session]]\nid = 'quiet'\ncreated = '-90s'\nends = { at = '10s' }\n\
    [[session]]\nid = 'busy'\nstarts = '5s'\nproxy = [{ from = '6s', to = '16s', bytes_per_second = 100 }]";

fn world() -> World {
    World::new(&Scenario::parse(SCENARIO).unwrap(), [], "2026-10-03T16:05:34.500Z".parse().unwrap())
}

#[test]
fn live_view_urls_contain_signing_key() {
    let (urls, live_url) = world().live_urls("busy", at(7), "eyJkey").unwrap().unwrap();
    assert_eq!(urls["debuggerFullscreenUrl"], live_url);
    let [page] = urls["pages"].as_array().unwrap().as_slice() else { panic!("one page: {urls}") };
    assert_eq!(page["url"], "https://example.com/");
    for url in [&urls["debuggerUrl"], &urls["wsUrl"], &page["debuggerUrl"], &page["debuggerFullscreenUrl"]] {
        assert!(url.as_str().unwrap().ends_with("?signingKey=eyJkey"), "{url}");
    }
}

#[test]
fn page_is_blank_before_proxy_traffic() {
    let (urls, _) = world().live_urls("busy", at(5), "eyJkey").unwrap().unwrap();
    assert_eq!(urls["pages"][0]["url"], "about:blank");
}

#[test]
fn ended_or_unknown_session_has_no_live_view() {
    let error = world().live_urls("quiet", at(10), "eyJkey").unwrap().unwrap_err();
    assert_eq!(error.status, StatusCode::CONFLICT);
    assert_eq!(error.message.unwrap(), "Session with id quiet is not running: it is COMPLETED");
    assert!(
        world().live_urls("nobody", at(0), "eyJkey").is_none() && world().logs("nobody", at(0)).is_none()
    );
}

#[test]
fn logs_contain_only_proxy_traffic() {
    let empty = Value::Array(Vec::new());
    assert_eq!(
        (world().logs("quiet", at(20)), world().logs("busy", at(5))),
        (Some(empty.clone()), Some(empty))
    );
    let logs = world().logs("busy", at(6)).unwrap();
    assert_eq!(
        (&logs[0]["method"], &logs[0]["timestamp"]),
        (&"Page.navigate".into(), &1_791_043_540_500_i64.into()) // 2026-10-03T16:05:40.500Z
    );
}

#[test]
fn usage_counts_begun_minutes_and_proxy_bytes() {
    // `quiet` is 90 s old at the start and ends 10 s later, so it always has two begun minutes. `busy` starts at 5 s.
    let usage = |seconds| world().usage("p", at(seconds)).unwrap();
    for (seconds, minutes, bytes) in [(0, 2, 0), (5, 3, 0), (10, 3, 400), (64, 3, 1000), (65, 4, 1000)] {
        let usage = usage(seconds);
        assert_eq!(
            (&usage["browserMinutes"], &usage["proxyBytes"]),
            (&minutes.into(), &bytes.into()),
            "{seconds} s"
        );
    }
    assert_eq!(world().usage("q", at(0)), None);
}
