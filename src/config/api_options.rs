//! The options that define access to the API: endpoint and API key. A profile, a command's table and the top of the
//! config file can each set some of them. An option that a profile leaves out comes from the command's table, else from
//! the top. `resolved_profile` has the complete order, with the command line and the environment.

use std::path::{Path, PathBuf};

/// The names allowed in `[profile.NAME]`, in the order in which `keepwatch config` prints them.
pub const PROFILE_KEYS: [&str; 5] = ["label", "base-url", "api-key-file", "api-key-command", "insecure-http"];

/// The API options that one profile, one table or the top of the config file sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiOptions {
    /// The profile's label on the screen, sanitised.
    pub label: Option<String>,
    /// The API's base URL, as written in the file.
    pub base_url: Option<String>,
    /// The source of the API key.
    pub key_source: Option<KeySource>,
    /// True if the API key may be sent over plain http to another machine. `None` if the option is not set.
    pub insecure_http: Option<bool>,
}

/// A source of an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file; `-` is standard input.
    File(PathBuf),
    /// A program that prints the API key, followed by the program's arguments. keepwatch runs it without a shell.
    Command(Vec<String>),
}

impl ApiOptions {
    /// Fills unset options from `fallback`.
    #[must_use]
    pub(super) fn or(self, fallback: &Self) -> Self {
        Self {
            label: self.label.or_else(|| fallback.label.clone()),
            base_url: self.base_url.or_else(|| fallback.base_url.clone()),
            key_source: self.key_source.or_else(|| fallback.key_source.clone()),
            insecure_http: self.insecure_http.or(fallback.insecure_http),
        }
    }
}

/// Resolves a path that the config file contains. `~/` means `home`, and relative paths start at `folder`, the
/// config file's folder. `-`, which is standard input, stays as it is.
pub(super) fn resolve_path(written: &str, folder: &Path, home: Option<&Path>) -> Result<PathBuf, String> {
    if written == "-" {
        return Ok(PathBuf::from(written));
    }
    match (written.strip_prefix("~/"), home) {
        (Some(relative), Some(home)) => Ok(home.join(relative)),
        (Some(_), None) => Err("it begins with ~/, and HOME is not set".into()),
        (None, _) => Ok(folder.join(written)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_path_is_resolved() {
        let resolve = |written| resolve_path(written, Path::new("/etc/kw"), Some(Path::new("/home/me")));
        assert_eq!(resolve("~/key"), Ok("/home/me/key".into()));
        assert_eq!(resolve("keys/a"), Ok("/etc/kw/keys/a".into()));
        assert_eq!(resolve("/run/key"), Ok("/run/key".into()));
        assert_eq!(resolve("-"), Ok("-".into()));
        assert!(resolve_path("~/key", Path::new("/etc"), None).unwrap_err().contains("HOME"));
    }
}
