//! Tests several profiles in one table. Each profile has a server of its own.

use std::process::Command;

use browserbase_simulator::{Fault, FaultTarget, FinalStatus, StatusCode};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{KEY, PROGRAM, Terminal, TestSimulator, clean_env, output};
use crate::piped_program::PipedProgram;

const ACME_ID: &str = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff";
const STAGING_ID: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";

/// Starts a simulator with one running session.
fn serve(id: &str) -> TestSimulator {
    TestSimulator::serve(&format!(
        "[rules]\nrelease_delay = \"1s\"\n[[session]]\nid = \"{id}\"\ncreated = \"-2m\"\ntimeout = \"1h\"\nkeep_alive = true\n"
    ))
}

/// A folder with a config file. The file has a profile for each server, and a profile whose API key cannot be read.
struct ProfilesHome(tempfile::TempDir);

impl ProfilesHome {
    fn new(acme: &TestSimulator, staging: &TestSimulator) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        std::fs::write(home.0.path().join("key"), KEY).unwrap();
        let profile = |name: &str, api: &TestSimulator, key: &str| {
            format!("[profile.{name}]\nbase-url = {:?}\n{key}\n", api.url)
        };
        let config = [
            profile("acme", acme, "api-key-file = \"key\""),
            profile("staging", staging, "api-key-file = \"key\""),
            profile("locked", staging, "api-key-command = [\"sh\", \"-c\", \"exit 7\"]"),
        ];
        std::fs::write(home.config_path(), config.concat()).unwrap();
        home
    }

    fn config_path(&self) -> String {
        self.0.path().join("config.toml").to_str().unwrap().to_owned()
    }

    /// Starts `keepwatch` with these profiles and arguments, on a terminal.
    fn terminal(&self, profiles: &[&str], args: &[&str]) -> Terminal {
        let config = self.config_path();
        let mut command = vec![PROGRAM, "--config", &config, "-i", "1s"];
        command.extend(profiles.iter().flat_map(|profile| ["--profile", profile]));
        command.extend(args);
        Terminal::start(&command, &[], 120, 40)
    }

    /// Starts `keepwatch` with these profiles and arguments, without a terminal.
    fn program(&self, profiles: &[&str], args: &[&str]) -> PipedProgram {
        let config = self.config_path();
        let mut words = args.to_vec();
        words.extend(["--config", &config, "-i", "1s"]);
        words.extend(profiles.iter().flat_map(|profile| ["--profile", profile]));
        // The profiles have their own URLs and API keys, so the program must use neither this URL nor the empty key.
        PipedProgram::start_at("http://127.0.0.1:9", &words, "", &[])
    }

    /// Starts `keepwatch events` with these profiles and arguments.
    fn events(&self, profiles: &[&str], args: &[&str]) -> PipedProgram {
        self.program(profiles, &[&["events"], args].concat())
    }
}

/// Returns the first line of the screen that contains `text`.
fn line_with<'s>(screen: &'s str, text: &str) -> &'s str {
    screen.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("no {text} in\n{screen}"))
}

#[test]
fn rejected_api_key_affects_one_profile() {
    let (acme, staging) = (serve(ACME_ID), serve(STAGING_ID));
    staging.control.add_fault(Fault::with_status(FaultTarget::All, StatusCode::UNAUTHORIZED));
    let home = ProfilesHome::new(&acme, &staging);
    let mut terminal = home.terminal(&["acme", "staging"], &[]);
    let screen = terminal.wait_for("staging: the API refuses the key (401)");
    assert!(!screen.contains("acme: "), "{screen}");
    let screen = terminal.wait_for("45c48cce");
    assert!(line_with(&screen, "45c48cce").contains("acme"), "{screen}");
    acme.control.add_session(toml::from_str("name = \"second\"\ntimeout = \"1h\"").unwrap());
    terminal.wait_for("2 running");
    staging.control.clear_faults();
    terminal.press("r");
    let screen = terminal.wait_for("6512bd43");
    assert!(line_with(&screen, "6512bd43").contains("staging"), "{screen}");
    terminal.wait_until("no banner", |screen| !screen.contents().contains("(401)"));
    terminal.press("e");
    let screen = terminal.wait_for("polls succeed again");
    assert!(line_with(&screen, "polls succeed again").contains("staging"), "{screen}");
    terminal.assert_no_secrets(&acme, &[]);
    terminal.assert_no_secrets(&staging, &[]);
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
}

