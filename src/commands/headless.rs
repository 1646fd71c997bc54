//! Watches sessions without a screen, for `events` and `wait`: applies the pollers' reports to session trackers and
//! returns the events. Each profile has its own poller and tracker.
//!
//! ```text
//!   pollers ── report ─────────────────┐
//!   clock ──── deadline of a tracker ──┴──► Input ──► SessionTracker::apply ──► HeadlessEvent::Update
//!   clock ──── deadline of the command ────────────────────────────────────────► HeadlessEvent::DeadlineReached
//!   signals ── SIGINT, SIGTERM, SIGXCPU ───────────────────────────────────────► HeadlessEvent::Interrupted
//! ```
//!
//! Each call of [`HeadlessWatch::next`] returns one [`HeadlessEvent`]. There is no periodic tick. Without reports or
//! signals, `next` wakes only at the trackers' next deadline and at the deadline that the command has passed to `next`.
//!
//! The queue of reports is bounded. If the command stops calling `next`, the queue fills and the poller waits. The time
//! intervals of later events then grow, because polls are further apart.
//!
//! If several profiles have a record of a session, one of them owns the session, as on the screen
//! ([`HeadlessWatch::owner`]).

use std::future::poll_fn;
use std::task::Poll;
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
use keepwatch_core::session::{ApiError, MetadataPath, SessionId, Targets};
use keepwatch_core::tracker::{AlertRules, Event, EventKind, Input, Record, RequestTiming, SessionTracker};

/// The capacity of the report queue of one poller.
const MAX_QUEUED_REPORTS: usize = 16;

/// The sessions to watch, the poll limits of each profile, and the settings of the trackers.
#[derive(Debug)]
pub(super) struct WatchParams {
    pub(super) targets: Targets,
    pub(super) poll_limits: PollLimits,
    pub(super) alert_rules: AlertRules,
    /// The path of the owner in a session's metadata.
    pub(super) owner_key: Option<MetadataPath>,
}

/// A profile to watch: its client and its names.
#[derive(Debug)]
pub(super) struct HeadlessProfile {
    /// The name in the JSON output; `None` for a profile without a name.
    pub(super) name: Option<String>,
    /// The displayable name for people and filters. Empty if there is only one profile.
    pub(super) label: String,
    pub(super) client: Client,
}

/// Identifies a profile of a [`HeadlessWatch`], which creates all ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadlessProfileId(usize);

/// A watched profile: its tracker and the poller that feeds it.
#[derive(Debug)]
pub(super) struct ProfileWatch {
    /// As in [`HeadlessProfile::name`].
    pub(super) name: Option<String>,
    /// As in [`HeadlessProfile::label`].
    pub(super) label: String,
    pub(super) tracker: SessionTracker,
    poller: Poller,
    reports: mpsc::Receiver<Report>,
    /// `None` without a recording.
    encoder: Option<Encoder>,
}

/// The watched profiles, and the recording, if there is one.
#[derive(Debug)]
pub(super) struct HeadlessWatch {
    /// Indexed by [`HeadlessProfileId`]. Never empty.
    profiles: Vec<ProfileWatch>,
    clock: Clock,
    /// The moment of the last wake-up.
    now: Moment,
    shutdown_signal: ShutdownSignal,
    /// `None` without a recording, and after a failed write.
    recorder: Option<Recorder>,
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
    /// The events of each profile, in order.
    pub(super) events: Vec<(HeadlessProfileId, Event)>,
    /// The session and the times of its request, if the response was a 404 or 410. `events` has an event only for the
    /// first such response about a session. This field is set for every such response.
    pub(super) not_found: Option<(SessionId, RequestTiming)>,
}

impl HeadlessWatch {
    /// Starts a poller for each profile, and the recorder if there is a recording. `recording` is the new file and its
    /// header.
    ///
    /// # Errors
    /// Returns an error if the signal handlers or the recorder cannot be started.
    pub(super) fn start(
        first: HeadlessProfile,
        others: Vec<HeadlessProfile>,
        clock: Clock,
        params: WatchParams,
        recording: Option<(RecordingFile, StreamHeader)>,
    ) -> Result<Self, CliError> {
        let shutdown_signal = ShutdownSignal::new()?;
        let now = clock.now();
        let hides_metadata = recording.as_ref().map(|(_, header)| header.no_metadata);
        let recorder = recording.map(start_recorder).transpose()?;
        let start_profile = |HeadlessProfile { name, label, client }| {
            let (report_sender, reports) = mpsc::channel(MAX_QUEUED_REPORTS);
            let (targets, limits) = (&params.targets, params.poll_limits);
            let poller = Poller::spawn(client, None, targets, limits, clock.clone(), report_sender);
            let tracker = SessionTracker::new(params.alert_rules.for_profile(&label))
                .with_owner_key(params.owner_key.clone());
            let recorded_name = (!label.is_empty()).then(|| label.clone());
            let encoder = hides_metadata.map(|hides_metadata| Encoder::new(recorded_name, hides_metadata));
            ProfileWatch { name, label, tracker, poller, reports, encoder }
        };
        let profiles = std::iter::once(first).chain(others).map(start_profile).collect();
        let mut watch = Self { profiles, clock, now, shutdown_signal, recorder };
        if let Targets::Ids(ids) = &params.targets {
            for profile in watch.ids() {
                watch.apply(profile, Input::SessionsNamed { at: now, ids: ids.clone() });
            }
        }
        Ok(watch)
    }

