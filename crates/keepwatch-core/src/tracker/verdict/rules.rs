//! The rules that turn [`KnownFacts`] into a [`Verdict`], and the estimate of the end that they rest on.

use std::time::Duration;

use super::{
    Cause, Confidence, Fact, KnownFacts, NEAR_EXPIRY, NEVER_CONNECTED, NEVER_CONNECTED_SLACK, Verdict,
};
use crate::clients::KnownClient;
use crate::clock::{Timestamp, saturating_add};
use crate::session::{Phase, Status, effective_timeout, is_default_timeout};
use crate::tracker::server_clock::TimeInterval;

/// The position of an end relative to the expiry, and the distance between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RelativeToExpiry {
    /// The end is at least this long before the expiry. This time is more than [`NEAR_EXPIRY`].
    Before(Duration),
    /// The end is at most this long before or after the expiry. This time is at most [`NEAR_EXPIRY`].
    Near(Duration),
    /// The end is at least this long after the expiry. This time is more than [`NEAR_EXPIRY`].
    After(Duration),
    /// The position is unknown, because the estimate of the end is too wide.
    Uncertain,
}

/// The bounds of a session's end.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndEstimate {
    /// The earliest possible end, or `None` if only the latest possible end is known.
    pub(super) earliest: Option<Timestamp>,
    /// The latest possible end.
    pub(super) latest: Timestamp,
    /// The source of the estimate: [`Fact::EndedAt`] or [`Fact::ResponsesAroundEnd`].
    pub(super) fact: Fact,
}

