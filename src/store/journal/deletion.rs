//! The marks of deletions in the file, and the writer's check of them. The marks prevent deleted data from being
//! written again. This module never deletes: `clear` and `prune` delete, and set the marks in the same transaction.
//!
//! ```text
//!   clear ────────► token, cleared ──┐
//!   prune ────────► pruned ──────────┤
//!                                    ▼
//!   each write transaction reads the marks first:
//!     another token ──► drop the batch, the open segment, the queued summaries and alerts; tell the sender
//!     a summary no newer than `pruned`, without a segment that mentions its session ──► drop it
//!     an alert no newer than `pruned`, of whose session nothing else is left ──► drop it
//! ```
//!
//! The sender learns of the clear when it starts its next segment. Until then, everything it sends is dropped, because
//! it may rest on data from before the clear.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::SessionSummary;
use super::reader::{from_millis, to_millis};
use keepwatch_core::clock::{Moment, Timestamp};

/// The marks of deletions in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeletionMarks {
    /// A random number. Another number means that the file was cleared, or that it is another file.
    pub(super) token: i64,
    /// Time of the newest clear, in milliseconds since 1970; `None` if the file was never cleared.
    cleared: Option<i64>,
    /// Time of the newest data that pruning has deleted, in milliseconds since 1970.
    pub(super) pruned: i64,
}

impl DeletionMarks {
    /// Reads the marks.
    pub(super) fn read(db: &Connection) -> rusqlite::Result<Self> {
        db.prepare_cached("SELECT token, cleared, pruned FROM deletion")?
            .query_row([], |row| Ok(Self { token: row.get(0)?, cleared: row.get(1)?, pruned: row.get(2)? }))
    }

    /// Returns true if pruning has deleted the data of a summary: the summary is no newer than the newest deleted data,
    /// and its run has no segment left that mentions the session.
    pub(super) fn cover(self, db: &Connection, summary: &SessionSummary) -> rusqlite::Result<bool> {
        if to_millis(summary.last_seen) > self.pruned {
            return Ok(false);
        }
        let mut statement = db.prepare_cached(
            "SELECT 1 FROM mention JOIN segment ON segment.id = mention.segment
             WHERE mention.session = ?1 AND segment.run = ?2",
        )?;
        Ok(!statement.exists(params![summary.session.raw(), summary.run.as_str()])?)
    }
}

/// Records in the file that everything was deleted at `now`.
pub(super) fn mark_cleared(db: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    db.execute("UPDATE deletion SET token = random(), cleared = ?1", [to_millis(now)])?;
    Ok(())
}

/// Records in the file that pruning has deleted data from the time `newest`, in milliseconds since 1970. Keeps a later
/// mark.
pub(super) fn mark_pruned(db: &Connection, newest: i64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE deletion SET pruned = ?1 WHERE pruned < ?1")?.execute([newest])?;
    Ok(())
}

/// Returns the time of the newest data in the file, in milliseconds since 1970. Prefers the summaries, because their
/// times are on the server's clock.
pub(super) fn newest_time(db: &Connection) -> rusqlite::Result<Option<i64>> {
    let newest =
        |sql| db.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)).optional().map(Option::flatten);
    match newest("SELECT max(last_seen) FROM summary")? {
        None => newest("SELECT max(last) FROM segment"),
        found => Ok(found),
    }
}

/// The writer's knowledge of the marks.
#[derive(Debug)]
pub(super) struct ClearWatch {
    /// The token at the last check; `None` before the first check.
    token: Option<i64>,
    /// The moment of the last check; of the start, before the first check.
    checked_at: Moment,
}

impl ClearWatch {
    /// Starts to watch at `now`.
    pub(super) fn new(now: Moment) -> Self {
        Self { token: None, checked_at: now }
    }

    /// Compares the marks with those of the last check. If the file was cleared or replaced since then, returns the
    /// moment of the clear. If that moment is unknown, returns `now`, the latest possible moment.
    pub(super) fn check(&mut self, marks: DeletionMarks, now: Moment) -> Option<Moment> {
        let since = std::mem::replace(&mut self.checked_at, now);
        let previous = self.token.replace(marks.token);
        if previous == Some(marks.token) {
            return None;
        }
        // The stored time has lost its fraction of a millisecond, so it is rounded up.
        let cleared = marks.cleared.map(|ms| from_millis(ms.saturating_add(1)));
        // A time outside this interval is ignored: our clock is wrong, or that of the process that cleared the file.
        let cleared = cleared.filter(|at| (since.wall..=now.wall).contains(at));
        match (previous, cleared.map(|at| now.wall.signed_duration_since(at).to_std().unwrap_or_default())) {
            (_, Some(age)) => Some(now.minus(age)),
            (Some(_), None) => Some(now),
            (None, None) => None, // the file was not cleared during this run
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use keepwatch_core::testing::moment;

    fn marks(token: i64, cleared: Option<Moment>) -> DeletionMarks {
        DeletionMarks { token, cleared: cleared.map(|at| to_millis(at.wall)), pruned: 0 }
    }

    #[test]
    fn clear_is_found_once() {
        let mut watch = ClearWatch::new(moment(0));
        assert_eq!(watch.check(marks(1, None), moment(1)), None);
        assert_eq!(watch.check(marks(1, None), moment(2)), None);
        let cleared = marks(2, Some(moment(5)));
        let found = watch.check(cleared, moment(9));
        assert_eq!(found, Some(moment(5).plus(Duration::from_millis(1))));
        assert_eq!(watch.check(cleared, moment(10)), None);
    }

    #[test]
    fn first_check_finds_only_clear_since_start() {
        let cleared = marks(1, Some(moment(5)));
        let started_before_clear = ClearWatch::new(moment(3)).check(cleared, moment(9));
        assert!(started_before_clear.is_some());
        let started_after_clear = ClearWatch::new(moment(6)).check(cleared, moment(9));
        assert_eq!(started_after_clear, None);
    }

    #[test]
    fn clear_at_impossible_time_counts_as_now() {
        let mut watch = ClearWatch::new(moment(0));
        assert_eq!(watch.check(marks(1, None), moment(4)), None);
        let before_last_check = marks(2, Some(moment(3)));
        assert_eq!(watch.check(before_last_check, moment(9)), Some(moment(9)));
        let in_future = marks(3, Some(moment(99)));
        assert_eq!(watch.check(in_future, moment(10)), Some(moment(10)));
        assert_eq!(
            watch.check(marks(4, None), moment(11)),
            Some(moment(11)),
            "another file counts as cleared"
        );
    }
}
