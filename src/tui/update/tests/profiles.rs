//! Several profiles in one table. Errors, commands and alerts of one profile do not affect the others.

use super::*;
use crate::tui::{ProfileId, ProfileInfo};
use keepwatch_core::filter::Filter;

const ACME: ProfileId = ProfileId::FIRST;
const STAGING: ProfileId = ProfileId::SECOND;

fn info(name: &str) -> ProfileInfo {
    ProfileInfo { name: name.into(), ..ProfileInfo::default() }
}

impl World {
    fn with_two_profiles(targets: Targets) -> Self {
        let mut world =
            Self::from_model(Model::new(settings(targets), info("acme"), vec![info("staging")], (120, 40)));
        world.now = 1.0;
        world
    }

    /// A world with two profiles and their running sessions.
    fn with_running_in_two(acme: &[&str], staging: &[&str]) -> Self {
        let mut world = Self::with_two_profiles(Targets::All);
        world.report_list_from(ACME, acme);
        world.report_list_from(STAGING, staging);
        world
    }

    fn report_list_from(&mut self, profile: ProfileId, texts: &[&str]) -> Vec<Effect> {
        let sessions = texts.iter().map(|text| session(text, 900)).collect();
        let listing = SessionList { sessions, malformed: 0 };
        self.report_from(profile, Request::List(List::Running), Ok(ResponseBody::List(listing)))
    }

    fn report_session_from(&mut self, profile: ProfileId, session: Session) -> Vec<Effect> {
        self.report_from(profile, Request::Session(session.id.clone()), Ok(ResponseBody::Session(session)))
    }

    fn report_not_found_from(&mut self, profile: ProfileId, text: &str) -> Vec<Effect> {
        self.report_from(profile, Request::Session(id(text)), Err(ApiErrorKind::NotFound.into()))
    }

    fn profile_of(&self, text: &str) -> &str {
        let (profile, _) = self.model.profiles.find(&id(text)).unwrap();
        self.model.profiles.label(profile).unwrap()
    }
}

#[test]
fn rejected_api_key_affects_one_profile() {
    let mut world = World::with_running_in_two(&["a"], &["s"]);
    for round in 1..8 {
        world.now = 1.0 + 3.0 * f64::from(round);
        world.report_list_from(ACME, &["a"]);
        world.report_from(STAGING, Request::List(List::Running), Err(ApiErrorKind::ApiKeyRejected.into()));
    }
    let is_failing =
        |world: &World, profile| world.model.profiles.get(profile).tracker.health().failure_streak.is_some();
    assert_eq!((is_failing(&world, ACME), is_failing(&world, STAGING)), (false, true));
    let is_stale = |world: &World, profile| world.model.stale_data_age(profile, moment(world.now)).is_some();
    assert_eq!((is_stale(&world, ACME), is_stale(&world, STAGING)), (false, true));
    let render = |world: &World| view::screen_text(&world.model, (120, 40), moment(world.now));
    // The newest data of staging is from 1 s, and the time is 22 s.
    let screen = render(&world);
    assert!(screen.contains("staging: the API refuses the key (401)"), "{screen}");
    assert!(screen.contains("no data from staging for 21 s") && screen.contains("12:00:22"), "{screen}");
    assert_eq!(world.rows(), ["a", "s"], "sessions of the failing profile keep their rows");
    world.now = 25.0;
    world.report_list_from(STAGING, &["s"]);
    assert!(!is_failing(&world, STAGING) && !is_stale(&world, STAGING));
    assert!(!render(&world).contains("401"));
}

