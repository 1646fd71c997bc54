//! The file of the journal: creates it, checks its type and owner, makes it private, and moves a damaged one aside.
//! Never writes the file's content.
//!
//! The journal lists the sessions of a project. Other users must not read it, and must not make keepwatch overwrite a
//! file of their choice. So keepwatch does not follow a symbolic link, and refuses a file of another user. SQLite gives
//! its `-wal` and `-shm` files the mode of the database.

use std::fs::{self, DirBuilder, Metadata};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::{JournalError, schema};
use crate::private_file::{self, FileId, FileRefusal, with_suffix};
use keepwatch_core::clock::Timestamp;

/// Suffixes of the files that SQLite creates beside a database.
const COMPANION_SUFFIXES: [&str; 3] = ["-wal", "-shm", "-journal"];
/// The first bytes of an SQLite database.
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// Suffix of a damaged file that was moved aside; the time follows.
const DAMAGED_SUFFIX: &str = ".damaged-";

/// Length of a database's header, in bytes: <https://sqlite.org/fileformat.html>.
const DB_HEADER_BYTES: usize = 100;
/// Offset of `user_version` in the header.
const USER_VERSION_OFFSET: usize = 60;
/// Offset of `application_id` in the header.
const APPLICATION_ID_OFFSET: usize = 68;

/// Prepares the file for writing. If the file or its folder is missing, creates it, readable by this user only. Returns
/// the path of the file, with the symbolic links of its folder resolved.
pub(super) fn prepare(path: &Path) -> Result<PathBuf, JournalError> {
    let folder = parent_folder(path);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| JournalError::from_io(&error))?;
    let path = resolve_folder_links(path)?;
    // The file is created here and not by SQLite, so that other users can never open it.
    match private_file::create_new(&path) {
        Ok(_) => return Ok(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(JournalError::from_io(&error)),
    }
    let metadata = fs::symlink_metadata(&path).map_err(|error| JournalError::from_io(&error))?;
    check_file(&metadata)?;
    // If SQLite could not write the file, it would silently open it as read-only.
    if is_writable(&path) { Ok(path) } else { Err(JournalError::ReadOnly) }
}

/// If other users can access the file, makes it and its companions private.
pub(super) fn restrict_permissions(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|metadata| private_file::is_accessible_to_others(&metadata)) {
        for path in std::iter::once(path.to_owned()).chain(companion_files(path)) {
            let _ = fs::set_permissions(path, private_file::owner_only()); // a companion may be missing
        }
    }
}

/// Returns the path of the file for reading, with the symbolic links of its folder resolved; `None` if there is no
/// file.
pub(super) fn find_existing(path: &Path) -> Result<Option<PathBuf>, JournalError> {
    let is_missing =
        |error: &io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    match fs::symlink_metadata(path) {
        Ok(metadata) => check_file(&metadata)?,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(JournalError::Other { reason: error.to_string() }),
    }
    resolve_folder_links(path).map(Some)
}

/// Returns an error if the file is a symbolic link, is not a regular file, or belongs to another user.
fn check_file(metadata: &Metadata) -> Result<(), JournalError> {
    private_file::check_type_and_owner(metadata).map_err(|refusal| JournalError::FileRejected {
        reason: match refusal {
            FileRefusal::SymbolicLink => "its file is a symbolic link",
            FileRefusal::NotRegular => "what is in its place is no file",
            FileRefusal::OtherOwner => "its file is another user's",
        },
    })
}

/// Returns an error if the file was never a journal, so that a user's notes are not moved aside as a damaged journal.
///
/// The caller must have closed the database: closing any handle of the file releases the locks that SQLite holds on it.
pub(super) fn reject_foreign_file(path: &Path) -> Result<(), JournalError> {
    let mut start = Vec::new();
    let length = u64::try_from(SQLITE_MAGIC.len()).unwrap_or(u64::MAX);
    let read = fs::File::open(path).and_then(|file| file.take(length).read_to_end(&mut start));
    read.map_err(|error| JournalError::from_io(&error))?;
    // The first bytes of a damaged journal may be wrong, but not its extension.
    let may_be_journal =
        start == SQLITE_MAGIC || path.extension().is_some_and(|extension| extension == "sqlite");
    if may_be_journal {
        Ok(())
    } else {
        Err(JournalError::FileRejected { reason: "its file is no journal, and never was" })
    }
}

/// Returns an error if the file was never a journal, or if `schema::check_header` refuses it. Reads only the first
/// bytes: opening the file with SQLite would leave companions beside it.
///
/// The caller must have closed the database: closing any handle of the file releases the locks that SQLite holds on it.
///
/// # Errors
/// The file is refused, or cannot be read. A missing or empty file is no error.
pub fn reject_foreign_or_newer_file(path: &Path) -> Result<(), JournalError> {
    let has_content = |metadata: Metadata| metadata.is_file() && metadata.len() > 0;
    if !fs::symlink_metadata(path).is_ok_and(has_content) {
        return Ok(());
    }
    reject_foreign_file(path)?;
    let mut start = [0; DB_HEADER_BYTES];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    // Numbers in the header are big-endian and have four bytes.
    let header_number = |offset: usize| {
        let bytes = start.get(offset..offset.saturating_add(4)).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, |bytes| i64::from(u32::from_be_bytes(bytes)))
    };
    // A damaged file may lack the header, or begin with other bytes.
    if read.is_err() || !start.starts_with(SQLITE_MAGIC) {
        return Ok(());
    }
    let (application, version) = (header_number(APPLICATION_ID_OFFSET), header_number(USER_VERSION_OFFSET));
    schema::check_header(application, version).map(drop)
}

