//! The event loop of a replay. It uses the same tracker, model and view as live sessions, but the inputs come from an
//! input log, and the time is that of the recording. It never polls.
//!
//! ```text
//!   terminal ─── TermEvent ─────────┐                     ┌──► EffectRunner
//!   input log ── Input ─────────────┼──► Model ──► Effect ┤
//!   clock ────── while it plays ────┘                     └──► ReplayPlayer, for Play and Step
//! ```

use std::io;
use std::time::Duration;

use super::effect::Effect;
use super::effect_runner::EffectRunner;
use super::event_loop::lay_out;
use super::model::Model;
use super::notice::NoticeLevel;
use super::profiles::{ProfileId, ProfileInfo};
use super::replay_state::ReplayProgress;
use super::settings::Settings;
use super::terminal_events::{TranslatedEvent, translate};
use crate::exit_code::ExitCode;
use crate::store::{Decoder, InputLog};
use crate::terminal::{self, Env, Screen};
use crate::tui::view;
use keepwatch_core::clock::{Clock, Moment, Timestamp};
use keepwatch_core::text;
use keepwatch_core::tracker::SessionTracker;

/// The maximum width of a profile's name, in columns.
const MAX_NAME_WIDTH: usize = 24;

/// Shows `input_log` until the user quits or a signal arrives. The replay is paused at its first event until the user
/// plays it. Returns the exit code.
///
/// # Errors
/// Fails if the terminal cannot enter screen mode, or if a thread cannot be started.
pub async fn run_replay(
    settings: Settings,
    input_log: InputLog,
    host: Option<String>,
    started: Timestamp,
    clock: Clock,
    env: Env,
) -> io::Result<ExitCode> {
    let (events, mut inbox) = terminal::channel();
    let screen = Screen::enter("keepwatch", &events)?;
    let info = |name: &Option<String>| ProfileInfo {
        name: text::sanitise(name.as_deref().unwrap_or_default(), MAX_NAME_WIDTH),
        host: host.clone().filter(|_| name.is_none()),
        ..ProfileInfo::default()
    };
    let mut profiles = input_log.profiles().iter().map(info);
    let (first, others) = (profiles.next().unwrap_or_default(), profiles.collect());
    let mut model = Model::new(settings, first, others, screen.size());
    let mut player = ReplayPlayer::new(input_log, &model, started);
    let mut runner = EffectRunner::new(screen, env, events)?;
    player.step_to_event(true, &mut model);
    let now = player.now;
    runner.run_effects(model.start_replay(now));
    loop {
        if let Some(exit) = runner.exit_code() {
            runner.close();
            return Ok(exit);
        }
        let now = player.now;
        lay_out(&mut model, now);
        runner.draw(|frame| view::draw(frame, &model, now));
        let wake = player.next_wake(&model);
        let event = tokio::select! {
            event = inbox.recv() => event,
            () = crate::timer::sleep_until(&clock, wake.unwrap_or_default()), if wake.is_some() => None,
        };
        player.advance_to(clock.now(), &mut model);
        let effects = match event.map(translate) {
            Some(TranslatedEvent::Message(message)) => model.update(message, player.now),
            Some(TranslatedEvent::Exit(exit)) => {
                runner.request_exit(exit);
                Vec::new()
            }
            Some(TranslatedEvent::Wake) | None => Vec::new(),
        };
        for effect in effects {
            match effect {
                Effect::Play(playing) => player.set_playing(playing, clock.now(), &mut model),
                Effect::Step { forward } => {
                    player.set_playing(false, clock.now(), &mut model);
                    player.step_to_event(forward, &mut model);
                }
                other => runner.run_effects([other]),
            }
        }
        runner.run_effects(model.on_tick(player.now));
    }
}

/// The position in an input log.
struct ReplayPlayer {
    input_log: InputLog,
    /// The profiles of the input log, in its order.
    profiles: Vec<(ProfileId, Decoder)>,
    /// The index of the next entry.
    next_index: usize,
    /// The indices that follow an entry with events, in order.
    event_positions: Vec<usize>,
    /// The current time of the recording.
    now: Moment,
    /// The start of playing, on our clock and on the recording's. `None` while paused.
    playing_since: Option<(Moment, Moment)>,
}