#[test]
fn commands_go_to_profile_of_session() {
    for (text, profile) in [("a", ACME), ("s", STAGING)] {
        let mut world = World::with_running_in_two(&["a"], &["s"]);
        world.model.select(id(text));
        assert_eq!(
            world.press("c"),
            [Effect::SendToPoller(profile, PollerCommand::FetchConnectUrls(id(text)))]
        );
        assert_eq!(
            world.press("yl"),
            [Effect::SendToPoller(profile, PollerCommand::FetchLiveView(id(text)))]
        );
        world.press("x");
        world.press(text); // the whole id, which has fewer than four characters
        assert_eq!(
            world.key(KeyCode::Enter),
            [Effect::SendToPoller(profile, PollerCommand::Release(id(text)))]
        );
        let is_releasing = |profile| {
            world
                .model
                .profiles
                .get(profile)
                .tracker
                .get(&id(text))
                .is_some_and(|record| record.is_releasing())
        };
        assert_eq!((is_releasing(ACME), is_releasing(STAGING)), (profile == ACME, profile == STAGING));
        assert_eq!(
            world.press("p"),
            [Effect::SendToAllPollers(PollerCommand::Pause)],
            "a pause concerns all profiles"
        );
    }
}

#[test]
fn unknown_session_sends_no_command() {
    let mut world = World::with_running_in_two(&["a"], &["s"]);
    world.model.focus = Focus::CopyMenu { id: id("unknown"), selected: 0, back: Pane::Table };
    assert_eq!(world.press("l"), []);
    assert!(world.notice().starts_with("the session is not on record any more"), "{}", world.notice());
    assert_eq!(world.model.profiles.newest_events_of(&id("unknown")).count(), 0);
}

#[test]
fn only_several_profiles_have_labels() {
    let world = World::with_running_in_two(&[], &[]);
    let labels = world.model.profiles.labels().unwrap();
    assert_eq!((labels.iter().collect::<Vec<_>>(), labels.width()), (vec!["acme", "staging"], 7));
    assert_eq!(world.model.profiles.label(STAGING), Some("staging"));
    let single = World::from_model(Model::new(settings(Targets::All), info("acme"), Vec::new(), (120, 40)));
    assert_eq!(single.model.profiles.label(ACME), None);
}

#[test]
fn shared_session_belongs_to_first_profile() {
    let mut world = World::with_running_in_two(&["a", "both"], &["s", "both"]);
    assert_eq!(world.rows(), ["a", "both", "s"]);
    assert_eq!((world.model.profiles.session_count(), world.model.table.rows().counts().running), (3, 3));
    assert_eq!(world.profile_of("both"), "acme");
    let slots_used = |profile| world.model.table.rows().slot_usage(profile).unwrap().used;
    assert_eq!((slots_used(ACME), slots_used(STAGING)), (2, 2), "the session uses a slot of each project");
    assert_eq!(world.events().len(), 3, "each session has one event");
    world.model.settings.bell = true;
    world.now = 4.0;
    assert_eq!(
        world.report_session_from(STAGING, ended_session("both", Status::Error)),
        [],
        "only the profile that owns the session rings the bell"
    );
    assert_eq!(world.report_session_from(ACME, ended_session("both", Status::Error)), [Effect::RingBell]);
    assert_eq!(world.model.table.rows().counts().with_alerts, 1);
}

#[test]
fn profile_that_finds_session_owns_it() {
    // The order in which the profiles receive a response does not matter.
    for first_receiver in [ACME, STAGING] {
        let mut world = World::with_running_in_two(&["a"], &["s"]);
        let event_count_before = world.events().len();
        world.press("a");
        world.press("new-one");
        let effects = world.key(KeyCode::Enter);
        assert_eq!(effects, [Effect::SendToAllPollers(PollerCommand::Watch(id("new-one")))]);
        let unwatch = [Effect::SendToPoller(ACME, PollerCommand::Unwatch(id("new-one")))];
        if first_receiver == ACME {
            let effects = world.report_not_found_from(ACME, "new-one");
            assert_eq!(effects, [], "staging may still find the session");
            assert!(!world.model.profiles.record(&id("new-one")).unwrap().is_not_found());
            world.report_session_from(STAGING, session("new-one", 900));
            world.now = 4.0;
            assert_eq!(world.report_not_found_from(ACME, "new-one"), unwatch);
        } else {
            world.report_session_from(STAGING, session("new-one", 900));
            assert_eq!(world.report_not_found_from(ACME, "new-one"), unwatch);
        }
        assert_eq!(world.profile_of("new-one"), "staging");
        assert_eq!(world.rows(), ["a", "new-one", "s"]);
        assert_eq!(world.events().len(), event_count_before + 1, "the 404 of acme is not an event");
        assert_eq!(world.model.table.rows().counts().not_found, 0);
    }
}

