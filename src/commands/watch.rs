//! `keepwatch [SESSION_ID]...`: the screen, on the real API.

use super::failed;
use crate::api::{Client, key_tail};
use crate::app::{self, Settings};
use crate::clock::Clock;
use crate::config::{Exit, Refusal, Targets, WatchConfig};
use crate::terminal::{self, Env};

/// Shows the screen until the reader quits.
///
/// # Errors
/// There is no terminal to show it on.
pub async fn watch(config: WatchConfig, env: Env) -> Result<Exit, Refusal> {
    let settings = Settings {
        targets: config.targets,
        interval: config.interval,
        thresholds: config.screen.thresholds,
        rates: config.screen.rates,
        bell: config.screen.bell,
        zone: config.screen.zone,
        theme: config.screen.look.into(),
        host: (!config.endpoint.is_public()).then(|| config.endpoint.host()),
        key_tail: key_tail(&config.key),
        can_open: terminal::can_open(&env),
        demo: false,
    };
    screen(settings, Client::new(config.endpoint, config.key), Clock::system(), env).await
}

/// The screen, with what it needs. Shared with the demo, which differs in nothing else.
pub(super) async fn screen(
    settings: Settings,
    client: Client,
    clock: Clock,
    env: Env,
) -> Result<Exit, Refusal> {
    if let Some(obstacle) = terminal::obstacle(&env) {
        let ids = match &settings.targets {
            Targets::Ids(_) => "`keepwatch get SESSION_ID...` prints sessions without one",
            Targets::All => "run it in a terminal; `keepwatch get SESSION_ID...` prints sessions without one",
        };
        return Err(failed(&format!("no screen can be shown here: {obstacle}; {ids}")));
    }
    app::run(settings, client, clock, env)
        .await
        .map_err(|error| failed(&format!("the terminal can not be used: {error}")))
}
