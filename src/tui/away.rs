//! The page “While you were away”: what happened since the user last pressed a key. Pure.
//!
//! ```text
//!   end of the last run ── 10 min or more ──► start of this run ─┐
//!   keystroke ──────────── 10 min or more ──► next keystroke ────┴──► Absence
//!                                                                        │  w, or by itself at the start
//!                                                                        ▼
//!                                        sessions, events, projects ──► AwayReport ──► page
//! ```
//!
//! The page opens by itself only after an absence between two runs, if a session ended during that absence, and only
//! until the first keystroke. The report is computed when the page opens and when the rows are rebuilt, never while
//! drawing.

mod report;

use std::time::Duration;

use super::focus::{Focus, Pane};
use super::keymap::Action;
use super::model::Model;
use super::notice::NoticeLevel;
use super::scroll::position_after;
use keepwatch_core::clock::{Moment, Timestamp};
pub use report::{AwayReport, AwaySession, OwnerTotals, UnwatchedPeriod, UnwatchedReason};

/// The minimum time without a keystroke that counts as an absence.
const MIN_ABSENCE: Duration = Duration::from_secs(10 * 60);

/// The state of the page: the newest absence of the user, and the report about it.
#[derive(Debug, Default)]
pub struct AwayState {
    /// The start of this run.
    started: Option<Moment>,
    /// The end of the last run of the same host and project, by our wall clock.
    last_run_ended: Option<Timestamp>,
    /// The newest keystroke of this run.
    last_keystroke: Option<Moment>,
    /// The number of responses in this run.
    responses: u64,
    /// The number of responses in this run before the newest keystroke.
    responses_at_keystroke: u64,
    /// The newest absence.
    absence: Option<Absence>,
    /// The report. `None` while the page is closed.
    report: Option<AwayReport>,
    /// The position in [`AwayReport::to_look_at`] of the selected session.
    selected: usize,
    /// The first visible line of the page.
    top: usize,
}

/// A time in which the user pressed no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absence {
    /// The reason why this program received no keystroke.
    pub kind: AbsenceKind,
    /// The end: the next keystroke, or the start of this run.
    pub until: Moment,
    /// The duration. It may be longer than `until.boot`, because this machine may have booted during the absence.
    pub length: Duration,
    /// The number of responses during the absence.
    pub responses: u64,
    /// True if polling was paused during the whole absence. Only a keystroke pauses or resumes polling.
    pub was_paused: bool,
}

/// The reason why this program received no keystroke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsenceKind {
    /// No run of this host and project was active.
    NotRunning,
    /// The user pressed no key.
    NoKeystroke,
}

/// The extent of the page, as the view computed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AwayExtent {
    /// The number of all lines, visible or not.
    pub lines: usize,
    /// The number of visible lines.
    pub height: usize,
    /// The line of the first session to look at.
    pub first_session_line: usize,
}

impl AwayState {
    /// Returns the report, or `None` while the page is closed.
    #[must_use]
    pub fn report(&self) -> Option<&AwayReport> {
        self.report.as_ref()
    }

    /// Returns the position in [`AwayReport::to_look_at`] of the selected session.
    #[must_use]
    pub fn selected(&self) -> usize {
        self.selected
    }

    /// Returns the first visible line of the page.
    #[must_use]
    pub fn top(&self) -> usize {
        self.top
    }

    /// Drops the report, because another pane gets the focus.
    pub(super) fn close(&mut self) {
        self.report = None;
    }

    /// Notes the start of this run.
    pub(super) fn on_start(&mut self, now: Moment) {
        self.started = Some(now);
    }

    /// Counts a response.
    pub(super) fn count_response(&mut self) {
        self.responses = self.responses.saturating_add(1);
    }

