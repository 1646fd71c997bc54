//! The README is held against the program, so that the two can not drift.

use std::fs;
use std::process::Command;

use keepwatch::app::keys::BINDINGS;

use crate::harness::{PROGRAM, clean_env};

fn readme() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

#[test]
fn the_readme_lists_every_key_as_the_program_has_it() {
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
fn the_readme_shows_the_help_as_the_program_prints_it() {
    let output = Command::new(PROGRAM)
        .arg("--help")
        .env_clear()
        .envs(clean_env())
        .env("COLUMNS", "110")
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let shown = readme().split("```text\n").nth(1).unwrap().split("\n```").next().unwrap().to_owned();
    assert_eq!(shown.trim_end(), help.trim_end());
}

#[test]
fn the_readme_names_each_exit_code_that_the_help_names() {
    let readme = readme();
    for code in 0..=7 {
        assert!(readme.contains(&format!("| {code} | ")), "{code}");
    }
}

#[test]
fn the_test_command_of_the_readme_is_what_runs_before_a_change_lands() {
    let readme = readme();
    let commands = readme.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(
        commands.lines().collect::<Vec<_>>(),
        ["cargo run --release --locked -- demo", "cargo test --locked"]
    );
    let ci = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/run")).unwrap();
    assert!(ci.lines().any(|line| line == "cargo test --locked"));
}
