//! `keepwatch config`: prints a config file with every option and its default, all commented out.
//!
//! The comment of an option is its help text. This command reads no config file and no API key.

use super::CliError;
use super::output::print;
use crate::config::PROFILE_KEYS;
use crate::config::file_schema::{FileOption, OptionKind, TableSchema, tables};
use crate::exit_code::ExitCode;

/// The first lines of the file.
const HEAD: &str = "\
# The config file of keepwatch: ~/.config/keepwatch/config.toml, or keepwatch/config.toml in XDG_CONFIG_HOME;
# --config PATH or KEEPWATCH_CONFIG names another. Options are called as on the command line, and take the same values.
# What is typed comes before what the environment says, that before this file, and that before the defaults below.
# A key is never written here: api-key-file or api-key-command says where it is.
";
/// The comment of `api-key-command`. Only the config file has this option.
const KEY_COMMAND_HELP: &str =
    "A program that prints the key, and its arguments; no shell reads them. In place of api-key-file";
/// The example value of `api-key-command`.
const KEY_COMMAND_EXAMPLE: &str = "[\"pass\", \"show\", \"browserbase\"]";
/// The comment above the example of a profile.
const PROFILE_HELP: &str = "\
# For `--profile staging`: how another project is reached. What it leaves out is as without it. With several, the screen
# shows the sessions of all of them in one table, each called by its label.
";

/// An example of an alert rule, with a comment above it.
const ALERT_RULE: &str = "\
# Other alerts for some sessions. `filter` is as on the screen (/). Of several rules, the first that matches a session
# counts; what it leaves out is as above.
# [[alert]]
# filter = \"owner:nightly\"
# early = \"never\"
# left = [\"10m\"]
# idle = \"30m\"
# pending = \"5m\"
";

/// The options without a default, each with an example value. The same examples apply to all tables.
const EXAMPLES: [(&str, &str); 12] = [
    ("query", "user_metadata['run']['id']:'c-881'"),
    ("status", "RUNNING"),
    ("base-url", "https://api.browserbase.com"),
    ("api-key-file", "~/.config/keepwatch/key"),
    ("log", "~/.local/state/keepwatch/log"),
    ("owner-key", "run.id"),
    ("filter", "status:error owner:nightly"),
    ("timeout", "30m"),
    ("fail-on", "error,timeout,early,gone"),
    ("concurrency", "25"),
    ("plan", "paid"),
    ("release-delay", "2s"),
];

/// Prints the config file.
///
/// # Errors
/// Returns an error if standard output cannot be written.
pub fn config() -> Result<ExitCode, CliError> {
    print(&default_file())?;
    Ok(ExitCode::Success)
}

/// Returns the text of the whole file.
fn default_file() -> String {
    let tables = tables();
    let tables: Vec<String> = tables.iter().map(|table| render_table(table, tables.first())).collect();
    format!("{HEAD}{}\n{ALERT_RULE}\n{PROFILE_HELP}{}", tables.concat(), example_profile())
}

/// Renders one table. `top` is the top-level table. A command's table leaves out the options that it shares with `top`.
fn render_table(table: &TableSchema, top: Option<&TableSchema>) -> String {
    let mut text = String::new();
    if let Some(command) = &table.command {
        // The top-level table has these options, too, but the command reads them only from its own table.
        let is_at_top = |option: &&FileOption| top.is_some_and(|top| top.option(&option.name).is_some());
        let not_shared = table.options.iter().filter(|option| !option.is_shared).filter(is_at_top);
        let names: Vec<&str> = not_shared.map(|option| option.name.as_str()).collect();
        let note = match names.as_slice() {
            [] => String::new(),
            names => format!("# What the top says of {} is not for it.\n", names.join(" and ")),
        };
        text.push_str(&format!(
            "\n# For `keepwatch {command}`: its own options, and any from the top that it has, anew.\n{note}[{command}]\n"
        ));
    }
    for option in table.options.iter().filter(|option| table.command.is_none() || !option.is_shared) {
        let Some(value) = value(option) else { continue }; // a test fails if an option has no value
        text.push_str(&format!("\n# {}\n# {} = {value}\n", help(option), option.name));
        if option.name == "api-key-file" {
            text.push_str(&format!("# {KEY_COMMAND_HELP}: api-key-command = {KEY_COMMAND_EXAMPLE}\n"));
        }
    }
    text
}

/// Returns the option's help text, with "[no default]" if it has no default.
fn help(option: &FileOption) -> String {
    let help = option.help();
    let has_default =
        option.kind == OptionKind::Switch || option.default_value().is_some() || help.contains("[default:");
    if has_default { help } else { format!("{help} [no default]") }
}

