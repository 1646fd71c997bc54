//! The file: where it may be, who may read it, and how a damaged one gets out of the way.
//!
//! A link is not followed and a stranger's file is not written: the journal says what sessions a project has, and must
//! neither be read by others nor be led to a place where they want something overwritten. SQLite gives its `-wal` and
//! `-shm` the mode of the file itself.

use std::fs::{self, DirBuilder, Metadata};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::{JournalError, schema};
use crate::private_file::{self, FileId, FileRefusal, with_suffix};
use keepwatch_core::clock::Timestamp;

/// What SQLite puts beside a database.
const COMPANION_SUFFIXES: [&str; 3] = ["-wal", "-shm", "-journal"];
/// What a database of SQLite's begins with.
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// How long a database's header is, and where in it two of its numbers stand, in bytes: <https://sqlite.org/fileformat.html>.
const DB_HEADER_BYTES: usize = 100;
const USER_VERSION_OFFSET: usize = 60;
const APPLICATION_ID_OFFSET: usize = 68;

/// The file for writing: made, with its folder, if it is not there; for its owner's eyes only. Its path has no links.
pub(super) fn prepare(path: &Path) -> Result<PathBuf, JournalError> {
    let folder = parent_folder(path);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| JournalError::from_io(&error))?;
    let path = resolve_folder_links(path)?;
    // Created here, so that at no time it is there with another mode.
    match private_file::create_new(&path) {
        Ok(_) => return Ok(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(JournalError::from_io(&error)),
    }
    let found = fs::symlink_metadata(&path).map_err(|error| JournalError::from_io(&error))?;
    check_file(&found)?;
    // SQLite takes a file that it may not write for one that is only to be read.
    if is_writable(&path) { Ok(path) } else { Err(JournalError::ReadOnly) }
}

/// Closes to others an old file that is open to them, and what SQLite has put beside it.
pub(super) fn restrict_permissions(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|found| private_file::is_open_to_others(&found)) {
        for path in std::iter::once(path.to_owned()).chain(companion_files(path)) {
            let _ = fs::set_permissions(path, private_file::owner_only()); // what is not there needs none
        }
    }
}

/// The file for reading; `None` if there is none.
pub(super) fn find_existing(path: &Path) -> Result<Option<PathBuf>, JournalError> {
    let absent = |error: &io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    match fs::symlink_metadata(path) {
        Ok(found) => check_file(&found)?,
        Err(error) if absent(&error) => return Ok(None),
        Err(error) => return Err(JournalError::Other { reason: error.to_string() }),
    }
    resolve_folder_links(path).map(Some)
}

fn check_file(found: &Metadata) -> Result<(), JournalError> {
    private_file::check(found).map_err(|refusal| JournalError::FileRejected {
        reason: match refusal {
            FileRefusal::SymbolicLink => "its file is a symbolic link",
            FileRefusal::NotRegular => "what is in its place is no file",
            FileRefusal::OtherOwner => "its file is another user's",
        },
    })
}

/// Refuses a file that was never a journal: someone's notes are not to be moved aside as damaged.
///
/// For files that nothing of this process has open: closing one gives up the locks that SQLite has on it.
pub(super) fn ensure_journal(path: &Path) -> Result<(), JournalError> {
    let mut start = Vec::new();
    let length = u64::try_from(SQLITE_MAGIC.len()).unwrap_or(u64::MAX);
    let read = fs::File::open(path).and_then(|file| file.take(length).read_to_end(&mut start));
    read.map_err(|error| JournalError::from_io(&error))?;
    let is_ours = start == SQLITE_MAGIC || path.extension().is_some_and(|it| it == "sqlite");
    if is_ours {
        Ok(())
    } else {
        Err(JournalError::FileRejected { reason: "its file is no journal, and never was" })
    }
}

/// Refuses, by its first bytes alone, a file that was never a journal and one of a newer version: SQLite, which would find
/// out, too, leaves files of its own beside what it looks at.
///
/// For files that nothing of this process has open: closing one gives up the locks that SQLite has on it.
///
/// # Errors
/// It is such a file, or can not be read. One that is not there is fine.
pub fn precheck(path: &Path) -> Result<(), JournalError> {
    let is_filled = |found: Metadata| found.is_file() && found.len() > 0;
    if !fs::symlink_metadata(path).is_ok_and(is_filled) {
        return Ok(());
    }
    ensure_journal(path)?;
    let mut start = [0; DB_HEADER_BYTES];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    let number = |at: usize| {
        let bytes = start.get(at..at.saturating_add(4)).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, |bytes| i64::from(u32::from_be_bytes(bytes)))
    };
    let version = number(USER_VERSION_OFFSET);
    let is_newer = read.is_ok()
        && number(APPLICATION_ID_OFFSET) == schema::APPLICATION_ID
        && version > schema::SCHEMA_VERSION;
    if is_newer { Err(JournalError::NewerSchema { version }) } else { Ok(()) }
}

