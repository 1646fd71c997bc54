//! The loop: the only `select!`, and the only place where effects happen.
//!
//! ```text
//!   terminal ── TermEvent ──┐
//!   pollers ─── Report ─────┤──► Message ──► Model::update ──► Effect ──► done here
//!   the clock ── a text ────┘                    │
//!                changes                         └──► one frame, if anything came and the terminal takes it
//! ```
//!
//! It awaits nothing else. What could block lives elsewhere: the writer, the clipboard and the browser on threads, names on
//! tokio's. Big replies are read piece by piece, and others get their turn in between.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::sync::mpsc;

use super::fleets::Origin;
use super::keeper::{Keep, Keeper};
use super::memory::Memory;
use super::model::{Effect, Message, Model, Settings};
use crate::api::Client;
use crate::config::Exit;
use crate::log;
use crate::poll::{Poller, Report};
use crate::store::Line;
use crate::terminal::{self, Clipboard, Env, Events, Screen, TermEvent};
use crate::tui::view;
use keepwatch_core::clock::Clock;
use keepwatch_core::tracker::Fleet;

/// How many reports may wait. The loop is quicker than any poller; this is for the time that a frame takes.
const WAITING_REPORTS: usize = 16;
/// How many messages are taken before the screen is drawn: a paste, a storm of resizes.
const AT_ONCE: usize = 512;

/// Shows the screen until the reader quits or a signal ends it. Each source has a client of its own, and none where there is
/// no key. Returns what is to be said once the terminal is given back, too.
///
/// # Errors
/// The terminal refuses screen mode, or no thread can be started.
pub async fn run(
    settings: Settings,
    sources: Vec<(Origin, Option<Client>)>,
    clock: Clock,
    env: Env,
    keep: Keep,
) -> io::Result<(Exit, Option<String>)> {
    let (events, mut inbox) = terminal::channel();
    let mut screen = Screen::enter("keepwatch", &events)?;
    let (targets, pace, releaser) = (settings.targets.clone(), settings.pace, settings.releaser);
    let (origins, clients): (Vec<_>, Vec<_>) = sources.into_iter().unzip();
    let told = events.clone();
    // promise: log-failure
    log::tell(move |why| terminal::tell(&told, TermEvent::Unwritten(Some("not logging"), why)));
    let mut now = clock.now();
    let looks_back = keep.journal.as_ref().map(|journal| journal.path.clone());
    let writes = keep.recording.is_some() || looks_back.is_some();
    let no_metadata = keep.header.no_metadata;
    let keeper = Keeper::start(keep, &origins, &clock, &events)?;
    let mut model = Model::new(settings, origins, screen.size());
    if writes {
        model.write_down(no_metadata, |source| keeper.who(source), now);
    }
    let first = model.start(now);
    screen.draw(|frame| view::draw(frame, &model, now));

    // Only now what takes time: the first request sets up TLS, the first copy looks for a display.
    let (mut reported, mut pollers) = (Reported::default(), Vec::new());
    for client in clients {
        let reports = reported.sender();
        let poller = |client| Poller::spawn(client, releaser, &targets, pace, clock.clone(), reports);
        pollers.push(client.map(poller));
    }
    let clipboard = clipboard(&env, &screen, &events)?;
    let (memory, mut remembered) = Memory::new(looks_back, &model, &clock);
    let mut hands = Hands {
        screen,
        pollers,
        clipboard,
        env,
        events,
        keeper: Some(keeper),
        memory: Some(memory),
        exit: None,
    };
    hands.begin_anew(&mut model);
    hands.perform(first);
    loop {
        if let Some(exit) = hands.exit {
            hands.perform(model.finish());
            return Ok((exit, hands.leave()));
        }
        // A terminal that is still busy with the last frame says when it is not: WriterReady brings us here again.
        hands.screen.draw(|frame| view::draw(frame, &model, now));
        let wake = model.next_change(now);
        let first = tokio::select! {
            Some(event) = inbox.recv() => Some(Arrival::Event(event)),
            (source, report) = reported.next() => Some(Arrival::Report(source, Box::new(report))),
            Some((source, fleet)) = remembered.recv() => Some(Arrival::Past(source, fleet)),
            () = crate::timer::sleep_until(&clock, wake.unwrap_or_default()), if wake.is_some() => None,
        };
        let before = std::mem::replace(&mut now, clock.now());
        log::clocks(before, now);
        if now.slept_since(before) {
            hands.perform(model.update(Message::Slept(before, now), now));
        }
        let mut arrival = first;
        for _ in 0..AT_ONCE {
            match arrival {
                Some(Arrival::Report(source, report)) => {
                    hands.perform(model.update(Message::Report(source, report), now));
                }
                Some(Arrival::Past(source, fleet)) => {
                    let is = if fleet.is_some() { "is back" } else { "is not known" };
                    tracing::info!("what earlier runs saw of project {source} {is}");
                    hands.perform(model.update(Message::Restored(source, fleet), now));
                }
                Some(Arrival::Event(event)) => {
                    if let Some(message) = hands.take(event) {
                        hands.perform(model.update(message, now));
                    }
                }
                None => break,
            }
            let event = inbox.try_recv().map(Arrival::Event).ok();
            arrival = event.or_else(|| {
                reported.try_next().map(|(source, report)| Arrival::Report(source, Box::new(report)))
            });
        }
        hands.perform(model.expire(now));
        hands.begin_anew(&mut model);
    }
}

