//! The labels by which the screen, the text of `events` and filters show the profiles of a run.

use crate::config::MaybeKeyedProfile;
use keepwatch_core::text;

/// The maximum width of a profile's name, in columns. `config` has already truncated the labels.
const MAX_NAME_COLUMNS: usize = 24;

/// Returns the labels of the profiles. A profile is shown by its label in the config file, or by its own name if it has
/// no label or another profile has the same label. A single profile gets an empty label.
pub(super) fn profile_labels(first: &MaybeKeyedProfile, others: &[MaybeKeyedProfile]) -> Vec<String> {
    let all = || std::iter::once(first).chain(others);
    let shown_label = |profile: &MaybeKeyedProfile| {
        let name = text::sanitise(profile.name.as_deref().unwrap_or_default(), MAX_NAME_COLUMNS);
        let is_shared =
            |label: &String| all().filter(|other| other.label.as_ref() == Some(label)).count() > 1;
        profile.label.clone().filter(|label| !is_shared(label)).unwrap_or(name)
    };
    if others.is_empty() { vec![String::new()] } else { all().map(shown_label).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Endpoint;
    use crate::config::ResolvedProfile;
    use keepwatch_core::session::Secret;

    /// Returns the labels of `profiles`, which are pairs of a name and a label.
    fn shown_labels(profiles: &[(&str, Option<&str>)]) -> Vec<String> {
        let profile = |(name, label): &(&str, Option<&str>)| ResolvedProfile {
            name: Some((*name).to_owned()),
            label: label.map(str::to_owned),
            endpoint: Endpoint::new("https://a.example", "a test", false).unwrap(),
            key: Ok(Secret::new("k".into())),
            warning: None,
        };
        let profiles: Vec<_> = profiles.iter().map(profile).collect();
        let (first, others) = profiles.split_first().unwrap();
        profile_labels(first, others)
    }

    #[test]
    fn label_is_shown_unless_shared() {
        assert_eq!(shown_labels(&[("a", Some("Acme")), ("b", None)]), ["Acme", "b"]);
        assert_eq!(
            shown_labels(&[("a", Some("prod")), ("b", Some("prod")), ("c", Some("C"))]),
            ["a", "b", "C"]
        );
        assert_eq!(shown_labels(&[("x\u{1b}y", None), ("b", None)]), ["x·y", "b"]);
        assert_eq!(shown_labels(&[("a", Some("Acme"))]), [""], "a single profile needs no name");
    }
}
