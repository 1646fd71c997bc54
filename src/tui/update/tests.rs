use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::text_input::MAX_FILTER_CHARS;
use super::super::url_requests::MAX_PENDING;
use super::*;
use crate::api::ReleasePermission;
use crate::api::{SessionList, SessionWithUrls};
use crate::poll::{Request, ResponseBody};
use crate::tui::event_loop::{lay_out, update};
use crate::tui::keymap::Copyable;
use crate::tui::{DetailsSection, EventRef, Pane, ProfileId, ProfileInfo, Settings, SortColumn, Theme, view};
use keepwatch_core::clock::Zone;
use keepwatch_core::clock::{Timestamp, saturating_add};
use keepwatch_core::session::{
    ApiError, ApiErrorKind, ConnectUrls, List, Project, Secret, Session, SessionId, Status,
};
use keepwatch_core::testing::{at as t, id, moment, running_session};
use keepwatch_core::text::Untrusted;

mod alerts;
mod idle;
mod layout;
mod profiles;
mod release;
mod time;

const CANARY: &str = "wss://connect.example/?signingKey=cAnArY";

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn settings(targets: Targets) -> Settings {
    Settings {
        targets,
        theme: Theme::colored(),
        can_open_browser: true,
        release_permission: ReleasePermission::unless_read_only(false),
        version: "0.1.0".into(),
        ..Settings::default()
    }
}

/// A session that runs from noon on.
fn session(text: &str, timeout: u64) -> Session {
    running_session(text, t(0.0), Duration::from_secs(timeout))
}

fn ended_session(text: &str, status: Status) -> Session {
    Session { status, ended: Some(t(0.5)), ..session(text, 900) }
}

/// A model and the time. Effects that set the title, which is the view's, are left out.
struct World {
    model: Model,
    now: f64,
}

impl World {
    fn watching(targets: Targets) -> Self {
        Self::from_model(Model::new(settings(targets), ProfileInfo::default(), Vec::new(), (100, 40)))
    }

    /// Starts as the event loop does.
    fn from_model(mut model: Model) -> Self {
        model.start(moment(0.0));
        lay_out(&mut model, moment(0.0));
        Self { model, now: 0.0 }
    }

    /// Watches all; these run, each so many seconds, seen at 1 s.
    fn with_running(sessions: &[(&str, u64)]) -> Self {
        let mut world = Self::watching(Targets::All);
        world.now = 1.0;
        world.report_list(sessions.iter().map(|(text, timeout)| session(text, *timeout)).collect());
        world
    }

    fn with_named(texts: &[&str]) -> Self {
        Self::watching(Targets::Ids(texts.iter().map(|text| id(text)).collect()))
    }

    fn send(&mut self, message: Message) -> Vec<Effect> {
        let effects = update(&mut self.model, message, moment(self.now));
        effects.into_iter().filter(|effect| !matches!(effect, Effect::Title(_))).collect()
    }

    fn tick(&mut self, now: Moment) -> Vec<Effect> {
        let effects = self.model.on_tick(now);
        lay_out(&mut self.model, now);
        effects
    }

    fn select_row(&mut self, row: usize) {
        self.model.table.select_row(row);
        lay_out(&mut self.model, moment(self.now));
    }

    fn report(&mut self, request: Request, outcome: Result<ResponseBody, ApiError>) -> Vec<Effect> {
        self.report_from(ProfileId::FIRST, request, outcome)
    }

    fn report_from(
        &mut self,
        profile: ProfileId,
        request: Request,
        outcome: Result<ResponseBody, ApiError>,
    ) -> Vec<Effect> {
        let (sent, received) = (moment((self.now - 0.1).max(0.0)), moment(self.now));
        let next = outcome.is_err().then(|| moment(self.now + 6.0));
        self.send(Message::Report(
            profile,
            Box::new(Report {
                request,
                sent,
                received,
                date: None,
                bytes: 0,
                rate_limit: None,
                result: outcome,
                next_attempt: next,
            }),
        ))
    }

    fn report_list(&mut self, sessions: Vec<Session>) {
        let listing = SessionList { sessions, malformed: 0 };
        self.report(Request::List(List::Running), Ok(ResponseBody::List(listing)));
    }

    fn report_session(&mut self, session: Session) {
        self.report(Request::Session(session.id.clone()), Ok(ResponseBody::Session(session)));
    }

    fn report_urls(&mut self, text: &str, urls: ConnectUrls) -> Vec<Effect> {
        let fresh = SessionWithUrls { session: session(text, 900), urls };
        self.report(Request::ConnectUrls(id(text)), Ok(ResponseBody::ConnectUrls(fresh)))
    }

    fn key(&mut self, code: KeyCode) -> Vec<Effect> {
        self.send(Message::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    fn ctrl(&mut self, letter: char) -> Vec<Effect> {
        self.send(Message::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)))
    }

    /// Presses these letters, and gives the effects of the last.
    fn press(&mut self, letters: &str) -> Vec<Effect> {
        letters.chars().map(|letter| self.key(KeyCode::Char(letter))).last().unwrap_or_default()
    }

    fn rows(&self) -> Vec<&str> {
        self.model.table.rows().visible(0, usize::MAX).map(|id| id.raw()).collect()
    }

    fn selected(&self) -> Option<&str> {
        self.model.table.selected().map(SessionId::raw)
    }

    fn notice(&self) -> &str {
        self.model.notice.as_ref().map_or("", |notice| &notice.text)
    }

