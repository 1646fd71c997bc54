//! Tests the printed output and the exit codes of commands. Other modules use [`run_with`] to run a command to its end.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{
    KEY, PROGRAM, TEST_TIMEOUT, TestSimulator, clean_env, collect_output, lines, output, wait_for_exit,
};

/// A running session with unusual metadata, and a session that has ended.
const TWO_SESSIONS: &str = r#"
[[session]]
id = "s-1"
created = "-2m"
timeout = "1h"
metadata = { name = "nätly 夜", note = "a\u001b[31mb" }
[[session]]
id = "s-2"
created = "-10m"
timeout = "15m"
keep_alive = true
ends = { at = "-9m", status = "COMPLETED" }
"#;

/// Exit code, standard output and standard error of a command.
pub(crate) struct RunOutput {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `keepwatch ARGS` with the text `stdin` on its standard input. Asserts that the command does not print the API
/// key and does not panic.
pub(crate) fn run_with(args: &[&str], env: &[(&str, &str)], stdin: &str) -> RunOutput {
    let mut child = Command::new(PROGRAM)
        .args(args)
        .env_clear()
        .envs(clean_env())
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The write fails if the program has exited already without reading its standard input.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = collect_output(child);
    let run = RunOutput {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!run.out.contains(KEY) && !run.err.contains(KEY), "the API key is not printed");
    assert!(!run.err.contains("panicked") && !run.err.contains("BACKTRACE"), "{}", run.err);
    run
}

fn run(api: &TestSimulator, args: &[&str]) -> RunOutput {
    run_with(args, &[("BROWSERBASE_BASE_URL", &format!("{}/", api.url)), ("BROWSERBASE_API_KEY", KEY)], "")
}

#[test]
fn get_prints_aligned_sanitised_table() {
    let api = TestSimulator::serve(TWO_SESSIONS);
    let run = run(&api, &["get", "--utc", "s-1", "s-2"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", run.out);
    assert!(lines[0].starts_with("SESSION") && lines[1].starts_with("s-1") && lines[2].starts_with("s-2"));
    assert!(lines[2].contains("COMPLETED") && lines[2].contains("ended "));
    assert_eq!(lines[0].find("STATUS"), lines[1].find("RUNNING"));
    assert!(run.out.contains("nätly 夜"), "{}", run.out);
    assert!(!run.out.contains("signingKey") && !run.out.chars().any(|it| it.is_control() && it != '\n'));
}

#[test]
fn get_json_uses_api_field_names() {
    let api = TestSimulator::serve(TWO_SESSIONS);
    let run = run(&api, &["get", "--json", "s-1"]);
    let sessions: Vec<Value> = serde_json::from_str(&run.out).unwrap();
    assert_eq!(sessions.len(), 1, "a single session is in an array, too");
    assert_eq!(sessions[0]["id"], "s-1");
    assert_eq!(sessions[0]["userMetadata"]["note"], "a\u{1b}[31mb");
    assert!(sessions[0].get("connectUrl").is_none() && sessions[0].get("signingKey").is_none());
}

#[test]
fn get_prints_connect_url_only_with_reveal() {
    let api = TestSimulator::serve(TWO_SESSIONS);
    for args in [&["get", "s-1"][..], &["get", "--json", "s-1"]] {
        assert!(!run(&api, args).out.contains("wss://"), "{args:?}");
    }
    let revealed: Vec<Value> =
        serde_json::from_str(&run(&api, &["get", "--json", "--reveal", "s-1"]).out).unwrap();
    assert!(api.connect_urls().contains(&revealed[0]["connectUrl"].as_str().unwrap().to_owned()));
    assert!(run(&api, &["get", "--reveal", "s-1"]).out.contains("wss://"));
}

#[test]
fn exit_codes_distinguish_errors() {
    let api = TestSimulator::serve(TWO_SESSIONS);
    let unknown_session = run(&api, &["get", "s-1", "no-such-1"]);
    assert_eq!(unknown_session.code, 4);
    assert!(unknown_session.out.contains("s-1"), "{}", unknown_session.out);
    let err = unknown_session.err;
    assert!(err.contains("no-such-1") && err.contains("404"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");

    let url = ("BROWSERBASE_BASE_URL", api.url.as_str());
    let rejected = run_with(&["get", "s-1"], &[url, ("BROWSERBASE_API_KEY", "wrong")], "");
    assert_eq!(rejected.code, 3);
    let without_key = run_with(&["get", "s-1"], &[url], "");
    assert_eq!(without_key.code, 3);
    assert!(
        without_key.err.contains("BROWSERBASE_API_KEY") && without_key.err.contains("keepwatch demo"),
        "{}",
        without_key.err
    );

    // The listener is dropped at once, so nothing listens on its port.
    let closed_address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = run_with(
        &["get", "s-1", "--base-url", &format!("http://{closed_address}")],
        &[("BROWSERBASE_API_KEY", KEY)],
        "",
    );
    assert_eq!(unreachable.code, 5, "{}", unreachable.err);

    for args in
        [&["get"][..], &["--interval", "0s"], &["--no-such"], &["histroy"], &["demo", "--scenario", "nope"]]
    {
        let run = run(&api, args);
        assert_eq!(run.code, 2, "{args:?}: {}", run.err);
        assert!(!run.err.is_empty());
    }
    assert_eq!(run(&api, &["--help"]).code, 0);
    assert_eq!(run(&api, &["--version"]).out, concat!("keepwatch ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn misspelt_command_gets_suggestion() {
    let api = TestSimulator::serve(TWO_SESSIONS);
    let run = run(&api, &["siumlate"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("keepwatch simulate"), "{}", run.err);
    assert!(api.log().is_empty());
}

#[test]
fn api_key_is_read_from_file_or_stdin() {
    let api = TestSimulator::serve(TWO_SESSIONS);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, format!("{KEY}\n")).unwrap();
    let url = ("BROWSERBASE_BASE_URL", api.url.as_str());
    let from_file = run_with(&["get", "s-1", "--api-key-file", path.to_str().unwrap()], &[url], "");
    assert_eq!(from_file.code, 0, "{}", from_file.err);
    let piped = run_with(&["get", "s-1", "--api-key-file", "-"], &[url], KEY);
    assert_eq!(piped.code, 0, "{}", piped.err);
    assert_eq!(run_with(&["get", "s-1", "--api-key-file", "/no/such"], &[url], "").code, 3);
    assert_eq!(run_with(&["get", "s-1", "--api-key-file", "-"], &[url], "").code, 3);
}

#[test]
fn closed_stdout_is_not_an_error() {
    let api = TestSimulator::serve(TWO_SESSIONS);
    let script = format!("'{PROGRAM}' get s-1 s-2 --json; echo $? >&2");
    let output = output(
        Command::new("/bin/sh")
            .args(["-c", &format!("{{ {script}; }} | true")])
            .env_clear()
            .envs(clean_env())
            .env("BROWSERBASE_BASE_URL", &api.url)
            .env("BROWSERBASE_API_KEY", KEY),
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "0\n");
}

#[test]
fn simulate_serves_until_interrupted() {
    let mut child = Command::new(PROGRAM)
        .args(["simulate", "--sessions", "3"])
        .env_clear()
        .envs(clean_env())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = lines(child.stdout.take().unwrap());
    let mut lines = std::iter::from_fn(|| lines.recv_timeout(TEST_TIMEOUT).ok());
    let export = lines.find(|line| line.starts_with("export BROWSERBASE_BASE_URL=")).unwrap();
    let url = export.split('=').nth(1).unwrap();
    assert!(lines.next().unwrap().starts_with("export BROWSERBASE_API_KEY="));
    let unknown_session =
        run_with(&["get", "no-such-1"], &[("BROWSERBASE_BASE_URL", url), ("BROWSERBASE_API_KEY", KEY)], "");
    assert_eq!(unknown_session.code, 4, "{}", unknown_session.err);
    let pid = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(wait_for_exit(&mut child).code(), Some(0));
}

#[test]
fn rejected_api_key_stops_get_early() {
    let api = TestSimulator::serve(TWO_SESSIONS);
    let ids: Vec<String> = (0..40).map(|index| format!("s-{index}")).collect();
    let args: Vec<&str> = std::iter::once("get").chain(ids.iter().map(String::as_str)).collect();
    let url = ("BROWSERBASE_BASE_URL", api.url.as_str());
    let rejected = run_with(&args, &[url, ("BROWSERBASE_API_KEY", "wrong")], "");
    // Four requests are in flight when the first one is rejected.
    assert_eq!((rejected.code, api.log().len()), (3, 4), "{}", rejected.err);
    assert!(rejected.err.contains("36 more were not asked for"), "{}", rejected.err);
}

#[test]
fn only_reveal_prints_secrets_of_metadata() {
    let canary = "cAnArY77";
    let api = TestSimulator::serve(&format!(
        "[[session]]\nid = \"s-1\"\nmetadata = {{ url = \"wss://c/?signingKey={canary}\", api_key = \"{canary}\" }}\n"
    ));
    for args in [&["get", "s-1"][..], &["get", "--json", "s-1"]] {
        let run = run(&api, args);
        assert_eq!(run.code, 0);
        assert!(!run.out.contains(canary), "{}", run.out);
    }
    assert!(run(&api, &["get", "--json", "--reveal", "s-1"]).out.contains(canary));
}

/// The user has typed an API key where a file, a name or an option belongs.
#[test]
fn mistyped_key_is_masked() {
    const MISTYPED: &str = "bb_live_ZqMISTYPED0123456789";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, format!("{MISTYPED} = 1\n")).unwrap();
    let missing_file = format!("/no-such-folder/{MISTYPED}");
    let key = [("BROWSERBASE_API_KEY", KEY)];
    let cases = [
        (&["get", "s-1", "--profile", MISTYPED][..], &key[..]),
        (&["get", "s-1", "--config", &missing_file], &key),
        (&["get", "s-1", "--log", &missing_file], &key),
        (&["explain", "s-1", "--from", MISTYPED], &key),
        (&["replay", MISTYPED], &key),
        (&["simulate", "--scenario", MISTYPED], &key),
        (&["get", "s-1"], &[key[0], ("KEEPWATCH_CONFIG", MISTYPED)]),
        (&["get", "s-1"], &[key[0], ("KEEPWATCH_CONFIG", file.to_str().unwrap())]),
    ];
    for (args, env) in cases {
        let output = run_with(args, env, "");
        assert_ne!(output.code, 0, "{args:?}");
        assert!(output.err.contains("••••"), "{args:?}: {}", output.err);
        assert!(!format!("{}{}", output.out, output.err).contains("MISTYPED"), "{args:?}: {}", output.err);
    }
}

#[test]
fn unusable_time_zone_is_replaced_by_utc() {
    let api = TestSimulator::serve(TWO_SESSIONS);
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let pipe = pipe.to_str().unwrap();
    let tz_dir = folder.path().to_str().unwrap();
    // A program that reads one of these as a time zone file waits for ever, or reads without end.
    for tz in [pipe, "/dev/zero", "/dev/urandom", ":/dev/zero", "../../../dev/zero"] {
        let url = format!("{}/", api.url);
        let env = [
            ("BROWSERBASE_BASE_URL", url.as_str()),
            ("BROWSERBASE_API_KEY", KEY),
            ("TZ", tz),
            ("TZDIR", tz_dir),
        ];
        let get = run_with(&["get", "s-2"], &env, "");
        assert_eq!(get.code, 0, "{}", get.err);
        assert!(get.err.contains("times are shown in UTC") && get.out.contains("COMPLETED"), "{}", get.err);
        let get = run_with(&["get", "s-2", "--utc"], &env, "");
        assert_eq!((get.code, get.err.as_str()), (0, ""));
    }
}
