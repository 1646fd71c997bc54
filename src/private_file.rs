//! Opens files that only this user may access: the log, the journal, recordings.
//!
//! These files describe the use of an account. Other users must not read them, and must not trick keepwatch
//! into overwriting another file. So keepwatch creates the files with mode 0600, follows no symbolic link, uses only
//! regular files, and writes only to files of this user. Each caller has its own error message for a refused file.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The permission bits of a private file: the owner can read and write.
const OWNER_ONLY: u32 = 0o600;
/// The permission bits of all users except the owner.
const OTHERS_MASK: u32 = 0o077;

/// The reason to refuse a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRefusal {
    /// The file is a symbolic link.
    SymbolicLink,
    /// The file is a directory, a pipe, a device or a socket.
    NotRegular,
    /// The file belongs to another user.
    OtherOwner,
}

/// An error while opening a file.
#[derive(Debug)]
pub enum OpenError {
    /// The file must not be used.
    Refused(FileRefusal),
    /// The operating system returned an error.
    Io(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The identity of a file. If the identity of the file at a path changes, the path leads to another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Returns the identity of the file at `path`, or `None` if there is no file or its metadata
    /// cannot be read. A symbolic link has its own identity.
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

/// Creates a private file at a path where no file is.
///
/// # Errors
/// Returns an error if the path exists, even as a dangling link, or if the file cannot be created.
pub fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path)
}

/// Opens a file to append to it, or creates a private file. The permissions of an existing file do not change.
///
/// # Errors
/// Returns an error if the file is refused or cannot be opened.
pub fn open_append(path: &Path) -> Result<File, OpenError> {
    let file = open(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE)?;
    check_type_and_owner(&file.metadata()?).map_err(OpenError::Refused)?;
    Ok(file)
}

/// Opens a file, which any user may own, to read it.
///
/// # Errors
/// Returns an error if the file is a link, is not a regular file, or cannot be opened.
pub fn open_read(path: &Path) -> Result<File, OpenError> {
    let file = open(path, OFlags::RDONLY)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(OpenError::Refused(FileRefusal::NotRegular)) }
}

/// Opens a file without following links. Sets `NONBLOCK`, because `open` would otherwise wait for the other end of a
/// pipe.
fn open(path: &Path, flags: OFlags) -> Result<File, OpenError> {
    // promise: private-link, mutant: OFlags::NOFOLLOW -> OFlags::empty()
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR);
    opened.map(File::from).map_err(|error| match error {
        Errno::LOOP => OpenError::Refused(FileRefusal::SymbolicLink),
        // NXIO: a pipe that nobody reads, or a socket.
        Errno::NXIO | Errno::ISDIR => OpenError::Refused(FileRefusal::NotRegular),
        other => OpenError::Io(other.into()),
    })
}

/// Checks the metadata of an open file, or the result of `symlink_metadata`.
///
/// # Errors
/// Returns the refusal if the metadata does not describe a regular file of this user.
pub fn check_type_and_owner(metadata: &Metadata) -> Result<(), FileRefusal> {
    check_type_and_owner_id(metadata, rustix::process::geteuid().as_raw())
}

/// Checks the file type, and that the file belongs to the user with the number `user_id`.
fn check_type_and_owner_id(metadata: &Metadata, user_id: u32) -> Result<(), FileRefusal> {
    match metadata.file_type() {
        file_type if file_type.is_symlink() => Err(FileRefusal::SymbolicLink),
        file_type if !file_type.is_file() => Err(FileRefusal::NotRegular),
        // promise: private-owner
        _ if metadata.uid() != user_id => Err(FileRefusal::OtherOwner),
        _ => Ok(()),
    }
}

/// Returns true if users other than the owner have any permission.
#[must_use]
pub fn is_accessible_to_others(metadata: &Metadata) -> bool {
    metadata.mode() & OTHERS_MASK != 0
}

/// Returns the permissions of a private file, to set them on a file that was accessible to others.
#[must_use]
pub fn owner_only() -> Permissions {
    Permissions::from_mode(OWNER_ONLY)
}

/// Returns `path` with `suffix` appended to the file's name.
#[must_use]
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the refusal of the file at `path`. `open_append` and `check_type_and_owner` must agree on it.
    fn refusal(path: &Path) -> FileRefusal {
        let opened = open_append(path);
        let refusal_by_path = check_type_and_owner(&fs::symlink_metadata(path).unwrap()).unwrap_err();
        match opened.unwrap_err() {
            OpenError::Refused(refusal) => assert_eq!(refusal, refusal_by_path),
            OpenError::Io(error) => panic!("{error}"),
        }
        refusal_by_path
    }

    #[test]
    fn special_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [target, link, pipe] = ["target", "link", "pipe"].map(|name| folder.path().join(name));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert_eq!(refusal(&link), FileRefusal::SymbolicLink);
        assert!(!target.exists(), "the target of the link is not created");
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
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(check_type_and_owner(&metadata), Ok(()));
        assert_eq!(
            check_type_and_owner_id(&metadata, metadata.uid().wrapping_add(1)),
            Err(FileRefusal::OtherOwner)
        );
    }

    #[test]
    fn new_file_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let metadata = create_new(&path).unwrap().metadata().unwrap();
        assert_eq!(metadata.mode() & 0o777, OWNER_ONLY);
        assert!(!is_accessible_to_others(&metadata));
        assert_eq!(create_new(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap(); // the group can read
        assert!(is_accessible_to_others(&fs::metadata(&path).unwrap()));
    }
}
