use super::*;

const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

fn config(args: &[&str], vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let raw_args = RawArgs::parse(std::iter::once(&"keepwatch").chain(args)).unwrap();
    Config::new(&raw_args, &Environment::new(vars.iter().copied()), &ConfigFile::default())
}

/// Resolves the options of the screen, with an API key in the environment.
fn watch(args: &[&str], vars: &[(&str, &str)]) -> WatchConfig {
    let vars: Vec<(&str, &str)> =
        vars.iter().copied().chain([("BROWSERBASE_API_KEY", "bb_test_1")]).collect();
    match config(args, &vars) {
        Ok(Config::Watch(watch)) => watch,
        other => panic!("{other:?}"),
    }
}

/// Returns the exit code and the message of an error.
fn config_error(args: &[&str], vars: &[(&str, &str)]) -> (u8, String) {
    let error = config(args, vars).unwrap_err();
    (error.exit_code().into(), error.to_string())
}

#[test]
fn duplicate_ids_are_dropped() {
    assert_eq!(watch(&[], &[]).targets, Targets::All);
    let Targets::Ids(ids) = watch(&["a-1", "b-2", "a-1"], &[]).targets else { panic!() };
    assert_eq!(ids.iter().map(SessionId::raw).collect::<Vec<_>>(), ["a-1", "b-2"]);
}

#[test]
fn missing_api_key_error_suggests_demo() {
    let (code, message) = config_error(&[], &[("BROWSERBASE_API_KEY", " ")]);
    assert_eq!(code, 3);
    assert!(message.contains("BROWSERBASE_API_KEY") && message.contains("keepwatch demo"), "{message}");
    let invalid_key = [("BROWSERBASE_API_KEY", "two words")];
    assert_eq!(config_error(&[], &invalid_key).0, 3, "an invalid API key has the same exit code");
}

#[test]
fn misspelt_command_is_not_an_id() {
    for (word, meant) in [
        ("siumlate", "keepwatch simulate"),
        ("dmeo", "keepwatch demo"),
        ("gt", "keepwatch get"),
        ("evnets", "keepwatch events"),
        ("wiat", "keepwatch wait"),
        ("explian", "keepwatch explain"),
    ] {
        let (code, message) = config_error(&[word], &[("BROWSERBASE_API_KEY", "k")]);
        assert_eq!(code, 2);
        assert!(message.contains(meant), "{message}");
    }
    assert_eq!(config_error(&["histroy"], &[("BROWSERBASE_API_KEY", "k")]).0, 2);
    let (code, message) = config_error(&["list", "--", "s-1"], &[("BROWSERBASE_API_KEY", "k")]);
    assert_eq!(code, 2, "only the words after the -- can be any id");
    assert!(message.contains("list"), "{message}");
    // These are session ids: words after `--`, words with a digit, and a word that resembles no command.
    watch(&["s-1", "--", "list", "histroy"], &[]);
    watch(&["--", "histroy"], &[]);
    watch(&["6512bd43-d9ca-4e02-9a67-91f2c1a0b3de"], &[]);
    watch(&["s-0001"], &[]);
    watch(&["string"], &[]);
}

#[test]
fn events_command_accepts_any_id() {
    let vars = [("BROWSERBASE_API_KEY", "k"), ("LANG", "C.UTF-8")];
    for id in ["history", "evnets"] {
        let Ok(Config::Events(events)) = config(&["events", id], &vars) else { panic!("{id}") };
        assert_eq!(events.targets, Targets::Ids(vec![SessionId::parse(id).unwrap()]));
    }
}

#[test]
fn events_wait_and_explain_options_are_resolved() {
    let vars = [("BROWSERBASE_API_KEY", "k"), ("LANG", "C.UTF-8")];
    let Ok(Config::Events(events)) = config(&["events", "--alert-left", "2m", "--idle", "1h"], &vars) else {
        panic!()
    };
    assert_eq!((events.targets, events.format), (Targets::All, EventFormat::Json));
    assert_eq!(events.alert_rules, AlertThresholds::new(vec![MINUTE * 2], MINUTE * 60).into());
    let text = config(&["events", "--format", "text", "--utc"], &vars);
    let Ok(Config::Events(events)) = text else { panic!("{text:?}") };
    assert_eq!(events.format, EventFormat::Text { zone: Zone::Utc, ascii: false });
    let wait = ["wait", "a", "a", "b", "--for", "running", "--any", "--timeout", "30m", "--grace", "1m"];
    let Ok(Config::Wait(wait)) = config(&wait, &vars) else { panic!() };
    assert_eq!((wait.ids.len(), wait.goal, wait.any), (2, cli::Goal::Running, true));
    assert_eq!((wait.timeout, wait.grace), (Some(MINUTE * 30), MINUTE));
    let Ok(Config::Explain(explain)) = config(&["explain", "a", "--rate-hour", "0.1"], &vars) else {
        panic!()
    };
    // The typed rate is 0.1, the default 0.12.
    assert!(!explain.options.with_metadata && explain.options.rates.hour < 0.11);
    assert_eq!(config_error(&["explain", "a"], &[]).0, 3, "`explain` needs an API key");
}

