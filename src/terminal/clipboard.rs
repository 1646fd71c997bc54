//! The clipboard: which ways lead to it from here, and trying them in turn.
//!
//! What is copied may be a secret that controls a browser. It goes to a helper's standard input or to the terminal,
//! never into arguments, the environment or a log; and nobody clears it afterwards but the reader.
//!
//! The copying has a thread of its own, as each way can hang (a helper without its display, a stale `ssh -X`): each gets
//! a second, then the next is tried.

use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use std::{fmt, io, thread};

use crossterm::Command as _;
use crossterm::clipboard::CopyToClipboard;

use super::child::{self, Env, Overdue};
use keepwatch_core::session::Secret;

/// How long each way may take.
const LIMIT: Duration = Duration::from_secs(1);
/// The most base64 that terminals are known to take in one OSC 52; k9s has the same limit.
const OSC52: usize = 74_994;
/// GNU screen 4.9 cuts strings at 768 bytes; several in a row arrive as one.
const SCREEN_STRING: usize = 700;
/// The tmux buffer that copies go to, instead of pushing the reader's own one down the stack each time.
const TMUX_BUFFER: &str = "keepwatch";

/// A way to the clipboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `clip.exe`: Windows, from WSL.
    ClipExe,
    /// `pbcopy`: macOS.
    Pbcopy,
    /// `wl-copy`: Wayland.
    WlCopy,
    /// `xclip`: X11.
    Xclip,
    /// `xsel`: X11.
    Xsel,
    /// No helper: this process talks to the desktop, and holds the text while it lives.
    Desktop,
    /// A named tmux buffer, and the terminal that tmux is shown in.
    Tmux,
    /// OSC 52: the terminal is asked to, and never says whether it did.
    Osc52,
    /// OSC 52, wrapped so that GNU screen passes it on.
    Osc52Screen,
}

/// The ways to the clipboard from `env`, best first.
///
/// A helper outlives us, so it comes before what dies with this process. Over SSH a display is the wrong machine's.
/// tmux drops an application's OSC 52 unless told otherwise, but `load-buffer -w` (3.2 and later) works as it comes.
/// What is last always "works", and says so with care.
#[must_use]
pub fn routes(env: &Env) -> Vec<Route> {
    let local = !env.is_remote();
    let (wayland, x11) = (env.has("WAYLAND_DISPLAY"), env.has("DISPLAY"));
    let in_screen =
        env.has("STY") && env.get("TERM").is_some_and(|term| term.as_encoded_bytes().starts_with(b"screen"));
    [
        (Route::ClipExe, local && env.is_wsl()),
        (Route::Pbcopy, local && env.is_macos()),
        (Route::WlCopy, local && wayland),
        (Route::Xclip, local && x11),
        (Route::Xsel, local && x11),
        (Route::Desktop, local && (wayland || x11 || env.is_macos())),
        (Route::Tmux, env.has("TMUX")),
        (Route::Osc52Screen, in_screen),
        (Route::Osc52, !in_screen),
    ]
    .into_iter()
    .filter_map(|(route, leads_there)| leads_there.then_some(route))
    .collect()
}

