//! The read side of the journal: merges the segments of earlier runs into one stream of inputs, on this run's clock.
//! Never writes.
//!
//! ```text
//!   JournalReader ──► one InputLog per segment ──► SegmentCursor ──► merged by time ──► Input, on this run's clock
//! ```
//!
//! The monotonic times of another run cannot be compared with this run's. So each segment is shifted as a whole, by an
//! offset that gives its newest input the age that the wall clock says. Time differences within a segment stay the
//! same.

use std::time::Duration;

use chrono::TimeDelta;

use crate::store::journal::{JournalError, JournalReader, RunId, SegmentFilter, StoredSegment};
use crate::store::{Decoder, InputLog, StreamEntry, StreamHeader};
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::SessionId;
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::{Input, Scope};

/// The sessions to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryScope {
    /// These sessions. Includes inputs that concern all sessions.
    Sessions(Vec<SessionId>),
    /// All sessions of these projects.
    Projects(Vec<Untrusted>),
}

/// A selection of journal entries.
#[derive(Clone, Copy, Debug)]
pub struct HistoryQuery<'q> {
    /// The sessions to read.
    pub scope: &'q HistoryScope,
    /// Segments that ended before this time are skipped.
    pub since: Timestamp,
    /// Segments that ended at this time or later are skipped; `None` to skip none.
    pub until: Option<Timestamp>,
    /// The API host whose segments are read; `None` for all hosts.
    pub host: Option<&'q str>,
    /// A run whose segments are skipped.
    pub excluded_run: Option<&'q RunId>,
    /// Maximum size of all entries, in bytes. If the entries of all segments are larger, only the newest segments are
    /// read, but at least one segment.
    pub max_bytes: usize,
}

impl<'q> HistoryQuery<'q> {
    /// Creates a query for everything in `scope`.
    #[must_use]
    pub fn all(scope: &'q HistoryScope) -> Self {
        let since = Timestamp::UNIX_EPOCH;
        Self { scope, since, until: None, host: None, excluded_run: None, max_bytes: usize::MAX }
    }

    /// Returns the segments that may have entries in the scope, the oldest first.
    fn segments(&self, reader: &JournalReader) -> Result<Vec<StoredSegment>, JournalError> {
        let filter = match self.scope {
            HistoryScope::Sessions(ids) => SegmentFilter::Sessions(ids),
            HistoryScope::Projects(projects) => SegmentFilter::Projects(projects),
        };
        let mut segments = reader.segments(self.since, filter)?;
        segments.retain(|segment| {
            self.excluded_run != Some(&segment.run)
                && self.host.is_none_or(|host| host == segment.host)
                && self.until.is_none_or(|until| segment.newest_at < until)
        });
        Ok(segments)
    }
}

/// Returns the header and the host of the newest segment with a readable header; `None` if no segment has one.
///
/// # Errors
/// The journal cannot be read.
pub fn newest_header(
    reader: &JournalReader,
    query: &HistoryQuery<'_>,
) -> Result<Option<(StreamHeader, String)>, JournalError> {
    let segments = query.segments(reader)?;
    let parse = |segment: StoredSegment| Some((serde_json::from_str(&segment.header).ok()?, segment.host));
    Ok(segments.into_iter().rev().find_map(parse))
}

/// Returns the time of the newest entry in the segments of `query`, by the wall clock of the run that wrote it; `None` if
/// there is no segment.
///
/// # Errors
/// The journal cannot be read.
pub fn newest_entry_time(
    reader: &JournalReader,
    query: &HistoryQuery<'_>,
) -> Result<Option<Timestamp>, JournalError> {
    Ok(query.segments(reader)?.iter().map(|segment| segment.newest_at).max())
}

/// Calls `on_input` with every input that matches one of the `queries`, the oldest first. No two queries may select the
/// same segment. Converts the moments of the inputs to this run's clocks. `now` is this run's current moment.
///
/// # Errors
/// The journal cannot be read.
pub fn read_inputs(
    reader: &JournalReader,
    queries: &[HistoryQuery<'_>],
    now: Moment,
    mut on_input: impl FnMut(Input),
) -> Result<(), JournalError> {
    let mut cursors = Vec::new();
    for query in queries {
        cursors.extend(open_cursors(reader, query, now)?);
    }
    while let Some(cursor) = oldest_cursor(&mut cursors) {
        let input = cursor.advance();
        let scope = cursor.scope;
        if let Some(input) = input.and_then(|input| restrict_to_scope(input, scope)) {
            on_input(input);
        }
    }
    Ok(())
}

/// Returns a cursor for each segment of `query`, the oldest segment first.
fn open_cursors<'q>(
    reader: &JournalReader,
    query: &HistoryQuery<'q>,
    now: Moment,
) -> Result<Vec<SegmentCursor<'q>>, JournalError> {
    let (mut cursors, mut bytes) = (Vec::new(), 0_usize);
    for segment in query.segments(reader)?.iter().rev() {
        let mut entries = Vec::new();
        for entry in reader.entries(segment.id) {
            let entry = entry?;
            bytes = bytes.saturating_add(entry.body.len());
            // If an entry cannot be parsed, the rest of the segment is skipped: later entries may refer to this entry.
            let Ok(entry) = serde_json::from_str::<StreamEntry>(&entry.body) else { break };
            entries.push(entry);
        }
        if bytes > query.max_bytes && !cursors.is_empty() {
            break;
        }
        cursors.extend(SegmentCursor::new(InputLog::from_entries(entries), query.scope, now));
    }
    cursors.reverse();
    Ok(cursors)
}

