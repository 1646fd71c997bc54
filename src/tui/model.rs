//! The state behind the screen. The event loop owns it; [`Model::update`] is the one place that handles messages.
//!
//! ```text
//!   Model ─┬─ profiles       sessions and events of each profile       (profiles)
//!          ├─ table          rows, selection, order, filter            (table_state)
//!          ├─ scroll         details and events                        (scroll)
//!          ├─ focus          the part that receives keystrokes         (focus)
//!          ├─ recent         the newest sessions of each project       (recent)
//!          ├─ away           the newest absence of the user            (away)
//!          ├─ url_requests   pending requests for connect URLs         (url_requests)
//!          ├─ notice         a one-line message                        (notice)
//!          ├─ acknowledged   alerts that the user has acknowledged     (acknowledged)
//!          ├─ replay         progress of a replay                      (replay_state)
//!          └─ viewport       the layout, as the view computed it       (viewport)
//! ```

use std::time::Duration;

use super::acknowledged::AcknowledgedAlerts;
use super::away::AwayState;
use super::focus::{Focus, Pane};
use super::notice::{Notice, NoticeLevel};
use super::profiles::{ProfileId, ProfileInfo, Profiles, TimelineCursors};
use super::recent::RecentSessions;
use super::replay_state::ReplayProgress;
use super::scroll::ScrollState;
use super::settings::Settings;
use super::table_state::TableState;
use super::title::WindowTitle;
use super::url_requests::UrlRequests;
use super::viewport::Viewport;
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::SessionId;
use keepwatch_core::tracker::{Event, Record};

/// The state behind the screen.
#[derive(Debug)]
pub struct Model {
    /// The sessions and events of each profile.
    pub(crate) profiles: Profiles,
    /// The settings of the screen.
    pub(crate) settings: Settings,
    /// The session table.
    pub(crate) table: TableState,
    /// The scroll positions of the other panes.
    pub(crate) scroll: ScrollState,
    /// The part of the screen that receives keystrokes.
    pub(crate) focus: Focus,
    /// The newest sessions of each project.
    pub(crate) recent: RecentSessions,
    /// The newest absence of the user, and the report about it.
    pub(crate) away: AwayState,
    /// The one-line message to the user, until it expires.
    pub(crate) notice: Option<Notice>,
    /// The alerts that the user has acknowledged.
    pub(crate) acknowledged: AcknowledgedAlerts,
    /// The end of each profile's timeline at the last keystroke. Later events are new.
    pub(crate) read_cursors: TimelineCursors,
    /// True while the user pauses polling.
    pub(crate) paused: bool,
    /// The progress of the replay, if a recording is shown instead of live sessions.
    pub(crate) replay: Option<ReplayProgress>,
    /// A label that tells which file or database cannot be written, such as `journal off`. `None` if there is no
    /// problem.
    pub(crate) persistence_warning: Option<&'static str>,
    /// True if metadata is hidden.
    pub(crate) hides_metadata: bool,
    /// The pending requests for connect URLs.
    pub(super) url_requests: UrlRequests,
    /// The size of the screen, in columns and rows.
    size: (u16, u16),
    /// The layout of the screen.
    viewport: Viewport,
    /// The window title.
    pub(super) title: WindowTitle,
    /// The time since boot until which keystrokes are ignored. A popup has just closed by itself, so the next keystroke
    /// may be meant for the popup.
    pub(super) ignores_keys_until: Option<Duration>,
    /// True once a notice has reported that the `Date` of an API is wrong or jumps.
    pub(super) has_notified_wrong_date: bool,
    /// True once a notice has reported that a server's clock differs from ours.
    pub(super) has_notified_skew: bool,
}

impl Model {
    /// Creates a model that has received no report, for a screen of `size` columns and rows.
    #[must_use]
    pub fn new(
        settings: Settings,
        first_profile: ProfileInfo,
        other_profiles: Vec<ProfileInfo>,
        size: (u16, u16),
    ) -> Self {
        Self {
            profiles: Profiles::new(
                first_profile,
                other_profiles,
                &settings.alert_rules,
                settings.owner_key.as_ref(),
            ),
            settings,
            table: TableState::default(),
            scroll: ScrollState::default(),
            focus: Focus::Pane(Pane::Table),
            recent: RecentSessions::default(),
            away: AwayState::default(),
            notice: None,
            acknowledged: AcknowledgedAlerts::default(),
            read_cursors: TimelineCursors::default(),
            paused: false,
            replay: None,
            persistence_warning: None,
            hides_metadata: false,
            url_requests: UrlRequests::default(),
            size,
            viewport: Viewport::default(),
            title: WindowTitle::default(),
            ignores_keys_until: None,
            has_notified_wrong_date: false,
            has_notified_skew: false,
        }
    }

