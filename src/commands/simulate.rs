//! `keepwatch simulate`: the simulated API for other programs.

use super::interruption::Interruption;
use super::{failed, print, script};
use crate::clock::Clock;
use crate::config::{self, Exit, Refusal, SimulateConfig};
use crate::simulator::{self, Options, Simulator, Span};

/// Serves until the program is interrupted.
///
/// # Errors
/// The port can not be had.
pub async fn simulate(config: SimulateConfig) -> Result<Exit, Refusal> {
    let mut interruption = Interruption::new()?;
    let mut script = script(&config.scenario)?;
    if let Some(concurrency) = config.concurrency {
        script.project.concurrency = concurrency;
    }
    if let Some(plan) = config.plan {
        script.project.plan = match plan {
            config::Plan::Free => simulator::Plan::Free,
            config::Plan::Paid => simulator::Plan::Paid,
        };
    }
    if let Some(delay) = config.release_delay {
        script.rules.release_delay = Span(delay);
    }
    let project = script.project.id.clone();
    let (name, about) = (script.name.clone(), script.about.clone());
    let options = Options { port: config.port, sessions: config.sessions, ..Options::default() };
    let simulator = Simulator::start(Clock::system(), script, options).map_err(|error| {
        failed(&format!(
            "port {} of 127.0.0.1 can not be had: {error}; --port 0 takes a free one",
            config.port
        ))
    })?;
    let url = simulator.base_url();
    print(&format!(
        "A simulated Browserbase API at {url}, until Ctrl-C. It takes any key.\n\
         Scenario {name}: {about}\n\n\
         export BROWSERBASE_BASE_URL={url}\n\
         export BROWSERBASE_API_KEY=bb_test_simulated\n\
         export BROWSERBASE_PROJECT_ID={project}\n"
    ))?;
    interruption.heard().await;
    drop(interruption);
    simulator.stop().await;
    Ok(Exit::Fine)
}
