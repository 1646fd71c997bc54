//! The walls inside the `keepwatch` package. Cargo enforces those between crates.

use std::fs;
use std::path::{Path, PathBuf};

/// Code below `src/room` never names one of the paths in `never`, except in the files and folders `but`.
struct ImportRule {
    module: &'static str,
    except: &'static [&'static str],
    forbidden: &'static [&'static str],
}

const fn rule(room: &'static str, never: &'static [&'static str]) -> ImportRule {
    ImportRule { module: room, except: &[], forbidden: never }
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
        forbidden: &["::view", "view::", "{view", " view,"],
    },
    rule("tui/view", &["crate::api", "crate::store", "crate::terminal", "tokio::", "reqwest::"]),
    rule("commands", &["reqwest::", "ratatui::", "crossterm::"]),
    // Commands without a screen share everything up to the tracker, and nothing of the screen.
    ImportRule { module: "commands", except: &["watch.rs", "demo.rs", "replay.rs"], forbidden: &["tui::"] },
];

/// Appends the path of every Rust file in `folder`, except tests and the paths `but`.
fn sources(folder: &Path, but: &[PathBuf], into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = ["tests", "tests.rs", "fixture.rs"].iter().any(|name| path.ends_with(name));
        if is_test || but.contains(&path) {
            continue;
        }
        if path.is_dir() {
            sources(&path, but, into);
        } else if path.extension().is_some_and(|it| it == "rs") {
            into.push(path);
        }
    }
}

/// Returns the lines of code in `file` that name a path of `never`. Unit tests, comments and texts are no code.
fn violations(file: &Path, never: &[&str]) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//") && !line.contains('"'));
    let named = lines.filter(|line| never.iter().any(|name| line.replace("viewport", "").contains(name)));
    named.map(|line| format!("{}: `{}`", file.display(), line.trim())).collect()
}

#[test]
fn walls_hold() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for ImportRule { module: room, except: but, forbidden: never } in IMPORT_RULES {
        let room = src.join(room);
        let but: Vec<PathBuf> = but.iter().map(|name| room.join(name)).collect();
        assert!(but.iter().all(|path| path.exists()), "{but:?}");
        let mut files = Vec::new();
        sources(&room, &but, &mut files);
        assert!(!files.is_empty(), "there is no {}", room.display());
        found.extend(files.iter().flat_map(|file| violations(file, never)));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
