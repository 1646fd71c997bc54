//! A recording on the screen: the same tracker, model and frames. Only the inputs come from a file, and the time is that of
//! the recording.
//!
//! ```text
//!   terminal ── TermEvent ──┐
//!   the tape ── Input ──────┤──► Model ──► Effect ──► EffectRunner; play and step: here
//!   the clock ── while it ──┘
//!                plays
//! ```

use std::io;
use std::time::Duration;

use super::effect::Effect;
use super::effect_runner::EffectRunner;
use super::event_loop::lay_out;
use super::model::Model;
use super::notice::Tone;
use super::profiles::{ProfileId, ProfileInfo};
use super::replay_state::Replay;
use super::settings::Settings;
use super::terminal_events::{TranslatedEvent, translate};
use crate::exit_code::ExitCode;
use crate::store::{Decoder, InputLog};
use crate::terminal::{self, Env, Screen};
use crate::tui::view;
use keepwatch_core::clock::{Clock, Moment, Timestamp};
use keepwatch_core::text;
use keepwatch_core::tracker::SessionTracker;

/// The widest name of a profile, in columns.
const LONGEST_NAME: usize = 24;

/// Shows `tape` until the reader quits or a signal ends it. It stands at its first event until it is played.
///
/// # Errors
/// The terminal refuses screen mode, or no thread can be started.
pub async fn replay(
    settings: Settings,
    tape: InputLog,
    host: Option<String>,
    started: Timestamp,
    clock: Clock,
    env: Env,
) -> io::Result<ExitCode> {
    let (events, mut inbox) = terminal::channel();
    let screen = Screen::enter("keepwatch", &events)?;
    let info = |name: &Option<String>| ProfileInfo {
        name: text::sanitise(name.as_deref().unwrap_or_default(), LONGEST_NAME),
        host: host.clone().filter(|_| name.is_none()),
        ..ProfileInfo::default()
    };
    let mut profiles = tape.profiles().iter().map(info);
    let (first, others) = (profiles.next().unwrap_or_default(), profiles.collect());
    let mut model = Model::new(settings, first, others, screen.size());
    let mut player = Player::new(tape, &model, started);
    let mut runner = EffectRunner::new(screen, env, events)?;
    player.step(true, &mut model);
    let now = player.now;
    runner.run_effects(model.begin_replay(now));
    loop {
        if let Some(exit) = runner.exit_code() {
            runner.close();
            return Ok(exit);
        }
        let now = player.now;
        lay_out(&mut model, now);
        runner.draw(|frame| view::draw(frame, &model, now));
        let wake = player.wake(&model);
        let event = tokio::select! {
            event = inbox.recv() => event,
            () = crate::timer::sleep_until(&clock, wake.unwrap_or_default()), if wake.is_some() => None,
        };
        player.pass(clock.now(), &mut model);
        let effects = match event.map(translate) {
            Some(TranslatedEvent::Message(message)) => model.update(message, player.now),
            Some(TranslatedEvent::Exit(exit)) => {
                runner.exit(exit);
                Vec::new()
            }
            Some(TranslatedEvent::Wake) | None => Vec::new(),
        };
        for effect in effects {
            match effect {
                Effect::Play(plays) => player.play(plays, clock.now(), &mut model),
                Effect::Step { on } => {
                    player.play(false, clock.now(), &mut model);
                    player.step(on, &mut model);
                }
                other => runner.run_effects([other]),
            }
        }
        runner.run_effects(model.expire(player.now));
    }
}

/// Where a tape stands.
struct Player {
    tape: InputLog,
    /// The profiles of the tape, in its order.
    profiles: Vec<(ProfileId, Decoder)>,
    /// The next step.
    next: usize,
    /// Behind which steps something has happened, in order.
    marks: Vec<usize>,
    now: Moment,
    /// Since when it plays: our clock, and the recording's.
    since: Option<(Moment, Moment)>,
}

