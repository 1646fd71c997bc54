//! Every scenario that plays an incident, end to end: the simulator plays it over HTTP on a clock that runs quicker, the
//! program's own client, poller and fleet watch it as `keepwatch demo --scenario` does, and what they make of it is held
//! against what the scenario's file expects.

use std::collections::BTreeSet;
use std::time::Duration;

use browserbase_simulator::{self, Expectation, NO_VERDICT, Scenario};
use keepwatch::api::Endpoint;
use keepwatch::api::{Client, ReleasePermission};
use keepwatch::poll::IngestedReport;
use keepwatch::poll::PollLimits;
use keepwatch::poll::{Poller, PollerCommand, Report};
use keepwatch::store::{
    self, Encoder, FORMAT_VERSION, Recording, RecordingWriter, StreamEntry, StreamHeader,
};
use keepwatch_core::clock::{Clock, Moment, Zone};
use keepwatch_core::session::Targets;
use keepwatch_core::session::{Secret, SessionId};
use keepwatch_core::testing;
use keepwatch_core::tracker::cost::Rates;
use keepwatch_core::tracker::evidence::{self, EvidenceOptions};
use keepwatch_core::tracker::{AlertThresholds, Event, EventKind, Input, SessionTracker};
use tokio::sync::mpsc;

use crate::harness::at_speed;

/// As `keepwatch demo` asks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Quick, and yet a tenth of a second that the machine is busy elsewhere is but a second of the scenario.
const SPEED: u32 = 10;
/// For scenarios of many minutes.
const TOP_SPEED: u32 = 100;
/// What takes longer than this is played at the higher one: nobody would wait for it.
const LONG: Duration = Duration::from_secs(60);
/// How often the reader copies a connect URL, where a scenario wants it.
const COPIES: usize = 3;

/// Every name that an event can have: a misspelt one in a file would never come, and `never` would hold.
const EVENTS: [&str; 25] = [
    "first_seen",
    "status_changed",
    "ended",
    "contradicted",
    "expiry_moved",
    "keep_alive_changed",
    "region_changed",
    "context_changed",
    "metadata_changed",
    "traffic_started",
    "traffic_stopped",
    "unlisted",
    "not_found",
    "found_again",
    "overdue",
    "flagged",
    "release_asked",
    "release_failed",
    "successor",
    "ended_together",
    "rate_limited",
    "polls_failing",
    "polls_recovered",
    "slept",
    "clock_set",
];

/// One test a scenario, so that they run beside each other.
macro_rules! scenario_tests {
    ($($test:ident: $scenario:literal,)*) => {
        const PLAYED: &[&str] = &[$($scenario),*];
        $(#[test] fn $test() { run_scenario($scenario); })*
    };
}

scenario_tests! {
    i01_a_keep_alive_session_that_ends_early_was_no_disconnect_and_no_timeout: "I01",
    i02_ends_that_belong_together_are_named_together: "I02",
    i03_the_only_slot_is_taken: "I03",
    i04_a_rate_limit_is_no_outage: "I04",
    i05_the_apis_own_message_is_told_word_for_word: "I05",
    i06_a_session_ran_into_the_projects_default_timeout: "I06",
    i07_a_session_that_was_closed_runs_on_until_its_timeout: "I07",
    i08_a_timeout_is_warned_of_twice_before_it_comes: "I08",
    i09_a_keep_alive_session_through_whose_proxy_nothing_goes_any_more_is_flagged: "I09",
    i10_a_release_takes_longer_than_its_client_waits: "I10",
    i11_a_signing_key_that_rotates_is_no_event: "I11",
    i12_of_a_clients_dropped_socket_nothing_is_claimed: "I12",
    i13_a_burst_of_short_sessions_is_summed_up: "I13",
    i14_an_expired_session_stays_ended: "I14",
    i15_a_session_that_runs_past_its_expiry_is_overdue: "I15",
    i16_a_release_that_failed_stays_in_sight: "I16",
    i17_a_new_session_with_the_metadata_of_one_that_ended_is_told_of: "I17",
}

#[test]
fn every_scenario_that_expects_something_is_played() {
    let expects = |name: &&str| !Scenario::builtin(name).unwrap().expectations.is_empty();
    assert_eq!(Scenario::builtin_names().filter(expects).collect::<Vec<_>>(), PLAYED);
}

#[test]
fn scenarios_name_only_events_that_there_are_and_last_half_a_minute() {
    for name in PLAYED {
        let script = Scenario::builtin(name).unwrap();
        for expect in &script.expectations {
            let unknown =
                expect.events.iter().chain(&expect.absent_events).find(|it| !EVENTS.contains(&it.as_str()));
            assert_eq!(unknown, None, "{name}");
            let long = matches!(*name, "I09" | "I10"); // what they are about takes that long
            assert!(expect.within.0 <= Duration::from_secs(30) || long, "{name}");
        }
        assert!(script.expectations.iter().any(|expect| !expect.screen.is_empty()), "{name} shows nothing");
    }
}

fn run_scenario(name: &str) {
    let script = Scenario::builtin(name).unwrap();
    let longest = script.expectations.iter().map(|expect| expect.within.0).max().unwrap();
    at_speed(if longest > LONG { TOP_SPEED } else { SPEED }, |speed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Watcher::watch(name, script.clone(), speed));
    });
}