    /// Returns the size of the screen, in columns and rows.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        self.size
    }

    pub(super) fn set_size(&mut self, size: (u16, u16)) {
        self.size = size;
    }

    /// Returns the layout of the screen after the last update.
    #[must_use]
    pub fn viewport(&self) -> &Viewport {
        &self.viewport
    }

    /// Stores the layout that the view computed for this model, and adjusts the scroll positions to it: the selected
    /// row stays visible, and no pane scrolls past its end. Returns true if this has changed the rows of the table, so
    /// that the screen must be laid out again.
    pub fn set_viewport(&mut self, viewport: Viewport) -> bool {
        let previous = std::mem::replace(&mut self.viewport, viewport);
        let has_new_rows = self.table.set_visible_rows(viewport.table_rows());
        if has_new_rows {
            self.rebuild_rows();
        }
        self.table.scroll_to_selection(viewport.table_rows());
        self.recent.scroll_to_selection(viewport.recent_rows());
        if let Some(details) = viewport.details() {
            self.scroll.clamp_details(details.lines, details.height);
        }
        if let Some(popup) = viewport.popup() {
            self.focus.clamp_popup(popup);
        }
        if let Some(extent) = viewport.away() {
            self.away.clamp(extent);
        }
        // Only a taller pane can leave blank lines above the oldest event.
        if self.scroll.anchor().is_some() && viewport.event_lines() > previous.event_lines() {
            self.scroll_events(None);
        }
        has_new_rows
    }

    /// Selects a session.
    pub fn select(&mut self, id: SessionId) {
        if self.table.selected() != Some(&id) {
            self.scroll.reset();
        }
        self.table.select(id);
    }

    /// Returns the profiles, with their sessions and events.
    #[must_use]
    pub fn profiles(&self) -> &Profiles {
        &self.profiles
    }

    /// Returns the record of the selected session, and its profile.
    #[must_use]
    pub fn selected_session(&self) -> Option<(ProfileId, &Record)> {
        self.profiles.find(self.table.selected()?)
    }

    /// Returns the selected event of the events page, and the profile of that event. The selected event is the last
    /// visible one.
    #[must_use]
    pub fn selected_event(&self) -> Option<(ProfileId, &Event)> {
        let anchor = self.scroll.anchor();
        let anchored = anchor.and_then(|anchor| Some((anchor, self.profiles.event(anchor)?)));
        let selected = anchored.or_else(|| self.profiles.newest_events().next());
        selected.map(|(event_ref, event)| (event_ref.profile, event))
    }

    /// Returns the server's time. With several profiles, it is the time of the first profile's server.
    #[must_use]
    pub fn server_time(&self, now: Moment) -> Timestamp {
        self.profiles.screen_time(now)
    }

    /// Returns the age of a profile's data, or `None` if the data is not stale. Data is stale if it is older than three
    /// poll intervals although new data is expected. While polling is paused, no new data is expected.
    #[must_use]
    pub fn stale_data_age(&self, profile: ProfileId, now: Moment) -> Option<Duration> {
        let age = now.since(self.profiles.get(profile).tracker.health().last_success?.received);
        // A recording merges equal responses into one entry, so the data that a replay shows is often old.
        let expects_data = !self.paused && self.replay.is_none() && self.expects_responses(profile);
        (expects_data && age > self.stale_after()).then_some(age)
    }

    /// Returns true if a profile is polled at each poll interval, because it has a list to poll, or a session that is
    /// not final. Sessions that the API does not find do not count: they are polled less often.
    pub(super) fn expects_responses(&self, profile: ProfileId) -> bool {
        !self.settings.targets.lists().is_empty()
            || self
                .profiles
                .get(profile)
                .tracker
                .records()
                .any(|record| !record.is_final() && !record.is_not_found())
    }

    /// Returns the age above which data is stale.
    pub(super) fn stale_after(&self) -> Duration {
        self.settings.poll_limits.interval.saturating_mul(3)
    }

    /// Returns true if anything is polled: a list, or a session that is not final.
    #[must_use]
    pub fn is_polling(&self) -> bool {
        !self.settings.targets.lists().is_empty()
            || self.profiles.records().any(|(_, record)| !record.is_final())
    }

    /// Shows a notice to the user.
    pub(super) fn notify(&mut self, now: Moment, level: NoticeLevel, text: String) {
        self.notice = Some(Notice::new(now, level, text, self.settings.clock_speed));
    }

    /// Rebuilds the rows of the table. If this selects another session, resets the scroll positions of the other panes.
    /// Also computes the page about the user's absence again, if it is open.
    pub(crate) fn rebuild_rows(&mut self) {
        let keep_selected = self.focus.pane().is_details();
        if self.table.rebuild(&self.profiles, &self.acknowledged, keep_selected) {
            self.scroll.reset();
        }
        self.refresh_away();
    }
}
