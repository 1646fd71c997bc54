//! What is said of a panic, which only a bug can cause: on standard error and in the log.
//!
//! Its text may quote anything, such as the string that was cut in the middle of a letter, and so a stranger's. It is made
//! harmless, and what looks like a secret in it masked, before a terminal or a file gets it.

use std::fmt;
use std::panic::{self, PanicHookInfo};

use color_eyre::config::HookBuilder;
use color_eyre::section::PanicMessage;

use super::hurry;
use keepwatch_core::text::Untrusted;

/// From now on a panic is logged, if there is a log, and reported on standard error.
pub fn report_panics() {
    // A second installation, which would fail, there is none.
    let _ = HookBuilder::default().panic_message(Harmless).install();
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        panicked(info);
        report(info);
    }));
}

/// Logs a panic, and waits until it is written: the process may end with it.
pub fn panicked(info: &PanicHookInfo<'_>) {
    tracing::error!("panicked at {}: {}", place(info), message(info));
    hurry();
}

struct Harmless;

impl PanicMessage for Harmless {
    fn display(&self, info: &PanicHookInfo<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "keepwatch panicked, which is a bug: {}", message(info))?;
        write!(f, "Location: {}", place(info))
    }
}

fn message(info: &PanicHookInfo<'_>) -> String {
    // promise: panic-message, mutant: .line() -> .raw().to_owned()
    Untrusted::new(info.payload_as_str().unwrap_or("it said nothing")).line()
}

fn place(info: &PanicHookInfo<'_>) -> String {
    info.location().map(ToString::to_string).unwrap_or_default()
}
