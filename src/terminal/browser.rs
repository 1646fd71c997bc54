//! Opens pages of the dashboard in the browser. Never opens a secret URL, because `ps` shows the arguments of a
//! program.

use std::thread;
use std::time::Duration;

use super::subprocess::{self, Env, OnTimeout};
use super::{TermEvent, TermEventSender, send_nonblocking};

/// The maximum time to wait for a launcher such as `xdg-open`. A launcher that runs longer counts as successful.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(1);

/// True if a browser would open on the user's own screen. If false, copy the link instead.
#[must_use]
pub fn can_open_browser(env: &Env) -> bool {
    !env.is_remote() && env.has_display()
}

/// Opens `url` in the browser. Returns at once, and sends [`TermEvent::BrowserOpened`] later.
pub fn open_in_browser(url: &str, env: &Env, events: &TermEventSender) {
    let (url, env, sender) = (url.to_owned(), env.clone(), events.clone());
    let spawned = thread::Builder::new()
        .name("browser".into())
        .spawn(move || send_nonblocking(&sender, TermEvent::BrowserOpened(launch(&url, &env))));
    if let Err(error) = spawned {
        send_nonblocking(
            events,
            TermEvent::BrowserOpened(Err(format!("no browser could be started: {error}"))),
        );
    }
}

/// Tries the system's launchers, such as `xdg-open`, until one succeeds. Returns an error message if none does.
fn launch(url: &str, env: &Env) -> Result<(), String> {
    if !(url.starts_with("https://") || url.starts_with("http://")) || url.contains(char::is_control) {
        return Err("only web pages are opened".to_owned());
    }
    let is_opened = open::commands(url).into_iter().any(|command| {
        let result = subprocess::run(command, env, None, LAUNCH_TIMEOUT, OnTimeout::KeepRunning);
        result.is_ok_and(|status| status.is_none_or(|status| status.success()))
    });
    if is_opened { Ok(()) } else { Err("no browser could be started; copy the link instead".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(launch("https://dashboard.example/a?b=c", &env), Ok(()));
        let read = |name| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("argv"), "open https://dashboard.example/a?b=c\n");
        assert!(!read("env").contains("canary"));
    }

    #[test]
    fn only_web_pages_open() {
        for url in ["file:///etc/passwd", "--version", "https://x/\u{1b}[0m", ""] {
            assert!(launch(url, &Env::default()).is_err(), "{url:?}");
        }
    }
}
