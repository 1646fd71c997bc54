//! Watches sessions without a screen, for `events` and `wait`: applies the poller's reports to a session tracker and
//! returns the events.
//!
//! ```text
//!   poller ─── report ──────────────────┐
//!   clock ──── deadline of the tracker ─┴──► Input ──► SessionTracker::apply ──► HeadlessEvent::Update
//!   clock ──── deadline of the command ────────────────────────────────────────► HeadlessEvent::DeadlineReached
//!   signals ── SIGINT, SIGTERM, SIGXCPU ───────────────────────────────────────► HeadlessEvent::Interrupted
//! ```
//!
//! Each call of [`HeadlessWatch::next`] returns one [`HeadlessEvent`]. There is no periodic tick. Without reports or
//! signals, `next` wakes only at the tracker's next deadline and at the deadline that the command has passed to `next`.
//!
//! The queue of reports is bounded. If the command stops calling `next`, the queue fills and the poller waits. The time
//! intervals of later events then grow, because polls are further apart.

use std::time::Duration;

use tokio::sync::mpsc;

use super::CliError;
use super::print_error;
use super::signals::ShutdownSignal;
use crate::api::Client;
use crate::exit_code::ExitCode;
use crate::log;
use crate::poll::{IngestedReport, PollLimits, Poller, PollerCommand, Report};
use crate::store::recorder::{Recorder, RecordingFile};
use crate::store::{self, Encoder, StreamEntry, StreamHeader};
use keepwatch_core::clock::{Clock, Moment};
use keepwatch_core::session::{ApiError, SessionId, Targets};
use keepwatch_core::tracker::{AlertRules, Event, Input, RequestTiming, SessionTracker};

/// The capacity of the report queue.
const MAX_QUEUED_REPORTS: usize = 16;

/// The sessions to watch, the poll limits and the alert rules.
#[derive(Debug)]
pub(super) struct WatchParams {
    pub(super) targets: Targets,
    pub(super) poll_limits: PollLimits,
    pub(super) alert_rules: AlertRules,
}

/// A session tracker, the poller that feeds it, and the recording, if there is one.
#[derive(Debug)]
pub(super) struct HeadlessWatch {
    pub(super) tracker: SessionTracker,
    clock: Clock,
    /// The moment of the last wake-up.
    now: Moment,
    poller: Poller,
    reports: mpsc::Receiver<Report>,
    shutdown_signal: ShutdownSignal,
    /// The encoder and the recorder of the recording. `None` without a recording, and after a failed write.
    recording: Option<(Encoder, Recorder)>,
}

/// The result of [`HeadlessWatch::next`].
#[derive(Debug)]
pub(super) enum HeadlessEvent {
    /// An input was applied: a poll ended, or the passing of time caused events.
    Update(HeadlessUpdate),
    /// The command's deadline has passed.
    DeadlineReached,
    /// A signal came that ends the command. The command ends with this exit code.
    Interrupted(ExitCode),
}

/// The changes of one wake-up.
#[derive(Debug, Default)]
pub(super) struct HeadlessUpdate {
    /// The events, in order.
    pub(super) events: Vec<Event>,
    /// The session and the times of its request, if the response was a 404 or 410. `events` has an event only for the
    /// first such response about a session. This field has a value for each of them.
    pub(super) not_found: Option<(SessionId, RequestTiming)>,
}

