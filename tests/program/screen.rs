//! Tests the screen on a terminal. The tests send keystrokes.

use crate::harness::{KEY, Terminal, TestSimulator, wait_until};

/// A running session with a timeout of an hour, and metadata.
const ONE_SESSION: &str = r#"
[[session]]
id = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff"
created = "-2m"
timeout = "1h"
keep_alive = true
region = "eu-central-1"
metadata = { name = "nightly-42", run = { id = "c-881" } }
"#;

const ID: &str = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff";

/// Decodes base64: four letters are 24 bits, and so three bytes.
pub(crate) fn decode_base64(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("not base64: {other}"),
    };
    let mut bytes = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0_u32, |bits, letter| bits << 6 | u32::from(value(*letter)));
        let bits = bits << (6 * (4 - four.len()));
        bytes.extend(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}

#[test]
fn c_copies_fresh_connect_url() {
    let api = TestSimulator::serve(ONE_SESSION);
    let mut terminal = Terminal::keepwatch(&api, &[ID], &[], 120, 40);
    terminal.wait_for("RUNNING");
    let screen = terminal.wait_for("nightly-42");
    assert!(
        screen.contains("45c48cce") && screen.contains("eu-central-1") && screen.contains("c-881"),
        "{screen}"
    );
    terminal.press("c");
    terminal.wait_for("sent to the terminal");
    let osc = terminal.wait_for_osc("a copy", |osc| !osc.clipboard.is_empty());
    let copied = String::from_utf8(decode_base64(&osc.clipboard[0])).unwrap();
    assert!(api.connect_urls().contains(&copied), "the API sent {copied}");
    assert!(copied.starts_with("wss://"));
    terminal.assert_no_secrets(&api, &[]);
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
}

#[test]
fn connect_url_is_shown_only_on_request() {
    let api = TestSimulator::serve(ONE_SESSION);
    let mut terminal = Terminal::keepwatch(&api, &[ID], &[], 120, 40);
    terminal.wait_for("RUNNING");
    terminal.assert_no_secrets(&api, &[]);
    terminal.press("Y");
    let screen = terminal.wait_for("signingKey=");
    let joined_lines: String = screen.split_whitespace().collect();
    let urls = api.connect_urls();
    let shown =
        urls.iter().find(|url| joined_lines.contains(url.as_str())).expect("the whole URL on the screen");
    terminal.press("\x1b");
    // Every signing key of the simulator begins with `ey`.
    terminal.wait_until("a screen without the URL", |screen| !screen.contents().contains("signingKey=ey"));
    terminal.assert_no_secrets(&api, &[shown]);
}

#[test]
fn listed_sessions_are_tracked_if_none_is_named() {
    let api = TestSimulator::serve(ONE_SESSION);
    let terminal = Terminal::keepwatch(&api, &["-i", "1s"], &[], 120, 40);
    terminal.wait_for("nightly-42");
    api.control.end_session(ID, browserbase_simulator::FinalStatus::Completed);
    terminal.wait_for("COMPLETED");
    let requests = api.log();
    assert!(requests.iter().any(|request| request.path.ends_with(ID)), "the session is retrieved by its id");
    api.control.add_session(
        toml::from_str("name = \"second\"\ntimeout = \"1h\"\nmetadata = { name = \"second\" }").unwrap(),
    );
    terminal.wait_for("second");
    terminal.assert_no_secrets(&api, &[]);
}

#[test]
fn recent_pane_finds_ended_session() {
    let ended = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
    let api = TestSimulator::serve(&format!(
        "{ONE_SESSION}[[session]]\nid = \"{ended}\"\ncreated = \"-30m\"\ntimeout = \"15m\"\nmetadata = {{ owner = \"growth\" }}\n"
    ));
    let mut terminal = Terminal::keepwatch(&api, &[], &[], 120, 40);
    let screen = terminal.wait_for("nightly-42");
    assert!(!screen.contains("6512bd43"), "{screen}");
    let unfiltered_lists = |api: &TestSimulator| {
        api.log()
            .iter()
            .filter(|request| request.path.ends_with("/sessions") && request.query.is_empty())
            .count()
    };
    assert_eq!(unfiltered_lists(&api), 0, "the unfiltered list is not polled");
    terminal.press("R");
    let screen = terminal.wait_for("Its own timeout of 15m");
    assert!(screen.contains("TIMED_OUT") && screen.contains("growth"), "{screen}");
    terminal.press("G\r");
    let screen = terminal.wait_for("TIMED_OUT after 15m");
    assert!(screen.contains(ended), "{screen}");
    terminal.press("\x1b");
    terminal.wait_until("both rows", |screen| {
        let screen = screen.contents();
        screen.contains("45c48cce") && screen.contains("6512bd43")
    });
    assert_eq!(unfiltered_lists(&api), 1);
    terminal.assert_no_secrets(&api, &[]);
}

