//! Resolves the endpoint and the API key of each profile. The first source that sets a value wins:
//!
//! ```text
//!   command line ─► the profile's table ─► environment ─► the command's table ─► top of the file ─► the public API
//! ```
//!
//! A profile takes precedence over the environment, because the command line names it: a user who types
//! `--profile staging` while a production API key is exported means staging.

use super::api_key::ApiKeyLookup;
use super::api_options::{ApiOptions, KeySource};
use super::{ConfigError, ConfigFile, Environment, KeyError, api_key};
use crate::api::{self, Endpoint, PUBLIC_URL};
use crate::cli::ApiArgs;
use keepwatch_core::session::Secret;

/// The endpoint and API key of one project. `Key` is the type of the API key: see [`MaybeKeyedProfile`].
#[derive(Debug)]
pub struct ResolvedProfile<Key = Secret> {
    /// The profile's name, or `None` without `--profile`.
    pub name: Option<String>,
    /// The profile's label on the screen, sanitised.
    pub label: Option<String>,
    /// The API's endpoint.
    pub endpoint: Endpoint,
    /// The API key.
    pub key: Key,
    /// A warning about the source of the API key.
    pub warning: Option<String>,
}

/// A profile with an API key or the error that explains why it has none.
pub type MaybeKeyedProfile = ResolvedProfile<Result<Secret, KeyError>>;

/// The subcommand, environment and config file from which profiles are resolved.
pub(super) struct ResolveContext<'a> {
    pub(super) command: Option<&'a str>,
    pub(super) env: &'a Environment,
    pub(super) file: &'a ConfigFile,
}

impl ResolveContext<'_> {
    /// Resolves the profiles that `--profile` names, each once. Returns the first profile and the other profiles.
    /// Without `--profile`, there is one profile without a name. Reads API key files and runs API key commands.
    ///
    /// # Errors
    /// Returns an error if a profile or an endpoint is invalid, or if no profile has an API key. If at least
    /// one profile has an API key, each profile without an API key has the error as its `key`.
    pub(super) fn resolve_profiles(
        &self,
        api: &ApiArgs,
    ) -> Result<(MaybeKeyedProfile, Vec<MaybeKeyedProfile>), ConfigError> {
        let names = profile_names(api);
        if let [one, other, ..] = names.as_slice() {
            let option = api.base_url.as_ref().map(|_| "--base-url");
            if let Some(option) = option.or(api.api_key_file.as_ref().map(|_| "--api-key-file")) {
                let (one, other) = ((*one).to_owned(), (*other).to_owned());
                return Err(ConfigError::OptionForSeveralProfiles { option, one, other });
            }
        }
        let mut names = names.into_iter();
        let first_profile = self.resolve_profile(names.next(), api)?;
        let other_profiles: Vec<_> =
            names.map(|name| self.resolve_profile(Some(name), api)).collect::<Result<_, _>>()?;
        match first_profile.key {
            Err(error) if other_profiles.iter().all(|profile| profile.key.is_err()) => Err(error.into()),
            Ok(_) | Err(_) => Ok((first_profile, other_profiles)),
        }
    }

    /// Resolves the profile of a command that supports only one.
    pub(super) fn resolve_single_profile(&self, api: &ApiArgs) -> Result<ResolvedProfile, ConfigError> {
        reject_several_profiles(api, self.command)?;
        let ResolvedProfile { name, label, endpoint, key, warning } =
            self.resolve_profile(profile_names(api).first().copied(), api)?;
        Ok(ResolvedProfile { name, label, endpoint, key: key?, warning })
    }

    /// Resolves the profile with this name. `None` is for the profile without a name.
    fn resolve_profile(&self, name: Option<&str>, api: &ApiArgs) -> Result<MaybeKeyedProfile, ConfigError> {
        let profile = match name {
            Some(name) => self.file.profile(name)?.clone(),
            None => ApiOptions::default(),
        };
        let fallback = self.file.api_options(self.command);
        let endpoint = resolve_endpoint(name, api, &profile, &fallback, self.env)?;
        api::check_proxy(&endpoint, |name| self.env.get(name))?;
        let ApiKeyLookup { key, warning } = match api.api_key_file.as_deref() {
            Some(path) => api_key::read_key_file(path),
            None => find_api_key(profile.key_source.as_ref(), fallback.key_source.as_ref(), self.env),
        };
        Ok(ResolvedProfile { name: name.map(str::to_owned), label: profile.label, endpoint, key, warning })
    }
}

/// Returns an error if the command line names more than one profile.
fn reject_several_profiles(api: &ApiArgs, command: Option<&str>) -> Result<(), ConfigError> {
    if profile_names(api).len() > 1 {
        let command = ["keepwatch"].into_iter().chain(command).collect::<Vec<_>>().join(" ");
        return Err(ConfigError::SeveralProfiles { command });
    }
    Ok(())
}

/// Returns the names that `--profile` gives, each once.
fn profile_names(api: &ApiArgs) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for name in &api.profile {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

/// Returns the endpoint with the first base URL that is set. `profile` has the options of the profile `name`, and
/// `fallback` the options of the config file outside of profiles. Messages name the source of an invalid URL.
fn resolve_endpoint(
    name: Option<&str>,
    api: &ApiArgs,
    profile: &ApiOptions,
    fallback: &ApiOptions,
    env: &Environment,
) -> Result<Endpoint, ConfigError> {
    let allows_http = api.insecure_http || profile.insecure_http.or(fallback.insecure_http).unwrap_or(false);
    let from_env = env.get("BROWSERBASE_BASE_URL").filter(|url| !url.trim().is_empty());
    let profile_source = format!("the base-url of the profile {}", name.unwrap_or_default());
    let candidates = [
        (api.base_url.as_deref(), "--base-url"),
        (profile.base_url.as_deref(), profile_source.as_str()),
        (from_env.as_deref(), "BROWSERBASE_BASE_URL"),
        (fallback.base_url.as_deref(), "the base-url of the config file"),
    ];
    let chosen = candidates.into_iter().find_map(|(url, source)| Some((url?, source)));
    let (url, source) = chosen.unwrap_or((PUBLIC_URL, "the default"));
    Ok(Endpoint::new(url, source, allows_http)?)
}

/// Returns the API key from `profile_source`, else from the environment, else from `fallback_source`.
fn find_api_key(
    profile_source: Option<&KeySource>,
    fallback_source: Option<&KeySource>,
    env: &Environment,
) -> ApiKeyLookup {
    let from_env = env.get("BROWSERBASE_API_KEY").filter(|key| !key.trim().is_empty());
    match (profile_source, from_env, fallback_source) {
        (Some(source), _, _) | (None, None, Some(source)) => api_key::read_key(source),
        (None, Some(key), _) => api_key::parse_key(&key, "BROWSERBASE_API_KEY").into(),
        (None, None, None) => Err(KeyError::Missing).into(),
    }
}
