//! The log's file: private to the user, append-only, and rotated to `FILE.1` before it becomes too large.
//!
//! The log describes the use of an account, so no other user may redirect it: keepwatch refuses symbolic links, other
//! users' files and special files. A file that does not start like a log is neither written nor replaced, so a mistyped
//! path cannot destroy a config file or an API key. Several processes may write the same log. Each process notices if
//! another one has rotated the file.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::private_file::{self, FileId, FileRefusal, OpenError};
use keepwatch_core::text;

/// The maximum width of a file name in a message, in columns.
const MAX_NAME_COLUMNS: usize = 60;

/// An open log file, written in whole lines.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// The maximum size, in bytes.
    max_bytes: u64,
    /// True if the last line may be incomplete, because a write failed.
    has_partial_line: bool,
}

impl LogFile {
    /// Opens the file at `path` to append to it, or creates it.
    pub(super) fn open(path: &Path, max_bytes: u64) -> io::Result<Self> {
        let path = std::path::absolute(path)?; // so that later changes of the current folder do not matter
        let file = open(&path)?;
        ensure_is_log(&rotated_path(&path))?;
        Ok(Self { path, file, max_bytes, has_partial_line: false })
    }

    /// Appends whole lines in one write, so that lines of other processes do not interleave.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.rotate_if_needed(lines.len())?;
        // Stays true if one of the writes below fails.
        let had_partial_line = std::mem::replace(&mut self.has_partial_line, true);
        if had_partial_line {
            self.file.write_all(b"\n")?;
        }
        self.file.write_all(lines)?;
        self.has_partial_line = false;
        Ok(())
    }

    /// Rotates the file if `added_bytes` would make it too large. If the path leads to another file now, because
    /// another process has rotated the file, opens the path again instead.
    fn rotate_if_needed(&mut self, added_bytes: usize) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        if FileId::at(&self.path) != Some(FileId::from_metadata(&metadata)) {
            self.reopen()?;
        } else if metadata.len() > 0
            && metadata.len().saturating_add(u64::try_from(added_bytes).unwrap_or(u64::MAX)) > self.max_bytes
        {
            // promise: log-rotation
            self.rotate(FileId::from_metadata(&metadata))?;
        }
        Ok(())
    }

    /// Renames the file and opens a new one. Does not rename the file if another process has done so already. Does
    /// nothing if another process is rotating the file right now.
    fn rotate(&mut self, file_id: FileId) -> io::Result<()> {
        if flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(()); // another process is rotating the file; this write may still go into the old one
        }
        if FileId::at(&self.path) == Some(file_id) {
            ensure_is_log(&rotated_path(&self.path))?;
            fs::rename(&self.path, rotated_path(&self.path))?;
        }
        self.reopen()
    }

    /// Opens the path again. This closes the old file and thereby releases its lock.
    fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        self.has_partial_line = false;
        Ok(())
    }
}

/// Returns the path of the rotated file.
fn rotated_path(path: &Path) -> PathBuf {
    private_file::with_suffix(path, ".1")
}

