//! keepwatch watches Browserbase sessions from a terminal pane.
//!
//! ```text
//!    cli ─► config ─► commands ─┬─► simulator    the API, simulated, over real HTTP
//!                               │
//!                               └─► app::run ◄── poll ◄── api ◄── HTTP
//!                                     │  ▲ Report
//!                                     ▼  │ Message
//!                                   app::Model ─► watch::Fleet   what was observed; pure
//!                                     │
//!                                     └─► view ─► terminal
//! ```
//!
//! In the order in which a reply travels:

pub mod api;
pub mod past;
pub mod poll;
pub mod recorder;
pub mod session;
pub mod stream;
pub mod watch;

pub mod app;
pub mod journal;
pub mod terminal;
pub mod view;

pub mod cli;
pub mod commands;
pub mod config;
pub mod simulator;

pub mod clock;
pub mod log;
pub mod text;
