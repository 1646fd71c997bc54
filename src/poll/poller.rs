//! The poller: a task that sends due polls and the user's requests, and reports the outcome of each. The scheduler
//! decides when to poll. The poller itself times only the retries of a release. It keeps no data of sessions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::PollLimits;
use super::scheduler::{PollOutcome, Request, Scheduler};
use crate::api::{
    ApiResponse, Client, RateLimit, ReleasePermission, ReleaseResponse, SessionList, SessionWithUrls,
};
use keepwatch_core::backoff;
use keepwatch_core::clock::{Clock, Moment, Timestamp};
use keepwatch_core::session::{ApiError, ApiErrorKind, ConnectUrls, Project, Session, SessionId, Targets};

/// The capacity of the command queue. It is far larger than the number of commands that arrive while the poller is
/// busy.
const COMMAND_QUEUE_SIZE: usize = 64;

/// A command to the poller. The user triggers most commands. The program itself sends [`Reconnect`](Self::Reconnect),
/// [`TrackEarlierSessions`](Self::TrackEarlierSessions) and [`Unwatch`](Self::Unwatch).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PollerCommand {
    /// Ends a pause, the backoff and the server's rate limit: all waiting polls are due now, except that of the
    /// projects.
    PollNow,
    /// Opens new connections, because the machine slept. The polls are due as after [`PollNow`](Self::PollNow), but a
    /// pause continues.
    Reconnect,
    /// Pauses polling.
    Pause,
    /// Resumes polling.
    Resume,
    /// Fetches fresh connect URLs of a session at once, even during a backoff.
    FetchConnectUrls(SessionId),
    /// Fetches a fresh URL of a session's live view at once, even during a backoff.
    FetchLiveView(SessionId),
    /// Releases a session at once, even during a backoff. The poller retries after temporary errors.
    Release(SessionId),
    /// Lists the project's sessions of every status, once, even during a backoff.
    ListRecentSessions,
    /// Adds sessions that an earlier run saw alive. Each is polled singly, unless a list contains it.
    TrackEarlierSessions(Vec<SessionId>),
    /// Watches one more session, as if the user had named it at the start.
    Watch(SessionId),
    /// Stops polling a session, because it belongs to another project.
    Unwatch(SessionId),
}

/// The outcome of one request, with its times.
#[derive(Debug)]
pub struct Report {
    /// The request.
    pub request: Request,
    /// The moment just before the request was sent.
    pub sent: Moment,
    /// The moment just after the request ended: the last byte of the response arrived, or the request failed.
    pub received: Moment,
    /// The `Date` header of the response.
    pub date: Option<Timestamp>,
    /// The time for which a cache kept the response, from the `Age` header. Zero without this header.
    pub age: Duration,
    /// The size of the body in bytes, after decompression.
    pub bytes: u64,
    /// The server's rate limit, if the response states it.
    pub rate_limit: Option<RateLimit>,
    /// The decoded body, or the error.
    pub result: Result<ResponseBody, ApiError>,
    /// The moment at which the poller will send the request again: the next poll after a success, or a retry after a
    /// failure. `None` if it will not send the request again by itself.
    pub next_request: Option<Moment>,
}

/// The decoded body of a response.
#[derive(Debug)]
pub enum ResponseBody {
    /// The response to [`Request::Session`].
    Session(Session),
    /// The response to [`Request::List`].
    List(SessionList),
    /// The response to [`Request::Projects`].
    Projects(Vec<Project>),
    /// The response to [`Request::ConnectUrls`].
    ConnectUrls(SessionWithUrls),
    /// The response to [`Request::LiveView`].
    LiveView(ConnectUrls),
    /// The response to [`Request::Release`]: the session's current state, which may be unchanged. `None` if the API
    /// accepted the release with an empty response, and the session could not be fetched.
    Released(Option<Session>),
    /// The response to [`Request::RecentSessions`].
    RecentSessions(SessionList),
}

/// The handle of the poller task. The task ends when the handle is dropped.
#[derive(Debug)]
pub struct Poller {
    commands: mpsc::Sender<PollerCommand>,
}

impl Poller {
    /// Spawns a task that polls `targets` within `limits` and sends reports to `reports`. Without a
    /// `release_permission`, the task only reads.
    #[must_use]
    pub fn spawn(
        client: Client,
        release_permission: Option<ReleasePermission>,
        targets: &Targets,
        limits: PollLimits,
        clock: Clock,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let (commands, command_receiver) = mpsc::channel(COMMAND_QUEUE_SIZE);
        let scheduler = Scheduler::new(targets, limits, clock.now().mono);
        let task = PollerTask {
            client: Arc::new(client),
            release_permission,
            failed_release_attempts: HashMap::new(),
            scheduler,
            clock,
            reports,
            request_tasks: JoinSet::new(),
            failures: 0,
        };
        tokio::spawn(task.run(command_receiver));
        Self { commands }
    }

