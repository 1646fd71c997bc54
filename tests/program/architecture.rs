//! Checks the import rules between the modules of the `keepwatch` package. Cargo enforces the rules between crates.

use std::fs;
use std::path::{Path, PathBuf};

/// Paths that no code below `src/MODULE` may name, except in the listed files and folders.
struct ImportRule {
    module: &'static str,
    except: &'static [&'static str],
    forbidden: &'static [&'static str],
}

const fn rule(module: &'static str, forbidden: &'static [&'static str]) -> ImportRule {
    ImportRule { module, except: &[], forbidden }
}

const IMPORT_RULES: &[ImportRule] = &[
    rule("cli", &["crate::", "tokio::", "reqwest::", "ratatui::", "crossterm::"]),
    rule("config", &["crate::tui", "crate::commands", "tokio::", "reqwest::", "ratatui::", "crossterm::"]),
    rule("log", &["crate::config", "crate::api", "crate::poll", "crate::terminal", "crate::tui"]),
    rule("log", &["crate::commands"]),
    rule("log", &["tokio::", "reqwest::", "ratatui::", "crossterm::"]),
    rule("store", &["crate::api", "crate::poll", "crate::terminal"]),
    rule("store", &["crate::config", "crate::tui", "crate::commands"]),
    rule("store", &["tokio::", "reqwest::", "ratatui::", "crossterm::"]),
    rule(
        "api",
        &["crate::config", "crate::poll", "crate::tui", "crate::commands", "ratatui::", "crossterm::"],
    ),
    rule(
        "poll",
        &["crate::config", "crate::tui", "crate::commands", "reqwest::", "ratatui::", "crossterm::"],
    ),
    rule(
        "terminal",
        &["crate::config", "crate::api", "crate::poll", "crate::tui", "crate::commands", "reqwest::"],
    ),
    rule("tui", &["crate::config", "crate::commands", "reqwest::"]),
    // The model keeps the layout that `update` needs. Only the event loop and the replay draw.
    ImportRule {
        module: "tui",
        except: &["view", "mod.rs", "event_loop.rs", "replay.rs"],
        // The forms in which an import or a path can name the view.
        forbidden: &["::view", "view::", "{view", " view,"],
    },
    rule("tui/view", &["crate::api", "crate::store", "crate::terminal", "tokio::", "reqwest::"]),
    rule("commands", &["reqwest::", "ratatui::", "crossterm::"]),
    // Commands without a screen may use everything up to the tracker, and nothing of the screen.
    ImportRule { module: "commands", except: &["watch.rs", "demo.rs", "replay.rs"], forbidden: &["tui::"] },
];

/// Appends the path of every Rust file in `folder` to `files`, except tests and the paths in `except`.
fn collect_sources(folder: &Path, except: &[PathBuf], files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = ["tests", "tests.rs", "fixture.rs"].iter().any(|name| path.ends_with(name));
        if is_test || except.contains(&path) {
            continue;
        }
        if path.is_dir() {
            collect_sources(&path, except, files);
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
}

/// Returns the lines of `file` that name a forbidden path. Unit tests, comments and lines with strings do not count,
/// nor does the word `viewport`, which contains `view`.
fn violations(file: &Path, forbidden: &[&str]) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//") && !line.contains('"'));
    let violations =
        lines.filter(|line| forbidden.iter().any(|name| line.replace("viewport", "").contains(name)));
    violations.map(|line| format!("{}: `{}`", file.display(), line.trim())).collect()
}

#[test]
fn imports_follow_the_rules() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for ImportRule { module, except, forbidden } in IMPORT_RULES {
        let folder = src.join(module);
        let except: Vec<PathBuf> = except.iter().map(|name| folder.join(name)).collect();
        assert!(except.iter().all(|path| path.exists()), "every exception exists: {except:?}");
        let mut files = Vec::new();
        collect_sources(&folder, &except, &mut files);
        assert!(!files.is_empty(), "no files in {}", folder.display());
        found.extend(files.iter().flat_map(|file| violations(file, forbidden)));
    }
    assert!(found.is_empty(), "no line names a path that its rule forbids:\n{}", found.join("\n"));
}
