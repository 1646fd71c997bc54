//! Applies each message to the model and returns the effects that follow from it.
//!
//! Pure: does no I/O and reads no clock. `key_handler` handles keystrokes.

use std::time::Duration;

use super::effect::Effect;
use super::focus::Focus;
use super::message::Message;
use super::model::Model;
use super::notice::NoticeLevel;
use super::persistence;
use super::profiles::{ProfileId, ProfileState};
use crate::poll::{IngestedReport, PollerCommand, Report, Request};
use keepwatch_core::clock::Moment;
use keepwatch_core::session::{ApiErrorKind, List, Targets};
use keepwatch_core::text::{self, Untrusted};
use keepwatch_core::tracker::{Alert, Event, EventKind, Input, RequestTiming, Scope};

/// The difference between our clock and the server's, in seconds, above which the user sees a notice.
const SKEW_NOTICE_SECS: i64 = 30;
/// The time for which most keystrokes are ignored after a popup has closed by itself. The user may have meant them for
/// the popup.
const CLOSED_POPUP_GRACE: Duration = Duration::from_millis(500);

impl Model {
    /// Prepares the model for the first frame, before any report. Returns the first effects.
    pub fn start(&mut self, now: Moment) -> Vec<Effect> {
        self.away.on_start(now);
        let mut effects = Vec::new();
        for (profile, input) in self.initial_inputs(now) {
            effects.extend(self.apply_input(profile, input));
        }
        self.rebuild_rows();
        if let Some((level, text)) = self.settings.startup_notice.take() {
            self.notify(now, level, text);
        }
        effects.extend(self.update_title());
        effects
    }

    /// Returns the first input of each profile: the named sessions, or a failure if the profile has no API key. A
    /// profile that has an API key and lists its sessions needs no first input.
    fn initial_inputs(&self, now: Moment) -> Vec<(ProfileId, Input)> {
        let input_for =
            |profile: &ProfileState| match (&profile.info.missing_key_reason, &self.settings.targets) {
                (Some(reason), _) => {
                    let at = RequestTiming { sent: now, received: now, date: None, age: Duration::ZERO };
                    // Without an API key, no request can be sent. One failure tells the tracker why.
                    let error = ApiErrorKind::ApiKeyUnavailable(Untrusted::new(reason.as_str())).into();
                    Some(Input::RequestFailed { at, scope: Scope::List(List::Running), error, next: None })
                }
                (None, Targets::Ids(ids)) => Some(Input::SessionsNamed { at: now, ids: ids.clone() }),
                (None, Targets::All | Targets::OneList(_)) => None,
            };
        self.profiles.iter().filter_map(|(id, profile)| Some((id, input_for(profile)?))).collect()
    }

    /// Applies one message. Returns the effects.
    pub fn update(&mut self, message: Message, now: Moment) -> Vec<Effect> {
        match message {
            Message::Report(profile, report) => self.on_report(profile, *report, now),
            Message::Key(key) => self.on_key(key, now),
            Message::Paste(text) => {
                self.on_paste(&text, now);
                Vec::new()
            }
            Message::Resize(columns, rows) => {
                self.set_size((columns, rows));
                // Repaint even if the last frame had this size: the terminal may have changed cells at another size.
                // promise: repaint-on-resize, mutant: vec![Effect::Repaint] -> Vec::new()
                vec![Effect::Repaint]
            }
            Message::Copied(label, Ok(route)) => {
                self.notify(now, NoticeLevel::Success, format!("{label} {route}"));
                Vec::new()
            }
            Message::Copied(label, Err(reason)) => {
                self.notify(now, NoticeLevel::Error, format!("{label} {reason}"));
                Vec::new()
            }
            Message::BrowserFailed(reason) => {
                self.notify(now, NoticeLevel::Error, reason);
                Vec::new()
            }
            Message::Persistence(event) => self.on_persistence_event(event, now),
            Message::Slept(from, to) => {
                let mut effects = Vec::new();
                for profile in self.profiles.ids() {
                    effects.extend(self.apply_input(profile, Input::Slept { from, to }));
                }
                let polling_state = if self.paused { "polling is still paused" } else { "asking again" };
                self.notify(now, NoticeLevel::Info, format!("this machine slept; {polling_state}"));
                // promise: poll-after-sleep
                effects.push(Effect::SendToAllPollers(PollerCommand::Reconnect));
                effects
            }
            Message::Continued => {
                // `PollNow` would end the pause. A paused poller gets `Pause` again, which changes nothing.
                vec![
                    Effect::Repaint,
                    Effect::SendToAllPollers(if self.paused {
                        PollerCommand::Pause
                    } else {
                        PollerCommand::PollNow
                    }),
                ]
            }
        }
    }

