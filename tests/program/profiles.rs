//! Tests several profiles in one table. Each profile has a server of its own.

use std::process::Command;

use browserbase_simulator::{Fault, FaultTarget, StatusCode};

use crate::harness::{KEY, PROGRAM, Terminal, TestSimulator, clean_env, output};

const IN_ACME: &str = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff";
const IN_STAGING: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";

fn serve(id: &str) -> TestSimulator {
    TestSimulator::serve(&format!(
        "[rules]\nrelease_delay = \"1s\"\n[[session]]\nid = \"{id}\"\ncreated = \"-2m\"\ntimeout = \"1h\"\nkeep_alive = true\n"
    ))
}

/// A config file with a profile for each server, and a profile whose API key cannot be read.
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
        std::fs::write(home.config(), config.concat()).unwrap();
        home
    }

    fn config(&self) -> String {
        self.0.path().join("config.toml").to_str().unwrap().to_owned()
    }

    /// Starts `keepwatch` with these profiles and arguments.
    fn terminal(&self, profiles: &[&str], args: &[&str]) -> Terminal {
        let config = self.config();
        let mut command = vec![PROGRAM, "--config", &config, "-i", "1s"];
        command.extend(profiles.iter().flat_map(|profile| ["--profile", profile]));
        command.extend(args);
        Terminal::start(&command, &[], 120, 40)
    }
}

/// Returns the first line of the screen that contains `text`.
fn line_with<'s>(screen: &'s str, text: &str) -> &'s str {
    screen.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("no {text} in\n{screen}"))
}

#[test]
fn rejected_api_key_affects_one_profile() {
    let (acme, staging) = (serve(IN_ACME), serve(IN_STAGING));
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
fn release_goes_to_named_profile() {
    let (acme, staging) = (serve(IN_ACME), serve(IN_STAGING));
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
    let (acme, staging) = (serve(IN_ACME), serve(IN_STAGING));
    let home = ProfilesHome::new(&acme, &staging);
    let terminal = home.terminal(&["acme", "staging"], &[IN_STAGING]);
    terminal.wait_for("RUNNING");
    let polls =
        |api: &TestSimulator| api.log().iter().filter(|request| request.path.ends_with(IN_STAGING)).count();
    let before = polls(&staging);
    crate::harness::wait_until("polls of the session", || polls(&staging) > before + 3);
    let screen = terminal.screen();
    assert!(!screen.contains("not found") && line_with(&screen, "6512bd43").contains("staging"), "{screen}");
    // The program polls the id in the other profile until that profile's server responds that it does not know the id.
    assert!((1..=2).contains(&polls(&acme)), "{} polls of the wrong profile", polls(&acme));
}

#[test]
fn missing_api_key_disables_one_profile() {
    let (acme, staging) = (serve(IN_ACME), serve(IN_STAGING));
    let home = ProfilesHome::new(&acme, &staging);
    let terminal = home.terminal(&["locked", "acme"], &[]);
    let screen = terminal.wait_for("locked: api-key-command “sh” failed (exit status: 7)");
    assert!(!screen.contains("next try"), "{screen}");
    terminal.wait_for("45c48cce");
    let run_without_screen = |profiles: &[&str]| {
        let config = home.config();
        let mut args = vec!["--config", &config];
        args.extend(profiles.iter().flat_map(|profile| ["--profile", profile]));
        let output = output(Command::new(PROGRAM).args(args).env_clear().envs(clean_env()));
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, err) = run_without_screen(&["locked"]);
    assert!(code == Some(3) && err.contains("failed (exit status: 7)"), "{err}");
    let (code, err) = run_without_screen(&["acme", "staging"]);
    assert!(code == Some(2) && err.contains("events are streamed of one project"), "{err}");
}
