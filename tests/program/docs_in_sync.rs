//! Checks that README.md and CONTRIBUTING.md match the program: key bindings, help, config file, exit codes, commands.

use std::fs;
use std::path::Path;
use std::process::Command;

use keepwatch::cli::RawArgs;
use keepwatch::config::{ConfigFile, Environment};
use keepwatch::tui::keymap::BINDINGS;

use crate::harness::{PROGRAM, clean_env, output};
use crate::simulate::SimulateProgram;

fn readme() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

#[test]
fn readme_lists_every_key_binding() {
    let readme = readme();
    let table = readme.split("## Keys").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = BINDINGS
        .iter()
        .map(|binding| {
            let keys: Vec<String> = binding.keys.split(' ').map(|key| format!("`{key}`")).collect();
            format!("| {} | {} |", keys.join(" "), binding.help)
        })
        .collect();
    assert_eq!(rows, expected, "the table should be:\n{}", expected.join("\n"));
}

#[test]
fn readme_shows_current_help() {
    // The help is in the README's first and second `text` blocks.
    for (index, args) in [(1, &["--help"][..]), (2, &["simulate", "--help"])] {
        let output =
            output(Command::new(PROGRAM).args(args).env_clear().envs(clean_env()).env("COLUMNS", "110"));
        let help = String::from_utf8(output.stdout).unwrap();
        let shown = readme().split("```text\n").nth(index).unwrap().split("\n```").next().unwrap().to_owned();
        assert_eq!(shown.trim_end(), help.trim_end());
    }
}

#[test]
fn readme_config_file_has_no_warnings() {
    let readme = readme();
    let text = readme.split("## Configuration").nth(1).unwrap().split("```toml\n").nth(1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, text.split("```").next().unwrap()).unwrap();
    let typed = RawArgs::parse(["keepwatch", "--config", path.to_str().unwrap()]).unwrap();
    let file = ConfigFile::find(&typed, &Environment::default()).unwrap();
    assert_eq!(file.warnings(), <[String; 0]>::default());
}

#[test]
fn readme_shell_commands_release_a_session() {
    let tools = ["curl", "jq"].map(|tool| Command::new(tool).arg("--version").output().is_ok());
    if tools != [true, true] {
        eprintln!("\n  SKIPPED: curl and jq are not both installed.\n");
        return;
    }
    let readme = readme();
    let commands = readme.split("From another shell").nth(1).unwrap();
    let commands = commands.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let api = SimulateProgram::start(&[]);
    let port = api.url.rsplit(':').next().unwrap();
    let path =
        format!("{}:{}", Path::new(PROGRAM).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = output(
        Command::new("sh")
            // The commands use port 8787. The simulator of this test has another port.
            .args(["-euc", &commands.replace("8787", port)])
            .env_clear()
            .envs(clean_env())
            .env("PATH", path),
    );
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("\"keepAlive\": true") && out.contains("wss://connect."), "{out}");
    assert!(out.lines().last().unwrap().contains("COMPLETED"), "{out}");
}

#[test]
fn contributing_runs_all_sdk_tests() {
    let module = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/sdk.rs")).unwrap();
    let contributing = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/CONTRIBUTING.md")).unwrap();
    assert!(contributing.contains("\ncargo test --locked --test program -- --ignored --nocapture sdk::\n"));
    // The command runs only ignored tests, so every test of the module must be ignored.
    assert_eq!(module.matches("#[test]\n#[ignore").count(), module.matches("#[test]").count());
}

#[test]
fn readme_names_every_exit_code() {
    let readme = readme();
    for code in 0..=7 {
        assert!(readme.contains(&format!("| {code} | ")), "the README has exit code {code}");
    }
}

#[test]
fn readme_test_command_matches_ci() {
    let readme = readme();
    let commands = readme.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(
        commands.lines().collect::<Vec<_>>(),
        ["cargo run --release --locked -- demo", "cargo test --locked"]
    );
    let ci = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/run")).unwrap();
    assert!(ci.lines().any(|line| line == "cargo test --locked"));
}