    /// Notes a keystroke. If the previous keystroke was `min_absence` ago or longer, this one ends an absence. For the
    /// first keystroke, the start of this run takes the place of the previous one.
    fn on_keystroke(&mut self, now: Moment, min_absence: Duration, is_paused: bool) {
        // After an absence between two runs, the first keystroke of this run ends no other absence: the page must still
        // be about the time between the runs.
        let is_after_absence = self.absence.is_some_and(|absence| absence.kind == AbsenceKind::NotRunning);
        let previous = self.last_keystroke.or(self.started.filter(|_| !is_after_absence));
        let length = previous.map(|previous| now.since(previous)).unwrap_or_default();
        if length >= min_absence {
            self.absence = Some(Absence {
                kind: AbsenceKind::NoKeystroke,
                until: now,
                length,
                responses: self.responses.saturating_sub(self.responses_at_keystroke),
                was_paused: is_paused,
            });
        }
        self.last_keystroke = Some(now);
        self.responses_at_keystroke = self.responses;
    }

    /// Notes the end of the last run of the same host and project, by our wall clock. Of several profiles, the newest
    /// run counts.
    fn on_last_run_ended(&mut self, ended: Timestamp) {
        self.last_run_ended = self.last_run_ended.max(Some(ended));
        let (Some(started), Some(ended)) = (self.started, self.last_run_ended) else { return };
        if self.absence.is_some_and(|absence| absence.kind == AbsenceKind::NoKeystroke) {
            return; // the known absence is newer
        }
        let length = started.wall.signed_duration_since(ended).to_std().unwrap_or_default();
        let absence = Absence {
            kind: AbsenceKind::NotRunning,
            until: started,
            length,
            responses: 0,
            was_paused: false,
        };
        self.absence = Some(absence).filter(|absence| absence.length >= MIN_ABSENCE);
    }

    /// Returns the absence after which the page may still open by itself: no run was active, and the user has not pressed
    /// a key in this run.
    fn unseen_absence(&self) -> Option<Absence> {
        self.absence
            .filter(|absence| absence.kind == AbsenceKind::NotRunning && self.last_keystroke.is_none())
    }

    /// Limits the selected session and the first visible line to the extent of the page.
    pub(super) fn clamp(&mut self, extent: AwayExtent) {
        let count = self.report.as_ref().map_or(0, |report| report.to_look_at.len());
        self.selected = self.selected.min(count.saturating_sub(1));
        self.top = self.top.min(extent.lines.saturating_sub(extent.height));
    }

    /// Moves the selection and scrolls. Only scrolls if the selected session is not visible, or if no session follows in
    /// the direction of the action.
    fn scroll(&mut self, action: Action, extent: AwayExtent) {
        let count = self.report.as_ref().map_or(0, |report| report.to_look_at.len());
        let last_top = extent.lines.saturating_sub(extent.height);
        let selected = position_after(action, self.selected, extent.height, count);
        let top = position_after(action, self.top, extent.height, last_top.saturating_add(1));
        let is_step = matches!(action, Action::Down | Action::Up);
        let old_line = extent.first_session_line.saturating_add(self.selected);
        let is_visible = count > 0 && (self.top..self.top.saturating_add(extent.height)).contains(&old_line);
        if is_step && (selected == self.selected || !is_visible) {
            self.top = top;
            return;
        }
        self.selected = selected;
        if !is_step {
            self.top = top;
            return;
        }
        // Scroll as little as needed. The headings stay in view with the first session.
        let new_line = extent.first_session_line.saturating_add(selected);
        let min_top = new_line.saturating_add(1).saturating_sub(extent.height);
        let max_top = if selected == 0 { 0 } else { new_line };
        self.top = self.top.clamp(min_top.min(max_top), max_top);
    }
}

impl Model {
    /// Notes a keystroke of the user, before the model handles it.
    pub(super) fn note_keystroke(&mut self, now: Moment) {
        let min_absence = MIN_ABSENCE.saturating_mul(self.settings.clock_speed);
        // In a replay, a keystroke has a time of the recording, which tells nothing about the user.
        if self.replay.is_none() {
            self.away.on_keystroke(now, min_absence, self.paused);
        }
    }

