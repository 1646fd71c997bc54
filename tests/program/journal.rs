//! Tests the journal with real processes: killed writers, two writers at once, and the commands `history` and
//! `journal`.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use keepwatch::store::journal::{
    Journal, JournalEntry, JournalError, JournalOptions, JournalReader, RunId, Segment, SegmentFilter,
    SegmentId, SendResult, SessionSummary, StoredVerdict,
};
use keepwatch_core::clock::{Clock, Timestamp, saturating_add};
use keepwatch_core::session::{Metadata, Status};
use keepwatch_core::testing;
use keepwatch_core::text::Untrusted;
use serde_json::{Value, json};

use crate::harness::{PROGRAM, TEST_TIMEOUT, Terminal, clean_env, output, wait_for_exit, wait_until};

/// Variables that tell the child process, this test binary, which journal to write and for how many seconds.
const PATH_VARIABLE: &str = "KEEPWATCH_TEST_JOURNAL";
const SECONDS_VARIABLE: &str = "KEEPWATCH_TEST_SECONDS";

/// Runs in a child process: writes an entry every millisecond, and prints a line for each entry that it has sent.
#[test]
#[ignore = "a child process that other tests start"]
fn child_that_writes() {
    let (Ok(path), Ok(seconds)) = (std::env::var(PATH_VARIABLE), std::env::var(SECONDS_VARIABLE)) else {
        return;
    };
    let clock = Clock::system();
    let mut journal: Journal<Value> =
        Journal::spawn(path.into(), JournalOptions::new(clock.clone()), |error| match error {
            JournalError::Slow { .. } | JournalError::Recovered => {} // on a busy machine
            other => {
                println!("\nERROR {other:?}");
            }
        });
    let run = RunId::new(clock.now().wall, fastrand::u64(..));
    // The line break ends the line that the test harness has begun.
    println!("\nRUN {}", run.as_str());
    let host = "api.example".to_owned();
    let segment = Segment {
        run: run.clone(),
        started: clock.now().wall,
        profile: None,
        host,
        header: json!({}),
        estimated_size: 10,
    };
    assert_eq!(journal.begin_segment(segment), SendResult::Queued);
    // The monotonic clock started at zero, when this process created `clock`.
    let until = Duration::from_secs(seconds.parse().unwrap());
    let mut sent: u64 = 0;
    while clock.now().mono < until {
        let at = clock.now().wall;
        let sessions = vec![testing::id(&format!("s-{}", sent % 50))];
        let body = json!({ "n": sent, "text": "x".repeat(300) });
        let entry = JournalEntry { seq: sent, at, body, estimated_size: 400, sessions, projects: Vec::new() };
        assert_eq!(journal.write_entry(entry), SendResult::Queued);
        assert_eq!(
            journal.write_summary(summary(&format!("s-{}", sent % 50), run.clone(), at)),
            SendResult::Queued
        );
        println!("SENT {sent} {}", at.timestamp_millis());
        sent += 1;
        std::thread::park_timeout(Duration::from_millis(1));
    }
    // At its exit, the program itself waits only half a second. A busy machine may need longer for the queued entries.
    assert!(journal.flush(TEST_TIMEOUT));
    drop(journal);
    println!("\nDONE {sent}");
}

fn summary(id: &str, run: RunId, last_seen: Timestamp) -> SessionSummary {
    let ago = |seconds| last_seen - chrono::TimeDelta::seconds(seconds);
    SessionSummary {
        session: testing::id(id),
        run,
        profile: None,
        host: "api.example".into(),
        project: Some(Untrusted::new("p-1")),
        owner: Some(Untrusted::new("nightly\u{1b}[31m")),
        status: Some(Status::Completed),
        region: None,
        keep_alive: Some(true),
        context: None,
        created: Some(ago(1800)),
        started: Some(ago(1800)),
        ended: Some(last_seen),
        is_end_exact: true,
        expires: Some(saturating_add(last_seen, Duration::from_secs(60))),
        first_seen: ago(1800),
        last_seen,
        watched: Duration::from_secs(1566),
        responses: 522,
        proxy_bytes: Some(18_200_000),
        verdict: Some(StoredVerdict {
            name: "keep_alive_ended_early".into(),
            confidence: "likely".into(),
            sentence: Untrusted::new("COMPLETED after 30m 00s"),
        }),
        metadata: Some(Metadata::new(r#"{"run":{"id":"c-881"}}"#)),
    }
}

/// Starts a child process that writes to the journal for this many seconds.
fn spawn_writer(path: &Path, seconds: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "journal::child_that_writes", "--ignored", "--nocapture"])
        .env(PATH_VARIABLE, path)
        .env(SECONDS_VARIABLE, seconds.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Returns the words after `word` if the line starts with it.
fn words_after<'l>(line: &'l str, word: &str) -> Option<Vec<&'l str>> {
    let mut words = line.split(' ');
    (words.next() == Some(word)).then(|| words.collect())
}

