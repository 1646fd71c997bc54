//! Tests the program with a server whose every text is hostile. The tests run the screen and all commands on a
//! terminal. They check that only text of bounded length and the program's own sequences reach the terminal.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::harness::{KEY, PROGRAM, Terminal};

/// Returns texts that make a terminal execute sequences, reorder or hide text, or slow down. The last text is harmless,
/// in several scripts. Each text begins with a word by which tests find it.
fn texts() -> [String; 9] {
    [
        "title\u{1b}]0;owned\u{7}".to_owned(),
        "clip\u{1b}[2J\u{1b}]52;c;QUFBQQ==\u{7}\0\u{7f}".to_owned(),
        "c1\u{9b}31m\u{9d}0;owned\u{9c}\u{90}q".to_owned(),
        "bidi\u{202e}gnp.exe\u{2066}\u{200f}\u{61c}".to_owned(),
        "zero\u{200b}\u{feff}\u{2060}\u{ad}\u{2028}".to_owned(),
        "tags\u{e0041}\u{e007f}\u{e0100}\u{3164}".to_owned(),
        format!("marks a{}", "\u{301}".repeat(2000)),
        "lines\r\nkeepwatch: forged\r\u{85}\tend".to_owned(),
        "日本語 größe שלום 👍".to_owned(),
    ]
}

/// Returns metadata that is nested a thousand levels deep, as JSON.
fn deep_metadata() -> String {
    format!("{}\"deep\u{202e}\"{}", "{\"level\\u001b[1m\":".repeat(1000), "}".repeat(1000))
}

/// Returns a session with hostile texts in every field, as JSON. `seed` selects the text of each field.
fn session(id: &str, seed: usize, is_over: bool) -> String {
    let texts = texts();
    let text = |offset: usize| &texts[(seed + offset) % texts.len()];
    let mut metadata = json!({ "name": text(0), "run": { "id": text(1) } });
    metadata[text(2)] = json!([text(3), text(4), { text(5): text(6) }]);
    if seed.is_multiple_of(5) {
        metadata["large"] = "m\u{202e}".repeat(10_000).into();
    }
    let mut session = json!({
        "id": id, "projectId": text(7), "contextId": text(1), "region": text(2),
        "status": if is_over { "COMPLETED" } else { "RUNNING" },
        "createdAt": "2026-11-22T12:00:00Z", "updatedAt": text(3), "startedAt": "2026-11-22T12:00:00Z",
        "expiresAt": "2099-11-22T12:00:00Z", "keepAlive": true, "proxyBytes": 7, text(4): text(5),
        "userMetadata": metadata,
    });
    if is_over {
        session["endedAt"] = "2026-11-22T12:00:05Z".into();
    }
    let session = session.to_string();
    if seed.is_multiple_of(7) {
        session.replacen(
            "\"userMetadata\":{",
            &format!("\"userMetadata\":{{\"down\":{},", deep_metadata()),
            1,
        )
    } else {
        session
    }
}

/// A server of hostile sessions, which run until `sessions_are_over` is set. While `should_fail` is set, it responds
/// with hostile errors instead.
struct Server {
    url: String,
    should_fail: Arc<AtomicBool>,
    sessions_are_over: Arc<AtomicBool>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (should_fail, sessions_are_over) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let server = Self {
            url,
            should_fail: Arc::clone(&should_fail),
            sessions_are_over: Arc::clone(&sessions_are_over),
        };
        thread::spawn(move || {
            for (request_number, stream) in listener.incoming().enumerate() {
                let error = should_fail.load(Ordering::SeqCst).then(|| error_response(request_number));
                // The client may have closed the connection.
                let _ = respond(stream.unwrap(), error, sessions_are_over.load(Ordering::SeqCst));
            }
        });
        server
    }

    fn start_program(&self, args: &[&str], env: &[(&str, &str)]) -> Terminal {
        let command: Vec<&str> = std::iter::once(PROGRAM).chain(args.iter().copied()).collect();
        let mut all = vec![("BROWSERBASE_BASE_URL", self.url.as_str()), ("BROWSERBASE_API_KEY", KEY)];
        all.extend_from_slice(env);
        Terminal::start(&command, &all, 120, 40)
    }

    /// Runs a command on a terminal until it exits. Asserts that the output is harmless. Returns the output and the
    /// exit code.
    fn run_to_end(&self, args: &[&str], env: &[(&str, &str)]) -> (String, u32) {
        let mut terminal = self.start_program(args, env);
        let code = terminal.wait_for_exit_and_output().exit_code();
        let raw = terminal.raw();
        assert_harmless(&raw, &format!("{args:?}"));
        (String::from_utf8(raw).unwrap(), code)
    }
}

