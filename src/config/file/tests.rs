use super::*;
use crate::config::Config;
use crate::config::api_options::KeySource;
use crate::exit_code::ExitCode;
use keepwatch_core::tracker::{AlertRule, AlertRules, AlertThresholds};

/// A home directory with a config file.
struct Home(tempfile::TempDir);

impl Home {
    /// Creates a home directory whose config file, at the default path, has this text.
    fn new(text: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        let folder = home.0.path().join(".config/keepwatch");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.toml"), text).unwrap();
        home
    }

    fn path(&self, relative: &str) -> String {
        self.0.path().join(relative).to_str().unwrap().to_owned()
    }

    /// Returns an environment of these variables and `HOME`.
    fn env(&self, vars: &[(&str, &str)]) -> Environment {
        let home = self.path("");
        Environment::new(vars.iter().copied().chain([("HOME", home.as_str())]))
    }

    /// Parses the arguments, and reads the config file.
    fn find(&self, args: &[&str], vars: &[(&str, &str)]) -> Result<(RawArgs, ConfigFile), ConfigError> {
        let raw_args = RawArgs::parse(std::iter::once(&"keepwatch").chain(args)).unwrap();
        let file = ConfigFile::find(&raw_args, &self.env(vars))?;
        Ok((raw_args, file))
    }

    /// Resolves the config of a run. The file must cause no warnings.
    fn config(&self, args: &[&str], vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let (raw_args, file) = self.find(args, vars)?;
        assert_eq!(file.warnings(), <[String; 0]>::default());
        Config::new(&raw_args, &self.env(vars), &file)
    }
}

/// Returns the error message for a config file with this text. `demo` stands for any command that reads the file,
/// because each of them validates the whole file.
fn error_message(text: &str) -> String {
    let error = Home::new(text).find(&["demo"], &[]).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Usage);
    let message = error.to_string();
    assert!(message.contains("config.toml") && !message.contains('\n'), "{message}");
    assert!(text::is_printable(&message), "{message}");
    message
}

fn warnings(text: &str) -> Vec<String> {
    Home::new(text).find(&["demo"], &[]).unwrap().1.warnings().to_vec()
}

/// The variable that holds an API key: its name and its value.
const API_KEY_VAR: (&str, &str) = ("BROWSERBASE_API_KEY", "k");
const DAY_SECONDS: u64 = 86_400;

#[test]
fn precedence_is_typed_then_command_then_top() {
    let home = Home::new(
        r#"
        max-rps = 5
        utc = true
        warn = ["3m", "30s"]
        [events]
        max-rps = 6
        format = "text"
        "#,
    );
    let max_rps = |args: &[&str]| match home.config(args, &[API_KEY_VAR]).unwrap() {
        Config::Watch(watch) => watch.poll_limits.max_rps,
        Config::Events(events) => events.poll_limits.max_rps,
        other => panic!("{other:?}"),
    };
    assert_eq!((max_rps(&[]), max_rps(&["events"]), max_rps(&["events", "--max-rps", "9"])), (5, 6, 9));
    let Config::Events(events) = home.config(&["events"], &[API_KEY_VAR, ("LANG", "C.UTF-8")]).unwrap()
    else {
        panic!()
    };
    let text = crate::config::EventFormat::Text { zone: keepwatch_core::clock::Zone::Utc, ascii: false };
    assert_eq!(events.format, text);
    // 180 s is the `3m` at the top of the file. Only the debug output shows the thresholds.
    assert!(format!("{:?}", events.alert_rules).contains("180s"), "{:?}", events.alert_rules);
}

#[test]
fn alert_rule_inherits_missing_thresholds() {
    let home = Home::new(
        r#"
        alert-early = "2m"
        [[alert]]
        filter = "owner:nightly profile:prod"
        early = "never"
        left = ["10m", "0s"]
        [[alert]]
        filter = "region:us"
        idle = "1h"
        pending = "5m"
        "#,
    );
    let Config::Events(events) = home.config(&["events", "--alert-left", "3m"], &[API_KEY_VAR]).unwrap()
    else {
        panic!()
    };
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let default =
        AlertThresholds::new(vec![minutes(3)], minutes(10)).with_early(EarlyLimit::Below(minutes(2)));
    let nightly = AlertThresholds::new(vec![minutes(10)], minutes(10)).with_early(EarlyLimit::Never);
    let us = AlertThresholds::new(vec![minutes(3)], minutes(60))
        .with_early(EarlyLimit::Below(minutes(2)))
        .with_pending(minutes(5));
    let rule =
        |filter, thresholds| AlertRule::new(Filter::parse_for_profiles(filter, true).unwrap(), thresholds);
    let rules = vec![rule("owner:nightly profile:prod", nightly), rule("region:us", us)];
    assert_eq!(events.alert_rules, AlertRules::new(default, rules));
}

