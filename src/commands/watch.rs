//! `keepwatch [SESSION_ID]...`: the screen, on the real API; where there can be none, events as text.

use std::fs::File;

use super::events::stream;
use super::follow::Watching;
use super::recording::{self, Made};
use super::{complain, failed};
use crate::api::{Client, Releaser, key_tail};
use crate::app::{self, Settings, Tone};
use crate::clock::Clock;
use crate::config::{Exit, Form, Refusal, VERSION, WatchConfig};
use crate::stream::Header;
use crate::terminal::{self, Env};

/// Shows the screen until the reader quits.
///
/// # Errors
/// The terminal refuses, or signals can not be heard.
pub async fn watch(mut config: WatchConfig, warnings: &[String], env: Env) -> Result<Exit, Refusal> {
    let Some(source) = config.sources.pop() else { return Ok(Exit::Fine) };
    let clock = Clock::system();
    let host = (!source.endpoint.is_public()).then(|| source.endpoint.host());
    let made = Made {
        started: clock.now().wall,
        thresholds: config.screen.thresholds.clone(),
        owner_key: config.screen.owner_key.clone(),
        rates: config.screen.rates,
        host: host.clone(),
    };
    let recording = config.record.as_ref().map(|record| recording::begin(record, made)).transpose()?;
    let settings = Settings {
        targets: config.targets,
        query: config.query.clone(),
        pace: config.pace,
        thresholds: config.screen.thresholds,
        rates: config.screen.rates,
        bell: config.screen.bell,
        owner_key: config.screen.owner_key,
        zone: config.screen.zone,
        theme: config.screen.look.into(),
        host,
        key_tail: key_tail(&source.key),
        can_open: terminal::can_open(&env),
        releaser: Releaser::unless(config.screen.read_only),
        version: VERSION.into(),
        demo: false,
        speed: 1,
        greeting: warning(warnings),
    };
    let client = Client::new(source.endpoint, source.key).narrowed(config.query);
    screen(settings, client, clock, env, recording).await
}

/// What the screen says at its start, where the config file has something that was left out.
pub(super) fn warning(warnings: &[String]) -> Option<(Tone, String)> {
    let (first, others) = warnings.split_first()?;
    let others = if others.is_empty() { String::new() } else { format!("; and {} more", others.len()) };
    Some((Tone::Bad, format!("{first}{others}")))
}

/// The screen, with what it needs. Shared with the demo, which differs in nothing else.
pub(super) async fn screen(
    settings: Settings,
    client: Client,
    clock: Clock,
    env: Env,
    recording: Option<(File, Header)>,
) -> Result<Exit, Refusal> {
    if let Some(obstacle) = terminal::obstacle(&env) {
        if let Some((Tone::Bad, warning)) = &settings.greeting {
            complain(warning);
        }
        complain(&format!(
            "no screen can be shown here: {obstacle}; events are streamed as text, as by `keepwatch events --format text`"
        ));
        let Settings { targets, pace, thresholds, zone, theme, .. } = settings;
        let form = Form::Text { zone, ascii: theme.ascii };
        return stream(client, clock, Watching { targets, pace, thresholds }, form, recording).await;
    }
    app::run(settings, client, clock, env, recording)
        .await
        .map_err(|error| failed(&format!("the terminal can not be used: {error}")))
}
