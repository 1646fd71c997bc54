//! Tests every incident scenario, end to end. The simulator plays the scenario over HTTP on a fast clock. The program's
//! client, poller and tracker watch the simulator as `keepwatch demo --scenario` does. The test compares the events and
//! verdicts with the expectations in the scenario's file.

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
use keepwatch_core::tracker::{AlertRules, Event, EventKind, Input, SessionTracker};
use tokio::sync::mpsc;

use crate::harness::at_speed;

/// Poll interval of `keepwatch demo`.
const INTERVAL: Duration = Duration::from_secs(1);
/// Speed of the clock in most scenarios. A pause of 0.1 s on a busy machine is then only a second of the scenario.
const SPEED: u32 = 10;
/// Speed of the clock in scenarios that take longer than [`LONG_SCENARIO`].
const TOP_SPEED: u32 = 100;
const LONG_SCENARIO: Duration = Duration::from_secs(60);
/// Number of connect URLs that the user copies in scenarios with `copied`.
const COPIES: usize = 3;

/// All event names. A test checks that the scenarios use no other names, because an expectation that a misspelt event
/// is absent would never fail.
const EVENT_NAMES: [&str; 27] = [
    "first_seen",
    "status_changed",
    "ended",
    "contradicted",
    "contradictory_replies",
    "replies_agree",
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

/// Defines one test for each scenario, so that they run in parallel.
macro_rules! scenario_tests {
    ($($test:ident: $scenario:literal,)*) => {
        const TESTED: &[&str] = &[$($scenario),*];
        $(#[test] fn $test() { run_scenario($scenario); })*
    };
}

scenario_tests! {
    i01_early_end_is_not_disconnect_or_timeout: "I01",
    i02_related_ends_are_clustered: "I02",
    i03_only_slot_is_taken: "I03",
    i04_rate_limit_is_not_an_outage: "I04",
    i05_api_message_is_quoted: "I05",
    i06_session_hits_default_timeout: "I06",
    i07_closed_session_runs_until_timeout: "I07",
    i08_timeout_warns_twice: "I08",
    i09_stalled_proxy_traffic_raises_alert: "I09",
    i10_release_outlasts_client_timeout: "I10",
    i11_signing_key_rotation_is_no_event: "I11",
    i12_dropped_socket_is_not_claimed: "I12",
    i13_burst_of_short_sessions_is_summed_up: "I13",
    i14_expired_session_stays_ended: "I14",
    i15_session_past_expiry_is_overdue: "I15",
    i16_failed_release_stays_known: "I16",
    i17_successor_is_reported: "I17",
    orderly_releases_raise_no_alert: "orderly",
    stuck_sessions_raise_alerts: "stuck",
}

#[test]
fn every_scenario_with_expectations_has_a_test() {
    let expects = |name: &&str| !Scenario::builtin(name).unwrap().expectations.is_empty();
    assert_eq!(Scenario::builtin_names().filter(expects).collect::<Vec<_>>(), TESTED);
}

#[test]
fn expectations_are_well_formed() {
    for name in TESTED {
        let scenario = Scenario::builtin(name).unwrap();
        for expect in &scenario.expectations {
            let unknown = expect
                .events
                .iter()
                .chain(&expect.absent_events)
                .find(|it| !EVENT_NAMES.contains(&it.as_str()));
            assert_eq!(unknown, None, "{name} uses only known event names");
            let may_be_long = matches!(*name, "I09" | "I10"); // these incidents take longer
            let is_short = expect.within.0 <= Duration::from_secs(30);
            assert!(is_short || may_be_long, "{name} takes at most 30 s");
        }
        assert!(
            scenario.expectations.iter().any(|expect| !expect.screen.is_empty()),
            "{name} expects text on the screen"
        );
    }
}

fn run_scenario(name: &str) {
    let scenario = Scenario::builtin(name).unwrap();
    let longest = scenario.expectations.iter().map(|expect| expect.within.0).max().unwrap();
    at_speed(if longest > LONG_SCENARIO { TOP_SPEED } else { SPEED }, |speed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Watcher::watch(name, scenario.clone(), speed));
    });
}

