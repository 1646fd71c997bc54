//! `keepwatch simulate`: the simulated API for other programs.

use super::interruption::Interruption;
use super::{failed, print, script};
use crate::clock::Clock;
use crate::config::{Exit, Refusal, SimulateConfig};
use crate::simulator::{Options, Simulator};

/// Serves until the program is interrupted.
///
/// # Errors
/// The port can not be had.
pub async fn simulate(config: SimulateConfig) -> Result<Exit, Refusal> {
    let mut interruption = Interruption::new()?;
    let script = script(&config.scenario)?;
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
         export BROWSERBASE_API_KEY=bb_test_simulated\n"
    ))?;
    interruption.heard().await;
    drop(interruption);
    simulator.stop().await;
    Ok(Exit::Fine)
}
