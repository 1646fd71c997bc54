//! Builds models for the tests of the view, and reads the text and the styles of a drawn screen.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

use crate::api::ReleasePermission;
use crate::poll::PollLimits;
use crate::tui::Theme;
use crate::tui::{Model, ProfileId, ProfileInfo, Settings};
use keepwatch_core::clock::Moment;
use keepwatch_core::session::Targets;
use keepwatch_core::session::{
    ApiError, ApiErrorKind, ConnectFields, List, Metadata, Project, Region, Session, Status,
};
pub(super) use keepwatch_core::testing::time as at;
use keepwatch_core::testing::{id, moment_since, running_session};
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::{Input, RequestTiming, Scope};

/// The screen sizes at which the tests draw every state, as columns and rows.
pub(super) const SIZES: [(u16, u16); 4] = [(120, 40), (80, 24), (40, 12), (20, 5)];

/// The id of the selected session in [`calm`].
const SELECTED_ID: &str = "8f14e45f-ceea-467f-a0e6-a9f2e4f8b1c2";
/// The id of a session that completed early, as after a release.
pub(super) const RELEASED_ID: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
/// The id of a session of the second profile.
pub(super) const STAGING_ID: &str = "77aa88bb-5a88-4faf-8afb-5e6087eb1b2d";
/// The id of a running session in [`calm`] that is not selected.
pub(super) const OTHER_ID: &str = "c9f0f895-fb98-4ab9-9f51-c2d4e6f8a0b3";
/// The poll interval.
const INTERVAL: Duration = Duration::from_secs(3);

/// Returns 21:06:48 on 2026-11-22, two minutes after the clocks started.
pub(super) fn now() -> Moment {
    moment_since(at("21:04:48"), 120)
}

/// Returns the moment `seconds` before [`now`].
pub(super) fn ago(seconds: u64) -> Moment {
    let (now, age) = (now(), Duration::from_secs(seconds));
    Moment { wall: now.wall - age, mono: now.mono - age, boot: now.boot - age }
}

/// Returns the timing of a request with a latency of 84 ms, whose response was received at `received`.
pub(super) fn timing(received: Moment) -> RequestTiming {
    let latency = Duration::from_millis(84);
    let sent = Moment {
        wall: received.wall - latency,
        mono: received.mono - latency,
        boot: received.boot - latency,
    };
    RequestTiming { sent, received, date: None, age: Duration::ZERO }
}

/// Returns a model that has received no response.
pub(super) fn empty_model(targets: Targets) -> Model {
    let settings = Settings {
        targets,
        poll_limits: PollLimits { interval: INTERVAL, max_rps: 4 },
        theme: Theme::colored(),
        can_open_browser: true,
        release_permission: ReleasePermission::unless_read_only(false),
        version: "0.1.0".into(),
        ..Settings::default()
    };
    let info = ProfileInfo { key_tail: "f3a9".into(), ..ProfileInfo::default() };
    Model::new(settings, info, Vec::new(), (120, 40))
}