#[test]
fn session_not_found_anywhere_counts_once() {
    let mut world = World::with_two_profiles(Targets::Ids(vec![id("nowhere")]));
    assert_eq!(world.rows(), ["nowhere"], "the session has one row, although both profiles poll it");
    assert_eq!(world.report_not_found_from(ACME, "nowhere"), []);
    assert_eq!(world.model.table.rows().counts().no_response, 1);
    assert_eq!(world.report_not_found_from(STAGING, "nowhere"), []);
    assert_eq!((world.model.table.rows().counts().not_found, world.rows()), (1, vec!["nowhere"]));
    assert_eq!(world.events(), [(ACME, "not_found")]);
}

#[test]
fn alerts_are_acknowledged_per_profile() {
    let mut world = World::with_running_in_two(&["a", "a2", "a3"], &["s", "s2"]);
    world.now = 4.0;
    world.report_session_from(ACME, ended_session("a", Status::Error));
    assert_eq!(world.model.table.rows().counts().with_alerts, 1);
    world.press("A");
    assert_eq!(world.model.table.rows().counts().with_alerts, 0);
    // The other profile has fewer events, so its next alert has a lower number. That alert is still unacknowledged.
    world.report_session_from(STAGING, ended_session("s", Status::Error));
    assert_eq!(world.model.table.rows().counts().with_alerts, 1);
    world.model.select(id("s"));
    world.key(KeyCode::Enter);
    assert_eq!(world.model.table.rows().counts().with_alerts, 0, "open details acknowledge the alert");
    world.report_session_from(STAGING, ended_session("s2", Status::Error));
    world.report_session_from(ACME, ended_session("a2", Status::Error));
    assert_eq!(world.model.table.rows().counts().with_alerts, 2);
}

#[test]
fn new_events_of_all_profiles_are_counted() {
    let mut world = World::with_running_in_two(&["a", "b", "c"], &["s"]);
    world.press("e");
    assert!(!view::screen_text(&world.model, (120, 40), moment(1.0)).contains("new since"));
    world.now = 4.0;
    world.report_list_from(STAGING, &["s", "s2"]);
    world.report_list_from(ACME, &["a", "b", "c", "d"]);
    let screen = view::screen_text(&world.model, (120, 40), moment(4.0));
    assert!(screen.contains("2 new since your last key"), "{screen}");
}

#[test]
fn events_of_all_profiles_are_in_order() {
    let mut world = World::with_running_in_two(&[], &[]);
    world.send(Message::Resize(120, 12));
    for second in 2_u32..40 {
        world.now = f64::from(second);
        let profile = if second % 3 == 0 { ACME } else { STAGING };
        world.report_session_from(profile, session(&format!("s{second:02}"), 9000));
    }
    let learned_at: Vec<_> =
        world.model.profiles.newest_events().map(|(_, event)| event.learned_at).collect();
    assert!(
        learned_at.len() == 38 && learned_at.is_sorted_by(|later, earlier| later > earlier),
        "{learned_at:?}"
    );
    world.press("ekk");
    let selected = |world: &World| world.model.selected_event().unwrap().1.id.clone().unwrap();
    assert_eq!(selected(&world), id("s37"));
    for profile in [ACME, STAGING] {
        world.now += 1.0;
        world.report_session_from(profile, session(&format!("new-{profile}"), 9000));
    }
    assert_eq!(selected(&world), id("s37"), "new events do not move the page");
    let screen = view::screen_text(&world.model, (120, 12), moment(world.now));
    assert!(screen.contains("↓ 4 more, 2 new since your last key"), "{screen}");
    world.press("jjjj");
    assert_eq!(
        (world.model.scroll.anchor(), selected(&world)),
        (None, id("new-1")),
        "the newest event, of staging, is selected"
    );
    world.press("g");
    world.key(KeyCode::Enter);
    assert_eq!(
        world.selected(),
        Some("s09"),
        "the oldest events, s02 to s09, fill the screen, and the last of them is selected"
    );
}

