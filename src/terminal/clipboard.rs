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

use super::subprocess::{self, Env, OnTimeout};
use keepwatch_core::session::Secret;

/// How long each way may take.
const BACKEND_TIMEOUT: Duration = Duration::from_secs(1);
/// The most base64 that terminals are known to take in one OSC 52; k9s has the same limit.
const MAX_OSC52_BASE64: usize = 74_994;
/// GNU screen 4.9 cuts strings at 768 bytes; several in a row arrive as one.
const MAX_SCREEN_STRING: usize = 700;
/// The tmux buffer that copies go to, instead of pushing the reader's own one down the stack each time.
const TMUX_BUFFER: &str = "keepwatch";

/// A way to the clipboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipboardBackend {
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
pub fn clipboard_backends(env: &Env) -> Vec<ClipboardBackend> {
    let local = !env.is_remote();
    let (wayland, x11) = (env.has("WAYLAND_DISPLAY"), env.has("DISPLAY"));
    let in_screen =
        env.has("STY") && env.get("TERM").is_some_and(|term| term.as_encoded_bytes().starts_with(b"screen"));
    [
        (ClipboardBackend::ClipExe, local && env.is_wsl()),
        (ClipboardBackend::Pbcopy, local && env.is_macos()),
        (ClipboardBackend::WlCopy, local && wayland),
        (ClipboardBackend::Xclip, local && x11),
        (ClipboardBackend::Xsel, local && x11),
        (ClipboardBackend::Desktop, local && (wayland || x11 || env.is_macos())),
        (ClipboardBackend::Tmux, env.has("TMUX")),
        (ClipboardBackend::Osc52Screen, in_screen),
        (ClipboardBackend::Osc52, !in_screen),
    ]
    .into_iter()
    .filter_map(|(route, leads_there)| leads_there.then_some(route))
    .collect()
}

impl ClipboardBackend {
    /// The program that takes the text on its standard input.
    fn helper_command(self) -> Option<(&'static str, &'static [&'static str])> {
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
impl fmt::Display for ClipboardBackend {
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
pub struct CopyResult {
    /// What [`Clipboard::copy`] was told it is, such as "connect URL of 45c48cce".
    pub label: String,
    /// Which way it went, or why it did not.
    pub result: Result<ClipboardBackend, CopyError>,
}

/// Why nothing was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyError {
    /// The last copy is still being tried.
    Busy,
    /// Only the terminal is left, and this is more than terminals take.
    TooLong,
    /// Only the terminal is left, and it takes no output.
    TerminalBlocked,
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "not copied: the last copy is still being tried",
            Self::TooLong => {
                "not copied: longer than what terminals take (OSC 52), and there is no other way here"
            }
            Self::TerminalBlocked => {
                "not copied: the terminal takes no output, and there is no other way here"
            }
        })
    }
}

/// Copies, one after the other, on a thread of its own.
pub struct Clipboard {
    jobs: SyncSender<Job>,
    report: Box<dyn Fn(CopyResult) + Send>,
}

struct Job {
    label: String,
    text: Secret,
}

impl Clipboard {
    /// A clipboard as `env` has it. `terminal` sends bytes to the terminal and says whether it takes them
    /// ([`ScreenSender::send`](super::ScreenSender::send)); `report` hears of each copy, once.
    ///
    /// # Errors
    ///
    /// No thread could be started.
    pub fn new(
        env: Env,
        terminal: impl Fn(&[u8]) -> bool + Send + 'static,
        report: impl Fn(CopyResult) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        Self::with_timeout(BACKEND_TIMEOUT, env, terminal, report)
    }

    fn with_timeout(
        timeout: Duration,
        env: Env,
        terminal: impl Fn(&[u8]) -> bool + Send + 'static,
        report: impl Fn(CopyResult) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, waiting) = sync_channel::<Job>(1);
        let report_result = report.clone();
        thread::Builder::new().name("clipboard".into()).spawn(move || {
            let mut copier = ClipboardWorker {
                backends: clipboard_backends(&env),
                timeout,
                env,
                send_to_terminal: terminal,
                desktop: None,
            };
            for Job { label: what, text } in waiting {
                report_result(CopyResult { label: what, result: copier.copy(&text) });
            }
        })?;
        Ok(Self { jobs, report: Box::new(report) })
    }

    /// Copies `text`, which is `what`. Returns at once.
    pub fn copy(&self, label: String, text: Secret) {
        if let Err(
            TrySendError::Full(Job { label: what, .. }) | TrySendError::Disconnected(Job { label: what, .. }),
        ) = self.jobs.try_send(Job { label, text })
        {
            (self.report)(CopyResult { label: what, result: Err(CopyError::Busy) });
        }
    }
}

