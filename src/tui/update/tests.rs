//! Tests of the model. Each test sends messages to the model, and checks the effects and the new state.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::text_input::MAX_FILTER_CHARS;
use super::super::url_requests::MAX_PENDING;
use super::*;
use crate::api::{ReleasePermission, SessionList, SessionWithUrls};
use crate::poll::{Request, ResponseBody};
use crate::tui::event_loop::{lay_out, update};
use crate::tui::keymap::Copyable;
use crate::tui::{DetailsSection, EventRef, Pane, ProfileId, ProfileInfo, Settings, SortColumn, Theme, view};
use keepwatch_core::clock::{Timestamp, Zone, saturating_add};
use keepwatch_core::session::{
    ApiError, ApiErrorKind, ConnectUrls, List, Project, Secret, Session, SessionId, Status,
};
use keepwatch_core::testing::{at, id, moment, running_session};
use keepwatch_core::text::Untrusted;

mod alerts;
mod away;
mod idle;
mod layout;
mod profiles;
mod release;
mod time;

/// A connect URL, with a signing key that no debug output may contain.
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

/// Returns a running session with the id `text`, which started at noon. The timeout is in seconds.
fn session(text: &str, timeout: u64) -> Session {
    running_session(text, at(0.0), Duration::from_secs(timeout))
}

/// Returns a session with the id `text`, which ended half a second after noon.
fn ended_session(text: &str, status: Status) -> Session {
    Session { status, ended: Some(at(0.5)), ..session(text, 900) }
}

/// A model and the current time.
struct World {
    model: Model,
    /// The seconds since noon.
    now: f64,
}

impl World {
    fn watching(targets: Targets) -> Self {
        Self::from_model(Model::new(settings(targets), ProfileInfo::default(), Vec::new(), (100, 40)))
    }

    /// Starts the model at noon, as the event loop does.
    fn from_model(mut model: Model) -> Self {
        model.start(moment(0.0));
        lay_out(&mut model, moment(0.0));
        Self { model, now: 0.0 }
    }

    /// Watches all sessions. At 1 s, a list has the running `sessions`: each has an id and a timeout in seconds.
    fn with_running(sessions: &[(&str, u64)]) -> Self {
        let mut world = Self::watching(Targets::All);
        world.now = 1.0;
        world.report_list(sessions.iter().map(|(text, timeout)| session(text, *timeout)).collect());
        world
    }

    /// Watches the sessions with these ids.
    fn with_named(texts: &[&str]) -> Self {
        Self::watching(Targets::Ids(texts.iter().map(|text| id(text)).collect()))
    }

    /// Sends the message to the model. Returns the effects, except those that set the title.
    fn send(&mut self, message: Message) -> Vec<Effect> {
        let effects = update(&mut self.model, message, moment(self.now));
        effects.into_iter().filter(|effect| !matches!(effect, Effect::SetTitle(_))).collect()
    }

    /// Lets the model handle the passing of time until `now`. Returns all effects. Does not change `self.now`.
    fn tick(&mut self, now: Moment) -> Vec<Effect> {
        let effects = self.model.on_tick(now);
        lay_out(&mut self.model, now);
        effects
    }

    fn select_row(&mut self, row: usize) {
        self.model.table.select_row(row);
        lay_out(&mut self.model, moment(self.now));
    }

    fn report(&mut self, request: Request, result: Result<ResponseBody, ApiError>) -> Vec<Effect> {
        self.report_from(ProfileId::FIRST, request, result)
    }

    /// Reports the result of a request that was sent 0.1 s ago. A failed request is retried in 6 s.
    fn report_from(
        &mut self,
        profile: ProfileId,
        request: Request,
        result: Result<ResponseBody, ApiError>,
    ) -> Vec<Effect> {
        let (sent, received) = (moment((self.now - 0.1).max(0.0)), moment(self.now));
        let next_request = result.is_err().then(|| moment(self.now + 6.0));
        self.send(Message::Report(
            profile,
            Box::new(Report {
                request,
                sent,
                received,
                date: None,
                age: Duration::ZERO,
                bytes: 0,
                rate_limit: None,
                result,
                next_request,
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
        let body = SessionWithUrls { session: session(text, 900), urls };
        self.report(Request::ConnectUrls(id(text)), Ok(ResponseBody::ConnectUrls(body)))
    }

    fn key(&mut self, code: KeyCode) -> Vec<Effect> {
        self.send(Message::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    fn ctrl(&mut self, letter: char) -> Vec<Effect> {
        self.send(Message::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)))
    }

    /// Presses these letters. Returns the effects of the last one.
    fn press(&mut self, letters: &str) -> Vec<Effect> {
        letters.chars().map(|letter| self.key(KeyCode::Char(letter))).last().unwrap_or_default()
    }

    fn rows(&self) -> Vec<&str> {
        self.model.table.rows().visible(0, usize::MAX).map(|id| id.raw()).collect()
    }

    fn selected(&self) -> Option<&str> {
        self.model.table.selected().map(SessionId::raw)
    }

    /// Returns the text of the notice, or an empty text if there is no notice.
    fn notice(&self) -> &str {
        self.model.notice.as_ref().map_or("", |notice| &notice.text)
    }

    /// Returns the profile and the name of each event, the oldest first.
    fn events(&self) -> Vec<(ProfileId, &'static str)> {
        let mut events: Vec<_> = self
            .model
            .profiles
            .newest_events()
            .map(|(event_ref, event)| (event_ref.profile, event.kind.name()))
            .collect();
        events.reverse();
        events
    }

    /// Returns the pane that receives keystrokes, or `None` if a popup or an input line receives them.
    fn focused_pane(&self) -> Option<Pane> {
        if let Focus::Pane(pane) = self.model.focus { Some(pane) } else { None }
    }

    /// Returns the seconds until the screen next changes without a message, rounded to milliseconds.
    fn seconds_to_next_change(&self) -> Option<f64> {
        let change_at = self.model.next_change(moment(self.now))?;
        Some(((change_at.as_secs_f64() - self.now) * 1000.0).round() / 1000.0)
    }
}

/// The URLs in a response. The signing key is part of two of them.
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
    vec![Effect::SendToPoller(ProfileId::FIRST, PollerCommand::FetchConnectUrls(id(text)))]
}

#[test]
fn named_sessions_have_rows_before_first_response() {
    let world = World::with_named(&["b", "a"]);
    assert_eq!(world.rows(), ["a", "b"]);
    assert_eq!(world.selected(), Some("a"));
    assert_eq!(
        World::watching(Targets::All).selected(),
        None,
        "a list has no rows before its first response"
    );
}

#[test]
fn movement_stops_at_first_and_last_row() {
    let names: Vec<String> = (10..99).map(|number| format!("s{number}")).collect();
    let sessions: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 900)).collect();
    let mut world = World::with_running(&sessions);
    let page = world.model.viewport().table_rows() - 1; // one row of the previous page stays visible
    let last = sessions.len() - 1;
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
            "{code:?} from {from}: the selected row is visible"
        );
    }
}

