//! The result of [`SessionTracker::apply`](super::SessionTracker::apply): the events of one input, and the changes that
//! decide how the input is stored.

use super::event::Event;
use super::record::Change;
use crate::session::SessionId;

/// The events and state changes of one input.
///
/// The screen and `keepwatch events` use [`AppliedChanges::events`]. The encoder, which writes recordings and the
/// journal, also uses the other fields: they tell whether a response only repeats the previous one or must be stored.
/// If an input changes nothing, all fields are empty or false, which takes no heap memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppliedChanges {
    /// The events that the input caused, in the order of the timeline.
    pub events: Vec<Event>,
    /// The sessions that the input changed, in the order of the response, each with its kind of change. The kind is
    /// never [`Change::None`].
    pub changed: Vec<(SessionId, Change)>,
    /// True if the estimate of the server's clock, or the precision of this estimate, changed.
    pub clock_changed: bool,
    /// True if the response must be stored for a reason that the other fields do not show. Either the tracker ignored
    /// the response as stale, because a request sent later was answered first. Or a session was missing from its list. Or
    /// an alert was cleared, maybe by the passing of time alone.
    pub must_be_stored: bool,
}