#[test]
fn pasted_session_is_added_then_muted() {
    let other = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
    let api =
        TestSimulator::serve(&format!("{ONE_SESSION}[[session]]\nid = \"{other}\"\ntimeout = \"1h\"\n"));
    let mut terminal = Terminal::keepwatch(&api, &[ID], &[], 120, 40);
    terminal.wait_for("nightly-42");
    terminal.press("a");
    terminal.wait_for("paste what has it");
    terminal.press(&format!("\x1b[200~see https://www.browserbase.com/sessions/{other} please\x1b[201~"));
    terminal.wait_for(other);
    terminal.press("\r");
    terminal.wait_until("two running sessions", |screen| screen.contents().matches("● RUNNING").count() >= 2);
    terminal.press("m");
    terminal.wait_for("1 muted, M shows them");
    terminal.press("M");
    terminal.wait_until("both sessions again", |screen| !screen.contents().contains("muted, M"));
    terminal.assert_no_secrets(&api, &[]);
}

#[test]
fn query_limits_listed_sessions() {
    let other = "[[session]]\nid = \"other-1\"\nmetadata = { name = \"other\" }\n";
    let api = TestSimulator::serve(&format!("{ONE_SESSION}{other}"));
    let query = "user_metadata['run']['id']:'c-881'";
    let args = ["--query", query, "--status", "RUNNING", "-i", "1s"];
    let terminal = Terminal::keepwatch(&api, &args, &[], 120, 40);
    let screen = terminal.wait_for("nightly-42");
    assert!(screen.contains("asked for ['run']['id']:'c-881'") && !screen.contains("other-1"), "{screen}");
    let lists: Vec<_> = api.log().into_iter().filter(|request| request.path.ends_with("/sessions")).collect();
    assert!(
        !lists.is_empty()
            && lists.iter().all(|request| request.query.starts_with("status=RUNNING&q=user_metadata"))
    );
}

#[test]
fn missing_session_does_not_stop_others() {
    let api = TestSimulator::serve(ONE_SESSION);
    let terminal = Terminal::keepwatch(&api, &[ID, "no-such-1"], &[], 120, 40);
    terminal.wait_for("not found");
    terminal.wait_for("RUNNING");
}

#[test]
fn rejected_api_key_differs_from_outage() {
    let api = TestSimulator::serve(ONE_SESSION);
    let wrong_key = [("BROWSERBASE_API_KEY", "bb_live_wrong")];
    let rejected = Terminal::keepwatch(&api, &[ID, "-i", "1s"], &wrong_key, 120, 40);
    rejected.wait_for("refuses the key");
    api.control.add_fault(browserbase_simulator::Fault::with_status(
        browserbase_simulator::FaultTarget::All,
        browserbase_simulator::StatusCode::SERVICE_UNAVAILABLE,
    ));
    let mut failing = Terminal::keepwatch(&api, &[ID, "-i", "1s"], &[], 120, 40);
    failing.wait_for("503");
    api.control.clear_faults();
    failing.press("r");
    failing.wait_for("RUNNING");
    let good_polls = || {
        api.log().iter().filter(|request| request.path.ends_with(ID) && request.status == Some(200)).count()
    };
    wait_until("three good polls, which take two poll intervals", || good_polls() >= 3);
    let mut rejected_paths: Vec<String> = api
        .log()
        .into_iter()
        .filter(|request| request.status == Some(401))
        .map(|request| request.path)
        .collect();
    let rejected_requests = rejected_paths.len();
    rejected_paths.sort_unstable();
    rejected_paths.dedup();
    assert_eq!(rejected_paths.len(), rejected_requests, "a rejected key is not retried at the poll interval");
    rejected.assert_no_secrets(&api, &[]);
}

