//! The network's promises: a server that fails in every way there is, the whole program watching it, and the table of what
//! it says, how soon it is well again and what that costs, which `docs/faults.md` holds.

mod certificates;
mod connection;
mod place;
mod play;
mod rows;
mod run;
mod screen;
mod server;
mod share;
mod table;

use std::thread;

use play::Play;
use server::{Server, Speech};

/// Every row at once: they wait for servers and timeouts, not for a processor.
#[test]
fn each_fault_has_its_sentence_costs_no_more_than_its_share_and_is_got_over() {
    let elsewhere = Server::start(Speech::Plain, Vec::new(), false, Play::Good);
    let rows = rows::all(elsewhere.address.port());
    let seen: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = rows.iter().map(|row| scope.spawn(|| run::run(row))).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let failed: Vec<_> = rows.iter().zip(&seen).filter(|(_, seen)| seen.is_err()).map(|(row, _)| row.fault).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let seen: Vec<_> = seen.into_iter().flatten().collect();
    assert_eq!(elsewhere.connections(), 0, "a redirect was followed");
    table::holds(&rows, &seen);
}
