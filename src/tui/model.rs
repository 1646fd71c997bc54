//! The state behind the screen, owned by the loop alone.

use std::time::Duration;

use crossterm::event::KeyEvent;
use tui_input::Input as Line;

use super::flags::KnownFlags;
use super::fleets::{Fleets, Marks, Origin, Place};
use super::keys::Copyable;
use super::mute::Muted;
use super::persistence::{PersistenceCommand, PersistenceEvent};
use super::recent::Recent;
use super::rows::{Rows, Sort};
use crate::api::Query;
use crate::api::Releaser;
use crate::poll::PollLimits;
use crate::poll::{Ask, Report};
use crate::tui::view::Theme;
use keepwatch_core::clock::Zone;
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::filter::{Filter, Mistake};
use keepwatch_core::session::Targets;
use keepwatch_core::session::{MetadataPath, Secret, SessionId};
use keepwatch_core::tracker::cost::Rates;
use keepwatch_core::tracker::{Event, Record, Thresholds};

/// What does not change while the program runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is watched.
    pub targets: Targets,
    /// What the lists are narrowed by.
    pub query: Option<Query>,
    /// How often it is polled.
    pub pace: PollLimits,
    /// When a session is flagged.
    pub thresholds: Thresholds,
    /// What things cost.
    pub rates: Rates,
    /// Whether a new flag rings the bell.
    pub bell: bool,
    /// Where the metadata says whose a session is.
    pub owner_key: Option<MetadataPath>,
    /// In which zone times are shown.
    pub zone: Zone,
    /// Colours and glyphs.
    pub theme: Theme,
    /// Whether a browser can be opened here; else the link is copied.
    pub can_open: bool,
    /// The right to release sessions; a read-only keepwatch has none.
    pub releaser: Option<Releaser>,
    /// Whether this is the demo.
    pub demo: bool,
    /// How many times as fast as real the clock runs: what is shown for a while is shown that much longer.
    pub speed: u32,
    /// The version of keepwatch that watches, or watched.
    pub version: String,
    /// What is said at the start, and how it is meant.
    pub greeting: Option<(Tone, String)>,
}

impl Default for Settings {
    /// Watches all sessions at the default rate, in UTC and without colours. Nothing can be released or opened.
    fn default() -> Self {
        Self {
            targets: Targets::All,
            query: None,
            pace: PollLimits::default(),
            thresholds: Thresholds::default(),
            rates: Rates::default(),
            bell: false,
            owner_key: None,
            zone: Zone::Utc,
            theme: Theme::default(),
            can_open: false,
            releaser: None,
            demo: false,
            speed: 1,
            version: crate::VERSION.into(),
            greeting: None,
        }
    }
}

/// The state.
#[derive(Debug)]
pub struct Model {
    /// What was observed, of each source.
    pub fleets: Fleets,
    /// What does not change.
    pub settings: Settings,
    /// The table's rows, in order.
    pub rows: Rows,
    /// The session that the keys speak of. The selection follows it, not its row.
    pub selected: Option<SessionId>,
    /// The first row in view.
    pub top: usize,
    /// Whether a key was pressed. Until then the table stays at its top, whatever becomes of the selected session.
    pub(crate) touched: bool,
    /// The first line of the facts in view.
    pub scroll: usize,
    /// The last event in view, where the reader scrolled back from the newest.
    pub anchor: Option<Place>,
    /// What had happened at the last key: what came since is new.
    pub read_until: Marks,
    /// Which flags the reader knows of.
    pub known: KnownFlags,
    /// Which sessions are hidden.
    pub muted: Muted,
    /// Whether only rows with new flags are shown.
    pub flagged_only: bool,
    /// What has the keyboard.
    pub focus: Focus,
    /// The order of the table.
    pub sort: Sort,
    /// Which rows are shown.
    pub filter: Filter,
    /// The newest sessions of the project, if the reader asked for them.
    pub recent: Recent,
    /// A line to the reader, for a while.
    pub notice: Option<Notice>,
    /// Whether polling rests because the reader said so.
    pub paused: bool,
    /// How far a recording is played, where one is shown instead of the API.
    pub replay: Option<Replay>,
    /// A short label for what cannot be written to the disk.
    pub persistence_warning: Option<&'static str>,
    /// Whether metadata is hidden.
    pub hide_metadata: bool,
    /// The screen, in columns and rows.
    pub size: (u16, u16),
    /// What fresh URLs are on their way for.
    pub(crate) wants: Vec<Want>,
    /// The window title, as it was last set.
    pub(crate) title: String,
    /// Whether the reader was told that the clocks differ.
    pub(crate) told_of_skew: bool,
}

