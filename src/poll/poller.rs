//! The task that asks: it runs the plan's requests and the reader's, and reports each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::PollLimits;
use super::scheduler::{PollOutcome, Request, Scheduler};
use crate::api::{ApiResponse, Client, RateLimit, ReleasePermission, SessionList, SessionWithUrls};
use keepwatch_core::backoff;
use keepwatch_core::clock::{Clock, Moment, Timestamp};
use keepwatch_core::session::Targets;
use keepwatch_core::session::{ApiError, ApiErrorKind, ConnectUrls, Project, Session, SessionId};

/// More than a person can press before the poller looks.
const COMMAND_QUEUE_SIZE: usize = 64;

/// What the reader wants of the poller. It goes out at once, whatever the polls are waiting for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PollerCommand {
    /// Poll everything now, and go on polling.
    PollNow,
    /// Poll everything over new connections, because the machine slept: now, or when a pause ends.
    Reconnect,
    /// Poll no more.
    Pause,
    /// Go on polling.
    Resume,
    /// This session's connect URLs, fresh.
    FetchConnectUrls(SessionId),
    /// This session's live view, fresh.
    FetchLiveView(SessionId),
    /// This session's release. It is tried again while it is worth it.
    Release(SessionId),
    /// The sessions of the project in whatever state, once.
    ListRecent,
    /// These were seen living by an earlier run: what no list has of them is asked for singly.
    TrackExisting(Vec<SessionId>),
    /// Watch this session, too, as one that was named at the start.
    Watch(SessionId),
    /// Ask for this session no more: it is another project's.
    Unwatch(SessionId),
}

/// What came back for a request, and when.
#[derive(Debug)]
pub struct Report {
    /// What was asked.
    pub request: Request,
    /// Just before it was sent.
    pub sent: Moment,
    /// Just after its last byte came.
    pub received: Moment,
    /// The server's `Date`.
    pub date: Option<Timestamp>,
    /// The size of the body, in bytes, unpacked.
    pub bytes: u64,
    /// What the server says is left of its limit.
    pub rate_limit: Option<RateLimit>,
    /// What came.
    pub result: Result<ResponseBody, ApiError>,
    /// When it will be asked again; `None` if it will not, or only if the reader asks.
    pub next_attempt: Option<Moment>,
}

/// The body of an answer.
#[derive(Debug)]
pub enum ResponseBody {
    /// To [`Request::Session`].
    Session(Session),
    /// To [`Request::List`].
    List(SessionList),
    /// To [`Request::Projects`].
    Projects(Vec<Project>),
    /// To [`Request::ConnectUrls`].
    ConnectUrls(SessionWithUrls),
    /// To [`Request::LiveView`].
    LiveView(ConnectUrls),
    /// To [`Request::Release`]: how the session stands, which may be as before.
    Released(Session),
    /// To [`Request::RecentSessions`].
    RecentSessions(SessionList),
}

/// The handle of the task; it ends when this is dropped.
#[derive(Debug)]
pub struct Poller {
    commands: mpsc::Sender<PollerCommand>,
}

impl Poller {
    /// Starts asking for `targets` at this `pace`, and sends every report to `reports`. Without a `releaser` it only reads.
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
            release_attempts: HashMap::new(),
            scheduler,
            clock,
            reports,
            in_flight: JoinSet::new(),
            failures: 0,
        };
        tokio::spawn(task.run(command_receiver));
        Self { commands }
    }

    /// Passes `ask` on. It is dropped if more asks wait than a person can have meant.
    pub fn send_command(&self, command: PollerCommand) {
        let _ = self.commands.try_send(command);
    }
}

struct PollerTask {
    client: Arc<Client>,
    release_permission: Option<ReleasePermission>,
    /// How often the release of a session was tried.
    release_attempts: HashMap<SessionId, u32>,
    scheduler: Scheduler,
    clock: Clock,
    reports: mpsc::Sender<Report>,
    in_flight: JoinSet<Report>,
    /// How many requests failed since the last that did not.
    failures: u32,
}

impl PollerTask {
    async fn run(mut self, mut commands: mpsc::Receiver<PollerCommand>) {
        loop {
            for request in self.scheduler.take_due(self.clock.now().mono) {
                self.spawn_request(request, Duration::ZERO);
            }
            let next = self.scheduler.next_due();
            tokio::select! {
                ask = commands.recv() => match ask {
                    Some(ask) => self.handle_command(ask),
                    None => return,
                },
                Some(done) = self.in_flight.join_next() => match done {
                    Ok(report) => {
                        if let Some(report) = self.on_response(report)
                            && self.reports.send(report).await.is_err()
                        {
                            return;
                        }
                    }
                    Err(bug) => std::panic::resume_unwind(bug.into_panic()),
                },
                () = crate::timer::sleep_until(&self.clock, next.unwrap_or_default()), if next.is_some() => {}
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
                self.release_attempts.insert(id.clone(), 0);
                self.spawn_request(Request::Release(id), Duration::ZERO);
            }
            PollerCommand::ListRecent => self.spawn_request(Request::RecentSessions, Duration::ZERO),
            PollerCommand::TrackExisting(ids) => self.scheduler.track_existing(&ids, self.clock.now().mono),
            PollerCommand::Watch(id) => self.scheduler.watch(id, self.clock.now().mono),
            PollerCommand::Unwatch(id) => self.scheduler.unwatch(id),
        }
    }

