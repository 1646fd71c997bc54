//! The whole program: as it is typed, on a terminal, against servers.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that can not go on should stop where it is"
)]

mod architecture;
mod chaos;
mod command_line;
mod config_file;
mod contract;
mod documents;
mod ends;
mod fewest;
mod harness;
mod headless;
mod incidents;
mod journal;
mod journal_restored;
mod picture;
mod piped;
mod profiles;
mod release;
mod replay;
mod scenarios;
mod screen;
mod sdk;
mod simulate;
mod soak;