/// How far a recording is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Whether its time goes on by itself.
    pub playing: bool,
    /// How many of its events have happened.
    pub event: usize,
    /// How many there are.
    pub events: usize,
}

/// How many sessions may run at a time, and how many do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// How many are taken; `None` where not all sessions of the project are watched.
    pub taken: Option<usize>,
    /// `concurrency` of the project.
    pub all: usize,
    /// What the newest 429 that spoke of slots said: how many are taken, of how many.
    pub refused: Option<(u64, u64)>,
}

impl Slots {
    /// Whether creating one more session would be refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.over().is_some()
    }

    /// How many more are taken than there are, where none is free. (A limit that was lowered ends nothing.)
    #[must_use]
    pub fn over(&self) -> Option<usize> {
        self.taken?.checked_sub(self.all)
    }
}

/// What has the keyboard.
#[derive(Debug)]
pub enum Focus {
    /// The table or the details.
    Pane(Pane),
    /// The line in which the filter is edited, and the filter as it was.
    Filter {
        /// What is typed.
        line: Line,
        /// The filter to return to.
        before: Filter,
        /// Why what is typed can not be read, if it can not.
        mistake: Option<Mistake>,
    },
    /// The line in which the id of a session to watch is typed.
    Add {
        /// What is typed.
        line: Line,
        /// Why there is no id in it, once it was tried.
        wrong: Option<String>,
        /// Where to return.
        back: Pane,
    },
    /// The copy menu: which entry is marked, and for which session.
    Copy {
        /// The session, so that rows may move under the menu.
        id: SessionId,
        /// The marked entry.
        marked: usize,
        /// Where to return.
        back: Pane,
    },
    /// A connect URL, shown to be selected by hand.
    Reveal {
        /// The session.
        id: SessionId,
        /// The URL.
        url: Secret,
        /// When it goes, by the clock since boot.
        until: Duration,
        /// Where to return.
        back: Pane,
    },
    /// The question before a release: for one session, however rows move.
    Release {
        /// The session.
        id: SessionId,
        /// What is typed of the end of its id.
        typed: String,
        /// Where to return.
        back: Pane,
    },
    /// The help, scrolled.
    Help {
        /// The first line in view.
        top: usize,
        /// Where to return.
        back: Pane,
    },
    /// What the asking costs and past failures, scrolled; the newest first.
    Failures {
        /// The first line in view.
        top: usize,
        /// Where to return.
        back: Pane,
    },
}

/// A part of the screen that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    /// The table, above the details.
    Table,
    /// The details, below the table.
    Lower(Part),
    /// The details alone.
    Full(Part),
    /// The events of all sessions.
    Events,
    /// The newest sessions of the project.
    Recent,
}

/// A part of the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the API says, and what it comes to; where there is but one column, the events too.
    Facts,
    /// What happened.
    Timeline,
}

impl Focus {
    /// The pane that has the keyboard, or gets it back.
    #[must_use]
    pub fn pane(&self) -> Pane {
        match self {
            Self::Pane(pane) => *pane,
            Self::Add { back, .. }
            | Self::Copy { back, .. }
            | Self::Reveal { back, .. }
            | Self::Release { back, .. }
            | Self::Help { back, .. }
            | Self::Failures { back, .. } => *back,
            Self::Filter { .. } => Pane::Table,
        }
    }
}

/// A line to the reader, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The sentence.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
    /// When it goes, by the clock since boot.
    pub until: Duration,
}

/// How a notice is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It went well.
    Good,
    /// It is on its way.
    Plain,
    /// It did not go.
    Bad,
}

/// What a fresh connect URL is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The session.
    pub id: SessionId,
    /// The entry that was chosen.
    pub what: Copyable,
    /// Whether it is to be shown instead of copied.
    pub show: bool,
}

/// What comes into the model.
#[derive(Debug)]
pub enum Message {
    /// The poller of this source reports.
    Report(usize, Box<Report>),
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The screen has this size now, in columns and rows.
    Resize(u16, u16),
    /// A copy was made, or not: what, and by which way or why not.
    Copied(String, Result<String, String>),
    /// The machine slept from the first moment to the second.
    Slept(Moment, Moment),
    /// The browser could not be opened.
    NotOpened(String),
    /// Something cannot be written to the disk, or the history was loaded.
    Persistence(PersistenceEvent),
    /// The program was suspended and goes on.
    Resumed,
}