impl KnownFacts {
    /// Returns the verdict, or `None` while there is nothing to explain.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        let status = self.status.as_ref();
        let has_ended = status.is_some_and(|status| status.phase() == Phase::Ended);
        let mut facts = vec![Fact::Status];
        let (cause, confidence) = match status {
            Some(_) if self.not_found.is_some() && !has_ended => self.judge_not_found(&mut facts)?,
            Some(Status::Error) => (Cause::Failed, Confidence::Reported),
            Some(Status::TimedOut) => self.judge_timed_out(&mut facts),
            Some(Status::Completed) => self.judge_completed(&mut facts),
            Some(Status::Running | Status::Pending | Status::Other(_)) => self.judge_overdue(&mut facts)?,
            None => return None,
        };
        let duration = self.duration(&mut facts).filter(|_| has_ended);
        let unused = self.unused(&mut facts).filter(|_| has_ended);
        let client = self.client_in_advice(&cause, &mut facts);
        let fits_lost_timeout = self.fits_lost_timeout(&cause, &mut facts);
        facts.sort_unstable();
        facts.dedup();
        let end_cluster = self.end_cluster.clone().filter(|_| self.can_join_cluster());
        let has_impossible_ended_at = has_ended && self.ended.is_some() && self.valid_ended_at().is_none();
        let latest_end = self.end_estimate().map(|end| end.latest).filter(|_| has_ended);
        Some(Verdict {
            status: self.status.clone()?,
            cause,
            confidence,
            facts,
            duration,
            unused,
            latest_end,
            has_impossible_ended_at,
            client,
            fits_lost_timeout,
            end_cluster,
        })
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
        let overrun = self.last_alive?.signed_duration_since(self.expires?).to_std().ok()?;
        facts.extend([Fact::ExpiresAt, Fact::ResponseAfterExpiry]);
        (!overrun.is_zero()).then_some((Cause::Overdue { overrun }, Confidence::Possible))
    }

    fn judge_timed_out(&self, facts: &mut Vec<Fact>) -> (Cause, Confidence) {
        let timeout = self.timeout();
        let default_timeout = self.default_timeout.filter(|_| timeout.is_some());
        if timeout.is_some() {
            facts.extend([Fact::StartedAt, Fact::ExpiresAt]);
        }
        if default_timeout.is_some() {
            facts.push(Fact::DefaultTimeout);
        }
        let end = self.end_estimate().filter(|_| timeout.is_some());
        let unused = match end.zip(self.expires).map(|(end, expires)| (end.relative_to(expires), end)) {
            Some((RelativeToExpiry::Before(unused), end)) => {
                facts.push(end.fact);
                Some(unused)
            }
            _ => None, // the end may be at the expiry
        };
        let confidence = if unused.is_some() { Confidence::Possible } else { Confidence::Reported };
        (Cause::TimedOut { timeout, default_timeout, unused }, confidence)
    }

    fn judge_completed(&self, facts: &mut Vec<Fact>) -> (Cause, Confidence) {
        let end = self.end_estimate();
        // Bounds from responses prove less than `endedAt`.
        let max_confidence = match end.map(|end| end.fact) {
            Some(Fact::EndedAt) => Confidence::Likely,
            _ => Confidence::Possible,
        };
        facts.extend(end.map(|end| end.fact));
        if let Some(requested_at) = self.release_requested_at {
            facts.push(Fact::LocalRelease);
            let time_to_end =
                end.and_then(|end| end.latest.signed_duration_since(requested_at).to_std().ok());
            return (Cause::ReleasedHere { requested_at, time_to_end }, max_confidence);
        }
        let position = end.zip(self.expires).map(|(end, expires)| end.relative_to(expires));
        facts.extend(position.map(|_| Fact::ExpiresAt));
        facts.extend(self.keep_alive.map(|_| Fact::KeepAlive));
        match (position, self.keep_alive) {
            (Some(RelativeToExpiry::Near(distance)), _) => (Cause::AtExpiry { distance }, max_confidence),
            (Some(RelativeToExpiry::After(overrun)), _) => {
                (Cause::EndedPastExpiry { overrun }, Confidence::Possible)
            }
            (_, Some(true)) => {
                let unused = position.and_then(RelativeToExpiry::unused);
                let matches_never_connected = self.age_if_never_connected(end, facts).is_some();
                let is_early = self.early_limit.is_early(self.duration(facts));
                let confidence = if unused.is_some() && is_early && !matches_never_connected {
                    max_confidence
                } else {
                    Confidence::Possible
                };
                (Cause::KeepAliveEnded { unused, is_early, matches_never_connected }, confidence)
            }
            (_, Some(false)) => {
                let unused = position.and_then(RelativeToExpiry::unused);
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

    /// Returns the age at the end if that age matches [`NEVER_CONNECTED`] and no proxy bytes are known. Proxy bytes
    /// would show that a client was connected. Adds the facts that this result rests on to `facts`.
    fn age_if_never_connected(&self, end: Option<EndEstimate>, facts: &mut Vec<Fact>) -> Option<Duration> {
        let end = end.filter(|end| end.fact == Fact::EndedAt)?;
        let age = end.latest.signed_duration_since(self.created?).to_std().ok()?;
        let is_age_close = age.abs_diff(NEVER_CONNECTED) <= NEVER_CONNECTED_SLACK;
        let age = (is_age_close && self.proxy_bytes.is_none_or(|bytes| bytes <= 0)).then_some(age)?;
        facts.push(Fact::CreatedAt);
        facts.extend(self.proxy_bytes.map(|_| Fact::NoBytes));
        Some(age)
    }

    /// Returns the time left until the expiry at the end, if the end is certainly more than [`NEAR_EXPIRY`] before the
    /// expiry. Adds the facts that this result rests on to `facts`.
    fn unused(&self, facts: &mut Vec<Fact>) -> Option<Duration> {
        let end = self.end_estimate()?;
        let unused = end.relative_to(self.expires?).unused()?;
        facts.extend([Fact::ExpiresAt, end.fact]);
        Some(unused)
    }

    /// Returns the client that created the session, if the advice for `cause` speaks of it. Adds the fact that this
    /// result rests on to `facts`.
    fn client_in_advice(&self, cause: &Cause, facts: &mut Vec<Fact>) -> Option<KnownClient> {
        let client = self.client.filter(|_| cause.may_be_a_call_of_the_client())?;
        facts.push(Fact::Client);
        Some(client)
    }

    /// Returns true if the session may have lost the timeout that its creator asked for: it reached the project's
    /// default timeout, with keep-alive off and without metadata, so `timeout` may have been the only field of the
    /// creation. Adds the facts that this result rests on to `facts`.
    fn fits_lost_timeout(&self, cause: &Cause, facts: &mut Vec<Fact>) -> bool {
        let fits = matches!(cause, Cause::TimedOut { timeout: Some(timeout), default_timeout: Some(default), unused: None }
            if is_default_timeout(*timeout, *default))
            && self.keep_alive == Some(false)
            && self.has_metadata == Some(false);
        if fits {
            facts.extend([Fact::KeepAlive, Fact::NoMetadata]);
        }
        fits
    }

    fn timeout(&self) -> Option<Duration> {
        effective_timeout(self.started, self.expires)
    }

    /// Returns the running time up to the latest possible end. Adds the facts that this result rests on to `facts`.
    fn duration(&self, facts: &mut Vec<Fact>) -> Option<Duration> {
        let end = self.end_estimate()?;
        let running_time = end.latest.signed_duration_since(self.started?).to_std().ok()?;
        facts.extend([Fact::StartedAt, end.fact]);
        Some(running_time)
    }

    /// Returns `endedAt` if it is possible: not before the start, not after the latest possible end, and within the
    /// interval of the end.
    fn valid_ended_at(&self) -> Option<Timestamp> {
        let ended = self.ended?;
        let is_after_start = self.started.is_none_or(|started| started <= ended);
        let is_before_latest_end = self.latest_possible_end.is_none_or(|latest| ended <= latest);
        let is_in_interval = self.end_interval.is_none_or(|interval| {
            let (_, is_inside) = interval.narrowed_to(Some(ended));
            is_inside
        });
        (is_after_start && is_before_latest_end && is_in_interval).then_some(ended)
    }

    /// Estimates the end from a valid `endedAt`, otherwise from the responses around the end, otherwise from the start
    /// and the first response that shows the end.
    fn end_estimate(&self) -> Option<EndEstimate> {
        let from_responses =
            |earliest, latest| EndEstimate { earliest, latest, fact: Fact::ResponsesAroundEnd };
        match (self.valid_ended_at(), self.end_interval) {
            (Some(ended), _) => {
                Some(EndEstimate { earliest: Some(ended), latest: ended, fact: Fact::EndedAt })
            }
            (None, Some(TimeInterval { earliest, latest })) => Some(from_responses(earliest, latest)),
            (None, None) => Some(from_responses(self.started, self.latest_possible_end?)),
        }
    }
}

impl RelativeToExpiry {
    /// Returns the time left until the expiry, if the end is certainly more than [`NEAR_EXPIRY`] before it.
    fn unused(self) -> Option<Duration> {
        match self {
            Self::Before(left) => Some(left),
            Self::Near(_) | Self::After(_) | Self::Uncertain => None,
        }
    }
}

impl EndEstimate {
    /// Returns the position of the end relative to `expires`. The result holds for every time within the estimate.
    pub(super) fn relative_to(self, expires: Timestamp) -> RelativeToExpiry {
        let time_after = |at: Timestamp| at.signed_duration_since(expires).to_std().ok();
        let time_before = |at: Timestamp| expires.signed_duration_since(at).to_std().ok();
        let distance_if_near = |at: Timestamp| {
            let distance = time_before(at).or(time_after(at)).unwrap_or_default();
            (distance <= NEAR_EXPIRY).then_some(distance)
        };
        let Some(earliest) = self.earliest else {
            return match time_before(self.latest).filter(|left| *left > NEAR_EXPIRY) {
                Some(left) => RelativeToExpiry::Before(left),
                None => RelativeToExpiry::Uncertain,
            };
        };
        match (distance_if_near(earliest), distance_if_near(self.latest)) {
            (Some(one), Some(other)) => RelativeToExpiry::Near(one.max(other)),
            _ if saturating_add(self.latest, NEAR_EXPIRY) < expires => {
                RelativeToExpiry::Before(time_before(self.latest).unwrap_or_default())
            }
            _ if earliest > saturating_add(expires, NEAR_EXPIRY) => {
                RelativeToExpiry::After(time_after(earliest).unwrap_or_default())
            }
            _ => RelativeToExpiry::Uncertain,
        }
    }
}
