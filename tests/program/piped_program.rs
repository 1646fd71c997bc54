//! Runs the program without a terminal. Tests read its output line by line. [`PipedProgram::finish`] searches the whole
//! output for secrets.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{KEY, PROGRAM, TEST_TIMEOUT, TestSimulator, clean_env, lines, wait_for_exit};

/// A running program whose output is read line by line.
pub(crate) struct PipedProgram {
    child: Child,
    lines: Receiver<String>,
    /// All lines read so far.
    out: String,
    /// Thread that reads standard error. `None` once it has been joined.
    err: Option<JoinHandle<String>>,
}

/// Exit code, standard output and standard error of a program.
pub(crate) struct ProgramOutput {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl PipedProgram {
    pub(crate) fn start(api: &TestSimulator, args: &[&str]) -> Self {
        Self::start_with_key(api, args, KEY)
    }

    pub(crate) fn start_with_key(api: &TestSimulator, args: &[&str], key: &str) -> Self {
        Self::start_at(&api.url, args, key, &[])
    }

    /// Starts `keepwatch ARGS` against `url`, with the environment [`clean_env`] plus `env`.
    pub(crate) fn start_at(url: &str, args: &[&str], key: &str, env: &[(String, String)]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(args)
            .env_clear()
            .envs(clean_env())
            .envs(env.iter().cloned())
            .env("BROWSERBASE_BASE_URL", url)
            .env("BROWSERBASE_API_KEY", key)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines(child.stdout.take().unwrap());
        let mut errors = child.stderr.take().unwrap();
        let err = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        Self { child, lines, out: String::new(), err: Some(err) }
    }

    /// Reads lines up to the next one that contains `text`, and returns that line.
    pub(crate) fn wait_for_line(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(TEST_TIMEOUT);
            let line = line.unwrap_or_else(|_| panic!("not printed: {text}\n{}", self.out));
            self.out.push_str(&format!("{line}\n"));
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Asserts that the program prints nothing for `time`.
    pub(crate) fn assert_silent_for(&mut self, time: Duration) {
        let line = self.lines.recv_timeout(time);
        assert!(line.is_err(), "nothing is printed for {time:?}, not {line:?} after\n{}", self.out);
    }

    /// Waits until the program exits, and asserts that it printed no secret.
    pub(crate) fn finish(self, api: &TestSimulator) -> ProgramOutput {
        let output = self.wait_for_exit();
        assert_no_secrets(api, &format!("{}{}", output.out, output.err));
        output
    }

    /// Waits until the program exits, and asserts that it did not panic and did not print its API key.
    pub(crate) fn wait_for_exit(mut self) -> ProgramOutput {
        let code = loop {
            match self.lines.recv_timeout(TEST_TIMEOUT) {
                Ok(line) => self.out.push_str(&format!("{line}\n")),
                Err(RecvTimeoutError::Disconnected) => break wait_for_exit(&mut self.child).code(),
                Err(RecvTimeoutError::Timeout) => panic!("the program did not exit:\n{}", self.out),
            }
        };
        let output = ProgramOutput {
            code,
            out: std::mem::take(&mut self.out),
            err: self.err.take().unwrap().join().unwrap(),
        };
        assert!(!output.err.contains("panicked"), "{}", output.err);
        assert!(!output.out.contains(KEY) && !output.err.contains(KEY), "{}{}", output.out, output.err);
        output
    }
}

impl Drop for PipedProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn assert_no_secrets(api: &TestSimulator, text: &str) {
    assert!(!text.contains(KEY), "the API key is not printed: {text}");
    for url in api.connect_urls() {
        assert!(!text.contains(url.split("signingKey=").nth(1).unwrap_or(&url)), "{url} is not printed");
    }
}