/// Returns a model with two profiles: that of [`calm`], and one whose project has two slots, both used.
pub(super) fn two_profiles() -> Model {
    let staging_host = Some("api.staging.example".to_owned());
    let info = |name: &str, host, tail: &str| ProfileInfo {
        name: name.into(),
        host,
        key_tail: tail.into(),
        missing_key_reason: None,
    };
    let (acme, staging) = (info("acme", None, "f3a9"), info("staging", staging_host, "77aa"));
    let mut calm = calm();
    let mut model = Model::new(calm.settings.clone(), acme, vec![staging], (120, 40));
    // Move the data of `calm` into the first profile of the new model.
    let acme_profile = model.profiles.get_mut(ProfileId::FIRST);
    let calm_profile = calm.profiles.get_mut(ProfileId::FIRST);
    std::mem::swap(&mut acme_profile.tracker, &mut calm_profile.tracker);
    std::mem::swap(&mut acme_profile.poll_stats, &mut calm_profile.poll_stats);
    let project = Project {
        id: Untrusted::new("prj-51ab"),
        name: Untrusted::new("acme-staging"),
        default_timeout: Some(Duration::from_secs(900)),
        concurrency: Some(2),
    };
    let staging_session = |id: &str, started: &str, name: &str| Session {
        project: Some(Untrusted::new("prj-51ab")),
        ..session(id, started, 900, Status::Running, name)
    };
    let sessions = vec![
        staging_session("0a1b2c3d-5a88-4faf-8afb-5e6087eb1b2d", "21:03:50", "preview-17"),
        staging_session(STAGING_ID, "20:56:10", "qa"),
    ];
    let inputs = [
        Input::ProjectsReceived { at: timing(ago(40)), projects: vec![project] },
        list_input(ago(3), List::Running, sessions, 0),
    ];
    apply_profile_inputs(&mut model, ProfileId::SECOND, inputs);
    select(&mut model, STAGING_ID);
    model
}

/// Applies inputs to the first profile and rebuilds the rows, as the event loop does.
pub(super) fn apply_inputs(model: &mut Model, inputs: impl IntoIterator<Item = Input>) {
    apply_profile_inputs(model, ProfileId::FIRST, inputs);
}

/// Applies inputs to a profile and rebuilds the rows. Keeps the selection.
pub(super) fn apply_profile_inputs(
    model: &mut Model,
    profile: ProfileId,
    inputs: impl IntoIterator<Item = Input>,
) {
    for input in inputs {
        model.profiles.apply(profile, input);
    }
    let selected = model.table.selected().cloned();
    model.rebuild_rows();
    if let Some(id) = selected.filter(|id| model.table.rows().row_of(id).is_some()) {
        model.table.select(id);
    }
}

pub(super) fn select(model: &mut Model, session_id: &str) {
    model.select(id(session_id));
}

