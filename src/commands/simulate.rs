//! `keepwatch simulate`: the simulated API for other programs, and what really happened in it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use super::CliError;
use super::output::print;
use super::recording;
use super::signals::ShutdownSignal;
use crate::config::{self, ScenarioConfig, SimulateConfig};
use crate::exit_code::ExitCode;
use browserbase_simulator::{
    self, Control, HumanDuration, Offset, Scenario, Simulator, SimulatorOptions, Window, chaos,
};
use keepwatch_core::clock::Clock;
use keepwatch_core::text;

/// How often what has happened is written: whoever reads along waits no longer.
const WRITE_INTERVAL: Duration = Duration::from_millis(500);

/// Serves until the program is interrupted.
///
/// # Errors
/// The port or the file of the truth can not be had, or the truth can not be written any more.
pub async fn simulate(config: SimulateConfig) -> Result<ExitCode, CliError> {
    let mut shutdown_signal = ShutdownSignal::new()?;
    let (mut script, sessions) = load_scenario(&config.scenario)?;
    if let Some(concurrency) = config.concurrency {
        script.project.concurrency = concurrency;
    }
    if let Some(plan) = config.plan {
        script.project.plan = match plan {
            config::PlanArg::Free => browserbase_simulator::ProjectPlan::Free,
            config::PlanArg::Paid => browserbase_simulator::ProjectPlan::Paid,
        };
    }
    if let Some(delay) = config.release_delay {
        script.rules.release_delay = HumanDuration(delay);
    }
    let project = script.project.id.clone();
    let (name, about) = (script.name.clone(), script.about.clone());
    let options =
        SimulatorOptions { port: config.port, extra_sessions: sessions, ..SimulatorOptions::default() };
    let mut ground_truth = config.ground_truth_path.as_deref().map(GroundTruthFile::create).transpose()?;
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
    let outcome = tokio::select! {
        _ = shutdown_signal.wait() => Ok(()),
        stopped = write_ground_truth(ground_truth.as_mut(), &control) => stopped,
    };
    drop(shutdown_signal);
    outcome?;
    ground_truth.as_mut().map_or(Ok(()), |truth| truth.write_new_facts(&control))?;
    simulator.stop().await;
    Ok(ExitCode::Success)
}

/// Loads the scenario to play. Returns it with the number of generated sessions to add.
pub(super) fn load_scenario(play: &ScenarioConfig) -> Result<(Scenario, usize), CliError> {
    let ScenarioConfig { scenario, seed, sessions } = play;
    if scenario == chaos::SCENARIO_NAME {
        let concurrent = if *sessions == 0 { chaos::DEFAULT_LIVE_SESSIONS } else { *sessions };
        return Ok((chaos::scenario(seed.unwrap_or(chaos::DEFAULT_SEED), concurrent), 0));
    }
    let script = Scenario::find(scenario)?;
    if seed.is_some() {
        return Err(CliError::SeedWithoutChaos { scenario: text::sanitise(scenario, 60) });
    }
    Ok((script, *sessions))
}

/// Writes the truth as it comes, for ever.
async fn write_ground_truth(
    ground_truth: Option<&mut GroundTruthFile>,
    control: &Control,
) -> Result<(), CliError> {
    let Some(truth) = ground_truth else { return std::future::pending().await };
    let clock = Clock::system();
    loop {
        truth.write_new_facts(control)?;
        crate::timer::sleep_until(&clock, clock.now().mono.saturating_add(WRITE_INTERVAL)).await;
    }
}

/// The file of what really happened.
struct GroundTruthFile {
    file: File,
    /// What could be known before this is written.
    written_until: Offset,
}

impl GroundTruthFile {
    fn create(path: &Path) -> Result<Self, CliError> {
        let file = recording::create(path, "--truth")?;
        Ok(Self { file, written_until: Offset::from_micros(i64::MIN) })
    }

    /// Writes what has happened since it was last told.
    fn write_new_facts(&mut self, control: &Control) -> Result<(), CliError> {
        let now = control.now();
        let start = control.server_time(Offset::START);
        let facts = control.ground_truth(Window { from: self.written_until, to: now });
        let lines: String = facts.iter().map(|fact| fact.to_ndjson(start) + "\n").collect();
        self.written_until = now;
        self.file.write_all(lines.as_bytes()).map_err(CliError::WriteTruth)
    }
}