#[test]
fn rows_filter_and_sort_by_profile() {
    let mut world = World::with_running_in_two(&["b", "z"], &["a", "y"]);
    for (filter, rows) in [
        ("profile:acme", vec!["b", "z"]),
        ("!profile:acme", vec!["a", "y"]),
        ("profile:ST", vec!["a", "y"]),
        ("staging", vec!["a", "y"]),
        ("profile:none", vec![]),
    ] {
        world.press("/");
        world.ctrl('u');
        world.press(filter);
        assert_eq!(world.rows(), rows, "{filter}");
        world.key(KeyCode::Esc);
    }
    // The fourth column to sort by is the profile. A single profile has the owner in its place.
    world.press("ssss");
    assert_eq!((world.notice(), world.rows()), ("sorted by profile", vec!["b", "z", "a", "y"]));
    world.press("S");
    assert_eq!(world.rows(), ["a", "y", "b", "z"]);
    let error = Filter::parse_for_profiles("colour-of-the-session:red", true).unwrap_err();
    assert!(error.message.contains("profile status"), "the message lists the fields: {error:?}");
    assert!(
        text::width(&error.message) <= 76,
        "the message fits into two lines of the narrowest footer: {error:?}"
    );
    assert!(Filter::parse("profile:acme").is_err(), "with a single profile, a filter has no field `profile`");
    let mut single = World::with_running(&[("a", 9)]);
    single.press("ssss");
    assert_eq!(single.notice(), "sorted by owner");
}

#[test]
fn profile_without_api_key_is_not_polled() {
    let reason = "api-key-command “pass” failed (exit status: 7)";
    let staging = ProfileInfo { missing_key_reason: Some(reason.into()), ..info("staging") };
    let mut world = World::from_model(Model::new(
        settings(Targets::Ids(vec![id("a")])),
        info("acme"),
        vec![staging],
        (120, 40),
    ));
    world.now = 1.0;
    world.report_not_found_from(ACME, "a");
    assert_eq!(world.model.table.rows().counts().not_found, 1, "staging is not polled, so acme decides");
    let screen = view::screen_text(&world.model, (120, 40), moment(1.0));
    assert!(
        screen.contains("staging: api-key-command “pass” failed (exit status: 7); nothing is asked"),
        "{screen}"
    );
    assert!(!screen.contains("next try"), "{screen}");
    assert_eq!(world.press("R"), [Effect::SendToPoller(ACME, PollerCommand::ListRecentSessions)]);
    world.press("!");
    assert!(view::screen_text(&world.model, (120, 40), moment(1.0)).contains("staging: the key"));
}

fn report_recent_from(world: &mut World, profile: ProfileId, sessions: Vec<Session>) {
    let body = ResponseBody::RecentSessions(SessionList { sessions, malformed: 0 });
    world.report_from(profile, Request::RecentSessions, Ok(body));
}

fn recent_ids(world: &World) -> Vec<&str> {
    world.model.recent.sessions.iter().map(|recent| recent.session.id.raw()).collect()
}

/// Returns an ended session that was created `seconds` after noon.
fn created_at(text: &str, seconds: f64) -> Session {
    Session { created: Some(at(seconds)), ..ended_session(text, Status::Completed) }
}

