//! Ends that belong together: sessions that ended within [`CLUSTER_WINDOW`] of each other, by their own `endedAt`. One job that
//! finished, a bulk release or an outage looks like that, and is otherwise a dozen rows that say nothing of each other.
//!
//! Windows are cut from the ends as they are sorted by time: each begins at the first end that is in no window yet. So
//! the same ends give the same windows, in whatever order they were learned.
//!
//! Where sessions end all the time, some end together by chance, and that is no news: a window counts only if it has more
//! ends than the ten minutes before it would lead one to expect.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chrono::TimeDelta;

use super::verdict::EndCluster;
use crate::clock::{Timestamp, saturating_add};
use crate::session::SessionId;

/// Ends in one window are at most so far apart.
pub const CLUSTER_WINDOW: Duration = Duration::from_secs(3);
/// So long before a window its ends are compared with.
const BASELINE_PERIOD: TimeDelta = TimeDelta::minutes(10);
/// Ends are told of once no more of them came for so long: those of one moment are learned one by one.
const SETTLE_TIME: Duration = Duration::from_secs(5);
/// But not later than this after the first of them.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// The ends that can belong together.
#[derive(Debug, Default)]
pub(super) struct EndClusters {
    ends: BTreeSet<(Timestamp, SessionId)>,
    /// When each of them was.
    end_by_session: HashMap<SessionId, Timestamp>,
    /// Those that were not told of yet.
    unreported: Vec<(Timestamp, SessionId)>,
    /// When the first and the newest of `fresh` were learned, by the clock since boot.
    learned_at: Option<(Duration, Duration)>,
}

impl EndClusters {
    /// Takes an end, learned at `now`; one of the same session gives way.
    pub(super) fn add(&mut self, id: &SessionId, at: Timestamp, now: Duration) {
        if self.end_by_session.get(id) == Some(&at) {
            return;
        }
        self.remove(id);
        self.end_by_session.insert(id.clone(), at);
        self.ends.insert((at, id.clone()));
        if self.cluster_of(id, at).is_some() {
            self.unreported.push((at, id.clone()));
            self.learned_at = Some((self.learned_at.map_or(now, |(first, _)| first), now));
        }
    }

    /// Forgets the end of a session that lives after all, ended otherwise, or is no longer on record.
    pub(super) fn remove(&mut self, id: &SessionId) {
        let Some(at) = self.end_by_session.remove(id) else { return };
        let end = (at, id.clone());
        self.ends.remove(&end);
        self.unreported.retain(|fresh| *fresh != end);
    }

    /// How many are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// When [`EndClusters::take_ready`] will have something to say, by the clock since boot.
    pub(super) fn due(&self) -> Option<Duration> {
        let (first, newest) = self.learned_at?;
        Some(newest.saturating_add(SETTLE_TIME).min(first.saturating_add(MAX_WAIT)))
    }

    /// The windows with an end that was not told of yet, once that is due; each once.
    pub(super) fn take_ready(&mut self, now: Duration) -> Vec<EndCluster> {
        if self.due().is_none_or(|due| now < due) {
            return Vec::new();
        }
        self.learned_at = None;
        let mut ready: Vec<EndCluster> = Vec::new();
        for (at, id) in std::mem::take(&mut self.unreported) {
            if ready.iter().any(|window| window.ids.contains(&id)) {
                continue;
            }
            ready.extend(self.cluster_of(&id, at));
        }
        ready
    }

