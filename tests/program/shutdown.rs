//! Tests the ways in which the program exits or suspends. In each way, the program restores the terminal.

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
fn closed_terminal_ends_program_ignoring_sighup() {
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
    let panics = || panic!("on purpose");
    runtime.block_on(async {
        match location.as_str() {
            "error" => return, // drops the screen, as `?` does
            "thread" => drop(std::thread::spawn(panics)),
            "task" => drop(tokio::spawn(async move { panics() })),
            _ => panics(), // "loop": in the task of the event loop
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