#[test]
fn response_after_failed_request_selects_newest() {
    let mut world = World::with_running_in_two(&[], &[]);
    world.press("R");
    report_recent_from(&mut world, ACME, vec![created_at("a1", 1.0)]);
    report_recent_from(&mut world, STAGING, vec![created_at("s2", 2.0), created_at("s3", 3.0)]);
    world.press("j");
    world.press("j");
    assert_eq!(world.model.recent.selected, 2);
    world.press("R");
    world.report_from(ACME, Request::RecentSessions, Err(ApiErrorKind::ApiKeyRejected.into()));
    report_recent_from(&mut world, STAGING, vec![created_at("s2", 2.0), created_at("s3", 3.0)]);
    assert_eq!(
        (recent_ids(&world)[0], world.model.recent.selected),
        ("s3", 0),
        "the first response selects the newest"
    );
}

#[test]
fn shared_recent_session_is_listed_once() {
    let mut world = World::with_running_in_two(&[], &[]);
    world.press("R");
    // The `createdAt` of the shared session differs between the responses. The time of a2 is between the two.
    report_recent_from(&mut world, ACME, vec![created_at("shared", 1.0), created_at("a2", 2.0)]);
    report_recent_from(&mut world, STAGING, vec![created_at("shared", 3.0)]);
    assert_eq!(recent_ids(&world), ["a2", "shared"]);
    assert_eq!(world.model.recent.sessions[1].profile, ACME, "the first profile owns it, as in the table");
}

#[test]
fn session_cannot_be_added_without_api_key() {
    let keyless = |name| ProfileInfo { missing_key_reason: Some("no key".into()), ..info(name) };
    let mut world = World::from_model(Model::new(
        settings(Targets::All),
        keyless("acme"),
        vec![keyless("staging")],
        (120, 40),
    ));
    world.press("a");
    world.press("beta-1");
    assert_eq!(world.key(KeyCode::Enter), []);
    assert_eq!(world.notice(), "cannot ask for beta-1 without an API key");
    world.report_list_from(STAGING, &["known"]);
    world.press("a");
    world.press("known");
    assert_eq!(world.key(KeyCode::Enter), []);
    assert_eq!(world.notice(), "known is on record, but is not polled: its profile has no API key");
}

#[test]
fn recent_sessions_of_profiles_are_merged() {
    let mut world = World::with_running_in_two(&[], &[]);
    assert_eq!(
        world.press("R"),
        [ACME, STAGING].map(|profile| Effect::SendToPoller(profile, PollerCommand::ListRecentSessions))
    );
    report_recent_from(&mut world, ACME, vec![created_at("a1", 1.0), created_at("a3", 3.0)]);
    assert_eq!(recent_ids(&world), ["a3", "a1"]);
    world.press("j");
    report_recent_from(&mut world, STAGING, vec![created_at("s2", 2.0), created_at("s4", 4.0)]);
    assert_eq!(
        (recent_ids(&world), world.model.recent.selected),
        (["s4", "a3", "s2", "a1"].into(), 3),
        "a1 stays selected"
    );
    world.press("k");
    assert_eq!(world.key(KeyCode::Enter), [Effect::SendToPoller(STAGING, PollerCommand::Watch(id("s2")))]);
    assert!(world.model.profiles.get(ACME).tracker.get(&id("s2")).is_none());
    world.press("R");
    world.report_from(STAGING, Request::RecentSessions, Err(ApiErrorKind::ApiKeyRejected.into()));
    report_recent_from(&mut world, ACME, vec![created_at("a5", 5.0)]);
    assert_eq!(
        recent_ids(&world),
        ["a5", "s4", "s2"],
        "a failed request keeps the old sessions of its profile"
    );
    let screen = view::screen_text(&world.model, (120, 40), moment(1.0));
    assert!(
        screen.contains("staging: could not be listed") && screen.contains("of all profiles"),
        "{screen}"
    );
}