    /// Returns the profile and the name of each event, the oldest first.
    fn events(&self) -> Vec<(ProfileId, &'static str)> {
        let mut events: Vec<_> =
            self.model.profiles.newest_events().map(|(place, it)| (place.profile, it.kind.name())).collect();
        events.reverse();
        events
    }

    fn pane(&self) -> Option<Pane> {
        if let Focus::Pane(pane) = self.model.focus { Some(pane) } else { None }
    }

    /// How long until the screen differs by itself, in seconds.
    fn seconds_to_next_change(&self) -> Option<f64> {
        let at = self.model.next_change(moment(self.now))?;
        Some(((at.as_secs_f64() - self.now) * 1000.0).round() / 1000.0)
    }
}

fn urls() -> ConnectUrls {
    let secret = |text: &str| Some(Secret::new(text.into()));
    ConnectUrls {
        connect: secret(CANARY),
        selenium: secret("http://cAnArY"),
        signing_key: secret("cAnArY"),
        live_view: None,
    }
}

fn event_ref(seq: u64) -> EventRef {
    EventRef { profile: ProfileId::FIRST, seq }
}

fn timeout_error() -> ApiError {
    ApiErrorKind::Timeout.into()
}

fn fetch_urls_effects(text: &str) -> Vec<Effect> {
    vec![Effect::CommandPoller(ProfileId::FIRST, PollerCommand::FetchConnectUrls(id(text)))]
}

#[test]
fn named_sessions_have_their_rows_before_anything_is_seen() {
    let world = World::with_named(&["b", "a"]);
    assert_eq!(world.rows(), ["a", "b"]);
    assert_eq!(world.selected(), Some("a"));
    assert_eq!(World::watching(Targets::All).selected(), None);
}

#[test]
fn each_key_moves_the_selection_as_it_says_and_no_further_than_the_ends() {
    let names: Vec<String> = (10..99).map(|at| format!("s{at}")).collect();
    let rows: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 900)).collect();
    let mut world = World::with_running(&rows);
    let page = world.model.viewport().table_rows() - 1;
    let last = rows.len() - 1;
    for (from, code, to) in [
        (0, KeyCode::Char('j'), 1),
        (1, KeyCode::Down, 2),
        (2, KeyCode::Char('k'), 1),
        (1, KeyCode::Up, 0),
        (0, KeyCode::Up, 0),
        (0, KeyCode::PageDown, page),
        (page + 3, KeyCode::PageUp, 3),
        (3, KeyCode::PageUp, 0),
        (0, KeyCode::Char('G'), last),
        (last, KeyCode::Down, last),
        (last, KeyCode::PageDown, last),
        (last, KeyCode::Home, 0),
        (0, KeyCode::End, last),
        (last, KeyCode::Char('g'), 0),
    ] {
        world.select_row(from);
        assert_eq!(world.key(code), []);
        assert_eq!(
            world.model.table.rows().row_of(&id(world.selected().unwrap())),
            Some(to),
            "{code:?} from {from}"
        );
        let height = world.model.viewport().table_rows();
        assert!(
            (world.model.table.top()..world.model.table.top() + height).contains(&to),
            "{code:?} from {from}"
        );
    }
}

#[test]
fn the_selection_follows_its_session_when_rows_move() {
    let mut world = World::with_running(&[("a", 100), ("b", 200), ("c", 300)]);
    world.press("j");
    assert_eq!((world.rows(), world.selected()), (vec!["a", "b", "c"], Some("b")));
    world.now = 4.0;
    world.report_list(vec![session("a", 400), session("b", 500), session("c", 300), session("d", 50)]);
    assert_eq!((world.rows(), world.selected()), (vec!["d", "c", "a", "b"], Some("b")));
    world.press("s");
    assert_eq!(world.selected(), Some("b"));
}

#[test]
fn when_its_session_vanishes_the_selection_goes_to_the_row_in_its_place() {
    let mut world = World::with_running(&[("ax", 100), ("b", 200), ("cx", 300)]);
    world.press("j/x");
    assert_eq!((world.rows(), world.selected()), (vec!["ax", "cx"], Some("cx")));
    world.press("xx");
    assert_eq!((world.rows(), world.selected()), (vec![], None));
    world.key(KeyCode::Esc);
    assert_eq!(world.selected(), Some("ax"));
}

#[test]
fn a_screen_that_shrinks_keeps_the_selection_in_view_and_shows_no_empty_rows() {
    let names: Vec<String> = (10..60).map(|at| format!("s{at}")).collect();
    let rows: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 900)).collect();
    let mut world = World::with_running(&rows);
    world.press("G");
    for size in [(100, 40), (80, 24), (40, 12), (20, 5), (10, 1), (0, 0), (100, 40)] {
        world.send(Message::Resize(size.0, size.1));
        let height = world.model.viewport().table_rows().max(1);
        assert_eq!(world.model.table.top(), rows.len() - height, "{size:?}");
    }
}

