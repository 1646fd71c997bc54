//! Measures how costs grow with the number of sessions: `cargo bench -p keepwatch-benches --bench scale`.
//!
//! Goals for 10,000 sessions: filtering and sorting take about 2 ms. A frame takes less than 1 ms, as it does for 20
//! sessions.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark should stop at its first error"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use keepwatch::api::{SessionList, read_list, read_session};
use keepwatch::poll::{PollLimits, PollOutcome, Report, Request, ResponseBody, Scheduler};
use keepwatch::tui::{
    AcknowledgedAlerts, Message, Model, MutedSessions, ProfileInfo, Profiles, RowCriteria, Rows, Settings,
    Sort, SortColumn,
};
use keepwatch::tui::{Theme, view};
use keepwatch_core::clock::saturating_add;
use keepwatch_core::filter::Filter;
use keepwatch_core::session::Targets;
use keepwatch_core::session::{List, Metadata, Region, Session, Status};
use keepwatch_core::testing::{self, at, moment, noon, request_timing};
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::{AlertThresholds, Input, RequestTiming, Scope, SessionTracker};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

/// The numbers of sessions to measure.
const SESSION_COUNTS: [usize; 3] = [20, 1_000, 10_000];

/// Returns the timing of a request that takes no time. Its response has a `Date` header.
fn dated_timing(second: u32) -> RequestTiming {
    RequestTiming { date: Some(at(second)), ..request_timing(second, second) }
}

/// Returns a session whose id, times, bytes and metadata differ from those of most other sessions.
fn session(number: usize) -> Session {
    // A hash of `number`: the factor, 2^64 divided by the golden ratio, spreads consecutive numbers over all values.
    let scattered = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let id = format!(
        "{:08x}-{:04x}-4{:03x}-9a67-{number:012x}",
        scattered >> 32,
        scattered & 0xffff,
        scattered >> 20 & 0xfff
    );
    let started = saturating_add(noon(), Duration::from_secs(scattered % 900));
    let metadata = format!(
        r#"{{"name":"job-{number}","env":"staging","run":{{"id":"c-{}","try":{},"tags":["prices","eu"]}}}}"#,
        scattered % 9973,
        scattered % 5
    );
    Session {
        id: testing::id(&id),
        project: Some(Untrusted::new("3c9d1a52-7a6e-4b87-8a34-5d4bb3b8f8e1")),
        status: Status::Running,
        created: Some(started),
        updated: Some(started),
        started: Some(started),
        ended: None,
        expires: Some(saturating_add(started, Duration::from_secs(3600 + scattered % 7200))),
        proxy_bytes: Some(i64::try_from(scattered % 1_000_000).unwrap()),
        keep_alive: Some(number.is_multiple_of(2)),
        context: None,
        region: Some(Region::KNOWN[number % 4].clone()),
        metadata: Some(Metadata::new(&metadata)),
        connect: None,
        extra_fields: Vec::new(),
        extra_fields_dropped: 0,
    }
}

/// Returns the tracker's input for a list of running sessions that arrived `second` seconds after noon.
fn list_input(second: u32, sessions: Vec<Session>) -> Input {
    Input::SessionsReceived {
        at: dated_timing(second),
        scope: Scope::List(List::Running),
        sessions,
        malformed: 0,
    }
}

fn sessions(count: usize) -> Vec<Session> {
    (0..count).map(session).collect()
}

fn tracker(count: usize) -> SessionTracker {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    tracker.apply(list_input(1000, sessions(count)));
    tracker
}

fn model(count: usize) -> Model {
    let settings = Settings {
        poll_limits: PollLimits { interval: Duration::from_secs(2), max_rps: 4 },
        theme: Theme::colored(),
        can_open_browser: true,
        ..Settings::default()
    };
    let mut model = Model::new(settings, ProfileInfo::default(), Vec::new(), (120, 40));
    let (sent, received) = (moment(1000), moment(1000));
    let report = Report {
        request: Request::List(List::Running),
        sent,
        received,
        date: Some(received.wall),
        age: Duration::ZERO,
        bytes: 0,
        rate_limit: None,
        result: Ok(ResponseBody::List(SessionList { sessions: sessions(count), malformed: 0 })),
        next_request: None,
    };
    model.update(Message::Report(model.profiles().first_id(), Box::new(report)), received);
    model.set_viewport(view::viewport(&model, received));
    model
}

fn rows(profiles: &Profiles, filter: &str, column: SortColumn) -> Rows {
    let (acknowledged, muted) = (AcknowledgedAlerts::default(), MutedSessions::default());
    let filter = Filter::parse(filter).unwrap();
    let criteria = RowCriteria {
        filter: &filter,
        alerts_only: false,
        muted: &muted,
        acknowledged: &acknowledged,
        with_details: None,
        max_pinned: 12,
    };
    Rows::build(profiles, Sort { column, reversed: false }, &criteria)
}

fn measure_filter(c: &mut Criterion) {
    let profiles = Profiles::from(tracker(10_000));
    let mut group = c.benchmark_group("filter 10,000");
    for filter in
        ["", "status:running", "owner:job-77", "meta.run.id:c-88", "eu !region:us", "nothing has this"]
    {
        group.bench_with_input(BenchmarkId::from_parameter(filter), filter, |b, filter| {
            b.iter(|| black_box(rows(&profiles, filter, SortColumn::TimeLeft).len()));
        });
    }
}

