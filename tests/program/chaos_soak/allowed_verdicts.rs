//! Which verdicts the documented rules allow, given what really happened to a session and what replies said of it. Nothing here
//! knows how the program comes to its own.
//!
//! ```text
//!   ERROR                                    error
//!   TIMED_OUT                                timed_out
//!   COMPLETED within 5 s of its expiry       completed_at_expiry
//!   COMPLETED after that                     ended_past_expiry
//!   COMPLETED before, keep-alive on          keep_alive_ended_early
//!                     keep-alive off         never_connected, at 300 s ± 15 without a byte; else disconnected_or_closed
//!                     keep-alive not known   unexplained
//! ```
//!
//! Where replies do not say when it ended, or say what can not be, it is known only between two of them: that may be too
//! little to say on which side of the expiry it was, and then no side may be named.

use std::collections::BTreeSet;

use browserbase_simulator::{EndCause, FinalStatus, Offset, TruthEvent, TruthEventKind};

const SECOND: i64 = 1_000_000;
const EXPIRY_TOLERANCE: i64 = 5 * SECOND;
/// The API's `createdAt` is another machine's reading than `startedAt`, by up to so much.
const CREATED_AT_ERROR: i64 = SECOND / 2;
/// The verdict of what has none.
pub(super) const NO_VERDICT: &str = "none";

