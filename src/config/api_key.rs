//! Reads the API key from a file, from standard input or from the output of a program. Error messages never show any
//! part of the API key.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use super::api_options::KeySource;
use keepwatch_core::session::Secret;
use keepwatch_core::text;

/// The maximum number of bytes to read from a file, and the maximum size of a program's output.
const MAX_KEY_BYTES: u64 = 4096;
/// The maximum width of the name of a file or a program in a message, in columns.
const MAX_ORIGIN_COLUMNS: usize = 200;
/// The advice to a user without an API key.
const ADVICE: &str = "set BROWSERBASE_API_KEY or give --api-key-file, or name a source in the config file \
                      (`keepwatch config`); `keepwatch demo` needs none";

/// An error that leaves keepwatch without an API key. `origin` names the file, program or variable that should have the
/// API key. No message contains any part of an API key.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages document the variants")]
pub enum KeyError {
    #[error("no API key: {ADVICE}")]
    Missing,
    #[error("the key can not be read from {origin}: {error}")]
    Unreadable {
        origin: String,
        #[source]
        error: io::Error,
    },
    #[error("{origin} can not be run: {error}")]
    CommandNotRun {
        origin: String,
        #[source]
        error: io::Error,
    },
    #[error("{origin} prints more than {MAX_KEY_BYTES} bytes, which is no key")]
    TooLong { origin: String },
    #[error("{origin} failed ({status}), and so there is no key")]
    CommandFailed { origin: String, status: ExitStatus },
    #[error("{origin} holds no key: {ADVICE}")]
    Empty { origin: String },
    #[error("{origin} holds characters that no API key has; is it the right one?")]
    InvalidCharacters { origin: String },
}

/// The result of reading an API key.
#[derive(Debug)]
pub(super) struct ApiKeyLookup {
    pub(super) key: Result<Secret, KeyError>,
    /// A warning about the permissions of the key file.
    pub(super) warning: Option<String>,
}

impl From<Result<Secret, KeyError>> for ApiKeyLookup {
    fn from(key: Result<Secret, KeyError>) -> Self {
        Self { key, warning: None }
    }
}

/// Reads the API key from `source`.
pub(super) fn read_key(source: &KeySource) -> ApiKeyLookup {
    match source {
        KeySource::File(path) => read_key_file(path),
        KeySource::Command(words) => run_key_command(words).into(),
    }
}

/// Reads the API key from a file. `-` is standard input.
pub(super) fn read_key_file(path: &Path) -> ApiKeyLookup {
    let is_stdin = path == Path::new("-");
    let name = if is_stdin { "standard input".into() } else { sanitised_origin(&path.to_string_lossy()) };
    let mut warning = None;
    let mut read_text = || {
        let mut key = String::new();
        if is_stdin {
            io::stdin().lock().take(MAX_KEY_BYTES).read_to_string(&mut key)?;
        } else {
            let file = File::open(path)?;
            // promise: open-key-file
            warning = permission_warning(&file.metadata()?, &name);
            file.take(MAX_KEY_BYTES).read_to_string(&mut key)?;
        }
        Ok(key)
    };
    let text = read_text().map_err(|error: io::Error| KeyError::Unreadable { origin: name.clone(), error });
    ApiKeyLookup { key: text.and_then(|key| parse_key(&key, &name)), warning }
}

/// Returns the name of a file or program for messages. Redacts the name, because a user may have written the API key
/// instead of a name.
fn sanitised_origin(name: &str) -> String {
    text::sanitise(&text::redact(name), MAX_ORIGIN_COLUMNS)
}

/// Returns a warning if other users have any permission for the key file. The warning names the file as `name`. Pipes
/// and other special files need no warning, because they do not store the API key.
fn permission_warning(metadata: &Metadata, name: &str) -> Option<String> {
    let mode = metadata.mode() & 0o777;
    (metadata.is_file() && mode & 0o077 != 0).then(|| {
        format!("the key file {name} is open to others (its mode is {mode:03o}): `chmod 600` closes it")
    })
}