    /// Applies the input to the tracker of a profile, records its entries and returns its events.
    fn apply(&mut self, id: HeadlessProfileId, input: Input) -> Vec<(HeadlessProfileId, Event)> {
        let profile = self.profile_mut(id);
        let (events, entries) =
            store::apply_and_encode(profile.encoder.as_mut(), &mut profile.tracker, input);
        self.record_entries(entries);
        events.into_iter().map(|event| (id, event)).collect()
    }

    /// Sends the entries to the recorder. After a failed write, the recording ends.
    fn record_entries(&mut self, entries: Vec<StreamEntry>) {
        if !entries.is_empty()
            && let Some(recorder) = &mut self.recorder
            && !recorder.write(entries)
        {
            self.recorder = None;
            self.profiles.iter_mut().for_each(|profile| profile.encoder = None);
        }
    }

    /// Returns the ids of all profiles, in the order of the command line.
    pub(super) fn ids(&self) -> impl Iterator<Item = HeadlessProfileId> + use<> {
        (0..self.profiles.len()).map(HeadlessProfileId)
    }

    /// Returns all profiles, in the order of the command line.
    pub(super) fn profiles(&self) -> impl Iterator<Item = &ProfileWatch> {
        self.profiles.iter()
    }

    /// Returns the first profile. `wait` has no other.
    pub(super) fn first(&self) -> &ProfileWatch {
        self.profile(HeadlessProfileId(0))
    }

