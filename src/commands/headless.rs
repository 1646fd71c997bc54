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
use super::interruption::Interruption;
use super::print_error;
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
const WAITING_REPORTS: usize = 16;

/// What is watched, how often, and when it is flagged.
#[derive(Debug)]
pub(super) struct Watching {
    pub(super) targets: Targets,
    pub(super) pace: PollLimits,
    pub(super) thresholds: AlertThresholds,
}

/// A fleet that is being watched.
#[derive(Debug)]
pub(super) struct Follow {
    pub(super) fleet: SessionTracker,
    clock: Clock,
    now: Moment,
    poller: Poller,
    reported: mpsc::Receiver<Report>,
    interruption: Interruption,
    recording: Option<(Encoder, Recorder)>,
}

/// What came.
#[derive(Debug)]
pub(super) enum Heard {
    /// Something about the sessions, or about the polling.
    Told(Told),
    /// The moment that was waited for.
    Due,
    /// A signal that asks the program to end, as this.
    Interrupted(ExitCode),
}

/// What one input brought.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// What happened by it, in order.
    pub(super) events: Vec<Event>,
    /// A session that the API said is not there, and when it was asked: the events tell only the first time.
    pub(super) missing: Option<(SessionId, RequestTiming)>,
}

impl Follow {
    /// Begins to watch.
    ///
    /// # Errors
    /// Signals can not be heard.
    pub(super) fn start(
        client: Client,
        clock: Clock,
        watching: Watching,
        recording: Option<(File, StreamHeader)>,
    ) -> Result<Self, CliError> {
        let interruption = Interruption::new()?;
        let fleet = SessionTracker::new(watching.thresholds);
        let now = clock.now();
        let recording = recording.map(begin).transpose()?;
        let (reports, reported) = mpsc::channel(WAITING_REPORTS);
        let poller = Poller::spawn(client, None, &watching.targets, watching.pace, clock.clone(), reports);
        let mut follow = Self { fleet, clock, now, poller, reported, interruption, recording };
        if let Targets::Ids(ids) = &watching.targets {
            follow.apply(Input::SessionsNamed { at: now, ids: ids.clone() });
        }
        Ok(follow)
    }

    fn apply(&mut self, input: Input) -> Vec<Event> {
        let encoder = self.recording.as_mut().map(|(encoder, _)| encoder);
        let (events, lines) = store::apply_and_encode(encoder, &mut self.fleet, input);
        self.write(lines);
        events
    }

    fn write(&mut self, lines: Vec<StreamEntry>) {
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
    pub(super) fn ask_now(&self) {
        if self.fleet.health().failure_streak.is_none() {
            self.poller.send_command(PollerCommand::PollNow);
        }
    }

    /// Waits for the next thing, or until `due` by the clock since boot.
    pub(super) async fn next(&mut self, due: Option<Duration>) -> Heard {
        loop {
            let left = due.map(|due| due.saturating_sub(self.now.boot));
            let wake = left.into_iter().chain(self.fleet.next_deadline(self.now)).min();
            let wake = wake.map(|wake| self.now.mono.saturating_add(wake));
            let report = tokio::select! {
                exit = self.interruption.heard() => return Heard::Interrupted(exit),
                Some(report) = self.reported.recv() => Some(report),
                () = crate::timer::sleep_until(&self.clock, wake.unwrap_or_default()), if wake.is_some() => None,
            };
            let before = std::mem::replace(&mut self.now, self.clock.now());
            log::log_clock_changes(before, self.now);
            let mut told = Told::default();
            if self.now.slept_since(before) {
                self.poller.send_command(PollerCommand::Reconnect);
                told.events = self.apply(Input::Slept { from: before, to: self.now });
            }
            let input = match report {
                Some(report) => IngestedReport::from(report).input,
                None => Some(Input::TimePassed { now: self.now }),
            };
            if let Some(Input::SessionNotFound { at, id, .. }) = &input {
                told.missing = Some((id.clone(), *at));
            }
            let is_reply = input.as_ref().is_some_and(|input| !matches!(input, Input::TimePassed { .. }));
            if let Some(input) = input {
                told.events.extend(self.apply(input));
            }
            if is_reply || !told.events.is_empty() {
                return Heard::Told(told);
            }
            if due.is_some_and(|due| due <= self.now.boot) {
                return Heard::Due;
            }
        }
    }

    /// Why nothing will come of it, if the API refuses the key and never answered otherwise.
    pub(super) fn refusal(&self) -> Option<&ApiError> {
        let health = self.fleet.health();
        let failing = health.failure_streak.as_ref().filter(|_| health.last_success.is_none())?;
        Some(&failing.error).filter(|fault| fault.is_auth_error())
    }
}

/// What was recorded is whole once nothing follows any more.
impl Drop for Follow {
    fn drop(&mut self) {
        let lines = self.recording.as_mut().map(|(encoder, _)| encoder.finish(&self.fleet));
        self.write(lines.unwrap_or_default());
    }
}

fn begin((file, header): (File, StreamHeader)) -> Result<(Encoder, Recorder), CliError> {
    let encoder = Encoder::new(None, header.no_metadata);
    let recorder = Recorder::start(file, header, |why| print_error(&why));
    Ok((encoder, recorder.map_err(CliError::Recorder)?))
}
