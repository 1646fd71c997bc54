//! Watches sessions with as little code as possible: a list every two seconds, a table, and the keystrokes `j`, `k` and
//! `q`. This program has no verdicts and no readable errors, and does not sanitise untrusted text. Its only purpose is
//! a comparison with keepwatch.
//!
//! `BROWSERBASE_API_KEY=… reference [BASE_URL]`

use std::io::{Write as _, stdout};
use std::time::Duration;

use chrono::{DateTime, Utc};
use crossterm::event::{Event, KeyCode, read};
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use crossterm::{execute, queue};
use ratatui::Frame;
use ratatui::layout::Constraint::Length;
use ratatui::style::Style;
use ratatui::widgets::{Row, Table, TableState};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The poll interval.
const INTERVAL: Duration = Duration::from_secs(2);
const MILLIS_PER_SECOND: i64 = 1000;

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    id: String,
    status: String,
    region: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    proxy_bytes: Option<i64>,
}

enum Message {
    Sessions(Result<Vec<Session>, String>),
    Terminal(Event),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (sender, mut inbox) = unbounded_channel();
    let terminal_sender = sender.clone();
    let mut terminal = ratatui::try_init()?;
    std::thread::spawn(move || {
        while read().is_ok_and(|event| terminal_sender.send(Message::Terminal(event)).is_ok()) {}
    });
    let (mut sessions, mut poll_status) = (Vec::new(), "asking".to_owned());
    let mut table = TableState::new().with_selected(0);
    let mut poll_task = None;
    loop {
        queue!(stdout(), BeginSynchronizedUpdate)?;
        terminal.draw(|frame| draw(frame, &sessions, &poll_status, &mut table))?;
        execute!(stdout(), EndSynchronizedUpdate)?;
        // Polling starts after the first frame.
        poll_task.get_or_insert_with(|| tokio::spawn(poll(sender.clone())));
        let until_next_second = Duration::from_millis(
            (MILLIS_PER_SECOND - Utc::now().timestamp_millis() % MILLIS_PER_SECOND).unsigned_abs(),
        );
        tokio::select! {
            () = sleep_until(Instant::now() + until_next_second) => {}
            message = inbox.recv() => match message {
                Some(Message::Sessions(Ok(list))) => (sessions, poll_status) = (list, "ok".to_owned()),
                Some(Message::Sessions(Err(error))) => poll_status = error,
                Some(Message::Terminal(Event::Key(key))) => match key.code {
                    KeyCode::Char('j') => table.select_next(),
                    KeyCode::Char('k') => table.select_previous(),
                    KeyCode::Char('q') => break,
                    _ => {}
                },
                Some(Message::Terminal(_)) => {}
                None => break,
            },
        }
    }
    ratatui::restore();
    stdout().flush()?;
    std::process::exit(0) // the input thread still waits for a keystroke
}

/// Sends the list of running sessions, or an error, every [`INTERVAL`].
async fn poll(messages: UnboundedSender<Message>) -> Result<(), Error> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let base = std::env::args().nth(1).unwrap_or_else(|| "https://api.browserbase.com".into());
    let api_key = std::env::var("BROWSERBASE_API_KEY")?;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let request =
            client.get(format!("{base}/v1/sessions?status=RUNNING")).header("X-BB-API-Key", &api_key);
        let sessions = async { Ok(serde_json::from_slice(&request.send().await?.bytes().await?)?) };
        messages.send(Message::Sessions(sessions.await.map_err(|error: Error| error.to_string())))?;
    }
}

fn draw(frame: &mut Frame<'_>, sessions: &[Session], poll_status: &str, table: &mut TableState) {
    let [header, body] =
        ratatui::layout::Layout::vertical([Length(1), Length(frame.area().height - 1)]).areas(frame.area());
    frame.render_widget(format!("{} sessions, {poll_status}", sessions.len()), header);
    // Rows that are not visible are empty, so that they cost almost nothing. Twice the table's height leaves room for a
    // selection that scrolls.
    let first_row = table.offset();
    let rows_end = first_row + usize::from(body.height) * 2;
    let rows = sessions.iter().enumerate().map(|(index, session)| {
        if (first_row..rows_end).contains(&index) { row(session) } else { Row::default() }
    });
    let widths = [Length(36), Length(10), Length(16), Length(10), Length(12)];
    frame.render_stateful_widget(
        Table::new(rows, widths).row_highlight_style(Style::new().reversed()),
        body,
        table,
    );
}

fn row(session: &Session) -> Row<'_> {
    let seconds_left = session.expires_at.map_or(0, |expires| (expires - Utc::now()).num_seconds());
    Row::new([
        session.id.clone(),
        session.status.clone(),
        session.region.clone().unwrap_or_default(),
        format!("{}:{:02}", seconds_left / 60, seconds_left.abs() % 60),
        session.proxy_bytes.unwrap_or_default().to_string(),
    ])
}