/// Runs a program and returns the API key that the program prints. The program inherits standard error and the
/// terminal, so that it can ask for a password. It does not inherit `BROWSERBASE_API_KEY`. Ctrl-C ends both the program
/// and keepwatch, because keepwatch installs its signal handlers later.
fn run_key_command(words: &[String]) -> Result<Secret, KeyError> {
    let Some((program, arguments)) = words.split_first() else { return Err(KeyError::Missing) };
    let origin = format!("api-key-command “{}”", sanitised_origin(program));
    let not_run = |error: io::Error| KeyError::CommandNotRun { origin: origin.clone(), error };
    let mut child = Command::new(program)
        .args(arguments)
        // promise: no-key-for-command
        .env_remove("BROWSERBASE_API_KEY")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(not_run)?;
    let mut printed = Vec::new();
    let read = match child.stdout.take() {
        Some(stdout) => stdout.take(MAX_KEY_BYTES + 1).read_to_end(&mut printed),
        None => Ok(0),
    };
    let is_too_long = u64::try_from(printed.len()).is_ok_and(|length| length > MAX_KEY_BYTES);
    if is_too_long || read.is_err() {
        let _ = child.kill(); // the program might print forever
    }
    let status = child.wait().map_err(not_run)?;
    read.map_err(not_run)?;
    if is_too_long {
        return Err(KeyError::TooLong { origin });
    }
    if !status.success() {
        return Err(KeyError::CommandFailed { origin, status });
    }
    parse_key(&String::from_utf8_lossy(&printed), &origin)
}

/// Returns the API key in `text`, which was read from `origin`.
pub(super) fn parse_key(text: &str, origin: &str) -> Result<Secret, KeyError> {
    let key = text.trim();
    if key.is_empty() {
        return Err(KeyError::Empty { origin: origin.to_owned() });
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(KeyError::InvalidCharacters { origin: origin.to_owned() });
    }
    Ok(Secret::new(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_key_script(script: &str) -> Result<Secret, String> {
        let words = ["sh", "-c", script].map(str::to_owned);
        run_key_command(&words).map_err(|error| error.to_string())
    }

    #[test]
    fn key_command_uses_no_shell() {
        assert_eq!(run_key_script("echo; echo '  bb_test_1 '").unwrap().expose(), "bb_test_1");
        let words = ["echo", "$HOME;true"].map(str::to_owned);
        assert_eq!(run_key_command(&words).unwrap().expose(), "$HOME;true");
    }

    #[test]
    fn key_as_file_name_is_redacted() {
        let message = read_key_file(Path::new("bb_live_cAnArY")).key.unwrap_err().to_string();
        assert!(message.starts_with("the key can not be read from ••••: "), "{message}");
    }

    #[test]
    fn key_file_permissions_are_checked() {
        use std::os::fd::AsRawFd as _;
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "bb_test_1").unwrap();
        for (mode, warns) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o620, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let lookup = read_key_file(&path);
            assert_eq!(lookup.key.unwrap().expose(), "bb_test_1", "a warning does not reject the key");
            assert_eq!(lookup.warning.is_some(), warns, "{mode:o}");
            let expected_end =
                format!("/key is open to others (its mode is {mode:o}): `chmod 600` closes it");
            assert!(
                lookup
                    .warning
                    .is_none_or(|warning| warning.ends_with(&expected_end) && !warning.contains("bb_test_1"))
            );
        }
        // A pipe causes no warning, as in `--api-key-file <(pass show key)`.
        let (reader, mut writer) = io::pipe().unwrap();
        io::Write::write_all(&mut writer, b"bb_test_2").unwrap();
        drop(writer);
        let lookup = read_key_file(Path::new(&format!("/dev/fd/{}", reader.as_raw_fd())));
        assert_eq!((lookup.key.unwrap().expose(), lookup.warning), ("bb_test_2", None));
    }

    #[test]
    fn failed_key_command_hides_output() {
        for (script, expected) in [
            ("echo cAnArY; exit 7", "exit status: 7"),
            ("kill -9 $$", "signal: 9"),
            ("true", "holds no key"),
            ("echo cAnArY; echo login: me", "holds characters"),
            ("yes cAnArY", "more than 4096 bytes"),
            ("read line && echo cAnArY", "exit status"), // fails, because standard input is empty
        ] {
            let message = run_key_script(script).unwrap_err();
            assert!(message.contains(expected) && !message.contains("cAnArY"), "{message}");
        }
        let missing = run_key_command(&["/no/such\u{1b}program".to_owned()]).unwrap_err().to_string();
        assert!(missing.contains("“/no/such·program” can not be run"), "{missing}");
    }
}