#[test]
fn release_goes_to_profile_of_session() {
    let (acme, staging) = (serve(ACME_ID), serve(STAGING_ID));
    let home = ProfilesHome::new(&acme, &staging);
    let mut terminal = home.terminal(&["acme", "staging"], &[]);
    terminal.wait_for("2 running");
    terminal.press("/profile:stag\r");
    terminal.wait_until("one row", |screen| !screen.contents().contains("45c48cce"));
    terminal.press("x");
    terminal.wait_for("in the profile staging");
    terminal.press("b3de\r");
    terminal.wait_for("You released it at ");
    let posts = |api: &TestSimulator| api.log().iter().filter(|request| request.method == "POST").count();
    assert_eq!((posts(&acme), posts(&staging)), (0, 1));
}

#[test]
fn id_is_polled_in_its_own_profile() {
    let (acme, staging) = (serve(ACME_ID), serve(STAGING_ID));
    let home = ProfilesHome::new(&acme, &staging);
    let terminal = home.terminal(&["acme", "staging"], &[STAGING_ID]);
    terminal.wait_for("RUNNING");
    let polls =
        |api: &TestSimulator| api.log().iter().filter(|request| request.path.ends_with(STAGING_ID)).count();
    let before = polls(&staging);
    crate::harness::wait_until("polls of the session", || polls(&staging) > before + 3);
    let screen = terminal.screen();
    assert!(!screen.contains("not found") && line_with(&screen, "6512bd43").contains("staging"), "{screen}");
    // The program polls the id in the other profile until that profile's server responds that it does not know the id.
    assert!((1..=2).contains(&polls(&acme)), "one or two polls in the other profile, not {}", polls(&acme));
}

#[test]
fn failed_api_key_command_disables_one_profile() {
    let (acme, staging) = (serve(ACME_ID), serve(STAGING_ID));
    let home = ProfilesHome::new(&acme, &staging);
    let terminal = home.terminal(&["locked", "acme"], &[]);
    let screen = terminal.wait_for("locked: api-key-command “sh” failed (exit status: 7)");
    assert!(!screen.contains("next try"), "{screen}");
    terminal.wait_for("45c48cce");
    let config = home.config_path();
    let args = ["--config", &config, "--profile", "locked"];
    let output = output(Command::new(PROGRAM).args(args).env_clear().envs(clean_env()));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(3) && err.contains("failed (exit status: 7)"), "{err}");
}

#[test]
fn events_name_their_profile() {
    let (acme, staging) = (serve(ACME_ID), serve(STAGING_ID));
    let home = ProfilesHome::new(&acme, &staging);
    let recording = home.0.path().join("run.ndjson");
    let mut events = home.events(
        &["acme", "staging", "locked"],
        &[ACME_ID, STAGING_ID, "--record", recording.to_str().unwrap()],
    );
    events.wait_for_line("first_seen");
    events.wait_for_line("first_seen");
    acme.control.end_session(ACME_ID, FinalStatus::Completed);
    staging.control.end_session(STAGING_ID, FinalStatus::Error);
    let output = events.wait_for_exit();
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert!(output.err.contains("locked: api-key-command “sh” failed (exit status: 7)"), "{}", output.err);
    let lines: Vec<Value> = output.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!output.out.contains("not_found"), "each id is in one of the profiles: {}", output.out);
    for (id, profile) in [(ACME_ID, "acme"), (STAGING_ID, "staging")] {
        let of_session: Vec<&Value> = lines.iter().filter(|line| line["session"] == id).collect();
        assert!(of_session.iter().all(|line| line["profile"] == profile), "{of_session:?}");
        assert!(of_session.iter().any(|line| line["event"] == "ended"), "{of_session:?}");
        let explain = ["explain", "--from", recording.to_str().unwrap(), id];
        let explained =
            crate::harness::output(Command::new(PROGRAM).args(explain).env_clear().envs(clean_env()));
        assert_eq!(explained.status.code(), Some(0), "{}", String::from_utf8_lossy(&explained.stderr));
    }
}

