//! What whole-program tests share: the program on a pseudo-terminal, the simulator beside it, and the canaries, secrets
//! that are searched for in everything that came out.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::num::NonZeroU16;
use std::process::{self, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use browserbase_simulator::{Control, RequestCounts, RequestLogEntry, Scenario, Simulator, SimulatorOptions};
use keepwatch_core::clock::Clock;
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// The key that every test gives, and that no output may show.
pub(crate) const KEY: &str = "bb_live_CANARYdoNotShowMe7c31";

/// Longer than anything takes on a busy machine; reached only by a failure. Shorter than the longest delay before a retry, which
/// is at least 45 s: a program that waits for so long after a first failure fails its test.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(40);

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_keepwatch");

/// A deadline for conditions: tests wait for them, never for time.
pub(crate) fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a deadline for a test that would hang")]
    Instant::now()
}

/// Runs `test` on a clock that is `speed` times as fast as the real one. A busy machine falls behind such a clock, so a test
/// that fails runs again, five and 25 times slower: what is wrong at every speed is wrong.
#[expect(clippy::print_stderr, reason = "the panic before it is printed too")]
pub(crate) fn at_speed(speed: u32, test: impl Fn(u32)) {
    for slower in [speed, speed / 5] {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(slower))) {
            Ok(()) => return,
            Err(_) => eprintln!("failed on a clock that is {slower} times as fast; again on a slower one"),
        }
    }
    test((speed / 25).max(1));
}

/// A simulator on a thread of its own.
pub(crate) struct TestSimulator {
    pub(crate) url: String,
    pub(crate) control: Control,
    simulator: Arc<Simulator>,
    _end: tokio::sync::oneshot::Sender<()>,
}

impl TestSimulator {
    /// Serves the scenario in `toml`; only [`KEY`] is let in.
    pub(crate) fn serve(toml: &str) -> Self {
        Self::start(Scenario::parse(toml).unwrap())
    }

    pub(crate) fn start(script: Scenario) -> Self {
        Self::start_with_clock(Clock::system(), script)
    }

    /// Serves `script`, whose timeline goes by `clock`.
    pub(crate) fn start_with_clock(clock: Clock, script: Scenario) -> Self {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let key = Some(keepwatch_core::session::Secret::new(KEY.into()));
                let options = SimulatorOptions { api_key: key, ..SimulatorOptions::default() };
                let simulator = Arc::new(Simulator::start(clock, script, options).unwrap());
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

    /// The connect URLs that were handed out.
    pub(crate) fn connect_urls(&self) -> Vec<String> {
        self.simulator.connect_urls().iter().map(|url| url.expose().to_owned()).collect()
    }
}

/// Waits until `holds`, looking often, and says how long that took.
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) -> Duration {
    let begun = now();
    while !holds() {
        assert!(begun.elapsed() < TEST_TIMEOUT, "never: {what}");
        thread::yield_now();
        thread::park_timeout(Duration::from_millis(5));
    }
    begun.elapsed()
}

