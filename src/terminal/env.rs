//! The environment of the program and of its children.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::process::Command;

/// The environment variables, read once at startup, without the API key. They describe the desktop, and children
/// inherit them.
#[derive(Clone, Default)]
pub struct Env {
    vars: BTreeMap<OsString, OsString>,
    is_macos: bool,
}

impl Env {
    /// Creates an environment from variables such as `std::env::vars_os()`, without those named `BROWSERBASE_*`.
    pub fn new<N: Into<OsString>, V: Into<OsString>>(vars: impl IntoIterator<Item = (N, V)>) -> Self {
        let vars = vars.into_iter().map(|(name, value)| (name.into(), value.into()));
        // promise: clean-environment, mutant: !is_browserbase_variable(name) -> true
        let vars = vars.filter(|(name, _)| !is_browserbase_variable(name)).collect();
        Self { vars, is_macos: cfg!(target_os = "macos") }
    }

    /// Returns the variable `name`, or `None` if it is unset or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// True if the variable `name` is set and not empty.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// True if the user is logged in over SSH.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        ["SSH_TTY", "SSH_CONNECTION", "SSH_CLIENT"].iter().any(|name| self.has(name))
    }

    /// True on the Windows Subsystem for Linux.
    #[must_use]
    pub fn is_wsl(&self) -> bool {
        self.has("WSL_DISTRO_NAME") || self.has("WSL_INTEROP")
    }

    /// True on macOS.
    #[must_use]
    pub fn is_macos(&self) -> bool {
        self.is_macos
    }

    /// True if this environment has a desktop, and so a clipboard and a browser.
    #[must_use]
    pub fn has_display(&self) -> bool {
        self.is_macos || self.is_wsl() || self.has("WAYLAND_DISPLAY") || self.has("DISPLAY")
    }

    /// Sets the environment of `command`. Variables that `command` already sets or removes take precedence.
    pub(super) fn apply_to(&self, command: &mut Command) {
        let overrides: Vec<(OsString, Option<OsString>)> =
            command.get_envs().map(|(name, value)| (name.into(), value.map(OsStr::to_owned))).collect();
        command.env_clear().envs(&self.vars);
        for (name, value) in overrides {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
    }
}

#[cfg(test)]
impl Env {
    /// Returns the same environment, as if on macOS.
    pub(super) fn on_macos(self) -> Self {
        Self { is_macos: true, ..self }
    }
}

/// Shows only the number of variables, because values can be secrets of other programs.
impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Env({} variables)", self.vars.len())
    }
}

fn is_browserbase_variable(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"BROWSERBASE_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_do_not_inherit_api_key() {
        let env =
            Env::new([("BROWSERBASE_API_KEY", "bb_canary"), ("BROWSERBASE_X", "bb_canary"), ("HOME", "/h")]);
        let mut command = Command::new("true");
        env.apply_to(command.env("OWN", "1"));
        let vars: Vec<_> = command.get_envs().collect();
        let expected = [("HOME", "/h"), ("OWN", "1")];
        assert_eq!(vars, expected.map(|(name, value)| (OsStr::new(name), Some(OsStr::new(value)))));
        assert_eq!(format!("{env:?}"), "Env(1 variables)", "Debug shows no value");
    }
}
