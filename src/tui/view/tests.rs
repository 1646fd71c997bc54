//! Tests the screen as a whole: a snapshot of every state at every size, and properties that hold for all of them.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};

use super::fixture::{
    RELEASED_ID, SIZES, ago, apply_inputs, at, buffer_styles, buffer_text, calm, draw_to_buffer, empty_model,
    failed_poll, list_input, now, odd, resize, select, story, timing, two_profiles,
};
use super::*;
use crate::api::Query;
use crate::api::{RateLimit, SessionList};
use crate::poll::{Report, Request, ResponseBody};
use crate::tui::{
    Absence, AbsenceKind, DetailsSection, EventRef, Focus, Notice, NoticeLevel, Pane, ProfileId, ProfileInfo,
    RecentRequestState, RecentSession, ScrollExtent, Sort, SortColumn, Theme,
};
use keepwatch_core::filter::Filter;
use keepwatch_core::session::Targets;
use keepwatch_core::session::{
    ApiError, ApiErrorKind, List, Metadata, Project, Secret, Session, SessionId, Status,
};
use keepwatch_core::testing::{id, running_session};
use keepwatch_core::text::{self, Untrusted};
use keepwatch_core::tracker::{AlertRule, AlertRules, AlertThresholds, EarlyLimit, Input, Scope};

mod cost;

