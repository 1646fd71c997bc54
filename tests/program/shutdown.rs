//! Tests the ways in which the program exits or suspends. In each way, the program restores the terminal, unless the
//! terminal is closed.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{
    KEY, PROGRAM, ReadMode, TEST_TIMEOUT, Terminal, TestSimulator, lines, wait_for_exit, wait_until,
};

/// Longest time from the closing of the terminal to the exit of the program. Less than a second is usual. The rest is
/// for a busy machine.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Starts the demo, with an environment that would break a program that uses the network.
fn demo() -> Terminal {
    let unreachable = "http://127.0.0.1:1";
    let names = ["BROWSERBASE_BASE_URL", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"];
    let env = names.map(|name| (name, unreachable));
    let terminal = Terminal::start(&[PROGRAM, "demo"], &env, 100, 30);
    terminal.wait_for("RUNNING");
    terminal
}

#[test]
fn q_and_ctrl_c_restore_terminal() {
    for keystroke in ["q", "\x03"] {
        let mut terminal = demo();
        terminal.press(keystroke);
        assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0, "{keystroke:?}");
        let raw = String::from_utf8_lossy(&terminal.raw()).into_owned();
        assert_eq!(
            (raw.matches("\u{1b}[22;0t").count(), raw.matches("\u{1b}[23;0t").count()),
            (1, 1),
            "the title is saved once and restored once"
        );
    }
}

#[test]
fn signals_restore_terminal() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let mut terminal = demo();
        terminal.signal(signal);
        assert_eq!(terminal.wait_for_restored_exit().exit_code(), code, "{signal:?}");
    }
}

#[test]
fn closed_terminal_ends_program() {
    let mut terminal = demo();
    terminal.close();
    let (status, elapsed) = terminal.timed_exit();
    // The system's name of SIGHUP is `Hangup` or `hangup`.
    assert!(
        status.signal().is_some_and(|it| it.contains("angup")) || status.exit_code() == 129,
        "{status:?}"
    );
    assert!(elapsed < EXIT_TIMEOUT, "{elapsed:?}");
}

#[test]
fn closed_terminal_ends_program_that_ignores_sighup() {
    let script = format!("trap '' HUP; exec '{PROGRAM}' demo");
    let mut terminal = Terminal::start(&["/bin/sh", "-c", &script], &[], 100, 30);
    terminal.wait_for("RUNNING");
    terminal.close();
    let (status, elapsed) = terminal.timed_exit();
    assert_eq!(status.exit_code(), 129, "no signal kills the program");
    assert!(elapsed < EXIT_TIMEOUT, "{elapsed:?}");
}

#[test]
fn closed_stalled_terminal_ends_program() {
    let script = format!("trap '' HUP; exec '{PROGRAM}' demo");
    let mut terminal = Terminal::start(&["/bin/sh", "-c", &script], &[], 100, 30);
    terminal.wait_for("RUNNING");
    terminal.set_read_mode(ReadMode::Stopped);
    terminal.press(&"?\x0c".repeat(40)); // more frames than fit into a pty's buffer
    terminal.close();
    let (status, elapsed) = terminal.timed_exit();
    assert_eq!(status.exit_code(), 129);
    assert!(elapsed < EXIT_TIMEOUT, "{elapsed:?}");
}

/// Kills a process that would run for ever if the test fails.
#[cfg(target_os = "linux")]
struct KillOnDrop(rustix::process::Pid);

#[cfg(target_os = "linux")]
impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(self.0, Signal::KILL);
    }
}

/// The program gets no SIGHUP, because it runs in its own process session. It gets no write error, because it draws
/// nothing.
#[cfg(target_os = "linux")]
#[test]
fn watchdog_notices_silently_closed_terminal() {
    let api = TestSimulator::serve("[[session]]\nid = \"s-1\"\ncreated = \"-2m\"\nends = { at = \"0s\" }\n");
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let script = format!("setsid sh -c 'echo $$ > {}; exec {PROGRAM} s-1'; wait", pid_file.display());
    let env = [("BROWSERBASE_BASE_URL", api.url.as_str()), ("BROWSERBASE_API_KEY", KEY)];
    let mut terminal = Terminal::start(&["/bin/sh", "-c", &script], &env, 100, 30);
    terminal.wait_for("COMPLETED");
    let pid = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    let _guard = KillOnDrop(rustix::process::Pid::from_raw(pid).unwrap());
    let process = format!("/proc/{pid}/stat");
    // A zombie counts as gone.
    let is_gone = || std::fs::read_to_string(&process).map_or(true, |stat| stat.contains(") Z "));
    assert!(!is_gone());
    terminal.stop_reading();
    terminal.close();
    let elapsed = wait_until("the exit of the program", is_gone);
    assert!(elapsed < EXIT_TIMEOUT, "{elapsed:?}");
}

