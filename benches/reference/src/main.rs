//! The least that watches sessions: a list each two seconds, a table, `j`, `k` and `q`. No verdict, no error in words, no
//! care for what the network says: it is there to be measured beside keepwatch, and for nothing else.
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
use ratatui::style::{Style};
use ratatui::widgets::{Row, Table, TableState};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

type Error = Box<dyn std::error::Error + Send + Sync>;

const INTERVAL: Duration = Duration::from_secs(2);
const MILLIS: i64 = 1000;

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    id: String,
    status: String,
    region: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    proxy_bytes: Option<i64>,
}

enum News {
    Sessions(Result<Vec<Session>, String>),
    Terminal(Event),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (sender, mut inbox) = unbounded_channel();
    let keys = sender.clone();
    let mut terminal = ratatui::try_init()?;
    std::thread::spawn(move || while read().is_ok_and(|event| keys.send(News::Terminal(event)).is_ok()) {});
    let (mut sessions, mut said) = (Vec::new(), "asking".to_owned());
    let mut table = TableState::new().with_selected(0);
    let mut polls = None;
    loop {
        queue!(stdout(), BeginSynchronizedUpdate)?;
        terminal.draw(|frame| draw(frame, &sessions, &said, &mut table))?;
        execute!(stdout(), EndSynchronizedUpdate)?;
        polls.get_or_insert_with(|| tokio::spawn(poll(sender.clone()))); // after the first frame
        let second = Duration::from_millis((MILLIS - Utc::now().timestamp_millis() % MILLIS).unsigned_abs());
        tokio::select! {
            () = sleep_until(Instant::now() + second) => {}
            news = inbox.recv() => match news {
                Some(News::Sessions(Ok(list))) => (sessions, said) = (list, "ok".to_owned()),
                Some(News::Sessions(Err(error))) => said = error,
                Some(News::Terminal(Event::Key(key))) => match key.code {
                    KeyCode::Char('j') => table.select_next(),
                    KeyCode::Char('k') => table.select_previous(),
                    KeyCode::Char('q') => break,
                    _ => {}
                },
                Some(News::Terminal(_)) => {}
                None => break,
            },
        }
    }
    ratatui::restore();
    stdout().flush()?;
    std::process::exit(0) // the thread still waits for a key
}

async fn poll(news: UnboundedSender<News>) -> Result<(), Error> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let base = std::env::args().nth(1).unwrap_or_else(|| "https://api.browserbase.com".into());
    let key = std::env::var("BROWSERBASE_API_KEY")?;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let request = client.get(format!("{base}/v1/sessions?status=RUNNING")).header("X-BB-API-Key", &key);
        let sessions = async { Ok(serde_json::from_slice(&request.send().await?.bytes().await?)?) };
        news.send(News::Sessions(sessions.await.map_err(|error: Error| error.to_string())))?;
    }
}

fn draw(frame: &mut Frame<'_>, sessions: &[Session], said: &str, table: &mut TableState) {
    let [head, body] =
        ratatui::layout::Layout::vertical([Length(1), Length(frame.area().height - 1)]).areas(frame.area());
    frame.render_widget(format!("{} sessions, {said}", sessions.len()), head);
    // Rows out of view are empty: what is not seen is not made.
    let first = table.offset();
    let last = first + usize::from(body.height) * 2;
    let rows = sessions.iter().enumerate().map(|(at, session)| match session {
        session if (first..last).contains(&at) => row(session),
        _ => Row::default(),
    });
    let widths = [Length(36), Length(10), Length(16), Length(10), Length(12)];
    frame.render_stateful_widget(
        Table::new(rows, widths).row_highlight_style(Style::new().reversed()),
        body,
        table,
    );
}

fn row(session: &Session) -> Row<'_> {
    let left = session.expires_at.map_or(0, |expires| (expires - Utc::now()).num_seconds());
    Row::new([
        session.id.clone(),
        session.status.clone(),
        session.region.clone().unwrap_or_default(),
        format!("{}:{:02}", left / 60, left.abs() % 60),
        session.proxy_bytes.unwrap_or_default().to_string(),
    ])
}
