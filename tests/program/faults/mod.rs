//! Tests of network faults. A server on this machine fails in many ways while the whole program watches it. Each fault
//! is a row: the error that the program reports, how soon it recovers, and how many requests it sends. The tests
//! compare the faults and errors with the tables in `docs/faults.md`. They do not compare the times and numbers of
//! requests, which are from one run. Nothing leaves this machine.
//!
//! ```text
//!   rows ──► run ──► test_network ──► server ──► connection     one row: healthy, then the fault, then healthy
//!             │  └── the program, its events line by line
//!             ├──► request_budget                               the number of requests
//!             └──► table ──► docs/faults.md
//! ```

mod behaviour;
mod certificates;
mod connection;
mod request_budget;
mod rows;
mod run;
mod screen;
mod server;
mod table;
mod test_network;

use std::thread;

use behaviour::Behaviour;
pub(crate) use connection::http_date;
use rows::Row;
use server::{Protocol, Server};

/// Runs all rows in parallel (they wait for servers and timeouts, not for a processor), and compares them with the
/// table under `title`.
fn check_rows(title: &str, rows: Vec<Row>) {
    let (rows, skipped): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(Row::is_possible);
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = rows.iter().map(|row| scope.spawn(|| run::run(row))).collect();
        threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let failed = rows.iter().zip(&results).filter(|(_, result)| result.is_err());
    let failed: Vec<&str> = failed.map(|(row, _)| row.fault).collect();
    assert!(failed.is_empty(), "{title}: {failed:?}");
    let results: Vec<_> = results.into_iter().flatten().collect();
    table::assert_page_matches(title, &rows, &results, &skipped);
}

#[test]
fn unreachable_host_keeps_data_and_backs_off() {
    check_rows("The way there", rows::unreachable());
}

#[test]
fn silent_server_times_out() {
    check_rows("Silence", rows::silence());
}

#[test]
fn invalid_responses_are_classified() {
    check_rows("Answers", rows::invalid_responses());
}

#[test]
fn each_status_has_its_own_error() {
    let elsewhere = Server::start(Protocol::Plain, Vec::new(), false, Behaviour::Normal);
    check_rows("Statuses", rows::statuses(elsewhere.address.port()));
    assert_eq!(elsewhere.connections(), 0, "the redirect is not followed");
}

#[test]
fn retry_after_is_honoured() {
    check_rows("Too many requests", rows::limits());
}

#[test]
fn api_key_requires_trusted_certificate() {
    check_rows("Certificates", rows::certificates());
}

#[test]
fn healthy_server_gets_expected_requests() {
    check_rows("Servers that never fail", rows::healthy());
}
