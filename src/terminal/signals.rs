//! Ends the program on a signal, a panic or a hangup of the terminal, if the event loop does not end it. Also stops and
//! resumes the program.
//!
//! | cause                    | reaction                                                           | status  |
//! |--------------------------|--------------------------------------------------------------------|---------|
//! | TERM, INT, QUIT          | notifies the event loop; at a second signal or after 500 ms, exits | 128 + n |
//! |                          | without waiting for the event loop                                 |         |
//! | HUP                      | restores the terminal, if it still exists, and exits               | 129     |
//! | the terminal hung up     | exits at once: there is nothing to restore                         | 129     |
//! | a panic, in any thread   | restores the terminal, reports the panic, exits (see `panics`)     | 101     |
//! | TSTP (Ctrl-Z)            | restores the terminal and stops the job; CONT reopens the terminal |         |
//!
//! Only the report of a panic is printed, and only if standard error accepts it. Printing to a terminal that hung up
//! panics, a panic inside a panic aborts, and an abort leaves a core file.

use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use rustix::event::PollFlags;
use rustix::process::{Signal, getpgrp, getpid, getsid, kill_current_process_group, kill_process};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

use super::tty_writer::Tty;
use super::{TermEvent, panics};
use crate::log;

/// The time that the event loop has to exit after a signal.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);

/// Exits with `status` at once, without destructors, exit handlers or output.
pub(super) fn exit_now(status: i32) -> ! {
    signal_hook::low_level::exit(status)
}

/// Exits with status 129, because the terminal hung up.
pub(super) fn exit_on_hangup() -> ! {
    tracing::info!("the terminal is gone: ends with 129");
    log::flush_before_exit();
    exit_now(128 + SIGHUP)
}

/// Installs the panic hook, and starts the signals thread and the watchdog.
pub(super) fn install_handlers(tty: &Arc<Tty>) -> io::Result<()> {
    // promise: panic-hook
    panics::make_panics_fatal(Arc::clone(tty));
    // promise: exit-signals, mutant: SIGTERM, SIGINT, SIGQUIT, SIGTSTP -> SIGTSTP
    let signals = Signals::new([SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGTSTP, SIGCONT])?;
    let (signals_tty, watchdog_tty) = (Arc::clone(tty), Arc::clone(tty));
    thread::Builder::new().name("signals".into()).spawn(move || handle_signals(signals, &signals_tty))?;
    // promise: watchdog
    thread::Builder::new().name("watchdog".into()).spawn(move || exit_when_tty_hangs_up(&watchdog_tty))?;
    Ok(())
}

/// Stops the program as Ctrl-Z does. Returns false if there is no shell that could continue it.
pub(super) fn suspend() -> bool {
    has_shell() && kill_process(getpid(), Signal::TSTP).is_ok()
}

/// True if a shell with job control started this program. Without such a shell, as in `tmux new-window keepwatch`, a
/// stopped program would never continue. The shell leads the session and gives each job a process group of its own.
fn has_shell() -> bool {
    getsid(None).is_ok_and(|session| session != getpgrp())
}

fn handle_signals(mut signals: Signals, tty: &Arc<Tty>) {
    let mut is_ending = false;
    loop {
        let batch: Vec<i32> = signals.wait().collect();
        // `kill %1` on a stopped job sends TERM and CONT together. So this thread handles TERM first, and then ignores
        // CONT, which would open the terminal again.
        for &signal in batch.iter().filter(|signal| !matches!(**signal, SIGTSTP | SIGCONT)) {
            tracing::info!("signal {signal} asks for the end");
            if signal == SIGHUP {
                tty.close(); // the terminal still exists after `kill -HUP`
                exit_on_hangup();
            }
            if std::mem::replace(&mut is_ending, true) {
                exit_by_signal(signal, tty);
            }
            tty.send_event(TermEvent::Signal(signal));
            let deadline_tty = Arc::clone(tty);
            let _ = thread::Builder::new().name("deadline".into()).spawn(move || {
                sleep(SHUTDOWN_TIMEOUT);
                exit_by_signal(signal, &deadline_tty);
            });
        }
        if !is_ending && batch.contains(&SIGCONT) {
            reacquire_tty(tty);
        } else if !is_ending && batch.contains(&SIGTSTP) && has_shell() {
            // promise: close-before-stop
            tty.close();
            stop_job();
        }
    }
}

/// Restores the terminal and exits, although the event loop has not ended.
fn exit_by_signal(signal: i32, tty: &Tty) -> ! {
    tty.close();
    tracing::warn!("ends without the loop, by signal {signal}");
    log::flush_before_exit();
    exit_now(128_i32.saturating_add(signal))
}

/// Stops the process group with SIGSTOP. SIGTSTP would not stop a parent process that handles it, such as git, and the
/// job would hang.
fn stop_job() {
    let _ = kill_current_process_group(Signal::STOP);
    // This thread may continue for a moment before it stops. So the program resumes when SIGCONT arrives, not here.
}

/// Opens the terminal again after a stop, or stops again in the background.
fn reacquire_tty(tty: &Tty) {
    if tty.in_background() {
        // `bg` continued the program. The terminal still belongs to the shell. `stop_job` could stop a job that `fg` has
        // continued since the line above; the kernel checks again and stops the job in one step.
        return tty.stop_if_in_background();
    }
    // The shell may not have made this job the foreground job yet, so try for 200 ms.
    for _ in 0..10 {
        if tty.open().is_ok() {
            return tty.send_event(TermEvent::Resumed);
        }
        sleep(Duration::from_millis(20));
    }
    exit_on_hangup();
}

#[expect(
    clippy::disallowed_methods,
    reason = "the process normally exits before the wait ends, which leaves no condition to wait for"
)]
fn sleep(duration: Duration) {
    thread::sleep(duration);
}

/// Waits until the terminal hangs up, then exits. Nothing else is certain to end the program: the input thread only
/// ends itself, the writer may have nothing to write for an hour, and the parent process may have made keepwatch ignore
/// SIGHUP.
fn exit_when_tty_hangs_up(tty: &Tty) {
    if cfg!(target_os = "macos") {
        // poll() does not report a hangup of terminals on macOS.
        while rustix::termios::tcgetattr(tty.fd()).is_ok() {
            sleep(Duration::from_secs(2));
        }
    } else {
        tty.wait(PollFlags::empty(), None);
    }
    exit_on_hangup();
}
