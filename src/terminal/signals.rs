//! Ends the program on a signal, a panic or a hangup of the terminal, if the event loop does not end it. Also stops and
//! resumes the program.
//!
//! | cause                    | reaction                                                           | status  |
//! |--------------------------|--------------------------------------------------------------------|---------|
//! | TERM, INT, QUIT, XCPU,   | notifies the event loop; at a second signal or after 500 ms, exits | 128 + n |
//! | ALRM, IO, PROF, USR1,    | without waiting for the event loop                                 |         |
//! | USR2, VTALRM             |                                                                    |         |
//! | HUP                      | restores the terminal, if it still exists, and exits               | 129     |
//! | the terminal hung up     | exits at once: there is nothing to restore                         | 129     |
//! | a panic, in any thread   | restores the terminal, reports the panic, exits (see `panics`)     | 101     |
//! | TSTP (Ctrl-Z)            | restores the terminal and stops the job; CONT reopens the terminal |         |
//! | another job has the      | stops this job until `fg`; a signal of the first two rows ends it  | 128 + n |
//! | terminal                 | before that                                                        |         |
//!
//! In the background, keepwatch never changes the terminal's mode and never reads from the terminal. Otherwise the
//! kernel would stop the job with SIGTTOU or SIGTTIN. After each SIGCONT it would repeat the system call, and so stop
//! the job again. `kill %1` sends SIGTERM and SIGCONT, but no thread would run for long enough to end the program. So
//! the job stops itself: such a stop is not repeated.
//!
//! Only the report of a panic is printed, and only if standard error accepts it. Printing to a terminal that hung up
//! panics, a panic inside a panic aborts, and an abort leaves a core file.

use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use rustix::event::PollFlags;
use rustix::process::{Signal, getpgrp, getpid, getsid, kill_current_process_group, kill_process};
use signal_hook::consts::{
    SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGVTALRM,
    SIGXCPU,
};
use signal_hook::iterator::Signals;

use super::tty_writer::Tty;
use super::{TermEvent, panics, subprocess};
use crate::log;

/// The time that the event loop has to exit after a signal.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);
/// The number of checks whether this job is in the foreground. A shell's `fg` may continue this job a moment before the
/// job is in the foreground.
const FOREGROUND_CHECKS: usize = 10;
/// The time between two of these checks.
const FOREGROUND_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Exits with `status` at once, without destructors, exit handlers or output.
pub(super) fn exit_now(status: i32) -> ! {
    signal_hook::low_level::exit(status)
}

/// Exits with status 129, because the terminal hung up.
pub(super) fn exit_on_hangup() -> ! {
    tracing::info!("the terminal is gone: ends with 129");
    subprocess::kill_children();
    log::flush_before_exit();
    exit_now(128 + SIGHUP)
}

