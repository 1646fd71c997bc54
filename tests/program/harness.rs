//! Shared parts of the whole-program tests: the program on a pseudo-terminal, the simulator that it talks to, and a
//! search for secrets in everything that the program wrote.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::num::NonZeroU16;
use std::process::{self, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use browserbase_simulator::{
    Control, Offset, RequestCounts, RequestLogEntry, Scenario, Simulator, SimulatorOptions,
};
use keepwatch_core::clock::Clock;
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// The API key that every test passes to the program. No output may contain it.
pub(crate) const KEY: &str = "bb_live_CANARYdoNotShowMe7c31";

/// Longest time that a test waits for a condition. Even on a busy machine nothing takes this long, so a test reaches
/// the limit only if it fails. It is shorter than the program's longest retry delay, which is at least 45 s: a program
/// that wrongly waits that long after a first failure fails its test.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(40);

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_keepwatch");

/// Returns the real time, for deadlines only: tests wait for conditions, never for time.
pub(crate) fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a deadline for tests that would hang")]
    Instant::now()
}

/// Runs `test` on a clock that is `speed` times as fast as the real one. A busy machine falls behind such a clock, so a
/// test that fails runs again on clocks 5 and 25 times slower. A test that fails at every speed fails.
#[expect(clippy::print_stderr, reason = "the panic before it is printed too")]
pub(crate) fn at_speed(speed: u32, test: impl Fn(u32)) {
    for attempt_speed in [speed, speed / 5] {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(attempt_speed))) {
            Ok(()) => return,
            Err(_) => eprintln!("failed on a clock {attempt_speed} times as fast; retrying on a slower one"),
        }
    }
    test((speed / 25).max(1));
}

/// A simulator that runs on its own thread until it is dropped.
pub(crate) struct TestSimulator {
    pub(crate) url: String,
    pub(crate) control: Control,
    simulator: Arc<Simulator>,
    /// Ends the simulator's thread when it is dropped.
    _end: tokio::sync::oneshot::Sender<()>,
}

impl TestSimulator {
    /// Serves the scenario in `toml`. The simulator accepts only [`KEY`].
    pub(crate) fn serve(toml: &str) -> Self {
        Self::start(Scenario::parse(toml).unwrap())
    }

    pub(crate) fn start(scenario: Scenario) -> Self {
        Self::start_with_clock(Clock::system(), scenario)
    }

    /// Serves `scenario`, with its timeline on `clock`.
    pub(crate) fn start_with_clock(clock: Clock, scenario: Scenario) -> Self {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let key = Some(keepwatch_core::session::Secret::new(KEY.into()));
                let options = SimulatorOptions { api_key: key, ..SimulatorOptions::default() };
                let simulator = Arc::new(Simulator::start(clock, scenario, options).unwrap());
                sender.send(Arc::clone(&simulator)).unwrap();
                let _ = ended.await;
            });
        });
        let shared = receiver.recv().unwrap();
        Self { url: shared.base_url(), control: shared.control(), simulator: shared, _end: end }
    }

    pub(crate) fn log(&self) -> Vec<RequestLogEntry> {
        self.simulator.request_log()
    }

    pub(crate) fn counts(&self) -> RequestCounts {
        self.simulator.request_counts()
    }

    /// Returns the connect URLs that the simulator has sent.
    pub(crate) fn connect_urls(&self) -> Vec<String> {
        self.simulator.connect_urls().iter().map(|url| url.expose().to_owned()).collect()
    }
}

/// Checks `condition` until it is true, and returns how long that took. Panics after [`TEST_TIMEOUT`].
pub(crate) fn wait_until(description: &str, condition: impl Fn() -> bool) -> Duration {
    let start = now();
    while !condition() {
        assert!(start.elapsed() < TEST_TIMEOUT, "timed out waiting for: {description}");
        thread::yield_now();
        thread::park_timeout(Duration::from_millis(5));
    }
    start.elapsed()
}

/// Waits until the simulator's clock reaches `at`.
pub(crate) fn wait_for_time(api: &TestSimulator, at: Offset) {
    while api.control.now() < at {
        thread::park_timeout(at.minus(api.control.now()).to_duration().min(Duration::from_millis(50)));
    }
}

