//! `keepwatch events [SESSION_ID]...`: streams events, as NDJSON or as text.
//!
//! The command needs no terminal, and other programs can read its output. `watch` also streams events if no screen can
//! be shown.
//!
//! A thread writes the lines. If the reader of the output stalls, polls go on and the events wait in `output_queue`. If
//! the reader closes the pipe, the stream ends, even while there are no events.

pub mod json;
mod output_queue;

use std::io::{IsTerminal as _, stdout};
use std::pin::pin;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::oneshot;

use super::CliError;
use super::headless::{HeadlessEvent, HeadlessWatch, WatchParams};
use super::recording::{self, RecordingParams};
use crate::api::Client;
use crate::config::{EventFormat, EventsConfig};
use crate::exit_code::ExitCode;
use crate::store::StreamHeader;
use crate::store::recorder::RecordingFile;
use keepwatch_core::clock::{Clock, Zone};
use keepwatch_core::session::{Phase, SessionId, Status, Targets};
use keepwatch_core::text;
use keepwatch_core::tracker::cost::Rates;
use keepwatch_core::tracker::verdict::Verdict;
use keepwatch_core::tracker::{Event, EventKind, SessionTracker};
use output_queue::OutputQueue;

/// The width to which a line of text truncates a session id, in columns.
const ID_COLUMNS: usize = 8;
/// The time that the reader still has to read the queued events when the command ends early. It is shorter than the
/// time after which a signal ends the process (see `commands/signals.rs`).
const FLUSH_TIMEOUT: Duration = Duration::from_millis(200);

/// Streams events until all named sessions have ended, the reader closes the pipe, or a signal comes.
///
/// # Errors
/// Returns an error if the recording cannot be created, if the API refuses the API key before any poll has succeeded,
/// or if standard output cannot be written.
pub async fn events(config: EventsConfig) -> Result<ExitCode, CliError> {
    let params = WatchParams {
        targets: config.targets,
        poll_limits: config.poll_limits,
        thresholds: config.thresholds,
    };
    let clock = Clock::system();
    let recording_params = RecordingParams {
        started: clock.now().wall,
        thresholds: params.thresholds.clone(),
        owner_key: None,
        rates: Rates::default(),
        host: (!config.profile.endpoint.is_public()).then(|| config.profile.endpoint.host()),
    };
    let file = config.recording_path.as_deref().map(recording::create_watched).transpose()?;
    let recording = file.map(|file| (file, recording_params.header(config.no_metadata)));
    let client = Client::new(config.profile.endpoint, config.profile.key);
    stream(client, clock, params, config.format, recording).await
}

/// Streams events as [`events`] does, but with the given client and clock. `recording` is a new file and its header.
/// `watch` and `demo` call this function where no screen can be shown.
pub(super) async fn stream(
    client: Client,
    clock: Clock,
    params: WatchParams,
    format: EventFormat,
    recording: Option<(RecordingFile, StreamHeader)>,
) -> Result<ExitCode, CliError> {
    let named_ids = match &params.targets {
        Targets::Ids(ids) => ids.clone(),
        Targets::All | Targets::OneList(_) => Vec::new(),
    };
    let to_terminal = stdout().is_terminal();
    let mut watch = HeadlessWatch::start(client, clock.clone(), params, recording)?;
    let mut output = OutputQueue::start().map_err(CliError::Stdout)?;
    let mut reader_closed = pin!(wait_until_stdout_closes());
    loop {
        let event = tokio::select! {
            event = watch.next(None) => event,
            result = output.finished() => return result.map(|()| ExitCode::Success),
            () = &mut reader_closed => return Ok(ExitCode::Success),
        };
        let update = match event {
            HeadlessEvent::Update(update) => update,
            HeadlessEvent::DeadlineReached => continue, // there is no deadline
            HeadlessEvent::Interrupted(exit) => return flush_briefly(output, &clock).await.map(|()| exit),
        };
        if let Some(error) = watch.auth_error() {
            let error = error.clone();
            flush_briefly(output, &clock).await?;
            return Err(CliError::ApiKeyRefused(Box::new(error)));
        }
        for event in &update.events {
            let ending = ending(&watch.tracker, event);
            let lines = match format {
                EventFormat::Json => json_line(event, ending.as_ref(), to_terminal),
                EventFormat::Text { zone, ascii } => text_lines(event, ending.as_ref(), zone, ascii),
            };
            output.push(lines, ending.is_some());
        }
        // If several sessions ended at about the same time, the tracker adds an event about this a little later, at its
        // next deadline. The stream waits for that event.
        let nothing_due = watch.tracker.time_until_deadline(watch.now()).is_none();
        if nothing_due && all_ended(&watch.tracker, &named_ids) {
            output.close();
            return tokio::select! {
                result = output.finished() => result.map(|()| ExitCode::Success),
                exit = watch.interrupted() => {
                    output.report_unread();
                    Ok(exit)
                }
            };
        }
    }
}