/// Reads a request and responds with `error`. If that is `None`, responds with the hostile resource.
fn respond(mut stream: TcpStream, error: Option<String>, is_over: bool) -> std::io::Result<()> {
    let (mut request, mut header) = (String::new(), String::new());
    let mut lines = BufReader::new(stream.try_clone()?);
    lines.read_line(&mut request)?;
    // The empty line after the headers has two bytes, CR and LF.
    while lines.read_line(&mut header)? > 2 {
        header.clear();
    }
    if let Some(error) = error {
        return stream.write_all(error.as_bytes());
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let body = match path.strip_prefix("/v1/") {
        Some("projects") => {
            json!([{ "id": texts()[0], "name": texts()[1], "concurrency": 3, "defaultTimeout": 300 }])
                .to_string()
        }
        Some("sessions?status=RUNNING") if !is_over => session_list(is_over),
        Some("sessions") => session_list(is_over),
        Some(other) if other.starts_with("sessions?") => "[]".to_owned(),
        Some(other) => {
            let id = other.trim_start_matches("sessions/").trim_end_matches("/debug");
            let seed = id.bytes().map(usize::from).sum();
            session(&decoded(id), seed, is_over)
        }
        None => String::new(),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: r\u{9b}31m\u{202e}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Returns a list of sessions with hostile ids, and an element that is not a session.
fn session_list(is_over: bool) -> String {
    let sessions: Vec<String> =
        texts().iter().enumerate().map(|(at, text)| session(&format!("{at}-{text}"), at, is_over)).collect();
    format!("[{},\"no session \\u001b[31m\"]", sessions.join(","))
}

/// Decodes the percent-encoding of a path segment. The URL parser decodes only queries, so the segment becomes a query.
fn decoded(segment: &str) -> String {
    // In a path these characters stand for themselves. In a query they would not.
    let query = segment.replace('+', "%2B").replace('=', "%3D").replace('&', "%26");
    url::Url::parse(&format!("x://h/?{query}")).unwrap().query_pairs().next().unwrap().0.into_owned()
}

/// Returns an error response. The number of the request selects one of the hostile texts, and one of seven ways in
/// which a server's text reaches an error.
fn error_response(request_number: usize) -> String {
    let texts = texts();
    let text = &texts[request_number % texts.len()];
    let message = json!({ "statusCode": 1, "error": text, "message": text }).to_string();
    let (status, headers, body): (&str, String, String) = match request_number % 7 {
        0 => ("400 Bad Request", String::new(), message),
        1 => ("429 Too Many Requests", "retry-after: 1\r\n".to_owned(), message),
        2 => ("500 \u{9b}31m\u{202e}", String::new(), format!("<html>{text}")),
        3 => ("200 OK", String::new(), text.clone()),
        4 => ("302 Found", "location: http://ev\u{202e}il.example/\u{9b}31m\r\n".to_owned(), String::new()),
        5 => ("200 OK", String::new(), Value::from(text.as_str()).to_string()),
        _ => ("404 Not Found", String::new(), message),
    };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}x-request-id: r\u{9b}31m\u{202e}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Returns true if `c` is a control or invisible character, other than the tabs, line breaks and ESC that the program
/// itself writes. BEL counts as hostile: the program writes it after a title, so the caller has to allow it.
fn is_hostile(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1a}' | '\u{1c}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

/// Asserts that an output consists of text and the program's own escape sequences. `name` names the output in the
/// failure message.
fn assert_harmless(raw: &[u8], name: &str) {
    let text = String::from_utf8_lossy(raw);
    // The program's own sequences move the cursor and set colours, modes and the title. None of them contains any of
    // the following.
    for bad in ["\u{1b}]52", "]0;owned\u{7}", "\u{1b}[2J\u{1b}]", "\u{1b}[1m\u{202e}"] {
        assert!(!text.contains(bad), "{name} must not contain {bad:?}");
    }
    let hostile = text.chars().find(|c| is_hostile(*c) && *c != '\u{7}');
    assert_eq!(hostile, None, "{name} has no hostile character");
    // The program keeps up to four combining marks on one letter, which some languages need. The hostile text has 2000.
    let most_marks = text.split(|c| c != '\u{301}').map(|marks| marks.chars().count()).max().unwrap_or(0);
    assert!(most_marks <= 4, "{name}: a letter has at most 4 marks, not {most_marks}");
}

#[test]
fn hostile_text_on_screen_is_sanitised() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let journal = file("journal.sqlite");
    let env = [("KEEPWATCH_JOURNAL", journal.as_str())];
    let mut terminal = server.start_program(&["-i", "1s", "--record", &file("run.ndjson")], &env);
    terminal.wait_for("日本語");
    // A keystroke right after Esc counts as Alt with that key, so this closure waits until the pane or popup is gone.
    let leave_with_esc = |terminal: &mut Terminal, text: &str| {
        terminal.wait_for(text);
        terminal.press("\x1b");
        terminal.wait_until(&format!("a screen without {text}"), |screen| !screen.contents().contains(text));
    };
    terminal.press("j\rG\tG"); // the details of the second row, down to their end, and the next pane
    terminal.press("e");
    leave_with_esc(&mut terminal, "Events of all sessions");
    terminal.press("/meta.run.id:bidi\r");
    terminal.wait_for("meta.run.id:bidi");
    terminal.press("sssS"); // three other orders, and the last one reversed
    terminal.wait_for("reversed");
    terminal.press("R");
    leave_with_esc(&mut terminal, "ewest"); // Newest, newest
    server.should_fail.store(true, Ordering::SeqCst);
    terminal.press("r");
    terminal.wait_for("rate limited");
    // One round for each kind of error.
    for _ in 0..7 {
        terminal.press("r");
        terminal.press("cyl"); // requests the connect URL and the live view URL
    }
    terminal.press("!");
    leave_with_esc(&mut terminal, "┌ Polling");
    server.should_fail.store(false, Ordering::SeqCst);
    server.sessions_are_over.store(true, Ordering::SeqCst);
    terminal.press("r");
    terminal.wait_for("8 ended"); // of nine: the program rejects id 7, which contains line breaks
    terminal.press("e"); // shows the events, which the filter does not hide
    terminal.wait_for("COMPLETED");
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
    assert_harmless(&terminal.raw(), "the screen");
    let osc = terminal.wait_for_osc("a title", |osc| !osc.titles.is_empty());
    assert!(osc.clipboard.is_empty() && osc.unknown.is_empty(), "{osc:?}");
    assert!(osc.titles.iter().all(|title| !title.contains("owned")), "{:?}", osc.titles);

    let (history, code) = server.run_to_end(&["history", "--since", "36500d"], &env);
    assert!(code == 0 && history.contains("8-日本"), "{history}");
    server.run_to_end(&["history", "--json", "--since", "36500d"], &env);
    let (session, _) = server.run_to_end(&["history", "0-title", "--since", "36500d"], &env);
    assert!(session.contains("first seen"), "{session}");
    server.run_to_end(&["export", "0-title", "--to", &file("one.ndjson")], &env);
    // A prefix finds each hostile id, except the rejected id 7.
    for number in [0, 1, 2, 3, 4, 5, 6, 8] {
        let (recording, code) = server.run_to_end(&["export", &format!("{number}-")], &env);
        assert!(code == 0 && recording.contains("keepwatch_recording"), "{number}: {:.300}", recording);
    }
    server.run_to_end(
        &["explain", "--from", &file("run.ndjson"), "0-title\u{1b}]0;owned\u{7}", "--with-metadata"],
        &[],
    );
}

#[test]
fn hostile_text_in_commands_is_sanitised() {
    let server = Server::start();
    server.sessions_are_over.store(true, Ordering::SeqCst);
    let commands: [(&[&str], u32); 9] = [
        (&["get", "a", "b", "c", "d", "e", "f", "g", "h", "i"], 0),
        (&["get", "--json", "a", "b", "c", "d", "e", "f", "g", "h", "i"], 0),
        (&["get", "--reveal", "a"], 0),
        (&["events", "a", "b", "c", "d", "e", "f", "g", "h", "i"], 0),
        (&["events", "--format", "text", "a", "b", "c", "d", "e", "f", "g", "h", "i"], 0),
        (&["wait", "a", "b"], 0),
        (&["explain", "a"], 0),
        (&["explain", "--with-metadata", "b"], 0),
        (&["release", "k", "--confirm", "zzzz"], 0), // the session has ended, so there is nothing to confirm
    ];
    let mut all = String::new();
    for (command, expected) in commands {
        let (printed, code) = server.run_to_end(command, &[]);
        assert_eq!(code, expected, "{command:?} printed {printed}");
        assert!(printed.len() < 200_000, "{command:?} prints less than 200 kB, not {} bytes", printed.len());
        all.push_str(&printed);
    }
    for word in ["title", "clip", "c1", "bidi", "zero", "tags", "marks", "lines", "日本語"] {
        assert!(all.contains(word), "{word} is shown");
    }
    let (refused, code) = server.run_to_end(&["get", "a\u{1b}]0;owned\u{7}"], &[]);
    assert!(code == 2 && refused.contains("can not be a session id"), "{refused}");
    for args in [["--\u{1b}]0;owned\u{7}\u{202e}", "s-1"], ["--color", "\u{1b}]0;owned\u{7}\u{202e}"]] {
        let (refused, code) = server.run_to_end(&args, &[]);
        assert!(code == 2 && refused.contains("]0;owned"), "{refused}");
    }
    server.should_fail.store(true, Ordering::SeqCst);
    for command in
        [&["get", "a"][..], &["get", "--json", "a"], &["explain", "a"], &["release", "k", "--confirm", "k"]]
    {
        // Once for each kind of error.
        for _ in 0..7 {
            let (printed, code) = server.run_to_end(command, &[]);
            assert!(code != 0 && printed.contains("keepwatch: "), "{command:?}: {printed}");
            assert!(!printed.lines().any(|line| line.starts_with("keepwatch: forged")), "{printed}");
        }
    }
}

#[test]
fn megabyte_of_text_is_truncated() {
    let line = texts().concat();
    let large = line.repeat(1_000_000 / line.len());
    let shown = keepwatch_core::text::sanitise(&large, 80);
    assert!(keepwatch_core::text::width(&shown) <= 80 && shown.len() < 4000, "{shown}");
    assert_harmless(shown.as_bytes(), "a megabyte");
}
