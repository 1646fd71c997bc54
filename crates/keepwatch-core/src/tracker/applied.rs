//! The result of [`SessionTracker::apply`](super::SessionTracker::apply): everything that one input changed.

use super::event::Event;
use super::record::Change;
use crate::session::SessionId;

/// The events and state changes of one input.
///
/// The screen and `keepwatch events` use [`AppliedChanges::events`]. The encoder of recordings and of the journal also
/// needs the other fields, to distinguish a response that repeats the one before it from a response that must be
/// stored. An input that changes nothing returns an empty value, which allocates nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppliedChanges {
    /// The events that the input caused, in the order of the timeline.
    pub events: Vec<Event>,
    /// The sessions whose response differs from the one before it, in the order of the response. Never holds
    /// [`Change::None`].
    pub changed: Vec<(SessionId, Change)>,
    /// True if the estimate of the server's clock moved or became more exact.
    pub clock_changed: bool,
    /// True if the tracker's state changed in a way that the other fields do not show: the tracker ignored a response
    /// because a request sent later was answered first, or a session was missing from its list.
    pub changed_silently: bool,
}
