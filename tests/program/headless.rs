//! Tests the commands without a screen: `events`, `wait` and `explain`. Also tests the event stream that `keepwatch`
//! prints where a screen is not possible.

use std::process::{Command, Stdio};

use browserbase_simulator::{Fault, FaultResponse, FaultTarget, FinalStatus, Scenario, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{KEY, PROGRAM, Terminal, TestSimulator, clean_env, output, wait_for_exit, wait_until};
use crate::piped_program::{PipedProgram, ProgramOutput};

const ID: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
/// Metadata that only `--with-metadata` prints.
const CANARY: &str = "cAnArYoFmEtAdAtA";
/// A signing key in a URL in metadata. No command prints it.
const SIGNING_KEY: &str = "cAnArY77";

/// Two sessions that run until a test ends them, and three that have ended. Only the first has keep-alive.
const SESSIONS: &str = r#"
[[session]]
id = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de"
created = "-2s"
timeout = "15m"
keep_alive = true
metadata = { owner = "nightly", note = "cAnArYoFmEtAdAtA", url = "wss://c/?signingKey=cAnArY77" }
[[session]]
id = "s-2"
created = "-2s"
timeout = "15m"
region = "eu-central-1"
metadata = { owner = "growth", note = "cAnArYoFmEtAdAtA", team = "blue" }
[[session]]
id = "ended-1"
created = "-10m"
timeout = "15m"
ends = { at = "-9m" }
[[session]]
id = "error-1"
created = "-10m"
ends = { at = "-9m", status = "ERROR" }
[[session]]
id = "timed-out-1"
created = "-10m"
timeout = "5m"
"#;

/// Runs a command to its end, and asserts that it prints no secret.
fn run(api: &TestSimulator, args: &[&str]) -> ProgramOutput {
    let output = PipedProgram::start(api, args).finish(api);
    assert!(
        !output.out.contains(SIGNING_KEY) && !output.err.contains(SIGNING_KEY),
        "{}{}",
        output.out,
        output.err
    );
    output
}

#[test]
fn events_report_early_keep_alive_end() {
    let api = TestSimulator::serve(SESSIONS);
    let mut events = PipedProgram::start(&api, &["events", "-i", "1s", ID]);
    events.wait_for_line("\"first_seen\"");
    assert!(api.control.end_session(ID, FinalStatus::Completed));
    let output = events.finish(&api);
    assert_eq!((output.code, output.err.as_str()), (Some(0), ""), "{}", output.out);
    let lines: Vec<Value> = output.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["first_seen", "ended", "flagged"]);
    assert!(lines.iter().all(|line| line["v"] == 1 && line["session"] == ID));
    let ended = &lines[1];
    assert_eq!(ended["status"], "COMPLETED");
    assert_eq!(ended["verdict"]["name"], "keep_alive_ended_early");
    assert!(ended["verdict"]["line"].as_str().unwrap().contains(", keep-alive on"), "{ended}");
    let times = ["not_before", "not_after", "observed_at"].map(|name| ended[name].as_str().unwrap());
    assert!(times.is_sorted(), "{times:?}");
    assert!(!output.out.contains(CANARY), "{}", output.out);
}

#[test]
fn events_without_ids_survive_api_failures() {
    let api = TestSimulator::serve(SESSIONS);
    let mut events = PipedProgram::start(&api, &["events", "-i", "1s"]);
    events.wait_for_line("first_seen");
    events.wait_for_line("first_seen");
    api.control.add_fault(Fault::with_status(FaultTarget::All, StatusCode::SERVICE_UNAVAILABLE));
    let failing: Value = serde_json::from_str(&events.wait_for_line("polls_failing")).unwrap();
    assert!(failing["request_id"].as_str().unwrap().starts_with("req-"), "{failing}");
    assert!(failing["session"].is_null());
    api.control.clear_faults();
    events.wait_for_line("polls_recovered");
    api.control.end_session("s-2", FinalStatus::Error);
    assert!(events.wait_for_line("\"ended\"").contains("\"s-2\""));
    events.signal(Signal::INT);
    let output = events.finish(&api);
    assert_eq!(output.code, Some(130), "{}", output.err);
    assert!(!output.out.contains(CANARY) && !output.out.contains("ended-1"), "{}", output.out);
}

