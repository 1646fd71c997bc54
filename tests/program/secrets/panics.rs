//! Tests that a panic while secrets are in memory reveals none of them in the panic report or in the log. A panic
//! report may contain the `Debug` output of types that hold secrets, so that output is tested, too.

use std::path::Path;
use std::process::Command;

use keepwatch::api::Endpoint;
use keepwatch::api::{Client, SessionWithUrls};
use keepwatch::cli::RawArgs;
use keepwatch::config::{Config, ConfigFile, Environment};
use keepwatch::log;
use keepwatch::terminal::Env;
use keepwatch::tui::keymap::Copyable;
use keepwatch::tui::{Effect, Focus, Pane};
use keepwatch_core::session::{ConnectUrls, Metadata, Secret};
use keepwatch_core::testing::id;
use keepwatch_core::text::Untrusted;

use crate::harness::output;

use super::fixture::assert_no_secret;
use super::malicious_server::{CANARY, KEY};

/// Variable that tells the child process which log to write.
const LOG_VARIABLE: &str = "KEEPWATCH_PANIC_LOG";

/// Returns the `Debug` output of every type that can hold a secret, with a secret in each value.
fn debug_output() -> String {
    let secret = || Secret::new(format!("wss://c/{CANARY}?signingKey={CANARY}"));
    let urls = ConnectUrls {
        connect: Some(secret()),
        selenium: Some(secret()),
        signing_key: Some(secret()),
        live_view: Some(secret()),
    };
    let vars = [("BROWSERBASE_API_KEY", KEY), ("OTHER", CANARY)];
    let (env, raw_args) = (Environment::new(vars), RawArgs::parse(["keepwatch", "events"]).unwrap());
    let config = Config::new(&raw_args, &env, &ConfigFile::default()).unwrap();
    let endpoint = Endpoint::new("https://api.example", "a test", false).unwrap();
    let client = Client::new(endpoint, Secret::new(KEY.into()));
    let id = id("s-1");
    let focus = Focus::Reveal { id, url: secret(), expires_at: std::time::Duration::ZERO, back: Pane::Table };
    let metadata = format!(r#"{{"api_key":"{CANARY}","url":"wss://c/?signing\u004bey={CANARY}"}}"#);
    format!(
        "{urls:?} {config:?} {env:?} {:?} {client:?} {focus:?} {:?} {:?} {:?}",
        Env::new(vars),
        Effect::Copy(Copyable::Connect, secret()),
        Metadata::new(&metadata),
        Untrusted::new(format!("https://c/?token={CANARY}\u{1b}[31m")),
    )
}

#[test]
fn debug_output_has_no_secret() {
    let debug_output = debug_output();
    assert!(debug_output.contains("Secret(••••)") && debug_output.contains("Untrusted("), "{debug_output}");
    assert!(!debug_output.contains('\u{1b}'), "{debug_output}");
    assert_no_secret("Debug", &debug_output);
    fn is_debug<T: std::fmt::Debug>() {}
    is_debug::<SessionWithUrls>(); // its secrets are ConnectUrls, which `debug_output` covers
}

/// Runs in a child process: panics with secrets in the message.
#[test]
#[ignore = "a child process that another test starts"]
fn child_that_panics_with_secrets() {
    let Ok(path) = std::env::var(LOG_VARIABLE) else { return };
    log::install_panic_hook();
    let _log = log::start(Path::new(&path), |_| {}).unwrap();
    let key = Secret::new(KEY.into());
    let url = format!("wss://c/?signingKey={CANARY}\n2026-11-22T12:00:00.000Z ERROR api: forged\u{1b}[35;5m");
    let result = std::thread::spawn(move || panic!("with {key} {key:?} {} at {url}", debug_output())).join();
    assert!(result.is_err());
}

#[test]
fn panic_report_has_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let child = output(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "secrets::panics::child_that_panics_with_secrets", "--ignored", "--nocapture"])
            .env(LOG_VARIABLE, &path)
            .env("RUST_BACKTRACE", "full"),
    );
    let err = String::from_utf8_lossy(&child.stderr).into_owned();
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(err.contains("keepwatch panicked, which is a bug: with ••••"), "{err}");
    assert!(
        written.contains(" ERROR log::panic_hook: panicked at tests/program/secrets/panics.rs:"),
        "{written}"
    );
    assert_eq!(written.lines().count(), 1, "{written}");
    for (name, text) in [("standard error", err), ("the log", written)] {
        assert_no_secret(name, &text);
        assert!(!text.contains("\u{1b}[35;5m"), "{text:?}");
    }
}
