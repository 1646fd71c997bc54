//! `keepwatch simulate`: the simulated API for other programs, and what really happened in it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use super::CliError;
use super::interruption::Interruption;
use super::output::print;
use super::recording;
use crate::config::{self, Play, SimulateConfig};
use crate::exit_code::ExitCode;
use browserbase_simulator::{
    self, Control, HumanDuration, Offset, Scenario, Simulator, SimulatorOptions, Window, chaos,
};
use keepwatch_core::clock::Clock;
use keepwatch_core::text;

/// How often what has happened is written: whoever reads along waits no longer.
const TOLD_EVERY: Duration = Duration::from_millis(500);

/// Serves until the program is interrupted.
///
/// # Errors
/// The port or the file of the truth can not be had, or the truth can not be written any more.
pub async fn simulate(config: SimulateConfig) -> Result<ExitCode, CliError> {
    let mut interruption = Interruption::new()?;
    let (mut script, sessions) = load_scenario(&config.play)?;
    if let Some(concurrency) = config.concurrency {
        script.project.concurrency = concurrency;
    }
    if let Some(plan) = config.plan {
        script.project.plan = match plan {
            config::Plan::Free => browserbase_simulator::ProjectPlan::Free,
            config::Plan::Paid => browserbase_simulator::ProjectPlan::Paid,
        };
    }
    if let Some(delay) = config.release_delay {
        script.rules.release_delay = HumanDuration(delay);
    }
    let project = script.project.id.clone();
    let (name, about) = (script.name.clone(), script.about.clone());
    let options =
        SimulatorOptions { port: config.port, extra_sessions: sessions, ..SimulatorOptions::default() };
    let mut truth = config.truth.as_deref().map(Truth::begin).transpose()?;
    let simulator = Simulator::start(Clock::system(), script, options)
        .map_err(|error| CliError::SimulatorPort { port: config.port, error })?;
    let url = simulator.base_url();
    print(&format!(
        "A simulated Browserbase API at {url}, until Ctrl-C. It takes any key.\n\
         Scenario {name}: {about}\n\n\
         export BROWSERBASE_BASE_URL={url}\n\
         export BROWSERBASE_API_KEY=bb_test_simulated\n\
         export BROWSERBASE_PROJECT_ID={project}\n"
    ))?;
    let control = simulator.control();
    let told = tokio::select! {
        _ = interruption.heard() => Ok(()),
        stopped = tell(truth.as_mut(), &control) => stopped,
    };
    drop(interruption);
    told?;
    truth.as_mut().map_or(Ok(()), |truth| truth.tell(&control))?;
    simulator.stop().await;
    Ok(ExitCode::Success)
}

/// Loads the scenario to play. Returns it with the number of generated sessions to add.
pub(super) fn load_scenario(play: &Play) -> Result<(Scenario, usize), CliError> {
    let Play { scenario, seed, sessions } = play;
    if scenario == chaos::SCENARIO_NAME {
        let living = if *sessions == 0 { chaos::DEFAULT_LIVE_SESSIONS } else { *sessions };
        return Ok((chaos::scenario(seed.unwrap_or(chaos::DEFAULT_SEED), living), 0));
    }
    let script = Scenario::find(scenario)?;
    if seed.is_some() {
        return Err(CliError::SeedWithoutChaos { scenario: text::sanitise(scenario, 60) });
    }
    Ok((script, *sessions))
}

/// Writes the truth as it comes, for ever.
async fn tell(truth: Option<&mut Truth>, control: &Control) -> Result<(), CliError> {
    let Some(truth) = truth else { return std::future::pending().await };
    let clock = Clock::system();
    loop {
        truth.tell(control)?;
        crate::timer::sleep_until(&clock, clock.now().mono.saturating_add(TOLD_EVERY)).await;
    }
}

/// The file of what really happened.
struct Truth {
    file: File,
    /// What could be known before this is written.
    told: Offset,
}

impl Truth {
    fn begin(path: &Path) -> Result<Self, CliError> {
        let file = recording::create(path, "--truth")?;
        Ok(Self { file, told: Offset::from_micros(i64::MIN) })
    }

    /// Writes what has happened since it was last told.
    fn tell(&mut self, control: &Control) -> Result<(), CliError> {
        let now = control.now();
        let start = control.server_time(Offset::START);
        let facts = control.ground_truth(Window { from: self.told, to: now });
        let lines: String = facts.iter().map(|fact| fact.to_ndjson(start) + "\n").collect();
        self.told = now;
        self.file.write_all(lines.as_bytes()).map_err(CliError::WriteTruth)
    }
}