#[test]
fn ctrl_z_restores_terminal() {
    let mut terminal = Terminal::start(&["/bin/sh", "-i"], &[("PS1", "ready> ")], 100, 30);
    terminal.wait_for("ready>");
    terminal.press(&format!("set -m; '{PROGRAM}' demo\n"));
    terminal.wait_until("the screen", |screen| {
        screen.alternate_screen() && screen.contents().contains("RUNNING")
    });
    terminal.press("\x1a");
    terminal.wait_until("the shell", |screen| !screen.alternate_screen() && !screen.hide_cursor());
    terminal.wait_for("topped"); // Stopped, stopped
    terminal.press("fg\n");
    terminal.wait_until("the screen again", |screen| {
        screen.alternate_screen() && screen.contents().contains("RUNNING")
    });
    terminal.press("q");
    exit_shell(terminal);
}

/// Exits the shell once it shows its prompt. Before that, the exiting program would read the keystrokes.
fn exit_shell(mut shell: Terminal) {
    shell.wait_until("the shell's prompt", |screen| {
        !screen.alternate_screen() && screen.contents().trim_end().ends_with("ready>")
    });
    shell.press("exit\n");
    shell.wait_for_exit();
}

/// SIGTSTP from another process restores the terminal as Ctrl-Z does. After SIGCONT the program is in the background,
/// and leaves the terminal to the shell.
#[test]
fn sigtstp_restores_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let job = format!("sh -c 'echo $$ > {}; exec {PROGRAM} demo'", pid_file.display());
    let mut terminal = Terminal::start(&["/bin/sh", "-i"], &[("PS1", "ready> ")], 100, 30);
    terminal.wait_for("ready>");
    terminal.press(&format!("set -m; {job}\n"));
    let is_shown =
        |screen: &vt100::Screen| screen.alternate_screen() && screen.contents().contains("RUNNING");
    terminal.wait_until("the screen", is_shown);
    let pid = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    let send =
        |signal| rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
    send(Signal::TSTP);
    terminal.wait_until("the shell", |screen| !screen.alternate_screen() && !screen.hide_cursor());
    terminal.wait_for("topped");
    send(Signal::CONT);
    // The shell computes 42, so the echo of the typed command does not count as its output.
    terminal.press("echo still $((40 + 2))\n");
    terminal.wait_until("the shell's output", |screen| {
        !screen.alternate_screen() && screen.contents().contains("still 42")
    });
    terminal.press("fg\n");
    terminal.wait_until("the screen again", is_shown);
    terminal.press("q");
    exit_shell(terminal);
}

#[test]
fn hanging_poll_does_not_delay_exit() {
    let api = TestSimulator::serve("[[session]]\nid = \"s-1\"\n[[fault]]\non = \"all\"\nreply = \"hang\"\n");
    let mut terminal = Terminal::keepwatch(&api, &["s-1"], &[], 100, 30);
    terminal.wait_for("s-1");
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
}

#[test]
fn demo_without_terminal_streams_events() {
    use std::io::Read as _;
    let mut child = std::process::Command::new(PROGRAM)
        .arg("demo")
        .env_clear()
        .envs(crate::harness::clean_env())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = lines(child.stdout.take().unwrap());
    assert!(lines.recv_timeout(TEST_TIMEOUT).unwrap().contains("first seen"));
    drop(lines); // closes the pipe
    assert_eq!(wait_for_exit(&mut child).code(), Some(0));
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(err.contains("not a terminal") && err.contains("keepwatch events"), "{err}");
}

