//! `keepwatch [SESSION_ID]...`: the screen, on the real API; where there can be none, events as text.

use std::time::Duration;

use super::CliError;
use super::events::stream;
use super::headless::Watching;
use super::print_error;
use super::recording::{self, Made};
use crate::api::{Client, Query, ReleasePermission, key_tail};
use crate::config::{AnySource, Form, Look, ScreenConfig, Source, WatchConfig};
use crate::exit_code::ExitCode;
use crate::log;
use crate::terminal::{self, Env};
use crate::tui::{self, NoticeLevel, PersistenceConfig, ProfileInfo, Settings, Theme};
use keepwatch_core::clock::Clock;
use keepwatch_core::text;

/// The widest name of a profile, in columns; labels are cut in the config file already.
const LONGEST_NAME: usize = 24;

/// Older than this is nothing that earlier runs saw and that is shown: a day, and the segments that reach into it.
const PAST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Shows the screen until the reader quits.
///
/// # Errors
/// The terminal refuses, or signals can not be heard.
pub async fn watch(config: WatchConfig, warnings: &[String], env: Env) -> Result<ExitCode, CliError> {
    let clock = Clock::backdated(PAST);
    let host = |source: &Source<_>| (!source.endpoint.is_public()).then(|| source.endpoint.host());
    let made = Made {
        started: clock.now().wall,
        thresholds: config.screen.thresholds.clone(),
        owner_key: config.screen.owner_key.clone(),
        rates: config.screen.rates,
        host: host(&config.source).filter(|_| config.other_sources.is_empty()),
    };
    let mut persistence = PersistenceConfig {
        header: made.header(config.no_metadata),
        recording: None,
        journal: config.journal,
    };
    if let Some(path) = &config.record {
        persistence.recording = Some(recording::create(path, "--record")?);
    }
    let settings = Settings {
        targets: config.targets,
        query: config.query.clone(),
        poll_limits: config.pace,
        startup_notice: warning(warnings),
        ..live_settings(config.screen, &env)
    };
    let mut names = names(&config.source, &config.other_sources).into_iter();
    let mut reached = |source| reach(source, names.next().unwrap_or_default(), config.query.as_ref());
    let first = reached(config.source);
    let others = config.other_sources.into_iter().map(reached).collect();
    screen(settings, first, others, clock, env, persistence).await
}

/// Returns the settings that `watch` and `demo` share.
pub(super) fn live_settings(screen: ScreenConfig, env: &Env) -> Settings {
    Settings {
        thresholds: screen.thresholds,
        rates: screen.rates,
        bell: screen.bell,
        owner_key: screen.owner_key,
        zone: screen.zone,
        theme: screen.look.into(),
        can_open_browser: terminal::can_open_browser(env),
        release_permission: ReleasePermission::unless_read_only(screen.read_only),
        ..Settings::default()
    }
}

impl From<Look> for Theme {
    fn from(Look { color, ascii }: Look) -> Self {
        Self { ascii, color }
    }
}

/// Returns the names of the profiles to show: a label, or the profile's own name where several have the same label. A single
/// profile needs no name.
fn names(first: &AnySource, others: &[AnySource]) -> Vec<String> {
    let all = || std::iter::once(first).chain(others);
    let label = |source: &AnySource| source.label.clone();
    let name = |source: &AnySource| {
        let name = text::sanitise(source.profile.as_deref().unwrap_or_default(), LONGEST_NAME);
        let of_two = |label: &String| all().filter(|it| it.label.as_ref() == Some(label)).count() > 1;
        label(source).filter(|label| !of_two(label)).unwrap_or(name)
    };
    if others.is_empty() { vec![String::new()] } else { all().map(name).collect() }
}

/// A source as the screen says it, and what asks it.
fn reach(source: AnySource, name: String, query: Option<&Query>) -> (ProfileInfo, Option<Client>) {
    let host = (!source.endpoint.is_public()).then(|| source.endpoint.host());
    let info = ProfileInfo { name, host, ..ProfileInfo::default() };
    match source.key {
        Ok(key) => {
            let info = ProfileInfo { key_tail: key_tail(&key), ..info };
            (info, Some(Client::new(source.endpoint, key).with_query(query.cloned())))
        }
        Err(error) => (ProfileInfo { missing_key_reason: Some(error.to_string()), ..info }, None),
    }
}

/// What the screen says at its start, where the config file has something that was left out.
pub(super) fn warning(warnings: &[String]) -> Option<(NoticeLevel, String)> {
    let (first, others) = warnings.split_first()?;
    let others = if others.is_empty() { String::new() } else { format!("; and {} more", others.len()) };
    Some((NoticeLevel::Error, format!("{first}{others}")))
}

/// Shows the screen of the first profile and the others, each with its client, or none without an API key. `watch` and `demo`
/// share it.
pub(super) async fn screen(
    settings: Settings,
    first: (ProfileInfo, Option<Client>),
    others: Vec<(ProfileInfo, Option<Client>)>,
    clock: Clock,
    env: Env,
    persistence: PersistenceConfig,
) -> Result<ExitCode, CliError> {
    if let Some(obstacle) = terminal::unsupported_reason(&env) {
        if let Some((NoticeLevel::Error, warning)) = &settings.startup_notice {
            print_error(warning);
        }
        let ((_, Some(client)), []) = (first, others.as_slice()) else {
            return Err(CliError::NoScreenForProfiles(obstacle));
        };
        print_error(&format!(
            "no screen can be shown here: {obstacle}; events are streamed as text, as by `keepwatch events --format text`"
        ));
        let Settings { targets, poll_limits: pace, thresholds, zone, theme, .. } = settings;
        let form = Form::Text { zone, ascii: theme.ascii };
        return stream(
            client,
            clock,
            Watching { targets, pace, thresholds },
            form,
            persistence.recording.map(|file| (file, persistence.header)),
        )
        .await;
    }
    for (info, client) in std::iter::once(&first).chain(&others) {
        let host = client.as_ref().map_or_else(|| "none, without a key".into(), |it| it.endpoint().host());
        tracing::info!("profile {:?}: {host}", info.name);
    }
    let outcome = tui::run(settings, first, others, clock, env, persistence).await;
    log::set_error_handler(|why| print_error(&why)); // there is no screen any more
    let (exit, said) = outcome.map_err(CliError::Terminal)?;
    if let Some(said) = said {
        print_error(&said);
    }
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Endpoint;
    use keepwatch_core::session::Secret;

    fn called(profiles: &[(&str, Option<&str>)]) -> Vec<String> {
        let source = |(name, label): &(&str, Option<&str>)| Source {
            profile: Some((*name).to_owned()),
            label: label.map(str::to_owned),
            endpoint: Endpoint::new("https://a.example", "a test", false).unwrap(),
            key: Ok(Secret::new("k".into())),
            warning: None,
        };
        let sources: Vec<_> = profiles.iter().map(source).collect();
        let (first, others) = sources.split_first().unwrap();
        names(first, others)
    }

    #[test]
    fn profiles_are_called_by_their_labels_unless_two_are_called_alike() {
        assert_eq!(called(&[("a", Some("Acme")), ("b", None)]), ["Acme", "b"]);
        assert_eq!(called(&[("a", Some("prod")), ("b", Some("prod")), ("c", Some("C"))]), ["a", "b", "C"]);
        assert_eq!(called(&[("x\u{1b}y", None), ("b", None)]), ["x·y", "b"]);
        assert_eq!(called(&[("a", Some("Acme"))]), [""], "of one there is nothing to tell apart");
    }
}