#[test]
fn panes_open_and_close_and_escape_never_quits() {
    let mut world = World::with_running(&[("a", 100)]);
    for (code, pane) in [
        (KeyCode::Enter, Pane::FullDetails(DetailsSection::Fields)),
        (KeyCode::Esc, Pane::Table),
        (KeyCode::Tab, Pane::LowerDetails(DetailsSection::Fields)),
        (KeyCode::Tab, Pane::LowerDetails(DetailsSection::Timeline)),
        (KeyCode::Tab, Pane::Table),
        (KeyCode::Tab, Pane::LowerDetails(DetailsSection::Fields)),
        (KeyCode::Enter, Pane::FullDetails(DetailsSection::Fields)),
        (KeyCode::Esc, Pane::Table),
        (KeyCode::Esc, Pane::Table),
    ] {
        assert_eq!(world.key(code), []);
        assert_eq!(world.pane(), Some(pane));
    }
    for letter in ['?', '!'] {
        world.key(KeyCode::Enter);
        world.press(&letter.to_string());
        assert!(matches!(world.model.focus, Focus::Help { top: 0, .. } | Focus::Failures { top: 0, .. }));
        world.key(KeyCode::Down);
        assert_eq!(world.pane(), None, "it scrolls");
        assert_eq!(world.key(KeyCode::Char('q')), [], "and closes");
        assert_eq!(world.pane(), Some(Pane::FullDetails(DetailsSection::Fields)));
    }
    let mut empty = World::watching(Targets::All);
    empty.key(KeyCode::Enter);
    assert_eq!(empty.pane(), Some(Pane::Table), "there is nothing to open");
}

#[test]
fn quitting_repainting_and_suspending_work_wherever_the_keyboard_is() {
    for opening in ["", "/", "y", "?", "!"] {
        let mut world = World::with_running(&[("a", 100)]);
        world.press(opening);
        let before = world.pane();
        assert_eq!(world.ctrl('l'), [Effect::Repaint], "{opening}");
        assert_eq!(world.ctrl('z'), [Effect::Suspend], "{opening}");
        assert_eq!(world.pane(), before, "{opening}");
        assert_eq!(world.ctrl('c'), [Effect::Quit], "{opening}");
    }
    assert_eq!(World::with_running(&[]).press("q"), [Effect::Quit]);
    assert_eq!(World::with_running(&[]).key(KeyCode::F(5)), []);
}

#[test]
fn the_filter_works_while_it_is_typed_and_enter_keeps_it() {
    let mut world = World::with_running(&[("alpha", 100), ("beta", 200)]);
    assert_eq!(world.press("/"), [Effect::SetBracketedPaste(true)]);
    assert_eq!(world.press("BET"), [], "letters are no commands here");
    assert_eq!(world.rows(), ["beta"]);
    world.key(KeyCode::Backspace);
    assert_eq!(world.model.table.filter().text(), "BE");
    assert_eq!(world.key(KeyCode::Enter), [Effect::SetBracketedPaste(false)]);
    assert_eq!((world.pane(), world.rows()), (Some(Pane::Table), vec!["beta"]));
    // Another edit starts from it, and Esc goes back to it.
    world.press("/");
    world.ctrl('u');
    world.press("alp");
    assert_eq!(world.rows(), ["alpha"]);
    assert_eq!(world.key(KeyCode::Esc), [Effect::SetBracketedPaste(false)]);
    assert_eq!((world.model.table.filter().text(), world.rows()), ("BE", vec!["beta"]));
    world.key(KeyCode::Esc);
    assert_eq!((world.model.table.filter().text(), world.rows()), ("", vec!["alpha", "beta"]));
}

#[test]
fn a_paste_is_text_in_the_filter_and_nothing_elsewhere() {
    let mut world = World::with_running(&[("alpha", 100), ("beta", 200)]);
    assert_eq!(world.send(Message::Paste("q\n".into())), []);
    assert_eq!((world.pane(), world.model.table.filter().text()), (Some(Pane::Table), ""));
    world.press("/a");
    world.send(Message::Paste("l\u{1b}p\r\nha\t".into()));
    assert_eq!((world.model.table.filter().text(), world.rows()), ("alpha", vec!["alpha"]));
    world.key(KeyCode::Left);
    world.send(Message::Paste("🙂".into()));
    assert_eq!(world.model.table.filter().text(), "alph🙂a", "at the cursor");
}

#[test]
fn the_filter_has_an_end_by_every_way_in() {
    let mut world = World::with_running(&[("a", 100)]);
    world.press("/");
    world.send(Message::Paste("é".repeat(100_000)));
    assert_eq!(world.model.table.filter().text().chars().count(), MAX_FILTER_CHARS);
    world.press("xyz");
    world.send(Message::Paste("x".into()));
    world.ctrl('u');
    for _ in 0..5 {
        world.ctrl('y');
    }
    assert_eq!(world.model.table.filter().text(), "é".repeat(MAX_FILTER_CHARS));
    world.key(KeyCode::Backspace);
    world.press("x");
    assert!(world.model.table.filter().text().ends_with("éx"));
}

#[test]
fn a_filter_that_can_not_be_read_leaves_the_rows_and_stays_to_be_mended() {
    let mut world = World::with_running(&[("alpha", 100), ("beta", 200)]);
    let mistake = |world: &World| match &world.model.focus {
        Focus::Filter { error: mistake, .. } => mistake.clone(),
        _ => None,
    };
    world.press("/id:be");
    assert_eq!((world.rows(), mistake(&world)), (vec!["beta"], None));
    world.press(" foo:");
    assert_eq!(mistake(&world).map(|it| it.range), Some(6..9));
    assert_eq!((world.rows(), world.model.table.filter().text()), (vec![], "id:be foo"));
    world.key(KeyCode::Enter);
    assert!(mistake(&world).is_some(), "Enter does not lose it");
    (0..5).for_each(|_| drop(world.key(KeyCode::Backspace)));
    world.key(KeyCode::Enter);
    assert_eq!((world.pane(), world.rows()), (Some(Pane::Table), vec!["beta"]));
    world.press("/ keep:");
    world.key(KeyCode::Esc);
    assert_eq!((world.pane(), world.model.table.filter().text()), (Some(Pane::Table), "id:be"));
}

