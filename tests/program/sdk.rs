//! Runs the vendor's SDKs and command-line tools against `keepwatch simulate`. They are unmodified, and are installed
//! from their registries. The tests are ignored by default, because they need a network, Python and Node. The scripts
//! that use the SDKs and tools are in `tests/sdk`.

#![expect(clippy::print_stdout, reason = "names the tested versions")]

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::harness::{clean_env, is_installed};
use crate::simulate::SimulateProgram;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk");

/// Returns true if `program` is installed.
fn has_program(program: &str) -> bool {
    is_installed(Command::new(program).arg("--version"))
}

/// Runs `command`, which must succeed, and prints its output.
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}{err}");
    print!("{out}");
}

/// Runs `script` in `folder` with `interpreter`, against three new simulators: one on a paid plan, one on the free
/// plan, and one whose only slot is taken.
fn run_script(interpreter: &OsStr, script: &Path, folder: &Path) {
    let scenario = format!("{SCRIPTS}/scenario.toml");
    let paid = SimulateProgram::start(&["--scenario", &scenario]);
    let free = SimulateProgram::start(&["--scenario", &scenario, "--plan", "free"]);
    let full = SimulateProgram::start(&["--scenario", &format!("{SCRIPTS}/full.toml")]);
    run(Command::new(interpreter)
        .arg(script)
        .current_dir(folder)
        .env_clear()
        .envs(clean_env())
        .env("HOME", folder)
        .env("BROWSERBASE_BASE_URL", &paid.url)
        .env("FREE_BASE_URL", &free.url)
        .env("FULL_BASE_URL", &full.url)
        .env("BROWSERBASE_PROJECT_ID", &paid.project)
        .env("BROWSERBASE_API_KEY", "bb_test_simulated")
        // Without these the command-line tools send telemetry and look for updates.
        .env("DO_NOT_TRACK", "1")
        .env("BB_DISABLE_UPDATE_CHECK", "1"));
}

/// Installs `packages` from npm in a temporary folder, and runs `script` there.
fn run_node_script(script: &str, packages: &[&str]) {
    if !has_program("node") || !has_program("npm") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("package.json"), r#"{ "private": true }"#).unwrap();
    let install = ["install", "--no-audit", "--no-fund", "--ignore-scripts"];
    run(Command::new("npm").args(install).args(packages).current_dir(folder.path()));
    let copy = folder.path().join(script);
    std::fs::copy(Path::new(SCRIPTS).join(script), &copy).unwrap();
    run_script(OsStr::new("node"), &copy, folder.path());
}

#[test]
#[ignore = "installs from PyPI"]
fn python_sdk_works_against_simulator() {
    if !has_program("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    run(Command::new("python3").args(["-m", "venv", "venv"]).current_dir(folder.path()));
    let python = folder.path().join("venv/bin/python");
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "browserbase"])
        .current_dir(folder.path()));
    run_script(python.as_os_str(), &Path::new(SCRIPTS).join("sdk.py"), folder.path());
}

#[test]
#[ignore = "installs from npm"]
fn node_sdk_works_against_simulator() {
    run_node_script("sdk.mjs", &["@browserbasehq/sdk"]);
}

#[test]
#[ignore = "installs from npm"]
fn vendor_clis_work_against_simulator() {
    run_node_script("clis.mjs", &["@browserbasehq/cli", "browse"]);
}