/// The watcher of one scenario, with the resulting tracker, events and recording.
struct Watcher {
    name: String,
    scenario: Scenario,
    clock: Clock,
    start: Moment,
    tracker: SessionTracker,
    encoder: Encoder,
    /// The recording so far.
    entries: Vec<StreamEntry>,
    events: Vec<Event>,
    /// Number of connect URLs requested so far.
    copies: usize,
}

impl Watcher {
    async fn watch(name: &str, scenario: Scenario, speed: u32) {
        let clock = Clock::scaled(speed);
        let simulator = browserbase_simulator::Simulator::start(
            clock.clone(),
            scenario.clone(),
            browserbase_simulator::SimulatorOptions::default(),
        )
        .unwrap();
        let base = simulator.base_url().parse().unwrap();
        let client = Client::new(Endpoint { base }, Secret::new("bb_test_scenario_f3a9".into()));
        let (reports, mut report_receiver) = mpsc::channel::<Report>(16);
        let mut watcher = Self {
            name: name.to_owned(),
            scenario,
            start: clock.now(),
            tracker: SessionTracker::new(AlertRules::default()),
            encoder: Encoder::default(),
            entries: Vec::new(),
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
        assert_eq!(urls.len(), watcher.copies, "every connect URL is new");
        assert!(
            urls.iter().all(|url| !watcher.entries.iter().any(|entry| format!("{entry:?}").contains(url))),
            "the recording has no connect URL"
        );
        watcher.assert_replay_matches();
    }

    fn apply(&mut self, input: Option<Input>) {
        if let Some(input) = input {
            let (events, entries) =
                store::apply_and_encode(Some(&mut self.encoder), &mut self.tracker, input);
            self.events.extend(events);
            self.entries.extend(entries);
        }
    }

    /// Asserts that the recording of this run yields the same evidence for every session.
    fn assert_replay_matches(&mut self) {
        let header = StreamHeader {
            format: FORMAT_VERSION,
            version: "9.9.9".into(),
            started: self.start.wall,
            alert_rules: AlertRules::default(),
            owner_key: None,
            rates: Rates::default(),
            host: None,
            no_metadata: false,
        };
        self.entries.extend(self.encoder.finish(&self.tracker));
        let mut file = Vec::new();
        RecordingWriter::new(&mut file, &header).unwrap().write(&self.entries).unwrap();
        let recording = Recording::read(&mut file.as_slice()).unwrap();
        assert_eq!(recording.damage, None);
        let mut replayed = SessionTracker::new(recording.header.alert_rules.clone());
        recording.input_log.inputs().for_each(|(_, input)| drop(replayed.apply(input)));
        for record in self.tracker.records() {
            let version = &recording.header.version;
            let render = |tracker| evidence::render(tracker, &record.id, EvidenceOptions::new(version));
            assert_eq!(render(&replayed), render(&self.tracker), "{}", self.name);
        }
        assert_eq!(replayed.len(), self.tracker.len());
    }

    /// Copies the connect URL that the scenario wants copied, once for each report, up to [`COPIES`] times.
    fn copy(&mut self, poller: &Poller) {
        let copied = self.scenario.expectations.iter().find(|expect| expect.copied);
        if let Some(id) = copied.and_then(|expect| self.id(expect))
            && self.copies < COPIES
            && self.tracker.get(&id).is_some()
        {
            self.copies += 1;
            poller.send_command(PollerCommand::FetchConnectUrls(id));
        }
    }

    /// Releases the session that the scenario wants released, once the tracker has seen it.
    fn release(&mut self, poller: &Poller) {
        let released = self.scenario.expectations.iter().find(|expect| expect.released);
        let Some(id) = released.and_then(|expect| self.id(expect)) else { return };
        if self.tracker.get(&id).is_some_and(|record| record.release.is_none()) {
            self.apply(Some(Input::ReleaseRequested { at: self.clock.now(), id: id.clone() }));
            poller.send_command(PollerCommand::Release(id));
        }
    }

    /// Returns the monotonic time of the next check, or `None` once all expectations are met. Panics if an expectation
    /// is not met in time.
    fn next_check(&self) -> Option<Duration> {
        let now = self.clock.now();
        let elapsed = now.since(self.start);
        let mut wait: Option<Duration> = None;
        for expect in &self.scenario.expectations {
            let is_over = expect.within.0 <= elapsed;
            if let Err(unmet) = self.check(expect) {
                assert!(!is_over, "{unmet}\n{}", self.describe(expect));
            } else if is_over || !expect.requires_absence() {
                continue; // what must not happen is checked until the end, and anything else only until it happens
            }
            let left = expect.within.0.saturating_sub(elapsed);
            wait = Some(wait.map_or(left, |wait| wait.min(left)));
        }
        let wait = wait?;
        let until_deadline = self.tracker.time_until_deadline(now).unwrap_or(wait);
        Some(now.mono + wait.min(until_deadline).max(Duration::from_millis(10)))
    }

    /// Returns the id of the expectation's session.
    fn id(&self, expect: &Expectation) -> Option<SessionId> {
        let word = expect.session.as_deref()?;
        Some(testing::id(self.scenario.find_session_id(word).unwrap()))
    }

    /// Checks an expectation against the current state. Panics if something that must not happen has happened.
    ///
    /// # Errors
    ///
    /// A description of the missing event, status, verdict or phrase.
    fn check(&self, expect: &Expectation) -> Result<(), String> {
        let id = self.id(expect);
        let own_events: Vec<&EventKind> =
            self.events.iter().filter(|event| event.id == id).map(|event| &event.kind).collect();
        let event_names: Vec<&str> = own_events.iter().map(|kind| kind.name()).collect();
        let verdict = id.as_ref().and_then(|id| self.tracker.verdict(id));
        let texts = self.texts(expect);
        let unexpected =
            event_names.iter().find(|name| expect.absent_events.iter().any(|absent| absent == *name));
        if let Some(event) = unexpected {
            panic!("unexpected event “{event}”\n{}", self.describe(expect));
        }
        if let Some(phrase) =
            expect.absent_phrases.iter().find(|phrase| texts.iter().any(|it| it.contains(*phrase)))
        {
            panic!("unexpected phrase “{phrase}”\n{}", self.describe(expect));
        }
        let mut remaining = event_names.iter();
        if let Some(missing) = expect.events.iter().find(|wanted| !remaining.any(|name| name == wanted)) {
            return Err(format!("the event “{missing}” did not happen, or not in this order"));
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
                panic!("unexpected verdict\n{}", self.describe(expect))
            }
            Some(wanted) if wanted != name => return Err(format!("the verdict is not {wanted}")),
            _ => {}
        }
        match expect.phrases.iter().find(|phrase| !texts.iter().any(|it| it.contains(*phrase))) {
            Some(missing) => Err(format!("no text contains “{missing}”")),
            None => Ok(()),
        }
    }