fn measure_sort(c: &mut Criterion) {
    let profiles = Profiles::from(tracker(10_000));
    let mut group = c.benchmark_group("sort 10,000");
    for column in [
        SortColumn::TimeLeft,
        SortColumn::Status,
        SortColumn::Session,
        SortColumn::Owner,
        SortColumn::Age,
        SortColumn::Proxy,
    ] {
        group.bench_with_input(BenchmarkId::from_parameter(column.name()), &column, |b, column| {
            b.iter(|| black_box(rows(&profiles, "", *column).len()));
        });
    }
}

/// Measures drawing a frame and comparing it with the previous one. Each frame is a second later, so that countdowns
/// differ.
fn measure_frame(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame");
    for count in SESSION_COUNTS {
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

/// Measures the time in which a tracker applies a list whose sessions have not changed.
fn measure_apply(c: &mut Criterion) {
    let mut group = c.benchmark_group("apply a list");
    for count in SESSION_COUNTS {
        let (mut tracker, list) = (tracker(count), sessions(count));
        let mut second = 1000;
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter_batched(
                || list.clone(),
                |list| {
                    second += 2;
                    black_box(tracker.apply(list_input(second, list)))
                },
                BatchSize::LargeInput,
            );
        });
    }
}

/// Returns a session as the API's JSON.
fn session_json(number: usize) -> String {
    let session = session(number);
    format!(
        r#"{{"id":"{}","createdAt":"{1}","projectId":"3c9d1a52-7a6e-4b87-8a34-5d4bb3b8f8e1","startedAt":"{1}","expiresAt":"2026-11-18T13:00:00.000Z","updatedAt":"2026-11-18T12:00:00.000Z","keepAlive":true,"region":"us-west-2","status":"RUNNING","proxyBytes":{number},"userMetadata":{2}}}"#,
        session.id.raw(),
        session.created.unwrap().to_rfc3339(),
        session.metadata.as_ref().unwrap().json(),
    )
}

/// Measures decoding one session, and decoding a list that arrives in chunks of 64 KiB. A connection's buffer has this
/// size.
fn measure_decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    let (body, id) = (session_json(7), testing::id("s-1"));
    group.bench_function("one", |b| b.iter(|| black_box(read_session(body.as_bytes(), &id).unwrap())));
    let list = format!("[{}]", (0..10_000).map(session_json).collect::<Vec<_>>().join(","));
    group.throughput(Throughput::Bytes(list.len() as u64));
    group.bench_function("10,000", |b| {
        b.iter(|| black_box(read_list(list.as_bytes().chunks(64 * 1024)).unwrap()));
    });
    group.finish();
}

/// Measures one round of polls in the scheduler: taking the due requests, then applying the sessions in the responses.
fn measure_schedule(c: &mut Criterion) {
    let mut group = c.benchmark_group("a round of polls");
    for count in SESSION_COUNTS {
        let ids: Vec<_> = sessions(count).into_iter().map(|session| session.id).collect();
        let limits = PollLimits { interval: Duration::from_secs(2), max_rps: 1000 };
        let mut now = Duration::ZERO;
        let mut scheduler = Scheduler::new(&Targets::All, limits, now);
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter_batched(
                || ids.clone(),
                |ids| {
                    now += limits.interval;
                    for request in scheduler.take_due(now) {
                        let listed =
                            if request == Request::List(List::Running) { ids.clone() } else { Vec::new() };
                        let jitter = 0.5;
                        scheduler.on_outcome(&request, PollOutcome::Listed(listed), now, jitter);
                    }
                    black_box(scheduler.next_due())
                },
                BatchSize::LargeInput,
            );
        });
    }
}

fn measure_sanitise(c: &mut Criterion) {
    let mut group = c.benchmark_group("sanitise for 80 columns");
    for (name, text) in [
        ("an id", "3c9d1a52-7a6e-4b87-8a34-5d4bb3b8f8e1".to_owned()),
        ("Japanese", "価格の監視・東京リージョン".repeat(4)),
        ("1 MB of escapes and marks", "\u{1b}]52;c;x\u{7}e\u{301}\u{301}\u{202e}".repeat(60_000)),
    ] {
        let text = Untrusted::new(text);
        group.bench_function(name, |b| b.iter(|| black_box(text.sanitise(80))));
    }
}

/// Prints the memory per session in a tracker. Criterion cannot measure memory, only times.
fn print_memory(_: &mut Criterion) {
    let initial_bytes = resident_bytes();
    let tracker = tracker(100_000);
    let each = resident_bytes().saturating_sub(initial_bytes) / tracker.len();
    println!("memory: {each} bytes for each of {} sessions (0 if the system does not tell)", tracker.len());
}

/// Returns the resident memory of this process in bytes, or 0 on systems without `/proc`.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<usize> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or_default() * 1024
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = print_memory, measure_filter, measure_sort, measure_frame, measure_apply, measure_decode, measure_schedule,
        measure_sanitise
}
criterion_main!(benches);
