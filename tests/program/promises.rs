//! Checks that the tests named in `SECURITY.md` can fail.
//!
//! Each row of its tables names a promise, a test, and one or more markers. A marker is a comment above the statement,
//! match arm or method call that keeps the promise:
//!
//! ```text
//! // promise: no-redirect
//! // promise: https-only, mutant: !plain -> false
//! ```
//!
//! A mutant is the program with that statement changed. A marker without `mutant` deletes the statement. A marker with
//! `mutant: a -> b` replaces the first `a` in the statement by `b`.
//!
//! A quick test checks that each row names a test and markers that exist. An ignored test, run by `.ci/protections`,
//! builds each mutant in a copy of the sources and requires that the test of the row fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Seconds after which a test is stopped and proves nothing: a mutant can make its test wait for ever.
const TIME_LIMIT: &str = "300";

struct Row {
    promise: String,
    /// Target (`lib`, `core`, `simulator` or `program`), a space, and the path of the test.
    test: String,
    markers: Vec<String>,
}

/// A source file, before and after a change of the statement that keeps a promise.
struct Mutant {
    file: PathBuf,
    original: String,
    mutated: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the rows of all tables in `SECURITY.md`.
fn rows() -> Vec<Row> {
    let page = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains('`')).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [promise, test, markers] = cells[..] else { panic!("three columns: {line}") };
        let [test] = &quoted(test)[..] else { panic!("one test: {line}") };
        Row { promise: promise.to_owned(), test: test.clone(), markers: quoted(markers) }
    });
    rows.collect()
}

fn add_sources(folder: &Path, sources: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_sources(&path, sources);
        } else if path.extension().is_some_and(|it| it == "rs") {
            sources.insert(path.strip_prefix(root()).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
        }
    }
}

/// Returns the text of all source files, by path below the root.
fn sources() -> BTreeMap<PathBuf, String> {
    let mut sources = BTreeMap::new();
    ["src", "crates", "tests"].into_iter().for_each(|folder| add_sources(&root().join(folder), &mut sources));
    sources
}

/// Returns the length of the statement, match arm or method call at the start of `code`, including comments before it.
fn statement_length(code: &str) -> usize {
    let (mut depth, mut length) = (0, 0);
    for line in code.split_inclusive('\n') {
        length += line.len();
        let text = line.split("//").next().unwrap().trim();
        depth += text.matches(['(', '[', '{']).count();
        let closing = text.matches([')', ']', '}']).count();
        // The code ends when all of its brackets are closed, or with the block around it.
        let is_end = depth == closing && (text.starts_with('.') || text.ends_with([';', ',', '}']));
        if is_end || depth < closing {
            return length;
        }
        depth -= closing;
    }
    length
}

/// Returns the mutant of each marker.
fn mutants(sources: &BTreeMap<PathBuf, String>) -> BTreeMap<String, Mutant> {
    let mut mutants = BTreeMap::new();
    for (file, original) in sources.iter().filter(|(file, _)| !file.starts_with("tests")) {
        let mut line_end = 0;
        for line in original.split_inclusive('\n') {
            line_end += line.len();
            let Some(marker) = line.trim().strip_prefix("// promise: ") else { continue };
            let (before, code) = original.split_at(line_end);
            let (statement, after) = code.split_at(statement_length(code));
            let (name, mutated) = match marker.split_once(", mutant: ") {
                None => (marker, String::new()),
                Some((name, edit)) => {
                    let (from, to) = edit.split_once(" -> ").unwrap();
                    assert!(
                        statement.contains(from),
                        "{name}: the statement contains “{from}”:\n{statement}"
                    );
                    (name, statement.replacen(from, to, 1))
                }
            };
            let mutant = Mutant {
                file: file.clone(),
                original: original.clone(),
                mutated: format!("{before}{mutated}{after}"),
            };
            assert!(mutants.insert(name.to_owned(), mutant).is_none(), "the marker {name} exists only once");
        }
    }
    mutants
}