    /// Returns a profile.
    #[expect(
        clippy::indexing_slicing,
        reason = "each id comes from this list, which is not empty and never changes its length"
    )]
    pub(super) fn profile(&self, id: HeadlessProfileId) -> &ProfileWatch {
        &self.profiles[id.0]
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "each id comes from this list, which is not empty and never changes its length"
    )]
    fn profile_mut(&mut self, id: HeadlessProfileId) -> &mut ProfileWatch {
        &mut self.profiles[id.0]
    }

    /// Returns the profile that owns a session: the first one that finds it, else the first one that found it earlier,
    /// else the first one that still waits for a response about it, else the first one with a record of it. Returns
    /// `None` if no profile has a record.
    pub(super) fn owner(&self, id: &SessionId) -> Option<HeadlessProfileId> {
        let records =
            self.ids().filter_map(|profile| Some((profile, self.profile(profile).tracker.get(id)?)));
        let owner = records.min_by_key(|(_, record)| match (&record.session, record.is_not_found()) {
            (Some(_), false) => 0,
            (Some(_), true) => 1,
            (None, false) => 2,
            (None, true) => 3,
        });
        owner.map(|(profile, _)| profile)
    }

    /// Returns true if the event is news for the user. Two kinds of events are not:
    ///
    /// - the events of a session that another profile owns. A session that two profiles list therefore has its events
    ///   once, and an id is reported as not found only if no profile finds it
    /// - the events about this machine, except those of the first tracker
    pub(super) fn is_news(&self, profile: HeadlessProfileId, event: &Event) -> bool {
        match &event.id {
            None => !is_about_machine(&event.kind) || profile == HeadlessProfileId(0),
            // An id that no profile finds is reported by the profile that answers last.
            Some(id) if matches!(event.kind, EventKind::NotFound(_)) && !self.was_found(id) => {
                self.profiles().all(|other| {
                    other.auth_error().is_some() || other.tracker.get(id).is_none_or(Record::is_not_found)
                })
            }
            // The profile that finds a session first need not be its owner.
            Some(id) if matches!(event.kind, EventKind::FirstSeen { .. }) => {
                self.ids().filter(|other| *other != profile).all(|other| !self.profile(other).has_found(id))
            }
            Some(id) => self.owner(id).is_none_or(|owner| owner == profile),
        }
    }

    /// Returns true if a profile has received the session.
    fn was_found(&self, id: &SessionId) -> bool {
        self.profiles().any(|profile| profile.has_found(id))
    }

    /// Returns true if a tracker will add an event about sessions that ended together.
    pub(super) fn has_unreported_cluster(&self) -> bool {
        self.profiles().any(|profile| profile.tracker.has_unreported_cluster())
    }

    /// Returns the time until the next change of a tracker that depends on time alone.
    fn time_until_deadline(&self) -> Option<Duration> {
        self.profiles().filter_map(|profile| profile.tracker.time_until_deadline(self.now)).min()
    }

    /// Returns the moment of the last wake-up.
    pub(super) fn now(&self) -> Moment {
        self.now
    }

    /// Requests an immediate poll of all targets, except of profiles whose polls fail, because the API may have asked
    /// for a delay.
    pub(super) fn poll_now(&self) {
        for profile in self.profiles().filter(|profile| profile.tracker.health().failure_streak.is_none()) {
            profile.poller.send_command(PollerCommand::PollNow);
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
            let delay = time_left.into_iter().chain(self.time_until_deadline()).min();
            let wake_at = delay.map(|delay| self.now.mono.saturating_add(delay));
            let report = tokio::select! {
                exit = self.shutdown_signal.wait() => return HeadlessEvent::Interrupted(exit),
                report = next_report(&mut self.profiles) => Some(report),
                () = crate::timer::sleep_until(&self.clock, wake_at.unwrap_or_default()), if wake_at.is_some() => None,
            };
            let previous = std::mem::replace(&mut self.now, self.clock.now());
            log::log_clock_changes(previous, self.now);
            let mut update = HeadlessUpdate::default();
            if self.now.slept_since(previous) {
                for profile in self.ids() {
                    self.profile(profile).poller.send_command(PollerCommand::Reconnect);
                    update.events.extend(self.apply(profile, Input::Slept { from: previous, to: self.now }));
                }
            }
            let input = report.map(|(profile, report)| (profile, IngestedReport::from(*report).input));
            let is_from_poll = matches!(input, Some((_, Some(_))));
            match input {
                Some((profile, Some(input))) => {
                    if let Input::SessionNotFound { at, id, .. } = &input {
                        update.not_found = Some((id.clone(), *at));
                    }
                    update.events.extend(self.apply(profile, input));
                    if let Some((id, _)) = &update.not_found {
                        self.unwatch_if_found_elsewhere(profile, id);
                    }
                }
                Some((_, None)) => {}
                None => {
                    for profile in self.ids() {
                        update.events.extend(self.apply(profile, Input::TimePassed { now: self.now }));
                    }
                }
            }
            if is_from_poll || !update.events.is_empty() {
                return HeadlessEvent::Update(update);
            }
            if deadline.is_some_and(|deadline| deadline <= self.now.boot) {
                return HeadlessEvent::DeadlineReached;
            }
        }
    }

    /// Stops polling a session that the API does not find with the API key of this profile, if another profile has
    /// received the session: it belongs to the project of that profile.
    fn unwatch_if_found_elsewhere(&self, profile: HeadlessProfileId, id: &SessionId) {
        if self.was_found(id) && self.owner(id).is_some_and(|owner| owner != profile) {
            self.profile(profile).poller.send_command(PollerCommand::Unwatch(id.clone()));
        }
    }
}

impl ProfileWatch {
    /// Returns true if a response to this profile has shown the session.
    fn has_found(&self, id: &SessionId) -> bool {
        self.tracker.get(id).is_some_and(|record| record.session.is_some())
    }

    /// Returns the error if the API refuses the API key and no poll has succeeded yet.
    pub(super) fn auth_error(&self) -> Option<&ApiError> {
        let health = self.tracker.health();
        let streak = health.failure_streak.as_ref().filter(|_| health.last_success.is_none())?;
        Some(&streak.error).filter(|error| error.is_auth_error())
    }
}

/// Writes the last entries of each encoder, which complete the recording.
impl Drop for HeadlessWatch {
    fn drop(&mut self) {
        for id in self.ids() {
            let ProfileWatch { tracker, encoder, .. } = self.profile_mut(id);
            let entries = encoder.as_mut().map(|encoder| encoder.finish(tracker));
            self.record_entries(entries.unwrap_or_default());
        }
    }
}

/// Waits for the next report of any poller. Never returns if all pollers have ended.
async fn next_report(profiles: &mut [ProfileWatch]) -> (HeadlessProfileId, Box<Report>) {
    poll_fn(|context| {
        for (position, profile) in profiles.iter_mut().enumerate() {
            if let Poll::Ready(Some(report)) = profile.reports.poll_recv(context) {
                return Poll::Ready((HeadlessProfileId(position), Box::new(report)));
            }
        }
        Poll::Pending
    })
    .await
}

/// Returns true if the event is about this machine and not about a profile. Every tracker has such an event.
pub(super) fn is_about_machine(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Slept(_) | EventKind::ClockSet { .. })
}

fn start_recorder((file, header): (RecordingFile, StreamHeader)) -> Result<Recorder, CliError> {
    let recorder = Recorder::start(file, header, |problem| {
        tracing::warn!("{problem}");
        print_error(&problem.to_string());
    });
    recorder.map_err(CliError::Recorder)
}
