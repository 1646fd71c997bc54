//! Tests the config file and the shell completions: options, warnings and errors. No output may have an API key.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory as _;
use keepwatch::cli::Cli;

use crate::harness::{KEY, PROGRAM, Terminal, TestSimulator, clean_env, output};

const ONE_SESSION: &str = "[[session]]\nid = \"s-1\"\ncreated = \"-2m\"\ntimeout = \"1h\"\n";

/// A home folder with a config file.
struct Home(tempfile::TempDir);

impl Home {
    fn new(config: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.write(".config/keepwatch/config.toml", config);
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs `keepwatch ARGS` and returns its exit code, standard output and standard error.
    fn run(&self, args: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
        let output = output(
            Command::new(PROGRAM)
                .args(args)
                .env_clear()
                .envs(clean_env())
                .env("HOME", self.path())
                .envs(env.iter().copied()),
        );
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        assert!(!out.contains(KEY) && !err.contains(KEY), "the API key is not printed: {out}{err}");
        (output.status.code().unwrap(), out, err)
    }
}

#[test]
fn arguments_override_config_file() {
    let api = TestSimulator::serve(ONE_SESSION);
    let home = Home::new("");
    let key_path = home.write("key", KEY);
    home.write(
        ".config/keepwatch/config.toml",
        &format!(
            "base-url = {:?}\napi-key-command = [\"cat\", {key_path:?}]\nutc = true\nuttc = 1\n[get]\njson = true\n",
            api.url
        ),
    );
    let (code, out, err) = home.run(&["get", "s-1"], &[]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with('['), "{out}");
    assert!(err.contains("“uttc” is no option; did you mean utc? (line 4 of "), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    let (code, _, err) = home.run(&["get", "s-1", "--api-key-file", "/no/such"], &[]);
    assert!(code == 3 && err.contains("/no/such"), "{err}");
}

#[test]
fn api_key_command_gets_no_api_key() {
    let api = TestSimulator::serve(ONE_SESSION);
    let script = "test -z \"$BROWSERBASE_API_KEY\" || echo it got an API key >&2; echo asked >&2; exit 3";
    let home = Home::new(&format!(
        "[profile.a]\nbase-url = {:?}\napi-key-command = [\"sh\", \"-c\", {script:?}]\n",
        api.url
    ));
    let (code, out, err) = home.run(&["get", "s-1", "--profile", "a"], &[("BROWSERBASE_API_KEY", KEY)]);
    assert_eq!((code, out.as_str()), (3, ""));
    assert_eq!(
        err,
        "asked\nkeepwatch: api-key-command “sh” failed (exit status: 3), and so there is no key\n"
    );
    assert!(api.log().is_empty());
}

#[test]
fn ctrl_c_stops_api_key_command() {
    let home = Home::new("api-key-command = [\"sh\", \"-c\", \"echo waiting >&2; exec sleep 1000\"]\n");
    let mut terminal = Terminal::start(&[PROGRAM], &[("HOME", home.path().to_str().unwrap())], 80, 24);
    terminal.wait_for("waiting");
    terminal.press("\u{3}");
    let status = terminal.wait_for_restored_exit();
    assert!(!status.success(), "{status:?}");
}

#[test]
fn screen_lists_unknown_config_options() {
    let api = TestSimulator::serve(ONE_SESSION);
    let home = Home::new("read_only = true\n\"\\u001b]0;x\\u0007\" = 1\n");
    let env = [("HOME", home.path().to_str().unwrap())];
    let mut terminal = Terminal::keepwatch(&api, &[], &env, 140, 40);
    let screen = terminal.wait_for("did you mean read-only?");
    assert!(screen.contains("; and 1 more"), "{screen}");
    terminal.wait_for("RUNNING");
    terminal.press("q");
    terminal.wait_for_restored_exit();
    terminal.assert_no_secrets(&api, &[]);
    assert!(!String::from_utf8_lossy(&terminal.raw()).contains("]0;x\u{7}"));
}

#[test]
fn read_only_config_forbids_release() {
    let api = TestSimulator::serve(ONE_SESSION);
    let home = Home::new(&format!("read-only = true\nbase-url = {:?}\n", api.url));
    let env = [("BROWSERBASE_API_KEY", KEY)];
    let (code, _, err) = home.run(&["release", "s-1", "--confirm", "s-1"], &env);
    assert!(code == 2 && err.contains("read-only in the config file"), "{err}");
    assert!(api.log().is_empty());
}

#[test]
fn broken_config_file_exits_with_2() {
    let home = Home::new("interval = 5s\n");
    for args in [&[][..], &["demo"], &["get", "s-1"], &["simulate"]] {
        let (code, out, err) = home.run(args, &[("BROWSERBASE_API_KEY", KEY)]);
        assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{args:?}: {err}");
        assert!(err.contains("is no TOML in line 1, column 12"), "{err}");
    }
    for args in [&["--version"][..], &["--help"], &["config"], &["completions", "fish"]] {
        assert_eq!(home.run(args, &[]).0, 0, "{args:?} does not read the config file");
    }
    let (code, _, err) = home.run(&["get", "s-1", "--config", "/no/such.toml"], &[]);
    assert!(code == 2 && err.contains("/no/such.toml can not be read"), "{err}");
}

#[test]
fn printed_default_config_changes_nothing() {
    let home = Home::new("");
    let (code, text, err) = home.run(&["config"], &[("KEEPWATCH_CONFIG", "/no/such")]);
    assert_eq!((code, err.as_str()), (0, ""));
    home.write(".config/keepwatch/config.toml", &text);
    let api = TestSimulator::serve(ONE_SESSION);
    let env = [("BROWSERBASE_BASE_URL", api.url.as_str()), ("BROWSERBASE_API_KEY", KEY)];
    let (code, out, err) = home.run(&["get", "s-1"], &env);
    assert!(code == 0 && out.contains("RUNNING") && err.is_empty(), "{out}{err}");
}

#[test]
fn completions_name_every_command() {
    let home = Home::new("");
    let names: Vec<String> = Cli::command().get_subcommands().map(|it| it.get_name().to_owned()).collect();
    assert!(names.contains(&"completions".to_owned()));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, err) = home.run(&["completions", shell], &[]);
        assert_eq!((code, err.as_str()), (0, ""), "{shell}");
        for name in &names {
            assert!(script.contains(name.as_str()), "{shell}: {name}");
        }
        assert!(script.contains("release-delay"), "{shell}");
        let path = home.write(&format!("completions.{shell}"), &script);
        match Command::new(shell).arg("-n").arg(&path).output() {
            Ok(output) if ["bash", "zsh", "fish"].contains(&shell) => {
                assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
            }
            _ => {} // the shell is not installed, or cannot check syntax without running the script
        }
    }
    assert_eq!(home.run(&["completions", "tcsh"], &[]).0, 2);
    let piped = format!("{{ '{PROGRAM}' completions bash; echo $? >&2; }} | true");
    let output = output(Command::new("sh").args(["-c", &piped]));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "0\n");
}
