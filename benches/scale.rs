//! What many sessions cost: `cargo bench --bench scale`.
//!
//! The figures to hold, at 10,000 sessions: filter and sort below 2 ms, a frame below 1 ms.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that can not go on should stop where it is"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use keepwatch::app::{Choice, Filter, KnownFlags, Model, Muted, Rows, Settings, Sort, SortBy};
use keepwatch::clock::{Moment, Timestamp, later};
use keepwatch::config::{Pace, Targets, Zone};
use keepwatch::session::{List, Metadata, Region, Session, SessionId, Status};
use keepwatch::text::Untrusted;
use keepwatch::view::{self, Theme};
use keepwatch::watch::cost::Rates;
use keepwatch::watch::{Exchange, Fleet, Input, Scope, Thresholds};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

const SIZES: [usize; 3] = [20, 1_000, 10_000];

fn moment(second: u64) -> Moment {
    let start = Timestamp::from_timestamp(1_795_000_000, 0).unwrap();
    let since = Duration::from_secs(second);
    Moment { wall: later(start, since), mono: since, boot: since }
}

fn exchange(second: u64) -> Exchange {
    let received = moment(second);
    Exchange { sent: received, received, date: Some(received.wall) }
}

/// One of many that differ in everything that a row shows.
fn session(number: usize) -> Session {
    let spread = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let id = format!(
        "{:08x}-{:04x}-4{:03x}-9a67-{number:012x}",
        spread >> 32,
        spread & 0xffff,
        spread >> 20 & 0xfff
    );
    let started = later(moment(0).wall, Duration::from_secs(spread % 900));
    let metadata = format!(
        r#"{{"name":"job-{number}","env":"staging","run":{{"id":"c-{}","try":{},"tags":["prices","eu"]}}}}"#,
        spread % 9973,
        spread % 5
    );
    Session {
        id: SessionId::parse(&id).unwrap(),
        project: Some(Untrusted::new("3c9d1a52-7a6e-4b87-8a34-5d4bb3b8f8e1")),
        status: Status::Running,
        created: Some(started),
        updated: Some(started),
        started: Some(started),
        ended: None,
        expires: Some(later(started, Duration::from_secs(3600 + spread % 7200))),
        proxy_bytes: Some(i64::try_from(spread % 1_000_000).unwrap()),
        keep_alive: Some(number.is_multiple_of(2)),
        context: None,
        region: Some(Region::KNOWN[number % 4].clone()),
        metadata: Some(Metadata::new(&metadata)),
        connect: None,
        others: Vec::new(),
        others_left_out: 0,
    }
}

fn listed(second: u64, sessions: Vec<Session>) -> Input {
    Input::Seen { at: exchange(second), scope: Scope::List(List::Running), sessions, malformed: 0 }
}

fn sessions(count: usize) -> Vec<Session> {
    (0..count).map(session).collect()
}

fn fleet(count: usize) -> Fleet {
    let mut fleet = Fleet::new(Thresholds::default());
    fleet.apply(listed(1000, sessions(count)));
    fleet
}

fn model(count: usize) -> Model {
    let settings = Settings {
        targets: Targets::All,
        query: None,
        pace: Pace { interval: Duration::from_secs(2), max_rps: 4 },
        thresholds: Thresholds::default(),
        rates: Rates::default(),
        bell: false,
        owner_key: None,
        zone: Zone::Utc,
        theme: Theme::colored(),
        host: None,
        key_tail: "f3a9".into(),
        can_open: true,
        releaser: None,
        demo: false,
        speed: 1,
        greeting: None,
    };
    let mut model = Model::new(settings, (120, 40));
    model.fleet = fleet(count);
    model.rows = rows(&model.fleet, "", SortBy::Left);
    model
}

fn rows(fleet: &Fleet, filter: &str, by: SortBy) -> Rows {
    let (known, muted) = (KnownFlags::default(), Muted::default());
    let filter = Filter::parse(filter).unwrap();
    let choice = Choice { filter: &filter, flagged_only: false, muted: &muted, known: &known, read: None };
    Rows::of(fleet, Sort { by, reversed: false }, &choice)
}

fn filter(c: &mut Criterion) {
    let fleet = fleet(10_000);
    let mut group = c.benchmark_group("filter 10,000");
    for words in
        ["", "status:running", "owner:job-77", "meta.run.id:c-88", "eu !region:us", "nothing has this"]
    {
        group.bench_with_input(BenchmarkId::from_parameter(words), words, |b, words| {
            b.iter(|| black_box(rows(&fleet, words, SortBy::Left).len()));
        });
    }
}

fn sort(c: &mut Criterion) {
    let fleet = fleet(10_000);
    let mut group = c.benchmark_group("sort 10,000");
    for by in [SortBy::Left, SortBy::Status, SortBy::Session, SortBy::Owner, SortBy::Age, SortBy::Proxy] {
        group.bench_with_input(BenchmarkId::from_parameter(by.name()), &by, |b, by| {
            b.iter(|| black_box(rows(&fleet, "", *by).len()));
        });
    }
}

/// A frame, its cells compared with the last one's; the time of day moves on, so that countdowns differ.
fn frame(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame");
    for count in SIZES {
        let (model, mut terminal) = (model(count), Terminal::new(TestBackend::new(120, 40)).unwrap());
        let mut second = 1000;
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                second += 1;
                terminal.draw(|frame| view::draw(frame, &model, moment(second))).unwrap();
            });
        });
    }
}

/// A list in which nothing is new but the times.
fn apply(c: &mut Criterion) {
    let mut group = c.benchmark_group("apply a list");
    for count in SIZES {
        let (mut fleet, list) = (fleet(count), sessions(count));
        let mut second = 1000;
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter_batched(
                || list.clone(),
                |list| {
                    second += 2;
                    black_box(fleet.apply(listed(second, list)))
                },
                criterion::BatchSize::LargeInput,
            );
        });
    }
}

criterion_group!(benches, filter, sort, frame, apply);
criterion_main!(benches);
