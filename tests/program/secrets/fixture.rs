//! Prepares a home folder and helpers. keepwatch writes all its files to the home folder. Helpers are programs that
//! keepwatch starts. They log their arguments, environment and standard input. The tests search all of the home folder
//! for secrets.
//!
//! ```text
//!   home/             no secrets: config, journal, log, recordings, exports, arguments and environment of helpers
//!   secret folder/    secrets are allowed: the API key, and the standard input of helpers (copied text)
//! ```

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::malicious_server::{Bystander, CANARY, KEY, MaliciousServer};
use crate::harness::{PROGRAM, Terminal, clean_env, wait_until};

/// Programs that keepwatch may start, with their exit codes. Of the clipboard programs only the last, tmux, succeeds,
/// so keepwatch tries each of them.
const HELPERS: [(&str, i32); 7] =
    [("wl-copy", 1), ("xclip", 1), ("xsel", 1), ("tmux", 0), ("xdg-open", 0), ("gio", 0), ("pass", 0)];

/// The folders, helpers and servers of one test.
pub(super) struct Fixture {
    home: tempfile::TempDir,
    secret_folder: tempfile::TempDir,
    pub(super) api: MaliciousServer,
    pub(super) bystander: Bystander,
}

/// Exit code and output of a command.
pub(super) struct CommandOutput {
    /// Exit code, or -1 if a signal ended the command.
    pub(super) code: i32,
    /// Standard output and standard error, in the order written.
    pub(super) output: String,
}

impl Fixture {
    /// Creates the folders, helpers and a config file that reads the API key from the helper `pass`.
    pub(super) fn new() -> Self {
        let bystander = Bystander::listen();
        let api = MaliciousServer::serve(&bystander);
        let fixture = Self {
            home: tempfile::tempdir().unwrap(),
            secret_folder: tempfile::tempdir().unwrap(),
            api,
            bystander,
        };
        fs::write(fixture.secret_folder.path().join("key"), KEY).unwrap();
        fs::set_permissions(fixture.secret_folder.path().join("key"), fs::Permissions::from_mode(0o600))
            .unwrap();
        for folder in ["bin", "helpers"] {
            fs::create_dir(fixture.path(folder)).unwrap();
        }
        for (name, code) in HELPERS {
            fixture.install_helper(name, code);
        }
        let config = fixture.path(".config/keepwatch");
        fs::create_dir_all(&config).unwrap();
        let text = format!(
            "base-url = {:?}\napi-key-command = [\"pass\", \"show\"]\nlog = \"../../log\"\n",
            fixture.api.url
        );
        fs::write(config.join("config.toml"), text).unwrap();
        fixture
    }

    /// Installs a script that logs its arguments and environment to the home folder, and its standard input to the
    /// secret folder. Another process writes the script. If this process wrote it, a test that forks at the same time
    /// would inherit the open file, and a file that is open for writing cannot be executed.
    fn install_helper(&self, name: &str, code: i32) {
        let (logs, input) = (self.path("helpers"), self.secret_folder.path().join(name));
        let action = match name {
            "pass" => format!("cat '{}'", self.secret_folder.path().join("key").display()),
            _ => format!("cat >> '{}'", input.display()),
        };
        let script = format!(
            "#!/bin/sh\n{{ echo \"{name} $*\"; env; tr '\\0' '\\n' < /proc/$$/cmdline; }} > '{}'/{name}.$$ 2>&1\n{action}\nexit {code}\n",
            logs.display()
        );
        let mut install = Command::new("install");
        install.args(["-m", "755", "/dev/stdin"]).arg(self.path("bin").join(name)).stdin(Stdio::piped());
        let mut child = install.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Returns a path in the home folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Returns a path in the secret folder.
    pub(super) fn secret_path(&self, name: &str) -> PathBuf {
        self.secret_folder.path().join(name)
    }

    /// Returns an environment with a desktop, tmux and proxies. A faulty program could leak a secret to each of them.
    pub(super) fn env(&self) -> Vec<(String, String)> {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut env: Vec<(String, String)> = clean_env();
        let mut set = |name: &str, value: &str| env.push((name.to_owned(), value.to_owned()));
        set("PATH", &path);
        set("HOME", self.home.path().to_str().unwrap());
        for (name, value) in [("WAYLAND_DISPLAY", "none"), ("DISPLAY", ":none"), ("TMUX", "/none,1,0")] {
            set(name, value);
        }
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            set(name, &self.bystander.url);
        }
        env
    }