    /// Sends a request, after a `rest` if it is a try that follows one that failed.
    fn spawn_request(&mut self, request: Request, delay: Duration) {
        let (client, clock, releaser) =
            (Arc::clone(&self.client), self.clock.clone(), self.release_permission);
        let due = self.clock.now().mono.saturating_add(delay);
        // promise: request-threads, mutant: async move { -> async move { std::thread::spawn(|| loop { std::thread::park() });
        self.in_flight.spawn(async move {
            crate::timer::sleep_until(&clock, due).await;
            let sent = clock.now();
            let response = send_request(&client, releaser, &request).await;
            Report::new(request, sent, clock.now(), response)
        });
    }

    /// The report as it goes on; none of a list that is given up, for single requests have taken its place.
    fn on_response(&mut self, mut report: Report) -> Option<Report> {
        let now = self.clock.now();
        if let Some(allowance) = report.rate_limit {
            self.scheduler.update_rate_limit(allowance, now.mono);
        }
        if let Err(ApiError { kind: ApiErrorKind::Tls(_), .. }) = &report.result {
            // A client knows the certificates that there were when it was made; the one that was missing may come.
            // promise: new-client
            self.client = Arc::new(self.client.reconnected());
        }
        if let Request::Release(id) = &report.request {
            let id = id.clone();
            let delay = self.release_retry_delay(&id, report.result.as_ref().err());
            report.next_attempt = delay.map(|rest| now.plus(rest));
            if let Some(rest) = delay {
                self.spawn_request(Request::Release(id), rest);
            }
            self.log_result(&report, now);
            return Some(report);
        }
        // Of a list, what the reader named is all that anyone is told of.
        if let Ok(ResponseBody::List(listing)) = &mut report.result {
            listing.sessions.retain(|session| self.scheduler.is_watched(&session.id));
        }
        let next_poll = self.scheduler.on_response(
            &report.request,
            PollOutcome::from(&report.result),
            now.mono,
            fastrand::f64(),
        );
        report.next_attempt = next_poll.map(|at| now.plus(at.saturating_sub(now.mono)));
        self.log_result(&report, now);
        (next_poll.is_some() || !matches!(report.request, Request::List(_))).then_some(report)
    }

    /// Logs what failed and when it is tried again, and that it goes on.
    fn log_result(&mut self, report: &Report, now: Moment) {
        let (endpoint, request) = (self.client.endpoint(), &report.request);
        match (&report.result, report.next_attempt) {
            (Err(error), next) => {
                self.failures = self.failures.saturating_add(1);
                let next = next
                    .map(|next| format!("again in {} ms", next.mono.saturating_sub(now.mono).as_millis()));
                let next = next.unwrap_or_else(|| "not asked again by itself".into());
                tracing::warn!("{}: {request:?} failed, {}; {next}", endpoint.host(), error.short_label());
            }
            (Ok(_), _) if self.failures > 0 => {
                tracing::info!("{} answers {request:?}, after {} failures", endpoint.host(), self.failures);
                self.failures = 0;
            }
            (Ok(_), _) => {}
        }
    }
}

impl PollerTask {
    /// After which rest a release is to be tried again; `None` if it went, or will not go, or was tried often enough.
    fn release_retry_delay(&mut self, id: &SessionId, error: Option<&ApiError>) -> Option<Duration> {
        let tries = self.release_attempts.remove(id)?.saturating_add(1);
        let delay = backoff::release_delay(error?, tries, fastrand::f64())?;
        self.release_attempts.insert(id.clone(), tries);
        Some(delay)
    }
}

impl<'a> From<&'a Result<ResponseBody, ApiError>> for PollOutcome<'a> {
    fn from(outcome: &'a Result<ResponseBody, ApiError>) -> Self {
        match outcome {
            Ok(ResponseBody::Session(session)) if session.is_final() => Self::Ended,
            Ok(
                ResponseBody::Session(_)
                | ResponseBody::ConnectUrls(_)
                | ResponseBody::RecentSessions(_)
                | ResponseBody::LiveView(_)
                | ResponseBody::Released(_),
            ) => Self::Alive,
            Ok(ResponseBody::List(listing)) => {
                // A server that takes no notice of the status that is asked for lists what is over, too.
                let alive = listing.sessions.iter().filter(|it| !it.is_final());
                Self::Listed(alive.map(|it| it.id.clone()).collect())
            }
            Ok(ResponseBody::Projects(_)) => Self::Projects,
            Err(error) => Self::Failed(error),
        }
    }
}

/// Sends `request` and takes its answer.
pub async fn send_request(
    client: &Client,
    release_permission: Option<ReleasePermission>,
    request: &Request,
) -> ApiResponse<ResponseBody> {
    match request {
        Request::Session(id) => client.session(id).await.map(ResponseBody::Session),
        Request::List(list) => client.sessions(*list).await.map(ResponseBody::List),
        Request::Projects => client.projects().await.map(ResponseBody::Projects),
        Request::RecentSessions => client.all_sessions().await.map(ResponseBody::RecentSessions),
        Request::ConnectUrls(id) => client.session_with_urls(id).await.map(ResponseBody::ConnectUrls),
        Request::LiveView(id) => client.live_view(id).await.map(ResponseBody::LiveView),
        Request::Release(id) => match release_permission {
            Some(releaser) => releaser.release(client, id).await.map(ResponseBody::Released),
            None => ApiResponse::failed(ApiErrorKind::ReadOnly.into()),
        },
    }
}

impl Report {
    /// What came back for `request`, which was sent then.
    #[must_use]
    pub fn new(
        request: Request,
        sent: Moment,
        received: Moment,
        response: ApiResponse<ResponseBody>,
    ) -> Self {
        let ApiResponse { result: outcome, date, bytes, rate_limit: allowance } = response;
        let outcome = outcome.map_err(|error| error.resolve_retry_after(received.wall));
        Self {
            request,
            sent,
            received,
            date,
            bytes,
            rate_limit: allowance,
            result: outcome,
            next_attempt: None,
        }
    }
}
