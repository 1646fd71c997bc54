//! The file: private, appended to, and moved aside to `FILE.1` before it becomes too large.
//!
//! A link is not followed, another user's file is not written, and what is no file is not opened for long: the log says
//! what is done with an account, and must not be led to where somebody wants it. Several programs may write one log, and
//! each notices when another has moved it aside.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

/// A file that is written line by line.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// How large it may become, in bytes.
    most: u64,
    /// Whether its last line may be cut off.
    torn: bool,
}

impl LogFile {
    /// The file at `path`: made, or appended to.
    pub(super) fn open(path: &Path, most: u64) -> io::Result<Self> {
        let path = std::path::absolute(path)?; // the current folder is where it was asked for
        let file = open(&path)?;
        Ok(Self { path, file, most, torn: false })
    }

    /// Appends whole lines, in one piece: those of other programs do not get in between.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.make_room(lines.len())?;
        let torn = std::mem::replace(&mut self.torn, true);
        if torn {
            self.file.write_all(b"\n")?;
        }
        self.file.write_all(lines)?;
        self.torn = false;
        Ok(())
    }

    /// Leaves a file that is not, or no more, the one at the path, and moves one aside that is full.
    fn make_room(&mut self, more: usize) -> io::Result<()> {
        let found = self.file.metadata()?;
        if identity(&self.path) != Some((found.dev(), found.ino())) {
            self.begin()?;
        } else if found.len() > 0
            && found.len().saturating_add(u64::try_from(more).unwrap_or(u64::MAX)) > self.most
        {
            self.rotate((found.dev(), found.ino()))?;
        }
        Ok(())
    }

    fn rotate(&mut self, ours: (u64, u64)) -> io::Result<()> {
        if flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(()); // another program is just doing it; this line may still go where it is
        }
        if identity(&self.path) == Some(ours) {
            fs::rename(&self.path, before(&self.path))?;
        }
        self.begin()
    }

    fn begin(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        self.torn = false;
        Ok(())
    }
}

/// Where the file goes when it is full.
fn before(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// Which file is there now; `None` if there is none.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Without `NONBLOCK`, a pipe that nobody reads would hold up the start of the program.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC;
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR);
    let file = File::from(opened.map_err(|error| match error {
        Errno::LOOP => io::Error::other("it is a symbolic link"),
        Errno::NXIO | Errno::ISDIR => io::Error::other("what is there is no file"),
        other => other.into(),
    })?);
    let found = file.metadata()?;
    allowed(&found, rustix::process::geteuid().as_raw())?;
    if found.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?; // it was there, open to others
    }
    Ok(file)
}

/// Refuses what is no file, or not `user`'s.
fn allowed(found: &Metadata, user: u32) -> io::Result<()> {
    match found {
        _ if !found.is_file() => Err(io::Error::other("what is there is no file")),
        _ if found.uid() != user => Err(io::Error::other("it is another user's file")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_log_is_its_owners_alone_and_is_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        LogFile::open(&path, 100).unwrap().write(b"one\n").unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        LogFile::open(&path, 100).unwrap().write(b"two\n").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("one\ntwo\n", 0o600));
    }

    #[test]
    fn a_link_a_pipe_a_folder_and_another_users_file_are_refused_and_left_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (aim, link, pipe) =
            (folder.path().join("aim"), folder.path().join("link"), folder.path().join("pipe"));
        std::os::unix::fs::symlink(&aim, &link).unwrap();
        let why = |path: &Path| LogFile::open(path, 100).unwrap_err().to_string();
        assert_eq!(why(&link), "it is a symbolic link");
        assert!(!aim.exists());
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .unwrap();
        assert_eq!(why(&pipe), "what is there is no file");
        assert_eq!(why(folder.path()), "what is there is no file");
        fs::write(&aim, "mine").unwrap();
        let found = fs::metadata(&aim).unwrap();
        assert!(allowed(&found, found.uid()).is_ok());
        let refused = allowed(&found, found.uid().wrapping_add(1)).unwrap_err();
        assert_eq!(refused.to_string(), "it is another user's file");
    }

    #[test]
    fn a_full_file_is_moved_aside_and_there_are_never_more_than_two() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path, 10).unwrap();
        for line in ["1234\n", "5678\n", "abcd\n", "efgh\n", "last\n"] {
            log.write(line.as_bytes()).unwrap();
        }
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!((read(&before(&path)).as_str(), read(&path).as_str()), ("abcd\nefgh\n", "last\n"));
        assert_eq!((mode(&path), mode(&before(&path))), (0o600, 0o600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn two_programs_that_write_one_log_follow_each_other_to_the_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut one, mut other) = (LogFile::open(&path, 10).unwrap(), LogFile::open(&path, 10).unwrap());
        one.write(b"1234\n").unwrap();
        other.write(b"5678\n").unwrap();
        one.write(b"abcd\n").unwrap(); // moves it aside
        other.write(b"efgh\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "abcd\nefgh\n");
        assert_eq!(fs::read_to_string(before(&path)).unwrap(), "1234\n5678\n");
    }
}