#[test]
fn selection_follows_its_session() {
    // The table is sorted by the time left.
    let mut world = World::with_running(&[("a", 100), ("b", 200), ("c", 300)]);
    world.press("j");
    assert_eq!((world.rows(), world.selected()), (vec!["a", "b", "c"], Some("b")));
    world.now = 4.0;
    world.report_list(vec![session("a", 400), session("b", 500), session("c", 300), session("d", 50)]);
    assert_eq!((world.rows(), world.selected()), (vec!["d", "c", "a", "b"], Some("b")));
    world.press("s");
    assert_eq!(world.selected(), Some("b"), "a new sort order keeps the selection");
}

#[test]
fn hidden_session_passes_selection_to_neighbour() {
    let mut world = World::with_running(&[("ax", 100), ("b", 200), ("cx", 300)]);
    world.press("j/x");
    assert_eq!((world.rows(), world.selected()), (vec!["ax", "cx"], Some("cx")));
    world.press("xx");
    assert_eq!((world.rows(), world.selected()), (vec![], None), "without rows, no session is selected");
    world.key(KeyCode::Esc);
    assert_eq!(world.selected(), Some("ax"), "the first of the rows that appear is selected");
}

#[test]
fn resize_keeps_last_row_at_bottom() {
    let names: Vec<String> = (10..60).map(|number| format!("s{number}")).collect();
    let sessions: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 900)).collect();
    let mut world = World::with_running(&sessions);
    world.press("G");
    for size in [(100, 40), (80, 24), (40, 12), (20, 5), (10, 1), (0, 0), (100, 40)] {
        world.send(Message::Resize(size.0, size.1));
        // Without room for a row, the table still scrolls to the last one.
        let height = world.model.viewport().table_rows().max(1);
        assert_eq!(world.model.table.top(), sessions.len() - height, "{size:?}");
    }
}

#[test]
fn panes_and_popups_close_without_quitting() {
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
        assert_eq!(world.focused_pane(), Some(pane));
    }
    for letter in ['?', '!'] {
        world.key(KeyCode::Enter);
        world.press(&letter.to_string());
        assert!(matches!(world.model.focus, Focus::Help { top: 0, .. } | Focus::Failures { top: 0, .. }));
        world.key(KeyCode::Down);
        assert_eq!(world.focused_pane(), None, "Down scrolls the popup");
        assert_eq!(world.key(KeyCode::Char('q')), [], "q closes the popup");
        assert_eq!(world.focused_pane(), Some(Pane::FullDetails(DetailsSection::Fields)));
    }
    let mut empty = World::watching(Targets::All);
    empty.key(KeyCode::Enter);
    assert_eq!(empty.focused_pane(), Some(Pane::Table), "an empty table has no details");
}

#[test]
fn control_keystrokes_work_in_every_focus() {
    for letters in ["", "/", "a", "y", "Y", "x", "?", "!"] {
        let mut world = World::with_running(&[("a", 100)]);
        world.press(letters);
        if letters == "Y" {
            world.report_urls("a", urls()); // opens the popup with the URL
        }
        let pane_before = world.focused_pane();
        assert_eq!(
            pane_before.is_some(),
            letters.is_empty(),
            "{letters:?}: each letter opens a popup or an input line"
        );
        assert_eq!(world.ctrl('l'), [Effect::Repaint], "{letters:?}");
        assert_eq!(world.ctrl('z'), [Effect::Suspend], "{letters:?}");
        assert_eq!(world.focused_pane(), pane_before, "{letters:?}");
        assert_eq!(world.ctrl('c'), [Effect::Quit], "{letters:?}");
    }
}

#[test]
fn q_quits_but_unbound_keystroke_does_nothing() {
    assert_eq!(World::with_running(&[]).press("q"), [Effect::Quit]);
    assert_eq!(World::with_running(&[]).key(KeyCode::F(5)), []);
}

#[test]
fn filter_applies_while_it_is_typed() {
    let mut world = World::with_running(&[("alpha", 100), ("beta", 200)]);
    assert_eq!(world.press("/"), []);
    assert_eq!(world.press("BET"), [], "letters are text, not commands");
    assert_eq!(world.rows(), ["beta"]);
    world.key(KeyCode::Backspace);
    assert_eq!(world.model.table.filter().text(), "BE");
    assert_eq!(world.key(KeyCode::Enter), []);
    assert_eq!((world.focused_pane(), world.rows()), (Some(Pane::Table), vec!["beta"]));
    // The next edit starts from this filter, and Esc restores it.
    world.press("/");
    world.ctrl('u');
    world.press("alp");
    assert_eq!(world.rows(), ["alpha"]);
    assert_eq!(world.key(KeyCode::Esc), []);
    assert_eq!((world.model.table.filter().text(), world.rows()), ("BE", vec!["beta"]));
    world.key(KeyCode::Esc);
    assert_eq!((world.model.table.filter().text(), world.rows()), ("", vec!["alpha", "beta"]));
}