    /// The window that the end of `id` at `at` is in, if others are in it too.
    pub(super) fn cluster_of(&self, id: &SessionId, at: Timestamp) -> Option<EndCluster> {
        let own = (at, id.clone());
        if !self.ends.contains(&own) {
            return None;
        }
        // No window reaches over a gap of its own length: the row of ends without one begins the first window.
        let mut first = &own;
        for before in self.ends.range(..&own).rev() {
            if saturating_add(before.0, CLUSTER_WINDOW) < first.0 {
                break;
            }
            first = before;
        }
        let mut window: Vec<&(Timestamp, SessionId)> = Vec::new();
        for end in self.ends.range(first..) {
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
        (ids.len() > self.expected_by_chance(first)).then_some(EndCluster { ids, spread })
    }

    /// How many ends a window that begins with `first` can have by chance: what the ends before it come to in the length
    /// of a window, and three standard deviations of such counts more; one, where none were before.
    fn expected_by_chance(&self, first: &(Timestamp, SessionId)) -> usize {
        let since = first.0.checked_sub_signed(BASELINE_PERIOD).unwrap_or(Timestamp::MIN_UTC);
        let before = self.ends.range(..first).rev().take_while(|(at, _)| *at >= since).count();
        // With `n` ends in `w` windows of the time before, n/w are expected: 1 + n/w + 3·√(n/w), in whole numbers.
        let windows = usize::try_from(BASELINE_PERIOD.num_milliseconds()).unwrap_or(0);
        let windows = windows / usize::try_from(CLUSTER_WINDOW.as_millis()).unwrap_or(usize::MAX).max(1);
        let spread = before.saturating_mul(9).checked_div(windows).unwrap_or(0).isqrt();
        before.checked_div(windows).unwrap_or(0).saturating_add(spread).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn at(ms: u64) -> Timestamp {
        saturating_add(testing::noon(), MS(ms))
    }

    fn id(number: u64) -> SessionId {
        testing::id(&format!("s{number}"))
    }

    fn ends(times: &[u64]) -> EndClusters {
        let mut ends = EndClusters::default();
        for (number, time) in (0..).zip(times) {
            ends.add(&id(number), at(*time), MS(0));
        }
        ends
    }

    fn window(ends: &EndClusters, number: u64, time: u64) -> Option<(usize, Duration)> {
        ends.cluster_of(&id(number), at(time)).map(|window| (window.ids.len(), window.spread))
    }

    #[test]
    fn three_seconds_are_together_and_a_millisecond_more_is_not() {
        assert_eq!(window(&ends(&[0, 3000]), 0, 0), Some((2, MS(3000))));
        assert_eq!(window(&ends(&[0, 3000]), 1, 3000), Some((2, MS(3000))));
        assert_eq!(window(&ends(&[0, 3001]), 0, 0), None);
        assert_eq!(window(&ends(&[0]), 0, 0), None);
        assert_eq!(window(&ends(&[0, 0]), 1, 0), Some((2, MS(0))));
    }

    #[test]
    fn no_window_is_longer_than_three_seconds_and_every_end_is_in_one() {
        let row = ends(&[0, 2000, 4000, 6000, 8000]);
        assert_eq!(window(&row, 0, 0), Some((2, MS(2000))));
        assert_eq!(window(&row, 1, 2000), window(&row, 0, 0));
        assert_eq!(window(&row, 2, 4000), Some((2, MS(2000))));
        assert_eq!(window(&row, 4, 8000), None);
    }

    #[test]
    fn where_sessions_end_all_the_time_a_few_that_end_together_are_chance() {
        // One every two seconds for ten minutes, and then so many at once.
        for (many, told) in [(2, false), (5, false), (8, true)] {
            let mut times: Vec<u64> = (0..300).map(|number| number * 2000).collect();
            times.extend(std::iter::repeat_n(605_000, many));
            let busy = ends(&times);
            let window = window(&busy, 300, 605_000);
            assert_eq!(window.is_some(), told, "{many} at once: {window:?}");
        }
        let quiet = ends(&[0, 60_000, 120_000, 180_000, 181_000]);
        assert_eq!(window(&quiet, 4, 181_000), Some((2, MS(1000))));
    }

    #[test]
    fn they_are_told_of_once_no_more_of_them_come() {
        let mut ends = ends(&[0, 1200, 900]);
        assert_eq!(ends.due(), Some(SETTLE_TIME));
        assert_eq!(ends.take_ready(MS(4999)), []);
        ends.add(&id(9), at(60_000), MS(4999)); // alone: nobody waits for it
        let told = ends.take_ready(MS(5000));
        assert_eq!(told, [EndCluster { ids: vec![id(0), id(2), id(1)], spread: MS(1200) }]);
        assert_eq!((ends.due(), ends.take_ready(MS(99_999))), (None, vec![]));
    }

    #[test]
    fn ends_that_keep_coming_do_not_keep_the_others_untold() {
        let mut ends = EndClusters::default();
        for second in 0..19 {
            ends.add(&id(second), at(second * 10), MS(second * 1000 + 1000));
        }
        assert_eq!(ends.due(), Some(MS(2000) + MAX_WAIT));
    }

    #[test]
    fn what_lives_after_all_is_forgotten() {
        let mut ends = ends(&[0, 1000]);
        ends.remove(&id(1));
        assert_eq!(window(&ends, 0, 0), None);
        assert_eq!(ends.take_ready(MAX_WAIT), []);
        // The one that is still over is not told of again, nor forgotten for what is told next.
        ends.add(&id(2), at(500), MS(60_000));
        let told = ends.take_ready(MS(70_000));
        assert_eq!(told, [EndCluster { ids: vec![id(0), id(2)], spread: MS(500) }]);
        let mut ends = self::ends(&[0, 1000, 9000, 9500]);
        ends.remove(&id(3));
        let told = ends.take_ready(MAX_WAIT);
        assert_eq!(
            told,
            [EndCluster { ids: vec![id(0), id(1)], spread: MS(1000) }],
            "one that lives unsays no others"
        );
    }

    #[test]
    fn a_session_has_one_end_however_often_it_is_told_another() {
        let mut ends = ends(&[0, 60_000]);
        ends.add(&id(1), at(120_000), MS(0));
        ends.add(&id(1), at(2_000), MS(0));
        assert_eq!(ends.len(), 2);
        assert_eq!((window(&ends, 1, 60_000), window(&ends, 1, 2_000)), (None, Some((2, MS(2000)))));
    }
}
