//! What earlier runs saw, from the journal: the streams of their segments, merged by time and laid on this run's clock.
//!
//! ```text
//!   journal::Reader ──► a Tape a segment ──► merged by time ──► Input, on this run's clock
//! ```
//!
//! Each run counts its moments from its own start. What one saw is laid so that its newest entry has the wall clock's
//! distance from now; within a segment all distances stay what they were.

use chrono::TimeDelta;

use crate::store::journal::{Kept, Of, Reader, RunId, Trouble};
use crate::store::{Header, Line, Tape, Unfold};
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::SessionId;
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::{Input, Scope};

/// What is wanted of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What was seen of these sessions, and what concerned all meanwhile.
    Sessions(Vec<SessionId>),
    /// What was seen of all sessions of these projects.
    Projects(Vec<Untrusted>),
}

/// A segment that is being merged.
struct Track {
    tape: Tape,
    unfold: Unfold,
    next: usize,
    /// What is added to the clock since boot, and to the monotonic one, in nanoseconds.
    shift: (i128, i128),
}

/// What is sought, and how far.
#[derive(Clone, Copy, Debug)]
pub struct Sought<'s> {
    /// What is wanted.
    pub wanted: &'s Wanted,
    /// Nothing from before this.
    pub since: Timestamp,
    /// Only what this host said.
    pub host: Option<&'s str>,
    /// Nothing that this run saw.
    pub except: Option<&'s RunId>,
    /// Of more than so many bytes only the newest segments.
    pub most: usize,
}

impl<'s> Sought<'s> {
    /// All that there is of what is wanted.
    #[must_use]
    pub fn all(wanted: &'s Wanted) -> Self {
        Self { wanted, since: Timestamp::UNIX_EPOCH, host: None, except: None, most: usize::MAX }
    }

    /// The segments that may have it, the oldest first.
    fn segments(&self, reader: &Reader) -> Result<Vec<Kept>, Trouble> {
        let of = match self.wanted {
            Wanted::Sessions(ids) => Of::Sessions(ids),
            Wanted::Projects(projects) => Of::Projects(projects),
        };
        let mut segments = reader.segments(self.since, of)?;
        segments.retain(|segment| {
            self.except != Some(&segment.run) && self.host.is_none_or(|host| host == segment.host)
        });
        Ok(segments)
    }
}

/// With what the newest of what is sought was watched, and at which host; `None` where there is nothing.
///
/// # Errors
/// The journal can not be read.
pub fn newest(reader: &Reader, sought: &Sought<'_>) -> Result<Option<(Header, String)>, Trouble> {
    let segments = sought.segments(reader)?;
    Ok(segments.into_iter().rev().find_map(|it| Some((serde_json::from_str(&it.header).ok()?, it.host))))
}

/// What is sought, the oldest first: each input is passed to `take`, on the clock that shows `now`.
///
/// # Errors
/// The journal can not be read.
pub fn read(
    reader: &Reader,
    sought: &Sought<'_>,
    now: Moment,
    mut take: impl FnMut(Input),
) -> Result<(), Trouble> {
    let (mut tracks, mut bytes) = (Vec::new(), 0_usize);
    for segment in sought.segments(reader)?.iter().rev() {
        let mut lines = Vec::new();
        for line in reader.entries(segment.id).map_while(Result::ok) {
            bytes = bytes.saturating_add(line.body.len());
            // An entry that can not be read is the end of its segment: what follows may rest on it.
            let Ok(line) = serde_json::from_str::<Line>(&line.body) else { break };
            lines.push(line);
        }
        if bytes > sought.most && !tracks.is_empty() {
            break;
        }
        let tape = Tape::of(lines);
        if let Some(newest) = tape.iter().map(|(at, _)| at).last() {
            tracks.push(Track { tape, unfold: Unfold::default(), next: 0, shift: shift(newest, now) });
        }
    }
    tracks.reverse();
    while let Some(track) = next(&mut tracks) {
        let Some((_, item)) = track.tape.get(track.next) else { break };
        track.next = track.next.saturating_add(1);
        let shift = track.shift;
        let input = track.unfold.take(item).and_then(|input| about(input, sought.wanted));
        if let Some(input) = input {
            take(input.on(|moment| shifted(moment, shift)));
        }
    }
    Ok(())
}

/// The track whose next step is the oldest.
fn next(tracks: &mut [Track]) -> Option<&mut Track> {
    let due = |track: &Track| Some(shifted(track.tape.get(track.next)?.0, track.shift).boot);
    tracks.iter_mut().filter(|track| due(track).is_some()).min_by_key(|track| due(track))
}

/// How far a run's clocks are from ours, where `newest` is the newest that it saw.
fn shift(newest: Moment, now: Moment) -> (i128, i128) {
    let ago = now.wall.signed_duration_since(newest.wall).max(TimeDelta::zero());
    let ago = ago.to_std().unwrap_or_default();
    let at = |ours: std::time::Duration, theirs: std::time::Duration| {
        let nanos = |of: std::time::Duration| i128::try_from(of.as_nanos()).unwrap_or(i128::MAX);
        nanos(ours).saturating_sub(nanos(ago)).saturating_sub(nanos(theirs))
    };
    (at(now.boot, newest.boot), at(now.boot, newest.mono))
}

fn shifted(moment: Moment, (boot, mono): (i128, i128)) -> Moment {
    let by = |of: std::time::Duration, shift: i128| {
        let nanos = i128::try_from(of.as_nanos()).unwrap_or(i128::MAX).saturating_add(shift).max(0);
        std::time::Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    };
    Moment { wall: moment.wall, mono: by(moment.mono, mono), boot: by(moment.boot, boot) }
}

/// As much of an input as is about what is wanted. Whom an earlier run's reader named, this one's did not.
fn about(input: Input, wanted: &Wanted) -> Option<Input> {
    let ids = match wanted {
        Wanted::Projects(_) => return (!matches!(input, Input::Asked { .. })).then_some(input),
        Wanted::Sessions(ids) => ids,
    };
    match input {
        Input::Asked { .. } => None,
        Input::Seen { at, scope: scope @ Scope::List(_), mut sessions, malformed } => {
            sessions.retain(|session| ids.contains(&session.id));
            Some(Input::Seen { at, scope, sessions, malformed })
        }
        Input::Repeated {
            at,
            scope: scope @ Scope::List(_),
            mut sessions,
            malformed,
            replies,
            longest_gap,
        } => {
            sessions.retain(|session| ids.contains(&session.id));
            Some(Input::Repeated { at, scope, sessions, malformed, replies, longest_gap })
        }
        Input::Seen { scope: Scope::One(ref id), .. }
        | Input::Repeated { scope: Scope::One(ref id), .. }
        | Input::Failed { scope: Scope::One(ref id), .. }
        | Input::Missing { ref id, .. }
        | Input::ReleaseAsked { ref id, .. }
        | Input::ReleaseFailed { ref id, .. } => ids.contains(id).then_some(input),
        other => Some(other),
    }
}
