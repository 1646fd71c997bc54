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
use keepwatch_core::tracker::{AlertThresholds, Input, Scope, SessionTracker};

/// A fleet, and what is written of its inputs.
#[derive(Default)]
struct EncodedTracker {
    tracker: SessionTracker,
    encoder: Encoder,
    entries: Vec<StreamEntry>,
}

impl EncodedTracker {
    fn apply(&mut self, input: Input) {
        let before = InputSnapshot::new(&input);
        let applied = self.tracker.apply(input);
        self.entries.extend(self.encoder.encode(before, &self.tracker, &applied));
    }

    fn finish(&mut self) {
        self.entries.extend(self.encoder.finish(&self.tracker));
    }

    /// The fleet that the lines make, by way of a file.
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

pub(super) fn header() -> StreamHeader {
    StreamHeader {
        format: FORMAT_VERSION,
        version: "0.1.0".into(),
        started: noon(),
        thresholds: AlertThresholds::default(),
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

/// Everything that a reader could learn of one fleet is so in the other.
fn assert_same_state(live: &SessionTracker, again: &SessionTracker) {
    assert_eq!(live.len(), again.len());
    assert_eq!(live.latest_moment(), again.latest_moment());
    for record in live.records() {
        let other = again.get(&record.id).unwrap_or_else(|| panic!("{:?} is lost", record.id));
        let told = |tracker: &SessionTracker| -> Vec<String> {
            tracker.newest_events(&record.id).map(|(_, event)| format!("{event:?}")).collect()
        };
        let (ours, theirs) = (told(live), told(again));
        let differs = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
        assert!(ours == theirs, "{:?}: {} and {} events, {differs:#?}", record.id, ours.len(), theirs.len());
        assert_eq!(record.session, other.session);
        assert_eq!(record.presence, other.presence);
        assert_eq!(
            (record.first(), record.last(), record.last_alive()),
            (other.first(), other.last(), other.last_alive())
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
        let flags = |record: &keepwatch_core::tracker::Record| {
            record.alerts.iter().map(|(flag, _)| *flag).collect::<Vec<_>>()
        };
        assert_eq!(flags(record), flags(other));
        let evidence =
            |tracker| evidence::render(tracker, &record.id, evidence::EvidenceOptions::new("0.1.0"));
        assert_eq!(evidence(live), evidence(again));
    }
}

proptest! {
    // A case takes long, so there are fewer than usual. `PROPTEST_CASES=4000` runs more.
    #![proptest_config(keepwatch_core::testing::few_cases())]

    #[test]
    fn what_is_written_makes_the_same_fleet(steps in vec((step(), 0_usize..5, 500_u64..20_000), 1..30)) {
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

    /// Of whatever there is of a file, the beginning is read.
    #[test]
    fn a_file_that_is_cut_or_spoilt_is_read_up_to_there(at in 0_usize..4000, spoils in any::<bool>()) {
        let mut live = EncodedTracker::default();
        for second in 0..20 {
            live.apply(session_response(second, Session { proxy_bytes: Some(i64::from(second)), ..session("a") }));
        }
        live.finish();
        let mut file = live.to_recording();
        let whole = Recording::read(&mut file.as_slice()).unwrap().input_log.len();
        let at = at.min(file.len() - 1);
        if spoils { file[at] = b'\x01' } else { file.truncate(at) }
        match Recording::read(&mut file.as_slice()) {
            Ok(recording) => prop_assert!(recording.input_log.len() <= whole),
            Err(refused) => prop_assert!(!refused.to_string().is_empty()),
        }
    }
}

#[test]
fn an_hour_of_the_same_replies_is_a_few_runs_and_loses_none_of_them() {
    let mut live = EncodedTracker::default();
    for second in (0..3600).step_by(3) {
        live.apply(list_response(second, (0..100).map(|number| session(&format!("s{number}"))).collect()));
    }
    live.finish();
    let closed: Vec<&StreamEntry> = live.entries.iter().filter(|line| !line.is_open).collect();
    assert!(closed.len() < 12, "{} lines", closed.len());
    let again = live.replay();
    assert_same_state(&live.tracker, &again);
    let record = again.get(&id("s7")).unwrap();
    assert_eq!((record.responses, record.longest_gap), (1200, Duration::from_secs(3)));
}

#[test]
fn of_a_list_only_what_is_new_is_written() {
    let mut live = EncodedTracker::default();
    let sessions = |moved: i64| -> Vec<Session> {
        (0..1000)
            .map(|number| {
                let bytes = if number == 500 { moved } else { 0 };
                Session { proxy_bytes: Some(bytes), ..session(&format!("s{number}")) }
            })
            .collect()
    };
    live.apply(list_response(0, sessions(0)));
    live.apply(list_response(3, sessions(0)));
    let before = live.to_recording().len();
    live.apply(list_response(6, sessions(900)));
    let mut fewer = sessions(900);
    fewer.remove(3);
    live.apply(list_response(9, fewer));
    live.apply(list_response(12, sessions(900)));
    live.finish();
    assert!(live.to_recording().len() - before < 3000, "{} bytes", live.to_recording().len() - before);
    assert_same_state(&live.tracker, &live.replay());
}

#[test]
fn a_stream_that_is_begun_anew_can_be_read_from_there() {
    let mut live = EncodedTracker::default();
    live.apply(list_response(0, vec![session("a"), session("b")]));
    assert!(live.encoder.restart().is_empty());
    live.entries.clear();
    live.apply(list_response(3, vec![session("a"), session("b")]));
    live.apply(session_response(4, Session { proxy_bytes: Some(7), ..session("b") }));
    live.finish();
    let again = live.replay();
    assert_eq!(again.len(), 2);
    let b = again.get(&id("b")).unwrap();
    assert_eq!(b.session.as_ref().unwrap().proxy_bytes, Some(7));
}

#[test]
fn without_metadata_none_is_written() {
    let mut live = EncodedTracker { encoder: Encoder::new(None, true), ..EncodedTracker::default() };
    let attached = Some(Metadata::new(r#"{"owner":"canary-5f3a"}"#));
    live.apply(session_response(0, Session { metadata: attached, ..session("a") }));
    live.finish();
    let file = String::from_utf8(live.to_recording()).unwrap();
    assert!(!file.contains("canary-5f3a") && file.contains("\"a\""), "{file}");
}

#[test]
fn an_end_is_what_it_was_however_long_the_run_before_it() {
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
fn a_place_that_is_told_twice_is_damage() {
    let mut live = EncodedTracker::default();
    for second in 0..9 {
        live.apply(session_response(
            second,
            Session { proxy_bytes: Some(i64::from(second)), ..session("a") },
        ));
    }
    live.finish();
    let text = String::from_utf8(live.to_recording()).unwrap();
    let twice = text.replacen("{\"n\":5,", "{\"n\":4,", 1);
    let recording = Recording::read(&mut twice.as_bytes()).unwrap();
    let damage = recording.damage.unwrap();
    assert_eq!(damage.line, 7);
    assert!(damage.to_string().contains("place 4"), "{}", damage.to_string());
    assert_eq!(recording.input_log.len(), 5);
}

#[test]
fn damage_is_told_in_words_of_ours() {
    let mut live = EncodedTracker::default();
    live.apply(session_response(1, session("a")));
    let text = String::from_utf8(live.to_recording()).unwrap();
    for (line, why) in [
        ("[1,2]", "no entry of a recording"),
        ("{\"n\":7}", "no entry"),
        ("what", "no JSON"),
        ("{\"n\":", "ends within"),
    ] {
        let recording = Recording::read(&mut format!("{text}{line}\n").as_bytes()).unwrap();
        let sentence = recording.damage.unwrap().to_string();
        assert!(sentence.contains(why) && !sentence.contains("column"), "{sentence}");
    }
}

#[test]
fn a_newer_format_and_what_is_no_recording_are_refused_in_a_sentence() {
    for (text, said) in [
        ("", "is empty"),
        ("{\"keepwatch_recording\":1,\"version\":\"0.1", "header is damaged"),
        ("hello\n", "no recording"),
        ("{\"n\":1}\n", "no recording"),
        ("{\"keepwatch_recording\":2,\"version\":\"9.9.9\",\"new\":true}\n", "made by keepwatch 9.9.9"),
        ("{\"keepwatch_recording\":1}\n", "header is damaged"),
        (&recording_with_price("1e308"), "header is damaged"),
        (&recording_with_price("-1.0"), "header is damaged"),
    ] {
        let refused = Recording::read(&mut text.as_bytes()).unwrap_err();
        assert!(refused.to_string().contains(said), "{text}: {refused}");
    }
}

/// A recording with this price of an hour.
fn recording_with_price(hour: &str) -> String {
    let json = serde_json::to_string(&header()).unwrap();
    json.replacen("\"hour\":0.12", &format!("\"hour\":{hour}"), 1)
}

#[test]
fn the_version_that_a_recordings_header_names_is_made_harmless_as_it_is_read() {
    let version = "9\u{1b}]52;c;UFdO\u{7}\nkeepwatch: forged\n".into();
    let mut recorded = Vec::new();
    RecordingWriter::new(&mut recorded, &StreamHeader { version, ..header() }).unwrap();
    let read = Recording::read(&mut recorded.as_slice()).unwrap();
    assert!(!read.header.version.contains(char::is_control), "{:?}", read.header.version);
}
