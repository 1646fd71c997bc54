//! keepwatch watches Browserbase sessions from a terminal pane.

pub mod api;
pub mod app;
pub mod clock;
pub mod poll;
pub mod session;
pub mod text;
pub mod view;
pub mod watch;
