//! `keepwatch [SESSION_ID]...`: the screen, on the real API; where there can be none, events as text.

use super::events::stream;
use super::follow::Watching;
use super::{complain, failed};
use crate::api::{Client, Releaser, key_tail};
use crate::app::{self, Settings};
use crate::clock::Clock;
use crate::config::{Exit, Form, Refusal, WatchConfig};
use crate::terminal::{self, Env};

/// Shows the screen until the reader quits.
///
/// # Errors
/// The terminal refuses, or signals can not be heard.
pub async fn watch(config: WatchConfig, env: Env) -> Result<Exit, Refusal> {
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
        host: (!config.endpoint.is_public()).then(|| config.endpoint.host()),
        key_tail: key_tail(&config.key),
        can_open: terminal::can_open(&env),
        releaser: Releaser::unless(config.screen.read_only),
        demo: false,
        speed: 1,
        greeting: None,
    };
    let client = Client::new(config.endpoint, config.key).narrowed(config.query);
    screen(settings, client, Clock::system(), env).await
}

/// The screen, with what it needs. Shared with the demo, which differs in nothing else.
pub(super) async fn screen(
    settings: Settings,
    client: Client,
    clock: Clock,
    env: Env,
) -> Result<Exit, Refusal> {
    if let Some(obstacle) = terminal::obstacle(&env) {
        complain(&format!(
            "no screen can be shown here: {obstacle}; events are streamed as text, as by `keepwatch events --format text`"
        ));
        let Settings { targets, pace, thresholds, zone, theme, .. } = settings;
        let form = Form::Text { zone, ascii: theme.ascii };
        return stream(client, clock, Watching { targets, pace, thresholds }, form).await;
    }
    app::run(settings, client, clock, env)
        .await
        .map_err(|error| failed(&format!("the terminal can not be used: {error}")))
}
