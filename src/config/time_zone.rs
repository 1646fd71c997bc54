//! Checks the file of the local time zone, which `TZ` or the system names, before chrono reads it.
//!
//! chrono reads the whole file, whatever it is: a pipe or `/dev/zero` would stop the program for ever. So keepwatch
//! uses the zone only if its file is a regular file of a sane size, in a folder of time zones. Otherwise it shows times
//! in UTC. The check follows links, because zone folders have many of them, and applies to the file at their end.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::path::{Component, Path, PathBuf};

use keepwatch_core::text;

/// The folders in which chrono looks for a time zone, in its order.
const ZONE_FOLDERS: [&str; 4] =
    ["/usr/share/zoneinfo", "/share/zoneinfo", "/etc/zoneinfo", "/usr/share/lib/zoneinfo"];
/// The file of the system's time zone, which chrono reads if `TZ` is not set.
const SYSTEM_FILE: &str = "/etc/localtime";
/// The names of UTC, which needs no file.
const UTC_NAMES: [&str; 4] = ["UTC", "Etc/UTC", "GMT", "Etc/GMT"];
/// The maximum size of a file with a time zone, in bytes. The largest of these files have a few kilobytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// The maximum width of a variable's value in a message, in columns.
const MAX_VALUE_COLUMNS: usize = 60;

/// The places of the files with time zones.
struct ZoneFiles {
    /// The folders in which a zone may be, in the order of the search.
    folders: Vec<PathBuf>,
    /// The file of the system's time zone.
    system: PathBuf,
}

/// Returns a warning if the machine's time zone cannot be used, so that times must be shown in UTC. `tz` and `tz_dir`
/// are the variables `TZ` and `TZDIR`. Reads the metadata of one file.
pub(super) fn local_zone_warning(tz: Option<&OsStr>, tz_dir: Option<PathBuf>) -> Option<String> {
    let folders = ZONE_FOLDERS.into_iter().map(PathBuf::from).chain(tz_dir).collect();
    zone_warning(tz, &ZoneFiles { folders, system: SYSTEM_FILE.into() })
}

/// Returns the warning of [`local_zone_warning`], with the places of the files as an argument.
fn zone_warning(tz: Option<&OsStr>, files: &ZoneFiles) -> Option<String> {
    let (origin, problem) = match tz {
        Some(tz) => {
            let value = text::sanitise(&tz.to_string_lossy(), MAX_VALUE_COLUMNS);
            (format!("TZ={value}"), tz_problem(tz, files)?)
        }
        None => (text::sanitise(&files.system.to_string_lossy(), MAX_VALUE_COLUMNS), system_problem(files)?),
    };
    Some(format!("the time zone {origin} cannot be used: {problem}; times are shown in UTC"))
}

/// Returns the reason why a value of `TZ` cannot be used. An empty value is UTC.
fn tz_problem(tz: &OsStr, files: &ZoneFiles) -> Option<&'static str> {
    let Some(value) = tz.to_str() else { return Some("it is not UTF-8") };
    if value.is_empty() || (is_rule(value) && value.contains(',')) {
        return None; // UTC, or a complete rule: needs no file
    }
    let name = value.strip_prefix(':').unwrap_or(value);
    let path = Path::new(name);
    if value == "localtime" || path == files.system {
        return system_problem(files);
    }
    if path.components().any(|component| component == Component::ParentDir) {
        return Some("a name of a time zone has no “..”");
    }
    if path.is_absolute() {
        // promise: zone-folder, mutant: !files -> files
        if !files.folders.iter().any(|folder| path.starts_with(folder)) {
            return Some("the file is not in a folder of time zones");
        }
        return fs::metadata(path).map_or(Some("there is no such file"), |metadata| file_problem(&metadata));
    }
    match files.folders.iter().find_map(|folder| fs::metadata(folder.join(path)).ok()) {
        Some(metadata) => file_problem(&metadata),
        None if is_rule(value) || UTC_NAMES.contains(&name) => None,
        None => Some("there is no such time zone"),
    }
}

fn system_problem(files: &ZoneFiles) -> Option<&'static str> {
    // Without the file, chrono looks for the name of the zone elsewhere, and uses UTC in the end.
    fs::metadata(&files.system).ok().and_then(|metadata| file_problem(&metadata))
}

fn file_problem(metadata: &Metadata) -> Option<&'static str> {
    // promise: zone-file, mutant: !metadata.is_file() -> false
    if !metadata.is_file() {
        return Some("it is not a regular file");
    }
    (metadata.len() > MAX_FILE_BYTES).then_some("the file is too large for a time zone")
}