/// Who watches a scenario, and what it made of it.
struct Watcher {
    scenario: String,
    script: Scenario,
    clock: Clock,
    start: Moment,
    tracker: SessionTracker,
    encoder: Encoder,
    lines: Vec<StreamEntry>,
    events: Vec<Event>,
    /// How many fresh connect URLs were asked for.
    copies: usize,
}

impl Watcher {
    async fn watch(name: &str, script: Scenario, speed: u32) {
        let clock = Clock::scaled(speed);
        let simulator = browserbase_simulator::Simulator::start(
            clock.clone(),
            script.clone(),
            browserbase_simulator::SimulatorOptions::default(),
        )
        .unwrap();
        let base = simulator.base_url().parse().unwrap();
        let client = Client::new(Endpoint { base }, Secret::new("bb_test_scenario_f3a9".into()));
        let (reports, mut report_receiver) = mpsc::channel::<Report>(16);
        let mut watcher = Self {
            scenario: name.to_owned(),
            script,
            start: clock.now(),
            tracker: SessionTracker::new(AlertThresholds::default()),
            encoder: Encoder::default(),
            lines: Vec::new(),
            events: Vec::new(),
            copies: 0,
            clock: clock.clone(),
        };
        let poller = Poller::spawn(
            client,
            ReleasePermission::unless_read_only(false),
            &Targets::All,
            PollLimits { interval: INTERVAL, max_rps: 4 },
            clock.clone(),
            reports,
        );
        while let Some(wake) = watcher.next_check() {
            tokio::select! {
                Some(report) = report_receiver.recv() => {
                    let input = IngestedReport::from(report).input;
                    watcher.apply(input);
                    watcher.copy(&poller);
                    watcher.release(&poller);
                }
                () = keepwatch::timer::sleep_until(&clock, wake) => watcher.apply(Some(Input::TimePassed { now: clock.now() })),
            }
        }
        let urls: BTreeSet<String> =
            simulator.connect_urls().iter().map(|url| url.expose().to_owned()).collect();
        assert_eq!(urls.len(), watcher.copies, "each reply had a connect URL of its own");
        assert!(urls.iter().all(|url| !watcher.lines.iter().any(|line| format!("{line:?}").contains(url))));
        watcher.assert_replay_matches();
    }

    fn apply(&mut self, input: Option<Input>) {
        if let Some(input) = input {
            let (events, lines) = store::apply_and_encode(Some(&mut self.encoder), &mut self.tracker, input);
            self.events.extend(events);
            self.lines.extend(lines);
        }
    }

    /// What was recorded gives the same evidence of every session, byte for byte.
    fn assert_replay_matches(&mut self) {
        let header = StreamHeader {
            format: FORMAT_VERSION,
            version: "9.9.9".into(),
            started: self.start.wall,
            thresholds: AlertThresholds::default(),
            owner_key: None,
            rates: Rates::default(),
            host: None,
            no_metadata: false,
        };
        self.lines.extend(self.encoder.finish(&self.tracker));
        let mut file = Vec::new();
        RecordingWriter::new(&mut file, &header).unwrap().write(&self.lines).unwrap();
        let recording = Recording::read(&mut file.as_slice()).unwrap();
        assert_eq!(recording.damage, None);
        let mut again = SessionTracker::new(recording.header.thresholds.clone());
        recording.input_log.inputs().for_each(|(_, input)| drop(again.apply(input)));
        for record in self.tracker.records() {
            let version = &recording.header.version;
            let of = |tracker| evidence::render(tracker, &record.id, EvidenceOptions::new(version));
            assert_eq!(of(&again), of(&self.tracker), "{}", self.scenario);
        }
        assert_eq!(again.len(), self.tracker.len());
    }

    /// Copies what the scenario wants copied, once for each reply that came.
    fn copy(&mut self, poller: &Poller) {
        let copied = self.script.expectations.iter().find(|expect| expect.copied);
        if let Some(id) = copied.and_then(|expect| self.id(expect))
            && self.copies < COPIES
            && self.tracker.get(&id).is_some()
        {
            self.copies += 1;
            poller.send_command(PollerCommand::FetchConnectUrls(id));
        }
    }

    /// Releases what the scenario wants released, once it was seen.
    fn release(&mut self, poller: &Poller) {
        let released = self.script.expectations.iter().find(|expect| expect.released);
        let Some(id) = released.and_then(|expect| self.id(expect)) else { return };
        if self.tracker.get(&id).is_some_and(|record| record.release.is_none()) {
            self.apply(Some(Input::ReleaseRequested { at: self.clock.now(), id: id.clone() }));
            poller.send_command(PollerCommand::Release(id));
        }
    }

