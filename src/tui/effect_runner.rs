//! Performs effects. This is the only code that acts on the outside world for the model.
//!
//! ```text
//!   Vec<Effect> ──► EffectRunner ──► pollers        commands
//!                        ├─────────► persistence    entries, summaries, history
//!                        ├─────────► screen         bell, title, repaint, suspend
//!                        ├─────────► clipboard, browser
//!                        └─────────► exit code      read by the event loop
//! ```
//!
//! The runner makes no decisions. It never blocks, except when the program is suspended or ends.

use std::collections::BTreeMap;
use std::io;

use super::effect::Effect;
use super::persistence::Persistence;
use super::profiles::ProfileId;
use crate::exit_code::ExitCode;
use crate::poll::Poller;
use crate::terminal::{self, Browser, Clipboard, Env, Screen, TermEvent, TermEventSender};
use keepwatch_core::clock::Moment;

/// Performs the effects that an event loop passes to it.
pub(super) struct EffectRunner {
    screen: Screen,
    /// A profile without an API key has no poller. A replay has no pollers.
    pollers: BTreeMap<ProfileId, Poller>,
    clipboard: Clipboard,
    browser: Browser,
    /// `None` in a replay.
    persistence: Option<Persistence>,
    /// The exit code, once the program must end.
    exit: Option<ExitCode>,
}

impl EffectRunner {
    /// Creates a runner without pollers or persistence, which a replay does not need.
    ///
    /// # Errors
    /// Fails if the clipboard's thread cannot be started.
    pub(super) fn new(screen: Screen, env: Env, event_sender: TermEventSender) -> io::Result<Self> {
        let (writer_sender, copy_sender) = (screen.sender(), event_sender.clone());
        let clipboard = Clipboard::new(
            env.clone(),
            move |bytes| writer_sender.send(bytes),
            move |outcome| terminal::send_nonblocking(&copy_sender, TermEvent::CopyFinished(outcome)),
        )?;
        let (pollers, persistence, exit) = (BTreeMap::new(), None, None);
        let browser = Browser::new(env, event_sender);
        Ok(Self { screen, pollers, clipboard, browser, persistence, exit })
    }

    /// Adds the pollers.
    pub(super) fn with_pollers(self, pollers: BTreeMap<ProfileId, Poller>) -> Self {
        Self { pollers, ..self }
    }

    /// Adds the writers of the journals and of the recording.
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
            Effect::SendToAllPollers(command) => {
                self.pollers.values().for_each(|poller| poller.send_command(command.clone()));
            }
            Effect::SendToPoller(profile, command) => {
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
            Effect::OpenInBrowser(url) => self.browser.open(&url),
            Effect::RingBell => self.screen.ring(),
            Effect::SetTitle(title) => self.screen.set_title(&title),
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

    /// Makes the event loop end with this exit code.
    pub(super) fn request_exit(&mut self, exit: ExitCode) {
        self.exit = Some(exit);
    }

    /// Returns the exit code if the event loop must end.
    pub(super) fn exit_code(&self) -> Option<ExitCode> {
        self.exit
    }

    /// Returns the profiles whose journal needs a new segment. If a journal was cleared since its last segment, also
    /// returns the moment of the clear.
    pub(super) fn segments_to_start(&mut self) -> Vec<(ProfileId, Option<Moment>)> {
        self.persistence.as_mut().map(Persistence::segments_to_start).unwrap_or_default()
    }

    /// Waits briefly until it is known if the journals were cleared. Called before the last data is sent to them.
    pub(super) fn check_clears(&mut self) {
        if let Some(persistence) = &mut self.persistence {
            persistence.check_clears();
        }
    }

    /// Draws a frame if the terminal is ready for one.
    pub(super) fn draw(&mut self, render: impl FnOnce(&mut ratatui::Frame<'_>)) {
        self.screen.draw(render);
    }

    /// Restores the terminal, then waits briefly until everything is written. Returns sentences for the user about what
    /// was not written.
    pub(super) fn close(self) -> Vec<String> {
        let Self { screen, persistence, .. } = self;
        screen.leave();
        persistence.map(Persistence::close).unwrap_or_default()
    }
}