/// What goes out of the model: what the loop is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Pass this to each poller.
    Ask(Ask),
    /// Pass this to the poller of this source.
    AskOf(usize, Ask),
    /// Copy this.
    Copy(Copyable, Secret),
    /// Open this page; no secret is in it.
    Open(String),
    /// Do this with the recording or the journal, for a profile.
    Persist(usize, PersistenceCommand),
    /// Let a recording's time go on, or stand still.
    Play(bool),
    /// Go to the next event of a recording, or to the one before.
    Step {
        /// To the next.
        on: bool,
    },
    /// Ring the terminal's bell.
    Ring,
    /// Set the window's title.
    Title(String),
    /// Take pasted text as one event (while a line is edited), or as keys.
    TakePaste(bool),
    /// Draw everything again.
    Repaint,
    /// Stop until the shell continues us.
    Suspend,
    /// End, all being well.
    Quit,
}

impl Model {
    /// A model that has seen nothing of what is at these origins, for a screen of `size`.
    #[must_use]
    pub fn new(settings: Settings, origins: Vec<Origin>, size: (u16, u16)) -> Self {
        Self {
            fleets: Fleets::new(origins, &settings.thresholds, settings.owner_key.as_ref()),
            settings,
            rows: Rows::default(),
            selected: None,
            top: 0,
            touched: false,
            scroll: 0,
            anchor: None,
            read_until: Marks::default(),
            known: KnownFlags::default(),
            muted: Muted::default(),
            flagged_only: false,
            focus: Focus::Pane(Pane::Table),
            sort: Sort::default(),
            filter: Filter::default(),
            recent: Recent::default(),
            notice: None,
            paused: false,
            replay: None,
            persistence_warning: None,
            hide_metadata: false,
            size,
            wants: Vec::new(),
            title: String::new(),
            told_of_skew: false,
        }
    }

    /// The record that the keys speak of.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        self.fleets.get(self.selected.as_ref()?)
    }

    /// The event that the keys speak of on the events page: the last in view. With its source.
    #[must_use]
    pub fn marked_event(&self) -> Option<(usize, &Event)> {
        let anchored = self.anchor.and_then(|anchor| Some((anchor, self.fleets.event(anchor)?)));
        anchored.or_else(|| self.fleets.newest().next()).map(|(place, event)| (place.source, event))
    }

    /// What time it is at the server; of several, at the first.
    #[must_use]
    pub fn server_time(&self, now: Moment) -> Timestamp {
        self.fleets.time(0, now)
    }

    /// How old a source's data is, once it is older than three intervals and nobody paused it; `None` while all is well.
    #[must_use]
    pub fn late(&self, source: usize, now: Moment) -> Option<Duration> {
        let age = now.since(self.fleets.source(source).fleet.health().last_good?.received);
        // A recording has the replies that said nothing new as one, at the time of the last.
        let counts = !self.paused && self.replay.is_none() && self.expects_replies(source);
        (counts && age > self.late_after()).then_some(age)
    }

    /// Whether something is asked of a source in each interval: for what does not exist it is asked more rarely.
    pub(super) fn expects_replies(&self, source: usize) -> bool {
        !self.settings.targets.lists().is_empty()
            || self.fleets.source(source).fleet.records().any(|it| !it.is_over() && !it.is_absent())
    }

    /// From which age on data is late.
    pub(super) fn late_after(&self) -> Duration {
        self.settings.pace.interval.saturating_mul(3)
    }

    /// The slots of a source's project: how many are taken, as far as all its sessions are watched, and how many there
    /// are. `None` where the key does not list exactly one project.
    #[must_use]
    pub fn slots(&self, source: usize) -> Option<Slots> {
        let fleet = &self.fleets.source(source).fleet;
        let [project] = fleet.projects() else { return None };
        let all = self.settings.targets == Targets::All && self.settings.query.is_none();
        let taken = self.rows.living(source).map(|living| living.count).filter(|_| all);
        let refused = fleet.health().failures.iter().rev().find_map(|failure| failure.fault.slots());
        Some(Slots { taken, all: usize::try_from(project.concurrency?).ok()?, refused })
    }

    /// Whether anything is still asked for: ended sessions that were named are not.
    #[must_use]
    pub fn is_polling(&self) -> bool {
        !self.settings.targets.lists().is_empty() || self.fleets.records().any(|(_, it)| !it.is_over())
    }
}
