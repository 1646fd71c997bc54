//! Ctrl-C and `kill`, for the commands without a screen. The screen has its own, in `terminal`.
//!
//! The first signal is told to the command, which ends in order. Where it does not hear it, because a reader of its
//! output stands still, the signal does what it does to any program after half a second, or when it comes again.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use tokio::sync::oneshot;

use super::CliError;
use crate::exit_code::ExitCode;

/// How long the command may take to hear of a signal.
const DELIVERY_TIMEOUT: Duration = Duration::from_millis(500);

/// The first SIGINT or SIGTERM, once it comes. Threads wait for it: tokio's own signals would add a driver.
#[derive(Debug)]
pub(super) struct ShutdownSignal {
    receiver: oneshot::Receiver<i32>,
    /// Dropped when the command has heard it.
    _delivery_guard: Sender<()>,
}

impl ShutdownSignal {
    /// From now on, neither signal ends the program by itself.
    ///
    /// # Errors
    /// The system refuses the handler or the thread.
    pub(super) fn new() -> Result<Self, CliError> {
        Self::listen().map_err(CliError::Signals)
    }

    fn listen() -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let handle = signals.handle();
        let (sender, receiver) = oneshot::channel();
        let (delivery_guard, delivered) = channel::<()>();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            let mut incoming = signals.forever();
            let Some(first) = incoming.next() else { return };
            tracing::info!("signal {first} asks for the end");
            let _ = sender.send(first);
            let _ = std::thread::Builder::new().name("deadline".into()).spawn(move || {
                if delivered.recv_timeout(DELIVERY_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
                    let _ = emulate_default_handler(first);
                }
                handle.close();
            });
            if let Some(again) = incoming.next() {
                let _ = emulate_default_handler(again);
            }
        })?;
        Ok(Self { receiver, _delivery_guard: delivery_guard })
    }

    /// Waits for it, and says how the program ends by it. To be awaited no more once it has come.
    pub(super) async fn wait(&mut self) -> ExitCode {
        match (&mut self.receiver).await {
            Ok(signal) => ExitCode::Signal(u8::try_from(signal).unwrap_or(u8::MAX)),
            // The thread is gone without a signal: there will be none.
            Err(_) => std::future::pending().await,
        }
    }
}