/// What the clipboard's thread owns.
struct ClipboardWorker<T> {
    backends: Vec<ClipboardBackend>,
    timeout: Duration,
    env: Env,
    send_to_terminal: T,
    desktop: Option<DesktopClipboard>,
}

/// Why a way did not lead there.
enum BackendError {
    /// It is not there or said no; for the last way, what the reader is told.
    Failed(CopyError),
    /// It did not answer.
    TimedOut,
}

impl<T: Fn(&[u8]) -> bool> ClipboardWorker<T> {
    fn copy(&mut self, text: &Secret) -> Result<ClipboardBackend, CopyError> {
        let (mut last_error, mut hung) = (CopyError::TerminalBlocked, false);
        for backend in self.backends.clone() {
            // A display that let one wait lets all wait.
            if hung && backend.needs_display() {
                continue;
            }
            match self.try_backend(backend, text) {
                Ok(()) => return Ok(backend),
                Err(BackendError::Failed(reason)) => last_error = reason,
                Err(BackendError::TimedOut) => hung = true,
            }
        }
        Err(last_error)
    }

    /// Goes one way.
    fn try_backend(&mut self, backend: ClipboardBackend, text: &Secret) -> Result<(), BackendError> {
        let is_copied = match backend.helper_command() {
            // It would take the bytes for those of a Windows code page.
            Some(_) if backend == ClipboardBackend::ClipExe && !text.expose().is_ascii() => false,
            Some((program, args)) => {
                let mut command = Command::new(program);
                // promise: copy-by-stdin, mutant: command.args(args) -> command.args(args).arg(text.expose())
                command.args(args);
                match subprocess::run(command, &self.env, Some(text.clone()), self.timeout, OnTimeout::Kill) {
                    Ok(Some(status)) => status.success(),
                    Ok(None) => return Err(BackendError::TimedOut),
                    Err(_) => false,
                }
            }
            None if backend == ClipboardBackend::Desktop => self.copy_to_desktop(text),
            None => {
                let bytes =
                    osc52_sequence(text.expose(), backend).ok_or(BackendError::Failed(CopyError::TooLong))?;
                (self.send_to_terminal)(&bytes)
            }
        };
        is_copied.then_some(()).ok_or(BackendError::Failed(CopyError::TerminalBlocked))
    }

    fn copy_to_desktop(&mut self, text: &Secret) -> bool {
        let desktop = self.desktop.take().or_else(|| DesktopClipboard::connect(self.timeout));
        // One that failed or hung is given up, with its thread.
        self.desktop = desktop.filter(|desktop| desktop.set_text(text.clone(), self.timeout));
        self.desktop.is_some()
    }
}

/// A connection to the desktop's clipboard, in a thread that can hang without harm.
struct DesktopClipboard {
    texts: SyncSender<Secret>,
    results: Receiver<bool>,
}

impl DesktopClipboard {
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
        Some(Self { texts, results: answers })
    }

    fn set_text(&self, text: Secret, limit: Duration) -> bool {
        self.texts.try_send(text).is_ok() && self.results.recv_timeout(limit).is_ok_and(|done| done)
    }
}