#[test]
fn a_session_is_added_by_what_has_its_id_and_stays_as_one_that_was_named() {
    let uuid = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
    let mut world = World::with_running(&[("alpha", 100)]);
    assert_eq!(world.press("a"), [Effect::SetBracketedPaste(true)]);
    world.send(Message::Paste(format!("x\nGET /v1/sessions/{uuid} 200\ny {}", "z".repeat(5000))));
    let effects = world.key(KeyCode::Enter);
    assert_eq!(
        effects,
        [Effect::SetBracketedPaste(false), Effect::CommandAllPollers(PollerCommand::Watch(id(uuid)))]
    );
    assert_eq!((world.selected(), world.pane()), (Some(uuid), Some(Pane::Table)));
    assert!(world.model.profiles.record(&id(uuid)).unwrap().is_named, "it stays");
    assert!(world.notice().contains("asking for 6512bd43"), "{}", world.notice());
    world.report(Request::Session(id(uuid)), Err(ApiErrorKind::NotFound.into()));
    assert_eq!(world.rows(), ["alpha", uuid], "what does not exist keeps its row");
    world.press("/alpha");
    world.key(KeyCode::Enter);
    world.press("a");
    world.press("beta-1");
    world.key(KeyCode::Enter);
    assert!(world.notice().contains("a filter hides it"), "{}", world.notice());
    assert_eq!(world.selected(), Some("alpha"));
}

#[test]
fn what_holds_no_id_stays_to_be_mended_and_esc_drops_it() {
    let mut world = World::with_running(&[("alpha", 100)]);
    world.press("a");
    world.press("no id here");
    assert_eq!(world.key(KeyCode::Enter), []);
    let typed = |world: &World| match &world.model.focus {
        Focus::AddSession { input: line, invalid: wrong, .. } => {
            Some((line.value().to_owned(), wrong.is_some()))
        }
        _ => None,
    };
    assert_eq!(typed(&world), Some(("no id here".into(), true)));
    world.press("!");
    assert_eq!(typed(&world), Some(("no id here!".into(), false)), "the sentence goes with the next letter");
    assert_eq!(world.key(KeyCode::Esc), [Effect::SetBracketedPaste(false)]);
    assert_eq!((world.pane(), world.rows()), (Some(Pane::Table), vec!["alpha"]));
}

#[test]
fn a_muted_session_has_no_row_and_its_flags_neither_count_nor_ring() {
    let mut world = World::with_running(&[("alpha", 100), ("beta", 200)]);
    world.model.settings.bell = true;
    assert_eq!(world.press("m"), []);
    assert_eq!((world.rows(), world.selected()), (vec!["beta"], Some("beta")));
    world.now = 2.0;
    let rings = |world: &mut World, text: &str| {
        let session = ended_session(text, Status::Error);
        let effects = world.report(Request::Session(session.id.clone()), Ok(ResponseBody::Session(session)));
        effects.contains(&Effect::RingBell)
    };
    assert!(!rings(&mut world, "alpha"));
    assert_eq!(
        (world.model.table.rows().counts().with_alerts, world.model.table.rows().counts().muted),
        (0, 1)
    );
    assert_eq!(world.model.table.rows().counts().error, 1, "it is counted as what it is");
    assert!(rings(&mut world, "beta"));
    world.press("mm");
    assert!(world.notice().contains("no session is selected"), "{}", world.notice());
    world.press("M");
    assert_eq!((world.rows().len(), world.model.table.rows().counts().with_alerts), (2, 2));
    assert!(world.notice().contains("2 sessions that were muted"), "{}", world.notice());
}

fn report_recent(world: &mut World, sessions: Vec<Session>) {
    let listing = SessionList { sessions, malformed: 0 };
    world.report(Request::RecentSessions, Ok(ResponseBody::RecentSessions(listing)));
}

#[test]
fn the_newest_sessions_are_asked_for_once_and_none_of_them_is_on_record_before_it_is_watched() {
    let mut world = World::with_running(&[("alpha", 100)]);
    world.press("/alpha");
    world.key(KeyCode::Enter);
    assert_eq!(world.press("R"), [Effect::CommandPoller(ProfileId::FIRST, PollerCommand::ListRecent)]);
    assert_eq!(world.press("R"), [], "one is on its way");
    let old = |text: &str, seconds: f64| Session {
        created: Some(t(seconds)),
        ..ended_session(text, Status::Completed)
    };
    report_recent(&mut world, (0..300).map(|at| old(&format!("s{at:03}"), f64::from(at))).collect());
    let recent = &world.model.recent;
    assert_eq!(
        (recent.sessions.len(), recent.oldest_response().unwrap().1, world.model.profiles.session_count()),
        (200, 300, 1)
    );
    assert_eq!(recent.sessions[0].session.id.raw(), "s299", "the newest first");
    world.press("jjk");
    let effects = world.key(KeyCode::Enter);
    assert_eq!(effects, [Effect::CommandPoller(ProfileId::FIRST, PollerCommand::Watch(id("s298")))]);
    assert_eq!(
        (world.pane(), world.selected()),
        (Some(Pane::FullDetails(DetailsSection::Fields)), Some("s298"))
    );
    assert!(world.model.profiles.record(&id("s298")).unwrap().is_named);
    world.press("R");
    assert_eq!(world.model.recent.selected, 1, "the page is as it was");
    world.key(KeyCode::Esc);
    assert_eq!(world.pane(), Some(Pane::Table));
}

