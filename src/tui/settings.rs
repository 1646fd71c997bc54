//! The settings of the screen. They do not change while the program runs, with one exception: the startup notice is
//! removed when it is shown.

use super::notice::NoticeLevel;
use super::theme::Theme;
use crate::api::{Query, ReleasePermission};
use crate::poll::PollLimits;
use keepwatch_core::clock::Zone;
use keepwatch_core::session::{MetadataPath, Targets};
use keepwatch_core::tracker::AlertRules;
use keepwatch_core::tracker::cost::Rates;

/// The settings of the screen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The sessions to watch.
    pub targets: Targets,
    /// The query that narrows the lists.
    pub query: Option<Query>,
    /// The interval and rate of polls.
    pub poll_limits: PollLimits,
    /// The rules that raise alerts.
    pub alert_rules: AlertRules,
    /// The prices that cost estimates use.
    pub rates: Rates,
    /// True if a new alert rings the bell.
    pub bell: bool,
    /// The metadata path that names the owner of a session.
    pub owner_key: Option<MetadataPath>,
    /// The time zone of displayed times.
    pub zone: Zone,
    /// Colours and glyphs.
    pub theme: Theme,
    /// True if a browser can be opened on this machine. If false, the dashboard link is copied instead.
    pub can_open_browser: bool,
    /// The permission to release sessions, or `None` in read-only mode.
    pub release_permission: Option<ReleasePermission>,
    /// True in `keepwatch demo`, which shows simulated sessions.
    pub demo: bool,
    /// The speed of the program's clock, as a multiple of real time. Durations that the user must perceive, such as
    /// the time for which a notice is shown, are multiplied by this speed.
    pub clock_speed: u32,
    /// The version of this keepwatch. For a recording, the version of the keepwatch that made the recording.
    pub version: String,
    /// The notice to show with the first frame. When the model shows the notice, it removes it from the settings.
    pub startup_notice: Option<(NoticeLevel, String)>,
}

impl Default for Settings {
    /// Watches all sessions at the default rate, in UTC and without colours. Nothing can be released or opened.
    fn default() -> Self {
        Self {
            targets: Targets::All,
            query: None,
            poll_limits: PollLimits::default(),
            alert_rules: AlertRules::default(),
            rates: Rates::default(),
            bell: false,
            owner_key: None,
            zone: Zone::Utc,
            theme: Theme::default(),
            can_open_browser: false,
            release_permission: None,
            demo: false,
            clock_speed: 1,
            version: crate::VERSION.into(),
            startup_notice: None,
        }
    }
}