#[test]
fn paste_is_inserted_into_the_filter() {
    let mut world = World::with_running(&[("alpha", 100), ("beta", 200)]);
    world.press("/a");
    world.send(Message::Paste("l\u{1b}p\r\nha\t".into()));
    assert_eq!(
        (world.model.table.filter().text(), world.rows()),
        ("alpha", vec!["alpha"]),
        "control characters and line breaks are left out"
    );
    world.key(KeyCode::Left);
    world.send(Message::Paste("🙂".into()));
    assert_eq!(world.model.table.filter().text(), "alph🙂a", "the text is inserted at the cursor");
}

#[test]
fn letters_of_other_layouts_act_by_position() {
    let mut world = World::with_running(&[("alpha", 100), ("beta", 200)]);
    world.press("о"); // the J key of a Russian keyboard
    assert_eq!(world.selected(), Some("beta"));
    world.press("κ"); // the K key of a Greek keyboard
    assert_eq!(world.selected(), Some("alpha"));
    world.press("/сё");
    assert_eq!(world.model.table.filter().text(), "сё", "text stays as it is typed");
    world.key(KeyCode::Esc);
    assert_eq!(world.press("й"), [Effect::Quit]); // the Q key of a Russian keyboard
    assert_eq!(
        World::with_running(&[]).ctrl('с'),
        [Effect::Quit],
        "Ctrl with the Cyrillic letter С, as in the kitty protocol"
    );
}

#[test]
fn pasted_secret_is_not_inserted() {
    let url = "wss://connect.usw2.browserbase.com/?signingKey=eyJhbGciOiJSIG";
    for open in ["/", "a"] {
        let mut world = World::with_running(&[("alpha", 100)]);
        world.press(open);
        world.send(Message::Paste(url.into()));
        assert!(!format!("{:?}", world.model.focus).contains("eyJ"), "{open:?}");
        assert_eq!(world.notice(), "pasted text ignored: it looks like a secret");
    }
}

#[test]
fn pasted_words_are_ignored_with_a_notice() {
    let mut world = World::with_running(&[("alpha", 100), ("beta", 200)]);
    for text in ["checkout-qa", "q\n", "c", "two words", "", "\u{1b}[A", "x\rabcd\r"] {
        assert_eq!(world.send(Message::Paste(text.into())), [], "{text:?}");
        assert_eq!((world.focused_pane(), world.selected()), (Some(Pane::Table), Some("alpha")), "{text:?}");
        assert!(world.notice().contains("pasted text"), "{text:?}");
    }
    for keys in ["?", "!", "y", "x"] {
        world.press(keys);
        assert_eq!(world.send(Message::Paste("lpha\r".into())), [], "{keys}");
        assert_eq!(world.notice(), "pasted text is ignored here", "{keys}");
        world.key(KeyCode::Esc);
    }
}

#[test]
fn pasted_id_selects_its_session() {
    let mut world = World::with_running(&[("alpha", 100), ("beta", 200)]);
    world.send(Message::Paste(" beta\n".into()));
    assert_eq!((world.selected(), world.focused_pane()), (Some("beta"), Some(Pane::Table)));
    world.press("e");
    world.send(Message::Paste("https://www.browserbase.com/sessions/alpha".into()));
    assert_eq!(world.selected(), Some("beta"), "only a UUID is found in a URL");
    world.send(Message::Paste("alpha".into()));
    assert_eq!((world.selected(), world.focused_pane()), (Some("alpha"), Some(Pane::Table)));
    world.press("/beta");
    world.key(KeyCode::Enter);
    world.send(Message::Paste("alpha".into()));
    assert_eq!(world.selected(), Some("beta"), "a hidden session is not selected");
    assert!(world.notice().contains("a filter hides it"));
}

#[test]
fn pasted_unknown_uuid_is_offered_to_be_watched() {
    let uuid = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
    let mut world = World::with_running(&[("alpha", 100)]);
    let log_line = format!("21:04:02 INFO session={uuid} project: started");
    assert_eq!(world.send(Message::Paste(log_line)), [], "nothing is watched without a keystroke");
    assert!(matches!(&world.model.focus, Focus::AddSession { input, .. } if input.value() == uuid));
    assert_eq!(world.key(KeyCode::Enter), [Effect::SendToAllPollers(PollerCommand::Watch(id(uuid)))]);
    assert_eq!(world.selected(), Some(uuid));
    world.send(Message::Paste(format!("{uuid} 45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff")));
    assert!(world.notice().contains("2 ids"), "text with two ids is ignored: {}", world.notice());
}

