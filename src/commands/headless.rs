//! Watching without a screen: the poller's reports into a fleet, and what happened out of it.
//!
//! ```text
//!   signals ── SIGINT, SIGTERM ─┐
//!   poller ─── Report ──────────┤──► Input ──► Fleet::apply ──► Told    one at a time, to whoever asks for the next
//!   the clock ─ a deadline ─────┘
//! ```
//!
//! It polls nothing by itself and wakes for nothing else: not for a tick, only for what the fleet says will be true by
//! time alone, and for the moment that the command itself waits for. Who does not ask for the next holds up the poller
//! in the end, and the intervals in which things happened become as wide as that.

use std::fs::File;
use std::time::Duration;

use tokio::sync::mpsc;

use super::CliError;
use super::print_error;
use super::signals::ShutdownSignal;
use crate::api::Client;
use crate::exit_code::ExitCode;
use crate::log;
use crate::poll::{IngestedReport, PollLimits, Poller, PollerCommand, Report};
use crate::store::recorder::Recorder;
use crate::store::{self, Encoder, StreamEntry, StreamHeader};
use keepwatch_core::clock::{Clock, Moment};
use keepwatch_core::session::{ApiError, SessionId, Targets};
use keepwatch_core::tracker::{AlertThresholds, Event, Input, RequestTiming, SessionTracker};

/// How many reports may wait.
const MAX_QUEUED_REPORTS: usize = 16;

/// What is watched, how often, and when it is flagged.
#[derive(Debug)]
pub(super) struct WatchParams {
    pub(super) targets: Targets,
    pub(super) poll_limits: PollLimits,
    pub(super) thresholds: AlertThresholds,
}

/// A fleet that is being watched.
#[derive(Debug)]
pub(super) struct HeadlessWatch {
    pub(super) tracker: SessionTracker,
    clock: Clock,
    now: Moment,
    poller: Poller,
    reports: mpsc::Receiver<Report>,
    shutdown_signal: ShutdownSignal,
    recording: Option<(Encoder, Recorder)>,
}

/// What came.
#[derive(Debug)]
pub(super) enum HeadlessEvent {
    /// Something about the sessions, or about the polling.
    Update(HeadlessUpdate),
    /// The moment that was waited for.
    DeadlineReached,
    /// A signal that asks the program to end, as this.
    Interrupted(ExitCode),
}

/// What one input brought.
#[derive(Debug, Default)]
pub(super) struct HeadlessUpdate {
    /// What happened by it, in order.
    pub(super) events: Vec<Event>,
    /// A session that the API said is not there, and when it was asked: the events tell only the first time.
    pub(super) not_found: Option<(SessionId, RequestTiming)>,
}

impl HeadlessWatch {
    /// Begins to watch.
    ///
    /// # Errors
    /// Signals can not be heard.
    pub(super) fn start(
        client: Client,
        clock: Clock,
        params: WatchParams,
        recording: Option<(File, StreamHeader)>,
    ) -> Result<Self, CliError> {
        let shutdown_signal = ShutdownSignal::new()?;
        let tracker = SessionTracker::new(params.thresholds);
        let now = clock.now();
        let recording = recording.map(start_recorder).transpose()?;
        let (report_sender, reports) = mpsc::channel(MAX_QUEUED_REPORTS);
        let poller =
            Poller::spawn(client, None, &params.targets, params.poll_limits, clock.clone(), report_sender);
        let mut watch = Self { tracker, clock, now, poller, reports, shutdown_signal, recording };
        if let Targets::Ids(ids) = &params.targets {
            watch.apply(Input::SessionsNamed { at: now, ids: ids.clone() });
        }
        Ok(watch)
    }

    fn apply(&mut self, input: Input) -> Vec<Event> {
        let encoder = self.recording.as_mut().map(|(encoder, _)| encoder);
        let (events, lines) = store::apply_and_encode(encoder, &mut self.tracker, input);
        self.record_entries(lines);
        events
    }

    fn record_entries(&mut self, lines: Vec<StreamEntry>) {
        if !lines.is_empty()
            && let Some((_, recorder)) = &mut self.recording
            && !recorder.write(lines)
        {
            self.recording = None;
        }
    }

    /// What time it was when the newest thing was heard.
    pub(super) fn now(&self) -> Moment {
        self.now
    }

    /// Polls everything now, if nothing keeps polls from succeeding: what a server asked for is left alone.
    pub(super) fn poll_now(&self) {
        if self.tracker.health().failure_streak.is_none() {
            self.poller.send_command(PollerCommand::PollNow);
        }
    }

    /// Waits for the next thing, or until `due` by the clock since boot.
    pub(super) async fn next(&mut self, deadline: Option<Duration>) -> HeadlessEvent {
        loop {
            let left = deadline.map(|due| due.saturating_sub(self.now.boot));
            let wake = left.into_iter().chain(self.tracker.next_deadline(self.now)).min();
            let wake = wake.map(|wake| self.now.mono.saturating_add(wake));
            let report = tokio::select! {
                exit = self.shutdown_signal.wait() => return HeadlessEvent::Interrupted(exit),
                Some(report) = self.reports.recv() => Some(report),
                () = crate::timer::sleep_until(&self.clock, wake.unwrap_or_default()), if wake.is_some() => None,
            };
            let before = std::mem::replace(&mut self.now, self.clock.now());
            log::log_clock_changes(before, self.now);
            let mut update = HeadlessUpdate::default();
            if self.now.slept_since(before) {
                self.poller.send_command(PollerCommand::Reconnect);
                update.events = self.apply(Input::Slept { from: before, to: self.now });
            }
            let input = match report {
                Some(report) => IngestedReport::from(report).input,
                None => Some(Input::TimePassed { now: self.now }),
            };
            if let Some(Input::SessionNotFound { at, id, .. }) = &input {
                update.not_found = Some((id.clone(), *at));
            }
            let is_reply = input.as_ref().is_some_and(|input| !matches!(input, Input::TimePassed { .. }));
            if let Some(input) = input {
                update.events.extend(self.apply(input));
            }
            if is_reply || !update.events.is_empty() {
                return HeadlessEvent::Update(update);
            }
            if deadline.is_some_and(|due| due <= self.now.boot) {
                return HeadlessEvent::DeadlineReached;
            }
        }
    }

    /// Why nothing will come of it, if the API refuses the key and never answered otherwise.
    pub(super) fn auth_error(&self) -> Option<&ApiError> {
        let health = self.tracker.health();
        let failing = health.failure_streak.as_ref().filter(|_| health.last_success.is_none())?;
        Some(&failing.error).filter(|error| error.is_auth_error())
    }
}

/// What was recorded is whole once nothing follows any more.
impl Drop for HeadlessWatch {
    fn drop(&mut self) {
        let lines = self.recording.as_mut().map(|(encoder, _)| encoder.finish(&self.tracker));
        self.record_entries(lines.unwrap_or_default());
    }
}

fn start_recorder((file, header): (File, StreamHeader)) -> Result<(Encoder, Recorder), CliError> {
    let encoder = Encoder::new(None, header.no_metadata);
    let recorder = Recorder::start(file, header, |why| print_error(&why));
    Ok((encoder, recorder.map_err(CliError::Recorder)?))
}