#[test]
fn newest_sessions_that_can_not_be_had_say_why_and_trouble_nobody_else() {
    let mut world = World::with_running(&[("alpha", 100)]);
    world.press("R");
    world.report(Request::RecentSessions, Err(ApiErrorKind::RateLimited.into()));
    assert!(
        world.model.recent.requests[&ProfileId::FIRST].error.is_some() && !world.model.recent.is_pending()
    );
    assert!(world.model.profiles.first().tracker.health().failure_streak.is_none(), "the polls go on");
    world.press("c");
    assert!(world.notice().contains("Enter watches"), "{}", world.notice());
    assert_eq!(world.key(KeyCode::Enter), [], "there is nothing to watch");
    assert_eq!(world.press("r"), [Effect::CommandPoller(ProfileId::FIRST, PollerCommand::ListRecent)]);
    report_recent(&mut world, vec![session("beta", 5)]);
    assert!(world.model.recent.requests[&ProfileId::FIRST].error.is_none());
    world.press("?");
    world.key(KeyCode::Esc);
    assert_eq!(world.pane(), Some(Pane::Recent), "the help leads back");
}

#[test]
fn the_copy_menu_acts_on_the_session_it_was_opened_for() {
    let dashboard = "https://www.browserbase.com/sessions/b";
    let copy = |what, text: &str| vec![Effect::Copy(what, Secret::new(text.into()))];
    for (keys, effects) in [
        (vec![KeyCode::Char('i')], copy(Copyable::Id, "b")),
        (vec![KeyCode::Char('d')], copy(Copyable::Dashboard, dashboard)),
        (vec![KeyCode::Char('c')], fetch_urls_effects("b")),
        (vec![KeyCode::Char('s')], fetch_urls_effects("b")),
        (vec![KeyCode::Enter], copy(Copyable::Id, "b")),
        (vec![KeyCode::Down, KeyCode::Char('j'), KeyCode::Enter], fetch_urls_effects("b")),
        (vec![KeyCode::Down, KeyCode::Up, KeyCode::Char('k'), KeyCode::Enter], copy(Copyable::Id, "b")),
        (
            // To the last, the evidence, and back by one.
            vec![KeyCode::Down; 9].into_iter().chain([KeyCode::Up, KeyCode::Enter]).collect(),
            copy(Copyable::Dashboard, dashboard),
        ),
        (vec![KeyCode::Esc], vec![]),
        (vec![KeyCode::Char('q')], vec![]),
    ] {
        let mut world = World::with_running(&[("a", 100), ("b", 200)]);
        world.press("jy");
        // Meanwhile the rows move, and b is filtered out of sight or over; the menu stays.
        world.now = 4.0;
        world.report_list(vec![session("a", 300), session("b", 200), session("c", 50)]);
        let last = keys.len() - 1;
        keys[..last].iter().for_each(|code| assert_eq!(world.key(*code), []));
        assert_eq!(world.key(keys[last]), effects, "{keys:?}");
        assert_eq!((world.pane(), world.selected()), (Some(Pane::Table), Some("b")));
    }
}

#[test]
fn the_live_views_url_is_asked_for_and_copied_apart_from_the_connect_url() {
    let mut world = World::with_running(&[("a", 100)]);
    assert_eq!(
        world.press("yl"),
        [Effect::CommandPoller(ProfileId::FIRST, PollerCommand::FetchLiveView(id("a")))]
    );
    assert_eq!(world.press("c"), fetch_urls_effects("a"), "each has a request of its own");
    let urls = ConnectUrls {
        live_view: Some(Secret::new("https://live.example/?x".into())),
        ..ConnectUrls::default()
    };
    let copied = world.report(Request::LiveView(id("a")), Ok(ResponseBody::LiveView(urls)));
    assert_eq!(copied, [Effect::Copy(Copyable::LiveView, Secret::new("https://live.example/?x".into()))]);
    assert_eq!(world.model.url_requests.len(), 1, "the connect URL is still to come");
    world.press("yl");
    world.report(Request::LiveView(id("a")), Ok(ResponseBody::LiveView(ConnectUrls::default())));
    assert!(world.notice().contains("has no live view URL"), "{}", world.notice());
}

#[test]
fn a_copy_menu_whose_session_ended_meanwhile_says_so() {
    let mut world = World::with_running(&[("a", 100)]);
    world.press("y");
    world.report_session(ended_session("a", Status::Error));
    assert_eq!(world.press("s"), []);
    assert_eq!(world.notice(), "ended (ERROR): no Selenium URL");
}

#[test]
fn until_a_key_is_pressed_the_first_row_is_selected_whichever_it_is() {
    let ids: Vec<String> = (0..60).map(|place| format!("s-{place:02}")).collect();
    let sessions: Vec<(&str, u64)> = ids.iter().zip(100..).map(|(id, left)| (id.as_str(), left)).collect();
    let mut world = World::with_running(&sessions);
    assert_eq!((world.selected(), world.model.table.top()), (Some("s-00"), 0));
    world.now = 4.0;
    world.report_list(vec![session("s-59", 50), session("s-58", 60), session("s-00", 900)]);
    assert_eq!((world.selected(), world.model.table.top()), (Some("s-59"), 0));
    world.press("j");
    let chosen = world.selected().unwrap().to_owned();
    world.now = 7.0;
    world.report_list(vec![session("s-59", 950), session("s-58", 990), session("s-00", 30)]);
    assert_eq!(world.selected(), Some(chosen.as_str()), "then it stays on its session");
}