    /// Returns the sentences of the session's events, and the texts of its verdict.
    fn texts(&self, expect: &Expectation) -> Vec<String> {
        let id = self.id(expect);
        let today = self.clock.now().wall;
        let own_events = self.events.iter().filter(|event| event.id == id);
        let mut texts: Vec<String> = own_events.map(|event| event.kind.sentence(Zone::Utc, today)).collect();
        if let Some(id) = id
            && let Some(verdict) = self.tracker.verdict(&id)
        {
            let text = verdict.text(Zone::Utc, today);
            let status = self.tracker.get(&id).unwrap().status().unwrap();
            texts.push(verdict.summary_line(status, Zone::Utc, today));
            texts.extend([text.short, text.why, text.how_sure.to_owned()]);
            texts.extend(text.what_to_do.into_iter().map(|step| step.text));
            texts.extend(text.hint.map(str::to_owned));
            texts.extend(text.ruled_out.into_iter().chain(text.end_cluster));
        }
        texts
    }

    /// Describes the actual events, verdict and texts, for a failure message.
    fn describe(&self, expect: &Expectation) -> String {
        let id = self.id(expect);
        let event_names = self.events.iter().filter(|event| event.id == id).map(|event| event.kind.name());
        format!(
            "scenario {}, session {}, {} s after the start\nevents: {}\nverdict: {}\ntexts:\n  {}",
            self.name,
            expect.session.as_deref().unwrap_or("(none)"),
            self.clock.now().since(self.start).as_secs(),
            event_names.collect::<Vec<_>>().join(", "),
            id.and_then(|id| self.tracker.verdict(&id)).map_or(NO_VERDICT, |verdict| verdict.name()),
            self.texts(expect).join("\n  "),
        )
    }
}