/// Waits for the end of `child`. Kills it and panics if it does not end within [`PATIENCE`].
pub(crate) fn wait_for_exit(child: &mut process::Child) -> process::ExitStatus {
    let end = now() + TEST_TIMEOUT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if now() > end {
            let _ = child.kill();
            panic!("the process {} did not end", child.id());
        }
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// Runs `command` to its end without input and returns its output. Panics if it does not end within [`PATIENCE`].
pub(crate) fn output(command: &mut process::Command) -> process::Output {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    collect_output(command.spawn().unwrap())
}

/// Reads the output of `child` until its end. Panics if it does not end within [`PATIENCE`].
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

/// Reads lines on a thread, so that a test can wait for one with a time limit. Reading stops when the receiver is dropped.
pub(crate) fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    let pipe = BufReader::new(pipe);
    thread::spawn(move || pipe.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}

/// The environment of every program that a test starts: nothing of the machine's but the way to its tools. Without a home
/// there is no journal: what one test saw is nothing to another.
pub(crate) fn clean_env() -> Vec<(String, String)> {
    let path = std::env::var("PATH").unwrap_or_default();
    [("PATH", path.as_str()), ("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("TZ", "UTC")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// What the terminal was told beside what it shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct OscOutput {
    /// What was sent to its clipboard, base64.
    pub(crate) clipboard: Vec<String>,
    pub(crate) titles: Vec<String>,
    /// Sequences that a terminal may not know.
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
    raw: Vec<u8>,
    closed: bool,
    read_mode: ReadMode,
    /// Nobody reads, and nobody will before that is changed.
    stopped: bool,
}

/// How the terminal takes what the program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMode {
    /// As it comes.
    Quickly,
    /// Some thousand bytes a second: a modem, a bad line.
    Slowly,
    /// Not at all, as after Ctrl-S.
    Stopped,
    /// Never again: it goes away.
    Closing,
}

/// A program on a pseudo-terminal.
pub(crate) struct Terminal {
    master: Option<Box<dyn MasterPty + Send>>,
    input: Option<Box<dyn Write + Send>>,
    child: Box<dyn Child + Send + Sync>,
    state: Arc<(Mutex<TerminalState>, Condvar)>,
    modes_before: String,
    /// Says that the thread that reads the terminal is gone.
    reader: Receiver<()>,
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

impl Terminal {
    /// Starts `command` on a terminal of this size. `env` is added to [`clean_env`].
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
        let parser = vt100::Parser::new_with_callbacks(cells(rows), cells(columns), 0, OscOutput::default());
        let seen = Arc::new((
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
        let (done, reader) = channel();
        let into = Arc::clone(&seen);
        thread::spawn(move || {
            let mut buffer = [0; 65536];
            loop {
                let mut seen = into.0.lock().unwrap();
                seen.stopped = seen.read_mode == ReadMode::Stopped;
                into.1.notify_all();
                let seen = into.1.wait_while(seen, |seen| seen.read_mode == ReadMode::Stopped).unwrap();
                let reading = seen.read_mode;
                drop(seen);
                let most = if reading == ReadMode::Slowly { 24 } else { buffer.len() };
                let count = if reading == ReadMode::Closing {
                    0
                } else {
                    output.read(&mut buffer[..most]).unwrap_or(0)
                };
                if reading == ReadMode::Slowly {
                    thread::park_timeout(Duration::from_millis(5));
                }
                let mut seen = into.0.lock().unwrap();
                seen.parser.process(&buffer[..count]);
                seen.raw.extend_from_slice(&buffer[..count]);
                seen.closed = count == 0;
                into.1.notify_all();
                if count == 0 || seen.read_mode == ReadMode::Closing {
                    drop(output);
                    let _ = done.send(());
                    return;
                }
            }
        });
        Self { master: Some(pair.master), input: Some(input), child, state: seen, modes_before, reader }
    }

    /// `keepwatch ARGS`, pointed at `api`, with the canary key.
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

    /// Waits until the screen's text contains `text`, and returns all of it.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contents().contains(text))
    }

    /// Waits until the screen is as `holds` wants it.
    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn(&vt100::Screen) -> bool) -> String {
        let end = now() + TEST_TIMEOUT;
        let mut seen = self.state_guard();
        loop {
            if holds(seen.parser.screen()) {
                return seen.parser.screen().contents();
            }
            let left = end.saturating_duration_since(now());
            assert!(
                !left.is_zero() && !seen.closed,
                "never on the screen: {what}\n{}",
                seen.parser.screen().contents()
            );
            seen = self.state.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Waits until the terminal was told what `holds` wants.
    pub(crate) fn wait_for_osc(&self, what: &str, holds: impl Fn(&OscOutput) -> bool) -> OscOutput {
        let end = now() + TEST_TIMEOUT;
        let mut seen = self.state_guard();
        loop {
            if holds(seen.parser.callbacks()) {
                return seen.parser.callbacks().clone();
            }
            let left = end.saturating_duration_since(now());
            assert!(!left.is_zero() && !seen.closed, "the terminal was never told: {what}");
            seen = self.state.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(keys.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.state_guard().parser.set_size(cells(rows), cells(columns));
        self.master.as_ref().unwrap().resize(size(columns, rows)).unwrap();
    }

    pub(crate) fn screen(&self) -> String {
        self.state_guard().parser.screen().contents()
    }

    /// Every byte that the program wrote.
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

    /// From the next bytes on, the terminal takes what is written so.
    pub(crate) fn set_read_mode(&self, reading: ReadMode) {
        self.state_guard().read_mode = reading;
        self.state.1.notify_all();
    }

    /// From now on the terminal takes nothing. Whoever reads it learns that with the next bytes: where none are on their way, the
    /// screen is drawn anew for some.
    pub(crate) fn stop_reading(&mut self) {
        self.set_read_mode(ReadMode::Stopped);
        let end = now() + TEST_TIMEOUT;
        while !self.state_guard().stopped {
            assert!(now() < end, "the terminal did not stand still");
            self.press("\x0c");
            thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Closes the terminal under the program, which has to draw once more for it: the reader is in the way until then.
    pub(crate) fn close(&mut self) {
        self.set_read_mode(ReadMode::Closing);
        self.reader.recv_timeout(TEST_TIMEOUT).unwrap();
        self.input = None;
        self.master = None;
    }

    /// Waits for the program's end.
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        let end = now() + TEST_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(now() < end, "it never ended; the screen:\n{}", self.screen());
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Waits for the program's end, and until all that it wrote is read.
    pub(crate) fn wait_for_exit_and_output(&mut self) -> ExitStatus {
        let status = self.wait_for_exit();
        let end = now() + TEST_TIMEOUT;
        let mut seen = self.state_guard();
        while !seen.closed {
            let left = end.saturating_duration_since(now());
            assert!(!left.is_zero(), "the terminal never closed");
            seen = self.state.1.wait_timeout(seen, left).unwrap().0;
        }
        drop(seen);
        status
    }

    /// [`Terminal::wait_for_exit`], and how long that took.
    pub(crate) fn timed_exit(&mut self) -> (ExitStatus, Duration) {
        let begun = now();
        (self.wait_for_exit(), begun.elapsed())
    }

    /// Waits for the program's end and holds that the terminal is as it was: cooked, on its main screen, with its cursor and
    /// its title.
    pub(crate) fn wait_for_restored_exit(&mut self) -> ExitStatus {
        let status = self.wait_for_exit_and_output();
        let master = self.master.as_ref().unwrap();
        assert_eq!(
            format!("{:?}", master.get_termios()),
            self.modes_before,
            "the line discipline is as it was"
        );
        // The last bytes may still be on their way from the pty to the reader.
        self.wait_for_modes(|screen| {
            !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste()
        });
        let raw = self.raw();
        let kept = |sequence: &[u8]| raw.windows(sequence.len()).filter(|at| *at == sequence).count();
        assert_eq!(
            kept(b"\x1b[22;0t"),
            kept(b"\x1b[23;0t"),
            "the title is given back as often as it is kept"
        );
        status
    }

    fn wait_for_modes(&self, holds: impl Fn(&vt100::Screen) -> bool) {
        let end = now() + TEST_TIMEOUT;
        let mut seen = self.state_guard();
        while !holds(seen.parser.screen()) {
            let left = end.saturating_duration_since(now());
            assert!(!left.is_zero(), "the terminal's modes were not given back");
            seen = self.state.1.wait_timeout(seen, left.min(Duration::from_millis(50))).unwrap().0;
        }
    }

    /// Holds that no canary is in anything that the program wrote, but for what `allowed` says was meant to go out.
    pub(crate) fn assert_no_secrets(&self, api: &TestSimulator, allowed: &[&str]) {
        let raw = String::from_utf8_lossy(&self.raw()).into_owned();
        assert!(!raw.contains(KEY), "the key was shown");
        for url in api.connect_urls() {
            let key = url.split("signingKey=").nth(1).unwrap_or(&url);
            let meant = allowed.iter().any(|it| it.contains(key));
            assert!(meant || !raw.contains(key), "a signing key was shown: {url}");
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
