//! Tests of the whole program, started as a user starts it: on a terminal or in a pipe, against local servers.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on should stop at once"
)]

mod architecture;
mod away;
mod chaos;
mod chaos_soak;
mod command_line;
mod config_file;
mod contract;
mod docs_in_sync;
mod faults;
mod harness;
mod headless;
mod hostile;
mod idle;
mod incidents;
mod journal;
mod journal_alerts;
mod journal_restored;
mod log;
#[cfg(target_os = "linux")] // needs /proc and /dev/full
mod output;
mod piped_program;
mod profiles;
mod promises;
mod readme_screenshots;
mod release;
mod replay;
mod request_counts;
mod reverse_proxies;
mod scenarios;
mod schema;
mod screen;
mod sdk;
mod secrets;
mod shutdown;
mod simulate;
mod slow_terminal;
mod terminal_input;
mod wrong_dates;