#[test]
fn events_text_format_is_readable() {
    let api = TestSimulator::serve(SESSIONS);
    let output = run(&api, &["events", "--format", "text", "--utc", "ended-1"]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    let lines: Vec<&str> = output.out.lines().collect();
    assert!(lines[0].contains("  ended-1   first seen already COMPLETED, ended at "), "{}", output.out);
    assert!(lines[1].contains("likely: COMPLETED after 1m 00s, 14m 00s"), "{}", output.out);
}

#[test]
fn events_end_when_reader_closes() {
    let api = TestSimulator::serve(SESSIONS);
    let script = format!("{{ '{PROGRAM}' events s-2; echo $? >&2; }} | head -n 1");
    let output = output(
        Command::new("/bin/sh")
            .args(["-c", &script])
            .env_clear()
            .envs(clean_env())
            .env("BROWSERBASE_BASE_URL", &api.url)
            .env("BROWSERBASE_API_KEY", KEY),
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "0\n");
    assert!(output.stdout.ends_with(b"}\n"));
}

#[test]
fn rejected_api_key_ends_headless_commands() {
    let api = TestSimulator::serve(SESSIONS);
    for args in [&["events"][..], &["events", "s-2"], &["wait", "s-2"], &["explain", "s-2"], &["s-2"]] {
        let output = PipedProgram::start_with_key(&api, args, "wrong").finish(&api);
        assert_eq!((output.code, output.out.as_str()), (Some(3), ""), "{args:?}: {}", output.err);
        assert!(output.err.contains("refuses the key (401)"), "{args:?}: {}", output.err);
    }
}

/// Returns the printed lines as JSON.
fn json_lines(output: &ProgramOutput) -> Vec<Value> {
    output.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn event_names_session_owner_and_project() {
    let api = TestSimulator::serve(SESSIONS);
    let first_event = |options: &[&str]| {
        let mut events = PipedProgram::start(&api, &[&["events", "-i", "1s"], options].concat());
        let line = events.wait_for_line("s-2");
        serde_json::from_str::<Value>(&line).unwrap()
    };
    let first_seen = first_event(&[]);
    assert_eq!((&first_seen["event"], &first_seen["owner"]), (&"first_seen".into(), &"growth".into()));
    assert_eq!((&first_seen["region"], &first_seen["keep_alive"]), (&"eu-central-1".into(), &false.into()));
    assert!(first_seen["project_id"].is_string() && first_seen["profile"].is_null(), "{first_seen}");
    assert_eq!(first_event(&["--owner-key", "team"])["owner"], "blue");
    let without_metadata = first_event(&["--no-metadata"]);
    assert!(without_metadata["owner"].is_null() && without_metadata["region"].is_string());
    let help = run(&api, &["events", "--help"]).out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("The owner is the only value of the metadata that is printed"), "{help}");
}

#[test]
fn filter_narrows_events_of_sessions() {
    let api = TestSimulator::serve(SESSIONS);
    let start =
        |args: &[&str]| PipedProgram::start(&api, &[&["events", "-i", "1s", "--filter"], args].concat());
    let mut growth = start(&["owner:GROWTH !keep:yes"]);
    assert!(growth.wait_for_line("first_seen").contains("s-2"));
    let nobody = start(&["owner:nobody", ID, "s-2"]);
    api.control.add_fault(Fault::new(FaultTarget::All, FaultResponse::Dropped));
    growth.wait_for_line("polls_failing");
    api.control.clear_faults();
    growth.wait_for_line("polls_recovered");
    api.control.end_session(ID, FinalStatus::Completed);
    api.control.end_session("s-2", FinalStatus::Completed);
    growth.wait_for_line("ended_together");
    growth.signal(Signal::TERM);
    let lines = json_lines(&growth.finish(&api));
    assert!(lines.iter().any(|line| line["event"] == "ended" && line["session"] == "s-2"), "{lines:?}");
    assert!(lines.iter().all(|line| line["session"].is_null() || line["session"] == "s-2"), "{lines:?}");
    let nobody = nobody.finish(&api);
    assert_eq!(nobody.code, Some(0), "{}", nobody.err);
    assert!(json_lines(&nobody).iter().all(|line| line["session"].is_null()), "{}", nobody.out);
    assert!(!nobody.out.contains("ended_together"), "{}", nobody.out);
}

#[test]
fn mistake_in_filter_is_underlined() {
    let api = TestSimulator::serve(SESSIONS);
    let output = run(&api, &["events", "--filter", "owner:a colour:red"]);
    assert_eq!(output.code, Some(2), "{}", output.err);
    assert!(output.err.contains("--filter: no field “colour”"), "{}", output.err);
    assert!(output.err.ends_with("owner:a colour:red\n        ^^^^^^\n"), "{}", output.err);
    assert!(api.log().is_empty());
}

#[test]
fn query_and_status_narrow_events() {
    let api = TestSimulator::serve(SESSIONS);
    let query = "user_metadata['owner']:'growth'";
    let mut events =
        PipedProgram::start(&api, &["events", "-i", "1s", "--query", query, "--status", "running"]);
    assert!(events.wait_for_line("first_seen").contains("s-2"));
    events.signal(Signal::TERM);
    let output = events.finish(&api);
    assert!(!output.out.contains(ID), "{}", output.out);
    let log = api.log();
    let lists = log.iter().filter(|request| request.path == "/v1/sessions");
    assert!(lists.clone().count() > 0);
    assert!(
        lists.clone().all(|list| list.query.contains("status=RUNNING") && list.query.contains("q=user_")),
        "{log:?}"
    );
    let output = run(&api, &["events", "--status", "RUNNING", "s-2"]);
    assert!(output.code == Some(2) && output.err.contains("--status narrows the lists"), "{}", output.err);
}

#[test]
fn wait_prints_each_ended_session() {
    let api = TestSimulator::serve(SESSIONS);
    let mut wait = PipedProgram::start(&api, &["wait", "-i", "1s", "ended-1", "s-2"]);
    assert!(wait.wait_for_line("ended-1").contains("COMPLETED after 1m 00s"));
    api.control.end_session("s-2", FinalStatus::Error);
    let output = wait.finish(&api);
    assert_eq!((output.code, output.err.as_str()), (Some(0), ""));
    assert!(output.out.lines().last().unwrap().starts_with("s-2  ERROR after "), "{}", output.out);
}

#[test]
fn wait_exit_code_reports_outcome() {
    let api = TestSimulator::serve(SESSIONS);
    for (args, code, message) in [
        (&["ended-1"][..], 0, ""),
        (&["error-1"], 0, ""),
        (&["--exit-status", "ended-1"], 0, ""),
        (&["--exit-status", "ended-1", "error-1"], 6, ""),
        (&["--exit-status", "timed-out-1"], 6, ""),
        (&["--fail-on", "timeout,early", "error-1"], 0, ""),
        (&["--fail-on", "error", "timed-out-1", "error-1"], 6, ""),
        (&["--fail-on", "gone", "no-such-1"], 6, "404"),
        (&["--any", "s-2", "ended-1"], 0, ""),
        (&["--for", "running", "s-2"], 0, ""),
        (&["--for", "running", "ended-1"], 1, "will not run any more"),
        (&["--for", "running", "--exit-status", "error-1"], 6, "will not run any more"),
        (&["--timeout", "1s", "s-2"], 7, "timed out after 1s: not ended: s-2: "),
        (&["no-such-1"], 4, "404"),
        (&["--any", "no-such-1", "ended-1"], 0, ""),
        (&["--grace", "1s", "no-such-1"], 4, "404"),
        (&["--grace", "1h", "--timeout", "1s", "no-such-1"], 7, "no reply about it yet"),
    ] {
        let args: Vec<&str> = ["wait"].iter().chain(args).copied().collect();
        let output = run(&api, &args);
        assert_eq!(output.code, Some(code), "{args:?}: {}{}", output.out, output.err);
        assert!(output.err.contains(message), "{args:?}: {}", output.err);
        assert!(!output.out.contains(CANARY) && !output.err.contains(CANARY));
    }
}

#[test]
fn fail_on_early_fails_wait_for_early_end() {
    // The scenario reproduces an incident: a session with keep-alive and a timeout of 15 minutes is COMPLETED ten
    // seconds after its start.
    let api = TestSimulator::start(Scenario::builtin("I01").unwrap());
    let wait = |options: &[&str]| PipedProgram::start(&api, &[&["wait", "-i", "1s", ID], options].concat());
    let (strict, lenient, usual) =
        (wait(&["--fail-on", "early"]), wait(&["--fail-on", "early", "--alert-early", "5s"]), wait(&[]));
    let output = strict.finish(&api);
    assert_eq!((output.code, output.err.as_str()), (Some(6), ""), "{}", output.out);
    assert!(output.out.contains("COMPLETED after 10 s"), "{}", output.out);
    assert_eq!([lenient, usual].map(|program| program.finish(&api).code), [Some(0), Some(0)]);
}

#[test]
fn vanished_session_exit_code_depends_on_options() {
    for (options, code) in [(&["--fail-on", "gone,early"][..], 6), (&["--exit-status"], 4)] {
        let api = TestSimulator::serve(SESSIONS);
        let wait = PipedProgram::start(&api, &[&["wait", "-i", "1s", "s-2"], options].concat());
        wait_until("a response", || !api.log().is_empty());
        api.control.add_fault(Fault::with_status(FaultTarget::Retrieve, StatusCode::NOT_FOUND));
        assert_eq!(wait.finish(&api).code, Some(code), "{options:?}");
    }
}

#[test]
fn wait_reports_failure_and_recovery_once() {
    let api = TestSimulator::serve(SESSIONS);
    api.control.add_fault(Fault::new(FaultTarget::All, FaultResponse::Dropped).limited_to(3));
    let output = run(&api, &["wait", "-i", "1s", "ended-1"]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    let errors: Vec<&str> = output.err.lines().collect();
    assert_eq!(errors.len(), 2, "{}", output.err);
    assert!(
        errors[0].contains("polls fail: ") && errors[1].contains("polls succeed again"),
        "{}",
        output.err
    );
}

#[test]
fn gone_session_counts_as_not_found() {
    let api = TestSimulator::serve(SESSIONS);
    api.control.add_fault(Fault::with_status(FaultTarget::Retrieve, StatusCode::GONE));
    let output = run(&api, &["wait", "s-2"]);
    assert_eq!(output.code, Some(4), "{}", output.err);
    assert!(output.err.contains("410"), "{}", output.err);
}

#[test]
fn signals_end_headless_commands() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        for args in [&["events", "s-2"][..], &["wait", "s-2"], &["s-2"]] {
            let api = TestSimulator::serve(SESSIONS);
            let headless = PipedProgram::start(&api, args);
            wait_until("a request", || !api.log().is_empty());
            headless.signal(signal);
            let output = headless.finish(&api);
            assert_eq!(output.code, Some(code), "{args:?} {signal:?}: {}", output.err);
        }
    }
}

