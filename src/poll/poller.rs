//! The task that asks: it runs the plan's requests and the reader's, and reports each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::PollLimits;
use super::plan::{Outcome, Plan, Request};
use crate::api::{Allowance, Answer, Client, Fresh, Listing, Releaser};
use keepwatch_core::backoff;
use keepwatch_core::clock::{Clock, Moment, Timestamp};
use keepwatch_core::session::Targets;
use keepwatch_core::session::{ApiError, ApiErrorKind, ConnectUrls, Project, Session, SessionId};

/// More than a person can press before the poller looks.
const WAITING_ASKS: usize = 64;

/// What the reader wants of the poller. It goes out at once, whatever the polls are waiting for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Poll everything now, and go on polling.
    Now,
    /// Poll everything over new connections, because the machine slept: now, or when a pause ends.
    Afresh,
    /// Poll no more.
    Pause,
    /// Go on polling.
    Resume,
    /// This session's connect URLs, fresh.
    Fresh(SessionId),
    /// This session's live view, fresh.
    LiveView(SessionId),
    /// This session's release. It is tried again while it is worth it.
    Release(SessionId),
    /// The sessions of the project in whatever state, once.
    Recent,
    /// These were seen living by an earlier run: what no list has of them is asked for singly.
    Known(Vec<SessionId>),
    /// Watch this session, too, as one that was named at the start.
    Watch(SessionId),
    /// Ask for this session no more: it is another project's.
    Leave(SessionId),
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
    pub allowance: Option<Allowance>,
    /// What came.
    pub outcome: Result<Reply, ApiError>,
    /// When it will be asked again; `None` if it will not, or only if the reader asks.
    pub next: Option<Moment>,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Reply {
    /// To [`Request::Session`].
    Session(Session),
    /// To [`Request::List`].
    List(Listing),
    /// To [`Request::Projects`].
    Projects(Vec<Project>),
    /// To [`Request::Fresh`].
    Fresh(Fresh),
    /// To [`Request::LiveView`].
    LiveView(ConnectUrls),
    /// To [`Request::Release`]: how the session stands, which may be as before.
    Released(Session),
    /// To [`Request::Recent`].
    Recent(Listing),
}

/// The handle of the task; it ends when this is dropped.
#[derive(Debug)]
pub struct Poller {
    asks: mpsc::Sender<Ask>,
}

impl Poller {
    /// Starts asking for `targets` at this `pace`, and sends every report to `reports`. Without a `releaser` it only reads.
    #[must_use]
    pub fn spawn(
        client: Client,
        releaser: Option<Releaser>,
        targets: &Targets,
        pace: PollLimits,
        clock: Clock,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let (asks, inbox) = mpsc::channel(WAITING_ASKS);
        let plan = Plan::new(targets, pace, clock.now().mono);
        let task = Task {
            client: Arc::new(client),
            releaser,
            tries: HashMap::new(),
            plan,
            clock,
            reports,
            in_flight: JoinSet::new(),
            failures: 0,
        };
        tokio::spawn(task.run(inbox));
        Self { asks }
    }

    /// Passes `ask` on. It is dropped if more asks wait than a person can have meant.
    pub fn ask(&self, ask: Ask) {
        let _ = self.asks.try_send(ask);
    }
}