/// Returns the cursor whose next step is the oldest, or `None` if all cursors are at their end.
fn oldest_cursor<'c, 'q>(cursors: &'c mut [SegmentCursor<'q>]) -> Option<&'c mut SegmentCursor<'q>> {
    let next_time =
        |cursor: &SegmentCursor<'_>| Some(cursor.shift.apply(cursor.input_log.get(cursor.next_step)?.0).boot);
    cursors.iter_mut().filter(|cursor| next_time(cursor).is_some()).min_by_key(|cursor| next_time(cursor))
}

/// A position in the steps of a segment.
struct SegmentCursor<'q> {
    /// The scope of the query that selected the segment.
    scope: &'q HistoryScope,
    input_log: InputLog,
    decoder: Decoder,
    /// Index of the next step.
    next_step: usize,
    /// Shift from the clocks of the run that wrote the segment to this run's clocks.
    shift: ClockShift,
}

impl<'q> SegmentCursor<'q> {
    /// Starts at the first step; `None` if the segment is empty.
    fn new(input_log: InputLog, scope: &'q HistoryScope, now: Moment) -> Option<Self> {
        let (newest, _) = input_log.iter().last()?;
        Some(Self {
            scope,
            input_log,
            decoder: Decoder::default(),
            next_step: 0,
            shift: ClockShift::between(newest, now),
        })
    }

    /// Moves past the next step. Returns its input on this run's clock; `None` if it cannot be decoded.
    fn advance(&mut self) -> Option<Input> {
        let (_, step) = self.input_log.get(self.next_step)?;
        self.next_step = self.next_step.saturating_add(1);
        let shift = self.shift;
        self.decoder.decode(step).map(|input| input.rebase(|moment| shift.apply(moment)))
    }
}

/// The offsets to add to readings of another run's clocks, so that they become readings of this run's clocks. In
/// nanoseconds.
#[derive(Clone, Copy)]
struct ClockShift {
    boot: i128,
    mono: i128,
}

impl ClockShift {
    /// Returns the shift that makes `now - newest`, on this run's clocks, equal to the difference of their wall times.
    /// A negative difference counts as zero.
    fn between(newest: Moment, now: Moment) -> Self {
        let age = now.wall.signed_duration_since(newest.wall).max(TimeDelta::zero());
        let age = age.to_std().unwrap_or_default();
        // Each clock has its own reading of `now`: after a sleep, `mono` is less than `boot`.
        let shift = |newest: Duration, now: Duration| {
            nanos(now).saturating_sub(nanos(age)).saturating_sub(nanos(newest))
        };
        Self { boot: shift(newest.boot, now.boot), mono: shift(newest.mono, now.mono) }
    }

    fn apply(self, moment: Moment) -> Moment {
        let add = |clock: Duration, shift: i128| {
            let shifted = nanos(clock).saturating_add(shift).max(0);
            Duration::from_nanos(u64::try_from(shifted).unwrap_or(u64::MAX))
        };
        Moment { wall: moment.wall, mono: add(moment.mono, self.mono), boot: add(moment.boot, self.boot) }
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

/// Returns the part of an input that is in `scope`, or `None` if nothing is. Always drops `SessionsNamed`, because it
/// has the sessions of another run's command line.
fn restrict_to_scope(input: Input, scope: &HistoryScope) -> Option<Input> {
    let ids = match scope {
        HistoryScope::Projects(_) => return (!matches!(input, Input::SessionsNamed { .. })).then_some(input),
        HistoryScope::Sessions(ids) => ids,
    };
    match input {
        Input::SessionsNamed { .. } => None,
        Input::SessionsReceived { at, scope: scope @ Scope::List(_), mut sessions, malformed } => {
            sessions.retain(|session| ids.contains(&session.id));
            Some(Input::SessionsReceived { at, scope, sessions, malformed })
        }
        Input::ResponseRepeated {
            at,
            scope: scope @ Scope::List(_),
            mut sessions,
            malformed,
            responses,
            longest_gap,
        } => {
            sessions.retain(|session| ids.contains(&session.id));
            Some(Input::ResponseRepeated { at, scope, sessions, malformed, responses, longest_gap })
        }
        Input::SessionsReceived { scope: Scope::Session(ref id), .. }
        | Input::ResponseRepeated { scope: Scope::Session(ref id), .. }
        | Input::RequestFailed { scope: Scope::Session(ref id), .. }
        | Input::SessionNotFound { ref id, .. }
        | Input::ReleaseRequested { ref id, .. }
        | Input::ReleaseFailed { ref id, .. } => ids.contains(id).then_some(input),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwatch_core::testing::moment;

    #[test]
    fn restored_moment_keeps_age_after_sleep() {
        let newest = moment(50.0);
        // The wall clock says that `newest` is 70 s old. This run started 160 s ago. The machine slept during 60 s of
        // them.
        let now = Moment { mono: Duration::from_secs(100), boot: Duration::from_secs(160), ..moment(120.0) };
        let restored = ClockShift::between(newest, now).apply(newest);
        let age = Duration::from_secs(70);
        assert_eq!(restored.boot, now.boot.saturating_sub(age));
        assert_eq!(restored.mono, now.mono.saturating_sub(age), "the age is the same on all three clocks");
    }
}
