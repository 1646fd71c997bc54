use std::time::Duration;

use super::*;
use keepwatch_core::session::{ApiErrorKind, Metadata, Region, Session};
use keepwatch_core::testing::{at as t, id, moment, request_timing, running_session};
use keepwatch_core::tracker::{AlertThresholds, Input, Scope, SessionTracker};

/// A session that starts and expires so many seconds after noon.
fn session(text: &str, started: u32, expires: u32) -> Session {
    Session { expires: Some(t(expires)), ..running_session(text, t(started), Duration::ZERO) }
}

fn ended(text: &str, status: Status, at: u32) -> Session {
    Session { status, ended: Some(t(at)), ..session(text, 0, 900) }
}

fn profiles(sessions: Vec<Session>) -> Profiles {
    let mut tracker = SessionTracker::new(AlertThresholds::default());
    for session in sessions {
        let scope = Scope::Session(session.id.clone());
        tracker.apply(Input::SessionsReceived {
            at: request_timing(1, 1),
            scope,
            sessions: vec![session],
            malformed: 0,
        });
    }
    tracker.into()
}

fn sorted_ids(profiles: &Profiles, by: SortColumn, reversed: bool) -> Vec<String> {
    let rows = Rows::build(profiles, Sort { column: by, reversed }, &criteria(""));
    rows.visible(0, usize::MAX).map(|id| id.raw().to_owned()).collect()
}

fn apply_not_found(profiles: &mut Profiles, text: &str) {
    let input = Input::SessionNotFound {
        at: request_timing(2, 2),
        id: id(text),
        error: ApiErrorKind::NotFound.into(),
        next: None,
    };
    profiles.apply(ProfileId::FIRST, input);
}

/// All that have these words.
fn criteria(words: &str) -> RowCriteria<'static> {
    static KNOWN: std::sync::LazyLock<AcknowledgedAlerts> =
        std::sync::LazyLock::new(AcknowledgedAlerts::default);
    static MUTED: std::sync::LazyLock<MutedSessions> = std::sync::LazyLock::new(MutedSessions::default);
    let filter = Box::leak(Box::new(Filter::parse(words).unwrap()));
    RowCriteria { filter, alerts_only: false, muted: &MUTED, acknowledged: &KNOWN, pinned: None }
}

#[test]
fn what_ends_next_comes_first_and_what_has_ended_comes_last_the_newest_end_first() {
    let mut profiles = profiles(vec![
        ended("old", Status::Completed, 10),
        session("late", 0, 900),
        Session { expires: None, ..session("endless", 0, 0) },
        ended("new", Status::Error, 20),
        session("soon", 0, 100),
        Session { status: Status::Pending, ..session("pending", 0, 50) },
        session("overdue", 0, 0),
        Session { ended: None, ..ended("when", Status::Completed, 0) },
    ]);
    profiles.apply(
        ProfileId::FIRST,
        Input::SessionsNamed { at: moment(0), ids: vec![id("awaited"), id("absent")] },
    );
    apply_not_found(&mut profiles, "absent");
    let expected =
        ["overdue", "soon", "late", "endless", "pending", "absent", "awaited", "new", "old", "when"];
    assert_eq!(sorted_ids(&profiles, SortColumn::TimeLeft, false), expected);
}

#[test]
fn ties_go_by_the_id_in_both_directions_so_that_rows_never_jump() {
    let profiles = profiles(["d", "b", "a", "c"].map(|text| session(text, 0, 900)).to_vec());
    for by in [
        SortColumn::TimeLeft,
        SortColumn::Status,
        SortColumn::Owner,
        SortColumn::Region,
        SortColumn::Age,
        SortColumn::Proxy,
    ] {
        for reversed in [false, true] {
            assert_eq!(sorted_ids(&profiles, by, reversed), ["a", "b", "c", "d"], "{by:?}");
        }
    }
    assert_eq!(sorted_ids(&profiles, SortColumn::Session, true), ["d", "c", "b", "a"]);
}