fn parent_folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path with the links of its folder resolved; the last part stays.
fn resolve_folder_links(path: &Path) -> Result<PathBuf, JournalError> {
    let name = path.file_name().ok_or(JournalError::FileRejected { reason: "its path names no file" })?;
    let folder = fs::canonicalize(parent_folder(path)).map_err(|error| JournalError::from_io(&error))?;
    Ok(folder.join(name))
}

/// The files that SQLite puts beside it, whether they are there or not.
pub(super) fn companion_files(path: &Path) -> impl Iterator<Item = PathBuf> {
    COMPANION_SUFFIXES.into_iter().map(|end| with_suffix(path, end))
}

/// How many bytes the file has, and its log.
pub(super) fn total_bytes(path: &Path) -> u64 {
    // What readers and writers share, `-shm`, is there only while somebody looks.
    let all = std::iter::once(path.to_owned())
        .chain(companion_files(path))
        .filter(|path| !path.to_string_lossy().ends_with("-shm"));
    all.filter_map(|path| fs::symlink_metadata(path).ok()).map(|found| found.len()).sum()
}

/// Whether another process has it open, after this one closed it: who closes it last takes the companions away.
pub(super) fn is_open_elsewhere(path: &Path) -> bool {
    companion_files(path).any(|companion| companion.exists())
}

/// Whether it, and what SQLite puts beside it, can be written.
pub(super) fn is_writable(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(path, Access::WRITE_OK).is_ok() && access(parent_folder(path), Access::WRITE_OK).is_ok()
}

/// Moves it and its companions aside, to `NAME.damaged-20261122-210409`; `None` if the file there is not `damaged_one`, and
/// so another process has done it already.
///
/// For files that nothing of this process has open, as [`ensure_journal`].
pub(super) fn move_aside(path: &Path, damaged_id: FileId, now: Timestamp) -> io::Result<Option<PathBuf>> {
    // Who has found it damaged at the same time waits here, and then finds another file in its place.
    let lock = fs::File::open(path)?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
    if FileId::at(path) != Some(damaged_id) {
        return Ok(None);
    }
    let stamp = format!("{}{}", damaged_suffix(), now.format("%Y%m%d-%H%M%S"));
    let free = (1..100).map(|number| match number {
        1 => with_suffix(path, &stamp),
        _ => with_suffix(path, &format!("{stamp}-{number}")),
    });
    let aside = free.into_iter().find(|aside| !aside.exists()).ok_or(ErrorKind::AlreadyExists)?;
    // The companions first: a log that is left without its file is lost, one beside a new file would be taken for its.
    for suffix in COMPANION_SUFFIXES {
        match fs::rename(with_suffix(path, suffix), with_suffix(&aside, suffix)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, &aside)?;
    Ok(Some(aside))
}

const fn damaged_suffix() -> &'static str {
    ".damaged-"
}

/// The damaged ones that were moved aside from `path`.
#[must_use]
pub fn damaged_files(path: &Path) -> Vec<PathBuf> {
    let (Some(name), Ok(found)) = (path.file_name(), fs::read_dir(parent_folder(path))) else {
        return Vec::new();
    };
    let start = with_suffix(Path::new(name), damaged_suffix());
    let start = start.to_string_lossy().into_owned();
    let is_companion = |name: &str| COMPANION_SUFFIXES.iter().any(|end| name.ends_with(end));
    let mut found: Vec<PathBuf> = found
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with(&start) && !is_companion(&name)
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Whether its file system is shared by machines: then SQLite's log, which needs shared memory, must not be used.
#[cfg(target_os = "linux")]
pub(super) fn is_on_network_fs(path: &Path) -> bool {
    /// NFS, SMB (three of them), 9P, Ceph, AFS, GFS2, OCFS2, Lustre, FUSE (sshfs; the local ones lose little), Coda, NCP.
    const SHARED: [u32; 13] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x0102_1997,
        0x00c3_6400,
        0x5346_414f,
        0x0116_1970,
        0x7461_636f,
        0x0bd0_0bd0,
        0x6573_5546,
        0x7375_7245,
        0x564c,
    ];
    let Ok(found) = rustix::fs::statfs(path) else { return false };
    // Of 64 bits or 32, signed or not, by machine; the kernel's constants have 32.
    let kind = found.f_type.to_ne_bytes();
    let low = if cfg!(target_endian = "little") { kind.first_chunk() } else { kind.last_chunk() };
    low.is_some_and(|low| SHARED.contains(&u32::from_ne_bytes(*low)))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_on_network_fs(_: &Path) -> bool {
    false // what SQLite itself finds out must do
}