#[test]
fn filter_length_is_limited() {
    let mut world = World::with_running(&[("a", 100)]);
    world.press("/");
    world.send(Message::Paste("é".repeat(100_000)));
    assert_eq!(world.model.table.filter().text().chars().count(), MAX_FILTER_CHARS);
    world.press("xyz");
    world.send(Message::Paste("x".into()));
    // Ctrl-U cuts the text, and Ctrl-Y inserts it.
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
fn input_line_of_invalid_filter_stays_open() {
    let mut world = World::with_running(&[("alpha", 100), ("beta", 200)]);
    let filter_error = |world: &World| match &world.model.focus {
        Focus::Filter { error, .. } => error.clone(),
        _ => None,
    };
    world.press("/id:be");
    assert_eq!((world.rows(), filter_error(&world)), (vec!["beta"], None));
    world.press(" foo:");
    assert_eq!(filter_error(&world).map(|error| error.range), Some(6..9), "the place of `foo`");
    assert_eq!(
        (world.rows(), world.model.table.filter().text()),
        (vec![], "id:be foo"),
        "the last valid text applies, and it matches no session"
    );
    world.key(KeyCode::Enter);
    assert!(filter_error(&world).is_some(), "Enter keeps an invalid filter open");
    (0..5).for_each(|_| drop(world.key(KeyCode::Backspace))); // deletes ` foo:`
    world.key(KeyCode::Enter);
    assert_eq!((world.focused_pane(), world.rows()), (Some(Pane::Table), vec!["beta"]));
    world.press("/ keep:");
    world.key(KeyCode::Esc);
    assert_eq!(
        (world.focused_pane(), world.model.table.filter().text()),
        (Some(Pane::Table), "id:be"),
        "Esc restores the filter"
    );
}

#[test]
fn pasted_log_line_adds_its_session() {
    let uuid = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
    let mut world = World::with_running(&[("alpha", 100)]);
    assert_eq!(world.press("a"), []);
    world.send(Message::Paste(format!("x\nGET /v1/sessions/{uuid} 200\ny {}", "z".repeat(5000))));
    let effects = world.key(KeyCode::Enter);
    assert_eq!(effects, [Effect::SendToAllPollers(PollerCommand::Watch(id(uuid)))]);
    assert_eq!((world.selected(), world.focused_pane()), (Some(uuid), Some(Pane::Table)));
    assert!(world.model.profiles.record(&id(uuid)).unwrap().is_named, "the session counts as named");
    assert!(world.notice().contains("asking for 6512bd43"), "{}", world.notice());
    world.report(Request::Session(id(uuid)), Err(ApiErrorKind::NotFound.into()));
    assert_eq!(world.rows(), ["alpha", uuid], "a session that is not found keeps its row");
}

#[test]
fn filter_may_hide_added_session() {
    let mut world = World::with_running(&[("alpha", 100)]);
    world.press("/alpha");
    world.key(KeyCode::Enter);
    world.press("a");
    world.press("beta-1");
    world.key(KeyCode::Enter);
    assert!(world.notice().contains("a filter hides it"), "{}", world.notice());
    assert_eq!(world.selected(), Some("alpha"));
}

#[test]
fn input_line_without_id_stays_open() {
    let mut world = World::with_running(&[("alpha", 100)]);
    world.press("a");
    world.press("no id here");
    assert_eq!(world.key(KeyCode::Enter), []);
    let text_and_has_error = |world: &World| match &world.model.focus {
        Focus::AddSession { input, invalid, .. } => Some((input.value().to_owned(), invalid.is_some())),
        _ => None,
    };
    assert_eq!(text_and_has_error(&world), Some(("no id here".into(), true)));
    world.press("!");
    assert_eq!(text_and_has_error(&world), Some(("no id here!".into(), false)), "an edit removes the error");
    assert_eq!(world.key(KeyCode::Esc), []);
    assert_eq!((world.focused_pane(), world.rows()), (Some(Pane::Table), vec!["alpha"]));
}

#[test]
fn muted_session_has_no_alerts() {
    let mut world = World::with_running(&[("alpha", 100), ("beta", 200)]);
    world.model.settings.bell = true;
    assert_eq!(world.press("m"), []);
    assert_eq!((world.rows(), world.selected()), (vec!["beta"], Some("beta")), "a muted session has no row");
    world.now = 2.0;
    let end_rings_bell = |world: &mut World, text: &str| {
        let session = ended_session(text, Status::Error);
        let effects = world.report(Request::Session(session.id.clone()), Ok(ResponseBody::Session(session)));
        effects.contains(&Effect::RingBell)
    };
    assert!(!end_rings_bell(&mut world, "alpha"), "the end of a muted session rings no bell");
    assert_eq!(
        (world.model.table.rows().counts().with_alerts, world.model.table.rows().counts().muted),
        (0, 1)
    );
    assert_eq!(world.model.table.rows().counts().error, 1, "a muted session is counted by its status");
    assert!(end_rings_bell(&mut world, "beta"));
    world.press("mm"); // the first m mutes beta, so nothing is left to select
    assert!(world.notice().contains("no session is selected"), "{}", world.notice());
    world.press("M");
    let with_alerts = world.model.table.rows().counts().with_alerts;
    assert_eq!((world.rows().len(), with_alerts), (2, 2), "M shows the sessions again, with their alerts");
    assert!(world.notice().contains("2 sessions that were muted"), "{}", world.notice());
}

fn report_recent(world: &mut World, sessions: Vec<Session>) {
    let listing = SessionList { sessions, malformed: 0 };
    world.report(Request::RecentSessions, Ok(ResponseBody::RecentSessions(listing)));
}

#[test]
fn recent_session_is_watched_after_enter() {
    let mut world = World::with_running(&[("alpha", 100)]);
    world.press("/alpha");
    world.key(KeyCode::Enter);
    assert_eq!(world.press("R"), [Effect::SendToPoller(ProfileId::FIRST, PollerCommand::ListRecentSessions)]);
    assert_eq!(world.press("R"), [], "a request is already in flight");
    let created_at = |text: &str, seconds: f64| Session {
        created: Some(at(seconds)),
        ..ended_session(text, Status::Completed)
    };
    let sessions = (0..300).map(|second| created_at(&format!("s{second:03}"), f64::from(second)));
    report_recent(&mut world, sessions.collect());
    let recent = &world.model.recent;
    // The page keeps 200 of the 300 sessions. None of them is in the table yet.
    assert_eq!(
        (recent.sessions.len(), recent.time_and_total().unwrap().1, world.model.profiles.session_count()),
        (200, 300, 1)
    );
    assert_eq!(recent.sessions[0].session.id.raw(), "s299", "the newest session is first");
    world.press("jjk");
    let effects = world.key(KeyCode::Enter);
    assert_eq!(effects, [Effect::SendToPoller(ProfileId::FIRST, PollerCommand::Watch(id("s298")))]);
    assert_eq!(
        (world.focused_pane(), world.selected()),
        (Some(Pane::FullDetails(DetailsSection::Fields)), Some("s298"))
    );
    assert!(world.model.profiles.record(&id("s298")).unwrap().is_named);
    world.press("R");
    assert_eq!(world.model.recent.selected, 1, "the page keeps its selection");
    world.key(KeyCode::Esc);
    assert_eq!(world.focused_pane(), Some(Pane::Table));
}

#[test]
fn failed_recent_request_affects_only_its_page() {
    let mut world = World::with_running(&[("alpha", 100)]);
    world.press("R");
    world.report(Request::RecentSessions, Err(ApiErrorKind::RateLimited.into()));
    assert!(
        world.model.recent.requests[&ProfileId::FIRST].error.is_some() && !world.model.recent.is_pending()
    );
    assert!(world.model.profiles.first().tracker.health().failure_streak.is_none(), "polling continues");
    world.press("c"); // copies only the URL of a watched session
    assert!(world.notice().contains("Enter watches"), "{}", world.notice());
    assert_eq!(world.key(KeyCode::Enter), [], "on an empty page, Enter does nothing");
    assert_eq!(world.press("r"), [Effect::SendToPoller(ProfileId::FIRST, PollerCommand::ListRecentSessions)]);
    report_recent(&mut world, vec![session("beta", 5)]);
    assert!(world.model.recent.requests[&ProfileId::FIRST].error.is_none());
    world.press("?");
    world.key(KeyCode::Esc);
    assert_eq!(world.focused_pane(), Some(Pane::Recent), "closing the help returns to the page");
}

#[test]
fn copy_menu_keeps_its_session() {
    let dashboard = "https://www.browserbase.com/sessions/b";
    let copy = |copyable, text: &str| vec![Effect::Copy(copyable, Secret::new(text.into()))];
    for (codes, effects) in [
        (vec![KeyCode::Char('i')], copy(Copyable::Id, "b")),
        (vec![KeyCode::Char('d')], copy(Copyable::Dashboard, dashboard)),
        (vec![KeyCode::Char('c')], fetch_urls_effects("b")),
        (vec![KeyCode::Char('s')], fetch_urls_effects("b")),
        (vec![KeyCode::Enter], copy(Copyable::Id, "b")),
        (vec![KeyCode::Down, KeyCode::Char('j'), KeyCode::Enter], fetch_urls_effects("b")),
        (vec![KeyCode::Down, KeyCode::Up, KeyCode::Char('k'), KeyCode::Enter], copy(Copyable::Id, "b")),
        (
            // Moves to the last line of the menu, the evidence, and then up by one.
            vec![KeyCode::Down; 9].into_iter().chain([KeyCode::Up, KeyCode::Enter]).collect(),
            copy(Copyable::Dashboard, dashboard),
        ),
        (vec![KeyCode::Esc], vec![]),
        (vec![KeyCode::Char('q')], vec![]),
    ] {
        let mut world = World::with_running(&[("a", 100), ("b", 200)]);
        world.press("jy");
        // The rows move while the menu is open. The menu keeps its session.
        world.now = 4.0;
        world.report_list(vec![session("a", 300), session("b", 200), session("c", 50)]);
        let (last_code, earlier_codes) = codes.split_last().unwrap();
        earlier_codes.iter().for_each(|code| assert_eq!(world.key(*code), []));
        assert_eq!(world.key(*last_code), effects, "{codes:?}");
        assert_eq!((world.focused_pane(), world.selected()), (Some(Pane::Table), Some("b")));
    }
}

#[test]
fn live_view_url_has_its_own_request() {
    let mut world = World::with_running(&[("a", 100)]);
    assert_eq!(
        world.press("yl"),
        [Effect::SendToPoller(ProfileId::FIRST, PollerCommand::FetchLiveView(id("a")))]
    );
    assert_eq!(world.press("c"), fetch_urls_effects("a"), "the connect URL needs another request");
    let live_view_only = ConnectUrls {
        live_view: Some(Secret::new("https://live.example/?x".into())),
        ..ConnectUrls::default()
    };
    let effects = world.report(Request::LiveView(id("a")), Ok(ResponseBody::LiveView(live_view_only)));
    assert_eq!(effects, [Effect::Copy(Copyable::LiveView, Secret::new("https://live.example/?x".into()))]);
    assert_eq!(world.model.url_requests.len(), 1, "the connect URL is still pending");
    world.press("yl");
    world.report(Request::LiveView(id("a")), Ok(ResponseBody::LiveView(ConnectUrls::default())));
    assert!(world.notice().contains("has no live view URL"), "{}", world.notice());
}

#[test]
fn copy_menu_reports_ended_session() {
    let mut world = World::with_running(&[("a", 100)]);
    world.press("y");
    world.report_session(ended_session("a", Status::Error));
    assert_eq!(world.press("s"), []);
    assert_eq!(world.notice(), "ended (ERROR): no Selenium URL");
}

#[test]
fn first_row_is_selected_until_first_keystroke() {
    let ids: Vec<String> = (0..60).map(|number| format!("s-{number:02}")).collect();
    let sessions: Vec<(&str, u64)> =
        ids.iter().zip(100..).map(|(id, timeout)| (id.as_str(), timeout)).collect();
    let mut world = World::with_running(&sessions);
    assert_eq!((world.selected(), world.model.table.top()), (Some("s-00"), 0));
    world.now = 4.0;
    world.report_list(vec![session("s-59", 50), session("s-58", 60), session("s-00", 900)]);
    assert_eq!((world.selected(), world.model.table.top()), (Some("s-59"), 0));
    world.press("j");
    let selected = world.selected().unwrap().to_owned();
    world.now = 7.0;
    world.report_list(vec![session("s-59", 950), session("s-58", 990), session("s-00", 30)]);
    assert_eq!(world.selected(), Some(selected.as_str()), "the selection now stays on its session");
}

#[test]
fn unsafe_url_is_not_copied() {
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
fn connect_url_is_fetched_then_copied() {
    let mut world = World::with_running(&[("a", 100)]);
    assert_eq!(world.press("c"), fetch_urls_effects("a"));
    assert_eq!(world.notice(), "fetching a fresh connect URL…");
    let effects = world.report_urls("a", urls());
    assert_eq!(effects, [Effect::Copy(Copyable::Connect, Secret::new(CANARY.into()))]);
    assert!(!format!("{effects:?} {:?}", world.model).contains("cAnArY"), "debug output hides secrets");
    assert_eq!(world.model.url_requests.len(), 0);
    world.send(Message::Copied("connect URL".into(), Ok("sent to the terminal".into())));
    let notice = world.model.notice.clone().unwrap();
    assert_eq!(
        (notice.text.as_str(), notice.level),
        ("connect URL sent to the terminal", NoticeLevel::Success)
    );
    assert_eq!(world.report_urls("a", urls()), [], "a URL that was not requested is not copied");
}

#[test]
fn failed_url_request_shows_reason() {
    let mut world = World::with_running(&[("a", 100)]);
    // The response has no URL.
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
        "a failed URL request is no poll failure"
    );
    // The session ends between the request and the response.
    world.press("c");
    let body =
        SessionWithUrls { session: ended_session("a", Status::TimedOut), urls: ConnectUrls::default() };
    assert_eq!(world.report(Request::ConnectUrls(id("a")), Ok(ResponseBody::ConnectUrls(body))), []);
    assert_eq!(world.notice(), "ended (TIMED_OUT): no connect URL");
    // The session has ended before the request.
    assert_eq!(world.press("c"), []);
    assert_eq!(world.press("Y"), []);
    assert_eq!(world.notice(), "ended (TIMED_OUT): no connect URL");
    // There is no session.
    let mut empty = World::watching(Targets::All);
    assert_eq!(
        (empty.press("c"), empty.press("Y"), empty.press("y"), empty.press("o")),
        (vec![], vec![], vec![], vec![])
    );
    assert_eq!(empty.notice(), "no session is selected");
}

#[test]
fn url_requests_share_response() {
    let mut world = World::with_running(&[("a", 100), ("b", 200)]);
    assert_eq!(world.press("c"), fetch_urls_effects("a"));
    assert_eq!(world.press("c"), [], "the request is already in flight");
    assert_eq!(world.press("ys"), [], "one response contains both URLs");
    assert_eq!(world.press("jc"), fetch_urls_effects("b"));
    assert_eq!(world.report_urls("b", urls()), [Effect::Copy(Copyable::Connect, Secret::new(CANARY.into()))]);
    let both = [
        Effect::Copy(Copyable::Connect, Secret::new(CANARY.into())),
        Effect::Copy(Copyable::Selenium, Secret::new("http://cAnArY".into())),
    ];
    assert_eq!(world.report_urls("a", urls()), both);
}

#[test]
fn pending_url_requests_are_limited() {
    let names: Vec<String> = (0..20).map(|number| format!("s{number:02}")).collect();
    let sessions: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 900)).collect();
    let mut world = World::with_running(&sessions);
    let mut accepted = 0;
    for _ in &sessions {
        world.press("cj"); // requests the connect URL, and selects the next session
        accepted += usize::from(world.notice().starts_with("fetching"));
    }
    assert_eq!(accepted, MAX_PENDING);
    assert_eq!(world.model.url_requests.len(), MAX_PENDING);
    assert!(world.notice().starts_with("too many"));
}

