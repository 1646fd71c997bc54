//! Every way out, but for the loop's own end: signals, a panic, a terminal that went away. And stopping, which is a
//! way out and back in.
//!
//! | what                     | does                                                               | status  |
//! |--------------------------|--------------------------------------------------------------------|---------|
//! | TERM, INT, QUIT          | asks the loop; at the second one or after 500 ms ends without it   | 128 + n |
//! | HUP                      | gives back what is still there, and ends                           | 129     |
//! | no terminal any more     | ends at once: there is nothing to give back and nobody to tell     | 129     |
//! | a panic, in any thread   | gives the terminal back, reports, ends                             | 101     |
//! | TSTP (Ctrl-Z)            | gives the terminal back, stops the job; takes it again at CONT     |         |
//!
//! Nothing here prints but the panic's report, and that only on a standard error that takes it: printing to a dead
//! terminal panics, a panic within a panic aborts, and that leaves a core file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{io, panic, thread};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpgrp, getpid, getsid, kill_current_process_group, kill_process};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

use super::TermEvent;
use super::tty_writer::Tty;
use crate::log;

/// How long an orderly end may take.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);

/// Ends the process with `status`, now: no destructors, no handlers, nothing printed.
pub(super) fn exit_now(status: i32) -> ! {
    signal_hook::low_level::exit(status)
}

/// The terminal went away.
pub(super) fn exit_on_hangup() -> ! {
    tracing::info!("the terminal is gone: ends with 129");
    log::flush_before_exit();
    exit_now(128 + SIGHUP)
}

/// From now on, all that the table above says holds.
pub(super) fn install_handlers(tty: &Arc<Tty>) -> io::Result<()> {
    // promise: panic-hook
    make_panics_fatal(Arc::clone(tty));
    // promise: exit-signals, mutant: SIGTERM, SIGINT, SIGQUIT, SIGTSTP -> SIGTSTP
    let signals = Signals::new([SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGTSTP, SIGCONT])?;
    let (signals_tty, watchdog_tty) = (Arc::clone(tty), Arc::clone(tty));
    thread::Builder::new().name("signals".into()).spawn(move || handle_signals(signals, &signals_tty))?;
    // promise: watchdog
    thread::Builder::new().name("watchdog".into()).spawn(move || exit_when_tty_hangs_up(&watchdog_tty))?;
    Ok(())
}

/// Stops the program as Ctrl-Z does elsewhere; `false` if nobody could continue it.
pub(super) fn suspend() -> bool {
    has_shell() && kill_process(getpid(), Signal::TSTP).is_ok()
}

/// Whether a shell above us runs its jobs apart. Who is its session's first job, as in `tmux new-window keepwatch`,
/// would stand still for ever.
fn has_shell() -> bool {
    getsid(None).is_ok_and(|session| session != getpgrp())
}

fn handle_signals(mut signals: Signals, tty: &Arc<Tty>) {
    let mut is_ending = false;
    loop {
        let batch: Vec<i32> = signals.wait().collect();
        // `kill %1` on a stopped job sends TERM and CONT together: it must not take the terminal again.
        for &signal in batch.iter().filter(|signal| !matches!(**signal, SIGTSTP | SIGCONT)) {
            tracing::info!("signal {signal} asks for the end");
            if signal == SIGHUP {
                tty.close(); // it may still be there: `kill -HUP` does not take it away
                exit_on_hangup();
            }
            if std::mem::replace(&mut is_ending, true) {
                exit_by_signal(signal, tty);
            }
            tty.send_event(TermEvent::Signal(signal));
            let deadline = Arc::clone(tty);
            let _ = thread::Builder::new().name("deadline".into()).spawn(move || {
                sleep(SHUTDOWN_TIMEOUT);
                exit_by_signal(signal, &deadline);
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

fn exit_by_signal(signal: i32, tty: &Tty) -> ! {
    tty.close();
    tracing::warn!("ends without the loop, by signal {signal}");
    log::flush_before_exit();
    exit_now(128_i32.saturating_add(signal))
}

/// SIGSTOP and not SIGTSTP: a parent in the same job that handles that one, such as git, would hang with us.
fn stop_job() {
    let _ = kill_current_process_group(Signal::STOP);
    // This thread may run on for a moment. What follows a stop is done when SIGCONT arrives, not here.
}

fn reacquire_tty(tty: &Tty) {
    if tty.in_background() {
        // Continued by `bg`: the terminal is the shell's.
        return stop_job();
    }
    // The shell may still be handing over.
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
    reason = "the condition waited for is that the process has ended by then"
)]
fn sleep(span: Duration) {
    thread::sleep(span);
}

/// crossterm 0.29 reads a terminal that hung up over and over (crossterm-rs/crossterm#793), and who writes only
/// what changed may not write for an hour: neither would notice. SIGHUP may be ignored by whoever started us.
fn exit_when_tty_hangs_up(tty: &Tty) {
    if cfg!(target_os = "macos") {
        // There, poll() says nothing of use about terminals.
        while rustix::termios::tcgetattr(tty.fd()).is_ok() {
            sleep(Duration::from_secs(2));
        }
    } else {
        tty.wait(PollFlags::empty(), None);
    }
    exit_on_hangup();
}

/// A task that panicked would leave a screen that nobody updates, and a thread one without its key or signals.
fn make_panics_fatal(tty: Arc<Tty>) {
    let report = panic::take_hook();
    let first = AtomicBool::new(true);
    panic::set_hook(Box::new(move |info| {
        while !first.swap(false, Ordering::SeqCst) {
            thread::park(); // the first one reports, and ends us
        }
        tty.close();
        if takes_output(&rustix::stdio::stderr()) {
            report(info);
        } else {
            log::log_panic(info);
        }
        exit_now(101);
    }));
}

/// Whether a write to `fd` would neither fail nor wait long.
fn takes_output(fd: &impl rustix::fd::AsFd) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::OUT)];
    let limit = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
    poll(&mut fds, Some(&limit)).is_ok() && fds.iter().all(|fd| fd.revents() == PollFlags::OUT)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_report_is_not_printed_to_who_is_gone_or_stands_still() {
        use std::io::Write;
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        assert!(takes_output(&ours));
        ours.set_nonblocking(true).unwrap();
        while ours.write(&[0; 4096]).is_ok() {}
        assert!(!takes_output(&ours), "it stands still");
        drop(theirs);
        assert!(!takes_output(&ours), "it is gone");
    }
}