/// Runs in a child process: enters the screen and panics in the thread or task that `KEEPWATCH_PANIC_IN` names. With
/// `error`, drops the screen and does not panic.
#[test]
#[ignore = "a child process that other tests start on a terminal"]
fn child_that_panics() {
    use keepwatch::terminal::{Screen, channel};
    let Ok(location) = std::env::var("KEEPWATCH_PANIC_IN") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (events, _inbox) = channel();
    let mut screen = Screen::enter("panic", &events).unwrap();
    screen.draw(|frame| frame.buffer_mut().set_string(0, 0, "about to panic", ratatui::style::Style::new()));
    let panic_on_purpose = || panic!("on purpose");
    runtime.block_on(async {
        match location.as_str() {
            "error" => return, // drops the screen, as `?` does
            "thread" => drop(std::thread::spawn(panic_on_purpose)),
            "task" => drop(tokio::spawn(async move { panic_on_purpose() })),
            _ => panic_on_purpose(), // "loop": in the task of the event loop
        }
        std::future::pending::<()>().await;
    });
    drop(screen);
}

#[test]
fn error_restores_terminal() {
    let mut terminal = start_child("error");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
}

fn start_child(location: &str) -> Terminal {
    let this = std::env::current_exe().unwrap();
    let command =
        [this.to_str().unwrap(), "--exact", "shutdown::child_that_panics", "--ignored", "--nocapture"];
    Terminal::start(&command, &[("KEEPWATCH_PANIC_IN", location)], 100, 30)
}

#[test]
fn panic_in_any_thread_restores_terminal() {
    for location in ["thread", "task", "loop"] {
        let mut terminal = start_child(location);
        assert_eq!(terminal.wait_for_restored_exit().exit_code(), 101, "{location}");
        let screen = terminal.wait_for("on purpose");
        assert!(!screen.contains("about to panic"), "the report is on the main screen: {screen}");
    }
}

/// The number of SIGXCPU is 24 on Linux and on macOS.
#[test]
fn cpu_limit_restores_terminal() {
    let mut terminal = demo();
    terminal.signal(Signal::XCPU);
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 128 + 24);
}

/// By default, these signals end a program at once.
#[test]
fn unusual_signals_restore_terminal() {
    for signal in [Signal::ALARM, Signal::IO, Signal::PROF, Signal::USR1, Signal::USR2, Signal::VTALARM] {
        let mut terminal = demo();
        terminal.signal(signal);
        let code = terminal.wait_for_restored_exit().exit_code();
        assert_eq!(code, 128 + u32::try_from(signal.as_raw()).unwrap(), "{signal:?}");
    }
}

#[test]
fn file_size_limit_is_reported_on_screen() {
    let api = TestSimulator::serve("[[session]]\nid = \"s-1\"\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file").display().to_string();
    for (assignment, option, message) in [
        ("", format!("--record {path}"), "nothing more is recorded: File too large"),
        (&format!("KEEPWATCH_JOURNAL={path}-journal"), String::new(), "journal off"),
    ] {
        let script = format!("ulimit -f 0; {assignment} exec '{PROGRAM}' -i 1s {option}");
        let env = [("BROWSERBASE_BASE_URL", api.url.as_str()), ("BROWSERBASE_API_KEY", KEY)];
        let mut terminal = Terminal::start(&["/bin/sh", "-c", &script], &env, 120, 30);
        terminal.wait_for(message); // first, because the notice disappears
        terminal.wait_for("RUNNING");
        terminal.press("q");
        assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0, "{message}");
    }
}

/// A job of an interactive shell.
#[cfg(target_os = "linux")]
struct ShellJob {
    terminal: Terminal,
    pid_file: tempfile::NamedTempFile,
}

#[cfg(target_os = "linux")]
impl ShellJob {
    /// Starts a shell with job control, and in it the demo. `background` is `&` or nothing.
    fn start_demo(background: &str) -> Self {
        let pid_file = tempfile::NamedTempFile::new().unwrap();
        let mut terminal = Terminal::start(&["/bin/sh", "-i"], &[("PS1", "ready> ")], 100, 30);
        terminal.wait_for("ready>");
        let script = format!("echo $$ > {}; exec {PROGRAM} demo", pid_file.path().display());
        terminal.press(&format!("set -m; sh -c '{script}' {background}\n"));
        let job = Self { terminal, pid_file };
        wait_until("the start of the job", || job.pid().is_some());
        job
    }

