//! Measures terminal programs: the time of a start, the CPU time and memory of a running program, and the time from a
//! keystroke to a change on the screen. Runs on Linux only, because it reads `/proc`. docs/performance.md has the
//! commands and the results.
//!
//! ```sh
//! cargo run --release -p keepwatch-benches --bin measure -- 'keepwatch=target/release/keepwatch -i 2s' 'htop=htop'
//! ```
//!
//! The commands run one after the other, each on its own terminal of 120 columns and 40 rows. A `!` at the end of a
//! label marks a program that shows no sessions: the measurement does not wait for `RUNNING` on that program's screen.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "this program measures time, and should stop at its first error"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// The number of starts per program.
const STARTS: usize = 7;
/// The time from the first data on the screen to the measurement of the running program.
const WARM_UP: Duration = Duration::from_secs(5);
/// The length of the measurement of the running program.
const MEASUREMENT_TIME: Duration = Duration::from_secs(20);
/// The number of keystrokes per program.
const KEYSTROKES: usize = 100;
/// The pause between two keystrokes. A second is not a multiple of the pause, so that few keystrokes coincide with the
/// frames that programs draw every second without a keystroke.
const KEYSTROKE_PAUSE: Duration = Duration::from_millis(137);
/// The text that is on the screen as soon as the program has data.
const DATA_TEXT: &[u8] = b"RUNNING";
/// The maximum time to wait for a screen.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A program on its own terminal, with all of its output so far.
struct Program {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keyboard: Box<dyn std::io::Write + Send>,
    started: Instant,
    output: Output,
}

/// The output of a program, in chunks, each with the time when it was read.
type Output = Arc<Mutex<Vec<(Instant, Vec<u8>)>>>;

impl Program {
    fn start(command: &str) -> Self {
        let pair = native_pty_system();
        let pair = pair.openpty(PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 }).unwrap();
        let mut shell = CommandBuilder::new("/bin/sh");
        shell.args(["-c", &format!("exec {command}")]);
        shell.env("TERM", "xterm-256color");
        shell.cwd(std::env::current_dir().unwrap());
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keyboard = pair.master.take_writer().unwrap();
        let output = Output::default();
        let started = Instant::now();
        let child = pair.slave.spawn_command(shell).unwrap();
        let chunks = Arc::clone(&output);
        thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while let Some(bytes) = reader.read(&mut buffer).ok().and_then(|length| buffer.get(..length)) {
                if bytes.is_empty() {
                    break;
                }
                chunks.lock().unwrap().push((Instant::now(), bytes.to_owned()));
            }
        });
        Self { child, master: pair.master, keyboard, started, output }
    }

    /// Waits until the whole output so far meets the condition. Returns the time from the start of the program until
    /// then, or `None` after [`TIMEOUT`].
    fn wait_for_output(&self, is_met: impl Fn(&[u8]) -> bool) -> Option<Duration> {
        while self.started.elapsed() < TIMEOUT {
            let mut all = Vec::new();
            for (at, bytes) in self.output.lock().unwrap().iter() {
                all.extend_from_slice(bytes);
                if is_met(&all) {
                    return Some(at.duration_since(self.started));
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
        None
    }

    fn output_bytes(&self) -> usize {
        self.output.lock().unwrap().iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// Returns the process ids of the program and of all its descendants.
    fn process_ids(&self) -> Vec<u32> {
        let mut all = vec![self.child.process_id().unwrap()];
        let mut index = 0;
        while let Some(id) = all.get(index) {
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
            index += 1;
        }
        all
    }

    /// Returns the CPU time of the program and its descendants, including child processes that have exited.
    fn cpu_time(&self) -> Duration {
        let (mut nanos, mut ticks) = (0_u64, 0_u64);
        for process in self.process_ids() {
            let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
            for task in tasks {
                // The first field of `schedstat` is the time on the CPU, in nanoseconds.
                let schedstat = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
                nanos +=
                    schedstat.split_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or(0);
            }
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            // Fields 16 and 17 of `stat`: cutime and cstime, the time of children that have exited, in ticks of 10 ms.
            // Field 2, the name in parentheses, may contain blanks. So the split starts with field 3.
            let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
            ticks += fields
                .split_whitespace()
                .skip(13)
                .take(2)
                .filter_map(|field| field.parse::<u64>().ok())
                .sum::<u64>();
        }
        Duration::from_nanos(nanos) + Duration::from_millis(ticks * 10)
    }

    /// Returns the resident memory of the program and its descendants, in MiB.
    fn memory(&self) -> f64 {
        let resident_kib = |process: &u32| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0)
        };
        self.process_ids().iter().map(resident_kib).sum::<f64>() / 1024.0
    }

    /// Presses a key and returns the time until the first change on the screen. Only output with an escape sequence
    /// counts, because the terminal may echo the key itself.
    fn press(&mut self, key: u8) -> Option<Duration> {
        let chunks_before = self.output.lock().unwrap().len();
        let pressed = Instant::now();
        self.keyboard.write_all(&[key]).unwrap();
        self.keyboard.flush().unwrap();
        while pressed.elapsed() < Duration::from_secs(1) {
            let output = self.output.lock().unwrap();
            let mut new_chunks = output.iter().skip(chunks_before);
            if let Some((at, _)) = new_chunks.find(|(_, bytes)| bytes.contains(&0x1b)) {
                return Some(at.duration_since(pressed));
            }
            drop(output);
            thread::sleep(Duration::from_micros(50));
        }
        None
    }

    fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        drop(self.master);
    }
}

