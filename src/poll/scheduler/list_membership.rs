//! What the lists hold, of which sessions that matters, and what is asked singly for it. It never says what goes first;
//! that is `turn`'s.

use std::collections::HashSet;
use std::time::Duration;

use super::{PollState, PollTarget, Request, Scheduler};
use keepwatch_core::session::{ApiError, ApiErrorKind, List, SessionId};

/// The newest lists, and the sessions that are looked for in them.
#[derive(Debug, Default)]
pub(super) struct ListMembership {
    running: HashSet<SessionId>,
    pending: HashSet<SessionId>,
    /// The sessions that the reader named, and that are not over; `None` where all count.
    named: Option<HashSet<SessionId>>,
    /// Of these, those that no list has had yet and that were not asked singly.
    unseen: HashSet<SessionId>,
    /// Whether each list was answered, in whatever way.
    polled: [bool; 2],
}

impl ListMembership {
    /// Lists of which only `ids` count.
    pub(super) fn for_named(ids: &[SessionId]) -> Self {
        let named: HashSet<SessionId> = ids.iter().cloned().collect();
        Self { unseen: named.clone(), named: Some(named), ..Self::default() }
    }

    /// Whether a session counts.
    pub(super) fn is_watched(&self, id: &SessionId) -> bool {
        self.named.as_ref().is_none_or(|named| named.contains(id))
    }

    /// One more counts, where not all do.
    pub(super) fn add_named(&mut self, id: &SessionId) {
        if let Some(named) = &mut self.named {
            named.insert(id.clone());
        }
    }

    /// Whether they were asked for the sake of sessions that the reader named.
    pub(super) fn is_for_named(&self) -> bool {
        self.named.is_some()
    }

    /// The sessions that the reader named and that are not over.
    pub(super) fn named_ids(&self) -> impl Iterator<Item = &SessionId> {
        self.named.iter().flatten()
    }

    /// Whether nothing is left to be looked for in them.
    pub(super) fn is_done(&self) -> bool {
        self.named.as_ref().is_some_and(HashSet::is_empty)
    }

    /// A session is over. One that was not named is forgotten as it leaves the lists.
    pub(super) fn forget(&mut self, id: &SessionId) {
        self.named.as_mut().map(|named| named.remove(id));
        self.unseen.remove(id);
    }

    /// Whether a list has it.
    pub(super) fn contains(&self, id: &SessionId) -> bool {
        self.running.contains(id) || self.pending.contains(id)
    }

    /// Takes a list. Returns the sessions that were in it and are in none now.
    pub(super) fn replace_list(&mut self, list: List, ids: Vec<SessionId>) -> Vec<SessionId> {
        let ids: HashSet<SessionId> = ids.into_iter().filter(|id| self.is_watched(id)).collect();
        self.unseen.retain(|id| !ids.contains(id));
        let own = if list == List::Running { &mut self.running } else { &mut self.pending };
        let old = std::mem::replace(own, ids);
        // A session in both lists has just started: the list of pending ones forgets it, so that its end is noticed.
        let running = &self.running;
        self.pending.retain(|id| !running.contains(id));
        self.mark_polled(list);
        old.into_iter().filter(|id| !self.contains(id) && self.is_watched(id)).collect()
    }

    /// A list was answered, though perhaps with a fault of its own.
    pub(super) fn mark_polled(&mut self, list: List) {
        let [running, pending] = &mut self.polled;
        *(if list == List::Running { running } else { pending }) = true;
    }

    /// The named sessions that no list has shown, once both were answered; each once.
    pub(super) fn take_unseen(&mut self) -> Vec<SessionId> {
        if self.polled == [true; 2] { self.unseen.drain().collect() } else { Vec::new() }
    }
}

impl Scheduler {
    /// Whether a session that a list has is one that is watched.
    #[must_use]
    pub fn is_watched(&self, id: &SessionId) -> bool {
        self.lists.as_ref().is_some_and(|lists| lists.is_watched(id))
    }

    pub(super) fn polls_lists(&self) -> bool {
        self.lists.is_some()
    }

    /// A session is over. With the last that the reader named, the lists are of no use any more.
    pub(super) fn mark_ended(&mut self, request: &Request) {
        let (Request::Session(id), Some(lists)) = (request, &mut self.lists) else { return };
        lists.forget(id);
        if lists.is_done() {
            self.stop_polling_lists();
        }
    }