/// Installs the panic hook, waits until the terminal belongs to this job, and starts the signals thread and the watchdog.
///
/// # Errors
/// The terminal belongs to another job, and no shell can bring this job to the foreground. Or a handler or a thread
/// cannot start.
pub(super) fn install_handlers(tty: &Arc<Tty>) -> io::Result<()> {
    // promise: panic-hook
    panics::make_panics_fatal(Arc::clone(tty));
    // promise: exit-signals, mutant: SIGTERM, SIGINT, SIGQUIT, SIGTSTP -> SIGTSTP
    // promise: cpu-limit, mutant: SIGXCPU, SIGTERM -> SIGTERM
    let mut signals = Signals::new([
        SIGHUP, SIGXCPU, SIGTERM, SIGINT, SIGQUIT, SIGTSTP,
        SIGCONT, // these have a meaning for this program
        SIGALRM, SIGIO, SIGPROF, SIGUSR1, SIGUSR2,
        SIGVTALRM, // these would end it and leave the terminal in raw mode
    ])?;
    // promise: background-start
    wait_for_foreground(&mut signals, tty)?;
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

/// Waits until the terminal belongs to this job, and stops the job until then. Exits if a signal asks for that.
fn wait_for_foreground(signals: &mut Signals, tty: &Tty) -> io::Result<()> {
    let mut is_first_round = true;
    loop {
        let mut is_continued = false;
        for _ in 0..FOREGROUND_CHECKS {
            for signal in signals.pending() {
                match signal {
                    SIGCONT => is_continued = true,
                    SIGTSTP => {} // the job stops in any case
                    _ => exit_by_signal(signal, tty),
                }
            }
            if !tty.is_in_background() {
                return Ok(());
            }
            sleep(FOREGROUND_CHECK_INTERVAL);
        }
        // Only SIGCONT ends a stop. Without SIGCONT, the system has not stopped this job, because no shell could
        // continue it.
        if !is_first_round && !is_continued {
            return Err(io::Error::other(
                "it belongs to another job, and no shell can bring this one to the foreground",
            ));
        }
        is_first_round = false;
        stop_job_in_background();
    }
}

fn handle_signals(mut signals: Signals, tty: &Arc<Tty>) {
    let mut is_ending = false;
    loop {
        let mut batch: Vec<i32> = signals.wait().collect();
        while !batch.is_empty() {
            batch = handle_batch(&batch, &mut is_ending, &mut signals, tty);
        }
    }
}

/// Handles signals that came together. Returns those that came meanwhile.
fn handle_batch(batch: &[i32], is_ending: &mut bool, signals: &mut Signals, tty: &Arc<Tty>) -> Vec<i32> {
    // `kill %1` on a stopped job sends TERM and CONT together. So this thread handles TERM first, and then ignores CONT,
    // which would open the terminal again.
    for &signal in batch.iter().filter(|signal| !matches!(**signal, SIGTSTP | SIGCONT)) {
        tracing::info!("signal {signal} asks for the end");
        if signal == SIGHUP {
            tty.close(); // the terminal still exists after `kill -HUP`
            exit_on_hangup();
        }
        if std::mem::replace(is_ending, true) {
            exit_by_signal(signal, tty);
        }
        tty.send_event(TermEvent::Signal(signal));
        let deadline_tty = Arc::clone(tty);
        let _ = thread::Builder::new().name("deadline".into()).spawn(move || {
            sleep(SHUTDOWN_TIMEOUT);
            exit_by_signal(signal, &deadline_tty);
        });
    }
    if !*is_ending && batch.contains(&SIGCONT) {
        return reacquire_tty(signals, tty);
    }
    if !*is_ending && batch.contains(&SIGTSTP) && has_shell() {
        // promise: close-before-stop
        tty.close();
        stop_job();
    }
    Vec::new()
}

/// Restores the terminal and exits, although the event loop has not ended.
fn exit_by_signal(signal: i32, tty: &Tty) -> ! {
    tty.close();
    subprocess::kill_children();
    tracing::warn!("ends without the loop, by signal {signal}");
    log::flush_before_exit();
    exit_now(128_i32.saturating_add(signal))
}

/// Stops the process group with SIGSTOP. SIGTSTP would not stop a parent process that handles it, such as git, and the
/// job would hang.
fn stop_job() {
    let _ = kill_current_process_group(Signal::STOP);
    // This thread may run for a moment before it stops. So the terminal is opened again when SIGCONT arrives, not here.
}

/// Stops the process group with SIGTTOU, as the kernel stops a job in the background that uses the terminal. The system
/// ignores this if no shell could continue the job.
fn stop_job_in_background() {
    let _ = kill_current_process_group(Signal::TTOU);
}

/// Opens the terminal again after a stop. If this job is in the background, stops it again instead. Returns the
/// signals that came meanwhile: a signal that ends the program must not wait until the next `fg`.
fn reacquire_tty(signals: &mut Signals, tty: &Tty) -> Vec<i32> {
    // The shell may not have made this job the foreground job yet.
    for _ in 0..FOREGROUND_CHECKS {
        if !tty.is_in_background() && tty.open().is_ok() {
            tty.send_event(TermEvent::Continued);
            return Vec::new();
        }
        sleep(FOREGROUND_CHECK_INTERVAL);
        let batch: Vec<i32> = signals.pending().collect();
        if !batch.is_empty() {
            return batch;
        }
    }
    if !tty.is_in_background() {
        // This job has the terminal, but cannot open it.
        exit_on_hangup();
    }
    // `bg` continued the program, and the terminal still belongs to the shell.
    stop_job_in_background();
    Vec::new()
}

#[expect(
    clippy::disallowed_methods,
    reason = "nothing reports that a shell has switched jobs, or that the event loop did not exit in time"
)]
fn sleep(duration: Duration) {
    thread::sleep(duration);
}

/// Waits until the terminal hangs up, then exits. Nothing else is certain to end the program: the input thread only
/// ends itself, the writer may have nothing to write for an hour, and the parent process may have blocked SIGHUP for
/// keepwatch.
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
