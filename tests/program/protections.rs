//! What `SECURITY.md` promises, and the proof that each promise's test would fail without what keeps it.
//!
//! `tests/protections.toml` lists the protections: where each stands, and what would stand there without it. That the list, the
//! table of `SECURITY.md` and the code fit each other is a quick test; taking each out, in a copy, takes minutes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::Deserialize;

/// Some tests wait for what a program without its protection never does.
const PATIENCE: &str = "150";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    protection: Vec<Protection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Protection {
    /// What is taken out, in a few words.
    out: String,
    file: String,
    find: String,
    replace: String,
    /// `lib` or `program`, and the test's path.
    test: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn protections() -> Vec<Protection> {
    let text = fs::read_to_string(root().join("tests/protections.toml")).unwrap();
    toml::from_str::<List>(&text).unwrap().protection
}

/// The tests that the table of `SECURITY.md` names.
fn promised() -> BTreeSet<String> {
    let page = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let tests =
        rows.flat_map(|row| row.rsplit('|').nth(1).unwrap().split('`').skip(1).step_by(2).map(str::to_owned));
    tests.collect()
}

fn all_sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_sources(&path, into);
        } else if path.extension().is_some_and(|it| it == "rs") {
            into.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn each_promise_names_a_test_and_each_test_a_protection_that_is_there() {
    let (mut library, mut program) = (String::new(), String::new());
    all_sources(&root().join("src"), &mut library);
    all_sources(&root().join("crates"), &mut library);
    all_sources(&root().join("tests/program"), &mut program);
    let mut tested = BTreeSet::new();
    for Protection { out, file, find, replace, test } in protections() {
        let text = fs::read_to_string(root().join(&file)).unwrap();
        assert_eq!(text.matches(&find).count(), 1, "{out}: {file} has this once:\n{find}");
        assert_ne!(find, replace);
        let (target, path) = test.split_once(' ').unwrap();
        let name = path.rsplit("::").next().unwrap();
        let sources = if target == "program" { &program } else { &library };
        assert!(sources.contains(&format!("fn {name}(")), "{out}: there is no test {test}");
        tested.insert(test);
    }
    assert_eq!(promised(), tested, "SECURITY.md promises the left, and the right are proved to keep it");
}

/// Copies what a build needs, so that nothing here is ever without its protections.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() && entry.file_name() != "target" && entry.file_name() != ".git" {
            copy(&path, &to);
        } else if path.is_file() {
            fs::copy(path, to).unwrap();
        }
    }
}

/// Where the dependencies are built already.
fn built() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn run(tree: &Path, test: &str) -> Output {
    let (target, path) = test.split_once(' ').unwrap();
    let target: &[&str] = match target {
        "core" => &["-p", "keepwatch-core"],
        "simulator" => &["-p", "browserbase-simulator"],
        "lib" => &["-p", "keepwatch", "--lib"],
        _ => &["-p", "keepwatch", "--test", "program"],
    };
    Command::new("timeout")
        .args([PATIENCE, env!("CARGO"), "test", "--locked"])
        // Without it a build takes a fifth of the time.
        .args(["--config", "profile.dev.package.keepwatch.debug=false"])
        .args(target)
        .args(["--", "--exact", "--include-ignored", path])
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", built())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Whether the one test was run, and how it ended; none where the build failed, or the test did not end.
fn verdict(output: &Output) -> Option<bool> {
    let said = String::from_utf8_lossy(&output.stdout);
    // One that was ended by its time proves nothing.
    let ended = said.contains("running 1 test") && said.contains("test result: ");
    ended.then(|| output.status.success())
}

/// `KEEPWATCH_PROTECTION=words` takes out those alone that have these words in what is taken out or in the test's name.
#[test]
#[ignore = "builds the program once for each protection"]
fn each_test_fails_when_its_protection_is_taken_out() {
    let folder = root().join("target/protections");
    let tree = folder.join("tree");
    let _ = fs::remove_dir_all(&tree);
    copy(&root(), &tree);
    let only = std::env::var("KEEPWATCH_PROTECTION").unwrap_or_default();
    let mut unproved = Vec::new();
    for Protection { out, file, find, replace, test } in protections() {
        if !out.contains(&only) && !test.contains(&only) {
            continue;
        }
        let path = tree.join(&file);
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, whole.replacen(&find, &replace, 1)).unwrap();
        let output = run(&tree, &test);
        fs::write(&path, whole).unwrap();
        let word = match verdict(&output) {
            Some(false) => "fails",
            Some(true) => "PASSES",
            None => "IS NOT BUILT OR DOES NOT END",
        };
        println!("without {out}: {test} {word}");
        if word != "fails" {
            unproved.push(format!("{out}: {test} {word}\n{}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    assert!(unproved.is_empty(), "{}", unproved.join("\n"));
}
