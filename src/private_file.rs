//! Files for this user alone: the log, the journal, recordings.
//!
//! They describe the use of an account. Other users must not read them, and must not make keepwatch overwrite a file of
//! their choice. So a file is created with mode 0600, symbolic links are not followed, and only regular files of this
//! user are used. Each caller words the refusal for its own messages.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The permissions: read and write, for the owner.
const OWNER_ONLY: u32 = 0o600;
/// The permission bits of all other users.
const OTHERS_MASK: u32 = 0o077;

/// The reason to refuse a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRefusal {
    /// It is a symbolic link.
    SymbolicLink,
    /// It is a directory, a pipe, a device or a socket.
    NotRegular,
    /// It belongs to another user.
    OtherOwner,
}

/// An error while opening a file.
#[derive(Debug)]
pub enum OpenError {
    /// It must not be used.
    Refused(FileRefusal),
    /// The operating system returned an error.
    Io(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The identity of a file. If the identity at a path changes, the path leads to another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Returns the identity of the file at `path`, or `None` if the path is free.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        fs::symlink_metadata(path).ok().map(|metadata| Self::from_metadata(&metadata))
    }

    /// Returns the identity of the file that `metadata` describes.
    #[must_use]
    pub fn from_metadata(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// Creates a file at a free path.
///
/// # Errors
/// Returns an error if the path exists, even as a dangling link, or if the file cannot be created.
pub fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path)
}

/// Opens a file to append to it, or creates it. The permissions of an existing file do not change.
///
/// # Errors
/// Returns an error if the file is refused or cannot be opened.
pub fn open_append(path: &Path) -> Result<File, OpenError> {
    let file = open(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE)?;
    check(&file.metadata()?).map_err(OpenError::Refused)?;
    Ok(file)
}

/// Opens a file of any user to read it.
///
/// # Errors
/// Returns an error if the file is a link, is not a regular file, or cannot be opened.
pub fn open_read(path: &Path) -> Result<File, OpenError> {
    let file = open(path, OFlags::RDONLY)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(OpenError::Refused(FileRefusal::NotRegular)) }
}

/// Opens a file without following links. Without `NONBLOCK`, opening a pipe that nobody reads would block.
fn open(path: &Path, flags: OFlags) -> Result<File, OpenError> {
    // promise: private-link, mutant: OFlags::NOFOLLOW -> OFlags::empty()
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR);
    opened.map(File::from).map_err(|error| match error {
        Errno::LOOP => OpenError::Refused(FileRefusal::SymbolicLink),
        Errno::NXIO | Errno::ISDIR => OpenError::Refused(FileRefusal::NotRegular),
        other => OpenError::Io(other.into()),
    })
}

/// Checks the metadata of an open file, or the result of `symlink_metadata`.
///
/// # Errors
/// Returns the refusal if it is not a regular file of this user.
pub fn check(metadata: &Metadata) -> Result<(), FileRefusal> {
    check_owned_by(metadata, rustix::process::geteuid().as_raw())
}

fn check_owned_by(metadata: &Metadata, user: u32) -> Result<(), FileRefusal> {
    match metadata.file_type() {
        kind if kind.is_symlink() => Err(FileRefusal::SymbolicLink),
        kind if !kind.is_file() => Err(FileRefusal::NotRegular),
        // promise: private-owner
        _ if metadata.uid() != user => Err(FileRefusal::OtherOwner),
        _ => Ok(()),
    }
}

/// Returns true if users other than the owner have any permission.
#[must_use]
pub fn is_open_to_others(metadata: &Metadata) -> bool {
    metadata.mode() & OTHERS_MASK != 0
}

/// Returns the permissions for a file that was open to others.
#[must_use]
pub fn owner_only() -> Permissions {
    Permissions::from_mode(OWNER_ONLY)
}

/// Returns the path with `suffix` appended to the file's name.
#[must_use]
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> FileRefusal {
        let opened = open_append(path);
        let by_path = check(&fs::symlink_metadata(path).unwrap()).unwrap_err();
        match opened.unwrap_err() {
            OpenError::Refused(refusal) => assert_eq!(refusal, by_path),
            OpenError::Io(error) => panic!("{error}"),
        }
        by_path
    }

    #[test]
    fn special_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [target, link, pipe] = ["target", "link", "pipe"].map(|name| folder.path().join(name));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert_eq!(refusal(&link), FileRefusal::SymbolicLink);
        assert!(!target.exists());
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(refusal(&pipe), FileRefusal::NotRegular);
        assert_eq!(refusal(folder.path()), FileRefusal::NotRegular);
    }

    #[test]
    fn file_of_other_user_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        create_new(&path).unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!(check(&found), Ok(()));
        assert_eq!(check_owned_by(&found, found.uid().wrapping_add(1)), Err(FileRefusal::OtherOwner));
    }

    #[test]
    fn new_file_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let found = create_new(&path).unwrap().metadata().unwrap();
        assert_eq!(found.mode() & 0o777, OWNER_ONLY);
        assert!(!is_open_to_others(&found));
        assert_eq!(create_new(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(is_open_to_others(&fs::metadata(&path).unwrap()));
    }
}
