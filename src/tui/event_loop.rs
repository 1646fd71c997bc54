//! The event loop of live sessions. It owns the model. (`replay` has the event loop of a recording.)
//!
//! ```text
//!   terminal ──── TermEvent ─────────┐
//!   pollers ───── Report ────────────┤
//!   disk ──────── PersistenceEvent ──┼──► Message ──► Model::update ──► Effect ──► EffectRunner
//!   clock ─────── wake-up ───────────┘                     │
//!                                                          └──► one frame, if the terminal is ready for it
//! ```
//!
//! The clock wakes the loop when a visible text must change. The loop awaits only its `select!` and never blocks: the
//! terminal writer, the clipboard, the browser and the disk have their own threads. DNS lookups run on tokio's threads.
//! Large responses are decoded in pieces, so that other tasks can run in between.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::sync::mpsc;

use super::effect::Effect;
use super::effect_runner::EffectRunner;
use super::message::Message;
use super::model::Model;
use super::persistence::{
    Persistence, PersistenceConfig, PersistenceEvent, PersistenceEventSender, PersistenceWarning,
};
use super::profiles::{ProfileId, ProfileInfo};
use super::settings::Settings;
use super::terminal_events::{TranslatedEvent, translate};
use crate::api::Client;
use crate::exit_code::ExitCode;
use crate::log;
use crate::poll::{Poller, Report};
use crate::terminal::{self, Env, Screen, TermEvent};
use crate::tui::view;
use keepwatch_core::clock::{Clock, Moment};

/// Capacity of the channel from one poller to the loop, in reports.
const REPORT_CAPACITY: usize = 16;
/// Maximum number of [`LoopEvent`]s that the loop handles between two frames. A series of keystrokes or resizes fits.
const EVENTS_PER_FRAME: usize = 512;

/// Shows the screen until the user quits or a signal arrives. Each profile comes with its own client, or with `None` if
/// the profile has no API key. Returns the exit code, and sentences to print after the terminal is restored.
///
/// # Errors
/// Fails if the terminal cannot enter screen mode, or if a thread cannot be started.
pub async fn run(
    settings: Settings,
    (first_profile, first_client): (ProfileInfo, Option<Client>),
    others: Vec<(ProfileInfo, Option<Client>)>,
    clock: Clock,
    env: Env,
    persistence_config: PersistenceConfig,
) -> io::Result<(ExitCode, Vec<String>)> {
    let (event_sender, mut terminal_inbox) = terminal::channel();
    let mut screen = Screen::enter("keepwatch", &event_sender)?;
    let (targets, poll_limits, release_permission) =
        (settings.targets.clone(), settings.poll_limits, settings.release_permission);
    let (other_profiles, other_clients): (Vec<_>, Vec<_>) = others.into_iter().unzip();
    let (persistence_sender, mut persistence_inbox) = PersistenceEventSender::channel();
    let log_sender = persistence_sender.clone();
    // promise: log-failure
    log::set_error_handler(move |message| log_sender.warn(PersistenceWarning::log(message)));
    let mut now = clock.now();
    let mut model = Model::new(settings, first_profile, other_profiles, screen.size());
    if persistence_config.is_enabled() {
        let run = persistence_config.new_run();
        model.enable_persistence(run.as_ref(), persistence_config.header.no_metadata, now);
    }
    let persistence =
        Persistence::start(persistence_config, model.profiles.ids(), &clock, &persistence_sender)?;
    let first_effects = model.start(now);
    lay_out(&mut model, now);
    screen.draw(|frame| view::draw(frame, &model, now));

    // The slow steps come after the first frame, so that the frame appears at once. A poller, for example, sets up TLS
    // for its first request.
    let (mut reports, mut pollers) = (ReportReceivers::default(), BTreeMap::new());
    let clients = std::iter::once(first_client).chain(other_clients);
    for (profile, client) in model.profiles.ids().zip(clients) {
        let Some(client) = client else { continue };
        let sender = reports.add_channel(profile);
        pollers.insert(
            profile,
            Poller::spawn(client, release_permission, &targets, poll_limits, clock.clone(), sender),
        );
    }
    let runner = EffectRunner::new(screen, env, event_sender)?;
    let mut runner = runner.with_pollers(pollers).with_persistence(persistence);
    start_segments(&mut runner, &mut model, now);
    runner.run_effects(first_effects);
    loop {
        if let Some(exit) = runner.exit_code() {
            runner.check_clears();
            start_segments(&mut runner, &mut model, now);
            runner.run_effects(model.finish_persistence());
            return Ok((exit, runner.close()));
        }
        // If the terminal is still busy with the last frame, this draws nothing and `WriterReady` wakes the loop later.
        runner.draw(|frame| view::draw(frame, &model, now));
        let wake_at = model.next_change(now);
        let first_event = tokio::select! {
            Some(event) = terminal_inbox.recv() => Some(LoopEvent::Terminal(event)),
            (profile, report) = reports.next() => Some(LoopEvent::Report(profile, Box::new(report))),
            Some(event) = persistence_inbox.recv() => Some(LoopEvent::Persistence(event)),
            () = crate::timer::sleep_until(&clock, wake_at.unwrap_or_default()), if wake_at.is_some() => None,
        };
        let previous = std::mem::replace(&mut now, clock.now());
        log::log_clock_changes(previous, now);
        if now.slept_since(previous) {
            runner.run_effects(update(&mut model, Message::Slept(previous, now), now));
        }
        // The journal may have closed its segment. Entries without an open segment are lost, so this comes before the
        // events below, which create entries.
        start_segments(&mut runner, &mut model, now);
        let mut next_event = first_event;
        for _ in 0..EVENTS_PER_FRAME {
            let Some(event) = next_event else { break };
            let translated = match event {
                LoopEvent::Terminal(event) => translate(event),
                LoopEvent::Report(profile, report) => {
                    TranslatedEvent::Message(Message::Report(profile, report))
                }
                LoopEvent::Persistence(event) => TranslatedEvent::Message(Message::Persistence(event)),
            };
            match translated {
                TranslatedEvent::Message(message) => runner.run_effects(update(&mut model, message, now)),
                TranslatedEvent::Exit(exit) => runner.request_exit(exit),
                TranslatedEvent::Wake => {}
            }
            next_event =
                terminal_inbox.try_recv().map(LoopEvent::Terminal).ok().or_else(|| reports.try_next());
        }
        runner.run_effects(model.on_tick(now));
        lay_out(&mut model, now);
        start_segments(&mut runner, &mut model, now);
    }
}

