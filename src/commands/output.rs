//! Standard output, standard error and questions on the terminal, for the commands without a screen.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use super::CliError;
use keepwatch_core::text;

/// Prints `text` on standard output. A closed pipe, as after `| head`, is not an error.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    print_unless_closed(text).map(|_| ())
}

/// Prints `text`, in ASCII only if `ascii` is true.
pub(super) fn print_text(text: &str, ascii: bool) -> Result<(), CliError> {
    if ascii { print(&text::to_ascii(text)) } else { print(text) }
}

/// Prints `text` on standard output and flushes it. Returns false if the reader has closed the pipe.
pub(super) fn print_unless_closed(text: &str) -> Result<bool, CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CliError::Stdout(error)),
    }
}

/// Prints one message on standard error. A closed standard error is ignored.
pub fn print_error(message: &str) {
    let _ = writeln!(io::stderr(), "keepwatch: {message}");
}

/// Asks `question` on the terminal and returns the trimmed answer.
///
/// # Errors
/// Returns an error that names `option_hint` if standard input is not a terminal, or an error if the answer cannot be
/// read.
pub(super) fn prompt(question: &str, option_hint: &'static str) -> Result<String, CliError> {
    if !io::stdin().is_terminal() {
        return Err(CliError::NotInteractive(option_hint));
    }
    let mut out = io::stderr().lock();
    let _ = out.write_all(question.as_bytes()).and_then(|()| out.flush()); // a closed standard error is ignored
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(CliError::Stdin)?;
    Ok(answer.trim().to_owned())
}
