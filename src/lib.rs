//! keepwatch watches Browserbase sessions from a terminal pane.
//!
//! ```text
//!    cli ─► config ─► commands ─┬─► browserbase_simulator   a simulated API, over real HTTP
//!                               │
//!                               └─► tui ◄── poll ◄── api ◄── HTTP
//!                                    │ inputs
//!                                    ▼
//!                                  keepwatch_core::tracker   computes the state of each session, without I/O
//!                                    │
//!                                    ├─► tui::view ─► terminal
//!                                    └─► store               writes the journal and recordings
//! ```
//!
//! `ARCHITECTURE.md` describes the data flow and the rules behind it.

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub mod api;
pub mod cli;
pub mod commands;
pub mod config;
pub mod exit_code;
pub mod log;
pub mod poll;
pub mod private_file;
pub mod store;
pub mod terminal;
pub mod timer;
pub mod tui;
mod waiting_io;
