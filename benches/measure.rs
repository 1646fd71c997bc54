//! What programs on a terminal cost, side by side: to start, to be left running, and to press a key. Linux only, for it
//! reads `/proc`. docs/performance.md has the commands and what came of them.
//!
//! ```sh
//! cargo run --release -p keepwatch-benches --bin measure -- 'keepwatch=target/release/keepwatch -i 2s' 'htop=htop'
//! ```
//!
//! Each command runs on a terminal of 120×40 of its own, one after the other. A label with a `!` at its end is of a program
//! that shows no sessions: it is not waited for until `RUNNING` is on the screen.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it measures time; what can not be measured stops where it is"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

const STARTS: usize = 7;
const WARM_UP: Duration = Duration::from_secs(5);
const STEADY: Duration = Duration::from_secs(20);
const KEYS: usize = 100;
/// Between two keys; no multiple of it is a second, in which programs draw by themselves.
const BETWEEN: Duration = Duration::from_millis(137);
const DATA: &[u8] = b"RUNNING";
const PATIENCE: Duration = Duration::from_secs(20);

/// A program on its terminal, and all that it wrote: when, and what.
struct Running {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keyboard: Box<dyn std::io::Write + Send>,
    begun: Instant,
    written: Written,
}

/// What was written when.
type Written = Arc<Mutex<Vec<(Instant, Vec<u8>)>>>;

impl Running {
    fn start(command: &str) -> Self {
        let pair = native_pty_system();
        let pair = pair.openpty(PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 }).unwrap();
        let mut shell = CommandBuilder::new("/bin/sh");
        shell.args(["-c", &format!("exec {command}")]);
        shell.env("TERM", "xterm-256color");
        shell.cwd(std::env::current_dir().unwrap());
        let mut output = pair.master.try_clone_reader().unwrap();
        let keyboard = pair.master.take_writer().unwrap();
        let written = Written::default();
        let begun = Instant::now();
        let child = pair.slave.spawn_command(shell).unwrap();
        let takes = Arc::clone(&written);
        thread::spawn(move || {
            let mut piece = [0; 65_536];
            while let Some(bytes) = output.read(&mut piece).ok().and_then(|length| piece.get(..length)) {
                if bytes.is_empty() {
                    break;
                }
                takes.lock().unwrap().push((Instant::now(), bytes.to_owned()));
            }
        });
        Self { child, master: pair.master, keyboard, begun, written }
    }

    /// When it first had written what `holds` wants, since its start.
    fn until(&self, holds: impl Fn(&[u8]) -> bool) -> Option<Duration> {
        while self.begun.elapsed() < PATIENCE {
            let mut all = Vec::new();
            for (at, bytes) in self.written.lock().unwrap().iter() {
                all.extend_from_slice(bytes);
                if holds(&all) {
                    return Some(at.duration_since(self.begun));
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
        None
    }

    fn bytes(&self) -> usize {
        self.written.lock().unwrap().iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// It and its children.
    fn family(&self) -> Vec<u32> {
        let mut all = vec![self.child.process_id().unwrap()];
        let mut at = 0;
        while let Some(of) = all.get(at) {
            let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
            at += 1;
        }
        all
    }

    /// The processor's time that it took, and that children took which are gone.
    fn cpu(&self) -> Duration {
        let (mut nanos, mut ticks) = (0_u64, 0_u64);
        for process in self.family() {
            let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
            for task in tasks {
                let stat = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
                nanos += stat.split_whitespace().next().and_then(|it| it.parse().ok()).unwrap_or(0);
            }
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            ticks += after
                .split_whitespace()
                .skip(13)
                .take(2)
                .filter_map(|it| it.parse::<u64>().ok())
                .sum::<u64>();
        }
        Duration::from_nanos(nanos) + Duration::from_millis(ticks * 10)
    }

    /// What it and its children have in memory, in MiB.
    fn memory(&self) -> f64 {
        let of = |process: &u32| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0)
        };
        self.family().iter().map(of).sum::<f64>() / 1024.0
    }

    /// How long it takes from a key to the first change on the screen after it; the key's own echo is none.
    fn key(&mut self, key: u8) -> Option<Duration> {
        let before = self.written.lock().unwrap().len();
        let pressed = Instant::now();
        self.keyboard.write_all(&[key]).unwrap();
        self.keyboard.flush().unwrap();
        while pressed.elapsed() < Duration::from_secs(1) {
            let written = self.written.lock().unwrap();
            let mut since = written.iter().skip(before);
            if let Some((at, _)) = since.find(|(_, bytes)| bytes.contains(&0x1b)) {
                return Some(at.duration_since(pressed));
            }
            drop(written);
            thread::sleep(Duration::from_micros(50));
        }
        None
    }

    fn end(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        drop(self.master);
    }
}

fn middle(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

fn text(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".into(), |time| format!("{:.1} ms", time.as_secs_f64() * 1000.0))
}

fn measure(label: &str, command: &str) {
    let (label, shows) = label.strip_suffix('!').map_or((label, true), |label| (label, false));
    let (mut first, mut data) = (Vec::new(), Vec::new());
    let has = |all: &[u8]| all.windows(DATA.len()).any(|bytes| bytes == DATA);
    for _ in 0..STARTS {
        let running = Running::start(command);
        // Modes and titles are not yet a screen.
        first.extend(running.until(|all| all.iter().filter(|byte| byte.is_ascii_alphabetic()).count() > 40));
        if shows {
            data.extend(running.until(has));
        }
        running.end();
    }
    let mut running = Running::start(command);
    running.until(|all| !shows || has(all));
    thread::sleep(WARM_UP);
    let (cpu, bytes, begun) = (running.cpu(), running.bytes(), Instant::now());
    thread::sleep(STEADY);
    let took = begun.elapsed().as_secs_f64();
    let cpu = running.cpu().saturating_sub(cpu).as_secs_f64() / took * 100.0;
    let bytes = running.bytes().saturating_sub(bytes);
    let memory = running.memory();
    let mut keys = Vec::new();
    for key in b"jk".iter().cycle().take(KEYS) {
        thread::sleep(BETWEEN);
        keys.extend(running.key(*key));
    }
    running.end();
    keys.sort_unstable();
    let worst = keys.get(keys.len().saturating_sub(1 + keys.len() / 100)).copied();
    println!(
        "| {label} | {} | {} | {cpu:.2} % | {memory:.1} MiB | {:.0} B/s | {} ({}) |",
        text(middle(first)),
        text(middle(data)),
        f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / took,
        text(middle(keys)),
        text(worst),
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