#[test]
fn a_url_or_an_id_that_a_shell_could_take_for_more_is_not_copied() {
    for bad in [
        "wss://c/?signingKey=K\u{1b}]52;c;SE9T\u{7}",
        "wss://c/?k=1\nrm -rf ~\n",
        "wss://c/ x",
        "wss://c/\u{202e}",
    ] {
        let mut world = World::with_running(&[("a", 100)]);
        world.key(KeyCode::Char('c'));
        let urls = ConnectUrls { connect: Some(Secret::new(bad.into())), ..ConnectUrls::default() };
        assert_eq!(world.report_urls("a", urls), [], "{bad:?}");
        assert!(world.notice().contains("no URL has"), "{}", world.notice());
    }
}

#[test]
fn a_connect_url_is_fetched_fresh_and_then_copied() {
    let mut world = World::with_running(&[("a", 100)]);
    assert_eq!(world.press("c"), fetch_urls_effects("a"));
    assert_eq!(world.notice(), "fetching a fresh connect URL…");
    let effects = world.report_urls("a", urls());
    assert_eq!(effects, [Effect::Copy(Copyable::Connect, Secret::new(CANARY.into()))]);
    assert!(!format!("{effects:?} {:?}", world.model).contains("cAnArY"));
    assert!((world.model.url_requests.len() == 0));
    world.send(Message::Copied("connect URL".into(), Ok("sent to the terminal".into())));
    let notice = world.model.notice.clone().unwrap();
    assert_eq!(
        (notice.text.as_str(), notice.level),
        ("connect URL sent to the terminal", NoticeLevel::Success)
    );
    assert_eq!(world.report_urls("a", urls()), [], "an answer that nobody waits for is copied nowhere");
}

#[test]
fn what_stands_in_the_way_of_a_copy_is_said() {
    let mut world = World::with_running(&[("a", 100)]);
    // The API leaves it out.
    world.press("c");
    assert_eq!(world.report_urls("a", ConnectUrls::default()), []);
    assert_eq!(world.notice(), "the API's answer has no connect URL");
    // The fetch fails.
    world.press("c");
    assert_eq!(world.report(Request::ConnectUrls(id("a")), Err(timeout_error())), []);
    assert_eq!(world.notice(), "the connect URL could not be fetched: the API did not answer in time");
    assert_eq!(world.model.notice.as_ref().unwrap().level, NoticeLevel::Error);
    assert!(
        world.model.profiles.first().tracker.health().failure_streak.is_none(),
        "that is no failure of the polls"
    );
    // It ended between the key and the answer.
    world.press("c");
    let fresh =
        SessionWithUrls { session: ended_session("a", Status::TimedOut), urls: ConnectUrls::default() };
    assert_eq!(world.report(Request::ConnectUrls(id("a")), Ok(ResponseBody::ConnectUrls(fresh))), []);
    assert_eq!(world.notice(), "ended (TIMED_OUT): no connect URL");
    // It has ended, as was known.
    assert_eq!(world.press("c"), []);
    assert_eq!(world.press("Y"), []);
    assert_eq!(world.notice(), "ended (TIMED_OUT): no connect URL");
    // There is none.
    let mut empty = World::watching(Targets::All);
    assert_eq!(
        (empty.press("c"), empty.press("Y"), empty.press("y"), empty.press("o")),
        (vec![], vec![], vec![], vec![])
    );
    assert_eq!(empty.notice(), "no session is selected");
}

#[test]
fn several_urls_may_be_on_their_way_and_each_goes_where_it_was_meant() {
    let mut world = World::with_running(&[("a", 100), ("b", 200)]);
    assert_eq!(world.press("c"), fetch_urls_effects("a"));
    assert_eq!(world.press("c"), [], "impatience asks no second time");
    assert_eq!(world.press("ys"), [], "nor does another entry: one answer serves both");
    assert_eq!(world.press("jc"), fetch_urls_effects("b"));
    assert_eq!(world.report_urls("b", urls()), [Effect::Copy(Copyable::Connect, Secret::new(CANARY.into()))]);
    let both = [
        Effect::Copy(Copyable::Connect, Secret::new(CANARY.into())),
        Effect::Copy(Copyable::Selenium, Secret::new("http://cAnArY".into())),
    ];
    assert_eq!(world.report_urls("a", urls()), both);
}

#[test]
fn so_many_urls_on_their_way_are_enough() {
    let names: Vec<String> = (0..20).map(|at| format!("s{at:02}")).collect();
    let rows: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 900)).collect();
    let mut world = World::with_running(&rows);
    let asked =
        rows.iter().map(|_| world.press("cj").len() + usize::from(world.notice().starts_with("fetching")));
    assert_eq!(asked.filter(|asked| *asked > 0).count(), MAX_PENDING);
    assert_eq!(world.model.url_requests.len(), MAX_PENDING);
    assert!(world.notice().starts_with("too many"));
}

#[test]
fn a_url_is_shown_for_thirty_seconds_or_until_any_key() {
    let mut world = World::with_running(&[("a", 900)]);
    world.key(KeyCode::Enter);
    assert_eq!(world.press("Y"), fetch_urls_effects("a"));
    world.now = 1.5;
    assert_eq!(world.report_urls("a", urls()), [], "it is not copied");
    assert!(matches!(&world.model.focus, Focus::Reveal { url, .. } if url.expose() == CANARY));
    assert!(!format!("{:?}", world.model).contains("cAnArY"));
    world.now = 31.2;
    world.tick(moment(world.now));
    assert_eq!(
        (world.pane(), world.seconds_to_next_change()),
        (None, Some(0.3)),
        "it goes at its time, not with the next second"
    );
    world.now = 31.5;
    world.tick(moment(world.now));
    assert_eq!(
        world.pane(),
        Some(Pane::FullDetails(DetailsSection::Fields)),
        "and leaves things as they were"
    );
    world.press("Y");
    world.report_urls("a", urls());
    assert_eq!(world.press("q"), []);
    assert_eq!(world.pane(), Some(Pane::FullDetails(DetailsSection::Fields)));
}

