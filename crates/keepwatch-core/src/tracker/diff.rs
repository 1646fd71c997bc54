//! Two replies about one session → what changed between them. Pure.
//!
//! The connect fields are not compared: the signing key is another in every reply.
//! Nor is `updatedAt`, whose meaning is not documented. The status and the proxy's bytes are the record's own.

use super::event::EventKind;
use crate::session::{Metadata, Session, Status};

/// What `new` says otherwise than `old`. `same_kind` says that both are of a list, or neither: a list may leave fields
/// out that the other has, and then their lack says nothing.
pub(super) fn diff_sessions(old: &Session, new: &Session, same_kind: bool) -> Vec<EventKind> {
    let mut changes = Vec::new();
    // A session that is about to run gets its times anew.
    let starts = old.status == Status::Pending && new.status != Status::Pending;
    if let (Some(from), Some(to)) = (old.expires, new.expires)
        && from != to
        && !starts
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
    if from != to && (same_kind || (from.is_some() && to.is_some())) {
        changes.push(EventKind::ContextChanged(to));
    }
    let (from, to) = (nonempty_metadata(old), nonempty_metadata(new));
    if from != to && (same_kind || (from.is_some() && to.is_some())) && !is_redacted_copy(old, new) {
        changes.push(EventKind::MetadataChanged);
    }
    changes
}

/// Metadata that says something.
pub(super) fn nonempty_metadata(session: &Session) -> Option<&Metadata> {
    session.metadata.as_ref().filter(|metadata| !metadata.is_empty() && !metadata.is_omitted())
}

/// Whether what `old` has is what was kept of the metadata of `new`: without its secrets, or nothing.
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

    fn session() -> Session {
        Session {
            metadata: Some(Metadata::new(r#"{"a":1}"#)),
            context: Some(Untrusted::new("c")),
            ..running_session("s", noon(), Duration::from_secs(900))
        }
    }

    fn named(new: &Session, same_kind: bool) -> Vec<&'static str> {
        diff_sessions(&session(), new, same_kind).iter().map(EventKind::name).collect()
    }

    #[test]
    fn each_field_that_changed_is_an_event_of_its_own() {
        let other = Session {
            expires: Some("2026-11-22T13:00:00Z".parse().unwrap()),
            keep_alive: Some(true),
            region: Some(Region::EuCentral1),
            context: None,
            metadata: Some(Metadata::new("{}")),
            ..session()
        };
        assert_eq!(
            named(&other, true),
            ["expiry_moved", "keep_alive_changed", "region_changed", "context_changed", "metadata_changed"]
        );
    }

    #[test]
    fn a_rotated_key_and_updated_at_alone_are_no_news() {
        let other = Session {
            updated: Some("2026-11-22T12:09:00Z".parse().unwrap()),
            connect: Some(ConnectFields { connect_url: true, ..ConnectFields::default() }),
            proxy_bytes: Some(99),
            ..session()
        };
        assert_eq!(named(&other, true), [""; 0]);
    }

    #[test]
    fn what_a_list_leaves_out_has_not_changed() {
        let listed = Session {
            metadata: None,
            context: None,
            keep_alive: None,
            region: None,
            expires: None,
            ..session()
        };
        assert_eq!(named(&listed, false), [""; 0]);
        assert_eq!(named(&listed, true), ["context_changed", "metadata_changed"]);
    }

    #[test]
    fn metadata_that_was_kept_without_its_secrets_or_not_at_all_has_not_changed() {
        let with = |metadata: Option<Metadata>| Session { metadata, ..session() };
        let whole = Metadata::new(r#"{"run":"r-1","token":"s3cr3t"}"#);
        let between = |old: Option<Metadata>, new: Option<Metadata>| {
            diff_sessions(&with(old), &with(new), true).iter().map(EventKind::name).collect::<Vec<_>>()
        };
        let none = [""; 0];
        assert_eq!(between(Some(whole.redacted()), Some(whole.clone())), none);
        assert_eq!(between(Some(Metadata::omitted()), Some(whole.clone())), none);
        assert_eq!(between(None, Some(Metadata::new("{}"))), none, "what says nothing is none");
        assert_eq!(between(None, Some(whole.clone())), ["metadata_changed"]);
        assert_eq!(between(Some(Metadata::new(r#"{"run":"r-2"}"#)), Some(whole)), ["metadata_changed"]);
    }

    #[test]
    fn a_session_that_starts_gets_its_times_anew() {
        let pending = Session { status: Status::Pending, ..session() };
        let moved = Session { expires: Some("2026-11-22T13:00:00Z".parse().unwrap()), ..session() };
        assert_eq!(diff_sessions(&pending, &moved, true), []);
    }
}
