//! Tests of the stored alerts: merging, deletion, and acknowledgements by other processes.

use std::sync::mpsc::Receiver;

use super::super::database::JournalDatabase;
use super::super::prune::prune;
use super::*;
use keepwatch_core::tracker::{Alert, AlertKind};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn alert(session: &str, raised: Timestamp, acknowledged: Option<Timestamp>) -> StoredAlert {
    StoredAlert {
        host: "api.example".into(),
        project: Some(Untrusted::new("p-1")),
        session: id(session),
        kind: Alert::Error.kind(),
        raised,
        acknowledged,
    }
}

fn write(harness: &mut TestJournal, alert: StoredAlert) {
    assert_eq!(harness.journal().write_alert(alert), SendResult::Queued);
    assert!(harness.flush());
}

fn alerts(harness: &TestJournal) -> Vec<StoredAlert> {
    harness.reader().alerts("api.example").unwrap()
}

/// Returns a second journal on the file of `harness`, and the acknowledged alerts that it learns of.
fn second_pane(harness: &TestJournal) -> (Journal<Value>, Receiver<Vec<StoredAlert>>) {
    let (sender, receiver) = channel();
    let sender = std::sync::Mutex::new(sender);
    let listener = AcknowledgementListener::new(move |alerts| sender.lock().unwrap().send(alerts).unwrap());
    let options =
        JournalOptions { acknowledgement_listener: Some(listener), ..JournalOptions::new(noon_clock()) };
    (Journal::spawn(harness.path(), options, |error| panic!("{error:?}")), receiver)
}

#[test]
fn alert_keeps_first_time_and_acknowledgement() {
    let mut harness = TestJournal::start(noon_clock());
    let (first, second, third) = (time("12:00:01"), time("12:00:02"), time("12:00:03"));
    for (written, expected) in [
        (alert("s-1", second, None), alert("s-1", second, None)),
        (alert("s-1", first, None), alert("s-1", first, None)),
        (alert("s-1", second, Some(second)), alert("s-1", first, Some(second))),
        (alert("s-1", third, None), alert("s-1", first, Some(second))),
        (alert("s-1", third, Some(third)), alert("s-1", first, Some(third))),
        (alert("s-1", first, Some(first)), alert("s-1", first, Some(third))),
    ] {
        write(&mut harness, written);
        assert_eq!(alerts(&harness), [expected]);
    }
}

#[test]
fn queued_alerts_are_merged_as_stored_ones() {
    let mut harness = TestJournal::start(noon_clock());
    let (first, second) = (time("12:00:01"), time("12:00:02"));
    let _ = harness.journal().write_alert(alert("s-1", first, Some(second)));
    write(&mut harness, alert("s-1", second, None));
    assert_eq!(alerts(&harness), [alert("s-1", first, Some(second))]);
}

#[test]
fn alerts_differ_by_host_project_session_and_kind() {
    let mut harness = TestJournal::start(noon_clock());
    let one = alert("s-1", time("12:00:01"), None);
    let time_left = |seconds| Alert::TimeLeft(Duration::from_secs(seconds)).kind();
    let all = [
        one.clone(),
        StoredAlert { kind: time_left(300), ..one.clone() },
        StoredAlert { kind: time_left(60), ..one.clone() },
        StoredAlert { project: None, ..one.clone() },
        StoredAlert { session: id("s-2"), ..one.clone() },
    ];
    for stored in &all {
        write(&mut harness, stored.clone());
    }
    write(&mut harness, StoredAlert { host: "other.example".into(), ..one });
    let found = alerts(&harness);
    assert!(found.len() == all.len() && all.iter().all(|stored| found.contains(stored)), "{found:?}");
}

#[test]
fn kind_of_newer_version_is_skipped() {
    let mut harness = TestJournal::start(noon_clock());
    write(&mut harness, alert("s-1", time("12:00:01"), None));
    let db = rusqlite::Connection::open(harness.path()).unwrap();
    db.execute("UPDATE alert SET kind = 'from_the_future'", []).unwrap();
    assert_eq!((AlertKind::parse("from_the_future"), alerts(&harness)), (None, Vec::new()));
}

