//! A home with everything that keepwatch writes in it, and helpers that betray what they are told.
//!
//! ```text
//!   home/            searched whole: config, journal, log, recordings, exports, what children were told
//!   meant/           where secrets are meant to go: what was copied; and where the key comes from
//! ```

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::malicious_server::{Bystander, CANARY, KEY, MaliciousServer};
use crate::harness::{PROGRAM, Terminal, clean_env, wait_until};

/// The programs that keepwatch may start. Of those that copy, the last one here takes it.
const HELPERS: [(&str, i32); 7] =
    [("wl-copy", 1), ("xclip", 1), ("xsel", 1), ("tmux", 0), ("xdg-open", 0), ("gio", 0), ("pass", 0)];

pub(super) struct Fixture {
    home: tempfile::TempDir,
    secret_folder: tempfile::TempDir,
    pub(super) api: MaliciousServer,
    pub(super) bystander: Bystander,
}

/// What a command came to.
pub(super) struct CommandOutput {
    pub(super) code: i32,
    pub(super) output: String,
}

impl Fixture {
    /// The key comes from a program that prints it.
    pub(super) fn new() -> Self {
        let bystander = Bystander::listen();
        let api = MaliciousServer::serve(&bystander);
        let house = Self {
            home: tempfile::tempdir().unwrap(),
            secret_folder: tempfile::tempdir().unwrap(),
            api,
            bystander,
        };
        fs::write(house.secret_folder.path().join("key"), KEY).unwrap();
        fs::set_permissions(house.secret_folder.path().join("key"), fs::Permissions::from_mode(0o600))
            .unwrap();
        for folder in ["bin", "told"] {
            fs::create_dir(house.path(folder)).unwrap();
        }
        for (name, code) in HELPERS {
            house.install_helper(name, code);
        }
        let config = house.path(".config/keepwatch");
        fs::create_dir_all(&config).unwrap();
        let text = format!(
            "base-url = {:?}\napi-key-command = [\"pass\", \"show\"]\nlog = \"../../log\"\n",
            house.api.url
        );
        fs::write(config.join("config.toml"), text).unwrap();
        house
    }

    /// A program that writes down what it is told, and what it is given where that is meant to be. Another process writes
    /// it: a test that forks meanwhile would inherit our file, and what is open for writing can not be started.
    fn install_helper(&self, name: &str, code: i32) {
        let (told, meant) = (self.path("told"), self.secret_folder.path().join(name));
        let does = match name {
            "pass" => format!("cat '{}'", self.secret_folder.path().join("key").display()),
            _ => format!("cat >> '{}'", meant.display()),
        };
        let script = format!(
            "#!/bin/sh\n{{ echo \"{name} $*\"; env; tr '\\0' '\\n' < /proc/$$/cmdline; }} > '{}'/{name}.$$ 2>&1\n{does}\nexit {code}\n",
            told.display()
        );
        let mut install = Command::new("install");
        install.args(["-m", "755", "/dev/stdin"]).arg(self.path("bin").join(name)).stdin(Stdio::piped());
        let mut child = install.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// A path in the home.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A path where secrets are meant to be.
    pub(super) fn secret_path(&self, name: &str) -> PathBuf {
        self.secret_folder.path().join(name)
    }

    /// A desktop, tmux and proxies, all of which would be glad of a secret.
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

    /// keepwatch on a terminal.
    pub(super) fn screen(&self, args: &[&str], more: &[(&str, &str)]) -> Terminal {
        let command: Vec<&str> = std::iter::once(PROGRAM).chain(args.iter().copied()).collect();
        let env = self.env();
        let env = env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let env: Vec<(&str, &str)> = env.chain(more.iter().copied()).collect();
        Terminal::start(&command, &env, 140, 45)
    }

    /// `keepwatch ARGS` without a terminal, to its end.
    pub(super) fn run(&self, args: &[&str]) -> CommandOutput {
        self.run_with(args, &[])
    }

    pub(super) fn run_with(&self, args: &[&str], more: &[(&str, &str)]) -> CommandOutput {
        let said = tempfile::NamedTempFile::new().unwrap();
        let appended = || fs::OpenOptions::new().append(true).open(said.path()).unwrap();
        let child = Command::new(PROGRAM)
            .args(args)
            .env_clear()
            .envs(self.env())
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(appended())
            .stderr(appended())
            .spawn()
            .unwrap();
        let (child, code) = (RefCell::new(child), Cell::new(None));
        let ended = || {
            code.set(child.borrow_mut().try_wait().unwrap());
            code.get().is_some()
        };
        wait_until(&format!("{args:?} ends"), ended);
        let all = String::from_utf8_lossy(&fs::read(said.path()).unwrap()).into_owned();
        assert!(!all.contains("panicked"), "{args:?}: {all}");
        CommandOutput { code: code.get().unwrap().code().unwrap_or(-1), output: all }
    }

    /// What was given to a helper, and meant to be.
    pub(super) fn helper_input(&self, name: &str) -> String {
        fs::read_to_string(self.secret_path(name)).unwrap_or_default()
    }

    /// What the children called `name` were told, once there is one.
    pub(super) fn helper_log(&self, name: &str) -> String {
        let start = format!("{name}.");
        let of = || {
            let found = fs::read_dir(self.path("told")).unwrap().map(|it| it.unwrap().path());
            let found = found.filter(|it| it.file_name().unwrap().to_string_lossy().starts_with(&start));
            found.map(|it| fs::read_to_string(it).unwrap_or_default()).collect::<String>()
        };
        wait_until(&format!("{name} is started"), || of().contains("/bin/sh"));
        of()
    }

    /// Holds that no secret is in any file of the home, nor in a file's name.
    pub(super) fn assert_no_secret_in_home(&self) {
        for path in files(self.home.path()) {
            let text =
                fs::read(&path).map(|it| String::from_utf8_lossy(&it).into_owned()).unwrap_or_default();
            assert_no_secret(&path.display().to_string(), &text);
        }
    }
}

/// Every file below a folder.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Holds that no secret is in `text`.
pub(super) fn assert_no_secret(what: &str, text: &str) {
    if let Some(at) = text.find(CANARY) {
        let near: String =
            text[text.floor_char_boundary(at.saturating_sub(200))..].chars().take(300).collect();
        panic!("a secret is in {what}: …{near}…");
    }
}
