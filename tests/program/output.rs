//! Standard output that is full, non-blocking, or not read.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{KEY, PROGRAM, TestSimulator, clean_env, wait_for_exit, wait_until};

/// Returns a command without input. `api` is the simulator that it talks to.
fn keepwatch(api: Option<&TestSimulator>, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args).env_clear().envs(clean_env()).env("BROWSERBASE_API_KEY", KEY);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    if let Some(api) = api {
        command.env("BROWSERBASE_BASE_URL", &api.url);
    }
    command
}

/// Returns a pipe that is full. Its writing end is non-blocking. Also returns the number of bytes in it.
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

/// True if the main thread of `child` sleeps, or has ended.
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
        let requests = api.log().len();
        let child = start(keepwatch(Some(&api), args), writer);
        // Read nothing before the program waits for the pipe.
        wait_until("a request", || !has_requests || api.log().len() > requests);
        wait_until("the wait for the pipe", || is_idle(&child));
        let reading = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let output = collect_output_of(child);
        let printed = reading.join().unwrap().split_off(filled);
        assert_eq!(output, (Some(0), String::new()), "{args:?}");
        assert!(printed.ends_with(b"\n"), "{args:?}: cut in a line");
    }
}

/// Waits until `child` exits. Returns its exit code and its standard error.
fn collect_output_of(mut child: Child) -> (Option<i32>, String) {
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
fn full_device_fails_every_command() {
    for args in [&["--help"][..], &["--version"], &["help", "get"], &["config"], &["completions", "bash"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (code, error) = collect_output_of(keepwatch(None, args).stdout(full).spawn().unwrap());
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
    wait_until("a full pipe", || rustix::io::ioctl_fionread(&reader).unwrap() >= 56_000);
    let requests = api.log().len();
    // More than the program can queue while it does not process them.
    wait_until("more polls", || api.log().len() >= requests + 24);
    // The reader reads again, and gets every event.
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(reader));
    for _ in 0..500 {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(event["event"], "first_seen");
    }
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), Signal::INT).unwrap();
    assert_eq!(collect_output_of(child), (Some(130), String::new()));
}

#[test]
fn unread_events_are_counted_at_the_end() {
    let api = TestSimulator::serve(
        "[[session]]\nrepeat = { every = \"1us\", count = 500 }\ncreated = \"-5m\"\ntimeout = \"1h\"\n",
    );
    let (reader, writer) = std::io::pipe().unwrap();
    let child = start(keepwatch(Some(&api), &["events", "-i", "1s"]), writer);
    wait_until("a full pipe", || rustix::io::ioctl_fionread(&reader).unwrap() >= 56_000);
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    let (code, error) = collect_output_of(child);
    assert_eq!(code, Some(143), "{error}");
    let printed = std::io::read_to_string(reader).unwrap().lines().count();
    let unread = error.strip_prefix("keepwatch: ").and_then(|error| error.split_once(' '));
    let Some((unread, sentence)) = unread else {
        panic!("{printed} events were printed, and this error: {error:?}")
    };
    assert_eq!(sentence, "events were not printed: the reader of standard output does not read\n");
    // The event that is printed only in part counts as printed here, and as unread there.
    assert!((500..=501).contains(&(printed + unread.parse::<usize>().unwrap())), "{printed} {unread}");
}