/// Waits until `child` exits. Kills it and panics after [`TEST_TIMEOUT`].
pub(crate) fn wait_for_exit(child: &mut process::Child) -> process::ExitStatus {
    let deadline = now() + TEST_TIMEOUT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if now() > deadline {
            let _ = child.kill();
            panic!("process {} did not exit", child.id());
        }
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// Runs `command` without input and returns its output. Panics if it does not exit within [`TEST_TIMEOUT`].
pub(crate) fn output(command: &mut process::Command) -> process::Output {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    collect_output(command.spawn().unwrap())
}

/// Reads all output of `child` and waits for its exit. Panics if it does not exit within [`TEST_TIMEOUT`].
pub(crate) fn collect_output(mut child: process::Child) -> process::Output {
    fn read(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            bytes
        })
    }
    let (stdout, stderr) = (read(child.stdout.take().unwrap()), read(child.stderr.take().unwrap()));
    let status = wait_for_exit(&mut child);
    process::Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// Reads lines on a thread, so that a test can wait for one with a timeout. Reading stops when the receiver is dropped.
pub(crate) fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    let pipe = BufReader::new(pipe);
    thread::spawn(move || pipe.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}

/// Returns true if `command`, which prints the version of a program, succeeds on this machine. If not, prints a notice
/// that tests of the program are skipped.
#[expect(clippy::print_stderr, reason = "names the missing program")]
pub(crate) fn is_installed(command: &mut process::Command) -> bool {
    let found = command.output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("\n  SKIPPED: {} is not installed.\n", command.get_program().display());
    }
    found
}

/// Returns the environment of every program that a test starts. Only `PATH` comes from this machine. Without `HOME`
/// there is no journal, so tests do not see each other's sessions.
pub(crate) fn clean_env() -> Vec<(String, String)> {
    let path = std::env::var("PATH").unwrap_or_default();
    [("PATH", path.as_str()), ("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("TZ", "UTC")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// Output that the terminal does not display: window titles and other OSC sequences.
#[derive(Clone, Debug, Default)]
pub(crate) struct OscOutput {
    /// Clipboard contents, base64-encoded, in the order sent.
    pub(crate) clipboard: Vec<String>,
    pub(crate) titles: Vec<String>,
    /// OSC sequences other than titles and clipboard writes.
    pub(crate) unknown: Vec<String>,
}

impl vt100::Callbacks for OscOutput {
    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.titles.push(String::from_utf8_lossy(title).into_owned());
    }

    fn copy_to_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8], data: &[u8]) {
        self.clipboard.push(String::from_utf8_lossy(data).into_owned());
    }

    fn unhandled_osc(&mut self, _: &mut vt100::Screen, parts: &[&[u8]]) {
        self.unknown
            .push(parts.iter().map(|part| String::from_utf8_lossy(part)).collect::<Vec<_>>().join(";"));
    }
}

struct TerminalState {
    parser: vt100::Parser<OscOutput>,
    /// All output of the program.
    raw: Vec<u8>,
    /// True after the end of the output.
    closed: bool,
    read_mode: ReadMode,
    /// True while the reader thread waits for the end of [`ReadMode::Stopped`].
    stopped: bool,
}

/// Speed at which the terminal reads the program's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMode {
    /// As fast as the program writes.
    Quickly,
    /// At most 24 bytes every 5 ms, like a modem or a bad line.
    Slowly,
    /// No reading, as after Ctrl-S.
    Stopped,
    /// No reading ever again: the terminal is about to close.
    Closing,
}

