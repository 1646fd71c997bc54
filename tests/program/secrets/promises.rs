//! The promises about secrets one by one, each with what would break it alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::fixture::{Fixture, assert_no_secret, files};
use super::malicious_server::{CANARY, FLAKY, ID, KEY};
use super::{assert_no_secret_on, press_and_wait};
use crate::harness::{PROGRAM, output, wait_until};

/// The key from the environment, where it is in nobody's way.
const GIVEN: (&str, &str) = ("BROWSERBASE_API_KEY", KEY);

/// A house whose config file says nothing, and the variables that stand for it.
fn without_config(house: &Fixture) -> [(String, String); 3] {
    let none = ("KEEPWATCH_CONFIG".to_owned(), "/dev/null".to_owned());
    [none, ("BROWSERBASE_BASE_URL".to_owned(), house.api.url.clone()), (GIVEN.0.to_owned(), KEY.to_owned())]
}

fn borrowed(vars: &[(String, String)]) -> Vec<(&str, &str)> {
    vars.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn child_processes_get_no_secret() {
    let house = Fixture::new();
    let vars = without_config(&house);
    let mut screen = house.screen(&["-i", "1s"], &borrowed(&vars));
    screen.wait_for("RUNNING");
    press_and_wait(&mut screen, "c", "connect URL copied to tmux");
    screen.press("o");
    for child in ["wl-copy", "xclip", "xsel", "tmux", "xdg-open"] {
        let told = house.helper_log(child);
        assert!(told.contains("HOME="), "its environment is seen: {told}");
        assert_no_secret(child, &told);
    }
    screen.press("q");
    assert_eq!(screen.wait_for_restored_exit().exit_code(), 0);
    // A program that prints another key gets none, and is told of none.
    let asked = house.run_with(&["get", ID], &[GIVEN, ("BROWSERBASE_BASE_URL", &house.api.url)]);
    assert_eq!(asked.code, 0, "{}", asked.output);
    let profile =
        format!("[profile.a]\nbase-url = {:?}\napi-key-command = [\"pass\", \"show\"]\n", house.api.url);
    let config = house.path("other.toml");
    fs::write(&config, profile).unwrap();
    let args = ["get", ID, "--profile", "a", "--config", config.to_str().unwrap()];
    assert_eq!(house.run_with(&args, &[GIVEN]).code, 0);
    assert_no_secret("pass", &house.helper_log("pass"));
}

#[test]
fn journal_has_no_secret() {
    let house = Fixture::new();
    let mut screen = house.screen(&["-i", "1s"], &[]);
    screen.wait_for("RUNNING");
    press_and_wait(&mut screen, "c", "connect URL copied");
    press_and_wait(&mut screen, "xb3de\r", "Session is locked");
    let history = || house.run(&["history", ID]).output;
    wait_until("the failure is in the journal", || history().contains("release failed"));
    let journal = house.path(".local/state/keepwatch");
    let search = || {
        for path in files(&journal) {
            let bytes = fs::read(&path).unwrap_or_default();
            assert_no_secret(&path.display().to_string(), &String::from_utf8_lossy(&bytes));
        }
    };
    assert!(journal.join("journal.sqlite-wal").exists());
    search();
    screen.press("q");
    assert_eq!(screen.wait_for_restored_exit().exit_code(), 0);
    search();
    for args in [&["history", ID][..], &["history", "--json"], &["export", ID]] {
        assert_no_secret(&format!("{args:?}"), &house.run(args).output);
    }
}

#[test]
fn recording_has_no_secret() {
    let house = Fixture::new();
    let path = house.path("a.ndjson");
    let ended = house.run(&["events", FLAKY, "--record", path.to_str().unwrap(), "-i", "1s"]);
    assert_eq!(ended.code, 0, "{}", ended.output);
    let recorded = fs::read_to_string(&path).unwrap();
    assert!(recorded.contains("Session is locked") && recorded.contains("••••"), "{recorded}");
    assert_no_secret("the recording", &recorded);
}

#[test]
fn event_has_no_secret() {
    for format in ["json", "text"] {
        let house = Fixture::new();
        let ended = house.run(&["events", FLAKY, "--format", format, "-i", "1s"]);
        assert!(ended.code == 0 && ended.output.contains("Session is locked"), "{}", ended.output);
        assert_no_secret(format, &ended.output);
        let script = format!("'{PROGRAM}' events -i 1s --format {format} | head -n 2");
        let listed = output(Command::new("sh").args(["-c", &script]).env_clear().envs(house.env()));
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(listed.lines().count() == 2 && listed.contains("6512bd43"), "{listed}");
        assert_no_secret(format, &listed);
    }
}

#[test]
fn evidence_has_no_secret() {
    let house = Fixture::new();
    let told = house.run(&["explain", ID, "--with-metadata"]);
    assert!(told.code == 0 && told.output.contains("https://u:••••@c.example"), "{}", told.output);
    assert_no_secret("the evidence", &told.output);
    let absent = house.run(&["explain", "no-such-1"]);
    assert!(absent.code == 4 && absent.output.contains("-••••"), "{}", absent.output);
    assert_no_secret("the evidence of what is not there", &absent.output);
}

#[test]
fn window_title_has_no_secret() {
    let house = Fixture::new();
    let mut screen = house.screen(&["-i", "1s"], &[]);
    screen.wait_for_osc("a title", |told| told.titles.iter().any(|title| title.contains("1 running")));
    press_and_wait(&mut screen, "Y", &format!("{CANARY}connect"));
    // The next thing that changes the title comes while the URL is shown.
    house.api.fail_session();
    let titles = screen
        .wait_for_osc("another title", |told| told.titles.iter().any(|title| title.contains("1 error")));
    assert!(screen.screen().contains(&format!("{CANARY}connect")));
    titles.titles.iter().for_each(|title| assert_no_secret("a title", title));
}

#[test]
fn redirects_and_proxies_get_nothing() {
    let house = Fixture::new();
    // Of the project, whose address redirects, and of the session, whose host is on this machine.
    let told = house.run(&["explain", ID]);
    assert_eq!(told.code, 0, "{}", told.output);
    assert!(house.api.has_request_for("/v1/projects"));
    assert_eq!(house.bystander.received(), <[String; 0]>::default());
}

#[test]
fn connect_url_is_revealed_only_on_request() {
    let house = Fixture::new();
    for args in [&["get", ID][..], &["get", "--json", ID], &["explain", ID, "--with-metadata"]] {
        assert_no_secret(&format!("{args:?}"), &house.run(args).output);
    }
    for args in [&["get", "--reveal", ID][..], &["get", "--json", "--reveal", ID]] {
        let all = house.run(args).output;
        assert!(
            all.contains(&format!("{CANARY}connect")) && all.contains(&format!("{CANARY}signing")),
            "{all}"
        );
    }
    // By its id: lists leave the connect fields out.
    let mut screen = house.screen(&[ID, "-i", "1s"], &[]);
    screen.wait_for("RUNNING");
    press_and_wait(&mut screen, "\r", "connectUrl present");
    assert_no_secret_on(&screen);
    assert_eq!(house.helper_input("tmux"), "", "nothing is copied by itself");
    press_and_wait(&mut screen, "ye", "evidence copied");
    assert_no_secret("what was copied as evidence", &house.helper_input("tmux"));
    press_and_wait(&mut screen, "c", "connect URL copied");
    assert!(house.helper_input("tmux").contains(&format!("{CANARY}connect")));
    assert_no_secret_on(&screen);
    press_and_wait(&mut screen, "Y", &format!("{CANARY}connect"));
}

#[test]
fn secret_like_id_is_refused() {
    let house = Fixture::new();
    let url = format!("wss://connect.example/?signingKey={CANARY}&sessionId={ID}");
    for command in [&[][..], &["get"], &["events"], &["explain"]] {
        let args: Vec<&str> = command.iter().copied().chain([url.as_str()]).collect();
        let refused = house.run(&args);
        assert!(refused.code == 2 && refused.output.contains("looks like a secret"), "{}", refused.output);
        assert_no_secret(&format!("{command:?}"), &refused.output);
    }
    assert!(!house.api.has_requests());
    house.assert_no_secret_in_home();
}

#[test]
fn open_key_file_causes_warning() {
    let house = Fixture::new();
    let key = house.secret_path("key");
    let (path, url) = (key.to_str().unwrap(), house.api.url.as_str());
    let config = house.path("key.toml");
    fs::write(&config, format!("base-url = {url:?}\napi-key-file = {path:?}\n")).unwrap();
    let says = format!("the key file {path} is open to others (its mode is 644): `chmod 600` closes it");
    let by_option = ["get", ID, "--base-url", url, "--api-key-file", path, "--config", "/dev/null"];
    let by_config = ["get", ID, "--config", config.to_str().unwrap()];
    for args in [&by_option[..], &by_config] {
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let warned = house.run(args);
        assert_eq!((warned.code, warned.output.matches(&says).count()), (0, 1), "{}", warned.output);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let quiet = house.run(args);
        assert!(quiet.code == 0 && !quiet.output.contains("open to others"), "{}", quiet.output);
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let mut screen = house.screen(&by_config[2..], &[]);
    screen.wait_for("is open to others");
    screen.wait_for("RUNNING");
    screen.press("q");
    assert_eq!(screen.wait_for_restored_exit().exit_code(), 0);
    // Through a pipe, and as standard input, the same file's mode says nothing.
    for file in ["-", "/dev/stdin"] {
        let script = format!("cat '{path}' | '{PROGRAM}' get {ID} --base-url {url} --api-key-file {file}");
        let mut sh = Command::new("sh");
        let piped = output(sh.args(["-c", &script]).env_clear().envs(house.env()));
        let err = String::from_utf8_lossy(&piped.stderr);
        assert!(piped.status.success() && !err.contains("open to others"), "{file}: {err}");
    }
}
