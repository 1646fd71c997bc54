//! `keepwatch events [SESSION_ID]...`: streams events, as NDJSON or as text.
//!
//! ```text
//!   HeadlessWatch ── event, profile ──► is_news ──► filter ──► JSON or text ──► OutputQueue ──► standard output
//! ```
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
use super::headless::{
    HeadlessEvent, HeadlessProfile, HeadlessProfileId, HeadlessWatch, ProfileWatch, WatchParams,
    is_about_machine,
};
use super::profile_labels::profile_labels;
use super::recording::{self, RecordingParams};
use super::{api_error, print_error};
use crate::api::{Client, Query};
use crate::config::{ConfigError, EventFormat, EventsConfig, KeyError, MaybeKeyedProfile};
use crate::exit_code::ExitCode;
use crate::store::StreamHeader;
use crate::store::recorder::RecordingFile;
use keepwatch_core::clock::{Clock, Zone};
use keepwatch_core::filter::{Filter, FilterRow};
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

/// The format of the output, and what it leaves out.
#[derive(Debug)]
pub(super) struct OutputParams {
    pub(super) format: EventFormat,
    /// The filter for events of sessions.
    pub(super) filter: Filter,
    /// True to leave out the owners of sessions, which come from their metadata.
    pub(super) hides_owner: bool,
}

/// Streams events until all named sessions have ended, the reader closes the pipe, or a signal comes.
///
/// # Errors
/// Returns an error if the filter is invalid, if the recording cannot be created, if every profile's API key is refused
/// before any poll has succeeded, or if standard output cannot be written.
pub async fn events(config: EventsConfig) -> Result<ExitCode, CliError> {
    let is_multi_profile = !config.other_profiles.is_empty();
    let filter = Filter::parse_for_profiles(&config.filter, is_multi_profile)
        .map_err(|mistake| CliError::filter(mistake, &config.filter))?;
    let params = WatchParams {
        targets: config.targets,
        poll_limits: config.poll_limits,
        alert_rules: config.alert_rules,
        owner_key: config.owner_key,
    };
    let clock = Clock::system();
    let first_endpoint = &config.first_profile.endpoint;
    let recording_params = RecordingParams {
        started: clock.now().wall,
        alert_rules: params.alert_rules.clone(),
        owner_key: params.owner_key.clone(),
        rates: Rates::default(),
        host: (!is_multi_profile && !first_endpoint.is_public()).then(|| first_endpoint.host()),
    };
    let file = config.recording_path.as_deref().map(recording::create_watched).transpose()?;
    let recording = file.map(|file| (file, recording_params.header(config.no_metadata)));
    let output = OutputParams { format: config.format, filter, hides_owner: config.no_metadata };
    let profiles = profiles_with_keys(config.first_profile, config.other_profiles, config.query.as_ref())?;
    stream(profiles, clock, params, output, recording).await
}

/// Returns the profiles that have an API key: the first one and the others. Reports each profile without an API key on
/// standard error.
fn profiles_with_keys(
    first: MaybeKeyedProfile,
    others: Vec<MaybeKeyedProfile>,
    query: Option<&Query>,
) -> Result<(HeadlessProfile, Vec<HeadlessProfile>), ConfigError> {
    let labels = profile_labels(&first, &others);
    let (mut with_key, mut errors): (Vec<HeadlessProfile>, Vec<KeyError>) = (Vec::new(), Vec::new());
    for (profile, label) in std::iter::once(first).chain(others).zip(labels) {
        match profile.key {
            Ok(key) => {
                let client = Client::new(profile.endpoint, key).with_query(query.cloned());
                with_key.push(HeadlessProfile { name: profile.name, label, client });
            }
            Err(error) => {
                print_error(&with_label(&label, &error.to_string()));
                errors.push(error);
            }
        }
    }
    let mut with_key = with_key.into_iter();
    match with_key.next() {
        Some(first) => Ok((first, with_key.collect())),
        None => Err(errors.into_iter().next().unwrap_or(KeyError::Missing).into()),
    }
}

/// Returns a sentence about a profile, with the profile's label if there are several profiles.
fn with_label(label: &str, sentence: &str) -> String {
    if label.is_empty() { sentence.to_owned() } else { format!("{label}: {sentence}") }
}

