//! Handles panics while the screen is open: restores the terminal, reports the panic with the hook that
//! `log::install_panic_hook` installed, and ends the process with status 101.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{panic, thread};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::signals::exit_now;
use super::subprocess;
use super::tty_writer::Tty;
use crate::log;

/// Makes a panic in any thread end the program. Otherwise a panic in a task would freeze the screen, and a panic in one
/// of the terminal's threads would disable keystrokes or signals.
pub(super) fn make_panics_fatal(tty: Arc<Tty>) {
    let previous_hook = panic::take_hook();
    let is_first_panic = AtomicBool::new(true);
    panic::set_hook(Box::new(move |info| {
        while !is_first_panic.swap(false, Ordering::SeqCst) {
            thread::park(); // the thread of the first panic ends the process
        }
        tty.close();
        subprocess::kill_children();
        if accepts_output(&rustix::stdio::stderr()) {
            previous_hook(info);
        } else {
            log::log_panic(info); // the previous hook would also write to standard error
        }
        exit_now(101); // the status of every Rust program that panics
    }));
}

/// True if `fd` accepts a write within 200 ms.
fn accepts_output(fd: &impl rustix::fd::AsFd) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::OUT)];
    let timeout = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
    poll(&mut fds, Some(&timeout)).is_ok() && fds.iter().all(|fd| fd.revents() == PollFlags::OUT)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn closed_or_full_socket_accepts_no_output() {
        use std::io::Write;
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        assert!(accepts_output(&ours));
        ours.set_nonblocking(true).unwrap();
        while ours.write(&[0; 4096]).is_ok() {}
        assert!(!accepts_output(&ours), "the buffer is full");
        drop(theirs);
        assert!(!accepts_output(&ours), "the other end is closed");
    }
}
