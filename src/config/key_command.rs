//! Runs the program that prints the API key.
//!
//! ```text
//!   running ──┬─ exits with success ──────────────────────────────────────► its output holds the API key
//!             ├─ exits with failure ──────────────────────────────────────► an error
//!             ├─ prints a line or closes its output, and runs 3 s longer ─► killed; its output holds the API key
//!             └─ prints too much ─────────────────────────────────────────► killed; an error
//! ```

use std::io::{self, Read as _};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::api_key::{KeyError, MAX_KEY_BYTES, complete_line, parse_key, sanitised_origin};
use keepwatch_core::session::Secret;

/// The time that keepwatch waits for the exit of a program that has printed the API key or closed its output. Then
/// keepwatch kills the program.
const EXIT_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest time between two checks whether a program has exited.
const MAX_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Runs a program and returns the API key that the program prints. The program inherits standard error and the
/// terminal, so that it can ask for a password. It does not inherit `BROWSERBASE_API_KEY`. Ctrl-C ends both the program
/// and keepwatch, because keepwatch installs its signal handlers later.
pub(super) fn run_key_command(words: &[String]) -> Result<Secret, KeyError> {
    let Some((program, arguments)) = words.split_first() else { return Err(KeyError::Missing) };
    let origin = format!("api-key-command “{}”", sanitised_origin(program));
    let not_run = |error: io::Error| KeyError::CommandNotRun { origin: origin.clone(), error };
    let mut child = Command::new(program)
        .args(arguments)
        // promise: no-key-for-command
        .env_remove("BROWSERBASE_API_KEY")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(not_run)?;
    let stdout = child.stdout.take();
    let outcome = read_until_exit(&mut child, stdout);
    let _ = child.kill(); // does nothing if the program has exited
    let _ = child.wait();
    let KeyOutput { printed, status } = outcome.map_err(not_run)?;
    if printed.len() > MAX_KEY_BYTES {
        return Err(KeyError::TooLong { origin });
    }
    match status.filter(|status| !status.success()) {
        Some(status) => Err(KeyError::CommandFailed { origin, status }),
        None => parse_key(&String::from_utf8_lossy(&printed), &origin),
    }
}

/// The output of a program that prints the API key.
struct KeyOutput {
    printed: Vec<u8>,
    /// `None` if the program did not exit by itself.
    status: Option<ExitStatus>,
}

/// Reads the output of `child` until the child exits or prints too much. Stops waiting for the exit [`EXIT_TIMEOUT`]
/// after the child has printed the line with the API key or closed its output.
///
/// The output may never end: a process that the child has started, such as an agent, can keep it open.
fn read_until_exit(child: &mut Child, mut stdout: Option<ChildStdout>) -> io::Result<KeyOutput> {
    let (mut printed, mut chunk, mut status) = (Vec::new(), [0; 512], None);
    let (mut interval, mut idle_time) = (Duration::from_millis(1), Duration::ZERO);
    while printed.len() <= MAX_KEY_BYTES {
        if let Some(pipe) = stdout.as_mut().filter(|pipe| wait_until_readable(pipe, interval)) {
            match pipe.read(&mut chunk)? {
                0 => stdout = None,
                count => printed.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            }
            continue;
        }
        if status.is_some() {
            break; // everything that was printed before the exit is read
        }
        status = child.try_wait()?;
        if status.is_some() {
            continue; // the program may have printed more before its exit
        }
        if stdout.is_none() {
            let timeout = Timespec::try_from(interval).ok();
            let _ = poll(&mut [], timeout.as_ref()); // only waits: there is no output left to read
        }
        if stdout.is_none() || complete_line(&printed).is_some() {
            idle_time = idle_time.saturating_add(interval);
            // promise: key-line
            if idle_time >= EXIT_TIMEOUT {
                break;
            }
        }
        interval = interval.saturating_mul(2).min(MAX_CHECK_INTERVAL);
    }
    Ok(KeyOutput { printed, status })
}

/// Waits until `pipe` has bytes or has ended. Returns false if neither happens within `timeout`.
fn wait_until_readable(pipe: &ChildStdout, timeout: Duration) -> bool {
    let timeout = Timespec::try_from(timeout).ok();
    let mut fds = [PollFd::new(pipe, PollFlags::IN)];
    poll(&mut fds, timeout.as_ref()).is_ok_and(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_key_script(script: &str) -> Result<Secret, String> {
        let words = ["sh", "-c", script].map(str::to_owned);
        run_key_command(&words).map_err(|error| error.to_string())
    }

    #[test]
    fn key_is_trimmed_and_arguments_are_literal() {
        // Blank lines and spaces around the API key are ignored.
        assert_eq!(run_key_script("echo; echo '  bb_test_1 '").unwrap().expose(), "bb_test_1");
        // keepwatch itself starts no shell, which would replace `$HOME` and run `true`.
        let words = ["echo", "$HOME;true"].map(str::to_owned);
        assert_eq!(run_key_command(&words).unwrap().expose(), "$HOME;true");
    }

    #[test]
    fn failed_key_command_hides_output() {
        for (script, expected) in [
            ("echo cAnArY; exit 7", "exit status: 7"),
            ("kill -9 $$", "signal: 9"),
            ("true", "holds no key"),
            ("echo cAnArY; echo login: me", "holds characters"),
            ("yes cAnArY", "holds more than 4096 bytes, which is no key"),
            ("read line && echo cAnArY", "exit status"), // fails, because standard input is empty
        ] {
            let message = run_key_script(script).unwrap_err();
            assert!(message.contains(expected) && !message.contains("cAnArY"), "{message}");
        }
        let missing = run_key_command(&["/no/such\u{1b}program".to_owned()]).unwrap_err().to_string();
        assert!(missing.contains("“/no/such·program” can not be run"), "{missing}");
    }

    /// The path of a file with a process id. Kills the process when dropped.
    struct KillOnDrop(std::path::PathBuf);

    impl Drop for KillOnDrop {
        fn drop(&mut self) {
            let pid = std::fs::read_to_string(&self.0).unwrap_or_default();
            let pid = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
            let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
        }
    }

    #[test]
    fn key_line_ends_the_wait() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let _guard = KillOnDrop(pid_file.clone());
        // An agent in the background keeps the output open.
        let agent = format!("sleep 600 & echo $! > {}", pid_file.display());
        for (script, expected) in [
            (format!("{agent}; echo bb_test_1"), Ok("bb_test_1")),
            (format!("{agent}; printf bb_test_2"), Ok("bb_test_2")),
            (format!("{agent}; echo cAnArY; exit 7"), Err("exit status: 7")),
            (format!("{agent}; echo cAnArY; echo login: me"), Err("holds characters")),
            // These programs themselves keep running. The first one leaves its output open, the second one closes it.
            ("echo bb_test_3; sleep 60; exit 9".to_owned(), Ok("bb_test_3")),
            ("echo bb_test_4; exec >&-; sleep 60; exit 9".to_owned(), Ok("bb_test_4")),
        ] {
            match (run_key_script(&script), expected) {
                (Ok(key), Ok(expected)) => assert_eq!(key.expose(), expected, "{script}"),
                (Err(message), Err(expected)) => {
                    assert!(message.contains(expected) && !message.contains("cAnArY"), "{script}: {message}");
                }
                (outcome, _) => panic!("{script}: {outcome:?}"),
            }
            drop(KillOnDrop(pid_file.clone())); // kills the script's agent
        }
    }
}