/// Returns an error if there is a file at `path` that is not a log.
fn ensure_is_log(path: &Path) -> io::Result<()> {
    // promise: log-format, mutant: is_log(path)? -> true
    if is_log(path)? {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Err(io::Error::other(format!("{} is there, and is no log", text::sanitise(&name, MAX_NAME_COLUMNS))))
}

/// Returns true if a file starts with the time of a log line. The time may be cut off, as after a failed write. Also
/// returns true if the file is missing or empty.
fn is_log(path: &Path) -> io::Result<bool> {
    /// The form of the time. `0` matches any digit.
    const TIME_TEMPLATE: &[u8] = b"0000-00-00T00:00:00.000Z ";
    let file = match private_file::open_read(path) {
        Ok(file) => file,
        Err(OpenError::Io(error)) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(OpenError::Refused(_)) => return Ok(false),
        Err(OpenError::Io(error)) => return Err(error),
    };
    let mut start = [0; TIME_TEMPLATE.len()];
    let mut read_count = 0;
    while let Some(unread) = start.get_mut(read_count..).filter(|unread| !unread.is_empty()) {
        match (&file).read(unread)? {
            0 => break,
            count => read_count += count,
        }
    }
    let line = start.iter().take(read_count).take_while(|byte| **byte != b'\n');
    let matches_template = |(byte, template): (&u8, &u8)| {
        if *template == b'0' { byte.is_ascii_digit() } else { byte == template }
    };
    Ok(line.zip(TIME_TEMPLATE).all(matches_template))
}

/// Opens the log to append to it, or creates it.
fn open(path: &Path) -> io::Result<File> {
    let file = private_file::open_append(path).map_err(|error| match error {
        OpenError::Io(error) => error,
        OpenError::Refused(refusal) => io::Error::other(match refusal {
            FileRefusal::SymbolicLink => "it is a symbolic link",
            FileRefusal::NotRegular => "what is there is no file",
            FileRefusal::OtherOwner => "it is another user's file",
        }),
    })?;
    ensure_is_log(path)?;
    // promise: log-mode
    if private_file::is_accessible_to_others(&file.metadata()?) {
        file.set_permissions(private_file::owner_only())?; // the file existed before
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    /// Returns a log line with this text.
    fn log_line(text: &str) -> String {
        format!("2026-11-25T12:00:00.000Z {text}\n")
    }

    fn write(log: &mut LogFile, text: &str) {
        log.write(log_line(text).as_bytes()).unwrap();
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn log_is_private_and_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        write(&mut LogFile::open(&path, 100).unwrap(), "one");
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        write(&mut LogFile::open(&path, 100).unwrap(), "two");
        assert_eq!((read(&path), mode(&path)), (log_line("one") + &log_line("two"), 0o600));
    }

    #[test]
    fn foreign_file_is_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for text in ["bb_live_0123\n", "interval = \"3s\"\n", "\x7fELF", "2026-11-25 12:00:00 other\n"] {
            for (target, name) in [(path.clone(), "log"), (rotated_path(&path), "log.1")] {
                fs::write(&target, text).unwrap();
                fs::set_permissions(&target, Permissions::from_mode(0o644)).unwrap();
                let error = LogFile::open(&path, 100).unwrap_err().to_string();
                assert_eq!(error, format!("{name} is there, and is no log"));
                assert_eq!((read(&target).as_str(), mode(&target)), (text, 0o644));
                fs::remove_file(&target).unwrap();
                let _ = fs::remove_file(&path); // `open` creates the log before it refuses `log.1`
            }
        }
        // A file that appears later is not replaced, either.
        let mut log = LogFile::open(&path, 40).unwrap(); // room for one line, so the second one needs a rotation
        write(&mut log, "one");
        fs::write(rotated_path(&path), "mine").unwrap();
        assert!(log.write(log_line("two").as_bytes()).is_err());
        assert_eq!((read(&rotated_path(&path)).as_str(), read(&path)), ("mine", log_line("one")));
    }

    #[test]
    fn truncated_first_line_is_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for text in ["", "2026-1", "2026-11-2\n2026-11-25T12:00:00.000Z on\n"] {
            fs::write(&path, text).unwrap();
            write(&mut LogFile::open(&path, 1000).unwrap(), "more");
            assert_eq!(read(&path), text.to_owned() + &log_line("more"));
        }
    }

    #[test]
    fn unsafe_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link, pipe) =
            (folder.path().join("target"), folder.path().join("link"), folder.path().join("pipe"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let error = |path: &Path| LogFile::open(path, 100).unwrap_err().to_string();
        assert_eq!(error(&link), "it is a symbolic link");
        assert!(!target.exists(), "the target of the link is not created");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(error(&pipe), "what is there is no file");
        assert_eq!(error(folder.path()), "what is there is no file");
        fs::write(&target, log_line("another's")).unwrap();
        // Only root can give a file to another user.
        if std::os::unix::fs::chown(&target, Some(12345), None).is_ok() {
            assert_eq!(error(&target), "it is another user's file");
        }
    }

    #[test]
    fn rotation_keeps_two_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let max_bytes = 2 * log_line("1234").len() as u64; // two lines per file
        let mut log = LogFile::open(&path, max_bytes).unwrap();
        for text in ["1234", "5678", "abcd", "efgh", "last"] {
            write(&mut log, text);
        }
        assert_eq!(
            (read(&rotated_path(&path)), read(&path)),
            (log_line("abcd") + &log_line("efgh"), log_line("last"))
        );
        assert_eq!((mode(&path), mode(&rotated_path(&path))), (0o600, 0o600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn second_process_follows_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let max_bytes = 2 * log_line("1234").len() as u64; // two lines per file
        let (mut first, mut second) =
            (LogFile::open(&path, max_bytes).unwrap(), LogFile::open(&path, max_bytes).unwrap());
        write(&mut first, "1234");
        write(&mut second, "5678");
        write(&mut first, "abcd"); // rotates the file
        write(&mut second, "efgh");
        assert_eq!(read(&path), log_line("abcd") + &log_line("efgh"));
        assert_eq!(read(&rotated_path(&path)), log_line("1234") + &log_line("5678"));
    }
}
