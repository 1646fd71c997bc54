//! Runs child processes with a timeout.
//!
//! ```text
//!   run ──► registered ──┬─ exits ───────────────► reaped; if a helper failed, the rest of its group is killed
//!                        ├─ timeout ─────────────► killed
//!                        └─ keepwatch ends ──────► killed (`kill_children`)
//! ```
//!
//! A child that exits successfully may leave a process behind, as `wl-copy` and `xclip` do to keep the clipboard.
//!
//! keepwatch puts no secret of its own into the arguments or the environment of a child, because `ps` shows both. Each
//! child has its own process group, so that Ctrl-Z does not stop a clipboard helper.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use super::env::Env;
use keepwatch_core::session::Secret;

/// The processes that are killed with a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KillScope {
    /// The child and its process group.
    Group,
    /// The child alone. The processes that it started go on: the launcher of a browser may have started the browser.
    Child,
}

/// The running children of this process.
static CHILDREN: Children = Children::new();

/// Kills all running children, and lets no new one start. The program is about to end.
pub(super) fn kill_children() {
    CHILDREN.kill_all();
}

/// Runs `command` with `input` on its standard input, and discards its output. Kills the child after `timeout`. Returns
/// the exit status, or `None` after the timeout.
pub(super) fn run(
    command: Command,
    env: &Env,
    input: Option<Secret>,
    timeout: Duration,
    scope: KillScope,
) -> io::Result<Option<ExitStatus>> {
    CHILDREN.run(command, env, input, timeout, scope)
}

/// A set of children that are killed together when the program ends.
#[derive(Debug)]
struct Children(Mutex<ChildrenState>);

#[derive(Debug)]
struct ChildrenState {
    /// The children that are not yet reaped. Until a child is reaped, no other process can have its id.
    running: Vec<(Pid, KillScope)>,
    /// True once the program is about to end.
    is_closed: bool,
}

impl Children {
    const fn new() -> Self {
        Self(Mutex::new(ChildrenState { running: Vec::new(), is_closed: false }))
    }

    fn lock(&self) -> MutexGuard<'_, ChildrenState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(
        &'static self,
        mut command: Command,
        env: &Env,
        input: Option<Secret>,
        timeout: Duration,
        scope: KillScope,
    ) -> io::Result<Option<ExitStatus>> {
        env.apply_to(&mut command);
        let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut child = self.spawn(&mut command, scope)?;
        let pid = Pid::from_child(&child);
        let (sender, exit_status) = mpsc::sync_channel(1);
        let waiter = thread::Builder::new().name("child".into()).spawn(move || {
            if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
                // Ignore an error: a child may succeed without reading its input. Only its exit status counts.
                let _ = stdin.write_all(input.expose().as_bytes());
            }
            let _ = sender.send(self.wait(&mut child, scope));
        });
        if let Err(error) = waiter {
            self.kill(pid);
            return Err(error);
        }
        match exit_status.recv_timeout(timeout) {
            Ok(status) => status.map(Some),
            Err(_) => {
                // promise: child-timeout
                self.kill(pid);
                Ok(None)
            }
        }
    }

    /// Starts a child, unless the program is about to end.
    fn spawn(&self, command: &mut Command, scope: KillScope) -> io::Result<Child> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(io::Error::other("keepwatch is about to end"));
        }
        let child = command.spawn()?;
        state.running.push((Pid::from_child(&child), scope));
        Ok(child)
    }

    /// Waits until `child` exits, and reaps it. If it failed and `scope` is [`KillScope::Group`], also kills the rest
    /// of its group.
    fn wait(&self, child: &mut Child, scope: KillScope) -> io::Result<ExitStatus> {
        let pid = Pid::from_child(child);
        // `NOWAIT` does not reap the child yet. Until it is reaped, no other process or group can have its id.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let exited = loop {
            match waitid(WaitId::Pid(pid), options) {
                Err(Errno::INTR) => {}
                exited => break exited,
            }
        };
        let has_succeeded =
            exited.is_ok_and(|status| status.is_some_and(|status| status.exit_status() == Some(0)));
        let mut state = self.lock();
        if scope == KillScope::Group && !has_succeeded {
            // promise: failed-helper
            let _ = kill_process_group(pid, Signal::KILL);
        }
        state.running.retain(|(other, _)| *other != pid);
        child.wait()
    }

    /// Kills a child, if it still runs.
    fn kill(&self, pid: Pid) {
        let state = self.lock();
        state.running.iter().filter(|(other, _)| *other == pid).for_each(kill_child);
    }

    /// Kills all children, and lets no new one start.
    fn kill_all(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        // promise: children-end
        state.running.iter().for_each(kill_child);
    }
}