    /// Notes the end of the last run. Opens the page if a session ended between that time and the start of this run.
    pub(super) fn on_last_run_ended(&mut self, ended: Timestamp) {
        self.away.on_last_run_ended(ended);
        self.refresh_away();
    }

    /// Opens the page about the newest absence, or closes it.
    pub(super) fn toggle_away(&mut self, pane: Pane, now: Moment) {
        if pane == Pane::Away {
            self.focus_pane(Pane::Table);
            self.rebuild_rows();
        } else if self.replay.is_some() {
            self.notify(now, NoticeLevel::Info, "not available in a recording".into());
        } else if let Some(absence) = self.away.absence {
            self.open_away(absence);
        } else {
            let text = "you were not away: never 10 minutes without a keystroke";
            self.notify(now, NoticeLevel::Info, text.into());
        }
    }

    fn open_away(&mut self, absence: Absence) {
        self.focus_pane(Pane::Away);
        (self.away.selected, self.away.top) = (0, 0);
        self.away.report = Some(self.away_report(absence));
    }

    /// Computes the report again while the page is open. At the start, opens the page if it is due.
    pub(super) fn refresh_away(&mut self) {
        if self.focus.pane() != Pane::Away {
            self.away.report = None;
            if let Some(absence) = self.away.unseen_absence()
                && matches!(self.focus, Focus::Pane(Pane::Table))
                && self.has_end_during(absence)
            {
                self.open_away(absence);
            }
            return;
        }
        let Some(old_report) = &self.away.report else { return };
        let selected = old_report.to_look_at.get(self.away.selected).map(|session| session.id.clone());
        let report = self.away_report(old_report.absence);
        // Keep the same session selected. Before the first keystroke, keep the first one selected.
        let has_keystroke = self.away.last_keystroke.is_some();
        let position = selected
            .filter(|_| has_keystroke)
            .and_then(|id| report.to_look_at.iter().position(|session| session.id == id));
        self.away.selected = position.unwrap_or(if has_keystroke { self.away.selected } else { 0 });
        self.away.report = Some(report);
    }

    /// Prepares for an action on the page. If the action is on one session, selects the page's selected session in the
    /// table too.
    /// Returns true if the action can now be performed as in any other pane.
    pub(super) fn prepare_on_away_page(&mut self, action: Action, now: Moment) -> bool {
        match action {
            Action::Down | Action::Up | Action::First | Action::Last | Action::PageDown | Action::PageUp => {
                let extent = self.viewport().away().unwrap_or_default();
                self.away.scroll(action, extent);
                return false;
            }
            Action::Open
            | Action::CopyConnect
            | Action::Reveal
            | Action::CopyMenu
            | Action::Dashboard
            | Action::Release => {
                let report = self.away.report.as_ref();
                let session = report.and_then(|report| report.to_look_at.get(self.away.selected));
                match session.map(|session| session.id.clone()) {
                    Some(id) if self.profiles.record(&id).is_some() => self.table.select(id),
                    Some(_) | None => {
                        let text = "no session to look at here: Esc leads to the sessions";
                        self.notify(now, NoticeLevel::Info, text.into());
                        return false;
                    }
                }
            }
            Action::Filter
            | Action::Sort
            | Action::Reverse
            | Action::ToggleAlertsOnly
            | Action::Mute
            | Action::Unmute => {
                self.notify(now, NoticeLevel::Info, "that is for the table: Esc leads there".into());
                return false;
            }
            _ => {} // needs no preparation
        }
        true
    }

    /// Opens the page for a snapshot test.
    #[cfg(test)]
    pub(crate) fn open_away_for_test(&mut self, absence: Absence) {
        self.away.absence = Some(absence);
        self.open_away(absence);
    }

    /// Sets the positions for a snapshot test.
    #[cfg(test)]
    pub(crate) fn set_away_positions(&mut self, selected: usize, top: usize) {
        (self.away.selected, self.away.top) = (selected, top);
    }
}
