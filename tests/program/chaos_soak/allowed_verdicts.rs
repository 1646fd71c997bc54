//! The verdicts that the documented rules allow for a session, given the ground truth about it and the fields that
//! responses misreported. This module shares no code with the program's implementation of the rules.
//!
//! ```text
//!   ERROR                                    error
//!   TIMED_OUT                                timed_out
//!   COMPLETED within 5 s of its expiry       completed_at_expiry
//!   COMPLETED later than that                ended_past_expiry
//!   COMPLETED earlier, keep-alive on         keep_alive_ended_early
//!                      keep-alive off        never_connected, if it ended 300 s ± 15 s after its creation without
//!                                            proxy traffic; else disconnected_or_closed
//!                      keep-alive unknown    unexplained
//! ```
//!
//! If responses give no end time, or an impossible one, the end is only known to be between two polls. If the expiry is
//! between the same polls, the verdict must not say on which side of the expiry the session ended.

use std::collections::BTreeSet;

use browserbase_simulator::{EndCause, FinalStatus, Offset, TruthEvent, TruthEventKind};

/// A second, in microseconds.
const SECOND: i64 = 1_000_000;
/// Longest time between the end and the expiry of a session that ended at its expiry, in microseconds.
const EXPIRY_TOLERANCE: i64 = 5 * SECOND;
/// Largest difference between the clocks that set the API's `createdAt` and `startedAt`, in microseconds.
const CREATED_AT_ERROR: i64 = SECOND / 2;
/// Name used here for "no verdict".
pub(super) const NO_VERDICT: &str = "none";

/// The ground truth about one session.
#[derive(Debug)]
pub(super) struct SessionTruth {
    pub(super) appeared: Offset,
    created: Offset,
    expires: Offset,
    keep_alive: bool,
    pub(super) started: Option<Offset>,
    pub(super) ended: Option<TrueEnd>,
    vanished: Option<Offset>,
    /// Windows (from, to, fields) in which responses misreport these fields.
    anomalies: Vec<(Offset, Offset, Vec<String>)>,
    /// Windows (from, to) in which lists lack the session.
    unlisted: Vec<(Offset, Offset)>,
}

/// The true end of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrueEnd {
    pub(super) at: Offset,
    pub(super) status: FinalStatus,
    cause: EndCause,
    /// The `endedAt` in responses.
    stated: Option<Offset>,
    /// The final `proxyBytes`.
    bytes: u64,
}

