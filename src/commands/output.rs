//! Standard output, standard error and questions on the terminal, for the commands without a screen.
//!
//! Other programs share these streams and may have made them non-blocking. So all of them go through [`WaitingIo`].

use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::os::fd::BorrowedFd;

use super::CliError;
use crate::exit_code::ExitCode;
use crate::waiting_io::WaitingIo;
use keepwatch_core::text;

/// Returns a writer for standard output. It has no buffer.
pub(super) fn stdout() -> WaitingIo<BorrowedFd<'static>> {
    WaitingIo::new(rustix::stdio::stdout())
}

/// Prints `text` on standard output. A closed pipe, as after `| head`, is not an error.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    print_unless_closed(text).map(|_| ())
}

/// Prints `text` on standard output. If `ascii` is true, converts it to ASCII first.
pub(super) fn print_text(text: &str, ascii: bool) -> Result<(), CliError> {
    if ascii { print(&text::to_ascii(text)) } else { print(text) }
}

/// Prints `text` on standard output. Returns false if the reader has closed the pipe.
pub(super) fn print_unless_closed(text: &str) -> Result<bool, CliError> {
    match stdout().write_all(text.as_bytes()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CliError::Stdout(error)),
    }
}

/// Prints one message on standard error. Redacts API keys, because the user may have typed one in place of a file or a
/// name. A closed standard error is ignored.
pub fn print_error(message: &str) {
    // promise: mistyped-key, mutant: text::redact_api_keys(message) -> message
    write_stderr(&format!("keepwatch: {}\n", text::redact_api_keys(message)));
}

/// Prints clap's message about the command line and returns the exit code. The message can also be the text of `--help`
/// or `--version`, which goes to standard output.
///
/// # Errors
/// Returns an error if standard output cannot be written.
pub fn print_clap_message(message: &clap::Error) -> Result<ExitCode, CliError> {
    if message.use_stderr() {
        write_stderr(&clap_text(message, io::stderr().is_terminal()));
        return Ok(ExitCode::Usage);
    }
    // promise: unwritten-help, mutant: ?; -> .unwrap_or_default();
    print(&clap_text(message, io::stdout().is_terminal()))?;
    Ok(ExitCode::Success)
}

/// Returns clap's text. It has colours where clap itself would show them: on a terminal with colours, unless the user
/// has turned them off.
fn clap_text(message: &clap::Error, is_terminal: bool) -> String {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let has_colors =
        is_terminal && var("NO_COLOR").is_none() && var("TERM").is_some_and(|term| term != "dumb");
    let text = message.render();
    if has_colors { text.ansi().to_string() } else { text.to_string() }
}

/// Writes `text` to standard error. A closed standard error is ignored.
fn write_stderr(text: &str) {
    let _ = WaitingIo::new(rustix::stdio::stderr()).write_all(text.as_bytes());
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
    write_stderr(question);
    let mut answer = String::new();
    // A terminal returns one line for each read, so the buffer takes nothing that a later question needs.
    let mut stdin = BufReader::new(WaitingIo::new(rustix::stdio::stdin()));
    stdin.read_line(&mut answer).map_err(CliError::Stdin)?;
    Ok(answer.trim().to_owned())
}