/// Returns the median, or `None` if there are no times.
fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

fn format_time(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".into(), |time| format!("{:.1} ms", time.as_secs_f64() * 1000.0))
}

/// Measures a program and prints the results as a row of a Markdown table.
fn measure(label: &str, command: &str) {
    let (label, shows_sessions) = label.strip_suffix('!').map_or((label, true), |label| (label, false));
    let (mut first_screens, mut first_data) = (Vec::new(), Vec::new());
    let has_data = |all: &[u8]| all.windows(DATA_TEXT.len()).any(|bytes| bytes == DATA_TEXT);
    for _ in 0..STARTS {
        let running = Program::start(command);
        // More than 40 letters are a screen: terminal modes and titles alone have fewer.
        first_screens.extend(
            running.wait_for_output(|all| all.iter().filter(|byte| byte.is_ascii_alphabetic()).count() > 40),
        );
        if shows_sessions {
            first_data.extend(running.wait_for_output(has_data));
        }
        running.kill();
    }
    let mut running = Program::start(command);
    running.wait_for_output(|all| !shows_sessions || has_data(all));
    thread::sleep(WARM_UP);
    let (cpu_before, bytes_before, begin) = (running.cpu_time(), running.output_bytes(), Instant::now());
    thread::sleep(MEASUREMENT_TIME);
    let seconds = begin.elapsed().as_secs_f64();
    let cpu_percent = running.cpu_time().saturating_sub(cpu_before).as_secs_f64() / seconds * 100.0;
    let bytes = running.output_bytes().saturating_sub(bytes_before);
    let memory = running.memory();
    let mut latencies = Vec::new();
    for key in b"jk".iter().cycle().take(KEYSTROKES) {
        thread::sleep(KEYSTROKE_PAUSE);
        latencies.extend(running.press(*key));
    }
    running.kill();
    latencies.sort_unstable();
    let p99 = latencies.get(latencies.len().saturating_sub(1 + latencies.len() / 100)).copied();
    println!(
        "| {label} | {} | {} | {cpu_percent:.2} % | {memory:.1} MiB | {:.0} B/s | {} ({}) |",
        format_time(median(first_screens)),
        format_time(median(first_data)),
        f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / seconds,
        format_time(median(latencies)),
        format_time(p99),
    );
}

fn main() {
    println!(
        "| | first screen | data on screen | CPU of one core | memory | to the terminal | key to screen (p99) |"
    );
    println!("| --- | --: | --: | --: | --: | --: | --: |");
    for argument in std::env::args().skip(1) {
        match argument.split_once('=') {
            Some((label, command)) => measure(label, command),
            None => println!("what is measured is LABEL=COMMAND, not {argument}"),
        }
    }
}
