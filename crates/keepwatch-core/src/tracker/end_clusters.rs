//! End clusters: sessions that ended within [`CLUSTER_WINDOW`] of each other, by their `endedAt`.
//!
//! A finished job, a bulk release or an outage ends many sessions at once. Without clusters, these ends would look
//! unrelated.
//!
//! The ends are sorted by time and cut into windows. Each window begins at the first end after the previous window. The
//! same ends therefore give the same windows, in whatever order the tracker learns of them.
//!
//! On a busy project, some sessions end together by chance. A window therefore counts as a cluster only if it has more
//! ends than chance explains, given the number of ends in the ten minutes before it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chrono::TimeDelta;

use super::verdict::EndCluster;
use crate::clock::{Timestamp, saturating_add};
use crate::session::SessionId;

/// The maximum time between the first and the last end of a window.
pub const CLUSTER_WINDOW: Duration = Duration::from_secs(3);
/// The period before a window. Its ends tell how many ends the window may have by chance.
const BASELINE_PERIOD: TimeDelta = TimeDelta::minutes(10);
/// The time from learning of the newest unreported end to reporting the clusters. The tracker waits because it learns
/// of simultaneous ends one by one.
const SETTLE_TIME: Duration = Duration::from_secs(5);
/// The maximum time from learning of an end that belongs to a cluster to reporting that cluster.
const MAX_WAIT: Duration = Duration::from_secs(20);
/// If chance alone causes more such clusters a day than this, chance is a plausible cause: one cluster in four days.
const MAX_CHANCE_CLUSTERS_A_DAY: f64 = 0.25;
/// The minimum period for the estimate of chance, even if the watch has just begun.
const MIN_BASELINE: TimeDelta = TimeDelta::minutes(2);
/// The minimum spread that the estimate of chance assumes. `endedAt` may be rounded to whole seconds, so simultaneous
/// timestamps can be almost a second apart.
const MIN_SPREAD: Duration = Duration::from_secs(1);
const SECONDS_A_DAY: f64 = 86_400.0;

/// The ends that can form clusters.
#[derive(Debug, Default)]
pub(super) struct EndClusters {
    /// All ends, sorted by time.
    ends: BTreeSet<(Timestamp, SessionId)>,
    /// The time of each session's end.
    end_by_session: HashMap<SessionId, Timestamp>,
    /// The ends that were in a cluster when they were added, until their cluster is reported. They are in the order in
    /// which the tracker learned of them.
    unreported: Vec<UnreportedEnd>,
}

/// An end whose cluster is not reported.
#[derive(Debug)]
struct UnreportedEnd {
    id: SessionId,
    at: Timestamp,
    /// The time at which the tracker learned of the end, on our clock since boot.
    learned_at: Duration,
}

impl EndClusters {
    /// Adds the end of a session. The tracker learned of it at `now`, on our clock since boot. Replaces the end of this
    /// session that was added before.
    pub(super) fn add(&mut self, id: &SessionId, at: Timestamp, now: Duration) {
        if self.end_by_session.get(id) == Some(&at) {
            return;
        }
        self.remove(id);
        self.end_by_session.insert(id.clone(), at);
        self.ends.insert((at, id.clone()));
        if self.cluster_of(id, at).is_some() {
            self.unreported.push(UnreportedEnd { id: id.clone(), at, learned_at: now });
        }
    }

    /// Removes the end of a session that runs again, can no longer join a cluster, or was evicted.
    pub(super) fn remove(&mut self, id: &SessionId) {
        let Some(at) = self.end_by_session.remove(id) else { return };
        self.ends.remove(&(at, id.clone()));
        self.unreported.retain(|end| end.id != *id);
    }

    /// Returns the number of ends.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the time, on our clock since boot, at which the unreported clusters are due. `None` if no cluster is
    /// unreported.
    pub(super) fn due(&self) -> Option<Duration> {
        let (oldest, newest) = (self.unreported.first()?, self.unreported.last()?);
        Some(newest.learned_at.saturating_add(SETTLE_TIME).min(oldest.learned_at.saturating_add(MAX_WAIT)))
    }