type NamedModel = (&'static str, fn() -> Model);

/// All states that look different from each other, with the names of their snapshots.
const STATES: [NamedModel; 56] = [
    ("calm", calm),
    ("odd", odd),
    ("ended", ended),
    ("details", || with_focus(Focus::Pane(Pane::FullDetails(DetailsSection::Fields)))),
    ("lower", || {
        with_change(with_focus(Focus::Pane(Pane::LowerDetails(DetailsSection::Fields))), |model| {
            model.scroll.set_positions(3, None)
        })
    }),
    ("story", story),
    ("story_details", || {
        with_change(story(), |model| model.focus = Focus::Pane(Pane::FullDetails(DetailsSection::Fields)))
    }),
    ("events", || with_change(story(), |model| model.focus = Focus::Pane(Pane::Events))),
    ("events_back", || {
        with_change(story(), |model| {
            model.focus = Focus::Pane(Pane::Events);
            model.table.mark_interacted();
            // The user has scrolled back to event 8. The events after event 14 are new since the last keystroke.
            model.scroll.set_positions(0, Some(EventRef { profile: ProfileId::FIRST, seq: 8 }));
            model.read_cursors = [(ProfileId::FIRST, 14)].into_iter().collect();
        })
    }),
    ("flagged", || with_change(story(), |model| model.table.set_alerts_only(true))),
    ("many", many),
    ("paused", || with_change(calm(), |model| model.paused = true)),
    ("late", late),
    ("unreachable", unreachable),
    ("limited", limited),
    ("loading", || empty_model(Targets::All)),
    ("waiting", waiting),
    ("none", no_sessions),
    ("refused", refused),
    ("out_of_reach", out_of_reach),
    ("filtered", filtered),
    ("filter_without_match", filter_without_match),
    ("typing", typing),
    ("mistyped", mistyped),
    ("muted", muted),
    ("all_muted", || {
        with_change(calm(), |model| {
            *model.table.muted_mut() = model.table.rows().visible(0, usize::MAX).cloned().collect();
            apply_inputs(model, []);
        })
    }),
    ("narrowed", || {
        with_change(calm(), |model| {
            model.settings.query = Some(Query::parse("user_metadata['env']:'prod'").unwrap())
        })
    }),
    ("narrowed_to_none", || {
        with_change(no_sessions(), |model| {
            model.settings.query = Some(Query::parse("user_metadata['run']['id']:'c-881'").unwrap());
            model.settings.targets = Targets::OneList(List::Running);
        })
    }),
    ("recent", recent),
    ("away", away),
    ("away_since_last_run", away_since_last_run),
    ("away_calm", || {
        with_change(no_sessions(), |model| model.open_away_for_test(absence(AbsenceKind::NoKeystroke)))
    }),
    ("recent_asking", || {
        with_change(calm(), |model| {
            model.focus = Focus::Pane(Pane::Recent);
            model.recent.requests.insert(
                ProfileId::FIRST,
                RecentRequestState { is_pending: true, ..RecentRequestState::default() },
            );
        })
    }),
    ("recent_failed", || {
        with_change(calm(), |model| {
            model.focus = Focus::Pane(Pane::Recent);
            let error = Some(ApiErrorKind::Timeout.into());
            model
                .recent
                .requests
                .insert(ProfileId::FIRST, RecentRequestState { error, ..RecentRequestState::default() });
        })
    }),
    ("recent_none", || {
        with_change(calm(), |model| {
            model.focus = Focus::Pane(Pane::Recent);
            model.recent.apply_response(ProfileId::FIRST, ago(1), Vec::new());
        })
    }),
    ("adding", || with_focus(Focus::AddSession { input: "6512bd".into(), invalid: None, back: Pane::Table })),
    ("added_wrongly", || {
        let text = "GET https://www.browserbase.com/overview";
        let invalid = SessionId::find_in(text).err().map(|error| error.to_string());
        with_focus(Focus::AddSession { input: text.into(), invalid, back: Pane::Table })
    }),
    ("hidden_metadata", || with_change(calm(), |model| model.hides_metadata = true)),
    ("help", || with_focus(Focus::Help { top: 0, back: Pane::Table })),
    ("copy_menu", || with_focus(Focus::CopyMenu { id: id(RELEASED_ID), selected: 1, back: Pane::Table })),
    ("release", || {
        with_change(calm(), |model| {
            let id = model.table.selected().cloned().unwrap();
            model.focus = Focus::ConfirmRelease { id, typed: "b1".into(), back: Pane::Table };
        })
    }),
    ("releasing", releasing),
    ("full", slots_full),
    ("reveal", revealed_url),
    ("failures", failures),
    ("notice", notice),
    ("profiles", two_profiles),
    ("profiles_refused", profiles_refused),
    ("profiles_all_fail", profiles_all_fail),
    ("profiles_none", || {
        let mut model = profiles_blank();
        fixture::apply_profile_inputs(
            &mut model,
            ProfileId::SECOND,
            [failed_poll(1, ApiErrorKind::ApiKeyRejected, Some("Invalid API key"))],
        );
        with_change(model, |model| apply_inputs(model, [list_input(ago(1), List::Running, Vec::new(), 0)]))
    }),
    ("profiles_loading", profiles_blank),
    ("profiles_nobody", || {
        let refused = [failed_poll(1, ApiErrorKind::ApiKeyRejected, Some("Invalid API key"))];
        let mut model = profiles_blank();
        fixture::apply_profile_inputs(&mut model, ProfileId::SECOND, refused);
        with_change(model, |model| apply_inputs(model, [failed_poll(1, ApiErrorKind::RateLimited, None)]))
    }),
    ("profiles_events", || with_change(profiles_refused(), |model| model.focus = Focus::Pane(Pane::Events))),
    ("profiles_failures", || {
        with_change(profiles_refused(), |model| model.focus = Focus::Failures { top: 0, back: Pane::Table })
    }),
    ("profiles_recent", profiles_recent),
    ("profiles_release", || {
        with_change(two_profiles(), |model| {
            let id = model.table.selected().cloned().unwrap();
            model.focus = Focus::ConfirmRelease { id, typed: "1b".into(), back: Pane::Table };
        })
    }),
];

fn with_change(mut model: Model, change: impl FnOnce(&mut Model)) -> Model {
    change(&mut model);
    model
}

fn with_focus(focus: Focus) -> Model {
    with_change(calm(), |model| model.focus = focus)
}

/// Returns a model with an ended session selected.
fn ended() -> Model {
    let mut model = calm();
    select(&mut model, RELEASED_ID);
    model
}

/// Returns a model with more sessions than the screen has rows, scrolled, and sorted by proxy bytes.
fn many() -> Model {
    let mut model = calm();
    let started = at("21:00:00");
    let sessions =
        (0..60).map(|n| running_session(&format!("{n:08x}-many"), started, Duration::from_secs(700 + n)));
    apply_inputs(&mut model, [list_input(ago(1), List::Pending, sessions.collect(), 0)]);
    model.table.set_top(7);
    model.table.set_sort(Sort { column: SortColumn::Proxy, reversed: false });
    model
}

/// Returns a model in which only the polls of the selected session fail.
fn late() -> Model {
    let mut model = calm();
    let id = model.table.selected().cloned().unwrap();
    let error = ApiErrorKind::Timeout.into();
    let next = Some(now().plus(Duration::from_secs(2)));
    apply_inputs(
        &mut model,
        [Input::RequestFailed { at: timing(now()), scope: Scope::Session(id), error, next }],
    );
    model
}

fn unreachable() -> Model {
    let mut model = calm();
    apply_inputs(
        &mut model,
        [failed_poll(0, ApiErrorKind::ConnectionRefused(Untrusted::new("api.browserbase.com")), None)],
    );
    model
}

fn limited() -> Model {
    let mut model = calm();
    apply_inputs(
        &mut model,
        [failed_poll(0, ApiErrorKind::RateLimited, Some("Too many requests: slow down"))],
    );
    model
}

/// Returns a model with two sessions named on the command line, before the first response.
fn waiting() -> Model {
    let ids: Vec<_> = ["first", "second"].into_iter().map(id).collect();
    let mut model = empty_model(Targets::Ids(ids.clone()));
    apply_inputs(&mut model, [Input::SessionsNamed { at: now(), ids }]);
    model
}

fn no_sessions() -> Model {
    let mut model = empty_model(Targets::All);
    apply_inputs(&mut model, [list_input(ago(1), List::Running, Vec::new(), 0)]);
    model
}

fn refused() -> Model {
    let mut model = empty_model(Targets::All);
    apply_inputs(&mut model, [failed_poll(1, ApiErrorKind::ApiKeyRejected, Some("Invalid API key"))]);
    model
}

fn out_of_reach() -> Model {
    let mut model = empty_model(Targets::All);
    model.profiles.get_mut(ProfileId::FIRST).info.host = Some("bb.internal.example".into());
    apply_inputs(
        &mut model,
        [failed_poll(1, ApiErrorKind::Dns(Untrusted::new("bb.internal.example")), None)],
    );
    model
}

fn filtered() -> Model {
    let mut model = calm();
    model.table.set_filter(Filter::parse("us-west staging").unwrap());
    apply_inputs(&mut model, []);
    model
}

fn filter_without_match() -> Model {
    let mut model = calm();
    model.table.set_filter(Filter::parse("nowhere").unwrap());
    apply_inputs(&mut model, []);
    model
}

/// Returns a model in which the user edits the filter, with the cursor before the fourth character.
fn typing() -> Model {
    let mut model = filtered();
    let input = tui_input::Input::new(model.table.filter().text().to_owned()).with_cursor(3);
    model.focus = Focus::Filter { input, before: Filter::default(), error: None };
    model
}

fn muted() -> Model {
    with_change(calm(), |model| {
        let ids: Vec<SessionId> = model.table.rows().visible(0, 2).cloned().collect();
        *model.table.muted_mut() = ids.into_iter().collect();
        apply_inputs(model, []);
    })
}

fn recent() -> Model {
    let mut model = calm();
    let ended_session = |id: &str, status: Status, started: &str, ended: &str, keep_alive: bool| Session {
        status,
        ended: Some(ended.parse().unwrap()),
        keep_alive: Some(keep_alive),
        ..running_session(id, started.parse().unwrap(), Duration::from_secs(900))
    };
    let tonight = |time: &str| format!("2026-11-22T{time}Z");
    let sessions = vec![
        running_session("b6d767d2-f8ed", at("21:05:40"), Duration::from_secs(900)),
        ended_session(RELEASED_ID, Status::Completed, &tonight("21:04:02"), &tonight("21:04:12"), true),
        ended_session("1f0e3dad-9990", Status::Error, &tonight("20:40:00"), &tonight("20:41:07"), false),
        ended_session("98f13708-2101", Status::TimedOut, &tonight("19:00:00"), &tonight("19:15:00"), false),
        ended_session(
            "3c59dc04-8e88",
            Status::Completed,
            "2026-11-21T09:00:00Z",
            "2026-11-21T09:03:10Z",
            false,
        ),
    ];
    let owners = ["growth", "checkout-e2e", "mcp", "a-name-that-is-too-long", ""];
    let owner = |name: &str| (!name.is_empty()).then(|| Untrusted::new(name));
    let recent_session = |(session, owner)| RecentSession { profile: ProfileId::FIRST, session, owner };
    model.recent.apply_response(
        ProfileId::FIRST,
        ago(1),
        sessions.into_iter().zip(owners.map(owner)).map(recent_session).collect(),
    );
    // The response had more sessions than the pane lists, so the note names both numbers.
    model.recent.requests.get_mut(&ProfileId::FIRST).unwrap().last_response = Some((ago(1), 312));
    (model.recent.selected, model.focus) = (1, Focus::Pane(Pane::Recent));
    model
}

/// Returns an absence of two hours that ended a minute ago.
fn absence(kind: AbsenceKind) -> Absence {
    let length = Duration::from_secs(2 * 60 * 60);
    let responses = if kind == AbsenceKind::NoKeystroke { 2412 } else { 0 };
    Absence { kind, until: ago(60), length, responses, was_paused: false }
}

/// Returns a model with the page about an absence, in which many sessions ended. The second one to look at is selected.
fn away() -> Model {
    let mut model = calm();
    let ended = |id: &str, name: &str, status: Status, times: (&str, &str), keep_alive: bool| Session {
        status,
        ended: Some(at(times.1)),
        keep_alive: Some(keep_alive),
        proxy_bytes: Some(9_000_000),
        metadata: Some(Metadata::new(&format!(r#"{{"owner":"{name}"}}"#))),
        ..running_session(id, at(times.0), Duration::from_secs(3600))
    };
    let mut sessions = vec![
        ended("98f13708-2101", "growth", Status::TimedOut, ("19:30:00", "20:30:00"), false),
        ended("3c59dc04-8e88", "growth", Status::TimedOut, ("19:50:00", "20:50:00"), false),
        ended("b6d767d2-f8ed", "qa", Status::Completed, ("20:00:00", "21:00:00"), true),
        ended("1f0e3dad-9990", "qa", Status::Completed, ("18:00:00", "18:10:00"), true),
    ];
    sessions.extend((10..19).map(|number| {
        let times = (format!("20:{number}:00"), format!("20:{}:30", number + 20));
        ended(
            &format!("c20ad4d7-6fe{number}"),
            &format!("nightly-{}", number / 3),
            Status::Completed,
            (&times.0, &times.1),
            true,
        )
    }));
    apply_inputs(&mut model, [list_input(ago(2), List::Running, sessions, 0)]);
    model.open_away_for_test(absence(AbsenceKind::NoKeystroke));
    model.set_away_positions(1, 0);
    model
}

/// Returns a model with the page that opens by itself. The last run ended on another day.
fn away_since_last_run() -> Model {
    let mut model = calm();
    let length = Duration::from_secs(50 * 60 * 60);
    model.open_away_for_test(Absence { length, ..absence(AbsenceKind::NotRunning) });
    model
}

fn mistyped() -> Model {
    let mut model = filtered();
    let text = "us-west !colour:red staging";
    let error = Filter::parse(text).err();
    model.focus = Focus::Filter { input: text.into(), before: Filter::default(), error };
    model
}

fn revealed_url() -> Model {
    let url = format!(
        "wss://connect.usw2.browserbase.com/?signingKey={}",
        "eyJhbGciOiJBMjU2S1ciLCJlbmMi".repeat(12)
    );
    let model = calm();
    let id = model.table.selected().cloned().unwrap();
    let expires_at = now().boot + Duration::from_millis(26_300);
    with_change(model, |model| {
        model.focus = Focus::Reveal { id, url: Secret::new(url), expires_at, back: Pane::Table }
    })
}

/// Returns a model with two release requests: one is pending, and one has failed.
fn releasing() -> Model {
    let mut model = calm();
    let (failed, pending) = (model.table.selected().cloned().unwrap(), id(fixture::OTHER_ID));
    let error =
        ApiError { message: Some(Untrusted::new("Session is locked")), ..ApiErrorKind::Status(409).into() };
    apply_inputs(
        &mut model,
        [
            Input::ReleaseRequested { at: ago(9), id: failed.clone() },
            Input::ReleaseRequested { at: ago(7), id: pending },
            Input::ReleaseFailed { at: timing(ago(5)), id: failed, error, next: None },
        ],
    );
    model
}

fn slots_full() -> Model {
    let mut model = calm();
    // 6 sessions of `calm` use a slot: 5 run, and 1 is pending.
    let project = Project { concurrency: Some(6), ..model.profiles.first().tracker.projects()[0].clone() };
    apply_inputs(&mut model, [Input::ProjectsReceived { at: timing(ago(1)), projects: vec![project] }]);
    model
}

fn failures() -> Model {
    let mut model = limited();
    apply_inputs(
        &mut model,
        [failed_poll(0, ApiErrorKind::Html, None), failed_poll(0, ApiErrorKind::Server(500), Some("oops"))],
    );
    let report = |seconds: u64, latency_ms: u64, bytes: u64| Report {
        request: Request::List(List::Running),
        sent: ago(seconds),
        received: ago(seconds).plus(Duration::from_millis(latency_ms)),
        date: None,
        age: Duration::ZERO,
        bytes,
        rate_limit: Some(RateLimit { remaining: 12, resets_in: Duration::from_secs(48) }),
        result: Ok(ResponseBody::List(SessionList::default())),
        next_request: None,
    };
    for round in (0..27).rev() {
        model.profiles.get_mut(ProfileId::FIRST).poll_stats.add_report(&report(
            round * 3,
            80 + round % 10,
            45_000,
        ));
    }
    model.focus = Focus::Failures { top: 0, back: Pane::Table };
    model
}

fn notice() -> Model {
    let text = "the session has ended (COMPLETED): it has no connect URL".into();
    with_change(calm(), |model| {
        model.notice = Some(Notice { text, level: NoticeLevel::Error, expires_at: Duration::MAX })
    })
}

fn profiles_refused() -> Model {
    let mut model = two_profiles();
    let refused = [failed_poll(0, ApiErrorKind::ApiKeyRejected, Some("Invalid API key"))];
    fixture::apply_profile_inputs(&mut model, ProfileId::SECOND, refused);
    // The polls of the first profile still succeed.
    let fresh = now().plus(Duration::from_secs(10));
    let session = model.profiles.record(&id(fixture::OTHER_ID)).unwrap().session.clone();
    apply_inputs(&mut model, [fixture::session_input(fresh, fixture::OTHER_ID, session.unwrap())]);
    model
}

fn profiles_all_fail() -> Model {
    let mut model = two_profiles();
    fixture::apply_profile_inputs(
        &mut model,
        ProfileId::SECOND,
        [failed_poll(0, ApiErrorKind::ApiKeyRejected, Some("Invalid API key"))],
    );
    apply_inputs(
        &mut model,
        [failed_poll(0, ApiErrorKind::RateLimited, Some("Too many requests: slow down"))],
    );
    model
}

/// Returns a model with two profiles and no response yet.
fn profiles_blank() -> Model {
    let Model { settings, .. } = empty_model(Targets::All);
    let info = |name: &str| ProfileInfo { name: name.into(), ..ProfileInfo::default() };
    Model::new(settings, info("acme"), vec![info("staging")], (120, 40))
}

fn profiles_recent() -> Model {
    let mut model = two_profiles();
    let started = at("20:40:00");
    let recent_session = |profile, id: &str| {
        let session = running_session(id, started, Duration::from_secs(900));
        let session = Session { status: Status::Completed, ended: Some(at("20:41:10")), ..session };
        vec![RecentSession { profile, session, owner: Some(Untrusted::new("growth")) }]
    };
    model.recent.apply_response(ProfileId::FIRST, ago(2), recent_session(ProfileId::FIRST, "b6d767d2-f8ed"));
    model.recent.apply_response(
        ProfileId::SECOND,
        ago(1),
        recent_session(ProfileId::SECOND, "1f0e3dad-9990"),
    );
    let request = model.recent.requests.get_mut(&ProfileId::SECOND).unwrap();
    request.error = Some(ApiErrorKind::ApiKeyRejected.into());
    with_change(model, |model| model.focus = Focus::Pane(Pane::Recent))
}

/// Returns the moment at which a state is drawn. States with stale data are drawn later, because data is stale only
/// after three poll intervals.
fn state_time(name: &str) -> Moment {
    if ["late", "unreachable", "profiles_refused"].contains(&name) {
        now().plus(Duration::from_millis(11_300))
    } else {
        now()
    }
}

#[test]
fn every_state_matches_its_snapshot() {
    for (name, model) in STATES {
        let mut screens = String::new();
        for size in SIZES {
            let buffer = draw_to_buffer(&mut model(), size, state_time(name));
            screens.push_str(&format!("{}x{}\n{}\n", size.0, size.1, buffer_text(&buffer)));
        }
        insta::assert_snapshot!(name, screens);
    }
}

#[test]
fn details_name_every_problem() {
    let mut screens = String::new();
    for id in
        ["failing", "gone", "unlisted", "overdue", "expiring", "never-answered", "bare", "old", "unseen-end"]
    {
        let mut model = odd();
        select(&mut model, id);
        model.focus = Focus::Pane(Pane::FullDetails(DetailsSection::Fields));
        screens.push_str(&buffer_text(&draw_to_buffer(&mut model, (100, 23), now())));
    }
    insta::assert_snapshot!("troubles", screens);
}

#[test]
fn columns_grow_with_screen_width() {
    let mut screens = String::new();
    for width in [30, 45, 59, 60, 69, 99, 100, 110, 140, 180] {
        let buffer = draw_to_buffer(&mut calm(), (width, 14), now());
        screens.push_str(&format!("{width}\n{}\n", buffer_text(&buffer)));
    }
    insta::assert_snapshot!("widths", screens);
}

#[test]
fn profile_column_grows_with_screen_width() {
    let mut screens = String::new();
    for width in [30, 36, 40, 59, 60, 64, 80, 99, 100, 107, 108, 140] {
        let buffer = draw_to_buffer(&mut two_profiles(), (width, 12), now());
        // The headings and the first three rows. Above them are the header and a blank line.
        let screen: Vec<String> = buffer_text(&buffer).lines().skip(2).take(4).map(str::to_owned).collect();
        screens.push_str(&format!("{width}\n{}\n\n", screen.join("\n")));
    }
    insta::assert_snapshot!("profile_widths", screens);
}

#[test]
fn colours_match_their_snapshots() {
    insta::assert_snapshot!("look_calm", buffer_styles(&draw_to_buffer(&mut calm(), (120, 24), now())));
    insta::assert_snapshot!(
        "look_late",
        buffer_styles(&draw_to_buffer(&mut unreachable(), (120, 24), state_time("unreachable")))
    );
    let mut mono = unreachable();
    mono.settings.theme = Theme::mono();
    insta::assert_snapshot!(
        "look_mono",
        buffer_styles(&draw_to_buffer(&mut mono, (80, 24), state_time("unreachable")))
    );
}

#[test]
fn ascii_screens_match_their_snapshot() {
    let mut screens = String::new();
    for model in [calm, odd, revealed_url, || with_focus(Focus::Help { top: 0, back: Pane::Table })] {
        let mut model: Model = model();
        model.settings.theme = Theme::mono().with_ascii();
        screens.push_str(&buffer_text(&draw_to_buffer(&mut model, (100, 30), now())));
    }
    insta::assert_snapshot!("ascii", screens);
}

#[test]
fn mono_ascii_has_no_colour_or_unicode() {
    for (name, model) in STATES {
        for size in SIZES {
            let mut mono = model();
            mono.settings.theme = Theme::mono().with_ascii();
            for cell in draw_to_buffer(&mut mono, size, state_time(name)).content() {
                assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset), "{name} {size:?}");
                assert!(cell.symbol().is_ascii(), "{name} {size:?}: {}", cell.symbol());
            }
        }
    }
}

#[test]
fn colours_are_readable_on_any_background() {
    // The module `theme` says why other colours are not.
    let allowed = [Color::Reset, Color::Red, Color::Green, Color::Yellow, Color::Cyan, Color::Magenta];
    for (name, model) in STATES {
        for cell in draw_to_buffer(&mut model(), (120, 40), state_time(name)).content() {
            assert!(allowed.contains(&cell.fg) && cell.bg == Color::Reset, "{name}: {cell:?}");
        }
    }
}

#[test]
fn selected_row_is_entirely_bold() {
    let buffer = draw_to_buffer(&mut calm(), (120, 24), now());
    let row = (0..24).find(|y| buffer[(0, *y)].symbol() == "▌").unwrap();
    for x in 0..120 {
        let modifier = buffer[(x, row)].modifier;
        assert!(
            modifier.contains(Modifier::BOLD) && !modifier.contains(Modifier::DIM),
            "column {x} is bold and not dim"
        );
    }
}

#[test]
fn row_with_stale_data_is_dim() {
    let buffer = draw_to_buffer(&mut unreachable(), (120, 24), state_time("unreachable"));
    assert!(is_row_dim(&buffer, "e4da3b7f"));
}

/// Returns true if the row of the session with this id prefix is dim.
fn is_row_dim(buffer: &Buffer, id_prefix: &str) -> bool {
    let text = buffer_text(buffer);
    let row = text.lines().position(|line| line.contains(id_prefix)).unwrap();
    // Column 16 is inside the id.
    buffer[(16, u16::try_from(row).unwrap())].modifier.contains(Modifier::DIM)
}

#[test]
fn only_rows_of_stale_profiles_are_dim() {
    // A selected row is never dim.
    let mut model = with_change(profiles_refused(), |model| model.table.select_none());
    let buffer = draw_to_buffer(&mut model, (120, 40), state_time("profiles_refused"));
    assert!(is_row_dim(&buffer, "77aa88bb"), "a session of the profile with stale data is dim");
    assert!(!is_row_dim(&buffer, "45c48cce"), "a session of the other profile is not dim");
}

#[test]
fn only_reveal_shows_connect_url() {
    for (name, model) in STATES {
        let screen = buffer_text(&draw_to_buffer(&mut model(), (120, 40), now()));
        assert_eq!(screen.contains("signingKey="), name == "reveal", "{name}");
    }
}

#[test]
fn revealed_url_lines_contain_only_the_url() {
    let mut model = revealed_url();
    let Focus::Reveal { url, .. } = &model.focus else { panic!() };
    let url = url.expose().to_owned();
    // The smallest of `SIZES` has no room for the whole URL.
    for size in [(120, 40), (80, 24), (40, 12)] {
        let screen = buffer_text(&draw_to_buffer(&mut model, size, now()));
        let joined_lines: String = screen.lines().map(|line| line.trim_start_matches('|')).collect();
        assert!(joined_lines.contains(&url), "{size:?}: nothing interrupts the URL:\n{screen}");
    }
}

#[test]
fn hidden_metadata_is_nowhere_on_screen() {
    let screen = buffer_text(&draw_to_buffer(
        &mut with_change(calm(), |model| model.hides_metadata = true),
        (180, 40),
        now(),
    ));
    for value in ["nightly-42", "staging", "growth", "c-881"] {
        assert!(!screen.contains(value), "{value} is hidden:\n{screen}");
    }
}

#[test]
fn every_status_has_its_own_glyph() {
    let glyphs: HashSet<_> = Status::KNOWN.iter().map(|status| Theme::colored().status(status).0).collect();
    assert_eq!(glyphs.len(), Status::KNOWN.len(), "{glyphs:?}");
}

#[test]
fn screen_is_stable_until_next_change() {
    for (name, model) in STATES {
        let mut model = model();
        resize(&mut model, (120, 40), state_time(name));
        for millis in [0, 1, 300, 999] {
            let now = state_time(name).plus(Duration::from_millis(millis));
            let frame = draw_to_buffer(&mut model, (120, 40), now);
            let next_change = model.next_change(now).unwrap_or(now.mono + Duration::from_secs(600));
            let just_before =
                now.plus(next_change.saturating_sub(now.mono).saturating_sub(Duration::from_millis(1)));
            let last_frame = draw_to_buffer(&mut model, (120, 40), just_before);
            assert_eq!(
                buffer_text(&frame),
                buffer_text(&last_frame),
                "{name} at {millis} ms until {next_change:?}"
            );
        }
    }
}

#[test]
fn details_scroll_to_their_last_line() {
    for (name, model) in STATES {
        let mut model = model();
        for size in SIZES {
            model.focus = Focus::Pane(Pane::FullDetails(DetailsSection::Fields));
            resize(&mut model, size, now());
            let Some(pane) = model.viewport().details_pane() else { continue };
            let ScrollExtent { lines, height } = model.viewport().details().unwrap();
            model.scroll.set_positions(lines, None);
            resize(&mut model, size, state_time(name));
            assert_eq!(
                model.scroll.details_top(),
                lines.saturating_sub(height),
                "{name} {size:?}: the number of lines does not depend on the time"
            );
            let screen = buffer_text(&draw_to_buffer(&mut model, size, state_time(name)));
            let rule = screen.lines().nth(usize::from(pane.top())).unwrap();
            let last_row = screen.lines().nth(usize::from(pane.bottom()) - 1).unwrap();
            assert!(!rule.contains('↓'), "{name} {size:?}: no lines are left below the pane: {rule}");
            // An empty line is only the '|' of `buffer_text`.
            assert!(
                lines < height || last_row.len() > 1,
                "{name} {size:?}: the last row of the pane has text"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_state_fits_every_screen(
        state in 0..STATES.len(),
        width in 0_u16..200,
        height in 0_u16..60,
        details_top in 0_usize..100,
        table_top in 0_usize..100,
        seconds_later in 0_u64..10_000_000,
        interacted: bool,
        ascii: bool,
    ) {
        let (name, model) = STATES[state];
        let mut model = model();
        if ascii {
            model.settings.theme = Theme::mono().with_ascii();
        }
        if interacted {
            model.table.mark_interacted();
        }
        model.scroll.set_positions(details_top, None);
        model.table.set_top(table_top);
        let now = now().plus(Duration::from_secs(seconds_later));
        resize(&mut model, (width, height), now);

        // The buffer is larger than the screen, to catch text written past the edges.
        let mut buffer = Buffer::empty(Rect::new(0, 0, width + 4, height + 4));
        draw_screen(&mut buffer, &model, model.viewport(), now);
        for (index, cell) in buffer.content().iter().enumerate() {
            let (x, y) = buffer.pos_of(index);
            let symbol = cell.symbol();
            prop_assert!(!symbol.contains(char::is_control), "{name}: {symbol:?} at {x}, {y} is printable");
            let is_inside = x < width && y < height;
            prop_assert!(is_inside || symbol == " ", "{name}: {x}, {y} outside {width}x{height} is blank: {symbol:?}");
            let right_edge = usize::from(x) + text::width(symbol);
            prop_assert!(!is_inside || right_edge <= usize::from(width), "{name}: {symbol:?} fits at {x}, {y}");
        }

        let row = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        let has_popup = !matches!(model.focus, Focus::Pane(_) | Focus::Filter { .. } | Focus::AddSession { .. });
        let ScreenAreas::Full(FullAreas { body, .. }) = model.viewport().areas else { return Ok(()) };
        if has_popup {
            return Ok(());
        }
        prop_assert!(!row(0).trim().is_empty(), "{name}: the header is shown on {width}x{height}");
        prop_assert!(!row(height - 1).trim().is_empty(), "{name}: the footer is shown on {width}x{height}");
        // The error of a line being typed may cover the rows above it.
        let is_covered = matches!(model.focus, Focus::Filter { error: Some(_), .. } | Focus::AddSession { invalid: Some(_), .. });
        // The table scrolls to its selected row only after the first keystroke.
        if let (BodyArea::Table { table, .. }, true, false) = (body, interacted, is_covered) {
            let marker = model.settings.theme.selection_glyph();
            let marked = (table.top()..table.bottom()).filter(|y| row(*y).starts_with(marker)).count();
            prop_assert_eq!(marked, 1, "{}: one selected row is marked on {}x{}", name, width, height);
        }
    }

    #[test]
    fn resized_terminal_shows_whole_screen(
        state in 0..STATES.len(),
        model_size in (0_u16..200, 0_u16..60),
        terminal_size in (0_u16..200, 0_u16..60),
    ) {
        let (name, model) = STATES[state];
        let mut model = model();
        resize(&mut model, model_size, now());
        let mut terminal = Terminal::new(TestBackend::new(terminal_size.0, terminal_size.1)).unwrap();
        terminal.draw(|frame| draw(frame, &model, now())).unwrap();
        let drawn = buffer_text(terminal.backend().buffer());
        prop_assert_eq!(drawn, buffer_text(&draw_to_buffer(&mut model, terminal_size, now())), "{}", name);
    }
}

/// Returns the text of a screen of this size.
fn text_at_size(model: &mut Model, size: (u16, u16), now: Moment) -> String {
    buffer_text(&draw_to_buffer(model, size, now))
}

#[test]
fn verdict_appears_with_the_end() {
    for size in [(120, 40), (80, 24)] {
        let mut model = empty_model(Targets::All);
        let started = at("21:06:00");
        let running =
            Session { keep_alive: Some(true), ..running_session("kept", started, Duration::from_secs(900)) };
        apply_inputs(&mut model, [list_input(ago(4), List::Running, vec![running.clone()], 0)]);
        let screen = text_at_size(&mut model, size, ago(4));
        assert!(!screen.contains("likely"), "a running session has no verdict yet: {screen}");
        let ended = Session { status: Status::Completed, ended: Some(at("21:06:45")), ..running };
        apply_inputs(&mut model, [fixture::session_input(ago(1), "kept", ended)]);
        let screen = text_at_size(&mut model, size, ago(1));
        assert!(screen.contains("Released via API, browser closed, or platform"), "{screen}");
        assert!(screen.contains("keep-alive session ended early"), "{screen}");
    }
}

#[test]
fn timeline_separates_days() {
    let mut model = empty_model(Targets::All);
    let yesterday = |seconds: u64| {
        let moment = ago(seconds);
        Moment { wall: moment.wall - Duration::from_secs(86_400), ..moment }
    };
    let started = yesterday(110).wall;
    let session = running_session("a", started, Duration::from_secs(100_000));
    let later = Session { keep_alive: Some(true), ..session.clone() };
    apply_inputs(&mut model, [fixture::session_input(yesterday(110), "a", session)]);
    let screen = text_at_size(&mut model, (120, 40), yesterday(100));
    assert!(!screen.contains("─ 2026"), "a single day needs no separator: {screen}");
    apply_inputs(&mut model, [fixture::session_input(ago(1), "a", later)]);
    model.focus = Focus::Pane(Pane::Events);
    let screen = text_at_size(&mut model, (80, 24), now());
    // Above the events are the header, a blank line and the rule.
    let lines: Vec<&str> = screen.lines().skip(3).collect();
    assert!(lines[0].contains("─ 2026-11-21 ─") && lines[1].contains("first seen"), "{screen}");
    assert!(lines[2].contains("─ 2026-11-22 ─"), "{screen}");
}

#[test]
fn details_scroll_to_end_at_any_time() {
    let mut model =
        with_change(calm(), |model| model.focus = Focus::Pane(Pane::FullDetails(DetailsSection::Fields)));
    for seconds_later in [0, 60, 100_000] {
        let now = now().plus(Duration::from_secs(seconds_later));
        resize(&mut model, (120, 24), now);
        let ScrollExtent { lines, height } = model.viewport().details().unwrap();
        assert!(lines > height, "the details are longer than the pane");
        model.scroll.set_positions(lines - height, None);
        let screen = text_at_size(&mut model, (120, 24), now);
        assert!(screen.contains("↑") && !screen.contains("↓"), "{screen}");
    }
}

#[test]
fn slots_show_limit_error_and_unknown_use() {
    let mut model = slots_full();
    assert!(text_at_size(&mut model, (120, 40), now()).contains("slots 6/6 FULL"));
    let message = "You've exceeded your max concurrent sessions limit (limit 9, currently 9).";
    apply_inputs(&mut model, [failed_poll(0, ApiErrorKind::RateLimited, Some(message))]);
    assert!(text_at_size(&mut model, (160, 40), now()).contains("slots 6/6 FULL (429 said 9/9)"));
    // The use is known only if all sessions of the project are watched.
    model.settings.targets = Targets::Ids(Vec::new());
    let screen = text_at_size(&mut model, (120, 40), now());
    assert!(screen.contains("slots ?/6") && !screen.contains("FULL"), "{screen}");
}

#[test]
fn banner_tells_limits_of_429_apart() {
    for (model, message, note) in [
        (slots_full(), Some("max concurrent sessions limit (limit 6, currently 6)"), "all slots used (6/6)"),
        (slots_full(), Some("25 sessions per minute"), "the limit on requests per minute, not on slots"),
        (slots_full(), None, "all slots used (6/6), or too many requests per minute"),
        (calm(), None, "slots are free, so probably too many requests per minute"),
    ] {
        let mut model = with_change(model, |model| {
            apply_inputs(model, [failed_poll(0, ApiErrorKind::RateLimited, message)])
        });
        let screen = text_at_size(&mut model, (200, 40), now());
        assert!(screen.contains(note), "{note}\n{screen}");
    }
}

#[test]
fn story_names_contradictory_ended_at() {
    let mut model = empty_model(Targets::All);
    let session = Session {
        ended: Some(at("21:06:00")),
        ..running_session("odd", at("21:00:00"), Duration::from_secs(3600))
    };
    apply_inputs(&mut model, [fixture::session_input(ago(1), "odd", session)]);
    let screen = text_at_size(&mut model, (120, 40), now());
    assert!(screen.contains("endedAt is set"), "the row says it: {screen}");
    assert!(
        screen.contains("endedAt    is set, which contradicts the status"),
        "the story says it: {screen}"
    );
}

#[test]
fn story_names_alert_rule() {
    let filter = Filter::parse("id:kept").unwrap();
    let rules = AlertRules::new(
        AlertThresholds::default(),
        vec![AlertRule::new(filter, AlertThresholds::default().with_early(EarlyLimit::Always))],
    );
    let mut model = empty_model(Targets::All);
    model.profiles.reset(&rules, None);
    for name in ["kept", "other"] {
        let running = Session {
            keep_alive: Some(true),
            ..running_session(name, at("21:00:00"), Duration::from_secs(3600))
        };
        let ended = Session { status: Status::Completed, ended: Some(at("21:06:45")), ..running.clone() };
        let inputs =
            [fixture::session_input(ago(4), name, running), fixture::session_input(ago(1), name, ended)];
        apply_inputs(&mut model, inputs);
    }
    model.select(id("kept"));
    let screen = text_at_size(&mut model, (120, 40), now());
    assert!(screen.contains("alert      keep-alive session ended early; by the alert"), "{screen}");
    assert!(screen.contains("rule for id:kept"), "{screen}");
    model.select(id("other"));
    let screen = text_at_size(&mut model, (120, 40), now());
    assert!(!screen.contains("rule for"), "{screen}");
}

#[test]
fn story_names_shared_context_and_clients() {
    let with_context = |name: &str| Session {
        context: Some(Untrusted::new("ctx-1")),
        ..running_session(name, at("21:06:00"), Duration::from_secs(900))
    };
    let mut model = empty_model(Targets::All);
    apply_inputs(
        &mut model,
        [list_input(ago(4), List::Running, vec![with_context("one"), with_context("two")], 0)],
    );
    for (selected, other) in [("one", "two"), ("two", "one")] {
        model.select(id(selected));
        let screen = text_at_size(&mut model, (120, 40), now());
        assert!(screen.contains(&format!("{other} runs with the same context, too")), "{screen}");
    }
    let ended = Session {
        status: Status::Completed,
        ended: Some(at("21:06:45")),
        keep_alive: Some(true),
        ..with_context("two")
    };
    apply_inputs(&mut model, [fixture::session_input(ago(1), "two", ended)]);
    model.select(id("two"));
    model.focus = Focus::Pane(Pane::FullDetails(DetailsSection::Fields));
    let screen = text_at_size(&mut model, (120, 60), now());
    assert!(!screen.contains("same context"), "{screen}");
    assert!(screen.contains("release    Stagehand 4 browser.close()"), "{screen}");
    assert!(screen.contains("shows a termination reason: o"), "{screen}");
    assert!(screen.contains("Send the evidence to support: y e"), "{screen}");
}

#[test]
fn story_without_owner_suggests_owner_key() {
    let mut model = empty_model(Targets::All);
    let session = |name: &str, metadata: &str| Session {
        metadata: Some(keepwatch_core::session::Metadata::new(metadata)),
        ..running_session(name, at("21:06:00"), Duration::from_secs(900))
    };
    let sessions = vec![session("one", r#"{"n":7}"#), session("two", r#"{"owner":"growth"}"#)];
    apply_inputs(&mut model, [list_input(ago(4), List::Running, sessions, 0)]);
    for (selected, is_suggested) in [("one", true), ("two", false)] {
        model.select(id(selected));
        let screen = text_at_size(&mut model, (120, 40), now());
        assert_eq!(screen.contains("--owner-key"), is_suggested, "{screen}");
    }
}