#[test]
fn a_url_does_not_take_the_keyboard_from_someone_who_types() {
    let mut world = World::with_running(&[("a", 900)]);
    world.press("Y/fil");
    world.report_urls("a", urls());
    assert_eq!(world.press("q"), []);
    assert_eq!(world.model.table.filter().text(), "filq");
    assert_eq!(world.notice(), "the connect URL came while you typed; Y shows it");
}

#[test]
fn the_dashboard_opens_or_its_link_is_copied() {
    let page = "https://www.browserbase.com/sessions/a";
    let mut world = World::with_running(&[("a", 900)]);
    assert_eq!(world.press("o"), [Effect::Open(page.into())]);
    world.send(Message::BrowserFailed("no browser".into()));
    assert_eq!(world.notice(), "no browser could be opened: no browser");
    world.model.settings.can_open_browser = false;
    assert_eq!(world.press("o"), [Effect::Copy(Copyable::Dashboard, Secret::new(page.into()))]);
}

#[test]
fn a_pause_holds_until_it_is_ended_by_hand() {
    let mut world = World::with_running(&[("a", 900)]);
    assert_eq!(world.press("p"), [Effect::CommandAllPollers(PollerCommand::Pause)]);
    let slept = Message::Slept(moment(1.0), moment(100.0));
    assert_eq!(
        world.send(slept),
        [Effect::CommandAllPollers(PollerCommand::Reconnect)],
        "new connections; the plan stays paused"
    );
    assert_eq!(world.notice(), "this machine slept; polling is still paused");
    assert_eq!(
        world.send(Message::Resumed),
        [Effect::Repaint, Effect::CommandAllPollers(PollerCommand::Pause)]
    );
    assert!(world.model.paused);
    assert_eq!(world.press(" "), [Effect::CommandAllPollers(PollerCommand::Resume)]);
    assert_eq!(world.press("p"), [Effect::CommandAllPollers(PollerCommand::Pause)]);
    assert_eq!(world.press("r"), [Effect::CommandAllPollers(PollerCommand::PollNow)]);
    assert!(!world.model.paused);
    assert_eq!(
        world.send(Message::Resumed),
        [Effect::Repaint, Effect::CommandAllPollers(PollerCommand::PollNow)]
    );
}

#[test]
fn a_refresh_says_when_there_is_nothing_to_refresh() {
    let mut world = World::with_named(&["a"]);
    world.press("r");
    assert_eq!(world.notice(), "asking again");
    world.report_session(ended_session("a", Status::Completed));
    world.press("r");
    assert_eq!(world.notice(), "nothing left to ask: every session has ended");
}

#[test]
fn sorting_goes_round_and_says_what_it_does() {
    let mut world = World::with_running(&[("a", 100), ("b", 200)]);
    world.press("S");
    assert_eq!((world.notice(), world.rows()), ("sorted by time left, reversed", vec!["b", "a"]));
    let mut seen = Vec::new();
    for _ in 0..7 {
        world.press("s");
        assert!(!world.model.table.sort().reversed);
        seen.push(world.model.table.sort().column.name());
    }
    assert_eq!(world.model.table.sort().column, SortColumn::TimeLeft);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 7);
    world.press("H");
    assert!(world.model.hide_metadata);
    world.press("H");
    assert!(!world.model.hide_metadata);
}

#[test]
fn every_report_counts_for_what_the_asking_costs() {
    let mut world = World::with_running(&[("a", 900)]);
    world.report(Request::Projects, Err(ApiErrorKind::NotFound.into()));
    world.report_session(session("a", 900));
    let spent = world.model.profiles.first().poll_stats.minute_totals().unwrap();
    assert_eq!(spent.requests, 3, "also what nothing is made of");
    assert_eq!(world.model.profiles.first().poll_stats.latency().unwrap().last, secs(0.1));
}

#[test]
fn clocks_that_differ_are_said_once() {
    for (ahead, said) in [(90.0, Some("behind")), (-90.0, Some("ahead of")), (20.0, None), (-20.0, None)] {
        let mut world = World::watching(Targets::All);
        let report = |at: f64| {
            let outcome = Ok(ResponseBody::List(SessionList::default()));
            let request = Request::List(List::Running);
            let date = Some(t(100.0 + at.floor() + ahead));
            let at = moment(100.0 + at);
            Message::Report(
                ProfileId::FIRST,
                Box::new(Report {
                    request,
                    sent: at,
                    received: at,
                    date,
                    bytes: 2,
                    rate_limit: None,
                    result: outcome,
                    next_attempt: None,
                }),
            )
        };
        world.send(report(1.0));
        assert_eq!(world.model.notice.is_some(), said.is_some(), "{ahead}");
        said.into_iter().for_each(|said| assert!(world.notice().contains(said), "{}", world.notice()));
        world.model.notice = None;
        world.send(report(4.0));
        assert_eq!(world.model.notice, None);
    }
}