fn parent_folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Resolves the symbolic links of the folder, but not of the file itself.
fn resolve_folder_links(path: &Path) -> Result<PathBuf, JournalError> {
    let name = path.file_name().ok_or(JournalError::FileRejected { reason: "its path names no file" })?;
    let folder = fs::canonicalize(parent_folder(path)).map_err(|error| JournalError::from_io(&error))?;
    Ok(folder.join(name))
}

/// Returns the paths of the files that SQLite creates beside `path`. They may be missing.
pub(super) fn companion_files(path: &Path) -> impl Iterator<Item = PathBuf> {
    COMPANION_SUFFIXES.into_iter().map(|suffix| with_suffix(path, suffix))
}

/// Returns the size of the file and its companions, in bytes. Ignores `-shm`, which holds no data.
pub(super) fn total_bytes(path: &Path) -> u64 {
    let all = std::iter::once(path.to_owned())
        .chain(companion_files(path))
        .filter(|path| !path.to_string_lossy().ends_with("-shm"));
    all.filter_map(|path| fs::symlink_metadata(path).ok()).map(|metadata| metadata.len()).sum()
}

/// Returns true if companions exist, which means that another process has the file open. The caller must have closed
/// the file first: the last process that closes it removes the companions.
pub(super) fn is_open_elsewhere(path: &Path) -> bool {
    companion_files(path).any(|companion| companion.exists())
}

/// Returns true if this user can write the file and its folder, where SQLite creates the companions. False on a
/// read-only disk, and if the permission is missing.
pub(super) fn is_writable(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(path, Access::WRITE_OK).is_ok() && access(parent_folder(path), Access::WRITE_OK).is_ok()
}

/// Moves the file and its companions aside, to `NAME.damaged-20261122-210409`. Returns the new path, or `None` if the
/// file is no longer `damaged_id`, because another process has moved it already.
///
/// The caller must have closed the database, as for [`reject_foreign_file`].
pub(super) fn move_aside(path: &Path, damaged_id: FileId, now: Timestamp) -> io::Result<Option<PathBuf>> {
    // A process that finds the same damage waits here, and then sees another file at this path.
    let lock = fs::File::open(path)?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
    if FileId::at(path) != Some(damaged_id) {
        return Ok(None);
    }
    let stamp = format!("{DAMAGED_SUFFIX}{}", now.format("%Y%m%d-%H%M%S"));
    // Several files may be moved aside in the same second.
    let candidates = (1..100).map(|number| match number {
        1 => with_suffix(path, &stamp),
        _ => with_suffix(path, &format!("{stamp}-{number}")),
    });
    let aside = candidates.into_iter().find(|aside| !aside.exists()).ok_or(ErrorKind::AlreadyExists)?;
    // The companions are moved first: SQLite would apply a leftover log to the next database at this path.
    for suffix in COMPANION_SUFFIXES {
        match fs::rename(with_suffix(path, suffix), with_suffix(&aside, suffix)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {} // moved, or there was none
        }
    }
    fs::rename(path, &aside)?;
    Ok(Some(aside))
}

/// Returns the damaged files that were moved aside from `path`, sorted by name.
#[must_use]
pub fn damaged_files(path: &Path) -> Vec<PathBuf> {
    let (Some(name), Ok(files)) = (path.file_name(), fs::read_dir(parent_folder(path))) else {
        return Vec::new();
    };
    let prefix = with_suffix(Path::new(name), DAMAGED_SUFFIX);
    let prefix = prefix.to_string_lossy().into_owned();
    let is_companion = |name: &str| COMPANION_SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
    let mut damaged: Vec<PathBuf> = files
        .filter_map(Result::ok)
        .filter(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            name.starts_with(&prefix) && !is_companion(&name)
        })
        .map(|file| file.path())
        .collect();
    damaged.sort();
    damaged
}

/// Returns true if the file system may be shared between machines. A WAL does not work there, because it needs shared
/// memory.
#[cfg(target_os = "linux")]
pub(super) fn is_on_network_fs(path: &Path) -> bool {
    /// The `f_type` of each shared file system, from `linux/magic.h`, `linux/gfs2_ondisk.h` and Lustre's headers.
    const SHARED: [u32; 13] = [
        0x6969,      // NFS
        0x517b,      // SMB
        0xff53_4d42, // CIFS
        0xfe53_4d42, // SMB 2
        0x0102_1997, // 9P
        0x00c3_6400, // Ceph
        0x5346_414f, // AFS
        0x0116_1970, // GFS2
        0x7461_636f, // OCFS2
        0x0bd0_0bd0, // Lustre
        0x6573_5546, // FUSE, for sshfs; a local FUSE file system loses little without a WAL
        0x7375_7245, // Coda
        0x564c,      // NCP
    ];
    let Ok(stats) = rustix::fs::statfs(path) else { return false };
    // `f_type` has 64 or 32 bits and may be signed, depending on the machine. The kernel's constants have 32 bits.
    let kind = stats.f_type.to_ne_bytes();
    let low_bytes = if cfg!(target_endian = "little") { kind.first_chunk() } else { kind.last_chunk() };
    low_bytes.is_some_and(|bytes| SHARED.contains(&u32::from_ne_bytes(*bytes)))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_on_network_fs(_: &Path) -> bool {
    false // relies on SQLite's own check
}
