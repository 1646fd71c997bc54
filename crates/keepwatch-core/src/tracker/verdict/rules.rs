//! The rules that turn [`Evidence`] into a [`Verdict`], and the estimate of the end that they rest on.

use std::time::Duration;

use super::{
    Cause, Confidence, Evidence, Fact, NEAR_EXPIRY, NEVER_CONNECTED, NEVER_CONNECTED_SLACK, Verdict,
};
use crate::clock::{Timestamp, saturating_add};
use crate::session::{Phase, Status, effective_timeout};
use crate::tracker::server_clock::TimeInterval;

/// The position of an end relative to the expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RelativeToExpiry {
    Before(Duration),
    Near(Duration),
    After(Duration),
    /// The end may lie on either side.
    Either,
}

/// The estimated time of the end. `earliest` is `None` if only an upper bound is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndEstimate {
    pub(super) earliest: Option<Timestamp>,
    pub(super) latest: Timestamp,
    /// The source of the estimate.
    pub(super) fact: Fact,
}

impl Evidence {
    /// Returns the verdict, or `None` while there is nothing to explain.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        let status = self.status.as_ref();
        let ended = status.is_some_and(|status| status.phase() == Phase::Ended);
        let mut facts = vec![Fact::Status];
        let (cause, confidence) = match status {
            Some(_) if self.not_found.is_some() && !ended => self.judge_not_found(&mut facts)?,
            Some(Status::Error) => (Cause::Failed, Confidence::Reported),
            Some(Status::TimedOut) => self.judge_timed_out(&mut facts),
            Some(Status::Completed) => self.judge_completed(&mut facts),
            Some(Status::Running | Status::Pending | Status::Other(_)) => self.judge_overdue(&mut facts)?,
            None => return None,
        };
        let duration = self.duration(&mut facts).filter(|_| ended);
        facts.sort_unstable();
        facts.dedup();
        let end_cluster = self.end_cluster.clone().filter(|_| self.can_join_cluster());
        let is_ended_at_contradicted = ended && self.ended.is_some() && self.valid_ended_at().is_none();
        Some(Verdict { cause, confidence, facts, duration, is_ended_at_contradicted, end_cluster })
    }

    /// Returns true if the session can belong to an [`EndCluster`](super::EndCluster): `COMPLETED`, with a valid
    /// `endedAt`, not at its timeout, and not released by this program.
    #[must_use]
    pub fn can_join_cluster(&self) -> bool {
        let position = self.end_estimate().zip(self.expires).map(|(end, expires)| end.relative_to(expires));
        self.status == Some(Status::Completed)
            && self.release_requested_at.is_none()
            && self.valid_ended_at().is_some()
            && !matches!(position, Some(RelativeToExpiry::Near(_)))
    }

    fn judge_not_found(&self, facts: &mut Vec<Fact>) -> Option<(Cause, Confidence)> {
        facts.push(Fact::NotFound);
        Some((Cause::Gone { error: self.not_found.clone()? }, Confidence::Possible))
    }

    fn judge_overdue(&self, facts: &mut Vec<Fact>) -> Option<(Cause, Confidence)> {
        let by = self.last_alive?.signed_duration_since(self.expires?).to_std().ok()?;
        facts.extend([Fact::ExpiresAt, Fact::ResponseAfterExpiry]);
        (!by.is_zero()).then_some((Cause::Overdue { by }, Confidence::Possible))
    }

    fn judge_timed_out(&self, facts: &mut Vec<Fact>) -> (Cause, Confidence) {
        let timeout = self.timeout();
        let default = self.default_timeout.filter(|_| timeout.is_some());
        if timeout.is_some() {
            facts.extend([Fact::StartedAt, Fact::ExpiresAt]);
        }
        if default.is_some() {
            facts.push(Fact::DefaultTimeout);
        }
        let end = self.end_estimate().filter(|_| timeout.is_some());
        let early = match end.zip(self.expires).map(|(end, expires)| (end.relative_to(expires), end)) {
            Some((RelativeToExpiry::Before(early), end)) => {
                facts.push(end.fact);
                Some(early)
            }
            _ => None,
        };
        let confidence = if early.is_some() { Confidence::Possible } else { Confidence::Reported };
        (Cause::TimedOut { timeout, default, early }, confidence)
    }

    fn judge_completed(&self, facts: &mut Vec<Fact>) -> (Cause, Confidence) {
        let end = self.end_estimate();
        // Observed bounds are weaker evidence than `endedAt`.
        let max_confidence = match end.map(|end| end.fact) {
            Some(Fact::EndedAt) => Confidence::Likely,
            _ => Confidence::Possible,
        };
        facts.extend(end.map(|end| end.fact));
        if let Some(requested_at) = self.release_requested_at {
            facts.push(Fact::LocalRelease);
            let after = end.and_then(|end| end.latest.signed_duration_since(requested_at).to_std().ok());
            return (Cause::ReleasedHere { requested_at, after }, max_confidence);
        }
        let position = end.zip(self.expires).map(|(end, expires)| end.relative_to(expires));
        facts.extend(position.map(|_| Fact::ExpiresAt));
        facts.extend(self.keep_alive.map(|_| Fact::KeepAlive));
        match (position, self.keep_alive) {
            (Some(RelativeToExpiry::Near(off)), _) => (Cause::AtExpiry { off }, max_confidence),
            (Some(RelativeToExpiry::After(by)), _) => (Cause::PastExpiry { by }, Confidence::Possible),
            (_, Some(true)) => {
                let unused = position.and_then(RelativeToExpiry::time_before);
                let maybe_never_connected = self.age_if_never_connected(end, facts).is_some();
                let confidence = if unused.is_some() && !maybe_never_connected {
                    max_confidence
                } else {
                    Confidence::Possible
                };
                (Cause::KeepAliveEnded { unused, maybe_never_connected }, confidence)
            }
            (_, Some(false)) => {
                let unused = position.and_then(RelativeToExpiry::time_before);
                match self.age_if_never_connected(end, facts) {
                    Some(age) => (Cause::NeverConnected { age }, Confidence::Possible),
                    None => (
                        Cause::Disconnected { unused },
                        if unused.is_some() { max_confidence } else { Confidence::Possible },
                    ),
                }
            }
            (_, None) => (Cause::Unexplained, Confidence::Unknown),
        }
    }

    /// Returns the age at the end if it matches [`NEVER_CONNECTED`]. Proxy bytes exclude it, because a client must have
    /// been connected.
    fn age_if_never_connected(&self, end: Option<EndEstimate>, facts: &mut Vec<Fact>) -> Option<Duration> {
        let end = end.filter(|end| end.fact == Fact::EndedAt)?;
        let age = end.latest.signed_duration_since(self.created?).to_std().ok()?;
        let fits = age.abs_diff(NEVER_CONNECTED) <= NEVER_CONNECTED_SLACK;
        let age = (fits && self.proxy_bytes.is_none_or(|bytes| bytes <= 0)).then_some(age)?;
        facts.push(Fact::CreatedAt);
        facts.extend(self.proxy_bytes.map(|_| Fact::NoBytes));
        Some(age)
    }

    fn timeout(&self) -> Option<Duration> {
        effective_timeout(self.started, self.expires)
    }

    fn duration(&self, facts: &mut Vec<Fact>) -> Option<Duration> {
        let end = self.end_estimate()?;
        let ran = end.latest.signed_duration_since(self.started?).to_std().ok()?;
        facts.extend([Fact::StartedAt, end.fact]);
        Some(ran)
    }

    /// Returns `endedAt` if it is possible: not before the start, not after the response that contains it, and within
    /// the observed interval.
    fn valid_ended_at(&self) -> Option<Timestamp> {
        let at = self.ended?;
        let after_start = self.started.is_none_or(|started| started <= at);
        let before_response = self.ended_by.is_none_or(|by| at <= by);
        let as_observed = self.observed_between.is_none_or(|observed| observed.clamp_to(Some(at)).1);
        (after_start && before_response && as_observed).then_some(at)
    }

    /// Estimates the end from a valid `endedAt`, else from the responses around it, else from the first response that
    /// shows it.
    fn end_estimate(&self) -> Option<EndEstimate> {
        let from_responses =
            |earliest, latest| EndEstimate { earliest, latest, fact: Fact::ResponsesAroundEnd };
        match (self.valid_ended_at(), self.observed_between) {
            (Some(at), _) => Some(EndEstimate { earliest: Some(at), latest: at, fact: Fact::EndedAt }),
            (None, Some(TimeInterval { earliest, latest })) => Some(from_responses(earliest, latest)),
            (None, None) => Some(from_responses(self.started, self.ended_by?)),
        }
    }
}

