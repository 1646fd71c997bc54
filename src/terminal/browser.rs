//! Opens pages of the dashboard in the browser, one at a time. Never opens a secret URL, because `ps` shows the
//! arguments of a program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::env::Env;
use super::subprocess::{self, KillScope};
use super::{TermEvent, TermEventSender, send_nonblocking};

/// The time after which a launcher such as `xdg-open` is killed.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns true if a browser would open on the user's own screen. If not, copy the link instead.
#[must_use]
pub fn can_open_browser(env: &Env) -> bool {
    !env.is_remote() && env.has_display()
}

/// The reason why a page was not opened, or may not be open.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages document the variants")]
pub enum BrowserError {
    #[error("the browser is still being opened")]
    Busy,
    #[error("this is no web page: nothing was opened")]
    NotAWebPage,
    #[error("no browser could be started; copy the link instead")]
    NoLauncher,
    #[error(
        "the program that opens the browser hangs, and was stopped; is the page not open? Copy the link instead"
    )]
    TimedOut,
    #[error("no browser could be started: {0}")]
    NoThread(String),
}

/// A handle that opens one page at a time.
pub struct Browser {
    env: Env,
    events: TermEventSender,
    timeout: Duration,
    is_opening: Arc<AtomicBool>,
}

impl Browser {
    /// Creates a handle for the environment `env`. It sends a [`TermEvent::BrowserOpened`] to `events` for each page.
    #[must_use]
    pub fn new(env: Env, events: TermEventSender) -> Self {
        Self { env, events, timeout: LAUNCH_TIMEOUT, is_opening: Arc::default() }
    }

    /// Opens `url`, unless another page is still being opened. Returns at once.
    pub fn open(&self, url: &str) {
        // promise: one-launcher, mutant: self.is_opening.swap(true, Ordering::SeqCst) -> false
        if self.is_opening.swap(true, Ordering::SeqCst) {
            self.send_result(Err(BrowserError::Busy));
            return;
        }
        let (url, env, timeout) = (url.to_owned(), self.env.clone(), self.timeout);
        let (is_opening, events) = (Arc::clone(&self.is_opening), self.events.clone());
        let spawned = thread::Builder::new().name("browser".into()).spawn(move || {
            let result = launch(&url, &env, timeout);
            is_opening.store(false, Ordering::SeqCst);
            send_nonblocking(&events, TermEvent::BrowserOpened(result));
        });
        if let Err(error) = spawned {
            self.is_opening.store(false, Ordering::SeqCst);
            self.send_result(Err(BrowserError::NoThread(error.to_string())));
        }
    }

    fn send_result(&self, result: Result<(), BrowserError>) {
        send_nonblocking(&self.events, TermEvent::BrowserOpened(result));
    }
}

/// Tries the system's launchers, such as `xdg-open`, until one succeeds or hangs.
///
/// If a launcher hangs, only the launcher is killed, and not the browser that it started. Without a desktop, `xdg-open`
/// runs until that browser ends, and the browser must stay open.
fn launch(url: &str, env: &Env, timeout: Duration) -> Result<(), BrowserError> {
    if !(url.starts_with("https://") || url.starts_with("http://")) || url.contains(char::is_control) {
        return Err(BrowserError::NotAWebPage);
    }
    for command in open::commands(url) {
        match subprocess::run(command, env, None, timeout, KillScope::Child) {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(None) => return Err(BrowserError::TimedOut),
            Ok(Some(_)) | Err(_) => {} // the launcher is missing or failed
        }
    }
    Err(BrowserError::NoLauncher)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);
    const PAGE: &str = "https://dashboard.example/";

    #[test]
    fn browser_needs_a_local_display() {
        let cases: [(&[(&str, &str)], bool); 6] = [
            (&[("DISPLAY", ":0")], true),
            (&[("WAYLAND_DISPLAY", "wayland-0")], true),
            (&[("WSL_DISTRO_NAME", "Debian")], true),
            (&[("DISPLAY", ":10"), ("SSH_CONNECTION", "1 2 3 4")], false),
            (&[("DISPLAY", "")], false),
            (&[], false),
        ];
        for (vars, expected) in cases {
            assert_eq!(can_open_browser(&Env::new(vars.iter().copied())), expected, "{vars:?}");
        }
        assert!(can_open_browser(&Env::new([("TERM", "xterm")]).on_macos()));
    }

    #[test]
    fn next_launcher_is_tried_after_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        subprocess::install_fake_program(dir.path(), "xdg-open", "exit 3");
        // Records its arguments and its environment.
        subprocess::install_fake_program(dir.path(), "gio", "echo \"$*\" > $d/argv; env > $d/env");
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        let env = Env::new([("PATH", path.as_str()), ("BROWSERBASE_API_KEY", "bb_canary")]);
        assert_eq!(launch("https://dashboard.example/a?b=c", &env, PATIENCE), Ok(()));
        let read = |name| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("argv"), "open https://dashboard.example/a?b=c\n");
        assert!(!read("env").contains("canary"), "a launcher never gets the API key");
    }

    #[test]
    fn only_web_pages_open() {
        for url in ["file:///etc/passwd", "--version", "https://x/\u{1b}[0m", ""] {
            assert_eq!(launch(url, &Env::default(), PATIENCE), Err(BrowserError::NotAWebPage), "{url:?}");
        }
    }

    /// Returns a browser whose only launcher runs `script`, its events, and the folder of the launcher.
    fn browser_with(
        script: &str,
        timeout: Duration,
    ) -> (Browser, tokio::sync::mpsc::Receiver<TermEvent>, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        subprocess::install_fake_program(dir.path(), "xdg-open", script);
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        let (sender, events) = super::super::channel();
        let browser = Browser { timeout, ..Browser::new(Env::new([("PATH", path)]), sender) };
        (browser, events, dir)
    }

    fn next_result(events: &mut tokio::sync::mpsc::Receiver<TermEvent>) -> Result<(), BrowserError> {
        let Some(TermEvent::BrowserOpened(result)) = events.blocking_recv() else { panic!() };
        result
    }

    #[test]
    fn one_page_opens_at_a_time() {
        // The launcher counts its starts, and ends when the test writes the file `go`.
        let script = "echo >> $d/starts; until [ -e $d/go ]; do sleep 0.01; done";
        let (browser, mut events, dir) = browser_with(script, PATIENCE);
        for _ in 0..20 {
            browser.open(PAGE);
        }
        for _ in 1..20 {
            assert_eq!(next_result(&mut events), Err(BrowserError::Busy));
        }
        std::fs::write(dir.path().join("go"), "").unwrap();
        assert_eq!(next_result(&mut events), Ok(()));
        let starts = std::fs::read_to_string(dir.path().join("starts")).unwrap();
        assert_eq!(starts, "\n", "one line: the launcher starts once");
        browser.open(PAGE);
        assert_eq!(next_result(&mut events), Ok(()), "the next page opens");
    }

    #[test]
    fn hanging_launcher_is_killed() {
        let (browser, mut events, dir) =
            browser_with("echo $$ > $d/pid; exec sleep 600", Duration::from_secs(1));
        browser.open(PAGE);
        assert_eq!(next_result(&mut events), Err(BrowserError::TimedOut));
        // On a busy machine, the launcher may be killed before it writes this file.
        let pid =
            std::fs::read_to_string(dir.path().join("pid")).ok().and_then(|pid| pid.trim().parse().ok());
        let pid = pid.and_then(rustix::process::Pid::from_raw);
        pid.into_iter().for_each(subprocess::wait_until_ended);
    }
}