    /// Handles the passing of time: hides an expired notice or URL, and informs each tracker that has something due,
    /// such as an alert.
    pub fn on_tick(&mut self, now: Moment) -> Vec<Effect> {
        if self.notice.as_ref().is_some_and(|notice| notice.is_expired(now)) {
            self.notice = None;
        }
        if let Focus::Reveal { expires_at, back, .. } = &self.focus
            && *expires_at <= now.boot
        {
            self.focus = Focus::Pane(*back);
            let grace = CLOSED_POPUP_GRACE.saturating_mul(self.settings.clock_speed);
            self.ignores_keys_until = Some(now.boot.saturating_add(grace));
        }
        let mut effects = Vec::new();
        for profile in self.profiles.ids() {
            if self.profiles.get(profile).tracker.time_until_deadline(now).is_some_and(|wait| wait.is_zero())
            {
                effects.extend(self.apply_input(profile, Input::TimePassed { now }));
            }
        }
        effects
    }

    fn on_report(&mut self, profile: ProfileId, report: Report, now: Moment) -> Vec<Effect> {
        if report.request == Request::RecentSessions {
            self.on_recent_report(profile, report);
            return Vec::new();
        }
        self.profiles.get_mut(profile).poll_stats.add_report(&report);
        if report.result.is_ok() {
            self.away.count_response();
        }
        let IngestedReport { input, connect_urls, is_live_view } = IngestedReport::from(report);
        let mut effects = Vec::new();
        if let Some(input) = input {
            effects.extend(self.apply_input(profile, input));
        }
        if let Some((id, outcome)) = connect_urls {
            effects.extend(self.on_urls_result(&id, is_live_view, &outcome, now));
        }
        self.notify_clock_skew(profile, now);
        self.notify_wrong_date(profile, now);
        effects
    }

    /// Applies an input to the tracker of a profile. Returns the effects. They ring the bell if the input raises an
    /// alert, unless it is acknowledged, the session is muted or another profile owns it. All live inputs pass through here; replayed
    /// inputs do not.
    pub(super) fn apply_input(&mut self, profile: ProfileId, input: Input) -> Vec<Effect> {
        let not_found_id = match &input {
            Input::SessionNotFound { id, .. } => Some(id.clone()),
            _ => None,
        };
        let (events, commands) = self.profiles.apply(profile, input);
        if !self.table.is_up_to_date(&self.profiles) {
            self.rebuild_rows();
        }
        let is_audible = |event: &Event| {
            let is_shown = event.id.as_ref().is_none_or(|id| self.profiles.owns(profile, id));
            is_shown
                && !self.table.muted().mutes_event(event)
                && matches!(event.kind, EventKind::AlertRaised(alert) if !self.is_acknowledged(profile, event, alert))
        };
        let rings_bell = self.settings.bell && events.iter().any(is_audible);
        // The API does not find this session with this profile's API key. If another profile has received the session,
        // the session belongs to that profile's project, so this profile stops polling it.
        let id_found_elsewhere = not_found_id.filter(|id| {
            self.profiles.find(id).is_some_and(|(owner, record)| owner != profile && record.session.is_some())
        });
        let unwatch_effect =
            id_found_elsewhere.map(|id| Effect::SendToPoller(profile, PollerCommand::Unwatch(id)));
        let effects = rings_bell.then_some(Effect::RingBell).into_iter().chain(unwatch_effect);
        effects.chain(persistence::effects(profile, commands)).chain(self.update_title()).collect()
    }

    /// Returns true if the user has acknowledged the alert that this event raised: in an earlier run, or in another pane.
    fn is_acknowledged(&self, profile: ProfileId, event: &Event, alert: Alert) -> bool {
        event.id.as_ref().is_some_and(|id| self.acknowledged.covers(profile, id, alert, event.learned_at))
    }

    /// Shows a notice, once per run, if the `Date` of a profile's responses is wrong or jumps.
    fn notify_wrong_date(&mut self, profile: ProfileId, now: Moment) {
        let clock = self.profiles.get(profile).tracker.clock();
        let text = match (clock.has_jumping_dates(), clock.has_ignored_dates()) {
            _ if self.has_notified_wrong_date => return,
            (false, false) => return,
            (true, _) => "the API's dates jump back and forth; times do not follow the jumps (! for more)",
            (false, true) => "the API sent a wrong Date, maybe from a cache; it is ignored (! for more)",
        };
        self.has_notified_wrong_date = true;
        self.notify(now, NoticeLevel::Error, text.into());
    }

    /// Shows a notice, once per run, if the clock of a profile's server differs too much from ours. Without a session,
    /// no time is shown, and nothing can show that a `Date` is wrong.
    fn notify_clock_skew(&mut self, profile: ProfileId, now: Moment) {
        let skew = self.profiles.get(profile).tracker.clock().skew();
        let has_sessions =
            self.profiles.get(profile).tracker.records().any(|record| record.session.is_some());
        if self.has_notified_skew || skew.num_seconds().abs() <= SKEW_NOTICE_SECS || !has_sessions {
            return;
        }
        self.has_notified_skew = true;
        let amount = text::format_duration(Duration::from_secs(skew.num_seconds().unsigned_abs()));
        // The skew is the server clock minus our clock.
        let direction = if skew.num_seconds() > 0 { "behind" } else { "ahead of" };
        let text =
            format!("this machine's clock is {amount} {direction} the API's; times are shown by the API's");
        self.notify(now, NoticeLevel::Error, text);
    }
}

#[cfg(test)]
mod tests;
