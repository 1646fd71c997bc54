//! Tests `--log FILE`: the contents and permissions of the file, and the program's behaviour if it cannot write the
//! file.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use browserbase_simulator::{Fault, FaultTarget, StatusCode};
use rustix::process::Signal;

use crate::command_line::run_with;
use crate::harness::{KEY, Terminal, TestSimulator, wait_until};
use crate::piped_program::PipedProgram;

const ID: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
const ONE_SESSION: &str = r#"
[[session]]
id = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de"
created = "-2m"
timeout = "15m"
keep_alive = true
metadata = { run = "cAnArY-looked-for" }
"#;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Asserts that each line has a time in UTC, a level, a module and a message, and no control characters.
fn assert_well_formed(log: &str) {
    for line in log.lines() {
        let (time, rest) = line.split_at("2026-11-22T12:00:00.000Z".len());
        let level = rest.get(1..6).unwrap();
        assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{line}");
        assert!(["INFO ", "WARN ", "ERROR"].contains(&level) && rest.contains(": "), "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

#[test]
fn log_has_requests_but_no_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let (path, journal) = (folder.path().join("log"), folder.path().join("j.sqlite"));
    let api = TestSimulator::serve(ONE_SESSION);
    let query = "user_metadata['run']:'cAnArY-looked-for'";
    let args = ["-i", "1s", "--log", path.to_str().unwrap(), "--query", query];
    let env = [("SSH_TTY", "/dev/pts/1"), ("KEEPWATCH_JOURNAL", journal.to_str().unwrap())];
    let mut terminal = Terminal::keepwatch(&api, &args, &env, 120, 40);
    terminal.wait_for("RUNNING");
    terminal.press("c");
    terminal.wait_for_osc("a connect URL", |osc| !osc.clipboard.is_empty());
    api.control
        .add_fault(Fault::with_status(FaultTarget::List, StatusCode::SERVICE_UNAVAILABLE).limited_to(1));
    let wait_for_log = |text: &str| wait_until(text, || read(&path).contains(text));
    wait_for_log("INFO  poll::poller: 127.0.0.1");
    wait_for_log(" failures");
    terminal.press("xb3de\r");
    terminal.wait_for("RELEASING");
    wait_for_log(": POST 127.0.0.1");
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
    let log = read(&path);
    for text in [
        "started as `keepwatch --query --interval --log`; variables: BROWSERBASE_API_KEY BROWSERBASE_BASE_URL KEEPWATCH_JOURNAL",
        "INFO  commands::watch: profile \"\": 127.0.0.1:",
        "/v1/sessions?status=RUNNING&q=••••: 200, ",
        "was asked: FetchConnectUrls(",
        "connect URL sent to the terminal (OSC 52), unconfirmed",
        ": 503, ",
        "List(Running) failed, API failed; again in ",
        "after 1 failures",
        "was asked: Release(",
        "what earlier runs saw of project 0 is not known",
        "INFO  commands: ends with 0\n",
    ] {
        assert!(log.contains(text), "{text} is not in\n{log}");
    }
    assert_well_formed(&log);
    let mut secrets = api.connect_urls();
    // Every signing key of the simulator begins with `e`.
    secrets.extend([KEY.to_owned(), "cAnArY".to_owned(), "signingKey=e".to_owned()]);
    assert!(!secrets.iter().any(|secret| log.contains(secret.as_str())), "{log}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn log_names_signal_and_lost_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let (api, args) = (TestSimulator::serve(ONE_SESSION), ["--log", path.to_str().unwrap()]);
    let mut terminal = Terminal::keepwatch(&api, &args, &[], 120, 40);
    terminal.wait_for("RUNNING");
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 143);
    assert!(read(&path).contains("signal 15 asks for the end"), "{}", read(&path));
    assert!(read(&path).ends_with(": ends with 143\n"), "{}", read(&path));

    let mut terminal = Terminal::keepwatch(&api, &args, &[], 120, 40);
    terminal.wait_for("RUNNING");
    terminal.close();
    terminal.wait_for_exit();
    // The program may also log SIGHUP, which may arrive a moment later.
    assert!(read(&path).contains(": the terminal is gone: ends with 129\n"), "{}", read(&path));

    let mut events = PipedProgram::start(&api, &["events", args[0], args[1]]);
    events.wait_for_line("first_seen");
    events.signal(Signal::INT);
    assert_eq!(events.finish(&api).code, Some(130));
    assert!(read(&path).ends_with(": ends with 130\n"), "{}", read(&path));
    assert_eq!(read(&path).matches("started as `").count(), 3, "every run appends to the log");
}

#[test]
fn log_is_off_unless_configured() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let api = TestSimulator::serve(ONE_SESSION);
    let env = |more: &[(&'static str, String)]| {
        let base =
            [("HOME", home.path().to_str().unwrap().to_owned()), ("BROWSERBASE_BASE_URL", api.url.clone())];
        let all = base.into_iter().chain([("BROWSERBASE_API_KEY", KEY.to_owned())]);
        all.chain(more.iter().cloned()).collect::<Vec<(&str, String)>>()
    };
    let run = |args: &[&str], more: &[(&'static str, String)]| {
        let env = env(more);
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let output = run_with(&[&["get", ID], args].concat(), &env, "");
        assert_eq!(output.code, 0, "{}", output.err);
    };
    run(&[], &[]);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    fs::create_dir_all(path(".config/keepwatch")).unwrap();
    // In the config file, a relative path starts at the folder of the file.
    fs::write(path(".config/keepwatch/config.toml"), "log = \"~/by-file\"\n[explain]\nlog = \"beside\"\n")
        .unwrap();
    run(&[], &[]);
    assert!(read(&path("by-file")).contains("started as `keepwatch get SESSION_ID`"));
    let variable = ("KEEPWATCH_LOG", path("by-variable").to_str().unwrap().to_owned());
    run(&[], std::slice::from_ref(&variable));
    run(&["--log", path("by-option").to_str().unwrap()], std::slice::from_ref(&variable));
    let runs = |name: &str| read(&path(name)).matches("started as").count();
    assert_eq!((runs("by-file"), runs("by-variable"), runs("by-option")), (1, 1, 1));
    let env = env(&[]);
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(run_with(&["explain", ID], &env, "").code, 0);
    assert_eq!(runs(".config/keepwatch/beside"), 1);
}

#[test]
fn unwritable_log_ends_program_before_any_request() {
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("target"), folder.path().join("link"));
    symlink(&target, &link).unwrap();
    let api = TestSimulator::serve(ONE_SESSION);
    let env = [("BROWSERBASE_BASE_URL", api.url.as_str()), ("BROWSERBASE_API_KEY", KEY)];
    for (path, reason) in [
        (link.as_path(), "it is a symbolic link"),
        (folder.path(), "what is there is no file"),
        (Path::new("/no/such/log"), "No such file or directory"),
    ] {
        let name = path.to_str().unwrap();
        for command in
            [&["get", ID][..], &["events"], &["wait", ID], &["explain", ID], &["release", ID], &[ID]]
        {
            let run = run_with(&[command, &["--log", name]].concat(), &env, "");
            let error = format!("keepwatch: the log {name} can not be written: {reason}");
            assert!(run.code == 2 && run.err.starts_with(&error), "{command:?}: {}", run.err);
            assert_eq!(run.err.lines().count(), 1, "{}", run.err);
        }
    }
    assert!(api.log().is_empty() && !target.exists());
}

#[test]
fn log_failure_is_shown_on_screen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let api = TestSimulator::serve(ONE_SESSION);
    let mut terminal =
        Terminal::keepwatch(&api, &["-i", "1s", "--log", path.to_str().unwrap()], &[], 140, 40);
    terminal.wait_for("RUNNING");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let contents = terminal.wait_for("what is there is no file");
    assert!(
        contents.contains("can not be written") && terminal.wait_for("not logging").contains("RUNNING"),
        "{contents}"
    );
    let before = api.log().len();
    wait_until("more polls", || api.log().len() > before + 2);
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
}
