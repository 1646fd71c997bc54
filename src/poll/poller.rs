//! The task that asks: it runs the plan's requests and the reader's, and reports each.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::plan::{Outcome, Plan, Request};
use crate::api::{Client, Fresh, Listing};
use crate::clock::{Clock, Moment, Timestamp};
use crate::config::Targets;
use crate::session::{Fault, Phase, Project, Session, SessionId};

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
    /// The sessions of the project in whatever state, once.
    Recent,
    /// Watch this session, too, as one that was named at the start.
    Watch(SessionId),
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
    /// The size of the body, in bytes.
    pub bytes: u64,
    /// What came.
    pub outcome: Result<Reply, Fault>,
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
    /// To [`Request::Recent`].
    Recent(Listing),
}

/// The handle of the task; it ends when this is dropped.
#[derive(Debug)]
pub struct Poller {
    asks: mpsc::Sender<Ask>,
}

impl Poller {
    /// Starts asking for `targets`, each `interval`, and sends every report to `reports`.
    #[must_use]
    pub fn spawn(
        client: Client,
        targets: &Targets,
        interval: Duration,
        clock: Clock,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let (asks, inbox) = mpsc::channel(WAITING_ASKS);
        let plan = Plan::new(targets, interval, clock.now().mono);
        let task = Task { client: Arc::new(client), plan, clock, reports, in_flight: JoinSet::new() };
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
    plan: Plan,
    clock: Clock,
    reports: mpsc::Sender<Report>,
    in_flight: JoinSet<Report>,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<Ask>) {
        loop {
            for request in self.plan.due(self.clock.now().mono) {
                self.send(request);
            }
            let next = self.plan.next_due();
            tokio::select! {
                ask = inbox.recv() => match ask {
                    Some(ask) => self.take(ask),
                    None => return,
                },
                Some(done) = self.in_flight.join_next() => match done {
                    Ok(report) => {
                        let report = self.answered(report);
                        if self.reports.send(report).await.is_err() {
                            return;
                        }
                    }
                    Err(bug) => std::panic::resume_unwind(bug.into_panic()),
                },
                () = self.clock.sleep_until(next.unwrap_or_default()), if next.is_some() => {}
            }
        }
    }

    fn take(&mut self, ask: Ask) {
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
            Ask::Fresh(id) => self.send(Request::Fresh(id)),
            Ask::Recent => self.send(Request::Recent),
            Ask::Watch(id) => self.plan.watch(id, self.clock.now().mono),
        }
    }

    fn send(&mut self, request: Request) {
        let (client, clock) = (Arc::clone(&self.client), self.clock.clone());
        self.in_flight.spawn(async move {
            let sent = clock.now();
            let (outcome, date, bytes) = perform(&client, &request).await;
            let received = clock.now();
            let outcome = outcome.map_err(|fault| fault.timed(received.wall));
            Report { request, sent, received, date, bytes, outcome, next: None }
        });
    }

    fn answered(&mut self, mut report: Report) -> Report {
        let now = self.clock.now();
        let again =
            self.plan.answered(&report.request, Outcome::from(&report.outcome), now.mono, fastrand::f64());
        report.next = again.map(|at| now.after(at.saturating_sub(now.mono)));
        report
    }
}

impl<'a> From<&'a Result<Reply, Fault>> for Outcome<'a> {
    fn from(outcome: &'a Result<Reply, Fault>) -> Self {
        match outcome {
            Ok(Reply::Session(session)) if session.status.phase() == Phase::Ended => Self::Ended,
            Ok(Reply::Session(_) | Reply::Fresh(_) | Reply::Recent(_)) => Self::Alive,
            Ok(Reply::List(listing)) => {
                Self::Listed(listing.sessions.iter().map(|it| it.id.clone()).collect())
            }
            Ok(Reply::Projects(_)) => Self::Projects,
            Err(fault) => Self::Failed(fault),
        }
    }
}

/// Sends `request` and takes its answer: what came, the server's `Date`, and the body's size in bytes.
pub async fn perform(client: &Client, request: &Request) -> (Result<Reply, Fault>, Option<Timestamp>, u64) {
    match request {
        Request::Session(id) => {
            let answer = client.session(id).await;
            (answer.outcome.map(Reply::Session), answer.date, answer.bytes)
        }
        Request::List(list) => {
            let answer = client.sessions(*list).await;
            (answer.outcome.map(Reply::List), answer.date, answer.bytes)
        }
        Request::Projects => {
            let answer = client.projects().await;
            (answer.outcome.map(Reply::Projects), answer.date, answer.bytes)
        }
        Request::Recent => {
            let answer = client.all_sessions().await;
            (answer.outcome.map(Reply::Recent), answer.date, answer.bytes)
        }
        Request::Fresh(id) => {
            let answer = client.fresh(id).await;
            (answer.outcome.map(Reply::Fresh), answer.date, answer.bytes)
        }
    }
}
