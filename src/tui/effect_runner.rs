//! Performs effects. This is the only code that acts on the outside world for the model.
//!
//! ```text
//!   Vec<Effect> ──► EffectRunner ──► pollers        commands
//!                        ├─────────► persistence    lines, summaries, history
//!                        ├─────────► screen         bell, title, repaint, suspend
//!                        ├─────────► clipboard, browser
//!                        └─────────► exit           for the event loop to read
//! ```
//!
//! The runner makes no decisions. It never blocks, except while the program is suspended.

use std::collections::BTreeMap;
use std::io;

use super::effect::Effect;
use super::persistence::Persistence;
use super::profiles::ProfileId;
use crate::exit_code::ExitCode;
use crate::poll::Poller;
use crate::terminal::{self, Clipboard, Env, Screen, TermEvent, TermEventSender};

/// Performs the effects of one event loop.
pub(super) struct EffectRunner {
    screen: Screen,
    /// A profile without an API key has no poller; a replay has none at all.
    pollers: BTreeMap<ProfileId, Poller>,
    clipboard: Clipboard,
    env: Env,
    events: TermEventSender,
    /// `None` in a replay.
    persistence: Option<Persistence>,
    exit: Option<ExitCode>,
}

impl EffectRunner {
    /// Creates a runner without pollers or persistence. A replay uses it as it is.
    ///
    /// # Errors
    /// Fails if the clipboard's thread cannot be started.
    pub(super) fn new(screen: Screen, env: Env, events: TermEventSender) -> io::Result<Self> {
        let (sender, clipboard_events) = (screen.sender(), events.clone());
        let clipboard = Clipboard::new(
            env.clone(),
            move |bytes| sender.send(bytes),
            move |outcome| terminal::send_nonblocking(&clipboard_events, TermEvent::CopyFinished(outcome)),
        )?;
        Ok(Self { screen, pollers: BTreeMap::new(), clipboard, env, events, persistence: None, exit: None })
    }

    /// Adds the pollers.
    pub(super) fn with_pollers(self, pollers: BTreeMap<ProfileId, Poller>) -> Self {
        Self { pollers, ..self }
    }

    /// Adds the journal and the recording.
    pub(super) fn with_persistence(self, persistence: Persistence) -> Self {
        Self { persistence: Some(persistence), ..self }
    }

    /// Performs `effects` in order.
    pub(super) fn run_effects(&mut self, effects: impl IntoIterator<Item = Effect>) {
        for effect in effects {
            self.run_effect(effect);
        }
    }

    fn run_effect(&mut self, effect: Effect) {
        match effect {
            Effect::CommandAllPollers(command) => {
                self.pollers.values().for_each(|poller| poller.send_command(command.clone()));
            }
            Effect::CommandPoller(profile, command) => {
                if let Some(poller) = self.pollers.get(&profile) {
                    poller.send_command(command);
                }
            }
            Effect::Persist(profile, command) => {
                if let Some(persistence) = &mut self.persistence {
                    persistence.run(profile, command);
                }
            }
            Effect::Play(_) | Effect::Step { .. } => {} // the replay's loop performs these
            Effect::Copy(copyable, text) => self.clipboard.copy(copyable.name().to_owned(), text),
            Effect::Open(page) => terminal::open_in_browser(&page, &self.env, &self.events),
            Effect::RingBell => self.screen.ring(),
            Effect::Title(title) => self.screen.set_title(&title),
            Effect::SetBracketedPaste(on) => self.screen.set_bracketed_paste(on),
            Effect::Repaint => self.screen.repaint(),
            Effect::Suspend => {
                if let Some(persistence) = &mut self.persistence {
                    persistence.flush();
                }
                let _ = self.screen.suspend(); // fails only if there is no shell to continue the program
            }
            Effect::Quit => self.request_exit(ExitCode::Success),
        }
    }

    /// Requests the end of the event loop.
    pub(super) fn request_exit(&mut self, exit: ExitCode) {
        self.exit = Some(exit);
    }

    /// Returns the exit code if the event loop must end.
    pub(super) fn exit_code(&self) -> Option<ExitCode> {
        self.exit
    }

    /// Returns the profiles whose journal needs a new segment.
    pub(super) fn closed_segments(&self) -> Vec<ProfileId> {
        self.persistence.as_ref().map(Persistence::closed_segments).unwrap_or_default()
    }

    /// Draws a frame if the terminal is ready for one.
    pub(super) fn draw(&mut self, render: impl FnOnce(&mut ratatui::Frame<'_>)) {
        self.screen.draw(render);
    }

    /// Restores the terminal, then waits until everything is written. Returns a sentence for the user if the journal is
    /// incomplete.
    pub(super) fn close(self) -> Option<String> {
        let Self { screen, persistence, .. } = self;
        screen.leave();
        persistence.and_then(Persistence::close)
    }
}
