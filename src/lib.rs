//! keepwatch watches Browserbase sessions from a terminal pane.

pub mod clock;
pub mod session;
