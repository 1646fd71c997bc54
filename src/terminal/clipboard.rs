//! The clipboard: selects the backends that work in this environment and tries them in order.
//!
//! The text may be a secret that controls a browser. It goes to a helper's standard input or to the terminal, never
//! into arguments, the environment or a log. keepwatch does not clear the clipboard afterwards.
//!
//! Copying has its own thread, because every backend can hang. For example, the display of a stale `ssh -X` does not
//! respond. Each backend has one second. Then the next backend is tried.

use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use std::{fmt, io, thread};

use crossterm::Command as _;
use crossterm::clipboard::CopyToClipboard;

use super::env::Env;
use super::subprocess::{self, KillScope};
use keepwatch_core::session::Secret;

/// The timeout of each backend.
const BACKEND_TIMEOUT: Duration = Duration::from_secs(1);
/// The maximum length of the base64 text in one OSC 52 sequence, in bytes. Terminals are known to accept that much. k9s
/// has the same limit.
const MAX_OSC52_BASE64: usize = 74_994;
/// The maximum number of bytes inside one control string for GNU screen. A longer sequence is split into several
/// strings, which screen joins. screen 4.9 truncates a string after 768 bytes.
const MAX_SCREEN_STRING: usize = 700;
/// The name of the tmux buffer for copies. A named buffer does not replace the user's own buffers.
const TMUX_BUFFER: &str = "keepwatch";

/// A helper program or an interface that sets the clipboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipboardBackend {
    /// `clip.exe`: Windows, from the Windows Subsystem for Linux.
    ClipExe,
    /// `pbcopy`: macOS.
    Pbcopy,
    /// `wl-copy`: Wayland.
    WlCopy,
    /// `xclip`: X11.
    Xclip,
    /// `xsel`: X11.
    Xsel,
    /// The desktop's clipboard, without a helper. The text is lost when keepwatch exits.
    Desktop,
    /// A named tmux buffer, and the clipboard of the terminal in which tmux runs.
    Tmux,
    /// OSC 52, an escape sequence that the terminal does not confirm.
    Osc52,
    /// OSC 52, wrapped so that GNU screen passes it on.
    Osc52Screen,
}

/// Returns the backends to try in `env`, in the order of preference.
///
/// Helpers come before [`Desktop`](ClipboardBackend::Desktop), because the clipboard that a helper sets outlives
/// keepwatch. Over SSH, backends that need a display are left out, because the display belongs to the remote machine.
/// tmux drops an application's OSC 52 by default, but `load-buffer -w` (tmux 3.2 and later) works without
/// configuration. OSC 52 comes last, because the terminal never reports a failure.
#[must_use]
pub fn clipboard_backends(env: &Env) -> Vec<ClipboardBackend> {
    let is_local = !env.is_remote();
    let (wayland, x11) = (env.has("WAYLAND_DISPLAY"), env.has("DISPLAY"));
    let in_screen =
        env.has("STY") && env.get("TERM").is_some_and(|term| term.as_encoded_bytes().starts_with(b"screen"));
    [
        (ClipboardBackend::ClipExe, is_local && env.is_wsl()),
        (ClipboardBackend::Pbcopy, is_local && env.is_macos()),
        (ClipboardBackend::WlCopy, is_local && wayland),
        (ClipboardBackend::Xclip, is_local && x11),
        (ClipboardBackend::Xsel, is_local && x11),
        (ClipboardBackend::Desktop, is_local && (wayland || x11 || env.is_macos())),
        (ClipboardBackend::Tmux, env.has("TMUX")),
        (ClipboardBackend::Osc52Screen, in_screen),
        (ClipboardBackend::Osc52, !in_screen),
    ]
    .into_iter()
    .filter_map(|(backend, is_available)| is_available.then_some(backend))
    .collect()
}

impl ClipboardBackend {
    /// Returns the helper program with its arguments. The program reads the text from its standard input. Returns
    /// `None` for a backend without a helper.
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

/// Describes a successful copy with this backend. An unconfirmed copy is called "unconfirmed".
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

/// The result of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyResult {
    /// The label from [`Clipboard::copy`], such as "connect URL of 45c48cce".
    pub label: String,
    /// The backend that succeeded, or the error.
    pub result: Result<ClipboardBackend, CopyError>,
}

/// An error that prevented a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyError {
    /// An earlier copy is not finished.
    Busy,
    /// The text is too long for OSC 52, and no other backend worked.
    TooLong,
    /// The terminal is blocked, and no other backend worked.
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