fn kill_child((pid, scope): &(Pid, KillScope)) {
    let _ = match scope {
        KillScope::Group => kill_process_group(*pid, Signal::KILL),
        KillScope::Child => kill_process(*pid, Signal::KILL),
    };
}

/// Creates a program `name` in `dir` that runs `script`. In `script`, `$d` is `dir`. A separate process writes the
/// file. If this process wrote it, a child of another test could inherit the open file, and the system does not start
/// a program whose file is open for writing.
#[cfg(test)]
pub(super) fn install_fake_program(dir: &std::path::Path, name: &str, script: &str) {
    let mut install = Command::new("install");
    install.args(["-m", "755", "/dev/stdin"]).arg(dir.join(name)).stdin(Stdio::piped());
    let mut child = install.spawn().unwrap();
    let script = format!("#!/bin/sh\nd={}\n{script}\n", dir.display());
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Waits until a process has ended. Panics after a minute.
#[cfg(test)]
pub(super) fn wait_until_ended(pid: Pid) {
    let clock = keepwatch_core::clock::Clock::system();
    let deadline = clock.now().mono + Duration::from_secs(60);
    // An orphan that has ended stays a zombie until its new parent reaps it.
    let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let is_zombie = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z "));
    while rustix::process::test_kill_process(pid).is_ok() && !is_zombie() {
        assert!(clock.now().mono < deadline, "process {pid:?} must end within a minute");
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Waits until a script has written a process id to `file`, and returns the id.
    fn read_pid(file: &std::path::Path) -> Pid {
        loop {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            if let Some(pid) = text.strip_suffix('\n').and_then(|pid| Pid::from_raw(pid.parse().unwrap())) {
                return pid;
            }
            thread::yield_now();
        }
    }

    fn shell(script: &str, dir: &std::path::Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).current_dir(dir);
        command
    }

    /// Returns a set that no other test uses, so that a test can kill all of its children.
    fn own_children() -> &'static Children {
        Box::leak(Box::new(Children::new()))
    }

    #[test]
    fn children_end_with_the_program() {
        let children = own_children();
        let dir = tempfile::tempdir().unwrap();
        let command = shell("echo $$ > pid; while :; do :; done", dir.path());
        let env = Env::new([("PATH", "/usr/bin:/bin")]);
        let running = thread::spawn({
            let env = env.clone();
            move || children.run(command, &env, None, PATIENCE, KillScope::Group)
        });
        let pid = read_pid(&dir.path().join("pid"));
        children.kill_all();
        let status = running.join().unwrap().unwrap().unwrap();
        assert!(!status.success(), "a killed child does not succeed");
        wait_until_ended(pid);
        let late_run = children.run(shell("true", dir.path()), &env, None, PATIENCE, KillScope::Group);
        assert!(late_run.is_err(), "no child starts after `kill_all`");
    }

    #[test]
    fn failed_helper_leaves_no_process() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new([("PATH", "/usr/bin:/bin")]);
        for (code, is_process_left) in [(1, false), (0, true)] {
            let script = format!("sleep 600 & echo $! > pid{code}; exit {code}");
            let status = own_children()
                .run(shell(&script, dir.path()), &env, None, PATIENCE, KillScope::Group)
                .unwrap();
            assert_eq!(status.unwrap().code(), Some(code));
            let pid = read_pid(&dir.path().join(format!("pid{code}")));
            if is_process_left {
                // As in `xclip`, the process that a successful helper leaves keeps the clipboard.
                kill_process(pid, Signal::KILL).unwrap();
            }
            wait_until_ended(pid);
        }
    }
}