#[test]
fn a_failing_poll_is_on_record_and_projects_that_can_not_be_had_are_not() {
    let mut world = World::with_running(&[("a", 900)]);
    for kind in [
        ApiErrorKind::NotFound,
        ApiErrorKind::ApiKeyRejected,
        ApiErrorKind::ConnectionRefused(Untrusted::new("h")),
    ] {
        world.report(Request::Projects, Err(kind.into()));
        assert!(world.model.profiles.first().tracker.health().failure_streak.is_none());
    }
    world.report(Request::Projects, Err(ApiErrorKind::RateLimited.into()));
    assert!(world.model.profiles.first().tracker.health().failure_streak.is_some(), "for that one holds all");
    world.now = 4.0;
    world.report(Request::List(List::Running), Err(timeout_error()));
    assert_eq!(
        world.model.profiles.first().tracker.health().failure_streak.as_ref().unwrap().error,
        timeout_error()
    );
    let project = Project {
        id: Untrusted::new("p"),
        name: Untrusted::new("acme"),
        default_timeout: None,
        concurrency: Some(25),
    };
    world.report(Request::Projects, Ok(ResponseBody::Projects(vec![project])));
    assert_eq!(world.model.profiles.first().tracker.projects().len(), 1);
}

#[test]
fn data_is_late_after_three_intervals_unless_nothing_is_to_come() {
    let late = |world: &World, now: f64| world.model.stale_data_age(ProfileId::FIRST, moment(now)).is_some();
    let mut world = World::with_running(&[("a", 900)]);
    assert!(!late(&world, 10.0), "nine seconds after the list");
    assert!(late(&world, 10.001));
    world.press("p");
    assert!(!late(&world, 100.0));
    let mut named = World::with_named(&["a", "b"]);
    assert!(!late(&named, 100.0), "nothing came yet: that is loading");
    named.now = 1.0;
    named.report_session(session("a", 900));
    assert!(late(&named, 100.0));
    named.report_session(ended_session("a", Status::Completed));
    named.report(Request::Session(id("b")), Err(ApiErrorKind::NotFound.into()));
    assert!(!late(&named, 100.0), "one has ended, and what does not exist is asked ever more rarely");
}

#[test]
fn the_screen_wakes_for_what_will_differ_and_for_nothing_else() {
    // All texts change with the server's whole seconds.
    let mut world = World::with_running(&[("a", 900)]);
    world.now = 1.25;
    assert_eq!(world.seconds_to_next_change(), Some(0.75), "a countdown under an hour");
    let mut world = World::with_running(&[("a", 7200)]);
    world.press("p");
    for (now, wait) in [(30.25, 29.75), (59.0, 1.0), (60.0, 1.0), (61.0, 59.0), (3599.5, 0.5), (3600.0, 1.0)]
    {
        world.now = now;
        // Its age and its time left, in minutes, change a second apart: 60 s of age, and less than 119m of time.
        assert_eq!(world.seconds_to_next_change(), Some(wait), "at {now}");
    }
    // Only what is in view counts, or is selected.
    let mut world = World::with_running(&[("hidden", 900), ("shown", 7200)]);
    world.press("p/shown");
    world.key(KeyCode::Enter);
    world.now = 10.5;
    assert_eq!(world.seconds_to_next_change(), Some(49.5));
}

#[test]
fn a_screen_that_will_not_change_sleeps() {
    let mut world = World::with_named(&["a", "b"]);
    assert_eq!(world.seconds_to_next_change(), None, "nothing was seen yet");
    world.now = 1.0;
    world.report_session(ended_session("a", Status::Completed));
    world.report_session(ended_session("b", Status::TimedOut));
    assert_eq!(world.seconds_to_next_change(), None, "all have ended");
    world.now = 5.25;
    world.press("r");
    assert_eq!(world.seconds_to_next_change(), Some(5.0), "a notice goes");
    world.now = 10.25;
    world.tick(moment(world.now));
    assert_eq!(world.seconds_to_next_change(), None);
    let mut pending = World::watching(Targets::All);
    pending.now = 1.0;
    pending.report_list(vec![Session {
        status: Status::Pending,
        started: None,
        created: None,
        ..session("a", 900)
    }]);
    pending.press("p");
    assert_eq!(pending.seconds_to_next_change(), None);
}

#[test]
fn the_screen_wakes_when_data_becomes_late_and_ticks_while_it_is() {
    let mut world = World::watching(Targets::All);
    world.now = 1.25;
    world.report_list(vec![]);
    assert_eq!(world.seconds_to_next_change(), Some(9.0));
    world.now = 10.25;
    assert_eq!(world.seconds_to_next_change(), Some(0.001), "on the edge it is not late yet");
    world.now = 10.26;
    assert_eq!(world.seconds_to_next_change(), Some(0.74));
    world.press("p");
    assert_eq!(world.seconds_to_next_change(), None);
}

#[test]
fn a_countdown_to_the_next_try_ticks_until_the_try() {
    let mut world = World::watching(Targets::All);
    world.now = 1.25;
    world.report(Request::List(List::Running), Err(timeout_error()));
    assert_eq!(world.seconds_to_next_change(), Some(0.75));
    world.now = 7.25;
    assert_eq!(world.seconds_to_next_change(), None, "it is being tried: only an answer changes anything");
}

#[test]
fn what_is_expiring_or_overdue_waits_for_its_reply() {
    let mut world = World::with_running(&[("a", 5)]);
    world.press("p");
    world.now = 5.5;
    assert_eq!(world.seconds_to_next_change(), Some(54.5), "only its age grows");
    world.report_session(session("a", 5));
    assert_eq!(world.seconds_to_next_change(), Some(54.5), "overdue is what the newest reply was");
}
