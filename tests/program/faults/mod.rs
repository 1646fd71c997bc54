//! The network's promises: a server that fails in every way there is, the whole program watching it, and the table of what
//! it says, how soon it is well again and what that costs, which `docs/faults.md` holds. Nothing leaves this machine.
//!
//! ```text
//!   rows ──► run ──► place ──► server ──► connection        one row: good, then what it plays, then good
//!             │  └── the program, its events line by line
//!             ├──► share                                    what it cost the server
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
use rows::Row;
use server::{Protocol, Server};

/// Plays all rows at once, for they wait for servers and timeouts and not for a processor, and holds the page's table.
fn check_rows(title: &str, rows: Vec<Row>) {
    let (rows, left_out): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(Row::is_possible);
    let seen: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = rows.iter().map(|row| scope.spawn(|| run::run(row))).collect();
        threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let failed = rows.iter().zip(&seen).filter(|(_, seen)| seen.is_err());
    let failed: Vec<&str> = failed.map(|(row, _)| row.fault).collect();
    assert!(failed.is_empty(), "{title}: {failed:?}");
    let seen: Vec<_> = seen.into_iter().flatten().collect();
    table::assert_page_matches(title, &rows, &seen, &left_out);
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
    assert_eq!(elsewhere.connections(), 0, "a redirect was followed");
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
