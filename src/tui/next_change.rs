//! The time of the next change on the screen without any message: a countdown, an age, or a notice that expires. The
//! event loop sleeps until then.

use std::time::Duration;

use super::focus::Focus;
use super::model::Model;
use super::profiles::ProfileId;
use keepwatch_core::clock::Moment;
use keepwatch_core::session::Phase;
use keepwatch_core::tracker::TimeLeft;

/// The time left from which a countdown shows minutes only.
pub(crate) const MINUTES_ONLY_FROM: Duration = Duration::from_secs(60 * 60);

impl Model {
    /// Returns the time at which the screen next changes without any message, on the monotonic clock, or `None` if it
    /// never will.
    ///
    /// Only visible rows and the selected session count. All countdowns tick together, with the server's seconds.
    #[must_use]
    pub fn next_change(&self, now: Moment) -> Option<Duration> {
        let time_until = |until: Duration| until.saturating_sub(now.boot);
        let mut wait: Option<Duration> = self.notice.as_ref().map(|notice| time_until(notice.until));
        let mut wake_in =
            |candidate: Duration| wait = Some(wait.map_or(candidate, |wait| wait.min(candidate)));
        if let Some(wait) = self.profiles.next_deadline(now) {
            wake_in(wait.max(Duration::from_millis(1)));
        }
        let server = self.server_time(now);
        let next_second = Duration::from_nanos(
            1_000_000_000_u64.saturating_sub(u64::from(server.timestamp_subsec_nanos())),
        );
        let until_second =
            |seconds: u64| next_second.saturating_add(Duration::from_secs(seconds.saturating_sub(1)));
        if let Focus::Reveal { until, .. } = self.focus {
            wake_in(time_until(until).min(until_second(1)));
        }
        for profile in self.profiles.ids() {
            if self.stale_data_age(profile, now).is_some() || self.shows_retry_countdown(profile, now) {
                wake_in(until_second(1));
            } else if let Some(last_success) = self.profiles.get(profile).tracker.health().last_success
                && !self.paused
                && self.expects_responses(profile)
            {
                let stale_at = last_success.received.boot.saturating_add(self.stale_after());
                wake_in(time_until(stale_at).max(Duration::from_millis(1)));
            }
        }
        let shown = self
            .table
            .rows()
            .visible(self.table.top(), self.viewport().table_rows())
            .chain(self.table.selected());
        for (profile, record) in shown.filter_map(|id| self.profiles.find(id)) {
            let server = self.profiles.profile_time(profile, now);
            match record.time_left(self.profiles.get(profile).tracker.clock(), server) {
                TimeLeft::Remaining(left) if left >= MINUTES_ONLY_FROM => {
                    wake_in(until_second(
                        left.as_secs().checked_rem(60).unwrap_or_default().saturating_add(1),
                    ));
                }
                TimeLeft::Remaining(_) => wake_in(until_second(1)),
                // These texts change with the next response only.
                TimeLeft::Unknown
                | TimeLeft::Starting
                | TimeLeft::Expiring
                | TimeLeft::Overdue(_)
                | TimeLeft::Ended => {}
            }
            if let Some(age) = record.age(server).filter(|_| record.phase() != Phase::Ended) {
                wake_in(until_second(
                    60_u64.saturating_sub(age.as_secs().checked_rem(60).unwrap_or_default()),
                ));
            }
        }
        wait.map(|wait| now.mono.saturating_add(wait))
    }

    /// Returns true if the countdown to the next retry is visible.
    fn shows_retry_countdown(&self, profile: ProfileId, now: Moment) -> bool {
        let next = self
            .profiles
            .get(profile)
            .tracker
            .health()
            .failure_streak
            .as_ref()
            .and_then(|streak| streak.next);
        !self.paused && next.is_some_and(|next| next.boot > now.boot)
    }
}
