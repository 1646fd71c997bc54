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
fn a_way_that_is_closed_is_named_keeps_the_last_data_and_is_tried_later_and_later() {
    check_rows("The way there", rows::unreachable());
}

#[test]
fn a_server_that_falls_silent_is_given_up_after_its_time_and_a_dead_connection_with_it() {
    check_rows("Silence", rows::silence());
}

#[test]
fn an_answer_that_is_none_is_told_from_one_and_never_taken_in_whole_if_it_has_no_end() {
    check_rows("Answers", rows::invalid_responses());
}

#[test]
fn each_status_is_told_apart_says_nothing_of_other_sessions_and_leads_nowhere() {
    let elsewhere = Server::start(Protocol::Plain, Vec::new(), false, Behaviour::Normal);
    check_rows("Statuses", rows::statuses(elsewhere.address.port()));
    assert_eq!(elsewhere.connections(), 0, "a redirect was followed");
}

#[test]
fn nothing_is_asked_before_the_time_that_a_server_asked_for_is_over() {
    check_rows("Too many requests", rows::limits());
}

#[test]
fn the_key_goes_to_nobody_whose_certificate_is_not_to_be_trusted_and_trust_that_comes_later_counts() {
    check_rows("Certificates", rows::certificates());
}

#[test]
fn servers_that_never_fail_are_asked_as_often_as_their_share_is_counted() {
    check_rows("Servers that never fail", rows::healthy());
}