    fn pid(&self) -> Option<rustix::process::Pid> {
        let text = std::fs::read_to_string(self.pid_file.path()).unwrap();
        rustix::process::Pid::from_raw(text.strip_suffix('\n')?.parse().unwrap())
    }

    /// Waits until the system says that the program is stopped.
    fn wait_until_stopped(&self) {
        let stat = format!("/proc/{}/stat", self.pid().unwrap().as_raw_nonzero());
        wait_until("the stop of the program", || std::fs::read_to_string(&stat).unwrap().contains(") T "));
    }

    fn wait_for_screen(&self) {
        self.terminal.wait_until("the screen", |screen| {
            screen.alternate_screen() && screen.contents().contains("RUNNING")
        });
    }

    /// Sends the signal, and then SIGCONT, as the `kill %1` of most shells does. Asserts the exit code of the job.
    fn assert_ends_by(mut self, signal: Signal, code: u32) {
        let _guard = KillOnDrop(self.pid().unwrap());
        for signal in [signal, Signal::CONT] {
            rustix::process::kill_process(self.pid().unwrap(), signal).unwrap();
        }
        // The shell computes the number, so the echo of the typed command does not count as its output.
        self.terminal.press("wait %1; echo code $(($? + 1000))\n");
        let screen = self.terminal.wait_for("code 1");
        assert!(screen.contains(&format!("code {}", 1000 + code)), "{screen}");
        exit_shell(self.terminal);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn background_program_ends_by_signal() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let job = ShellJob::start_demo("&");
        job.wait_until_stopped();
        job.assert_ends_by(signal, code);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn background_program_shows_screen_after_fg() {
    let mut job = ShellJob::start_demo("&");
    job.wait_until_stopped();
    job.terminal.press("fg\n");
    job.wait_for_screen();
    job.terminal.press("q");
    exit_shell(job.terminal);
}

/// In a script, `timeout` runs the program in the background, and ends it by SIGTERM and SIGCONT.
#[test]
fn timeout_command_ends_program() {
    let script = format!("timeout 1 '{PROGRAM}' demo");
    let mut terminal = Terminal::start(&["/bin/sh", "-c", &script], &[], 100, 30);
    assert_eq!(terminal.wait_for_exit().exit_code(), 124);
}

/// After Ctrl-Z and `bg` the program stops again, because the terminal is the shell's.
#[cfg(target_os = "linux")]
#[test]
fn job_stopped_twice_ends_by_signal() {
    let mut job = ShellJob::start_demo("");
    job.wait_for_screen();
    job.terminal.press("\x1a");
    job.terminal.wait_until("the shell", |screen| !screen.alternate_screen());
    job.wait_until_stopped();
    // The shell prints the command of the job that it continues.
    job.terminal.press("clear; bg; echo continued $((40 + 2))\n");
    job.terminal.wait_for("continued 42");
    job.wait_until_stopped();
    job.assert_ends_by(Signal::TERM, 143);
}

/// A launcher that hangs neither delays the end of the program nor outlives it.
#[cfg(target_os = "linux")]
#[test]
fn hanging_launcher_ends_with_program() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (launcher, pid_file) = (folder.path().join("xdg-open"), folder.path().join("pid"));
    std::fs::write(&launcher, format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", pid_file.display()))
        .unwrap();
    std::fs::set_permissions(&launcher, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let api = TestSimulator::serve("[[session]]\nid = \"s-1\"\n");
    let mut terminal = Terminal::keepwatch(&api, &["s-1"], &[("DISPLAY", ":none"), ("PATH", &path)], 100, 30);
    terminal.wait_for("RUNNING");
    terminal.press("o");
    let read_pid = || std::fs::read_to_string(&pid_file).ok()?.strip_suffix('\n')?.parse().ok();
    wait_until("the start of the launcher", || read_pid().is_some());
    let _guard = KillOnDrop(rustix::process::Pid::from_raw(read_pid().unwrap()).unwrap());
    terminal.press("o");
    terminal.wait_for("the browser is still being opened");
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
    let stat = format!("/proc/{}/stat", read_pid().unwrap());
    wait_until("the end of the launcher", || {
        std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
    });
}
