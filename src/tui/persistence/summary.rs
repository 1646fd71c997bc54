//! A record → what the journal keeps of it for `keepwatch history`. Pure.

use super::Who;
use crate::store::journal::{Summary, Why};
use keepwatch_core::clock::Zone;
use keepwatch_core::session::SessionId;
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::Fleet;

/// What is known of a session; `None` of one that no reply told of.
pub(super) fn summary(fleet: &Fleet, id: &SessionId, who: &Who, hides_metadata: bool) -> Option<Summary> {
    let record = fleet.get(id)?;
    let session = record.session.as_ref()?;
    let (first, last) = (record.first()?, record.last()?);
    let clock = fleet.clock();
    let why = fleet.verdict(id).map(|verdict| Why {
        name: verdict.name().into(),
        sure: verdict.sure.word().into(),
        sentence: Untrusted::new(verdict.line(&session.status, Zone::Utc, clock.at(last.received))),
    });
    Some(Summary {
        session: id.clone(),
        run: who.run.clone(),
        profile: who.profile.clone(),
        host: who.host.clone(),
        project: session.project.clone(),
        owner: record.owner.clone(),
        status: Some(session.status.clone()),
        region: session.region.clone(),
        keep_alive: session.keep_alive,
        context: session.context.clone(),
        created: session.created,
        started: session.started,
        ended: record.ended_at(),
        end_exact: record.is_end_exact(),
        expires: session.expires,
        first_seen: clock.at(first.received),
        last_seen: clock.at(last.received),
        watched: record.watched,
        replies: record.replies,
        proxy_bytes: session.proxy_bytes,
        why,
        metadata: session.metadata.clone().filter(|_| !hides_metadata),
    })
}
