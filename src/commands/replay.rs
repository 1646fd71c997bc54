//! `keepwatch replay FILE`: plays a recording on the screen.
//!
//! Alert rules, cost rates and the owner's metadata path come from the recording, because alerts and events depend
//! on them. The user may override the owner's path, and chooses the appearance of the screen.

use super::CliError;
use super::recording;
use crate::config::ReplayConfig;
use crate::exit_code::ExitCode;
use crate::store::{Recording, StreamHeader};
use crate::terminal::{self, Env};
use crate::tui::{self, NoticeLevel, Settings};
use keepwatch_core::clock::{Clock, Zone};
use keepwatch_core::text;

/// The maximum width of a version in the greeting, in columns.
const MAX_VERSION_COLUMNS: usize = 20;

/// Shows the recording until the user quits.
///
/// # Errors
/// Returns an error if the recording cannot be read or the terminal cannot be used.
pub async fn replay(config: ReplayConfig, warnings: &[String], env: Env) -> Result<ExitCode, CliError> {
    let recording = recording::read(&config.path)?;
    if let Some(problem) = terminal::unsupported_reason(&env) {
        return Err(CliError::NoScreenForReplay(problem));
    }
    let Recording { header, input_log, damage } = recording;
    let startup_notice = match (damage, warnings.first()) {
        (Some(damage), _) => (NoticeLevel::Error, damage.to_string()),
        (None, Some(warning)) => (NoticeLevel::Error, warning.clone()),
        (None, None) => (NoticeLevel::Info, greeting(&header, config.zone)),
    };
    let settings = Settings {
        alert_rules: header.alert_rules,
        rates: header.rates,
        owner_key: config.owner_key.or(header.owner_key),
        zone: config.zone,
        theme: config.appearance.into(),
        can_open_browser: terminal::can_open_browser(&env),
        version: header.version,
        clock_speed: config.speed,
        startup_notice: Some(startup_notice),
        ..Settings::default()
    };
    tui::run_replay(settings, input_log, header.host, header.started, Clock::scaled(config.speed), env)
        .await
        .map_err(CliError::Terminal)
}

/// Returns the notice that the screen shows at first, unless there is a problem to show.
fn greeting(header: &StreamHeader, zone: Zone) -> String {
    let (at, version) =
        (zone.date_time(header.started), text::sanitise(&header.version, MAX_VERSION_COLUMNS));
    format!("recorded {at} by keepwatch {version}: Space plays, ] goes to the next event")
}
