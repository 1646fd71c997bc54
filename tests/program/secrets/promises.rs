//! Tests the promises about secrets in `SECURITY.md`, with one test for each promise.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::fixture::{Fixture, assert_no_secret, files};
use super::malicious_server::{CANARY, FLAKY_ID, ID, KEY};
use super::{assert_no_secret_on, press_and_wait};
use crate::harness::{PROGRAM, output, wait_until};

/// The API key as an environment variable.
const KEY_VARIABLE: (&str, &str) = ("BROWSERBASE_API_KEY", KEY);

/// Returns variables that replace the fixture's config file.
fn without_config(fixture: &Fixture) -> [(String, String); 3] {
    let no_config = ("KEEPWATCH_CONFIG".to_owned(), "/dev/null".to_owned());
    [
        no_config,
        ("BROWSERBASE_BASE_URL".to_owned(), fixture.api.url.clone()),
        (KEY_VARIABLE.0.to_owned(), KEY.to_owned()),
    ]
}

fn borrowed(vars: &[(String, String)]) -> Vec<(&str, &str)> {
    vars.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn child_processes_get_no_secret() {
    let fixture = Fixture::new();
    let vars = without_config(&fixture);
    let mut terminal = fixture.start_terminal(&["-i", "1s"], &borrowed(&vars));
    terminal.wait_for("RUNNING");
    press_and_wait(&mut terminal, "c", "connect URL copied to tmux");
    terminal.press("o");
    for child in ["wl-copy", "xclip", "xsel", "tmux", "xdg-open"] {
        let log = fixture.helper_log(child);
        assert!(log.contains("HOME="), "the helper logs its environment: {log}");
        assert_no_secret(child, &log);
    }
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
    // A command that prints an API key gets no API key itself.
    let run = fixture.run_with(&["get", ID], &[KEY_VARIABLE, ("BROWSERBASE_BASE_URL", &fixture.api.url)]);
    assert_eq!(run.code, 0, "{}", run.output);
    let profile =
        format!("[profile.a]\nbase-url = {:?}\napi-key-command = [\"pass\", \"show\"]\n", fixture.api.url);
    let config = fixture.path("other.toml");
    fs::write(&config, profile).unwrap();
    let args = ["get", ID, "--profile", "a", "--config", config.to_str().unwrap()];
    assert_eq!(fixture.run_with(&args, &[KEY_VARIABLE]).code, 0);
    assert_no_secret("pass", &fixture.helper_log("pass"));
}

#[test]
fn journal_has_no_secret() {
    let fixture = Fixture::new();
    let mut terminal = fixture.start_terminal(&["-i", "1s"], &[]);
    terminal.wait_for("RUNNING");
    press_and_wait(&mut terminal, "c", "connect URL copied");
    press_and_wait(&mut terminal, "xb3de\r", "Session is locked");
    let history = || fixture.run(&["history", ID]).output;
    wait_until("the failure in the journal", || history().contains("release failed"));
    let journal = fixture.path(".local/state/keepwatch");
    let assert_no_secret_in_journal = || {
        for path in files(&journal) {
            let bytes = fs::read(&path).unwrap_or_default();
            assert_no_secret(&path.display().to_string(), &String::from_utf8_lossy(&bytes));
        }
    };
    assert!(journal.join("journal.sqlite-wal").exists());
    assert_no_secret_in_journal();
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
    assert_no_secret_in_journal();
    for args in [&["history", ID][..], &["history", "--json"], &["export", ID]] {
        assert_no_secret(&format!("{args:?}"), &fixture.run(args).output);
    }
}

#[test]
fn recording_has_no_secret() {
    let fixture = Fixture::new();
    let path = fixture.path("a.ndjson");
    let run = fixture.run(&["events", FLAKY_ID, "--record", path.to_str().unwrap(), "-i", "1s"]);
    assert_eq!(run.code, 0, "{}", run.output);
    let recorded = fs::read_to_string(&path).unwrap();
    assert!(recorded.contains("Session is locked") && recorded.contains("••••"), "{recorded}");
    assert_no_secret("the recording", &recorded);
}

#[test]
fn event_has_no_secret() {
    for format in ["json", "text"] {
        let fixture = Fixture::new();
        let run = fixture.run(&["events", FLAKY_ID, "--format", format, "-i", "1s"]);
        assert!(run.code == 0 && run.output.contains("Session is locked"), "{}", run.output);
        assert_no_secret(format, &run.output);
        let script = format!("'{PROGRAM}' events -i 1s --format {format} | head -n 2");
        let all_events = output(Command::new("sh").args(["-c", &script]).env_clear().envs(fixture.env()));
        let all_events = String::from_utf8_lossy(&all_events.stdout).into_owned();
        assert!(all_events.lines().count() == 2 && all_events.contains("6512bd43"), "{all_events}");
        assert_no_secret(format, &all_events);
    }
}

#[test]
fn evidence_has_no_secret() {
    let fixture = Fixture::new();
    let explained = fixture.run(&["explain", ID, "--with-metadata"]);
    assert!(
        explained.code == 0 && explained.output.contains("https://u:••••@c.example"),
        "{}",
        explained.output
    );
    assert_no_secret("the evidence", &explained.output);
    // The evidence contains the id of the request. The server puts a secret into that id.
    let unknown_session = fixture.run(&["explain", "no-such-1"]);
    assert!(
        unknown_session.code == 4 && unknown_session.output.contains("-••••"),
        "{}",
        unknown_session.output
    );
    assert_no_secret("the evidence of an unknown session", &unknown_session.output);
}

#[test]
fn window_title_has_no_secret() {
    let fixture = Fixture::new();
    let mut terminal = fixture.start_terminal(&["-i", "1s"], &[]);
    terminal.wait_for_osc("a title", |osc| osc.titles.iter().any(|title| title.contains("1 running")));
    press_and_wait(&mut terminal, "Y", &format!("{CANARY}connect"));
    // The failed session changes the title while the URL is on the screen.
    fixture.api.fail_session();
    let osc = terminal
        .wait_for_osc("another title", |osc| osc.titles.iter().any(|title| title.contains("1 error")));
    assert!(terminal.screen().contains(&format!("{CANARY}connect")));
    osc.titles.iter().for_each(|title| assert_no_secret("a title", title));
}

#[test]
fn redirects_and_proxies_get_nothing() {
    let fixture = Fixture::new();
    // `explain` requests the session, for which it must use no proxy. It also requests the project, and the API
    // redirects that request.
    let explained = fixture.run(&["explain", ID]);
    assert_eq!(explained.code, 0, "{}", explained.output);
    assert!(fixture.api.has_request_for("/v1/projects"));
    assert_eq!(fixture.bystander.received(), <[String; 0]>::default());
}

#[test]
fn connect_url_is_revealed_only_on_request() {
    let fixture = Fixture::new();
    for args in [&["get", ID][..], &["get", "--json", ID], &["explain", ID, "--with-metadata"]] {
        assert_no_secret(&format!("{args:?}"), &fixture.run(args).output);
    }
    for args in [&["get", "--reveal", ID][..], &["get", "--json", "--reveal", ID]] {
        let output = fixture.run(args).output;
        assert!(
            output.contains(&format!("{CANARY}connect")) && output.contains(&format!("{CANARY}signing")),
            "{output}"
        );
    }
    // Watches the session by its id: lists have no connect URLs.
    let mut terminal = fixture.start_terminal(&[ID, "-i", "1s"], &[]);
    terminal.wait_for("RUNNING");
    press_and_wait(&mut terminal, "\r", "connectUrl present");
    assert_no_secret_on(&terminal);
    assert_eq!(fixture.helper_input("tmux"), "", "no URL is copied without a keystroke");
    press_and_wait(&mut terminal, "ye", "evidence copied");
    assert_no_secret("the copied evidence", &fixture.helper_input("tmux"));
    press_and_wait(&mut terminal, "c", "connect URL copied");
    assert!(fixture.helper_input("tmux").contains(&format!("{CANARY}connect")));
    assert_no_secret_on(&terminal);
    press_and_wait(&mut terminal, "Y", &format!("{CANARY}connect"));
}

#[test]
fn secret_like_id_is_refused() {
    let fixture = Fixture::new();
    let url = format!("wss://connect.example/?signingKey={CANARY}&sessionId={ID}");
    for command in [&[][..], &["get"], &["events"], &["explain"]] {
        let args: Vec<&str> = command.iter().copied().chain([url.as_str()]).collect();
        let refused = fixture.run(&args);
        assert!(refused.code == 2 && refused.output.contains("looks like a secret"), "{}", refused.output);
        assert_no_secret(&format!("{command:?}"), &refused.output);
    }
    assert!(!fixture.api.has_requests());
    fixture.assert_no_secret_in_home();
}

#[test]
fn key_file_open_to_others_causes_warning() {
    let fixture = Fixture::new();
    let key = fixture.secret_path("key");
    let (path, url) = (key.to_str().unwrap(), fixture.api.url.as_str());
    let config = fixture.path("key.toml");
    fs::write(&config, format!("base-url = {url:?}\napi-key-file = {path:?}\n")).unwrap();
    let warning = format!("the key file {path} is open to others (its mode is 644): `chmod 600` closes it");
    let by_option = ["get", ID, "--base-url", url, "--api-key-file", path, "--config", "/dev/null"];
    let by_config = ["get", ID, "--config", config.to_str().unwrap()];
    for args in [&by_option[..], &by_config] {
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let warned = fixture.run(args);
        assert_eq!((warned.code, warned.output.matches(&warning).count()), (0, 1), "{}", warned.output);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let quiet = fixture.run(args);
        assert!(quiet.code == 0 && !quiet.output.contains("open to others"), "{}", quiet.output);
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let mut terminal = fixture.start_terminal(&by_config[2..], &[]);
    terminal.wait_for("is open to others");
    terminal.wait_for("RUNNING");
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
    // The file's mode does not matter if its contents come through a pipe.
    for file in ["-", "/dev/stdin"] {
        let script = format!("cat '{path}' | '{PROGRAM}' get {ID} --base-url {url} --api-key-file {file}");
        let mut sh = Command::new("sh");
        let piped = output(sh.args(["-c", &script]).env_clear().envs(fixture.env()));
        let err = String::from_utf8_lossy(&piped.stderr);
        assert!(piped.status.success() && !err.contains("open to others"), "{file}: {err}");
    }
}