/// A program on a pseudo-terminal.
pub(crate) struct Terminal {
    master: Option<Box<dyn MasterPty + Send>>,
    /// Sends keystrokes to the program. `None` after [`Terminal::close`].
    input: Option<Box<dyn Write + Send>>,
    child: Box<dyn Child + Send + Sync>,
    /// The state, and a condition variable that is notified of each change to it.
    state: Arc<(Mutex<TerminalState>, Condvar)>,
    /// The terminal's modes before the program started, as `Debug` formats them.
    modes_before: String,
    /// Receives a message when the reader thread ends.
    reader_ended: Receiver<()>,
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

fn non_zero(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

impl Terminal {
    /// Starts `command` on a terminal of this size, with the environment [`clean_env`] plus `env`.
    pub(crate) fn start(command: &[&str], env: &[(&str, &str)], columns: u16, rows: u16) -> Self {
        let pair = native_pty_system().openpty(size(columns, rows)).unwrap();
        let modes_before = format!("{:?}", pair.master.get_termios());
        let mut builder = CommandBuilder::new(command[0]);
        builder.args(&command[1..]);
        builder.env_clear();
        for (name, value) in clean_env() {
            builder.env(name, value);
        }
        for (name, value) in env {
            builder.env(name, value);
        }
        let child = pair.slave.spawn_command(builder).unwrap();
        drop(pair.slave);
        let parser =
            vt100::Parser::new_with_callbacks(non_zero(rows), non_zero(columns), 0, OscOutput::default());
        let state = Arc::new((
            Mutex::new(TerminalState {
                parser,
                raw: Vec::new(),
                closed: false,
                read_mode: ReadMode::Quickly,
                stopped: false,
            }),
            Condvar::new(),
        ));
        let mut output = pair.master.try_clone_reader().unwrap();
        let input = pair.master.take_writer().unwrap();
        let (end_sender, reader_ended) = channel();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            let mut buffer = [0; 65536];
            loop {
                let mut state = shared.0.lock().unwrap();
                state.stopped = state.read_mode == ReadMode::Stopped;
                shared.1.notify_all();
                let state = shared.1.wait_while(state, |state| state.read_mode == ReadMode::Stopped).unwrap();
                let read_mode = state.read_mode;
                drop(state);
                let max_count = if read_mode == ReadMode::Slowly { 24 } else { buffer.len() };
                let count = if read_mode == ReadMode::Closing {
                    0
                } else {
                    output.read(&mut buffer[..max_count]).unwrap_or(0)
                };
                if read_mode == ReadMode::Slowly {
                    thread::park_timeout(Duration::from_millis(5));
                }
                let mut state = shared.0.lock().unwrap();
                state.parser.process(&buffer[..count]);
                state.raw.extend_from_slice(&buffer[..count]);
                state.closed = count == 0;
                shared.1.notify_all();
                if count == 0 || state.read_mode == ReadMode::Closing {
                    drop(output);
                    let _ = end_sender.send(());
                    return;
                }
            }
        });
        Self { master: Some(pair.master), input: Some(input), child, state, modes_before, reader_ended }
    }

    /// Starts `keepwatch ARGS` against `api`, with the API key [`KEY`].
    pub(crate) fn keepwatch(
        api: &TestSimulator,
        args: &[&str],
        env: &[(&str, &str)],
        columns: u16,
        rows: u16,
    ) -> Self {
        let command: Vec<&str> = std::iter::once(PROGRAM).chain(args.iter().copied()).collect();
        let mut all = vec![("BROWSERBASE_BASE_URL", api.url.as_str()), ("BROWSERBASE_API_KEY", KEY)];
        all.extend_from_slice(env);
        Self::start(&command, &all, columns, rows)
    }