impl Player {
    /// Creates a player at the beginning of `tape`. The tape has the events that trackers like the model's return for it.
    fn new(tape: InputLog, model: &Model, started: Timestamp) -> Self {
        let mut fleets: Vec<SessionTracker> = tape.profiles().iter().map(|_| model.empty_fleet()).collect();
        let mut unfold = vec![Decoder::default(); fleets.len()];
        let mut marks = Vec::new();
        for (place, (_, item)) in tape.iter().enumerate() {
            let input = unfold.get_mut(item.profile).and_then(|unfold| unfold.decode(item));
            let fleet = fleets.get_mut(item.profile);
            let happened =
                input.zip(fleet).is_some_and(|(input, fleet)| !fleet.apply(input).events.is_empty());
            if happened {
                marks.push(place.saturating_add(1));
            }
        }
        let now = tape.get(0).map_or_else(|| nothing(started), |(at, _)| at);
        let profiles = model.profiles().ids().map(|id| (id, Decoder::default())).collect();
        Self { tape, profiles, next: 0, marks, now, since: None }
    }

    /// Applies the next step, at its time.
    fn take(&mut self, model: &mut Model) {
        let Some((at, item)) = self.tape.get(self.next) else { return };
        self.next = self.next.saturating_add(1);
        if let Some((profile, unfold)) = self.profiles.get_mut(item.profile)
            && let Some(input) = unfold.decode(item)
        {
            model.replay_input(*profile, input);
        }
        if at.boot >= self.now.boot {
            self.now = at;
        }
    }

    /// To the next event, or to the one before.
    fn step(&mut self, on: bool, model: &mut Model) {
        let passed = self.marks.partition_point(|mark| *mark <= self.next);
        let to = match on {
            true => self.marks.get(passed).copied().unwrap_or(self.tape.len()),
            false => match passed.checked_sub(2) {
                Some(before) => self.marks.get(before).copied().unwrap_or(0),
                None => self.marks.first().copied().unwrap_or(0),
            },
        };
        if to < self.next {
            model.forget_all();
            self.profiles.iter_mut().for_each(|(_, unfold)| *unfold = Decoder::default());
            self.next = 0;
            self.now = self.tape.get(0).map_or(self.now, |(at, _)| at);
        }
        while self.next < to {
            self.take(model);
        }
        self.tell(model);
    }

    fn play(&mut self, plays: bool, clock: Moment, model: &mut Model) {
        let at_end = self.next >= self.tape.len();
        self.since = (plays && !at_end).then_some((clock, self.now));
        if plays && at_end {
            self.say_end(model);
        }
        self.tell(model);
    }

    /// Our clock has come to `clock`: what has happened until then, while it plays.
    fn pass(&mut self, clock: Moment, model: &mut Model) {
        let Some((since, from)) = self.since else { return };
        let to = from.plus(clock.since(since));
        while self.tape.get(self.next).is_some_and(|(at, _)| at.boot <= to.boot) {
            self.take(model);
        }
        if self.next >= self.tape.len() {
            self.since = None;
            self.say_end(model);
        } else {
            self.now = to;
        }
        self.tell(model);
    }

    /// When the picture will next differ, by our monotonic clock, if it plays.
    fn wake(&self, model: &Model) -> Option<Duration> {
        let (since, from) = self.since?;
        let next = self.tape.get(self.next).map(|(at, _)| at.boot.saturating_sub(from.boot));
        let change = model.next_change(self.now).map(|at| {
            self.now.boot.saturating_sub(from.boot).saturating_add(at.saturating_sub(self.now.mono))
        });
        let wait = next.into_iter().chain(change).min()?;
        Some(since.mono.saturating_add(wait))
    }

    fn say_end(&self, model: &mut Model) {
        let back = if self.marks.is_empty() { "" } else { "; [ goes back" };
        model.say(self.now, Tone::Plain, format!("the recording ends here{back}"));
    }

    fn tell(&self, model: &mut Model) {
        let event = self.marks.partition_point(|mark| *mark <= self.next);
        model.replay = Some(Replay { playing: self.since.is_some(), event, events: self.marks.len() });
    }
}

/// The time of a recording of nothing: when it was begun.
fn nothing(started: Timestamp) -> Moment {
    Moment { wall: started, mono: Duration::ZERO, boot: Duration::ZERO }
}
