//! `keepwatch simulate`: the simulated API for other programs.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::oneshot;

use super::{failed, print, script};
use crate::clock::Clock;
use crate::config::{Exit, Refusal, SimulateConfig};
use crate::simulator::{Options, Simulator};

/// Serves until the program is interrupted.
///
/// # Errors
/// The port can not be had.
pub async fn simulate(config: SimulateConfig) -> Result<Exit, Refusal> {
    let interrupted =
        interruption().map_err(|error| failed(&format!("signals can not be heard: {error}")))?;
    let script = script(&config.scenario)?;
    let (name, about) = (script.name.clone(), script.about.clone());
    let options = Options { port: config.port, key: None, sessions: config.sessions };
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
    // The thread that sends it lives as long as the program.
    let _ = interrupted.await;
    simulator.stop().await;
    Ok(Exit::Fine)
}

/// Becomes ready with the first SIGINT or SIGTERM. A thread waits for it: tokio's own signals would add a driver.
fn interruption() -> std::io::Result<oneshot::Receiver<()>> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        if signals.forever().next().is_some() {
            let _ = tell.send(());
        }
    })?;
    Ok(told)
}