    fn state_guard(&self) -> MutexGuard<'_, TerminalState> {
        self.state.0.lock().unwrap()
    }

    /// Waits until the screen contains `text`, and returns the whole screen.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contents().contains(text))
    }

    /// Waits until `condition` is true of the screen, and returns the whole screen.
    pub(crate) fn wait_until(&self, description: &str, condition: impl Fn(&vt100::Screen) -> bool) -> String {
        let deadline = now() + TEST_TIMEOUT;
        let mut state = self.state_guard();
        loop {
            if condition(state.parser.screen()) {
                return state.parser.screen().contents();
            }
            let left = deadline.saturating_duration_since(now());
            assert!(
                !left.is_zero() && !state.closed,
                "not on the screen: {description}\n{}",
                state.parser.screen().contents()
            );
            state = self.state.1.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits until `condition` is true of the OSC output, and returns that output.
    pub(crate) fn wait_for_osc(
        &self,
        description: &str,
        condition: impl Fn(&OscOutput) -> bool,
    ) -> OscOutput {
        let deadline = now() + TEST_TIMEOUT;
        let mut state = self.state_guard();
        loop {
            if condition(state.parser.callbacks()) {
                return state.parser.callbacks().clone();
            }
            let left = deadline.saturating_duration_since(now());
            assert!(!left.is_zero() && !state.closed, "the terminal did not get: {description}");
            state = self.state.1.wait_timeout(state, left).unwrap().0;
        }
    }

    pub(crate) fn press(&mut self, keystrokes: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(keystrokes.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.state_guard().parser.set_size(non_zero(rows), non_zero(columns));
        self.master.as_ref().unwrap().resize(size(columns, rows)).unwrap();
    }

    pub(crate) fn screen(&self) -> String {
        self.state_guard().parser.screen().contents()
    }

    /// Returns every byte that the program wrote to the terminal.
    pub(crate) fn raw(&self) -> Vec<u8> {
        self.state_guard().raw.clone()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Changes the reading speed, from the next bytes on.
    pub(crate) fn set_read_mode(&self, read_mode: ReadMode) {
        self.state_guard().read_mode = read_mode;
        self.state.1.notify_all();
    }

    /// Stops reading, and returns once the reader thread has stopped. A read that waits for bytes must return first, so
    /// this method presses Ctrl-L, which makes the program redraw, until then.
    pub(crate) fn stop_reading(&mut self) {
        self.set_read_mode(ReadMode::Stopped);
        let deadline = now() + TEST_TIMEOUT;
        while !self.state_guard().stopped {
            assert!(now() < deadline, "the terminal did not stop reading");
            self.press("\x0c");
            thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Closes the terminal while the program runs. The program must draw once more first: until then the reader thread
    /// waits in a read and keeps the terminal open.
    pub(crate) fn close(&mut self) {
        self.set_read_mode(ReadMode::Closing);
        self.reader_ended.recv_timeout(TEST_TIMEOUT).unwrap();
        self.input = None;
        self.master = None;
    }

    /// Waits until the program exits.
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        let deadline = now() + TEST_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(now() < deadline, "the program did not exit; the screen:\n{}", self.screen());
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Waits until the program exits and all of its output is read.
    pub(crate) fn wait_for_exit_and_output(&mut self) -> ExitStatus {
        let status = self.wait_for_exit();
        let deadline = now() + TEST_TIMEOUT;
        let mut state = self.state_guard();
        while !state.closed {
            let left = deadline.saturating_duration_since(now());
            assert!(!left.is_zero(), "the terminal did not close");
            state = self.state.1.wait_timeout(state, left).unwrap().0;
        }
        drop(state);
        status
    }

    /// Waits until the program exits. Returns its exit status, and how long it took to exit.
    pub(crate) fn timed_exit(&mut self) -> (ExitStatus, Duration) {
        let start = now();
        (self.wait_for_exit(), start.elapsed())
    }

    /// Waits until the program exits and asserts that the terminal is restored: cooked, on its main screen, with its
    /// cursor and its title.
    pub(crate) fn wait_for_restored_exit(&mut self) -> ExitStatus {
        let status = self.wait_for_exit_and_output();
        let master = self.master.as_ref().unwrap();
        assert_eq!(
            format!("{:?}", master.get_termios()),
            self.modes_before,
            "the terminal's modes are restored"
        );
        self.wait_for_modes(|screen| {
            !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste()
        });
        let raw = self.raw();
        let count = |sequence: &[u8]| raw.windows(sequence.len()).filter(|at| *at == sequence).count();
        // 22 saves the title on the terminal's stack, 23 restores it.
        assert_eq!(
            count(b"\x1b[22;0t"),
            count(b"\x1b[23;0t"),
            "the title is restored as often as it is saved"
        );
        status
    }

    fn wait_for_modes(&self, condition: impl Fn(&vt100::Screen) -> bool) {
        let deadline = now() + TEST_TIMEOUT;
        let mut state = self.state_guard();
        while !condition(state.parser.screen()) {
            let left = deadline.saturating_duration_since(now());
            assert!(!left.is_zero(), "timed out waiting for: the terminal's modes are restored");
            state = self.state.1.wait_timeout(state, left.min(Duration::from_millis(50))).unwrap().0;
        }
    }

    /// Asserts that the program did not write its API key, nor any signing key except the ones in the URLs `allowed`.
    pub(crate) fn assert_no_secrets(&self, api: &TestSimulator, allowed: &[&str]) {
        let raw = String::from_utf8_lossy(&self.raw()).into_owned();
        assert!(!raw.contains(KEY), "the API key is not shown");
        for url in api.connect_urls() {
            let signing_key = url.split("signingKey=").nth(1).unwrap_or(&url);
            let is_allowed = allowed.iter().any(|url| url.contains(signing_key));
            assert!(is_allowed || !raw.contains(signing_key), "only allowed signing keys are shown: {url}");
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