#[test]
fn stalled_reader_does_not_block_signals() {
    use std::os::unix::process::ExitStatusExt as _;
    let api = TestSimulator::serve(
        "[[session]]\nrepeat = { every = \"1ms\", count = 500 }\ncreated = \"-5m\"\ntimeout = \"1h\"\n",
    );
    let mut child = Command::new(PROGRAM)
        .args(["events", "-i", "1s"])
        .env_clear()
        .envs(clean_env())
        .env("BROWSERBASE_BASE_URL", &api.url)
        .env("BROWSERBASE_API_KEY", KEY)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    // A full pipe can hold less than its 64 KiB: Linux starts a new page of 4 KiB for each line that does not fit into
    // the rest of the last page.
    wait_until("a full pipe", || rustix::io::ioctl_fionread(&out).unwrap() >= 56_000);
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), Signal::INT).unwrap();
    let status = wait_for_exit(&mut child);
    assert!(status.signal() == Some(Signal::INT.as_raw()) || status.code() == Some(130), "{status:?}");
}

#[test]
fn simultaneous_ends_are_reported_before_exit() {
    let api = TestSimulator::serve(SESSIONS);
    let mut events = PipedProgram::start(&api, &["events", "-i", "1s", ID, "s-2"]);
    events.wait_for_line("first_seen");
    events.wait_for_line("first_seen");
    api.control.end_session(ID, FinalStatus::Completed);
    api.control.end_session("s-2", FinalStatus::Completed);
    let output = events.finish(&api);
    assert_eq!(output.code, Some(0), "{}", output.err);
    let last_event: Value = serde_json::from_str(output.out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (last_event["event"].as_str(), last_event["sessions"].as_array().unwrap().len()),
        (Some("ended_together"), 2)
    );
}

