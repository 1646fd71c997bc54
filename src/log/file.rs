//! The file: private, appended to, and moved aside to `FILE.1` before it becomes too large.
//!
//! A link is not followed, another user's file is not written, and what is no file is not opened for long: the log says
//! what is done with an account, and must not be led to where somebody wants it. Nor is a file written, or replaced, that
//! does not begin as a log does: a slip of the hand must not cost a config file or a key. Several programs may write one
//! log, and each notices when another has moved it aside.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use keepwatch_core::text;

/// The widest name of a file in a sentence, in columns.
const NAME: usize = 60;

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
        keep_others(&before(&path))?;
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
            // promise: log-rotation
            self.rotate((found.dev(), found.ino()))?;
        }
        Ok(())
    }

    fn rotate(&mut self, ours: (u64, u64)) -> io::Result<()> {
        if flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(()); // another program is just doing it; this line may still go where it is
        }
        if identity(&self.path) == Some(ours) {
            keep_others(&before(&self.path))?;
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

/// Refuses a file that is not a log.
fn keep_others(path: &Path) -> io::Result<()> {
    // promise: log-format, mutant: is_log(path)? -> true
    if is_log(path)? {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Err(io::Error::other(format!("{} is there, and is no log", text::shown(&name, NAME))))
}

/// Whether a file begins with the time of a line, perhaps cut off; none, and an empty one, is as good.
fn is_log(path: &Path) -> io::Result<bool> {
    const TIME: &[u8] = b"0000-00-00T00:00:00.000Z ";
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(true),
        Err(Errno::LOOP) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let mut start = [0; TIME.len()];
    let mut read = 0;
    while let Some(rest) = start.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match (&file).read(rest)? {
            0 => break,
            more => read += more,
        }
    }
    let line = start.iter().take(read).take_while(|byte| **byte != b'\n');
    let fits = |(byte, model): (&u8, &u8)| if *model == b'0' { byte.is_ascii_digit() } else { byte == model };
    Ok(line.zip(TIME).all(fits))
}

/// Which file is there now; `None` if there is none.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Without `NONBLOCK`, a pipe that nobody reads would hold up the start of the program.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC;
    // promise: log-link, mutant: OFlags::NOFOLLOW -> OFlags::empty()
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR);
    let file = File::from(opened.map_err(|error| match error {
        Errno::LOOP => io::Error::other("it is a symbolic link"),
        Errno::NXIO | Errno::ISDIR => io::Error::other("what is there is no file"),
        other => other.into(),
    })?);
    let found = file.metadata()?;
    allowed(&found, rustix::process::geteuid().as_raw())?;
    keep_others(path)?;
    // promise: log-mode
    if found.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?; // it was there, open to others
    }
    Ok(file)
}

/// Refuses what is no file, or not `user`'s.
fn allowed(found: &Metadata, user: u32) -> io::Result<()> {
    match found {
        _ if !found.is_file() => Err(io::Error::other("what is there is no file")),
        // promise: log-owner
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

    /// A line with this text.
    fn line(text: &str) -> String {
        format!("2026-11-25T12:00:00.000Z {text}\n")
    }

    fn write(log: &mut LogFile, text: &str) {
        log.write(line(text).as_bytes()).unwrap();
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_log_is_its_owners_alone_and_is_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        write(&mut LogFile::open(&path, 100).unwrap(), "one");
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        write(&mut LogFile::open(&path, 100).unwrap(), "two");
        assert_eq!((read(&path), mode(&path)), (line("one") + &line("two"), 0o600));
    }

    #[test]
    fn what_is_no_log_is_neither_written_nor_replaced_nor_made_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for text in ["bb_live_0123\n", "interval = \"3s\"\n", "\x7fELF", "2026-11-25 12:00:00 other\n"] {
            for (at, name) in [(path.clone(), "log"), (before(&path), "log.1")] {
                fs::write(&at, text).unwrap();
                fs::set_permissions(&at, Permissions::from_mode(0o644)).unwrap();
                let refused = LogFile::open(&path, 100).unwrap_err().to_string();
                assert_eq!(refused, format!("{name} is there, and is no log"));
                assert_eq!((read(&at).as_str(), mode(&at)), (text, 0o644));
                fs::remove_file(&at).unwrap();
                let _ = fs::remove_file(&path);
            }
        }
        // Nor where it came later.
        let mut log = LogFile::open(&path, 40).unwrap();
        write(&mut log, "one");
        fs::write(before(&path), "mine").unwrap();
        assert!(log.write(line("two").as_bytes()).is_err());
        assert_eq!((read(&before(&path)).as_str(), read(&path)), ("mine", line("one")));
    }

    #[test]
    fn a_log_whose_first_line_was_cut_off_is_still_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for text in ["", "2026-1", "2026-11-2\n2026-11-25T12:00:00.000Z on\n"] {
            fs::write(&path, text).unwrap();
            write(&mut LogFile::open(&path, 1000).unwrap(), "more");
            assert_eq!(read(&path), text.to_owned() + &line("more"));
        }
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
        let mut log = LogFile::open(&path, 2 * line("1234").len() as u64).unwrap();
        for text in ["1234", "5678", "abcd", "efgh", "last"] {
            write(&mut log, text);
        }
        assert_eq!((read(&before(&path)), read(&path)), (line("abcd") + &line("efgh"), line("last")));
        assert_eq!((mode(&path), mode(&before(&path))), (0o600, 0o600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn two_programs_that_write_one_log_follow_each_other_to_the_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let most = 2 * line("1234").len() as u64;
        let (mut one, mut other) = (LogFile::open(&path, most).unwrap(), LogFile::open(&path, most).unwrap());
        write(&mut one, "1234");
        write(&mut other, "5678");
        write(&mut one, "abcd"); // moves it aside
        write(&mut other, "efgh");
        assert_eq!(read(&path), line("abcd") + &line("efgh"));
        assert_eq!(read(&before(&path)), line("1234") + &line("5678"));
    }
}
