//! `keepwatch [SESSION_ID]...`: shows the sessions of the real API on the screen. If no screen can be shown, the
//! command streams events as text.

use std::time::Duration;

use super::CliError;
use super::events::{OutputParams, stream};
use super::headless::{HeadlessProfile, WatchParams};
use super::print_error;
use super::profile_labels::profile_labels;
use super::recording::{self, RecordingParams};
use crate::api::{Client, Query, ReleasePermission, key_tail};
use crate::config::{
    Appearance, ConfigError, EventFormat, KeyError, MaybeKeyedProfile, ResolvedProfile, ScreenConfig,
    WatchConfig,
};
use crate::exit_code::ExitCode;
use crate::log;
use crate::terminal::{self, Env};
use crate::tui::{self, NoticeLevel, PersistenceConfig, ProfileInfo, Settings, Theme};
use keepwatch_core::clock::Clock;
use keepwatch_core::filter::Filter;

/// The maximum age of restored entries. The screen restores the last day of earlier runs, and a segment that reaches
/// into that day may have begun long before.
const MAX_RESTORED_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Shows the screen until the user quits.
///
/// # Errors
/// Returns an error if the recording cannot be created or the terminal cannot be used. If `show_screen` streams
/// events instead, returns the errors of `events::stream`.
pub async fn watch(config: WatchConfig, warnings: &[String], env: Env) -> Result<ExitCode, CliError> {
    let clock = Clock::backdated(MAX_RESTORED_AGE);
    let host =
        |profile: &ResolvedProfile<_>| (!profile.endpoint.is_public()).then(|| profile.endpoint.host());
    let recording_params = RecordingParams {
        started: clock.now().wall,
        alert_rules: config.screen.alert_rules.clone(),
        owner_key: config.screen.owner_key.clone(),
        rates: config.screen.rates,
        host: host(&config.first_profile).filter(|_| config.other_profiles.is_empty()),
    };
    let mut persistence = PersistenceConfig {
        header: recording_params.header(config.no_metadata),
        recording: None,
        journal: config.journal,
    };
    if let Some(path) = &config.recording_path {
        persistence.recording = Some(recording::create_watched(path)?);
    }
    let settings = Settings {
        targets: config.targets,
        query: config.query.clone(),
        poll_limits: config.poll_limits,
        startup_notice: startup_notice(warnings),
        ..live_settings(config.screen, &env)
    };
    let mut names = profile_labels(&config.first_profile, &config.other_profiles).into_iter();
    let mut with_next_name =
        |profile| profile_and_client(profile, names.next().unwrap_or_default(), config.query.as_ref());
    let first = with_next_name(config.first_profile);
    let others = config.other_profiles.into_iter().map(with_next_name).collect();
    show_screen(settings, first, others, clock, env, persistence).await
}

/// Returns the settings that `watch` and `demo` share.
pub(super) fn live_settings(screen: ScreenConfig, env: &Env) -> Settings {
    Settings {
        alert_rules: screen.alert_rules,
        rates: screen.rates,
        bell: screen.bell,
        owner_key: screen.owner_key,
        zone: screen.zone,
        theme: screen.appearance.into(),
        can_open_browser: terminal::can_open_browser(env),
        release_permission: ReleasePermission::unless_read_only(screen.read_only),
        ..Settings::default()
    }
}

impl From<Appearance> for Theme {
    fn from(Appearance { color, ascii }: Appearance) -> Self {
        Self { ascii, color }
    }
}

/// Returns the profile as the screen shows it, and its client if it has an API key.
fn profile_and_client(
    profile: MaybeKeyedProfile,
    name: String,
    query: Option<&Query>,
) -> (ProfileInfo, Option<Client>) {
    let host = (!profile.endpoint.is_public()).then(|| profile.endpoint.host());
    let info = ProfileInfo { name, host, ..ProfileInfo::default() };
    match profile.key {
        Ok(key) => {
            let info = ProfileInfo { key_tail: key_tail(&key), ..info };
            (info, Some(Client::new(profile.endpoint, key).with_query(query.cloned())))
        }
        Err(error) => (ProfileInfo { missing_key_reason: Some(error.to_string()), ..info }, None),
    }
}

/// Returns the notice for `warnings`: the first warning and the number of the others.
pub(super) fn startup_notice(warnings: &[String]) -> Option<(NoticeLevel, String)> {
    let (first, others) = warnings.split_first()?;
    let others = if others.is_empty() { String::new() } else { format!("; and {} more", others.len()) };
    Some((NoticeLevel::Error, format!("{first}{others}")))
}

/// Shows the screen of one or several profiles, for `watch` and `demo`. A profile without an API key has no client.
///
/// If the terminal cannot show a screen, this function streams the events of the profiles as text.
pub(super) async fn show_screen(
    settings: Settings,
    first: (ProfileInfo, Option<Client>),
    others: Vec<(ProfileInfo, Option<Client>)>,
    clock: Clock,
    env: Env,
    persistence: PersistenceConfig,
) -> Result<ExitCode, CliError> {
    if let Some(problem) = terminal::unsupported_reason(&env) {
        if let Some((NoticeLevel::Error, warning)) = &settings.startup_notice {
            print_error(warning);
        }
        let profiles = std::iter::once(first).chain(others);
        let mut with_client = profiles.filter_map(|(info, client)| {
            if let Some(reason) = &info.missing_key_reason {
                print_error(&format!("{}: {reason}", info.name));
            }
            // The output is text, so only the label of a profile matters.
            Some(HeadlessProfile { name: None, label: info.name, client: client? })
        });
        let Some(first) = with_client.next() else { return Err(ConfigError::from(KeyError::Missing).into()) };
        let others = with_client.collect();
        print_error(&format!(
            "no screen can be shown here: {problem}; events are streamed as text, as by `keepwatch events --format text`"
        ));
        let Settings { targets, poll_limits, alert_rules, owner_key, zone, theme, .. } = settings;
        let format = EventFormat::Text { zone, ascii: theme.ascii };
        return stream(
            (first, others),
            clock,
            WatchParams { targets, poll_limits, alert_rules, owner_key },
            OutputParams { format, filter: Filter::default(), hides_owner: true },
            persistence.recording.map(|file| (file, persistence.header)),
        )
        .await;
    }
    for (info, client) in std::iter::once(&first).chain(&others) {
        let host =
            client.as_ref().map_or_else(|| "none, without a key".into(), |client| client.endpoint().host());
        tracing::info!("profile {:?}: {host}", info.name);
    }
    let outcome = tui::run(settings, first, others, clock, env, persistence).await;
    log::set_error_handler(|message| print_error(&message)); // the screen can no longer show it
    let (exit, last_messages) = outcome.map_err(CliError::Terminal)?;
    last_messages.iter().for_each(|message| print_error(message));
    Ok(exit)
}
