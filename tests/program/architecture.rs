//! The walls inside the `keepwatch` package. Cargo enforces those between crates.

use std::fs;
use std::path::{Path, PathBuf};

/// Code below `src/room` never names one of the paths in `never`, except in the files and folders `but`.
struct Wall {
    room: &'static str,
    but: &'static [&'static str],
    never: &'static [&'static str],
}

const fn wall(room: &'static str, never: &'static [&'static str]) -> Wall {
    Wall { room, but: &[], never }
}

const WALLS: &[Wall] = &[
    wall("cli", &["crate::", "tokio::", "reqwest::", "ratatui::", "crossterm::"]),
    wall("config", &["crate::tui", "crate::commands", "tokio::", "reqwest::", "ratatui::", "crossterm::"]),
    wall("log", &["crate::config", "crate::api", "crate::poll", "crate::terminal", "crate::tui"]),
    wall("log", &["crate::commands"]),
    wall("log", &["tokio::", "reqwest::", "ratatui::", "crossterm::"]),
    wall("store", &["crate::api", "crate::poll", "crate::terminal"]),
    wall("store", &["crate::config", "crate::tui", "crate::commands"]),
    wall("store", &["tokio::", "reqwest::", "ratatui::", "crossterm::"]),
    wall(
        "api",
        &["crate::config", "crate::poll", "crate::tui", "crate::commands", "ratatui::", "crossterm::"],
    ),
    wall(
        "poll",
        &["crate::config", "crate::tui", "crate::commands", "reqwest::", "ratatui::", "crossterm::"],
    ),
    wall(
        "terminal",
        &["crate::config", "crate::api", "crate::poll", "crate::tui", "crate::commands", "reqwest::"],
    ),
    wall("tui", &["crate::config", "crate::commands", "reqwest::"]),
    // The model keeps the layout that `update` needs. Only the event loop and the replay draw.
    Wall {
        room: "tui",
        but: &["view", "mod.rs", "event_loop.rs", "replay.rs"],
        never: &["::view", "view::", "{view", " view,"],
    },
    wall("tui/view", &["crate::api", "crate::store", "crate::terminal", "tokio::", "reqwest::"]),
    wall("commands", &["reqwest::", "ratatui::", "crossterm::"]),
    // Commands without a screen share everything up to the tracker, and nothing of the screen.
    Wall { room: "commands", but: &["watch.rs", "demo.rs", "replay.rs"], never: &["tui::"] },
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
fn breaches(file: &Path, never: &[&str]) -> Vec<String> {
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
    for Wall { room, but, never } in WALLS {
        let room = src.join(room);
        let but: Vec<PathBuf> = but.iter().map(|name| room.join(name)).collect();
        assert!(but.iter().all(|path| path.exists()), "{but:?}");
        let mut files = Vec::new();
        sources(&room, &but, &mut files);
        assert!(!files.is_empty(), "there is no {}", room.display());
        found.extend(files.iter().flat_map(|file| breaches(file, never)));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