#[test]
fn explain_sends_two_requests() {
    let api = TestSimulator::serve(SESSIONS);
    let output = run(&api, &["explain", "ended-1"]);
    assert_eq!((output.code, output.err.as_str()), (Some(0), ""));
    for claim in
        ["evidence for session ended-1", "COMPLETED after 1m 00s", "15m (the project's default is 5m)"]
    {
        assert!(output.out.contains(claim), "{claim}\n{}", output.out);
    }
    let paths: Vec<String> = api.log().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/v1/sessions/ended-1", "/v1/projects"]);
}

#[test]
fn explain_shows_metadata_only_on_request() {
    let api = TestSimulator::serve(SESSIONS);
    assert!(!run(&api, &["explain", ID]).out.contains(CANARY));
    let with_metadata = run(&api, &["explain", "--with-metadata", ID]);
    let out = with_metadata.out;
    assert!(out.contains(CANARY) && out.contains("signingKey=••••"), "{out}");
}

#[test]
fn explain_exit_code_depends_on_session_request() {
    let api = TestSimulator::serve(SESSIONS);
    api.control.add_fault(Fault::with_status(FaultTarget::Projects, StatusCode::FORBIDDEN));
    let output = run(&api, &["explain", "ended-1"]);
    assert_eq!((output.code, output.err.as_str()), (Some(0), ""));
    assert!(output.out.contains("  timeout      15m\n"), "{}", output.out);

    let unknown_session = run(&api, &["explain", "no-such-1"]);
    assert_eq!(unknown_session.code, Some(4));
    let (out, err) = (unknown_session.out, unknown_session.err);
    assert!(out.contains("[request req-") && err.contains("404"), "{out}{err}");

    api.control.add_fault(Fault::new(FaultTarget::Retrieve, FaultResponse::Dropped));
    assert_eq!(run(&api, &["explain", "ended-1"]).code, Some(5));
}

