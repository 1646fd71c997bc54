//! The rules that turn evidence into a verdict.

use std::time::Duration;

use super::{Cause, Evidence, Fact, NEAR_EXPIRY, NEVER_CONNECTED, NEVER_CONNECTED_SLACK, Sure, Verdict};
use crate::clock::{Timestamp, saturating_add};
use crate::session::{Phase, Status};
use crate::tracker::bounds::When;

/// Where an end lies against the expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    Before(Duration),
    Near(Duration),
    After(Duration),
    /// It may lie on either side.
    Either,
}

/// When it ended, as far as is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) earliest: Option<Timestamp>,
    pub(super) latest: Timestamp,
    /// What says so.
    pub(super) fact: Fact,
}

impl Evidence {
    /// The verdict; `None` while there is nothing to explain.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        let status = self.status.as_ref();
        let ended = status.is_some_and(|status| status.phase() == Phase::Ended);
        let mut facts = vec![Fact::Status];
        let (cause, sure) = match status {
            Some(_) if self.absent.is_some() && !ended => self.gone(&mut facts)?,
            Some(Status::Error) => (Cause::Failed, Sure::Said),
            Some(Status::TimedOut) => self.timed_out(&mut facts),
            Some(Status::Completed) => self.completed(&mut facts),
            Some(Status::Running | Status::Pending | Status::Other(_)) => self.overdue(&mut facts)?,
            None => return None,
        };
        let ran = self.ran(&mut facts).filter(|_| ended);
        facts.sort_unstable();
        facts.dedup();
        let together = self.together.clone().filter(|_| self.counts_together());
        let contradicted = ended && self.ended.is_some() && self.said().is_none();
        Some(Verdict { cause, sure, facts, ran, contradicted, together })
    }

    /// Whether its end can be one of several that belong together: `COMPLETED`, not at its timeout, and not released
    /// from here.
    #[must_use]
    pub fn counts_together(&self) -> bool {
        let near = self.end().zip(self.expires).map(|(end, expires)| end.against(expires));
        self.status == Some(Status::Completed)
            && self.released.is_none()
            && self.said().is_some()
            && !matches!(near, Some(Against::Near(_)))
    }

    fn gone(&self, facts: &mut Vec<Fact>) -> Option<(Cause, Sure)> {
        facts.push(Fact::NotFound);
        Some((Cause::Gone { fault: self.absent.clone()? }, Sure::Perhaps))
    }

    fn overdue(&self, facts: &mut Vec<Fact>) -> Option<(Cause, Sure)> {
        let by = self.last_alive?.signed_duration_since(self.expires?).to_std().ok()?;
        facts.extend([Fact::ExpiresAt, Fact::LateReply]);
        (!by.is_zero()).then_some((Cause::Overdue { by }, Sure::Perhaps))
    }

    fn timed_out(&self, facts: &mut Vec<Fact>) -> (Cause, Sure) {
        let timeout = self.timeout();
        let default = self.default_timeout.filter(|_| timeout.is_some());
        if timeout.is_some() {
            facts.extend([Fact::StartedAt, Fact::ExpiresAt]);
        }
        if default.is_some() {
            facts.push(Fact::DefaultTimeout);
        }
        let end = self.end().filter(|_| timeout.is_some());
        let early = match end.zip(self.expires).map(|(end, expires)| (end.against(expires), end)) {
            Some((Against::Before(early), end)) => {
                facts.push(end.fact);
                Some(early)
            }
            _ => None,
        };
        let sure = if early.is_some() { Sure::Perhaps } else { Sure::Said };
        (Cause::TimedOut { timeout, default, early }, sure)
    }

    fn completed(&self, facts: &mut Vec<Fact>) -> (Cause, Sure) {
        let end = self.end();
        // What was seen says less than `endedAt`.
        let most = match end.map(|end| end.fact) {
            Some(Fact::EndedAt) => Sure::Likely,
            _ => Sure::Perhaps,
        };
        facts.extend(end.map(|end| end.fact));
        if let Some(asked) = self.released {
            facts.push(Fact::AskedFromHere);
            let after = end.and_then(|end| end.latest.signed_duration_since(asked).to_std().ok());
            return (Cause::ReleasedHere { asked, after }, most);
        }
        let against = end.zip(self.expires).map(|(end, expires)| end.against(expires));
        facts.extend(against.map(|_| Fact::ExpiresAt));
        facts.extend(self.keep_alive.map(|_| Fact::KeepAlive));
        match (against, self.keep_alive) {
            (Some(Against::Near(off)), _) => (Cause::AtExpiry { off }, most),
            (Some(Against::After(by)), _) => (Cause::PastExpiry { by }, Sure::Perhaps),
            (against, Some(true)) => {
                let (unused, unconnected) =
                    (against.and_then(Against::before), self.never_connected(end, facts));
                let sure = if unused.is_some() && unconnected.is_none() { most } else { Sure::Perhaps };
                (Cause::KeptAlive { unused, unconnected: unconnected.is_some() }, sure)
            }
            (against, Some(false)) => {
                let unused = against.and_then(Against::before);
                match self.never_connected(end, facts) {
                    Some(age) => (Cause::NeverConnected { age }, Sure::Perhaps),
                    None => {
                        (Cause::Disconnected { unused }, if unused.is_some() { most } else { Sure::Perhaps })
                    }
                }
            }
            (_, None) => (Cause::Unexplained, Sure::Unknown),
        }
    }

    /// Its age at its end, if that is the age at which a session ends that nobody connects to. Bytes through its proxy
    /// speak against it: somebody was there.
    fn never_connected(&self, end: Option<End>, facts: &mut Vec<Fact>) -> Option<Duration> {
        let end = end.filter(|end| end.fact == Fact::EndedAt)?;
        let age = end.latest.signed_duration_since(self.created?).to_std().ok()?;
        let fits = age.abs_diff(NEVER_CONNECTED) <= NEVER_CONNECTED_SLACK;
        let age = (fits && self.proxy_bytes.is_none_or(|bytes| bytes <= 0)).then_some(age)?;
        facts.push(Fact::CreatedAt);
        facts.extend(self.proxy_bytes.map(|_| Fact::NoBytes));
        Some(age)
    }

    /// `expiresAt - startedAt`
    fn timeout(&self) -> Option<Duration> {
        self.expires?.signed_duration_since(self.started?).to_std().ok()
    }

    fn ran(&self, facts: &mut Vec<Fact>) -> Option<Duration> {
        let end = self.end()?;
        let ran = end.latest.signed_duration_since(self.started?).to_std().ok()?;
        facts.extend([Fact::StartedAt, end.fact]);
        Some(ran)
    }

    /// `endedAt`, if it can be: not before the start, not after the reply that has it, and within what was seen.
    fn said(&self) -> Option<Timestamp> {
        let at = self.ended?;
        let after_start = self.started.is_none_or(|started| started <= at);
        let before_reply = self.ended_by.is_none_or(|by| at <= by);
        let seen = self.watched.is_none_or(|watched| watched.narrowed(Some(at)).1);
        (after_start && before_reply && seen).then_some(at)
    }

    /// When it ended: as the API says, else as it was seen, else by when.
    fn end(&self) -> Option<End> {
        let seen = |earliest, latest| End { earliest, latest, fact: Fact::SeenToEnd };
        match (self.said(), self.watched) {
            (Some(at), _) => Some(End { earliest: Some(at), latest: at, fact: Fact::EndedAt }),
            (None, Some(When { earliest, latest })) => Some(seen(earliest, latest)),
            (None, None) => Some(seen(self.started, self.ended_by?)),
        }
    }
}

