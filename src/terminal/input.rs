//! The input thread: reads the terminal and reports keystrokes, pastes and new sizes.
//!
//! It reads standard input if that is a terminal, else `/dev/tty`. No other code may read from the terminal: a second
//! reader would steal bytes. [`KeyDecoder`] decodes the bytes, so that no reply of the terminal counts as keystrokes.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use filedescriptor::{POLLERR, POLLHUP, POLLIN, pollfd};
use rustix::termios::{isatty, tcgetwinsize};
use signal_hook::consts::SIGWINCH;

use keepwatch_core::clock::Clock;

use super::key_decoder::{DecodedInput, KeyDecoder};
use super::tty_writer::is_in_background;
use super::{TermEvent, TermEventSender};

/// The wait between the signal of a resize and the reading of the new size. While the user drags the edge of a window,
/// hundreds of signals arrive per second. All signals of one wait become one event.
const RESIZE_DEBOUNCE: Duration = Duration::from_millis(20);
/// The wait between two checks whether this job is still in the background.
const BACKGROUND_INTERVAL: Duration = Duration::from_millis(20);
/// The maximum length of the text of a paste, in characters. The rest is dropped: neither a filter nor a pasted line of
/// a log needs more.
const MAX_PASTE_CHARS: usize = 4096;
/// The maximum number of bytes of one read.
const READ_BUFFER_BYTES: usize = 4096;

/// The state of the input thread.
struct InputReader {
    tty: File,
    /// Receives a byte for each SIGWINCH: the terminal's size changed.
    resize_signals: UnixStream,
    decoder: KeyDecoder,
    clock: Clock,
    events: TermEventSender,
}

/// Starts the input thread. The thread ends when the receiver of its events is dropped, or when the terminal fails.
pub(super) fn start(events: TermEventSender) -> io::Result<()> {
    let (resize_signals, sender) = UnixStream::pair()?;
    resize_signals.set_nonblocking(true)?;
    sender.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGWINCH, sender)?;
    let mut reader = InputReader {
        tty: open_tty()?,
        resize_signals,
        decoder: KeyDecoder::new(),
        clock: Clock::system(),
        events,
    };
    thread::Builder::new().name("input".into()).spawn(move || while reader.forward_next().is_some() {})?;
    Ok(())
}

fn open_tty() -> io::Result<File> {
    let stdin = rustix::stdio::stdin();
    if isatty(stdin) { Ok(stdin.try_clone_to_owned()?.into()) } else { File::open("/dev/tty") }
}

impl InputReader {
    /// Waits for bytes, a resize, or the decoder's timeout, and sends the events that follow. Returns `None` if the
    /// thread must end.
    fn forward_next(&mut self) -> Option<()> {
        let to_pollfd = |fd: &dyn AsRawFd| pollfd { fd: fd.as_raw_fd(), events: POLLIN, revents: 0 };
        let mut fds = [to_pollfd(&self.tty), to_pollfd(&self.resize_signals)];
        // On macOS the system's poll() does not work for terminals, but `filedescriptor::poll` does.
        let count = match filedescriptor::poll(&mut fds, self.decoder.silence_limit()) {
            Ok(count) => count,
            Err(filedescriptor::Error::Poll(error) | filedescriptor::Error::Io(error)) => {
                return (error.kind() == io::ErrorKind::Interrupted).then_some(());
            }
            Err(_) => return None,
        };
        if count == 0 {
            let input = self.decoder.on_silence(); // the timeout passed
            return self.report_inputs(input);
        }
        let [is_tty_readable, is_resized] = fds.map(|fd| fd.revents & (POLLIN | POLLHUP | POLLERR) != 0);
        if is_resized {
            self.report_size()?;
        }
        if is_tty_readable && is_in_background(&self.tty) {
            // The input belongs to the shell. The signals thread is about to stop this job.
            wait_briefly(BACKGROUND_INTERVAL);
            return Some(());
        }
        if is_tty_readable { self.read_tty() } else { Some(()) }
    }

    /// Reads bytes from the terminal and reports what they decode to. Returns `None` if the thread must end.
    fn read_tty(&mut self) -> Option<()> {
        let mut buffer = [0; READ_BUFFER_BYTES];
        let inputs = match self.tty.read(&mut buffer) {
            Ok(0) => return None, // the terminal hung up
            Ok(count) => self.decoder.decode(buffer.get(..count)?, self.clock.now().mono),
            Err(error) => {
                let is_transient =
                    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock);
                return is_transient.then_some(());
            }
        };
        self.report_inputs(inputs)
    }

    /// Sends the events of `inputs`. Waits while the channel is full. Returns `None` if the channel is closed.
    fn report_inputs(&self, inputs: impl IntoIterator<Item = DecodedInput>) -> Option<()> {
        for input in inputs {
            self.events.blocking_send(to_event(input)).ok()?;
        }
        Some(())
    }

    /// Waits for [`RESIZE_DEBOUNCE`], then reports the terminal's size. Returns `None` if the thread must end.
    fn report_size(&mut self) -> Option<()> {
        wait_briefly(RESIZE_DEBOUNCE);
        let mut drained = [0; 256];
        while self.resize_signals.read(&mut drained).is_ok_and(|count| count > 0) {}
        let size = tcgetwinsize(self.tty.as_fd()).ok()?;
        self.events.blocking_send(TermEvent::Resize { columns: size.ws_col, rows: size.ws_row }).ok()
    }
}

/// Returns the event of `input`. A paste becomes one line of bounded length.
fn to_event(input: DecodedInput) -> TermEvent {
    match input {
        DecodedInput::Key(key) => TermEvent::Key(key),
        DecodedInput::Paste(text) => {
            let line = text.chars().take(MAX_PASTE_CHARS).map(|c| if c.is_control() { ' ' } else { c });
            TermEvent::Paste(line.collect())
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a person drags a window, or a shell switches jobs: nothing reports the end of either"
)]
fn wait_briefly(duration: Duration) {
    thread::sleep(duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paste_becomes_one_bounded_line() {
        let pasted = "a\r\nb\x1b".to_owned() + &"é".repeat(1 << 20);
        let TermEvent::Paste(text) = to_event(DecodedInput::Paste(pasted)) else {
            panic!("a paste stays a paste")
        };
        assert!(text.starts_with("a  b é"));
        assert_eq!(text.chars().count(), MAX_PASTE_CHARS);
    }
}
