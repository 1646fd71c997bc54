//! Tests that no secret leaves the program except by an action that reveals it, such as copying a connect URL. The test
//! in this module uses all features and searches all output. [`promises`] has a test for each promise about secrets in
//! `SECURITY.md`.

mod fixture;
mod malicious_server;
mod panics;
mod promises;

use std::fs;

use crate::harness::Terminal;
use fixture::{Fixture, assert_no_secret, files};
use malicious_server::{CANARY, ENDED_ID, ID};

/// Asserts that the output to the terminal, including window titles, contains no secret.
fn assert_no_secret_on(terminal: &Terminal) {
    assert_no_secret("the terminal's output", &String::from_utf8_lossy(&terminal.raw()));
}

/// Sends `keystrokes`, and waits until `text` is on the screen.
fn press_and_wait(terminal: &mut Terminal, keystrokes: &str, text: &str) {
    terminal.press(keystrokes);
    terminal.wait_for(text);
}

#[test]
fn secrets_stay_out_of_every_output() {
    let fixture = Fixture::new();
    let recording = fixture.path("run.ndjson");
    let recording_path = recording.to_str().unwrap();
    let mut terminal = fixture.start_terminal(&["-i", "1s", "--utc", "--record", recording_path], &[]);
    terminal.wait_for("RUNNING");
    for name in ["cmdline", "environ"] {
        let contents = fs::read(format!("/proc/{}/{name}", terminal.pid())).unwrap();
        assert_no_secret(name, &String::from_utf8_lossy(&contents));
    }
    for (keystrokes, text) in [
        ("c", "connect URL copied to tmux"),
        ("ys", "Selenium URL copied to tmux"),
        ("yl", "live view URL copied to tmux"),
        ("ye", "evidence copied to tmux"),
        ("yi", "session id copied to tmux"),
        ("yd", "dashboard link copied to tmux"),
        ("xb3de\r", "Session is locked"),
        ("e", "Events of all"),
        ("e/owner:checkout\r", "owner:checkout"),
        ("!", "requests"),
        ("!\r", "not documented"),
        ("HH", "not documented"), // hides the metadata, and shows it again
    ] {
        press_and_wait(&mut terminal, keystrokes, text);
    }
    terminal.press("o");
    assert!(fixture.helper_log("xdg-open").contains("xdg-open https://www.browserbase.com/sessions/"));
    assert_no_secret_on(&terminal);
    fixture.assert_no_secret_in_home();
    press_and_wait(&mut terminal, "Y", &format!("{CANARY}connect"));
    let length_before_hiding = terminal.raw().len();
    // The space hides the URL, and `R` shows the newest sessions.
    press_and_wait(&mut terminal, " R", "ERROR");
    press_and_wait(&mut terminal, "\r", "successor");
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
    assert_no_secret(
        "the output after the URL was hidden",
        &String::from_utf8_lossy(&terminal.raw()[length_before_hiding..]),
    );
    for helper in ["wl-copy", "xclip", "xsel", "tmux"] {
        let copied = fixture.helper_input(helper);
        assert!(
            ["connect", "selenium", "live"].iter().all(|it| copied.contains(&format!("{CANARY}{it}"))),
            "{helper}"
        );
    }
    assert!(terminal.wait_for_osc("titles", |_| true).titles.iter().all(|title| !title.contains(CANARY)));

    let export = fixture.path("export.ndjson");
    let export_path = export.to_str().unwrap();
    for (args, code) in [
        (&["get", ID, ENDED_ID, "no-such-1"][..], 4),
        (&["get", "--json", ID, ENDED_ID], 0),
        (&["explain", ID, "--with-metadata"], 0),
        (&["explain", "--from", recording_path, ID, "--with-metadata"], 0),
        (&["release", ID, "--confirm", "b3de"], 1),
        (&["wait", ID, "-i", "1s", "--timeout", "1s"], 7),
        (&["events", ENDED_ID, "--record", fixture.path("events.ndjson").to_str().unwrap()], 0),
        (&["events", ENDED_ID, "--format", "text"], 0),
        (&["history"], 0),
        (&["history", "--json"], 0),
        (&["history", ID], 0),
        (&["export", ID, "--to", export_path], 0),
        (&["journal", "size"], 0),
    ] {
        let run = fixture.run(args);
        assert_eq!(run.code, code, "{args:?}: {}", run.output);
        assert_no_secret(&format!("{args:?}"), &run.output);
    }
    let mut replay = fixture.start_terminal(&["replay", recording_path], &[]);
    replay.wait_for("REPLAY");
    press_and_wait(&mut replay, "]]]\r", "keep-alive");
    replay.press("q");
    assert_eq!(replay.wait_for_restored_exit().exit_code(), 0);
    assert_no_secret_on(&replay);

    assert!(fixture.api.has_requests());
    assert_eq!(fixture.bystander.received(), <[String; 0]>::default());
    let written: Vec<String> = files(&fixture.path("")).iter().map(|it| it.display().to_string()).collect();
    for file in [
        "journal.sqlite",
        "/log",
        "run.ndjson",
        "export.ndjson",
        "events.ndjson",
        "helpers/tmux",
        "helpers/pass",
    ] {
        assert!(written.iter().any(|it| it.contains(file)), "{file} is among {written:?}");
    }
    fixture.assert_no_secret_in_home();
}