/// Writes the queued events before an early end. Prints an error if the reader does not read them in time.
async fn flush_briefly(mut output: OutputQueue, clock: &Clock) -> Result<(), CliError> {
    output.close();
    let deadline = clock.now().mono.saturating_add(FLUSH_TIMEOUT);
    tokio::select! {
        result = output.finished() => result,
        () = crate::timer::sleep_until(clock, deadline) => {
            output.report_unread();
            Ok(())
        }
    }
}

/// Returns true if the command line named sessions and all of them have ended.
fn all_ended(tracker: &SessionTracker, named_ids: &[SessionId]) -> bool {
    let ended = |id| tracker.get(id).is_some_and(|record| record.phase() == Phase::Ended);
    !named_ids.is_empty() && named_ids.iter().all(ended)
}

/// Returns the final status and the verdict if the event reports that a session has ended.
pub(super) fn ending(tracker: &SessionTracker, event: &Event) -> Option<(Status, Verdict)> {
    let status = match &event.kind {
        EventKind::Ended { status, .. } => status,
        EventKind::FirstSeen { status, .. } | EventKind::StatusChanged { to: status, .. }
            if status.is_final() =>
        {
            status
        }
        _ => return None,
    };
    Some((status.clone(), tracker.verdict(event.id.as_ref()?)?))
}

/// Returns the event as one line of JSON. `ending` is the session's final status and verdict, if it has ended.
fn json_line(event: &Event, ending: Option<&(Status, Verdict)>, to_terminal: bool) -> String {
    let json = json::object(event, ending).to_string();
    (if to_terminal { text::escape_json_for_terminal(&json) } else { json }) + "\n"
}

/// Returns a line such as `2026-11-22 21:04:12  6512bd43  COMPLETED (endedAt …)`, and a second one for the verdict if
/// the session has ended.
pub(super) fn text_lines(
    event: &Event,
    ending: Option<&(Status, Verdict)>,
    zone: Zone,
    ascii: bool,
) -> String {
    let id = event.id.as_ref().map_or_else(|| "all".to_owned(), |id| id.prefix(ID_COLUMNS));
    let gap = " ".repeat(ID_COLUMNS.saturating_sub(text::width(&id)));
    let prefix = format!("{}  {id}{gap}  ", zone.date_time(event.learned_at));
    let flag = if matches!(event.kind, EventKind::AlertRaised(_)) { "⚑ " } else { "" };
    let mut lines = format!("{prefix}{flag}{}\n", event.sentence(zone, event.learned_at));
    if let Some((status, verdict)) = ending {
        let summary = verdict.summary_line(status, zone, event.learned_at);
        let (confidence, why) = (verdict.confidence.word(), verdict.text(zone, event.learned_at).why);
        lines.push_str(&format!("{prefix}{confidence}: {summary}; {why}\n"));
    }
    if ascii { text::to_ascii(&lines) } else { lines }
}

/// Returns once the reader of standard output has closed the pipe, as after `| head -n 1`.
///
/// While there are no events, nothing is written, and no write can fail. A thread therefore polls the file descriptor.
async fn wait_until_stdout_closes() {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("reader".into()).spawn(move || {
        let out = stdout();
        let mut fds = [PollFd::new(&out, PollFlags::empty())]; // ERR and HUP are reported in any case
        while matches!(poll(&mut fds, None), Err(Errno::INTR)) {}
        if fds.iter().any(|fd| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP)) {
            let _ = sender.send(());
        }
    });
    if thread.is_err() || receiver.await.is_err() {
        std::future::pending::<()>().await; // only a failed write will show that the pipe is closed
    }
}

#[cfg(test)]
mod tests;
