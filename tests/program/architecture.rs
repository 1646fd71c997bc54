//! The walls inside the `keepwatch` package. Cargo enforces those between crates.

use std::fs;
use std::path::Path;

/// A folder or file of `src`, and the paths that its code never names.
const WALLS: &[(&str, &[&str])] = &[
    ("cli", &["tokio::", "reqwest::", "ratatui::", "crossterm::", "crate::"]),
    ("config", &["tokio::", "reqwest::", "ratatui::", "crossterm::", "crate::tui", "crate::commands"]),
    ("log", &["tokio::", "reqwest::", "ratatui::", "crossterm::", "crate::tui", "crate::commands"]),
    ("store", &["tokio::", "reqwest::", "ratatui::", "crossterm::", "crate::tui", "crate::commands"]),
    ("api", &["ratatui::", "crossterm::", "crate::poll", "crate::tui", "crate::commands"]),
    ("poll", &["reqwest::", "ratatui::", "crossterm::", "crate::tui", "crate::commands"]),
    ("terminal", &["reqwest::", "crate::api", "crate::poll", "crate::tui", "crate::commands"]),
    ("tui", &["reqwest::", "crate::commands"]),
    ("tui/view", &["tokio::", "reqwest::", "crate::api", "crate::store", "crate::terminal"]),
    ("commands", &["reqwest::", "ratatui::", "crossterm::"]),
];

/// The files of `tui` that may name the view. The others must not: the model keeps the layout that they need.
const VIEW_USERS: &[&str] = &["mod.rs", "run.rs", "replay.rs"];
/// How code names the view.
const VIEW: &[&str] = &["::view", "view::", "{view,", "{view}", " view,", " view}"];

/// Returns the lines of a file that are code, without its unit tests.
fn code(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned).collect()
}

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
            let code = code(&file);
            for (line, name) in code.iter().flat_map(|line| never.iter().map(move |name| (line, name))) {
                if line.contains(name) {
                    breaches.push(format!("{}: {name} in `{}`", file.display(), line.trim()));
                }
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn update_does_not_name_the_view() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tui");
    let mut files = Vec::new();
    sources(&folder, &mut files);
    files.retain(|file| !file.starts_with(folder.join("view")));
    files.retain(|file| !VIEW_USERS.iter().any(|user| *file == folder.join(user)));
    assert!(files.len() > 20, "{files:?}");
    let mut breaches = Vec::new();
    for file in files {
        for line in code(&file) {
            let is_text = line.contains('"'); // a text may be about the live view
            let line = line.replace("viewport", "");
            if !is_text && VIEW.iter().any(|name| line.contains(name)) {
                breaches.push(format!("{}: `{}`", file.display(), line.trim()));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}