#[test]
fn each_column_sorts_as_it_reads() {
    let owner = |name: &str| Some(Metadata::new(&format!(r#"{{"name":"{name}"}}"#)));
    let profiles = profiles(vec![
        Session { proxy_bytes: Some(5), metadata: owner("z"), ..session("a", 30, 900) },
        Session { proxy_bytes: None, region: None, ..session("b", 10, 900) },
        Session {
            proxy_bytes: Some(-7),
            region: Some(Region::EuCentral1),
            metadata: owner("y"),
            ..session("c", 20, 900)
        },
    ]);
    assert_eq!(sorted_ids(&profiles, SortColumn::Proxy, false), ["a", "c", "b"]);
    assert_eq!(sorted_ids(&profiles, SortColumn::Owner, false), ["c", "a", "b"]);
    assert_eq!(sorted_ids(&profiles, SortColumn::Region, false), ["c", "a", "b"]);
    assert_eq!(sorted_ids(&profiles, SortColumn::Age, false), ["a", "c", "b"]);
    assert_eq!(sorted_ids(&profiles, SortColumn::Age, true), ["b", "c", "a"]);
}

#[test]
fn an_owner_key_decides_the_owner_before_names_do() {
    let mut tracker = SessionTracker::new(AlertThresholds::default())
        .with_owner_key(Some(keepwatch_core::session::MetadataPath::parse("run.id").unwrap()));
    let metadata = Some(Metadata::new(r#"{"owner":"growth","run":{"id":"c-881"}}"#));
    let session = Session { metadata, ..session("a", 0, 900) };
    tracker.apply(Input::SessionsReceived {
        at: request_timing(1, 1),
        scope: Scope::Session(id("a")),
        sessions: vec![session],
        malformed: 0,
    });
    assert_eq!(tracker.get(&id("a")).and_then(|it| it.owner.as_ref()).map(|it| it.raw()), Some("c-881"));
}

#[test]
fn every_word_of_the_filter_must_be_there_in_any_case_and_counts_are_of_all() {
    let metadata = Some(Metadata::new(r#"{"env":"Staging"}"#));
    let mut profiles = profiles(vec![
        Session { metadata, ..session("AbC", 0, 900) },
        session("abd", 0, 900),
        ended("abe", Status::Completed, 1),
        ended("abf", Status::TimedOut, 1),
        ended("abg", Status::Error, 1),
        Session { status: Status::from_api("NEW"), ..session("abh", 0, 900) },
        Session { status: Status::Pending, ..session("abi", 0, 900) },
    ]);
    let found =
        |profiles: &Profiles, filter: &str| Rows::build(profiles, Sort::default(), &criteria(filter)).len();
    for (filter, count) in [
        ("", 7),
        ("  ", 7),
        ("ab", 7),
        ("ABC", 1),
        ("ab staging", 1),
        ("run us-west", 2),
        ("running", 2),
        ("zzz", 0),
    ] {
        assert_eq!(found(&profiles, filter), count, "{filter}");
        let counts = Rows::build(&profiles, Sort::default(), &criteria(filter)).counts().clone();
        let of =
            [counts.running, counts.pending, counts.completed, counts.timed_out, counts.error, counts.other];
        assert_eq!((of, counts.total()), ([2, 1, 1, 1, 1, 1], 7));
    }
    profiles
        .apply(ProfileId::FIRST, Input::SessionsNamed { at: moment(0), ids: vec![id("abd"), id("awaited")] });
    ["abc", "abd", "AbC"].into_iter().for_each(|text| apply_not_found(&mut profiles, text));
    let counts = Rows::build(&profiles, Sort::default(), &criteria("")).counts().clone();
    let does_not_run = (counts.running, counts.other, counts.not_found, counts.no_response);
    assert_eq!(does_not_run, (0, 1, 2, 1), "what the API does not know does not run");
}

#[test]
fn rows_are_found_by_place_and_by_session() {
    let rows = Rows::build(
        &profiles(vec![session("a", 0, 100), session("b", 0, 200)]),
        Sort::default(),
        &criteria(""),
    );
    assert_eq!((rows.row_of(&id("b")), rows.row_of(&id("z"))), (Some(1), None));
    assert_eq!((rows.get(1).map(|id| id.raw()), rows.get(2)), (Some("b"), None));
    assert_eq!((rows.len(), rows.is_empty(), rows.visible(1, 9).count()), (2, false, 1));
}