/// Returns a session that started at the time of day `started`, on the day of [`now`]. `timeout` is in seconds. `name`
/// goes into the metadata.
fn session(session_id: &str, started: &str, timeout: u64, status: Status, name: &str) -> Session {
    Session {
        status,
        project: Some(Untrusted::new("prj-7c9e")),
        metadata: Some(Metadata::new(&format!(r#"{{"name":"{name}","env":"staging"}}"#))),
        connect: Some(ConnectFields { connect_url: true, selenium_remote_url: true, signing_key: true }),
        ..running_session(session_id, at(started), Duration::from_secs(timeout))
    }
}

/// The proxy bytes in each of the last rounds of polls, starting with the newest round.
const BYTES_PER_ROUND: [i64; 10] =
    [93_000, 40_000, 55_000, 120_000, 180_000, 150_000, 80_000, 30_000, 21_000, 60_000];

/// Returns the sessions of [`calm`] as they were `rounds_ago` rounds of polls ago.
fn calm_sessions(rounds_ago: usize) -> Vec<Session> {
    let keep_alive = Some(true);
    vec![
        Session {
            region: Some(Region::EuCentral1),
            ..session("45c48cce-2e2d-4fbd-aa5f-1b3c5d7e9f01", "20:08:08", 3600, Status::Running, "growth")
        },
        Session {
            keep_alive,
            proxy_bytes: Some(18_200_000 - BYTES_PER_ROUND.iter().take(rounds_ago).sum::<i64>()),
            context: Some(Untrusted::new("ctx-1f0c")),
            metadata: Some(Metadata::new(
                r#"{"name":"nightly-42","env":"staging","run":{"id":"c-881","try":2,"tags":["prices","eu"]}}"#,
            )),
            extra_fields: vec![(
                Untrusted::new("viewport"),
                Untrusted::new(r#"{"width":1280,"height":720}"#),
            )],
            extra_fields_dropped: 0,
            ..session(SELECTED_ID, "20:54:44", 3600, Status::Running, "")
        },
        Session {
            keep_alive,
            // The traffic of the session above, halved and one round later.
            proxy_bytes: Some(
                17_900_000
                    - BYTES_PER_ROUND.iter().skip(1).take(rounds_ago).map(|bytes| bytes / 2).sum::<i64>(),
            ),
            ..session(OTHER_ID, "20:54:47", 3600, Status::Running, "nightly-42")
        },
        Session {
            region: Some(Region::UsEast1),
            // One byte arrived between the sixth and the fifth round before the newest. Since then there is no traffic.
            proxy_bytes: Some(412_000 - if rounds_ago > 5 { 1 } else { 0 }),
            ..session(
                "1679091c-5a88-4faf-afb5-e6087eb1b2dc",
                "21:03:36",
                3600,
                Status::Running,
                "checkout-e2e",
            )
        },
        Session {
            region: Some(Region::ApSoutheast1),
            keep_alive,
            ..session(
                "e4da3b7f-bbce-4345-97d7-772b0674a318",
                "20:25:00",
                21_600,
                Status::Running,
                "browse_cli",
            )
        },
        Session {
            region: Some(Region::EuCentral1),
            proxy_bytes: None,
            ..session("a87ff679-a2f3-471d-9181-a67b7542122c", "21:06:20", 900, Status::Pending, "growth")
        },
        Session {
            region: Some(Region::UsEast1),
            ended: Some(at("21:02:37")),
            proxy_bytes: Some(1_100_000),
            ..session("d3d94468-02a4-4259-b55d-38e6d163e820", "21:00:20", 900, Status::Error, "mcp")
        },
        Session {
            keep_alive,
            ended: Some(at("21:04:12")),
            ..session(RELEASED_ID, "21:04:02", 900, Status::Completed, "checkout-e2e")
        },
    ]
}

/// Returns the input for a response about one session.
pub(super) fn session_input(at: Moment, session_id: &str, session: Session) -> Input {
    let scope = Scope::Session(id(session_id));
    Input::SessionsReceived { at: timing(at), scope, sessions: vec![session], malformed: 0 }
}

/// Returns the input for a response with a list of sessions.
pub(super) fn list_input(at: Moment, list: List, sessions: Vec<Session>, malformed: u32) -> Input {
    Input::SessionsReceived { at: timing(at), scope: Scope::List(list), sessions, malformed }
}

/// Returns a model after nine rounds of polls without a failure. A busy session is selected.
pub(super) fn calm() -> Model {
    let mut model = empty_model(Targets::All);
    let project = Project {
        id: Untrusted::new("prj-7c9e"),
        name: Untrusted::new("acme-prod"),
        default_timeout: Some(Duration::from_secs(300)),
        concurrency: Some(25),
    };
    let projects = Input::ProjectsReceived { at: timing(ago(40)), projects: vec![project] };
    // The rounds are one poll interval of 3 s apart. The newest response is one second old.
    let rounds = (0..9_u8).rev().flat_map(|rounds_ago| {
        let at = ago(u64::from(rounds_ago) * 3 + 1);
        calm_sessions(usize::from(rounds_ago))
            .into_iter()
            .map(move |session| session_input(at, session.id.clone().raw(), session))
    });
    apply_inputs(&mut model, std::iter::once(projects).chain(rounds));
    select(&mut model, SELECTED_ID);
    model
}

/// Returns a model with a long timeline: a poll failed, three sessions ended early and at almost the same time, and the
/// machine slept.
pub(super) fn story() -> Model {
    let mut model = empty_model(Targets::All);
    let with_keep_alive = |session: Session| Session { keep_alive: Some(true), ..session };
    let running = |id: &str| with_keep_alive(session(id, "21:05:00", 900, Status::Running, "checkout-e2e"));
    let completed =
        |id: &str, ended: &str| Session { status: Status::Completed, ended: Some(at(ended)), ..running(id) };
    let others = ["7f39f831-7fbd-4198-8ef4-c628eba02591", "44f683a8-4163-4352-bafe-57c2e008bc8c"];
    let ids = [RELEASED_ID, others[0], others[1]];
    let running_list = |seconds_ago| list_input(ago(seconds_ago), List::Running, ids.map(running).into(), 0);
    let traffic_input = |seconds_ago, bytes| {
        let session = Session { proxy_bytes: Some(bytes), ..running(others[0]) };
        session_input(ago(seconds_ago), others[0], session)
    };
    let later_id = "b6d767d2-f8ed-4d21-a44b-0e5886680cb9";
    let later_session = with_keep_alive(session(later_id, "21:05:40", 900, Status::Running, "checkout-e2e"));
    // During the sleep, the monotonic clock advances by 1 s, and the other clocks by 12 s.
    let wake_up = Moment { mono: ago(59).mono, ..ago(48) };
    let sleep = Input::Slept { from: ago(60), to: wake_up };
    let inputs = [
        running_list(106),
        traffic_input(104, 4000),
        failed_poll(102, ApiErrorKind::RateLimited, Some("Too Many Requests")),
        running_list(99),
        session_input(ago(98), RELEASED_ID, completed(RELEASED_ID, "21:05:09.600")),
        session_input(ago(98), others[1], completed(others[1], "21:05:08.900")),
        session_input(ago(97), others[0], completed(others[0], "21:05:10.100")),
        Input::TimePassed { now: ago(90) },
        sleep,
        session_input(ago(40), later_id, later_session),
    ];
    apply_inputs(&mut model, inputs);
    select(&mut model, RELEASED_ID);
    model
}

/// Returns a model with every oddity: hostile texts, and sessions that are not found, unlisted, overdue or
/// contradictory.
pub(super) fn odd() -> Model {
    let ids = ["never-answered", "gone", "two words and more", "unlisted", "failing"];
    let ids: Vec<_> = ids.iter().map(|text| id(text)).collect();
    let mut model = empty_model(Targets::Ids(ids.clone()));
    let hostile = Session {
        metadata: Some(Metadata::new(
            r#"{"name":"\u001b]52;c;AAAA\u0007\u202egpj.exe","日本語":"東京のセッション","empty":"","nested":{"Ünï":"cødé"}}"#,
        )),
        region: Some(Region::from_api("moon-base-1\u{1b}[2J")),
        status: Status::from_api("HIBERNATING"),
        proxy_bytes: Some(-18_200_000),
        ..session("two words and more", "21:00:00", 1200, Status::Running, "")
    };
    let bare = Session {
        expires: None,
        region: None,
        keep_alive: None,
        metadata: None,
        connect: Some(ConnectFields::default()),
        ..session("bare", "21:06:30", 1, Status::Running, "")
    };
    let ended = |time: &str, session: Session| Session { ended: Some(time.parse().unwrap()), ..session };
    let sessions = [
        hostile,
        bare,
        session("overdue", "20:50:00", 980, Status::Running, "late"),
        session("expiring", "21:02:28", 260, Status::Running, "soon"),
        session("soon", "21:02:28", 300, Status::Running, "soon"),
        ended("2026-11-22T21:05:00Z", session("timed-out", "20:50:00", 900, Status::TimedOut, "slow")),
        ended("2019-05-01T10:00:00Z", session("old", "20:50:00", 900, Status::Completed, "old")),
        session("unseen-end", "20:50:00", 900, Status::Error, "no endedAt"),
    ];
    let mismatched = session("another-id", "20:50:00", 1100, Status::Running, "東京 nightly");
    let api_error = |message: &str, kind: ApiErrorKind| ApiError {
        message: Some(Untrusted::new(message)),
        ..kind.into()
    };
    let earlier_inputs = [
        Input::SessionsNamed { at: ago(60), ids },
        session_input(ago(5), "unlisted", session("unlisted", "21:01:00", 600, Status::Running, "lost")),
        list_input(ago(4), List::Running, Vec::new(), 0),
        session_input(ago(3), "failing", mismatched),
    ];
    let later_inputs = [
        Input::RequestFailed {
            at: timing(ago(1)),
            scope: Scope::Session(id("failing")),
            error: api_error("Bad \u{1b}[31mGateway", ApiErrorKind::Server(502)),
            next: Some(now().plus(Duration::from_secs(8))),
        },
        Input::SessionNotFound {
            at: timing(ago(2)),
            id: id("gone"),
            error: api_error("Session not found", ApiErrorKind::NotFound),
            next: Some(now().plus(Duration::from_secs(30))),
        },
        list_input(ago(1), List::Pending, Vec::new(), 2),
    ];
    let session_inputs =
        sessions.into_iter().map(|session| session_input(ago(2), session.id.clone().raw(), session));
    apply_inputs(&mut model, earlier_inputs.into_iter().chain(session_inputs).chain(later_inputs));
    select(&mut model, "two words and more");
    model
}

/// Returns the input for a failed poll of the list of running sessions, `seconds_ago` seconds before [`now`]. The retry
/// is due 7.4 s after [`now`].
pub(super) fn failed_poll(seconds_ago: u64, kind: ApiErrorKind, message: Option<&str>) -> Input {
    let error = ApiError { message: message.map(Untrusted::new), ..kind.into() };
    let next = Some(now().plus(Duration::from_millis(7_400)));
    Input::RequestFailed { at: timing(ago(seconds_ago)), scope: Scope::List(List::Running), error, next }
}

/// Draws a screen of this size. Does not call [`Model::set_viewport`], which would correct a state that does not fit
/// the screen. So such a state is drawn as it is.
pub(super) fn draw_to_buffer(model: &mut Model, size: (u16, u16), now: Moment) -> Buffer {
    model.set_size(size);
    draw_at_size(model, size, now)
}

/// Lays out the screen at this size, as the event loop does.
pub(super) fn resize(model: &mut Model, size: (u16, u16), now: Moment) {
    model.set_size(size);
    crate::tui::event_loop::lay_out(model, now);
}

/// Returns the text of a screen of this size, for tests outside the view.
pub(crate) fn screen_text(model: &Model, size: (u16, u16), now: Moment) -> String {
    buffer_text(&draw_at_size(model, size, now))
}

fn draw_at_size(model: &Model, (width, height): (u16, u16), now: Moment) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let viewport = super::layout::viewport(model, area, now);
    let mut buffer = Buffer::empty(area);
    super::draw_screen(&mut buffer, model, &viewport, now);
    buffer
}

/// Returns the text of a screen. Each line starts with a '|' and has no trailing blanks.
pub(super) fn buffer_text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut skip = 0; // the remaining columns of the last character
        for x in 0..buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            if skip == 0 {
                line.push_str(symbol);
                skip = keepwatch_core::text::width(symbol).max(1);
            }
            skip -= 1;
        }
        text.push('|');
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Returns the text of a screen with styles: each span of styled text is followed by its style in braces.
pub(super) fn buffer_styles(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let (mut span, mut style) = (String::new(), String::new());
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            let next = style_name(cell.fg, cell.modifier);
            if next != style && !span.is_empty() {
                line.push_str(&styled_span(&span, &style));
                span.clear();
            }
            style = next;
            span.push_str(cell.symbol());
        }
        line.push_str(&styled_span(&span, &style));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn styled_span(span: &str, style: &str) -> String {
    if style.is_empty() || span.trim().is_empty() {
        return span.into();
    }
    let blanks = span.len() - span.trim_end().len();
    format!("{}{{{style}}}{}", span.trim_end(), " ".repeat(blanks))
}

fn style_name(colour: Color, modifier: Modifier) -> String {
    let mut names = Vec::new();
    if colour != Color::Reset {
        names.push(colour.to_string().to_lowercase());
    }
    names.extend(modifier.iter_names().map(|(name, _)| name.to_lowercase()));
    names.join(" ")
}