#[test]
fn piped_output_streams_text_events() {
    let api = TestSimulator::serve(SESSIONS);
    let mut piped = PipedProgram::start(&api, &["-i", "1s", "s-2"]);
    piped.wait_for_line("s-2       first seen RUNNING");
    api.control.end_session("s-2", FinalStatus::Completed);
    let output = piped.finish(&api);
    assert_eq!(output.code, Some(0));
    assert!(
        output.err.contains("not a terminal") && output.err.contains("streamed as text"),
        "{}",
        output.err
    );
    assert!(output.out.contains("likely: "), "{}", output.out);
}

#[test]
fn dumb_terminal_streams_text_events() {
    let api = TestSimulator::serve(SESSIONS);
    let mut terminal = Terminal::keepwatch(&api, &["ended-1"], &[("TERM", "dumb")], 100, 30);
    terminal.wait_for("first seen already COMPLETED");
    assert!(terminal.wait_for("likely: ").contains("TERM is \"dumb\""));
    assert_eq!(terminal.wait_for_exit().exit_code(), 0);
    let raw = terminal.raw();
    assert!(!raw.contains(&0x1b), "no escape sequence is written: {}", String::from_utf8_lossy(&raw));
    terminal.assert_no_secrets(&api, &[]);
}

#[test]
fn explain_prints_the_calls_of_clients() {
    let api = TestSimulator::serve(SESSIONS);
    let table = run(&api, &["explain", "--clients"]);
    assert_eq!((table.code, table.err.as_str()), (Some(0), ""));
    assert!(api.log().is_empty(), "without a session there is no request");
    assert!(
        table.out.lines().any(|line| line.starts_with("Stagehand 4    browser.close() ")),
        "{}",
        table.out
    );
    let documentation =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verdicts.md")).unwrap();
    assert!(documentation.contains(&table.out), "docs/verdicts.md should show:\n{}", table.out);

    let evidence = run(&api, &["explain", "--clients", "ended-1"]).out;
    assert!(
        evidence.contains("evidence for session ended-1") && evidence.ends_with(&table.out),
        "{evidence}"
    );
    assert_eq!(run(&api, &["explain"]).code, Some(2));
}

#[test]
fn explain_names_sessions_with_the_same_context() {
    let session = |id: &str, context: &str| {
        format!("[[session]]\nid = \"{id}\"\ncreated = \"-2m\"\ntimeout = \"1h\"\ncontext = \"{context}\"\n")
    };
    let sessions = [session("one", "ctx-1"), session("two", "ctx-1"), session("three", "ctx-2")].concat();
    let api = TestSimulator::serve(&sessions);
    for (id, other) in [("one", "two"), ("two", "one")] {
        let output = run(&api, &["explain", id]);
        let sentence = format!("{other} runs with the same context, too: whoever saves last wins");
        assert!(output.out.contains(&sentence), "{}", output.out);
    }
    let paths: Vec<String> = api.log().into_iter().take(3).map(|request| request.path).collect();
    assert_eq!(paths, ["/v1/sessions/one", "/v1/projects", "/v1/sessions"]);
    assert!(!run(&api, &["explain", "three"]).out.contains("whoever saves"));
}
