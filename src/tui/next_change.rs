//! Computes the time at which the screen next changes without a message, for example because a countdown ticks or a
//! notice expires. The event loop sleeps until then.

use std::time::Duration;

use super::focus::Focus;
use super::model::Model;
use super::profiles::ProfileId;
use keepwatch_core::clock::Moment;
use keepwatch_core::session::Phase;
use keepwatch_core::tracker::TimeLeft;

/// The minimum time left for which a countdown shows whole minutes only. With less time left, it also shows seconds.
pub(crate) const MINUTES_ONLY_THRESHOLD: Duration = Duration::from_secs(60 * 60);
/// The minimum wait for a change that may already be due. It keeps the event loop from spinning.
const MIN_WAIT: Duration = Duration::from_millis(1);

impl Model {
    /// Returns the time at which the screen next changes without a message, on the monotonic clock. Returns `None` if
    /// only a message can change the screen.
    ///
    /// Among the sessions, only the visible ones and the selected one count. All countdowns tick together, at the whole
    /// seconds of the server's clock.
    #[must_use]
    pub fn next_change(&self, now: Moment) -> Option<Duration> {
        let time_until = |boot_time: Duration| boot_time.saturating_sub(now.boot);
        let mut shortest_wait = self.notice.as_ref().map(|notice| time_until(notice.expires_at));
        let mut wake_in =
            |wait: Duration| shortest_wait = Some(shortest_wait.map_or(wait, |shortest| shortest.min(wait)));
        if let Some(wait) = self.profiles.time_until_deadline(now) {
            wake_in(wait.max(MIN_WAIT));
        }
        let subsec_nanos = self.server_time(now).timestamp_subsec_nanos();
        let rest_of_second = Duration::from_nanos(1_000_000_000_u64.saturating_sub(u64::from(subsec_nanos)));
        // The time until the server's clock starts a new second for the `count`th time from now.
        let until_second =
            |count: u64| rest_of_second.saturating_add(Duration::from_secs(count.saturating_sub(1)));
        if let Focus::Reveal { expires_at, .. } = self.focus {
            wake_in(time_until(expires_at).min(until_second(1)));
        }
        for profile in self.profiles.ids() {
            if self.stale_data_age(profile, now).is_some() || self.shows_retry_countdown(profile, now) {
                wake_in(until_second(1));
            } else if let Some(last_success) = self.profiles.get(profile).tracker.health().last_success
                && !self.paused
                && self.expects_responses(profile)
            {
                let stale_at = last_success.received.boot.saturating_add(self.stale_after());
                wake_in(time_until(stale_at).max(MIN_WAIT));
            }
        }
        let shown_ids = self
            .table
            .rows()
            .visible(self.table.top(), self.viewport().table_rows())
            .chain(self.table.selected());
        for (profile, record) in shown_ids.filter_map(|id| self.profiles.find(id)) {
            let server_time = self.profiles.profile_time(profile, now);
            match record.time_left(self.profiles.get(profile).tracker.clock(), server_time) {
                // The countdown changes when the time left falls below the whole minutes that the countdown shows.
                TimeLeft::Remaining(left) if left >= MINUTES_ONLY_THRESHOLD => {
                    wake_in(until_second(
                        left.as_secs().checked_rem(60).unwrap_or_default().saturating_add(1),
                    ));
                }
                TimeLeft::Remaining(_) => wake_in(until_second(1)),
                // Only a response changes the text for these.
                TimeLeft::Unknown
                | TimeLeft::Starting
                | TimeLeft::Expiring
                | TimeLeft::Overdue(_)
                | TimeLeft::Ended => {}
            }
            // Ages are shown in whole minutes.
            if let Some(age) = record.age(server_time).filter(|_| record.phase() != Phase::Ended) {
                wake_in(until_second(
                    60_u64.saturating_sub(age.as_secs().checked_rem(60).unwrap_or_default()),
                ));
            }
        }
        shortest_wait.map(|wait| now.mono.saturating_add(wait))
    }

    /// Returns true if the countdown to the next retry is visible.
    fn shows_retry_countdown(&self, profile: ProfileId, now: Moment) -> bool {
        let next_retry = self
            .profiles
            .get(profile)
            .tracker
            .health()
            .failure_streak
            .as_ref()
            .and_then(|streak| streak.next);
        !self.paused && next_retry.is_some_and(|retry_at| retry_at.boot > now.boot)
    }
}
