//! Tests that encode inputs, write them to a recording, read the recording, and replay it.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use keepwatch_core::clock::saturating_add;
use keepwatch_core::session::{ApiErrorKind, List, Metadata, Session, Status};
use keepwatch_core::testing::inputs::{StepClocks, step};
use keepwatch_core::testing::{id, noon, request_timing, running_session};
use keepwatch_core::tracker::cost::Rates;
use keepwatch_core::tracker::evidence;
use keepwatch_core::tracker::{AlertRules, Input, Scope, SessionTracker};

/// A tracker and its encoder, and the entries of the inputs that were applied so far.
#[derive(Default)]
struct EncodedTracker {
    tracker: SessionTracker,
    encoder: Encoder,
    entries: Vec<StreamEntry>,
}

impl EncodedTracker {
    fn apply(&mut self, input: Input) {
        let snapshot = InputSnapshot::new(&input);
        let applied = self.tracker.apply(input);
        self.entries.extend(self.encoder.encode(snapshot, &self.tracker, &applied));
    }

    fn finish(&mut self) {
        self.entries.extend(self.encoder.finish(&self.tracker));
    }

    /// Writes the entries to a recording, reads it, and replays it through a new tracker.
    fn replay(&self) -> SessionTracker {
        let recording = Recording::read(&mut self.to_recording().as_slice()).unwrap();
        assert_eq!(recording.damage, None);
        let mut tracker = SessionTracker::default();
        for (_, input) in recording.input_log.inputs() {
            tracker.apply(input);
        }
        tracker
    }

    fn to_recording(&self) -> Vec<u8> {
        let mut file = Vec::new();
        RecordingWriter::new(&mut file, &header()).unwrap().write(&self.entries).unwrap();
        file
    }
}

pub(crate) fn header() -> StreamHeader {
    StreamHeader {
        format: FORMAT_VERSION,
        version: "0.1.0".into(),
        started: noon(),
        alert_rules: AlertRules::default(),
        owner_key: None,
        rates: Rates::default(),
        host: None,
        no_metadata: false,
    }
}

fn session(id: &str) -> Session {
    running_session(id, noon(), Duration::from_secs(86_400))
}

fn list_response(second: u32, sessions: Vec<Session>) -> Input {
    Input::SessionsReceived {
        at: request_timing(second, second),
        scope: Scope::List(List::Running),
        sessions,
        malformed: 0,
    }
}

fn session_response(second: u32, session: Session) -> Input {
    let scope = Scope::Session(session.id.clone());
    Input::SessionsReceived {
        at: request_timing(second, second),
        scope,
        sessions: vec![session],
        malformed: 0,
    }
}

/// Asserts that both trackers show the same sessions, events and evidence.
fn assert_same_state(live: &SessionTracker, replayed: &SessionTracker) {
    assert_eq!(live.len(), replayed.len());
    assert_eq!(live.last_input_moment(), replayed.last_input_moment());
    for record in live.records() {
        let Some(other) = replayed.get(&record.id) else { panic!("the replay has {:?}", record.id) };
        let events = |tracker: &SessionTracker| -> Vec<String> {
            tracker.newest_events(&record.id).map(|(_, event)| format!("{event:?}")).collect()
        };
        let (live_events, replayed_events) = (events(live), events(replayed));
        let difference = live_events.iter().zip(&replayed_events).find(|(live, replayed)| live != replayed);
        assert!(
            live_events == replayed_events,
            "{:?}: {} live and {} replayed events, first difference: {difference:#?}",
            record.id,
            live_events.len(),
            replayed_events.len()
        );
        assert_eq!(record.session, other.session);
        assert_eq!(record.presence, other.presence);
        assert_eq!(
            (record.first_response(), record.last_response(), record.last_alive()),
            (other.first_response(), other.last_response(), other.last_alive())
        );
        assert_eq!(
            (record.responses, record.longest_gap),
            (other.responses, other.longest_gap),
            "{:?}",
            record.id
        );
        assert_eq!(record.ended, other.ended);
        assert_eq!(format!("{:?}", record.traffic), format!("{:?}", other.traffic));
        assert_eq!(format!("{:?}", record.traffic_activity), format!("{:?}", other.traffic_activity));
        let alerts = |record: &keepwatch_core::tracker::Record| {
            record.alerts.iter().map(|raised| (raised.alert, raised.at)).collect::<Vec<_>>()
        };
        assert_eq!(alerts(record), alerts(other));
        let evidence =
            |tracker| evidence::render(tracker, &record.id, evidence::EvidenceOptions::new("0.1.0"));
        assert_eq!(evidence(live), evidence(replayed));
    }
}