fn only_segment(reader: &JournalReader, run: &str) -> SegmentId {
    let all = reader.segments(Timestamp::UNIX_EPOCH, SegmentFilter::All).unwrap();
    let mut own = all.iter().filter(|segment| segment.run.as_str() == run);
    let id = own.next().unwrap().id;
    assert!(own.next().is_none());
    id
}

fn assert_intact(path: &Path) {
    let db = rusqlite::Connection::open(path).unwrap();
    let result: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(result, "ok");
}

#[test]
fn killed_writer_loses_at_most_a_second() {
    // On a busy machine the writer's thread may wait for a processor, so it is enough if one of five tries keeps the
    // limit.
    let mut lost_millis = Vec::new();
    while lost_millis.len() < 5 && lost_millis.last().is_none_or(|lost| *lost > 1000) {
        lost_millis.push(lost_millis_when_killed());
    }
    println!("lost {lost_millis:?} ms");
    assert!(
        lost_millis.last().is_some_and(|lost| *lost <= 1000),
        "one try loses at most 1000 ms, not {lost_millis:?} ms"
    );
}

/// Kills a process that writes, and checks that the journal is intact. Returns the time, in milliseconds, from the last
/// entry in the journal to the last entry that the process sent.
fn lost_millis_when_killed() -> i64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let mut child = spawn_writer(&path, 600);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let (mut run, mut sent) = (String::new(), Vec::new());
    for line in lines {
        assert!(!line.starts_with("ERROR"), "{line}");
        if let Some(words) = words_after(&line, "RUN") {
            run = words[0].to_owned();
        }
        if let Some(words) = words_after(&line, "SENT") {
            let numbers: Vec<i64> = words.iter().filter_map(|word| word.parse().ok()).collect();
            // The last line may be cut.
            if let [number, at_millis] = numbers[..] {
                sent.push((number, at_millis));
            }
            // The child sends at most one entry a millisecond, so this takes three seconds or more.
            if sent.len() == 3000 {
                child.kill().unwrap();
            }
        }
    }
    assert_eq!(child.wait().unwrap().signal(), Some(9)); // SIGKILL
    let reader = JournalReader::open(&path).unwrap().unwrap();
    let kept: Vec<i64> = reader
        .entries(only_segment(&reader, &run))
        .map(|line| i64::try_from(line.unwrap().seq).unwrap())
        .collect();
    assert_eq!(
        kept,
        (0..i64::try_from(kept.len()).unwrap()).collect::<Vec<_>>(),
        "the kept entries have no gap"
    );
    let last_sent_at = sent.last().unwrap().1;
    // The journal may have an entry whose line the killed process did not print any more.
    let last_kept_at =
        kept.last().map_or(sent[0].1, |number| sent[usize::try_from(*number).unwrap().min(sent.len() - 1)].1);
    let lost = last_sent_at - last_kept_at;
    drop(reader);
    assert_intact(&path);
    // The next run continues the journal.
    let mut next = spawn_writer(&path, 0);
    assert!(wait_for_exit(&mut next).success());
    assert_eq!(JournalReader::open(&path).unwrap().unwrap().stats().unwrap().segments, 2);
    lost
}

