use std::time::Duration;

use super::*;
use keepwatch_core::session::{ApiErrorKind, Metadata, Region, Session};
use keepwatch_core::testing::{at, id, moment, request_timing, running_session};
use keepwatch_core::tracker::{AlertRules, Input, Scope, SessionTracker};

/// Returns a session that starts and expires the given number of seconds after noon.
fn session(text: &str, started: u32, expires: u32) -> Session {
    Session { expires: Some(at(expires)), ..running_session(text, at(started), Duration::ZERO) }
}

/// Returns a session that ended with `status` the given number of seconds after noon.
fn ended(text: &str, status: Status, seconds: u32) -> Session {
    Session { status, ended: Some(at(seconds)), ..session(text, 0, 900) }
}

fn profiles(sessions: Vec<Session>) -> Profiles {
    let mut tracker = SessionTracker::new(AlertRules::default());
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

fn sorted_ids(profiles: &Profiles, column: SortColumn, reversed: bool) -> Vec<String> {
    let rows = Rows::build(profiles, Sort { column, reversed }, &criteria(""));
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

/// Returns criteria with this filter only. The filter is leaked, because [`RowCriteria`] borrows it.
fn criteria(filter: &str) -> RowCriteria<'static> {
    static ACKNOWLEDGED: std::sync::LazyLock<AcknowledgedAlerts> =
        std::sync::LazyLock::new(AcknowledgedAlerts::default);
    static MUTED: std::sync::LazyLock<MutedSessions> = std::sync::LazyLock::new(MutedSessions::default);
    let filter = Box::leak(Box::new(Filter::parse(filter).unwrap()));
    RowCriteria {
        filter,
        alerts_only: false,
        muted: &MUTED,
        acknowledged: &ACKNOWLEDGED,
        with_details: None,
        max_pinned: 0,
    }
}

#[test]
fn time_left_sorts_by_group_then_time() {
    let mut profiles = profiles(vec![
        ended("old", Status::Completed, 10),
        session("late", 0, 900),
        Session { expires: None, ..session("endless", 0, 0) },
        ended("new", Status::Error, 20),
        session("soon", 0, 100),
        Session { status: Status::Pending, ..session("pending", 0, 50) },
        session("overdue", 0, 0),
        Session { ended: None, ..ended("without-end-time", Status::Completed, 0) },
    ]);
    profiles.apply(
        ProfileId::FIRST,
        Input::SessionsNamed { at: moment(0), ids: vec![id("waiting"), id("not-found")] },
    );
    apply_not_found(&mut profiles, "not-found");
    let expected = [
        "overdue",
        "soon",
        "late",
        "endless",
        "pending",
        "not-found",
        "waiting",
        "new",
        "old",
        "without-end-time",
    ];
    assert_eq!(sorted_ids(&profiles, SortColumn::TimeLeft, false), expected);
}

#[test]
fn ties_sort_by_id() {
    let profiles = profiles(["d", "b", "a", "c"].map(|text| session(text, 0, 900)).to_vec());
    for column in [
        SortColumn::TimeLeft,
        SortColumn::Status,
        SortColumn::Owner,
        SortColumn::Region,
        SortColumn::Age,
        SortColumn::Proxy,
    ] {
        for reversed in [false, true] {
            assert_eq!(
                sorted_ids(&profiles, column, reversed),
                ["a", "b", "c", "d"],
                "ties sort by id: {column:?}"
            );
        }
    }
    let by_session = sorted_ids(&profiles, SortColumn::Session, true);
    assert_eq!(by_session, ["d", "c", "b", "a"], "the order by id itself can be reversed");
}

#[test]
fn columns_sort_by_their_values() {
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
fn owner_key_overrides_other_metadata() {
    let mut tracker = SessionTracker::new(AlertRules::default())
        .with_owner_key(Some(keepwatch_core::session::MetadataPath::parse("run.id").unwrap()));
    let metadata = Some(Metadata::new(r#"{"owner":"growth","run":{"id":"c-881"}}"#));
    let session = Session { metadata, ..session("a", 0, 900) };
    tracker.apply(Input::SessionsReceived {
        at: request_timing(1, 1),
        scope: Scope::Session(id("a")),
        sessions: vec![session],
        malformed: 0,
    });
    assert_eq!(
        tracker.get(&id("a")).and_then(|record| record.owner.as_ref()).map(Untrusted::raw),
        Some("c-881")
    );
}

#[test]
fn filter_changes_rows_but_not_counts() {
    let metadata = Some(Metadata::new(r#"{"env":"Staging"}"#));
    let profiles = profiles(vec![
        Session { metadata, ..session("AbC", 0, 900) },
        session("abd", 0, 900),
        ended("abe", Status::Completed, 1),
        ended("abf", Status::TimedOut, 1),
        ended("abg", Status::Error, 1),
        Session { status: Status::from_api("NEW"), ..session("abh", 0, 900) },
        Session { status: Status::Pending, ..session("abi", 0, 900) },
    ]);
    let row_count =
        |profiles: &Profiles, filter: &str| Rows::build(profiles, Sort::default(), &criteria(filter)).len();
    // Each filter, and the number of rows that match it.
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
        assert_eq!(row_count(&profiles, filter), count, "{filter}");
        let counts = Rows::build(&profiles, Sort::default(), &criteria(filter)).counts().clone();
        let by_status =
            [counts.running, counts.pending, counts.completed, counts.timed_out, counts.error, counts.other];
        assert_eq!(
            (by_status, counts.total()),
            ([2, 1, 1, 1, 1, 1], 7),
            "counts ignore the filter: {filter}"
        );
    }
}

#[test]
fn not_found_sessions_do_not_count_as_running() {
    let mut profiles = profiles(vec![session("AbC", 0, 900), session("abd", 0, 900)]);
    profiles
        .apply(ProfileId::FIRST, Input::SessionsNamed { at: moment(0), ids: vec![id("abd"), id("waiting")] });
    // `abc` is not on record: ids are case-sensitive.
    ["abc", "abd", "AbC"].into_iter().for_each(|text| apply_not_found(&mut profiles, text));
    let counts = Rows::build(&profiles, Sort::default(), &criteria("")).counts().clone();
    assert_eq!((counts.running, counts.not_found, counts.no_response), (0, 2, 1));
}

#[test]
fn rows_are_found_by_index_or_session() {
    let rows = Rows::build(
        &profiles(vec![session("a", 0, 100), session("b", 0, 200)]),
        Sort::default(),
        &criteria(""),
    );
    assert_eq!((rows.row_of(&id("b")), rows.row_of(&id("z"))), (Some(1), None));
    assert_eq!((rows.get(1).map(|id| id.raw()), rows.get(2)), (Some("b"), None));
    assert_eq!((rows.len(), rows.is_empty(), rows.visible(1, 9).count()), (2, false, 1));
}

#[test]
fn urgent_alerts_are_pinned_up_to_the_limit() {
    // "left-5m" has a warning about the time left; "left-1m" and "failed" have critical alerts.
    let profiles = profiles(vec![
        session("calm", 0, 3600),
        session("left-5m", 0, 301),
        ended("failed", Status::Error, 1),
        session("left-1m", 0, 61),
        ended("done", Status::Completed, 1),
    ]);
    let rows =
        |max_pinned| Rows::build(&profiles, Sort::default(), &RowCriteria { max_pinned, ..criteria("") });
    let ids =
        |rows: &Rows| -> Vec<String> { rows.visible(0, usize::MAX).map(|id| id.raw().to_owned()).collect() };
    let usual = ["left-1m", "left-5m", "calm", "done", "failed"];
    assert_eq!(ids(&rows(0)), usual);
    assert_eq!((rows(0).pinned(), rows(0).unpinned_alerts()), (0, 3));
    assert_eq!(ids(&rows(9)), ["failed", "left-1m", "left-5m", "calm", "done"]);
    let limited = rows(1);
    assert_eq!(ids(&limited), ["failed", "left-1m", "left-5m", "calm", "done"]);
    assert_eq!((limited.pinned(), limited.unpinned_alerts()), (1, 2));
    assert_eq!([0, 2, 3].map(|top| limited.alerts_out_of_view(top, 3)), [0, 1, 2]);
    let reversed = Sort { reversed: true, ..Sort::default() };
    let reversed = Rows::build(&profiles, reversed, &RowCriteria { max_pinned: 1, ..criteria("") });
    assert_eq!(ids(&reversed), ["failed", "done", "calm", "left-5m", "left-1m"]);
}