struct Task {
    client: Arc<Client>,
    releaser: Option<Releaser>,
    /// How often the release of a session was tried.
    tries: HashMap<SessionId, u32>,
    plan: Plan,
    clock: Clock,
    reports: mpsc::Sender<Report>,
    in_flight: JoinSet<Report>,
    /// How many requests failed since the last that did not.
    failures: u32,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<Ask>) {
        loop {
            for request in self.plan.due(self.clock.now().mono) {
                self.send(request, Duration::ZERO);
            }
            let next = self.plan.next_due();
            tokio::select! {
                ask = inbox.recv() => match ask {
                    Some(ask) => self.take(ask),
                    None => return,
                },
                Some(done) = self.in_flight.join_next() => match done {
                    Ok(report) => {
                        if let Some(report) = self.answered(report)
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

    fn take(&mut self, ask: Ask) {
        tracing::info!("{} was asked: {ask:?}", self.client.endpoint().host());
        match ask {
            Ask::Now => {
                self.plan.resume();
                self.plan.refresh(self.clock.now().mono);
            }
            Ask::Afresh => {
                self.client = Arc::new(self.client.reconnected());
                self.plan.refresh(self.clock.now().mono);
            }
            Ask::Pause => self.plan.pause(),
            Ask::Resume => self.plan.resume(),
            Ask::Fresh(id) => self.send(Request::Fresh(id), Duration::ZERO),
            Ask::LiveView(id) => self.send(Request::LiveView(id), Duration::ZERO),
            Ask::Release(id) => {
                self.tries.insert(id.clone(), 0);
                self.send(Request::Release(id), Duration::ZERO);
            }
            Ask::Recent => self.send(Request::Recent, Duration::ZERO),
            Ask::Known(ids) => self.plan.remember(&ids, self.clock.now().mono),
            Ask::Watch(id) => self.plan.watch(id, self.clock.now().mono),
            Ask::Leave(id) => self.plan.leave(id),
        }
    }

    /// Sends a request, after a `rest` if it is a try that follows one that failed.
    fn send(&mut self, request: Request, rest: Duration) {
        let (client, clock, releaser) = (Arc::clone(&self.client), self.clock.clone(), self.releaser);
        let due = self.clock.now().mono.saturating_add(rest);
        // promise: request-threads, mutant: async move { -> async move { std::thread::spawn(|| loop { std::thread::park() });
        self.in_flight.spawn(async move {
            crate::timer::sleep_until(&clock, due).await;
            let sent = clock.now();
            let answer = perform(&client, releaser, &request).await;
            Report::new(request, sent, clock.now(), answer)
        });
    }

    /// The report as it goes on; none of a list that is given up, for single requests have taken its place.
    fn answered(&mut self, mut report: Report) -> Option<Report> {
        let now = self.clock.now();
        if let Some(allowance) = report.allowance {
            self.plan.learn(allowance, now.mono);
        }
        if let Err(ApiError { kind: ApiErrorKind::Tls(_), .. }) = &report.outcome {
            // A client knows the certificates that there were when it was made; the one that was missing may come.
            // promise: new-client
            self.client = Arc::new(self.client.reconnected());
        }
        if let Request::Release(id) = &report.request {
            let id = id.clone();
            let rest = self.try_again(&id, report.outcome.as_ref().err());
            report.next = rest.map(|rest| now.plus(rest));
            if let Some(rest) = rest {
                self.send(Request::Release(id), rest);
            }
            self.log(&report, now);
            return Some(report);
        }
        // Of a list, what the reader named is all that anyone is told of.
        if let Ok(Reply::List(listing)) = &mut report.outcome {
            listing.sessions.retain(|session| self.plan.concerns(&session.id));
        }
        let again =
            self.plan.answered(&report.request, Outcome::from(&report.outcome), now.mono, fastrand::f64());
        report.next = again.map(|at| now.plus(at.saturating_sub(now.mono)));
        self.log(&report, now);
        (again.is_some() || !matches!(report.request, Request::List(_))).then_some(report)
    }

    /// Logs what failed and when it is tried again, and that it goes on.
    fn log(&mut self, report: &Report, now: Moment) {
        let (endpoint, request) = (self.client.endpoint(), &report.request);
        match (&report.outcome, report.next) {
            (Err(fault), next) => {
                self.failures = self.failures.saturating_add(1);
                let next = next
                    .map(|next| format!("again in {} ms", next.mono.saturating_sub(now.mono).as_millis()));
                let next = next.unwrap_or_else(|| "not asked again by itself".into());
                tracing::warn!("{}: {request:?} failed, {}; {next}", endpoint.host(), fault.short_label());
            }
            (Ok(_), _) if self.failures > 0 => {
                tracing::info!("{} answers {request:?}, after {} failures", endpoint.host(), self.failures);
                self.failures = 0;
            }
            (Ok(_), _) => {}
        }
    }
}

impl Task {
    /// After which rest a release is to be tried again; `None` if it went, or will not go, or was tried often enough.
    fn try_again(&mut self, id: &SessionId, fault: Option<&ApiError>) -> Option<Duration> {
        let tries = self.tries.remove(id)?.saturating_add(1);
        let rest = backoff::release_delay(fault?, tries, fastrand::f64())?;
        self.tries.insert(id.clone(), tries);
        Some(rest)
    }
}

impl<'a> From<&'a Result<Reply, ApiError>> for Outcome<'a> {
    fn from(outcome: &'a Result<Reply, ApiError>) -> Self {
        match outcome {
            Ok(Reply::Session(session)) if session.is_final() => Self::Ended,
            Ok(
                Reply::Session(_)
                | Reply::Fresh(_)
                | Reply::Recent(_)
                | Reply::LiveView(_)
                | Reply::Released(_),
            ) => Self::Alive,
            Ok(Reply::List(listing)) => {
                // A server that takes no notice of the status that is asked for lists what is over, too.
                let alive = listing.sessions.iter().filter(|it| !it.is_final());
                Self::Listed(alive.map(|it| it.id.clone()).collect())
            }
            Ok(Reply::Projects(_)) => Self::Projects,
            Err(fault) => Self::Failed(fault),
        }
    }
}

/// Sends `request` and takes its answer.
pub async fn perform(client: &Client, releaser: Option<Releaser>, request: &Request) -> Answer<Reply> {
    match request {
        Request::Session(id) => client.session(id).await.map(Reply::Session),
        Request::List(list) => client.sessions(*list).await.map(Reply::List),
        Request::Projects => client.projects().await.map(Reply::Projects),
        Request::Recent => client.all_sessions().await.map(Reply::Recent),
        Request::Fresh(id) => client.fresh(id).await.map(Reply::Fresh),
        Request::LiveView(id) => client.live_view(id).await.map(Reply::LiveView),
        Request::Release(id) => match releaser {
            Some(releaser) => releaser.release(client, id).await.map(Reply::Released),
            None => Answer::failed(ApiErrorKind::ReadOnly.into()),
        },
    }
}

impl Report {
    /// What came back for `request`, which was sent then.
    #[must_use]
    pub fn new(request: Request, sent: Moment, received: Moment, answer: Answer<Reply>) -> Self {
        let Answer { outcome, date, bytes, allowance } = answer;
        let outcome = outcome.map_err(|fault| fault.resolve_retry_after(received.wall));
        Self { request, sent, received, date, bytes, allowance, outcome, next: None }
    }
}