#[test]
fn revealed_url_hides_after_thirty_seconds() {
    let mut world = World::with_running(&[("a", 900)]);
    world.key(KeyCode::Enter);
    assert_eq!(world.press("Y"), fetch_urls_effects("a"));
    world.now = 1.5;
    assert_eq!(world.report_urls("a", urls()), [], "a revealed URL is not copied");
    assert!(matches!(&world.model.focus, Focus::Reveal { url, .. } if url.expose() == CANARY));
    assert!(!format!("{:?}", world.model).contains("cAnArY"));
    world.now = 31.2;
    world.tick(moment(world.now));
    assert_eq!(
        (world.focused_pane(), world.seconds_to_next_change()),
        (None, Some(0.3)),
        "the URL hides after exactly 30 s, not with the next second"
    );
    world.now = 31.5;
    world.tick(moment(world.now));
    assert_eq!(
        world.focused_pane(),
        Some(Pane::FullDetails(DetailsSection::Fields)),
        "the focus returns to the pane"
    );
    assert_eq!(world.press("q"), [], "a keystroke that comes a little too late does not quit");
    world.now = 32.1; // keystrokes work again 0.5 s after the URL has hidden
    world.press("Y");
    world.report_urls("a", urls());
    assert_eq!(world.press("q"), []);
    assert_eq!(world.focused_pane(), Some(Pane::FullDetails(DetailsSection::Fields)));
    assert_eq!(world.press("q"), [Effect::Quit]);
}

