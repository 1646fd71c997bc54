//! Differences between two responses about one session, as events. Pure.
//!
//! This module ignores the connect fields, because every response has a new signing key. It ignores `updatedAt`,
//! because the meaning of that field is not documented. [`Record`](super::Record) compares the status and the proxy
//! bytes itself.

use super::event::EventKind;
use crate::session::{Metadata, Session, Status};

/// Returns an event for each compared field that differs between `old` and `new`.
///
/// `are_same_kind` is true if both sessions are from lists, or neither is. A list may omit fields that a response about
/// one session has. If `are_same_kind` is false, a field that one of the two sessions lacks is therefore not a
/// difference.
///
/// For `expiresAt`, `keepAlive` and `region`, a missing value is never a difference.
pub(super) fn diff_sessions(old: &Session, new: &Session, are_same_kind: bool) -> Vec<EventKind> {
    let mut changes = Vec::new();
    // The API sets new times when a pending session starts. That is not a change of the expiry.
    let has_started = old.status == Status::Pending && new.status != Status::Pending;
    if let (Some(from), Some(to)) = (old.expires, new.expires)
        && from != to
        && !has_started
    {
        changes.push(EventKind::ExpiryMoved { from, to });
    }
    if let (Some(from), Some(to)) = (old.keep_alive, new.keep_alive)
        && from != to
    {
        changes.push(EventKind::KeepAliveChanged(to));
    }
    if let (Some(from), Some(to)) = (&old.region, &new.region)
        && from != to
    {
        changes.push(EventKind::RegionChanged { from: from.clone(), to: to.clone() });
    }
    let context = |session: &Session| session.context.clone().filter(|context| !context.is_empty());
    let (from, to) = (context(old), context(new));
    if from != to && (are_same_kind || (from.is_some() && to.is_some())) {
        changes.push(EventKind::ContextChanged(to));
    }
    let (from, to) = (nonempty_metadata(old), nonempty_metadata(new));
    if from != to && (are_same_kind || (from.is_some() && to.is_some())) && !is_redacted_copy(old, new) {
        changes.push(EventKind::MetadataChanged);
    }
    changes
}

/// Returns the metadata of a session, unless it is empty or the placeholder for metadata that was not stored.
pub(super) fn nonempty_metadata(session: &Session) -> Option<&Metadata> {
    session.metadata.as_ref().filter(|metadata| !metadata.is_empty() && !metadata.is_omitted())
}

/// Returns true if `old` has the metadata of `new` as the journal stores it: redacted, or a placeholder.
fn is_redacted_copy(old: &Session, new: &Session) -> bool {
    let Some(old) = &old.metadata else { return false };
    old.is_omitted() || new.metadata.as_ref().is_some_and(|new| *old == new.redacted())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::session::{ConnectFields, Region};
    use crate::testing::{noon, running_session};
    use crate::text::Untrusted;

    /// An empty array of event names.
    const NO_EVENTS: [&str; 0] = [];

    fn session() -> Session {
        Session {
            metadata: Some(Metadata::new(r#"{"a":1}"#)),
            context: Some(Untrusted::new("c")),
            ..running_session("s", noon(), Duration::from_secs(900))
        }
    }

    fn change_names(new: &Session, are_same_kind: bool) -> Vec<&'static str> {
        diff_sessions(&session(), new, are_same_kind).iter().map(EventKind::name).collect()
    }

    #[test]
    fn each_changed_field_has_its_event() {
        let other = Session {
            expires: Some("2026-11-22T13:00:00Z".parse().unwrap()),
            keep_alive: Some(true),
            region: Some(Region::EuCentral1),
            context: None,
            metadata: Some(Metadata::new("{}")),
            ..session()
        };
        assert_eq!(
            change_names(&other, true),
            ["expiry_moved", "keep_alive_changed", "region_changed", "context_changed", "metadata_changed"]
        );
    }

    #[test]
    fn uncompared_fields_cause_no_event() {
        let other = Session {
            updated: Some("2026-11-22T12:09:00Z".parse().unwrap()),
            connect: Some(ConnectFields { connect_url: true, ..ConnectFields::default() }),
            proxy_bytes: Some(99),
            ..session()
        };
        assert_eq!(change_names(&other, true), NO_EVENTS);
    }

    #[test]
    fn field_omitted_by_list_is_unchanged() {
        let listed = Session {
            metadata: None,
            context: None,
            keep_alive: None,
            region: None,
            expires: None,
            ..session()
        };
        assert_eq!(change_names(&listed, false), NO_EVENTS);
        assert_eq!(
            change_names(&listed, true),
            ["context_changed", "metadata_changed"],
            "between two lists, a missing context or metadata is a change"
        );
    }

    #[test]
    fn redacted_metadata_is_unchanged() {
        let session_with = |metadata: Option<Metadata>| Session { metadata, ..session() };
        let metadata = Metadata::new(r#"{"run":"r-1","token":"s3cr3t"}"#);
        let changes = |old: Option<Metadata>, new: Option<Metadata>| {
            diff_sessions(&session_with(old), &session_with(new), true)
                .iter()
                .map(EventKind::name)
                .collect::<Vec<_>>()
        };
        assert_eq!(changes(Some(metadata.redacted()), Some(metadata.clone())), NO_EVENTS);
        assert_eq!(changes(Some(Metadata::omitted()), Some(metadata.clone())), NO_EVENTS);
        assert_eq!(changes(None, Some(Metadata::new("{}"))), NO_EVENTS, "empty metadata counts as none");
        assert_eq!(changes(None, Some(metadata.clone())), ["metadata_changed"]);
        assert_eq!(changes(Some(Metadata::new(r#"{"run":"r-2"}"#)), Some(metadata)), ["metadata_changed"]);
    }

    #[test]
    fn new_times_at_start_are_ignored() {
        let pending = Session { status: Status::Pending, ..session() };
        let started = Session { expires: Some("2026-11-22T13:00:00Z".parse().unwrap()), ..session() };
        assert_eq!(diff_sessions(&pending, &started, true), []);
    }
}