/// Lets two processes write to one journal. Returns the number of entries, and how often the journal was read
/// meanwhile.
fn write_from_two_processes(seconds: u64) -> (u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let mut children = [spawn_writer(&path, seconds), spawn_writer(&path, seconds)];
    let outputs: Vec<_> = children
        .iter_mut()
        .map(|child| {
            let out = BufReader::new(child.stdout.take().unwrap());
            std::thread::spawn(move || {
                out.lines()
                    .map(Result::unwrap)
                    .filter(|line| ["RUN", "DONE", "ERROR"].iter().any(|word| line.starts_with(word)))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    // A reader does not disturb the writers, and gets no error.
    let mut read_count = 0_u64;
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        if let Some(reader) = JournalReader::open(&path).unwrap() {
            let stats = reader.stats().unwrap();
            let segments = reader.segments(Timestamp::UNIX_EPOCH, SegmentFilter::All).unwrap();
            let entries = segments.iter().flat_map(|it| reader.entries(it.id)).map(Result::unwrap).count();
            assert!(u64::try_from(entries).unwrap() >= stats.entries, "every counted entry can be read");
            read_count += 1;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let reader = JournalReader::open(&path).unwrap().unwrap();
    let mut total = 0;
    for (mut child, output) in children.into_iter().zip(outputs) {
        let lines = output.join().unwrap();
        assert!(child.wait().unwrap().success(), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("ERROR")), "{lines:?}");
        let run = lines.iter().find_map(|line| words_after(line, "RUN")).unwrap()[0];
        let sent: u64 = lines.iter().find_map(|line| words_after(line, "DONE")).unwrap()[0].parse().unwrap();
        let kept: Vec<u64> =
            reader.entries(only_segment(&reader, run)).map(|line| line.unwrap().seq).collect();
        assert_eq!(kept, (0..sent).collect::<Vec<_>>(), "no entry is lost");
        total += sent;
    }
    assert_eq!(reader.summaries(Timestamp::UNIX_EPOCH).unwrap().len(), 100); // 50 sessions in each of two runs
    drop(reader);
    assert_intact(&path);
    (total, read_count)
}

#[test]
fn two_processes_write_without_loss() {
    write_from_two_processes(2);
}

#[test]
#[ignore = "takes a minute"]
fn two_processes_write_for_a_minute() {
    let (total, read_count) = write_from_two_processes(60);
    println!("two processes wrote {total} entries, while the journal was read {read_count} times");
}

/// A home folder, with or without a journal.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Creates a home folder with a journal of two sessions. One ended now, one five days ago.
    fn with_journal() -> Self {
        let home = Self::new();
        let clock = Clock::system();
        let mut journal: Journal<Value> =
            Journal::spawn(home.journal(), JournalOptions::new(clock.clone()), |error| match error {
                JournalError::Slow { .. } | JournalError::Recovered => {} // on a busy machine
                other => panic!("{other:?}"),
            });
        let now = clock.now().wall;
        let _ =
            journal.write_summary(summary("6512bd43-d9ca-4e02-9a67-91f2c1a0b3de", RunId::new(now, 1), now));
        let old = now - chrono::TimeDelta::days(5);
        let _ =
            journal.write_summary(summary("c20ad4d7-6fe9-4775-8aa6-1bc0d2e7f3a1", RunId::new(old, 2), old));
        assert!(journal.flush(TEST_TIMEOUT));
        home
    }

    fn journal(&self) -> PathBuf {
        self.0.path().join(".local/state/keepwatch/journal.sqlite")
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    /// Runs `keepwatch ARGS` and returns its exit code, standard output and standard error.
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let output =
            output(Command::new(PROGRAM).args(args).env_clear().envs(clean_env()).env("HOME", self.0.path()));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

#[test]
fn history_shows_recent_sessions_offline() {
    let home = Home::with_journal();
    let (code, out, err) = home.run(&["history", "--utc"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 5, "{out}");
    assert!(lines[1].starts_with("6512bd43  nightly·[31m  "), "{out}");
    assert!(lines[1].contains("  released  18.2 MB  $0.28"), "{out}");
    assert!(lines[4].ends_with("  87 %"), "{out}"); // watched for 1566 of 1800 s
    assert!(!out.contains('\u{1b}') && lines.iter().all(|line| line.chars().count() <= 80));

    let (code, out, _) = home.run(&["history", "--since", "7d", "--json", "--filter", "meta.run.id:c-881"]);
    let object: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, object["sessions"].as_array().unwrap().len()), (0, 2));
    assert_eq!(object["summary"].as_array().unwrap().len(), 2);
    assert!(!out.contains("c-881"), "no metadata is printed");

    let (code, out, err) = home.run(&["history", "--filter", "status:error"]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(err.contains("no session that the filter takes was seen since"), "{err}");
    let (_, out, _) = home.run(&["history", "--filter", "status:error", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["sessions"], json!([]));
}

#[test]
fn filter_error_is_underlined() {
    let home = Home::new();
    let (code, out, err) = home.run(&["history", "--filter", "nightly ж colour:red"]);
    assert_eq!((code, out.as_str()), (2, ""));
    let lines: Vec<&str> = err.lines().collect();
    assert!(lines[0].starts_with("keepwatch: --filter: no field “colour”: "), "{err}");
    assert_eq!(lines[1..], ["nightly ж colour:red", "          ^^^^^^"]);
}

#[test]
fn error_names_path_of_missing_journal() {
    let home = Home::new();
    for args in [&["history"][..], &["journal", "size"], &["journal", "clear", "--yes"]] {
        let (code, out, err) = home.run(args);
        assert_eq!((code, out.as_str(), err.lines().count()), (1, "", 1), "{args:?}: {err}");
        assert!(err.contains("there is no journal yet") && err.contains("journal.sqlite"), "{err}");
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "no command creates a journal");
    let (code, out, _) = home.run(&["journal", "path"]);
    assert_eq!((code, out.trim()), (0, home.journal().to_str().unwrap()));
}

#[test]
fn journal_clear_needs_confirmation() {
    let home = Home::with_journal();
    let (code, out, err) = home.run(&["journal", "size", "--utc"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("bytes     ") && out.contains("\nsessions  2\noldest    20"), "{out}");
    let (code, _, err) = home.run(&["journal", "clear"]);
    assert!(code == 2 && err.contains("--yes"), "{err}");
    let env = [("HOME", home.path())];
    for (answer, code, message) in [("no\r", 1, "nothing was deleted"), ("y\r", 0, "the journal is empty")] {
        let mut terminal = Terminal::start(&[PROGRAM, "journal", "clear"], &env, 80, 24);
        terminal.wait_for("[y/N]");
        terminal.press(answer);
        terminal.wait_for(message);
        assert_eq!(terminal.wait_for_restored_exit().exit_code(), code);
    }
    let (_, out, _) = home.run(&["journal", "size"]);
    assert!(out.contains("\nsessions  0\noldest    -\n"), "{out}");
    // SQLite's files beside the journal are still there, because a reader cannot remove them. Only the owner may read
    // the journal and these files.
    for file in std::fs::read_dir(home.journal().parent().unwrap()).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().mode() & 0o777, 0o600);
    }
    let (code, out, err) = home.run(&["history"]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
}

#[test]
fn journal_clear_warns_of_other_writers() {
    let home = Home::with_journal();
    let mut child = spawn_writer(&home.journal(), 600);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("SENT 300 ")));
    let (code, out, err) = home.run(&["journal", "clear", "--yes"]);
    assert_eq!((code, out.as_str()), (0, "the journal is empty\n"));
    assert!(err.contains("another keepwatch has it open"), "{err}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn damaged_journal_causes_one_error_line() {
    let home = Home::with_journal();
    std::fs::write(home.journal(), "garbage ".repeat(1000)).unwrap();
    for args in [&["history"][..], &["journal", "size"], &["journal", "clear", "--yes"]] {
        let (code, out, err) = home.run(args);
        assert_eq!((code, out.as_str(), err.lines().count()), (1, "", 1), "{args:?}: {err}");
        assert!(err.contains("the journal is damaged"), "{err}");
    }
}

#[test]
fn journal_clear_needs_no_disk_space() {
    let home = Home::with_journal();
    // SQLite removes its write-ahead log when the last writer ends.
    let write_ahead_log = home.journal().with_extension("sqlite-wal");
    wait_until("the end of the writer", || !write_ahead_log.exists());
    // No file may grow beyond 8 blocks of 512 bytes, so SQLite cannot write its write-ahead log.
    let script = format!("trap '' XFSZ; ulimit -f 8; exec '{PROGRAM}' journal clear --yes");
    let clear_with_limit = || {
        output(
            Command::new("sh").args(["-c", &script]).env_clear().envs(clean_env()).env("HOME", home.path()),
        )
    };
    let open_reader = JournalReader::open(&home.journal()).unwrap().unwrap();
    let refused = clear_with_limit();
    let err = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{err}");
    assert!(err.contains("another keepwatch has the file open; quit it and clear again"), "{err}");
    drop(open_reader);
    let cleared = clear_with_limit();
    let err = String::from_utf8(cleared.stderr).unwrap();
    assert_eq!(
        (cleared.status.code(), cleared.stdout.as_slice()),
        (Some(0), &b"the journal is empty\n"[..]),
        "{err}"
    );
    assert_eq!(home.run(&["history"]).1, "");
    let mut next = spawn_writer(&home.journal(), 0);
    assert!(wait_for_exit(&mut next).success(), "the next run continues the journal");
    assert_intact(&home.journal());
}