#[test]
fn revealed_url_replaces_no_popup_or_input_line() {
    for open in ["x", "y", "?", "!", "a", "/"] {
        let mut world = World::with_running(&[("a", 900)]);
        world.press("Y");
        world.press(open);
        let before = format!("{:?}", world.model.focus);
        assert_eq!(world.report_urls("a", urls()), []);
        assert_eq!(format!("{:?}", world.model.focus), before, "{open:?}");
        assert!(world.notice().starts_with("the connect URL came while "), "{open:?}: {}", world.notice());
    }
    // Nor does it replace a URL that the user is selecting.
    let mut world = World::with_running(&[("a", 900), ("b", 1800)]);
    world.press("YjY");
    world.report_urls("a", urls());
    world.report_urls("b", urls());
    assert!(matches!(&world.model.focus, Focus::Reveal { id, .. } if id.raw() == "a"));
}

#[test]
fn hidden_sessions_are_not_acted_on() {
    let mut world = World::with_running(&[("alpha", 100), ("beta", 200)]);
    world.press("R");
    report_recent(&mut world, vec![session("gamma", 5)]);
    for keys in ["x", "c", "y", "Y", "o", "m", "M", "s", "S", "f", "A", "/"] {
        assert_eq!(world.press(keys), [], "{keys:?}");
        assert_eq!(world.focused_pane(), Some(Pane::Recent), "{keys:?}");
        assert_eq!(world.notice(), "that is for what is watched: Enter watches this one", "{keys:?}");
    }
    // The details at full height hide the table, but not the session.
    world.key(KeyCode::Esc);
    world.key(KeyCode::Enter);
    let sort = world.model.table.sort();
    for keys in ["s", "S", "f", "A", "M"] {
        assert_eq!(world.press(keys), [], "{keys:?}");
        assert_eq!(world.notice(), "that is for the table: Esc leads there", "{keys:?}");
    }
    assert_eq!(world.model.table.sort(), sort);
    assert!(!world.model.table.shows_alerts_only());
    world.press("x");
    assert!(matches!(&world.model.focus, Focus::ConfirmRelease { id, .. } if id.raw() == "alpha"));
    world.key(KeyCode::Esc);
    world.key(KeyCode::Esc);
    // A screen of this size shows only counts, and so hides all sessions.
    world.send(Message::Resize(20, 3));
    for keys in ["x", "c", "y", "Y", "o", "m", "s", "f", "A", "/", "a", "j", "R", "e"] {
        assert_eq!(world.press(keys), [], "{keys:?}");
        assert_eq!(world.focused_pane(), Some(Pane::Table), "{keys:?}");
        assert_eq!(world.notice(), "the screen is too small for that", "{keys:?}");
    }
    assert_eq!(world.press("q"), [Effect::Quit]);
}