/// A handle to the clipboard thread, which makes one copy at a time.
pub struct Clipboard {
    jobs: SyncSender<CopyJob>,
    /// Receives the results of copies that cannot be queued. The thread has its own clone for the others.
    on_result: Box<dyn Fn(CopyResult) + Send>,
}

/// A text to copy, with the label of its result.
struct CopyJob {
    label: String,
    text: Secret,
}

impl Clipboard {
    /// Starts the clipboard thread for the environment `env`. `send_to_terminal` does the same as
    /// [`ScreenSender::send`](super::ScreenSender::send), and returns false if the bytes are rejected. `on_result` is
    /// called once for each copy.
    ///
    /// # Errors
    ///
    /// The thread cannot start.
    pub fn new(
        env: Env,
        send_to_terminal: impl Fn(&[u8]) -> bool + Send + 'static,
        on_result: impl Fn(CopyResult) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        Self::with_timeout(BACKEND_TIMEOUT, env, send_to_terminal, on_result)
    }

    fn with_timeout(
        timeout: Duration,
        env: Env,
        send_to_terminal: impl Fn(&[u8]) -> bool + Send + 'static,
        on_result: impl Fn(CopyResult) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, queue) = sync_channel::<CopyJob>(1);
        let on_thread_result = on_result.clone();
        thread::Builder::new().name("clipboard".into()).spawn(move || {
            let mut worker = ClipboardWorker {
                backends: clipboard_backends(&env),
                timeout,
                env,
                send_to_terminal,
                desktop: None,
            };
            for CopyJob { label, text } in queue {
                on_thread_result(CopyResult { label, result: worker.copy(&text) });
            }
        })?;
        Ok(Self { jobs, on_result: Box::new(on_result) })
    }

    /// Starts to copy `text`, without waiting. The [`CopyResult`] of this copy has the same `label`.
    pub fn copy(&self, label: String, text: Secret) {
        if let Err(
            TrySendError::Full(CopyJob { label, .. }) | TrySendError::Disconnected(CopyJob { label, .. }),
        ) = self.jobs.try_send(CopyJob { label, text })
        {
            (self.on_result)(CopyResult { label, result: Err(CopyError::Busy) });
        }
    }
}

/// The state of the clipboard thread.
struct ClipboardWorker<T> {
    backends: Vec<ClipboardBackend>,
    timeout: Duration,
    env: Env,
    send_to_terminal: T,
    /// The connection to the desktop's clipboard, which must stay open to keep the text.
    desktop: Option<DesktopClipboard>,
}

/// An error of one backend.
enum BackendError {
    /// The backend is missing or failed. If no backend works, the user sees the error of the last one that failed.
    Failed(CopyError),
    /// The backend did not finish in time.
    TimedOut,
}

impl<T: Fn(&[u8]) -> bool> ClipboardWorker<T> {
    fn copy(&mut self, text: &Secret) -> Result<ClipboardBackend, CopyError> {
        let (mut last_error, mut has_timed_out) = (CopyError::TerminalBlocked, false);
        for backend in self.backends.clone() {
            // If one backend timed out, the display probably hangs. Then the other backends that need the display would
            // hang, too.
            if has_timed_out && backend.needs_display() {
                continue;
            }
            match self.try_backend(backend, text) {
                Ok(()) => return Ok(backend),
                Err(BackendError::Failed(error)) => last_error = error,
                Err(BackendError::TimedOut) => has_timed_out = true,
            }
        }
        Err(last_error)
    }

