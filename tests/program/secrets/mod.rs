//! No secret leaves the program but on the way that it was asked for. Each promise has a test; the first of them does
//! everything that can be done, and looks everywhere.

mod fixture;
mod malicious_server;
mod panics;
mod promises;

use std::fs;

use crate::harness::Terminal;
use fixture::{Fixture, assert_no_secret, files};
use malicious_server::{CANARY, ENDED_ID, ID};

/// Every byte that the terminal got, and each title of its window.
fn assert_no_secret_on(terminal: &Terminal) {
    assert_no_secret("what the terminal got", &String::from_utf8_lossy(&terminal.raw()));
}

/// Presses keys, and waits for what they bring.
fn press_and_wait(terminal: &mut Terminal, keys: &str, then: &str) {
    terminal.press(keys);
    terminal.wait_for(then);
}

#[test]
fn secrets_stay_out_of_every_output() {
    let house = Fixture::new();
    let recording = house.path("run.ndjson");
    let path = recording.to_str().unwrap();
    let mut screen = house.screen(&["-i", "1s", "--utc", "--record", path], &[]);
    screen.wait_for("RUNNING");
    for name in ["cmdline", "environ"] {
        let of_program = fs::read(format!("/proc/{}/{name}", screen.pid())).unwrap();
        assert_no_secret(name, &String::from_utf8_lossy(&of_program));
    }
    for (keys, then) in [
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
        ("HH", "not documented"),
    ] {
        press_and_wait(&mut screen, keys, then);
    }
    screen.press("o");
    assert!(house.helper_log("xdg-open").contains("xdg-open https://www.browserbase.com/sessions/"));
    assert_no_secret_on(&screen);
    house.assert_no_secret_in_home();
    press_and_wait(&mut screen, "Y", &format!("{CANARY}connect"));
    let shown = screen.raw();
    press_and_wait(&mut screen, " R", "ERROR");
    press_and_wait(&mut screen, "\r", "successor");
    screen.press("q");
    assert_eq!(screen.wait_for_restored_exit().exit_code(), 0);
    assert_no_secret(
        "what came after the URL was shown",
        &String::from_utf8_lossy(&screen.raw()[shown.len()..]),
    );
    for route in ["wl-copy", "xclip", "xsel", "tmux"] {
        let given = house.helper_input(route);
        assert!(
            ["connect", "selenium", "live"].iter().all(|it| given.contains(&format!("{CANARY}{it}"))),
            "{route}"
        );
    }
    assert!(screen.wait_for_osc("titles", |_| true).titles.iter().all(|title| !title.contains(CANARY)));

    let export = house.path("export.ndjson");
    let to = export.to_str().unwrap();
    for (args, code) in [
        (&["get", ID, ENDED_ID, "no-such-1"][..], 4),
        (&["get", "--json", ID, ENDED_ID], 0),
        (&["explain", ID, "--with-metadata"], 0),
        (&["explain", "--from", path, ID, "--with-metadata"], 0),
        (&["release", ID, "--confirm", "b3de"], 1),
        (&["wait", ID, "-i", "1s", "--timeout", "1s"], 7),
        (&["events", ENDED_ID, "--record", house.path("events.ndjson").to_str().unwrap()], 0),
        (&["events", ENDED_ID, "--format", "text"], 0),
        (&["history"], 0),
        (&["history", "--json"], 0),
        (&["history", ID], 0),
        (&["export", ID, "--to", to], 0),
        (&["journal", "size"], 0),
    ] {
        let ended = house.run(args);
        assert_eq!(ended.code, code, "{args:?}: {}", ended.output);
        assert_no_secret(&format!("{args:?}"), &ended.output);
    }
    let mut replay = house.screen(&["replay", path], &[]);
    replay.wait_for("REPLAY");
    press_and_wait(&mut replay, "]]]\r", "keep-alive");
    replay.press("q");
    assert_eq!(replay.wait_for_restored_exit().exit_code(), 0);
    assert_no_secret_on(&replay);

    assert!(house.api.has_requests());
    assert_eq!(house.bystander.received(), <[String; 0]>::default());
    let written: Vec<String> = files(&house.path("")).iter().map(|it| it.display().to_string()).collect();
    for file in
        ["journal.sqlite", "/log", "run.ndjson", "export.ndjson", "events.ndjson", "told/tmux", "told/pass"]
    {
        assert!(written.iter().any(|it| it.contains(file)), "{file} is searched: {written:?}");
    }
    house.assert_no_secret_in_home();
}