    /// Starts `keepwatch ARGS` on a terminal, with the variables `more` in addition.
    pub(super) fn start_terminal(&self, args: &[&str], more: &[(&str, &str)]) -> Terminal {
        let command: Vec<&str> = std::iter::once(PROGRAM).chain(args.iter().copied()).collect();
        let env = self.env();
        let env = env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let env: Vec<(&str, &str)> = env.chain(more.iter().copied()).collect();
        Terminal::start(&command, &env, 140, 45)
    }

    /// Runs `keepwatch ARGS` without a terminal, to its end.
    pub(super) fn run(&self, args: &[&str]) -> CommandOutput {
        self.run_with(args, &[])
    }

    /// Runs `keepwatch ARGS` without a terminal, to its end, with the variables `more` in addition.
    pub(super) fn run_with(&self, args: &[&str], more: &[(&str, &str)]) -> CommandOutput {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || fs::OpenOptions::new().append(true).open(file.path()).unwrap();
        let child = Command::new(PROGRAM)
            .args(args)
            .env_clear()
            .envs(self.env())
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open())
            .spawn()
            .unwrap();
        // The condition of `wait_until` is an `Fn`, which cannot change variables.
        let (child, code) = (RefCell::new(child), Cell::new(None));
        let has_exited = || {
            code.set(child.borrow_mut().try_wait().unwrap());
            code.get().is_some()
        };
        wait_until(&format!("the exit of {args:?}"), has_exited);
        let output = String::from_utf8_lossy(&fs::read(file.path()).unwrap()).into_owned();
        assert!(!output.contains("panicked"), "{args:?}: {output}");
        CommandOutput { code: code.get().unwrap().code().unwrap_or(-1), output }
    }

    /// Returns the standard input of all runs of a helper.
    pub(super) fn helper_input(&self, name: &str) -> String {
        fs::read_to_string(self.secret_path(name)).unwrap_or_default()
    }

    /// Waits until the helper has run, and returns the arguments and environment of all of its runs.
    pub(super) fn helper_log(&self, name: &str) -> String {
        let prefix = format!("{name}.");
        let read = || {
            let files = fs::read_dir(self.path("helpers")).unwrap().map(|it| it.unwrap().path());
            let files = files.filter(|it| it.file_name().unwrap().to_string_lossy().starts_with(&prefix));
            files.map(|it| fs::read_to_string(it).unwrap_or_default()).collect::<String>()
        };
        // A helper's log ends with its command line, which begins with `/bin/sh`.
        wait_until(&format!("a run of {name}"), || read().contains("/bin/sh"));
        read()
    }

    /// Asserts that no file in the home folder contains a secret.
    pub(super) fn assert_no_secret_in_home(&self) {
        for path in files(self.home.path()) {
            let text =
                fs::read(&path).map(|it| String::from_utf8_lossy(&it).into_owned()).unwrap_or_default();
            assert_no_secret(&path.display().to_string(), &text);
        }
    }
}

/// Returns all files below a folder.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Asserts that `text` contains no secret. `name` names the text in the failure message.
pub(super) fn assert_no_secret(name: &str, text: &str) {
    if let Some(at) = text.find(CANARY) {
        let near: String =
            text[text.floor_char_boundary(at.saturating_sub(200))..].chars().take(300).collect();
        panic!("a secret is in {name}: …{near}…");
    }
}