enum Arrival {
    Event(TermEvent),
    Report(usize, Box<Report>),
    /// What earlier runs saw of a source's sessions.
    Past(usize, Option<Box<Fleet>>),
}

/// What the pollers report, each through a channel of its own: one that has much to say holds up no other.
#[derive(Default)]
struct Reported(Vec<mpsc::Receiver<Report>>);

impl Reported {
    /// The way in for the next source's poller.
    fn sender(&mut self) -> mpsc::Sender<Report> {
        let (sender, receiver) = mpsc::channel(WAITING_REPORTS);
        self.0.push(receiver);
        sender
    }

    /// The next report, and the source it is of; never, where nothing is polled.
    async fn next(&mut self) -> (usize, Report) {
        poll_fn(|context| {
            for (source, receiver) in self.0.iter_mut().enumerate() {
                if let Poll::Ready(Some(report)) = receiver.poll_recv(context) {
                    return Poll::Ready((source, report));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// One that is there already.
    fn try_next(&mut self) -> Option<(usize, Report)> {
        let mut receivers = self.0.iter_mut().enumerate();
        receivers.find_map(|(source, receiver)| Some((source, receiver.try_recv().ok()?)))
    }
}

/// What effects are done with.
pub(super) struct Hands {
    screen: Screen,
    /// By the source; none where there is no key, or a recording is shown.
    pollers: Vec<Option<Poller>>,
    clipboard: Clipboard,
    env: Env,
    events: Events,
    /// None where a recording is shown.
    keeper: Option<Keeper>,
    /// None where a recording is shown.
    memory: Option<Memory>,
    exit: Option<Exit>,
}

impl Hands {
    /// Those that ask nothing and write nothing down.
    pub(super) fn without_poller(screen: Screen, env: Env, events: Events) -> io::Result<Self> {
        let clipboard = clipboard(&env, &screen, &events)?;
        Ok(Self {
            screen,
            pollers: Vec::new(),
            clipboard,
            env,
            events,
            keeper: None,
            memory: None,
            exit: None,
        })
    }

    /// How to end, if that was asked for.
    pub(super) fn exit(&self) -> Option<Exit> {
        self.exit
    }

    /// Gives the terminal back, and then waits for what is written down. Returns what is to be said of that.
    pub(super) fn leave(self) -> Option<String> {
        let Self { screen, keeper, .. } = self;
        screen.leave();
        keeper.and_then(Keeper::close)
    }

    /// Draws a frame, if the terminal takes one.
    pub(super) fn draw(&mut self, picture: impl FnOnce(&mut ratatui::Frame<'_>)) {
        self.screen.draw(picture);
    }

    /// What the terminal says, as the model's message; what only the screen needs is done here.
    pub(super) fn take(&mut self, event: TermEvent) -> Option<Message> {
        match event {
            TermEvent::Key(key) => Some(Message::Key(key)),
            TermEvent::Paste(text) => Some(Message::Paste(text)),
            TermEvent::Resize { columns, rows } => {
                // Even if the size is the same again: what a terminal made of its cells in between, nobody knows.
                // promise: repaint-on-resize
                self.screen.repaint();
                Some(Message::Resize(columns, rows))
            }
            TermEvent::WriterReady => None,
            TermEvent::Resumed => Some(Message::Resumed),
            TermEvent::Signal(number) => {
                self.exit = Some(Exit::Signal(u8::try_from(number).unwrap_or(u8::MAX)));
                None
            }
            TermEvent::Copied(copied) => {
                let (what, outcome) = (&copied.what, &copied.outcome);
                match outcome {
                    Ok(route) => tracing::info!("{what} {route}"),
                    Err(why) => tracing::warn!("{what} {why}"),
                }
                let outcome = copied.outcome.map(|route| route.to_string()).map_err(|why| why.to_string());
                Some(Message::Copied(copied.what, outcome))
            }
            TermEvent::Opened(outcome) => outcome.err().map(Message::NotOpened),
            TermEvent::Unwritten(lasts, why) => Some(Message::Unwritten(lasts, why)),
        }
    }

    pub(super) fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ask(ask) => {
                    self.pollers.iter().flatten().for_each(|poller| poller.ask(ask.clone()));
                }
                Effect::AskOf(source, ask) => {
                    if let Some(Some(poller)) = self.pollers.get(source) {
                        poller.ask(ask);
                    }
                }
                Effect::Write(source, lines) => self.write(source, lines),
                Effect::Summarise(source, summaries) => {
                    if let Some(keeper) = &mut self.keeper {
                        keeper.summarise(source, summaries);
                    }
                }
                Effect::Restore(source, wanted) => {
                    let run = self.keeper.as_ref().and_then(|keeper| keeper.who(source));
                    if let (Some(memory), Some(who)) = (&self.memory, run) {
                        memory.look_up(source, wanted, who.clone());
                    }
                }
                Effect::Play(_) | Effect::Step { .. } => {} // of a recording alone
                Effect::Copy(what, text) => self.clipboard.copy(what.name().to_owned(), text),
                Effect::Open(page) => terminal::open(&page, &self.env, &self.events),
                Effect::Ring => self.screen.ring(),
                Effect::Title(title) => self.screen.set_title(&title),
                Effect::TakePaste(on) => self.screen.set_paste(on),
                Effect::Repaint => self.screen.repaint(),
                Effect::Suspend => {
                    if let Some(keeper) = &mut self.keeper {
                        keeper.flush();
                    }
                    let _ = self.screen.suspend(); // no shell could continue us: then nothing happens
                }
                Effect::Quit => self.exit = Some(Exit::Fine),
            }
        }
    }
}

impl Hands {
    fn write(&mut self, source: usize, lines: Vec<Line>) {
        if let Some(why) = self.keeper.as_mut().and_then(|keeper| keeper.write(source, lines)) {
            terminal::tell(&self.events, TermEvent::Unwritten(Some("not recording"), why));
        }
    }

    /// Begins new segments of the journal where the old ones are over.
    fn begin_anew(&mut self, model: &mut Model) {
        let over = self.keeper.as_ref().map(Keeper::over).unwrap_or_default();
        for source in over {
            self.write(source, model.begin_anew(source));
            if let Some(keeper) = &mut self.keeper {
                keeper.begin(source);
            }
        }
    }
}

fn clipboard(env: &Env, screen: &Screen, events: &Events) -> io::Result<Clipboard> {
    let (sender, report) = (screen.sender(), events.clone());
    Clipboard::new(
        env.clone(),
        move |bytes| sender.send(bytes),
        move |copied| {
            terminal::tell(&report, TermEvent::Copied(copied));
        },
    )
}