    /// If clusters are due, returns those with an unreported end, and marks all ends as reported. Otherwise returns
    /// nothing. The flag is true if [`EndClusters::is_plausible_by_chance`] holds for the cluster.
    pub(super) fn take_due(&mut self, now: Duration, watched_since: Timestamp) -> Vec<(EndCluster, bool)> {
        if self.due().is_none_or(|due| now < due) {
            return Vec::new();
        }
        let mut clusters: Vec<(EndCluster, bool)> = Vec::new();
        for UnreportedEnd { id, at, .. } in std::mem::take(&mut self.unreported) {
            if clusters.iter().any(|(cluster, _)| cluster.ids.contains(&id)) {
                continue;
            }
            let cluster = self.cluster_of(&id, at);
            clusters.extend(cluster.map(|cluster| {
                let is_by_chance = self.is_plausible_by_chance(&cluster, watched_since);
                (cluster, is_by_chance)
            }));
        }
        clusters
    }

    /// Returns the cluster that the end of `id` at `at` belongs to, if any.
    pub(super) fn cluster_of(&self, id: &SessionId, at: Timestamp) -> Option<EndCluster> {
        let own = (at, id.clone());
        if !self.ends.contains(&own) {
            return None;
        }
        // A gap longer than a window always separates two windows. Go back to the nearest such gap: the end after it
        // begins a window. On a busy project this may go back over all ends, but they are few: the tracker evicts
        // unnamed sessions above `MAX_FINAL_SESSIONS`. With 500 ends, a call takes 0.4 ms in a debug build.
        let mut scan_start = &own;
        for earlier in self.ends.range(..&own).rev() {
            if saturating_add(earlier.0, CLUSTER_WINDOW) < scan_start.0 {
                break;
            }
            scan_start = earlier;
        }
        let mut window: Vec<&(Timestamp, SessionId)> = Vec::new();
        for end in self.ends.range(scan_start..) {
            if window.first().is_some_and(|first| saturating_add(first.0, CLUSTER_WINDOW) < end.0) {
                if window.contains(&&own) {
                    break;
                }
                window.clear();
            }
            window.push(end);
        }
        let (first, last) = (window.first()?, window.last()?);
        let spread = last.0.signed_duration_since(first.0).to_std().ok()?;
        let ids: Vec<SessionId> = window.iter().map(|(_, id)| id.clone()).collect();
        (ids.len() > self.max_ends_by_chance(first)).then_some(EndCluster { ids, spread })
    }

    /// Returns the maximum number of ends that chance explains in the window that begins with `first`.
    ///
    /// This maximum is the average number of ends per window in the [`BASELINE_PERIOD`] before `first`, plus three
    /// standard deviations, plus one.
    fn max_ends_by_chance(&self, first: &(Timestamp, SessionId)) -> usize {
        let earlier_ends = self.earlier_ends(first);
        // For n earlier ends in w windows, the result is 1 + n/w + 3·√(n/w). 3·√(n/w) = √(9·n/w). Each term is rounded
        // down.
        let baseline_millis = usize::try_from(BASELINE_PERIOD.num_milliseconds()).unwrap_or(0);
        let windows =
            baseline_millis / usize::try_from(CLUSTER_WINDOW.as_millis()).unwrap_or(usize::MAX).max(1);
        let three_deviations = earlier_ends.saturating_mul(9).checked_div(windows).unwrap_or(0).isqrt();
        earlier_ends.checked_div(windows).unwrap_or(0).saturating_add(three_deviations).saturating_add(1)
    }

    /// Returns true if independent ends would form such a cluster more often than [`MAX_CHANCE_CLUSTERS_A_DAY`].
    ///
    /// Each cluster that [`EndClusters::cluster_of`] finds gets an event. Only a cluster that chance does not explain may
    /// raise alerts, which need more evidence. This limit is therefore much stricter than that of `cluster_of`: two ends
    /// within a second are enough only on a project where no other session ended in the [`BASELINE_PERIOD`].
    fn is_plausible_by_chance(&self, cluster: &EndCluster, watched_since: Timestamp) -> bool {
        let first = cluster.ids.first().and_then(|id| Some((*self.end_by_session.get(id)?, id.clone())));
        let Some(first) = first else { return true };
        // Ends before the watch began are not known.
        let watched = first.0.signed_duration_since(watched_since).clamp(MIN_BASELINE, BASELINE_PERIOD);
        let baseline = watched.to_std().unwrap_or_default().as_secs_f64();
        // Count one end more than there are: if there is no earlier end, the rate is still not zero.
        let ends_a_second = (self.earlier_ends(&first) as f64 + 1.0) / baseline;
        let expected = ends_a_second * cluster.spread.max(MIN_SPREAD).as_secs_f64();
        // The probability that k further ends follow a given one within the spread is at most expected^k / k!.
        let further_ends = cluster.ids.len().saturating_sub(1);
        let probability: f64 = (1..=further_ends).map(|number| expected / number as f64).product();
        ends_a_second * SECONDS_A_DAY * probability > MAX_CHANCE_CLUSTERS_A_DAY
    }

