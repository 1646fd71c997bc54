//! Tests the log as a whole: from an event to the line in the file.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use super::*;
use keepwatch_core::session::Secret;

const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs `action` with a log, and returns the content of the log.
fn capture_log(action: impl FnOnce()) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let (subscriber, _) = subscriber(&path);
    tracing::subscriber::with_default(subscriber, || {
        action();
        flush(FLUSH_TIMEOUT);
    });
    std::fs::read_to_string(&path).unwrap()
}

/// Returns a subscriber that logs to `path`, and the error messages of its writer thread.
fn subscriber(path: &Path) -> (LogSubscriber, Receiver<String>) {
    let (error_sender, errors) = channel();
    let file = LogFile::open(path, MAX_FILE_BYTES).unwrap();
    let on_error = move |message| drop(error_sender.send(message));
    let sender = LogSender::spawn(file, "log".into(), Clock::system(), on_error).unwrap();
    (LogSubscriber::new(sender, Clock::system()), errors)
}

#[test]
fn event_is_one_line() {
    let text = capture_log(|| {
        tracing::warn!(name = "x", "two words");
        tracing::debug!("below INFO, so not logged");
    });
    let (time, line) = text.split_at("2026-11-22T12:00:00.000Z".len());
    assert_eq!(line, " WARN  log::tests: two words name=\"x\"\n", "{text}");
    assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok() && time.ends_with('Z'), "{time}");
}

#[test]
fn hostile_text_stays_on_one_line() {
    let text = capture_log(|| {
        tracing::info!(
            "a\n2026-11-22T12:00:00.000Z ERROR api: forged\r\u{85}\u{2028}\u{1b}]0;x\u{7}\u{202e}"
        );
        tracing::info!("{}", "x".repeat(1_000_000));
    });
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
    assert!(text.len() < 5000, "the second line is truncated: {}", text.len());
}

#[test]
fn secrets_are_redacted() {
    let secret = Secret::new("cAnArY".into());
    let text = capture_log(|| {
        tracing::info!(?secret, %secret, "{secret} {secret:?}");
        tracing::info!("wss://c/?signingKey=cAnArY&x bb_live_cAnArY https://u:cAnArY@h/");
    });
    assert!(text.lines().count() == 2 && !text.contains("cAnArY"), "{text}");
}

#[test]
fn events_of_other_crates_are_dropped() {
    let text = capture_log(|| {
        tracing::info!("ours");
        tracing::error!(target: "h2::codec", "x-bb-api-key: cAnArY");
        tracing::error!(target: "keepwatcher", "cAnArY");
        let _span = tracing::error_span!(target: "h2", "sent", headers = "cAnArY").entered();
    });
    assert!(text.contains("ours") && text.lines().count() == 1, "{text}");
}

#[test]
fn full_queue_drops_and_counts_lines() {
    // No thread reads the queue, which has room for 1000 lines.
    let (sender, receiver) = LogSender::channel(Box::new(|_| {}));
    for number in 0..1003 {
        sender.send_line(format!("{number}\n"));
    }
    assert_eq!(receiver.try_iter().count(), 1000);
    assert!(format!("{sender:?}").contains("lost: 3"), "{sender:?}");
}

#[test]
fn lost_lines_are_reported_at_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let file = LogFile::open(&path, MAX_FILE_BYTES).unwrap();
    let (sender, receiver) = LogSender::channel(Box::new(|message| panic!("{message}")));
    let mut writer = sender.writer(file, "log".into(), Clock::system());
    for number in 0..1003 {
        sender.send_line(format!("{number}\n")); // the queue has room for 1000 lines
    }
    writer.handle(receiver.recv().unwrap()); // makes room for one line
    sender.send_line("after the gap\n".into());
    sender.send_line("lost at the end\n".into());
    drop(sender);
    writer.run(&receiver);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let warning =
        |count| format!(" WARN  log: {count} lines are missing here: the disk was too slow, or full");
    // The file has 1000 lines, a warning, the line after the gap, and a warning.
    assert_eq!((lines.len(), lines[0], lines[999]), (1003, "0", "999"));
    assert!(lines[1000].ends_with(&warning(3)), "{}", lines[1000]);
    assert_eq!(lines[1001], "after the gap");
    assert!(lines[1002].ends_with(&warning(1)), "{}", lines[1002]);
}

#[test]
fn write_error_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let (subscriber, errors) = subscriber(&path);
    // A folder at the path makes every write fail.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!("one");
        tracing::info!("two");
        flush(FLUSH_TIMEOUT);
        assert_eq!(
            errors.try_iter().collect::<Vec<_>>(),
            ["the log log can not be written: what is there is no file"]
        );
        std::fs::remove_dir(&path).unwrap();
        tracing::info!("three");
        flush(FLUSH_TIMEOUT);
        assert_eq!(errors.try_iter().count(), 0);
    });
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(" WARN  log: 2 lines are missing here") && text.ends_with(": three\n"), "{text}");
}

#[test]
fn error_of_queued_line_goes_to_new_handler() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let file = LogFile::open(&path, MAX_FILE_BYTES).unwrap();
    let (sender, receiver) = LogSender::channel(Box::new(|message| panic!("the old handler: {message}")));
    let writer = sender.writer(file, "log".into(), Clock::system());
    // A folder at the path makes every write fail.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    sender.send_line("a line that the thread has not written yet\n".into());
    let (error_sender, errors) = channel();
    sender.set_error_handler(Box::new(move |message| drop(error_sender.send(message))));
    drop(sender);
    writer.run(&receiver);
    assert!(errors.recv().unwrap().contains("can not be written"));
}
