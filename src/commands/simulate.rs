//! `keepwatch simulate`: serves the simulated API to other programs, and writes its ground truth to a file.

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

/// The interval between two writes of new events. It is short, so that a program that follows the file sees them soon.
const WRITE_INTERVAL: Duration = Duration::from_millis(500);

/// The maximum width of the scenario's name in a message, in columns.
const MAX_NAME_COLUMNS: usize = 60;

/// Serves the simulated API until SIGINT, SIGTERM or SIGXCPU.
///
/// # Errors
/// Returns an error if the scenario is unknown or invalid, the port is taken, or the ground truth file cannot be
/// created or written.
pub async fn simulate(config: SimulateConfig) -> Result<ExitCode, CliError> {
    let mut shutdown_signal = ShutdownSignal::new()?;
    let (mut scenario, extra_sessions) = load_scenario(&config.scenario)?;
    if let Some(concurrency) = config.concurrency {
        scenario.project.concurrency = concurrency;
    }
    if let Some(plan) = config.plan {
        scenario.project.plan = match plan {
            config::PlanArg::Free => browserbase_simulator::ProjectPlan::Free,
            config::PlanArg::Paid => browserbase_simulator::ProjectPlan::Paid,
        };
    }
    if let Some(delay) = config.release_delay {
        scenario.rules.release_delay = HumanDuration(delay);
    }
    let project = scenario.project.id.clone();
    let (name, about) = (scenario.name.clone(), scenario.about.clone());
    let options = SimulatorOptions { port: config.port, extra_sessions, ..SimulatorOptions::default() };
    let mut ground_truth = config.ground_truth_path.as_deref().map(GroundTruthFile::create).transpose()?;
    let simulator = Simulator::start(Clock::system(), scenario, options)
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
        result = write_ground_truth(ground_truth.as_mut(), &control) => result,
    };
    drop(shutdown_signal); // the timeout of the shutdown does not apply to the steps below
    outcome?;
    ground_truth.as_mut().map_or(Ok(()), |file| file.write_new_events(&control))?;
    simulator.stop().await;
    Ok(ExitCode::Success)
}

/// Loads the scenario to play. Returns it with the number of generated sessions to add. This number is 0 for chaos,
/// which generates all its sessions itself.
pub(super) fn load_scenario(config: &ScenarioConfig) -> Result<(Scenario, usize), CliError> {
    let ScenarioConfig { scenario: name, seed, sessions } = config;
    if name == chaos::SCENARIO_NAME {
        let live_sessions = if *sessions == 0 { chaos::DEFAULT_LIVE_SESSIONS } else { *sessions };
        return Ok((chaos::scenario(seed.unwrap_or(chaos::DEFAULT_SEED), live_sessions), 0));
    }
    let scenario = Scenario::find(name)?;
    if seed.is_some() {
        return Err(CliError::SeedWithoutChaos { scenario: text::sanitise(name, MAX_NAME_COLUMNS) });
    }
    Ok((scenario, *sessions))
}

/// Writes new events every [`WRITE_INTERVAL`]. Returns only after a failed write. Without a file, never returns.
async fn write_ground_truth(
    ground_truth: Option<&mut GroundTruthFile>,
    control: &Control,
) -> Result<(), CliError> {
    let Some(file) = ground_truth else { return std::future::pending().await };
    let clock = Clock::system();
    loop {
        file.write_new_events(control)?;
        crate::timer::sleep_until(&clock, clock.now().mono.saturating_add(WRITE_INTERVAL)).await;
    }
}

/// The file for the simulator's ground truth.
struct GroundTruthFile {
    file: File,
    /// The file has all events before this offset.
    written_until: Offset,
}

impl GroundTruthFile {
    fn create(path: &Path) -> Result<Self, CliError> {
        let file = recording::create(path, "--truth")?;
        Ok(Self { file, written_until: Offset::from_micros(i64::MIN) })
    }

    /// Writes the events that are new since the last call.
    fn write_new_events(&mut self, control: &Control) -> Result<(), CliError> {
        let now = control.now();
        let start = control.server_time(Offset::START);
        let events = control.ground_truth(Window { from: self.written_until, to: now });
        let lines: String = events.iter().map(|event| event.to_ndjson(start) + "\n").collect();
        self.written_until = now;
        self.file.write_all(lines.as_bytes()).map_err(CliError::WriteTruth)
    }
}