impl HeadlessWatch {
    /// Starts the poller, and the recorder if there is a recording. `recording` is the new file and its header.
    ///
    /// # Errors
    /// Returns an error if the signal handlers or the recorder cannot be started.
    pub(super) fn start(
        client: Client,
        clock: Clock,
        params: WatchParams,
        recording: Option<(RecordingFile, StreamHeader)>,
    ) -> Result<Self, CliError> {
        let shutdown_signal = ShutdownSignal::new()?;
        let tracker = SessionTracker::new(params.alert_rules);
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

    /// Applies the input to the tracker, records its entries and returns its events.
    fn apply(&mut self, input: Input) -> Vec<Event> {
        let encoder = self.recording.as_mut().map(|(encoder, _)| encoder);
        let (events, entries) = store::apply_and_encode(encoder, &mut self.tracker, input);
        self.record_entries(entries);
        events
    }

    /// Sends the entries to the recorder. After a failed write, the recording ends.
    fn record_entries(&mut self, entries: Vec<StreamEntry>) {
        if !entries.is_empty()
            && let Some((_, recorder)) = &mut self.recording
            && !recorder.write(entries)
        {
            self.recording = None;
        }
    }

    /// Returns the moment of the last wake-up.
    pub(super) fn now(&self) -> Moment {
        self.now
    }

    /// Requests an immediate poll of all targets. Does nothing while polls fail, because the API may have asked for a
    /// delay.
    pub(super) fn poll_now(&self) {
        if self.tracker.health().failure_streak.is_none() {
            self.poller.send_command(PollerCommand::PollNow);
        }
    }

    /// Waits for a signal that ends the command, and returns the exit code for this signal. Must not be called again
    /// after it has returned.
    pub(super) async fn interrupted(&mut self) -> ExitCode {
        self.shutdown_signal.wait().await
    }

    /// Waits for the next event, but no longer than until `deadline`, a reading of the clock since boot
    /// ([`Moment::boot`]).
    pub(super) async fn next(&mut self, deadline: Option<Duration>) -> HeadlessEvent {
        loop {
            let time_left = deadline.map(|deadline| deadline.saturating_sub(self.now.boot));
            let delay = time_left.into_iter().chain(self.tracker.time_until_deadline(self.now)).min();
            let wake_at = delay.map(|delay| self.now.mono.saturating_add(delay));
            let report = tokio::select! {
                exit = self.shutdown_signal.wait() => return HeadlessEvent::Interrupted(exit),
                Some(report) = self.reports.recv() => Some(report),
                () = crate::timer::sleep_until(&self.clock, wake_at.unwrap_or_default()), if wake_at.is_some() => None,
            };
            let previous = std::mem::replace(&mut self.now, self.clock.now());
            log::log_clock_changes(previous, self.now);
            let mut update = HeadlessUpdate::default();
            if self.now.slept_since(previous) {
                self.poller.send_command(PollerCommand::Reconnect);
                update.events = self.apply(Input::Slept { from: previous, to: self.now });
            }
            let input = match report {
                Some(report) => IngestedReport::from(report).input,
                None => Some(Input::TimePassed { now: self.now }),
            };
            if let Some(Input::SessionNotFound { at, id, .. }) = &input {
                update.not_found = Some((id.clone(), *at));
            }
            let is_from_poll = input.as_ref().is_some_and(|input| !matches!(input, Input::TimePassed { .. }));
            if let Some(input) = input {
                update.events.extend(self.apply(input));
            }
            if is_from_poll || !update.events.is_empty() {
                return HeadlessEvent::Update(update);
            }
            if deadline.is_some_and(|deadline| deadline <= self.now.boot) {
                return HeadlessEvent::DeadlineReached;
            }
        }
    }

    /// Returns the error if the API refuses the API key and no poll has succeeded yet.
    pub(super) fn auth_error(&self) -> Option<&ApiError> {
        let health = self.tracker.health();
        let streak = health.failure_streak.as_ref().filter(|_| health.last_success.is_none())?;
        Some(&streak.error).filter(|error| error.is_auth_error())
    }
}

/// Writes the encoder's last entries, which complete the recording.
impl Drop for HeadlessWatch {
    fn drop(&mut self) {
        let entries = self.recording.as_mut().map(|(encoder, _)| encoder.finish(&self.tracker));
        self.record_entries(entries.unwrap_or_default());
    }
}

fn start_recorder((file, header): (RecordingFile, StreamHeader)) -> Result<(Encoder, Recorder), CliError> {
    let encoder = Encoder::new(None, header.no_metadata);
    let recorder = Recorder::start(file, header, |problem| {
        tracing::warn!("{problem}");
        print_error(&problem.to_string());
    });
    Ok((encoder, recorder.map_err(CliError::Recorder)?))
}