    /// Sends a command to the task. Drops it if the queue is full.
    pub fn send_command(&self, command: PollerCommand) {
        let _ = self.commands.try_send(command);
    }
}

struct PollerTask {
    client: Arc<Client>,
    release_permission: Option<ReleasePermission>,
    /// The number of failed attempts of each release that has not finished.
    failed_release_attempts: HashMap<SessionId, u32>,
    scheduler: Scheduler,
    clock: Clock,
    reports: mpsc::Sender<Report>,
    /// One task for each request in flight, and for each release that waits for its retry.
    request_tasks: JoinSet<Report>,
    /// The number of failures since the last success, for the log.
    failures: u32,
}

impl PollerTask {
    async fn run(mut self, mut commands: mpsc::Receiver<PollerCommand>) {
        loop {
            for request in self.scheduler.take_due(self.clock.now().mono) {
                self.spawn_request(request, Duration::ZERO);
            }
            let next_due = self.scheduler.next_due();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.handle_command(command),
                    None => return,
                },
                Some(finished) = self.request_tasks.join_next() => match finished {
                    Ok(report) => {
                        if let Some(report) = self.on_report(report)
                            && self.reports.send(report).await.is_err()
                        {
                            return;
                        }
                    }
                    // The tasks are never cancelled, so this one panicked.
                    Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
                },
                () = crate::timer::sleep_until(&self.clock, next_due.unwrap_or_default()), if next_due.is_some() => {}
            }
        }
    }

    fn handle_command(&mut self, command: PollerCommand) {
        tracing::info!("{} was asked: {command:?}", self.client.endpoint().host());
        match command {
            PollerCommand::PollNow => {
                self.scheduler.resume();
                self.scheduler.refresh(self.clock.now().mono);
            }
            PollerCommand::Reconnect => {
                self.client = Arc::new(self.client.reconnected());
                self.scheduler.refresh(self.clock.now().mono);
            }
            PollerCommand::Pause => self.scheduler.pause(),
            PollerCommand::Resume => self.scheduler.resume(),
            PollerCommand::FetchConnectUrls(id) => {
                self.spawn_request(Request::ConnectUrls(id), Duration::ZERO)
            }
            PollerCommand::FetchLiveView(id) => self.spawn_request(Request::LiveView(id), Duration::ZERO),
            PollerCommand::Release(id) => {
                self.failed_release_attempts.insert(id.clone(), 0);
                self.spawn_request(Request::Release(id), Duration::ZERO);
            }
            PollerCommand::ListRecentSessions => self.spawn_request(Request::RecentSessions, Duration::ZERO),
            PollerCommand::TrackEarlierSessions(ids) => {
                self.scheduler.track_earlier_sessions(&ids, self.clock.now().mono);
            }
            PollerCommand::Watch(id) => self.scheduler.watch(id, self.clock.now().mono),
            PollerCommand::Unwatch(id) => self.scheduler.unwatch(id),
        }
    }

    /// Spawns a task that waits for `delay` and then sends `request`. Only retries have a delay.
    fn spawn_request(&mut self, request: Request, delay: Duration) {
        let (client, clock, release_permission) =
            (Arc::clone(&self.client), self.clock.clone(), self.release_permission);
        let due = self.clock.now().mono.saturating_add(delay);
        // promise: request-threads, mutant: async move { -> async move { std::thread::spawn(|| loop { std::thread::park() });
        self.request_tasks.spawn(async move {
            crate::timer::sleep_until(&clock, due).await;
            let sent = clock.now();
            let response = send_request(&client, release_permission, &request).await;
            Report::new(request, sent, clock.now(), response)
        });
    }

    /// Applies the report of a finished request to the scheduler. Returns the report to pass on to the event loop, or
    /// `None` for a list that is no longer polled.
    fn on_report(&mut self, mut report: Report) -> Option<Report> {
        let now = self.clock.now();
        if let Some(rate_limit) = report.rate_limit {
            self.scheduler.update_rate_limit(rate_limit, now.mono);
        }
        if let Err(ApiError { kind: ApiErrorKind::Tls(_), .. }) = &report.result {
            // An HTTP client loads certificates only when it is built. A new client finds newly installed certificates.
            // promise: new-client
            self.client = Arc::new(self.client.reconnected());
        }
        if let Request::Release(id) = &report.request {
            let id = id.clone();
            let delay = self.release_retry_delay(&id, report.result.as_ref().err());
            report.next_request = delay.map(|delay| now.plus(delay));
            if let Some(delay) = delay {
                self.spawn_request(Request::Release(id), delay);
            }
            self.log_result(&report, now);
            return Some(report);
        }
        // The report of a list must contain only watched sessions.
        if let Ok(ResponseBody::List(listing)) = &mut report.result {
            listing.sessions.retain(|session| self.scheduler.is_watched(&session.id));
        }
        let next_poll = self.scheduler.on_outcome(
            &report.request,
            PollOutcome::from(&report.result),
            now.mono,
            fastrand::f64(),
        );
        report.next_request = next_poll.map(|due| now.plus(due.saturating_sub(now.mono)));
        self.log_result(&report, now);
        (next_poll.is_some() || !matches!(report.request, Request::List(_))).then_some(report)
    }

    /// Logs a failure, with the delay before the request is sent again. Logs a success only if it is the first after a
    /// failure.
    fn log_result(&mut self, report: &Report, now: Moment) {
        let (endpoint, request) = (self.client.endpoint(), &report.request);
        match (&report.result, report.next_request) {
            (Err(error), next_request) => {
                self.failures = self.failures.saturating_add(1);
                let retry = match next_request {
                    Some(at) => format!("again in {} ms", at.mono.saturating_sub(now.mono).as_millis()),
                    None => "not asked again by itself".into(),
                };
                tracing::warn!("{}: {request:?} failed, {}; {retry}", endpoint.host(), error.short_label());
            }
            (Ok(_), _) if self.failures > 0 => {
                tracing::info!("{} answers {request:?}, after {} failures", endpoint.host(), self.failures);
                self.failures = 0;
            }
            (Ok(_), _) => {}
        }
    }

    /// Returns the delay before the retry of a release, or `None` if the release succeeded or a retry cannot help.
    fn release_retry_delay(&mut self, id: &SessionId, error: Option<&ApiError>) -> Option<Duration> {
        let failed_attempts = self.failed_release_attempts.remove(id)?.saturating_add(1);
        let delay = backoff::release_delay(error?, failed_attempts, fastrand::f64())?;
        self.failed_release_attempts.insert(id.clone(), failed_attempts);
        Some(delay)
    }
}

