//! Measures the journal with a million entries: `cargo bench -p keepwatch-benches --bench journal`.
//!
//! Goals: the journal starts within 20 ms, and `history --since 1d` takes less than 200 ms.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark should stop at its first error")]

use std::cell::RefCell;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use keepwatch::commands::history::{HistoryOptions, render};
use keepwatch::store::journal::{
    Journal, JournalEntry, JournalOptions, JournalReader, RunId, Segment, SegmentFilter, SendResult,
    SessionSummary, StoredVerdict,
};
use keepwatch_core::clock::Zone;
use keepwatch_core::clock::{Clock, Timestamp};
use keepwatch_core::filter::Filter;
use keepwatch_core::session::{Metadata, Region, SessionId, Status};
use keepwatch_core::testing;
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::cost::Rates;
use serde_json::{Value, json};

/// The number of entries in the large journal.
const ENTRIES: u64 = 1_000_000;
/// The number of sessions with a summary in the large journal.
const SUMMARIES: u64 = 20_000;
/// The time span of the entries, in days.
const DAYS: i64 = 28;
/// The number of segments in the large journal: eight a day.
const SEGMENTS: u64 = 28 * 8;

const MINUTE: Duration = Duration::from_secs(60);

fn now() -> Timestamp {
    Clock::system().now().wall
}

/// Returns a session id whose first digits are scattered, as in real ids. The factor, 2^64 divided by the golden ratio,
/// spreads consecutive numbers over all values.
fn id(number: u64) -> SessionId {
    let scattered = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    testing::id(&format!("{:08x}-{:04x}-4e02-9a67-{number:012x}", scattered >> 32, scattered & 0xffff))
}

/// Returns the summary of a session that ran for 15 minutes. The sessions' ends are spread evenly over [`DAYS`].
fn summary(number: u64) -> SessionSummary {
    let age_seconds =
        DAYS * 86_400 * i64::try_from(SUMMARIES - number).unwrap() / i64::try_from(SUMMARIES).unwrap();
    let ended = now() - chrono::TimeDelta::seconds(age_seconds);
    let started = ended - chrono::TimeDelta::seconds(900);
    SessionSummary {
        session: id(number),
        run: RunId::new(started, number / 100),
        profile: None,
        host: "api.browserbase.com".into(),
        project: Some(Untrusted::new("3c9d1a52-7a6e-4b87-8a34-5d4bb3b8f8e1")),
        owner: Some(Untrusted::new(format!("job-{}", number % 40))),
        status: Some(Status::Completed),
        region: Some(Region::UsWest2),
        keep_alive: Some(true),
        context: None,
        created: Some(started),
        started: Some(started),
        ended: Some(ended),
        is_end_exact: true,
        expires: Some(ended),
        first_seen: started,
        last_seen: ended,
        watched: MINUTE * 14,
        responses: 300,
        proxy_bytes: Some(1_000_000),
        verdict: Some(StoredVerdict {
            name: "keep_alive_ended_early".into(),
            confidence: "likely".into(),
            sentence: Untrusted::new(
                "COMPLETED after 15m 00s, 45m 00s unused, keep-alive on: by the rules no disconnect",
            ),
        }),
        metadata: Some(Metadata::new(&format!(
            r#"{{"name":"job-{}","env":"staging","run":{{"id":"c-{number}","tags":["prices","eu"]}}}}"#,
            number % 40
        ))),
    }
}

/// Waits until the queue has room, then calls `send`. keepwatch itself never waits: if the queue has no room, it drops
/// the entry.
fn send_blocking(journal: &mut Journal<Value>, mut send: impl FnMut(&mut Journal<Value>) -> SendResult) {
    while !journal.has_room() {
        assert!(journal.flush(MINUTE));
    }
    assert_eq!(send(journal), SendResult::Queued);
}