    /// Returns the number of ends in the [`BASELINE_PERIOD`] before `first`.
    fn earlier_ends(&self, first: &(Timestamp, SessionId)) -> usize {
        let baseline_start = first.0.checked_sub_signed(BASELINE_PERIOD).unwrap_or(Timestamp::MIN_UTC);
        self.ends.range(..first).rev().take_while(|(at, _)| *at >= baseline_start).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn millis(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Returns the time `milliseconds` after noon.
    fn at(milliseconds: u64) -> Timestamp {
        saturating_add(testing::noon(), millis(milliseconds))
    }

    /// Returns the start of the watch: ten minutes before noon.
    fn watched_since() -> Timestamp {
        testing::noon() - BASELINE_PERIOD
    }

    /// Returns the clusters that are due, without the estimate of chance.
    fn due_clusters(ends: &mut EndClusters, now: Duration) -> Vec<EndCluster> {
        ends.take_due(now, watched_since()).into_iter().map(|(cluster, _)| cluster).collect()
    }

    fn id(number: u64) -> SessionId {
        testing::id(&format!("s{number}"))
    }

    /// Returns the ends of the sessions 0, 1 and so on, at these milliseconds after noon. The tracker learned of all
    /// ends at boot.
    fn ends_at(times: &[u64]) -> EndClusters {
        let mut ends = EndClusters::default();
        for (number, time) in (0..).zip(times) {
            ends.add(&id(number), at(*time), millis(0));
        }
        ends
    }

    /// Returns the size and the spread of the cluster of the session `number`, which ended `time` milliseconds after
    /// noon.
    fn size_and_spread(ends: &EndClusters, number: u64, time: u64) -> Option<(usize, Duration)> {
        ends.cluster_of(&id(number), at(time)).map(|cluster| (cluster.ids.len(), cluster.spread))
    }

    #[test]
    fn cluster_window_is_three_seconds() {
        assert_eq!(size_and_spread(&ends_at(&[0, 3000]), 0, 0), Some((2, millis(3000))));
        assert_eq!(size_and_spread(&ends_at(&[0, 3000]), 1, 3000), Some((2, millis(3000))));
        assert_eq!(size_and_spread(&ends_at(&[0, 3001]), 0, 0), None);
        assert_eq!(size_and_spread(&ends_at(&[0]), 0, 0), None, "one end is not a cluster");
        assert_eq!(size_and_spread(&ends_at(&[0, 0]), 1, 0), Some((2, millis(0))));
    }

    #[test]
    fn close_ends_are_cut_into_windows() {
        // The windows are [0, 2000], [4000, 6000] and [8000].
        let in_a_row = ends_at(&[0, 2000, 4000, 6000, 8000]);
        assert_eq!(size_and_spread(&in_a_row, 0, 0), Some((2, millis(2000))));
        assert_eq!(size_and_spread(&in_a_row, 1, 2000), size_and_spread(&in_a_row, 0, 0));
        assert_eq!(size_and_spread(&in_a_row, 2, 4000), Some((2, millis(2000))));
        assert_eq!(size_and_spread(&in_a_row, 4, 8000), None);
    }

    #[test]
    fn busy_project_needs_larger_clusters() {
        // One end every two seconds for ten minutes, then `at_once` ends together. Chance explains up to five.
        for (at_once, is_cluster) in [(2, false), (5, false), (8, true)] {
            let mut times: Vec<u64> = (0..300).map(|number| number * 2000).collect();
            times.extend(std::iter::repeat_n(605_000, at_once));
            let busy = ends_at(&times);
            let found = size_and_spread(&busy, 300, 605_000);
            assert_eq!(found.is_some(), is_cluster, "{at_once} ends at once: {found:?}");
        }
        let quiet = ends_at(&[0, 60_000, 120_000, 180_000, 181_000]);
        assert_eq!(
            size_and_spread(&quiet, 4, 181_000),
            Some((2, millis(1000))),
            "two ends are a cluster on a quiet project"
        );
    }

    #[test]
    fn cluster_is_reported_after_settling() {
        let mut ends = ends_at(&[0, 1200, 900]);
        assert_eq!(ends.due(), Some(SETTLE_TIME));
        let before_due = SETTLE_TIME.saturating_sub(millis(1));
        assert_eq!(due_clusters(&mut ends, before_due), []);
        ends.add(&id(9), at(60_000), before_due); // an end without a cluster does not extend the wait
        let clusters = due_clusters(&mut ends, SETTLE_TIME);
        assert_eq!(clusters, [EndCluster { ids: vec![id(0), id(2), id(1)], spread: millis(1200) }]);
        assert_eq!((ends.due(), due_clusters(&mut ends, millis(99_999))), (None, vec![]));
    }

    #[test]
    fn steady_ends_cannot_delay_report_past_max_wait() {
        let mut ends = EndClusters::default();
        // All ends are in one window. The tracker learns of one per second, so the clusters never settle.
        for number in 0..19 {
            ends.add(&id(number), at(number * 10), millis(number * 1000 + 1000));
        }
        // The first end alone is not a cluster. The wait begins with the second end, which the tracker learned of at
        // 2 s.
        assert_eq!(ends.due(), Some(millis(2000) + MAX_WAIT));
    }

    #[test]
    fn revived_session_leaves_its_cluster() {
        let mut ends = ends_at(&[0, 1000]);
        ends.remove(&id(1));
        assert_eq!((size_and_spread(&ends, 0, 0), ends.due()), (None, None));
        assert_eq!(due_clusters(&mut ends, MAX_WAIT), []);
        // The remaining end is not reported alone, but still counts for the next cluster.
        ends.add(&id(2), at(500), millis(60_000));
        let clusters = due_clusters(&mut ends, millis(70_000));
        assert_eq!(clusters, [EndCluster { ids: vec![id(0), id(2)], spread: millis(500) }]);
        let mut ends = ends_at(&[0, 1000, 9000, 9500]);
        ends.remove(&id(3));
        let clusters = due_clusters(&mut ends, MAX_WAIT);
        assert_eq!(
            clusters,
            [EndCluster { ids: vec![id(0), id(1)], spread: millis(1000) }],
            "a revived session does not affect other clusters"
        );
    }

    #[test]
    fn removed_end_does_not_affect_due_time() {
        let mut ends = ends_at(&[0, 1000]); // the end of session 1 is unreported since boot
        ends.add(&id(2), at(2000), millis(3000));
        ends.add(&id(3), at(2500), millis(4000));
        ends.remove(&id(1));
        ends.remove(&id(3));
        assert_eq!(ends.due(), Some(millis(3000) + SETTLE_TIME));
        ends.remove(&id(2));
        assert_eq!(ends.due(), None);
    }

    #[test]
    fn new_end_of_session_replaces_old() {
        let mut ends = ends_at(&[0, 60_000]);
        ends.add(&id(1), at(120_000), millis(0));
        ends.add(&id(1), at(2_000), millis(0));
        assert_eq!(ends.len(), 2);
        assert_eq!(
            (size_and_spread(&ends, 1, 60_000), size_and_spread(&ends, 1, 2_000)),
            (None, Some((2, millis(2000))))
        );
    }

    #[test]
    fn chance_explains_small_clusters_of_busy_projects() {
        // The number of ends in the ten minutes before the cluster, the number of ends in it, and its spread.
        for (earlier, size, spread_ms, is_by_chance) in [
            (0, 2, 900, false),
            (0, 2, 2500, true),
            (1, 2, 900, true),
            (5, 2, 100, true),
            (0, 3, 2900, false),
            (5, 3, 1200, false),
            (17, 3, 2900, true),
            (17, 5, 2900, false),
        ] {
            let cluster_start = 600_000;
            let mut times: Vec<u64> = (0..earlier).map(|number| number * 30_000).collect();
            times.extend((0..size).map(|number| cluster_start + number * spread_ms / (size - 1)));
            let mut ends = ends_at(&times);
            let clusters = ends.take_due(MAX_WAIT, watched_since());
            let last = clusters.last().unwrap();
            assert_eq!(last.0.ids.len() as u64, size);
            assert_eq!(last.1, is_by_chance, "{earlier} earlier ends, {size} ends within {spread_ms} ms");
        }
    }

    /// Two ends within a second, soon after the start, prove nothing: other sessions may have ended before.
    #[test]
    fn short_watch_explains_close_ends_by_chance() {
        for (watched_secs, is_by_chance) in [(10, true), (300, true), (600, false)] {
            let mut ends = ends_at(&[0, 300]);
            let watched_since = testing::noon() - TimeDelta::seconds(watched_secs);
            assert_eq!(ends.take_due(MAX_WAIT, watched_since)[0].1, is_by_chance, "{watched_secs} s");
        }
        let mut ends = ends_at(&[0, 500, 1200]);
        let clusters = ends.take_due(MAX_WAIT, testing::noon() - TimeDelta::seconds(10));
        assert!(!clusters[0].1, "three within 1.2 s are more than chance explains");
    }
}
