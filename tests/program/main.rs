//! The whole program: as it is typed, on a terminal, against servers.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that can not go on should stop where it is"
)]

mod architecture;
mod busy;
mod chaos;
mod chaos_soak;
mod command_line;
mod config_file;
mod contract;
mod documents;
mod ends;
mod faults;
mod fewest;
mod harness;
mod headless;
mod hostile;
mod idle;
mod incidents;
mod journal;
mod journal_restored;
mod log;
mod picture;
mod piped;
mod profiles;
mod promises;
mod release;
mod replay;
mod scenarios;
mod schema;
mod screen;
mod sdk;
mod secrets;
mod simulate;
