//! The panic hook: reports panics, which are always bugs, on standard error and in the log. While the screen is open,
//! `terminal::panics` wraps this hook and restores the terminal first.
//!
//! A panic message may quote network text: a slice that starts inside a character panics with the whole string. So the
//! message is sanitised and redacted before it reaches a terminal or a file.

use std::fmt;
use std::panic::{self, PanicHookInfo};

use color_eyre::config::HookBuilder;
use color_eyre::section::PanicMessage;

use super::flush_before_exit;
use keepwatch_core::text::Untrusted;

/// Installs the hook. It reports panics on standard error and, if the log runs, in the log.
pub fn install_panic_hook() {
    // `install` fails only on a second call, and `main` calls this function once.
    let _ = HookBuilder::default().panic_message(SanitisedPanicMessage).install();
    let report_panic = panic::take_hook(); // the hook of color_eyre
    panic::set_hook(Box::new(move |info| {
        log_panic(info);
        report_panic(info);
    }));
}

/// Logs a panic and flushes the log, because the process may end.
pub fn log_panic(info: &PanicHookInfo<'_>) {
    tracing::error!("panicked at {}: {}", panic_location(info), panic_message(info));
    flush_before_exit();
}

/// The panic message for `color_eyre`, sanitised and redacted.
struct SanitisedPanicMessage;

impl PanicMessage for SanitisedPanicMessage {
    fn display(&self, info: &PanicHookInfo<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "keepwatch panicked, which is a bug: {}", panic_message(info))?;
        write!(f, "Location: {}", panic_location(info))
    }
}

fn panic_message(info: &PanicHookInfo<'_>) -> String {
    // promise: panic-message, mutant: .sanitise_line() -> .raw().to_owned()
    Untrusted::new(info.payload_as_str().unwrap_or("it said nothing")).sanitise_line()
}

fn panic_location(info: &PanicHookInfo<'_>) -> String {
    info.location().map(ToString::to_string).unwrap_or_default()
}
