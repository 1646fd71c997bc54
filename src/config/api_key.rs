//! Reads the API key from a file or from standard input. (`key_command` reads it from a program.) Error messages never
//! show any part of the API key.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitStatus;

use super::api_options::KeySource;
use super::key_command::run_key_command;
use crate::waiting_io::WaitingIo;
use keepwatch_core::session::Secret;
use keepwatch_core::text;

/// The maximum size of a key file, and of the output of a program that prints the API key, in bytes.
pub(super) const MAX_KEY_BYTES: usize = 4096;
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
    #[error("{origin} holds more than {MAX_KEY_BYTES} bytes, which is no key")]
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
    let origin = if is_stdin { "standard input".into() } else { sanitised_origin(&path.to_string_lossy()) };
    let mut warning = None;
    let mut read_text = || {
        if is_stdin {
            let stdin = File::from(rustix::stdio::stdin().try_clone_to_owned()?);
            return read_key_text(&stdin);
        }
        let file = File::open(path)?;
        // promise: open-key-file
        warning = permission_warning(&file.metadata()?, &origin);
        read_key_text(&file)
    };
    let text = match read_text() {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(KeyError::TooLong { origin: origin.clone() }),
        Err(error) => Err(KeyError::Unreadable { origin: origin.clone(), error }),
    };
    ApiKeyLookup { key: text.and_then(|text| parse_key(&text, &origin)), warning }
}

/// Reads a regular file to its end. Reads a pipe or a terminal only until the first line that is not blank is complete,
/// because its other end may stay open. Returns `None` after more than [`MAX_KEY_BYTES`] bytes.
fn read_key_text(file: &File) -> io::Result<Option<String>> {
    let is_stream = !file.metadata()?.is_file();
    let (mut reader, mut bytes, mut chunk) = (WaitingIo::new(file), Vec::new(), [0; 512]);
    loop {
        let count = reader.read(&mut chunk)?;
        bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
        if bytes.len() > MAX_KEY_BYTES {
            return Ok(None);
        }
        let line = complete_line(&bytes).filter(|_| is_stream);
        if count == 0 || line.is_some() {
            let text = std::str::from_utf8(line.unwrap_or(&bytes))
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            return Ok(Some(text.to_owned()));
        }
    }
}

/// Returns the first line of `bytes` that is not blank, or `None` if no newline ends that line.
pub(super) fn complete_line(bytes: &[u8]) -> Option<&[u8]> {
    let text = bytes.trim_ascii_start();
    text.iter().position(|byte| *byte == b'\n').and_then(|end| text.get(..end))
}

/// Returns the name of a file or program for messages. Redacts the name, because a user may have written the API key
/// instead of a name.
pub(super) fn sanitised_origin(name: &str) -> String {
    text::sanitise(&text::redact(name), MAX_ORIGIN_COLUMNS)
}

/// Returns a warning if other users have any permission for the key file. The warning names the file as `origin`. Pipes
/// and other special files need no warning, because they do not store the API key.
fn permission_warning(metadata: &Metadata, origin: &str) -> Option<String> {
    let mode = metadata.mode() & 0o777;
    (metadata.is_file() && mode & 0o077 != 0).then(|| {
        format!("the key file {origin} is open to others (its mode is {mode:03o}): `chmod 600` closes it")
    })
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
    fn long_key_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let too_long = format!("bb_{}", "cAnArY".repeat(1000));
        std::fs::write(&path, too_long).unwrap();
        let message = read_key_file(&path).key.unwrap_err().to_string();
        assert!(message.ends_with("/key holds more than 4096 bytes, which is no key"), "{message}");
        let longest = format!("{}bb_test_1", " ".repeat(MAX_KEY_BYTES - "bb_test_1".len()));
        std::fs::write(&path, longest).unwrap();
        assert_eq!(read_key_file(&path).key.unwrap().expose(), "bb_test_1", "4096 bytes are allowed");
    }

    #[test]
    fn key_line_of_open_pipe_is_read() {
        use std::os::fd::AsRawFd as _;
        let (reader, mut writer) = io::pipe().unwrap();
        io::Write::write_all(&mut writer, b"\n bb_test_1\nmore").unwrap();
        let lookup = read_key_file(Path::new(&format!("/dev/fd/{}", reader.as_raw_fd())));
        assert_eq!(lookup.key.unwrap().expose(), "bb_test_1");
        drop(writer); // the pipe was open until here
    }
}
