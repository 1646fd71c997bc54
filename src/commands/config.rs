//! `keepwatch config`: the config file with every option in its place and its default, all commented out. What it says of
//! an option is what the help says. It reads no file, and no key.

use super::CliError;
use super::output::print;
use crate::config::PROFILE_KEYS;
use crate::config::file_schema::{FileOption, OptionKind, TableSchema, tables};
use crate::exit_code::ExitCode;

/// What stands at its head.
const HEAD: &str = "\
# The config file of keepwatch: ~/.config/keepwatch/config.toml, or keepwatch/config.toml in XDG_CONFIG_HOME;
# --config PATH or KEEPWATCH_CONFIG names another. Options are called as on the command line, and take the same values.
# What is typed comes before what the environment says, that before this file, and that before the defaults below.
# A key is never written here: api-key-file or api-key-command says where it is.
";
/// What the file alone has: a key that a program prints.
const KEY_COMMAND_HELP: &str =
    "A program that prints the key, and its arguments; no shell reads them. In place of api-key-file";
/// The example of it.
const ARGV: &str = "[\"pass\", \"show\", \"browserbase\"]";
/// What stands before the example of a profile.
const PROFILE: &str = "\
# For `--profile staging`: how another project is reached. What it leaves out is as without it. With several, the screen
# shows the sessions of all of them in one table, each called by its label.
";

/// Options without a default of their own, and what one could say. At the top, the same holds for all tables.
const EXAMPLES: [(&str, &str); 11] = [
    ("query", "user_metadata['run']['id']:'c-881'"),
    ("status", "RUNNING"),
    ("base-url", "https://api.browserbase.com"),
    ("api-key-file", "~/.config/keepwatch/key"),
    ("log", "~/.local/state/keepwatch/log"),
    ("owner-key", "run.id"),
    ("filter", "status:error owner:nightly"),
    ("timeout", "30m"),
    ("concurrency", "25"),
    ("plan", "paid"),
    ("release-delay", "2s"),
];

/// Prints it.
///
/// # Errors
/// Standard output can not be written.
pub fn config() -> Result<ExitCode, CliError> {
    print(&default_file())?;
    Ok(ExitCode::Success)
}

/// The whole file.
fn default_file() -> String {
    let tables = tables();
    let tables: Vec<String> = tables.iter().map(|it| render_table(it, tables.first())).collect();
    format!("{HEAD}{}\n{PROFILE}{}", tables.concat(), profile())
}

fn render_table(table: &TableSchema, top: Option<&TableSchema>) -> String {
    let mut text = String::new();
    if let Some(command) = &table.command {
        let at_top = |place: &&FileOption| top.is_some_and(|top| top.option(&place.name).is_some());
        let own = table.options.iter().filter(|place| !place.is_shared).filter(at_top);
        let own: Vec<&str> = own.map(|place| place.name.as_str()).collect();
        let note = match own.as_slice() {
            [] => String::new(),
            own => format!("# What the top says of {} is not for it.\n", own.join(" and ")),
        };
        text.push_str(&format!(
            "\n# For `keepwatch {command}`: its own options, and any from the top that it has, anew.\n{note}[{command}]\n"
        ));
    }
    for place in table.options.iter().filter(|place| table.command.is_none() || !place.is_shared) {
        let Some(value) = value(place) else { continue }; // a test finds it
        text.push_str(&format!("\n# {}\n# {} = {value}\n", help(place), place.name));
        if place.name == "api-key-file" {
            text.push_str(&format!("# {KEY_COMMAND_HELP}: api-key-command = {ARGV}\n"));
        }
    }
    text
}

/// The help, and that there is no default, where the help itself names none.
fn help(option: &FileOption) -> String {
    let help = option.help();
    let says =
        option.kind == OptionKind::Switch || option.default_value().is_some() || help.contains("[default:");
    if says { help } else { format!("{help} [no default]") }
}

/// What stands behind the `=`: the default, else an example.
fn value(option: &FileOption) -> Option<String> {
    if option.kind == OptionKind::Switch {
        return Some("false".into());
    }
    let example = || EXAMPLES.iter().find(|(key, _)| *key == option.name);
    let value = option.default_value().or_else(|| example().map(|(_, value)| (*value).to_owned()))?;
    Some(match option.kind {
        OptionKind::List => format!("[{}]", value.split(',').map(quoted).collect::<Vec<_>>().join(", ")),
        OptionKind::Switch | OptionKind::Value => quoted(&value),
    })
}

/// A number as it is, and anything else in quotes.
fn quoted(value: &str) -> String {
    if value.parse::<f64>().is_ok() { value.to_owned() } else { toml::Value::from(value).to_string() }
}

/// The example of a profile.
fn profile() -> String {
    let lines = PROFILE_KEYS.iter().filter_map(|key| {
        let value = match *key {
            "label" => "\"staging\"",
            "base-url" => "\"https://api.staging.example\"",
            "api-key-command" => "[\"pass\", \"show\", \"browserbase/staging\"]",
            "insecure-http" => "false",
            _ => return None, // api-key-file, in whose place the command is
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

    /// The file with each `# key = value` uncommented.
    fn uncommented_file() -> String {
        let is_key =
            |word: &str| !word.is_empty() && word.bytes().all(|it| it == b'-' || it.is_ascii_lowercase());
        let uncommented = |line: &str| {
            let entry =
                line.strip_prefix("# ").filter(|it| it.split_once(" = ").is_some_and(|(key, _)| is_key(key)));
            entry.unwrap_or(line).to_owned()
        };
        default_file().lines().map(uncommented).collect::<Vec<_>>().join("\n")
    }

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
        let typed = RawArgs::parse(words).unwrap();
        let env = Environment::new([("HOME", folder.path().to_str().unwrap()), ("BROWSERBASE_API_KEY", "k")]);
        let file = ConfigFile::find(&typed, &env).unwrap();
        assert_eq!(file.warnings(), <[String; 0]>::default());
        format!("{:?}", Config::new(&typed, &env, &file).unwrap())
    }

    #[test]
    fn every_option_stands_in_it_once_with_its_help() {
        let text = default_file();
        for table in tables() {
            let start = table.command.as_ref().map_or(0, |it| text.find(&format!("\n[{it}]\n")).unwrap() + 1);
            let body = text[start..].split("\n[").next().unwrap();
            for place in &table.options {
                let expected = usize::from(table.command.is_none() || !place.is_shared);
                assert_eq!(
                    body.matches(&format!("\n# {} = ", place.name)).count(),
                    expected,
                    "{}",
                    place.name
                );
                assert!(expected == 0 || body.contains(&format!("\n# {}", place.help())), "{}", place.name);
            }
        }
    }

    #[test]
    fn uncommented_it_says_what_is_said_without_it() {
        let said = uncommented_file();
        assert!(said.lines().filter(|line| line.contains(" = ")).count() > 35, "{said}");
        for args in [&["get", "s-1"][..], &["events"], &["explain", "s-1"], &["release", "s-1"], &["demo"]] {
            let none = config(args, None);
            assert_eq!(config(args, Some(&default_file())), none, "{args:?}");
            // What has no default is an example, and says something.
            let with_example = none.replace("owner_key: None", "owner_key: Some(MetadataPath(\"run.id\"))");
            assert_eq!(config(args, Some(&said)), with_example, "{args:?}");
        }
        assert!(config(&[], Some(&said)).contains("OneList(Running)"));
    }
}