    /// Copies `text` with one backend.
    fn try_backend(&mut self, backend: ClipboardBackend, text: &Secret) -> Result<(), BackendError> {
        let is_copied = match backend.helper_command() {
            // clip.exe decodes its input as a Windows code page, not as UTF-8.
            Some(_) if backend == ClipboardBackend::ClipExe && !text.expose().is_ascii() => false,
            Some((program, args)) => {
                let mut command = Command::new(program);
                // promise: copy-by-stdin, mutant: command.args(args) -> command.args(args).arg(text.expose())
                command.args(args);
                match subprocess::run(command, &self.env, Some(text.clone()), self.timeout, KillScope::Group)
                {
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
        // Keep only a connection that works. Dropping one that failed or timed out ends its thread.
        self.desktop = desktop.filter(|desktop| desktop.set_text(text.clone(), self.timeout));
        self.desktop.is_some()
    }
}

/// A connection to the desktop's clipboard. The connection has its own thread, because the desktop can hang.
struct DesktopClipboard {
    texts: SyncSender<Secret>,
    /// One result for each text: true if the text was copied.
    results: Receiver<bool>,
}

impl DesktopClipboard {
    /// Returns `None`, because the feature `desktop-clipboard` is off.
    #[cfg(not(feature = "desktop-clipboard"))]
    fn connect(_: Duration) -> Option<Self> {
        None
    }

    /// Connects to the desktop's clipboard. Returns `None` if that fails or takes longer than `timeout`.
    #[cfg(feature = "desktop-clipboard")]
    fn connect(timeout: Duration) -> Option<Self> {
        #[cfg(target_os = "macos")]
        use arboard::SetExtApple as _;
        #[cfg(target_os = "linux")]
        use arboard::SetExtLinux as _;
        let (texts, queue) = sync_channel::<Secret>(1);
        let (sender, results) = sync_channel(1);
        let thread = thread::Builder::new().name("desktop".into()).spawn(move || {
            let Ok(mut clipboard) = arboard::Clipboard::new() else { return };
            // Tell `connect` that the connection is open. If `connect` has timed out, this send fails, and the queue
            // below is closed, so that no old text is copied late.
            let _ = sender.send(true);
            for text in queue {
                let is_copied = clipboard.set().exclude_from_history().text(text.expose()).is_ok();
                let _ = sender.send(is_copied);
            }
        });
        thread.ok()?;
        results.recv_timeout(timeout).ok()?;
        Some(Self { texts, results })
    }

    /// Sets the text of the clipboard. Returns false if that fails or takes longer than `timeout`.
    fn set_text(&self, text: Secret, timeout: Duration) -> bool {
        self.texts.try_send(text).is_ok()
            && self.results.recv_timeout(timeout).is_ok_and(|is_copied| is_copied)
    }
}

/// Returns the escape sequence that makes a terminal copy `text`, or `None` if the text is too long.
fn osc52_sequence(text: &str, backend: ClipboardBackend) -> Option<Vec<u8>> {
    if text.len().div_ceil(3).checked_mul(4)? > MAX_OSC52_BASE64 {
        return None;
    }
    let mut sequence = String::new();
    CopyToClipboard::to_clipboard_from(text).write_ansi(&mut sequence).ok()?;
    if backend != ClipboardBackend::Osc52Screen {
        return Some(sequence.into_bytes());
    }
    // ESC \ inside a device control string would end that string. So the inner sequence ends with BEL instead.
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
    fn environment_determines_backends() {
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
    fn osc52_sequence_is_valid() {
        // "aGkh" is "hi!" in base64.
        assert_eq!(osc52_sequence("hi!", ClipboardBackend::Osc52).unwrap(), b"\x1b]52;c;aGkh\x1b\\");
        assert_eq!(
            osc52_sequence("hi!", ClipboardBackend::Osc52Screen).unwrap(),
            b"\x1bP\x1b]52;c;aGkh\x07\x1b\\"
        );
    }

    #[test]
    fn osc52_is_split_for_screen() {
        let text = "x".repeat(3000); // 4000 bytes in base64: several strings
        let bytes = String::from_utf8(osc52_sequence(&text, ClipboardBackend::Osc52Screen).unwrap()).unwrap();
        let parts: Vec<_> = bytes.strip_suffix("\x1b\\").unwrap().split("\x1b\\").collect();
        // Each part starts with the two bytes ESC P.
        assert!(parts.iter().all(|part| part.starts_with("\x1bP") && part.len() <= MAX_SCREEN_STRING + 2));
        let joined: String = parts.iter().map(|part| &part[2..]).collect();
        let plain = String::from_utf8(osc52_sequence(&text, ClipboardBackend::Osc52).unwrap()).unwrap();
        assert_eq!(joined.strip_suffix('\x07'), plain.strip_suffix("\x1b\\"));
    }

    #[test]
    fn too_long_text_has_no_osc52_sequence() {
        let longest = MAX_OSC52_BASE64 / 4 * 3; // base64 makes 4 bytes of 3
        assert!(osc52_sequence(&"x".repeat(longest), ClipboardBackend::Osc52).is_some());
        assert!(osc52_sequence(&"x".repeat(longest + 1), ClipboardBackend::Osc52).is_none());
    }

    /// Copies [`URL`] in an environment with the variables `vars`, in which PATH starts with `dir`. Returns the result
    /// and the bytes sent to the terminal.
    fn copy_with(dir: &Path, timeout: Duration, vars: &[(&str, &str)]) -> (CopyResult, Vec<u8>) {
        let path = format!("{}:/usr/bin:/bin", dir.display());
        let vars =
            vars.iter().copied().chain([("PATH", path.as_str()), ("BROWSERBASE_API_KEY", "bb_canary")]);
        let (result_sender, results) = mpsc::channel();
        let (byte_sender, sent) = mpsc::channel();
        let clipboard = Clipboard::with_timeout(
            timeout,
            Env::new(vars),
            move |bytes| byte_sender.send(bytes.to_vec()).is_ok(),
            move |result| result_sender.send(result).unwrap(),
        )
        .unwrap();
        clipboard.copy("connect URL".into(), Secret::new(URL.into()));
        let result = results.recv_timeout(PATIENCE).unwrap();
        (result, sent.try_iter().flatten().collect())
    }

    const PATIENCE: Duration = Duration::from_secs(60);
    /// The script of a fake helper that saves its standard input, arguments and environment to files.
    const HELPER_SCRIPT: &str = "cat > $d/stdin; echo \"$0 $*\" > $d/argv; env > $d/env";

    #[test]
    fn helper_gets_text_on_stdin_only() {
        let dir = tempfile::tempdir().unwrap();
        install_fake_program(dir.path(), "wl-copy", HELPER_SCRIPT);
        let (result, sent) = copy_with(dir.path(), PATIENCE, &[("WAYLAND_DISPLAY", "none")]);
        assert_eq!(result, CopyResult { label: "connect URL".into(), result: Ok(ClipboardBackend::WlCopy) });
        assert_eq!(fs::read_to_string(dir.path().join("stdin")).unwrap(), URL);
        for file in ["argv", "env"] {
            let saved = fs::read_to_string(dir.path().join(file)).unwrap();
            assert!(!saved.contains("canary"), "{file} has no secret");
        }
        assert!(sent.is_empty(), "a helper makes OSC 52 unnecessary");
    }

    #[test]
    fn tmux_gets_a_named_buffer() {
        let dir = tempfile::tempdir().unwrap();
        install_fake_program(dir.path(), "tmux", HELPER_SCRIPT);
        let (result, _) = copy_with(dir.path(), PATIENCE, &[("TMUX", "/none,1,0"), ("SSH_TTY", "x")]);
        assert_eq!(result.result, Ok(ClipboardBackend::Tmux));
        let argv = fs::read_to_string(dir.path().join("argv")).unwrap();
        assert!(argv.ends_with("tmux load-buffer -b keepwatch -w -\n"), "{argv}");
        assert_eq!(fs::read_to_string(dir.path().join("stdin")).unwrap(), URL);
    }

    #[test]
    fn hanging_display_is_tried_once() {
        let dir = tempfile::tempdir().unwrap();
        install_fake_program(dir.path(), "xclip", "echo $$ > $d/pid; exec sleep 600");
        install_fake_program(dir.path(), "xsel", HELPER_SCRIPT);
        // Before version 3.2, tmux did not know the option -w.
        install_fake_program(dir.path(), "tmux", "echo unknown option -- w >&2; exit 1");
        let (result, sent) =
            copy_with(dir.path(), BACKEND_TIMEOUT, &[("DISPLAY", ":none"), ("TMUX", "/none,1,0")]);
        assert_eq!(result.result, Ok(ClipboardBackend::Osc52));
        assert_eq!(sent, osc52_sequence(URL, ClipboardBackend::Osc52).unwrap());
        assert!(!dir.path().join("argv").exists(), "xsel is not tried on a display that hangs");
        // Wait until xclip, which hangs, is killed. On a busy machine it may be killed before it writes the file `pid`.
        let pid = fs::read_to_string(dir.path().join("pid")).ok().and_then(|pid| pid.trim().parse().ok());
        pid.and_then(rustix::process::Pid::from_raw).into_iter().for_each(subprocess::wait_until_ended);
    }

    #[test]
    fn blocked_terminal_is_reported() {
        let (sender, results) = mpsc::channel();
        let clipboard =
            Clipboard::new(Env::default(), |_| false, move |result| sender.send(result).unwrap()).unwrap();
        clipboard.copy("id".into(), Secret::new("45c48cce".into()));
        assert_eq!(results.recv_timeout(PATIENCE).unwrap().result, Err(CopyError::TerminalBlocked));
    }
}
