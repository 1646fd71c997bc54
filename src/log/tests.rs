//! From an event to the file.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use super::*;
use keepwatch_core::session::Secret;

const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// What is in the log after `what` was logged.
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

fn subscriber(path: &Path) -> (LogSubscriber, Receiver<String>) {
    let (error_sender, errors) = channel();
    let file = LogFile::open(path, MAX_FILE_BYTES).unwrap();
    let on_error = move |why| drop(error_sender.send(why));
    let outbox = LogSender::spawn(file, "log".into(), Clock::system(), on_error).unwrap();
    (LogSubscriber::new(outbox, Clock::system()), errors)
}

#[test]
fn an_event_is_one_line_with_its_time_to_the_millisecond_its_level_its_place_and_its_message() {
    let text = capture_log(|| {
        tracing::warn!(name = "x", "two words");
        tracing::debug!("too small");
    });
    let (time, rest) = text.split_at(24);
    assert_eq!(rest, " WARN  log::tests: two words name=\"x\"\n", "{text}");
    assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok() && time.ends_with('Z'), "{time}");
}

#[test]
fn no_line_can_be_forged_and_no_terminal_harmed_by_what_the_network_said() {
    let text = capture_log(|| {
        tracing::info!(
            "a\n2026-11-22T12:00:00.000Z ERROR api: forged\r\u{85}\u{2028}\u{1b}]0;x\u{7}\u{202e}"
        );
        tracing::info!("{}", "x".repeat(1_000_000));
    });
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.chars().any(|it| (it.is_control() && it != '\n') || it == '\u{202e}'), "{text:?}");
    assert!(text.len() < 5000, "{}", text.len());
}

#[test]
fn a_secret_is_masked_in_the_log_by_its_type_and_what_looks_like_one_by_its_looks() {
    let secret = Secret::new("cAnArY".into());
    let text = capture_log(|| {
        tracing::info!(?secret, %secret, "{secret} {secret:?}");
        tracing::info!("wss://c/?signingKey=cAnArY&x bb_live_cAnArY https://u:cAnArY@h/");
    });
    assert!(text.lines().count() == 2 && !text.contains("cAnArY"), "{text}");
}

#[test]
fn what_other_crates_say_does_not_get_into_the_log() {
    let text = capture_log(|| {
        tracing::info!("ours");
        tracing::error!(target: "h2::codec", "x-bb-api-key: cAnArY");
        tracing::error!(target: "keepwatcher", "cAnArY");
        let _span = tracing::error_span!(target: "h2", "sent", headers = "cAnArY").entered();
    });
    assert!(text.contains("ours") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_queue_that_is_full_loses_lines_and_counts_them() {
    let (outbox, inbox) = LogSender::channel();
    for number in 0..1003 {
        outbox.send_line(format!("{number}\n"));
    }
    assert_eq!(inbox.try_iter().count(), 1000);
    assert!(format!("{outbox:?}").contains("lost: 3"), "{outbox:?}");
}

#[test]
fn a_log_that_can_not_be_written_is_told_once_and_goes_on_when_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let (subscriber, hears) = subscriber(&path);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap(); // whoever did that
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!("one");
        tracing::info!("two");
        flush(FLUSH_TIMEOUT);
        assert_eq!(
            hears.try_iter().collect::<Vec<_>>(),
            ["the log log can not be written: what is there is no file"]
        );
        std::fs::remove_dir(&path).unwrap();
        tracing::info!("three");
        flush(FLUSH_TIMEOUT);
        assert_eq!(hears.try_iter().count(), 0);
    });
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(" WARN  log: 2 lines are missing here") && text.ends_with(": three\n"), "{text}");
}