#[test]
fn revealed_url_does_not_interrupt_typing() {
    let mut world = World::with_running(&[("a", 900)]);
    world.press("Y/fil");
    world.report_urls("a", urls());
    assert_eq!(world.press("q"), []);
    assert_eq!(world.model.table.filter().text(), "filq");
    assert_eq!(world.notice(), "the connect URL came while you typed; Y shows it");
}

#[test]
fn dashboard_link_is_opened_or_copied() {
    let page = "https://www.browserbase.com/sessions/a";
    let mut world = World::with_running(&[("a", 900)]);
    assert_eq!(world.press("o"), [Effect::OpenInBrowser(page.into())]);
    world.send(Message::BrowserFailed("the browser is still being opened".into()));
    assert_eq!(world.notice(), "the browser is still being opened");
    world.model.settings.can_open_browser = false;
    assert_eq!(world.press("o"), [Effect::Copy(Copyable::Dashboard, Secret::new(page.into()))]);
}

#[test]
fn pause_survives_sleep_and_suspension() {
    let mut world = World::with_running(&[("a", 900)]);
    assert_eq!(world.press("p"), [Effect::SendToAllPollers(PollerCommand::Pause)]);
    let slept = Message::Slept(moment(1.0), moment(100.0));
    assert_eq!(
        world.send(slept),
        [Effect::SendToAllPollers(PollerCommand::Reconnect)],
        "the poller reconnects and stays paused"
    );
    assert_eq!(world.notice(), "this machine slept; polling is still paused");
    assert_eq!(
        world.send(Message::Continued),
        [Effect::Repaint, Effect::SendToAllPollers(PollerCommand::Pause)]
    );
    assert!(world.model.paused);
    assert_eq!(world.press(" "), [Effect::SendToAllPollers(PollerCommand::Resume)]);
    assert_eq!(world.press("p"), [Effect::SendToAllPollers(PollerCommand::Pause)]);
    assert_eq!(world.press("r"), [Effect::SendToAllPollers(PollerCommand::PollNow)]);
    assert!(!world.model.paused, "r ends the pause");
    assert_eq!(
        world.send(Message::Continued),
        [Effect::Repaint, Effect::SendToAllPollers(PollerCommand::PollNow)]
    );
}

#[test]
fn refresh_reports_that_all_have_ended() {
    let mut world = World::with_named(&["a"]);
    world.press("r");
    assert_eq!(world.notice(), "asking again");
    world.report_session(ended_session("a", Status::Completed));
    world.press("r");
    assert_eq!(world.notice(), "nothing left to ask: every session has ended");
}

#[test]
fn sort_cycles_through_all_columns() {
    let mut world = World::with_running(&[("a", 100), ("b", 200)]);
    world.press("S");
    assert_eq!((world.notice(), world.rows()), ("sorted by time left, reversed", vec!["b", "a"]));
    // A single profile has seven columns to sort by.
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
}

#[test]
fn h_hides_and_shows_metadata() {
    let mut world = World::with_running(&[("a", 100)]);
    world.press("H");
    assert!(world.model.hides_metadata);
    world.press("H");
    assert!(!world.model.hides_metadata);
}

#[test]
fn every_report_counts_in_poll_stats() {
    let mut world = World::with_running(&[("a", 900)]);
    world.report(Request::Projects, Err(ApiErrorKind::NotFound.into()));
    world.report_session(session("a", 900));
    let totals = world.model.profiles.first().poll_stats.minute_totals().unwrap();
    assert_eq!(totals.requests, 3, "the list, the failed request and the session count");
    assert_eq!(world.model.profiles.first().poll_stats.latency().unwrap().last, secs(0.1));
}

