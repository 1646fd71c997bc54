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
use browserbase_simulator::{self, Control, Offset, Options, Script, Simulator, Span, Window, chaos};
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
            config::Plan::Free => browserbase_simulator::Plan::Free,
            config::Plan::Paid => browserbase_simulator::Plan::Paid,
        };
    }
    if let Some(delay) = config.release_delay {
        script.rules.release_delay = Span(delay);
    }
    let project = script.project.id.clone();
    let (name, about) = (script.name.clone(), script.about.clone());
    let options = Options { port: config.port, sessions, ..Options::default() };
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
pub(super) fn load_scenario(play: &Play) -> Result<(Script, usize), CliError> {
    let Play { scenario, seed, sessions } = play;
    if scenario == chaos::NAME {
        let living = if *sessions == 0 { chaos::LIVING } else { *sessions };
        return Ok((chaos::script(seed.unwrap_or(chaos::SEED), living), 0));
    }
    let script = Script::find(scenario)?;
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
        let start = control.date(Offset::START);
        let facts = control.truth(Window { from: self.told, to: now });
        let lines: String = facts.iter().map(|fact| fact.line(start) + "\n").collect();
        self.told = now;
        self.file.write_all(lines.as_bytes()).map_err(CliError::WriteTruth)
    }
}