/// Writes the large journal and returns its path. Each entry has about 100 bytes, the size of an entry if no session
/// has changed.
fn write_large_journal(folder: &Path) -> PathBuf {
    let path = folder.join("journal.sqlite");
    let options =
        JournalOptions { retention: MINUTE * 60 * 24 * 365, ..JournalOptions::new(Clock::system()) };
    let mut journal: Journal<Value> = Journal::spawn(path.clone(), options, |error| println!("{error:?}"));
    let start = now() - chrono::TimeDelta::days(DAYS);
    for segment in 0..SEGMENTS {
        let started = start
            + chrono::TimeDelta::hours(
                i64::try_from(segment).unwrap() * 24 * DAYS / i64::try_from(SEGMENTS).unwrap(),
            );
        send_blocking(&mut journal, |journal| {
            journal.begin_segment(Segment {
                run: RunId::new(started, segment),
                started,
                profile: None,
                host: "api.browserbase.com".into(),
                header: json!({}),
                estimated_size: 10,
            })
        });
        // Each segment gets one entry more, because the division rounds down.
        for seq in 0..ENTRIES / SEGMENTS + 1 {
            send_blocking(&mut journal, |journal| {
                journal.write_entry(JournalEntry {
                    seq,
                    at: started + chrono::TimeDelta::seconds(i64::try_from(seq).unwrap()),
                    body: json!({ "same": [seq, seq + 3000], "took": 84, "replies": 12, "text": "x".repeat(50) }),
                    estimated_size: 100,
                    // The entries of a segment concern 90 sessions in turn.
                    sessions: vec![id(segment * 90 + seq % 90)],
                    projects: Vec::new(),
                })
            });
        }
    }
    for number in 0..SUMMARIES {
        send_blocking(&mut journal, |journal| journal.write_summary(summary(number)));
    }
    assert!(journal.flush(MINUTE));
    path
}

/// Measures opening and reading the large journal.
fn measure_journal(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let path = write_large_journal(folder.path());
    let stats = JournalReader::open(&path).unwrap().unwrap().stats().unwrap();
    println!("{stats:?}");
    assert!(stats.entries >= ENTRIES && stats.sessions == SUMMARIES);
    let one_day_ago = now() - chrono::TimeDelta::days(1);

    c.bench_function("spawn", |b| {
        // Unlike `iter`, `iter_batched` does not measure the drop of the journal.
        let spawn = || Journal::<Value>::spawn(path.clone(), JournalOptions::new(Clock::system()), |_| {});
        b.iter_batched(|| (), |()| spawn(), BatchSize::PerIteration);
    });
    c.bench_function("open for reading", |b| {
        b.iter(|| black_box(JournalReader::open(&path).unwrap().unwrap()))
    });
    c.bench_function("history --since 1d", |b| {
        let (filter, options) = (
            Filter::default(),
            HistoryOptions { json: false, rates: Rates::default(), zone: Zone::Local, fits_terminal: true },
        );
        b.iter(|| {
            let reader = JournalReader::open(&path).unwrap().unwrap();
            black_box(render(&reader, one_day_ago, &filter, options).unwrap().unwrap().len())
        });
    });
    c.bench_function("history --since 28d, filtered", |b| {
        let filter = Filter::parse("meta.run.id:c-19 status:completed").unwrap();
        let options =
            HistoryOptions { json: false, rates: Rates::default(), zone: Zone::Local, fits_terminal: true };
        let reader = JournalReader::open(&path).unwrap().unwrap();
        b.iter(|| {
            let output = render(&reader, Timestamp::UNIX_EPOCH, &filter, options).unwrap().unwrap();
            black_box(output.len())
        });
    });
    c.bench_function("the last day of 100 sessions", |b| {
        let ids: Vec<SessionId> = (SUMMARIES - 100..SUMMARIES).map(id).collect();
        b.iter(|| {
            let reader = JournalReader::open(&path).unwrap().unwrap();
            let segments = reader.segments(one_day_ago, SegmentFilter::Sessions(&ids)).unwrap();
            let entries = segments.iter().flat_map(|segment| reader.entries(segment.id)).map(Result::unwrap);
            black_box(entries.count())
        });
    });
}

/// Measures the time that the event loop needs to queue a thousand entries.
fn measure_send(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let journal: Journal<Value> =
        Journal::spawn(folder.path().join("journal.sqlite"), JournalOptions::new(Clock::system()), |_| {});
    let (journal, at) = (RefCell::new(journal), now());
    let begin_segment = || {
        let run = RunId::new(at, 1);
        send_blocking(&mut journal.borrow_mut(), |journal| {
            journal.begin_segment(Segment {
                run: run.clone(),
                started: at,
                profile: None,
                host: String::new(),
                header: json!({}),
                estimated_size: 10,
            })
        });
        assert!(journal.borrow_mut().flush(MINUTE));
    };
    let entry = |seq| JournalEntry {
        seq,
        at,
        body: Value::Null,
        estimated_size: 100,
        sessions: Vec::new(),
        projects: Vec::new(),
    };
    c.bench_function("send 1,000 entries", |b| {
        let send_all =
            |()| (0..1000).all(|seq| journal.borrow_mut().write_entry(entry(seq)) == SendResult::Queued);
        b.iter_batched(begin_segment, |()| assert!(send_all(())), BatchSize::PerIteration);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(3));
    targets = measure_send, measure_journal
}
criterion_main!(benches);
