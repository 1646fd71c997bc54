//! How many requests a server has to bear: never more than a healthy one would, later and later while it fails, and none
//! before the time that it asked for is over.

use std::collections::BTreeMap;
use std::time::Duration;

use super::behaviour::Behaviour;
use super::rows::{Row, WatchTarget};
use super::server::ReceivedRequest;

/// The most by which a request is late on a busy machine. The next one comes so much sooner after it.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// How many requests polling at 1 s takes in so long, on a server that never fails. The list of pending sessions is asked
/// for each 3 s.
fn healthy_request_count(asks: WatchTarget, time: Duration) -> usize {
    let rounds = |each: u64| usize::try_from(time.as_secs() / each + 1).unwrap();
    match asks {
        WatchTarget::One => rounds(1),
        WatchTarget::Four => 4 * rounds(1),
        WatchTarget::Lists => rounds(1) + rounds(3),
    }
}

/// Holds it of all windows of time: those of the fault, of the recovery, and those across.
pub(crate) fn assert_within_budget(row: &Row, hits: &[ReceivedRequest]) {
    let polls: Vec<&ReceivedRequest> = hits.iter().filter(|hit| hit.path != "/v1/projects").collect();
    for (first, from) in polls.iter().enumerate() {
        for (last, to) in polls.iter().enumerate().skip(first) {
            let time = to.at.duration_since(from.at);
            let most = healthy_request_count(row.target, time + MAX_DELAY) + 1;
            let count = last - first + 1;
            assert!(count <= most, "{}: {count} requests in {time:?}\n{}", row.fault, format_requests(hits));
        }
    }
    let projects = hits.len() - polls.len();
    assert!(projects <= 1 + row.failures, "{}: {projects} requests for the projects", row.fault);
    if !row.message.is_empty() {
        assert_backoff(row, &polls, hits);
    }
}

/// From one spoilt request for the same to the next: twice the interval, then twice that, shortened by a quarter at most;
/// of a session that is not there from the interval on; and never less than the server asked for.
fn assert_backoff(row: &Row, polls: &[&ReceivedRequest], hits: &[ReceivedRequest]) {
    let mut by_path: BTreeMap<&str, Vec<&ReceivedRequest>> = BTreeMap::new();
    for hit in polls {
        by_path.entry(&hit.path).or_default().push(hit);
    }
    for polls in by_path.values() {
        let mut failures = 0;
        for pair in polls.windows(2) {
            let [one, next] = pair else { continue };
            if !one.is_faulty {
                continue;
            }
            failures += 1;
            let rest = if row.is_not_found() {
                f64::from(1 << (failures - 1))
            } else {
                0.75 * f64::from(1 << failures)
            };
            let gap = next.at.duration_since(one.at).as_secs_f64();
            let least = if row.retry_after > 0.0 { row.retry_after } else { rest };
            assert!(
                gap >= least,
                "{}: asked again after {gap} s, not {least}\n{}",
                row.fault,
                format_requests(hits)
            );
        }
    }
}

/// How long it may take until all is well again: the wait after as many failures, or the rest that was asked for, and
/// what a busy machine takes. A dead HTTP/2 connection is found out after 10 s and 5 s.
pub(crate) fn max_recovery_time(row: &Row) -> Duration {
    if let Behaviour::StopsResponding = (row.behaviour)() {
        return Duration::from_secs(40);
    }
    let failures = u32::try_from(row.failures.max(1)).unwrap();
    let rest = Duration::from_secs_f64(row.retry_after).max(Duration::from_secs(2_u64.pow(failures)));
    rest + Duration::from_secs(20)
}

/// From the first spoilt request to the first good one after the last that was spoilt, both counted, or from the first to
/// the last where nothing is to be said; and how many that would have been.
pub(crate) fn count_requests(row: &Row, hits: &[ReceivedRequest]) -> Option<(usize, usize)> {
    let polls: Vec<&ReceivedRequest> = hits.iter().filter(|hit| hit.path != "/v1/projects").collect();
    let spoilt = |hit: &&ReceivedRequest| hit.is_faulty;
    let (first, last) = match row.message {
        "" => (0, polls.len().checked_sub(1)?),
        _ => (polls.iter().position(spoilt)?, polls.iter().rposition(spoilt)? + 1),
    };
    let (from, to) = (polls.get(first)?, polls.get(last)?);
    let would = healthy_request_count(row.target, to.at.duration_since(from.at) + MAX_DELAY / 2);
    let count = last - first + 1;
    assert!(
        !row.message.is_empty() || 2 * count >= would,
        "{}: {count} and not {would}\n{}",
        row.fault,
        format_requests(hits)
    );
    Some((count, would))
}

fn format_requests(hits: &[ReceivedRequest]) -> String {
    let Some(first) = hits.first() else { return String::new() };
    let line = |hit: &ReceivedRequest| {
        let (at, bad) =
            (hit.at.duration_since(first.at).as_secs_f64(), if hit.is_faulty { " spoilt" } else { "" });
        format!("{at:>7.3} {}{bad}", hit.path)
    };
    hits.iter().map(line).collect::<Vec<_>>().join("\n")
}