#[test]
fn acknowledgement_reaches_other_panes_once() {
    let mut harness = TestJournal::start(noon_clock());
    let raised = time("12:00:01");
    write(&mut harness, alert("s-1", raised, None));
    let (mut other, learned) = second_pane(&harness);
    assert!(other.flush(TEST_TIMEOUT));
    assert_eq!(learned.try_recv().ok(), None, "the listener is not called while nothing is acknowledged");
    write(&mut harness, alert("s-1", raised, Some(time("12:00:05"))));
    // A flush without data only reads.
    assert!(other.flush(TEST_TIMEOUT));
    assert_eq!(learned.try_recv().unwrap(), [alert("s-1", raised, Some(time("12:00:05")))]);
    assert!(other.flush(TEST_TIMEOUT));
    assert_eq!(learned.try_recv().ok(), None, "the listener learns of each acknowledgement once");
    // A write of a batch also looks for acknowledgements. Those in the batch itself are no news.
    write(&mut harness, alert("s-2", raised, Some(time("12:00:06"))));
    let _ = other.write_alert(alert("s-3", raised, Some(time("12:00:07"))));
    assert!(other.flush(TEST_TIMEOUT));
    let sessions: Vec<_> = learned.try_recv().unwrap().into_iter().map(|alert| alert.session).collect();
    assert_eq!(sessions, [id("s-2"), id("s-1")]);
    assert!(other.flush(TEST_TIMEOUT));
    assert_eq!(learned.try_recv().ok(), None);
}

#[test]
fn unacknowledged_alert_is_no_news_for_other_panes() {
    let mut harness = TestJournal::start(noon_clock());
    write(&mut harness, alert("s-1", time("12:00:01"), Some(time("12:00:01"))));
    let (mut other, learned) = second_pane(&harness);
    assert!(other.flush(TEST_TIMEOUT));
    assert_eq!(learned.try_recv().unwrap().len(), 1, "a new pane learns of earlier acknowledgements");
    write(&mut harness, alert("s-2", time("12:00:02"), None));
    write(&mut harness, alert("s-1", time("12:00:03"), None));
    assert!(other.flush(TEST_TIMEOUT));
    assert_eq!(learned.try_recv().ok(), None);
}

#[test]
fn alert_from_before_clear_is_not_written() {
    let mut harness = TestJournal::start(noon_clock());
    write(&mut harness, alert("s-1", time("12:00:01"), None));
    clear(&harness.path(), time("12:00:00")).unwrap();
    assert_eq!(alerts(&harness), []);
    // This write finds the clear.
    write(&mut harness, alert("s-1", time("12:00:01"), Some(time("12:00:02"))));
    assert_eq!(alerts(&harness), []);
    // Now the writer knows of the clear, but the sender has not acknowledged it.
    write(&mut harness, alert("s-1", time("12:00:01"), Some(time("12:00:03"))));
    assert_eq!(alerts(&harness), []);
    assert!(harness.journal().acknowledge_clear().is_some());
    write(&mut harness, alert("s-1", time("12:00:04"), None));
    assert_eq!(alerts(&harness), [alert("s-1", time("12:00:04"), None)]);
}

#[test]
fn alerts_are_pruned_with_their_sessions() {
    let mut harness = TestJournal::start(noon_clock());
    for (number, second) in [(1, "12:00:01"), (2, "12:00:02")] {
        let _ = harness.journal().begin_segment(segment(run_id(1), time(second)));
        let name = format!("s-{number}");
        let entry = JournalEntry { sessions: vec![id(&name)], ..entry(0, time(second)) };
        let _ = harness.journal().write_entry(entry);
        let _ = harness.journal().write_summary(summary(&name, run_id(1), time(second)));
        let _ = harness.journal().write_alert(alert(&name, time(second), None));
    }
    assert!(harness.flush());
    let mut database = JournalDatabase::open(&harness.path()).unwrap();
    // A maximum of 1 byte deletes all finished segments: here only the first.
    prune(&mut database, None, DAY, 1).unwrap();
    assert_eq!(alerts(&harness), [alert("s-2", time("12:00:02"), None)]);
    // The acknowledgement of a pruned alert does not bring it back.
    write(&mut harness, alert("s-1", time("12:00:01"), Some(time("12:00:05"))));
    assert_eq!(alerts(&harness), [alert("s-2", time("12:00:02"), None)]);
}

#[test]
fn alerts_older_than_retention_are_pruned() {
    let mut harness = TestJournal::start(noon_clock());
    write(&mut harness, alert("old", time("12:00:01"), None));
    write(&mut harness, alert("acknowledged", time("12:00:01"), Some(time("12:00:09"))));
    write(&mut harness, alert("new", time("12:00:08"), None));
    let mut database = JournalDatabase::open(&harness.path()).unwrap();
    // A day later, with a retention of a day: alerts from before 12:00:05 are too old.
    prune(&mut database, Some(saturating_add(time("12:00:05"), DAY)), DAY, u64::MAX).unwrap();
    let sessions: Vec<_> = alerts(&harness).into_iter().map(|alert| alert.session).collect();
    assert_eq!(sessions, [id("acknowledged"), id("new")]);
}