/// Applies a message to the model, and updates the layout.
pub(super) fn update(model: &mut Model, message: Message, now: Moment) -> Vec<Effect> {
    let effects = model.update(message, now);
    lay_out(model, now);
    effects
}

/// Updates the layout. The view computes it, and the model keeps it.
pub(super) fn lay_out(model: &mut Model, now: Moment) {
    let viewport = view::viewport(model, now);
    if model.set_viewport(viewport) {
        // Other rows are pinned, so another session may be selected, with details of another height.
        let viewport = view::viewport(model, now);
        model.set_viewport(viewport);
    }
}

/// Starts a new segment in each journal that needs one, if the writer's queue has room for it.
fn start_segments(runner: &mut EffectRunner, model: &mut Model, now: Moment) {
    for (profile, cleared_at) in runner.segments_to_start() {
        runner.run_effects(model.start_segment(profile, cleared_at, now));
    }
}

/// An event that wakes the event loop.
enum LoopEvent {
    Terminal(TermEvent),
    Report(ProfileId, Box<Report>),
    Persistence(PersistenceEvent),
}

/// The receivers of the report channels. Each poller has its own channel, so that a busy poller does not delay the
/// others.
#[derive(Default)]
struct ReportReceivers(Vec<(ProfileId, mpsc::Receiver<Report>)>);

impl ReportReceivers {
    /// Adds a channel for a profile. Returns the sender for its poller.
    fn add_channel(&mut self, profile: ProfileId) -> mpsc::Sender<Report> {
        let (sender, receiver) = mpsc::channel(REPORT_CAPACITY);
        self.0.push((profile, receiver));
        sender
    }

    /// Waits for the next report and returns it with its profile. Never returns if no profile has a poller.
    async fn next(&mut self) -> (ProfileId, Report) {
        poll_fn(|context| {
            for (profile, receiver) in &mut self.0 {
                if let Poll::Ready(Some(report)) = receiver.poll_recv(context) {
                    return Poll::Ready((*profile, report));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Returns a report if one is already waiting.
    fn try_next(&mut self) -> Option<LoopEvent> {
        let mut receivers = self.0.iter_mut();
        receivers.find_map(|(profile, receiver)| {
            Some(LoopEvent::Report(*profile, Box::new(receiver.try_recv().ok()?)))
        })
    }
}
