//! `keepwatch demo`: the simulator and the screen in one program, over real HTTP on loopback.
//!
//! The demo needs no API key and no network, and writes nothing to disk. It ignores the variables `BROWSERBASE_*`. It
//! also ignores proxy variables, because its endpoint is a loopback address.

use super::CliError;
use super::recording::RecordingParams;
use super::simulate::load_scenario;
use super::watch::{live_settings, show_screen, startup_notice};
use crate::api::{Client, Endpoint, key_tail};
use crate::config::{ConfigError, DemoConfig};
use crate::exit_code::ExitCode;
use crate::terminal::Env;
use crate::tui::{NoticeLevel, PersistenceConfig, ProfileInfo, Settings};
use browserbase_simulator::{Simulator, SimulatorOptions};
use keepwatch_core::clock::Clock;
use keepwatch_core::session::Secret;

/// The API key that the simulator of the demo accepts.
const API_KEY: &str = "bb_test_demo_0000000000f3a9";

/// Shows the sessions of the simulated API on the screen until the user quits.
///
/// # Errors
/// Returns an error if the scenario is unknown or invalid, no loopback port is free, or the terminal cannot be used.
pub async fn demo(config: DemoConfig, warnings: &[String], env: Env) -> Result<ExitCode, CliError> {
    let (scenario, extra_sessions) = load_scenario(&config.scenario)?;
    let greeting = format!("scenario {}: {}", scenario.name, scenario.about);
    let clock = Clock::scaled(config.speed);
    let options = SimulatorOptions {
        api_key: Some(Secret::new(API_KEY.into())),
        extra_sessions,
        ..SimulatorOptions::default()
    };
    let simulator = Simulator::start(clock.clone(), scenario, options).map_err(CliError::DemoPort)?;
    let endpoint =
        Endpoint::new(&simulator.base_url(), "the simulated API", false).map_err(ConfigError::from)?;
    let key = Secret::new(API_KEY.into());
    let settings = Settings {
        poll_limits: config.poll_limits,
        demo: true,
        clock_speed: config.speed,
        startup_notice: Some(startup_notice(warnings).unwrap_or((NoticeLevel::Info, greeting))),
        ..live_settings(config.screen, &env)
    };
    let recording_params = RecordingParams {
        started: clock.now().wall,
        alert_rules: settings.alert_rules.clone(),
        owner_key: settings.owner_key.clone(),
        rates: settings.rates,
        host: None,
    };
    let persistence =
        PersistenceConfig { header: recording_params.header(false), recording: None, journal: None };
    let info = ProfileInfo { key_tail: key_tail(&key), ..ProfileInfo::default() };
    show_screen(settings, (info, Some(Client::new(endpoint, key))), Vec::new(), clock, env, persistence).await
}
