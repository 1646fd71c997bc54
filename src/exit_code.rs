//! The exit codes of the program.

/// An exit code of the program. Scripts rely on the numbers. `keepwatch --help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: the command succeeded.
    Success,
    /// 1: the command failed at run time.
    Failure,
    /// 2: the command line, an environment variable or the config file is wrong.
    Usage,
    /// 3: the API key is missing, or the API refuses it.
    ApiKey,
    /// 4: the API does not know the session.
    NoSuchSession,
    /// 5: the API cannot be reached.
    Unreachable,
    /// 6: `keepwatch wait` waited for a session, and it ended in a way that `--fail-on` or `--exit-status` counts as
    /// bad.
    EndedBadly,
    /// 7: `keepwatch wait` timed out.
    TimedOut,
    /// 128 plus the number of the signal that ended the program.
    Signal(u8),
}

impl From<ExitCode> for u8 {
    fn from(code: ExitCode) -> Self {
        match code {
            ExitCode::Success => 0,
            ExitCode::Failure => 1,
            ExitCode::Usage => 2,
            ExitCode::ApiKey => 3,
            ExitCode::NoSuchSession => 4,
            ExitCode::Unreachable => 5,
            ExitCode::EndedBadly => 6,
            ExitCode::TimedOut => 7,
            ExitCode::Signal(number) => 128_u8.saturating_add(number),
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(u8::from(code))
    }
}