    /// Asks for no list any more; what is under way is not taken.
    pub(super) fn stop_polling_lists(&mut self) {
        self.lists = None;
        self.targets.retain(|request, target| {
            !matches!(request, Request::List(_)) || matches!(target.state, PollState::InFlight { .. })
        });
    }

    /// What left the lists is asked singly, at once; what came back to them is not asked singly any more.
    pub(super) fn apply_list(&mut self, list: List, ids: Vec<SessionId>, now: Duration) {
        let Some(lists) = &mut self.lists else { return };
        let departed = lists.replace_list(list, ids);
        let lists = &*lists;
        self.targets.retain(|request, target| match request {
            Request::Session(id) => matches!(target.state, PollState::InFlight { .. }) || !lists.contains(id),
            Request::List(_)
            | Request::Projects
            | Request::ConnectUrls(_)
            | Request::RecentSessions
            | Request::LiveView(_)
            | Request::Release(_) => true,
        });
        // What is pending no more runs, in all likelihood: the list under way is about to say so.
        let other = self.targets.get(&Request::List(List::Running)).map(|target| target.state);
        let may_be_there = list == List::Pending && matches!(other, Some(PollState::InFlight { .. }));
        let due = if may_be_there { self.next_grid_point(now, now, 1) } else { now };
        for id in departed {
            self.add(Request::Session(id), due).left_lists_at = Some(now);
        }
        self.evict_oldest_departed();
        self.poll_unseen(now);
    }

    /// Gives up those that left the lists first, where more left than can ever be asked for.
    fn evict_oldest_departed(&mut self) {
        // promise: left-lists-requests, mutant: <= List::MAX_DELISTED -> <= usize::MAX
        if self.targets.len() <= List::MAX_DELISTED {
            return;
        }
        let waiting = |(request, target): (&Request, &PollTarget)| match request {
            Request::Session(id) if !self.is_named(id) && matches!(target.state, PollState::Waiting(_)) => {
                Some((target.left_lists_at, request.clone()))
            }
            _ => None,
        };
        let mut departed: Vec<_> = self.targets.iter().filter_map(waiting).collect();
        let too_many = departed.len().saturating_sub(List::MAX_DELISTED);
        if let Some(last) = too_many.checked_sub(1) {
            departed.select_nth_unstable_by_key(last, |(at, _)| *at);
            for (_, request) in departed.into_iter().take(too_many) {
                self.targets.remove(&request);
            }
        }
    }

    fn is_named(&self, id: &SessionId) -> bool {
        self.added_sessions.contains(id) || self.lists.as_ref().is_some_and(ListMembership::is_for_named)
    }

    /// These lived when they were seen last, by an earlier run: they are asked singly, unless a list has them.
    pub fn track_existing(&mut self, ids: &[SessionId], now: Duration) {
        let Some(lists) = &self.lists else { return };
        let absent: Vec<SessionId> =
            ids.iter().filter(|id| lists.is_watched(id) && !lists.contains(id)).cloned().collect();
        for id in absent {
            self.add(Request::Session(id), now).left_lists_at = Some(now);
        }
        self.evict_oldest_departed();
    }

    /// What the reader named and neither list shows is asked singly, at once.
    fn poll_unseen(&mut self, now: Duration) {
        let unseen = self.lists.as_mut().map(ListMembership::take_unseen).unwrap_or_default();
        for id in unseen {
            self.add(Request::Session(id), now);
        }
    }

    /// A server without lists: from now on, each session that the reader named is asked singly.
    fn fall_back_to_single_requests(&mut self, request: &Request, now: Duration) {
        let open: Vec<SessionId> = self.lists.iter().flat_map(ListMembership::named_ids).cloned().collect();
        self.targets.remove(request);
        self.stop_polling_lists();
        for id in open {
            self.add(Request::Session(id), now);
        }
    }

    /// A list brought a fault of its own. Returns whether that is the end of the lists.
    pub(super) fn on_list_failure(&mut self, list: List, error: &ApiError, now: Duration) -> bool {
        let Some(lists) = &mut self.lists else { return false };
        if lists.is_for_named() && means_no_lists(error) {
            self.fall_back_to_single_requests(&Request::List(list), now);
            return true;
        }
        lists.mark_polled(list);
        self.poll_unseen(now);
        false
    }
}

/// Whether the server has no lists, or none for this key: there is no sense in asking again.
fn means_no_lists(error: &ApiError) -> bool {
    matches!(
        error.kind,
        ApiErrorKind::ListUnsupported
            | ApiErrorKind::NotFound
            | ApiErrorKind::Status(405)
            | ApiErrorKind::Forbidden
    )
}