impl Route {
    /// The program that takes the text on its standard input.
    fn helper(self) -> Option<(&'static str, &'static [&'static str])> {
        match self {
            Self::ClipExe => Some(("clip.exe", &[])),
            Self::Pbcopy => Some(("pbcopy", &[])),
            Self::WlCopy => Some(("wl-copy", &["--type", "text/plain"])),
            Self::Xclip => Some(("xclip", &["-selection", "clipboard", "-in"])),
            Self::Xsel => Some(("xsel", &["--clipboard", "--input"])),
            Self::Tmux => Some(("tmux", &["load-buffer", "-b", TMUX_BUFFER, "-w", "-"])),
            Self::Desktop | Self::Osc52 | Self::Osc52Screen => None,
        }
    }

    fn needs_display(self) -> bool {
        matches!(self, Self::WlCopy | Self::Xclip | Self::Xsel | Self::Desktop)
    }
}

/// What happened, and no more than is known.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClipExe => f.write_str("copied with clip.exe"),
            Self::Pbcopy => f.write_str("copied with pbcopy"),
            Self::WlCopy => f.write_str("copied with wl-copy"),
            Self::Xclip => f.write_str("copied with xclip"),
            Self::Xsel => f.write_str("copied with xsel"),
            Self::Desktop => f.write_str("copied, until keepwatch ends"),
            Self::Tmux => write!(f, "copied to tmux (buffer {TMUX_BUFFER}) and sent to the terminal"),
            Self::Osc52 => f.write_str("sent to the terminal (OSC 52), unconfirmed"),
            Self::Osc52Screen => f.write_str("sent through screen to the terminal (OSC 52), unconfirmed"),
        }
    }
}

/// How a copy went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// What [`Clipboard::copy`] was told it is, such as "connect URL of 45c48cce".
    pub what: String,
    /// Which way it went, or why it did not.
    pub outcome: Result<Route, NotCopied>,
}

/// Why nothing was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotCopied {
    /// The last copy is still being tried.
    Busy,
    /// Only the terminal is left, and this is more than terminals take.
    TooLong,
    /// Only the terminal is left, and it takes no output.
    Stuck,
}

impl fmt::Display for NotCopied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "not copied: the last copy is still being tried",
            Self::TooLong => {
                "not copied: longer than what terminals take (OSC 52), and there is no other way here"
            }
            Self::Stuck => "not copied: the terminal takes no output, and there is no other way here",
        })
    }
}

/// Copies, one after the other, on a thread of its own.
pub struct Clipboard {
    jobs: SyncSender<Job>,
    report: Box<dyn Fn(Copied) + Send>,
}

struct Job {
    what: String,
    text: Secret,
}

impl Clipboard {
    /// A clipboard as `env` has it. `terminal` sends bytes to the terminal and says whether it takes them
    /// ([`Sender::send`](super::Sender::send)); `report` hears of each copy, once.
    ///
    /// # Errors
    ///
    /// No thread could be started.
    pub fn new(
        env: Env,
        terminal: impl Fn(&[u8]) -> bool + Send + 'static,
        report: impl Fn(Copied) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        Self::with_limit(LIMIT, env, terminal, report)
    }

    fn with_limit(
        limit: Duration,
        env: Env,
        terminal: impl Fn(&[u8]) -> bool + Send + 'static,
        report: impl Fn(Copied) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, waiting) = sync_channel::<Job>(1);
        let tell = report.clone();
        thread::Builder::new().name("clipboard".into()).spawn(move || {
            let mut copier = Copier { routes: routes(&env), limit, env, terminal, desktop: None };
            for Job { what, text } in waiting {
                tell(Copied { what, outcome: copier.copy(&text) });
            }
        })?;
        Ok(Self { jobs, report: Box::new(report) })
    }

    /// Copies `text`, which is `what`. Returns at once.
    pub fn copy(&self, what: String, text: Secret) {
        if let Err(TrySendError::Full(Job { what, .. }) | TrySendError::Disconnected(Job { what, .. })) =
            self.jobs.try_send(Job { what, text })
        {
            (self.report)(Copied { what, outcome: Err(NotCopied::Busy) });
        }
    }
}

/// What the clipboard's thread owns.
struct Copier<T> {
    routes: Vec<Route>,
    limit: Duration,
    env: Env,
    terminal: T,
    desktop: Option<Desktop>,
}

/// Why a way did not lead there.
enum Miss {
    /// It is not there or said no; for the last way, what the reader is told.
    Failed(NotCopied),
    /// It did not answer.
    Hung,
}