/// A session, as it really was.
#[derive(Debug)]
pub(super) struct SessionTruth {
    pub(super) appeared: Offset,
    created: Offset,
    expires: Offset,
    keep_alive: bool,
    pub(super) started: Option<Offset>,
    pub(super) ended: Option<TrueEnd>,
    vanished: Option<Offset>,
    /// While replies say what is not so, and of which fields.
    anomalies: Vec<(Offset, Offset, Vec<String>)>,
    unlisted: Vec<(Offset, Offset)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct TrueEnd {
    pub(super) at: Offset,
    pub(super) status: FinalStatus,
    cause: EndCause,
    stated: Option<Offset>,
    bytes: u64,
}

impl SessionTruth {
    /// Of the facts of one session.
    pub(super) fn from_facts<'f>(facts: impl Iterator<Item = &'f TruthEvent>) -> Option<Self> {
        let mut life: Option<Self> = None;
        for fact in facts {
            if let TruthEventKind::Appeared { created, expires, keep_alive } = fact.kind {
                life = Some(Self {
                    appeared: fact.at,
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
            life.as_mut()?.apply(fact);
        }
        life
    }

    fn apply(&mut self, fact: &TruthEvent) {
        match &fact.kind {
            TruthEventKind::Appeared { .. } => {}
            TruthEventKind::Started => self.started = Some(fact.at),
            TruthEventKind::Unlisted { window_end } => self.unlisted.push((fact.at, *window_end)),
            TruthEventKind::Overridden { window_end, fields } => {
                self.anomalies.push((fact.at, *window_end, fields.clone()))
            }
            TruthEventKind::Ended { status, cause, stated_ended_at: stated, proxy_bytes } => {
                let (status, stated, bytes) = (*status, *stated, *proxy_bytes);
                self.ended = Some(TrueEnd { at: fact.at, status, cause: *cause, stated, bytes });
            }
            TruthEventKind::Vanished => self.vanished = Some(fact.at),
        }
    }

    /// When it lives no more, or is there no more.
    pub(super) fn end_time(&self) -> Offset {
        let never = Offset::NEVER;
        self.ended.map_or(never, |end| end.at).min(self.vanished.unwrap_or(never))
    }

    /// Whether another client released it.
    pub(super) fn was_released(&self, until: Offset) -> bool {
        self.ended.is_some_and(|end| end.at <= until && end.cause == EndCause::Released)
    }

    /// Whether replies say of `field` what is not so at `at`.
    fn has_anomaly(&self, field: &str, at: Offset) -> bool {
        self.anomalies
            .iter()
            .any(|(from, to, fields)| *from <= at && at < *to && fields.iter().any(|odd| odd == field))
    }

    /// Whether the list of those with its status has it at `at`.
    pub(super) fn is_listed(&self, at: Offset, running: bool) -> bool {
        let runs = self.started.is_some_and(|started| started <= at);
        let away = self.unlisted.iter().any(|(from, to)| *from <= at && at < *to);
        self.appeared <= at
            && at < self.end_time()
            && runs == running
            && !away
            && !self.has_anomaly("status", at)
    }

    /// The verdicts that may be said of it by who has seen it, left at `quit`, and has been told of all that was over by
    /// `healed`. `seen_after` says whether a list certainly told of it after a moment.
    pub(super) fn allowed_verdicts(
        &self,
        healed: Offset,
        quit: Offset,
        seen_after: impl Fn(Offset) -> bool,
    ) -> BTreeSet<&'static str> {
        let mut allowed = BTreeSet::new();
        let at = self.end_time();
        if healed <= at {
            // Nobody need have heard of its end yet.
            let may_be_overdue = self.expires < quit && !self.has_anomaly("expiresAt", self.expires);
            let is_overdue = may_be_overdue && seen_after(self.expires.plus(Offset::from_micros(2 * SECOND)));
            allowed.extend(may_be_overdue.then_some("overdue"));
            allowed.extend((!is_overdue || at <= quit).then_some(NO_VERDICT));
        }
        if at <= quit {
            match self.ended.filter(|end| end.at == at) {
                None => allowed.extend(["gone"]),
                Some(_) if self.has_anomaly("status", at) => allowed.extend([NO_VERDICT]), // a word that nobody knows
                Some(end) => allowed.extend(self.allowed_for_end(end)),
            }
            // Who asked only then was told 404.
            allowed.extend(self.vanished.filter(|gone| *gone <= quit).map(|_| "gone"));
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
                allowed.insert(self.allowed_for_unknown_side(end.at));
                allowed
            }
        }
    }

    /// What may be said if it is known on which side of the expiry it ended.
    fn allowed_for_known_side(&self, end: TrueEnd, is_exact: bool) -> BTreeSet<&'static str> {
        let after = end.at.minus(self.expires).as_micros();
        let keep_alive = (!self.has_anomaly("keepAlive", end.at)).then_some(self.keep_alive);
        if !self.has_anomaly("expiresAt", end.at) {
            if after.abs() <= EXPIRY_TOLERANCE {
                return ["completed_at_expiry"].into();
            }
            if after > 0 {
                return ["ended_past_expiry"].into();
            }
            if keep_alive == Some(true) {
                return ["keep_alive_ended_early"].into();
            }
        }
        match keep_alive {
            Some(false) if is_exact => self.allowed_without_keep_alive(end),
            _ => [self.allowed_for_unknown_side(end.at)].into(),
        }
    }

    fn allowed_for_unknown_side(&self, at: Offset) -> &'static str {
        match (self.has_anomaly("keepAlive", at), self.keep_alive) {
            (true, _) => "unexplained",
            (false, true) => "keep_alive_ended",
            (false, false) => "disconnected_or_closed",
        }
    }

    /// Without keep-alive: whether it may be that nobody ever connected, and whether it may be that somebody had.
    fn allowed_without_keep_alive(&self, end: TrueEnd) -> BTreeSet<&'static str> {
        let off = end.at.minus(self.created).as_micros().abs_diff(300 * SECOND);
        let (slack, reading) = (15 * SECOND.unsigned_abs(), CREATED_AT_ERROR.unsigned_abs());
        let unknown_bytes = self.has_anomaly("proxyBytes", end.at);
        let may_be = !self.has_anomaly("createdAt", end.at)
            && off <= slack + reading
            && (end.bytes == 0 || unknown_bytes);
        let must_be = may_be && off + reading <= slack && !unknown_bytes;
        let mut allowed = BTreeSet::new();
        allowed.extend(may_be.then_some("never_connected"));
        allowed.extend((!must_be).then_some("disconnected_or_closed"));
        allowed
    }
}