/// Streams events as [`events`] does, but with the given profiles (the first one and the others) and clock. `recording`
/// is a new file and its header. `watch` and `demo` call this function where no screen can be shown.
pub(super) async fn stream(
    (first, others): (HeadlessProfile, Vec<HeadlessProfile>),
    clock: Clock,
    params: WatchParams,
    output_params: OutputParams,
    recording: Option<(RecordingFile, StreamHeader)>,
) -> Result<ExitCode, CliError> {
    let named_ids = match &params.targets {
        Targets::Ids(ids) => ids.clone(),
        Targets::All | Targets::OneList(_) => Vec::new(),
    };
    let to_terminal = stdout().is_terminal();
    let mut watch = HeadlessWatch::start(first, others, clock.clone(), params, recording)?;
    let label_width = watch.profiles().map(|profile| text::width(&profile.label)).max().unwrap_or(0);
    let mut refused_keys = RefusedKeys::default();
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
        if refused_keys.report(&watch) {
            return flush_briefly(output, &clock).await.map(|()| ExitCode::ApiKey);
        }
        for (id, event) in &update.events {
            let profile = watch.profile(*id);
            if !watch.is_news(*id, event)
                || !passes(&output_params.filter, &profile.tracker, &profile.label, event)
            {
                continue;
            }
            let ending = ending(&profile.tracker, event);
            let lines = match output_params.format {
                EventFormat::Json => {
                    let subject = event_subject(profile, event, output_params.hides_owner);
                    json_line(event, &subject, ending.as_ref(), to_terminal)
                }
                EventFormat::Text { zone, ascii } => {
                    let column = label_column(&profile.label, label_width);
                    text_lines(event, ending.as_ref(), &column, zone, ascii)
                }
            };
            output.push(lines, ending.is_some());
        }
        // If several sessions ended at about the same time, the tracker adds an event about this a little later, at its
        // next deadline. The stream waits for that event.
        if !watch.has_unreported_cluster() && all_ended(&watch, &named_ids) {
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

/// The profiles whose refused API key was reported.
#[derive(Debug, Default)]
struct RefusedKeys(Vec<HeadlessProfileId>);

impl RefusedKeys {
    /// Reports each refused API key once on standard error, if no poll of its profile has succeeded. Returns true if
    /// the API refuses the API key of every profile.
    fn report(&mut self, watch: &HeadlessWatch) -> bool {
        let is_refused = |id: &HeadlessProfileId| watch.profile(*id).auth_error().is_some();
        for id in watch.ids().filter(is_refused) {
            let profile = watch.profile(id);
            if let Some(error) = profile.auth_error().filter(|_| !self.0.contains(&id)) {
                print_error(&with_label(&profile.label, &api_error::message(error)));
                self.0.push(id);
            }
        }
        watch.ids().all(|id| is_refused(&id))
    }
}

/// Returns true if the filter lets the event pass. `label` is the profile's label. The filter reads the session's record
/// at the time of the event. An event about sessions that ended together passes if at least one of them matches. Other
/// events that are not about a session always pass.
fn passes(filter: &Filter, tracker: &SessionTracker, label: &str, event: &Event) -> bool {
    if filter.is_empty() {
        return true;
    }
    let matches =
        |id: &SessionId| tracker.get(id).is_some_and(|record| filter.matches(&FilterRow(record, label)));
    match (&event.id, &event.kind) {
        (Some(id), _) => matches(id),
        (None, EventKind::EndedTogether { ids, .. }) => ids.iter().any(matches),
        (None, _) => true,
    }
}

/// Returns the session and the profile that the event is about.
fn event_subject<'w>(profile: &'w ProfileWatch, event: &Event, hides_owner: bool) -> json::EventSubject<'w> {
    let record = event.id.as_ref().and_then(|id| profile.tracker.get(id));
    let session = record.and_then(|record| record.session.as_ref());
    // promise: hidden-owner, mutant: !hides_owner -> true
    let owner = record.and_then(|record| record.owner.as_ref()).filter(|_| !hides_owner);
    json::EventSubject {
        owner,
        region: session.and_then(|session| session.region.as_ref()),
        keep_alive: session.and_then(|session| session.keep_alive),
        project: session.and_then(|session| session.project.as_ref()),
        profile: profile.name.as_deref().filter(|_| !is_about_machine(&event.kind)),
    }
}

/// Returns the label as a column of this width, or an empty text if there is only one profile.
fn label_column(label: &str, width: usize) -> String {
    if label.is_empty() {
        return String::new();
    }
    format!("{label}{}  ", " ".repeat(width.saturating_sub(text::width(label))))
}

/// Returns true if the command line named sessions and all of them have ended, according to the profiles that own them.
/// The events of other profiles are not printed.
fn all_ended(watch: &HeadlessWatch, named_ids: &[SessionId]) -> bool {
    let ended = |id: &SessionId| {
        let record = watch.owner(id).and_then(|owner| watch.profile(owner).tracker.get(id));
        record.is_some_and(|record| record.phase() == Phase::Ended)
    };
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
fn json_line(
    event: &Event,
    subject: &json::EventSubject<'_>,
    ending: Option<&(Status, Verdict)>,
    to_terminal: bool,
) -> String {
    let json = json::object(event, subject, ending).to_string();
    (if to_terminal { text::escape_json_for_terminal(&json) } else { json }) + "\n"
}

/// Returns a line such as `2026-11-22 21:04:12  6512bd43  COMPLETED (endedAt …)`, and a second one for the verdict if
/// the session has ended. `profile_column` comes after the time; it is empty if there is only one profile.
pub(super) fn text_lines(
    event: &Event,
    ending: Option<&(Status, Verdict)>,
    profile_column: &str,
    zone: Zone,
    ascii: bool,
) -> String {
    let id = event.id.as_ref().map_or_else(|| "all".to_owned(), |id| id.prefix(ID_COLUMNS));
    let gap = " ".repeat(ID_COLUMNS.saturating_sub(text::width(&id)));
    let prefix = format!("{}  {profile_column}{id}{gap}  ", zone.date_time(event.learned_at));
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