#[test]
fn simulate_options_default_to_the_scenario() {
    let Ok(Config::Simulate(simulate)) = config(&["simulate"], &[]) else { panic!() };
    assert_eq!((simulate.concurrency, simulate.plan, simulate.release_delay), (None, None, None));
    let args = ["simulate", "--concurrency", "3", "--plan", "free", "--release-delay", "1m"];
    let Ok(Config::Simulate(simulate)) = config(&args, &[]) else { panic!() };
    assert_eq!(
        (simulate.concurrency, simulate.plan, simulate.release_delay),
        (Some(3), Some(cli::PlanArg::Free), Some(MINUTE))
    );
}

#[test]
fn appearance_options_override_the_environment() {
    let appearance = |args: &[&str], vars: &[(&str, &str)]| {
        let appearance = watch(args, vars).screen.appearance;
        (appearance.color, appearance.ascii)
    };
    // Without a UTF-8 locale, `ascii` is true.
    let utf8 = ("LANG", "de_DE.UTF-8");
    assert_eq!(appearance(&[], &[utf8]), (true, false));
    assert_eq!(appearance(&[], &[utf8, ("NO_COLOR", "1")]), (false, false));
    assert_eq!(appearance(&["--color", "always"], &[utf8, ("NO_COLOR", "1")]), (true, false));
    assert_eq!(appearance(&["--color", "never"], &[utf8]), (false, false));
    assert_eq!(appearance(&[], &[("LC_ALL", "C"), utf8]), (true, true));
    assert_eq!(appearance(&["--ascii"], &[utf8]), (true, true));
    assert_eq!(appearance(&[], &[]), (true, true));
}

#[test]
fn owner_key_is_validated() {
    let key = watch(&["--owner-key", "run.id"], &[]).screen.owner_key;
    assert_eq!(key.as_ref().map(MetadataPath::raw), Some("run.id"));
    let (code, message) = config_error(&["--owner-key", "run."], &[("BROWSERBASE_API_KEY", "k")]);
    assert_eq!(code, 2);
    assert!(message.contains("--owner-key") && message.contains("run.id"), "{message}");
    assert_eq!(
        config_error(&["demo", "--owner-key", "api_key"], &[]).0,
        2,
        "a path that names a secret is rejected"
    );
}

#[test]
fn max_rps_is_validated_and_resolved() {
    let screen_max_rps = |args: &[&str]| watch(args, &[]).poll_limits.max_rps;
    assert_eq!(screen_max_rps(&[]), 4, "the default is 4");
    assert_eq!((screen_max_rps(&["--max-rps", "1"]), screen_max_rps(&["--max-rps=100"])), (1, 100));
    for invalid in ["0", "101", "-1", "0.5", "many", ""] {
        assert!(RawArgs::parse(["keepwatch", &format!("--max-rps={invalid}")]).is_err(), "{invalid}");
    }
    let vars = [("BROWSERBASE_API_KEY", "k")];
    let command_max_rps = |args: &[&str]| match config(args, &vars).unwrap() {
        Config::Demo(demo) => demo.poll_limits.max_rps,
        Config::Events(events) => events.poll_limits.max_rps,
        Config::Wait(wait) => wait.poll_limits.max_rps,
        other => panic!("{other:?}"),
    };
    for args in
        [["demo", "--max-rps", "7"].as_slice(), &["events", "--max-rps=7"], &["wait", "--max-rps=7", "s-1"]]
    {
        assert_eq!(command_max_rps(args), 7, "{args:?}");
    }
}

#[test]
fn query_and_status_narrow_only_lists() {
    let narrowed = watch(&["--query", "user_metadata['env']:'prod'", "--status", "running"], &[]);
    assert_eq!(narrowed.targets, Targets::OneList(keepwatch_core::session::List::Running));
    assert_eq!(narrowed.query.as_ref().map(Query::raw), Some("user_metadata['env']:'prod'"));
    for (args, expected) in [
        (["--query", "env:prod"].as_slice(), "--query: “env:prod” does not begin"),
        (&["--status", "ERROR"], "--status: “ERROR” can not be watched"),
        (&["--status", "RUNNING", "a-1"], "--status narrows the lists"),
        (&["--query", "user_metadata['env']:'prod'", "a-1"], "--query narrows the lists"),
    ] {
        let (code, message) = config_error(args, &[("BROWSERBASE_API_KEY", "k")]);
        assert_eq!(code, 2);
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn fail_on_and_exit_status_are_combined() {
    let vars = [("BROWSERBASE_API_KEY", "k")];
    let fail_on = |options: &[&str]| match config(&[&["wait", "s-1"], options].concat(), &vars) {
        Ok(Config::Wait(wait)) => wait.fail_on,
        other => panic!("{options:?}: {other:?}"),
    };
    let nothing = FailOn { error: false, timeout: false, early: EarlyLimit::Never, gone: false };
    assert_eq!(fail_on(&[]), nothing);
    assert_eq!(fail_on(&["--exit-status"]), FailOn { error: true, timeout: true, ..nothing });
    assert_eq!(
        fail_on(&["--exit-status", "--fail-on", "gone"]),
        FailOn { error: true, timeout: true, gone: true, ..nothing }
    );
    assert_eq!(
        fail_on(&["--fail-on", "error,early"]),
        FailOn { error: true, early: EarlyLimit::Below(MINUTE), ..nothing }
    );
    let always = fail_on(&["--fail-on", "early", "--alert-early", "always"]);
    assert_eq!(always, FailOn { early: EarlyLimit::Always, ..nothing });
    let error = RawArgs::parse(["keepwatch", "wait", "s-1", "--alert-early", "soon"]).unwrap_err();
    assert!(error.to_string().contains("(try 1m, always or never)"), "{error}");
}
