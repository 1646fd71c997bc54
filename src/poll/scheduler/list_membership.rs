//! The contents of the two lists, and the single polls that follow from them: of sessions that left the lists, and
//! of named sessions that no list contains. [`priority`](super::priority) decides the order of polls.

use std::collections::HashSet;
use std::time::Duration;

use super::{PollState, PollTarget, Request, Scheduler};
use keepwatch_core::session::{ApiError, ApiErrorKind, List, SessionId};

/// The contents of the newest lists, and the sessions that matter in them.
#[derive(Debug, Default)]
pub(super) struct ListMembership {
    running: HashSet<SessionId>,
    pending: HashSet<SessionId>,
    /// The sessions that the user named and that have not ended; `None` if all sessions are watched.
    named: Option<HashSet<SessionId>>,
    /// Named sessions that no list has contained and that were not polled singly yet.
    unseen: HashSet<SessionId>,
    /// One flag for each list (running, pending): true once the list had a response, or a failure that concerns only
    /// this list.
    are_polled: [bool; 2],
    /// The maximum number of watched sessions that one list has contained so far.
    max_len: usize,
}

impl ListMembership {
    /// Creates empty lists. Only the sessions `ids` are watched.
    pub(super) fn for_named(ids: &[SessionId]) -> Self {
        let named: HashSet<SessionId> = ids.iter().cloned().collect();
        Self { unseen: named.clone(), named: Some(named), ..Self::default() }
    }

    /// Returns true if the session is watched.
    pub(super) fn is_watched(&self, id: &SessionId) -> bool {
        self.named.as_ref().is_none_or(|named| named.contains(id))
    }

    /// Watches one more session. Does nothing if all sessions are watched.
    pub(super) fn add_named(&mut self, id: &SessionId) {
        if let Some(named) = &mut self.named {
            named.insert(id.clone());
        }
    }

    /// Returns true if only named sessions are watched.
    pub(super) fn watches_only_named(&self) -> bool {
        self.named.is_some()
    }

    /// Returns the named sessions that have not ended.
    pub(super) fn named_ids(&self) -> impl Iterator<Item = &SessionId> {
        self.named.iter().flatten()
    }

    /// Returns true if all named sessions have ended.
    pub(super) fn have_all_ended(&self) -> bool {
        self.named.as_ref().is_some_and(HashSet::is_empty)
    }

    /// Forgets a named session. Other sessions are forgotten when they leave the lists.
    pub(super) fn forget(&mut self, id: &SessionId) {
        self.named.as_mut().map(|named| named.remove(id));
        self.unseen.remove(id);
    }

    /// Returns true if a list contains the session.
    pub(super) fn contains(&self, id: &SessionId) -> bool {
        self.running.contains(id) || self.pending.contains(id)
    }

    /// Replaces the contents of a list. Returns the departed sessions: watched ones that were in this list and are in
    /// neither list now.
    pub(super) fn replace_list(&mut self, list: List, ids: Vec<SessionId>) -> Vec<SessionId> {
        let ids: HashSet<SessionId> = ids.into_iter().filter(|id| self.is_watched(id)).collect();
        self.unseen.retain(|id| !ids.contains(id));
        self.max_len = self.max_len.max(ids.len());
        let current = if list == List::Running { &mut self.running } else { &mut self.pending };
        let previous = std::mem::replace(current, ids);
        // A session in both lists has just started. Remove it from the pending list. Otherwise, the pending list would
        // hide that the session leaves the running list.
        let running = &self.running;
        self.pending.retain(|id| !running.contains(id));
        self.mark_polled(list);
        previous.into_iter().filter(|id| !self.contains(id) && self.is_watched(id)).collect()
    }

    /// Records that a list had a response, or a failure that concerns only this list.
    pub(super) fn mark_polled(&mut self, list: List) {
        let [running, pending] = &mut self.are_polled;
        *(if list == List::Running { running } else { pending }) = true;
    }

    /// Returns the named sessions that neither list contains, once both lists were polled. Returns each session
    /// only once.
    pub(super) fn take_unseen(&mut self) -> Vec<SessionId> {
        if self.are_polled == [true; 2] { self.unseen.drain().collect() } else { Vec::new() }
    }
}

impl Scheduler {
    /// Returns true if a session from a list is watched. Returns false if no list is polled.
    #[must_use]
    pub fn is_watched(&self, id: &SessionId) -> bool {
        self.lists.as_ref().is_some_and(|lists| lists.is_watched(id))
    }

    /// Returns true if lists are polled.
    pub(super) fn polls_lists(&self) -> bool {
        self.lists.is_some()
    }

    /// Forgets the session of `request`, which has ended or is no longer watched. Stops polling the lists if only
    /// named sessions were watched and none is left. Does nothing for other requests.
    pub(super) fn forget_session(&mut self, request: &Request) {
        let (Request::Session(id), Some(lists)) = (request, &mut self.lists) else { return };
        lists.forget(id);
        if lists.have_all_ended() {
            self.stop_polling_lists();
        }
    }