#[test]
fn events_of_profiles_are_filtered_and_labelled() {
    let (acme, staging) = (serve(ACME_ID), serve(STAGING_ID));
    let home = ProfilesHome::new(&acme, &staging);
    let options = ["--filter", "profile:stag", "--format", "text"];
    let mut events = home.events(&["acme", "staging"], &options);
    assert!(events.wait_for_line("first seen").contains("  staging  6512bd43  first seen RUNNING"));
    let mut all = home.events(&["acme", "staging"], &options[2..]);
    assert!(all.wait_for_line("45c48cce").contains("  acme     45c48cce  first seen RUNNING"));
    events.signal(Signal::INT);
    let output = events.wait_for_exit();
    assert!(output.code == Some(130) && !output.out.contains("45c48cce"), "{}", output.out);
    let mut without_screen = home.program(&["acme", "staging"], &[]);
    without_screen.wait_for_line("  acme     45c48cce  first seen RUNNING");
}

#[test]
fn unknown_id_has_one_not_found_event() {
    let (acme, staging) = (serve(ACME_ID), serve(STAGING_ID));
    let home = ProfilesHome::new(&acme, &staging);
    let mut events = home.events(&["acme", "staging"], &["no-such-1", ACME_ID]);
    events.wait_for_line("not_found");
    acme.control.end_session(ACME_ID, FinalStatus::Completed);
    events.wait_for_line("\"ended\"");
    events.signal(Signal::TERM);
    let output = events.wait_for_exit();
    assert_eq!((output.code, output.out.matches("not_found").count()), (Some(143), 1), "{}", output.out);
}

#[test]
fn events_continue_until_all_api_keys_are_refused() {
    let (acme, staging) = (serve(ACME_ID), serve(STAGING_ID));
    staging.control.add_fault(Fault::with_status(FaultTarget::All, StatusCode::UNAUTHORIZED));
    let home = ProfilesHome::new(&acme, &staging);
    let mut events = home.events(&["acme", "staging"], &[ACME_ID]);
    events.wait_for_line("first_seen");
    acme.control.end_session(ACME_ID, FinalStatus::Completed);
    let output = events.wait_for_exit();
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert_eq!(output.err.matches("staging: the API refuses the key (401)").count(), 1, "{}", output.err);
    acme.control.add_fault(Fault::with_status(FaultTarget::All, StatusCode::UNAUTHORIZED));
    let output = home.events(&["acme", "staging"], &[]).wait_for_exit();
    assert_eq!(output.code, Some(3), "{}", output.err);
    assert_eq!(output.err.matches("refuses the key (401)").count(), 2, "{}", output.err);
}

#[test]
fn session_of_two_profiles_has_events_once() {
    let acme = serve(ACME_ID);
    // Both profiles reach the same project.
    let home = ProfilesHome::new(&acme, &acme);
    let mut events = home.events(&["acme", "staging"], &[ACME_ID]);
    events.wait_for_line("first_seen");
    crate::harness::wait_until("polls by both profiles", || {
        acme.log().iter().filter(|request| request.path.ends_with(ACME_ID)).count() > 3
    });
    acme.control.end_session(ACME_ID, FinalStatus::Completed);
    let output = events.wait_for_exit();
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert_eq!(output.out.matches("first_seen").count(), 1, "{}", output.out);
    assert_eq!(output.out.matches("\"event\":\"ended\"").count(), 1, "{}", output.out);
}
