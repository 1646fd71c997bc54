//! The scope of an event pane: the events of one session, or of all sessions.

use super::profiles::{EventRef, Profiles, TimelineCursors};
use keepwatch_core::session::SessionId;
use keepwatch_core::tracker::Event;

/// The largest number of events that is counted exactly. Counting stops at one more, so that the cost of a count does
/// not grow with the timeline.
pub(crate) const COUNT_LIMIT: usize = 999;

/// The events that a pane shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EventScope<'a> {
    /// The events of one session, and the events without a session (such as failing polls) that its profile had while
    /// the session ran.
    Session(&'a SessionId),
    /// The events of all sessions.
    All,
}

impl EventScope<'_> {
    /// Returns the events, from the newest to the oldest.
    pub(crate) fn newest_events<'f>(
        self,
        profiles: &'f Profiles,
    ) -> Box<dyn Iterator<Item = (EventRef, &'f Event)> + 'f> {
        match self {
            Self::Session(id) => Box::new(profiles.newest_events_of(id)),
            Self::All => Box::new(profiles.newest_events()),
        }
    }

    /// Returns `anchor` and the older events, from the newest to the oldest. If `anchor` is `None` or was evicted,
    /// returns all events.
    pub(crate) fn newest_events_from<'f>(
        self,
        profiles: &'f Profiles,
        anchor: Option<EventRef>,
    ) -> Box<dyn Iterator<Item = (EventRef, &'f Event)> + 'f> {
        let Some(anchor) = anchor else { return self.newest_events(profiles) };
        let mut from_anchor = match self {
            Self::Session(_) => self.newest_events(profiles),
            Self::All => profiles.newest_events_from(anchor),
        }
        .skip_while(move |(event, _)| event.is_newer_than(anchor))
        .peekable();
        if from_anchor.peek().is_some() { Box::new(from_anchor) } else { self.newest_events(profiles) }
    }

    /// Counts the events that are newer than `anchor`, up to one more than [`COUNT_LIMIT`].
    pub(crate) fn count_newer(self, profiles: &Profiles, anchor: EventRef) -> usize {
        capped_count(self.newest_events(profiles).take_while(|(event, _)| event.is_newer_than(anchor)))
    }

    /// Counts the unread events, up to one more than [`COUNT_LIMIT`] for each profile.
    pub(crate) fn count_unread(self, profiles: &Profiles, cursors: &TimelineCursors) -> usize {
        let is_unread = |(event, _): &(EventRef, &Event)| event.seq >= cursors.get(event.profile);
        match self {
            Self::Session(id) => capped_count(profiles.newest_events_of(id).take_while(is_unread)),
            // Each profile has its own count, because an unread event of one profile may be older than a read event of
            // another.
            Self::All => profiles
                .ids()
                .map(|profile| capped_count(profiles.newest_events_in(profile).take_while(is_unread)))
                .fold(0, usize::saturating_add),
        }
    }
}

fn capped_count(events: impl Iterator) -> usize {
    events.take(COUNT_LIMIT.saturating_add(1)).count()
}