/// The bytes that ask a terminal to copy `text`; `None` if they are too many.
fn osc52_sequence(text: &str, backend: ClipboardBackend) -> Option<Vec<u8>> {
    if text.len().div_ceil(3).checked_mul(4)? > MAX_OSC52_BASE64 {
        return None;
    }
    let mut sequence = String::new();
    CopyToClipboard::to_clipboard_from(text).write_ansi(&mut sequence).ok()?;
    if backend != ClipboardBackend::Osc52Screen {
        return Some(sequence.into_bytes());
    }
    // Within a device control string ESC \ would end that one: the inner end is a BEL.
    let inner = sequence.replace("\x1b\\", "\x07");
    let strings = inner.as_bytes().chunks(MAX_SCREEN_STRING);
    Some(strings.flat_map(|part| [b"\x1bP".as_slice(), part, b"\x1b\\"].concat()).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::mpsc;

    use super::super::subprocess::install_fake_program;
    use super::*;

    const URL: &str = "wss://connect.example/?signingKey=canary";

    fn env(vars: &[(&str, &str)]) -> Env {
        Env::new(vars.iter().copied())
    }

    #[test]
    fn the_ways_and_their_order_follow_from_the_environment() {
        use ClipboardBackend::{ClipExe, Desktop, Osc52, Osc52Screen, Pbcopy, Tmux, WlCopy, Xclip, Xsel};
        let ssh = ("SSH_CONNECTION", "1 2 3 4");
        let cases: [(Env, &[ClipboardBackend]); 11] = [
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
            assert_eq!(clipboard_backends(&env), expected, "{env:?}");
        }
    }

    #[test]
    fn osc_52_is_what_terminals_expect() {
        assert_eq!(osc52_sequence("hi!", ClipboardBackend::Osc52).unwrap(), b"\x1b]52;c;aGkh\x1b\\");
        assert_eq!(
            osc52_sequence("hi!", ClipboardBackend::Osc52Screen).unwrap(),
            b"\x1bP\x1b]52;c;aGkh\x07\x1b\\"
        );
    }

    #[test]
    fn screen_gets_osc_52_in_strings_that_it_does_not_cut() {
        let text = "x".repeat(3000);
        let bytes = String::from_utf8(osc52_sequence(&text, ClipboardBackend::Osc52Screen).unwrap()).unwrap();
        let parts: Vec<_> = bytes.strip_suffix("\x1b\\").unwrap().split("\x1b\\").collect();
        assert!(parts.iter().all(|part| part.starts_with("\x1bP") && part.len() <= MAX_SCREEN_STRING + 2));
        let joined: String = parts.iter().map(|part| &part[2..]).collect();
        let plain = String::from_utf8(osc52_sequence(&text, ClipboardBackend::Osc52).unwrap()).unwrap();
        assert_eq!(joined.strip_suffix('\x07'), plain.strip_suffix("\x1b\\"));
    }

    #[test]
    fn more_than_terminals_take_is_not_sent() {
        let most = MAX_OSC52_BASE64 / 4 * 3;
        assert!(osc52_sequence(&"x".repeat(most), ClipboardBackend::Osc52).is_some());
        assert!(osc52_sequence(&"x".repeat(most + 1), ClipboardBackend::Osc52).is_none());
    }

    /// Copies in an environment whose PATH starts with `dir`; gives what was reported and what the terminal got.
    fn copy_with(dir: &Path, limit: Duration, vars: &[(&str, &str)]) -> (CopyResult, Vec<u8>) {
        let path = format!("{}:/usr/bin:/bin", dir.display());
        let vars =
            vars.iter().copied().chain([("PATH", path.as_str()), ("BROWSERBASE_API_KEY", "bb_canary")]);
        let (report, reported) = mpsc::channel();
        let (terminal, sent) = mpsc::channel();
        let clipboard = Clipboard::with_timeout(
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
        install_fake_program(dir.path(), "wl-copy", RECORD);
        let (copied, sent) = copy_with(dir.path(), PATIENCE, &[("WAYLAND_DISPLAY", "none")]);
        assert_eq!(copied, CopyResult { label: "connect URL".into(), result: Ok(ClipboardBackend::WlCopy) });
        assert_eq!(fs::read_to_string(dir.path().join("stdin")).unwrap(), URL);
        for seen in ["argv", "env"] {
            assert!(!fs::read_to_string(dir.path().join(seen)).unwrap().contains("canary"), "{seen}");
        }
        assert!(sent.is_empty());
    }

    #[test]
    fn tmux_gets_a_named_buffer() {
        let dir = tempfile::tempdir().unwrap();
        install_fake_program(dir.path(), "tmux", RECORD);
        let (copied, _) = copy_with(dir.path(), PATIENCE, &[("TMUX", "/none,1,0"), ("SSH_TTY", "x")]);
        assert_eq!(copied.result, Ok(ClipboardBackend::Tmux));
        let argv = fs::read_to_string(dir.path().join("argv")).unwrap();
        assert!(argv.ends_with("tmux load-buffer -b keepwatch -w -\n"), "{argv}");
        assert_eq!(fs::read_to_string(dir.path().join("stdin")).unwrap(), URL);
    }

    #[test]
    fn a_display_that_hangs_costs_one_limit_and_its_helper_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        install_fake_program(dir.path(), "xclip", "echo $$ > $d/pid; exec sleep 600");
        install_fake_program(dir.path(), "xsel", RECORD);
        install_fake_program(dir.path(), "tmux", "echo unknown option -- w >&2; exit 1");
        let (copied, sent) =
            copy_with(dir.path(), BACKEND_TIMEOUT, &[("DISPLAY", ":none"), ("TMUX", "/none,1,0")]);
        assert_eq!(copied.result, Ok(ClipboardBackend::Osc52));
        assert_eq!(sent, osc52_sequence(URL, ClipboardBackend::Osc52).unwrap());
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
        assert_eq!(reported.recv_timeout(PATIENCE).unwrap().result, Err(CopyError::TerminalBlocked));
    }
}
