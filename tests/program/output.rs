//! Tests the program with a standard output that is full, non-blocking, or not read.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{KEY, PROGRAM, TestSimulator, clean_env, wait_for_exit, wait_until};

/// Returns the command `keepwatch ARGS`, with an empty standard input. `api` is the simulator that keepwatch polls.
fn keepwatch(api: Option<&TestSimulator>, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args).env_clear().envs(clean_env()).env("BROWSERBASE_API_KEY", KEY);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    if let Some(api) = api {
        command.env("BROWSERBASE_BASE_URL", &api.url);
    }
    command
}

/// Returns the two ends of a full pipe, and the number of bytes in the pipe. The writing end is non-blocking.
fn full_pipe() -> (PipeReader, PipeWriter, usize) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    let mut filled = 0;
    while let Ok(count) = writer.write(&[b'.'; 512]) {
        filled += count;
    }
    (reader, writer, filled)
}

/// Starts `command` with `writer` as its standard output.
fn start(mut command: Command, writer: PipeWriter) -> Child {
    command.stdout(writer).spawn().unwrap()
}

/// Returns true if the main thread of `child` sleeps or has ended.
fn is_idle(child: &Child) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    stat.contains(") S ") || stat.contains(") Z ")
}

#[test]
fn nonblocking_stdout_gets_everything() {
    let api = TestSimulator::serve(
        "[[session]]\nid = \"s-1\"\n[[session]]\nid = \"s-2\"\nends = { at = \"0s\" }\n",
    );
    for (args, has_requests) in [
        (&["config"][..], false),
        (&["completions", "zsh"], false),
        (&["--help"], false),
        (&["--version"], false),
        (&["get", "--json", "s-1"], true),
        (&["events", "s-2"], true),
        (&["wait", "s-2"], true),
        (&["explain", "s-1"], true),
    ] {
        let (mut reader, writer, filled) = full_pipe();
        let requests_before = api.log().len();
        let child = start(keepwatch(Some(&api), args), writer);
        // Read nothing before the program waits for the pipe.
        wait_until("a request", || !has_requests || api.log().len() > requests_before);
        wait_until("the wait for the pipe", || is_idle(&child));
        let reading = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let exit = wait_for_code_and_error(child);
        let printed = reading.join().unwrap().split_off(filled);
        assert_eq!(exit, (Some(0), String::new()), "{args:?}");
        assert!(printed.ends_with(b"\n"), "{args:?}: the output ends with a whole line");
    }
}

/// Waits until `child` exits. Returns its exit code and its standard error.
fn wait_for_code_and_error(mut child: Child) -> (Option<i32>, String) {
    let mut errors = child.stderr.take().unwrap();
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).unwrap();
        text
    });
    let code = wait_for_exit(&mut child).code();
    (code, reading.join().unwrap())
}

#[test]
fn full_device_causes_one_error_line() {
    for args in [&["--help"][..], &["--version"], &["help", "get"], &["config"], &["completions", "bash"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (code, error) = wait_for_code_and_error(keepwatch(None, args).stdout(full).spawn().unwrap());
        assert_eq!(code, Some(1), "{args:?}: {error}");
        assert!(error.starts_with("keepwatch: standard output can not be written: "), "{args:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{args:?}: {error}");
    }
}

#[test]
fn stalled_reader_does_not_stop_polls() {
    let api = TestSimulator::serve(
        "[[session]]\nrepeat = { every = \"1us\", count = 500 }\ncreated = \"-5m\"\ntimeout = \"1h\"\n",
    );
    let (reader, writer) = std::io::pipe().unwrap();
    let child = start(keepwatch(Some(&api), &["events", "-i", "1s"]), writer);
    // A pipe holds 64 KiB, but is not always filled to the last byte.
    wait_until("a full pipe", || rustix::io::ioctl_fionread(&reader).unwrap() >= 56_000);
    let requests_before = api.log().len();
    // 24 reports are more than the program's queue holds, so the program must have taken some of them from it.
    wait_until("more polls", || api.log().len() >= requests_before + 24);
    // The reader reads again, and gets every event.
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(reader));
    for _ in 0..500 {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(event["event"], "first_seen");
    }
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), Signal::INT).unwrap();
    assert_eq!(wait_for_code_and_error(child), (Some(130), String::new()));
}

#[test]
fn unread_events_are_counted_at_the_end() {
    let api = TestSimulator::serve(
        "[[session]]\nrepeat = { every = \"1us\", count = 500 }\ncreated = \"-5m\"\ntimeout = \"1h\"\n",
    );
    let (reader, writer) = std::io::pipe().unwrap();
    let child = start(keepwatch(Some(&api), &["events", "-i", "1s"]), writer);
    // A pipe holds 64 KiB, but is not always filled to the last byte.
    wait_until("a full pipe", || rustix::io::ioctl_fionread(&reader).unwrap() >= 56_000);
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    let (code, error) = wait_for_code_and_error(child);
    assert_eq!(code, Some(143), "{error}");
    let printed = std::io::read_to_string(reader).unwrap().lines().count();
    let unread = error.strip_prefix("keepwatch: ").and_then(|error| error.split_once(' '));
    let Some((unread, sentence)) = unread else {
        panic!("{printed} events were printed, and this error: {error:?}")
    };
    assert_eq!(sentence, "events were not printed: the reader of standard output does not read\n");
    // An event that was printed only in part is counted twice: as a printed line here, and as unread by the program.
    let total = printed + unread.parse::<usize>().unwrap();
    assert!((500..=501).contains(&total), "{printed} events were printed, and {unread} were not");
}
