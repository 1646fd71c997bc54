//! Tests that a session can be released on the screen and on the command line, but not by a read-only keepwatch.

use browserbase_simulator::RequestLogEntry;

use crate::harness::{Terminal, TestSimulator, wait_until};
use crate::piped_program::{PipedProgram, ProgramOutput};

const ID: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";

const ONE_SESSION: &str = r#"
[rules]
release_delay = "1s"
[[session]]
id = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de"
created = "-2m"
timeout = "15m"
keep_alive = true
metadata = { owner = "checkout-e2e" }
"#;

fn posts(api: &TestSimulator) -> Vec<RequestLogEntry> {
    api.log().into_iter().filter(|request| request.method == "POST").collect()
}

fn run(api: &TestSimulator, args: &[&str]) -> ProgramOutput {
    PipedProgram::start(api, args).finish(api)
}

#[test]
fn x_releases_session_after_confirmation() {
    let api = TestSimulator::serve(ONE_SESSION);
    let mut terminal = Terminal::keepwatch(&api, &["-i", "1s"], &[], 120, 40);
    terminal.wait_for("RUNNING");
    terminal.press("x");
    let question = terminal.wait_for("Release this session?");
    for part in [ID, "of checkout-e2e", "running for 2m", "its id's last 4 characters: ____"] {
        assert!(question.contains(part), "{part} is not in\n{question}");
    }
    terminal.press("b3dX\r");
    terminal.wait_for("nothing was released");
    assert_eq!(posts(&api), []);
    terminal.press("b3de\r");
    terminal.wait_for("RELEASING (asked ");
    let screen = terminal.wait_for("You released it at ");
    assert!(screen.contains("COMPLETED"), "{screen}");
    assert_eq!(posts(&api).len(), 1);
    terminal.press("q");
    terminal.assert_no_secrets(&api, &[]);
}

#[test]
fn refused_release_is_shown_in_row() {
    let api = TestSimulator::serve(&format!(
        "{ONE_SESSION}\n[[fault]]\non = \"release\"\nstatus = 409\nmessage = \"Session is locked\"\n"
    ));
    let mut terminal = Terminal::keepwatch(&api, &["-i", "1s"], &[], 120, 40);
    terminal.wait_for("RUNNING");
    terminal.press("xb3de\r");
    terminal.wait_for("Session is locked");
    terminal.wait_until("the failed release in the row", |screen| {
        let screen = screen.contents();
        screen.contains("release failed") && screen.contains("RUNNING") && screen.contains("⚑ 1")
    });
    assert_eq!(posts(&api).len(), 1, "a 409 is not retried");
    terminal.press("q");
    terminal.wait_for_restored_exit();
}

#[test]
fn release_is_sent_during_backoff() {
    let api = TestSimulator::serve(&format!(
        "{ONE_SESSION}\n[[fault]]\nfrom = \"1s\"\non = \"list\"\nstatus = 429\nretry_after = \"300s\"\n"
    ));
    let mut terminal = Terminal::keepwatch(&api, &["-i", "1s"], &[], 120, 40);
    terminal.wait_for("RUNNING");
    terminal.wait_for("rate limited");
    terminal.press("xb3de");
    terminal.wait_for("characters: b3de");
    terminal.press("\r");
    wait_until("the POST, long before the next poll", || !posts(&api).is_empty());
    terminal.press("q");
    terminal.wait_for_restored_exit();
}

#[test]
fn release_is_retried_on_server_error() {
    let api = TestSimulator::serve(&format!(
        "{ONE_SESSION}\n[[fault]]\non = \"release\"\ncount = 2\nstatus = 503\nmessage = \"Try later\"\n"
    ));
    let output = run(&api, &["release", ID, "--confirm", "b3de"]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert!(output.err.contains("Try later") && output.err.contains("asked again in"), "{}", output.err);
    assert!(output.out.contains("release of 6512bd43-d9ca-4e02-9a67-91f2c1a0b3de asked"), "{}", output.out);
    assert_eq!(posts(&api).len(), 3);
}

#[test]
fn command_requires_correct_confirmation() {
    let api = TestSimulator::serve(ONE_SESSION);
    let unconfirmed = run(&api, &["release", ID]);
    assert_eq!(unconfirmed.code, Some(2), "{}", unconfirmed.err);
    assert!(unconfirmed.err.contains("--confirm"), "{}", unconfirmed.err);
    let wrong = run(&api, &["release", ID, "--confirm", "6512"]);
    assert_eq!(wrong.code, Some(1), "{}", wrong.err);
    let unknown_session = run(&api, &["release", "nobody", "--confirm", "body"]);
    assert_eq!(unknown_session.code, Some(4), "{}", unknown_session.err);
    assert_eq!(posts(&api), []);
}

#[test]
fn command_asks_for_confirmation_on_terminal() {
    let api = TestSimulator::serve(ONE_SESSION);
    let mut terminal = Terminal::keepwatch(&api, &["release", ID], &[], 100, 12);
    let question = terminal.wait_for("characters of its id release it:");
    assert!(question.contains("of checkout-e2e, running for 2m"), "{question}");
    terminal.press("b3de\n");
    terminal.wait_for("asked; the API says RUNNING, and may for some seconds");
    assert_eq!(posts(&api).len(), 1);
    terminal.wait_for_exit();
}

#[test]
fn read_only_never_sends_a_post() {
    let api = TestSimulator::serve(ONE_SESSION);
    for (args, env) in [(vec!["--read-only"], None), (vec![], Some(("KEEPWATCH_READ_ONLY", "1")))] {
        let args: Vec<&str> = args.into_iter().chain(["-i", "1s"]).collect();
        let env: Vec<(&str, &str)> = env.into_iter().collect();
        let mut terminal = Terminal::keepwatch(&api, &args, &env, 120, 40);
        terminal.wait_for("RUNNING");
        terminal.press("x");
        terminal.wait_for("read-only");
        terminal.press("b3de\r");
        terminal.press("q");
        terminal.wait_for_exit();
    }
    let refused = run(&api, &["release", ID, "--confirm", "b3de", "--read-only"]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert_eq!(posts(&api), []);
}