impl Against {
    fn before(self) -> Option<Duration> {
        match self {
            Self::Before(left) => Some(left),
            Self::Near(_) | Self::After(_) | Self::Either => None,
        }
    }
}

impl End {
    pub(super) fn against(self, expires: Timestamp) -> Against {
        let after = |at: Timestamp| at.signed_duration_since(expires).to_std().ok();
        let before = |at: Timestamp| expires.signed_duration_since(at).to_std().ok();
        // The end that is nearest to the expiry decides: what is claimed holds for the whole interval.
        let near = |at: Timestamp| {
            let off = before(at).or(after(at)).unwrap_or_default();
            (off <= NEAR_EXPIRY).then_some(off)
        };
        let Some(earliest) = self.earliest else {
            return match before(self.latest).filter(|left| *left > NEAR_EXPIRY) {
                Some(left) => Against::Before(left),
                None => Against::Either,
            };
        };
        match (near(earliest), near(self.latest)) {
            (Some(one), Some(other)) => Against::Near(one.max(other)),
            _ if saturating_add(self.latest, NEAR_EXPIRY) < expires => {
                Against::Before(before(self.latest).unwrap_or_default())
            }
            _ if earliest > saturating_add(expires, NEAR_EXPIRY) => {
                Against::After(after(earliest).unwrap_or_default())
            }
            _ => Against::Either,
        }
    }
}