#[test]
fn sleep_reaches_every_profile() {
    let mut world = World::with_running_in_two(&["a"], &["s"]);
    world.now = 100.0;
    let effects = world.send(Message::Slept(moment(1.0), moment(100.0)));
    assert_eq!(effects, [Effect::SendToAllPollers(PollerCommand::Reconnect)]);
    let profiles_with = |world: &World, event_name| {
        let events = world.events().into_iter().filter(|(_, name)| *name == event_name);
        events.map(|(profile, _)| profile).collect::<Vec<_>>()
    };
    assert_eq!(profiles_with(&world, "slept"), [ACME, STAGING]);
    world.tick(moment(600.0)); // both sessions have five minutes left
    assert_eq!(profiles_with(&world, "flagged"), [ACME, STAGING]);
}

#[test]
fn countdowns_tick_together_despite_clock_skew() {
    let mut world = World::with_running_in_two(&[], &[]);
    // Each response has the server's date. The clock of the second server is 90.4 s ahead.
    for (profile, ahead) in [(ACME, 0.0), (STAGING, 90.4)] {
        for tenth in 0_u32..40 {
            let now = 2.0 + f64::from(tenth) / 10.0;
            let server = at((now + ahead).floor());
            let report = Report {
                request: Request::List(List::Running),
                sent: moment(now),
                received: moment(now),
                date: Some(server),
                age: Duration::ZERO,
                bytes: 0,
                rate_limit: None,
                result: Ok(ResponseBody::List(SessionList::default())),
                next_request: None,
            };
            update(&mut world.model, Message::Report(profile, Box::new(report)), moment(now));
        }
    }
    let profiles = &world.model.profiles;
    let offset = profiles.profile_time(STAGING, moment(9.3)) - profiles.profile_time(ACME, moment(9.3));
    assert_eq!(offset, chrono::TimeDelta::seconds(90), "whole seconds, so that both tick together");
    assert_eq!(profiles.profile_time(ACME, moment(9.3)), world.model.server_time(moment(9.3)));
}

#[test]
fn narrow_header_names_only_full_project() {
    let mut world = World::with_running_in_two(&["a", "b"], &["s"]);
    for (profile, slots) in [(ACME, 2), (STAGING, 5)] {
        let project = Project {
            id: Untrusted::new("p"),
            name: Untrusted::new("p"),
            default_timeout: None,
            concurrency: Some(slots),
        };
        world.report_from(profile, Request::Projects, Ok(ResponseBody::Projects(vec![project])));
    }
    let screen = view::screen_text(&world.model, (120, 40), moment(1.0));
    assert!(screen.contains("slots acme 2/2 FULL · staging 1/5"), "{screen}");
    assert!(screen.contains("acme: all slots used; next frees at 12:15:00 (a)"), "{screen}");
    let narrow = view::screen_text(&world.model, (50, 24), moment(1.0));
    assert!(narrow.contains("acme 2/2 FULL") && !narrow.contains("1/5"), "{narrow}");
}

#[test]
fn time_left_sort_ignores_clock_skew() {
    let mut world = World::with_running_in_two(&[], &[]);
    // The clock of the second server is ten minutes ahead, so each of its expiries is ten minutes later.
    for (profile, ahead, names) in [(ACME, 0.0, ["a-60", "a-180"]), (STAGING, 600.0, ["s-30", "s-120"])] {
        for round in 0..3_u32 {
            let now = 2.0 + f64::from(round);
            let sessions = names.map(|name| {
                // The number in the name is the timeout in seconds.
                let timeout: u64 = name[2..].parse().unwrap();
                running_session(name, at(ahead), Duration::from_secs(timeout))
            });
            let report = Report {
                request: Request::List(List::Running),
                sent: moment(now),
                received: moment(now),
                date: Some(at((now + ahead).floor())),
                age: Duration::ZERO,
                bytes: 0,
                rate_limit: None,
                result: Ok(ResponseBody::List(SessionList { sessions: sessions.into(), malformed: 0 })),
                next_request: None,
            };
            update(&mut world.model, Message::Report(profile, Box::new(report)), moment(now));
        }
    }
    assert_eq!(world.rows(), ["s-30", "a-60", "s-120", "a-180"]);
    world.press("S");
    assert_eq!(world.rows(), ["a-180", "s-120", "a-60", "s-30"]);
}