impl<T: Fn(&[u8]) -> bool> Copier<T> {
    fn copy(&mut self, text: &Secret) -> Result<Route, NotCopied> {
        let (mut why, mut hung) = (NotCopied::Stuck, false);
        for route in self.routes.clone() {
            // A display that let one wait lets all wait.
            if hung && route.needs_display() {
                continue;
            }
            match self.take(route, text) {
                Ok(()) => return Ok(route),
                Err(Miss::Failed(reason)) => why = reason,
                Err(Miss::Hung) => hung = true,
            }
        }
        Err(why)
    }

    /// Goes one way.
    fn take(&mut self, route: Route, text: &Secret) -> Result<(), Miss> {
        let done = match route.helper() {
            // It would take the bytes for those of a Windows code page.
            Some(_) if route == Route::ClipExe && !text.expose().is_ascii() => false,
            Some((program, args)) => {
                let mut command = Command::new(program);
                // promise: copy-by-stdin, mutant: command.args(args) -> command.args(args).arg(text.expose())
                command.args(args);
                match child::run(command, &self.env, Some(text.clone()), self.limit, Overdue::Kill) {
                    Ok(Some(status)) => status.success(),
                    Ok(None) => return Err(Miss::Hung),
                    Err(_) => false,
                }
            }
            None if route == Route::Desktop => self.hand_to_desktop(text),
            None => {
                let bytes = osc52(text.expose(), route).ok_or(Miss::Failed(NotCopied::TooLong))?;
                (self.terminal)(&bytes)
            }
        };
        done.then_some(()).ok_or(Miss::Failed(NotCopied::Stuck))
    }

    fn hand_to_desktop(&mut self, text: &Secret) -> bool {
        let desktop = self.desktop.take().or_else(|| Desktop::connect(self.limit));
        // One that failed or hung is given up, with its thread.
        self.desktop = desktop.filter(|desktop| desktop.hold(text.clone(), self.limit));
        self.desktop.is_some()
    }
}

/// A connection to the desktop's clipboard, in a thread that can hang without harm.
struct Desktop {
    texts: SyncSender<Secret>,
    answers: Receiver<bool>,
}

impl Desktop {
    /// Without the feature `desktop-clipboard` there is no connection.
    #[cfg(not(feature = "desktop-clipboard"))]
    fn connect(_: Duration) -> Option<Self> {
        None
    }

    #[cfg(feature = "desktop-clipboard")]
    fn connect(limit: Duration) -> Option<Self> {
        #[cfg(target_os = "macos")]
        use arboard::SetExtApple as _;
        #[cfg(target_os = "linux")]
        use arboard::SetExtLinux as _;
        let (texts, held) = sync_channel::<Secret>(1);
        let (answer, answers) = sync_channel(1);
        let thread = thread::Builder::new().name("desktop".into()).spawn(move || {
            let Ok(mut clipboard) = arboard::Clipboard::new() else { return };
            // Said even when nobody waits any more: then no text ever comes, and nothing old is copied late.
            let _ = answer.send(true);
            for text in held {
                let done = clipboard.set().exclude_from_history().text(text.expose()).is_ok();
                let _ = answer.send(done);
            }
        });
        thread.ok()?;
        answers.recv_timeout(limit).ok()?;
        Some(Self { texts, answers })
    }

    fn hold(&self, text: Secret, limit: Duration) -> bool {
        self.texts.try_send(text).is_ok() && self.answers.recv_timeout(limit).is_ok_and(|done| done)
    }
}