impl<'a> From<&'a Result<ResponseBody, ApiError>> for PollOutcome<'a> {
    fn from(result: &'a Result<ResponseBody, ApiError>) -> Self {
        match result {
            Ok(ResponseBody::Session(session)) if session.is_final() => Self::Ended,
            // For the user's requests (all but `Session`) any outcome will do: the scheduler ignores it.
            Ok(
                ResponseBody::Session(_)
                | ResponseBody::ConnectUrls(_)
                | ResponseBody::RecentSessions(_)
                | ResponseBody::LiveView(_)
                | ResponseBody::Released(_),
            ) => Self::Alive,
            Ok(ResponseBody::List(listing)) => {
                // A server that ignores the `status` parameter lists sessions that have ended, too.
                let alive = listing.sessions.iter().filter(|session| !session.is_final());
                Self::Listed(alive.map(|session| session.id.clone()).collect())
            }
            Ok(ResponseBody::Projects(_)) => Self::Projects,
            Err(error) => Self::Failed(error),
        }
    }
}

/// Sends `request` and returns its response. Without a `release_permission`, [`Request::Release`] fails.
pub async fn send_request(
    client: &Client,
    release_permission: Option<ReleasePermission>,
    request: &Request,
) -> ApiResponse<ResponseBody> {
    match request {
        Request::Session(id) => client.session(id).await.map(ResponseBody::Session),
        Request::List(list) => client.sessions(*list).await.map(ResponseBody::List),
        Request::Projects => client.projects().await.map(ResponseBody::Projects),
        Request::RecentSessions => client.recent_sessions().await.map(ResponseBody::RecentSessions),
        Request::ConnectUrls(id) => client.session_with_urls(id).await.map(ResponseBody::ConnectUrls),
        Request::LiveView(id) => client.live_view(id).await.map(ResponseBody::LiveView),
        Request::Release(id) => match release_permission {
            Some(permission) => permission.release(client, id).await.map(|response| {
                ResponseBody::Released(match response {
                    ReleaseResponse::Session(session) => Some(session),
                    // If this fetch failed, the next poll fetches the new state.
                    ReleaseResponse::Empty { fetched } => fetched.ok(),
                })
            }),
            None => ApiResponse::failed(ApiErrorKind::ReadOnly.into()),
        },
    }
}

impl Report {
    /// Creates the report of `request`, without a [`next_request`](Self::next_request).
    #[must_use]
    pub fn new(
        request: Request,
        sent: Moment,
        received: Moment,
        response: ApiResponse<ResponseBody>,
    ) -> Self {
        let ApiResponse { result, date, age, bytes, rate_limit } = response;
        let result = result.map_err(|error| error.resolve_retry_after(received.wall));
        Self { request, sent, received, date, age, bytes, rate_limit, result, next_request: None }
    }
}