impl SessionTruth {
    /// Builds the truth from all events of one session. Returns `None` if the session never appeared.
    pub(super) fn from_events<'f>(events: impl Iterator<Item = &'f TruthEvent>) -> Option<Self> {
        let mut truth: Option<Self> = None;
        for event in events {
            if let TruthEventKind::Appeared { created, expires, keep_alive } = event.kind {
                truth = Some(Self {
                    appeared: event.at,
                    created,
                    expires,
                    keep_alive,
                    started: None,
                    ended: None,
                    vanished: None,
                    anomalies: Vec::new(),
                    unlisted: Vec::new(),
                });
            }
            truth.as_mut()?.apply(event);
        }
        truth
    }

    fn apply(&mut self, event: &TruthEvent) {
        match &event.kind {
            TruthEventKind::Appeared { .. } => {}
            TruthEventKind::Started => self.started = Some(event.at),
            TruthEventKind::Unlisted { window_end } => self.unlisted.push((event.at, *window_end)),
            TruthEventKind::Overridden { window_end, fields } => {
                self.anomalies.push((event.at, *window_end, fields.clone()))
            }
            TruthEventKind::Ended { status, cause, stated_ended_at: stated, proxy_bytes } => {
                let (status, stated, bytes) = (*status, *stated, *proxy_bytes);
                self.ended = Some(TrueEnd { at: event.at, status, cause: *cause, stated, bytes });
            }
            TruthEventKind::Vanished => self.vanished = Some(event.at),
        }
    }

    /// Returns the time at which the session ended or vanished, whichever is earlier.
    pub(super) fn end_time(&self) -> Offset {
        let never = Offset::NEVER;
        self.ended.map_or(never, |end| end.at).min(self.vanished.unwrap_or(never))
    }

    /// Returns true if another client released the session by `until`.
    pub(super) fn was_released(&self, until: Offset) -> bool {
        self.ended.is_some_and(|end| end.at <= until && end.cause == EndCause::Released)
    }

    /// Returns true if responses misreport `field` at `at`.
    fn has_anomaly(&self, field: &str, at: Offset) -> bool {
        self.anomalies
            .iter()
            .any(|(from, to, fields)| *from <= at && at < *to && fields.iter().any(|name| name == field))
    }

    /// Returns true if a list contains the session at `at`: the list of running sessions, or if `running` is false, the
    /// list of pending sessions.
    pub(super) fn is_listed(&self, at: Offset, running: bool) -> bool {
        let is_running = self.started.is_some_and(|started| started <= at);
        let is_unlisted = self.unlisted.iter().any(|(from, to)| *from <= at && at < *to);
        self.appeared <= at
            && at < self.end_time()
            && is_running == running
            && !is_unlisted
            && !self.has_anomaly("status", at)
    }

    /// Returns the verdicts allowed for a session that the program has seen. The program has polled every session that
    /// ended before `faults_ended`, and exited at `quit`. `seen_after` takes a time, and returns true if a list
    /// certainly contained the session at or after that time.
    pub(super) fn allowed_verdicts(
        &self,
        faults_ended: Offset,
        quit: Offset,
        seen_after: impl Fn(Offset) -> bool,
    ) -> BTreeSet<&'static str> {
        let mut allowed = BTreeSet::new();
        let at = self.end_time();
        // A session may be overdue or have no verdict only if the program may still take it for running.
        if faults_ended <= at {
            // The program need not have seen the end yet.
            let may_be_overdue = self.expires < quit && !self.has_anomaly("expiresAt", self.expires);
            // The program knows the server's time only to about a second.
            let must_be_overdue =
                may_be_overdue && seen_after(self.expires.plus(Offset::from_micros(2 * SECOND)));
            allowed.extend(may_be_overdue.then_some("overdue"));
            allowed.extend((!must_be_overdue || at <= quit).then_some(NO_VERDICT));
        }
        if at <= quit {
            match self.ended.filter(|end| end.at == at) {
                None => allowed.extend(["gone"]),
                Some(_) if self.has_anomaly("status", at) => allowed.extend([NO_VERDICT]), // an unknown status
                Some(end) => allowed.extend(self.allowed_for_end(end)),
            }
            // After the session vanished, a poll may have got a 404.
            allowed.extend(self.vanished.filter(|vanished| *vanished <= quit).map(|_| "gone"));
        }
        allowed
    }

    fn allowed_for_end(&self, end: TrueEnd) -> BTreeSet<&'static str> {
        match end.status {
            FinalStatus::Error => ["error"].into(),
            FinalStatus::TimedOut => ["timed_out"].into(),
            FinalStatus::Completed if end.stated == Some(end.at) => self.allowed_for_known_side(end, true),
            FinalStatus::Completed => {
                let mut allowed = self.allowed_for_known_side(end, false);
                allowed.insert(self.verdict_for_unknown_side(end.at));
                allowed
            }
        }
    }

    /// Returns the verdicts allowed if it is known on which side of the expiry the session ended. `is_exact` is true if
    /// responses give the exact end time.
    fn allowed_for_known_side(&self, end: TrueEnd, is_exact: bool) -> BTreeSet<&'static str> {
        let time_past_expiry = end.at.minus(self.expires).as_micros();
        let keep_alive = (!self.has_anomaly("keepAlive", end.at)).then_some(self.keep_alive);
        if !self.has_anomaly("expiresAt", end.at) {
            if time_past_expiry.abs() <= EXPIRY_TOLERANCE {
                return ["completed_at_expiry"].into();
            }
            if time_past_expiry > 0 {
                return ["ended_past_expiry"].into();
            }
            if keep_alive == Some(true) {
                return ["keep_alive_ended_early"].into();
            }
        }
        match keep_alive {
            Some(false) if is_exact => self.allowed_without_keep_alive(end),
            // `never_connected` needs the exact end. A session with keep-alive gets here only if its expiry is
            // misreported.
            _ => [self.verdict_for_unknown_side(end.at)].into(),
        }
    }

    /// Returns the verdict for an end if the program cannot know on which side of the expiry it was.
    fn verdict_for_unknown_side(&self, at: Offset) -> &'static str {
        match (self.has_anomaly("keepAlive", at), self.keep_alive) {
            (true, _) => "unexplained",
            (false, true) => "keep_alive_ended",
            (false, false) => "disconnected_or_closed",
        }
    }

    /// Returns the verdicts allowed for an end without keep-alive. Either no client ever connected, or a client did.
    fn allowed_without_keep_alive(&self, end: TrueEnd) -> BTreeSet<&'static str> {
        // Microseconds between the end and 300 s after the creation.
        let distance = end.at.minus(self.created).as_micros().abs_diff(300 * SECOND);
        let (slack, clock_error) = (15 * SECOND.unsigned_abs(), CREATED_AT_ERROR.unsigned_abs());
        let unknown_bytes = self.has_anomaly("proxyBytes", end.at);
        let maybe_unconnected = !self.has_anomaly("createdAt", end.at)
            && distance <= slack + clock_error
            && (end.bytes == 0 || unknown_bytes);
        let surely_unconnected = maybe_unconnected && distance + clock_error <= slack && !unknown_bytes;
        let mut allowed = BTreeSet::new();
        allowed.extend(maybe_unconnected.then_some("never_connected"));
        allowed.extend((!surely_unconnected).then_some("disconnected_or_closed"));
        allowed
    }
}