#[test]
fn no_color_and_ascii_are_honoured() {
    let api = TestSimulator::serve(ONE_SESSION);
    let mut terminal = Terminal::keepwatch(&api, &["--ascii", ID], &[("NO_COLOR", "1")], 120, 40);
    terminal.wait_for("nightly-42");
    terminal.press("?");
    terminal.wait_for("quit");
    terminal.press("q");
    let raw = terminal.raw();
    assert!(raw.is_ascii(), "the output is ASCII");
    for sgr in
        String::from_utf8(raw).unwrap().split("\x1b[").filter_map(|it| it.split_once('m').map(|it| it.0))
    {
        let codes: Vec<&str> = sgr.split(';').collect();
        if codes.iter().all(|code| !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_digit())) {
            // 30 to 38 and 90 to 97 set the foreground, 40 to 48 and 100 to 107 the background.
            let sets_colour = codes.iter().any(|code| {
                let code: u32 = code.parse().unwrap();
                (30..39).contains(&code) || (40..49).contains(&code) || (90..108).contains(&code)
            });
            assert!(!sets_colour, "no colour is set: {sgr}");
        }
    }
}

#[test]
fn hostile_text_is_sanitised() {
    let api = TestSimulator::serve(
        r#"
[[session]]
id = "h-1"
timeout = "1h"
region = "\u001b]52;c;QUFBQQ==\u0007"
metadata = { name = "\u001b[2J\u001b]0;owned\u0007\u202Eevil\u0000", "\u009b31m" = "x" }
"#,
    );
    let terminal = Terminal::keepwatch(&api, &["h-1"], &[], 120, 40);
    terminal.wait_for("evil");
    let raw = String::from_utf8_lossy(&terminal.raw()).into_owned();
    for bad in ["\u{1b}]52;", "\u{1b}]0;owned", "\u{202e}", "\u{9b}", "\u{1b}[31m"] {
        assert!(!raw.contains(bad), "{bad:?} is not written");
    }
    let osc = terminal.wait_for_osc("a title", |osc| !osc.titles.is_empty());
    assert!(osc.clipboard.is_empty() && osc.unknown.is_empty(), "{osc:?}");
    assert!(osc.titles.iter().all(|title| !title.contains("owned")));
}

#[test]
fn tiny_terminal_shows_what_fits() {
    let api = TestSimulator::serve(ONE_SESSION);
    let terminal = Terminal::keepwatch(&api, &[ID], &[], 40, 12);
    terminal.wait_for("45c48cce");
    terminal.resize(12, 3);
    terminal.wait_until("three rows, with the number of sessions", |screen| {
        screen.rows(0, 12).count() == 3 && screen.contents().contains('1')
    });
    terminal.resize(1, 1);
    terminal.resize(120, 40);
    terminal.wait_for("eu-central-1");
}

#[test]
fn pause_stops_polling() {
    let other = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
    let api =
        TestSimulator::serve(&format!("{ONE_SESSION}[[session]]\nid = \"{other}\"\ntimeout = \"1h\"\n"));
    let requests = |id: &str| api.log().iter().filter(|request| request.path.ends_with(id)).count();
    let polls = || requests(ID);
    let mut terminal = Terminal::keepwatch(&api, &["-i", "1s", ID], &[], 120, 40);
    // A second program polls once a second. The number of its polls tells how long the pause lasts.
    let reference = Terminal::keepwatch(&api, &["-i", "1s", other], &[], 100, 30);
    reference.wait_for("RUNNING");
    wait_until("three polls", || polls() >= 3);
    terminal.press("p");
    terminal.wait_for("PAUSED");
    let (polls_at_pause, reference_polls) = (polls(), requests(other));
    wait_until("four polls of the other program", || requests(other) >= reference_polls + 4);
    // One request may have been in flight.
    assert!(polls() <= polls_at_pause + 1, "at most one poll while paused, not {}", polls() - polls_at_pause);
    let polls_before_copy = polls();
    terminal.press("c");
    wait_until("a request while paused", || polls() > polls_before_copy);
    terminal.press("p");
    wait_until("polls after the pause", || polls() >= polls_before_copy + 3);
    terminal.assert_no_secrets(&api, &[]);
}

#[test]
fn keystroke_during_resize_is_not_lost() {
    let api = TestSimulator::serve(ONE_SESSION);
    let mut terminal = Terminal::keepwatch(&api, &[ID], &[], 100, 30);
    terminal.wait_for("RUNNING");
    for round in 0..10 {
        terminal.press("?");
        terminal.resize(100 + round, 30);
        terminal.wait_for("to the next pane");
        terminal.resize(100, 30);
        terminal.press("?");
        terminal
            .wait_until("a screen without help", |screen| !screen.contents().contains("to the next pane"));
    }
}