/// Returns true if `value` begins like a POSIX rule: with a name, followed by the offset from UTC. The name has at
/// least three letters or is in angle brackets, as in `CET-1CEST,M3.5.0,M10.5.0/3` and `<+03>-3`.
fn is_rule(value: &str) -> bool {
    let value = value.trim_matches(|c: char| c.is_ascii_whitespace());
    let offset = match value.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>').map(|(_, offset)| offset),
        None => {
            let offset = value.trim_start_matches(|c: char| c.is_ascii_alphabetic());
            (value.len().saturating_sub(offset.len()) >= 3).then_some(offset)
        }
    };
    let digits = offset.map(|offset| offset.strip_prefix(['+', '-']).unwrap_or(offset));
    digits.is_some_and(|digits| digits.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// Returns a folder with files of many kinds, and the places to look for zones in it.
    fn zone_files() -> (tempfile::TempDir, ZoneFiles) {
        let folder = tempfile::tempdir().unwrap();
        let (zones, outside) = (folder.path().join("zones"), folder.path().join("outside"));
        fs::create_dir_all(zones.join("Europe")).unwrap();
        fs::write(zones.join("Europe/Berlin"), "TZif").unwrap();
        fs::write(&outside, "TZif").unwrap();
        fs::File::create(zones.join("huge")).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
        mknodat(CWD, zones.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        for (link, target) in [
            ("zero", "/dev/zero"),
            ("random", "/dev/urandom"),
            ("nowhere", "/no/such/file"),
            ("up", "../outside"),
        ] {
            symlink(target, zones.join(link)).unwrap();
        }
        symlink("pipe", zones.join("linked-pipe")).unwrap();
        let system = folder.path().join("localtime");
        symlink("zones/Europe/Berlin", &system).unwrap();
        (folder, ZoneFiles { folders: vec!["/no/such/folder".into(), zones], system })
    }

    #[test]
    fn only_small_regular_zone_files_are_used() {
        let (folder, files) = zone_files();
        let absolute = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        for (tz, expected) in [
            ("", None),
            ("UTC", None),
            ("UTC0", None),
            ("Europe/Berlin", None),
            (":Europe/Berlin", None),
            ("CET-1CEST,M3.5.0,M10.5.0/3", None),
            ("<+0330>-3:30", None),
            ("localtime", None),
            ("up", None),
            (&absolute("zones/Europe/Berlin"), None),
            (&format!(":{}", absolute("localtime")), None),
            ("Europe", Some("not a regular file")),
            ("pipe", Some("not a regular file")),
            (":linked-pipe", Some("not a regular file")),
            ("zero", Some("not a regular file")),
            (&absolute("zones/random"), Some("not a regular file")),
            ("huge", Some("too large")),
            (":", Some("not a regular file")),
            ("nowhere", Some("no such time zone")),
            ("Europe/Berlni", Some("no such time zone")),
            (":CET-1", Some("no such time zone")),
            (&absolute("zones/Europe/Paris"), Some("no such file")),
            (&absolute("outside"), Some("not in a folder")),
            ("/dev/zero", Some("not in a folder")),
            ("../outside", Some("“..”")),
            ("../../etc/passwd", Some("“..”")),
            (&absolute("zones/../outside"), Some("“..”")),
        ] {
            let warning = zone_warning(Some(OsStr::new(tz)), &files);
            match expected {
                None => assert_eq!(warning, None, "{tz}"),
                Some(problem) => assert!(warning.is_some_and(|warning| warning.contains(problem)), "{tz}"),
            }
        }
        assert!(
            zone_warning(Some(OsStr::from_bytes(b"\xff")), &files)
                .is_some_and(|warning| warning.contains("UTF-8"))
        );
    }

    #[test]
    fn system_zone_must_be_regular_file() {
        let (folder, mut files) = zone_files();
        assert_eq!(zone_warning(None, &files), None);
        // Without the file of the system, chrono uses UTC, and no warning is needed.
        for (target, warns) in
            [("zones/pipe", true), ("zones/zero", true), ("zones", true), ("missing", false)]
        {
            files.system = folder.path().join(target);
            for tz in [None, Some(OsStr::new("localtime"))] {
                assert_eq!(zone_warning(tz, &files).is_some(), warns, "{target}");
            }
        }
    }

    #[test]
    fn warning_is_printable() {
        let (_folder, files) = zone_files();
        let warning = zone_warning(Some(OsStr::new("\u{1b}[31m/x")), &files).unwrap();
        assert_eq!(
            warning,
            "the time zone TZ=·[31m/x cannot be used: there is no such time zone; times are shown in UTC"
        );
    }
}