impl ReplayPlayer {
    /// Creates a player at the beginning of `input_log`. Finds the events with trackers like the model's.
    fn new(input_log: InputLog, model: &Model, started: Timestamp) -> Self {
        let mut trackers: Vec<SessionTracker> =
            input_log.profiles().iter().map(|_| model.new_tracker()).collect();
        let mut decoders = vec![Decoder::default(); trackers.len()];
        let mut event_positions = Vec::new();
        for (index, (_, item)) in input_log.iter().enumerate() {
            let input = decoders.get_mut(item.profile).and_then(|decoder| decoder.decode(item));
            let tracker = trackers.get_mut(item.profile);
            let has_events =
                input.zip(tracker).is_some_and(|(input, tracker)| !tracker.apply(input).events.is_empty());
            if has_events {
                event_positions.push(index.saturating_add(1));
            }
        }
        let now = input_log.get(0).map_or_else(|| empty_recording_time(started), |(at, _)| at);
        let profiles = model.profiles().ids().map(|id| (id, Decoder::default())).collect();
        Self { input_log, profiles, next_index: 0, event_positions, now, playing_since: None }
    }

    /// Applies the next entry, and moves the time to it.
    fn apply_next(&mut self, model: &mut Model) {
        let Some((at, item)) = self.input_log.get(self.next_index) else { return };
        self.next_index = self.next_index.saturating_add(1);
        if let Some((profile, decoder)) = self.profiles.get_mut(item.profile)
            && let Some(input) = decoder.decode(item)
        {
            model.apply_replayed(*profile, input);
        }
        if at.boot >= self.now.boot {
            self.now = at;
        }
    }

    /// Moves to the next or to the previous event.
    fn step_to_event(&mut self, forward: bool, model: &mut Model) {
        let passed = self.event_positions.partition_point(|position| *position <= self.next_index);
        let target = match forward {
            true => self.event_positions.get(passed).copied().unwrap_or(self.input_log.len()),
            false => match passed.checked_sub(2) {
                Some(previous) => self.event_positions.get(previous).copied().unwrap_or(0),
                None => self.event_positions.first().copied().unwrap_or(0),
            },
        };
        // A tracker cannot go back, so the replay starts again from the beginning.
        if target < self.next_index {
            model.clear_sessions();
            self.profiles.iter_mut().for_each(|(_, decoder)| *decoder = Decoder::default());
            self.next_index = 0;
            self.now = self.input_log.get(0).map_or(self.now, |(at, _)| at);
        }
        while self.next_index < target {
            self.apply_next(model);
        }
        self.update_progress(model);
    }

    /// Plays from the current position, or pauses.
    fn set_playing(&mut self, playing: bool, clock: Moment, model: &mut Model) {
        let at_end = self.next_index >= self.input_log.len();
        self.playing_since = (playing && !at_end).then_some((clock, self.now));
        if playing && at_end {
            self.notify_end(model);
        }
        self.update_progress(model);
    }

    /// While the replay plays, applies the entries up to the time `clock` of our clock.
    fn advance_to(&mut self, clock: Moment, model: &mut Model) {
        let Some((since, from)) = self.playing_since else { return };
        let target = from.plus(clock.since(since));
        while self.input_log.get(self.next_index).is_some_and(|(at, _)| at.boot <= target.boot) {
            self.apply_next(model);
        }
        if self.next_index >= self.input_log.len() {
            self.playing_since = None;
            self.notify_end(model);
        } else {
            self.now = target;
        }
        self.update_progress(model);
    }

    /// Returns the time of the next change on the screen, on our monotonic clock, or `None` while paused.
    fn next_wake(&self, model: &Model) -> Option<Duration> {
        let (since, from) = self.playing_since?;
        let next = self.input_log.get(self.next_index).map(|(at, _)| at.boot.saturating_sub(from.boot));
        let change = model.next_change(self.now).map(|at| {
            self.now.boot.saturating_sub(from.boot).saturating_add(at.saturating_sub(self.now.mono))
        });
        let wait = next.into_iter().chain(change).min()?;
        Some(since.mono.saturating_add(wait))
    }

    fn notify_end(&self, model: &mut Model) {
        let back = if self.event_positions.is_empty() { "" } else { "; [ goes back" };
        model.notify(self.now, NoticeLevel::Info, format!("the recording ends here{back}"));
    }

    fn update_progress(&self, model: &mut Model) {
        let current_event = self.event_positions.partition_point(|position| *position <= self.next_index);
        model.replay = Some(ReplayProgress {
            is_playing: self.playing_since.is_some(),
            current_event,
            total_events: self.event_positions.len(),
        });
    }
}

/// Returns the time that an empty recording shows: its start.
fn empty_recording_time(started: Timestamp) -> Moment {
    Moment { wall: started, mono: Duration::ZERO, boot: Duration::ZERO }
}