/// The bytes that ask a terminal to copy `text`; `None` if they are too many.
fn osc52(text: &str, route: Route) -> Option<Vec<u8>> {
    if text.len().div_ceil(3).checked_mul(4)? > OSC52 {
        return None;
    }
    let mut sequence = String::new();
    CopyToClipboard::to_clipboard_from(text).write_ansi(&mut sequence).ok()?;
    if route != Route::Osc52Screen {
        return Some(sequence.into_bytes());
    }
    // Within a device control string ESC \ would end that one: the inner end is a BEL.
    let inner = sequence.replace("\x1b\\", "\x07");
    let strings = inner.as_bytes().chunks(SCREEN_STRING);
    Some(strings.flat_map(|part| [b"\x1bP".as_slice(), part, b"\x1b\\"].concat()).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::mpsc;

    use super::super::child::fake;
    use super::*;

    const URL: &str = "wss://connect.example/?signingKey=canary";

    fn env(vars: &[(&str, &str)]) -> Env {
        Env::new(vars.iter().copied())
    }

    #[test]
    fn the_ways_and_their_order_follow_from_the_environment() {
        use Route::{ClipExe, Desktop, Osc52, Osc52Screen, Pbcopy, Tmux, WlCopy, Xclip, Xsel};
        let ssh = ("SSH_CONNECTION", "1 2 3 4");
        let cases: [(Env, &[Route]); 11] = [
            (env(&[("TERM", "linux")]), &[Osc52]),
            (env(&[("DISPLAY", ":0")]), &[Xclip, Xsel, Desktop, Osc52]),
            (env(&[("DISPLAY", ":0"), ("WAYLAND_DISPLAY", "w")]), &[WlCopy, Xclip, Xsel, Desktop, Osc52]),
            (env(&[("DISPLAY", ":0"), ("TMUX", "/t,1,0")]), &[Xclip, Xsel, Desktop, Tmux, Osc52]),
            (env(&[("DISPLAY", ":10"), ssh]), &[Osc52]),
            (env(&[("DISPLAY", ""), ("TMUX", "")]), &[Osc52]),
            (env(&[("TMUX", "/t,1,0"), ssh, ("TERM", "tmux-256color")]), &[Tmux, Osc52]),
            (env(&[("STY", "1.pts"), ("TERM", "screen.xterm")]), &[Osc52Screen]),
            (env(&[("STY", "1.pts"), ("TERM", "xterm")]), &[Osc52]),
            (env(&[("WSL_DISTRO_NAME", "Debian")]), &[ClipExe, Osc52]),
            (env(&[]).on_macos(), &[Pbcopy, Desktop, Osc52]),
        ];
        for (env, expected) in cases {
            assert_eq!(routes(&env), expected, "{env:?}");
        }
    }

    #[test]
    fn osc_52_is_what_terminals_expect() {
        assert_eq!(osc52("hi!", Route::Osc52).unwrap(), b"\x1b]52;c;aGkh\x1b\\");
        assert_eq!(osc52("hi!", Route::Osc52Screen).unwrap(), b"\x1bP\x1b]52;c;aGkh\x07\x1b\\");
    }

    #[test]
    fn screen_gets_osc_52_in_strings_that_it_does_not_cut() {
        let text = "x".repeat(3000);
        let bytes = String::from_utf8(osc52(&text, Route::Osc52Screen).unwrap()).unwrap();
        let parts: Vec<_> = bytes.strip_suffix("\x1b\\").unwrap().split("\x1b\\").collect();
        assert!(parts.iter().all(|part| part.starts_with("\x1bP") && part.len() <= SCREEN_STRING + 2));
        let joined: String = parts.iter().map(|part| &part[2..]).collect();
        let plain = String::from_utf8(osc52(&text, Route::Osc52).unwrap()).unwrap();
        assert_eq!(joined.strip_suffix('\x07'), plain.strip_suffix("\x1b\\"));
    }

    #[test]
    fn more_than_terminals_take_is_not_sent() {
        let most = OSC52 / 4 * 3;
        assert!(osc52(&"x".repeat(most), Route::Osc52).is_some());
        assert!(osc52(&"x".repeat(most + 1), Route::Osc52).is_none());
    }

    /// Copies in an environment whose PATH starts with `dir`; gives what was reported and what the terminal got.
    fn copy_with(dir: &Path, limit: Duration, vars: &[(&str, &str)]) -> (Copied, Vec<u8>) {
        let path = format!("{}:/usr/bin:/bin", dir.display());
        let vars =
            vars.iter().copied().chain([("PATH", path.as_str()), ("BROWSERBASE_API_KEY", "bb_canary")]);
        let (report, reported) = mpsc::channel();
        let (terminal, sent) = mpsc::channel();
        let clipboard = Clipboard::with_limit(
            limit,
            Env::new(vars),
            move |bytes| terminal.send(bytes.to_vec()).is_ok(),
            move |copied| report.send(copied).unwrap(),
        )
        .unwrap();
        clipboard.copy("connect URL".into(), Secret::new(URL.into()));
        let copied = reported.recv_timeout(PATIENCE).unwrap();
        (copied, sent.try_iter().flatten().collect())
    }

    const PATIENCE: Duration = Duration::from_secs(60);
    const RECORD: &str = "cat > $d/stdin; echo \"$0 $*\" > $d/argv; env > $d/env";

    #[test]
    fn a_helper_gets_the_text_on_its_standard_input_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        fake(dir.path(), "wl-copy", RECORD);
        let (copied, sent) = copy_with(dir.path(), PATIENCE, &[("WAYLAND_DISPLAY", "none")]);
        assert_eq!(copied, Copied { what: "connect URL".into(), outcome: Ok(Route::WlCopy) });
        assert_eq!(fs::read_to_string(dir.path().join("stdin")).unwrap(), URL);
        for seen in ["argv", "env"] {
            assert!(!fs::read_to_string(dir.path().join(seen)).unwrap().contains("canary"), "{seen}");
        }
        assert!(sent.is_empty());
    }

    #[test]
    fn tmux_gets_a_named_buffer() {
        let dir = tempfile::tempdir().unwrap();
        fake(dir.path(), "tmux", RECORD);
        let (copied, _) = copy_with(dir.path(), PATIENCE, &[("TMUX", "/none,1,0"), ("SSH_TTY", "x")]);
        assert_eq!(copied.outcome, Ok(Route::Tmux));
        let argv = fs::read_to_string(dir.path().join("argv")).unwrap();
        assert!(argv.ends_with("tmux load-buffer -b keepwatch -w -\n"), "{argv}");
        assert_eq!(fs::read_to_string(dir.path().join("stdin")).unwrap(), URL);
    }

    #[test]
    fn a_display_that_hangs_costs_one_limit_and_its_helper_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        fake(dir.path(), "xclip", "echo $$ > $d/pid; exec sleep 600");
        fake(dir.path(), "xsel", RECORD);
        fake(dir.path(), "tmux", "echo unknown option -- w >&2; exit 1");
        let (copied, sent) = copy_with(dir.path(), LIMIT, &[("DISPLAY", ":none"), ("TMUX", "/none,1,0")]);
        assert_eq!(copied.outcome, Ok(Route::Osc52));
        assert_eq!(sent, osc52(URL, Route::Osc52).unwrap());
        assert!(!dir.path().join("argv").exists(), "xsel was tried on the display that hung");
        // On a busy machine it may have been ended before it could write this.
        let pid = fs::read_to_string(dir.path().join("pid")).ok().and_then(|pid| pid.trim().parse().ok());
        let group = pid.and_then(rustix::process::Pid::from_raw);
        while group.is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok()) {
            thread::yield_now();
        }
    }

    #[test]
    fn a_terminal_that_takes_nothing_is_said_so() {
        let (report, reported) = mpsc::channel();
        let clipboard =
            Clipboard::new(Env::default(), |_| false, move |copied| report.send(copied).unwrap()).unwrap();
        clipboard.copy("id".into(), Secret::new("45c48cce".into()));
        assert_eq!(reported.recv_timeout(PATIENCE).unwrap().outcome, Err(NotCopied::Stuck));
    }
}
