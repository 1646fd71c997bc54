//! How the API is reached, as one place says it: a profile, the config file outside of its profiles, or a table of it.
//! Each says as much as it likes; what a profile leaves out is as without it.

use std::path::{Path, PathBuf};

/// What may stand in `[profile.NAME]`, in the order in which it is printed.
pub const PROFILE_KEYS: [&str; 5] = ["label", "base-url", "api-key-file", "api-key-command", "insecure-http"];

/// How the API is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiOptions {
    /// What it is called on the screen; fit to be shown.
    pub label: Option<String>,
    /// The API's base URL, as it was written.
    pub base_url: Option<String>,
    /// Where the key comes from.
    pub key_source: Option<KeySource>,
    /// Whether the key may go over plain http to another machine.
    pub insecure_http: Option<bool>,
}

/// Where a key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file; `-` is standard input.
    File(PathBuf),
    /// A program that prints it, and its arguments. No shell reads them.
    Command(Vec<String>),
}

impl ApiOptions {
    /// This, and `below` where this says nothing.
    #[must_use]
    pub(super) fn merged_over(self, fallback: &Self) -> Self {
        Self {
            label: self.label.or_else(|| fallback.label.clone()),
            base_url: self.base_url.or_else(|| fallback.base_url.clone()),
            key_source: self.key_source.or_else(|| fallback.key_source.clone()),
            insecure_http: self.insecure_http.or(fallback.insecure_http),
        }
    }
}

/// A path in the file: `~/` is the home, and what is relative is so to the file's folder.
pub(super) fn resolve_path(written: &str, folder: &Path, home: Option<&Path>) -> Result<PathBuf, String> {
    if written == "-" {
        return Ok(PathBuf::from(written));
    }
    match (written.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => Ok(home.join(rest)),
        (Some(_), None) => Err("it begins with ~/, and HOME is not set".into()),
        (None, _) => Ok(folder.join(written)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_the_homes_the_folders_or_its_own() {
        let of = |written| resolve_path(written, Path::new("/etc/kw"), Some(Path::new("/home/me")));
        assert_eq!(of("~/key"), Ok("/home/me/key".into()));
        assert_eq!(of("keys/a"), Ok("/etc/kw/keys/a".into()));
        assert_eq!(of("/run/key"), Ok("/run/key".into()));
        assert_eq!(of("-"), Ok("-".into()));
        assert!(resolve_path("~/key", Path::new("/etc"), None).unwrap_err().contains("HOME"));
    }
}