    /// Stops polling the lists. The responses to list requests in flight will be ignored.
    pub(super) fn stop_polling_lists(&mut self) {
        self.lists = None;
        self.poll_targets.retain(|request, target| {
            !matches!(request, Request::List(_)) || matches!(target.state, PollState::InFlight { .. })
        });
    }

    /// Applies the contents of a list. Adds a poll target for each session that left the lists. Sessions that are in a
    /// list again are no longer polled singly.
    pub(super) fn apply_list(&mut self, list: List, ids: Vec<SessionId>, now: Duration) {
        let Some(lists) = &mut self.lists else { return };
        let departed = lists.replace_list(list, ids);
        let lists = &*lists;
        self.poll_targets.retain(|request, target| match request {
            Request::Session(id) => matches!(target.state, PollState::InFlight { .. }) || !lists.contains(id),
            Request::List(_)
            | Request::Projects
            | Request::ConnectUrls(_)
            | Request::RecentSessions
            | Request::LiveView(_)
            | Request::Release(_) => true,
        });
        // A session that is no longer pending has probably started. If the running list is in flight, wait for it.
        let running_list = self.poll_targets.get(&Request::List(List::Running)).map(|target| target.state);
        let waits_for_running_list =
            list == List::Pending && matches!(running_list, Some(PollState::InFlight { .. }));
        let due = if waits_for_running_list { self.next_grid_point(now, now, 1) } else { now };
        for id in departed {
            self.add(Request::Session(id), due).left_lists_at = Some(now);
        }
        self.evict_oldest_departed();
        self.poll_unseen(now);
    }

    /// If too many sessions have left the lists to poll them all, evicts those that left earliest.
    fn evict_oldest_departed(&mut self) {
        let limit = List::max_unlisted(self.lists.as_ref().map_or(0, |lists| lists.max_len));
        // promise: left-lists-requests, mutant: <= limit -> <= usize::MAX
        if self.poll_targets.len() <= limit {
            return;
        }
        let evictable = |(request, target): (&Request, &PollTarget)| match request {
            Request::Session(id) if !self.is_named(id) && matches!(target.state, PollState::Waiting(_)) => {
                Some((target.left_lists_at, request.clone()))
            }
            _ => None, // named sessions, polls in flight and other requests stay
        };
        let mut departed: Vec<_> = self.poll_targets.iter().filter_map(evictable).collect();
        let too_many = departed.len().saturating_sub(limit);
        if let Some(last_index) = too_many.checked_sub(1) {
            departed.select_nth_unstable_by_key(last_index, |(left_at, _)| *left_at);
            for (_, request) in departed.into_iter().take(too_many) {
                self.poll_targets.remove(&request);
            }
        }
    }

    /// Returns true if the user named the session. If only named sessions are watched, each single poll is for one of
    /// them.
    fn is_named(&self, id: &SessionId) -> bool {
        self.added_sessions.contains(id)
            || self.lists.as_ref().is_some_and(ListMembership::watches_only_named)
    }

    /// Adds a poll target, due now, for each session of `ids` that is watched and that no list contains. An earlier run
    /// saw these sessions alive. Does nothing if no list is polled.
    pub fn track_earlier_sessions(&mut self, ids: &[SessionId], now: Duration) {
        let Some(lists) = &self.lists else { return };
        let unlisted: Vec<SessionId> =
            ids.iter().filter(|id| lists.is_watched(id) && !lists.contains(id)).cloned().collect();
        for id in unlisted {
            self.add(Request::Session(id), now).left_lists_at = Some(now);
        }
        self.evict_oldest_departed();
    }

    /// Adds a poll target, due now, for each named session that no list has contained yet. Does nothing until both
    /// lists were polled.
    fn poll_unseen(&mut self, now: Duration) {
        let unseen = self.lists.as_mut().map(ListMembership::take_unseen).unwrap_or_default();
        for id in unseen {
            self.add(Request::Session(id), now);
        }
    }

    /// Stops polling the lists, because the server has none. Polls each named session singly. `failed_request` is the
    /// request for a list.
    fn fall_back_to_single_polls(&mut self, failed_request: &Request, now: Duration) {
        let named: Vec<SessionId> = self.lists.iter().flat_map(ListMembership::named_ids).cloned().collect();
        self.poll_targets.remove(failed_request);
        self.stop_polling_lists();
        for id in named {
            self.add(Request::Session(id), now);
        }
    }

    /// Applies a failure that concerns only this list. Returns true if the scheduler stops polling the lists.
    pub(super) fn on_list_failure(&mut self, list: List, error: &ApiError, now: Duration) -> bool {
        let Some(lists) = &mut self.lists else { return false };
        if lists.watches_only_named() && means_no_lists(error) {
            self.fall_back_to_single_polls(&Request::List(list), now);
            return true;
        }
        lists.mark_polled(list);
        self.poll_unseen(now);
        false
    }
}

/// Returns true if the server has no lists, or none for this API key. A retry would fail, too.
fn means_no_lists(error: &ApiError) -> bool {
    matches!(
        error.kind,
        ApiErrorKind::ListUnsupported
            | ApiErrorKind::NotFound
            | ApiErrorKind::Status(405)
            | ApiErrorKind::Forbidden
    )
}
