//! The event loop of a replay. It uses the same tracker, model and view as the event loop of live sessions. But it
//! reads the inputs from an [`InputLog`], shows the time of the recording, and never polls.
//!
//! ```text
//!   terminal ─── TermEvent ─────────┐                     ┌──► EffectRunner
//!   input log ── Input ─────────────┼──► Model ──► Effect ┤
//!   clock ────── wake-up ───────────┘                     └──► ReplayPlayer, for Play and Step
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

/// Shows `input_log` until the user quits or a signal arrives. The replay starts at the first event, paused.
/// Returns the exit code.
///
/// `host` is the API's host, shown for a profile without a name. `recording_start` is the time that an empty recording
/// shows.
///
/// # Errors
/// Fails if the terminal cannot enter screen mode, or if a thread cannot be started.
pub async fn run_replay(
    settings: Settings,
    input_log: InputLog,
    host: Option<String>,
    recording_start: Timestamp,
    clock: Clock,
    env: Env,
) -> io::Result<ExitCode> {
    let (event_sender, mut terminal_inbox) = terminal::channel();
    let screen = Screen::enter("keepwatch", &event_sender)?;
    let info = |name: &Option<String>| ProfileInfo {
        name: text::sanitise(name.as_deref().unwrap_or_default(), MAX_NAME_WIDTH),
        host: host.clone().filter(|_| name.is_none()),
        ..ProfileInfo::default()
    };
    let mut profiles = input_log.profiles().iter().map(info);
    let (first_profile, other_profiles) = (profiles.next().unwrap_or_default(), profiles.collect());
    let mut model = Model::new(settings, first_profile, other_profiles, screen.size());
    let mut player = ReplayPlayer::new(input_log, &model, recording_start);
    let mut runner = EffectRunner::new(screen, env, event_sender)?;
    player.step_to_event(true, &mut model); // forward, to the first event
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
        let wake_at = player.next_wake(&model);
        let event = tokio::select! {
            event = terminal_inbox.recv() => event,
            () = crate::timer::sleep_until(&clock, wake_at.unwrap_or_default()), if wake_at.is_some() => None,
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

/// Plays an input log: keeps the position in it and the time of the recording, and applies the inputs to the model.
struct ReplayPlayer {
    input_log: InputLog,
    /// The model's profiles, each with the decoder of its entries, in the order of the input log's profiles.
    profiles: Vec<(ProfileId, Decoder)>,
    /// The index of the next entry to apply.
    next_index: usize,
    /// For each entry that causes events, the index after the entry, in ascending order. The events of the entry are on
    /// the screen once `next_index` has reached that index.
    event_positions: Vec<usize>,
    /// The current time of the recording.
    now: Moment,
    /// The moment at which the user started to play, on our clock and in the recording. `None` while paused.
    playback_start: Option<(Moment, Moment)>,
}

impl ReplayPlayer {
    /// Creates a player at the beginning of `input_log`. To find the events, applies all inputs to separate trackers.
    fn new(input_log: InputLog, model: &Model, recording_start: Timestamp) -> Self {
        let mut trackers: Vec<SessionTracker> =
            input_log.profiles().iter().map(|_| model.new_tracker()).collect();
        let mut decoders = vec![Decoder::default(); trackers.len()];
        let mut event_positions = Vec::new();
        for (index, (_, entry)) in input_log.iter().enumerate() {
            let input = decoders.get_mut(entry.profile).and_then(|decoder| decoder.decode(entry));
            let tracker = trackers.get_mut(entry.profile);
            let has_events =
                input.zip(tracker).is_some_and(|(input, tracker)| !tracker.apply(input).events.is_empty());
            if has_events {
                event_positions.push(index.saturating_add(1));
            }
        }
        let now = input_log.get(0).map_or_else(|| empty_recording_time(recording_start), |(at, _)| at);
        let profiles = model.profiles().ids().map(|id| (id, Decoder::default())).collect();
        Self { input_log, profiles, next_index: 0, event_positions, now, playback_start: None }
    }

    /// Applies the next entry, and advances the recording's time to the entry's time.
    fn apply_next(&mut self, model: &mut Model) {
        let Some((at, entry)) = self.input_log.get(self.next_index) else { return };
        self.next_index = self.next_index.saturating_add(1);
        if let Some((profile, decoder)) = self.profiles.get_mut(entry.profile)
            && let Some(input) = decoder.decode(entry)
        {
            model.apply_replayed(*profile, input);
        }
        if at.boot >= self.now.boot {
            self.now = at;
        }
    }

    /// Moves to the next or to the previous event. After the last event, the next position is the end of the recording.
    fn step_to_event(&mut self, forward: bool, model: &mut Model) {
        let passed_count = self.event_positions.partition_point(|position| *position <= self.next_index);
        let target = match forward {
            true => self.event_positions.get(passed_count).copied().unwrap_or(self.input_log.len()),
            // The current event is at `passed_count - 1`, so the previous one is at `passed_count - 2`. At the first
            // event, stay there.
            false => match passed_count.checked_sub(2) {
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

    /// Plays from the current position, or pauses. At the end of the recording, stays paused.
    fn set_playing(&mut self, playing: bool, our_now: Moment, model: &mut Model) {
        let at_end = self.next_index >= self.input_log.len();
        self.playback_start = (playing && !at_end).then_some((our_now, self.now));
        if playing && at_end {
            self.notify_end(model);
        }
        self.update_progress(model);
    }

    /// If the replay plays, applies the entries that are due at `our_now`, a moment on our clock.
    fn advance_to(&mut self, our_now: Moment, model: &mut Model) {
        let Some((our_start, recorded_start)) = self.playback_start else { return };
        let target = recorded_start.plus(our_now.since(our_start));
        while self.input_log.get(self.next_index).is_some_and(|(at, _)| at.boot <= target.boot) {
            self.apply_next(model);
        }
        if self.next_index >= self.input_log.len() {
            self.playback_start = None;
            self.notify_end(model);
        } else {
            self.now = target;
        }
        self.update_progress(model);
    }

    /// Returns the time of the next change on the screen, on our monotonic clock, or `None` while paused.
    fn next_wake(&self, model: &Model) -> Option<Duration> {
        let (our_start, recorded_start) = self.playback_start?;
        // Both offsets are measured from the start of playing.
        let entry_offset =
            self.input_log.get(self.next_index).map(|(at, _)| at.boot.saturating_sub(recorded_start.boot));
        let change_offset = model.next_change(self.now).map(|change_at| {
            let played = self.now.boot.saturating_sub(recorded_start.boot);
            played.saturating_add(change_at.saturating_sub(self.now.mono))
        });
        let offset = entry_offset.into_iter().chain(change_offset).min()?;
        Some(our_start.mono.saturating_add(offset))
    }

    fn notify_end(&self, model: &mut Model) {
        let hint = if self.event_positions.is_empty() { "" } else { "; [ goes back" };
        model.notify(self.now, NoticeLevel::Info, format!("the recording ends here{hint}"));
    }

    fn update_progress(&self, model: &mut Model) {
        let current_event = self.event_positions.partition_point(|position| *position <= self.next_index);
        model.replay = Some(ReplayProgress {
            is_playing: self.playback_start.is_some(),
            current_event,
            total_events: self.event_positions.len(),
        });
    }
}

/// Returns the moment that an empty recording shows: the start of the recording.
fn empty_recording_time(recording_start: Timestamp) -> Moment {
    Moment { wall: recording_start, mono: Duration::ZERO, boot: Duration::ZERO }
}