#[test]
fn large_clock_skew_is_reported_once() {
    // The seconds by which the server's clock is ahead, and the direction that the notice gives for our clock. A small
    // difference causes no notice.
    for (ahead, direction) in [(90.0, Some("behind")), (-90.0, Some("ahead of")), (20.0, None), (-20.0, None)]
    {
        let mut world = World::watching(Targets::All);
        let report = |seconds: f64| {
            let session = running_session("a", at(ahead), secs(900.0));
            let list = SessionList { sessions: vec![session], malformed: 0 };
            let result = Ok(ResponseBody::List(list));
            let request = Request::List(List::Running);
            let date = Some(at(100.0 + seconds.floor() + ahead));
            let now = moment(100.0 + seconds);
            Message::Report(
                ProfileId::FIRST,
                Box::new(Report {
                    request,
                    sent: now,
                    received: now,
                    date,
                    age: Duration::ZERO,
                    bytes: 2,
                    rate_limit: None,
                    result,
                    next_request: None,
                }),
            )
        };
        world.send(report(1.0));
        assert_eq!(world.model.notice.is_some(), direction.is_some(), "{ahead}");
        assert!(direction.is_none_or(|direction| world.notice().contains(direction)), "{}", world.notice());
        world.model.notice = None;
        world.send(report(4.0));
        assert_eq!(world.model.notice, None, "the notice is shown once");
    }
}

#[test]
fn only_429_of_project_request_is_poll_failure() {
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
    assert!(
        world.model.profiles.first().tracker.health().failure_streak.is_some(),
        "a 429 delays all requests"
    );
    world.now = 4.0;
    world.report(Request::List(List::Running), Err(timeout_error()));
    assert_eq!(
        world.model.profiles.first().tracker.health().failure_streak.as_ref().unwrap().error,
        timeout_error(),
        "the streak has its newest error"
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
fn data_is_stale_after_three_intervals() {
    let is_stale =
        |world: &World, now: f64| world.model.stale_data_age(ProfileId::FIRST, moment(now)).is_some();
    let mut world = World::with_running(&[("a", 900)]);
    // The list came at 1 s, and the poll interval is 3 s.
    assert!(!is_stale(&world, 10.0), "after exactly three intervals, data is not stale yet");
    assert!(is_stale(&world, 10.001));
    world.press("p");
    assert!(!is_stale(&world, 100.0), "polling is paused");
    let mut named = World::with_named(&["a", "b"]);
    assert!(!is_stale(&named, 100.0), "no response has come yet");
    named.now = 1.0;
    named.report_session(session("a", 900));
    assert!(is_stale(&named, 100.0));
    named.report_session(ended_session("a", Status::Completed));
    named.report(Request::Session(id("b")), Err(ApiErrorKind::NotFound.into()));
    assert!(!is_stale(&named, 100.0), "a has ended, and b is polled less often because it was not found");
}

#[test]
fn screen_wakes_only_for_visible_changes() {
    // Countdowns change with the server's whole seconds.
    let mut world = World::with_running(&[("a", 900)]);
    world.now = 1.25;
    assert_eq!(world.seconds_to_next_change(), Some(0.75), "a countdown under an hour shows seconds");
    let mut world = World::with_running(&[("a", 7200)]);
    world.press("p");
    for (now, wait) in [(30.25, 29.75), (59.0, 1.0), (60.0, 1.0), (61.0, 59.0), (3599.5, 0.5), (3600.0, 1.0)]
    {
        world.now = now;
        // Age and time left are shown in minutes. The age changes when it reaches 60 s. The time left changes one
        // second later, when it falls below 119 minutes.
        assert_eq!(world.seconds_to_next_change(), Some(wait), "at {now}");
    }
    // Only visible rows and the selected session count.
    let mut world = World::with_running(&[("hidden", 900), ("shown", 7200)]);
    world.press("p/shown");
    world.key(KeyCode::Enter);
    world.now = 10.5;
    assert_eq!(world.seconds_to_next_change(), Some(49.5), "the age of the shown session reaches a minute");
}

#[test]
fn unchanging_screen_never_wakes() {
    let mut world = World::with_named(&["a", "b"]);
    assert_eq!(world.seconds_to_next_change(), None, "no response has come yet");
    world.now = 1.0;
    world.report_session(ended_session("a", Status::Completed));
    world.report_session(ended_session("b", Status::TimedOut));
    assert_eq!(world.seconds_to_next_change(), None, "all sessions have ended");
    world.now = 5.25;
    world.press("r");
    assert_eq!(world.seconds_to_next_change(), Some(5.0), "the notice expires");
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
    assert_eq!(pending.seconds_to_next_change(), None, "a pending session without times has no countdown");
}

#[test]
fn screen_wakes_when_data_becomes_stale() {
    let mut world = World::watching(Targets::All);
    world.now = 1.25;
    world.report_list(vec![]);
    assert_eq!(world.seconds_to_next_change(), Some(9.0), "data becomes stale after three intervals of 3 s");
    world.now = 10.25;
    assert_eq!(world.seconds_to_next_change(), Some(0.001), "data of exactly this age is not stale yet");
    world.now = 10.26;
    assert_eq!(
        world.seconds_to_next_change(),
        Some(0.74),
        "the age of the data ticks with the whole seconds"
    );
    world.press("p");
    assert_eq!(world.seconds_to_next_change(), None, "while polling is paused, data does not become stale");
}

#[test]
fn retry_countdown_ticks_until_retry() {
    let mut world = World::watching(Targets::All);
    world.now = 1.25;
    world.report(Request::List(List::Running), Err(timeout_error()));
    assert_eq!(world.seconds_to_next_change(), Some(0.75));
    world.now = 7.25; // the retry is due 6 s after the failure
    assert_eq!(world.seconds_to_next_change(), None, "the retry is in flight");
}

#[test]
fn expiring_session_wakes_only_for_its_age() {
    let mut world = World::with_running(&[("a", 5)]);
    world.press("p");
    world.now = 5.5; // the timeout of 5 s has passed
    assert_eq!(world.seconds_to_next_change(), Some(54.5), "only the age changes");
    world.report_session(session("a", 5)); // from now on, the screen shows the overdue time
    assert_eq!(world.seconds_to_next_change(), Some(54.5), "only a response changes the overdue time");
}