proptest! {
    // Fewer cases than usual, because each takes long. `PROPTEST_CASES=4000` runs more.
    #![proptest_config(keepwatch_core::testing::few_cases())]

    /// Each step is followed by up to four equal responses, `ms` milliseconds apart, which the encoder stores as a
    /// repeat.
    #[test]
    fn replay_rebuilds_same_tracker(steps in vec((step(), 0_usize..5, 500_u64..20_000), 1..30)) {
        let (mut clocks, mut live) = (StepClocks::start(), EncodedTracker::default());
        for (step, repeats, ms) in steps {
            let input = clocks.timed_input(step);
            live.apply(input.clone());
            for _ in 0..repeats {
                if let Some(input) = clocks.repeat_response(&input, ms) {
                    live.apply(input);
                }
            }
        }
        live.finish();
        assert_same_state(&live.tracker, &live.replay());
    }

    /// A recording that was truncated or has one wrong byte is refused, or is read with no more steps than
    /// before.
    #[test]
    fn damaged_recording_yields_no_extra_steps(offset in 0_usize..4000, is_overwritten in any::<bool>()) {
        let mut live = EncodedTracker::default();
        for second in 0..20 {
            live.apply(session_response(second, Session { proxy_bytes: Some(i64::from(second)), ..session("a") }));
        }
        live.finish();
        let mut bytes = live.to_recording();
        let step_count = Recording::read(&mut bytes.as_slice()).unwrap().input_log.len();
        let offset = offset.min(bytes.len() - 1);
        if is_overwritten { bytes[offset] = b'\x01' } else { bytes.truncate(offset) }
        match Recording::read(&mut bytes.as_slice()) {
            Ok(recording) => prop_assert!(recording.input_log.len() <= step_count),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

#[test]
fn hour_of_equal_responses_takes_few_entries() {
    let mut live = EncodedTracker::default();
    for second in (0..3600).step_by(3) {
        live.apply(list_response(second, (0..100).map(|number| session(&format!("s{number}"))).collect()));
    }
    live.finish();
    let closed: Vec<&StreamEntry> = live.entries.iter().filter(|entry| !entry.is_open).collect();
    // One entry for the first list, and one repeat for every ten minutes.
    assert!(closed.len() < 12, "{} entries", closed.len());
    let replayed = live.replay();
    assert_same_state(&live.tracker, &replayed);
    let record = replayed.get(&id("s7")).unwrap();
    assert_eq!((record.responses, record.longest_gap), (1200, Duration::from_secs(3)));
}

#[test]
fn unchanged_list_members_are_not_rewritten() {
    let mut live = EncodedTracker::default();
    // A thousand sessions, of which number 500 has this traffic.
    let sessions = |traffic: i64| -> Vec<Session> {
        (0..1000)
            .map(|number| {
                let bytes = if number == 500 { traffic } else { 0 };
                Session { proxy_bytes: Some(bytes), ..session(&format!("s{number}")) }
            })
            .collect()
    };
    live.apply(list_response(0, sessions(0)));
    live.apply(list_response(3, sessions(0)));
    let old_size = live.to_recording().len();
    // One session changes, another leaves the list, and then it returns.
    live.apply(list_response(6, sessions(900)));
    let mut fewer = sessions(900);
    fewer.remove(3);
    live.apply(list_response(9, fewer));
    live.apply(list_response(12, sessions(900)));
    live.finish();
    let added = live.to_recording().len() - old_size;
    // The thousand sessions in full would take far more.
    assert!(added < 3000, "{added} bytes");
    assert_same_state(&live.tracker, &live.replay());
}

#[test]
fn restarted_stream_needs_no_earlier_entries() {
    let mut live = EncodedTracker::default();
    live.apply(list_response(0, vec![session("a"), session("b")]));
    assert!(live.encoder.restart().is_empty(), "no repeat is open");
    live.entries.clear();
    live.apply(list_response(3, vec![session("a"), session("b")]));
    live.apply(session_response(4, Session { proxy_bytes: Some(7), ..session("b") }));
    live.finish();
    let replayed = live.replay();
    assert_eq!(replayed.len(), 2);
    let b = replayed.get(&id("b")).unwrap();
    assert_eq!(b.session.as_ref().unwrap().proxy_bytes, Some(7));
}

#[test]
fn hidden_metadata_is_not_written() {
    let hides_metadata = true;
    let encoder = Encoder::new(None, hides_metadata);
    let mut live = EncodedTracker { encoder, ..EncodedTracker::default() };
    let metadata = Some(Metadata::new(r#"{"owner":"canary-5f3a"}"#));
    live.apply(session_response(0, Session { metadata, ..session("a") }));
    live.finish();
    let file = String::from_utf8(live.to_recording()).unwrap();
    assert!(!file.contains("canary-5f3a") && file.contains("\"a\""), "{file}");
}

#[test]
fn end_after_long_repeat_is_replayed() {
    let mut live = EncodedTracker::default();
    for second in (0..300).step_by(3) {
        live.apply(session_response(second, session("a")));
    }
    live.apply(Input::RequestFailed {
        at: request_timing(301, 301),
        scope: Scope::Session(id("a")),
        error: ApiErrorKind::Timeout.into(),
        next: None,
    });
    let ended = Some(saturating_add(noon(), Duration::from_secs(299)));
    live.apply(session_response(303, Session { status: Status::Completed, ended, ..session("a") }));
    live.finish();
    assert_same_state(&live.tracker, &live.replay());
}

#[test]
fn duplicate_sequence_number_is_damage() {
    let mut live = EncodedTracker::default();
    for second in 0..9 {
        live.apply(session_response(
            second,
            Session { proxy_bytes: Some(i64::from(second)), ..session("a") },
        ));
    }
    live.finish();
    let text = String::from_utf8(live.to_recording()).unwrap();
    let duplicated = text.replacen("{\"n\":5,", "{\"n\":4,", 1);
    let recording = Recording::read(&mut duplicated.as_bytes()).unwrap();
    let damage = recording.damage.unwrap();
    // Line 1 is the header. Lines 2 to 6 have the numbers 0 to 4.
    assert_eq!(damage.line, 7);
    assert!(damage.to_string().contains("place 4"), "{}", damage.to_string());
    assert_eq!(recording.input_log.len(), 5);
}

#[test]
fn damage_hides_parser_messages() {
    let mut live = EncodedTracker::default();
    live.apply(session_response(1, session("a")));
    let text = String::from_utf8(live.to_recording()).unwrap();
    for (line, reason) in [
        ("[1,2]", "no entry of a recording"),
        ("{\"n\":7}", "no entry"),
        ("what", "no JSON"),
        ("{\"n\":", "ends within"),
    ] {
        let recording = Recording::read(&mut format!("{text}{line}\n").as_bytes()).unwrap();
        let sentence = recording.damage.unwrap().to_string();
        // The parser's own messages name the column.
        assert!(sentence.contains(reason) && !sentence.contains("column"), "{sentence}");
    }
}

#[test]
fn refused_recording_has_plain_error() {
    for (text, expected) in [
        ("", "is empty"),
        ("{\"keepwatch_recording\":1,\"version\":\"0.1", "header is damaged"),
        ("hello\n", "no recording"),
        ("{\"n\":1}\n", "no recording"),
        ("{\"keepwatch_recording\":2,\"version\":\"9.9.9\",\"new\":true}\n", "made by keepwatch 9.9.9"),
        ("{\"keepwatch_recording\":1}\n", "header is damaged"),
        (&recording_with_price("1e308"), "header is damaged"),
        (&recording_with_price("-1.0"), "header is damaged"),
    ] {
        let error = Recording::read(&mut text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
}

/// Returns a recording whose header has this price for an hour of browser time.
fn recording_with_price(hour: &str) -> String {
    let json = serde_json::to_string(&header()).unwrap();
    json.replacen("\"hour\":0.12", &format!("\"hour\":{hour}"), 1)
}

#[test]
fn header_version_is_sanitised() {
    let version = "9\u{1b}]52;c;UFdO\u{7}\nkeepwatch: forged\n".into();
    let mut recorded = Vec::new();
    RecordingWriter::new(&mut recorded, &StreamHeader { version, ..header() }).unwrap();
    let read = Recording::read(&mut recorded.as_slice()).unwrap();
    assert!(!read.header.version.contains(char::is_control), "{:?}", read.header.version);
}