#[test]
fn promises_name_tests_and_markers_that_exist() {
    let sources = sources();
    let rows = rows();
    for Row { promise, test, markers } in &rows {
        let name = test.rsplit([' ', ':']).next().unwrap();
        let definition = format!("fn {name}(");
        assert!(sources.values().any(|text| text.contains(&definition)), "{promise}: the test {name} exists");
        assert!(!markers.is_empty(), "{promise}: the row names a marker");
    }
    let named: BTreeSet<&String> = rows.iter().flat_map(|row| &row.markers).collect();
    let mutants = mutants(&sources);
    assert_eq!(
        named,
        mutants.keys().collect(),
        "left: markers named in SECURITY.md, right: those in the sources"
    );
}

/// Copies the sources from `from` to `to`, without build output and git data.
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

/// Runs one test in the sources at `tree`. Returns true if it passed, and an error if it did not run to its end.
fn passes(tree: &Path, test: &str) -> Result<bool, String> {
    let (target, path) = test.split_once(' ').unwrap();
    let target: &[&str] = match target {
        "core" => &["-p", "keepwatch-core", "--lib"],
        "simulator" => &["-p", "browserbase-simulator", "--lib"],
        "lib" => &["-p", "keepwatch", "--lib"],
        _ => &["-p", "keepwatch", "--test", "program"],
    };
    // This folder already has the compiled dependencies.
    let target_folder =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    // `program` and `args` are cargo, or another program that runs it.
    let cargo_test = |program: &str, args: &[&str], test_args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).args(["test", "--locked"]).args(target).args(test_args);
        command.current_dir(tree).env("CARGO_TARGET_DIR", &target_folder);
        command.stdin(Stdio::null()).output().unwrap()
    };
    let build = cargo_test(env!("CARGO"), &[], &["--no-run"]);
    if !build.status.success() {
        return Err(String::from_utf8_lossy(&build.stderr).into_owned());
    }
    let output =
        cargo_test("timeout", &[TIME_LIMIT, env!("CARGO")], &["--", "--exact", "--include-ignored", path]);
    let printed = String::from_utf8_lossy(&output.stdout);
    let has_ended = printed.contains("running 1 test") && printed.contains("test result: ");
    has_ended.then(|| output.status.success()).ok_or_else(|| printed.into_owned())
}

/// Each line of `KEEPWATCH_PROTECTION` selects the mutants whose promise, test or marker contains that line. Without
/// lines, all mutants are selected.
#[test]
#[ignore = "builds the program once for each marker"]
fn each_test_fails_on_its_mutants() {
    let selection = std::env::var("KEEPWATCH_PROTECTION").unwrap_or_default();
    let is_selected = |text: &str| {
        let mut lines = selection.lines().filter(|line| !line.is_empty()).peekable();
        lines.peek().is_none() || lines.any(|line| text.contains(line))
    };
    let mutants = mutants(&sources());
    let tree = root().join("target/protections");
    let _ = fs::remove_dir_all(&tree);
    copy(&root(), &tree);
    let (mut count, mut surviving) = (0, Vec::new());
    for Row { promise, test, markers } in rows() {
        for marker in markers {
            if !is_selected(&format!("{promise} {test} {marker}")) {
                continue;
            }
            count += 1;
            let Mutant { file, original, mutated } = &mutants[&marker];
            fs::write(tree.join(file), mutated).unwrap();
            let outcome = passes(&tree, &test);
            fs::write(tree.join(file), original).unwrap();
            let outcome = match outcome {
                Ok(false) => "fails".to_owned(),
                Ok(true) => "PASSES".to_owned(),
                Err(error) => format!("DOES NOT BUILD OR END\n{error}"),
            };
            println!("without {marker}: {test} {outcome}");
            if outcome != "fails" {
                surviving.push(format!("{marker}: {test}"));
            }
        }
    }
    assert!(count > 0, "a row contains a line of the selection: {selection}");
    assert!(surviving.is_empty(), "every test fails on its mutants, except {}", surviving.join(", "));
}