/// Returns the option's default value, or else its example, as TOML. Returns `None` if the option has neither.
fn value(option: &FileOption) -> Option<String> {
    if option.kind == OptionKind::Switch {
        return Some("false".into());
    }
    let example = || EXAMPLES.iter().find(|(name, _)| *name == option.name);
    let value = option.default_value().or_else(|| example().map(|(_, value)| (*value).to_owned()))?;
    Some(match option.kind {
        OptionKind::List => format!("[{}]", value.split(',').map(quoted).collect::<Vec<_>>().join(", ")),
        OptionKind::Switch | OptionKind::Value => quoted(&value),
    })
}

/// Returns a number unchanged and any other value in quotes.
fn quoted(value: &str) -> String {
    if value.parse::<f64>().is_ok() { value.to_owned() } else { toml::Value::from(value).to_string() }
}

/// Returns the table of an example profile.
fn example_profile() -> String {
    let lines = PROFILE_KEYS.iter().filter_map(|key| {
        let value = match *key {
            "label" => "\"staging\"",
            "base-url" => "\"https://api.staging.example\"",
            "api-key-command" => "[\"pass\", \"show\", \"browserbase/staging\"]",
            "insecure-http" => "false",
            _ => return None, // api-key-file, because the example has a command instead
        };
        Some(format!("# {key} = {value}\n"))
    });
    format!("[profile.staging]\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::RawArgs;
    use crate::config::{Config, ConfigFile, Environment};

    /// Returns `text` with each `# name = value` and `# [[alert]]` uncommented.
    fn uncommented(text: &str) -> String {
        let is_name = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase())
        };
        let uncommented = |line: &str| {
            let entry = line.strip_prefix("# ").filter(|entry| {
                *entry == "[[alert]]" || entry.split_once(" = ").is_some_and(|(name, _)| is_name(name))
            });
            entry.unwrap_or(line).to_owned()
        };
        text.lines().map(uncommented).collect::<Vec<_>>().join("\n")
    }

    /// Returns the config of the command line `args` as debug text. `text` is the text of the config file, if there is
    /// one.
    fn config(args: &[&str], text: Option<&str>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::create_dir(folder.path().join(".config")).unwrap();
        let mut words = vec!["keepwatch"];
        words.extend(args);
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
            words.extend(["--config", path.to_str().unwrap()]);
        }
        let raw_args = RawArgs::parse(words).unwrap();
        let env = Environment::new([("HOME", folder.path().to_str().unwrap()), ("BROWSERBASE_API_KEY", "k")]);
        let file = ConfigFile::find(&raw_args, &env).unwrap();
        assert_eq!(file.warnings(), <[String; 0]>::default());
        format!("{:?}", Config::new(&raw_args, &env, &file).unwrap())
    }

    #[test]
    fn every_option_appears_once_with_help() {
        let text = default_file();
        for table in tables() {
            let start = table
                .command
                .as_ref()
                .map_or(0, |command| text.find(&format!("\n[{command}]\n")).unwrap() + 1);
            let body = text[start..].split("\n[").next().unwrap();
            for option in &table.options {
                // A shared option is only in the top-level table.
                let expected_count = usize::from(table.command.is_none() || !option.is_shared);
                assert_eq!(
                    body.matches(&format!("\n# {} = ", option.name)).count(),
                    expected_count,
                    "{}",
                    option.name
                );
                assert!(
                    expected_count == 0 || body.contains(&format!("\n# {}", option.help())),
                    "{}",
                    option.name
                );
            }
        }
    }

    #[test]
    fn file_sets_only_defaults_and_examples() {
        let file = uncommented(&default_file().replace(ALERT_RULE, ""));
        assert!(file.lines().filter(|line| line.contains(" = ")).count() > 35, "{file}");
        for args in [&["get", "s-1"][..], &["events"], &["explain", "s-1"], &["release", "s-1"], &["demo"]] {
            let defaults = config(args, None);
            assert_eq!(config(args, Some(&default_file())), defaults, "{args:?}");
            // An option without a default has an example value, which takes effect.
            let with_example = [
                ("owner_key: None", "owner_key: Some(MetadataPath(\"run.id\"))"),
                (
                    "query: None, filter: \"\"",
                    "query: Some(Query(\"user_metadata['run']['id']:'c-881'\")), filter: \"status:error owner:nightly\"",
                ),
                ("targets: All", "targets: OneList(Running)"),
            ]
            .into_iter()
            .fold(defaults.clone(), |text, (default, example)| text.replace(default, example));
            assert_eq!(config(args, Some(&file)), with_example, "{args:?}");
        }
        let with_rule = config(&["events"], Some(&uncommented(ALERT_RULE)));
        assert!(with_rule.contains("owner:nightly") && with_rule.contains("early: Never"), "{with_rule}");
        // The example of `status` is `RUNNING`.
        assert!(config(&[], Some(&file)).contains("OneList(Running)"));
    }
}
