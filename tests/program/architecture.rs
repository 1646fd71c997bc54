//! The walls inside the `keepwatch` package. Cargo enforces those between crates.

use std::fs;
use std::path::Path;

/// A folder or file of `src`, and the paths that its code never names.
const WALLS: &[(&str, &[&str])] = &[
    ("cli", &["tokio::", "reqwest::", "ratatui::", "crossterm::", "crate::"]),
    ("config", &["tokio::", "reqwest::", "ratatui::", "crossterm::", "crate::tui", "crate::commands"]),
    ("log", &["tokio::", "reqwest::", "ratatui::", "crossterm::", "crate::tui", "crate::commands"]),
    (
        "store",
        &[
            "crate::config",
            "tokio::",
            "reqwest::",
            "ratatui::",
            "crossterm::",
            "crate::tui",
            "crate::commands",
        ],
    ),
    ("api", &["crate::config", "ratatui::", "crossterm::", "crate::poll", "crate::tui", "crate::commands"]),
    ("poll", &["crate::config", "reqwest::", "ratatui::", "crossterm::", "crate::tui", "crate::commands"]),
    (
        "terminal",
        &["crate::config", "reqwest::", "crate::api", "crate::poll", "crate::tui", "crate::commands"],
    ),
    ("tui", &["crate::config", "reqwest::", "crate::commands"]),
    ("tui/view", &["tokio::", "reqwest::", "crate::api", "crate::store", "crate::terminal"]),
    ("commands", &["reqwest::", "ratatui::", "crossterm::"]),
];

/// Appends the path of every Rust file in `folder`, except tests.
fn sources(folder: &Path, into: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = ["tests", "tests.rs", "fixture.rs"].iter().any(|name| path.ends_with(name));
        if path.is_dir() && !is_test {
            sources(&path, into);
        } else if path.extension().is_some_and(|it| it == "rs") && !is_test {
            into.push(path);
        }
    }
}

#[test]
fn walls_hold() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut breaches = Vec::new();
    for (room, never) in WALLS {
        let mut files = Vec::new();
        if src.join(room).is_dir() {
            sources(&src.join(room), &mut files);
        } else {
            files.push(src.join(format!("{room}.rs")));
        }
        assert!(!files.is_empty(), "there is no src/{room}");
        for file in files {
            breaches.extend(breaches_of(&file, never));
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn commands_without_a_screen_never_use_tui() {
    let commands = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands");
    let mut files = Vec::new();
    sources(&commands, &mut files);
    files.retain(|file| !["watch.rs", "demo.rs", "replay.rs"].iter().any(|name| file.ends_with(name)));
    assert!(files.len() > 15, "{files:?}");
    let breaches: Vec<String> =
        files.iter().flat_map(|file| breaches_of(file, &["crate::tui", "tui::"])).collect();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

/// Returns the lines of code in `file` that name a path of `never`.
fn breaches_of(file: &Path, never: &[&str]) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let named = lines.flat_map(|line| never.iter().map(move |name| (line, name)));
    named
        .filter(|(line, name)| line.contains(*name))
        .map(|(line, name)| format!("{}: {name} in `{}`", file.display(), line.trim()))
        .collect()
}
