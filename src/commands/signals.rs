//! SIGINT, SIGTERM and SIGXCPU for the commands without a screen. `terminal` handles signals while the screen is shown.
//! [`survive_file_size_limit`] handles SIGXFSZ for all commands.
//!
//! The command receives the first signal, shuts down cleanly and drops its [`ShutdownSignal`]. It may be unable to do
//! so, for example because the reader of its output has stalled. The signal's default action therefore ends the process
//! after two seconds, or when a second signal comes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM, SIGXCPU, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use tokio::sync::oneshot;

use super::CliError;
use crate::exit_code::ExitCode;

/// The time in which the command must drop its [`ShutdownSignal`] after a signal. On a busy machine, half a second was
/// too short to count the events that a stalled reader had not read.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Makes a write beyond the limit of file sizes (`ulimit -f`) fail with an error, like one on a full disk. Otherwise
/// SIGXFSZ would end the process and leave the terminal in raw mode.
///
/// The handler does nothing, but it is better than an ignored signal: child processes would inherit an ignored signal,
/// while the system resets handlers in them.
///
/// # Errors
/// Returns an error if the system refuses the handler.
pub fn survive_file_size_limit() -> Result<(), CliError> {
    // promise: file-size-limit
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map_err(CliError::Signals)?;
    Ok(())
}

/// A receiver of the first SIGINT, SIGTERM or SIGXCPU. A thread waits for the signal, because tokio's signal handling
/// would add a driver to tokio's runtime.
#[derive(Debug)]
pub(super) struct ShutdownSignal {
    receiver: oneshot::Receiver<i32>,
    /// A sender that never sends. Dropping it tells the thread `deadline` not to end the process.
    _shutdown_guard: Sender<()>,
}

impl ShutdownSignal {
    /// Installs the handlers. From now on, none of the signals ends the process directly.
    ///
    /// # Errors
    /// Returns an error if the system refuses the handlers or the thread.
    pub(super) fn new() -> Result<Self, CliError> {
        Self::listen().map_err(CliError::Signals)
    }

    fn listen() -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGXCPU])?;
        let handle = signals.handle();
        let (sender, receiver) = oneshot::channel();
        let (shutdown_guard, shutdown_done) = channel::<()>();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            let mut incoming = signals.forever();
            let Some(first_signal) = incoming.next() else { return };
            tracing::info!("signal {first_signal} asks for the end");
            let _ = sender.send(first_signal);
            let _ = std::thread::Builder::new().name("deadline".into()).spawn(move || {
                if shutdown_done.recv_timeout(SHUTDOWN_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
                    let _ = emulate_default_handler(first_signal);
                }
                handle.close(); // ends the wait for a second signal
            });
            if let Some(second_signal) = incoming.next() {
                let _ = emulate_default_handler(second_signal);
            }
        })?;
        Ok(Self { receiver, _shutdown_guard: shutdown_guard })
    }

    /// Waits for the signal and returns the exit code 128 + its number. Must not be called again after it has returned.
    pub(super) async fn wait(&mut self) -> ExitCode {
        match (&mut self.receiver).await {
            Ok(signal) => ExitCode::Signal(u8::try_from(signal).unwrap_or(u8::MAX)),
            // The thread ended without a signal, so none will come.
            Err(_) => std::future::pending().await,
        }
    }
}
