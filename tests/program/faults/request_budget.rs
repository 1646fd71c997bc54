//! Limits of the number of requests that a faulty server gets: never more than a healthy one, with backoff while it
//! fails, and none before the end of a `Retry-After`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::behaviour::Behaviour;
use super::rows::{Row, WatchTarget};
use super::server::ReceivedRequest;

/// Longest delay of a request on a busy machine. If a request is late by this much and the next one is punctual, the
/// gap between the two is this much shorter.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// Returns the number of requests that polling at an interval of 1 s sends to a healthy server in `time`. The list of
/// pending sessions is polled every 3 s.
fn healthy_request_count(target: WatchTarget, time: Duration) -> usize {
    let rounds = |interval: u64| usize::try_from(time.as_secs() / interval + 1).unwrap();
    match target {
        WatchTarget::One => rounds(1),
        WatchTarget::Four => 4 * rounds(1),
        WatchTarget::Lists => rounds(1) + rounds(3),
    }
}

/// Asserts the limits for every time window, from any request to any later one, and the backoff after failures.
pub(crate) fn assert_within_budget(row: &Row, requests: &[ReceivedRequest]) {
    let polls: Vec<&ReceivedRequest> =
        requests.iter().filter(|request| request.path != "/v1/projects").collect();
    for (first, from) in polls.iter().enumerate() {
        for (last, to) in polls.iter().enumerate().skip(first) {
            let time = to.at.duration_since(from.at);
            // One more is allowed: the client may repeat a request at once over a new connection.
            let max_count = healthy_request_count(row.target, time + MAX_DELAY) + 1;
            let count = last - first + 1;
            assert!(
                count <= max_count,
                "{}: at most {max_count} requests in {time:?}, not {count}\n{}",
                row.fault,
                format_requests(requests)
            );
        }
    }
    let projects = requests.len() - polls.len();
    let max_projects = 1 + row.failures;
    assert!(
        projects <= max_projects,
        "{}: at most {max_projects} requests for projects, not {projects}",
        row.fault
    );
    if !row.message.is_empty() {
        assert_backoff(row, &polls, requests);
    }
}

/// Asserts the delay from each failed request to the next one for the same path: at least the server's `Retry-After`,
/// or else a backoff that starts at twice the interval and doubles, minus at most a quarter. For a session that is not
/// found, the backoff starts at the interval, and nothing is subtracted.
///
/// One exception: if a connection that served earlier requests closes without a response, the client may repeat the
/// request at once, over a new connection.
fn assert_backoff(row: &Row, polls: &[&ReceivedRequest], requests: &[ReceivedRequest]) {
    let mut by_path: BTreeMap<&str, Vec<&ReceivedRequest>> = BTreeMap::new();
    for request in polls {
        by_path.entry(&request.path).or_default().push(request);
    }
    for polls in by_path.values() {
        let mut failures = 0;
        let mut may_repeat = true; // once after each good request
        for pair in polls.windows(2) {
            let [failed, next] = pair else { continue };
            if !failed.is_faulty {
                may_repeat = true;
                continue;
            }
            if row.closes_connection() && std::mem::take(&mut may_repeat) {
                continue; // however long the machine takes to send the repeat
            }
            failures += 1;
            let backoff = if row.is_not_found() {
                f64::from(1 << (failures - 1))
            } else {
                0.75 * f64::from(1 << failures)
            };
            let gap = next.at.duration_since(failed.at).as_secs_f64();
            let min_delay = if row.retry_after > 0.0 { row.retry_after } else { backoff };
            assert!(
                gap >= min_delay,
                "{}: the retry comes after at least {min_delay} s, not {gap} s\n{}",
                row.fault,
                format_requests(requests)
            );
        }
    }
}

/// Returns the longest recovery time: the backoff after the row's failures or the `Retry-After`, whichever is longer,
/// plus 20 s for a busy machine. If the server stops responding, the client notices only because an HTTP/2 ping after
/// 10 s gets no response within 5 s.
pub(crate) fn max_recovery_time(row: &Row) -> Duration {
    if let Behaviour::StopsResponding = (row.behaviour)() {
        return Duration::from_secs(40);
    }
    let failures = u32::try_from(row.failures.max(1)).unwrap();
    let delay = Duration::from_secs_f64(row.retry_after).max(Duration::from_secs(2_u64.pow(failures)));
    delay + Duration::from_secs(20)
}

/// Counts the requests from the first failed one to the first good one after the last failed one, inclusive. Counts all
/// requests if the program should report nothing. Returns this count and the number that a healthy server would have
/// got in the same time, or `None` if there is no failed request or no good one after it.
pub(crate) fn count_requests(row: &Row, requests: &[ReceivedRequest]) -> Option<(usize, usize)> {
    let polls: Vec<&ReceivedRequest> =
        requests.iter().filter(|request| request.path != "/v1/projects").collect();
    let is_faulty = |request: &&ReceivedRequest| request.is_faulty;
    let (first, last) = match row.message {
        "" => (0, polls.len().checked_sub(1)?),
        _ => (polls.iter().position(is_faulty)?, polls.iter().rposition(is_faulty)? + 1),
    };
    let (from, to) = (polls.get(first)?, polls.get(last)?);
    // Half a second more rounds the time to the nearest second.
    let rounded_time = to.at.duration_since(from.at) + Duration::from_millis(500);
    let healthy = healthy_request_count(row.target, rounded_time);
    let count = last - first + 1;
    assert!(
        !row.message.is_empty() || 2 * count >= healthy,
        "{}: the server gets at least half of {healthy} requests, not {count}\n{}",
        row.fault,
        format_requests(requests)
    );
    Some((count, healthy))
}

fn format_requests(requests: &[ReceivedRequest]) -> String {
    let Some(first) = requests.first() else { return String::new() };
    let line = |request: &ReceivedRequest| {
        let at = request.at.duration_since(first.at).as_secs_f64();
        let faulty = if request.is_faulty { " faulty" } else { "" };
        format!("{at:>7.3} {}{faulty}", request.path)
    };
    requests.iter().map(line).collect::<Vec<_>>().join("\n")
}