#[test]
fn copy_reaches_tmux_buffer_and_terminal() {
    let tmux = |socket: &str, args: &[&str]| {
        let mut command = std::process::Command::new("tmux");
        command
            .args(["-L", socket, "-f", "/dev/null"])
            .args(args)
            .env_clear()
            .envs(crate::harness::clean_env());
        command.output()
    };
    if tmux("none", &["-V"]).is_err() {
        eprintln!("SKIPPED: tmux is not installed");
        return;
    }
    let api = TestSimulator::serve(ONE_SESSION);
    let socket = format!("keepwatch-test-{}", std::process::id());
    let env = [("BROWSERBASE_BASE_URL", api.url.as_str()), ("BROWSERBASE_API_KEY", KEY)];
    let command = ["tmux", "-L", &socket, "-f", "/dev/null", "new-session", crate::harness::PROGRAM, ID];
    let mut terminal = Terminal::start(&command, &env, 120, 40);
    terminal.wait_for("RUNNING");
    terminal.press("c");
    terminal.wait_for("tmux");
    let osc = terminal.wait_for_osc("a copy", |osc| !osc.clipboard.is_empty());
    let copied = String::from_utf8(decode_base64(&osc.clipboard[0])).unwrap();
    assert!(api.connect_urls().contains(&copied), "the API sent {copied}");
    let buffer = tmux(&socket, &["show-buffer", "-b", "keepwatch"]).unwrap();
    assert_eq!(String::from_utf8(buffer.stdout).unwrap(), copied);
    terminal.assert_no_secrets(&api, &[]);
    terminal.press("q");
    terminal.wait_for_exit();
}

#[test]
fn missing_list_endpoint_is_reported() {
    let api = TestSimulator::serve("[[fault]]\non = \"list\"\nstatus = 404\n");
    let terminal = Terminal::keepwatch(&api, &[], &[], 120, 40);
    let screen = terminal.wait_for("this server has no list of sessions");
    assert!(!screen.contains("unknown id"), "{screen}");
}

#[test]
fn refresh_bypasses_hanging_requests() {
    let hanging = (1..=4).map(|number| {
        format!("[[session]]\nid = \"h-{number}\"\n[[fault]]\non = \"h-{number}\"\nreply = \"hang\"\n")
    });
    let no_lists = "[[fault]]\non = \"list\"\nstatus = 404\n"; // otherwise the program polls five sessions by lists
    let api = TestSimulator::serve(&format!(
        "{}[[session]]\nid = \"ok-1\"\n{no_lists}",
        hanging.collect::<String>()
    ));
    let ids = ["h-1", "h-2", "h-3", "h-4", "ok-1"];
    let mut terminal = Terminal::keepwatch(&api, &ids, &[], 120, 40);
    let requests = |id: &str| api.log().iter().filter(|request| request.path.ends_with(id)).count();
    wait_until("four hanging requests", || ["h-1", "h-2", "h-3", "h-4"].iter().all(|id| requests(id) == 1));
    assert_eq!(requests("ok-1"), 0, "four hanging requests leave no room for the fifth");
    terminal.press("r");
    wait_until("a request for the healthy session", || requests("ok-1") > 0);
    let log = api.log();
    let first_request = |id: &str| log.iter().find(|request| request.path.ends_with(id)).unwrap().at;
    let limit = std::time::Duration::from_secs(9);
    // The hanging requests time out after 10 s. Then there would be room without the refresh, too.
    assert!(first_request("ok-1") < first_request("h-1") + limit, "the refresh does not wait for a timeout");
}

#[test]
fn live_view_url_is_copied_not_shown() {
    let api = TestSimulator::serve(ONE_SESSION);
    let mut terminal = Terminal::keepwatch(&api, &[ID], &[], 100, 30);
    terminal.wait_for("RUNNING");
    terminal.press("yl");
    let osc = terminal.wait_for_osc("a copy", |osc| !osc.clipboard.is_empty());
    terminal.wait_for("live view URL sent to the terminal");
    let copied = String::from_utf8(decode_base64(&osc.clipboard[0])).unwrap();
    let signing_key = copied.split_once("signingKey=").unwrap().1;
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
    assert!(
        !String::from_utf8_lossy(&terminal.raw()).contains(signing_key),
        "the live view URL is not shown"
    );
    terminal.assert_no_secrets(&api, &[]);
}