#[test]
fn environment_overrides_file() {
    let home = Home::new("color = \"always\"\nread-only = true\nbase-url = \"https://file.example\"\n");
    let resolve = |vars: &[(&str, &str)]| match home.config(&[], &[&[API_KEY_VAR], vars].concat()).unwrap() {
        Config::Watch(watch) => {
            let host = watch.first_profile.endpoint.host();
            (watch.screen.appearance.color, watch.screen.read_only, host)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(resolve(&[]), (true, true, "file.example".into()));
    let all =
        [("NO_COLOR", "1"), ("KEEPWATCH_READ_ONLY", "0"), ("BROWSERBASE_BASE_URL", "https://env.example")];
    assert_eq!(resolve(&all), (false, false, "env.example".into()));
    // Without the variable, `read-only` in the file applies.
    let error = home.config(&["release", "s-1"], &[API_KEY_VAR]).unwrap_err();
    assert!(error.to_string().contains("read-only in the config file"), "{error}");
}

#[test]
fn journal_and_history_options_are_resolved() {
    let home =
        Home::new("journal-keep = \"7d\"\nno-journal = true\nrate-hour = 0.5\n[history]\nsince = \"5d\"\n");
    // Returns the path of the journal and its retention time in days.
    let journal = |args: &[&str], vars: &[(&str, &str)]| {
        let vars: Vec<(&str, &str)> = vars.iter().copied().chain([API_KEY_VAR]).collect();
        let Ok(Config::Watch(watch)) = home.config(args, &vars) else { panic!() };
        watch.journal.map(|journal| {
            (journal.path.to_str().unwrap().to_owned(), journal.retention.as_secs() / DAY_SECONDS)
        })
    };
    assert_eq!(journal(&[], &[]), None);
    // The variable overrides `no-journal` in the file, because a user who names a journal wants one.
    let named = ("KEEPWATCH_JOURNAL", "/j.sqlite");
    assert_eq!(journal(&[], &[named]), Some(("/j.sqlite".into(), 7)));
    assert_eq!(journal(&["--journal-keep", "90d"], &[named]), Some(("/j.sqlite".into(), 90)));
    assert_eq!(journal(&["--no-journal"], &[named]), None);
    let empty = Home::new("");
    let Ok(Config::Watch(watch)) = empty.config(&[], &[API_KEY_VAR]) else { panic!() };
    let default = watch.journal.unwrap();
    assert_eq!(default.path.to_str().unwrap(), empty.path(".local/state/keepwatch/journal.sqlite"));
    assert_eq!(default.retention.as_secs(), 30 * DAY_SECONDS);
    let Ok(Config::History(history)) = home.config(&["history"], &[]) else { panic!() };
    assert_eq!((history.max_age.as_secs(), history.rates.hour), (5 * DAY_SECONDS, 0.5));
    assert!(error_message("journal-keep = \"30m\"\n").contains("an hour (1h) is the shortest"));
}

#[test]
fn list_options_are_ignored_for_named_sessions() {
    let home = Home::new("status = \"running\"\nquery = \"user_metadata['a']:'b'\"\n");
    let resolve = |args: &[&str]| match home.config(args, &[API_KEY_VAR]).unwrap() {
        Config::Watch(watch) => (watch.targets, watch.query.is_some()),
        other => panic!("{other:?}"),
    };
    assert_eq!(resolve(&[]), (crate::config::Targets::OneList(keepwatch_core::session::List::Running), true));
    assert!(matches!(resolve(&["s-1"]), (crate::config::Targets::Ids(_), false)));
}

#[test]
fn demo_ignores_api_key_and_interval() {
    // The demo shares `utc` with the top, but not `interval`. The default of its own `interval` is 1 s.
    let home = Home::new("interval = \"9s\"\nutc = true\napi-key-command = [\"/no/such\"]\n");
    let Config::Demo(demo) = home.config(&["demo"], &[]).unwrap() else { panic!() };
    assert_eq!(
        (demo.poll_limits.interval.as_secs(), demo.screen.zone),
        (1, keepwatch_core::clock::Zone::Utc)
    );
}

#[test]
fn only_named_file_must_exist() {
    let home = Home::new("utc = true");
    let find = |args: &[&str], vars: &[(&str, &str)]| home.find(args, vars).map(|(_, file)| file);
    let no_file = home.path("none.toml");
    assert_eq!(find(&["demo"], &[]).unwrap().options(Some("demo")), [("utc", "true")]);
    let other_folder = home.path("other");
    assert!(find(&["demo"], &[("XDG_CONFIG_HOME", &other_folder)]).unwrap().options(Some("demo")).is_empty());
    let below_a_file = home.path(".config/keepwatch/config.toml");
    assert!(
        find(&["demo"], &[("XDG_CONFIG_HOME", &below_a_file)]).is_ok(),
        "a default path below a file counts as no file"
    );
    let relative = find(&["demo"], &[("XDG_CONFIG_HOME", "relative")]).unwrap();
    assert_eq!(relative.options(Some("demo")).len(), 1, "a relative XDG_CONFIG_HOME is ignored");
    for result in [find(&["--config", &no_file], &[]), find(&[], &[("KEEPWATCH_CONFIG", &no_file)])] {
        let error = result.unwrap_err();
        assert!(
            error.exit_code() == ExitCode::Usage && error.to_string().contains("none.toml can not be read")
        );
    }
    assert!(
        find(&["--config", "/dev/null"], &[("KEEPWATCH_CONFIG", &no_file)]).is_ok(),
        "--config overrides the variable"
    );
    assert!(find(&["config"], &[("KEEPWATCH_CONFIG", &no_file)]).is_ok(), "`keepwatch config` reads no file");
}

#[test]
fn unreadable_file_is_an_error() {
    let home = Home::new("");
    let error = |path: &str| home.find(&["--config", &home.path(path)], &[]).unwrap_err().to_string();
    std::fs::write(home.path("binary"), [0xff, 0xfe]).unwrap();
    assert!(error("binary").contains("UTF-8"), "{}", error("binary"));
    std::fs::write(home.path("large"), "#\n".repeat(200_000)).unwrap(); // 400 KB; the limit is 256 KiB
    assert!(error("large").contains("larger"), "{}", error("large"));
    let folder_error = error(""); // the home directory itself
    assert!(folder_error.contains("can not be read"), "{folder_error}");
}

#[test]
fn invalid_item_error_has_line_and_problem() {
    for (text, expected) in [
        ("\ninterval = 5\n", "line 2: interval: “5” is no duration; write 5s or 1m30s"),
        ("interval = \"10ms\"", "line 1: interval: asking more often"),
        ("[simulate]\n\nport = 70_000\n", "line 3: port: 70000 is not in 0..=65535"),
        ("bell = \"true\"", "bell: it is true or false, without quotes"),
        ("bell = 1", "bell: it is true or false"),
        ("utc = [true]", "utc: it is true or false"),
        ("interval = true", "interval: it takes a value"),
        ("interval = [\"5s\"]", "interval: it takes one value, not a list"),
        ("interval = 2020-01-01", "interval: it takes no date"),
        ("[interval]\na = 1", "interval: it is an option, not a table"),
        ("warn = []", "warn: the list is empty"),
        ("warn = [\"5m\"]\nalert-left = [\"1m\"]", "the option has two names here; write only alert-left"),
        ("alert-early = \"soon\"", "alert-early: invalid limit \"soon\" (try 1m, always or never)"),
        ("[[alert]]\nearly = \"never\"", "alert: a rule has no filter (try filter = \"owner:nightly\")"),
        ("[[alert]]\nfilter = \"region:\"", "filter: "),
        ("[[alert]]\nfilter = \"a\"\nleft = [\"soon\"]", "left: “soon” is no duration"),
        ("[[alert]]\nfilter = \"a\"\nearly = [\"1m\", \"2m\"]", "early: it takes one value, not a list"),
        ("alert = 7", "alert: rules are tables, each with [[alert]] above it"),
        ("warn = [\"5m\", \"soon\"]", "warn: “soon” is no duration"),
        ("max-rps = 99999999999999999999", "max-rps: the number is too large"),
        ("rate-gb = nan", "rate-gb: “nan” is no price"),
        ("color = \"blue\"", "color: “blue” is none of auto, always, never"),
        ("color = \"\\u001b]0;x\\u0007\"", "color: “·]0;x·” is none of"),
        ("status = \"ERROR\"", "status: “ERROR” can not be watched for"),
        ("query = \"env\"", "query: “env” does not begin"),
        ("owner-key = \"a.token\"", "owner-key: what is at “a.token”"),
        ("base-url = \"ftp://x\"", "base-url: it “ftp://x” is not an http or https URL"),
        ("insecure-http = \"yes\"", "insecure-http: it is true or false"),
        ("api-key-file = 5", "api-key-file: it takes a text, in quotes"),
        ("api-key-command = \"pass show x\"", "api-key-command: it takes a program and its arguments"),
        ("api-key-command = []", "api-key-command: it takes a program"),
        (
            "[get]\napi-key-file = \"a\"\napi-key-command = [\"b\"]",
            "line 3: api-key-command: api-key-file and",
        ),
        ("get = 5", "get: it is a table, [get]"),
        ("profile = \"x\"", "profile: it is a table, [profile.NAME]"),
        ("[profile]\nx = 1", "x: it is a table, [profile.x]"),
        ("[profile.\"a\\u001bb\"]", "line 1: a·b: it is no name for a profile"),
        ("[profile.a]\nlabel = \" \"", "label: it takes a text"),
        ("[[profile]]", "profile: it is a table"),
    ] {
        let message = error_message(text);
        assert!(message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn invalid_toml_error_has_its_position() {
    let message = error_message("utc = true\ninterval = 5s\n");
    assert!(message.contains("is no TOML in line 2, column 1"), "{message}");
    let duplicate = error_message("utc = true\nutc = true\n");
    assert!(duplicate.contains("is no TOML in line 2, column 1: duplicate key"), "{duplicate}");
    // `error_message` checks that the messages about these texts are printable.
    error_message("\u{1b}");
    error_message("a = \"\u{1b}\"");
}

#[test]
fn api_key_in_file_is_rejected() {
    for text in [
        "api-key = \"cAnArY\"",
        "API_KEY = \"cAnArY\"",
        "key = \"cAnArY\"",
        "browserbase_api_key = \"cAnArY\"",
        "BROWSERBASE_API_KEY = \"cAnArY\"",
        "[get]\ntoken = \"cAnArY\"",
        "[profile.a]\napi-key = \"cAnArY\"",
        "[browserbase]\n[browserbase.prod]\napiKey = \"cAnArY\"",
        "api-key-file = \"bb_live_cAnArY\"",
    ] {
        let message = error_message(text);
        let advice =
            "let api-key-file name a file that holds it, or api-key-command a program that prints it";
        assert!(message.contains(advice) && !message.contains("cAnArY"), "{text}: {message}");
    }
}

#[test]
fn unknown_name_warning_has_hint() {
    for (text, expected) in [
        ("bb_live_cAnArY0123456789 = 1", "“••••” is no option; `keepwatch config`"),
        ("\nintervall = \"5s\"", "“intervall” is no option; did you mean interval? (line 2 of "),
        ("max_rps = 5", "did you mean max-rps?"),
        ("owner_key = \"run.id\"", "did you mean owner-key?"),
        ("api_key_file = \"x\"", "did you mean api-key-file?"),
        (
            "[[alert]]\nfilter = \"a\"\nlfet = \"1m\"",
            "“lfet” is nothing that an alert rule has: did you mean left?",
        ),
        ("json = true", "“json” is no option at the top; it belongs under [get]"),
        ("scenario = \"x\"", "it belongs under [demo] or [simulate]"),
        ("[evnets]\nutc = true", "“evnets” is no option; did you mean [events]?"),
        ("[get]\njsno = true", "“jsno” is no option of get; did you mean json?"),
        ("[demo]\nbase-url = \"https://x\"", "“base-url” is no option of demo; `keepwatch config` prints"),
        ("[get]\nreveal = true", "“reveal” is not read from the config file: secrets are printed"),
        ("[release]\nconfirm = \"abcd\"", "“confirm” is not read from the config file"),
        ("config = \"x\"", "“config” is not read from the config file"),
        (
            "[profile.a]\nbase_url = \"https://x\"",
            "“base_url” is nothing that a profile has: did you mean base-url?",
        ),
        ("\"a\\u001b[31mb\" = 1", "“a·[31mb” is no option; `keepwatch config`"),
    ] {
        let warnings = warnings(text);
        assert!(warnings.len() == 1 && warnings[0].contains(expected), "{text}: {warnings:?}");
        assert!(text::is_printable(&warnings[0]), "{warnings:?}");
    }
    assert_eq!(warnings("a = 1\nb = 2\nutc = true").len(), 2);
    let many: String = (0..100).map(|number| format!("x{number} = 1\n")).collect();
    let capped = warnings(&many);
    // 20 warnings, and one that counts the other 80 names.
    assert!(capped.len() == 21 && capped[20].starts_with("80 names more in "), "{capped:?}");
    assert!(warnings("\u{feff}utc = true").is_empty(), "a byte order mark is ignored");
}

#[test]
fn precedence_is_typed_then_profile_then_environment() {
    let home = Home::new(
        r#"
        base-url = "https://top.example"
        api-key-file = "keys/top"
        [get]
        base-url = "https://get.example"
        [profile.staging]
        label = "Staging"
        base-url = "https://staging.example"
        api-key-command = ["echo", "bb_staging"]
        [profile.key-only]
        api-key-file = "~/key-only"
        [profile.plain]
        base-url = "http://plain.example"
        insecure-http = true
        [profile.empty]
        label = "nothing"
        "#,
    );
    std::fs::create_dir(home.path(".config/keepwatch/keys")).unwrap();
    std::fs::write(home.path(".config/keepwatch/keys/top"), "bb_top\n").unwrap();
    std::fs::write(home.path("key-only"), "bb_key_only\n").unwrap();
    std::fs::write(home.path("typed"), "bb_typed\n").unwrap();
    let typed = home.path("typed");
    let resolve = |args: &[&str], vars: &[(&str, &str)]| match home.config(args, vars).unwrap() {
        Config::Watch(watch) => {
            let profile = watch.first_profile;
            (profile.endpoint.host(), profile.key.unwrap().expose().to_owned())
        }
        Config::Get(get) => (get.profile.endpoint.host(), get.profile.key.expose().to_owned()),
        other => panic!("{other:?}"),
    };
    let env = [("BROWSERBASE_API_KEY", "bb_env"), ("BROWSERBASE_BASE_URL", "https://env.example")];
    for (args, vars, host, key) in [
        (&[][..], &[][..], "top.example", "bb_top"),
        (&[], &env, "env.example", "bb_env"),
        (&[], &[("BROWSERBASE_API_KEY", " ")], "top.example", "bb_top"), // a blank variable counts as unset
        (&["get", "s-1"], &[], "get.example", "bb_top"),
        (&["--profile", "staging"], &env, "staging.example", "bb_staging"),
        (&["--profile", "staging", "--profile", "staging"], &[], "staging.example", "bb_staging"),
        (&["--profile", "key-only"], &env, "env.example", "bb_key_only"),
        (&["--profile", "key-only"], &[], "top.example", "bb_key_only"),
        (&["get", "s-1", "--profile", "key-only"], &[], "get.example", "bb_key_only"),
        (&["--profile", "plain"], &env, "plain.example", "bb_env"),
        (
            &["--profile", "staging", "--base-url", "https://typed.example", "--api-key-file", &typed],
            &env,
            "typed.example",
            "bb_typed",
        ),
    ] {
        assert_eq!(resolve(args, vars), (host.to_owned(), key.to_owned()), "{args:?}");
    }
    let Config::Watch(watch) = home.config(&["--profile", "staging"], &[]).unwrap() else { panic!() };
    assert_eq!(watch.first_profile.name.as_deref(), Some("staging"));
    assert_eq!(watch.first_profile.label.as_deref(), Some("Staging"));
    for (args, expected) in [
        (&["--profile", "stagign"][..], "there is no profile “stagign” in "),
        (&["--profile", "stagign"], ", which has empty, key-only, plain, staging; did you mean staging?"),
        (&["--profile", "x\u{1b}x"], "“x·x”"),
        (&["--profile", "empty"], "names neither a base-url nor a key"),
        (
            &["--profile", "staging", "--profile", "plain", "--base-url", "https://x.example"],
            "--base-url is for one project, and the profiles staging and plain",
        ),
        (&["--profile", "a", "--profile", "b", "--api-key-file", "-"], "--api-key-file is for one project"),
        (&["get", "a", "--profile", "staging", "--profile", "plain"], "`keepwatch get` reaches one"),
    ] {
        let error = home.config(args, &[API_KEY_VAR]).unwrap_err();
        assert!(
            error.exit_code() == ExitCode::Usage && error.to_string().contains(expected),
            "{args:?}: {error}"
        );
    }
    let no_profiles = Home::new("").config(&["--profile", "a"], &[API_KEY_VAR]).unwrap_err().to_string();
    assert!(no_profiles.contains("a profile is a table [profile.a]"), "{no_profiles}");
    let no_key_file = Home::new("api-key-file = \"none\"").config(&[], &[]).unwrap_err();
    assert!(
        no_key_file.exit_code() == ExitCode::ApiKey && no_key_file.to_string().contains("keepwatch/none: "),
        "{no_key_file}"
    );
}

#[test]
fn plain_http_needs_permission() {
    let home = Home::new("base-url = \"http://plain.example\"");
    let message = home.config(&[], &[API_KEY_VAR]).unwrap_err().to_string();
    assert!(
        message.contains("the base-url of the config file “http://plain.example” is plain http"),
        "{message}"
    );
    assert!(home.config(&["--insecure-http"], &[API_KEY_VAR]).is_ok());
    let home = Home::new("base-url = \"http://plain.example\"\ninsecure-http = true");
    assert!(home.config(&[], &[API_KEY_VAR]).is_ok());
}

#[test]
fn key_sources_are_parsed() {
    let home = Home::new("api-key-command = [\"pass\", \"show\", \"a b\"]\n[wait]\napi-key-file = \"-\"");
    let (_, file) = home.find(&[], &[]).unwrap();
    let words = ["pass", "show", "a b"].map(str::to_owned).to_vec();
    assert_eq!(file.api_options(Some("get")).key_source, Some(KeySource::Command(words)));
    assert_eq!(file.api_options(Some("wait")).key_source, Some(KeySource::File("-".into())));
}

#[test]
fn profile_without_key_does_not_block_others() {
    let home = Home::new(
        r#"
        [profile.a]
        base-url = "https://a.example"
        api-key-command = ["echo", "bb_a"]
        [profile.b]
        base-url = "https://b.example"
        api-key-command = ["false"]
        [profile.c]
        base-url = "https://c.example"
        api-key-file = "no-such-key"
        "#,
    );
    let watch = |names: &[&str]| {
        let args: Vec<&str> = names.iter().flat_map(|name| ["--profile", name]).collect();
        home.config(&args, &[])
    };
    let Ok(Config::Watch(config)) = watch(&["b", "a", "b", "c"]) else { panic!() };
    let hosts = config.profiles().map(|profile| profile.endpoint.host());
    assert_eq!(hosts.collect::<Vec<_>>(), ["b.example", "a.example", "c.example"]);
    let keys: Vec<_> = config.profiles().map(|profile| profile.key.as_ref().ok()).collect();
    assert_eq!(
        keys.iter().map(|key| key.map(|key| key.expose())).collect::<Vec<_>>(),
        [None, Some("bb_a"), None]
    );
    for names in [&["b"][..], &["b", "c"]] {
        let error = watch(names).unwrap_err();
        assert!(
            error.exit_code() == ExitCode::ApiKey && error.to_string().contains("“false” failed"),
            "{error}"
        );
    }
}