    /// When to look again at the latest, by the monotonic clock; `None` once all is known and as it should be.
    fn next_check(&self) -> Option<Duration> {
        let now = self.clock.now();
        let passed = now.since(self.start);
        let mut next: Option<Duration> = None;
        for expect in &self.script.expectations {
            let over = expect.within.0 <= passed;
            if let Err(missing) = self.check(expect) {
                assert!(!over, "{missing}\n{}", self.describe(expect));
            } else if over || !expect.requires_absence() {
                continue;
            }
            let left = expect.within.0.saturating_sub(passed);
            next = Some(next.map_or(left, |next| next.min(left)));
        }
        let flag = self.tracker.time_until_deadline(now);
        let wait = flag.map_or(next?, |flag| flag.min(next.unwrap_or(flag)));
        Some(now.mono + wait.max(Duration::from_millis(10)))
    }

    fn id(&self, expect: &Expectation) -> Option<SessionId> {
        let word = expect.session.as_deref()?;
        Some(testing::id(self.script.find_session_id(word).unwrap()))
    }

    /// Whether it holds as of now; else what is missing. What must not be stops the test at once.
    fn check(&self, expect: &Expectation) -> Result<(), String> {
        let id = self.id(expect);
        let own: Vec<&EventKind> =
            self.events.iter().filter(|event| event.id == id).map(|event| &event.kind).collect();
        let named: Vec<&str> = own.iter().map(|kind| kind.name()).collect();
        let verdict = id.as_ref().and_then(|id| self.tracker.verdict(id));
        let said = self.texts(expect);
        if let Some(came) = named.iter().find(|name| expect.absent_events.iter().any(|never| never == *name))
        {
            panic!("“{came}” was not to come\n{}", self.describe(expect));
        }
        if let Some(phrase) =
            expect.absent_phrases.iter().find(|phrase| said.iter().any(|it| it.contains(*phrase)))
        {
            panic!("“{phrase}” was not to be said\n{}", self.describe(expect));
        }
        let mut rest = named.iter();
        if let Some(missing) = expect.events.iter().find(|wanted| !rest.any(|name| name == wanted)) {
            return Err(format!("the event “{missing}” did not come, or not in this order"));
        }
        let status = id.as_ref().and_then(|id| self.tracker.get(id)?.status());
        if let Some(wanted) = &expect.status
            && status.map(keepwatch_core::session::Status::raw) != Some(wanted)
        {
            return Err(format!("the status is not {wanted}"));
        }
        let name = verdict.as_ref().map_or(NO_VERDICT, |verdict| verdict.name());
        match expect.verdict.as_deref() {
            Some(NO_VERDICT) if verdict.is_some() => {
                panic!("no verdict was to be\n{}", self.describe(expect))
            }
            Some(wanted) if wanted != name => return Err(format!("the verdict is not {wanted}")),
            _ => {}
        }
        match expect.phrases.iter().find(|phrase| !said.iter().any(|it| it.contains(*phrase))) {
            Some(missing) => Err(format!("nothing says “{missing}”")),
            None => Ok(()),
        }
    }

    /// The sentences of its events and the words of its verdict.
    fn texts(&self, expect: &Expectation) -> Vec<String> {
        let id = self.id(expect);
        let today = self.clock.now().wall;
        let own = self.events.iter().filter(|event| event.id == id);
        let mut said: Vec<String> = own.map(|event| event.kind.sentence(Zone::Utc, today)).collect();
        if let Some(id) = id
            && let Some(verdict) = self.tracker.verdict(&id)
        {
            let words = verdict.text(Zone::Utc, today);
            let status = self.tracker.get(&id).unwrap().status().unwrap();
            said.push(verdict.summary_line(status, Zone::Utc, today));
            said.push(words.explanation);
            said.extend(words.ruled_out.map(str::to_owned));
            said.extend([words.confidence, words.advice].map(str::to_owned));
            said.extend(words.end_cluster);
        }
        said
    }

    /// What there was instead.
    fn describe(&self, expect: &Expectation) -> String {
        let id = self.id(expect);
        let named = self.events.iter().filter(|event| event.id == id).map(|event| event.kind.name());
        format!(
            "in {}, of {}, {} s after the start\nevents: {}\nverdict: {}\nsaid:\n  {}",
            self.scenario,
            expect.session.as_deref().unwrap_or("what concerns all"),
            self.clock.now().since(self.start).as_secs(),
            named.collect::<Vec<_>>().join(", "),
            id.and_then(|id| self.tracker.verdict(&id)).map_or(NO_VERDICT, |verdict| verdict.name()),
            self.texts(expect).join("\n  "),
        )
    }
}