impl RelativeToExpiry {
    fn time_before(self) -> Option<Duration> {
        match self {
            Self::Before(left) => Some(left),
            Self::Near(_) | Self::After(_) | Self::Either => None,
        }
    }
}

impl EndEstimate {
    pub(super) fn relative_to(self, expires: Timestamp) -> RelativeToExpiry {
        let after = |at: Timestamp| at.signed_duration_since(expires).to_std().ok();
        let before = |at: Timestamp| expires.signed_duration_since(at).to_std().ok();
        // The claim must hold for the whole interval, so the bound nearest to the expiry decides.
        let near = |at: Timestamp| {
            let off = before(at).or(after(at)).unwrap_or_default();
            (off <= NEAR_EXPIRY).then_some(off)
        };
        let Some(earliest) = self.earliest else {
            return match before(self.latest).filter(|left| *left > NEAR_EXPIRY) {
                Some(left) => RelativeToExpiry::Before(left),
                None => RelativeToExpiry::Either,
            };
        };
        match (near(earliest), near(self.latest)) {
            (Some(one), Some(other)) => RelativeToExpiry::Near(one.max(other)),
            _ if saturating_add(self.latest, NEAR_EXPIRY) < expires => {
                RelativeToExpiry::Before(before(self.latest).unwrap_or_default())
            }
            _ if earliest > saturating_add(expires, NEAR_EXPIRY) => {
                RelativeToExpiry::After(after(earliest).unwrap_or_default())
            }
            _ => RelativeToExpiry::Either,
        }
    }
}
